/* Scattered sums of floats in the order that kernel.h defines: that of reductions, over
 * all positions of the index. Each row adds only the positions that point to it. The
 * others would add zeros, which change nothing, since no lane and no block is ever -0: a
 * lane begins with +0, and only -0 and -0 make -0. */
#include "rows.h"

#include <string.h>

/* Columns are summed up to so many at a time: a block's lanes take 16 KiB in f32. */
#define COLUMNS 128
/* Of a tree of blocks: as many as positions have bits, above those of a block. */
#define LEVELS 52
#define PITCH  ((int64_t)COLUMNS * 8)

/* ---- positions by row ---- */

size_t cr__groups_bytes(int64_t rows, int64_t n)
{
    uint64_t numbers = (uint64_t)rows + 3 * (uint64_t)n + 1;
    size_t bytes;
    return __builtin_mul_overflow(numbers, sizeof(int64_t), &bytes) ? SIZE_MAX : bytes;
}

cr__groups cr__groups_in(void *memory, int64_t rows, int64_t n)
{
    cr__groups g = { .counts = memory };
    g.list = g.counts + rows;
    g.row = g.list + n;
    g.start = g.row + n;
    memset(g.counts, 0, (size_t)rows * sizeof *g.counts);
    return g;
}

CR__INLINE int64_t index_at(const void *index, cr_dtype dtype, int64_t i)
{
    return dtype == CR_I64   ? ((const int64_t *)index)[i]
           : dtype == CR_I32 ? ((const int32_t *)index)[i]
                             : ((const uint8_t *)index)[i];
}

/* A counting sort whose groups come in the order of their first positions, so that it
 * costs nothing for rows that nobody points to. A row's count becomes -1 - the place of
 * its next position when its group is met. */
void cr__groups_sort(cr__groups *g, const void *index, cr_dtype dtype, int64_t stride,
                     int64_t n)
{
    int64_t placed = 0;
    g->count = 0;
    for (int64_t j = 0; j < n; j++)
        g->counts[index_at(index, dtype, j * stride)]++;
    for (int64_t j = 0; j < n; j++) {
        int64_t row = index_at(index, dtype, j * stride), *count = &g->counts[row];
        if (*count > 0) {
            g->row[g->count] = row;
            g->start[g->count++] = placed;
            placed += *count;
            *count = -1 - g->start[g->count - 1];
        }
        g->list[-1 - *count] = j;
        --*count;
    }
    g->start[g->count] = n;
    for (int64_t i = 0; i < g->count; i++)
        g->counts[g->row[i]] = 0;
}

int64_t cr__groups_from(const cr__groups *g, int64_t position)
{
    int64_t low = 0, high = g->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (g->start[middle] < position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- sums, row by row ---- */

/* How high in the pairwise tree two blocks meet: at 1 if they are neighbours. In the tree
 * of lanes, which are folded by halving, lanes meet the lower the higher the bit is in
 * which they differ. */
static int meets_at(int64_t block, int64_t other)
{
    return block == other ? 0 : 64 - __builtin_clzll((uint64_t)(block ^ other));
}

/* Scratch memory in slots of COLUMNS elements. */
typedef struct adder {
    const cr__scatter_job *job;
    cr__reduce_kernel sum; /* whose join is out = x + y, of neighbouring columns */
    size_t size;
    char *zeros, *scaled, *lanes, *stack;
} adder;
_Static_assert((2 + CR__LANES + LEVELS) * PITCH <= CR__SCRATCH_BYTES, "scratch memory");

static void adder_add(const adder *a, void *out, const void *x, const void *y,
                      int64_t width)
{
    a->sum.join(&a->sum, out, x, y, width, 0);
}

static adder adder_in(const cr__scatter_job *job, char *scratch)
{
    adder a = { .job = job, .size = job->dtype == CR_F64 ? 8 : 4 };
    cr__reduce_find(CR__REDUCE_sum, job->dtype, &a.sum);
    a.zeros = scratch;
    a.scaled = a.zeros + PITCH;
    a.lanes = a.scaled + PITCH;
    a.stack = a.lanes + CR__LANES * PITCH;
    memset(a.zeros, 0, (size_t)PITCH);
    return a;
}

/* What the position adds. */
static const char *term(const adder *a, int64_t position, int64_t column, int64_t width)
{
    const cr__scatter_job *job = a->job;
    int64_t at = position * job->from_stride + column;
    const char *x = (const char *)job->from + at * (int64_t)a->size;
    if (job->alpha == 1)
        return x;
    for (int64_t c = 0; c < width; c++)
        if (job->dtype == CR_F32)
            ((float *)(void *)a->scaled)[c] =
                (float)job->alpha * ((const float *)(const void *)x)[c];
        else
            ((double *)(void *)a->scaled)[c] =
                job->alpha * ((const double *)(const void *)x)[c];
    return a->scaled;
}

/* The sum of n positions of one block. A lane's slot is undefined until it is used; where
 * one of two lanes is, the other's is their sum. */
static void block_sum(const adder *a, const int64_t *list, int64_t n, int64_t column,
                      int64_t width, char *out)
{
    char *lanes[CR__LANES];
    uint32_t used = 0;
    if (n == 1) {
        adder_add(a, out, a->zeros, term(a, list[0], column, width), width);
        return;
    }
    for (int l = 0; l < CR__LANES; l++)
        lanes[l] = a->lanes + l * PITCH;
    for (int64_t i = 0; i < n; i++) {
        int l = (int)(list[i] % CR__LANES);
        adder_add(a, lanes[l], used >> l & 1 ? lanes[l] : a->zeros,
                  term(a, list[i], column, width), width);
        used |= 1u << l;
    }
    for (int half = CR__LANES / 2; half >= 1; used |= used >> half, half /= 2)
        for (uint32_t high = used >> half & ((1u << half) - 1); high; high &= high - 1) {
            int l = __builtin_ctz(high);
            if (used >> l & 1)
                adder_add(a, lanes[l], lanes[l], lanes[l + half], width);
            else
                lanes[l] = lanes[l + half];
        }
    memcpy(out, lanes[0], (size_t)width * a->size);
}

/* Adds one row's positions. Sums of branches wait on a stack, each with the height at
 * which it meets the one below: what meets lower is joined first. */
static void row_sum(const adder *a, const int64_t *list, int64_t n, int64_t column,
                    int64_t width, char *to)
{
    int heights[LEVELS], depth = 0;
    for (int64_t i = 0, last = 0, m; i < n; i += m, depth++) {
        int64_t block = list[i] / CR__BLOCK, end = (block + 1) * CR__BLOCK;
        int height = depth ? meets_at(block, last) : 64;
        for (; depth > 1 && heights[depth - 1] < height; depth--) {
            char *top = a->stack + (depth - 1) * PITCH;
            adder_add(a, top - PITCH, top - PITCH, top, width);
        }
        for (m = 1; i + m < n && list[i + m] < end; m++)
            continue;
        block_sum(a, list + i, m, column, width, a->stack + depth * PITCH);
        heights[depth] = height;
        last = block;
    }
    for (; depth > 1; depth--) {
        char *top = a->stack + (depth - 1) * PITCH;
        adder_add(a, top - PITCH, top - PITCH, top, width);
    }
    adder_add(a, to, to, a->stack, width);
}

/* The same for rows of one element, in registers. Two terms have one order. */
#define ONE_COLUMN(P, T)                                                           \
    static T P##_block_of_one(const cr__scatter_job *job, const int64_t *list,     \
                              int64_t n)                                           \
    {                                                                              \
        const T *from = job->from, alpha = (T)job->alpha;                          \
        T lanes[CR__LANES];                                                        \
        uint32_t used = 0;                                                         \
        if (n <= 2)                                                                \
            return 0 + alpha * from[list[0] * job->from_stride] +                  \
                   (n == 2 ? alpha * from[list[1] * job->from_stride] : 0);        \
        for (int64_t i = 0; i < n; i++) {                                          \
            int l = (int)(list[i] % CR__LANES);                                    \
            T x = alpha * from[list[i] * job->from_stride];                        \
            lanes[l] = (used >> l & 1 ? lanes[l] : 0) + x;                         \
            used |= 1u << l;                                                       \
        }                                                                          \
        for (int half = CR__LANES / 2; half >= 1; used |= used >> half, half /= 2) \
            for (uint32_t high = used >> half & ((1u << half) - 1); high;          \
                 high &= high - 1) {                                               \
                int l = __builtin_ctz(high);                                       \
                lanes[l] = (used >> l & 1 ? lanes[l] : 0) + lanes[l + half];       \
            }                                                                      \
        return lanes[0];                                                           \
    }                                                                              \
    static void P##_row_of_one(const cr__scatter_job *job, const int64_t *list,    \
                               int64_t n, T *to)                                   \
    {                                                                              \
        T stack[LEVELS];                                                           \
        int heights[LEVELS], depth = 0;                                            \
        for (int64_t i = 0, last = 0, m; i < n; i += m) {                          \
            int64_t block = list[i] / CR__BLOCK, end = (block + 1) * CR__BLOCK;    \
            int height = depth ? meets_at(block, last) : 64;                       \
            for (; depth > 1 && heights[depth - 1] < height; depth--)              \
                stack[depth - 2] += stack[depth - 1];                              \
            for (m = 1; i + m < n && list[i + m] < end; m++)                       \
                continue;                                                          \
            stack[depth] = P##_block_of_one(job, list + i, m);                     \
            heights[depth++] = height;                                             \
            last = block;                                                          \
        }                                                                          \
        for (; depth > 1; depth--)                                                 \
            stack[depth - 2] += stack[depth - 1];                                  \
        *to += stack[0];                                                           \
    }
ONE_COLUMN(f32, float)
ONE_COLUMN(f64, double)

static void rows_of_one(const cr__scatter_job *job, const cr__groups *g, int64_t first,
                        int64_t last)
{
    for (int64_t i = first; i < last; i++) {
        const int64_t *list = g->list + g->start[i];
        int64_t n = g->start[i + 1] - g->start[i], at = g->row[i] * job->to_stride;
        if (job->dtype == CR_F32)
            f32_row_of_one(job, list, n, (float *)job->to + at);
        else
            f64_row_of_one(job, list, n, (double *)job->to + at);
    }
}

/* Rows come in no order that the processor could foresee: this one's lines are asked for. */
static void fetch_row(const adder *a, const cr__groups *g, int64_t i)
{
    const cr__scatter_job *job = a->job;
    const int64_t size = (int64_t)a->size;
    const char *to = (const char *)job->to + g->row[i] * job->to_stride * size,
               *from = (const char *)job->from +
                       g->list[g->start[i]] * job->from_stride * size;
    for (int64_t at = 0; at < job->width * size; at += 64) {
        __builtin_prefetch(to + at, 1);
        __builtin_prefetch(from + at);
    }
}

/* Rows ahead that are fetched; of longer ones the processor fetches what follows itself. */
#define ROWS_AHEAD   2
#define FETCHED_ROWS 4096 /* bytes */

void cr__scatter(const cr__scatter_job *job, const cr__groups *g, int64_t first,
                 int64_t last, void *scratch)
{
    if (job->width == 1) {
        rows_of_one(job, g, first, last);
        return;
    }
    adder a = adder_in(job, scratch);
    const bool fetch = job->width * (int64_t)a.size <= FETCHED_ROWS;
    for (int64_t i = first; i < last; i++) {
        if (fetch && i + ROWS_AHEAD < last)
            fetch_row(&a, g, i + ROWS_AHEAD);
        for (int64_t c = 0; c < job->width; c += COLUMNS) {
            int64_t width = job->width - c < COLUMNS ? job->width - c : COLUMNS;
            int64_t at = g->row[i] * job->to_stride + c;
            row_sum(&a, g->list + g->start[i], g->start[i + 1] - g->start[i], c, width,
                    (char *)job->to + at * (int64_t)a.size);
        }
    }
}

/* ---- sums into few rows ---- */

static int64_t blocks_in(int64_t n)
{
    return (n + CR__BLOCK - 1) / CR__BLOCK;
}

/* All rows' lanes are cleared and folded for each block: that must cost no more than adding the
 * positions. */
bool cr__scatter_is_few(cr_dtype dtype, int64_t rows, int64_t n, int64_t width)
{
    int64_t size = dtype == CR_F64 ? 8 : 4, levels = meets_at(blocks_in(n), 0) + 1;
    return rows * 4 <= (n < CR__BLOCK ? n : CR__BLOCK) &&
           rows * width * size * (CR__LANES + levels) <= (int64_t)CR__SCRATCH_BYTES;
}

/* Lanes are [lane][row][column], sums [row][column]. */
#define FEW_ROWS(P, T)                                                              \
    static void P##_few_block(const cr__scatter_few *f, int64_t begin, int64_t end, \
                              void *lanes)                                          \
    {                                                                               \
        const int64_t width = f->job.width;                                         \
        for (int64_t j = begin; j < end; j++) {                                     \
            const T *from = (const T *)f->job.from + j * f->job.from_stride;        \
            T *lane = (T *)lanes + j % CR__LANES * f->rows * width;                 \
            const int64_t at = j * f->index_stride;                                 \
            for (int64_t c = 0; c < width; c++)                                     \
                lane[index_at(f->index, f->index_dtype, at + c) * width + c] +=     \
                    (T)f->job.alpha * from[c];                                      \
        }                                                                           \
    }                                                                               \
    static void P##_few_end(const cr__scatter_few *f, const void *of)               \
    {                                                                               \
        const T *sums = of;                                                         \
        for (int64_t row = 0; row < f->rows; row++)                                 \
            for (int64_t c = 0; c < f->job.width; c++, sums++) {                    \
                T *to = (T *)f->job.to + row * f->job.to_stride + c;                \
                *to = *sums == 0 ? *to : *to + *sums;                               \
            }                                                                       \
    }
FEW_ROWS(f32, float)
FEW_ROWS(f64, double)

void cr__scatter_into_few(const cr__scatter_few *f, void *scratch)
{
    const bool narrow = f->job.dtype == CR_F32;
    const int64_t all = f->rows * f->job.width, bytes = all * (narrow ? 4 : 8);
    const int64_t blocks = blocks_in(f->n);
    char *lanes = scratch, *top = lanes + CR__LANES * bytes;
    cr__reduce_kernel sum;
    cr__reduce_find(CR__REDUCE_sum, f->job.dtype, &sum);
    for (int64_t b = 0; b < blocks; b++, top += bytes) {
        const int64_t end = b + 1 < blocks ? (b + 1) * CR__BLOCK : f->n;
        memset(lanes, 0, (size_t)(CR__LANES * bytes));
        (narrow ? f32_few_block : f64_few_block)(f, b * CR__BLOCK, end, lanes);
        for (int half = CR__LANES / 2; half > 1; half /= 2)
            sum.join(&sum, lanes, lanes, lanes + half * bytes, half * all, 0);
        sum.join(&sum, top, lanes, lanes + bytes, all, 0);
        for (int64_t done = b + 1; (done & 1) == 0; done >>= 1, top -= bytes)
            sum.join(&sum, top - bytes, top - bytes, top, all, 0);
    }
    for (top -= bytes; top > lanes + CR__LANES * bytes; top -= bytes)
        sum.join(&sum, top - bytes, top - bytes, top, all, 0);
    (narrow ? f32_few_end : f64_few_end)(f, top);
}

/* ---- sums of one line ---- */

/* Lists of each row's positions, which end with n. Most rows have at most two, whose sum has one
 * order: nobody could foresee how many, so the others are -0, which changes nothing. */
#define SHORT_LINE(P, T)                                                                \
    static void P##_line(const cr__scatter_few *f, void *scratch)                       \
    {                                                                                   \
        const int32_t n = (int32_t)f->n;                                                \
        int64_t *list = scratch;                                                        \
        T *terms = (T *)(void *)(list + n);                                             \
        int32_t *next = (int32_t *)(void *)(terms + n + 1), *head = next + n + 1;       \
        for (int64_t row = 0; row < f->rows; row++)                                     \
            head[row] = n;                                                              \
        terms[n] = -(T)0;                                                               \
        next[n] = n;                                                                    \
        for (int32_t j = n; j-- > 0;) {                                                 \
            int64_t row = index_at(f->index, f->index_dtype, j * f->index_stride);      \
            terms[j] =                                                                  \
                0 + (T)f->job.alpha * ((const T *)f->job.from)[j * f->job.from_stride]; \
            next[j] = head[row];                                                        \
            head[row] = j;                                                              \
        }                                                                               \
        for (int64_t row = 0; row < f->rows; row++) {                                   \
            const int32_t first = head[row], second = next[first];                      \
            T sum = terms[first] + terms[second];                                       \
            if (CR__UNLIKELY(next[second] != n)) {                                      \
                int64_t m = 0;                                                          \
                for (int32_t j = first; j != n; j = next[j])                            \
                    list[m++] = j;                                                      \
                sum = P##_block_of_one(&f->job, list, m);                               \
            }                                                                           \
            ((T *)f->job.to)[row * f->job.to_stride] += sum;                            \
        }                                                                               \
    }
SHORT_LINE(f32, float)
SHORT_LINE(f64, double)

bool cr__scatter_line(const cr__scatter_few *f, void *scratch)
{
    if (f->job.width != 1 || f->n > CR__BLOCK || f->rows > 4 * f->n)
        return false;
    (f->job.dtype == CR_F32 ? f32_line : f64_line)(f, scratch);
    return true;
}
_Static_assert(CR__BLOCK *(8 + 8 + 4 + 4 * 4) + 16 <= CR__SCRATCH_BYTES, "a line");
