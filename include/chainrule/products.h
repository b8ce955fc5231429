/* Matrix products, and products of tensors by the names of their dimensions. */
#ifndef CHAINRULE_PRODUCTS_H
#define CHAINRULE_PRODUCTS_H

#include "macros.h"

CR_BEGIN

/* x @ other, the matrix product of the last two dimensions    d g @ other^T, x^T @ g
 * [.., m, k] @ [.., k, n], leading ones broadcast; a rank-1 operand is a row on the left, a column
 * on the right, and its dimension is dropped. Transposed operands are read in place. Floats. */
CR_API cr_tensor *cr_matmul_at(cr_tensor *x, cr_tensor *other, const char *site);
#define cr_matmul(x, other) cr_matmul_at(x, other, CR_HERE)

/* x weight^T + bias    d g weight, g^T x, the sum of g
 * x [.., in], weight [out, in] (or [in]), bias [out] or NULL. */
CR_API cr_tensor *cr_linear_at(cr_tensor *x, cr_tensor *weight, cr_tensor *bias, const char *site);
#define cr_linear(x, weight, bias) cr_linear_at(x, weight, bias, CR_HERE)

/* matrix products that insist on their ranks    d as of cr_matmul
 * cr_bmm: [b, m, k] @ [b, k, n]; cr_mv: [m, k] @ [k]; cr_dot: [k] @ [k]. Floats. */
CR_API cr_tensor *cr_bmm_at(cr_tensor *x, cr_tensor *other, const char *site);
CR_API cr_tensor *cr_mv_at(cr_tensor *x, cr_tensor *vec, const char *site);
CR_API cr_tensor *cr_dot_at(cr_tensor *x, cr_tensor *other, const char *site);
#define cr_bmm(x, other) cr_bmm_at(x, other, CR_HERE)
#define cr_mv(x, vec) cr_mv_at(x, vec, CR_HERE)
#define cr_dot(x, other) cr_dot_at(x, other, CR_HERE)

/* beta x + alpha (a @ b)    d beta g, summed where x repeats; alpha g @ b^T, alpha a^T @ g
 * a [m, k], b [k, n], and x broadcasts to [m, n]. beta 0: whatever x is, NaN too, does not matter;
 * alpha 0: nor does the product. Floats.
 * usage: cr_addmm(x, a, b), cr_addmm(x, a, b, .beta = CR_REAL(0), .alpha = CR_REAL(0.5)) */
typedef struct cr_addmm_opts {
    const char *site CR_ZERO;
    cr_opt_real beta CR_ZERO;  /* default 1 */
    cr_opt_real alpha CR_ZERO; /* default 1 */
} cr_addmm_opts;
CR_API cr_tensor *cr_addmm_at(cr_tensor *x, cr_tensor *a, cr_tensor *b, cr_addmm_opts opts);
#define cr_addmm(x, a, ...)                           \
    cr_addmm_at(x, a, CR_FIRST(__VA_ARGS__, 0),       \
                CR_OPTS(cr_addmm_opts, __VA_ARGS__))

/* x_i other_j of two vectors    d g other, g^T x */
CR_API cr_tensor *cr_outer_at(cr_tensor *x, cr_tensor *other, const char *site);
#define cr_outer(x, other) cr_outer_at(x, other, CR_HERE)

/* the Kronecker product: other times each element of x, in its place    d sums of g other, g x
 * Sizes multiply; the one with fewer dimensions gets leading ones. Dimensions that are larger than
 * 1 in both count twice, and there may be 8. */
CR_API cr_tensor *cr_kron_at(cr_tensor *x, cr_tensor *other, const char *site);
#define cr_kron(x, other) cr_kron_at(x, other, CR_HERE)

/* the sum of products over all indices that the output lacks, in Einstein's notation
 *
 *     "ij,jk->ik"      a matrix product; without "->ik" the same: what occurs once, by alphabet
 *     "bij,bjk->bik"   of batches           "i,j->ij"   an outer product
 *     "ii->i", "ii"    diagonal, trace      "ij->j"     a sum
 *     "...ij,...jk"    an ellipsis stands for any leading (or other) dimensions, which broadcast
 *
 * Indices are letters, spaces do not matter. A size of 1 repeats where the index has another size
 * elsewhere. Two operands at a time, from left to right, become one batched matrix product (or an
 * ordinary one, where nothing is added up); what only one of them has is summed before. Products
 * with a sum take floats.    d the products of g with the other operands, summed likewise
 * A wrong equation is an error that names the character. The macro takes up to 10 tensors.
 * usage: cr_einsum("ij,jk->ik", a, b), cr_einsum("ii", a) */
CR_API cr_tensor *cr_einsum_at(const char *equation, cr_tensor *const *tensors, int n,
                               const char *site);
#define cr_einsum(equation, ...) \
    cr_einsum_at(equation, CR_ARRAY(cr_tensor *, __VA_ARGS__), CR_COUNT(__VA_ARGS__), CR_HERE)

/* the sum over pairs of dims    d as of cr_einsum
 * dims: a number n, of the last n dims of x with the first n of other; or a list of dims of x and,
 * as many, of other: CR_DIMS(0, 1, 2, 0) pairs 0 with 2 and 1 with 0. The other dims remain, those
 * of x first. Floats. */
CR_API cr_tensor *cr_tensordot_at(cr_tensor *x, cr_tensor *other, cr_dims dims, const char *site);
#define cr_tensordot(x, other, dims) cr_tensordot_at(x, other, CR_DIM_ARG(dims), CR_HERE)

/* the sum of x_i weight_oij y_j over i and j, and bias_o    d as of cr_einsum
 * x [.., in1], y [.., in2], weight [out, in1, in2], bias [out] or NULL. Floats. */
CR_API cr_tensor *cr_bilinear_at(cr_tensor *x, cr_tensor *y, cr_tensor *weight, cr_tensor *bias,
                                 const char *site);
#define cr_bilinear(x, y, weight, bias) cr_bilinear_at(x, y, weight, bias, CR_HERE)

CR_END
#endif
