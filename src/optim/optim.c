/* Optimisers: construction, the count of steps, the step. A step records the new values of
 * parameters and state as operations, and only then assigns them, so that what fails changes
 * nothing. What is recorded is its rule's matter (rules.c). */
#include "rule.h"

#include "../base/dtype.h"
#include "../base/fp.h"
#include "../base/lookup.h"

#include <math.h>
#include <string.h>

/* ---- settings ---- */

static bool check_setting(const cr_optim *o, const cr__setting *row, double x)
{
    if (isfinite(x) && x >= row->least && x < row->below)
        return true;
    cr_fail(o->ctx, CR_ERR_ARGUMENT, "%s: %s is %g; %s (%s)", o->rule->name, row->name, x,
            row->range, o->site);
    return false;
}

/* The member with its default, if it is not given. False with the error. */
static bool resolve_setting(const cr_optim *o, const cr__setting *row)
{
    void *member = (char *)o->settings + row->offset;
    double *x = member;
    int n = 1;
    if (row->count) {
        cr_reals *list = member;
        if (list->n == 0) {
            memcpy(list->v, row->initial, sizeof row->initial);
            list->n = row->count;
        }
        if (list->n != row->count) {
            cr_fail(o->ctx, CR_ERR_ARGUMENT, "%s: %d %s; %d are wanted (%s)",
                    o->rule->name, list->n, row->name, row->count, o->site);
            return false;
        }
        x = list->v;
        n = list->n;
    } else if (*x == 0) {
        *x = row->initial[0];
    }
    for (int i = 0; i < n; i++)
        if (!check_setting(o, row, x[i]))
            return false;
    return true;
}

static const cr__setting learning_rate = { .name = "the learning rate",
                                           .below = INFINITY,
                                           .range = "0 or more" };

static void resolve_settings(const cr_optim *o)
{
    if (!check_setting(o, &learning_rate, o->lr))
        return;
    for (const cr__setting *row = o->rule->settings; row->name; row++)
        if (!resolve_setting(o, row))
            return;
    const char *wrong = o->rule->check ? o->rule->check(o->settings) : NULL;
    if (wrong)
        cr_fail(o->ctx, CR_ERR_ARGUMENT, "%s: %s (%s)", o->rule->name, wrong, o->site);
}

/* ---- parameters ---- */

static bool same_param(const void *slots, int place, const void *param)
{
    return ((const cr__optim_slot *)slots)[place].param == param;
}

/* Fails unless the i-th parameter is a float leaf that is not in the optimiser yet. */
static bool check_param(const cr_optim *o, const cr_params *params, int i,
                        const cr__lookup *seen)
{
    cr_tensor *x = params->list[i].tensor;
    char text[96], other[96];
    const char *what = cr__param_text(&params->list[i], i, text, sizeof text);
    cr_dtype dtype = cr_dtype_of(x);
    int twin = cr__lookup_find(seen, cr__hash_pointer(x), same_param, o->slots, x);
    if (!cr__is_float(dtype))
        cr_fail(o->ctx, CR_ERR_DTYPE, "%s: %s is %s; parameters are floats (%s)",
                o->rule->name, what, cr_dtype_name(dtype), o->site);
    else if (!cr_is_leaf(x))
        cr_fail(o->ctx, CR_ERR_GRAD,
                "%s: %s is no leaf, and has no gradient to step by (%s); "
                "cr_requires_grad() makes it one",
                o->rule->name, what, o->site);
    else if (twin >= 0)
        cr_fail(o->ctx, CR_ERR_ARGUMENT,
                "%s: %s is the same tensor as %s (%s); list each once", o->rule->name,
                what, cr__param_text(&params->list[twin], twin, other, sizeof other),
                o->site);
    return !cr_error(o->ctx);
}

static bool add_slot(cr_optim *o, cr_tensor *param)
{
    cr__optim_slot *s = &o->slots[o->n++];
    cr_make_opts opts = { .site = o->site,
                          .dtype = cr__register_dtype(cr_dtype_of(param)) };
    s->param = cr_retain(param);
    o->rows[o->n - 1].tensor = param;
    o->view = (cr_params){ .ctx = o->ctx, .n = o->n, .list = o->rows };
    for (int k = 0; k < o->states; k++)
        if ((s->state[k] = cr_full_at(o->ctx, cr_shape(param), cr_arg_int(0), opts)))
            cr_retain(s->state[k]);
    return !cr_error(o->ctx);
}

/* All parameters have made the same number of steps: one counter serves. */
static void add_counter(cr_optim *o)
{
    cr_make_opts opts = { .site = o->site, .dtype = CR_F64 };
    cr_tensor *count = cr_scalar_at(o->ctx, cr_arg_int(0), opts);
    if (count)
        o->counters[o->n_counters++].count = cr_retain(count);
}

/* Copies the parameters and makes their state, all zeros. */
static void fill_optim(cr_optim *o, const cr_params *params)
{
    cr__lookup seen = { 0 };
    if (!params->n)
        return;
    o->slots = cr__alloc(o->ctx, (size_t)params->n * sizeof *o->slots);
    o->counters = cr__alloc(o->ctx, (size_t)params->n * sizeof *o->counters);
    o->rows = cr__alloc(o->ctx, (size_t)params->n * sizeof *o->rows);
    if (!o->slots || !o->counters || !o->rows)
        return;
    for (int i = 0; i < params->n; i++) {
        cr_tensor *x = params->list[i].tensor;
        if (!check_param(o, params, i, &seen) || !add_slot(o, x) ||
            !cr__lookup_add(o->ctx, &seen, cr__hash_pointer(x), i))
            break;
    }
    cr__lookup_free(o->ctx, &seen);
    if (o->rule->factors && !cr_error(o->ctx))
        add_counter(o);
}

/* ---- construction ---- */

cr_optim *cr__optim_new(const cr__rule *rule, const cr_params *params, double lr,
                        const void *settings, const char *site)
{
    CR__FP_GUARD();
    CR__HOLD(lr);
    site = site ? site : "?";
    cr_ctx *ctx = cr__params_ctx(params, rule->name, site);
    cr_optim *o = ctx ? cr__alloc(ctx, sizeof *o + rule->settings_size) : NULL;
    if (!o)
        return NULL;
    o->ctx = ctx;
    o->rule = rule;
    o->site = site;
    o->lr = lr;
    o->view.ctx = ctx;
    o->settings = o + 1;
    memcpy(o->settings, settings, rule->settings_size);
    resolve_settings(o);
    if (!cr_error(ctx) && cr_scope_push(ctx) == CR_OK) {
        o->states = rule->states(o->settings);
        fill_optim(o, params);
        cr_scope_pop(ctx);
    }
    if (cr_error(ctx)) {
        cr_optim_free(o);
        return NULL;
    }
    return o;
}

void cr_optim_free(cr_optim *optim)
{
    if (!optim)
        return;
    cr_ctx *ctx = optim->ctx;
    for (int i = 0; i < optim->n; i++) {
        cr_release(optim->slots[i].param);
        for (int k = 0; k < optim->states; k++)
            cr_release(optim->slots[i].state[k]);
    }
    for (int i = 0; i < optim->n_counters; i++)
        cr_release(optim->counters[i].count);
    cr__free(ctx, optim->slots);
    cr__free(ctx, optim->counters);
    cr__free(ctx, optim->rows);
    cr__free(ctx, optim);
}

/* ---- a step ---- */

/* Forgets what belongs to the step before: its scope owned it. */
static void begin_step(cr_optim *o)
{
    for (int i = 0; i < o->n_counters; i++)
        o->counters[i] = (cr__optim_counter){ .count = o->counters[i].count };
    for (int i = 0; i < o->n; i++) {
        cr__optim_slot *s = &o->slots[i];
        s->grad = cr_grad(s->param);
        s->next_param = NULL;
        for (int k = 0; k < CR__RULE_STATES; k++)
            s->next_state[k] = NULL;
        if (o->n_counters)
            ++*(s->grad ? &o->counters[s->counter].stepping
                        : &o->counters[s->counter].resting);
    }
}

/* Parameters that share a counter part where only some of them have a gradient: those
 * without go on with a copy of the count. That changes no value, so it may stay when the
 * step fails. Each counter has a parameter, so that there is room. */
static void split_counters(cr_optim *o)
{
    for (int i = 0, n = o->n_counters; i < n; i++) {
        cr__optim_counter *c = &o->counters[i];
        cr_tensor *count = NULL;
        if (c->stepping && c->resting)
            count = cr_detach_at(c->count, o->site);
        if (!count)
            continue;
        c->split = o->n_counters++;
        o->counters[c->split] = (cr__optim_counter){ .count = cr_retain(count) };
    }
    for (int i = 0; i < o->n; i++) {
        cr__optim_slot *s = &o->slots[i];
        if (!s->grad && o->n_counters && o->counters[s->counter].split)
            s->counter = o->counters[s->counter].split;
    }
}

/* The factors for the parameter's count and dtype, made once for all that share them. */
static cr_tensor *const *factors_of(cr_optim *o, const cr__optim_slot *s)
{
    if (!o->rule->factors)
        return NULL;
    cr__optim_counter *c = &o->counters[s->counter];
    cr_dtype dtype = cr__register_dtype(cr_dtype_of(s->param));
    cr_tensor **factors = c->factors[dtype == CR_F64];
    if (!c->next)
        c->next = cr_add_at(cr_arg_tensor(c->count), cr_arg_int(1), o->site);
    if (factors[0])
        return factors;
    o->rule->factors(o, c->next, dtype, factors);
    for (int i = 0; i < CR__RULE_FACTORS; i++)
        if (factors[i] && dtype != CR_F64)
            factors[i] = cr_cast_at(factors[i], dtype, o->site);
    return factors;
}

/* Parameters of bf16 and f16 are updated in f32, in which their state is, and rounded once. */
static void record_update(cr_optim *o, cr__optim_slot *s)
{
    const cr_dtype dtype = cr_dtype_of(s->param);
    s->value = s->param;
    if (cr__is_half(dtype)) {
        s->value = cr_cast_at(s->param, CR_F32, o->site);
        s->grad = cr_cast_at(s->grad, CR_F32, o->site);
    }
    o->rule->update(o, s);
    if (cr__is_half(dtype) && !cr_error(o->ctx))
        s->next_param = cr_cast_at(s->next_param, dtype, o->site);
}

static void record_step(cr_optim *o)
{
    split_counters(o);
    for (int i = 0; i < o->n && !cr_error(o->ctx); i++) {
        cr__optim_slot *s = &o->slots[i];
        if (!s->grad)
            continue;
        s->factors = factors_of(o, s);
        record_update(o, s);
    }
}

static void assign_step(cr_optim *o)
{
    for (int i = 0; i < o->n_counters; i++)
        if (o->counters[i].next)
            cr_assign_at(o->counters[i].count, o->counters[i].next, o->site);
    for (int i = 0; i < o->n; i++) {
        cr__optim_slot *s = &o->slots[i];
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
    if (cr__refuse(ctx) != CR_OK)
        return cr_error(ctx);
    CR__FP_GUARD();
    cr_no_grad_push(ctx);
    begin_step(optim);
    record_step(optim);
    if (!cr_error(ctx))
        assign_step(optim);
    cr_no_grad_pop(ctx);
    return cr_error(ctx);
}

cr_status cr_optim_zero_grad(cr_optim *optim)
{
    if (!optim)
        return CR_ERR_NULL;
    for (int i = 0; i < optim->n && !cr_error(optim->ctx); i++)
        cr_zero_grad(optim->slots[i].param);
    return cr__refuse(optim->ctx);
}

const cr_params *cr_optim_params(const cr_optim *optim)
{
    if (!optim)
        return NULL;
    for (int i = 0; i < optim->n; i++)
        optim->rows[i].name = cr_name(optim->rows[i].tensor); /* it may have a new one */
    return &optim->view;
}

double cr_optim_lr(const cr_optim *optim)
{
    return optim ? optim->lr : (double)NAN;
}

cr_status cr_optim_set_lr(cr_optim *optim, double lr)
{
    if (!optim)
        return CR_ERR_NULL;
    if (cr_error(optim->ctx))
        return cr_error(optim->ctx);
    CR__FP_GUARD();
    CR__HOLD(lr);
    if (check_setting(optim, &learning_rate, lr))
        optim->lr = lr;
    return cr_error(optim->ctx);
}
