/* Reductions: sum, amax, amin, argmax, and what is made of them: mean, var, logsumexp.
 * Formulas: chainrule/reductions.h. */
#include "../base/compiler.h"
#include "attrs.h"
#include <float.h>

typedef struct plain_attrs {
    cr__reduce_attrs reduce;
} plain_attrs;

static const cr_attr plain_rows[] = {
    CR__REDUCE_ROWS(plain_attrs),
    CR__ATTRS_END,
};

static cr_tensor *plain(const cr_op *op, cr_tensor *x, const cr_dims *dim,
                        const cr_reduce_opts *opts)
{
    plain_attrs attrs = { { *dim, opts->keepdim } };
    return cr__record_1(op, x, &attrs, opts->site);
}

/* ---- shapes ---- */

static bool is_over(const cr_dims *over, int dim)
{
    for (int i = 0; i < over->n; i++)
        if (over->v[i] == dim)
            return true;
    return false;
}

cr_dims cr__reduced_dims(cr_dims dims, cr_dims over, bool keepdim)
{
    cr_dims out = CR_NO_DIMS;
    for (int d = 0; d < dims.n; d++)
        if (!is_over(&over, d))
            out.v[out.n++] = dims.v[d];
        else if (keepdim)
            out.v[out.n++] = 1;
    return out;
}

int64_t cr__reduced_count(cr_dims dims, cr_dims over)
{
    int64_t count = 1;
    for (int i = 0; i < over.n; i++)
        count *= dims.v[over.v[i]];
    return count;
}

/* Leading dims that were dropped come back by expanding alone. */
cr_tensor *cr__spread(cr_tensor *r, cr_dims dims, const cr__reduce_attrs *attrs)
{
    const cr_dims *over = &attrs->dim;
    bool leading = over->n == 0 || over->v[over->n - 1] == over->n - 1;
    if (!attrs->keepdim && !leading)
        r = cr_reshape(r, cr__reduced_dims(dims, *over, true));
    return cr__expand_to(r, dims);
}

/* Resolves the dims of a reduction: none listed means all, as in PyTorch. */
static bool resolve_over(cr_infer *infer, cr_dims *dims, int ndim)
{
    dims->given = dims->given && dims->n != 0;
    return cr__resolve_dims(infer, dims, ndim);
}

static cr_status reduce_shape(cr_infer *infer)
{
    cr__reduce_attrs *attrs = infer->attrs;
    if (!resolve_over(infer, &attrs->dim, infer->in_dims[0].n))
        return CR_ERR_ARGUMENT;
    infer->dims = cr__reduced_dims(infer->in_dims[0], attrs->dim, attrs->keepdim);
    return CR_OK;
}

/* An extremum of nothing does not exist. */
static cr_status extremum_shape(cr_infer *infer)
{
    cr_status status = reduce_shape(infer);
    const cr__reduce_attrs *attrs = infer->attrs;
    if (status == CR_OK && cr__reduced_count(infer->in_dims[0], attrs->dim) == 0)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "no elements to choose from in %s",
                           cr__dims_text(infer->ctx, infer->in_dims[0]));
    return status;
}

static cr_status sum_shape(cr_infer *infer)
{
    if (!cr__is_float(infer->dtype))
        infer->dtype = CR_I64;
    return reduce_shape(infer);
}

static cr_status argmax_shape(cr_infer *infer)
{
    cr_status status = extremum_shape(infer);
    const cr__reduce_attrs *attrs = infer->attrs;
    infer->dtype = CR_I64;
    if (status == CR_OK && attrs->dim.n > 1 && attrs->dim.n != infer->in_dims[0].n)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                           "%d dims; it takes one, or all (CR_ALL)", attrs->dim.n);
    return status;
}

/* ---- gradients ---- */

static void sum_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr__spread(g, cr_shape(cr_input(out, 0)), cr_attrs(out));
}

/* Shared evenly by all that are equal to the extremum, or, if that is NaN, by the NaNs. */
static void extremum_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const cr__reduce_attrs *attrs = cr_attrs(out);
    cr_tensor *x = cr_input(out, 0);
    cr_dims dims = cr_shape(x);
    cr_tensor *equal = cr_eq(x, cr__spread(out, dims, attrs));
    cr_tensor *tied = cr_logical_or(equal, cr_ne(x, x));
    cr_tensor *ties = cr_sum(tied, attrs->dim, .keepdim = attrs->keepdim);
    cr_tensor *share = cr_div(g, cr_cast(ties, cr_dtype_of(g)));
    down[0] = cr_where(tied, cr__spread(share, dims, attrs), 0);
}

/* ---- the entries ---- */

#define REDUCE(NAME, SHAPE, VJP, READS, INPUTS, DOC, ...)                     \
    CR__OP(NAME) = {                                                          \
        .name = #NAME,                                                        \
        .doc = DOC,                                                           \
        .kind = CR_OP_REDUCE,                                                 \
        .min_inputs = 1,                                                      \
        .max_inputs = 1,                                                      \
        .inputs = "x",                                                        \
        .attrs = plain_rows,                                                  \
        .attrs_size = sizeof(plain_attrs),                                    \
        .shape = SHAPE,                                                       \
        .vjp = VJP,                                                           \
        .reads = READS,                                                       \
        .internal = &(const cr__reduce_info){ __VA_ARGS__ },                  \
        .samples = CR__SAMPLES({ INPUTS, NULL }, { INPUTS, "dim=-1" },        \
                               { INPUTS, "dim=0,keepdim=true" }),             \
    };                                                                        \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts) \
    {                                                                         \
        return plain(&cr__op_##NAME, x, &dim, &opts);                         \
    }
#define X_AND_OUT (CR_READS_INPUT(0) | CR_READS_OUTPUT)

/* clang-format off */
REDUCE(sum, sum_shape, sum_vjp, 0, "f[3,4]", "the sum; of integers and bools an i64",
       .code = CR__REDUCE_sum)
REDUCE(amax, extremum_shape, extremum_vjp, X_AND_OUT, "f[3,4]!", "the largest; NaN wins",
       .code = CR__REDUCE_amax)
REDUCE(amin, extremum_shape, extremum_vjp, X_AND_OUT, "f[3,4]!", "the smallest; NaN wins",
       .code = CR__REDUCE_amin)
REDUCE(argmax, argmax_shape, NULL, 0, "f[3,4]!",
       "the place of the largest, the first of several, or of the first NaN", .place = true)
/* clang-format on */

/* ---- composites ---- */

/* What a composite of x reduces over, resolved: its number of elements, and dims and
 * options for its parts. */
typedef struct extent {
    int64_t count;
    cr_dims dim;
    cr_reduce_opts keep, as_asked;
} extent;

static bool find_extent(cr_ctx *ctx, const cr_op *op, const cr_tensor *x,
                        const cr__reduce_attrs *attrs, extent *e)
{
    cr_infer infer = { .ctx = ctx, .op = op };
    cr_dims dims = attrs->dim;
    if (!resolve_over(&infer, &dims, cr_ndim(x)))
        return false;
    e->count = cr__reduced_count(cr_shape(x), dims);
    e->dim = dims;
    e->keep = (cr_reduce_opts){ .keepdim = true };
    e->as_asked = (cr_reduce_opts){ .keepdim = attrs->keepdim };
    return true;
}

static bool find_float_extent(cr_ctx *ctx, const cr_op *op, const cr_tensor *x,
                              const cr__reduce_attrs *attrs, extent *e)
{
    if (cr__is_float(cr_dtype_of(x)))
        return find_extent(ctx, op, x, attrs, e);
    cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() converts",
                "a %s tensor; it takes floats", cr_dtype_name(cr_dtype_of(x)));
    return false;
}

static cr_tensor *mean_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                              const void *attrs)
{
    const plain_attrs *a = attrs;
    extent e;
    (void)n;
    if (!find_extent(ctx, &cr__op_mean, inputs[0], &a->reduce, &e))
        return NULL;
    cr_tensor *sum = cr_sum_at(inputs[0], e.dim, e.as_asked);
    if (!cr__is_float(cr_dtype_of(sum)))
        sum = cr_cast(sum, CR_F32);
    return cr_div(sum, e.count);
}

typedef struct var_attrs {
    cr__reduce_attrs reduce;
    cr_opt_real correction;
} var_attrs;

/* The mean is subtracted first: sum x^2 - (sum x)^2 / n has no digits left for large
 * means. */
static cr_tensor *var_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                             const void *attrs)
{
    const var_attrs *a = attrs;
    cr_tensor *x = inputs[0];
    extent e;
    (void)n;
    if (!find_float_extent(ctx, &cr__op_var, x, &a->reduce, &e))
        return NULL;
    double freedom = (double)e.count - a->correction.v;
    cr_tensor *distance = cr_sub(x, cr_mean_at(x, e.dim, e.keep));
    return cr_div(cr_sum_at(cr_square(distance), e.dim, e.as_asked),
                  freedom > 0 ? freedom : 0.0);
}

/* m, the largest, is a constant to the gradient: the result does not depend on it. Of
 * -inf alone the sum is 0: m is bounded where it is subtracted and the sum where its
 * logarithm is taken, so that both stay finite, and adding m gives -inf. The gradient is
 * 0 at the bound. */
static cr_tensor *logsumexp_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                   const void *attrs)
{
    const plain_attrs *a = attrs;
    cr_tensor *x = inputs[0];
    extent e;
    (void)n;
    if (!find_float_extent(ctx, &cr__op_logsumexp, x, &a->reduce, &e))
        return NULL;
    if (e.count == 0)
        return cr_log(cr_sum_at(cr_exp(x), e.dim, e.as_asked));
    bool f32 = cr_dtype_of(x) == CR_F32;
    double high = f32 ? (double)FLT_MAX : DBL_MAX, low = f32 ? (double)FLT_MIN : DBL_MIN;
    cr_no_grad_push(ctx);
    cr_tensor *m = cr_amax_at(x, e.dim, e.keep), *bounded = cr_clamp(m, -high, high);
    if (!e.as_asked.keepdim)
        m = cr_reshape(m, cr__reduced_dims(cr_shape(x), e.dim, false));
    cr_no_grad_pop(ctx);
    cr_tensor *sum = cr_sum_at(cr_exp(cr_sub(x, bounded)), e.dim, e.as_asked);
    return cr_add(cr_log(cr_clamp(sum, low, INFINITY)), m);
}

static const cr_attr var_rows[] = {
    CR__REDUCE_ROWS(var_attrs),
    CR__ATTR(var_attrs, correction, OPT_REAL, .initial = "1"),
    CR__ATTRS_END,
};

#define COMPOSITE(NAME, ROWS, ATTRS, DOC)                                  \
    CR__OP(NAME) = {                                                       \
        .name = #NAME,                                                     \
        .doc = DOC,                                                        \
        .kind = CR_OP_COMPOSITE,                                           \
        .min_inputs = 1,                                                   \
        .max_inputs = 1,                                                   \
        .inputs = "x",                                                     \
        .attrs = ROWS,                                                     \
        .attrs_size = sizeof(ATTRS),                                       \
        .expand = NAME##_expand,                                           \
        .samples = CR__SAMPLES({ "f[3,4]", NULL }, { "f[3,4]", "dim=-1" }, \
                               { "f[3,4]", "dim=0,keepdim=true" }),        \
    };
COMPOSITE(mean, plain_rows, plain_attrs, "sum / count; of integers and bools an f32")
COMPOSITE(var, var_rows, var_attrs, "sum (x - mean)^2 / max(0, count - correction)")
COMPOSITE(logsumexp, plain_rows, plain_attrs, "ln sum e^x, without overflow")

cr_tensor *cr_mean_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts)
{
    return plain(&cr__op_mean, x, &dim, &opts);
}

cr_tensor *cr_logsumexp_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts)
{
    return plain(&cr__op_logsumexp, x, &dim, &opts);
}

cr_tensor *cr_var_at(cr_tensor *x, cr_dims dim, cr_var_opts opts)
{
    var_attrs attrs = { { dim, opts.keepdim }, opts.correction };
    cr__attrs_fill(NULL, &cr__op_var, &attrs);
    return cr__record_1(&cr__op_var, x, &attrs, opts.site);
}
