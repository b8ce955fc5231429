/* The kernels, as the layers above see them. Kernels know pointers, lengths and strides,
 * never tensors. Strides count elements. They read and write the elements that they are
 * given, and nothing behind them.
 *
 * Bits are a function of values and shapes: not of strides, threads, instruction set or
 * how work is cut. */
#ifndef CR_KERNEL_KERNEL_H
#define CR_KERNEL_KERNEL_H

#include "../base/dtype.h"
#include "../base/fp.h"
#include "../base/threads.h"
#include "chainrule.h"

#define CR__PAD 16

/* A strided array. Element (i0, i1, ..) is at data + sum i*stride elements; strides may
 * be 0 or negative. */
typedef struct cr__strided {
    void *data;
    int ndim;
    int64_t dims[CR_MAX_DIMS];
    int64_t strides[CR_MAX_DIMS];
} cr__strided;

/* Where element i of x in row-major order lies. */
CR__INLINE int64_t cr__offset_of(const cr__strided *x, int64_t i)
{
    int64_t offset = 0;
    for (int d = x->ndim - 1; d >= 0; d--) {
        int64_t index = d ? i % x->dims[d] : i;
        offset += index * x->strides[d];
        i = d ? i / x->dims[d] : 0;
    }
    return offset;
}

/* Dims without those of size 1, neighbours merged where one stride spans both: evenly spaced
 * elements, outermost first. Returns how many there are, 0 of a single element. */
int cr__merge_dims(const int64_t *dims, const int64_t *strides, int n, int64_t *to_dims,
                   int64_t *to_strides);

/* Whether the compiler kept to the source's arithmetic; false: no bit can be relied on. */
bool cr__arithmetic_is_sound(void);

/* ---- copies ---- */

/* dst[0..count) = elements start, start+1, .. of src in row-major order; and the reverse.
 * size is that of an element: 1, 2, 4 or 8. These write exactly count elements. */
void cr__copy_range(void *dst, const cr__strided *src, size_t size, int64_t start,
                    int64_t count);
void cr__store_range(const cr__strided *dst, const void *src, size_t size, int64_t start,
                     int64_t count);
/* The whole of src (or dst), on all threads. */
void cr__copy_strided(void *dst, const cr__strided *src, size_t size, cr__team *team);
void cr__store_strided(const cr__strided *dst, const void *src, size_t size,
                       cr__team *team);

/* ---- maps: one instruction of a tile program ---- */

/* dst[i] = f(src[0][i], src[1][i], ..) for i < n. Writes exactly n elements, and reads
 * exactly n of a source k with step[k] 1, which dst may be. With step[k] 0 the source is
 * uniform: CR__PAD equal elements, of which one will do if n is 1 or if it is a parameter
 * (those are always uniform). Sources made from indices (arange, rand, randn) have no
 * operands: src[0] points to the int64_t index of the first element, src[1] to their params,
 * and step may be NULL. */
typedef void cr__map_fn(void *dst, const void *const *src, const int64_t *step,
                        int64_t n);

/* CR__MAP_copy, CR__MAP_neg, ..: the rows of maps.inc. */
typedef enum cr__map_code {
    CR__MAP_NONE = 0,
#define MAP(types, form, name, ...) CR__MAP_##name,
#include "maps.inc"
    CR__MAP_CODES
} cr__map_code;

typedef struct cr__arange_params {
    double start, step;          /* floats: start + i*step in f64, rounded once */
    int64_t int_start, int_step; /* integers */
} cr__arange_params;

/* start + i*step in the first half, end - (count-1-i)*step in the second: both ends are
 * exact. */
typedef struct cr__linspace_params {
    double start, step, end;
    int64_t count;
} cr__linspace_params;

typedef struct cr__random_params {
    uint64_t seed, draw;
} cr__random_params;

/* The kernel for operands of type in (where: of x; cast: from in to out) in the instruction
 * set in use; NULL if there is none. Kernels for bf16 and f16 are those of f32, and read and
 * write f32: see cr__half. */
cr__map_fn *cr__map_find(cr__map_code code, cr_dtype in, cr_dtype out);

/* Several maps of f32 in one, with the bits of the parts: each rounds. `outer` is of two
 * operands, and `left` and `right` are what those are, maps of something that varies, a or b,
 * and of a uniform operand, p or q, of which p may be one for EACH element; or NONE, a or b
 * itself; or ONE, p or q itself. Sources: a, b, p, q. The generic set has none of these, no twins
 * and no step: NULL. */
#define CR__EACH_JOIN(JOIN)                                                       \
    JOIN(scaled_sum, add, mul, mul, UNIFORM, a *p + b * q)                        \
    JOIN(scaled_plus, add, mul, NONE, UNIFORM, a *p + b)                          \
    JOIN(scaled_plus_one, add, mul, ONE, UNIFORM, a *p + q)                       \
    JOIN(product_plus, add, mul, NONE, EACH, a *p + b)                            \
    JOIN(plus_scaled, add, NONE, mul, UNIFORM, a + b * q)                         \
    JOIN(minus_scaled, sub, NONE, mul, UNIFORM, a - b * q)                        \
    JOIN(sum_times, mul, add, NONE, UNIFORM, (a + p) * b)                         \
    JOIN(over_sum, div, NONE, add, UNIFORM, a / (b + q))                          \
    JOIN(scaled_hypot, hypot, mul, mul, UNIFORM, CR__V(f32_length)(a * p, b * q)) \
    JOIN(over, div, NONE, ONE, UNIFORM, CR__V(quotient)(a, q, inverse))
enum { CR__MAP_ONE = CR__MAP_CODES };

typedef enum cr__join {
    CR__JOIN_NONE = 0,
#define CR__JOIN_CODE(name, ...) CR__JOIN_##name,
    CR__EACH_JOIN(CR__JOIN_CODE)
#undef CR__JOIN_CODE
        CR__JOINS
} cr__join;
cr__map_fn *cr__join_find(cr__join join);

/* A function of f32 and its derivative in one pass, with the bits of each: `value` is the map, and
 * `grad` that which multiplies by the slope. Sources: a, and where the slope goes, which is no
 * constant. */
#define CR__EACH_TWIN(TWIN) TWIN(gelu_erf, gelu_erf_grad, ma_gelu(a), ma_gelu_slope(a))

typedef enum cr__twin {
#define CR__TWIN_CODE(value, ...) CR__TWIN_##value,
    CR__EACH_TWIN(CR__TWIN_CODE)
#undef CR__TWIN_CODE
        CR__TWINS
} cr__twin;
cr__map_fn *cr__twin_find(cr__twin twin);

/* Four of them that follow each other, in one pass over memory, Adam's step:
 *     dst[0] = scaled_sum of src[0..3],      dst[1] = scaled_hypot of src[4..7],
 *     dst[2] = over_sum of these two, src[8], dst[3] = minus_scaled of src[9], dst[2], src[10]
 * where a dst may be a src, but of the same place only. */
enum { CR__STEP_RESULTS = 4, CR__STEP_SOURCES = 11 };
typedef void cr__step_fn(float *const *dst, const float *const *src, int64_t n);
cr__step_fn *cr__step_find(void);

/* What attention does to rows of f32 or f64, where each operation rounds and numbers are rounded to
 * the type. */
typedef struct cr__attend_rows {
    void *x;
    int64_t rows, pitch;
    int64_t first, step,
        most_keys; /* row r has first + r step elements, most_keys at most */
    double scale;
    void *most, *sums;
} cr__attend_rows;
CR__INLINE int64_t cr__attend_length(const cr__attend_rows *w, int64_t r)
{
    const int64_t n = w->first + r * w->step;
    return n < w->most_keys ? n : w->most_keys;
}

typedef struct cr__attend {
    /* Elements times the scale, of which the largest, NaNs being none, goes to most[r], become
     * e^(x - largest), or e^x if that is -inf; their sum, a reduction of CR__BLOCK elements at most,
     * goes to sums[r]. */
    void (*weights)(const cr__attend_rows *w);
    /* to[i] = e^(x[i] - *less), which is added to lane i mod CR__LANES; to may be x. */
    void (*add_exp)(void *to, const void *x, int64_t n, const void *less, void *lanes);
    void (*divide)(void *x, int64_t n, double by); /* x /= by */
    /* x = e^(x scale - less) */
    void (*exp)(void *x, int64_t n, double scale, double less);
    /* y = (y - less) x scale */
    void (*slopes)(void *y, const void *x, int64_t n, double less, double scale);
} cr__attend;
cr__attend cr__attend_find(cr_dtype dtype);

/* Nanoseconds of an element in the cache; a guess that decides only how work is cut. */
double cr__map_cost(cr__map_code code, cr_dtype in);

/* What a map of one operand makes of x in f64: the same number whatever libm there is. */
double cr__map_of(cr__map_code code, double x);

/* ---- bf16 and f16 ---- */

/* Computing is in f32: elements are widened when they are loaded, what a map gives is rounded,
 * and narrowed when it is stored. Rounding is to nearest, ties to even, and happens once: casts
 * and sources that begin with more than an f32 holds (f64, i64, i32, arange, linspace) give the
 * f32 that is rounded to odd, from which nothing is rounded wrongly. */
typedef struct cr__half {
    void (*widen)(float *dst, const uint16_t *src, int64_t n);
    void (*round)(float *dst, const float *src, int64_t n); /* dst may be src */
    void (*narrow)(uint16_t *dst, const float *src, int64_t n);
} cr__half;

/* NULL for other types. They read and write exactly n elements. */
const cr__half *cr__half_find(cr_dtype dtype);

/* One element. */
double cr__half_value(cr_dtype dtype, uint16_t bits);

/* Whether none of n elements is an infinity or NaN: finite.c. */
bool cr__all_finite(cr_dtype dtype, const void *x, int64_t n);

/* ---- reductions ---- */

/* The order of every sum: the reduced elements are numbered row-major; blocks of
 * CR__BLOCK; in a block CR__LANES lanes, element i on lane i mod CR__LANES, ascending,
 * from the identity; lanes folded by halving (0 with 16, ..); blocks joined by a pairwise
 * tree. Kernels know accumulators, which is what lanes and blocks have come to; who cuts
 * (exec/reducer.h) knows blocks and outputs. */
#define CR__BLOCK 4096
#define CR__LANES 32

/* CR__REDUCE_sum, ..: the rows of reductions.inc. */
typedef enum cr__reduce_code {
#define REDUCTION(name, ...) CR__REDUCE_##name,
#include "reductions.inc"
    CR__REDUCE_CODES
} cr__reduce_code;

/* What is read besides x: nothing; y, one element for each result; y, an element for each
 * of x. */
typedef enum cr__reduce_operand {
    CR__REDUCES_ALONE,
    CR__REDUCES_VALUE,
    CR__REDUCES_ARRAY
} cr__reduce_operand;

/* An accumulator has one part, or two, of part_size bytes each. An array of accumulators
 * holds all first parts and then all second ones: part p of accumulator i is part
 * p * pitch + i of the array, which has room for `pitch` accumulators.
 *
 * The two parts of logsumexp are m, the largest so far, and s, the sum of exp(x - m); an
 * element is (x, 1), and none is (-inf, 0). (m, s) with (m', s'), which comes after, is
 *     h = the larger of m and m', NaN if one is
 *     e = exp(the lesser - h), 1 if they are equal, 0 if both are -inf
 *     (h, m < m' ? s*e + s' : s + s'*e)
 * with products and sums rounded, so that -inf adds 0, inf counts itself and NaN stays.
 * The other pairs, of argmax and of means of integers, are exact in every order. */
typedef struct cr__reduce_kernel cr__reduce_kernel;

/* x[0..n) are elements at, at + 1, .. of the reduction: x[0] goes to lane at mod CR__LANES.
 * n elements are read, exactly. acc is an array of k->lanes accumulators. */
typedef void cr__reduce_add(const cr__reduce_kernel *k, void *acc, const void *x,
                            const void *y, int64_t at, int64_t n);

/* Neighbours: accumulator c < width, of an array of that pitch, takes x[r*x_stride + c] for
 * r < n, one after the other; y's is y[r*y_stride + c] (of a value y_stride is 0). They are
 * elements at + r of the reduction if k->lanes is 1, and else those of one lane, of which
 * `at` is not read. */
typedef void cr__reduce_columns(const cr__reduce_kernel *k, void *acc, int64_t pitch,
                                const void *x, int64_t x_stride, const void *y,
                                int64_t y_stride, int64_t width, int64_t at, int64_t n);

/* out[i] = what a[i], and b[i], which comes after, come to together, for i < n; all of that
 * pitch. out may be a. */
typedef void cr__reduce_join(const cr__reduce_kernel *k, void *out, const void *a,
                             const void *b, int64_t n, int64_t pitch);

/* out[r] = the result of x[r*length .. (r+1)*length), for length <= CR__BLOCK. */
typedef void cr__reduce_rows(const cr__reduce_kernel *k, void *out, const void *x,
                             const void *y, int64_t rows, int64_t length);

struct cr__reduce_kernel {
    cr__reduce_code code;
    cr_dtype dtype; /* of x and y */
    cr__reduce_operand operand;
    uint8_t join_code, result; /* the row's JOIN and RESULT */
    uint8_t size;              /* bytes of an element */
    uint8_t out_size;          /* of a result */
    uint8_t part_size, parts;  /* of an accumulator */
    uint8_t lanes;             /* CR__LANES, or 1 where every order gives the same */
    uint64_t identity[2];      /* of the parts */
    cr__reduce_add *add;
    cr__reduce_columns *columns;
    cr__reduce_join *join;
    cr__reduce_rows *rows;
    const struct cr__reduce_loops *loops; /* of its instruction set */
};

#define CR__ACCUMULATOR 16 /* bytes, at most */

/* The kernel for elements of that type; false if there is none. */
bool cr__reduce_find(cr__reduce_code code, cr_dtype in, cr__reduce_kernel *kernel);

/* All n to the identity, and those behind them up to a multiple of CR__LANES. */
void cr__reduce_begin(const cr__reduce_kernel *k, void *acc, int64_t n);
/* Folds an array of k->lanes accumulators into its first; of width times as many, lane l's of
 * output c at l*width + c, into the first `width`, where lanes from that number on have had
 * nothing. */
void cr__reduce_fold(const cr__reduce_kernel *k, void *acc);
void cr__reduce_fold_columns(const cr__reduce_kernel *k, void *acc, int64_t width,
                             int64_t lanes);
/* The results of n accumulators of that pitch; `length` elements were reduced to each. */
void cr__reduce_end(const cr__reduce_kernel *k, const void *acc, int64_t pitch, void *out,
                    int64_t n, int64_t length);

/* What becomes of sums, of floats. Where one is infinite or NaN, or so small that its terms
 * may have vanished, while the result might be held, it is computed again of elements times
 * a power of two. All others have the bits of the plain formula. */
typedef enum cr__ending_code {
    CR__AS_IT_IS, /* of other reductions */
    CR__AS_SUM,
    CR__AS_MEAN, /* sum / count */
    CR__AS_RSTD, /* 1 / sqrt(sum / count + eps), of squares */
    CR__AS_ROOT  /* sqrt(sum / count), of squares */
} cr__ending_code;
typedef struct cr__ending {
    cr__ending_code code;
    cr__reduce_code with; /* the reduction that is ended: sum, dot or squares */
    cr_dtype dtype;
    double count, eps;
} cr__ending;

/* The powers of two, of elements of 4 or 8 bytes: what is as large as can be is squared
 * without overflow, 2^30 times; what is as small as can be, without vanishing. */
#define CR__DOWN(size) ((size) == 4 ? 0x1p-80 : 0x1p-560)
#define CR__UP(size)   ((size) == 4 ? 0x1p110 : 0x1p900)

/* Ends n sums in place, up to the first that is to be computed again, with *again: returns
 * its place, or n. */
int64_t cr__ending_apply(const cr__ending *ending, void *sums, int64_t n,
                         cr__reduce_code *again);
/* Ends a sum that was computed again. */
void cr__ending_scaled(const cr__ending *ending, cr__reduce_code again, void *sum);

/* ---- scattered sums ---- */

/* The positions 0..n-1 of an index, grouped by the row that each points to. */
typedef struct cr__groups {
    int64_t *counts; /* [rows], zero between sorts */
    int64_t *list;   /* [n]: positions, those of a group one after the other, ascending */
    int64_t *row;    /* of a group */
    int64_t *start;  /* of a group in list; one more than there are groups */
    int64_t count;   /* of groups: rows that are pointed to */
} cr__groups;

/* Memory for groups (SIZE_MAX: more than there can be), and groups in it. They may be
 * sorted again and again. */
size_t cr__groups_bytes(int64_t rows, int64_t n);
cr__groups cr__groups_in(void *memory, int64_t rows, int64_t n);

/* The index (i64, i32, u8; element j at j*stride) is below rows everywhere. Linear. */
void cr__groups_sort(cr__groups *groups, const void *index, cr_dtype dtype,
                     int64_t stride, int64_t n);

/* The first group that starts at the position of list or behind it: cuts groups into
 * parts of equal work. */
int64_t cr__groups_from(const cr__groups *groups, int64_t position);

/* Row r of `to` += the sum of alpha * row j of `from` over the positions j that point to
 * r, which is the reduction above over all positions, 0 where they point elsewhere. What
 * is in `to` is added to that sum, as its last term. Rows that nobody points to are left
 * as they are. */
typedef struct cr__scatter_job {
    cr_dtype dtype; /* f32, f64 */
    const void *from;
    void *to;
    int64_t from_stride, to_stride; /* from row to row */
    int64_t width;                  /* of a row, whose elements are neighbours */
    double alpha;
} cr__scatter_job;

/* Of the groups first..last-1, in scratch memory of CR__SCRATCH_BYTES. */
void cr__scatter(const cr__scatter_job *job, const cr__groups *groups, int64_t first,
                 int64_t last, void *scratch);

/* The same without groups, where rows are few: scratch holds lanes for each of them. Every
 * element has an index of its own, columns being neighbours in all three arrays. */
typedef struct cr__scatter_few {
    cr__scatter_job job;
    const void *index;
    cr_dtype index_dtype;
    int64_t index_stride, n, rows;
} cr__scatter_few;
bool cr__scatter_is_few(cr_dtype dtype, int64_t rows, int64_t n, int64_t width);
void cr__scatter_into_few(const cr__scatter_few *few, void *scratch);

/* The same of one column, where rows are many and positions in one block; false: it is not so. */
bool cr__scatter_line(const cr__scatter_few *line, void *scratch);

/* ---- windows ---- */

/* n windows of f32 in a row, as many elements or twice as many apart as they are numbered:
 * window i begins at x + i * stride. It has nd * nh * nw elements, numbered row-major: d, h, w
 * steps from the first. */
typedef struct cr__windows {
    const float *x;
    int64_t n, steps[3];
    int nd, nh, nw, stride;
} cr__windows;

/* The largest element of each, the first of equals; NaN is larger than all, and the last NaN
 * counts. Its number, if numbers is not NULL. */
void cr__largest(const cr__windows *w, float *values, int32_t *numbers);

/* Of windows of two neighbours in a row, stride 2: out[i * 2 + j] = x[i] + 0 if numbers[i] is first
 * + j, else 0. */
void cr__give_pairs(float *out, const float *x, const int32_t *numbers, int32_t first,
                    int64_t n);

/* ---- matrix products ---- */

/* An image seen as a matrix of patches, which is nowhere in memory. Indices of rows and of
 * columns are numbered row-major: (outer, i_1, .. i_ndim) with i_d < rows[d], (outer, j_1,
 * .. j_ndim) with j_d < cols[d]. Element (i, j) is that of the image with the coordinates
 * i_d*row_step[d] + j_d*col_step[d] - padding[d], and 0 where there is none. The reader's row
 * and col are the strides of the outer indices. */
#define CR__IMAGE_DIMS 3
typedef struct cr__image_dim {
    int64_t size, stride;
    int64_t rows, row_step, cols, col_step;
    int64_t padding;
} cr__image_dim;
typedef struct cr__image {
    int ndim; /* 1..CR__IMAGE_DIMS */
    cr__image_dim dims[CR__IMAGE_DIMS];
} cr__image;

/* How a matrix is read while it is packed: element (i, j) is at data + i*row + j*col
 * elements, or is that of the image. It is multiplied by 2^exponent, which is 0 or makes
 * normal numbers of tiny ones (cr__tiny_exponent). */
typedef struct cr__reader {
    const void *data;
    cr_dtype dtype;
    int exponent;
    int64_t row, col;
    const cr__image *image; /* or NULL */
} cr__reader;

/* Where the columns of a result are, which are numbered row-major, (outer, j_1, .. j_ndim), if
 * not one behind the other. In elements. */
typedef struct cr__places {
    int64_t row, outer; /* from one row, or index of the outermost dim, to the next */
    int ndim;
    int64_t dims[CR__IMAGE_DIMS], strides[CR__IMAGE_DIMS];
    int64_t batch[CR_MAX_DIMS];
} cr__places;

/* c[m,n] = a[m,k] b[k,n], for every index of the batch dims. c is contiguous, unless it has
 * places. It and a and b are f64, or each of them is f32, bf16 or f16 and the sums are f32,
 * rounded once in the end if c has less. Each element is an ascending FMA chain from +0 within
 * blocks of CR__GEMM_BLOCK along k, block results added in order; if m or n is 1, and it is not
 * to be such a chain nevertheless, it is the reduction above, with FMA in the lanes. Zeros of
 * images are terms like others. In the end it is multiplied by 2^-(a.exponent + b.exponent).
 * Nothing is allocated, nothing fails. */
#define CR__GEMM_BLOCK 256

/* A part of a product that is complete, for who wants it while it is in the cache: so many
 * rows and columns, its rows `pitch` elements apart where they lie, of f32, rounded, if the
 * result is of bf16 or f16. The first is element `start` of the result, where rows are `step`
 * elements apart. What is told has CR__PANEL_SCRATCH bytes of the worker's for itself. */
#define CR__PANEL_SCRATCH ((size_t)192 << 10)

typedef struct cr__panel {
    const void *data;
    int64_t start, rows, columns, pitch, step;
    void *scratch;
} cr__panel;

#define CR__STREAMS 6
typedef struct cr__follower {
    void (*fn)(void *arg, const cr__panel *panel);
    void *arg;
    double cost; /* of an element, in nanoseconds */
    /* Arrays of as many elements as the result has that it works on, and the size of one element:
     * the panel's are fetched while it is computed. */
    int n_streams;
    const char *streams[CR__STREAMS];
    int64_t sizes[CR__STREAMS];
} cr__follower;

typedef struct cr__gemm_job {
    cr_dtype dtype;
    int64_t m, n, k;
    cr__reader a, b;
    const void *
        packed; /* what cr__gemm_pack() has made of b, or NULL; of f32 or f64, m and n above
                           1, no batches, b has no exponent */
    void *c;    /* may be NULL, if somebody follows */
    bool adds; /* to what c holds: 0 < k <= CR__GEMM_BLOCK, m and n above 1,
                                 of f32 or f64, no exponents, nobody follows */
    const cr__follower *then; /* or NULL; then there are no places */
    const cr__places *places; /* or NULL */
    bool chain;               /* whatever m and n; with places it is one */
    int batch_ndim;
    int64_t batch_dims[CR_MAX_DIMS], a_batch[CR_MAX_DIMS], b_batch[CR_MAX_DIMS];
} cr__gemm_job;
void cr__gemm(const cr__gemm_job *job, cr__team *team);
/* The same inside a body: all of it by that worker. */
void cr__gemm_by(const cr__gemm_job *job, cr__team *team, int worker);

/* A b whose columns are contiguous, packed once for several products of its dtype. */
size_t cr__gemm_packed_bytes(cr_dtype dtype, int64_t k, int64_t n);
void cr__gemm_pack(const cr__gemm_job *job, void *to, cr__team *team);

/* The tiles of products, for kernels that walk one in an order of their own. A call computes
 * c = or += a b, for `columns` neighbours of b and c, a sliver's at most, in a block of k at most: each
 * element is a chain from +0, whatever the sizes. */
typedef struct cr__strip {
    const void *a, *b;
    void *c;
    int64_t a_row, a_col, b_row, c_row; /* in elements */
    int64_t rows, columns, k;
    bool add;
} cr__strip;

typedef struct cr__strips {
    int64_t sliver; /* columns */
    void (*multiply)(const cr__strip *);
    /* to[k * sliver + j] = from[j * row + k], for k < lines and j < columns <= sliver */
    void (*pack)(void *to, const void *from, int64_t row, int64_t lines, int64_t columns);
} cr__strips;
cr__strips cr__strips_find(cr_dtype dtype);

/* ---- the machine ---- */

/* Multiply-adds as fast as one core does them, in f32; how many operations these were. */
double cr__peak_steps(int64_t steps);

/* ---- convolutions ---- */

/* y[n, g outs + o, p] = the sum over i, t of w[g outs + o, i, t] x[n, g ins + i, p stride +
 * t dilation - padding], 0 where x has no such element, and what that makes of y and w for x,
 * and of x and y for w. One to three dims of p and t. Each is a product of matrices: k runs
 * over (i, t); over (o, t), where t are the taps that meet a pixel's remainder by the stride,
 * others being no terms; and over (n, p). The first two are chains whatever their m and n. */
typedef enum cr__conv_pass {
    CR__CONV_FORWARD, /* y of x and w */
    CR__CONV_INPUT,   /* x of y and w */
    CR__CONV_WEIGHT   /* w of x and y */
} cr__conv_pass;

typedef struct cr__conv {
    cr__conv_pass pass;
    int ndim;
    int64_t images, groups, ins, outs; /* channels of a group */
    int64_t size[CR__IMAGE_DIMS], out[CR__IMAGE_DIMS], kernel[CR__IMAGE_DIMS];
    int64_t stride[CR__IMAGE_DIMS], padding[CR__IMAGE_DIMS], dilation[CR__IMAGE_DIMS];
    /* The two operands, in the order above, as products have them; the strides of their
     * dims: images, or outs of all groups, channels, space. */
    cr_dtype dtype;
    cr__reader operand[2];
    int64_t strides[2][2 + CR__IMAGE_DIMS];
    void *result; /* contiguous */
    void *memory; /* of cr__conv_bytes(), or NULL */
    const cr__follower
        *then; /* told of panels of the result, which lie there; or NULL. Streams are
                                 not fetched */
} cr__conv;
/* What a convolution of these sizes and dtypes does well to have, besides the workers' memory. */
size_t cr__conv_bytes(const cr__conv *conv);
void cr__convolve(const cr__conv *conv, cr__team *team);

/* Multiplying subnormal numbers takes processors a hundred times as long. If the elements
 * of x (floats) are tiny, the power of two to multiply them by for products to be of
 * normal numbers; 0 if not. A function of values and shape. */
int cr__tiny_exponent(const cr__strided *x, cr_dtype dtype);
/* Whether an element is not tiny: nothing that x is a part of has an exponent then. */
bool cr__is_not_tiny(const cr__strided *x, cr_dtype dtype);

/* ---- the instruction set ---- */

/* What the environment's CHAINRULE_ISA asks for, if that is no name or cannot be used here,
 * so that the choice is another; NULL if all is well. */
const char *cr__isa_refused(void);

#endif
