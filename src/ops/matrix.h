/* What the operations on matrices share: batches of them, computed one by one in f64. */
#ifndef CR_OPS_MATRIX_H
#define CR_OPS_MATRIX_H

#include "../kernel/matrices.h"
#include "opaque.h"
#include "ops.h"

/* Sizes of the last two dims, and how many matrices there are. */
typedef struct cr__matrices {
    int64_t count, rows, columns;
} cr__matrices;
cr__matrices cr__matrices_of(cr_dims dims);

/* Shape rules of an input [.., m, n], and of one [.., n, n]. */
bool cr__takes_matrices(cr_infer *infer, int input);
bool cr__takes_squares(cr_infer *infer, int input);
/* All inputs are [.., n, n], of one shape. */
cr_status cr__squares_shape(cr_infer *infer);

/* One matrix of a batch, by a worker with `work` to itself: returns -1, or the place at which it
 * failed. */
typedef int64_t cr__matrix_fn(const cr_kernel *kernel, int64_t matrix, double *work);

/* How many doubles of work that takes: of the first input's matrices [m, n], and the last size of the
 * result, k. In doubles, for what is no number of bytes. */
typedef double cr__matrix_work(double m, double n, double k);

/* Calls one() for all matrices; after failures the message names the first: "matrix 3 " and what,
 * which may have a %lld for the place. And how much scratch that takes. */
cr_status cr__each_matrix(const cr_kernel *kernel, cr__matrix_fn *one, const char *what,
                          cr__matrix_work *work);
size_t cr__matrix_scratch(const cr_tensor *out, cr__matrix_work *work);

/* NAME_kernel() and NAME_scratch(), of NAME_one() with WORK, in m, n and k. */
#define CR__EACH_MATRIX(NAME, WHAT, WORK)                              \
    static double NAME##_work(double m, double n, double k)            \
    {                                                                  \
        (void)m, (void)n, (void)k;                                     \
        return WORK;                                                   \
    }                                                                  \
    static cr_status NAME##_kernel(const cr_kernel *kernel)            \
    {                                                                  \
        return cr__each_matrix(kernel, NAME##_one, WHAT, NAME##_work); \
    }                                                                  \
    static size_t NAME##_scratch(const cr_tensor *out)                 \
    {                                                                  \
        return cr__matrix_scratch(out, NAME##_work);                   \
    }

/* n elements of an input, or of the result, from a place on, as doubles. Return behind the last. */
double *cr__matrix_load(const cr_array *x, int64_t at, int64_t n, double *to);
void cr__matrix_store(const cr_array *x, int64_t at, int64_t n, const double *from);

/* The next n elements of the last dim of a packed result, as [.., rows, columns]; columns -1: as
 * [.., rows]. */
cr_tensor *cr__unpack_matrix(cr_tensor *packed, int64_t *at, int64_t rows,
                             int64_t columns);

/* [n, n], true at (i, j) if i - j is above `above`. */
cr_tensor *cr__below_diagonal(cr_ctx *ctx, int64_t n, int64_t above);

/* x and its transpose, each half. */
cr_tensor *cr__symmetric(cr_tensor *x);

/* x y, of which some are to be transposed. */
cr_tensor *cr__product(cr_tensor *x, bool x_t, cr_tensor *y, bool y_t);

#endif
