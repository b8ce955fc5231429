/* Every allocation of a small training fails in turn, the first, the second, and so on
 * until none does. Each failure is reported, nothing leaks, and the part that failed can
 * be done again: the training ends in the bits of one that nothing disturbed. */
#define _POSIX_C_SOURCE 200809L
#include "tap.h"
#include <chainrule.h>
#include <stdlib.h>

enum {
    BATCH = 4,
    IN = 3,
    HIDDEN = 4,
    CLASSES = 2,
    STEPS = 2,
    LARGEST = 64,
    MOST = 20000
};

/* An allocator that fails once, at the given call. */
typedef struct budget {
    long calls, fail_at, live, live_bytes;
} budget;

static void *give(void *user, size_t bytes)
{
    budget *b = user;
    if (b->calls++ == b->fail_at)
        return NULL;
    void *memory = malloc(bytes);
    b->live += memory != NULL;
    b->live_bytes += memory ? (long)bytes : 0;
    return memory;
}

static void take(void *user, void *memory, size_t bytes)
{
    budget *b = user;
    b->live -= memory != NULL;
    b->live_bytes -= memory ? (long)bytes : 0;
    free(memory);
}

/* What a training ends in. */
typedef struct outcome {
    float values[16][LARGEST];
    double losses[STEPS], norms[STEPS];
} outcome;

typedef struct training {
    cr_ctx *ctx;
    cr_module *net;
    cr_optim *optim;
    cr_tensor *x; /* made in an outer scope */
    outcome end;
    const char *wrong; /* what a failure should not have done */
} training;

/* ---- the parts: each reports whether it succeeded, and may be repeated ---- */

static bool build(training *t)
{
    cr_ctx *ctx = t->ctx;
    cr_module *net = t->net = cr_nn_sequential(ctx);
    cr_seed(ctx, 11);
    cr_nn_add(net, cr_nn_linear(ctx, IN, HIDDEN));
    cr_nn_add(net, cr_nn_batch_norm1d(ctx, HIDDEN));
    cr_nn_add(net, cr_nn_relu(ctx));
    cr_nn_add(net, cr_nn_dropout(ctx, 0.25));
    cr_nn_add(net, cr_nn_linear(ctx, HIDDEN, CLASSES));
    if (net && !cr_error(ctx))
        t->optim = cr_optim_adamw(cr_nn_params(net), 0.05, 0.01);
    if (t->optim && !cr_error(ctx))
        return true;
    cr_optim_free(t->optim);
    cr_nn_free(net);
    t->optim = NULL;
    return false;
}

static bool make_input(training *t)
{
    float values[BATCH * IN];
    for (int i = 0; i < BATCH * IN; i++)
        values[i] = (float)((i * 7) % 5) - 1.5f;
    t->x = cr_from(t->ctx, CR_F32, CR_DIMS(BATCH, IN), values);
    return t->x != NULL;
}

static void take_step(training *t, int step)
{
    cr_ctx *ctx = t->ctx;
    CR_SCOPE(ctx);
    const int64_t labels[BATCH] = { 0, 1, 1, 0 };
    cr_tensor *y = cr_from(ctx, CR_I64, CR_DIMS(BATCH), labels);
    cr_tensor *loss = cr_cross_entropy(cr_nn_forward(t->net, t->x), y);
    cr_optim_zero_grad(t->optim);
    cr_backward(loss);
    cr_tensor *norm = cr_clip_grad_norm(cr_nn_params(t->net), 0.1);
    cr_optim_step(t->optim);
    t->end.losses[step] = cr_item(loss);
    t->end.norms[step] = cr_item(norm);
}

static bool read_end(training *t)
{
    const cr_params *lists[2] = { cr_nn_params(t->net), cr_nn_buffers(t->net) };
    int n = 0;
    for (int i = 0; i < 2 && !cr_error(t->ctx); i++)
        for (int j = 0; lists[i] && j < lists[i]->n && n < 16; j++, n++)
            cr_read(lists[i]->list[j].tensor, t->end.values[n], sizeof t->end.values[n]);
    return !cr_error(t->ctx);
}

/* ---- failing and repeating ---- */

/* A part has failed: that must be reported, as what it is. */
static void recover(training *t)
{
    if (cr_error(t->ctx) != CR_ERR_MEMORY && !t->wrong)
        t->wrong = "a failure was not reported as CR_ERR_MEMORY";
    if (!*cr_message(t->ctx) && !t->wrong)
        t->wrong = "a failure came without a message";
    if (t->wrong)
        diag("  %s: %s", cr_status_name(cr_error(t->ctx)), cr_message(t->ctx));
    cr_clear(t->ctx);
}

static bool stepped(training *t, int step)
{
    cr_rng rng = cr_rng_get(t->ctx);
    take_step(t, step);
    if (!cr_error(t->ctx))
        return true;
    if (!isnan(t->end.losses[step]) && !isnan(t->end.norms[step]) && !t->wrong)
        t->wrong = "a step that failed had computed everything";
    recover(t);
    cr_rng_set(t->ctx, rng);
    return false;
}

static void train(training *t)
{
    cr_ctx *ctx = t->ctx;
    while (cr_scope_push(ctx) != CR_OK)
        recover(t);
    while (!make_input(t) && !t->wrong)
        recover(t);
    while (!t->wrong && !build(t))
        recover(t);
    for (int step = 0; step < STEPS && !t->wrong;)
        step += stepped(t, step);
    while (!t->wrong && !read_end(t))
        recover(t);
    cr_optim_free(t->optim);
    cr_nn_free(t->net);
    if (cr_scope_pop(ctx) != CR_OK)
        recover(t);
}

/* Trains with the n-th allocation failing; false if something is wrong. */
static bool survives(long n, const outcome *want, outcome *end, bool *failed)
{
    budget b = { .fail_at = n };
    training t = { 0 };
    t.ctx = cr_open(
        &(cr_options){ .threads = 2, .alloc = give, .free = take, .memory_user = &b });
    if (t.ctx) {
        train(&t);
        cr_close(t.ctx);
    }
    *end = t.end;
    *failed = b.calls > n && n >= 0;
    if (b.live || b.live_bytes)
        t.wrong = "memory leaked";
    if (t.ctx && want && memcmp(want, &t.end, sizeof *want) != 0 && !t.wrong)
        t.wrong = "it ended in other bits";
    if (t.wrong)
        diag("  allocation %ld: %s (%ld blocks, %ld bytes)", n, t.wrong, b.live,
             b.live_bytes);
    return !t.wrong;
}

int main(void)
{
    static outcome want, again, end;
    bool failed = false;
    ok(survives(-1, NULL, &want, &failed), "an undisturbed training");
    ok(survives(-1, &want, &again, &failed), "ends in the same bits each time");
    ok(want.values[0][0] != 0 && !isnan(want.losses[STEPS - 1]),
       "it has weights and losses");
    long n = 0, wrong = 0;
    do {
        wrong += !survives(n, &want, &end, &failed);
        n += tap_parts();
    } while (failed && n < MOST && wrong < 10);
    ok(!failed, "without a failure all is well, below %ld of them", n);
    ok(wrong == 0, "every failure is reported, leaks nothing, and can be repeated");
    return done_testing();
}
