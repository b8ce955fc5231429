/* cr_cancel(): at any moment of a training, from another thread and from a signal handler; what was
 * cancelled is done again, and the training ends in the bits of one that nobody disturbed. */
#define _DEFAULT_SOURCE /* usleep, setitimer */
#include "tap.h"
#include <chainrule.h>

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <unistd.h>

enum { BATCH = 16, WIDTH = 48, STEPS = 300, MOST_TRIES = 30000 };

/* ---- a training ---- */

typedef struct training {
    cr_ctx *ctx;
    cr_module *net;
    cr_optim *optim;
    cr_tensor *x, *labels;
    float values[16][WIDTH * WIDTH];
    double losses[STEPS];
    long cancelled; /* tries of steps */
    bool wrong;     /* an error of another kind */
} training;

static void open_training(training *t, int threads)
{
    int64_t labels[BATCH];
    *t = (training){ 0 };
    cr_ctx *ctx = t->ctx = cr_open(&(cr_options){ .threads = threads });
    t->net = cr_nn_sequential(ctx);
    cr_nn_add(t->net, cr_nn_linear(ctx, WIDTH, WIDTH));
    cr_nn_add(t->net, cr_nn_batch_norm1d(ctx, WIDTH));
    cr_nn_add(t->net, cr_nn_relu(ctx));
    cr_nn_add(t->net, cr_nn_dropout(ctx, 0.25));
    cr_nn_add(t->net, cr_nn_linear(ctx, WIDTH, 4));
    t->optim = cr_optim_adamw(cr_nn_params(t->net), 0.01, 0.01);
    for (int i = 0; i < BATCH; i++)
        labels[i] = i % 4;
    t->x = cr_randn(ctx, CR_DIMS(BATCH, WIDTH));
    t->labels = cr_from(ctx, CR_I64, CR_DIMS(BATCH), labels);
    cr_eval(t->x);
}

/* Whether the step has happened. All of it is one run, which the read of the loss begins. */
static bool take_step(training *t, int step)
{
    cr_ctx *ctx = t->ctx;
    CR_SCOPE(ctx);
    cr_tensor *loss = cr_cross_entropy(cr_nn_forward(t->net, t->x), t->labels);
    cr_optim_zero_grad(t->optim);
    cr_backward(loss);
    cr_clip_grad_norm(cr_nn_params(t->net), 1.0);
    cr_optim_step(t->optim);
    t->losses[step] = cr_item(loss);
    return !isnan(t->losses[step]);
}

/* Tries that were cancelled since the last that was not: whoever cancels waits longer then, so
 * that steps succeed on slow machines too. */
static atomic_int in_a_row;

/* In microseconds. */
static long random_delay(uint32_t *state)
{
    const int row = atomic_load(&in_a_row);
    *state = *state * 1664525u + 1013904223u;
    return 1 +
           (long)((*state >> 8) % (300u * (1u + (unsigned)(row < 1000 ? row : 1000))));
}

/* `disturb` is called before each try of a step. */
static void train(training *t, void (*disturb)(training *t))
{
    long tries = 0;
    for (int step = 0; step < STEPS && tries < MOST_TRIES; tries++) {
        cr_rng rng = cr_rng_get(t->ctx);
        if (disturb)
            disturb(t);
        bool done = take_step(t, step);
        if (!done) {
            t->cancelled++;
            t->wrong |= cr_error(t->ctx) != CR_ERR_CANCELLED || !*cr_message(t->ctx);
            cr_clear(t->ctx);
            cr_rng_set(t->ctx, rng);
        }
        atomic_store(&in_a_row, done ? 0 : atomic_load(&in_a_row) + 1);
        step += done;
    }
}

static void read_end(training *t)
{
    const cr_params *lists[2] = { cr_nn_params(t->net), cr_nn_buffers(t->net) };
    cr_clear(t->ctx);
    for (int i = 0, n = 0; i < 2; i++)
        for (int j = 0; j < lists[i]->n && n < 16; j++, n++)
            if (cr_dtype_of(lists[i]->list[j].tensor) == CR_F32)
                cr_read(lists[i]->list[j].tensor, t->values[n], sizeof t->values[n]);
    cr_optim_free(t->optim);
    cr_nn_free(t->net);
    t->wrong |= cr_error(t->ctx) != CR_OK;
    cr_close(t->ctx);
}

/* The bits of a step that was done again are those of the first try. */
static void compare(const training *got, const training *want, const char *how)
{
    bool same = memcmp(got->values, want->values, sizeof got->values) == 0 &&
                memcmp(got->losses, want->losses, sizeof got->losses) == 0;
    ok(!got->wrong && got->cancelled > 0, "%s: %ld runs cancelled", how, got->cancelled);
    ok(same, "%s: the bits of an undisturbed training", how);
}

/* ---- who cancels ---- */

static atomic_bool over;

static void *cancel_often(void *ctx)
{
    uint32_t state = 1;
    while (!atomic_load(&over)) {
        usleep((useconds_t)random_delay(&state));
        cr_cancel(ctx);
    }
    return NULL;
}

static void train_beside_thread(training *t, int threads)
{
    pthread_t thread;
    open_training(t, threads);
    atomic_store(&over, false);
    bool started = pthread_create(&thread, NULL, cancel_often, t->ctx) == 0;
    train(t, NULL);
    atomic_store(&over, true);
    if (started)
        pthread_join(thread, NULL);
    read_end(t);
}

static cr_ctx *target; /* of the handler */

static void on_alarm(int number)
{
    (void)number;
    cr_cancel(target);
}

static void set_alarm(training *t)
{
    static uint32_t state = 7;
    (void)t;
    struct itimerval when = { .it_value = { .tv_usec = random_delay(&state) } };
    setitimer(ITIMER_REAL, &when, NULL);
}

static void train_under_alarms(training *t, int threads)
{
    struct itimerval never = { 0 };
    open_training(t, threads);
    target = t->ctx;
    signal(SIGALRM, on_alarm);
    train(t, set_alarm);
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_DFL);
    read_end(t);
}

static void test_random_moments(void)
{
    static training want, got;
    open_training(&want, 1);
    train(&want, NULL);
    read_end(&want);
    ok(!want.wrong && !want.cancelled, "an undisturbed training");
    for (int threads = 1; threads <= 3; threads += 2) {
        char how[64];
        snprintf(how, sizeof how, "a thread, beside %d", threads);
        train_beside_thread(&got, threads);
        compare(&got, &want, how);
        snprintf(how, sizeof how, "a signal handler, %d threads", threads);
        train_under_alarms(&got, threads);
        compare(&got, &want, how);
    }
}

/* Parts of one group are left out: what is given all the same is whole. */
static void test_one_group(void)
{
    enum { N = 1 << 19, TRIES = 300 };
    static float want[N], got[N];
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 3 });
    cr_tensor *x = cr_rand(ctx, CR_DIMS(N));
    pthread_t thread;
    long cancelled = 0, wrong = 0;
    cr_read(cr_exp(x), want, sizeof want);
    atomic_store(&over, false);
    bool started = pthread_create(&thread, NULL, cancel_often, ctx) == 0;
    for (int i = 0; i < TRIES; i++) {
        cr_scope_push(ctx); /* memory with something else in it */
        cr_eval(cr_neg(x));
        cr_clear(ctx);
        cr_scope_pop(ctx);
        CR_SCOPE(ctx);
        bool read = cr_read(cr_exp(x), got, sizeof got) == CR_OK;
        cancelled += !read;
        wrong +=
            read ? memcmp(got, want, sizeof got) != 0 : cr_error(ctx) != CR_ERR_CANCELLED;
        if (!read)
            cr_clear(ctx);
    }
    atomic_store(&over, true);
    if (started)
        pthread_join(thread, NULL);
    ok(cancelled > 0 && !wrong, "parts of a group: %ld of %d runs cancelled", cancelled,
       TRIES);
    cr_close(ctx);
}

/* ---- known moments ---- */

/* A kernel that cancels its own run at its n-th call. */
typedef struct trigger {
    cr_ctx *ctx;
    int calls, at;
} trigger;

static bool pass_on(const cr_array *in, int n, cr_array *out, void *user)
{
    trigger *t = user;
    (void)n;
    memcpy(out->data, in[0].data, (size_t)in[0].numel * sizeof(float));
    if (++t->calls == t->at)
        cr_cancel(t->ctx);
    return true;
}

static bool always_right(const cr_array *in, int n, char *message, size_t capacity,
                         void *user)
{
    (void)in, (void)n, (void)message, (void)capacity, (void)user;
    return true;
}

static cr_tensor *triggered(cr_tensor *x, trigger *t, bool checked)
{
    const cr_custom_def def = { .name = "pass_on", .forward = pass_on, .user = t };
    const cr_custom_inputs how = { .check = always_right };
    cr_no_grad_push(t->ctx);
    cr_tensor *y = checked ? cr_custom_with(&def, &how, &x, 1, CR_F32, cr_shape(x))
                           : cr_custom(&def, &x, 1, CR_F32, cr_shape(x));
    cr_no_grad_pop(t->ctx);
    return y;
}

static float first_of(cr_tensor *x)
{
    const float *data = cr_data(x);
    return data ? data[0] : NAN;
}

/* x = x + 1 beside a kernel that cancels: before the commit point it is as if there had been no
 * run. */
static void test_before_commit(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    trigger t = { .ctx = ctx, .at = 1 };
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(100), 1));
    cr_tensor *held = cr_mul(x, 5), *y = triggered(cr_mul(x, 2), &t, false);
    cr_assign(x, cr_add(x, 1));
    bool ended = isnan(first_of(y));
    ok(ended && cr_error(ctx) == CR_ERR_CANCELLED && t.calls == 1, "in the midst: %s",
       cr_message(ctx));
    is_int(cr_eval(x), CR_ERR_CANCELLED, "an error like others");
    cr_clear(ctx);
    ok(first_of(x) == 1 && first_of(triggered(x, &t, false)) == 1 && !cr_error(ctx),
       "nothing has changed");
    cr_assign(x, cr_add(x, 1));
    ok(first_of(x) == 2 && first_of(held) == 5 && !cr_error(ctx),
       "what is held outlives a new value: %s", cr_message(ctx));
}

/* What has begun to write over old values goes on. In eager mode the kernel is a run of its own. */
static void test_behind_commit(cr_ctx *ctx, bool eager)
{
    CR_SCOPE(ctx);
    trigger t = { .ctx = ctx, .at = 1 };
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(100), 1));
    cr_eval(x);
    cr_tensor *next = cr_add(x, 1);
    cr_assign(x, next);
    cr_tensor *y = triggered(cr_mul(x, 2), &t, true); /* of the new value */
    if (eager) {
        ok(!y && cr_error(ctx) == CR_ERR_CANCELLED, "eagerly the kernel is a run");
    } else {
        ok(first_of(y) == 4 && first_of(x) == 2 && !cr_error(ctx),
           "behind the commit point the run goes on: %s", cr_message(ctx));
        ok(isnan(first_of(cr_mul(x, 3))) && cr_error(ctx) == CR_ERR_CANCELLED,
           "and the next one is cancelled");
    }
    cr_clear(ctx);
}

static void test_between_runs(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(2), 3));
    cr_eval(x);
    cr_cancel(ctx);
    ok(first_of(x) == 3 && !cr_error(ctx), "what is known can be read");
    cr_tensor *y = cr_mul(x, 2);
    ok(isnan(first_of(y)) && cr_error(ctx) == CR_ERR_CANCELLED, "the next run");
    ok(strcmp(cr_status_name(cr_error(ctx)), "cancelled") == 0, "its name");
    cr_clear(ctx);
    ok(first_of(cr_mul(x, 2)) == 6 && !cr_error(ctx), "only that");
    cr_cancel(ctx);
    cr_cancel(ctx);
    cr_clear(ctx);
    ok(first_of(cr_mul(x, 2)) == 6 && !cr_error(ctx), "cr_clear() withdraws it");
    cr_cancel(NULL);
}

/* Single elements are computed without a plan. */
static void test_chain(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    trigger t = { .ctx = ctx, .at = 1 };
    cr_tensor *x = cr_scalar(ctx, 0.5), *y = x;
    for (int i = 0; i < 3000; i++)
        y = cr_mul(cr_sin(y), 1.01);
    cr_cancel(ctx);
    ok(isnan(cr_item(cr_add(y, 1))) && cr_error(ctx) == CR_ERR_CANCELLED, "a chain");
    cr_clear(ctx);
    for (int i = 0; i < 3000; i++)
        x = cr_mul(cr_sin(x), 1.01);
    ok(cr_item(x) > 0 && t.calls == 0, "and again");
}

int main(void)
{
    const char *variable = getenv("CHAINRULE_EAGER");
    bool eager = variable && *variable == '1';
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 2 });
    test_between_runs(ctx);
    test_before_commit(ctx);
    test_behind_commit(ctx, eager);
    test_chain(ctx);
    cr_close(ctx);
    test_random_moments();
    test_one_group();
    return done_testing();
}
