#include "elementary.h"

#include <math.h>

double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static long double bounded(double x)
{
    return isinf(x) ? copysignl(1e4L, (long double)x) : (long double)x;
}

static long double logistic(long double x)
{
    return 1 / (1 + expl(-x));
}

double logistic_slope(double x)
{
    return (double)(logistic(bounded(x)) * logistic(-bounded(x)));
}

double logistic_curve(double x)
{
    long double t = bounded(x), slope = logistic(t) * logistic(-t);
    return (double)(-slope * tanhl(t / 2));
}

double silu(double x)
{
    return x == -(double)INFINITY ? -0.0
                                  : (double)((long double)x * logistic((long double)x));
}

double silu_slope(double x)
{
    long double t = bounded(x);
    return (double)(logistic(t) * (1 + t * logistic(-t)));
}

double silu_curve(double x)
{
    long double t = bounded(x);
    return (double)(logistic(t) * logistic(-t) * (2 - t * tanhl(t / 2)));
}

static long double below(long double x)
{
    return erfcl(-x * 0.7071067811865475244L) / 2;
}

static long double density(long double x)
{
    return 0.39894228040143267794L * expl(-x * x / 2);
}

double gelu(double x)
{
    return x == -(double)INFINITY ? -0.0
                                  : (double)((long double)x * below((long double)x));
}

double gelu_slope(double x)
{
    double slope = (double)(below(bounded(x)) + bounded(x) * density(bounded(x)));
    return slope == 0 ? -0.0 : slope;
}

double gelu_curve(double x)
{
    return (double)(density(bounded(x)) * (2 - bounded(x) * bounded(x)));
}

/* v, of which the sigmoid is taken in gelu's form with tanh, and its derivatives. */
#define K 1.5957691216057307118L
#define C 0.044715L
double gelu_tanh(double x)
{
    long double t = bounded(x), v = K * (t + C * t * t * t);
    return x == -(double)INFINITY ? -0.0 : (double)((long double)x * logistic(v));
}

double gelu_tanh_slope(double x)
{
    long double t = bounded(x), v = K * (t + C * t * t * t), d = K * (1 + 3 * C * t * t);
    return (double)(logistic(v) * (1 + t * d * logistic(-v)));
}

double gelu_tanh_curve(double x)
{
    long double t = bounded(x), v = K * (t + C * t * t * t), d = K * (1 + 3 * C * t * t);
    long double bend = 2 * d + 6 * K * C * t * t - t * d * d * tanhl(v / 2);
    return (double)(logistic(v) * logistic(-v) * bend);
}
#undef K
#undef C

/* Newton's steps on erfc, from within the last decade. */
double erfinv(double x)
{
    long double a = fabsl((long double)x), y = sqrtl(-logl((1 - a) * (1 + a)));
    if (x == 0 || isnan(x))
        return x;
    if (a >= 1)
        return a == 1 ? copysign((double)INFINITY, x) : (double)NAN;
    for (int i = 0; i < 60; i++) {
        long double away = a < 0.5L ? a - erfl(y) : erfcl(y) - (1 - a), before = y;
        y += away * 0.88622692545275801365L * expl(y * y);
        if (fabsl(y - before) < 0x1p-58L * y)
            break;
    }
    return copysign((double)y, x);
}

double erfinv_slope(double x)
{
    long double a = fabsl((long double)x), y = fabsl((long double)erfinv(x));
    if (a >= 1)
        return a == 1 ? (double)INFINITY : (double)NAN;
    /* e^(y^2) = e^(z^2) (1 + ..) where erfc(z) is what 1 - a is */
    y -= (a < 0.5L ? erfl(y) - a : (1 - a) - erfcl(y)) * 0.88622692545275801365L *
         expl(y * y);
    return (double)(0.88622692545275801365L * expl(y * y));
}

#define PI 3.14159265358979323846L

/* sin(pi x + n pi/2) */
static long double sin_turned(double x, int n)
{
    long double r = remainderl((long double)x, 2), twice = r * 2;
    if (twice == rintl(twice)) {
        int quarter = ((int)twice + n) & 3;
        return quarter & 1 ? 2 - quarter : 0;
    }
    return n & 1 ? (n & 2 ? -cosl(PI * r) : cosl(PI * r))
                 : (n & 2 ? -sinl(PI * r) : sinl(PI * r));
}

/* The n-th derivative of sin(pi x)/(pi x). */
double sinc_nth(double x, double order)
{
    const int n = (int)order;
    long double u = PI * (long double)x, s = n & 1 ? 0 : 1, power = 1;
    if (x - x != 0)
        return (double)NAN;
    if (fabsl(u) < 2 + n) {
        s = 0;
        for (int j = 0; j < 80; j++) {
            if ((j + n) % 2 == 0)
                s += power * ((j + n) / 2 % 2 ? -1 : 1) / (j + n + 1);
            power *= u / (j + 1);
        }
    } else {
        s = sin_turned(x, 0) / u;
        for (int k = 1; k <= n; k++)
            s = (sin_turned(x, k) - k * s) / u;
    }
    for (int i = 0; i < n; i++)
        s *= PI;
    return s == 0 ? 0.0 : (double)s;
}

/* Sums up to 30 and Euler and Maclaurin behind; by reflection far below 0. */
double digamma(double x)
{
    long double t = (long double)x, sum = 0;
    if (x == 0)
        return signbit(x) ? (double)INFINITY : -(double)INFINITY;
    if (x < 0 && x == floor(x))
        return (double)NAN;
    if (x < -60)
        return (double)((long double)digamma(1 - x) -
                        PI * sin_turned(x, 1) / sin_turned(x, 0));
    for (; t < 30; t++)
        sum -= 1 / t;
    long double z = 1 / (t * t);
    return (double)(sum + logl(t) - 0.5L / t -
                    z * (1.0L / 12 - z * (1.0L / 120 - z * (1.0L / 252 - z / 240))));
}

double polygamma(double x, double order)
{
    const int n = (int)order;
    static const long double b[] = { 1.0L / 12, -1.0L / 720, 1.0L / 30240,
                                     -1.0L / 1209600 };
    long double t = (long double)x, sum = 0, factorial = n % 2 ? 1 : -1;
    if (isnan(x) || x == -(double)INFINITY)
        return (double)NAN;
    if (isinf(x))
        return (double)(0 * factorial);
    for (int i = 2; i <= n; i++)
        factorial *= i;
    for (; t < 40; t++)
        sum += powl(t, -n - 1);
    long double rest = t / n + 0.5L, factor = (n + 1) / t;
    for (int i = 0; i < 4; i++) {
        rest += b[i] * factor;
        factor *= (n + 2.0L * i + 2) * (n + 2.0L * i + 3) / (t * t);
    }
    return (double)(factorial * (sum + rest * powl(t, -n - 1)));
}

static double logaddexp(double x, double y)
{
    return x == y ? x + log(2) : fmax(x, y) + log1p(exp(-fabs(x - y)));
}

static double xlogy(double x, double y)
{
    double product = x == 0 ? 0 : x * log(y);
    return isnan(y) ? y : product == 0 ? 0.0 : product;
}

static double logit(double x)
{
    return (double)logl((long double)x / (1 - (long double)x));
}

static double softplus(double x, double beta, double threshold)
{
    return x * beta > threshold ? x : log1p(exp(x * beta)) / beta;
}

/* With k = s(-x) - 2 w s: w' = (1 - w^2) s and w'' = w' k; 1 - w^2 is 4 u / (1 + u)^2 of u, the
 * square of 1 + e^x. */
static long double mish_gate(long double x)
{
    long double e = expl(x), n = e * (e + 2);
    return x > 5000 ? 1 : n / (n + 2);
}

static long double mish_gate_slope(long double x)
{
    long double u = (1 + expl(-x)) * (1 + expl(-x)), v = u + expl(-2 * x);
    return x < 0 ? 4 * expl(x) * (1 + expl(x)) / powl(expl(2 * x) + 2 * expl(x) + 2, 2)
                 : 4 * expl(-2 * x) * (1 + expl(-x)) / (v * v);
}

static double mish(double x)
{
    return isinf(x) && x < 0 ? (double)NAN
                             : (double)((long double)x * mish_gate((long double)x));
}

static double mish_slope(double x)
{
    long double t = bounded(x);
    double slope = (double)(mish_gate(t) + t * mish_gate_slope(t));
    return slope == 0 ? -0.0 : slope;
}

static double mish_curve(double x)
{
    long double t = bounded(x);
    long double k = logistic(-t) - 2 * mish_gate(t) * logistic(t);
    return (double)(mish_gate_slope(t) * (2 + t * k));
}

static double tanhshrink(double x)
{
    long double z = (long double)x * (long double)x, t = 41;
    for (int i = 39; i > 1; i -= 2)
        t = i + z / t;
    t = z / t;
    return fabs(x) < 3 ? (double)((long double)x * t / (1 + t)) : x - tanh(x);
}

double elementary(cr__map_code code, double a, double b, double c)
{
    switch (code) {
#define REFERENCE(name, expression) \
    case CR__MAP_##name:            \
        return expression;
        REFERENCE(exp, exp(a))
        REFERENCE(exp2, exp2(a))
        REFERENCE(expm1, expm1(a))
        REFERENCE(log, log(a))
        REFERENCE(log2, log2(a))
        REFERENCE(log10, log10(a))
        REFERENCE(log1p, log1p(a))
        REFERENCE(sin, sin(a))
        REFERENCE(cos, cos(a))
        REFERENCE(tanh, tanh(a))
        REFERENCE(sigmoid, sigmoid(a))
        REFERENCE(erf, erf(a))
        REFERENCE(silu, silu(a))
        REFERENCE(mish, mish(a))
        REFERENCE(mish_grad, a * mish_slope(b))
        REFERENCE(mish_curve, a * mish_curve(b))
        REFERENCE(tanhshrink, tanhshrink(a))
        REFERENCE(gelu_erf, gelu(a))
        REFERENCE(gelu_tanh, gelu_tanh(a))
        REFERENCE(tan, tan(a))
        REFERENCE(asin, asin(a))
        REFERENCE(acos, acos(a))
        REFERENCE(atan, atan(a))
        REFERENCE(sinh, sinh(a))
        REFERENCE(cosh, cosh(a))
        REFERENCE(asinh, asinh(a))
        REFERENCE(acosh, acosh(a))
        REFERENCE(atanh, atanh(a))
        REFERENCE(logit_of, logit(a))
        REFERENCE(erfc, erfc(a))
        REFERENCE(erfinv, erfinv(a))
        REFERENCE(erfinv_slope, erfinv_slope(a))
        REFERENCE(atan_slope, isnan(a) ? a : pow(hypot(a, 1), -2))
        REFERENCE(asinh_slope, isnan(a) ? a : 1 / hypot(a, 1))
        REFERENCE(bell, (double)expl(-(long double)a * (long double)a))
        REFERENCE(lgamma, lgamma(a))
        REFERENCE(digamma, digamma(a))
        REFERENCE(polygamma, polygamma(a, b))
        REFERENCE(sinc, sinc_nth(a, 0))
        REFERENCE(sinc_nth, sinc_nth(a, b))
        REFERENCE(atan2, atan2(a, b))
        REFERENCE(logaddexp, logaddexp(a, b))
        REFERENCE(xlogy, xlogy(a, b))
        REFERENCE(softplus, softplus(a, b, c))
        REFERENCE(pow, pow(a, b))
        REFERENCE(logistic_grad, a * logistic_slope(b))
        REFERENCE(logistic_curve, a * logistic_curve(b))
        REFERENCE(silu_grad, a * silu_slope(b))
        REFERENCE(silu_curve, a * silu_curve(b))
        REFERENCE(gelu_erf_grad, a * gelu_slope(b))
        REFERENCE(gelu_erf_curve, a * gelu_curve(b))
        REFERENCE(gelu_tanh_grad, a * gelu_tanh_slope(b))
        REFERENCE(gelu_tanh_curve, a * gelu_tanh_curve(b))
#undef REFERENCE
    default:
        return (double)NAN; /* of a row without a reference here */
    }
}
