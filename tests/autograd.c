/* Several roots in one pass, passes to some leaves only, products with Jacobians and Hessians,
 * against values that are known in closed form. */
#include "engine.h"

static cr_tensor *doubles(cr_ctx *ctx, cr_dims dims, const double *values)
{
    return cr_from(ctx, CR_F64, dims, values);
}

static cr_tensor *leaf_of(cr_ctx *ctx, double value)
{
    return cr_requires_grad(cr_scalar(ctx, value, .dtype = CR_F64));
}

static double grad_of(cr_tensor *x)
{
    return cr_grad(x) ? cr_item(cr_grad(x)) : NAN;
}

/* Whether x has these values, to within rounding. */
static bool has_values(cr_tensor *x, cr_dims dims, const double *want)
{
    cr_dims got = cr_shape(x);
    const double *data = cr_data(x);
    bool same = data && got.n == dims.n;
    for (int d = 0; same && d < dims.n; d++)
        same = got.v[d] == dims.v[d];
    for (int64_t i = 0; same && i < cr_numel(x); i++) {
        same = fabs(data[i] - want[i]) <= 1e-12 * (1 + fabs(want[i]));
        if (!same)
            diag("element %d is %g, not %g", (int)i, data[i], want[i]);
    }
    return same;
}

/* ---- passes ---- */

static int vjps;

static void counting_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out;
    vjps++;
    down[0] = cr_mul(g, 2);
}

static cr_status counting_kernel(const cr_kernel *kernel)
{
    for (int64_t i = 0; i < kernel->out.numel; i++)
        ((double *)kernel->out.data)[i] = 2 * ((const double *)kernel->in[0].data)[i];
    return CR_OK;
}

static const cr_op counting_op = { .name = "counting",
                                   .kind = CR_OP_OPAQUE,
                                   .min_inputs = 1,
                                   .max_inputs = 1,
                                   .vjp = counting_vjp,
                                   .kernel = counting_kernel };

static void test_roots(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = leaf_of(ctx, 3), *y = leaf_of(ctx, 5);
    cr_tensor *shared = cr_apply(&counting_op, &x, 1, NULL);
    cr_tensor *losses[] = { cr_mul(shared, y), cr_square(shared), cr_mul(y, 7) };
    is_int(cr_backward_many(losses, 3), CR_OK, "three roots");
    is_near(grad_of(x), 2 * 5 + 2 * 6 * 2, 1e-12, "d/dx of their sum");
    is_near(grad_of(y), 6 + 7, 1e-12, "d/dy of their sum");
    is_int(vjps, 1, "what they share is visited once");

    cr_tensor *gs[] = { cr_scalar(ctx, 10.0, .dtype = CR_F64), NULL };
    cr_tensor *pair[] = { cr_square(x), cr_square(y) };
    cr_zero_grad(x), cr_zero_grad(y);
    is_int(cr_backward_many(pair, 2, .cotangents = gs), CR_OK, "with cotangents");
    is_near(grad_of(x), 60, 1e-12, "one of which is given");
    is_near(grad_of(y), 10, 1e-12, "and one is 1");

    cr_zero_grad(x);
    cr_tensor *square = cr_square(x), *twice[] = { square, cr_mul(square, 3), square };
    is_int(cr_backward_many(twice, 3), CR_OK, "a root twice, and beneath another");
    is_near(grad_of(x), 5 * 6, 1e-12, "counts each time");

    cr_zero_grad(x);
    cr_tensor *self[] = { x, cr_mul(x, 4) };
    is_int(cr_backward_many(self, 2), CR_OK, "a leaf as a root");
    is_near(grad_of(x), 5, 1e-12, "has a gradient of 1, and others");

    cr_tensor *wrong[] = { cr_square(x), cr_scalar(ctx, 1.0) };
    FAILS(cr_backward_many(wrong, 2), GRAD, "losses[1] needs no gradient");
    cr_tensor *vector[] = { cr_square(x),
                            cr_mul(cr_ones(ctx, CR_DIMS(2), .dtype = CR_F64), x) };
    FAILS(cr_backward_many(vector, 2), GRAD,
          "losses[1] is not a scalar: its shape is [2]");
    cr_tensor *null[] = { cr_square(x), NULL };
    FAILS(cr_backward_many(null, 2), NULL, "NULL");
    is_int(cr_backward_many(NULL, 2), CR_ERR_NULL, "no list");
    is_near(grad_of(x), 5, 1e-12, "what fails adds nothing");
}

static void test_inputs(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *a = leaf_of(ctx, 2), *b = leaf_of(ctx, 3), *c = leaf_of(ctx, 4);
    cr_tensor *ab = cr_watch(cr_mul(a, b)), *abc = cr_watch(cr_mul(ab, c));
    cr_tensor *loss = cr_square(abc);
    is_int(cr_backward(loss, .inputs = &c, .n_inputs = 1, .retain_graph = true), CR_OK,
           "to one leaf only");
    ok(!cr_grad(a) && !cr_grad(b) && !cr_grad(ab) && !cr_grad(abc),
       "no other has a gradient, nor what is watched");
    is_near(grad_of(c), 2 * 24 * 6, 1e-12, "it has");
    cr_tensor *some[] = { ab, b };
    is_int(cr_backward(loss, .inputs = some, .n_inputs = 2), CR_OK, "to what is watched");
    is_near(grad_of(ab), 2 * 24 * 4, 1e-12, "that has one");
    is_near(grad_of(b), 2 * 24 * 8, 1e-12, "and the leaf beneath it");
    ok(!cr_grad(a) && !cr_grad(abc), "no others");

    vjps = 0;
    cr_tensor *beside = cr_add(cr_apply(&counting_op, &a, 1, NULL), cr_mul(b, b));
    cr_zero_grad(b);
    cr_backward(beside, .inputs = &b, .n_inputs = 1);
    is_near(grad_of(b), 6, 1e-12, "a branch to others");
    is_int(vjps, 0, "is not visited");
    cr_zero_grad(c);
    is_int(cr_backward(cr_square(b), .inputs = &c, .n_inputs = 1), CR_OK, "not reached");
    ok(!cr_grad(c), "is no error, and no zero");

    cr_assign(b, cr_scalar(ctx, 10.0, .dtype = CR_F64));
    cr_zero_grad(b);
    cr_tensor *old_and_new = cr_mul(beside, b);
    cr_backward(old_and_new, .inputs = &b, .n_inputs = 1);
    is_near(grad_of(b), 10 * 6 + 13, 1e-12, "all values that a leaf has had");

    cr_tensor *not_leaf = cr_square(a);
    FAILS(cr_backward(cr_mul(not_leaf, 2), .inputs = &not_leaf, .n_inputs = 1), GRAD,
          "inputs[0] of shape [] is neither a leaf nor watched");
    FAILS(cr_backward(cr_square(a), .inputs = &a), ARGUMENT, "0 inputs");
    FAILS(cr_backward(cr_square(a), .n_inputs = 2), NULL, "the list of 2 inputs is NULL");
    cr_requires_grad(c, false);
    FAILS(cr_backward(cr_mul(a, c), .inputs = &c, .n_inputs = 1), GRAD, "inputs[0]");
}

/* ---- products ---- */

/* y0 = x0 x1, y1 = x0^2 + 3 x1: J = [x1 x0; 2 x0 3] at (2, 5). */
static void pair_of(cr_ctx *ctx, cr_tensor **x, cr_tensor **y)
{
    *x = cr_requires_grad(doubles(ctx, CR_DIMS(2), (double[]){ 2, 5 }));
    cr_tensor *x0 = cr_select(*x, 0, 0), *x1 = cr_select(*x, 0, 1);
    *y = cr_stack(
        CR_ARRAY(cr_tensor *, cr_mul(x0, x1), cr_add(cr_square(x0), cr_mul(x1, 3))), 2,
        0);
}

static void test_products(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x, *y, *out = NULL, *v = doubles(ctx, CR_DIMS(2), (double[]){ 1, 10 });
    pair_of(ctx, &x, &y);
    is_int(cr_vjp(&y, 1, &x, 1, &v, &out, .retain_graph = true), CR_OK, "vjp");
    ok(has_values(out, CR_DIMS(2), (double[]){ 5 + 40, 2 + 30 }), "v^T J");
    is_int(cr_jvp(&y, 1, &x, 1, &v, &out, .retain_graph = true), CR_OK, "jvp");
    ok(has_values(out, CR_DIMS(2), (double[]){ 5 + 20, 4 + 30 }), "J v");
    ok(has_values(cr_jacobian(y, x, .retain_graph = true), CR_DIMS(2, 2),
                  (double[]){ 5, 2, 4, 3 }),
       "jacobian");
    cr_tensor *loss = cr_mul(cr_select(y, 0, 0), cr_select(y, 0, 1));
    /* x0^3 x1 + 3 x0 x1^2: [6 x0 x1, 3 x0^2 + 6 x1; .., 6 x0] */
    const double hessian[] = { 60, 42, 42, 12 };
    ok(has_values(cr_hessian(loss, x, .retain_graph = true), CR_DIMS(2, 2), hessian),
       "hessian");
    is_int(cr_hvp(loss, &x, 1, &v, &out), CR_OK, "hvp");
    ok(has_values(out, CR_DIMS(2), (double[]){ 60 + 420, 42 + 120 }), "H v");
    ok(!cr_grad(x), "no leaf has a gradient of it");
    ok(!cr_needs_grad(out), "the result is a constant");

    /* in place of the arguments */
    pair_of(ctx, &x, &y);
    cr_tensor *place = v;
    is_int(cr_jvp(&y, 1, &x, 1, &place, &place, .create_graph = true), CR_OK,
           "the result in place of the tangent");
    ok(has_values(place, CR_DIMS(2), (double[]){ 25, 34 }), "is the same");
    cr_tensor *along = NULL; /* d sum(J v) / dx = (10 + 2, 1) */
    is_int(cr_gradients(CR_ARRAY(cr_tensor *, cr_sum(place)), 1, &x, 1, &along), CR_OK,
           "and can be differentiated again");
    ok(has_values(along, CR_DIMS(2), (double[]){ 10 + 2, 1 * 10 * 0 + 1 }) ||
           has_values(along, CR_DIMS(2), (double[]){ 12, 1 }),
       "to the second derivative along v");
}

static void test_several(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *a = leaf_of(ctx, 2), *b = leaf_of(ctx, 3), *c = leaf_of(ctx, 7);
    cr_tensor *xs[] = { a, b, c }, *ys[] = { cr_mul(a, b), cr_pow(a, 3) };
    cr_tensor *vs[] = { cr_scalar(ctx, 1.0, .dtype = CR_F64),
                        cr_scalar(ctx, 10.0, .dtype = CR_F64),
                        cr_scalar(ctx, 100.0, .dtype = CR_F64) };
    cr_tensor *out[3];
    is_int(cr_jvp(ys, 2, xs, 3, vs, out, .retain_graph = true), CR_OK,
           "two ys, three xs");
    is_near(cr_item(out[0]), 3 + 20, 1e-12, "d ab");
    is_near(cr_item(out[1]), 12, 1e-12, "d a^3");
    is_int(cr_vjp(ys, 2, xs, 3, vs, out, .retain_graph = true), CR_OK, "vjp of both");
    is_near(cr_item(out[0]), 3 + 10 * 12, 1e-12, "for a");
    is_near(cr_item(out[1]), 2, 1e-12, "for b");
    is_near(cr_item(out[2]), 0, 0, "and zeros for what is not used");
    FAILS(cr_vjp(ys, 2, xs, 3, vs, out, .strict = true), GRAD, "xs[2]");
    ok(!out[0] && !out[2], "an error gives none");
    cr_tensor *loss = cr_mul(ys[0], ys[1]); /* a^4 b */
    is_int(cr_hvp(loss, xs, 2, vs, out), CR_OK, "hvp over two");
    is_near(cr_item(out[0]), 12 * 4 * 3 + 10 * 4 * 8, 1e-9, "for a");
    is_near(cr_item(out[1]), 4 * 8, 1e-12, "for b");
    cr_tensor *da = NULL;
    loss = cr_mul(cr_pow(a, 4), b);
    cr_gradients(&loss, 1, &a, 1, &da, .create_graph = true);
    is_near(cr_item(cr_jacobian(da, b)), 4 * 8, 1e-12, "a block of the hessian");

    cr_tensor *linear = cr_mul(a, 3);
    is_int(cr_hvp(linear, &a, 1, vs, out), CR_OK, "of a linear function");
    is_near(cr_item(out[0]), 0, 0, "is zero");
    is_near(cr_item(cr_hessian(cr_mul(a, 3), a)), 0, 0, "and so its hessian");
    is_near(cr_item(cr_hessian(cr_mul(b, 3), a)), 0, 0, "of what does not depend on x");
}

static void test_shapes(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x =
        cr_requires_grad(doubles(ctx, CR_DIMS(2, 2), (double[]){ 1, 2, 3, 4 }));
    const double rows[] = { 2, 0, 0, 0, 0, 0, 6, 0, 0, 4, 0, 0, 0, 0, 0, 8 };
    ok(has_values(cr_jacobian(cr_t(cr_square(x)), x), CR_DIMS(2, 2, 2, 2), rows),
       "dims of y, then of x");
    cr_tensor *middle = cr_exp(cr_sum(x, 1));
    ok(has_values(cr_jacobian(cr_mul(middle, 2), middle), CR_DIMS(2, 2),
                  (double[]){ 2, 0, 0, 2 }),
       "with respect to an intermediate");
    cr_tensor *none = cr_slice(x, 0, 0, 0);
    is_int(cr_size(cr_jacobian(cr_square(none), x), 0), 0, "of no elements");
    cr_tensor *wide = cr_reshape(x, CR_DIMS(1, 1, 1, 2, 2));
    FAILS(cr_jacobian(cr_square(wide), wide), SHAPE, "more than 8 in all");
    FAILS(cr_hessian(cr_square(x), x), GRAD,
          "hessian: y is not a scalar: its shape is [2, 2]");
    cr_tensor *y = cr_sum(x), *out, *v = cr_ones(ctx, CR_DIMS(2), .dtype = CR_F64);
    FAILS(cr_jvp(&y, 1, &x, 1, &v, &out), SHAPE,
          "tangents[0] is f64 [2], its tensor f64 [2, 2]");
    cr_tensor *narrow = cr_ones(ctx, CR_DIMS(2, 2));
    FAILS(cr_hvp(y, &x, 1, &narrow, &out), DTYPE, "vectors[0] is f32 [2, 2]");
    cr_tensor *i = cr_arange(ctx, 0, 3, 1, .dtype = CR_I64);
    FAILS(cr_jacobian(i, x), GRAD, "y[0] is i64");
    FAILS(cr_vjp(&y, 1, &x, 0, NULL, &out), ARGUMENT, "1 ys and 0 xs");
    is_int(cr_vjp(NULL, 1, NULL, 1, NULL, NULL), CR_ERR_NULL, "nothing at all");
    ok(!cr_jacobian(NULL, NULL), "nor of NULL");
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    test_roots(ctx);
    test_inputs(ctx);
    test_products(ctx);
    test_several(ctx);
    test_shapes(ctx);
    ok(cr_error(ctx) == CR_OK, "no error is left: %s", cr_message(ctx));
    cr_close(ctx);
    return done_testing();
}
