/* Every macro of the public header, as C11 and as C++17: with options and without,
 * nested, with numbers of every type, and the scopes left in every way. header.sh
 * compiles it with all warnings as errors, and checks that no macro is missing here. */
#include <chainrule.h>

#include "../support/tap.h"

#define IS(tensor, want) is_near(cr_item(tensor), want, 1e-5, "line %d", __LINE__)

static const float six[] = { 1, 2, 3, 4, 5, 6 };
static const int64_t labels[] = { 2, 0 };

static cr_tensor *matrix(cr_ctx *ctx)
{
    return cr_from(ctx, CR_F32, CR_DIMS(2, 3), six);
}

static void making(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = matrix(ctx);
    IS(cr_sum(x), 21);
    IS(cr_sum(cr_borrow(ctx, CR_F32, CR_DIMS(6), six, NULL, NULL)), 21);
    IS(cr_scalar(ctx, 3.5), 3.5);
    is_int(cr_item_i64(cr_scalar(ctx, 7, .dtype = CR_I64)), 7, "an integer scalar");
    IS(cr_full(ctx, CR_NO_DIMS, 4), 4);
    IS(cr_sum(cr_full(ctx, CR_DIMS(2), 4, .dtype = CR_F64)), 8);
    IS(cr_sum(cr_zeros(ctx, CR_DIMS(2))), 0);
    IS(cr_sum(cr_zeros(ctx, CR_DIMS(2), .dtype = CR_I32)), 0);
    IS(cr_sum(cr_ones(ctx, CR_DIMS(2, 2))), 4);
    IS(cr_sum(cr_ones(ctx, CR_DIMS(2, 2), .dtype = CR_U8)), 4);
    IS(cr_sum(cr_full_like(x, 2)), 12);
    IS(cr_sum(cr_zeros_like(x)), 0);
    IS(cr_sum(cr_ones_like(x)), 6);
    IS(cr_sum(cr_arange(ctx, 0, 4, 1)), 6);
    IS(cr_sum(cr_arange(ctx, 0, 4, 2, .dtype = CR_I64)), 2);
    IS(cr_sum(cr_linspace(ctx, 0, 1, 3)), 1.5);
    IS(cr_sum(cr_linspace(ctx, 0, 1, 3, .dtype = CR_F64)), 1.5);
    IS(cr_sum(cr_eye(ctx, 3)), 3);
    IS(cr_sum(cr_eye(ctx, 3, .dtype = CR_F64)), 3);
    cr_tensor *r = cr_rand(ctx, CR_DIMS(5));
    cr_tensor *n = cr_randn(ctx, CR_DIMS(5), .dtype = CR_F64);
    is_int(cr_eval(r), CR_OK, "one value computed");
    is_int(cr_eval(r, n, cr_rand(ctx, CR_DIMS(2), .dtype = CR_F64),
                   cr_randn(ctx, CR_DIMS(2))),
           CR_OK, "several values computed");
    is_int(cr_numel(cr_rand_like(x)) + cr_numel(cr_randn_like(x)), 12, "alike");
    is_text(cr_message(ctx), "", "no error in making");
}

/* What data points to is compared with the dtype: numbers in arrays of any rank, constant
 * or not. What points to void passes. */
#define FITS(dtype, data)                                                           \
    do {                                                                            \
        ok(cr_from(ctx, dtype, CR_DIMS(1), data), "%s: %s", #dtype, #data);         \
        ok(cr_borrow(ctx, dtype, CR_DIMS(1), data, NULL, NULL), "%s: %s, borrowed", \
           #dtype, #data);                                                          \
        is_text(cr_message(ctx), "", "no error");                                   \
        cr_clear(ctx);                                                              \
    } while (0)
#define DIFFERS(dtype, data, type)                                                    \
    do {                                                                              \
        ok(!cr_from(ctx, dtype, CR_DIMS(1), data) && cr_error(ctx) == CR_ERR_DTYPE && \
               strstr(cr_message(ctx), "from: the data is " type ", which is not "),  \
           "%s is not %s", type, #dtype);                                             \
        cr_clear(ctx);                                                                \
        ok(!cr_borrow(ctx, dtype, CR_DIMS(1), data, NULL, NULL) &&                    \
               cr_error(ctx) == CR_ERR_DTYPE && strstr(cr_message(ctx), "borrow: "),  \
           "nor when borrowed");                                                      \
        cr_clear(ctx);                                                                \
    } while (0)

static void types_of_data(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    static const float f1[8] = { 1 }, f2[2][4] = { { 1 } };
    static double d1[8] = { 1 }, d2[2][4] = { { 1 } };
    static const int64_t i64[8] = { 1 };
    static const int32_t i32[8] = { 1 };
    static const unsigned long long ull[8] = { 1 };
    static const uint32_t u32[8] = { 1 };
    static const uint16_t u16[8] = { 1 };
    static const int16_t i16[8] = { 1 };
    static const uint8_t u8[8] = { 1 };
    static const int8_t i8[8] = { 1 };
    static const char text[8] = { 1 };
    static const bool truth[8] = { true };
    static const long long ll[8] = { 1 };
    static const long double ld[8] = { 1 };
    static const struct point {
        float x, y;
    } points[4] = { { 1, 2 } };
    const void *any = f1;
    void *mutable_any = d1;
    FITS(CR_F32, f1);
    FITS(CR_F32, f2);
    FITS(CR_F32, &f2[1][2]);
    FITS(CR_F64, d1);
    FITS(CR_F64, d2);
    FITS(CR_I64, i64);
    FITS(CR_I64, ll);
    FITS(CR_I32, i32);
    FITS(CR_U8, u8);
    FITS(CR_U8, text);
    FITS(CR_BOOL, u8);
    FITS(CR_BOOL, truth);
    FITS(CR_F32, any);
    FITS(CR_F64, any);
    FITS(CR_F32, mutable_any);
    FITS(CR_F32, points);
    FITS(CR_F32, (const void *)d1);
    DIFFERS(CR_F32, d1, "double");
    DIFFERS(CR_F32, d2, "double");
    DIFFERS(CR_F64, f1, "float");
    DIFFERS(CR_F64, f2, "float");
    DIFFERS(CR_F32, i32, "int");
    DIFFERS(CR_I32, f1, "float");
    DIFFERS(CR_I32, u32, "unsigned int");
    DIFFERS(CR_I32, u16, "unsigned short");
    DIFFERS(CR_I32, i16, "short");
    DIFFERS(CR_I32, ll, "long long");
    DIFFERS(CR_I64, i32, "int");
    DIFFERS(CR_I64, ull, "unsigned long long");
    DIFFERS(CR_F64, ll, "long long");
    DIFFERS(CR_F64, ld, "long double");
    DIFFERS(CR_U8, i8, "signed char");
    DIFFERS(CR_U8, truth, "bool");
    DIFFERS(CR_BOOL, i32, "int");
    ok(cr_from(ctx, CR_F32, CR_DIMS(0), NULL), "no data for nothing");
    float f[6];
    double d[6];
    is_int(cr_read(matrix(ctx), f, sizeof f), CR_OK, "read");
    unsigned char raw[24];
    is_int(cr_read(matrix(ctx), (void *)d, sizeof d), CR_OK, "read to void");
    is_int(cr_read(matrix(ctx), raw, sizeof raw), CR_OK, "read to bytes");
    is_int(cr_read(matrix(ctx), d, sizeof d), CR_ERR_DTYPE,
           "a destination of another type");
    ok(strstr(cr_message(ctx),
              "read: the destination is double, and f32 [2, 3] is not (") &&
           strstr(cr_message(ctx), "macros.c:"),
       "says which: %s", cr_message(ctx));
    cr_clear(ctx);
    static const uint8_t bytes[] = { 0, 1, 2, 255 };
    IS(cr_sum(cr_from(ctx, CR_BOOL, CR_DIMS(4), bytes)), 3);
    is_text(cr_message(ctx), "", "no error in types of data");
}

/* A number of any of C's types, in either place of a binary operation. */
static void numbers(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_scalar(ctx, 5);
    signed char sc = -1;
    unsigned char uc = 2;
    short s = -3;
    unsigned short us = 4;
    unsigned u = 5u;
    float f = 0.5f;
    long double ld = 0.25L;
    bool yes = true;
    cr_tensor *none = NULL;
    IS(cr_add(x, sc), 4);
    IS(cr_add(uc, x), 7);
    IS(cr_add(x, s), 2);
    IS(cr_add(us, x), 9);
    IS(cr_add(x, -6), -1);
    IS(cr_add(u, x), 10);
    IS(cr_add(x, -7L), -2);
    IS(cr_add(8uL, x), 13);
    IS(cr_add(x, -9LL), -4);
    IS(cr_add(10uLL, x), 15);
    IS(cr_add(x, f), 5.5);
    IS(cr_add(0.125, x), 5.125);
    IS(cr_add(x, ld), 5.25);
    IS(cr_add(yes, x), 6);
    IS(cr_add(x, 'a'), 102);
    enum { MINUS_TWO = -2 } minus_two = MINUS_TWO;
    IS(cr_add(MINUS_TWO, x), 3);
    IS(cr_add(x, minus_two), 3);
    IS(cr_add(x, x), 10);
    int64_t large = INT64_MAX;
    cr_tensor *i = cr_full(ctx, CR_NO_DIMS, large, .dtype = CR_I64);
    ok(cr_item_i64(cr_sub(i, 1)) == INT64_MAX - 1, "integers do not pass through double");
    is_text(cr_message(ctx), "", "no error in numbers");
    ok(!cr_add(x, none) && cr_error(ctx) == CR_ERR_NULL, "a NULL operand is an error");
    cr_clear(ctx);
    ok(!cr_add(x, NULL) && cr_error(ctx) == CR_ERR_NULL, "NULL itself too");
    cr_clear(ctx);
    ok(!cr_add(NULL, x) && cr_error(ctx) == CR_ERR_NULL, "in either place");
    cr_clear(ctx);
}

/* Macros within macros, the same ones too; no argument is written twice, no name
 * shadowed. */
static void nesting(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    int a = 0, b = 0;
    cr_tensor *x = cr_scalar(ctx, 2);
    IS(cr_add(cr_add(cr_add(x, 1), cr_mul(cr_add(x, 2), x)), cr_add(1, cr_add(x, x))),
       16);
    IS(cr_sum(cr_sum(cr_sum(matrix(ctx), -1), CR_ALL, .keepdim = true)), 21);
    IS(cr_add((a++, x), (b++, 1)), 3);
    IS(cr_sum((a++, x), CR_ALL, .keepdim = b++ > 0), 2);
    is_int(10 * a + b, 22, "each argument is evaluated once");
}

static void unary(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_scalar(ctx, 0.25);
    IS(cr_neg(x), -0.25);
    IS(cr_abs(cr_neg(x)), 0.25);
    IS(cr_sign(x), 1);
    IS(cr_floor(x), 0);
    IS(cr_ceil(x), 1);
    IS(cr_trunc(cr_sub(x, 2)), -1);
    IS(cr_frac(cr_sub(x, 2)), -0.75);
    IS(cr_round(cr_add(x, 0.25)), 0);
    IS(cr_round(x, .decimals = 1), 0.2);
    IS(cr_isnan(x), 0);
    IS(cr_isinf(x), 0);
    IS(cr_isfinite(x), 1);
    IS(cr_nan_to_num(x), 0.25);
    IS(cr_nan_to_num(cr_log(cr_sub(x, 0.25)), .neginf = CR_REAL(3)), 3);
    IS(cr_exp(x), 1.284025);
    IS(cr_expm1(x), 0.284025);
    IS(cr_log(x), -1.386294);
    IS(cr_log2(x), -2);
    IS(cr_exp2(x), 1.189207);
    IS(cr_log10(x), -0.602060);
    IS(cr_tan(x), 0.255342);
    IS(cr_asin(x), 0.252680);
    IS(cr_acos(x), 1.318116);
    IS(cr_atan(x), 0.244979);
    IS(cr_sinh(x), 0.252612);
    IS(cr_cosh(x), 1.031413);
    IS(cr_asinh(x), 0.247466);
    IS(cr_acosh(cr_reciprocal(x)), 2.063437);
    IS(cr_atanh(x), 0.255413);
    IS(cr_erfc(x), 0.723674);
    IS(cr_erfinv(x), 0.225312);
    IS(cr_lgamma(x), 1.288023);
    IS(cr_digamma(x), -4.227454);
    IS(cr_sinc(x), 0.900316);
    IS(cr_logit(x), -1.098612);
    IS(cr_logit(x, .eps = CR_REAL(0.5)), 0);
    IS(cr_atan2(x, 1), 0.244979);
    IS(cr_logaddexp(x, 0), 0.825939);
    IS(cr_xlogy(2, x), -2.772589);
    IS(cr_log1p(x), 0.223144);
    IS(cr_sqrt(x), 0.5);
    IS(cr_rsqrt(x), 2);
    IS(cr_square(x), 0.0625);
    IS(cr_reciprocal(x), 4);
    IS(cr_sin(x), 0.247404);
    IS(cr_cos(x), 0.968912);
    IS(cr_tanh(x), 0.244919);
    IS(cr_sigmoid(x), 0.562177);
    IS(cr_erf(x), 0.276326);
    IS(cr_relu(x), 0.25);
    IS(cr_silu(x), 0.140544);
    IS(cr_logical_not(x), 0);
    IS(cr_leaky_relu(cr_neg(x), 0.1), -0.025);
    IS(cr_softplus(x), 0.825939);
    IS(cr_softplus(x, .beta = 2, .threshold = CR_REAL(0)), 0.25);
    IS(cr_gelu(x), 0.149677);
    IS(cr_gelu(x, .approximate = CR_APPROXIMATE_TANH), 0.149675);
    is_text(cr_message(ctx), "", "no error in unary operations");
}

static void activations(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_scalar(ctx, 0.25), *below = cr_neg(x);
    IS(cr_relu6(x), 0.25);
    IS(cr_hardsigmoid(x), 0.541667);
    IS(cr_hardswish(x), 0.135417);
    IS(cr_selu(x), 0.262675);
    IS(cr_softsign(below), -0.2);
    IS(cr_logsigmoid(x), -0.575939);
    IS(cr_tanhshrink(x), 0.005081);
    IS(cr_mish(x), 0.169572);
    IS(cr_hardtanh(x), 0.25);
    IS(cr_hardtanh(below, .min_val = CR_REAL(0)), 0);
    IS(cr_elu(below), -0.221199);
    IS(cr_elu(below, .alpha = CR_REAL(0.5)), -0.110600);
    IS(cr_celu(below), -0.221199);
    IS(cr_celu(below, .alpha = CR_REAL(0.5)), -0.196735);
    IS(cr_softshrink(x), 0);
    IS(cr_softshrink(x, .lambd = CR_REAL(0)), 0.25);
    IS(cr_hardshrink(x), 0);
    IS(cr_hardshrink(x, .lambd = CR_REAL(0)), 0.25);
    IS(cr_threshold(x, 0.5, 2), 2);
    IS(cr_prelu(below, cr_scalar(ctx, 2.0)), -0.5);
    IS(cr_sum(cr_glu(matrix(ctx), 0)), 5.961210);
    is_text(cr_message(ctx), "", "no error in activations");
}

static void binary(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_scalar(ctx, 3), *y = cr_scalar(ctx, 2);
    IS(cr_add(x, y), 5);
    IS(cr_sub(1, y), -1);
    IS(cr_mul(x, 2.5), 7.5);
    IS(cr_div(x, y), 1.5);
    IS(cr_pow(x, y), 9);
    IS(cr_hypot(3.0, cr_mul(x, cr_div(4, x))), 5);
    IS(cr_copysign(x, cr_neg(y)), -cr_item(x));
    IS(cr_fmod(-7.5, cr_div(cr_add(x, x), x)), -1.5);
    IS(cr_remainder(-7.5, cr_div(cr_add(x, x), x)), 0.5);
    IS(cr_floor_divide(cr_sub(x, x), 2), 0);
    IS(cr_maximum(x, y), 3);
    IS(cr_minimum(x, 2), 2);
    IS(cr_eq(x, 3), 1);
    IS(cr_ne(x, y), 1);
    IS(cr_lt(x, y), 0);
    IS(cr_le(3, x), 1);
    IS(cr_gt(x, y), 1);
    IS(cr_ge(y, x), 0);
    IS(cr_logical_and(x, y), 1);
    IS(cr_logical_or(x, y), 1);
    IS(cr_logical_xor(x, y), 0);
    IS(cr_lerp(x, y, 1), cr_item(y));
    IS(cr_lerp(x, y, cr_sub(x, x)), cr_item(x));
    IS(cr_addcmul(x, x, y), cr_item(x) * (1 + cr_item(y)));
    IS(cr_addcmul(x, x, y, .value = CR_REAL(0)), cr_item(x));
    IS(cr_addcdiv(x, y, y), cr_item(x) + 1);
    IS(cr_addcdiv(x, y, y, .value = CR_REAL(-1)), cr_item(x) - 1);
    IS(cr_where(cr_gt(x, y), x, -1), 3);
    IS(cr_clamp(x, -INFINITY, 2), 2);
    IS(cr_cast(cr_scalar(ctx, 2.75), CR_I32), 2);
    is_text(cr_message(ctx), "", "no error in binary operations");
}

/* Dims by position: an int of any type or a list, 0 being a dim like any other. */
static void dims_by_position(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = matrix(ctx), *cube = cr_reshape(x, CR_DIMS(1, 2, 3));
    enum { LAST = -1, FIRST = 0 } last = LAST;
    const int zero = 0;
    int64_t wide = -1;
    size_t size = 1;
    unsigned u = 1;
    short narrow = -2;
    is_int(cr_numel(cr_sum(x)), 1, "none: all");
    is_int(cr_size(cr_sum(x, 0), 0), 3, "dim 0");
    is_int(cr_size(cr_sum(x, 1), 0), 2, "dim 1");
    is_int(cr_size(cr_sum(x, -1), 0), 2, "dim -1");
    is_int(cr_size(cr_sum(x, zero), 0), 3, "a const int");
    is_int(cr_size(cr_sum(x, FIRST), 0), 3, "an enum constant");
    is_int(cr_size(cr_sum(x, last), 0), 2, "an enum");
    is_int(cr_size(cr_sum(x, wide), 0), 2, "an int64_t");
    is_int(cr_size(cr_sum(x, size), 0), 2, "a size_t");
    is_int(cr_size(cr_sum(x, u), 0), 2, "an unsigned");
    is_int(cr_size(cr_sum(x, narrow), 0), 3, "a short");
    is_int(cr_size(cr_sum(cube, CR_DIMS(0, 2)), 0), 2, "a list");
    is_int(cr_ndim(cr_sum(cube, CR_DIMS(-1, 0), .keepdim = true)), 3, "and an option");
    is_int(cr_ndim(cr_sum(x, CR_ALL, .keepdim = true)), 2, "all, with an option");
    is_int(cr_ndim(cr_sum(x, CR_NO_DIMS)), 0, "an empty list is all");
    is_int(cr_ndim(cr_squeeze(cube, CR_DIMS(0, 1))), 2, "squeeze takes one too");
    is_int(cr_ndim(cr_squeeze(cube, 0)), 2, "or a dim");
    is_int(cr_ndim(cr_argmax(x, 0, .keepdim = true)), 2, "argmax takes a dim");
    IS(cr_argmax(x, CR_ALL), 5);
    IS(cr_sum(cr_mean(x, 0)), 10.5);
    IS(cr_sum(cr_amax(x, 0)), 15);
    IS(cr_sum(cr_amin(x, 1)), 5);
    IS(cr_sum(cr_logsumexp(x, 1)), 3 * 3 + 2 * 0.407606);
    IS(cr_sum(cr_var(x, 0, .correction = CR_REAL(0))), 6.75);
    IS(cr_var(x, CR_ALL, .correction = CR_REAL(2), .keepdim = true), 17.5 / 4);
    is_text(cr_message(ctx), "", "no error in dims by position");
    ok(!cr_sum(x, SIZE_MAX) && cr_error(ctx) != CR_OK, "a dim that no int holds");
    cr_clear(ctx);
    ok(!cr_sum(x, 2) && cr_error(ctx) != CR_OK, "a dim that is not there");
    cr_clear(ctx);
}

static void movement(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = matrix(ctx), *row = cr_select(x, 0, 0), *parts[3];
    IS(cr_sum(cr_pad(x, CR_DIMS(1, 1))), 21);
    IS(cr_sum(cr_pad(x, CR_DIMS(0, 1), .value = 2)), 25);
    IS(cr_sum(cr_pad(x, CR_DIMS(1, 0), .mode = CR_MODE_REFLECT)), 28);
    IS(cr_sum(cr_pad(x, CR_DIMS(1, 0), .mode = CR_MODE_REPLICATE)), 26);
    IS(cr_sum(cr_pad(x, CR_DIMS(1, 0), .mode = CR_MODE_CIRCULAR)), 30);
    IS(cr_select(cr_roll(row, 1, CR_ALL), 0, 0), 3);
    IS(cr_select(cr_roll(row, CR_DIMS(1), 0), 0, 0), 3);
    IS(cr_sum(cr_tile(x, 2)), 42);
    IS(cr_sum(cr_tile(x, CR_DIMS(2, 2))), 84);
    IS(cr_sum(cr_repeat(row, CR_DIMS(2, 2))), 24);
    IS(cr_sum(cr_repeat(row, 3)), 18);
    IS(cr_sum(cr_repeat_interleave(x, 2)), 42);
    IS(cr_sum(cr_repeat_interleave(x, 2, .dim = CR_INT(0))), 42);
    cr_tensor *counts = cr_from(ctx, CR_I64, CR_DIMS(2), labels);
    IS(cr_sum(cr_repeat_interleave(x, counts, .dim = CR_INT(0))), 12);
    IS(cr_sum(cr_diag_embed(row, 0, 0, 1)), 6);
    IS(cr_sum(cr_diag(row, 1)), 6);
    IS(cr_sum(cr_diag(x, 0)), 6);
    IS(cr_sum(cr_tril(x, 0)), 10);
    IS(cr_sum(cr_triu(x, 0)), 17);
    IS(cr_sum(cr_diagonal_scatter(x, cr_zeros(ctx, CR_DIMS(2)), 0, 0, 1)), 15);
    is_int(cr_unbind(x, 0, parts, 3), 2, "unbind");
    IS(cr_sum(parts[1]), 15);
    cr_tensor *vectors[2] = { row, cr_select(x, 1, 0) };
    is_int(cr_meshgrid(vectors, 2, parts, 3), 2, "meshgrid");
    is_int(cr_size(parts[0], 0), 3, "ij");
    is_int(cr_meshgrid(vectors, 2, parts, 3, .indexing = CR_INDEXING_XY), 2, "meshgrid");
    is_int(cr_size(parts[0], 0), 2, "xy");
    is_text(cr_message(ctx), "", "no error in movement");
}

static void reductions_and_views(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = matrix(ctx), *two[2] = { x, x };
    is_int(cr_ndim(cr_sum(x, 0, .keepdim = true)), 2, "keepdim");
    IS(cr_mean(x), 3.5);
    IS(cr_amax(x), 6);
    IS(cr_amin(x), 1);
    IS(cr_sum(cr_argmax(x, 1)), 4);
    IS(cr_logsumexp(x), 6.456193);
    IS(cr_var(x), 3.5);
    IS(cr_sum(cr_var(x, 1, .correction = CR_REAL(0))), 4.0 / 3);
    IS(cr_std(x, CR_ALL, .correction = CR_REAL(-2.75)), sqrt(2));
    IS(cr_sum(cr_std(x, 0)), 3 * sqrt(4.5));
    IS(cr_prod(x), 720);
    IS(cr_sum(cr_prod(x, 0)), 4 + 10 + 18);
    IS(cr_max(x), 6);
    IS(cr_min(x), 1);
    IS(cr_sum(cr_argmin(x, 1)), 0);
    IS(cr_any(x, CR_ALL, .keepdim = true), 1);
    IS(cr_all(cr_sub(x, 1)), 0);
    IS(cr_count_nonzero(cr_sub(x, 1)), 5);
    IS(cr_nansum(x), 21);
    IS(cr_sum(cr_nanmean(x, 0)), 10.5);
    is_int(cr_size(cr_reshape(x, CR_DIMS(3, -1)), 1), 2, "reshape");
    is_int(cr_size(cr_permute(x, CR_DIMS(1, 0)), 0), 3, "permute");
    is_int(cr_size(cr_transpose(x, 0, 1), 0), 3, "transpose");
    is_int(cr_size(cr_t(x), 0), 3, "t");
    is_int(cr_numel(cr_expand(x, CR_DIMS(4, -1, -1))), 24, "expand");
    IS(cr_select(cr_select(cr_flip(x, CR_DIMS(0, 1)), 0, 0), 0, 0), 6);
    is_int(cr_ndim(cr_squeeze(cr_unsqueeze(x, 0))), 2, "unsqueeze, squeeze");
    is_int(cr_ndim(cr_squeeze(cr_unsqueeze(x, 0), 1)), 3, "squeeze");
    IS(cr_sum(cr_slice(x, 1, 1, INT64_MAX)), 16);
    IS(cr_sum(cr_slice(x, 1, 0, 3, .step = 2)), 14);
    IS(cr_select(cr_slice(cr_select(x, 0, 0), 0, INT64_MAX, INT64_MIN, .step = -1), 0, 0),
       3);
    IS(cr_sum(cr_narrow(x, 1, -1, 1)), 9);
    is_int(cr_ndim(cr_unfold(x, 1, 2, 1)), 3, "unfold");
    IS(cr_sum(cr_diagonal(x, 1, 0, 1)), 8);
    is_int(cr_size(cr_movedim(x, 0, -1), 0), 3, "movedim");
    is_int(cr_size(cr_movedim(x, CR_DIMS(0), CR_DIMS(1)), 0), 3, "movedim by lists");
    is_int(cr_size(cr_flatten(x, 0, -1), 0), 6, "flatten");
    is_int(cr_ndim(cr_unflatten(x, 1, CR_DIMS(3, -1))), 3, "unflatten");
    is_int(cr_ndim(cr_unflatten(x, 1, 3)), 2, "unflatten to one");
    is_int(cr_numel(cr_broadcast_to(x, CR_DIMS(2, 2, 3))), 12, "broadcast_to");
    is_int(cr_size(cr_rot90(x, 1, CR_DIMS(0, 1)), 0), 3, "rot90");
    cr_tensor *zeros = cr_zeros(ctx, CR_DIMS(2, 1));
    IS(cr_sum(cr_slice_scatter(x, zeros, 1, 0, 1)), 16);
    IS(cr_sum(cr_slice_scatter(x, zeros, 1, 1, 3, .step = 2)), 14);
    is_int(cr_size(cr_cat(two, 2, 0), 0), 4, "cat");
    cr_tensor *literal = cr_from(ctx, CR_F32, CR_DIMS(2), __extension__(float[]){ 1, 2 });
    IS(cr_sum(literal), 3);
    IS(cr_sum(cr_from(ctx, CR_F64, CR_DIMS(3), CR_ARRAY(double, 1, 2, 4))), 7);
    is_int(cr_size(cr_cat(CR_ARRAY(cr_tensor *, literal, literal), 2, 0), 0), 4,
           "literals");
#ifndef __cplusplus
    is_int(cr_size(cr_cat((cr_tensor *[]){ literal, literal }, 2, 0), 0), 4, "C's own");
#endif
    ok(!cr_from(ctx, CR_F32, CR_DIMS(2), NULL) && cr_error(ctx) == CR_ERR_NULL,
       "no data");
    cr_clear(ctx);
    is_int(cr_ndim(cr_stack(two, 2, 0)), 3, "stack");
    cr_tensor *parts[3];
    is_int(cr_split(x, 2, 1, parts, 3), 2, "split by one size");
    is_int(cr_size(parts[1], 1), 1, "the last is smaller");
    is_int(cr_split(x, CR_DIMS(1, 2), -1, parts, 3), 2, "split by a list");
    IS(cr_sum(parts[1]), 16);
    is_int(cr_chunk(x, 3, 1, parts, 3), 3, "chunk");
    IS(cr_sum(parts[2]), 9);
    is_text(cr_message(ctx), "", "no error in reductions and views");
}

static void picks_and_scans(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = matrix(ctx), *places = NULL;
    IS(cr_sum(cr_max_dim(x, 1)), 9);
    IS(cr_sum(cr_min_dim(x, -1, .keepdim = true)), 5);
    IS(cr_sum(cr_max_dim(x, 0, .indices = &places)), 15);
    IS(cr_sum(places), 3);
    IS(cr_sum(cr_kthvalue(x, 2, 1)), 7);
    IS(cr_sum(cr_kthvalue(x, 2, -1, .keepdim = true, .indices = &places)), 7);
    is_int(cr_ndim(places), 2, "kthvalue, keepdim");
    IS(cr_median(x), 3);
    IS(cr_sum(cr_median_dim(x, 1, .indices = &places)), 7);
    IS(cr_sum(places), 2);
    IS(cr_sum(cr_cumsum(x, 0)), 27);
    IS(cr_sum(cr_cumprod(x, 0)), 6 + 32);
    IS(cr_sum(cr_cummax(x, 1)), 21);
    IS(cr_sum(cr_cummin(x, 1, .indices = &places)), 15);
    IS(cr_sum(places), 0);
    IS(cr_select(cr_select(cr_logcumsumexp(x, 1), 0, 0), 0, 2), 3.407606);
    is_text(cr_message(ctx), "", "no error in picks and scans");
}

static void distances(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = matrix(ctx), *y = cr_add(x, 2);
    IS(cr_vector_norm(x), sqrt(91));
    IS(cr_sum(cr_vector_norm(x, 0, .ord = CR_REAL(1))), 21);
    IS(cr_sum(cr_vector_norm(x, -1, .ord = CR_REAL(INFINITY), .keepdim = true)), 9);
    IS(cr_sum(cr_normalize(x, 0, .p = CR_REAL(1))), 3);
    IS(cr_sum(cr_square(cr_normalize(x, CR_DIMS(0, 1)))), 1);
    IS(cr_sum(cr_normalize(x, 1, .p = CR_REAL(INFINITY), .eps = CR_REAL(100))), 0.21);
    IS(cr_sum(cr_cosine_similarity(x, x, 1)), 2);
    IS(cr_sum(cr_cosine_similarity(x, cr_neg(x), 0, .eps = CR_REAL(0))), -3);
    IS(cr_sum(cr_pairwise_distance(x, y, .eps = CR_REAL(0))), 2 * sqrt(12));
    IS(cr_sum(cr_pairwise_distance(x, y)), 2 * sqrt(12));
    IS(cr_sum(cr_pairwise_distance(x, y, .p = CR_REAL(1), .keepdim = true)), 12);
    IS(cr_sum(cr_cdist(x, x)), 2 * sqrt(27));
    IS(cr_sum(cr_cdist(x, x, .p = CR_REAL(INFINITY))), 6);
    is_text(cr_message(ctx), "", "no error in distances");
}

static void pooling(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = matrix(ctx), *i = NULL;
    cr_tensor *plane = cr_reshape(x, CR_DIMS(1, 2, 3));
    cr_tensor *volume = cr_reshape(x, CR_DIMS(1, 1, 2, 3));
    IS(cr_sum(cr_max_pool1d(x, 2)), 2 + 5);
    IS(cr_sum(cr_max_pool1d(x, CR_DIMS(2), .stride = CR_DIMS(1), .indices = &i)), 16);
    is_int(cr_item_i64(cr_sum(i)), 1 + 2 + 1 + 2, "places");
    IS(cr_sum(cr_max_pool2d(plane, 2)), 5);
    IS(cr_sum(cr_max_pool2d(plane, CR_DIMS(1, 2), .dilation = CR_DIMS(2))), 3 + 6);
    IS(cr_sum(cr_max_pool3d(volume, CR_DIMS(1, 2, 2), .ceil_mode = true)), 5 + 6);
    IS(cr_sum(cr_max_pool3d(volume, CR_DIMS(1, 2, 2), .padding = CR_DIMS(0, 1, 1))), 14);
    IS(cr_sum(cr_avg_pool1d(x, 3)), 2 + 5);
    IS(cr_sum(cr_avg_pool1d(x, 2, .padding = CR_DIMS(1))), 0.5 + 2.5 + 2 + 5.5);
    IS(cr_sum(cr_avg_pool1d(x, 2, .padding = CR_DIMS(1),
                            .count_include_pad = CR_INT(false))),
       1 + 2.5 + 4 + 5.5);
    IS(cr_sum(cr_avg_pool2d(plane, CR_DIMS(2, 3))), 3.5);
    IS(cr_sum(cr_avg_pool3d(volume, CR_DIMS(1, 2, 3), .divisor_override = CR_INT(3))), 7);
    IS(cr_sum(cr_lp_pool1d(x, 1, 3)), 6 + 15);
    IS(cr_sum(cr_lp_pool2d(plane, 1, CR_DIMS(2, 1), .stride = CR_DIMS(1))), 21);
    IS(cr_sum(cr_lp_pool3d(volume, 1, CR_DIMS(1, 1, 3))), 21);
    IS(cr_sum(cr_adaptive_max_pool1d(x, 1)), 3 + 6);
    IS(cr_sum(cr_adaptive_max_pool2d(plane, CR_DIMS(1, 3), .indices = &i)), 15);
    is_int(cr_item_i64(cr_sum(i)), 3 + 4 + 5, "places of parts");
    IS(cr_sum(cr_adaptive_max_pool3d(volume, 1)), 6);
    IS(cr_sum(cr_adaptive_avg_pool1d(x, 1)), 7);
    IS(cr_sum(cr_adaptive_avg_pool2d(plane, CR_DIMS(1, 3))), 10.5);
    IS(cr_sum(cr_adaptive_avg_pool3d(volume, 1)), 3.5);
    cr_tensor *image = cr_reshape(x, CR_DIMS(1, 1, 2, 3));
    IS(cr_sum(cr_interpolate(image, CR_MODE_NEAREST, .size = CR_DIMS(1, 3))), 6);
    IS(cr_sum(cr_interpolate(image, CR_MODE_BILINEAR, .scale_factor = CR_REALS(2, 1))),
       42);
    IS(cr_sum(cr_interpolate(image, CR_MODE_BICUBIC, .size = CR_DIMS(2, 3),
                             .align_corners = true)),
       21);
    IS(cr_sum(cr_interpolate(image, CR_MODE_AREA, .scale_factor = CR_REALS(0.5),
                             .recompute_scale_factor = true)),
       3.5);
    cr_tensor *four = cr_reshape(cr_slice(x, 1, 0, 2), CR_DIMS(4, 1, 1));
    IS(cr_sum(cr_select(cr_pixel_shuffle(four, 2), 1, 1)), 4 + 5);
    IS(cr_sum(cr_select(cr_pixel_unshuffle(cr_pixel_shuffle(four, 2), 2), 0, 3)), 5);
    cr_tensor *grid = cr_zeros(ctx, CR_DIMS(1, 1, 1, 2));
    IS(cr_sum(cr_grid_sample(image, grid)), 3.5);
    IS(cr_sum(cr_grid_sample(image, cr_sub(grid, 2), .mode = CR_MODE_NEAREST,
                             .padding_mode = CR_PADDING_MODE_BORDER,
                             .align_corners = true)),
       1);
    is_text(cr_message(ctx), "", "no error in pooling and images");
}

static void products_and_picks(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = matrix(ctx);
    cr_tensor *index = cr_from(ctx, CR_I64, CR_DIMS(2), labels);
    cr_tensor *column = cr_reshape(index, CR_DIMS(2, 1)),
              *x_two = cr_ones(ctx, CR_DIMS(2, 2));
    cr_tensor *three = cr_select(matrix(ctx), 0, 0),
              *square = cr_ones(ctx, CR_DIMS(3, 3));
    cr_tensor *image = cr_reshape(x, CR_DIMS(1, 2, 3)), *no = NULL;
    IS(cr_sum(cr_softmin(x, 1)), 2);
    IS(cr_sum(cr_group_norm(image, 1, no, no)), 0);
    IS(cr_sum(cr_group_norm(image, 2, no, no, .eps = 0.5)), 0);
    IS(cr_sum(cr_instance_norm(image, no, no, no, no, true, 0.1)), 0);
    IS(cr_sum(cr_instance_norm(image, no, no, no, no, true, 0.1, .eps = 0.5)), 0);
    IS(cr_sum(cr_square(cr_rms_norm(x, CR_DIMS(3), no))), 6);
    IS(cr_sum(cr_rms_norm(cr_zeros_like(x), CR_DIMS(3), no, .eps = CR_REAL(1))), 0);
    ok(cr_item(cr_sum(cr_local_response_norm(image, 3))) < 21, "local response");
    IS(cr_sum(cr_local_response_norm(image, 3, .beta = CR_REAL(0))), 21);
    IS(cr_sum(cr_bmm(cr_unsqueeze(square, 0), cr_unsqueeze(square, 0))), 27);
    IS(cr_sum(cr_mv(square, three)), 18);
    IS(cr_dot(three, three), 14);
    IS(cr_sum(cr_addmm(three, square, square)), 45);
    IS(cr_sum(cr_addmm(three, square, square, .beta = CR_REAL(0), .alpha = CR_REAL(2))),
       54);
    IS(cr_sum(cr_outer(three, three)), 36);
    IS(cr_sum(cr_kron(three, square)), 54);
    IS(cr_einsum("i,ij->", three, square), 18);
    IS(cr_einsum("ii", square), 3);
    IS(cr_tensordot(square, square, 2), 9);
    IS(cr_sum(cr_tensordot(square, three, CR_DIMS(1, 0))), 18);
    IS(cr_sum(cr_bilinear(three, three, cr_unsqueeze(square, 0), NULL)), 36);
    IS(cr_sum(cr_matmul(x, cr_t(x))), 14 + 32 + 32 + 77);
    IS(cr_sum(cr_linear(x, x, NULL)), 14 + 32 + 32 + 77);
    cr_tensor *line = cr_reshape(x, CR_DIMS(1, 1, 6)),
              *two = cr_ones(ctx, CR_DIMS(1, 1, 2)),
              *plane = cr_reshape(x, CR_DIMS(1, 1, 2, 3)),
              *volume = cr_reshape(x, CR_DIMS(1, 1, 1, 2, 3)),
              *one = cr_ones(ctx, CR_DIMS(1));
    IS(cr_sum(cr_conv1d(line, two, NULL)), 5 + 7 + 9 + 11 + 3);
    IS(cr_sum(cr_conv1d(line, two, one, .padding = CR_PADDING_SAME)), 41 + 6);
    IS(cr_sum(cr_conv1d(line, two, one, .padding = CR_PADDING_VALID)), 35 + 5);
    IS(cr_sum(cr_conv2d(plane, cr_unsqueeze(two, 0), one, .stride = CR_DIMS(2, 1))),
       8 + 2);
    IS(cr_sum(cr_conv3d(volume, cr_ones(ctx, CR_DIMS(1, 1, 1, 2, 2)), NULL,
                        .padding = CR_DIMS(0, 0, 1))),
       12 + 16 + 5 + 9);
    IS(cr_sum(cr_conv_transpose1d(line, two, NULL, .stride = CR_DIMS(2),
                                  .output_padding = CR_DIMS(1))),
       42);
    IS(cr_sum(cr_conv_transpose2d(plane, cr_unsqueeze(two, 0), one)), 42 + 8);
    IS(cr_sum(cr_conv_transpose3d(volume, cr_ones(ctx, CR_DIMS(1, 1, 1, 1, 2)), NULL,
                                  .padding = CR_DIMS(0, 0, 1))),
       42 - 1 - 4 - 3 - 6);
    IS(cr_sum(cr_gather(x, 1, column)), 3 + 4);
    IS(cr_sum(cr_scatter_add(x, 1, column, cr_ones(ctx, CR_DIMS(2, 1)))), 23);
    IS(cr_sum(cr_index_select(x, 1, index)), 3 + 6 + 1 + 4);
    IS(cr_sum(cr_index_add(x, 1, index, cr_ones(ctx, CR_DIMS(2, 2)))), 25);
    IS(cr_sum(cr_index_add(x, 1, index, x_two, .alpha = CR_REAL(0.5))), 23);
    IS(cr_sum(cr_index_copy(x, 1, index, x_two)), 11);
    IS(cr_sum(cr_one_hot(index, 3)), 2);
    IS(cr_sum(cr_embedding(cr_t(x), index)), 3 + 6 + 1 + 4);
    IS(cr_sum(cr_embedding(cr_t(x), index, .padding_idx = CR_INT(0))), 3 + 6 + 1 + 4);
    IS(cr_sum(cr_softmax(x, -1)), 2);
    IS(cr_sum(cr_scaled_dot_product_attention(x, x, x, NULL, .scale = CR_REAL(0))), 21);
    IS(cr_sum(cr_scaled_dot_product_attention(x, x, x, NULL, .is_causal = true,
                                              .scale = CR_REAL(0))),
       16.5);
    IS(cr_logsumexp(cr_log_softmax(x, -1), CR_NO_DIMS), log(2.0));
    IS(cr_sum(cr_bernoulli(cr_ones_like(x))), 6);
    IS(cr_sum(cr_dropout(x, 0)), 21);
    is_text(cr_message(ctx), "", "no error in products and picks");
}

static void places_and_orders(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = matrix(ctx), *index = cr_from(ctx, CR_I64, CR_DIMS(2), labels);
    cr_tensor *column = cr_reshape(index, CR_DIMS(2, 1)), *mask = cr_gt(x, 4), *places;
    cr_tensor *src = cr_ones_like(x), *inverse, *counts;
    IS(cr_sum(cr_scatter(x, 1, column, src)), 16);
    IS(cr_sum(cr_scatter(x, 1, column, -1)), 12);
    IS(cr_sum(cr_scatter_reduce(x, 1, column, src, CR_REDUCE_SUM)), 23);
    IS(cr_sum(cr_scatter_reduce(x, 1, column, src, CR_REDUCE_AMAX,
                                .include_self = CR_INT(false))),
       16);
    IS(cr_sum(cr_take_along_dim(x, column, .dim = CR_INT(1))), 7);
    IS(cr_sum(cr_take_along_dim(x, index)), 4);
    cr_tensor *two = cr_scalar(ctx, 2), *order = cr_argsort(index, 0);
    IS(cr_sum(cr_index_put(x, CR_ARRAY(cr_tensor *, order, index), 2, two)), 18);
    IS(cr_sum(cr_index_put(x, &mask, 1, two, .accumulate = true)), 25);
    IS(cr_sum(cr_masked_fill(x, mask, 0)), 10);
    is_int(cr_size(cr_nonzero(mask), 0), 2, "nonzero");
    IS(cr_sum(cr_masked_select(x, mask)), 11);
    is_int(cr_numel(cr_unique(x)), 6, "unique");
    is_int(cr_numel(cr_unique(mask, .inverse = &inverse, .counts = &counts)), 2,
           "unique");
    IS(cr_sum(inverse), 2);
    is_int(cr_item_i64(cr_amax(counts)), 4, "counts");
    is_int(cr_numel(cr_bincount(index)), 3, "bincount");
    IS(cr_sum(cr_bincount(index, .weights = cr_ones(ctx, CR_DIMS(2)), .minlength = 5)),
       2);
    IS(cr_select(cr_sort(cr_select(x, 0, 1), 0, .descending = true), 0, 0), 6);
    IS(cr_sum(cr_sort(x, -1, .indices = &places)), 21);
    IS(cr_sum(places), 6);
    IS(cr_sum(cr_argsort(x, -1)), 6);
    IS(cr_sum(cr_argsort(x, 0, .stable = true)), 3);
    IS(cr_sum(cr_topk(x, 2, -1)), 16);
    IS(cr_sum(cr_topk(x, 2, -1, .largest = CR_INT(false), .indices = &places)), 12);
    IS(cr_sum(places), 2);
    is_int(cr_item_i64(cr_searchsorted(cr_select(x, 0, 1), cr_scalar(ctx, 5))), 1,
           "below");
    is_int(cr_item_i64(
               cr_searchsorted(cr_select(x, 0, 1), cr_scalar(ctx, 5), .right = true)),
           2, "not above");
    is_text(cr_message(ctx), "", "no error in places and orders");
}

static void random_numbers(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = matrix(ctx), *zero = cr_zeros_like(x), *one = cr_ones_like(x);
    IS(cr_sum(cr_normal(x, zero)), 21);
    IS(cr_sum(cr_normal(x, 0)), 21);
    IS(cr_sum(cr_normal(2, zero)), 12);
    IS(cr_sum(cr_uniform(x, x)), 21);
    IS(cr_sum(cr_ge(cr_uniform(-1, one), -1)), 6);
    IS(cr_sum(cr_ge(cr_exponential(one), 0)), 6);
    IS(cr_sum(cr_gt(cr_gamma(x, 2), 0)), 6);
    IS(cr_sum(cr_gt(cr_gamma(x, one), 0)), 6);
    IS(cr_sum(cr_le(cr_beta(x, 0.5), 1)), 6);
    IS(cr_sum(cr_randint(ctx, 4, 5, CR_DIMS(2, 3))), 24);
    IS(cr_sum(cr_randperm(ctx, 4)), 6);
    is_int(cr_size(cr_multinomial(x, 2), 1), 2, "multinomial");
    is_int(cr_size(cr_multinomial(x, 9, .replacement = true), 1), 9, "with replacement");
    is_int(cr_numel(cr_categorical(x)), 2, "categorical");
    IS(cr_sum(cr_gumbel_softmax(x)), 2);
    IS(cr_sum(cr_gumbel_softmax(x, .tau = 0.5, .hard = true, .dim = CR_INT(0))), 3);
    is_text(cr_message(ctx), "", "no error in random numbers");
}

static void losses_and_norms(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = matrix(ctx), *y = cr_from(ctx, CR_I64, CR_DIMS(2), labels);
    cr_tensor *zeros = cr_zeros(ctx, CR_DIMS(3)), *ones = cr_ones(ctx, CR_DIMS(3));
    IS(cr_cross_entropy(x, y), 1.407606);
    IS(cr_cross_entropy(x, y, .ignore_index = CR_INT(0), .reduction = CR_REDUCTION_SUM),
       0.407606);
    IS(cr_nll_loss(x, y), -3.5);
    IS(cr_nll_loss(x, y, .weight = ones), -3.5);
    IS(cr_mse_loss(x, cr_zeros_like(x)), 91.0 / 6);
    cr_tensor *zero = cr_zeros_like(x), *one = cr_ones_like(x);
    IS(cr_l1_loss(x, zero), 3.5);
    IS(cr_l1_loss(x, zero, .reduction = CR_REDUCTION_SUM), 21);
    IS(cr_smooth_l1_loss(x, zero), 3);
    IS(cr_smooth_l1_loss(x, zero, .beta = CR_REAL(0)), 3.5);
    IS(cr_huber_loss(x, zero), 3);
    IS(cr_huber_loss(x, zero, .delta = 2, .reduction = CR_REDUCTION_SUM), 30.5);
    IS(cr_binary_cross_entropy(cr_div(one, 2), one), 0.693147);
    IS(cr_binary_cross_entropy(cr_div(one, 2), one, .weight = x), 3.5 * 0.693147);
    IS(cr_kl_div(zero, one), 0);
    IS(cr_kl_div(x, zero, .log_target = true, .reduction = CR_REDUCTION_BATCHMEAN),
       -10.5);
    IS(cr_poisson_nll_loss(zero, one), 1);
    IS(cr_poisson_nll_loss(one, one, .log_input = CR_INT(false), .eps = CR_REAL(0)), 1);
    IS(cr_gaussian_nll_loss(x, zero, one), 91.0 / 12);
    IS(cr_gaussian_nll_loss(one, one, one, .full = true), 0.918939);
    IS(cr_hinge_embedding_loss(x, one), 3.5);
    IS(cr_hinge_embedding_loss(x, cr_neg(one), .margin = CR_REAL(2)), 1.0 / 6);
    IS(cr_margin_ranking_loss(x, zero, one), 0);
    IS(cr_margin_ranking_loss(zero, zero, one, .margin = CR_REAL(2)), 2);
    IS(cr_cosine_embedding_loss(x, one, cr_ones(ctx, CR_DIMS(2))), 0.0436262);
    IS(cr_cosine_embedding_loss(x, x, cr_neg(cr_ones(ctx, CR_DIMS(2))),
                                .margin = CR_REAL(0.5)),
       0.5);
    IS(cr_triplet_margin_loss(x, x, zero, .margin = 9, .p = CR_REAL(1)), 1.5);
    IS(cr_triplet_margin_loss(zero, zero, zero), 1);
    IS(cr_soft_margin_loss(zero, one), 0.693147);
    IS(cr_soft_margin_loss(zero, one, .reduction = CR_REDUCTION_SUM), 6 * 0.693147);
    IS(cr_multilabel_soft_margin_loss(zero, one), 0.693147);
    IS(cr_multilabel_soft_margin_loss(zero, one, .weight = x), 3.5 * 0.693147);
    IS(cr_multi_margin_loss(x, y), 0.833333);
    IS(cr_multi_margin_loss(x, y, .p = 2, .margin = CR_REAL(0)), 0.833333);
    cr_tensor *even = cr_full(ctx, CR_DIMS(2, 1, 2), -0.693147),
              *steps = cr_cast(cr_full(ctx, CR_DIMS(1), 2), CR_I64);
    cr_tensor *spelt = cr_ones(ctx, CR_DIMS(1, 1), .dtype = CR_I64);
    cr_tensor *count = cr_ones(ctx, CR_DIMS(1), .dtype = CR_I64);
    IS(cr_ctc_loss(even, spelt, steps, count), 0.287682);
    IS(cr_ctc_loss(even, spelt, steps, count, .blank = 0, .zero_infinity = true),
       0.287682);
    IS(cr_multilabel_margin_loss(x, cr_cast(cr_sub(zero, 1), CR_I64)), 0);
    IS(cr_multilabel_margin_loss(x, cr_cast(zero, CR_I64), .reduction = CR_REDUCTION_SUM),
       10);
    IS(cr_mse_loss(x, cr_zeros_like(x), .reduction = CR_REDUCTION_SUM), 91);
    IS(cr_binary_cross_entropy_with_logits(zeros, ones), log(2.0));
    IS(cr_binary_cross_entropy_with_logits(zeros, ones, .pos_weight = ones), log(2.0));
    IS(cr_sum(cr_layer_norm(x, CR_DIMS(3), NULL, NULL)), 0);
    IS(cr_sum(cr_layer_norm(x, CR_DIMS(3), ones, ones, .eps = 1e-3)), 6);
    IS(cr_sum(cr_batch_norm(x, NULL, NULL, ones, zeros, true, 0.1)), 0);
    IS(cr_sum(cr_batch_norm(x, zeros, ones, NULL, NULL, false, 0.1, .eps = 1e-9)), 21);
    is_text(cr_message(ctx), "", "no error in losses and norms");
}

static cr_tensor *cube(cr_ctx *ctx, cr_tensor *const *inputs, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    return cr_pow(inputs[0], 3);
}

static bool twice(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)n, (void)user;
    for (int64_t i = 0; i < out->numel; i++)
        ((float *)out->data)[i] = 2 * ((const float *)in[0].data)[i];
    return true;
}

static void products(cr_tensor *x)
{
    cr_tensor *y = cr_pow(x, 3), *out = NULL, *one = cr_ones_like(x);
    cr_tensor *roots[2] = { cr_pow(x, 3), cr_square(x) }, *ones[2] = { one, NULL };
    is_int(cr_zero_grad(x), CR_OK, "no gradient");
    is_int(cr_backward_many(roots, 2, .cotangents = ones, .inputs = &x, .n_inputs = 1),
           CR_OK, "several roots");
    IS(cr_grad(x), 48 + 8);
    is_int(cr_backward_many(roots, 1), CR_OK, "or one");
    is_int(cr_vjp(&y, 1, &x, 1, &one, &out), CR_OK, "vjp");
    IS(out, 48);
    is_int(cr_jvp(&y, 1, &x, 1, &one, &out, .create_graph = true), CR_OK, "jvp");
    IS(out, 48);
    is_int(cr_hvp(y, &x, 1, &one, &out, .retain_graph = true), CR_OK, "hvp");
    IS(out, 24);
    IS(cr_jacobian(y, x), 48);
    IS(cr_jacobian(y, x, .strict = true), 48);
    IS(cr_hessian(y, x), 24);
    IS(cr_hessian(y, x, .retain_graph = true), 24);
}

static cr_tensor *ten_times(cr_tensor *x, cr_tensor *cotangent, void *user)
{
    (void)x, (void)user;
    return cr_mul(cotangent, 10);
}

static void count_one(cr_tensor *leaf, void *user)
{
    (void)leaf;
    ++*(int *)user;
}

static void hooks(cr_tensor *x)
{
    int called = 0;
    uint64_t first = cr_register_hook(x, ten_times, NULL);
    uint64_t second = cr_register_post_accumulate_grad_hook(x, count_one, &called);
    cr_tensor *loss = cr_square(x);
    is_int(cr_zero_grad(x), CR_OK, "no gradient");
    is_int(cr_backward(loss), CR_OK, "a pass with hooks");
    IS(loss, 16);
    IS(cr_grad(x), 80);
    is_int(called, 1, "a hook behind it");
    is_int(cr_remove_hook(x, first), CR_OK, "one is removed");
    is_int(cr_remove_hook(x, second), CR_OK, "and the other");
}

static void gradients(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 3, .dtype = CR_F64));
    is_int(cr_backward(cr_mul(2, cr_add(cr_pow(x, 2), cr_exp(x)))), CR_OK, "backward");
    IS(cr_grad(x), 52.171074);
    is_int(cr_backward(cr_square(x), .retain_graph = true), CR_OK,
           "backward with an option");
    IS(cr_grad(x), 58.171074);
    ok(!cr_needs_grad(cr_detach(cr_square(x))), "detached");
    cr_tensor *y = cr_square(x), *dx = NULL, *seed = cr_ones_like(x);
    is_int(cr_gradients(&y, 1, &x, 1, &dx), CR_OK, "gradients");
    IS(dx, 6);
    y = cr_pow(x, 3);
    is_int(cr_gradients(&y, 1, &x, 1, &dx, .cotangents = &seed, .create_graph = true),
           CR_OK, "gradients with options");
    is_int(cr_gradients(&dx, 1, &x, 1, &y), CR_OK, "second order");
    IS(y, 18);
    is_int(cr_gradcheck(cube, NULL, &x, 1), CR_OK, "gradcheck");
    is_int(cr_gradcheck(cube, NULL, &x, 1, .second_order = true), CR_OK,
           "and second order");
    is_int(cr_assign(x, cr_scalar(ctx, 4.0, .dtype = CR_F64)), CR_OK, "assign");
    IS(x, 4);
    products(x);
    hooks(x);
    is_int(cr_verify_graph(cr_square(x)), CR_OK, "a graph is verified");
    cr_tensor *losses = cr_mul(cr_reshape(x, CR_DIMS(1)), 2), *each = NULL;
    is_int(cr_per_sample_gradients(losses, &x, 1, &each), CR_OK, "per-sample gradients");
    IS(each, 2);
    is_int(cr_per_sample_gradients(losses, &x, 1, &each, .strict = true), CR_OK,
           "with an option");
    is_int(cr_verify_graph(cr_square(x), .rtol = 1e-2), CR_OK, "with an option");
    ok(!cr_needs_grad(cr_square(cr_requires_grad(x, false))), "a frozen leaf");
    ok(cr_needs_grad(cr_square(cr_requires_grad(x, true))) && cr_is_leaf(x), "thawed");
    is_text(cr_message(ctx), "", "no error in gradients");
}

static void operations_by_name(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = matrix(ctx), *out = NULL;
    const cr_custom_def def = { "twice", twice, NULL, NULL };
    IS(cr_sum(cr_apply(cr_op_find("square"), &x, 1, NULL)), 91);
    is_int(cr_call(ctx, cr_op_find("sum"), &x, 1, "dim=[0]", &out, 1), 1, "cr_call");
    is_int(cr_numel(out), 3, "its result");
    IS(cr_sum(cr_custom(&def, &x, 1, CR_F32, CR_DIMS(2, 3))), 42);
    IS(cr_sum(cr_custom_with(&def, NULL, &x, 1, CR_F32, CR_DIMS(2, 3))), 42);
    is_text(cr_message(ctx), "", "no error in operations by name");
}

static cr_tensor *doubled(cr_module *module, cr_tensor *x, void *user)
{
    (void)module, (void)user;
    return cr_mul(x, 2);
}

static cr_tensor *halved(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    (void)module, (void)x, (void)user;
    return cr_mul(y, 0.5);
}

static void module_trees(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = cr_nn_sequential(ctx), *block;
    is_int(cr_nn_add(net, cr_nn_relu(ctx)), CR_OK, "a module is added");
    block = cr_nn_residual(ctx, cr_nn_relu(ctx), .scale = CR_REAL(3));
    is_int(cr_nn_insert(net, 0, block), CR_OK, "one in front of it");
    IS(cr_sum(cr_nn_forward(net, matrix(ctx))), 4 * 21);
    is_int(cr_nn_set_scale(block, 1), CR_OK, "its scale");
    uint64_t id = cr_nn_register_forward_hook(block, halved, NULL);
    IS(cr_sum(cr_nn_forward(net, matrix(ctx))), 21);
    is_int(cr_nn_remove_forward_hook(block, id), CR_OK, "a hook is removed");
    is_int(cr_nn_insert(net, 0, cr_nn_residual(ctx, cr_nn_linear(ctx, 3, 3))), CR_OK,
           "a block with parameters");
    is_int(cr_init_fixup(net), CR_OK, "its branch is zero");
    IS(cr_sum(cr_nn_forward(net, matrix(ctx))), 42);
    is_int(cr_init_lsuv(net, matrix(ctx), .tolerance = 0.01), CR_OK, "and then is not");
    is_int(cr_init_trunc_normal(cr_nn_params(net)->list[1].tensor, 0, 1, -2, 2), CR_OK,
           "a truncated normal");
    cr_nn_free(cr_nn_remove(net, 0));
    block = cr_nn_remove(net, 0);
    IS(cr_sum(cr_nn_forward(net, matrix(ctx))), 21);
    cr_nn_free(block);
    cr_nn_free(net);
}

static void modules(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
#define P(name) cr_nn_param(module, name)
#define MODULE(name, make, input, want)                                     \
    {                                                                       \
        cr_module *module = make;                                           \
        cr_tensor *x = input, *expected = want;                             \
        IS(cr_amax(cr_abs(cr_sub(cr_nn_forward(module, x), expected))), 0); \
        cr_nn_free(module);                                                 \
    }
#include "modules.inc"
    cr_module *module = cr_nn_custom(ctx, "pair", doubled, NULL, NULL);
    is_int(cr_nn_add_param(module, "a", cr_ones(ctx, CR_DIMS(2, 3))), CR_OK,
           "a parameter");
    is_int(cr_nn_add_buffer(module, "b", cr_ones(ctx, CR_DIMS(1))), CR_OK, "a buffer");
    cr_tensor *a = P("a");
    const cr_status states[] = {
        cr_init_default(a),           cr_init_xavier_uniform(a, 1),
        cr_init_xavier_normal(a, 1),  cr_init_kaiming_uniform(a, 1),
        cr_init_kaiming_normal(a, 1), cr_init_orthogonal(a, 1),
        cr_init_normal(a, 0, 1),      cr_init_uniform(a, 0, 1),
        cr_init_lecun_normal(a),      cr_init_lecun_uniform(a),
        cr_init_constant(a, 3),       cr_nn_copy(module, module),
    };
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        is_int(states[i], CR_OK, "initialiser %d", (int)i);
    IS(cr_sum(P("a")), 18);
    cr_nn_free(module);
    is_text(cr_message(ctx), "", "no error in modules");
}

static void training(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, 3, 4));
    cr_nn_add(net, cr_nn_linear(ctx, 4, 1, .no_bias = true));
    const cr_params *params = cr_nn_params(net);
    is_int(params ? params->n : 0, 3, "parameters");
#define OPTIMISER(name, make, ...)                                                \
    {                                                                             \
        CR_SCOPE(ctx);                                                            \
        cr_optim *optim = make;                                                   \
        cr_optim_zero_grad(optim);                                                \
        cr_backward(cr_mean(cr_square(cr_nn_forward(net, matrix(ctx)))));         \
        ok(cr_item(cr_clip_grad_norm(params, 1.0)) > 0, "the norm of gradients"); \
        is_int(cr_clip_grad_value(params, 0.5), CR_OK, "gradients clipped");      \
        is_int(cr_optim_step(optim), CR_OK, "a step of %s", name);                \
        cr_optim_free(optim);                                                     \
    }
#include "optimisers.inc"
    cr_tensor *const plain[] = { cr_nn_param(net, "0.weight"),
                                 cr_nn_param(net, "0.bias") };
    const cr_params *list = cr_params_of(plain, NULL, 2);
    is_int(list ? list->n : 0, 2, "a list of plain tensors");
    is_text(cr_message(ctx), "", "no error in training");
    cr_nn_free(net);
}

/* A pop beyond the scopes that are open is an error: so is seen whether each was left
 * once. */
static int leave_by_return(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    CR_NO_GRAD(ctx);
    CR_RECOMPUTE(ctx);
    return cr_grad_enabled(ctx) ? 0 : 1;
}

static void profiles(cr_ctx *ctx)
{
    is_int(cr_profile_start(ctx), CR_OK, "a profile");
    is_int(cr_profile_start(ctx, .trace = true), CR_OK, "a trace");
    is_int(cr_profile_stop(ctx), CR_OK, "ended");
}

static void scopes(cr_ctx *ctx)
{
    size_t before = cr_memory_used(ctx);
    int rounds = 0;
again:
    for (int i = 0; i < 3; i++) {
        CR_SCOPE(ctx);
        CR_NO_GRAD(ctx);
        CR_RECOMPUTE(ctx);
        cr_eval(cr_add(cr_ones(ctx, CR_DIMS(1000)), i));
        rounds++;
        if (i == 0)
            continue;
        if (rounds < 4)
            goto again;
        {
            CR_SCOPE(ctx);
            CR_NO_GRAD(ctx);
            ok(!cr_grad_enabled(ctx), "gradients are off within");
        }
        break;
    }
    ok(leave_by_return(ctx), "left by return");
    ok(cr_grad_enabled(ctx), "gradients are on again");
    is_int((int64_t)cr_memory_used(ctx), (int64_t)before, "all memory was let go");
    is_text(cr_message(ctx), "", "no error in scopes");
    ok(cr_scope_pop(ctx) != CR_OK, "no scope is left open");
    cr_clear(ctx);
}

static void matrices(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_mul(cr_eye(ctx, 2), 4), *b = cr_ones(ctx, CR_DIMS(2)), *y, *z;
    IS(cr_sum(cr_cholesky(x)), 4);
    IS(cr_sum(cr_cholesky(x, .upper = true)), 4);
    IS(cr_sum(cr_solve_triangular(x, x, true)), 2);
    IS(cr_sum(cr_solve_triangular(x, x, false, .left = CR_INT(0))), 2);
    IS(cr_sum(cr_solve(x, b)), 0.5);
    IS(cr_sum(cr_solve(x, x, .left = CR_INT(0))), 2);
    IS(cr_sum(cr_inv(x)), 0.5);
    IS(cr_det(x), 16);
    IS(cr_slogdet(x, &y), 1);
    IS(y, log(16.0));
    IS(cr_sum(cr_matrix_exp(cr_zeros_like(x))), 2);
    IS(cr_trace(x), 8);
    IS(cr_sum(cr_abs(cr_qr(x, &y))), 2);
    IS(cr_sum(cr_abs(y)), 8);
    IS(cr_sum(cr_eigh(x, NULL)), 8);
    IS(cr_sum(cr_eigvalsh(x)), 8);
    IS(cr_sum(cr_abs(cr_svd(x, &y, &z))), 2);
    IS(cr_sum(y), 8);
    IS(cr_sum(cr_svdvals(x)), 8);
    IS(cr_sum(cr_pinv(x)), 0.5);
    IS(cr_sum(cr_pinv(x, .rtol = CR_REAL(0))), 0.5);
    IS(cr_sum(cr_lstsq(x, b)), 0.5);
    is_text(cr_message(ctx), "", "no error in matrices");
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    making(ctx);
    types_of_data(ctx);
    numbers(ctx);
    nesting(ctx);
    unary(ctx);
    activations(ctx);
    binary(ctx);
    dims_by_position(ctx);
    reductions_and_views(ctx);
    picks_and_scans(ctx);
    distances(ctx);
    pooling(ctx);
    movement(ctx);
    products_and_picks(ctx);
    matrices(ctx);
    places_and_orders(ctx);
    random_numbers(ctx);
    losses_and_norms(ctx);
    gradients(ctx);
    operations_by_name(ctx);
    modules(ctx);
    module_trees(ctx);
    training(ctx);
    scopes(ctx);
    profiles(ctx);
    cr_close(ctx);
    return done_testing();
}
