/* What this machine can do, on so many cores at once: multiply-adds in registers, and copying
 * between arrays that no cache holds, bytes read and bytes written counted. What bench/results.py
 * measures the workloads' limits by.
 *
 *     machine --threads N        prints: GFLOP/s GB/s */
#include "protocol.h"

#include "peak.h"

#include <pthread.h>

enum { MOST = 64, ROUNDS = 5 };

typedef struct core {
    pthread_t thread;
    pthread_barrier_t *start;
    bool copies;
    double work, seconds; /* of its best round */
} core;

static double add_up(void)
{
    return peak_steps(20000000);
}

static double copy(char *to, const char *from, size_t bytes)
{
    memcpy(to, from, bytes);
    result = to[bytes / 2];
    return 2.0 * (double)bytes;
}

static void *work_hard(void *arg)
{
    core *c = arg;
    const size_t bytes = c->copies ? (size_t)96 << 20 : 1;
    char *from = malloc(bytes), *to = malloc(bytes);
    if (!from || !to)
        exit(1);
    memset(from, 1, bytes);
    memset(to, 1, bytes);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_barrier_wait(c->start);
        double begin = bench_seconds(), work = 0;
        for (int k = 0; k < 4; k++)
            work += c->copies ? copy(to, from, bytes) : add_up();
        double seconds = bench_seconds() - begin;
        if (c->seconds == 0 || work / seconds > c->work / c->seconds)
            c->work = work, c->seconds = seconds;
    }
    free(from);
    free(to);
    return NULL;
}

/* Of all cores together, a second. */
static double rate(int threads, bool copies)
{
    core cores[MOST];
    pthread_barrier_t start;
    double sum = 0;
    pthread_barrier_init(&start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        cores[i] = (core){ .start = &start, .copies = copies };
        if (pthread_create(&cores[i].thread, NULL, work_hard, &cores[i]))
            exit(1);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(cores[i].thread, NULL);
        sum += cores[i].work / cores[i].seconds;
    }
    pthread_barrier_destroy(&start);
    return sum;
}

int main(int argc, char **argv)
{
    int threads = bench_threads(argc, argv);
    threads = threads < 1 ? 1 : threads > MOST ? MOST : threads;
    printf("%.1f %.1f\n", rate(threads, false) * 1e-9, rate(threads, true) * 1e-9);
    return 0;
}
