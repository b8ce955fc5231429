/* scaling [MAX]: what a node of the scalar chain costs as the graph grows, from a thousand to
 * MAX (default a million) operations, each step being recorded, differentiated, computed and
 * released. Nanoseconds for each recorded node (of the backward pass: for each node that it
 * records), with their ratios to the smallest chain: medians over the steps behind the second,
 * the least of a few rounds over all sizes. And how often a step from the second on asked the
 * allocator for memory, the most of any. */
#include "protocol.h"

#include <chainrule.h>

enum { PHASES = 5, MAX_STEPS = 101, ROUNDS = 4, SIZES = 6 };

static const char *const phases[PHASES] = { "record", "backward", "run", "free", "all" };

static void *counted_alloc(void *user, size_t bytes)
{
    ++*(long *)user;
    return malloc(bytes);
}

static void counted_free(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

/* One step; when each phase ended. */
static void step(cr_ctx *ctx, cr_tensor *x, long n, double *ends)
{
    cr_scope_push(ctx);
    cr_tensor *y = x;
    cr_zero_grad(x);
    for (long i = 0; i < n / 2; i++)
        y = cr_mul(cr_sin(y), 1.01);
    ends[0] = bench_seconds();
    cr_backward(y);
    ends[1] = bench_seconds();
    cr_eval(y, cr_grad(x));
    ends[2] = bench_seconds();
    cr_scope_pop(ctx);
    ends[3] = bench_seconds();
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What is known of one size: the least medians in ns a node, the most allocations of a step. */
typedef struct row {
    long n, allocations;
    double ns[PHASES];
} row;

/* False after an error. */
static bool measure(row *r)
{
    static double seconds[PHASES][MAX_STEPS];
    const double per[PHASES] = { 1, 1.5, 2.5, 2.5,
                                 2.5 }; /* nodes, of each that is recorded */
    long count = 0, n = r->n, steps = 5000000 / n;
    steps = steps > MAX_STEPS ? MAX_STEPS : steps < 5 ? 5 : steps;
    cr_options options = {
        .threads = 1, .alloc = counted_alloc, .free = counted_free, .memory_user = &count
    };
    cr_ctx *ctx = cr_open(&options);
    cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 0.5));
    for (long s = -2; s < steps; s++) {
        long before = count;
        double ends[PHASES], begin = bench_seconds();
        step(ctx, x, n, ends);
        if (s >= -1 && count - before > r->allocations)
            r->allocations = count - before;
        for (int p = 0; p < PHASES && s >= 0; p++)
            seconds[p][s] = p + 1 == PHASES ? ends[p - 1] - begin
                                            : ends[p] - (p ? ends[p - 1] : begin);
    }
    for (int p = 0; p < PHASES; p++) {
        qsort(seconds[p], (size_t)steps, sizeof(double), ascending);
        double ns = seconds[p][steps / 2] * 1e9 / (per[p] * (double)n);
        r->ns[p] = r->ns[p] > 0 && r->ns[p] < ns ? r->ns[p] : ns;
    }
    bool good = !cr_error(ctx);
    if (!good)
        fprintf(stderr, "scaling: %s\n", cr_message(ctx));
    cr_close(ctx);
    return good;
}

static void print(const row *r, const row *first)
{
    printf("%9ld", r->n);
    for (int p = 0; p < PHASES; p++)
        printf("%8.1f ns (%4.2f)", r->ns[p], r->ns[p] / first->ns[p]);
    printf("%13ld\n", r->allocations);
}

int main(int argc, char **argv)
{
    long most = argc > 1 ? atol(argv[1]) : 1000000;
    row rows[SIZES] = { { .n = 1000 } };
    int sizes = 1;
    bool good = true;
    for (long n = 10000; n <= most && sizes < SIZES; n *= 10)
        rows[sizes++].n = n;
    for (int i = 0; i < ROUNDS * sizes && good; i++)
        good = measure(&rows[i % sizes]);
    printf("%9s", "nodes");
    for (int p = 0; p < PHASES; p++)
        printf("%18s", phases[p]);
    printf("%13s\n", "allocations");
    for (int i = 0; i < sizes && good; i++)
        print(&rows[i], &rows[0]);
    return !good;
}
