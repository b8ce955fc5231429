/* The kinds of modules: layers, activations, normalisations, and those that hold others.
 * Each is its settings, a forward, a row and a constructor, in one place; the tree they form
 * is in module.c. */
#include "nn.h"

#include "../base/fp.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Fails unless x has so many features along dim, with a message that says which module it
 * is. */
static bool takes(const cr_module *module, cr_tensor *x, int dim, int64_t features,
                  const char *site)
{
    char shape[200] = "", path[64];
    size_t length = 0;
    if (cr_size(x, dim) == features)
        return true;
    for (int i = 0; i < cr_ndim(x); i++)
        length += (size_t)snprintf(shape + length, sizeof shape - length, "%s%lld",
                                   i ? ", " : "", (long long)cr_size(x, i));
    size_t named = cr_nn_path(module, path, sizeof path);
    cr_fail(module->ctx, CR_ERR_SHAPE,
            "nn_forward: %s%s%s takes %lld features along dim %d, not [%s] (%s)", path,
            named ? ": " : "", module->name, (long long)features, dim, shape, site);
    return false;
}

/* A parameter, or a buffer, that is the same number everywhere. */
static cr_tensor *own_full(cr_module *module, const char *name, cr_dims dims, int value,
                           cr_dtype dtype, bool buffer, const char *site)
{
    cr_make_opts opts = { .site = site, .dtype = dtype };
    return cr__nn_own(module, name,
                      cr_full_at(module->ctx, dims, cr_arg_int(value), opts), buffer,
                      site);
}

/* ---- linear ---- */

typedef struct linear_settings {
    int64_t in;
    cr_tensor *weight, *bias;
} linear_settings;

static cr_tensor *forward_linear(cr_module *module, cr_tensor *x, const char *site)
{
    const linear_settings *s = module->settings;
    if (!takes(module, x, -1, s->in, site))
        return NULL;
    return cr_linear_at(x, s->weight, s->bias, site);
}

static const cr__nn_kind linear = { .name = "linear",
                                    .forward = forward_linear,
                                    .settings_size = sizeof(linear_settings) };

static cr_tensor *own_uniform(cr_module *module, const char *name, cr_dims dims,
                              int64_t fan_in, cr_dtype dtype, const char *site)
{
    CR__FP_GUARD();
    CR__HOLD(fan_in);
    double bound = 1 / sqrt((double)fan_in);
    cr_tensor *x = cr__nn_uniform(module->ctx, dims, -bound, bound, dtype, site);
    return cr__nn_own(module, name, x, false, site);
}

cr_module *cr_nn_linear_at(cr_ctx *ctx, int64_t in, int64_t out, cr_nn_linear_opts opts)
{
    cr_module *module = cr__nn_new(ctx, &linear, &(linear_settings){ .in = in });
    if (cr__nn_size(module, "in", in, opts.site) &&
        cr__nn_size(module, "out", out, opts.site) &&
        cr__nn_float(module, opts.dtype, opts.site) &&
        cr__nn_fits(module, CR_DIMS(out, in), opts.site)) {
        linear_settings *s = module->settings;
        s->weight =
            own_uniform(module, "weight", CR_DIMS(out, in), in, opts.dtype, opts.site);
        if (!opts.no_bias)
            s->bias =
                own_uniform(module, "bias", CR_DIMS(out), in, opts.dtype, opts.site);
    }
    return cr__nn_done(module);
}

/* ---- embedding ---- */

typedef struct embedding_settings {
    cr_embedding_opts opts;
    cr_tensor *weight;
} embedding_settings;

static cr_tensor *forward_embedding(cr_module *module, cr_tensor *x, const char *site)
{
    const embedding_settings *s = module->settings;
    cr_embedding_opts opts = s->opts;
    opts.site = site;
    return cr_embedding_at(s->weight, x, opts);
}

static const cr__nn_kind embedding = { .name = "embedding",
                                       .forward = forward_embedding,
                                       .settings_size = sizeof(embedding_settings) };

/* The place of the row of padding, from the start; false with the error. */
static bool resolve_padding(const cr_module *module, int64_t count, cr_opt_int *padding,
                            const char *site)
{
    if (!padding->given || (padding->v >= -count && padding->v < count)) {
        padding->v += padding->given && padding->v < 0 ? count : 0;
        return true;
    }
    cr_fail(module->ctx, CR_ERR_ARGUMENT,
            "nn_embedding: padding_idx is %lld; one of %lld rows (%s)",
            (long long)padding->v, (long long)count, site);
    return false;
}

cr_module *cr_nn_embedding_at(cr_ctx *ctx, int64_t count, int64_t width,
                              cr_nn_embedding_opts opts)
{
    cr_module *module =
        cr__nn_new(ctx, &embedding, &(embedding_settings){ .weight = NULL });
    if (cr__nn_size(module, "count", count, opts.site) &&
        cr__nn_size(module, "width", width, opts.site) &&
        cr__nn_float(module, opts.dtype, opts.site) &&
        cr__nn_fits(module, CR_DIMS(count, width), opts.site) &&
        resolve_padding(module, count, &opts.padding_idx, opts.site)) {
        embedding_settings *s = module->settings;
        cr_make_opts make = { .site = opts.site, .dtype = opts.dtype };
        cr_tensor *weight = cr_randn_at(ctx, CR_DIMS(count, width), make);
        int64_t row = opts.padding_idx.v;
        if (opts.padding_idx.given)
            weight = cr_slice_scatter_at(
                weight, cr_full_at(ctx, CR_DIMS(1, width), cr_arg_int(0), make), 0, row,
                row + 1, (cr_slice_opts){ .site = opts.site });
        s->opts.padding_idx = opts.padding_idx;
        s->weight = cr__nn_own(module, "weight", weight, false, opts.site);
    }
    return cr__nn_done(module);
}

/* ---- activations ---- */

/* Those without settings are their function and a line. */
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
    cr__nn_number(module, "negative_slope", negative_slope, -DBL_MAX, DBL_MAX,
                  "a finite number", opts.site);
    return cr__nn_done(module);
}

static cr_tensor *forward_softplus(cr_module *module, cr_tensor *x, const char *site)
{
    cr_softplus_opts opts = *(const cr_softplus_opts *)module->settings;
    opts.site = site;
    return cr_softplus_at(x, opts);
}

static const cr__nn_kind softplus_kind = { .name = "softplus",
                                           .forward = forward_softplus,
                                           .settings_size = sizeof(cr_softplus_opts) };

cr_module *cr_nn_softplus_at(cr_ctx *ctx, cr_softplus_opts opts)
{
    cr_module *module = cr__nn_new(ctx, &softplus_kind, &opts);
    /* beta 0 stands for the default */
    if (cr__nn_number(module, "beta", opts.beta, 0, DBL_MAX, "above 0", opts.site) &&
        opts.threshold.given)
        cr__nn_number(module, "threshold", opts.threshold.v, -DBL_MAX, DBL_MAX,
                      "a finite number", opts.site);
    return cr__nn_done(module);
}

static cr_tensor *forward_gelu(cr_module *module, cr_tensor *x, const char *site)
{
    cr_gelu_opts opts = *(const cr_gelu_opts *)module->settings;
    opts.site = site;
    return cr_gelu_at(x, opts);
}

static const cr__nn_kind gelu_kind = { .name = "gelu",
                                       .forward = forward_gelu,
                                       .settings_size = sizeof(cr_gelu_opts) };

cr_module *cr_nn_gelu_at(cr_ctx *ctx, cr_gelu_opts opts)
{
    cr_module *module = cr__nn_new(ctx, &gelu_kind, &opts);
    if (module && opts.approximate != CR_APPROXIMATE_NONE &&
        opts.approximate != CR_APPROXIMATE_TANH)
        cr_fail(
            ctx, CR_ERR_ARGUMENT,
            "nn_gelu: approximate is %d; CR_APPROXIMATE_NONE or CR_APPROXIMATE_TANH (%s)",
            (int)opts.approximate, opts.site ? opts.site : "?");
    return cr__nn_done(module);
}

/* ---- dropout ---- */

static cr_tensor *forward_dropout(cr_module *module, cr_tensor *x, const char *site)
{
    return module->evaluating ? x
                              : cr_dropout_at(x, *(const double *)module->settings, site);
}

static const cr__nn_kind dropout = { .name = "dropout",
                                     .forward = forward_dropout,
                                     .settings_size = sizeof(double) };

cr_module *cr_nn_dropout_at(cr_ctx *ctx, double p, cr_nn_opts opts)
{
    cr_module *module = cr__nn_new(ctx, &dropout, &p);
    cr__nn_number(module, "p", p, 0, 1, "a probability, from 0 to 1", opts.site);
    return cr__nn_done(module);
}

/* ---- normalisation ---- */

typedef struct batch_norm_settings {
    int64_t features;
    double eps, momentum;
    cr_tensor *weight, *bias, *mean, *var;
} batch_norm_settings;

static cr_tensor *forward_batch_norm(cr_module *module, cr_tensor *x, const char *site)
{
    const batch_norm_settings *s = module->settings;
    bool training = !module->evaluating || !s->mean;
    if (!takes(module, x, 1, s->features, site))
        return NULL;
    if (training && cr_numel(x) <= s->features) {
        cr_fail(module->ctx, CR_ERR_SHAPE,
                "nn_forward: batch_norm1d has no variance to train with in a batch of "
                "one (%s); cr_nn_train(module, false) uses the running statistics",
                site);
        return NULL;
    }
    return cr_batch_norm_at(x, s->mean, s->var, s->weight, s->bias, training, s->momentum,
                            (cr_norm_opts){ .site = site, .eps = s->eps });
}

static const cr__nn_kind batch_norm1d = { .name = "batch_norm1d",
                                          .forward = forward_batch_norm,
                                          .settings_size = sizeof(batch_norm_settings) };

cr_module *cr_nn_batch_norm1d_at(cr_ctx *ctx, int64_t features,
                                 cr_nn_batch_norm_opts opts)
{
    double momentum = opts.momentum.given ? opts.momentum.v : 0.1;
    const batch_norm_settings given = { features, opts.eps, momentum, 0, 0, 0, 0 };
    const char *site = opts.site;
    cr_module *module = cr__nn_new(ctx, &batch_norm1d, &given);
    if (cr__nn_size(module, "features", features, site) &&
        cr__nn_number(module, "eps", opts.eps, 0, DBL_MAX, "above 0", site) &&
        cr__nn_number(module, "momentum", momentum, 0, 1, "from 0 to 1", site) &&
        cr__nn_float(module, opts.dtype, site) &&
        cr__nn_fits(module, CR_DIMS(features), site)) {
        batch_norm_settings *s = module->settings;
        cr_dims dims = CR_DIMS(features);
        if (!opts.no_affine) {
            s->weight = own_full(module, "weight", dims, 1, opts.dtype, false, site);
            s->bias = own_full(module, "bias", dims, 0, opts.dtype, false, site);
        }
        if (!opts.no_running_stats) {
            s->mean = own_full(module, "running_mean", dims, 0, opts.dtype, true, site);
            s->var = own_full(module, "running_var", dims, 1, opts.dtype, true, site);
        }
    }
    return cr__nn_done(module);
}

typedef struct layer_norm_settings {
    cr_dims shape;
    double eps;
    cr_tensor *weight, *bias;
} layer_norm_settings;

static cr_tensor *forward_layer_norm(cr_module *module, cr_tensor *x, const char *site)
{
    const layer_norm_settings *s = module->settings;
    for (int i = 1; i <= s->shape.n; i++)
        if (!takes(module, x, -i, s->shape.v[s->shape.n - i], site))
            return NULL;
    return cr_layer_norm_at(x, s->shape, s->weight, s->bias,
                            (cr_norm_opts){ .site = site, .eps = s->eps });
}

static const cr__nn_kind layer_norm = { .name = "layer_norm",
                                        .forward = forward_layer_norm,
                                        .settings_size = sizeof(layer_norm_settings) };

static bool check_normalized_shape(const cr_module *module, cr_dims shape,
                                   const char *site)
{
    if (module && (shape.n < 1 || shape.n > CR_MAX_DIMS))
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "nn_layer_norm: normalized_shape has %d sizes; 1 to %d (%s)", shape.n,
                CR_MAX_DIMS, site ? site : "?");
    bool good = module && !cr_error(module->ctx);
    for (int i = 0; good && i < shape.n; i++)
        good = cr__nn_size(module, "a size of normalized_shape", shape.v[i], site);
    return good;
}

cr_module *cr_nn_layer_norm_at(cr_ctx *ctx, cr_dims normalized_shape,
                               cr_nn_layer_norm_opts opts)
{
    const layer_norm_settings given = { normalized_shape, opts.eps, NULL, NULL };
    cr_module *module = cr__nn_new(ctx, &layer_norm, &given);
    const char *site = opts.site;
    if (check_normalized_shape(module, normalized_shape, site) &&
        cr__nn_number(module, "eps", opts.eps, 0, DBL_MAX, "above 0", site) &&
        cr__nn_float(module, opts.dtype, site) &&
        cr__nn_fits(module, normalized_shape, site) && !opts.no_affine) {
        layer_norm_settings *s = module->settings;
        s->weight = own_full(module, "weight", s->shape, 1, opts.dtype, false, site);
        if (!opts.no_bias)
            s->bias = own_full(module, "bias", s->shape, 0, opts.dtype, false, site);
    }
    return cr__nn_done(module);
}

/* ---- modules that hold others ---- */

static cr_tensor *forward_sequential(cr_module *module, cr_tensor *x, const char *site)
{
    for (int i = 0; x && i < module->n_children; i++)
        x = cr__nn_run(module->children[i], x, site);
    return x;
}

static const cr__nn_kind sequential = { .name = "sequential",
                                        .forward = forward_sequential,
                                        .holds_children = true };

cr_module *cr_nn_sequential_at(cr_ctx *ctx, cr_nn_opts opts)
{
    (void)opts;
    return cr__nn_done(cr__nn_new(ctx, &sequential, NULL));
}

typedef struct residual_settings {
    double scale;
    char *name;
} residual_settings;

static cr_tensor *forward_residual(cr_module *module, cr_tensor *x, const char *site)
{
    const double scale = ((const residual_settings *)module->settings)->scale;
    cr_tensor *y = cr__nn_run(module->children[0], x, site);
    if (y && scale != 1)
        y = cr_mul_at(cr_arg_tensor(y), cr_arg_real(scale), site);
    return y ? cr_add_at(cr_arg_tensor(x), cr_arg_tensor(y), site) : NULL;
}

static void end_residual(cr_module *module)
{
    cr__free(module->ctx, ((residual_settings *)module->settings)->name);
}

static const cr__nn_kind residual = { .name = "residual",
                                      .forward = forward_residual,
                                      .settings_size = sizeof(residual_settings),
                                      .end = end_residual };

static void name_branch(cr_module *module, const char *name, const char *site)
{
    residual_settings *s = module->settings;
    if (!cr__nn_name(module, name, site) ||
        !(s->name = cr__alloc(module->ctx, strlen(name) + 1)))
        return;
    module->branch = strcpy(s->name, name);
}

cr_module *cr_nn_residual_at(cr_ctx *ctx, cr_module *inner, cr_nn_residual_opts opts)
{
    residual_settings given = { .scale = opts.scale.given ? opts.scale.v : 1 };
    cr_module *module = cr__nn_new(ctx, &residual, &given);
    if (module)
        cr__nn_adopt(module, inner, 0, opts.site);
    else
        cr__nn_discard(inner);
    if (cr__nn_number(module, "scale", given.scale, -DBL_MAX, DBL_MAX, "a finite number",
                      opts.site) &&
        opts.name)
        name_branch(module, opts.name, opts.site);
    return cr__nn_done(module);
}

double cr_nn_scale(const cr_module *module)
{
    return module && module->kind == &residual
               ? ((const residual_settings *)module->settings)->scale
               : (double)NAN;
}

cr_status cr_nn_set_scale_at(cr_module *module, double scale, const char *site)
{
    if (!module)
        return CR_ERR_NULL;
    if (module->kind != &residual)
        return cr_fail(module->ctx, CR_ERR_ARGUMENT,
                       "nn_set_scale: a %s has no scale; a residual has (%s)",
                       module->name, site ? site : "?");
    if (cr__nn_number(module, "scale", scale, -DBL_MAX, DBL_MAX, "a finite number", site))
        ((residual_settings *)module->settings)->scale = scale;
    return cr_error(module->ctx);
}

/* ---- modules of the user's own ---- */

typedef struct custom_settings {
    char *name;
    cr_nn_forward_fn *forward;
    void *user;
    void (*free_user)(void *user);
} custom_settings;

static cr_tensor *forward_custom(cr_module *module, cr_tensor *x, const char *site)
{
    const custom_settings *s = module->settings;
    cr_tensor *y = s->forward(module, x, s->user);
    if (!y && !cr_error(module->ctx))
        cr_fail(module->ctx, CR_ERR_NULL,
                "nn_forward: the forward of %s returned NULL (%s)", module->name, site);
    return y;
}

static void end_custom(cr_module *module)
{
    custom_settings *s = module->settings;
    if (s->free_user)
        s->free_user(s->user);
    cr__free(module->ctx, s->name);
}

static const cr__nn_kind custom = { .name = "custom",
                                    .forward = forward_custom,
                                    .settings_size = sizeof(custom_settings),
                                    .holds_children = true,
                                    .end = end_custom };

cr_module *cr_nn_custom_at(cr_ctx *ctx, const char *kind, cr_nn_forward_fn *forward,
                           void *user, void (*free_user)(void *user), cr_nn_opts opts)
{
    const custom_settings given = { NULL, forward, user, free_user };
    cr_module *module = cr__nn_new(ctx, &custom, &given);
    if (!module) {
        if (free_user)
            free_user(user);
        return NULL;
    }
    custom_settings *s = module->settings;
    if (!kind || !forward)
        cr_fail(ctx, CR_ERR_NULL, "nn_custom: %s is NULL (%s)", kind ? "forward" : "kind",
                opts.site ? opts.site : "?");
    else if ((s->name = cr__alloc(ctx, strlen(kind) + 1)))
        module->name = strcpy(s->name, kind);
    return cr__nn_done(module);
}
