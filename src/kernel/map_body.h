/* The maps of one float type (for_each_float.h) in one instruction set: the rows of maps.inc as
 * loops over whole vectors; buffers are padded, so there are no tails. */

#define KERNEL(name) \
    CR__T static void NAME(name)(void *dst, const void *const *src, int64_t n)

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

/* ---- the forms ---- */

/* STORE writes elements of type OUT. */
#define VECTOR_UNARY(name, OUT, STORE, ...)  \
    KERNEL(name)                             \
    {                                        \
        OUT *out = dst;                      \
        const T *x = src[0];                 \
        for (int64_t i = 0; i < n; i += N) { \
            VT a = F(load)(x + i);           \
            F(STORE)(out + i, __VA_ARGS__);  \
        }                                    \
    }

#define VECTOR_PARAMETRIC(name, COUNT, ...)    \
    KERNEL(name)                               \
    {                                          \
        T *out = dst;                          \
        const T *x = src[0];                   \
        VT p = F(set)(*(const T *)src[1]);     \
        VT q = F(set)(*(const T *)src[COUNT]); \
        (void)q;                               \
        for (int64_t i = 0; i < n; i += N) {   \
            VT a = F(load)(x + i);             \
            F(store)(out + i, __VA_ARGS__);    \
        }                                      \
    }
#define VECTOR_PARAMETRIC1(name, OUT, STORE, ...) VECTOR_PARAMETRIC(name, 1, __VA_ARGS__)
#define VECTOR_PARAMETRIC2(name, OUT, STORE, ...) VECTOR_PARAMETRIC(name, 2, __VA_ARGS__)

/* A source that varies is loaded for every vector, a uniform one is set once. */
#define VARIES(x)  F(load)(x + i)
#define UNIFORM(x) F(set)(*x)
#define NOTHING    ((VT){ 0 })
#define VECTOR_BINARY_FORM(name, OUT, STORE, A0, A, B0, B, ...) \
    KERNEL(name)                                                \
    {                                                           \
        OUT *out = dst;                                         \
        const T *x = src[0], *y = src[1];                       \
        VT a0 = A0, b0 = B0;                                    \
        (void)a0, (void)b0;                                     \
        for (int64_t i = 0; i < n; i += N) {                    \
            VT a = A, b = B;                                    \
            F(STORE)(out + i, __VA_ARGS__);                     \
        }                                                       \
    }
#define VECTOR_BINARY(name, OUT, STORE, ...)                                          \
    VECTOR_BINARY_FORM(name##_vv, OUT, STORE, NOTHING, VARIES(x), NOTHING, VARIES(y), \
                       __VA_ARGS__)                                                   \
    VECTOR_BINARY_FORM(name##_uv, OUT, STORE, UNIFORM(x), a0, NOTHING, VARIES(y),     \
                       __VA_ARGS__)                                                   \
    VECTOR_BINARY_FORM(name##_vu, OUT, STORE, NOTHING, VARIES(x), UNIFORM(y), b0,     \
                       __VA_ARGS__)

/* Moves bits only, so it serves every type of the size. */
#define VECTOR_WHERE_FORM(name, X0, X, Y0, Y)                     \
    KERNEL(name)                                                  \
    {                                                             \
        T *out = dst;                                             \
        const uint8_t *c = src[0];                                \
        const T *x = src[1], *y = src[2];                         \
        VT x0 = X0, y0 = Y0;                                      \
        (void)x0, (void)y0;                                       \
        for (int64_t i = 0; i < n; i += N) {                      \
            F(store)(out + i, F(sel)(F(load_mask)(c + i), X, Y)); \
        }                                                         \
    }
VECTOR_WHERE_FORM(where_vv, NOTHING, VARIES(x), NOTHING, VARIES(y))
VECTOR_WHERE_FORM(where_uv, F(fill)(x), x0, NOTHING, VARIES(y))
VECTOR_WHERE_FORM(where_vu, NOTHING, VARIES(x), F(fill)(y), y0)
VECTOR_WHERE_FORM(where_uu, F(fill)(x), x0, F(fill)(y), y0)

/* ---- the rows of each kind, as bodies and in the table ---- */

#define BODY_FLOATS(FORM, name, vectors)            FORM(name, T, store, vectors)
#define BODY_NUMBERS(FORM, name, vectors, integers) FORM(name, T, store, vectors)
#define BODY_ORDERED(FORM, name, vectors, integers) FORM(name, T, store, vectors)
#define BODY_COMPARED(FORM, name, vectors, integers) \
    FORM(name, uint8_t, store_mask, vectors)
#define BODY_LOGICAL(FORM, name, elements)
#define BODY_ALONE(FORM, name, what)
#define BODY_ELEMENTARY(FORM, name, vectors, doubles) \
    CR__L(BODY_ELEMENTARY_, T)(FORM, name, vectors)
#define BODY_ELEMENTARY_float(FORM, name, vectors) FORM(name, T, store, vectors)
#define BODY_ELEMENTARY_double(FORM, name, vectors)

#define MAP(TYPES, FORM, ...) BODY_##TYPES(VECTOR_##FORM, __VA_ARGS__)
#include "maps.inc"

#define ENTRY_FLOATS(FORM, name)            ENTRY(FORM, NAME, name),
#define ENTRY_NUMBERS(FORM, name)           ENTRY(FORM, NAME, name),
#define ENTRY_ORDERED(FORM, name)           ENTRY(FORM, NAME, name),
#define ENTRY_COMPARED(FORM, name)          ENTRY(FORM, NAME, name),
#define ENTRY_LOGICAL(FORM, name)           ENTRY(FORM, LOOP, name),
#define ENTRY_ELEMENTARY(FORM, name)        CR__L(ENTRY_ELEMENTARY_, T)(FORM, name)
#define ENTRY_ELEMENTARY_float(FORM, name)  ENTRY(FORM, NAME, name),
#define ENTRY_ELEMENTARY_double(FORM, name) ENTRY(FORM, LOOP, name),
#define ENTRY_ALONE(FORM, name)             ENTRY_ALONE_##FORM
#define ENTRY_ALONE_WHERE                   ENTRY(WHERE, NAME, where),
#define ENTRY_ALONE_UNARY
#define ENTRY_ALONE_SOURCE

static const forms NAME(maps)[CR__MAP_CODES] = {
#define MAP(TYPES, FORM, name, ...) ENTRY_##TYPES(FORM, name)
#include "maps.inc"
};
