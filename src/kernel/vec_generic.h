/* The vocabulary (vec.h) of any machine: 16 bytes of the compiler's vector extensions. */
#undef CR__SUFFIX
#undef CR__T
#undef CR__W
#undef CR__REGISTERS
#undef CR__HAS_FMA
#undef CR__HAS_MASKS
#undef CR__HAS_SQUARES
#undef CR__HAS_LINES
#undef CR__HAS_F16
#define CR__SUFFIX _generic
#if defined(__x86_64__)
#define CR__T __attribute__((cold)) /* small rather than fast: few machines have no AVX */
#else
#define CR__T /* the build's own */
#endif
#define CR__W           4
#define CR__REGISTERS   16
#define CR__HAS_FMA     0
#define CR__HAS_MASKS   0
#define CR__HAS_SQUARES 0
#define CR__HAS_LINES   0
#define CR__HAS_F16     0

#ifndef CR_KERNEL_VEC_GENERIC_H
#define CR_KERNEL_VEC_GENERIC_H
#include "fma.h"
#include "vec.h"
#include "vec_types.h"
#include "vec_plain.h"

/* The instruction: what is compiled for size calls the function, and MinGW's of doubles is not
 * correctly rounded. */
#if defined(__x86_64__) && defined(CR__HAVE_AVX)
CR__FN vf v_sqrt(vf a)
{
    return _mm_sqrt_ps(a);
}
CR__FN vd d_sqrt(vd a)
{
    return _mm_sqrt_pd(a);
}
#else
CR__FN vf v_sqrt(vf a)
{
    for (int i = 0; i < CR__W; i++)
        a[i] = sqrtf(a[i]);
    return a;
}
CR__FN vd d_sqrt(vd a)
{
    for (int i = 0; i < CR__W / 2; i++)
        a[i] = sqrt(a[i]);
    return a;
}
#endif
CR__FN vf v_floor(vf a)
{
    for (int i = 0; i < CR__W; i++)
        a[i] = floorf(a[i]);
    return a;
}
CR__FN vd d_floor(vd a)
{
    for (int i = 0; i < CR__W / 2; i++)
        a[i] = floor(a[i]);
    return a;
}

#if defined(__FP_FAST_FMA) && defined(__FP_FAST_FMAF)

CR__FN vf v_fma(vf a, vf b, vf c)
{
    for (int i = 0; i < CR__W; i++)
        c[i] = __builtin_fmaf(a[i], b[i], c[i]);
    return c;
}
CR__FN vd d_fma(vd a, vd b, vd c)
{
    for (int i = 0; i < CR__W / 2; i++)
        c[i] = __builtin_fma(a[i], b[i], c[i]);
    return c;
}

#else

/* s + e rounded to odd: s if e, what s lost, is 0, else of the two doubles around the sum
 * the one with an odd last bit. Rounding that once more to fewer bits, less two at least,
 * is like rounding the sum (S. Boldo, G. Melquiond, "Emulation of FMA and correctly
 * rounded sums: proved algorithms using rounding to odd", IEEE Trans. Comp. 57(4), 2008).
 * Inexact sums are not 0. */
CR__FN vd round_to_odd(vd s, vd e)
{
    vl inexact = (e > 0) | (e < 0), even = ((vl)s & 1) - 1;
    vl outwards = ((e > 0) ^ (s > 0)) | 1; /* 1 if e has the sign of s, else -1 */
    return (vd)((vl)s + (inexact & even & outwards));
}

/* What a + b, rounded to s, lost (Knuth 1969). */
CR__FN vd lost_in_sum(vd a, vd b, vd s)
{
    vd t = s - a;
    return (a - (s - t)) + (b - t);
}

/* Products of floats are exact in double. */
CR__CALL vf v_fma(vf a, vf b, vf c)
{
    vh as[2], bs[2], cs[2];
    memcpy(as, &a, sizeof a);
    memcpy(bs, &b, sizeof b);
    memcpy(cs, &c, sizeof c);
    for (int i = 0; i < 2; i++) {
        vd p = __builtin_convertvector(as[i], vd) * __builtin_convertvector(bs[i], vd);
        vd q = __builtin_convertvector(cs[i], vd), s = p + q;
        cs[i] = __builtin_convertvector(round_to_odd(s, lost_in_sum(p, q, s)), vh);
    }
    memcpy(&c, cs, sizeof c);
    return c;
}

/* The upper 26 bits (Veltkamp 1968). */
CR__FN vd upper_half(vd a)
{
    vd t = a * 0x8000001p0;
    return t - (t - a);
}

/* Product and sum as pairs, whose tails are added with rounding to odd (Boldo and
 * Melquiond); for operands where no step overflows or loses bits below the subnormals.
 * Zeros have the sign of the plain sum. */
CR__CALL vd d_fma(vd a, vd b, vd c)
{
    vd p = a * b, x = d_abs(a), y = d_abs(b), q = d_abs(p);
    vl zero = (a == 0) | (b == 0),
       within = (x > 0x1p-990) & (y > 0x1p-990) & (q > 0x1p-900);
    vl easy = (zero | within) & (x < 0x1p990) & (y < 0x1p990) & (q < 0x1p1000) &
              (d_abs(c) < 0x1p1000);
    for (int i = 0; i < CR__W / 2; i++)
        if (CR__UNLIKELY(!easy[i])) {
            for (i = 0; i < CR__W / 2; i++)
                c[i] = cr__fma(a[i], b[i], c[i]);
            return c;
        }
    vd ah = upper_half(a), al = a - ah, bh = upper_half(b), bl = b - bh;
    vd tail = ((ah * bh - p) + ah * bl + al * bh) + al * bl;
    vd low = c + tail, low_tail = lost_in_sum(c, tail, low);
    vd sum = p + low, sum_tail = lost_in_sum(p, low, sum);
    vd rest = low_tail + sum_tail;
    vd result = sum + round_to_odd(rest, lost_in_sum(low_tail, sum_tail, rest));
    return d_sel(result == 0, p + c, result);
}

#endif
#endif
