/* Plain definitions of linear algebra: Laplace's expansion, Cramer's rule; of factorisations what must
 * hold of them. */
#include "op_reference.h"
#include <math.h>

enum { MOST = 8 };

/* One matrix of a batch. */
typedef struct matrix {
    int64_t rows, columns;
    double v[MOST * MOST];
} matrix;

static matrix matrix_at(const array *x, int64_t i)
{
    matrix m = { .rows = x->dims.v[x->dims.n - 2], .columns = x->dims.v[x->dims.n - 1] };
    for (int64_t k = 0; k < m.rows * m.columns; k++)
        m.v[k] = x->v[i * m.rows * m.columns + k];
    return m;
}

static int64_t batch_of(const array *x)
{
    int64_t n = 1;
    for (int d = 0; d < x->dims.n - 2; d++)
        n *= x->dims.v[d];
    return n;
}

static matrix without_cross(const matrix *x, int64_t row, int64_t column)
{
    matrix m = { .rows = x->rows - 1, .columns = x->columns - 1 };
    int64_t k = 0;
    for (int64_t i = 0; i < x->rows; i++)
        for (int64_t j = 0; j < x->columns; j++)
            if (i != row && j != column)
                m.v[k++] = x->v[i * x->columns + j];
    return m;
}

static double det_of(const matrix *x)
{
    double det = x->rows == 0;
    for (int64_t j = 0; j < x->columns; j++) {
        matrix minor = without_cross(x, 0, j);
        det += (j % 2 ? -1 : 1) * x->v[j] * det_of(&minor);
    }
    return det;
}

static double cofactor_of(const matrix *x, int64_t i, int64_t j)
{
    matrix minor = without_cross(x, i, j);
    return ((i + j) % 2 ? -1 : 1) * det_of(&minor);
}

static void ref_cofactor(ref_call *c)
{
    double *out = ref_out(c, c->in[0].dtype, c->in[0].dims);
    for (int64_t b = 0; b < batch_of(&c->in[0]); b++) {
        matrix x = matrix_at(&c->in[0], b);
        for (int64_t k = 0; k < x.rows * x.rows; k++)
            *out++ = cofactor_of(&x, k / x.rows, k % x.rows);
    }
}

/* The derivative of the cofactors times g, which are linear in each element. */
static void ref_cofactor_grad(ref_call *c)
{
    double *out = ref_out(c, c->in[0].dtype, c->in[0].dims);
    for (int64_t b = 0; b < batch_of(&c->in[0]); b++) {
        matrix x = matrix_at(&c->in[0], b), g = matrix_at(&c->in[1], b);
        const int64_t n = x.rows;
        for (int64_t e = 0; e < n * n; e++, out++)
            for (int64_t k = 0; k < n * n; k++) {
                matrix with = x, none = x;
                with.v[e] = 1, none.v[e] = 0;
                *out += g.v[k] * (cofactor_of(&with, k / n, k % n) -
                                  cofactor_of(&none, k / n, k % n));
            }
    }
}

static void ref_inv(ref_call *c)
{
    double *out = ref_out(c, c->in[0].dtype, c->in[0].dims);
    for (int64_t b = 0; b < batch_of(&c->in[0]); b++) {
        matrix x = matrix_at(&c->in[0], b);
        for (int64_t k = 0; k < x.rows * x.rows; k++)
            *out++ = cofactor_of(&x, k % x.rows, k / x.rows) / det_of(&x);
    }
}

/* Cramer's rule, for the matrix that `change` makes of the first input. */
static void solve_by_minors(ref_call *c, void (*change)(const ref_call *, matrix *))
{
    double *out = ref_out(c, c->in[0].dtype, c->in[1].dims);
    for (int64_t b = 0; b < batch_of(&c->in[0]); b++) {
        matrix x = matrix_at(&c->in[0], b), y = matrix_at(&c->in[1], b);
        if (change)
            change(c, &x);
        for (int64_t i = 0; i < y.rows; i++)
            for (int64_t j = 0; j < y.columns; j++, out++) {
                matrix replaced = x;
                for (int64_t k = 0; k < y.rows; k++)
                    replaced.v[k * x.columns + i] = y.v[k * y.columns + j];
                *out = det_of(&replaced) / det_of(&x);
            }
    }
}

static void ref_linear_system(ref_call *c)
{
    solve_by_minors(c, NULL);
}

static void keep_triangle(const ref_call *c, matrix *x)
{
    const bool upper = attr_is(c->attrs, "upper", "true");
    const bool unit = attr_is(c->attrs, "unitriangular", "true");
    for (int64_t i = 0; i < x->rows; i++)
        for (int64_t j = 0; j < x->columns; j++)
            if (i == j && unit)
                x->v[i * x->columns + j] = 1;
            else if (upper ? i > j : i < j)
                x->v[i * x->columns + j] = 0;
}

static void ref_triangular_system(ref_call *c)
{
    solve_by_minors(c, keep_triangle);
}

static void ref_sign_and_log(ref_call *c)
{
    cr_dims dims = c->in[0].dims;
    dims.v[--dims.n - 1] = 2;
    double *out = ref_out(c, c->in[0].dtype, dims);
    for (int64_t b = 0; b < batch_of(&c->in[0]); b++) {
        matrix x = matrix_at(&c->in[0], b);
        double det = det_of(&x);
        *out++ = (det > 0) - (det < 0);
        *out++ = log(fabs(det));
    }
}

/* The least squares of independent columns, or the shortest of independent rows: both by the square
 * matrix of products. b is [m, k], [m], or has a batch of its own. */
static void ref_lstsq(ref_call *c)
{
    const matrix x = matrix_at(&c->in[0], 0);
    const array *b = &c->in[1];
    const bool tall = x.rows >= x.columns, vector = b->dims.n == 1;
    const int64_t n = tall ? x.columns : x.rows,
                  columns = vector ? 1 : b->dims.v[b->dims.n - 1];
    matrix square = { .rows = n, .columns = n };
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++)
            for (int64_t k = 0; k < (tall ? x.rows : x.columns); k++)
                square.v[i * n + j] +=
                    tall ? x.v[k * x.columns + i] * x.v[k * x.columns + j]
                         : x.v[i * x.columns + k] * x.v[j * x.columns + k];
    cr_dims dims = b->dims;
    dims.v[vector ? 0 : dims.n - 2] = x.columns;
    double *out = ref_out(c, c->in[0].dtype, dims);
    const int64_t batch = b->numel / (x.rows * columns);
    for (int64_t at = 0; at < batch; at++)
        for (int64_t i = 0; i < x.columns; i++)
            for (int64_t j = 0; j < columns; j++, out++)
                for (int64_t r = 0; r < x.rows; r++) {
                    double p = 0; /* of the pseudoinverse */
                    for (int64_t k = 0; k < n; k++) {
                        const int64_t row = tall ? i : k, column = tall ? k : r;
                        const double inverse =
                            cofactor_of(&square, column, row) / det_of(&square);
                        p += tall ? inverse * x.v[r * x.columns + k]
                                  : x.v[k * x.columns + i] * inverse;
                    }
                    *out += p * b->v[(at * x.rows + r) * columns + j];
                }
}

const ref_entry ref_entries_linalg[] = {
    { "cofactor", ref_cofactor },
    { "cofactor_grad", ref_cofactor_grad },
    { "inv_unchecked", ref_inv },
    { "linear_system", ref_linear_system },
    { "triangular_system", ref_triangular_system },
    { "sign_and_log", ref_sign_and_log },
    { "lstsq", ref_lstsq },
    { .name = NULL },
};

/* ---- factorisations: all that must hold is looked at with element 0 ---- */

static bool near(double a, double b)
{
    return fabs(a - b) <= 1e-11 * (1 + fabs(b));
}

/* Whether p diag(s) q is x (s NULL: ones), p [m, k], q [k, n]. */
static bool makes(const matrix *x, const double *p, const double *s, const double *q,
                  int64_t k)
{
    bool good = true;
    for (int64_t i = 0; i < x->rows; i++)
        for (int64_t j = 0; j < x->columns; j++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++)
                sum += p[i * k + l] * (s ? s[l] : 1) * q[l * x->columns + j];
            good = good && near(sum, x->v[i * x->columns + j]);
        }
    return good;
}

/* Whether the columns of q [m, k] are orthonormal. */
static bool orthonormal(const double *q, int64_t m, int64_t k)
{
    bool good = true;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j < k; j++) {
            double sum = 0;
            for (int64_t r = 0; r < m; r++)
                sum += q[r * k + i] * q[r * k + j];
            good = good && near(sum, i == j);
        }
    return good;
}

static bool descends(const double *s, int64_t n)
{
    bool good = n == 0 || s[n - 1] >= 0;
    for (int64_t i = 1; i < n; i++)
        good = good && s[i] <= s[i - 1];
    return good;
}

static bool each_matrix(const ref_call *c, int64_t i,
                        bool (*holds)(const matrix *, const double *))
{
    const int64_t batch = batch_of(&c->in[0]);
    for (int64_t b = 0; i == 0 && b < batch; b++) {
        const matrix x = matrix_at(&c->in[0], b);
        if (!holds(&x, c->out.v + b * (c->out.numel / batch)))
            return false;
    }
    return true;
}

static bool is_qr(const matrix *x, const double *q)
{
    const int64_t n = x->columns;
    const double *r = q + x->rows * n;
    for (int64_t i = 0; i < n * n; i++)
        if (i / n > i % n && r[i] != 0)
            return false;
    return orthonormal(q, x->rows, n) && makes(x, q, NULL, r, n);
}

static bool is_orthonormal(const matrix *x, const double *q)
{
    return orthonormal(q, x->rows, x->rows < x->columns ? x->rows : x->columns);
}

static bool is_svd(const matrix *x, const double *u)
{
    const int64_t k = x->rows < x->columns ? x->rows : x->columns;
    const double *s = u + x->rows * k, *vh = s + k;
    double v[MOST * MOST];
    for (int64_t i = 0; i < k * x->columns; i++)
        v[i % x->columns * k + i / x->columns] = vh[i];
    return orthonormal(u, x->rows, k) && orthonormal(v, x->columns, k) &&
           descends(s, k) && makes(x, u, s, vh, k);
}

/* Of the symmetric matrix that the lower triangle stands for. */
static bool is_eigh(const matrix *x, const double *w)
{
    const int64_t n = x->rows;
    const double *v = w + n;
    matrix symmetric = *x;
    double turned[MOST * MOST];
    for (int64_t i = 0; i < n * n; i++) {
        symmetric.v[i] = i / n < i % n ? x->v[i % n * n + i / n] : x->v[i];
        turned[i % n * n + i / n] = v[i];
    }
    for (int64_t i = 1; i < n; i++)
        if (w[i] < w[i - 1])
            return false;
    return orthonormal(v, n, n) && makes(&symmetric, v, w, turned, n);
}

static bool is_cholesky(const matrix *x, const double *l)
{
    const int64_t n = x->rows;
    double turned[MOST * MOST];
    for (int64_t i = 0; i < n * n; i++) {
        turned[i % n * n + i / n] = l[i];
        if (i / n < i % n && l[i] != 0)
            return false;
    }
    return makes(x, l, NULL, turned, n);
}

/* The eigenvalues alone: their sum, and that of their squares. */
static bool is_spectrum(const matrix *x, const double *w)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < x->rows; i++) {
        sum += x->v[i * x->rows + i] - w[i];
        squares -= w[i] * w[i];
        for (int64_t j = 0; j < x->rows; j++)
            squares += x->v[i * x->rows + j] * x->v[j * x->rows + i];
    }
    return near(sum, 0) && near(squares, 0);
}

#define PROPERTY(name, rule)                               \
    static bool name##_holds(const ref_call *c, int64_t i) \
    {                                                      \
        return each_matrix(c, i, rule);                    \
    }
PROPERTY(qr_packed, is_qr)
PROPERTY(qr, is_orthonormal)
PROPERTY(svd_packed, is_svd)
PROPERTY(svd, is_orthonormal)
PROPERTY(eigh_packed, is_eigh)
PROPERTY(eigh, is_spectrum)
PROPERTY(cholesky_lower, is_cholesky)

const ref_property ref_properties_linalg[] = {
    { "qr_packed", qr_packed_holds },           { "qr", qr_holds },
    { "svd_packed", svd_packed_holds },         { "svd", svd_holds },
    { "eigh_packed", eigh_packed_holds },       { "eigh", eigh_holds },
    { "cholesky_lower", cholesky_lower_holds }, { .name = NULL },
};
