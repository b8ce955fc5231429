/* Numbers at the edges: sums that scatter, means of nearly constant rows, squares that
 * overflow, tails, infinities, NaN. Against what f64 or the formula's limit says. */
#include "tap.h"

#include <chainrule.h>
#include <stdlib.h>

static const float nan_f = NAN;

/* The gradient of the sum of f(x), as f64 numbers. */
typedef cr_tensor *function(cr_tensor *x);

static void gradient_of(cr_ctx *ctx, function *f, const double *x, int n, cr_dtype dtype,
                        double *out)
{
    CR_SCOPE(ctx);
    cr_tensor *leaf =
        cr_requires_grad(cr_cast(cr_from(ctx, CR_F64, CR_DIMS(n), x), dtype));
    cr_backward(cr_sum(f(leaf)));
    if (cr_read(cr_cast(cr_grad(leaf), CR_F64), out, (size_t)n * sizeof *out) != CR_OK)
        diag("%s", cr_message(ctx));
}

/* ---- NaN among the largest ---- */

static cr_tensor *largest(cr_tensor *x)
{
    return cr_amax(x);
}

static cr_tensor *smallest(cr_tensor *x)
{
    return cr_amin(x);
}

static void test_extremum_of_nan(cr_ctx *ctx)
{
    const double x[4] = { 1, (double)NAN, 3, (double)NAN };
    function *const fs[2] = { largest, smallest };
    for (int k = 0; k < 2; k++)
        for (int dtype = CR_F32; dtype <= CR_F64; dtype++) {
            double g[4];
            gradient_of(ctx, fs[k], x, 4, (cr_dtype)dtype, g);
            ok(g[0] == 0 && g[1] == 0.5 && g[2] == 0 && g[3] == 0.5,
               "%s: NaNs share the gradient: %g %g %g %g", k ? "amin" : "amax", g[0],
               g[1], g[2], g[3]);
        }
    float rows[2][2] = { { 1, 2 }, { nan_f, 2 } };
    CR_SCOPE(ctx);
    cr_tensor *leaf = cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(2, 2), rows));
    cr_backward(cr_sum(cr_amax(leaf, .dims = CR_DIMS(1))));
    const float *g = cr_data(cr_grad(leaf));
    ok(g && g[0] == 0 && g[1] == 1 && g[2] == 1 && g[3] == 0, "row by row");
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    test_extremum_of_nan(ctx);
    cr_close(ctx);
    return done_testing();
}
