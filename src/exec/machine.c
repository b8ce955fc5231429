/* What the machine can do at most, with the threads of a context: arithmetic that waits for nothing,
 * and memory that is gone through in order. Measured in some hundredths of a second. */
#include "../base/system.h"
#include "profiler.h"

/* For how long multiply-adds are counted, in nanoseconds; how many at a time. */
#define PEAK_TIME  4000000
#define PEAK_STEPS 2000

/* More than the caches hold, if it can be had; then less. */
#define MOST_BYTES  ((size_t)64 << 20)
#define LEAST_BYTES ((size_t)1 << 20)

#define ROUNDS 2 /* of which the better counts */

typedef struct trial {
    int64_t end;
    double *flops; /* by worker, 8 apart */
    float *data;
    int64_t n, chunks;
    cr__map_fn *map; /* NULL: reading only */
} trial;

static void count_flops(void *arg, int64_t chunk, int worker)
{
    const trial *t = arg;
    (void)chunk;
    while (cr__nanoseconds() < t->end)
        t->flops[worker * 8] += cr__peak_steps(PEAK_STEPS);
}

CR__COLD static double flops_per_second(cr_ctx *ctx, double *flops)
{
    const int size = cr__team_size(ctx->team);
    double all = 0;
    for (int i = 0; i < size; i++)
        flops[i * 8] = 0;
    trial t = { .end = cr__nanoseconds() + PEAK_TIME, .flops = flops };
    cr__parallel(ctx->team, size, count_flops, &t);
    for (int i = 0; i < size; i++)
        all += flops[i * 8];
    return all / (1e-9 * PEAK_TIME);
}

static void go_through(void *arg, int64_t chunk, int worker)
{
    static const int64_t step[4] = { 1, 1, 1, 1 };
    const trial *t = arg;
    int64_t from, to;
    (void)worker;
    cr__part(t->n, 1024, chunk, t->chunks, &from, &to);
    const void *src[4] = { t->data + from };
    if (t->map)
        t->map(t->data + from, src, step, to - from);
    else
        (void)cr__all_finite(CR_F32, src[0], to - from);
}

CR__COLD static double bytes_per_second(cr_ctx *ctx, const trial *t)
{
    const double bytes = (double)t->n * sizeof(float) * (t->map ? 2 : 1);
    int64_t begin = cr__nanoseconds();
    cr__parallel(ctx->team, t->chunks, go_through, (void *)(uintptr_t)t);
    int64_t took = cr__nanoseconds() - begin;
    return took > 0 ? 1e9 * bytes / (double)took : 0;
}

static double better(double a, double b)
{
    return a > b ? a : b;
}

CR__COLD void cr__measure_machine(cr_ctx *ctx, cr__machine *machine)
{
    cr__list list = { 0 };
    size_t bytes = MOST_BYTES;
    CR__FP_GUARD();
    while (!cr__list_reserve(ctx, &list, bytes)) {
        ctx->status = CR_OK; /* it is done without */
        ctx->message[0] = '\0';
        if ((bytes /= 4) < LEAST_BYTES)
            return;
    }
    trial t = { .data = list.at,
                .n = (int64_t)(bytes / sizeof(float)),
                .chunks = 16 * (int64_t)cr__team_size(ctx->team),
                .map = cr__map_find(CR__MAP_neg, CR_F32, CR_F32) };
    (void)bytes_per_second(ctx, &t); /* its pages are fresh */
    for (int i = 0; i < ROUNDS; i++) {
        trial reading = t;
        reading.map = NULL;
        machine->bandwidth = better(machine->bandwidth, bytes_per_second(ctx, &t));
        machine->bandwidth = better(machine->bandwidth, bytes_per_second(ctx, &reading));
        machine->flops = better(machine->flops, flops_per_second(ctx, list.at));
    }
    cr__list_free(ctx, &list);
}
