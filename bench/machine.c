/* What this machine can do, with so many threads, at its best of some rounds: bench/results.py
 * measures the workloads' limits by it.
 *
 *     machine --threads N        prints: GFLOP/s GB/s */
#include "protocol.h"

#include "limits.h"

enum { ROUNDS = 10 };

int main(int argc, char **argv)
{
    bench_limits most = { 0, 0 };
    for (int i = 0; i < ROUNDS; i++) {
        const bench_limits now = measure_limits(bench_threads(argc, argv));
        most.flops = now.flops > most.flops ? now.flops : most.flops;
        most.bandwidth = now.bandwidth > most.bandwidth ? now.bandwidth : most.bandwidth;
    }
    printf("%.1f %.1f\n", most.flops, most.bandwidth);
    return most.flops > 0 && most.bandwidth > 0 ? 0 : 1;
}
