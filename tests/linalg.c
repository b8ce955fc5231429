/* Linear algebra at its special cases: functions of symmetric matrices, which a change of one element
 * does not leave symmetric, equal values, singular matrices, and what is refused. */
#include "engine.h"

/* A symmetric matrix of 9 numbers, positive definite. */
static cr_tensor *symmetric(cr_tensor *x)
{
    cr_tensor *square = cr_matmul(x, cr_t(x));
    return cr_add(square, cr_eye(cr_ctx_of(x), 3, .dtype = CR_F64));
}

/* Numbers that do not depend on signs. */
static cr_tensor *of_cholesky(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n;
    return cr_cholesky(symmetric(in[0]), .upper = user != NULL);
}

static cr_tensor *of_eigh(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    cr_tensor *v, *w = cr_eigh(symmetric(in[0]), &v);
    (void)ctx, (void)n, (void)user;
    return cr_matmul(cr_mul(v, cr_unsqueeze(cr_tanh(w), 0)), cr_t(v));
}

static cr_tensor *of_eigvalsh(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    return cr_eigvalsh(symmetric(in[0]));
}

static cr_tensor *of_svd(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    cr_tensor *s, *vh, *u = cr_svd(in[0], &s, &vh);
    (void)ctx, (void)n, (void)user;
    return cr_matmul(cr_mul(u, cr_sin(s)), vh);
}

static cr_tensor *of_qr(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    cr_tensor *r, *q = cr_qr(in[0], &r);
    (void)ctx, (void)n, (void)user;
    return cr_add(cr_sum(cr_square(r), 0, .keepdim = true), cr_slice(q, 0, 0, 1));
}

static cr_tensor *values(cr_ctx *ctx, int64_t rows, int64_t columns)
{
    static const double v[] = { 1.2, -0.7, 0.3, 0.5, 2.1, -1.1, 0.9, 0.4, -1.6 };
    return cr_from(ctx, CR_F64, CR_DIMS(rows, columns), v);
}

static void test_gradients(cr_ctx *ctx)
{
    static const struct {
        const char *name;
        cr_function *f;
        int64_t rows, columns;
    } cases[] = {
        { "cholesky", of_cholesky, 3, 3 },
        { "eigh", of_eigh, 3, 3 },
        { "eigvalsh", of_eigvalsh, 3, 3 },
        { "svd", of_svd, 3, 3 },
        { "svd of a tall one", of_svd, 3, 2 },
        { "svd of a wide one", of_svd, 2, 3 },
        { "qr", of_qr, 3, 3 },
        { "qr of a tall one", of_qr, 3, 2 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CR_SCOPE(ctx);
        cr_tensor *x = cr_requires_grad(values(ctx, cases[i].rows, cases[i].columns));
        for (int upper = 0; upper < 2; upper++)
            ok(cr_gradcheck(cases[i].f, upper ? &upper : NULL, &x, 1,
                            .second_order = true) == CR_OK,
               "%s: %s", cases[i].name, cr_message(ctx));
        cr_clear(ctx);
    }
}

static bool all_finite(cr_tensor *x)
{
    const double *v = cr_data(x);
    for (int64_t i = 0; v && i < cr_numel(x); i++)
        if (!isfinite(v[i]))
            return false;
    return v != NULL;
}

/* What depends on equal values symmetrically has a gradient. */
static void test_equal_values(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(cr_eye(ctx, 3, .dtype = CR_F64));
    cr_backward(cr_sum(cr_square(cr_svdvals(x))));
    ok(all_finite(cr_grad(x)) &&
           cr_item(cr_sum(cr_abs(cr_sub(cr_grad(x), cr_mul(cr_detach(x), 2))))) < 1e-12,
       "the sum of squares of equal singular values");
    cr_zero_grad(x);
    cr_tensor *v, *w = cr_eigh(x, &v);
    cr_backward(cr_sum(cr_matmul(cr_mul(v, cr_unsqueeze(cr_exp(w), 0)), cr_t(v))));
    ok(all_finite(cr_grad(x)), "eigenvectors of equal eigenvalues");
    cr_zero_grad(x);
    cr_tensor *zero = cr_requires_grad(cr_zeros(ctx, CR_DIMS(2, 3), .dtype = CR_F64));
    cr_tensor *s, *vh, *u = cr_svd(zero, &s, &vh);
    cr_backward(cr_add(cr_sum(u), cr_add(cr_sum(s), cr_sum(vh))));
    ok(all_finite(cr_grad(zero)), "singular values of 0");
    is_text(cr_message(ctx), "", "no error");
}

/* det of singular matrices, of ranks n - 1 and n - 2: the cofactors. */
static void test_singular(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double v[] = { 1, 2, 3, 2, 4, 6, 1, 0, 1, 1, 2, 3, 2, 4, 6, 3, 6, 9 };
    const double want[] = { 4, 4, -4, -2, -2, 2, 0, 0, 0 };
    cr_tensor *x = cr_requires_grad(cr_from(ctx, CR_F64, CR_DIMS(2, 3, 3), v));
    cr_backward(cr_sum(cr_det(x)));
    const double *g = cr_data(cr_grad(x));
    for (int i = 0; i < 18; i++)
        is_near(g ? g[i] : NAN, i < 9 ? want[i] : 0, 1e-13, "cofactor %d", i);
    cr_tensor *logabsdet, *sign = cr_slogdet(cr_detach(x), &logabsdet);
    ok(cr_item(cr_amax(cr_abs(sign))) == 0 && cr_item(cr_amax(logabsdet)) == -INFINITY,
       "slogdet of singular matrices");
    FAILS(cr_eval(cr_inv(cr_detach(x))), VALUE, "inv: matrix 0 is singular: pivot ");
    FAILS(cr_eval(cr_solve(cr_detach(x), cr_ones(ctx, CR_DIMS(3), .dtype = CR_F64))),
          VALUE, "solve: matrix 0 is singular: pivot ");
    cr_tensor *negative =
        cr_stack(((cr_tensor *[]){ cr_eye(ctx, 2), cr_neg(cr_eye(ctx, 2)) }), 2, 0);
    FAILS(cr_eval(cr_cholesky(negative)), VALUE,
          "cholesky: matrix 1 is not positive definite: its leading minor of order 1");
    is_text(cr_message(ctx), "", "no error");
}

/* A tall matrix of f32 whose squares overflow and vanish. */
static void test_range(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    for (int i = -1; i < 2; i += 2) {
        const double scale = i < 0 ? 1e-200 : 1e200;
        cr_tensor *x = cr_mul(values(ctx, 3, 2), scale);
        cr_tensor *ratio =
            cr_div(cr_svdvals(x), cr_mul(cr_svdvals(values(ctx, 3, 2)), scale));
        is_near(cr_item(cr_sum(ratio)), 2, 1e-13, "singular values of size %g", scale);
    }
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    test_gradients(ctx);
    test_equal_values(ctx);
    test_singular(ctx);
    test_range(ctx);
    cr_close(ctx);
    return done_testing();
}
