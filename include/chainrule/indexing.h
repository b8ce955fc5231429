/* Picking by index tensors. */
#ifndef CHAINRULE_INDEXING_H
#define CHAINRULE_INDEXING_H

#include "macros.h"

CR_BEGIN

/* Indices are i64, i32 or u8. An index outside is an error of the run. All that is
 * added to one element is summed as cr_sum() does, in an order that depends on the index alone; so
 * are the gradients of these operations. */

/* x[i,index[i,j,k],k] for dim 1    d g, added up where x was read
 * The result has index's shape, which must fit into x's outside dim. */
CR_API cr_tensor *cr_gather_at(cr_tensor *x, int dim, cr_tensor *index, const char *site);
#define cr_gather(x, dim, index) cr_gather_at(x, dim, index, CR_HERE)

/* x with x[i,index[i,j,k],k] += src[i,j,k]: gather's adjoint    d g; to src: gathered
 * x is added to the sum. */
CR_API cr_tensor *cr_scatter_add_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *src,
                                    const char *site);
#define cr_scatter_add(x, dim, index, src) cr_scatter_add_at(x, dim, index, src, CR_HERE)

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

CR_END
#endif
