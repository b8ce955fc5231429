/* The reductions of one float type (for_each_float.h) in one instruction set: the LOOP rows of
 * reductions.inc, the ONCE rows if ALL_ROWS is 1, and pairs. The functions are written for all rows and compiled into the
 * kernels of each with `code` and `join` constants, so that no switch is left. */

#define VECTORS (CR__LANES / N)
#define GROUP   (CR__W <= 4 ? 4 : VECTORS < 8 ? VECTORS : 8)
/* Whether it pays to have a row's lanes in registers: not in memory, where they are few lines
 * of code. */
#define IN_REGISTERS (VECTORS <= 4 && sizeof(T) == 4)

/* b comes after a. NaN wins: max(b, a) is a if one is NaN, which is wrong only for NaN b. */
CR__FN VT NAME(both)(int join, VT a, VT b)
{
    VT best;
    if (join == JOIN_PLUS)
        return a + b;
    if (join == JOIN_TIMES)
        return a * b;
    best = join == JOIN_MAX ? F(max)(b, a) : F(min)(b, a);
    return F(sel)(F(ne)(b, b), b, best);
}

/* The same bits. */
CR__FN T NAME(both_elements)(int join, T a, T b)
{
    if (join == JOIN_PLUS)
        return a + b;
    if (join == JOIN_TIMES)
        return a * b;
    return (join == JOIN_MAX ? b > a : b < a) || isnan(b) ? b : a;
}

CR__FN T NAME(identity)(int join)
{
    return join == JOIN_PLUS    ? 0
           : join == JOIN_TIMES ? 1
           : join == JOIN_MAX   ? -(T)INFINITY
                                : (T)INFINITY;
}

#define LOOP_CASE(name, term) \
    case CR__REDUCE_##name:   \
        return term;
#define APART F(max)(b - y, y - b)
#define ONCE_CASE(name, term)
#define TERMS_CASE(name, term)
#define MEANS_CASE(name, term)
#define PLACES_CASE(name, term)
#define PAIRS_CASE(name, term)
#define REDUCTION(name, HOW, RESULT, JOIN, OPERAND, term) HOW##_CASE(name, term)
CR__FN VT NAME(term)(cr__reduce_code code, VT b, VT y)
{
    switch (code) {
#include "reductions.inc"
    default:
        return b;
    }
}

#undef LOOP_CASE
#undef APART
#undef ONCE_CASE
#undef TERMS_CASE
#undef MEANS_CASE
#undef PLACES_CASE
#undef PAIRS_CASE

/* Element i goes to lane i mod CR__LANES. GROUP vectors of lanes stay in registers. */
CR__FN void NAME(add_lines)(cr__reduce_code code, int join, cr__reduce_operand operand,
                            T *lanes, const T *x, const T *y, int64_t n)
{
    const VT value = operand == CR__REDUCES_VALUE ? F(fill)(y) : F(set)(0);
    const int64_t lines = n / CR__LANES * CR__LANES;
#define Y(at)    (operand == CR__REDUCES_ARRAY ? F(load)(y + (at)) : value)
#define TERM(at) NAME(term)(code, F(load)(x + (at)), Y(at))
    for (int64_t from = 0; lines && from < CR__LANES; from += GROUP * N) {
        VT acc[GROUP];
#pragma GCC unroll 16
        for (int v = 0; v < GROUP; v++)
            acc[v] = F(load)(lanes + from + v * N);
        for (int64_t i = from; i < lines; i += CR__LANES) {
#pragma GCC unroll 16
            for (int v = 0; v < GROUP; v++)
                acc[v] = NAME(both)(join, acc[v], TERM(i + v * N));
        }
#pragma GCC unroll 16
        for (int v = 0; v < GROUP; v++)
            F(store)(lanes + from + v * N, acc[v]);
    }
#undef Y
#define MASK  F(first)(n - i < N ? n - i : N)
#define Y(at) (operand == CR__REDUCES_ARRAY ? F(load_part)(y + (at), MASK) : value)
    for (int64_t i = lines; i < n; i += N, lanes += N) {
        VT a = F(load)(lanes);
        VT b = NAME(term)(code, F(load_part)(x + i, MASK), Y(i));
        F(store)(lanes, F(sel)(MASK, NAME(both)(join, a, b), a));
    }
#undef MASK
#undef Y
#undef TERM
}

/* A row whose lanes are few enough vectors to stay in registers, folded to one. */
CR__FN VT NAME(row)(cr__reduce_code code, int join, cr__reduce_operand operand,
                    const T *x, const T *y, int64_t n)
{
    const VT value = operand == CR__REDUCES_VALUE ? F(fill)(y) : F(set)(0);
    const VT identity = F(set)(NAME(identity)(join));
    VT acc[VECTORS];
    int64_t i = 0;
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++)
        acc[v] = identity;
#define Y(at) (operand == CR__REDUCES_ARRAY ? F(load)(y + (at)) : value)
    for (; i + CR__LANES <= n; i += CR__LANES) {
#pragma GCC unroll 16
        for (int v = 0; v < VECTORS; v++) {
            VT b = NAME(term)(code, F(load)(x + i + v * N), Y(i + v * N));
            acc[v] = NAME(both)(join, acc[v], b);
        }
    }
#undef Y
#define MASK  F(first)(left < N ? left : N)
#define Y(at) (operand == CR__REDUCES_ARRAY ? F(load_part)(y + (at), MASK) : value)
#pragma GCC unroll 16
    for (int v = 0; v < VECTORS; v++) {
        const int64_t at = i + v * N, left = n - at;
        if (left > 0) {
            VT b = NAME(term)(code, F(load_part)(x + at, MASK), Y(at));
            acc[v] = F(sel)(MASK, NAME(both)(join, acc[v], b), acc[v]);
        }
    }
#undef MASK
#undef Y
#pragma GCC unroll 8
    for (int half = VECTORS / 2; half >= 1; half /= 2) {
#pragma GCC unroll 8
        for (int v = 0; v < half; v++)
            acc[v] = NAME(both)(join, acc[v], acc[v + half]);
    }
    return acc[0];
}

/* The lanes folded to one vector, and that to its first lane. */
CR__FN VT NAME(halve)(int join, T *lanes)
{
#pragma GCC unroll 8
    for (int width = CR__LANES / 2; width >= N; width /= 2)
        for (int i = 0; i < width; i += N) {
            VT a = F(load)(lanes + i), b = F(load)(lanes + i + width);
            F(store)(lanes + i, NAME(both)(join, a, b));
        }
    return F(load)(lanes);
}
CR__FN T NAME(fold_vector)(int join, VT v)
{
#pragma GCC unroll 8
    for (int width = N / 2; width >= 1; width /= 2)
        v = NAME(both)(join, v, F(down)(v, width));
    return v[0];
}
/* Of up to four rows. */
CR__FN void NAME(fold_rows)(int join, const VT *halved, T *out, int64_t rows)
{
    if (join == JOIN_PLUS && rows == 4) {
        F(fold4)(halved, out);
        return;
    }
    for (int64_t r = 0; r < rows; r++)
        out[r] = NAME(fold_vector)(join, halved[r]);
}
#define FOLD(JOIN)                                                                 \
    CR__CALL void NAME(fold_rows_##JOIN)(const VT *halved, T *out, int64_t rows)   \
    {                                                                              \
        NAME(fold_rows)(JOIN_##JOIN, halved, out, rows);                           \
    }                                                                              \
    CR__T static void NAME(fold_##JOIN)(void *acc)                                 \
    {                                                                              \
        *(T *)acc = NAME(fold_vector)(JOIN_##JOIN, NAME(halve)(JOIN_##JOIN, acc)); \
    }
FOLD(PLUS)
FOLD(MAX)
FOLD(MIN)
#if ALL_ROWS
FOLD(TIMES)
#endif
#undef FOLD

/* Of sums four rows are added in one pass over the accumulators. */
CR__FN void NAME(columns)(cr__reduce_code code, int join, cr__reduce_operand operand,
                          T *acc, const T *x, int64_t stride, const T *y,
                          int64_t y_stride, int64_t width, int64_t n)
{
#define OTHER(LOAD, r) (operand != CR__REDUCES_ALONE ? LOAD(y + (r)*y_stride + c) : zero)
#define ADD(LOAD, r) \
    a = NAME(both)(join, a, NAME(term)(code, LOAD(x + (r)*stride + c), OTHER(LOAD, r)))
#define LEFT    F(first)(width - c < N ? width - c : N)
#define PART(p) F(load_part)(p, LEFT)
    const VT zero = F(set)(0);
    for (int64_t rows; n > 0; n -= rows, x += rows * stride) {
        const int64_t ahead = n < 8 ? 0 : 4 * stride;
        int64_t c = 0;
        VT a;
        rows = code != CR__REDUCE_sum || n < 4 ? 1 : 4;
        for (; rows == 4 && c + N <= width; c += N) {
            a = F(load)(acc + c);
            ADD(F(load), 0);
            ADD(F(load), 1);
            ADD(F(load), 2);
            ADD(F(load), 3);
            /* the next four, into the L2 cache: the processor does not follow all of them */
            __builtin_prefetch(x + ahead + c, 0, 2);
            __builtin_prefetch(x + ahead + stride + c, 0, 2);
            __builtin_prefetch(x + ahead + 2 * stride + c, 0, 2);
            __builtin_prefetch(x + ahead + 3 * stride + c, 0, 2);
            F(store)(acc + c, a);
        }
        for (; c + N <= width; c += N) {
            a = F(load)(acc + c);
            ADD(F(load), 0);
            F(store)(acc + c, a);
        }
        if (c < width) {
            a = PART(acc + c);
            for (int64_t r = 0; r < rows; r++)
                ADD(PART, r);
            F(store_part)(acc + c, LEFT, a);
        }
        if (operand != CR__REDUCES_ALONE)
            y += rows * y_stride;
    }
#undef OTHER
#undef ADD
#undef LEFT
#undef PART
}

CR__FN void NAME(join_all)(int join, T *out, const T *a, const T *b, int64_t n)
{
    int64_t i = 0;
    for (; i + N <= n; i += N)
        F(store)(out + i, NAME(both)(join, F(load)(a + i), F(load)(b + i)));
    for (; i < n; i++)
        out[i] = NAME(both_elements)(join, a[i], b[i]);
}

CR__T static void NAME(join)(const cr__reduce_kernel *k, void *out, const void *a,
                             const void *b, int64_t n, int64_t pitch)
{
    (void)pitch;
    switch (k->join_code) {
    case JOIN_PLUS:
        NAME(join_all)(JOIN_PLUS, out, a, b, n);
        break;
#if ALL_ROWS
    case JOIN_TIMES:
        NAME(join_all)(JOIN_TIMES, out, a, b, n);
        break;
#endif
    case JOIN_MAX:
        NAME(join_all)(JOIN_MAX, out, a, b, n);
        break;
    default:
        NAME(join_all)(JOIN_MIN, out, a, b, n);
    }
}

/* ---- the kernels of a row ---- */

CR__T static void NAME(fill)(void *parts, const void *identity, int64_t n)
{
    const VT x = F(fill)(identity);
    for (int64_t i = 0; i < n; i += N)
        F(store)((T *)parts + i, x);
}

/* Rows whose lanes lie in memory, by the row's own `lines`. */
CR__T static void NAME(rows)(const cr__reduce_kernel *k, void *out, const void *x,
                             const void *y, int64_t rows, int64_t length)
{
    const int64_t step =
        k->operand == CR__REDUCES_ARRAY ? length : k->operand == CR__REDUCES_VALUE;
    void (*const lines)(void *, const void *, const void *, int64_t) =
        k->loops->of[k->code].lines;
    void (*const fold)(void *) = k->loops->fold[k->join_code];
    const VT identity = F(fill)((const T *)(const void *)k->identity);
    const T *from = x, *other = y;
    CR__ALIGNED(64) T lanes[CR__LANES];
    for (int64_t r = 0; r < rows; r++) {
        for (int l = 0; l < CR__LANES; l += N)
            F(store)(lanes + l, identity);
        lines(lanes, from + r * length, step ? other + r * step : y, length);
        fold(lanes);
        ((T *)out)[r] = lanes[0];
    }
}

#define LOOP_FUNCTIONS(name, JOIN, OPERAND)                                              \
    CR__T static void NAME(name##_lines)(void *lanes, const void *x, const void *y,      \
                                         int64_t n)                                      \
    {                                                                                    \
        NAME(add_lines)                                                                  \
        (CR__REDUCE_##name, JOIN_##JOIN, CR__REDUCES_##OPERAND, lanes, x, y, n);         \
    }                                                                                    \
    CR__T static void NAME(name##_columns)(                                              \
        const cr__reduce_kernel *k, void *acc, int64_t pitch, const void *x,             \
        int64_t x_stride, const void *y, int64_t y_stride, int64_t width, int64_t at,    \
        int64_t n)                                                                       \
    {                                                                                    \
        (void)k, (void)pitch, (void)at;                                                  \
        NAME(columns)                                                                    \
        (CR__REDUCE_##name, JOIN_##JOIN, CR__REDUCES_##OPERAND, acc, x, x_stride, y,     \
         y_stride, width, n);                                                            \
    }                                                                                    \
    CR__T static void NAME(name##_rows)(const cr__reduce_kernel *k, void *out,           \
                                        const void *x, const void *y, int64_t rows,      \
                                        int64_t length)                                  \
    {                                                                                    \
        const cr__reduce_operand operand = CR__REDUCES_##OPERAND;                        \
        const T *from = x, *other = y;                                                   \
        VT halved[4];                                                                    \
        (void)k;                                                                         \
        for (int64_t r = 0; r < rows; r++, from += length) {                             \
            halved[r % 4] =                                                              \
                NAME(row)(CR__REDUCE_##name, JOIN_##JOIN, operand, from, other, length); \
            if (operand != CR__REDUCES_ALONE)                                            \
                other += operand == CR__REDUCES_ARRAY ? length : 1;                      \
            if (r % 4 == 3 || r == rows - 1)                                             \
                NAME(fold_rows_##JOIN)(halved, (T *)out + r / 4 * 4, r % 4 + 1);         \
        }                                                                                \
    }
#if ALL_ROWS
#define ONCE_FUNCTIONS(name, JOIN, OPERAND) LOOP_FUNCTIONS(name, JOIN, OPERAND)
#else
#define ONCE_FUNCTIONS(...)
#endif
#define TERMS_FUNCTIONS(...)
#define MEANS_FUNCTIONS(...)
#define PLACES_FUNCTIONS(...)
#define PAIRS_FUNCTIONS(...)
#define REDUCTION(name, HOW, RESULT, JOIN, OPERAND, term) \
    HOW##_FUNCTIONS(name, JOIN, OPERAND)
#include "reductions.inc"

/* ---- pairs ---- */

/* Joins to the accumulators (m, s), `width` of them, those of `lines` lines (xm, xs), the
 * one after the other, stride apart; xs is 1 if it is NULL. lines * width, rounded up to whole
 * vectors, are at most PIECE. */
CR__T static void NAME(join_pairs)(void *all_m, void *all_s, const void *all_xm,
                                   const void *all_xs, int64_t stride, int64_t width,
                                   int64_t lines)
{
    T *m = all_m, *s = all_s;
    const T *xm = all_xm, *xs = all_xs;
    CR__ALIGNED(64) T e[PIECE];
    const int64_t pitch = (width + N - 1) / N * N;
    const VT none = F(set)(-(T)INFINITY), zero = F(set)(0), one = F(set)(1);
#define LEFT         F(first)(width - c < N ? width - c : N)
#define PART(p)      F(load_part)(p, LEFT)
#define HIGHER(a, b) NAME(both)(JOIN_MAX, a, b)
    for (int64_t c = 0; c < width; c += N) {
        VT a = PART(m + c);
        for (int64_t l = 0; l < lines; l++) {
            VT b = PART(xm + l * stride + c), high = HIGHER(a, b), low = F(min)(a, b);
            VT d = F(sel)(F(eq)(low, high), zero, low - high);
            F(store)(e + l * pitch + c, F(sel)(F(eq)(high, none), none, d));
            a = high;
        }
    }
    exponentials(e, sizeof(T), lines * pitch);
    for (int64_t c = 0; c < width; c += N) {
        VT a = PART(m + c), sum = PART(s + c);
        for (int64_t l = 0; l < lines; l++) {
            VT b = PART(xm + l * stride + c), by = F(load)(e + l * pitch + c);
            VT other = xs ? PART(xs + l * stride + c) : one;
            sum = F(sel)(F(lt)(a, b), sum * by + other, sum + other * by);
            a = HIGHER(a, b);
        }
        F(store_part)(m + c, LEFT, a);
        F(store_part)(s + c, LEFT, sum);
    }
#undef LEFT
#undef PART
#undef HIGHER
}

static const cr__reduce_loops NAME(loops) = {
#define LOOP_ROW(name)                                                \
    [CR__REDUCE_##name] = { NAME(name##_lines), NAME(name##_columns), \
                            IN_REGISTERS ? NAME(name##_rows) : NAME(rows) },
#if ALL_ROWS
#define ONCE_ROW(name) LOOP_ROW(name)
#else
#define ONCE_ROW(name)
#endif
#define TERMS_ROW(name)
#define MEANS_ROW(name)
#define PLACES_ROW(name)
#define PAIRS_ROW(name)
#define REDUCTION(name, HOW, ...) HOW##_ROW(name)
    {
#include "reductions.inc"
    },
    NAME(join),
    NAME(fill),
    {
        [JOIN_PLUS] = NAME(fold_PLUS),
        [JOIN_MAX] = NAME(fold_MAX),
        [JOIN_MIN] = NAME(fold_MIN),
#if ALL_ROWS
        [JOIN_TIMES] = NAME(fold_TIMES),
#endif
    },
    NAME(join_pairs)
};
#undef LOOP_ROW
#undef ONCE_ROW
#undef TERMS_ROW
#undef MEANS_ROW
#undef PLACES_ROW
#undef PAIRS_ROW
#undef LOOP_FUNCTIONS
#undef ONCE_FUNCTIONS
#undef TERMS_FUNCTIONS
#undef MEANS_FUNCTIONS
#undef PLACES_FUNCTIONS
#undef PAIRS_FUNCTIONS
#undef VECTORS
#undef GROUP
#undef IN_REGISTERS
