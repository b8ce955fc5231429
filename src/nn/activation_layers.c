/* The kinds of modules that are an activation: those without settings, those along a dimension,
 * those with the options of their function, and the one with a parameter. */
#include "nn.h"

#include "../base/fp.h"

#include <float.h>
#include <math.h>

/* ---- without settings: their function and a line ---- */

typedef struct activation {
    cr__nn_kind kind;
    cr_tensor *(*function)(cr_tensor *x, const char *site);
} activation;

static cr_tensor *forward_activation(cr_module *module, cr_tensor *x, const char *site)
{
    return ((const activation *)(const void *)module->kind)->function(x, site);
}

#define ACTIVATION(name_)                                                    \
    static const activation name_##_activation = {                           \
        { .name = #name_, .forward = forward_activation }, cr_##name_##_at   \
    };                                                                       \
    cr_module *cr_nn_##name_##_at(cr_ctx *ctx, cr_nn_opts opts)              \
    {                                                                        \
        (void)opts;                                                          \
        return cr__nn_done(cr__nn_new(ctx, &name_##_activation.kind, NULL)); \
    }

ACTIVATION(sigmoid)
ACTIVATION(tanh)
ACTIVATION(relu)
ACTIVATION(silu)
ACTIVATION(relu6)
ACTIVATION(selu)
ACTIVATION(mish)
ACTIVATION(hardsigmoid)
ACTIVATION(hardswish)
ACTIVATION(softsign)
ACTIVATION(tanhshrink)
ACTIVATION(logsigmoid)

/* ---- along a dimension ---- */

typedef struct dim_activation {
    cr__nn_kind kind;
    cr_tensor *(*function)(cr_tensor *x, int dim, const char *site);
} dim_activation;

static cr_tensor *forward_along(cr_module *module, cr_tensor *x, const char *site)
{
    return ((const dim_activation *)(const void *)module->kind)
        ->function(x, *(const int *)module->settings, site);
}

static cr_module *new_along(cr_ctx *ctx, const dim_activation *row, int dim,
                            const char *site)
{
    cr_module *module = cr__nn_new(ctx, &row->kind, &dim);
    cr__nn_dim(module, "dim", dim, site);
    return cr__nn_done(module);
}

#define ALONG(name_)                                                                \
    static const dim_activation along_##name_ = {                                   \
        { .name = #name_, .forward = forward_along, .settings_size = sizeof(int) }, \
        cr_##name_##_at                                                             \
    };                                                                              \
    cr_module *cr_nn_##name_##_at(cr_ctx *ctx, int dim, cr_nn_opts opts)            \
    {                                                                               \
        return new_along(ctx, &along_##name_, dim, opts.site);                      \
    }

ALONG(softmax)
ALONG(log_softmax)
ALONG(softmin)
ALONG(glu)

/* ---- with numbers ---- */

static bool finite_number(const cr_module *module, const char *what, double x,
                          const char *site)
{
    return cr__nn_number(module, what, x, -DBL_MAX, DBL_MAX, "a finite number", site);
}

static cr_tensor *forward_leaky_relu(cr_module *module, cr_tensor *x, const char *site)
{
    return cr_leaky_relu_at(x, *(const double *)module->settings, site);
}

static const cr__nn_kind leaky_relu = { .name = "leaky_relu",
                                        .forward = forward_leaky_relu,
                                        .settings_size = sizeof(double) };

cr_module *cr_nn_leaky_relu_at(cr_ctx *ctx, double negative_slope, cr_nn_opts opts)
{
    cr_module *module = cr__nn_new(ctx, &leaky_relu, &negative_slope);
    finite_number(module, "negative_slope", negative_slope, opts.site);
    return cr__nn_done(module);
}

static cr_tensor *forward_threshold(cr_module *module, cr_tensor *x, const char *site)
{
    const double *s = module->settings;
    return cr_threshold_at(x, cr_arg_real(s[0]), cr_arg_real(s[1]), site);
}

static const cr__nn_kind threshold_kind = { .name = "threshold",
                                            .forward = forward_threshold,
                                            .settings_size = 2 * sizeof(double) };

cr_module *cr_nn_threshold_at(cr_ctx *ctx, double threshold, double value,
                              cr_nn_opts opts)
{
    cr_module *module = cr__nn_new(ctx, &threshold_kind, (double[]){ threshold, value });
    if (finite_number(module, "threshold", threshold, opts.site))
        finite_number(module, "value", value, opts.site);
    return cr__nn_done(module);
}

/* ---- with the options of their function: what is excluded is said here, and once ---- */

#define OPTIONED(name_, opts_)                                                           \
    static cr_tensor *forward_##name_(cr_module *module, cr_tensor *x, const char *site) \
    {                                                                                    \
        opts_ opts = *(const opts_ *)module->settings;                                   \
        opts.site = site;                                                                \
        return cr_##name_##_at(x, opts);                                                 \
    }                                                                                    \
    static const cr__nn_kind optioned_##name_ = { .name = #name_,                        \
                                                  .forward = forward_##name_,            \
                                                  .settings_size = sizeof(opts_) };      \
    cr_module *cr_nn_##name_##_at(cr_ctx *ctx, opts_ opts)                               \
    {                                                                                    \
        cr_module *module = cr__nn_new(ctx, &optioned_##name_, &opts);                   \
        check_##name_(module, &opts);                                                    \
        return cr__nn_done(module);                                                      \
    }

static void check_softplus(const cr_module *module, const cr_softplus_opts *opts)
{
    /* beta 0 stands for the default */
    if (cr__nn_number(module, "beta", opts->beta, 0, DBL_MAX, "above 0", opts->site) &&
        opts->threshold.given)
        finite_number(module, "threshold", opts->threshold.v, opts->site);
}

static void check_gelu(const cr_module *module, const cr_gelu_opts *opts)
{
    if (module && opts->approximate != CR_APPROXIMATE_NONE &&
        opts->approximate != CR_APPROXIMATE_TANH)
        cr__nn_refuse(module, CR_ERR_ARGUMENT, opts->site,
                      "approximate is %d; CR_APPROXIMATE_NONE or CR_APPROXIMATE_TANH",
                      (int)opts->approximate);
}

static void check_elu(const cr_module *module, const cr_elu_opts *opts)
{
    if (opts->alpha.given)
        finite_number(module, "alpha", opts->alpha.v, opts->site);
}

static void check_celu(const cr_module *module, const cr_elu_opts *opts)
{
    check_elu(module, opts);
    if (module && opts->alpha.given && opts->alpha.v == 0)
        cr__nn_refuse(module, CR_ERR_ARGUMENT, opts->site, "alpha is 0; above or below");
}

static void check_hardtanh(const cr_module *module, const cr_hardtanh_opts *opts)
{
    CR__FP_GUARD();
    const double low = opts->min_val.given ? opts->min_val.v : -1;
    const double high = opts->max_val.given ? opts->max_val.v : 1;
    if (module && !(low <= high))
        cr__nn_refuse(module, CR_ERR_ARGUMENT, opts->site,
                      "min_val is %g and max_val %g; the first is not above the second",
                      low, high);
}

static void check_hardshrink(const cr_module *module, const cr_shrink_opts *opts)
{
    if (opts->lambd.given)
        finite_number(module, "lambd", opts->lambd.v, opts->site);
}

static void check_softshrink(const cr_module *module, const cr_shrink_opts *opts)
{
    if (opts->lambd.given)
        cr__nn_number(module, "lambd", opts->lambd.v, 0, DBL_MAX, "0 or more",
                      opts->site);
}

OPTIONED(softplus, cr_softplus_opts)
OPTIONED(gelu, cr_gelu_opts)
OPTIONED(elu, cr_elu_opts)
OPTIONED(celu, cr_elu_opts)
OPTIONED(hardtanh, cr_hardtanh_opts)
OPTIONED(hardshrink, cr_shrink_opts)
OPTIONED(softshrink, cr_shrink_opts)

/* ---- with a parameter ---- */

static cr_tensor *forward_prelu(cr_module *module, cr_tensor *x, const char *site)
{
    return cr_prelu_at(x, *(cr_tensor *const *)module->settings, site);
}

static const cr__nn_kind prelu_kind = { .name = "prelu",
                                        .forward = forward_prelu,
                                        .settings_size = sizeof(cr_tensor *) };

cr_module *cr_nn_prelu_at(cr_ctx *ctx, cr_nn_prelu_opts opts)
{
    const int64_t n = opts.num_parameters ? opts.num_parameters : 1;
    const double init = opts.init.given ? opts.init.v : 0.25;
    cr_module *module = cr__nn_new(ctx, &prelu_kind, &(cr_tensor *){ NULL });
    if (cr__nn_size(module, "num_parameters", n, opts.site) &&
        finite_number(module, "init", init, opts.site) &&
        cr__nn_float(module, opts.dtype, opts.site) &&
        cr__nn_fits(module, CR_DIMS(n), opts.site))
        *(cr_tensor **)module->settings = cr__nn_own_full(
            module, "weight", CR_DIMS(n), init, opts.dtype, false, opts.site);
    return cr__nn_done(module);
}
