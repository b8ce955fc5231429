/* What the operations on index tensors share: the check of an index, elements moved,
 * and the walk over an index that names a place for every element. */
#ifndef CR_OPS_PICK_H
#define CR_OPS_PICK_H

#include "attrs.h"
#include "opaque.h"

/* dims.v[i], rank 0 being seen as [1]. */
CR__INLINE int64_t cr__size_at(const cr_dims *dims, int64_t i)
{
    return i < dims->n ? dims->v[i] : 1;
}

/* The stride along a dim, 0 of rank 0: its one element stands for all. */
CR__INLINE int64_t cr__stride_at(const cr_array *x, int64_t i)
{
    return i < x->dims.n ? x->strides[i] : 0;
}

CR__INLINE void cr__move_one(void *to, int64_t at, const void *from, int64_t i,
                             size_t size)
{
    if (size == 4)
        memcpy((char *)to + 4 * at, (const char *)from + 4 * i, 4);
    else if (size == 8)
        memcpy((char *)to + 8 * at, (const char *)from + 8 * i, 8);
    else if (size == 2)
        memcpy((char *)to + 2 * at, (const char *)from + 2 * i, 2);
    else
        ((char *)to)[at] = ((const char *)from)[i];
}

/* to[at + i] += alpha from[first + i] for i < n, of integers: they wrap. */
void cr__add_integers(cr_dtype dtype, void *to, int64_t at, const void *from,
                      int64_t first, int64_t n, int64_t alpha);

/* Whether all of input 1 are places along dim of input 0; that of an entry whose
 * attributes are a dim. */
cr_status cr__check_indices(const cr_kernel *kernel, int64_t dim);
cr_status cr__check_along_dim(const cr_kernel *kernel);

/* Shape rules: whether x (input 0), index (1) and what is taken to places of x (2, if
 * there is one) fit each other along dim, which is resolved: index may be smaller than
 * both outside dim. An empty one may have any rank, as in PyTorch. */
cr_status cr__pick_shape(cr_infer *infer, int64_t *dim);

/* Whether x and what is added to it are numbers of one type. */
bool cr__addable(cr_infer *infer);

/* The walk over an index, in rows along its last dimension, cut along another one than
 * dim, if there is one, into chunks: what points to one place is met in the index's
 * order, by one thread. */
typedef struct cr__pick_strides {
    int64_t strides[CR_MAX_DIMS];
} cr__pick_strides;
typedef struct cr__pick_place {
    int64_t index, each, other;
} cr__pick_place;
typedef struct cr__pick cr__pick;

/* n neighbours of the index, from the place on. */
typedef void cr__pick_row(const cr__pick *w, cr__pick_place p, int64_t n);
struct cr__pick {
    const cr_kernel *kernel;
    cr__pick_row *row;
    int ndim, dim, axis;
    int64_t chunks;
    int64_t dims[CR_MAX_DIMS];    /* of the index */
    cr__pick_strides index, each; /* each: what has an element for each of the index */
    cr__pick_strides other;       /* what the index points into; 0 at dim */
    int64_t step;                 /* of that along dim */
};

cr__pick cr__pick_begin(const cr_kernel *kernel, const cr_array *each,
                        const cr_array *other, int64_t dim);

/* Where element `at` of the index is in the three arrays. */
cr__pick_place cr__pick_at(const cr__pick *w, const int64_t *at);

/* Where the i-th of a row points to in `other`. */
CR__INLINE int64_t cr__pick_other(const cr__pick *w, cr__pick_place p, int64_t i)
{
    int last = w->ndim - 1;
    int64_t index = cr__index_load(&w->kernel->in[1], p.index + i);
    return p.other + i * w->other.strides[last] + index * w->step;
}

/* The same of n from the i-th on. */
void cr__pick_others(const cr__pick *w, cr__pick_place p, int64_t i, int64_t n,
                     int64_t *places);

/* The whole walk, row by row. */
void cr__pick_all(cr__pick *w, cr__pick_row *row);

/* g, which has a row-major element for each of the index, as the cotangent of src,
 * whose elements behind those of the index were not read. */
cr_tensor *cr__pick_source(cr_tensor *g, cr_tensor *src);

/* Whether each element of the index is the last that points to its place of a tensor
 * of shape dims. */
cr_tensor *cr__pick_last(cr_tensor *index, cr_dims dims, int64_t dim);

#endif
