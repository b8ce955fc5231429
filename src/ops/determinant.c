/* Determinants, with the true gradient where a matrix is singular; matrix_exp; trace. */
#include "attrs.h"
#include "matrix.h"

#include <math.h>
#include <string.h>

static int64_t matrix_side(const cr_kernel *kernel)
{
    const cr_array *x = &kernel->in[0];
    return x->dims.v[x->dims.n - 1];
}

/* [.., 1, 1], for each matrix one number that multiplies it. */
static cr_tensor *for_matrix(cr_tensor *x)
{
    return cr_unsqueeze(cr_unsqueeze(x, -1), -1);
}

/* ---- det ---- */

static cr_status det_shape(cr_infer *infer)
{
    if (!cr__takes_squares(infer, 0))
        return infer->ctx->status;
    infer->dims.n -= 2;
    return CR_OK;
}

static int64_t det_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const int64_t n = matrix_side(kernel);
    double *end = cr__matrix_load(&kernel->in[0], matrix * n * n, n * n, work);
    double det = cr__lu(work, n, (int64_t *)(void *)end);
    for (int64_t i = 0; i < n; i++)
        det *= work[i * n + i];
    cr__matrix_store(&kernel->out, matrix, 1, &det);
    return -1;
}

CR__EACH_MATRIX(det, "", n *n + n)

static void det_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_input(out, 0);
    down[0] = cr_mul(for_matrix(g), cr__record_1(&cr__op_cofactor, x, NULL, CR_HERE));
}

CR__OP(det) = {
    .name = "det",
    .doc = "the determinant of x [.., n, n]; 1 for n = 0",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .shape = det_shape,
    .vjp = det_vjp,
    .reads = CR_READS_INPUT(0),
    .kernel = det_kernel,
    .never_fails = true,
    .scratch = det_scratch,
    .samples = CR__SAMPLES({ "f[3,3]", NULL }, { "f[2,2,2]", NULL }, { "f[1,1]", NULL },
                           { "f[0,0]", NULL }, { "f[0,3,3]", NULL },
                           { "f[2,2]=1,2,2,4 -> 4,-2,-2,1 -> 1,-1,-1,1", NULL },
                           { "f[3,3]=0 -> 0 -> 0", NULL }),
};

cr_tensor *cr_det_at(cr_tensor *x, const char *site)
{
    return cr__record_1(&cr__op_det, x, NULL, site);
}

/* ---- cofactors ---- */

/* x = u^T diag(s) v; sign: det u det v. */
typedef struct basis {
    int64_t n;
    double *u, *v, *s, sign, *behind;
} basis;

static basis basis_of(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const int64_t n = matrix_side(kernel);
    basis b = { .n = n, .v = work };
    b.u = cr__matrix_load(&kernel->in[0], matrix * n * n, n * n, b.v);
    b.s = b.u + n * n;
    b.behind = b.s + n;
    cr__svd(b.v, n, n, b.s, b.u);
    b.sign = 1;
    for (int i = 0; i < 2; i++) {
        double *copy = b.behind, *end = copy + n * n;
        memcpy(copy, i ? b.v : b.u, (size_t)(n * n) * sizeof *copy);
        b.sign *= cr__lu(copy, n, (int64_t *)(void *)end);
        for (int64_t k = 0; k < n; k++)
            b.sign = copy[k * n + k] < 0 ? -b.sign : b.sign;
    }
    return b;
}

/* The product of all s but the i-th and the j-th. */
static double values_without(const basis *b, int64_t i, int64_t j)
{
    double product = 1;
    for (int64_t k = 0; k < b->n; k++)
        product *= k == i || k == j ? 1 : b->s[k];
    return product;
}

/* sign u^T e v into the result; work: n n. */
static void store_from(const cr_kernel *kernel, int64_t matrix, const basis *b, double *e,
                       double *work)
{
    const int64_t n = b->n;
    cr__small_product(work, b->u, true, e, false, n, n, n);
    cr__small_product(e, work, false, b->v, false, n, n, n);
    for (int64_t i = 0; i < n * n; i++)
        e[i] *= b->sign;
    cr__matrix_store(&kernel->out, matrix * n * n, n * n, e);
}

static int64_t cofactor_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const basis b = basis_of(kernel, matrix, work);
    const int64_t n = b.n;
    double *e = b.behind;
    memset(e, 0, (size_t)(n * n) * sizeof *e);
    for (int64_t i = 0; i < n; i++)
        e[i * n + i] = values_without(&b, i, i);
    store_from(kernel, matrix, &b, e, e + n * n);
    return -1;
}

/* At a diagonal matrix s the cofactor (i, i) is the product of the other s, and (i, j) falls with the
 * element (j, i): so a cotangent w, in the basis of x, goes down. */
static int64_t cofactor_grad_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const basis b = basis_of(kernel, matrix, work);
    const int64_t n = b.n;
    double *e = b.behind, *w = e + n * n, *part = w + n * n;
    cr__matrix_load(&kernel->in[1], matrix * n * n, n * n, e);
    cr__small_product(part, b.u, false, e, false, n, n, n);
    cr__small_product(w, part, false, b.v, true, n, n, n);
    for (int64_t i = 0; i < n; i++) {
        e[i * n + i] = 0;
        for (int64_t j = 0; j < n; j++) {
            if (i == j)
                continue;
            const double c = values_without(&b, i, j);
            e[i * n + j] = -c * w[j * n + i];
            e[i * n + i] += c * w[j * n + j];
        }
    }
    store_from(kernel, matrix, &b, e, part);
    return -1;
}

/* u, v, s, and three more matrices, also for an order. */
#define COFACTOR_WORK (5 * n * n + n)
CR__EACH_MATRIX(cofactor, "", COFACTOR_WORK)
CR__EACH_MATRIX(cofactor_grad, "", COFACTOR_WORK)

static cr_tensor *cofactor_grad(cr_tensor *x, cr_tensor *g)
{
    cr_tensor *inputs[] = { x, g };
    return cr__record_n(NULL, &cr__op_cofactor_grad, inputs, 2, NULL, CR_HERE);
}

static void cofactor_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cofactor_grad(cr_input(out, 0), g);
}

/* The second derivative of det is symmetric. */
static void cofactor_grad_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    if (cr_input_needs_grad(out, 0))
        cr__op_fail(cr_ctx_of(out), &cr__op_det, CR_ERR_GRAD, NULL,
                    "no third derivative");
    down[1] = cofactor_grad(cr_input(out, 0), g);
}

CR__OP(cofactor) = {
    .name = "cofactor",
    .doc = "the cofactors of x, which are the derivative of det",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .shape = cr__squares_shape,
    .vjp = cofactor_vjp,
    .reads = CR_READS_INPUT(0),
    .kernel = cofactor_kernel,
    .never_fails = true,
    .scratch = cofactor_scratch,
    .samples = CR__SAMPLES({ "f[3,3]~", NULL }, { "f[2,2]~=1,2,2,4", NULL },
                           { "f[2,1,1]~", NULL }),
};
CR__OP(cofactor_grad) = {
    .name = "cofactor_grad",
    .doc = "what cofactor sends down",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,grad",
    .shape = cr__squares_shape,
    .vjp = cofactor_grad_vjp,
    .reads = CR_READS_INPUT(0),
    .kernel = cofactor_grad_kernel,
    .never_fails = true,
    .scratch = cofactor_grad_scratch,
    .samples = CR__SAMPLES({ "f[3,3]~ f[3,3]", NULL }, { "f[2,1,1]~ f[2,1,1]", NULL }),
};

/* ---- slogdet ---- */

static cr_status slogdet_shape(cr_infer *infer)
{
    if (!cr__takes_squares(infer, 0))
        return infer->ctx->status;
    infer->dims.n--;
    infer->dims.v[infer->dims.n - 1] = 2;
    return CR_OK;
}

static double log_f64(double x)
{
    const void *src[] = { &x };
    cr__map_find(CR__MAP_log, CR_F64, CR_F64)(&x, src, (const int64_t[]){ 1 }, 1);
    return x;
}

static int64_t sign_and_log_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const int64_t n = matrix_side(kernel);
    double *end = cr__matrix_load(&kernel->in[0], matrix * n * n, n * n, work);
    double both[2] = { cr__lu(work, n, (int64_t *)(void *)end), 0 };
    for (int64_t i = 0; i < n; i++) {
        const double pivot = work[i * n + i];
        both[0] = pivot < 0 ? -both[0] : pivot == 0 ? 0 : pivot > 0 ? both[0] : pivot;
        both[1] += log_f64(fabs(pivot));
    }
    cr__matrix_store(&kernel->out, 2 * matrix, 2, both);
    return -1;
}

CR__EACH_MATRIX(sign_and_log, "", n *n + n)

/* g x^-T; the sign has no derivative. */
static void sign_and_log_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *inverse =
        cr__record_1(&cr__op_inv_unchecked, cr_input(out, 0), NULL, CR_HERE);
    down[0] = cr_mul(for_matrix(cr_select(g, -1, 1)), cr_t(inverse));
}

CR__OP(sign_and_log) = {
    .name = "sign_and_log",
    .doc = "the sign of the determinant, and the logarithm of its absolute value, packed",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .shape = slogdet_shape,
    .vjp = sign_and_log_vjp,
    .reads = CR_READS_INPUT(0),
    .kernel = sign_and_log_kernel,
    .never_fails = true,
    .scratch = sign_and_log_scratch,
    .samples = CR__SAMPLES({ "f[2,2]{1,2}", NULL }, { "f[3,1,1]{1,2}", NULL },
                           { "f[0,0]", NULL }, { "f[2,2]~=1,2,2,4", NULL }),
};

static int slogdet_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n, const void *attrs,
                          cr_tensor **outputs, int capacity)
{
    cr_tensor *both = cr__record_1(&cr__op_sign_and_log, inputs[0], NULL, CR_HERE);
    (void)ctx, (void)n, (void)attrs;
    for (int i = 0; both && i < 2 && i < capacity; i++)
        outputs[i] = cr_select(both, -1, i);
    return both ? 2 : -1;
}

CR__OP(slogdet) = {
    .name = "slogdet",
    .doc = "the sign of the determinant of x, and ln |det|: 0 and -inf if it is singular",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .expand_all = slogdet_expand,
    .samples = CR__SAMPLES({ "f[3,3]=3,-1,0.5,1,-2,1.5,0.25,1,4", NULL },
                           { "f[2,2,2]{1,2}", NULL }, { "f[0,0]", NULL }),
    .call = "x,logabsdet",
};

cr_tensor *cr_slogdet_at(cr_tensor *x, cr_tensor **logabsdet, const char *site)
{
    return cr__record_pair(&cr__op_slogdet, x, NULL, logabsdet, site);
}

/* ---- matrix_exp ---- */

static int64_t matrix_exp_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const int64_t n = matrix_side(kernel);
    double *out = cr__matrix_load(&kernel->in[0], matrix * n * n, n * n, work);
    double *more = out + n * n;
    cr__matrix_exp(work, n, out, more, (int64_t *)(void *)(more + 5 * n * n));
    cr__matrix_store(&kernel->out, matrix * n * n, n * n, out);
    return -1;
}

CR__EACH_MATRIX(matrix_exp, "", 7 * n * n + n)

/* The upper right block of the exponential of [[x^T, g], [0, x^T]] (Al-Mohy and Higham, 2009). */
static void matrix_exp_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_t(cr_input(out, 0));
    const int64_t n = cr_size(x, -1);
    cr_tensor *top[] = { x, g }, *bottom[] = { cr_zeros_like(x), x };
    cr_tensor *rows[] = { cr_cat(top, 2, -1), cr_cat(bottom, 2, -1) };
    cr_tensor *all = cr_matrix_exp(cr_cat(rows, 2, -2));
    down[0] = cr_slice(cr_slice(all, -2, 0, n), -1, n, 2 * n);
}

CR__OP(matrix_exp) = {
    .name = "matrix_exp",
    .doc = "the exponential of x [.., n, n], sum x^k / k!",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .shape = cr__squares_shape,
    .vjp = matrix_exp_vjp,
    .reads = CR_READS_INPUT(0),
    .kernel = matrix_exp_kernel,
    .never_fails = true,
    .scratch = matrix_exp_scratch,
    .samples = CR__SAMPLES({ "f[3,3]", NULL }, { "f[2,2,2]", NULL }, { "f[1,1]", NULL },
                           { "f[0,0]", NULL }, { "f[2,2]=0 -> 1 -> 2", NULL }),
};

cr_tensor *cr_matrix_exp_at(cr_tensor *x, const char *site)
{
    return cr__record_1(&cr__op_matrix_exp, x, NULL, site);
}

/* ---- trace ---- */

/* A view of the diagonal: of the rows without their end, one behind the other, the first column of n
 * + 1. */
static cr_tensor *trace_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                               const void *attrs)
{
    cr_tensor *x = inputs[0];
    (void)n, (void)attrs;
    if (cr_ndim(x) != 2) {
        cr__op_fail(ctx, &cr__op_trace, CR_ERR_SHAPE, NULL, "takes a matrix, not %s",
                    cr__shape_text(x));
        return NULL;
    }
    const int64_t rows = cr_size(x, 0), columns = cr_size(x, 1);
    cr_tensor *i = cr_arange(ctx, 0, rows, 1, .dtype = CR_I64);
    cr_tensor *j = cr_arange(ctx, 0, columns, 1, .dtype = CR_I64);
    return cr_sum(cr_where(cr_eq(cr_unsqueeze(i, 1), j), x, 0));
}

CR__OP(trace) = {
    .name = "trace",
    .doc = "the sum of the diagonal of a matrix",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .expand = trace_expand,
    .samples = CR__SAMPLES({ "f[3,3]", NULL }, { "f[2,4]", NULL }, { "f[3,1]", NULL },
                           { "f[0,2]", NULL }, { "i[2,2]", NULL }),
};

cr_tensor *cr_trace_at(cr_tensor *x, const char *site)
{
    return cr__record_1(&cr__op_trace, x, NULL, site);
}
