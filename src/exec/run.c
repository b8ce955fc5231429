/* A run: plans, obtains its memory, computes, and gives the values to their nodes. If
 * anything fails, no node and no leaf has changed. */
#include "../base/system.h"
#include "call_opaque.h"
#include "profiler.h"
#include "program.h"

/* Room for programs, those of a job too, and for operands of opaque kernels: nothing is
 * asked for once a group has run. */
static bool reserve_lists(const cr__plan *plan)
{
    cr__list *lists = plan->ctx->run_lists;
    size_t most = 0, all = 0, arrays = 0;
    for (uint32_t i = 0; i < plan->n_order; i++) {
        const cr__group *group = &plan->groups[plan->order[i]];
        size_t bytes = group->shape ? cr__program_bytes(group) : 0;
        most = bytes > most ? bytes : most;
        all += bytes;
        const cr__unit *root = group->root ? &plan->units[group->root - 1] : NULL;
        if (root && root->kind == CR__UNIT_OPAQUE && cr__call_bytes(root->node) > arrays)
            arrays = cr__call_bytes(root->node);
    }
    for (uint32_t i = 0; i < plan->n_units && plan->any_opaque; i++) {
        const cr__unit *unit = &plan->units[i];
        if (unit->kind == CR__UNIT_MADE && cr__call_bytes(unit->node) > arrays)
            arrays = cr__call_bytes(unit->node);
    }
    most += cr__team_size(plan->ctx->team) > 1 ? CR__JOB_BYTES : 0;
    return cr__list_reserve(plan->ctx, &lists[CR__PROGRAM], all < most ? all : most) &&
           cr__list_reserve(plan->ctx, &lists[CR__ARRAYS], arrays);
}

/* Groups and their memory; single elements need neither. */
static bool make_plan(cr__plan *plan)
{
    if (!cr__collect(plan))
        return false;
    if (!plan->single && !cr__decide(plan))
        return false;
    cr__find_stretches(plan);
    cr__verify_plan(plan);
    return true;
}

static bool plan_and_compute(cr__plan *plan)
{
    bool success = make_plan(plan) && cr__obtain_slots(plan) && reserve_lists(plan) &&
                   (!plan->ctx->profiles || cr__profile_prepare(plan)) &&
                   cr__launch(plan) && !plan->nonfinite;
    plan->ctx->counts.groups += success ? plan->n_order : 0;
    cr__end_run(plan, success);
    return success;
}

/* For a profile. */
CR__COLD static bool compute_singles(cr__plan *plan)
{
    if (!cr__profile_prepare(plan)) {
        cr__end_run(plan, false);
        return false;
    }
    cr__profile_begin_groups(plan->ctx);
    bool success = cr__run_directly(plan);
    if (success)
        cr__profile_singles(plan);
    return success;
}

/* Single elements are computed as fast as a few times so many clocks are looked at. */
#define FEW_NODES 64

/* Computes what has been found. */
static bool compute_nodes(cr__plan *plan)
{
    cr__counts *counts = &plan->ctx->counts;
    const bool timed = !plan->single || plan->n >= FEW_NODES;
    const uint64_t begin = timed ? cr__ticks() : 0;
    bool success = !plan->single                       ? plan_and_compute(plan)
                   : CR__UNLIKELY(plan->ctx->profiles) ? compute_singles(plan)
                                                       : cr__run_directly(plan);
    counts->ticks += timed ? cr__ticks() - begin : 0;
    counts->runs += success && plan->n;
    counts->nodes += success ? plan->n - plan->n_views : 0;
    return success;
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
    cr__plan plan = { .ctx = ctx,
                      .commit = commit,
                      .traces = ctx->traces && commit && !ctx->eager && !ctx->blames };
    CR__STATE_GUARD(ctx, true);
    if (!may_run(ctx) || cr__is_cancelled(ctx))
        return ctx->status;
    ctx->running = true;
    if (CR__UNLIKELY(ctx->profiles))
        cr__profile_run_begins(ctx);
    bool success = cr__find_nodes(&plan, targets, n);
    if (success)
        success = compute_nodes(&plan);
    else
        cr__end_run(&plan, false);
    ctx->running = false;
    if (CR__UNLIKELY(plan.nonfinite) && ctx->status == CR_OK)
        cr__blame(ctx, plan.nodes, plan.n);
    if (CR__UNLIKELY(ctx->traces && ctx->eager) && success && commit)
        success = cr__look_at_known(ctx, targets, n);
    rest_lists(ctx);
    if (!success)
        cr__undo(ctx);
    else if (commit)
        cr__commit(ctx);
    if (CR__UNLIKELY(ctx->profiles))
        cr__profile_run_ends(ctx);
    ctx->scope->reads += commit;
    remark_on_size(ctx);
    return ctx->status;
}

/* A target stays, as those of cr_eval() do, and no other value for that. */
static bool make_stay(cr__plan *plan, cr_tensor *x)
{
    if (x->flags & CR__KEEP)
        return true;
    x->flags |= CR__KEEP;
    return cr__note_change(plan, x, CR__KEEP);
}

bool cr__rehearse(cr_ctx *ctx, cr_tensor *const *xs, int n, cr__text *out,
                  void (*say)(cr__text *out, const cr__plan *plan))
{
    cr__plan plan = { .ctx = ctx, .commit = true, .rehearsal = true };
    cr__list *list = &ctx->targets;
    CR__STATE_GUARD(ctx, true);
    if (!may_run(ctx) || !cr__list_reserve(ctx, list, (size_t)n * sizeof *xs))
        return false;
    cr_tensor **targets = list->at;
    for (int i = 0; i < n; i++) {
        if (!cr__usable(ctx, xs[i], "plan_format", NULL))
            return false;
        targets[i] = cr__resolve(xs[i]);
    }
    ctx->running = true;
    bool success = true;
    for (int i = 0; i < n && success; i++)
        success = make_stay(&plan, targets[i]);
    success = success && cr__find_nodes(&plan, targets, (size_t)n) && make_plan(&plan);
    if (success)
        say(out, &plan);
    cr__end_run(&plan, false);
    ctx->running = false;
    rest_lists(ctx);
    /* What is pending on leaves stays so: nothing has been tried. */
    ctx->spares = !success;
    return success;
}
