/* Where values lie. A slot serves one value after the other: it is free behind the last
 * group to read its value, and in a group of maps before, for a result of the same size: an
 * operand that is read as it is for the last time is overwritten, element by element.
 *
 * Old values, which the run replaces, are such operands too, and their memory is free
 * behind their last reader, but only from the commit point on: behind the last group that
 * can fail. So parameters, states of optimisers and gradients are updated in place, and
 * what fails has changed nothing.
 *
 * All of this is decided by sizes; then the memory is obtained, before anything is
 * computed. */
#include "exec.h"

#include <limits.h>
#include <string.h>

/* ---- slots ---- */

static uint32_t *free_slots(const cr__plan *plan, size_t bytes)
{
    return (uint32_t *)plan->ctx->run_lists[CR__FREE_SLOTS].at + cr__size_class(bytes) +
           1;
}

static uint32_t new_slot(cr__plan *plan, size_t bytes, uint32_t unit)
{
    cr__list *list = &plan->ctx->run_lists[CR__SLOTS];
    if (!cr__list_reserve(plan->ctx, list,
                          ((size_t)plan->n_slots + 1) * sizeof *plan->slots))
        return 0;
    plan->slots = list->at;
    plan->slots[plan->n_slots] = (cr__slot){ .bytes = bytes, .unit = unit };
    return ++plan->n_slots;
}

static bool slot_holds(const cr__slot *slot, size_t bytes)
{
    return !slot->old || bytes <= slot->bytes;
}

static void use_slot(cr__slot *slot, size_t bytes)
{
    slot->taken = slot->old;
    slot->bytes = bytes > slot->bytes ? bytes : slot->bytes;
}

/* A free slot of the size's class, or a new one; 0 with the error. */
static uint32_t find_slot(cr__plan *plan, size_t bytes, uint32_t unit)
{
    uint32_t *link = free_slots(plan, bytes), at = *link;
    if (!at || cr__size_class(bytes) < 0 || !slot_holds(&plan->slots[at - 1], bytes))
        return new_slot(plan, bytes, unit);
    *link = plan->slots[at - 1].next;
    use_slot(&plan->slots[at - 1], bytes);
    return at;
}

/* The unit's slot is free from now on. */
static void free_slot(cr__plan *plan, cr__unit *unit)
{
    uint32_t *link = free_slots(plan, plan->slots[unit->slot - 1].bytes);
    plan->slots[unit->slot - 1].next = *link;
    *link = unit->slot;
    unit->flags |= CR__FREED;
}

/* Whether nothing reads the value behind the group at this place, 1 the first, and its memory is
 * free then: that of old values, from the commit point on. */
static bool dies(const cr__plan *plan, const cr__unit *unit, uint32_t place)
{
    return unit->last == place && unit->slot &&
           !(unit->flags & (CR__OUTLIVES | CR__PINNED | CR__FREED)) &&
           (unit->kind != CR__UNIT_OLD || place > plan->commits);
}

/* The dying unit's slot, for a result of so many bytes. */
static uint32_t take_slot(cr__plan *plan, cr__unit *unit, size_t bytes)
{
    unit->flags |= CR__FREED;
    use_slot(&plan->slots[unit->slot - 1], bytes);
    return unit->slot;
}

/* ---- operands that are overwritten ---- */

#define MAX_DYING 16

typedef struct dying {
    cr__unit *unit;
    uint32_t by; /* which unit of the group reads it for the last time, from 1 on */
} dying;

/* From which level on a group may write over what it reads: what a reduction is of may have to be
 * computed once more, up to its level; or everything, if columns or everything are reduced. */
static int first_to_overwrite(const cr__plan *plan, const cr__group *group)
{
    int first = group->root && !cr__is_epilogue(plan, group) ? INT_MAX : 0;
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
        const cr__unit *unit = &plan->units[at - 1];
        if (unit->kind != CR__UNIT_REDUCE || first == INT_MAX ||
            cr__ending_of(unit->node).code == CR__AS_IT_IS)
            continue;
        first = unit->role == CR__ROW ? unit->level + 1 : INT_MAX;
    }
    return first;
}

/* The operands of a group of maps that die in it, and are read as they are; how many. What a
 * contraction reads is none; its result may be one, and is then the first to be overwritten, since
 * it is in the cache. */
static int find_dying(const cr__plan *plan, const cr__group *group, uint32_t place,
                      dying *found)
{
    int n = 0;
    uint32_t number = 1;
    if (cr__is_epilogue(plan, group) && dies(plan, &plan->units[group->root - 1], place))
        found[n++] = (dying){ &plan->units[group->root - 1], 1 };
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next, number++) {
        const cr__unit *unit = &plan->units[at - 1];
        const bool each = unit->kind == CR__UNIT_REDUCE ||
                          (unit->kind == CR__UNIT_MAP && unit->role == CR__EACH);
        for (uint32_t k = 0; k < unit->n_uses; k++) {
            const cr__use *use = &plan->uses[unit->uses + k];
            cr__unit *read = &plan->units[use->unit];
            int i = 0;
            if (use->kind != CR__USE_UNIT || !dies(plan, read, place))
                continue;
            while (i < n && found[i].unit != read)
                i++;
            if (i == MAX_DYING)
                continue;
            if (i == n)
                found[n++] = (dying){ read, number };
            found[i].by = each && !use->look && found[i].by ? number : 0;
        }
    }
    return n;
}

/* The slot of an operand, of elements of the same size, that no unit of the group behind this
 * one, of that number, reads; 0: there is none. */
static uint32_t overwrite(cr__plan *plan, const cr__unit *by, uint32_t number,
                          dying *found, int n)
{
    size_t bytes = cr__unit_bytes(by);
    for (int i = 0; i < n; i++) {
        cr__unit *unit = found[i].unit;
        if (!found[i].by || found[i].by > number || unit->flags & CR__FREED ||
            cr__unit_bytes(unit) != bytes)
            continue;
        return take_slot(plan, unit, bytes);
    }
    return 0;
}

/* How many operands of the unit are values of that one. */
static int times_read(const cr__plan *plan, const cr__unit *unit, uint32_t read)
{
    int n = 0;
    for (uint32_t k = 0; k < unit->n_uses; k++) {
        const cr__use *use = &plan->uses[unit->uses + k];
        n += use->kind == CR__USE_UNIT && use->unit == read;
    }
    return n;
}

/* The slot of an operand that the result of an opaque unit may lie over; 0: there is none. */
static uint32_t overwrite_input(cr__plan *plan, const cr__unit *unit, uint32_t place)
{
    const size_t bytes = cr__unit_bytes(unit);
    for (uint32_t k = 0; k < unit->n_uses && k < 32 && unit->op->overwrites >> k; k++) {
        const cr__use *use = &plan->uses[unit->uses + k];
        cr__unit *read = &plan->units[use->unit];
        if (unit->op->overwrites >> k & 1 && use->kind == CR__USE_UNIT && !use->look &&
            dies(plan, read, place) && cr__unit_bytes(read) == bytes &&
            times_read(plan, unit, use->unit) == 1)
            return take_slot(plan, read, bytes);
    }
    return 0;
}

/* ---- a group ---- */

static bool give_slots(cr__plan *plan, const cr__group *group, uint32_t place)
{
    dying found[MAX_DYING];
    cr__unit *root = &plan->units[group->root - 1];
    if (cr__is_epilogue(plan, group) && root->flags & CR__STORED &&
        !(root->slot = find_slot(plan, cr__unit_bytes(root), group->root - 1)))
        return false;
    const int first = first_to_overwrite(plan, group);
    int n = first == INT_MAX ? 0 : find_dying(plan, group, place, found);
    uint32_t number = 1;
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next, number++) {
        cr__unit *unit = &plan->units[at - 1];
        if (!(unit->flags & CR__STORED) || unit->shape->numel == 1 || unit->slot)
            continue;
        if (unit->kind == CR__UNIT_OPAQUE)
            unit->slot = overwrite_input(plan, unit, place);
        else if (unit->kind == CR__UNIT_MAP && unit->role == CR__EACH &&
                 unit->level >= first)
            unit->slot = overwrite(plan, unit, number, found, n);
        if (!unit->slot)
            unit->slot = find_slot(plan, cr__unit_bytes(unit), at - 1);
        if (!unit->slot)
            return false;
        if (plan->slots[unit->slot - 1].old && place <= plan->overwrites)
            plan->overwrites = place - 1;
    }
    return true;
}

static void retire(cr__plan *plan, const cr__group *group, uint32_t place)
{
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
        cr__unit *unit = &plan->units[at - 1];
        for (uint32_t k = 0; k < unit->n_uses; k++) {
            const cr__use *use = &plan->uses[unit->uses + k];
            cr__unit *read = &plan->units[use->unit];
            if (use->kind == CR__USE_UNIT && dies(plan, read, place))
                free_slot(plan, read);
        }
        if (dies(plan, unit, place))
            free_slot(plan, unit);
    }
}

/* ---- all groups ---- */

static bool add_pack_slots(cr__plan *plan)
{
    cr__find_packs(plan);
    for (int i = 0; i < CR__PACKS; i++) {
        cr__pack *pack = &plan->packs[i];
        const size_t bytes = cr__pack_bytes(plan, pack);
        if (bytes && !(pack->slot = new_slot(plan, bytes, pack->first - 1)))
            return false;
    }
    return true;
}

static void find_last_readers(cr__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_order; i++) {
        uint32_t at = plan->groups[plan->order[i]].first;
        for (; at; at = plan->units[at - 1].next) {
            cr__unit *unit = &plan->units[at - 1];
            unit->last = unit->last > i + 1 ? unit->last : i + 1;
            for (uint32_t k = 0; k < unit->n_uses; k++)
                if (plan->uses[unit->uses + k].kind == CR__USE_UNIT)
                    plan->units[plan->uses[unit->uses + k].unit].last = i + 1;
        }
    }
}

static bool add_old_slots(cr__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_old; i++) {
        cr__unit *unit = &plan->units[i];
        unit->slot = new_slot(plan, unit->node->value.buffer->bytes, i);
        if (!unit->slot)
            return false;
        plan->slots[unit->slot - 1].old = true;
        plan->slots[unit->slot - 1].buffer = unit->node->value.buffer;
    }
    return true;
}

/* The commit point: nothing that runs from here on can fail. */
static void free_old(cr__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_old; i++)
        if (plan->units[i].last <= plan->commits &&
            !(plan->units[i].flags & (CR__OUTLIVES | CR__PINNED)))
            free_slot(plan, &plan->units[i]);
}

bool cr__find_slots(cr__plan *plan)
{
    cr__list *list = &plan->ctx->run_lists[CR__FREE_SLOTS];
    size_t bytes = (CR__SIZE_CLASSES + 1) * sizeof(uint32_t);
    if (!cr__list_reserve(plan->ctx, list, bytes) || !add_old_slots(plan))
        return false;
    memset(list->at, 0, bytes);
    find_last_readers(plan);
    plan->overwrites = UINT32_MAX;
    if (plan->scratch_bytes &&
        !(plan->scratch = new_slot(plan, plan->scratch_bytes, plan->asks)))
        return false;
    for (uint32_t i = 0; i < plan->n_order; i++) {
        const cr__group *group = &plan->groups[plan->order[i]];
        if (i == plan->commits)
            free_old(plan);
        if (!give_slots(plan, group, i + 1))
            return false;
        retire(plan, group, i + 1);
    }
    if (!add_pack_slots(plan))
        return false;
    for (uint32_t i = 0; i < plan->n_slots; i++)
        plan->new_bytes += plan->slots[i].old ? 0 : plan->slots[i].bytes;
    return true;
}

bool cr__obtain_slots(cr__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_slots; i++) {
        cr__slot *slot = &plan->slots[i];
        if (!slot->buffer && !(slot->buffer = cr__buffer_new(plan->ctx, slot->bytes))) {
            cr__say_for_what(plan->units[slot->unit].node);
            return false;
        }
    }
    return true;
}
