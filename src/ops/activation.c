/* Activations that are made of other operations or whose derivative has no name of its own,
 * and gates. Formulas: chainrule/activations.h. */
#include "attrs.h"

#define S(INPUTS)    \
    {                \
        INPUTS, NULL \
    }
#define ENTRY(NAME, KIND, DOC, ...) \
    CR__OP(NAME) = {                \
        .name = #NAME,              \
        .doc = DOC,                 \
        .kind = KIND,               \
        .min_inputs = 1,            \
        .max_inputs = 1,            \
        .inputs = "x",              \
        __VA_ARGS__,                \
    };
#define FUNCTION(NAME)                                        \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, const char *site) \
    {                                                         \
        return cr__record_1(&cr__op_##NAME, x, NULL, site);   \
    }
/* NAME_expand is what it is made of. */
#define PLAIN(NAME, KINKS, DOC, ...)                                           \
    ENTRY(NAME, CR_OP_COMPOSITE, DOC, .widens = true, .expand = NAME##_expand, \
          .samples = CR__SAMPLES(__VA_ARGS__), .kinks = KINKS)                 \
    FUNCTION(NAME)
#define WITH_ATTRS(NAME, ROWS, KINKS, DOC, ...)                        \
    ENTRY(NAME, CR_OP_COMPOSITE, DOC, .widens = true, .attrs = ROWS,   \
          .attrs_size = sizeof(NAME##_attrs), .expand = NAME##_expand, \
          .samples = CR__SAMPLES(__VA_ARGS__), .kinks = KINKS)
#define EXPAND(NAME)                                                              \
    static cr_tensor *NAME##_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n, \
                                    const void *attrs)

/* ---- clamped ---- */

typedef struct hardtanh_attrs {
    cr_opt_real min_val, max_val;
} hardtanh_attrs;

EXPAND(hardtanh)
{
    const hardtanh_attrs *a = attrs;
    (void)n;
    if (a->min_val.v <= a->max_val.v)
        return cr_clamp(inputs[0], a->min_val.v, a->max_val.v);
    cr__op_fail(ctx, &cr__op_hardtanh, CR_ERR_ARGUMENT, NULL,
                "min_val %g is not at most max_val %g", a->min_val.v, a->max_val.v);
    return NULL;
}

EXPAND(relu6)
{
    (void)ctx, (void)n, (void)attrs;
    return cr_clamp(inputs[0], 0, 6);
}

EXPAND(hardsigmoid)
{
    (void)ctx, (void)n, (void)attrs;
    return cr_div(cr_clamp(cr_add(inputs[0], 3), 0, 6), 6);
}

EXPAND(hardswish)
{
    (void)ctx, (void)n, (void)attrs;
    return cr_mul(inputs[0], cr_div(cr_clamp(cr_add(inputs[0], 3), 0, 6), 6));
}

static const cr_attr hardtanh_rows[] = {
    CR__ATTR(hardtanh_attrs, min_val, OPT_REAL, .initial = "-1"),
    CR__ATTR(hardtanh_attrs, max_val, OPT_REAL, .initial = "1"), CR__ATTRS_END
};
WITH_ATTRS(hardtanh, hardtanh_rows, "-1,1,-0.5,0.5", "min(max(x, min_val), max_val)",
           S("f[2,3]"), { "f[2,3]", "min_val=-0.5,max_val=0.5" },
           S("f[4]=-1,1,0.5,3 -> 0,0,1,0"), S("f[3]~=nan,inf,-inf"))
PLAIN(relu6, "0,6", "min(max(x, 0), 6)", S("f[2,3]{-2,8}"), S("f[4]=-1,0,6,2 -> 0,0,0,1"),
      S("f[3]~=nan,inf,-inf"))
PLAIN(hardsigmoid, "-3,3", "min(max(x + 3, 0), 6) / 6", S("f[2,3]{-5,5}"),
      S("f[4]=-3,3,-inf,inf -> 0"))
PLAIN(hardswish, "-3,3", "x min(max(x + 3, 0), 6) / 6", S("f[2,3]{-5,5}"),
      S("f[4]=-3,3,9,inf -> 0,1,1,1 -> 0"))

cr_tensor *cr_hardtanh_at(cr_tensor *x, cr_hardtanh_opts opts)
{
    hardtanh_attrs attrs = { opts.min_val, opts.max_val };
    cr__attrs_fill(NULL, &cr__op_hardtanh, &attrs);
    return cr__record_1(&cr__op_hardtanh, x, &attrs, opts.site);
}

/* ---- exponential below 0 ---- */

/* scale x above 0, and alpha (e^(x / inner) - 1) elsewhere: what the other side of a choice
 * would make infinite is cut off before. */
static cr_tensor *exponential(cr_tensor *x, double scale, double alpha, double inner)
{
    cr_tensor *above = cr_gt(x, 0), *below = cr_where(above, 0, x);
    below = cr_expm1(inner == 1 ? below : cr_div(below, inner));
    return cr_where(above, scale == 1 ? x : cr_mul(x, scale),
                    alpha == 1 ? below : cr_mul(below, alpha));
}

typedef struct elu_attrs {
    cr_opt_real alpha;
} elu_attrs, celu_attrs;

EXPAND(elu)
{
    (void)ctx, (void)n;
    return exponential(inputs[0], 1, ((const elu_attrs *)attrs)->alpha.v, 1);
}

EXPAND(celu)
{
    const double alpha = ((const elu_attrs *)attrs)->alpha.v;
    (void)n;
    if (alpha != 0)
        return exponential(inputs[0], 1, alpha, alpha);
    cr__op_fail(ctx, &cr__op_celu, CR_ERR_ARGUMENT, NULL, "alpha is 0");
    return NULL;
}

/* Klambauer et al., 2017 */
EXPAND(selu)
{
    const double alpha = 1.6732632423543772848, scale = 1.0507009873554804934;
    (void)ctx, (void)n, (void)attrs;
    return exponential(inputs[0], scale, scale * alpha, 1);
}

static const cr_attr elu_rows[] = { CR__ATTR(elu_attrs, alpha, OPT_REAL, .initial = "1"),
                                    CR__ATTRS_END };
WITH_ATTRS(elu, elu_rows, "0", "x where x > 0, else alpha (e^x - 1)", S("f[2,3]"),
           { "f[2,3]", "alpha=0.5" },
           { "f[5]=-0,0,2,-inf,inf -> 0.5,0.5,1,0,1 -> 0.5,0.5,0,0,0", "alpha=0.5" },
           S("f[1]~=nan"))
WITH_ATTRS(celu, elu_rows, "0", "x where x > 0, else alpha (e^(x / alpha) - 1)",
           S("f[2,3]"), { "f[2,3]", "alpha=0.5" },
           { "f[5]=-0,0,2,-inf,inf -> 1,1,1,0,1 -> 2,2,0,0,0", "alpha=0.5" },
           S("f[1]~=nan"))
PLAIN(selu, "0", "1.0507 times elu with alpha = 1.67326", S("f[2,3]"),
      S("f[4]=0,2,-inf,inf -> 1.7580993408473766,1.0507009873554804,0,1.0507009873554804 "
        "-> 1.7580993408473766,0,0,0"))

static cr_tensor *elu_at(const cr_op *op, cr_tensor *x, const cr_elu_opts *opts)
{
    elu_attrs attrs = { opts->alpha };
    cr__attrs_fill(NULL, op, &attrs);
    return cr__record_1(op, x, &attrs, opts->site);
}

cr_tensor *cr_elu_at(cr_tensor *x, cr_elu_opts opts)
{
    return elu_at(&cr__op_elu, x, &opts);
}

cr_tensor *cr_celu_at(cr_tensor *x, cr_elu_opts opts)
{
    return elu_at(&cr__op_celu, x, &opts);
}

/* ---- smooth ---- */

/* g / (1 + |x|)^2, without a square that overflows */
static void softsign_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *d = cr_add(cr_abs(cr__input(out, 0)), 1);
    down[0] = cr_div(cr_div(g, d), d);
}

ENTRY(softsign, CR_OP_MAP, "x / (1 + |x|)", .vjp = softsign_vjp,
      .reads = CR_READS_INPUT(0), .internal = CR__MAP_OF(softsign, .dtypes = CR__FLOATS),
      .samples = CR__SAMPLES(S("f[2,3]"),
                             S("f[3]=0,1,-3 -> 1,0.25,0.0625 -> 0,-0.25,0.03125")),
      .kinks = "0")
FUNCTION(softsign)

/* From 40 on the softplus is x to the last digit of f64. */
EXPAND(logsigmoid)
{
    (void)ctx, (void)n, (void)attrs;
    return cr_neg(cr_softplus(cr_neg(inputs[0]), .threshold = CR_REAL(40)));
}

PLAIN(logsigmoid, NULL, "ln sigmoid(x)", S("f[2,3]"),
      S("f[4]=-inf,inf,-90,50 -> 1,0,1,1.9287498479639178e-22 "
        "-> 0,0,0,-1.9287498479639178e-22"))

/* ---- shrinking ---- */

typedef struct shrink_attrs {
    cr_opt_real lambd;
} softshrink_attrs, hardshrink_attrs;

static void softshrink_params(const void *attrs, cr_arg *params)
{
    params[0] = cr_arg_real(((const softshrink_attrs *)attrs)->lambd.v);
}

static cr_status softshrink_shape(cr_infer *infer)
{
    softshrink_attrs *attrs = infer->attrs;
    if (!attrs->lambd.given)
        attrs->lambd = CR_REAL(0.5);
    if (attrs->lambd.v >= 0)
        return CR_OK;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                       "lambd is %g, not at least 0", attrs->lambd.v);
}

/* The result is 0 exactly where |x| <= lambd. */
static void softshrink_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_where(cr_eq(out, 0), 0, g);
}

EXPAND(hardshrink)
{
    (void)ctx, (void)n;
    return cr_where(cr_le(cr_abs(inputs[0]), ((const hardshrink_attrs *)attrs)->lambd.v),
                    0, inputs[0]);
}

static const cr_attr shrink_rows[] = {
    CR__ATTR(softshrink_attrs, lambd, OPT_REAL, .initial = "0.5"), CR__ATTRS_END
};
ENTRY(softshrink, CR_OP_MAP, "x - lambd above lambd, x + lambd below -lambd, else 0",
      .attrs = shrink_rows, .attrs_size = sizeof(softshrink_attrs),
      .shape = softshrink_shape, .vjp = softshrink_vjp, .reads = CR_READS_OUTPUT,
      .internal = CR__MAP_OF(softshrink, .dtypes = CR__FLOATS, .n_params = 1,
                             .params = softshrink_params),
      .samples = CR__SAMPLES(S("f[2,3]"), { "f[2,3]", "lambd=0" },
                             S("f[5]=-0.5,0.5,0,2,-inf -> 0,0,0,1,1"),
                             S("f[2]~=nan,inf")),
      .kinks = "-0.5,0,0.5")
WITH_ATTRS(hardshrink, shrink_rows, "-0.5,0.5", "0 where |x| <= lambd, else x",
           S("f[2,3]"), { "f[2,3]", "lambd=-1" },
           S("f[5]=-0.5,0.5,0,2,-inf -> 0,0,0,1,1"),
           { "f[3]=0,-1,1 -> 0,1,1", "lambd=0" }, S("f[2]~=nan,inf"))

static cr_tensor *shrink_at(const cr_op *op, cr_tensor *x, const cr_shrink_opts *opts)
{
    softshrink_attrs attrs = { opts->lambd };
    cr__attrs_fill(NULL, op, &attrs);
    return cr__record_1(op, x, &attrs, opts->site);
}

cr_tensor *cr_softshrink_at(cr_tensor *x, cr_shrink_opts opts)
{
    return shrink_at(&cr__op_softshrink, x, &opts);
}

cr_tensor *cr_hardshrink_at(cr_tensor *x, cr_shrink_opts opts)
{
    return shrink_at(&cr__op_hardshrink, x, &opts);
}

typedef struct threshold_attrs {
    cr_arg threshold, value;
} threshold_attrs;

EXPAND(threshold)
{
    const threshold_attrs *a = attrs;
    cr_tensor *x = inputs[0];
    (void)ctx, (void)n;
    return cr_where_at(cr_le_at(cr_arg_tensor(x), a->threshold, NULL), a->value,
                       cr_arg_tensor(x), NULL);
}

static const cr_attr threshold_rows[] = {
    CR__ATTR(threshold_attrs, threshold, NUMBER, .flags = CR_ATTR_POSITIONAL),
    CR__ATTR(threshold_attrs, value, NUMBER, .flags = CR_ATTR_POSITIONAL), CR__ATTRS_END
};
WITH_ATTRS(threshold, threshold_rows, "0.25", "x where x > threshold, else value",
           { "f[2,3]", "threshold=0.25,value=-3" },
           { "f[3]=0.25,1,-1 -> 0,1,0", "threshold=0.25,value=-3" },
           { "f[3]~=nan,inf,-inf", "threshold=0.25,value=-3" },
           { "i[4]", "threshold=2,value=7" })

cr_tensor *cr_threshold_at(cr_tensor *x, cr_arg threshold, cr_arg value, const char *site)
{
    threshold_attrs attrs = { threshold, value };
    return cr__record_1(&cr__op_threshold, x, &attrs, site);
}

/* ---- with a weight, and gates ---- */

/* The weight as something that broadcasts to x: of channels, dimension 1. */
static cr_tensor *along_channels(cr_ctx *ctx, cr_tensor *x, cr_tensor *weight)
{
    int64_t channels = cr_ndim(x) > 1 ? cr_size(x, 1) : 1;
    if (cr_ndim(weight) <= 1 && cr_numel(weight) == 1)
        return cr_reshape(weight, CR_NO_DIMS);
    if (cr_ndim(weight) == 1 && cr_ndim(x) > 0 && cr_numel(weight) == channels) {
        cr_dims dims = CR_DIMS(channels);
        while (dims.n < cr_ndim(x) - 1)
            dims.v[dims.n++] = 1;
        return cr_reshape(weight, dims);
    }
    cr__op_fail(
        ctx, &cr__op_prelu, CR_ERR_SHAPE, NULL,
        "weight is %s: one number, or one for each of x's %lld channels, x being %s",
        cr__shape_text(weight), (long long)channels, cr__shape_text(x));
    return NULL;
}

EXPAND(prelu)
{
    cr_tensor *x = inputs[0], *above = cr_gt(x, 0);
    (void)n, (void)attrs;
    cr_tensor *weight = along_channels(ctx, x, inputs[1]);
    return weight ? cr_where(above, x, cr_mul(cr_where(above, 0, x), weight)) : NULL;
}

CR__OP(prelu) = {
    .name = "prelu",
    .doc = "x where x > 0, else weight x, the weight being one number or one for each "
           "channel",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,weight",
    .expand = prelu_expand,
    .samples = CR__SAMPLES(S("f[2,3] f[3]"), S("f[2,3,2] f[3]"), S("f[4] f[]"),
                           S("f[] f[1]"),
                           S("f[4]=0,-2,3,inf f[1]=0.5 -> 0.5,0.5,1,1 -2 -> 1,1,0,0 2")),
    .kinks = "0",
};

cr_tensor *cr_prelu_at(cr_tensor *x, cr_tensor *weight, const char *site)
{
    cr_tensor *inputs[] = { x, weight };
    return cr__record_n(NULL, &cr__op_prelu, inputs, 2, NULL, site);
}

/* Dauphin et al., 2017; the sigmoid's derivative is made of what it is of, which is kept. */
EXPAND(glu)
{
    int64_t dim = ((const cr__dim_attrs *)attrs)->dim;
    cr_tensor *x = inputs[0];
    int rank = cr_ndim(x);
    (void)n;
    if (dim < -rank || dim >= rank) {
        cr__op_fail(ctx, &cr__op_glu, CR_ERR_ARGUMENT, NULL,
                    "dim %lld of a tensor with %d dimensions", (long long)dim, rank);
        return NULL;
    }
    int64_t size = cr_size(x, (int)dim);
    if (size % 2) {
        cr__op_fail(ctx, &cr__op_glu, CR_ERR_SHAPE, NULL,
                    "dim %lld of %s is to be halved, and %lld is odd", (long long)dim,
                    cr__shape_text(x), (long long)size);
        return NULL;
    }
    cr_tensor *gate = cr_slice(x, (int)dim, size / 2, size);
    return cr_mul(cr_slice(x, (int)dim, 0, size / 2),
                  cr__record_1(&cr__op_logistic, gate, NULL, NULL));
}

typedef cr__dim_attrs glu_attrs;
static const cr_attr glu_rows[] = { CR__ATTR(glu_attrs, dim, INT, .initial = "-1",
                                             .flags = CR_ATTR_POSITIONAL),
                                    CR__ATTRS_END };
WITH_ATTRS(glu, glu_rows, NULL, "a sigmoid(b), a and b being the halves of x along dim",
           S("f[2,4]"), { "f[4,3]", "dim=0" }, { "f[2,2,3]", "dim=-2" })

cr_tensor *cr_glu_at(cr_tensor *x, int dim, const char *site)
{
    return cr__record_1(&cr__op_glu, x, &(glu_attrs){ dim }, site);
}
