/* Composites of three tensors, element by element: lerp, addcmul, addcdiv. Formulas:
 * chainrule/maps.h. */
#include "attrs.h"

#define S(INPUTS)    \
    {                \
        INPUTS, NULL \
    }

/* ---- lerp ---- */

/* From the nearer end: base + t (end - x), so that it is end where the weight is 1. */
static cr_tensor *lerp_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                              const void *attrs)
{
    cr_tensor *x = inputs[0], *end = inputs[1], *weight = inputs[2];
    (void)n, (void)attrs;
    if (!cr__is_float(cr_dtype_of(x))) {
        cr__op_fail(ctx, &cr__op_lerp, CR_ERR_DTYPE, "cr_cast() converts",
                    "floats are wanted, not %s", cr_dtype_name(cr_dtype_of(x)));
        return NULL;
    }
    cr_tensor *near = cr_lt(cr_abs(weight), 0.5);
    cr_tensor *t = cr_where(near, weight, cr_sub(weight, 1));
    cr_tensor *base = cr_where(near, x, end);
    return cr_add(base, cr_mul(t, cr_sub(end, x)));
}

CR__OP(lerp) = {
    .name = "lerp",
    .doc = "x + weight (end - x)",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 3,
    .max_inputs = 3,
    .inputs = "x,end,weight",
    .expand = lerp_expand,
    .samples = CR__SAMPLES(S("f[2,3] f[2,3] f[2,3]"), S("f[2,3] f[3] f[]"),
                           S("f[2] f[2,2] f[2,1]"),
                           S("f[3]=1,1,1 f[3]=3,3,3 f[3]=0,1,0.5 -> 1,0,0.5 0,1,0.5 2 "
                             "-> -1 1 0")),
};

cr_tensor *cr_lerp_at(cr_tensor *x, cr_tensor *end, cr_arg weight, const char *site)
{
    if (x && weight.kind != CR_ARG_TENSOR)
        weight.v.tensor =
            cr_scalar_at(cr_ctx_of(x), weight,
                         (cr_make_opts){ .site = site, .dtype = cr_dtype_of(x) });
    cr_tensor *inputs[] = { x, end, weight.v.tensor };
    return cr__record_n(NULL, &cr__op_lerp, inputs, 3, NULL, site);
}

/* ---- addcmul, addcdiv ---- */

typedef struct addc_attrs {
    cr_opt_real value;
} addc_attrs;

/* x + value y; the value is an integer where y is. */
static cr_tensor *plus_times(cr_ctx *ctx, const cr_op *op, cr_tensor *x, cr_tensor *y,
                             const addc_attrs *attrs)
{
    const double value = attrs->value.given ? attrs->value.v : 1;
    if (!y || value == 1)
        return cr_add(x, y);
    if (cr__is_float(cr_dtype_of(y)))
        return cr_add(x, cr_mul(y, value));
    if (value == floor(value) && fabs(value) < 0x1p53)
        return cr_add(x, cr_mul(y, (int64_t)value));
    cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() the tensors",
                "value %g with tensors of %s", value, cr_dtype_name(cr_dtype_of(y)));
    return NULL;
}

static cr_tensor *addcmul_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attrs)
{
    (void)n;
    return plus_times(ctx, &cr__op_addcmul, inputs[0], cr_mul(inputs[1], inputs[2]),
                      attrs);
}

static cr_tensor *addcdiv_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attrs)
{
    (void)n;
    return plus_times(ctx, &cr__op_addcdiv, inputs[0], cr_div(inputs[1], inputs[2]),
                      attrs);
}

static const cr_attr addc_rows[] = {
    CR__ATTR(addc_attrs, value, OPT_REAL, .initial = "1"), CR__ATTRS_END
};
#define ADDC(NAME, DOC, ...)                                            \
    CR__OP(NAME) = {                                                    \
        .name = #NAME,                                                  \
        .doc = DOC,                                                     \
        .kind = CR_OP_COMPOSITE,                                        \
        .widens = true,                                                 \
        .min_inputs = 3,                                                \
        .max_inputs = 3,                                                \
        .inputs = "x,a,b",                                              \
        .attrs = addc_rows,                                             \
        .attrs_size = sizeof(addc_attrs),                               \
        .expand = NAME##_expand,                                        \
        .samples = CR__SAMPLES(__VA_ARGS__),                            \
    };                                                                  \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, cr_tensor *a, cr_tensor *b, \
                              cr_addc_opts opts)                        \
    {                                                                   \
        cr_tensor *inputs[] = { x, a, b };                              \
        return cr__record_n(NULL, &cr__op_##NAME, inputs, 3,            \
                            &(addc_attrs){ opts.value }, opts.site);    \
    }
/* clang-format off */
ADDC(addcmul, "x + value a b", S("f[2,3] f[2,3] f[2,3]"), { "f[] f[2,1] f[3]", "value=-0.5" },
     { "i[3] i[3] i[3]", "value=2" }, { "f[2] f[2] f[2]", "value=0" })
ADDC(addcdiv, "x + value a / b; of integers: f32", S("f[2,3] f[2,3] f[2,3]{0.5,2}"),
     { "f[] f[2,1] f[3]{0.5,2}", "value=-0.5" })
/* clang-format on */
