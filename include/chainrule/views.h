/* Views, and tensors joined. */
#ifndef CHAINRULE_VIEWS_H
#define CHAINRULE_VIEWS_H

#include "macros.h"

CR_BEGIN

/* Views: the same elements seen in another shape; nothing is copied until a kernel needs it. All
 * types. The cotangent goes back through the same view. */

/* the same elements in row-major order; one size may be -1    d g, reshaped back */
CR_API cr_tensor *cr_reshape_at(cr_tensor *x, cr_dims shape, const char *site);
#define cr_reshape(x, shape) cr_reshape_at(x, shape, CR_HERE)

/* dimension i of the result is dimension dims[i] of x    d g, permuted back */
CR_API cr_tensor *cr_permute_at(cr_tensor *x, cr_dims dims, const char *site);
#define cr_permute(x, dims) cr_permute_at(x, dims, CR_HERE)

/* two dimensions exchanged; cr_t: the last two    d g, exchanged back */
CR_API cr_tensor *cr_transpose_at(cr_tensor *x, int dim0, int dim1, const char *site);
#define cr_transpose(x, dim0, dim1) cr_transpose_at(x, dim0, dim1, CR_HERE)
#define cr_t(x) cr_transpose_at(x, -2, -1, CR_HERE)

/* size-1 (and new leading) dimensions repeated; -1 keeps a size    d g, summed where repeated */
CR_API cr_tensor *cr_expand_at(cr_tensor *x, cr_dims shape, const char *site);
#define cr_expand(x, shape) cr_expand_at(x, shape, CR_HERE)

/* the order along dims reversed    d g, reversed back */
CR_API cr_tensor *cr_flip_at(cr_tensor *x, cr_dims dims, const char *site);
#define cr_flip(x, dims) cr_flip_at(x, dims, CR_HERE)

/* a new dimension of size 1 at dim    d g without it */
CR_API cr_tensor *cr_unsqueeze_at(cr_tensor *x, int dim, const char *site);
#define cr_unsqueeze(x, dim) cr_unsqueeze_at(x, dim, CR_HERE)

/* dimensions of size 1 dropped    d g, with them
 * Of those in dim (an int, a list, CR_ALL), or of all.
 * usage: cr_squeeze(x), cr_squeeze(x, 0), cr_squeeze(x, CR_DIMS(0, 2)) */
CR_API cr_tensor *cr_squeeze_at(cr_tensor *x, cr_dims dim, const char *site);
#define cr_squeeze(...) CR_THIRD_(__VA_ARGS__, CR_SQUEEZE_2_, CR_SQUEEZE_1_, )(__VA_ARGS__)
#define CR_SQUEEZE_1_(x) cr_squeeze_at(x, CR_ALL, CR_HERE)
#define CR_SQUEEZE_2_(x, dim) cr_squeeze_at(x, CR_DIM_ARG(dim), CR_HERE)

/* the index-th slice along dim, without that dimension    d g there, 0 elsewhere */
CR_API cr_tensor *cr_select_at(cr_tensor *x, int dim, int64_t index, const char *site);
#define cr_select(x, dim, index) cr_select_at(x, dim, index, CR_HERE)

/* start, start + step, ... up to end along dim, which is left out    d g there, 0 elsewhere
 * Negative places count from the end, places outside are clipped; INT64_MAX is the end. A step
 * below 0 goes backwards, as in NumPy: INT64_MAX is then the last place, and INT64_MIN the end
 * before the first.
 * usage: cr_slice(x, 0, 1, INT64_MAX), cr_slice(x, -1, 0, 10, .step = 2),
 *        cr_slice(x, 0, INT64_MAX, INT64_MIN, .step = -1) */
typedef struct cr_slice_opts {
    const char *site CR_ZERO;
    int64_t step CR_ZERO; /* above or below 0; default 1 */
} cr_slice_opts;
CR_API cr_tensor *cr_slice_at(cr_tensor *x, int dim, int64_t start, int64_t end,
                              cr_slice_opts opts);
#define cr_slice(x, dim, start, ...)                             \
    cr_slice_at(x, dim, start, CR_FIRST(__VA_ARGS__, 0),         \
                CR_OPTS(cr_slice_opts, __VA_ARGS__))

/* `length` places along dim from start on (below 0: from the end); nothing is clipped    d as of
 * cr_slice */
CR_API cr_tensor *cr_narrow_at(cr_tensor *x, int dim, int64_t start, int64_t length,
                               const char *site);
#define cr_narrow(x, dim, start, length) cr_narrow_at(x, dim, start, length, CR_HERE)

/* windows of `size` elements along a dimension, each `step` (1 or more) behind the one before
 * Their elements are a new last dimension; x [n] gives [(n - size) / step + 1, size]. Rank 0 is
 * one element.    d to each place the sum of g in all windows that show it */
CR_API cr_tensor *cr_unfold_at(cr_tensor *x, int dimension, int64_t size, int64_t step,
                               const char *site);
#define cr_unfold(x, dimension, size, step) cr_unfold_at(x, dimension, size, step, CR_HERE)

/* the diagonal of each matrix in dim1, dim2, as a new last dimension    d g there, 0 elsewhere
 * offset above 0: so many columns right of it, below 0: rows below it; empty if there is none. */
CR_API cr_tensor *cr_diagonal_at(cr_tensor *x, int64_t offset, int dim1, int dim2,
                                 const char *site);
#define cr_diagonal(x, offset, dim1, dim2) cr_diagonal_at(x, offset, dim1, dim2, CR_HERE)

/* dims at other places, the others in their order around them    d g, moved back
 * Dim source[i] of x is dim destination[i] of the result: each a dim or a list. */
CR_API cr_tensor *cr_movedim_at(cr_tensor *x, cr_dims source, cr_dims destination,
                                const char *site);
#define cr_movedim(x, source, destination) \
    cr_movedim_at(x, CR_DIM_ARG(source), CR_DIM_ARG(destination), CR_HERE)

/* the dims from start_dim to end_dim as one (0 and -1: all)    d g, in the old shape
 * Rank 0 becomes [1]. */
CR_API cr_tensor *cr_flatten_at(cr_tensor *x, int start_dim, int end_dim, const char *site);
#define cr_flatten(x, start_dim, end_dim) cr_flatten_at(x, start_dim, end_dim, CR_HERE)

/* dim as several, whose sizes make it up; one may be -1    d g, in the old shape */
CR_API cr_tensor *cr_unflatten_at(cr_tensor *x, int dim, cr_dims sizes, const char *site);
#define cr_unflatten(x, dim, sizes) cr_unflatten_at(x, dim, CR_DIM_ARG(sizes), CR_HERE)

/* cr_expand, under NumPy's name */
CR_API cr_tensor *cr_broadcast_to_at(cr_tensor *x, cr_dims shape, const char *site);
#define cr_broadcast_to(x, shape) cr_broadcast_to_at(x, shape, CR_HERE)

/* k quarter turns from dims[0] to dims[1] (below 0: the other way)    d g, turned back */
CR_API cr_tensor *cr_rot90_at(cr_tensor *x, int64_t k, cr_dims dims, const char *site);
#define cr_rot90(x, k, dims) cr_rot90_at(x, k, dims, CR_HERE)

/* ---- several results ----
 *
 * They store the parts, of which there may not be more than capacity, and NULL behind them. They
 * return how many there are, or -1 with an error, all of parts being NULL then. All are views. */

/* x cut along dim into slices: each part has split_size (an int; the last may be smaller), or the
 * sizes of a list, whose sum is that of x; or there are `chunks` parts of one size, rounded up, so
 * that the last is smaller and there may be fewer    d g of the parts, joined
 * usage: cr_split(x, 2, 0, parts, n), cr_split(x, CR_DIMS(1, 3), 0, parts, 2),
 *        cr_chunk(x, 3, -1, parts, 3) */
CR_API int cr_split_at(cr_tensor *x, cr_dims split_size, int dim, cr_tensor **parts, int capacity,
                       const char *site);
CR_API int cr_chunk_at(cr_tensor *x, int64_t chunks, int dim, cr_tensor **parts, int capacity,
                       const char *site);
#define cr_split(x, split_size, dim, parts, capacity) \
    cr_split_at(x, CR_DIM_ARG(split_size), dim, parts, capacity, CR_HERE)
#define cr_chunk(x, chunks, dim, parts, capacity) \
    cr_chunk_at(x, chunks, dim, parts, capacity, CR_HERE)

/* all slices along dim, without that dimension    d g of the parts, stacked */
CR_API int cr_unbind_at(cr_tensor *x, int dim, cr_tensor **parts, int capacity, const char *site);
#define cr_unbind(x, dim, parts, capacity) cr_unbind_at(x, dim, parts, capacity, CR_HERE)

/* n vectors (or scalars) of one dtype, each repeated to the grid that they span    d g, summed
 * over the other dimensions. ij: vector i lies along dim i; xy: the first two dims are exchanged.
 * usage: cr_meshgrid((cr_tensor *[]){ a, b }, 2, parts, 2),
 *        cr_meshgrid(xs, n, parts, n, .indexing = CR_INDEXING_XY) */
typedef enum cr_indexing { CR_INDEXING_IJ, CR_INDEXING_XY } cr_indexing;
typedef struct cr_meshgrid_opts {
    const char *site CR_ZERO;
    cr_indexing indexing CR_ZERO;
} cr_meshgrid_opts;
CR_API int cr_meshgrid_at(cr_tensor *const *tensors, int n, cr_tensor **parts, int capacity,
                          cr_meshgrid_opts opts);
#define cr_meshgrid(tensors, n, parts, ...)                      \
    cr_meshgrid_at(tensors, n, parts, CR_FIRST(__VA_ARGS__, 0),  \
                   CR_OPTS(cr_meshgrid_opts, __VA_ARGS__))

/* ---- copies ---- */

/* places added before and behind the last dims    d g of x's places; where they were continued, the
 * sum of all that show them
 * pad: pairs of before and behind, of the last dim first; at most those of 4 dims. Numbers below 0
 * take away. Filled with value, or continued: reflect (at the outermost elements; less than the
 * size), replicate (these elements), circular (from the other side; at most the size).
 * usage: cr_pad(x, CR_DIMS(1, 1)), cr_pad(x, CR_DIMS(2, 2), .value = -1),
 *        cr_pad(x, CR_DIMS(1, 1, 2, 2), .mode = CR_MODE_REFLECT) */
typedef enum cr_pad_mode {
    CR_MODE_CONSTANT,
    CR_MODE_REFLECT,
    CR_MODE_REPLICATE,
    CR_MODE_CIRCULAR
} cr_pad_mode;
typedef struct cr_pad_opts {
    const char *site CR_ZERO;
    cr_pad_mode mode CR_ZERO;
    double value CR_ZERO;
} cr_pad_opts;
CR_API cr_tensor *cr_pad_at(cr_tensor *x, cr_dims pad, cr_pad_opts opts);
#define cr_pad(x, ...)                            \
    cr_pad_at(x, CR_FIRST(__VA_ARGS__, 0),        \
              CR_OPTS(cr_pad_opts, __VA_ARGS__))

/* x shifted along dims, what leaves at the end entering at the start    d g, shifted back
 * A shift for each of dims (which may repeat), or with CR_ALL one for all elements in a row.
 * usage: cr_roll(x, 1, CR_ALL), cr_roll(x, CR_DIMS(1, -2), CR_DIMS(0, 1)) */
CR_API cr_tensor *cr_roll_at(cr_tensor *x, cr_dims shifts, cr_dims dims, const char *site);
#define cr_roll(x, shifts, dims) \
    cr_roll_at(x, CR_DIM_ARG(shifts), CR_DIM_ARG(dims), CR_HERE)

/* x repeated, copy behind copy    d g, summed over the copies
 * cr_tile: dims[i] times along each of the last dims; cr_repeat: a count for each dim at least.
 * More counts than dims make new leading ones. */
CR_API cr_tensor *cr_tile_at(cr_tensor *x, cr_dims dims, const char *site);
CR_API cr_tensor *cr_repeat_at(cr_tensor *x, cr_dims repeats, const char *site);
#define cr_tile(x, dims) cr_tile_at(x, CR_DIM_ARG(dims), CR_HERE)
#define cr_repeat(x, repeats) cr_repeat_at(x, CR_DIM_ARG(repeats), CR_HERE)

/* each element along .dim repeated    d g, summed over the copies
 * repeats: a number, or a tensor of one count for each element, which is computed at once. Without
 * .dim x is one row.
 * usage: cr_repeat_interleave(x, 2), cr_repeat_interleave(x, counts, .dim = CR_INT(0)) */
typedef struct cr_repeat_interleave_opts {
    const char *site CR_ZERO;
    cr_opt_int dim CR_ZERO; /* default: x is one row */
} cr_repeat_interleave_opts;
CR_API cr_tensor *cr_repeat_interleave_at(cr_tensor *x, cr_arg repeats,
                                          cr_repeat_interleave_opts opts);
#define cr_repeat_interleave(x, ...)                                     \
    cr_repeat_interleave_at(x, CR_ARG(CR_FIRST(__VA_ARGS__, 0)),         \
                            CR_OPTS(cr_repeat_interleave_opts, __VA_ARGS__))

/* a matrix in two new dims, dim1 and dim2, with the last dim of x as its diagonal    d its diagonal
 * of g. 0 elsewhere; offset as above. */
CR_API cr_tensor *cr_diag_embed_at(cr_tensor *x, int64_t offset, int dim1, int dim2,
                                   const char *site);
#define cr_diag_embed(x, offset, dim1, dim2) cr_diag_embed_at(x, offset, dim1, dim2, CR_HERE)

/* of a vector the matrix that has it as its diagonal, of a matrix the diagonal    d as above */
CR_API cr_tensor *cr_diag_at(cr_tensor *x, int64_t diagonal, const char *site);
#define cr_diag(x, diagonal) cr_diag_at(x, diagonal, CR_HERE)

/* each matrix (of the last two dims) with 0 above, or below, its diagonal    d g, with 0 there
 * diagonal as offset above: what lies on it stays. */
CR_API cr_tensor *cr_tril_at(cr_tensor *x, int64_t diagonal, const char *site);
CR_API cr_tensor *cr_triu_at(cr_tensor *x, int64_t diagonal, const char *site);
#define cr_tril(x, diagonal) cr_tril_at(x, diagonal, CR_HERE)
#define cr_triu(x, diagonal) cr_triu_at(x, diagonal, CR_HERE)

/* x with its diagonal (as above) replaced by src    d g, 0 there; to src: g there */
CR_API cr_tensor *cr_diagonal_scatter_at(cr_tensor *x, cr_tensor *src, int64_t offset, int dim1,
                                         int dim2, const char *site);
#define cr_diagonal_scatter(x, src, offset, dim1, dim2) \
    cr_diagonal_scatter_at(x, src, offset, dim1, dim2, CR_HERE)

/* x with the slice (as above) replaced by src, shaped like it    d g, 0 there; to src: g there
 * usage: cr_slice_scatter(x, src, 0, 1, 3), cr_slice_scatter(x, src, 0, 0, 10, .step = 2) */
CR_API cr_tensor *cr_slice_scatter_at(cr_tensor *x, cr_tensor *src, int dim, int64_t start,
                                      int64_t end, cr_slice_opts opts);
#define cr_slice_scatter(x, src, dim, start, ...)                        \
    cr_slice_scatter_at(x, src, dim, start, CR_FIRST(__VA_ARGS__, 0),    \
                        CR_OPTS(cr_slice_opts, __VA_ARGS__))

/* n tensors joined along dim; their other sizes are equal    d g, each its part
 * usage: cr_cat((cr_tensor *[]){ a, b }, 2, 0) */
CR_API cr_tensor *cr_cat_at(cr_tensor *const *tensors, int n, int dim, const char *site);
#define cr_cat(...) cr_cat_at(__VA_ARGS__, CR_HERE)

/* n tensors of one shape joined along a new dim    d g, each its part
 * usage: cr_stack((cr_tensor *[]){ a, b }, 2, 0) */
CR_API cr_tensor *cr_stack_at(cr_tensor *const *tensors, int n, int dim, const char *site);
#define cr_stack(...) cr_stack_at(__VA_ARGS__, CR_HERE)

CR_END
#endif
