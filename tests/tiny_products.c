/* Matrix products of tiny numbers: those of vanished gradients. They are computed scaled,
 * so that no sum is rounded to subnormal steps on the way; what comes out is the true
 * product, rounded. */
#include "tap.h"

#include <chainrule.h>
#include <stdlib.h>

enum { M = 9, K = 300, N = 21 };

/* uniform in (-2, 2) * 2^exponent */
static cr_tensor *random_matrix(cr_ctx *ctx, int64_t rows, int64_t cols, int exponent,
                                cr_dtype dtype)
{
    cr_tensor *x = cr_rand(ctx, CR_DIMS(rows, cols), .dtype = dtype);
    return cr_mul(cr_sub(cr_mul(x, 4), 2), ldexp(1, exponent));
}

/* The largest error of the f32 product c of a and b against f64, in units of what
 * rounding allows: half a step at the result, and what the sum may lose. */
static double worst(cr_tensor *a, cr_tensor *b, cr_tensor *c)
{
    const float *x = cr_data(cr_reshape(a, CR_DIMS(-1))),
                *y = cr_data(cr_reshape(b, CR_DIMS(-1)));
    const float *z = cr_data(c);
    int64_t m = cr_size(a, 0), k = cr_size(a, 1), n = cr_size(b, 1);
    double most = 0;
    for (int64_t i = 0; x && y && z && i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0, size = 0;
            for (int64_t l = 0; l < k; l++) {
                double term = (double)x[i * k + l] * (double)y[l * n + j];
                sum += term;
                size += fabs(term);
            }
            double error = fabs((double)z[i * n + j] - sum) / (0x1p-149 + size * 0x1p-20);
            most = error > most || isnan(error) ? error : most;
        }
    return x && y && z ? most : (double)NAN;
}

static void test_values(cr_ctx *ctx, int p, int q)
{
    CR_SCOPE(ctx);
    cr_tensor *a = random_matrix(ctx, M, K, p, CR_F32),
              *b = random_matrix(ctx, K, N, q, CR_F32);
    cr_tensor *at = cr_t(cr_mul(cr_t(a), 1)), *bt = cr_t(cr_mul(cr_t(b), 1));
    double plain = worst(a, b, cr_matmul(a, b)), seen = worst(a, b, cr_matmul(at, bt));
    ok(plain <= 1 && seen <= 1,
       "2^%d times 2^%d: within %.2g and %.2g of what rounding allows", p, q, plain,
       seen);
    cr_tensor *same = cr_eq(cr_matmul(a, b), cr_matmul(at, bt));
    is_int(cr_item_i64(cr_sum(same)), M * N, "whatever the strides");
}

/* One large number among tiny ones: nothing may overflow on the way. */
static void test_extremes(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    float a[M * K], b[K * N];
    for (int i = 0; i < M * K; i++)
        a[i] = 0x1p-140f;
    for (int i = 0; i < K * N; i++)
        b[i] = 0x1p127f;
    cr_tensor *x = cr_from(ctx, CR_F32, CR_DIMS(M, K), a),
              *y = cr_from(ctx, CR_F32, CR_DIMS(K, N), b);
    is_near(cr_item(cr_amax(cr_matmul(x, y))), K * 0x1p-13, 0,
            "tiny times huge is exact");
    a[7] = 0x1p100f;
    x = cr_from(ctx, CR_F32, CR_DIMS(M, K), a);
    ok(isinf(cr_item(cr_amax(cr_matmul(x, y)))), "what is too large is infinite");
    a[7] = NAN;
    x = cr_from(ctx, CR_F32, CR_DIMS(M, K), a);
    ok(isnan(cr_item(cr_amax(cr_matmul(x, y)))), "NaN stays NaN");
    is_near(cr_item(cr_sum(cr_matmul(cr_zeros_like(x), y))), 0, 0,
            "zeros are left alone");
}

/* Thousands of f64 steps below the smallest normal number. */
static void test_double(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *a = random_matrix(ctx, M, K, 0, CR_F64),
              *b = random_matrix(ctx, K, N, 0, CR_F64);
    cr_tensor *want = cr_matmul(a, b);
    cr_tensor *got = cr_mul(cr_matmul(cr_mul(a, 0x1p-1000), b), 0x1p1000);
    cr_tensor *same = cr_eq(want, got);
    is_int(cr_item_i64(cr_sum(same)), M * N,
           "f64: a product scaled and back is the product");
}

/* What a product of such matrices takes at the peak, in bytes. */
static size_t peak(int exponent)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_tensor *a = cr_full(ctx, CR_DIMS(M, K), ldexp(1.5, exponent)),
              *b = cr_full(ctx, CR_DIMS(K, N), ldexp(1.5, exponent));
    cr_eval(a, b);
    cr_eval(cr_matmul(a, b));
    size_t bytes = cr_memory_peak(ctx);
    cr_close(ctx);
    return bytes;
}

static void test_memory(void)
{
    is_int((int64_t)peak(-100), (int64_t)peak(0), "scaling takes no memory");
}

static void test_one_element(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *a = random_matrix(ctx, 1, K, -130, CR_F32),
              *b = random_matrix(ctx, K, 1, -9, CR_F32);
    double error = worst(a, b, cr_matmul(a, b));
    ok(error <= 0.75, "a result of one element: within %.2g", error);
}

static cr_tensor *bits(cr_options options)
{
    cr_ctx *ctx = cr_open(&options);
    cr_seed(ctx, 5);
    cr_tensor *a = random_matrix(ctx, 200, K, -135, CR_F32),
              *b = random_matrix(ctx, K, 300, 0, CR_F32);
    return cr_matmul(a, b);
}

static void test_modes(void)
{
    cr_options ways[] = { { .threads = 1 },
                          { .threads = 4 },
                          { .threads = 3, .eager = true } };
    cr_tensor *first = bits(ways[0]);
    for (int i = 1; i < 3; i++) {
        cr_tensor *other = bits(ways[i]);
        ok(cr_data(first) && cr_data(other) &&
               memcmp(cr_data(first), cr_data(other), 200 * 300 * sizeof(float)) == 0,
           "the same bits, %s", i == 1 ? "on four threads" : "eagerly");
        cr_close(cr_ctx_of(other));
    }
    cr_close(cr_ctx_of(first));
}

/* Cotangents that are subnormal, or are multiplied to what is: each product is rounded once. */
static void test_sigmoid(cr_ctx *ctx)
{
    enum { COUNT = 1003 };
    float y[COUNT], g[COUNT], down[COUNT];
    int wrong = 0;
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(cr_mul(cr_randn(ctx, CR_DIMS(COUNT)), 3));
    for (int i = 0; i < COUNT; i++)
        g[i] = i % 7 ? ldexpf((float)(i % 101 - 50) / 64, -90 - i % 60) : 0;
    cr_tensor *s = cr_sigmoid(x);
    cr_backward(cr_sum(cr_mul(s, cr_from(ctx, CR_F32, CR_DIMS(COUNT), g))));
    cr_read(s, y, sizeof y);
    cr_read(cr_grad(x), down, sizeof down);
    for (int i = 0; i < COUNT; i++) {
        const volatile float rest = 1 - y[i], slope = y[i] * rest, want = g[i] * slope;
        wrong += want != down[i];
    }
    is_int(wrong, 0, "a sigmoid's gradient of vanishing cotangents, to the bit");
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    test_values(ctx, 0, 0);
    test_values(ctx, -84, 0);
    test_values(ctx, -100, -30);
    test_values(ctx, -130, 0);
    test_values(ctx, 0, -140);
    test_values(ctx, -90, -90);
    test_extremes(ctx);
    test_double(ctx);
    test_one_element(ctx);
    test_sigmoid(ctx);
    test_memory();
    test_modes();
    is_text(cr_message(ctx), "", "no error");
    cr_close(ctx);
    return done_testing();
}
