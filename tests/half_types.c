/* bf16 and f16 as a user meets them: making and reading, numbers, casts, which types meet,
 * sums, gradients, optimisers, modules. What operations give is op_table's. */
#include "engine.h"
#include "half.h"

#include <math.h>

static const cr_dtype halves[] = { CR_BF16, CR_F16 };

static const uint16_t *bits_of(cr_tensor *x)
{
    return (const uint16_t *)cr_data(x);
}

/* All elements of x are those numbers, rounded. */
static bool holds(cr_tensor *x, cr_dtype t, const double *want, int64_t n)
{
    const uint16_t *got = cr_dtype_of(x) == t && cr_numel(x) == n ? bits_of(x) : NULL;
    for (int64_t i = 0; got && i < n; i++)
        if (got[i] != half_nearest(t, want[i])) {
            diag("  element %d: %.9g, and %.9g", (int)i, half_value(t, got[i]), want[i]);
            return false;
        }
    return got != NULL;
}

/* ---- making and reading ---- */

static void test_making(cr_ctx *ctx, cr_dtype t)
{
    CR_SCOPE(ctx);
    const char *name = cr_dtype_name(t);
    const double third[] = { 1.0 / 3 }, steps[] = { 0, 0.1, 0.2, 0.30000000000000004 };
    const uint16_t bits[] = { half_nearest(t, 1.5), half_nearest(t, -3),
                              half_infinity(t) };
    uint16_t back[3] = { 0 };
    ok(strcmp(name, t == CR_BF16 ? "bf16" : "f16") == 0 && cr_dtype_size(t) == 2,
       "%s has its name and 2 bytes", name);
    cr_tensor *x = cr_from(ctx, t, CR_DIMS(3), bits);
    ok(cr_read(x, back, sizeof back) == CR_OK && memcmp(back, bits, sizeof bits) == 0,
       "%s: bits go in and out", name);
    is_near(cr_item(cr_select(x, 0, 1)), -3, 0, "%s: an element is a number", name);
    char text[100];
    cr_format(x, text, sizeof text);
    is_text(text, t == CR_BF16 ? "bf16 [3]\n[1.5,  -3, inf]" : "f16 [3]\n[1.5,  -3, inf]",
            "and text");
    ok(holds(cr_full(ctx, CR_DIMS(1), 1.0 / 3, .dtype = t), t, third, 1), "%s: full",
       name);
    ok(holds(cr_arange(ctx, 0, 0.35, 0.1, .dtype = t), t, steps, 4), "%s: arange", name);
    ok(holds(cr_linspace(ctx, 0, 1.0 / 3, 1, .dtype = t), t, steps, 1), "%s: linspace",
       name);
    const double eye[] = { 1, 0, 0, 1 };
    ok(holds(cr_eye(ctx, 2, .dtype = t), t, eye, 4), "%s: eye", name);
    cr_tensor *r = cr_cast(cr_rand(ctx, CR_DIMS(20000), .dtype = t), CR_F64);
    double most = cr_item(cr_amax(r)), mean = cr_item(cr_mean(r));
    ok(most < 1 && most > 0.98 && cr_item(cr_amin(r)) >= 0 && fabs(mean - 0.5) < 0.02,
       "%s: rand is in [0, 1): at most %g", name, most);
    FAILS(cr_from(ctx, t, CR_DIMS(1), (const float[]){ 1 }), DTYPE, "the data is float");
    FAILS(cr_from(ctx, t, CR_DIMS(1), (const int16_t[]){ 1 }), DTYPE,
          "the data is short");
    float wide[3];
    FAILS(cr_read(x, wide, sizeof wide), DTYPE, "cr_cast() it");
    FAILS(cr_item_i64(cr_select(x, 0, 0)), DTYPE, "is not an integer type");
    static uint16_t many[100000];
    size_t before = cr_memory_used(ctx);
    cr_from(ctx, t, CR_DIMS(100000), many);
    ok(cr_memory_used(ctx) - before < 230000, "%s: an element takes 2 bytes", name);
}

/* The compiler's own type, where it has one. */
static void test_own_type(cr_ctx *ctx)
{
#ifdef __FLT16_MAX__
    CR_SCOPE(ctx);
    const cr_float16_ data[] = { 1, -2, 3 };
    cr_float16_ back[3];
    cr_tensor *x = cr_from(ctx, CR_F16, CR_DIMS(3), data);
    ok(cr_read(cr_neg(x), back, sizeof back) == CR_OK && (float)back[1] == 2,
       "_Float16 is f16");
    FAILS(cr_from(ctx, CR_BF16, CR_DIMS(3), data), DTYPE, "which is not bf16");
    FAILS(cr_from(ctx, CR_F32, CR_DIMS(1), data), DTYPE, "which is not f32");
#else
    (void)ctx;
    skip(3, "this compiler has no _Float16");
#endif
}

/* An operation of the user's own that knows f32 alone. */
static cr_status twice_kernel(const cr_kernel *kernel)
{
    if (kernel->in[0].dtype != CR_F32)
        return CR_ERR_DTYPE;
    for (int64_t i = 0; i < kernel->out.numel; i++)
        ((float *)kernel->out.data)[i] = 2 * ((const float *)kernel->in[0].data)[i];
    return CR_OK;
}

static void twice_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)out;
    ok(cr_dtype_of(g) == CR_F32, "its vjp sees f32");
    down[0] = cr_mul(g, 2);
}

static void test_own_operation(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    static const cr_op wide = { .name = "twice",
                                .kind = CR_OP_OPAQUE,
                                .min_inputs = 1,
                                .kernel = twice_kernel,
                                .vjp = twice_vjp,
                                .widens = true };
    static const cr_op narrow = {
        .name = "as_it_is", .kind = CR_OP_OPAQUE, .min_inputs = 1, .kernel = twice_kernel
    };
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(3), 1.5, .dtype = CR_BF16));
    cr_tensor *y = cr_apply(&wide, &x, 1, NULL);
    ok(cr_dtype_of(y) == CR_BF16 && cr_item(cr_sum(y)) == 9,
       "an operation that widens gets f32 and gives bf16");
    cr_backward(cr_sum(y));
    ok(cr_dtype_of(cr_grad(x)) == CR_BF16 && cr_item(cr_sum(cr_grad(x))) == 6,
       "so its gradient");
    FAILS(cr_eval(cr_apply(&narrow, &x, 1, NULL)), DTYPE, "as_it_is: the kernel failed");
}

/* ---- numbers ---- */

static void test_numbers(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *h = cr_ones(ctx, CR_DIMS(2), .dtype = CR_F16);
    cr_tensor *b = cr_ones(ctx, CR_DIMS(2), .dtype = CR_BF16);
    is_near(cr_item(cr_scalar(ctx, 65519, .dtype = CR_F16)), 65504, 0, "65519 is an f16");
    FAILS(cr_scalar(ctx, 65520, .dtype = CR_F16), DTYPE, "65520 is not a value of f16");
    FAILS(cr_scalar(ctx, 65520.0, .dtype = CR_F16), DTYPE, "65520 is not a value of f16");
    FAILS(cr_scalar(ctx, 3.4e38, .dtype = CR_BF16), DTYPE, "is not a value of bf16");
    FAILS(cr_mul(h, 1e6), DTYPE, "mul: 1e+06 is not a value of f16");
    FAILS(cr_mul(h, 70000), DTYPE, "mul: 70000 is not a value of f16");
    FAILS(cr_add(b, 3.4e38), DTYPE, "is not a value of bf16");
    FAILS(cr_clamp(h, -1e5, 1), DTYPE, "min is not a value of f16");
    ok(isinf(cr_item(cr_scalar(ctx, (double)INFINITY, .dtype = CR_F16))),
       "infinity is one");
    is_near(cr_item(cr_sum(cr_mul(b, 0.1))), 2 * half_rounded(CR_BF16, 0.1), 2e-3,
            "a number beside a tensor keeps the tensor's type");
    ok(cr_dtype_of(cr_mul(b, 2)) == CR_BF16 && cr_dtype_of(cr_div(1, h)) == CR_F16,
       "which is bf16, and f16");
    /* 0.999 is an f32: as a bf16 it would be 1 */
    cr_tensor *large = cr_full(ctx, CR_DIMS(1), 255, .dtype = CR_BF16);
    is_near(cr_item(cr_mul(large, 0.996)), 254, 0, "and takes part as f32");
    cr_tensor *tenth = cr_full(ctx, CR_DIMS(2), 0.7, .dtype = CR_BF16);
    ok(cr_item(cr_sum(cr_eq(tenth, 0.7))) == 2 && cr_item(cr_sum(cr_lt(tenth, 0.7))) == 0,
       "comparisons round it");
    cr_tensor *round = cr_full(ctx, CR_DIMS(1), 256, .dtype = CR_BF16);
    ok(cr_item(cr_sum(cr_eq(round, 257))) == 0 && cr_item(cr_sum(cr_lt(round, 257))) == 1,
       "but are exact with integers");
    cr_tensor *n = cr_full(ctx, CR_DIMS(1), 16777217, .dtype = CR_I32);
    ok(cr_item(cr_sum(cr_lt(cr_full(ctx, CR_DIMS(1), 16777216, .dtype = CR_BF16), n))) ==
           1,
       "also tensors of them");
    is_text(cr_message(ctx), "", "no error");
}

static void test_clamp(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    /* 0.7 is rounded down, to 0.69921875; the gradient there is a bound's all the same */
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(1), 2, .dtype = CR_BF16));
    cr_tensor *y = cr_clamp(x, -0.7, 0.7);
    is_int(cr_backward(cr_sum(y)), CR_OK, "clamp has a gradient");
    ok(cr_item(y) == 0.69921875 && cr_item(cr_grad(x)) == 0, "which is 0 beyond a bound");
}

static void test_softplus(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(1), 30, .dtype = CR_F16));
    cr_tensor *y = cr_softplus(x, .threshold = CR_REAL(1e6));
    is_int(cr_backward(cr_sum(y)), CR_OK, "softplus with a threshold beyond f16");
    ok(cr_item(y) == 30 && cr_item(cr_grad(x)) == 1, "has a gradient");
    is_text(cr_message(ctx), "", "no error");
}

/* ---- casts ---- */

static void test_casts(cr_ctx *ctx, cr_dtype t)
{
    CR_SCOPE(ctx);
    const char *name = cr_dtype_name(t);
    /* the middle of 1 and its neighbour and a little: an f32 between would lose that */
    const double up = 1 + (t == CR_BF16 ? 0x1p-8 : 0x1p-11) + 0x1p-50;
    cr_tensor *x = cr_from(ctx, CR_F64, CR_DIMS(2), ((const double[]){ up, -up }));
    ok(holds(cr_cast(x, t), t, (const double[]){ up, -up }, 2), "f64 to %s: once", name);
    const int64_t whole = (INT64_C(1) << 40) + (INT64_C(1) << 32) + 1;
    cr_tensor *n = cr_from(ctx, CR_I64, CR_DIMS(1), &whole);
    ok(holds(cr_cast(n, t), t, (const double[]){ (double)whole }, 1), "i64 to %s: once",
       name);
    cr_tensor *h = cr_cast(
        cr_from(ctx, CR_F32, CR_DIMS(4), ((const float[]){ 2.75f, -3.5f, 0, 300 })), t);
    ok(cr_item_i64(cr_sum(cr_cast(h, CR_I32))) == 2 - 3 + 300, "%s to i32", name);
    ok(cr_item_i64(cr_sum(cr_cast(h, CR_BOOL))) == 3, "%s to bool", name);
    ok(cr_item_i64(cr_sum(cr_cast(h, CR_U8))) == 2 + 255, "%s to u8: saturates", name);
    ok(holds(cr_cast(cr_cast(h, CR_BOOL), t), t, (const double[]){ 1, 1, 0, 1 }, 4),
       "bool to %s", name);
    cr_tensor *odd =
        cr_cast(cr_from(ctx, CR_F32, CR_DIMS(4),
                        ((const float[]){ NAN, 3.4e38f, -1e-45f, -INFINITY })),
                t);
    const uint16_t *bits = bits_of(odd);
    ok(bits && half_is_nan(t, bits[0]) && bits[1] == half_infinity(t) &&
           bits[2] == 0x8000 && bits[3] == (half_infinity(t) | 0x8000),
       "%s: NaN stays, what is too large is infinite, what is too small a zero", name);
    ok(holds(cr_cast(cr_full(ctx, CR_DIMS(1), 70000), CR_F16), CR_F16,
             (const double[]){ (double)INFINITY }, 1),
       "70000 cast to f16 is infinite");
}

/* A result of another size than what it is made of, which is not wanted any more. */
static void test_many_threads(cr_dtype t)
{
    enum { SIDE = 700 };
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 7 });
    bool right = true;
    {
        CR_SCOPE(ctx);
        cr_tensor *x = cr_randn(ctx, CR_DIMS(SIDE, 4)),
                  *y = cr_randn(ctx, CR_DIMS(4, SIDE));
        cr_eval(x, y);
        cr_tensor *narrow = cr_cast(cr_matmul(x, y), t);
        cr_tensor *wide = cr_cast(cr_matmul(cr_cast(x, t), cr_cast(y, t)), CR_F64);
        cr_eval(narrow, wide);
        const float *product = (const float *)cr_data(cr_matmul(x, y));
        const uint16_t *got = bits_of(narrow);
        const double *got_wide = (const double *)cr_data(wide);
        const uint16_t *product_16 = bits_of(cr_matmul(cr_cast(x, t), cr_cast(y, t)));
        for (int64_t i = 0; i < SIDE * SIDE && right; i++)
            right = got[i] == half_nearest(t, (double)product[i]) &&
                    got_wide[i] == half_value(t, product_16[i]);
    }
    ok(right, "%s: casts of what dies, on many threads", cr_dtype_name(t));
    cr_close(ctx);
}

/* ---- which types meet ---- */

static void test_types(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *b = cr_ones(ctx, CR_DIMS(2, 2), .dtype = CR_BF16);
    cr_tensor *h = cr_ones(ctx, CR_DIMS(2, 2), .dtype = CR_F16);
    cr_tensor *f = cr_ones(ctx, CR_DIMS(2, 2)), *w = cr_ones(ctx, CR_DIMS(2));
    cr_tensor *n = cr_full(ctx, CR_DIMS(2, 2), 3, .dtype = CR_I64);
    cr_tensor *two[] = { b, f };
    FAILS(cr_add(b, h), DTYPE, "add: dtypes differ: bf16 and f16");
    FAILS(cr_add(b, f), DTYPE, "cr_cast() one of them");
    FAILS(cr_matmul(b, f), DTYPE, "matmul: types differ: bf16 @ f32");
    FAILS(cr_matmul(f, b), DTYPE, "cr_cast()");
    FAILS(cr_linear(b, f, NULL), DTYPE, "cr_cast()");
    FAILS(cr_layer_norm(b, CR_DIMS(2), w, NULL), DTYPE, "layer_norm: dtypes differ");
    FAILS(cr_mse_loss(b, f), DTYPE, "mse_loss: dtypes differ: bf16 and f32");
    FAILS(cr_where(cr_gt(b, 0), b, h), DTYPE, "cr_cast()");
    FAILS(cr_batch_norm(b, NULL, NULL, w, NULL, true, 0.1), DTYPE,
          "batch_norm: dtypes differ");
    FAILS(cr_cat(two, 2, 0), DTYPE, "bf16");
    ok(cr_dtype_of(cr_add(b, n)) == CR_BF16 && cr_item(cr_sum(cr_add(n, h))) == 16,
       "integers take their type");
    ok(cr_dtype_of(cr_sum(b)) == CR_BF16 && cr_dtype_of(cr_mean(h, 0)) == CR_F16 &&
           cr_dtype_of(cr_argmax(b)) == CR_I64 &&
           cr_dtype_of(cr_matmul(b, b)) == CR_BF16 &&
           cr_dtype_of(cr_softmax(h, 1)) == CR_F16 && cr_dtype_of(cr_eq(b, b)) == CR_BOOL,
       "results have it");
    is_text(cr_message(ctx), "", "no error");
}

/* ---- sums ---- */

static void test_sums(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *ones = cr_ones(ctx, CR_DIMS(1000, 300), .dtype = CR_BF16);
    is_near(cr_item(cr_sum(ones)), 299008, 0, "300000 ones are summed in f32");
    is_near(cr_item(cr_matmul(cr_select(ones, 0, 0), cr_select(ones, 0, 0))), 300, 0,
            "so are products");
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(1000, 100), 2, .dtype = CR_F16));
    cr_tensor *mean = cr_mean(x);
    is_int(cr_backward(mean), CR_OK, "a mean of more than 65504 elements has a gradient");
    is_near(cr_item(mean), 2, 0, "its value");
    is_near(cr_item(cr_amax(cr_grad(x))), half_rounded(CR_F16, 1e-5), 0,
            "and its gradient");
    cr_tensor *logits = cr_full(ctx, CR_DIMS(2, 1000), 1000, .dtype = CR_F16);
    is_near(cr_item(cr_sum(cr_softmax(logits, 1))), 2, 2e-3, "softmax overflows nowhere");
    is_near(cr_item(cr_sum(cr_logsumexp(logits, 1))), 2 * (1000 + log(1000)), 2,
            "nor logsumexp");
    cr_tensor *big = cr_full(ctx, CR_DIMS(4), 300, .dtype = CR_F16);
    is_near(cr_item(cr_var(cr_cat(((cr_tensor *[]){ big, cr_neg(big) }), 2, 0))),
            (double)INFINITY, 0, "a variance beyond f16 is infinite");
    cr_tensor *normal = cr_layer_norm(cr_cat(((cr_tensor *[]){ big, cr_neg(big) }), 2, 0),
                                      CR_DIMS(8), NULL, NULL);
    is_near(cr_item(cr_amax(normal)), 1, 0, "but what it normalises is not");
    is_text(cr_message(ctx), "", "no error");
}

/* ---- gradients ---- */

static cr_tensor *network(cr_tensor *x, cr_tensor *w, cr_tensor *v)
{
    cr_tensor *y = cr_tanh(cr_matmul(x, w));
    return cr_mean(cr_mul(cr_softmax(cr_matmul(y, v), 1), y));
}

static cr_tensor *sum_of(cr_ctx *ctx, cr_tensor *const *in, int n, void *user)
{
    (void)ctx, (void)n, (void)user;
    return cr_cast(cr_sum(in[0]), CR_F64);
}

static void test_gradients(cr_ctx *ctx, cr_dtype t)
{
    CR_SCOPE(ctx);
    cr_tensor *leaf[3], *wide[3];
    for (int i = 0; i < 3; i++) {
        leaf[i] = cr_requires_grad(cr_mul(cr_randn(ctx, CR_DIMS(6, 6), .dtype = t), 0.5));
        wide[i] = cr_requires_grad(cr_cast(cr_detach(leaf[i]), CR_F64));
    }
    is_int(cr_backward(cr_mul(network(leaf[0], leaf[1], leaf[2]), 64)), CR_OK,
           "backward");
    is_int(cr_backward(cr_mul(network(wide[0], wide[1], wide[2]), 64)), CR_OK, "in f64");
    for (int i = 0; i < 3; i++) {
        cr_tensor *g = cr_cast(cr_grad(leaf[i]), CR_F64), *want = cr_grad(wide[i]);
        double off = cr_item(cr_amax(cr_abs(cr_sub(g, want))));
        double size = cr_item(cr_amax(cr_abs(want)));
        ok(cr_dtype_of(cr_grad(leaf[i])) == t && size > 0 &&
               off < size * (t == CR_BF16 ? 0.04 : 0.005),
           "%s: gradient %d is that of f64, nearly: %.2g of %.2g", cr_dtype_name(t), i,
           off, size);
    }
    cr_tensor *twice[2] = { cr_grad(leaf[0]), NULL };
    double first = cr_item(cr_select(cr_select(twice[0], 0, 0), 0, 0));
    cr_backward(cr_mul(network(leaf[0], leaf[1], leaf[2]), 64));
    is_near(cr_item(cr_select(cr_select(cr_grad(leaf[0]), 0, 0), 0, 0)), 2 * first, 0,
            "a second pass is added");
    FAILS(cr_gradcheck(sum_of, NULL, leaf, 1), DTYPE, "cast it with cr_cast(x, CR_F64)");
    is_text(cr_message(ctx), "", "no error");
}

/* ---- optimisers ---- */

typedef cr_optim *maker(const cr_params *params);

static cr_optim *make_sgd(const cr_params *p)
{
    return cr_optim_sgd(p, 0.01, .momentum = 0.9);
}

static cr_optim *make_adam(const cr_params *p)
{
    return cr_optim_adam(p, 1e-3);
}

static cr_optim *make_adamw(const cr_params *p)
{
    return cr_optim_adamw(p, 1e-3, 0.1);
}

/* Each step is that of an f32 parameter with the same value, gradient and state, rounded. */
static void test_optimiser(cr_ctx *ctx, cr_dtype t, maker *make, const char *what)
{
    CR_SCOPE(ctx);
    enum { N = 24 };
    bool same = true;
    cr_tensor *p = cr_requires_grad(cr_randn(ctx, CR_DIMS(N), .dtype = t));
    cr_tensor *q = cr_requires_grad(cr_cast(cr_detach(p), CR_F32));
    cr_eval(p, q);
    cr_optim *a = make(cr_params_of((&p), NULL, 1)),
             *b = make(cr_params_of((&q), NULL, 1));
    for (int step = 0; step < 30; step++) {
        CR_SCOPE(ctx);
        cr_tensor *g = cr_mul(cr_randn(ctx, CR_DIMS(N), .dtype = t), 1e-3);
        cr_set_grad(p, g);
        cr_set_grad(q, cr_cast(g, CR_F32));
        cr_optim_step(a);
        cr_optim_step(b);
        cr_tensor *rounded = cr_cast(q, t);
        cr_eval(p, q, rounded);
        same = same && memcmp(bits_of(p), bits_of(rounded), N * 2) == 0;
        cr_assign(q, cr_cast(rounded, CR_F32)); /* its state goes on */
        cr_eval(q);
    }
    ok(same, "%s: a step of %s is that of f32, rounded", cr_dtype_name(t), what);
    is_text(cr_message(ctx), "", "no error");
    cr_optim_free(a);
    cr_optim_free(b);
}

static void test_clipping(cr_ctx *ctx, cr_dtype t)
{
    CR_SCOPE(ctx);
    cr_tensor *p = cr_requires_grad(cr_zeros(ctx, CR_DIMS(4), .dtype = t));
    cr_set_grad(p, cr_full(ctx, CR_DIMS(4), 300, .dtype = t));
    cr_tensor *norm = cr_clip_grad_norm(cr_params_of((&p), NULL, 1), 2);
    is_near(cr_item(norm), 600, 0, "%s: the norm", cr_dtype_name(t));
    is_near(cr_item(cr_select(cr_grad(p), 0, 2)), 1, 0, "and what is clipped by it");
    cr_clip_grad_value(cr_params_of((&p), NULL, 1), 1e30);
    is_near(cr_item(cr_select(cr_grad(p), 0, 2)), 1, 0,
            "a bound beyond the type is none");
    cr_clip_grad_value(cr_params_of((&p), NULL, 1), 0.5);
    is_near(cr_item(cr_select(cr_grad(p), 0, 2)), 0.5, 0, "a smaller one is one");
    is_text(cr_message(ctx), "", "no error");
}

/* ---- modules ---- */

static double loss_after(cr_ctx *ctx, cr_module *net, cr_optim *optim, int steps)
{
    double last = 0;
    for (int i = 0; i <= steps; i++) {
        CR_SCOPE(ctx);
        cr_seed(ctx, 5);
        cr_tensor *x = cr_randn(ctx, CR_DIMS(64, 8), .dtype = CR_BF16);
        cr_tensor *y = cr_argmax(cr_slice(x, 1, 0, 3), 1);
        cr_tensor *loss = cr_cross_entropy(cr_nn_forward(net, x), y);
        if (i < steps) {
            cr_optim_zero_grad(optim);
            cr_backward(loss);
            cr_optim_step(optim);
        }
        last = cr_item(loss);
    }
    return last;
}

static void test_modules(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, 8, 32, .dtype = CR_BF16));
    cr_nn_add(net, cr_nn_batch_norm1d(ctx, 32, .dtype = CR_BF16));
    cr_nn_add(net, cr_nn_relu(ctx));
    cr_nn_add(net, cr_nn_linear(ctx, 32, 3, .dtype = CR_BF16));
    cr_optim *optim = cr_optim_adam(cr_nn_params(net), 0.01);
    double before = loss_after(ctx, net, optim, 0),
           after = loss_after(ctx, net, optim, 60);
    ok(before > 0.8 && after < 0.25, "a bf16 network learns: %.3g, then %.3g", before,
       after);
    is_text(cr_message(ctx), "", "no error");
    cr_tensor *w = cr_nn_param(net, "0.weight");
    ok(cr_dtype_of(w) == CR_BF16, "its parameters are bf16");
    is_int(cr_init_kaiming_uniform(w, 1), CR_OK, "initialisers fill them");
    /* f32 numbers, rounded: not the 256 that rand has in bf16 */
    cr_tensor *d = cr_cast(w, CR_F64);
    ok(cr_item(cr_amax(cr_abs(d))) <= sqrt(3.0 / 8) && cr_item(cr_amax(d)) > 0.55,
       "in range");
    cr_optim_free(optim);
    cr_nn_free(net);
    is_text(cr_message(ctx), "", "no error");
}

static void test_running_statistics(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_add(cr_randn(ctx, CR_DIMS(500, 2), .dtype = CR_BF16), 3);
    cr_tensor *mean = cr_zeros(ctx, CR_DIMS(2), .dtype = CR_BF16);
    cr_tensor *var = cr_ones(ctx, CR_DIMS(2), .dtype = CR_BF16);
    cr_tensor *y = cr_batch_norm(x, mean, var, NULL, NULL, true, 0.5);
    cr_eval(y, mean, var);
    ok(cr_dtype_of(y) == CR_BF16 && fabs(cr_item(cr_mean(y))) < 0.02,
       "batch_norm normalises");
    is_near(cr_item(cr_mean(mean)), 1.5, 0.05, "and its running mean moves");
    is_text(cr_message(ctx), "", "no error");
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    for (int i = 0; i < 2; i++) {
        test_making(ctx, halves[i]);
        test_casts(ctx, halves[i]);
        test_many_threads(halves[i]);
        test_gradients(ctx, halves[i]);
        test_optimiser(ctx, halves[i], make_sgd, "SGD");
        test_optimiser(ctx, halves[i], make_adam, "Adam");
        test_optimiser(ctx, halves[i], make_adamw, "AdamW");
        test_clipping(ctx, halves[i]);
    }
    test_own_type(ctx);
    test_own_operation(ctx);
    test_numbers(ctx);
    test_clamp(ctx);
    test_softplus(ctx);
    test_types(ctx);
    test_sums(ctx);
    test_modules(ctx);
    test_running_statistics(ctx);
    cr_close(ctx);
    return done_testing();
}
