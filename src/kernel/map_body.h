/* The maps of f32 and f64 in one instruction set: a template over the vocabulary of
 * vec.h. Each kernel is a loop over whole vectors; buffers are padded, so there are no
 * tails. */
#include "math_body.h"

#define KERNEL(name) \
    CR__T static void CR__V(name)(void *dst, const void *const *src, int64_t n)

/* One operand a. L is v or d, T and VT the element and its vector, N elements in one. */
#define UNARY(name, L, T, VT, N, ...)               \
    KERNEL(name)                                    \
    {                                               \
        T *out = dst;                               \
        const T *x = src[0];                        \
        for (int64_t i = 0; i < n; i += N) {        \
            VT a = CR__L(L, _load)(x + i);          \
            CR__L(L, _store)(out + i, __VA_ARGS__); \
        }                                           \
    }

/* An operand a and uniform parameters p and, if there are two, q. */
#define PARAMETRIC(name, L, T, VT, N, COUNT, ...)      \
    KERNEL(name)                                       \
    {                                                  \
        T *out = dst;                                  \
        const T *x = src[0];                           \
        VT p = CR__L(L, _set)(*(const T *)src[1]);     \
        VT q = CR__L(L, _set)(*(const T *)src[COUNT]); \
        (void)q;                                       \
        for (int64_t i = 0; i < n; i += N) {           \
            VT a = CR__L(L, _load)(x + i);             \
            CR__L(L, _store)(out + i, __VA_ARGS__);    \
        }                                              \
    }

/* Operands a and b. Three forms: both vary, the first is uniform, the second is. OUT is
 * the element written by STORE. */
#define BINARY_FORM(name, L, T, VT, N, OUT, STORE, A0, A, B0, B, ...) \
    KERNEL(name)                                                      \
    {                                                                 \
        OUT *out = dst;                                               \
        const T *x = src[0], *y = src[1];                             \
        VT a0 = A0, b0 = B0;                                          \
        (void)a0, (void)b0;                                           \
        for (int64_t i = 0; i < n; i += N) {                          \
            VT a = A, b = B;                                          \
            CR__L(L, STORE)(out + i, __VA_ARGS__);                    \
        }                                                             \
    }
#define BINARY_INTO(name, L, T, VT, N, OUT, STORE, ...)                                \
    BINARY_FORM(name##_vv, L, T, VT, N, OUT, STORE, (VT){ 0 }, CR__L(L, _load)(x + i), \
                (VT){ 0 }, CR__L(L, _load)(y + i), __VA_ARGS__)                        \
    BINARY_FORM(name##_uv, L, T, VT, N, OUT, STORE, CR__L(L, _set)(*x), a0, (VT){ 0 }, \
                CR__L(L, _load)(y + i), __VA_ARGS__)                                   \
    BINARY_FORM(name##_vu, L, T, VT, N, OUT, STORE, (VT){ 0 }, CR__L(L, _load)(x + i), \
                CR__L(L, _set)(*y), b0, __VA_ARGS__)
#define BINARY(name, L, T, VT, N, ...) \
    BINARY_INTO(name, L, T, VT, N, T, _store, __VA_ARGS__)
#define COMPARE(name, L, T, VT, N, ...) \
    BINARY_INTO(name, L, T, VT, N, uint8_t, _store_mask, __VA_ARGS__)

/* Moves bits only, so it serves every type of the size. */
#define WHERE_FORM(name, L, T, VT, N, X0, X, Y0, Y)                   \
    KERNEL(name)                                                      \
    {                                                                 \
        T *out = dst;                                                 \
        const uint8_t *c = src[0];                                    \
        const T *x = src[1], *y = src[2];                             \
        VT x0 = X0, y0 = Y0;                                          \
        (void)x0, (void)y0;                                           \
        for (int64_t i = 0; i < n; i += N)                            \
            CR__L(L, _store)                                          \
        (out + i, CR__L(L, _sel)(CR__L(L, _load_mask)(c + i), X, Y)); \
    }
#define WHERE(name, L, T, VT, N)                                                     \
    WHERE_FORM(name##_vv, L, T, VT, N, (VT){ 0 }, CR__L(L, _load)(x + i), (VT){ 0 }, \
               CR__L(L, _load)(y + i))                                               \
    WHERE_FORM(name##_uv, L, T, VT, N, CR__L(L, _fill)(x), x0, (VT){ 0 },            \
               CR__L(L, _load)(y + i))                                               \
    WHERE_FORM(name##_vu, L, T, VT, N, (VT){ 0 }, CR__L(L, _load)(x + i),            \
               CR__L(L, _fill)(y), y0)                                               \
    WHERE_FORM(name##_uu, L, T, VT, N, CR__L(L, _fill)(x), x0, CR__L(L, _fill)(y), y0)

/* What f32 and f64 share. F(name) is a function of the vocabulary. maximum: v_max gives b
 * if one is NaN, then a if it is that one. relu and clamp: v_max and v_min pass NaN in
 * their second operand. */
#define ARITHMETIC(P, L, T, VT, N, F)                                                 \
    UNARY(P##_copy, L, T, VT, N, a)                                                   \
    UNARY(P##_neg, L, T, VT, N, -a)                                                   \
    UNARY(P##_abs, L, T, VT, N, F(abs)(a))                                            \
    UNARY(P##_sign, L, T, VT, N,                                                      \
          F(sel)(F(lt)(F(set)(0), a), F(set)(1),                                      \
                 F(sel)(F(lt)(a, F(set)(0)), F(set)(-1), F(set)(0))))                 \
    UNARY(P##_floor, L, T, VT, N, F(floor)(a))                                        \
    UNARY(P##_sqrt, L, T, VT, N, F(sqrt)(a))                                          \
    UNARY(P##_rsqrt, L, T, VT, N, 1 / F(sqrt)(a))                                     \
    UNARY(P##_square, L, T, VT, N, a *a)                                              \
    UNARY(P##_reciprocal, L, T, VT, N, 1 / a)                                         \
    UNARY(P##_relu, L, T, VT, N, F(max)(F(set)(0), a))                                \
    PARAMETRIC(P##_leaky_relu, L, T, VT, N, 1, F(sel)(F(lt)(F(set)(0), a), a, a * p)) \
    PARAMETRIC(P##_clamp, L, T, VT, N, 2, F(min)(q, F(max)(p, a)))                    \
    BINARY(P##_add, L, T, VT, N, a + b)                                               \
    BINARY(P##_sub, L, T, VT, N, a - b)                                               \
    BINARY(P##_mul, L, T, VT, N, a *b)                                                \
    BINARY(P##_div, L, T, VT, N, a / b)                                               \
    BINARY(P##_maximum, L, T, VT, N, F(sel)(F(ne)(a, a), a, F(max)(a, b)))            \
    BINARY(P##_minimum, L, T, VT, N, F(sel)(F(ne)(a, a), a, F(min)(a, b)))            \
    BINARY(P##_relu_grad, L, T, VT, N, F(sel)(F(lt)(F(set)(0), b), a, F(set)(0)))     \
    BINARY(P##_tanh_grad, L, T, VT, N, a *(1 - b * b))                                \
    BINARY(P##_sigmoid_grad, L, T, VT, N, a *(b * (1 - b)))                           \
    COMPARE(P##_eq, L, T, VT, N, F(eq)(a, b))                                         \
    COMPARE(P##_ne, L, T, VT, N, F(ne)(a, b))                                         \
    COMPARE(P##_lt, L, T, VT, N, F(lt)(a, b))                                         \
    COMPARE(P##_le, L, T, VT, N, F(le)(a, b))                                         \
    COMPARE(P##_gt, L, T, VT, N, F(lt)(b, a))                                         \
    COMPARE(P##_ge, L, T, VT, N, F(le)(b, a))                                         \
    WHERE(P##_where, L, T, VT, N)

#define V_NAME(name) CR__L(v_, name)
#define D_NAME(name) CR__L(d_, name)
ARITHMETIC(f32, v, float, vf, CR__W, V_NAME)
ARITHMETIC(f64, d, double, vd, (CR__W / 2), D_NAME)

UNARY(f32_exp, v, float, vf, CR__W, ma_exp(a))
UNARY(f32_expm1, v, float, vf, CR__W, ma_expm1(a))
UNARY(f32_log, v, float, vf, CR__W, ma_log(a))
UNARY(f32_log1p, v, float, vf, CR__W, ma_log1p(a))
UNARY(f32_sin, v, float, vf, CR__W, ma_sincos(a, false))
UNARY(f32_cos, v, float, vf, CR__W, ma_sincos(a, true))
UNARY(f32_tanh, v, float, vf, CR__W, ma_tanh(a))
UNARY(f32_sigmoid, v, float, vf, CR__W, ma_sigmoid(a))
UNARY(f32_erf, v, float, vf, CR__W, ma_erf(a))
PARAMETRIC(f32_softplus, v, float, vf, CR__W, 2, ma_softplus(a, p, q))
BINARY(f32_pow, v, float, vf, CR__W, ma_pow(a, b))

#define FORM1(P, name)    \
    {                     \
        CR__V(P##_##name) \
    }
#define FORM3(P, name)                                                         \
    {                                                                          \
        CR__V(P##_##name##_vv), CR__V(P##_##name##_uv), CR__V(P##_##name##_vu) \
    }
#define FORM4(P, name)                                                          \
    {                                                                           \
        CR__V(P##_##name##_vv), CR__V(P##_##name##_uv), CR__V(P##_##name##_vu), \
            CR__V(P##_##name##_uu)                                              \
    }
#define ARITHMETIC_TABLE(P)                                                         \
    [CR__MAP_COPY] = FORM1(P, copy), [CR__MAP_NEG] = FORM1(P, neg),                 \
    [CR__MAP_ABS] = FORM1(P, abs), [CR__MAP_SIGN] = FORM1(P, sign),                 \
    [CR__MAP_FLOOR] = FORM1(P, floor), [CR__MAP_SQRT] = FORM1(P, sqrt),             \
    [CR__MAP_RSQRT] = FORM1(P, rsqrt), [CR__MAP_SQUARE] = FORM1(P, square),         \
    [CR__MAP_RECIPROCAL] = FORM1(P, reciprocal), [CR__MAP_RELU] = FORM1(P, relu),   \
    [CR__MAP_LEAKY_RELU] = FORM1(P, leaky_relu), [CR__MAP_CLAMP] = FORM1(P, clamp), \
    [CR__MAP_ADD] = FORM3(P, add), [CR__MAP_SUB] = FORM3(P, sub),                   \
    [CR__MAP_MUL] = FORM3(P, mul), [CR__MAP_DIV] = FORM3(P, div),                   \
    [CR__MAP_MAXIMUM] = FORM3(P, maximum), [CR__MAP_MINIMUM] = FORM3(P, minimum),   \
    [CR__MAP_RELU_GRAD] = FORM3(P, relu_grad),                                      \
    [CR__MAP_TANH_GRAD] = FORM3(P, tanh_grad),                                      \
    [CR__MAP_SIGMOID_GRAD] = FORM3(P, sigmoid_grad), [CR__MAP_EQ] = FORM3(P, eq),   \
    [CR__MAP_NE] = FORM3(P, ne), [CR__MAP_LT] = FORM3(P, lt),                       \
    [CR__MAP_LE] = FORM3(P, le), [CR__MAP_GT] = FORM3(P, gt),                       \
    [CR__MAP_GE] = FORM3(P, ge), [CR__MAP_WHERE] = FORM4(P, where)

static const forms CR__V(table_f32)[CR__MAP_CODES] = {
    ARITHMETIC_TABLE(f32),
    [CR__MAP_EXP] = FORM1(f32, exp),
    [CR__MAP_EXPM1] = FORM1(f32, expm1),
    [CR__MAP_LOG] = FORM1(f32, log),
    [CR__MAP_LOG1P] = FORM1(f32, log1p),
    [CR__MAP_SIN] = FORM1(f32, sin),
    [CR__MAP_COS] = FORM1(f32, cos),
    [CR__MAP_TANH] = FORM1(f32, tanh),
    [CR__MAP_SIGMOID] = FORM1(f32, sigmoid),
    [CR__MAP_ERF] = FORM1(f32, erf),
    [CR__MAP_SOFTPLUS] = FORM1(f32, softplus),
    [CR__MAP_POW] = FORM3(f32, pow),
};
static const forms CR__V(table_f64)[CR__MAP_CODES] = { ARITHMETIC_TABLE(f64) };

#undef KERNEL
#undef UNARY
#undef PARAMETRIC
#undef BINARY_FORM
#undef BINARY_INTO
#undef BINARY
#undef COMPARE
#undef WHERE_FORM
#undef WHERE
#undef ARITHMETIC
#undef V_NAME
#undef D_NAME
#undef FORM1
#undef FORM3
#undef FORM4
#undef ARITHMETIC_TABLE
