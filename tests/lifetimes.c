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
} entries[] = {
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
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
        gone g = let_go(ctx);
        entries[i].call(&g);
        ok(failed_with(ctx, CR_ERR_SCOPE, "released"), "%s: %s", mode, entries[i].name);
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

/* ---- what is still to be read ---- */

/* Doubles, and counts how often it is called. */
static bool twice(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)n;
    ++*(int *)user;
    for (int64_t i = 0; i < out->numel; i++)
        ((float *)out->data)[i] = 2 * ((const float *)in[0].data)[i];
    return true;
}

static bool twice_backward(const cr_array *in, int n, const cr_array *out,
                           const cr_array *g, cr_array *in_cotangents, void *user)
{
    (void)in, (void)n, (void)out, (void)user;
    for (int64_t i = 0; i < g->numel; i++)
        ((float *)in_cotangents[0].data)[i] = 2 * ((const float *)g->data)[i];
    return true;
}

static cr_tensor *counted(int *calls, cr_tensor *x)
{
    cr_custom_def def = { "twice", twice, twice_backward, calls };
    return cr_custom(&def, &x, 1, CR_F32, cr_shape(x));
}

/* What something recorded and not yet computed reads is computed once. */
static void test_two_reads(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *w = cr_requires_grad(floats(ctx, 100)), *grad;
    int calls = 0;
    cr_tensor *y = counted(&calls, w);
    cr_tensor *loss = cr_mean(cr_square(y)), *acc = cr_mean(cr_gt(y, 50));
    cr_item(loss);
    cr_item(acc);
    is_int(calls, 1, "%s: a loss, then an accuracy", mode);
    calls = 0;
    y = counted(&calls, w);
    cr_tensor *view = cr_reshape(cr_reshape(y, CR_DIMS(10, 10)), CR_DIMS(2, 50));
    cr_tensor *sums = cr_sum(cr_exp(cr_neg(view)), 1), *most = cr_amax(y);
    cr_item(cr_sum(cr_sin(y)));
    cr_eval(sums);
    cr_data(view);
    cr_item(most);
    is_int(calls, 1, "%s: through views", mode);
    calls = 0;
    y = counted(&calls, w);
    loss = cr_sum(cr_square(y));
    cr_gradients(&loss, 1, &w, 1, &grad, .retain_graph = true);
    cr_item(loss);
    cr_data(grad);
    is_int(calls, 1, "%s: a loss, then its gradient", mode);
    calls = 0;
    y = counted(&calls, w);
    for (int i = 0; i < 10; i++) {
        CR_SCOPE(ctx);
        cr_item(cr_sum(cr_mul(y, i)));
    }
    ok(calls <= 2, "%s: read in a loop by what was not there before: %d times", mode,
       calls);
    calls = 0;
    y = counted(&calls, w);
    cr_tensor *state = cr_zeros(ctx, CR_DIMS(100));
    for (int i = 0; i < 10; i++) {
        CR_SCOPE(ctx);
        cr_assign(state, cr_add(state, cr_mul(y, i)));
    }
    ok(calls <= 2, "%s: and by scopes that end: %d times", mode, calls);
    is_text(cr_message(ctx), "", "%s: no error", mode);
    cr_close(ctx);
}

/* What nobody will read, or only the library could, takes no memory in lazy mode. */
static void test_unread(void)
{
    enum { N = 100000 };
    size_t peak[4];
    for (int how = 0; how < 4; how++) {
        cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
        cr_tensor *w = cr_requires_grad(cr_full(ctx, CR_DIMS(N), 0.5)), *x = w;
        cr_eval(w);
        for (int step = 0; step < 3; step++) {
            CR_SCOPE(ctx);
            x = w;
            for (int i = 0; i < 6; i++) {
                x = cr_reshape(cr_flip(cr_mul(x, 1.5), CR_DIMS(0)), CR_DIMS(-1));
                if (how == 1)
                    cr_mean(cr_abs(x));
                if (how == 2)
                    cr_exp(x);
            }
            cr_zero_grad(w);
            cr_backward(cr_sum(x));
            if (how == 3)
                cr_item(cr_sum(x));
            cr_assign(w, cr_sub(w, cr_mul(cr_grad(w), 0.01)));
        }
        peak[how] = cr_memory_peak(ctx);
        is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
        cr_close(ctx);
    }
    /* What is read in the midst of the first step holds what its own sum, still to come, may
     * read: one value more. */
    for (int how = 1; how < 4; how++) {
        size_t most = peak[0] + N + (how == 3 ? N * sizeof(float) : 0);
        ok(peak[how] <= most, "unread, %d: at most %zu bytes, and %zu", how, peak[how],
           most);
    }
}

/* A pending reader that goes lets go what only it was to read. */
static void test_reader_goes(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_exp(cr_rand(ctx, CR_DIMS(1000)));
    size_t before = cr_memory_used(ctx);
    {
        CR_SCOPE(ctx);
        cr_sum(cr_neg(x));
        cr_item(cr_sum(cr_mul(x, 2)));
        ok(cr_memory_used(ctx) >= before + 4000, "kept for what may read it");
    }
    ok(cr_memory_used(ctx) < before + 4000, "and not longer");
    cr_close(ctx);
}

/* ---- when a leaf is replaced ---- */

static float element(cr_tensor *x, int i)
{
    const float *data = cr_data(x);
    return data ? data[i] : NAN;
}

/* Assignment and detach are no consumption; a use is. Single elements always stay. */
static void test_replacement(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *a = cr_full(ctx, CR_DIMS(5), 1), *w = cr_requires_grad(floats(ctx, 5));
    cr_tensor *y = cr_add(a, 1), *turned = cr_flip(cr_mul(a, floats(ctx, 5)), CR_DIMS(0));
    cr_assign(a, y);
    is_near(element(a, 3), 2, 0, "%s: assigned", mode);
    is_near(element(y, 3), 2, 0, "%s: and what was assigned is there", mode);
    cr_assign(a, turned);
    is_near(element(a, 0), 4.5, 0, "%s: a view", mode);
    cr_tensor *read = cr_mul(turned, 1);
    is_near(element(turned, 0), 4.5, 0, "%s: is there too", mode);
    cr_assign(a, cr_mul(a, 2));
    cr_eval(a);
    is_near(element(turned, 4), 0.5, 0, "%s: what was read stays", mode);
    is_near(element(read, 4), 0.5, 0, "%s: and what nothing reads", mode);

    cr_tensor *base = cr_exp(a), *name = cr_detach(base), *single = cr_sum(a), *used;
    cr_tensor *stale = cr_sin(a);
    used = cr_add(cr_mul(name, cr_mul(single, 2)), cr_mul(stale, 0));
    cr_assign(a, cr_zeros_like(a));
    cr_eval(a);
    is_near(element(base, 4), exp(1), 1e-6, "%s: detached is not used", mode);
    is_near(cr_item(single), 25, 0, "%s: a single element, though it was used", mode);
    is_near(element(used, 4), 50 * exp(1), 1e-4, "%s: what uses them", mode);
    cr_data(stale);
    ok(failed_with(ctx, CR_ERR_STALE, "sin [5]"), "%s: what was used is stale", mode);

    cr_tensor *step = cr_mul(w, 0.5), *grad = cr_mul(w, 3);
    cr_set_grad(w, grad);
    cr_assign(w, step);
    cr_eval(w);
    is_near(element(step, 4), 2.25, 0, "%s: a parameter's new value", mode);
    is_near(element(grad, 4), 13.5, 0, "%s: a gradient's", mode);
    cr_assign(w, cr_mul(w, 2));
    cr_eval(w);
    is_near(element(grad, 4), 13.5, 0, "%s: which stays longer than that", mode);
    cr_zero_grad(w);
    cr_assign(w, cr_mul(w, 2));
    cr_eval(w);
    is_near(element(w, 4), 9, 0, "%s: the last value", mode);
    is_text(cr_message(ctx), "", "%s: no error", mode);
    cr_close(ctx);
}

/* Assigned again before any run: each is what it was. */
static void test_assigned_twice(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *a = floats(ctx, 5), *b = floats(ctx, 5), *first = cr_mul(a, 2), *second;
    cr_assign(a, first);
    second = cr_mul(a, 3);
    cr_assign(a, second);
    cr_assign(b, second);
    cr_assign(b, a);
    is_near(element(a, 1), 9, 0, "%s: the last", mode);
    is_near(element(b, 1), 9, 0, "%s: another leaf", mode);
    is_near(element(first, 1), 3, 0, "%s: the first", mode);
    is_near(element(second, 1), 9, 0, "%s: the second", mode);
    cr_assign(a, cr_mul(b, 2));
    cr_assign(b, cr_mul(a, 2));
    is_near(element(b, 1), 36, 0, "%s: of each other", mode);
    is_near(element(a, 1), 18, 0, "%s: in turn", mode);
    is_text(cr_message(ctx), "", "%s: no error", mode);
    cr_close(ctx);
}

/* A stale read is an error about that read: the pending step is left alone, unless a
 * change was refused meanwhile. */
static void test_stale_read(int eager, int how)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *w = cr_named(cr_requires_grad(floats(ctx, 3)), "weight"), *hidden;
    const int line = __LINE__ + 1;
    hidden = cr_exp(w);
    cr_backward(cr_sum(cr_neg(hidden)));
    cr_assign(w, cr_mul(w, 2));
    cr_eval(w);
    cr_zero_grad(w);
    cr_eval(w);
    {
        CR_SCOPE(ctx);
        cr_backward(cr_sum(cr_square(w)));
        cr_assign(w, cr_add(w, 10));
        ok(!cr_data(hidden), "%s: a stale read", mode);
        char where[64];
        snprintf(where, sizeof where, "lifetimes.c:%d)", line);
        ok(strstr(cr_message(ctx), "exp [3]") && strstr(cr_message(ctx), where) &&
               strstr(cr_message(ctx), "weight [3]"),
           "%s: names what was read, its place and the leaf: %s", mode, cr_message(ctx));
        if (how == 1)
            cr_assign(w, w);
        if (how != 2)
            ok(failed_with(ctx, CR_ERR_STALE, "weight"), "%s: is cleared", mode);
    }
    cr_clear(ctx);
    is_near(element(w, 2), how == 1 ? 5 : 15, 0, "%s: the step is %s (%d)", mode,
            how == 1 ? "not whole" : "taken", how);
    if (how == 1)
        ok(!cr_grad(w), "%s: nor is its gradient there", mode);
    else
        is_near(element(cr_grad(w), 2), 10, 0, "%s: with its gradient", mode);
    is_text(cr_message(ctx), "", "%s: no error", mode);
    cr_close(ctx);
}

/* cr_backward() and cr_gradients() reach the values that a leaf had before. */
static void test_gradients_agree(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *w = cr_requires_grad(floats(ctx, 3)),
              *v = cr_requires_grad(floats(ctx, 3));
    cr_tensor *xs[] = { w, v, w }, *grads[3], *again;
    cr_tensor *before = cr_sum(cr_mul(cr_square(w), v));
    cr_assign(w, cr_mul(w, 2));
    cr_tensor *both = cr_add(before, cr_sum(cr_mul(cr_square(w), v)));
    cr_gradients(&both, 1, xs, 3, grads, .create_graph = true);
    /* d/dw of w^2 v at 2.5 and at 5, with v 2.5 */
    is_near(element(grads[0], 2), 2 * 2.5 * 2.5 + 2 * 5 * 2.5, 0, "%s: gradients", mode);
    is_near(element(grads[2], 2), 2 * 2.5 * 2.5 + 2 * 5 * 2.5, 0, "%s: twice", mode);
    is_near(element(grads[1], 2), 2.5 * 2.5 + 25, 0, "%s: of another", mode);
    cr_tensor *sum = cr_sum(grads[0]);
    cr_gradients(&sum, 1, &w, 1, &again);
    is_near(element(again, 2), 2 * 2.5 + 2 * 2.5, 0, "%s: of the second order", mode);
    cr_gradients(&before, 1, &w, 1, grads, .retain_graph = true);
    is_near(element(grads[0], 2), 12.5, 0, "%s: of the old value alone", mode);
    cr_backward(both);
    is_near(element(cr_grad(w), 2), 37.5, 0, "%s: backward", mode);
    is_text(cr_message(ctx), "", "%s: no error", mode);
    cr_close(ctx);
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

/* ---- runs in the midst of a backward pass ---- */

static cr_status copy_kernel(const cr_kernel *kernel)
{
    memcpy(kernel->out.data, kernel->in[0].data,
           (size_t)kernel->out.numel * sizeof(float));
    return CR_OK;
}

/* Its vjp runs what is pending. */
static void reading_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_item(cr_sum(cr_input(out, 0)));
    down[0] = g;
}

static bool refuses;

static void refusing_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    if (refuses)
        cr_fail(cr_ctx_of(out), CR_ERR_UNSUPPORTED, "not now");
    else
        down[0] = g;
}

static const cr_op reading = { .name = "reading",
                               .kind = CR_OP_OPAQUE,
                               .min_inputs = 1,
                               .kernel = copy_kernel,
                               .vjp = reading_vjp };
static const cr_op refusing = { .name = "refusing",
                                .kind = CR_OP_OPAQUE,
                                .min_inputs = 1,
                                .kernel = copy_kernel,
                                .vjp = refusing_vjp };

/* A run that a vjp asks for replaces the leaf's value; then the pass fails, and is repeated: what
 * vjps read, those that had been called too, is still there. */
static void test_run_in_pass(bool eager, bool fails)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1, .eager = eager });
    cr_tensor *w =
        cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(3), (float[]){ 1, 2, 3 }));
    cr_tensor *b = cr_apply(&refusing, &w, 1, NULL);
    b = cr_apply(&reading, &b, 1, NULL);
    cr_tensor *loss = cr_sum(cr_mul(b, cr_mul(w, w)));
    cr_assign(w, cr_mul(w, 10));
    refuses = fails;
    if (fails) {
        FAILS(cr_backward(loss), UNSUPPORTED, "not now");
        cr_eval(w);
    }
    refuses = false;
    cr_backward(loss);
    float g[3] = { 0 };
    cr_read(cr_grad(w), g, sizeof g);
    ok(g[0] == 3 && g[1] == 12 && g[2] == 27, "%s: a pass with a run in it%s: %s",
       eager ? "eager" : "lazy", fails ? ", repeated" : "", cr_message(ctx));
    cr_clear(ctx);
    cr_close(ctx);
}

int main(void)
{
    for (int eager = 0; eager < 2; eager++) {
        for (int fails = 0; fails < 2; fails++)
            test_run_in_pass(eager, fails);
        test_let_go(eager);
        test_after_error(eager);
        test_holders(eager);
        test_read_commits(eager);
        test_two_reads(eager);
        test_replacement(eager);
        test_assigned_twice(eager);
        for (int how = 0; how < 3; how++)
            test_stale_read(eager, how);
        test_gradients_agree(eager);
        for (int how = 0; how < 5; how++)
            test_cycle(eager, how);
    }
    const char *mode = getenv("CHAINRULE_EAGER");
    if (!mode || *mode != '1')
        test_unread();
    test_reader_goes();
    return done_testing();
}
