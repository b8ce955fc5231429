/* In which order the units of a row program are computed: by levels, each of which ends in
 * reductions that later ones read. And what of a row of channels is kept between levels. */
#include "program.h"

/* The unit that makes the operand in the same group; NULL: it is made outside. */
static cr__unit *made_inside(const cr__plan *plan, const cr__unit *unit,
                             const cr__use *use)
{
    cr__unit *made = &plan->units[use->unit];
    bool inside = use->kind == CR__USE_UNIT && made->kind != CR__UNIT_OLD &&
                  made->group == unit->group;
    return inside ? made : NULL;
}

/* Level 0 is of rows' values that wait for nothing in the group. What is made of no operands is so
 * in the level that is the first to read it. */
static int find_levels(cr__plan *plan, const cr__group *group)
{
    int most = 1;
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
        cr__unit *unit = &plan->units[at - 1];
        int level = !cr__is_row_map(unit);
        for (uint32_t k = 0; k < unit->n_uses; k++) {
            const cr__unit *made = made_inside(plan, unit, &plan->uses[unit->uses + k]);
            if (made && made->kind != CR__UNIT_MADE &&
                made->level + (made->role == CR__ROW && !cr__is_row_map(unit)) > level)
                level = made->level + (made->role == CR__ROW && !cr__is_row_map(unit));
        }
        unit->level = (uint8_t)level;
        most = level > most ? level : most;
        for (uint32_t k = 0; k < unit->n_uses; k++) {
            cr__unit *made = made_inside(plan, unit, &plan->uses[unit->uses + k]);
            if (made && made->kind == CR__UNIT_MADE && made->level > level)
                made->level = (uint8_t)level;
        }
        if (unit->kind == CR__UNIT_MADE)
            unit->level = UINT8_MAX;
    }
    return most;
}

/* The units in the order in which they are computed: by levels, and in a level rows' values
 * that are computed of others last. */
static void sort_by_levels(cr__plan *plan, cr__group *group, int levels)
{
    uint32_t first = group->first, *link = &group->first;
    for (int key = 0; key < 2 * levels + 2; key++)
        for (uint32_t *at = &first, next; *at; *at = next) {
            cr__unit *unit = &plan->units[*at - 1];
            next = unit->next;
            if (2 * unit->level + cr__is_row_map(unit) != key) {
                at = &unit->next;
                next = *at;
                continue;
            }
            *link = (uint32_t)(unit - plan->units) + 1;
            link = &unit->next;
        }
    *link = 0;
}

/* Programs of so many units have room for a tile's values of rows. */
#define FEW_UNITS 40

/* Of neighbouring channels so many at a time that those of an image are a tile, if nothing is read in
 * shorter pieces. */
static int64_t channels_at_once(const cr__plan *plan, const cr__group *group)
{
    const int64_t channels = group->shape->numel / group->length;
    int64_t n = CR__TILE_BYTES / group->run, values = 0;
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
        const cr__unit *unit = &plan->units[at - 1];
        n = cr__register_size(unit) > 4 ? 0 : n;
        for (uint32_t k = 0; k < unit->n_uses && !cr__is_row_map(unit); k++) {
            const cr__use *use = &plan->uses[unit->uses + k];
            if (made_inside(plan, unit, use))
                continue;
            if (cr__reads_channels(plan, group, use) &&
                cr_dtype_size((cr_dtype)use->dtype) <= 4)
                values++;
            else if (cr__row_of(plan, use) != INT64_MAX)
                n = 0;
        }
    }
    n = group->count > FEW_UNITS || values > CR__CHANNEL_OPERANDS ? 1 : n / 4;
    n = n < channels ? n : channels;
    while (n > 1 && (size_t)(n * group->length) * group->width > CR__CHANNEL_BYTES / 2)
        n /= 2;
    return n > 1 ? n : 1;
}

/* What the units of a row of channels have that others read in later levels. */
static void find_buffers(cr__plan *plan, cr__group *group)
{
    size_t n = 0, size = 0;
    group->batch = (uint16_t)channels_at_once(plan, group);
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next)
        plan->units[at - 1].place = 0;
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next)
        for (uint32_t k = 0; k < plan->units[at - 1].n_uses; k++) {
            const cr__unit *unit = &plan->units[at - 1];
            cr__unit *made = made_inside(plan, unit, &plan->uses[unit->uses + k]);
            if (!made || made->role != CR__EACH || made->level == unit->level ||
                made->place)
                continue;
            made->place = 1;
            size = cr__register_size(made) > size ? cr__register_size(made) : size;
            n++;
        }
    group->buffer_bytes = n * ((group->batch * group->length * size + 63) / 64 * 64) *
                          (size_t)cr__team_size(plan->ctx->team);
}

void cr__find_levels(cr__plan *plan, cr__group *group)
{
    if (cr__is_row_program(group))
        sort_by_levels(plan, group, find_levels(plan, group));
    if (group->run != group->length)
        find_buffers(plan, group);
}
