/* Linear algebra of small dense matrices: row-major doubles, one thread, no memory of its own. Sums are
 * plain and ascending, so every machine has the same bits. Matrices of f32 are computed in f64, and
 * rounded once. Methods: Golub and Van Loan, Matrix Computations, 4th edition, 2013 (below: GvL). */
#ifndef CR_KERNEL_MATRICES_H
#define CR_KERNEL_MATRICES_H

#include <stdbool.h>
#include <stdint.h>

/* a[n,n] becomes L (unit diagonal, below) and U, with p a = L U: row i of that is row order[i] of a
 * (GvL 3.4.1, partial pivoting). Returns the sign of the permutation, 0 if a pivot is exactly 0; what
 * is left of its column stays. */
int cr__lu(double *a, int64_t n, int64_t *order);

/* x[n,m] becomes the solution of t x = b, where x holds b: t[n,n] is lower or upper triangular, on its
 * diagonal may be ones. Of the transposed t if asked for. What is divided by 0 is infinite or NaN. */
typedef struct cr__triangle {
    bool upper, unit, transposed;
} cr__triangle;
void cr__solve_triangle(const double *t, int64_t n, cr__triangle how, double *x,
                        int64_t m);

/* x[n,m] becomes the solution of a x = b (NULL: of the unit matrix, n = m), by cr__lu() of a, which it
 * becomes. Returns -1, or the first pivot that is exactly 0, by which is divided all the same. */
int64_t cr__solve(double *a, int64_t n, int64_t *order, const double *b, double *x,
                  int64_t m);

/* a[n,n], of which the lower triangle is read, becomes L with L L^T = a, zeros above (GvL 4.2.1). Returns
 * -1, or the first row whose pivot is not above 0. */
int64_t cr__cholesky(double *a, int64_t n);

/* a[m,n] becomes R, and q[m,k] has orthonormal columns, k = min(m, n), with q R = a, by Householder
 * reflections whose signs are LAPACK's (GvL 5.2.1). R has k rows. work: m + n numbers. */
void cr__qr(double *a, int64_t m, int64_t n, double *q, double *work);

/* a[n,n], of which the lower triangle is read, is v^T diag(w) v: w ascending, eigenvectors in the rows
 * of v, by Jacobi's rotations (GvL 8.5). a is overwritten. */
void cr__eigh(double *a, int64_t n, double *w, double *v);

/* a[n,m], n <= m, is v^T diag(s) u: s descending, rows of u[n,m] (which replaces a) and v[n,n]
 * orthonormal, by one-sided rotations, which find small singular values with all their digits (GvL
 * 8.6.3; Demmel and Veselic, 1992). Where s is 0 the rows of u complete the others. */
void cr__svd(double *a, int64_t m, int64_t n, double *s, double *v);

/* e^a into out, of [n,n], by Pade's approximation of degree 13 with squaring (Higham, 2005). work:
 * 5 n n numbers, order n. a is overwritten. */
void cr__matrix_exp(double *a, int64_t n, double *out, double *work, int64_t *order);

/* c[m,n] = a[m,k] b[k,n]; a or b as they are or, if asked for, transposed. */
void cr__small_product(double *c, const double *a, bool a_t, const double *b, bool b_t,
                       int64_t m, int64_t n, int64_t k);

#endif
