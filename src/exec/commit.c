/* The end of a run: values become their nodes', what they were made from is let go, and the
 * leaves get what was pending on them. After a run that failed every node and leaf is as it
 * was before. */
#include "exec.h"

static void give_element(cr_tensor *x, const cr_tensor *from)
{
    if (x != from)
        x->value = from->value;
}

static void give_buffer(cr_tensor *x, cr__buffer *buffer)
{
    x->value.buffer = cr__buffer_retain(buffer);
}

void cr__note_computed(cr_tensor *x, bool again)
{
    x->flags |= CR__COMPUTED | (again ? CR__KEEP : 0u);
    x->flags &= (uint16_t)~CR__FAILED;
}

void cr__note_failed(cr_tensor *x)
{
    if (x->ctx->status != CR_ERR_CANCELLED)
        x->flags |= CR__FAILED;
}

static void give_unit(const cr__plan *plan, const cr__unit *unit)
{
    cr_tensor *x = unit->node;
    if (unit->kind == CR__UNIT_OLD)
        return;
    if (unit->kind != CR__UNIT_COPY)
        cr__note_computed(x, unit->flags & CR__AGAIN);
    if (!(unit->flags & CR__OUTLIVES) || x->flags & CR__KNOWN)
        return;
    if (unit->slot)
        give_buffer(x, plan->slots[unit->slot - 1].buffer);
    x->flags |= CR__KNOWN;
}

/* A view whose value is that of what it looks at. */
static void give_view(const cr__plan *plan, const cr__seen *seen)
{
    cr_tensor *x = seen->node;
    cr__note_computed(x, false);
    if (!seen->alias || x->flags & CR__KNOWN)
        return;
    const cr__unit *unit =
        seen->use.kind == CR__USE_UNIT ? &plan->units[seen->use.unit] : NULL;
    if (x->shape->numel == 1)
        give_element(x, unit ? unit->node : seen->base);
    else
        give_buffer(x,
                    unit ? plan->slots[unit->slot - 1].buffer : seen->base->value.buffer);
    x->flags |= CR__KNOWN;
}

/* Old values that have been overwritten are nobody's any more. */
static void forget_old(const cr__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_old; i++) {
        const cr__unit *unit = &plan->units[i];
        if (!unit->slot || !plan->slots[unit->slot - 1].taken)
            continue;
        cr__forget_value(unit->node);
        if (unit->name)
            cr__forget_value(unit->name);
    }
}

/* Lets go what the backward pass needed and nothing needs any more. Eagerly computed
 * values stay until lazily computed ones could become stale: see cr__commit(). */
static void let_go_inputs(const cr_tensor *x)
{
    for (int k = 0; k < x->n_inputs; k++) {
        cr_tensor *in = cr__input(x, k);
        bool may_go = in && !in->run && (in->flags & (CR__KNOWN | CR__KEEP)) == CR__KNOWN;
        if (may_go && !x->ctx->blames && (!x->ctx->eager || in->flags & CR__VERSION))
            cr__let_go(in);
    }
}

/* From the last: what is beneath is known to be of this run. Whether any of them settles. */
static bool end_nodes(const cr__plan *plan, bool success)
{
    bool any_settles = false;
    for (uint32_t i = plan->n; i-- > 0;) {
        cr_tensor *x = plan->nodes[i];
        if (success)
            let_go_inputs(x);
        x->run = 0;
        any_settles |= success && cr__settles(x) && !x->ctx->blames;
        if (success || plan->rehearsal)
            continue;
        cr__note_failed(x);
        if (plan->unpended && !(x->flags & CR__COMPUTED) && !x->pending)
            cr__pend(x);
    }
    for (uint32_t i = 0; i < plan->n_old; i++)
        plan->units[i].node->run = 0;
    return any_settles;
}

/* Of a rehearsal everything is as it was before. */
static void take_back(const cr__plan *plan)
{
    const cr__change *changes = plan->ctx->run_lists[CR__CHANGES].at;
    for (uint32_t i = plan->n_changes; i-- > 0;)
        if (changes[i].flag)
            changes[i].node->flags &= (uint16_t)~changes[i].flag;
        else
            cr__pend(changes[i].node);
}

void cr__settle_held(const cr__plan *plan)
{
    const cr__change *changes = plan->ctx->run_lists[CR__CHANGES].at;
    for (uint32_t i = 0; i < plan->n_changes; i++)
        if (changes[i].node->refs > 0)
            cr__settle(changes[i].node);
}

void cr__end_run(cr__plan *plan, bool success)
{
    for (uint32_t i = 0; i < plan->n_units && success; i++)
        give_unit(plan, &plan->units[i]);
    for (uint32_t i = 0; i < plan->n_seen && success; i++)
        give_view(plan, &plan->views[i]);
    if (success)
        forget_old(plan);
    bool any_settles = end_nodes(plan, success);
    if (plan->rehearsal)
        take_back(plan);
    for (uint32_t i = 0; i < plan->n_slots; i++)
        if (!plan->slots[i].old)
            cr__buffer_release(plan->slots[i].buffer);
    /* Last of all: what is beneath may go with it. */
    for (uint32_t i = 0; i < plan->n && any_settles; i++)
        if (plan->nodes[i]->refs > 0 && cr__settles(plan->nodes[i]))
            cr__settle(plan->nodes[i]);
    if (success)
        cr__settle_held(plan);
}
