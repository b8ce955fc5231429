/* What kernels of opaque operations share. */
#include "opaque.h"
#include "ops.h"

#include <string.h>

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

_Static_assert(CR_MAX_FETCH * 8 <= CR__ROOM_BYTES,
               "a room holds what is fetched at once");

cr__strided cr__array_strided(const cr_array *x)
{
    const cr__fetched *f = x->source;
    cr__strided s = { .data = f ? (void *)(uintptr_t)f->data : x->data,
                      .ndim = x->dims.n };
    memcpy(s.dims, x->dims.v, sizeof s.dims);
    memcpy(s.strides, x->strides, sizeof s.strides);
    return s;
}

/* How many elements element i lies behind the first. */
static int64_t element_offset(const cr_array *x, int64_t i)
{
    int64_t offset = 0;
    for (int d = x->dims.n - 1; d >= 0; d--) {
        offset += i % x->dims.v[d] * x->strides[d];
        i /= x->dims.v[d];
    }
    return offset;
}

const void *cr_array_fetch(const cr_array *x, int64_t start, int64_t n, int worker)
{
    const cr__fetched *f = x ? x->source : NULL;
    if (!f || n < 1 || n > CR_MAX_FETCH || start < 0 || start > x->numel - n ||
        worker < 0 || worker >= cr__team_size(f->team))
        return NULL;
    int64_t size = (int64_t)cr_dtype_size(x->dtype);
    void *room = cr__team_room(f->team, worker, f->room);
    if (f->make) {
        f->make(f->arg, room, start, n, worker);
        return room;
    }
    if (f->run >= x->numel)
        return (const char *)f->data + start * size;
    if (start % f->run + n <= f->run)
        return (const char *)f->data + element_offset(x, start) * size;
    cr__strided s = cr__array_strided(x);
    cr__copy_range(room, &s, (size_t)size, start, n);
    return room;
}

void cr__copy_input(const cr_kernel *kernel, int input)
{
    const cr_array *x = &kernel->in[input];
    cr__strided from = cr__array_strided(x);
    if (from.data != kernel->out.data && x->numel > 0)
        cr__copy_strided(kernel->out.data, &from, cr_dtype_size(x->dtype),
                         kernel->workers);
}

typedef struct store_job {
    const cr_array *x;
    const cr__strided *to;
    int64_t chunks;
} store_job;

static void store_chunk(void *arg, int64_t chunk, int worker)
{
    const store_job *job = arg;
    const cr_array *x = job->x;
    const cr__fetched *fetched = x->source;
    size_t size = cr_dtype_size(x->dtype);
    int64_t begin, end, n;
    cr__part(x->numel, CR_MAX_FETCH, chunk, job->chunks, &begin, &end);
    if (fetched->run >= x->numel) {
        cr__store_range(job->to, (const char *)fetched->data + begin * (int64_t)size,
                        size, begin, end - begin);
        return;
    }
    for (int64_t at = begin; at < end; at += n) {
        n = end - at < CR_MAX_FETCH ? end - at : CR_MAX_FETCH;
        cr__store_range(job->to, cr_array_fetch(x, at, n, worker), size, at, n);
    }
}

void cr__store_input(const cr_kernel *kernel, int input, const cr__strided *to)
{
    const cr_array *x = &kernel->in[input];
    store_job job = { .x = x, .to = to };
    job.chunks =
        cr__kernel_chunks(kernel, x->numel / 2, (x->numel - 1) / CR_MAX_FETCH + 1);
    cr_kernel_chunks(kernel, job.chunks, store_chunk, &job);
}

cr__layout cr__whole_result(const cr_kernel *kernel)
{
    cr__layout whole = { .ndim = kernel->out.dims.n };
    int64_t stride = 1;
    for (int i = whole.ndim - 1; i >= 0; i--) {
        whole.dims[i] = kernel->out.dims.v[i];
        whole.strides[i] = stride;
        stride *= whole.dims[i];
    }
    return whole;
}

void cr__replace_part(const cr_kernel *kernel, const cr__layout *part)
{
    size_t size = cr_dtype_size(kernel->out.dtype);
    cr__strided to = { .data = (char *)kernel->out.data + part->offset * (int64_t)size,
                       .ndim = part->ndim };
    memcpy(to.dims, part->dims, sizeof to.dims);
    memcpy(to.strides, part->strides, sizeof to.strides);
    cr__copy_input(kernel, 0);
    if (kernel->in[1].numel > 0)
        cr__store_input(kernel, 1, &to);
}

cr_status cr__fits_part(cr_infer *infer, const char *what, cr_dims part)
{
    if (infer->in_dtype[0] != infer->in_dtype[1])
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                           "x is %s, src %s", cr_dtype_name(infer->in_dtype[0]),
                           cr_dtype_name(infer->in_dtype[1]));
    if (cr__dims_equal(part, infer->in_dims[1]))
        return CR_OK;
    return cr__op_fail(
        infer->ctx, infer->op, CR_ERR_SHAPE, NULL, "src is %s, %s of %s is %s",
        cr__dims_text(infer->ctx, infer->in_dims[1]), what,
        cr__dims_text(infer->ctx, infer->in_dims[0]), cr__dims_text(infer->ctx, part));
}

/* Whether one of n elements is neither in 0..size-1 nor *except. */
#define ANY_OUTSIDE(P, T)                                                   \
    static bool P##_any_outside(const void *data, int64_t n, uint64_t size, \
                                const int64_t *except)                      \
    {                                                                       \
        const T *x = data;                                                  \
        int any = 0;                                                        \
        if (except)                                                         \
            for (int64_t i = 0; i < n; i++)                                 \
                any |= ((uint64_t)x[i] >= size) & (x[i] != *except);        \
        else                                                                \
            for (int64_t i = 0; i < n; i++)                                 \
                any |= (uint64_t)x[i] >= size;                              \
        return any;                                                         \
    }
ANY_OUTSIDE(i64, int64_t)
ANY_OUTSIDE(i32, int32_t)
ANY_OUTSIDE(u8, uint8_t)

int64_t cr__index_outside(const cr_array *index, int64_t size, const int64_t *except,
                          int64_t *found)
{
    cr_array part = *index;
    for (int64_t at = 0, n; at < index->numel; at += n) {
        n = index->numel - at < CR_MAX_FETCH ? index->numel - at : CR_MAX_FETCH;
        part.data = (void *)(uintptr_t)cr_array_fetch(index, at, n, 0);
        if (!(index->dtype == CR_I64 ? i64_any_outside
              : index->dtype == CR_I32
                  ? i32_any_outside
                  : u8_any_outside)(part.data, n, (uint64_t)size, except))
            continue;
        for (int64_t i = 0; i < n; i++) {
            *found = cr__index_load(&part, i);
            if ((uint64_t)*found >= (uint64_t)size && !(except && *found == *except))
                return at + i;
        }
    }
    return -1;
}

int64_t cr__kernel_chunks(const cr_kernel *kernel, int64_t work, int64_t grains)
{
    return kernel->workers ? cr__chunks((double)work, grains, kernel->workers) : 1;
}

cr__lines cr__lines_along(cr_dims dims, int64_t dim)
{
    cr__lines lines = { 1, dims.n ? dims.v[dim] : 1, 1 };
    for (int d = 0; d < dims.n; d++)
        if (d < dim)
            lines.outer *= dims.v[d];
        else if (d > dim)
            lines.inner *= dims.v[d];
    return lines;
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
