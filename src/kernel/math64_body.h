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
#define md_exp          CR__V(md_exp)
#define md_exp2         CR__V(md_exp2)
#define md_log_mantissa CR__V(md_log_mantissa)
#define md_split        CR__V(md_split)
#define md_log_of       CR__V(md_log_of)
#define md_log_ends     CR__V(md_log_ends)
#define md_log          CR__V(md_log)
#define md_log10        CR__V(md_log10)

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
    *low = d_fma(*n, d_set(-LN2_LOW), t - r) + x_low;
    return r;
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
