/* cr_gradcheck does not pass what it has not checked: each function here is one that agreed
 * with any gradient, or left the context changed. */
#include "engine.h"

typedef struct world {
    cr_ctx *other;
    cr_tensor *captured, *gone;
    int calls;
} world;

static cr_tensor *of_other_context(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    world *w = user;
    (void)ctx, (void)in, (void)n;
    return cr_ones(w->other, CR_DIMS(2), .dtype = CR_F64);
}

static cr_tensor *released(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)n, (void)user;
    CR_SCOPE(ctx);
    return cr_exp(in[0]);
}

static cr_tensor *constant(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)in, (void)n, (void)user;
    return cr_ones(ctx, CR_DIMS(2), .dtype = CR_F64);
}

/* It reads the tensor that the caller has, not the copy it is given. */
static cr_tensor *of_captured(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    world *w = user;
    (void)ctx, (void)in, (void)n;
    return cr_exp(w->captured);
}

static cr_tensor *the_captured(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    world *w = user;
    (void)ctx, (void)in, (void)n;
    return w->captured;
}

static cr_tensor *detached(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    return cr_exp(cr_detach(in[0]));
}

static cr_tensor *gradients_off(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)n, (void)user;
    cr_no_grad_push(ctx);
    return cr_exp(in[0]);
}

static cr_tensor *scope_open(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)n, (void)user;
    cr_scope_push(ctx);
    return cr_exp(in[0]);
}

static cr_tensor *scope_closed(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)n, (void)user;
    cr_tensor *y = cr_keep(cr_exp(in[0]));
    cr_scope_pop(ctx);
    return y;
}

static cr_tensor *scope_exchanged(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)n, (void)user;
    cr_tensor *y = cr_keep(cr_exp(in[0]));
    cr_scope_pop(ctx);
    cr_scope_push(ctx);
    return y;
}

static cr_tensor *fails(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)n, (void)user;
    cr_fail(ctx, CR_ERR_IO, "out of ink");
    return in[0];
}

static cr_tensor *clears(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)n, (void)user;
    cr_matmul(in[0], cr_scalar(ctx, 1));
    cr_clear(ctx);
    return cr_exp(in[0]);
}

/* 1 / x, where x - eps is on the other side: the slope is infinite. */
static cr_tensor *wrong_where_infinite(cr_ctx *ctx, cr_tensor *const *in, int n,
                                       void *user)
{
    world *w = user;
    (void)n;
    double at = cr_item(cr_sum(in[0]));
    cr_tensor *far =
        cr_full(ctx, CR_DIMS(2), at > 2 ? (double)INFINITY : 0, .dtype = CR_F64);
    w->calls++;
    return cr_add(cr_exp(in[0]), far);
}

static cr_tensor *itself(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    return in[0];
}

static cr_tensor *first_only(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    return cr_exp(in[0]);
}

static cr_tensor *in_f32(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    return cr_mul(in[0], cr_cast(in[1], CR_F64));
}

/* Its gradient is one half of what it is. */
static cr_tensor *half(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    return cr_add(cr_mul(in[0], 0.5), cr_detach(cr_mul(in[0], 0.5)));
}

static const struct {
    const char *name;
    cr_function *f;
    cr_status status;
    const char *text;
} cases[] = {
    { "a result of another context", of_other_context, CR_ERR_SCOPE,
      "gradcheck: the function's result: the tensor belongs to another context" },
    { "a released result", released, CR_ERR_SCOPE, "gradcheck: the function's result" },
    { "a constant", constant, CR_ERR_GRAD,
      "no gradient reaches an input that is checked" },
    { "a function of the caller's tensor", of_captured, CR_ERR_GRAD,
      "no gradient reaches" },
    { "the caller's tensor", the_captured, CR_ERR_GRAD, "no gradient reaches an input" },
    { "detached", detached, CR_ERR_GRAD, "detach" },
    { "gradients left off", gradients_off, CR_ERR_ARGUMENT, "left gradients off" },
    { "a scope left open", scope_open, CR_ERR_ARGUMENT,
      "gradcheck: it has left a scope open" },
    { "a scope too many ended", scope_closed, CR_ERR_ARGUMENT,
      "has not opened the scope" },
    { "a scope exchanged", scope_exchanged, CR_ERR_ARGUMENT, "has not opened the scope" },
    { "an error", fails, CR_ERR_IO, "out of ink" },
    { "an infinite slope", wrong_where_infinite, CR_ERR_GRAD, "finite differences " },
    { "half of the gradient", half, CR_ERR_GRAD, "the vjps give " },
    { "an error that it clears", clears, CR_OK, "" },
    { "its input", itself, CR_OK, "" },
    { "of one input only", first_only, CR_OK, "" },
};

static void test_functions(world *w)
{
    const double v[] = { 0.5, 1.5 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_ctx *ctx = cr_open(NULL);
        cr_tensor *x = cr_requires_grad(cr_from(ctx, CR_F64, CR_DIMS(2), v));
        cr_tensor *in[] = { x, cr_requires_grad(cr_from(ctx, CR_F64, CR_DIMS(2), v)) };
        w->captured = x;
        cr_scope_push(ctx);
        cr_status status = cr_gradcheck(cases[i].f, w, in, 2);
        is_int(status, cases[i].status, "%s", cases[i].name);
        if (cases[i].status)
            ok(failed_with(ctx, cases[i].status, cases[i].text), "it says why");
        ok(cr_grad_enabled(ctx) && cr_error(w->other) == CR_OK,
           "nothing else has changed");
        is_int(cr_scope_pop(ctx), CR_OK, "the caller's scope is still open");
        ok(cr_scope_pop(ctx) && failed_with(ctx, CR_ERR_ARGUMENT, "no scope is open"),
           "alone");
        cr_close(ctx);
    }
}

static void test_arguments(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_ones(ctx, CR_DIMS(2), .dtype = CR_F64);
    cr_tensor *in[] = { x, cr_requires_grad(cr_ones(ctx, CR_DIMS(2))) };
    cr_gradcheck(in_f32, NULL, in, 2);
    ok(failed_with(ctx, CR_ERR_DTYPE, "input 1 needs a gradient and is f32"),
       "a gradient that differences cannot check");
    const double bad[] = { -1, (double)NAN, (double)INFINITY };
    for (int i = 0; i < 3; i++) {
        cr_gradcheck(itself, NULL, in, 1, .eps = bad[i]);
        ok(failed_with(ctx, CR_ERR_ARGUMENT, "gradcheck: eps is "), "eps %g", bad[i]);
        cr_gradcheck(itself, NULL, in, 1, .atol = bad[i]);
        ok(failed_with(ctx, CR_ERR_ARGUMENT, "gradcheck: atol is "), "atol %g", bad[i]);
        cr_gradcheck(itself, NULL, in, 1, .rtol = bad[i]);
        ok(failed_with(ctx, CR_ERR_ARGUMENT, "gradcheck: rtol is "), "rtol %g", bad[i]);
    }
    is_int(cr_gradcheck(itself, NULL, NULL, 1), CR_ERR_NULL, "no list");
    is_int(cr_gradcheck(itself, NULL, in, 0), CR_ERR_NULL, "no inputs");
    is_int(cr_gradcheck(itself, NULL, in, -1), CR_ERR_NULL, "less than none");
    cr_fail(ctx, CR_ERR_IO, "before");
    is_int(cr_gradcheck(itself, NULL, in, 1), CR_ERR_IO, "a pending error stays");
    cr_close(ctx);
}

int main(void)
{
    world w = { .other = cr_open(NULL) };
    test_functions(&w);
    test_arguments();
    cr_close(w.other);
    return done_testing();
}
