/* What a run computes: the nodes that its targets, and what is pending on leaves, need and
 * that have no value yet, in order of creation.
 *
 * Held. A run that replaces a leaf's value is the last that can compute what was
 * recorded on the old one. So it takes in what the user may still ask for (is_held), of
 * all open scopes, among what was recorded since the last replacement: older tensors had
 * their turn then. Of a scope that ends only what outlives it is held, and is computed
 * also where no value is replaced. The rest is not going to be computed on its own
 * account, and counts as a reader no more (unpend_rest).
 *
 * Stale. A node that has neither a value nor inputs: a replaced version or gradient, let
 * go. What needs one cannot be computed. A target is an error about that read, which
 * leaves what is pending on leaves as it is (ctx->spares); what is pending itself fails,
 * and is rolled back; what is merely held is passed over, once and for all (CR__FAILED),
 * and is an error when it is read. */
#include "exec.h"

static const char *name_in_error(const cr_tensor *x)
{
    return x->leaf && x->leaf->name ? x->leaf->name : cr__called(x);
}

/* stale is a replaced value of a leaf, or gradient, which was let go; wanted lies above
 * it, or is it. */
static void fail_stale(cr_ctx *ctx, const cr_tensor *wanted, const cr_tensor *stale)
{
    const char *what = stale->flags & CR__VERSION ? "" : ", a gradient,";
    const cr_tensor *carried = ctx->carried;
    if (carried && carried->refs > 0 && carried->seq == ctx->carried_seq)
        cr_fail(ctx, CR_ERR_STALE,
                "eval: %s %s (%s) was carried over from an earlier step; cr_detach() it: "
                "backward passes go through it to values of that step, which were let go "
                "(%s, %s), and %s %s beneath them (%s) has been replaced since",
                name_in_error(carried), cr__shape_text(carried), carried->site,
                name_in_error(wanted), wanted->site, name_in_error(stale),
                cr__shape_text(stale), stale->site);
    else if (wanted == stale)
        cr_fail(ctx, CR_ERR_STALE,
                "eval: %s %s%s (%s) has been replaced, and its value was let go; "
                "cr_detach() gives one a name that stays",
                name_in_error(stale), cr__shape_text(stale), what, stale->site);
    else
        cr_fail(ctx, CR_ERR_STALE,
                "eval: the value of %s %s (%s) was let go, and %s %s%s beneath it (%s) "
                "has been replaced since; cr_watch() keeps values readable",
                name_in_error(wanted), cr__shape_text(wanted), wanted->site,
                name_in_error(stale), cr__shape_text(stale), what, stale->site);
}

/* False with the error, or with what is stale in the plan. */
static bool push(cr__plan *plan, cr_tensor *x)
{
    cr__list *list = &plan->ctx->run_lists[CR__NODES],
             *seqs = &plan->ctx->run_lists[CR__SEQS];
    if (x->flags & CR__KNOWN || x->run)
        return true;
    if (x->flags & CR__CUT || !x->op) {
        plan->stale = x;
        return false;
    }
    if (plan->n >= CR__MAX_PLACES) {
        cr_fail(plan->ctx, CR_ERR_ARGUMENT,
                "eval: more than 2^24 operations are pending; cr_eval() some of them "
                "before");
        return false;
    }
    if (!cr__list_reserve(plan->ctx, list, ((size_t)plan->n + 1) * sizeof x))
        return false;
    plan->nodes = list->at;
    if (!cr__list_reserve(plan->ctx, seqs, ((size_t)plan->n + 1) * sizeof x->seq))
        return false;
    plan->nodes[plan->n] = x;
    ((uint64_t *)seqs->at)[plan->n++] = x->seq;
    plan->n_pending += x->pending;
    plan->n_inputs += (uint32_t)x->n_inputs;
    plan->n_views += x->op->kind == CR_OP_VIEW;
    plan->n_products += x->op->kind == CR_OP_CONTRACT;
    plan->single &= x->op->kind == CR_OP_MAP && x->shape->numel == 1;
    x->run = plan->n & 0xffffff;
    return true;
}

/* What the nodes from the given place on are computed from. The list is queue and result
 * in one. */
static bool push_inputs(cr__plan *plan, uint32_t from)
{
    for (uint32_t i = from; i < plan->n; i++) {
        const cr_tensor *x = plan->nodes[i];
        for (int k = 0; k < x->n_inputs; k++) {
            cr_tensor *in = cr__input(x, k);
            if (in && !push(plan, in))
                return false;
        }
    }
    return true;
}

/* Whether the user may still hold x, of an open scope, when the value of a leaf beneath
 * it is replaced, or its scope ends: what he has retained or kept, leaves, what is to stay
 * readable, values that no operation reads, single elements. Of a scope that ends only
 * what outlives it. What was assigned is readable as long as the leaf has it. */
static bool is_held(const cr__scope *scope, const cr_tensor *x)
{
    const cr_tensor *node = cr__resolve(x);
    if (!node->op || node->flags & CR__FAILED || x->given_back)
        return false;
    if (x->flags & (CR__RETAINED | CR__KEPT))
        return true;
    if (scope->ending)
        return false;
    if (x->flags & CR__KEEP)
        return true;
    if (x->shown)
        return false;
    return !(x->flags & CR__CONSUMED) || (x->pending && x->shape->numel == 1);
}

bool cr__note_change(cr__plan *plan, cr_tensor *x, unsigned flag)
{
    cr__list *list = &plan->ctx->run_lists[CR__CHANGES];
    if (!cr__list_reserve(plan->ctx, list,
                          ((size_t)plan->n_changes + 1) * sizeof(cr__change)))
        return false;
    ((cr__change *)list->at)[plan->n_changes++] = (cr__change){ x, (uint16_t)flag };
    return true;
}

/* Sets the flag of a node that is held. What is known and stays from now on is cut at the end
 * of the run: until all memory is obtained nothing goes, so that a rehearsal can tell how much
 * that is. */
static bool mark_held(cr__plan *plan, cr_tensor *x, unsigned flag)
{
    bool is_new = !(x->flags & flag);
    x->flags |= (uint16_t)flag;
    bool noted = plan->rehearsal ? is_new : cr__settles(x);
    return !noted || cr__note_change(plan, x, flag);
}

/* Of the present scope, or all. What is stale already stays so, and fails when it is
 * read. */
static bool push_held(cr__plan *plan, bool all)
{
    cr__scope *scope = plan->ctx->scope;
    for (cr_tensor *x = scope->first; (x = cr__recent(plan->ctx, &scope, x));
         x = x->link) {
        uint32_t from = plan->n;
        if (!all && scope != plan->ctx->scope)
            break;
        if (!is_held(scope, x))
            continue;
        cr_tensor *node = cr__resolve(x);
        if (push(plan, node) && push_inputs(plan, from)) {
            if (!mark_held(plan, node, CR__KEEP))
                return false;
            continue;
        }
        if (!plan->stale)
            return false;
        plan->stale = NULL;
        if (!mark_held(plan, node, CR__FAILED))
            return false;
        while (plan->n > from) {
            cr_tensor *passed = plan->nodes[--plan->n];
            passed->run = 0;
            plan->n_pending -= passed->pending;
        }
    }
    return true;
}

/* x and what it is computed from. */
static bool push_all(cr__plan *plan, cr_tensor *x)
{
    uint32_t from = plan->n;
    if (push(plan, x) && push_inputs(plan, from))
        return true;
    if (plan->stale)
        fail_stale(plan->ctx, x, plan->stale);
    return false;
}

static bool push_leaves(cr__plan *plan)
{
    for (cr__leaf *leaf = plan->ctx->dirty; leaf; leaf = leaf->next_dirty)
        if ((leaf->version && !push_all(plan, leaf->version)) ||
            (leaf->grad && !push_all(plan, cr__resolve(leaf->grad))))
            return false;
    return true;
}

/* A value that cannot be read any more concerns that read only: what is pending on leaves
 * stays pending. */
static bool push_targets(cr__plan *plan, cr_tensor *const *targets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!push_all(plan, targets[i])) {
            plan->ctx->spares = plan->stale != NULL;
            return false;
        }
    return true;
}

/* x is not going to be computed. */
static bool give_up(cr__plan *plan, cr_tensor *x)
{
    if (x->run || !x->pending)
        return true;
    if (plan->rehearsal && !cr__note_change(plan, x, 0))
        return false;
    cr__unpend(x);
    return true;
}

/* What is not computed before it goes with its scope, or before a leaf is replaced,
 * reads nothing that is to be kept for it: neither activations nor old values. */
static bool unpend_rest(cr__plan *plan, bool replaced)
{
    const cr_ctx *ctx = plan->ctx;
    cr__scope *scope = ctx->scope;
    if (ctx->n_pending == plan->n_pending)
        return true; /* there is no rest */
    for (cr_tensor *x = scope->first; x && scope->ending; x = x->link)
        if (!give_up(plan, x))
            return false;
    if (scope->ending && !replaced)
        return true;
    for (cr_tensor *x = scope->first; (x = cr__recent(ctx, &scope, x)); x = x->link)
        if (!give_up(plan, x))
            return false;
    return true;
}

bool cr__find_nodes(cr__plan *plan, cr_tensor *const *targets, size_t n)
{
    plan->single = true;
    const cr_ctx *ctx = plan->ctx;
    bool replaced = plan->commit && cr__replacements_pending(ctx);
    bool retained = ctx->scope->ending && ctx->retained;
    if (!push_targets(plan, targets, n) || (plan->commit && !push_leaves(plan)) ||
        ((replaced || retained) && !push_held(plan, replaced)))
        return false;
    if (!plan->n)
        return true;
    return (!(ctx->scope->ending || replaced) || unpend_rest(plan, replaced)) &&
           cr__sort_nodes(plan->ctx, plan->nodes, plan->ctx->run_lists[CR__SEQS].at,
                          plan->n);
}
