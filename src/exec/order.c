/* The order of groups. Descending by number is an order in which everything is computed
 * before it is read, and the one in which the program has recorded what groups end in. From
 * that only those are taken that nothing in the run reads and that wait for another group,
 * as the update of a parameter does for its gradient: they run right behind the last that
 * they wait for. What they read is then still in the cache, and dies early. */
#include "exec.h"

/* The last group that group g waits for, if nothing in the run reads what it computes; else 0.
 * It waits for those that make what it reads, and, as it may write over old values that it
 * reads, for their other readers: of an old value, `group` is the last of these so far that
 * does not wait itself. */
static uint32_t waits_for(const cr__plan *plan, uint32_t g)
{
    uint32_t last = UINT32_MAX;
    bool made = false;
    for (uint32_t at = plan->groups[g].first; at; at = plan->units[at - 1].next) {
        const cr__unit *unit = &plan->units[at - 1];
        if (unit->flags & CR__READ_BY_OTHERS)
            return 0;
        for (uint32_t k = 0; k < unit->n_uses; k++) {
            const cr__use *use = &plan->uses[unit->uses + k];
            const cr__unit *read = &plan->units[use->unit];
            if (use->kind != CR__USE_UNIT || read->group == g || !read->group)
                continue;
            CR__ASSERT(read->group > g);
            made |= read->kind != CR__UNIT_OLD;
            last = read->group < last ? read->group : last;
        }
    }
    return made ? last : 0;
}

static void note_readers(const cr__plan *plan, uint32_t g)
{
    for (uint32_t at = plan->groups[g].first; at; at = plan->units[at - 1].next)
        for (uint32_t k = 0; k < plan->units[at - 1].n_uses; k++) {
            const cr__use *use = &plan->uses[plan->units[at - 1].uses + k];
            if (use->kind == CR__USE_UNIT && plan->units[use->unit].kind == CR__UNIT_OLD)
                plan->units[use->unit].group = g;
        }
}

/* Groups that wait for nothing in the run stay where they are. */
static void let_wait(cr__plan *plan, uint32_t g)
{
    uint32_t waits = plan->groups[g].next;
    plan->groups[g].next = 0;
    /* What may be overwritten is so only behind the last group that can fail. */
    if (waits && plan->fails && waits > plan->fails)
        waits = plan->fails;
    if (waits <= g)
        return;
    plan->groups[g].next = plan->groups[waits].late;
    plan->groups[waits].late = g;
    plan->groups[g].waits = true;
}

bool cr__order(cr__plan *plan)
{
    cr__list *list = &plan->ctx->run_lists[CR__ORDER];
    if (!cr__list_reserve(plan->ctx, list, plan->n_groups * sizeof *plan->order))
        return false;
    plan->order = list->at;
    for (uint32_t g = plan->n_groups; g-- > 1;) {
        plan->groups[g].next = waits_for(plan, g);
        if (!plan->groups[g].next)
            note_readers(plan, g);
    }
    for (uint32_t g = 1; g < plan->n_groups; g++)
        let_wait(plan, g);
    for (uint32_t g = plan->n_groups; g-- > 1;) {
        if (plan->groups[g].waits)
            continue;
        plan->order[plan->n_order++] = g;
        if (g == plan->fails)
            plan->commits = plan->n_order;
        for (uint32_t late = plan->groups[g].late; late; late = plan->groups[late].next)
            plan->order[plan->n_order++] = late;
    }
    return true;
}
