/* Backward passes: from losses to the gradients of the leaves beneath them. */
#include "grad.h"

#include <stdio.h>

/* One pass, as it was asked for. */
typedef struct pass {
    cr_ctx *ctx;
    cr_tensor *const *losses, *const *cotangents, *const *inputs;
    int n, n_inputs;
    bool retain_graph, many;
    const char *what, *site;
    cr_tensor **roots, **starts; /* n of each */
    cr_tensor **nodes;           /* of the inputs */
} pass;

/* ---- what is asked for ---- */

/* Whether a backward pass can start at the i-th loss, with or without a cotangent. */
static bool check_loss(const pass *p, int i, bool given)
{
    cr_tensor *loss = p->roots[i];
    const char *name;
    char label[80], why[512];
    bool is_float = cr__is_float((cr_dtype)loss->dtype);
    if (CR__LIKELY(is_float && loss->flags & CR__NEEDS_GRAD &&
                   (cr__numel(loss) == 1 || given)))
        return true;
    name = cr_name(loss);
    if (p->many)
        snprintf(label, sizeof label, "losses[%d]", i);
    else
        snprintf(label, sizeof label, *name ? "the loss \"%.50s\"" : "the loss", name);
    if (!is_float) {
        cr__grad_fail(p->ctx, CR_ERR_GRAD, p->what, p->site, NULL,
                      "%s is %s, and only floats have gradients", label,
                      cr_dtype_name(loss->dtype));
    } else if (!given && cr__numel(loss) != 1) {
        cr__grad_fail(p->ctx, CR_ERR_GRAD, p->what, p->site,
                      p->many
                          ? "reduce it with cr_sum() or cr_mean(), or give .cotangents"
                          : "reduce it with cr_sum() or cr_mean(), or give a .cotangent",
                      "%s is not a scalar: its shape is %s", label, cr__shape_text(loss));
    } else {
        cr_explain_no_grad(loss, why, sizeof why);
        cr__grad_fail(p->ctx, CR_ERR_GRAD, p->what, p->site, NULL,
                      "%s needs no gradient: %s", label, why);
    }
    return false;
}

static bool start_losses(const pass *p)
{
    for (int i = 0; i < p->n; i++) {
        if (!cr__usable(p->ctx, p->losses[i], p->what, p->site))
            return false;
        p->roots[i] = cr__resolve(p->losses[i]);
        cr_tensor *given = p->cotangents ? p->cotangents[i] : NULL;
        if (!check_loss(p, i, given != NULL) ||
            !(p->starts[i] = cr__walk_start(p->roots[i], given, false, p->what, p->site)))
            return false;
    }
    return true;
}

static bool check_inputs_given(const pass *p)
{
    for (int i = 0; i < p->n_inputs; i++) {
        cr_tensor *x = p->inputs[i];
        if (!cr__usable(p->ctx, x, p->what, p->site))
            return false;
        p->nodes[i] = cr__resolve(x);
        const char *why = !(x->flags & (CR__HANDLE | CR__VERSION | CR__WATCHED))
                              ? "neither a leaf nor watched, and keeps no gradient"
                          : !(p->nodes[i]->flags & CR__NEEDS_GRAD)
                              ? "frozen, or needs no gradient"
                              : NULL;
        if (why) {
            cr__grad_fail(p->ctx, CR_ERR_GRAD, p->what, p->site,
                          "cr_gradients() differentiates with respect to anything",
                          "inputs[%d] of shape %s is %s", i, cr__shape_text(x), why);
            return false;
        }
    }
    return true;
}

/* ---- what comes out ---- */

static cr__leaf *hooked(const cr_tensor *node)
{
    return node->flags & CR__VERSION && node->leaf->hooks ? node->leaf : NULL;
}

static bool add_old_grad(const cr__walk *walk, const cr__leaf *leaf, cr_tensor **sum)
{
    if (leaf->grad)
        *sum = cr_add_at(cr_arg_tensor(leaf->grad), cr_arg_tensor(*sum), walk->site);
    return *sum;
}

/* What the gradients will be: the old ones and what has arrived. Several versions of a
 * leaf may have been reached; the handle remembers the place of the first of them. A leaf
 * that nobody holds any more, or that was frozen, needs none. */
static bool add_cotangents(cr__walk *walk)
{
    size_t n = walk->n_ends;
    walk->n_ends = 0;
    for (size_t i = 0; i < n; i++) {
        size_t place = walk->ends[i];
        cr_tensor *node = walk->nodes[place];
        cr_tensor **sum = &walk->cotangents[place];
        node->walk = 0;
        bool version = node->flags & CR__VERSION;
        cr_tensor *handle = version ? node->leaf->handle : NULL;
        if (!*sum || (version && !(handle && node->leaf->requires_grad)))
            continue;
        if (handle && handle->walk) {
            if (!cr__walk_arrive(walk, handle, *sum))
                return false;
            continue;
        }
        if (handle)
            handle->walk = (uint32_t)place + 1;
        walk->ends[walk->n_ends++] = place;
        if (!hooked(node) && !add_old_grad(walk, node->leaf, sum))
            return false;
    }
    return true;
}

/* Hooks of leaves see what the pass adds, of all their values together. They may release
 * tensors. */
static bool call_leaf_hooks(cr__walk *walk)
{
    for (size_t i = 0; i < walk->n_ends; i++) {
        cr__leaf *leaf = hooked(walk->nodes[walk->ends[i]]);
        cr_tensor **sum = &walk->cotangents[walk->ends[i]];
        if (leaf && leaf->handle &&
            !(*sum = cr__call_hooks(leaf->handle, *sum, walk->what)))
            return false;
        if (leaf && leaf->handle && !add_old_grad(walk, leaf, sum))
            return false;
    }
    return true;
}

/* g as a gradient, which is its leaf's alone and goes when another takes its place: g
 * itself if the walk has made it and no leaf has it yet (its `walk` tells), nor a hook has
 * seen it, else another name for it. */
static cr_tensor *own(const cr__walk *walk, cr_tensor *g, bool seen)
{
    if (g->seq < walk->since || g->walk || seen)
        g = cr_detach_at(g, walk->site);
    if (g)
        g->walk = 1;
    return g;
}

static bool own_all(cr__walk *walk)
{
    bool done = true;
    for (size_t i = 0; i < walk->n_ends && done; i++) {
        const cr_tensor *node = walk->nodes[walk->ends[i]];
        cr_tensor **sum = &walk->cotangents[walk->ends[i]];
        done = (*sum = own(walk, *sum, node->leaf->hooks != NULL)) != NULL;
    }
    return done;
}

/* All or nothing: no gradient is set before everything that can fail has succeeded. */
static bool set_gradients(cr__walk *walk)
{
    bool done = add_cotangents(walk) && call_leaf_hooks(walk) && own_all(walk);
    for (size_t i = 0; i < walk->n_ends; i++) {
        const size_t place = walk->ends[i];
        cr_tensor *node = walk->nodes[place], *g = walk->cotangents[place];
        cr_tensor *handle = node->leaf->handle;
        if (node->flags & CR__VERSION && handle)
            handle->walk = 0;
        if (g && g->seq >= walk->since)
            g->walk = 0;
        if (done && handle) {
            cr__leaf_set_grad(node->leaf, g);
            node->leaf->accumulated = node->leaf->hooks != NULL;
        }
    }
    return done;
}

/* ---- the pass ---- */

static void want(const pass *p, bool wanted)
{
    for (int i = 0; i < p->n_inputs; i++)
        p->nodes[i]->wanted = wanted;
}

static bool walk_losses(const pass *p, cr__walk *walk)
{
    for (int i = 0; i < p->n; i++)
        if (!cr__walk_root(walk, p->roots[i]))
            return false;
    if (!cr__walk_collect(walk))
        return false;
    if (p->n_inputs)
        cr__walk_prune(walk, p->nodes, p->inputs, (size_t)p->n_inputs);
    for (int i = 0; i < p->n; i++)
        if (p->roots[i]->walk && !cr__walk_seed(walk, p->roots[i], p->starts[i]))
            return false;
    return cr__walk_down(walk) && set_gradients(walk);
}

static bool go_back(const pass *p)
{
    cr_ctx *ctx = p->ctx;
    cr__walk walk;
    if (!check_inputs_given(p) || !start_losses(p))
        return false;
    cr__walk_begin(&walk, ctx, false, p->what, p->site);
    /* Eager mode lets values go while vjps record. */
    walk.releases = ctx->unsaves = !p->retain_graph && !ctx->eager;
    walk.some = p->n_inputs > 0;
    /* Hooks and vjps may release what they find. */
    for (int i = 0; i < p->n; i++)
        cr__retain(p->roots[i]);
    want(p, true);
    bool done = walk_losses(p, &walk);
    want(p, false);
    cr__walk_end(&walk, done && !p->retain_graph);
    for (int i = 0; i < p->n; i++) {
        p->roots[i]->flags |= done ? CR__KEEP : 0;
        cr__drop(p->roots[i]);
    }
    return done;
}

static cr_status run_pass(pass *p)
{
    cr_ctx *ctx = p->ctx;
    CR__STATE_GUARD(ctx, true);
    if (!cr__may_walk(ctx, p->what, p->site))
        return ctx->status;
    if (p->inputs && p->n_inputs < 1)
        return cr__grad_fail(ctx, CR_ERR_ARGUMENT, p->what, p->site,
                             "leave it out to reach all leaves", "%d inputs",
                             p->n_inputs);
    if (!p->inputs && p->n_inputs)
        return cr__grad_fail(ctx, CR_ERR_NULL, p->what, p->site, NULL,
                             "the list of %d inputs is NULL", p->n_inputs);
    cr_tensor *few[2], **memory = few;
    const size_t n = (size_t)p->n, n_inputs = (size_t)p->n_inputs;
    if (n > 1 || n_inputs)
        memory = cr__pooled_new(ctx, (2 * n + n_inputs) * sizeof *memory);
    if (!memory)
        return ctx->status;
    p->roots = memory;
    p->starts = memory + n;
    p->nodes = memory + 2 * n;
    bool done = go_back(p);
    if (memory != few)
        cr__pooled_free(memory);
    return done ? CR_OK : ctx->status;
}

cr_status cr_backward_at(cr_tensor *loss, cr_backward_opts opts)
{
    pass p = { .losses = &loss,
               .cotangents = &opts.cotangent,
               .inputs = opts.inputs,
               .n = 1,
               .n_inputs = opts.n_inputs,
               .retain_graph = opts.retain_graph,
               .what = "backward",
               .site = opts.site };
    if (!cr__usable(NULL, loss, p.what, p.site))
        return loss ? cr__refuse(loss->ctx) : CR_ERR_NULL;
    p.ctx = loss->ctx;
    return run_pass(&p);
}

cr_status cr_backward_many_at(cr_tensor *const *losses, int n, cr_backward_many_opts opts)
{
    pass p = { .losses = losses,
               .cotangents = opts.cotangents,
               .inputs = opts.inputs,
               .n = n,
               .n_inputs = opts.n_inputs,
               .retain_graph = opts.retain_graph,
               .many = true,
               .what = "backward",
               .site = opts.site };
    for (int i = 0; i < n && losses && !p.ctx; i++)
        p.ctx = losses[i] ? losses[i]->ctx : NULL;
    if (!p.ctx)
        return n < 1 ? CR_ERR_ARGUMENT : CR_ERR_NULL;
    if (p.ctx->status != CR_OK || !cr__may_change(p.ctx, p.what))
        return cr__refuse(p.ctx);
    return run_pass(&p);
}
