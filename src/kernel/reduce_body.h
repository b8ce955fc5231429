/* The reductions of one float type (for_each_float.h) in one instruction set: the rows of
 * reductions.inc. The functions are written for all of them and compiled into the kernels of
 * each with `code` a constant, so that no switch is left. */

#define VECTORS   (CR__LANES / N)
#define LEAST     (-(T)INFINITY)
#define MOST      ((T)INFINITY)
#define U(a)      (a)
#define IS_NAN(a) isnan(a)
#define DOWN      ((T)CR__DOWN(sizeof(T)))
#define UP        ((T)CR__UP(sizeof(T)))

CR__FN T NAME(identity)(cr__reduce_code code)
{
    static const T identities[] = {
#define REDUCTION(name, result, identity, term, vectors, elements) identity,
#include "reductions.inc"
    };
    return identities[code];
}

#define REDUCTION(name, result, identity, term, vectors, elements) \
    case CR__REDUCE_##name:                                        \
        return term;
CR__FN VT NAME(term)(cr__reduce_code code, VT b)
{
    switch (code) {
#include "reductions.inc"
    default:
        return b;
    }
}

#define REDUCTION(name, result, identity, term, vectors, elements) \
    case CR__REDUCE_##name:                                        \
        return term;
CR__FN T NAME(term_element)(cr__reduce_code code, T b)
{
    switch (code) {
#include "reductions.inc"
    default:
        return b;
    }
}

/* b comes after a. */
CR__FN VT NAME(both)(cr__reduce_code code, VT a, VT b)
{
    switch (code) {
#define REDUCTION(name, result, identity, term, vectors, elements) \
    case CR__REDUCE_##name:                                        \
        return vectors;
#include "reductions.inc"
    default:
        return a;
    }
}

/* The same bits. */
CR__FN T NAME(both_elements)(cr__reduce_code code, T a, T b)
{
    switch (code) {
#define REDUCTION(name, result, identity, term, vectors, elements) \
    case CR__REDUCE_##name:                                        \
        return elements;
#include "reductions.inc"
    default:
        return a;
    }
}

CR__FN void NAME(begin)(cr__reduce_code code, T *lanes)
{
    for (int i = 0; i < CR__LANES; i += N)
        F(store)(lanes + i, F(set)(NAME(identity)(code)));
}

/* Whole lines of lanes stay in registers; what is left is added in memory. */
CR__FN void NAME(add)(cr__reduce_code code, T *lanes, const T *x, int64_t n)
{
    VT acc[VECTORS];
    int64_t i = 0;
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++)
        acc[v] = F(load)(lanes + v * N);
    for (; i + CR__LANES <= n; i += CR__LANES) {
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; v++)
            acc[v] = NAME(both)(code, acc[v], NAME(term)(code, F(load)(x + i + v * N)));
    }
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++) {
        if (i + (v + 1) * N <= n)
            acc[v] = NAME(both)(code, acc[v], NAME(term)(code, F(load)(x + i + v * N)));
        F(store)(lanes + v * N, acc[v]);
    }
    for (int64_t j = n / N * N; j < n; j++)
        lanes[j - i] =
            NAME(both_elements)(code, lanes[j - i], NAME(term_element)(code, x[j]));
}

CR__FN T NAME(fold)(cr__reduce_code code, T *lanes)
{
    int width = CR__LANES / 2;
#pragma GCC unroll 8
    for (; width >= N; width /= 2) {
#pragma GCC unroll 16
        for (int i = 0; i < width; i += N)
            F(store)
        (lanes + i, NAME(both)(code, F(load)(lanes + i), F(load)(lanes + i + width)));
    }
#pragma GCC unroll 8
    for (; width >= 1; width /= 2) {
#pragma GCC unroll 8
        for (int i = 0; i < width; i++)
            lanes[i] = NAME(both_elements)(code, lanes[i], lanes[i + width]);
    }
    return lanes[0];
}

CR__FN void NAME(rows)(cr__reduce_code code, T *out, const T *x, int64_t rows,
                       int64_t len)
{
    CR__ALIGNED(64) T lanes[CR__LANES];
    for (int64_t r = 0; r < rows; r++) {
        NAME(begin)(code, lanes);
        NAME(add)(code, lanes, x + r * len, len);
        out[r] = NAME(fold)(code, lanes);
    }
}

CR__FN void NAME(columns_begin)(cr__reduce_code code, T *acc, int64_t width)
{
    for (int l = 0; l < CR__LANES; l++)
        for (int64_t c = 0; c < width; c += N)
            F(store)(acc + l * COLUMNS + c, F(set)(NAME(identity)(code)));
}

CR__FN void NAME(columns)(cr__reduce_code code, T *acc, const T *x, int64_t stride,
                          int64_t width, int lane, int64_t count)
{
    for (int64_t r = 0; r < count; r++, x += stride) {
        T *a = acc + ((lane + r) % CR__LANES) * COLUMNS;
        int64_t c = 0, ahead = r + AHEAD < count ? AHEAD * stride : 0;
        for (; c + N <= width; c += N) {
            __builtin_prefetch(x + ahead + c);
            F(store)
            (a + c, NAME(both)(code, F(load)(a + c), NAME(term)(code, F(load)(x + c))));
        }
        for (; c < width; c++)
            a[c] = NAME(both_elements)(code, a[c], NAME(term_element)(code, x[c]));
    }
}

CR__FN void NAME(columns_join)(cr__reduce_code code, T *out, const T *x, const T *y,
                               int64_t width)
{
    int64_t c = 0;
    for (; c + N <= width; c += N)
        F(store)(out + c, NAME(both)(code, F(load)(x + c), F(load)(y + c)));
    for (; c < width; c++)
        out[c] = NAME(both_elements)(code, x[c], y[c]);
}

/* ---- the kernels of a row ---- */

#define REDUCTION(name, ...)                                                             \
    CR__T static void NAME(name##_begin)(void *lanes)                                    \
    {                                                                                    \
        NAME(begin)(CR__REDUCE_##name, lanes);                                           \
    }                                                                                    \
    CR__T static void NAME(name##_add)(void *lanes, const void *x, int64_t n)            \
    {                                                                                    \
        NAME(add)(CR__REDUCE_##name, lanes, x, n);                                       \
    }                                                                                    \
    CR__T static void NAME(name##_end)(const void *lanes, void *out)                     \
    {                                                                                    \
        CR__ALIGNED(64) T copy[CR__LANES];                                               \
        memcpy(copy, lanes, sizeof copy);                                                \
        *(T *)out = NAME(fold)(CR__REDUCE_##name, copy);                                 \
    }                                                                                    \
    CR__T static void NAME(name##_join)(void *out, const void *a, const void *b)         \
    {                                                                                    \
        *(T *)out =                                                                      \
            NAME(both_elements)(CR__REDUCE_##name, *(const T *)a, *(const T *)b);        \
    }                                                                                    \
    CR__T static void NAME(name##_rows)(void *out, const void *x, int64_t rows,          \
                                        int64_t len)                                     \
    {                                                                                    \
        NAME(rows)(CR__REDUCE_##name, out, x, rows, len);                                \
    }                                                                                    \
    CR__T static void NAME(name##_columns_begin)(void *acc, int64_t width)               \
    {                                                                                    \
        NAME(columns_begin)(CR__REDUCE_##name, acc, width);                              \
    }                                                                                    \
    CR__T static void NAME(name##_columns)(void *acc, const void *x, int64_t stride,     \
                                           int64_t width, int lane, int64_t count)       \
    {                                                                                    \
        NAME(columns)(CR__REDUCE_##name, acc, x, stride, width, lane, count);            \
    }                                                                                    \
    CR__T static void NAME(name##_columns_join)(void *out, const void *x, const void *y, \
                                                int64_t width)                           \
    {                                                                                    \
        NAME(columns_join)(CR__REDUCE_##name, out, x, y, width);                         \
    }                                                                                    \
    CR__T static void NAME(name##_columns_end)(void *acc, void *out, int64_t width)      \
    {                                                                                    \
        T *a = acc;                                                                      \
        for (int half = CR__LANES / 2; half >= 1; half /= 2) {                           \
            for (int l = 0; l < half; l++) {                                             \
                T *at = a + l * COLUMNS;                                                 \
                NAME(name##_columns_join)(at, at, at + half * COLUMNS, width);           \
            }                                                                            \
        }                                                                                \
        memcpy(out, a, (size_t)width * sizeof(T));                                       \
    }                                                                                    \
    static const reduction NAME(name##_kernel) = KERNEL_OF(NAME, name, T);
#include "reductions.inc"

#undef LEAST
#undef MOST
#undef U
#undef IS_NAN
#undef DOWN
#undef UP
