/* Numbers at the edges: sums that scatter, means of nearly constant rows, squares that
 * overflow, tails, infinities, NaN. Against what f64 or the formula's limit says. */
#include "elementary.h"
#include "tap.h"

#include <chainrule.h>
#include <stdlib.h>

static const float nan_f = NAN;

/* The gradient of the sum of f(x), as f64 numbers. */
typedef cr_tensor *function(cr_ctx *ctx, cr_tensor *x);

static void gradient_of(cr_ctx *ctx, function *f, const double *x, int n, cr_dtype dtype,
                        double *out)
{
    CR_SCOPE(ctx);
    cr_tensor *leaf =
        cr_requires_grad(cr_cast(cr_from(ctx, CR_F64, CR_DIMS(n), x), dtype));
    cr_backward(cr_sum(f(ctx, leaf)));
    if (cr_read(cr_cast(cr_grad(leaf), CR_F64), out, (size_t)n * sizeof *out) != CR_OK)
        diag("%s", cr_message(ctx));
}

/* ---- NaN among the largest ---- */

static cr_tensor *largest(cr_ctx *ctx, cr_tensor *x)
{
    (void)ctx;
    return cr_amax(x);
}

static cr_tensor *smallest(cr_ctx *ctx, cr_tensor *x)
{
    (void)ctx;
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

/* ---- means of nearly constant rows ---- */

enum { ROW = 1000 };

static cr_tensor *call(cr_tensor *x, const char *op, const char *attrs)
{
    cr_tensor *y = NULL;
    cr_call(NULL, cr_op_find(op), &x, 1, attrs, &y, 1);
    return y;
}

/* The largest difference of two f64 arrays relative to the largest of b. */
static double difference(const double *a, const double *b, int n)
{
    double most = 0, size = 0;
    for (int i = 0; i < n; i++) {
        most = fmax(most, fabs(a[i] - b[i]));
        size = fmax(size, fabs(b[i]));
        if (isnan(a[i]) != isnan(b[i]))
            return (double)INFINITY;
    }
    return size > 0 ? most / size : most;
}

/* (x - mean) / sqrt(var + eps), of f32 numbers in f64. */
static void normalised(const float *x, int n, double eps, double *y)
{
    double mean = x[0], var = 0;
    for (int i = 0; i < n; i++)
        mean += ((double)x[i] - (double)x[0]) / n;
    for (int i = 0; i < n; i++)
        var += (x[i] - mean) * (x[i] - mean) / n;
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(var + eps);
}

static void is_normalised(cr_ctx *ctx, const float *x, int n, double eps,
                          const char *what)
{
    CR_SCOPE(ctx);
    double want[ROW], got[ROW];
    cr_tensor *rows = cr_from(ctx, CR_F32, CR_DIMS(1, n), x);
    cr_tensor *columns = cr_reshape(rows, CR_DIMS(n, 1));
    char attrs[64];
    normalised(x, n, eps, want);
    snprintf(attrs, sizeof attrs, "normalized_shape=%d,eps=%g", n, eps);
    cr_read(cr_cast(call(rows, "layer_norm", attrs), CR_F64), got,
            sizeof *got * (size_t)n);
    is_near(difference(got, want, n), 0, 2e-6, "layer_norm of %s", what);
    snprintf(attrs, sizeof attrs, "training=true,eps=%g", eps);
    cr_read(cr_cast(call(columns, "batch_norm", attrs), CR_F64), got,
            sizeof *got * (size_t)n);
    is_near(difference(got, want, n), 0, 2e-6, "batch_norm of %s", what);
}

static void test_means_of_constant_rows(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    float x[ROW];
    for (int i = 0; i < ROW; i++)
        x[i] = 12345.678f;
    is_normalised(ctx, x, ROW, 1e-5, "a constant row");
    cr_tensor *same = cr_full(ctx, CR_DIMS(ROW), 1e6 + 0.1);
    is_near(cr_item(call(same, "var", NULL)), 0, 0, "var of equal numbers");
    for (int i = 0; i < ROW; i++)
        x[i] = 12345.678f + (float)(i % 7) * 0x1p-10f;
    is_normalised(ctx, x, ROW, 1e-5, "nearly equal numbers");
    double mean = 0, var = 0;
    for (int i = 0; i < ROW; i++)
        mean += x[i] / (double)ROW;
    for (int i = 0; i < ROW; i++)
        var += (x[i] - mean) * (x[i] - mean) / (ROW - 1);
    cr_tensor *near = cr_from(ctx, CR_F32, CR_DIMS(ROW, 1), x);
    is_near(cr_item(call(near, "var", NULL)), var, var * 1e-6, "their var");
    cr_tensor *running_mean = cr_zeros(ctx, CR_DIMS(1));
    cr_tensor *running_var = cr_zeros(ctx, CR_DIMS(1)), *y;
    cr_tensor *inputs[3] = { near, running_mean, running_var };
    cr_call(ctx, cr_op_find("batch_norm"), inputs, 3, "training=true,momentum=1", &y, 1);
    is_near(cr_item(running_mean), mean, 1e-3, "the running mean");
    is_near(cr_item(running_var), var, var * 1e-6, "the running var");
}

/* ---- sums and squares that overflow or vanish on the way ---- */

static cr_tensor *normal_row(cr_ctx *ctx, cr_tensor *x)
{
    const double weights[6] = { 1, -2, 0, 3, 1, -1 };
    cr_tensor *w = cr_cast(cr_from(ctx, CR_F64, CR_DIMS(6), weights), cr_dtype_of(x));
    return cr_mul(call(x, "layer_norm", "normalized_shape=6"), w);
}

static void test_layer_norm_extremes(cr_ctx *ctx)
{
    static const float scales[] = { 1e20f, 1e30f, 1e19f, 1, 1e-19f, 1e-30f };
    for (int k = 0; k < 6; k++) {
        float x[6] = { 1, -1, 0.5f, -2, 3, 0.25f };
        double wide[6], narrow[6], want[6];
        for (int i = 0; i < 6; i++)
            wide[i] = x[i] *= scales[k];
        is_normalised(ctx, x, 6, 1e-5, "extreme numbers");
        gradient_of(ctx, normal_row, wide, 6, CR_F64, want);
        gradient_of(ctx, normal_row, wide, 6, CR_F32, narrow);
        is_near(difference(narrow, want, 6), 0, 5e-6, "the gradient at %g", scales[k]);
    }
    float x[4] = { 1e-22f, -2e-22f, 3e-22f, 0 };
    is_normalised(ctx, x, 4, 1e-42, "numbers whose squares vanish, beside a tiny eps");
}

static void test_overflow_on_the_way(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    enum { N = 100000 };
    const float two[2] = { 3e38f, 3e38f },
                signs[5] = { 3e38f, 3e38f, -3e38f, 3e38f, -3e38f };
    const double large[2] = { 1.7e308, 1.7e308 };
    cr_tensor *x = cr_from(ctx, CR_F32, CR_DIMS(2), two);
    is_near(cr_item(cr_mean(x)), two[0], 0, "the mean of large numbers");
    is_near(cr_item(cr_mean(cr_mul(x, 1))), two[0], 0, "computed ones");
    is_near(cr_item(cr_mean(cr_from(ctx, CR_F64, CR_DIMS(2), large))), 1.7e308, 0, "f64");
    is_near(cr_item(cr_sum(cr_from(ctx, CR_F32, CR_DIMS(5), signs))), 3e38f, 1e32,
            "a sum");
    cr_tensor *many = cr_full(ctx, CR_DIMS(N, 3), 3e38);
    is_near(cr_item(cr_mean(many)), 3e38f, 1e33, "of many");
    is_near(cr_item(cr_amin(call(many, "mean", "dim=0"))), 3e38f, 1e33, "by columns");
    is_near(cr_item(cr_amin(call(cr_mul(many, 1), "mean", "dim=1"))), 3e38f, 1e32,
            "by rows");
    is_near(cr_item(cr_sum(x)), (double)INFINITY, 0, "what is too large stays infinite");
    const float mixed[3] = { INFINITY, -INFINITY, 1 };
    is_near(cr_item(cr_mean(cr_from(ctx, CR_F32, CR_DIMS(3), mixed))), (double)NAN, 0,
            "NaN");
    cr_tensor *outlier =
        cr_mul(cr_cast(cr_eq(cr_arange(ctx, 0, N, 1), 5), CR_F32), 1e20f);
    is_near(cr_item(call(outlier, "var", NULL)), 1e35, 1e29, "var with one large number");
    is_near(cr_item(cr_mse_loss(outlier, cr_zeros(ctx, CR_DIMS(N)))), 1e35, 1e29,
            "mse_loss");
    float apart[3] = { 1.6e38f, -1.6e38f, -1.6e38f };
    is_normalised(ctx, apart, 3, 1e-5, "numbers whose distance can be held");
    x = cr_from(ctx, CR_F32, CR_DIMS(3), apart);
    is_near(cr_item(cr_var(x)), (double)INFINITY, 0, "their var, which cannot");
    is_near(cr_item(cr_var(cr_mul(x, 2))), (double)NAN, 0, "var where x - mean cannot");
    cr_tensor *tiny = cr_full(ctx, CR_DIMS(N), 1e-40);
    is_near(cr_item(cr_mean(tiny)), cr_item(cr_amax(tiny)), 2e-45,
            "the mean of tiny numbers");
}

/* Means of integers, correctly rounded. long double holds these sums. */
static void test_means_of_integers(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const int64_t max[2] = { INT64_MAX, INT64_MAX }, min[3] = { INT64_MIN, INT64_MIN, 5 };
    const int64_t odd[2] = { -3, -4 }, near[2] = { (1 << 24) + 1, (1 << 24) + 2 };
    is_near(cr_item(cr_mean(cr_from(ctx, CR_I64, CR_DIMS(2), max))), 0x1p63, 0,
            "largest");
    is_near(cr_item(cr_mean(cr_from(ctx, CR_I64, CR_DIMS(3), min))),
            (double)(float)(-0x1p64 / 3), 0, "least");
    is_near(cr_item(cr_mean(cr_from(ctx, CR_I64, CR_DIMS(2), odd))), -3.5, 0,
            "of -3 and -4");
    is_near(cr_item(cr_mean(cr_from(ctx, CR_I64, CR_DIMS(2), near))), 0x1p24 + 2, 0,
            "2^24 + 1.5");
    int64_t x[300];
    int wrong = 0;
    for (int n = 1; n <= 300; n += 13) {
        long double sum = 0;
        for (int i = 0; i < n; i++)
            sum += x[i] = (int64_t)((uniform() - 0.5) * pow(2, uniform() * 60));
        wrong += cr_item(cr_mean(cr_from(ctx, CR_I64, CR_DIMS(n), x))) !=
                 (double)(float)(sum / n);
    }
    is_int(wrong, 0, "of random integers");
    cr_tensor *flags = cr_lt(cr_arange(ctx, 0, 9, 1), 2);
    is_near(cr_item(cr_mean(flags)), (double)(float)(2 / 9.0), 0, "of bools");
}

/* ---- tails ---- */

/* The value, the first and the second derivative of an operation at x. */
static void derivatives_at(cr_ctx *ctx, const char *op, const char *attrs, double x,
                           cr_dtype dtype, double out[3])
{
    CR_SCOPE(ctx);
    cr_tensor *leaf = cr_requires_grad(cr_full(ctx, CR_NO_DIMS, x, .dtype = dtype));
    cr_tensor *y = call(leaf, op, attrs), *first = NULL, *second = NULL;
    cr_gradients(&y, 1, &leaf, 1, &first, .create_graph = true);
    cr_gradients(&first, 1, &leaf, 1, &second, .create_graph = true);
    out[0] = cr_item(y), out[1] = cr_item(first), out[2] = cr_item(second);
    if (cr_error(ctx))
        diag("%s", cr_message(ctx));
}

static double softplus(double x)
{
    return log1p(exp(x));
}

static double tanh_slope(double x)
{
    return 4 * logistic_slope(2 * x);
}

static double tanh_curve(double x)
{
    return 8 * logistic_curve(2 * x);
}

typedef struct tailed {
    const char *op, *attrs;
    double (*of[3])(double); /* the function, its slope and its curve */
    bool wide;               /* in f64 alone */
} tailed;

static void test_tails(cr_ctx *ctx)
{
    static const tailed all[] = {
        { "gelu", NULL, { gelu, gelu_slope, gelu_curve }, false },
        { "gelu",
          "approximate=tanh",
          { gelu_tanh, gelu_tanh_slope, gelu_tanh_curve },
          false },
        { "silu", NULL, { silu, silu_slope, silu_curve }, false },
        { "softplus", NULL, { softplus, sigmoid, logistic_slope }, false },
        { "softplus", "threshold=1000", { softplus, sigmoid, logistic_slope }, false },
        { "sigmoid", NULL, { sigmoid, logistic_slope, logistic_curve }, true },
        { "tanh", NULL, { tanh, tanh_slope, tanh_curve }, true },
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        for (int dtype = CR_F32; dtype <= CR_F64; dtype++) {
            double worst = 0, at = 0, bound = dtype == CR_F32 ? 1e-6 : 1e-14;
            bool wide = dtype == CR_F64 || !all[k].wide;
            for (double x = -12.5; wide && x < 19.6; x += 0.8125) {
                double got[3];
                derivatives_at(ctx, all[k].op, all[k].attrs, x, (cr_dtype)dtype, got);
                for (int i = 0; i < 3; i++) {
                    double want = all[k].of[i](x), size = fabs(want);
                    if (fabs(x) < 3.5) /* where derivatives are 0 */
                        size = fmax(size, 0.5);
                    double error = fabs(got[i] - want) / (size + 1e-38);
                    if (!(error <= worst))
                        worst = error, at = x;
                }
            }
            ok(worst <= bound, "%s %s, %s: value, slope and curve within %.2g, at %g",
               all[k].op, all[k].attrs ? all[k].attrs : "",
               cr_dtype_name((cr_dtype)dtype), worst, at);
        }
}

/* What maps.h says of the gradients of sigmoid and tanh in f32. */
static void test_gradients_from_results(cr_ctx *ctx)
{
    enum { N = 40001 };
    static float x[N], g[N];
    for (int k = 0; k < 2; k++) {
        CR_SCOPE(ctx);
        double worst = 0, worst_below = 0, first_zero = 100;
        for (int i = 0; i < N; i++)
            x[i] = (float)(i - N / 2) * 1e-3f;
        cr_tensor *leaf = cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(N), x));
        cr_backward(cr_sum(k ? cr_tanh(leaf) : cr_sigmoid(leaf)));
        cr_read(cr_grad(leaf), g, sizeof g);
        for (int i = 0; i < N; i++) {
            double want = k ? tanh_slope(x[i]) : logistic_slope(x[i]);
            double error = fabs(g[i] - want);
            worst = fmax(worst, error);
            worst_below = x[i] < 0 ? fmax(worst_below, error / want) : worst_below;
            if (x[i] > 0 && g[i] == 0)
                first_zero = fmin(first_zero, x[i]);
        }
        ok(worst < (k ? 0x1p-23 : 1.1 * 0x1p-24), "%s: within %.3g",
           k ? "tanh" : "sigmoid", worst);
        ok(k || worst_below < 5e-7, "sigmoid below 0: all digits: %.3g", worst_below);
        is_near(first_zero, k ? 9.01 : 17.3, 0.02, "0 from there on");
        cr_tensor *wide = cr_cast(leaf, CR_F64);
        wide = k ? cr_tanh(wide) : cr_sigmoid(wide);
        cr_zero_grad(leaf);
        cr_backward(cr_sum(cr_cast(wide, CR_F32)));
        cr_read(cr_grad(leaf), g, sizeof g);
        worst = 0;
        for (int i = 0; i < N; i++) {
            double want = k ? tanh_slope(x[i]) : logistic_slope(x[i]);
            worst = fmax(worst, fabs(g[i] - want) / want);
        }
        ok(worst < 1e-7, "by way of f64 all digits everywhere: %.3g", worst);
    }
}

/* ---- NaN in a function that chooses ---- */

/* Where the value is NaN the cotangent is not lost: it passes, or becomes NaN. */
static void test_nan_passes(cr_ctx *ctx)
{
    static const struct {
        const char *op, *attrs;
        double want; /* of a cotangent of 3 */
    } all[] = {
        { "relu", NULL, 3 },
        { "leaky_relu", "negative_slope=0.25", 0.75 },
        { "clamp", "min=-1,max=1", 3 },
        { "clamp", "min=-1", 3 },
        { "clamp", "max=1", 3 },
        { "abs", NULL, 3 },
        { "softplus", NULL, (double)NAN },
        { "gelu", NULL, (double)NAN },
        { "silu", NULL, (double)NAN },
        { "square", NULL, (double)NAN },
    };
    for (size_t k = 0; k < sizeof all / sizeof *all; k++)
        for (int dtype = CR_F32; dtype <= CR_F64; dtype++) {
            CR_SCOPE(ctx);
            cr_tensor *x =
                cr_requires_grad(cr_full(ctx, CR_DIMS(5), NAN, .dtype = (cr_dtype)dtype));
            cr_backward(cr_mul(cr_sum(call(x, all[k].op, all[k].attrs)), 3));
            is_near(cr_item(cr_amax(cr_grad(x))), all[k].want, 0, "%s %s at NaN",
                    all[k].op, all[k].attrs ? all[k].attrs : "");
        }
    CR_SCOPE(ctx);
    for (int k = 0; k < 4; k++) {
        cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(2), k < 2 ? NAN : 1));
        cr_tensor *y = cr_requires_grad(cr_full(ctx, CR_DIMS(2), k < 2 ? 1 : NAN));
        cr_backward(cr_mul(cr_sum(k % 2 ? cr_minimum(x, y) : cr_maximum(x, y)), 3));
        is_near(cr_item(cr_sum(cr_grad(x))), 6, 0, "maximum and minimum with NaN");
        is_near(cr_item(cr_sum(cr_grad(y))), 6, 0, "in either place");
    }
}

/* ---- infinite times zero ---- */

static void is_limit(cr_ctx *ctx, const char *op, const char *attrs, double x,
                     double value, double slope)
{
    for (int dtype = CR_F32; dtype <= CR_F64; dtype++) {
        double got[3];
        derivatives_at(ctx, op, attrs, x, (cr_dtype)dtype, got);
        is_near(got[0], value, isinf(value) ? 0 : 1e-6 * fabs(value), "%s at %g", op, x);
        is_near(got[1], slope, 0, "its slope");
        is_near(got[2], 0, 0, "its curve");
    }
}

/* The loss of one infinite logit, and its gradient. */
static void is_loss(cr_ctx *ctx, double logit, double target, double loss,
                    double gradient)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(1), logit));
    cr_tensor *y =
        cr_binary_cross_entropy_with_logits(x, cr_full(ctx, CR_DIMS(1), target));
    cr_backward(y);
    is_near(cr_item(y), loss, 0, "the loss of %g at %g", logit, target);
    is_near(cr_item(cr_grad(x)), gradient, 0, "its gradient");
}

static void is_row(cr_ctx *ctx, cr_tensor *y, cr_tensor *x, double a, double b, double da,
                   double db, const char *what)
{
    float v[2] = { 0 }, g[2] = { 0 };
    cr_backward(cr_sum(cr_mul(y, cr_from(ctx, CR_F32, CR_DIMS(2), (float[]){ 1, 0 }))));
    cr_read(y, v, sizeof v);
    cr_read(cr_grad(x), g, sizeof g);
    is_near(v[0], a, 0, "%s of {inf, 1}", what);
    is_near(v[1], b, 0, "and of 1");
    ok(g[0] == (float)da && g[1] == (float)db, "its gradient: %g %g", (double)g[0],
       (double)g[1]);
    cr_zero_grad(x);
}

static void test_infinities(cr_ctx *ctx)
{
    const double inf = (double)INFINITY;
    const char *const ops[3][2] = { { "gelu", NULL },
                                    { "gelu", "approximate=tanh" },
                                    { "silu", NULL } };
    for (int k = 0; k < 3; k++)
        for (double x = 1e20; x <= inf; x = x < inf ? inf : (double)NAN) {
            is_limit(ctx, ops[k][0], ops[k][1], x, (double)(float)x, 1);
            is_limit(ctx, ops[k][0], ops[k][1], -x, 0, 0);
        }
    is_loss(ctx, inf, 1, 0, 0);
    is_loss(ctx, -inf, 0, 0, 0);
    is_loss(ctx, inf, 0, inf, 1);
    is_loss(ctx, -inf, 1, inf, -1);
    CR_SCOPE(ctx);
    cr_tensor *x =
        cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(2), (float[]){ INFINITY, 1 }));
    is_row(ctx, call(x, "softmax", "dim=0"), x, 1, 0, 0, 0, "softmax");
    is_row(ctx, call(x, "log_softmax", "dim=0"), x, 0, -inf, 0, 0, "log_softmax");
    cr_tensor *y = call(x, "logsumexp", NULL);
    cr_backward(y);
    float g[2] = { 0 };
    cr_read(cr_grad(x), g, sizeof g);
    is_near(cr_item(y), inf, 0, "logsumexp of {inf, 1}");
    ok(g[0] == 1 && g[1] == 0, "its gradient: %g %g", (double)g[0], (double)g[1]);
    cr_zero_grad(x);
    y = cr_cross_entropy(x, cr_scalar(ctx, 0, .dtype = CR_I64));
    cr_backward(y);
    cr_read(cr_grad(x), g, sizeof g);
    is_near(cr_item(y), 0, 0, "cross_entropy of {inf, 1} at 0");
    ok(g[0] == 0 && g[1] == 0, "its gradient: %g %g", (double)g[0], (double)g[1]);
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    test_scattered_sums();
    test_tails(ctx);
    test_gradients_from_results(ctx);
    test_nan_passes(ctx);
    test_infinities(ctx);
    test_means_of_constant_rows(ctx);
    test_layer_norm_extremes(ctx);
    test_overflow_on_the_way(ctx);
    test_means_of_integers(ctx);
    test_extremum_of_nan(ctx);
    cr_close(ctx);
    return done_testing();
}
