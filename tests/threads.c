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

enum { MOST = 1000, WORKERS = 32 };

/* ---- every chunk exactly once, and no two of a worker at a time ---- */

typedef struct tally {
    cr__team *team;
    int workers; /* numbers are below */
    atomic_int calls[MOST], inside[WORKERS], faults;
    int64_t squares[MOST]; /* plain: TSan sees whether the job's end orders them */
} tally;

static void count_chunk(void *arg, int64_t chunk, int worker)
{
    tally *t = arg;
    atomic_fetch_add_explicit(&t->calls[chunk], 1, memory_order_relaxed);
    t->squares[chunk] = chunk * chunk;
    if (worker < 0 || worker >= t->workers ||
        atomic_fetch_add_explicit(&t->inside[worker], 1, memory_order_relaxed)) {
        atomic_fetch_add(&t->faults, 1);
        return;
    }
    /* plain, too: two of the same number would race */
    int64_t *scratch = cr__team_scratch(t->team, worker);
    *scratch = chunk;
    for (int i = 0; i < 20 && *(volatile int64_t *)scratch == chunk; i++)
        continue;
    if (*scratch != chunk)
        atomic_fetch_add(&t->faults, 1);
    atomic_fetch_sub_explicit(&t->inside[worker], 1, memory_order_relaxed);
}

/* A job of n chunks: did each run once, by a worker that did nothing else meanwhile, and is
 * its work seen here? */
static bool runs_once(cr__team *team, tally *t, int n)
{
    memset(t, 0, sizeof *t);
    t->team = team;
    t->workers = cr__team_size(team) < n ? cr__team_size(team) : n;
    cr__parallel(team, n, count_chunk, t);
    for (int i = 0; i < MOST; i++)
        if (atomic_load(&t->calls[i]) != (i < n) ||
            t->squares[i] != (i < n) * (int64_t)i * i)
            return false;
    return atomic_load(&t->faults) == 0;
}

static void test_chunks(int threads)
{
    static tally t;
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = threads });
    bool once = true, apart = true;
    is_int(cr__team_size(ctx->team), threads, "a team of %d", threads);
    for (int n = 0; n <= 64; n++)
        once = once && runs_once(ctx->team, &t, n);
    ok(once, "%d threads: every chunk once, each by a worker of its own, up to 64 chunks",
       threads);
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
    ok(apart, "scratch memory of its own for each worker");
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
static void sleep_long(void *arg, int64_t chunk, int worker)
{
    (void)arg, (void)worker;
    usleep(chunk ? 3000 : 1000);
}

static void square_chunk(void *arg, int64_t chunk, int worker)
{
    (void)worker;
    ((int64_t *)arg)[chunk] += 1 + chunk * chunk;
}

static void nested(void *arg, int64_t chunk, int worker)
{
    void **both = arg;
    (void)worker;
    if (chunk == 0)
        cr__parallel(both[0], 10, square_chunk, both[1]);
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
    int64_t squares[10] = { 0 };
    cr__parallel(ctx->team, 2, nested, (void *[]){ ctx->team, squares });
    bool once = true;
    for (int i = 0; i < 10; i++)
        once = once && squares[i] == 1 + i * i;
    ok(once, "a job within a job runs on its caller");
    cr_close(ctx);
}

/* ---- a shared pool ---- */

typedef struct sharer {
    cr_pool *pool;
    int threads; /* 0: as many as the pool */
    tally t;
    bool passed;
} sharer;

static void *share(void *arg)
{
    sharer *s = arg;
    cr_ctx *ctx = cr_open(&(cr_options){ .pool = s->pool, .threads = s->threads });
    s->passed = ctx != NULL;
    for (int i = 0; i < 2000 && s->passed; i++)
        s->passed = runs_once(ctx->team, &s->t, i % 100 ? 1 + i % 9 : MOST);
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

    pool = cr_pool_open(8);
    for (int i = 0; i < 3; i++) {
        sharers[i].pool = pool;
        sharers[i].threads = 2 + 2 * i;
        pthread_create(&threads[i], NULL, share, &sharers[i]);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        ok(sharers[i].passed, "teams of 2, 4 and 6 share a pool of 8: context %d", i);
    }
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

typedef struct host_call {
    void (*body)(void *, int);
    void *arg;
    int i;
} host_call;

static void *call_body(void *arg)
{
    const host_call *call = arg;
    call->body(call->arg, call->i);
    return NULL;
}

/* A thread for each call but the first. */
static void on_threads(void *user, int n, void (*body)(void *, int), void *arg)
{
    pthread_t threads[WORKERS];
    host_call calls[WORKERS];
    (void)user;
    for (int i = 0; i < n; i++)
        calls[i] = (host_call){ body, arg, i };
    for (int i = 1; i < n; i++)
        pthread_create(&threads[i], NULL, call_body, &calls[i]);
    call_body(&calls[0]);
    for (int i = 1; i < n; i++)
        pthread_join(threads[i], NULL);
}

static void test_host_threads(void)
{
    static tally t;
    bool once = true;
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 4, .parallel_for = on_threads });
    for (int i = 0; i < 100 && once; i++)
        once = runs_once(ctx->team, &t, i % 10 ? i : MOST);
    ok(once, "the host's threads: every chunk once, by a worker of its own");
    cr_close(ctx);
}

static void test_host(void)
{
    static tally t;
    int jobs = 0;
    cr_ctx *ctx = cr_open(
        &(cr_options){ .threads = 5, .parallel_for = backwards, .parallel_user = &jobs });
    is_int(cr__team_size(ctx->team), 5, "the host's job system has the threads it says");
    ok(runs_once(ctx->team, &t, 20), "every chunk once");
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

static void look_around(void *arg, int64_t chunk, int worker)
{
    inside *seen = arg;
    (void)chunk, (void)worker;
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
    int jobs = 0;
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
    cr__parallel(ctx->team, 4, sleep_long, NULL);
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

enum { RESULTS = 11 };

/* FNV-1a of its bytes, as a number that a double holds. */
static double hash_of(cr_tensor *x)
{
    const unsigned char *at = cr_data(x);
    size_t bytes = (size_t)cr_numel(x) * cr_dtype_size(cr_dtype_of(x));
    uint64_t hash = 0xcbf29ce484222325;
    for (size_t i = 0; at && i < bytes; i++)
        hash = (hash ^ at[i]) * 0x100000001b3;
    return (double)(hash >> 12);
}

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
    /* kernels of their own, of values and of views; the index has many positions for a row */
    cr_tensor *index = cr_cast(cr_mul(cr_rand(ctx, CR_DIMS(300, 2000)), 300), CR_I64);
    cr_tensor *list = cr_slice(cr_reshape(index, CR_DIMS(-1)), 0, 0, 2000);
    cr_tensor *flat = cr_detach(x);
    cr_tensor *few = cr_cast(cr_mul(cr_rand(ctx, CR_DIMS(300, 2000)), 20), CR_I64);
    cr_tensor *made[] = {
        cr_gather(flat, 0, index),
        cr_gather(cr_t(flat), 1, cr_t(index)),
        cr_scatter_add(cr_zeros_like(flat), 0, index, flat),
        cr_scatter_add(cr_zeros(ctx, CR_DIMS(20, 2000)), 0, few, flat),
        cr_index_select(flat, 0, list),
        cr_index_add(cr_zeros(ctx, CR_DIMS(300, 300)), 0, list, cr_t(flat)),
        cr_cat(((cr_tensor *[]){ cr_t(flat), cr_t(flat) }), 2, 1),
    };
    for (int i = 0; i < CR__COUNT(made); i++)
        results[4 + i] = hash_of(made[i]);
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

/* ---- chunks by cost ---- */

static void test_cost(void)
{
    cr_ctx *one = cr_open(&(cr_options){ .threads = 1 });
    cr_ctx *four = cr_open(&(cr_options){ .threads = 4 });
    is_int(cr__chunks(1e9, 1000, one->team), 1, "one thread has nothing to cut for");
    is_int(cr__chunks(2e3, 1000, four->team), 1, "2 us are not worth another thread");
    usleep(1000); /* the workers sleep now */
    int alone = 0, told = 0;
    for (int i = 0; i < 400; i++)
        cr__chunks(10e3, 1000, four->team) == 1 ? alone++ : told++;
    ok(alone > 300 && told > 1, "10 us are not worth waking one, but many together are");
    is_int(cr__chunks(100e3, 3, four->team), 3, "no more chunks than there are grains");
    is_int(cr__chunks(1e9, 0, four->team), 1, "at least one");
    bool paid = true, short_enough = true, even = true;
    for (double ns = 20e3; ns < 1e12; ns *= 1.07) {
        int64_t n = cr__chunks(ns, INT64_MAX, four->team);
        paid = paid && (n > 1 || ns < 60e3) && ns / (double)n >= (n > 4 ? 20e3 : 1.5e3);
        short_enough = short_enough && ns / (double)n <= 60e3;
        even = even && (n < 4 || n % 4 == 0);
    }
    ok(paid, "chunks are worth handing out");
    ok(short_enough, "and not above 50 us");
    ok(even, "as many for each thread");
    int64_t begin = 0, end = 0, count = INT64_MAX / 2, n = 1000003;
    bool whole = true;
    for (int64_t i = 0; i < n && whole; i++) {
        int64_t before = end;
        cr__part(count, 64, i, n, &begin, &end);
        whole = begin == before && end >= begin;
    }
    ok(whole && end == count, "a million parts of 2^62 are all of it");
    cr_close(one);
    cr_close(four);
}

int main(void)
{
    unsetenv("CHAINRULE_PROFILE"); /* it measures with the pool's threads */
    for (int threads = 1; threads <= 16; threads++)
        test_chunks(threads);
    test_cost();
    test_default();
    test_long_and_nested();
    test_shared_pool();
    test_host();
    test_host_threads();
    test_inside();
    test_fork();
    test_results();
    return done_testing();
}
