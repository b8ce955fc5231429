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
    cr_backward(cr_sum(cr_amax(leaf, 1)));
    const float *g = cr_data(cr_grad(leaf));
    ok(g && g[0] == 0 && g[1] == 1 && g[2] == 1 && g[3] == 0, "row by row");
}

/* ---- sums that scatter ---- */

enum { BLOCK = 4096, LANES = 32 };

/* The order of sums, as the architecture defines it, of the terms of one element of the
 * result: term[j], 0 where position j points elsewhere. */
static float ordered_sum(const float *term, int n)
{
    float blocks[64] = { 0 };
    int count = (n + BLOCK - 1) / BLOCK;
    for (int b = 0; b < count; b++) {
        float lanes[LANES] = { 0 };
        for (int i = b * BLOCK; i < n && i < (b + 1) * BLOCK; i++)
            lanes[i % LANES] += term[i];
        for (int half = LANES / 2; half; half /= 2)
            for (int l = 0; l < half; l++)
                lanes[l] += lanes[l + half];
        blocks[b] = lanes[0];
    }
    for (; count > 1; count = (count + 1) / 2)
        for (int i = 0; i < count; i += 2)
            blocks[i / 2] = i + 1 < count ? blocks[i] + blocks[i + 1] : blocks[i];
    return blocks[0];
}

/* x + alpha source of [outer, n, inner] at index along the middle dim of size rows; each
 * (outer, inner) has an index of its own, or all have one. */
typedef struct scattering {
    int outer, n, rows, inner;
    bool own;
    float alpha;
    float *x, *source, *want;
    int64_t *index;
} scattering;

static uint64_t state = 1;

static double uniform(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) * 0x1p-53;
}

/* Most positions point to a few rows. */
static scattering new_scattering(int outer, int n, int rows, int inner, bool own,
                                 float alpha)
{
    scattering s = { outer, n, rows, inner, own, alpha, NULL, NULL, NULL, NULL };
    int terms = outer * n * inner, results = outer * rows * inner;
    s.x = malloc((size_t)results * sizeof *s.x);
    s.want = malloc((size_t)results * sizeof *s.want);
    s.source = malloc((size_t)terms * sizeof *s.source);
    s.index = malloc((size_t)terms * sizeof *s.index);
    float *term = malloc((size_t)n * sizeof *term);
    for (int i = 0; i < results; i++)
        s.x[i] = (float)(uniform() - 0.5);
    for (int i = 0; i < terms; i++)
        s.source[i] = (float)(uniform() - 0.5);
    for (int i = 0; i < (own ? terms : n); i++)
        s.index[i] = (int64_t)(pow(uniform(), 3) * rows);
    for (int i = 0; i < results; i++) {
        int o = i / inner / rows, row = i / inner % rows, c = i % inner;
        bool any = false;
        for (int j = 0; j < n; j++) {
            int at = (o * n + j) * inner + c;
            bool here = s.index[own ? at : j] == row;
            term[j] = here ? alpha * s.source[at] : 0;
            any = any || here;
        }
        s.want[i] = any ? s.x[i] + ordered_sum(term, n) : s.x[i];
    }
    free(term);
    return s;
}

static void test_scattering(cr_ctx *ctx, scattering s)
{
    CR_SCOPE(ctx);
    cr_dims result = CR_DIMS(s.outer, s.rows, s.inner);
    cr_dims dims = CR_DIMS(s.outer, s.n, s.inner);
    cr_tensor *x = cr_from(ctx, CR_F32, result, s.x);
    cr_tensor *source = cr_from(ctx, CR_F32, dims, s.source);
    cr_tensor *index = cr_from(ctx, CR_I64, s.own ? dims : CR_DIMS(s.n), s.index), *y;
    char attrs[64];
    snprintf(attrs, sizeof attrs, "dim=1%s", s.own ? "" : ",alpha=-0.75");
    cr_tensor *inputs[3] = { x, index, source };
    cr_call(ctx, cr_op_find(s.own ? "scatter_add" : "index_add"), inputs, 3, attrs, &y,
            1);
    const float *got = cr_data(y);
    int differ = 0;
    for (int i = 0; got && i < s.outer * s.rows * s.inner; i++)
        differ += got[i] != s.want[i];
    ok(got && differ == 0, "%s of [%d, %d, %d] into %d rows: %d bits differ%s",
       s.own ? "scatter_add" : "index_add", s.outer, s.n, s.inner, s.rows, differ,
       got ? "" : cr_message(ctx));
}

static void free_scattering(scattering s)
{
    free(s.x);
    free(s.source);
    free(s.want);
    free(s.index);
}

/* A million times 0.1 into one row, by every operation that has such a sum: what the sum
 * of them is. */
static void is_sum(double got, double want, const char *what)
{
    is_near(got, want, 0, "%s is the sum", what);
    is_near(got, 1000000 * (double)0.1f, 0.125, "and right to 2^-20");
}

static void test_many_into_one(cr_ctx *ctx)
{
    enum { N = 1000000 };
    CR_SCOPE(ctx);
    cr_tensor *index = cr_zeros(ctx, CR_DIMS(N), .dtype = CR_I64);
    cr_tensor *tenths = cr_full(ctx, CR_DIMS(N), 0.1);
    double want = cr_item(cr_sum(tenths));
    cr_tensor *inputs[3] = { cr_zeros(ctx, CR_DIMS(1)), index, tenths }, *y = NULL;
    is_sum(cr_item(cr_scatter_add(inputs[0], 0, index, tenths)), want, "scatter_add");
    cr_call(ctx, cr_op_find("index_add"), inputs, 3, "dim=0", &y, 1);
    is_sum(cr_item(y), want, "index_add");
    cr_tensor *x = cr_requires_grad(cr_ones(ctx, CR_DIMS(1, 1)));
    cr_backward(cr_sum(cr_mul(cr_embedding(x, index), 0.1)));
    is_sum(cr_item(cr_grad(x)), want, "the gradient of embedding");
    cr_zero_grad(x);
    cr_backward(cr_sum(cr_mul(cr_index_select(x, 0, index), 0.1)));
    is_sum(cr_item(cr_grad(x)), want, "of index_select");
    cr_zero_grad(x);
    cr_backward(cr_sum(cr_mul(cr_gather(x, 0, cr_unsqueeze(index, 1)), 0.1)));
    is_sum(cr_item(cr_grad(x)), want, "of gather");
}

static void test_scattered_sums(void)
{
    scattering all[] = {
        new_scattering(1, 20000, 7, 3, false, -0.75f),
        new_scattering(1, 9000, 500, 1, false, -0.75f),
        new_scattering(3, 300, 5, 130, false, -0.75f),
        new_scattering(40, 50, 4, 1, false, -0.75f),
        new_scattering(1, 20000, 7, 1, true, 1),
        new_scattering(2, 5000, 60, 2, true, 1),
        new_scattering(150, 40, 3, 5, true, 1),
        new_scattering(500, 1, 30, 1, true, 1),
    };
    for (int threads = 1; threads <= 4; threads += 3) {
        cr_ctx *ctx = cr_open(&(cr_options){ .threads = threads });
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            test_scattering(ctx, all[i]);
        test_many_into_one(ctx);
        cr_close(ctx);
    }
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free_scattering(all[i]);
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    test_scattered_sums();
    test_extremum_of_nan(ctx);
    cr_close(ctx);
    return done_testing();
}
