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

/* start, start + step, ... below end along dim    d g there, 0 elsewhere
 * Negative places count from the end, places outside are clipped; INT64_MAX is the end.
 * usage: cr_slice(x, 0, 1, INT64_MAX), cr_slice(x, -1, 0, 10, .step = 2) */
typedef struct cr_slice_opts {
    const char *site CR_ZERO;
    int64_t step CR_ZERO; /* above 0; default 1 */
} cr_slice_opts;
CR_API cr_tensor *cr_slice_at(cr_tensor *x, int dim, int64_t start, int64_t end,
                              cr_slice_opts opts);
#define cr_slice(x, dim, start, ...)                             \
    cr_slice_at(x, dim, start, CR_FIRST(__VA_ARGS__, 0),         \
                CR_OPTS(cr_slice_opts, __VA_ARGS__))

/* x cut along dim into slices, which are views: each part has `size` (an int; the last may be
 * smaller), or the sizes of a list, whose sum is that of x; or there are `chunks` parts of one
 * size, rounded up, so that the last is smaller and there may be fewer. Stores the parts, of which
 * there may not be more than capacity, and NULL behind them. Returns how many there are, or -1 with
 * an error, all of parts being NULL then.
 * usage: cr_split(x, 2, 0, parts, n), cr_split(x, CR_DIMS(1, 3), 0, parts, 2),
 *        cr_chunk(x, 3, -1, parts, 3) */
CR_API int cr_split_at(cr_tensor *x, cr_dims sizes, int dim, cr_tensor **parts, int capacity,
                       const char *site);
CR_API int cr_chunk_at(cr_tensor *x, int64_t chunks, int dim, cr_tensor **parts, int capacity,
                       const char *site);
#define cr_split(x, size, dim, parts, capacity) \
    cr_split_at(x, CR_DIM_ARG(size), dim, parts, capacity, CR_HERE)
#define cr_chunk(x, chunks, dim, parts, capacity) \
    cr_chunk_at(x, chunks, dim, parts, capacity, CR_HERE)

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
