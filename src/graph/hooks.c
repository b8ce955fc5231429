/* Hooks: the host's code that a tensor's cotangent passes through while a backward pass is
 * recorded, and that is called when a leaf's gradient has been committed. They hang on the
 * tensor's leaf record and go with the tensor. What a hook removes while hooks are called is
 * only marked, so that the lists stay whole until the outermost call has ended. */
#include "../base/text.h"
#include "graph.h"

/* ---- registering ---- */

static uint64_t add_hook(cr_tensor *x, cr__hook hook, const char *what, const char *site)
{
    cr_ctx *ctx = x->ctx;
    cr__leaf *leaf = cr__leaf_of(x);
    cr__hook *record = leaf ? cr__pooled_new(ctx, sizeof *record) : NULL, **last;
    (void)what, (void)site;
    if (!record)
        return 0;
    *record = hook;
    record->id = ++ctx->next_hook;
    for (last = &leaf->hooks; *last; last = &(*last)->next)
        ;
    *last = record;
    return record->id;
}

static void fail_hook(const cr_tensor *x, cr_status status, const char *what,
                      const char *site, const char *why)
{
    cr_fail(x->ctx, status, "%s: %s %s %s (%s)", what, cr__called(x), cr__shape_text(x),
            why, site ? site : "?");
}

uint64_t cr_register_hook_at(cr_tensor *x, cr_hook *hook, void *user, const char *site)
{
    static const char what[] = "register_hook";
    if (!x || !cr__usable(NULL, x, what, site))
        return 0;
    if (!hook)
        fail_hook(x, CR_ERR_NULL, what, site, "is given no function");
    else if (!(cr__resolve(x)->flags & CR__NEEDS_GRAD))
        fail_hook(x, CR_ERR_GRAD, what, site,
                  "needs no gradient, so no hook would be called; cr_explain_no_grad() "
                  "says why");
    else
        return add_hook(x, (cr__hook){ .call = hook, .user = user }, what, site);
    return 0;
}

uint64_t cr_register_post_accumulate_grad_hook_at(cr_tensor *leaf,
                                                  cr_post_accumulate_hook *hook,
                                                  void *user, const char *site)
{
    static const char what[] = "register_post_accumulate_grad_hook";
    if (!leaf || !cr__usable(NULL, leaf, what, site))
        return 0;
    if (!hook)
        fail_hook(leaf, CR_ERR_NULL, what, site, "is given no function");
    else if (!(leaf->flags & CR__HANDLE))
        fail_hook(leaf, CR_ERR_GRAD, what, site,
                  "is no leaf, and accumulates no gradient; cr_register_hook() sees what "
                  "passes through it");
    else if (!(leaf->flags & CR__NEEDS_GRAD))
        fail_hook(leaf, CR_ERR_GRAD, what, site, "is frozen, and gets no gradient");
    else
        return add_hook(leaf, (cr__hook){ .after = hook, .user = user }, what, site);
    return 0;
}

/* ---- removing ---- */

/* Unlinks what was removed; or all. */
static void sweep_hooks(cr__leaf *leaf, bool all)
{
    for (cr__hook **link = &leaf->hooks, *hook; (hook = *link);) {
        if (!all && !hook->removed) {
            link = &hook->next;
            continue;
        }
        *link = hook->next;
        cr__pooled_free(hook);
    }
}

void cr__free_hooks(cr__leaf *leaf)
{
    sweep_hooks(leaf, true);
}

cr_status cr_remove_hook(cr_tensor *x, uint64_t id)
{
    if (!x)
        return CR_ERR_NULL;
    if (!cr__usable(NULL, x, "remove_hook", NULL))
        return cr__refuse(x->ctx);
    cr__hook *hook = x->leaf ? x->leaf->hooks : NULL;
    while (hook && (hook->id != id || hook->removed))
        hook = hook->next;
    if (!hook)
        return cr_fail(x->ctx, CR_ERR_ARGUMENT,
                       "remove_hook: %s %s has no hook of the number %llu", cr__called(x),
                       cr__shape_text(x), (unsigned long long)id);
    hook->removed = true;
    if (!x->ctx->in_hooks)
        sweep_hooks(x->leaf, false);
    return CR_OK;
}

/* ---- what the host's code finds, and leaves ---- */

typedef struct outside {
    cr__scope *floor;
    const char *site;
    const cr_op *within;
    bool in_hooks;
} outside;

static outside enter_hooks(cr_ctx *ctx)
{
    outside was = { cr__floor_set(ctx), ctx->site, ctx->within, ctx->in_hooks };
    ctx->site = NULL;
    ctx->within = NULL;
    ctx->in_hooks = true;
    return was;
}

static void leave_hooks(cr_ctx *ctx, outside was, cr__leaf *leaf)
{
    cr__floor_end(ctx, was.floor, "a hook");
    ctx->site = was.site;
    ctx->within = was.within;
    ctx->in_hooks = was.in_hooks;
    if (!ctx->in_hooks)
        sweep_hooks(leaf, false);
}

/* ---- cotangents ---- */

/* What a hook has returned in place of g, as the walk goes on with it; NULL with the error. */
static cr_tensor *check_replacement(const cr_tensor *x, const cr_tensor *g, cr_tensor *by,
                                    const char *what)
{
    cr_ctx *ctx = x->ctx;
    const char *name = cr_name(x);
    char label[128];
    snprintf(label, sizeof label, *name ? "\"%.50s\", %s" : "%s%s", name, cr__called(x));
    if (!cr__alive(by) || by->ctx != ctx)
        cr_fail(
            ctx, CR_ERR_SCOPE,
            "%s: a hook of %s %s (%s) returned a tensor of a closed scope or of another "
            "context",
            what, label, cr__shape_text(x), x->site ? x->site : "?");
    else if (!cr__same_type(by, g))
        cr_fail(
            ctx, by->dtype == g->dtype ? CR_ERR_SHAPE : CR_ERR_DTYPE,
            "%s: a hook of %s (%s) returned %s %s in place of the cotangent, which is "
            "%s %s; it has the shape and dtype of its tensor",
            what, label, x->site ? x->site : "?", cr_dtype_name((cr_dtype)by->dtype),
            cr__shape_text(by), cr_dtype_name((cr_dtype)g->dtype), cr__shape_text(g));
    return ctx->status == CR_OK ? cr__resolve(by) : NULL;
}

/* Those that a hook adds have greater numbers than `last`. */
cr_tensor *cr__call_hooks(cr_tensor *x, cr_tensor *g, const char *what)
{
    cr_ctx *ctx = x->ctx;
    const uint64_t last = ctx->next_hook;
    cr__retain(x);
    outside was = enter_hooks(ctx);
    for (cr__hook *hook = x->leaf->hooks; g && hook; hook = hook->next) {
        if (!hook->call || hook->removed || hook->id > last)
            continue;
        cr_tensor *by = hook->call(x, g, hook->user);
        if (ctx->status == CR_OK && by)
            g = check_replacement(x, g, by, what);
        if (ctx->status != CR_OK)
            g = NULL;
    }
    leave_hooks(ctx, was, x->leaf);
    if (ctx->status != CR_OK)
        g = NULL;
    if (!g)
        cr__say_whose(ctx, "a hook", x->site);
    cr__drop(x);
    return g;
}

/* ---- gradients that have been committed ---- */

/* The handle lives until its turn has come. */
void cr__note_accumulated(cr_ctx *ctx, cr__leaf *leaf)
{
    leaf->accumulated = false;
    if (leaf->next_accumulated || ctx->last_accumulated == &leaf->next_accumulated ||
        !leaf->grad)
        return;
    cr__retain(leaf->handle);
    *(ctx->accumulated ? ctx->last_accumulated : &ctx->accumulated) = leaf;
    ctx->last_accumulated = &leaf->next_accumulated;
}

static cr__leaf *take_due(cr_ctx *ctx)
{
    cr__leaf *leaf = ctx->accumulated;
    ctx->accumulated = leaf->next_accumulated;
    leaf->next_accumulated = NULL;
    if (!ctx->accumulated)
        ctx->last_accumulated = NULL;
    return leaf;
}

void cr__forget_due_hooks(cr_ctx *ctx)
{
    while (ctx->accumulated)
        cr__drop(take_due(ctx)->handle);
}

static void call_after(cr_ctx *ctx, cr__leaf *leaf)
{
    cr_tensor *x = leaf->handle;
    const uint64_t last = ctx->next_hook;
    outside was = enter_hooks(ctx);
    ctx->no_grad++;
    for (cr__hook *hook = leaf->hooks; hook && ctx->status == CR_OK; hook = hook->next)
        if (hook->after && !hook->removed && hook->id <= last)
            hook->after(x, hook->user);
    ctx->no_grad -= ctx->no_grad > 0;
    leave_hooks(ctx, was, leaf);
    cr__drop(x);
}

bool cr__call_due_hooks(cr_ctx *ctx)
{
    if (CR__LIKELY(!ctx->accumulated) || ctx->in_hooks || ctx->walking)
        return false;
    while (ctx->accumulated && ctx->status == CR_OK)
        call_after(ctx, take_due(ctx));
    return true;
}
