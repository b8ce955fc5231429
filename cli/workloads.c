/* The built-in workloads: graphs of the usual kinds in their usual sizes. Only shapes
 * matter: the numbers are random. Of two arguments at most one records something: in which order
 * a compiler evaluates them is its own affair, and plans are stored. */
#include "workloads.h"

#include <stdlib.h>
#include <string.h>

/* ---- setting up ---- */

int stage_size(const stage *s, int n)
{
    return n < 64 ? n : n / s->shrink;
}

cr_tensor *stage_data(stage *s, cr_dims dims, const char *name)
{
    cr_tensor *x = cr_named(cr_rand(s->ctx, dims), name);
    cr_eval(x);
    return x;
}

cr_tensor *stage_leaf(stage *s, cr_dims dims, const char *name)
{
    cr_tensor *x = cr_requires_grad(stage_data(s, dims, name));
    s->leaves[s->params.n++] = (cr_param){ .name = name, .tensor = x };
    return x;
}

cr_tensor *stage_labels(stage *s, int n, int classes)
{
    int64_t *labels = calloc((size_t)n, sizeof *labels);
    for (int i = 0; i < n && labels; i++)
        labels[i] = i * 7 % classes;
    cr_tensor *y = labels ? cr_from(s->ctx, CR_I64, CR_DIMS(n), labels) : NULL;
    free(labels);
    return cr_named(y, "labels");
}

static cr_tensor *leaf(const stage *s, int i)
{
    return s->leaves[i].tensor;
}

/* sum(y c) */
static cr_tensor *weighted(const stage *s, cr_tensor *y)
{
    return cr_sum(cr_mul(y, s->c));
}

/* ---- single elements ---- */

static void open_scalar(stage *s)
{
    stage_leaf(s, CR_DIMS(), "x");
}

static cr_tensor *tiny(stage *s)
{
    cr_tensor *x = leaf(s, 0);
    cr_tensor *square = cr_pow(x, 2);
    return cr_mul(2, cr_add(square, cr_exp(x)));
}

static cr_tensor *chain(stage *s)
{
    cr_tensor *y = leaf(s, 0);
    for (int i = 0; i < 500; i++)
        y = cr_mul(cr_sin(y), 1.01);
    return y;
}

/* ---- functions ---- */

static void open_function(stage *s, cr_dims dims)
{
    for (int i = 0; i < dims.n; i++)
        dims.v[i] = stage_size(s, (int)dims.v[i]);
    stage_leaf(s, dims, "x");
    s->c = stage_data(s, dims, "c");
}

static void open_affine(stage *s, int width)
{
    stage_leaf(s, CR_DIMS(stage_size(s, width)), "weight");
    stage_leaf(s, CR_DIMS(stage_size(s, width)), "bias");
}

static void open_long(stage *s)
{
    open_function(s, CR_DIMS(4 << 20));
}

static void open_rows(stage *s)
{
    open_function(s, CR_DIMS(4096, 1024));
}

static void open_layer_norm(stage *s)
{
    open_function(s, CR_DIMS(4096, 768));
    open_affine(s, 768);
}

static void open_batch_norm(stage *s)
{
    open_function(s, CR_DIMS(32, 64, 32, 32));
    open_affine(s, 64);
}

static void open_logits(stage *s)
{
    int n = stage_size(s, 2048), classes = stage_size(s, 8192);
    stage_leaf(s, CR_DIMS(n, classes), "logits");
    s->y = stage_labels(s, n, classes);
}

static void open_embedding(stage *s)
{
    int n = stage_size(s, 4096), entries = stage_size(s, 50000),
        width = stage_size(s, 256);
    stage_leaf(s, CR_DIMS(entries, width), "table");
    s->c = stage_data(s, CR_DIMS(n, width), "c");
    s->y = stage_labels(s, n, entries);
}

static cr_tensor *unary_chain(stage *s)
{
    cr_tensor *y = cr_tanh(cr_add(cr_mul(leaf(s, 0), 1.5), 0.5));
    cr_tensor *gate = cr_sigmoid(y);
    cr_tensor *gated = cr_mul(gate, cr_relu(cr_sub(y, 0.1)));
    return weighted(s, cr_add(gated, cr_exp(cr_mul(cr_neg(y), y))));
}

static cr_tensor *gelu(stage *s)
{
    return weighted(s, cr_gelu(leaf(s, 0)));
}

static cr_tensor *softmax(stage *s)
{
    return weighted(s, cr_softmax(leaf(s, 0), -1));
}

static cr_tensor *layer_norm(stage *s)
{
    cr_tensor *weight = leaf(s, 1);
    return weighted(
        s, cr_layer_norm(leaf(s, 0), CR_DIMS(cr_numel(weight)), weight, leaf(s, 2)));
}

static cr_tensor *batch_norm(stage *s)
{
    return weighted(
        s, cr_batch_norm(leaf(s, 0), NULL, NULL, leaf(s, 1), leaf(s, 2), true, 0.1));
}

static cr_tensor *cross_entropy(stage *s)
{
    return cr_cross_entropy(leaf(s, 0), s->y);
}

static cr_tensor *embedding(stage *s)
{
    return weighted(s, cr_embedding(leaf(s, 0), s->y));
}

/* ---- networks ---- */

/* Leaves: weight and bias of each layer. */
static void open_layers(stage *s, int batch, const int *sizes, int layers)
{
    static const char *const names[] = { "weight1", "bias1",   "weight2",
                                         "bias2",   "weight3", "bias3" };
    int in = stage_size(s, sizes[0]);
    s->x = stage_data(s, CR_DIMS(batch, in), "data");
    for (int i = 0; i < layers; i++) {
        int out = stage_size(s, sizes[i + 1]);
        stage_leaf(s, CR_DIMS(out, in), names[2 * i]);
        stage_leaf(s, CR_DIMS(out), names[2 * i + 1]);
        in = out;
    }
    s->y = stage_labels(s, batch, in);
}

static void open_mlp_small(stage *s)
{
    static const int sizes[] = { 64, 32, 10 };
    open_layers(s, 32, sizes, 2);
}

static void open_mlp(stage *s)
{
    static const int sizes[] = { 784, 512, 512, 10 };
    open_layers(s, stage_size(s, 128), sizes, 3);
}

static cr_tensor *mlp(stage *s)
{
    cr_tensor *h = s->x;
    for (int i = 0; i < s->params.n; i += 2) {
        h = i ? cr_relu(h) : h;
        h = cr_linear(h, leaf(s, i), leaf(s, i + 1));
    }
    return cr_cross_entropy(h, s->y);
}

enum { STEPS = 12 };

static void open_recurrence(stage *s)
{
    int width = stage_size(s, 256);
    s->x = stage_data(s, CR_DIMS(8, width), "data");
    stage_leaf(s, CR_DIMS(width, width), "weight");
    stage_leaf(s, CR_DIMS(width), "bias");
}

static cr_tensor *recurrence(stage *s)
{
    cr_tensor *h = s->x;
    for (int i = 0; i < STEPS; i++)
        h = cr_tanh(cr_linear(h, leaf(s, 0), leaf(s, 1)));
    return cr_mean(cr_square(h));
}

/* ---- the optimiser alone ---- */

static void open_adam_step(stage *s)
{
    for (int i = 0; i < (s->shrink > 1 ? 2 : 50); i++) {
        cr_tensor *x = stage_leaf(s, CR_DIMS(stage_size(s, 200000)), "parameter");
        cr_set_grad(x, stage_data(s, CR_DIMS(stage_size(s, 200000)), "gradient"));
        cr_eval(x);
    }
}

/* ---- steps ---- */

void stage_open(stage *s, const workload *work, cr_ctx *ctx, int shrink)
{
    *s = (stage){ .work = work, .ctx = ctx, .shrink = shrink };
    s->params = (cr_params){ .ctx = ctx, .list = s->leaves };
    work->open(s);
    if (work->optim == SGD)
        s->optim = cr_optim_sgd(&s->params, 0.1, .momentum = 0.9);
    if (work->optim == ADAM)
        s->optim = cr_optim_adam(&s->params, 1e-3);
}

void stage_close(stage *s)
{
    cr_optim_free(s->optim);
}

static void add_target(stage *s, cr_tensor *x)
{
    s->targets[s->n_targets++] = x;
}

/* Of a function all gradients are asked for; a training step's loss brings everything that
 * is pending with it. */
void stage_record(stage *s)
{
    const workload *work = s->work;
    cr_tensor *value = NULL;
    s->n_targets = 0;
    if (work->value) {
        for (int i = 0; i < s->params.n; i++)
            cr_zero_grad(leaf(s, i));
        value = work->value(s);
        cr_backward(value);
    }
    add_target(s, value ? value : leaf(s, 0));
    if (work->clip > 0)
        cr_clip_grad_norm(&s->params, work->clip);
    if (s->optim)
        cr_optim_step(s->optim);
    for (int i = 0; i < s->params.n && !s->optim; i++)
        add_target(s, cr_grad(leaf(s, i)));
}

const workload workloads[] = {
    { "tiny", "2 (x^2 + e^x) of a single element", open_scalar, tiny, NO_OPTIM, 0 },
    { "chain", "500 times sin(y) * 1.01", open_scalar, chain, NO_OPTIM, 0 },
    { "chain_large", "tanh, sigmoid, relu, exp on 4 Mi elements", open_long, unary_chain,
      NO_OPTIM, 0 },
    { "gelu", "of 4096 x 1024", open_rows, gelu, NO_OPTIM, 0 },
    { "softmax", "of the rows of 4096 x 1024", open_rows, softmax, NO_OPTIM, 0 },
    { "layer_norm", "of 4096 x 768, affine", open_layer_norm, layer_norm, NO_OPTIM, 0 },
    { "batch_norm", "of 32 x 64 x 32 x 32 in training, affine", open_batch_norm,
      batch_norm, NO_OPTIM, 0 },
    { "cross_entropy", "of 2048 x 8192 logits", open_logits, cross_entropy, NO_OPTIM, 0 },
    { "embedding", "4096 rows of a table of 50,000 x 256", open_embedding, embedding,
      NO_OPTIM, 0 },
    { "mlp", "784-512-512-10, ReLU, batch 128: a step of SGD with momentum", open_mlp,
      mlp, SGD, 0 },
    { "mlp_small", "64-32-10, ReLU, batch 32: a step of Adam", open_mlp_small, mlp, ADAM,
      0 },
    { "mlp_clipped", "the same, the norm of the gradients clipped", open_mlp_small, mlp,
      ADAM, 1 },
    { "recurrence", "12 steps of width 256, batch 8: a step of SGD with momentum",
      open_recurrence, recurrence, SGD, 0 },
    { "adam_step", "Adam over 50 tensors of 200,000 values", open_adam_step, NULL, ADAM,
      0 },
    { NULL, NULL, NULL, NULL, NO_OPTIM, 0 }
};

const workload *workload_find(const char *name)
{
    for (const workload *work = workloads; work->name; work++)
        if (strcmp(work->name, name) == 0)
            return work;
    return NULL;
}
