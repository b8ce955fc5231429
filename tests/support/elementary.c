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

static double softplus(double x, double beta, double threshold)
{
    return x * beta > threshold ? x : log1p(exp(x * beta)) / beta;
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
        REFERENCE(gelu_erf, gelu(a))
        REFERENCE(gelu_tanh, gelu_tanh(a))
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
