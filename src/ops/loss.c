/* Losses of differences, l1 to huber, and what all losses share. */
#include "loss.h"

/* ---- what all share ---- */

const cr_attr cr__loss_rows[] = { CR__REDUCTION_ROW(cr__loss_attrs), CR__ATTRS_END };

cr_tensor *cr__loss_reduced(cr_tensor *loss, cr_reduction reduction, cr_tensor *total)
{
    if (reduction == CR_REDUCTION_NONE || !loss)
        return loss;
    if (reduction != CR_REDUCTION_MEAN && reduction != CR_REDUCTION_SUM) {
        cr__op_fail(loss->ctx, loss->op, CR_ERR_ARGUMENT, NULL, "%d is no reduction",
                    (int)reduction);
        return NULL;
    }
    if (reduction == CR_REDUCTION_MEAN && !total)
        return cr_mean(loss);
    loss = cr_sum(loss);
    return reduction == CR_REDUCTION_MEAN ? cr_div(loss, total) : loss;
}

cr_tensor *cr__loss_like(cr_ctx *ctx, const cr_op *op, const char *name, cr_tensor *t,
                         cr_tensor *x)
{
    cr_dims common, want = cr_shape(x);
    if (!x || !t)
        return NULL;
    if (cr__broadcast_dims(cr_shape(t), want, &common) && cr__dims_equal(common, want)) {
        if (cr__is_float((cr_dtype)x->dtype) && !cr__is_float((cr_dtype)t->dtype))
            t = cr_cast(t, (cr_dtype)x->dtype);
        return t ? cr__expand_to(t, want) : NULL;
    }
    cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL, "%s %s is not shaped like x, %s", name,
                cr__shape_text(t), cr__shape_text(x));
    return NULL;
}

bool cr__loss_of_float(cr_ctx *ctx, const cr_op *op, cr_tensor *x)
{
    if (cr__is_float(cr_dtype_of(x)))
        return true;
    cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() converts", "x is %s, and no float",
                cr_dtype_name(cr_dtype_of(x)));
    return false;
}

/* ---- differences ---- */

/* x - target */
static cr_tensor *error_of(cr_ctx *ctx, const cr_op *op, cr_tensor *const *inputs)
{
    cr_tensor *target = cr__loss_like(ctx, op, "target", inputs[1], inputs[0]);
    return target ? cr_sub(inputs[0], target) : NULL;
}

CR__EXPAND_LOSS(l1_loss)
{
    const cr__loss_attrs *attrs = attributes;
    cr_tensor *error = error_of(ctx, &cr__op_l1_loss, inputs);
    (void)n;
    return error ? cr__loss_reduced(cr_abs(error), attrs->reduction, NULL) : NULL;
}

CR__EXPAND_LOSS(mse_loss)
{
    const cr__loss_attrs *attrs = attributes;
    cr_tensor *error = error_of(ctx, &cr__op_mse_loss, inputs);
    (void)n;
    if (!error)
        return NULL;
    return attrs->reduction == CR_REDUCTION_MEAN
               ? cr__mean_square(error, CR_ALL, false, 0)
               : cr__loss_reduced(cr_square(error), attrs->reduction, NULL);
}

#define DIFFERENCE(NAME, DOC, ...)                                                \
    CR__LOSS(NAME, 2, 2, "x,target", cr__loss_rows, cr__loss_attrs, DOC,          \
             .samples = CR__SAMPLES(__VA_ARGS__))                                 \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, cr_tensor *target, cr_loss_opts opts) \
    {                                                                             \
        cr_tensor *inputs[] = { x, target };                                      \
        return cr__record_n(NULL, &cr__op_##NAME, inputs, 2,                      \
                            &(cr__loss_attrs){ opts.reduction }, opts.site);      \
    }
DIFFERENCE(l1_loss, "|x - target|", { "f[2,3]{1,2} f[2,3]", NULL },
           { "f[2,3] f[2,3]{3,4}", "reduction=sum" },
           { "f[4]{1,2} f[4]{-2,0}", "reduction=none" }, { "f[] f[]{3,4}", NULL },
           { "f[2,3]{1,2} f[]{-1,0}", NULL },
           { "f[3]=1,2,-1 f[3]=1,0,0 -> 0,1,-1 0,-1,1", "reduction=sum" })
DIFFERENCE(mse_loss, "(x - target)^2", { "f[2,3] f[2,3]", NULL },
           { "f[2,3] f[2,3]", "reduction=sum" }, { "f[4] f[4]", "reduction=none" },
           { "f[] f[]", NULL }, { "f[2,3] f[]", NULL })

/* ---- squares that become linear ---- */

typedef struct smooth_l1_attrs {
    cr_opt_real beta;
    cr_reduction reduction;
} smooth_l1_attrs;

typedef struct huber_attrs {
    double delta;
    cr_reduction reduction;
} huber_attrs;

/* With e, the difference d cut to +-beta, both are e (d - e/2): d^2/2 inside, and outside
 * beta (|d| - beta/2). The gradient is e, which nothing infinite can spoil. */
CR__EXPAND_LOSS(smooth_l1_loss)
{
    const smooth_l1_attrs *attrs = attributes;
    const double beta = attrs->beta.v;
    (void)n;
    if (!(beta >= 0)) {
        cr__op_fail(ctx, &cr__op_smooth_l1_loss, CR_ERR_ARGUMENT, NULL,
                    "beta is %g, not at least 0", beta);
        return NULL;
    }
    cr_tensor *d = error_of(ctx, &cr__op_smooth_l1_loss, inputs);
    if (!d)
        return NULL;
    if (beta == 0)
        return cr__loss_reduced(cr_abs(d), attrs->reduction, NULL);
    cr_tensor *e = cr_clamp(d, -beta, beta);
    return cr__loss_reduced(cr_mul(cr_div(e, beta), cr_sub(d, cr_mul(e, 0.5))),
                            attrs->reduction, NULL);
}

CR__EXPAND_LOSS(huber_loss)
{
    const huber_attrs *attrs = attributes;
    (void)n;
    if (!(attrs->delta > 0)) {
        cr__op_fail(ctx, &cr__op_huber_loss, CR_ERR_ARGUMENT, NULL,
                    "delta is %g, not above 0", attrs->delta);
        return NULL;
    }
    cr_tensor *d = error_of(ctx, &cr__op_huber_loss, inputs);
    if (!d)
        return NULL;
    cr_tensor *e = cr_clamp(d, -attrs->delta, attrs->delta);
    return cr__loss_reduced(cr_mul(e, cr_sub(d, cr_mul(e, 0.5))), attrs->reduction, NULL);
}

CR__LOSS(
    smooth_l1_loss, 2, 2, "x,target",
    CR__ATTRS(CR__ATTR(smooth_l1_attrs, beta, OPT_REAL, .initial = "1"),
              CR__REDUCTION_ROW(smooth_l1_attrs)),
    smooth_l1_attrs,
    "(x - target)^2 / (2 beta) where |x - target| < beta, else |x - target| - beta/2",
    .samples = CR__SAMPLES(
        { "f[2,3]{0,0.4} f[2,3]{0.5,0.9}", NULL },
        { "f[2,3]{2,3} f[2,3]{-1,0}", "reduction=sum" },
        { "f[4]{0,0.4} f[4]{0.5,0.9}", "beta=4,reduction=none" },
        { "f[4]=1,2,-1,inf f[4]~=1,0,0,0 -> 0,1,-1,1 -> 1,0,0,0", "reduction=none" },
        { "f[3]=1,2,-1 f[3]~=1,0,0 -> 0,1,-1", "beta=0,reduction=none" }))
CR__LOSS(
    huber_loss, 2, 2, "x,target",
    CR__ATTRS(CR__ATTR(huber_attrs, delta, REAL, .initial = "1",
                       .flags = CR_ATTR_POSITIVE),
              CR__REDUCTION_ROW(huber_attrs)),
    huber_attrs,
    "(x - target)^2 / 2 where |x - target| <= delta, else delta (|x - target| - delta/2)",
    .samples = CR__SAMPLES({ "f[2,3]{0,0.4} f[2,3]{0.5,0.9}", NULL },
                           { "f[2,3]{2,3} f[2,3]{-1,0}", "reduction=sum" },
                           { "f[4]{0,0.4} f[4]{0.5,0.9}", "delta=4,reduction=none" },
                           { "f[4]=1,4,-2,inf f[4]~=1,0,0,0 -> 0,2,-2,2 -> 1,0,0,0",
                             "delta=2,reduction=none" }))

cr_tensor *cr_smooth_l1_loss_at(cr_tensor *x, cr_tensor *target, cr_smooth_l1_opts opts)
{
    cr_tensor *inputs[] = { x, target };
    smooth_l1_attrs attrs = { opts.beta, opts.reduction };
    cr__attrs_fill(NULL, &cr__op_smooth_l1_loss, &attrs);
    return cr__record_n(NULL, &cr__op_smooth_l1_loss, inputs, 2, &attrs, opts.site);
}

cr_tensor *cr_huber_loss_at(cr_tensor *x, cr_tensor *target, cr_huber_opts opts)
{
    cr_tensor *inputs[] = { x, target };
    huber_attrs attrs = { opts.delta, opts.reduction };
    cr__attrs_fill(NULL, &cr__op_huber_loss, &attrs);
    return cr__record_n(NULL, &cr__op_huber_loss, inputs, 2, &attrs, opts.site);
}
