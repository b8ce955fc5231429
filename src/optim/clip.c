/* Clipping of gradients: by their joint norm, and element by element. */
#include "../base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the joint norm, as an operation ---- */

/* Inputs: the parameters' names, each with its final NUL, as bytes, and the sum of
 * squares of each gradient. The names are an input because a kernel may run after the
 * list of parameters is gone. */
static cr_status norm_shape(cr_infer *infer)
{
    infer->dtype = CR_F64;
    infer->dims = CR_NO_DIMS;
    return CR_OK;
}

static cr_status norm_kernel(const cr_kernel *kernel)
{
    const char *name = kernel->in[0].data;
    double total = 0;
    for (int i = 1; i < kernel->n; i++, name += strlen(name) + 1) {
        double sum = *(const double *)kernel->in[i].data;
        if (!isfinite(sum)) {
            snprintf(
                kernel->message, kernel->capacity,
                "the gradient of %s is not finite: its sum of squares is %g; look for an "
                "overflow in the loss, or lower the learning rate",
                name, sum);
            return CR_ERR_NONFINITE;
        }
        total += sum;
    }
    *(double *)kernel->out.data = sqrt(total);
    return CR_OK;
}

static const cr_op norm_op = {
    .name = "clip_grad_norm",
    .doc = "the joint 2-norm of gradients, from the sum of squares of each",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 1,
    .max_inputs = -1,
    .inputs = "names",
    .shape = norm_shape,
    .kernel = norm_kernel,
};

/* ---- the gradients of a list ---- */

typedef struct gradients {
    int n;
    cr_tensor **params, **values; /* those that have a gradient; values: old, then new */
    cr_tensor **inputs;           /* room for n + 1 */
    char *names;
    size_t names_size;
} gradients;

/* One block of memory holds everything; gradients.params is its start. */
static bool collect(const cr_params *params, gradients *found)
{
    size_t n = 0, bytes = 0;
    *found = (gradients){ 0 };
    for (int i = 0; i < params->n; i++)
        if (cr_grad(params->list[i].tensor)) {
            const char *name = params->list[i].name;
            n++;
            bytes += strlen(name ? name : "") + 1;
        }
    if (!n)
        return true;
    found->params = cr__alloc(params->ctx, (3 * n + 1) * sizeof(cr_tensor *) + bytes);
    if (!found->params)
        return false;
    found->values = found->params + n;
    found->inputs = found->values + n;
    found->names = (char *)(found->inputs + n + 1);
    for (int i = 0; i < params->n; i++) {
        cr_tensor *param = params->list[i].tensor, *grad = cr_grad(param);
        if (!grad)
            continue;
        const char *name = params->list[i].name ? params->list[i].name : "";
        found->params[found->n] = param;
        found->values[found->n++] = grad;
        memcpy(found->names + found->names_size, name, strlen(name) + 1);
        found->names_size += strlen(name) + 1;
    }
    return true;
}

/* Replaces the gradients by the new values, unless making one of them failed. */
static void replace(cr_ctx *ctx, const gradients *g)
{
    for (int i = 0; i < g->n && !cr_error(ctx); i++)
        cr_set_grad(g->params[i], g->values[i]);
}

static bool check(const cr_params *params, double limit, const char *what,
                  const char *site)
{
    if (!params || !params->ctx || cr_error(params->ctx))
        return false;
    if (limit >= 0)
        return true;
    cr_fail(params->ctx, CR_ERR_ARGUMENT, "%s is %g; 0 or more (%s)", what, limit,
            site ? site : "?");
    return false;
}

/* ---- clipping ---- */

static cr_tensor *joint_norm(cr_ctx *ctx, const gradients *g, const char *site)
{
    g->inputs[0] =
        cr_from_at(ctx, CR_U8, CR_DIMS((int64_t)g->names_size), g->names, NULL, site);
    for (int i = 0; i < g->n; i++) {
        cr_tensor *x = g->values[i];
        if (cr_dtype_of(x) != CR_F64)
            x = cr_cast_at(x, CR_F64, site);
        g->inputs[i + 1] =
            cr_sum_at(cr_square_at(x, site), CR_ALL, (cr_reduce_opts){ .site = site });
    }
    return cr_apply_at(&norm_op, g->inputs, g->n + 1, NULL, site);
}

static cr_tensor *clip_by_norm(cr_ctx *ctx, const gradients *g, double max_norm,
                               const char *site)
{
    cr_dtype dtype = CR_F32;
    cr_tensor *norm = joint_norm(ctx, g, site);
    cr_tensor *factor = cr_add_at(cr_arg_tensor(norm), cr_arg_real(1e-6), site);
    factor = cr_div_at(cr_arg_real(max_norm), cr_arg_tensor(factor), site);
    factor = cr_minimum_at(cr_arg_tensor(factor), cr_arg_int(1), site);
    cr_tensor *narrow = NULL;
    for (int i = 0; i < g->n; i++) {
        bool wide = cr_dtype_of(g->values[i]) == CR_F64;
        if (wide)
            dtype = CR_F64;
        else if (!narrow)
            narrow = cr_cast_at(factor, CR_F32, site);
        g->values[i] = cr_mul_at(cr_arg_tensor(g->values[i]),
                                 cr_arg_tensor(wide ? factor : narrow), site);
    }
    /* Watched, so that it can still be read after the optimiser's step. */
    norm = cr_watch(dtype == CR_F64 ? norm : cr_cast_at(norm, dtype, site));
    replace(ctx, g);
    return cr_error(ctx) ? NULL : norm;
}

cr_tensor *cr_clip_grad_norm_at(const cr_params *params, double max_norm,
                                const char *site)
{
    gradients found;
    if (!check(params, max_norm, "clip_grad_norm: max_norm", site) ||
        !collect(params, &found))
        return NULL;
    cr_ctx *ctx = params->ctx;
    cr_no_grad_push(ctx);
    cr_tensor *norm =
        found.n ? clip_by_norm(ctx, &found, max_norm, site)
                : cr_scalar_at(ctx, cr_arg_int(0), (cr_make_opts){ .site = site });
    cr_no_grad_pop(ctx);
    cr__free(ctx, found.params);
    return norm;
}

cr_status cr_clip_grad_value_at(const cr_params *params, double clip_value,
                                const char *site)
{
    gradients found;
    if (!check(params, clip_value, "clip_grad_value: clip_value", site) ||
        !collect(params, &found))
        return params ? cr_error(params->ctx) : CR_ERR_NULL;
    cr_ctx *ctx = params->ctx;
    cr_no_grad_push(ctx);
    for (int i = 0; i < found.n; i++)
        found.values[i] = cr_clamp_at(found.values[i], cr_arg_real(-clip_value),
                                      cr_arg_real(clip_value), site);
    replace(ctx, &found);
    cr_no_grad_pop(ctx);
    cr__free(ctx, found.params);
    return cr_error(ctx);
}
