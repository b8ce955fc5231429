/* The test of a derivative: what the chain rule gives against central differences, in
 * f64. Works on copies of the caller's tensors, in scopes of its own. */
#include "grad.h"

#include <math.h>
#include <string.h>

static const char check_name[] = "gradcheck";

/* A tensor that the function depends on, as plain memory that is perturbed in place. */
typedef struct variable {
    cr_dtype dtype; /* 0: absent */
    cr_dims dims;
    int64_t numel;
    void *data;
    bool checked;
    double *gradient; /* by the chain rule, if checked */
} variable;

/* One check, of first or second order. The function of first order is the caller's. That
 * of second order is its gradients with respect to the checked inputs, which also depend
 * on the cotangent they start from: the variable behind the inputs. What is
 * differentiated is in both cases the sum of all outputs, each with its weight. */
typedef struct check {
    cr_ctx *ctx;
    cr_function *f;
    void *user;
    cr_gradcheck_opts opts;
    int n, order;
    variable *variables; /* n inputs, the cotangent */
    cr_tensor **tensors; /* of the variables, in the evaluation in progress */
    int n_outs;
    cr_tensor **outs;          /* in the evaluation in progress; NULL: zeros */
    cr_tensor **weights, **xs; /* arguments of cr_gradients() */
    int64_t out_numel;         /* of all outputs together */
    double *high, *low;        /* their values at x + eps and x - eps */
    cr_rng rng;
} check;

/* The mixing is SplitMix64's (Steele et al., 2014). */
double cr__check_weight(int output, int64_t i)
{
    uint64_t z = ((uint64_t)output << 40) + (uint64_t)i + 1;
    z *= 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    z ^= z >> 31;
    double size = 0.25 + 1.75 * (double)(z >> 12) * 0x1p-52;
    return z & 1 ? size : -size;
}

static cr_status fail(const check *c, cr_status status, const char *advice,
                      const char *why)
{
    return cr__grad_fail(c->ctx, status, check_name, c->opts.site, advice, "%s", why);
}

/* ---- the function ---- */

static bool make_tensors(check *c)
{
    for (int i = 0; i < c->n + c->order - 1; i++) {
        const variable *v = &c->variables[i];
        c->tensors[i] = NULL;
        if (!v->dtype)
            continue;
        c->tensors[i] =
            cr_from_at(c->ctx, v->dtype, v->dims, v->data, NULL, c->opts.site);
        if (v->checked)
            c->tensors[i] = cr_requires_grad_at(c->tensors[i], true, c->opts.site);
        if (!c->tensors[i])
            return false;
    }
    return true;
}

/* The tensors of the checked variables, into c->xs; returns how many. */
static int checked_tensors(const check *c, int n)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        if (c->variables[i].checked)
            c->xs[count++] = c->tensors[i];
    return count;
}

/* Ends the scope of one evaluation. */
static bool leave_check(const check *c)
{
    return cr_scope_pop(c->ctx) == CR_OK;
}

/* The function's result, usable, in a context that is as it was before. */
static cr_tensor *call_function(check *c)
{
    cr_ctx *ctx = c->ctx;
    cr_rng_set(ctx, c->rng);
    ctx->no_grad = 0;
    cr__scope *floor = cr__floor_set(ctx);
    cr_tensor *y = c->f(ctx, c->tensors, c->n, c->user);
    cr__floor_end(ctx, floor, "gradcheck");
    if (ctx->status)
        return NULL;
    if (ctx->no_grad)
        fail(c, CR_ERR_ARGUMENT, "each cr_no_grad_push has its cr_no_grad_pop",
             "the function left gradients off");
    else if (!y)
        fail(c, CR_ERR_NULL, NULL, "the function returned NULL");
    else if (cr__usable(ctx, y, "gradcheck: the function's result", c->opts.site))
        return y;
    return NULL;
}

/* Builds the outputs. Random operations draw the same numbers each time. */
static bool build_once(check *c)
{
    cr_tensor *y = make_tensors(c) ? call_function(c) : NULL;
    if (!y)
        return false;
    if (y->dtype != CR_F64)
        return !fail(c, CR_ERR_DTYPE, "differences need f64 throughout",
                     "the function's result is not f64");
    if (c->order == 1) {
        c->outs[0] = y;
        c->n_outs = 1;
        return true;
    }
    cr_gradients_opts opts = { .site = c->opts.site,
                               .cotangents = &c->tensors[c->n],
                               .create_graph = true,
                               .allow_unused = true };
    c->n_outs = checked_tensors(c, c->n);
    return !cr_gradients_at(&y, 1, c->xs, c->n_outs, c->outs, opts);
}

/* The outputs' values, one after the other. */
static bool read_outputs(check *c, double *values)
{
    int n = 0, i = 0;
    for (int j = 0; j < c->n_outs; j++)
        if (c->outs[j])
            c->xs[n++] = c->outs[j];
    memset(values, 0, (size_t)c->out_numel * sizeof *values);
    if (n && cr_eval_at(c->xs, n, CR_HERE))
        return false;
    for (int j = 0; j < c->n_outs; j++) {
        int64_t numel = 0;
        while (c->order == 2 && !c->variables[i].checked)
            i++;
        numel = c->order == 1 ? c->out_numel : c->variables[i++].numel;
        if (c->outs[j] && cr_numel(c->outs[j]) != numel)
            return !fail(c, CR_ERR_SHAPE, NULL,
                         "the function's result has another shape at another input");
        const void *data = c->outs[j] && numel ? cr_data(c->outs[j]) : NULL;
        if (data)
            memcpy(values, data, (size_t)numel * sizeof *values);
        values += numel;
    }
    return !c->ctx->status;
}

static bool evaluate(check *c, double *values)
{
    if (cr_scope_push(c->ctx))
        return false;
    bool done = build_once(c) && read_outputs(c, values);
    return leave_check(c) && done;
}

/* ---- by the chain rule ---- */

/* Weights for the outputs that are there, which move to the front; returns their number.
 */
static int make_weights(check *c)
{
    int n = 0;
    for (int j = 0; j < c->n_outs; j++) {
        if (!c->outs[j])
            continue;
        int64_t numel = cr_numel(c->outs[j]);
        double *values = cr__alloc(c->ctx, ((size_t)numel + 1) * sizeof *values);
        if (!values)
            return -1;
        for (int64_t k = 0; k < numel; k++)
            values[k] = cr__check_weight(j + c->order, k);
        c->weights[n] =
            cr_from_at(c->ctx, CR_F64, cr_shape(c->outs[j]), values, NULL, c->opts.site);
        cr__free(c->ctx, values);
        c->outs[n++] = c->outs[j];
    }
    return n;
}

/* Reads the gradients into the variables; NULL is zero. */
static bool read_gradients(check *c, cr_tensor **grads)
{
    for (int i = 0, j = 0; i < c->n + c->order - 1; i++) {
        variable *v = &c->variables[i];
        if (!v->checked)
            continue;
        size_t bytes = (size_t)v->numel * sizeof(double);
        memset(v->gradient, 0, bytes);
        if (grads[j] && v->numel && cr_read(grads[j], v->gradient, bytes))
            return false;
        j++;
    }
    return true;
}

/* A result that depends on no input that is checked would agree with any gradients. */
static bool check_reached(check *c, cr_tensor *const *grads, int n)
{
    char why[512];
    for (int j = 0; j < n; j++)
        if (grads[j])
            return true;
    cr_explain_no_grad(c->outs[0], why, sizeof why);
    return !cr__grad_fail(
        c->ctx, CR_ERR_GRAD, check_name, c->opts.site,
        "the function is given copies of the inputs, to be used",
        "no gradient reaches an input that is checked; of the result: %s", why);
}

static bool take_gradients(check *c)
{
    cr_gradients_opts opts = { .site = c->opts.site,
                               .cotangents = c->weights,
                               .allow_unused = true };
    cr_tensor **grads = c->tensors + c->n + 1;
    if (cr_scope_push(c->ctx))
        return false;
    bool done = build_once(c);
    if (done && c->order == 1) {
        c->out_numel = cr_numel(c->outs[0]);
        c->variables[c->n].dims = cr_shape(c->outs[0]);
    }
    int n = done ? make_weights(c) : -1;
    int n_xs = checked_tensors(c, c->n + c->order - 1);
    memset(grads, 0, (size_t)(c->n + 1) * sizeof *grads);
    done = n >= 0 && !(n && cr_gradients_at(c->outs, n, c->xs, n_xs, grads, opts)) &&
           read_gradients(c, grads) && (c->order > 1 || check_reached(c, grads, n_xs));
    return leave_check(c) && done;
}

/* ---- by differences ---- */

static bool difference(check *c, double *x, double *slope)
{
    const double at = *x, above = at + c->opts.eps, below = at - c->opts.eps;
    *x = above;
    bool done = evaluate(c, c->high);
    *x = below;
    done = done && evaluate(c, c->low);
    *x = at;
    *slope = 0;
    int64_t k = 0;
    for (int i = 0, j = 0; done && j < c->n_outs; i++) {
        if (c->order == 2 && !c->variables[i].checked)
            continue;
        int64_t numel = c->order == 1 ? c->out_numel : c->variables[i].numel;
        for (int64_t e = 0; e < numel; e++, k++)
            *slope += cr__check_weight(j + c->order, e) *
                      ((c->high[k] - c->low[k]) / (above - below));
        j++;
    }
    return done;
}

static cr_status mismatch(const check *c, int input, int64_t element, double slope)
{
    const variable *v = &c->variables[input];
    cr_dims place = v->dims;
    int64_t rest = element;
    for (int d = v->dims.n; d-- > 0; rest /= v->dims.v[d])
        place.v[d] = rest % v->dims.v[d];
    const char *order = c->order == 1 ? "" : "second order, ";
    const char *at = cr__dims_text(c->ctx, place);
    if (input == c->n)
        return cr__grad_fail(c->ctx, CR_ERR_GRAD, check_name, c->opts.site, NULL,
                             "%scotangent, element %s: the vjps give %.9g, finite "
                             "differences %.9g",
                             order, at, v->gradient[element], slope);
    return cr__grad_fail(c->ctx, CR_ERR_GRAD, check_name, c->opts.site, NULL,
                         "%sinput %d, element %s: the vjps give %.9g, finite differences "
                         "%.9g",
                         order, input, at, v->gradient[element], slope);
}

static bool compare(check *c)
{
    for (int i = 0; i < c->n + c->order - 1; i++) {
        variable *v = &c->variables[i];
        for (int64_t k = 0; v->checked && k < v->numel; k++) {
            double slope;
            if (!difference(c, (double *)v->data + k, &slope))
                return false;
            /* An infinite slope would tolerate anything. */
            double tolerance = c->opts.atol + c->opts.rtol * fabs(slope);
            if (!isfinite(slope) || !(fabs(v->gradient[k] - slope) <= tolerance))
                return !mismatch(c, i, k, slope);
        }
    }
    return true;
}

/* Room for the outputs' values. */
static bool room_for_check(check *c)
{
    size_t bytes = ((size_t)c->out_numel + 1) * sizeof(double);
    cr__free(c->ctx, c->high);
    cr__free(c->ctx, c->low);
    c->high = cr__alloc(c->ctx, bytes);
    c->low = cr__alloc(c->ctx, bytes);
    return c->high && c->low;
}

static bool check_first(check *c)
{
    c->order = 1;
    return take_gradients(c) && room_for_check(c) && compare(c);
}

/* The cotangent becomes a variable, shaped like the result. */
static bool check_second(check *c)
{
    variable *cotangent = &c->variables[c->n];
    const size_t bytes = ((size_t)c->out_numel + 1) * sizeof(double);
    cotangent->dtype = CR_F64;
    cotangent->numel = c->out_numel;
    cotangent->checked = true;
    cotangent->data = cr__alloc(c->ctx, bytes);
    cotangent->gradient = cr__alloc(c->ctx, bytes);
    if (!cotangent->data || !cotangent->gradient)
        return false;
    for (int64_t k = 0; k < c->out_numel; k++)
        ((double *)cotangent->data)[k] = cr__check_weight(1, k);
    c->order = 2;
    c->out_numel = 0;
    for (int i = 0; i < c->n; i++)
        if (c->variables[i].checked)
            c->out_numel += c->variables[i].numel;
    return take_gradients(c) && room_for_check(c) && compare(c);
}

/* ---- the call ---- */

static bool read_input(check *c, cr_tensor *x, bool only_marked, variable *v)
{
    const size_t size = cr_dtype_size(cr_dtype_of(x));
    v->dtype = cr_dtype_of(x);
    v->dims = cr_shape(x);
    v->numel = cr_numel(x);
    v->data = cr__alloc(c->ctx, ((size_t)v->numel + 1) * size);
    v->checked = v->dtype == CR_F64 && (!only_marked || cr_needs_grad(x));
    if (!v->data || (v->numel && cr_read(x, v->data, (size_t)v->numel * size)))
        return false;
    if (v->checked)
        v->gradient = cr__alloc(c->ctx, ((size_t)v->numel + 1) * sizeof(double));
    return !v->checked || v->gradient;
}

static bool read_inputs(check *c, cr_tensor *const *inputs)
{
    const size_t room = (size_t)c->n + 1;
    bool marked = false, any = false;
    c->variables = cr__alloc(c->ctx, room * sizeof *c->variables);
    c->tensors = cr__alloc(c->ctx, 5 * room * sizeof *c->tensors);
    if (!c->variables || !c->tensors)
        return false;
    c->outs = c->tensors + 2 * room;
    c->weights = c->outs + room;
    c->xs = c->weights + room;
    for (int i = 0; i < c->n; i++) {
        if (!inputs[i])
            continue;
        if (!cr__usable(c->ctx, inputs[i], check_name, c->opts.site))
            return false;
        if (cr_dtype_of(inputs[i]) != CR_F64 && cr_needs_grad(inputs[i]))
            return !cr__grad_fail(c->ctx, CR_ERR_DTYPE, check_name, c->opts.site,
                                  "cast it with cr_cast(x, CR_F64)",
                                  "input %d needs a gradient and is %s", i,
                                  cr_dtype_name(cr_dtype_of(inputs[i])));
        marked |= cr_dtype_of(inputs[i]) == CR_F64 && cr_needs_grad(inputs[i]);
    }
    for (int i = 0; i < c->n; i++) {
        if (inputs[i] && !read_input(c, inputs[i], marked, &c->variables[i]))
            return false;
        any |= c->variables[i].checked;
    }
    return any || !fail(c, CR_ERR_ARGUMENT, "cast one with cr_cast(x, CR_F64)",
                        "none of the inputs is f64");
}

static void release(check *c)
{
    for (int i = 0; c->variables && i <= c->n; i++) {
        cr__free(c->ctx, c->variables[i].data);
        cr__free(c->ctx, c->variables[i].gradient);
    }
    cr__free(c->ctx, c->variables);
    cr__free(c->ctx, c->tensors);
    cr__free(c->ctx, c->high);
    cr__free(c->ctx, c->low);
}

/* Zero is the default. */
static bool resolve(const check *c, const char *name, double *value, double initial)
{
    if (*value == 0)
        *value = initial;
    if (*value > 0 && isfinite(*value))
        return true;
    return !cr__grad_fail(c->ctx, CR_ERR_ARGUMENT, check_name, c->opts.site, NULL,
                          "%s is %g, not above 0 and finite", name, *value);
}

cr_status cr_gradcheck_at(cr_function *f, void *user, cr_tensor *const *inputs, int n,
                          cr_gradcheck_opts opts)
{
    check c = { .f = f, .user = user, .n = n, .opts = opts };
    for (int i = 0; i < n && inputs && !c.ctx; i++)
        c.ctx = inputs[i] ? inputs[i]->ctx : NULL;
    if (!c.ctx)
        return CR_ERR_NULL;
    CR__STATE_GUARD(c.ctx, true);
    if (!f)
        return fail(&c, CR_ERR_NULL, NULL, "the function is NULL");
    if (!resolve(&c, "eps", &c.opts.eps, 1e-6) ||
        !resolve(&c, "atol", &c.opts.atol, 1e-5) ||
        !resolve(&c, "rtol", &c.opts.rtol, 1e-3))
        return c.ctx->status;
    c.rng = cr_rng_get(c.ctx);
    const int no_grad = c.ctx->no_grad;
    c.ctx->no_grad = 0;
    bool done = read_inputs(&c, inputs) && check_first(&c) &&
                (!opts.second_order || check_second(&c));
    c.ctx->no_grad = no_grad;
    cr_rng_set(c.ctx, c.rng);
    release(&c);
    return done ? CR_OK : c.ctx->status;
}
