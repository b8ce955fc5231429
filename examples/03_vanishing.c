/* Thirty layers, with sigmoids and with ReLUs: how large the gradient is in every layer,
 * and which remedy keeps the product of thirty factors alive. */
#include "lesson.h"
#include <stdlib.h>

enum { LAYERS = 30, WIDTH = 64, BATCH = 32 };
enum init { DEFAULT, XAVIER, HE };
enum norm { NONE, BATCH_NORM, LAYER_NORM };

static struct stack {
    const char *name;
    bool relu;
    enum init init;
    enum norm norm;
    bool residual, clipped;
    gradient_norm norms[LAYERS]; /* of the weights' gradients: measure() */
} stacks[] = {
    { .name = "sigmoid" },
    { .name = "sigmoid, Xavier", .init = XAVIER },
    { .name = "sigmoid, He", .init = HE },
    { .name = "sigmoid, batch norm", .norm = BATCH_NORM },
    { .name = "sigmoid, layer norm", .norm = LAYER_NORM },
    { .name = "sigmoid, residual", .residual = true },
    { .name = "sigmoid, clipping", .clipped = true },
    { .name = "ReLU", .relu = true },
    { .name = "ReLU, Xavier", .relu = true, .init = XAVIER },
    { .name = "ReLU, He", .relu = true, .init = HE },
    { .name = "ReLU, batch norm", .relu = true, .norm = BATCH_NORM },
    { .name = "ReLU, layer norm", .relu = true, .norm = LAYER_NORM },
    { .name = "ReLU, residual", .relu = true, .residual = true },
    { .name = "ReLU, clipping", .relu = true, .clipped = true },
};
enum { STACKS = sizeof stacks / sizeof stacks[0] };

/* Norms are drawn from 10^LOW to 10^HIGH. */
static const double LOW = -30, HIGH = 5;

/* Linear, norm, activation, perhaps with a way around them; *weight is the linear's. */
static cr_module *layer(cr_ctx *ctx, const struct stack *s, cr_tensor **weight)
{
    cr_module *block = cr_nn_sequential(ctx), *linear = cr_nn_linear(ctx, WIDTH, WIDTH);
    *weight = cr_nn_param(linear, "weight");
    if (s->init == XAVIER)
        cr_init_xavier_uniform(*weight, cr_init_gain("sigmoid", 0));
    if (s->init == HE)
        cr_init_kaiming_normal(*weight, cr_init_gain("relu", 0));
    cr_nn_add(block, linear);
    if (s->norm == BATCH_NORM)
        cr_nn_add(block, cr_nn_batch_norm1d(ctx, WIDTH));
    if (s->norm == LAYER_NORM)
        cr_nn_add(block, cr_nn_layer_norm(ctx, WIDTH));
    cr_nn_add(block, s->relu ? cr_nn_relu(ctx) : cr_nn_sigmoid(ctx));
    return s->residual ? cr_nn_residual(ctx, block) : block;
}

/* One forward and one backward pass with the sum of the outputs as the loss. */
static void measure(cr_ctx *ctx, struct stack *s, uint64_t seed)
{
    CR_SCOPE(ctx);
    cr_tensor *weights[LAYERS];
    cr_seed(ctx, seed);
    cr_module *net = cr_nn_sequential(ctx);
    for (int i = 0; i < LAYERS; i++)
        cr_nn_add(net, layer(ctx, s, &weights[i]));
    cr_nn_add(net, cr_nn_linear(ctx, WIDTH, 1));
    cr_backward(cr_sum(cr_nn_forward(net, cr_randn(ctx, CR_DIMS(BATCH, WIDTH)))));
    if (s->clipped)
        cr_clip_grad_norm(cr_nn_params(net), 1.0);
    for (int i = 0; i < LAYERS && !cr_error(ctx); i++)
        s->norms[i] = norm_of_gradient(weights[i]);
    cr_nn_free(net);
}

/* log10 of the first layer's norm over the last's. */
static double decades(const struct stack *s)
{
    return log10(s->norms[0].norm / s->norms[LAYERS - 1].norm);
}

static const char *verdict(const struct stack *s)
{
    double d = decades(s);
    return d < -8 ? "vanishes" : d < -3 ? "fades" : d <= 3 ? "alive" : "explodes";
}

static void print_bars(const struct stack *s)
{
    printf("\n%s: norm of the weight's gradient by layer\n", s->name);
    for (int i = 0; i < LAYERS; i++) {
        if (i % 3 && i != LAYERS - 1)
            continue;
        printf("  layer %2d  %8.1e  ", i + 1, s->norms[i].norm);
        print_bar(s->norms[i].norm, LOW, HIGH, 60);
        printf("\n");
    }
}

static void print_table(void)
{
    printf("\n%-22s%9s%10s%12s   %-*s\n", "stack", "first", "last", "first/last",
           LAYERS + 2, "layers 1 to 30");
    for (int k = 0; k < STACKS; k++) {
        const struct stack *s = &stacks[k];
        char ratio[32];
        snprintf(ratio, sizeof ratio, "10^%.1f", decades(s));
        printf("%-22s%9.1e%10.1e%12s   ", s->name, s->norms[0].norm,
               s->norms[LAYERS - 1].norm, ratio);
        for (int i = 0; i < LAYERS; i++)
            print_column(s->norms[i].norm, LOW, HIGH);
        printf("  %s\n", verdict(s));
    }
    printf("\nA column is a layer, on a logarithmic scale. Clipping divides all "
           "gradients by one "
           "number:\nthe ratio stays, and what has vanished stays away.\n");
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    cr_ctx *ctx = cr_open(NULL);
    for (int k = 0; k < STACKS; k++)
        measure(ctx, &stacks[k], seed);
    printf("%d layers of Linear(%d) and an activation, a head %d -> 1, a batch of %d\n",
           LAYERS, WIDTH, WIDTH, BATCH);
    if (!cr_error(ctx)) {
        print_bars(&stacks[0]);
        print_bars(&stacks[7]);
        print_table();
    }
    return finish(ctx);
}
