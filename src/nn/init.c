/* Initialisers: new values for leaves, made by operations and assigned. The orthogonal
 * one computes on the host. */
#include "nn.h"

#include "../base/dtype.h"
#include "../base/fp.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

double cr_init_gain(const char *activation, double slope)
{
    CR__FP_GUARD();
    CR__HOLD(slope);
    const struct {
        const char *name;
        double gain;
    } gains[] = {
        { "linear", 1 },
        { "sigmoid", 1 },
        { "tanh", 5.0 / 3 },
        { "relu", sqrt(2) },
        { "leaky_relu", sqrt(2 / (1 + slope * slope)) },
        { "selu", 0.75 },
    };
    for (int i = 0; activation && i < CR__COUNT(gains); i++)
        if (strcmp(gains[i].name, activation) == 0)
            return gains[i].gain;
    return NAN;
}

/* shift + factor x as dtype, x being uniform or normal. */
static cr_tensor *scaled(cr_tensor *x, double factor, double shift, cr_dtype dtype,
                         const char *site)
{
    x = cr_mul_at(cr_arg_tensor(x), cr_arg_real(factor), site);
    x = shift == 0 ? x : cr_add_at(cr_arg_tensor(x), cr_arg_real(shift), site);
    return cr__is_half(dtype) ? cr_cast_at(x, dtype, site) : x;
}

/* How random numbers for values of that type are made. */
static cr_make_opts random_opts(cr_dtype dtype, const char *site)
{
    return (cr_make_opts){ .site = site, .dtype = cr__register_dtype(dtype) };
}

cr_tensor *cr__nn_uniform(cr_ctx *ctx, cr_dims dims, double low, double high,
                          cr_dtype dtype, const char *site)
{
    cr_tensor *x = cr_rand_at(ctx, dims, random_opts(dtype, site));
    return scaled(x, high - low, low, dtype, site);
}

/* The call of an initialiser, for its messages. */
typedef struct initialiser {
    const char *name, *site;
} initialiser;

static cr_status assign_uniform(cr_tensor *param, double low, double high,
                                const initialiser *init)
{
    cr_tensor *x = cr__nn_uniform(cr_ctx_of(param), cr_shape(param), low, high,
                                  cr_dtype_of(param), init->site);
    return cr_assign_at(param, x, init->site);
}

static cr_status assign_normal(cr_tensor *param, double mean, double std,
                               const initialiser *init)
{
    const cr_dtype dtype = cr_dtype_of(param);
    cr_tensor *x =
        cr_randn_at(cr_ctx_of(param), cr_shape(param), random_opts(dtype, init->site));
    return cr_assign_at(param, scaled(x, std, mean, dtype, init->site), init->site);
}

/* The pending error, or that of a parameter that is none. */
static cr_status check_target(cr_tensor *param, const initialiser *init)
{
    if (!param)
        return CR_ERR_NULL;
    cr_ctx *ctx = cr_ctx_of(param);
    if (cr_error(ctx))
        return cr_error(ctx);
    cr_dtype dtype = cr_dtype_of(param);
    if (dtype == CR_DTYPE_DEFAULT) /* released: said as elsewhere */
        return cr_eval_at(&param, 1, init->site);
    if (!cr__is_float(dtype))
        return cr_fail(ctx, CR_ERR_DTYPE, "%s: %s is %s; initialisers take floats (%s)",
                       init->name, cr_name(param), cr_dtype_name(dtype), init->site);
    return CR_OK;
}

/* The same, and the numbers are to be in their ranges. */
static cr_status check_target_number(cr_tensor *param, const char *what, double x,
                                     double least, const initialiser *init)
{
    cr_status status = check_target(param, init);
    if (status != CR_OK || (isfinite(x) && x >= least))
        return status;
    return cr_fail(cr_ctx_of(param), CR_ERR_ARGUMENT, "%s: %s is %g; %s (%s)", init->name,
                   what, x, isfinite(least) ? "0 or more" : "a finite number",
                   init->site);
}

/* The fans of a weight [out, in, ..]: 0 only where it has no elements. */
static cr_status fans(cr_tensor *param, double gain, const initialiser *init,
                      double *fan_in, double *fan_out)
{
    cr_status status = check_target_number(param, "gain", gain, (double)-INFINITY, init);
    if (status != CR_OK)
        return status;
    if (cr_ndim(param) < 2)
        return cr_fail(cr_ctx_of(param), CR_ERR_SHAPE,
                       "%s: %s has %d dimensions; the fans of a weight need two or more "
                       "(%s)",
                       init->name, cr_name(param), cr_ndim(param), init->site);
    double field = 1;
    for (int i = 2; i < cr_ndim(param); i++)
        field *= (double)cr_size(param, i);
    *fan_in = (double)cr_size(param, 1) * field;
    *fan_out = (double)cr_size(param, 0) * field;
    return CR_OK;
}

/* U(+-gain sqrt(3/fan)) or N(0, gain^2/fan): the same variance. */
static cr_status assign_scaled(cr_tensor *param, double gain, double fan, bool normal,
                               const initialiser *init)
{
    double std = fan > 0 ? gain / sqrt(fan) : 0, bound = sqrt(3) * std;
    return normal ? assign_normal(param, 0, std, init)
                  : assign_uniform(param, -bound, bound, init);
}

static cr_status xavier(cr_tensor *param, double gain, bool normal, initialiser init)
{
    CR__FP_GUARD();
    CR__HOLD(gain);
    double fan_in = 0, fan_out = 0;
    cr_status status = fans(param, gain, &init, &fan_in, &fan_out);
    return status ? status
                  : assign_scaled(param, gain, (fan_in + fan_out) / 2, normal, &init);
}

static cr_status kaiming(cr_tensor *param, double gain, bool normal, initialiser init)
{
    CR__FP_GUARD();
    CR__HOLD(gain);
    double fan_in = 0, fan_out = 0;
    cr_status status = fans(param, gain, &init, &fan_in, &fan_out);
    return status ? status : assign_scaled(param, gain, fan_in, normal, &init);
}

#define INITIALISER(name)       \
    (initialiser)               \
    {                           \
        name, site ? site : "?" \
    }

cr_status cr_init_default_at(cr_tensor *param, const char *site)
{
    CR__FP_GUARD();
    const initialiser init = INITIALISER("init_default");
    double fan_in = 0, fan_out = 0;
    cr_status status = fans(param, 1, &init, &fan_in, &fan_out);
    double bound = fan_in > 0 ? 1 / sqrt(fan_in) : 0;
    return status ? status : assign_uniform(param, -bound, bound, &init);
}

cr_status cr_init_xavier_uniform_at(cr_tensor *param, double gain, const char *site)
{
    return xavier(param, gain, false, INITIALISER("init_xavier_uniform"));
}

cr_status cr_init_xavier_normal_at(cr_tensor *param, double gain, const char *site)
{
    return xavier(param, gain, true, INITIALISER("init_xavier_normal"));
}

cr_status cr_init_kaiming_uniform_at(cr_tensor *param, double gain, const char *site)
{
    return kaiming(param, gain, false, INITIALISER("init_kaiming_uniform"));
}

cr_status cr_init_kaiming_normal_at(cr_tensor *param, double gain, const char *site)
{
    return kaiming(param, gain, true, INITIALISER("init_kaiming_normal"));
}

cr_status cr_init_lecun_uniform_at(cr_tensor *param, const char *site)
{
    return kaiming(param, 1, false, INITIALISER("init_lecun_uniform"));
}

cr_status cr_init_lecun_normal_at(cr_tensor *param, const char *site)
{
    return kaiming(param, 1, true, INITIALISER("init_lecun_normal"));
}

cr_status cr_init_constant_at(cr_tensor *param, double value, const char *site)
{
    const initialiser init = INITIALISER("init_constant");
    cr_status status = check_target(param, &init);
    if (status != CR_OK)
        return status;
    return cr_assign_at(param, cr_full_like_at(param, cr_arg_real(value), init.site),
                        init.site);
}

cr_status cr_init_normal_at(cr_tensor *param, double mean, double std, const char *site)
{
    CR__FP_GUARD();
    CR__HOLD(mean);
    CR__HOLD(std);
    const initialiser init = INITIALISER("init_normal");
    cr_status status = check_target_number(param, "mean", mean, (double)-INFINITY, &init);
    status = status ? status : check_target_number(param, "std", std, 0, &init);
    return status ? status : assign_normal(param, mean, std, &init);
}

cr_status cr_init_uniform_at(cr_tensor *param, double low, double high, const char *site)
{
    CR__FP_GUARD();
    CR__HOLD(low);
    CR__HOLD(high);
    const initialiser init = INITIALISER("init_uniform");
    cr_status status = check_target_number(param, "low", low, (double)-INFINITY, &init);
    status =
        status ? status : check_target_number(param, "high - low", high - low, 0, &init);
    return status ? status : assign_uniform(param, low, high, &init);
}

/* ---- truncated ---- */

/* The probability that a standard normal number is below z, which is not above 0 where small
 * probabilities matter. */
static cr_tensor *normal_below(cr_ctx *ctx, double z, const char *site)
{
    const cr_make_opts f64 = { .site = site, .dtype = CR_F64 };
    cr_tensor *x = cr_scalar_at(ctx, cr_arg_real(-z * sqrt(0.5)), f64);
    return cr_mul_at(cr_arg_tensor(cr_erfc_at(x, site)), cr_arg_real(0.5), site);
}

/* Standard normal numbers between low and high, by the inverse of their distribution. In f64: what
 * is below 0 may have a small probability p, and 2 p - 1 keeps some digits of it. */
static cr_tensor *normal_between(cr_tensor *like, double low, double high,
                                 const char *site)
{
    cr_ctx *ctx = cr_ctx_of(like);
    const double sign = low > 0 ? -1 : 1;
    cr_tensor *from = normal_below(ctx, low > 0 ? -high : low, site);
    cr_tensor *to = normal_below(ctx, low > 0 ? -low : high, site);
    cr_tensor *u =
        cr_rand_at(ctx, cr_shape(like), (cr_make_opts){ .site = site, .dtype = CR_F64 });
    to = cr_sub_at(cr_arg_tensor(to), cr_arg_tensor(from), site);
    u = cr_mul_at(cr_arg_tensor(u), cr_arg_tensor(to), site);
    u = cr_add_at(cr_arg_tensor(u), cr_arg_tensor(from), site);
    u = scaled(u, 2, -1, CR_F64, site);
    return cr_mul_at(cr_arg_tensor(cr_erfinv_at(u, site)), cr_arg_real(sign * sqrt(2)),
                     site);
}

cr_status cr_init_trunc_normal_at(cr_tensor *param, double mean, double std, double a,
                                  double b, const char *site)
{
    CR__FP_GUARD();
    CR__HOLD(mean);
    CR__HOLD(std);
    CR__HOLD(a);
    CR__HOLD(b);
    const initialiser init = INITIALISER("init_trunc_normal");
    cr_status status = check_target_number(param, "mean", mean, (double)-INFINITY, &init);
    status =
        status ? status : check_target_number(param, "a", a, (double)-INFINITY, &init);
    status =
        status ? status : check_target_number(param, "b", b, (double)-INFINITY, &init);
    status = status ? status : check_target_number(param, "std", std, 0, &init);
    if (status != CR_OK)
        return status;
    const double low = (a - mean) / std, high = (b - mean) / std;
    if (!(std > 0 && low < high && low < 7 && high > -7)) /* beyond, no digits are left */
        return cr_fail(
            cr_ctx_of(param), CR_ERR_ARGUMENT,
            "init_trunc_normal: std is %g, a %g and b %g; std is above 0, a below "
            "b, and some of that is within 7 std of the mean (%s)",
            std, a, b, init.site);
    cr_tensor *x = normal_between(param, low, high, init.site);
    x = scaled(x, std, mean, CR_F64, init.site);
    x = cr_clamp_at(x, cr_arg_real(a), cr_arg_real(b), init.site);
    return cr_assign_at(param, cr_cast_at(x, cr_dtype_of(param), init.site), init.site);
}

/* ---- orthogonal ---- */

/* Four sums at a time, so that additions need not wait for each other. */
static double dot(const double *x, const double *y, int64_t n)
{
    double sums[4] = { 0, 0, 0, 0 };
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int lane = 0; lane < 4; lane++)
            sums[lane] += x[i + lane] * y[i + lane];
    for (; i < n; i++)
        sums[0] += x[i] * y[i];
    return sums[0] + sums[1] + (sums[2] + sums[3]);
}

/* Makes the k <= n vectors of length n at q orthonormal, by Gram-Schmidt done twice,
 * which is enough for orthogonality to rounding (Giraud et al., 2005). This is the Q of
 * the QR decomposition whose R has a positive diagonal, so that Q is uniformly
 * distributed (Mezzadri, 2007). Normally distributed vectors are independent with
 * probability one. */
static void orthonormalise(double *q, int64_t k, int64_t n)
{
    for (int64_t j = 0; j < k; j++) {
        double *v = q + j * n;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t i = 0; i < j; i++) {
                const double *u = q + i * n;
                double along = dot(u, v, n);
                for (int64_t e = 0; e < n; e++)
                    v[e] -= along * u[e];
            }
        double norm = sqrt(dot(v, v, n));
        for (int64_t e = 0; e < n; e++)
            v[e] /= norm;
    }
}

static void transpose(double *to, const double *from, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++)
            to[j * rows + i] = from[i * cols + j];
}

/* Fills value [rows, cols], given as standard normal numbers, with a matrix whose rows
 * (or columns, if they are fewer) are orthonormal; other has room for as much. */
static void orthogonalise(double *value, double *other, int64_t rows, int64_t cols)
{
    if (rows <= cols) {
        orthonormalise(value, rows, cols);
        return;
    }
    transpose(other, value, rows, cols);
    orthonormalise(other, cols, rows);
    transpose(value, other, cols, rows);
}

/* In a scope, whose end computes the value. */
static void assign_orthogonal(cr_tensor *param, double gain, const char *site)
{
    cr_ctx *ctx = cr_ctx_of(param);
    CR_SCOPE(ctx);
    int64_t rows = cr_size(param, 0), cols = cr_numel(param) / rows;
    size_t bytes = (size_t)cr_numel(param) * sizeof(double);
    cr_make_opts opts = { .site = site, .dtype = CR_F64 };
    double *host = cr__alloc(ctx, 2 * bytes);
    if (host && cr_read(cr_randn_at(ctx, cr_shape(param), opts), host, bytes) == CR_OK) {
        orthogonalise(host, host + rows * cols, rows, cols);
        cr_tensor *q = cr_from_at(ctx, CR_F64, cr_shape(param), host, NULL, site);
        q = cr_mul_at(cr_arg_tensor(q), cr_arg_real(gain), site);
        cr_assign_at(param, cr_cast_at(q, cr_dtype_of(param), site), site);
    }
    cr__free(ctx, host);
}

cr_status cr_init_orthogonal_at(cr_tensor *param, double gain, const char *site)
{
    CR__FP_GUARD();
    CR__HOLD(gain);
    const initialiser init = INITIALISER("init_orthogonal");
    double fan_in = 0, fan_out = 0;
    cr_status status = fans(param, gain, &init, &fan_in, &fan_out);
    if (status != CR_OK || cr_numel(param) == 0)
        return status;
    assign_orthogonal(param, gain, init.site);
    return cr_error(cr_ctx_of(param));
}
