/* Activations as theory takes them: value, slope and kinks, by the names of the modules and
 * operations, whose formulas and defaults these are (maps.h, activations.h). */
#include "flow.h"

/* 1 / (1 + e^-x): where e^-x is infinite it is 0. */
static double sigma(double x)
{
    return 1 / (1 + exp(-x));
}

static double sigma_slope(double x)
{
    return sigma(x) * sigma(-x);
}

/* ln(1 + e^x), all its digits on both sides. */
static double log1p_exp(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double sech2(double x)
{
    const double c = cosh(x);
    return 1 / (c * c);
}

static double normal_cdf(double x)
{
    return erfc(-x * sqrt(0.5)) / 2;
}

static double normal_density(double x)
{
    return exp(-x * x / 2) / sqrt(8 * atan(1));
}

/* gelu's approximation is x/2 (1 + tanh u(x)), that is x sigma(2 u(x)): Hendrycks and Gimpel,
 * 2016. */
static double gelu_angle(double x)
{
    return sqrt(0.5 / atan(1)) * (x + 0.044715 * x * x * x);
}

static double gelu_angle_slope(double x)
{
    return sqrt(0.5 / atan(1)) * (1 + 3 * 0.044715 * x * x);
}

/* x - tanh x: its series where the difference would lose digits. */
static double without_tanh(double x)
{
    const double y = x * x;
    if (y > 0.0036)
        return x - tanh(x);
    return x * y *
           (1.0 / 3 -
            y * (2.0 / 15 - y * (17.0 / 315 - y * (62.0 / 2835 - y * 1382 / 155925))));
}

static double clamped(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static double between(double x, double low, double high)
{
    return x > low && x < high;
}

/* Klambauer et al., 2017 */
static const double selu_scale = 1.0507009873554804934,
                    selu_alpha = 1.6732632423543772848;

static const double at_zero[] = { 0 }, at_half[] = { -0.5, 0.5 }, at_one[] = { -1, 1 };
static const double at_three[] = { -3, 3 }, at_six[] = { 0, 6 };
#define NOWHERE   NULL, 0
#define AT(kinks) kinks, CR__FLOW_COUNT(kinks)

/* Name, the option's default (a; 0 where there is none), value, slope, kinks. softplus is ln(1 +
 * e^(a x)) / a; that modules go over to x at a x = 20 is below a rounding of f32. */
#define ACTIVATIONS(A)                                                                \
    A(linear, 0, x, 1, NOWHERE)                                                       \
    A(sigmoid, 0, sigma(x), sigma_slope(x), NOWHERE)                                  \
    A(tanh, 0, tanh(x), sech2(x), NOWHERE)                                            \
    A(relu, 0, x > 0 ? x : 0, x > 0, AT(at_zero))                                     \
    A(leaky_relu, 0.01, x > 0 ? x : a * x, x > 0 ? 1 : a, AT(at_zero))                \
    A(prelu, 0.25, x > 0 ? x : a * x, x > 0 ? 1 : a, AT(at_zero))                     \
    A(elu, 1, x > 0 ? x : a * expm1(x), x > 0 ? 1 : a * exp(x), AT(at_zero))          \
    A(celu, 1, x > 0 ? x : a * expm1(x / a), x > 0 ? 1 : exp(x / a), AT(at_zero))     \
    A(selu, 0, selu_scale *(x > 0 ? x : selu_alpha * expm1(x)),                       \
      selu_scale *(x > 0 ? 1 : selu_alpha * exp(x)), AT(at_zero))                     \
    A(silu, 0, x *sigma(x), sigma(x) * (1 + x * sigma(-x)), NOWHERE)                  \
    A(gelu, 0, x *normal_cdf(x), normal_cdf(x) + x * normal_density(x), NOWHERE)      \
    A(gelu_tanh, 0, sigma(2 * gelu_angle(x)) * x,                                     \
      sigma(2 * gelu_angle(x)) +                                                      \
          sigma_slope(2 * gelu_angle(x)) * 2 * gelu_angle_slope(x) * x,               \
      NOWHERE)                                                                        \
    A(mish, 0, tanh(log1p_exp(x)) * x,                                                \
      tanh(log1p_exp(x)) + x * sech2(log1p_exp(x)) * sigma(x), NOWHERE)               \
    A(softplus, 1, log1p_exp(a *x) / a, sigma(a * x), NOWHERE)                        \
    A(softsign, 0, x / (1 + fabs(x)), 1 / (1 + fabs(x)) / (1 + fabs(x)), AT(at_zero)) \
    A(logsigmoid, 0, -log1p_exp(-x), sigma(-x), NOWHERE)                              \
    A(tanhshrink, 0, without_tanh(x), tanh(x) * tanh(x), NOWHERE)                     \
    A(hardtanh, 0, clamped(x, -1, 1), between(x, -1, 1), AT(at_one))                  \
    A(relu6, 0, clamped(x, 0, 6), between(x, 0, 6), AT(at_six))                       \
    A(hardsigmoid, 0, clamped(x + 3, 0, 6) / 6, between(x, -3, 3) / 6, AT(at_three))  \
    A(hardswish, 0, x *clamped(x + 3, 0, 6) / 6,                                      \
      x <= -3 ? 0                                                                     \
      : x < 3 ? (2 * x + 3) / 6                                                       \
              : 1,                                                                    \
      AT(at_three))                                                                   \
    A(softshrink, 0, x - clamped(x, -0.5, 0.5), !(fabs(x) <= 0.5), AT(at_half))       \
    A(hardshrink, 0, fabs(x) <= 0.5 ? 0 : x, !(fabs(x) <= 0.5), AT(at_half))

#define FUNCTIONS(name, option, value, slope, ...)                \
    static double flow_##name##_value(double x, const void *user) \
    {                                                             \
        const double a = user ? *(const double *)user : (option); \
        (void)a;                                                  \
        return value;                                             \
    }                                                             \
    static double flow_##name##_slope(double x, const void *user) \
    {                                                             \
        const double a = user ? *(const double *)user : (option); \
        (void)a, (void)x;                                         \
        return slope;                                             \
    }
ACTIVATIONS(FUNCTIONS)

#define ROW(name, option, value, slope, ...) \
    { #name, flow_##name##_value, flow_##name##_slope, NULL, __VA_ARGS__ },
static const cr_flow_activation known_activations[] = { ACTIVATIONS(ROW) };

const cr_flow_activation *cr_flow_activation_list(int i)
{
    return i >= 0 && i < CR__FLOW_COUNT(known_activations) ? &known_activations[i] : NULL;
}

const cr_flow_activation *cr_flow_activation_find(const char *name)
{
    for (int i = 0; name && i < CR__FLOW_COUNT(known_activations); i++)
        if (!strcmp(known_activations[i].name, name))
            return &known_activations[i];
    return NULL;
}
