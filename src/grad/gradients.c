/* Functional gradients: of several results with respect to any tensors beneath them. */
#include "grad.h"

#include <stdio.h>
#include <string.h>

/* What one call is about. */
typedef struct request {
    cr_ctx *ctx;
    cr_tensor *const *ys, *const *xs; /* as given */
    int n_ys, n_xs;
    cr_tensor **nodes; /* of the ys, then of the xs, then the cotangents to start with */
    cr_tensor **found; /* what has arrived at the xs */
    const cr_gradients_opts *opts;
} request;

static const char request_name[] = "gradients";

/* The context of the first tensor that is there, or NULL. */
static cr_ctx *find_context(cr_tensor *const *xs, int n)
{
    for (int i = 0; i < n && xs; i++)
        if (xs[i])
            return xs[i]->ctx;
    return NULL;
}

/* Floats in use; ys and xs into r->nodes. */
static bool check_tensors(const request *r, cr_tensor *const *xs, int n, const char *list,
                          cr_tensor **nodes)
{
    char name[32];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s: %s[%d]", request_name, list, i);
        if (!cr__usable(r->ctx, xs[i], name, r->opts->site))
            return false;
        nodes[i] = cr__resolve(xs[i]);
        if (!cr__is_float((cr_dtype)nodes[i]->dtype)) {
            cr__grad_fail(r->ctx, CR_ERR_GRAD, request_name, r->opts->site, NULL,
                          "%s[%d] is %s, and only floats have gradients", list, i,
                          cr_dtype_name(nodes[i]->dtype));
            return false;
        }
    }
    return true;
}

static bool check_request(const request *r)
{
    if (!check_tensors(r, r->ys, r->n_ys, "ys", r->nodes) ||
        !check_tensors(r, r->xs, r->n_xs, "xs", r->nodes + r->n_ys))
        return false;
    cr_tensor **starts = r->nodes + r->n_ys + r->n_xs;
    for (int i = 0; i < r->n_ys; i++) {
        cr_tensor *given = r->opts->cotangents ? r->opts->cotangents[i] : NULL;
        starts[i] = cr__walk_start(r->nodes[i], given, r->opts->create_graph,
                                   request_name, r->opts->site);
        if (!starts[i])
            return false;
    }
    return true;
}

static bool down(const request *r, cr__walk *walk)
{
    for (int i = 0; i < r->n_ys; i++)
        if (!cr__walk_root(walk, r->nodes[i]))
            return false;
    if (!cr__walk_collect(walk))
        return false;
    cr__walk_prune(walk, r->nodes + r->n_ys, r->xs, (size_t)r->n_xs);
    for (int i = 0; i < r->n_ys; i++)
        if (r->nodes[i]->walk &&
            !cr__walk_seed(walk, r->nodes[i], r->nodes[r->n_ys + r->n_xs + i]))
            return false;
    return cr__walk_down(walk);
}

static bool any_needs_grad(cr_tensor *const *nodes, int n)
{
    bool any = false;
    for (int i = 0; i < n; i++)
        any |= (nodes[i]->flags & CR__NEEDS_GRAD) != 0;
    return any;
}

/* No gradient has reached xs[j]. */
static void fail_unused(const request *r, int j)
{
    cr_tensor *x = r->nodes[r->n_ys + j];
    char why[512] = "", text[640];
    if (!(x->flags & CR__NEEDS_GRAD)) {
        cr_explain_no_grad(x, why, sizeof why);
        snprintf(text, sizeof text, "needs no gradient: %s", why);
    } else if (!any_needs_grad(r->nodes, r->n_ys)) {
        cr_explain_no_grad(r->nodes[0], why, sizeof why);
        snprintf(text, sizeof text, "is nothing that a y depends on; ys[0]: %s", why);
    } else
        snprintf(text, sizeof text, "is nothing that a y depends on");
    cr__grad_fail(r->ctx, CR_ERR_GRAD, request_name, r->opts->site,
                  "with .allow_unused its gradient is NULL instead",
                  "xs[%d] of shape %s %s", j, cr__shape_text(x), text);
}

/* What has arrived at the leaves among the xs, at all the values that they have had, into
 * found; meanwhile the handle remembers the place of the first x that it is. */
static void add_leaves(const request *r, const cr__walk *walk)
{
    for (int j = r->n_xs; j-- > 0;)
        if (r->xs[j]->flags & CR__HANDLE)
            r->xs[j]->walk = (uint32_t)j + 1;
    for (size_t i = 0; i < walk->n_ends && r->ctx->status == CR_OK; i++) {
        cr_tensor *g = walk->cotangents[walk->ends[i]];
        const cr_tensor *end = walk->nodes[walk->ends[i]];
        const cr_tensor *x = end->flags & CR__VERSION ? end->leaf->handle : NULL;
        if (!g || !x || !x->walk)
            continue;
        cr_tensor **sum = &r->found[x->walk - 1];
        *sum = *sum ? cr_add_at(cr_arg_tensor(*sum), cr_arg_tensor(g), r->opts->site) : g;
    }
    for (int j = 0; j < r->n_xs; j++) {
        cr_tensor *x = r->xs[j];
        uint32_t first = x->flags & CR__HANDLE ? x->walk - 1 : (uint32_t)j;
        if (first != (uint32_t)j)
            r->found[j] = r->found[first];
        else if (r->found[j] && x->leaf && x->leaf->hooks)
            r->found[j] = cr__call_hooks(x, r->found[j], request_name);
    }
    for (int j = 0; j < r->n_xs; j++)
        if (r->xs[j]->flags & CR__HANDLE)
            r->xs[j]->walk = 0;
}

/* What has arrived at the xs, into found. */
static void find_arrived(const request *r, const cr__walk *walk)
{
    memset(r->found, 0, (size_t)r->n_xs * sizeof *r->found);
    if (!walk->cotangents)
        return;
    add_leaves(r, walk);
    for (int j = 0; j < r->n_xs; j++) {
        const cr_tensor *node = r->nodes[r->n_ys + j];
        if (!(r->xs[j]->flags & CR__HANDLE) && node->walk)
            r->found[j] = walk->cotangents[node->walk - 1];
    }
}

/* The number of the first x without a gradient, or n_xs. A cotangent that is a leaf's own
 * value, or that no scope holds, handed down as it was given, gets another name. */
static int hand_out(const request *r, const cr__walk *walk)
{
    int unused = r->n_xs;
    find_arrived(r, walk);
    for (int j = 0; j < r->n_xs; j++) {
        cr_tensor *g = r->found[j];
        bool own = g && !(g->flags & CR__VERSION) && g->flags & CR__HELD;
        if (g && !own)
            g = r->opts->create_graph ? cr_reshape_at(g, cr_shape(g), r->opts->site)
                                      : cr_detach_at(g, r->opts->site);
        if (g)
            g->flags |= CR__KEEP;
        else if (unused == r->n_xs)
            unused = j;
        r->found[j] = g;
    }
    return unused;
}

static bool differentiate(const request *r)
{
    cr__walk walk;
    int unused = r->n_xs;
    cr__walk_begin(&walk, r->ctx, r->opts->create_graph, request_name, r->opts->site);
    /* Hooks and vjps may release what they find. */
    for (int i = 0; i < r->n_ys; i++)
        cr__retain(r->nodes[i]);
    bool done = down(r, &walk);
    if (done && !r->opts->allow_unused)
        unused = hand_out(r, &walk);
    else if (done)
        hand_out(r, &walk);
    done = done && unused == r->n_xs && r->ctx->status == CR_OK;
    cr__walk_end(&walk, done && !r->opts->retain_graph && !r->opts->create_graph);
    if (unused < r->n_xs)
        fail_unused(r, unused);
    for (int i = 0; i < r->n_ys; i++)
        cr__drop(r->nodes[i]);
    return done;
}

static cr_status run_request(request *r, cr_tensor **grads)
{
    r->ctx = find_context(r->ys, r->n_ys);
    if (!r->ctx)
        r->ctx = find_context(r->xs, r->n_xs);
    if (!r->ctx)
        return CR_ERR_NULL;
    CR__STATE_GUARD(r->ctx, true);
    if (r->n_ys < 1 || r->n_xs < 0)
        return cr__grad_fail(r->ctx, CR_ERR_ARGUMENT, request_name, r->opts->site, NULL,
                             "%d ys and %d xs", r->n_ys, r->n_xs);
    if (!r->ys || (r->n_xs > 0 && (!r->xs || !grads)))
        return cr__grad_fail(r->ctx, CR_ERR_NULL, request_name, r->opts->site, NULL,
                             "the list of %s is NULL",
                             !r->ys   ? "ys"
                             : !r->xs ? "xs"
                                      : "gradients");
    if (!cr__may_walk(r->ctx, request_name, r->opts->site))
        return r->ctx->status;
    size_t n_ys = (size_t)r->n_ys, n_xs = (size_t)r->n_xs;
    r->nodes = cr__pooled_new(r->ctx, 2 * (n_ys + n_xs) * sizeof *r->nodes);
    r->found = r->nodes ? r->nodes + 2 * n_ys + n_xs : NULL;
    bool done = r->nodes && check_request(r) && differentiate(r);
    if (done && n_xs)
        memcpy(grads, r->found, n_xs * sizeof *grads);
    cr__pooled_free(r->nodes);
    return done ? CR_OK : r->ctx->status;
}

/* grads may be the same memory as ys, xs or cotangents: it is written last. */
cr_status cr_gradients_at(cr_tensor *const *ys, int n_ys, cr_tensor *const *xs, int n_xs,
                          cr_tensor **grads, cr_gradients_opts opts)
{
    request r = { .ys = ys, .xs = xs, .n_ys = n_ys, .n_xs = n_xs, .opts = &opts };
    cr_status status = run_request(&r, grads);
    for (int j = 0; j < n_xs && grads && status != CR_OK; j++)
        grads[j] = NULL;
    return status;
}
