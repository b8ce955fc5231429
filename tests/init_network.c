/* Initialisers: of whole networks (LSUV, Fixup), and those of single weights whose distributions
 * have a definition to be held against. */
#include "engine.h"

enum { WIDTH = 32, BATCH = 64 };

static double variance(cr_tensor *x)
{
    return cr_item(cr_var(x, CR_ALL, .correction = CR_REAL(0)));
}

static double most_off(cr_tensor *a, double value)
{
    return cr_item(cr_amax(cr_abs(cr_sub(a, value))));
}

/* How far rows (or columns) of a weight are from orthonormal, up to a factor. */
static double off_orthogonal(cr_tensor *w)
{
    w = cr_cast(cr_flatten(w, 1, -1), CR_F64);
    cr_tensor *gram =
        cr_size(w, 0) <= cr_size(w, 1) ? cr_matmul(w, cr_t(w)) : cr_matmul(cr_t(w), w);
    gram = cr_div(gram, cr_mean(cr_diagonal(gram, 0, 0, 1)));
    return cr_item(cr_amax(
        cr_abs(cr_sub(gram, cr_eye(cr_ctx_of(w), cr_size(gram, 0), .dtype = CR_F64)))));
}

/* ---- LSUV ---- */

/* What each layer of a network gave when it ran last. */
typedef struct seen {
    double variance[8];
    int n;
} seen;

static cr_tensor *look(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    seen *s = user;
    (void)module, (void)x;
    if (s->n < 8)
        s->variance[s->n++] = variance(y);
    return NULL;
}

static cr_module *network(cr_ctx *ctx)
{
    cr_module *net = cr_nn_sequential(ctx), *block = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_conv1d(ctx, 2, 6, 3, .padding = CR_DIMS(1)));
    cr_nn_add(net, cr_nn_batch_norm1d(ctx, 6));
    cr_nn_add(net, cr_nn_tanh(ctx));
    cr_nn_add(net, cr_nn_flatten(ctx));
    cr_nn_add(net, cr_nn_linear(ctx, 30, WIDTH));
    cr_nn_add(block, cr_nn_relu(ctx));
    cr_nn_add(block, cr_nn_dropout(ctx, 0.25));
    cr_nn_add(block, cr_nn_linear(ctx, WIDTH, WIDTH));
    cr_nn_add(net, cr_nn_residual(ctx, block));
    cr_nn_add(net, cr_nn_linear(ctx, WIDTH, 3, .no_bias = true));
    return net;
}

static void test_lsuv(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = network(ctx);
    cr_module *layers[] = { cr_nn_child(net, 0), cr_nn_child(net, 4),
                            cr_nn_child(cr_nn_child(cr_nn_child(net, 5), 0), 2),
                            cr_nn_child(net, 6) };
    cr_init_constant(cr_nn_param(net, "1.bias"), 0.5);
    cr_tensor *x = cr_mul(cr_randn(ctx, CR_DIMS(BATCH, 2, 5)), 100);
    is_int(cr_init_lsuv(net, x, .tolerance = 0.001), CR_OK, "a network is initialised");
    is_text(cr_message(ctx), "", "no error");
    is_near(most_off(cr_nn_param(net, "1.running_mean"), 0), 0, 0,
            "running statistics are as before");
    is_near(most_off(cr_nn_param(net, "1.running_var"), 1), 0, 0, "both");
    is_near(most_off(cr_nn_param(net, "1.bias"), 0.5), 0, 0, "parameters of others stay");
    is_near(most_off(cr_nn_param(net, "5.inner.2.bias"), 0), 0, 0, "biases are zeros");
    ok(cr_nn_is_training(net), "so does the mode");
    seen s = { .n = 0 };
    for (int i = 0; i < 4; i++) {
        ok(off_orthogonal(cr_nn_param(layers[i], "weight")) < 1e-5,
           "weight %d is orthogonal", i);
        cr_nn_register_forward_hook(layers[i], look, &s);
        FAILS(cr_nn_remove_forward_hook(layers[i], 1), ARGUMENT, "has no hook 1");
    }
    cr_eval(cr_nn_forward(net, x));
    for (int i = 0; i < 4; i++) /* the third and what follows see another dropout */
        is_near(s.variance[i], 1, i < 2 ? 0.001 : 0.25,
                "the output of layer %d has variance 1", i);
    is_int(cr_init_lsuv(cr_nn_child(net, 5), cr_mul(cr_ones(ctx, CR_DIMS(4, WIDTH)), -1)),
           CR_ERR_VALUE, "a layer that gets zeros cannot be scaled");
    ok(failed_with(ctx, CR_ERR_VALUE, "5.inner.2: linear has variance 0"),
       "and is named, in its tree");
    FAILS(cr_nn_remove_forward_hook(layers[2], 3), ARGUMENT, "has no hook 3");
    ok(cr_init_lsuv(net, NULL) && failed_with(ctx, CR_ERR_NULL, "x is NULL"),
       "x is NULL");
    ok(cr_init_lsuv(net, x, .tolerance = -1) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "tolerance is -1"),
       "tolerance is above 0");
    ok(cr_init_lsuv(net, x, .max_iterations = -1) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "max_iterations -1"),
       "iterations too");
    ok(cr_init_lsuv(cr_nn_child(net, 2), x) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "this tanh has no linear layer"),
       "there must be a layer");
    is_int(cr_init_lsuv(NULL, x), CR_ERR_NULL, "NULL has none");
    ok(cr_init_lsuv(net, cr_randn(ctx, CR_DIMS(BATCH, 3, 5))) &&
           failed_with(ctx, CR_ERR_SHAPE, "init_network.c:"),
       "a batch that does not fit is the forward's error");
    cr_nn_free(net);
}

static cr_tensor *twice_over(cr_module *module, cr_tensor *x, void *user)
{
    (void)user;
    x = cr_nn_forward(cr_nn_child(module, 0), x);
    return cr_nn_forward(cr_nn_child(module, 0), cr_mul(x, 3));
}

/* Order is that of running; what does not run stays orthogonal. */
static void test_lsuv_shared(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = cr_nn_custom(ctx, "shared", twice_over, NULL, NULL);
    cr_nn_add(net, cr_nn_linear(ctx, 8, 8));
    cr_nn_add(net, cr_nn_linear(ctx, 8, 4));
    cr_tensor *x = cr_mul(cr_randn(ctx, CR_DIMS(BATCH, 8)), 5);
    is_int(cr_init_lsuv(net, x), CR_OK, "a layer that runs twice");
    is_near(variance(cr_nn_forward(cr_nn_child(net, 0), x)), 1, 1e-4,
            "is scaled by its first output");
    cr_tensor *idle = cr_nn_param(net, "1.weight");
    is_near(cr_item(cr_sum(cr_square(idle))), 4, 1e-5,
            "one that does not stays orthonormal");
    cr_nn_free(net);
}

/* ---- Fixup ---- */

static cr_module *branch(cr_ctx *ctx, int layers)
{
    cr_module *block = cr_nn_sequential(ctx);
    for (int i = 0; i < layers; i++) {
        cr_nn_add(block, cr_nn_relu(ctx));
        cr_nn_add(block, cr_nn_linear(ctx, WIDTH, WIDTH));
    }
    return cr_nn_residual(ctx, block);
}

static void has_std(cr_module *net, const char *name, double want)
{
    cr_tensor *w = cr_nn_param(net, name);
    is_near(cr_item(cr_std(w)), want, 0.1 * want, "%s has std %g", name, want);
}

static void test_fixup(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double he = sqrt(2.0 / WIDTH);
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, WIDTH, WIDTH));
    cr_nn_add(net, branch(ctx, 2));
    cr_nn_add(net, branch(ctx, 3));
    cr_nn_add(net, branch(ctx, 1));
    cr_nn_add(net, cr_nn_residual(ctx, cr_nn_relu(ctx))); /* no branch of layers */
    cr_nn_add(net, cr_nn_linear(ctx, WIDTH, 3));
    is_int(cr_init_fixup(net), CR_OK, "a network with three branches");
    has_std(net, "0.weight", he);
    has_std(net, "1.inner.1.weight", he * pow(3, -0.5));
    has_std(net, "2.inner.1.weight", he * pow(3, -0.25));
    has_std(net, "2.inner.3.weight", he * pow(3, -0.25));
    has_std(net, "1.inner.3.weight", 0);
    has_std(net, "2.inner.5.weight", 0);
    has_std(net, "3.inner.1.weight", 0);
    has_std(net, "5.weight", 0);
    is_near(most_off(cr_nn_param(net, "0.bias"), 0), 0, 0, "biases are zeros");
    cr_tensor *x = cr_abs(cr_randn(ctx, CR_DIMS(2, WIDTH)));
    cr_module *blocks = cr_nn_child(net, 1);
    is_near(most_off(cr_sub(cr_nn_forward(blocks, x), x), 0), 0, 0,
            "a branch adds nothing at first");
    cr_backward(cr_sum(cr_nn_forward(blocks, x)));
    ok(cr_item(cr_amax(cr_abs(cr_grad(cr_nn_param(net, "1.inner.3.weight"))))) > 0,
       "and has a gradient");

    cr_nn_free(cr_nn_remove(net, 5));
    cr_module *nested = branch(ctx, 2);
    cr_nn_add(cr_nn_child(nested, 0), branch(ctx, 2));
    cr_nn_add(net, nested);
    is_int(cr_init_fixup(net), CR_OK, "with branches in branches");
    has_std(net, "5.inner.1.weight", he * pow(5, -0.5));
    has_std(net, "5.inner.3.weight", 0);
    has_std(net, "5.inner.4.inner.1.weight", he * pow(5, -0.5));
    has_std(net, "5.inner.4.inner.3.weight", 0);
    has_std(net, "0.weight", he);
    is_int(cr_init_fixup(cr_nn_child(net, 1)), CR_OK, "one branch alone");
    has_std(net, "1.inner.1.weight", he);
    ok(cr_init_fixup(cr_nn_child(net, 0)) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "this linear has no residual branch"),
       "without a branch there is nothing to do");
    is_int(cr_init_fixup(NULL), CR_ERR_NULL, "nor for NULL");
    cr_nn_free(net);
}

/* ---- single weights ---- */

/* The distribution function of the standard normal distribution between a and b. */
static double truncated(double z, double a, double b)
{
    double lo = erfc(-a * sqrt(0.5)), hi = erfc(-b * sqrt(0.5));
    if (a > 0) /* the upper tail, in all its digits */
        return (erfc(a * sqrt(0.5)) - erfc(z * sqrt(0.5))) /
               (erfc(a * sqrt(0.5)) - erfc(b * sqrt(0.5)));
    return (erfc(-z * sqrt(0.5)) - lo) / (hi - lo);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov and Smirnov's statistic is below 1.95 / sqrt(n) but in one of a thousand cases. */
static void follows(cr_ctx *ctx, double mean, double std, double a, double b)
{
    enum { N = 4000 };
    CR_SCOPE(ctx);
    static double x[N];
    cr_tensor *w = cr_zeros(ctx, CR_DIMS(N), .dtype = CR_F64);
    cr_requires_grad(w);
    is_int(cr_init_trunc_normal(w, mean, std, a, b), CR_OK, "N(%g, %g^2) in [%g, %g]",
           mean, std, a, b);
    cr_read(w, x, sizeof x);
    qsort(x, N, sizeof *x, by_value);
    double most = 0;
    for (int i = 0; i < N; i++)
        most =
            fmax(most,
                 fabs(truncated((x[i] - mean) / std, (a - mean) / std, (b - mean) / std) -
                      (i + 0.5) / N));
    ok(x[0] >= a && x[N - 1] <= b, "nothing lies outside");
    ok(most < 1.95 / sqrt(N), "its distribution is that: %g", most);
}

static void test_single(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    follows(ctx, 0, 1, -2, 2);
    follows(ctx, 0.5, 2, 0, 0.75);
    follows(ctx, 0, 1, 3, 9);
    follows(ctx, 1, 0.02, 0, 0.9);
    follows(ctx, 0, 1, -1000, 1000);
    cr_module *linear = cr_nn_linear(ctx, 200, 100);
    cr_tensor *w = cr_nn_param(linear, "weight");
    cr_init_lecun_normal(w);
    is_near(cr_item(cr_std(w)), sqrt(1.0 / 200), 0.002, "lecun_normal's std");
    cr_init_lecun_uniform(w);
    is_near(cr_item(cr_std(w)), sqrt(1.0 / 200), 0.002, "lecun_uniform's std");
    is_near(cr_item(cr_amax(cr_abs(w))), sqrt(3.0 / 200), 1e-4, "and its bound");
    cr_init_trunc_normal(w, 0, 0.02, -0.03, 0.03);
    ok(cr_item(cr_amax(cr_abs(w))) <= 0.03, "f32 stays within its bounds");
    FAILS(cr_init_lecun_normal(cr_nn_param(linear, "bias")), SHAPE,
          "init_lecun_normal: bias");
    FAILS(cr_init_trunc_normal(w, 0, 0, -1, 1), ARGUMENT, "std is 0");
    FAILS(cr_init_trunc_normal(w, 0, -1, -1, 1), ARGUMENT,
          "init_trunc_normal: std is -1");
    FAILS(cr_init_trunc_normal(w, 0, 1, 1, 1), ARGUMENT, "a 1 and b 1");
    FAILS(cr_init_trunc_normal(w, 0, 1, 7, 8), ARGUMENT, "within 7 std");
    FAILS(cr_init_trunc_normal(w, 0, 1, (double)-INFINITY, 8), ARGUMENT, "a is -inf");
    FAILS(cr_init_trunc_normal(w, (double)NAN, 1, -2, 2), ARGUMENT, "mean is");
    cr_nn_free(linear);
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_seed(ctx, 5);
    test_lsuv(ctx);
    test_lsuv_shared(ctx);
    test_fixup(ctx);
    test_single(ctx);
    is_text(cr_message(ctx), "", "no error is left");
    cr_close(ctx);
    return done_testing();
}
