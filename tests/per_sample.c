/* Per-sample gradients against a loop of backward passes: layers of all kinds, shared parameters,
 * folded rows, and where samples mix. How many vjps of a layer are called tells that there is no
 * loop where there need be none. */
#include "engine.h"

enum { N = 4, MOST = 8 };

static int vjps;

static cr_status copy_kernel(const cr_kernel *kernel)
{
    const cr_array *out = &kernel->out;
    memcpy(out->data, kernel->in[0].data, (size_t)out->numel * cr_dtype_size(out->dtype));
    return CR_OK;
}

static void copy_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out;
    vjps++;
    down[0] = g;
}

static unsigned copy_apart(const cr_tensor *out)
{
    (void)out;
    return CR_READS_INPUT(0);
}

#define COPY                                                                \
    .name = "copy", .kind = CR_OP_OPAQUE, .min_inputs = 1, .max_inputs = 1, \
    .vjp = copy_vjp, .kernel = copy_kernel, .never_fails = true
static const cr_op counted = { COPY, .apart = copy_apart };
static const cr_op unknown = { COPY };

static cr_tensor *weight_of(cr_ctx *ctx, cr_dims dims)
{
    return cr_requires_grad(cr_cast(cr_mul(cr_randn(ctx, dims), 0.5), CR_F64));
}

static cr_tensor *input_of(cr_ctx *ctx, cr_dims dims)
{
    return cr_cast(cr_randn(ctx, dims), CR_F64);
}

/* The gradients of each loss, one behind the other. */
static void check_samples(const char *name, cr_tensor *losses, cr_tensor *const *xs,
                          int n, int passes)
{
    cr_ctx *ctx = cr_ctx_of(losses);
    cr_tensor *grads[MOST] = { NULL };
    vjps = 0;
    is_int(cr_per_sample_gradients(losses, xs, n, grads, .retain_graph = true), CR_OK,
           "%s: %s", name, cr_message(ctx));
    is_int(vjps, passes, "%s: passes", name);
    for (int j = 0; j < n && grads[j]; j++) {
        double worst = 0, size = 0;
        const int64_t count = cr_numel(losses), numel = cr_numel(xs[j]);
        is_int(cr_numel(grads[j]), count * numel, "%s: a gradient for each sample", name);
        is_int(cr_ndim(grads[j]), cr_ndim(xs[j]) + 1, "%s: with one dim more", name);
        const double *all = cr_data(grads[j]);
        for (int64_t k = 0; k < count && all; k++) {
            cr_tensor *loss = cr_select(losses, 0, k), *g = NULL;
            cr_gradients(&loss, 1, &xs[j], 1, &g, .retain_graph = true,
                         .allow_unused = true);
            const double *one = g ? cr_data(g) : NULL;
            for (int64_t i = 0; i < numel; i++) {
                double want = one ? one[i] : 0;
                worst = fmax(worst, fabs(all[k * numel + i] - want));
                size = fmax(size, fabs(want));
            }
        }
        ok(all && worst <= 1e-12 * (1 + size),
           "%s: xs[%d] as a loop has them, to %g of %g", name, j, worst, size);
    }
}

/* The loss of each sample. */
static cr_tensor *losses_of(cr_tensor *h)
{
    cr_tensor *counted_once = cr_apply(&counted, &h, 1, NULL);
    return cr_mean(cr_square(cr_flatten(counted_once, 1, -1)), 1);
}

static void test_layers(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = input_of(ctx, CR_DIMS(N, 3)), *w = weight_of(ctx, CR_DIMS(5, 3)),
              *b = weight_of(ctx, CR_DIMS(5)), *u = weight_of(ctx, CR_DIMS(5, 5));
    cr_tensor *h = cr_tanh(cr_linear(x, w, b));
    h = cr_linear(cr_relu(cr_linear(h, u, b)), u, NULL);
    check_samples("linear, shared", losses_of(h), CR_ARRAY(cr_tensor *, w, b, u), 3, 1);

    cr_tensor *s = input_of(ctx, CR_DIMS(N, 2, 3)), *m = weight_of(ctx, CR_DIMS(3, 3));
    h = cr_softmax(cr_linear(s, w, b), -1);
    check_samples("rows of a sample", losses_of(h), CR_ARRAY(cr_tensor *, w, b), 2, 1);
    h = cr_matmul(cr_matmul(s, m), cr_transpose(cr_matmul(s, cr_exp(m)), 1, 2));
    check_samples("products", losses_of(h), &m, 1, 1);
    h = cr_matmul(weight_of(ctx, CR_DIMS(2, 2)), s);
    check_samples("a matrix from the left",
                  losses_of(cr_matmul(cr_t(m), cr_transpose(s, 1, 2))), &m, 1, 1);

    cr_tensor *gain = weight_of(ctx, CR_DIMS(3)), *shift = weight_of(ctx, CR_DIMS(3));
    cr_tensor *place = weight_of(ctx, CR_DIMS(2, 3)), *one = weight_of(ctx, CR_NO_DIMS);
    h = cr_layer_norm(cr_mul(cr_add(s, place), one), CR_DIMS(3), gain, shift);
    check_samples("layer norm, places, a scalar", losses_of(h),
                  CR_ARRAY(cr_tensor *, gain, shift, place, one), 4, 1);

    cr_tensor *table = weight_of(ctx, CR_DIMS(6, 3));
    cr_tensor *index = cr_from(ctx, CR_I64, CR_DIMS(N, 3),
                               CR_ARRAY(int64_t, 0, 1, 1, 5, 5, 5, 2, 0, 3, 4, 4, 1));
    h = cr_linear(cr_embedding(table, index, .padding_idx = CR_INT(4)), w, b);
    check_samples("embedding", losses_of(h), CR_ARRAY(cr_tensor *, table, w), 2, 1);
    h = cr_embedding(table, cr_cast(cr_select(index, 1, 0), CR_I32));
    check_samples("embedding of one index each",
                  losses_of(cr_add(h, cr_select(table, 0, 1))), &table, 1, 1);
}

static void test_images(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = input_of(ctx, CR_DIMS(N, 4, 6, 5)),
              *w = weight_of(ctx, CR_DIMS(6, 2, 3, 2)), *b = weight_of(ctx, CR_DIMS(6)),
              *v = weight_of(ctx, CR_DIMS(6, 6, 1, 1));
    cr_tensor *h = cr_conv2d(x, w, b, .stride = CR_DIMS(2, 1), .padding = CR_DIMS(1, 1),
                             .dilation = CR_DIMS(1, 2), .groups = 2);
    h = cr_conv2d(cr_conv2d(cr_relu(h), v, b), v, NULL);
    check_samples("convolutions", losses_of(h), CR_ARRAY(cr_tensor *, w, b, v), 3, 1);
    cr_tensor *t = weight_of(ctx, CR_DIMS(4, 3, 2, 2));
    check_samples("transposed",
                  losses_of(cr_conv_transpose2d(x, t, NULL, .stride = CR_DIMS(2, 2))), &t,
                  1, 1);
}

/* What is behind the operation has one vjp for each pass. */
static void test_mixed(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = input_of(ctx, CR_DIMS(N, 3)), *w = weight_of(ctx, CR_DIMS(3, 3));
    cr_tensor *h = cr_linear(x, w, NULL);
    h = cr_sub(h, cr_mean(h, 0));
    check_samples("a mean over the batch", losses_of(h), &w, 1,
                  1); /* from there each on its own */
    h = cr_linear(x, w, NULL);
    cr_tensor *y = cr_apply(&unknown, &h, 1, NULL);
    check_samples("an operation that does not say", cr_sum(cr_exp(y), 1), &w, 1, N);
    cr_tensor *own = weight_of(ctx, CR_DIMS(N, 3));
    check_samples("a parameter for each sample", losses_of(cr_mul(x, own)), &own, 1,
                  1 + N);
    check_samples("an activation", losses_of(cr_tanh(h)), &h, 1, 1 + N);
    h = cr_flip(cr_linear(x, w, NULL), CR_DIMS(0));
    check_samples("samples that change places", losses_of(h), &w, 1, 1 + N);
    cr_tensor *single = cr_slice(x, 0, 0, 1);
    check_samples("one sample", losses_of(cr_linear(single, w, NULL)), &w, 1, 1);

    cr_tensor *unused = weight_of(ctx, CR_DIMS(2)), *g[2], *xs[] = { w, unused };
    cr_tensor *losses = losses_of(cr_linear(x, w, NULL));
    is_int(cr_per_sample_gradients(losses, xs, 2, g, .create_graph = true), CR_OK,
           "unused");
    is_near(cr_item(cr_sum(cr_square(g[1]))), 0, 0, "is zeros");
    is_int(cr_size(g[1], 0), N, "for each sample");
    ok(cr_needs_grad(g[0]), "what can be differentiated again");
    FAILS(cr_per_sample_gradients(losses, xs, 2, g, .strict = true), GRAD,
          "xs[1] of shape [2]");
    FAILS(cr_per_sample_gradients(cr_sum(losses), xs, 2, g), SHAPE, "losses is f64 []");
    FAILS(cr_per_sample_gradients(losses, xs, 0, g), ARGUMENT, "0 xs");
    ok(!cr_grad(w), "leaves have none of it");
    cr_tensor *none = losses_of(cr_linear(cr_slice(x, 0, 0, 0), w, NULL));
    is_int(cr_per_sample_gradients(none, &w, 1, g), CR_OK, "no samples: %s",
           cr_message(ctx));
    is_int(cr_numel(g[0]), 0, "no gradients");
}

static void test_recomputed(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = input_of(ctx, CR_DIMS(N, 3)), *w = weight_of(ctx, CR_DIMS(3, 3)),
              *h = x;
    for (int i = 0; i < 3; i++) {
        CR_RECOMPUTE(ctx);
        h = cr_tanh(cr_linear(h, w, NULL));
    }
    check_samples("recomputed", losses_of(h), &w, 1, 1);
    cr_tensor *old = cr_linear(x, w, NULL);
    cr_assign(w, cr_mul(w, 2));
    check_samples("two values of a leaf", losses_of(cr_linear(old, w, NULL)), &w, 1, 1);
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    test_layers(ctx);
    test_images(ctx);
    test_mixed(ctx);
    test_recomputed(ctx);
    ok(cr_error(ctx) == CR_OK, "no error is left: %s", cr_message(ctx));
    cr_close(ctx);
    return done_testing();
}
