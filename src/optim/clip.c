/* Clipping of gradients: by their joint norm, and element by element. Squares are added in
 * f64, which holds those of every f32; those of f64 gradients that would overflow or vanish
 * are scaled by a power of two, so that no other bit depends on it. */
#include "rule.h"

#include "../base/dtype.h"
#include "../base/fp.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the scale of squares, as an operation ---- */

/* The square of a largest element between the two, times as many elements as there can be,
 * stays in f64, 2^(2*450 + 60), and so do the squares that matter beside it,
 * 2^-(2*450 + 2*60). */
#define SQUARES_FROM 0x1p-450
#define SQUARES_TO   0x1p450

static cr_status scale_kernel(const cr_kernel *kernel)
{
    double x = *(const double *)kernel->in[0].data, *out = kernel->out.data;
    int exponent = 0;
    if (x != 0 && isfinite(x) && (x < SQUARES_FROM || x > SQUARES_TO))
        frexp(x, &exponent);
    /* There is no 2^1074; the smallest number is brought to 2^-51, which does as well. */
    *out = ldexp(1, exponent > -1023 ? -exponent : 1023);
    return CR_OK;
}

static const cr_op scale_op = {
    .name = "clip_grad_scale",
    .doc = "a power of two that brings a number near 1 if its square is no normal one",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 1,
    .inputs = "x",
    .kernel = scale_kernel,
    .never_fails = true,
};

/* ---- the joint norm, as an operation ---- */

/* In front of each name: whether a scale follows the sum of squares. */
#define PLAIN  '='
#define SCALED '*'

/* Inputs: what each gradient is, as above, and its name with the final NUL, as bytes; then
 * of each the sum of squares, and of scaled ones the scale that its elements had. The names
 * are an input because a kernel may run after the list of parameters is gone. */
static cr_status norm_shape(cr_infer *infer)
{
    infer->dtype = CR_F64;
    infer->dims = CR_NO_DIMS;
    return CR_OK;
}

static cr_status norm_error(const cr_kernel *kernel, const char *name, double sum)
{
    snprintf(kernel->message, kernel->capacity,
             "the gradient of %s is not finite: its sum of squares is %g; look for an "
             "overflow in the loss, or lower the learning rate",
             name, sum);
    return CR_ERR_NONFINITE;
}

/* The next gradient's norm is sqrt(sum) / scale. */
static const char *next_sum(const cr_kernel *kernel, const char *name, int *i,
                            double *sum, double *scale)
{
    bool scaled = *name++ == SCALED;
    *sum = *(const double *)kernel->in[(*i)++].data;
    *scale = scaled ? *(const double *)kernel->in[(*i)++].data : 1;
    return name;
}

/* sqrt(sum (2^-exponent norm)^2), exponent being the norms' largest: no square overflows,
 * and what vanishes is none of the result's digits. */
static double norm_scaled(const cr_kernel *kernel, int exponent)
{
    const char *name = kernel->in[0].data;
    double total = 0, sum, scale;
    for (int i = 1; i < kernel->n; name += strlen(name) + 1) {
        int own;
        name = next_sum(kernel, name, &i, &sum, &scale);
        double x = frexp(sqrt(sum), &own);
        x = ldexp(x, own - ilogb(scale) - exponent);
        total += x * x;
    }
    return ldexp(sqrt(total), exponent);
}

static cr_status norm_kernel(const cr_kernel *kernel)
{
    const char *name = kernel->in[0].data;
    double total = 0, sum, scale, *out = kernel->out.data;
    int largest = INT32_MIN;
    bool plain = true;
    for (int i = 1; i < kernel->n; name += strlen(name) + 1) {
        name = next_sum(kernel, name, &i, &sum, &scale);
        if (!isfinite(sum))
            return norm_error(kernel, name, sum);
        total += sum;
        plain &= scale == 1;
        int exponent = sum > 0 ? ilogb(sqrt(sum)) - ilogb(scale) : INT32_MIN;
        largest = exponent > largest ? exponent : largest;
    }
    *out = plain && isfinite(total) ? sqrt(total) : norm_scaled(kernel, largest);
    if (isfinite(*out))
        return CR_OK;
    snprintf(kernel->message, kernel->capacity,
             "the gradients' joint norm is larger than an f64 can be");
    return CR_ERR_NONFINITE;
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
    cr_ctx *ctx;
    const char *site;
    int n;
    cr_tensor **params, **values; /* those that have a gradient; values: old, then new */
    const char **names;
    cr_tensor **inputs; /* room for what norm_op takes */
} gradients;

/* One block of memory holds all of it; gradients.params is its start. */
static bool collect_gradients(const cr_params *params, gradients *found)
{
    size_t n = 0;
    for (int i = 0; i < params->n; i++)
        n += cr_grad(params->list[i].tensor) != NULL;
    if (!n)
        return true;
    found->params = cr__pooled_new(found->ctx, (4 * n + 1) * sizeof(cr_tensor *) +
                                                   n * sizeof *found->names);
    if (!found->params)
        return false;
    found->values = found->params + n;
    found->inputs = found->values + n;
    found->names = (const char **)(void *)(found->inputs + 2 * n + 1);
    for (int i = 0; i < params->n; i++) {
        const cr_param *param = &params->list[i];
        cr_tensor *grad = cr_grad(param->tensor);
        if (!grad)
            continue;
        found->names[found->n] = param->name ? param->name : "";
        found->params[found->n] = param->tensor;
        found->values[found->n++] = grad;
    }
    return true;
}

/* Those of a list that can be used; found->ctx is NULL otherwise. */
static bool open_gradients(const cr_params *params, double limit, const char *op,
                           const char *what, const char *site, gradients *found)
{
    *found = (gradients){ .ctx = cr__params_ctx(params, op, site), .site = site };
    if (!found->ctx)
        return false;
    if (!(limit >= 0))
        cr_fail(found->ctx, CR_ERR_ARGUMENT, "%s: %s is %g; 0 or more (%s)", op, what,
                limit, site ? site : "?");
    else if (collect_gradients(params, found))
        return true;
    return false;
}

/* Replaces the gradients by the new values, unless making one of them failed. */
static void close_gradients(gradients *g)
{
    for (int i = 0; i < g->n && !cr_error(g->ctx); i++)
        cr_set_grad(g->params[i], g->values[i]);
    cr__pooled_free(g->params);
}

/* ---- the norm ---- */

static cr_tensor *sum_of_squares(cr_tensor *x, const char *site)
{
    return cr_sum_at(cr_square_at(x, site), CR_ALL, (cr_reduce_opts){ .site = site });
}

/* Stores the inputs that stand for the gradient x; how many. */
static int norm_inputs(cr_tensor *x, const char *site, cr_tensor **inputs)
{
    if (cr_dtype_of(x) != CR_F64 || cr_numel(x) == 0) {
        if (cr_dtype_of(x) != CR_F64)
            x = cr_cast_at(x, CR_F64, site);
        inputs[0] = sum_of_squares(x, site);
        return 1;
    }
    cr_tensor *largest =
        cr_amax_at(cr_abs_at(x, site), CR_ALL, (cr_reduce_opts){ .site = site });
    cr_tensor *scale = cr_apply_at(&scale_op, &largest, 1, NULL, site);
    inputs[0] =
        sum_of_squares(cr_mul_at(cr_arg_tensor(x), cr_arg_tensor(scale), site), site);
    inputs[1] = scale;
    return 2;
}

static cr_tensor *joint_norm(gradients *g)
{
    size_t bytes = 0, at = 0;
    int inputs = 1;
    for (int i = 0; i < g->n; i++)
        bytes += strlen(g->names[i]) + 2;
    char *text = cr__pooled_new(g->ctx, bytes);
    for (int i = 0; text && i < g->n; i++) {
        int more = norm_inputs(g->values[i], g->site, g->inputs + inputs);
        inputs += more;
        text[at++] = more == 2 ? SCALED : PLAIN;
        strcpy(text + at, g->names[i]);
        at += strlen(g->names[i]) + 1;
    }
    if (text)
        g->inputs[0] =
            cr_from_at(g->ctx, CR_U8, CR_DIMS((int64_t)bytes), text, NULL, g->site);
    cr__pooled_free(text);
    return cr_error(g->ctx) ? NULL
                            : cr_apply_at(&norm_op, g->inputs, inputs, NULL, g->site);
}

/* ---- clipping ---- */

/* min(1, max_norm / (norm + 1e-6)) as a product: power is 1 unless the norm is so large
 * that the quotient might be no normal f32. The norm of f32 gradients is below 2^158. */
typedef struct factors {
    cr_tensor *power, *rest;
} factors;

#define LARGE_NORM 0x1p80

static factors clip_factors(cr_tensor *norm, double max_norm, const char *site)
{
    cr_tensor *divisor = cr_add_at(cr_arg_tensor(norm), cr_arg_real(1e-6), site);
    cr_tensor *power =
        cr_where_at(cr_gt_at(cr_arg_tensor(norm), cr_arg_real(LARGE_NORM), site),
                    cr_arg_real(1 / LARGE_NORM), cr_arg_real(1), site);
    power = cr_cast_at(power, CR_F64, site);
    cr_tensor *rest = cr_mul_at(cr_arg_tensor(divisor), cr_arg_tensor(power), site);
    rest = cr_div_at(cr_arg_real(max_norm), cr_arg_tensor(rest), site);
    rest = cr_minimum_at(cr_arg_tensor(rest),
                         cr_arg_tensor(cr_reciprocal_at(power, site)), site);
    return (factors){ power, rest };
}

static cr_tensor *clip_one(cr_tensor *g, const factors *f, const char *site)
{
    const cr_dtype dtype = cr_dtype_of(g);
    g = cr__is_half(dtype) ? cr_cast_at(g, CR_F32, site) : g;
    g = cr_mul_at(cr_arg_tensor(g), cr_arg_tensor(f->power), site);
    g = cr_mul_at(cr_arg_tensor(g), cr_arg_tensor(f->rest), site);
    return cr__is_half(dtype) ? cr_cast_at(g, dtype, site) : g;
}

static cr_tensor *clip_by_norm(gradients *g, double max_norm)
{
    const char *site = g->site;
    cr_dtype dtype = CR_F32;
    cr_tensor *norm = joint_norm(g);
    factors wide = clip_factors(norm, max_norm, site), narrow = { NULL, NULL };
    for (int i = 0; i < g->n; i++) {
        bool is_wide = cr_dtype_of(g->values[i]) == CR_F64;
        if (is_wide)
            dtype = CR_F64;
        else if (!narrow.power)
            narrow = (factors){ cr_cast_at(wide.power, CR_F32, site),
                                cr_cast_at(wide.rest, CR_F32, site) };
        g->values[i] = clip_one(g->values[i], is_wide ? &wide : &narrow, site);
    }
    /* Watched, so that it can still be read after the optimiser's step. */
    return cr_watch(dtype == CR_F64 ? norm : cr_cast_at(norm, dtype, site));
}

cr_tensor *cr_clip_grad_norm_at(const cr_params *params, double max_norm,
                                const char *site)
{
    CR__FP_GUARD();
    CR__HOLD(max_norm);
    gradients g;
    cr_tensor *norm = NULL;
    if (open_gradients(params, max_norm, "clip_grad_norm", "max_norm", site, &g)) {
        cr_no_grad_push(g.ctx);
        norm = g.n ? clip_by_norm(&g, max_norm)
                   : cr_scalar_at(g.ctx, cr_arg_int(0), (cr_make_opts){ .site = site });
        close_gradients(&g);
        cr_no_grad_pop(g.ctx);
    }
    return g.ctx && cr_error(g.ctx) ? NULL : norm;
}

/* The largest number of each type of gradients. */
static const double most_of[CR_DTYPES] = { [CR_F32] = (double)FLT_MAX,
                                           [CR_F64] = DBL_MAX,
                                           [CR_BF16] = 0x1.fep127,
                                           [CR_F16] = 65504 };

cr_status cr_clip_grad_value_at(const cr_params *params, double clip_value,
                                const char *site)
{
    CR__FP_GUARD();
    CR__HOLD(clip_value);
    gradients g;
    if (open_gradients(params, clip_value, "clip_grad_value", "clip_value", site, &g)) {
        cr_no_grad_push(g.ctx);
        for (int i = 0; i < g.n; i++) {
            /* A bound that the dtype cannot hold is none. */
            bool none = clip_value > most_of[cr_dtype_of(g.values[i])];
            double bound = none ? (double)INFINITY : clip_value;
            g.values[i] =
                cr_clamp_at(g.values[i], cr_arg_real(-bound), cr_arg_real(bound), site);
        }
        close_gradients(&g);
        cr_no_grad_pop(g.ctx);
    }
    return cr_error(cr__params_owner(params));
}
