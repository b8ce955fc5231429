/* The kinds of modules that pool: a row with the function for each, and checks for all. */
#include "nn.h"

#include <float.h>

typedef struct pool_settings {
    cr_dims size; /* of windows, or of the output */
    double norm_type;
    cr_max_pool_opts max;
    cr_avg_pool_opts avg;
    cr_lp_pool_opts lp;
} pool_settings;

/* A kind, its dimensions of space, and one of these functions. */
typedef struct pool_kind {
    cr__nn_kind kind;
    int ndim;
    cr_tensor *(*max)(cr_tensor *, cr_dims, cr_max_pool_opts);
    cr_tensor *(*avg)(cr_tensor *, cr_dims, cr_avg_pool_opts);
    cr_tensor *(*lp)(cr_tensor *, double, cr_dims, cr_lp_pool_opts);
    cr_tensor *(*adaptive_max)(cr_tensor *, cr_dims, cr_adaptive_max_pool_opts);
    cr_tensor *(*adaptive_avg)(cr_tensor *, cr_dims, const char *);
} pool_kind;

static cr_tensor *forward_pool(cr_module *module, cr_tensor *x, const char *site)
{
    const pool_kind *row = (const pool_kind *)(const void *)module->kind;
    pool_settings s = *(const pool_settings *)module->settings;
    s.max.site = s.avg.site = s.lp.site = site;
    if (!cr__nn_takes_rank(module, x, row->ndim + 1, row->ndim + 2, site))
        return NULL;
    return row->max   ? row->max(x, s.size, s.max)
           : row->avg ? row->avg(x, s.size, s.avg)
           : row->lp  ? row->lp(x, s.norm_type, s.size, s.lp)
           : row->adaptive_avg
               ? row->adaptive_avg(x, s.size, site)
               : row->adaptive_max(x, s.size,
                                   (cr_adaptive_max_pool_opts){ .site = site });
}

/* At most half of the window is padding. */
static bool padding_fits(const cr_module *module, const cr_dims *size,
                         const cr_dims *padding, int ndim, const char *site)
{
    for (int d = 0; d < ndim && padding->given; d++) {
        int64_t window = size->v[size->n == 1 ? 0 : d];
        int64_t pad = padding->v[padding->n == 1 ? 0 : d];
        if (pad > window / 2)
            return cr__nn_refuse(module, CR_ERR_ARGUMENT, site,
                                 "padding is %lld, above half of the kernel's %lld",
                                 (long long)pad, (long long)window);
    }
    return true;
}

static bool windows_fit(const cr_module *module, int ndim, const cr_dims *size,
                        const cr_dims *stride, const cr_dims *padding,
                        const cr_dims *dilation, const char *site)
{
    return cr__nn_numbers(module, "kernel_size", size, ndim, 1, true, site) &&
           cr__nn_numbers(module, "stride", stride, ndim, 1, false, site) &&
           cr__nn_numbers(module, "padding", padding, ndim, 0, false, site) &&
           cr__nn_numbers(module, "dilation", dilation, ndim, 1, false, site) &&
           padding_fits(module, size, padding, ndim, site);
}

static cr_module *new_max_pool(cr_ctx *ctx, const pool_kind *row, cr_dims size,
                               const cr_nn_max_pool_opts *opts)
{
    const pool_settings given = { .size = size,
                                  .max = { .stride = opts->stride,
                                           .padding = opts->padding,
                                           .dilation = opts->dilation,
                                           .ceil_mode = opts->ceil_mode } };
    cr_module *module = cr__nn_new(ctx, &row->kind, &given);
    windows_fit(module, row->ndim, &size, &opts->stride, &opts->padding, &opts->dilation,
                opts->site);
    return cr__nn_done(module);
}

static cr_module *new_avg_pool(cr_ctx *ctx, const pool_kind *row, cr_dims size,
                               const cr_avg_pool_opts *opts)
{
    const cr_dims none = { .n = 0 };
    cr_module *module =
        cr__nn_new(ctx, &row->kind, &(pool_settings){ .size = size, .avg = *opts });
    if (windows_fit(module, row->ndim, &size, &opts->stride, &opts->padding, &none,
                    opts->site) &&
        opts->divisor_override.given && opts->divisor_override.v == 0)
        cr__nn_refuse(module, CR_ERR_ARGUMENT, opts->site,
                      "divisor_override is 0; above or below");
    return cr__nn_done(module);
}

static cr_module *new_lp_pool(cr_ctx *ctx, const pool_kind *row, double norm_type,
                              cr_dims size, const cr_lp_pool_opts *opts)
{
    const cr_dims none = { .n = 0 };
    const pool_settings given = { .size = size, .norm_type = norm_type, .lp = *opts };
    cr_module *module = cr__nn_new(ctx, &row->kind, &given);
    if (windows_fit(module, row->ndim, &size, &opts->stride, &none, &none, opts->site) &&
        (norm_type == 0 || norm_type != norm_type))
        cr__nn_refuse(module, CR_ERR_ARGUMENT, opts->site,
                      "norm_type is %g; a number that is not 0", norm_type);
    return cr__nn_done(module);
}

static cr_module *new_adaptive(cr_ctx *ctx, const pool_kind *row, cr_dims size,
                               const char *site)
{
    cr_module *module = cr__nn_new(ctx, &row->kind, &(pool_settings){ .size = size });
    cr__nn_numbers(module, "output_size", &size, row->ndim, 1, true, site);
    return cr__nn_done(module);
}

#define POOL_ROW(name_, ndim_, member_)                     \
    static const pool_kind name_##_kind = {                 \
        .kind = { .name = #name_,                           \
                  .forward = forward_pool,                  \
                  .settings_size = sizeof(pool_settings) }, \
        .ndim = ndim_,                                      \
        .member_ = cr_##name_##_at,                         \
    };

#define POOLS(n)                                                                         \
    POOL_ROW(max_pool##n##d, n, max)                                                     \
    POOL_ROW(avg_pool##n##d, n, avg)                                                     \
    POOL_ROW(lp_pool##n##d, n, lp)                                                       \
    POOL_ROW(adaptive_max_pool##n##d, n, adaptive_max)                                   \
    POOL_ROW(adaptive_avg_pool##n##d, n, adaptive_avg)                                   \
    cr_module *cr_nn_max_pool##n##d_at(cr_ctx *ctx, cr_dims kernel_size,                 \
                                       cr_nn_max_pool_opts opts)                         \
    {                                                                                    \
        return new_max_pool(ctx, &max_pool##n##d_kind, kernel_size, &opts);              \
    }                                                                                    \
    cr_module *cr_nn_avg_pool##n##d_at(cr_ctx *ctx, cr_dims kernel_size,                 \
                                       cr_avg_pool_opts opts)                            \
    {                                                                                    \
        return new_avg_pool(ctx, &avg_pool##n##d_kind, kernel_size, &opts);              \
    }                                                                                    \
    cr_module *cr_nn_lp_pool##n##d_at(cr_ctx *ctx, double norm_type,                     \
                                      cr_dims kernel_size, cr_lp_pool_opts opts)         \
    {                                                                                    \
        return new_lp_pool(ctx, &lp_pool##n##d_kind, norm_type, kernel_size, &opts);     \
    }                                                                                    \
    cr_module *cr_nn_adaptive_max_pool##n##d_at(cr_ctx *ctx, cr_dims output_size,        \
                                                cr_nn_opts opts)                         \
    {                                                                                    \
        return new_adaptive(ctx, &adaptive_max_pool##n##d_kind, output_size, opts.site); \
    }                                                                                    \
    cr_module *cr_nn_adaptive_avg_pool##n##d_at(cr_ctx *ctx, cr_dims output_size,        \
                                                cr_nn_opts opts)                         \
    {                                                                                    \
        return new_adaptive(ctx, &adaptive_avg_pool##n##d_kind, output_size, opts.site); \
    }

POOLS(1)
POOLS(2)
POOLS(3)
