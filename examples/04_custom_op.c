/* An operation of your own, in two ways, and how to be sure of its derivative.
 *
 *     softsign(x) = x / (1 + |x|)        d/dx = 1 / (1 + |x|)^2
 */
#include "lesson.h"

/* ---- the first way: an operation like those of the library ---- */

static cr_status softsign_kernel(const cr_kernel *kernel)
{
    const cr_array *in = &kernel->in[0];
    for (int64_t i = 0; i < in->numel; i++)
        if (in->dtype == CR_F32) {
            float x = ((const float *)in->data)[i];
            ((float *)kernel->out.data)[i] = x / (1 + fabsf(x));
        } else {
            double x = ((const double *)in->data)[i];
            ((double *)kernel->out.data)[i] = x / (1 + fabs(x));
        }
    return CR_OK;
}

/* The chain rule's step, made of operations: so it can be differentiated again. */
static void softsign_vjp(cr_tensor *out, cr_tensor *cotangent,
                         cr_tensor **input_cotangents)
{
    cr_tensor *x = cr_input(out, 0);
    input_cotangents[0] = cr_div(cotangent, cr_square(cr_add(cr_abs(x), 1)));
}

static cr_status floats_only(cr_infer *infer)
{
    if (infer->in_dtype[0] == CR_F32 || infer->in_dtype[0] == CR_F64)
        return CR_OK;
    return cr_fail(infer->ctx, CR_ERR_DTYPE, "softsign takes f32 and f64");
}

static const cr_op softsign_op = {
    .name = "softsign",
    .doc = "x / (1 + |x|)",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .shape = floats_only,
    .vjp = softsign_vjp,
    .reads = CR_READS_INPUT(0),
    .kernel = softsign_kernel,
};

static cr_tensor *softsign(cr_ctx *ctx, cr_tensor *const *inputs, int n, void *user)
{
    (void)ctx, (void)user;
    return cr_apply(&softsign_op, inputs, n, NULL);
}

/* ---- the second way: two functions over plain arrays ---- */

static bool forward(const cr_array *in, int n, cr_array *out, void *user)
{
    const double *x = in[0].data;
    double *y = out->data;
    for (int64_t i = 0; i < out->numel; i++)
        y[i] = x[i] / (1 + fabs(x[i]));
    (void)n, (void)user;
    return true;
}

static bool backward(const cr_array *in, int n, const cr_array *out,
                     const cr_array *cotangent, cr_array *in_cotangents, void *user)
{
    const double *x = in[0].data, *g = cotangent->data, power = *(const double *)user;
    double *d = in_cotangents[0].data;
    for (int64_t i = 0; d && i < out->numel; i++)
        d[i] = g[i] / pow(1 + fabs(x[i]), power);
    (void)n;
    return true;
}

static cr_tensor *plain_softsign(cr_ctx *ctx, cr_tensor *const *inputs, int n, void *user)
{
    cr_custom_def def = {
        .name = "plain softsign", .forward = forward, .backward = backward, .user = user
    };
    (void)ctx;
    return cr_custom(&def, inputs, n, CR_F64, cr_shape(inputs[0]));
}

/* ---- the check ---- */

static void report(cr_ctx *ctx, const char *what, cr_status status)
{
    printf("%-44s %s\n", what, status == CR_OK ? "right" : cr_message(ctx));
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    const double values[] = { -3, -0.5, 0.25, 2 };
    double right = 2, wrong = 1; /* the power of 1 + |x| */
    cr_tensor *x = cr_requires_grad(cr_from(ctx, CR_F64, CR_DIMS(4), values));

    printf("derivatives against finite differences\n");
    report(ctx, "  softsign, first and second order:",
           cr_gradcheck(softsign, NULL, &x, 1, .second_order = true));
    report(ctx, "  softsign from two plain functions:",
           cr_gradcheck(plain_softsign, &right, &x, 1));
    if (cr_error(ctx))
        return finish(ctx);
    report(ctx, "  the same, with a slip in the derivative:",
           cr_gradcheck(plain_softsign, &wrong, &x, 1));
    bool caught = cr_error(ctx) == CR_ERR_GRAD;
    cr_clear(ctx);
    return finish(ctx) || !caught;
}
