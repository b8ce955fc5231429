/* Picking by index tensors and masks, and putting. */
#ifndef CHAINRULE_INDEXING_H
#define CHAINRULE_INDEXING_H

#include "macros.h"

CR_BEGIN

/* Indices are i64, i32 or u8. An index outside is an error of the run. All that is
 * added to one element is summed as cr_sum() does, in an order that depends on the index alone; so
 * are the gradients of these operations. What is put to one element, or multiplied, goes there in
 * the index's row-major order: of several that are put to one place the last stays. Rank 0 is taken
 * as rank 1 with one element: an index of rank 0 or 1 fits. */

/* x[i,index[i,j,k],k] for dim 1    d g, added up where x was read
 * The result has index's shape, which must fit into x's outside dim. */
CR_API cr_tensor *cr_gather_at(cr_tensor *x, int dim, cr_tensor *index, const char *site);
#define cr_gather(x, dim, index) cr_gather_at(x, dim, index, CR_HERE)

/* x with x[i,index[i,j,k],k] += src[i,j,k]: gather's adjoint    d g; to src: gathered
 * x is added to the sum. index must fit into src too; what of src is behind it is not read. */
CR_API cr_tensor *cr_scatter_add_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *src,
                                    const char *site);
#define cr_scatter_add(x, dim, index, src) cr_scatter_add_at(x, dim, index, src, CR_HERE)

/* x with x[i,index[i,j,k],k] = src[i,j,k] for dim 1, the last of several; src is a number, a tensor
 * of rank 0, or one that index fits into    d g, 0 where something was put; to src: gathered, 0 for
 * what did not stay
 * usage: cr_scatter(x, 0, index, src), cr_scatter(x, 0, index, 1) */
CR_API cr_tensor *cr_scatter_at(cr_tensor *x, int dim, cr_tensor *index, cr_arg src,
                                const char *site);
#define cr_scatter(x, dim, index, ...) \
    cr_scatter_at(x, dim, index, CR_ARG(__VA_ARGS__), CR_HERE)

/* x with everything that src puts to a place, and with what x has there unless .include_self is
 * false, reduced to one; elements that nothing is put to stay as they are. A mean is the sum over
 * the count, of integers rounded down; amax and amin of a NaN are NaN    d sum: g; mean: g / count;
 * prod: g times the product of all others, also where it has zeros; amax, amin: g shared evenly by
 * all that are the extremum, or NaN. To x: 0 where it was not included.
 * Second derivatives of a product are right with zeros too, third ones with at most one.
 * usage: cr_scatter_reduce(x, 0, index, src, CR_REDUCE_PROD),
 *        cr_scatter_reduce(x, 0, index, src, CR_REDUCE_AMAX, .include_self = CR_INT(false)) */
typedef enum cr_reduce {
    CR_REDUCE_SUM,
    CR_REDUCE_PROD,
    CR_REDUCE_MEAN,
    CR_REDUCE_AMAX,
    CR_REDUCE_AMIN
} cr_reduce;
typedef struct cr_scatter_reduce_opts {
    const char *site CR_ZERO;
    cr_opt_int include_self CR_ZERO; /* default true */
} cr_scatter_reduce_opts;
CR_API cr_tensor *cr_scatter_reduce_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *src,
                                       cr_reduce reduce, cr_scatter_reduce_opts opts);
#define cr_scatter_reduce(x, dim, index, src, ...)                           \
    cr_scatter_reduce_at(x, dim, index, src, CR_FIRST(__VA_ARGS__, 0),       \
                         CR_OPTS(cr_scatter_reduce_opts, __VA_ARGS__))

/* gather whose x and index, of one rank, broadcast outside .dim; without it, of both as lists.
 * Negative indices count from the end    d g, added up where x was read
 * usage: cr_take_along_dim(x, cr_argsort(x, 1), .dim = CR_INT(1)), cr_take_along_dim(x, index) */
typedef struct cr_take_along_dim_opts {
    const char *site CR_ZERO;
    cr_opt_int dim CR_ZERO; /* default none */
} cr_take_along_dim_opts;
CR_API cr_tensor *cr_take_along_dim_at(cr_tensor *x, cr_tensor *index,
                                       cr_take_along_dim_opts opts);
#define cr_take_along_dim(x, ...)                                \
    cr_take_along_dim_at(x, CR_FIRST(__VA_ARGS__, 0),            \
                         CR_OPTS(cr_take_along_dim_opts, __VA_ARGS__))

/* whole slices along dim, index of rank 0 or 1    d g, added up where x was read */
CR_API cr_tensor *cr_index_select_at(cr_tensor *x, int dim, cr_tensor *index, const char *site);
#define cr_index_select(x, dim, index) cr_index_select_at(x, dim, index, CR_HERE)

/* x with alpha times source's slices added to those at index along dim    d g; to source: alpha g
 * index_select's adjoint.
 * usage: cr_index_add(x, 0, index, source),
 *        cr_index_add(x, 0, index, source, .alpha = CR_REAL(-1)) */
typedef struct cr_index_add_opts {
    const char *site CR_ZERO;
    cr_opt_real alpha CR_ZERO; /* default 1 */
} cr_index_add_opts;
CR_API cr_tensor *cr_index_add_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *source,
                                  cr_index_add_opts opts);
#define cr_index_add(x, dim, index, ...)                             \
    cr_index_add_at(x, dim, index, CR_FIRST(__VA_ARGS__, 0),         \
                    CR_OPTS(cr_index_add_opts, __VA_ARGS__))

/* x with source's slices in place of those at index along dim, the last of several    d g, 0 where
 * something was put; to source: selected, 0 for what did not stay */
CR_API cr_tensor *cr_index_copy_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *source,
                                   const char *site);
#define cr_index_copy(x, dim, index, source) cr_index_copy_at(x, dim, index, source, CR_HERE)

/* x with x[indices[0], indices[1], ..] = values, or += values if .accumulate, for n index tensors,
 * of the first n dims, that broadcast with each other; values broadcasts to their common shape and
 * the dims of x behind. Negative indices count from the end. A bool tensor among them is a mask
 * over as many dims as it has, and is computed while this is recorded    d g, 0 where something was
 * put (g if accumulating); to values: g there, 0 for what did not stay
 * usage: cr_index_put(x, &index, 1, values),
 *        cr_index_put(x, CR_ARRAY(cr_tensor *, rows, columns), 2, values, .accumulate = true) */
typedef struct cr_index_put_opts {
    const char *site CR_ZERO;
    bool accumulate CR_ZERO;
} cr_index_put_opts;
CR_API cr_tensor *cr_index_put_at(cr_tensor *x, cr_tensor *const *indices, int n,
                                  cr_tensor *values, cr_index_put_opts opts);
#define cr_index_put(x, indices, n, ...)                               \
    cr_index_put_at(x, indices, n, CR_FIRST(__VA_ARGS__, 0),           \
                    CR_OPTS(cr_index_put_opts, __VA_ARGS__))

/* value, a number or a tensor of rank 0, where the bool mask is true, else x; they broadcast    d g
 * where false; to value: the sum where true
 * usage: cr_masked_fill(x, mask, -INFINITY) */
CR_API cr_tensor *cr_masked_fill_at(cr_tensor *x, cr_tensor *mask, cr_arg value,
                                    const char *site);
#define cr_masked_fill(x, mask, ...) cr_masked_fill_at(x, mask, CR_ARG(__VA_ARGS__), CR_HERE)

/* i64 ones at index along a new last dimension of num_classes    d none
 * -1 looks for the largest index, and so computes index at once. */
CR_API cr_tensor *cr_one_hot_at(cr_tensor *index, int64_t num_classes, const char *site);
#define cr_one_hot(index, num_classes) cr_one_hot_at(index, num_classes, CR_HERE)

/* weight[index[..], :], weight [count, width]    d g, added up by row; rows of padding_idx get 0
 * usage: cr_embedding(weight, index), cr_embedding(weight, index, .padding_idx = CR_INT(0)) */
typedef struct cr_embedding_opts {
    const char *site CR_ZERO;
    cr_opt_int padding_idx CR_ZERO; /* default none */
} cr_embedding_opts;
CR_API cr_tensor *cr_embedding_at(cr_tensor *weight, cr_tensor *index, cr_embedding_opts opts);
#define cr_embedding(weight, ...)                            \
    cr_embedding_at(weight, CR_FIRST(__VA_ARGS__, 0),        \
                    CR_OPTS(cr_embedding_opts, __VA_ARGS__))

/* The shapes of these depend on data: they compute their argument at once, of masked_select the
 * mask, of bincount x, while they are recorded. What they find stays what it was, whatever is
 * assigned later. */

/* i64 [count, rank], the indices of what is not 0, in row-major order    d none
 * NaN is not 0. */
CR_API cr_tensor *cr_nonzero_at(cr_tensor *x, const char *site);
#define cr_nonzero(x) cr_nonzero_at(x, CR_HERE)

/* a list of the elements of x where the bool mask is true, row-major; they broadcast    d g, put
 * where x was read */
CR_API cr_tensor *cr_masked_select_at(cr_tensor *x, cr_tensor *mask, const char *site);
#define cr_masked_select(x, mask) cr_masked_select_at(x, mask, CR_HERE)

/* a list of the different elements of x, ascending    d none
 * *.inverse, shaped like x, gets the place in it of each element of x, *.counts how many there are
 * of each; both i64. 0 and -0 are one element, each NaN is one of its own, behind all others.
 * usage: cr_unique(x), cr_unique(x, .inverse = &inverse, .counts = &counts) */
typedef struct cr_unique_opts {
    const char *site CR_ZERO;
    cr_tensor **inverse CR_ZERO;
    cr_tensor **counts CR_ZERO;
} cr_unique_opts;
CR_API cr_tensor *cr_unique_at(cr_tensor *x, cr_unique_opts opts);
#define cr_unique(...) \
    cr_unique_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_unique_opts, __VA_ARGS__))

/* how often each of 0, 1, .. up to the largest of x, a list of integers, is in x: i64. With weights
 * their sums: floats, of integers f64    d to weights: g[x]
 * At least minlength long. A negative element is an error.
 * usage: cr_bincount(x), cr_bincount(x, .weights = weights, .minlength = 10) */
typedef struct cr_bincount_opts {
    const char *site CR_ZERO;
    cr_tensor *weights CR_ZERO;
    int64_t minlength CR_ZERO;
} cr_bincount_opts;
CR_API cr_tensor *cr_bincount_at(cr_tensor *x, cr_bincount_opts opts);
#define cr_bincount(...) \
    cr_bincount_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_bincount_opts, __VA_ARGS__))

CR_END
#endif
