/* What the table of operations does not show: the words of errors, attributes as text and
 * as structs, operations of the user's own, what batch norm leaves behind, and the exact
 * values at the edges of softmax, losses and picks. */
#include "engine.h"
#include <stdlib.h>

static cr_tensor *f64(cr_ctx *ctx, cr_dims dims, const double *v)
{
    return cr_from(ctx, CR_F64, dims, v);
}

/* ---- the words of errors ---- */

static void test_shapes(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *a = cr_ones(ctx, CR_DIMS(8, 64)), *b = cr_ones(ctx, CR_DIMS(32, 64));
    cr_tensor *two[] = { a, b };
    FAILS(cr_matmul(a, b), SHAPE, "matmul: inner sizes differ: [8, 64] @ [32, 64] (");
    FAILS(cr_matmul(a, b), SHAPE, "op_calls.c:");
    FAILS(cr_matmul(a, b), SHAPE, "; transpose the second with cr_t()?");
    FAILS(cr_matmul(b, cr_ones(ctx, CR_DIMS(32, 5))), SHAPE, "transpose the first");
    FAILS(cr_matmul(a, cr_scalar(ctx, 1.0)), SHAPE, "[8, 64] @ []");
    FAILS(cr_matmul(a, cr_cast(cr_t(b), CR_F64)), DTYPE, "f32 @ f64");
    FAILS(cr_matmul(a, NULL), NULL, "matmul: input 1 (other) is NULL");
    FAILS(cr_linear(a, cr_t(b), NULL), SHAPE, "takes 32 features, x is [8, 64]");
    FAILS(cr_linear(a, b, cr_ones(ctx, CR_DIMS(8))), SHAPE, "32 outputs, bias is [8]");
    FAILS(cr_reshape(a, CR_DIMS(3, -1)), SHAPE, "[8, 64] to [3, -1]");
    FAILS(cr_expand(a, CR_DIMS(3, 64)), SHAPE, "[8, 64] does not expand to [3, 64]");
    FAILS(cr_permute(a, CR_DIMS(0, 0)), SHAPE, "dims [0, 0]");
    FAILS(cr_cat(two, 2, 1), SHAPE, "sizes differ outside dim 1");
    FAILS(cr_stack(two, 2, 0), SHAPE, "input 0 is [8, 64], input 1 is [32, 64]");
    FAILS(cr_unsqueeze(a, 3), ARGUMENT,
          "unsqueeze: dim 3 of the result, which has 3 dimensions; from -3 to 2 (");
    FAILS(cr_stack(two, 1, -4), ARGUMENT, "stack: dim -4 of the result, which has 3 dim");
    FAILS(cr_unsqueeze(cr_scalar(ctx, 1), 1), ARGUMENT, "1 dimensions; from -1 to 0 (");
    FAILS(cr_select(a, 0, 8), INDEX, "index 8 is outside dim 0 of [8, 64]");
    FAILS(cr_layer_norm(a, CR_DIMS(3), NULL, NULL), SHAPE, "does not end in");
    FAILS(cr_batch_norm(a, NULL, NULL, NULL, NULL, false, 0.1), ARGUMENT,
          "running_mean and running_var are needed");
    FAILS(cr_mse_loss(a, a, .reduction = (cr_reduction)7), ARGUMENT, "7 is no reduction");
    FAILS(cr_gelu(a, .approximate = (cr_approximate)2), ARGUMENT, "gelu: 2 is no form");
    cr_tensor *computed = cr_exp(cr_requires_grad(cr_zeros(ctx, CR_DIMS(64))));
    FAILS(cr_batch_norm(a, computed, NULL, NULL, NULL, true, 0.1), ARGUMENT,
          "assign: [64]");
    FAILS(cr_batch_norm(a, computed, NULL, NULL, NULL, true, 0.1), ARGUMENT,
          "op_calls.c:");
    FAILS(cr_mse_loss(cr_ones(ctx, CR_DIMS(4, 1)), cr_ones(ctx, CR_DIMS(4))), SHAPE,
          "target [4] is not shaped like x, [4, 1]");
    ok(!cr_cat(NULL, 0, 0) && !cr_stack(NULL, 0, 0) && !cr_error(ctx),
       "nothing to join gives NULL");
}

static void test_indices(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const int64_t numbers[] = { 1, 11, -1 }, small[] = { 3, 4 };
    cr_tensor *x = cr_ones(ctx, CR_DIMS(2, 10)), *one = cr_ones(ctx, CR_DIMS(10));
    cr_tensor *index = cr_from(ctx, CR_I64, CR_DIMS(2), numbers);
    cr_tensor *below = cr_from(ctx, CR_I64, CR_DIMS(2), numbers + 1);
    below = cr_slice(below, 0, 1, 2);
    FAILS(cr_eval(cr_cross_entropy(x, index)), INDEX,
          "cross_entropy: target 11 at [1] is not a class: 0..9 (");
    FAILS(cr_eval(cr_nll_loss(x, index)), INDEX, "nll_loss: target 11 at [1]");
    FAILS(cr_eval(cr_gather(one, 0, index)), INDEX,
          "gather: index 11 at [1] is outside dim 0, which has size 10");
    FAILS(cr_eval(cr_gather(one, 0, below)), INDEX, "do not count from the end");
    FAILS(cr_eval(cr_index_select(x, 1, index)), INDEX, "outside dim 1");
    FAILS(cr_eval(cr_embedding(cr_t(x), index)), INDEX, "embedding: index 11");
    FAILS(cr_eval(cr_scatter_add(one, 0, index, cr_ones(ctx, CR_DIMS(2)))), INDEX,
          "scatter_add: index 11");
    FAILS(cr_eval(cr_one_hot(index, 5)), INDEX, "not below num_classes, 5");
    FAILS(cr_one_hot(below, -1), ARGUMENT, "give num_classes");
    FAILS(cr_eval(cr_one_hot(below, 5)), INDEX,
          "index -1 at [0] is below 0; classes are 0 to 4");
    FAILS(cr_cross_entropy(cr_ones(ctx, CR_DIMS(3, 10)), index), SHAPE,
          "x is f32 [3, 10], target i64 [2]");
    FAILS(cr_embedding(cr_t(x), index, .padding_idx = CR_INT(10)), ARGUMENT,
          "padding_idx 10");
    is_near(cr_item(cr_nll_loss(x, index, .ignore_index = CR_INT(11))), -1, 0,
            "a target to ignore need not be a class");
    cr_tensor *bytes = cr_cast(cr_from(ctx, CR_I64, CR_DIMS(2), small), CR_U8);
    is_near(cr_item(cr_cross_entropy(x, bytes)), log(10), 1e-6,
            "-100 is no u8, and is not looked for");
}

/* ---- split and chunk ---- */

/* The values of v[6] in rows of 2, cut along dim 0, with the first element of each part. */
static bool starts(cr_tensor *const *parts, int n, const double *first)
{
    for (int i = 0; i < n; i++)
        if (!parts[i] ||
            (cr_numel(parts[i]) && *(const double *)cr_data(parts[i]) != first[i]))
            return false;
    return true;
}

static void test_cutting(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double v[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    cr_tensor *x = cr_requires_grad(f64(ctx, CR_DIMS(5, 2), v)), *parts[8];
    cr_tensor *empty = cr_zeros(ctx, CR_DIMS(0, 2));
    is_int(cr_split(x, 2, 0, parts, 8), 3, "split: pieces of 2 of 5");
    ok(starts(parts, 3, (const double[]){ 1, 5, 9 }) && cr_size(parts[2], 0) == 1 &&
           !parts[3],
       "the last is what is left, and behind it is NULL");
    is_int(cr_split(x, CR_DIMS(1, 0, 4), -2, parts, 3), 3, "by sizes, 0 among them");
    ok(starts(parts, 3, (const double[]){ 1, 0, 3 }) && cr_size(parts[1], 0) == 0,
       "sizes");
    is_int(cr_split(x, 9, 0, parts, 1), 1, "one piece that is larger than x");
    is_int(cr_split(empty, 2, 0, parts, 1), 1, "of nothing there is one piece");
    is_int(cr_chunk(x, 2, 0, parts, 2), 2, "chunk: 2 of 5");
    ok(starts(parts, 2, (const double[]){ 1, 7 }) && cr_size(parts[1], 0) == 2,
       "3 and 2");
    is_int(cr_chunk(x, 4, 0, parts, 4), 3, "4 of 5 are 3, of 2, 2, 1");
    is_int(cr_chunk(empty, 3, 0, parts, 3), 3, "of nothing as many as are asked for");
    is_int(cr_chunk(x, 2, 1, parts, 2), 2, "along the last dim");
    cr_backward(cr_sum(cr_mul(parts[0], parts[1])));
    const double *g = cr_data(cr_grad(x));
    ok(g && g[0] == 2 && g[1] == 1 && g[8] == 10 && g[9] == 9, "gradients flow back");
    FAILS(cr_split(x, 2, 0, parts, 2), ARGUMENT,
          "split: 3 parts of [5, 2], and there is room for 2 (");
    ok(!parts[0] && !parts[1], "no part is left");
    FAILS(cr_split(x, 0, 0, parts, 8), SHAPE, "sizes [0] do not make up dim 0 of [5, 2]");
    FAILS(cr_split(x, -1, 0, parts, 8), SHAPE, "sizes [-1] do not make up dim 0");
    FAILS(cr_split(x, CR_DIMS(2, 2), 0, parts, 8), SHAPE, "sizes [2, 2] do not make up");
    FAILS(cr_split(x, CR_DIMS(6, -1), 0, parts, 8), SHAPE,
          "sizes [6, -1] do not make up");
    FAILS(cr_split(x, CR_ALL, 0, parts, 8), SHAPE, "do not make up dim 0");
    FAILS(cr_split(x, 2, 2, parts, 8), ARGUMENT, "split: dim 2 of a tensor with 2 dim");
    FAILS(cr_split(cr_scalar(ctx, 1), 1, 0, parts, 8), SHAPE,
          "split: a tensor of rank 0");
    FAILS(cr_split(x, 2, 0, NULL, 8), NULL, "split: there is no place for the parts");
    FAILS(cr_chunk(x, 0, 0, parts, 8), ARGUMENT, "chunk: chunks is 0, not above 0 (");
    FAILS(cr_chunk(x, 5, 0, parts, 4), ARGUMENT, "op_calls.c:");
    is_int(cr_split(NULL, 2, 0, parts, 8), -1, "nothing to cut");
    cr_fail(ctx, CR_ERR_IO, "before");
    parts[0] = x;
    is_int(cr_chunk(x, 1, 0, parts, 1), -1, "an error is pending");
    ok(!parts[0] && failed_with(ctx, CR_ERR_IO, "before"), "and stays");
}

static void test_index_add(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double v[] = { 1, 2, 3, 4 };
    const int64_t at[] = { 1, 1 };
    cr_tensor *x = f64(ctx, CR_DIMS(2, 2), v),
              *s = cr_requires_grad(f64(ctx, CR_DIMS(2, 2), v));
    cr_tensor *index = cr_from(ctx, CR_I64, CR_DIMS(2), at);
    cr_tensor *y = cr_index_add(x, 0, index, s, .alpha = CR_REAL(-2));
    const double *out = cr_data(y);
    ok(out && out[0] == 1 && out[1] == 2 && out[2] == 3 - 8 && out[3] == 4 - 12,
       "index_add");
    cr_backward(cr_sum(cr_mul(y, x)));
    out = cr_data(cr_grad(s));
    ok(out && out[0] == -6 && out[1] == -8 && out[2] == -6 && out[3] == -8,
       "its gradient");
    y = cr_index_add(x, 0, index, s, .alpha = CR_REAL(0));
    is_near(cr_item(cr_sum(y)), 10, 0, "alpha 0 is 0");
    cr_tensor *n = cr_ones(ctx, CR_DIMS(2), .dtype = CR_I64);
    FAILS(cr_index_add(n, 0, index, n, .alpha = CR_REAL(0.5)), ARGUMENT,
          "index_add: alpha 0.5 is not a value of i64");
    FAILS(cr_index_add(x, 0, index, NULL), NULL, "index_add: input 2 (source) is NULL");
}

/* ---- attributes ---- */

static void test_text(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    static const struct {
        const char *op, *attrs, *error; /* NULL: it works */
    } cases[] = {
        { "softmax", "dim = -1 ", NULL },
        { "softmax", "dim", "written name=value" },
        { "softmax", "dim=x", "dim=x: expected an integer" },
        { "softmax", "dim=[1]", "expected an integer" },
        { "softmax", "dim=9223372036854775808", "expected an integer" },
        { "softmax", "dims=1", "there is no attribute 'dims'; its attributes: dim" },
        { "softmax", "", "the attribute dim is missing" },
        { "softmax", NULL, "the attribute dim is missing" },
        { "softmax", "dim=1,dim=1", "given twice" },
        { "square", NULL, NULL },
        { "square", "dim=1", "it has none" },
        { "sum", "dim=[0,1],keepdim=true", NULL },
        { "sum", "dim=1", NULL },
        { "sum", "keepdim=yes", "expected true or false" },
        { "slice", "start=-9223372036854775808,end=9223372036854775807", NULL },
        { "permute", "dims=[1,0,]", "expected an integer or a list" },
        { "permute", "dims=[0,1,2,3,4,5,6,7,8]", "a list of at most 8" },
        { "clamp", "min=-inf,max=.5e-1", NULL },
        { "clamp", "min=nan", "min is NaN" },
        { "leaky_relu", "negative_slope=0x1", "expected a number" },
        { "cast", "dtype=f64", NULL },
        { "cast", "dtype=f99", "expected a dtype" },
        { "gelu", "approximate=exact", "expected one of" },
    };
    cr_tensor *x = cr_ones(ctx, CR_DIMS(2, 3)), *out = NULL;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const cr_op *op = cr_op_find(cases[i].op);
        int n = cr_call(ctx, op, &x, 1, cases[i].attrs, &out, 1);
        bool works = n == 1 && cr_error(ctx) == CR_OK && cr_eval(out) == CR_OK;
        bool refused = n == -1 && cr_error(ctx) == CR_ERR_ARGUMENT && cases[i].error &&
                       strstr(cr_message(ctx), cases[i].error);
        if (!ok(cases[i].error ? refused : works, "%s(%s)", cases[i].op,
                cases[i].attrs ? cases[i].attrs : ""))
            diag("  %d: %s", n, cr_message(ctx));
        cr_clear(ctx);
    }
    FAILS(cr_call(ctx, cr_op_find("nothing"), &x, 1, "", &out, 1), NULL, "cr_op_find()");
    is_int(cr_call(ctx, cr_op_find("exp"), &x, 1, "", NULL, 0), 1, "no room for outputs");
}

typedef struct power_attrs {
    double exponent;
    int64_t times;
    cr_dims scale;
} power_attrs;

static cr_tensor *power(cr_ctx *ctx, cr_tensor *const *inputs, int n, const void *attrs)
{
    const power_attrs *a = attrs;
    (void)ctx, (void)n;
    return cr_mul(cr_pow(inputs[0], a->exponent), a->times * a->scale.v[0]);
}

static void test_defaults(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    static const cr_attr table[] = {
        { "exponent", CR_ATTR_REAL, offsetof(power_attrs, exponent), "2", NULL,
          CR_ATTR_POSITIVE },
        { "times", CR_ATTR_INT, offsetof(power_attrs, times), "5", NULL,
          CR_ATTR_POSITIONAL },
        { "scale", CR_ATTR_DIMS, offsetof(power_attrs, scale), "7", NULL, 0 },
        { NULL, CR_ATTR_BOOL, 0, NULL, NULL, 0 },
    };
    const cr_op op = { .name = "power",
                       .kind = CR_OP_COMPOSITE,
                       .min_inputs = 1,
                       .max_inputs = 1,
                       .inputs = "x",
                       .attrs = table,
                       .attrs_size = sizeof(power_attrs),
                       .expand = power };
    cr_tensor *x = cr_scalar(ctx, 3.0), *out = NULL;
    is_near(cr_item(cr_apply(&op, &x, 1, NULL)), 9 * 35, 0, "all defaults");
    power_attrs attrs = { .times = 1, .scale = CR_DIMS(0) };
    is_near(cr_item(cr_apply(&op, &x, 1, &attrs)), 0, 0, "a list may hold zero");
    attrs = (power_attrs){ .exponent = 1, .times = 0 };
    is_near(cr_item(cr_apply(&op, &x, 1, &attrs)), 0, 0, "zero by position is zero");
    attrs = (power_attrs){ .times = 1 };
    is_near(cr_item(cr_apply(&op, &x, 1, &attrs)), 63, 0, "zero elsewhere: the default");
    cr_call(ctx, &op, &x, 1, "exponent=3", &out, 1);
    is_near(cr_item(out), 27 * 35, 0, "as text");
    is_text(cr_message(ctx), "", "no error");
}

/* ---- several results ---- */

/* x, -x and whether x is above 0: as many as there are inputs, or -1 without an error. */
static int faces(cr_ctx *ctx, cr_tensor *const *in, int n, const void *attrs,
                 cr_tensor **out, int capacity)
{
    (void)ctx, (void)attrs;
    for (int i = 0; i < n && i < capacity; i++)
        out[i] = i == 0 ? cr_mul(in[0], 1) : i == 1 ? cr_neg(in[0]) : cr_gt(in[0], 0);
    return n < 5 ? n : -1;
}

static void test_several(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const cr_op op = { .name = "faces",
                       .kind = CR_OP_COMPOSITE,
                       .max_inputs = -1,
                       .widens = true,
                       .expand_all = faces };
    cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 3.0)), *in[] = { x, x, x, x, x };
    cr_tensor *out[3] = { 0 };
    is_int(cr_call(ctx, &op, in, 3, NULL, out, 3), 3, "three results");
    cr_backward(cr_add(cr_mul(out[0], 5), out[1]));
    ok(cr_item(out[1]) == -3 && cr_item(out[2]) == 1 && cr_item(cr_grad(x)) == 4,
       "each has its value, and its gradient arrives");
    out[1] = NULL;
    is_int(cr_call(ctx, &op, in, 4, NULL, out, 1), 4, "more than there is room for");
    ok(out[0] && !out[1], "as many are written as there is room for");
    is_int(cr_call(ctx, &op, in, 2, NULL, NULL, 0), 2, "none are");
    is_int(cr_call(ctx, &op, in, 0, NULL, out, 3), 0, "there may be none");
    ok(cr_apply(&op, in, 2, NULL) != NULL, "cr_apply() gives the first");
    in[0] = in[1] = in[2] = cr_cast(cr_detach(x), CR_BF16);
    is_int(cr_call(ctx, &op, in, 3, NULL, out, 3), 3, "of bf16");
    ok(cr_dtype_of(out[0]) == CR_BF16 && cr_dtype_of(out[1]) == CR_BF16 &&
           cr_dtype_of(out[2]) == CR_BOOL,
       "floats among them are bf16 again");
    is_text(cr_message(ctx), "", "no error");
    in[0] = in[1] = in[2] = x;
    FAILS(out[0] = cr_apply(&op, in, 5, NULL), NULL, "faces: its expansion gave nothing");
    cr_tensor *leaf = cr_requires_grad(cr_full(ctx, CR_DIMS(64), 3));
    in[0] = in[1] = in[2] = leaf;
    cr_call(ctx, &op, in, 3, NULL, out, 3);
    cr_assign(leaf, cr_mul(leaf, 2));
    cr_eval(leaf);
    for (int i = 0; i < 3; i++)
        ok(cr_data(out[i]) != NULL, "result %d is the user's, and computed in time", i);
}

/* ---- operations of the user's own ---- */

static bool scale_forward(const cr_array *in, int n, cr_array *out, void *user)
{
    for (int64_t i = 0; i < out->numel; i++)
        ((double *)out->data)[i] = ((const double *)in[0].data)[i] *
                                   ((const double *)in[1].data)[i % in[1].numel];
    (void)n;
    return user == NULL;
}

static bool scale_backward(const cr_array *in, int n, const cr_array *out,
                           const cr_array *g, cr_array *down, void *user)
{
    (void)n, (void)out, (void)user;
    for (int64_t i = 0; down[0].data && i < g->numel; i++)
        ((double *)down[0].data)[i] =
            ((const double *)g->data)[i] * ((const double *)in[1].data)[i % in[1].numel];
    for (int64_t j = 0; down[1].data && j < in[1].numel; j++) {
        ((double *)down[1].data)[j] = 0;
        for (int64_t i = j; i < g->numel; i += in[1].numel)
            ((double *)down[1].data)[j] +=
                ((const double *)g->data)[i] * ((const double *)in[0].data)[i];
    }
    return true;
}

static const cr_custom_def scale_def = { "scale", scale_forward, scale_backward, NULL };

static cr_tensor *scale(cr_ctx *ctx, cr_tensor *const *inputs, int n, void *user)
{
    (void)ctx, (void)user;
    return cr_custom(&scale_def, inputs, n, CR_F64, cr_shape(inputs[0]));
}

static void test_custom(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double v[] = { 1, 2, 3, 4, 5, 6 };
    cr_tensor *in[] = { cr_requires_grad(f64(ctx, CR_DIMS(2, 3), v)),
                        cr_requires_grad(f64(ctx, CR_DIMS(3), v)) };
    is_int(cr_gradcheck(scale, NULL, in, 2), CR_OK, "both gradients are right");
    FAILS(cr_gradcheck(scale, NULL, in, 2, .second_order = true), GRAD,
          "scale: no second derivative");
    cr_custom_def def = scale_def;
    def.user = &def;
    FAILS(cr_eval(cr_custom(&def, in, 2, CR_F64, CR_DIMS(2, 3))), ARGUMENT,
          "scale: its forward function failed");
    def = (cr_custom_def){ "half", scale_forward, NULL, NULL };
    ok(!cr_needs_grad(cr_custom(&def, in, 2, CR_F64, CR_DIMS(2, 3))),
       "without backward no gradient flows");
    FAILS(cr_custom(NULL, in, 2, CR_F64, CR_DIMS(2, 3)), NULL, "no forward function");
}

static cr_status no_kernel_status(const cr_kernel *kernel)
{
    (void)kernel;
    return CR_OK;
}

static cr_status no_dtype(cr_infer *infer)
{
    infer->dtype = CR_DTYPE_DEFAULT;
    return CR_OK;
}

static cr_tensor *nothing(cr_ctx *ctx, cr_tensor *const *inputs, int n, const void *attrs)
{
    (void)ctx, (void)inputs, (void)n, (void)attrs;
    return NULL;
}

/* An operation that lacks a part is an error of the call. */
static void test_incomplete(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_ones(ctx, CR_DIMS(2)), *none[2] = { NULL, NULL }, *out;
    cr_tensor *three[] = { x, x, x };
    for (cr_op_kind kind = 0; kind <= CR_OP_COMPOSITE; kind++) {
        cr_op bare = { .name = "bare", .kind = kind, .min_inputs = 1, .max_inputs = 1 };
        FAILS(cr_apply(&bare, &x, 1, NULL), ARGUMENT, "bare: the operation is neither");
    }
    cr_op op = { .name = "mine", .kind = CR_OP_OPAQUE, .max_inputs = 2 };
    op.kernel = no_kernel_status;
    FAILS(cr_call(ctx, &op, NULL, 0, NULL, &out, 1), ARGUMENT, "mine: no input to take");
    FAILS(cr_call(ctx, &op, none, 2, NULL, &out, 1), ARGUMENT, "no input is a tensor");
    none[1] = x;
    ok(cr_apply(&op, none, 2, NULL), "the shape is that of the first which is given");
    op.shape = no_dtype;
    FAILS(cr_apply(&op, &x, 1, NULL), DTYPE, "mine: its shape rule gives no dtype (");
    op = (cr_op){ .name = "empty", .kind = CR_OP_COMPOSITE, .max_inputs = 1 };
    op.expand = nothing;
    FAILS(cr_apply(&op, &x, 1, NULL), NULL, "empty: its expansion gave nothing (");
    FAILS(cr_call(ctx, cr_op_find("exp"), three, 3, NULL, &out, 1), ARGUMENT,
          "exp: 3 inputs; it takes 1 (");
    op.inputs = NULL;
    op.min_inputs = 1;
    FAILS(cr_call(ctx, &op, none, 1, NULL, &out, 1), NULL, "empty: input 0 is NULL");
    ok(!cr_apply(cr_op_find("exp"), NULL, 1, NULL) && !cr_cat(NULL, 2, 0) &&
           !cr_stack(NULL, 2, 0) && cr_eval_at(NULL, 2, CR_HERE) == CR_ERR_NULL,
       "no list is no context");
}

static bool fails_silently(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)in, (void)n;
    for (int64_t i = 0; i < out->numel; i++)
        ((float *)out->data)[i] = 7;
    cr_fail(user, CR_ERR_IO, "out of paper");
    return true;
}

/* An error of any kind makes a run that has failed: what was pending is not committed. */
static void test_error_in_kernel(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const cr_custom_def def = { "printer", fails_silently, NULL, ctx };
    cr_tensor *x = cr_ones(ctx, CR_DIMS(2));
    cr_assign(x, cr_custom(&def, &x, 1, CR_F32, CR_DIMS(2)));
    FAILS(cr_eval(x), IO, "out of paper");
    is_near(cr_item(cr_sum(x)), 2, 0, "nothing has changed");
}

/* Sizes and steps at the limits of their types. */
static void test_extremes(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const int64_t big = (int64_t)1 << 40, most = INT64_MAX;
    FAILS(cr_zeros(ctx, CR_DIMS(big, big, 0)), SHAPE, "more than 2^62 bytes");
    cr_tensor *x = cr_requires_grad(cr_ones(ctx, CR_DIMS(2, 3)));
    cr_backward(cr_sum(cr_slice(x, 0, 1, most, .step = most)));
    is_near(cr_item(cr_sum(cr_slice(cr_grad(x), 0, 1, 2))), 3, 0,
            "a step beyond the end");
    FAILS(cr_one_hot(cr_scalar(ctx, most, .dtype = CR_I64), -1), SHAPE, "2^62 bytes");
    FAILS(cr_matmul(cr_zeros(ctx, CR_DIMS(big, 0)), cr_zeros(ctx, CR_DIMS(0, big))),
          SHAPE, "2^62 bytes");
    FAILS(cr_gradcheck(NULL, NULL, &x, 1), NULL, "the function is NULL");
}

/* ---- values at edges ---- */

static void test_batch_norm(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double v[] = { 1, 10, 2, 30, 6, 20 };
    cr_tensor *x = f64(ctx, CR_DIMS(3, 2), v);
    cr_tensor *mean = cr_zeros(ctx, CR_DIMS(2), .dtype = CR_F64);
    cr_tensor *var = cr_ones(ctx, CR_DIMS(2), .dtype = CR_F64);
    cr_tensor *y = cr_batch_norm(x, mean, var, NULL, NULL, true, 0.25);
    is_near(cr_item(cr_sum(y)), 0, 1e-12, "normalised");
    cr_eval(mean, var);
    is_near(cr_item(cr_select(mean, 0, 0)), 0.25 * 3, 1e-15, "the running mean");
    is_near(cr_item(cr_select(mean, 0, 1)), 0.25 * 20, 1e-14, "of each channel");
    is_near(cr_item(cr_select(var, 0, 0)), 0.75 + 0.25 * 7, 1e-15,
            "the running variance is the unbiased one");
    y = cr_batch_norm(x, mean, var, NULL, NULL, false, 0.25);
    is_near(cr_item(cr_select(cr_select(y, 0, 0), 0, 0)), (1 - 0.75) / sqrt(2.5 + 1e-5),
            1e-15, "not training: with those");
    is_near(cr_item(cr_select(mean, 0, 0)), 0.25 * 3, 1e-15, "which stay as they are");
    is_text(cr_message(ctx), "", "no error");
}

static void test_infinities(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double inf = (double)INFINITY, v[] = { -inf, -inf, 0, -inf };
    const double c[] = { 1, 2, 3, 4 }, large[] = { 1e5, 1e5 - 1 };
    const int64_t zero = 0;
    cr_tensor *x = cr_requires_grad(f64(ctx, CR_DIMS(2, 2), v));
    cr_tensor *y = cr_softmax(x, 1);
    cr_backward(cr_sum(cr_mul(y, f64(ctx, CR_DIMS(2, 2), c))));
    is_near(cr_item(cr_sum(y)), 1, 0, "softmax of a row of -inf is 0");
    is_near(cr_item(cr_sum(cr_abs(cr_grad(x)))), 0, 0, "with gradient 0");
    cr_tensor *label = cr_from(ctx, CR_I64, CR_DIMS(1), &zero);
    cr_tensor *logits = f64(ctx, CR_DIMS(1, 2), large);
    is_near(cr_item(cr_cross_entropy(logits, label)), log1p(exp(-1)), 1e-15,
            "large logits cost no digits");
    cr_tensor *masked = cr_slice(x, 0, 1, 2);
    is_near(cr_item(cr_cross_entropy(masked, label)), 0, 0, "a class that cannot be");
    ok(isnan(cr_item(cr_cross_entropy(logits, label, .ignore_index = CR_INT(0)))),
       "the mean of no targets is NaN");
    is_near(cr_item(cr_cross_entropy(cr_slice(x, 0, 0, 1), label,
                                     .reduction = CR_REDUCTION_SUM,
                                     .ignore_index = CR_INT(0))),
            0, 0, "what is ignored is selected away, whatever it is");
    is_text(cr_message(ctx), "", "no error");
}

static void test_no_probability(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double v[] = { -1.5, 2.5, 0, 1, (double)NAN };
    const double *drawn = cr_data(cr_bernoulli(f64(ctx, CR_DIMS(5), v)));
    ok(drawn && drawn[0] == 0 && drawn[1] == 1 && drawn[2] == 0 && drawn[3] == 1,
       "bernoulli draws 0 and 1 only");
    ok(drawn && isnan(drawn[4]), "and NaN of NaN");
}

static void test_padding(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double v[] = { 1, 2, 3, 4, 5, 6 };
    const int64_t rows[] = { 2, 0, 2, 1 };
    cr_tensor *w = cr_requires_grad(f64(ctx, CR_DIMS(3, 2), v));
    cr_tensor *index = cr_from(ctx, CR_I64, CR_DIMS(4), rows);
    cr_backward(cr_sum(cr_embedding(w, index, .padding_idx = CR_INT(-1))));
    const double *g = cr_data(cr_grad(w));
    ok(g && g[0] == 1 && g[2] == 1 && g[4] == 0 && g[5] == 0,
       "the padding row gets no gradient");
    is_text(cr_message(ctx), "", "no error");
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    test_shapes(ctx);
    test_indices(ctx);
    test_cutting(ctx);
    test_index_add(ctx);
    test_text(ctx);
    test_defaults(ctx);
    test_several(ctx);
    test_custom(ctx);
    test_incomplete(ctx);
    test_error_in_kernel(ctx);
    test_extremes(ctx);
    test_batch_norm(ctx);
    test_infinities(ctx);
    test_no_probability(ctx);
    test_padding(ctx);
    cr_close(ctx);
    return done_testing();
}
