/* What every peer written in C shares: the numbers that fill the tensors, the shapes of
 * the matrix products, and the protocol of peers/WORKLOADS.md. Include it first: it asks
 * for POSIX clocks.
 *
 * A peer's program is one table of workloads and a call of bench_serve(). */
#ifndef BENCH_PROTOCOL_H
#define BENCH_PROTOCOL_H

#define _POSIX_C_SOURCE 200809L

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* make() sets up and returns the state, NULL if it failed, and the check number; run() is
 * one timed run. arg is the workload's own parameter. */
typedef struct bench_workload {
    const char *name;
    void *(*make)(const void *arg, int threads, double *check);
    void (*run)(void *state);
    void (*free)(void *state);
    const void *arg;
} bench_workload;

/* op(A) [m, k] @ op(B) [k, n], batch times; a transposed operand is stored the other way
 * round. */
typedef struct bench_gemm {
    const char *name;
    int batch, m, n, k;
    bool ta, tb;
} bench_gemm;

static const bench_gemm bench_gemms[] = {
    { "gemm_1024", 1, 1024, 1024, 1024, false, false },
    { "gemm_mlp_nn", 1, 128, 512, 784, false, false },
    { "gemm_mlp_nt", 1, 128, 512, 784, false, true },
    { "gemm_mlp_tn", 1, 512, 784, 128, true, false },
    { "gemm_skinny", 1, 4096, 64, 64, false, false },
    { "gemm_batched", 256, 64, 64, 64, false, false },
    { "gemv", 1, 1, 4096, 4096, false, true },
};

enum { BENCH_GEMMS = sizeof(bench_gemms) / sizeof(bench_gemms[0]) };

/* Rows of a peer's table for all matrix products. */
#define BENCH_GEMM_ROW(i, make, run, free)                    \
    {                                                         \
        bench_gemms[i].name, make, run, free, &bench_gemms[i] \
    }

/* common.py's fill(): n values in [-scale, scale). */
static inline void bench_fill(float *out, int64_t n, uint32_t seed, float scale)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t h = (uint32_t)i + seed * 0x9E3779B9u;
        h ^= h >> 16;
        h *= 0x7FEB352Du;
        h ^= h >> 15;
        h *= 0x846CA68Bu;
        h ^= h >> 16;
        out[i] = ((float)(h >> 8) * 0x1p-23f - 1.0f) * scale;
    }
}

/* The same in new memory, NULL if there is none. The caller frees it. */
static inline float *bench_filled(int64_t n, uint32_t seed, float scale)
{
    float *out = malloc((size_t)n * sizeof(float));
    if (out)
        bench_fill(out, n, seed, scale);
    return out;
}

/* common.py's labels(): n classes below classes, in new memory. */
static inline int64_t *bench_labels(int64_t n, uint32_t seed, int classes)
{
    int64_t *out = malloc((size_t)n * sizeof(int64_t));
    float *u = bench_filled(n, seed, 1.0f);
    for (int64_t i = 0; out && u && i < n; i++) {
        int64_t label = (int64_t)((u[i] + 1.0f) / 2.0f * (float)classes);
        out[i] = label < classes ? label : classes - 1;
    }
    free(u);
    return out;
}

static inline double bench_abs_sum(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; x && i < n; i++)
        sum += x[i] < 0 ? -(double)x[i] : (double)x[i];
    return sum;
}

static inline double bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static inline int bench_threads(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--threads") == 0)
            return atoi(argv[i + 1]);
    return 1;
}

static inline const bench_workload *bench_find(const bench_workload *table, int n,
                                               const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

/* Answers standard input until it ends; one workload is set up at a time. */
static inline int bench_serve(const bench_workload *table, int n, int threads)
{
    const bench_workload *now = NULL;
    void *state = NULL;
    double check = 0;
    char line[256], name[128];
    while (fgets(line, sizeof line, stdin)) {
        long reps = 1;
        if (sscanf(line, "%127s %ld", name, &reps) < 1)
            continue;
        if (strcmp(name, "list") == 0) {
            for (int i = 0; i < n; i++)
                printf("%s%c", table[i].name, i + 1 < n ? ' ' : '\n');
            fflush(stdout);
            continue;
        }
        const bench_workload *wanted = bench_find(table, n, name);
        if (wanted && (wanted != now || !state)) {
            if (state)
                now->free(state);
            now = wanted;
            state = now->make(now->arg, threads, &check);
            for (int i = 0; state && i < 2; i++)
                now->run(state);
        }
        if (!wanted || !state) {
            printf("%s -\n", name);
            fflush(stdout);
            continue;
        }
        double start = bench_seconds();
        for (long i = 0; i < reps; i++)
            now->run(state);
        printf("%s %ld %.9f %.9g\n", name, reps, bench_seconds() - start, check);
        fflush(stdout);
    }
    if (state)
        now->free(state);
    return 0;
}

#endif
