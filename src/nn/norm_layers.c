/* The kinds of modules that normalise: settings and checks for all, a forward and a constructor for
 * each. */
#include "nn.h"

#include <float.h>
#include <stdio.h>

typedef struct norm_settings {
    int64_t features; /* along dim 1 */
    int64_t groups;
    cr_dims shape; /* of the last dimensions */
    cr_opt_real eps;
    double momentum;
    cr_tensor *weight, *bias, *mean, *var;
} norm_settings;

/* A kind, and how many dimensions it takes. */
typedef struct norm_kind {
    cr__nn_kind kind;
    int least, most;
} norm_kind;

#define NORM_KIND(name_, forward_, least_, most_)                                        \
    static const norm_kind name_##_kind = {                                              \
        { .name = #name_, .forward = forward_, .settings_size = sizeof(norm_settings) }, \
        least_,                                                                          \
        most_                                                                            \
    }

static bool norm_takes(const cr_module *module, cr_tensor *x, const char *site)
{
    const norm_kind *kind = (const norm_kind *)(const void *)module->kind;
    const norm_settings *s = module->settings;
    return cr__nn_takes_rank(module, x, kind->least, kind->most, site) &&
           cr__nn_takes(module, x, 1, s->features, site);
}

static cr_norm_opts norm_opts(const norm_settings *s, const char *site)
{
    return (cr_norm_opts){ .site = site, .eps = s->eps.v };
}

/* Weight and bias, ones and zeros, of this shape. */
static void own_affine(cr_module *module, cr_dims dims, bool bias, cr_dtype dtype,
                       const char *site)
{
    norm_settings *s = module->settings;
    s->weight = cr__nn_own_full(module, "weight", dims, 1, dtype, false, site);
    if (bias)
        s->bias = cr__nn_own_full(module, "bias", dims, 0, dtype, false, site);
}

/* What all check, and a module of the kind's; its parameters come after that. */
static bool norm_fits(const cr_module *module, cr_dims dims, cr_dtype dtype,
                      const char *site)
{
    const norm_settings *s = module ? module->settings : NULL;
    return s && cr__nn_number(module, "eps", s->eps.v, 0, DBL_MAX, "above 0", site) &&
           cr__nn_number(module, "momentum", s->momentum, 0, 1, "from 0 to 1", site) &&
           cr__nn_float(module, dtype, site) && cr__nn_fits(module, dims, site);
}

/* ---- over the batch, or over each sample: per channel ---- */

static cr_tensor *forward_batch_norm(cr_module *module, cr_tensor *x, const char *site)
{
    const norm_settings *s = module->settings;
    bool training = !module->evaluating || !s->mean;
    if (!norm_takes(module, x, site))
        return NULL;
    if (training && cr_numel(x) <= s->features) {
        cr_fail(module->ctx, CR_ERR_SHAPE,
                "nn_forward: %s has no variance to train with in a batch of one (%s); "
                "cr_nn_train(module, false) uses the running statistics",
                module->name, site);
        return NULL;
    }
    return cr_batch_norm_at(x, s->mean, s->var, s->weight, s->bias, training, s->momentum,
                            norm_opts(s, site));
}

NORM_KIND(batch_norm1d, forward_batch_norm, 2, 3);
NORM_KIND(batch_norm2d, forward_batch_norm, 4, 4);
NORM_KIND(batch_norm3d, forward_batch_norm, 5, 5);

static cr_tensor *forward_instance_norm(cr_module *module, cr_tensor *x, const char *site)
{
    const norm_settings *s = module->settings;
    if (!norm_takes(module, x, site))
        return NULL;
    return cr_instance_norm_at(x, s->mean, s->var, s->weight, s->bias,
                               !module->evaluating || !s->mean, s->momentum,
                               norm_opts(s, site));
}

NORM_KIND(instance_norm1d, forward_instance_norm, 3, 3);
NORM_KIND(instance_norm2d, forward_instance_norm, 4, 4);
NORM_KIND(instance_norm3d, forward_instance_norm, 5, 5);

/* What the constructors of these differ in is which parts they own. */
static cr_module *channel_norm(cr_ctx *ctx, const norm_kind *kind, int64_t features,
                               bool affine, bool statistics,
                               const cr_nn_batch_norm_opts *opts)
{
    const norm_settings given = {
        .features = features,
        .eps.v = opts->eps,
        .momentum = opts->momentum.given ? opts->momentum.v : 0.1,
    };
    const cr_dims dims = CR_DIMS(features);
    const char *site = opts->site;
    cr_module *module = cr__nn_new(ctx, &kind->kind, &given);
    if (cr__nn_size(module, "num_features", features, site) &&
        norm_fits(module, dims, opts->dtype, site)) {
        norm_settings *s = module->settings;
        if (affine)
            own_affine(module, dims, true, opts->dtype, site);
        if (statistics) {
            s->mean =
                cr__nn_own_full(module, "running_mean", dims, 0, opts->dtype, true, site);
            s->var =
                cr__nn_own_full(module, "running_var", dims, 1, opts->dtype, true, site);
        }
    }
    return cr__nn_done(module);
}

static cr_module *instance_norm(cr_ctx *ctx, const norm_kind *kind, int64_t features,
                                const cr_nn_instance_norm_opts *opts)
{
    const cr_nn_batch_norm_opts same = { .site = opts->site,
                                         .eps = opts->eps,
                                         .momentum = opts->momentum,
                                         .dtype = opts->dtype };
    return channel_norm(ctx, kind, features, opts->affine, opts->track_running_stats,
                        &same);
}

#define CHANNEL_NORM(dims)                                                           \
    cr_module *cr_nn_batch_norm##dims##_at(cr_ctx *ctx, int64_t num_features,        \
                                           cr_nn_batch_norm_opts opts)               \
    {                                                                                \
        return channel_norm(ctx, &batch_norm##dims##_kind, num_features,             \
                            !opts.no_affine, !opts.no_running_stats, &opts);         \
    }                                                                                \
    cr_module *cr_nn_instance_norm##dims##_at(cr_ctx *ctx, int64_t num_features,     \
                                              cr_nn_instance_norm_opts opts)         \
    {                                                                                \
        return instance_norm(ctx, &instance_norm##dims##_kind, num_features, &opts); \
    }

CHANNEL_NORM(1d)
CHANNEL_NORM(2d)
CHANNEL_NORM(3d)

/* ---- over groups of channels ---- */

static cr_tensor *forward_group_norm(cr_module *module, cr_tensor *x, const char *site)
{
    const norm_settings *s = module->settings;
    if (!norm_takes(module, x, site))
        return NULL;
    return cr_group_norm_at(x, s->groups, s->weight, s->bias, norm_opts(s, site));
}

NORM_KIND(group_norm, forward_group_norm, 2, CR_MAX_DIMS);

cr_module *cr_nn_group_norm_at(cr_ctx *ctx, int64_t num_groups, int64_t num_channels,
                               cr_nn_group_norm_opts opts)
{
    const norm_settings given = { .features = num_channels,
                                  .groups = num_groups,
                                  .eps.v = opts.eps };
    cr_module *module = cr__nn_new(ctx, &group_norm_kind.kind, &given);
    if (cr__nn_size(module, "num_groups", num_groups, opts.site) &&
        cr__nn_size(module, "num_channels", num_channels, opts.site) &&
        norm_fits(module, CR_DIMS(num_channels), opts.dtype, opts.site) &&
        (num_channels % num_groups == 0 ||
         cr__nn_refuse(module, CR_ERR_ARGUMENT, opts.site,
                       "num_groups %lld does not divide %lld channels",
                       (long long)num_groups, (long long)num_channels)) &&
        !opts.no_affine)
        own_affine(module, CR_DIMS(num_channels), true, opts.dtype, opts.site);
    return cr__nn_done(module);
}

/* ---- over the last dimensions ---- */

static bool takes_shape(const cr_module *module, cr_tensor *x, const char *site)
{
    const norm_settings *s = module->settings;
    for (int i = 1; i <= s->shape.n; i++)
        if (!cr__nn_takes(module, x, -i, s->shape.v[s->shape.n - i], site))
            return false;
    return true;
}

static cr_tensor *forward_layer_norm(cr_module *module, cr_tensor *x, const char *site)
{
    const norm_settings *s = module->settings;
    if (!takes_shape(module, x, site))
        return NULL;
    return cr_layer_norm_at(x, s->shape, s->weight, s->bias, norm_opts(s, site));
}

static cr_tensor *forward_rms_norm(cr_module *module, cr_tensor *x, const char *site)
{
    const norm_settings *s = module->settings;
    if (!takes_shape(module, x, site))
        return NULL;
    return cr_rms_norm_at(x, s->shape, s->weight,
                          (cr_rms_norm_opts){ .site = site, .eps = s->eps });
}

NORM_KIND(layer_norm, forward_layer_norm, 1, CR_MAX_DIMS);
NORM_KIND(rms_norm, forward_rms_norm, 1, CR_MAX_DIMS);

static bool shape_fits(const cr_module *module, cr_dims shape, const char *site)
{
    if (module && (shape.n < 1 || shape.n > CR_MAX_DIMS))
        cr__nn_refuse(module, CR_ERR_ARGUMENT, site,
                      "normalized_shape has %d sizes; 1 to %d", shape.n, CR_MAX_DIMS);
    bool good = module && !cr_error(module->ctx);
    for (int i = 0; good && i < shape.n; i++)
        good = cr__nn_size(module, "a size of normalized_shape", shape.v[i], site);
    return good;
}

cr_module *cr_nn_layer_norm_at(cr_ctx *ctx, cr_dims normalized_shape,
                               cr_nn_layer_norm_opts opts)
{
    const norm_settings given = { .shape = normalized_shape, .eps.v = opts.eps };
    cr_module *module = cr__nn_new(ctx, &layer_norm_kind.kind, &given);
    if (shape_fits(module, normalized_shape, opts.site) &&
        norm_fits(module, normalized_shape, opts.dtype, opts.site) && !opts.no_affine)
        own_affine(module, normalized_shape, !opts.no_bias, opts.dtype, opts.site);
    return cr__nn_done(module);
}

cr_module *cr_nn_rms_norm_at(cr_ctx *ctx, cr_dims normalized_shape,
                             cr_nn_rms_norm_opts opts)
{
    const norm_settings given = { .shape = normalized_shape, .eps = opts.eps };
    cr_module *module = cr__nn_new(ctx, &rms_norm_kind.kind, &given);
    if (opts.eps.given)
        cr__nn_number(module, "eps", opts.eps.v, DBL_TRUE_MIN, DBL_MAX, "above 0",
                      opts.site);
    if (shape_fits(module, normalized_shape, opts.site) &&
        norm_fits(module, normalized_shape, opts.dtype, opts.site) && !opts.no_affine)
        own_affine(module, normalized_shape, false, opts.dtype, opts.site);
    return cr__nn_done(module);
}
