/* The joined maps of f32 (kernel.h) in one instruction set: loops over whole vectors, then
 * what is left. The generic set has none: it is to be small. */

#if CR__HAS_FMA
/* What divides by q: a times the sum of these two is wrong by little more than half an ulp, if q is
 * moderate and |a| is within 1/most and most. */
typedef struct CR__V(divisor) {
    vf first, rest, most;
} CR__V(divisor);
CR__FN CR__V(divisor) CR__V(inverse)(vf q)
{
    const vf one = v_set(1), first = one / q;
    const vm fits = v_lt(q, v_set(0x1p20f)) & v_lt(v_set(0x1p-20f), q);
    return (CR__V(divisor)){ first, v_fma(-q, first, one) * first,
                             v_sel(fits, v_set(0x1p50f), v_set(0)) };
}

/* a / q with its bits, for less than half the time: a remainder is exact, and what it adds to
 * a quotient wrong by less than an ulp rounds correctly, as 1/q did (Markstein, Computation of elementary
 * functions on the IBM RISC System/6000 processor, 1990). */
CR__FN vf CR__V(quotient)(vf a, vf q, CR__V(divisor) by)
{
    const vf size = v_abs(a);
    const vm far = v_not(v_lt(size, by.most) & v_lt(v_set(0x1p-50f), size));
    const vf near = v_fma(a, by.first, a * by.rest);
    const vf quotient = v_fma(v_fma(-near, q, a), by.first, near);
    if (CR__LIKELY(!v_any(far)))
        return quotient;
    /* Zeros, as what is masked has, stay what they are. */
    if (v_any(v_lt(by.most, v_set(1)) | (far & v_ne(a, v_set(0)))))
        return a / q;
    return v_sel(far, a, quotient);
}

#define P_UNIFORM(each) uniform
#define P_EACH(each)    each
#define JOINED_AT(at, P, expression)                                                \
    {                                                                               \
        vf a = v_load(x + (at)), b = v_load(y + (at)), p = P_##P(v_load(z + (at))); \
        (void)b, (void)p;                                                           \
        v_store(out + (at), expression);                                            \
    }
#define JOINED(name, outer, left, right, P, expression)              \
    CR__T static void CR__V(name)(void *dst, const void *const *src, \
                                  const int64_t *step, int64_t n)    \
    {                                                                \
        float *out = dst;                                            \
        const float *x = src[0], *y = src[1], *z = src[2];           \
        const vf uniform = v_fill(z), q = v_fill(src[3]);            \
        const CR__V(divisor) inverse = CR__V(inverse)(q);            \
        int64_t i = 0;                                               \
        (void)step, (void)z, (void)uniform, (void)q, (void)inverse;  \
        for (; i + CR__W <= n; i += CR__W)                           \
            JOINED_AT(i, P, expression)                              \
        if (i < n) {                                                 \
            vf a = v_take(x + i, n - i), b = v_take(y + i, n - i),   \
               p = P_##P(v_take(z + i, n - i));                      \
            (void)b, (void)p;                                        \
            v_give(out + i, n - i, expression);                      \
        }                                                            \
    }
CR__EACH_JOIN(JOINED)
#undef JOINED
#undef JOINED_AT
#undef P_UNIFORM
#undef P_EACH

#define TWIN(name, grad, value, slope)                                         \
    CR__T static void CR__V(name##_twin)(void *dst, const void *const *src,    \
                                         const int64_t *step, int64_t n)       \
    {                                                                          \
        float *out = dst, *slopes = (float *)(uintptr_t)src[1];                \
        const float *x = src[0];                                               \
        (void)step;                                                            \
        for (; n > 0; n -= CR__W, x += CR__W, out += CR__W, slopes += CR__W) { \
            const vf a = v_take(x, n), y = value, z = slope;                   \
            v_give(out, n, y);                                                 \
            v_give(slopes, n, z);                                              \
        }                                                                      \
    }
CR__EACH_TWIN(TWIN)
#undef TWIN

/* The four of a step (kernel.h), for the vectors a, b of the first, c, d of the second, and x.
 * What is read is fetched some lines ahead: divisions and roots leave time for it. */
#define STEP_AHEAD    512
#define FETCH_STEP(k) __builtin_prefetch((const char *)(src[k] + i) + STEP_AHEAD);
#define STEP_AT(GIVE, at)                                   \
    {                                                       \
        const vf m = a * p[0] + b * p[1];                   \
        const vf r = CR__V(f32_length)(c * p[2], d * p[3]); \
        const vf u = m / (r + p[4]);                        \
        GIVE(dst[0] + (at), m);                             \
        GIVE(dst[1] + (at), r);                             \
        GIVE(dst[2] + (at), u);                             \
        GIVE(dst[3] + (at), x - u * p[5]);                  \
    }
CR__T static void CR__V(step)(float *const *dst, const float *const *src, int64_t n)
{
    const vf p[6] = { v_fill(src[2]), v_fill(src[3]), v_fill(src[6]),
                      v_fill(src[7]), v_fill(src[8]), v_fill(src[10]) };
    int64_t i = 0;
    for (; i + CR__W <= n; i += CR__W) {
        FETCH_STEP(0)
        FETCH_STEP(1)
        FETCH_STEP(4)
        FETCH_STEP(9)
        const vf a = v_load(src[0] + i), b = v_load(src[1] + i), c = v_load(src[4] + i),
                 d = v_load(src[5] + i), x = v_load(src[9] + i);
        STEP_AT(v_store, i)
    }
    if (i < n) {
        const vf a = v_take(src[0] + i, n - i), b = v_take(src[1] + i, n - i),
                 c = v_take(src[4] + i, n - i), d = v_take(src[5] + i, n - i),
                 x = v_take(src[9] + i, n - i);
#define GIVE_REST(to, value) v_give(to, n - i, value)
        STEP_AT(GIVE_REST, i)
#undef GIVE_REST
    }
}
#undef STEP_AT
#undef FETCH_STEP
#undef STEP_AHEAD
#endif

#if CR__HAS_FMA
#define ENTRY_JOINED(name, ...) [CR__JOIN_##name] = CR__V(name),
#define ENTRY_TWIN(name, ...)   CR__V(name##_twin),
#define ENTRY_STEP              CR__V(step)
#else
#define ENTRY_JOINED(name, ...) NULL,
#define ENTRY_TWIN(name, ...)   NULL,
#define ENTRY_STEP              NULL
#endif
static cr__map_fn *const CR__V(joins)[CR__JOINS] = { CR__EACH_JOIN(ENTRY_JOINED) };
static cr__map_fn *const CR__V(twins)[CR__TWINS] = { CR__EACH_TWIN(ENTRY_TWIN) };
static cr__step_fn *const CR__V(steps)[1] = { ENTRY_STEP };
#undef ENTRY_JOINED
#undef ENTRY_TWIN
#undef ENTRY_STEP
