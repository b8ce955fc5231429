/* Leaves: assignments and gradients take effect all together or not at all, what was
 * recorded before sees the old value, and what the user may hold stays readable. */
#include "engine.h"

/* ---- a failed step changes nothing ---- */

static void test_pending_error(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *w = cr_requires_grad(floats(ctx, 2)), *loss = cr_sum(cr_square(w));
    cr_backward(loss);
    cr_tensor *grad = cr_grad(w);
    is_near(cr_item(loss), 2.5, 0, "a loss");
    cr_rng rng = cr_rng_get(ctx);
    cr_fail(ctx, CR_ERR_IO, "pending");
    is_int(cr_backward(cr_sum(w)), CR_ERR_NULL, "backward of the NULL that sum returned");
    is_int(cr_backward(loss), CR_ERR_IO, "backward returns the pending error");
    is_int(cr_assign(w, w), CR_ERR_IO, "and assign");
    is_int(cr_zero_grad(w), CR_ERR_IO, "and zero_grad");
    is_int(cr_set_grad(w, grad), CR_ERR_IO, "and set_grad");
    ok(!cr_rand(ctx, CR_DIMS(2)), "no random numbers");
    ok(isnan(cr_item(loss)) && !cr_data(loss), "nothing is read");
    cr_clear(ctx);
    ok(cr_grad(w) == grad && cr_item(cr_sum(cr_grad(w))) == 4,
       "the gradient is as before");
    is_int((int64_t)cr_rng_get(ctx).draw, (int64_t)rng.draw, "no draw was used");
    cr_close(ctx);
}

/* Pending when an error comes: forgotten. */
static void test_rollback(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *v = cr_requires_grad(floats(ctx, 2)),
              *w = cr_requires_grad(floats(ctx, 2));
    {
        CR_SCOPE(ctx);
        cr_tensor *bad = cr_gather(w, 0, indices(ctx, 0, 2));
        cr_assign(w, bad);
        cr_assign(v, cr_mul(v, 10));
        cr_backward(cr_sum(cr_square(v)));
        cr_eval(v);
    }
    ok(failed_with(ctx, CR_ERR_INDEX, "gather"), "%s: a run fails", mode);
    ok(cr_item(cr_sum(v)) == 2 && cr_item(cr_sum(w)) == 2,
       "%s: both values are as before", mode);
    ok(!cr_grad(v), "%s: and so is the gradient", mode);
    {
        CR_SCOPE(ctx);
        cr_tensor *loss = cr_sum(cr_gather(v, 0, indices(ctx, 0, 2)));
        cr_backward(loss);
        cr_item(loss);
    }
    ok(failed_with(ctx, CR_ERR_INDEX, "gather"), "%s: a loss fails", mode);
    ok(!cr_grad(v) && !cr_grad(w), "%s: there are no gradients of it", mode);
    {
        CR_SCOPE(ctx);
        cr_assign(v, cr_mul(v, 2));
        cr_backward(cr_sum(cr_square(v)));
    }
    is_near(cr_item(cr_sum(v)), 4, 0, "%s: a good step takes effect", mode);
    is_near(cr_item(cr_sum(cr_grad(v))), 8, 0, "%s: with its gradient", mode);
    cr_close(ctx);
}

/* What was recorded before an error in the same step is forgotten too, where it is
 * pending. */
static void test_error_in_step(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *w = cr_requires_grad(floats(ctx, 2));
    {
        CR_SCOPE(ctx);
        cr_assign(w, cr_mul(w, 10));
        cr_matmul(w, floats(ctx, 3));
    }
    ok(failed_with(ctx, CR_ERR_SHAPE, "matmul"), "a step fails while it is recorded");
    is_near(cr_item(cr_sum(w)), 2, 0, "and has changed nothing");
    cr_close(ctx);
}

/* ---- assignment ---- */

static void test_assign(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *w = cr_requires_grad(cr_scalar(ctx, 1.0));
    cr_tensor *before = cr_mul(w, 2);
    is_int(cr_assign(w, cr_add(w, 10)), CR_OK, "%s: assign", mode);
    cr_tensor *after = cr_mul(w, 2);
    is_near(cr_item(after), 22, 0, "%s: what is recorded after sees the new value", mode);
    is_near(cr_item(before), 2, 0, "%s: what was recorded before the old", mode);
    is_near(cr_item(w), 11, 0, "%s: it has the new", mode);
    cr_assign(w, cr_add(w, 1));
    cr_assign(w, cr_add(w, 1));
    is_near(cr_item(w), 13, 0, "%s: twice in one run", mode);
    cr_backward(cr_square(w));
    is_near(cr_item(cr_grad(w)), 26, 0, "%s: gradients are those of the present value",
            mode);
    cr_tensor *old = cr_square(w);
    cr_zero_grad(w);
    cr_assign(w, cr_scalar(ctx, 0.0));
    cr_backward(old);
    ok(cr_needs_grad(w), "%s: it still requires a gradient", mode);
    cr_tensor *counter = cr_scalar(ctx, 0, .dtype = CR_I64);
    for (int i = 0; i < 5; i++) {
        CR_SCOPE(ctx);
        cr_assign(counter, cr_add(counter, i));
    }
    is_int(cr_item_i64(counter), 10, "%s: integers can be assigned", mode);
    is_int(cr_error(ctx), CR_OK, "%s: no error: %s", mode, cr_message(ctx));
    cr_close(ctx);
}

/* What failed is not tried again by later runs. */
static void test_after_failure(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *w = cr_requires_grad(floats(ctx, 3));
    cr_tensor *bad = cr_gather(w, 0, indices(ctx, 0, 5));
    ok(!bad || isnan(cr_item(cr_sum(bad))), "%s: an index is outside", mode);
    cr_clear(ctx);
    cr_assign(w, cr_mul(w, 2));
    is_near(cr_item(cr_sum(w)), 9, 0, "%s: the next step works", mode);
    is_text(cr_message(ctx), "", "%s: without an error", mode);
    cr_close(ctx);
}

/* Values that were let go, and what keeps them. */
static void test_stale(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *w = cr_requires_grad(floats(ctx, 3));
    cr_tensor *let_go = cr_exp(w), *watched = cr_watch(cr_square(w)), *read = cr_sin(w);
    cr_tensor *loss = cr_add(cr_add(cr_sum(cr_neg(let_go)), cr_sum(cr_neg(watched))),
                             cr_sum(cr_neg(read)));
    cr_tensor *held = cr_sum(w);
    double first = 0;
    cr_read(cr_slice(read, 0, 0, 1), NULL, 0);
    cr_clear(ctx);
    first = ((const float *)cr_data(read))[0];
    cr_backward(loss);
    cr_item(loss);
    cr_assign(w, cr_zeros_like(w));
    cr_eval(w);
    is_near(cr_item(held), 4.5, 0,
            "%s: what the user holds is computed before it is too late", mode);
    is_near(((const float *)cr_data(watched))[2], 6.25, 0, "%s: watched, so it is there",
            mode);
    is_near(cr_item(cr_sum(cr_grad(watched))), -3, 0, "%s: and its gradient", mode);
    is_near(((const float *)cr_data(read))[0], first, 0,
            "%s: read before, so it is there", mode);
    ok(!cr_data(let_go) && failed_with(ctx, CR_ERR_STALE, "cr_watch"),
       "%s: what was let go is stale", mode);
    cr_close(ctx);
}

/* Another result of the step is read first: that run replaces the leaf's value, and what
 * the user may still read is computed in it. */
static void test_read_after_step(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    const float values[] = { 0.5f, 1.5f, 2.5f };
    cr_tensor *w = cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(3), values));
    cr_tensor *h = cr_exp(cr_neg(w)), *let_go = cr_sin(w);
    cr_tensor *watched = cr_watch(cr_square(h));
    cr_tensor *loss = cr_add(cr_sum(watched), cr_sum(cr_neg(let_go)));
    cr_backward(loss);
    cr_tensor *norm = cr_sum(cr_square(cr_grad(w))), *held = cr_div(w, 6);
    cr_assign(w, cr_sub(w, cr_grad(w)));
    ok(cr_item(norm) > 0, "%s: the norm first", mode);
    is_near(cr_item(cr_sum(held)), 0.75, 0, "%s: what nothing reads", mode);
    double want = exp(-1) + exp(-3) + exp(-5) - sin(0.5) - sin(1.5) - sin(2.5);
    is_near(cr_item(loss), want, 1e-6, "%s: then the loss", mode);
    is_near(cr_item(cr_sum(watched)), exp(-1) + exp(-3) + exp(-5), 1e-6,
            "%s: and what is watched", mode);
    ok(!cr_data(let_go) && failed_with(ctx, CR_ERR_STALE, "cr_watch"),
       "%s: what stands on the leaf's first value is stale too", mode);
    cr_close(ctx);
}

/* A loop without a scope collects records, not the values of every step. */
static void test_loop_without_scope(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    cr_tensor *w = cr_requires_grad(floats(ctx, 1000));
    size_t early = 0;
    for (int step = 0; step < 50; step++) {
        cr_tensor *loss = cr_sum(cr_square(cr_sin(w)));
        cr_zero_grad(w);
        cr_backward(loss);
        cr_set_grad(w, cr_mul(cr_grad(w), 0.5));
        cr_assign(w, cr_sub(w, cr_mul(cr_grad(w), 0.01)));
        cr_item(loss);
        if (step == 2)
            early = cr_memory_used(ctx);
    }
    ok(early && cr_memory_used(ctx) < early + (size_t)47 * 4000,
       "%s: %zu bytes after 3 steps, %zu after 50", eager ? "eager" : "lazy", early,
       cr_memory_used(ctx));
    cr_close(ctx);
}

/* A leaf with data of its own: what was let go beneath its old value is gone with it. */
static void test_replaced(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *w = cr_from(ctx, CR_F32, CR_DIMS(3), ((float[]){ 1, 2, 3 }));
    cr_tensor *lost, *watched, *old, *unread = NULL;
    cr_requires_grad(w);
    lost = cr_add(w, 1), watched = cr_watch(cr_mul(w, 2)), old = cr_neg(w);
    {
        CR_SCOPE(ctx);
        cr_add(cr_add(cr_sum(lost), cr_sum(watched)), cr_sum(old));
    }
    cr_eval(cr_sum(cr_mul(old, 2)));
    cr_assign(w, cr_mul(w, 2));
    cr_eval(w);
    is_near(cr_item(cr_sum(watched)), 12, 0, "%s: what is watched was computed in time",
            mode);
    cr_eval(lost);
    ok(failed_with(ctx, CR_ERR_STALE, "replaced"), "%s: what was let go is stale", mode);
    unread = cr_mul(lost, 2);
    cr_clear(ctx);
    cr_assign(w, cr_mul(w, 2));
    cr_eval(w);
    is_near(cr_item(cr_sum(w)), 24, 0, "%s: a stale value that nobody reads: %s", mode,
            cr_message(ctx));
    if (unread)
        cr_eval(unread);
    ok(!unread || failed_with(ctx, CR_ERR_STALE, "replaced"), "%s: and one reads", mode);
    cr_tensor *late = cr_add(w, 1);
    {
        CR_SCOPE(ctx);
        cr_sum(late);
    }
    cr_tensor *v = cr_requires_grad(floats(ctx, 2));
    cr_assign(v, cr_mul(v, 2));
    cr_eval(v);
    cr_watch(late);
    cr_assign(w, cr_zeros_like(w));
    cr_eval(w);
    ok(cr_data(late) && ((const float *)cr_data(late))[0] == 5,
       "%s: watched long after: %s", mode, cr_message(ctx));
    cr_assign(w, cr_add(w, 1));
    cr_tensor *frozen = cr_requires_grad(cr_detach(cr_mul(w, 2)));
    cr_assign(w, cr_zeros_like(w));
    cr_eval(w);
    is_near(cr_item(cr_sum(frozen)), 6, 0, "%s: a leaf that was made of another: %s",
            mode, cr_message(ctx));
    cr_close(ctx);
}

/* What a scope hands on stays readable when the leaf beneath it is replaced. */
static void test_kept(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *w = cr_from(ctx, CR_F32, CR_DIMS(3), ((float[]){ 1, 2, 3 }));
    cr_tensor *consumed, *leaf, *saved, *retained, *watched;
    cr_requires_grad(w);
    {
        CR_SCOPE(ctx);
        retained = cr_retain(cr_mul(w, 3));
        watched = cr_retain(cr_watch(cr_mul(w, 4)));
        cr_neg(watched);
    }
    {
        CR_SCOPE(ctx);
        consumed = cr_keep(cr_add(w, 1));
        leaf = cr_keep(cr_requires_grad(cr_detach(cr_mul(w, 2))));
        saved = cr_keep(cr_add(w, 2));
        cr_tensor *loss = cr_add(cr_sum(cr_square(saved)), cr_sum(consumed));
        cr_eval(loss);
        cr_backward(loss);
        cr_assign(w, cr_mul(w, 10));
    }
    {
        CR_SCOPE(ctx);
        cr_assign(w, cr_mul(w, 10));
    }
    is_near(cr_item(cr_sum(consumed)), 9, 0, "%s: kept, and something reads it", mode);
    is_near(cr_item(cr_sum(leaf)), 12, 0, "%s: kept, a leaf", mode);
    is_near(cr_item(cr_sum(saved)), 12, 0, "%s: kept, and known for its vjp", mode);
    is_near(cr_item(cr_sum(retained)), 18, 0, "%s: retained", mode);
    is_near(cr_item(cr_sum(watched)), 24, 0, "%s: retained and watched", mode);
    cr_release(retained);
    cr_release(watched);
    is_int(cr_error(ctx), CR_OK, "%s: no error: %s", mode, cr_message(ctx));
    cr_close(ctx);
}

/* ---- gradients ---- */

/* A gradient is its leaf's alone: what else has the same value keeps it when the gradient
 * is replaced. */
static void test_gradients_are_own(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    const float ones[] = { 1, 1, 1 }, values[] = { 1, 2, 3 };
    cr_tensor *a = cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(3), ones));
    cr_tensor *b = cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(3), ones));
    cr_tensor *mine = cr_from(ctx, CR_F32, CR_DIMS(3), values);
    cr_backward(cr_sum(cr_mul(cr_add(a, b), mine)));
    cr_eval(a);
    cr_zero_grad(a);
    cr_eval(a);
    is_near(cr_item(cr_sum(cr_grad(b))), 6, 0, "%s: a sum's other operand has its own",
            mode);
    cr_set_grad(a, mine);
    cr_eval(a);
    cr_zero_grad(a);
    cr_backward(a, .cotangent = mine);
    cr_eval(a);
    cr_zero_grad(a);
    cr_eval(a);
    is_near(cr_item(cr_sum(mine)), 6, 0, "%s: what was given as one stays", mode);
    cr_tensor *used = cr_tanh(mine), *twice = cr_mul(used, 2);
    cr_set_grad(a, used);
    cr_eval(a);
    cr_zero_grad(a);
    cr_eval(a);
    is_near(cr_item(cr_sum(twice)), 2 * (tanh(1) + tanh(2) + tanh(3)), 1e-6,
            "%s: and what is computed from it", mode);
    is_text(cr_message(ctx), "", "%s: nothing is stale", mode);
    cr_close(ctx);
}

/* A gradient is a tensor like others, though it may be the value of another leaf. */
static void test_gradients_are_tensors(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *w = cr_requires_grad(floats(ctx, 3)), *other = floats(ctx, 3), *grad;
    cr_named(other, "other");
    cr_assign(other, cr_mul(other, 2));
    cr_set_grad(w, other);
    is_text(cr_name(cr_grad(w)), "", "%s: it has no other's name", mode);
    cr_assign(cr_grad(w), cr_mul(cr_grad(w), 10));
    is_near(cr_item(cr_sum(cr_grad(w))), 90, 0, "%s: it may be assigned", mode);
    cr_backward(cr_sum(w));
    is_near(cr_item(cr_sum(cr_grad(w))), 93, 0, "%s: and accumulates", mode);
    cr_zero_grad(w);
    cr_backward(w, .cotangent = other);
    cr_gradients(&w, 1, &w, 1, &grad, .cotangents = &other);
    cr_requires_grad(cr_grad(w));
    cr_assign(grad, cr_zeros_like(grad));
    is_near(cr_item(cr_sum(cr_grad(w))), 9, 0, "%s: it may become a leaf", mode);
    is_near(cr_item(cr_sum(grad)), 0, 0, "%s: results may be assigned", mode);
    is_near(cr_item(cr_sum(other)), 9, 0, "%s: the other leaf has not changed", mode);
    is_text(cr_message(ctx), "", "%s: without an error", mode);
    cr_close(ctx);
}

static void test_gradients(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 3.0, .dtype = CR_F64));
    cr_tensor *c = cr_scalar(ctx, 5.0, .dtype = CR_F64), *grad;
    ok(!cr_grad(x), "no gradient before a backward pass");
    cr_backward(cr_mul(x, x));
    cr_backward(cr_mul(x, 4));
    is_near(cr_item(cr_grad(x)), 10, 0, "gradients accumulate");
    cr_zero_grad(x);
    ok(!cr_grad(x), "zero_grad: none, which is not zero");
    cr_tensor *cut = cr_mul(cr_detach(x), x);
    cr_backward(cut);
    is_near(cr_item(cr_grad(x)), 3, 0, "no gradient flows through detach");
    cr_set_grad(x, cr_mul(cr_grad(x), 2));
    is_near(cr_item(cr_grad(x)), 6, 0, "set_grad replaces");
    cr_tensor *y = cr_mul(cr_square(x), x);
    cr_gradients(&y, 1, &x, 1, &grad, .create_graph = true);
    is_near(cr_item(grad), 27, 0, "gradients()");
    cr_tensor *second;
    cr_gradients(&grad, 1, &x, 1, &second);
    is_near(cr_item(second), 18, 0, "and its derivative");
    is_near(cr_item(cr_grad(x)), 6, 0, "leaves' own gradients stay untouched");
    cr_tensor *pair[2] = { x, cr_requires_grad(c) }, *grads[2];
    y = cr_square(x);
    is_int(cr_gradients(&y, 1, pair, 2, grads, .allow_unused = true), CR_OK,
           "allow_unused");
    ok(grads[0] && !grads[1], "an unused x has none");
    cr_tensor *inner = cr_exp(x), *outer = cr_mul(inner, inner);
    cr_gradients(&outer, 1, &inner, 1, &grad);
    is_near(cr_item(grad), 2 * exp(3), 1e-12, "x may be intermediate");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
    cr_close(ctx);
}

/* Gradients are tensors like others, and nobody else's. */
static void test_own_gradients(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *a = cr_requires_grad(floats(ctx, 2)),
              *b = cr_requires_grad(floats(ctx, 2));
    cr_tensor *q = cr_from(ctx, CR_F32, CR_DIMS(2), ((float[]){ 3, 4 })), *g;
    cr_backward(cr_add(a, b), .cotangent = q);
    cr_assign(cr_grad(a), cr_mul(cr_grad(a), 2));
    is_near(cr_item(cr_sum(cr_grad(a))), 14, 0, "%s: a gradient is assigned to", mode);
    is_near(cr_item(cr_sum(cr_grad(b))), 7, 0, "%s: which changes no other", mode);
    cr_backward(cr_add(a, b), .cotangent = q);
    is_near(cr_item(cr_sum(cr_grad(a))), 21, 0, "%s: the next one is added to it", mode);
    cr_requires_grad(cr_grad(b));
    cr_backward(cr_sum(cr_square(cr_grad(b))));
    is_near(cr_item(cr_sum(cr_grad(cr_grad(b)))), 28, 0, "%s: a gradient is a leaf",
            mode);
    cr_set_grad(a, q);
    cr_set_grad(b, q);
    cr_eval(a);
    cr_assign(cr_grad(b), cr_neg(q));
    cr_assign(q, cr_mul(q, 10));
    is_near(cr_item(cr_sum(cr_grad(a))), 7, 0, "%s: one is set", mode);
    is_near(cr_item(cr_sum(cr_grad(b))), -7, 0, "%s: another is set to the same", mode);
    cr_zero_grad(a);
    cr_zero_grad(b);
    cr_eval(a);
    is_near(cr_item(cr_sum(q)), 70, 0, "%s: what they were set to stays", mode);
    cr_tensor *y = cr_add(a, 1);
    cr_gradients(&y, 1, &a, 1, &g, .cotangents = &q);
    cr_eval(g);
    cr_assign(q, cr_zeros_like(q));
    cr_eval(q);
    for (int i = 0; i < 20; i++)
        cr_add(q, i);
    ok(cr_data(g) && ((const float *)cr_data(g))[1] == 40,
       "%s: a gradient that is a leaf's old value", mode);
    cr_tensor *p = cr_requires_grad(floats(ctx, 2));
    cr_backward(cr_sum(a));
    y = cr_mul(p, cr_grad(a));
    cr_eval(a);
    cr_zero_grad(a);
    cr_eval(a);
    cr_backward(cr_sum(y));
    is_near(cr_item(cr_sum(cr_grad(p))), 2, 0, "%s: a product with a replaced one", mode);
    is_int(cr_error(ctx), CR_OK, "%s: no error: %s", mode, cr_message(ctx));
    cr_close(ctx);
}

static void test_no_grad(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_requires_grad(floats(ctx, 2));
    ok(cr_grad_enabled(ctx), "gradients are on");
    {
        CR_NO_GRAD(ctx);
        ok(!cr_grad_enabled(ctx) && !cr_needs_grad(cr_exp(x)), "off");
        {
            CR_NO_GRAD(ctx);
            ok(!cr_grad_enabled(ctx), "off twice");
        }
        ok(!cr_grad_enabled(ctx), "off still");
    }
    ok(cr_grad_enabled(ctx) && cr_needs_grad(cr_exp(x)), "and on again");
    ok(!cr_needs_grad(cr_detach(x)) && !cr_needs_grad(cr_argmax(x)),
       "constants need none");
    char text[300];
    cr_tensor *y = cr_sum(cr_detach(x));
    size_t n = cr_explain_no_grad(y, text, sizeof text);
    ok(n > 0 && strstr(text, "detach"), "why there is none: %s", text);
    char little[8];
    ok(cr_explain_no_grad(y, little, sizeof little) == n && strlen(little) == 7,
       "the text is cut to the room there is");
    cr_close(ctx);
}

static bool cube(const cr_array *in, int n, cr_array *out, void *user)
{
    const double *x = in[0].data;
    (void)n, ++*(int *)user;
    for (int64_t i = 0; i < out->numel; i++)
        ((double *)out->data)[i] = x[i] * x[i] * x[i];
    return true;
}

static bool cube_backward(const cr_array *in, int n, const cr_array *out,
                          const cr_array *cotangent, cr_array *in_cotangents, void *user)
{
    const double *x = in[0].data, *g = cotangent->data;
    (void)n, (void)user;
    for (int64_t i = 0; i < out->numel; i++)
        ((double *)in_cotangents[0].data)[i] = 3 * x[i] * x[i] * g[i];
    return true;
}

static void test_custom(void)
{
    cr_ctx *ctx = cr_open(NULL);
    int calls = 0;
    cr_custom_def def = { "cube", cube, cube_backward, &calls };
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(3), 2, .dtype = CR_F64)), *grad;
    cr_tensor *y = cr_sum(cr_custom(&def, &x, 1, CR_F64, CR_DIMS(3)));
    is_near(cr_item(y), 24, 0, "a custom operation");
    ok(calls == 1, "its forward was called once");
    cr_gradients(&y, 1, &x, 1, &grad, .create_graph = true);
    is_near(cr_item(cr_sum(grad)), 36, 0, "its gradient");
    cr_tensor *sum = cr_sum(grad), *second = NULL;
    cr_gradients(&sum, 1, &x, 1, &second);
    if (second)
        cr_eval(second);
    ok(failed_with(ctx, CR_OK, "cube"), "a second derivative is an error");
    cr_close(ctx);
}

/* ---- frozen leaves ---- */

static void test_frozen(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *w = cr_requires_grad(floats(ctx, 2)),
              *v = cr_requires_grad(floats(ctx, 2));
    cr_tensor *before = cr_sum(cr_mul(v, w));
    cr_backward(cr_sum(cr_mul(w, 3)));
    ok(cr_requires_grad(w, false) == w && cr_is_leaf(w) && !cr_needs_grad(w),
       "%s: a frozen leaf is a leaf", mode);
    ok(!cr_needs_grad(cr_exp(w)), "%s: operations pass no gradient to it", mode);
    is_near(cr_item(cr_sum(cr_grad(w))), 6, 0, "%s: the gradient it has stays", mode);
    cr_backward(before);
    cr_backward(cr_sum(cr_mul(v, w)));
    is_near(cr_item(cr_sum(cr_grad(v))), 4, 0, "%s: others get theirs", mode);
    is_near(cr_item(cr_sum(cr_grad(w))), 6, 0,
            "%s: it gets none, also of a loss recorded before", mode);
    cr_assign(w, cr_mul(w, 2));
    ok(!cr_needs_grad(cr_exp(w)), "%s: it stays frozen when it is assigned", mode);
    cr_zero_grad(w);
    cr_requires_grad(w);
    cr_backward(cr_sum(cr_square(w)));
    is_near(cr_item(cr_sum(cr_grad(w))), 8, 0, "%s: thawed, it gets gradients again",
            mode);
    ok(!cr_requires_grad(cr_exp(w), false) && failed_with(ctx, CR_ERR_GRAD, "no leaf"),
       "%s: what is computed from leaves cannot be frozen", mode);
    cr_tensor *labels = indices(ctx, 0, 1), *x = floats(ctx, 2);
    ok(cr_requires_grad(labels, false) == labels && cr_requires_grad(x, false) == x &&
           !cr_is_leaf(x),
       "%s: what needs no gradient is left alone", mode);
    ok(!cr_requires_grad(NULL, false) && !cr_is_leaf(NULL), "%s: nor NULL", mode);
    is_text(cr_message(ctx), "", "%s: no error", mode);
    cr_close(ctx);
}

int main(void)
{
    test_pending_error();
    test_error_in_step();
    for (int eager = 0; eager < 2; eager++) {
        test_rollback(eager);
        test_assign(eager);
        test_after_failure(eager);
        test_stale(eager);
        test_read_after_step(eager);
        test_gradients_are_own(eager);
        test_gradients_are_tensors(eager);
        test_replaced(eager);
        test_kept(eager);
        test_own_gradients(eager);
        test_loop_without_scope(eager);
        test_frozen(eager);
    }
    test_gradients();
    test_no_grad();
    test_custom();
    return done_testing();
}
