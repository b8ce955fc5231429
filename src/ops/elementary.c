/* Elementary and special functions of one input and of two that are computed in f64, whatever
 * their type. Formulas: chainrule/maps.h. */
#include "../base/compiler.h"
#include "ops.h"

/* ---- gradients: g is the cotangent ---- */

static void exp2_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(cr_mul(g, 0.6931471805599453), out); /* g y ln 2 */
}

static void log10_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_div(g, cr_mul(cr__input(out, 0), 2.302585092994046)); /* g / (x ln 10) */
}

/* g (1 + y^2) */
static void tan_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(g, cr_add(cr_square(out), 1));
}

/* 1 - x^2, rounded once, so that it keeps its digits near 1. */
static cr_tensor *rest_of_square(cr_tensor *x)
{
    return cr__record_1(&cr__op_rest_of_square, x, NULL, NULL);
}

static void rest_of_square_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(cr_mul(g, cr__input(out, 0)), -2);
}

static void asin_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(g, cr_rsqrt(rest_of_square(cr__input(out, 0))));
}

static void acos_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    asin_vjp(out, cr_neg(g), down);
}

static void atanh_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_div(g, rest_of_square(cr__input(out, 0)));
}

/* 1/(1 + x^2) and 1/sqrt(1 + x^2) are operations: no square overflows, and infinity meets no 0. */
static void atan_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(g, cr__record_1(&cr__op_atan_slope, cr__input(out, 0), NULL, NULL));
}

static void asinh_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(g, cr__record_1(&cr__op_asinh_slope, cr__input(out, 0), NULL, NULL));
}

static cr_tensor *where_finite(cr_tensor *x)
{
    return cr_where(cr_eq(cr_abs(x), INFINITY), 0, x);
}

/* -2 g x y^2 */
static void atan_slope_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] =
        cr_mul(cr_mul(cr_mul(g, -2), out), cr_mul(where_finite(cr__input(out, 0)), out));
}

/* -g x y^3 */
static void asinh_slope_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *quotient = cr_mul(where_finite(cr__input(out, 0)), out);
    down[0] = cr_neg(cr_mul(cr_mul(g, quotient), cr_square(out)));
}

static void sinh_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(g, cr_cosh(cr__input(out, 0)));
}

static void cosh_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(g, cr_sinh(cr__input(out, 0)));
}

/* g / sqrt(x^2 - 1), of each factor its own root: no square overflows */
static void acosh_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_abs(cr__input(out, 0));
    down[0] = cr_mul(cr_mul(g, cr_rsqrt(cr_sub(x, 1))), cr_rsqrt(cr_add(x, 1)));
}

/* -g 2/sqrt(pi) e^(-x^2) */
static void erfc_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *bell = cr__record_1(&cr__op_bell, cr__input(out, 0), NULL, NULL);
    down[0] = cr_mul(cr_mul(g, -1.1283791670955126), bell);
}

/* -2 g x y; beyond 30 y is 0, and infinities do not meet it. */
static void bell_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_clamp(cr__input(out, 0), -30, 30);
    down[0] = cr_mul(cr_mul(g, out), cr_mul(x, -2));
}

static void erfinv_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] =
        cr_mul(g, cr__record_1(&cr__op_erfinv_slope, cr__input(out, 0), NULL, NULL));
}

/* 2 g y^2 erfinv(x): with the slope y, erfinv'' = 2 erfinv y^2 */
static void erfinv_slope_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *twice = cr_mul(cr_erfinv(cr__input(out, 0)), 2);
    down[0] = cr_mul(cr_mul(g, twice), cr_square(out));
}

static void lgamma_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_mul(g, cr_digamma(cr__input(out, 0)));
}

/* g / (x (1 - x)), also of -0, and NaN where x is no probability */
static void logit_of_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_add(cr__input(out, 0), 0);
    cr_tensor *outside = cr_logical_or(cr_lt(x, 0), cr_gt(x, 1));
    down[0] = cr_where(outside, (double)NAN, cr_div(g, cr_mul(x, cr_sub(1, x))));
}

/* ---- derivatives of any order ---- */

typedef struct derivative_attrs {
    int64_t n;
} derivative_attrs;

static const cr_attr order_rows[] = { CR__ATTR(derivative_attrs, n, INT, .initial = "1",
                                               .flags = CR_ATTR_POSITIVE),
                                      CR__ATTRS_END };

static void order_params(const void *attrs, cr_arg *params)
{
    params[0] = cr_arg_real((double)((const derivative_attrs *)attrs)->n);
}

static cr_tensor *derivative_of(const cr_op *op, int64_t order, cr_tensor *g,
                                cr_tensor *x)
{
    derivative_attrs attrs = { order };
    return cr_mul(g, cr__record_1(op, x, &attrs, NULL));
}

static void next_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const derivative_attrs *attrs = cr_attrs(out);
    down[0] = derivative_of(out->op, attrs->n + 1, g, cr__input(out, 0));
}

static void digamma_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = derivative_of(&cr__op_polygamma, 1, g, cr__input(out, 0));
}

static void sinc_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = derivative_of(&cr__op_sinc_nth, 1, g, cr__input(out, 0));
}

/* ---- of two operands ---- */

/* g x / h^2 and -g y / h^2 for h = hypot(y, x), of quotients below 1; at the origin 0 in all
 * orders. */
static void atan2_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_arg y = cr__operand(out, 0), x = cr__operand(out, 1);
    cr_tensor *h = cr_hypot_at(y, x, NULL), *origin = cr_eq(h, 0);
    cr_tensor *inverse = cr_where(origin, 0, cr_reciprocal(cr_where(origin, 1, h)));
    g = cr_mul(g, inverse);
    if (cr__wants_grad(out, 0))
        down[0] = cr_mul(g, cr_mul_at(x, cr_arg_tensor(inverse), NULL));
    if (cr__wants_grad(out, 1))
        down[1] = cr_neg(cr_mul(g, cr_mul_at(y, cr_arg_tensor(inverse), NULL)));
}

/* g s(x - y) and g s(y - x), s the sigmoid: a half each where both are equal, if infinite too,
 * but 0 where both are -inf. */
static void logaddexp_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_arg x = cr__operand(out, 0), y = cr__operand(out, 1);
    cr_tensor *away = cr_sub_at(x, y, NULL), *nothing = cr_eq(out, -INFINITY);
    away = cr_where(cr_eq_at(x, y, NULL), 0, away);
    g = cr_where(nothing, 0, g);
    if (cr__wants_grad(out, 0))
        down[0] = cr_mul(g, cr__record_1(&cr__op_logistic, away, NULL, NULL));
    if (cr__wants_grad(out, 1))
        down[1] = cr_mul(g, cr__record_1(&cr__op_logistic, cr_neg(away), NULL, NULL));
}

/* A number as a tensor like the other operand, which has the shape of the result. */
static cr_tensor *operand_as_tensor(cr_arg x, cr_tensor *g)
{
    return x.kind == CR_ARG_TENSOR ? x.v.tensor : cr_full_like_at(g, x, NULL);
}

/* g ln y, and 0 where 0 meets a logarithm that is none; g x / y, and 0 where both are 0. */
static void xlogy_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = operand_as_tensor(cr__operand(out, 0), g),
              *y = operand_as_tensor(cr__operand(out, 1), g);
    cr_tensor *none = cr_logical_and(cr_eq(x, 0), cr_le(y, 0));
    y = cr_where(none, 1, y);
    if (cr__wants_grad(out, 0))
        down[0] = cr__zero_times(g, cr_log(y));
    if (cr__wants_grad(out, 1))
        down[1] = cr_mul(g, cr_div(cr_where(none, 0, x), y));
}

/* ---- the entries ---- */

#define S(INPUTS)    \
    {                \
        INPUTS, NULL \
    }
#define ENTRY(NAME, READS, KINKS, DOC, ...)                 \
    CR__OP(NAME) = {                                        \
        .name = #NAME,                                      \
        .doc = DOC,                                         \
        .kind = CR_OP_MAP,                                  \
        .min_inputs = 1,                                    \
        .max_inputs = 1,                                    \
        .inputs = "x",                                      \
        .vjp = NAME##_vjp,                                  \
        .reads = READS,                                     \
        .internal = CR__MAP_OF(NAME, .dtypes = CR__FLOATS), \
        .samples = CR__SAMPLES(__VA_ARGS__),                \
        .kinks = KINKS,                                     \
    };
#define FUNCTION(NAME, ...)                                   \
    ENTRY(NAME, __VA_ARGS__)                                  \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, const char *site) \
    {                                                         \
        return cr__record_1(&cr__op_##NAME, x, NULL, site);   \
    }
#define BINARY(NAME, INPUTS, READS_X, READS_Y, DOC, ...)                           \
    CR__OP(NAME) = {                                                               \
        .name = #NAME,                                                             \
        .doc = DOC,                                                                \
        .kind = CR_OP_MAP,                                                         \
        .min_inputs = 2,                                                           \
        .max_inputs = 2,                                                           \
        .inputs = INPUTS,                                                          \
        .vjp = NAME##_vjp,                                                         \
        .reads_for = { READS_X, READS_Y },                                         \
        .internal =                                                                \
            CR__MAP_OF(NAME, .dtypes = CR__FLOATS, .prepare = cr__prepare_floats), \
        .samples = CR__SAMPLES(__VA_ARGS__),                                       \
    };                                                                             \
    cr_tensor *cr_##NAME##_at(cr_arg x, cr_arg other, const char *site)            \
    {                                                                              \
        return cr__record_2(&cr__op_##NAME, x, other, site);                       \
    }
#define OF_ORDER(NAME, DOC, ...)                                          \
    CR__OP(NAME) = {                                                      \
        .name = #NAME,                                                    \
        .doc = DOC,                                                       \
        .kind = CR_OP_MAP,                                                \
        .min_inputs = 1,                                                  \
        .max_inputs = 1,                                                  \
        .inputs = "x",                                                    \
        .attrs = order_rows,                                              \
        .attrs_size = sizeof(derivative_attrs),                           \
        .vjp = next_vjp,                                                  \
        .reads = X,                                                       \
        .internal = CR__MAP_OF(NAME, .dtypes = CR__FLOATS, .n_params = 1, \
                               .params = order_params),                   \
        .samples = CR__SAMPLES(__VA_ARGS__),                              \
    };
#define X   CR_READS_INPUT(0)
#define Y   CR_READS_INPUT(1)
#define OUT CR_READS_OUTPUT

/* clang-format off */
FUNCTION(exp2, OUT, NULL, "2^x", S("f[2,3]"), S("f[2]=-inf,3 -> 0,5.545177444479562 "
         "-> 0,3.8436241113456111"))
FUNCTION(log10, X, NULL, "the logarithm to base 10",
         S("f[2,3]{0.1,3}"), S("f[2]=0,inf -> inf,0 -> -inf,0"))
FUNCTION(tan, OUT, NULL, "tangent, x in radians", S("f[2,3]{-1.2,1.2}"), S("f[2]=0,0.25"))
FUNCTION(asin, X, NULL, "the angle whose sine is x", S("f[2,3]{-0.9,0.9}"),
         S("f[2]=1,-1 -> inf -> inf,-inf"))
FUNCTION(acos, X, NULL, "the angle whose cosine is x", S("f[2,3]{-0.9,0.9}"),
         S("f[2]=1,-1 -> -inf -> -inf,inf"))
FUNCTION(atan, X, NULL, "the angle whose tangent is x", S("f[2,3]"), S("f[2]=inf,-inf -> 0"))
FUNCTION(sinh, X, NULL, "hyperbolic sine, (e^x - e^-x)/2", S("f[2,3]"))
FUNCTION(cosh, X, NULL, "hyperbolic cosine, (e^x + e^-x)/2", S("f[2,3]"))
FUNCTION(asinh, X, NULL, "ln(x + sqrt(x^2 + 1))", S("f[2,3]"), S("f[2]=inf,-inf -> 0"))
FUNCTION(acosh, X, NULL, "ln(x + sqrt(x^2 - 1)), x >= 1", S("f[2,3]{1.1,3}"),
         S("f[1]=1 -> inf -> -inf"))
FUNCTION(atanh, X, NULL, "ln((1 + x)/(1 - x))/2", S("f[2,3]{-0.9,0.9}"),
         S("f[2]=1,-1 -> inf -> inf,-inf"))
FUNCTION(erfc, X, NULL, "1 - erf x", S("f[2,3]"),
         S("f[3]=inf,-inf,5 -> 0,0,-1.5670866531017336e-11 -> 0,0,1.5670866531017335e-10"))
FUNCTION(erfinv, X, NULL, "the inverse of erf", S("f[2,3]{-0.9,0.9}"),
         S("f[2]=1,-1 -> inf -> inf,-inf"))
FUNCTION(lgamma, X, NULL, "ln |Gamma(x)|", S("f[2,3]{0.2,4}"), S("f[2,3]{-0.9,-0.1}"))
FUNCTION(digamma, X, NULL, "the derivative of ln Gamma(x)", S("f[2,3]{0.2,4}"),
         S("f[2,3]{-0.9,-0.1}"))
FUNCTION(sinc, X, NULL, "sin(pi x) / (pi x), 1 at 0", S("f[2,3]"),
         S("f[2]=0,1 -> 0,-1 -> -3.2898681336964524,2"))
ENTRY(logit_of, X, NULL, "ln(x / (1 - x))", S("f[2,3]{0.1,0.9}"))
ENTRY(rest_of_square, X, NULL, "1 - x^2, rounded once", S("f[2,3]"))
ENTRY(atan_slope, OUT | X, NULL, "1/(1 + x^2)", S("f[2,3]"), S("f[2]=inf,-inf -> 0"))
ENTRY(asinh_slope, OUT | X, NULL, "1/sqrt(1 + x^2)", S("f[2,3]"), S("f[2]=inf,-inf -> 0"))
ENTRY(bell, OUT | X, NULL, "e^(-x^2)", S("f[2,3]"), S("f[2]=inf,-inf -> 0"))
ENTRY(erfinv_slope, OUT | X, NULL, "the derivative of erfinv: sqrt(pi)/2 e^(erfinv(x)^2)",
      S("f[2,3]{-0.9,0.9}"))
OF_ORDER(polygamma, "the n-th derivative of digamma", { "f[2,3]{0.2,4}", "n=1" },
         { "f[2,3]{0.2,4}", "n=2" }, { "f[2,3]{-0.9,-0.1}", "n=1" })
OF_ORDER(sinc_nth, "the n-th derivative of sinc", { "f[2,3]", "n=1" }, { "f[2,3]", "n=2" })
BINARY(atan2, "x,other", X | Y, X | Y, "the angle of the point (other, x)",
       S("f[2,3]{0.5,2} f[2,3]"), S("f[2,3]{0.5,2} n"), S("n{0.5,2} f[2,3]"),
       S("f[3]=0,1,0 f[3]=0,0,-1 -> 0,0,-1 0,-1,0 -> 0,1,-1 0,1,-1"))
BINARY(logaddexp, "x,other", X | Y | OUT, X | Y | OUT, "ln(e^x + e^y)", S("f[2,3] f[2,3]"),
       S("f[2,3] n"), S("f[4]=-inf,2,1,3 f[4]=-inf,-inf,1,3 -> 0,1,0.5,0.5 0,0,0.5,0.5"))
BINARY(xlogy, "x,other", X | Y, X | Y, "x ln y, 0 where x is 0", S("f[2,3] f[2,3]{0.2,3}"),
       S("f[2,3] n{0.2,3}"), S("n f[2,3]{0.2,3}"), S("f[3]=0,0,2 f[3]=0,-1,1 -> 0 0,0,2 "
         "-> 0,0,1 0,0,-1"))
/* clang-format on */

/* ---- logit ---- */

typedef struct logit_attrs {
    cr_opt_real eps;
} logit_attrs;

/* x kept from eps to 1 - eps; at both the gradient passes. */
static cr_tensor *logit_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                               const void *attrs)
{
    const logit_attrs *a = attrs;
    cr_tensor *x = inputs[0];
    (void)ctx, (void)n;
    if (a->eps.given) {
        cr_tensor *above = cr_gt(inputs[0], 1 - a->eps.v);
        x = cr_where(above, 1 - a->eps.v, x);
        x = cr_where(cr_lt(inputs[0], a->eps.v), a->eps.v, x);
    }
    return cr__record_1(&cr__op_logit_of, x, NULL, CR_HERE);
}

CR__OP(logit) = {
    .name = "logit",
    .doc = "ln(x / (1 - x)), of x kept from eps to 1 - eps",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(logit_attrs, eps, OPT_REAL, .initial = CR__NOT_GIVEN)),
    .attrs_size = sizeof(logit_attrs),
    .expand = logit_expand,
    .samples = CR__SAMPLES(
        { "f[2,3]{0.1,0.9}", NULL },
        { "f[4]=0,1,0.5,0.25 -> 0,0,4,5.333333333333333 -> 0,0,0,-14.222222222222221",
          "eps=0.25" }),
};

cr_tensor *cr_logit_at(cr_tensor *x, cr_logit_opts opts)
{
    logit_attrs attrs = { opts.eps };
    return cr__record_1(&cr__op_logit, x, &attrs, opts.site);
}
