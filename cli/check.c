/* chainrule check: this build on this machine. Whether it computes the bits that every machine must
 * give, and how fast, beside what the machine can do. */
#include "commands.h"
#include "host.h"
#include "limits.h"
#include "workloads.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- bits ---- */

/* What some of the graphs give, made small, after three steps: on every machine. Written by this
 * command where it finds something else, which is only right after a change of bits that is
 * meant. */
static const struct expected {
    const char *workload;
    uint64_t hash;
} table[] = {
    { "tiny", 0x14b82bbae1120108 },        { "chain", 0x5ccd4d9d66476910 },
    { "chain_large", 0x4843b2bb033121eb }, { "gelu", 0x83c0d4c41da159bb },
    { "softmax", 0x346fc94ef10f2118 },     { "layer_norm", 0x55f3caa79dab175a },
    { "batch_norm", 0xcc330dd1332eeb65 },  { "cross_entropy", 0x9dfd1e8145907b52 },
    { "mlp_small", 0x7e5146e39c9c5424 },   { "mlp_clipped", 0x9dda232199c5fdd9 },
    { "recurrence", 0xe35be9dbd917e1e8 },
};
enum { ROWS = sizeof table / sizeof table[0], STEPS = 3, SHRINK = 16 };

/* FNV-1a of words, the upper bits mixed downwards. */
static void add_to_hash(uint64_t *hash, cr_tensor *x)
{
    const float *values = x ? cr_data(x) : NULL;
    for (int64_t i = 0; values && i < cr_numel(x); i++) {
        uint32_t bits = 1; /* any NaN is one NaN */
        if (values[i] == values[i])
            memcpy(&bits, &values[i], sizeof bits);
        *hash = (*hash ^ bits) * 1099511628211u;
        *hash ^= *hash >> 29;
    }
}

/* 0 with an error, or without memory. */
static uint64_t hash_of(const char *name)
{
    cr_ctx *ctx = cr_open(NULL);
    uint64_t hash = 14695981039346656037u;
    stage s;
    if (!ctx)
        return 0;
    stage_open(&s, workload_find(name), ctx, SHRINK);
    for (int step = 0; step < STEPS && !cr_error(ctx); step++) {
        CR_SCOPE(ctx);
        stage_record(&s);
        for (int i = 0; i < s.n_targets; i++)
            add_to_hash(&hash, s.targets[i]);
    }
    for (int i = 0; i < s.params.n; i++)
        add_to_hash(&hash, s.params.list[i].tensor);
    const bool good = !cr_error(ctx);
    stage_close(&s);
    cr_close(ctx);
    return good ? hash : 0;
}

static bool check_bits(void)
{
    int wrong = 0;
    for (int i = 0; i < ROWS; i++) {
        const uint64_t hash = hash_of(table[i].workload);
        if (hash == table[i].hash)
            continue;
        printf("bits       %s gives %016" PRIx64 ", and must give %016" PRIx64 "\n",
               table[i].workload, hash, table[i].hash);
        wrong++;
    }
    if (wrong)
        printf("bits       %d of %d graphs are not computed as on other machines\n",
               wrong, ROWS);
    else
        printf("bits       of %d graphs: as on every machine\n", ROWS);
    return wrong == 0;
}

/* ---- speed ---- */

enum { SIZE = 512, LONG = 1 << 24, TRIES = 9 };

typedef struct timed {
    void (*work)(void *state);
    void *state;
    double best; /* seconds, of some tries: a machine's other work only takes time */
} timed;

/* The work and its limit in turns, so that both have the machine's good moments. */
static void time_both(timed *work, timed *limit)
{
    timed *both[] = { work, limit };
    work->best = limit->best = 1e30;
    for (int i = 0; i < 2 * TRIES; i++) {
        timed *one = both[i % 2];
        const double start = host_seconds();
        one->work(one->state);
        const double taken = host_seconds() - start;
        one->best = taken < one->best && taken > 0 ? taken : one->best;
    }
}

typedef struct operands {
    cr_ctx *ctx;
    cr_tensor *a, *b;
} operands;

static void multiply(void *state)
{
    const operands *o = state;
    CR_SCOPE(o->ctx);
    cr_eval(cr_matmul(o->a, o->b));
}

static void add(void *state)
{
    const operands *o = state;
    CR_SCOPE(o->ctx);
    cr_eval(cr_add(o->a, o->b));
}

/* What one core's multiply-add units do, at most so far. */
static void use_units(void *state)
{
    double *most = state;
    const double now = measure_limits(1).flops;
    *most = now > *most ? now : *most;
}

typedef struct arrays {
    float *to;
    const float *a, *b;
} arrays;

static volatile float moved; /* keeps the compiler from leaving the work out */

/* Reads and writes what the map does, in the way a compiler makes of it. */
static void move(void *state)
{
    const arrays *x = state;
    for (int i = 0; x->to && i < LONG; i++)
        x->to[i] = x->a[i] + x->b[i];
    moved = x->to ? x->to[LONG / 2] : 0;
}

static void print_speed(const char *what, double speed, double limit, const char *unit,
                        const char *of)
{
    printf("%-10s %.1f %s", what, speed, unit);
    if (limit > 0)
        printf(", %.0f%% of the %.1f that %s", 100 * speed / limit, limit, of);
    printf("\n");
}

static void measure_product(cr_ctx *ctx)
{
    operands o = { ctx, cr_randn(ctx, CR_DIMS(SIZE, SIZE)),
                   cr_randn(ctx, CR_DIMS(SIZE, SIZE)) };
    cr_eval(o.a, o.b);
    double most = 0;
    timed product = { multiply, &o, 0 }, limit = { use_units, &most, 0 };
    time_both(&product, &limit);
    print_speed("product", 2e-9 * SIZE * SIZE * SIZE / product.best, most, "GFLOP/s",
                "one core's units do");
}

/* A sum reads two arrays and writes one. */
static void measure_map(cr_ctx *ctx)
{
    const double bytes = 3.0 * sizeof(float) * LONG;
    operands o = { ctx, cr_randn(ctx, CR_DIMS(LONG)), cr_randn(ctx, CR_DIMS(LONG)) };
    cr_eval(o.a, o.b);
    arrays plain = { cr_error(ctx) ? NULL : malloc(sizeof(float) * LONG), cr_data(o.a),
                     cr_data(o.b) };
    timed sum = { add, &o, 0 }, loop = { move, &plain, 0 };
    time_both(&sum, &loop);
    print_speed("map", 1e-9 * bytes / sum.best, plain.to ? 1e-9 * bytes / loop.best : 0,
                "GB/s", "a plain loop over the same memory moves");
    free(plain.to);
}

int check_run(int n, char **words)
{
    (void)n, (void)words;
    printf("chainrule  %s\nkernels    %s\nprocessors %d, one of them used below\n",
           cr_version(), cr_isa(), host_processors());
    const bool good = check_bits();
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    if (ctx) {
        measure_product(ctx);
        measure_map(ctx);
    }
    const bool measured = ctx && !cr_error(ctx);
    if (!measured)
        fprintf(stderr, "chainrule check: %s\n",
                ctx ? cr_message(ctx) : "there is no memory");
    cr_close(ctx);
    return !measured ? STATUS_ERROR : good ? STATUS_GOOD : STATUS_ALARM;
}
