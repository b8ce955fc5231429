/* What kernels of opaque operations share: index arrays, and cutting work into chunks. */
#ifndef CR_OPS_OPAQUE_H
#define CR_OPS_OPAQUE_H

#include "../graph/graph.h"

/* Element i of an array of i64, i32 or u8. */
CR__INLINE int64_t cr__index_load(const cr_array *index, int64_t i)
{
    return index->dtype == CR_I64   ? ((const int64_t *)index->data)[i]
           : index->dtype == CR_I32 ? ((const int32_t *)index->data)[i]
                                    : ((const uint8_t *)index->data)[i];
}

/* The first element of an index that is not in 0..size-1, nor *except (may be NULL), and
 * its place; -1: there is none. For checks. */
int64_t cr__index_outside(const cr_array *index, int64_t size, const int64_t *except,
                          int64_t *found);

/* A kernel's input where it lies, also one that is fetched. */
cr__strided cr__array_strided(const cr_array *x);

/* Copies an input into out, unless it is there, or into the place `to` of out, which has
 * its shape or, in row-major order, its elements. On all threads. */
void cr__copy_input(const cr_kernel *kernel, int input);
void cr__store_input(const cr_kernel *kernel, int input, const cr__strided *to);

/* How the result lies: row-major. */
cr__layout cr__whole_result(const cr_kernel *kernel);

/* A kernel whose result is input 0 with a part of it, which lies like this, replaced by input 1.
 * And for its shape rule: whether src has the dtype of x, and the shape of the part. */
void cr__replace_part(const cr_kernel *kernel, const cr__layout *part);
cr_status cr__fits_part(cr_infer *infer, const char *what, cr_dims part);

/* Whether dtype is one of those; the error of a shape rule if it is not. */
bool cr__index_dtype(cr_infer *infer, int input);

/* The place of element i of an array as text, "[2, 0]". */
const char *cr__place_text(const cr_array *x, int64_t i, char *text, size_t capacity);

/* An array seen as lines along one dim: [outer, n, inner], the elements of a line `inner`
 * apart. Rank 0 is one line of one element. */
typedef struct cr__lines {
    int64_t outer, n, inner;
} cr__lines;
cr__lines cr__lines_along(cr_dims dims, int64_t dim);

/* How many chunks `work` is best cut into, at most `grains`: cr__chunks(). The unit of
 * work is about a nanosecond. */
int64_t cr__kernel_chunks(const cr_kernel *kernel, int64_t work, int64_t grains);

#endif
