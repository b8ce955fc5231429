/* chain_memory [LENGTH]: what a long chain of recorded operations on a scalar costs, in
 * bytes per operation and in time, with value and gradient computed. Memory is all that
 * the context asked the system for, whatever for. */
#include "protocol.h"

#include <chainrule.h>

typedef struct meter {
    size_t now, peak;
} meter;

static void *metered_alloc(void *user, size_t bytes)
{
    meter *m = user;
    m->now += bytes;
    if (m->now > m->peak)
        m->peak = m->now;
    return malloc(bytes);
}

static void metered_free(void *user, void *memory, size_t bytes)
{
    meter *m = user;
    m->now -= bytes;
    free(memory);
}

int main(int argc, char **argv)
{
    long n = argc > 1 ? atol(argv[1]) : 1000000;
    meter m = { 0, 0 };
    cr_options options = {
        .threads = 1, .alloc = metered_alloc, .free = metered_free, .memory_user = &m
    };
    cr_ctx *ctx = cr_open(&options);
    if (!ctx || n < 1)
        return 1;
    size_t before = m.now;
    double t0 = bench_seconds();
    cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 0.5));
    cr_tensor *y = x;
    for (long i = 0; i < n; i++)
        y = cr_sin(y);
    size_t recorded = m.now;
    double t1 = bench_seconds();
    cr_backward(y);
    double value = cr_item(y), grad = cr_item(cr_grad(x));
    double t2 = bench_seconds();
    if (cr_error(ctx))
        fprintf(stderr, "chain_memory: %s\n", cr_message(ctx));
    bool ok = !cr_error(ctx);
    cr_close(ctx);
    double per = (double)n;
    printf("chain of %ld: %.0f bytes an operation recorded, %.0f at the peak, value and "
           "gradient "
           "included\n",
           n, (double)(recorded - before) / per, (double)(m.peak - before) / per);
    printf("record %.0f ns, backward and run %.0f ns, free %.0f ns an operation; value "
           "%.6g, "
           "gradient %.6g\n",
           (t1 - t0) * 1e9 / per, (t2 - t1) * 1e9 / per,
           (bench_seconds() - t2) * 1e9 / per, value, grad);
    return ok && m.now == 0 ? 0 : 1;
}
