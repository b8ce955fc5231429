/* cr_verify_graph(): networks of library operations pass, at kinks too; what is wrong with an
 * operation of the user's is named: place, input, element, both slopes. */
#include "engine.h"

/* y = x^2 w, whose vjp is as wrong as `wrong` says. */
static int wrong;

static cr_status product_kernel(const cr_kernel *kernel)
{
    const cr_array *x = &kernel->in[0], *w = &kernel->in[1];
    for (int64_t i = 0; i < kernel->out.numel; i++)
        if (kernel->out.dtype == CR_F64)
            ((double *)kernel->out.data)[i] = ((const double *)x->data)[i] *
                                              ((const double *)x->data)[i] *
                                              ((const double *)w->data)[i];
        else
            ((float *)kernel->out.data)[i] = ((const float *)x->data)[i] *
                                             ((const float *)x->data)[i] *
                                             ((const float *)w->data)[i];
    return CR_OK;
}

static void product_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_input(out, 0), *w = cr_input(out, 1);
    down[0] = cr_mul(cr_mul(g, w), cr_mul(x, wrong == 1 ? 3 : 2));
    down[1] = cr_mul(g, cr_square(x));
    if (wrong == 2) /* where x is above 2 */
        down[1] = cr_where(cr_gt(x, 2), cr_mul(down[1], 0.5), down[1]);
    if (wrong == 3)
        down[1] = NULL;
}

static const cr_op product_op = { .name = "product",
                                  .kind = CR_OP_OPAQUE,
                                  .min_inputs = 2,
                                  .max_inputs = 2,
                                  .inputs = "x,w",
                                  .vjp = product_vjp,
                                  .reads = CR_READS_INPUTS,
                                  .kernel = product_kernel,
                                  .never_fails = true };

static cr_tensor *product_of(cr_ctx *ctx, cr_dtype dtype, cr_tensor **loss)
{
    cr_tensor *x = cr_cast(
        cr_from(ctx, CR_F32, CR_DIMS(5), CR_ARRAY(float, 1, -1.5, 0.5, 3, 2)), dtype);
    cr_tensor *w = cr_cast(
        cr_from(ctx, CR_F32, CR_DIMS(5), CR_ARRAY(float, 2, 1, -3, 0.25f, 4)), dtype);
    cr_tensor *in[] = { cr_requires_grad(x), cr_requires_grad(w) };
    *loss = cr_sum(cr_tanh(cr_apply(&product_op, in, 2, NULL)));
    return x;
}

static void test_own(cr_ctx *ctx)
{
    for (int i = 0; i < 2; i++) {
        CR_SCOPE(ctx);
        cr_tensor *loss;
        const cr_dtype dtype = i ? CR_F64 : CR_F32;
        wrong = 0;
        product_of(ctx, dtype, &loss);
        is_int(cr_verify_graph(loss), CR_OK, "a right operation of one's own: %s",
               cr_message(ctx));
        wrong = 1;
        FAILS(cr_verify_graph(loss), GRAD, "verify_graph: product (");
        cr_verify_graph(loss);
        ok(strstr(cr_message(ctx), "verify_graph.c:") &&
               strstr(cr_message(ctx), "input 0 (x) of shape [5], element ["),
           "a wrong one is named: %s", cr_message(ctx));
        ok(strstr(cr_message(ctx), i ? "(f64)" : "(f32)"), "in its own type");
        cr_clear(ctx);
        wrong = 2;
        cr_verify_graph(loss);
        ok(strstr(cr_message(ctx),
                  "input 1 (w) of shape [5], element [3], which is 0.25: the vjp gives"),
           "and the element: %s", cr_message(ctx));
        cr_clear(ctx);
        wrong = 3;
        FAILS(cr_verify_graph(loss), GRAD, "the vjp gives 0, finite differences");
        wrong = 0;
        is_int(cr_verify_graph(loss, .rtol = 1e-2, .atol = 1e-2), CR_OK,
               "with tolerances");
        is_int(cr_backward(loss), CR_OK, "the graph is as it was");
        ok(isfinite(cr_item(loss)), "and its value");
    }
}

static bool twice_forward(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)n, (void)user;
    for (int64_t i = 0; i < out->numel; i++)
        ((float *)out->data)[i] = 2 * ((const float *)in[0].data)[i];
    return true;
}

static bool thrice_backward(const cr_array *in, int n, const cr_array *out,
                            const cr_array *cotangent, cr_array *in_cotangents,
                            void *user)
{
    (void)in, (void)n, (void)out;
    for (int64_t i = 0; i < cotangent->numel; i++)
        ((float *)in_cotangents[0].data)[i] =
            *(float *)user * ((const float *)cotangent->data)[i];
    return true;
}

static void test_functions(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    float factor = 2;
    const cr_custom_def def = { "mine", twice_forward, thrice_backward, &factor };
    cr_tensor *x = cr_requires_grad(cr_ones(ctx, CR_DIMS(4)));
    cr_tensor *y = cr_custom(&def, &x, 1, CR_F32, CR_DIMS(4));
    is_int(cr_verify_graph(cr_sum(cr_square(y))), CR_OK, "two functions: %s",
           cr_message(ctx));
    factor = 3;
    cr_verify_graph(cr_sum(cr_square(y)));
    ok(strstr(cr_message(ctx), "custom (") && strstr(cr_message(ctx), "the vjp gives"),
       "wrong ones: %s", cr_message(ctx));
    cr_clear(ctx);
}

/* Kinks, ties, zeros, casts, dropout, labels, shared parameters, and values let go. */
static void test_network(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_randn(ctx, CR_DIMS(6, 8));
    cr_tensor *w = cr_requires_grad(cr_mul(cr_randn(ctx, CR_DIMS(8, 8)), 0.3)),
              *b = cr_requires_grad(cr_zeros(ctx, CR_DIMS(8)));
    cr_tensor *h = cr_relu(cr_linear(x, w, b));
    h = cr_dropout(cr_relu(cr_linear(h, w, b)), 0.3);
    h = cr_add(cr_layer_norm(h, CR_DIMS(8), b, NULL), cr_abs(h));
    h = cr_cat(CR_ARRAY(cr_tensor *, h, cr_maximum(h, cr_mul(h, 1)), cr_zeros_like(h)), 3,
               1);
    h = cr_mul(h, cr_expand(cr_amax(cr_round(h), 1, .keepdim = true), cr_shape(h)));
    cr_tensor *labels =
        cr_from(ctx, CR_I64, CR_DIMS(6), CR_ARRAY(int64_t, 0, 3, 5, 1, 2, 7));
    cr_tensor *loss = cr_cross_entropy(h, labels);
    loss = cr_add(loss, cr_cast(cr_sum(cr_sqrt(cr_abs(cr_cast(b, CR_F64)))), CR_F32));
    is_int(cr_verify_graph(loss), CR_OK, "a network: %s", cr_message(ctx));
    cr_backward(loss);
    cr_item(loss);
    is_int(cr_verify_graph(loss), CR_OK, "behind its backward pass: %s", cr_message(ctx));
    FAILS(cr_verify_graph(cr_detach(loss)), GRAD, "it needs no gradient");
    FAILS(cr_verify_graph(loss, .atol = -1.0), ARGUMENT, "atol is -1");
    is_int(cr_verify_graph(NULL), CR_ERR_NULL, "NULL");
    is_int(cr_verify_graph(cr_square(w)), CR_OK, "no scalar");
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    size_t before = cr_memory_used(ctx);
    test_own(ctx);
    test_functions(ctx);
    test_network(ctx);
    ok(cr_error(ctx) == CR_OK, "no error is left: %s", cr_message(ctx));
    is_int((int64_t)cr_memory_used(ctx), (int64_t)before, "nothing is left");
    cr_close(ctx);
    return done_testing();
}
