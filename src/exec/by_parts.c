/* Groups that stand one behind the other and each compute n equal parts of their elements
 * independently, as products of batches and row programs do: all of them compute one part, then
 * the next, so that what one has made is still in the cache when another reads it. Every group
 * computes what it would at once, so no bit changes. */
#include "launch.h"

/* The first group's result, at least; and a part of it, of which there is overhead for each. */
#define LEAST_BYTES ((size_t)4 << 20)
#define PART_BYTES  ((size_t)128 << 10)

#define MOST_GROUPS 16

typedef struct group_run {
    const cr__plan *plan;
    uint32_t at, n; /* places in the order */
    int64_t parts;
} group_run;

/* Of parts that are made of whole dims but for one: which that is, and how many of its elements are
 * in a part; 0: there are no such parts. */
static int64_t range_of(const int64_t *dims, int ndim, int64_t parts, int *dim)
{
    int64_t all = 1;
    for (*dim = 0; *dim < ndim; ++*dim) {
        all *= dims[*dim];
        if (all % parts == 0 && dims[*dim] % (all / parts) == 0)
            return all / parts;
    }
    return 0;
}

void cr__take_share(cr__strided *x, cr_dtype dtype, cr__share share)
{
    int dim;
    const int64_t range = range_of(x->dims, x->ndim, share.n, &dim);
    int64_t at = share.i * range, offset = 0;
    for (int d = dim; d >= 0; d--) {
        offset += at % x->dims[d] * x->strides[d];
        at /= x->dims[d];
        x->dims[d] = d == dim ? range : 1;
    }
    x->data = (char *)x->data + offset * (int64_t)cr_dtype_size(dtype);
}

/* Whether the i-th part of what is seen, from the first element to the last, lies in the i-th part of
 * the value. */
static bool keeps_to_parts(const cr__layout *seen, int64_t numel, int64_t parts)
{
    int dim;
    const int64_t range = range_of(seen->dims, seen->ndim, parts, &dim);
    int64_t step = numel / parts, last;
    if (!range || range * seen->strides[dim] != step)
        return false;
    last = seen->offset + (range - 1) * seen->strides[dim];
    for (int d = dim + 1; d < seen->ndim; d++)
        last += (seen->dims[d] - 1) * seen->strides[d];
    step = seen->strides[dim] * seen->dims[dim];
    for (int d = dim - 1; d >= 0; step *= seen->dims[d--])
        if (seen->dims[d] > 1 && seen->strides[d] != step)
            return false;
    return seen->offset >= 0 && last < numel / parts;
}

/* Whether it computes so many parts independently, and nothing that runs over panels. */
static bool has_parts(const cr__plan *plan, const cr__group *group, int64_t parts)
{
    int dim;
    if (cr__is_row_program(group))
        return group->length && group->run == group->length && !group->columns &&
               !group->of_all && group->shape->numel / group->length % parts == 0;
    const cr__unit *unit = group->root ? &plan->units[group->root - 1] : NULL;
    return unit && unit->kind == CR__UNIT_CONTRACT && !group->shape &&
           !cr__is_convolution(unit) &&
           range_of(unit->shape->dims, unit->shape->ndim - 2, parts, &dim);
}

/* Notes that the slot is read or written, by parts of so many bytes or, if that is 0, in another
 * way: not possible if that and what groups before have done would meet in more than a part. */
static bool may_touch(const group_run *s, cr__slot *slot, size_t bytes, bool writes)
{
    const uint32_t number = s->at + 1;
    if (slot->read_in != number)
        slot->part_bytes = bytes;
    else if (slot->part_bytes != bytes)
        slot->part_bytes = 0;
    slot->read_in = number;
    if (writes)
        slot->written_in = number;
    return slot->part_bytes || slot->written_in != number;
}

/* Whether the group can be the next; from the second on only if it reads what they make. */
static bool joins(const group_run *s, const cr__group *group)
{
    const cr__plan *plan = s->plan;
    bool reads = s->n == 0;
    if (!has_parts(plan, group, s->parts))
        return false;
    for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
        const cr__unit *unit = &plan->units[at - 1];
        for (uint32_t k = 0; k < unit->n_uses; k++) {
            const cr__use *use = &plan->uses[unit->uses + k];
            const cr__unit *of = &plan->units[use->unit];
            if (use->kind != CR__USE_UNIT || of->group == unit->group || !of->slot)
                continue;
            const cr__look *look = cr__use_look(plan, use);
            const bool by_parts =
                of->shape->numel % s->parts == 0 &&
                (!look || look->whole ||
                 keeps_to_parts(&look->layout, of->shape->numel, s->parts));
            cr__slot *slot = &plan->slots[of->slot - 1];
            reads |= slot->written_in == s->at + 1;
            if (!may_touch(s, slot, by_parts ? cr__unit_bytes(of) / (size_t)s->parts : 0,
                           false))
                return false;
        }
        if (unit->slot && !may_touch(s, &plan->slots[unit->slot - 1],
                                     cr__unit_bytes(unit) / (size_t)s->parts, true))
            return false;
    }
    return reads;
}

/* As many parts as there can be of that size at least. */
static int64_t parts_of(const cr__unit *unit)
{
    const int64_t *dims = unit->shape->dims;
    int64_t parts = 1;
    for (int d = 0; d < unit->shape->ndim - 2; d++) {
        const int64_t most = (int64_t)(cr__unit_bytes(unit) / PART_BYTES) / parts;
        if (dims[d] > most) {
            for (int64_t n = most; n > 1; n--)
                if (dims[d] % n == 0)
                    return parts * n;
            return parts;
        }
        parts *= dims[d];
    }
    return parts;
}

/* Whether what the stretch makes and the group multiplies surely has no exponent: as of that only the
 * first part is known, cr__tiny_exponent() cannot tell. */
static bool has_no_exponents(const cr__plan *plan, const cr__group *group, int64_t parts)
{
    for (int k = 0; group->root && k < 2; k++) {
        const cr__unit *unit = &plan->units[group->root - 1];
        const cr__use *use = &plan->uses[unit->uses + (uint32_t)k];
        cr__strided x;
        if (!cr__is_made_by_parts(plan, use))
            continue;
        cr__operand_of(plan, unit, k, &x);
        cr__take_share(&x, (cr_dtype)use->dtype, (cr__share){ 0, parts });
        if (!cr__is_not_tiny(&x, (cr_dtype)use->dtype))
            return false;
    }
    return true;
}

/* The stretch from place i of the order on. What can fail and what cannot any more are not mixed. */
static void find_stretch(cr__plan *plan, uint32_t i)
{
    cr__group *first = &plan->groups[plan->order[i]];
    const cr__unit *unit = first->root ? &plan->units[first->root - 1] : NULL;
    if (!unit || unit->kind != CR__UNIT_CONTRACT || cr__unit_bytes(unit) < LEAST_BYTES)
        return;
    group_run s = { .plan = plan, .at = i, .parts = parts_of(unit) };
    const uint32_t end = i < plan->commits ? plan->commits : plan->n_order;
    while (s.parts > 1 && i + s.n < end && s.n < MOST_GROUPS &&
           joins(&s, &plan->groups[plan->order[i + s.n]]))
        s.n++;
    if (s.n > 1)
        first->together = (uint16_t)s.n, first->parts = s.parts;
}

void cr__find_stretches(cr__plan *plan)
{
    for (uint32_t i = 0, n; i < plan->n_order && !plan->traces; i += n ? n : 1) {
        find_stretch(plan, i);
        n = plan->groups[plan->order[i]].together;
    }
}

uint32_t cr__run_by_parts(cr__plan *plan, uint32_t i)
{
    const int64_t parts = plan->groups[plan->order[i]].parts;
    uint32_t n = plan->groups[plan->order[i]].together;
    if (i + n > plan->overwrites)
        cr__team_stop(plan->ctx->team, NULL);
    for (cr__share share = { 0, parts }; share.i < parts; share.i++)
        for (uint32_t g = 0; g < n; g++) {
            cr__group *group = &plan->groups[plan->order[i + g]];
            if (share.i == 0 && !has_no_exponents(plan, group, parts)) {
                n = g;
                break;
            }
            if (group->root)
                cr__run_product(plan, group, share);
            else
                cr__run_rows(plan, group, share);
            group->by_parts = true;
        }
    for (uint32_t g = 0; g < n; g++)
        plan->groups[plan->order[i + g]].by_parts = false;
    return n;
}
