/* How calls fail: a status, a message with the caller's place, the same text in both
 * modes, and a context that is as good as before once it is cleared. */
#include "engine.h"

/* ---- what fails, and how it says so ---- */

/* Leaves an error in the context; the line is that of the call to blame. */
typedef struct failure {
    const char *name;
    int (*provoke)(cr_ctx *ctx);
    cr_status status; /* CR_OK: any */
    const char *texts[3];
} failure;

#define PROVOKE(name, call)       \
    static int name(cr_ctx *ctx)  \
    {                             \
        cr_tensor *made = (call); \
        if (made)                 \
            cr_eval(made);        \
        return __LINE__;          \
    }
PROVOKE(matmul_sizes,
        cr_matmul(cr_zeros(ctx, CR_DIMS(8, 64)), cr_zeros(ctx, CR_DIMS(32, 64))))
PROVOKE(add_shapes, cr_add(cr_zeros(ctx, CR_DIMS(2, 3)), cr_zeros(ctx, CR_DIMS(2, 4))))
PROVOKE(add_dtypes, cr_add(floats(ctx, 3), cr_zeros(ctx, CR_DIMS(3), .dtype = CR_F64)))
PROVOKE(add_null, cr_add(floats(ctx, 3), (cr_tensor *)NULL))
PROVOKE(exp_of_integers, cr_exp(cr_zeros(ctx, CR_DIMS(3), .dtype = CR_I64)))
PROVOKE(reshape_numel, cr_reshape(floats(ctx, 6), CR_DIMS(4, 2)))
PROVOKE(reshape_unknowns, cr_reshape(floats(ctx, 6), CR_DIMS(-1, -1)))
PROVOKE(permute_twice, cr_permute(cr_zeros(ctx, CR_DIMS(2, 3)), CR_DIMS(0, 0)))
PROVOKE(transpose_dim, cr_transpose(cr_zeros(ctx, CR_DIMS(2, 3)), 0, 2))
PROVOKE(expand_size, cr_expand(cr_zeros(ctx, CR_DIMS(2, 3)), CR_DIMS(4, 3)))
PROVOKE(sum_dim, cr_sum(cr_zeros(ctx, CR_DIMS(2, 3)), 2))
PROVOKE(sum_dim_twice, cr_sum(cr_zeros(ctx, CR_DIMS(2, 3)), CR_DIMS(1, -1)))
PROVOKE(amax_of_nothing, cr_amax(cr_zeros(ctx, CR_DIMS(0))))
PROVOKE(softmax_of_integers, cr_softmax(cr_zeros(ctx, CR_DIMS(3), .dtype = CR_I64), 0))
PROVOKE(select_index, cr_select(floats(ctx, 6), 0, 6))
PROVOKE(cat_sizes, cr_cat(((cr_tensor *[]){ cr_zeros(ctx, CR_DIMS(2, 3)),
                                            cr_zeros(ctx, CR_DIMS(2, 4)) }),
                          2, 0))
PROVOKE(stack_null, cr_stack(((cr_tensor *[]){ floats(ctx, 3), NULL }), 2, 0))
PROVOKE(linear_sizes,
        cr_linear(cr_zeros(ctx, CR_DIMS(2, 3)), cr_zeros(ctx, CR_DIMS(5, 4)), NULL))
PROVOKE(where_condition, cr_where(floats(ctx, 3), floats(ctx, 3), 0))
PROVOKE(dropout_probability, cr_dropout(floats(ctx, 3), 1.5))
PROVOKE(norm_shape, cr_layer_norm(cr_zeros(ctx, CR_DIMS(2, 3)), CR_DIMS(4), NULL, NULL))
PROVOKE(loss_target, cr_cross_entropy(cr_zeros(ctx, CR_DIMS(2, 3)),
                                      cr_zeros(ctx, CR_DIMS(3), .dtype = CR_I64)))
PROVOKE(negative_size, cr_zeros(ctx, CR_DIMS(2, -3)))
PROVOKE(too_many_dims, cr_zeros(ctx, cr_dims_of((int64_t[9]){ 1 }, 9)))
PROVOKE(too_large, cr_zeros(ctx, CR_DIMS(INT64_MAX / 2, 4)))
PROVOKE(requires_grad_of_integers,
        cr_requires_grad(cr_zeros(ctx, CR_DIMS(3), .dtype = CR_I64)))
PROVOKE(number_300_in_u8, cr_add(cr_zeros(ctx, CR_DIMS(3), .dtype = CR_U8), 300))
PROVOKE(number_minus_1_in_u8, cr_add(cr_zeros(ctx, CR_DIMS(3), .dtype = CR_U8), -1))
PROVOKE(number_half_in_i64, cr_add(cr_zeros(ctx, CR_DIMS(3), .dtype = CR_I64), 0.5))
PROVOKE(number_in_i32,
        cr_mul(cr_zeros(ctx, CR_DIMS(3), .dtype = CR_I32), (int64_t)1 << 31))
PROVOKE(number_nan_in_i64,
        cr_maximum((double)NAN, cr_zeros(ctx, CR_DIMS(3), .dtype = CR_I64)))
PROVOKE(number_in_f32, cr_mul(floats(ctx, 3), 1e300))
PROVOKE(full_of_300, cr_full(ctx, CR_DIMS(3), 300, .dtype = CR_U8))
/* Found by the run. */
PROVOKE(gather_index, cr_gather(floats(ctx, 3), 0, indices(ctx, 0, 7)))
PROVOKE(gather_negative, cr_gather(floats(ctx, 3), 0, indices(ctx, -1, 0)))
PROVOKE(select_many, cr_index_select(floats(ctx, 3), 0, indices(ctx, 1, 3)))
PROVOKE(embedding_index, cr_embedding(cr_zeros(ctx, CR_DIMS(4, 2)), indices(ctx, 4, 0)))
PROVOKE(scatter_index,
        cr_scatter_add(floats(ctx, 3), 0, indices(ctx, 9, 0), floats(ctx, 2)))
PROVOKE(label, cr_cross_entropy(cr_zeros(ctx, CR_DIMS(2, 3)), indices(ctx, 0, 3)))
PROVOKE(label_beneath,
        cr_exp(cr_neg(cr_nll_loss(cr_zeros(ctx, CR_DIMS(2, 3)), indices(ctx, 5, 0)))))
#undef PROVOKE

static int item_of_two(cr_ctx *ctx)
{
    ok(isnan(cr_item(floats(ctx, 2))), "the item of two elements is NaN");
    return 0;
}

static int backward_of_two(cr_ctx *ctx)
{
    cr_backward(cr_exp(cr_requires_grad(floats(ctx, 2))));
    return __LINE__ - 1;
}

static int backward_of_constant(cr_ctx *ctx)
{
    cr_backward(cr_sum(floats(ctx, 2)));
    return __LINE__ - 1;
}

static int gradients_unused(cr_ctx *ctx)
{
    cr_tensor *x = cr_requires_grad(floats(ctx, 2)), *grad;
    cr_tensor *y = cr_requires_grad(floats(ctx, 2));
    cr_gradients(&y, 1, &x, 1, &grad);
    return __LINE__ - 1;
}

static int assign_shape(cr_ctx *ctx)
{
    cr_assign(cr_named(cr_requires_grad(floats(ctx, 3)), "the weight"), floats(ctx, 2));
    return __LINE__ - 1;
}

static int set_grad_rank(cr_ctx *ctx)
{
    cr_tensor *x = cr_requires_grad(floats(ctx, 3));
    cr_set_grad(x, cr_reshape(floats(ctx, 3), CR_DIMS(3, 1)));
    return 0;
}

static int assign_dtype(cr_ctx *ctx)
{
    cr_assign(floats(ctx, 3), cr_zeros(ctx, CR_DIMS(3), .dtype = CR_F64));
    return __LINE__ - 1;
}

/* The backward pass of what the forward would have failed at too. */
static int label_backward(cr_ctx *ctx)
{
    cr_tensor *x = cr_requires_grad(cr_zeros(ctx, CR_DIMS(2, 3)));
    cr_tensor *loss = cr_cross_entropy(x, indices(ctx, 0, 3));
    cr_backward(loss);
    cr_eval(cr_grad(x));
    return __LINE__ - 3;
}

static bool refuse(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)in, (void)n, (void)out, (void)user;
    return false;
}

static int custom_refuses(cr_ctx *ctx)
{
    static const cr_custom_def def = { .name = "moody", .forward = refuse };
    cr_tensor *x = floats(ctx, 3);
    cr_eval(cr_custom(&def, &x, 1, CR_F32, CR_DIMS(3)));
    return __LINE__ - 1;
}

static int slice_step(cr_ctx *ctx)
{
    cr_tensor *x = floats(ctx, 6), *out;
    is_int(
        cr_call(ctx, cr_op_find("slice"), &x, 1, "dim=0,start=0,end=6,step=0", &out, 1),
        -1, "no step");
    return __LINE__ - 2;
}

static int attribute_unknown(cr_ctx *ctx)
{
    cr_tensor *x = floats(ctx, 3), *out;
    is_int(cr_call(ctx, cr_op_find("sum"), &x, 1, "axis=0", &out, 1), -1,
           "no such attribute");
    return __LINE__ - 1;
}

static int inputs_missing(cr_ctx *ctx)
{
    cr_tensor *x = floats(ctx, 3), *out;
    is_int(cr_call(ctx, cr_op_find("mul"), &x, 1, NULL, &out, 1), -1, "an input too few");
    return __LINE__ - 1;
}

static const failure failures[] = {
    { "matmul of other sizes",
      matmul_sizes,
      CR_ERR_SHAPE,
      { "matmul", "[8, 64]", "[32, 64]" } },
    { "sizes that do not broadcast",
      add_shapes,
      CR_ERR_SHAPE,
      { "add", "[2, 3]", "[2, 4]" } },
    { "mixed dtypes", add_dtypes, CR_ERR_DTYPE, { "add", "f64", "cr_cast" } },
    { "a NULL operand", add_null, CR_ERR_NULL, { "add" } },
    { "exp of integers", exp_of_integers, CR_ERR_DTYPE, { "exp", "i64", "cr_cast" } },
    { "reshape to another numel",
      reshape_numel,
      CR_ERR_SHAPE,
      { "reshape", "[6]", "[4, 2]" } },
    { "reshape to two unknowns", reshape_unknowns, CR_OK, { "reshape", "-1" } },
    { "permute with a dim twice", permute_twice, CR_OK, { "permute" } },
    { "a dim that is not there", transpose_dim, CR_OK, { "transpose", "2" } },
    { "expand of a size", expand_size, CR_ERR_SHAPE, { "expand", "[2, 3]", "[4, 3]" } },
    { "sum over a missing dim", sum_dim, CR_OK, { "sum", "2" } },
    { "sum over a dim twice", sum_dim_twice, CR_OK, { "sum" } },
    { "the largest of nothing", amax_of_nothing, CR_OK, { "amax" } },
    { "softmax of integers", softmax_of_integers, CR_ERR_DTYPE, { "softmax", "i64" } },
    { "no step", slice_step, CR_ERR_ARGUMENT, { "slice", "step is 0" } },
    { "select beyond the end", select_index, CR_OK, { "select", "6" } },
    { "cat of other sizes", cat_sizes, CR_ERR_SHAPE, { "cat", "[2, 4]" } },
    { "stack with a NULL", stack_null, CR_ERR_NULL, { "stack" } },
    { "linear of other sizes",
      linear_sizes,
      CR_ERR_SHAPE,
      { "linear", "[2, 3]", "[5, 4]" } },
    { "a condition of floats", where_condition, CR_ERR_DTYPE, { "where", "bool" } },
    { "a probability of 1.5",
      dropout_probability,
      CR_ERR_ARGUMENT,
      { "dropout", "1.5" } },
    { "another normalized_shape", norm_shape, CR_ERR_SHAPE, { "layer_norm", "[4]" } },
    { "a target of another size", loss_target, CR_ERR_SHAPE, { "cross_entropy", "[3]" } },
    { "a negative size", negative_size, CR_ERR_SHAPE, { "full: ", "[2, -3]" } },
    { "nine dimensions", too_many_dims, CR_ERR_SHAPE, { "9" } },
    { "too many elements", too_large, CR_ERR_SHAPE, { "" } },
    { "a gradient for integers",
      requires_grad_of_integers,
      CR_OK,
      { "requires_grad", "i64" } },
    { "300 as u8", number_300_in_u8, CR_OK, { "add", "300", "u8" } },
    { "-1 as u8", number_minus_1_in_u8, CR_OK, { "add", "-1", "u8" } },
    { "0.5 as i64", number_half_in_i64, CR_OK, { "add", "0.5", "i64" } },
    { "2^31 as i32", number_in_i32, CR_OK, { "mul", "2147483648", "i32" } },
    { "NaN as i64", number_nan_in_i64, CR_OK, { "maximum", "nan", "i64" } },
    { "1e300 as f32", number_in_f32, CR_OK, { "mul", "1e+300", "f32" } },
    { "full of 300 as u8", full_of_300, CR_OK, { "300", "u8" } },
    { "gather outside", gather_index, CR_ERR_INDEX, { "gather", "7", "3" } },
    { "gather of -1", gather_negative, CR_ERR_INDEX, { "gather", "-1" } },
    { "index_select outside", select_many, CR_ERR_INDEX, { "index_select", "3" } },
    { "embedding outside", embedding_index, CR_ERR_INDEX, { "embedding", "4" } },
    { "scatter_add outside", scatter_index, CR_ERR_INDEX, { "scatter_add", "9" } },
    { "a label too large", label, CR_ERR_INDEX, { "cross_entropy", "3" } },
    { "a label beneath others", label_beneath, CR_ERR_INDEX, { "nll_loss", "5" } },
    { "a label, backwards", label_backward, CR_ERR_INDEX, { "cross_entropy", "3" } },
    { "item of two", item_of_two, CR_OK, { "item", "[2]" } },
    { "backward of two", backward_of_two, CR_ERR_GRAD, { "backward", "[2]" } },
    { "backward of a constant", backward_of_constant, CR_ERR_GRAD, { "backward" } },
    { "gradients of the unused",
      gradients_unused,
      CR_ERR_GRAD,
      { "gradients", "allow_unused" } },
    { "assign another shape",
      assign_shape,
      CR_ERR_SHAPE,
      { "assign", "the weight", "[2]" } },
    { "a gradient of another rank",
      set_grad_rank,
      CR_ERR_SHAPE,
      { "set_grad", "f32 [3]", "f32 [3, 1]" } },
    { "assign another dtype", assign_dtype, CR_ERR_DTYPE, { "assign", "f64" } },
    { "a custom forward refuses", custom_refuses, CR_OK, { "moody" } },
    { "an unknown attribute", attribute_unknown, CR_ERR_ARGUMENT, { "sum", "axis" } },
    { "an input too few", inputs_missing, CR_OK, { "mul" } },
};

/* Right after an error nothing works; after cr_clear() everything does. */
static bool sticks_and_clears(cr_ctx *ctx)
{
    char first[1024];
    cr_status status = cr_error(ctx);
    snprintf(first, sizeof first, "%s", cr_message(ctx));
    bool good = !cr_zeros(ctx, CR_DIMS(2)) && !floats(ctx, 3);
    cr_fail(ctx, CR_ERR_IO, "a second error");
    good = good && cr_error(ctx) == status && strcmp(cr_message(ctx), first) == 0;
    cr_clear(ctx);
    good = good && cr_error(ctx) == CR_OK && !*cr_message(ctx);
    return good && cr_item(cr_sum(floats(ctx, 4))) == 8 && cr_error(ctx) == CR_OK;
}

/* The line of this file that a message names. Compilers differ in which line of a call
 * that takes several is its own. */
static int place_in(const char *message)
{
    const char *place = strstr(message, "engine_errors.c:");
    return place ? atoi(place + strlen("engine_errors.c:")) : -100;
}

static void test_failure(const failure *f)
{
    char text[2][1024];
    for (int eager = 0; eager < 2; eager++) {
        cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
        int line = f->provoke(ctx);
        snprintf(text[eager], sizeof text[0], "%s", cr_message(ctx));
        bool good = cr_error(ctx) && (!f->status || cr_error(ctx) == f->status);
        for (int i = 0; i < 3 && f->texts[i]; i++)
            good = good && strstr(text[eager], f->texts[i]);
        good = good && (!line || abs(place_in(text[eager]) - line) <= 2);
        if (!ok(good, "%s, %s", f->name, eager ? "eagerly" : "lazily"))
            diag("  %s: %s (line %d)", cr_status_name(cr_error(ctx)), text[eager], line);
        ok(sticks_and_clears(ctx), "%s: sticks, and clears", f->name);
        cr_close(ctx);
    }
    is_text(text[1], text[0], "%s: the same text in both modes", f->name);
}

static void test_null(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *none = NULL;
    ok(!cr_exp(none) && !cr_add(none, none) && !cr_sum(none), "NULL gives NULL");
    ok(isnan(cr_item(NULL)) && cr_item_i64(NULL) == 0, "its item is NaN, and 0");
    ok(cr_ndim(NULL) == 0 && cr_numel(NULL) == 0 && cr_dtype_of(NULL) == 0 &&
           cr_size(NULL, 0) == -1 && !cr_data(NULL) && !cr_ctx_of(NULL),
       "it has no shape, type and data");
    ok(cr_backward(none) == CR_ERR_NULL && cr_assign(none, none) == CR_ERR_NULL &&
           cr_zero_grad(NULL) == CR_ERR_NULL && cr_eval(none) == CR_ERR_NULL,
       "calls for the status say so");
    ok(!cr_grad(NULL) && !cr_keep(NULL) && !cr_watch(NULL) && !cr_requires_grad(none),
       "and the others return NULL");
    cr_release(NULL);
    cr_close(NULL);
    cr_pool_close(NULL);
    cr_clear(NULL);
    is_int(cr_error(NULL), CR_ERR_NULL, "a NULL context is an error");
    ok(cr_message(NULL) != NULL, "with a message");
    ok(!cr_zeros(NULL, CR_DIMS(2)) && cr_scope_push(NULL) == CR_ERR_NULL,
       "and makes nothing");
    is_int(cr_error(ctx), CR_OK, "nothing of this is in a context");
    cr_close(ctx);
}

/* Where nothing has the index'th context, the message is in that of the other input. */
static void test_strangers(void)
{
    cr_ctx *ctx = cr_open(NULL), *other = cr_open(NULL);
    cr_tensor *mine = floats(ctx, 3), *theirs = floats(other, 3), *gone;
    ok(!cr_add(mine, theirs) && failed_with(ctx, CR_ERR_SCOPE, "another context"),
       "a tensor of another context is refused");
    is_int(cr_error(other), CR_OK, "and that one is not disturbed");
    {
        CR_SCOPE(ctx);
        gone = floats(ctx, 3);
    }
    ok(!cr_exp(gone) && failed_with(ctx, CR_ERR_SCOPE, "released"),
       "a closed scope's tensor is refused");
    cr_scope_push(ctx);
    gone = cr_exp(mine);
    cr_scope_pop(ctx);
    ok(cr_ndim(gone) == 0 && cr_numel(gone) == 0 && cr_size(gone, 0) == -1 &&
           cr_shape(gone).n == 0 && !cr_dtype_of(gone),
       "and has no shape and type");
    ok(!cr_op_of(gone) && !cr_input(gone, 0) && !cr_input_count(gone) &&
           !cr_attrs(gone) && cr_operand(gone, 0).kind == CR_ARG_NONE &&
           !cr_needs_grad(gone),
       "no operation and no inputs");
    ok(!cr_add(mine, gone) && failed_with(ctx, CR_ERR_SCOPE, "released"),
       "as a second operand too");
    is_near(cr_item(cr_sum(mine)), 4.5, 0, "the context is usable");
    cr_close(ctx);
    cr_close(other);
}

static void keep_line(void *user, const char *line)
{
    snprintf(user, 200, "%s", line);
}

static void test_log(void)
{
    char line[200] = "";
    cr_options options = { .log = keep_line, .log_user = line };
    cr_ctx *ctx = cr_open(&options);
    cr_fail(ctx, CR_ERR_IO, "no file %d", 7);
    cr_close(ctx);
    ok(strstr(line, "no file 7"), "an error that nobody read is logged: %s", line);
    *line = 0;
    ctx = cr_open(&options);
    is_int(cr_fail(ctx, CR_ERR_IO, "seen"), CR_ERR_IO, "cr_fail returns the status");
    is_text(cr_message(ctx), "seen", "and sets the message");
    cr_close(ctx);
    is_text(line, "", "one that was read is not");
}

static bool in_child(void *arg)
{
    cr_ctx *ctx = arg;
    bool refused = !floats(ctx, 3) || cr_eval(floats(ctx, 3)) != CR_OK;
    return refused && cr_error(ctx) == CR_ERR_FORK;
}

static void test_fork(void)
{
#ifdef _WIN32
    skip(1, "there are no forks");
    return;
#endif
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 2 });
    cr_item(cr_sum(floats(ctx, 100000)));
    ok(tap_child(in_child, ctx), "a context of the parent's says so in a child");
    cr_close(ctx);
}

int main(void)
{
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        test_failure(&failures[i]);
    test_null();
    test_strangers();
    test_log();
    test_fork();
    return done_testing();
}
