/* The chain rule: backward passes, functional gradients of any order, what cuts them,
 * what bad input gets, gradcheck, and a chain of a million nodes on a small stack. */
#include "tap.h"
#include <chainrule.h>
#include <pthread.h>
#include <stdlib.h>

static bool says(const char *text, const char *part)
{
    if (strstr(text, part))
        return true;
    diag("\"%s\" lacks \"%s\"", text, part);
    return false;
}

/* The pending error, which is cleared. */
static bool failed(cr_ctx *ctx, cr_status status, const char *part, const char *other)
{
    bool right = cr_error(ctx) == status && says(cr_message(ctx), part) &&
                 says(cr_message(ctx), other);
    if (!right)
        diag("status %s: %s", cr_status_name(cr_error(ctx)), cr_message(ctx));
    cr_clear(ctx);
    return right;
}

static cr_tensor *leaf(cr_ctx *ctx, double value)
{
    return cr_requires_grad(cr_scalar(ctx, value, .dtype = CR_F64));
}

static double grad(cr_tensor *x)
{
    return cr_grad(x) ? cr_item(cr_grad(x)) : NAN;
}

/* ---- operations of our own ---- */

static int calls; /* of vjps */

static cr_status copy_kernel(const cr_kernel *kernel)
{
    const cr_array *out = &kernel->out;
    memcpy(out->data, kernel->in[0].data, (size_t)out->numel * cr_dtype_size(out->dtype));
    return CR_OK;
}

static void copy_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out;
    calls++;
    down[0] = g;
}

static void wrong_shape_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out;
    down[0] = cr_sum(g);
}

static void wrong_dtype_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out;
    down[0] = cr_cast(g, CR_F32);
}

static void failing_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)g, (void)down;
    cr_fail(cr_ctx_of(out), CR_ERR_UNSUPPORTED, "on purpose");
}

static void nesting_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)down;
    cr_backward(cr_sum(cr_mul(cr_input(out, 0), g)));
}

static void reading_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    double x = 0;
    cr_read(cr_sum(cr_input(out, 0)), &x, sizeof x);
    down[0] = cr_mul(g, x);
}

static void misfit_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out;
    down[0] = cr_matmul(g, g);
}

/* Nothing arrives below. */
static void silent_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out, (void)g, (void)down;
}

#define COPY_OP(name_, vjp_)                                                     \
    {                                                                            \
        .name = name_, .doc = "x", .kind = CR_OP_OPAQUE, .min_inputs = 1,        \
        .max_inputs = 1, .inputs = "x", .vjp = vjp_, .reads = CR_READS_INPUT(0), \
        .kernel = copy_kernel                                                    \
    }
static const cr_op copy_op = COPY_OP("copy", copy_vjp);
static const cr_op wrong_shape_op = COPY_OP("wrong_shape", wrong_shape_vjp);
static const cr_op wrong_dtype_op = COPY_OP("wrong_dtype", wrong_dtype_vjp);
static const cr_op failing_op = COPY_OP("failing", failing_vjp);
static const cr_op nesting_op = COPY_OP("nesting", nesting_vjp);
static const cr_op reading_op = COPY_OP("reading", reading_vjp);
static const cr_op misfit_op = COPY_OP("misfit", misfit_vjp);
static const cr_op silent_op = COPY_OP("silent", silent_vjp);
static const cr_op constant_op = COPY_OP("constant", NULL);

static cr_tensor *apply(const cr_op *op, cr_tensor *x)
{
    return cr_apply(op, &x, 1, NULL);
}

/* ---- first order ---- */

static void test_first_order(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 3.0));
    cr_tensor *L = cr_mul(cr_add(cr_pow(x, 2), cr_exp(x)), 2);
    ok(!cr_grad(x), "no gradient before the first backward");
    is_int(cr_error(ctx), CR_OK, "which is not an error");
    is_int(cr_backward(L), CR_OK, "backward");
    is_near(cr_item(cr_grad(x)), 52.1711, 1e-4, "the tiny graph");
    is_near(cr_item(L), 2 * (9 + exp(3)), 1e-4, "its value after backward");

    cr_tensor *a = leaf(ctx, 2), *b = leaf(ctx, 5), *c = leaf(ctx, 7);
    cr_tensor *ab = cr_mul(a, b);
    cr_backward(cr_add(cr_mul(ab, ab), cr_mul(ab, c)));
    is_near(grad(a), 2 * 2 * 25 + 35, 1e-12, "a shared product: d/da");
    is_near(grad(b), 2 * 4 * 5 + 14, 1e-12, "d/db");
    is_near(grad(c), 10, 1e-12, "d/dc");

    cr_tensor *s = leaf(ctx, 4);
    cr_backward(s);
    is_near(grad(s), 1, 0, "of a leaf itself");

    const double at[] = { 1, 2, 3 }, weights[] = { 10, -1, 0.5 };
    cr_tensor *v = cr_requires_grad(cr_from(ctx, CR_F64, CR_DIMS(3), at));
    cr_backward(cr_square(v), .cotangent = cr_from(ctx, CR_F64, CR_DIMS(3), weights));
    double got[3] = { 0 };
    cr_read(cr_grad(v), got, sizeof got);
    for (int i = 0; i < 3; i++)
        is_near(got[i], 2 * at[i] * weights[i], 1e-12, "with a cotangent: element %d", i);
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
}

static void test_sharing(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = leaf(ctx, 1), *y = x;
    calls = 0;
    for (int i = 0; i < 60; i++) {
        cr_tensor *z = apply(&copy_op, y);
        y = cr_add(z, z);
    }
    cr_backward(y);
    is_near(grad(x), ldexp(1, 60), 0, "a diamond of depth 60: 2^60");
    is_int(calls, 60, "each node is visited once");

    enum { MANY = 5000 };
    cr_tensor *parts[MANY];
    cr_tensor *one = cr_requires_grad(cr_ones(ctx, CR_DIMS(1), .dtype = CR_F64));
    for (int i = 0; i < MANY; i++)
        parts[i] = i % 2 ? one : cr_mul(one, 3);
    cr_backward(cr_sum(cr_cat(parts, MANY, 0)));
    is_near(grad(one), MANY / 2 * 4.0, 1e-9,
            "thousands of inputs, of which many are one");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
}

static void test_accumulation(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = leaf(ctx, 3);
    cr_tensor *y = cr_mul(cr_exp(x), cr_square(x));
    const double slope = exp(3) * (9 + 6);
    cr_backward(y, .retain_graph = true);
    is_near(grad(x), slope, 1e-9, "one pass");
    cr_backward(y, .retain_graph = true);
    is_near(grad(x), 2 * slope, 1e-9, "two passes add up");
    cr_backward(y);
    is_near(grad(x), 3 * slope, 1e-9, "three");
    cr_zero_grad(x);
    ok(!cr_grad(x), "zero_grad: NULL again");
    cr_backward(cr_mul(x, 2));
    cr_backward(cr_mul(x, 5));
    is_near(grad(x), 7, 1e-12, "two losses before one run");
    cr_set_grad(x, cr_scalar(ctx, 0.5, .dtype = CR_F64));
    cr_backward(cr_mul(x, 2));
    is_near(grad(x), 2.5, 1e-12, "on top of a gradient that was set");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
}

/* What was recorded before an assignment saw another value of the same leaf. */
static void test_versions(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = leaf(ctx, 2);
    cr_tensor *old = cr_mul(cr_square(x), 3);
    cr_assign(x, cr_scalar(ctx, 5, .dtype = CR_F64));
    cr_tensor *y = cr_add(old, cr_square(x));
    cr_backward(y);
    is_near(cr_item(y), 12 + 25, 1e-12, "old and new value in one sum");
    is_near(grad(x), 12 + 10, 1e-12, "both belong to the leaf's gradient");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
}

/* Behind a sum the gradient of a factor is the other one, as it was then, and leads nowhere. */
static void test_factors(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *a = cr_requires_grad(cr_full(ctx, CR_DIMS(2, 3), 3)),
              *b = cr_requires_grad(cr_full(ctx, CR_DIMS(2, 3), 5));
    cr_tensor *loss = cr_sum(cr_mul(a, b)), *of[2] = { NULL, NULL };
    cr_backward(loss, .retain_graph = true);
    cr_assign(b, cr_zeros_like(b));
    is_near(cr_item(cr_sum(cr_grad(a))), 30, 0, "the gradient stays when b changes");
    cr_backward(loss);
    is_near(cr_item(cr_sum(cr_grad(a))), 60, 0, "and grows");
    is_near(cr_item(cr_sum(cr_grad(b))), 36, 0, "as that of b does");
    cr_tensor *squares = cr_sum(cr_mul(a, a)), *xs[] = { a };
    cr_gradients(&squares, 1, xs, 1, of, .create_graph = true);
    cr_tensor *twice = cr_sum(of[0]);
    cr_gradients(&twice, 1, xs, 1, &of[1]);
    is_near(cr_item(cr_sum(of[0])) + cr_item(cr_sum(of[1])), 36 + 12, 0,
            "a factor twice, and again: 2 a, and 2");
    cr_zero_grad(a);
    cr_backward(cr_sum(cr_mul(a, b)));
    cr_tensor *g = cr_grad(a);
    cr_eval(g);
    cr_zero_grad(a);
    cr_backward(cr_sum(cr_mul(a, b)));
    g = cr_grad(a);
    static char plan[4096];
    cr_plan_format(&g, 1, plan, sizeof plan);
    ok(!strstr(plan, " copy("),
       "the ones are not made, also where a gradient is replaced");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
}

static void test_watched(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = leaf(ctx, 0.5);
    cr_tensor *h = cr_watch(cr_exp(x));
    cr_tensor *other = cr_mul(x, 3);
    cr_backward(cr_add(cr_square(h), other));
    is_near(grad(h), 2 * exp(0.5), 1e-12, "the gradient of a watched intermediate");
    is_near(grad(x), 2 * exp(1) + 3, 1e-12, "and of the leaf beneath it");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
    ok(!cr_grad(other) && cr_error(ctx) == CR_ERR_GRAD,
       "another intermediate keeps none");
    cr_clear(ctx);
}

/* "None" is not zero: what no cotangent reaches is left alone. */
static void test_none(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = leaf(ctx, 2), *y = leaf(ctx, 3);
    cr_backward(cr_add(cr_mul(apply(&silent_op, cr_exp(x)), 2), y));
    ok(!cr_grad(x), "a leaf that no cotangent reaches has no gradient");
    is_near(grad(y), 1, 0, "its neighbour has");
    cr_backward(cr_add(apply(&silent_op, x), cr_mul(x, 4)));
    is_near(grad(x), 4, 0, "by another way one arrives");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
}

/* ---- functional gradients ---- */

static cr_tensor *derivative(cr_tensor *y, cr_tensor *x)
{
    cr_tensor *g = NULL;
    cr_gradients(&y, 1, &x, 1, &g, .create_graph = true);
    return g;
}

static void test_higher_order(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double at = 0.7, e = exp(at), s = sin(at), c = cos(at);
    cr_tensor *x = leaf(ctx, at);
    cr_tensor *y = cr_mul(cr_exp(x), cr_sin(x));
    cr_tensor *d1 = derivative(y, x), *d2 = derivative(d1, x), *d3 = derivative(d2, x);
    is_near(cr_item(d1), e * (s + c), 1e-12, "e^x sin x: first order");
    is_near(cr_item(d2), e * 2 * c, 1e-12, "second");
    is_near(cr_item(d3), e * 2 * (c - s), 1e-12, "third");
    ok(!cr_grad(x), "the leaf's own gradient is untouched");
    cr_backward(cr_square(d1));
    is_near(grad(x), 2 * e * (s + c) * e * 2 * c, 1e-11, "backward through a gradient");

    cr_tensor *p = leaf(ctx, 3);
    cr_tensor *d = cr_pow(p, 4);
    const double want[] = { 108, 108, 72, 24 };
    for (int i = 0; i < 4; i++) {
        d = derivative(d, p);
        is_near(cr_item(d), want[i], 1e-9, "x^4: order %d", i + 1);
    }
    cr_tensor *q = leaf(ctx, 3);
    cr_tensor *first = NULL, *square = cr_square(q);
    {
        CR_NO_GRAD(ctx);
        cr_gradients(&square, 1, &q, 1, &first, .create_graph = true);
    }
    ok(cr_needs_grad(first), "create_graph records a graph even where gradients are off");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
}

static void test_functional(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = leaf(ctx, 2), *w = leaf(ctx, 10), *unused = leaf(ctx, 1);
    cr_tensor *h = cr_square(x), *k = cr_mul(h, w);
    cr_tensor *ys[] = { k, cr_mul(h, 3) }, *xs[] = { h, x, k, w, h }, *g[5] = { 0 };
    cr_gradients(ys, 2, xs, 5, g, .retain_graph = true);
    const double want[] = { 13, 52, 1, 4, 13 };
    for (int i = 0; i < 5; i++)
        is_near(g[i] ? cr_item(g[i]) : NAN, want[i], 1e-12, "of two ys: xs[%d]", i);
    cr_tensor *cotangents[] = { cr_scalar(ctx, -1.0, .dtype = CR_F64), NULL };
    cr_gradients(ys, 2, xs, 1, g, .cotangents = cotangents, .retain_graph = true);
    is_near(cr_item(g[0]), -7, 1e-12, "with cotangents, NULL being ones");
    cr_tensor *same[] = { k, k };
    cr_gradients(same, 2, &w, 1, g, .retain_graph = true);
    is_near(cr_item(g[0]), 8, 1e-12, "a y that is given twice counts twice");

    cr_tensor *some[] = { w, unused };
    cr_gradients(ys, 1, some, 2, g, .retain_graph = true, .allow_unused = true);
    ok(g[0] && !g[1], "allow_unused: NULL");
    is_int(cr_gradients(ys, 1, some, 2, g, .retain_graph = true), CR_ERR_GRAD, "unused");
    ok(!g[0] && !g[1], "after an error all are NULL");
    ok(failed(ctx, CR_ERR_GRAD, "xs[1]", "grad.c:"), "the message names the x");
    cr_gradients(ys, 1, &w, 1, g);
    is_near(cr_item(g[0]), 4, 0, "still usable");

    cr_tensor *ints = cr_arange(ctx, 0, 3, 1, .dtype = CR_I64),
              *none = cr_scalar(ctx, 1.0, .dtype = CR_F64);
    cr_gradients(&k, 1, &ints, 1, g);
    ok(failed(ctx, CR_ERR_GRAD, "xs[0] is i64", "grad.c:"), "an integer x");
    cr_gradients(&none, 1, &w, 1, g);
    ok(failed(ctx, CR_ERR_GRAD, "xs[0] of shape [] is nothing that a y",
              "ys[0]: no tensor"),
       "a constant y");
    cr_no_grad_push(ctx);
    cr_tensor *off = cr_mul(w, 2);
    cr_no_grad_pop(ctx);
    cr_gradients(&off, 1, &w, 1, g);
    ok(failed(ctx, CR_ERR_GRAD, "ys[0]: mul", "gradients were off"), "a y without");
    cr_gradients(&k, 1, &none, 1, g);
    ok(failed(ctx, CR_ERR_GRAD, "needs no gradient", "cr_requires_grad"),
       "an unmarked x");
    g[0] = k;
    cr_gradients(g, 1, &w, 1, g, .retain_graph = true);
    is_near(cr_item(g[0]), 4, 0, "the results may take the place of ys");
    cr_tensor *null = NULL;
    cr_gradients(&k, 1, &null, 1, g);
    ok(failed(ctx, CR_ERR_NULL, "xs[0]", "grad.c:"), "a NULL x");
    is_int(cr_gradients(&null, 1, &null, 1, g), CR_ERR_NULL, "nothing but NULL");
    cr_gradients(&k, 0, &w, 1, g);
    ok(failed(ctx, CR_ERR_ARGUMENT, "0 ys", "grad.c:"), "no y");
}

/* Only what lies between ys and xs is visited. */
static void test_pruning(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = leaf(ctx, 2), *w = leaf(ctx, 3), *side = w, *g = NULL;
    for (int i = 0; i < 10; i++)
        side = apply(&copy_op, side);
    cr_tensor *h = apply(&copy_op, x);
    cr_tensor *y = cr_mul(apply(&copy_op, cr_square(h)), side);
    calls = 0;
    cr_gradients(&y, 1, &h, 1, &g, .retain_graph = true);
    is_near(cr_item(g), 12, 0, "the gradient of an intermediate");
    is_int(calls, 1, "what is beneath or beside it is not visited");
    cr_backward(y);
    is_near(grad(w), 4, 0, "another pass over the same graph");
    is_int(calls, 13, "visits all of it");
}

/* Hessian-vector products of sum(tanh(A tanh(A^T x))^2), against differences of
 * gradients. */
enum { WIDTH = 5 };

static cr_tensor *curved(cr_tensor *A, cr_tensor *x)
{
    cr_tensor *inner = cr_tanh(cr_matmul(cr_t(A), x));
    return cr_sum(cr_square(cr_tanh(cr_matmul(A, inner))));
}

static void gradient_at(cr_ctx *ctx, cr_tensor *A, const double *x, double *out)
{
    CR_SCOPE(ctx);
    cr_tensor *leaf_x = cr_requires_grad(cr_from(ctx, CR_F64, CR_DIMS(WIDTH), x));
    cr_backward(curved(A, leaf_x));
    cr_read(cr_grad(leaf_x), out, WIDTH * sizeof *out);
}

static void test_hessian(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    double at[WIDTH], v[WIDTH], high[WIDTH], low[WIDTH], product[WIDTH];
    const double eps = 1e-6;
    cr_tensor *A = cr_mul(cr_randn(ctx, CR_DIMS(WIDTH, WIDTH), .dtype = CR_F64), 0.5);
    for (int i = 0; i < WIDTH; i++) {
        at[i] = sin(i + 1);
        v[i] = cos(3 * i);
    }
    cr_tensor *x = cr_requires_grad(cr_from(ctx, CR_F64, CR_DIMS(WIDTH), at));
    cr_tensor *g = derivative(curved(A, x), x), *hv = NULL;
    cr_tensor *direction = cr_from(ctx, CR_F64, CR_DIMS(WIDTH), v);
    cr_gradients(&g, 1, &x, 1, &hv, .cotangents = &direction);
    cr_read(hv, product, sizeof product);
    double moved[WIDTH];
    for (int i = 0; i < WIDTH; i++)
        moved[i] = at[i] + eps * v[i];
    gradient_at(ctx, A, moved, high);
    for (int i = 0; i < WIDTH; i++)
        moved[i] = at[i] - eps * v[i];
    gradient_at(ctx, A, moved, low);
    for (int i = 0; i < WIDTH; i++)
        is_near(product[i], (high[i] - low[i]) / (2 * eps), 1e-7,
                "Hessian times vector: element %d", i);
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
}

/* relu is homogeneous: f(W1, .., c Wi, ..) = c f for c > 0, so <Wi, df/dWi> = f for all
 * i. */
static void test_relu_network(cr_ctx *ctx)
{
    enum { LAYERS = 8, UNITS = 16, BATCH = 12 };
    CR_SCOPE(ctx);
    cr_tensor *W[LAYERS], *h = cr_randn(ctx, CR_DIMS(BATCH, UNITS), .dtype = CR_F64);
    for (int i = 0; i < LAYERS; i++) {
        W[i] = cr_mul(cr_randn(ctx, CR_DIMS(UNITS, UNITS), .dtype = CR_F64),
                      sqrt(2.0 / UNITS));
        W[i] = cr_requires_grad(W[i]);
        h = cr_linear(h, W[i], NULL);
        if (i + 1 < LAYERS)
            h = cr_relu(h);
    }
    cr_tensor *f = cr_sum(h);
    cr_backward(f);
    const double value = cr_item(f);
    for (int i = 0; i < LAYERS; i++)
        is_near(cr_item(cr_sum(cr_mul(W[i], cr_grad(W[i])))), value,
                1e-12 * (fabs(value) + BATCH * UNITS), "layer %d: <W, dW> is the loss",
                i);
}

/* ---- cuts ---- */

static bool explains(cr_tensor *x, const char *part)
{
    char text[400];
    size_t length = cr_explain_no_grad(x, text, sizeof text);
    return length == strlen(text) && says(text, part);
}

static void test_cuts(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = leaf(ctx, 2), *off;
    cr_tensor *plain = cr_exp(cr_scalar(ctx, 1.0, .dtype = CR_F64));
    {
        CR_NO_GRAD(ctx);
        off = cr_sqrt(x);
    }
    ok(cr_needs_grad(x) && cr_needs_grad(cr_exp(x)), "a leaf and what is above it");
    ok(!cr_needs_grad(plain) && !cr_needs_grad(NULL), "constants and NULL need none");
    ok(explains(cr_add(cr_mul(plain, 2), 1), "no tensor beneath it was marked"),
       "no leaf beneath");
    ok(explains(cr_mul(cr_detach(x), plain), "detach ("), "detach");
    ok(explains(cr_exp(off), "was recorded while gradients were off, or before"),
       "no_grad");
    ok(explains(cr_exp(off), "sqrt ("), "no_grad: the operation's name");
    ok(explains(cr_cast(cr_argmax(cr_exp(x)), CR_F64), "argmax ("), "argmax");
    ok(explains(cr_where(cr_gt(x, 1), 1.0, 0.0), "gt ("), "a comparison");
    ok(explains(cr_cast(x, CR_I64), "makes i64 of it"), "a cast to integers");
    ok(explains(apply(&constant_op, x), "constant ("), "our own without vjp");
    ok(explains(cr_arange(ctx, 0, 3, 1, .dtype = CR_I64), "it is i64"),
       "an integer constant");
    ok(explains(x, "needs a gradient"), "nothing is cut");
    ok(explains(NULL, "NULL"), "NULL");
    cr_tensor *all = cr_detach(x);
    for (int i = 0; i < 5; i++)
        all = cr_add(all, cr_detach(x));
    ok(explains(all, "3 more"), "many cuts are counted");

    char two[2];
    ok(cr_explain_no_grad(plain, two, sizeof two) > 20 && strlen(two) == 1,
       "a short buffer, as with snprintf");
    ok(cr_explain_no_grad(plain, NULL, 0) > 20, "no buffer");

    cr_backward(cr_mul(cr_detach(x), x));
    is_near(grad(x), 2, 0, "no gradient flows through detach");
    cr_backward(cr_mul(x, cr_detach(x)), .cotangent = x);
    is_near(grad(x), 6, 0, "a cotangent that needs a gradient itself");
    cr_tensor *y = leaf(ctx, 1);
    cr_backward(y, .cotangent = x);
    ok(cr_grad(y) && !cr_needs_grad(cr_grad(y)), "gradients are detached");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
}

/* ---- bad input ---- */

static void test_errors(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(cr_ones(ctx, CR_DIMS(2, 3), .dtype = CR_F64));
    is_int(cr_backward(NULL), CR_ERR_NULL, "backward of NULL");
    is_int(cr_error(ctx), CR_OK, "which belongs to no context");
    is_int(cr_backward(cr_exp(x)), CR_ERR_GRAD, "not a scalar");
    ok(failed(ctx, CR_ERR_GRAD, "[2, 3]", "grad.c:"), "the message");
    cr_backward(cr_named(cr_exp(x), "energy"));
    ok(failed(ctx, CR_ERR_GRAD, "the loss \"energy\"", "cr_sum()"), "names the tensor");
    cr_backward(cr_sum(cr_detach(x)));
    ok(failed(ctx, CR_ERR_GRAD, "needs no gradient: detach (", "grad.c:"),
       "nothing needs a gradient");
    cr_backward(cr_sum(cr_cast(x, CR_I64)));
    ok(failed(ctx, CR_ERR_GRAD, "the loss is i64", "grad.c:"), "integers");
    cr_backward(cr_exp(x), .cotangent = cr_ones(ctx, CR_DIMS(3), .dtype = CR_F64));
    ok(failed(ctx, CR_ERR_SHAPE, "[3]", "[2, 3]"), "the cotangent's shape");
    cr_backward(cr_exp(x), .cotangent = cr_ones(ctx, CR_DIMS(2, 3)));
    ok(failed(ctx, CR_ERR_DTYPE, "f32", "f64"), "the cotangent's dtype");

    cr_fail(ctx, CR_ERR_IO, "before");
    is_int(cr_backward(cr_sum(x)), CR_ERR_NULL,
           "an error is pending: builders give NULL");
    is_int(cr_backward(x), CR_ERR_IO, "and backward that error");
    cr_clear(ctx);
    ok(!cr_grad(x), "nothing has changed");

    cr_backward(cr_sum(apply(&wrong_shape_op, x)));
    ok(failed(ctx, CR_ERR_SHAPE, "vjp of wrong_shape gave input 0 (x) of shape [2, 3]",
              "a cotangent of shape []"),
       "a vjp that gives a wrong shape");
    cr_backward(cr_sum(apply(&wrong_dtype_op, x)));
    ok(failed(ctx, CR_ERR_DTYPE, "wrong_dtype", "a cotangent of f32"), "a wrong dtype");
    cr_backward(cr_sum(apply(&nesting_op, x)));
    ok(failed(ctx, CR_ERR_UNSUPPORTED, "a vjp may not start", "grad.c:"),
       "a backward pass inside a vjp");

    cr_backward(cr_sum(cr_apply_at(&misfit_op, &x, 1, NULL, "forward.c:7")));
    ok(failed(ctx, CR_ERR_SHAPE, "matmul: ", "(forward.c:7)"),
       "a vjp that misuses an operation: the site is the forward's");

    cr_backward(cr_sum(cr_mul(x, 2)));
    cr_eval(cr_grad(x)); /* what is pending falls with an error */
    cr_tensor *z = leaf(ctx, 1);
    is_int(cr_backward(cr_add(cr_sum(apply(&failing_op, cr_exp(x))), cr_mul(z, 3))),
           CR_ERR_UNSUPPORTED, "a vjp that fails");
    ok(failed(ctx, CR_ERR_UNSUPPORTED, "on purpose", ""), "its message");
    ok(!cr_grad(z) && cr_grad(x), "leaves keep what they had");
    is_near(cr_item(cr_sum(cr_grad(x))), 12, 0, "to the value");
    cr_backward(cr_sum(cr_exp(x)));
    is_near(cr_item(cr_sum(cr_grad(x))), 12 + 6 * exp(1), 1e-12, "and work as before");

    cr_zero_grad(x);
    cr_backward(cr_sum(apply(&reading_op, x)));
    is_near(cr_item(cr_sum(cr_grad(x))), 36, 0, "a vjp may read values");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
}

/* ---- gradcheck ---- */

static cr_tensor *smooth(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    return cr_div(cr_mul(cr_exp(in[0]), in[1]), cr_add(cr_square(in[1]), 1));
}

/* Right up to the factor in user. */
static cr_tensor *stretched(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n;
    cr_tensor *flow = cr_mul(in[1], *(const double *)user);
    cr_tensor *value = cr_detach(cr_sub(in[1], flow));
    return cr_mul(cr_sin(in[0]), cr_add(value, flow));
}

/* Wrong in one element only, and only its second derivative. */
static void bent_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_input(out, 0);
    down[0] = cr_mul(g, cr_mul(cr_detach(x), 2));
}

static cr_status square_kernel(const cr_kernel *kernel)
{
    const double *x = kernel->in[0].data;
    for (int64_t i = 0; i < kernel->out.numel; i++)
        ((double *)kernel->out.data)[i] = x[i] * x[i];
    return CR_OK;
}

static const cr_op bent_op = { .name = "bent",
                               .doc = "x^2, with a slip in the second derivative",
                               .kind = CR_OP_OPAQUE,
                               .min_inputs = 1,
                               .max_inputs = 1,
                               .inputs = "x",
                               .vjp = bent_vjp,
                               .reads = CR_READS_INPUT(0),
                               .kernel = square_kernel };

static cr_tensor *bent(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)user;
    return cr_apply(&bent_op, in, n, NULL);
}

/* Only the last element's gradient is wrong. */
static cr_tensor *one_element(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    cr_tensor *parts[] = { cr_slice(in[0], 0, 0, 1),
                           cr_detach(cr_slice(in[0], 0, 1, 2)) };
    return cr_square(cr_cat(parts, 2, 0));
}

static cr_tensor *random_mask(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    return cr_mul(cr_dropout(in[0], 0.5), in[0]);
}

static cr_tensor *in_f32(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    return cr_cast(in[0], CR_F32);
}

static cr_tensor *unmoved(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)n, (void)user;
    return in[0] ? cr_ones(ctx, CR_DIMS(2), .dtype = CR_F64) : NULL;
}

static cr_tensor *nothing(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)in, (void)n, (void)user;
    return NULL;
}

static void test_gradcheck(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    double wrong = 1.01, right = 1;
    cr_tensor *a = cr_requires_grad(cr_randn(ctx, CR_DIMS(2, 3), .dtype = CR_F64));
    cr_tensor *b = cr_requires_grad(cr_randn(ctx, CR_DIMS(3), .dtype = CR_F64));
    cr_tensor *in[] = { a, b };
    cr_eval(a, b);
    const cr_rng before = cr_rng_get(ctx);
    const size_t memory = cr_memory_used(ctx);
    is_int(cr_gradcheck(smooth, NULL, in, 2, .second_order = true), CR_OK,
           "right in both orders: %s", cr_message(ctx));
    is_int(cr_gradcheck(stretched, &right, in, 2, .second_order = true), CR_OK, "again");
    is_int((int64_t)cr_memory_used(ctx), (int64_t)memory, "it leaves nothing behind");
    ok(!cr_grad(a) && !cr_grad(b), "the caller's leaves have no gradients");
    cr_gradcheck(stretched, &wrong, in, 2);
    ok(failed(ctx, CR_ERR_GRAD, "gradcheck: input 1, element [0]: the vjps give",
              "grad.c:"),
       "one per cent too much");
    cr_tensor *parts[] = { cr_detach(a), cr_detach(b) };
    cr_gradcheck(stretched, &wrong, parts, 2);
    ok(failed(ctx, CR_ERR_GRAD, "input 1", "finite differences"),
       "if no input is marked, all are checked");
    cr_tensor *first[] = { a, cr_detach(b) };
    is_int(cr_gradcheck(stretched, &wrong, first, 2), CR_OK, "else the marked ones");
    is_int(cr_gradcheck(stretched, &wrong, in, 2, .rtol = 0.1), CR_OK, "a tolerance");

    is_int(cr_gradcheck(bent, NULL, in, 1), CR_OK, "right in first order");
    cr_gradcheck(bent, NULL, in, 1, .second_order = true);
    ok(failed(ctx, CR_ERR_GRAD, "second order, input 0, element [0, 0]", "grad.c:"),
       "wrong in second order");
    cr_gradcheck(one_element, NULL, &a, 1);
    ok(failed(ctx, CR_ERR_GRAD, "input 0, element [1, 0]", "grad.c:"), "the element");
    is_int(cr_gradcheck(random_mask, NULL, in, 1, .second_order = true), CR_OK,
           "a random function draws the same each time: %s", cr_message(ctx));
    ok(cr_rng_get(ctx).draw == before.draw, "and the draws after it are not shifted");
    cr_gradcheck(unmoved, NULL, in, 2, .second_order = true);
    ok(failed(ctx, CR_ERR_GRAD, "no gradient reaches an input", "grad.c:"),
       "a constant agrees with anything");
    {
        CR_NO_GRAD(ctx);
        is_int(cr_gradcheck(smooth, NULL, in, 2), CR_OK, "where gradients are off");
    }
    cr_gradcheck(in_f32, NULL, in, 1);
    ok(failed(ctx, CR_ERR_DTYPE, "not f64", "grad.c:"), "a result in f32");
    cr_gradcheck(nothing, NULL, in, 1);
    ok(failed(ctx, CR_ERR_NULL, "returned NULL", "grad.c:"),
       "a function that gives NULL");
    cr_tensor *single = cr_ones(ctx, CR_DIMS(2));
    cr_gradcheck(smooth, NULL, &single, 1);
    ok(failed(ctx, CR_ERR_ARGUMENT, "f64", "grad.c:"), "no input in f64");
    cr_gradcheck(smooth, NULL, first, 1);
    ok(cr_error(ctx) != CR_OK, "an error in the function is reported: %s",
       cr_message(ctx));
    cr_clear(ctx);
}

/* ---- no memory ---- */

/* Allocations to come before one fails; below 0: none does. */
static void *limited_alloc(void *user, size_t bytes)
{
    int *left = user;
    if (*left == 0)
        return NULL;
    *left -= *left > 0;
    return malloc(bytes);
}

static void limited_free(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

/* Enough nodes for every way of ordering them, and a gradient that adds to an old one. */
static void use_everything(cr_ctx *ctx, cr_tensor *x)
{
    CR_SCOPE(ctx);
    cr_tensor *parts[6], *y = x, *g = NULL;
    char text[100];
    for (int i = 0; i < 6; i++)
        parts[i] = y = cr_mul(cr_exp(cr_mul(y, 0.01)), x);
    y = cr_sum(cr_cat(parts, 6, 0));
    cr_gradients(&y, 1, &x, 1, &g, .create_graph = true);
    cr_gradients(&g, 1, &x, 1, &g, .cotangents = &x);
    cr_explain_no_grad(cr_detach(y), text, sizeof text);
    cr_tensor *in[] = { x, x };
    cr_gradcheck(smooth, NULL, in, 2, .second_order = true);
    cr_backward(y, .retain_graph = true);
}

static bool survives(int allowed, bool *enough)
{
    int left = -1;
    cr_options options = {
        .threads = 1, .alloc = limited_alloc, .free = limited_free, .memory_user = &left
    };
    cr_ctx *ctx = cr_open(&options);
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(2), 1.5, .dtype = CR_F64));
    cr_backward(cr_sum(cr_mul(x, 3)));
    cr_eval(cr_grad(x));
    left = allowed;
    use_everything(ctx, x);
    left = -1;
    *enough = cr_error(ctx) == CR_OK;
    bool right = *enough || cr_error(ctx) == CR_ERR_MEMORY;
    cr_clear(ctx);
    const double before = cr_item(cr_sum(cr_grad(x)));
    right = right && (*enough || before == 6);
    cr_backward(cr_sum(cr_mul(x, 2)));
    right = right && cr_item(cr_sum(cr_grad(x))) == before + 4 && !cr_error(ctx);
    cr_close(ctx);
    return right;
}

static void test_no_memory(void)
{
    bool enough = false, right = true;
    int n = 0;
    for (; !enough && right && n < 5000; n++)
        right = survives(n, &enough);
    ok(right && enough, "each of %d allocations failing in turn changes nothing", n);
}

/* ---- size ---- */

enum { LINKS = 500000 };

/* x -> c x + d, again and again: the derivative is c^n. */
static void *long_chain(void *arg)
{
    double *out = arg;
    const double c = 1 + 1e-6, d = 1e-3;
    cr_options options = { .threads = 1 };
    cr_ctx *ctx = cr_open(&options);
    cr_tensor *x = leaf(ctx, 2);
    for (int pass = 0; pass < 2; pass++) {
        CR_SCOPE(ctx);
        cr_tensor *y = x;
        for (int i = 0; i < LINKS; i++)
            y = cr_add(cr_mul(y, c), d);
        cr_backward(y);
        out[0] = cr_item(y);
        out[1] = grad(x);
    }
    out[2] = cr_error(ctx);
    cr_close(ctx);
    return NULL;
}

static void test_long_chain(void)
{
    double got[3] = { 0 };
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    ok(pthread_create(&thread, &attributes, long_chain, got) == 0, "64 KiB of stack");
    pthread_join(thread, NULL);
    const double c = 1 + 1e-6, power = exp(LINKS * log1p(1e-6));
    is_int((int64_t)got[2], CR_OK, "a chain of a million nodes, twice");
    is_near(got[0], power * 2 + 1e-3 * (power - 1) / (c - 1), 1e-6, "its value");
    is_near(got[1], 2 * power, 1e-8, "its gradient, of two passes");
}

/* A state that is carried from step to step with its graph, though that is let go. */
static void test_carried(cr_ctx *ctx)
{
    cr_tensor *w = cr_requires_grad(cr_full(ctx, CR_DIMS(4), 0.5)),
              *h = cr_retain(cr_zeros(ctx, CR_DIMS(4)));
    for (int step = 0; step < 4 && cr_error(ctx) == CR_OK; step++) {
        cr_tensor *next;
        {
            CR_SCOPE(ctx);
            next = cr_retain(cr_named(cr_tanh(cr_add(cr_mul(h, w), 1)), "hidden"));
            cr_tensor *loss = cr_sum(cr_square(cr_exp(next)));
            cr_zero_grad(w);
            cr_backward(loss);
            cr_assign(w, cr_sub(w, cr_mul(cr_grad(w), 0.01)));
        }
        if (cr_error(ctx) == CR_OK)
            cr_release(h);
        h = next;
    }
    ok(failed(ctx, CR_ERR_STALE, "eval: hidden [4] (",
              "carried over from an earlier step; cr_detach() it"),
       "the state is named");
}

int main(void)
{
    static void (*const tests[])(cr_ctx *) = {
        test_first_order, test_sharing, test_accumulation, test_versions,
        test_factors,     test_watched, test_none,         test_functional,
        test_pruning,     test_hessian, test_relu_network, test_higher_order,
        test_cuts,        test_errors,  test_gradcheck
    };
    cr_ctx *ctx = cr_open(NULL);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        tests[i](ctx);
    is_int(cr_error(ctx), CR_OK, "no error is left: %s", cr_message(ctx));
    test_carried(ctx);
    cr_close(ctx);
    test_no_memory();
    test_long_chain();
    return done_testing();
}
