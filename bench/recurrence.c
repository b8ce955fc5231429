/* recurrence [STEPS [HIDDEN [BATCH]]]: training through time. A tanh layer with weights for the
 * input and for itself is unrolled over all steps (default 800, 256 wide, batches of 8), the
 * loss is at the end, SGD follows. Prints for each of a few training steps how many nodes were
 * recorded (from the memory that they take, 128 bytes each, so with what belongs to them), the
 * most memory that has been in use so far, data included, and the times. */
#include "protocol.h"

#include <chainrule.h>

enum { TRAINING_STEPS = 4 };

typedef struct net {
    cr_ctx *ctx;
    cr_param params[3]; /* of the input, of the hidden state, the bias */
    cr_tensor *inputs, *target;
    cr_optim *optim;
    int64_t steps, hidden, batch;
} net;

static cr_tensor *filled(cr_ctx *ctx, uint32_t seed, cr_dims dims, double scale)
{
    int64_t n = 1;
    for (int i = 0; i < dims.n; i++)
        n *= dims.v[i];
    float *data = bench_filled(n, seed, (float)scale);
    cr_tensor *t = data ? cr_from(ctx, CR_F32, dims, data) : NULL;
    free(data);
    return t;
}

static void open_net(net *w)
{
    const double scale = 1 / sqrt((double)w->hidden);
    const cr_dims square = CR_DIMS(w->hidden, w->hidden);
    cr_ctx *ctx = w->ctx;
    w->inputs = filled(ctx, 0, CR_DIMS(w->steps, w->batch, w->hidden), 1);
    w->target = filled(ctx, 9, CR_DIMS(w->batch, w->hidden), 1);
    w->params[0] = (cr_param){ "input", cr_requires_grad(filled(ctx, 1, square, scale)) };
    w->params[1] =
        (cr_param){ "hidden", cr_requires_grad(filled(ctx, 2, square, scale)) };
    w->params[2] =
        (cr_param){ "bias", cr_requires_grad(cr_zeros(ctx, CR_DIMS(w->hidden))) };
    cr_params params = { .ctx = ctx, .n = 3, .list = w->params };
    w->optim = cr_optim_sgd(&params, 0.01);
}

static cr_tensor *loss_at_end(const net *w)
{
    cr_tensor *h = cr_zeros(w->ctx, CR_DIMS(w->batch, w->hidden));
    for (int64_t t = 0; t < w->steps; t++) {
        cr_tensor *x = cr_select(w->inputs, 0, t);
        h = cr_tanh(cr_add(cr_linear(x, w->params[0].tensor, w->params[2].tensor),
                           cr_linear(h, w->params[1].tensor, NULL)));
    }
    return cr_mse_loss(h, w->target);
}

static void train(net *w)
{
    CR_SCOPE(w->ctx);
    size_t before = cr_memory_used(w->ctx);
    double begin = bench_seconds();
    cr_tensor *loss = loss_at_end(w);
    cr_optim_zero_grad(w->optim);
    cr_backward(loss);
    cr_optim_step(w->optim);
    double recorded = bench_seconds();
    size_t nodes = (cr_memory_used(w->ctx) - before) / 128;
    double value = cr_item(loss);
    printf(
        "loss %.6f: %zu nodes, peak %.1f MB, recorded in %.2f ms, computed in %.1f ms\n",
        value, nodes, (double)cr_memory_peak(w->ctx) / 1e6, (recorded - begin) * 1e3,
        (bench_seconds() - recorded) * 1e3);
}

int main(int argc, char **argv)
{
    net w = { .ctx = cr_open(&(cr_options){ .threads = 1 }),
              .steps = argc > 1 ? atol(argv[1]) : 800,
              .hidden = argc > 2 ? atol(argv[2]) : 256,
              .batch = argc > 3 ? atol(argv[3]) : 8 };
    open_net(&w);
    for (int i = 0; i < TRAINING_STEPS && !cr_error(w.ctx); i++)
        train(&w);
    bool failed = cr_error(w.ctx) != CR_OK;
    if (failed)
        fprintf(stderr, "recurrence: %s\n", cr_message(w.ctx));
    cr_optim_free(w.optim);
    cr_close(w.ctx);
    return failed;
}
