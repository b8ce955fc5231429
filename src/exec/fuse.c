/* Units become groups. Groups are made backwards: units are placed from the last to the
 * first, so that when a unit's turn comes all its readers in this run are placed. Until then
 * unit->group is the highest number of a group that reads it, which is the first of them to
 * run, and unit->role is what that group takes it for. The unit joins that group, or another
 * that runs no later and reads what the unit reads, by the first of the rules that applies; or
 * begins one, whose number is above all there are. What may run last is placed before all others.
 * Either way, which is the invariant:
 *
 *     a unit's group has a number no smaller than any of its readers'
 *
 * and so groups can run in descending order of number, without a search for cycles.
 *
 * CR__STORED: somebody reads the value that does not find it in the group's registers:
 * another group, the same one but not element by element, or what comes after the run. */
#include "call_opaque.h"
#include "program.h"

/* Operands, not of maps, that a group waits for while they take memory: a sum of very many values would
 * have all of them at once, where added in portions they die early. */
#define MAX_READS 8

/* A reduction, or a map of rows' values, is put where the maps that make its operand read what
 * others do, so many deep. */
#define READ_DEPTH 3

/* Maps that make what a kernel of its own fetches. */
#define MAX_FEEDING 32

/* Reductions of one program. */
#define MAX_REDUCTIONS 16

/* Which group was the last to read a value that the run finds, or an old one: of the last few
 * of these values, taken in turn. */
#define READERS 16
typedef struct fusion {
    cr__plan *plan;
    int next;
    struct {
        const void *value;
        uint32_t group;
    } readers[READERS];
} fusion;

/* ---- reading ---- */

/* What identifies a value that is no unit to compute; NULL: it is one, or is small. */
static const void *found_value(const cr__plan *plan, const cr__use *use)
{
    const cr__unit *unit = &plan->units[use->unit];
    if (use->kind == CR__USE_KNOWN)
        return use->at.data;
    return use->kind == CR__USE_UNIT && unit->kind == CR__UNIT_OLD ? unit : NULL;
}

/* Its place among the last few; -1: it is none. */
static int find_reader(const fusion *f, const void *value)
{
    int i = READERS;
    while (i-- > 0 && f->readers[i].value != value)
        ;
    return i;
}

static void note_reader(fusion *f, const void *value, uint32_t group)
{
    int i = find_reader(f, value);
    if (i < 0) {
        i = f->next;
        f->next = (i + 1) % READERS;
    }
    f->readers[i].value = value;
    f->readers[i].group = group;
}

int64_t cr__looks_by_rows(const cr__look *look, int64_t numel)
{
    const cr__layout *x = &look->layout;
    int d = x->ndim;
    int64_t stride = 1, run = 1;
    while (d > 0 && (x->strides[d - 1] == 0 || x->dims[d - 1] == 1))
        run *= x->dims[--d];
    while (d > 0 && (x->strides[d - 1] == stride || x->dims[d - 1] == 1))
        stride *= x->dims[--d];
    while (d > 0 && (x->strides[d - 1] == 0 || x->dims[d - 1] == 1))
        d--;
    return d == 0 && x->offset == 0 && stride == numel && numel > 1 ? run : 0;
}

/* Whether the reader, in a group of that kind, takes the unit element by element, and for
 * what, and, if for a row's value, of which run. */
static bool takes(const cr__plan *plan, const cr__group *group, const cr__unit *reader,
                  const cr__use *use, cr__role *role, int64_t *run)
{
    const cr__unit *unit = &plan->units[use->unit];
    const cr__look *look = cr__use_look(plan, use);
    *role = reader->kind == CR__UNIT_MAP && reader->role == CR__ROW ? CR__ROW : CR__EACH;
    *run = *role == CR__ROW ? reader->run : 0;
    if (reader->kind == CR__UNIT_OPAQUE)
        return unit->kind == CR__UNIT_MAP && !(unit->flags & CR__DRAWN) &&
               (!look || look->whole) &&
               cr__draws(reader->node, (int)(use - &plan->uses[reader->uses]));
    if (!group->shape || reader->kind == CR__UNIT_CONTRACT ||
        reader->kind == CR__UNIT_MADE)
        return false;
    if (!look)
        return true;
    if (*role == CR__ROW)
        return look->whole;
    if (cr__uses_each(plan, use))
        return true;
    *role = CR__ROW;
    *run = cr__looks_by_rows(look, unit->shape->numel);
    return reader->kind == CR__UNIT_MAP && *run;
}

/* A row's value, or a column's. */
static bool is_smaller(const cr__unit *unit, const cr__shape *shape)
{
    return shape && unit->shape->numel < shape->numel;
}

/* The reader, in that group, reads a value. */
static void read_by(fusion *f, const cr__unit *reader, const cr__use *use, uint32_t group)
{
    cr__plan *plan = f->plan;
    cr__unit *unit = &plan->units[use->unit];
    const void *found = found_value(plan, use);
    cr__role role;
    int64_t run;
    if (found && !use->look &&
        (reader->shape->numel > 1 || reader->kind == CR__UNIT_REDUCE))
        note_reader(f, found, group);
    if (use->kind != CR__USE_UNIT || unit->kind == CR__UNIT_OLD)
        return;
    plan->groups[group].reads += unit->kind != CR__UNIT_MAP && unit->shape->numel > 1 &&
                                 !is_smaller(unit, plan->groups[group].shape);
    bool direct = takes(plan, &plan->groups[group], reader, use, &role, &run);
    if (unit->group && group != unit->group)
        unit->flags |= CR__STORED | CR__READ_BY_OTHERS;
    if (group > unit->group) {
        unit->flags &= (uint16_t)~CR__INDIRECT;
        unit->group = group;
        unit->role = (uint8_t)role;
        unit->run = unit->kind == CR__UNIT_MAP ? (uint32_t)run : unit->run;
    }
    unit->flags |= !direct ? CR__STORED : reader->kind == CR__UNIT_OPAQUE ? CR__DRAWN : 0;
    if (group == unit->group && (!direct || unit->role != role || unit->run != run))
        unit->flags |= CR__INDIRECT;
}

/* ---- what a group may hold ---- */

/* What of a group changes when a unit joins it. */
typedef struct joining {
    cr__role role;       /* of the unit */
    bool by_rows;        /* it becomes a row program */
    int64_t length, run; /* of its rows, */
    int64_t columns;     /* and of such that are reduced to one; */
    size_t column_bytes; /* of elements of all such reductions */
    bool of_all, crosses;
} joining;

/* Whether rows of that length can be cut for threads at whole blocks of all elements. */
static bool splits(int64_t length, int64_t numel)
{
    int64_t rows = numel / length, least = CR__BLOCK;
    for (; least > 1 && length % 2 == 0; length /= 2)
        least /= 2;
    return numel <= 16 * CR__BLOCK || rows / least >= 16;
}

/* The length of rows that the unit has one value for each of; false: the group has others. */
static bool finds_rows(const cr__group *group, const cr__unit *unit, joining *to)
{
    const int64_t n = unit->shape->numel, all = group->shape->numel, found = all / n;
    if (n * found != all || found < 2 || found > CR__LONG_ROW ||
        (to->length && (to->length != found || to->run != unit->run)))
        return false;
    to->length = found;
    to->run = unit->run;
    return true;
}

/* Whether channels can be the rows, shared by threads; where everything is reduced, so many that
 * their runs are whole blocks of it. */
static bool finds_channels(const cr__group *group, const joining *to, size_t width)
{
    const int64_t numel = group->shape->numel, channels = numel / to->length;
    const int64_t shares =
        to->of_all && to->run < CR__BLOCK ? channels * to->run / CR__BLOCK : channels;
    if (to->columns || to->run < CR__SHORT_RUN ||
        width * (size_t)to->length > CR__CHANNEL_BYTES ||
        (shares < 8 && numel > 16 * CR__BLOCK))
        return false;
    return !to->of_all || (channels * to->run % CR__BLOCK == 0 &&
                           (to->run % CR__BLOCK == 0 || CR__BLOCK % to->run == 0));
}

/* What becomes of the group if it holds the reduction of columns: there may be others of as
 * many. */
static bool finds_columns(const cr__unit *unit, joining *to)
{
    const int64_t n = unit->shape->numel;
    to->column_bytes += cr_dtype_size((cr_dtype)unit->dtype);
    if (to->columns && to->columns != n)
        return false;
    to->columns = n;
    return (size_t)n * CR__LANES * to->column_bytes <= CR__COLUMN_BYTES;
}

/* Whether blocks of rows, or lanes of them, can be shared by threads. */
static bool shares_columns(const joining *to, int64_t numel)
{
    return !to->of_all || numel <= 16 * CR__BLOCK || to->columns % 256 == 0 ||
           numel / to->columns >= 16 * CR__BLOCK;
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

/* Whether maps of the group do so, and it has no root. */
static bool awaits_product(const cr__plan *plan, const cr__group *group)
{
    bool found = false;
    for (uint32_t at = group->root ? 0 : group->first; at && !found;
         at = plan->units[at - 1].next)
        found = reads_product(plan, &plan->units[at - 1]);
    return found;
}

/* Whether the map, which the group reads, can be among those that make what its root fetches: it is
 * not wanted in memory, is not for a product's panels, and reads nothing that the root may write
 * over. */
static bool feeds_root(const cr__plan *plan, const cr__unit *unit, const cr__group *group)
{
    const cr__unit *root = &plan->units[group->root - 1];
    if (unit->kind != CR__UNIT_MAP || unit->role != CR__EACH ||
        unit->flags & (CR__STORED | CR__INDIRECT) || unit->shape->numel < 2 ||
        group->count > MAX_FEEDING || reads_product(plan, unit))
        return false;
    for (uint32_t k = 0; k < root->n_uses && root->op->overwrites; k++)
        for (uint32_t i = 0; i < unit->n_uses; i++) {
            const cr__use *a = &plan->uses[root->uses + k],
                          *b = &plan->uses[unit->uses + i];
            if (a->kind == CR__USE_UNIT && b->kind == CR__USE_UNIT && a->unit == b->unit)
                return false;
        }
    return true;
}

/* Whether a program can make the elements of what has a kernel of its own. */
static bool can_be_made(const cr__unit *unit)
{
    const cr__opaque_info *info =
        unit->kind == CR__UNIT_OPAQUE ? unit->op->internal : NULL;
    return info && info->elements && !(unit->flags & CR__CAN_FAIL) &&
           unit->shape->numel > 1 && info->elements(unit->node);
}

/* Whether the unit can be computed in the group, which reads it as it is, or not at all: then a
 * map is to have that role; and what becomes of the group. */
static bool fits_group(const cr__plan *plan, const cr__unit *unit, uint32_t g,
                       cr__role as, joining *to)
{
    const cr__group *group = &plan->groups[g];
    const cr__unit *root = group->root ? &plan->units[group->root - 1] : NULL;
    const bool is_read = unit->group == g, reduces = unit->kind == CR__UNIT_REDUCE;
    if (root && root->kind == CR__UNIT_OPAQUE) {
        *to = (joining){ .role = CR__EACH };
        return is_read && unit->shape == group->shape && feeds_root(plan, unit, group);
    }
    if (unit->kind != CR__UNIT_MAP && !(reduces && unit->inner) &&
        !(is_read && can_be_made(unit)))
        return false;
    if (!group->shape || group->count >= CR__MAX_PROGRAM || group->reads >= MAX_READS ||
        (root && !(root->kind == CR__UNIT_REDUCE && root->inner) &&
         !cr__is_epilogue(plan, group)) ||
        group->reductions >= MAX_REDUCTIONS)
        return false;
    *to = (joining){ .role = reduces   ? cr__reduction_role(unit)
                             : is_read ? (cr__role)unit->role
                                       : as,
                     .length = group->length,
                     .run = group->run,
                     .columns = group->columns,
                     .column_bytes = group->column_bytes,
                     .of_all = group->of_all,
                     .crosses = group->crosses };
    if (reduces ? unit->inner != group->shape ||
                      (is_read && (unit->role != CR__ROW || to->role != CR__ROW))
                : to->role == CR__EACH && unit->shape != group->shape)
        return false;
    to->by_rows = group->reductions || to->role != CR__EACH ||
                  (root && (!is_read || root->flags & CR__ACROSS));
    if (to->by_rows && group->shape->numel == 1)
        return false;
    /* A group that has a product for its root waits for no other one. */
    if (cr__is_epilogue(plan, group))
        return !to->by_rows && !reads_product(plan, unit);
    if (root && to->by_rows) {
        const cr__role role = cr__reduction_role(root);
        to->of_all |= role == CR__ALL;
        if ((role == CR__ROW && !finds_rows(group, root, to)) ||
            (role == CR__COLUMN && !finds_columns(root, to)))
            return false;
    }
    to->of_all |= to->role == CR__ALL;
    if ((to->role == CR__ROW && !finds_rows(group, unit, to)) ||
        (to->role == CR__COLUMN && !finds_columns(unit, to)))
        return false;
    to->crosses |= to->role == CR__ROW && is_read;
    const size_t width =
        group->width + (to->role == CR__EACH ? cr__register_size(unit) : 0);
    if (to->length && to->run != to->length)
        return finds_channels(group, to, width);
    if (to->crosses && width * (size_t)to->length > CR__ROW_BYTES)
        return false;
    if (!to->columns)
        return !to->of_all || !to->length || splits(to->length, group->shape->numel);
    if (to->length && to->length != to->columns)
        return false;
    /* Maps that wait for a product are for its panels. */
    if (!to->length && (reads_product(plan, unit) ||
                        (!cr__is_row_program(group) && awaits_product(plan, group))))
        return false;
    return shares_columns(to, group->shape->numel);
}

static void make_row_program(cr__plan *plan, cr__group *group)
{
    cr__unit *root = &plan->units[group->root - 1];
    root->role = (uint8_t)cr__reduction_role(root);
    if (root->role == CR__ALL)
        group->of_all++;
    group->reductions = 1;
    group->root = 0;
}

static uint32_t join_group(cr__plan *plan, cr__unit *unit, uint32_t g, const joining *to)
{
    cr__group *group = &plan->groups[g];
    if (to->by_rows && group->root)
        make_row_program(plan, group);
    group->length = (uint32_t)to->length;
    group->run = (uint32_t)to->run;
    group->crosses = to->crosses;
    group->columns = (uint32_t)to->columns;
    group->column_bytes = (uint16_t)to->column_bytes;
    if (unit->kind == CR__UNIT_OPAQUE)
        unit->kind = CR__UNIT_MADE;
    if (unit->kind == CR__UNIT_REDUCE)
        group->reductions++;
    if (to->role == CR__ALL)
        group->of_all++;
    unit->role = (uint8_t)to->role;
    return g;
}

/* ---- rules ---- */

/* A new group with the unit as its only one; 0 with the error. */
static uint32_t begin_group(fusion *f, cr__unit *unit)
{
    cr__plan *plan = f->plan;
    cr__list *list = &plan->ctx->run_lists[CR__GROUPS];
    if (!cr__list_reserve(plan->ctx, list,
                          ((size_t)plan->n_groups + 1) * sizeof *plan->groups))
        return 0;
    plan->groups = list->at;
    cr__group *group = &plan->groups[plan->n_groups];
    *group = (cr__group){ 0 };
    unit->role = CR__EACH;
    group->shape = unit->kind == CR__UNIT_MAP ? unit->shape : unit->inner;
    if (unit->kind != CR__UNIT_MAP)
        group->root = (uint32_t)(unit - plan->units) + 1;
    if (unit->flags & CR__CAN_FAIL && !plan->fails)
        plan->fails = plan->n_groups;
    return plan->n_groups++;
}

/* What an opaque kernel, its only reader, fetches, of one input. */
static uint32_t feed_reader(fusion *f, cr__unit *unit)
{
    if (!(unit->flags & CR__DRAWN))
        return 0;
    cr__group *group = &f->plan->groups[unit->group];
    if (group->shape || !feeds_root(f->plan, unit, group)) {
        unit->flags = (uint16_t)((unit->flags & ~CR__DRAWN) | CR__STORED);
        return 0;
    }
    group->shape = unit->shape;
    return unit->group;
}

/* The group of the reader that runs first. */
static uint32_t join_reader(fusion *f, cr__unit *unit)
{
    joining to;
    if (!unit->group || unit->flags & CR__INDIRECT ||
        !fits_group(f->plan, unit, unit->group, CR__EACH, &to))
        return 0;
    return join_group(f->plan, unit, unit->group, &to);
}

/* A contraction becomes the root of the maps that read it first, if they have none. */
static uint32_t lead_reader(fusion *f, cr__unit *unit)
{
    cr__plan *plan = f->plan;
    if (unit->kind != CR__UNIT_CONTRACT || !unit->group || unit->flags & CR__INDIRECT ||
        unit->role != CR__EACH || unit->shape->numel < 2 || !cr__takes_panels(unit))
        return 0;
    cr__group *group = &plan->groups[unit->group];
    if (!group->shape || group->root || cr__is_row_program(group))
        return 0;
    CR__ASSERT(group->shape->numel == unit->shape->numel);
    group->root = (uint32_t)(unit - plan->units) + 1;
    group->reads--;
    return unit->group;
}

/* The group that reads the operand, and runs first of those. */
static uint32_t reading_group(const fusion *f, const cr__use *use)
{
    const cr__plan *plan = f->plan;
    const void *found = found_value(plan, use);
    if (found) {
        int i = find_reader(f, found);
        return i < 0 ? 0 : f->readers[i].group;
    }
    return use->kind == CR__USE_UNIT ? plan->units[use->unit].group : 0;
}

/* A group that reads the unit's operand, or what that is made of, and runs as early as its
 * readers. Maps of what are rows' values there are such themselves. */
static uint32_t join_by(fusion *f, cr__unit *unit, const cr__use *use, bool direct)
{
    joining to;
    const cr__unit *read = &f->plan->units[use->unit];
    const cr__look *look = cr__use_look(f->plan, use);
    const bool of_rows = unit->kind == CR__UNIT_MAP && use->kind == CR__USE_UNIT &&
                         read->role == CR__ROW && !(read->flags & CR__INDIRECT) &&
                         read->shape->numel == unit->shape->numel;
    uint32_t g = look && !(of_rows && look->whole) ? 0 : reading_group(f, use);
    if (!g || g <= unit->group || !(direct || of_rows || unit->kind == CR__UNIT_REDUCE))
        return 0;
    if (of_rows)
        unit->run = read->run;
    if (!fits_group(f->plan, unit, g, of_rows ? CR__ROW : CR__EACH, &to))
        return 0;
    return join_group(f->plan, unit, g, &to);
}

/* By an operand of `of`, or of the maps that make that, so many deep. */
static uint32_t join_by_maps(fusion *f, cr__unit *unit, const cr__unit *of, int deep)
{
    const cr__use *uses = &f->plan->uses[of->uses];
    uint32_t g = 0;
    for (uint32_t k = 0; k < of->n_uses && !g; k++)
        g = join_by(f, unit, &uses[k], of == unit);
    for (uint32_t k = 0; k < of->n_uses && !g && deep; k++) {
        const cr__unit *made = &f->plan->units[uses[k].unit];
        if (uses[k].kind == CR__USE_UNIT && !uses[k].look && made->kind == CR__UNIT_MAP)
            g = join_by_maps(f, unit, made, deep - 1);
    }
    return g;
}

/* A group that reads an operand of the unit, or what the maps are made of that it reduces. */
static uint32_t join_sibling(fusion *f, cr__unit *unit)
{
    const bool reduces = unit->kind == CR__UNIT_REDUCE && unit->inner;
    if (unit->shape->numel == 1 && !reduces)
        return 0;
    return join_by_maps(f, unit, unit,
                        unit->kind == CR__UNIT_MAP || reduces ? READ_DEPTH : 0);
}

static uint32_t (*const rules[])(fusion *, cr__unit *) = { feed_reader, join_reader,
                                                           lead_reader, join_sibling,
                                                           begin_group };

/* ---- placing ---- */

static bool place_unit(fusion *f, cr__unit *unit)
{
    cr__plan *plan = f->plan;
    uint32_t read_by_first = unit->group, g = 0;
    for (int i = 0; !g && i < CR__COUNT(rules); i++)
        g = rules[i](f, unit);
    if (!g)
        return false;
    CR__ASSERT(g >= read_by_first);
    cr__group *group = &plan->groups[g];
    if (read_by_first && read_by_first != g)
        unit->flags |= CR__STORED | CR__READ_BY_OTHERS;
    const bool by_tiles = cr__is_made_by_tiles(unit);
    const bool aside =
        by_tiles || (cr__is_epilogue(plan, group) && !cr__is_convolution(unit));
    if (!aside && (unit->role == CR__EACH || unit->role == CR__COLUMN))
        unit->flags |= CR__STORED;
    unit->group = g;
    unit->next = group->first;
    group->first = (uint32_t)(unit - plan->units) + 1;
    group->count++;
    group->places += unit->kind == CR__UNIT_OPAQUE ? 1 : unit->n_uses + 1;
    if (by_tiles && unit->role == CR__EACH)
        group->width += (uint16_t)cr__register_size(unit);
    for (uint32_t k = 0; k < unit->n_uses; k++)
        read_by(f, unit, &plan->uses[unit->uses + k], g);
    return true;
}

bool cr__fuse(cr__plan *plan)
{
    fusion f = { .plan = plan };
    plan->n_groups = 1;
    cr__find_afterthoughts(plan);
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = plan->n_units; i-- > plan->n_old;)
            if (pass == !(plan->units[i].flags & CR__AFTER) &&
                !place_unit(&f, &plan->units[i]))
                return false;
    for (uint32_t g = 1; g < plan->n_groups; g++)
        cr__find_levels(plan, &plan->groups[g]);
    return true;
}
