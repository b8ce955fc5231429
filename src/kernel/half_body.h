/* bf16 and f16 to f32 and back, in one instruction set. Registers hold such numbers as f32:
 * WIDEN makes those of memory, ROUND rounds what was computed, in f32, and NARROW does so on the
 * way to memory. To nearest, ties to even; NaNs become quiet ones and stay NaNs. Every set has the
 * same bits. Reads and writes exactly n. */

/* ---- one vector ---- */

/* The upper half of an f32. */
CR__FN vf CR__V(bf16_wide)(vhalf h)
{
    return (vf)(v_of_u16(h) << 16);
}

CR__FN vf CR__V(bf16_rounded)(vf x)
{
    const vu u = (vu)x, near = (u + 0x7fff + (u >> 16 & 1)) & 0xffff0000;
    const vu nan = (u | 0x00400000) & 0xffff0000;
    return v_sel(v_ne(x, x), (vf)nan, (vf)near);
}

CR__FN vhalf CR__V(bf16_narrow)(vf x)
{
    return __builtin_convertvector((vu)CR__V(bf16_rounded)(x) >> 16, vhalf);
}

#if CR__HAS_F16
CR__FN vf CR__V(f16_wide)(vhalf h)
{
    return v_of_f16(h);
}

CR__FN vhalf CR__V(f16_narrow)(vf x)
{
    return v_to_f16(x);
}
#else
/* The exponent's bias differs by 112. As f32 the bits are too small by that factor, subnormal
 * ones as well, and multiplying is exact. */
CR__FN vf CR__V(f16_wide)(vhalf h)
{
    const vu u = v_of_u16(h);
    const vu sign = (u & 0x8000) << 16, digits = (u & 0x7fff) << 13;
    const vf value = (vf)digits * 0x1p112f, far = (vf)(digits | 0x7f800000);
    const vf quiet = (vf)((vu)far | 0x00400000);
    const vf special = v_sel(v_ne(far, far), quiet, far);
    return (vf)(sign | (vu)v_sel(v_le(v_set(0x1p16f), value), special, value));
}

/* Below 2^-14 the digits end at 2^-24, as those of f32 do from 1/2 to 1: adding 1/2 rounds there.
 * Above, 13 digits go; from 65520 on it is infinity. */
CR__FN vhalf CR__V(f16_narrow)(vf x)
{
    const vu u = (vu)x, sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    const vf size = (vf)a, infinity = (vf)(a * 0 + 0x7c00);
    const vf small = (vf)((vu)(size + 0.5f) - 0x3f000000);
    const vf normal = (vf)((a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13);
    const vf nan = (vf)((a >> 13 & 0x3ff) | 0x7e00);
    vf h = v_sel(v_lt(size, v_set(0x1p-14f)), small, normal);
    h = v_sel(v_le(v_set(65520.0f), size), infinity, h);
    return __builtin_convertvector(sign | (vu)v_sel(v_ne(x, x), nan, h), vhalf);
}
#endif

CR__FN vf CR__V(f16_rounded)(vf x)
{
    return CR__V(f16_wide)(CR__V(f16_narrow)(x));
}

/* ---- loops ---- */

CR__FN vhalf CR__V(half_load)(const uint16_t *p)
{
    vhalf h;
    memcpy(&h, p, sizeof h);
    return h;
}

CR__FN void CR__V(half_store)(uint16_t *p, vhalf h)
{
    memcpy(p, &h, sizeof h);
}

/* The last elements pass through memory of a whole vector. */
#define HALF_LOOP(name, TO, STORE, FROM, LOAD, FUNCTION)                \
    CR__T static void CR__V(name)(TO * dst, const FROM *src, int64_t n) \
    {                                                                   \
        FROM from[CR__W] = { 0 };                                       \
        TO to[CR__W];                                                   \
        for (int64_t i = 0; i < n; i += CR__W) {                        \
            const bool whole = n - i >= CR__W;                          \
            const FROM *at = src + i;                                   \
            if (!whole)                                                 \
                at = memcpy(from, at, (size_t)(n - i) * sizeof *at);    \
            STORE(whole ? dst + i : to, CR__V(FUNCTION)(LOAD(at)));     \
            if (!whole)                                                 \
                memcpy(dst + i, to, (size_t)(n - i) * sizeof *to);      \
        }                                                               \
    }
HALF_LOOP(bf16_widen, float, v_store, uint16_t, CR__V(half_load), bf16_wide)
HALF_LOOP(f16_widen, float, v_store, uint16_t, CR__V(half_load), f16_wide)
HALF_LOOP(bf16_round, float, v_store, float, v_load, bf16_rounded)
HALF_LOOP(f16_round, float, v_store, float, v_load, f16_rounded)
HALF_LOOP(bf16_pack, uint16_t, CR__V(half_store), float, v_load, bf16_narrow)
HALF_LOOP(f16_pack, uint16_t, CR__V(half_store), float, v_load, f16_narrow)
#undef HALF_LOOP
