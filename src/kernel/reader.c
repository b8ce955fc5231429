/* Runs of elements of matrices that are no plain arrays (reader.h). */
#include "reader.h"
#include <string.h>

/* Beyond every index and stride. */
#define FAR ((int64_t)1 << 61)

/* A strided array is an image of one dim without bounds. */
static void init_strided(cr__matrix *x, const cr__reader *reader)
{
    x->ndim = 1;
    x->count[CR__ROWS][0] = x->count[CR__COLUMNS][0] = FAR;
    x->step[CR__ROWS][0] = reader->row;
    x->step[CR__COLUMNS][0] = reader->col;
    x->low[0] = -FAR, x->high[0] = FAR;
    x->memory[0] = x->size;
    x->along = reader->col == 1 || reader->row != 1 ? CR__COLUMNS : CR__ROWS;
}

static void init_image(cr__matrix *x, const cr__reader *reader)
{
    const cr__image *image = reader->image;
    const int last = image->ndim - 1;
    x->ndim = image->ndim;
    for (int d = 0; d < image->ndim; d++) {
        const cr__image_dim *dim = &image->dims[d];
        x->count[CR__ROWS][d] = dim->rows, x->step[CR__ROWS][d] = dim->row_step;
        x->count[CR__COLUMNS][d] = dim->cols, x->step[CR__COLUMNS][d] = dim->col_step;
        x->high[d] = dim->size;
        x->origin[d] = -dim->padding;
        x->memory[d] = dim->stride * x->size;
    }
    x->along = image->dims[last].rows >= image->dims[last].cols ? CR__ROWS : CR__COLUMNS;
}

void cr__matrix_init(cr__matrix *x, const cr__reader *reader)
{
    *x = (cr__matrix){ .data = reader->data,
                       .size = (int64_t)cr_dtype_size(reader->dtype) };
    if (reader->image) {
        x->outer[CR__ROWS] = reader->row * x->size;
        x->outer[CR__COLUMNS] = reader->col * x->size;
        init_image(x, reader);
    } else {
        init_strided(x, reader);
    }
}

/* ---- runs ---- */

/* The indices by dim, the outermost in *outer, of index i of a side. */
static void decode(const cr__matrix *x, int side, int64_t i, int64_t *index,
                   int64_t *outer)
{
    for (int d = x->ndim - 1; d >= 0; d--) {
        index[d] = i % x->count[side][d];
        i /= x->count[side][d];
    }
    *outer = i;
}

/* To the next line, of a side: its index in the last dim is 0. */
static void next_line(const cr__matrix *x, int side, int64_t *index, int64_t *outer)
{
    int d = x->ndim - 2;
    for (; d >= 0 && ++index[d] == x->count[side][d]; d--)
        index[d] = 0;
    index[x->ndim - 1] = 0;
    *outer += d < 0;
}

int64_t cr__runs_open(cr__runs *r, const cr__matrix *x, int side, int64_t from,
                      int64_t count, int64_t other)
{
    const int last = x->ndim - 1;
    int64_t index[CR__IMAGE_DIMS], outer, done = 0;
    r->x = x, r->side = side, r->pieces = 0;
    decode(x, side, from, index, &outer);
    while (done < count && r->pieces < CR__PIECES) {
        cr__piece *p = &r->piece[r->pieces++];
        const int64_t left = x->count[side][last] - index[last];
        p->at = done, p->n = left < count - done ? left : count - done;
        p->offset = outer * x->outer[side];
        for (int d = 0; d <= last; d++)
            p->u[d] = index[d] * x->step[side][d] + x->origin[d];
        done += p->n;
        next_line(x, side, index, &outer);
    }
    decode(x, !side, other, r->index, &outer);
    r->offset = outer * x->outer[!side];
    for (int d = 0; d <= last; d++)
        r->u[d] = r->index[d] * x->step[!side][d];
    return done;
}

/* The other side's next index. */
static inline void advance(cr__runs *r)
{
    const cr__matrix *x = r->x;
    for (int d = x->ndim - 1; d >= 0; d--) {
        r->u[d] += x->step[!r->side][d];
        if (++r->index[d] < x->count[!r->side][d])
            return;
        r->index[d] = 0, r->u[d] = 0;
    }
    r->offset += x->outer[!r->side];
}

#define BLOCK 16 /* bytes that are copied at once */

static inline void copy_block(char *to, const char *from)
{
    char block[BLOCK];
    memcpy(block, from, BLOCK);
    memcpy(to, block, BLOCK);
}

/* Exactly so many bytes; the last block overlaps the one before. */
static inline void copy(char *to, const char *from, int64_t bytes)
{
    if (bytes < BLOCK) {
        for (; bytes >= 4; bytes -= 4, to += 4, from += 4)
            memcpy(to, from, 4);
        if (bytes)
            memcpy(to, from, 2);
        return;
    }
    for (int64_t i = 0; i + BLOCK <= bytes; i += BLOCK)
        copy_block(to + i, from + i);
    copy_block(to + bytes - BLOCK, from + bytes - BLOCK);
}

static inline void clear(char *to, int64_t bytes)
{
    static const char zeros[BLOCK];
    if (bytes < BLOCK) {
        for (; bytes >= 4; bytes -= 4, to += 4)
            memcpy(to, zeros, 4);
        if (bytes)
            memcpy(to, zeros, 2);
        return;
    }
    for (int64_t i = 0; i + BLOCK <= bytes; i += BLOCK)
        copy_block(to + i, zeros);
    copy_block(to + bytes - BLOCK, zeros);
}

/* n elements `step` bytes apart. */
#define GATHERED(T)                                           \
    for (int64_t i = 0; i < n; i++, from += step, to += size) \
        memcpy(to, from, sizeof(T));
static void gather_run(char *to, const char *from, int64_t size, int64_t n, int64_t step)
{
    if (size == 4) {
        GATHERED(uint32_t)
    } else if (size == 8) {
        GATHERED(uint64_t)
    } else {
        GATHERED(uint16_t)
    }
}

/* Of the places 0..n-1 of a line, u0 + place * step, those with a coordinate from low to
 * high - 1: *lo..*hi - 1. */
static inline void inside(int64_t low, int64_t high, int64_t u, int64_t n, int64_t step,
                          int64_t *lo, int64_t *hi)
{
    int64_t first = 0, end = n;
    if (step == 1) {
        first = low - u, end = high - u;
    } else if (step > 0) {
        first = u < low ? (low - u + step - 1) / step : 0;
        end = u < high ? (high - u + step - 1) / step : 0;
    } else if (step < 0) {
        first = u >= high ? (u - high - step) / -step : 0;
        end = u >= low ? (u - low - step) / -step : 0;
    } else if (u < low || u >= high) {
        end = 0;
    }
    *lo = first < 0 ? 0 : first > n ? n : first;
    *hi = end > n ? n : end < *lo ? *lo : end;
}

/* Whether the line is there that the piece lies on; its place is added to *from. */
static inline bool on_line(const cr__runs *r, const cr__piece *p, const char **from)
{
    const cr__matrix *x = r->x;
    for (int d = 0; d < x->ndim - 1; d++) {
        int64_t u = p->u[d] + r->u[d];
        if (u < x->low[d] || u >= x->high[d])
            return false;
        *from += u * x->memory[d];
    }
    return true;
}

static inline void read_piece(const cr__runs *r, const cr__piece *p, char *to)
{
    const cr__matrix *x = r->x;
    const int last = x->ndim - 1;
    const int64_t size = x->size, step = x->step[r->side][last],
                  u = p->u[last] + r->u[last];
    const char *from = x->data + p->offset + r->offset;
    int64_t lo = 0, hi = 0;
    to += p->at * size;
    if (on_line(r, p, &from))
        inside(x->low[last], x->high[last], u, p->n, step, &lo, &hi);
    if (step * x->memory[last] == size) {
        if (lo > 0)
            clear(to, lo * size);
        if (lo < hi)
            copy(to + lo * size, from + (u + lo * step) * x->memory[last],
                 (hi - lo) * size);
        if (hi < p->n)
            clear(to + hi * size, (p->n - hi) * size);
        return;
    }
    if (lo > 0 || hi < p->n)
        clear(to, p->n * size);
    if (lo < hi)
        gather_run(to + lo * size, from + (u + lo * step) * x->memory[last], size,
                   hi - lo, step * x->memory[last]);
}

void cr__runs_next(cr__runs *r, void *to)
{
    for (int i = 0; i < r->pieces; i++)
        read_piece(r, &r->piece[i], to);
    advance(r);
}
