/* Operands that many products read, as weights are in a loop over time: they are packed once, in
 * memory of the plan. With few rows packing takes a good part of a product's time. */
#include "launch.h"

/* Products from which on it pays, and the most rows of each. */
#define MANY     3
#define FEW_ROWS 128
#define LARGE    4096 /* elements */

/* The layout in which the operand is packed when it is read; NULL: it is read as it is. */
static const cr__layout *layout_of(const cr__plan *plan, const cr__unit *unit)
{
    const cr_tensor *x = unit->node;
    const cr__use *use = &plan->uses[unit->uses + 1];
    const cr__look *look = cr__use_look(plan, use);
    if (!look || x->shape->ndim != 2 || use->dtype != x->dtype ||
        (x->dtype != CR_F32 && x->dtype != CR_F64) || !cr__takes_panels(unit))
        return NULL;
    const int64_t *dims = look->layout.dims, rows = x->shape->dims[0];
    return rows > 1 && rows <= FEW_ROWS && dims[1] > 1 && dims[0] * dims[1] >= LARGE &&
                   look->layout.strides[0] == 1
               ? &look->layout
               : NULL;
}

static bool same_layout(const cr__layout *x, const cr__layout *y)
{
    return x->offset == y->offset && x->dims[0] == y->dims[0] &&
           x->dims[1] == y->dims[1] && x->strides[1] == y->strides[1];
}

static bool is_of(const cr__plan *plan, const cr__pack *pack, const cr__use *use,
                  const cr__layout *layout)
{
    if (!pack->first)
        return false;
    const cr__use *own = &plan->uses[plan->units[pack->first - 1].uses + 1];
    return own->kind == use->kind &&
           (use->kind == CR__USE_UNIT ? own->unit == use->unit
                                      : own->at.data == use->at.data) &&
           same_layout(&cr__use_look(plan, own)->layout, layout);
}

/* The operand in the table; NULL: it is not there. */
static cr__pack *find_pack(cr__plan *plan, const cr__use *use, const cr__layout *layout)
{
    for (int i = 0; i < CR__PACKS; i++)
        if (is_of(plan, &plan->packs[i], use, layout))
            return &plan->packs[i];
    return NULL;
}

static void note_product(cr__plan *plan, uint32_t at)
{
    const cr__unit *unit = &plan->units[at - 1];
    const cr__layout *layout =
        unit->kind == CR__UNIT_CONTRACT ? layout_of(plan, unit) : NULL;
    if (!layout)
        return;
    cr__pack *pack = find_pack(plan, &plan->uses[unit->uses + 1], layout);
    if (pack) {
        pack->count++;
        return;
    }
    /* in place of the one that the fewest have read: which, does not depend on addresses */
    pack = &plan->packs[at % CR__PACKS];
    for (uint32_t i = 0; i < CR__PACKS; i++)
        if (plan->packs[i].count < pack->count)
            pack = &plan->packs[i];
    if (pack->count < MANY)
        *pack = (cr__pack){ .first = at, .count = 1 };
}

void cr__find_packs(cr__plan *plan)
{
    for (uint32_t i = 0; i < plan->n_order; i++) {
        const uint32_t root = plan->groups[plan->order[i]].root;
        if (root)
            note_product(plan, root);
    }
}

size_t cr__pack_bytes(const cr__plan *plan, const cr__pack *pack)
{
    if (pack->count < MANY)
        return 0;
    const cr__unit *unit = &plan->units[pack->first - 1];
    const cr__layout *layout = layout_of(plan, unit);
    return cr__gemm_packed_bytes((cr_dtype)unit->dtype, layout->dims[0], layout->dims[1]);
}

const void *cr__packed(cr__plan *plan, const cr__unit *unit, const cr__gemm_job *job)
{
    const cr__layout *layout = layout_of(plan, unit);
    const cr__use *use = &plan->uses[unit->uses + 1];
    cr__pack *pack = layout ? find_pack(plan, use, layout) : NULL;
    if (!pack || !pack->slot || job->b.exponent)
        return NULL;
    void *to = plan->slots[pack->slot - 1].buffer->data;
    if (!pack->done)
        cr__gemm_pack(job, to, plan->ctx->team);
    pack->done = true;
    return to;
}
