/* gemm [--threads N] [--dtype f64] [NAME]: matrix products of f32, or of that type, through the
 * public interface, recording and scheduling included, as a share of what this core's multiply-add
 * units can do in f32, which is measured before and after every shape, because clocks change. With
 * N threads it is the share of N such cores. */
#include "protocol.h" /* first: it asks for POSIX clocks */

#include "limits.h"

typedef struct shape {
    const char *name;
    int batch, m, n, k;
    bool ta, tb; /* stored the other way round */
} shape;

static const shape shapes[] = {
    { "1024 NN", 1, 1024, 1024, 1024, false, false },
    { "1024 NT", 1, 1024, 1024, 1024, false, true },
    { "1024 TN", 1, 1024, 1024, 1024, true, false },
    { "mlp NN", 1, 128, 512, 784, false, false },
    { "mlp NT", 1, 128, 512, 784, false, true },
    { "mlp TN", 1, 128, 512, 784, true, false },
    { "weight gradient TN", 1, 512, 784, 128, true, false },
    { "input gradient NN", 1, 128, 784, 512, false, false },
    { "hidden layer NT", 1, 128, 512, 512, false, true },
    { "wide NN", 1, 64, 3136, 576, false, false },
    { "wide NT", 1, 64, 3136, 576, false, true },
    { "deep NN", 1, 768, 384, 1536, false, false },
    { "skinny NN", 1, 4096, 64, 64, false, false },
    { "64 NN", 1, 64, 64, 64, false, false },
    { "64 NT", 1, 64, 64, 64, false, true },
    { "256 of 64 NN", 256, 64, 64, 64, false, false },
    { "8x64x64 NN", 1, 8, 64, 64, false, false },
    { "8x64x64 NT", 1, 8, 64, 64, false, true },
    { "32x64x32 NN", 1, 32, 64, 32, false, false },
    { "10 classes NT", 1, 128, 10, 512, false, true },
    { "2x2x2 NN", 1, 2, 2, 2, false, false },
    { "vector 4096 NT", 1, 1, 4096, 4096, false, true },
    { "vector 4096 NN", 1, 1, 4096, 4096, false, false },
    { "vector 784 NT", 1, 1, 512, 784, false, true },
    { "vector 512 NT", 1, 1, 512, 512, false, true },
};

enum { SAMPLES = 21 };

/* ---- a product ---- */

typedef struct problem {
    cr_ctx *ctx;
    cr_tensor *a, *b;
} problem;

static cr_tensor *matrix(cr_ctx *ctx, cr_dtype dtype, uint32_t seed, int batch, int rows,
                         int columns, bool transposed)
{
    const int64_t n = (int64_t)batch * rows * columns;
    float *values = malloc((size_t)n * sizeof *values);
    if (!values)
        return NULL;
    bench_fill(values, n, seed, 1);
    int r = transposed ? columns : rows, c = transposed ? rows : columns;
    cr_tensor *x = batch > 1 ? cr_from(ctx, CR_F32, CR_DIMS(batch, r, c), values)
                             : cr_from(ctx, CR_F32, CR_DIMS(r, c), values);
    free(values);
    x = cr_cast(x, dtype);
    cr_eval(x);
    return transposed ? cr_t(x) : x;
}

static void run(const problem *p, long times)
{
    for (long i = 0; i < times; i++) {
        CR_SCOPE(p->ctx);
        CR_NO_GRAD(p->ctx);
        cr_eval(cr_matmul(p->a, p->b));
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const shape *s, const problem *p, int threads)
{
    const double operations = 2.0 * s->batch * s->m * s->n * s->k;
    const long times = 1 + (long)(2e-3 / (operations / 2e11 + 5e-7));
    double seconds[SAMPLES], peak = measure_limits(1).flops;
    run(p, 2);
    for (int i = 0; i < SAMPLES; i++) {
        double start = bench_seconds();
        run(p, times);
        seconds[i] = (bench_seconds() - start) / (double)times;
    }
    qsort(seconds, SAMPLES, sizeof *seconds, ascending);
    peak = (peak + measure_limits(1).flops) / 2;
    double time = seconds[SAMPLES / 2];
    printf("%-20s %5d %5d %5d %12.2f us %8.1f GFLOP/s", s->name, s->m, s->n, s->k,
           time * 1e6, operations / time * 1e-9);
    if (peak > 0)
        printf(" %6.1f%%", 100e-9 * operations / time / (peak * threads));
    printf("\n");
    fflush(stdout);
}

static cr_dtype wanted_dtype(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i++)
        for (cr_dtype d = CR_F32; strcmp(argv[i], "--dtype") == 0 && d < CR_DTYPES; d++)
            if (strcmp(argv[i + 1], cr_dtype_name(d)) == 0)
                return d;
    return CR_F32;
}

int main(int argc, char **argv)
{
    int threads = bench_threads(argc, argv);
    const cr_dtype dtype = wanted_dtype(argc, argv);
    const char *only = argc % 2 == 0 ? argv[argc - 1] : NULL;
    printf("# %s of %s, %d threads; a core's peak is %.0f GFLOP/s\n", cr_isa(),
           cr_dtype_name(dtype), threads, measure_limits(1).flops);
    printf("# %-18s %5s %5s %5s\n", "", "m", "n", "k");
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const shape *s = &shapes[i];
        if (only && !strstr(s->name, only))
            continue;
        problem p = { .ctx = cr_open(&(cr_options){ .threads = threads }) };
        if (!p.ctx)
            return 1;
        p.a = matrix(p.ctx, dtype, 0, s->batch, s->m, s->k, s->ta);
        p.b = matrix(p.ctx, dtype, 1, s->batch, s->k, s->n, s->tb);
        measure(s, &p, threads);
        if (cr_error(p.ctx)) {
            fprintf(stderr, "%s\n", cr_message(p.ctx));
            return 1;
        }
        cr_close(p.ctx);
    }
    return 0;
}
