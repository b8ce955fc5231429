/* Reductions: sum, prod, amax, argmax, any and their kind, and what is made of them: mean, var, std,
 * logsumexp, those that leave out NaN. Formulas: chainrule/reductions.h. */
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

cr_tensor *cr__merged_last(cr_tensor *x, cr_dims over, cr_dims *order)
{
    cr_dims dims = CR_NO_DIMS;
    *order = CR_NO_DIMS;
    for (int d = 0; d < cr_ndim(x); d++)
        if (!is_over(&over, d)) {
            dims.v[dims.n++] = cr_size(x, d);
            order->v[order->n++] = d;
        }
    for (int i = 0; i < over.n; i++)
        order->v[order->n++] = over.v[i];
    cr__dims_insert(&dims, dims.n, cr__reduced_count(cr_shape(x), over));
    return cr_reshape(cr_permute(x, *order), dims);
}

bool cr__resolve_over(cr_infer *infer, cr_dims *dims, int ndim)
{
    dims->given = dims->given && dims->n != 0;
    return cr__resolve_dims(infer, dims, ndim);
}

static cr_status reduce_shape(cr_infer *infer)
{
    cr__reduce_attrs *attrs = infer->attrs;
    if (!cr__resolve_over(infer, &attrs->dim, infer->in_dims[0].n))
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

static cr_status truth_shape(cr_infer *infer)
{
    infer->dtype = CR_BOOL;
    return reduce_shape(infer);
}

static cr_status mean_shape(cr_infer *infer)
{
    if (!cr__is_float(infer->dtype))
        infer->dtype = CR_F32;
    return reduce_shape(infer);
}

/* ---- gradients ---- */

static void sum_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr__spread(g, cr_shape(cr_input(out, 0)), cr_attrs(out));
}

static int64_t count_of(cr_tensor *out)
{
    const cr__reduce_attrs *attrs = cr_attrs(out);
    return cr__reduced_count(cr_shape(cr_input(out, 0)), attrs->dim);
}

static void mean_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    sum_vjp(out, cr_div(g, count_of(out)), down);
}

static void prod_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const cr__reduce_attrs *attrs = cr_attrs(out);
    cr_tensor *x = cr_input(out, 0);
    g = cr__spread(g, cr_shape(x), attrs);
    down[0] = cr_mul(g, cr__cofactors(x, attrs->dim));
}

/* If the value is NaN, those that are NaN are equal to it. */
cr_tensor *cr__shared_by_ties(cr_tensor *x, cr_tensor *value, cr_tensor *g,
                              const cr__reduce_attrs *attrs)
{
    cr_dims dims = cr_shape(x);
    cr_tensor *equal = cr_eq(x, cr__spread(value, dims, attrs));
    cr_tensor *tied = cr_logical_or(equal, cr_ne(x, x));
    cr_tensor *ties = cr_sum(tied, attrs->dim, .keepdim = attrs->keepdim);
    cr_tensor *share = cr_div(g, cr_cast(ties, cr_dtype_of(g)));
    return cr_where(tied, cr__spread(share, dims, attrs), 0);
}

static void extremum_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr__shared_by_ties(cr_input(out, 0), out, g, cr_attrs(out));
}

/* ---- the entries ---- */

#define REDUCE(NAME, INFO, SHAPE, VJP, READS, INPUTS, DOC, ...)                \
    CR__OP(NAME) = {                                                           \
        .name = #NAME,                                                         \
        .doc = DOC,                                                            \
        .kind = CR_OP_REDUCE,                                                  \
        .widens = true,                                                        \
        .min_inputs = 1,                                                       \
        .max_inputs = 1,                                                       \
        .inputs = "x",                                                         \
        .attrs = plain_rows,                                                   \
        .attrs_size = sizeof(plain_attrs),                                     \
        .shape = SHAPE,                                                        \
        .vjp = VJP,                                                            \
        .reads = READS,                                                        \
        .internal = INFO,                                                      \
        .samples = CR__SAMPLES({ INPUTS, NULL }, { INPUTS, "dim=-1" },         \
                               { INPUTS, "dim=0,keepdim=true" }, __VA_ARGS__), \
    };                                                                         \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts)  \
    {                                                                          \
        return plain(&cr__op_##NAME, x, &dim, &opts);                          \
    }
#define KERNEL(...) (&(const cr__reduce_info){ __VA_ARGS__ })
#define X_AND_OUT   (CR_READS_INPUT(0) | CR_READS_OUTPUT)

/* clang-format off */
REDUCE(sum, KERNEL(.code = CR__REDUCE_sum, .ending = CR__AS_SUM), sum_shape, sum_vjp, 0,
       "f[3,4]", "the sum; of integers and bools an i64", { "f[3]=2,-0,0", NULL })
REDUCE(mean, KERNEL(.code = CR__REDUCE_sum, .ending = CR__AS_MEAN), mean_shape, mean_vjp, 0,
       "f[3,4]", "sum / count; of integers and bools an f32", { "f[3]=2,-0,0", NULL })
REDUCE(amax, KERNEL(.code = CR__REDUCE_amax), extremum_shape, extremum_vjp, X_AND_OUT,
       "f[3,4]!", "the largest; NaN wins",
       { "f[2,3]=1,3,3,2,2,0 -> 0,0.5,0.5,0,0,0", NULL },
       { "f[2,3]=1,3,3,2,2,0 -> 0,0.5,0.5,0.5,0.5,0", "dim=1" })
REDUCE(amin, KERNEL(.code = CR__REDUCE_amin), extremum_shape, extremum_vjp, X_AND_OUT,
       "f[3,4]!", "the smallest; NaN wins",
       { "f[2,3]=1,1,3,2,2,nan -> 0,0,0,0,0,1", NULL },
       { "f[2,3]=1,1,3,2,2,nan -> 0.5,0.5,0,0,0,1", "dim=-1" })
REDUCE(argmax, KERNEL(.code = CR__REDUCE_argmax), argmax_shape, NULL, 0, "f[3,4]!",
       "the place of the largest, the first of several, or of the first NaN",
       { "f[2,3]=1,3,3,2,nan,nan", "dim=1" })
REDUCE(argmin, KERNEL(.code = CR__REDUCE_argmin), argmax_shape, NULL, 0, "f[3,4]!",
       "the place of the smallest, the first of several, or of the first NaN",
       { "f[2,3]=3,1,1,2,nan,nan", "dim=1" })
REDUCE(prod, KERNEL(.code = CR__REDUCE_prod), sum_shape, prod_vjp, CR_READS_INPUT(0),
       "f[3,4]", "the product; of integers and bools an i64", { "f[2,3,2]", "dim=[0,2]" },
       { "f[3,3]=0,2,3,0,0,4,1,2,3 -> 6,0,0,0,0,0,6,3,2 -> 5,3,2,4,4,0,5,4,3", "dim=1" },
       { "f[2,0]", "dim=1" })
REDUCE(any, KERNEL(.code = CR__REDUCE_any), truth_shape, NULL, 0, "b[3,4]",
       "whether one is not 0, which NaN is not; of nothing false",
       { "f[2,3]=0,-0,0,0,nan,0", "dim=1" }, { "i[2,0]", "dim=1" })
REDUCE(all, KERNEL(.code = CR__REDUCE_all), truth_shape, NULL, 0, "b[3,4]",
       "whether none is 0, which NaN is not; of nothing true",
       { "f[2,3]=1,nan,2,1,-0,1", "dim=1" }, { "i[2,0]", "dim=1" })
/* clang-format on */

/* ---- squares ---- */

/* The parameter of a reduction of squares: of mean_square what is taken from the count, of
 * rrms eps, of euclidean the divisor. */
typedef struct square_attrs {
    cr__reduce_attrs reduce;
    double correction, eps, divisor;
} square_attrs;

bool cr__takes_floats(cr_ctx *ctx, const cr_op *op, cr_dtype dtype)
{
    if (!cr__is_float(dtype))
        cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() converts",
                    "a %s tensor; it takes floats", cr_dtype_name(dtype));
    return cr__is_float(dtype);
}

static cr_status squares_shape(cr_infer *infer)
{
    return cr__takes_floats(infer->ctx, infer->op, infer->dtype) ? reduce_shape(infer)
                                                                 : CR_ERR_DTYPE;
}

static double freedom_of(double count, double correction)
{
    return count > correction ? count - correction : 0.0;
}

static void end_mean_square(const void *attributes, cr__ending *ending)
{
    const square_attrs *attrs = attributes;
    ending->count = freedom_of(ending->count, attrs->correction);
}

static void end_rrms(const void *attributes, cr__ending *ending)
{
    ending->eps = ((const square_attrs *)attributes)->eps;
}

static void end_euclidean(const void *attributes, cr__ending *ending)
{
    ending->count = ((const square_attrs *)attributes)->divisor;
}

/* g 2 x / count */
static void mean_square_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const square_attrs *attrs = cr_attrs(out);
    cr_tensor *x = cr_input(out, 0);
    double freedom = freedom_of((double)count_of(out), attrs->correction);
    g = cr__spread(cr_div(g, freedom), cr_shape(x), &attrs->reduce);
    down[0] = cr_mul(cr_mul(g, x), 2);
}

/* -g y^3 x / count; of factors that may be large and small, no two of one kind meet. */
static void rrms_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const square_attrs *attrs = cr_attrs(out);
    cr_tensor *x = cr_input(out, 0);
    cr_dims dims = cr_shape(x);
    cr_tensor *y = cr__spread(out, dims, &attrs->reduce);
    g = cr_mul(cr_mul(cr_div(g, -count_of(out)), out), out);
    down[0] = cr_mul(cr__spread(g, dims, &attrs->reduce), cr_mul(x, y));
}

/* g x / (divisor y). At the origin 0, of every order: there x / inf is differentiated. */
static void euclidean_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const square_attrs *attrs = cr_attrs(out);
    cr_tensor *x = cr_input(out, 0);
    cr_dims dims = cr_shape(x);
    cr_tensor *y = cr_where(cr_eq(out, 0), INFINITY, out);
    g = attrs->divisor != 1 ? cr_div(g, attrs->divisor) : g;
    down[0] = cr_mul(cr__spread(g, dims, &attrs->reduce),
                     cr_div(x, cr__spread(y, dims, &attrs->reduce)));
}

#define SQUARES(NAME, VJP, READS, ROW, ENDING, END, DOC)                              \
    CR__OP(NAME) = {                                                                  \
        .name = #NAME,                                                                \
        .doc = DOC,                                                                   \
        .kind = CR_OP_REDUCE,                                                         \
        .widens = true,                                                               \
        .min_inputs = 1,                                                              \
        .max_inputs = 1,                                                              \
        .inputs = "x",                                                                \
        .attrs = CR__ATTRS(CR__REDUCE_ROWS(square_attrs), ROW),                       \
        .attrs_size = sizeof(square_attrs),                                           \
        .shape = squares_shape,                                                       \
        .vjp = VJP,                                                                   \
        .reads = READS,                                                               \
        .internal = KERNEL(.code = CR__REDUCE_squares, .ending = ENDING, .end = END), \
        .samples = CR__SAMPLES({ "f[3,4]", NULL }, { "f[3,4]", "dim=-1" },            \
                               { "f[3,4]", "dim=0,keepdim=true" }),                   \
    };
SQUARES(mean_square, mean_square_vjp, CR_READS_INPUT(0),
        CR__ATTR(square_attrs, correction, REAL, .initial = "0"), CR__AS_MEAN,
        end_mean_square, "sum x^2 / max(0, count - correction)")
SQUARES(rrms, rrms_vjp, X_AND_OUT,
        CR__ATTR(square_attrs, eps, REAL, .initial = "1e-5", .flags = CR_ATTR_POSITIVE),
        CR__AS_RSTD, end_rrms,
        "1 / sqrt(sum x^2 / count + eps): the reciprocal of the root of the mean square")
SQUARES(euclidean, euclidean_vjp, X_AND_OUT,
        CR__ATTR(square_attrs, divisor, REAL, .initial = "1",
                 .flags = CR_ATTR_POSITIONAL),
        CR__AS_ROOT, end_euclidean, "sqrt(sum x^2 / divisor)")

cr_tensor *cr__mean_square(cr_tensor *x, cr_dims dim, bool keepdim, double correction)
{
    square_attrs attrs = { { dim, keepdim }, correction, 0, 0 };
    return cr__record_1(&cr__op_mean_square, x, &attrs, CR_HERE);
}

cr_tensor *cr__rrms(cr_tensor *x, cr_dims dim, double eps)
{
    square_attrs attrs = { { dim, true }, 0, eps, 0 };
    return cr__record_1(&cr__op_rrms, x, &attrs, CR_HERE);
}

cr_tensor *cr__euclidean(cr_tensor *x, cr_dims dim, bool keepdim, double divisor)
{
    square_attrs attrs = { { dim, keepdim }, 0, 0, divisor };
    return cr__record_1(&cr__op_euclidean, x, &attrs, CR_HERE);
}

/* The first mean is a constant to the gradient: what is left does not depend on it. */
cr_tensor *cr__centred(cr_tensor *x, cr_dims dim, cr_tensor **mean)
{
    if (!x)
        return NULL;
    cr_no_grad_push(x->ctx);
    cr_tensor *first = cr_mean(x, dim, .keepdim = true);
    cr_no_grad_pop(x->ctx);
    x = cr_sub(x, first);
    cr_tensor *rest = cr_mean(x, dim, .keepdim = true);
    if (mean)
        *mean = cr_add(first, rest);
    return cr_sub(x, rest);
}

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
    if (!cr__resolve_over(&infer, &dims, cr_ndim(x)))
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
    return cr__takes_floats(ctx, op, cr_dtype_of(x)) && find_extent(ctx, op, x, attrs, e);
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
    return cr__mean_square(cr__centred(x, e.dim, NULL), e.dim, a->reduce.keepdim,
                           a->correction.v);
}

/* No variance between: its root would overflow and vanish long before. */
static cr_tensor *std_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                             const void *attrs)
{
    const var_attrs *a = attrs;
    cr_tensor *x = inputs[0];
    extent e;
    (void)n;
    if (!find_float_extent(ctx, &cr__op_std, x, &a->reduce, &e))
        return NULL;
    return cr__euclidean(cr__centred(x, e.dim, NULL), e.dim, a->reduce.keepdim,
                         freedom_of((double)e.count, a->correction.v));
}

/* m, the largest, is a constant to the gradient: the result does not depend on it. Of
 * -inf alone the sum is 0: m is bounded where it is subtracted and the sum where its
 * logarithm is taken, so that both stay finite, and adding m gives -inf. The gradient is
 * 0 at the bound. Of inf, it is shared by those that are. */
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
    double most = f32 ? (double)FLT_MAX : DBL_MAX,
           least = f32 ? (double)FLT_MIN : DBL_MIN;
    cr_no_grad_push(ctx);
    cr_tensor *m = cr_amax_at(x, e.dim, e.keep), *bounded = cr_maximum(m, -most);
    if (!e.as_asked.keepdim)
        m = cr_reshape(m, cr__reduced_dims(cr_shape(x), e.dim, false));
    cr_no_grad_pop(ctx);
    cr_tensor *sum = cr_sum_at(cr_exp(cr__below_largest(x, bounded)), e.dim, e.as_asked);
    return cr_add(cr_log(cr_clamp(sum, least, INFINITY)), m);
}

static cr_tensor *count_nonzero_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                       const void *attrs)
{
    const plain_attrs *a = attrs;
    (void)ctx, (void)n;
    return cr_sum(cr_ne(inputs[0], 0), a->reduce.dim, .keepdim = a->reduce.keepdim);
}

static cr_tensor *nansum_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                const void *attrs)
{
    const plain_attrs *a = attrs;
    cr_tensor *x = inputs[0];
    (void)ctx, (void)n;
    if (cr__is_float(cr_dtype_of(x)))
        x = cr_where(cr_ne(x, x), 0, x);
    return cr_sum(x, a->reduce.dim, .keepdim = a->reduce.keepdim);
}

static cr_tensor *nanmean_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attrs)
{
    const plain_attrs *a = attrs;
    cr_tensor *x = inputs[0];
    extent e;
    (void)n;
    if (!find_float_extent(ctx, &cr__op_nanmean, x, &a->reduce, &e))
        return NULL;
    cr_tensor *sum = nansum_expand(ctx, inputs, n, attrs);
    cr_tensor *count = cr_sum_at(cr_eq(x, x), e.dim, e.as_asked);
    return cr_div(sum, cr_cast(count, cr_dtype_of(x)));
}

static cr_tensor *max_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                             const void *attrs)
{
    (void)ctx, (void)n, (void)attrs;
    return cr_amax(inputs[0]);
}

static cr_tensor *min_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                             const void *attrs)
{
    (void)ctx, (void)n, (void)attrs;
    return cr_amin(inputs[0]);
}

static const cr_attr var_rows[] = {
    CR__REDUCE_ROWS(var_attrs),
    CR__ATTR(var_attrs, correction, OPT_REAL, .initial = "1"),
    CR__ATTRS_END,
};

#define COMPOSITE(NAME, ROWS, SIZE, DOC, ...) \
    CR__OP(NAME) = {                          \
        .name = #NAME,                        \
        .doc = DOC,                           \
        .kind = CR_OP_COMPOSITE,              \
        .widens = true,                       \
        .min_inputs = 1,                      \
        .max_inputs = 1,                      \
        .inputs = "x",                        \
        .attrs = ROWS,                        \
        .attrs_size = SIZE,                   \
        .expand = NAME##_expand,              \
        .samples = CR__SAMPLES(__VA_ARGS__),  \
    };
#define PLAIN(NAME, DOC, ...)                                                          \
    COMPOSITE(NAME, plain_rows, sizeof(plain_attrs), DOC, { "f[3,4]", NULL },          \
              { "f[3,4]", "dim=-1" }, { "f[3,4]", "dim=0,keepdim=true" }, __VA_ARGS__) \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts)          \
    {                                                                                  \
        return plain(&cr__op_##NAME, x, &dim, &opts);                                  \
    }
#define SPREAD(NAME, DOC)                                                    \
    COMPOSITE(NAME, var_rows, sizeof(var_attrs), DOC, { "f[3,4]", NULL },    \
              { "f[3,4]", "dim=-1" }, { "f[3,4]", "dim=0,keepdim=true" },    \
              { "f[2,3]=1,1,1,4,4,4 -> 0,0,0,0,0,0", "dim=1,correction=0" }) \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, cr_dims dim, cr_var_opts opts)   \
    {                                                                        \
        var_attrs attrs = { { dim, opts.keepdim }, opts.correction };        \
        cr__attrs_fill(NULL, &cr__op_##NAME, &attrs);                        \
        return cr__record_1(&cr__op_##NAME, x, &attrs, opts.site);           \
    }
#define WHOLE(NAME, DOC, ...)                                       \
    COMPOSITE(NAME, NULL, 0, DOC, { "f[3,4]!", NULL }, __VA_ARGS__) \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, const char *site)       \
    {                                                               \
        return cr__record_1(&cr__op_##NAME, x, NULL, site);         \
    }

/* clang-format off */
SPREAD(var, "sum (x - mean)^2 / max(0, count - correction)")
SPREAD(std, "sqrt(sum (x - mean)^2 / max(0, count - correction))")
PLAIN(logsumexp, "ln sum e^x, without overflow", { "f[2,3]{-300,300}", "dim=1" })
PLAIN(count_nonzero, "how many are not 0, which NaN is not: an i64", { "f[3]=0,nan,-0", NULL })
PLAIN(nansum, "the sum of what is not NaN; of integers and bools an i64",
      { "f[2,3]=2,nan,-1,nan,nan,nan -> 1,0,1,0,0,0", "dim=1" })
PLAIN(nanmean, "the mean of what is not NaN",
      { "f[2,3]=2,nan,-1,nan,nan,nan -> 0.5,0,0.5,0,0,0", "dim=1" })
WHOLE(max, "the largest of all; NaN wins", { "f[4]=1,3,2,3 -> 0,0.5,0,0.5", NULL })
WHOLE(min, "the smallest of all; NaN wins", { "f[4]=1,nan,1,3 -> 0,1,0,0", NULL })
/* clang-format on */
