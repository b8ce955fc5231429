/* A run: plans, obtains its memory, computes group by group, and gives the values to
 * their nodes. If anything fails, no node and no leaf has changed. */
#include "../base/system.h"
#include "call_opaque.h"
#include "reducer.h"

/* ---- groups of one node ---- */

/* The dims of a reduction's input with the kept ones first. */
static cr__strided kept_first(const cr_tensor *x, const cr__strided *in, int *kept)
{
    const cr_dims *dims = &((const cr__reduce_attrs *)x->attrs)->dim;
    cr__strided out = { .data = in->data, .ndim = in->ndim };
    bool reduced[CR_MAX_DIMS] = { false };
    int at = 0;
    for (int i = 0; i < dims->n; i++)
        reduced[dims->v[i]] = true;
    for (int pass = 0; pass < 2; pass++) {
        for (int d = 0; d < in->ndim; d++) {
            if (reduced[d] != (pass == 1))
                continue;
            out.dims[at] = in->dims[d];
            out.strides[at++] = in->strides[d];
        }
        if (pass == 0)
            *kept = at;
    }
    return out;
}

cr__ending cr__ending_of(cr_tensor *x)
{
    const cr__reduce_info *info = x->op->internal;
    const cr__reduce_attrs *attrs = x->attrs;
    cr_tensor *in = cr__input(x, 0);
    cr__ending ending = { .with = info->code, .dtype = (cr_dtype)in->dtype, .count = 1 };
    if (in->dtype != CR_F32 && in->dtype != CR_F64)
        return ending;
    ending.code = info->ending;
    for (int i = 0; i < attrs->dim.n; i++)
        ending.count *= (double)in->shape->dims[attrs->dim.v[i]];
    if (info->end)
        info->end(x->attrs, &ending);
    return ending;
}

static void run_reduction(const cr__plan *plan, cr_tensor *x)
{
    const cr__reduce_info *info = x->op->internal;
    cr_tensor *in = cr__input(x, 0);
    cr__source source = cr__source_of(plan, in);
    cr__strided whole = cr__strided_of(&source, in);
    int kept;
    cr__strided s = kept_first(x, &whole, &kept);
    cr__reduction r = {
        .ending = cr__ending_of(x), .out = cr__destination(plan, x), .x = s, .kept = kept
    };
    cr__reduce_find(cr__means_integers(x) ? CR__REDUCE_mean : info->code,
                    (cr_dtype)in->dtype, &r.kernel);
    cr__reduce(&r, plan->ctx->team);
}

static void run_contract(const cr__plan *plan, cr_tensor *x)
{
    cr__strided operands[2];
    for (int k = 0; k < 2; k++) {
        cr__source source = cr__source_of(plan, cr__input(x, k));
        operands[k] = cr__strided_of(&source, cr__input(x, k));
    }
    cr__run_contract(x, &operands[0], &operands[1], cr__destination(plan, x),
                     plan->ctx->team);
}

static void run_copy(const cr__plan *plan, cr_tensor *x)
{
    const cr__seen *seen = &plan->views[cr__entry_of(plan, x)->slot - 1];
    cr__source source = cr__source_of(plan, seen->base);
    source.layout = &seen->layout;
    cr__strided s = cr__strided_of(&source, x);
    cr__copy_strided(cr__destination(plan, x), &s, cr_dtype_size((cr_dtype)x->dtype),
                     plan->ctx->team);
}

static bool run_group(const cr__plan *plan, const cr__group *group)
{
    cr_tensor *x = plan->nodes[group->first - 1];
    if (group->shape && (x->op->kind == CR_OP_MAP || group->count > 1))
        return cr__run_program(plan, group);
    switch (x->op->kind) {
    case CR_OP_REDUCE:
        run_reduction(plan, x);
        return true;
    case CR_OP_CONTRACT:
        run_contract(plan, x);
        return true;
    case CR_OP_VIEW:
        run_copy(plan, x);
        return true;
    default:
        return cr__run_opaque(plan, x);
    }
}

/* Room for the inputs of the opaque node that has the most. */
static bool reserve_arrays(const cr__plan *plan)
{
    size_t most = 0;
    for (uint32_t i = 0; i < plan->n; i++) {
        const cr_tensor *x = plan->nodes[i];
        if (x->op->kind == CR_OP_OPAQUE && cr__call_bytes(x) > most)
            most = cr__call_bytes(x);
    }
    return cr__list_reserve(plan->ctx, &plan->ctx->run_lists[CR__ARRAYS], most);
}

/* What can be checked is, before anything is computed. */
static bool check_inputs(const cr__plan *plan)
{
    bool passed = true;
    for (uint32_t g = plan->n_groups; passed && g-- > 1;) {
        cr_tensor *x = plan->nodes[plan->groups[g].first - 1];
        if (x->op->kind == CR_OP_OPAQUE && !cr__can_fail(plan, x))
            passed = cr__check_opaque(plan, x, true);
    }
    return passed;
}

static bool compute(const cr__plan *plan)
{
    plan->ctx->busy = "a kernel, or parallel_for";
    bool done = check_inputs(plan);
    for (uint32_t g = plan->n_groups; done && g-- > 1;)
        done = run_group(plan, &plan->groups[g]);
    plan->ctx->busy = NULL;
    return done;
}

/* ---- the end of a run ---- */

static void give_value(cr__plan *plan, cr_tensor *x)
{
    const cr__entry *entry = cr__entry_of(plan, x);
    x->flags |= CR__COMPUTED | (entry->flags & CR__AGAIN ? CR__KEEP : 0u);
    x->flags &= (uint16_t)~CR__FAILED;
    if (!(entry->flags & CR__OUTLIVES) || x->flags & CR__KNOWN)
        return;
    cr_tensor *from = entry->flags & CR__ALIAS ? plan->views[entry->slot - 1].base : x;
    if (x->shape->numel == 1)
        x->value = from->value;
    else if (from->run)
        x->value.buffer =
            cr__buffer_retain(plan->buffers[cr__buffer_slot(plan, from) - 1]);
    else
        x->value.buffer = cr__buffer_retain(from->value.buffer);
    x->flags |= CR__KNOWN;
}

/* Lets go what the backward pass needed and nothing needs any more. Eagerly computed
 * values stay until lazily computed ones could become stale: see cr__commit(). */
static void let_go_inputs(const cr_tensor *x)
{
    for (int k = 0; k < x->n_inputs; k++) {
        cr_tensor *in = cr__input(x, k);
        if (in && !in->run && (!x->ctx->eager || in->flags & CR__VERSION))
            cr__let_go(in);
    }
}

static void finish(cr__plan *plan, bool success)
{
    bool any_settles = false;
    for (uint32_t i = 0; i < plan->n && success; i++) {
        give_value(plan, plan->nodes[i]);
        any_settles |= cr__settles(plan->nodes[i]);
    }
    /* From the last: what is beneath is known to be of this run. */
    for (uint32_t i = plan->n; i-- > 0;) {
        cr_tensor *x = plan->nodes[i];
        if (success)
            let_go_inputs(x);
        x->run = 0;
        if (success)
            continue;
        /* What has failed once is not tried again for being held. */
        x->flags |= CR__FAILED;
        if (plan->unpended && !(x->flags & CR__COMPUTED) && !x->pending)
            cr__pend(x);
    }
    for (uint32_t i = 0; i < plan->n_buffers; i++) {
        plan->buffers[i]->user = NULL;
        cr__buffer_release(plan->buffers[i]);
    }
    /* Last of all: what is beneath may go with it. */
    for (uint32_t i = 0; i < plan->n && any_settles; i++)
        if (plan->nodes[i]->refs > 0 && cr__settles(plan->nodes[i]))
            cr__settle(plan->nodes[i]);
}

static void rest_lists(cr_ctx *ctx)
{
    for (int i = 0; i < CR__COUNT(ctx->run_lists); i++)
        cr__list_rest(ctx, &ctx->run_lists[i]);
}

static bool may_run(cr_ctx *ctx)
{
    if (ctx->status != CR_OK)
        return false;
    if (ctx->pid != cr__process_id())
        cr_fail(ctx, CR_ERR_FORK,
                "eval: this context belongs to the parent process, whose threads are not "
                "in this one; cr_open() a context after the fork");
    return cr__may_change(ctx, "eval") && ctx->status == CR_OK;
}

/* A loop without a scope collects everything it makes. One graph, however large, has few
 * reads; eager mode's runs are none. */
#define MANY_READS   1000
#define MANY_TENSORS 50000
#define MUCH         ((size_t)256 << 20)

static void remark_on_size(cr_ctx *ctx)
{
    const cr__scope *scope = ctx->scope;
    if (ctx->remarked || scope->count < MANY_TENSORS ||
        (scope->reads < MANY_READS && cr__memory_used(&ctx->memory) < MUCH))
        return;
    ctx->remarked = true;
    cr__log(
        ctx,
        "this scope has collected %zu tensors, and %zu MiB are in use: no CR_SCOPE in "
        "this loop?",
        scope->count, cr__memory_used(&ctx->memory) >> 20);
}

cr_status cr__run(cr_ctx *ctx, cr_tensor *const *targets, size_t n, bool commit)
{
    cr__plan plan = { .ctx = ctx };
    CR__STATE_GUARD(ctx, true);
    if (!may_run(ctx))
        return ctx->status;
    ctx->running = true;
    bool success = cr__plan_groups(&plan, targets, n, commit) && reserve_arrays(&plan) &&
                   cr__plan_memory(&plan) && compute(&plan) && ctx->status == CR_OK;
    finish(&plan, success);
    ctx->running = false;
    rest_lists(ctx);
    if (!success)
        cr__undo(ctx);
    else if (commit)
        cr__commit(ctx);
    ctx->scope->reads += commit;
    remark_on_size(ctx);
    return ctx->status;
}
