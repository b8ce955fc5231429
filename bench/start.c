/* start [RUNS] PROGRAM [ARGUMENTS]: median and worst time from fork to exit of RUNS
 * (default 50) runs of a program, and the most memory that one of them had resident. */
#define _DEFAULT_SOURCE /* wait4 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_RUNS = 10000 };

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Seconds of one run, its output thrown away; below 0 if it failed. */
static double run(char **argv, long *kib)
{
    struct rusage usage;
    int status = 1;
    double start = seconds();
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (null >= 0)
            dup2(null, STDOUT_FILENO);
        execvp(argv[0], argv);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child || status != 0)
        return -1;
    if (usage.ru_maxrss > *kib)
        *kib = usage.ru_maxrss;
    return seconds() - start;
}

int main(int argc, char **argv)
{
    static double times[MAX_RUNS];
    int first = 1, runs = 50;
    long kib = 0;
    if (argc > 1 && atoi(argv[1]) > 0)
        runs = atoi(argv[first++]);
    if (argc <= first || runs > MAX_RUNS) {
        fprintf(stderr, "usage: start [RUNS] PROGRAM [ARGUMENTS]\n");
        return 2;
    }
    for (int i = 0; i < runs; i++) {
        times[i] = run(argv + first, &kib);
        if (times[i] < 0) {
            fprintf(stderr, "start: %s failed\n", argv[first]);
            return 1;
        }
    }
    qsort(times, (size_t)runs, sizeof times[0], ascending);
    printf("%s: median %.2f ms, worst %.2f ms of %d runs, %.1f MiB\n", argv[first],
           times[runs / 2] * 1e3, times[runs - 1] * 1e3, runs, (double)kib / 1024);
    return 0;
}
