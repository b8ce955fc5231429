/* cr_custom: an operation made of two C functions over plain arrays. */
#include "opaque.h"
#include "ops.h"

#include <string.h>

/* backward has the inputs, the output and its cotangent as its own inputs, and computes
 * the cotangents of those of one dtype that are wanted: one as it is, several one behind
 * the other, each from a multiple of 64 bytes on. */
typedef struct custom_attrs {
    cr_custom_def def;
    cr_custom_inputs how;
    char name[40];
    cr_dtype dtype;
    cr_dims dims;
    uint64_t wanted; /* a bit for each input, the last for all that follow */
} custom_attrs;

static uint64_t wanted_bit(int input)
{
    return (uint64_t)1 << (input < 63 ? input : 63);
}

static bool is_wanted(const custom_attrs *attrs, int input, cr_dtype dtype)
{
    return dtype == attrs->dtype && attrs->wanted & wanted_bit(input);
}

/* What numel elements take among several. */
static int64_t packed_size(int64_t numel, cr_dtype dtype)
{
    int64_t line = 64 / (int64_t)cr_dtype_size(dtype);
    return (numel + line - 1) / line * line;
}

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

static cr__traits custom_traits(const cr_tensor *x)
{
    const custom_attrs *attrs = x->attrs;
    return (cr__traits){ .strided = attrs->how.strided,
                         .fetched = attrs->how.fetched,
                         .once = attrs->how.once,
                         .checks = attrs->how.checks,
                         .n = x->n_inputs,
                         .checked = attrs->how.check != NULL };
}

/* What the check has passed is not checked again. */
static cr__traits backward_traits(const cr_tensor *x)
{
    cr__traits traits = custom_traits(x);
    traits.n -= 2;
    traits.once = 0;
    traits.never_fails = traits.checked;
    traits.checked = false;
    return traits;
}

static const cr__opaque_info custom_info = { .traits = custom_traits };
static const cr__opaque_info backward_info = { .traits = backward_traits };

static cr_status custom_check(const cr_kernel *kernel)
{
    const custom_attrs *attrs = kernel->attrs;
    char why[200] = "";
    if (attrs->how.check(kernel->in, kernel->n, why, sizeof why, attrs->def.user))
        return CR_OK;
    snprintf(kernel->message, kernel->capacity, "%s: %s", attrs->name,
             why[0] ? why : "its check failed");
    return CR_ERR_ARGUMENT;
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
    cr_array *cotangents = kernel->scratch;
    int64_t size = (int64_t)cr_dtype_size(kernel->out.dtype), at = 0;
    int n = kernel->n - 2;
    for (int i = 0; i < n; i++) {
        const cr_array *in = &kernel->in[i];
        cotangents[i] = (cr_array){ NULL, in->dtype, in->dims, in->numel, { 0 }, NULL };
        for (int64_t d = in->dims.n - 1, stride = 1; d >= 0; stride *= in->dims.v[d--])
            cotangents[i].strides[d] = stride;
        if (!is_wanted(attrs, i, in->dtype))
            continue;
        char *to = (char *)kernel->out.data + at * size;
        int64_t left = kernel->out.numel - at, room = packed_size(in->numel, in->dtype);
        room = room < left ? room : left;
        memset(to + in->numel * size, 0, (size_t)((room - in->numel) * size));
        cotangents[i].data = to;
        at += room;
    }
    if (attrs->def.backward(kernel->in, n, &kernel->in[n], &kernel->in[n + 1], cotangents,
                            attrs->def.user))
        return CR_OK;
    snprintf(kernel->message, kernel->capacity, "%s: its backward function failed",
             attrs->name);
    return CR_ERR_ARGUMENT;
}

static size_t backward_scratch(const cr_tensor *out)
{
    return (size_t)(cr_input_count(out) - 2) * sizeof(cr_array);
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
    .scratch = backward_scratch,
    .internal = &backward_info,
    .samples = CR__SAMPLES({ "f[2,3]~ f[2,3]~", NULL }),
};

/* The cotangents of out's inputs that are of this dtype, from one call of backward. */
static void cotangents_of(cr_dtype dtype, cr_tensor *out, cr_tensor *const *inputs,
                          custom_attrs attrs, cr_tensor **down)
{
    int n = cr_input_count(out);
    int count = 0, last = 0;
    int64_t total = 0;
    attrs.dtype = dtype;
    for (int i = 0; i < n; i++)
        if (is_wanted(&attrs, i, cr_dtype_of(inputs[i]))) {
            if (__builtin_add_overflow(total, packed_size(cr_numel(inputs[i]), dtype),
                                       &total))
                total = INT64_MAX; /* which is refused */
            count++;
            last = i;
        }
    if (!count)
        return;
    attrs.dims = count == 1 ? cr_shape(inputs[last]) : CR_DIMS(total);
    cr_tensor *all =
        cr__record_n(NULL, &cr__op_custom_backward, inputs, n + 2, &attrs, CR_HERE);
    if (count == 1) {
        down[last] = all;
        return;
    }
    for (int64_t i = 0, at = 0; i < n; i++)
        if (is_wanted(&attrs, (int)i, cr_dtype_of(inputs[i]))) {
            int64_t numel = cr_numel(inputs[i]);
            if (cr_input_needs_grad(out, (int)i))
                down[i] =
                    cr_reshape(cr_slice(all, 0, at, at + numel), cr_shape(inputs[i]));
            at += packed_size(numel, dtype);
        }
}

/* Of so many no memory is obtained. */
#define FEW_INPUTS 8

static void custom_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    custom_attrs attrs = *(const custom_attrs *)cr_attrs(out);
    int n = cr_input_count(out);
    cr_tensor *few[FEW_INPUTS + 2], **inputs = few;
    if (n > FEW_INPUTS &&
        !(inputs = cr__alloc(out->ctx, ((size_t)n + 2) * sizeof *inputs)))
        return;
    attrs.wanted = 0;
    for (int i = 0; i < n; i++) {
        inputs[i] = cr_input(out, i);
        attrs.wanted |= cr_input_needs_grad(out, i) ? wanted_bit(i) : 0;
    }
    inputs[n] = out;
    inputs[n + 1] = g;
    for (int dtype = CR_F32; dtype < CR_DTYPES; dtype++)
        if (cr__is_float((cr_dtype)dtype))
            cotangents_of((cr_dtype)dtype, out, inputs, attrs, down);
    if (inputs != few)
        cr__free(out->ctx, inputs);
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
    .check = custom_check,
    .internal = &custom_info,
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
    .check = custom_check,
    .internal = &custom_info,
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
    return cr_custom_with_at(def, NULL, inputs, n, dtype, dims, site);
}

cr_tensor *cr_custom_with_at(const cr_custom_def *def, const cr_custom_inputs *how,
                             cr_tensor *const *inputs, int n, cr_dtype dtype,
                             cr_dims dims, const char *site)
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
    if (how)
        attrs.how = *how;
    ctx->site = site;
    bool good = check_custom(ctx, &attrs, inputs, n, site);
    ctx->site = outer;
    if (!good)
        return NULL;
    return cr__record_n(ctx, def->backward ? &cr__op_custom : &cr__op_custom_forward,
                        inputs, n, &attrs, site);
}
