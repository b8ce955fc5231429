/* Scopes: which tensors die together, and what is computed before they do. */
#include "graph.h"

cr_status cr_scope_push(cr_ctx *ctx)
{
    if (!ctx)
        return CR_ERR_NULL;
    if (!cr__may_change(ctx, "scope_push"))
        return ctx->status;
    cr__scope *scope = cr__slab_new(ctx, &ctx->scopes);
    if (!scope)
        return CR_ERR_MEMORY;
    *scope = (cr__scope){ .parent = ctx->scope, .since = ctx->next_seq };
    ctx->scope = scope;
    return CR_OK;
}

/* Each scope's tensors lie in order of creation, and outer scopes' are older. */
cr_tensor *cr__recent(const cr_ctx *ctx, cr__scope **scope, cr_tensor *x)
{
    while (!x) {
        bool last = (*scope)->since <= ctx->recent;
        *scope = (*scope)->parent;
        if (last || !*scope)
            return NULL;
        x = (*scope)->first;
    }
    return x->seq >= ctx->recent ? x : NULL;
}

void cr__nothing_recent(cr_ctx *ctx)
{
    ctx->recent = ctx->next_seq;
}

void cr__make_recent(const cr_tensor *x)
{
    if (x->seq < x->ctx->recent)
        x->ctx->recent = x->seq;
}

/* One cr_keep() of x has been seen to. */
static void count_keep_off(cr_tensor *x)
{
    x->ctx->keeps--;
    if (x->leaf && x->leaf->keeps)
        x->leaf->keeps--;
    else
        x->flags &= (uint16_t)~CR__KEPT;
}

/* Whether x, of a scope that ends, goes to the enclosing one. */
static bool moves_out(cr_tensor *x)
{
    if (!(x->flags & CR__KEPT))
        return false;
    count_keep_off(x);
    x->moved = true;
    return true;
}

/* The scope's list does not lead to x any more, which cr_release() has ended. */
static void leave_given_back(cr_tensor *x)
{
    x->ctx->given_back--;
    x->given_back = false;
    cr__scope_release(x->ctx, x, NULL);
}

void cr__scope_end(cr_ctx *ctx, const char *site)
{
    cr__scope *scope = ctx->scope, *parent = scope->parent;
    cr_tensor *kept = NULL, **last = &kept;
    for (cr_tensor *x = scope->first, *next; x; x = next) {
        next = x->link;
        __builtin_prefetch(next, 1);
        __builtin_prefetch((char *)((uintptr_t)next + 64), 1);
        if (parent && moves_out(x)) {
            *last = x;
            last = &x->link;
            parent->count++;
        } else if (CR__UNLIKELY(x->given_back)) {
            leave_given_back(x);
        } else {
            cr__scope_release(ctx, x, site);
        }
    }
    scope->first = NULL;
    scope->count = scope->reads = 0;
    if (parent) {
        *last = parent->first;
        parent->first = kept;
        ctx->scope = parent;
        cr__slab_free(&ctx->memory, &ctx->scopes, scope);
    }
}

/* Takes what was given back out of the scopes' lists, and then lets it go: what is called
 * when memory goes finds the lists whole. */
static void sweep(cr_ctx *ctx)
{
    cr_tensor *gone = NULL;
    for (cr__scope *scope = ctx->scope; scope; scope = scope->parent) {
        cr_tensor **link = &scope->first;
        while (*link) {
            cr_tensor *x = *link;
            if (!x->given_back) {
                link = &x->link;
                continue;
            }
            *link = x->link;
            scope->count--;
            x->link = gone;
            gone = x;
        }
    }
    for (cr_tensor *x; (x = gone);) {
        gone = x->link;
        leave_given_back(x);
    }
}

/* Ends what cr_keep() has begun. Lists lead one way only, so x waits in its scope's until
 * a quarter of all tensors does: a sweep costs each of them a constant. */
static void give_back(cr_tensor *x)
{
    cr_ctx *ctx = x->ctx;
    while (x->flags & CR__KEPT)
        count_keep_off(x);
    x->flags &= (uint16_t)~CR__SCOPED;
    x->moved = false;
    x->given_back = true;
    if (++ctx->given_back * 4 >= ctx->n_nodes)
        sweep(ctx);
}

/* Computes what outlives the scope: kept tensors and what is pending on leaves. And what
 * is retained, as far as the user may read it: nobody finds it any more when a leaf's
 * value is replaced. */
static void compute_kept(cr_ctx *ctx)
{
    size_t n = 0;
    cr__list *list = &ctx->targets;
    for (cr_tensor *x = ctx->keeps ? ctx->scope->first : NULL; x; x = x->link) {
        cr_tensor *node = cr__resolve(x);
        if (!(x->flags & CR__KEPT))
            continue;
        node->flags |= CR__KEEP;
        cr__settle(node);
        if (node->flags & CR__KNOWN)
            continue;
        if (!cr__list_reserve(ctx, list, (n + 1) * sizeof x))
            return;
        ((cr_tensor **)list->at)[n++] = node;
    }
    cr__save_again(ctx);
    ctx->scope->ending = true;
    if (n || ctx->dirty || ctx->retained)
        cr__run(ctx, list->at, n, true);
    ctx->scope->ending = false;
}

/* Hooks that the run has made due may keep and assign in their turn. */
static void compute_all_kept(cr_ctx *ctx)
{
    do
        compute_kept(ctx);
    while (cr__call_due_hooks(ctx) && ctx->status == CR_OK);
}

cr_status cr_scope_pop_at(cr_ctx *ctx, const char *site)
{
    if (!ctx)
        return CR_ERR_NULL;
    if (!cr__may_change(ctx, "scope_pop"))
        return ctx->status;
    if (ctx->scope == ctx->floor)
        return cr_fail(ctx, CR_ERR_ARGUMENT,
                       "scope_pop: this vjp, expansion or function under test has not "
                       "opened the scope (%s)",
                       site ? site : "?");
    if (ctx->scope == &ctx->root)
        return cr_fail(ctx, CR_ERR_ARGUMENT,
                       "scope_pop: no scope is open (%s); each pop ends the scope of one "
                       "cr_scope_push",
                       site ? site : "?");
    if (ctx->status == CR_OK)
        compute_all_kept(ctx);
    else
        cr__undo(ctx);
    cr__scope_end(ctx, site);
    return ctx->status;
}

void cr__end_left_open(cr_ctx *ctx, const char *what)
{
    cr_fail(ctx, CR_ERR_ARGUMENT, "%s: it has left a scope open", what);
    while (ctx->scope != ctx->floor)
        cr__scope_end(ctx, NULL);
}

cr_tensor *cr_keep(cr_tensor *x)
{
    if (!x || !cr__usable(x->ctx, x, "keep", NULL))
        return NULL;
    if (!(x->flags & CR__SCOPED))
        return x;
    /* Once is a flag; those who keep it for outer scopes too are counted. */
    cr__leaf *leaf = x->flags & CR__KEPT ? cr__leaf_of(x) : NULL;
    if (x->flags & CR__KEPT && !leaf)
        return NULL;
    if (leaf)
        leaf->keeps++;
    x->flags |= CR__KEPT;
    x->ctx->keeps++;
    return x;
}

cr_tensor *cr_retain(cr_tensor *x)
{
    if (!x || !cr__may_change(x->ctx, "retain") ||
        (!cr__alive(x) && !cr__usable(x->ctx, x, "retain", NULL)))
        return NULL;
    if (x->refs == INT32_MAX) {
        cr_fail(x->ctx, CR_ERR_ARGUMENT, "retain: this tensor has 2^31 references");
        return NULL;
    }
    /* Once is a flag, as of cr_keep(). A version's record is its leaf's. */
    bool counts = x->flags & CR__RETAINED && !(x->flags & CR__VERSION);
    cr__leaf *leaf = counts ? cr__leaf_of(x) : NULL;
    if (counts && !leaf)
        return NULL;
    if (leaf)
        leaf->retains++;
    x->flags |= CR__RETAINED;
    cr__retain(x);
    x->ctx->retained++;
    return x;
}

void cr_release(cr_tensor *x)
{
    if (!x)
        return;
    cr_ctx *ctx = x->ctx;
    if (!cr__may_change(ctx, "release"))
        return;
    if (!cr__alive(x)) {
        cr_fail(ctx, CR_ERR_ARGUMENT, "release: the tensor, not retained, was %s",
                cr__released_text(x));
        return;
    }
    if (!(x->flags & CR__RETAINED) && x->moved) {
        give_back(x);
        return;
    }
    if (!(x->flags & CR__RETAINED)) {
        cr_fail(ctx, CR_ERR_ARGUMENT,
                "release: the tensor was not retained, nor kept beyond its scope, which "
                "releases it");
        return;
    }
    if (x->leaf && x->leaf->retains && !(x->flags & CR__VERSION))
        x->leaf->retains--;
    else if (!(x->flags & CR__VERSION))
        x->flags &= (uint16_t)~CR__RETAINED;
    ctx->retained--;
    cr__drop(x);
}

void cr_no_grad_push(cr_ctx *ctx)
{
    if (ctx && cr__may_change(ctx, "no_grad_push"))
        ctx->no_grad++;
}

void cr_no_grad_pop(cr_ctx *ctx)
{
    if (!ctx || !cr__may_change(ctx, "no_grad_pop"))
        return;
    if (ctx->no_grad > 0)
        ctx->no_grad--;
    else
        cr_fail(ctx, CR_ERR_ARGUMENT,
                "no_grad_pop: gradients are on; each pop ends one cr_no_grad_push");
}

bool cr_grad_enabled(const cr_ctx *ctx)
{
    return ctx && ctx->no_grad == 0;
}
