/* Whatever the system refuses and whenever a run is cancelled: trainings in which each allocation
 * of the process fails in turn, and threads cannot be started, which are cancelled in the midst of
 * a kernel, which reserve memory, take profiles, and forget peaks. What failed is done again, and
 * all end in the bits of one that nobody disturbed. Nothing leaks, and statistics are what is held.
 * Where memory was reserved nothing is asked of the system, whoever computes.
 *
 *     adversity FIRST COUNT    these programs of chance alone
 *
 * The linker directs the library's calls of malloc and the like to here: see CMakeLists.txt. */
#define _GNU_SOURCE /* usleep */
#include "op_sample.h"
#include "tap.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the system ---- */

static atomic_long asked, blocks, threads_started;
static atomic_long fails_at =
    -1;                     /* the request that is refused, by its number; -1: none, */
static atomic_bool goes_on; /* and all that follow */

static bool refused(void)
{
    const long n = atomic_fetch_add(&asked, 1), at = atomic_load(&fails_at);
    return at >= 0 && (n == at || (n > at && atomic_load(&goes_on)));
}

static void *count_block(void *memory)
{
    atomic_fetch_add(&blocks, memory != NULL);
    return memory;
}

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t n, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void __real_free(void *memory);
int __real_pthread_create(pthread_t *id, const pthread_attr_t *attr,
                          void *(*body)(void *arg), void *arg);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t n, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void __wrap_free(void *memory);
int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr,
                          void *(*body)(void *arg), void *arg);

void *__wrap_malloc(size_t bytes)
{
    return refused() ? NULL : count_block(__real_malloc(bytes));
}

void *__wrap_calloc(size_t n, size_t bytes)
{
    return refused() ? NULL : count_block(__real_calloc(n, bytes));
}

void *__wrap_realloc(void *memory, size_t bytes)
{
    if (refused())
        return NULL;
    return memory ? __real_realloc(memory, bytes)
                  : count_block(__real_realloc(NULL, bytes));
}

void __wrap_free(void *memory)
{
    atomic_fetch_sub(&blocks, memory != NULL);
    __real_free(memory);
}

int __wrap_pthread_create(pthread_t *id, const pthread_attr_t *attr,
                          void *(*body)(void *arg), void *arg)
{
    if (refused())
        return 11; /* EAGAIN */
    atomic_fetch_add(&threads_started, 1);
    return __real_pthread_create(id, attr, body, arg);
}

/* The n-th request from now on is refused; -1: none. */
static void refuse(long n, bool and_what_follows)
{
    atomic_store(&goes_on, and_what_follows);
    atomic_store(&fails_at, n < 0 ? -1 : atomic_load(&asked) + n);
}

/* ---- a training ---- */

enum { BATCH = 6, WIDTH = 10, CLASSES = 3, STEPS = 4, MOST_TRIES = 60000 };

/* Where a kernel cancels the run that it is part of, and how. */
typedef enum moment {
    NEVER,
    BEFORE,   /* the run */
    FORWARD,  /* in the midst of it */
    BACKWARD, /* so */
    UPDATE,   /* of what reads a new parameter */
    TWICE,    /* before it and forward */
    MOMENTS
} moment;
typedef enum source { CALLS, SIGNALS, FROM_THREAD, SOURCES } source;

typedef struct training {
    cr_ctx *ctx;
    cr_module *net;
    cr_optim *optim;
    cr_tensor *x, *labels;
    moment when;
    source who;
    float values[20][WIDTH * WIDTH];
    double losses[STEPS];
    long tries;
    const char *wrong;
} training;

static training *target; /* of the handler and of the thread */

static void on_signal(int number)
{
    (void)number;
    cr_cancel(target->ctx);
}

static void *cancel_once(void *arg)
{
    cr_cancel(((training *)arg)->ctx);
    return NULL;
}

static void cancel(training *t)
{
    pthread_t thread;
    target = t;
    if (t->who == SIGNALS)
        raise(SIGUSR1);
    else if (t->who == FROM_THREAD &&
             __real_pthread_create(&thread, NULL, cancel_once, t) == 0)
        pthread_join(thread, NULL);
    else
        cr_cancel(t->ctx);
}

static void pass_on(const cr_array *from, cr_array *to)
{
    memcpy(to->data, from->data, (size_t)from->numel * sizeof(float));
}

static bool pass_forward(const cr_array *in, int n, cr_array *out, void *user)
{
    training *t = user;
    (void)n;
    if (t->when == FORWARD || t->when == TWICE)
        cancel(t);
    pass_on(in, out);
    return true;
}

static bool pass_update(const cr_array *in, int n, cr_array *out, void *user)
{
    training *t = user;
    (void)n;
    if (t->when == UPDATE)
        cancel(t);
    pass_on(in, out);
    return true;
}

static bool pass_backward(const cr_array *in, int n, const cr_array *out,
                          const cr_array *grad_out, cr_array *grad_in, void *user)
{
    training *t = user;
    (void)in, (void)n, (void)out;
    if (t->when == BACKWARD)
        cancel(t);
    pass_on(grad_out, grad_in);
    return true;
}

static bool build(training *t)
{
    cr_ctx *ctx = t->ctx;
    int64_t labels[BATCH];
    for (int i = 0; i < BATCH; i++)
        labels[i] = i % CLASSES;
    cr_seed(ctx, 5);
    t->net = cr_nn_sequential(ctx);
    cr_nn_add(t->net, cr_nn_linear(ctx, WIDTH, WIDTH));
    cr_nn_add(t->net, cr_nn_batch_norm1d(ctx, WIDTH));
    cr_nn_add(t->net, cr_nn_relu(ctx));
    cr_nn_add(t->net, cr_nn_dropout(ctx, 0.25));
    cr_nn_add(t->net, cr_nn_linear(ctx, WIDTH, CLASSES));
    t->optim = cr_error(ctx) ? NULL : cr_optim_adamw(cr_nn_params(t->net), 0.01, 0.01);
    t->x = cr_retain(cr_randn(ctx, CR_DIMS(BATCH, WIDTH)));
    t->labels = cr_retain(cr_from(ctx, CR_I64, CR_DIMS(BATCH), labels));
    if (t->optim && cr_eval(t->x, t->labels) == CR_OK)
        return true;
    cr_release(t->x);
    cr_release(t->labels);
    cr_optim_free(t->optim);
    cr_nn_free(t->net);
    t->optim = NULL;
    t->net = NULL;
    return false;
}

/* Whether it has happened: the run has. What is kept is computed by the end of the scope, which may
 * still fail. */
static bool step(training *t, int at)
{
    const cr_custom_def middle = { "middle", pass_forward, pass_backward, t },
                        behind = { "behind", pass_update, NULL, t };
    cr_ctx *ctx = t->ctx;
    CR_SCOPE(ctx);
    cr_tensor *y = cr_nn_forward(t->net, t->x), *param;
    y = cr_custom(&middle, &y, 1, CR_F32, cr_shape(y));
    cr_tensor *loss = cr_cross_entropy(y, t->labels);
    cr_optim_zero_grad(t->optim);
    cr_backward(loss);
    cr_clip_grad_norm(cr_nn_params(t->net), 1.0);
    cr_optim_step(t->optim);
    param = cr_detach(cr_nn_params(t->net)->list[0].tensor);
    param = cr_custom(&behind, &param, 1, CR_F32, cr_shape(param));
    if (t->when == BEFORE || t->when == TWICE)
        cancel(t);
    if (cr_eval(loss, param) != CR_OK)
        return false;
    t->losses[at] = cr_item(loss);
    return true;
}

/* Whether it has happened. */
static bool try_step(training *t, int at)
{
    const cr_rng rng = cr_rng_get(t->ctx);
    const bool done = step(t, at);
    const cr_status status = cr_error(t->ctx);
    refuse(-1, false);
    t->when = NEVER;
    if (status == CR_OK)
        return true;
    if ((status != CR_ERR_MEMORY && status != CR_ERR_CANCELLED) || !*cr_message(t->ctx))
        t->wrong = "another error";
    if (t->wrong)
        diag("  step %d: %s: %s", at, cr_status_name(status), cr_message(t->ctx));
    cr_clear(t->ctx);
    if (!done)
        cr_rng_set(t->ctx, rng);
    return done;
}

static void read_end(training *t)
{
    const cr_params *lists[2] = { cr_nn_params(t->net), cr_nn_buffers(t->net) };
    for (int i = 0, n = 0; i < 2; i++)
        for (int j = 0; lists[i] && j < lists[i]->n && n < 20; j++, n++)
            if (cr_dtype_of(lists[i]->list[j].tensor) == CR_F32)
                cr_read(lists[i]->list[j].tensor, t->values[n], sizeof t->values[n]);
    if (cr_error(t->ctx))
        t->wrong = "the end cannot be read";
}

static void close_training(training *t)
{
    if (t->net)
        cr_release(t->x), cr_release(t->labels);
    cr_optim_free(t->optim);
    cr_nn_free(t->net);
    cr_close(t->ctx);
}

static bool same_end(const training *a, const training *b)
{
    return memcmp(a->values, b->values, sizeof a->values) == 0 &&
           memcmp(a->losses, b->losses, sizeof a->losses) == 0;
}

/* ---- who computes ---- */

static cr_pool *pool;

static void in_turn(void *user, int n, void (*body)(void *arg, int i), void *arg)
{
    (void)user;
    for (int i = n; i-- > 0;)
        body(arg, i);
}

typedef struct crew {
    const char *name;
    int threads;
    bool shared, host;
} crew;
static const crew crews[] = { { "one thread", 1, false, false },
                              { "three threads", 3, false, false },
                              { "a shared pool", 0, true, false },
                              { "the host's threads", 3, false, true } };
enum { CREWS = sizeof crews / sizeof *crews };

static cr_options options_of(const crew *c)
{
    cr_options o = { .threads = c->threads };
    if (c->shared)
        o.pool = pool;
    if (c->host)
        o.parallel_for = in_turn;
    return o;
}

/* Each request of a training fails in turn: alone, or with all that follow until the error is seen.
 * How many were made; -1 if something was wrong. */
static long test_each_refusal(const training *want, const crew *c, size_t reserve,
                              bool profiled, bool and_what_follows)
{
    const cr_options options = options_of(c);
    bool reached = true;
    long n = 0;
    for (; reached; n += profiled ? 13 * tap_parts() : tap_parts()) {
        training t = { 0 };
        const long before = atomic_load(&blocks), first = atomic_load(&asked);
        refuse(n, and_what_follows);
        t.ctx = cr_open(&options);
        if (t.ctx && reserve && cr_reserve(t.ctx, reserve) != CR_OK)
            cr_clear(t.ctx);
        if (t.ctx && profiled && cr_profile_start(t.ctx, .trace = true) != CR_OK)
            cr_clear(t.ctx);
        if (and_what_follows && t.ctx && atomic_load(&asked) - first > n)
            refuse(-1, false);
        while (t.ctx && !build(&t) && t.tries++ < 10) {
            refuse(-1, false);
            cr_clear(t.ctx);
        }
        for (int s = 0; t.ctx && t.optim && s < STEPS && t.tries++ < MOST_TRIES;) {
            const bool armed = atomic_load(&asked) - first <= n;
            const long at = atomic_load(&fails_at);
            s += try_step(&t, s);
            if (armed)
                atomic_store(&goes_on, and_what_follows), atomic_store(&fails_at, at);
        }
        reached = atomic_load(&asked) - first > n;
        refuse(-1, false);
        if (t.ctx && t.optim)
            read_end(&t);
        if (t.ctx && (!t.optim || !same_end(&t, want)) && !t.wrong)
            t.wrong = "it ended in other bits";
        close_training(&t);
        if (!t.wrong && atomic_load(&blocks) != before)
            t.wrong = "memory leaked";
        if (t.wrong) {
            diag("  request %ld: %s", n, t.wrong);
            return -1;
        }
    }
    return n;
}

static void test_refusals(const training *want)
{
    for (int i = 0; i < CREWS; i++)
        for (int how = 0; how < (i < 2 ? 6 : 4); how++) {
            const bool profiled = how / 2 == 2, follows = how % 2;
            const size_t reserve = how / 2 == 1 ? (size_t)40000 : 0;
            long n = test_each_refusal(want, &crews[i], reserve, profiled, follows);
            ok(n > 0, "%s%s%s: each of %ld requests refused%s", crews[i].name,
               profiled ? ", profiled" : "", reserve ? ", with too little reserved" : "",
               n, follows ? ", and what follows" : "");
        }
}

/* ---- programs of chance ---- */

/* Held besides: scratch of three threads, lists and slabs that are never small; and plans. */
#define ROOM (((size_t)2 << 20) + ((size_t)512 << 10))

typedef struct meter {
    size_t bytes, most; /* that the context holds now, and held at most */
} meter;

static void *metered(void *user, size_t bytes)
{
    meter *m = user;
    void *memory = __wrap_malloc(bytes);
    if (memory && (m->bytes += bytes) > m->most)
        m->most = m->bytes;
    return memory;
}

static void unmetered(void *user, void *memory, size_t bytes)
{
    ((meter *)user)->bytes -= memory ? bytes : 0;
    __wrap_free(memory);
}

typedef struct program {
    training t;
    meter meter;
    bool meters, profiles; /* the first profile measures the machine: not in many */
    size_t opening, reserved, ever; /* bytes; the largest peak */
    cr_stats last;
    uint64_t rng;
} program;

static uint32_t below(program *p, uint32_t n)
{
    return (uint32_t)(next_random(&p->rng) % n);
}

/* What statistics say, against each other and what was given. */
static const char *judge_stats(program *p)
{
    const cr_ctx *ctx = p->t.ctx;
    const cr_stats s = cr_get_stats(ctx), last = p->last;
    p->last = s;
    p->ever = s.peak > p->ever ? s.peak : p->ever;
    if (s.used != cr_memory_used(ctx) || s.peak != cr_memory_peak(ctx))
        return "statistics that are not those of the functions";
    if (s.peak < s.used)
        return "the peak is below what is used";
    if (s.held < s.used)
        return "more is used than held";
    if (s.allocations < last.allocations || s.runs < last.runs ||
        s.groups < last.groups || s.nodes < last.nodes)
        return "counts go back";
    if (s.seconds <
        0.8 * last.seconds) /* how fast the counter is, is known ever better */
        return "time goes back";
    if (p->meters && s.held != p->meter.bytes - p->opening)
        return "held is not what the allocator has given";
    if (p->meters && p->meter.most - p->opening < s.peak)
        return "the peak was never held";
    if (s.held > p->reserved + 2 * p->ever + p->ever / 4 + ROOM)
        return "more is held than what is used and what was in use once";
    return NULL;
}

/* Something between steps. */
static void meddle(program *p)
{
    cr_ctx *ctx = p->t.ctx;
    char text[300];
    const size_t bytes = (size_t)below(p, 300000);
    FILE *nowhere;
    switch (below(p, 12)) {
    case 0:
        if (cr_reserve(ctx, bytes) == CR_OK)
            p->reserved += bytes + 4096;
        break;
    case 1:
        cr_reset_peak(ctx);
        if (cr_memory_peak(ctx) != cr_memory_used(ctx) && !p->t.wrong)
            p->t.wrong = "a peak that was forgotten is not what is used";
        break;
    case 2:
        cr_trim(ctx);
        break;
    case 3:
        if (p->profiles)
            cr_profile_start(ctx, .trace = below(p, 2));
        break;
    case 4:
        cr_profile_stop(ctx);
        break;
    case 5:
        cr_profile_format(ctx, text, sizeof text);
        break;
    case 6:
        if ((nowhere = fopen("/dev/null", "w"))) {
            cr_profile_trace(ctx, nowhere);
            cr_profile_print(ctx, nowhere);
            fclose(nowhere);
        }
        break;
    case 7:
        cr_cancel(ctx);
        cr_clear(ctx);
        break;
    default:
        break;
    }
    cr_clear(ctx);
}

static void open_program(program *p, uint64_t seed)
{
    *p = (program){ .rng = seed * 7919 + 1 };
    cr_options options = options_of(&crews[below(p, CREWS)]);
    p->meters = below(p, 2);
    p->profiles = below(p, 10) == 0;
    options.eager = below(p, 4) == 0;
    options.check = below(p, 6) == 0;
    options.memory_limit = below(p, 3) ? 0 : (size_t)4 << 20;
    if (p->meters)
        options.alloc = metered, options.free = unmetered,
        options.memory_user = &p->meter;
    p->t.ctx = cr_open(&options);
    p->opening = p->meter.bytes;
    p->meter.most = p->meter.bytes;
}

static bool run_program(uint64_t seed, const training *want)
{
    static program p;
    const long before = atomic_load(&blocks);
    open_program(&p, seed);
    training *t = &p.t;
    while (!build(t) && t->tries++ < 10)
        cr_clear(t->ctx);
    for (int s = 0; s < STEPS && t->optim && !t->wrong && t->tries++ < MOST_TRIES;) {
        for (int n = (int)below(&p, 3); n > 0; n--)
            meddle(&p);
        if (below(&p, 3)) {
            t->when = (moment)below(&p, MOMENTS);
            t->who = (source)below(&p, SOURCES);
        }
        if (below(&p, 3) == 0)
            refuse((long)below(&p, below(&p, 2) ? 6 : 40), below(&p, 2));
        s += try_step(t, s);
        const char *wrong = judge_stats(&p);
        t->wrong = t->wrong ? t->wrong : wrong;
    }
    if (t->optim)
        read_end(t);
    if (!t->wrong && !same_end(t, want))
        t->wrong = "it ended in other bits";
    close_training(t);
    if (!t->wrong && atomic_load(&blocks) != before)
        t->wrong = "memory leaked";
    if (!t->wrong && p.meter.bytes)
        t->wrong = "bytes are not given back";
    if (t->wrong)
        diag("  program %" PRIu64 ": %s", seed, t->wrong);
    return !t->wrong;
}

static void test_programs(uint64_t first, uint64_t count, const training *want)
{
    int failed = 0;
    for (uint64_t seed = first; seed < first + count && failed < 10; seed++)
        failed += !run_program(seed, want);
    ok(!failed, "programs %" PRIu64 " to %" PRIu64, first, first + count - 1);
}

/* ---- nothing is asked of the system ---- */

/* Behind cr_reserve() not even by the first step, and by what makes the network; and by no step in
 * steady state where none was reserved. */
static void test_steady(const crew *c, bool reserves, bool cancels)
{
    const cr_options options = options_of(c);
    static training t;
    t = (training){ 0 };
    t.ctx = cr_open(&options);
    if (reserves)
        cr_reserve(t.ctx, 2 << 20);
    long before = atomic_load(&asked);
    bool built = build(&t);
    for (int s = 0; built && s < 60; s++) {
        if (!reserves && s == 30)
            before = atomic_load(&asked);
        t.when = cancels ? (moment)(s % MOMENTS) : NEVER;
        (void)try_step(&t, s % STEPS);
        cr_reset_peak(t.ctx);
    }
    ok(built && !t.wrong && atomic_load(&asked) == before, "%s, %s%s: %ld requests",
       c->name, reserves ? "reserved" : "in steady state",
       cancels ? ", cancelled now and then" : "", atomic_load(&asked) - before);
    close_training(&t);
}

/* A context in which nothing was recorded. */
static void test_nothing(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_cancel(ctx);
    cr_cancel(ctx);
    cr_reset_peak(ctx);
    ok(cr_get_stats(ctx).runs == 0 && cr_memory_peak(ctx) == 0 && cr_error(ctx) == CR_OK,
       "nothing is cancelled: no run, no error");
    is_int(cr_reserve(ctx, 1 << 16), CR_OK, "memory is reserved all the same");
    ok(isnan(cr_item(cr_add(cr_scalar(ctx, 1.0), 1))) &&
           cr_error(ctx) == CR_ERR_CANCELLED,
       "the first run is");
    cr_close(ctx);
    ctx = cr_open(NULL);
    cr_cancel(ctx);
    cr_close(ctx);
}

int main(int argc, char **argv)
{
    static training want;
    const char *mode = getenv("CHAINRULE_EAGER");
    const char *check = getenv("CHAINRULE_CHECK"); /* keeps the records of the dead */
    const bool keeps = check && *check == '1', eager = mode && *mode == '1';
    setvbuf(stdout, NULL, _IOLBF, 0);
    signal(SIGUSR1, on_signal);
    pool = cr_pool_open(3);
    want.ctx = cr_open(&(cr_options){ .threads = 1 });
    bool built = build(&want);
    for (int s = 0; built && s < STEPS; s++)
        built = try_step(&want, s);
    read_end(&want);
    ok(built && !want.wrong && !isnan(want.losses[STEPS - 1]), "an undisturbed training");
    if (argc > 2) {
        test_programs(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10), &want);
    } else {
        test_nothing();
        test_programs(1, (uint64_t)tap_share(400), &want);
        if (!eager)
            test_refusals(&want);
        for (int i = 0; i < CREWS && !keeps; i++)
            for (int how = 0; how < 4; how++)
                test_steady(&crews[i], how & 1, how & 2);
    }
    close_training(&want);
    cr_pool_close(pool);
    return done_testing();
}
