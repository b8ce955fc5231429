/* The kinds of modules that convolve, and their transposed forms: settings, a forward and a
 * constructor for all dims. */
#include "nn.h"

#include "../base/fp.h"

#include <math.h>
#include <stdio.h>

typedef struct conv_settings {
    cr_conv_opts opts;
    cr_dims output_padding;
    cr_tensor *weight, *bias;
} conv_settings;

/* What a constructor was called with. */
typedef struct conv_layer {
    cr_ctx *ctx;
    const cr__nn_kind *kind;
    int ndim;
    bool transposed, no_bias;
    int64_t in, out;
    cr_dims kernel_size;
    cr_conv_opts opts;
    cr_dims output_padding;
    cr_dtype dtype;
} conv_layer;

static bool layer_fits(const cr_module *module, const conv_layer *l)
{
    const char *site = l->opts.site;
    const int64_t groups = l->opts.groups;
    const bool word = l->opts.padding.n == 1 && l->opts.padding.v[0] < INT64_MIN + 2;
    if (!cr__nn_size(module, "in_channels", l->in, site) ||
        !cr__nn_size(module, "out_channels", l->out, site) ||
        !cr__nn_size(module, "groups", groups, site) ||
        !cr__nn_numbers(module, "kernel_size", &l->kernel_size, l->ndim, 1, true, site) ||
        !cr__nn_numbers(module, "stride", &l->opts.stride, l->ndim, 1, false, site) ||
        !cr__nn_numbers(module, "dilation", &l->opts.dilation, l->ndim, 1, false, site) ||
        (!(word && !l->transposed) &&
         !cr__nn_numbers(module, "padding", &l->opts.padding, l->ndim, 0, false, site)) ||
        !cr__nn_numbers(module, "output_padding", &l->output_padding, l->ndim, 0, false,
                        site) ||
        !cr__nn_float(module, l->dtype, site))
        return false;
    if (l->in % groups == 0 && l->out % groups == 0)
        return true;
    cr_fail(module->ctx, CR_ERR_ARGUMENT,
            "nn_%s: groups %lld does not divide %lld and %lld channels (%s)",
            module->name, (long long)groups, (long long)l->in, (long long)l->out, site);
    return false;
}

/* Weight and bias, uniform in +-1/sqrt(elements of weight[0]). */
static void own_weights(cr_module *module, const conv_layer *l)
{
    conv_settings *s = module->settings;
    cr_dims dims = CR_DIMS(l->transposed ? l->in : l->out,
                           (l->transposed ? l->out : l->in) / l->opts.groups);
    double fan = (double)dims.v[1];
    for (int d = 0; d < l->ndim; d++) {
        dims.v[dims.n] = l->kernel_size.v[l->kernel_size.n == 1 ? 0 : d];
        fan *= (double)dims.v[dims.n++];
    }
    if (!cr__nn_fits(module, dims, l->opts.site))
        return;
    const double bound = 1 / sqrt(fan);
    cr_tensor *x =
        cr__nn_uniform(module->ctx, dims, -bound, bound, l->dtype, l->opts.site);
    s->weight = cr__nn_own(module, "weight", x, false, l->opts.site);
    if (l->no_bias)
        return;
    x = cr__nn_uniform(module->ctx, CR_DIMS(l->out), -bound, bound, l->dtype,
                       l->opts.site);
    s->bias = cr__nn_own(module, "bias", x, false, l->opts.site);
}

static cr_module *make_layer(conv_layer *l)
{
    CR__FP_GUARD();
    l->opts.groups = l->opts.groups ? l->opts.groups : 1;
    cr_module *module = cr__nn_new(
        l->ctx, l->kind,
        &(conv_settings){ .opts = l->opts, .output_padding = l->output_padding });
    if (module && layer_fits(module, l))
        own_weights(module, l);
    return cr__nn_done(module);
}

#define CONVOLVING(KIND, NDIM, TRANSPOSED, LAYER_OPTS, OUTPUT_PADDING, ...)              \
    static cr_tensor *forward_##KIND(cr_module *module, cr_tensor *x, const char *site)  \
    {                                                                                    \
        const conv_settings *s = module->settings;                                       \
        return cr_##KIND##_at(x, s->weight, s->bias, __VA_ARGS__);                       \
    }                                                                                    \
    static const cr__nn_kind KIND##_kind = { .name = #KIND,                              \
                                             .forward = forward_##KIND,                  \
                                             .linear = true,                             \
                                             .settings_size = sizeof(conv_settings) };   \
    cr_module *cr_nn_##KIND##_at(cr_ctx *ctx, int64_t in_channels, int64_t out_channels, \
                                 cr_dims kernel_size, LAYER_OPTS opts)                   \
    {                                                                                    \
        return make_layer(&(conv_layer){ .ctx = ctx,                                     \
                                         .kind = &KIND##_kind,                           \
                                         .ndim = NDIM,                                   \
                                         .transposed = TRANSPOSED,                       \
                                         .no_bias = opts.no_bias,                        \
                                         .in = in_channels,                              \
                                         .out = out_channels,                            \
                                         .kernel_size = kernel_size,                     \
                                         .opts = { .site = opts.site,                    \
                                                   .stride = opts.stride,                \
                                                   .padding = opts.padding,              \
                                                   .dilation = opts.dilation,            \
                                                   .groups = opts.groups },              \
                                         .output_padding = OUTPUT_PADDING,               \
                                         .dtype = opts.dtype });                         \
    }
#define PLAIN(KIND, NDIM)                                    \
    CONVOLVING(KIND, NDIM, false, cr_nn_conv_opts, CR_ALL,   \
               (cr_conv_opts){ .site = site,                 \
                               .stride = s->opts.stride,     \
                               .padding = s->opts.padding,   \
                               .dilation = s->opts.dilation, \
                               .groups = s->opts.groups })
#define TRANSPOSED(KIND, NDIM)                                                   \
    CONVOLVING(KIND, NDIM, true, cr_nn_conv_transpose_opts, opts.output_padding, \
               (cr_conv_transpose_opts){ .site = site,                           \
                                         .stride = s->opts.stride,               \
                                         .padding = s->opts.padding,             \
                                         .output_padding = s->output_padding,    \
                                         .groups = s->opts.groups,               \
                                         .dilation = s->opts.dilation })
PLAIN(conv1d, 1)
PLAIN(conv2d, 2)
PLAIN(conv3d, 3)
TRANSPOSED(conv_transpose1d, 1)
TRANSPOSED(conv_transpose2d, 2)
TRANSPOSED(conv_transpose3d, 3)
