/* Linear algebra of small dense matrices, in batches: the last two dims are a matrix.
 *
 * Computed in f64 by plain methods of our own, one matrix a thread; results of f32 are rounded
 * once. Where a factorisation is not unique its signs are LAPACK's, or say nothing. Derivatives of
 * vectors that belong to equal values do not exist; what such pairs would send down is left out,
 * so that what depends on the values alone, or on the space of the vectors, has its true, finite
 * gradient. In the formulas y^T is the transpose, y^-T the inverse's. */
#ifndef CHAINRULE_LINALG_H
#define CHAINRULE_LINALG_H

#include "macros.h"

CR_BEGIN

/* The lower triangular L with L L^T = x, or with .upper its transpose; x symmetric, of which that
 * triangle is read    d L^-T p L^-1 made symmetric, p the lower triangle of L^T g, its diagonal
 * halved. CR_ERR_VALUE if a matrix is not positive definite.
 * usage: cr_cholesky(x), cr_cholesky(x, .upper = true) */
typedef struct cr_cholesky_opts {
    const char *site CR_ZERO;
    bool upper CR_ZERO;
} cr_cholesky_opts;
CR_API cr_tensor *cr_cholesky_at(cr_tensor *x, cr_cholesky_opts opts);
#define cr_cholesky(...) \
    cr_cholesky_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_cholesky_opts, __VA_ARGS__))

/* The y with x y = b, b [.., n, m], or with .left = CR_INT(0) that with y x = b, b [.., m, n]; x
 * is a triangle: upper, or lower; .unitriangular: its diagonal counts as ones, and is not read.
 * Leading dims broadcast. A 0 on the diagonal divides.    d to b z = x^-T g, to x that triangle of
 * -z y^T
 * usage: cr_solve_triangular(x, b, true), cr_solve_triangular(x, b, false, .left = CR_INT(0)) */
typedef struct cr_solve_triangular_opts {
    const char *site CR_ZERO;
    cr_opt_int left CR_ZERO; /* default CR_INT(1) */
    bool unitriangular CR_ZERO;
} cr_solve_triangular_opts;
CR_API cr_tensor *cr_solve_triangular_at(cr_tensor *x, cr_tensor *b, bool upper,
                                         cr_solve_triangular_opts opts);
#define cr_solve_triangular(x, b, ...)                         \
    cr_solve_triangular_at(x, b, CR_FIRST(__VA_ARGS__, 0),     \
                           CR_OPTS(cr_solve_triangular_opts, __VA_ARGS__))

/* The same for any square x, by elimination with row exchanges; b may also be vectors: [n], or x's
 * shape without its last dim. CR_ERR_VALUE if a matrix is singular (a pivot is 0).
 * usage: cr_solve(x, b), cr_solve(x, b, .left = CR_INT(0)) */
typedef struct cr_solve_opts {
    const char *site CR_ZERO;
    cr_opt_int left CR_ZERO; /* default CR_INT(1) */
} cr_solve_opts;
CR_API cr_tensor *cr_solve_at(cr_tensor *x, cr_tensor *b, cr_solve_opts opts);
#define cr_solve(x, ...) \
    cr_solve_at(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_solve_opts, __VA_ARGS__))

/* x^-1    d -y^T g y^T; CR_ERR_VALUE if a matrix is singular */
CR_API cr_tensor *cr_inv_at(cr_tensor *x, const char *site);
#define cr_inv(x) cr_inv_at(x, CR_HERE)

/* The determinant, [..]; 1 of an empty matrix    d g times the cofactors, which are det(x) x^-T
 * where x has an inverse, and right where it has none; so are second derivatives, and there are no
 * third */
CR_API cr_tensor *cr_det_at(cr_tensor *x, const char *site);
#define cr_det(x) cr_det_at(x, CR_HERE)

/* The sign of the determinant, -1, 0 or 1, and in *logabsdet (may be NULL) ln |det x|, -inf if it
 * is 0 d to the sign none, g x^-T to the logarithm. usage: cr_slogdet(x, &logabsdet) */
CR_API cr_tensor *cr_slogdet_at(cr_tensor *x, cr_tensor **logabsdet, const char *site);
#define cr_slogdet(x, logabsdet) cr_slogdet_at(x, logabsdet, CR_HERE)

/* The sum of x^k / k!    d the same of [[x^T, g], [0, x^T]], its upper right part; Higham, 2005 */
CR_API cr_tensor *cr_matrix_exp_at(cr_tensor *x, const char *site);
#define cr_matrix_exp(x) cr_matrix_exp_at(x, CR_HERE)

/* The sum of a matrix' diagonal    d g on the diagonal */
CR_API cr_tensor *cr_trace_at(cr_tensor *x, const char *site);
#define cr_trace(x) cr_trace_at(x, CR_HERE)

/* q [.., m, k], of orthonormal columns, and in *r (may be NULL) the upper triangular [.., k, n]
 * with q r = x, k = min(m, n)    d (gq + q s) r^-T, s the lower triangle of r gr^T - gq^T q made
 * symmetric; of a wide x through its first m columns. usage: cr_qr(x, &r) */
CR_API cr_tensor *cr_qr_at(cr_tensor *x, cr_tensor **r, const char *site);
#define cr_qr(x, r) cr_qr_at(x, r, CR_HERE)

/* The eigenvalues w [.., n] of a symmetric x, ascending, and in *v (may be NULL) its eigenvectors,
 * the columns of [.., n, n]; the lower triangle is read    d v (diag(gw) + (v^T gv)_ij / (w_j -
 * w_i)) v^T made symmetric. usage: cr_eigh(x, &v) */
CR_API cr_tensor *cr_eigh_at(cr_tensor *x, cr_tensor **v, const char *site);
#define cr_eigh(x, v) cr_eigh_at(x, v, CR_HERE)
CR_API cr_tensor *cr_eigvalsh_at(cr_tensor *x, const char *site);
#define cr_eigvalsh(x) cr_eigvalsh_at(x, CR_HERE)

/* u [.., m, k] and, in *s and *vh (may be NULL), s [.., k], descending, and vh [.., k, n] with u
 * diag(s) vh = x, k = min(m, n): the reduced form    d to s u diag(gs) vh; the others: decompose.c
 * usage: cr_svd(x, &s, &vh) */
CR_API cr_tensor *cr_svd_at(cr_tensor *x, cr_tensor **s, cr_tensor **vh, const char *site);
#define cr_svd(x, s, vh) cr_svd_at(x, s, vh, CR_HERE)
CR_API cr_tensor *cr_svdvals_at(cr_tensor *x, const char *site);
#define cr_svdvals(x) cr_svdvals_at(x, CR_HERE)

/* The Moore-Penrose inverse; singular values up to rtol times the largest count as 0 (default: the
 * larger side times the type's epsilon). lstsq: pinv(x) b, the y of least norm for which x y is
 * nearest to b [.., m, k] or [m]    d while the rank stays as it is, with p the inverse, -p^T g
 * p^T + (1 - x p) g^T p p^T + p^T p g^T (1 - p x); Golub and Pereyra, 1973
 * usage: cr_pinv(x), cr_pinv(x, .rtol = CR_REAL(1e-6)), cr_lstsq(x, b) */
typedef struct cr_pinv_opts {
    const char *site CR_ZERO;
    cr_opt_real rtol CR_ZERO;
} cr_pinv_opts;
CR_API cr_tensor *cr_pinv_at(cr_tensor *x, cr_pinv_opts opts);
#define cr_pinv(...) cr_pinv_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_pinv_opts, __VA_ARGS__))
CR_API cr_tensor *cr_lstsq_at(cr_tensor *x, cr_tensor *b, cr_pinv_opts opts);
#define cr_lstsq(x, ...) \
    cr_lstsq_at(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_pinv_opts, __VA_ARGS__))

CR_END
#endif
