/* OpenBLAS as a peer: the matrix products of peers/WORKLOADS.md through cblas. */
#include "protocol.h"

#include <cblas.h>

typedef struct product {
    const bench_gemm *g;
    float *a, *b, *c;
} product;

static void product_free(void *state)
{
    product *p = state;
    free(p->a);
    free(p->b);
    free(p->c);
    free(p);
}

static void product_run(void *state)
{
    const product *p = state;
    const bench_gemm *g = p->g;
    if (g->m == 1) {
        cblas_sgemv(CblasRowMajor, CblasNoTrans, g->n, g->k, 1, p->b, g->k, p->a, 1, 0,
                    p->c, 1);
        return;
    }
    for (size_t i = 0; i < (size_t)g->batch; i++)
        cblas_sgemm(CblasRowMajor, g->ta ? CblasTrans : CblasNoTrans,
                    g->tb ? CblasTrans : CblasNoTrans, g->m, g->n, g->k, 1,
                    p->a + i * (size_t)(g->m * g->k), g->ta ? g->m : g->k,
                    p->b + i * (size_t)(g->k * g->n), g->tb ? g->k : g->n, 0,
                    p->c + i * (size_t)(g->m * g->n), g->n);
}

static void *product_make(const void *arg, int threads, double *check)
{
    const bench_gemm *g = arg;
    product *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    openblas_set_num_threads(threads);
    p->g = g;
    p->a = bench_filled((int64_t)g->batch * g->m * g->k, 0, 1);
    p->b = bench_filled((int64_t)g->batch * g->k * g->n, 1, 1);
    p->c = bench_filled((int64_t)g->batch * g->m * g->n, 2, 1);
    if (!p->a || !p->b || !p->c) {
        product_free(p);
        return NULL;
    }
    product_run(p);
    *check = bench_abs_sum(p->c, (int64_t)g->batch * g->m * g->n);
    return p;
}

#define GEMM(i) BENCH_GEMM_ROW(i, product_make, product_run, product_free)

int main(int argc, char **argv)
{
    const bench_workload table[] = { GEMM(0), GEMM(1), GEMM(2), GEMM(3),
                                     GEMM(4), GEMM(5), GEMM(6) };
    return bench_serve(table, BENCH_GEMMS, bench_threads(argc, argv));
}
