/* Elementary functions of f64 vectors, within 2 ulp unless said otherwise
 * (tests/kernel_math64.c). A template over the vocabulary of vec.h; its numbers are in
 * math64_tables.h.
 *
 * Where the last bits count a number is a sum of two, high + low, of which the second is below
 * half an ulp of the first (T. J. Dekker, "A floating-point technique for extending the
 * available precision", 1971). */

#define md_sum          CR__V(md_sum)
#define md_near_sum     CR__V(md_near_sum)
#define md_product      CR__V(md_product)
#define md_quotient     CR__V(md_quotient)
#define md_root         CR__V(md_root)
#define md_nearest      CR__V(md_nearest)
#define md_power_of_2   CR__V(md_power_of_2)
#define md_scale        CR__V(md_scale)
#define md_exp_reduced  CR__V(md_exp_reduced)
#define md_exp_parts    CR__V(md_exp_parts)
#define md_exp_of       CR__V(md_exp_of)
#define md_exp_up       CR__V(md_exp_up)
#define md_exp          CR__V(md_exp)
#define md_exp2         CR__V(md_exp2)
#define md_log_mantissa CR__V(md_log_mantissa)
#define md_split        CR__V(md_split)
#define md_log_of       CR__V(md_log_of)
#define md_log_ends     CR__V(md_log_ends)
#define md_log          CR__V(md_log)
#define md_log10        CR__V(md_log10)
#define md_log2         CR__V(md_log2)
#define md_log1p_of     CR__V(md_log1p_of)
#define md_log1p        CR__V(md_log1p)
#define md_pow          CR__V(md_pow)
#define md_half_expm1   CR__V(md_half_expm1)
#define md_expm1        CR__V(md_expm1)
#define md_tanh         CR__V(md_tanh)
#define md_sinh         CR__V(md_sinh)
#define md_cosh         CR__V(md_cosh)
#define md_asinh        CR__V(md_asinh)
#define md_acosh        CR__V(md_acosh)
#define md_atanh        CR__V(md_atanh)
#define md_logit        CR__V(md_logit)
#define md_logaddexp    CR__V(md_logaddexp)
#define md_xlogy        CR__V(md_xlogy)
#define md_times_pi_2   CR__V(md_times_pi_2)
#define md_reduced      CR__V(md_reduced)
#define md_sin_parts    CR__V(md_sin_parts)
#define md_cos_parts    CR__V(md_cos_parts)
#define md_bit          CR__V(md_bit)
#define md_sincos_of    CR__V(md_sincos_of)
#define md_sin          CR__V(md_sin)
#define md_cos          CR__V(md_cos)
#define md_tan          CR__V(md_tan)
#define md_half_turns   CR__V(md_half_turns)
#define md_atan_of      CR__V(md_atan_of)
#define md_angle        CR__V(md_angle)
#define md_atan         CR__V(md_atan)
#define md_atan_slope   CR__V(md_atan_slope)
#define md_asinh_slope  CR__V(md_asinh_slope)
#define md_co           CR__V(md_co)
#define md_asin         CR__V(md_asin)
#define md_acos         CR__V(md_acos)
#define md_atan2        CR__V(md_atan2)

/* ---- sums, products and quotients of two numbers ---- */

/* A polynomial, its coefficients from the highest on. */
#define md_polynomial(x, table) CR__V(md_horner)(x, table, CR__COUNT(table))
CR__FN vd CR__V(md_horner)(vd x, const double *table, int n)
{
    vd p = d_set(table[0]);
#pragma GCC unroll 1
    for (int i = 1; i < n; i++)
        p = d_fma(p, x, d_set(table[i]));
    return p;
}

/* a + b and what it lost (Knuth 1969); the same where |a| >= |b| or a is 0. */
CR__FN vd md_sum(vd a, vd b, vd *low)
{
    vd s = a + b, t = s - a;
    *low = (a - (s - t)) + (b - t);
    return s;
}
CR__FN vd md_near_sum(vd a, vd b, vd *low)
{
    vd s = a + b;
    *low = b - (s - a);
    return s;
}

/* a b and what it lost. */
CR__FN vd md_product(vd a, vd b, vd *low)
{
    vd p = a * b;
    *low = d_fma(a, b, -p);
    return p;
}

/* (a + a_low) / (b + b_low) */
CR__FN vd md_quotient(vd a, vd a_low, vd b, vd b_low, vd *low)
{
    vd inverse = 1 / b, q = a * inverse;
    *low = (d_fma(-q, b, a) + d_fma(-q, b_low, a_low)) * inverse;
    return q;
}

/* The root of a + a_low, a not infinite. */
CR__FN vd md_root(vd a, vd a_low, vd *low)
{
    vd r = d_sqrt(a);
    *low = d_sel(d_lt(d_set(0), a), (d_fma(-r, r, a) + a_low) * 0.5 / r, d_set(0));
    return r;
}

/* ---- whole numbers and powers of two ---- */

/* |x| < 2^51 */
CR__FN vd md_nearest(vd x)
{
    return (x + 0x1.8p52) - 0x1.8p52;
}

/* 2^n, -1023 < n < 1024 */
CR__FN vd md_power_of_2(vd n)
{
    return (vd)((vul)(n + (0x1.8p52 + 1023)) << 52);
}

/* a 2^n, rounded once, for |n| < 2044 and a near 1: the first product is exact. */
CR__FN vd md_scale(vd a, vd n)
{
    vd half = md_nearest(n * 0.5);
    return a * md_power_of_2(half) * md_power_of_2(n - half);
}

/* ---- exponentials ---- */

#define LN2_HIGH 0x1.62e42fefa38p-1 /* 42 bits: times a whole number up to 2^11 exact */
#define LN2_LOW  0x1.ef35793c7673p-45

/* x + x_low = n ln 2 + r + *low, |r| <= 0.3475, for |x| <= 1000 */
CR__FN vd md_exp_reduced(vd x, vd x_low, vd *n, vd *low)
{
    *n = md_nearest(x * 0x1.71547652b82fep0);
    vd t = d_fma(*n, d_set(-LN2_HIGH), x), r = d_fma(*n, d_set(-LN2_LOW), t);
    return md_sum(r, d_fma(*n, d_set(-LN2_LOW), t - r) + x_low, low);
}

/* e^(r + r_low) - 1, r as above */
CR__FN vd md_exp_parts(vd r, vd r_low, vd *low)
{
    vd rest = d_fma(r * r, md_polynomial(r, math_exp), d_fma(r, r_low, r_low));
    return md_near_sum(r, rest, low);
}

/* e^(x + x_low); beyond the clamp it is 0 or infinity, and NaN passes. */
CR__FN vd md_exp_of(vd x, vd x_low)
{
    vd n, low, p;
    x = d_min(d_set(710), d_max(d_set(-746), x));
    p = md_exp_reduced(x, x_low, &n, &low);
    p = md_exp_parts(p, low, &low);
    return md_scale(1 + (p + low), n);
}

/* The same times 2^200, for -1100 <= x <= 0: what is multiplied before it is scaled down again is
 * rounded once where it becomes a subnormal number. */
#define UP   0x1p200
#define DOWN 0x1p-200
CR__FN vd md_exp_up(vd x, vd x_low)
{
    vd n, low, p = md_exp_reduced(x, x_low, &n, &low);
    p = md_exp_parts(p, low, &low);
    return md_scale(1 + (p + low), n + 200);
}

CR__FN vd md_exp(vd x)
{
    return md_exp_of(x, d_set(0));
}

CR__FN vd md_exp2(vd x)
{
    vd low;
    x = d_min(d_set(1025), d_max(d_set(-1077), x));
    vd n = md_nearest(x), r = x - n;
    r = md_product(r, d_set(0x1.62e42fefa39efp-1), &low);
    low = d_fma(x - n, d_set(0x1.abc9e3b39803fp-56), low);
    r = md_exp_parts(r, low, &low);
    return md_scale(1 + (r + low), n);
}

/* ---- logarithms ---- */

/* ln(1 + f + f_low) for 1 + f from sqrt 1/2 to sqrt 2: 2 atanh s = 2 s + s^3 (2/3 + s^2 ..),
 * s = f/(2 + f), to 2^-65. */
CR__FN vd md_log_mantissa(vd f, vd f_low, vd *low)
{
    vd b_low, b = md_near_sum(d_set(2), f, &b_low), s_low;
    vd s = md_quotient(f, f_low, b, b_low + f_low, &s_low);
    vd z_low, z = md_product(s, s, &z_low);
    z_low = d_fma(s * 2, s_low, z_low);
    vd t_low, t = md_near_sum(d_set(0x1.5555555555555p-1), z * md_polynomial(z, math_log),
                              &t_low);
    t_low = t_low + 0x1.5555555555555p-55;
    vd u_low, u = md_product(z, t, &u_low);
    u_low = d_fma(z, t_low, d_fma(z_low, t, u_low));
    vd v_low, v = md_product(s, u, &v_low);
    v_low = d_fma(s, u_low, d_fma(s_low, u, v_low));
    vd y = md_near_sum(s * 2, v, low);
    *low = *low + d_fma(s_low, d_set(2), v_low);
    return y;
}

/* x + x_low = 2^k (1 + f + f_low), x positive and finite. 0x0006a09e.. are the bits of
 * sqrt 1/2 behind the exponent. */
CR__FN vd md_split(vd x, vd x_low, vd *k, vd *f_low)
{
    vmd tiny = d_lt(x, d_set(0x1p-1022));
    x = d_sel(tiny, x * 0x1p54, x);
    vul bits = (vul)x, e = ((bits - 0x0006a09e667f3bcd) >> 52) - 1022;
    vd whole = (vd)((e + 4096) | 0x4330000000000000) - (0x1p52 + 4096);
    vd m = (vd)(bits - (e << 52));
    *k = whole - d_sel(tiny, d_set(54), d_set(0));
    return md_sum(m - 1, md_scale(x_low, -whole), f_low);
}

/* ln(x + x_low), x positive and finite. */
CR__CALL vd md_log_of(vd x, vd x_low, vd *low)
{
    vd k, f_low, f = md_split(x, x_low, &k, &f_low), y_low;
    vd y = md_log_mantissa(f, f_low, &y_low), rest;
    y = md_near_sum(k * LN2_HIGH, y, &rest);
    return md_near_sum(y, rest + d_fma(k, d_set(LN2_LOW), y_low), low);
}

/* y, the logarithm of x, but for zeros, infinity and what is no positive number. */
CR__FN vd md_log_ends(vd x, vd y)
{
    y = d_sel(d_eq(x, d_set(INFINITY)), x, y);
    y = d_sel(d_lt(d_set(0), x), y, d_set(NAN));
    return d_sel(d_eq(x, d_set(0)), d_set(-INFINITY), y);
}

CR__FN vd md_log(vd x)
{
    vd low, y = md_log_of(x, d_set(0), &low);
    return md_log_ends(x, y + low);
}

/* log10(2) in two parts, the first of 42 bits, and 1/ln(10). */
CR__FN vd md_log10(vd x)
{
    vd k, f_low, f = md_split(x, d_set(0), &k, &f_low), y_low, rest, low;
    vd y = md_log_mantissa(f, f_low, &y_low);
    vd p = md_product(y, d_set(0x1.bcb7b1526e50ep-2), &low);
    low = low + d_fma(y, d_set(0x1.95355baaafad3p-57), y_low * 0x1.bcb7b1526e50ep-2);
    y = md_near_sum(k * 0x1.34413509f78p-2, p, &rest);
    return md_log_ends(x, y + (rest + d_fma(k, d_set(0x1.fef311f12b358p-46), low)));
}

CR__FN vd md_log2(vd x)
{
    vd k, f_low, f = md_split(x, d_set(0), &k, &f_low), y_low, rest, low;
    vd y = md_log_mantissa(f, f_low, &y_low);
    vd p = md_product(y, d_set(0x1.71547652b82fep0), &low);
    low = low + d_fma(y, d_set(0x1.777d0ffda0d24p-56), y_low * 0x1.71547652b82fep0);
    y = md_near_sum(k, p, &rest);
    return md_log_ends(x, y + (rest + low));
}

/* ln(1 + x + x_low), 1 + x positive and finite, and no less precise where it is near 0, if
 * |x| >= 2^-40 or x_low is 0. */
CR__FN vd md_log1p_of(vd x, vd x_low, vd *low)
{
    vd rest, u = md_sum(d_set(1), x, &rest);
    return md_log_of(u, rest + x_low, low);
}

CR__FN vd md_log1p(vd x)
{
    vd low, y = md_log1p_of(x, d_set(0), &low);
    y = d_sel(d_lt(d_set(-1), x), y + low, d_set(NAN));
    y = d_sel(d_eq(x, d_set(-1)), d_set(-INFINITY), y);
    y = d_sel(d_eq(x, d_set(INFINITY)), x, y);
    return d_sel(d_lt(d_abs(x), d_set(0x1p-54)), x, y);
}

/* |x|^y = e^(y ln |x|), then the cases of C's pow (C11 F.10.4.4). */
CR__FN vd md_pow(vd x, vd y)
{
    const vd one = d_set(1), zero = d_set(0), inf = d_set(INFINITY);
    vd a = d_abs(x), low, product_low, l = md_log_of(a, zero, &low);
    l = d_sel(d_eq(a, zero), -inf, d_sel(d_eq(a, inf), inf, l));
    vd t = md_product(y, l, &product_low);
    product_low = d_fma(y, low, product_low);
    vmd within = d_lt(d_abs(t), d_set(800));
    t = d_sel(d_eq(a, one), zero, t);
    vd e = md_exp_of(t, d_sel(within, product_low, zero));
    vd half = y * 0.5;
    vmd whole = d_eq(d_floor(y), y);
    vmd odd = (vmd)(whole & d_ne(d_floor(half), half));
    e = d_sel(odd, d_copysign(e, x), e);
    vmd invalid = (vmd)(d_lt(x, zero) & d_lt(a, inf) & d_not(whole));
    vmd nan = (vmd)(d_ne(x, x) | d_ne(y, y));
    e = d_sel((vmd)(invalid | nan), d_set(NAN), e);
    return d_sel((vmd)(d_eq(x, one) | d_eq(y, zero)), one, e);
}

/* ---- e^x - 1 and hyperbolic functions ---- */

/* (e^x - 1)/2, -50 <= x <= 710.6: beyond 710.48 it is infinite, and *low no number. */
CR__FN vd md_half_expm1(vd x, vd *low)
{
    vd n, p, s;
    p = md_exp_reduced(x, d_set(0), &n, low);
    p = md_exp_parts(p, *low, low);
    s = md_power_of_2(n - 2);
    *low = *low * s;
    vd rest, y = md_near_sum(s - 0.25, s * p, &rest);
    *low = (*low + rest) * 2;
    return y * 2;
}

CR__FN vd md_expm1(vd x)
{
    vd low, y = md_half_expm1(d_min(d_set(710), d_max(d_set(-50), x)), &low);
    return d_sel(d_lt(d_abs(x), d_set(0x1p-54)), x, y * 2 + low * 2);
}

/* With t = (e^2a - 1)/2 it is t/(1 + t). */
CR__FN vd md_tanh(vd x)
{
    vd low, t = md_half_expm1(d_min(d_set(44), d_abs(x)) * 2, &low), b_low;
    vd b = md_sum(d_set(1), t, &b_low), q_low;
    vd q = md_quotient(t, low, b, b_low + low, &q_low);
    return d_copysign(d_sel(d_lt(d_abs(x), d_set(0x1p-30)), x, q + q_low), x);
}

/* With t = (e^|x| - 1)/2: t + t/(2 t + 1). */
CR__FN vd md_sinh(vd x)
{
    vd a = d_abs(x), low, t = md_half_expm1(d_min(d_set(710.6), a), &low);
    vmd far = d_lt(d_set(0x1p100), t);
    vd cut = d_min(d_set(0x1p100), t), cut_low = d_sel(far, d_set(0), low);
    vd b_low, b = md_sum(d_set(1), cut * 2, &b_low), q_low;
    vd q = md_quotient(cut, cut_low, b, b_low + cut_low * 2, &q_low), rest;
    vd y = md_near_sum(t, q, &rest);
    y = d_sel(far, t, y + (rest + cut_low + q_low));
    return d_copysign(d_sel(d_lt(a, d_set(0x1p-30)), a, y), x);
}

/* t + 1/2 + 1/(2 (2 t + 1)) */
CR__FN vd md_cosh(vd x)
{
    vd low, t = md_half_expm1(d_min(d_set(710.6), d_abs(x)), &low), rest;
    vmd far = d_lt(d_set(0x1p100), t);
    vd half = 0.5 / d_fma(t, d_set(2), d_set(1));
    vd y = md_sum(t, d_set(0.5), &rest);
    return d_sel(far, t, y + (rest + low + half));
}

/* 1 + f + f_low for f = x + x^2/(1 + sqrt(1 + x^2)): ln(x + sqrt(1 + x^2)), with what x^2 lost.
 * From 2^30 on it is ln 2x. */
CR__FN vd md_asinh(vd x)
{
    vd a = d_abs(x), cut = d_min(d_set(0x1p30), a), square_low, rest, low;
    vd square = md_product(cut, cut, &square_low);
    vd sum = md_sum(d_set(1), square, &rest);
    vd root_low, root = md_root(sum, rest + square_low, &root_low);
    vd b_low, b = md_sum(d_set(1), root, &b_low), q_low;
    vd q = md_quotient(square, square_low, b, b_low + root_low, &q_low);
    vd f_low, f = md_near_sum(cut, q, &f_low);
    vd u = md_sum(d_set(1), f, &rest);
    vmd far = d_lt(d_set(0x1p30), a);
    rest = d_sel(far, d_set(0), rest + f_low + q_low);
    vd y = md_log_of(d_sel(far, a, u), rest, &low);
    vd far_low, far_y = md_near_sum(y, d_set(LN2_HIGH), &far_low);
    y = d_sel(far, far_y + (far_low + low + LN2_LOW), y + low);
    y = d_sel(d_lt(a, d_set(0x1p-28)), a, y);
    return d_copysign(d_sel(d_lt(a, d_set(INFINITY)), y, a), x);
}

/* ln(1 + t + sqrt(t (2 + t))), t = x - 1; from 2^30 on ln 2x. */
CR__FN vd md_acosh(vd x)
{
    vd cut = d_min(d_set(0x1p30), x), t_low, t = md_sum(cut, d_set(-1), &t_low);
    vd b_low, b = md_sum(d_set(2), t, &b_low), p_low, p = md_product(t, b, &p_low);
    p_low = p_low + d_fma(t, b_low + t_low, t_low * b);
    vd root_low, root = md_root(p, p_low, &root_low), f_low, f = md_sum(root, t, &f_low);
    vd rest, u = md_sum(d_set(1), f, &rest), low;
    vmd far = d_lt(d_set(0x1p30), x);
    rest = d_sel(far, d_set(0), rest + f_low + root_low + t_low);
    vd y = md_log_of(d_sel(far, x, u), rest, &low);
    vd far_low, far_y = md_near_sum(y, d_set(LN2_HIGH), &far_low);
    y = d_sel(far, far_y + (far_low + low + LN2_LOW), y + low);
    y = d_sel(d_lt(x, d_set(INFINITY)), y, x);
    return d_sel(d_lt(x, d_set(1)), d_set(NAN), y);
}

/* ln((1 + a)/(1 - a))/2 */
CR__FN vd md_atanh(vd x)
{
    vd a = d_abs(x), n_low, n = md_sum(d_set(1), a, &n_low);
    vd b_low, b = md_sum(d_set(1), -a, &b_low), q_low;
    vd q = md_quotient(n, n_low, b, b_low, &q_low), low, y = md_log_of(q, q_low, &low);
    y = d_sel(d_lt(a, d_set(0x1p-28)), a, (y + low) * 0.5);
    y = d_sel(d_eq(a, d_set(1)), d_set(INFINITY), y);
    return d_copysign(d_sel(d_le(a, d_set(1)), y, d_set(NAN)), x);
}

/* ln(x/(1 - x)) */
CR__FN vd md_logit(vd x)
{
    vd b_low, b = md_sum(d_set(1), -x, &b_low), q_low;
    vd q = md_quotient(x, d_set(0), b, b_low, &q_low), low, y = md_log_of(q, q_low, &low);
    vd ends = d_sel(d_eq(x, d_set(0)), d_set(-INFINITY), d_set(NAN));
    ends = d_sel(d_eq(x, d_set(1)), d_set(INFINITY), ends);
    vmd within = (vmd)(d_lt(d_set(0), x) & d_lt(x, d_set(1)));
    return d_sel(within, y + low, ends);
}

/* The larger plus ln(1 + e^-(their distance)), which may be its opposite. */
CR__FN vd md_logaddexp(vd x, vd y)
{
    vd most = d_max(x, y), least = d_min(x, y), d_low, d = md_sum(least, -most, &d_low);
    vmd far = d_not(d_lt(d_set(-800), d));
    d = d_sel(far, d_set(-800), d);
    vd n, low, rest, p = md_exp_reduced(d, d_sel(far, d_set(0), d_low), &n, &low);
    p = md_exp_parts(p, low, &low);
    vd e = md_near_sum(d_set(1), p, &rest), scale = md_scale(d_set(1), n);
    vd l = md_log1p_of(e * scale, (rest + low) * scale, &low);
    vmd tiny = d_lt(d, d_set(-40));
    l = d_sel(tiny, e * scale, l), low = d_sel(tiny, d_set(0), low);
    vd s = md_sum(most, l, &rest);
    s = d_sel(far, most + 0, s + (rest + low)); /* no -0 */
    s = d_sel(d_ne(x, x), x, s);
    return d_sel(d_ne(y, y), y, s);
}

/* x ln y; 0 where x is, unless y is NaN */
CR__FN vd md_xlogy(vd x, vd y)
{
    vd low, l = md_log_of(y, d_set(0), &low), z_low,
            z = md_product(x, md_log_ends(y, l), &z_low);
    vmd ends = d_not(d_lt(d_abs(z_low), d_set(1)));
    z = d_sel(ends, z, z + d_fma(x, d_sel(ends, d_set(0), low), z_low));
    z = d_sel(d_eq(x, d_set(0)), d_set(0), z);
    return d_sel(d_ne(y, y), y, z);
}

/* ---- trigonometric functions ---- */

#define PI_2_HIGH   0x1.921fb54442d18p0
#define PI_2_MIDDLE 0x1.1a62633145c07p-54
#define PI_2_LOW    -0x1.f1976b7ed8fbcp-110

/* (x + x_low) pi/2 */
CR__FN vd md_times_pi_2(vd x, vd x_low, vd *low)
{
    vd y = md_product(x, d_set(PI_2_HIGH), low);
    *low = d_fma(x, d_set(PI_2_MIDDLE), d_fma(x_low, d_set(PI_2_HIGH), *low));
    return y;
}

/* x = q pi/2 + r + *low, |r| <= 0.786: up to 2^20 by steps of which the first is exact, farther
 * out lane by lane. */
CR__FN vd md_reduced(vd x, vd *low, vul *quadrant)
{
    vd t = d_fma(x, d_set(0x1.45f306dc9c883p-1), d_set(0x1.8p52)), n = t - 0x1.8p52;
    vd w_low, w = md_product(n, d_set(PI_2_MIDDLE), &w_low);
    vd r = md_sum(d_fma(n, d_set(-PI_2_HIGH), x), -w, low);
    *low = *low - d_fma(n, d_set(PI_2_LOW), w_low);
    *quadrant = (vul)t;
    vmd far = d_not(d_lt(d_abs(x), d_set(0x1p20)));
    if (CR__UNLIKELY(d_any(far))) {
        double in[CR__W / 2], turns[CR__W / 2], rest[CR__W / 2], q[CR__W / 2];
        d_store(in, x);
        for (int i = 0; i < CR__W / 2; i++)
            turns[i] = math_quarter_turns(in[i], &rest[i], &q[i]);
        vd far_low, y = md_times_pi_2(d_load(turns), d_load(rest), &far_low);
        r = d_sel(far, y, r);
        *low = d_sel(far, far_low, *low);
        *quadrant = (vul)d_sel(far, d_load(q) + 0x1.8p52, t);
    }
    return r;
}

/* sin and cos of r + r_low */
CR__FN vd md_sin_parts(vd r, vd r_low, vd *low)
{
    vd z = r * r, rest = r_low * d_fma(z, d_set(-0.5), d_set(1));
    return md_near_sum(r, d_fma(r * z, md_polynomial(z, math_sin), rest), low);
}
CR__FN vd md_cos_parts(vd r, vd r_low, vd *low)
{
    vd z_low, z = md_product(r, r, &z_low), w_low;
    vd w = md_near_sum(d_set(1), z * -0.5, &w_low);
    vd rest = d_fma(r, -r_low, d_fma(z_low, d_set(-0.5), w_low));
    return md_near_sum(w, d_fma(z * z, md_polynomial(z, math_cos), rest), low);
}

/* Lanes whose bit is set in the quadrant: as the bits of 2 and 0. */
CR__FN vmd md_bit(vul quadrant, int bit)
{
    return d_ne((vd)(quadrant >> bit << 62 & (INT64_C(1) << 62)), d_set(0));
}

/* sin and cos of the quadrant and the angle; their low parts too. */
CR__CALL vd md_sincos_of(vd r, vd r_low, vul quadrant, vd *low)
{
    vd s_low, s = md_sin_parts(r, r_low, &s_low), c_low,
              c = md_cos_parts(r, r_low, &c_low);
    vmd odd = md_bit(quadrant, 0);
    vul sign = quadrant >> 1 << 63;
    *low = (vd)((vul)d_sel(odd, c_low, s_low) ^ sign);
    return (vd)((vul)d_sel(odd, c, s) ^ sign);
}

CR__FN vd md_sin(vd x)
{
    vul quadrant;
    vd low, r = md_reduced(x, &low, &quadrant);
    r = md_sincos_of(r, low, quadrant, &low);
    return d_sel(d_lt(d_abs(x), d_set(0x1p-27)), x, r + low);
}

CR__FN vd md_cos(vd x)
{
    vul quadrant;
    vd low, r = md_reduced(x, &low, &quadrant);
    r = md_sincos_of(r, low, quadrant + 1, &low);
    return r + low;
}

CR__FN vd md_tan(vd x)
{
    vul quadrant;
    vd low, r = md_reduced(x, &low, &quadrant), s_low, c_low, q_low;
    vd s = md_sincos_of(r, low, quadrant, &s_low);
    vd c = md_sincos_of(r, low, quadrant + 1, &c_low);
    vd q = md_quotient(s, s_low, c, c_low, &q_low);
    return d_sel(d_lt(d_abs(x), d_set(0x1p-27)), x, q + q_low);
}

/* x = q/2 + f, |f| <= 1/4, for every finite x, of which whole turns are left out where they are
 * many; returns f pi. */
CR__FN vd md_half_turns(vd x, vd *low, vul *quadrant)
{
    vd y = d_fma(d_floor(x * 0.5), d_set(-2), x), t;
    y = d_sel(d_lt(d_abs(x), d_set(0x1p50)), x, y), t = y * 2 + 0x1.8p52;
    *quadrant = (vul)t;
    return md_times_pi_2(d_fma(t - 0x1.8p52, d_set(-1), y * 2), d_set(0), low);
}

/* ---- their inverses ---- */

/* atan((y + y_low)/(x + x_low)), 0 <= y <= x, x not 0: the angle whose tangent is the nearest
 * eighth, and what is left. */
CR__FN vd md_atan_of(vd y, vd y_low, vd x, vd x_low, vd *low)
{
    vd c = md_nearest(y / x * 8), p_low, rest;
    vl at = (vl)(vul)(c + 0x1.8p52) & 15;
    c = c * 0.125;
    vd p = md_product(c, x, &p_low), n = md_sum(y, -p, &rest);
    vd n_low = rest + (y_low - p_low - c * x_low);
    p = md_product(c, y, &p_low);
    vd d = md_near_sum(x, p, &rest), d_low = rest + (x_low + p_low + c * y_low);
    vd t_low, t = md_quotient(n, n_low, d, d_low, &t_low), z = t * t;
    t_low = d_fma(t * z, md_polynomial(z, math_atan), t_low);
    vd a = md_near_sum(d_gather(math_eighths, at), t, &rest);
    rest = rest + (d_gather(math_eighths + 9, at) + t_low);
    return md_near_sum(a, rest, low);
}

/* atan2 of two finite numbers, the second of which alone may be 0. */
CR__CALL vd md_angle(vd y, vd y_low, vd x, vd x_low)
{
    vul flip_y = (vul)y & (vul)d_set(-0.0), flip_x = (vul)x & (vul)d_set(-0.0);
    vd v = d_abs(y), v_low = (vd)((vul)y_low ^ flip_y);
    vd u = d_abs(x), u_low = (vd)((vul)x_low ^ flip_x);
    vmd steep = d_lt(u, v);
    vd a_low, a = md_atan_of(d_sel(steep, u, v), d_sel(steep, u_low, v_low),
                             d_sel(steep, v, u), d_sel(steep, v_low, u_low), &a_low);
    vd rest, b = md_near_sum(d_set(PI_2_HIGH), -a, &rest);
    a_low = d_sel(steep, rest - a_low + PI_2_MIDDLE, a_low);
    a = d_sel(steep, b, a);
    b = md_near_sum(d_set(2 * PI_2_HIGH), -a, &rest);
    vmd left = d_lt(d_copysign(d_set(1), x), d_set(0));
    a_low = d_sel(left, rest - a_low + 2 * PI_2_MIDDLE, a_low);
    a = d_sel(left, b, a);
    return d_copysign(a + a_low, y);
}

CR__FN vd md_atan(vd x)
{
    vd cut = d_min(d_set(0x1p200), d_max(d_set(-0x1p200), x));
    vd y = md_angle(cut, d_set(0), d_set(1), d_set(0));
    return d_sel(d_lt(d_abs(x), d_set(0x1p-28)), x, y);
}

/* 1/(1 + x^2) and 1/sqrt(1 + x^2) */
CR__FN vd md_atan_slope(vd x)
{
    vd inverse = 1 / x;
    return d_sel(d_lt(d_set(0x1p500), d_abs(x)), inverse * inverse,
                 1 / d_fma(x, x, d_set(1)));
}
CR__FN vd md_asinh_slope(vd x)
{
    vd a = d_abs(x), near = d_sqrt(d_fma(x, x, d_set(1)));
    return 1 / d_sel(d_lt(a, d_set(0x1p500)), near, a);
}

/* sqrt(1 - x^2) */
CR__FN vd md_co(vd x, vd *low)
{
    vd m_low, m = md_sum(d_set(1), -x, &m_low), p_low, p = md_sum(d_set(1), x, &p_low);
    vd square_low, square = md_product(m, p, &square_low);
    square_low = square_low + d_fma(m, p_low, m_low * p);
    return md_root(square, square_low, low);
}

CR__FN vd md_asin(vd x)
{
    vd low, c = md_co(x, &low), y = md_angle(x, d_set(0), c, low);
    y = d_sel(d_lt(d_abs(x), d_set(0x1p-28)), x, y);
    return d_sel(d_le(d_abs(x), d_set(1)), y, d_set(NAN));
}

CR__FN vd md_acos(vd x)
{
    vd low, c = md_co(x, &low), y = md_angle(c, low, x, d_set(0));
    return d_sel(d_le(d_abs(x), d_set(1)), y, d_set(NAN));
}

/* Infinities count as 1 beside what is finite and as equals of each other. Both are scaled where
 * their sum could overflow, or their quotient's rest vanish. */
CR__FN vd md_atan2(vd y, vd x)
{
    const vd one = d_set(1), inf = d_set(INFINITY);
    vmd y_far = d_eq(d_abs(y), inf), x_far = d_eq(d_abs(x), inf),
        any = (vmd)(y_far | x_far);
    vd v = d_sel(any, d_copysign(d_sel(y_far, one, d_set(0)), y), y);
    vd u = d_sel(any, d_copysign(d_sel(x_far, one, d_set(0)), x), x);
    vd most = d_max(d_abs(v), d_abs(u));
    vd scale = d_sel(d_lt(d_set(0x1p500), most), d_set(0x1p-500),
                     d_sel(d_lt(most, d_set(0x1p-500)), d_set(0x1p500), one));
    v = v * scale, u = u * scale;
    vmd origin = d_eq(most, d_set(0));
    vd angle = md_angle(v, d_set(0), d_sel(origin, d_copysign(one, u), u), d_set(0));
    return d_sel((vmd)(d_ne(x, x) | d_ne(y, y)), d_set(NAN), angle);
}
