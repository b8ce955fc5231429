/* The gradients of every operation of a graph, at its own values: what the vjp of each gives
 * against differences along a random direction, which take two evaluations however many elements
 * there are. Where they differ the direction is halved until one element is left; that is
 * reported, unless the operation is not differentiable there. Library operations are checked in
 * f64, on copies; others in the types that they were recorded with. */
#include "grad.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char verify_name[] = "verify_graph";

/* So many elements at which it is not differentiable are passed over in one input. */
#define MOST_KINKS 64

/* One operation; its float inputs as plain memory. */
typedef struct subject {
    cr_ctx *ctx;
    const cr_verify_opts *opts;
    const cr_tensor *node;
    bool wide; /* in f64 */
    int n;
    double **values;              /* of the inputs; NULL: no float */
    double *gradient, *direction; /* of one of them */
    double *high, *low;           /* the result's elements */
    double h;                     /* the step along the direction */
} subject;

/* ---- evaluating ---- */

static cr_dtype dtype_in(const subject *s, const cr_tensor *in)
{
    return s->wide ? CR_F64 : (cr_dtype)in->dtype;
}

/* The i-th input from its values; a leaf, if it is asked for. */
static cr_tensor *make_input(const subject *s, int i, bool leaf)
{
    const cr_tensor *in = cr__input(s->node, i);
    const char *site = s->opts->site;
    cr_tensor *x = cr_from_at(s->ctx, CR_F64, cr_shape(in), s->values[i], NULL, site);
    if (x && dtype_in(s, in) != CR_F64)
        x = cr_cast_at(x, dtype_in(s, in), site);
    return x && leaf ? cr_requires_grad_at(x, true, site) : x;
}

/* The operation on copies of its inputs; xs[i] is the one of input i, if that has values. */
static cr_tensor *apply_subject(const subject *s, bool leaf, cr_tensor **xs)
{
    const cr_tensor *node = s->node;
    cr_arg *operands = cr__pooled_new(s->ctx, ((size_t)s->n + 1) * sizeof *operands);
    cr_tensor *y = NULL;
    bool done = operands != NULL;
    for (int i = 0; i < s->n && done; i++) {
        operands[i] = cr__operand(node, i);
        xs[i] = NULL;
        if (s->values[i])
            operands[i] = cr_arg_tensor(xs[i] = make_input(s, i, leaf));
        else if (operands[i].kind == CR_ARG_NONE)
            operands[i] = cr_arg_tensor(NULL);
        done = !s->values[i] || xs[i];
    }
    for (int i = 0; i < s->n && done; i++)
        if (xs[i])
            operands[i].v.tensor = cr__resolve(xs[i]);
    if (done)
        y = cr__record_again(node, operands, s->wide ? CR_F64 : (cr_dtype)node->dtype);
    cr__pooled_free(operands);
    return y;
}

static bool read_wide(const subject *s, cr_tensor *x, double *to)
{
    cr_tensor *wide = x ? cr_cast_at(x, CR_F64, s->opts->site) : NULL;
    size_t bytes = (size_t)(x ? cr__numel(x) : 0) * sizeof *to;
    return wide && cr_read_at(wide, to, bytes, NULL, s->opts->site) == CR_OK;
}

static bool evaluate_subject(const subject *s, cr_tensor **xs, double *to)
{
    if (cr_scope_push(s->ctx))
        return false;
    cr_no_grad_push(s->ctx);
    bool done = read_wide(s, apply_subject(s, false, xs), to);
    cr_no_grad_pop(s->ctx);
    return cr_scope_pop(s->ctx) == CR_OK && done;
}

/* ---- by the vjp ---- */

/* What is differentiated is the sum of the elements, each with its weight. */
static cr_tensor *make_weights_for(const subject *s, cr_tensor *y)
{
    double *values = cr__alloc(s->ctx, ((size_t)cr__numel(y) + 1) * sizeof *values);
    if (!values)
        return NULL;
    for (int64_t k = 0; k < cr__numel(y); k++)
        values[k] = cr__check_weight(0, k);
    cr_tensor *w = cr_from_at(s->ctx, CR_F64, cr_shape(y), values, NULL, s->opts->site);
    cr__free(s->ctx, values);
    return w ? cr_cast_at(w, (cr_dtype)y->dtype, s->opts->site) : NULL;
}

static bool take_gradient(subject *s, cr_tensor **xs, int input)
{
    if (cr_scope_push(s->ctx))
        return false;
    cr_tensor *g = NULL, *w, *y = apply_subject(s, true, xs);
    cr_gradients_opts opts = { .site = s->node->site,
                               .cotangents = &w,
                               .allow_unused = true };
    bool done = y && (w = make_weights_for(s, y)) &&
                cr_gradients_at(&y, 1, &xs[input], 1, &g, opts) == CR_OK;
    if (done && g)
        done = read_wide(s, g, s->gradient);
    else if (done)
        memset(s->gradient, 0, (size_t)cr__numel(xs[input]) * sizeof(double));
    return cr_scope_pop(s->ctx) == CR_OK && done;
}

/* ---- by differences ---- */

/* Elements from begin to end of an input move along their direction. */
static bool slope_along(subject *s, cr_tensor **xs, int input, int64_t begin, int64_t end,
                        double h, double *slope)
{
    double *x = s->values[input];
    const size_t bytes = (size_t)(end - begin) * sizeof *x;
    double *at = cr__alloc(s->ctx, bytes + 1);
    bool done = at != NULL;
    *slope = 0;
    for (int side = 0; side < 2 && done; side++) {
        if (!side)
            memcpy(at, x + begin, bytes);
        for (int64_t k = begin; k < end; k++)
            x[k] = at[k - begin] + (side ? -h : h) * s->direction[k];
        done = evaluate_subject(s, xs, side ? s->low : s->high);
        memcpy(x + begin, at, bytes);
    }
    for (int64_t k = 0; k < s->node->shape->numel && done; k++)
        *slope += cr__check_weight(0, k) * ((s->high[k] - s->low[k]) / (2 * h));
    cr__free(s->ctx, at);
    return done;
}

/* Whether the vjp and differences differ along that part of the direction. */
static bool differs(subject *s, cr_tensor **xs, int input, int64_t begin, int64_t end,
                    bool *done)
{
    double slope, sum = 0, size = 0;
    *done = slope_along(s, xs, input, begin, end, s->h, &slope);
    for (int64_t k = begin; k < end; k++) {
        double part = s->gradient[k] * s->direction[k];
        sum += part;
        size += fabs(part);
    }
    const double rtol = s->wide ? 1e-6 : 1e-2, atol = s->wide ? 1e-7 : 1e-3;
    return *done && !(fabs(sum - slope) <= atol + rtol * size);
}

/* ---- one element ---- */

typedef enum verdict { RIGHT, WRONG, NOT_DIFFERENTIABLE, UNKNOWN } verdict;

/* The slope of one element to one side (or, with both 1, of both), with this step. */
static bool slope_of(subject *s, cr_tensor **xs, int input, int64_t k, double above,
                     double below, double *slope)
{
    double *x = &s->values[input][k];
    const double at = *x;
    *x = at + above;
    bool done = evaluate_subject(s, xs, s->high);
    *x = at - below;
    done = done && evaluate_subject(s, xs, s->low);
    *x = at;
    *slope = 0;
    for (int64_t e = 0; e < s->node->shape->numel && done; e++)
        *slope += cr__check_weight(0, e) * ((s->high[e] - s->low[e]) / (above + below));
    return done;
}

static bool is_close(const subject *s, double a, double b)
{
    const double atol = s->opts->atol, rtol = s->opts->rtol;
    return isfinite(a) && isfinite(b) && fabs(a - b) <= atol + rtol * fabs(b);
}

/* With the steps of any of three sizes that fits. Where it is not differentiable the slopes of
 * the two sides differ, whatever the step. */
static verdict judge(subject *s, cr_tensor **xs, int input, int64_t k, double *slope)
{
    static const double wide_steps[] = { 1e-6, 1e-4, 1e-8 },
                        narrow_steps[] = { 1e-2, 1e-3, 1e-1 };
    const double *steps = s->wide ? wide_steps : narrow_steps;
    const double size = fmax(1, fabs(s->values[input][k]));
    bool one_sided = true, finite = false;
    for (int i = 0; i < 3; i++) {
        double h = steps[i] * size, both, right, left;
        if (!slope_of(s, xs, input, k, h, h, &both))
            return UNKNOWN;
        if (is_close(s, s->gradient[k], both))
            return RIGHT;
        if (!slope_of(s, xs, input, k, h, 0, &right) ||
            !slope_of(s, xs, input, k, 0, h, &left))
            return UNKNOWN;
        one_sided =
            one_sided && !(fabs(right - left) <=
                           10 * s->opts->atol + 0.01 * fmax(fabs(right), fabs(left)));
        finite = finite || isfinite(both);
        if (i == 0)
            *slope = both;
    }
    return one_sided || !finite ? NOT_DIFFERENTIABLE : WRONG;
}

static void fail_element(const subject *s, int input, int64_t k, double slope)
{
    const cr_tensor *node = s->node, *in = cr__input(node, input);
    cr_dims place = cr_shape(in);
    int64_t rest = k;
    char name[64];
    for (int d = place.n; d-- > 0; rest /= in->shape->dims[d])
        place.v[d] = rest % in->shape->dims[d];
    cr__input_text(node->op, input, name, sizeof name);
    cr_fail(
        s->ctx, CR_ERR_GRAD,
        "%s: %s%s%s (%s): %s of shape %s, element %s, which is %.9g: the vjp gives %.9g, "
        "finite differences %.9g (%s)",
        verify_name, node->op->name, node->within ? ", part of " : "",
        node->within ? node->within->name : "", node->site, name, cr__shape_text(in),
        cr__dims_text(s->ctx, place), s->values[input][k], s->gradient[k], slope,
        cr_dtype_name(dtype_in(s, in)));
}

/* The first element of the part that differs, by halving. */
static int64_t find_element(subject *s, cr_tensor **xs, int input, int64_t begin,
                            int64_t end, bool *done)
{
    while (end - begin > 1 && *done) {
        int64_t middle = begin + (end - begin) / 2;
        if (differs(s, xs, input, begin, middle, done))
            end = middle;
        else
            begin = middle;
    }
    return begin;
}

/* Random, and 0 where a kink that the operation declares is near. */
static void choose_direction(subject *s, int input, int64_t numel)
{
    s->h = s->wide ? 1e-6 : 1e-2;
    for (int64_t k = 0; k < numel; k++) {
        double x = s->values[input][k], size = fmax(1, fabs(x));
        s->direction[k] = cr__check_weight(1, k) * size;
        if (!isfinite(x))
            s->direction[k] = 0;
        for (const char *p = s->node->op->kinks; p && *p;) {
            char *end;
            double kink = strtod(p, &end);
            if (end == p)
                break;
            if (fabs(x - kink) < 10 * s->h * size)
                s->direction[k] = 0;
            p = *end ? end + 1 : end;
        }
    }
}

static bool check_subject_input(subject *s, cr_tensor **xs, int input)
{
    const int64_t numel = cr__input(s->node, input)->shape->numel;
    const size_t bytes = ((size_t)numel + 1) * sizeof(double);
    s->gradient = cr__alloc(s->ctx, bytes);
    s->direction = cr__alloc(s->ctx, bytes);
    bool done = s->gradient && s->direction && take_gradient(s, xs, input);
    if (done)
        choose_direction(s, input, numel);
    for (int kinks = 0; done && kinks < MOST_KINKS && numel; kinks++) {
        double slope = 0;
        if (!differs(s, xs, input, 0, numel, &done))
            break;
        int64_t k = find_element(s, xs, input, 0, numel, &done);
        verdict found = done ? judge(s, xs, input, k, &slope) : UNKNOWN;
        if (found == WRONG)
            fail_element(s, input, k, slope);
        done = done && (found == RIGHT || found == NOT_DIFFERENTIABLE);
        s->direction[k] = 0;
    }
    cr__free(s->ctx, s->gradient);
    cr__free(s->ctx, s->direction);
    return done && s->ctx->status == CR_OK;
}

/* ---- one operation ---- */

/* Whether in is a float that a gradient flows to. */
static bool is_checked(const cr_tensor *node, int i)
{
    const cr_tensor *in = cr__input(node, i);
    return in && in->flags & CR__NEEDS_GRAD && cr__is_float((cr_dtype)in->dtype);
}

/* Library operations know all float types, but for those whose attributes no table describes: they
 * call functions of the user's. What has floats of two types, a cast, is not checked; nor of the
 * user's what is of 16 bits, where no step is small enough. */
static bool can_check(const cr_tensor *node, bool *wide)
{
    const cr_op *op = node->op;
    bool described = cr_op_find(op->name) == op && (op->attrs || !op->attrs_size);
    bool known = op->kind != CR_OP_OPAQUE || described, narrow = false;
    *wide = known;
    for (int i = 0; i < node->n_inputs; i++) {
        const cr_tensor *in = cr__input(node, i);
        if (in && cr__is_float((cr_dtype)in->dtype) && in->dtype != node->dtype)
            return false;
        narrow |= in && cr__is_half((cr_dtype)in->dtype);
    }
    return cr__is_float((cr_dtype)node->dtype) && (known || !narrow);
}

/* A loss may have many operations: they stand beneath it once. */
static bool find_operations(cr_tensor *loss, cr_tensor ***nodes, size_t *n)
{
    cr_ctx *ctx = loss->ctx;
    cr__walk walk;
    bool done;
    cr__walk_begin(&walk, ctx, false, verify_name, NULL);
    done = cr__walk_root(&walk, loss) && cr__walk_collect(&walk);
    *n = 0;
    *nodes = done ? cr__pooled_new(ctx, (walk.n + 1) * sizeof **nodes) : NULL;
    for (size_t i = 0; i < walk.n && *nodes; i++)
        if (!(walk.nodes[i]->flags & CR__VERSION) && walk.nodes[i]->op)
            (*nodes)[(*n)++] = walk.nodes[i];
    cr__walk_end(&walk, false);
    return *nodes != NULL;
}

/* Reads the float inputs in f64, under names of their own, so that none is kept for it. */
static bool read_subject(subject *s)
{
    for (int i = 0; i < s->n; i++) {
        cr_tensor *in = cr__input(s->node, i);
        if (!in || !cr__is_float((cr_dtype)in->dtype))
            continue;
        s->values[i] = cr__alloc(s->ctx, ((size_t)cr__numel(in) + 1) * sizeof(double));
        if (!s->values[i] || cr_scope_push(s->ctx))
            return false;
        bool done = read_wide(s, cr_detach_at(in, s->opts->site), s->values[i]);
        if (cr_scope_pop(s->ctx) || !done)
            return false;
    }
    return true;
}

static bool check_subject(const cr_verify_opts *opts, const cr_tensor *node, bool wide)
{
    cr_ctx *ctx = node->ctx;
    subject s = {
        .ctx = ctx, .opts = opts, .node = node, .wide = wide, .n = node->n_inputs
    };
    const size_t bytes = ((size_t)node->shape->numel + 1) * sizeof(double);
    size_t n = (size_t)s.n + 1;
    cr_tensor **xs = cr__pooled_new(ctx, n * sizeof *xs);
    s.values = cr__pooled_new(ctx, n * sizeof *s.values);
    s.high = cr__alloc(ctx, bytes);
    s.low = cr__alloc(ctx, bytes);
    if (s.values)
        memset(s.values, 0, n * sizeof *s.values);
    bool done = xs && s.values && s.high && s.low && read_subject(&s);
    for (int i = 0; i < s.n && done; i++)
        if (is_checked(node, i))
            done = check_subject_input(&s, xs, i);
    for (int i = 0; i < s.n && s.values; i++)
        cr__free(ctx, s.values[i]);
    cr__free(ctx, s.high);
    cr__free(ctx, s.low);
    cr__pooled_free(s.values);
    cr__pooled_free(xs);
    return done;
}

/* ---- the call ---- */

static bool check_options(cr_ctx *ctx, const cr_verify_opts *opts)
{
    if (opts->atol > 0 && opts->rtol > 0 && isfinite(opts->atol) && isfinite(opts->rtol))
        return true;
    cr__grad_fail(ctx, CR_ERR_ARGUMENT, verify_name, opts->site, NULL,
                  "atol is %g and rtol %g, not above 0 and finite", opts->atol,
                  opts->rtol);
    return false;
}

static bool verify(cr_tensor *loss, const cr_verify_opts *opts)
{
    cr_ctx *ctx = loss->ctx;
    cr_tensor **nodes;
    size_t n;
    bool done = find_operations(loss, &nodes, &n);
    for (size_t i = n; i-- > 0 && done;) {
        bool wide;
        if (can_check(nodes[i], &wide)) {
            cr_verify_opts own = *opts;
            own.atol = opts->atol > 0                      ? opts->atol
                       : wide || nodes[i]->dtype == CR_F64 ? 1e-5
                                                           : 1e-2;
            own.rtol = opts->rtol > 0                      ? opts->rtol
                       : wide || nodes[i]->dtype == CR_F64 ? 1e-3
                                                           : 2e-2;
            done = check_subject(&own, nodes[i], wide || nodes[i]->dtype == CR_F64);
        }
    }
    cr__pooled_free(nodes);
    return done && ctx->status == CR_OK;
}

cr_status cr_verify_graph_at(cr_tensor *loss, cr_verify_opts opts)
{
    char why[512];
    if (!cr__usable(NULL, loss, verify_name, opts.site))
        return loss ? cr__refuse(loss->ctx) : CR_ERR_NULL;
    cr_ctx *ctx = loss->ctx;
    cr_verify_opts given = { .site = opts.site,
                             .atol = opts.atol == 0 ? 1 : opts.atol,
                             .rtol = opts.rtol == 0 ? 1 : opts.rtol };
    CR__STATE_GUARD(ctx, true);
    loss = cr__resolve(loss);
    if (!cr__may_walk(ctx, verify_name, opts.site) || !check_options(ctx, &given))
        return ctx->status;
    if (!(loss->flags & CR__NEEDS_GRAD)) {
        cr_explain_no_grad(loss, why, sizeof why);
        return cr__grad_fail(ctx, CR_ERR_GRAD, verify_name, opts.site, NULL,
                             "it needs no gradient, so there is nothing to verify: %s",
                             why);
    }
    const int no_grad = ctx->no_grad;
    const bool recomputes = ctx->recomputes;
    ctx->no_grad = 0;
    ctx->recomputes = false;
    cr__retain(loss);
    bool done = verify(loss, &opts);
    cr__drop(loss);
    ctx->no_grad = no_grad;
    ctx->recomputes = recomputes;
    return done ? CR_OK : ctx->status;
}
