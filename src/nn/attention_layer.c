/* Self-attention: four linear layers, which are modules of their own, around the operation. */
#include "nn.h"

#include "../base/fp.h"

#include <float.h>
#include <math.h>

enum { Q_PROJ, K_PROJ, V_PROJ, OUT_PROJ, PROJECTIONS };

static const char *const projection_names[PROJECTIONS] = { "q_proj", "k_proj", "v_proj",
                                                           "out_proj" };

typedef struct attention_settings {
    int64_t embed_dim, num_heads;
    cr_attention_opts opts;
} attention_settings;

/* [.., L, E] through one of the projections, as heads: [.., H, L, E / H]. */
static cr_tensor *project(cr_module *module, int which, cr_tensor *x, const char *site)
{
    const attention_settings *s = module->settings;
    cr_tensor *y = cr__nn_run(module->children[which], x, site);
    if (!y)
        return NULL;
    y = cr_unflatten_at(y, -1, CR_DIMS(s->num_heads, s->embed_dim / s->num_heads), site);
    return cr_transpose_at(y, -2, -3, site);
}

static cr_tensor *forward_attention(cr_module *module, cr_tensor *x, const char *site)
{
    const attention_settings *s = module->settings;
    cr_attention_opts opts = s->opts;
    opts.site = site;
    if (module->evaluating)
        opts.dropout_p = 0;
    if (!cr__nn_takes_rank(module, x, 2, CR_MAX_DIMS - 1, site) ||
        !cr__nn_takes(module, x, -1, s->embed_dim, site))
        return NULL;
    cr_tensor *q = project(module, Q_PROJ, x, site);
    cr_tensor *k = q ? project(module, K_PROJ, x, site) : NULL;
    cr_tensor *v = k ? project(module, V_PROJ, x, site) : NULL;
    if (!v)
        return NULL;
    cr_tensor *y = cr_scaled_dot_product_attention_at(q, k, v, NULL, opts);
    y = cr_flatten_at(cr_transpose_at(y, -2, -3, site), -2, -1, site);
    return y ? cr__nn_run(module->children[OUT_PROJ], y, site) : NULL;
}

static const cr__nn_kind attention_kind = { .name = "attention",
                                            .forward = forward_attention,
                                            .settings_size = sizeof(attention_settings) };

/* Query, key and value as rows of one matrix [3 E, E] would be by Xavier's rule: the gain is
 * 1/sqrt(2) of each one's. */
static void add_projection(cr_module *module, int which, int64_t width,
                           const cr_nn_attention_opts *opts)
{
    const char *site = opts->site;
    cr_module *linear = cr_nn_linear_at(module->ctx, width, width,
                                        (cr_nn_linear_opts){ .site = site,
                                                             .no_bias = opts->no_bias,
                                                             .dtype = opts->dtype });
    if (cr__nn_adopt(module, linear, which, site) != CR_OK)
        return;
    linear->label = projection_names[which];
    if (which != OUT_PROJ)
        cr_init_xavier_uniform_at(cr__nn_entry_named(linear, "weight")->tensor, sqrt(0.5),
                                  site);
    if (!opts->no_bias)
        cr_init_constant_at(cr__nn_entry_named(linear, "bias")->tensor, 0, site);
}

cr_module *cr_nn_attention_at(cr_ctx *ctx, int64_t embed_dim, int64_t num_heads,
                              cr_nn_attention_opts opts)
{
    CR__FP_GUARD();
    const attention_settings given = {
        embed_dim,
        num_heads,
        { .is_causal = opts.is_causal, .scale = opts.scale, .dropout_p = opts.dropout_p }
    };
    const char *site = opts.site;
    cr_module *module = cr__nn_new(ctx, &attention_kind, &given);
    if (cr__nn_size(module, "embed_dim", embed_dim, site) &&
        cr__nn_size(module, "num_heads", num_heads, site) &&
        cr__nn_number(module, "dropout_p", opts.dropout_p, 0, 1,
                      "a probability, from 0 to 1", site) &&
        (!opts.scale.given || cr__nn_number(module, "scale", opts.scale.v, -DBL_MAX,
                                            DBL_MAX, "a finite number", site)) &&
        cr__nn_float(module, opts.dtype, site) &&
        cr__nn_fits(module, CR_DIMS(embed_dim, embed_dim), site)) {
        if (embed_dim % num_heads)
            cr__nn_refuse(module, CR_ERR_ARGUMENT, site,
                          "num_heads %lld does not divide embed_dim %lld",
                          (long long)num_heads, (long long)embed_dim);
        for (int i = 0; i < PROJECTIONS && !cr_error(ctx); i++)
            add_projection(module, i, embed_dim, &opts);
    }
    return cr__nn_done(module);
}
