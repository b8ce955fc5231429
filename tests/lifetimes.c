/* Lifetimes: what an ended scope has let go is an error everywhere, and what is read stays
 * while it is read. What is carried from step to step is in carried.c. */
#include "engine.h"

/* ---- what a scope has let go ---- */

typedef struct gone {
    cr_tensor *let_go; /* of an ended scope */
    cr_tensor *kept;   /* refers to it, by a view */
    cr_tensor *leaf;
} gone;

static gone let_go(cr_ctx *ctx)
{
    gone g;
    g.leaf = cr_requires_grad(floats(ctx, 3));
    CR_SCOPE(ctx);
    g.let_go = cr_named(cr_mul(g.leaf, 2), "let go");
    g.kept = cr_keep(cr_unsqueeze(cr_exp(g.let_go), 0));
    return g;
}

static void call_make(gone *g)
{
    cr_exp(g->let_go);
}
static void call_second(gone *g)
{
    cr_add(g->leaf, g->let_go);
}
static void call_composite(gone *g)
{
    cr_softmax(g->let_go, 0);
}
static void call_item(gone *g)
{
    cr_item(cr_sum(g->leaf)), cr_item(g->let_go);
}
static void call_data(gone *g)
{
    cr_data(g->let_go);
}
static void call_eval(gone *g)
{
    cr_eval(g->leaf, g->let_go);
}
static void call_watch(gone *g)
{
    cr_watch(g->let_go);
}
static void call_keep(gone *g)
{
    cr_keep(g->let_go);
}
static void call_retain(gone *g)
{
    cr_retain(g->let_go);
}
static void call_named(gone *g)
{
    cr_named(g->let_go, "x");
}
static void call_detach(gone *g)
{
    cr_detach(g->let_go);
}
static void call_requires(gone *g)
{
    cr_requires_grad(g->let_go);
}
static void call_assign(gone *g)
{
    cr_assign(g->let_go, g->leaf);
}
static void call_value(gone *g)
{
    cr_assign(g->leaf, g->let_go);
}
static void call_set_grad(gone *g)
{
    cr_set_grad(g->leaf, g->let_go);
}
static void call_zero_grad(gone *g)
{
    cr_zero_grad(g->let_go);
}
static void call_backward(gone *g)
{
    cr_backward(g->let_go, .cotangent = g->leaf);
}
static void call_cotangent(gone *g)
{
    cr_backward(g->leaf, .cotangent = g->let_go);
}
static void call_like(gone *g)
{
    cr_zeros_like(g->let_go);
}
static void call_rand(gone *g)
{
    cr_rand_like(g->let_go);
}
static void call_ys(gone *g)
{
    cr_tensor *grad;
    cr_gradients(&g->let_go, 1, &g->leaf, 1, &grad);
}
static void call_xs(gone *g)
{
    cr_tensor *grad;
    cr_gradients(&g->leaf, 1, &g->let_go, 1, &grad);
}
static void call_print(gone *g)
{
    char text[100];
    cr_format(g->let_go, text, sizeof text);
}

static const struct {
    const char *name;
    void (*call)(gone *g);
} calls[] = {
    { "an operation", call_make },
    { "a second operand", call_second },
    { "a composite", call_composite },
    { "item", call_item },
    { "data", call_data },
    { "eval", call_eval },
    { "watch", call_watch },
    { "keep", call_keep },
    { "retain", call_retain },
    { "named", call_named },
    { "detach", call_detach },
    { "requires_grad", call_requires },
    { "assign", call_assign },
    { "assign, as the value", call_value },
    { "set_grad", call_set_grad },
    { "zero_grad", call_zero_grad },
    { "backward", call_backward },
    { "backward, as the cotangent", call_cotangent },
    { "zeros_like", call_like },
    { "rand_like", call_rand },
    { "gradients, of it", call_ys },
    { "gradients, to it", call_xs },
    { "format", call_print },
};

static void test_let_go(int eager)
{
    const char *mode = eager ? "eager" : "lazy";
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
        gone g = let_go(ctx);
        calls[i].call(&g);
        ok(failed_with(ctx, CR_ERR_SCOPE, "released"), "%s: %s", mode, calls[i].name);
        is_near(cr_item(cr_sum(g.kept)), exp(1) + exp(3) + exp(5), 1e-4,
                "%s: what is kept has its way to it", mode);
        cr_backward(cr_sum(g.kept));
        is_near(cr_item(cr_sum(cr_grad(g.leaf))), 2 * (exp(1) + exp(3) + exp(5)), 1e-3,
                "%s: and so have gradients", mode);
        is_text(cr_message(ctx), "", "%s: no error", mode);
        cr_close(ctx);
    }
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    gone g = let_go(ctx);
    ok(cr_ndim(g.let_go) == 0 && cr_numel(g.let_go) == 0 && cr_size(g.let_go, 0) == -1 &&
           cr_shape(g.let_go).n == 0 && !cr_dtype_of(g.let_go) && !*cr_name(g.let_go) &&
           !cr_grad(g.let_go) && !cr_op_of(g.let_go) && !cr_input(g.let_go, 0) &&
           !cr_input_count(g.let_go) && !cr_needs_grad(g.let_go),
       "%s: it has no shape, type, name, operation and inputs", mode);
    cr_clear(ctx); /* in check mode each of these is an error */
    cr_release(g.let_go);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "not retained"), "%s: nor can it be released",
       mode);
    cr_close(ctx);
}

/* A scope that ends with an error computes nothing: what is kept is computed later. */
static void test_after_error(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *x, *v;
    {
        CR_SCOPE(ctx);
        x = floats(ctx, 3);
        v = cr_keep(cr_unsqueeze(x, 0));
        cr_fail(ctx, CR_ERR_IO, "pending");
    }
    cr_clear(ctx);
    ok(!cr_requires_grad(x) && failed_with(ctx, CR_ERR_SCOPE, "released"),
       "%s: not to be made a leaf", mode);
    is_near(cr_item(cr_sum(v)), 4.5, 0, "%s: what is kept can be read", mode);
    cr_close(ctx);
}

/* Retaining holds a tensor, its gradient is held by its leaf; each for itself. */
static void test_holders(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *w = cr_requires_grad(floats(ctx, 3)), *x, *y, *g;
    {
        CR_SCOPE(ctx);
        x = cr_retain(cr_retain(cr_mul(w, 2)));
        y = cr_keep(cr_exp(x));
        cr_backward(cr_sum(cr_square(w)));
    }
    g = cr_grad(w);
    is_near(cr_item(cr_sum(cr_mul(g, 1))), 9, 0, "%s: a gradient is its leaf's", mode);
    cr_release(x);
    is_near(cr_item(cr_sum(x)), 9, 0, "%s: retained twice, released once", mode);
    cr_release(x);
    ok(!cr_exp(x) && failed_with(ctx, CR_ERR_SCOPE, "released"), "%s: and twice", mode);
    cr_release(x);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "not retained"), "%s: not three times", mode);
    cr_backward(cr_sum(y));
    is_near(cr_item(cr_sum(cr_grad(w))), 9 + 2 * (exp(1) + exp(3) + exp(5)), 1e-3,
            "%s: vjps have their way to it", mode);
    g = cr_grad(w);
    cr_zero_grad(w);
    cr_eval(w);
    cr_eval(g);
    ok(cr_error(ctx) != CR_OK, "%s: a replaced gradient is let go: %s", mode,
       cr_message(ctx));
    cr_clear(ctx);
    cr_close(ctx);
}

/* ---- reading ---- */

/* A read that commits does not drop what it reads. */
static void test_read_commits(int eager)
{
    const char *mode = eager ? "eager" : "lazy";
    for (int scoped = 0; scoped < 2; scoped++) {
        cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
        cr_tensor *w = cr_requires_grad(floats(ctx, 1000)), *loss;
        if (scoped)
            cr_scope_push(ctx);
        loss = cr_sum(cr_square(w));
        cr_backward(loss);
        if (scoped)
            cr_scope_pop(ctx);
        else
            cr_eval(w, cr_grad(w));
        cr_tensor *g = cr_grad(w);
        for (int again = 0; again < 3; again++) {
            const float *data = cr_data(g);
            ok(data && data[999] == 1999, "%s: a gradient, %s", mode,
               again ? "after zero_grad" : "before");
            cr_zero_grad(w);
        }
        is_text(cr_message(ctx), "", "%s: no error", mode);
        cr_close(ctx);
    }
}

/* ---- cycles ---- */

static void note(void *user, const void *data)
{
    (void)data;
    ++*(int *)user;
}

/* A gradient whose history holds its own leaf, and which is a leaf itself. */
static void test_cycle(int eager, int how)
{
    static const float data[6] = { 1, 2, 3, 4, 5, 6 };
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    int done = 0;
    cr_scope_push(ctx);
    cr_tensor *x = cr_borrow(ctx, CR_F32, CR_DIMS(6), data, note, &done);
    cr_tensor *y = cr_neg(x);
    cr_requires_grad(x);
    cr_set_grad(x, y);
    cr_tensor *g = cr_requires_grad(cr_grad(x));
    if (how == 1)
        cr_eval(g);
    if (how == 2)
        cr_set_grad(g, x);
    if (how == 3)
        cr_fail(ctx, CR_ERR_IO, "pending");
    if (how < 4)
        cr_scope_pop(ctx);
    if (how == 1)
        is_int(done, 1, "%s: it ends with its scope", eager ? "eager" : "lazy");
    cr_clear(ctx);
    cr_close(ctx);
    is_int(done, 1, "%s: a cycle does not outlive its context (%d)",
           eager ? "eager" : "lazy", how);
}

int main(void)
{
    for (int eager = 0; eager < 2; eager++) {
        test_let_go(eager);
        test_after_error(eager);
        test_holders(eager);
        test_read_commits(eager);
        for (int how = 0; how < 5; how++)
            test_cycle(eager, how);
    }
    return done_testing();
}
