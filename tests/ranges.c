/* Scans of long lines, whose errors must not grow, and norms, distances and products
 * where squares and partial products are more or less than their type holds, and the
 * result is not. */
#include "tap.h"

#include <chainrule.h>

enum { LONG = 1000000 };

/* The largest error of the sums of 0.1, in units of what a type of these digits rounds
 * by. */
static double worst_sum(cr_ctx *ctx, cr_dtype dtype, double digit)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_full(ctx, CR_DIMS(LONG), 0.1, .dtype = dtype);
    const double *y = cr_data(cr_cast(cr_cumsum(x, 0), CR_F64));
    const float tenth =
        (float)0.1; /* the x87 unit takes 0.1f for what it takes 0.1 for */
    const double each = dtype == CR_F32 ? (double)tenth : 0.1;
    double most = 0;
    for (int64_t i = 0; y && i < LONG; i++) {
        double want = each * (double)(i + 1);
        most = fmax(most, fabs(y[i] - want) / (want * digit));
    }
    return y ? most : (double)NAN;
}

static void long_lines(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    double f32 = worst_sum(ctx, CR_F32, 0x1p-23), f64 = worst_sum(ctx, CR_F64, 0x1p-52);
    ok(f32 <= 0.51, "a million numbers in f32: each sum is rounded once, not %g digits",
       f32);
    ok(f64 <= 1, "in f64: within a digit of a rounded product, not %g", f64);
    cr_tensor *zeros = cr_zeros(ctx, CR_DIMS(LONG));
    cr_tensor *last = cr_select(cr_logcumsumexp(zeros, 0), 0, LONG - 1);
    is_near(cr_item(last), log(LONG), 1e-5, "ln of a million");
    cr_tensor *x =
        cr_from(ctx, CR_F64, CR_DIMS(4), CR_ARRAY(double, 1e300, 1, -1e300, 1));
    is_near(cr_item(cr_select(cr_cumsum(x, 0), 0, 3)), 2, 0,
            "what a sum has lost comes back");
}

/* y and the gradient of x's first element are near these, relatively. */
static void is_result(cr_tensor *y, cr_tensor *x, double value, double slope,
                      const char *what)
{
    cr_tensor *g = NULL;
    (void)cr_gradients(&y, 1, &x, 1, &g);
    double got = cr_item(y), first = g ? ((const float *)cr_data(g))[0] : (float)NAN;
    is_near(got / value, 1, 1e-5, "%s: %g", what, got);
    is_near(first, slope, 1e-5 * fabs(slope), "%s: its gradient", what);
}

static cr_tensor *pair(cr_ctx *ctx, float a, float b)
{
    return cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(1, 2), CR_ARRAY(float, a, b)));
}

static void far_numbers(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *large = pair(ctx, 1.5e38f, 2e38f), *small = pair(ctx, 3e-30f, 4e-30f);
    cr_tensor *apart = pair(ctx, -1e38f, 1e38f), *zeros = cr_zeros(ctx, CR_DIMS(1, 2));
    is_result(cr_vector_norm(large), large, 2.5e38, 0.6, "a large norm");
    is_result(cr_vector_norm(small), small, 5e-30, 0.6, "a small norm");
    is_result(cr_vector_norm(small, CR_ALL, .ord = CR_REAL(3)), small, 4.4979414e-30,
              0.4448514, "a small norm of order 3");
    is_result(cr_std(apart, CR_ALL, .correction = CR_REAL(0)), apart, 1e38, -0.5,
              "a large deviation");
    is_result(cr_sum(cr_cdist(large, zeros)), large, 2.5e38, 0.6, "a large distance");
    is_result(cr_sum(cr_cdist(small, zeros)), small, 5e-30, 0.6, "a small distance");
}

/* Half of the factors vanish in any product of their own, the others overflow. */
static void far_products(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    float factors[64];
    for (int i = 0; i < 64; i++)
        factors[i] = i < 32 ? 0x1p-60f : 0x1p60f;
    cr_tensor *x = cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(64), factors));
    is_result(cr_prod(x), x, 1, 0x1p60, "a product of 64");
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    long_lines(ctx);
    far_numbers(ctx);
    far_products(ctx);
    is_text(cr_message(ctx), "", "no error");
    cr_close(ctx);
    return done_testing();
}
