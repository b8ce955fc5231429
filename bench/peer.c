/* chainrule as a peer: the workloads of peers/WORKLOADS.md. Each builds exactly what
 * peers/peer_torch.py builds, from the same numbers. */
#include "networks.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

/* ---- overhead ---- */

static cr_tensor *tiny_value(work *w)
{
    cr_tensor *x = leaf(w, 0);
    return cr_mul(2, cr_add(cr_pow(x, 2), cr_exp(x)));
}

static void *tiny_make(const void *arg, int threads, double *check)
{
    (void)arg;
    work *w = work_open(threads, tiny_value);
    if (!w)
        return NULL;
    add_leaf(w, cr_scalar(w->ctx, 3.0));
    return made_scalar(w, check);
}

static cr_tensor *chain_value(work *w)
{
    cr_tensor *y = leaf(w, 0);
    for (int i = 0; i < 500; i++)
        y = cr_mul(cr_sin(y), 1.01);
    return y;
}

static void *chain_make(const void *arg, int threads, double *check)
{
    (void)arg;
    work *w = work_open(threads, chain_value);
    if (!w)
        return NULL;
    add_leaf(w, cr_scalar(w->ctx, 0.5));
    return made_scalar(w, check);
}

/* ---- networks ---- */

/* Leaves: the head's weight, 50 weights, 50 biases, the head's bias. */
enum { DEEP = 50 };

static cr_tensor *deep_sigmoid_value(work *w)
{
    cr_tensor *h = w->x;
    for (int i = 0; i < DEEP; i++)
        h = cr_sigmoid(cr_linear(h, leaf(w, 1 + i), leaf(w, 1 + DEEP + i)));
    return cr_sum(cr_linear(h, leaf(w, 0), leaf(w, 1 + 2 * DEEP)));
}

static void *deep_sigmoid_make(const void *arg, int threads, double *check)
{
    (void)arg;
    work *w = work_open(threads, deep_sigmoid_value);
    if (!w)
        return NULL;
    w->x = filled(w, 0, CR_DIMS(8, 64), 1);
    add_param(w, 101, CR_DIMS(1, 64), 64);
    for (uint32_t i = 0; i < DEEP; i++)
        add_param(w, 2 * i + 1, CR_DIMS(64, 64), 64);
    for (uint32_t i = 0; i < DEEP; i++)
        add_param(w, 2 * i + 2, CR_DIMS(64), 64);
    add_param(w, 102, CR_DIMS(1), 64);
    return made_function(w, check);
}

/* ---- single functions: sum(f(x) * c), x being the first leaf ---- */

static cr_tensor *weighted(work *w, cr_tensor *y)
{
    return cr_sum(cr_mul(y, w->c));
}

static cr_tensor *unary_chain_value(work *w)
{
    cr_tensor *y = cr_tanh(cr_add(cr_mul(leaf(w, 0), 1.5), 0.5));
    cr_tensor *gated = cr_mul(cr_sigmoid(y), cr_relu(cr_sub(y, 0.1)));
    return weighted(w, cr_add(gated, cr_exp(cr_mul(cr_neg(y), y))));
}

static cr_tensor *gelu_value(work *w)
{
    return weighted(w, cr_gelu(leaf(w, 0)));
}

static cr_tensor *softmax_value(work *w)
{
    return weighted(w, cr_softmax(leaf(w, 0), -1));
}

static cr_tensor *layer_norm_value(work *w)
{
    return weighted(w, cr_layer_norm(leaf(w, 0), CR_DIMS(768), leaf(w, 1), leaf(w, 2)));
}

static cr_tensor *batch_norm_value(work *w)
{
    return weighted(
        w, cr_batch_norm(leaf(w, 0), NULL, NULL, leaf(w, 1), leaf(w, 2), true, 0.1));
}

static cr_tensor *cross_entropy_value(work *w)
{
    return cr_cross_entropy(leaf(w, 0), w->y);
}

static cr_tensor *attention_value(work *w)
{
    return weighted(w, cr_scaled_dot_product_attention(leaf(w, 0), leaf(w, 1), leaf(w, 2),
                                                       NULL, .is_causal = true));
}

static cr_tensor *embedding_value(work *w)
{
    return weighted(w, cr_embedding(leaf(w, 0), w->y));
}

static cr_tensor *reduce_rows_value(work *w)
{
    return weighted(w, cr_sum(leaf(w, 0), 1));
}

static cr_tensor *reduce_columns_value(work *w)
{
    return weighted(w, cr_sum(leaf(w, 0), 0));
}

static cr_tensor *max_pool_value(work *w)
{
    return weighted(w, cr_max_pool2d(leaf(w, 0), 2));
}

/* alike: how many more leaves are like the first; affine: the width of two more; labels: how many,
 * of so many classes; zero: none. c_seed: zero is 1. */
typedef struct function {
    cr_tensor *(*value)(work *w);
    cr_dims x;
    double scale;
    cr_dims c;
    uint32_t c_seed;
    int alike, affine;
    uint32_t label_seed;
    int labels, label_classes;
} function;

#define SHAPE(rank, ...)                               \
    {                                                  \
        .v = { __VA_ARGS__ }, .n = rank, .given = true \
    }

static const function chain_small_fn = {
    .value = unary_chain_value, .x = SHAPE(1, 16384), .scale = 1, .c = SHAPE(1, 16384)
};
static const function chain_large_fn = {
    .value = unary_chain_value, .x = SHAPE(1, 4 << 20), .scale = 1, .c = SHAPE(1, 4 << 20)
};
static const function gelu_fn = {
    .value = gelu_value, .x = SHAPE(2, 4096, 1024), .scale = 3, .c = SHAPE(2, 4096, 1024)
};
static const function softmax_fn = { .value = softmax_value,
                                     .x = SHAPE(2, 4096, 1024),
                                     .scale = 4,
                                     .c = SHAPE(2, 4096, 1024) };
static const function layer_norm_fn = { .value = layer_norm_value,
                                        .x = SHAPE(2, 4096, 768),
                                        .scale = 1,
                                        .c = SHAPE(2, 4096, 768),
                                        .affine = 768 };
static const function batch_norm_fn = { .value = batch_norm_value,
                                        .x = SHAPE(4, 32, 64, 32, 32),
                                        .scale = 1,
                                        .c = SHAPE(4, 32, 64, 32, 32),
                                        .affine = 64 };
static const function cross_entropy_fn = { .value = cross_entropy_value,
                                           .x = SHAPE(2, 2048, 8192),
                                           .scale = 4,
                                           .label_seed = 99,
                                           .labels = 2048,
                                           .label_classes = 8192 };
static const function attention_fn = { .value = attention_value,
                                       .x = SHAPE(4, 4, 8, 512, 64),
                                       .scale = 1,
                                       .alike = 2,
                                       .c = SHAPE(4, 4, 8, 512, 64),
                                       .c_seed = 9 };
static const function embedding_fn = { .value = embedding_value,
                                       .x = SHAPE(2, 50000, 256),
                                       .scale = 1,
                                       .c = SHAPE(2, 4096, 256),
                                       .label_seed = 98,
                                       .labels = 4096,
                                       .label_classes = 50000 };
static const function reduce_rows_fn = {
    .value = reduce_rows_value, .x = SHAPE(2, 4096, 4096), .scale = 1, .c = SHAPE(1, 4096)
};
static const function reduce_columns_fn = { .value = reduce_columns_value,
                                            .x = SHAPE(2, 4096, 4096),
                                            .scale = 1,
                                            .c = SHAPE(1, 4096) };

static const function max_pool_fn = { .value = max_pool_value,
                                      .x = SHAPE(4, 32, 64, 56, 56),
                                      .scale = 1,
                                      .c = SHAPE(4, 32, 64, 28, 28) };

static void *function_make(const void *arg, int threads, double *check)
{
    const function *f = arg;
    work *w = work_open(threads, f->value);
    if (!w)
        return NULL;
    add_leaf(w, filled(w, 0, f->x, f->scale));
    if (f->c.given)
        w->c = filled(w, f->c_seed ? f->c_seed : 1, f->c, 1);
    for (int i = 1; i <= f->alike; i++)
        add_leaf(w, filled(w, (uint32_t)i, f->x, f->scale));
    if (f->affine) {
        add_leaf(w, filled(w, 2, CR_DIMS(f->affine), 1));
        add_leaf(w, filled(w, 3, CR_DIMS(f->affine), 1));
    }
    if (f->labels)
        w->y = classes(w, f->label_seed, f->labels, f->label_classes);
    return made_function(w, check);
}

/* ---- convolutions ---- */

typedef struct convolution {
    int images, ins, size, outs, kernel, stride, padding, groups;
} convolution;
static const convolution conv_3x3 = { 8, 64, 56, 64, 3, 1, 1, 1 },
                         conv_1x1 = { 8, 64, 56, 256, 1, 1, 0, 1 },
                         conv_depthwise = { 8, 128, 56, 128, 3, 1, 1, 128 },
                         conv_stem = { 4, 3, 224, 64, 7, 2, 3, 1 };

static cr_tensor *convolved(work *w)
{
    const convolution *f = w->arg;
    return cr_conv2d(leaf(w, 0), leaf(w, 1), leaf(w, 2), .stride = CR_DIMS(f->stride),
                     .padding = CR_DIMS(f->padding), .groups = f->groups);
}

static cr_tensor *convolution_value(work *w)
{
    return weighted(w, convolved(w));
}

static void *convolution_make(const void *arg, int threads, double *check)
{
    const convolution *f = arg;
    const int ins = f->ins / f->groups;
    const double scale = 1 / sqrt((double)(ins * f->kernel * f->kernel));
    work *w = work_open(threads, convolution_value);
    if (!w)
        return NULL;
    w->arg = f;
    add_leaf(w, filled(w, 0, CR_DIMS(f->images, f->ins, f->size, f->size), 1));
    add_leaf(w, filled(w, 1, CR_DIMS(f->outs, ins, f->kernel, f->kernel), scale));
    add_leaf(w, filled(w, 2, CR_DIMS(f->outs), scale));
    w->c = filled(w, 3, cr_shape(convolved(w)), 1);
    return made_function(w, check);
}

/* ---- the optimiser alone ---- */

static void *adam_step_make(const void *arg, int threads, double *check)
{
    (void)arg;
    work *w = work_open(threads, NULL);
    if (!w)
        return NULL;
    for (uint32_t i = 0; i < 50; i++) {
        cr_tensor *p = add_leaf(w, filled(w, i, CR_DIMS(200000), 0.1));
        cr_set_grad(p, filled(w, 1000 + i, CR_DIMS(200000), 0.01));
    }
    w->optim = cr_optim_adam(&w->params, 1e-3);
    for (int i = 0; i < 4; i++)
        run_step(w);
    *check = 0;
    for (int i = 0; i < 50; i++)
        *check += bench_abs_sum(cr_data(leaf(w, i)), cr_numel(leaf(w, i)));
    return work_checked(w);
}

/* ---- matrix products ---- */

static cr_tensor *matrix(work *w, uint32_t seed, int batch, int rows, int columns,
                         bool turned)
{
    if (turned)
        return cr_t(matrix(w, seed, batch, columns, rows, false));
    return filled(w, seed,
                  batch > 1 ? CR_DIMS(batch, rows, columns) : CR_DIMS(rows, columns), 1);
}

static void run_gemm(void *state)
{
    work *w = state;
    CR_SCOPE(w->ctx);
    CR_NO_GRAD(w->ctx);
    cr_eval(cr_matmul(w->x, w->c));
}

static void *gemm_make(const void *arg, int threads, double *check)
{
    const bench_gemm *g = arg;
    work *w = work_open(threads, NULL);
    if (!w)
        return NULL;
    w->x = matrix(w, 0, g->batch, g->m, g->k, g->ta);
    w->c = matrix(w, 1, g->batch, g->k, g->n, g->tb);
    {
        CR_SCOPE(w->ctx);
        cr_tensor *product = cr_matmul(w->x, w->c);
        *check = bench_abs_sum(cr_data(product), cr_numel(product));
    }
    return work_checked(w);
}

/* ---- the table ---- */

#define FUNCTION(name)                                            \
    {                                                             \
#name, function_make, run_function, work_free, &name##_fn \
    }
#define CONVOLUTION(name)                                       \
    {                                                           \
#name, convolution_make, run_function, work_free, &name \
    }
#define GEMM(i) BENCH_GEMM_ROW(i, gemm_make, run_gemm, work_free)

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--version") == 0) {
        printf("%s, kernels %s, compiled by " COMPILER "\n", cr_version(), cr_isa());
        return 0;
    }
    const bench_workload table[] = {
        { "tiny", tiny_make, run_scalar, work_free, NULL },
        { "chain", chain_make, run_scalar, work_free, NULL },
        { "deep_sigmoid", deep_sigmoid_make, run_function, work_free, NULL },
        { "mlp_small", mlp_make, run_training, work_free, &mlp_small },
        { "mlp", mlp_make, run_training, work_free, &mlp_large },
        { "mlp_infer", mlp_make, run_inference, work_free, &mlp_infer },
        { "cnn", cnn_make, run_training, work_free, NULL },
        { "resnet20", resnet20_make, run_training, work_free, NULL },
        { "lstm", lstm_make, run_training, work_free, NULL },
        { "gpt", gpt_make, run_training, work_free, &gpt_narrow },
        { "gpt_wide", gpt_make, run_training, work_free, &gpt_wide },
        GEMM(0),
        GEMM(1),
        GEMM(2),
        GEMM(3),
        GEMM(4),
        GEMM(5),
        GEMM(6),
        FUNCTION(chain_small),
        FUNCTION(chain_large),
        FUNCTION(gelu),
        FUNCTION(softmax),
        FUNCTION(attention),
        FUNCTION(layer_norm),
        FUNCTION(cross_entropy),
        FUNCTION(batch_norm),
        FUNCTION(embedding),
        FUNCTION(reduce_rows),
        FUNCTION(reduce_columns),
        CONVOLUTION(conv_3x3),
        CONVOLUTION(conv_1x1),
        CONVOLUTION(conv_depthwise),
        CONVOLUTION(conv_stem),
        FUNCTION(max_pool),
        { "adam_step", adam_step_make, run_step, work_free, NULL },
    };
    return bench_serve(table, (int)(sizeof table / sizeof table[0]),
                       bench_threads(argc, argv));
}
