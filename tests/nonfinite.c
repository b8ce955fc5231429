/* Infinities and NaNs, traced to where they come from: the operation, the element, the operands,
 * forward and backward, in all modes; what passes it on; and what is no matter. */
#include "engine.h"

#define LINE_(x) #x
#define LINE(x)  LINE_(x)

static bool with_texts(cr_ctx *ctx, const char *const *parts, int n, const char *name)
{
    bool right = cr_error(ctx) == CR_ERR_NONFINITE;
    for (int i = 0; i < n; i++)
        right = right && strstr(cr_message(ctx), parts[i]);
    if (!right)
        diag("%s: %s", cr_status_name(cr_error(ctx)), cr_message(ctx));
    ok(right, "%s", name);
    cr_clear(ctx);
    return right;
}
#define SAYS(ctx, name, ...)                                                         \
    with_texts(ctx, (const char *const[]){ __VA_ARGS__ },                            \
               (int)(sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *)), \
               name)

static cr_tensor *three(cr_ctx *ctx, float a, float b, float c)
{
    return cr_from(ctx, CR_F32, CR_DIMS(3), CR_ARRAY(float, a, b, c));
}

static void test_forward(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_named(three(ctx, 1, 100, 2), "x");
    cr_tensor *y = cr_exp(x);
    cr_tensor *loss =
        cr_sum(cr_mul(cr_reshape(y, CR_DIMS(1, 3)), cr_full(ctx, CR_DIMS(2, 3), 2)));
    ok(isnan(cr_item(loss)), "it cannot be read");
    SAYS(ctx, "forward", "inf in sum [] (", "made by exp (",
         "nonfinite.c:", "element [1], of 100", "passed on by 2 operations");
    cr_item(cr_neg(loss));
    SAYS(ctx, "something else, the same", "exp");
    cr_item(cr_sum(cr_log(cr_sub(x, 1))));
    SAYS(ctx, "log of 0", "-inf in sum", "by log (", "element [0], of 0");
    cr_item(cr_sum(cr_sqrt(cr_sub(x, 2))));
    SAYS(ctx, "root of what is negative", "nan in sum", "by sqrt (",
         "element [0], of -1");
    cr_tensor *inf = cr_div(x, cr_sub(x, 100));
    cr_item(cr_sum(cr_sub(inf, inf)));
    SAYS(ctx, "inf - inf", "nan in sum", "inf was made by div (", "of 100 and 0",
         "nan was then made by sub (", "of inf and inf");
    cr_item(cr_amax(cr_matmul(cr_mul(cr_ones(ctx, CR_DIMS(2, 3)), 1e30f),
                              cr_mul(cr_ones(ctx, CR_DIMS(3, 2)), 1e30f)),
                    CR_ALL));
    SAYS(ctx, "a product", "made in matmul (", "by contract", "element [0, 0]",
         "f32 [2, 3] and f32 [3, 2]");
    cr_item(cr_sum(cr_mul(three(ctx, 3e38f, 3e38f, 0), 1)));
    ok(cr_error(ctx) == CR_ERR_NONFINITE && strstr(cr_message(ctx), "made by sum"),
       "a sum that overflows: %s", cr_message(ctx));
    cr_clear(ctx);
    cr_item(cr_sum(cr_layer_norm(cr_mul(x, 1e38f), CR_DIMS(3), NULL, NULL)));
    ok(cr_error(ctx) == CR_OK || strstr(cr_message(ctx), "mul"), "a composite");
    cr_clear(ctx);
}

static void test_given(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *w = cr_named(cr_requires_grad(three(ctx, 1, NAN, INFINITY)), "w");
    cr_item(cr_sum(cr_mul(cr_flip(w, CR_DIMS(0)), 2)));
    SAYS(ctx, "a leaf", "nan in sum", "from \"w\" [3], element [1], as it was given",
         "passed on by 2 operations");
    cr_tensor *masked = cr_softmax(
        cr_where(cr_gt(cr_arange(ctx, 0, 3, 1), 0.5), three(ctx, 1, 2, 3), -INFINITY), 0);
    is_near(cr_item(cr_sum(masked)), 1, 1e-6, "a mask of -inf has no effect");
    cr_tensor *safe = cr_where(cr_isnan(w), 0.0, cr_clamp(w, -1, 1));
    is_near(cr_item(cr_sum(safe)), 2, 0, "nor what is not taken");
    is_int(cr_error(ctx), CR_OK, "which is no error");
    is_int(cr_eval(cr_gt(w, 0.0)), CR_OK, "nor what is no float");
}

static void test_backward(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_named(cr_requires_grad(three(ctx, 1, 0, 2)), "x");
    cr_tensor *other = cr_requires_grad(three(ctx, 1, 1, 1));
    cr_tensor *y = cr_where(cr_gt(x, 0.0), cr_log(x), 0.0);
    cr_tensor *loss = cr_sum(cr_mul(y, other));
    is_near(cr_item(loss), log(2), 1e-6, "what is not taken is no matter forward");
    cr_backward(loss);
    cr_eval(cr_mul(loss, 2));
    SAYS(ctx, "backward", "nan in the gradient of \"x\" [3], element [1]",
         "in the backward pass of", "nonfinite.c:", "by div", "of 0 and 0",
         "a zero cotangent met an infinite derivative", "cr_where()");
    ok(!cr_grad(x) && !cr_grad(other), "nothing was committed");
    loss = cr_sum(cr_mul(cr_where(cr_gt(x, 0.0), cr_sqrt(x), x), other));
    cr_backward(loss);
    cr_eval(loss);
    SAYS(ctx, "of a root", "nan in the gradient of \"x\"", "a zero cotangent met");
    cr_tensor *c = cr_gt(x, 0.0);
    loss = cr_sum(cr_where(c, cr_log(cr_where(c, x, 1.0)), 0.0));
    cr_backward(loss);
    is_int(cr_eval(loss), CR_OK, "the cure: %s", cr_message(ctx));
    is_near(((const float *)cr_data(cr_grad(x)))[2], 0.5, 0, "has a gradient");
    cr_zero_grad(x);
    cr_tensor *z = cr_requires_grad(cr_zeros(ctx, CR_DIMS(2)));
    loss = cr_sqrt(cr_sum(cr_square(z)));
    cr_backward(loss);
    cr_eval(loss);
    ok(strstr(cr_message(ctx), "in the backward pass of ") &&
           strstr(cr_message(ctx), "of 1 and 0") &&
           !strstr(cr_message(ctx), "zero cotangent"),
       "an infinite cotangent: %s", cr_message(ctx));
    cr_clear(ctx);
    loss = cr_sum(cr_sqrt(x));
    cr_backward(loss);
    cr_eval(loss);
    ok(cr_error(ctx) == CR_ERR_NONFINITE &&
           strstr(cr_message(ctx), "inf in the gradient") &&
           !strstr(cr_message(ctx), "zero cotangent"),
       "an infinite derivative alone: %s", cr_message(ctx));
    cr_clear(ctx);
}

static void test_update(cr_ctx *ctx)
{
    cr_tensor *w = cr_named(cr_requires_grad(three(ctx, 1, 2, 3)), "w");
    for (int step = 0; step < 5; step++) {
        CR_SCOPE(ctx);
        cr_tensor *loss = cr_sum(cr_square(w));
        cr_zero_grad(w);
        cr_backward(loss);
        cr_assign(w, cr_sub(w, cr_mul(cr_grad(w), step < 3 ? 0.1f : 3e38f)));
    }
    SAYS(ctx, "an update", "-inf in the new value of \"w\" [3]", "nonfinite.c:");
    is_near(((const float *)cr_data(w))[0], 0.512, 1e-6, "the leaf is as it was");
    is_near(((const float *)cr_data(cr_grad(w)))[0], 1.28, 1e-5, "and its gradient");
    cr_trace_nonfinite(ctx, false);
    {
        CR_SCOPE(ctx);
        cr_assign(w, cr_mul(w, 3e38f));
    }
    is_int(cr_error(ctx), CR_OK, "not while it is off");
    cr_trace_nonfinite(ctx, true);
    cr_assign(w, three(ctx, 1, 2, 3));
    is_int(cr_eval(cr_square(w)), CR_OK, "it can be mended");
}

/* The run is repeated in the midst of what others hold: nothing is lost. */
static void test_again(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *w = cr_requires_grad(cr_ones(ctx, CR_DIMS(100))), *v = cr_mul(w, 3);
    cr_tensor *held = cr_exp(cr_mul(v, v)), *loss = cr_sum(cr_log(cr_sub(held, held)));
    cr_backward(loss);
    cr_assign(w, cr_mul(w, 2));
    cr_eval(loss);
    SAYS(ctx, "of many", "-inf in sum", "by log", "element [0], of 0");
    is_near(cr_item(cr_sum(held)), 100 * exp(9), 1, "what is finite can be read");
    is_near(cr_item(cr_sum(w)), 100, 0, "the assignment was forgotten");
    is_int(cr_backward(cr_sum(held)), CR_OK, "and passes be made");
    is_near(cr_item(cr_sum(cr_grad(w))), 100 * 18 * exp(9), 50, "with their gradients");
    cr_tensor *half = cr_cast(cr_full(ctx, CR_DIMS(20), 300), CR_F16);
    cr_eval(cr_square(half));
    SAYS(ctx, "f16", "by square (", "f16 [20], element [0], of 300");
    cr_item(cr_mul(cr_exp(cr_scalar(ctx, 800.0, .dtype = CR_F64)), 2));
    SAYS(ctx, "single elements", "by exp (", "of 800", "passed on by 1 operation");
}

int main(void)
{
    cr_options options = { .trace_nonfinite = true, .threads = 2 };
    cr_ctx *ctx = cr_open(&options);
    test_forward(ctx);
    test_given(ctx);
    test_backward(ctx);
    test_update(ctx);
    test_again(ctx);
    ok(cr_error(ctx) == CR_OK, "no error is left: %s", cr_message(ctx));
    cr_close(ctx);
    return done_testing();
}
