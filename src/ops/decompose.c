/* Factorisations: qr, eigh, svd, and what is made of them. Each is one packed result for a matrix,
 * whose parts are views. Derivatives of vectors that belong to equal values do not exist; what such
 * pairs contribute is left out, so that all that does exist is finite and right. */
#include "attrs.h"
#include "matrix.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Sizes of the input's matrices, and of the packed result's rows. */
static cr__matrices input_sizes(const cr_kernel *kernel)
{
    return cr__matrices_of(kernel->in[0].dims);
}

static cr__matrices sizes_beneath(const cr_tensor *out)
{
    return cr__matrices_of(cr_shape(cr_input(out, 0)));
}

/* [.., m, n] becomes [.., length], if that is a size. */
static cr_status packed_matrices(cr_infer *infer, double length)
{
    if (!(length < 0x1p62))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "%s has too many elements",
                           cr__dims_text(infer->ctx, infer->in_dims[0]));
    infer->dims.n--;
    infer->dims.v[infer->dims.n - 1] = (int64_t)length;
    return CR_OK;
}

/* to[n,m] = x[m,n]^T */
static double *transpose_to(double *to, const double *x, int64_t m, int64_t n)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++)
            to[j * m + i] = x[i * n + j];
    return to;
}

/* What is below the diagonal, at it halved if it counts half. */
static cr_tensor *triangle_of(cr_tensor *x, int64_t above)
{
    cr_tensor *below = cr__below_diagonal(cr_ctx_of(x), cr_size(x, -1), above);
    return cr_where(below, x, 0);
}

/* x with its columns, or its rows, times the elements of s. */
static cr_tensor *times_columns(cr_tensor *x, cr_tensor *s)
{
    return cr_mul(x, cr_unsqueeze(s, -2));
}

static cr_tensor *times_rows(cr_tensor *x, cr_tensor *s)
{
    return cr_mul(x, cr_unsqueeze(s, -1));
}

/* 1 / x, and 0 where x is 0. */
static cr_tensor *reciprocal_or_0(cr_tensor *x)
{
    cr_tensor *none = cr_eq(x, 0);
    return cr_where(none, 0, cr_reciprocal(cr_where(none, 1, x)));
}

/* [.., i, j]: 1 / (w_j - w_i), 0 where they are equal. */
static cr_tensor *value_gaps(cr_tensor *w)
{
    return reciprocal_or_0(cr_sub(cr_unsqueeze(w, -2), cr_unsqueeze(w, -1)));
}

/* diag(x), of [.., n], added to a matrix. */
static cr_tensor *add_diagonal(cr_tensor *matrix, cr_tensor *x)
{
    cr_tensor *i = cr_arange(cr_ctx_of(x), 0, cr_size(x, -1), 1, .dtype = CR_I64);
    cr_tensor *on = cr_eq(cr_unsqueeze(i, 1), i);
    return cr_add(matrix, cr_where(on, cr_unsqueeze(x, -2), 0));
}

/* ---- qr ---- */

/* Of m >= n: q [m, n], then r [n, n]. */
static cr_status qr_shape(cr_infer *infer)
{
    if (!cr__takes_matrices(infer, 0))
        return infer->ctx->status;
    const cr__matrices x = cr__matrices_of(infer->in_dims[0]);
    if (x.rows < x.columns)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "has more columns than rows: %s",
                           cr__dims_text(infer->ctx, infer->in_dims[0]));
    return packed_matrices(infer, (double)(x.rows + x.columns) * (double)x.columns);
}

static int64_t qr_packed_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const cr__matrices x = input_sizes(kernel);
    const int64_t of_q = x.rows * x.columns, of_r = x.columns * x.columns;
    double *q = cr__matrix_load(&kernel->in[0], matrix * of_q, of_q, work);
    cr__qr(work, x.rows, x.columns, q, q + of_q);
    cr__matrix_store(&kernel->out, matrix * (of_q + of_r), of_q, q);
    cr__matrix_store(&kernel->out, matrix * (of_q + of_r) + of_q, of_r, work);
    return -1;
}

CR__EACH_MATRIX(qr_packed, "", 2 * m * n + m + n)

/* (gq + q s) r^-T with m = r gr^T - gq^T q, s its lower triangle made symmetric (Walter et al.,
 * 2010). */
static void qr_packed_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const cr__matrices x = sizes_beneath(out);
    int64_t at = 0, g_at = 0;
    cr_tensor *q = cr__unpack_matrix(out, &at, x.rows, x.columns),
              *r = cr__unpack_matrix(out, &at, x.columns, x.columns),
              *gq = cr__unpack_matrix(g, &g_at, x.rows, x.columns),
              *gr = cr__unpack_matrix(g, &g_at, x.columns, x.columns);
    gr = cr_t(triangle_of(cr_t(gr), -1));
    cr_tensor *m =
        cr_sub(cr__product(r, false, gr, true), cr__product(gq, true, q, false));
    cr_tensor *s = cr_add(triangle_of(m, -1), cr_t(triangle_of(m, 0)));
    cr_tensor *sum = cr_add(gq, cr_matmul(q, s));
    down[0] = cr_solve_triangular(cr_t(r), sum, false, .left = CR_INT(0));
}

CR__OP(qr_packed) = {
    .name = "qr_packed",
    .doc = "q and r of tall matrices, packed",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .shape = qr_shape,
    .vjp = qr_packed_vjp,
    .reads = CR_READS_OUTPUT,
    .kernel = qr_packed_kernel,
    .never_fails = true,
    .scratch = qr_packed_scratch,
    .samples = CR__SAMPLES({ "f[3,2]", NULL }, { "f[2,2,2]", NULL }, { "f[3,0]", NULL },
                           { "f[0,2,1]", NULL }),
};

/* Of wide matrices the first square part is factorised, and q^T makes the rest of r. */
static int qr_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n, const void *attrs,
                     cr_tensor **outputs, int capacity)
{
    cr_tensor *x = inputs[0], *left = x;
    (void)n, (void)attrs;
    const bool fits = cr_ndim(x) >= 2;
    const int64_t rows = fits ? cr_size(x, -2) : 0, columns = fits ? cr_size(x, -1) : 0;
    const int64_t rank = rows < columns ? rows : columns;
    if (rows < columns)
        left = cr_slice(x, -1, 0, rows);
    cr_tensor *both = cr__record_1(&cr__op_qr_packed, left, NULL, CR_HERE);
    int64_t at = 0;
    if (!both)
        return -1;
    cr_tensor *q = cr__unpack_matrix(both, &at, rows, rank);
    cr_tensor *r = cr__unpack_matrix(both, &at, rank, rank);
    if (rows < columns) {
        cr_tensor *rest = cr__product(q, true, cr_slice(x, -1, rows, columns), false);
        cr_tensor *parts[] = { r, rest };
        r = cr_cat(parts, 2, -1);
    }
    (void)ctx;
    cr_tensor *found[] = { q, r };
    for (int i = 0; i < 2 && i < capacity; i++)
        outputs[i] = found[i];
    return 2;
}

CR__OP(qr) = {
    .name = "qr",
    .doc = "q [.., m, k] of orthonormal columns and r [.., k, n], a triangle: q r = x",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .expand_all = qr_expand,
    .samples = CR__SAMPLES({ "f[3,2]", NULL }, { "f[2,3]", NULL }, { "f[2,2,2]", NULL }),
    .call = "x,r",
};

cr_tensor *cr_qr_at(cr_tensor *x, cr_tensor **r, const char *site)
{
    return cr__record_pair(&cr__op_qr, x, NULL, r, site);
}

/* ---- eigh ---- */

/* w [n], then v [n, n]. */
static cr_status eigh_shape(cr_infer *infer)
{
    if (!cr__takes_squares(infer, 0))
        return infer->ctx->status;
    const double n = (double)infer->dims.v[infer->dims.n - 1];
    return packed_matrices(infer, n * (n + 1));
}

static int64_t eigh_packed_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const int64_t n = input_sizes(kernel).rows;
    double *w = cr__matrix_load(&kernel->in[0], matrix * n * n, n * n, work);
    cr__eigh(work, n, w, w + n);
    transpose_to(work, w + n, n, n);
    cr__matrix_store(&kernel->out, matrix * n * (n + 1), n, w);
    cr__matrix_store(&kernel->out, matrix * n * (n + 1) + n, n * n, work);
    return -1;
}

CR__EACH_MATRIX(eigh_packed, "", 2 * n * n + n)

/* v (diag(gw) + (v^T gv) / (w_j - w_i)) v^T, made symmetric (Giles, 2008). */
static void eigh_packed_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const int64_t n = sizes_beneath(out).rows;
    int64_t at = 0, g_at = 0;
    cr_tensor *w = cr__unpack_matrix(out, &at, n, -1),
              *v = cr__unpack_matrix(out, &at, n, n),
              *gw = cr__unpack_matrix(g, &g_at, n, -1),
              *gv = cr__unpack_matrix(g, &g_at, n, n);
    cr_tensor *inner = cr_mul(cr__product(v, true, gv, false), value_gaps(w));
    inner = add_diagonal(inner, gw);
    down[0] = cr__symmetric(cr__product(cr_matmul(v, inner), false, v, true));
}

CR__OP(eigh_packed) = {
    .name = "eigh_packed",
    .doc = "eigenvalues and eigenvectors, packed",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .shape = eigh_shape,
    .vjp = eigh_packed_vjp,
    .reads = CR_READS_OUTPUT,
    .kernel = eigh_packed_kernel,
    .never_fails = true,
    .scratch = eigh_packed_scratch,
    .samples = CR__SAMPLES({ "f[2,2]~=2,1,1,5", NULL }, { "f[2,1,1]", NULL },
                           { "f[0,0]", NULL }),
};

/* w, and v. */
static int eigh_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n, const void *attrs,
                       cr_tensor **outputs, int capacity)
{
    cr_tensor *both = cr__record_1(&cr__op_eigh_packed, inputs[0], NULL, CR_HERE);
    int64_t at = 0;
    (void)ctx, (void)n, (void)attrs;
    if (!both)
        return -1;
    const int64_t size = cr_size(inputs[0], -1);
    for (int i = 0; i < 2 && i < capacity; i++)
        outputs[i] = cr__unpack_matrix(both, &at, size, i ? size : -1);
    return 2;
}

CR__OP(eigh) = {
    .name = "eigh",
    .doc =
        "eigenvalues, ascending, and eigenvectors of a symmetric x, whose lower triangle "
        "is read",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .expand_all = eigh_expand,
    .samples = CR__SAMPLES({ "f[3,3]~=2,1,0,1,5,1,0,1,9", NULL }, { "f[2,1,1]", NULL }),
    .call = "x,v",
};

cr_tensor *cr_eigh_at(cr_tensor *x, cr_tensor **v, const char *site)
{
    return cr__record_pair(&cr__op_eigh, x, NULL, v, site);
}

static cr_tensor *eigvalsh_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                  const void *attrs)
{
    cr_tensor *w = NULL;
    return eigh_expand(ctx, inputs, n, attrs, &w, 1) > 0 ? w : NULL;
}

CR__OP(eigvalsh) = {
    .name = "eigvalsh",
    .doc = "the eigenvalues of a symmetric x, ascending; its lower triangle is read",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .expand = eigvalsh_expand,
    .samples = CR__SAMPLES({ "f[3,3]~=2,1,0,1,5,1,0,1,9", NULL }, { "f[2,1,1]", NULL },
                           { "f[2,2]=1,0,0,1 -> 1,0,0,1 -> 0", NULL }),
};

cr_tensor *cr_eigvalsh_at(cr_tensor *x, const char *site)
{
    return cr__record_1(&cr__op_eigvalsh, x, NULL, site);
}

/* ---- svd ---- */

/* u [m, k], s [k], vh [k, n] with k = min(m, n). */
static cr_status svd_shape(cr_infer *infer)
{
    if (!cr__takes_matrices(infer, 0))
        return infer->ctx->status;
    const cr__matrices x = cr__matrices_of(infer->in_dims[0]);
    const double k = (double)(x.rows < x.columns ? x.rows : x.columns);
    return packed_matrices(infer, k * ((double)x.rows + (double)x.columns + 1));
}

/* x = u^T diag(s) v: rows of u [k, m] and v [k, n], in the work. A matrix that is wide lies as it must;
 * of a tall one the transposed is factorised, and u and v change places. */
static void svd_factors(const cr_kernel *kernel, int64_t matrix, double *work, double **u,
                        double **s, double **v)
{
    const cr__matrices x = input_sizes(kernel);
    const bool tall = x.rows > x.columns;
    const int64_t size = x.rows * x.columns, k = tall ? x.columns : x.rows;
    double *wide = work, *more = work + 2 * size;
    double *end = cr__matrix_load(&kernel->in[0], matrix * size, size, work);
    if (tall)
        wide = transpose_to(end, work, x.rows, x.columns);
    *s = more + k * k;
    cr__svd(wide, tall ? x.rows : x.columns, k, *s, more);
    *u = tall ? wide : more;
    *v = tall ? more : wide;
}

static int64_t svd_packed_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const cr__matrices x = input_sizes(kernel);
    const int64_t k = x.rows < x.columns ? x.rows : x.columns;
    double *u, *s, *v;
    svd_factors(kernel, matrix, work, &u, &s, &v);
    int64_t at = matrix * k * (x.rows + x.columns + 1);
    cr__matrix_store(&kernel->out, at, x.rows * k, transpose_to(s + k, u, k, x.rows));
    cr__matrix_store(&kernel->out, at += x.rows * k, k, s);
    cr__matrix_store(&kernel->out, at + k, k * x.columns, v);
    return -1;
}

/* The input twice, a square, the values, and u once more. */
static double svd_work(double m, double n)
{
    const double k = m < n ? m : n;
    return 2 * m * n + k * k + k + k * m;
}

CR__EACH_MATRIX(svd_packed, "", svd_work(m, n))

/* x - y (y^T x): what is at right angles to the columns of y. */
static cr_tensor *off_columns(cr_tensor *x, cr_tensor *y)
{
    return cr_sub(x, cr_matmul(y, cr__product(y, true, x, false)));
}

/* With e the reciprocals of s_j^2 - s_i^2 (Giles, 2008; Townsend, 2016):
 *     u (diag(gs) + (e (u^T gu - gu^T u)) s + s (e (v^T gv - gv^T v))) v^T
 *     + (1 - u u^T) gu s^-1 v^T + u s^-1 gv^T (1 - v v^T) */
static void svd_packed_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const cr__matrices x = sizes_beneath(out);
    const int64_t k = x.rows < x.columns ? x.rows : x.columns;
    int64_t at = 0, g_at = 0;
    cr_tensor *u = cr__unpack_matrix(out, &at, x.rows, k),
              *s = cr__unpack_matrix(out, &at, k, -1),
              *v = cr_t(cr__unpack_matrix(out, &at, k, x.columns)),
              *gu = cr__unpack_matrix(g, &g_at, x.rows, k),
              *gs = cr__unpack_matrix(g, &g_at, k, -1),
              *gv = cr_t(cr__unpack_matrix(g, &g_at, k, x.columns));
    /* (s_j - s_i)(s_j + s_i) keeps its digits */
    cr_tensor *sums = cr_add(cr_unsqueeze(s, -2), cr_unsqueeze(s, -1));
    cr_tensor *e = cr_mul(value_gaps(s), reciprocal_or_0(sums));
    cr_tensor *pu = cr__product(u, true, gu, false),
              *pv = cr__product(v, true, gv, false);
    cr_tensor *inner = times_columns(cr_mul(e, cr_sub(pu, cr_t(pu))), s);
    inner = cr_add(inner, times_rows(cr_mul(e, cr_sub(pv, cr_t(pv))), s));
    inner = add_diagonal(inner, gs);
    cr_tensor *inverse = reciprocal_or_0(s);
    cr_tensor *sum = cr__product(cr_matmul(u, inner), false, v, true);
    if (x.rows > k)
        sum = cr_add(
            sum, cr__product(times_columns(off_columns(gu, u), inverse), false, v, true));
    if (x.columns > k)
        sum = cr_add(
            sum, cr__product(times_columns(u, inverse), false, off_columns(gv, v), true));
    down[0] = sum;
}

CR__OP(svd_packed) = {
    .name = "svd_packed",
    .doc = "u, s and the transposed v, packed",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .shape = svd_shape,
    .vjp = svd_packed_vjp,
    .reads = CR_READS_OUTPUT,
    .kernel = svd_packed_kernel,
    .never_fails = true,
    .scratch = svd_packed_scratch,
    .samples = CR__SAMPLES({ "f[2,2]=3,1,0,2", NULL }, { "f[3,2]", NULL },
                           { "f[2,3]", NULL }, { "f[0,2]", NULL }, { "f[0,2,2]", NULL }),
};

static int svd_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n, const void *attrs,
                      cr_tensor **outputs, int capacity)
{
    cr_tensor *all = cr__record_1(&cr__op_svd_packed, inputs[0], NULL, CR_HERE);
    int64_t at = 0;
    (void)ctx, (void)n, (void)attrs;
    if (!all)
        return -1;
    const cr__matrices x = cr__matrices_of(cr_shape(inputs[0]));
    const int64_t k = x.rows < x.columns ? x.rows : x.columns;
    const int64_t sizes[3][2] = { { x.rows, k }, { k, -1 }, { k, x.columns } };
    for (int i = 0; i < 3; i++) {
        cr_tensor *part = cr__unpack_matrix(all, &at, sizes[i][0], sizes[i][1]);
        if (i < capacity)
            outputs[i] = part;
    }
    return 3;
}

CR__OP(svd) = {
    .name = "svd",
    .doc = "x = u diag(s) vh, reduced: u [.., m, k], s [.., k] descending, vh [.., k, n]",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .expand_all = svd_expand,
    .samples = CR__SAMPLES({ "f[3,2]", NULL }, { "f[2,3]", NULL }, { "f[2,2,2]", NULL }),
    .call = "x,s,vh",
};

cr_tensor *cr_svd_at(cr_tensor *x, cr_tensor **s, cr_tensor **vh, const char *site)
{
    cr_tensor *all[3] = { NULL, NULL, NULL };
    cr__record_all(NULL, &cr__op_svd, &x, 1, NULL, all, 3, site);
    if (s)
        *s = all[1];
    if (vh)
        *vh = all[2];
    return all[0];
}

static cr_tensor *svdvals_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attrs)
{
    cr_tensor *all[2] = { NULL, NULL };
    return svd_expand(ctx, inputs, n, attrs, all, 2) > 0 ? all[1] : NULL;
}

CR__OP(svdvals) = {
    .name = "svdvals",
    .doc = "the singular values of x [.., m, n], descending",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .expand = svdvals_expand,
    .samples = CR__SAMPLES({ "f[3,2]", NULL }, { "f[2,3]", NULL }, { "f[2,2,2]", NULL },
                           { "f[2,2]=2,0,0,2 -> 1,0,0,1", NULL }, { "f[0,2]", NULL }),
};

cr_tensor *cr_svdvals_at(cr_tensor *x, const char *site)
{
    return cr__record_1(&cr__op_svdvals, x, NULL, site);
}

/* ---- pinv, lstsq ---- */

typedef struct pinv_attrs {
    cr_opt_real rtol;
} pinv_attrs;
static const cr_attr pinv_rows[] = {
    CR__ATTR(pinv_attrs, rtol, OPT_REAL, .initial = CR__NOT_GIVEN), CR__ATTRS_END
};

static cr_status pinv_shape(cr_infer *infer)
{
    if (!cr__takes_matrices(infer, 0))
        return infer->ctx->status;
    const cr__matrices x = cr__matrices_of(infer->in_dims[0]);
    infer->dims.v[infer->dims.n - 2] = x.columns;
    infer->dims.v[infer->dims.n - 1] = x.rows;
    return CR_OK;
}

/* v^T diag(1/s) u, of the values above rtol times the largest. */
static int64_t pinv_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const pinv_attrs *attrs = kernel->attrs;
    const cr__matrices x = input_sizes(kernel);
    const int64_t k = x.rows < x.columns ? x.rows : x.columns,
                  most = x.rows < x.columns ? x.columns : x.rows;
    const double eps = kernel->out.dtype == CR_F32 ? (double)FLT_EPSILON : DBL_EPSILON;
    const double rtol = attrs->rtol.given ? attrs->rtol.v : eps * (double)most;
    double *u, *s, *v;
    svd_factors(kernel, matrix, work, &u, &s, &v);
    const double least = k ? s[0] * rtol : 0;
    for (int64_t j = 0; j < k; j++) {
        const double factor = s[j] > least ? 1 / s[j] : s[j] != s[j] ? s[j] : 0;
        for (int64_t i = 0; i < x.columns; i++)
            v[j * x.columns + i] *= factor;
    }
    cr__small_product(s + k, v, true, u, false, x.columns, x.rows, k);
    cr__matrix_store(&kernel->out, matrix * x.columns * x.rows, x.columns * x.rows,
                     s + k);
    return -1;
}

CR__EACH_MATRIX(pinv, "", svd_work(m, n) + m * n)

/* While the rank stays: -p^T g p^T + (1 - x p) g^T p p^T + p^T p g^T (1 - p x) (Golub and Pereyra,
 * 1973). */
static void pinv_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_input(out, 0), *p = out;
    cr_tensor *gp = cr__product(g, true, cr__product(p, false, p, true), false);
    cr_tensor *pg = cr__product(cr__product(p, true, p, false), false, g, true);
    cr_tensor *sum = cr_neg(cr__product(cr__product(p, true, g, false), false, p, true));
    sum = cr_add(sum, cr_sub(gp, cr_matmul(x, cr_matmul(p, gp))));
    down[0] = cr_add(sum, cr_sub(pg, cr_matmul(cr_matmul(pg, p), x)));
}

CR__OP(pinv) = {
    .name = "pinv",
    .doc =
        "the Moore-Penrose inverse of x [.., m, n]; values up to rtol times the largest "
        "count as 0",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = pinv_rows,
    .attrs_size = sizeof(pinv_attrs),
    .shape = pinv_shape,
    .vjp = pinv_vjp,
    .reads = CR_READS_INPUT(0) | CR_READS_OUTPUT,
    .kernel = pinv_kernel,
    .never_fails = true,
    .scratch = pinv_scratch,
    .samples = CR__SAMPLES({ "f[2,2]=3,1,0,2", NULL }, { "f[3,2]=1,2,0,1,-1,1", NULL },
                           { "f[2,3]=1,2,0,1,-1,1", NULL }, { "f[0,2]", NULL },
                           { "f[2,2]~=1,2,2,4", "rtol=1e-6" }),
};

cr_tensor *cr_pinv_at(cr_tensor *x, cr_pinv_opts opts)
{
    return cr__record_1(&cr__op_pinv, x, &(pinv_attrs){ opts.rtol }, opts.site);
}

static cr_tensor *lstsq_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                               const void *attributes)
{
    const pinv_attrs *attrs = attributes;
    cr_tensor *x = inputs[0], *b = inputs[1];
    (void)n;
    if (cr_ndim(x) < 2 || cr_ndim(b) < 1 ||
        cr_size(x, -2) != cr_size(b, cr_ndim(b) > 1 ? -2 : -1)) {
        cr__op_fail(ctx, &cr__op_lstsq, CR_ERR_SHAPE, NULL,
                    "takes [.., m, n] and [.., m, k] or [m], not %s and %s",
                    cr__shape_text(x), cr__shape_text(b));
        return NULL;
    }
    return cr_matmul(cr_pinv(x, .rtol = attrs->rtol), b);
}

CR__OP(lstsq) = {
    .name = "lstsq",
    .doc = "the y of least norm for which x y is nearest to b",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,b",
    .attrs = pinv_rows,
    .attrs_size = sizeof(pinv_attrs),
    .expand = lstsq_expand,
    .samples = CR__SAMPLES({ "f[3,2]=1,2,0,1,-1,1 f[3,2]", NULL },
                           { "f[3,2]=1,2,0,1,-1,1 f[3]", NULL },
                           { "f[2,3]=1,2,0,1,-1,1 f[4,2,1]", NULL }),
};

cr_tensor *cr_lstsq_at(cr_tensor *x, cr_tensor *b, cr_pinv_opts opts)
{
    cr_tensor *inputs[] = { x, b };
    return cr__record_n(NULL, &cr__op_lstsq, inputs, 2, &(pinv_attrs){ opts.rtol },
                        opts.site);
}
