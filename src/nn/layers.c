/* The kinds of modules: layers, activations, normalisations, and those that hold others.
 * Each is a constructor and a forward; the tree they form is in module.c. */
#include "nn.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- what the forwards share ---- */

/* Fails unless x has module->features along dim, with a message that says which module it
 * is. */
static bool takes(const cr_module *module, cr_tensor *x, int dim, const char *site)
{
    char shape[128] = "", path[64];
    size_t length = 0;
    if (cr_size(x, dim) == module->features)
        return true;
    for (int i = 0; i < cr_ndim(x); i++)
        length += (size_t)snprintf(shape + length, sizeof shape - length, "%s%lld",
                                   i ? ", " : "", (long long)cr_size(x, i));
    size_t named = cr__nn_path(module, path, sizeof path);
    cr_fail(module->ctx, CR_ERR_SHAPE,
            "nn_forward: %s%s%s takes %lld features along dim %d, not [%s] (%s)", path,
            named ? ": " : "", module->kind->name, (long long)module->features, dim,
            shape, site ? site : "?");
    return false;
}

static cr_tensor *part(const cr_module *module, int i)
{
    return i < module->n_entries ? module->entries[i].tensor : NULL;
}

/* ---- linear ---- */

static cr_tensor *forward_linear(cr_module *module, cr_tensor *x, const char *site)
{
    if (!takes(module, x, -1, site))
        return NULL;
    return cr_linear_at(x, part(module, 0), part(module, 1), site);
}

static const cr__nn_kind linear = { "linear", forward_linear, false };

cr_module *cr_nn_linear_at(cr_ctx *ctx, int64_t in, int64_t out, cr_nn_linear_opts opts)
{
    cr_module *module = cr__nn_new(ctx, &linear);
    if (!module)
        return NULL;
    double bound = in > 0 ? 1 / sqrt((double)in) : 0;
    module->features = in;
    cr__nn_own(
        module, "weight",
        cr__nn_uniform(ctx, CR_DIMS(out, in), -bound, bound, opts.dtype, opts.site),
        false);
    if (!opts.no_bias)
        cr__nn_own(
            module, "bias",
            cr__nn_uniform(ctx, CR_DIMS(out), -bound, bound, opts.dtype, opts.site),
            false);
    return cr__nn_done(module);
}

/* ---- activations ---- */

static cr_tensor *softplus(cr_tensor *x, const char *site)
{
    return cr_softplus_at(x, (cr_softplus_opts){ .site = site });
}

static cr_tensor *gelu(cr_tensor *x, const char *site)
{
    return cr_gelu_at(x, (cr_gelu_opts){ .site = site });
}

static cr_tensor *forward_activation(cr_module *module, cr_tensor *x, const char *site)
{
    return module->activation(x, site);
}

enum { SIGMOID, TANH, RELU, SOFTPLUS, GELU, SILU };

static const struct {
    cr__nn_kind kind;
    cr_tensor *(*function)(cr_tensor *x, const char *site);
} activations[] = {
    [SIGMOID] = { { "sigmoid", forward_activation, false }, cr_sigmoid_at },
    [TANH] = { { "tanh", forward_activation, false }, cr_tanh_at },
    [RELU] = { { "relu", forward_activation, false }, cr_relu_at },
    [SOFTPLUS] = { { "softplus", forward_activation, false }, softplus },
    [GELU] = { { "gelu", forward_activation, false }, gelu },
    [SILU] = { { "silu", forward_activation, false }, cr_silu_at },
};

static cr_module *activation(cr_ctx *ctx, int which)
{
    cr_module *module = cr__nn_new(ctx, &activations[which].kind);
    if (module)
        module->activation = activations[which].function;
    return cr__nn_done(module);
}

cr_module *cr_nn_sigmoid(cr_ctx *ctx)
{
    return activation(ctx, SIGMOID);
}

cr_module *cr_nn_tanh(cr_ctx *ctx)
{
    return activation(ctx, TANH);
}

cr_module *cr_nn_relu(cr_ctx *ctx)
{
    return activation(ctx, RELU);
}

cr_module *cr_nn_softplus(cr_ctx *ctx)
{
    return activation(ctx, SOFTPLUS);
}

cr_module *cr_nn_gelu(cr_ctx *ctx)
{
    return activation(ctx, GELU);
}

cr_module *cr_nn_silu(cr_ctx *ctx)
{
    return activation(ctx, SILU);
}

static cr_tensor *forward_leaky_relu(cr_module *module, cr_tensor *x, const char *site)
{
    return cr_leaky_relu_at(x, module->number, site);
}

static const cr__nn_kind leaky_relu = { "leaky_relu", forward_leaky_relu, false };

cr_module *cr_nn_leaky_relu(cr_ctx *ctx, double negative_slope)
{
    cr_module *module = cr__nn_new(ctx, &leaky_relu);
    if (module)
        module->number = negative_slope;
    return cr__nn_done(module);
}

/* ---- dropout ---- */

static cr_tensor *forward_dropout(cr_module *module, cr_tensor *x, const char *site)
{
    return module->evaluating ? x : cr_dropout_at(x, module->number, site);
}

static const cr__nn_kind dropout = { "dropout", forward_dropout, false };

cr_module *cr_nn_dropout(cr_ctx *ctx, double p)
{
    cr_module *module = cr__nn_new(ctx, &dropout);
    if (!module)
        return NULL;
    module->number = p;
    if (!(p >= 0 && p <= 1))
        cr_fail(ctx, CR_ERR_ARGUMENT, "nn_dropout: p is a probability, 0 to 1, not %g",
                p);
    return cr__nn_done(module);
}

/* ---- normalisation ---- */

static cr_tensor *forward_batch_norm(cr_module *module, cr_tensor *x, const char *site)
{
    if (!takes(module, x, 1, site))
        return NULL;
    if (!module->evaluating && cr_numel(x) <= module->features) {
        cr_fail(module->ctx, CR_ERR_SHAPE,
                "nn_forward: batch_norm1d has no variance to train with in a batch of "
                "one (%s); "
                "cr_nn_train(module, false) uses the running statistics",
                site ? site : "?");
        return NULL;
    }
    return cr_batch_norm_at(x, part(module, 2), part(module, 3), part(module, 0),
                            part(module, 1), !module->evaluating, 0.1,
                            (cr_norm_opts){ .site = site });
}

static cr_tensor *forward_layer_norm(cr_module *module, cr_tensor *x, const char *site)
{
    if (!takes(module, x, -1, site))
        return NULL;
    return cr_layer_norm_at(x, CR_DIMS(module->features), part(module, 0),
                            part(module, 1), (cr_norm_opts){ .site = site });
}

static const cr__nn_kind batch_norm1d = { "batch_norm1d", forward_batch_norm, false };
static const cr__nn_kind layer_norm = { "layer_norm", forward_layer_norm, false };

/* Weight and bias: entries 0 and 1. */
static cr_module *normalisation(cr_ctx *ctx, const cr__nn_kind *kind, int64_t features,
                                cr_make_opts opts)
{
    cr_module *module = cr__nn_new(ctx, kind);
    if (!module)
        return NULL;
    module->features = features;
    cr__nn_own(module, "weight", cr_full_at(ctx, CR_DIMS(features), cr_arg_int(1), opts),
               false);
    cr__nn_own(module, "bias", cr_full_at(ctx, CR_DIMS(features), cr_arg_int(0), opts),
               false);
    return module;
}

cr_module *cr_nn_batch_norm1d(cr_ctx *ctx, int64_t features, cr_dtype dtype)
{
    cr_make_opts opts = { .site = "cr_nn_batch_norm1d", .dtype = dtype };
    cr_module *module = normalisation(ctx, &batch_norm1d, features, opts);
    cr__nn_own(module, "running_mean",
               cr_full_at(ctx, CR_DIMS(features), cr_arg_int(0), opts), true);
    cr__nn_own(module, "running_var",
               cr_full_at(ctx, CR_DIMS(features), cr_arg_int(1), opts), true);
    return cr__nn_done(module);
}

cr_module *cr_nn_layer_norm(cr_ctx *ctx, int64_t features, cr_dtype dtype)
{
    cr_make_opts opts = { .site = "cr_nn_layer_norm", .dtype = dtype };
    return cr__nn_done(normalisation(ctx, &layer_norm, features, opts));
}

/* ---- modules that hold others ---- */

static cr_tensor *forward_sequential(cr_module *module, cr_tensor *x, const char *site)
{
    for (int i = 0; x && i < module->n_children; i++)
        x = cr__nn_run(module->children[i], x, site);
    return x;
}

static const cr__nn_kind sequential = { "sequential", forward_sequential, true };

cr_module *cr_nn_sequential(cr_ctx *ctx)
{
    return cr__nn_done(cr__nn_new(ctx, &sequential));
}

static cr_tensor *forward_residual(cr_module *module, cr_tensor *x, const char *site)
{
    cr_tensor *y = cr__nn_run(module->children[0], x, site);
    return y ? cr_add_at(cr_arg_tensor(x), cr_arg_tensor(y), site) : NULL;
}

static const cr__nn_kind residual = { "residual", forward_residual, false };

cr_module *cr_nn_residual(cr_ctx *ctx, cr_module *inner)
{
    cr_module *module = cr__nn_new(ctx, &residual);
    if (module)
        cr__nn_adopt(module, inner);
    else if (inner && !inner->parent)
        cr_nn_free(inner);
    return cr__nn_done(module);
}

static cr_tensor *forward_custom(cr_module *module, cr_tensor *x, const char *site)
{
    cr_tensor *y = module->custom_forward(module, x, module->user);
    if (!y && !cr_error(module->ctx))
        cr_fail(module->ctx, CR_ERR_NULL,
                "nn_forward: the forward of %s returned NULL (%s)", module->custom_kind,
                site ? site : "?");
    return y;
}

static const cr__nn_kind custom = { "custom", forward_custom, true };

cr_module *cr_nn_custom(cr_ctx *ctx, const char *kind, cr_nn_forward_fn *forward,
                        void *user, void (*free_user)(void *user))
{
    cr_module *module = cr__nn_new(ctx, &custom);
    if (!module) {
        if (free_user)
            free_user(user);
        return NULL;
    }
    module->custom_forward = forward;
    module->user = user;
    module->free_user = free_user;
    if (!kind || !forward)
        cr_fail(ctx, CR_ERR_NULL, "nn_custom: %s is NULL", kind ? "forward" : "kind");
    else if ((module->custom_kind = cr__alloc(ctx, strlen(kind) + 1)))
        strcpy(module->custom_kind, kind);
    return cr__nn_done(module);
}
