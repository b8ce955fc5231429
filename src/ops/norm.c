/* Normalisations, composed of other operations: softmax, log_softmax, softmin, layer_norm,
 * batch_norm. */
#include "attrs.h"
#include "norm.h"

#include <float.h>

/* ---- softmax, log_softmax ---- */

/* The largest element along dim, as a constant: what is subtracted from all elements
 * changes neither value nor gradient. Of nothing, anything. */
static cr_tensor *largest(cr_ctx *ctx, cr_tensor *x, cr_dims dim)
{
    bool empty = cr_size(x, (int)dim.v[0]) == 0;
    cr_no_grad_push(ctx);
    x = empty ? cr_sum(x, dim, .keepdim = true) : cr_amax(x, dim, .keepdim = true);
    cr_no_grad_pop(ctx);
    return x;
}

/* A row of -inf is 0 with gradient 0, since its largest element counts as the lowest
 * finite number, and since the sum is not quite 0. Otherwise the sum is at least 1 (one
 * element is e^0), and 2^-60 is lost in it. */
static cr_tensor *softmax_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attributes)
{
    const cr__dim_attrs *attrs = attributes;
    cr_dims dim = CR_DIMS(attrs->dim);
    cr_tensor *x = inputs[0], *most = largest(ctx, x, dim);
    (void)n;
    if (!most)
        return NULL;
    most = cr_maximum(most, cr_dtype_of(x) == CR_F64 ? -DBL_MAX : (double)-FLT_MAX);
    cr_tensor *e = cr_exp(cr__below_largest(x, most));
    return cr_div(e, cr_add(cr_sum(e, dim, .keepdim = true), 0x1p-60));
}

static const cr_sample softmax_samples[] = {
    { "f[2,3]", "dim=1" },
    { "f[3,2]", "dim=0" },
    { "f[2,3,2]", "dim=-2" },
    { "f[]", "dim=0" },
    { "f[2,0]", "dim=0" },
    { "f[2,0]", "dim=1" },
    { "f[2,3]{-300,300}~", "dim=1" },
    { NULL, NULL },
};
CR__OP(softmax) = {
    .name = "softmax",
    .doc = "e^x / sum e^x along dim, without overflow; 0 in a row of -inf",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = cr__dim_rows,
    .attrs_size = sizeof(cr__dim_attrs),
    .expand = softmax_expand,
    .samples = softmax_samples,
};

cr_tensor *cr_softmax_at(cr_tensor *x, int dim, const char *site)
{
    return cr__record_1(&cr__op_softmax, x, &(cr__dim_attrs){ dim }, site);
}

static cr_tensor *log_softmax_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                     const void *attributes)
{
    const cr__dim_attrs *attrs = attributes;
    cr_dims dim = CR_DIMS(attrs->dim);
    cr_tensor *x = cr__below_largest(inputs[0], largest(ctx, inputs[0], dim));
    (void)n;
    return cr_sub(x, cr_log(cr_sum(cr_exp(x), dim, .keepdim = true)));
}

CR__OP(log_softmax) = {
    .name = "log_softmax",
    .doc = "x - ln sum e^x along dim, without overflow; NaN in a row of -inf",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = cr__dim_rows,
    .attrs_size = sizeof(cr__dim_attrs),
    .expand = log_softmax_expand,
    .samples = softmax_samples,
};

cr_tensor *cr_log_softmax_at(cr_tensor *x, int dim, const char *site)
{
    return cr__record_1(&cr__op_log_softmax, x, &(cr__dim_attrs){ dim }, site);
}

static cr_tensor *softmin_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attributes)
{
    cr_tensor *x = cr_neg(inputs[0]);
    return x ? softmax_expand(ctx, &x, n, attributes) : NULL;
}

CR__OP(softmin) = {
    .name = "softmin",
    .doc = "e^-x / sum e^-x along dim, without overflow; 0 in a row of inf",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = cr__dim_rows,
    .attrs_size = sizeof(cr__dim_attrs),
    .expand = softmin_expand,
    .samples = softmax_samples,
};

cr_tensor *cr_softmin_at(cr_tensor *x, int dim, const char *site)
{
    return cr__record_1(&cr__op_softmin, x, &(cr__dim_attrs){ dim }, site);
}

/* ---- what the others share ---- */

bool cr__norm_arguments(cr_ctx *ctx, const cr_op *op, cr_tensor *x, double eps)
{
    cr_dtype dtype = cr_dtype_of(x);
    if (!cr__is_float(dtype))
        cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() converts", "takes floats, not %s",
                    cr_dtype_name(dtype));
    else if (!(eps > 0))
        cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "eps is %g, not above 0", eps);
    return cr_error(ctx) == CR_OK;
}

bool cr__norm_shape(cr_ctx *ctx, const cr_op *op, const char *name, cr_tensor *p,
                    cr_dims want)
{
    if (!p || cr__dims_equal(cr_shape(p), want))
        return true;
    cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL, "%s is %s, not %s", name, cr__shape_text(p),
                cr__dims_text(ctx, want));
    return false;
}

bool cr__norm_type(cr_ctx *ctx, const cr_op *op, cr_tensor *x, cr_tensor *p)
{
    const cr_dtype a = cr_dtype_of(x), b = p ? cr_dtype_of(p) : a;
    if (a == b || !(cr__is_half(a) || cr__is_half(b)))
        return true;
    cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() one of them",
                "dtypes differ: %s and %s", cr_dtype_name(a), cr_dtype_name(b));
    return false;
}

/* ---- layer_norm ---- */

typedef struct layer_norm_attrs {
    cr_dims normalized_shape;
    double eps;
} layer_norm_attrs;

cr_dims cr__norm_last_dims(cr_ctx *ctx, const cr_op *op, cr_tensor *x, cr_dims shape)
{
    cr_dims dims = CR_NO_DIMS;
    int lead = shape.n > 0 ? cr_ndim(x) - shape.n : 0;
    bool fits = shape.n > 0 && lead >= 0;
    for (int i = 0; fits && i < shape.n; i++)
        fits = cr_size(x, lead + i) == shape.v[i];
    if (!fits)
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                    "x %s does not end in normalized_shape %s", cr__shape_text(x),
                    cr__dims_text(ctx, shape));
    for (int i = 0; fits && i < shape.n; i++)
        dims.v[dims.n++] = lead + i;
    return dims;
}

static cr_tensor *layer_norm_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                    const void *attributes)
{
    const layer_norm_attrs *attrs = attributes;
    cr_tensor *x = inputs[0], *weight = cr__optional(inputs, n, 1);
    cr_tensor *bias = cr__optional(inputs, n, 2);
    cr_dims shape = attrs->normalized_shape, dims;
    if (!cr__norm_arguments(ctx, &cr__op_layer_norm, x, attrs->eps))
        return NULL;
    dims = cr__norm_last_dims(ctx, &cr__op_layer_norm, x, shape);
    if (!dims.n || !cr__norm_shape(ctx, &cr__op_layer_norm, "weight", weight, shape) ||
        !cr__norm_shape(ctx, &cr__op_layer_norm, "bias", bias, shape))
        return NULL;
    x = cr__centred(x, dims, NULL);
    x = cr_mul(x, cr__rrms(x, dims, attrs->eps));
    x = weight ? cr_mul(x, weight) : x;
    return bias ? cr_add(x, bias) : x;
}

CR__OP(layer_norm) = {
    .name = "layer_norm",
    .doc = "(x - mean) / sqrt(var + eps) weight + bias over the last dimensions",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 3,
    .inputs = "x,weight,bias",
    .attrs = CR__ATTRS(CR__ATTR(layer_norm_attrs, normalized_shape, DIMS),
                       CR__ATTR(layer_norm_attrs, eps, REAL, .initial = "1e-5",
                                .flags = CR_ATTR_POSITIVE)),
    .attrs_size = sizeof(layer_norm_attrs),
    .expand = layer_norm_expand,
    .samples = CR__SAMPLES({ "f[2,4]! f[4] f[4]", "normalized_shape=4" },
                           { "f[2,2,3]! f[2,3] -", "normalized_shape=[2,3],eps=0.1" },
                           { "f[3,4]! - f[4]", "normalized_shape=[4]" },
                           { "f[5]!", "normalized_shape=5" },
                           { "f[0,3] f[3] f[3]", "normalized_shape=3" }),
    .call = "x,normalized_shape,weight,bias,.eps",
};

cr_tensor *cr_layer_norm_at(cr_tensor *x, cr_dims normalized_shape, cr_tensor *weight,
                            cr_tensor *bias, cr_norm_opts opts)
{
    cr_tensor *inputs[] = { x, weight, bias };
    layer_norm_attrs attrs = { normalized_shape, opts.eps };
    cr__attrs_fill(NULL, &cr__op_layer_norm, &attrs);
    return cr__record_n(NULL, &cr__op_layer_norm, inputs, 3, &attrs, opts.site);
}

/* ---- batch_norm ---- */

typedef struct batch_norm_attrs {
    bool training;
    double momentum, eps;
} batch_norm_attrs;

/* What normalises: of the batch or the running ones, [channels] each. */
typedef struct statistics {
    cr_tensor *mean, *var;
} statistics;

/* Channels are dimension 1, or 0 where there is no batch. */
static int channel_dim(const cr_tensor *x)
{
    return cr_ndim(x) > 1 ? 1 : 0;
}

static bool batch_norm_fits(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                            const batch_norm_attrs *attrs)
{
    static const char *const names[] = { "x", "running_mean", "running_var", "weight",
                                         "bias" };
    cr_tensor *x = inputs[0];
    if (!cr__norm_arguments(ctx, &cr__op_batch_norm, x, attrs->eps))
        return false;
    if (cr_ndim(x) == 0) {
        cr__op_fail(ctx, &cr__op_batch_norm, CR_ERR_SHAPE, NULL,
                    "x is [N, C, ..]: it has no channels");
        return false;
    }
    int64_t channels = cr_size(x, channel_dim(x));
    for (int i = 1; i < n; i++)
        if (!cr__norm_shape(ctx, &cr__op_batch_norm, names[i], inputs[i],
                            CR_DIMS(channels)) ||
            !cr__norm_type(ctx, &cr__op_batch_norm, x, inputs[i]))
            return false;
    bool running = cr__optional(inputs, n, 1) && cr__optional(inputs, n, 2);
    if (attrs->training && cr_numel(x) > 0 && cr_numel(x) <= channels)
        cr__op_fail(ctx, &cr__op_batch_norm, CR_ERR_SHAPE, NULL,
                    "training needs more than one value per channel, and x is %s",
                    cr__shape_text(x));
    else if (!attrs->training && !running)
        cr__op_fail(ctx, &cr__op_batch_norm, CR_ERR_ARGUMENT, NULL,
                    "running_mean and running_var are needed when not training");
    return cr_error(ctx) == CR_OK;
}

cr_tensor *cr__norm_channels(cr_tensor *p, int rank)
{
    cr_dims dims = cr_shape(p);
    if (rank <= 2)
        return p;
    while (dims.n < rank - 1)
        dims.v[dims.n++] = 1;
    return cr_reshape(p, dims);
}

cr_tensor *cr__norm_f32(cr_tensor *x)
{
    return x && cr__is_half(cr_dtype_of(x)) ? cr_cast(x, CR_F32) : x;
}

cr_tensor *cr__norm_cast(cr_tensor *x, cr_dtype dtype)
{
    return x && cr_dtype_of(x) != dtype ? cr_cast(x, dtype) : x;
}

void cr__norm_track(cr_ctx *ctx, cr_tensor *running, cr_tensor *batch, double momentum)
{
    if (!running)
        return;
    cr_no_grad_push(ctx);
    cr_tensor *old = cr_mul(cr__norm_f32(running), 1 - momentum);
    batch = cr_reshape(batch, cr_shape(running));
    cr_tensor *moved = cr_add(old, cr_mul(batch, momentum));
    (void)cr_assign(running, cr__norm_cast(moved, cr_dtype_of(running)));
    cr_no_grad_pop(ctx);
}

static cr_dims all_but(int rank, int dim)
{
    cr_dims dims = CR_NO_DIMS;
    for (int i = 0; i < rank; i++)
        if (i != dim)
            dims.v[dims.n++] = i;
    return dims;
}

/* Running statistics are assigned, so the operation cannot be given casts of them. */
static cr_tensor *batch_norm_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                    const void *attributes)
{
    const batch_norm_attrs *attrs = attributes;
    cr_tensor *x = inputs[0], *mean = cr__optional(inputs, n, 1);
    cr_tensor *var = cr__optional(inputs, n, 2), *weight = cr__optional(inputs, n, 3);
    cr_tensor *bias = cr__optional(inputs, n, 4), *running_mean = mean,
              *running_var = var;
    if (!batch_norm_fits(ctx, inputs, n, attrs))
        return NULL;
    const cr_dtype dtype = cr_dtype_of(x);
    x = cr__norm_f32(x), mean = cr__norm_f32(mean), var = cr__norm_f32(var);
    weight = cr__norm_f32(weight), bias = cr__norm_f32(bias);
    int rank = cr_ndim(x);
    cr_dims over = all_but(rank, channel_dim(x));
    cr_tensor *centred = x, *scale = NULL;
    /* An empty batch has no statistics, and leaves the running ones alone. */
    const bool empty = cr_numel(x) == 0;
    if (attrs->training && !empty) {
        centred = cr__centred(x, over, &mean);
        scale = cr__rrms(centred, over, attrs->eps);
    } else if (!attrs->training) {
        centred = cr_sub(x, cr__norm_channels(mean, rank));
        scale = cr__norm_channels(cr_rsqrt(cr_add(var, attrs->eps)), rank);
    }
    if (weight)
        scale = scale ? cr_mul(scale, cr__norm_channels(weight, rank))
                      : cr__norm_channels(weight, rank);
    cr_tensor *out = scale ? cr_mul(centred, scale) : cr_mul(centred, 1);
    out = cr__norm_cast(bias ? cr_add(out, cr__norm_channels(bias, rank)) : out, dtype);
    if (out && attrs->training && !empty) {
        cr__norm_track(ctx, running_mean, mean, attrs->momentum);
        if (running_var) {
            cr_no_grad_push(ctx);
            var = cr__mean_square(centred, over, true, 1);
            cr_no_grad_pop(ctx);
            cr__norm_track(ctx, running_var, var, attrs->momentum);
        }
    }
    return out;
}

CR__OP(batch_norm) = {
    .name = "batch_norm",
    .doc =
        "(x - mean) / sqrt(var + eps) weight + bias per channel of [N, C, ..]; training: "
        "of the batch, and the running statistics are assigned",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 5,
    .inputs = "x,running_mean,running_var,weight,bias",
    .attrs = CR__ATTRS(CR__ATTR(batch_norm_attrs, training, BOOL, .initial = "false",
                                .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(batch_norm_attrs, momentum, REAL, .initial = "0.1",
                                .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(batch_norm_attrs, eps, REAL, .initial = "1e-5",
                                .flags = CR_ATTR_POSITIVE)),
    .attrs_size = sizeof(batch_norm_attrs),
    .expand = batch_norm_expand,
    .samples = CR__SAMPLES({ "f[4,3]! - - f[3] f[3]", "training=true" },
                           { "f[4,3]! f[3]~ f[3]{0.5,2}~ f[3] f[3]",
                             "training=true,momentum=0.3" },
                           { "f[2,3,2,2]! - - f[3] f[3]", "training=true,eps=0.1" },
                           { "f[4,3] f[3]~ f[3]{0.5,2}~ f[3] f[3]", NULL },
                           { "f[2,3,2] f[3]~ f[3]{0.5,2}~ - f[3]", NULL },
                           { "f[3,2]!", "training=true" },
                           { "f[0,3] f[3]~ f[3]{0.5,2}~", NULL },
                           { "f[0,3,2] f[3]~ f[3]{0.5,2}~ f[3] f[3]", "training=true" }),
};

cr_tensor *cr_batch_norm_at(cr_tensor *x, cr_tensor *running_mean, cr_tensor *running_var,
                            cr_tensor *weight, cr_tensor *bias, bool training,
                            double momentum, cr_norm_opts opts)
{
    cr_tensor *inputs[] = { x, running_mean, running_var, weight, bias };
    batch_norm_attrs attrs = { training, momentum, opts.eps };
    cr__attrs_fill(NULL, &cr__op_batch_norm, &attrs);
    return cr__record_n(NULL, &cr__op_batch_norm, inputs, 5, &attrs, opts.site);
}
