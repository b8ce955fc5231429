/* The lesson's numbers: the tiny graph, the ratios of gradient norms as PyTorch measures
 * them, and an identity of ReLU networks that needs no reference. */
#include "tap.h"
#include "../examples/lesson.h"

enum { WIDTH = 64, DEEPEST = 50, SEEDS = 8 };

typedef struct stack {
    const char *name;
    int layers, batch;
    bool relu, he, batch_norm; /* he: without biases */
    double want; /* log10 of the first layer's norm over the last's, mean of seeds */
} stack;

/* PyTorch 2.15 in f64, default initialisation. */
static const stack stacks[] = {
    { .name = "30 sigmoid layers", .layers = 30, .batch = 32, .want = -25.2 },
    { .name = "30 ReLU layers", .layers = 30, .batch = 32, .relu = true, .want = -10.8 },
    { .name = "30 ReLU layers, He, no bias",
      .layers = 30,
      .batch = 32,
      .relu = true,
      .he = true,
      .want = -0.5 },
    { .name = "50 sigmoid layers", .layers = 50, .batch = 8, .want = -41.8 },
    { .name = "30 sigmoid layers, batch norm",
      .layers = 30,
      .batch = 32,
      .batch_norm = true,
      .want = 0.5 },
};

/* The network; weights[0 .. layers] are those of the layers and of the head. */
static cr_module *build(cr_ctx *ctx, const stack *s, cr_dtype dtype, cr_tensor **weights)
{
    cr_module *net = cr_nn_sequential(ctx);
    for (int i = 0; i <= s->layers; i++) {
        bool head = i == s->layers;
        cr_module *linear =
            cr_nn_linear(ctx, WIDTH, head ? 1 : WIDTH, .no_bias = s->he, .dtype = dtype);
        weights[i] = cr_nn_param(linear, "weight");
        if (s->he)
            cr_init_kaiming_normal(weights[i], cr_init_gain("relu", 0));
        cr_nn_add(net, linear);
        if (!head && s->batch_norm)
            cr_nn_add(net, cr_nn_batch_norm1d(ctx, WIDTH, .dtype = dtype));
        if (!head)
            cr_nn_add(net, s->relu ? cr_nn_relu(ctx) : cr_nn_sigmoid(ctx));
    }
    return net;
}

/* Forward and backward from the sum of the outputs; returns it. */
static double flow(cr_ctx *ctx, const stack *s, cr_module *net, cr_dtype dtype)
{
    cr_tensor *x = cr_randn(ctx, CR_DIMS(s->batch, WIDTH), .dtype = dtype);
    cr_tensor *loss = cr_sum(cr_nn_forward(net, x));
    cr_backward(loss);
    return cr_item(loss);
}

static void test_ratio(const stack *s)
{
    double sum = 0;
    for (int seed = 0; seed < SEEDS; seed++) {
        cr_ctx *ctx = cr_open(NULL);
        cr_tensor *weights[DEEPEST + 1];
        cr_seed(ctx, (uint64_t)seed);
        cr_module *net = build(ctx, s, CR_F64, weights);
        flow(ctx, s, net, CR_F64);
        double ratio = NAN;
        if (!cr_error(ctx))
            ratio = norm_of_gradient(weights[0]).norm /
                    norm_of_gradient(weights[s->layers - 1]).norm;
        sum += log10(ratio) / SEEDS;
        cr_nn_free(net);
        cr_close(ctx);
    }
    is_near(sum, s->want, 0.5, "%s: first over last is 10^%.1f, ours 10^%.1f", s->name,
            s->want, sum);
}

/* What single precision cannot hold is reported as what it is. */
static void test_states(void)
{
    const stack *s = &stacks[3];
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *weights[DEEPEST + 1];
    cr_module *net = build(ctx, s, CR_F32, weights);
    is_int(norm_of_gradient(weights[0]).state, DISCONNECTED,
           "before backward: disconnected");
    flow(ctx, s, net, CR_F32);
    gradient_norm first = norm_of_gradient(weights[0]);
    ok(first.state == SUBNORMAL && first.norm > 1e-44 && first.norm < 1e-39,
       "50 sigmoid layers in f32: the first layer's gradient is subnormal, %.1e",
       first.norm);
    is_int(norm_of_gradient(weights[s->layers - 1]).state, NORMAL,
           "the last layer's is normal");
    cr_set_grad(weights[0], cr_zeros_like(weights[0]));
    is_int(norm_of_gradient(weights[0]).state, ZERO, "zeros are zero");
    cr_set_grad(weights[0], cr_full_like(weights[0], (double)INFINITY));
    is_int(norm_of_gradient(weights[0]).state, NOT_FINITE, "infinities are not finite");
    ok(cr_error(ctx) == CR_OK, "no error: %s", cr_message(ctx));
    cr_nn_free(net);
    cr_close(ctx);
}

/* A ReLU network without biases is homogeneous of degree one in each of its weights, so
 * by Euler's theorem the inner product of every weight with its gradient is the loss
 * itself. */
static void test_identity(cr_dtype dtype, double tolerance)
{
    const stack *s = &stacks[2];
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *weights[DEEPEST + 1];
    cr_seed(ctx, 3);
    cr_module *net = build(ctx, s, dtype, weights);
    double loss = flow(ctx, s, net, dtype), worst = 0;
    for (int i = 0; i <= s->layers; i++) {
        CR_SCOPE(ctx);
        CR_NO_GRAD(ctx);
        cr_tensor *w = cr_cast(weights[i], CR_F64),
                  *g = cr_cast(cr_grad(weights[i]), CR_F64);
        double inner = cr_item(cr_sum(cr_mul(w, g)));
        worst = fmax(worst, isnan(inner) ? INFINITY : fabs(inner - loss) / fabs(loss));
    }
    ok(worst <= tolerance, "%s: <W, dL/dW> is the loss in each of %d layers (%.1e)",
       cr_dtype_name(dtype), s->layers + 1, worst);
    cr_nn_free(net);
    cr_close(ctx);
}

static void test_tiny_graph(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 3.0, .dtype = CR_F64));
    cr_backward(cr_mul(cr_add(cr_pow(x, 2), cr_exp(x)), 2));
    is_near(cr_item(cr_grad(x)), 12 + 2 * exp(3), 1e-13,
            "the tiny graph: 2 (2x + e^x), 52.1711");
    cr_close(ctx);
}

int main(void)
{
    test_tiny_graph();
    for (size_t i = 0; i < sizeof stacks / sizeof stacks[0]; i++)
        test_ratio(&stacks[i]);
    test_states();
    test_identity(CR_F64, 1e-11);
    test_identity(CR_F32, 1e-3);
    return done_testing();
}
