/* What kernels of opaque operations share. */
#include "opaque.h"
#include "ops.h"

void cr_kernel_chunks(const cr_kernel *kernel, int64_t n,
                      void (*body)(void *arg, int64_t chunk, int worker), void *arg)
{
    if (!kernel || !body)
        return;
    if (kernel->workers)
        cr__parallel(kernel->workers, n, body, arg);
    else
        for (int64_t chunk = 0; chunk < n; chunk++)
            body(arg, chunk, 0);
}

/* A body that needs no worker. */
typedef struct plain_body {
    void (*body)(void *arg, int i);
    void *arg;
} plain_body;

static void run_plain(void *arg, int64_t chunk, int worker)
{
    const plain_body *plain = arg;
    (void)worker;
    plain->body(plain->arg, (int)chunk);
}

void cr_kernel_parallel(const cr_kernel *kernel, int n, void (*body)(void *arg, int i),
                        void *arg)
{
    if (body)
        cr_kernel_chunks(kernel, n, run_plain, &(plain_body){ body, arg });
}

int64_t cr__kernel_chunks(const cr_kernel *kernel, int64_t work, int64_t grains)
{
    return kernel->workers ? cr__chunks((double)work, grains, kernel->workers) : 1;
}

bool cr__index_dtype(cr_infer *infer, int input)
{
    if (cr__is_int(infer->in_dtype[input]))
        return true;
    cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                "indices are i64, i32 or u8, not %s",
                cr_dtype_name(infer->in_dtype[input]));
    return false;
}

const char *cr__place_text(const cr_array *x, int64_t i, char *text, size_t capacity)
{
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int d = x->dims.n - 1; d >= 0; d--) {
        at[d] = i % x->dims.v[d];
        i /= x->dims.v[d];
    }
    int length = snprintf(text, capacity, "[");
    for (int d = 0; d < x->dims.n && (size_t)length < capacity; d++)
        length += snprintf(text + length, capacity - (size_t)length, "%s%lld",
                           d ? ", " : "", (long long)at[d]);
    if ((size_t)length < capacity)
        snprintf(text + length, capacity - (size_t)length, "]");
    return text;
}
