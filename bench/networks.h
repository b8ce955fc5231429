/* The larger networks of peers/WORKLOADS.md, from the operations themselves: what a program that
 * brings its own parameters would write. */
#ifndef BENCH_NETWORKS_H
#define BENCH_NETWORKS_H

#include "work.h"

/* ---- mlp ---- */

/* Linear layers with ReLU between them. Leaves: the weights, then the biases. */
typedef struct mlp {
    int batch, layers, sizes[4];
    enum { NO_OPTIM, SGD, ADAM } optim;
} mlp;

static const mlp mlp_small = { 32, 2, { 64, 32, 10 }, ADAM };
static const mlp mlp_large = { 128, 3, { 784, 512, 512, 10 }, SGD };
static const mlp mlp_infer = { 1, 3, { 784, 512, 512, 10 }, NO_OPTIM };

static inline cr_tensor *mlp_logits(work *w)
{
    int layers = w->params.n / 2;
    cr_tensor *h = w->x;
    for (int i = 0; i < layers; i++) {
        h = cr_linear(h, leaf(w, i), leaf(w, layers + i));
        if (i + 1 < layers)
            h = cr_relu(h);
    }
    return h;
}

static inline cr_tensor *mlp_loss(work *w)
{
    return cr_cross_entropy(mlp_logits(w), w->y);
}

static inline cr_tensor *mlp_infer_value(work *w)
{
    return cr_sum(cr_abs(mlp_logits(w)));
}

static inline void *mlp_make(const void *arg, int threads, double *check)
{
    const mlp *net = arg;
    work *w = work_open(threads, net->optim ? mlp_loss : mlp_infer_value);
    if (!w)
        return NULL;
    const int *size = net->sizes;
    w->x = filled(w, 0, CR_DIMS(net->batch, size[0]), 1);
    w->y = classes(w, 99, net->batch, size[net->layers]);
    for (int i = 0; i < net->layers; i++)
        add_param(w, (uint32_t)(2 * i + 1), CR_DIMS(size[i + 1], size[i]), size[i]);
    for (int i = 0; i < net->layers; i++)
        add_param(w, (uint32_t)(2 * i + 2), CR_DIMS(size[i + 1]), size[i]);
    if (net->optim == NO_OPTIM) {
        run_inference(w);
        *check = w->result;
        return work_checked(w);
    }
    w->optim = net->optim == SGD ? cr_optim_sgd(&w->params, 0.1)
                                 : cr_optim_adam(&w->params, 1e-3);
    return made_training(w, check);
}

/* ---- cnn ---- */

static inline cr_tensor *cnn_loss(work *w)
{
    cr_tensor *h =
        cr_relu(cr_conv2d(w->x, leaf(w, 0), leaf(w, 1), .padding = CR_DIMS(1)));
    h = cr_relu(cr_conv2d(h, leaf(w, 2), leaf(w, 3), .padding = CR_DIMS(1)));
    h = cr_flatten(cr_max_pool2d(h, 2), 1, -1);
    h = cr_relu(cr_linear(h, leaf(w, 4), leaf(w, 5)));
    return cr_cross_entropy(cr_linear(h, leaf(w, 6), leaf(w, 7)), w->y);
}

static inline void *cnn_make(const void *arg, int threads, double *check)
{
    (void)arg;
    work *w = work_open(threads, cnn_loss);
    if (!w)
        return NULL;
    w->x = filled(w, 0, CR_DIMS(64, 1, 28, 28), 1);
    w->y = classes(w, 99, 64, 10);
    add_param(w, 1, CR_DIMS(32, 1, 3, 3), 9);
    add_param(w, 2, CR_DIMS(32), 9);
    add_param(w, 3, CR_DIMS(64, 32, 3, 3), 288);
    add_param(w, 4, CR_DIMS(64), 288);
    add_param(w, 5, CR_DIMS(128, 12544), 12544);
    add_param(w, 6, CR_DIMS(128), 12544);
    add_param(w, 7, CR_DIMS(10, 128), 128);
    add_param(w, 8, CR_DIMS(10), 128);
    w->optim = cr_optim_sgd(&w->params, 0.01, .momentum = 0.9);
    return made_training(w, check);
}

/* ---- resnet20 ---- */

/* Three stages of three blocks; the first block of a stage but the first one halves the image. */
enum { STAGES = 3, BLOCKS = 3, NORMS = 1 + 2 * STAGES * BLOCKS };

static inline bool halves(int block)
{
    return block > 0 && block % BLOCKS == 0;
}

/* The next leaf, and the next running statistics, in the order in which they were added. */
typedef struct cursor {
    work *w;
    int leaf, stat;
} cursor;

static inline cr_tensor *next_leaf(cursor *at)
{
    return leaf(at->w, at->leaf++);
}

static inline cr_tensor *next_conv(cursor *at, cr_tensor *x, int stride, int padding)
{
    return cr_conv2d(x, next_leaf(at), NULL, .stride = CR_DIMS(stride),
                     .padding = CR_DIMS(padding));
}

static inline cr_tensor *next_norm(cursor *at, cr_tensor *x)
{
    cr_tensor *gain = next_leaf(at), *shift = next_leaf(at);
    cr_tensor **stats = at->w->buffers + at->stat;
    at->stat += 2;
    return cr_batch_norm(x, stats[0], stats[1], gain, shift, true, 0.1);
}

static inline cr_tensor *resnet20_loss(work *w)
{
    cursor at = { .w = w };
    cr_tensor *h = next_conv(&at, w->x, 1, 1);
    h = cr_relu(next_norm(&at, h));
    for (int i = 0; i < STAGES * BLOCKS; i++) {
        const int stride = halves(i) ? 2 : 1;
        cr_tensor *z = next_conv(&at, h, stride, 1);
        z = cr_relu(next_norm(&at, z));
        z = next_conv(&at, z, 1, 1);
        z = next_norm(&at, z);
        h = cr_relu(cr_add(z, halves(i) ? next_conv(&at, h, 2, 0) : h));
    }
    cr_tensor *weight = next_leaf(&at), *bias = next_leaf(&at);
    return cr_cross_entropy(cr_linear(cr_mean(h, CR_DIMS(2, 3)), weight, bias), w->y);
}

static inline void add_norm(work *w, int channels)
{
    add_leaf(w, cr_ones(w->ctx, CR_DIMS(channels)));
    add_leaf(w, cr_zeros(w->ctx, CR_DIMS(channels)));
    w->buffers[w->n_buffers++] = cr_zeros(w->ctx, CR_DIMS(channels));
    w->buffers[w->n_buffers++] = cr_ones(w->ctx, CR_DIMS(channels));
}

static inline void *resnet20_make(const void *arg, int threads, double *check)
{
    (void)arg;
    work *w = work_open(threads, resnet20_loss);
    if (!w)
        return NULL;
    uint32_t seed = 1;
    int from = 16;
    w->x = filled(w, 0, CR_DIMS(32, 3, 32, 32), 1);
    w->y = classes(w, 99, 32, 10);
    add_param(w, seed++, CR_DIMS(16, 3, 3, 3), 27);
    add_norm(w, 16);
    for (int i = 0; i < STAGES * BLOCKS; i++) {
        const int to = 16 << i / BLOCKS;
        add_param(w, seed++, CR_DIMS(to, from, 3, 3), 9 * from);
        add_norm(w, to);
        add_param(w, seed++, CR_DIMS(to, to, 3, 3), 9 * to);
        add_norm(w, to);
        if (halves(i))
            add_param(w, seed++, CR_DIMS(to, from, 1, 1), from);
        from = to;
    }
    add_param(w, 1001, CR_DIMS(10, 64), 64);
    add_param(w, 1002, CR_DIMS(10), 64);
    w->optim = cr_optim_sgd(&w->params, 0.1, .momentum = 0.9, .weight_decay = 5e-4);
    return made_training(w, check);
}

/* ---- lstm ---- */

enum { SYMBOLS = 65, EMBEDDED = 64, HIDDEN = 256, STEPS = 64, LSTM_BATCH = 32 };

/* Leaves: table, weights of the input and of the state, their biases, the head's weight and
 * bias. The input's part of the gates is one product for all steps. */
static inline cr_tensor *lstm_loss(work *w)
{
    cr_tensor *hidden[STEPS], *gate[4];
    cr_tensor *input =
        cr_linear(cr_embedding(leaf(w, 0), w->tokens), leaf(w, 1), leaf(w, 3));
    cr_tensor *h = cr_zeros(w->ctx, CR_DIMS(LSTM_BATCH, HIDDEN));
    cr_tensor *c = h;
    for (int t = 0; t < STEPS; t++) {
        cr_tensor *gates =
            cr_add(cr_select(input, 0, t), cr_linear(h, leaf(w, 2), leaf(w, 4)));
        cr_chunk(gates, 4, 1, gate, 4);
        c = cr_add(cr_mul(cr_sigmoid(gate[1]), c),
                   cr_mul(cr_sigmoid(gate[0]), cr_tanh(gate[2])));
        h = cr_mul(cr_sigmoid(gate[3]), cr_tanh(c));
        hidden[t] = h;
    }
    cr_tensor *out = cr_cat(hidden, STEPS, 0);
    return cr_cross_entropy(cr_linear(out, leaf(w, 5), leaf(w, 6)), w->y);
}

static inline void *lstm_make(const void *arg, int threads, double *check)
{
    (void)arg;
    work *w = work_open(threads, lstm_loss);
    if (!w)
        return NULL;
    w->tokens = cr_reshape(classes(w, 98, STEPS * LSTM_BATCH, SYMBOLS),
                           CR_DIMS(STEPS, LSTM_BATCH));
    w->y = classes(w, 99, STEPS * LSTM_BATCH, SYMBOLS);
    add_leaf(w, filled(w, 1, CR_DIMS(SYMBOLS, EMBEDDED), 1));
    add_param(w, 2, CR_DIMS(4 * HIDDEN, EMBEDDED), HIDDEN);
    add_param(w, 3, CR_DIMS(4 * HIDDEN, HIDDEN), HIDDEN);
    add_param(w, 4, CR_DIMS(4 * HIDDEN), HIDDEN);
    add_param(w, 5, CR_DIMS(4 * HIDDEN), HIDDEN);
    add_param(w, 6, CR_DIMS(SYMBOLS, HIDDEN), HIDDEN);
    add_param(w, 7, CR_DIMS(SYMBOLS), HIDDEN);
    w->optim = cr_optim_adam(&w->params, 1e-3);
    return made_training(w, check);
}

/* ---- gpt ---- */

typedef struct transformer {
    int width, heads, layers, steps, batch;
} transformer;
static const transformer gpt_narrow = { 128, 4, 4, 64, 12 },
                         gpt_wide = { 384, 6, 6, 256, 4 };

static inline cr_tensor *normed(cursor *at, cr_tensor *x)
{
    cr_tensor *gain = next_leaf(at), *shift = next_leaf(at);
    return cr_layer_norm(x, CR_DIMS(cr_size(x, -1)), gain, shift);
}

static inline cr_tensor *projected(cursor *at, cr_tensor *x)
{
    cr_tensor *weight = next_leaf(at), *bias = next_leaf(at);
    return cr_linear(x, weight, bias);
}

static inline cr_tensor *self_attention(cursor *at, cr_tensor *x)
{
    const transformer *net = at->w->arg;
    const int width = net->width, heads = net->heads;
    cr_tensor *part[3];
    cr_split(projected(at, x), width, 2, part, 3);
    for (int i = 0; i < 3; i++)
        part[i] = cr_transpose(
            cr_reshape(part[i], CR_DIMS(net->batch, net->steps, heads, width / heads)), 1,
            2);
    cr_tensor *mixed = cr_scaled_dot_product_attention(part[0], part[1], part[2], NULL,
                                                       .is_causal = true);
    mixed = cr_reshape(cr_transpose(mixed, 1, 2), CR_DIMS(net->batch, net->steps, width));
    return projected(at, mixed);
}

static inline cr_tensor *gpt_loss(work *w)
{
    const transformer *net = w->arg;
    cursor at = { .w = w };
    cr_tensor *table = next_leaf(&at), *positions = next_leaf(&at);
    cr_tensor *h = cr_add(cr_embedding(table, w->tokens), positions);
    for (int i = 0; i < net->layers; i++) {
        h = cr_add(h, self_attention(&at, normed(&at, h)));
        cr_tensor *wide = cr_gelu(projected(&at, normed(&at, h)));
        h = cr_add(h, projected(&at, wide));
    }
    h = normed(&at, h);
    cr_tensor *logits = cr_linear(h, next_leaf(&at), NULL);
    return cr_cross_entropy(cr_flatten(logits, 0, 1), w->y);
}

static inline void add_affine(work *w, int width)
{
    add_leaf(w, cr_ones(w->ctx, CR_DIMS(width)));
    add_leaf(w, cr_zeros(w->ctx, CR_DIMS(width)));
}

static inline void add_linear(work *w, uint32_t seed, int out, int in)
{
    add_param(w, seed, CR_DIMS(out, in), in);
    add_param(w, seed + 1, CR_DIMS(out), in);
}

static inline void *gpt_make(const void *arg, int threads, double *check)
{
    const transformer *net = arg;
    const int width = net->width, tokens = net->steps * net->batch;
    work *w = work_open(threads, gpt_loss);
    if (!w)
        return NULL;
    w->arg = net;
    w->tokens =
        cr_reshape(classes(w, 98, tokens, SYMBOLS), CR_DIMS(net->batch, net->steps));
    w->y = classes(w, 99, tokens, SYMBOLS);
    add_leaf(w, filled(w, 1, CR_DIMS(SYMBOLS, width), 0.02));
    add_leaf(w, filled(w, 2, CR_DIMS(net->steps, width), 0.02));
    for (uint32_t i = 0, seed = 101; i < (uint32_t)net->layers; i++, seed += 100) {
        add_affine(w, width);
        add_linear(w, seed, 3 * width, width);
        add_linear(w, seed + 2, width, width);
        add_affine(w, width);
        add_linear(w, seed + 4, 4 * width, width);
        add_linear(w, seed + 6, width, 4 * width);
    }
    add_affine(w, width);
    add_param(w, 3, CR_DIMS(SYMBOLS, width), width);
    w->optim = cr_optim_adamw(&w->params, 1e-3, 0.01);
    return made_training(w, check);
}

#endif
