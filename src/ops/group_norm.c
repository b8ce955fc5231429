/* Normalisations of parts of a sample, composed of other operations: group_norm,
 * instance_norm, rms_norm, local_response_norm. */
#include "attrs.h"
#include "norm.h"

#include <float.h>

/* ---- group_norm ---- */

typedef struct group_norm_attrs {
    int64_t num_groups;
    double eps;
} group_norm_attrs;

/* Whether x is [N, C, ..], and what goes with channels [C]. */
static bool rows_of_channels(cr_ctx *ctx, const cr_op *op, cr_tensor *const *inputs,
                             int n, const char *const *names, double eps)
{
    if (!cr__norm_arguments(ctx, op, inputs[0], eps))
        return false;
    if (cr_ndim(inputs[0]) < 2) {
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL, "x is [N, C, ..], not %s",
                    cr__shape_text(inputs[0]));
        return false;
    }
    for (int i = 1; i < n; i++)
        if (!cr__norm_shape(ctx, op, names[i], inputs[i],
                            CR_DIMS(cr_size(inputs[0], 1))) ||
            !cr__norm_type(ctx, op, inputs[0], inputs[i]))
            return false;
    return true;
}

/* How many elements a statistic is made of: an error if one. */
static bool more_than_one(cr_ctx *ctx, const cr_op *op, cr_tensor *x, int64_t count)
{
    if (count != 1 || cr_numel(x) == 0)
        return true;
    cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                "one element has no variance: x is %s, and each is alone",
                cr__shape_text(x));
    return false;
}

static cr_tensor *scale_and_shift(cr_tensor *x, cr_tensor *weight, cr_tensor *bias)
{
    const int rank = cr_ndim(x);
    x = weight ? cr_mul(x, cr__norm_channels(weight, rank)) : x;
    return bias ? cr_add(x, cr__norm_channels(bias, rank)) : x;
}

static cr_tensor *group_norm_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                    const void *attributes)
{
    static const char *const names[] = { "x", "weight", "bias" };
    const group_norm_attrs *attrs = attributes;
    const cr_op *op = &cr__op_group_norm;
    cr_tensor *x = inputs[0];
    if (!rows_of_channels(ctx, op, inputs, n, names, attrs->eps))
        return NULL;
    const cr_dims dims = cr_shape(x), over = CR_DIMS(1);
    if (attrs->num_groups < 1 || dims.v[1] % attrs->num_groups || dims.v[1] == 0) {
        cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL,
                    "num_groups is %lld, which does not divide the channels of %s",
                    (long long)attrs->num_groups, cr__shape_text(x));
        return NULL;
    }
    int64_t count = dims.v[1] / attrs->num_groups;
    for (int i = 2; i < dims.n; i++)
        count *= dims.v[i];
    /* As PyTorch: of several samples each group may be one element, which becomes 0. */
    if (!more_than_one(ctx, op, x, cr_numel(x) / attrs->num_groups))
        return NULL;
    x = cr_reshape(x, CR_DIMS(dims.v[0] * attrs->num_groups, count));
    x = cr__centred(x, over, NULL);
    x = cr_reshape(cr_mul(x, cr__rrms(x, over, attrs->eps)), dims);
    return x ? scale_and_shift(x, cr__optional(inputs, n, 1), cr__optional(inputs, n, 2))
             : NULL;
}

CR__OP(group_norm) = {
    .name = "group_norm",
    .doc =
        "(x - mean) / sqrt(var + eps) weight + bias per group of channels and sample of "
        "[N, C, ..]",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 3,
    .inputs = "x,weight,bias",
    .attrs = CR__ATTRS(CR__ATTR(group_norm_attrs, num_groups, INT,
                                .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(group_norm_attrs, eps, REAL, .initial = "1e-5",
                                .flags = CR_ATTR_POSITIVE)),
    .attrs_size = sizeof(group_norm_attrs),
    .expand = group_norm_expand,
    .samples = CR__SAMPLES({ "f[2,4,3]! f[4] f[4]", "num_groups=2" },
                           { "f[2,4]! f[4] -", "num_groups=1,eps=0.1" },
                           { "f[2,2]! f[2] f[2]", "num_groups=2" },
                           { "f[1,3,2,2]! - f[3]", "num_groups=3" },
                           { "f[0,2] f[2] f[2]", "num_groups=1" }),
    .call = "x,num_groups,weight,bias,.eps",
};

cr_tensor *cr_group_norm_at(cr_tensor *x, int64_t num_groups, cr_tensor *weight,
                            cr_tensor *bias, cr_norm_opts opts)
{
    cr_tensor *inputs[] = { x, weight, bias };
    group_norm_attrs attrs = { num_groups, opts.eps };
    cr__attrs_fill(NULL, &cr__op_group_norm, &attrs);
    return cr__record_n(NULL, &cr__op_group_norm, inputs, 3, &attrs, opts.site);
}

/* ---- instance_norm ---- */

typedef struct instance_norm_attrs {
    bool use_input_stats;
    double momentum, eps;
} instance_norm_attrs;

/* The mean over samples of what each channel of each has, [N, C, 1], as a constant. */
static void track_mean(cr_ctx *ctx, cr_tensor *running, cr_tensor *each, double momentum)
{
    if (!running || !each || cr_numel(each) == 0)
        return;
    cr_no_grad_push(ctx);
    cr__norm_track(ctx, running, cr_mean(each, 0), momentum);
    cr_no_grad_pop(ctx);
}

/* Running statistics are assigned, so the operation cannot be given casts of them. */
static cr_tensor *instance_norm_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                       const void *attributes)
{
    static const char *const names[] = { "x", "running_mean", "running_var", "weight",
                                         "bias" };
    const instance_norm_attrs *attrs = attributes;
    const cr_op *op = &cr__op_instance_norm;
    cr_tensor *x = inputs[0], *mean = cr__optional(inputs, n, 1);
    cr_tensor *var = cr__optional(inputs, n, 2);
    if (!rows_of_channels(ctx, op, inputs, n, names, attrs->eps))
        return NULL;
    if (!attrs->use_input_stats && !(mean && var)) {
        cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL,
                    "running_mean and running_var are needed without use_input_stats");
        return NULL;
    }
    const cr_dtype dtype = cr_dtype_of(x);
    const cr_dims dims = cr_shape(x), over = CR_DIMS(2);
    int64_t count = 1;
    for (int i = 2; i < dims.n; i++)
        count *= dims.v[i];
    if (attrs->use_input_stats && !more_than_one(ctx, op, x, count))
        return NULL;
    cr_tensor *each = NULL, *centred, *scale;
    x = cr_reshape(cr__norm_f32(x), CR_DIMS(dims.v[0], dims.v[1], count));
    if (attrs->use_input_stats) {
        centred = cr__centred(x, over, &each);
        scale = cr__rrms(centred, over, attrs->eps);
    } else {
        centred = cr_sub(x, cr__norm_channels(cr__norm_f32(mean), 3));
        scale = cr_rsqrt(cr_add(cr__norm_f32(var), attrs->eps));
        scale = cr__norm_channels(scale, 3);
    }
    x = cr_mul(centred, scale);
    x = x ? scale_and_shift(x, cr__norm_f32(cr__optional(inputs, n, 3)),
                            cr__norm_f32(cr__optional(inputs, n, 4)))
          : NULL;
    x = cr__norm_cast(cr_reshape(x, dims), dtype);
    if (x && attrs->use_input_stats) {
        track_mean(ctx, mean, each, attrs->momentum);
        if (var) {
            cr_no_grad_push(ctx);
            each = cr__mean_square(centred, over, true, 1);
            cr_no_grad_pop(ctx);
            track_mean(ctx, var, each, attrs->momentum);
        }
    }
    return x;
}

CR__OP(instance_norm) = {
    .name = "instance_norm",
    .doc = "(x - mean) / sqrt(var + eps) weight + bias per channel and sample of [N, C, "
           "..]; with "
           "use_input_stats the running statistics are assigned, else used",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 5,
    .inputs = "x,running_mean,running_var,weight,bias",
    .attrs = CR__ATTRS(CR__ATTR(instance_norm_attrs, use_input_stats, BOOL,
                                .initial = "true", .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(instance_norm_attrs, momentum, REAL, .initial = "0.1",
                                .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(instance_norm_attrs, eps, REAL, .initial = "1e-5",
                                .flags = CR_ATTR_POSITIVE)),
    .attrs_size = sizeof(instance_norm_attrs),
    .expand = instance_norm_expand,
    .samples = CR__SAMPLES({ "f[2,3,4]! - - f[3] f[3]", NULL },
                           { "f[2,2,3]! f[2]~ f[2]{0.5,2}~ f[2] -", "momentum=0.3" },
                           { "f[1,2,2,2]! - - - f[2]", "eps=0.1" },
                           { "f[2,2,3] f[2]~ f[2]{0.5,2}~ f[2] f[2]",
                             "use_input_stats=false" },
                           { "f[0,2,3] - - f[2] f[2]", NULL }),
};

cr_tensor *cr_instance_norm_at(cr_tensor *x, cr_tensor *running_mean,
                               cr_tensor *running_var, cr_tensor *weight, cr_tensor *bias,
                               bool use_input_stats, double momentum, cr_norm_opts opts)
{
    cr_tensor *inputs[] = { x, running_mean, running_var, weight, bias };
    instance_norm_attrs attrs = { use_input_stats, momentum, opts.eps };
    cr__attrs_fill(NULL, &cr__op_instance_norm, &attrs);
    return cr__record_n(NULL, &cr__op_instance_norm, inputs, 5, &attrs, opts.site);
}

/* ---- rms_norm ---- */

typedef struct rms_norm_attrs {
    cr_dims normalized_shape;
    cr_opt_real eps;
} rms_norm_attrs;

static cr_tensor *rms_norm_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                  const void *attributes)
{
    const rms_norm_attrs *attrs = attributes;
    const cr_op *op = &cr__op_rms_norm;
    cr_tensor *x = inputs[0], *weight = cr__optional(inputs, n, 1);
    double eps = attrs->eps.given           ? attrs->eps.v
                 : cr_dtype_of(x) == CR_F64 ? DBL_EPSILON
                                            : (double)FLT_EPSILON;
    if (!cr__norm_arguments(ctx, op, x, eps))
        return NULL;
    cr_dims dims = cr__norm_last_dims(ctx, op, x, attrs->normalized_shape);
    if (!dims.n || !cr__norm_shape(ctx, op, "weight", weight, attrs->normalized_shape))
        return NULL;
    x = cr_mul(x, cr__rrms(x, dims, eps));
    return weight ? cr_mul(x, weight) : x;
}

CR__OP(rms_norm) = {
    .name = "rms_norm",
    .doc = "x / sqrt(mean x^2 + eps) weight over the last dimensions",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 2,
    .inputs = "x,weight",
    .attrs = CR__ATTRS(CR__ATTR(rms_norm_attrs, normalized_shape, DIMS),
                       CR__ATTR(rms_norm_attrs, eps, OPT_REAL, .initial = CR__NOT_GIVEN)),
    .attrs_size = sizeof(rms_norm_attrs),
    .expand = rms_norm_expand,
    .samples = CR__SAMPLES({ "f[2,4]! f[4]", "normalized_shape=4" },
                           { "f[2,2,3]! f[2,3]", "normalized_shape=[2,3],eps=0.1" },
                           { "f[5]!", "normalized_shape=5" },
                           { "f[0,3] f[3]", "normalized_shape=3" }),
    .call = "x,normalized_shape,weight,.eps",
};

cr_tensor *cr_rms_norm_at(cr_tensor *x, cr_dims normalized_shape, cr_tensor *weight,
                          cr_rms_norm_opts opts)
{
    cr_tensor *inputs[] = { x, weight };
    rms_norm_attrs attrs = { normalized_shape, opts.eps };
    return cr__record_n(NULL, &cr__op_rms_norm, inputs, 2, &attrs, opts.site);
}

/* ---- local_response_norm ---- */

typedef struct local_response_norm_attrs {
    int64_t size;
    cr_opt_real alpha, beta, k;
} local_response_norm_attrs;

/* The mean of squares over neighbouring channels is a mean pooling along them; of even
 * sizes it has one more at the end. */
static cr_tensor *local_response_norm_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                             const void *attributes)
{
    const local_response_norm_attrs *a = attributes;
    const cr_op *op = &cr__op_local_response_norm;
    cr_tensor *x = inputs[0];
    const cr_dims dims = cr_shape(x);
    int64_t inner = 1;
    (void)n;
    if (!cr__norm_arguments(ctx, op, x, 1))
        return NULL;
    if (dims.n < 3 || a->size < 1) {
        cr__op_fail(ctx, op, dims.n < 3 ? CR_ERR_SHAPE : CR_ERR_ARGUMENT, NULL,
                    "x is [N, C, L, ..] and size above 0, not %s and %lld",
                    cr__shape_text(x), (long long)a->size);
        return NULL;
    }
    if (cr_numel(x) == 0)
        return cr_mul(x, 1);
    for (int i = 2; i < dims.n; i++)
        inner *= dims.v[i];
    cr_tensor *mean = cr_square(cr_reshape(x, CR_DIMS(dims.v[0], 1, dims.v[1], inner)));
    mean = cr_avg_pool2d(mean, CR_DIMS(a->size, 1), .stride = CR_DIMS(1, 1),
                         .padding = CR_DIMS(a->size / 2, 0));
    mean = cr_reshape(cr_slice(mean, 2, 0, dims.v[1]), dims);
    return cr_div(x, cr_pow(cr_add(cr_mul(mean, a->alpha.v), a->k.v), a->beta.v));
}

CR__OP(local_response_norm) = {
    .name = "local_response_norm",
    .doc = "x / (k + alpha mean x^2)^beta, the mean over size neighbouring channels of "
           "[N, C, ..], "
           "zeros outside",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(
        CR__ATTR(local_response_norm_attrs, size, INT, .flags = CR_ATTR_POSITIONAL),
        CR__ATTR(local_response_norm_attrs, alpha, OPT_REAL, .initial = "0.0001"),
        CR__ATTR(local_response_norm_attrs, beta, OPT_REAL, .initial = "0.75"),
        CR__ATTR(local_response_norm_attrs, k, OPT_REAL, .initial = "1")),
    .attrs_size = sizeof(local_response_norm_attrs),
    .expand = local_response_norm_expand,
    .samples = CR__SAMPLES({ "f[2,4,3]", "size=3,alpha=0.5" },
                           { "f[1,3,2,2]", "size=2,alpha=1,beta=0.5,k=2" },
                           { "f[1,2,2]", "size=5,alpha=1" }, { "f[0,2,2]", "size=2" }),
};

cr_tensor *cr_local_response_norm_at(cr_tensor *x, int64_t size,
                                     cr_local_response_norm_opts opts)
{
    local_response_norm_attrs attrs = { size, opts.alpha, opts.beta, opts.k };
    cr__attrs_fill(NULL, &cr__op_local_response_norm, &attrs);
    return cr__record_1(&cr__op_local_response_norm, x, &attrs, opts.site);
}
