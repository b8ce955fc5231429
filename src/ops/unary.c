/* Operations of one input, element by element: elementary functions, activations, cast.
 * Formulas: chainrule/maps.h. */
#include "../base/compiler.h"
#include "ops.h"

/* ---- gradients: g is the cotangent, x the input, y the output ---- */

static void zero_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out;
    down[0] = cr_zeros_like(g);
}

static void frac_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out;
    down[0] = g;
}

static void neg_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out;
    down[0] = cr_neg(g);
}

static void exp_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(g, out);
}

/* e^x once more: y + 1 has no digits left where y is near -1. */
static void expm1_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(g, cr_exp(cr__input(out, 0)));
}

static void log_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_div(g, cr__input(out, 0));
}

static void log2_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_div(g, cr_mul(cr__input(out, 0), 0.6931471805599453)); /* g / (x ln 2) */
}

static void log1p_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_div(g, cr_add(cr__input(out, 0), 1));
}

static void sqrt_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_div(g, cr_mul(out, 2));
}

/* -g y^3 / 2 */
static void rsqrt_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(cr_mul(cr_mul(g, -0.5), out), cr_square(out));
}

static void square_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(cr_mul(g, cr__input(out, 0)), 2);
}

/* -g y^2; g first, so that y^2 cannot overflow on its own. */
static void reciprocal_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_neg(cr_mul(cr_mul(g, out), out));
}

static void sin_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(g, cr_cos(cr__input(out, 0)));
}

static void cos_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_neg(cr_mul(g, cr_sin(cr__input(out, 0))));
}

/* g 2/sqrt(pi) e^(-x^2) */
static void erf_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *bell = cr__record_1(&cr__op_bell, cr__input(out, 0), NULL, NULL);
    down[0] = cr_mul(cr_mul(g, 1.1283791670955126), bell);
}

/* ---- derivatives that are operations ---- */

/* One instruction each, in place of three; of the cotangent and the function's value. */
static cr_tensor *relu_grad(cr_tensor *g, cr_arg y);
static cr_tensor *tanh_grad(cr_tensor *g, cr_arg y);
static cr_tensor *sigmoid_grad(cr_tensor *g, cr_arg y);

static void relu_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = relu_grad(g, cr_arg_tensor(out));
}

/* -g where x < 0, otherwise what relu sends down: g, also of NaN, and 0 at 0. */
static void abs_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_arg x = cr__operand(out, 0);
    down[0] = cr_where(cr_lt_at(x, cr_arg_real(0), NULL), cr_neg(g), relu_grad(g, x));
}

/* Constant in y wherever it is differentiable. */
static void relu_grad_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    if (cr__wants_grad(out, 0))
        down[0] = relu_grad(g, cr__operand(out, 1));
    if (cr__wants_grad(out, 1))
        down[1] = cr_zeros_like(g);
}

/* The cotangent of y starts with g times what came down before, which may be a number. */
static cr_tensor *times_grad(cr_tensor *g, const cr_tensor *out)
{
    return cr_mul_at(cr_arg_tensor(g), cr__operand(out, 0), NULL);
}

static void tanh_grad_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    if (cr__wants_grad(out, 0))
        down[0] = tanh_grad(g, cr__operand(out, 1));
    if (cr__wants_grad(out, 1))
        down[1] = cr_mul(cr_mul(times_grad(g, out), cr__input(out, 1)), -2);
}

static void sigmoid_grad_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    if (cr__wants_grad(out, 0))
        down[0] = sigmoid_grad(g, cr__operand(out, 1));
    if (cr__wants_grad(out, 1))
        down[1] = cr_mul(times_grad(g, out), cr_sub(1, cr_mul(cr__input(out, 1), 2)));
}

#define S(INPUTS)    \
    {                \
        INPUTS, NULL \
    }
#define GRADIENT_OF(NAME, KINKS, DOC, ...)                                     \
    CR__OP(NAME##_grad) = {                                                    \
        .name = #NAME "_grad",                                                 \
        .doc = DOC,                                                            \
        .kind = CR_OP_MAP,                                                     \
        .min_inputs = 2,                                                       \
        .max_inputs = 2,                                                       \
        .inputs = "grad,y",                                                    \
        .vjp = NAME##_grad_vjp,                                                \
        .reads = CR_READS_INPUT(0) | CR_READS_INPUT(1),                        \
        .internal = CR__MAP_OF(NAME##_grad, .dtypes = CR__FLOATS),             \
        .samples = CR__SAMPLES(S("f[2,3] f[2,3]{0.1,0.9}"), __VA_ARGS__),      \
        .kinks = KINKS,                                                        \
    };                                                                         \
    static cr_tensor *NAME##_grad(cr_tensor *g, cr_arg y)                      \
    {                                                                          \
        return cr__record_2(&cr__op_##NAME##_grad, cr_arg_tensor(g), y, NULL); \
    }
GRADIENT_OF(relu, "0", "grad, but 0 where y <= 0: what relu sends down",
            S("f[3]=1,2,3 f[3]=-1,0,2 -> 0,0,1 0"))
GRADIENT_OF(tanh, NULL, "grad (1 - y^2): what tanh sends down",
            S("f[3]=1,2,0 f[3]=-1,0,1"))
GRADIENT_OF(sigmoid, NULL, "grad y (1 - y): what sigmoid sends down",
            S("f[3]=1,2,0 f[3]=1,0,0.5"))

/* ---- functions with derivatives of their own ----
 *
 * NAME, NAME_grad = grad f'(x) and NAME_curve = grad f''(x) are one instruction each, whose
 * tails keep their digits: nothing in them is a difference from 1 that has vanished. The third
 * derivative is composed of others. */

/* What a derivative sends down, `next` being the one above it. */
static void derivative_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down,
                           cr_tensor *(*same)(cr_tensor *, cr_arg),
                           cr_tensor *(*next)(cr_tensor *, cr_arg))
{
    if (cr__wants_grad(out, 0))
        down[0] = same(g, cr__operand(out, 1));
    if (cr__wants_grad(out, 1))
        down[1] = next(times_grad(g, out), cr__operand(out, 1));
}

/* The first three derivatives of the sigmoid at x. */
static void slopes_of_sigmoid(cr_tensor *x, cr_tensor *of[3])
{
    cr_tensor *s = cr_sigmoid(x), *rest = cr_sigmoid(cr_neg(x));
    of[0] = cr_mul(s, rest);
    of[1] = cr_mul(of[0], cr_sub(rest, s));
    of[2] = cr_mul(of[0], cr_sub(1, cr_mul(of[0], 6)));
}

static cr_tensor *logistic_third(cr_tensor *g, cr_arg arg)
{
    cr_tensor *s[3];
    slopes_of_sigmoid(arg.v.tensor, s);
    return cr_mul(g, s[2]);
}

/* 3 s2 + x s3; x is cut where the exponential has vanished, for infinities not to meet it. */
static cr_tensor *silu_third(cr_tensor *g, cr_arg arg)
{
    cr_tensor *s[3], *x = cr_clamp(arg.v.tensor, -800, 800);
    slopes_of_sigmoid(x, s);
    return cr_mul(g, cr_add(cr_mul(s[1], 3), cr_mul(x, s[2])));
}

/* phi(x) (x^3 - 4 x), phi being the normal density; ln sqrt(2 pi) is 0.919. */
static cr_tensor *gelu_erf_third(cr_tensor *g, cr_arg arg)
{
    cr_tensor *x = cr_clamp(arg.v.tensor, -40, 40), *square = cr_square(x);
    cr_tensor *density = cr_exp(cr_sub(cr_mul(square, -0.5), 0.9189385332046727));
    return cr_mul(cr_mul(g, density), cr_mul(x, cr_sub(square, 4)));
}

/* 3 w2 + x w3, of the derivatives of w = s(v), v = k x + c/3 x^3. */
static cr_tensor *gelu_tanh_third(cr_tensor *g, cr_arg arg)
{
    const double k = 1.5957691216057308, c = 3 * k * 0.044715;
    cr_tensor *s[3], *x = cr_clamp(arg.v.tensor, -40, 40);
    cr_tensor *square = cr_square(x), *v1 = cr_add(cr_mul(square, c), k);
    cr_tensor *v2 = cr_mul(x, 2 * c);
    slopes_of_sigmoid(cr_mul(x, cr_add(cr_mul(square, c / 3), k)), s);
    cr_tensor *w2 = cr_add(cr_mul(s[1], cr_square(v1)), cr_mul(s[0], v2));
    cr_tensor *w3 = cr_mul(s[2], cr_mul(cr_square(v1), v1));
    w3 = cr_add(w3, cr_mul(cr_mul(s[1], cr_mul(v1, v2)), 3));
    w3 = cr_add(w3, cr_mul(s[0], 2 * c));
    return cr_mul(g, cr_add(cr_mul(w2, 3), cr_mul(x, w3)));
}

/* w1 (3 k + x (k^2 + k1)) with w = tanh(softplus(x)), w1 = w', k = s(-x) - 2 w s, k1 = k'. */
static cr_tensor *mish_third(cr_tensor *g, cr_arg arg)
{
    cr_tensor *x = cr_clamp(arg.v.tensor, -800, 800);
    cr_tensor *s = cr_sigmoid(x), *rest = cr_sigmoid(cr_neg(x));
    cr_tensor *w = cr_tanh(cr_softplus(x, .threshold = CR_REAL(40)));
    cr_tensor *w1 = cr_mul(cr_sub(1, cr_square(w)), s), *s1 = cr_mul(s, rest);
    cr_tensor *k = cr_sub(rest, cr_mul(cr_mul(w, s), 2));
    cr_tensor *k1 = cr_add(cr_mul(w1, s), cr_mul(w, s1));
    k1 = cr_neg(cr_add(s1, cr_mul(k1, 2)));
    k1 = cr_add(cr_mul(k, 3), cr_mul(x, cr_add(cr_square(k), k1)));
    return cr_mul(g, cr_mul(w1, k1));
}

#define DERIVATIVE(NAME, DOC, NEXT, VALUES)                                \
    static cr_tensor *NAME##_of(cr_tensor *g, cr_arg x)                    \
    {                                                                      \
        return cr__record_2(&cr__op_##NAME, cr_arg_tensor(g), x, NULL);    \
    }                                                                      \
    static void NAME##_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down) \
    {                                                                      \
        derivative_vjp(out, g, down, NAME##_of, NEXT);                     \
    }                                                                      \
    CR__OP(NAME) = {                                                       \
        .name = #NAME,                                                     \
        .doc = DOC,                                                        \
        .kind = CR_OP_MAP,                                                 \
        .min_inputs = 2,                                                   \
        .max_inputs = 2,                                                   \
        .inputs = "grad,x",                                                \
        .vjp = NAME##_vjp,                                                 \
        .reads = CR_READS_INPUT(0) | CR_READS_INPUT(1),                    \
        .internal = CR__MAP_OF(NAME, .dtypes = CR__FLOATS),                \
        .samples = CR__SAMPLES(S("f[2,3] f[2,3]"), S(VALUES)),             \
    };
#define DERIVATIVES(NAME, VALUES)                                                  \
    DERIVATIVE(NAME##_curve, "grad times the second derivative of " #NAME " at x", \
               NAME##_third, VALUES)                                               \
    DERIVATIVE(NAME##_grad, "grad times the derivative of " #NAME " at x",         \
               NAME##_curve_of, VALUES)                                            \
    static void NAME##_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)         \
    {                                                                              \
        down[0] = NAME##_grad_of(g, cr__operand(out, 0));                          \
    }
DERIVATIVES(logistic, "f[3]=1,2,3 f[3]=0,20,-20")
DERIVATIVES(silu, "f[3]=1,2,3 f[3]=0,12,-12")
DERIVATIVES(mish, "f[3]=1,2,3 f[3]=0,12,-12")
DERIVATIVES(gelu_erf, "f[3]=1,2,3 f[3]=0,6,-6")
DERIVATIVES(gelu_tanh, "f[3]=1,2,3 f[3]=0,5,-5")

/* In f64 of x, where every digit counts: s(x) s(-x), and tanh' = 4 s'(2 x). In f32 of the
 * value, which training keeps anyway: where that is near 1, little is left of 1 - y. */
/* g tanh^2 x */
static void tanhshrink_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(g, cr_square(cr_tanh(cr__input(out, 0))));
}

static void tanh_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    if (cr_dtype_of(out) == CR_F64)
        down[0] =
            cr_mul(logistic_grad_of(g, cr_arg_tensor(cr_mul(cr__input(out, 0), 2))), 4);
    else
        down[0] = tanh_grad(g, cr_arg_tensor(out));
}

static void sigmoid_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    if (cr_dtype_of(out) == CR_F64)
        down[0] = logistic_grad_of(g, cr__operand(out, 0));
    else
        down[0] = sigmoid_grad(g, cr_arg_tensor(out));
}

/* ---- the entries ---- */

#define ENTRY(NAME, MAP, SHAPE, VJP, READS, KINKS, DOC, ...) \
    CR__OP(NAME) = {                                         \
        .name = #NAME,                                       \
        .doc = DOC,                                          \
        .kind = CR_OP_MAP,                                   \
        .min_inputs = 1,                                     \
        .max_inputs = 1,                                     \
        .inputs = "x",                                       \
        .shape = SHAPE,                                      \
        .vjp = VJP,                                          \
        .reads = READS,                                      \
        .internal = MAP,                                     \
        .samples = CR__SAMPLES(__VA_ARGS__),                 \
        .kinks = KINKS,                                      \
    };
#define FUNCTION(NAME)                                        \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, const char *site) \
    {                                                         \
        return cr__record_1(&cr__op_##NAME, x, NULL, site);   \
    }
/* An operation without attributes and its public function. */
#define UNARY(NAME, DTYPES, SHAPE, VJP, READS, KINKS, DOC, ...)                    \
    ENTRY(NAME, CR__MAP_OF(NAME, .dtypes = DTYPES), SHAPE, VJP, READS, KINKS, DOC, \
          __VA_ARGS__)                                                             \
    FUNCTION(NAME)
/* In f64 the derivative is made of x, in f32 of the value. */
#define SATURATING(NAME, VJP, DOC, ...)                                              \
    ENTRY(NAME, CR__MAP_OF(NAME, .dtypes = FLOATS, .reads_in_f64 = X), NULL, VJP, Y, \
          NULL, DOC, __VA_ARGS__)                                                    \
    FUNCTION(NAME)
#define INTERNAL_UNARY(NAME, MAP, VJP, DOC, ...) \
    ENTRY(NAME, CR__MAP_OF(MAP, .dtypes = FLOATS), NULL, VJP, X, NULL, DOC, __VA_ARGS__)
#define FLOATS  CR__FLOATS
#define NUMBERS CR__NUMBERS
#define X       CR_READS_INPUT(0)
#define Y       CR_READS_OUTPUT

/* clang-format off */
UNARY(neg, NUMBERS, NULL, neg_vjp, 0, NULL, "-x", S("f[2,3]"))
UNARY(abs, NUMBERS, NULL, abs_vjp, X, "0", "|x|", S("f[2,3]"), S("f[3]=-1,0,2 -> -1,0,1"))
UNARY(sign, NUMBERS, NULL, zero_vjp, 0, "0", "-1, 0 or 1; 0 of NaN",
      S("f[2,3]"), S("f[3]=-1,0,2 -> 0"))
UNARY(floor, NUMBERS, NULL, zero_vjp, 0, "-2,-1,0,1,2", "the largest integer <= x",
      S("f[2,3]"), S("f[3]=-1,0,2 -> 0"))
UNARY(ceil, NUMBERS, NULL, zero_vjp, 0, "-2,-1,0,1,2", "the smallest integer >= x",
      S("f[2,3]"), S("f[3]=-1,-0,2 -> 0"), S("f[4]~=inf,-inf,nan,-0.5"))
UNARY(trunc, NUMBERS, NULL, zero_vjp, 0, "-2,-1,0,1,2", "the integer nearest to x towards 0",
      S("f[2,3]"), S("f[3]=-1,-0,2 -> 0"), S("f[4]~=inf,-inf,nan,-0.5"))
ENTRY(rint, CR__MAP_OF(rint, .dtypes = NUMBERS), NULL, zero_vjp, 0, "-1.5,-0.5,0.5,1.5",
      "the nearest integer, the even one of two", S("f[2,3]"),
      S("f[4]=0.5,-1.5,2.5,-0 -> 0"), S("f[4]~=inf,-inf,nan,-0.5"))
UNARY(frac, FLOATS, NULL, frac_vjp, 0, "-2,-1,0,1,2", "x - trunc(x)",
      S("f[2,3]"), S("f[3]=-1,0,2 -> 1"), S("f[3]~=-inf,nan,-0.5"))
UNARY(exp, FLOATS, NULL, exp_vjp, Y, NULL, "e^x",
      S("f[2,3]"), S("f[2]=-inf,0 -> 0,1 -> 0,1"))
UNARY(expm1, FLOATS, NULL, expm1_vjp, X, NULL, "e^x - 1", S("f[2,3]"))
UNARY(log, FLOATS, NULL, log_vjp, X, NULL, "ln x",
      S("f[2,3]{0.1,3}"), S("f[2]=0,2 -> inf,0.5 -> -inf,-0.25"))
UNARY(log2, FLOATS, NULL, log2_vjp, X, NULL, "the logarithm to base 2",
      S("f[2,3]{0.1,3}"), S("f[2]=0,inf -> inf,0 -> -inf,0"))
UNARY(log1p, FLOATS, NULL, log1p_vjp, X, NULL, "ln(1 + x)",
      S("f[2,3]{-0.9,3}"), S("f[2]=-1,1 -> inf,0.5 -> -inf,-0.25"))
UNARY(sqrt, FLOATS, NULL, sqrt_vjp, Y, NULL, "x^(1/2)",
      S("f[2,3]{0.1,3}"), S("f[2]=0,4 -> inf,0.25 -> -inf,-0.03125"))
UNARY(rsqrt, FLOATS, NULL, rsqrt_vjp, Y, NULL, "x^(-1/2)", S("f[2,3]{0.1,3}"))
UNARY(square, NUMBERS, NULL, square_vjp, X, NULL, "x^2", S("f[2,3]"), S("f[3]=2,0,-0"))
UNARY(reciprocal, FLOATS, NULL, reciprocal_vjp, Y, NULL, "1/x",
      S("f[2,3]{0.2,3}"), S("f[2]=0,2 -> -inf,-0.25 -> inf,0.25"))
UNARY(sin, FLOATS, NULL, sin_vjp, X, NULL, "sine, x in radians", S("f[2,3]{-6,6}"))
UNARY(cos, FLOATS, NULL, cos_vjp, X, NULL, "cosine, x in radians", S("f[2,3]{-6,6}"))
SATURATING(tanh, tanh_vjp, "hyperbolic tangent",
      S("f[2,3]"), S("f[2]=inf,-inf -> 0"))
SATURATING(sigmoid, sigmoid_vjp, "1 / (1 + e^-x)",
      S("f[2,3]{-4,4}"), S("f[2]=inf,-inf -> 0"))
UNARY(erf, FLOATS, NULL, erf_vjp, X, NULL, "2/sqrt(pi) times the integral of e^(-t^2) from 0 to x",
      S("f[2,3]"), S("f[2]=inf,-inf -> 0"))
UNARY(relu, FLOATS, NULL, relu_vjp, Y, "0", "max(x, 0); NaN of NaN",
      S("f[2,3]"), S("f[4]=-1,0,2,-0 -> 0,0,1,0"), S("f[3]~=nan,inf,-inf"))
UNARY(silu, FLOATS, NULL, silu_vjp, X, NULL, "x sigmoid(x)", S("f[2,3]"),
      S("f[4]=inf,-inf,-12,12 -> 1,0,-6.7585467613783386e-05,1.0000675854676138 "
        "-> 0,0,-6.1440462497741485e-05,-6.1440462497741485e-05"))
UNARY(mish, FLOATS, NULL, mish_vjp, X, NULL, "x tanh(softplus(x))", S("f[2,3]"),
      S("f[3]=inf,-12,12 -> 1,-6.7585901746137732e-05,1.0000000017365294 "
        "-> 0,-6.1441293003682422e-05,-3.3220237634830529e-09"))
UNARY(tanhshrink, FLOATS, NULL, tanhshrink_vjp, X, NULL, "x - tanh(x)", S("f[2,3]"),
      S("f[3]=0,inf,-inf -> 0,1,1"))
INTERNAL_UNARY(gelu_erf, gelu_erf, gelu_erf_vjp, "x Phi(x), Phi being the normal distribution function",
               S("f[2,3]"), S("f[2]=inf,-inf -> 1,0"))
INTERNAL_UNARY(gelu_tanh, gelu_tanh, gelu_tanh_vjp,
               "x sigmoid(sqrt(8/pi) (x + 0.044715 x^3))", S("f[2,3]"), S("f[2]=inf,-inf -> 1,0"))
INTERNAL_UNARY(logistic, sigmoid, logistic_vjp,
               "the sigmoid, whose derivative is made of x: for what keeps x anyway", S("f[2,3]"),
               S("f[3]=inf,-inf,20 -> 0,0,2.0611536139418493e-09 "
                 "-> 0,0,-2.0611536054451409e-09"))
UNARY(logical_not, 0, cr__shape_bool, NULL, 0, NULL, "x == 0, a bool", S("f[2,3]"))
UNARY(isnan, 0, cr__shape_bool, NULL, 0, NULL, "whether x is NaN, a bool",
      S("f[5]=nan,inf,-inf,1,0"), S("b[3]"))
UNARY(isinf, 0, cr__shape_bool, NULL, 0, NULL, "whether x is infinite, a bool",
      S("f[5]=nan,inf,-inf,1,0"), S("b[3]"))
UNARY(isfinite, 0, cr__shape_bool, NULL, 0, NULL, "whether x is neither infinite nor NaN, a bool",
      S("f[5]=nan,inf,-inf,1,0"), S("b[3]"))
/* clang-format on */

/* ---- with parameters ---- */

typedef struct leaky_relu_attrs {
    double negative_slope;
} leaky_relu_attrs;

static void leaky_relu_params(const void *attrs, cr_arg *params)
{
    params[0] = cr_arg_real(((const leaky_relu_attrs *)attrs)->negative_slope);
}

static void leaky_relu_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const leaky_relu_attrs *attrs = cr_attrs(out);
    down[0] = cr_where(cr_gt(cr__input(out, 0), 0), g, cr_mul(g, attrs->negative_slope));
}

CR__OP(leaky_relu) = {
    .name = "leaky_relu",
    .doc = "x where x > 0, else negative_slope x",
    .kind = CR_OP_MAP,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(leaky_relu_attrs, negative_slope, REAL, .initial = "0.01",
                                .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(leaky_relu_attrs),
    .vjp = leaky_relu_vjp,
    .reads = X,
    .internal = CR__MAP_OF(leaky_relu, .dtypes = CR__FLOATS, .n_params = 1,
                           .params = leaky_relu_params),
    .samples = CR__SAMPLES({ "f[2,3]", "negative_slope=0.2" }, { "f[4]", NULL },
                           { "f[3]=-1,0,2 -> 0.25,0.25,1", "negative_slope=0.25" }),
    .kinks = "0",
};

cr_tensor *cr_leaky_relu_at(cr_tensor *x, double negative_slope, const char *site)
{
    leaky_relu_attrs attrs = { negative_slope };
    return cr__record_1(&cr__op_leaky_relu, x, &attrs, site);
}

typedef struct softplus_attrs {
    double beta;
    cr_opt_real threshold;
} softplus_attrs;

static cr_status softplus_shape(cr_infer *infer)
{
    softplus_attrs *attrs = infer->attrs;
    if (attrs->beta == 0)
        attrs->beta = 1;
    if (!(attrs->beta > 0))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                           "beta must be above 0, not %g", attrs->beta);
    if (!attrs->threshold.given)
        attrs->threshold = CR_REAL(20);
    return CR_OK;
}

static void softplus_params(const void *attrs, cr_arg *params)
{
    const softplus_attrs *a = attrs;
    params[0] = cr_arg_real(a->beta);
    params[1] = cr_arg_real(a->threshold.v);
}

/* One that x cannot exceed is none, whether its type holds it or not. */
static cr_arg threshold_of(const softplus_attrs *attrs, const cr_tensor *x)
{
    const cr_arg threshold = cr_arg_real(attrs->threshold.v);
    uint64_t bits;
    bool held = cr__number_store(threshold, cr_dtype_of(x), &bits);
    return held ? threshold : cr_arg_real(threshold.v.real < 0 ? -INFINITY : INFINITY);
}

static void softplus_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const softplus_attrs *attrs = cr_attrs(out);
    cr_tensor *x = cr__input(out, 0);
    cr_tensor *scaled = attrs->beta == 1 ? x : cr_mul(x, attrs->beta);
    cr_tensor *beyond = cr_gt_at(cr_arg_tensor(scaled), threshold_of(attrs, x), NULL);
    down[0] = cr_where(beyond, g,
                       cr_mul(g, cr__record_1(&cr__op_logistic, scaled, NULL, NULL)));
}

CR__OP(softplus) = {
    .name = "softplus",
    .doc = "ln(1 + e^(beta x)) / beta, and x where beta x > threshold",
    .kind = CR_OP_MAP,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(softplus_attrs, beta, REAL, .initial = "1",
                                .flags = CR_ATTR_POSITIVE),
                       CR__ATTR(softplus_attrs, threshold, OPT_REAL, .initial = "20")),
    .attrs_size = sizeof(softplus_attrs),
    .shape = softplus_shape,
    .vjp = softplus_vjp,
    .reads = X,
    .internal = CR__MAP_OF(softplus, .dtypes = CR__FLOATS, .n_params = 2,
                           .params = softplus_params),
    .samples = CR__SAMPLES({ "f[2,3]", NULL }, { "f[2,3]{-1,1}", "beta=3,threshold=4" }),
};

cr_tensor *cr_softplus_at(cr_tensor *x, cr_softplus_opts opts)
{
    softplus_attrs attrs = { opts.beta, opts.threshold };
    return cr__record_1(&cr__op_softplus, x, &attrs, opts.site);
}

typedef struct cast_attrs {
    cr_dtype dtype;
} cast_attrs;

static cr_status cast_shape(cr_infer *infer)
{
    cast_attrs *attrs = infer->attrs;
    return cr__resolve_dtype(infer, &attrs->dtype, ~0u);
}

static void cast_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_dtype dtype = cr_dtype_of(cr__input(out, 0));
    if (cr__is_float(cr_dtype_of(out)) && cr__is_float(dtype))
        down[0] = cr_cast(g, dtype);
}

CR__OP(cast) = {
    .name = "cast",
    .doc = "x as another element type; to bool: x != 0",
    .kind = CR_OP_MAP,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(cast_attrs, dtype, DTYPE, .initial = "f32")),
    .attrs_size = sizeof(cast_attrs),
    .shape = cast_shape,
    .vjp = cast_vjp,
    .internal = CR__MAP_OF(cast, .dtypes = 0),
    .samples = CR__SAMPLES({ "f[2,3]", "dtype=f64" }, { "f[2,3]~", "dtype=i32" },
                           { "i[2,3]", "dtype=f64" }),
    .call = "x,dtype",
};

cr_tensor *cr_cast_at(cr_tensor *x, cr_dtype dtype, const char *site)
{
    cast_attrs attrs = { dtype };
    return cr__record_1(&cr__op_cast, x, &attrs, site);
}

/* ---- composites ---- */

typedef struct gelu_attrs {
    cr_approximate approximate;
} gelu_attrs;

static cr_tensor *gelu_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                              const void *attrs)
{
    const gelu_attrs *a = attrs;
    (void)n;
    if (a->approximate == CR_APPROXIMATE_NONE)
        return cr__record_1(&cr__op_gelu_erf, inputs[0], NULL, CR_HERE);
    if (a->approximate == CR_APPROXIMATE_TANH)
        return cr__record_1(&cr__op_gelu_tanh, inputs[0], NULL, CR_HERE);
    cr__op_fail(ctx, &cr__op_gelu, CR_ERR_ARGUMENT, NULL, "%d is no form of it",
                (int)a->approximate);
    return NULL;
}

CR__OP(gelu) = {
    .name = "gelu",
    .doc = "x Phi(x), Phi being the normal distribution function or its form with tanh",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(gelu_attrs, approximate, WORD, .initial = "none",
                                .words = "none,tanh")),
    .attrs_size = sizeof(gelu_attrs),
    .expand = gelu_expand,
    .samples = CR__SAMPLES({ "f[2,3]", NULL }, { "f[2,3]", "approximate=tanh" }),
};

cr_tensor *cr_gelu_at(cr_tensor *x, cr_gelu_opts opts)
{
    gelu_attrs attrs = { opts.approximate };
    return cr__record_1(&cr__op_gelu, x, &attrs, opts.site);
}

typedef struct round_attrs {
    int64_t decimals;
} round_attrs;

static cr_tensor *round_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                               const void *attrs)
{
    const int64_t decimals = ((const round_attrs *)attrs)->decimals;
    cr_tensor *x = inputs[0];
    (void)n;
    if (decimals == 0)
        return cr__record_1(&cr__op_rint, x, NULL, CR_HERE);
    if (!cr__is_float(cr_dtype_of(x))) {
        cr__op_fail(ctx, &cr__op_round, CR_ERR_DTYPE, "cr_cast() converts",
                    "decimals are for floats, x is %s", cr_dtype_name(cr_dtype_of(x)));
        return NULL;
    }
    double ten = 1; /* exact up to 10^22 */
    for (int64_t left = decimals < 0 ? -decimals : decimals; left > 0 && ten < INFINITY;
         left--)
        ten *= 10;
    x = decimals > 0 ? cr_mul(x, ten) : cr_div(x, ten);
    x = cr__record_1(&cr__op_rint, x, NULL, CR_HERE);
    return decimals > 0 ? cr_div(x, ten) : cr_mul(x, ten);
}

CR__OP(round) = {
    .name = "round",
    .doc = "the nearest integer, the even one of two; with decimals behind or before the "
           "point",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(round_attrs, decimals, INT, .initial = "0")),
    .attrs_size = sizeof(round_attrs),
    .expand = round_expand,
    .samples = CR__SAMPLES(S("f[2,3]"), S("f[4]=0.5,-1.5,2.5,-0 -> 0"), S("i[3]"),
                           { "f[4]{-99,99}", "decimals=1" },
                           { "f[4]{-99,99}", "decimals=-1" }),
    .kinks = "-1.5,-0.5,0.5,1.5",
};

cr_tensor *cr_round_at(cr_tensor *x, cr_round_opts opts)
{
    round_attrs attrs = { opts.decimals };
    return cr__record_1(&cr__op_round, x, &attrs, opts.site);
}

typedef struct nan_to_num_attrs {
    cr_opt_real nan, posinf, neginf;
} nan_to_num_attrs;

static cr_tensor *nan_to_num_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                    const void *attrs)
{
    const nan_to_num_attrs *a = attrs;
    cr_tensor *x = inputs[0], *y;
    cr_dtype dtype = cr_dtype_of(x);
    const double most = dtype == CR_F64    ? 0x1.fffffffffffffp1023
                        : dtype == CR_F32  ? 0x1.fffffep127
                        : dtype == CR_BF16 ? 0x1.fep127
                                           : 65504;
    (void)ctx, (void)n;
    if (!cr__is_float(dtype))
        return cr_detach(x);
    y = cr_where(cr_isnan(x), a->nan.v, x);
    y = cr_where(cr_eq(x, INFINITY), a->posinf.given ? a->posinf.v : most, y);
    return cr_where(cr_eq(x, -INFINITY), a->neginf.given ? a->neginf.v : -most, y);
}

CR__OP(nan_to_num) = {
    .name = "nan_to_num",
    .doc = "x with numbers in place of NaN and of the infinities",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs =
        CR__ATTRS(CR__ATTR(nan_to_num_attrs, nan, OPT_REAL, .initial = CR__NOT_GIVEN),
                  CR__ATTR(nan_to_num_attrs, posinf, OPT_REAL, .initial = CR__NOT_GIVEN),
                  CR__ATTR(nan_to_num_attrs, neginf, OPT_REAL, .initial = CR__NOT_GIVEN)),
    .attrs_size = sizeof(nan_to_num_attrs),
    .expand = nan_to_num_expand,
    .samples = CR__SAMPLES(S("f[2,3]"), S("f[2]=nan,1 -> 0,1"), S("i[3]"),
                           { "f[4]=nan,-inf,1,inf -> 0,0,1,0",
                             "nan=2,posinf=3,neginf=-4" }),
};

cr_tensor *cr_nan_to_num_at(cr_tensor *x, cr_nan_to_num_opts opts)
{
    nan_to_num_attrs attrs = { opts.nan, opts.posinf, opts.neginf };
    return cr__record_1(&cr__op_nan_to_num, x, &attrs, opts.site);
}
