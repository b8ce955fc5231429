/* Pools of worker threads, and the teams of contexts that compute with them or with the
 * host's job system. A pool runs one job at a time. */
#include "compiler.h"

#include "context.h"
#include "fp.h"
#include "system.h"

#include <stdatomic.h>
#include <stdlib.h>

#define MAX_THREADS 256

/* Untouched pages cost nothing; bodies pack matrices on their stacks. */
#define STACK_BYTES ((size_t)1 << 20)

/* ---- the pool ---- */

/* How long a thread looks for news before it sleeps, in nanoseconds: waking it takes
 * about 40 us. With more threads than cores, one that looks takes the core from one that
 * computes. */
#define SPIN       100000
#define SPIN_SHORT 2000

/* The pool's state is one word, so that every step is one atomic operation on it: the
 * number of the latest job, flags, how many more workers may join that job, and how many
 * are in it. A worker joins only while the job is open and has places; the place it takes
 * is its number, the caller being worker 0. The caller closes the job once all chunks are
 * handed out, and waits for those who joined. So a worker that comes late misses the job
 * instead of delaying it, and the job's members are not written while anyone may read
 * them. */
#define JOB_ONE      ((uint64_t)1 << 32)
#define QUITTING     ((uint64_t)1 << 31)
#define OPEN         ((uint64_t)1 << 30)
#define CALLER_WAITS ((uint64_t)1 << 29)
#define PLACE_ONE    ((uint64_t)1 << 16)
#define PLACES       ((uint64_t)0xfff << 16)
#define JOINED       ((uint64_t)0xffff)
_Static_assert(MAX_THREADS <= PLACES / PLACE_ONE, "a place for each thread");

/* The chunks that a worker of a job begins with: from `next` on. One that has none left takes
 * those of others. So every worker comes upon the same parts of arrays from job to job, which
 * its cache may still hold. */
typedef struct pool_share {
    _Atomic int64_t next;
    int64_t end;
} pool_share;

typedef struct pool_job {
    cr__body *body;
    void *arg;
    int workers; /* at most; the shares */
} pool_job;

struct cr_pool {
    /* one cache line, which goes to a worker as a whole when a job begins */
    CR__ALIGNED(64) _Atomic uint64_t state;
    pool_job job;
    atomic_int sleepers; /* workers that wait for `wake`, or are about to */

    CR__ALIGNED(64) atomic_bool busy; /* a job is in progress; guards what follows */
    bool started;
    int threads; /* the caller's included */
    int workers; /* threads started */
    int64_t spin;
    int pid;
    cr__lock lock;
    cr__signal wake, idle;
    void *memory; /* of which the pool is the aligned part */
    cr__thread *workers_at;
    pool_share shares[]; /* by worker */
};

static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static int thread_count(int wanted)
{
    int n = wanted > 0 ? wanted : cr__cores();
    return n > MAX_THREADS ? MAX_THREADS : n;
}

/* ---- workers ---- */

static bool has_news(uint64_t state, uint64_t seen)
{
    return state & QUITTING || (state & OPEN && state / JOB_ONE != seen / JOB_ONE);
}

/* Waits until there is a job that the worker has not seen, or the end. */
static uint64_t wait_for_job(cr_pool *pool, uint64_t seen)
{
    uint64_t state;
    int64_t end = cr__nanoseconds() + pool->spin;
    do {
        for (int i = 0; i < 64; i++) {
            state = atomic_load_explicit(&pool->state, memory_order_acquire);
            if (has_news(state, seen))
                return state;
            pause_briefly();
        }
        cr__thread_yield(); /* the other thread may want this very core */
    } while (cr__nanoseconds() < end);
    cr__lock_take(&pool->lock);
    /* either this sees the job that is being published, or its publisher sees the sleeper
     */
    atomic_fetch_add(&pool->sleepers, 1);
    while (!has_news(state = atomic_load(&pool->state), seen))
        cr__signal_wait(&pool->wake, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    cr__lock_give(&pool->lock);
    return state;
}

/* The worker's number; 0 if the job of that state is over, or full. */
static int join_job(cr_pool *pool, uint64_t state)
{
    uint64_t job = state / JOB_ONE;
    while (state & OPEN && state & PLACES && state / JOB_ONE == job)
        if (atomic_compare_exchange_weak_explicit(
                &pool->state, &state, state - PLACE_ONE + 1, memory_order_acquire,
                memory_order_acquire))
            return (int)((state & PLACES) / PLACE_ONE);
    return 0;
}

static void leave_job(cr_pool *pool)
{
    uint64_t before = atomic_fetch_sub_explicit(&pool->state, 1, memory_order_acq_rel);
    if (before & CALLER_WAITS && (before & JOINED) == 1) {
        cr__lock_take(&pool->lock);
        cr__signal_one(&pool->idle);
        cr__lock_give(&pool->lock);
    }
}

static void share_out(pool_share *shares, int workers, int64_t n)
{
    for (int i = 0; i < workers; i++) {
        int64_t begin;
        cr__part(n, 1, i, workers, &begin, &shares[i].end);
        atomic_store_explicit(&shares[i].next, begin, memory_order_relaxed);
    }
}

/* Runs chunks until all are handed out, the worker's own first. */
static void take_chunks(const pool_job *job, pool_share *shares, int worker)
{
    for (int i = 0; i < job->workers; i++) {
        pool_share *s = &shares[(worker + i) % job->workers];
        int64_t chunk;
        while ((chunk = atomic_fetch_add_explicit(&s->next, 1, memory_order_relaxed)) <
               s->end)
            job->body(job->arg, chunk, worker);
    }
}

static void worker_main(void *arg)
{
    cr_pool *pool = arg;
    uint64_t state = 0; /* before the first job */
    while (!((state = wait_for_job(pool, state)) & QUITTING)) {
        int worker = join_job(pool, state);
        if (!worker)
            continue;
        uint64_t saved = cr__fp_enter();
        take_chunks(&pool->job, pool->shares, worker);
        cr__fp_leave(saved);
        leave_job(pool);
    }
}

/* A thread that cannot be had is done without. */
static void start_workers(cr_pool *pool)
{
    pool->started = true;
    while (pool->workers < pool->threads - 1 &&
           cr__thread_start(&pool->workers_at[pool->workers], worker_main, pool,
                            STACK_BYTES))
        pool->workers++;
}

/* ---- jobs ---- */

/* Its workers may join, of which the caller is one; so many are woken as lack. */
static void publish_job(cr_pool *pool, const pool_job *job, int64_t n)
{
    const int places = job->workers - 1;
    pool->job = *job;
    share_out(pool->shares, job->workers, n);
    uint64_t last = atomic_load_explicit(&pool->state, memory_order_relaxed) / JOB_ONE;
    atomic_store(&pool->state,
                 (last + 1) * JOB_ONE | OPEN | (uint64_t)places * PLACE_ONE);
    const int asleep = atomic_load(&pool->sleepers), awake = pool->workers - asleep;
    if (asleep == 0 || places <= awake)
        return;
    cr__lock_take(&pool->lock);
    for (int i = awake; i < places; i++)
        cr__signal_one(&pool->wake);
    cr__lock_give(&pool->lock);
}

/* No more workers may join; returns when those who did are done. */
static void finish_job(cr_pool *pool)
{
    if (!(atomic_fetch_and_explicit(&pool->state, ~OPEN, memory_order_acquire) & JOINED))
        return;
    int64_t end = cr__nanoseconds() + pool->spin;
    do {
        for (int i = 0; i < 64; i++) {
            if (!(atomic_load_explicit(&pool->state, memory_order_acquire) & JOINED))
                return;
            pause_briefly();
        }
        cr__thread_yield(); /* the other thread may want this very core */
    } while (cr__nanoseconds() < end);
    cr__lock_take(&pool->lock);
    atomic_fetch_or(&pool->state, CALLER_WAITS);
    while (atomic_load(&pool->state) & JOINED)
        cr__signal_wait(&pool->idle, &pool->lock);
    atomic_fetch_and(&pool->state, ~CALLER_WAITS);
    cr__lock_give(&pool->lock);
}

/* False, and nothing is done, if the pool has a job already: of another context, or the
 * one that the caller is part of. */
static bool pool_run(cr_pool *pool, const pool_job *job, int64_t n)
{
    if (pool->threads == 1 ||
        atomic_exchange_explicit(&pool->busy, true, memory_order_acquire))
        return false;
    if (!pool->started)
        start_workers(pool);
    publish_job(pool, job, n);
    take_chunks(job, pool->shares, 0);
    finish_job(pool);
    atomic_store_explicit(&pool->busy, false, memory_order_release);
    return true;
}

/* ---- opening and closing pools ---- */

static size_t pool_bytes(int threads)
{
    const size_t each = sizeof(cr__thread) + sizeof(pool_share);
    return sizeof(cr_pool) + (size_t)threads * each + 63;
}

/* In zeroed memory of pool_bytes(). */
static cr_pool *pool_init(void *memory, int threads)
{
    cr_pool *pool = (cr_pool *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
    pool->memory = memory;
    pool->threads = threads;
    pool->workers_at = (cr__thread *)(void *)(pool->shares + threads);
    pool->spin = threads <= cr__cores() ? SPIN : SPIN_SHORT;
    pool->pid = cr__process_id();
    cr__lock_init(&pool->lock);
    cr__signal_init(&pool->wake);
    cr__signal_init(&pool->idle);
    return pool;
}

/* Ends the workers and returns the memory. In a forked child there are no workers, and
 * the lock may be held by one of the parent's threads. */
static void *pool_end(cr_pool *pool)
{
    if (pool->pid != cr__process_id())
        return pool->memory;
    cr__lock_take(&pool->lock);
    atomic_fetch_or(&pool->state, QUITTING);
    cr__signal_all(&pool->wake);
    cr__lock_give(&pool->lock);
    for (int i = 0; i < pool->workers; i++)
        cr__thread_join(&pool->workers_at[i]);
    cr__signal_close(&pool->idle);
    cr__signal_close(&pool->wake);
    cr__lock_close(&pool->lock);
    return pool->memory;
}

cr_pool *cr_pool_open(int threads)
{
    int n = thread_count(threads);
    void *memory = calloc(1, pool_bytes(n));
    return memory ? pool_init(memory, n) : NULL;
}

void cr_pool_close(cr_pool *pool)
{
    if (pool)
        free(pool_end(pool));
}

/* ---- teams ---- */

#define WORKER_BYTES (CR__SCRATCH_BYTES + CR__ROOMS * CR__ROOM_BYTES)

struct cr__team {
    int size;
    cr_pool *pool; /* NULL: the host's job system, or the caller alone */
    bool own;      /* the pool is this team's */
    void (*parallel_for)(void *user, int n, void (*body)(void *arg, int i), void *arg);
    void *user;
    char *scratch;
    void *scratch_memory;
    const int *stop; /* cr__team_stop() */
    cr__lane *lanes; /* cr__team_watch() */
    double alone;    /* nanoseconds of work done without those asleep */
};

static bool choose_threads(cr_ctx *ctx, cr__team *team, const cr_options *options)
{
    team->size = thread_count(options->threads);
    if (options->parallel_for) {
        team->parallel_for = options->parallel_for;
        team->user = options->parallel_user;
    } else if (options->pool) {
        if (options->threads <= 0 || team->size > options->pool->threads)
            team->size = options->pool->threads;
        /* a parent's pool has no threads here */
        if (options->pool->pid == cr__process_id())
            team->pool = options->pool;
    } else if (team->size > 1) {
        void *memory = cr__alloc(ctx, pool_bytes(team->size));
        if (!memory)
            return false;
        team->pool = pool_init(memory, team->size);
        team->own = true;
    }
    return true;
}

cr__team *cr__team_open(cr_ctx *ctx, const cr_options *options)
{
    static const cr_options defaults;
    cr__team *team = cr__alloc(ctx, sizeof *team);
    if (!team)
        return NULL;
    /* for all workers at once, because it must not fail later; pages are taken by their
     * first use */
    if (choose_threads(ctx, team, options ? options : &defaults))
        team->scratch_memory =
            cr__alloc_unset(ctx, (size_t)team->size * WORKER_BYTES + 63);
    if (!team->scratch_memory) {
        cr__team_close(ctx, team);
        return NULL;
    }
    uintptr_t scratch = (uintptr_t)team->scratch_memory + 63;
    team->scratch = (char *)(scratch & ~(uintptr_t)63);
    return team;
}

void cr__team_close(cr_ctx *ctx, cr__team *team)
{
    if (!team)
        return;
    if (team->own)
        cr__free(ctx, pool_end(team->pool));
    cr__free(ctx, team->scratch_memory);
    cr__free(ctx, team);
}

int cr__team_size(const cr__team *team)
{
    return team->size;
}

void *cr__team_scratch(cr__team *team, int worker)
{
    CR__ASSERT(worker >= 0 && worker < team->size);
    return team->scratch + (size_t)worker * WORKER_BYTES;
}

void *cr__team_room(cr__team *team, int worker, int room)
{
    CR__ASSERT(room >= 0 && room < CR__ROOMS);
    return (char *)cr__team_scratch(team, worker) + CR__SCRATCH_BYTES +
           (size_t)room * CR__ROOM_BYTES;
}

/* A job as the host's threads run it: each of its calls is a worker, so that one that runs
 * them one after the other has the first do everything. */
typedef struct host_job {
    pool_job job;
    pool_share shares[MAX_THREADS];
} host_job;

static void host_worker(void *arg, int worker)
{
    host_job *host = arg;
    uint64_t saved = cr__fp_enter();
    take_chunks(&host->job, host->shares, worker);
    cr__fp_leave(saved);
}

/* Apart, because the shares are 4 KiB of the stack. */
CR__NOINLINE static void host_run(cr__team *team, const pool_job *job, int64_t n)
{
    host_job host;
    host.job = *job;
    share_out(host.shares, job->workers, n);
    team->parallel_for(team->user, job->workers, host_worker, &host);
}

static void run_job(cr__team *team, int64_t n, cr__body *body, void *arg)
{
    const pool_job job = { body, arg, n < team->size ? (int)n : team->size };
    if (job.workers > 1 && team->parallel_for) {
        host_run(team, &job, n);
        return;
    }
    if (job.workers > 1 && team->pool && pool_run(team->pool, &job, n))
        return;
    for (int64_t chunk = 0; chunk < n; chunk++)
        body(arg, chunk, 0);
}

/* A job that may be given up, or of which somebody wants to know when it was done. */
typedef struct watched_job {
    cr__body *body;
    void *arg;
    const int *stop;
    cr__lane *lanes;
} watched_job;

static void watched_chunk(void *arg, int64_t chunk, int worker)
{
    const watched_job *job = arg;
    if (job->stop && __atomic_load_n(job->stop, __ATOMIC_RELAXED))
        return;
    cr__lane *lane = job->lanes ? &job->lanes[worker] : NULL;
    if (lane && !lane->begin)
        lane->begin = cr__ticks();
    job->body(job->arg, chunk, worker);
    if (lane)
        lane->end = cr__ticks();
}

void cr__team_stop(cr__team *team, const int *stop)
{
    team->stop = stop;
}

void cr__team_watch(cr__team *team, cr__lane *lanes)
{
    team->lanes = lanes;
}

void cr__parallel(cr__team *team, int64_t n, cr__body *body, void *arg)
{
    watched_job job = { body, arg, team->stop, team->lanes };
    if (n > 1 && (team->stop || team->lanes))
        run_job(team, n, watched_chunk, &job);
    else
        run_job(team, n, body, arg);
}

static void do_nothing(void *arg, int64_t chunk, int worker)
{
    (void)arg, (void)chunk, (void)worker;
}

void cr__team_prepare(cr__team *team)
{
    const size_t bytes = (size_t)team->size * WORKER_BYTES;
    for (size_t at = 0; at < bytes; at += 4096) /* the smallest page there is */
        ((volatile char *)team->scratch)[at] = 0;
    run_job(team, team->size, do_nothing, NULL);
}

/* A thread that looks for news takes a microsecond to be told and to answer, and gets no less than
 * LEAST; the host's may take longer. One that sleeps costs its waker more than work below WAKE is
 * worth, which is done without it; but where so much of that came together, it is woken. Chunks
 * of CHUNK are long beside what handing one out takes, and short beside the work, so that threads
 * end together. In nanoseconds. */
#define LEAST      1.5e3
#define HOST_LEAST 8e3
#define WAKE       60e3
#define SMALL_WORK 400e3
#define CHUNK      40e3

/* The threads that are there at once. */
static int threads_awake(const cr__team *team)
{
    const cr_pool *pool = team->pool;
    return pool ? 1 + pool->workers -
                      atomic_load_explicit(&pool->sleepers, memory_order_relaxed)
                : team->size;
}

int cr__threads_for(double nanoseconds, cr__team *team)
{
    const double least = team->parallel_for ? HOST_LEAST : LEAST;
    int threads = team->size;
    if (threads == 1 || nanoseconds < 2 * least)
        return 1;
    if (nanoseconds < least * threads)
        threads = (int)(nanoseconds / least);
    if (nanoseconds < WAKE && threads > threads_awake(team)) {
        team->alone += nanoseconds;
        if (team->alone < SMALL_WORK)
            return threads_awake(team);
    }
    team->alone = 0;
    return threads;
}

int64_t cr__chunks_for(int threads, double nanoseconds, int64_t grains)
{
    double chunks = threads;
    if (threads > 1 && nanoseconds >= CHUNK * (double)grains)
        chunks = (double)grains;
    else if (threads > 1 && nanoseconds >= CHUNK * threads)
        chunks = threads * (double)(1 + (int64_t)(nanoseconds / (CHUNK * threads)));
    return chunks < (double)grains ? (int64_t)chunks : grains > 1 ? grains : 1;
}

int64_t cr__chunks(double nanoseconds, int64_t grains, cr__team *team)
{
    return cr__chunks_for(cr__threads_for(nanoseconds, team), nanoseconds, grains);
}
