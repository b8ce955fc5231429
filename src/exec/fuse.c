/* Units become groups. Groups are made backwards: units are placed from the last to the
 * first, so that when a unit's turn comes all its readers in this run are placed. Until then
 * unit->group is the highest number of a group that reads it, which is the first of them to
 * run. The unit joins that group, by the first of the rules that applies, or begins one,
 * whose number is above all there are. Either way, which is the invariant:
 *
 *     a unit's group has a number no smaller than any of its readers'
 *
 * and so groups can run in descending order of number, without a search for cycles.
 *
 * CR__STORED: somebody reads the value that does not find it in the group's registers:
 * another group, the same one but not element by element, or what comes after the run. */
#include "exec.h"

/* Operands, not of maps, that a group waits for while they take memory: a sum of very many values would
 * have all of them at once, where added in portions they die early. */
#define MAX_READS 8

/* ---- reading ---- */

/* The group reads a value: element by element in its own shape (direct), or otherwise. */
static void read_by(cr__plan *plan, const cr__use *use, uint32_t group, bool direct)
{
    cr__unit *unit = &plan->units[use->unit];
    if (use->kind != CR__USE_UNIT || unit->kind == CR__UNIT_OLD)
        return;
    plan->groups[group].reads += unit->kind != CR__UNIT_MAP && unit->shape->numel > 1;
    if (unit->group && group != unit->group)
        unit->flags |= CR__STORED | CR__READ_BY_OTHERS;
    if (group > unit->group) {
        unit->flags &= (uint16_t)~CR__INDIRECT;
        unit->group = group;
    }
    if (!direct)
        unit->flags |= CR__STORED | (group == unit->group ? CR__INDIRECT : 0u);
}

/* ---- rules ---- */

/* A new group with the unit as its only one; 0 with the error. */
static uint32_t begin_group(cr__plan *plan, const cr__unit *unit)
{
    cr__list *list = &plan->ctx->run_lists[CR__GROUPS];
    if (!cr__list_reserve(plan->ctx, list,
                          ((size_t)plan->n_groups + 1) * sizeof *plan->groups))
        return 0;
    plan->groups = list->at;
    cr__group *group = &plan->groups[plan->n_groups];
    *group = (cr__group){ 0 };
    group->shape = unit->kind == CR__UNIT_MAP ? unit->shape : unit->inner;
    if (unit->kind != CR__UNIT_MAP)
        group->root = (uint32_t)(unit - plan->units) + 1;
    if (unit->flags & CR__CAN_FAIL && !plan->fails)
        plan->fails = plan->n_groups;
    return plan->n_groups++;
}

/* Whether the unit reads a contraction that could be the root of its group. */
static bool reads_product(const cr__plan *plan, const cr__unit *unit)
{
    for (uint32_t k = 0; k < unit->n_uses; k++) {
        const cr__use *use = &plan->uses[unit->uses + k];
        const cr__unit *read = &plan->units[use->unit];
        if (use->kind == CR__USE_UNIT && read->kind == CR__UNIT_CONTRACT &&
            cr__uses_each(plan, use) && cr__takes_panels(read))
            return true;
    }
    return false;
}

/* The group of the reader that runs first, if it reads element by element in the same shape.
 * A group that has a product for its root waits for no other one. */
static uint32_t join_reader(cr__plan *plan, const cr__unit *unit)
{
    if (unit->kind != CR__UNIT_MAP || !unit->group || unit->flags & CR__INDIRECT)
        return 0;
    const cr__group *group = &plan->groups[unit->group];
    bool fits = group->shape && group->shape == unit->shape &&
                group->count < CR__MAX_PROGRAM && group->reads < MAX_READS &&
                !(cr__is_epilogue(plan, group) && reads_product(plan, unit));
    return fits ? unit->group : 0;
}

/* A contraction becomes the root of the maps that read it first, if they have none. */
static uint32_t lead_reader(cr__plan *plan, const cr__unit *unit)
{
    if (unit->kind != CR__UNIT_CONTRACT || !unit->group || unit->flags & CR__INDIRECT ||
        unit->shape->numel < 2 || !cr__takes_panels(unit))
        return 0;
    cr__group *group = &plan->groups[unit->group];
    if (!group->shape || group->root || cr__is_row_program(group))
        return 0;
    CR__ASSERT(group->shape->numel == unit->shape->numel);
    group->root = (uint32_t)(unit - plan->units) + 1;
    group->reads--;
    return unit->group;
}

static uint32_t (*const rules[])(cr__plan *, const cr__unit *) = {
    join_reader,
    lead_reader,
    begin_group,
};

/* ---- placing ---- */

static bool place_unit(cr__plan *plan, cr__unit *unit)
{
    uint32_t read_by_first = unit->group, g = 0;
    for (int i = 0; !g && i < CR__COUNT(rules); i++)
        g = rules[i](plan, unit);
    if (!g)
        return false;
    CR__ASSERT(g >= read_by_first);
    cr__group *group = &plan->groups[g];
    if (read_by_first && read_by_first != g)
        unit->flags |= CR__STORED | CR__READ_BY_OTHERS;
    if (unit->kind != CR__UNIT_MAP && !(cr__is_epilogue(plan, group)))
        unit->flags |= CR__STORED;
    unit->group = g;
    unit->next = group->first;
    group->first = (uint32_t)(unit - plan->units) + 1;
    group->count++;
    group->places += unit->n_uses + 1;
    for (uint32_t k = 0; k < unit->n_uses; k++) {
        const cr__use *use = &plan->uses[unit->uses + k];
        bool direct =
            group->shape && unit->kind != CR__UNIT_CONTRACT && cr__uses_each(plan, use);
        read_by(plan, use, g, direct);
    }
    return true;
}

bool cr__fuse(cr__plan *plan)
{
    plan->n_groups = 1;
    for (uint32_t i = plan->n_units; i-- > plan->n_old;)
        if (!place_unit(plan, &plan->units[i]))
            return false;
    return true;
}
