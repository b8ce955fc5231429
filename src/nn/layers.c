/* The kinds of modules: linear layers, embeddings, dropout, shapes, and those that hold others.
 * Each is its settings, a forward, a row and a constructor, in one place; the tree they form
 * is in module.c. */
#include "nn.h"

#include "../base/fp.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- linear ---- */

typedef struct linear_settings {
    int64_t in;
    cr_tensor *weight, *bias;
} linear_settings;

static cr_tensor *forward_linear(cr_module *module, cr_tensor *x, const char *site)
{
    const linear_settings *s = module->settings;
    if (!cr__nn_takes(module, x, -1, s->in, site))
        return NULL;
    return cr_linear_at(x, s->weight, s->bias, site);
}

static const cr__nn_kind linear = { .name = "linear",
                                    .forward = forward_linear,
                                    .linear = true,
                                    .settings_size = sizeof(linear_settings) };

cr_module *cr_nn_linear_at(cr_ctx *ctx, int64_t in, int64_t out, cr_nn_linear_opts opts)
{
    cr_module *module = cr__nn_new(ctx, &linear, &(linear_settings){ .in = in });
    if (cr__nn_size(module, "in", in, opts.site) &&
        cr__nn_size(module, "out", out, opts.site) &&
        cr__nn_float(module, opts.dtype, opts.site) &&
        cr__nn_fits(module, CR_DIMS(out, in), opts.site)) {
        linear_settings *s = module->settings;
        s->weight = cr__nn_own_uniform(module, "weight", CR_DIMS(out, in), in, opts.dtype,
                                       opts.site);
        if (!opts.no_bias)
            s->bias = cr__nn_own_uniform(module, "bias", CR_DIMS(out), in, opts.dtype,
                                         opts.site);
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

/* ---- shapes ---- */

typedef struct shape_settings {
    int first, last; /* dims */
    cr_dims sizes;
} shape_settings;

static cr_tensor *forward_flatten(cr_module *module, cr_tensor *x, const char *site)
{
    const shape_settings *s = module->settings;
    return cr_flatten_at(x, s->first, s->last, site);
}

static const cr__nn_kind flatten_kind = { .name = "flatten",
                                          .forward = forward_flatten,
                                          .settings_size = sizeof(shape_settings) };

cr_module *cr_nn_flatten_at(cr_ctx *ctx, cr_nn_flatten_opts opts)
{
    const int64_t first = opts.start_dim.given ? opts.start_dim.v : 1;
    const int64_t last = opts.end_dim.given ? opts.end_dim.v : -1;
    cr_module *module = cr__nn_new(ctx, &flatten_kind, &(shape_settings){ .first = 0 });
    if (cr__nn_dim(module, "start_dim", first, opts.site) &&
        cr__nn_dim(module, "end_dim", last, opts.site))
        *(shape_settings *)module->settings =
            (shape_settings){ .first = (int)first, .last = (int)last };
    return cr__nn_done(module);
}

static cr_tensor *forward_unflatten(cr_module *module, cr_tensor *x, const char *site)
{
    const shape_settings *s = module->settings;
    return cr_unflatten_at(x, s->first, s->sizes, site);
}

static const cr__nn_kind unflatten_kind = { .name = "unflatten",
                                            .forward = forward_unflatten,
                                            .settings_size = sizeof(shape_settings) };

cr_module *cr_nn_unflatten_at(cr_ctx *ctx, int dim, cr_dims sizes, cr_nn_opts opts)
{
    cr_module *module = cr__nn_new(ctx, &unflatten_kind,
                                   &(shape_settings){ .first = dim, .sizes = sizes });
    if (cr__nn_dim(module, "dim", dim, opts.site) &&
        (sizes.n < 1 || sizes.n > CR_MAX_DIMS))
        cr__nn_refuse(module, CR_ERR_ARGUMENT, opts.site, "sizes has %d; 1 to %d",
                      sizes.n, CR_MAX_DIMS);
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
                                      .residual = true,
                                      .settings_size = sizeof(residual_settings),
                                      .end = end_residual };

static void name_branch(cr_module *module, const char *name, const char *site)
{
    residual_settings *s = module->settings;
    if (!cr__nn_name(module, name, site) ||
        !(s->name = cr__alloc(module->ctx, strlen(name) + 1)))
        return;
    module->children[0]->label = strcpy(s->name, name);
}

cr_module *cr_nn_residual_at(cr_ctx *ctx, cr_module *inner, cr_nn_residual_opts opts)
{
    residual_settings given = { .scale = opts.scale.given ? opts.scale.v : 1 };
    cr_module *module = cr__nn_new(ctx, &residual, &given);
    if (!module)
        cr__nn_discard(inner);
    else if (cr__nn_adopt(module, inner, 0, opts.site) == CR_OK)
        name_branch(module, opts.name ? opts.name : "inner", opts.site);
    cr__nn_number(module, "scale", given.scale, -DBL_MAX, DBL_MAX, "a finite number",
                  opts.site);
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
