/* Plain definitions of the operations, in double, loops and libm only: what the library's
 * results are held against. */
#include "op_reference.h"
#include "elementary.h"

double *ref_out(ref_call *c, cr_dtype dtype, cr_dims dims)
{
    c->out = (array){ .dtype = dtype, .dims = dims, .numel = count_of(dims) };
    c->out.dims.given = true;
    return c->out.v = calloc((size_t)c->out.numel + 1, sizeof(double));
}

int ref_dim(const ref_call *c, const char *name, int initial, int ndim)
{
    int dim = (int)attr_real(c->attrs, name, initial);
    return dim < 0 ? dim + ndim : dim;
}

double ref_at(const array *a, const int64_t *index, int n)
{
    return a->v ? a->v[flat_index(index, n, a->dims)] : 0;
}

cr_dims without(cr_dims dims, int dim)
{
    for (int i = dim; i + 1 < dims.n; i++)
        dims.v[i] = dims.v[i + 1];
    dims.n--;
    return dims;
}

cr_dims with(cr_dims dims, int dim, int64_t size)
{
    for (int i = dims.n; i > dim; i--)
        dims.v[i] = dims.v[i - 1];
    dims.v[dim] = size;
    dims.n++;
    return dims;
}

/* ---- element by element ---- */

/* x: the operands; p: the attributes named in the table. */
typedef double ref_scalar(const double *x, const double *p);

#define REF_SCALAR(name, value)                                \
    static double ref_##name(const double *x, const double *p) \
    {                                                          \
        (void)p;                                               \
        return value;                                          \
    }
REF_SCALAR(neg, -x[0])
REF_SCALAR(abs, fabs(x[0]))
REF_SCALAR(sign, (x[0] > 0) - (x[0] < 0))
REF_SCALAR(floor, floor(x[0]))
REF_SCALAR(rint, rint(x[0]))
REF_SCALAR(exp, exp(x[0]))
REF_SCALAR(expm1, expm1(x[0]))
REF_SCALAR(log, log(x[0]))
REF_SCALAR(log1p, log1p(x[0]))
REF_SCALAR(sqrt, sqrt(x[0]))
REF_SCALAR(rsqrt, 1 / sqrt(x[0]))
REF_SCALAR(square, x[0] * x[0])
REF_SCALAR(reciprocal, 1 / x[0])
REF_SCALAR(sin, sin(x[0]))
REF_SCALAR(cos, cos(x[0]))
REF_SCALAR(tanh, tanh(x[0]))
REF_SCALAR(sigmoid, 1 / (1 + exp(-x[0])))
REF_SCALAR(erf, erf(x[0]))
REF_SCALAR(relu, x[0] < 0 ? 0 : x[0])
REF_SCALAR(silu, isinf(x[0]) ? fmax(x[0], 0) : x[0] / (1 + exp(-x[0])))
REF_SCALAR(leaky_relu, x[0] > 0 ? x[0] : p[0] * x[0])
REF_SCALAR(softplus, p[0] * x[0] > p[1] ? x[0] : log1p(exp(p[0] * x[0])) / p[0])
REF_SCALAR(clamp, fmin(fmax(x[0], p[0]), p[1]))
REF_SCALAR(detach, x[0])
REF_SCALAR(require, x[0])
REF_SCALAR(custom, x[0] * x[1])
REF_SCALAR(custom_backward, 2 * x[0] * x[1])
REF_SCALAR(relu_grad, x[1] <= 0 ? 0 : x[0])
REF_SCALAR(tanh_grad, x[0] * (1 - x[1] * x[1]))
REF_SCALAR(sigmoid_grad, x[0] * x[1] * (1 - x[1]))
REF_SCALAR(add, x[0] + x[1])
REF_SCALAR(sub, x[0] - x[1])
REF_SCALAR(mul, x[0] * x[1])
REF_SCALAR(div, x[0] / x[1])
REF_SCALAR(pow, pow(x[0], x[1]))
REF_SCALAR(maximum, x[0] > x[1] ? x[0] : x[1])
REF_SCALAR(minimum, x[0] < x[1] ? x[0] : x[1])
REF_SCALAR(where, x[0] != 0 ? x[1] : x[2])
REF_SCALAR(eq, x[0] == x[1])
REF_SCALAR(ne, x[0] != x[1])
REF_SCALAR(lt, x[0] < x[1])
REF_SCALAR(le, x[0] <= x[1])
REF_SCALAR(gt, x[0] > x[1])
REF_SCALAR(ge, x[0] >= x[1])
REF_SCALAR(logical_and, x[0] != 0 && x[1] != 0)
REF_SCALAR(logical_or, x[0] != 0 || x[1] != 0)
REF_SCALAR(logical_xor, (x[0] != 0) != (x[1] != 0))
REF_SCALAR(fmod, fmod(x[0], x[1]))
REF_SCALAR(remainder, x[0] - x[1] * floor(x[0] / x[1]))
REF_SCALAR(floor_divide, floor(x[0] / x[1]))
REF_SCALAR(logical_not, x[0] == 0)
static double ref_s(double x)
{
    return 1 / (1 + exp(-x));
}

static double ref_phi(double x)
{
    return exp(-x * x / 2) / 2.5066282746310002;
}

/* The argument of the sigmoid in gelu's form with tanh, and its derivative. */
static double ref_v(double x)
{
    return 1.5957691216057308 * (x + 0.044715 * x * x * x);
}

static double ref_v1(double x)
{
    return 1.5957691216057308 * (1 + 3 * 0.044715 * x * x);
}

static double ref_gelu_tanh_slope(double x)
{
    return ref_s(ref_v(x)) + x * ref_v1(x) * ref_s(ref_v(x)) * ref_s(-ref_v(x));
}

static double ref_gelu_tanh_bend(double x)
{
    double s1 = ref_s(ref_v(x)) * ref_s(-ref_v(x)), v1 = ref_v1(x);
    return s1 * (2 * v1 + 6 * 1.5957691216057308 * 0.044715 * x * x -
                 x * v1 * v1 * tanh(ref_v(x) / 2));
}

REF_SCALAR(gelu_erf, isinf(x[0]) ? fmax(x[0], 0) : x[0] * erfc(-x[0] / sqrt(2)) / 2)
REF_SCALAR(rest_of_square, 1 - x[0] * x[0])
REF_SCALAR(atan_slope, 1 / (1 + x[0] * x[0]))
REF_SCALAR(asinh_slope, 1 / hypot(1, x[0]))
REF_SCALAR(bell, exp(-x[0] * x[0]))
REF_SCALAR(erfinv_slope, erfinv_slope(x[0]))
REF_SCALAR(logit_of, log(x[0] / (1 - x[0])))
REF_SCALAR(polygamma, polygamma(x[0], p[0]))
REF_SCALAR(sinc_nth, sinc_nth(x[0], p[0]))
REF_SCALAR(gelu_tanh, isinf(x[0]) ? fmax(x[0], 0) : x[0] * ref_s(ref_v(x[0])))
REF_SCALAR(logistic_grad, x[0] * ref_s(x[1]) * ref_s(-x[1]))
REF_SCALAR(logistic_curve, -x[0] * ref_s(x[1]) * ref_s(-x[1]) * tanh(x[1] / 2))
static double ref_mish_slope(double x)
{
    double w = tanh(log1p(exp(x)));
    return w + x * (1 - w * w) * ref_s(x);
}

static double ref_mish_bend(double x)
{
    double w = tanh(log1p(exp(x))), s = ref_s(x), slope = (1 - w * w) * s;
    return slope * (2 + x * (1 - s - 2 * w * s));
}

REF_SCALAR(mish_grad, x[0] * ref_mish_slope(x[1]))
REF_SCALAR(mish_curve, x[0] * ref_mish_bend(x[1]))
REF_SCALAR(silu_grad, x[0] * ref_s(x[1]) * (1 + x[1] * ref_s(-x[1])))
REF_SCALAR(silu_curve, x[0] * ref_s(x[1]) * ref_s(-x[1]) * (2 - x[1] * tanh(x[1] / 2)))
REF_SCALAR(gelu_erf_grad, x[0] * (erfc(-x[1] / sqrt(2)) / 2 + x[1] * ref_phi(x[1])))
REF_SCALAR(gelu_erf_curve, x[0] * ref_phi(x[1]) * (2 - x[1] * x[1]))
REF_SCALAR(gelu_tanh_grad, x[0] * ref_gelu_tanh_slope(x[1]))
REF_SCALAR(gelu_tanh_curve, x[0] * ref_gelu_tanh_bend(x[1]))
REF_SCALAR(below_largest, isinf(x[0]) && x[0] == x[1] ? 0 : x[0] - x[1])
REF_SCALAR(zero_times, x[0] == 0 ? 0 : x[0] * x[1])

#undef REF_SCALAR

/* An elementwise operation; type 0: the type of the last input. */
typedef struct ref_map {
    const char *name;
    ref_scalar *f;
    cr_dtype type;
    const char *attrs[2];
    double initial[2];
} ref_map;

static const ref_map ref_maps[] = {
    { .name = "neg", .f = ref_neg },
    { .name = "abs", .f = ref_abs },
    { .name = "sign", .f = ref_sign },
    { .name = "floor", .f = ref_floor },
    { .name = "rint", .f = ref_rint },
    { .name = "exp", .f = ref_exp },
    { .name = "expm1", .f = ref_expm1 },
    { .name = "log", .f = ref_log },
    { .name = "log1p", .f = ref_log1p },
    { .name = "sqrt", .f = ref_sqrt },
    { .name = "rsqrt", .f = ref_rsqrt },
    { .name = "square", .f = ref_square },
    { .name = "reciprocal", .f = ref_reciprocal },
    { .name = "sin", .f = ref_sin },
    { .name = "cos", .f = ref_cos },
    { .name = "tanh", .f = ref_tanh },
    { .name = "sigmoid", .f = ref_sigmoid },
    { .name = "erf", .f = ref_erf },
    { .name = "relu", .f = ref_relu },
    { .name = "silu", .f = ref_silu },
    { .name = "rest_of_square", .f = ref_rest_of_square },
    { .name = "atan_slope", .f = ref_atan_slope },
    { .name = "asinh_slope", .f = ref_asinh_slope },
    { .name = "bell", .f = ref_bell },
    { .name = "erfinv_slope", .f = ref_erfinv_slope },
    { .name = "logit_of", .f = ref_logit_of },
    { "polygamma", ref_polygamma, 0, { "n" }, { 1 } },
    { "sinc_nth", ref_sinc_nth, 0, { "n" }, { 1 } },
    { "leaky_relu", ref_leaky_relu, 0, { "negative_slope" }, { 0.01 } },
    { "softplus", ref_softplus, 0, { "beta", "threshold" }, { 1, 20 } },
    { "clamp", ref_clamp, 0, { "min", "max" }, { -INFINITY, INFINITY } },
    { .name = "detach", .f = ref_detach },
    { .name = "require", .f = ref_require },
    { .name = "custom", .f = ref_custom },
    { .name = "custom_backward", .f = ref_custom_backward },
    { .name = "relu_grad", .f = ref_relu_grad },
    { .name = "tanh_grad", .f = ref_tanh_grad },
    { .name = "logistic", .f = ref_sigmoid },
    { .name = "gelu_erf", .f = ref_gelu_erf },
    { .name = "gelu_tanh", .f = ref_gelu_tanh },
    { .name = "logistic_grad", .f = ref_logistic_grad },
    { .name = "logistic_curve", .f = ref_logistic_curve },
    { .name = "mish_grad", .f = ref_mish_grad },
    { .name = "mish_curve", .f = ref_mish_curve },
    { .name = "silu_grad", .f = ref_silu_grad },
    { .name = "silu_curve", .f = ref_silu_curve },
    { .name = "gelu_erf_grad", .f = ref_gelu_erf_grad },
    { .name = "gelu_erf_curve", .f = ref_gelu_erf_curve },
    { .name = "gelu_tanh_grad", .f = ref_gelu_tanh_grad },
    { .name = "gelu_tanh_curve", .f = ref_gelu_tanh_curve },
    { .name = "below_largest", .f = ref_below_largest },
    { .name = "zero_times", .f = ref_zero_times },
    { .name = "sigmoid_grad", .f = ref_sigmoid_grad },
    { .name = "add", .f = ref_add },
    { .name = "sub", .f = ref_sub },
    { .name = "mul", .f = ref_mul },
    { .name = "div", .f = ref_div },
    { .name = "pow", .f = ref_pow },
    { .name = "maximum", .f = ref_maximum },
    { .name = "minimum", .f = ref_minimum },
    { .name = "where", .f = ref_where },
    { .name = "eq", .f = ref_eq, .type = CR_BOOL },
    { .name = "ne", .f = ref_ne, .type = CR_BOOL },
    { .name = "lt", .f = ref_lt, .type = CR_BOOL },
    { .name = "le", .f = ref_le, .type = CR_BOOL },
    { .name = "gt", .f = ref_gt, .type = CR_BOOL },
    { .name = "ge", .f = ref_ge, .type = CR_BOOL },
    { .name = "logical_and", .f = ref_logical_and, .type = CR_BOOL },
    { .name = "logical_or", .f = ref_logical_or, .type = CR_BOOL },
    { .name = "logical_xor", .f = ref_logical_xor, .type = CR_BOOL },
    { .name = "fmod", .f = ref_fmod },
    { .name = "remainder", .f = ref_remainder },
    { .name = "floor_divide", .f = ref_floor_divide },
    { .name = "logical_not", .f = ref_logical_not, .type = CR_BOOL },
};

static void ref_run_map(ref_call *c, const ref_map *map)
{
    cr_dims dims = c->in[0].dims;
    double p[2];
    for (int i = 1; i < c->n; i++)
        broadcast_dims(dims, c->in[i].dims, &dims);
    for (int i = 0; i < 2; i++)
        p[i] = map->attrs[i] ? attr_real(c->attrs, map->attrs[i], map->initial[i]) : 0;
    double *out = ref_out(c, map->type ? map->type : c->in[c->n - 1].dtype, dims);
    int64_t index[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < c->out.numel; i++, next_index(index, dims)) {
        double x[MOST_INPUTS] = { 0 };
        for (int j = 0; j < c->n; j++)
            x[j] = ref_at(&c->in[j], index, dims.n);
        out[i] = map->f(x, p);
    }
}

static void ref_gelu(ref_call *c)
{
    const array *x = &c->in[0];
    double *out = ref_out(c, x->dtype, x->dims);
    bool by_tanh = attr_is(c->attrs, "approximate", "tanh");
    for (int64_t i = 0; i < x->numel; i++) {
        double v = x->v[i];
        double inner = sqrt(2 / acos(-1)) * (v + 0.044715 * v * v * v);
        out[i] = by_tanh ? v / 2 * (1 + tanh(inner)) : v / 2 * (1 + erf(v / sqrt(2)));
    }
}

/* The attribute dtype; f32 if it is absent. */
static cr_dtype ref_dtype(const ref_call *c)
{
    cr_dtype dtype = CR_F32;
    for (int t = CR_F32; t < CR_DTYPES; t++)
        if (attr_is(c->attrs, "dtype", cr_dtype_name((cr_dtype)t)))
            dtype = (cr_dtype)t;
    return dtype;
}

static void ref_cast(ref_call *c)
{
    cr_dtype dtype = ref_dtype(c);
    double *out = ref_out(c, dtype, c->in[0].dims);
    for (int64_t i = 0; i < c->out.numel; i++) {
        double v = c->in[0].v[i];
        bool real = dtype == CR_F64 || dtype == CR_F32;
        out[i] = dtype == CR_BOOL ? v != 0 : real ? v : trunc(v);
        if (dtype == CR_U8)
            out[i] = fmin(fmax(out[i], 0), 255);
    }
}

/* ---- reductions ---- */

/* From the n elements that become one, in row-major order. */
typedef double ref_fold(const double *v, int64_t n, const ref_call *c);

static double fold_sum(const double *v, int64_t n, const ref_call *c)
{
    double sum = 0;
    (void)c;
    for (int64_t i = 0; i < n; i++)
        sum += v[i];
    return sum;
}

double mean_of(const double *v, int64_t n)
{
    return fold_sum(v, n, NULL) / (double)n;
}

static double fold_mean(const double *v, int64_t n, const ref_call *c)
{
    (void)c;
    return mean_of(v, n);
}

static int64_t place_of(const double *v, int64_t n, double sign)
{
    int64_t place = 0;
    for (int64_t i = 1; i < n; i++)
        if (sign * v[i] > sign * v[place] || (isnan(v[i]) && !isnan(v[place])))
            place = i;
    return place;
}

static double fold_amax(const double *v, int64_t n, const ref_call *c)
{
    (void)c;
    return v[place_of(v, n, 1)];
}

static double fold_amin(const double *v, int64_t n, const ref_call *c)
{
    (void)c;
    return v[place_of(v, n, -1)];
}

static double fold_argmax(const double *v, int64_t n, const ref_call *c)
{
    (void)c;
    return (double)place_of(v, n, 1);
}

static double fold_argmin(const double *v, int64_t n, const ref_call *c)
{
    (void)c;
    return (double)place_of(v, n, -1);
}

static double fold_prod(const double *v, int64_t n, const ref_call *c)
{
    double prod = 1;
    (void)c;
    for (int64_t i = 0; i < n; i++)
        prod *= v[i];
    return prod;
}

static double fold_count_nonzero(const double *v, int64_t n, const ref_call *c)
{
    int64_t count = 0;
    (void)c;
    for (int64_t i = 0; i < n; i++)
        count += v[i] != 0;
    return (double)count;
}

static double fold_any(const double *v, int64_t n, const ref_call *c)
{
    return fold_count_nonzero(v, n, c) > 0;
}

static double fold_all(const double *v, int64_t n, const ref_call *c)
{
    return fold_count_nonzero(v, n, c) == (double)n;
}

static double fold_nansum(const double *v, int64_t n, const ref_call *c)
{
    double sum = 0;
    (void)c;
    for (int64_t i = 0; i < n; i++)
        sum += isnan(v[i]) ? 0 : v[i];
    return sum;
}

static double fold_logsumexp(const double *v, int64_t n, const ref_call *c)
{
    double sum = 0, most = fold_amax(v, n, c);
    for (int64_t i = 0; i < n; i++)
        sum += exp(v[i] - most);
    return most + log(sum);
}

static double fold_var(const double *v, int64_t n, const ref_call *c)
{
    double mean = fold_mean(v, n, c), sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (v[i] - mean) * (v[i] - mean);
    return sum / fmax(0, (double)n - attr_real(c->attrs, "correction", 1));
}

static double fold_mean_square(const double *v, int64_t n, const ref_call *c)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += v[i] * v[i];
    return sum / fmax(0, (double)n - attr_real(c->attrs, "correction", 0));
}

static double fold_std(const double *v, int64_t n, const ref_call *c)
{
    return sqrt(fold_var(v, n, c));
}

static double fold_euclidean(const double *v, int64_t n, const ref_call *c)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += v[i] * v[i];
    return sqrt(sum / attr_real(c->attrs, "divisor", 1));
}

static double fold_rrms(const double *v, int64_t n, const ref_call *c)
{
    return 1 / sqrt(fold_mean_square(v, n, c) + attr_real(c->attrs, "eps", 1e-5));
}

typedef struct ref_reduce {
    const char *name;
    ref_fold *fold;
    cr_dtype type, of_integers; /* 0: the input's */
} ref_reduce;

static const ref_reduce ref_reduces[] = {
    { "sum", fold_sum, 0, CR_I64 },
    { "mean", fold_mean, 0, CR_F32 },
    { "amax", fold_amax, 0, 0 },
    { "amin", fold_amin, 0, 0 },
    { "argmax", fold_argmax, CR_I64, 0 },
    { "argmin", fold_argmin, CR_I64, 0 },
    { "prod", fold_prod, 0, CR_I64 },
    { "any", fold_any, CR_BOOL, 0 },
    { "all", fold_all, CR_BOOL, 0 },
    { "count_nonzero", fold_count_nonzero, CR_I64, 0 },
    { "nansum", fold_nansum, 0, CR_I64 },
    { "max", fold_amax, 0, 0 },
    { "min", fold_amin, 0, 0 },
    { "std", fold_std, 0, 0 },
    { "euclidean", fold_euclidean, 0, 0 },
    { "logsumexp", fold_logsumexp, 0, 0 },
    { "var", fold_var, 0, 0 },
    { "mean_square", fold_mean_square, 0, 0 },
    { "rrms", fold_rrms, 0, 0 },
};

static void ref_run_reduce(ref_call *c, const ref_reduce *reduce)
{
    const array *x = &c->in[0];
    cr_dims dims = attr_dims(c->attrs, "dim"), kept = x->dims, last = { .given = true };
    bool gone[CR_MAX_DIMS] = { 0 };
    for (int d = 0; d < x->dims.n; d++)
        gone[d] = !dims.given;
    for (int i = 0; i < dims.n && x->dims.n; i++)
        gone[dims.v[i] < 0 ? dims.v[i] + x->dims.n : dims.v[i]] = true;
    for (int d = 0; d < kept.n; d++)
        kept.v[d] = gone[d] ? 1 : kept.v[d];
    bool keepdim = attr_real(c->attrs, "keepdim", 0) != 0;
    for (int d = 0; d < kept.n; d++)
        if (keepdim || !gone[d])
            last.v[last.n++] = kept.v[d];
    bool real = x->dtype == CR_F64;
    cr_dtype type = reduce->type                   ? reduce->type
                    : !real && reduce->of_integers ? reduce->of_integers
                                                   : x->dtype;
    double *out = ref_out(c, type, last), *v = calloc((size_t)x->numel + 1, sizeof *v);
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < c->out.numel; i++, next_index(at, kept)) {
        int64_t index[CR_MAX_DIMS] = { 0 }, n = 0;
        for (int64_t j = 0; j < x->numel; j++, next_index(index, x->dims)) {
            bool mine = true;
            for (int d = 0; d < kept.n; d++)
                mine = mine && (gone[d] || index[d] == at[d]);
            if (mine)
                v[n++] = x->v[j];
        }
        out[i] = reduce->fold(v, n, c);
    }
    free(v);
}

/* Along one dim, a line of n elements to a line of n: softmax and its logarithm. */
static void along(ref_call *c, bool logarithm)
{
    const array *x = &c->in[0];
    int dim = ref_dim(c, "dim", -1, x->dims.n);
    double *out = ref_out(c, x->dtype, x->dims);
    int64_t stride = 1, n = x->dims.n ? x->dims.v[dim] : 1;
    for (int d = dim + 1; d < x->dims.n; d++)
        stride *= x->dims.v[d];
    for (int64_t i = 0; i < x->numel; i++) {
        int64_t first = i - i / stride % n * stride;
        double sum = 0, most = -INFINITY;
        for (int64_t j = 0; j < n; j++)
            most = fmax(most, x->v[first + j * stride]);
        for (int64_t j = 0; j < n; j++)
            sum += exp(x->v[first + j * stride] - most);
        double l = x->v[i] - most - log(sum);
        out[i] = logarithm ? l : exp(l);
    }
}

static void ref_softmax(ref_call *c)
{
    along(c, false);
}

static void ref_log_softmax(ref_call *c)
{
    along(c, true);
}

/* ---- views ---- */

/* The same elements in row-major order. */
static void relabel(ref_call *c, cr_dims dims)
{
    memcpy(ref_out(c, c->in[0].dtype, dims), c->in[0].v,
           (size_t)c->in[0].numel * sizeof(double));
}

static void ref_reshape(ref_call *c)
{
    cr_dims dims = attr_dims(c->attrs, "shape");
    int64_t known = 1;
    for (int d = 0; d < dims.n; d++)
        known *= dims.v[d] == -1 ? 1 : dims.v[d];
    for (int d = 0; d < dims.n; d++)
        dims.v[d] = dims.v[d] == -1 ? c->in[0].numel / (known ? known : 1) : dims.v[d];
    relabel(c, dims);
}

static void ref_squeeze(ref_call *c)
{
    cr_dims dims = attr_dims(c->attrs, "dim"), left = c->in[0].dims;
    for (int d = c->in[0].dims.n - 1; d >= 0; d--) {
        bool named = !dims.given;
        for (int i = 0; i < dims.n; i++)
            named = named || dims.v[i] == d || dims.v[i] + c->in[0].dims.n == d;
        if (named && left.v[d] == 1)
            left = without(left, d);
    }
    relabel(c, left);
}

static void ref_unsqueeze(ref_call *c)
{
    cr_dims dims = c->in[0].dims;
    relabel(c, with(dims, ref_dim(c, "dim", 0, dims.n + 1), 1));
}

/* Dimension i of the result is dimension from[i] of the input. */
static void permuted(ref_call *c, const int *from)
{
    const array *x = &c->in[0];
    cr_dims dims = x->dims;
    for (int d = 0; d < dims.n; d++)
        dims.v[d] = x->dims.v[from[d]];
    double *out = ref_out(c, x->dtype, dims);
    int64_t at[CR_MAX_DIMS] = { 0 }, index[CR_MAX_DIMS];
    for (int64_t i = 0; i < x->numel; i++, next_index(at, dims)) {
        for (int d = 0; d < dims.n; d++)
            index[from[d]] = at[d];
        out[i] = x->v[flat_index(index, dims.n, x->dims)];
    }
}

static void ref_permute(ref_call *c)
{
    cr_dims dims = attr_dims(c->attrs, "dims");
    int from[CR_MAX_DIMS];
    for (int d = 0; d < dims.n; d++)
        from[d] = (int)(dims.v[d] < 0 ? dims.v[d] + dims.n : dims.v[d]);
    permuted(c, from);
}

static void ref_transpose(ref_call *c)
{
    int from[CR_MAX_DIMS], n = c->in[0].dims.n;
    int a = ref_dim(c, "dim0", -2, n), b = ref_dim(c, "dim1", -1, n);
    for (int d = 0; d < n; d++)
        from[d] = d == a ? b : d == b ? a : d;
    permuted(c, from);
}

static void ref_expand(ref_call *c)
{
    const array *x = &c->in[0];
    cr_dims dims = attr_dims(c->attrs, "shape");
    for (int d = 0; d < dims.n; d++)
        dims.v[d] = dims.v[d] == -1 ? x->dims.v[d - dims.n + x->dims.n] : dims.v[d];
    double *out = ref_out(c, x->dtype, dims);
    int64_t index[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < c->out.numel; i++, next_index(index, dims))
        out[i] = ref_at(x, index, dims.n);
}

static void ref_flip(ref_call *c)
{
    const array *x = &c->in[0];
    cr_dims flipped = attr_dims(c->attrs, "dims");
    double *out = ref_out(c, x->dtype, x->dims);
    int64_t at[CR_MAX_DIMS] = { 0 }, index[CR_MAX_DIMS];
    for (int64_t i = 0; i < x->numel; i++, next_index(at, x->dims)) {
        memcpy(index, at, sizeof index);
        for (int j = 0; j < flipped.n; j++) {
            int64_t d = flipped.v[j] < 0 ? flipped.v[j] + x->dims.n : flipped.v[j];
            index[d] = x->dims.v[d] - 1 - index[d];
        }
        out[i] = x->v[flat_index(index, x->dims.n, x->dims)];
    }
}

/* The slice that the attributes name, of a tensor of these dims. */
typedef struct ref_range {
    int dim;
    int64_t start, step, n;
} ref_range;

static ref_range range_of(const ref_call *c, cr_dims dims)
{
    ref_range r = { .dim = ref_dim(c, "dim", 0, dims.n) };
    int64_t size = dims.v[r.dim];
    r.step = (int64_t)attr_real(c->attrs, "step", 1);
    double low = r.step < 0 ? -1 : 0, high = (double)size + low;
    double start = attr_real(c->attrs, "start", r.step < 0 ? 1e18 : 0),
           end = attr_real(c->attrs, "end", r.step < 0 ? -1e18 : 1e18);
    start = fmin(fmax(start < 0 ? start + (double)size : start, low), high);
    end = fmin(fmax(end < 0 ? end + (double)size : end, low), high);
    r.start = (int64_t)start;
    r.n = (int64_t)fmax(ceil((end - start) / (double)r.step), 0);
    return r;
}

static void ref_slice(ref_call *c)
{
    const array *x = &c->in[0];
    ref_range r = range_of(c, x->dims);
    cr_dims dims = x->dims;
    dims.v[r.dim] = r.n;
    double *out = ref_out(c, x->dtype, dims);
    int64_t at[CR_MAX_DIMS] = { 0 }, index[CR_MAX_DIMS];
    for (int64_t i = 0; i < c->out.numel; i++, next_index(at, dims)) {
        memcpy(index, at, sizeof index);
        index[r.dim] = r.start + at[r.dim] * r.step;
        out[i] = x->v[flat_index(index, dims.n, x->dims)];
    }
}

static void put_slice(ref_call *c, bool adds)
{
    const array *x = &c->in[0], *src = &c->in[1];
    ref_range r = range_of(c, x->dims);
    relabel(c, x->dims);
    int64_t at[CR_MAX_DIMS] = { 0 }, index[CR_MAX_DIMS];
    for (int64_t i = 0; i < src->numel; i++, next_index(at, src->dims)) {
        memcpy(index, at, sizeof index);
        index[r.dim] = r.start + at[r.dim] * r.step;
        double *to = &c->out.v[flat_index(index, x->dims.n, x->dims)];
        *to = adds ? *to + src->v[i] : src->v[i];
    }
}

static void ref_slice_scatter(ref_call *c)
{
    put_slice(c, false);
}

static void ref_slice_add(ref_call *c)
{
    put_slice(c, true);
}

static void ref_select(ref_call *c)
{
    const array *x = &c->in[0];
    int dim = ref_dim(c, "dim", 0, x->dims.n);
    int64_t place = (int64_t)attr_real(c->attrs, "index", 0), index[CR_MAX_DIMS] = { 0 };
    place += place < 0 ? x->dims.v[dim] : 0;
    double *out = ref_out(c, x->dtype, without(x->dims, dim));
    for (int64_t i = 0; i < x->numel; i++, next_index(index, x->dims))
        if (index[dim] == place)
            *out++ = x->v[i];
}

static bool is_empty_list(const array *x)
{
    return x->dims.n == 1 && x->dims.v[0] == 0;
}

static void join(ref_call *c, bool stack)
{
    int first = 0;
    while (!stack && first + 1 < c->n && is_empty_list(&c->in[first]))
        first++;
    cr_dims dims = c->in[first].dims;
    int dim =
        !stack && is_empty_list(&c->in[first]) ? 0 : ref_dim(c, "dim", 0, dims.n + stack);
    int64_t offset = 0, total = 0;
    for (int i = 0; i < c->n; i++)
        total += stack ? 1 : is_empty_list(&c->in[i]) ? 0 : c->in[i].dims.v[dim];
    if (stack)
        dims = with(dims, dim, total);
    dims.v[dim] = total;
    double *out = ref_out(c, c->in[0].dtype, dims);
    for (int k = 0; k < c->n; k++) {
        cr_dims own = stack ? with(c->in[k].dims, dim, 1) : c->in[k].dims;
        int64_t at[CR_MAX_DIMS] = { 0 };
        for (int64_t i = 0; i < c->in[k].numel; i++, next_index(at, own)) {
            at[dim] += offset;
            out[flat_index(at, dims.n, dims)] = c->in[k].v[i];
            at[dim] -= offset;
        }
        offset += c->in[k].numel ? own.v[dim] : 0;
    }
}

static void ref_cat(ref_call *c)
{
    join(c, false);
}

static void ref_stack(ref_call *c)
{
    join(c, true);
}

/* ---- picking ---- */

static void ref_gather(ref_call *c)
{
    const array *x = &c->in[0], *index = &c->in[1];
    int dim = ref_dim(c, "dim", 0, x->dims.n);
    double *out = ref_out(c, x->dtype, index->dims);
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < index->numel; i++, next_index(at, index->dims)) {
        int64_t from[CR_MAX_DIMS];
        memcpy(from, at, sizeof from);
        from[dim] = (int64_t)index->v[i];
        out[i] = x->v[flat_index(from, x->dims.n, x->dims)];
    }
}

static void ref_scatter_add(ref_call *c)
{
    const array *x = &c->in[0], *index = &c->in[1], *src = &c->in[2];
    int dim = ref_dim(c, "dim", 0, x->dims.n);
    relabel(c, x->dims);
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < index->numel; i++, next_index(at, index->dims)) {
        int64_t to[CR_MAX_DIMS];
        memcpy(to, at, sizeof to);
        to[dim] = (int64_t)index->v[i];
        c->out.v[flat_index(to, x->dims.n, x->dims)] +=
            src->v[flat_index(at, src->dims.n, src->dims)];
    }
}

/* Slices of source are added along dim where the index says. */
static void ref_index_add(ref_call *c)
{
    const array *x = &c->in[0], *index = &c->in[1], *source = &c->in[2];
    int dim = ref_dim(c, "dim", 0, x->dims.n);
    double alpha = attr_real(c->attrs, "alpha", 1);
    relabel(c, x->dims);
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < source->numel; i++, next_index(at, source->dims)) {
        int64_t to[CR_MAX_DIMS];
        memcpy(to, at, sizeof to);
        if (x->dims.n)
            to[dim] = (int64_t)index->v[at[dim]];
        c->out.v[flat_index(to, x->dims.n, x->dims)] += alpha * source->v[i];
    }
}

/* The slices of x along dim that the index names, the index's dims in place of dim. */
static void ref_pick(ref_call *c, int dim, const array *index)
{
    const array *x = &c->in[0];
    cr_dims dims = without(x->dims, dim);
    for (int i = 0; i < index->dims.n; i++)
        dims = with(dims, dim + i, index->dims.v[i]);
    double *out = ref_out(c, x->dtype, dims);
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < c->out.numel; i++, next_index(at, dims)) {
        int64_t from[CR_MAX_DIMS] = { 0 };
        for (int d = 0; d < x->dims.n; d++)
            from[d] = d < dim ? at[d] : d > dim ? at[d - 1 + index->dims.n] : 0;
        from[dim] = (int64_t)index->v[flat_index(at + dim, index->dims.n, index->dims)];
        out[i] = x->v[flat_index(from, x->dims.n, x->dims)];
    }
}

static void ref_index_select(ref_call *c)
{
    array list = c->in[1];
    if (list.dims.n == 0)
        list.dims = CR_DIMS(1);
    if (c->in[0].dims.n == 0)
        relabel(c, CR_NO_DIMS);
    else
        ref_pick(c, ref_dim(c, "dim", 0, c->in[0].dims.n), &list);
}

static void ref_embedding(ref_call *c)
{
    ref_pick(c, 0, &c->in[1]);
}

static void ref_one_hot(ref_call *c)
{
    const array *index = &c->in[0];
    int64_t classes = (int64_t)attr_real(c->attrs, "num_classes", -1);
    for (int64_t i = 0; i < index->numel; i++)
        if (attr_real(c->attrs, "num_classes", -1) < 0 && index->v[i] >= (double)classes)
            classes = (int64_t)index->v[i] + 1;
    double *out = ref_out(c, CR_I64, with(index->dims, index->dims.n, classes));
    for (int64_t i = 0; i < index->numel; i++)
        out[i * classes + (int64_t)index->v[i]] = 1;
}

/* ---- from nothing ---- */

static void ref_arange(ref_call *c)
{
    double start = attr_real(c->attrs, "start", 0), end = attr_real(c->attrs, "end", 0);
    double step = attr_real(c->attrs, "step", 1);
    double *out = ref_out(c, ref_dtype(c), CR_DIMS((int64_t)ceil((end - start) / step)));
    for (int64_t i = 0; i < c->out.numel; i++)
        out[i] = start + (double)i * step;
}

static void ref_linspace(ref_call *c)
{
    double start = attr_real(c->attrs, "start", 0), end = attr_real(c->attrs, "end", 0);
    int64_t n = (int64_t)attr_real(c->attrs, "steps", 0);
    double *out = ref_out(c, ref_dtype(c), CR_DIMS(n));
    for (int64_t i = 0; i < n; i++)
        out[i] = n == 1 ? start : start + (end - start) * (double)i / (double)(n - 1);
}

static void ref_eye(ref_call *c)
{
    int64_t n = (int64_t)attr_real(c->attrs, "n", 0);
    double *out = ref_out(c, ref_dtype(c), CR_DIMS(n, n));
    for (int64_t i = 0; i < n; i++)
        out[i * n + i] = 1;
}

/* ---- the table ---- */

static const ref_entry entries[] = {
    { "arange", ref_arange },
    { "linspace", ref_linspace },
    { "eye", ref_eye },
    { "gelu", ref_gelu },
    { "cast", ref_cast },
    { "softmax", ref_softmax },
    { "log_softmax", ref_log_softmax },
    { "reshape", ref_reshape },
    { "squeeze", ref_squeeze },
    { "unsqueeze", ref_unsqueeze },
    { "permute", ref_permute },
    { "transpose", ref_transpose },
    { "expand", ref_expand },
    { "flip", ref_flip },
    { "slice", ref_slice },
    { "slice_scatter", ref_slice_scatter },
    { "slice_add", ref_slice_add },
    { "select", ref_select },
    { "cat", ref_cat },
    { "stack", ref_stack },
    { "gather", ref_gather },
    { "scatter_add", ref_scatter_add },
    { "index_add", ref_index_add },
    { "index_select", ref_index_select },
    { "embedding", ref_embedding },
    { "one_hot", ref_one_hot },
    { .name = NULL },
};

static const ref_entry *find_entry(const char *name)
{
    const ref_entry *const tables[] = {
        entries,           ref_entries_nn,     ref_entries_attention,
        ref_entries_lines, ref_entries_images, ref_entries_movement,
        ref_entries_index, ref_entries_losses, ref_entries_linalg
    };
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (const ref_entry *e = tables[t]; e->name; e++)
            if (strcmp(e->name, name) == 0)
                return e;
    return NULL;
}

bool ref_run(const char *name, ref_call *c)
{
    const ref_entry *entry = find_entry(name);
    for (size_t i = 0; i < sizeof ref_maps / sizeof ref_maps[0]; i++)
        if (strcmp(ref_maps[i].name, name) == 0) {
            ref_run_map(c, &ref_maps[i]);
            return true;
        }
    for (size_t i = 0; i < sizeof ref_reduces / sizeof ref_reduces[0]; i++)
        if (strcmp(ref_reduces[i].name, name) == 0) {
            ref_run_reduce(c, &ref_reduces[i]);
            return true;
        }
    if (entry)
        entry->f(c);
    return entry;
}
