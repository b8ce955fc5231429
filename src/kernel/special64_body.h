/* Special functions and activations of f64 vectors, made of math64_body.h; their bounds are
 * those of tests/kernel_math64.c. A template over the vocabulary of vec.h. */

#define md_clip            CR__V(md_clip)
#define md_decay           CR__V(md_decay)
#define md_sigmoid         CR__V(md_sigmoid)
#define md_softplus        CR__V(md_softplus)
#define md_logistic_slope  CR__V(md_logistic_slope)
#define md_logistic_curve  CR__V(md_logistic_curve)
#define md_silu            CR__V(md_silu)
#define md_silu_slope      CR__V(md_silu_slope)
#define md_silu_curve      CR__V(md_silu_curve)
#define md_steep           CR__V(md_steep)
#define md_gelu_tanh       CR__V(md_gelu_tanh)
#define md_gelu_tanh_slope CR__V(md_gelu_tanh_slope)
#define md_gelu_tanh_curve CR__V(md_gelu_tanh_curve)
#define md_erfcx_of        CR__V(md_erfcx_of)
#define md_bell            CR__V(md_bell)
#define md_erf_near        CR__V(md_erf_near)
#define md_erf             CR__V(md_erf)
#define md_erfc            CR__V(md_erfc)
#define md_erfinv          CR__V(md_erfinv)
#define md_erfinv_slope    CR__V(md_erfinv_slope)
#define md_normal_bell     CR__V(md_normal_bell)
#define md_mills           CR__V(md_mills)
#define md_gelu            CR__V(md_gelu)
#define md_gelu_slope      CR__V(md_gelu_slope)
#define md_gelu_curve      CR__V(md_gelu_curve)
#define md_sin_pi          CR__V(md_sin_pi)
#define md_lgamma_of       CR__V(md_lgamma_of)
#define md_lgamma          CR__V(md_lgamma)
#define md_digamma_of      CR__V(md_digamma_of)
#define md_digamma         CR__V(md_digamma)
#define md_zeta            CR__V(md_zeta)
#define md_polygamma       CR__V(md_polygamma)
#define md_sinc            CR__V(md_sinc)
#define md_sinc_nth        CR__V(md_sinc_nth)

/* ---- the sigmoid and what is made of it ---- */

/* The nearest number to x of -limit..limit; NaN passes. */
CR__FN vd md_clip(vd x, double limit)
{
    return d_min(d_set(limit), d_max(d_set(-limit), x));
}

/* e^-a for a >= 0 */
CR__FN vd md_decay(vd a)
{
    return md_exp_of(-a, d_set(0));
}

CR__FN vd md_sigmoid(vd x)
{
    vd e = md_decay(d_abs(x)), rest, b = md_near_sum(d_set(1), e, &rest), low;
    vd q = md_quotient(d_sel(d_lt(x, d_set(0)), e, d_set(1)), d_set(0), b, rest, &low);
    return q + low;
}

/* ln(1 + e^t)/beta, t = beta x, with what t has lost */
CR__FN vd md_softplus(vd x, vd beta, vd threshold)
{
    vd low, t = md_product(x, beta, &low), cut = md_clip(t, 800);
    low = d_sel(d_eq(t, cut), low, d_set(0));
    vmd below = d_lt(t, d_set(0));
    vd e = md_exp_of(-d_abs(cut), d_sel(below, low, -low)), rest, sum_low;
    vd l = md_log1p_of(e, d_set(0), &rest);
    vmd tiny = d_lt(e, d_set(0x1p-54));
    l = d_sel(tiny, e, l);
    rest = d_sel(tiny, d_set(0), rest);
    vd sum = md_sum(d_max(d_set(0), t), l, &sum_low);
    rest = d_sel(below, rest, rest + low) + sum_low;
    sum = (sum + d_sel(d_eq(t, cut), rest, d_set(0))) / beta;
    return d_sel(d_lt(threshold, t), x, d_sel(d_ne(t, t), t, sum));
}

/* |x| is cut where what is exponential in it has vanished: nothing infinite meets a 0. Of these,
 * e is e^-a, and up is e UP. */

/* s(x) s(-x), s being the sigmoid */
CR__FN vd md_logistic_slope(vd x)
{
    vd e = md_decay(d_abs(x)), b = e + 1;
    return e / (b * b);
}

/* -s' tanh(x/2) */
CR__FN vd md_logistic_curve(vd x)
{
    return -md_logistic_slope(x) * md_tanh(x * 0.5);
}

/* x s(x) */
CR__FN vd md_silu(vd x)
{
    vd a = d_abs(md_clip(x, 800)), up = md_exp_up(-a, d_set(0)),
       b = d_fma(up, d_set(DOWN), d_set(1));
    return d_sel(d_lt(x, d_set(0)), -a * up / b * DOWN, x / b);
}

/* s(x) (1 + x s(-x)) */
CR__FN vd md_silu_slope(vd x)
{
    vd a = d_abs(md_clip(x, 800)), up = md_exp_up(-a, d_set(0)), e = up * DOWN, b = e + 1;
    return d_sel(d_lt(x, d_set(0)), up / b * (1 - a / b) * DOWN, (1 + a * e / b) / b);
}

/* s'(x) (2 - x tanh(x/2)) */
CR__FN vd md_silu_curve(vd x)
{
    vd a = d_abs(md_clip(x, 800)), up = md_exp_up(-a, d_set(0)), e = up * DOWN, b = e + 1;
    return up / (b * b) * (2 - a * (1 - e) / b) * DOWN;
}

/* UP e^-v for v = k (a + c a^3), k = sqrt(8/pi) and c = 0.044715, with what v has lost; and v' */
CR__FN vd md_steep(vd a, vd *slope)
{
    vd square_low, square = md_product(a, a, &square_low), low, factor_low, v_low;
    vd term = md_product(square, d_set(0x1.2444f2a4d8b4bp-4), &low);
    low = low +
          d_fma(square_low, d_set(0x1.2444f2a4d8b4bp-4), square * -0x1.6c843a29d1c70p-61);
    vd factor = md_sum(term, d_set(0x1.9884533d43651p+0), &factor_low);
    factor_low = factor_low + (low + -0x1.cbc0d30ebfd15p-54);
    vd v = md_product(a, factor, &v_low);
    *slope = d_fma(term, d_set(3), d_set(0x1.9884533d43651p+0));
    return md_exp_up(-v, -d_fma(a, factor_low, v_low));
}

/* x s(v(x)) */
CR__FN vd md_gelu_tanh(vd x)
{
    vd slope, a = d_abs(md_clip(x, 22)), up = md_steep(a, &slope),
              b = d_fma(up, d_set(DOWN), d_set(1));
    return d_sel(d_lt(x, d_set(0)), -a * up / b * DOWN, x / b);
}

/* s(v) (1 + x v' s(-v)) */
CR__FN vd md_gelu_tanh_slope(vd x)
{
    vd slope, a = d_abs(md_clip(x, 22)), up = md_steep(a, &slope), e = up * DOWN,
              b = e + 1;
    vd below = up / b * (1 - a * slope / b) * DOWN;
    return d_sel(d_lt(x, d_set(0)), below, (1 + a * slope * e / b) / b);
}

/* s'(v) (2 v' + x v'' - x v'^2 tanh(v/2)) */
CR__FN vd md_gelu_tanh_curve(vd x)
{
    vd slope, a = d_abs(md_clip(x, 22)), up = md_steep(a, &slope), e = up * DOWN,
              b = e + 1;
    vd bend = d_fma(a * a, d_set(6 * 0x1.2444f2a4d8b4bp-4), slope * 2);
    return up / (b * b) * (bend - a * slope * slope * (1 - e) / b) * DOWN;
}

/* ---- the normal distribution ---- */

/* e^(a^2) erfc(a), 0 <= a <= 29: a polynomial in (a - 3)/(a + 3), over a + 3 */
CR__CALL vd md_erfcx_of(vd a, vd *low)
{
    vd b_low, b = md_sum(a, d_set(3), &b_low), rest, q_low;
    vd c_low, c = md_sum(a, d_set(-3), &c_low),
              w = md_quotient(c, c_low, b, b_low, &q_low);
    w = w + q_low;
    vd p = md_sum(w * md_polynomial(w, math_erfcx), d_set(0x1.12f21ddd9f5e2p+0), &rest);
    return md_quotient(p, rest + -0x1.962bf736a7417p-54, b, b_low, low);
}

/* e^(-x^2): 0 from 28 on */
CR__FN vd md_bell(vd x)
{
    vd a = d_abs(md_clip(x, 28)), low, square = md_product(a, a, &low);
    return md_exp_of(-square, -low);
}

/* erf(x), |x| <= 1 */
CR__FN vd md_erf_near(vd x)
{
    return x * md_polynomial(x * x, math_erf);
}

CR__FN vd md_erf(vd x)
{
    vd a = md_clip(d_abs(x), 28), low,
       far = d_fma(-md_bell(a), md_erfcx_of(a, &low), d_set(1));
    return d_sel(d_lt(a, d_set(1)), md_erf_near(x), d_copysign(far, x));
}

/* From 1/2 on e^(-x^2) erfcx(x), whose parts are scaled so that the product is rounded once where
 * it is a subnormal number. */
CR__FN vd md_erfc(vd x)
{
    vd a = md_clip(d_abs(x), 28), low, square = md_product(a, a, &low), n, rest;
    vd r = md_exp_reduced(-square, -low, &n, &low);
    r = md_exp_parts(r, low, &low);
    vd e = md_near_sum(d_set(1), r, &rest), m_low, m = md_erfcx_of(a, &m_low);
    vd tail = md_product(e, m, &square);
    tail = md_scale(tail + (square + d_fma(rest + low, m, m_low * e)), n);
    vd near = 1 - md_erf_near(md_clip(x, 1));
    vd far = d_sel(d_lt(x, d_set(0)), 2 - tail, tail);
    return d_sel(d_lt(a, d_set(0.5)), near, d_sel(d_ne(x, x), x, far));
}

/* Of |x| up to 0.7 a polynomial, then in the root of -ln(1 - |x|), by thirds. */
CR__FN vd md_erfinv(vd x)
{
    vd a = d_abs(x), low, l = md_log_of(1 - a, d_set(0), &low), s = d_sqrt(-(l + low));
    s = d_min(d_set(6.1), d_max(d_set(1), s));
    vmd first = d_lt(s, d_set(2)), last = d_lt(d_set(3.5), s);
    vul at = (vul)d_sel(first, d_set(0), d_sel(last, d_set(2), d_set(1)) + 0x1.8p52) & 3;
    vd v = s - d_sel(first, d_set(1.5), d_sel(last, d_set(4.75), d_set(2.75)));
    vd p = d_gather(math_erfinv_far, (vl)at);
    for (int i = 1; i < CR__COUNT(math_erfinv_far) / 3; i++)
        p = d_fma(p, v, d_gather(math_erfinv_far + 3 * i, (vl)at));
    vd y = d_sel(d_lt(a, d_set(0.6875)), a * md_polynomial(a * a, math_erfinv), s * p);
    y = d_sel(d_eq(a, d_set(1)), d_set(INFINITY), y);
    return d_copysign(d_sel(d_le(a, d_set(1)), y, d_set(NAN)), x);
}

/* erfinv'(x) = sqrt(pi)/2 e^(y^2), y = erfinv(x); near 1 sqrt(pi)/2 erfcx(|y|)/(1 - |x|), which
 * hardly feels what y has lost. */
CR__FN vd md_erfinv_slope(vd x)
{
    vd a = d_abs(x), y = md_clip(md_erfinv(a), 28), low,
       far = md_erfcx_of(y, &low) / (1 - a);
    vd slope = d_sel(d_lt(a, d_set(0.6875)), md_exp(y * y), far) * 0x1.c5bf891b4ef6bp-1;
    return d_sel(d_le(a, d_set(1)), slope, d_set(NAN));
}

/* UP e^(-a^2/2), |a| <= 40, and what that is to be multiplied by for what is above a of the
 * normal distribution: erfcx hardly feels that a over the root of 2 is rounded. */
CR__FN vd md_normal_bell(vd a)
{
    vd low, square = md_product(a, a, &low);
    return md_exp_up(square * -0.5, low * -0.5);
}
CR__FN vd md_mills(vd a)
{
    vd low, m = md_erfcx_of(a * 0x1.6a09e667f3bcdp-1, &low);
    return (m + low) * 0.5;
}

/* x Phi(x) */
CR__FN vd md_gelu(vd x)
{
    vd cut = md_clip(x, 40), up = md_normal_bell(cut) * md_mills(d_abs(cut));
    return d_sel(d_lt(x, d_set(0)), cut * up * DOWN,
                 x * d_fma(up, d_set(-DOWN), d_set(1)));
}

/* Phi(x) + x phi(x) */
CR__FN vd md_gelu_slope(vd x)
{
    vd a = d_abs(md_clip(x, 40));
    vd up = d_fma(a, d_set(0x1.9884533d43651p-2), -md_mills(a)) * md_normal_bell(a);
    return d_sel(d_lt(x, d_set(0)), up * -DOWN, d_fma(up, d_set(DOWN), d_set(1)));
}

/* phi(x) (2 - x^2) */
CR__FN vd md_gelu_curve(vd x)
{
    vd a = md_clip(x, 40);
    return d_fma(-a, a, d_set(2)) * 0x1.9884533d43651p-2 * md_normal_bell(a) * DOWN;
}

/* ---- the gamma function's ---- */

/* sin(pi x) */
CR__FN vd md_sin_pi(vd x, vd *low)
{
    vul quadrant;
    vd r_low, r = md_half_turns(x, &r_low, &quadrant);
    return md_sincos_of(r, r_low, quadrant, low);
}

/* x > 0: down to t = x - 2, x - 1 or x from -3/4 to 1/2, the factors between in a product, whose
 * logarithm is added; from 8 on Stirling's series. */
CR__CALL vd md_lgamma_of(vd x, vd *low)
{
    vmd far = d_le(d_set(8), x);
    vd t = x, p = d_set(1), p_low = d_set(0);
    for (int i = 0; i < 6; i++) {
        vmd more = d_le(d_set(2.5), t);
        vd t_1 = t - 1, q_low, q = md_product(p, t_1, &q_low);
        q_low = d_fma(p_low, t_1, q_low);
        p = d_sel(more, q, p), p_low = d_sel(more, q_low, p_low);
        t = d_sel(more, t_1, t);
    }
    vmd small = d_lt(t, d_set(0.5)), middle = d_lt(t, d_set(1.25));
    vd rest, u = md_sum(t, d_set(1), &rest), q_low, q = md_product(u, t, &q_low);
    q_low = d_fma(rest, t, q_low);
    q = d_sel(small, q, d_sel(middle, t, p));
    q_low = d_sel(small, q_low, d_sel(middle, d_set(0), p_low));
    t = t - d_sel(small, d_set(0), d_sel(middle, d_set(1), d_set(2)));
    vd l_low, l = md_log_of(d_sel(far, x, q), d_sel(far, d_set(0), q_low), &l_low);
    vd sign =
        d_sel(middle, d_set(-1), d_set(1)); /* Gamma(x) = Gamma(x + 2) / (x (x + 1)) */
    vd n_low, n = md_product(t, md_polynomial(t, math_lgamma), &n_low);
    vd near_low, near = md_sum(n, l * sign, &near_low);
    near_low = near_low + d_fma(l_low, sign, n_low);
    /* (x - 1/2) (ln x - 1) + (ln(2 pi) - 1)/2 + .. */
    vd m = md_near_sum(l, d_set(-1), &rest), inverse = 1 / x;
    vd half_low, half = md_sum(x, d_set(-0.5), &half_low);
    vd s_low, s = md_product(half, m, &s_low);
    s_low = s_low + d_fma(half, rest + l_low, half_low * m);
    vd series = inverse * md_polynomial(inverse * inverse, math_stirling);
    vd y = md_sum(s, d_set(0x1.acfe390c97d69p-2), &rest);
    *low = d_sel(far, s_low + (rest + (series + 0x1.3494bc9001442p-56)), near_low);
    return d_sel(far, y, near);
}

/* Below 0: ln(pi / |x sin(pi x)|) - lgamma(-x). */
CR__FN vd md_lgamma(vd x)
{
    vd a = d_abs(x), cut = d_min(d_set(0x1p1020), a), low, y = md_lgamma_of(cut, &low);
    vd s_low, s = md_sin_pi(d_min(d_set(0x1p52), a), &s_low), l_low;
    vul sign = (vul)s & (vul)d_set(-0.0);
    s = (vd)((vul)s ^ sign), s_low = (vd)((vul)s_low ^ sign);
    vd p_low, p = md_product(s, cut, &p_low);
    p_low = d_fma(s_low, cut, p_low);
    vd l = md_log_of(p, p_low, &l_low), rest;
    vd z = md_sum(d_set(0x1.250d048e7a1bdp0), -l, &rest), z_rest;
    rest = rest - l_low + 0x1.7abf2ad8d5088p-57;
    z = md_sum(z, -y, &z_rest);
    z = z + (z_rest + rest - low);
    vd tiny = d_sel(d_lt(a, d_set(0x1p-60)), d_set(1), d_set(0));
    vd small = md_log_of(a, d_set(0), &rest);
    y = d_sel(d_lt(x, d_set(0)), z, y + low);
    y = d_sel(d_ne(tiny, d_set(0)), -(small + rest), y);
    y = d_sel((vmd)(d_lt(x, d_set(0)) & d_eq(d_floor(x), x)), d_set(INFINITY), y);
    y = d_sel(d_lt(d_set(0x1.754d9278b51a7p+1014), a), d_set(INFINITY), y);
    y = d_sel(d_eq(x, d_set(0)), d_set(INFINITY), y);
    return d_sel(d_ne(x, x), x, y);
}

/* x > 0: digamma(x + 1) - 1/x below 1, digamma(x - 1) + 1/(x - 1) from 2 on; from 8 on ln x
 * and a series. Between 1 and 2 its root is a factor. */
CR__CALL vd md_digamma_of(vd x)
{
    vmd far = d_le(d_set(8), x);
    vd t = d_min(d_set(8), x), sum = d_set(0);
    for (int i = 0; i < 6; i++) {
        vmd more = d_le(d_set(2), t);
        vd t_1 = t - 1;
        sum = d_sel(more, sum + 1 / t_1, sum), t = d_sel(more, t_1, t);
    }
    vmd small = d_lt(t, d_set(1));
    vd before = d_sel(small, -1 / t, sum), at = t - d_sel(small, d_set(0.5), d_set(1.5));
    vd root = d_sel(small, d_set(0x1.d8b618d5af8fep-2), d_set(0x1.762d86356be3fp0));
    vd root_low =
        d_sel(small, d_set(-0x1.1e563779a1f5bp-56), d_set(0x1.b86a722197829p-54));
    vd near = d_fma(t - root - root_low, md_polynomial(at, math_digamma), before);
    vd low, l = md_log_of(d_sel(far, x, d_set(8)), d_set(0), &low), inverse = 1 / x;
    vd z = inverse * inverse;
    vd rest = d_fma(z, -md_polynomial(z, math_digamma_far), low);
    return d_sel(far, l + d_fma(inverse, d_set(-0.5), rest), near);
}

/* Below 0: digamma(1 - x) - pi/tan(pi x). */
CR__FN vd md_digamma(vd x)
{
    vmd below = d_lt(x, d_set(0));
    vd cut = d_min(d_set(0x1.fffffffffffffp1023), d_sel(below, 1 - x, x)),
       y = md_digamma_of(cut);
    vul quadrant;
    vd low, r = md_half_turns(md_clip(x, 0x1p52), &low, &quadrant), s_low, c_low;
    vd s = md_sincos_of(r, low, quadrant, &s_low);
    vd c = md_sincos_of(r, low, quadrant + 1, &c_low);
    vd q_low, q = md_quotient(c, c_low, s, s_low, &q_low);
    q = d_sel(d_lt(d_set(-0x1p-60), x), d_set(0x1.45f306dc9c883p-2) / x, q);
    q_low = d_sel(d_lt(d_set(-0x1p-60), x), d_set(0), q_low);
    y = d_sel(below,
              y - d_fma(q, d_set(0x1.921fb54442d18p1), q_low * 0x1.921fb54442d18p1), y);
    y = d_sel((vmd)(below & d_eq(d_floor(x), x)), d_set(NAN), y);
    y = d_sel(d_eq(x, d_set(INFINITY)), x, y);
    y = d_sel(d_eq(x, d_set(0)), d_copysign(d_set(INFINITY), -x), y);
    return d_sel(d_ne(x, x), x, y);
}

/* ---- derivatives of digamma and sinc of any order ---- */

/* sum over k >= 0 of (x + k)^-s, x > 0: Euler and Maclaurin from 16 on */
CR__CALL vd md_zeta(vd x, int s)
{
    vmd far = d_le(d_set(16), x);
    vd y = d_sel(far, x, x + 16), r = 1 / y, z = r * r, power = d_set(1);
    for (int i = 1; i < s; i++)
        power = power * r;
    vd rest = d_set(0.5), factor = r * s;
    for (int i = 0; i < CR__COUNT(math_bernoulli); i++) {
        rest = d_fma(factor, d_set(math_bernoulli[i]), rest);
        factor = factor * z * ((s + 2.0 * i + 1) * (s + 2.0 * i + 2));
    }
    vd sum = power * d_fma(r, rest, d_set(1) / (s - 1.0));
    for (int k = 16; k-- > 0;) {
        vd term = d_set(1);
        r = 1 / (x + k);
        for (int i = 0; i < s; i++)
            term = term * r;
        sum = d_sel(far, sum, sum + term);
    }
    return sum;
}

/* The n-th derivative of digamma, (-1)^(n+1) n! zeta(n + 1, x); below 0 the sum to the left of
 * the fraction is one to its right, less what is not reached. */
CR__FN vd md_polygamma(vd x, vd order)
{
    const int n = (int)order[0];
    const double sign = n & 1 ? 1 : -1;
    double factorial = 1;
    for (int i = 2; i <= n; i++)
        factorial *= i;
    vd a = d_abs(x), part = a - d_floor(a);
    vmd below = d_lt(x, d_set(0));
    vd sum = md_zeta(d_sel(below, 1 - part, x), n + 1);
    if (CR__UNLIKELY(d_any(below))) {
        vd left = md_zeta(part, n + 1) - md_zeta(1 - d_sel(below, x, d_set(0)), n + 1);
        sum = d_sel(below, d_fma(left, d_set(sign), sum), sum);
    }
    sum = sum * (sign * factorial);
    sum = d_sel(d_eq(x, -d_set(INFINITY)), d_set(NAN), sum);
    return d_sel(d_ne(x, x), x, sum);
}

/* sin(pi x)/(pi x) */
CR__FN vd md_sinc(vd x)
{
    vul quadrant;
    vd low, r = md_half_turns(x, &low, &quadrant), u_low, q_low;
    vd s = md_sincos_of(r, low, quadrant, &low),
       u = md_times_pi_2(x * 2, d_set(0), &u_low);
    vd q = md_quotient(s, low, u, u_low, &q_low);
    return d_sel(d_lt(d_abs(x), d_set(0x1p-30)), d_set(1), q + q_low) + 0; /* no -0 */
}

/* The n-th derivative of sin(u)/u, u = pi x, times pi^n: near 0 by its series, farther out from
 * the one before, u s_k = sin(u + k pi/2) - k s_(k-1). */
CR__FN vd md_sinc_nth(vd x, vd order)
{
    const int n = (int)order[0];
    vul quadrant;
    vd low, r = md_half_turns(x, &low, &quadrant), u = x * 0x1.921fb54442d18p1;
    vd inverse = 1 / u, far = md_sinc(x), power = d_set(1), near = d_set(0);
    for (int k = 1; k <= n; k++) {
        vd s = md_sincos_of(r, low, quadrant + (uint64_t)k, &s);
        far = (s - far * k) * inverse;
    }
    if (n & 1)
        power = u;
    for (int j = n & 1; j < 40; j += 2) {
        near = near + power * ((j + n) / 2 & 1 ? -1.0 : 1.0) / (j + n + 1.0);
        power = power * u * u / ((j + 1.0) * (j + 2.0));
    }
    vd y = d_sel(d_lt(d_abs(u), d_set(1.5 + 0.5 * n)), near, far);
    for (int i = 0; i < n; i++)
        y = y * 0x1.921fb54442d18p1;
    return y;
}
