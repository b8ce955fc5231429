/* What units read, and what stays: the second half of collecting, from the last node to
 * the first. What is computed now is no reader to come of its operands; so the readers that
 * remain when a node's turn comes are outside of this run. */
#include "call_opaque.h"

/* The number, which is a value of the dtype. */
static void use_number(cr__use *use, cr_arg value, cr_dtype dtype)
{
    *use = (cr__use){ .kind = CR__USE_NUMBER, .dtype = (uint8_t)dtype };
    cr__store_operand(value, dtype, &use->at.number);
}

/* x reads in, which this run computes. If in has been computed before, was let go and the
 * user may read it time and again, it is not let go once more. */
static void note_again(const cr__plan *plan, const cr_tensor *in)
{
    while (in->run && !(in->flags & CR__KNOWN) && in->op->kind == CR_OP_VIEW)
        in = plan->views[in->run - 1].base;
    if (in->run && !(in->flags & CR__KNOWN) && in->flags & CR__COMPUTED &&
        in->flags & CR__HELD)
        plan->units[in->run - 1].flags |= CR__AGAIN;
}

/* What is computed now is no reader to come of its inputs. */
static void unpend(const cr__plan *plan, cr_tensor *in)
{
    cr__count_reader(in, -1);
    if (in->run && !(in->flags & CR__KNOWN) &&
        (in->flags & CR__COMPUTED || in->op->kind == CR_OP_VIEW))
        note_again(plan, in);
}

void cr__fail_kernel(cr_ctx *ctx, const cr_op *op, cr_dtype dtype)
{
    cr__op_fail(ctx, op, CR_ERR_DTYPE, NULL, "there is no kernel for %s",
                cr_dtype_name(dtype));
}

/* Numbers, parameters, and the kernel. */
static bool find_kernel(cr__plan *plan, cr__unit *unit, cr_dtype dtype)
{
    const cr__map *map = unit->op->internal;
    cr_tensor *x = unit->node;
    cr__use *uses = &plan->uses[unit->uses];
    cr_arg params[4];
    for (int k = 0; k < x->n_inputs; k++)
        if (uses[k].kind == CR__USE_NUMBER)
            use_number(&uses[k], cr_operand(x, k), cr__register_dtype(dtype));
    if (map->n_params)
        map->params(x->attrs, params);
    for (int k = 0; k < map->n_params; k++)
        use_number(&uses[x->n_inputs + k], params[k], cr__register_dtype(dtype));
    unit->map = cr__map_find(map->code, dtype, (cr_dtype)unit->dtype);
    if (unit->map)
        return true;
    cr__fail_kernel(plan->ctx, unit->op, dtype);
    return false;
}

/* The memory that it asks for. */
static void note_scratch(cr__plan *plan, const cr__unit *unit)
{
    size_t bytes = unit->op->scratch ? unit->op->scratch(unit->node) : 0;
    if (bytes > plan->scratch_bytes) {
        plan->scratch_bytes = bytes;
        plan->asks = (uint32_t)(unit - plan->units);
    }
}

/* Whether it can fail. */
static void note_opaque(cr__plan *plan, cr__unit *unit)
{
    plan->any_opaque = true;
    if (cr__can_fail(plan, unit->node))
        unit->flags |= CR__CAN_FAIL;
}

/* The operand of a product, in, is read with its last two dims exchanged. Without a look it would
 * be read in its own shape, even if that of what lies beneath is the one exchanged. */
static void turn(cr__plan *plan, const cr_tensor *in, cr__use *use)
{
    const cr_tensor *base = use->look ? plan->views[in->run - 1].base : in;
    cr__look *look = &plan->looks[plan->n_looks];
    if (use->look)
        look->layout = plan->looks[use->look - 1].layout;
    else
        cr__layout_init(&look->layout, in->shape);
    const int last = look->layout.ndim - 1;
    int64_t *dims = look->layout.dims, *strides = look->layout.strides;
    const int64_t size = dims[last], stride = strides[last];
    dims[last] = dims[last - 1], strides[last] = strides[last - 1];
    dims[last - 1] = size, strides[last - 1] = stride;
    look->whole = cr__shows_all(&look->layout, base->shape->numel);
    use->look = ++plan->n_looks;
}

static bool find_uses(cr__plan *plan, cr__unit *unit)
{
    cr_tensor *x = unit->node;
    cr__use *uses = &plan->uses[unit->uses];
    const bool is_map = unit->kind == CR__UNIT_MAP, pending = x->pending;
    /* of a map's operands: that of the first that is not the map's own, or the result's */
    const unsigned own = is_map ? ((const cr__map *)unit->op->internal)->own : 0;
    cr_dtype dtype = CR_DTYPE_DEFAULT;
    cr__set_pending(x, false);
    for (int k = 0; k < x->n_inputs; k++) {
        cr_tensor *in = cr__input(x, k);
        if (!in) {
            bool absent = cr__kind(x, k) == CR_ARG_TENSOR;
            uses[k] = (cr__use){ .kind = absent ? CR__USE_NONE : CR__USE_NUMBER };
            continue;
        }
        if (pending)
            unpend(plan, in);
        cr__find_use(plan, in, (uint32_t)(unit - plan->units), &uses[k]);
        if (unit->kind == CR__UNIT_CONTRACT && cr__is_turned(x, k))
            turn(plan, in, &uses[k]);
        if (dtype == CR_DTYPE_DEFAULT && is_map && !(own >> k & 1))
            dtype = (cr_dtype)in->dtype;
    }
    if (is_map)
        return find_kernel(plan, unit, dtype ? dtype : (cr_dtype)unit->dtype);
    if (unit->kind == CR__UNIT_REDUCE) {
        int64_t run = 0;
        unit->inner = cr__reduces_maps(x, &run) ? cr__input(x, 0)->shape : NULL;
        unit->flags |= unit->inner && run == 0 ? CR__ACROSS : 0;
        unit->run = run < UINT32_MAX ? (uint32_t)run : UINT32_MAX;
    }
    if (unit->kind == CR__UNIT_OPAQUE)
        note_opaque(plan, unit);
    note_scratch(plan, unit);
    return true;
}

/* Values that stay with their nodes: what was asked for, what something outside of this
 * run is to read, what takes no memory, and what had to be computed again. */
static void note_outliving(const cr__plan *plan, cr__unit *unit)
{
    const cr_tensor *x = unit->node;
    if (x->flags & CR__KEEP || x->readers || x->shape->numel == 1 || plan->ctx->eager ||
        unit->flags & CR__AGAIN)
        unit->flags |= CR__STORED | CR__OUTLIVES;
    if (plan->traces && x->flags & CR__KEEP && cr__is_float((cr_dtype)x->dtype))
        unit->flags |= CR__TRACED;
}

/* A view whose value stays: its base's memory does, or its copy. */
static void settle_view(cr__plan *plan, const cr__seen *seen)
{
    if (seen->node->pending)
        unpend(plan, cr__input(seen->node, 0));
    cr__set_pending(seen->node, false);
    const unsigned looked =
        plan->traces && cr__is_float((cr_dtype)seen->node->dtype) ? CR__TRACED : 0;
    if (seen->copy && seen->node->flags & CR__KEEP)
        plan->units[seen->copy - 1].flags |= (uint16_t)(CR__OUTLIVES | looked);
    if (seen->alias && seen->use.kind == CR__USE_UNIT)
        plan->units[seen->use.unit].flags |= (uint16_t)(CR__STORED | CR__PINNED | looked);
}

bool cr__add_uses(cr__plan *plan)
{
    plan->unpended = true;
    for (uint32_t i = plan->n; i-- > 0;) {
        cr_tensor *x = plan->nodes[i];
        if (plan->rehearsal && x->pending && !cr__note_change(plan, x, 0))
            return false;
        cr__unit *unit = &plan->units[x->run - 1];
        if (x->op->kind == CR_OP_VIEW) {
            settle_view(plan, &plan->views[x->run - 1]);
            continue;
        }
        if (!find_uses(plan, unit))
            return false;
        note_outliving(plan, unit);
    }
    /* An old value that something outside is to read cannot be overwritten. */
    for (uint32_t i = 0; i < plan->n_old; i++)
        if (plan->units[i].node->readers)
            plan->units[i].flags |= CR__OUTLIVES;
    return true;
}
