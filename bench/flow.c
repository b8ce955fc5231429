/* What watching a training costs: rounds of steps with cr_flow_watch(), every 50th step being
 * measured, beside rounds without it, in turn. Prints for each network the time of a step and the
 * median of the paired ratios, which is to stay below 1.03.
 *
 *     build/bench/flow [rounds]     from anywhere; default 41
 */
#include "protocol.h"

#include <chainrule_flow.h>

enum { BATCH = 64, CLASSES = 10, STEPS = 100, ROUNDS = 1001 };

typedef cr_module *network(cr_ctx *ctx);

/* The classifier of 8 x 8 digits. */
static cr_module *mlp(cr_ctx *ctx)
{
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, 64, 128));
    cr_nn_add(net, cr_nn_relu(ctx));
    cr_nn_add(net, cr_nn_linear(ctx, 128, 64));
    cr_nn_add(net, cr_nn_relu(ctx));
    cr_nn_add(net, cr_nn_linear(ctx, 64, CLASSES));
    return net;
}

static cr_tensor *pool_and_flatten(cr_module *module, cr_tensor *x, void *user)
{
    (void)module, (void)user;
    return cr_flatten(cr_max_pool2d(x, 2), 1, -1);
}

static cr_tensor *as_image(cr_module *module, cr_tensor *x, void *user)
{
    (void)module, (void)user;
    return cr_reshape(x, CR_DIMS(BATCH, 1, 8, 8));
}

static cr_module *cnn(cr_ctx *ctx)
{
    const cr_nn_conv_opts same = { .padding = CR_DIMS(1) };
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_custom(ctx, "image", as_image, NULL, NULL));
    cr_nn_add(net, cr_nn_conv2d_at(ctx, 1, 16, CR_DIMS(3), same));
    cr_nn_add(net, cr_nn_relu(ctx));
    cr_nn_add(net, cr_nn_conv2d_at(ctx, 16, 32, CR_DIMS(3), same));
    cr_nn_add(net, cr_nn_relu(ctx));
    cr_nn_add(net, cr_nn_custom(ctx, "pool", pool_and_flatten, NULL, NULL));
    cr_nn_add(net, cr_nn_linear(ctx, 32 * 16, CLASSES));
    return net;
}

/* A training of its own, watched or not. */
typedef struct training {
    cr_ctx *ctx;
    cr_module *net;
    cr_optim *optim;
    cr_flow *flow;
    cr_tensor *x, *labels;
} training;

static bool open_training(training *t, network *build, bool watched)
{
    *t = (training){ .ctx = cr_open(NULL) };
    t->net = build(t->ctx);
    t->optim = cr_optim_sgd(cr_nn_params(t->net), 0.01, .momentum = 0.9);
    t->flow = watched ? cr_flow_open(t->net, .optim = t->optim, .every = 50) : NULL;
    t->x = cr_randn(t->ctx, CR_DIMS(BATCH, 64));
    t->labels = cr_randint(t->ctx, 0, CLASSES, CR_DIMS(BATCH));
    return t->optim && (t->flow || !watched) && t->labels;
}

static void close_training(training *t)
{
    cr_flow_close(t->flow);
    cr_optim_free(t->optim);
    cr_nn_free(t->net);
    cr_close(t->ctx);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Seconds for each of STEPS steps. */
static double train(training *t)
{
    const double begin = seconds();
    for (int step = 0; step < STEPS; step++) {
        CR_SCOPE(t->ctx);
        cr_tensor *loss = cr_cross_entropy(cr_nn_forward(t->net, t->x), t->labels);
        if (t->flow)
            cr_flow_watch(t->flow, loss, .target = t->labels);
        cr_optim_zero_grad(t->optim);
        cr_backward(loss);
        cr_optim_step(t->optim);
    }
    return (seconds() - begin) / STEPS;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, compare);
    return v[n / 2];
}

static bool measure(const char *name, network *build, int rounds)
{
    training plain, watched;
    double ratios[ROUNDS], times[ROUNDS];
    bool done = open_training(&plain, build, false);
    done = open_training(&watched, build, true) && done;
    /* The first two warm up, and are the first steps. */
    for (int i = -2; i < rounds && done; i++) {
        const double one = train(&plain), two = train(&watched), three = train(&plain);
        if (i < 0)
            continue;
        times[i] = (one + three) / 2;
        ratios[i] = two / times[i];
    }
    if (cr_error(plain.ctx) || cr_error(watched.ctx)) {
        fprintf(stderr, "%s\n%s\n", cr_message(plain.ctx), cr_message(watched.ctx));
        done = false;
    }
    if (done)
        printf("%-4s step %8.1f us   watched %.4f of it (%d rounds of %d steps)\n", name,
               1e6 * median(times, rounds), median(ratios, rounds), rounds, STEPS);
    close_training(&plain);
    close_training(&watched);
    return done;
}

int main(int argc, char **argv)
{
    const int asked = argc > 1 ? atoi(argv[1]) : 41;
    const int rounds = asked < 1 ? 1 : asked < ROUNDS ? asked : ROUNDS;
    return measure("mlp", mlp, rounds) && measure("cnn", cnn, rounds) ? 0 : 1;
}
