/* Picking by index tensors. */
#ifndef CHAINRULE_INDEXING_H
#define CHAINRULE_INDEXING_H

#include "macros.h"

CR_BEGIN

/* Picking by index tensors (i64, i32 or u8). An index outside is an error of the run.
 *
 *     gather        out[i,j,k] = x[i,index[i,j,k],k] (for dim 1): index's shape, which must fit
 *                   into x's outside dim; the gradient is added up where x was read
 *     scatter_add   x with x[i,index[i,j,k],k] += src[i,j,k]: gather's adjoint. All that points
 *                   to one element is summed as cr_sum() does, in an order that depends on the
 *                   index alone; x is added to the sum. So are the gradients of these operations.
 *     index_select  whole slices along dim, index of rank 0 or 1
 *     index_add     x with .alpha (default 1) times the slices of source added to those at index
 *                   along dim: index_select's adjoint; sums as those of scatter_add
 *     embedding     out[.., :] = weight[index[..], :], weight [count, width]; rows of
 *                   .padding_idx get no gradient
 *     one_hot       i64 ones at index along a new last dimension of num_classes; -1 looks for
 *                   the largest index, and so computes index at once
 */
CR_API cr_tensor *cr_gather_at(cr_tensor *x, int dim, cr_tensor *index, const char *site);
CR_API cr_tensor *cr_scatter_add_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *src,
                                    const char *site);
CR_API cr_tensor *cr_index_select_at(cr_tensor *x, int dim, cr_tensor *index, const char *site);
CR_API cr_tensor *cr_one_hot_at(cr_tensor *index, int64_t num_classes, const char *site);
typedef struct cr_index_add_opts {
    const char *site CR_ZERO;
    cr_opt_real alpha CR_ZERO; /* default 1 */
} cr_index_add_opts;
CR_API cr_tensor *cr_index_add_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *source,
                                  cr_index_add_opts opts);
#define cr_index_add(x, dim, index, ...)                             \
    cr_index_add_at(x, dim, index, CR_FIRST(__VA_ARGS__, 0),         \
                    CR_OPTS(cr_index_add_opts, __VA_ARGS__))
#define cr_gather(x, dim, index) cr_gather_at(x, dim, index, CR_HERE)
#define cr_scatter_add(x, dim, index, src) cr_scatter_add_at(x, dim, index, src, CR_HERE)
#define cr_index_select(x, dim, index) cr_index_select_at(x, dim, index, CR_HERE)
#define cr_one_hot(index, num_classes) cr_one_hot_at(index, num_classes, CR_HERE)

typedef struct cr_embedding_opts {
    const char *site CR_ZERO;
    cr_opt_int padding_idx CR_ZERO; /* default none */
} cr_embedding_opts;
CR_API cr_tensor *cr_embedding_at(cr_tensor *weight, cr_tensor *index, cr_embedding_opts opts);
#define cr_embedding(weight, ...)                            \
    cr_embedding_at(weight, CR_FIRST(__VA_ARGS__, 0),        \
                    CR_OPTS(cr_embedding_opts, __VA_ARGS__))

CR_END
#endif
