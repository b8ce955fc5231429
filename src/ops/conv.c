/* Convolutions and their transposed forms. Three products that are each other's gradients: the
 * convolution of x [N, C, ..] and w [O, C / groups, ..], which is y [N, O, ..], what it makes of
 * a cotangent y for x, and for w. A transposed convolution is the second of them. What users
 * call is checked and brought into that form here. */
#include "attrs.h"

/* ---- the products ---- */

/* size: of the result's space. */
typedef struct product_attrs {
    cr_dims stride, padding, dilation, size;
    int64_t groups;
} product_attrs;

/* Which of the three tensors a product gives, and which it takes. */
typedef enum conv_role { OF_X, OF_Y, OF_W } conv_role;
static const struct {
    const cr_op *op;
    conv_role in[2];
} products[] = {
    [OF_X] = { &cr__op_conv_input_grad, { OF_Y, OF_W } },
    [OF_Y] = { &cr__op_conv, { OF_X, OF_W } },
    [OF_W] = { &cr__op_conv_weight_grad, { OF_X, OF_Y } },
};

static conv_role role_of(const cr_op *op)
{
    return op == products[OF_X].op ? OF_X : op == products[OF_Y].op ? OF_Y : OF_W;
}

static cr_dims space_of(cr_dims dims)
{
    cr__dims_remove(&dims, 0);
    cr__dims_remove(&dims, 0);
    return dims;
}

static cr_status product_shape(cr_infer *infer)
{
    const product_attrs *attrs = infer->attrs;
    const conv_role result = role_of(infer->op);
    cr_dims of[3] = { 0 };
    if (!cr__products_fit(infer))
        return CR_ERR_DTYPE;
    for (int i = 0; i < 2; i++)
        if (infer->in_dims[i].n < 3)
            return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                               "takes [.., .., size, ..], not %s",
                               cr__dims_text(infer->ctx, infer->in_dims[i]));
    for (int i = 0; i < 2; i++)
        of[products[result].in[i]] = infer->in_dims[i];
    const int64_t first =
        result == OF_W ? of[OF_Y].v[1] : of[result == OF_Y ? OF_X : OF_Y].v[0];
    const int64_t second = result == OF_X   ? of[OF_W].v[1] * attrs->groups
                           : result == OF_Y ? of[OF_W].v[0]
                                            : of[OF_X].v[1] / attrs->groups;
    infer->dims = attrs->size;
    cr__dims_insert(&infer->dims, 0, second);
    cr__dims_insert(&infer->dims, 0, first);
    return CR_OK;
}

static cr_tensor *record_product(conv_role result, cr_tensor *const *of,
                                 const product_attrs *like, cr_dims size,
                                 const char *site)
{
    product_attrs attrs = *like;
    cr_tensor *inputs[] = { of[products[result].in[0]], of[products[result].in[1]] };
    attrs.size = size;
    return cr__record_n(NULL, products[result].op, inputs, 2, &attrs, site);
}

static void product_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const conv_role result = role_of(cr_op_of(out));
    cr_tensor *of[3];
    of[result] = g;
    for (int i = 0; i < 2; i++)
        of[products[result].in[i]] = cr_input(out, i);
    for (int i = 0; i < 2; i++)
        if (cr_input_needs_grad(out, i))
            down[i] = record_product(products[result].in[i], of, cr_attrs(out),
                                     space_of(cr_shape(cr_input(out, i))), CR_HERE);
}

/* Of images; not of what is a sum over them. */
static unsigned product_apart(const cr_tensor *out)
{
    return role_of(cr_op_of(out)) == OF_W ? 0 : CR_READS_INPUT(0);
}

/* The weight's gradient of each of n parts is that of one image with the channels of all, in n
 * times as many groups; of parts of one image each. */
static cr_tensor *product_vjp_apart(cr_tensor *out, cr_tensor *g, int i, int64_t n)
{
    const conv_role result = role_of(cr_op_of(out));
    const product_attrs *like = cr_attrs(out);
    product_attrs attrs = *like;
    cr_tensor *of[3] = { NULL }, *weight = cr_input(out, i);
    of[result] = g;
    of[result == OF_Y ? OF_X : OF_Y] = cr_input(out, 0);
    if (cr_size(g, 0) != n || cr_ndim(weight) == CR_MAX_DIMS)
        return NULL;
    for (int k = 0; k < 2; k++) {
        cr_tensor **x = &of[k ? OF_Y : OF_X];
        cr_dims dims = cr_shape(*x);
        dims.v[1] *= dims.v[0];
        dims.v[0] = 1;
        *x = cr_reshape(*x, dims);
    }
    attrs.groups *= n;
    cr_tensor *each =
        record_product(OF_W, of, &attrs, space_of(cr_shape(weight)), CR_HERE);
    cr_dims dims = cr_shape(weight);
    cr__dims_insert(&dims, 0, n);
    return each ? cr_reshape(each, dims) : NULL;
}

static void product_conv(const cr_tensor *out, const int64_t *a, const int64_t *b,
                         cr__conv *conv)
{
    static const cr__conv_pass passes[] = {
        [OF_X] = CR__CONV_INPUT, [OF_Y] = CR__CONV_FORWARD, [OF_W] = CR__CONV_WEIGHT
    };
    const product_attrs *attrs = out->attrs;
    const conv_role result = role_of(out->op);
    const int64_t *of[3];
    of[result] = out->shape->dims;
    of[products[result].in[0]] = a, of[products[result].in[1]] = b;
    conv->pass = passes[result];
    conv->ndim = out->shape->ndim - 2;
    conv->images = of[OF_X][0];
    conv->groups = attrs->groups;
    conv->ins = of[OF_W][1], conv->outs = of[OF_W][0] / attrs->groups;
    for (int d = 0; d < conv->ndim; d++) {
        conv->size[d] = of[OF_X][2 + d], conv->out[d] = of[OF_Y][2 + d];
        conv->kernel[d] = of[OF_W][2 + d];
        conv->stride[d] = attrs->stride.v[d], conv->padding[d] = attrs->padding.v[d];
        conv->dilation[d] = attrs->dilation.v[d];
    }
}

static size_t product_scratch(const cr_tensor *out)
{
    cr__conv conv = { .dtype = cr_dtype_of(out) };
    cr_dims dims[2];
    for (int i = 0; i < 2; i++) {
        dims[i] = cr_shape(cr_input(out, i));
        conv.operand[i].dtype = cr_dtype_of(cr_input(out, i));
    }
    product_conv(out, dims[0].v, dims[1].v, &conv);
    return cr__conv_bytes(&conv);
}

static const cr_attr product_rows[] = {
    CR__ATTR(product_attrs, stride, DIMS),
    CR__ATTR(product_attrs, padding, DIMS),
    CR__ATTR(product_attrs, dilation, DIMS),
    CR__ATTR(product_attrs, size, DIMS),
    CR__ATTR(product_attrs, groups, INT, .initial = "1", .flags = CR_ATTR_POSITIVE),
    CR__ATTRS_END,
};
#define PRODUCT(NAME, INPUTS, DOC, PANELS, ...)                                   \
    CR__OP(NAME) = {                                                              \
        .name = #NAME,                                                            \
        .doc = DOC,                                                               \
        .kind = CR_OP_CONTRACT,                                                   \
        .min_inputs = 2,                                                          \
        .max_inputs = 2,                                                          \
        .inputs = INPUTS,                                                         \
        .attrs = product_rows,                                                    \
        .attrs_size = sizeof(product_attrs),                                      \
        .shape = product_shape,                                                   \
        .vjp = product_vjp,                                                       \
        .reads = CR_READS_INPUT(0) | CR_READS_INPUT(1),                           \
        .scratch = product_scratch,                                               \
        .apart = product_apart,                                                   \
        .vjp_apart = product_vjp_apart,                                           \
        .internal =                                                               \
            &(const cr__contract_info){ .conv = product_conv, .panels = PANELS }, \
        .samples = CR__SAMPLES(__VA_ARGS__),                                      \
    }
PRODUCT(conv, "x,weight", "the convolution of x and weight", true,
        { "f[2,4,5] f[6,2,3]", "stride=2,padding=1,dilation=1,size=3,groups=2" },
        { "f[1,1,4,3] f[2,1,2,2]",
          "stride=[1,2],padding=[0,1],dilation=[2,1],size=[2,2],groups=1" });
PRODUCT(conv_input_grad, "grad,weight", "the gradient of conv to x, of this size", true,
        { "f[2,6,3] f[6,2,3]", "stride=2,padding=1,dilation=1,size=5,groups=2" },
        { "f[1,2,2,2] f[2,1,2,2]",
          "stride=[1,2],padding=[0,1],dilation=[2,1],size=[4,3],groups=1" });
PRODUCT(conv_weight_grad, "x,grad", "the gradient of conv to weight, of this size", false,
        { "f[2,4,5] f[2,6,3]", "stride=2,padding=1,dilation=1,size=3,groups=2" },
        { "f[1,1,4,3] f[1,2,2,2]",
          "stride=[1,2],padding=[0,1],dilation=[2,1],size=[2,2],groups=1" });

/* ---- arguments ---- */

/* Of both forms: the first has no output_padding. */
typedef struct conv_attrs {
    cr_dims stride, padding, output_padding, dilation;
    int64_t groups;
} conv_attrs;

typedef struct conv_call {
    cr_ctx *ctx;
    const cr_op *op;
    cr_tensor *x, *weight, *bias;
    int ndim;
    bool transposed;
    int64_t channels[2]; /* of the input, of the result */
} conv_call;

/* Whether the bias is of x's type; the product sees to the weight. */
static bool bias_fits(const conv_call *c)
{
    const cr_dtype x = cr_dtype_of(c->x), bias = c->bias ? cr_dtype_of(c->bias) : x;
    if (x == bias)
        return true;
    return !cr__op_fail(c->ctx, c->op, CR_ERR_DTYPE, "cr_cast() converts",
                        "types differ: x is %s, bias %s", cr_dtype_name(x),
                        cr_dtype_name(bias));
}

static bool ranks_fit(const conv_call *c)
{
    static const char *const space[] = { "length", "height, width",
                                         "depth, height, width" };
    const char *sizes = space[c->ndim - 1];
    const int n = cr_ndim(c->x) - c->ndim;
    if (n != 1 && n != 2)
        return !cr__op_fail(c->ctx, c->op, CR_ERR_SHAPE, NULL,
                            "x is [N, C, %s] or [C, %s], not %s", sizes, sizes,
                            cr__shape_text(c->x));
    if (cr_ndim(c->weight) != c->ndim + 2)
        return !cr__op_fail(c->ctx, c->op, CR_ERR_SHAPE, NULL,
                            "weight is [%s, %s], not %s",
                            c->transposed ? "in, out / groups" : "out, in / groups",
                            sizes, cr__shape_text(c->weight));
    for (int d = -c->ndim; d < 0; d++)
        if (cr_size(c->x, d) == 0 || cr_size(c->weight, d) == 0)
            return !cr__op_fail(c->ctx, c->op, CR_ERR_SHAPE, NULL,
                                "%s %s has no elements along dim %d",
                                cr_size(c->x, d) ? "weight" : "x",
                                cr__shape_text(cr_size(c->x, d) ? c->weight : c->x), d);
    return true;
}

/* Channels by groups; *channels are set. */
static bool channels_fit(conv_call *c, int64_t groups)
{
    const int64_t given = cr_size(c->x, -1 - c->ndim), first = cr_size(c->weight, 0),
                  second = cr_size(c->weight, 1);
    int64_t all;
    if (first == 0 || (c->transposed && second == 0))
        return !cr__op_fail(c->ctx, c->op, CR_ERR_SHAPE, NULL,
                            "weight %s has no channels along dim %d",
                            cr__shape_text(c->weight), first ? 1 : 0);
    if (first % groups)
        return !cr__op_fail(c->ctx, c->op, CR_ERR_SHAPE, NULL,
                            "groups %lld does not divide dim 0 of weight %s",
                            (long long)groups, cr__shape_text(c->weight));
    if (__builtin_mul_overflow(second, groups, &all))
        all = -1;
    c->channels[0] = c->transposed ? first : all;
    c->channels[1] = c->transposed ? all : first;
    if (given != c->channels[0])
        return !cr__op_fail(
            c->ctx, c->op, CR_ERR_SHAPE, NULL,
            "weight %s in %lld group%s takes %lld channels, x %s has %lld",
            cr__shape_text(c->weight), (long long)groups, groups == 1 ? "" : "s",
            (long long)c->channels[0], cr__shape_text(c->x), (long long)given);
    if (c->bias && !(cr_ndim(c->bias) == 1 && cr_size(c->bias, 0) == c->channels[1]))
        return !cr__op_fail(c->ctx, c->op, CR_ERR_SHAPE, NULL,
                            "bias is [%lld], a number for each channel, not %s",
                            (long long)c->channels[1], cr__shape_text(c->bias));
    return true;
}

/* One number for each dim of space, none below `least`. */
static bool spread_list(const conv_call *c, const char *name, cr_dims *list,
                        int64_t least)
{
    if (list->n == 1)
        for (; list->n < c->ndim; list->n++)
            list->v[list->n] = list->v[0];
    if (list->n != c->ndim)
        return !cr__op_fail(c->ctx, c->op, CR_ERR_ARGUMENT, NULL,
                            "%s is %s, not one number or %d", name,
                            cr__dims_text(c->ctx, *list), c->ndim);
    for (int d = 0; d < c->ndim; d++)
        if (list->v[d] < least)
            return !cr__op_fail(c->ctx, c->op, CR_ERR_ARGUMENT, NULL,
                                "%s is %s, below %lld", name,
                                cr__dims_text(c->ctx, *list), (long long)least);
    return true;
}

/* padding, a word among them, as numbers of zeros before the first element; the same behind the
 * last, but for "same", which may have one more there. */
static bool settle_padding(const conv_call *c, conv_attrs *attrs, bool *same)
{
    cr_dims *p = &attrs->padding;
    const bool word = p->n == 1 && !c->transposed && p->v[0] < INT64_MIN + 2;
    *same = word && p->v[0] == INT64_MIN;
    if (word)
        p->v[0] = 0;
    if (!spread_list(c, "padding", p, 0))
        return false;
    for (int d = 0; *same && d < c->ndim; d++) {
        int64_t span;
        if (attrs->stride.v[d] != 1)
            return !cr__op_fail(c->ctx, c->op, CR_ERR_ARGUMENT, NULL,
                                "padding is same, and stride is %s, not 1",
                                cr__dims_text(c->ctx, attrs->stride));
        if (__builtin_mul_overflow(cr_size(c->weight, 2 + d) - 1, attrs->dilation.v[d],
                                   &span))
            span = INT64_MAX;
        p->v[d] = span / 2;
    }
    return true;
}

/* Elements that a kernel reaches over in dim d: dilation * (size - 1) + 1; false: too many. */
static bool reach_of(const conv_call *c, const conv_attrs *attrs, int d, int64_t *reach)
{
    return !__builtin_mul_overflow(cr_size(c->weight, 2 + d) - 1, attrs->dilation.v[d],
                                   reach) &&
           !__builtin_add_overflow(*reach, 1, reach);
}

/* The result's space. */
static bool size_of_conv(const conv_call *c, const conv_attrs *attrs, bool same,
                         cr_dims *size)
{
    for (int d = 0; d < c->ndim; d++) {
        const int64_t n = cr_size(c->x, d - c->ndim);
        int64_t padded, reach;
        if (!reach_of(c, attrs, d, &reach))
            reach = INT64_MAX;
        if (__builtin_mul_overflow(attrs->padding.v[d], 2, &padded) ||
            __builtin_add_overflow(padded, n, &padded))
            return !cr__op_fail(c->ctx, c->op, CR_ERR_ARGUMENT, NULL,
                                "padding %s is too large",
                                cr__dims_text(c->ctx, attrs->padding));
        if (same ? reach == INT64_MAX : reach > padded)
            return !cr__op_fail(
                c->ctx, c->op, CR_ERR_SHAPE, NULL,
                "x %s, padded by %s, is smaller than weight %s with dilation %s",
                cr__shape_text(c->x), cr__dims_text(c->ctx, attrs->padding),
                cr__shape_text(c->weight), cr__dims_text(c->ctx, attrs->dilation));
        size->v[size->n++] = same ? n : (padded - reach) / attrs->stride.v[d] + 1;
    }
    return true;
}

static bool size_of_transposed(const conv_call *c, const conv_attrs *attrs, cr_dims *size)
{
    for (int d = 0; d < c->ndim; d++) {
        const int64_t extra = attrs->output_padding.v[d], stride = attrs->stride.v[d];
        int64_t n, reach, cut;
        if (extra >= stride && extra >= attrs->dilation.v[d])
            return !cr__op_fail(
                c->ctx, c->op, CR_ERR_ARGUMENT, NULL,
                "output_padding is %s, not below stride %s or dilation %s",
                cr__dims_text(c->ctx, attrs->output_padding),
                cr__dims_text(c->ctx, attrs->stride),
                cr__dims_text(c->ctx, attrs->dilation));
        if (!reach_of(c, attrs, d, &reach) ||
            __builtin_mul_overflow(cr_size(c->x, d - c->ndim) - 1, stride, &n) ||
            __builtin_add_overflow(n, reach, &n) ||
            __builtin_add_overflow(n, extra, &n) ||
            __builtin_mul_overflow(attrs->padding.v[d], 2, &cut))
            return !cr__op_fail(c->ctx, c->op, CR_ERR_SHAPE, NULL,
                                "the result of x %s and weight %s is too large",
                                cr__shape_text(c->x), cr__shape_text(c->weight));
        if (n <= cut)
            return !cr__op_fail(c->ctx, c->op, CR_ERR_SHAPE, NULL,
                                "nothing is left of x %s and weight %s with padding %s",
                                cr__shape_text(c->x), cr__shape_text(c->weight),
                                cr__dims_text(c->ctx, attrs->padding));
        size->v[size->n++] = n - cut;
    }
    return true;
}

static bool resolve_conv(conv_call *c, conv_attrs *attrs, cr_dims *size)
{
    bool same;
    if (attrs->groups < 1)
        return !cr__op_fail(c->ctx, c->op, CR_ERR_ARGUMENT, NULL,
                            "groups is %lld, below 1", (long long)attrs->groups);
    if (!bias_fits(c) || !ranks_fit(c) || !channels_fit(c, attrs->groups) ||
        !spread_list(c, "stride", &attrs->stride, 1) ||
        !spread_list(c, "dilation", &attrs->dilation, 1) ||
        !settle_padding(c, attrs, &same))
        return false;
    if (!c->transposed)
        return size_of_conv(c, attrs, same, size);
    return spread_list(c, "output_padding", &attrs->output_padding, 0) &&
           size_of_transposed(c, attrs, size);
}

/* ---- what users call ---- */

static cr_tensor *expand_conv(cr_ctx *ctx, const cr_op *op, int ndim, bool transposed,
                              cr_tensor *const *inputs, int n, const void *attributes)
{
    conv_attrs attrs = *(const conv_attrs *)attributes;
    conv_call c = { .ctx = ctx,
                    .op = op,
                    .x = inputs[0],
                    .weight = inputs[1],
                    .bias = cr__optional(inputs, n, 2),
                    .ndim = ndim,
                    .transposed = transposed };
    cr_dims size = CR_NO_DIMS, channels = CR_NO_DIMS;
    if (!resolve_conv(&c, &attrs, &size))
        return NULL;
    const bool batched = cr_ndim(c.x) == ndim + 2;
    const conv_role result = transposed ? OF_X : OF_Y;
    const product_attrs how = { .stride = attrs.stride,
                                .padding = attrs.padding,
                                .dilation = attrs.dilation,
                                .groups = attrs.groups };
    cr_tensor *of[3] = { NULL, NULL, c.weight };
    of[transposed ? OF_Y : OF_X] = batched ? c.x : cr_unsqueeze(c.x, 0);
    cr_tensor *out = record_product(result, of, &how, size, CR_HERE);
    if (c.bias) {
        channels.v[channels.n++] = c.channels[1];
        for (int d = 0; d < ndim; d++)
            channels.v[channels.n++] = 1;
        out = cr_add(out, cr_reshape(c.bias, channels));
    }
    return batched ? out : cr_squeeze(out, 0);
}

#define SHARED_ROWS                                           \
    CR__ATTR(conv_attrs, stride, DIMS, .initial = "1"),       \
        CR__ATTR(conv_attrs, dilation, DIMS, .initial = "1"), \
        CR__ATTR(conv_attrs, groups, INT, .initial = "1", .flags = CR_ATTR_POSITIVE)
static const cr_attr conv_rows[] = {
    SHARED_ROWS,
    CR__ATTR(conv_attrs, padding, DIMS, .initial = "0", .words = "same,valid"),
    CR__ATTRS_END,
};
static const cr_attr transposed_rows[] = {
    SHARED_ROWS,
    CR__ATTR(conv_attrs, padding, DIMS, .initial = "0"),
    CR__ATTR(conv_attrs, output_padding, DIMS, .initial = "0"),
    CR__ATTRS_END,
};

#define CONV(NAME, NDIM, TRANSPOSED, ROWS, CALL, DOC, ...)                           \
    static cr_tensor *NAME##_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,    \
                                    const void *attrs)                               \
    {                                                                                \
        return expand_conv(ctx, &cr__op_##NAME, NDIM, TRANSPOSED, inputs, n, attrs); \
    }                                                                                \
    CR__OP(NAME) = {                                                                 \
        .name = #NAME,                                                               \
        .doc = DOC,                                                                  \
        .kind = CR_OP_COMPOSITE,                                                     \
        .min_inputs = 2,                                                             \
        .max_inputs = 3,                                                             \
        .inputs = "x,weight,bias",                                                   \
        .attrs = ROWS,                                                               \
        .attrs_size = sizeof(conv_attrs),                                            \
        .expand = NAME##_expand,                                                     \
        .samples = CR__SAMPLES(__VA_ARGS__),                                         \
        .call = CALL,                                                                \
    };                                                                               \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, cr_tensor *weight, cr_tensor *bias,      \
                              OPTS_##TRANSPOSED opts)                                \
    {                                                                                \
        cr_tensor *inputs[] = { x, weight, bias };                                   \
        conv_attrs attrs = { opts.stride, opts.padding, OUTPUT_PADDING_##TRANSPOSED, \
                             opts.dilation, opts.groups };                           \
        cr__attrs_fill(NULL, &cr__op_##NAME, &attrs);                                \
        return cr__record_n(NULL, &cr__op_##NAME, inputs, 3, &attrs, opts.site);     \
    }
#define OPTS_false           cr_conv_opts
#define OPTS_true            cr_conv_transpose_opts
#define OUTPUT_PADDING_false CR_NO_DIMS
#define OUTPUT_PADDING_true  opts.output_padding
#define CONV_CALL            "x,weight,bias,.stride,.padding,.dilation,.groups"
#define TRANSPOSED_CALL      "x,weight,bias,.stride,.padding,.output_padding,.groups,.dilation"

CONV(conv1d, 1, false, conv_rows, CONV_CALL,
     "sum over channels and taps: x [N, C, L], weight [O, C / groups, K], bias [O]",
     { "f[2,4,5] f[2,2,3] f[2]", "stride=2,padding=1,groups=2" },
     { "f[2,5] f[3,2,2] -", "dilation=2,padding=same" },
     { "f[1,2,4] f[1,2,1] f[1]", NULL }, { "f[0,2,4] f[3,2,3] f[3]", NULL },
     { "f[2,0,4] f[3,0,3] f[3]", NULL })
CONV(conv2d, 2, false, conv_rows, CONV_CALL,
     "the same of images: x [N, C, H, W], weight [O, C / groups, KH, KW], bias [O]",
     { "f[1,2,4,5] f[2,2,2,3] f[2]", "stride=[1,2],padding=[1,0]" },
     { "f[2,2,3,3] f[4,1,2,2] f[4]", "groups=2,dilation=2" },
     { "f[1,3,3] f[1,1,2,1] -", "stride=3" },
     { "f[2,2,2,2] f[3,2,1,1] f[3]", "padding=valid" })
CONV(conv3d, 3, false, conv_rows, CONV_CALL,
     "the same of volumes: x [N, C, D, H, W], weight [O, C / groups, KD, KH, KW], bias "
     "[O]",
     { "f[1,2,3,2,3] f[2,1,2,2,2] f[2]", "stride=[1,2,1],padding=[0,1,0],groups=2" },
     { "f[1,2,2,3] f[1,1,2,1,2] -", "padding=same" })
CONV(conv_transpose1d, 1, true, transposed_rows, TRANSPOSED_CALL,
     "the transpose of conv1d: x [N, C, L], weight [C, O / groups, K], bias [O]",
     { "f[2,4,3] f[4,1,3] f[2]", "stride=2,padding=1,output_padding=1,groups=2" },
     { "f[2,3] f[2,2,2] -", "dilation=2,output_padding=1" },
     { "f[0,2,4] f[2,3,3] f[3]", NULL }, { "f[1,1,2] f[1,1,2] -", "stride=3" })
CONV(conv_transpose2d, 2, true, transposed_rows, TRANSPOSED_CALL,
     "the transpose of conv2d: x [N, C, H, W], weight [C, O / groups, KH, KW], bias [O]",
     { "f[1,2,2,3] f[2,2,2,3] f[2]", "stride=[1,2],padding=[1,0]" },
     { "f[2,2,2,2] f[2,1,2,2] -", "groups=2,dilation=[1,2],stride=2,output_padding=1" })
CONV(conv_transpose3d, 3, true, transposed_rows, TRANSPOSED_CALL,
     "the transpose of conv3d: x [N, C, D, H, W], weight [C, O / groups, KD, KH, KW]",
     { "f[1,2,2,2,2] f[2,1,2,2,1] f[1]", "stride=[1,2,1],padding=[0,1,0]" })
