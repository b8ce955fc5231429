/* Activations of f64 vectors, to a few ulp, and their derivatives: slope is the first, curve
 * the second. A template over the vocabulary of vec.h, behind math64_body.h.
 *
 * mish is x w with w = tanh(ln(1 + e^x)), which with e = e^-|x| and s, the sigmoid, is
 *
 *     below 0    w = e (e + 2) / d,    w' = 4 e (1 + e) / d^2,     d = e^2 + 2 e + 2
 *     above      w = (1 + 2 e) / d,    w' = 4 e^2 (1 + e) / d^2,   d = 1 + 2 e + 2 e^2
 *
 * and w'' = w' (s(-x) - 2 w s(x)): sums of positive numbers, whose tails keep their
 * digits. |x| is cut where e has become 0, so that in the derivatives nothing infinite meets
 * a 0. */

#define md_fading     CR__V(md_fading)
#define md_mish       CR__V(md_mish)
#define md_mish_slope CR__V(md_mish_slope)
#define md_mish_curve CR__V(md_mish_curve)
#define md_tanhshrink CR__V(md_tanhshrink)

/* e^-|x|; *a is |x|, cut. */
CR__FN vd md_fading(vd x, vd *a)
{
    *a = d_min(d_set(800), d_abs(x));
    return md_exp(-*a);
}

CR__FN vd md_mish(vd x)
{
    vd a, e = md_fading(x, &a), n = e * (e + 2), d = 1 + 2 * e + 2 * (e * e);
    return x * d_sel(d_lt(x, d_set(0)), n / (n + 2), (1 + 2 * e) / d);
}

CR__FN vd md_mish_slope(vd x)
{
    vd a, e = md_fading(x, &a), d = e * (e + 2) + 2, c = 1 + 2 * e + 2 * (e * e);
    vd below = e / d * ((e + 2) - 4 * a * (1 + e) / d);
    return d_sel(d_lt(x, d_set(0)), below,
                 ((1 + 2 * e) + 4 * a * (e * e) * (1 + e) / c) / c);
}

CR__FN vd md_mish_curve(vd x)
{
    vd a, e = md_fading(x, &a), d = e * (e + 2) + 2, c = 1 + 2 * e + 2 * (e * e);
    vd bend = (2 + e * (2 - e * (3 + 2 * e))) / d;
    vd below = 4 * e / d / d * (2 * (1 + e) - a * bend);
    bend = (e * (3 - e * (2 + 2 * e)) + 2) / c;
    return d_sel(d_lt(x, d_set(0)), below,
                 4 * (e * e) / (c * c) * (2 * (1 + e) - a * bend));
}

/* x - tanh x: near 0 with tanh x = x / (1 + t), t = x^2/(3 + x^2/(5 + ..)) (Lambert,
 * 1761). */
CR__FN vd md_tanhshrink(vd x)
{
    vd a, e = md_fading(x + x, &a), z = x * x, t = d_set(17);
#pragma GCC unroll 1
    for (int i = 15; i > 1; i -= 2)
        t = i + z / t;
    t = z / t;
    vd far = d_abs(x) - (1 - e) / (1 + e);
    return d_sel(d_lt(d_abs(x), d_set(1)), x * (t / (1 + t)), d_copysign(far, x));
}
