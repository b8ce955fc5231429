/* Operands of different types: which type the result has, that its values and gradients are
 * those of operands that were cast by hand, and that comparisons of floats with integers are
 * exact, whatever the float's type can hold. */
#include "engine.h"

/* ---- the type of the result ---- */

typedef cr_tensor *binary(cr_arg x, cr_arg y, const char *site);

/* [2] of values that all types hold. */
static cr_tensor *pair(cr_ctx *ctx, cr_dtype dtype, double a, double b)
{
    return cr_cast(cr_from(ctx, CR_F64, CR_DIMS(2), ((const double[]){ a, b })), dtype);
}

static bool is_float_type(cr_dtype t)
{
    return t == CR_F32 || t == CR_F64 || t == CR_BF16 || t == CR_F16;
}

/* What the documentation says: the float of the two; of integers the wider; 0: an error. */
static cr_dtype expected_dtype(cr_dtype a, cr_dtype b)
{
    static const cr_dtype order[] = { CR_BOOL, CR_U8, CR_I32, CR_I64 };
    bool a_float = is_float_type(a), b_float = is_float_type(b);
    cr_dtype wider = CR_BOOL;
    if (a == b)
        return a;
    if (a_float && b_float)
        return CR_DTYPE_DEFAULT;
    if (a_float || b_float)
        return a_float ? a : b;
    for (int i = 0; i < 4; i++)
        if (order[i] == a || order[i] == b)
            wider = order[i];
    return wider;
}

static void check_pair(cr_ctx *ctx, const char *name, binary *f, cr_dtype a, cr_dtype b,
                       bool bools, bool divides, bool compares)
{
    CR_SCOPE(ctx);
    cr_tensor *x = pair(ctx, a, 1, 0), *y = pair(ctx, b, 1, 1);
    cr_dtype common = expected_dtype(a, b), want = compares ? CR_BOOL : common;
    if (divides && common && !is_float_type(common))
        want = common = CR_F32;
    if (!bools && want == CR_BOOL && !compares)
        want = CR_DTYPE_DEFAULT;
    cr_tensor *z = f(cr_arg_tensor(x), cr_arg_tensor(y), CR_HERE);
    if (!want || !common) {
        ok(failed_with(ctx, CR_ERR_DTYPE, "cr_cast()"), "%s(%s, %s) is refused", name,
           cr_dtype_name(a), cr_dtype_name(b));
        return;
    }
    if (!ok(cr_dtype_of(z) == want, "%s(%s, %s) is %s", name, cr_dtype_name(a),
            cr_dtype_name(b), cr_dtype_name(want)))
        diag("  %s: %s", cr_dtype_name(cr_dtype_of(z)), cr_message(ctx));
    cr_clear(ctx);
    cr_tensor *by_hand =
        f(cr_arg_tensor(cr_cast(x, common)), cr_arg_tensor(cr_cast(y, common)), CR_HERE);
    ok(z && cr_item(cr_sum(cr_ne(z, by_hand))) == 0, "and its values");
    cr_clear(ctx);
}

static void test_result_types(cr_ctx *ctx)
{
    static const struct {
        const char *name;
        binary *f;
        bool bools, divides, compares;
    } cases[] = {
        { "add", cr_add_at, false, false, false },
        { "sub", cr_sub_at, false, false, false },
        { "mul", cr_mul_at, true, false, false },
        { "div", cr_div_at, true, true, false },
        { "maximum", cr_maximum_at, true, false, false },
        { "minimum", cr_minimum_at, true, false, false },
        { "eq", cr_eq_at, true, false, true },
        { "ne", cr_ne_at, true, false, true },
        { "lt", cr_lt_at, true, false, true },
        { "le", cr_le_at, true, false, true },
        { "gt", cr_gt_at, true, false, true },
        { "ge", cr_ge_at, true, false, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (cr_dtype a = CR_F32; a < CR_DTYPES; a++)
            for (cr_dtype b = CR_F32; b < CR_DTYPES; b++)
                check_pair(ctx, cases[i].name, cases[i].f, a, b, cases[i].bools,
                           cases[i].divides, cases[i].compares);
}

static void test_pow_and_where(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = pair(ctx, CR_F32, -3, 2), *n = pair(ctx, CR_I64, 2, 3);
    cr_tensor *yes = cr_gt(x, 0), *d = pair(ctx, CR_F64, 0.5, 0.25);
    is_near(cr_item(cr_sum(cr_pow(x, n))), 17, 0, "a float to integers");
    is_near(cr_item(cr_sum(cr_pow(n, x))), 9.125, 1e-6, "integers to a float");
    FAILS(cr_pow(n, n), DTYPE, "a i64 tensor; it takes f32, f64, bf16, f16");
    ok(cr_dtype_of(cr_where(yes, d, n)) == CR_F64, "where: the float type");
    ok(cr_dtype_of(cr_where(yes, yes, n)) == CR_I64, "where: the wider integer");
    is_near(cr_item(cr_sum(cr_where(yes, d, n))), 2.25, 0, "and its values");
    FAILS(cr_where(yes, d, x), DTYPE, "cr_cast()");
    FAILS(cr_where(x, d, n), DTYPE, "the condition must be a bool");
    FAILS(cr_mul(d, x), DTYPE, "mul: dtypes differ: f64 and f32 (");
    FAILS(cr_mul(n, 0.5), DTYPE, "0.5 is not a value of i64");
    FAILS(cr_mul(yes, 2), DTYPE, "2 is not a value of bool");
    ok(cr_dtype_of(cr_div(n, 0.5)) == CR_F32, "an integer tensor over a number is f32");
    is_near(cr_item(cr_sum(cr_div(n, 0.5))), 10, 0, "and its values");
    is_near(cr_item(cr_sum(cr_div(1, n))), 0.5 + 1.0 / 3, 1e-7, "a number over integers");
}

/* ---- what is written every day ---- */

static void test_masks(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(pair(ctx, CR_F32, -3, 2));
    cr_tensor *y = cr_mul(x, cr_gt(x, 0));
    is_int(cr_backward(cr_sum(cr_mul(y, 5))), CR_OK, "a mask has a gradient");
    const float *g = (const float *)cr_data(cr_grad(x));
    ok(g && g[0] == 0 && g[1] == 5, "that of the float operand");
    cr_tensor *a = pair(ctx, CR_I64, 1, 2), *b = pair(ctx, CR_I32, 1, 3);
    cr_tensor *accuracy = cr_div(cr_sum(cr_eq(a, b)), 2);
    ok(cr_dtype_of(accuracy) == CR_F32, "an accuracy is f32");
    is_near(cr_item(accuracy), 0.5, 0, "and half");
    cr_tensor *column = cr_reshape(cr_gt(x, 0), CR_DIMS(2, 1));
    is_near(cr_item(cr_sum(cr_mul(x, column))), -1, 0, "a mask that broadcasts");
    FAILS(cr_mul(pair(ctx, CR_F32, 1, 2), cr_zeros(ctx, CR_DIMS(3), .dtype = CR_BOOL)),
          SHAPE, "mul: shapes do not broadcast: [2] and [3]");
    is_text(cr_message(ctx), "", "no error");
}

static void test_losses(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(pair(ctx, CR_F64, 0.5, -1));
    for (cr_dtype t = CR_I64; t <= CR_BOOL; t++) {
        CR_SCOPE(ctx);
        cr_tensor *target = pair(ctx, t, 1, 0);
        is_near(cr_item(cr_mse_loss(x, target)), (0.25 + 1) / 2, 1e-15,
                "mse_loss with targets of %s", cr_dtype_name(t));
        is_near(cr_item(cr_binary_cross_entropy_with_logits(x, target)),
                (log1p(exp(-0.5)) + log1p(exp(-1))) / 2, 1e-15, "bce with targets of %s",
                cr_dtype_name(t));
    }
    is_text(cr_message(ctx), "", "no error");
}

/* The branch not taken is computed; what the header shows as the cure. */
static void test_where_not_taken(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(pair(ctx, CR_F64, -1, 4));
    cr_tensor *yes = cr_gt(x, 0);
    cr_backward(cr_sum(cr_where(yes, cr_sqrt(x), 0)));
    const double *g = (const double *)cr_data(cr_grad(x));
    ok(g && isnan(g[0]) && g[1] == 0.25, "a NaN born in the branch not taken");
    cr_zero_grad(x);
    cr_backward(cr_sum(cr_where(yes, cr_sqrt(cr_clamp(x, 1e-12, INFINITY)), 0)));
    g = (const double *)cr_data(cr_grad(x));
    ok(g && g[0] == 0 && g[1] == 0.25, "is kept out by clamp");
    is_text(cr_message(ctx), "", "no error");
}

/* ---- floats against integers ---- */

/* -1, 0, 1 as x is below, equal to or above n; 2 for NaN. The long double of x86 holds both
 * exactly; elsewhere the integer part does. */
static int order_of(double x, int64_t n)
{
    if (isnan(x))
        return 2;
    if (x >= 0x1p63)
        return 1;
    if (x < -0x1p63)
        return -1;
    int64_t whole = (int64_t)floor(x);
    if (whole != n)
        return whole < n ? -1 : 1;
    return floor(x) < x ? 1 : 0;
}

static bool right(double x, int64_t n, const int *got)
{
    int order = order_of(x, n);
    const int want[] = { order == 0,  order != 0,
                         order == -1, order == -1 || order == 0,
                         order == 1,  order == 1 || order == 0 };
    for (int i = 0; i < 6; i++)
        if (got[i] != want[i]) {
            diag("  %.17g and %" PRId64 ": comparison %d is %d", x, n, i, got[i]);
            return false;
        }
    return true;
}

static void compare(cr_ctx *ctx, cr_arg x, cr_arg n, int *got)
{
    static binary *const all[] = { cr_eq_at, cr_ne_at, cr_lt_at,
                                   cr_le_at, cr_gt_at, cr_ge_at };
    CR_SCOPE(ctx);
    for (int i = 0; i < 6; i++)
        got[i] = (int)cr_item_i64(all[i](x, n, CR_HERE));
}

static void test_exact_comparisons(cr_ctx *ctx)
{
    static const double floats[] = {
        0,           -0.0,      0.5,     16777216,         16777218,
        -16777216,   0x1p31,    -0x1p31, 2147483520,       0x1p53,
        0x1p53 + 2,  -0x1p53,   0x1p63,  -0x1p63,          0x1p63 - 1024,
        0x1p62,      1e30,      -1e30,   (double)INFINITY, -(double)INFINITY,
        (double)NAN, 0x1p-1074, 0x1p-149
    };
    static const int64_t ints[] = { 0,
                                    1,
                                    16777216,
                                    16777217,
                                    -16777217,
                                    INT32_MAX,
                                    INT32_MIN,
                                    ((int64_t)1 << 53),
                                    ((int64_t)1 << 53) + 1,
                                    -((int64_t)1 << 53) - 1,
                                    ((int64_t)1 << 62) + 1,
                                    INT64_MAX,
                                    INT64_MAX - 511,
                                    INT64_MAX - 1023,
                                    INT64_MIN,
                                    INT64_MIN + 1 };
    bool tensors = true, numbers = true, narrow = true;
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        for (size_t j = 0; j < sizeof ints / sizeof *ints; j++)
            for (cr_dtype t = CR_F32; t <= CR_F64; t++) {
                CR_SCOPE(ctx);
                int got[6];
                cr_tensor *x = cr_cast(cr_scalar(ctx, floats[i], .dtype = CR_F64), t);
                cr_tensor *n = cr_scalar(ctx, ints[j], .dtype = CR_I64);
                double stored = cr_item(x);
                compare(ctx, cr_arg_tensor(x), cr_arg_tensor(n), got);
                tensors = tensors && right(stored, ints[j], got);
                compare(ctx, cr_arg_tensor(x), cr_arg_int(ints[j]), got);
                numbers = numbers && right(stored, ints[j], got);
                if (ints[j] < INT32_MIN || ints[j] > INT32_MAX)
                    continue;
                compare(ctx, cr_arg_tensor(x), cr_arg_tensor(cr_cast(n, CR_I32)), got);
                narrow = narrow && right(stored, ints[j], got);
            }
    ok(tensors, "floats and i64 tensors compare exactly");
    ok(numbers, "floats and integer numbers compare exactly");
    ok(narrow, "floats and i32 tensors compare exactly");
    FAILS(cr_eq(cr_scalar(ctx, 1), UINT64_MAX), DTYPE, "18446744073709551615");
    is_text(cr_message(ctx), "", "no error");
}

/* The vjps compare with the number as it was used, not as it was given. */
static void test_rounded_bounds(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(pair(ctx, CR_F32, 16777218, 16777216));
    cr_backward(cr_sum(cr_clamp(x, 0, 16777217)));
    const float *g = (const float *)cr_data(cr_grad(x));
    ok(g && g[0] == 0 && g[1] == 0, "clamp at a bound that was rounded");
    cr_zero_grad(x);
    cr_backward(cr_sum(cr_maximum(x, 16777217)));
    g = (const float *)cr_data(cr_grad(x));
    ok(g && g[0] == 1 && g[1] == 0.5f, "a tie with a number that was rounded");
    is_text(cr_message(ctx), "", "no error");
}

/* ---- pow at its edges: number and tensor alike ---- */

static double pow_gradient(cr_ctx *ctx, double base, double exponent, bool tensor,
                           bool of_base)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_scalar(ctx, base, .dtype = CR_F64);
    cr_tensor *y = cr_scalar(ctx, exponent, .dtype = CR_F64);
    cr_tensor *leaf = cr_requires_grad(of_base ? x : y);
    cr_tensor *z = tensor    ? cr_pow(x, y)
                   : of_base ? cr_pow(x, exponent)
                             : cr_pow(base, y);
    cr_backward(z);
    return cr_item(cr_grad(leaf));
}

static void test_pow_edges(cr_ctx *ctx)
{
    const double inf = (double)INFINITY, nan = (double)NAN;
    const struct {
        double x, y, dx, dy;
    } cases[] = {
        { nan, 0, 0, nan },   { 0, 0, 0, 0 },          { -0.0, 0, 0, 0 },
        { inf, 0, 0, inf },   { -inf, 0, 0, nan },     { 2, 0, 0, log(2) },
        { 0, 1, 1, 0 },       { 0, 2, 0, 0 },          { 0, -1, -inf, 0 },
        { nan, 1, 1, nan },   { -2, 2, -4, nan },      { 0, 0.5, inf, 0 },
        { nan, 2, nan, nan }, { 3, 2, 6, 9 * log(3) },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int tensor = 0; tensor < 2; tensor++) {
            is_near(pow_gradient(ctx, cases[i].x, cases[i].y, tensor, true), cases[i].dx,
                    1e-14, "d/dx %g^%g, the exponent a %s", cases[i].x, cases[i].y,
                    tensor ? "tensor" : "number");
            is_near(pow_gradient(ctx, cases[i].x, cases[i].y, tensor, false), cases[i].dy,
                    1e-14, "d/dy %g^%g, the base a %s", cases[i].x, cases[i].y,
                    tensor ? "tensor" : "number");
        }
    is_text(cr_message(ctx), "", "no error");
}

/* d^2/dxdy x^y = x^(y-1) (1 + y ln x), which is 1/x at y = 0. */
static void test_pow_mixed(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 4, .dtype = CR_F64));
    cr_tensor *y = cr_requires_grad(cr_scalar(ctx, 0, .dtype = CR_F64));
    cr_tensor *z = cr_pow(x, y), *dx = NULL, *mixed = NULL;
    cr_gradients(&z, 1, &x, 1, &dx, .create_graph = true);
    cr_gradients(&dx, 1, &y, 1, &mixed);
    is_near(cr_item(mixed), 0.25, 1e-15, "the mixed derivative where the exponent is 0");
    is_text(cr_message(ctx), "", "no error");
}

/* Products of 16 bits are read and written as they are: no copy in f32 beside. */
static void test_product_memory(void)
{
    enum { M = 256, K = 512, N = 128 };
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_tensor *x = cr_ones(ctx, CR_DIMS(M, K), .dtype = CR_BF16),
              *y = cr_ones(ctx, CR_DIMS(K, N), .dtype = CR_BF16);
    cr_eval(x, y);
    const size_t before = cr_memory_used(ctx);
    cr_tensor *z = cr_matmul(x, y);
    cr_eval(z);
    const size_t more = cr_memory_peak(ctx) - before;
    ok(more < M * N * 2 + 8192, "a product of bf16 takes %zu bytes beside its operands",
       more);
    is_near(cr_item(cr_amax(z)), K, 0, "and is right");
    cr_close(ctx);
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    test_result_types(ctx);
    test_pow_and_where(ctx);
    test_masks(ctx);
    test_losses(ctx);
    test_where_not_taken(ctx);
    test_exact_comparisons(ctx);
    test_rounded_bounds(ctx);
    test_pow_edges(ctx);
    test_pow_mixed(ctx);
    test_product_memory();
    cr_close(ctx);
    return done_testing();
}
