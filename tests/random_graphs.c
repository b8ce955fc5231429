/* Random programs (random_program.h) give the same values and gradients, to the bit,
 * however they are computed: lazily or eagerly, on any number of threads, under a memory
 * limit that just suffices, again in a context that has kept its plans, with more reads in between,
 * with runs that are cancelled, with a profile, or with AVX2 or AVX-512. When memory fails at any
 * place, nothing else does.
 *
 * random_graphs FIRST COUNT      runs the programs of these seeds
 * random_graphs --tell SEED [N]  prints what the program of a seed does, in N steps
 * random_graphs --hash F C       prints the instruction set and a hash of what they read
 */
#define _DEFAULT_SOURCE
#include "half.h"
#include "random_program.h"
#include "rehearsal.h"
#include "tap.h"
#include <pthread.h>
#include <time.h>

/* ---- ways of computing ---- */

/* An allocator whose memory is never zero, and which may fail by chance. */
typedef struct supply {
    uint64_t rng;
    long live;
    int fails;   /* of 1000 */
    cr_ctx *ctx; /* its run is cancelled .. */
    long until;  /* .. so many allocations and jobs from now on; 0: it is not; */
    bool breaks; /* or, the allocation fails that comes then */
} supply;

/* Whether that is now. */
static bool count_down(supply *s)
{
    bool now = s->until && --s->until == 0;
    if (now && !s->breaks)
        cr_cancel(s->ctx);
    return now && s->breaks;
}

static void *give(void *user, size_t bytes)
{
    supply *s = user;
    if (count_down(s) || (s->fails && next_random(&s->rng) % 1000 < (uint64_t)s->fails))
        return NULL;
    unsigned char *memory = malloc(bytes);
    if (memory && bytes < 1 << 20)
        memset(memory, 0xfe, bytes);
    s->live += memory != NULL;
    return memory;
}

static void take(void *user, void *memory, size_t bytes)
{
    supply *s = user;
    (void)bytes;
    s->live -= memory != NULL;
    free(memory);
}

/* The host's jobs, the last first. */
static void backwards(void *user, int n, void (*body)(void *arg, int i), void *arg)
{
    supply *s = user;
    while (n-- > 0) {
        body(arg, n);
        if (!s->breaks)
            count_down(s);
    }
}

typedef struct way {
    const char *name;
    cr_options options;
    bool varies;  /* seeds have other numbers of threads; some a profile */
    bool limited; /* to the memory that the first way took */
    bool meddles; /* plans, and evaluates more than the program does */
    bool cancels; /* evaluates more, and is cancelled; has a reserve */
    bool repeats; /* it has run before in the context */
    int fails;    /* allocations, of 1000 */
    bool dirty;   /* memory from the allocator above */
} way;

static const way ways[] = {
    { .name = "lazy, 1 thread", .options = { .threads = 1 } },
    { .name = "lazy, threads", .options = { .threads = 4 }, .varies = true },
    { .name = "eager, 1 thread", .options = { .threads = 1, .eager = true } },
    { .name = "eager, 3 threads", .options = { .threads = 3, .eager = true } },
    { .name = "lazy, limited",
      .options = { .threads = 1 },
      .limited = true,
      .dirty = true },
    { .name = "lazy, again",
      .options = { .threads = 1 },
      .repeats = true,
      .dirty = true },
    { .name = "lazy, more reads",
      .options = { .threads = 5, .parallel_for = backwards },
      .meddles = true,
      .dirty = true },
    { .name = "lazy, cancelled",
      .options = { .threads = 3, .parallel_for = backwards },
      .cancels = true,
      .dirty = true },
    { .name = "memory fails", .options = { .threads = 1 }, .fails = 4 },
    { .name = "memory fails, eager",
      .options = { .threads = 1, .eager = true },
      .fails = 8 },
};
enum { WAYS = sizeof ways / sizeof *ways };

/* Values come and go at other times than the program asks for. Before that the run is
 * planned: what is wrong with the plan, NULL if nothing is. */
static const char *meddle(world *w, uint64_t *rng)
{
    const char *wrong = NULL;
    size_t peak = 0;
    cr_tensor *xs[3];
    int n = (int)(next_random(rng) % 4);
    if (w->n == 0 || next_random(rng) % 3)
        return NULL;
    for (int i = 0; i < n; i++)
        xs[i] = w->pool[next_random(rng) % (uint64_t)w->n].t;
    if (n)
        wrong = rehearse(w->ctx, xs, n, &peak);
    forget_peak(w->ctx);
    if (next_random(rng) % 4)
        cr_eval_at(xs, n, CR_HERE);
    else
        peak = 0;
    if (!wrong && peak && cr_memory_peak(w->ctx) != peak)
        wrong = "the peak is not that of the plan";
    if (next_random(rng) % 4 == 0)
        cr_trim(w->ctx);
    if (next_random(rng) % 4 == 0) {
        CR_SCOPE(w->ctx);
        cr_exp(cr_ones(w->ctx, CR_DIMS(9)));
    }
    return wrong;
}

/* A run is cancelled, or fails for memory, or has ended before. What is pending on leaves is
 * committed first: with a run that fails it would be gone; and so would be, with one that fails for
 * memory, what is held when a leaf is replaced. */
static void cancel(world *w, uint64_t *rng, supply *s)
{
    cr_tensor *xs[4];
    int n = 0;
    if (next_random(rng) % 2 || !w->n || cr_eval(w->pool[0].t) != CR_OK)
        return;
    while (n < 4)
        xs[n++] = w->pool[next_random(rng) % (uint64_t)w->n].t;
    s->until = 1 + (long)(next_random(rng) % (next_random(rng) % 2 ? 8 : 60));
    s->breaks = !w->replaces && next_random(rng) % 2;
    if (s->breaks)
        cr_trim(w->ctx);
    cr_status status = cr_eval_at(xs, n, CR_HERE);
    s->until = 0;
    if (status == CR_OK || status == (s->breaks ? CR_ERR_MEMORY : CR_ERR_CANCELLED))
        cr_clear(w->ctx);
}

/* ---- runs ---- */

typedef struct run {
    readings out;
    size_t peak;
    char wrong[400]; /* what, if anything */
} run;

static void free_run(run *r)
{
    for (int i = 0; i < r->out.n; i++)
        free(r->out.list[i].data);
    free(r->out.list);
}

/* Walks and runs leave no marks on nodes. */
static bool marks_left(const world *w)
{
    for (const cr__scope *scope = w->ctx->scope; scope; scope = scope->parent)
        for (const cr_tensor *x = scope->first; x; x = x->link)
            if (x->run || x->walk)
                return true;
    return false;
}

static void take_steps(world *w, const way *how, supply *memory, run *r, bool full)
{
    uint64_t other = w->rng ^ 77;
    for (w->step = 0; w->step <= w->steps; w->step++) {
        if (w->step < w->steps)
            take_step(w);
        else if (full)
            read_all(w);
        const char *wrong = how->meddles ? meddle(w, &other) : NULL;
        if (how->cancels && !cr_error(w->ctx))
            cancel(w, &other, memory);
        if (wrong && !*r->wrong)
            snprintf(r->wrong, sizeof r->wrong, "step %d: %s", w->step, wrong);
        if (!pins_hold(w) && !*r->wrong)
            snprintf(r->wrong, sizeof r->wrong,
                     "step %d: memory of cr_data() has changed", w->step);
        if (marks_left(w) && !*r->wrong)
            snprintf(r->wrong, sizeof r->wrong, "step %d: marks are left", w->step);
        if (!cr_error(w->ctx))
            continue;
        bool expected =
            cr_error(w->ctx) == CR_ERR_MEMORY || cr_error(w->ctx) == CR_ERR_STALE;
        if (!how->fails || !expected)
            snprintf(r->wrong, sizeof r->wrong, "step %d: %.300s", w->step,
                     cr_message(w->ctx));
        if (!how->fails)
            return;
        cr_clear(w->ctx);
    }
}

/* From the beginning, in the context. */
static void run_once(world *w, cr_ctx *ctx, uint64_t seed, const way *how, supply *memory,
                     int steps, run *r)
{
    begin_program(w, ctx, seed, &r->out);
    memory->fails = how->fails;
    w->tells = steps > 0;
    w->steps = steps > 0 && steps < w->steps ? steps : w->steps;
    take_steps(w, how, memory, r, steps == 0 || w->steps < steps);
    memory->fails = 0;
    end_program(w);
    cr_clear(ctx);
}

/* limit: bytes; steps: how many at most, 0 for all. */
static void run_program(uint64_t seed, const way *how, size_t limit, int steps, run *r)
{
    static const int threads[] = { 2, 4, 7, 16 };
    supply memory = { .rng = seed };
    cr_options options = how->options;
    world w;
    if (how->limited)
        options.memory_limit = limit;
    if (how->dirty || how->fails)
        options.alloc = give, options.free = take, options.memory_user = &memory;
    options.parallel_user = &memory;
    if (how->varies)
        options.threads = threads[seed % 4];
    *r = (run){ .peak = 0 };
    cr_ctx *ctx = memory.ctx = cr_open(&options);
    if (how->cancels && seed % 2)
        cr_reserve(ctx, (size_t)1 << seed % 24);
    if (how->varies && seed % 16 < 2)
        cr_profile_start(ctx, .trace = seed % 2);
    if (how->repeats) {
        run_once(&w, ctx, seed, how, &memory, steps, r);
        free_run(r);
        r->out = (readings){ 0 };
    }
    run_once(&w, ctx, seed, how, &memory, steps, r);
    r->peak = cr_memory_peak(ctx);
    if (!*r->wrong && (cr_memory_used(ctx) || w.lent != w.returned))
        snprintf(r->wrong, sizeof r->wrong, "%zu bytes are still used, %d of %d lent",
                 cr_memory_used(ctx), w.lent - w.returned, w.lent);
    cr_close(ctx);
    if (!*r->wrong && memory.live)
        snprintf(r->wrong, sizeof r->wrong, "%ld blocks are still there", memory.live);
}

/* ---- comparing ---- */

static double number_at(const reading *r, int64_t i)
{
    float f;
    double d;
    if (r->dtype == CR_F64)
        return memcpy(&d, r->data + 8 * i, 8), d;
    if (r->dtype == CR_F32)
        return memcpy(&f, r->data + 4 * i, 4), (double)f;
    uint16_t half;
    if (is_half(r->dtype))
        return memcpy(&half, r->data + 2 * i, 2), half_value(r->dtype, half);
    int64_t whole = 0;
    memcpy(&whole, r->data + i * (int64_t)cr_dtype_size(r->dtype),
           cr_dtype_size(r->dtype));
    return (double)whole;
}

/* The first element that differs, -1 if none does. */
static int64_t difference(const reading *a, const reading *b)
{
    size_t size = cr_dtype_size(a->dtype);
    if (memcmp(a->data, b->data, a->bytes) == 0)
        return -1;
    for (int64_t i = 0; i < (int64_t)(a->bytes / size); i++)
        if (memcmp(a->data + i * (int64_t)size, b->data + i * (int64_t)size, size) != 0 &&
            !(isnan(number_at(a, i)) && isnan(number_at(b, i))))
            return i;
    return -1;
}

static void compare_runs(const run *want, run *got)
{
    for (int i = 0; i < want->out.n && !*got->wrong; i++) {
        const reading *a = &want->out.list[i], *b = &got->out.list[i];
        if (i >= got->out.n || a->dtype != b->dtype || !same_dims(a->dims, b->dims)) {
            snprintf(got->wrong, sizeof got->wrong, "reading %d is another", i);
            return;
        }
        int64_t at = difference(a, b);
        if (at >= 0)
            snprintf(got->wrong, sizeof got->wrong,
                     "reading %d, in step %d, %s %s of %zu bytes: element %" PRId64
                     " is %.17g, not %.17g",
                     i, a->step, a->op, cr_dtype_name(a->dtype), a->bytes, at,
                     number_at(b, at), number_at(a, at));
    }
    if (got->out.n != want->out.n && !*got->wrong)
        snprintf(got->wrong, sizeof got->wrong, "%d readings, not %d", got->out.n,
                 want->out.n);
}

/* Of values, any NaN being like another. */
static uint64_t hash_run(uint64_t h, const run *r)
{
    for (int i = 0; i < r->out.n; i++) {
        const reading *v = &r->out.list[i];
        size_t size = cr_dtype_size(v->dtype);
        for (int64_t e = 0; e < (int64_t)(v->bytes / size); e++)
            for (size_t b = 0; b < size; b++)
                h = (h ^
                     (isnan(number_at(v, e)) ? 0xff
                                             : v->data[e * (int64_t)size + (int64_t)b])) *
                    1099511628211u; /* FNV-1a */
    }
    return h;
}

/* Computes the seed's program in all ways; what went wrong is said. */
static bool test_seed(uint64_t seed)
{
    run want, got;
    run_program(seed, &ways[0], 0, 0, &want);
    bool good = !*want.wrong;
    if (!good)
        diag("seed %" PRIu64 ", %s: %s", seed, ways[0].name, want.wrong);
    for (int i = 1; i < WAYS && good; i++) {
        run_program(seed, &ways[i], want.peak, 0, &got);
        if (!ways[i].fails)
            compare_runs(&want, &got);
        if (*got.wrong) {
            diag("seed %" PRIu64 ", %s: %s", seed, ways[i].name, got.wrong);
            good = false;
        }
        free_run(&got);
    }
    free_run(&want);
    return good;
}

static bool test_seeds(uint64_t first, uint64_t count)
{
    int failed = 0;
    for (uint64_t seed = first; seed < first + count && failed < 20; seed++)
        failed += !test_seed(seed);
    return ok(failed == 0, "programs %" PRIu64 " to %" PRIu64, first, first + count - 1);
}

/* These have found something: retained tensors that became stale. */
static const uint64_t found[] = { 17533, 30331, 31306 };

static void tell_seed(uint64_t seed, int steps)
{
    run r;
    run_program(seed, &ways[0], 0, steps, &r);
    printf("%s\n", r.wrong);
    free_run(&r);
}

/* ---- instruction sets ---- */

/* The hash of what the programs of some seeds read; 0 if they fail. */
static uint64_t hash_programs(uint64_t first, uint64_t count)
{
    uint64_t hash = 14695981039346656037u;
    for (uint64_t seed = first; seed < first + count; seed++) {
        run r;
        run_program(seed, &ways[0], 0, 0, &r);
        hash = *r.wrong ? 0 : hash_run(hash, &r);
        free_run(&r);
    }
    return hash;
}

/* This program's hash under an instruction set; 0 if the machine lacks it. */
static uint64_t hash_under(const char *self, const char *isa, uint64_t first,
                           uint64_t count)
{
    char command[600], name[32] = "";
    uint64_t h = 0;
    snprintf(command, sizeof command, "CHAINRULE_ISA=%s '%s' --hash %" PRIu64 " %" PRIu64,
             isa, self, first, count);
    FILE *child = popen(command, "r");
    bool there = child && fscanf(child, "%31s %" SCNx64, name, &h) == 2;
    if (child && pclose(child) != 0)
        diag("%s: the programs ended badly", isa);
    return there && strcmp(name, isa) == 0 ? h : 0;
}

/* The sets agree with each other and with the one in use. */
static void test_instruction_sets(const char *self, uint64_t first, uint64_t count)
{
    static const char *const sets[] = { "generic", "avx2", "avx512" };
    uint64_t want = hash_programs(first, count);
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        uint64_t h = hash_under(self, sets[i], first, count);
        if (h)
            ok(h == want, "%s: %016" PRIx64, sets[i], h);
        else
            skip(1, "this machine lacks an instruction set");
    }
}

/* ---- large graphs ---- */

enum { NODES = 50000 };

/* One node of each kind after the other. */
static cr_tensor *mixed(cr_ctx *ctx, cr_tensor *x, int n)
{
    cr_tensor *y = cr_mul(x, 1);
    for (int i = 0; i < n / 9; i++) {
        y = cr_add(cr_reshape(cr_t(cr_tanh(y)), CR_DIMS(2, 3)), x);
        y = cr_flip(cr_sub(y, cr_sum(y, 1, .keepdim = true)), CR_DIMS(0));
        y = cr_matmul(y, cr_eye(ctx, 3));
    }
    return cr_sum(y);
}

/* An operation, whose vjp reads it, on every link of a chain of views. */
static cr_tensor *views(cr_ctx *ctx, cr_tensor *x, int n)
{
    cr_tensor *sum = cr_scalar(ctx, 0), *y = cr_mul(x, 1);
    for (int i = 0; i < n / 5; i++) {
        y = cr_reshape(cr_t(y), CR_DIMS(2, 3));
        sum = cr_add(sum, cr_sum(cr_mul(y, y)));
    }
    return sum;
}

typedef cr_tensor *grower(cr_ctx *ctx, cr_tensor *x, int n);
typedef struct growth {
    const char *name;
    grower *grow;
    int n;
    double seconds;
    cr_status status;
} growth;

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *grow(void *arg)
{
    growth *g = arg;
    double start = seconds();
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(2, 3), 0.5));
    cr_tensor *y = g->grow(ctx, x, g->n);
    cr_eval(y);
    cr_backward(y);
    cr_eval(cr_grad(x));
    g->status = cr_error(ctx);
    cr_close(ctx);
    g->seconds = seconds() - start;
    return NULL;
}

/* Twice as many nodes take twice the time, which is said and not checked; and no more
 * stack. */
static void test_large_graphs(void)
{
    growth all[] = { { .name = "mixed nodes", .grow = mixed },
                     { .name = "views and what reads them", .grow = views } };
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 << 10);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        double half = 0;
        for (all[i].n = NODES; all[i].n <= 2 * NODES; all[i].n *= 2) {
            pthread_t thread;
            half = all[i].seconds;
            if (pthread_create(&thread, &attributes, grow, &all[i]) == 0)
                pthread_join(thread, NULL);
        }
        is_int(all[i].status, CR_OK, "%d %s, on a small stack", 2 * NODES, all[i].name);
        diag("%d take %.2f times as long as %d", 2 * NODES, all[i].seconds / half, NODES);
    }
    pthread_attr_destroy(&attributes);
}

int main(int argc, char **argv)
{
    const char *mode = getenv("CHAINRULE_EAGER"), *what = argc > 1 ? argv[1] : "";
    bool told_eager = mode && *mode == '1';
    uint64_t first = argc > 1 ? strtoull(argv[argc > 3 ? 2 : 1], NULL, 10) : 0;
    uint64_t count = argc > 2 ? strtoull(argv[argc > 3 ? 3 : 2], NULL, 10) : 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    unsetenv("CHAINRULE_EAGER");
    if (strcmp(what, "--tell") == 0) {
        tell_seed(argc > 3 ? first : count, argc > 3 ? (int)count : 1000);
        return 0;
    }
    if (strcmp(what, "--hash") == 0) {
        printf("%s %016" PRIx64 "\n", cr_isa(), hash_programs(first, count));
        return 0;
    }
    if (argc > 2) {
        for (uint64_t at = 0; at < count; at += 100)
            test_seeds(first + at, count - at < 100 ? count - at : 100);
        return done_testing();
    }
    if (told_eager) {
        skip(1, "the lazy run of this test compares both modes");
        return done_testing();
    }
    test_seeds(1, (uint64_t)tap_share(300));
    test_seeds(FIRST_OF_BLOCKS, (uint64_t)tap_share(200));
    for (size_t i = 0; i < sizeof found / sizeof found[0]; i++)
        test_seeds(found[i], 1);
    test_instruction_sets(argv[0], 1, (uint64_t)tap_share(100));
    test_instruction_sets(argv[0], FIRST_OF_BLOCKS, (uint64_t)tap_share(50));
    test_large_graphs();
    return done_testing();
}
