/* cr_custom: an operation made of two C functions over plain arrays. */
#include "opaque.h"
#include "ops.h"

#include <string.h>

/* reads has a bit for each input. */
#define MAX_CUSTOM_INPUTS 31

/* backward has the inputs, the output and its cotangent as its own inputs, and computes
 * the cotangent of input `which`. */
typedef struct custom_attrs {
    cr_custom_def def;
    char name[40];
    cr_dtype dtype;
    cr_dims dims;
    int which;
} custom_attrs;

static cr_status custom_shape(cr_infer *infer)
{
    const custom_attrs *attrs = infer->attrs;
    if (!attrs->def.forward)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                           "its functions are given to cr_custom()");
    infer->dtype = attrs->dtype;
    infer->dims = attrs->dims;
    return CR_OK;
}

static cr_status forward_kernel(const cr_kernel *kernel)
{
    const custom_attrs *attrs = kernel->attrs;
    cr_array out = kernel->out;
    if (attrs->def.forward(kernel->in, kernel->n, &out, attrs->def.user))
        return CR_OK;
    snprintf(kernel->message, kernel->capacity, "%s: its forward function failed",
             attrs->name);
    return CR_ERR_ARGUMENT;
}

static cr_status backward_kernel(const cr_kernel *kernel)
{
    const custom_attrs *attrs = kernel->attrs;
    cr_array cotangents[MAX_CUSTOM_INPUTS];
    int n = kernel->n - 2;
    for (int i = 0; i < n; i++) {
        cotangents[i] = kernel->in[i];
        cotangents[i].data = i == attrs->which ? kernel->out.data : NULL;
    }
    if (attrs->def.backward(kernel->in, n, &kernel->in[n], &kernel->in[n + 1], cotangents,
                            attrs->def.user))
        return CR_OK;
    snprintf(kernel->message, kernel->capacity, "%s: its backward function failed",
             attrs->name);
    return CR_ERR_ARGUMENT;
}

static void no_second_derivative(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const custom_attrs *attrs = cr_attrs(out);
    (void)g, (void)down;
    cr_fail(out->ctx, CR_ERR_GRAD,
            "%s: no second derivative: its backward is a C function (%s); an operation "
            "whose vjp calls operations has one (cr_apply)",
            attrs->name, out->site);
}

CR__OP(custom_backward) = {
    .name = "custom_backward",
    .doc = "the cotangent of one input of custom",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 1,
    .max_inputs = -1,
    .inputs = "inputs",
    .attrs_size = sizeof(custom_attrs),
    .shape = custom_shape,
    .vjp = no_second_derivative,
    .kernel = backward_kernel,
    .samples = CR__SAMPLES({ "f[2,3]~ f[2,3]~", NULL }),
};

static void custom_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    custom_attrs attrs = *(const custom_attrs *)cr_attrs(out);
    cr_tensor *inputs[MAX_CUSTOM_INPUTS + 2];
    int n = cr_input_count(out);
    for (int i = 0; i < n; i++)
        inputs[i] = cr_input(out, i);
    inputs[n] = out;
    inputs[n + 1] = g;
    for (int i = 0; i < n; i++) {
        if (!cr_input_needs_grad(out, i))
            continue;
        attrs.which = i;
        attrs.dtype = cr_dtype_of(inputs[i]);
        attrs.dims = cr_shape(inputs[i]);
        down[i] =
            cr__record_n(NULL, &cr__op_custom_backward, inputs, n + 2, &attrs, CR_HERE);
    }
}

CR__OP(custom) = {
    .name = "custom",
    .doc = "a C function over plain arrays",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 1,
    .max_inputs = -1,
    .inputs = "inputs",
    .attrs_size = sizeof(custom_attrs),
    .shape = custom_shape,
    .vjp = custom_vjp,
    .reads = CR_READS_INPUTS | CR_READS_OUTPUT,
    .kernel = forward_kernel,
    .samples = CR__SAMPLES({ "f[2,3] f[2,3]", NULL }, { "f[4] f[4]~", NULL }),
};

/* The same without a backward function: gradients end here. */
CR__OP(custom_forward) = {
    .name = "custom",
    .doc = "a C function over plain arrays",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 1,
    .max_inputs = -1,
    .inputs = "inputs",
    .attrs_size = sizeof(custom_attrs),
    .shape = custom_shape,
    .kernel = forward_kernel,
    .samples = CR__SAMPLES({ "f[2,3] f[2,3]", NULL }, { "f[4] f[4]~", NULL }),
};

static cr_ctx *context_of(cr_tensor *const *inputs, int n)
{
    cr_ctx *ctx = NULL;
    for (int i = 0; i < n && inputs && !ctx; i++)
        ctx = inputs[i] ? inputs[i]->ctx : NULL;
    return ctx;
}

/* All that recording would check, so that messages have the definition's name. */
static bool check_custom(cr_ctx *ctx, const custom_attrs *attrs, cr_tensor *const *inputs,
                         int n, const char *site)
{
    const cr_op named = { .name = attrs->name };
    int64_t numel;
    char input[64];
    if (n > MAX_CUSTOM_INPUTS)
        return !cr__op_fail(ctx, &named, CR_ERR_ARGUMENT, NULL, "%d inputs, at most %d",
                            n, MAX_CUSTOM_INPUTS);
    if (!cr_dtype_size(attrs->dtype))
        return !cr__op_fail(ctx, &named, CR_ERR_DTYPE, NULL, "%d is no dtype",
                            (int)attrs->dtype);
    for (int i = 0; i < n; i++) {
        snprintf(input, sizeof input, "%s: input %d", attrs->name, i);
        if (!cr__usable(ctx, inputs[i], input, site))
            return false;
    }
    return cr__dims_numel(ctx, &named, attrs->dims, attrs->dtype, &numel);
}

cr_tensor *cr_custom_at(const cr_custom_def *def, cr_tensor *const *inputs, int n,
                        cr_dtype dtype, cr_dims dims, const char *site)
{
    cr_ctx *ctx = context_of(inputs, n);
    if (!ctx || ctx->status)
        return NULL;
    site = ctx->site ? ctx->site : site ? site : "?";
    if (!def || !def->forward) {
        cr_fail(ctx, CR_ERR_NULL, "cr_custom: no forward function (%s)", site);
        return NULL;
    }
    custom_attrs attrs = { .def = *def, .dtype = dtype ? dtype : CR_F32, .dims = dims };
    const char *outer = ctx->site;
    snprintf(attrs.name, sizeof attrs.name, "%s", def->name ? def->name : "custom");
    attrs.def.name = NULL;
    ctx->site = site;
    bool good = check_custom(ctx, &attrs, inputs, n, site);
    ctx->site = outer;
    if (!good)
        return NULL;
    return cr__record_n(ctx, def->backward ? &cr__op_custom : &cr__op_custom_forward,
                        inputs, n, &attrs, site);
}
