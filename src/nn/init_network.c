/* Initialisers of whole networks: they go over the layers of a tree that are linear in a weight, by
 * a batch that runs through it, or by its residual branches. */
#include "nn.h"

#include "../base/fp.h"

#include <float.h>
#include <math.h>

static cr_tensor *weight_of(const cr_module *layer)
{
    return cr__nn_entry_named(layer, "weight")->tensor;
}

static void clear_bias(const cr_module *layer, const char *site)
{
    const cr__nn_entry *bias = cr__nn_entry_named(layer, "bias");
    if (bias)
        cr_init_constant_at(bias->tensor, 0, site);
}

static int count_layers(const cr_module *root)
{
    int n = 0;
    for (const cr_module *m = root; m; m = cr__nn_next(root, m))
        n += m->kind->linear;
    return n;
}

/* ---- LSUV ---- */

typedef struct lsuv lsuv;

/* A layer, and the hook that scales it when it runs for the first time. */
typedef struct lsuv_layer {
    const lsuv *run;
    cr_module *module;
    uint64_t hook;
    bool done;
} lsuv_layer;

struct lsuv {
    cr_module *root;
    double tolerance;
    int max_iterations;
    const char *site;
    lsuv_layer *layers;
    int n_layers;
    cr_tensor **buffers; /* what they were before */
};

/* The variance of a layer's output; NaN with the error if nothing can be scaled by it. */
static double output_variance(const lsuv *run, const cr_module *module, cr_tensor *y)
{
    char path[64];
    const double variance = cr_item(
        cr_var_at(y, (cr_dims){ .n = 0 },
                  (cr_var_opts){ .site = run->site, .correction = { .given = true } }));
    if (cr_error(module->ctx) || (variance > 0 && variance <= DBL_MAX))
        return variance;
    cr_nn_path(module, path, sizeof path);
    cr_fail(module->ctx, CR_ERR_VALUE,
            "init_lsuv: the output of %s%s%s has variance %g on this batch, which no "
            "factor makes 1 (%s)",
            path, *path ? ": " : "", module->name, variance, run->site);
    return (double)NAN;
}

/* What takes the place of the layer's output: that of its scaled weight. It computes its own y,
 * so that other hooks play no part; the first is never computed. */
static cr_tensor *scale_layer(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    lsuv_layer *layer = user;
    const lsuv *run = layer->run;
    cr_tensor *weight = weight_of(module);
    if (layer->done)
        return NULL;
    layer->done = true;
    for (int i = 0;; i++) {
        y = module->kind->forward(module, x, run->site);
        const double variance = output_variance(run, module, y);
        if (cr_error(module->ctx))
            return NULL;
        if (fabs(variance - 1) <= run->tolerance || i == run->max_iterations)
            return y;
        cr_tensor *scaled =
            cr_mul_at(cr_arg_tensor(weight), cr_arg_real(1 / sqrt(variance)), run->site);
        cr_assign_at(weight, scaled, run->site);
    }
}

/* Makes the weights orthogonal, remembers the buffers, and places the hooks. */
static void begin_lsuv(lsuv *run)
{
    cr_module *root = run->root;
    const cr_params *buffers = cr_nn_buffers(root);
    for (int i = 0; buffers && i < buffers->n; i++)
        run->buffers[i] = cr_detach_at(buffers->list[i].tensor, run->site);
    for (cr_module *m = root; m && !cr_error(root->ctx); m = cr__nn_next(root, m)) {
        if (!m->kind->linear)
            continue;
        lsuv_layer *layer = &run->layers[run->n_layers++];
        *layer = (lsuv_layer){ .run = run, .module = m };
        cr_init_orthogonal_at(weight_of(m), 1, run->site);
        clear_bias(m, run->site);
        layer->hook = cr_nn_register_forward_hook_at(m, scale_layer, layer, run->site);
    }
}

static void end_lsuv(lsuv *run)
{
    const cr_params *buffers = cr_nn_buffers(run->root);
    for (int i = 0; buffers && i < buffers->n; i++)
        cr_assign_at(buffers->list[i].tensor, run->buffers[i], run->site);
    for (int i = 0; i < run->n_layers; i++)
        if (run->layers[i].hook)
            cr_nn_remove_forward_hook(run->layers[i].module, run->layers[i].hook);
}

static void run_lsuv(lsuv *run, cr_tensor *x)
{
    cr_ctx *ctx = run->root->ctx;
    CR_SCOPE(ctx);
    CR_NO_GRAD(ctx);
    begin_lsuv(run);
    cr_nn_forward_at(run->root, x, run->site);
    end_lsuv(run);
}

cr_status cr_init_lsuv_at(cr_module *module, cr_tensor *x, cr_init_lsuv_opts opts)
{
    CR__FP_GUARD();
    CR__HOLD(opts.tolerance);
    if (!module)
        return CR_ERR_NULL;
    cr_ctx *ctx = module->ctx;
    lsuv run = { .root = module,
                 .tolerance = opts.tolerance != 0 ? opts.tolerance : 0.1,
                 .max_iterations = opts.max_iterations ? opts.max_iterations : 10,
                 .site = opts.site ? opts.site : "?" };
    const int n = count_layers(module);
    if (!x)
        cr_fail(ctx, CR_ERR_NULL, "init_lsuv: x is NULL (%s)", run.site);
    if (!n)
        cr_fail(ctx, CR_ERR_ARGUMENT,
                "init_lsuv: this %s has no linear layer or convolution in it (%s)",
                module->name, run.site);
    if (!(run.tolerance > 0 && run.tolerance <= DBL_MAX) || run.max_iterations < 1)
        cr_fail(ctx, CR_ERR_ARGUMENT,
                "init_lsuv: tolerance is %g and max_iterations %d; both are above 0 (%s)",
                run.tolerance, run.max_iterations, run.site);
    const cr_params *buffers = cr_error(ctx) ? NULL : cr_nn_buffers(module);
    if (!buffers)
        return cr_error(ctx);
    const size_t bytes = (size_t)n * sizeof *run.layers;
    run.layers = cr__alloc(ctx, bytes + (size_t)buffers->n * sizeof *run.buffers);
    if (!run.layers)
        return cr_error(ctx);
    run.buffers = (cr_tensor **)(void *)(run.layers + n);
    run_lsuv(&run, x);
    cr__free(ctx, run.layers);
    return cr_error(ctx);
}

/* ---- Fixup ---- */

/* The residual in whose branch a module is, the innermost; NULL if there is none in root. */
static const cr_module *enclosing_branch(const cr_module *root, const cr_module *module)
{
    while (module != root) {
        module = module->parent;
        if (module->kind->residual)
            return module;
    }
    return NULL;
}

/* How many layers are in no branch but that of residual, and the last of them. */
static int layers_in(const cr_module *residual, const cr_module **last)
{
    int n = 0;
    *last = NULL;
    for (const cr_module *m = residual; m; m = cr__nn_next(residual, m))
        if (m->kind->linear && enclosing_branch(residual, m) == residual) {
            *last = m;
            n++;
        }
    return n;
}

static int count_branches(const cr_module *root)
{
    const cr_module *last;
    int n = 0;
    for (const cr_module *m = root; m; m = cr__nn_next(root, m))
        n += m->kind->residual && layers_in(m, &last) > 0;
    return n;
}

/* branches^(-1/(2 m - 2)), by an operation: the same bits everywhere. */
static double branch_factor(cr_ctx *ctx, int branches, int m, const char *site)
{
    CR_SCOPE(ctx);
    cr_make_opts f64 = { .site = site, .dtype = CR_F64 };
    cr_tensor *base = cr_scalar_at(ctx, cr_arg_int(branches), f64);
    return cr_item(
        cr_pow_at(cr_arg_tensor(base), cr_arg_real(-1.0 / (2.0 * m - 2)), site));
}

static void fix_layer(const cr_module *root, cr_module *layer, int branches, bool is_last,
                      const char *site)
{
    const cr_module *branch = enclosing_branch(root, layer),
                    *last = is_last ? layer : NULL;
    double factor = 1;
    const int m = branch ? layers_in(branch, &last) : 0;
    clear_bias(layer, site);
    if (last == layer) {
        cr_init_constant_at(weight_of(layer), 0, site);
        return;
    }
    if (branch)
        factor = branch_factor(root->ctx, branches, m, site);
    cr_init_kaiming_normal_at(weight_of(layer), sqrt(2) * factor, site);
}

cr_status cr_init_fixup_at(cr_module *module, const char *site)
{
    CR__FP_GUARD();
    if (!module)
        return CR_ERR_NULL;
    site = site ? site : "?";
    const int branches = count_branches(module), layers = count_layers(module);
    if (!branches)
        cr_fail(module->ctx, CR_ERR_ARGUMENT,
                "init_fixup: this %s has no residual branch with a layer in it (%s)",
                module->name, site);
    int seen = 0;
    for (cr_module *m = module; m && !cr_error(module->ctx); m = cr__nn_next(module, m))
        if (m->kind->linear)
            fix_layer(module, m, branches, ++seen == layers, site);
    return cr_error(module->ctx);
}
