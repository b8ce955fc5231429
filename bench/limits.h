/* What the machine can do at most, with so many threads: multiply-adds in registers, memory gone
 * through in order. The library measures that when a profile begins, and says it in the table. */
#ifndef BENCH_LIMITS_H
#define BENCH_LIMITS_H

#include <chainrule.h>
#include <stdio.h>
#include <string.h>

/* GFLOP/s and GB/s, of bytes read and bytes written. */
typedef struct bench_limits {
    double flops, bandwidth;
} bench_limits;

/* 0 where it cannot be measured. */
static inline bench_limits measure_limits(int threads)
{
    bench_limits limits = { 0, 0 };
    char text[400] = "";
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = threads });
    cr_profile_start(ctx);
    cr_profile_format(ctx, text, sizeof text);
    cr_close(ctx);
    const char *line = strstr(text, "limit: ");
    if (!line ||
        sscanf(line, "limit: %lf GFLOP/s and %lf", &limits.flops, &limits.bandwidth) != 2)
        limits = (bench_limits){ 0, 0 };
    return limits;
}

#endif
