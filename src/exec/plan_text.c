/* The plan of a run as text: cr_plan_format(). */
#include "../base/text.h"
#include "program.h"

#define HOLDERS 5 /* that are named */

/* Of more groups, or single elements, the first and the last are told: so many. */
#define TOLD_FIRST 200
#define TOLD_LAST  20

/* Operands of one operation that are told. */
#define MOST_TOLD 8

static const char *const accesses[] = {
    [CR__ACCESS_SAME] = "",      [CR__ACCESS_ONE] = " one",
    [CR__ACCESS_ROW] = " row",   [CR__ACCESS_COLUMN] = " column",
    [CR__ACCESS_RUNS] = " runs", [CR__ACCESS_ANY] = " any"
};

static const char *const kinds[] = { [CR__UNIT_MAP] = "maps",
                                     [CR__UNIT_MADE] = "maps",
                                     [CR__UNIT_REDUCE] = "reduction",
                                     [CR__UNIT_CONTRACT] = "contraction",
                                     [CR__UNIT_OPAQUE] = "kernel of its own",
                                     [CR__UNIT_COPY] = "copy" };

/* ---- traffic ---- */

/* Bytes of memory that are read for the operand. */
static size_t bytes_read(const cr__plan *plan, const cr__unit *unit, const cr__use *use)
{
    const cr__look *look = cr__use_look(plan, use);
    int64_t n = 1;
    if (use->kind == CR__USE_NONE || use->kind == CR__USE_NUMBER)
        return 0;
    if (!look && use->kind == CR__USE_UNIT)
        return cr__unit_bytes(&plan->units[use->unit]);
    if (!look)
        n = cr__input(unit->node, (int)(use - &plan->uses[unit->uses]))->shape->numel;
    for (int d = 0; look && d < look->layout.ndim; d++)
        n *= look->layout.strides[d] ? look->layout.dims[d] : 1;
    return (size_t)n * cr_dtype_size((cr_dtype)use->dtype);
}

static bool is_inside(const cr__plan *plan, const cr__group *group, const cr__use *use)
{
    const cr__unit *unit = &plan->units[use->unit];
    return use->kind == CR__USE_UNIT && unit->kind != CR__UNIT_OLD &&
           &plan->groups[unit->group] == group;
}

static bool is_same(const cr__plan *plan, const cr__use *a, const cr__use *b)
{
    const cr__look *x = cr__use_look(plan, a), *y = cr__use_look(plan, b);
    if (a->kind != b->kind || a->unit != b->unit || a->at.data != b->at.data || !x != !y)
        return false;
    if (!x || x == y)
        return true;
    bool same = x->layout.ndim == y->layout.ndim && x->layout.offset == y->layout.offset;
    for (int d = 0; same && d < x->layout.ndim; d++)
        same = x->layout.dims[d] == y->layout.dims[d] &&
               x->layout.strides[d] == y->layout.strides[d];
    return same;
}

/* Whether an operand of the group before this one is the same, and has been read. Of a
 * kernel's many inputs each counts. */
static bool read_before(const cr__plan *plan, const cr__group *group, const cr__use *use)
{
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
        const cr__unit *unit = &plan->units[at - 1];
        for (uint32_t k = 0; k < unit->n_uses && k < MOST_TOLD; k++) {
            const cr__use *other = &plan->uses[unit->uses + k];
            if (other == use)
                return false;
            if (is_same(plan, other, use))
                return true;
        }
    }
    return false;
}

void cr__unit_traffic(const cr__plan *plan, const cr__unit *unit, bool alone, size_t *in,
                      size_t *out)
{
    const cr__group *group = &plan->groups[unit->group];
    *out = alone || unit->flags & CR__STORED ? cr__unit_bytes(unit) : 0;
    *in = 0;
    for (uint32_t k = 0; k < unit->n_uses; k++) {
        const cr__use *use = &plan->uses[unit->uses + k];
        if (alone || (!is_inside(plan, group, use) && !read_before(plan, group, use)))
            *in += bytes_read(plan, unit, use);
    }
}

static void find_traffic(const cr__plan *plan, const cr__group *group, size_t *in,
                         size_t *out)
{
    *in = *out = 0;
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
        size_t i_in, i_out;
        cr__unit_traffic(plan, &plan->units[at - 1], false, &i_in, &i_out);
        *in += i_in, *out += i_out;
    }
}

/* ---- words ---- */

static void pad_to(cr__text *out, size_t from, size_t column)
{
    size_t at = out->length - from;
    cr__say(out, "%*s", at < column ? (int)(column - at) : 1, "");
}

/* What a known value is called, or an old one: those have numbers. */
static void say_known(cr__text *out, const cr_tensor *x, uint32_t number)
{
    if (x->leaf && x->leaf->name)
        cr__say(out, "%s", x->leaf->name);
    else if (number)
        cr__say(out, "old%u", number);
    else
        cr__say(out, "%s", cr__shape_text(x));
}

/* Operand k of x, behind the views that the run looks through. */
static const cr_tensor *seen_by(const cr__plan *plan, const cr_tensor *x, int k)
{
    const cr_tensor *in = cr__input(x, k);
    while (in->run && !(in->flags & CR__KNOWN) && in->op->kind == CR_OP_VIEW)
        in = plan->views[in->run - 1].base;
    return in;
}

static void say_operand(cr__text *out, const cr__plan *plan, const cr__unit *unit,
                        uint32_t k)
{
    const cr__use *use = &plan->uses[unit->uses + k];
    bool parameter = (int)k >= unit->node->n_inputs;
    switch (use->kind) {
    case CR__USE_NONE:
        cr__say(out, "-");
        return;
    case CR__USE_NUMBER:
        if (parameter)
            cr__say(out, "..");
        else
            cr__say(out, "%s",
                    cr__number_text(plan->ctx, cr_operand(unit->node, (int)k)));
        return;
    case CR__USE_UNIT:
        if (plan->units[use->unit].kind == CR__UNIT_OLD)
            say_known(out, plan->units[use->unit].node, use->unit + 1);
        else
            cr__say(out, "%%%u", use->unit + 1 - plan->n_old);
        break;
    default:
        say_known(out, seen_by(plan, unit->node, (int)k), 0);
    }
    if (!plan->single)
        cr__say(out, "%s", accesses[cr__access_of(plan, use)]);
}

static void say_place(cr__text *out, const cr__plan *plan, const cr__unit *unit)
{
    const char *stays = unit->flags & CR__OUTLIVES ? ", stays" : "";
    const cr__slot *slot = unit->slot ? &plan->slots[unit->slot - 1] : NULL;
    if (slot && slot->old) {
        cr__say(out, " -> in place of ");
        say_known(out, plan->units[slot->unit].node, slot->unit + 1);
        cr__say(out, "%s", stays);
    } else if (slot) {
        cr__say(out, " -> slot %u%s", unit->slot, stays);
    } else if (unit->flags & CR__STORED) {
        cr__say(out, " -> node");
    }
}

/* One line. *site is that of the line before. */
static void say_unit(cr__text *out, const cr__plan *plan, const cr__unit *unit,
                     const char **site)
{
    const cr_tensor *x = unit->node;
    size_t from = out->length;
    cr__say(out, "    %%%u = %s", (uint32_t)(unit - plan->units) + 1 - plan->n_old,
            unit->kind == CR__UNIT_COPY ? "copy" : unit->op->name);
    for (uint32_t k = 0; k < unit->n_uses && k < MOST_TOLD; k++) {
        cr__say(out, k ? ", " : "(");
        say_operand(out, plan, unit, k);
    }
    if (unit->n_uses > MOST_TOLD)
        cr__say(out, ", .. %u in all", unit->n_uses);
    cr__say(out, unit->n_uses ? ")" : "()");
    pad_to(out, from, 44);
    cr__say(out, "%s %s", cr_dtype_name((cr_dtype)unit->dtype), cr__shape_text(x));
    say_place(out, plan, unit);
    if (x->site && (!*site || strcmp(*site, x->site) != 0)) {
        pad_to(out, from, 84);
        if (x->within)
            cr__say(out, "%s ", x->within->name);
        cr__say(out, "(%s)", x->site);
    }
    *site = x->site;
    cr__say(out, "\n");
}

static void say_group(cr__text *out, const cr__plan *plan, uint32_t i)
{
    const cr__group *group = &plan->groups[plan->order[i]];
    const cr__unit *last = NULL;
    const char *site = NULL;
    size_t in, over, from;
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next)
        last = &plan->units[at - 1];
    find_traffic(plan, group, &in, &over);
    if (group->together)
        cr__say(out, "groups %u to %u run together, in %lld parts one after the other:\n",
                i + 1, i + group->together, (long long)group->parts);
    from = out->length;
    cr__say(out, "group %u: %s%s", i + 1,
            cr__is_epilogue(plan, group)      ? "product and "
            : group->root && group->count > 1 ? "maps and "
                                              : "",
            cr__is_row_program(group) ? "row program" : kinds[last->kind]);
    if (group->shape) {
        cr_dims dims = { .n = group->shape->ndim };
        memcpy(dims.v, group->shape->dims, sizeof dims.v);
        cr__say(out, " over %s", cr__dims_text(plan->ctx, dims));
    }
    pad_to(out, from, 44);
    cr__say(out, "reads %zu, writes %zu bytes\n", in, over);
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next)
        say_unit(out, plan, &plan->units[at - 1], &site);
}

/* Whether line i of n is told; says how many are not. */
static bool is_told(cr__text *out, uint32_t i, uint32_t n, const char *what)
{
    bool all = n <= TOLD_FIRST + TOLD_LAST;
    if (!all && i == TOLD_FIRST)
        cr__say(out, ".. %u more %s ..\n", n - TOLD_FIRST - TOLD_LAST, what);
    return all || i < TOLD_FIRST || i >= n - TOLD_LAST;
}

/* ---- memory ---- */

static bool is_pack(const cr__plan *plan, uint32_t slot)
{
    bool is = false;
    for (int i = 0; i < CR__PACKS; i++)
        is = is || plan->packs[i].slot == slot;
    return is;
}

/* Those that hold most, of what the run obtains: the largest first. */
static void say_holders(cr__text *out, const cr__plan *plan)
{
    uint32_t largest[HOLDERS];
    int n = 0;
    for (uint32_t i = 0; i < plan->n_slots; i++) {
        int at = n;
        if (plan->slots[i].old)
            continue;
        while (at > 0 && plan->slots[largest[at - 1]].bytes < plan->slots[i].bytes)
            at--;
        if (at == HOLDERS)
            continue;
        n += n < HOLDERS;
        for (int k = n - 1; k > at; k--)
            largest[k] = largest[k - 1];
        largest[at] = i;
    }
    for (int i = 0; i < n; i++) {
        const cr__slot *slot = &plan->slots[largest[i]];
        const cr_tensor *x = plan->units[slot->unit].node;
        size_t from = out->length;
        cr__say(out, "    slot %u: %zu bytes", largest[i] + 1, slot->bytes);
        pad_to(out, from, 44);
        if (largest[i] + 1 == plan->scratch)
            cr__say(out, "working memory of %s", cr__called(x));
        else if (is_pack(plan, largest[i] + 1))
            cr__say(out, "what several products read, packed, first %s", cr__called(x));
        else
            cr__say(out, "first %s %s %s", cr__called(x),
                    cr_dtype_name((cr_dtype)x->dtype), cr__shape_text(x));
        cr__say(out, " (%s)\n", x->site ? x->site : "?");
    }
}

/* What lies in memory that the run obtains and that its node keeps, and of that what nobody
 * but a backward pass, or an operation that is not computed, is to read. */
static void find_staying(const cr__plan *plan, size_t *all, size_t *backward)
{
    *all = *backward = 0;
    for (uint32_t i = plan->n_old; i < plan->n_units; i++) {
        const cr__unit *unit = &plan->units[i];
        if (!unit->slot || !(unit->flags & (CR__OUTLIVES | CR__PINNED)) ||
            plan->slots[unit->slot - 1].old)
            continue;
        *all += cr__unit_bytes(unit);
        if (!(unit->node->flags & CR__KEEP) && unit->node->readers)
            *backward += cr__unit_bytes(unit);
    }
}

static void say_memory(cr__text *out, const cr__plan *plan)
{
    size_t used = cr__memory_used(&plan->ctx->memory), stays, backward, old = 0;
    find_staying(plan, &stays, &backward);
    for (uint32_t i = 0; i < plan->n_slots; i++)
        old += plan->slots[i].taken ? plan->slots[i].bytes : 0;
    cr__say(out, "memory: peak %zu bytes: %zu in use, %zu obtained\n",
            used + plan->new_bytes, used, plan->new_bytes);
    cr__say(out, "    of these stay %zu, of which %zu for a backward pass\n", stays,
            backward);
    cr__say(out, "    overwritten: %zu bytes of old values\n", old);
    say_holders(out, plan);
}

/* ---- all ---- */

static void say_groups(cr__text *out, const cr__plan *plan)
{
    for (uint32_t i = 0; i <= plan->n_order; i++) {
        if (i == plan->commits && plan->n_order)
            cr__say(out, "commit point: nothing can fail from here on\n");
        if (i < plan->n_order && is_told(out, i, plan->n_order, "groups"))
            say_group(out, plan, i);
    }
}

static void say_plan(cr__text *out, const cr__plan *plan)
{
    size_t in = 0, over = 0, i_in, i_over;
    const char *site = NULL;
    uint32_t n = plan->n_units - plan->n_old;
    for (uint32_t i = 0; i < plan->n_order; i++) {
        find_traffic(plan, &plan->groups[plan->order[i]], &i_in, &i_over);
        in += i_in, over += i_over;
    }
    if (plan->single && n)
        cr__say(out, "plan: %u values, single elements, one by one\n", n);
    else
        cr__say(out, "plan: %u values in %u groups, reads %zu, writes %zu bytes\n", n,
                plan->n_order, in, over);
    for (uint32_t i = 0; i < plan->n_units && plan->single; i++)
        if (plan->units[i].kind != CR__UNIT_OLD &&
            is_told(out, i - plan->n_old, n, "values"))
            say_unit(out, plan, &plan->units[i], &site);
    say_groups(out, plan);
    say_memory(out, plan);
}

/* ---- the call ---- */

size_t cr_plan_format(cr_tensor *const *xs, int n, char *text, size_t capacity)
{
    cr__text out = { .at = text, .capacity = text ? capacity : 0 };
    cr_ctx *ctx = NULL;
    if (out.capacity)
        text[0] = '\0';
    for (int i = 0; i < n && xs && !ctx; i++)
        ctx = cr_ctx_of(xs[i]);
    if (ctx && cr__rehearse(ctx, xs, n, &out, say_plan))
        return out.length;
    return 0;
}
