/* The maps: f32 and f64 from the template, once for each instruction set; integers,
 * bools, casts and f64's elementary functions as plain loops, once; and the table of them
 * all. */
#include "internal.h"
#include "philox.h"
#include <math.h>
#include <string.h>

/* Kernels of one code: 0, the only one or all operands vary; 1, the first (where: x) is
 * uniform; 2, the second (y) is; 3, both. */
typedef cr__map_fn *forms[4];

/* Sines far out, where reducing the argument is libm's work. Not a template, so that
 * every set gets the same bits. */
static void sincos_far(float *out, const float *x, int n, bool cosine)
{
    for (int i = 0; i < n; i++)
        out[i] = (float)(cosine ? cos((double)x[i]) : sin((double)x[i]));
}

#define CR__ISA 0
#include "vec.h"
#include "map_body.h"
#undef CR__ISA
#ifdef CR__HAVE_X86
#define CR__ISA 1
#include "vec.h"
#include "map_body.h"
#undef CR__ISA
#define CR__ISA 2
#include "vec.h"
#include "map_body.h"
#undef CR__ISA
#endif

/* ---- plain loops ---- */

#define KERNEL(name) static void name(void *dst, const void *const *src, int64_t n)
#define UNARY(name, T, OUT, expression)   \
    KERNEL(name)                          \
    {                                     \
        OUT *out = dst;                   \
        const T *x = src[0];              \
        for (int64_t i = 0; i < n; i++) { \
            T a = x[i];                   \
            out[i] = (OUT)(expression);   \
        }                                 \
    }
#define BINARY_FORM(name, T, OUT, A, B, expression) \
    KERNEL(name)                                    \
    {                                               \
        OUT *out = dst;                             \
        const T *x = src[0], *y = src[1];           \
        const T x0 = *x, y0 = *y;                   \
        (void)x0, (void)y0;                         \
        for (int64_t i = 0; i < n; i++) {           \
            T a = A, b = B;                         \
            out[i] = (OUT)(expression);             \
        }                                           \
    }
#define BINARY(name, T, OUT, expression)                   \
    BINARY_FORM(name##_vv, T, OUT, x[i], y[i], expression) \
    BINARY_FORM(name##_uv, T, OUT, x0, y[i], expression)   \
    BINARY_FORM(name##_vu, T, OUT, x[i], y0, expression)
#define FORM3(name)                     \
    {                                   \
        name##_vv, name##_uv, name##_vu \
    }

/* f64 through libm. */

static double sigmoid(double x)
{
    double e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}

UNARY(f64_exp, double, double, exp(a))
UNARY(f64_expm1, double, double, expm1(a))
UNARY(f64_log, double, double, log(a))
UNARY(f64_log1p, double, double, log1p(a))
UNARY(f64_sin, double, double, sin(a))
UNARY(f64_cos, double, double, cos(a))
UNARY(f64_tanh, double, double, tanh(a))
UNARY(f64_sigmoid, double, double, isnan(a) ? a : sigmoid(a))
UNARY(f64_erf, double, double, erf(a))
BINARY(f64_pow, double, double, pow(a, b))

KERNEL(f64_softplus)
{
    double *out = dst;
    const double *x = src[0], beta = *(const double *)src[1];
    const double threshold = *(const double *)src[2];
    for (int64_t i = 0; i < n; i++) {
        double a = x[i], t = a * beta;
        double y = ((t < 0 ? 0 : t) + log1p(exp(-fabs(t)))) / beta;
        out[i] = t > threshold ? a : y;
    }
}

static const forms f64_libm[CR__MAP_CODES] = {
    [CR__MAP_EXP] = { f64_exp },    [CR__MAP_EXPM1] = { f64_expm1 },
    [CR__MAP_LOG] = { f64_log },    [CR__MAP_LOG1P] = { f64_log1p },
    [CR__MAP_SIN] = { f64_sin },    [CR__MAP_COS] = { f64_cos },
    [CR__MAP_TANH] = { f64_tanh },  [CR__MAP_SIGMOID] = { f64_sigmoid },
    [CR__MAP_ERF] = { f64_erf },    [CR__MAP_SOFTPLUS] = { f64_softplus },
    [CR__MAP_POW] = FORM3(f64_pow),
};

/* Integers: signed arithmetic in the unsigned type U wraps. The conversion back is
 * modular in GCC and Clang. U is never narrower than unsigned int, whose products would
 * be promoted. */
#define INTEGERS(P, T, U)                                 \
    UNARY(P##_copy, T, T, a)                              \
    UNARY(P##_neg, T, T, 0 - (U)a)                        \
    UNARY(P##_abs, T, T, a < (T)1 ? 0 - (U)a : (U)a)      \
    UNARY(P##_sign, T, T, (a > 0) - (a < (T)1 && a != 0)) \
    UNARY(P##_square, T, T, (U)a *(U)a)                   \
    BINARY(P##_add, T, T, (U)a + (U)b)                    \
    BINARY(P##_sub, T, T, (U)a - (U)b)                    \
    BINARY(P##_mul, T, T, (U)a *(U)b)                     \
    ORDER(P, T)

/* What bools have too, as 0 and 1. */
#define ORDER(P, T)                                                               \
    UNARY(P##_relu, T, T, a < (T)1 ? 0 : a)                                       \
    BINARY(P##_maximum, T, T, a > b ? a : b)                                      \
    BINARY(P##_minimum, T, T, a < b ? a : b)                                      \
    BINARY(P##_eq, T, uint8_t, a == b)                                            \
    BINARY(P##_ne, T, uint8_t, a != b)                                            \
    BINARY(P##_lt, T, uint8_t, a < b)                                             \
    BINARY(P##_le, T, uint8_t, a <= b)                                            \
    BINARY(P##_gt, T, uint8_t, a > b)                                             \
    BINARY(P##_ge, T, uint8_t, a >= b)                                            \
    KERNEL(P##_clamp)                                                             \
    {                                                                             \
        T *out = dst;                                                             \
        const T *x = src[0], low = *(const T *)src[1], high = *(const T *)src[2]; \
        for (int64_t i = 0; i < n; i++) {                                         \
            T a = x[i] > low ? x[i] : low;                                        \
            out[i] = a < high ? a : high;                                         \
        }                                                                         \
    }
INTEGERS(i64, int64_t, uint64_t)
INTEGERS(i32, int32_t, uint32_t)
INTEGERS(u8, uint8_t, uint32_t)

#define LOGICAL(P, T)                             \
    UNARY(P##_not, T, uint8_t, a == 0)            \
    BINARY(P##_and, T, uint8_t, a != 0 && b != 0) \
    BINARY(P##_or, T, uint8_t, a != 0 || b != 0)
LOGICAL(f32, float)
LOGICAL(f64, double)
LOGICAL(i64, int64_t)
LOGICAL(i32, int32_t)
LOGICAL(u8, uint8_t)

#define WHERE_FORM(name, T, X, Y)         \
    KERNEL(name)                          \
    {                                     \
        T *out = dst;                     \
        const uint8_t *c = src[0];        \
        const T *x = src[1], *y = src[2]; \
        for (int64_t i = 0; i < n; i++)   \
            out[i] = c[i] ? X : Y;        \
    }
WHERE_FORM(u8_where_vv, uint8_t, x[i], y[i])
WHERE_FORM(u8_where_uv, uint8_t, *x, y[i])
WHERE_FORM(u8_where_vu, uint8_t, x[i], *y)
WHERE_FORM(u8_where_uu, uint8_t, *x, *y)

#define ORDER_TABLE(P)                                                     \
    [CR__MAP_COPY] = { P##_copy }, [CR__MAP_MAXIMUM] = FORM3(P##_maximum), \
    [CR__MAP_MINIMUM] = FORM3(P##_minimum), [CR__MAP_EQ] = FORM3(P##_eq),  \
    [CR__MAP_NE] = FORM3(P##_ne), [CR__MAP_LT] = FORM3(P##_lt),            \
    [CR__MAP_LE] = FORM3(P##_le), [CR__MAP_GT] = FORM3(P##_gt),            \
    [CR__MAP_GE] = FORM3(P##_ge), [CR__MAP_CLAMP] = { P##_clamp },         \
    [CR__MAP_RELU] = { P##_relu }
#define LOGICAL_TABLE(P)                                         \
    [CR__MAP_NOT] = { P##_not }, [CR__MAP_AND] = FORM3(P##_and), \
    [CR__MAP_OR] = FORM3(P##_or)
#define INTEGER_TABLE(P)                                                   \
    ORDER_TABLE(P), LOGICAL_TABLE(P),                                      \
        [CR__MAP_NEG] = { P##_neg }, [CR__MAP_ABS] = { P##_abs },          \
        [CR__MAP_SIGN] = { P##_sign }, [CR__MAP_FLOOR] = { P##_copy },     \
        [CR__MAP_SQUARE] = { P##_square }, [CR__MAP_ADD] = FORM3(P##_add), \
        [CR__MAP_SUB] = FORM3(P##_sub), [CR__MAP_MUL] = FORM3(P##_mul)
#define U8_WHERE [CR__MAP_WHERE] = { u8_where_vv, u8_where_uv, u8_where_vu, u8_where_uu }

static const forms table_i64[CR__MAP_CODES] = { INTEGER_TABLE(i64) };
static const forms table_i32[CR__MAP_CODES] = { INTEGER_TABLE(i32) };
static const forms table_u8[CR__MAP_CODES] = { INTEGER_TABLE(u8), U8_WHERE };
static const forms table_bool[CR__MAP_CODES] = {
    ORDER_TABLE(u8), LOGICAL_TABLE(u8), U8_WHERE, [CR__MAP_MUL] = FORM3(u8_and)
};
static const forms logical_f32[CR__MAP_CODES] = { LOGICAL_TABLE(f32) };
static const forms logical_f64[CR__MAP_CODES] = { LOGICAL_TABLE(f64) };

/* ---- casts ---- */

/* Floats to integers saturate, and NaN becomes 0. HIGH is a power of two, one past the
 * largest. */
#define SATURATED(T, LOW, HIGH, MAX) \
    (isnan(a) ? 0 : a >= HIGH ? MAX : a <= LOW ? (T)LOW : (T)a)
#define FLOAT_CASTS(P, T)                                                           \
    UNARY(P##_to_i64, T, int64_t, SATURATED(int64_t, -0x1p63f, 0x1p63f, INT64_MAX)) \
    UNARY(P##_to_i32, T, int32_t, SATURATED(int32_t, -0x1p31f, 0x1p31f, INT32_MAX)) \
    UNARY(P##_to_u8, T, uint8_t, SATURATED(uint8_t, 0.0f, 256.0f, UINT8_MAX))
#define INTEGER_CASTS(P, T)          \
    UNARY(P##_to_f32, T, float, a)   \
    UNARY(P##_to_f64, T, double, a)  \
    UNARY(P##_to_i64, T, int64_t, a) \
    UNARY(P##_to_i32, T, int32_t, a) \
    UNARY(P##_to_u8, T, uint8_t, a)
#define BOOL_CAST(P, T) UNARY(P##_to_bool, T, uint8_t, a != 0)
FLOAT_CASTS(f32, float)
FLOAT_CASTS(f64, double)
INTEGER_CASTS(i64, int64_t)
INTEGER_CASTS(i32, int32_t)
INTEGER_CASTS(u8, uint8_t)
UNARY(f32_to_f64, float, double, a)
UNARY(f64_to_f32, double, float, a)
UNARY(f32_to_f32, float, float, a)
UNARY(f64_to_f64, double, double, a)
BOOL_CAST(f32, float)
BOOL_CAST(f64, double)
BOOL_CAST(i64, int64_t)
BOOL_CAST(i32, int32_t)
BOOL_CAST(u8, uint8_t)

#define CAST_ROW(P)                                                          \
    {                                                                        \
        [CR_F32] = P##_to_f32, [CR_F64] = P##_to_f64, [CR_I64] = P##_to_i64, \
        [CR_I32] = P##_to_i32, [CR_U8] = P##_to_u8, [CR_BOOL] = P##_to_bool, \
    }
static cr__map_fn *const casts[CR_DTYPES][CR_DTYPES] = {
    [CR_F32] = CAST_ROW(f32), [CR_F64] = CAST_ROW(f64), [CR_I64] = CAST_ROW(i64),
    [CR_I32] = CAST_ROW(i32), [CR_U8] = CAST_ROW(u8),   [CR_BOOL] = CAST_ROW(u8),
};

/* ---- from indices ---- */

#define ARANGE(name, T, U, expression)                                  \
    KERNEL(name)                                                        \
    {                                                                   \
        T *out = dst;                                                   \
        const int64_t first = *(const int64_t *)src[0];                 \
        const cr__arange_params p = *(const cr__arange_params *)src[1]; \
        for (int64_t i = 0; i < n; i++) {                               \
            U at = (U)(first + i);                                      \
            out[i] = (T)(expression);                                   \
        }                                                               \
    }
ARANGE(f32_arange, float, double, p.start + at * p.step)
ARANGE(f64_arange, double, double, p.start + at * p.step)
ARANGE(i64_arange, int64_t, uint64_t, (uint64_t)p.int_start + at * (uint64_t)p.int_step)
ARANGE(i32_arange, int32_t, uint64_t, (uint64_t)p.int_start + at * (uint64_t)p.int_step)
ARANGE(u8_arange, uint8_t, uint64_t, (uint64_t)p.int_start + at * (uint64_t)p.int_step)

#define LINSPACE(name, T)                                                   \
    KERNEL(name)                                                            \
    {                                                                       \
        T *out = dst;                                                       \
        const int64_t first = *(const int64_t *)src[0];                     \
        const cr__linspace_params p = *(const cr__linspace_params *)src[1]; \
        for (int64_t i = 0; i < n; i++) {                                   \
            int64_t at = first + i, left = p.count - 1 - at;                \
            out[i] = (T)(at < p.count / 2 ? p.start + (double)at * p.step   \
                                          : p.end - (double)left * p.step); \
        }                                                                   \
    }
LINSPACE(f32_linspace, float)
LINSPACE(f64_linspace, double)

/* Calls for each element of a random source: i, and words, its block of `per` elements.
 */
#define RANDOM(name, T, PER, expression)                                            \
    KERNEL(name)                                                                    \
    {                                                                               \
        T *out = dst;                                                               \
        const int64_t first = *(const int64_t *)src[0];                             \
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
RANDOM(f64_rand, double, 2, uniform53(words + 2 * at))
RANDOM(f32_randn, float, 4,
       (float)normal(((double)words[at & 2] + 1) * 0x1p-32, words[at | 1] * 0x1p-32, at))
RANDOM(f64_randn, double, 2, normal(1 - uniform53(words), uniform53(words + 2), at))

static cr__map_fn *const from_indices[CR__MAP_CODES][CR_DTYPES] = {
    [CR__MAP_ARANGE] = { [CR_F32] = f32_arange,
                         [CR_F64] = f64_arange,
                         [CR_I64] = i64_arange,
                         [CR_I32] = i32_arange,
                         [CR_U8] = u8_arange },
    [CR__MAP_LINSPACE] = { [CR_F32] = f32_linspace, [CR_F64] = f64_linspace },
    [CR__MAP_RAND] = { [CR_F32] = f32_rand, [CR_F64] = f64_rand },
    [CR__MAP_RANDN] = { [CR_F32] = f32_randn, [CR_F64] = f64_randn },
};

/* ---- finding one ---- */

/* Tables are tried in this order. where moves bits, so integers use that of floats of
 * their size. */
typedef struct tables {
    const forms *of[CR_DTYPES][3];
} tables;
#define TABLES(S)                                                                       \
    {                                                                                   \
        {                                                                               \
            [CR_F32] = { table_f32##S, logical_f32 },                                   \
            [CR_F64] = { table_f64##S, f64_libm, logical_f64 },                         \
            [CR_I64] = { table_i64 }, [CR_I32] = { table_i32 }, [CR_U8] = { table_u8 }, \
            [CR_BOOL] = { table_bool },                                                 \
        }                                                                               \
    }
static const tables sets[CR__ISAS] = {
    TABLES(_generic),
#ifdef CR__HAVE_X86
    TABLES(_avx2),
    TABLES(_avx512),
#endif
};

/* The form's index in a table, or -1. */
static int form_of(cr__map_code code, unsigned uniform)
{
    if (code == CR__MAP_WHERE)
        return uniform & 1 ? -1 : (int)(uniform >> 1 & 3);
    if (code >= CR__MAP_ADD && code <= CR__MAP_OR)
        return (int)(uniform & 3);
    return uniform & 1 ? -1 : 0;
}

cr__map_fn *cr__map_find_for(cr__isa isa, cr__map_code code, cr_dtype in, cr_dtype out,
                             unsigned uniform)
{
    if (code <= CR__MAP_NONE || code >= CR__MAP_CODES || in >= CR_DTYPES ||
        out >= CR_DTYPES)
        return NULL;
    if (code >= CR__MAP_ARANGE)
        return from_indices[code][out];
    int form = form_of(code, uniform);
    if (form < 0)
        return NULL;
    if (code == CR__MAP_CAST)
        return casts[in][out];
    if (code == CR__MAP_WHERE && (in == CR_I64 || in == CR_I32))
        in = in == CR_I64 ? CR_F64 : CR_F32;
    for (int i = 0; i < 3; i++) {
        const forms *table = sets[isa].of[in][i];
        if (table && table[code][form])
            return table[code][form];
    }
    return NULL;
}

cr__map_fn *cr__map_find(cr__map_code code, cr_dtype in, cr_dtype out, unsigned uniform)
{
    return cr__map_find_for(cr__isa_in_use(), code, in, out, uniform);
}
