/* Debug builds only: what must hold of a plan before anything is computed, found anew by
 * going through it as the run will. It knows nothing of how the phases decide: slots hold
 * values, groups read and write them, and every value read must be there.
 *
 * - A group runs behind those that make what it reads, and its number is no larger.
 * - What is read outside of its group's registers, or stays, has memory, which is large
 *   enough; and holds that value whenever it is read, and in the end, if it stays.
 * - A value is written over in the group that reads it only element by element: by a map of
 *   elements of the same size, no earlier than its last reader, and none reads it otherwise,
 *   and not where a reduction may have to be computed again of it; or by a kernel that says so.
 * - What the run replaces is written over behind the commit point only, and behind that
 *   nothing can fail. */
#include "exec.h"

#ifdef CR_DEBUG

#define OTHERWISE UINT32_MAX /* it is read, and not element by element */

static cr__unit *read_unit(const cr__plan *plan, const cr__unit *unit, uint32_t k)
{
    const cr__use *use = &plan->uses[unit->uses + k];
    return use->kind == CR__USE_UNIT ? &plan->units[use->unit] : NULL;
}

/* What the slot that a unit lies in is known to hold; NULL: the unit lies in none. */
static cr__slot *slot_of(const cr__plan *plan, const cr__unit *unit)
{
    return unit->slot ? &plan->slots[unit->slot - 1] : NULL;
}

/* ---- what stays, by nodes alone ---- */

static bool stays(const cr__plan *plan, const cr__unit *unit)
{
    const cr_tensor *x = unit->node;
    if (unit->kind == CR__UNIT_OLD)
        return x->readers != 0;
    if (unit->kind == CR__UNIT_COPY)
        return x->flags & CR__KEEP;
    return x->flags & CR__KEEP || x->readers || plan->ctx->eager;
}

/* Whether it is computed in a row program. */
static bool in_rows(const cr__plan *plan, const cr__unit *unit)
{
    return unit->kind != CR__UNIT_OLD && cr__is_row_program(&plan->groups[unit->group]);
}

static void verify_memory(const cr__plan *plan, const cr__unit *unit, uint32_t i)
{
    const cr__slot *slot = slot_of(plan, unit);
    bool large = unit->shape->numel != 1;
    if (unit->kind != CR__UNIT_OLD) {
        CR__ASSERT(unit->group > 0 && unit->group < plan->n_groups);
        CR__ASSERT((slot != NULL) == (large && unit->flags & CR__STORED));
    }
    const bool whole = unit->kind == CR__UNIT_CONTRACT && plan->groups[unit->group].shape;
    if ((!cr__is_made_by_tiles(unit) && !whole && !in_rows(plan, unit)) ||
        stays(plan, unit))
        CR__ASSERT(slot || !large);
    CR__ASSERT(!slot || cr__unit_bytes(unit) <= slot->bytes);
    CR__ASSERT(!slot || unit->slot != plan->scratch);
    if (slot && unit->kind == CR__UNIT_OLD) {
        CR__ASSERT(slot->old && slot->buffer == unit->node->value.buffer);
        CR__ASSERT(slot->bytes == slot->buffer->bytes && !slot->buffer->borrowed);
        slot_of(plan, unit)->holds = i + 1;
    }
}

/* ---- a group ---- */

/* What the group makes is read as it is, or is a row's value: in its own level, or later. */
static void verify_inside(const cr__plan *plan, const cr__group *group,
                          const cr__unit *unit, const cr__use *use)
{
    const cr__unit *made = &plan->units[use->unit];
    const cr__look *look = cr__use_look(plan, use);
    const bool is_row_map = unit->kind == CR__UNIT_MAP && unit->role == CR__ROW;
    CR__ASSERT(made < unit && group->shape && made->level <= unit->level);
    CR__ASSERT(made->role != CR__ALL && made->role != CR__COLUMN);
    if (made->role == CR__EACH) {
        CR__ASSERT(cr__uses_each(plan, use) ||
                   (unit->kind == CR__UNIT_OPAQUE && look->whole));
        CR__ASSERT(!is_row_map &&
                   (unit->kind == CR__UNIT_OPAQUE) == !!(made->flags & CR__DRAWN));
    } else if (is_row_map) {
        CR__ASSERT(!look || look->whole);
    } else {
        CR__ASSERT(made->level < unit->level);
        CR__ASSERT(look && cr__looks_by_rows(look, made->shape->numel) == group->run);
        CR__ASSERT(made->shape->numel * group->length == group->shape->numel);
    }
}

/* Reads of a value that is written over in the group: in order, by its number. */
static void verify_reads(cr__plan *plan, const cr__group *group, const cr__unit *unit,
                         uint32_t at)
{
    for (uint32_t k = 0; k < unit->n_uses; k++) {
        const cr__use *use = &plan->uses[unit->uses + k];
        const cr__unit *read = read_unit(plan, unit, k);
        if (!read)
            continue;
        bool made_here =
            read->kind != CR__UNIT_OLD && &plan->groups[read->group] == group;
        cr__slot *slot = slot_of(plan, read);
        if (made_here)
            verify_inside(plan, group, unit, use);
        if (made_here && use->unit + 1 != group->root)
            continue;
        if (!made_here && read->kind != CR__UNIT_OLD) {
            CR__ASSERT(read->group >= unit->group && plan->groups[read->group].ran);
            CR__ASSERT(read->flags & CR__STORED);
        }
        CR__ASSERT(slot || read->shape->numel == 1 || made_here);
        if (!slot)
            continue;
        CR__ASSERT(slot->holds == use->unit + 1 || made_here);
        bool as_it_is = unit->kind == CR__UNIT_OPAQUE
                            ? k < 32 && unit->op->overwrites >> k & 1
                            : (!group->root || cr__is_epilogue(plan, group)) &&
                                  unit->kind != CR__UNIT_CONTRACT &&
                                  unit->kind != CR__UNIT_MADE &&
                                  read->shape == group->shape &&
                                  (unit->kind != CR__UNIT_MAP || unit->role == CR__EACH);
        if (use->look || !as_it_is)
            slot->reads = OTHERWISE;
        else if (slot->reads != OTHERWISE)
            slot->reads = at;
    }
}

/* Whether what the unit's level reads may be read again, for a reduction whose result is not
 * to be had at once. */
static bool is_repeated(const cr__plan *plan, const cr__group *group,
                        const cr__unit *unit)
{
    bool repeated = false;
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
        const cr__unit *other = &plan->units[at - 1];
        if (other->kind == CR__UNIT_REDUCE &&
            cr__ending_of(other->node).code != CR__AS_IT_IS)
            repeated |= other->role != CR__ROW || other->level >= unit->level;
    }
    return repeated;
}

static void verify_write(cr__plan *plan, const cr__group *group, const cr__unit *unit,
                         uint32_t at, uint32_t number, uint32_t place)
{
    cr__slot *slot = slot_of(plan, unit);
    if (!slot)
        return;
    const cr__unit *held = slot->holds ? &plan->units[slot->holds - 1] : NULL;
    if (held) {
        CR__ASSERT(!stays(plan, held));
        CR__ASSERT(held->kind == CR__UNIT_OLD || &plan->groups[held->group] != group ||
                   slot->holds == group->root);
    }
    if (slot->reads && at != group->root) {
        CR__ASSERT(slot->reads <= number && unit->role == CR__EACH);
        CR__ASSERT(!is_repeated(plan, group, unit));
        CR__ASSERT(cr__unit_bytes(held) == cr__unit_bytes(unit));
    }
    if (slot->old)
        CR__ASSERT(slot->taken && place > plan->commits);
    slot->holds = at;
}

static void verify_group(cr__plan *plan, cr__group *group, uint32_t place)
{
    const bool by_rows = cr__is_row_program(group);
    uint32_t count = 0;
    CR__ASSERT(!group->ran && (!by_rows || !group->root));
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next, count++) {
        const cr__unit *unit = &plan->units[at - 1];
        CR__ASSERT(&plan->groups[unit->group] == group);
        if (by_rows)
            CR__ASSERT(cr__is_made_by_tiles(unit) || unit->inner == group->shape);
        else
            CR__ASSERT(cr__is_made_by_tiles(unit)
                           ? unit->shape == group->shape
                           : at == group->root &&
                                 (!unit->next || unit->kind == CR__UNIT_CONTRACT));
        CR__ASSERT(!(unit->flags & CR__CAN_FAIL) || place <= plan->commits);
        verify_reads(plan, group, unit, count + 1);
    }
    CR__ASSERT(count == group->count && count <= CR__MAX_PROGRAM);
    uint32_t number = 1;
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next)
        verify_write(plan, group, &plan->units[at - 1], at, number++, place);
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next)
        for (uint32_t k = 0; k < plan->units[at - 1].n_uses; k++) {
            const cr__unit *read = read_unit(plan, &plan->units[at - 1], k);
            if (read && read->slot)
                slot_of(plan, read)->reads = 0;
        }
    group->ran = place;
}

/* ---- all of it ---- */

void cr__verify_plan(cr__plan *plan)
{
    if (plan->single)
        return;
    for (uint32_t i = 0; i < plan->n_units; i++)
        verify_memory(plan, &plan->units[i], i);
    CR__ASSERT(plan->n_order == plan->n_groups - 1);
    for (uint32_t i = 0; i < plan->n_order; i++)
        verify_group(plan, &plan->groups[plan->order[i]], i + 1);
    for (uint32_t i = 0; i < plan->n_units; i++) {
        const cr__slot *slot = slot_of(plan, &plan->units[i]);
        CR__ASSERT(!slot || !stays(plan, &plan->units[i]) || slot->holds == i + 1);
    }
    for (uint32_t i = 0; i < plan->n_seen; i++) {
        const cr__seen *seen = &plan->views[i];
        const cr__use *use = &seen->use;
        if (seen->alias && use->kind == CR__USE_UNIT && plan->units[use->unit].slot)
            CR__ASSERT(slot_of(plan, &plan->units[use->unit])->holds == use->unit + 1);
    }
    for (uint32_t i = 0; i < plan->n_slots; i++)
        CR__ASSERT(!plan->slots[i].old || plan->slots[i].taken ||
                   plan->slots[i].holds == plan->slots[i].unit + 1);
}

/* Groups n from place i of the order on run at once: none reads or writes what another
 * writes. */
void cr__verify_job(cr__plan *plan, uint32_t i, uint32_t n)
{
    for (uint32_t mark = 0; mark < n; mark++) {
        const cr__group *group = &plan->groups[plan->order[i + mark]];
        for (uint32_t at = group->first; at; at = plan->units[at - 1].next)
            if (plan->units[at - 1].slot)
                slot_of(plan, &plan->units[at - 1])->written_by = i + mark + 1;
    }
    for (uint32_t mark = 0; mark < n; mark++) {
        const cr__group *group = &plan->groups[plan->order[i + mark]];
        for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
            const cr__unit *unit = &plan->units[at - 1];
            CR__ASSERT(!unit->slot || slot_of(plan, unit)->written_by == i + mark + 1);
            for (uint32_t k = 0; k < unit->n_uses; k++) {
                const cr__unit *read = read_unit(plan, unit, k);
                const cr__slot *slot = read ? slot_of(plan, read) : NULL;
                CR__ASSERT(!slot || slot->written_by <= i ||
                           slot->written_by == i + mark + 1);
            }
        }
    }
}

#endif
