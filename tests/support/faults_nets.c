/* The networks of faults.h, made of modules as a program makes them. */
#include "faults.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int width_of(const fault_net *net)
{
    return net->width ? net->width : net->body == BODY_CNN ? 8 : 32;
}

static int depth_of(const fault_net *net)
{
    return net->depth ? net->depth : 2;
}

/* ---- Modules of our own ------------------------------------------------------------- */

static cr_tensor *forward_detached(cr_module *module, cr_tensor *x, void *user)
{
    (void)module, (void)user;
    return cr_detach(x);
}

static cr_tensor *forward_without_gradients(cr_module *module, cr_tensor *x, void *user)
{
    (void)user;
    CR_NO_GRAD(cr_ctx_of(x));
    return cr_nn_forward(cr_nn_child(module, 0), x);
}

static cr_tensor *forward_last_element(cr_module *module, cr_tensor *x, void *user)
{
    (void)module, (void)user;
    return cr_select(x, 1, -1);
}

/* One head, written out. */
static cr_tensor *forward_attention(cr_module *module, cr_tensor *x, void *user)
{
    const fault_net *net = user;
    cr_tensor *q = cr_nn_forward(cr_nn_child(module, 0), x);
    cr_tensor *k = cr_nn_forward(cr_nn_child(module, 1), x);
    cr_tensor *v = cr_nn_forward(cr_nn_child(module, 2), x);
    cr_tensor *scores = cr_matmul(q, cr_transpose(k, -2, -1));
    if (!net->unscaled)
        scores = cr_div(scores, sqrt((double)width_of(net)));
    return cr_nn_forward(cr_nn_child(module, 3), cr_matmul(cr_softmax(scores, -1), v));
}

static cr_tensor *forward_recurrent(cr_module *module, cr_tensor *x, void *user)
{
    const fault_net *net = user;
    cr_tensor *h = NULL;
    for (int64_t t = 0; t < cr_size(x, 1); t++) {
        cr_tensor *in = cr_nn_forward(cr_nn_child(module, 0), cr_select(x, 1, t));
        if (h)
            in = cr_add(in, cr_nn_forward(cr_nn_child(module, 1), h));
        h = fault_behind(net->activation ? net->activation : "tanh", in, -1);
    }
    return h;
}

static cr_module *own(cr_ctx *ctx, const char *kind, cr_nn_forward_fn *forward,
                      const fault_net *net)
{
    return cr_nn_custom(ctx, kind, forward, (void *)net, NULL);
}

/* Around child. */
static cr_module *around(cr_ctx *ctx, const char *kind, cr_nn_forward_fn *forward,
                         const fault_net *net, cr_module *child)
{
    cr_module *module = own(ctx, kind, forward, net);
    cr_nn_add(module, child);
    return module;
}

/* ---- Activations, by name ----------------------------------------------------------- */

static cr_tensor *call_relu(cr_tensor *x, int dim)
{
    (void)dim;
    return cr_relu(x);
}
static cr_tensor *call_tanh(cr_tensor *x, int dim)
{
    (void)dim;
    return cr_tanh(x);
}
static cr_tensor *call_sigmoid(cr_tensor *x, int dim)
{
    (void)dim;
    return cr_sigmoid(x);
}
static cr_tensor *call_softmax(cr_tensor *x, int dim)
{
    return cr_softmax(x, dim);
}
static cr_tensor *call_log_softmax(cr_tensor *x, int dim)
{
    return cr_log_softmax(x, dim);
}
static cr_tensor *call_cast(cr_tensor *x, int dim)
{
    (void)dim;
    return cr_cast(x, CR_F32);
}

static cr_module *make_relu(cr_ctx *ctx)
{
    return cr_nn_relu(ctx);
}
static cr_module *make_tanh(cr_ctx *ctx)
{
    return cr_nn_tanh(ctx);
}
static cr_module *make_sigmoid(cr_ctx *ctx)
{
    return cr_nn_sigmoid(ctx);
}
static cr_module *make_gelu(cr_ctx *ctx)
{
    return cr_nn_gelu(ctx);
}
static cr_module *make_silu(cr_ctx *ctx)
{
    return cr_nn_silu(ctx);
}
static cr_module *make_leaky_relu(cr_ctx *ctx)
{
    return cr_nn_leaky_relu(ctx, 0.01);
}
static cr_module *make_softmax(cr_ctx *ctx)
{
    return cr_nn_softmax(ctx, -1);
}
static cr_module *make_log_softmax(cr_ctx *ctx)
{
    return cr_nn_log_softmax(ctx, -1);
}

static const struct {
    const char *name;
    cr_tensor *(*call)(cr_tensor *x, int dim);
    cr_module *(*make)(cr_ctx *ctx);
} functions[] = {
    { "relu", call_relu, make_relu },
    { "tanh", call_tanh, make_tanh },
    { "sigmoid", call_sigmoid, make_sigmoid },
    { "gelu", NULL, make_gelu },
    { "silu", NULL, make_silu },
    { "leaky_relu", NULL, make_leaky_relu },
    { "softmax", call_softmax, make_softmax },
    { "log_softmax", call_log_softmax, make_log_softmax },
    { "cast", call_cast, NULL },
};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

static int function_of(const char *name)
{
    for (int i = 0; i < FUNCTIONS; i++)
        if (!strcmp(functions[i].name, name))
            return i;
    return 0;
}

cr_tensor *fault_behind(const char *name, cr_tensor *x, int dim)
{
    return functions[function_of(name)].call(x, dim);
}

static void add_activation(cr_module *to, cr_ctx *ctx, const fault_net *net)
{
    const char *name = net->activation ? net->activation : "relu";
    if (strcmp(name, "none"))
        cr_nn_add(to, functions[function_of(name)].make(ctx));
}

static void add_norm(cr_module *to, cr_ctx *ctx, const fault_net *net, int features)
{
    if (net->norm && !strcmp(net->norm, "batch_norm"))
        cr_nn_add(to, net->body == BODY_CNN ? cr_nn_batch_norm2d(ctx, features)
                                            : cr_nn_batch_norm1d(ctx, features));
    else if (net->norm)
        cr_nn_add(to, cr_nn_layer_norm(ctx, features));
}

/* ---- Weights ------------------------------------------------------------------------ */

static void initialise(cr_tensor *w, const char *init, double gain)
{
    double by = gain != 0 ? gain : 1;
    if (!strcmp(init, "he"))
        cr_init_kaiming_normal(w, by * sqrt(2));
    else if (!strcmp(init, "lecun"))
        cr_init_kaiming_normal(w, by);
    else if (!strcmp(init, "xavier"))
        cr_init_xavier_uniform(w, by);
    else if (!strcmp(init, "orthogonal"))
        cr_init_orthogonal(w, by);
    else if (!strcmp(init, "normal"))
        cr_init_normal(w, 0, by);
    else if (!strcmp(init, "positive"))
        cr_init_uniform(w, 0, by);
    else if (!strcmp(init, "constant"))
        cr_init_constant(w, by);
    else if (!strcmp(init, "zeros"))
        cr_init_constant(w, 0);
    else if (!strcmp(init, "wrong_fan")) /* of what comes out, not of what goes in */
        cr_init_normal(w, 0, by * sqrt(2.0 / (double)cr_size(w, 0)));
}

/* Of module and all it holds; what has one dimension is a bias. Norms stay as they are. */
static void initialise_all(cr_module *module, const fault_net *net)
{
    for (int i = 0; i < cr_nn_count(module); i++)
        initialise_all(cr_nn_child(module, i), net);
    bool norm = strstr(cr_nn_kind(module), "norm") != NULL;
    if (cr_nn_count(module) > 0 || norm)
        return;
    const cr_params *params = cr_nn_params(module);
    for (int i = 0; params && i < params->n; i++) {
        cr_tensor *p = params->list[i].tensor;
        if (cr_ndim(p) > 1 && net->init)
            initialise(p, net->init, net->gain);
        if (cr_ndim(p) == 1 && net->bias != 0)
            cr_init_constant(p, net->bias);
        if (cr_ndim(p) == 1 && net->init && !strcmp(net->init, "zeros"))
            cr_init_constant(p, 0);
        if (cr_ndim(p) == 1 && net->init && !strcmp(net->init, "constant"))
            cr_init_constant(p, net->gain);
    }
}

static cr_module *linear(cr_ctx *ctx, const fault_net *net, int in, int out)
{
    return cr_nn_linear(ctx, in, out, .dtype = net->dtype);
}

/* What a branch ends with. */
static cr_module *branch_end(cr_ctx *ctx, const fault_net *net, int in, int out)
{
    cr_module *end = linear(ctx, net, in, out);
    if (end && net->branch_init) {
        initialise(cr_nn_param(end, "weight"), net->branch_init, net->branch_gain);
        cr_init_constant(cr_nn_param(end, "bias"), 0);
    }
    return end;
}

/* ---- Bodies ------------------------------------------------------------------------- */

static int add_mlp(cr_module *to, cr_ctx *ctx, const fault_net *net, int in)
{
    for (int i = 0; i < depth_of(net); i++) {
        int out = width_of(net);
        cr_nn_add(to, linear(ctx, net, in, out));
        add_norm(to, ctx, net, out);
        add_activation(to, ctx, net);
        if (net->dropout > 0)
            cr_nn_add(to, cr_nn_dropout(ctx, net->dropout));
        in = out;
    }
    return in;
}

/* Convolutions 3x3 of 8x8 images, and one pooling. */
static int add_cnn(cr_module *to, cr_ctx *ctx, const fault_net *net)
{
    int in = 1, out = width_of(net);
    for (int i = 0; i < depth_of(net); i++) {
        cr_nn_add(to, cr_nn_conv2d(ctx, in, out, 3, .padding = CR_DIMS(1),
                                   .dtype = net->dtype));
        add_norm(to, ctx, net, out);
        add_activation(to, ctx, net);
        if (i == 0)
            cr_nn_add(to, cr_nn_max_pool2d(ctx, 2));
        in = out;
    }
    cr_nn_add(to, cr_nn_flatten(ctx));
    return in * 16;
}

/* inner, as it is added to what goes around it. */
static void add_residual(cr_module *to, cr_ctx *ctx, const fault_net *net,
                         cr_module *inner)
{
    if (net->branches_detached)
        inner = around(ctx, "frozen_branch", forward_without_gradients, net, inner);
    double scale = net->branch_scale > 0 ? net->branch_scale : 1;
    cr_nn_add(to, cr_nn_residual(ctx, inner, .scale = CR_REAL(scale)));
    if (net->post_norm)
        add_norm(to, ctx, net, width_of(net));
}

static cr_module *mlp_branch(cr_ctx *ctx, const fault_net *net, int inner)
{
    cr_module *branch = cr_nn_sequential(ctx);
    if (!net->post_norm)
        add_norm(branch, ctx, net, width_of(net));
    cr_nn_add(branch, linear(ctx, net, width_of(net), inner));
    add_activation(branch, ctx, net);
    cr_nn_add(branch, branch_end(ctx, net, inner, width_of(net)));
    return branch;
}

static int add_blocks(cr_module *to, cr_ctx *ctx, const fault_net *net, int in)
{
    cr_nn_add(to, linear(ctx, net, in, width_of(net)));
    for (int i = 0; i < depth_of(net); i++)
        add_residual(to, ctx, net, mlp_branch(ctx, net, width_of(net)));
    return width_of(net);
}

static cr_module *attention_branch(cr_ctx *ctx, const fault_net *net)
{
    int d = width_of(net);
    cr_module *branch = cr_nn_sequential(ctx);
    if (!net->post_norm)
        add_norm(branch, ctx, net, d);
    cr_module *attention = own(ctx, "attention", forward_attention, net);
    for (int i = 0; i < 4; i++)
        cr_nn_add(attention, linear(ctx, net, d, d));
    cr_nn_add(branch, attention);
    return branch;
}

static int add_transformer(cr_module *to, cr_ctx *ctx, const fault_net *net, int in)
{
    cr_nn_add(to, linear(ctx, net, in, width_of(net)));
    for (int i = 0; i < depth_of(net); i++) {
        add_residual(to, ctx, net, attention_branch(ctx, net));
        add_residual(to, ctx, net, mlp_branch(ctx, net, 2 * width_of(net)));
    }
    cr_nn_add(to, own(ctx, "last_element", forward_last_element, net));
    return width_of(net);
}

static int add_recurrent(cr_module *to, cr_ctx *ctx, const fault_net *net, int in)
{
    cr_module *cell = own(ctx, "recurrent", forward_recurrent, net);
    cr_nn_add(cell, linear(ctx, net, in, width_of(net)));
    cr_nn_add(cell, linear(ctx, net, width_of(net), width_of(net)));
    cr_nn_add(to, cell);
    return width_of(net);
}

static void add_head(cr_module *to, cr_ctx *ctx, const fault_net *net, int in, int out)
{
    cr_module *head = linear(ctx, net, in, out);
    if (net->detached)
        cr_nn_add(to, own(ctx, "features", forward_detached, net));
    cr_nn_add(to, head);
    if (net->last)
        cr_nn_add(to, functions[function_of(net->last)].make(ctx));
}

/* ---- The generator and its discriminator --------------------------------------------- */

typedef struct pair {
    cr_module *generator, *discriminator;
    struct pair *next;
} pair;
static pair *pairs;

static cr_tensor *forward_generator(cr_module *module, cr_tensor *x, void *user)
{
    (void)user;
    for (int i = 0; i < cr_nn_count(module); i++)
        x = cr_nn_forward(cr_nn_child(module, i), x);
    return x;
}

static void free_pair(void *user)
{
    pair *gone = user;
    for (pair **p = &pairs; *p; p = &(*p)->next)
        if (*p == gone) {
            *p = gone->next;
            break;
        }
    cr_nn_free(gone->discriminator);
    free(gone);
}

cr_module *fault_discriminator(const cr_module *generator)
{
    for (const pair *p = pairs; p; p = p->next)
        if (p->generator == generator)
            return p->discriminator;
    return NULL;
}

static cr_module *make_gan(cr_ctx *ctx, const fault_net *net)
{
    pair *both = calloc(1, sizeof *both);
    if (!both)
        return NULL;
    both->discriminator = cr_nn_sequential(ctx);
    for (int i = 0, in = 2; i < 2; i++, in = 32) {
        cr_nn_add(both->discriminator, cr_nn_linear(ctx, in, 32));
        cr_nn_add(both->discriminator, cr_nn_leaky_relu(ctx, 0.2));
    }
    cr_nn_add(both->discriminator, cr_nn_linear(ctx, 32, 1));
    both->next = pairs;
    pairs = both;
    both->generator = cr_nn_custom(ctx, "generator", forward_generator, both, free_pair);
    add_mlp(both->generator, ctx, net, 2);
    cr_nn_add(both->generator, cr_nn_linear(ctx, width_of(net), 2));
    return both->generator;
}

/* ---- All of it ---------------------------------------------------------------------- */

cr_module *fault_module(cr_ctx *ctx, const fault_net *net, const fault_samples *samples)
{
    if (net->body == BODY_GAN)
        return make_gan(ctx, net);
    cr_module *module = cr_nn_sequential(ctx);
    int in = samples->numel, out = samples->classes ? samples->classes : 1;
    if (samples->shape.n == 2)
        in = (int)samples->shape.v[1];
    switch (net->body) {
    case BODY_MLP:
        in = add_mlp(module, ctx, net, in);
        break;
    case BODY_CNN:
        in = add_cnn(module, ctx, net);
        break;
    case BODY_RESIDUAL:
        in = add_blocks(module, ctx, net, in);
        break;
    case BODY_ATTENTION:
        in = add_transformer(module, ctx, net, in);
        break;
    case BODY_RECURRENT:
        in = add_recurrent(module, ctx, net, in);
        break;
    case BODY_GAN:
        break;
    }
    add_head(module, ctx, net, in, out);
    if (net->init || net->bias != 0)
        initialise_all(module, net);
    const cr_params *params = cr_nn_params(module);
    if (params && net->last_init) {
        initialise(params->list[params->n - 2].tensor, net->last_init, net->last_gain);
        cr_init_constant(params->list[params->n - 1].tensor, 0);
    }
    int frozen = net->frozen < 0 ? (params ? params->n : 0) + net->frozen : net->frozen;
    for (int i = 0; i < frozen; i++)
        cr_requires_grad(params->list[i].tensor, false);
    if (net->evaluating)
        cr_nn_train(module, false);
    if (cr_error(ctx)) {
        cr_nn_free(module);
        return NULL;
    }
    return module;
}
