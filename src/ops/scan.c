/* Scans along a dim: cumsum, cumprod, cummax, cummin, logcumsumexp, and the recurrences
 * that their gradients are. Each element of a line follows from the one before it, so a
 * line is one ascending chain, and threads share the lines. Floats are carried in f64,
 * sums of f64 with their rounding errors: what is lost does not grow with the length.
 * Also the products of all others, which are a product's gradient. Formulas:
 * chainrule/scans.h. */
#include "../base/compiler.h"
#include "attrs.h"
#include "opaque.h"
#include <float.h>
#include <math.h>

/* ---- kernels ---- */

/* Up to STRIP neighbouring lines, the elements of each `inner` apart, from the last to
 * the first if `back`. b is the second input, if there is one. */
#define STRIP 64
typedef struct strip {
    const void *a, *b;
    void *out;
    int64_t n, inner;
    bool back;
} strip;
typedef void strip_fn(const strip *s, int64_t width);

/* v[c] is the value of line c so far, w[c] what else it carries. STEP adds element i of A
 * and B to them, `place` in its line and the k-th to come; OUT is the result there. */
#define SCAN(NAME, A, V, W, RESULT, STEP, OUT)                  \
    CR__INLINE void NAME##_lines(const strip *s, int64_t width) \
    {                                                           \
        const A *a = s->a, *b = s->b;                           \
        RESULT *out = s->out;                                   \
        V v[STRIP];                                             \
        W w[STRIP];                                             \
        (void)b, (void)w;                                       \
        for (int64_t c = 0; c < width; c++)                     \
            v[c] = 0, w[c] = 0;                                 \
        for (int64_t k = 0; k < s->n; k++) {                    \
            const int64_t place = s->back ? s->n - 1 - k : k;   \
            for (int64_t c = 0; c < width; c++) {               \
                const int64_t i = place * s->inner + c;         \
                STEP;                                           \
                out[i] = (RESULT)(OUT);                         \
            }                                                   \
        }                                                       \
    }                                                           \
    static void NAME(const strip *s, int64_t width)             \
    {                                                           \
        if (width == 1)                                         \
            NAME##_lines(s, 1);                                 \
        else                                                    \
            NAME##_lines(s, width);                             \
    }

/* w gets what the sum has lost (Knuth's sum of two), unless that is infinite. */
#define SUM_OF_F64                                             \
    const double sum = v[c] + a[i], part = sum - v[c];         \
    const double lost = (v[c] - (sum - part)) + (a[i] - part); \
    v[c] = sum, w[c] = fabs(sum) <= DBL_MAX ? w[c] + lost : 0
#define SUM           v[c] += (double)a[i]
#define PRODUCT       v[c] = k ? v[c] * (double)a[i] : (double)a[i]
#define WHOLE_SUM     v[c] += (uint64_t)a[i]
#define WHOLE_PRODUCT v[c] = k ? v[c] * (uint64_t)a[i] : (uint64_t)a[i]
/* out[i] = b[i] + a[i] out[i - 1], and b[i] + a[i + 1] out[i + 1] from the end. */
#define RECUR v[c] = k ? (double)b[i] + (double)a[i] * v[c] : (double)b[i]
#define RECUR_BACK \
    v[c] = k ? (double)b[i] + w[c] * v[c] : (double)b[i], w[c] = (double)a[i]
/* The last of equals, and of NaNs, which win. */
#define EXTREMUM(BEYOND) \
    if (!k || (BEYOND))  \
    v[c] = a[i], w[c] = place

SCAN(sum_f32, float, double, double, float, SUM, v[c])
SCAN(sum_f64, double, double, double, double, SUM_OF_F64, v[c] + w[c])
SCAN(sum_i64, int64_t, uint64_t, uint64_t, int64_t, WHOLE_SUM, v[c])
SCAN(sum_i32, int32_t, uint64_t, uint64_t, int64_t, WHOLE_SUM, v[c])
SCAN(sum_u8, uint8_t, uint64_t, uint64_t, int64_t, WHOLE_SUM, v[c])
SCAN(prod_f32, float, double, double, float, PRODUCT, v[c])
SCAN(prod_f64, double, double, double, double, PRODUCT, v[c])
SCAN(prod_i64, int64_t, uint64_t, uint64_t, int64_t, WHOLE_PRODUCT, v[c])
SCAN(prod_i32, int32_t, uint64_t, uint64_t, int64_t, WHOLE_PRODUCT, v[c])
SCAN(prod_u8, uint8_t, uint64_t, uint64_t, int64_t, WHOLE_PRODUCT, v[c])
SCAN(recur_f32, float, double, double, float, RECUR, v[c])
SCAN(recur_f64, double, double, double, double, RECUR, v[c])
SCAN(recur_back_f32, float, double, double, float, RECUR_BACK, v[c])
SCAN(recur_back_f64, double, double, double, double, RECUR_BACK, v[c])
#define EXTREMA(T, C, NAN_TOO)                                                        \
    SCAN(max_place_##T, C, C, int64_t, int64_t, EXTREMUM(a[i] >= v[c] NAN_TOO), w[c]) \
    SCAN(min_place_##T, C, C, int64_t, int64_t, EXTREMUM(a[i] <= v[c] NAN_TOO), w[c])
EXTREMA(f32, float, || isnan(a[i]))
EXTREMA(f64, double, || isnan(a[i]))
EXTREMA(i64, int64_t, )
EXTREMA(i32, int32_t, )
EXTREMA(u8, uint8_t, )
SCAN(max_f32, float, float, int64_t, float, EXTREMUM(a[i] >= v[c] || isnan(a[i])), v[c])
SCAN(max_f64, double, double, int64_t, double, EXTREMUM(a[i] >= v[c] || isnan(a[i])),
     v[c])

/* The functions of all dtypes, or of floats. */
#define OF_ALL(NAME)                                      \
    ((strip_fn *const[CR_DTYPES]){ [CR_F32] = NAME##_f32, \
                                   [CR_F64] = NAME##_f64, \
                                   [CR_I64] = NAME##_i64, \
                                   [CR_I32] = NAME##_i32, \
                                   [CR_U8] = NAME##_u8,   \
                                   [CR_BOOL] = NAME##_u8 })
#define OF_FLOATS(NAME) \
    ((strip_fn *const[CR_DTYPES]){ [CR_F32] = NAME##_f32, [CR_F64] = NAME##_f64 })

typedef struct scan_job {
    const cr_kernel *kernel;
    strip_fn *fn;
    cr__lines lines;
    int64_t strips, chunks; /* strips of each outer one */
    bool back;
} scan_job;

/* Whether neighbouring lines are so few, and so short, that they are fetched at once. */
static bool fetches(const cr__lines *l)
{
    return l->inner <= STRIP && l->n <= CR_MAX_FETCH / l->inner;
}

static cr__traits scan_traits(const cr_tensor *out)
{
    const cr__dim_attrs *attrs = out->attrs;
    cr__lines lines = cr__lines_along(cr_shape(out), attrs->dim);
    unsigned all = lines.inner && fetches(&lines) ? CR_READS_INPUTS : 0;
    return (cr__traits){
        .fetched = all, .once = all, .n = out->n_inputs, .never_fails = true
    };
}

static const cr__opaque_info scan_info = { .traits = scan_traits };

/* The strip of the k-th input that begins at its element `first`. */
static const void *strip_data(const scan_job *job, int k, int64_t first, int worker)
{
    const cr_array *x = &job->kernel->in[k];
    const cr__lines *l = &job->lines;
    if (k >= job->kernel->n)
        return NULL;
    return fetches(l) ? cr_array_fetch(x, first, l->n * l->inner, worker)
                      : (const char *)x->data + first * (int64_t)cr_dtype_size(x->dtype);
}

static void scan_chunk(void *arg, int64_t chunk, int worker)
{
    const scan_job *job = arg;
    const cr_kernel *kernel = job->kernel;
    const cr__lines *l = &job->lines;
    int64_t begin, end, out_size = (int64_t)cr_dtype_size(kernel->out.dtype);
    cr__part(l->outer * job->strips, 1, chunk, job->chunks, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        const int64_t column = i % job->strips * STRIP;
        const int64_t first = i / job->strips * l->n * l->inner + column;
        job->fn(&(strip){ .a = strip_data(job, 0, first, worker),
                          .b = strip_data(job, 1, first, worker),
                          .out = (char *)kernel->out.data + first * out_size,
                          .n = l->n,
                          .inner = l->inner,
                          .back = job->back },
                l->inner - column < STRIP ? l->inner - column : STRIP);
    }
}

static cr_status scan(const cr_kernel *kernel, strip_fn *const *fns, bool back)
{
    scan_job job = { .kernel = kernel, .fn = fns[kernel->in[0].dtype], .back = back };
    if (kernel->out.numel == 0)
        return CR_OK;
    job.lines =
        cr__lines_along(kernel->out.dims, ((const cr__dim_attrs *)kernel->attrs)->dim);
    job.strips = (job.lines.inner - 1) / STRIP + 1;
    job.chunks =
        cr__kernel_chunks(kernel, kernel->out.numel, job.lines.outer * job.strips);
    cr_kernel_chunks(kernel, job.chunks, scan_chunk, &job);
    return CR_OK;
}

/* ---- entries ---- */

static cr_status same_shape(cr_infer *infer)
{
    cr__dim_attrs *attrs = infer->attrs;
    return cr__resolve_dim(infer, &attrs->dim, infer->dims.n) ? CR_OK : CR_ERR_ARGUMENT;
}

static cr_status float_shape(cr_infer *infer)
{
    return cr__takes_floats(infer->ctx, infer->op, infer->dtype) ? same_shape(infer)
                                                                 : CR_ERR_DTYPE;
}

static cr_status sum_shape_along(cr_infer *infer)
{
    if (!cr__is_float(infer->dtype))
        infer->dtype = CR_I64;
    return same_shape(infer);
}

static cr_status scan_place_shape(cr_infer *infer)
{
    infer->dtype = CR_I64;
    return same_shape(infer);
}

static cr_tensor *along(const cr_op *op, cr_tensor *x, int64_t dim)
{
    return cr__record_1(op, x, &(cr__dim_attrs){ dim }, CR_HERE);
}

static cr_tensor *recurrence(const cr_op *op, cr_tensor *a, cr_tensor *b, int64_t dim)
{
    cr_tensor *inputs[] = { a, b };
    return cr__record_n(NULL, op, inputs, 2, &(cr__dim_attrs){ dim }, CR_HERE);
}

/* What stands before (or, behind) each element of x along dim: at the end, `edge`. */
static cr_tensor *neighbour(cr_tensor *x, int64_t dim, bool behind, double edge)
{
    const int64_t n = cr_ndim(x) ? cr_size(x, (int)dim) : 1;
    if (n == 0)
        return x;
    if (cr_ndim(x) == 0)
        return cr_full_like(x, edge);
    const int d = (int)dim;
    cr_tensor *rest = cr_slice(x, d, behind ? 1 : 0, behind ? n : n - 1);
    cr_tensor *outside = cr_full_like(cr_slice(x, d, 0, 1), edge);
    return behind ? cr_cat(CR_ARRAY(cr_tensor *, rest, outside), 2, d)
                  : cr_cat(CR_ARRAY(cr_tensor *, outside, rest), 2, d);
}

static int64_t dim_of(const cr_tensor *out)
{
    return ((const cr__dim_attrs *)cr_attrs(out))->dim;
}

static void cumsum_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = along(&cr__op_cumsum_back, g, dim_of(out));
}

static void cumsum_back_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = along(&cr__op_cumsum, g, dim_of(out));
}

/* The product before x times what the rest makes of it: no quotient, so that zeros are no
 * matter. */
static void cumprod_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const int64_t dim = dim_of(out);
    cr_tensor *rest = recurrence(&cr__op_recurrence_back, cr_input(out, 0), g, dim);
    down[0] = cr_mul(neighbour(out, dim, false, 1), rest);
}

static void recurrence_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const int64_t dim = dim_of(out);
    g = recurrence(&cr__op_recurrence_back, cr_input(out, 0), g, dim);
    if (cr_input_needs_grad(out, 0))
        down[0] = cr_mul(neighbour(out, dim, false, 0), g);
    down[1] = g;
}

static void recurrence_back_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const int64_t dim = dim_of(out);
    g = recurrence(&cr__op_recurrence, cr_input(out, 0), g, dim);
    if (cr_input_needs_grad(out, 0))
        down[0] = cr_mul(out, neighbour(g, dim, false, 0));
    down[1] = g;
}

#define X_AND_OUT (CR_READS_INPUT(0) | CR_READS_OUTPUT)
#define SCANS(NAME, INPUTS, N, SHAPE, VJP, READS, FUNCTIONS, BACK, DOC, ...) \
    static cr_status NAME##_kernel(const cr_kernel *kernel)                  \
    {                                                                        \
        return scan(kernel, FUNCTIONS, BACK);                                \
    }                                                                        \
    CR__OP(NAME) = {                                                         \
        .name = #NAME,                                                       \
        .doc = DOC,                                                          \
        .kind = CR_OP_OPAQUE,                                                \
        .widens = true,                                                      \
        .min_inputs = N,                                                     \
        .max_inputs = N,                                                     \
        .inputs = INPUTS,                                                    \
        .attrs = cr__dim_rows,                                               \
        .attrs_size = sizeof(cr__dim_attrs),                                 \
        .shape = SHAPE,                                                      \
        .vjp = VJP,                                                          \
        .reads = READS,                                                      \
        .kernel = NAME##_kernel,                                             \
        .never_fails = true,                                                 \
        .internal = &scan_info,                                              \
        .samples = CR__SAMPLES(__VA_ARGS__),                                 \
    };

/* clang-format off */
SCANS(cumsum, "x", 1, sum_shape_along, cumsum_vjp, 0, OF_ALL(sum), false,
      "the sums up to each element along dim; of integers and bools i64",
      { "f[3,4]", "dim=0" }, { "f[3,4]", "dim=-1" }, { "f[2,3,2]", "dim=1" },
      { "f[]", "dim=0" }, { "f[0,3]", "dim=0" },
      { "f[5]~=1e300,1,-1e300,inf,1", "dim=0" })
SCANS(cumsum_back, "x", 1, sum_shape_along, cumsum_back_vjp, 0, OF_ALL(sum), true,
      "the sums from each element on along dim", { "f[3,4]", "dim=0" },
      { "f[3,4]", "dim=-1" })
SCANS(cumprod, "x", 1, sum_shape_along, cumprod_vjp, X_AND_OUT, OF_ALL(prod), false,
      "the products up to each element along dim; of integers and bools i64",
      { "f[3,4]", "dim=0" }, { "f[3,4]", "dim=-1" }, { "f[]", "dim=0" },
      { "f[2,0]", "dim=1" },
      { "f[4]=2,0,3,5 -> 1,38,0,0 -> 19,37,12,6", "dim=0" },
      { "f[4]=2,0,0,5 -> 1,2,0,0 -> 1,13,12,0", "dim=0" })
SCANS(recurrence, "a,b", 2, float_shape, recurrence_vjp, X_AND_OUT, OF_FLOATS(recur),
      false, "y[i] = b[i] + a[i] y[i-1] along dim", { "f[3,4] f[3,4]", "dim=0" },
      { "f[3,4] f[3,4]", "dim=-1" }, { "f[] f[]", "dim=0" })
SCANS(recurrence_back, "a,b", 2, float_shape, recurrence_back_vjp, X_AND_OUT,
      OF_FLOATS(recur_back), true, "y[i] = b[i] + a[i+1] y[i+1] along dim",
      { "f[3,4] f[3,4]", "dim=0" }, { "f[3,4] f[3,4]", "dim=-1" }, { "f[] f[]", "dim=0" })
SCANS(cummax_place, "x", 1, scan_place_shape, NULL, 0, OF_ALL(max_place), false,
      "the place of the largest so far along dim, the last of several, or of NaNs",
      { "f[3,4]!", "dim=0" }, { "f[6]=1,1,0,nan,2,nan", "dim=0" }, { "f[]", "dim=-1" })
SCANS(cummin_place, "x", 1, scan_place_shape, NULL, 0, OF_ALL(min_place), false,
      "the place of the smallest so far along dim, the last of several, or of NaNs",
      { "f[3,4]!", "dim=0" }, { "f[6]=1,1,2,nan,0,nan", "dim=0" }, { "f[]", "dim=-1" })
SCANS(running_max, "x", 1, float_shape, NULL, 0, OF_FLOATS(max), false,
      "the largest so far along dim; NaN wins", { "f[3,4]~", "dim=0" },
      { "f[3,4]~", "dim=1" })
/* clang-format on */

#define ALONG(NAME)                                                            \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, int dim, const char *site)         \
    {                                                                          \
        return cr__record_1(&cr__op_##NAME, x, &(cr__dim_attrs){ dim }, site); \
    }
ALONG(cumsum)
ALONG(cumprod)

/* ---- cummax, cummin: a place for each element, and what is there ---- */

#define EXTREMES(NAME, DOC, ...)                                                         \
    static int NAME##_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,               \
                             const void *attrs, cr_tensor **outputs, int capacity)       \
    {                                                                                    \
        const int64_t dim = ((const cr__dim_attrs *)attrs)->dim;                         \
        (void)ctx, (void)n;                                                              \
        return cr__picked(inputs[0], (int)dim,                                           \
                          along(&cr__op_##NAME##_place, inputs[0], dim), false, outputs, \
                          capacity);                                                     \
    }                                                                                    \
    CR__OP(NAME) = {                                                                     \
        .name = #NAME,                                                                   \
        .doc = DOC,                                                                      \
        .kind = CR_OP_COMPOSITE,                                                         \
        .min_inputs = 1,                                                                 \
        .max_inputs = 1,                                                                 \
        .inputs = "x",                                                                   \
        .attrs = cr__dim_rows,                                                           \
        .attrs_size = sizeof(cr__dim_attrs),                                             \
        .expand_all = NAME##_expand,                                                     \
        .samples = CR__SAMPLES({ "f[3,4]!", "dim=0" }, { "f[2,3]!", "dim=-1" },          \
                               { "f[]", "dim=0" }, { "f[0,2]", "dim=0" }, __VA_ARGS__),  \
        .call = "x,dim,.indices",                                                        \
    };                                                                                   \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, int dim, cr_cum_opts opts)                   \
    {                                                                                    \
        return cr__record_pair(&cr__op_##NAME, x, &(cr__dim_attrs){ dim }, opts.indices, \
                               opts.site);                                               \
    }
EXTREMES(cummax,
         "the largest so far along dim, and its place: the last of several; NaN wins",
         { "f[4]=1,3,3,2 -> 1,1,2,0", "dim=0" })
EXTREMES(cummin,
         "the smallest so far along dim, and its place: the last of several; NaN wins",
         { "f[4]=3,1,1,nan -> 1,1,1,1", "dim=0" })

/* ---- logcumsumexp ---- */

/* m, the largest so far, is a constant to the gradient. What has been summed shrinks
 * where m grows. -inf is bounded as in logsumexp. */
static cr_tensor *logcumsumexp_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                      const void *attributes)
{
    cr__dim_attrs attrs = *(const cr__dim_attrs *)attributes;
    cr_infer infer = { .ctx = ctx, .op = &cr__op_logcumsumexp };
    cr_tensor *x = inputs[0];
    (void)n;
    if (!cr__takes_floats(ctx, infer.op, cr_dtype_of(x)) ||
        !cr__resolve_dim(&infer, &attrs.dim, cr_ndim(x)))
        return NULL;
    bool f32 = cr_dtype_of(x) == CR_F32;
    double most = f32 ? (double)FLT_MAX : DBL_MAX,
           least = f32 ? (double)FLT_MIN : DBL_MIN;
    cr_no_grad_push(ctx);
    cr_tensor *m = along(&cr__op_running_max, x, attrs.dim);
    cr_tensor *bounded = cr_maximum(m, -most);
    cr_tensor *before = neighbour(bounded, attrs.dim, false, -most);
    cr_tensor *shrinks = cr_exp(cr__below_largest(before, bounded));
    cr_no_grad_pop(ctx);
    cr_tensor *e = cr_exp(cr__below_largest(x, bounded));
    cr_tensor *sum = recurrence(&cr__op_recurrence, shrinks, e, attrs.dim);
    return cr_add(cr_log(cr_clamp(sum, least, INFINITY)), m);
}

CR__OP(logcumsumexp) = {
    .name = "logcumsumexp",
    .doc = "ln of the sums of e^x up to each element along dim, without overflow",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = cr__dim_rows,
    .attrs_size = sizeof(cr__dim_attrs),
    .expand = logcumsumexp_expand,
    .samples = CR__SAMPLES({ "f[3,4]", "dim=0" }, { "f[3,4]", "dim=-1" },
                           { "f[2,3]{-300,300}", "dim=1" }, { "f[]", "dim=0" },
                           { "f[2,0]", "dim=1" }, { "f[2]=-inf,-inf -> 0,0", "dim=0" },
                           { "f[3]=-inf,0,-inf -> 0,2,0", "dim=0" }),
};
ALONG(logcumsumexp)

/* ---- the products of all others ---- */

/* A factor, or that times a power of two where it is very large or small: *power. */
static double factor_of(double x, int64_t *power)
{
    int exponent = 0;
    if (!(fabs(x) >= 0x1p-200 && fabs(x) <= 0x1p200))
        x = frexp(x, &exponent);
    *power = exponent;
    return x;
}

/* What a line's factors come to: the product of those that are numbers and not 0, times
 * 2^power; how many are 0, infinite, NaN; whether an odd number is negative. */
typedef struct line_factors {
    double product;
    int64_t power, zeros, infinite, nan;
    bool negative;
} line_factors;

static void take_factor(line_factors *f, double x)
{
    int64_t power;
    f->negative ^= signbit(x) != 0;
    if (isnan(x)) {
        f->nan++;
    } else if (x == 0 || isinf(x)) {
        f->zeros += x == 0, f->infinite += x != 0;
    } else {
        f->product *= factor_of(x, &power);
        f->power += power;
        f->product = factor_of(f->product, &power);
        f->power += power;
    }
}

static double without_factor(const line_factors *f, double x)
{
    int64_t zeros = f->zeros - (x == 0), infinite = f->infinite - (isinf(x) != 0), power;
    double sign = f->negative != (signbit(x) != 0) ? -1 : 1;
    if (f->nan - (isnan(x) != 0) || (zeros && infinite))
        return (double)NAN;
    if (zeros || infinite)
        return zeros ? 0 * sign : (double)INFINITY * sign;
    if (x == 0 || isinf(x) || isnan(x))
        x = 1;
    x = f->product / factor_of(x, &power);
    power = f->power - power;
    power = power > 5000 ? 5000 : power < -5000 ? -5000 : power;
    return power ? ldexp(x, (int)power) : x;
}

#define COFACTORS(NAME, T)                                                  \
    static void NAME(const T *x, T *out, int64_t n, int64_t stride)         \
    {                                                                       \
        line_factors f = { .product = 1 };                                  \
        for (int64_t i = 0; i < n; i++)                                     \
            take_factor(&f, (double)x[i * stride]);                         \
        for (int64_t i = 0; i < n; i++)                                     \
            out[i * stride] = (T)without_factor(&f, (double)x[i * stride]); \
    }
COFACTORS(cofactors_f32, float)
COFACTORS(cofactors_f64, double)

static void cofactors_chunk(void *arg, int64_t chunk, int worker)
{
    const scan_job *job = arg;
    const cr__lines *l = &job->lines;
    int64_t begin, end;
    (void)worker;
    cr__part(l->outer * l->inner, 1, chunk, job->chunks, &begin, &end);
    for (int64_t line = begin; line < end; line++) {
        const int64_t first = line / l->inner * l->n * l->inner + line % l->inner;
        const void *x = job->kernel->in[0].data;
        void *out = job->kernel->out.data;
        if (job->kernel->out.dtype == CR_F32)
            cofactors_f32((const float *)x + first, (float *)out + first, l->n, l->inner);
        else
            cofactors_f64((const double *)x + first, (double *)out + first, l->n,
                          l->inner);
    }
}

static cr_status cofactors_kernel(const cr_kernel *kernel)
{
    scan_job job = { .kernel = kernel };
    if (kernel->out.numel == 0)
        return CR_OK;
    job.lines =
        cr__lines_along(kernel->out.dims, ((const cr__dim_attrs *)kernel->attrs)->dim);
    job.chunks = cr__kernel_chunks(kernel, kernel->out.numel * 10,
                                   job.lines.outer * job.lines.inner);
    cr_kernel_chunks(kernel, job.chunks, cofactors_chunk, &job);
    return CR_OK;
}

/* The sum over all others of their cotangent times the product of what is left: with the
 * products before (p) and behind (q) each, p times a recurrence of g q from behind, and q
 * times one of g p. */
static void cofactors_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const int64_t dim = dim_of(out);
    const bool rank_0 = cr_ndim(out) == 0;
    cr_tensor *x = cr_input(out, 0), *back = rank_0 ? x : cr_flip(x, CR_DIMS(dim));
    cr_tensor *p = neighbour(along(&cr__op_cumprod, x, dim), dim, false, 1);
    cr_tensor *q = neighbour(along(&cr__op_cumprod, back, dim), dim, false, 1);
    q = rank_0 ? q : cr_flip(q, CR_DIMS(dim));
    cr_tensor *behind = recurrence(&cr__op_recurrence_back, neighbour(x, dim, false, 0),
                                   cr_mul(g, q), dim);
    cr_tensor *before = recurrence(&cr__op_recurrence, x, cr_mul(g, p), dim);
    down[0] = cr_add(cr_mul(p, neighbour(behind, dim, true, 0)),
                     cr_mul(q, neighbour(before, dim, false, 0)));
}

CR__OP(cofactors) = {
    .name = "cofactors",
    .doc = "the product of all other elements along dim",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = cr__dim_rows,
    .attrs_size = sizeof(cr__dim_attrs),
    .shape = float_shape,
    .vjp = cofactors_vjp,
    .reads = CR_READS_INPUT(0),
    .kernel = cofactors_kernel,
    .never_fails = true,
    .samples = CR__SAMPLES({ "f[3,4]", "dim=0" }, { "f[3,4]", "dim=-1" },
                           { "f[]", "dim=0" }, { "f[2,3]=0,2,3,0,0,4", "dim=1" }),
};

/* Several dims become the last one. */
cr_tensor *cr__cofactors(cr_tensor *x, cr_dims over)
{
    if (over.n <= 1)
        return along(&cr__op_cofactors, x, over.n ? over.v[0] : 0);
    cr_dims order = CR_NO_DIMS, back = CR_NO_DIMS;
    cr_tensor *rows = cr__merged_last(x, over, &order);
    rows = along(&cr__op_cofactors, rows, cr_ndim(rows) - 1);
    cr_dims moved = cr_shape(x);
    for (int d = 0; d < order.n; d++) {
        moved.v[d] = cr_size(x, (int)order.v[d]);
        back.v[order.v[d]] = d;
    }
    back.n = order.n;
    return cr_permute(cr_reshape(rows, moved), back);
}
