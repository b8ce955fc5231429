/* Copies between contiguous and strided memory. Elements are moved as bytes of size 1, 2, 4
 * or 8; this file knows no types. */
#include "kernel.h"
#include <string.h>

/* A strided array with its dims of size 1 dropped and the others merged where one stride
 * spans the next dim. ndim >= 1. */
typedef struct view {
    char *data;
    int ndim;
    int64_t dims[CR_MAX_DIMS], strides[CR_MAX_DIMS];
} view;

int cr__merge_dims(const int64_t *dims, const int64_t *strides, int n, int64_t *to_dims,
                   int64_t *to_strides)
{
    int count = 0;
    for (int d = 0; d < n; d++) {
        if (dims[d] == 1)
            continue;
        int last = count - 1;
        if (last >= 0 && to_strides[last] == strides[d] * dims[d]) {
            to_dims[last] *= dims[d];
            to_strides[last] = strides[d];
        } else {
            to_dims[count] = dims[d];
            to_strides[count++] = strides[d];
        }
    }
    return count;
}

static view merged(const cr__strided *x)
{
    view v = { .data = x->data };
    v.ndim = cr__merge_dims(x->dims, x->strides, x->ndim, v.dims, v.strides);
    if (v.ndim == 0)
        v.dims[0] = 1, v.strides[0] = 1, v.ndim = 1;
    return v;
}

/* As memcpy. Of what is written a processor fetches little by itself, and slower if it is asked to
 * fetch for writing. */
#define LINE        64
#define PIECE       256
#define BYTES_AHEAD 4096
static void move(char *to, const char *from, int64_t bytes)
{
    int64_t piece = PIECE;
    CR__STEADY(piece); /* a call: what compilers make of a few bytes begins slowly */
    for (; bytes >= piece; bytes -= piece, to += piece, from += piece) {
        for (int64_t i = 0; i < PIECE; i += LINE)
            __builtin_prefetch(to + BYTES_AHEAD + i);
        memcpy(to, from, (size_t)piece);
    }
    CR__STEADY(bytes);
    memcpy(to, from, (size_t)bytes);
}

/* n elements between flat (contiguous) and side (one every stride elements). The four
 * sizes are the same loop over another type; memcpy is how one element is moved without a
 * claim on its type. */
#define RUN(T)                                                \
    for (int64_t i = 0; i < n; i++)                           \
        if (store)                                            \
            memcpy(side + i * stride * (int64_t)sizeof(T),    \
                   flat + i * (int64_t)sizeof(T), sizeof(T)); \
        else                                                  \
            memcpy(flat + i * (int64_t)sizeof(T),             \
                   side + i * stride * (int64_t)sizeof(T), sizeof(T))

static void strided_run(char *flat, char *side, int64_t stride, size_t size, int64_t n,
                        bool store)
{
    if (size == 4)
        RUN(uint32_t);
    else if (size == 8)
        RUN(uint64_t);
    else if (size == 2)
        RUN(uint16_t);
    else
        RUN(uint8_t);
}

/* What is repeated is a few lines: while larger pieces of powers of two are stored, the next ones
 * are read as far behind multiples of 4 KiB, where processors take one for the other. */
#define REPEATED_BYTES 256

/* The first `have` bytes of p, repeated up to `bytes`. */
static void repeat(char *p, int64_t have, int64_t bytes)
{
    for (int64_t unit = have, more; have < bytes; have += more) {
        unit = have <= REPEATED_BYTES ? have : unit;
        more = unit < bytes - have ? unit : bytes - have;
        move(p + have, p, more);
    }
}

/* An element, n times. */
static void fill_run(char *p, const char *element, int64_t size, int64_t n)
{
    if (memcmp(element, element + 1, (size_t)size - 1) == 0) {
        memset(p, *element, (size_t)(n * size));
        return;
    }
    memcpy(p, element, (size_t)size);
    repeat(p, size, n * size);
}

/* From here on it pays to copy an element by doubling. */
#define LONG_ROW 64

static void run(char *flat, char *side, int64_t stride, size_t size, int64_t n,
                bool store)
{
    if (n <= 0)
        return;
    if (stride == 1) {
        if (store)
            move(side, flat, n * (int64_t)size);
        else
            move(flat, side, n * (int64_t)size);
    } else if (stride == 0 && !store && n >= LONG_ROW) {
        fill_run(flat, side, (int64_t)size, n);
    } else {
        strided_run(flat, side, stride, size, n, store);
    }
}

/* Whole rows of a matrix whose columns are contiguous in side (stride 1 from row to row),
 * in squares that pass through the stack: so each line of side is touched once, also
 * where its neighbours compete for one set of the cache. */
#define SQUARE 16
static void transposed(char *flat, char *side, int64_t stride, size_t size, int64_t rows,
                       int64_t cols, bool store)
{
    CR__ALIGNED(64) char square[SQUARE * SQUARE * 8];
    int64_t bytes = (int64_t)size;
    for (int64_t r = 0; r < rows; r += SQUARE) {
        int64_t rn = rows - r < SQUARE ? rows - r : SQUARE;
        for (int64_t c = 0; c < cols; c += SQUARE) {
            int64_t cn = cols - c < SQUARE ? cols - c : SQUARE;
            char *at = flat + (r * cols + c) * bytes,
                 *from = side + (r + c * stride) * bytes;
            for (int64_t i = 0; i < rn && store; i++)
                memcpy(square + i * SQUARE * bytes, at + i * cols * bytes,
                       (size_t)(cn * bytes));
            for (int64_t j = 0; j < cn; j++)
                strided_run(from + j * stride * bytes, square + j * bytes, SQUARE, size,
                            rn, !store);
            for (int64_t i = 0; i < rn && !store; i++)
                memcpy(at + i * cols * bytes, square + i * SQUARE * bytes,
                       (size_t)(cn * bytes));
        }
    }
}

/* rows consecutive whole rows: of the innermost dim, or of the two innermost from their
 * start. */
static void whole_rows(char *flat, char *side, const view *v, size_t size, int64_t rows,
                       bool store)
{
    int last = v->ndim - 1;
    int64_t cols = v->dims[last], step = v->ndim > 1 ? v->strides[last - 1] : 0;
    int64_t bytes = (int64_t)size;
    const bool repeats = v->strides[last] == 0 && !store;
    if (step == 0 && !store) {
        run(flat, side, v->strides[last], size, cols, false);
        repeat(flat, cols * bytes, rows * cols * bytes);
    } else if (step == 1 && v->strides[last] != 1 && rows > 1 && !repeats) {
        transposed(flat, side, v->strides[last], size, rows, cols, store);
    } else {
        for (int64_t r = 0; r < rows; r++)
            run(flat + r * cols * bytes, side + r * step * bytes, v->strides[last], size,
                cols, store);
    }
}

static void range(char *flat, const view *v, size_t size, int64_t start, int64_t count,
                  bool store)
{
    int64_t bytes = (int64_t)size, index[CR_MAX_DIMS], offset = 0, rest = start;
    int last = v->ndim - 1;
    if (count <= 0)
        return;
    if (last == 0) {
        run(flat, v->data + start * v->strides[0] * bytes, v->strides[0], size, count,
            store);
        return;
    }
    for (int d = last; d >= 0; d--) {
        index[d] = rest % v->dims[d];
        rest /= v->dims[d];
        offset += index[d] * v->strides[d];
    }
    while (count > 0) {
        /* To the end of the row, or as many whole rows as the range and the next dim
         * have. */
        int64_t cols = v->dims[last], rows = 0, n = cols - index[last];
        char *side = v->data + offset * bytes;
        if (index[last] == 0 && count >= cols) {
            rows = v->dims[last - 1] - index[last - 1];
            rows = rows < count / cols ? rows : count / cols;
            whole_rows(flat, side, v, size, rows, store);
            n = rows * cols;
            index[last - 1] += rows;
            offset += rows * v->strides[last - 1];
        } else {
            n = n < count ? n : count;
            run(flat, side, v->strides[last], size, n, store);
            offset -= index[last] * v->strides[last];
            index[last] = 0;
            index[last - 1]++;
            offset += v->strides[last - 1];
        }
        flat += n * bytes;
        count -= n;
        for (int d = last - 1; d > 0 && index[d] == v->dims[d]; d--) {
            offset += v->strides[d - 1] - index[d] * v->strides[d];
            index[d] = 0;
            index[d - 1]++;
        }
    }
}

void cr__copy_range(void *dst, const cr__strided *src, size_t size, int64_t start,
                    int64_t count)
{
    view v = merged(src);
    range(dst, &v, size, start, count, false);
}

void cr__store_range(const cr__strided *dst, const void *src, size_t size, int64_t start,
                     int64_t count)
{
    view v = merged(dst);
    range((char *)(uintptr_t)src, &v, size, start, count, true);
}

/* ---- on all threads ---- */

typedef struct copy_job {
    view v;
    char *flat;
    size_t size;
    int64_t count, grain, chunks;
    bool store;
} copy_job;

static void copy_chunk(void *arg, int64_t chunk, int worker)
{
    const copy_job *job = arg;
    int64_t begin, end;
    (void)worker;
    cr__part(job->count, job->grain, chunk, job->chunks, &begin, &end);
    range(job->flat + begin * (int64_t)job->size, &job->v, job->size, begin, end - begin,
          job->store);
}

static void copy_all(void *flat, const cr__strided *side, size_t size, bool store,
                     cr__team *team)
{
    copy_job job = { merged(side), flat, size, 1, 1, 1, store };
    for (int d = 0; d < job.v.ndim; d++)
        job.count *= job.v.dims[d];
    job.grain = job.v.dims[job.v.ndim - 1];
    if (job.v.ndim > 1 && job.v.strides[job.v.ndim - 2] == 1)
        job.grain *= SQUARE;
    if (job.grain < 64 || job.v.ndim == 1)
        job.grain = 64;
    /* Nanoseconds of an element: of one that is moved alone, of neighbours in a row. */
    int last = job.v.ndim - 1;
    double each = job.v.strides[last] & ~1
                      ? 1
                      : 0.1 * (double)size + 4.0 / (double)job.v.dims[last];
    job.chunks =
        cr__chunks((double)job.count * each, (job.count - 1) / job.grain + 1, team);
    cr__parallel(team, job.chunks, copy_chunk, &job);
}

void cr__copy_strided(void *dst, const cr__strided *src, size_t size, cr__team *team)
{
    copy_all(dst, src, size, false, team);
}

void cr__store_strided(const cr__strided *dst, const void *src, size_t size,
                       cr__team *team)
{
    copy_all((void *)(uintptr_t)src, dst, size, true, team);
}
