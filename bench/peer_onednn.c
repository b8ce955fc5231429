/* oneDNN as a peer: the matrix products of peers/WORKLOADS.md through its matmul
 * primitive (C interface of version 2). Its threads are OpenMP's, which takes their
 * number from OMP_NUM_THREADS; compare.py sets it. */
#include "protocol.h"

#include <dnnl.h>

typedef struct product {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t description;
    dnnl_primitive_t matmul;
    dnnl_memory_t memory[3];
    float *data[3]; /* a, b, c */
} product;

static void product_free(void *state)
{
    product *p = state;
    if (p->matmul)
        dnnl_primitive_destroy(p->matmul);
    if (p->description)
        dnnl_primitive_desc_destroy(p->description);
    for (int i = 0; i < 3; i++) {
        if (p->memory[i])
            dnnl_memory_destroy(p->memory[i]);
        free(p->data[i]);
    }
    if (p->stream)
        dnnl_stream_destroy(p->stream);
    if (p->engine)
        dnnl_engine_destroy(p->engine);
    free(p);
}

/* A batch of [rows, columns], stored the other way round if turned. */
static bool describe(dnnl_memory_desc_t *d, int batch, int rows, int columns, bool turned)
{
    dnnl_dims_t dims = { batch, rows, columns };
    dnnl_dims_t strides = { (dnnl_dim_t)rows * columns, turned ? 1 : columns,
                            turned ? rows : 1 };
    return dnnl_memory_desc_init_by_strides(d, 3, dims, dnnl_f32, strides) ==
           dnnl_success;
}

static bool product_open(product *p, const bench_gemm *g)
{
    dnnl_memory_desc_t d[3];
    dnnl_matmul_desc_t matmul;
    bool ok = dnnl_engine_create(&p->engine, dnnl_cpu, 0) == dnnl_success &&
              dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags) ==
                  dnnl_success &&
              describe(&d[0], g->batch, g->m, g->k, g->ta) &&
              describe(&d[1], g->batch, g->k, g->n, g->tb) &&
              describe(&d[2], g->batch, g->m, g->n, false) &&
              dnnl_matmul_desc_init(&matmul, &d[0], &d[1], NULL, &d[2]) == dnnl_success &&
              dnnl_primitive_desc_create(&p->description, &matmul, NULL, p->engine,
                                         NULL) == dnnl_success &&
              dnnl_primitive_create(&p->matmul, p->description) == dnnl_success;
    for (int i = 0; ok && i < 3; i++)
        ok = dnnl_memory_create(&p->memory[i], &d[i], p->engine, p->data[i]) ==
             dnnl_success;
    return ok;
}

static void product_run(void *state)
{
    const product *p = state;
    const dnnl_exec_arg_t arguments[] = { { DNNL_ARG_SRC, p->memory[0] },
                                          { DNNL_ARG_WEIGHTS, p->memory[1] },
                                          { DNNL_ARG_DST, p->memory[2] } };
    dnnl_primitive_execute(p->matmul, p->stream, 3, arguments);
    dnnl_stream_wait(p->stream);
}

static void *product_make(const void *arg, int threads, double *check)
{
    (void)threads;
    const bench_gemm *g = arg;
    const int64_t numel[] = { (int64_t)g->batch * g->m * g->k,
                              (int64_t)g->batch * g->k * g->n,
                              (int64_t)g->batch * g->m * g->n };
    product *p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    for (int i = 0; i < 3; i++)
        p->data[i] = bench_filled(numel[i], (uint32_t)i, 1);
    if (!p->data[0] || !p->data[1] || !p->data[2] || !product_open(p, g)) {
        product_free(p);
        return NULL;
    }
    product_run(p);
    *check = bench_abs_sum(p->data[2], numel[2]);
    return p;
}

#define GEMM(i) BENCH_GEMM_ROW(i, product_make, product_run, product_free)

int main(int argc, char **argv)
{
    const bench_workload table[] = { GEMM(0), GEMM(1), GEMM(2), GEMM(3),
                                     GEMM(4), GEMM(5), GEMM(6) };
    return bench_serve(table, BENCH_GEMMS, bench_threads(argc, argv));
}
