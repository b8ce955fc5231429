/* What may run last, and is placed before all others: then what it waits for can be computed with
 * what was recorded behind it. */
#include "exec.h"

/* Elements of an afterthought, at most. */
#define FEW (1 << 16)

static bool is_few(const cr__unit *unit)
{
    return unit->kind == CR__UNIT_MAP ? unit->shape->numel <= FEW
                                      : unit->kind == CR__UNIT_REDUCE &&
                                            cr__input(unit->node, 0)->shape->numel <= FEW;
}

/* Whether it reads rows' values, or what is an afterthought for that. */
static bool reads_row_values(const cr__plan *plan, const cr__unit *unit)
{
    bool found = false;
    for (uint32_t k = 0; k < unit->n_uses; k++) {
        const cr__use *use = &plan->uses[unit->uses + k];
        const cr__unit *read = &plan->units[use->unit];
        if (use->kind == CR__USE_UNIT)
            found |= read->flags & CR__AFTER ||
                     (read->kind == CR__UNIT_REDUCE && read->inner &&
                      cr__reduction_role(read) == CR__ROW);
    }
    return found;
}

/* Next values of leaves, of few elements, wherever in the program they were recorded: a batch norm's
 * statistics are so before its result. */
void cr__find_updates(cr__plan *plan)
{
    for (cr__leaf *leaf = plan->ctx->dirty; leaf && plan->commit;
         leaf = leaf->next_dirty) {
        cr__use use;
        if (!leaf->version || !leaf->version->run)
            continue;
        cr__find_use(plan, leaf->version, plan->n_units, &use);
        cr__unit *unit = &plan->units[use.unit];
        if (use.kind == CR__USE_UNIT && !use.look && unit->kind == CR__UNIT_MAP &&
            unit->shape->numel <= CR__BLOCK)
            unit->flags |= CR__UPDATES;
    }
}

/* A single element that nothing waits for, as a loss, and maps and reductions of few elements that
 * only it waits for. If they read rows' values, they run last: a group that has what these are made
 * of, as the gradient's, need not run before them. And next values of leaves, and maps of their shape
 * that only they wait for. */
void cr__find_afterthoughts(cr__plan *plan)
{
    for (uint32_t i = plan->n_units; i-- > plan->n_old;) {
        cr__unit *unit = &plan->units[i];
        const bool begins = unit->shape->numel == 1 || unit->flags & CR__FOR_AFTER;
        unsigned flag = CR__AWAITED;
        if (begins && !(unit->flags & CR__AWAITED) && is_few(unit)) {
            unit->flags |= CR__AFTER;
            flag = CR__FOR_AFTER;
        }
        const bool updates = unit->flags & CR__UPDATES && !(unit->flags & CR__AWAITED);
        if (updates)
            unit->flags |= CR__AFTER;
        for (uint32_t k = 0; k < unit->n_uses; k++) {
            const cr__use *use = &plan->uses[unit->uses + k];
            cr__unit *read = &plan->units[use->unit];
            if (use->kind != CR__USE_UNIT)
                continue;
            if (updates)
                flag = read->kind == CR__UNIT_MAP && read->shape == unit->shape &&
                               !(read->flags & CR__OUTLIVES)
                           ? CR__UPDATES
                           : CR__AWAITED;
            read->flags |= (uint16_t)flag;
        }
    }
    for (uint32_t i = plan->n_old; i < plan->n_units; i++)
        if (!(plan->units[i].flags & CR__UPDATES) &&
            !reads_row_values(plan, &plan->units[i]))
            plan->units[i].flags &= (uint16_t)~CR__AFTER;
}
