/* Matrix products in the order of sums that kernel.h defines, whatever the strides, the
 * threads and the instruction set. The arithmetic is in gemm_body.h, and in gemv_body.h
 * where a matrix is a single row or column; this file decides how a job is cut and what
 * is packed. */
#include "band.h"
#include "rows.h"
#include <string.h>

/* ---- what the templates are given; strides are in bytes ---- */

/* A worker's scratch memory: two packed slivers of b, and packed rows of a. Lines of a
 * sliver have two vectors. */
#define SLIVER_LINE  128
#define SLIVER_BYTES (CR__GEMM_BLOCK * SLIVER_LINE)
#define PANEL_BYTES  ((int64_t)CR__SCRATCH_BYTES - 2 * SLIVER_BYTES)
/* Rows of a over a block of k, 512 KiB of f32, stay in the second level cache while the
 * slivers of b pass. */
#define PANEL_ROWS 512
/* Operands of less than this are thought to be in the second level cache; lines so far
 * apart share their place in the first. */
#define CACHE_BYTES (1 << 20)
#define PAGE        4096
#define WAYS        8
#define FAR_BYTES   (4 << 20) /* no cache has kept them */
/* Fewer make no tiles that would pack half a sliver of b. */
#define DRIP_ROWS 56
/* A block of a vector, in order. */
#define BLOCK_BYTES (CR__BLOCK * 8)
/* Subtrees of block results: more than 2^48 elements there are not. */
#define STACK_LEVELS 37

/* Memory that is to be fetched: too much of it would not stay. */
typedef struct span {
    const char *at;
    int64_t bytes;
} span;
#define SPAN_BYTES (CACHE_BYTES / 4)

/* The lines of k in which a tile's rows are not all 0. */
typedef struct kept_lines {
    int16_t from, to; /* to < 0: nobody has looked */
} kept_lines;
#define MOST_TILES (PANEL_ROWS / 4)

typedef struct tile {
    const char *a, *b;
    char *c;
    int64_t a_row, a_col, b_row, c_row;
    int64_t k;         /* at most a block */
    int64_t rest;      /* columns in the last vector */
    bool add;          /* to what c holds */
    bool odd;          /* the last row is the one before it once more, and not written */
    int zeros;         /* of a, that may be left out: LEAVE_NONE, .. */
    kept_lines *found; /* of each tile two vectors wide, for all slivers */
    const struct product *of; /* whose follower's streams are to be fetched, or NULL: */
    int64_t row, column;      /* from here on */
    span ahead[2];            /* where a is not packed: what will be wanted */
    const char *fetch;        /* a line of it with each of k, so far apart */
    int64_t fetch_step;
    /* Only where a is packed: lines of the next sliver to be fetched, or columns to be
     * packed, if drip_to is not NULL. */
    const char *next;
    char *drip_to;
    int64_t next_line, next_lane, next_lines;
} tile;
typedef void tile_fn(const tile *);

/* Lines of k in which all of a tile's rows are 0, as in triangular and masked matrices, may be left
 * out if that changes no bit: b is finite, and the sum that has begun is not -0, which it could be
 * where products have vanished. Not of panels so low that looking at b is not soon made up for,
 * nor a smaller share than one in so many. */
enum { LEAVE_NONE, LEAVE_UNKNOWN, LEAVE_FIRST, LEAVE_BOTH };
#define LEAVE_ROWS  64
#define LEAVE_SHARE 16

/* What is to be packed: `lines` of `lanes` elements, to lines that are `pitch` elements
 * apart. Of a line, `readable` elements exist. */
typedef struct pack {
    const char *from;
    int64_t lines, lanes, line_step, lane_step, readable, pitch;
} pack;

/* What of a matrix is to be read that is no plain array. */
typedef struct region {
    int64_t line, lines, lane, lanes;
} region;

typedef struct operand {
    cr__matrix matrix;
    const cr__half *half; /* elements are bf16 or f16, else NULL */
    bool strided;         /* no image */
    bool plain;           /* strided, of the kernel's type: only scaled */
    double scale;
} operand;

/* What one thread owns of one product. */
typedef struct product {
    const char *a, *b;
    char *c;
    const operand *a_read, *b_read; /* instead of a or b, if that is no plain array */
    const char *packed;             /* instead of b: its slivers, or NULL */
    int64_t packed_line;            /* of all of them */
    int64_t row, column; /* the first row of a_read; column of b_read or packed */
    int64_t m, n, k;
    int64_t a_row, a_col, b_row, b_col, c_row;
    int64_t panels, sliver; /* panels of rows; columns of a sliver */
    bool pack_a, pack_b;
    bool copy_a;          /* packed as it lies */
    const cr__half *half; /* c is bf16 or f16, else NULL */
    const cr__places *places;
    const cr__band *band; /* of b_read's columns, to be filled at band_at; or NULL */
    char *band_at;
    const cr__follower *then; /* or NULL */
    int64_t start, step;      /* the result's element that c is; those of its rows */
    int64_t held; /* batches before this one that `then` has not been told of */
    bool holds;   /* nor will it be of this one alone */
    bool adds;    /* to what c holds */
    bool vector;  /* the order is that of reductions */
    bool scaled;
    double scales[2]; /* of the result, one after the other */
    char *scratch;
    span ahead[2]; /* a and b of the next batch */
} product;

/* The tile's part of the streams, so many rows. */
static void fetch_streams(tile *t, int64_t rows, int64_t columns)
{
    const product *p = t->of;
    const int64_t start = p->start + t->row * p->step + t->column;
    for (int s = 0; s < p->then->n_streams; s++) {
        const int64_t size = p->then->sizes[s];
        const char *line = p->then->streams[s] + start * size;
        for (int64_t r = 0; r < rows; r++, line += p->step * size)
            for (int64_t at = 0; at < columns * size; at += 64)
                __builtin_prefetch(line + at, 0, 2);
    }
    t->row += rows;
}

/* All of a matrix, if it has no gaps. */
static span span_of(const char *at, int64_t rows, int64_t cols, int64_t row, int64_t col,
                    int64_t size)
{
    const int64_t bytes = rows * cols * size;
    const bool whole =
        (col == size && row == cols * size) || (row == size && col == rows * size);
    return (span){ at, whole && bytes <= SPAN_BYTES ? bytes : 0 };
}

/* With its part of what is ahead. Between the arithmetic, a prefetch for each of k is not felt; at
 * once they would be. */
CR__NOINLINE static void run_tile(tile_fn *fn, tile *t)
{
    span *s = &t->ahead[t->ahead[0].bytes <= 0];
    t->fetch = t->b, t->fetch_step = 0;
    if (s->bytes > 0) {
        t->fetch = s->at, t->fetch_step = 64;
        s->at += 64 * t->k, s->bytes -= 64 * t->k;
    }
    fn(t);
}

/* A sliver in a block of k in a panel of rows. They are worked off in this order, slivers
 * innermost; behind the last, lines is 0. */
typedef struct place {
    int64_t panel, i, rows, k, lines, j;
} place;

/* In place: what was just written in parts is not to be copied, which would wait for all stores before
 * it, a product's too. */
CR__INLINE place place_at(const product *p, int64_t panel, int64_t k, int64_t j)
{
    place at = { .panel = panel, .k = k, .j = j };
    if (panel == p->panels)
        return at;
    at.rows = p->m;
    if (p->panels > 1) {
        at.i = p->m * panel / p->panels;
        at.rows = p->m * (panel + 1) / p->panels - at.i;
    }
    at.lines = p->k - k < CR__GEMM_BLOCK ? p->k - k : CR__GEMM_BLOCK;
    return at;
}

static inline place first_place(const product *p)
{
    return place_at(p, 0, 0, 0);
}

static inline place next_place(const product *p, const place *at)
{
    place next = *at;
    next.j += p->sliver;
    if (next.j < p->n)
        return next;
    const bool deeper = at->k + CR__GEMM_BLOCK < p->k;
    return place_at(p, at->panel + (!deeper && at->lines > 0),
                    deeper ? at->k + CR__GEMM_BLOCK : 0, 0);
}

static pack sliver_at(const product *p, const place *at, int64_t pitch)
{
    int64_t lanes = p->n - at->j < p->sliver ? p->n - at->j : p->sliver;
    const char *from = p->packed ? p->packed + at->k * p->packed_line +
                                       (p->column + at->j) * p->b_col * at->lines
                                 : p->b + at->k * p->b_row + at->j * p->b_col;
    return (pack){ .from = from,
                   .lines = at->lines,
                   .lanes = lanes,
                   .line_step = p->b_row,
                   .lane_step = p->b_col,
                   .readable = lanes,
                   .pitch = pitch };
}

/* Rows cut into tiles: even numbers, but for the last one's; they differ by two at most,
 * because a smaller last one would waste more. */
typedef struct tiling {
    int64_t tiles, least, larger, odd; /* pairs: `larger` tiles have one more */
} tiling;

static tiling cut_rows(int64_t rows, int64_t most)
{
    const int64_t pairs = (rows + 1) / 2;
    if (rows <= most)
        return (tiling){ 1, pairs, 0, rows % 2 };
    const int64_t tiles = (rows + most - 1) / most, least = pairs / tiles;
    return (tiling){ tiles, least, pairs - least * tiles, rows % 2 };
}

static inline int64_t rows_of(const tiling *c, int64_t i)
{
    return 2 * (c->least + (i < c->larger)) - (i == c->tiles - 1 ? c->odd : 0);
}

/* out[o] = sum over k of x and row o of the matrix. */
typedef struct gemv {
    const char *x, *matrix;
    const operand *x_read,
        *matrix_read; /* instead of them, if they are no plain arrays */
    int side;         /* of x and of outputs: CR__ROWS or CR__COLUMNS */
    int64_t first;    /* output, in matrix_read */
    char *out;
    int64_t outputs, k;
    int64_t x_step, out_step, k_step;
    char *scratch;
    bool is_far; /* the matrix is read from memory, row by row */
} gemv;

/* Memory gives one stream a third more than four: so the rows of a matrix of so many bytes are read
 * one by one, if they have so many elements or up to twice as many. The vector stays in the first
 * level cache then. */
#define FAR_MATRIX (8 << 20)
#define FAR_ROW    1024

/* Lists of tiles: X(rows, V). */
#define ROWS_2_4(X, V)  X(2, V) X(4, V)
#define ROWS_2_6(X, V)  ROWS_2_4(X, V) X(6, V)
#define ROWS_2_8(X, V)  ROWS_2_6(X, V) X(8, V)
#define ROWS_2_14(X, V) ROWS_2_8(X, V) X(10, V) X(12, V) X(14, V)
#define ROWS_3_5(X, V)  X(3, V) X(5, V)
#define ROWS_3_7(X, V)  ROWS_3_5(X, V) X(7, V)

#define CR__TEMPLATE "gemm_floats.h"
#include "for_each_set.h"

typedef struct gemm_kernel {
    int64_t size, lanes; /* of an element; elements in a vector */
    bool packs;          /* whether packing rows may pay */
    int64_t tile_rows, tile_bytes;
    void (*product)(const product *);
    void (*vector)(const gemv *);
    void (*finish)(const product *);
    cr__strips strips;
} gemm_kernel;
#define KERNEL(S, P, SIZE)                                                   \
    {                                                                        \
        SIZE, P##_gemm_lanes##S, P##_gemm_packs##S, P##_gemm_tile_rows##S,   \
            P##_gemm_tile_bytes##S, P##_gemm_product##S, P##_gemm_vector##S, \
            P##_gemm_finish##S,                                              \
        {                                                                    \
            2 * P##_gemm_lanes##S, P##_gemm_strip##S, P##_gemm_pack_strip##S \
        }                                                                    \
    }
#define KERNELS(S)                           \
    {                                        \
        KERNEL(S, f32, 4), KERNEL(S, f64, 8) \
    }
static const gemm_kernel kernels[CR__ISAS][2] = { CR__EACH_SET(KERNELS) };

/* ---- a job and its parts ---- */

/* That on a vector waits for memory. */
#define FLOPS_PER_NS        100
#define VECTOR_FLOPS_PER_NS 50

typedef struct plan {
    const gemm_kernel *kernel;
    int64_t c_size; /* of an element of c */
    product whole;  /* of the first batch */
    operand a, b;   /* of it, where whole.a_read or b_read point to them */
    int64_t batches;
    int batch_ndim;
    int64_t batch_dims[CR_MAX_DIMS], a_batch[CR_MAX_DIMS], b_batch[CR_MAX_DIMS],
        c_batch[CR_MAX_DIMS];
    int64_t parts;    /* some batches, or, if down > 0, a rectangle of every one's */
    int down, across; /* result: one of down * across */
    int64_t together; /* batches that make one panel */
    cr__team *team;
} plan;

/* Whether a dim with stride `outer` continues one of n with stride *inner. */
static bool continues(int64_t outer, int64_t n, int64_t *inner)
{
    if (n == 1)
        *inner = outer;
    return outer == n * *inner;
}

/* Copies the batch dims. The innermost, where only a has them and they continue its rows,
 * are more rows: but one row alone has an order of sums of its own. Likewise columns,
 * which c allows under a single row. The rows of patches of an image are its own, and so are
 * columns that have places. */
static void plan_batches(plan *p, const cr__gemm_job *job, int64_t a_size, int64_t b_size)
{
    product *w = &p->whole;
    bool inner = !job->places;
    int64_t pitch = job->m * job->n;
    p->batches = 1, p->batch_ndim = 0;
    for (int i = job->batch_ndim - 1; i >= 0; i--) {
        int64_t d = job->batch_dims[i], a = job->a_batch[i] * a_size,
                b = job->b_batch[i] * b_size,
                c = job->places ? job->places->batch[i] : pitch;
        pitch *= d;
        if (d == 1)
            continue;
        if (inner && b == 0 && !job->a.image && !(w->vector && w->n > 1) &&
            continues(a, w->m, &w->a_row)) {
            w->m *= d;
        } else if (inner && a == 0 && !job->b.image && w->m == 1 &&
                   continues(b, w->n, &w->b_col)) {
            w->n *= d;
        } else {
            inner = false;
            p->batches *= d;
            p->batch_dims[p->batch_ndim] = d;
            p->a_batch[p->batch_ndim] = a;
            p->c_batch[p->batch_ndim] = c;
            p->b_batch[p->batch_ndim++] = b;
        }
    }
}

/* What is no plain array must be packed, and b where its rows are not contiguous. Packing a
 * costs little where it serves many slivers; it pays where its columns are contiguous, and
 * where the operands exceed the second level cache: packed tiles fetch, and drip, if they are
 * enough. Then also b is packed if its rows are pages apart. Of two slivers it pays if a is large, of all
 * batches together, and a tile's columns share places in the first level cache: each tile would read
 * its lines of memory again. What is only to be scaled is copied as it lies, if nothing else is to
 * be said for another order; so are rows that are only to be widened. */
static void plan_packing(plan *p)
{
    product *w = &p->whole;
    const int64_t size = p->kernel->size,
                  a_size = w->a_read ? w->a_read->matrix.size : size;
    const bool widened = w->a_read && w->a_read->strided && w->a_read->half &&
                         w->a_col == a_size; /* row by row */
    const int64_t bytes = (w->m * w->k + w->k * w->n + w->m * w->n) * size;
    w->pack_b = w->b_read || w->b_col != size;
    w->pack_a =
        p->kernel->packs && !widened &&
        (w->n >= 256 ? (bytes > CACHE_BYTES && !(w->pack_b && w->m < DRIP_ROWS)) ||
                           w->a_row % PAGE == 0 || w->a_col != size
         : w->n >= 128
             ? w->a_col != size
             : w->n > w->sliver && w->a_row == size && w->a_col % (PAGE / 4) == 0 &&
                   p->batches * w->k * w->a_col >= FAR_BYTES);
    if (w->pack_a && w->m >= 96 && w->b_row % PAGE == 0)
        w->pack_b = true;
    w->copy_a = widened || (!w->pack_a && w->a_read && w->a_read->plain &&
                            (w->a_row == size || w->a_col == size));
    w->pack_a = w->pack_a || w->a_read;
}

/* The reader with strides in bytes as they became; NULL if it needs nothing but them. */
static const operand *plan_operand(cr__isa isa, const cr__reader *reader, int64_t row,
                                   int64_t col, operand *o)
{
    cr__reader whole = *reader;
    o->half = cr__is_half(reader->dtype) ? cr__half_find_for(isa, reader->dtype) : NULL;
    if (!reader->image && !reader->exponent && !o->half)
        return NULL;
    if (!reader->image) {
        const int64_t size = (int64_t)cr_dtype_size(reader->dtype);
        whole.row = row / size, whole.col = col / size;
    }
    cr__matrix_init(&o->matrix, &whole);
    o->strided = !reader->image;
    o->plain = o->strided && !o->half;
    o->scale = ldexp(1, reader->exponent);
    return o;
}

/* What the result is multiplied by: doubles, of which two may be needed. */
static void plan_scales(product *w, const cr__gemm_job *job)
{
    const int all = -(job->a.exponent + job->b.exponent), most = 1000;
    const int first = all < -most ? -most : all;
    w->scaled = all != 0;
    if (w->scaled)
        w->scales[0] = ldexp(1, first), w->scales[1] = ldexp(1, all - first);
}

/* Columns are cut at multiples of this. */
static int64_t grain_of(const plan *p, int across)
{
    const product *w = &p->whole;
    const int64_t lanes = p->kernel->lanes;
    if (w->vector)
        return w->n < 64 * across ? 4 : 16;
    return w->n < 8 * lanes * across && !w->packed ? lanes : 2 * lanes;
}

/* Work of one part, in rows * columns; reading the operands counts as some more, packing them as
 * twice that, and so does writing into the same lines of memory as another part. */
static double cost(const plan *p, int down, int across)
{
    const product *w = &p->whole;
    int64_t rows = (w->m + down - 1) / down, grain = grain_of(p, across);
    int64_t grains = (w->n + grain - 1) / grain;
    double columns = (double)((grains + across - 1) / across * grain);
    double per_row = across > 1 && w->c_row % 64 ? 20 : w->pack_a ? 8 : 4;
    return (double)rows * columns + per_row * (double)rows +
           (w->pack_b ? 8 : 4) * columns;
}

/* How many threads, and the parts that they take: some batches, or rectangles, one for each. */
static void plan_parts(plan *p)
{
    const product *w = &p->whole;
    const double outputs = (double)p->batches * (double)w->m * (double)w->n;
    const double flops =
        outputs * (2 * (double)w->k + (w->then ? w->then->cost * FLOPS_PER_NS : 0));
    const double nanoseconds = flops / (w->vector ? VECTOR_FLOPS_PER_NS : FLOPS_PER_NS);
    const int threads = cr__threads_for(nanoseconds, p->team);
    double least = (double)((p->batches + threads - 1) / threads) * cost(p, 1, 1);
    p->down = 0, p->across = 0;
    for (int down = 1; threads > 1 && down <= threads; down++) {
        double all = (double)p->batches * cost(p, down, threads / down);
        if (threads % down == 0 && all < least)
            least = all, p->down = down, p->across = threads / down;
    }
    p->parts = p->down ? threads : cr__chunks_for(threads, nanoseconds, p->batches);
}

/* A c that is not as it is computed, of bf16 or f16 or with places, and one that somebody
 * wants while it is in the second level cache, is computed in rectangles: where nothing else
 * holds it, at the end of the scratch memory. Panels are smaller then. */
#define ASIDE_ROWS    128
#define PLACED_ROWS   112
#define ASIDE_LINE    2048 /* bytes of a row */
#define STORED_LINE   4096 /* of a row that is in memory anyway */
#define ASIDE_BYTES   (ASIDE_ROWS * ASIDE_LINE)
#define ASIDE_OUTPUTS 8192 /* of a vector */
/* Of small products as many as make so much. */
#define TOGETHER_BYTES (64 << 10)
_Static_assert(2 * SLIVER_BYTES + CR__PANEL_SCRATCH + ASIDE_BYTES <= CR__SCRATCH_BYTES,
               "who follows has the place of packed rows");

static void multiply(const plan *p, const product *part)
{
    const product *w = &p->whole;
    if (!w->vector) {
        p->kernel->product(part);
    } else {
        gemv g = { .x = part->a,
                   .matrix = part->b,
                   .x_read = part->a_read,
                   .matrix_read = part->b_read,
                   .side = CR__COLUMNS,
                   .first = part->column,
                   .out = part->c,
                   .outputs = part->n,
                   .k = part->k,
                   .x_step = part->a_col,
                   .out_step = part->b_col,
                   .k_step = part->b_row,
                   .scratch = part->scratch,
                   .is_far = w->k / FAR_ROW == 1 &&
                             w->m * w->n > FAR_MATRIX / p->kernel->size / w->k };
        if (w->n == 1) {
            g.x = part->b, g.matrix = part->a, g.outputs = part->m;
            g.x_read = part->b_read, g.matrix_read = part->a_read;
            g.side = CR__ROWS, g.first = part->row;
            g.x_step = part->b_row, g.out_step = part->a_row, g.k_step = part->a_col;
        }
        p->kernel->vector(&g);
    }
    if (part->scaled)
        p->kernel->finish(part);
}

/* A rectangle of c, the first of its rows, and what is there: f32 to be rounded, or elements. */
typedef struct rectangle {
    const char *from;
    char *to;
    int64_t rows, column, columns, pitch; /* from one row to the next, in bytes */
} rectangle;

static void round_rectangle(const product *part, const rectangle *r)
{
    const bool whole = r->columns * 2 == part->c_row;
    const int64_t lines = whole ? 1 : r->rows;
    for (int64_t i = 0; i < lines; i++)
        part->half->narrow((uint16_t *)(void *)(r->to + i * part->c_row + r->column * 2),
                           (const float *)(const void *)(r->from + i * r->pitch),
                           r->rows / lines * r->columns);
}

/* n elements, one behind the other or `step` bytes apart. */
static void place_run(char *to, const char *from, int64_t n, int64_t step, int64_t size)
{
    if (step == size)
        memcpy(to, from, (size_t)(n * size));
    else if (size == 4)
        for (int64_t i = 0; i < n; i++)
            memcpy(to + i * step, from + i * size, 4);
    else
        for (int64_t i = 0; i < n; i++)
            memcpy(to + i * step, from + i * size, (size_t)size);
}

/* Columns to their places, a run of neighbours of all rows after another. */
static void place_rectangle(const plan *p, const product *part, const rectangle *r)
{
    const cr__places *to = part->places;
    const int last = to->ndim - 1;
    uint16_t halves[ASIDE_LINE / 4];
    for (int64_t done = 0, n = 0; done < r->columns; done += n) {
        int64_t index = r->column + done, offset = 0;
        for (int d = last; d >= 0; d--) {
            const int64_t i = index % to->dims[d];
            index /= to->dims[d];
            offset += i * to->strides[d];
            n = d == last ? to->dims[d] - i : n;
        }
        n = n < r->columns - done ? n : r->columns - done;
        char *line = r->to + (offset + index * to->outer) * p->c_size;
        const char *from = r->from + done * p->kernel->size;
        for (int64_t i = 0; i < r->rows; i++, line += part->c_row, from += r->pitch) {
            if (part->half)
                part->half->narrow(halves, (const float *)(const void *)from, n);
            place_run(line, part->half ? (const char *)halves : from, n,
                      to->strides[last] * p->c_size, p->c_size);
        }
    }
}

/* Behind the packed rows of a, where a band of b lies, below what is computed aside. */
static int64_t band_offset(const plan *p, int64_t rows)
{
    const int64_t tiles = (rows + p->kernel->tile_rows - 1) / p->kernel->tile_rows;
    return 2 * SLIVER_BYTES + tiles * p->kernel->tile_bytes;
}

/* The band of columns from j on, of fewer if that is too large; false if there is no room. */
static bool fit_band(const plan *p, const product *part, int64_t j, int64_t rows,
                     int64_t *columns, cr__band *band)
{
    const cr__matrix *x = &part->b_read->matrix;
    const int64_t size = p->kernel->size;
    const int64_t channels = cr__band_channels(x, part->k, CR__GEMM_BLOCK);
    const int64_t wanted = *columns;
    rows = rows < part->m ? rows : part->m;
    for (;; *columns = *columns / 2 / p->whole.sliver * p->whole.sliver) {
        const int64_t all = cr__band_init(band, x, part->column + j, *columns, channels);
        const int64_t room = (int64_t)CR__SCRATCH_BYTES - band_offset(p, rows) -
                             (rows * *columns * size + 63) / 64 * 64 - SLIVER_LINE;
        if (all <= room / size)
            return true;
        if (*columns < 2 * p->whole.sliver)
            break;
    }
    *columns = wanted;
    return false;
}

/* Of n the size of equal parts, multiples of grain but for the last, that have at most so many. */
static int64_t even_part(int64_t n, int64_t most, int64_t grain)
{
    const int64_t parts = (n + most - 1) / most;
    const int64_t each = ((n + parts - 1) / parts + grain - 1) / grain * grain;
    return each < most ? each : most;
}

/* The most rows and columns of a rectangle of the part. */
static void rectangle_size(const plan *p, const product *part, int64_t *rows,
                           int64_t *columns)
{
    const int64_t in_panel =
        (PANEL_BYTES - ASIDE_BYTES) / p->kernel->tile_bytes * p->kernel->tile_rows;
    const int64_t high = part->places ? PLACED_ROWS : ASIDE_ROWS;
    if (part->vector) {
        *rows = *columns = ASIDE_OUTPUTS;
        return;
    }
    *rows = even_part(part->m, in_panel < high ? in_panel : high, 2);
    const int64_t line =
        part->c && !part->half && !part->places ? STORED_LINE : ASIDE_LINE;
    *columns = even_part(part->n, line / p->kernel->size, part->sliver);
}

/* Who follows is told of a rectangle, and of batches that it has not been told of. */
static void tell(const plan *p, const product *part, const product *some)
{
    const int64_t size = p->kernel->size, before = part->held * some->m;
    const cr__panel panel = { .data = some->c - before * some->c_row,
                              .start = some->start - before * part->step,
                              .rows = before + some->m,
                              .columns = some->n,
                              .pitch = some->c_row / size,
                              .step = part->step,
                              .scratch = part->scratch + 2 * SLIVER_BYTES };
    part->then->fn(part->then->arg, &panel);
}

/* A rectangle that has been computed, rows from i on and columns from j, goes where it belongs. */
static void finish_rectangle(const plan *p, const product *part, const product *some,
                             int64_t i, int64_t j)
{
    const rectangle r = { .from = some->c,
                          .to = part->c ? part->c + i * part->c_row : NULL,
                          .rows = some->m,
                          .column = part->places ? some->column : j,
                          .columns = some->n,
                          .pitch = some->c_row };
    float *wide = (float *)(void *)some->c;
    if (part->then && part->half)
        part->half->round(wide, wide, some->m * some->n);
    if (part->places)
        place_rectangle(p, part, &r);
    else if (part->half && part->c)
        round_rectangle(part, &r);
    if (part->then && !part->holds)
        tell(p, part, some);
}

/* A part in rectangles. */
static void multiply_in_parts(const plan *p, const product *part)
{
    const int64_t size = p->kernel->size;
    const bool aside = part->half || part->places || !part->c;
    int64_t most_rows, most_columns;
    rectangle_size(p, part, &most_rows, &most_columns);
    for (int64_t j = 0, columns; j < part->n; j += columns) {
        cr__band band;
        bool banded = part->places && part->b_read && part->k;
        columns = part->n - j < most_columns ? part->n - j : most_columns;
        banded = banded && fit_band(p, part, j, most_rows, &columns, &band);
        for (int64_t i = 0, rows; i < part->m; i += rows) {
            rows = part->m - i < most_rows ? part->m - i : most_rows;
            const int64_t bytes = rows * columns * size;
            product some = *part;
            some.m = rows, some.n = columns, some.panels = 1;
            some.row += i, some.column += j;
            some.a += i * part->a_row, some.b += j * part->b_col;
            some.start += i * part->step + j;
            if (aside) {
                some.c = part->scratch + CR__SCRATCH_BYTES -
                         (p->together * bytes + 63) / 64 * 64 + part->held * bytes;
                some.c_row = columns * size;
            } else {
                some.c += i * part->c_row + j * size;
            }
            some.band = banded ? &band : NULL;
            some.band_at = part->scratch + band_offset(p, rows);
            if (part->k)
                multiply(p, &some);
            else
                for (int64_t r = 0; r < rows; r++)
                    memset(some.c + r * some.c_row, 0, (size_t)(columns * size));
            finish_rectangle(p, part, &some, i, j);
        }
    }
}

static void multiply_part(const plan *p, const product *part)
{
    if (part->half || part->places || part->then)
        multiply_in_parts(p, part);
    else
        multiply(p, part);
}

/* The part's result begins so many elements later. */
static void move_result(const plan *p, product *part, int64_t elements)
{
    part->start += elements;
    if (part->c)
        part->c += elements * p->c_size;
}

/* Where a batch is: a and b in bytes, c in elements. */
typedef struct offsets {
    int64_t a, b, c;
} offsets;

static offsets batch_at(const plan *p, int64_t batch)
{
    offsets o = { 0, 0, 0 };
    for (int i = 0; i < p->batch_ndim; i++, batch /= p->batch_dims[i - 1]) {
        const int64_t at = batch % p->batch_dims[i];
        o.a += at * p->a_batch[i];
        o.b += at * p->b_batch[i];
        o.c += at * p->c_batch[i];
    }
    return o;
}

/* The product of one batch, of the part that is this of the first one; `next` comes after it. */
static void multiply_batch(const plan *p, int64_t batch, int64_t next,
                           const product *first)
{
    const int64_t size = p->kernel->size;
    const offsets here = batch_at(p, batch), then = batch_at(p, next);
    product part = *first;
    operand a, b;
    move_result(p, &part, here.c);
    if (then.a != here.a && !part.a_read)
        part.ahead[0] =
            span_of(part.a + then.a, part.m, part.k, part.a_row, part.a_col, size);
    if (then.b != here.b && !part.b_read)
        part.ahead[1] =
            span_of(part.b + then.b, part.k, part.n, part.b_row, part.b_col, size);
    part.a += here.a, part.b += here.b;
    if (part.a_read) {
        a = p->a, a.matrix.data += here.a;
        part.a_read = &a;
    }
    if (part.b_read) {
        b = p->b, b.matrix.data += here.b;
        part.b_read = &b;
    }
    multiply_part(p, &part);
}

static void gemm_part(void *arg, int64_t i, int worker)
{
    const plan *p = arg;
    const gemm_kernel *kernel = p->kernel;
    product part = p->whole;
    int64_t begin = 0, end = p->batches, row = 0, rows = part.m, column = 0,
            columns = part.n;
    part.scratch = cr__team_scratch(p->team, worker);
    if (p->down) {
        cr__part(part.m, 2, i / p->across, p->down, &row, &rows);
        cr__part(part.n, grain_of(p, p->across), i % p->across, p->across, &column,
                 &columns);
    } else {
        cr__part(p->batches, 1, i, p->parts, &begin, &end);
    }
    part.m = rows - row, part.n = columns - column;
    const int64_t most =
        part.pack_a ? PANEL_BYTES / kernel->tile_bytes * kernel->tile_rows : PANEL_ROWS;
    part.panels = part.m <= most ? 1 : (part.m + most - 1) / most;
    part.row = row, part.column = column;
    part.a += row * part.a_row;
    part.b += column * part.b_col;
    move_result(p, &part, row * part.step + (part.places ? 0 : column));
    if (part.m == 0 || part.n == 0)
        return;
    if (p->batches == 1)
        multiply_part(p, &part);
    else
        for (int64_t batch = begin; batch < end; batch++) {
            part.held = (batch - begin) % p->together;
            part.holds = part.held + 1 < p->together && batch + 1 < end;
            multiply_batch(p, batch, batch + 1 < end ? batch + 1 : batch, &part);
        }
}

/* Small products are told of together, if threads own whole ones. */
static void plan_panels(plan *p)
{
    const product *w = &p->whole;
    const int64_t bytes = w->m * w->n * p->kernel->size;
    int64_t rows, columns;
    p->together = 1;
    if (!w->then || p->down || p->batches == 1)
        return;
    rectangle_size(p, w, &rows, &columns);
    if (rows >= w->m && columns >= w->n && bytes < TOGETHER_BYTES)
        p->together = TOGETHER_BYTES / bytes;
}

/* ---- packed once for several products ---- */

static int64_t packed_columns(const gemm_kernel *kernel, int64_t n)
{
    return (n + kernel->strips.sliver - 1) / kernel->strips.sliver *
           kernel->strips.sliver;
}

typedef struct packing {
    const gemm_kernel *kernel;
    const cr__gemm_job *job;
    char *to;
} packing;

/* Sliver i, of all lines. */
static void pack_once(void *arg, int64_t i, int worker)
{
    const packing *p = arg;
    const cr__gemm_job *job = p->job;
    const int64_t size = p->kernel->size, all = packed_columns(p->kernel, job->n);
    const int64_t j = i * p->kernel->strips.sliver;
    const int64_t lanes =
        job->n - j < p->kernel->strips.sliver ? job->n - j : p->kernel->strips.sliver;
    (void)worker;
    for (int64_t k = 0, lines; k < job->k; k += lines) {
        lines = job->k - k < CR__GEMM_BLOCK ? job->k - k : CR__GEMM_BLOCK;
        p->kernel->strips.pack(p->to + (k * all + j * lines) * size,
                               (const char *)job->b.data + (k + j * job->b.col) * size,
                               job->b.col, lines, lanes);
    }
}

size_t cr__gemm_packed_bytes(cr_dtype dtype, int64_t k, int64_t n)
{
    const gemm_kernel *kernel = &kernels[cr__isa_in_use()][dtype == CR_F64];
    return (size_t)(packed_columns(kernel, n) * k * kernel->size);
}

void cr__gemm_pack(const cr__gemm_job *job, void *to, cr__team *team)
{
    packing p = { &kernels[cr__isa_in_use()][job->dtype == CR_F64], job, to };
    cr__parallel(team, packed_columns(p.kernel, job->n) / p.kernel->strips.sliver,
                 pack_once, &p);
}

/* ---- all ---- */

/* False if nothing is left to do. */
static bool plan_product(plan *p, cr__isa isa, const cr__gemm_job *job, cr__team *team)
{
    product *w = &p->whole;
    p->kernel = &kernels[isa][job->dtype == CR_F64];
    p->team = team;
    p->c_size = (int64_t)cr_dtype_size(job->dtype);
    const int64_t a_size = (int64_t)cr_dtype_size(job->a.dtype),
                  b_size = (int64_t)cr_dtype_size(job->b.dtype);
    w->a = job->a.data, w->b = job->b.data, w->c = job->c;
    w->m = job->m, w->n = job->n, w->k = job->k;
    w->a_row = job->a.row * a_size, w->a_col = job->a.col * a_size;
    w->b_row = job->b.row * b_size, w->b_col = job->b.col * b_size;
    w->places = job->places;
    w->then = job->then;
    w->adds = job->adds;
    w->start = w->held = 0, w->holds = false;
    w->band = NULL;
    w->ahead[0] = w->ahead[1] = (span){ 0 };
    w->vector = !job->chain && (w->m == 1 || w->n == 1);
    plan_batches(p, job, a_size, b_size);
    if (w->m * w->n * p->batches == 0)
        return false;
    if (w->k == 0 && !w->places && !w->then) {
        memset(job->c, 0, (size_t)(w->m * w->n * p->batches * p->c_size));
        return false;
    }
    w->step = w->places ? w->places->row : w->n;
    w->c_row = w->step * p->c_size;
    w->half = cr__is_half(job->dtype) ? cr__half_find_for(isa, job->dtype) : NULL;
    w->sliver = 2 * p->kernel->lanes;
    w->a_read = plan_operand(isa, &job->a, w->a_row, w->a_col, &p->a);
    w->b_read = plan_operand(isa, &job->b, w->b_row, w->b_col, &p->b);
    plan_scales(w, job);
    w->packed = job->packed;
    if (w->packed) {
        w->b = w->packed, w->b_col = p->kernel->size, w->b_row = w->sliver * w->b_col;
        w->packed_line = packed_columns(p->kernel, w->n) * w->b_col;
    }
    plan_packing(p);
    return true;
}

void cr__gemm_for(cr__isa isa, const cr__gemm_job *job, cr__team *team)
{
    plan p;
    if (!plan_product(&p, isa, job, team))
        return;
    plan_parts(&p);
    plan_panels(&p);
    if (p.parts == 1)
        gemm_part(&p, 0, 0);
    else
        cr__parallel(team, p.parts, gemm_part, &p);
}

void cr__gemm_by(const cr__gemm_job *job, cr__team *team, int worker)
{
    plan p;
    if (!plan_product(&p, cr__isa_in_use(), job, team))
        return;
    p.parts = 1, p.down = 0;
    plan_panels(&p);
    gemm_part(&p, 0, worker);
}

void cr__gemm(const cr__gemm_job *job, cr__team *team)
{
    cr__gemm_for(cr__isa_in_use(), job, team);
}

cr__strips cr__strips_find(cr_dtype dtype)
{
    return kernels[cr__isa_in_use()][dtype == CR_F64].strips;
}
