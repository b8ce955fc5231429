/* Hooks on tensors, which see and replace cotangents, and hooks behind the accumulation of a
 * leaf's gradient: when and in which order they are called, what they may do, and what bad ones
 * get. */
#include "engine.h"

static char trace[256];

static void note(const char *what)
{
    strncat(trace, what, sizeof trace - strlen(trace) - 1);
}

static cr_tensor *leaf_of(cr_ctx *ctx, double value)
{
    return cr_requires_grad(cr_scalar(ctx, value, .dtype = CR_F64));
}

static double grad_of(cr_tensor *x)
{
    return cr_grad(x) ? cr_item(cr_grad(x)) : NAN;
}

/* ---- hooks on tensors ---- */

static cr_tensor *say_name(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)x, (void)g;
    note(user);
    return NULL;
}

static cr_tensor *times(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)x;
    note("*");
    return cr_mul(g, *(double *)user);
}

static cr_tensor *keep_it(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)x;
    *(cr_tensor **)user = cr_watch(g);
    return NULL;
}

static void test_replacement(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    double ten = 10, two = 2;
    cr_tensor *x = leaf_of(ctx, 3), *seen = NULL;
    cr_tensor *square = cr_watch(cr_square(x)), *loss = cr_mul(square, 5);
    uint64_t first = cr_register_hook(square, times, &ten);
    cr_register_hook(square, keep_it, &seen);
    uint64_t last = cr_register_hook(square, times, &two);
    ok(first && last > first, "numbers ascend");
    is_int(cr_backward(loss, .retain_graph = true), CR_OK, "a pass with hooks");
    is_near(grad_of(x), 5 * 10 * 2 * 6, 1e-12, "both took the cotangent's place");
    is_near(grad_of(square), 100, 1e-12, "what is watched is what the last returned");
    is_near(cr_item(seen), 50, 1e-12, "the one between has seen what was before it");
    is_int(cr_remove_hook(square, first), CR_OK, "removed");
    FAILS(cr_remove_hook(square, first), ARGUMENT, "has no hook of the number");
    cr_zero_grad(x);
    cr_backward(loss, .retain_graph = true);
    is_near(grad_of(x), 5 * 2 * 6, 1e-12, "is not called any more");
    cr_tensor *dx = NULL;
    cr_gradients(&loss, 1, &x, 1, &dx, .retain_graph = true);
    is_near(cr_item(dx), 5 * 2 * 6, 1e-12, "nor is it by cr_gradients(), the other is");
    cr_gradients(&loss, 1, &square, 1, &dx, .create_graph = true);
    is_near(cr_item(dx), 10, 1e-12, "of an intermediate, too");
}

static void test_leaf_hooks(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    double ten = 10;
    cr_tensor *x = leaf_of(ctx, 3), *y = leaf_of(ctx, 4), *seen = NULL;
    cr_register_hook(x, times, &ten);
    cr_register_hook(x, keep_it, &seen);
    trace[0] = 0;
    cr_backward(cr_add(cr_mul(x, y), cr_mul(x, 2)));
    is_text(trace, "*", "once, where two paths meet");
    is_near(grad_of(x), 60, 1e-12, "with the sum");
    cr_backward(cr_mul(x, 1));
    is_near(grad_of(x), 70, 1e-12, "what is there already is not passed through it");
    is_near(cr_item(seen), 10, 1e-12, "the hook saw what the pass adds");
    is_near(grad_of(y), 3, 1e-12, "others are as they were");
    cr_tensor *before = cr_mul(x, 2);
    cr_assign(x, cr_scalar(ctx, 5.0, .dtype = CR_F64));
    cr_zero_grad(x);
    trace[0] = 0;
    cr_backward(cr_mul(before, x));
    is_text(trace, "*", "once for all values that a leaf has had");
    is_near(grad_of(x), 10 * (2 * 5 + 6), 1e-12, "with their sum");
    trace[0] = 0;
    cr_tensor *loss = cr_square(x), *dx[2], *xs[] = { x, x };
    cr_gradients(&loss, 1, xs, 2, dx);
    is_text(trace, "*", "once for cr_gradients(), if it is asked for twice");
    is_near(cr_item(dx[1]), 100, 1e-12, "and both have it");
    cr_requires_grad(x, false);
    trace[0] = 0;
    cr_backward(cr_mul(cr_square(y), x));
    is_text(trace, "", "not while the leaf is frozen");
    FAILS(cr_register_hook(x, times, &ten), GRAD, "needs no gradient");
}

static void test_order(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = leaf_of(ctx, 3), *a = cr_exp(x), *b = cr_sin(a), *c = cr_mul(b, a);
    cr_register_hook(x, say_name, (char *)"x");
    cr_register_hook(a, say_name, (char *)"a");
    cr_register_hook(b, say_name, (char *)"b");
    cr_register_hook(c, say_name, (char *)"c");
    cr_register_hook(a, say_name, (char *)"A");
    trace[0] = 0;
    cr_backward(c, .retain_graph = true);
    is_text(trace, "cbaAx", "from the loss down, as registered");
    trace[0] = 0;
    cr_tensor *db = NULL;
    cr_gradients(&c, 1, &b, 1, &db);
    is_text(trace, "cb", "those beneath what is asked for are not called");
}

typedef struct change {
    cr_tensor *x;
    uint64_t id, other;
} change;

static cr_tensor *remove_both(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)g;
    const change *c = user;
    note("r");
    cr_remove_hook(x, c->id);
    cr_remove_hook(x, c->other);
    cr_register_hook(x, say_name, (char *)"n");
    return NULL;
}

static void test_changes_in_hooks(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    change c = { .x = leaf_of(ctx, 3) };
    cr_tensor *y = cr_exp(c.x);
    c.id = cr_register_hook(y, remove_both, &c);
    c.other = cr_register_hook(y, say_name, (char *)"o");
    cr_register_hook(y, say_name, (char *)"s");
    trace[0] = 0;
    cr_backward(y, .retain_graph = true);
    is_text(trace, "rs", "removed ones are not called, new ones not yet");
    trace[0] = 0;
    cr_backward(y);
    is_text(trace, "sn", "and then they are");
}

static cr_tensor *bad_shape(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)x, (void)user;
    return cr_expand(cr_reshape(g, CR_DIMS(1)), CR_DIMS(2));
}
static cr_tensor *bad_dtype(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)x, (void)user;
    return cr_cast(g, CR_F32);
}
static cr_tensor *fails(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)g, (void)user;
    cr_fail(cr_ctx_of(x), CR_ERR_UNSUPPORTED, "on purpose");
    return NULL;
}
static cr_tensor *misuses(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)x, (void)user;
    return cr_matmul(g, g);
}
static cr_tensor *nests(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)g, (void)user;
    cr_backward(x);
    return NULL;
}
static cr_tensor *pops(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)g, (void)user;
    cr_scope_pop(cr_ctx_of(x));
    return NULL;
}
static cr_tensor *pushes(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)g, (void)user;
    cr_scope_push(cr_ctx_of(x));
    return NULL;
}
static cr_tensor *returns_dead(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)user;
    CR_SCOPE(cr_ctx_of(x));
    return cr_mul(g, 2);
}
static cr_tensor *reads(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)user;
    return cr_mul(g, cr_item(g) + cr_item(x));
}
static cr_tensor *constant(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)x, (void)g;
    return user;
}

static void test_bad_hooks(cr_ctx *ctx)
{
    static const struct {
        cr_hook *hook;
        cr_status status;
        const char *text;
    } cases[] = {
        { bad_shape, CR_ERR_SHAPE,
          "returned f64 [2] in place of the cotangent, which is f64 []" },
        { bad_dtype, CR_ERR_DTYPE, "\"mine\", exp" },
        { fails, CR_ERR_UNSUPPORTED, "on purpose" },
        { misuses, CR_ERR_SHAPE, "matmul" },
        { nests, CR_ERR_UNSUPPORTED, "may not start another walk" },
        { pops, CR_ERR_ARGUMENT, "has not opened the scope" },
        { pushes, CR_ERR_ARGUMENT, "left a scope open" },
        { returns_dead, CR_ERR_SCOPE, "closed scope" },
    };
    for (int on_leaf = 0; on_leaf < 2; on_leaf++)
        for (int i = 0; i < (int)(sizeof cases / sizeof *cases); i++) {
            CR_SCOPE(ctx);
            cr_tensor *x = leaf_of(ctx, 3), *other = leaf_of(ctx, 2);
            cr_tensor *y = cr_named(cr_exp(x), "mine");
            cr_tensor *at = on_leaf ? cr_named(x, "mine") : y;
            uint64_t id = cr_register_hook(at, cases[i].hook, NULL);
            cr_backward(cr_mul(y, other));
            ok(failed_with(ctx, cases[i].status,
                           on_leaf && i == 1 ? "\"mine\", data" : cases[i].text),
               "%s", cases[i].text);
            ok(!cr_grad(x) && !cr_grad(other), "nothing has changed");
            cr_remove_hook(at, id);
            is_int(cr_backward(cr_mul(y, other)), CR_OK, "without it");
            is_near(grad_of(x), 2 * exp(3), 1e-9, "all is well");
        }
    CR_SCOPE(ctx);
    cr_tensor *x = leaf_of(ctx, 3), *y = cr_square(x);
    cr_register_hook(y, reads, NULL);
    cr_backward(cr_mul(y, 2));
    is_near(grad_of(x), 2 * (2 + 9) * 6, 1e-12, "a hook may read values");
    cr_tensor *z = cr_square(x), *five = cr_scalar(ctx, 5.0, .dtype = CR_F64);
    cr_register_hook(z, constant, five);
    cr_register_hook(x, constant, five);
    cr_zero_grad(x);
    cr_backward(z);
    is_near(grad_of(x), 5, 1e-12, "and return a tensor of its own");
    cr_zero_grad(x);
    cr_backward(cr_square(x));
    is_near(cr_item(five), 5, 0, "which stays the caller's");
    FAILS(cr_register_hook(x, NULL, NULL), NULL, "is given no function");
    FAILS(cr_register_hook(five, constant, five), GRAD, "needs no gradient");
    is_int((int64_t)cr_register_hook(NULL, constant, five), 0, "NULL has none");
    is_int(cr_remove_hook(NULL, 1), CR_ERR_NULL, "nor one to be removed");
}

/* A cotangent with .create_graph is differentiated with what the hook has made of it. */
static cr_tensor *square_it(cr_tensor *x, cr_tensor *g, void *user)
{
    (void)x, (void)user;
    return cr_square(g);
}

static void test_second_order(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = leaf_of(ctx, 3), *y = cr_mul(x, 2), *dx, *d2x;
    cr_register_hook(y, square_it, NULL);
    cr_tensor *loss = cr_pow(y, 3); /* (3 y^2)^2 * 2 = 18 (2x)^4 */
    cr_gradients(&loss, 1, &x, 1, &dx, .create_graph = true);
    is_near(cr_item(dx), 18 * pow(6, 4), 1e-9, "what the hook made of it");
    cr_gradients(&dx, 1, &x, 1, &d2x, .create_graph = true);
    ok(cr_error(ctx) == CR_OK && cr_needs_grad(d2x), "is differentiated");
}

/* ---- hooks behind accumulation ---- */

static int calls;

static void step(cr_tensor *leaf, void *user)
{
    calls++;
    cr_assign(leaf, cr_sub(leaf, cr_mul(cr_grad(leaf), *(double *)user)));
    cr_zero_grad(leaf);
}

static void read_grad(cr_tensor *leaf, void *user)
{
    calls++;
    *(double *)user = cr_item(cr_grad(leaf));
}

static void backward_again(cr_tensor *leaf, void *user)
{
    int *left = user;
    calls++;
    if ((*left)-- <= 0)
        return;
    ok(!cr_grad_enabled(cr_ctx_of(leaf)), "gradients are off");
    cr_zero_grad(leaf);
    cr_set_grad(leaf, cr_grad(leaf) ? cr_grad(leaf) : cr_ones_like(leaf));
}

static void fail_after(cr_tensor *leaf, void *user)
{
    (void)user;
    cr_fail(cr_ctx_of(leaf), CR_ERR_UNSUPPORTED, "after all");
}

static void release_it(cr_tensor *leaf, void *user)
{
    (void)user;
    calls++;
    cr_release(leaf);
}

static void test_post_accumulate(cr_ctx *ctx)
{
    double rate = 0.5, seen = 0;
    CR_SCOPE(ctx);
    cr_tensor *x = leaf_of(ctx, 3), *y = leaf_of(ctx, 2);
    uint64_t id = cr_register_post_accumulate_grad_hook(x, read_grad, &seen);
    cr_tensor *loss = cr_mul(cr_square(x), y);
    calls = 0;
    cr_backward(loss, .retain_graph = true);
    cr_backward(loss, .retain_graph = true);
    is_int(calls, 0, "not before a run");
    is_near(cr_item(loss), 18, 0, "a run");
    is_int(calls, 1, "called once for it");
    is_near(seen, 24, 1e-12, "the gradient is known");
    cr_item(cr_add(loss, 1));
    is_int(calls, 1, "not for runs that accumulate nothing");
    cr_backward(loss);
    cr_zero_grad(x);
    cr_item(cr_add(loss, 2));
    is_int(calls, 1, "nor where the gradient was made NULL before");
    cr_remove_hook(x, id);

    cr_register_post_accumulate_grad_hook(x, step, &rate);
    calls = 0;
    {
        CR_SCOPE(ctx);
        cr_backward(cr_square(x));
    }
    is_int(calls, 1, "at the end of a scope");
    is_near(cr_item(x), 0, 1e-12, "which computes what the hook assigns");
    ok(!cr_grad(x), "and has the gradient let go");
    cr_assign(x, cr_scalar(ctx, 4.0, .dtype = CR_F64));
    cr_backward(loss = cr_square(x));
    is_int(cr_eval(x, loss), CR_OK, "a run of the two");
    is_near(cr_item(x), 0, 1e-12, "what is read is what is behind the hooks");
}

static void test_due_hooks(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    int left = 3;
    cr_tensor *x = leaf_of(ctx, 3);
    cr_register_post_accumulate_grad_hook(x, backward_again, &left);
    calls = 0;
    cr_backward(cr_square(x));
    cr_eval(x);
    is_int(calls, 1, "what is set by hand is no accumulation");
    cr_tensor *z = leaf_of(ctx, 1);
    cr_register_post_accumulate_grad_hook(z, fail_after, NULL);
    cr_tensor *loss = cr_square(z);
    cr_backward(loss);
    ok(isnan(cr_item(loss)), "a hook that fails");
    ok(failed_with(ctx, CR_ERR_UNSUPPORTED, "after all"), "fails the call");
    is_near(grad_of(z), 2, 1e-12, "behind the commit");

    cr_tensor *gone;
    {
        CR_SCOPE(ctx);
        gone = cr_retain(leaf_of(ctx, 2));
        cr_register_post_accumulate_grad_hook(gone, release_it, NULL);
    }
    calls = 0;
    loss = cr_square(gone);
    cr_backward(loss);
    is_near(cr_item(loss), 4, 0, "a leaf that its hook releases");
    is_int(calls, 1, "it was called");
    FAILS(cr_item(gone), SCOPE, "released");
    FAILS(cr_register_post_accumulate_grad_hook(cr_square(x), step, NULL), GRAD,
          "is no leaf");
    FAILS(cr_register_post_accumulate_grad_hook(x, NULL, NULL), NULL, "no function");
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    size_t before = cr_memory_used(ctx);
    test_replacement(ctx);
    test_leaf_hooks(ctx);
    test_order(ctx);
    test_changes_in_hooks(ctx);
    test_bad_hooks(ctx);
    test_second_order(ctx);
    test_post_accumulate(ctx);
    test_due_hooks(ctx);
    ok(cr_error(ctx) == CR_OK, "no error is left: %s", cr_message(ctx));
    is_int((int64_t)cr_memory_used(ctx), (int64_t)before, "hooks go with their tensors");
    cr_close(ctx);
    return done_testing();
}
