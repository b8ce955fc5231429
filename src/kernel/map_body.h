/* The maps of one float type (for_each_float.h) in one instruction set: the rows of maps.inc as
 * loops over vectors, of which the last may be a part. */

#define KERNEL(name)                                                                     \
    CR__T static void NAME(name)(void *dst, const void *const *src, const int64_t *step, \
                                 int64_t n)

/* ---- what rows of both float types call ---- */

/* sqrt(a^2 + b^2), at most 2 ulp wrong: the quotient is at most 1, so that no square
 * overflows, and one that vanishes is none of the sum's digits. An infinity wins over NaN. */
CR__FN VT NAME(length)(VT a, VT b)
{
    VT x = F(abs)(a), y = F(abs)(b), most = F(max)(x, y), inf = F(set)((T)INFINITY);
    VT q = F(min)(x, y) / most;
    VT out = most * F(sqrt)(F(fma)(q, q, F(set)(1)));
    out = F(sel)(F(eq)(most, F(set)(0)), most, out);
    out = F(sel)(F(ne)(a, a), a, out);
    return F(sel)(F(eq)(x, inf), x, F(sel)(F(eq)(y, inf), y, out));
}

/* a b, where a may be a cotangent that has all but vanished: a subnormal product takes fifty times
 * longer than others, and by way of doubles it does not. */
#if N == CR__W
CR__CALL VT NAME(vanishing)(VT a, VT b)
{
    vh as[2], bs[2];
    memcpy(as, &a, sizeof a);
    memcpy(bs, &b, sizeof b);
    for (int i = 0; i < 2; i++) {
        const vd wide =
            __builtin_convertvector(as[i], vd) * __builtin_convertvector(bs[i], vd);
        as[i] = __builtin_convertvector(wide, vh);
    }
    memcpy(&a, as, sizeof a);
    return a;
}
#endif
CR__FN VT NAME(sloped)(VT a, VT b)
{
#if N == CR__W
    const VT size = F(abs)(a);
    if (CR__UNLIKELY(F(any)(F(lt)(size, F(set)(0x1p-100f)) & F(ne)(a, F(set)(0)))))
        return NAME(vanishing)(a, b);
#endif
    return a * b;
}

/* a towards zero, and to the nearest integer, the even one of two: above `most` the elements are
 * integers, and the sum with it drops what is behind the point. */
CR__FN VT NAME(whole)(VT a)
{
    return F(copysign)(F(floor)(F(abs)(a)), a);
}

CR__FN VT NAME(nearest)(VT a)
{
    VT x = F(abs)(a), most = F(set)(sizeof(T) == 4 ? (T)0x1p23 : (T)0x1p52);
    return F(sel)(F(lt)(x, most), F(copysign)((x + most) - most, a), a);
}

/* ---- the forms ----
 *
 * A loop over vectors of which the last may be a part; MASK is _mask where bools are stored.
 * Bodies that are SHORT have a loop over whole vectors before it, two at a time: what such a
 * loop costs is not hidden by what it computes. Where a vector is a line of the cache a load is
 * as dear as a store, so that a uniform source stays in a register. */

#undef SHORT
#undef WHOLE_OF_TWO
#define LONG(...)
#if CR__HAS_FMA
#define SHORT(...) __VA_ARGS__
#else
#define SHORT LONG /* any machine's: small rather than fast */
#endif

#define STORED(MASK, at, A, B, ...)              \
    {                                            \
        VT a = A, b = B;                         \
        (void)b;                                 \
        F(store##MASK)(out + (at), __VA_ARGS__); \
    }

#define WHOLE_OF_ONE(MASK, ...)                              \
    for (int64_t two = 2 * x_step; n >= 2 * N; n -= 2 * N) { \
        CR__STEADY(two);                                     \
        STORED(MASK, 0, F(load)(x), a, __VA_ARGS__)          \
        STORED(MASK, N, F(load)(x + x_step), a, __VA_ARGS__) \
        x += two, out += 2 * N;                              \
    }

#define ONE_AT_A_TIME(MASK, A, B, ...) \
    for (; i + N <= n; i += N)         \
    STORED(MASK, i, A, B, __VA_ARGS__)
#define TWO_AT_A_TIME(MASK, A, B, ...)     \
    for (; i + 2 * N <= n; i += 2 * N) {   \
        STORED(MASK, i, A, B, __VA_ARGS__) \
        i += N;                            \
        STORED(MASK, i, A, B, __VA_ARGS__) \
        i -= N;                            \
    }
/* BOTH: the loop where both sources vary. */
#define WHOLE_BY_FORM(BOTH, MASK, ...)                              \
    if (n >= 2 * N) {                                               \
        const VT u = F(load)(x_step ? y : x);                       \
        if (x_step && y_step)                                       \
            BOTH(MASK, F(load)(x + i), F(load)(y + i), __VA_ARGS__) \
        else if (y_step)                                            \
            TWO_AT_A_TIME(MASK, u, F(load)(y + i), __VA_ARGS__)     \
        else if (x_step)                                            \
            TWO_AT_A_TIME(MASK, F(load)(x + i), u, __VA_ARGS__)     \
    }
#if N == 16
#define WHOLE_OF_TWO(MASK, ...)                     \
    int64_t i = 0;                                  \
    WHOLE_BY_FORM(ONE_AT_A_TIME, MASK, __VA_ARGS__) \
    n -= i, out += i, x += x_step ? i : 0, y += y_step ? i : 0;
#else
#define WHOLE_OF_TWO(MASK, ...)                                                \
    for (int64_t two = 2 * x_step, too = 2 * y_step; n >= 2 * N; n -= 2 * N) { \
        CR__STEADY(two);                                                       \
        CR__STEADY(too);                                                       \
        STORED(MASK, 0, F(load)(x), F(load)(y), __VA_ARGS__)                   \
        STORED(MASK, N, F(load)(x + x_step), F(load)(y + y_step), __VA_ARGS__) \
        x += two, y += too, out += 2 * N;                                      \
    }
#endif

#define UNARY_LOOPS(LENGTH, MASK, ...)             \
    const int64_t x_step = step[0] * N;            \
    LENGTH(WHOLE_OF_ONE(MASK, __VA_ARGS__))        \
    for (; n > 0; n -= N, out += N, x += x_step) { \
        VT a = F(take)(x, n);                      \
        F(give##MASK)(out, n, __VA_ARGS__);        \
    }

#define VECTOR_UNARY(name, LENGTH, OUT, MASK, ...) \
    KERNEL(name)                                   \
    {                                              \
        OUT *out = dst;                            \
        const T *x = src[0];                       \
        UNARY_LOOPS(LENGTH, MASK, __VA_ARGS__)     \
    }

#define VECTOR_PARAMETRIC(name, LENGTH, COUNT, ...) \
    KERNEL(name)                                    \
    {                                               \
        T *out = dst;                               \
        const T *x = src[0];                        \
        const VT p = F(fill)(src[1]);               \
        const VT q = F(fill)(src[COUNT]);           \
        (void)q;                                    \
        UNARY_LOOPS(LENGTH, , __VA_ARGS__)          \
    }
#define VECTOR_PARAMETRIC1(name, LENGTH, OUT, MASK, ...) \
    VECTOR_PARAMETRIC(name, LENGTH, 1, __VA_ARGS__)
#define VECTOR_PARAMETRIC2(name, LENGTH, OUT, MASK, ...) \
    VECTOR_PARAMETRIC(name, LENGTH, 2, __VA_ARGS__)

#define VECTOR_BINARY(name, LENGTH, OUT, MASK, ...)                 \
    KERNEL(name)                                                    \
    {                                                               \
        OUT *out = dst;                                             \
        const T *x = src[0], *y = src[1];                           \
        const int64_t x_step = step[0] * N, y_step = step[1] * N;   \
        LENGTH(WHOLE_OF_TWO(MASK, __VA_ARGS__))                     \
        for (; n > 0; n -= N, out += N, x += x_step, y += y_step) { \
            VT a = F(take)(x, n), b = F(take)(y, n);                \
            F(give##MASK)(out, n, __VA_ARGS__);                     \
        }                                                           \
    }

/* Moves bits only, so it serves every type of the size. */
KERNEL(where)
{
    T *out = dst;
    const uint8_t *c = src[0];
    const T *x = src[1], *y = src[2];
    const int64_t c_step = step[0] * N, x_step = step[1] * N, y_step = step[2] * N;
    if (c_step) {
        int64_t i = 0;
        SHORT(WHOLE_BY_FORM(TWO_AT_A_TIME, , F(sel)(F(load_mask)(c + i), a, b)))
        n -= i, out += i, c += i, x += x_step ? i : 0, y += y_step ? i : 0;
    }
    for (; n > 0; n -= N, out += N, c += c_step, x += x_step, y += y_step) {
        VT a = F(take)(x, n), b = F(take)(y, n);
        F(give)(out, n, F(sel)(F(take_mask)(c, n), a, b));
    }
}

/* ---- the rows of each kind, as bodies and in the table ---- */

#define BODY_FLOATS(FORM, name, vectors)            FORM(name, SHORT, T, , vectors)
#define BODY_NUMBERS(FORM, name, vectors, integers) FORM(name, SHORT, T, , vectors)
#define BODY_ORDERED(FORM, name, vectors, integers) FORM(name, SHORT, T, , vectors)
#define BODY_COMPARED(FORM, name, vectors, integers) \
    FORM(name, LONG, uint8_t, _mask, vectors) /* packing the bools takes its time */
#define BODY_LOGICAL(FORM, name, elements)
#define BODY_LOOPED(FORM, name, doubles, integers)
#define BODY_RARE(FORM, name, vectors) /* doubles.c */
#define BODY_ALONE(FORM, name, what)
#define BODY_ELEMENTARY(FORM, name, vectors, doubles) \
    CR__L(BODY_ELEMENTARY_, T)(FORM, name, vectors)
#define BODY_ELEMENTARY_float(FORM, name, vectors)  FORM(name, LONG, T, , vectors)
#define BODY_ELEMENTARY_double(FORM, name, vectors) /* doubles.c */

#define MAP(TYPES, FORM, ...) BODY_##TYPES(VECTOR_##FORM, __VA_ARGS__)
#include "maps.inc"

#define ENTRY_FLOATS(FORM, name)           ENTRY(NAME, name),
#define ENTRY_NUMBERS(FORM, name)          ENTRY(NAME, name),
#define ENTRY_ORDERED(FORM, name)          ENTRY(NAME, name),
#define ENTRY_COMPARED(FORM, name)         ENTRY(NAME, name),
#define ENTRY_LOGICAL(FORM, name)          ENTRY(LOOP, name),
#define ENTRY_LOOPED(FORM, name)           ENTRY(LOOP, name),
#define ENTRY_ELEMENTARY(FORM, name)       CR__L(ENTRY_ELEMENTARY_, T)(FORM, name)
#define ENTRY_ELEMENTARY_float(FORM, name) ENTRY(NAME, name),
#define ENTRY_ELEMENTARY_double(FORM, name)
#define ENTRY_RARE(FORM, name)
#define ENTRY_ALONE(FORM, name) ENTRY_ALONE_##FORM
#define ENTRY_ALONE_WHERE       ENTRY(NAME, where),
#define ENTRY_ALONE_UNARY
#define ENTRY_ALONE_SOURCE

static cr__map_fn *const NAME(maps)[CR__MAP_CODES] = {
#define MAP(TYPES, FORM, name, ...) ENTRY_##TYPES(FORM, name)
#include "maps.inc"
};
