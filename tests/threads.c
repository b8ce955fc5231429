/* Threads: jobs on teams, pools shared by contexts, the host's job system, what worker
 * threads do with signals and floating point modes, forked children. */
#define _GNU_SOURCE /* usleep */
#include "../src/base/context.h"
#include "../src/base/fp.h"
#include "tap.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { MOST = 1000 };

/* ---- every index exactly once ---- */

typedef struct tally {
    atomic_int calls[MOST];
    int64_t squares[MOST]; /* plain: TSan sees whether the job's end orders them */
} tally;

static void count_index(void *arg, int i)
{
    tally *t = arg;
    atomic_fetch_add_explicit(&t->calls[i], 1, memory_order_relaxed);
    t->squares[i] = (int64_t)i * i;
}

/* A job of n chunks: did each run once, and is its work seen here? */
static bool runs_once(cr__team *team, tally *t, int n)
{
    memset(t, 0, sizeof *t);
    cr__parallel(team, n, count_index, t);
    for (int i = 0; i < MOST; i++)
        if (atomic_load(&t->calls[i]) != (i < n) ||
            t->squares[i] != (i < n) * (int64_t)i * i)
            return false;
    return true;
}

static void test_indices(int threads)
{
    static tally t;
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = threads });
    bool once = true, apart = true;
    is_int(cr__team_size(ctx->team), threads, "a team of %d", threads);
    for (int n = 0; n <= 64; n++)
        once = once && runs_once(ctx->team, &t, n);
    ok(once, "%d threads: every index once, up to 64 chunks", threads);
    ok(runs_once(ctx->team, &t, MOST), "and %d chunks", MOST);
    for (int i = 0; i < 2000 && once; i++)
        once = runs_once(ctx->team, &t, 1 + i % 5);
    ok(once, "job after job");
    usleep(1000); /* the workers sleep now */
    ok(runs_once(ctx->team, &t, 7), "and with sleeping workers");
    for (int i = 0; i < threads; i++) {
        char *scratch = cr__team_scratch(ctx->team, i);
        apart = apart && (uintptr_t)scratch % 64 == 0;
        memset(scratch, i + 1, CR__SCRATCH_BYTES);
    }
    for (int i = 0; i < threads; i++) {
        const char *scratch = cr__team_scratch(ctx->team, i);
        apart = apart && scratch[0] == i + 1 && scratch[CR__SCRATCH_BYTES - 1] == i + 1;
    }
    ok(apart, "scratch memory of its own for each chunk");
    cr_close(ctx);
}

static void test_default(void)
{
    cr_ctx *ctx = cr_open(NULL);
    int size = cr__team_size(ctx->team);
    ok(size >= 1 && size <= sysconf(_SC_NPROCESSORS_ONLN), "by default, %d threads",
       size);
    cr_close(ctx);
    static tally t;
    bool once = true;
    for (int i = 0; i < 100; i++) {
        ctx = cr_open(&(cr_options){ .threads = 3 });
        once = once && (i % 3 == 0 || runs_once(ctx->team, &t, 3));
        cr_close(ctx);
    }
    ok(once, "open, work, close");
}

/* Work on a worker while the caller has none: its caller sleeps meanwhile. */
static void sleep_long(void *arg, int i)
{
    (void)arg;
    usleep(i ? 3000 : 1000);
}

static void nested(void *arg, int i)
{
    void **both = arg;
    if (i == 0)
        cr__parallel(both[0], 10, count_index, both[1]);
    else
        usleep(100);
}

static void test_long_and_nested(void)
{
    static tally t;
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 2 });
    for (int i = 0; i < 3; i++)
        cr__parallel(ctx->team, 2, sleep_long, NULL);
    ok(runs_once(ctx->team, &t, 10), "after waiting for a long chunk");
    memset(&t, 0, sizeof t);
    cr__parallel(ctx->team, 2, nested, (void *[]){ ctx->team, &t });
    bool once = true;
    for (int i = 0; i < 10; i++)
        once = once && atomic_load(&t.calls[i]) == 1;
    ok(once, "a job within a job runs on its caller");
    cr_close(ctx);
}

/* ---- a shared pool ---- */

typedef struct sharer {
    cr_pool *pool;
    tally t;
    bool passed;
} sharer;

static void *share(void *arg)
{
    sharer *s = arg;
    cr_ctx *ctx = cr_open(&(cr_options){ .pool = s->pool });
    s->passed = ctx != NULL;
    for (int i = 0; i < 2000 && s->passed; i++)
        s->passed = runs_once(ctx->team, &s->t, 1 + i % 9);
    cr_close(ctx);
    return NULL;
}

static void test_shared_pool(void)
{
    static sharer sharers[3];
    pthread_t threads[3];
    cr_pool *pool = cr_pool_open(3);
    for (int i = 0; i < 3; i++) {
        sharers[i].pool = pool;
        pthread_create(&threads[i], NULL, share, &sharers[i]);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        ok(sharers[i].passed, "a pool shared by three contexts: context %d", i);
    }
    cr_ctx *ctx = cr_open(&(cr_options){ .pool = pool });
    is_int(cr__team_size(ctx->team), 3, "the team is the pool");
    cr_close(ctx);
    ctx = cr_open(&(cr_options){ .pool = pool, .threads = 2 });
    is_int(cr__team_size(ctx->team), 2, "or less, if asked for");
    cr_close(ctx);
    cr_pool_close(pool);
    cr_pool_close(cr_pool_open(0));
    cr_pool_close(NULL);
}

/* ---- the host's job system ---- */

static void backwards(void *user, int n, void (*body)(void *, int), void *arg)
{
    ++*(int *)user;
    for (int i = n - 1; i >= 0; i--)
        body(arg, i);
}

static void test_host(void)
{
    static tally t;
    int jobs = 0;
    cr_ctx *ctx = cr_open(
        &(cr_options){ .threads = 5, .parallel_for = backwards, .parallel_user = &jobs });
    is_int(cr__team_size(ctx->team), 5, "the host's job system has the threads it says");
    ok(runs_once(ctx->team, &t, 20), "every index once");
    is_int(jobs, 1, "by one call");
    ok(runs_once(ctx->team, &t, 1), "a single chunk");
    is_int(jobs, 1, "runs on the caller");
    cr_close(ctx);
}

/* ---- what is in force on a worker ---- */

typedef struct inside {
    pthread_t caller;
    atomic_int elsewhere, unblocked, flushed;
} inside;

static bool denormals_flushed(void)
{
    volatile double tiny = 0x1p-1022, half = 0.5;
    return tiny * half == 0;
}

static void look_around(void *arg, int i)
{
    inside *seen = arg;
    (void)i;
    if (denormals_flushed())
        atomic_fetch_add(&seen->flushed, 1);
    if (!pthread_equal(pthread_self(), seen->caller)) {
        static const int signals[] = {
            SIGINT, SIGTERM, SIGALRM, SIGUSR1, SIGPROF, SIGCHLD
        };
        sigset_t set;
        pthread_sigmask(SIG_BLOCK, NULL, &set);
        for (int s = 0; s < CR__COUNT(signals); s++)
            if (!sigismember(&set, signals[s]))
                atomic_fetch_add(&seen->unblocked, 1);
        atomic_fetch_add(&seen->elsewhere, 1);
    }
    usleep(200); /* so that every thread comes to it */
}

static void test_inside(void)
{
    sigset_t before, after;
    int jobs = 0;
    inside seen = { .caller = pthread_self() };
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 4 });
    pthread_sigmask(SIG_BLOCK, NULL, &before);
    for (int i = 0; i < 100 && atomic_load(&seen.elsewhere) < 8; i++)
        cr__parallel(ctx->team, 8, look_around, &seen);
    pthread_sigmask(SIG_BLOCK, NULL, &after);
    ok(atomic_load(&seen.elsewhere) >= 8, "%d chunks ran on workers",
       atomic_load(&seen.elsewhere));
    is_int(atomic_load(&seen.unblocked), 0, "with signals blocked");
    ok(sigismember(&before, SIGINT) == sigismember(&after, SIGINT) &&
           sigismember(&before, SIGTERM) == sigismember(&after, SIGTERM),
       "the caller's mask is its own");
    cr_close(ctx);

#if defined(__x86_64__)
    unsigned saved = __builtin_ia32_stmxcsr();
    __builtin_ia32_ldmxcsr(saved | 0x8040); /* as audio threads do: FTZ, DAZ */
    seen = (inside){ .caller = pthread_self() };
    ctx = cr_open(
        &(cr_options){ .threads = 4, .parallel_for = backwards, .parallel_user = &jobs });
    bool flushed = denormals_flushed();
    cr__parallel(ctx->team, 4, look_around, &seen);
    ok(flushed && denormals_flushed(), "the host flushes denormals");
    is_int(atomic_load(&seen.flushed), 0, "the library on the host's threads does not");
    cr_close(ctx);
    /* a worker inherits the mode from the thread that started it */
    ctx = cr_open(&(cr_options){ .threads = 4 });
    seen = (inside){ .caller = pthread_self() };
    cr__parallel(ctx->team, 4, count_index, &(tally){ 0 });
    uint64_t entered = cr__fp_enter(); /* the caller's part, as a run does it */
    for (int i = 0; i < 100 && atomic_load(&seen.elsewhere) < 4; i++)
        cr__parallel(ctx->team, 8, look_around, &seen);
    cr__fp_leave(entered);
    is_int(atomic_load(&seen.flushed), 0, "nor on its own");
    ok(denormals_flushed(), "and the host's mode is as it was");
    cr_close(ctx);
    __builtin_ia32_ldmxcsr(saved);
#endif
}

/* ---- forked children ---- */

typedef struct parent {
    cr_ctx *ctx;
    cr_tensor *x;
    cr_pool *pool;
} parent;

static bool close_in_child(void *arg)
{
    parent *p = arg;
    static tally t;
    alarm(20); /* instead of hanging */
    cr_ctx *ctx = cr_open(&(cr_options){ .pool = p->pool });
    bool passed = ctx && runs_once(ctx->team, &t, 10);
    cr_close(ctx);
    cr_close(p->ctx);
    cr_pool_close(p->pool);
    return passed;
}

static bool run_in_child(void *arg)
{
    parent *p = arg;
    alarm(20);
    cr_status status = cr_eval(cr_add(p->x, 1));
    return status != CR_OK && cr_error(p->ctx) == CR_ERR_FORK;
}

static void test_fork(void)
{
    static tally t;
    parent p = { .pool = cr_pool_open(3) };
    cr_ctx *other = cr_open(&(cr_options){ .pool = p.pool });
    p.ctx = cr_open(&(cr_options){ .threads = 3 });
    ok(runs_once(p.ctx->team, &t, 9) && runs_once(other->team, &t, 9), "a parent works");
    ok(tap_child(close_in_child, &p), "its child can close what it inherits");
    usleep(1000);
    ok(tap_child(close_in_child, &p), "also when the workers slept");
    ok(runs_once(p.ctx->team, &t, 9), "the parent works on");
    cr_close(other);

    p.x = cr_rand(p.ctx, CR_DIMS(10));
    ok(cr_eval(p.x) == CR_OK, "the parent computes");
    ok(tap_child(run_in_child, &p), "computing in the child is an error that says so");
    ok(cr_eval(cr_add(p.x, 1)) == CR_OK, "the parent computes on");
    cr_close(p.ctx);
    cr_pool_close(p.pool);
}

/* ---- results do not depend on threads ---- */

enum { RESULTS = 4 };

static bool compute(const cr_options *options, double results[RESULTS])
{
    cr_ctx *ctx = cr_open(options);
    cr_seed(ctx, 7);
    cr_tensor *x = cr_requires_grad(cr_randn(ctx, CR_DIMS(300, 2000)));
    cr_tensor *w = cr_randn(ctx, CR_DIMS(2000, 120));
    cr_tensor *y = cr_tanh(cr_matmul(x, w));
    cr_tensor *loss = cr_sum(cr_mul(y, y));
    cr_backward(loss);
    cr_tensor *g = cr_grad(x);
    results[0] = cr_item(loss);
    results[1] = cr_item(cr_sum(cr_exp(x)));
    results[2] = cr_item(cr_sum(cr_mul(g, x)));
    results[3] = cr_item(cr_amax(cr_sum(x, 0)));
    bool passed = cr_error(ctx) == CR_OK;
    if (!passed)
        diag("  %s", cr_message(ctx));
    cr_close(ctx);
    return passed;
}

static void test_results(void)
{
    double one[RESULTS], other[RESULTS];
    int jobs = 0;
    cr_pool *pool = cr_pool_open(2);
    const cr_options variants[] = {
        { .threads = 2 },
        { .threads = 4 },
        { .threads = 7 },
        { .pool = pool },
        { .threads = 3, .parallel_for = backwards, .parallel_user = &jobs },
    };
    static const char *const names[] = { "2 threads", "4 threads", "7 threads", "a pool",
                                         "the host's threads" };
    ok(compute(&(cr_options){ .threads = 1 }, one), "one thread computes");
    for (int i = 0; i < CR__COUNT(variants); i++)
        ok(compute(&variants[i], other) && memcmp(one, other, sizeof one) == 0,
           "%s: the same bits", names[i]);
    ok(jobs > 0, "the host was asked %d times", jobs);
    cr_pool_close(pool);
}

int main(void)
{
    test_indices(1);
    test_indices(2);
    test_indices(4);
    test_default();
    test_long_and_nested();
    test_shared_pool();
    test_host();
    test_inside();
    test_fork();
    test_results();
    return done_testing();
}
