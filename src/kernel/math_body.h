/* Elementary functions of f32 vectors, within 2 ulp for every input
 * (tests/kernel_math.c). A template over the vocabulary of vec.h.
 *
 * The polynomials are minimax: Remez exchange in 120-bit arithmetic over the interval
 * named, in the weight named, then each coefficient rounded to f32; the error bound is
 * that after rounding, relative to the weight. */

#define ma_exp_parts CR__V(ma_exp_parts)
#define ma_exp       CR__V(ma_exp)
#define ma_expm1     CR__V(ma_expm1)
#define ma_log_parts CR__V(ma_log_parts)
#define ma_log       CR__V(ma_log)
#define ma_log2      CR__V(ma_log2)
#define ma_log1p     CR__V(ma_log1p)
#define ma_tanh      CR__V(ma_tanh)
#define ma_sigmoid   CR__V(ma_sigmoid)
#define ma_erf       CR__V(ma_erf)
#define ma_sincos    CR__V(ma_sincos)
#define ma_exp_up    CR__V(ma_exp_up)
#define ma_bell      CR__V(ma_bell)
#define ma_mills     CR__V(ma_mills)
#define ma_steep     CR__V(ma_steep)
#define ma_clip      CR__V(ma_clip)

#define ma_logistic_slope  CR__V(ma_logistic_slope)
#define ma_logistic_curve  CR__V(ma_logistic_curve)
#define ma_silu            CR__V(ma_silu)
#define ma_silu_slope      CR__V(ma_silu_slope)
#define ma_silu_curve      CR__V(ma_silu_curve)
#define ma_gelu            CR__V(ma_gelu)
#define ma_gelu_slope      CR__V(ma_gelu_slope)
#define ma_gelu_curve      CR__V(ma_gelu_curve)
#define ma_gelu_tanh       CR__V(ma_gelu_tanh)
#define ma_gelu_tanh_slope CR__V(ma_gelu_tanh_slope)
#define ma_gelu_tanh_curve CR__V(ma_gelu_tanh_curve)

#define ma_softplus CR__V(ma_softplus)
#define ma_pow_half CR__V(ma_pow_half)
#define ma_pow      CR__V(ma_pow)

/* x = n ln 2 + r with whole n and |r| <= 0.3475; returns e^r - 1. Adding 1.5 * 2^23
 * rounds to a whole number. ln 2 is split so that n times its high part (15 bits) is
 * exact. */
CR__FN vf ma_exp_parts(vf x, vf *n)
{
    const vf magic = v_set(0x1.8p23f);
    *n = v_fma(x, v_set(0x1.715476p0f), magic) - magic;
    vf r = v_fma(*n, v_set(-0x1.62e4p-1f), x);
    r = v_fma(*n, v_set(-0x1.7f7d1cp-20f), r);
    /* (e^r - 1 - r)/r^2 in the weight |r|: 2^-25.9 */
    vf p = v_set(0x1.6d9b08p-10f);
    p = v_fma(p, r, v_set(0x1.12296ep-7f));
    p = v_fma(p, r, v_set(0x1.555484p-5f));
    p = v_fma(p, r, v_set(0x1.5554aep-3f));
    p = v_fma(p, r, v_set(0.5f));
    return v_fma(p, r * r, r);
}

/* Beyond the clamp the result is infinity; NaN passes it. What is 0, as where a mask hides
 * something, does not come from rounding a tiny number, for which processors take a hundred
 * cycles. */
CR__FN vf ma_exp(vf x)
{
    const vm left = v_not(v_lt(x, v_set(-104)));
    vf n, p;
    p = ma_exp_parts(v_min(v_set(89), v_sel(left, x, v_set(0))), &n);
    return v_sel(left, v_scale(p + 1, n), v_set(0));
}

/* 2^n (e^r - 1) + (2^n - 1), with 2^(n-1) in place of 2^n so that n = 128 does not
 * overflow. */
CR__FN vf ma_expm1(vf x)
{
    vf n, p, s;
    p = ma_exp_parts(v_min(v_set(89), v_max(v_set(-20), x)), &n);
    s = v_scale(v_set(0.5f), n);
    p = v_fma(s, p, s - 0.5f) * 2;
    return v_sel(v_lt(v_abs(x), v_set(0x1p-25f)), x, p);
}

/* log(2^k (1 + f)) for |f| <= 1/3. */
CR__FN vf ma_log_parts(vf k, vf f)
{
    /* (log(1 + f) - f + f^2/2)/f^3 in the weight f^2: 2^-27.5 */
    vf s = f * f, p = v_set(-0x1.0e2bf2p-3f);
    p = v_fma(p, f, v_set(0x1.1df436p-3f));
    p = v_fma(p, f, v_set(-0x1.f03b8ep-4f));
    p = v_fma(p, f, v_set(0x1.1ef17p-3f));
    p = v_fma(p, f, v_set(-0x1.55b7ecp-3f));
    p = v_fma(p, f, v_set(0x1.99ce44p-3f));
    p = v_fma(p, f, v_set(-0x1.fffe5ep-3f));
    p = v_fma(p, f, v_set(0x1.55550cp-2f));
    p = v_fma(p, f * s, k * 0x1.7f7d1cp-20f);
    p = v_fma(v_set(-0.5f), s, p);
    return v_fma(k, v_set(0x1.62e4p-1f), f + p);
}

/* The bits of 2/3 taken away leave k in the exponent's place: the rest is in [2/3, 4/3).
 */
CR__FN vf ma_log(vf x)
{
    vm tiny = v_lt(x, v_set(0x1p-126f));
    vi bits = (vi)v_sel(tiny, x * 0x1p23f, x);
    vi k = (vi)((vu)bits - 0x3f2aaaab) >> 23;
    vf f = (vf)((vu)bits - ((vu)k << 23)) - 1;
    vf kf = __builtin_convertvector(k, vf) - v_sel(tiny, v_set(23), v_set(0));
    vf y = ma_log_parts(kf, f);
    y = v_sel(v_eq(x, v_set(INFINITY)), x, y);
    y = v_sel(v_lt(v_set(0), x), y, v_set(NAN));
    return v_sel(v_eq(x, v_set(0)), v_set(-INFINITY), y);
}

/* The same in units of ln 2, which is added in two parts: powers of two are exact. */
CR__FN vf ma_log2(vf x)
{
    vm tiny = v_lt(x, v_set(0x1p-126f));
    vi bits = (vi)v_sel(tiny, x * 0x1p23f, x);
    vi k = (vi)((vu)bits - 0x3f2aaaab) >> 23;
    vf f = (vf)((vu)bits - ((vu)k << 23)) - 1;
    vf kf = __builtin_convertvector(k, vf) - v_sel(tiny, v_set(23), v_set(0));
    vf l = ma_log_parts(v_set(0), f);
    vf y = v_fma(l, v_set(0x1.715476p0f), v_fma(l, v_set(0x1.4ae0cp-26f), kf));
    y = v_sel(v_eq(x, v_set(INFINITY)), x, y);
    y = v_sel(v_lt(v_set(0), x), y, v_set(NAN));
    return v_sel(v_eq(x, v_set(0)), v_set(-INFINITY), y);
}

/* With u = 1 + x = 2^k m rounded, what was lost in u is added to m - 1. For k = 0 that
 * gives back x itself. */
CR__FN vf ma_log1p(vf x)
{
    vf u = x + 1;
    vf lost = v_sel(v_lt(x, v_set(1)), x - (u - 1), 1 - (u - x));
    vi k = (vi)((vu)u - 0x3f2aaaab) >> 23, m = (vi)((vu)u - ((vu)k << 23));
    vf scale = v_sel(v_lt(x, v_set(0x1p30f)), (vf)((vu)(127 - k) << 23), v_set(0));
    vf y = ma_log_parts(__builtin_convertvector(k, vf), v_fma(lost, scale, (vf)m - 1));
    y = v_sel(v_eq(x, v_set(INFINITY)), x, y);
    y = v_sel(v_lt(v_set(-1), x), y, v_set(NAN));
    y = v_sel(v_eq(x, v_set(-1)), v_set(-INFINITY), y);
    return v_sel(v_lt(v_abs(x), v_set(0x1p-25f)), x, y);
}

CR__FN vf ma_tanh(vf x)
{
    vf a = v_abs(x), z = x * x, n, e, s, far;
    /* (tanh x - x)/x^3 in z = x^2, |x| <= 0.55, in the weight z: 2^-27.7 */
    vf p = v_set(-0x1.9bba6ap-8f);
    p = v_fma(p, z, v_set(0x1.595686p-6f));
    p = v_fma(p, z, v_set(-0x1.b92bbap-5f));
    p = v_fma(p, z, v_set(0x1.110d3cp-3f));
    p = v_fma(p, z, v_set(-0x1.55554cp-2f));
    p = v_fma(p, z * a, a);
    /* 1 - 2/(e^2x + 1), which is 1 to f32 from 9.02 on */
    a = v_min(v_set(10), a);
    e = ma_exp_parts(a + a, &n);
    s = v_scale(v_set(1), n);
    far = 1 - 2 / v_fma(s, e, s + 1);
    return v_copysign(v_sel(v_lt(a, v_set(0.55f)), p, far), x);
}

/* e = exp(-|x|); the quotient by 1 + e is corrected for what 1 + e lost in rounding, to
 * first order, with 1/(1 + e) = 1.457 - (1 + e)/2 to 5%. */
CR__FN vf ma_sigmoid(vf x)
{
    vf e = ma_exp((vf)((vi)x | (int32_t)0x80000000));
    vf d = e + 1, lost = e - (d - 1);
    vf q = v_sel(v_lt(x, v_set(0)), e, v_set(1)) / d;
    return v_fma(q * -lost, v_fma(v_set(-0.5f), d, v_set(1.457f)), q);
}

CR__FN vf ma_erf(vf x)
{
    vf a = v_abs(x), z = x * x, n, e;
    /* erf(x)/x - 1 in z = x^2, |x| <= 0.9275, relative to erf(x)/x: 2^-25.4 */
    vf p = v_set(-0x1.38bf24p-11f), q = v_set(0x1.9748bep-13f);
    p = v_fma(p, z, v_set(0x1.46e7d4p-8f));
    p = v_fma(p, z, v_set(-0x1.b67d3p-6f));
    p = v_fma(p, z, v_set(0x1.ce1974p-4f));
    p = v_fma(p, z, v_set(-0x1.8126ep-2f));
    p = v_fma(p, z, v_set(0x1.06eba6p-3f));
    p = v_fma(p, a, a);
    /* log(1 - erf(a)) + a, 0.9265 <= a <= 4, in the weight 1 - erf(a): 2^-27.5; from 3.92
     * on erf(a) is 1 to f32 */
    a = v_min(v_set(4), a);
    q = v_fma(q, a, v_set(-0x1.8cad5ep-9f));
    q = v_fma(q, a, v_set(0x1.6b1422p-6f));
    q = v_fma(q, a, v_set(-0x1.a9255ap-4f));
    q = v_fma(q, a, v_set(-0x1.4650dep-1f));
    q = v_fma(q, a, v_set(-0x1.054b98p-3f));
    q = v_fma(q, a, v_set(-0x1.c77ddap-13f));
    e = ma_exp_parts(q - a, &n);
    q = 1 - v_scale(e + 1, n);
    return v_copysign(v_sel(v_lt(a, v_set(0.927f)), p, q), x);
}

/* Up to |x| = 8192: r = x - n pi/2 by three fused steps, of which the first is exact,
 * then the polynomial of the quadrant. Farther out, lane by lane. */
CR__FN vf ma_sincos(vf x, bool cosine)
{
    const vf magic = v_set(0x1.8p23f);
    vf t = v_fma(x, v_set(0x1.45f306p-1f), magic), n = t - magic;
    vi quadrant = (vi)t + (cosine ? 1 : 0);
    vf r = v_fma(n, v_set(-0x1.921fb6p0f), x);
    r = v_fma(n, v_set(0x1.777a5cp-25f), r);
    r = v_fma(n, v_set(0x1.ee59dap-50f), r);
    /* (sin r - r)/r^3 in z = r^2, |r| <= 0.786, in the weight z: 2^-27.4 */
    vf z = r * r, s = v_set(-0x1.994cfap-13f), c = v_set(0x1.9a00cep-16f);
    s = v_fma(s, z, v_set(0x1.11075cp-7f));
    s = v_fma(s, z, v_set(-0x1.555546p-3f));
    s = v_fma(s, z * r, r);
    /* (cos r - 1 + z/2)/z^2, in the weight z^2: 2^-30.9 */
    c = v_fma(c, z, v_set(-0x1.6c0c86p-10f));
    c = v_fma(c, z, v_set(0x1.55554ap-5f));
    c = v_fma(c, z * z, v_fma(v_set(-0.5f), z, v_set(1)));
    vf odd = (vf)((quadrant & 1) << 23); /* zero or a denormal */
    vf y = v_sel(v_eq(odd, v_set(0)), s, c);
    y = (vf)((vi)y ^ ((quadrant & 2) << 30));
    if (!cosine)
        y = v_sel(v_eq(x, v_set(0)), x, y);
    vm far = v_not(v_le(v_abs(x), v_set(8192)));
    if (CR__UNLIKELY(v_any(far))) {
        float in[CR__W], out[CR__W];
        v_store(in, x);
        sincos_far(out, in, CR__W, cosine);
        y = v_sel(far, v_load(out), y);
    }
    return y;
}

/* log(1 + e^t) = max(t, 0) + log1p(e^-|t|), t = beta x. */
CR__FN vf ma_softplus(vf x, vf beta, vf threshold)
{
    vf t = x * beta, e = ma_exp((vf)((vi)t | (int32_t)0x80000000));
    vf y = (v_max(v_set(0), t) + ma_log1p(e)) / beta;
    return v_sel(v_lt(threshold, t), x, y);
}

/* |x|^y = 2^(y log2 |x|) in f64, where both steps are good to 2^-36, rounded once; then
 * the cases of C's pow (C11 F.10.4.4). Masks here are plain integers. */
#define PICK(mask, a, b) ((vd)(((mask) & (vl)(a)) | (~(mask) & (vl)(b))))
CR__FN vd ma_pow_half(vd x, vd y)
{
    const vd inf = d_set(INFINITY), zero = d_set(0), one = d_set(1);
    vd a = d_abs(x);
    /* a = 2^k m, m in [sqrt 1/2, sqrt 2): 0x3fe6a09e... are the bits of sqrt 1/2, of
     * which only the exponent's place matters. All is positive, so the shift may be that
     * of unsigned. */
    vul bits = (vul)a;
    vl k = (vl)((bits - 0x0006a09e667f3bcd) >> 52) - 1022;
    vd kf = (vd)((k + 4096) | 0x4330000000000000) - (0x1p52 + 4096);
    vd m = (vd)(bits - ((vul)k << 52));
    /* log2 m = 2/ln 2 atanh((m - 1)/(m + 1)): its series to s^15, |s| <= 0.172, leaves
     * 2^-44 */
    vd s = (m - 1) / (m + 1), z = s * s, p = d_set(0x1.89f3b1694cffep-3);
    p = p * z + 0x1.c68f568d31760p-3;
    p = p * z + 0x1.0c9a84994022dp-2;
    p = p * z + 0x1.484b13d7c02a9p-2;
    p = p * z + 0x1.a61762a7aded9p-2;
    p = p * z + 0x1.2776c50ef9bfep-1;
    p = p * z + 0x1.ec709dc3a03fdp-1;
    p = p * z + 0x1.71547652b82fep1;
    vd log2 = p * s + kf;
    log2 = PICK(a == zero, -inf, PICK(a == inf, inf, log2));
    vd t = PICK(a == one, zero, y * log2);
    t = PICK(t > 200, d_set(200), PICK(t < -200, d_set(-200), t));
    vd n = t + 0x1.8p52;
    vul exponent = (vul)n << 52;
    /* e^r, |r| <= 0.3466: its series to r^10 leaves 2^-42 */
    vd r = (t - (n - 0x1.8p52)) * 0x1.62e42fefa39efp-1;
    vd e = r * (1.0 / 3628800) + 1.0 / 362880;
    e = e * r + 1.0 / 40320;
    e = e * r + 1.0 / 5040;
    e = e * r + 1.0 / 720;
    e = e * r + 1.0 / 120;
    e = e * r + 1.0 / 24;
    e = e * r + 1.0 / 6;
    e = e * r + 0.5;
    e = e * r + 1;
    e = e * r + 1;
    e = (vd)((vul)e + exponent);
    /* From 2^26 on every f32 is an even number. */
    vd w = PICK(d_abs(y) < 0x1p26, y, zero), half = w * 0.5;
    vl whole = (w + 0x1.8p52) - 0x1.8p52 == w;
    vl odd = whole & ((half + 0x1.8p52) - 0x1.8p52 != half);
    e = (vd)((vl)e | (odd & (vl)x & INT64_MIN));
    vl invalid = (x < zero) & (a != inf) & ~whole;
    e = PICK(invalid | (x != x) | (y != y), d_set(NAN), e);
    return PICK((x == one) | (y == zero), one, e);
}

CR__FN vf ma_pow(vf x, vf y)
{
    vh xs[2], ys[2], out[2];
    vf z;
    memcpy(xs, &x, sizeof x);
    memcpy(ys, &y, sizeof y);
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++)
        out[i] = __builtin_convertvector(ma_pow_half(__builtin_convertvector(xs[i], vd),
                                                     __builtin_convertvector(ys[i], vd)),
                                         vh);
    memcpy(&z, out, sizeof z);
    return z;
}
#undef PICK

/* ---- activations and their derivatives: slope is the first, curve the second ----
 *
 * All are made of E = e^-t, t >= 0, so that their tails keep their digits; where E may be a
 * subnormal number while it still counts, E 2^32 stands for it (ma_exp_up). |x| is cut where E
 * has become 0, so that nothing infinite meets a 0. Functions are within 5 ulp, first
 * derivatives within 6 and second ones within 9, but near their zeros, where these are ulp of
 * 1/2. */

/* The nearest number to x of -limit..limit; NaN passes. */
CR__FN vf ma_clip(vf x, float limit)
{
    return v_min(v_set(limit), v_max(v_set(-limit), x));
}

/* 2^32 e^-a for 0 <= a <= 140. */
CR__FN vf ma_exp_up(vf a)
{
    vf n, p = ma_exp_parts(-a, &n);
    return v_scale(p + 1, n + 32);
}

/* s(x) s(-x), s being the sigmoid. */
CR__FN vf ma_logistic_slope(vf x)
{
    vf e = ma_exp((vf)((vi)x | (int32_t)0x80000000)), d = e + 1;
    return e / (d * d);
}

/* -s' tanh(x/2) */
CR__FN vf ma_logistic_curve(vf x)
{
    return -ma_logistic_slope(x) * ma_tanh(x * 0.5f);
}

/* x e^x / (1 + e^x) below 0, x / (1 + e^-x) above */
CR__FN vf ma_silu(vf x)
{
    vf a = v_abs(ma_clip(x, 140)), up = ma_exp_up(a),
       d = v_fma(up, v_set(0x1p-32f), v_set(1));
    vf below = v_max(v_set(-140), x) * (up / d) * 0x1p-32f;
    return v_sel(v_lt(x, v_set(0)), below, x / d);
}

/* s(x) (1 + x s(-x)) */
CR__FN vf ma_silu_slope(vf x)
{
    vf a = v_abs(ma_clip(x, 140)), up = ma_exp_up(a), e = up * 0x1p-32f, d = e + 1;
    vf below = (up / d) * (1 - a / d) * 0x1p-32f;
    return v_sel(v_lt(x, v_set(0)), below, (1 + a * e / d) / d);
}

/* s'(x) (2 - x tanh(x/2)) */
CR__FN vf ma_silu_curve(vf x)
{
    vf a = v_abs(ma_clip(x, 140)), up = ma_exp_up(a), e = up * 0x1p-32f, d = e + 1;
    return up / (d * d) * (2 - a * (1 - e) / d) * 0x1p-32f;
}

/* 2^32 e^(-a^2/2) for |a| <= 15; what rounding the square has lost is made up for. */
CR__FN vf ma_bell(vf a)
{
    vf square = a * a, lost = v_fma(a, a, -square), up = ma_exp_up(square * 0.5f);
    return v_fma(up * lost, v_set(-0.5f), up);
}

/* Phi(-a) e^(a^2/2), 0 <= a <= 15, Phi being the normal distribution function: that times
 * a + 4 in w = (a - 4)/(a + 4), relative: 2^-25.5. What a + 4 has lost is made up for. */
CR__FN vf ma_mills(vf a)
{
    vf d = a + 4, lost = a - (d - 4), r = 1 / d, w, p = v_set(-0x1.b07cfp-15f);
    r = v_fma(r * -lost, r, r);
    w = v_fma(v_set(-8), r, v_set(1));
    p = v_fma(p, w, v_set(-0x1.e61df8p-13f));
    p = v_fma(p, w, v_set(0x1.66ba3ep-13f));
    p = v_fma(p, w, v_set(0x1.af48ccp-10f));
    p = v_fma(p, w, v_set(-0x1.c95a1p-9f));
    p = v_fma(p, w, v_set(-0x1.ee7c98p-8f));
    p = v_fma(p, w, v_set(0x1.eec6cep-5f));
    p = v_fma(p, w, v_set(-0x1.7dfedep-3f));
    p = v_fma(p, w, v_set(0x1.8c6dbcp-2f));
    p = v_fma(p, w, v_set(-0x1.373e3cp-1f));
    p = v_fma(p, w, v_set(0x1.82b4bcp-1f));
    return p * r;
}

/* x Phi(x) */
CR__FN vf ma_gelu(vf x)
{
    vf cut = ma_clip(x, 15), a = v_abs(cut), up = ma_bell(a) * ma_mills(a);
    return v_sel(v_lt(x, v_set(0)), cut * up * 0x1p-32f,
                 x * v_fma(up, v_set(-0x1p-32f), v_set(1)));
}

/* Phi(x) + x phi(x), phi(x) being e^(-x^2/2) / sqrt(2 pi) */
CR__FN vf ma_gelu_slope(vf x)
{
    vf a = v_abs(ma_clip(x, 15));
    vf up = v_fma(a, v_set(0x1.988454p-2f), -ma_mills(a)) * ma_bell(a);
    return v_sel(v_lt(x, v_set(0)), up * -0x1p-32f, v_fma(up, v_set(0x1p-32f), v_set(1)));
}

/* phi(x) (2 - x^2) */
CR__FN vf ma_gelu_curve(vf x)
{
    vf a = ma_clip(x, 15);
    return v_fma(-a, a, v_set(2)) * 0x1.988454p-2f * ma_bell(a) * 0x1p-32f;
}

/* With |x| cut to a: 2^32 e^-v for v = sqrt(8/pi) (a + 0.044715 a^3), which is made in f64,
 * for what is lost in rounding a large exponent counts; and v'. */
CR__FN vf ma_steep(vf x, vf *a, vf *slope)
{
    vh in[2], high[2], low[2];
    vf v, lost;
    *a = v_abs(ma_clip(x, 11.5f));
    *slope = v_fma(*a * *a, v_set(0x1.b6676cp-3f), v_set(0x1.988454p0f));
    memcpy(in, a, sizeof *a);
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        vd t = __builtin_convertvector(in[i], vd);
        t = t * (t * t * 0x1.2444f2a4d8b4bp-4 + 0x1.9884533d43651p+0);
        high[i] = __builtin_convertvector(t, vh);
        low[i] = __builtin_convertvector(t - __builtin_convertvector(high[i], vd), vh);
    }
    memcpy(&v, high, sizeof v);
    memcpy(&lost, low, sizeof lost);
    v = ma_exp_up(v);
    return v_fma(v, -lost, v);
}

/* x s(v(x)): x/2 (1 + tanh(v/2)) */
CR__FN vf ma_gelu_tanh(vf x)
{
    vf a, slope, up = ma_steep(x, &a, &slope), d = v_fma(up, v_set(0x1p-32f), v_set(1));
    return v_sel(v_lt(x, v_set(0)), -a * (up / d) * 0x1p-32f, x / d);
}

/* s(v) (1 + x v' s(-v)) */
CR__FN vf ma_gelu_tanh_slope(vf x)
{
    vf a, slope, up = ma_steep(x, &a, &slope), e = up * 0x1p-32f, d = e + 1;
    vf below = (up / d) * (1 - a * slope / d) * 0x1p-32f;
    return v_sel(v_lt(x, v_set(0)), below, (1 + a * slope * e / d) / d);
}

/* s'(v) (2 v' + x v'' - x v'^2 tanh(v/2)) */
CR__FN vf ma_gelu_tanh_curve(vf x)
{
    vf a, slope, up = ma_steep(x, &a, &slope), e = up * 0x1p-32f, d = e + 1;
    vf bend = v_fma(a * a, v_set(0x1.b6676cp-2f), slope * 2);
    return up / (d * d) * (bend - a * slope * slope * (1 - e) / d) * 0x1p-32f;
}
