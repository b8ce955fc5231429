/* Built-in networks: linear layers with norms, activations and residual branches. */
#include "network.h"

#include <math.h>
#include <string.h>

/* Where the name stands among the words; 0 if there is no name. */
static int index_of(word_list *words, const char *name)
{
    int i = 0;
    while (name && words(i + 1) && strcmp(words(i), name) != 0)
        i++;
    return i;
}

/* ---- initialisation ---- */

/* Of weights; biases are zero, but with the default, which leaves the layer as it is made. */
static cr_status init_xavier(cr_tensor *weight)
{
    return cr_init_xavier_normal(weight, 1);
}

static cr_status init_he(cr_tensor *weight)
{
    return cr_init_kaiming_normal(weight, sqrt(2));
}

static cr_status init_lecun(cr_tensor *weight)
{
    return cr_init_kaiming_normal(weight, 1);
}

static cr_status init_orthogonal(cr_tensor *weight)
{
    return cr_init_orthogonal(weight, 1);
}

/* The variance of a weight times its fan-in, in a square layer. */
static const struct init {
    const char *name;
    cr_status (*weight)(cr_tensor *weight);
    double sigma_w2;
} inits[] = { { "default", NULL, 1.0 / 3 },
              { "xavier", init_xavier, 1 },
              { "he", init_he, 2 },
              { "lecun", init_lecun, 1 },
              { "orthogonal", init_orthogonal, 1 } };
enum { INITS = sizeof inits / sizeof inits[0] };

const char *init_words(int i)
{
    return i < INITS ? inits[i].name : NULL;
}

static const struct init *init_of(const network_spec *spec)
{
    return &inits[index_of(init_words, spec->init)];
}

/* Biases of the default are uniform in +-1/sqrt(fan_in). */
static double bias_variance(const network_spec *spec, int64_t fan_in)
{
    if (!isnan(spec->sigma_b2))
        return spec->sigma_b2;
    const bool kept = isnan(spec->sigma_w2) && !init_of(spec)->weight;
    return kept ? 1.0 / (3 * (double)fan_in) : 0;
}

static cr_module *make_linear(cr_ctx *ctx, const network_spec *spec, int64_t in,
                              int64_t out)
{
    const struct init *init = init_of(spec);
    cr_module *linear = cr_nn_linear(ctx, in, out);
    if (!linear)
        return NULL;
    cr_tensor *weight = cr_nn_param(linear, "weight"),
              *bias = cr_nn_param(linear, "bias");
    const bool kept = isnan(spec->sigma_w2) && !init->weight;
    if (!isnan(spec->sigma_w2))
        cr_init_normal(weight, 0, sqrt(spec->sigma_w2 / (double)in));
    else if (init->weight)
        init->weight(weight);
    if (!kept || !isnan(spec->sigma_b2))
        cr_init_normal(bias, 0, sqrt(bias_variance(spec, in)));
    return linear;
}

/* ---- norms and branches ---- */

static cr_module *make_batch_norm(cr_ctx *ctx, int64_t width)
{
    return cr_nn_batch_norm1d(ctx, width);
}

static cr_module *make_layer_norm(cr_ctx *ctx, int64_t width)
{
    return cr_nn_layer_norm(ctx, CR_DIMS(width));
}

static cr_module *make_rms_norm(cr_ctx *ctx, int64_t width)
{
    return cr_nn_rms_norm(ctx, CR_DIMS(width));
}

static const struct norm {
    const char *name;
    cr_module *(*make)(cr_ctx *ctx, int64_t width);
    cr_flow_norm theory;
} norms[] = { { "none", NULL, CR_FLOW_NO_NORM },
              { "batch", make_batch_norm, CR_FLOW_BATCH_NORM },
              { "layer", make_layer_norm, CR_FLOW_LAYER_NORM },
              { "rms", make_rms_norm, CR_FLOW_RMS_NORM } };
enum { NORMS = sizeof norms / sizeof norms[0] };

const char *norm_words(int i)
{
    return i < NORMS ? norms[i].name : NULL;
}

static const struct branch {
    const char *name;
    cr_flow_residual theory;
} branches[] = { { "none", CR_FLOW_PLAIN },
                 { "pre", CR_FLOW_PRE_ACTIVATION },
                 { "post", CR_FLOW_POST_ACTIVATION } };
enum { BRANCHES = sizeof branches / sizeof branches[0] };

const char *residual_words(int i)
{
    return i < BRANCHES ? branches[i].name : NULL;
}

static const struct norm *norm_of(const network_spec *spec)
{
    return &norms[index_of(norm_words, spec->norm)];
}

static cr_flow_residual residual_of(const network_spec *spec)
{
    return branches[index_of(residual_words, spec->residual)].theory;
}

/* ---- the module ---- */

static void add_activation(cr_module *net, cr_ctx *ctx, const network_spec *spec)
{
    const struct norm *norm = norm_of(spec);
    if (norm->make)
        cr_nn_add(net, norm->make(ctx, spec->width));
    if (strcmp(spec->activation, "linear") != 0)
        cr_nn_add(net, activation_make(ctx, spec->activation));
}

/* A layer from width to width as a residual branch, or in place. */
static void add_layer(cr_module *net, cr_ctx *ctx, const network_spec *spec)
{
    const cr_flow_residual residual = residual_of(spec);
    cr_module *layer = residual == CR_FLOW_PLAIN ? net : cr_nn_sequential(ctx);
    if (residual == CR_FLOW_PRE_ACTIVATION)
        add_activation(layer, ctx, spec);
    cr_nn_add(layer, make_linear(ctx, spec, spec->width, spec->width));
    if (residual != CR_FLOW_PRE_ACTIVATION)
        add_activation(layer, ctx, spec);
    if (layer != net)
        cr_nn_add(net, cr_nn_residual(ctx, layer));
}

/* The first hidden layer changes the width and has no way around it. */
cr_module *network_build(cr_ctx *ctx, void *user)
{
    const network *net = user;
    const network_spec *spec = &net->spec;
    cr_module *module = cr_nn_sequential(ctx);
    cr_nn_add(module, make_linear(ctx, spec, net->data.features, spec->width));
    if (residual_of(spec) != CR_FLOW_PRE_ACTIVATION)
        add_activation(module, ctx, spec);
    for (int64_t i = 1; i < spec->depth && !cr_error(ctx); i++)
        add_layer(module, ctx, spec);
    if (residual_of(spec) == CR_FLOW_PRE_ACTIVATION)
        add_activation(module, ctx, spec);
    cr_nn_add(module, make_linear(ctx, spec, spec->width, net->data.classes));
    if (!cr_error(ctx))
        return module;
    cr_nn_free(module);
    return NULL;
}

/* ---- the training ---- */

static cr_optim *make_sgd(const cr_params *params, double lr)
{
    return cr_optim_sgd(params, lr);
}

static cr_optim *make_momentum(const cr_params *params, double lr)
{
    return cr_optim_sgd(params, lr, .momentum = 0.9);
}

static cr_optim *make_adam(const cr_params *params, double lr)
{
    return cr_optim_adam(params, lr);
}

static const struct optimiser {
    const char *name;
    cr_optim *(*make)(const cr_params *params, double lr);
    double lr;
} optimisers[] = { { "sgd", make_sgd, 0.05 },
                   { "momentum", make_momentum, 0.01 },
                   { "adam", make_adam, 1e-3 } };
enum { OPTIMISERS = sizeof optimisers / sizeof optimisers[0] };

const char *optimiser_words(int i)
{
    return i < OPTIMISERS ? optimisers[i].name : NULL;
}

static const struct optimiser *optimiser_of(const network_spec *spec)
{
    return &optimisers[index_of(optimiser_words, spec->optimiser)];
}

static double rate_of(const network_spec *spec)
{
    return isnan(spec->lr) ? optimiser_of(spec)->lr : spec->lr;
}

cr_optim *network_optimiser(cr_module *module, void *user)
{
    const network *net = user;
    return optimiser_of(&net->spec)->make(cr_nn_params(module), rate_of(&net->spec));
}

cr_tensor *network_loss(cr_module *module, int64_t step, cr_flow_batch *batch, void *user)
{
    const network *net = user;
    const cr_params *params = cr_nn_params(module);
    cr_tensor *x, *target;
    if (!params || !dataset_batch(&net->data, params->ctx, (uint64_t)net->spec.seed, step,
                                  net->spec.batch, &x, &target))
        return NULL;
    cr_tensor *y = cr_nn_forward(module, x);
    if (batch)
        *batch = (cr_flow_batch){
            .output = y,
            .target = target,
            .losses = cr_cross_entropy(y, target, .reduction = CR_REDUCTION_NONE),
        };
    return cr_cross_entropy(y, target);
}

cr_flow_task network_task(network *net, const char *name)
{
    return (cr_flow_task){ .name = name,
                           .build = network_build,
                           .optimiser = network_optimiser,
                           .loss = network_loss,
                           .user = net };
}

bool network_open(network *net, const network_spec *spec)
{
    net->spec = *spec;
    return strcmp(spec->task, "random") == 0
               ? dataset_make_random(&net->data, (uint64_t)spec->seed)
               : dataset_read_digits(&net->data, spec->data);
}

void network_close(network *net)
{
    dataset_free(&net->data);
}

/* ---- words and theory ---- */

/* Parts of a description. What draws the weights is one of three. */
typedef struct part {
    const char *name, *value;
} part;

static bool is_one_of(const char *name, const char *const *names, int n)
{
    for (int i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

void network_describe(char *text, size_t capacity, const network_spec *spec,
                      const char *const *without, int n_without)
{
    enum { NUMBERS = 7 };
    char told[NUMBERS][32];
    const double numbers[NUMBERS] = { (double)spec->depth, (double)spec->width,
                                      spec->sigma_w2,      spec->sigma_b2,
                                      (double)spec->batch, rate_of(spec),
                                      (double)spec->seed };
    for (int i = 0; i < NUMBERS; i++)
        snprintf(told[i], sizeof told[i], "%g", numbers[i]);
    const bool named =
        isnan(spec->sigma_w2) && !is_one_of("sigma_w2", without, n_without);
    const part parts[] = {
        { "depth", told[0] },
        { "width", told[1] },
        { "activation", spec->activation },
        { "init", named ? spec->init : NULL },
        { "sigma_w2", isnan(spec->sigma_w2) ? NULL : told[2] },
        { "sigma_b2", isnan(spec->sigma_b2) ? NULL : told[3] },
        { "norm", spec->norm },
        { "residual", spec->residual },
        { "task", spec->task },
        { "batch", told[4] },
        { "optimiser", spec->optimiser },
        { "lr", told[5] },
        { "seed", told[6] },
    };
    size_t n = 0;
    *text = 0;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0] && n < capacity; i++)
        if (parts[i].value && !is_one_of(parts[i].name, without, n_without))
            n += (size_t)snprintf(text + n, capacity - n, "%s%s %s", n ? ", " : "",
                                  parts[i].name, parts[i].value);
}

void network_name(char *text, size_t capacity, const network_spec *spec)
{
    int n = snprintf(text, capacity, "%d layers of %s, width %d", (int)spec->depth,
                     spec->activation, (int)spec->width);
    const struct {
        const char *word, *value, *usual;
    } parts[] = { { "init", spec->init, "default" },
                  { "norm", spec->norm, "none" },
                  { "residual", spec->residual, "none" },
                  { "by", spec->optimiser, "sgd" } };
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strcmp(parts[i].value, parts[i].usual) != 0)
            n += snprintf(text + n, capacity - (size_t)n, ", %s %s", parts[i].word,
                          parts[i].value);
}

cr_flow_stack network_stack(const network_spec *spec)
{
    const struct init *init = init_of(spec);
    const bool named = isnan(spec->sigma_w2);
    return (cr_flow_stack){
        .activation = cr_flow_activation_find(spec->activation),
        .sigma_w2 = named ? init->sigma_w2 : spec->sigma_w2,
        .sigma_b2 = bias_variance(spec, spec->width),
        .norm = norm_of(spec)->theory,
        .residual = residual_of(spec),
        .width = spec->width,
        .depth = spec->depth,
        .orthogonal = named && init->weight == init_orthogonal,
    };
}
