/* The maps: the rows of maps.inc, f32 and f64 from the template, once for each instruction
 * set; integers and bools as plain loops, once; casts and what is made from indices; and the
 * tables of them all. What is computed in f64 is in doubles.c. */
#include "doubles.h"
#include "philox.h"
#include "rows.h"
#include <math.h>
#include <string.h>

/* A row's entry in a table; NAME(name) is what its kernel is called. */
#define ENTRY(NAME, name) [CR__MAP_##name] = NAME(name)

static void elementary(cr__map_code code, double *x, int n)
{
    const void *src[1] = { x };
    cr__map_find(code, CR_F64, CR_F64)(x, src, (const int64_t[]){ 1 }, n);
}

/* Sines far out are those of f64, rounded; the other lanes are not asked for. */
static void sincos_far(float *out, const float *x, int n, bool cosine)
{
    double wide[CR__PAD];
    for (int i = 0; i < n; i++)
        wide[i] = (double)x[i];
    elementary(cosine ? CR__MAP_cos : CR__MAP_sin, wide, n);
    for (int i = 0; i < n; i++)
        out[i] = (float)wide[i];
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
#define LOOPS_ELEMENTARY(FORM, name, floats, doubles)
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

/* Two words, one behind the other in memory, as 64 bits. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define CR__PAIRED(first, second) ((first) << 32 | ((second)&UINT32_MAX))
#else
#define CR__PAIRED(first, second) ((second) << 32 | ((first)&UINT32_MAX))
#endif
#define CR__TEMPLATE "philox_body.h"
#include "for_each_set.h"
#define PHILOX_BLOCKS(S) philox_blocks##S
static void (*const philox_blocks[CR__ISAS])(uint32_t *, uint64_t, int64_t,
                                             const cr__random_params *) = {
    CR__EACH_SET(PHILOX_BLOCKS)
};

/* Elements whose words are made at once, and their words: blocks of PER elements. */
#define DRAWN        128
#define DRAWN_BLOCKS (DRAWN / 2 + 1)

/* The words of n elements from the first on, and of all of its block. */
static void draw_words(uint32_t *words, const void *params, int64_t first, int64_t n,
                       int per)
{
    const int64_t block = first / per;
    philox_blocks[cr__isa_in_use()](words, (uint64_t)block,
                                    (first + n - 1) / per - block + 1, params);
}

/* Elements of a random source: w is at the words of one, of which it has 4 / PER. */
#define RANDOM(name, T, PER, expression)                                         \
    LOOP_KERNEL(name)                                                            \
    {                                                                            \
        T *out = dst;                                                            \
        uint32_t words[4 * DRAWN_BLOCKS];                                        \
        (void)step;                                                              \
        for (int64_t first = *(const int64_t *)src[0], some; n > 0; n -= some) { \
            some = n < DRAWN ? n : DRAWN;                                        \
            draw_words(words, src[1], first, some, PER);                         \
            const uint32_t *w = words + first % PER * (4 / PER);                 \
            for (int64_t i = 0; i < some; i++, w += 4 / PER)                     \
                *out++ = expression;                                             \
            first += some;                                                       \
        }                                                                        \
    }

RANDOM(f32_rand, float, 4, (float)(int32_t)(*w >> 8) * 0x1p-24f)
/* Those of f32 rounded down, so that they stay below 1. */
RANDOM(bf16_rand, float, 4, (float)(int32_t)(*w >> 24) * 0x1p-8f)
RANDOM(f16_rand, float, 4, (float)(int32_t)(*w >> 21) * 0x1p-11f)
RANDOM(f64_rand, double, 2, cr__uniform53(w))

/* Box and Muller (1958), of pairs u in (0, 1] and v in [0, 1): the first of a pair has the cosine,
 * the second one the sine. */
static void normals(double *out, int odd, int n, double *u, double *v)
{
    const int pairs = (odd + n + 1) / 2;
    double sine[DRAWN_BLOCKS];
    for (int i = 0; i < pairs; i++)
        sine[i] = v[i] *= 6.283185307179586;
    elementary(CR__MAP_cos, v, pairs);
    elementary(CR__MAP_sin, sine, pairs);
    elementary(CR__MAP_log, u, pairs);
    for (int i = 0; i < pairs; i++)
        u[i] *= -2;
    elementary(CR__MAP_sqrt, u, pairs);
    for (int i = odd; i < odd + n; i++)
        *out++ = u[i / 2] * (i & 1 ? sine[i / 2] : v[i / 2]);
}

/* Of uniform numbers U and V, of WORDS words of a pair. */
#define NORMAL(name, T, WORDS, U, V)                                             \
    LOOP_KERNEL(name)                                                            \
    {                                                                            \
        T *out = dst;                                                            \
        uint32_t words[4 * DRAWN_BLOCKS];                                        \
        double u[DRAWN_BLOCKS], v[DRAWN_BLOCKS], all[DRAWN];                     \
        (void)step;                                                              \
        for (int64_t first = *(const int64_t *)src[0], some; n > 0; n -= some) { \
            some = n < DRAWN ? n : DRAWN;                                        \
            draw_words(words, src[1], first, some, 8 / WORDS);                   \
            const uint32_t *w = words + first % (8 / WORDS) / 2 * WORDS;         \
            const int odd = (int)(first & 1), pairs = (odd + (int)some + 1) / 2; \
            for (int i = 0; i < pairs; i++, w += WORDS)                          \
                u[i] = U, v[i] = V;                                              \
            normals(all, odd, (int)some, u, v);                                  \
            for (int64_t i = 0; i < some; i++)                                   \
                *out++ = (T)all[i];                                              \
            first += some;                                                       \
        }                                                                        \
    }
NORMAL(f32_randn, float, 2, ((double)w[0] + 1) * 0x1p-32, w[1] * 0x1p-32)
NORMAL(f64_randn, double, 4, 1 - cr__uniform53(w), cr__uniform53(w + 2))

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
    if (cr__map_rows[code].types == CR__MAPS_RARE ||
        (cr__map_rows[code].types == CR__MAPS_ELEMENTARY && in == CR_F64))
        return cr__doubles_find_for(isa, code, in);
    /* where moves bits: integers use that of floats of their size */
    if (code == CR__MAP_where && (in == CR_I64 || in == CR_I32))
        in = in == CR_I64 ? CR_F64 : CR_F32;
    cr__map_fn *const *table = sets[isa].of[in];
    return table ? table[code] : NULL;
}

double cr__map_cost(cr__map_code code, cr_dtype in)
{
    /* of 4 bytes or fewer; of 8; and how often more in the generic set: AVX-512 on a Zen 4 */
    static const float costs[][3] = {
        [CR__MAPS_FLOATS] = { 0.07f, 0.2f, 5 },
        [CR__MAPS_ELEMENTARY] = { 0.5f, 2.5f, 30 },
        [CR__MAPS_RARE] = { 4, 4, 30 },
        [CR__MAPS_NUMBERS] = { 0.05f, 0.09f, 5 },
        [CR__MAPS_ORDERED] = { 0.05f, 0.09f, 5 },
        [CR__MAPS_COMPARED] = { 0.06f, 0.1f, 5 },
        [CR__MAPS_LOGICAL] = { 0.9f, 0.9f, 1 },
        [CR__MAPS_LOOPED] = { 4, 4, 1 },
        [CR__MAPS_ALONE] = { 0.2f, 0.3f, 1 },
    };
    const bool wide = in == CR_F64 || in == CR_I64;
    const float *row = costs[cr__map_rows[code].types];
    if (cr__map_rows[code].form == CR__FORM_SOURCE)
        return code == CR__MAP_randn ? 15 : 2;
    return (double)(row[wide] * (cr__isa_in_use() == CR__GENERIC ? row[2] : 1));
}

#define JOIN_TABLE(SET) joins##SET
cr__map_fn *cr__join_find_for(cr__isa isa, cr__join join)
{
    static cr__map_fn *const *const tables_of[CR__ISAS] = { CR__EACH_SET(JOIN_TABLE) };
    return tables_of[isa][join];
}

cr__map_fn *cr__join_find(cr__join join)
{
    return cr__join_find_for(cr__isa_in_use(), join);
}

#define TWIN_TABLE(SET) twins##SET
cr__map_fn *cr__twin_find_for(cr__isa isa, cr__twin twin)
{
    static cr__map_fn *const *const tables_of[CR__ISAS] = { CR__EACH_SET(TWIN_TABLE) };
    return tables_of[isa][twin];
}

cr__map_fn *cr__twin_find(cr__twin twin)
{
    return cr__twin_find_for(cr__isa_in_use(), twin);
}

#define STEP_TABLE(SET) steps##SET
cr__step_fn *cr__step_find_for(cr__isa isa)
{
    static cr__step_fn *const *const tables_of[CR__ISAS] = { CR__EACH_SET(STEP_TABLE) };
    return tables_of[isa][0];
}

cr__step_fn *cr__step_find(void)
{
    return cr__step_find_for(cr__isa_in_use());
}

double cr__map_of(cr__map_code code, double x)
{
    elementary(code, &x, 1);
    return x;
}

cr__map_fn *cr__map_find(cr__map_code code, cr_dtype in, cr_dtype out)
{
    return cr__map_find_for(cr__isa_in_use(), code, in, out);
}

#define ATTEND(P, SET)                                                            \
    {                                                                             \
        P##_attend_weights##SET, P##_attend_add_exp##SET, P##_attend_divide##SET, \
            P##_attend_exp##SET, P##_attend_slopes##SET                           \
    }
#define ATTENDS(SET)                       \
    {                                      \
        ATTEND(f32, SET), ATTEND(f64, SET) \
    }
static const cr__attend attends[CR__ISAS][2] = { CR__EACH_SET(ATTENDS) };

cr__attend cr__attend_find(cr_dtype dtype)
{
    return attends[cr__isa_in_use()][dtype == CR_F64];
}
