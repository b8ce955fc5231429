/* The plan of a run as text: cr_plan_format(). */
#include "../base/text.h"
#include "program.h"

#define HOLDERS 5 /* that are named */

static const char *const accesses[] = {
    [CR__ACCESS_SAME] = "",      [CR__ACCESS_ONE] = " one",
    [CR__ACCESS_ROW] = " row",   [CR__ACCESS_COLUMN] = " column",
    [CR__ACCESS_RUNS] = " runs", [CR__ACCESS_ANY] = " any"
};

static const char *const kinds[] = { [CR__UNIT_MAP] = "maps",
                                     [CR__UNIT_REDUCE] = "reduction",
                                     [CR__UNIT_CONTRACT] = "contraction",
                                     [CR__UNIT_OPAQUE] = "opaque",
                                     [CR__UNIT_COPY] = "copy",
                                     [CR__UNIT_OLD] = "old" };

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

/* Whether an operand of the group before this one is the same, and has been read. */
static bool read_before(const cr__plan *plan, const cr__group *group, const cr__use *use)
{
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
        const cr__unit *unit = &plan->units[at - 1];
        for (uint32_t k = 0; k < unit->n_uses; k++) {
            const cr__use *other = &plan->uses[unit->uses + k];
            if (other == use)
                return false;
            if (other->kind == use->kind && other->unit == use->unit &&
                other->at.data == use->at.data && other->look == use->look)
                return true;
        }
    }
    return false;
}

static void find_traffic(const cr__plan *plan, const cr__group *group, size_t *in,
                         size_t *out)
{
    *in = *out = 0;
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
        const cr__unit *unit = &plan->units[at - 1];
        *out += unit->flags & CR__STORED ? cr__unit_bytes(unit) : 0;
        for (uint32_t k = 0; k < unit->n_uses; k++) {
            const cr__use *use = &plan->uses[unit->uses + k];
            if (!is_inside(plan, group, use) && !read_before(plan, group, use))
                *in += bytes_read(plan, unit, use);
        }
    }
}

/* ---- words ---- */

static void say_type(cr__text *out, const cr_tensor *x)
{
    cr__say(out, "%s %s", cr_dtype_name((cr_dtype)x->dtype), cr__shape_text(x));
}

static void say_operand(cr__text *out, const cr__plan *plan, const cr__unit *unit,
                        uint32_t k)
{
    const cr__use *use = &plan->uses[unit->uses + k];
    const cr_tensor *in =
        (int)k < unit->node->n_inputs ? cr__input(unit->node, (int)k) : NULL;
    switch (use->kind) {
    case CR__USE_NONE:
        cr__say(out, "-");
        return;
    case CR__USE_NUMBER:
        if ((int)k < unit->node->n_inputs)
            cr__say(out, "%s",
                    cr__number_text(plan->ctx, cr_operand(unit->node, (int)k)));
        else
            cr__say(out, "..");
        return;
    case CR__USE_UNIT:
        if (plan->units[use->unit].kind == CR__UNIT_OLD)
            cr__say(out, "old%u", use->unit + 1);
        else
            cr__say(out, "%%%u", use->unit + 1 - plan->n_old);
        break;
    default:
        if (in && in->leaf && in->leaf->name)
            cr__say(out, "%s", in->leaf->name);
        else
            cr__say(out, "known");
    }
    cr__say(out, "%s", accesses[cr__access_of(plan, use)]);
}

static void say_unit(cr__text *out, const cr__plan *plan, const cr__unit *unit)
{
    cr__say(out, "    %%%u = %s", (uint32_t)(unit - plan->units) + 1 - plan->n_old,
            unit->op->name);
    for (uint32_t k = 0; k < unit->n_uses && k < 8; k++) {
        cr__say(out, k ? ", " : "(");
        say_operand(out, plan, unit, k);
    }
    cr__say(out, unit->n_uses > 8 ? ", ..)" : unit->n_uses ? ")" : "()");
    if (unit->slot) {
        const cr__slot *slot = &plan->slots[unit->slot - 1];
        cr__say(out, " -> slot %u%s", unit->slot, slot->old ? " (old)" : "");
    } else if (unit->flags & CR__STORED || plan->single) {
        cr__say(out, " -> node");
    }
    cr__say(out, "%s\n", unit->flags & CR__OUTLIVES ? ", stays" : "");
}

static void say_group(cr__text *out, const cr__plan *plan, uint32_t i)
{
    const cr__group *group = &plan->groups[plan->order[i]];
    const cr__unit *last = NULL;
    size_t in, over;
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next)
        last = &plan->units[at - 1];
    find_traffic(plan, group, &in, &over);
    if (i == plan->commits)
        cr__say(out, "commit point: nothing can fail from here on\n");
    cr__say(out, "group %u: %s%s", i + 1, group->root && group->shape ? "maps and " : "",
            kinds[last->kind]);
    if (group->shape) {
        cr_dims dims = { .n = group->shape->ndim };
        memcpy(dims.v, group->shape->dims, sizeof dims.v);
        cr__say(out, " over %s", cr__dims_text(plan->ctx, dims));
    }
    cr__say(out, ", reads %zu, writes %zu bytes\n", in, over);
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next)
        say_unit(out, plan, &plan->units[at - 1]);
}

/* ---- memory ---- */

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
        cr__say(out, "    slot %u: %zu bytes, first %s ", largest[i] + 1, slot->bytes,
                cr__called(x));
        say_type(out, x);
        cr__say(out, " (%s)\n", x->site);
    }
}

static void say_memory(cr__text *out, const cr__plan *plan)
{
    size_t used = cr__memory_used(&plan->ctx->memory), kept = 0, overwritten = 0;
    for (uint32_t i = 0; i < plan->n_units; i++) {
        const cr__unit *unit = &plan->units[i];
        if (unit->kind != CR__UNIT_OLD && unit->slot && unit->node->readers)
            kept += cr__unit_bytes(unit);
    }
    for (uint32_t i = 0; i < plan->n_slots; i++)
        overwritten += plan->slots[i].taken ? plan->slots[i].bytes : 0;
    cr__say(
        out,
        "memory: peak %zu bytes: %zu in use, %zu obtained; %zu kept for backward, %zu "
        "overwritten\n",
        used + plan->new_bytes, used, plan->new_bytes, kept, overwritten);
    say_holders(out, plan);
}

static void say_plan(cr__text *out, const cr__plan *plan)
{
    size_t in = 0, over = 0, i_in, i_over;
    for (uint32_t i = 0; i < plan->n_order; i++) {
        find_traffic(plan, &plan->groups[plan->order[i]], &i_in, &i_over);
        in += i_in, over += i_over;
    }
    cr__say(out, "plan: %u values in %u groups, reads %zu, writes %zu bytes%s\n",
            plan->n_units - plan->n_old, plan->n_order, in, over,
            plan->single ? "; single elements, one by one" : "");
    for (uint32_t i = 0; i < plan->n_units && plan->single; i++)
        say_unit(out, plan, &plan->units[i]);
    for (uint32_t i = 0; i < plan->n_order; i++)
        say_group(out, plan, i);
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
