/* Matrix products. */
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

CR_END
#endif
