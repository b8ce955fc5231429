/* The maps: the rows of maps.inc, f32 and f64 from the template, once for each instruction
 * set; integers, bools and f64's elementary functions as plain loops, once; casts and what is
 * made from indices; and the tables of them all. */
#include "doubles.h"
#include "philox.h"
#include "rows.h"
#include <math.h>
#include <string.h>

/* A row's entry in a table; NAME(name) is what its kernel is called. */
#define ENTRY(NAME, name) [CR__MAP_##name] = NAME(name)

/* Sines far out: libm gets angles within an eighth of a turn only, where every libm is good;
 * not all reduce large ones well. x = m 2^e; its turns, x/(2 pi), are taken modulo one in
 * 96 bits of fraction (Payne and Hanek, 1983), of which 2^-62 is sure. Not a template, so that
 * every set gets the same bits. */
static float sincos_far_one(float x, bool cosine)
{
    /* 1/(2 pi), 32 bits before the point and 224 behind it: enough for the largest e, 104 */
    static const uint32_t inverse[] = { 0,          0x28be60db, 0x9391054a, 0x7f09d5f4,
                                        0x7d4d3770, 0x36d8a566, 0x4f10e410, 0x7f9458ea };
    uint32_t bits, word[3];
    memcpy(&bits, &x, sizeof bits);
    if (x - x != 0)
        return x - x;
    const uint64_t m = (bits & 0x7fffff) | 0x800000;
    const int at = (int)(bits >> 23 & 255) - 118; /* e + 32: where the turns' point is */
    for (int i = 0; i < 3; i++) {
        uint64_t both = (uint64_t)inverse[at / 32 + i] << 32 | inverse[at / 32 + i + 1];
        word[i] = (uint32_t)(both << at % 32 >> 32);
    }
    const uint64_t turns = (m * word[0] << 32) + m * word[1] + (m * word[2] >> 32);
    const uint64_t quadrant = (turns + (UINT64_C(1) << 61)) >> 62;
    const double angle =
        (double)(int64_t)(turns - (quadrant << 62)) * 0x1.921fb54442d18p-62;
    const uint64_t form = quadrant + cosine;
    double y = form & 1 ? cos(angle) : sin(angle);
    if ((form >> 1 & 1) != (!cosine && bits >> 31))
        y = -y;
    return (float)y;
}

static void sincos_far(float *out, const float *x, int n, bool cosine)
{
    for (int i = 0; i < n; i++) /* the other lanes are not asked for */
        out[i] = fabsf(x[i]) <= 8192 ? 0 : sincos_far_one(x[i], cosine);
}

/* ---- plain loops ---- */

#define LOOP_KERNEL(name) \
    static void name(void *dst, const void *const *src, const int64_t *step, int64_t n)
/* Loops over short expressions have two elements at a time: TWICE. */
#define ONCE(...)
#define TWICE(...) __VA_ARGS__
#define ELEMENTS(TIMES, ELEMENT)                    \
    TIMES(for (; n > 1; n -= 2){ ELEMENT ELEMENT }) \
    for (; n > 0; n--) {                            \
        ELEMENT                                     \
    }

#define ELEMENT_UNARY(T, OUT, expression) \
    {                                     \
        T a = *x;                         \
        x += x_step;                      \
        *out++ = (OUT)(expression);       \
    }
#define LOOP_UNARY(TIMES, name, T, OUT, expression)        \
    LOOP_KERNEL(name)                                      \
    {                                                      \
        OUT *out = dst;                                    \
        const T *x = src[0];                               \
        const int64_t x_step = step[0];                    \
        ELEMENTS(TIMES, ELEMENT_UNARY(T, OUT, expression)) \
    }
#define LOOP_PARAMETRIC(TIMES, name, COUNT, T, OUT, expression)                  \
    LOOP_KERNEL(name)                                                            \
    {                                                                            \
        OUT *out = dst;                                                          \
        const T *x = src[0], p = *(const T *)src[1], q = *(const T *)src[COUNT]; \
        const int64_t x_step = step[0];                                          \
        (void)q;                                                                 \
        ELEMENTS(TIMES, ELEMENT_UNARY(T, OUT, expression))                       \
    }
#define LOOP_PARAMETRIC1(TIMES, name, ...) LOOP_PARAMETRIC(TIMES, name, 1, __VA_ARGS__)
#define LOOP_PARAMETRIC2(TIMES, name, ...) LOOP_PARAMETRIC(TIMES, name, 2, __VA_ARGS__)
#define ELEMENT_BINARY(T, OUT, expression) \
    {                                      \
        T a = *x, b = *y;                  \
        x += x_step, y += y_step;          \
        *out++ = (OUT)(expression);        \
    }
#define LOOP_BINARY(TIMES, name, T, OUT, expression)        \
    LOOP_KERNEL(name)                                       \
    {                                                       \
        OUT *out = dst;                                     \
        const T *x = src[0], *y = src[1];                   \
        const int64_t x_step = step[0], y_step = step[1];   \
        ELEMENTS(TIMES, ELEMENT_BINARY(T, OUT, expression)) \
    }
LOOP_KERNEL(u8_where)
{
    uint8_t *out = dst;
    const uint8_t *c = src[0], *x = src[1], *y = src[2];
    const int64_t c_step = step[0], x_step = step[1], y_step = step[2];
    for (; n > 0; n--, c += c_step, x += x_step, y += y_step) {
        uint8_t a = *x, b = *y; /* without a branch */
        *out++ = *c ? a : b;
    }
}

/* f64 beyond what libm has. */

static double sigmoid(double x)
{
    double e = exp(-fabs(x));
    return isnan(x) ? x : (x < 0 ? e : 1) / (1 + e);
}

static double softplus_of(double x, double beta, double threshold)
{
    double t = x * beta;
    double y = ((t < 0 ? 0 : t) + log1p(exp(-fabs(t)))) / beta;
    return t > threshold ? x : y;
}

/* The activations of math_body.h, by the same formulas: |x| is cut where what is exponential in
 * it has vanished, and nothing infinite meets a 0. */

static double cut(double x, double limit)
{
    return x < -limit ? -limit : x > limit ? limit : x;
}

static double logistic_slope(double x)
{
    double e = exp(-fabs(x)), d = 1 + e;
    return e / (d * d);
}

static double logistic_curve(double x)
{
    return -logistic_slope(x) * tanh(x / 2);
}

static double silu(double x)
{
    double a = fabs(cut(x, 800)), e = exp(-a), d = 1 + e;
    return x < 0 ? -a * e / d : x / d;
}

static double silu_slope(double x)
{
    double a = fabs(cut(x, 800)), e = exp(-a), d = 1 + e;
    return x < 0 ? e / d * (1 - a / d) : (1 + a * e / d) / d;
}

static double silu_curve(double x)
{
    double a = fabs(cut(x, 800)), e = exp(-a), d = 1 + e;
    return e / (d * d) * (2 - a * (1 - e) / d);
}

/* e^(-a^2/2), and what is above a of the normal distribution: what rounding the square, and a
 * over the root of 2, have lost is made up for. */
static double bell(double a)
{
    double square = a * a, e = exp(square / -2);
    return e - e * fma(a, a, -square) / 2;
}

static double tail(double a)
{
    double z = a * 0.7071067811865476;
    double lost = fma(a, 0.7071067811865476, -z) + a * -4.833646656726457e-17;
    return erfc(z) / 2 - 0.5641895835477563 * exp(-z * z) * lost;
}

static double gelu(double x)
{
    return x < 0 ? cut(x, 40) * tail(-cut(x, 40)) : x * (1 - tail(cut(x, 40)));
}

static double gelu_slope(double x)
{
    double a = fabs(cut(x, 40)), beyond = a * 0.3989422804014327 * bell(a) - tail(a);
    return x < 0 ? -beyond : 1 + beyond;
}

static double gelu_curve(double x)
{
    double a = cut(x, 40);
    return (2 - a * a) * 0.3989422804014327 * bell(a);
}

/* e^-v, v = k (a + c a^3) with k = sqrt(8/pi), c = 0.044715, in twice the precision. */
static double steep(double a, double *slope)
{
    const double k = 1.5957691216057308, k_rest = -9.96930880911092e-17;
    const double kc = 0.07135481627260025, kc_rest = -6.175149918155315e-19;
    double square = a * a, square_rest = fma(a, a, -square);
    double term = kc * square;
    double term_rest = fma(kc, square, -term) + kc * square_rest + kc_rest * square;
    double factor = k + term, back = factor - k;
    double factor_rest = (k - (factor - back)) + (term - back) + term_rest + k_rest;
    double v = a * factor, e = exp(-v);
    *slope = k + 3 * term;
    return e - e * (fma(a, factor, -v) + a * factor_rest);
}

static double gelu_tanh(double x)
{
    double slope, a = fabs(cut(x, 22)), e = steep(a, &slope), d = 1 + e;
    return x < 0 ? -a * e / d : x / d;
}

static double gelu_tanh_slope(double x)
{
    double slope, a = fabs(cut(x, 22)), e = steep(a, &slope), d = 1 + e;
    return x < 0 ? e / d * (1 - a * slope / d) : (1 + a * slope * e / d) / d;
}

static double gelu_tanh_curve(double x)
{
    double slope, a = fabs(cut(x, 22)), e = steep(a, &slope), d = 1 + e;
    double bend = 2 * slope + 6 * 0.07135481627260025 * a * a;
    return e / (d * d) * (bend - a * slope * slope * (1 - e) / d);
}

/* ---- division with a rest ----
 *
 * C's fmod is exact, in every libm. Of f32 the rest is one too, and what is added to it is rounded
 * as in f32. */

static double floored_rest(double a, double b)
{
    double rest = fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* a minus its rest is a multiple of b, but for rounding: the nearest integer is meant. */
static double floored_quotient(double a, double b)
{
    if (b == 0)
        return a / b;
    double rest = fmod(a, b), q = (a - rest) / b;
    if (rest != 0 && (rest < 0) != (b < 0))
        q -= 1;
    if (q == 0)
        return copysign(0, a / b);
    double below = floor(q);
    return q - below > 0.5 ? below + 1 : below;
}

/* Of the least integer and -1 the quotient wraps, as all arithmetic on them does. */
static int64_t whole_fmod(int64_t a, int64_t b)
{
    return b == 0 || b == -1 ? 0 : a % b;
}

static int64_t whole_remainder(int64_t a, int64_t b)
{
    int64_t rest = whole_fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static int64_t whole_floor_divide(int64_t a, int64_t b)
{
    if (b == 0 || b == -1)
        return b == 0 ? 0 : (int64_t)(0 - (uint64_t)a);
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* An integer as the unsigned number in which its arithmetic wraps; the conversion back is
 * modular in GCC and Clang. Never narrower than unsigned int, whose products would be
 * promoted. */
/* clang-format off */
#define U(a) _Generic((a), int64_t: (uint64_t)(a), default: (uint32_t)(a))
/* clang-format on */

#define LOOPS_FLOATS(FORM, name, vectors)
#define LOOPS_ELEMENTARY(FORM, name, vectors, doubles) \
    FORM(ONCE, f64_##name, double, double, doubles)
#define LOOPS_NUMBERS(FORM, name, vectors, integers)    \
    FORM(TWICE, i64_##name, int64_t, int64_t, integers) \
    FORM(TWICE, i32_##name, int32_t, int32_t, integers) \
    FORM(TWICE, u8_##name, uint8_t, uint8_t, integers)
#define LOOPS_ORDERED LOOPS_NUMBERS
#define LOOPS_LOOPED(FORM, name, doubles, integers) \
    FORM(ONCE, f32_##name, float, float, doubles)   \
    FORM(ONCE, f64_##name, double, double, doubles) \
    LOOPS_NUMBERS(FORM, name, , integers)
#define LOOPS_COMPARED(FORM, name, vectors, integers)   \
    FORM(TWICE, i64_##name, int64_t, uint8_t, integers) \
    FORM(TWICE, i32_##name, int32_t, uint8_t, integers) \
    FORM(TWICE, u8_##name, uint8_t, uint8_t, integers)
#define LOOPS_LOGICAL(FORM, name, elements)            \
    FORM(TWICE, f32_##name, float, uint8_t, elements)  \
    FORM(TWICE, f64_##name, double, uint8_t, elements) \
    LOOPS_COMPARED(FORM, name, , elements)
#define LOOPS_RARE(FORM, name, vectors)
#define LOOPS_ALONE(FORM, name, what)
#define MAP(TYPES, FORM, ...) LOOPS_##TYPES(LOOP_##FORM, __VA_ARGS__)
#include "maps.inc"

/* The rows of which integers have kernels, and bools. */
#define INTEGER_FLOATS(NAME, name)
#define INTEGER_ELEMENTARY(NAME, name)
#define INTEGER_RARE(NAME, name)
#define INTEGER_ALONE(NAME, name)
#define INTEGER_NUMBERS(NAME, name)  ENTRY(NAME, name),
#define INTEGER_ORDERED(NAME, name)  ENTRY(NAME, name),
#define INTEGER_COMPARED(NAME, name) ENTRY(NAME, name),
#define INTEGER_LOGICAL(NAME, name)  ENTRY(NAME, name),
#define INTEGER_LOOPED(NAME, name)   ENTRY(NAME, name),
#define BOOL_FLOATS                  INTEGER_FLOATS
#define BOOL_ELEMENTARY              INTEGER_ELEMENTARY
#define BOOL_RARE                    INTEGER_RARE
#define BOOL_ALONE                   INTEGER_ALONE
#define BOOL_NUMBERS                 INTEGER_FLOATS
#define BOOL_LOOPED                  INTEGER_FLOATS
#define BOOL_ORDERED                 INTEGER_ORDERED
#define BOOL_COMPARED                INTEGER_COMPARED
#define BOOL_LOGICAL                 INTEGER_LOGICAL

#define I64(name) i64_##name
#define I32(name) i32_##name
#define U8(name)  u8_##name

static cr__map_fn *const i64_maps[CR__MAP_CODES] = {
#define MAP(TYPES, FORM, name, ...) INTEGER_##TYPES(I64, name)
#include "maps.inc"
};
static cr__map_fn *const i32_maps[CR__MAP_CODES] = {
#define MAP(TYPES, FORM, name, ...) INTEGER_##TYPES(I32, name)
#include "maps.inc"
};
static cr__map_fn *const u8_maps[CR__MAP_CODES] = {
#define MAP(TYPES, FORM, name, ...) INTEGER_##TYPES(U8, name)
#include "maps.inc"
    ENTRY(U8, where),
};
static cr__map_fn *const bool_maps[CR__MAP_CODES] = {
#define MAP(TYPES, FORM, name, ...) BOOL_##TYPES(U8, name)
#include "maps.inc"
    ENTRY(U8, where),
    [CR__MAP_mul] = u8_logical_and,
};

/* ---- vectors ---- */

#define CR__TEMPLATE "map_floats.h"
#include "for_each_set.h"

/* ---- casts ---- */

/* Floats to integers saturate, and NaN becomes 0. HIGH is a power of two, one past the
 * largest. */
#define SATURATED(T, LOW, HIGH, MAX) \
    (isnan(a) ? 0 : a >= HIGH ? MAX : a <= LOW ? (T)LOW : (T)a)
#define FLOAT_CASTS(P, T)                                        \
    LOOP_UNARY(ONCE, P##_to_i64, T, int64_t,                     \
               SATURATED(int64_t, -0x1p63f, 0x1p63f, INT64_MAX)) \
    LOOP_UNARY(ONCE, P##_to_i32, T, int32_t,                     \
               SATURATED(int32_t, -0x1p31f, 0x1p31f, INT32_MAX)) \
    LOOP_UNARY(ONCE, P##_to_u8, T, uint8_t, SATURATED(uint8_t, 0.0f, 256.0f, UINT8_MAX))
#define INTEGER_CASTS(P, T)                      \
    LOOP_UNARY(TWICE, P##_to_f32, T, float, a)   \
    LOOP_UNARY(TWICE, P##_to_f64, T, double, a)  \
    LOOP_UNARY(TWICE, P##_to_i64, T, int64_t, a) \
    LOOP_UNARY(TWICE, P##_to_i32, T, int32_t, a) \
    LOOP_UNARY(TWICE, P##_to_u8, T, uint8_t, a)

/* f32 rounded to odd: towards zero, the last digit 1 if something is lost. Rounded again, to
 * nearest and to two digits less or fewer, it gives what the number itself would. */
static float odd_f32(double x)
{
    float near = (float)x;
    uint32_t bits;
    if ((double)near == x || x != x)
        return near;
    memcpy(&bits, &near, sizeof bits);
    bits -= fabs((double)near) > fabs(x);
    bits |= 1;
    memcpy(&near, &bits, sizeof near);
    return near;
}

/* What lies below the 53 digits of an f64 goes into the last of them. */
static float odd_f32_of_i64(int64_t x)
{
    const uint64_t size = x < 0 ? 0 - (uint64_t)x : (uint64_t)x;
    const uint64_t kept = size >> 11 | ((size & 0x7ff) != 0);
    const double all = size >> 53 ? (double)kept * 2048 : (double)size;
    return odd_f32(x < 0 ? -all : all);
}

#define BOOL_CAST(P, T) LOOP_UNARY(TWICE, P##_to_bool, T, uint8_t, a != 0)
FLOAT_CASTS(f32, float)
FLOAT_CASTS(f64, double)
INTEGER_CASTS(i64, int64_t)
INTEGER_CASTS(i32, int32_t)
INTEGER_CASTS(u8, uint8_t)
LOOP_UNARY(TWICE, f32_to_f64, float, double, a)
LOOP_UNARY(TWICE, f64_to_f32, double, float, a)
LOOP_UNARY(TWICE, f32_to_f32, float, float, a)
LOOP_UNARY(ONCE, f64_to_odd, double, float, odd_f32(a))
LOOP_UNARY(ONCE, i64_to_odd, int64_t, float, odd_f32_of_i64(a))
LOOP_UNARY(ONCE, i32_to_odd, int32_t, float, odd_f32(a))
LOOP_UNARY(TWICE, f64_to_f64, double, double, a)
BOOL_CAST(f32, float)
BOOL_CAST(f64, double)
BOOL_CAST(i64, int64_t)
BOOL_CAST(i32, int32_t)
BOOL_CAST(u8, uint8_t)

#define CAST_ROW(P, HALF)                                                    \
    {                                                                        \
        [CR_F32] = P##_to_f32, [CR_F64] = P##_to_f64, [CR_I64] = P##_to_i64, \
        [CR_I32] = P##_to_i32, [CR_U8] = P##_to_u8, [CR_BOOL] = P##_to_bool, \
        [CR_BF16] = P##_to_##HALF, [CR_F16] = P##_to_##HALF,                 \
    }
static cr__map_fn *const casts[CR_DTYPES][CR_DTYPES] = {
    [CR_F32] = CAST_ROW(f32, f32),  [CR_F64] = CAST_ROW(f64, odd),
    [CR_I64] = CAST_ROW(i64, odd),  [CR_I32] = CAST_ROW(i32, odd),
    [CR_U8] = CAST_ROW(u8, f32),    [CR_BOOL] = CAST_ROW(u8, f32),
    [CR_BF16] = CAST_ROW(f32, f32), [CR_F16] = CAST_ROW(f32, f32),
};

/* ---- from indices ---- */

#define ARANGE(name, T, U, expression)                                  \
    LOOP_KERNEL(name)                                                   \
    {                                                                   \
        T *out = dst;                                                   \
        const int64_t first = *(const int64_t *)src[0];                 \
        (void)step;                                                     \
        const cr__arange_params p = *(const cr__arange_params *)src[1]; \
        for (int64_t i = 0; i < n; i++) {                               \
            U at = (U)(first + i);                                      \
            out[i] = (T)(expression);                                   \
        }                                                               \
    }
ARANGE(f32_arange, float, double, p.start + at * p.step)
ARANGE(half_arange, float, double, odd_f32(p.start + at * p.step))
ARANGE(f64_arange, double, double, p.start + at * p.step)
ARANGE(i64_arange, int64_t, uint64_t, (uint64_t)p.int_start + at * (uint64_t)p.int_step)
ARANGE(i32_arange, int32_t, uint64_t, (uint64_t)p.int_start + at * (uint64_t)p.int_step)
ARANGE(u8_arange, uint8_t, uint64_t, (uint64_t)p.int_start + at * (uint64_t)p.int_step)

#define LINSPACE(name, T, rounded)                                              \
    LOOP_KERNEL(name)                                                           \
    {                                                                           \
        T *out = dst;                                                           \
        const int64_t first = *(const int64_t *)src[0];                         \
        (void)step;                                                             \
        const cr__linspace_params p = *(const cr__linspace_params *)src[1];     \
        for (int64_t i = 0; i < n; i++) {                                       \
            int64_t at = first + i, left = p.count - 1 - at;                    \
            out[i] = rounded(at < p.count / 2 ? p.start + (double)at * p.step   \
                                              : p.end - (double)left * p.step); \
        }                                                                       \
    }
LINSPACE(f32_linspace, float, (float))
LINSPACE(half_linspace, float, odd_f32)
LINSPACE(f64_linspace, double, (double))

/* Calls for each element of a random source: at, and words, its block of PER elements. */
#define RANDOM(name, T, PER, expression)                                            \
    LOOP_KERNEL(name)                                                               \
    {                                                                               \
        T *out = dst;                                                               \
        const int64_t first = *(const int64_t *)src[0];                             \
        (void)step;                                                                 \
        const cr__random_params *p = src[1];                                        \
        uint32_t words[4] = { 0 };                                                  \
        for (int64_t i = 0; i < n; i++) {                                           \
            int at = (int)((first + i) % PER);                                      \
            if (i == 0 || at == 0)                                                  \
                cr__philox(words, (uint64_t)((first + i) / PER), p->draw, p->seed); \
            out[i] = expression;                                                    \
        }                                                                           \
    }

static double uniform53(const uint32_t *w)
{
    return (double)((((uint64_t)w[0] << 32) | w[1]) >> 11) * 0x1p-53;
}

/* Box and Muller (1958): element `at` of a pair made from u in (0, 1] and v in [0, 1). */
static double normal(double u, double v, int at)
{
    double angle = 6.283185307179586 * v;
    return sqrt(-2 * log(u)) * (at & 1 ? sin(angle) : cos(angle));
}

RANDOM(f32_rand, float, 4, (float)(words[at] >> 8) * 0x1p-24f)
/* Those of f32 rounded down, so that they stay below 1. */
RANDOM(bf16_rand, float, 4, (float)(words[at] >> 24) * 0x1p-8f)
RANDOM(f16_rand, float, 4, (float)(words[at] >> 21) * 0x1p-11f)
RANDOM(f64_rand, double, 2, uniform53(words + 2 * at))
RANDOM(f32_randn, float, 4,
       (float)normal(((double)words[at & 2] + 1) * 0x1p-32, words[at | 1] * 0x1p-32, at))
RANDOM(f64_randn, double, 2, normal(1 - uniform53(words), uniform53(words + 2), at))

/* The first of them has row 0. */
static cr__map_fn *const sources[][CR_DTYPES] = {
    [CR__MAP_arange - CR__MAP_arange] = { [CR_F32] = f32_arange,
                                          [CR_F64] = f64_arange,
                                          [CR_I64] = i64_arange,
                                          [CR_I32] = i32_arange,
                                          [CR_U8] = u8_arange,
                                          [CR_BF16] = half_arange,
                                          [CR_F16] = half_arange },
    [CR__MAP_linspace - CR__MAP_arange] = { [CR_F32] = f32_linspace,
                                            [CR_F64] = f64_linspace,
                                            [CR_BF16] = half_linspace,
                                            [CR_F16] = half_linspace },
    [CR__MAP_rand - CR__MAP_arange] = { [CR_F32] = f32_rand,
                                        [CR_F64] = f64_rand,
                                        [CR_BF16] = bf16_rand,
                                        [CR_F16] = f16_rand },
    [CR__MAP_randn - CR__MAP_arange] = { [CR_F32] = f32_randn,
                                         [CR_F64] = f64_randn,
                                         [CR_BF16] = f32_randn,
                                         [CR_F16] = f32_randn },
};

/* ---- finding one ---- */

const cr__map_row cr__map_rows[CR__MAP_CODES] = {
#define MAP(TYPES, FORM, name, ...) \
    [CR__MAP_##name] = { #name, CR__MAPS_##TYPES, CR__FORM_##FORM },
#include "maps.inc"
};

typedef struct tables {
    cr__map_fn *const *of[CR_DTYPES];
} tables;
#define TABLES(SET)                                                                  \
    {                                                                                \
        {                                                                            \
            [CR_F32] = f32_maps##SET, [CR_F64] = f64_maps##SET, [CR_I64] = i64_maps, \
            [CR_I32] = i32_maps, [CR_U8] = u8_maps, [CR_BOOL] = bool_maps,           \
            [CR_BF16] = f32_maps##SET, [CR_F16] = f32_maps##SET,                     \
        }                                                                            \
    }
static const tables sets[CR__ISAS] = { CR__EACH_SET(TABLES) };

cr__map_fn *cr__map_find_for(cr__isa isa, cr__map_code code, cr_dtype in, cr_dtype out)
{
    if (code <= CR__MAP_NONE || code >= CR__MAP_CODES || in >= CR_DTYPES ||
        out >= CR_DTYPES)
        return NULL;
    if (cr__map_rows[code].form == CR__FORM_SOURCE)
        return sources[code - CR__MAP_arange][out];
    if (code == CR__MAP_cast)
        return casts[in][out];
    if (cr__map_rows[code].types == CR__MAPS_RARE)
        return cr__doubles_find_for(isa, code, in);
    /* where moves bits: integers use that of floats of their size */
    if (code == CR__MAP_where && (in == CR_I64 || in == CR_I32))
        in = in == CR_I64 ? CR_F64 : CR_F32;
    cr__map_fn *const *table = sets[isa].of[in];
    return table ? table[code] : NULL;
}

cr__map_fn *cr__map_find(cr__map_code code, cr_dtype in, cr_dtype out)
{
    return cr__map_find_for(cr__isa_in_use(), code, in, out);
}
