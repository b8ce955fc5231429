/* The gradient of each loss of a vector, as of one sample each, in one walk. A value is apart if
 * part k of its first dim (of n equal parts) goes into loss k only: then one cotangent holds those
 * of all losses. Parameters are shared: where a value that is apart was made of one, the cotangents
 * of that from each sample are found at once (cr_op.vjp_apart, and the expansion of it), [n, ..].
 * What operations do to parts follows from their kind, from a view's layout, and from cr_op.apart.
 * Behind what is shared each sample goes its own way. Where samples mix otherwise each loss has a
 * pass of its own. */
#include "grad.h"

#include <string.h>

static const char sample_name[] = "per_sample_gradients";

typedef struct samples {
    cr__walk walk;
    const cr_product_opts *opts;
    int64_t n;
    cr_tensor *
        *each;  /* of the walk's nodes: their cotangents from each sample, or NULL */
    bool mixed; /* the samples are not apart */
} samples;

typedef enum input_kind { MIXED, APART, SHARED } input_kind;

/* ---- what operations do to parts ---- */

static bool divides(const samples *s, const cr_tensor *x)
{
    return x->shape->ndim > 0 && x->shape->dims[0] % s->n == 0 && x->shape->dims[0] > 0;
}

/* Whether part k of the view shows elements of part k of its input. */
static bool keeps_parts(const samples *s, const cr_tensor *x, const cr__layout *layout)
{
    const int64_t rows = x->shape->dims[0] / s->n,
                  part = cr__input(x, 0)->shape->numel / s->n;
    int64_t low = layout->offset, high = layout->offset;
    for (int d = 0; d < layout->ndim; d++) {
        int64_t last = ((d ? layout->dims[d] : rows) - 1) * layout->strides[d];
        low += last < 0 ? last : 0;
        high += last > 0 ? last : 0;
    }
    return rows * layout->strides[0] == part && low >= 0 && high < part;
}

static input_kind kind_of_view(const samples *s, const cr_tensor *x)
{
    const cr__view_info *info = x->op->internal;
    const cr_tensor *in = cr__input(x, 0);
    cr__layout layout;
    cr__layout_init(&layout, in->shape);
    if (!info->view(x, &layout) || layout.ndim != x->shape->ndim)
        return MIXED;
    if (divides(s, in) && keeps_parts(s, x, &layout))
        return APART;
    return layout.strides[0] == 0 && x->op == &cr__op_expand ? SHARED : MIXED;
}

/* What input j is to x, which is apart. */
static input_kind kind_of_input(const samples *s, const cr_tensor *x, int j)
{
    const cr_tensor *in = cr__input(x, j);
    const cr__reduce_attrs *reduced = x->attrs;
    unsigned apart;
    switch (x->op->kind) {
    case CR_OP_MAP:
        return APART;
    case CR_OP_REDUCE:
        for (int i = 0; i < reduced->dim.n; i++)
            if (reduced->dim.v[i] == 0)
                return MIXED;
        return divides(s, in) ? APART : MIXED;
    case CR_OP_VIEW:
        return kind_of_view(s, x);
    default:
        apart = x->op->apart ? x->op->apart(x) : 0;
        if (!apart)
            return MIXED;
        if (cr__has_input(apart, j))
            return divides(s, in) ? APART : MIXED;
        return x->op->vjp_apart ? SHARED : MIXED;
    }
}

/* ---- cotangents from each sample ---- */

/* g, of what in was expanded to: summed within each part, over what is new. */
static cr_tensor *sum_parts(const samples *s, const cr_tensor *x, cr_tensor *g)
{
    const cr_tensor *in = cr__input(x, 0);
    const int offset = x->shape->ndim - in->shape->ndim;
    cr_dims to = { .n = 0, .given = true }, over = { .n = 0, .given = true }, like;
    if (x->shape->ndim == CR_MAX_DIMS || in->shape->ndim == CR_MAX_DIMS)
        return NULL;
    to.v[to.n++] = s->n;
    for (int d = 0; d < x->shape->ndim; d++) {
        const int64_t size = d ? x->shape->dims[d] : x->shape->dims[0] / s->n;
        if (d < offset || in->shape->dims[d - offset] == 1)
            over.v[over.n++] = to.n;
        to.v[to.n++] = size;
    }
    like = cr_shape(in);
    memmove(like.v + 1, like.v, sizeof *like.v * (CR_MAX_DIMS - 1));
    like.v[0] = s->n;
    like.n++;
    cr_reduce_opts opts = { .site = s->opts->site };
    return cr_reshape_at(cr_sum_at(cr_reshape_at(g, to, s->opts->site), over, opts), like,
                         s->opts->site);
}

static bool arrive_each(samples *s, const cr_tensor *in, cr_tensor *g)
{
    cr_tensor **sum = &s->each[in->walk - 1];
    if (*sum && g)
        g = cr_add_at(cr_arg_tensor(*sum), cr_arg_tensor(g), s->opts->site);
    *sum = g;
    return g;
}

/* The vjp of x, or of what stands for it where it is recomputed. */
static bool call_vjp(samples *s, cr_tensor *x, cr_tensor *g, cr_tensor **down)
{
    cr_ctx *ctx = s->walk.ctx;
    cr_tensor *out = x;
    memset(down, 0, (size_t)x->n_inputs * sizeof *down);
    if (x->recomputed && ctx->no_grad && !(out = cr__walk_again(&s->walk, x->walk - 1)))
        return false;
    ctx->site = x->site;
    ctx->within = x->within;
    cr__scope *floor = cr__floor_set(ctx);
    x->op->vjp(out, g, down);
    cr__floor_end(ctx, floor, x->op->name);
    return ctx->status == CR_OK;
}

/* ---- the way down ---- */

/* From x, which is apart. */
static bool go_down(samples *s, cr_tensor *x, cr_tensor *g, cr_tensor **down)
{
    bool any_apart = false;
    for (int j = 0; j < x->n_inputs && !s->mixed; j++) {
        const cr_tensor *in = cr__input(x, j);
        input_kind kind = in && in->walk ? kind_of_input(s, x, j) : APART;
        any_apart |= in && in->walk && kind == APART;
        s->mixed = kind == MIXED;
    }
    if (s->mixed || (any_apart && !call_vjp(s, x, g, down)))
        return false;
    for (int j = 0; j < x->n_inputs; j++) {
        const cr_tensor *in = cr__input(x, j);
        if (!in || !in->walk)
            continue;
        if (kind_of_input(s, x, j) == APART) {
            if (down[j] && !cr__walk_arrive(&s->walk, in, cr__resolve(down[j])))
                return false;
            continue;
        }
        cr_tensor *each = x->op->kind == CR_OP_VIEW ? sum_parts(s, x, g)
                                                    : x->op->vjp_apart(x, g, j, s->n);
        if (!each)
            s->mixed = true;
        if (!each || !arrive_each(s, in, each))
            return false;
    }
    s->walk.wasteful = true;
    return true;
}

/* g [n, ..] of a view that moves all elements and repeats none, as of its input: its dims in the
 * order in which they lie. NULL: it is another. */
static cr_tensor *undo_view(const samples *s, const cr_tensor *x, cr_tensor *g)
{
    const cr__view_info *info = x->op->kind == CR_OP_VIEW ? x->op->internal : NULL;
    const cr_tensor *in = info ? cr__input(x, 0) : NULL;
    cr__layout layout;
    cr_dims order = { .n = 1, .given = true }, to;
    int64_t stride = 1;
    if (!info || in->shape->numel != x->shape->numel || in->shape->ndim >= CR_MAX_DIMS ||
        x->shape->ndim >= CR_MAX_DIMS)
        return NULL;
    cr__layout_init(&layout, in->shape);
    if (!info->view(x, &layout) || layout.ndim != x->shape->ndim || layout.offset)
        return NULL;
    for (int d = 0; d < layout.ndim; d++) {
        int at = order.n++;
        for (; at > 1 && layout.strides[order.v[at - 1] - 1] < layout.strides[d]; at--)
            order.v[at] = order.v[at - 1];
        order.v[at] = d + 1;
    }
    for (int i = order.n; i-- > 1;) {
        const int d = (int)order.v[i] - 1;
        if (layout.dims[d] != 1 && layout.strides[d] != stride)
            return NULL;
        stride *= layout.dims[d];
    }
    to = cr_shape(in);
    memmove(to.v + 1, to.v, sizeof *to.v * (CR_MAX_DIMS - 1));
    to.v[0] = s->n;
    to.n++;
    return cr_reshape_at(cr_permute_at(g, order, s->opts->site), to, s->opts->site);
}

/* From x, which is shared: sample by sample, unless it is a plain view. */
static bool go_down_each(samples *s, cr_tensor *x, cr_tensor *g, cr_tensor **down)
{
    const char *site = s->opts->site;
    cr_tensor *moved = undo_view(s, x, g);
    if (s->walk.ctx->status != CR_OK)
        return false;
    if (moved)
        return arrive_each(s, cr__input(x, 0), moved);
    const size_t n = (size_t)s->n, n_inputs = (size_t)x->n_inputs;
    cr_tensor **rows = cr__pooled_new(s->walk.ctx, n * n_inputs * sizeof *rows);
    bool done = rows != NULL;
    for (size_t k = 0; k < n && done; k++) {
        cr_tensor *part = cr_select_at(g, 0, (int64_t)k, site);
        done = part && call_vjp(s, x, part, down);
        for (size_t j = 0; j < n_inputs && done; j++)
            rows[j * n + k] = down[j];
    }
    for (size_t j = 0; j < n_inputs && done; j++) {
        const cr_tensor *in = cr__input(x, (int)j);
        if (in && in->walk && rows[j * n])
            done = arrive_each(s, in, cr_stack_at(rows + j * n, (int)n, 0, site));
    }
    cr__pooled_free(rows);
    return done;
}

static bool go_all_the_way(samples *s)
{
    cr__walk *walk = &s->walk;
    for (size_t i = 0; i < walk->n; i++) {
        cr_tensor *x = walk->nodes[i], *g = walk->cotangents[i], *each = s->each[i];
        if (x->flags & CR__VERSION) {
            s->mixed |= g != NULL;
            continue;
        }
        bool wanted = false;
        for (int j = 0; j < x->n_inputs && !wanted; j++) {
            const cr_tensor *in = cr__input(x, j);
            wanted = in && in->walk;
        }
        if (!wanted || !(g || each))
            continue;
        cr_tensor *few[4], **down = few;
        if (x->n_inputs > 4 &&
            !(down = cr__pooled_new(walk->ctx, (size_t)x->n_inputs * sizeof *down)))
            return false;
        bool done =
            (!g || go_down(s, x, g, down)) && (!each || go_down_each(s, x, each, down));
        if (down != few)
            cr__pooled_free(down);
        if (!done)
            return false;
    }
    return !s->mixed;
}

/* What has arrived at the xs; a leaf's values together. */
static bool hand_out_each(samples *s, cr_tensor *const *xs, int n_xs, cr_tensor **found)
{
    const cr__walk *walk = &s->walk;
    for (int j = 0; j < n_xs; j++) {
        const cr_tensor *x = cr__resolve(xs[j]);
        found[j] = NULL;
        if (!(xs[j]->flags & CR__HANDLE) && x->walk) {
            s->mixed |= walk->cotangents[x->walk - 1] != NULL;
            found[j] = s->each[x->walk - 1];
        }
        for (size_t i = walk->n; i-- > 0 && xs[j]->flags & CR__HANDLE;) {
            const cr_tensor *end = walk->nodes[i];
            if (!(end->flags & CR__VERSION) || end->leaf != xs[j]->leaf || !s->each[i])
                continue;
            found[j] = found[j] ? cr_add_at(cr_arg_tensor(found[j]),
                                            cr_arg_tensor(s->each[i]), s->opts->site)
                                : s->each[i];
            if (!found[j])
                return false;
        }
        if (found[j])
            found[j]->flags |= CR__KEEP;
    }
    return !s->mixed;
}

/* In one walk; false with the error, or if samples mix. */
static bool walk_samples(samples *s, cr_tensor *loss, cr_tensor *const *xs,
                         cr_tensor **nodes, int n_xs, cr_tensor **found)
{
    cr__walk *walk = &s->walk;
    cr_ctx *ctx = loss->ctx;
    const char *site = s->opts->site;
    cr_tensor *start = cr_full_like_at(loss, cr_arg_int(1), site);
    cr__walk_begin(walk, ctx, s->opts->create_graph, sample_name, site);
    bool done = start && cr__walk_root(walk, loss) && cr__walk_collect(walk);
    if (done)
        cr__walk_prune(walk, nodes, xs, (size_t)n_xs);
    memset(found, 0, (size_t)n_xs * sizeof *found);
    if (done && loss->walk) {
        const size_t bytes = walk->n * sizeof *s->each;
        s->each = cr__pooled_new(ctx, bytes);
        done = s->each && memset(s->each, 0, bytes) && cr__walk_seed(walk, loss, start) &&
               go_all_the_way(s) && hand_out_each(s, xs, n_xs, found);
    }
    done = done && ctx->status == CR_OK;
    cr__walk_end(walk, done && !s->opts->retain_graph && !s->opts->create_graph);
    cr__pooled_free(s->each);
    return done;
}

/* ---- a pass for each loss ---- */

static bool loop_over(const samples *s, cr_tensor *loss, cr_tensor *const *xs, int n_xs,
                      cr_tensor **found)
{
    cr_ctx *ctx = loss->ctx;
    const size_t n = (size_t)s->n, width = (size_t)n_xs;
    cr_tensor **rows = cr__pooled_new(ctx, (n + 1) * width * sizeof *rows),
              **row = rows ? rows + n * width : NULL;
    bool done = rows != NULL;
    for (size_t k = 0; k < n && done; k++) {
        cr_tensor *start = cr__unit_vector(loss, (int64_t)k, s->opts->site);
        cr_gradients_opts opts = { .site = s->opts->site,
                                   .cotangents = &start,
                                   .create_graph = s->opts->create_graph,
                                   .retain_graph = s->opts->retain_graph || k + 1 < n,
                                   .allow_unused = true };
        done = start && cr_gradients_at(&loss, 1, xs, n_xs, row, opts) == CR_OK;
        for (size_t j = 0; j < width && done; j++)
            rows[j * n + k] = row[j];
    }
    for (size_t j = 0; j < width && done; j++) {
        found[j] =
            rows[j * n] ? cr_stack_at(rows + j * n, (int)n, 0, s->opts->site) : NULL;
        done = ctx->status == CR_OK;
    }
    cr__pooled_free(rows);
    return done;
}

/* ---- the call ---- */

static bool fill_unused(const samples *s, cr_tensor *const *xs, int n_xs,
                        cr_tensor **found)
{
    for (int j = 0; j < n_xs; j++) {
        cr_dims to = cr_shape(xs[j]);
        cr_make_opts make = { .site = s->opts->site, .dtype = cr_dtype_of(xs[j]) };
        if (found[j])
            continue;
        if (s->opts->strict) {
            cr__grad_fail(xs[j]->ctx, CR_ERR_GRAD, sample_name, s->opts->site, NULL,
                          "xs[%d] of shape %s is nothing that a loss depends on", j,
                          cr__shape_text(xs[j]));
            return false;
        }
        memmove(to.v + 1, to.v, sizeof *to.v * (CR_MAX_DIMS - 1));
        to.v[0] = s->n;
        to.n++;
        if (!(found[j] = cr_full_at(xs[j]->ctx, to, cr_arg_int(0), make)))
            return false;
    }
    return true;
}

static bool check_samples(cr_tensor *losses, cr_tensor *const *xs, int n_xs,
                          const cr_product_opts *opts)
{
    cr_ctx *ctx = losses->ctx;
    if (!cr__is_float((cr_dtype)losses->dtype) || losses->shape->ndim != 1) {
        cr__grad_fail(ctx, losses->shape->ndim == 1 ? CR_ERR_GRAD : CR_ERR_SHAPE,
                      sample_name, opts->site,
                      "a loss for each sample, as with .reduction none",
                      "losses is %s %s, no vector of floats",
                      cr_dtype_name((cr_dtype)losses->dtype), cr__shape_text(losses));
        return false;
    }
    if (n_xs < 1 || !xs) {
        cr__grad_fail(ctx, n_xs < 1 ? CR_ERR_ARGUMENT : CR_ERR_NULL, sample_name,
                      opts->site, NULL, "%d xs", n_xs);
        return false;
    }
    for (int j = 0; j < n_xs; j++) {
        if (!cr__usable(ctx, xs[j], sample_name, opts->site))
            return false;
        if (cr__is_float((cr_dtype)xs[j]->dtype) && xs[j]->shape->ndim < CR_MAX_DIMS)
            continue;
        cr__grad_fail(ctx, CR_ERR_GRAD, sample_name, opts->site, NULL,
                      "xs[%d] is %s %s, no float of at most %d dims", j,
                      cr_dtype_name((cr_dtype)xs[j]->dtype), cr__shape_text(xs[j]),
                      CR_MAX_DIMS - 1);
        return false;
    }
    return true;
}

cr_status cr_per_sample_gradients_at(cr_tensor *losses, cr_tensor *const *xs, int n_xs,
                                     cr_tensor **grads, cr_product_opts opts)
{
    if (!cr__usable(NULL, losses, sample_name, opts.site))
        return losses ? cr__refuse(losses->ctx) : CR_ERR_NULL;
    cr_ctx *ctx = losses->ctx;
    CR__STATE_GUARD(ctx, true);
    if (!cr__may_walk(ctx, sample_name, opts.site) ||
        !check_samples(losses, xs, n_xs, &opts))
        return ctx->status;
    samples s = { .opts = &opts, .n = losses->shape->numel };
    const size_t width = (size_t)n_xs;
    cr_tensor **found = cr__pooled_new(ctx, 2 * width * sizeof *found),
              *root = cr__resolve(losses);
    bool done = found != NULL;
    for (int j = 0; j < n_xs && done; j++)
        found[n_xs + j] = cr__resolve(xs[j]);
    if (done)
        memset(found, 0, width * sizeof *found);
    if (done && s.n > 1 && !walk_samples(&s, root, xs, found + n_xs, n_xs, found))
        done = s.mixed && ctx->status == CR_OK && loop_over(&s, losses, xs, n_xs, found);
    else if (done && s.n == 1)
        done = loop_over(&s, losses, xs, n_xs, found);
    done = done && fill_unused(&s, xs, n_xs, found);
    for (int j = 0; j < n_xs && grads; j++)
        grads[j] = done ? found[j] : NULL;
    cr__pooled_free(found);
    return done ? CR_OK : ctx->status;
}
