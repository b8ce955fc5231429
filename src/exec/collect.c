/* Nodes become units, and what these read uses: after this no phase of planning looks at
 * a node.
 *
 * A view is no unit. It is looked through, and through the views beneath it, at what has
 * the elements, and its reader's use says how. It is copied, by a unit, where that is
 * impossible: where a view cannot be put on top of another, where an opaque kernel wants
 * its operands contiguous, and where the view's own value is to stay and is not all of
 * another.
 *
 * Two passes. Ascending: units, and looks, which are made of those beneath. Descending,
 * in uses.c: what the units read. */
#include "call_opaque.h"

/* ---- units ---- */

static cr__unit *add_unit(cr__plan *plan, cr_tensor *x, cr__unit_kind kind,
                          uint32_t n_uses)
{
    cr__unit *unit = &plan->units[plan->n_units++];
    *unit = (cr__unit){ .node = x,
                        .op = x->op,
                        .shape = x->shape,
                        .uses = plan->n_uses,
                        .n_uses = n_uses,
                        .kind = (uint8_t)kind,
                        .dtype = x->dtype };
    plan->n_uses += n_uses;
    return unit;
}

/* The unit that copies the view. */
static void add_copy(cr__plan *plan, cr__seen *seen)
{
    if (seen->copy)
        return;
    cr__unit *unit = add_unit(plan, seen->node, CR__UNIT_COPY, 1);
    plan->uses[unit->uses] = seen->use;
    seen->copy = plan->n_units;
}

/* x, a view in the run that is not copied; NULL: another thing. */
static cr__seen *seen_at(const cr__plan *plan, const cr_tensor *x)
{
    if (!x || x->flags & CR__KNOWN || x->op->kind != CR_OP_VIEW)
        return NULL;
    cr__seen *seen = &plan->views[x->run - 1];
    return seen->copy ? NULL : seen;
}

bool cr__shows_all(const cr__layout *layout, int64_t numel)
{
    return layout->offset == 0 && cr__layout_numel(layout) == numel &&
           cr__layout_contiguous(layout);
}

/* Looks through x at what lies beneath. */
static void see_through(cr__plan *plan, cr_tensor *x)
{
    cr__look *look = &plan->looks[plan->n_looks];
    cr__seen *seen = &plan->views[plan->n_seen++];
    const cr__view_info *info = x->op->internal;
    cr_tensor *in = cr__input(x, 0);
    cr__seen *beneath = seen_at(plan, in);
    *seen = (cr__seen){ .node = x, .base = in };
    x->run = plan->n_seen & 0xffffff;
    if (beneath) {
        seen->base = beneath->base;
        if (beneath->use.look)
            look->layout = plan->looks[beneath->use.look - 1].layout;
        else
            cr__layout_init(&look->layout, beneath->node->shape);
        if (!info->view(x, &look->layout)) {
            add_copy(plan, beneath);
            beneath = NULL;
        }
    }
    if (!beneath) {
        seen->base = in;
        cr__layout_init(&look->layout, in->shape);
        bool possible = info->view(x, &look->layout);
        CR__ASSERT(possible);
        (void)possible;
    }
    if (beneath)
        seen->use = beneath->use;
    else
        cr__find_use(plan, in, plan->n_units, &seen->use);
    look->whole = cr__shows_all(&look->layout, seen->base->shape->numel);
    seen->use.look = 0;
    if (!look->whole || seen->base->shape != x->shape)
        seen->use.look = ++plan->n_looks;
    /* Its value is to stay: it is the base's if that is all of it, else a copy. */
    seen->alias = x->flags & CR__KEEP && look->whole;
    if (x->flags & CR__KEEP && !look->whole)
        add_copy(plan, seen);
}

/* Kernels of their own want contiguous operands, or say what else. */
static void copy_operands(cr__plan *plan, const cr_tensor *x)
{
    for (int k = 0; k < x->n_inputs; k++) {
        cr__seen *seen = seen_at(plan, cr__input(x, k));
        if (seen && seen->use.look &&
            !cr__reads_layout(x, k, &plan->looks[seen->use.look - 1].layout))
            add_copy(plan, seen);
    }
}

static void add_node(cr__plan *plan, cr_tensor *x)
{
    static const uint8_t kinds[] = { [CR_OP_MAP] = CR__UNIT_MAP,
                                     [CR_OP_REDUCE] = CR__UNIT_REDUCE,
                                     [CR_OP_CONTRACT] = CR__UNIT_CONTRACT,
                                     [CR_OP_OPAQUE] = CR__UNIT_OPAQUE };
    uint32_t n_uses = (uint32_t)x->n_inputs;
    if (x->op->kind == CR_OP_VIEW) {
        see_through(plan, x);
        return;
    }
    if (x->op->kind == CR_OP_MAP)
        n_uses += (uint32_t)((const cr__map *)x->op->internal)->n_params;
    if (x->op->kind == CR_OP_OPAQUE)
        copy_operands(plan, x);
    add_unit(plan, x, kinds[x->op->kind], n_uses);
    x->run = plan->n_units & 0xffffff;
}

/* ---- old values ---- */

/* A value that the run replaces: nothing keeps it beyond the run, see cr__commit(), unless
 * it has readers outside of it. shown is what it is another name for. */
static void add_old(cr__plan *plan, cr_tensor *old, const cr_tensor *by,
                    const cr__shown *shown)
{
    cr_tensor *name =
        shown->x && shown->x->refs > 0 && shown->x->seq == shown->seq ? shown->x : NULL;
    if (!old || old == by || old->run || !(old->flags & CR__KNOWN) ||
        old->flags & CR__HANDLE || old->shown || old->shape->numel <= 1 ||
        plan->n + plan->n_units >= CR__MAX_PLACES)
        return;
    const cr__buffer *buffer = old->value.buffer;
    bool shared = name && name->shown && name->flags & CR__KNOWN &&
                  name->shape->numel > 1 && name->value.buffer == buffer;
    if (buffer->borrowed || buffer->refs != 1 + shared ||
        (shared && (name->flags & CR__KEEP || name->readers)))
        return;
    add_unit(plan, old, CR__UNIT_OLD, 0)->name = shared ? name : NULL;
    plan->n_old++;
    old->run = plan->n_units & 0xffffff;
}

static void add_all_old(cr__plan *plan)
{
    for (cr__leaf *leaf = plan->ctx->dirty; leaf; leaf = leaf->next_dirty) {
        add_old(plan, leaf->committed, leaf->version, &leaf->shown);
        add_old(plan, leaf->grad_committed, leaf->grad, &leaf->grad_shown);
    }
}

/* ---- all of them ---- */

static bool reserve(cr__plan *plan)
{
    cr_ctx *ctx = plan->ctx;
    cr__list *lists = ctx->run_lists;
    const size_t n_looks = (size_t)plan->n_views + 2 * (size_t)plan->n_products + 1;
    size_t n_old = 0, n_units, n_uses;
    for (cr__leaf *leaf = ctx->dirty; leaf && plan->commit && !plan->traces;
         leaf = leaf->next_dirty)
        n_old += 2;
    n_units = plan->n + n_old;
    n_uses = plan->n_inputs + 2 * (size_t)plan->n; /* parameters, and copies of views */
    if (!cr__list_reserve(ctx, &lists[CR__UNITS], n_units * sizeof *plan->units) ||
        !cr__list_reserve(ctx, &lists[CR__USES], n_uses * sizeof *plan->uses) ||
        !cr__list_reserve(ctx, &lists[CR__LOOKS], n_looks * sizeof *plan->looks) ||
        !cr__list_reserve(ctx, &lists[CR__VIEWS],
                          ((size_t)plan->n_views + 1) * sizeof *plan->views))
        return false;
    plan->units = lists[CR__UNITS].at;
    plan->uses = lists[CR__USES].at;
    plan->looks = lists[CR__LOOKS].at;
    plan->views = lists[CR__VIEWS].at;
    return true;
}

bool cr__collect(cr__plan *plan)
{
    if (!reserve(plan))
        return false;
    if (plan->commit && !plan->traces)
        add_all_old(plan);
    for (uint32_t i = 0; i < plan->n; i++)
        add_node(plan, plan->nodes[i]);
    return cr__add_uses(plan);
}
