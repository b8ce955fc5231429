/* Matrix products in the order of sums that kernel.h defines, whatever the strides, the
 * threads and the instruction set. The arithmetic is in gemm_body.h, and in gemv_body.h
 * where a matrix is a single row or column; this file decides how a job is cut and what
 * is packed. */
#include "rows.h"
#include <string.h>

/* ---- what the templates are given; strides are in bytes ---- */

/* A chunk's scratch memory: two packed slivers of b, and packed rows of a. */
#define SLIVER_BYTES (CR__GEMM_BLOCK * 128)
#define PANEL_BYTES  ((int64_t)CR__SCRATCH_BYTES - 2 * SLIVER_BYTES)
/* Rows of a over a block of k, 512 KiB of f32, stay in the second level cache while the
 * slivers of b pass. */
#define PANEL_ROWS 512
/* Operands of less than this are thought to be in the second level cache; lines so far
 * apart share their place in the first. */
#define CACHE_BYTES (1 << 20)
#define PAGE        4096
/* A block of a vector, in order. */
#define BLOCK_BYTES (CR__BLOCK * 8)
/* Subtrees of block results: more than 2^48 elements there are not. */
#define STACK_LEVELS 37

typedef struct tile {
    const char *a, *b;
    char *c;
    int64_t a_row, a_col, b_row, c_row;
    int64_t k;    /* at most a block */
    int64_t rest; /* columns in the last vector */
    bool add;     /* to what c holds */
    /* Only where a is packed: lines of the next sliver to be fetched, or columns to be
     * packed. */
    const char *next;
    char *drip_to;
    int64_t next_line, next_lane, next_lines;
} tile;
typedef void tile_fn(const tile *);

/* What is to be packed: `lines` of `lanes` elements. Of a line, `readable` elements
 * exist. */
typedef struct pack {
    const char *from;
    int64_t lines, lanes, line_step, lane_step, readable;
} pack;

/* What one thread owns of one product. */
typedef struct product {
    const char *a, *b;
    char *c;
    int64_t m, n, k;
    int64_t a_row, a_col, b_row, b_col, c_row;
    int64_t panels, sliver; /* panels of rows; columns of a sliver */
    bool pack_a, pack_b;
    char *scratch;
} product;

/* A sliver in a block of k in a panel of rows. They are worked off in this order, slivers
 * innermost; behind the last, lines is 0. */
typedef struct place {
    int64_t panel, i, rows, k, lines, j;
} place;

static inline place place_at(const product *p, int64_t panel, int64_t k, int64_t j)
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
    if (at->k + CR__GEMM_BLOCK < p->k)
        return place_at(p, at->panel, at->k + CR__GEMM_BLOCK, 0);
    return place_at(p, at->panel + (at->lines > 0), 0, 0);
}

static inline pack sliver_at(const product *p, const place *at)
{
    int64_t lanes = p->n - at->j < p->sliver ? p->n - at->j : p->sliver;
    return (pack){ p->b + at->k * p->b_row + at->j * p->b_col,
                   at->lines,
                   lanes,
                   p->b_row,
                   p->b_col,
                   lanes };
}

/* out[o] = sum over k of x and row o of the matrix. */
typedef struct gemv {
    const char *x, *matrix;
    char *out;
    int64_t outputs, k;
    int64_t x_step, out_step, k_step;
    char *scratch;
} gemv;

/* Lists of tiles: X(rows, V). */
#define ROWS_1_2(X, V)   X(1, V) X(2, V)
#define ROWS_3_6(X, V)   X(3, V) X(4, V) X(5, V) X(6, V)
#define ROWS_7_12(X, V)  X(7, V) X(8, V) X(9, V) X(10, V) X(11, V) X(12, V)
#define ROWS_13_14(X, V) X(13, V) X(14, V)

#define CR__TEMPLATE "gemm_floats.h"
#include "for_each_set.h"

typedef struct gemm_kernel {
    int64_t size, lanes; /* of an element; elements in a vector */
    int64_t packed_rows; /* the most of a packed panel; 0: rows are not packed */
    void (*product)(const product *);
    void (*vector)(const gemv *);
} gemm_kernel;
#define KERNEL(S, P, SIZE)                                                     \
    {                                                                          \
        SIZE, P##_gemm_lanes##S, P##_gemm_packed_rows##S, P##_gemm_product##S, \
            P##_gemm_vector##S                                                 \
    }
#define KERNELS(S)                           \
    {                                        \
        KERNEL(S, f32, 4), KERNEL(S, f64, 8) \
    }
static const gemm_kernel kernels[CR__ISAS][2] = { CR__EACH_SET(KERNELS) };

/* ---- a job and its parts ---- */

/* Work that a further thread must have, to pay for its being told; that on a vector waits
 * for memory. */
#define FLOPS_PER_PART        150e3
#define VECTOR_FLOPS_PER_PART 75e3

typedef struct plan {
    const gemm_kernel *kernel;
    product whole; /* of the first batch */
    int64_t batches;
    int batch_ndim;
    int64_t batch_dims[CR_MAX_DIMS], a_batch[CR_MAX_DIMS], b_batch[CR_MAX_DIMS];
    int parts; /* threads: each owns some batches, or, if down > 0, a rectangle of every
                */
    int down, across; /* result: one of down * across */
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
 * which c allows under a single row. */
static void plan_batches(plan *p, const cr__gemm_job *job)
{
    product *w = &p->whole;
    const int64_t size = p->kernel->size;
    bool inner = true;
    p->batches = 1, p->batch_ndim = 0;
    for (int i = job->batch_ndim - 1; i >= 0; i--) {
        int64_t d = job->batch_dims[i], a = job->a_batch[i] * size,
                b = job->b_batch[i] * size;
        if (d == 1)
            continue;
        if (inner && b == 0 && (w->m > 1 || w->n == 1) && continues(a, w->m, &w->a_row)) {
            w->m *= d;
        } else if (inner && a == 0 && w->m == 1 && continues(b, w->n, &w->b_col)) {
            w->n *= d;
        } else {
            inner = false;
            p->batches *= d;
            p->batch_dims[p->batch_ndim] = d;
            p->a_batch[p->batch_ndim] = a;
            p->b_batch[p->batch_ndim++] = b;
        }
    }
}

/* b must be packed where its rows are not contiguous. Packing a costs little where it
 * serves many slivers; it pays where its columns are contiguous, and where the operands
 * exceed the second level cache: packed tiles fetch, and drip. Then also b is packed if
 * its rows are pages apart. */
static void plan_packing(plan *p)
{
    product *w = &p->whole;
    const int64_t size = p->kernel->size;
    const int64_t bytes = (w->m * w->k + w->k * w->n + w->m * w->n) * size;
    w->pack_b = w->b_col != size;
    w->pack_a =
        p->kernel->packed_rows > 0 &&
        (w->n >= 256 ? bytes > CACHE_BYTES || w->a_row % PAGE == 0 || w->a_col != size
                     : w->n >= 128 && w->a_col != size);
    if (w->pack_a && w->m >= 96 && w->b_row % PAGE == 0)
        w->pack_b = true;
}

static bool is_vector(const product *w)
{
    return w->m == 1 || w->n == 1;
}

/* Columns are cut at multiples of this. */
static int64_t grain_of(const plan *p, int across)
{
    const product *w = &p->whole;
    const int64_t lanes = p->kernel->lanes;
    if (is_vector(w))
        return w->n < 64 * across ? 4 : 16;
    return w->n < 8 * lanes * across ? lanes : 2 * lanes;
}

/* Work of one part, in rows * columns; reading the operands counts as some more, and so
 * does writing into the same lines of memory as another part. */
static double cost(const plan *p, int down, int across)
{
    const product *w = &p->whole;
    int64_t rows = (w->m + down - 1) / down, grain = grain_of(p, across);
    int64_t grains = (w->n + grain - 1) / grain;
    double columns = (double)((grains + across - 1) / across * grain);
    double per_row = across > 1 && w->c_row % 64 ? 20 : 4;
    return (double)rows * columns + per_row * (double)rows +
           (w->pack_b ? 8 : 4) * columns;
}

/* How many threads, and what each owns. */
static void plan_parts(plan *p)
{
    const product *w = &p->whole;
    const double flops =
        2 * (double)p->batches * (double)w->m * (double)w->n * (double)w->k;
    const double least_flops = is_vector(w) ? VECTOR_FLOPS_PER_PART : FLOPS_PER_PART;
    p->parts = 1, p->down = 0, p->across = 0;
    if (flops < 2 * least_flops)
        return;
    p->parts = cr__team_size(p->team);
    if (flops < p->parts * least_flops)
        p->parts = (int)(flops / least_flops);
    double least = (double)((p->batches + p->parts - 1) / p->parts) * cost(p, 1, 1);
    for (int down = 1; p->parts > 1 && down <= p->parts; down++) {
        double all = (double)p->batches * cost(p, down, p->parts / down);
        if (p->parts % down == 0 && all < least)
            least = all, p->down = down, p->across = p->parts / down;
    }
    if (p->down == 0 && p->parts > p->batches)
        p->parts = (int)p->batches;
}

static void multiply(const plan *p, const product *part)
{
    const product *w = &p->whole;
    if (!is_vector(w)) {
        p->kernel->product(part);
        return;
    }
    gemv g = { .x = part->a,
               .matrix = part->b,
               .out = part->c,
               .outputs = part->n,
               .k = part->k,
               .x_step = part->a_col,
               .out_step = part->b_col,
               .k_step = part->b_row,
               .scratch = part->scratch };
    if (w->n == 1) {
        g.x = part->b, g.matrix = part->a, g.outputs = part->m;
        g.x_step = part->b_row, g.out_step = part->a_row, g.k_step = part->a_col;
    }
    p->kernel->vector(&g);
}

/* The operands of one batch. */
static void seek(const plan *p, int64_t batch, product *part)
{
    const product *w = &p->whole;
    part->c += batch * w->m * w->n * p->kernel->size;
    for (int i = 0; i < p->batch_ndim; i++, batch /= p->batch_dims[i - 1]) {
        int64_t at = batch % p->batch_dims[i];
        part->a += at * p->a_batch[i];
        part->b += at * p->b_batch[i];
    }
}

static void gemm_part(void *arg, int64_t i, int worker)
{
    const plan *p = arg;
    product part = p->whole;
    int64_t begin = 0, end = p->batches, row = 0, rows = part.m, column = 0,
            columns = part.n;
    part.scratch = cr__team_scratch(p->team, worker);
    if (p->down) {
        cr__part(part.m, 1, i / p->across, p->down, &row, &rows);
        cr__part(part.n, grain_of(p, p->across), i % p->across, p->across, &column,
                 &columns);
    } else {
        cr__part(p->batches, 1, i, p->parts, &begin, &end);
    }
    part.m = rows - row, part.n = columns - column;
    const int64_t most = part.pack_a ? p->kernel->packed_rows : PANEL_ROWS;
    part.panels = part.m <= most ? 1 : (part.m + most - 1) / most;
    part.a += row * part.a_row;
    part.b += column * part.b_col;
    part.c += row * part.c_row + column * p->kernel->size;
    if (part.m == 0 || part.n == 0)
        return;
    for (int64_t batch = begin; batch < end; batch++) {
        product one = part;
        if (batch > 0)
            seek(p, batch, &one);
        multiply(p, &one);
    }
}

void cr__gemm_for(cr__isa isa, const cr__gemm_job *job, cr__team *team)
{
    plan p;
    product *w = &p.whole;
    p.kernel = &kernels[isa][job->dtype == CR_F64];
    p.team = team;
    const int64_t size = p.kernel->size;
    w->a = job->a, w->b = job->b, w->c = job->c;
    w->m = job->m, w->n = job->n, w->k = job->k;
    w->a_row = job->a_row * size, w->a_col = job->a_col * size;
    w->b_row = job->b_row * size, w->b_col = job->b_col * size;
    plan_batches(&p, job);
    if (w->m * w->n * p.batches == 0)
        return;
    if (w->k == 0) {
        memset(job->c, 0, (size_t)(w->m * w->n * p.batches * size));
        return;
    }
    w->c_row = w->n * size;
    w->sliver = 2 * p.kernel->lanes;
    plan_packing(&p);
    plan_parts(&p);
    if (p.parts == 1)
        gemm_part(&p, 0, 0);
    else
        cr__parallel(team, p.parts, gemm_part, &p);
}

void cr__gemm(const cr__gemm_job *job, cr__team *team)
{
    cr__gemm_for(cr__isa_in_use(), job, team);
}
