/* A workload of chainrule as a peer: what is set up once, and the kinds of runs. Through the
 * public header only.
 *
 * The library is lazy, so a timed run ends by computing all that the definition asks for:
 * the value and every leaf's gradient of a function, the assignments of a training step. */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include "protocol.h"

#include <chainrule.h>
#include <math.h>

enum { MAX_LEAVES = 128 };

/* One workload set up. The leaves are the parameters; the first one's gradient is the
 * check of a function. */
typedef struct work {
    cr_ctx *ctx;
    cr_tensor *x, *c, *y; /* inputs: data, what the output is weighted by, labels */
    cr_tensor *tokens, *buffers[MAX_LEAVES]; /* and what a network reads, and keeps */
    int n_buffers;
    cr_param leaves[MAX_LEAVES];
    cr_params params;
    cr_optim *optim;
    cr_tensor *(*value)(struct work *w); /* the scalar that is differentiated */
    const void *arg;                     /* the workload's own */
    double result;                       /* of the last run */
} work;

/* ---- setting up ---- */

static inline work *work_open(int threads, cr_tensor *(*value)(work *))
{
    work *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    cr_options options = { .threads = threads };
    w->ctx = cr_open(&options);
    w->params = (cr_params){ .ctx = w->ctx, .list = w->leaves };
    w->value = value;
    if (w->ctx)
        return w;
    free(w);
    return NULL;
}

static inline void work_free(void *state)
{
    work *w = state;
    cr_optim_free(w->optim);
    cr_close(w->ctx);
    free(w);
}

/* The state if all went well; otherwise NULL, and the reason on standard error. */
static inline work *work_checked(work *w)
{
    if (!cr_error(w->ctx))
        return w;
    fprintf(stderr, "peer: %s\n", cr_message(w->ctx));
    work_free(w);
    return NULL;
}

static inline cr_tensor *filled(work *w, uint32_t seed, cr_dims dims, double scale)
{
    int64_t n = 1;
    for (int i = 0; i < dims.n; i++)
        n *= dims.v[i];
    float *data = bench_filled(n, seed, (float)scale);
    cr_tensor *t = data ? cr_from(w->ctx, CR_F32, dims, data) : NULL;
    free(data);
    return t;
}

static inline cr_tensor *classes(work *w, uint32_t seed, int64_t n, int count)
{
    int64_t *data = bench_labels(n, seed, count);
    cr_tensor *t = data ? cr_from(w->ctx, CR_I64, CR_DIMS(n), data) : NULL;
    free(data);
    return t;
}

static inline cr_tensor *add_leaf(work *w, cr_tensor *value)
{
    cr_tensor *leaf = cr_requires_grad(value);
    w->leaves[w->params.n++] = (cr_param){ .name = "leaf", .tensor = leaf };
    return leaf;
}

/* A parameter: uniform in +-1/sqrt(fan). */
static inline cr_tensor *add_param(work *w, uint32_t seed, cr_dims dims, int fan)
{
    return add_leaf(w, filled(w, seed, dims, 1 / sqrt(fan)));
}

static inline cr_tensor *leaf(const work *w, int i)
{
    return w->leaves[i].tensor;
}

/* ---- the kinds of runs ---- */

/* Forward and backward; the value and the gradients of all leaves are computed. */
static inline void run_function(void *state)
{
    work *w = state;
    CR_SCOPE(w->ctx);
    for (int i = 0; i < w->params.n; i++)
        cr_zero_grad(leaf(w, i));
    cr_tensor *targets[MAX_LEAVES + 1];
    targets[0] = w->value(w);
    cr_backward(targets[0]);
    for (int i = 0; i < w->params.n; i++)
        targets[i + 1] = cr_grad(leaf(w, i));
    cr_eval_at(targets, w->params.n + 1, CR_HERE);
}

/* The same for one scalar leaf, whose gradient is read. */
static inline void run_scalar(void *state)
{
    work *w = state;
    CR_SCOPE(w->ctx);
    cr_zero_grad(leaf(w, 0));
    cr_tensor *value = w->value(w);
    cr_backward(value);
    cr_tensor *grad = cr_grad(leaf(w, 0));
    cr_eval(value, grad);
    w->result = cr_item(grad);
}

static inline void run_training(void *state)
{
    work *w = state;
    CR_SCOPE(w->ctx);
    cr_tensor *loss = w->value(w);
    cr_optim_zero_grad(w->optim);
    cr_backward(loss);
    cr_optim_step(w->optim);
    w->result = cr_item(loss);
}

static inline void run_inference(void *state)
{
    work *w = state;
    CR_SCOPE(w->ctx);
    CR_NO_GRAD(w->ctx);
    w->result = cr_item(w->value(w));
}

/* The scope's end computes the assignments. */
static inline void run_step(void *state)
{
    work *w = state;
    CR_SCOPE(w->ctx);
    cr_optim_step(w->optim);
}

static inline void *made_scalar(work *w, double *check)
{
    run_scalar(w);
    *check = w->result;
    return work_checked(w);
}

static inline void *made_function(work *w, double *check)
{
    run_function(w);
    cr_tensor *grad = cr_grad(leaf(w, 0));
    *check = bench_abs_sum(cr_data(grad), cr_numel(grad));
    return work_checked(w);
}

static inline void *made_training(work *w, double *check)
{
    for (int i = 0; i < 4; i++)
        run_training(w);
    *check = w->result;
    return work_checked(w);
}

#endif
