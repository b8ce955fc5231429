/* Optimisers: SGD, Adam and AdamW as rows of a table. A step records the new values of
 * parameters and state as operations, and only then assigns them, so that what fails
 * changes nothing. */
#include "../base/memory.h"

#include <math.h>

enum { MAX_STATES = 2 };

/* Steps counted for the parameters that always had a gradient at the same time, and the
 * bias corrections that follow from the count, in f64. */
typedef struct counter {
    cr_tensor *count; /* rank 0; the optimiser holds a reference */
    /* During a step: */
    cr_tensor *next;
    cr_tensor *rate[2], *scale[2]; /* of corrections(), for f32 and f64 */
} counter;

/* A parameter and its state; the optimiser holds a reference to each. */
typedef struct slot {
    cr_tensor *param, *state[MAX_STATES];
    int counter;
    /* During a step: the gradient, or NULL, and the new values. */
    cr_tensor *grad, *next_param, *next_state[MAX_STATES];
} slot;

typedef struct rule {
    const char *name;
    void (*update)(cr_optim *optim, slot *s); /* records s->next_... */
    bool counts;                              /* has counters */
} rule;

struct cr_optim {
    cr_ctx *ctx;
    const rule *rule;
    const char *site;
    double lr, weight_decay, momentum, beta1, beta2, eps;
    bool nesterov, decoupled;
    int states; /* how many tensors of state a parameter has */
    int n, n_counters;
    slot *slots;
    counter *counters; /* room for n */
};

#define ADD(x, y) cr_add_at(CR_ARG(x), CR_ARG(y), optim->site)
#define SUB(x, y) cr_sub_at(CR_ARG(x), CR_ARG(y), optim->site)
#define MUL(x, y) cr_mul_at(CR_ARG(x), CR_ARG(y), optim->site)
#define DIV(x, y) cr_div_at(CR_ARG(x), CR_ARG(y), optim->site)
#define POW(x, y) cr_pow_at(CR_ARG(x), CR_ARG(y), optim->site)

/* ---- the rules ---- */

static void sgd(cr_optim *optim, slot *s)
{
    cr_tensor *p = s->param, *g = s->grad;
    if (optim->weight_decay != 0)
        g = ADD(g, MUL(p, optim->weight_decay));
    if (optim->momentum != 0) {
        cr_tensor *m = ADD(MUL(s->state[0], optim->momentum), g);
        s->next_state[0] = m;
        g = optim->nesterov ? ADD(g, MUL(m, optim->momentum)) : m;
    }
    s->next_param = SUB(p, MUL(g, optim->lr));
}

/* rate = lr / (1 - beta1^t) and scale = 1 / sqrt(1 - beta2^t), in the parameter's dtype.
 */
static void corrections(cr_optim *optim, counter *c, cr_dtype dtype)
{
    int wide = dtype == CR_F64;
    if (c->rate[wide])
        return;
    cr_tensor *t = c->next;
    cr_tensor *rate = DIV(optim->lr, SUB(1, POW(optim->beta1, t)));
    cr_tensor *scale = cr_rsqrt_at(SUB(1, POW(optim->beta2, t)), optim->site);
    c->rate[wide] = wide ? rate : cr_cast_at(rate, dtype, optim->site);
    c->scale[wide] = wide ? scale : cr_cast_at(scale, dtype, optim->site);
}

static void adam(cr_optim *optim, slot *s)
{
    cr_tensor *p = s->param, *g = s->grad;
    double b1 = optim->beta1, b2 = optim->beta2, decay = optim->weight_decay;
    counter *c = &optim->counters[s->counter];
    corrections(optim, c, cr_dtype_of(p));
    int wide = cr_dtype_of(p) == CR_F64;
    if (decay != 0 && optim->decoupled)
        p = MUL(p, 1 - optim->lr * decay);
    else if (decay != 0)
        g = ADD(g, MUL(p, decay));
    cr_tensor *m = ADD(MUL(s->state[0], b1), MUL(g, 1 - b1));
    cr_tensor *v = ADD(MUL(s->state[1], b2), MUL(cr_square_at(g, optim->site), 1 - b2));
    cr_tensor *size = ADD(MUL(cr_sqrt_at(v, optim->site), c->scale[wide]), optim->eps);
    s->next_state[0] = m;
    s->next_state[1] = v;
    s->next_param = SUB(p, MUL(DIV(m, size), c->rate[wide]));
}

static const rule sgd_rule = { "sgd", sgd, false };
static const rule adam_rule = { "adam", adam, true };
static const rule adamw_rule = { "adamw", adam, true };

/* ---- construction ---- */

static bool finite_from(double x, double least)
{
    return isfinite(x) && x >= least;
}

static void check_settings(const cr_optim *o)
{
    const char *name = o->rule->name;
    if (!finite_from(o->lr, 0))
        cr_fail(o->ctx, CR_ERR_ARGUMENT, "%s: the learning rate is %g; 0 or more (%s)",
                name, o->lr, o->site);
    else if (!finite_from(o->weight_decay, 0))
        cr_fail(o->ctx, CR_ERR_ARGUMENT, "%s: weight_decay is %g; 0 or more (%s)", name,
                o->weight_decay, o->site);
    else if (!finite_from(o->momentum, 0))
        cr_fail(o->ctx, CR_ERR_ARGUMENT, "%s: momentum is %g; 0 or more (%s)", name,
                o->momentum, o->site);
    else if (o->nesterov && o->momentum == 0)
        cr_fail(o->ctx, CR_ERR_ARGUMENT, "%s: nesterov needs momentum above 0 (%s)", name,
                o->site);
    else if (!(o->beta1 >= 0 && o->beta1 < 1 && o->beta2 >= 0 && o->beta2 < 1))
        cr_fail(o->ctx, CR_ERR_ARGUMENT,
                "%s: betas are %g and %g; from 0 to below 1 (%s)", name, o->beta1,
                o->beta2, o->site);
    else if (!finite_from(o->eps, 0))
        cr_fail(o->ctx, CR_ERR_ARGUMENT, "%s: eps is %g; above 0 (%s)", name, o->eps,
                o->site);
}

static void check_param(cr_optim *o, const cr_param *param)
{
    cr_dtype dtype = cr_dtype_of(param->tensor);
    const char *what = param->name ? param->name : "a parameter";
    if (!param->tensor)
        cr_fail(o->ctx, CR_ERR_NULL, "%s: %s is NULL (%s)", o->rule->name, what, o->site);
    else if (cr_ctx_of(param->tensor) != o->ctx)
        cr_fail(o->ctx, CR_ERR_SCOPE, "%s: %s is a tensor of another context (%s)",
                o->rule->name, what, o->site);
    else if (dtype != CR_F32 && dtype != CR_F64)
        cr_fail(o->ctx, CR_ERR_DTYPE, "%s: %s is %s; parameters are f32 or f64 (%s)",
                o->rule->name, what, cr_dtype_name(dtype), o->site);
}

/* Copies the parameters and makes their state, all zeros. */
static void fill(cr_optim *o, const cr_params *params)
{
    if (!params->n)
        return;
    o->slots = cr__alloc(o->ctx, (size_t)params->n * sizeof *o->slots);
    o->counters = cr__alloc(o->ctx, (size_t)params->n * sizeof *o->counters);
    if (!o->slots || !o->counters)
        return;
    for (int i = 0; i < params->n && !cr_error(o->ctx); i++) {
        slot *s = &o->slots[o->n];
        check_param(o, &params->list[i]);
        if (cr_error(o->ctx))
            return;
        s->param = cr_retain(params->list[i].tensor);
        o->n++;
        for (int k = 0; k < o->states; k++)
            if ((s->state[k] = cr_full_like_at(s->param, cr_arg_int(0), o->site)))
                cr_retain(s->state[k]);
    }
    cr_make_opts opts = { .site = o->site, .dtype = CR_F64 };
    if (o->rule->counts &&
        (o->counters[0].count = cr_scalar_at(o->ctx, cr_arg_int(0), opts))) {
        cr_retain(o->counters[0].count);
        o->n_counters = 1;
    }
}

static cr_optim *new_optim(const cr_params *params, cr_optim settings)
{
    cr_ctx *ctx = params ? params->ctx : NULL;
    if (!ctx || cr_error(ctx))
        return NULL;
    if (!settings.site)
        settings.site = settings.rule->name;
    settings.ctx = ctx;
    check_settings(&settings);
    cr_optim *optim = cr_error(ctx) ? NULL : cr__alloc(ctx, sizeof *optim);
    if (!optim)
        return NULL;
    *optim = settings;
    if (cr_scope_push(ctx) == CR_OK) {
        fill(optim, params);
        cr_scope_pop(ctx);
    }
    if (cr_error(ctx)) {
        cr_optim_free(optim);
        return NULL;
    }
    return optim;
}

cr_optim *cr_optim_sgd_at(const cr_params *params, double lr, cr_sgd_opts opts)
{
    return new_optim(params, (cr_optim){ .rule = &sgd_rule,
                                         .site = opts.site,
                                         .lr = lr,
                                         .weight_decay = opts.weight_decay,
                                         .momentum = opts.momentum,
                                         .nesterov = opts.nesterov,
                                         .states = opts.momentum != 0 });
}

static cr_optim *new_adam(const rule *which, const cr_params *params, double lr,
                          double weight_decay, cr_adam_opts opts)
{
    bool given = opts.betas.n == 2;
    if (opts.betas.n && !given && params && params->ctx)
        cr_fail(params->ctx, CR_ERR_ARGUMENT, "%s: %d betas; two are wanted (%s)",
                which->name, opts.betas.n, opts.site ? opts.site : which->name);
    return new_optim(params, (cr_optim){ .rule = which,
                                         .site = opts.site,
                                         .lr = lr,
                                         .weight_decay = weight_decay,
                                         .decoupled = which == &adamw_rule,
                                         .beta1 = given ? opts.betas.v[0] : 0.9,
                                         .beta2 = given ? opts.betas.v[1] : 0.999,
                                         .eps = opts.eps == 0 ? 1e-8 : opts.eps,
                                         .states = 2 });
}

cr_optim *cr_optim_adam_at(const cr_params *params, double lr, double weight_decay,
                           cr_adam_opts opts)
{
    return new_adam(&adam_rule, params, lr, weight_decay, opts);
}

cr_optim *cr_optim_adamw_at(const cr_params *params, double lr, double weight_decay,
                            cr_adam_opts opts)
{
    return new_adam(&adamw_rule, params, lr, weight_decay, opts);
}

void cr_optim_free(cr_optim *optim)
{
    if (!optim)
        return;
    cr_ctx *ctx = optim->ctx;
    for (int i = 0; i < optim->n; i++) {
        cr_release(optim->slots[i].param);
        for (int k = 0; k < MAX_STATES; k++)
            cr_release(optim->slots[i].state[k]);
    }
    for (int i = 0; i < optim->n_counters; i++)
        cr_release(optim->counters[i].count);
    cr__free(ctx, optim->slots);
    cr__free(ctx, optim->counters);
    cr__free(ctx, optim);
}

/* ---- a step ---- */

/* Parameters that share a counter part where only some of them have a gradient: those
 * without go on with a copy of the count. That changes no value, so it may stay when the
 * step fails. */
static void split_counter(cr_optim *o, int which)
{
    bool stepping = false, resting = false;
    for (int i = 0; i < o->n; i++)
        if (o->slots[i].counter == which)
            *(o->slots[i].grad ? &stepping : &resting) = true;
    if (!stepping || !resting)
        return;
    cr_tensor *count = cr_detach_at(o->counters[which].count, o->site);
    if (!count)
        return;
    o->counters[o->n_counters] = (counter){ .count = cr_retain(count) };
    for (int i = 0; i < o->n; i++)
        if (o->slots[i].counter == which && !o->slots[i].grad)
            o->slots[i].counter = o->n_counters;
    o->n_counters++;
}

/* Forgets what belongs to one step only: the scope of that step owns it. */
static void begin(cr_optim *o)
{
    for (int i = 0; i < o->n; i++) {
        slot *s = &o->slots[i];
        s->grad = cr_grad(s->param);
        s->next_param = NULL;
        for (int k = 0; k < MAX_STATES; k++)
            s->next_state[k] = NULL;
    }
    for (int i = 0; i < o->n_counters; i++)
        o->counters[i] = (counter){ .count = o->counters[i].count };
}

static void record(cr_optim *optim)
{
    for (int i = 0, n = optim->n_counters; i < n; i++)
        split_counter(optim, i);
    for (int i = 0; i < optim->n && !cr_error(optim->ctx); i++) {
        slot *s = &optim->slots[i];
        if (!s->grad)
            continue;
        counter *c = &optim->counters[s->counter];
        if (optim->rule->counts && !c->next)
            c->next = ADD(c->count, 1);
        optim->rule->update(optim, s);
    }
}

static void assign(cr_optim *o)
{
    for (int i = 0; i < o->n_counters; i++)
        if (o->counters[i].next)
            cr_assign_at(o->counters[i].count, o->counters[i].next, o->site);
    for (int i = 0; i < o->n; i++) {
        slot *s = &o->slots[i];
        if (!s->next_param)
            continue;
        cr_assign_at(s->param, s->next_param, o->site);
        for (int k = 0; k < o->states; k++)
            cr_assign_at(s->state[k], s->next_state[k], o->site);
    }
}

cr_status cr_optim_step(cr_optim *optim)
{
    if (!optim)
        return CR_ERR_NULL;
    cr_ctx *ctx = optim->ctx;
    if (cr_error(ctx))
        return cr_error(ctx);
    cr_no_grad_push(ctx);
    begin(optim);
    record(optim);
    if (!cr_error(ctx))
        assign(optim);
    cr_no_grad_pop(ctx);
    return cr_error(ctx);
}

cr_status cr_optim_zero_grad(cr_optim *optim)
{
    if (!optim)
        return CR_ERR_NULL;
    for (int i = 0; i < optim->n && !cr_error(optim->ctx); i++)
        cr_zero_grad(optim->slots[i].param);
    return cr_error(optim->ctx);
}

double cr_optim_lr(const cr_optim *optim)
{
    return optim ? optim->lr : NAN;
}

cr_status cr_optim_set_lr(cr_optim *optim, double lr)
{
    if (!optim)
        return CR_ERR_NULL;
    if (cr_error(optim->ctx))
        return cr_error(optim->ctx);
    if (!finite_from(lr, 0))
        return cr_fail(optim->ctx, CR_ERR_ARGUMENT,
                       "optim_set_lr: the learning rate is %g; 0 or more", lr);
    optim->lr = lr;
    return CR_OK;
}
