/* The joined maps of f32 (kernel.h) in one instruction set: loops over whole vectors, two at a
 * time, then over what is left. */

#define JOINED_AT(at, expression)                      \
    {                                                  \
        vf a = v_load(x + (at)), b = v_load(y + (at)); \
        v_store(out + (at), expression);               \
    }
#define JOINED(name, outer, left, right, expression)                 \
    CR__T static void CR__V(name)(void *dst, const void *const *src, \
                                  const int64_t *step, int64_t n)    \
    {                                                                \
        float *out = dst;                                            \
        const float *x = src[0], *y = src[1];                        \
        const vf p = v_fill(src[2]), q = v_fill(src[3]);             \
        int64_t i = 0;                                               \
        (void)step, (void)p, (void)q;                                \
        for (; i + 2 * CR__W <= n; i += 2 * CR__W) {                 \
            JOINED_AT(i, expression)                                 \
            JOINED_AT(i + CR__W, expression)                         \
        }                                                            \
        for (; i < n; i += CR__W) {                                  \
            vf a = v_take(x + i, n - i), b = v_take(y + i, n - i);   \
            v_give(out + i, n - i, expression);                      \
        }                                                            \
    }
CR__EACH_JOIN(JOINED)
#undef JOINED
#undef JOINED_AT

static cr__map_fn *const CR__V(joins)[CR__JOINS] = {
#define ENTRY_JOINED(name, ...) [CR__JOIN_##name] = CR__V(name),
    CR__EACH_JOIN(ENTRY_JOINED)
#undef ENTRY_JOINED
};
