/* The plain loops of reductions over elements of one type, for reduction.c:
 *     T            the type; FLOATING: whether it is f32 or f64
 *     EXTREME      what argmax and argmin keep it as: of 8 bytes
 *     PLAIN(name)  a name for it */

#if FLOATING

/* to[i] = the term of x[i] and other[i*step], if there is one. */
static void PLAIN(terms)(cr__reduce_code code, void *to, const void *from,
                         const void *other, int64_t step, int64_t n)
{
    const T *x = from, *ys = other;
    T *terms = to;
    switch (code) {
#define DOWN  ((T)CR__DOWN(sizeof(T)))
#define UP    ((T)CR__UP(sizeof(T)))
#define APART (b > y ? b - y : y - b)
#define ALONE_Y
#define VALUE_Y                   const T y = ys[i * step];
#define ARRAY_Y                   const T y = ys[i * step];
#define LOOP(name, OPERAND, term) TERMS(name, OPERAND, term)
#define ONCE(name, OPERAND, term) TERMS(name, OPERAND, term)
#define MEANS(...)
#define PLACES(...)
#define PAIRS(...)
#define TERMS(name, OPERAND, term)         \
    case CR__REDUCE_##name:                \
        for (int64_t i = 0; i < n; i++) {  \
            const T b = x[i];              \
            OPERAND##_Y terms[i] = (term); \
        }                                  \
        break;
#define REDUCTION(name, HOW, RESULT, JOIN, OPERAND, term) HOW(name, OPERAND, term)
#include "reductions.inc"
#undef DOWN
#undef UP
#undef APART
#undef ALONE_Y
#undef VALUE_Y
#undef ARRAY_Y
#undef LOOP
#undef ONCE
#undef TERMS
#undef MEANS
#undef PLACES
#undef PAIRS
    default:
        break;
    }
}

#else

CR__INLINE void PLAIN(add_as)(cr__reduce_code code, int join, int64_t *acc, const T *x,
                              int64_t n)
{
    int64_t a = *acc;
    for (int64_t i = 0; i < n; i++)
        a = integer_join(join, a, integer_term(code, x[i]));
    *acc = a;
}

CR__INLINE void PLAIN(columns_as)(cr__reduce_code code, int join, int64_t *acc,
                                  const T *x, int64_t stride, int64_t width, int64_t n)
{
    for (int64_t r = 0; r < n; r++, x += stride)
        for (int64_t c = 0; c < width; c++)
            acc[c] = integer_join(join, acc[c], integer_term(code, x[c]));
}

#define FLOAT(...)
#define MEAN(...)
#define PLACE(...)
#define PAIR(...)
#define SAME(name, JOIN)                                  WIDE(name, JOIN)
#define TRUTH(name, JOIN)                                 WIDE(name, JOIN)
#define REDUCTION(name, HOW, RESULT, JOIN, OPERAND, term) RESULT(name, JOIN)

static void PLAIN(add)(const cr__reduce_kernel *k, void *acc, const void *x,
                       const void *y, int64_t at, int64_t n)
{
    (void)y, (void)at;
    switch (k->code) {
#define WIDE(name, JOIN)                                          \
    case CR__REDUCE_##name:                                       \
        PLAIN(add_as)(CR__REDUCE_##name, JOIN_##JOIN, acc, x, n); \
        break;
#include "reductions.inc"
#undef WIDE
    default:
        break;
    }
}

#define REDUCTION(name, HOW, RESULT, JOIN, OPERAND, term) RESULT(name, JOIN)
static void PLAIN(columns)(const cr__reduce_kernel *k, void *acc, int64_t pitch,
                           const void *x, int64_t x_stride, const void *y,
                           int64_t y_stride, int64_t width, int64_t at, int64_t n)
{
    (void)pitch, (void)y, (void)y_stride, (void)at;
    switch (k->code) {
#define WIDE(name, JOIN)                                                               \
    case CR__REDUCE_##name:                                                            \
        PLAIN(columns_as)(CR__REDUCE_##name, JOIN_##JOIN, acc, x, x_stride, width, n); \
        break;
#include "reductions.inc"
#undef WIDE
    default:
        break;
    }
}
#undef FLOAT
#undef SAME
#undef TRUTH
#undef MEAN
#undef PLACE
#undef PAIR

/* High and low halves of elements are added apart. */
CR__INLINE void PLAIN(add_halves)(int64_t *high, int64_t *low, const T *x, int64_t step,
                                  int64_t n)
{
    int64_t h = *high;
    uint64_t l = (uint64_t)*low;
    for (int64_t i = 0; i < n; i++) {
        const int64_t b = x[i * step];
        h += b >> 32;
        l += (uint32_t)b;
    }
    *high = h + (int64_t)(l >> 32);
    *low = (int64_t)(l & UINT32_MAX);
}

static void PLAIN(halves_add)(const cr__reduce_kernel *k, void *acc, const void *x,
                              const void *y, int64_t at, int64_t n)
{
    int64_t *parts = acc;
    (void)k, (void)y, (void)at;
    PLAIN(add_halves)(parts, parts + 1, x, 1, n);
}

static void PLAIN(halves_columns)(const cr__reduce_kernel *k, void *acc, int64_t pitch,
                                  const void *x, int64_t x_stride, const void *y,
                                  int64_t y_stride, int64_t width, int64_t at, int64_t n)
{
    int64_t *parts = acc;
    (void)k, (void)y, (void)y_stride, (void)at;
    for (int64_t c = 0; c < width; c++)
        PLAIN(add_halves)
    (parts + c, parts + pitch + c, (const T *)x + c, x_stride, n);
}

#endif

/* ---- places ---- */

/* b instead of a, which came before. */
CR__INLINE bool PLAIN(is_better)(bool least, T b, EXTREME a)
{
#if FLOATING
    if (isnan(b))
        return !isnan(a);
#endif
    return least ? b < a : b > a;
}

/* x[i*step] are elements at, at + 1, .. */
static void PLAIN(look)(bool least, EXTREME *best, int64_t *place, const T *x,
                        int64_t step, int64_t at, int64_t n)
{
    for (int64_t i = 0; i < n; i++, x += step)
        if (*place < 0 || PLAIN(is_better)(least, *x, *best)) {
            *best = *x;
            *place = at + i;
        }
}

CR__INLINE void PLAIN(find_place)(const cr__reduce_kernel *k, EXTREME *best,
                                  int64_t *place, const T *x, int64_t at, int64_t n)
{
    const bool least = k->join_code == JOIN_MIN;
#if FLOATING
    /* The extremum first, in vectors, and where it is only if it is a new one. */
    const cr__reduce_code extremum = least ? CR__REDUCE_amin : CR__REDUCE_amax;
    for (int64_t piece; n >= CR__LANES; x += piece, at += piece, n -= piece) {
        CR__ALIGNED(64) T lanes[CR__LANES];
        piece = n < CR__BLOCK ? n : CR__BLOCK;
        for (int l = 0; l < CR__LANES; l++)
            lanes[l] = least ? (T)INFINITY : -(T)INFINITY;
        k->loops->of[extremum].lines(lanes, x, NULL, piece);
        k->loops->fold[k->join_code](lanes);
        const T b = lanes[0];
        if (*place >= 0 && !PLAIN(is_better)(least, b, *best))
            continue;
        int64_t i = 0;
        while (x[i] != b && !isnan(x[i]))
            i++;
        *best = b;
        *place = at + i;
    }
#endif
    PLAIN(look)(least, best, place, x, 1, at, n);
}

static void PLAIN(place_add)(const cr__reduce_kernel *k, void *acc, const void *x,
                             const void *y, int64_t at, int64_t n)
{
    (void)y;
    PLAIN(find_place)(k, acc, (int64_t *)acc + 1, x, at, n);
}

static void PLAIN(place_rows)(const cr__reduce_kernel *k, void *out, const void *x,
                              const void *y, int64_t rows, int64_t length)
{
    (void)y;
    for (int64_t r = 0; r < rows; r++) {
        EXTREME best = 0;
        int64_t place = -1;
        PLAIN(find_place)(k, &best, &place, (const T *)x + r * length, 0, length);
        ((int64_t *)out)[r] = place;
    }
}

/* Whether none of LOOKED_OVER neighbours takes the place of the best so far, which is there. NaN
 * might. */
static bool PLAIN(none_beyond)(bool least, const EXTREME *best, const T *x)
{
    int beyond = 0;
    if (least)
        for (int i = 0; i < LOOKED_OVER; i++)
            beyond |= !((EXTREME)x[i] >= best[i]);
    else
        for (int i = 0; i < LOOKED_OVER; i++)
            beyond |= !((EXTREME)x[i] <= best[i]);
    return !beyond;
}

static void PLAIN(place_columns)(const cr__reduce_kernel *k, void *acc, int64_t pitch,
                                 const void *x, int64_t x_stride, const void *y,
                                 int64_t y_stride, int64_t width, int64_t at, int64_t n)
{
    EXTREME *best = acc;
    int64_t *place = (int64_t *)acc + pitch;
    const bool least = k->join_code == JOIN_MIN;
    const T *from = x;
    (void)y, (void)y_stride;
    for (int64_t r = 0; r < n; r++, from += x_stride)
        for (int64_t c = 0, some; c < width; c += some) {
            some = width - c < LOOKED_OVER ? width - c : LOOKED_OVER;
            if (r > 0 && some == LOOKED_OVER &&
                PLAIN(none_beyond)(least, best + c, from + c))
                continue;
            for (int64_t i = c; i < c + some; i++)
                PLAIN(look)(least, best + i, place + i, from + i, 1, at + r, 1);
        }
}
