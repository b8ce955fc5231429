/* The schedule: what a run computes, and which nodes are computed together.
 *
 * Groups are made backwards. A node joins the first group that uses its value, if that
 * group reads it element by element in the same shape; otherwise it begins a group. So a
 * value is made where it is needed, and what reads a group's values is in the group or
 * runs later: numbering groups as they are made, a node's group has a number no smaller
 * than any of its consumers', and they run in descending order.
 *
 * Numbers. Nodes are placed from the last to the first, so that when a node's turn comes
 * all its readers in this run are placed. Until then entry->group is the highest number
 * of a group that reads it, which is the first of them to run, and entry->last the
 * lowest, the last to run: after it the memory is free. The node joins entry->group or
 * begins a group, whose number is above all there are; either way it is computed before
 * it is read. Within a group nodes are linked, and computed, in order of creation.
 * CR__STORE: somebody reads the value that does not find it in the group's registers:
 * another group, the same one but not element by element, or what comes after the run.
 *
 * Held. A run that replaces a leaf's value is the last that can compute what was
 * recorded on the old one. So it takes in what the user may still ask for (is_held), of
 * all open scopes, among what was recorded since the last replacement: older tensors had
 * their turn then. Of a scope that ends only what outlives it is held, and is computed
 * also where no value is replaced. The rest is not going to be computed on its own
 * account, and counts as a reader no more (unpend_rest).
 *
 * Stale. A node that has neither a value nor inputs: a replaced version or gradient, let
 * go. What needs one cannot be computed. A target is an error about that read, which
 * leaves what is pending on leaves as it is (ctx->spares); what is pending itself fails,
 * and is rolled back; what is merely held is passed over, once and for all (CR__FAILED),
 * and is an error when it is read. */
#include "call_opaque.h"

#include <string.h>

/* A program's size: long enough to fuse whatever occurs, short enough for its code and
 * registers to stay in the cache. */
#define MAX_PROGRAM 128

/* ---- layouts ---- */

bool cr__layout_contiguous(const cr__layout *layout)
{
    int64_t stride = 1;
    for (int d = layout->ndim - 1; d >= 0; d--) {
        if (layout->dims[d] != 1 && layout->strides[d] != stride)
            return layout->dims[d] == 0;
        stride *= layout->dims[d];
    }
    return true;
}

/* ---- operands ---- */

static bool reads_through(const cr__plan *plan, const cr_tensor *x)
{
    return x->run && x->op->kind == CR_OP_VIEW &&
           !(plan->entries[x->run - 1].flags & CR__COPIED);
}

cr__entry *cr__entry_of_base(const cr__plan *plan, const cr_tensor *x)
{
    if (reads_through(plan, x))
        x = plan->views[plan->entries[x->run - 1].slot - 1].base;
    return cr__entry_of(plan, x);
}

uint32_t cr__buffer_slot(const cr__plan *plan, const cr_tensor *x)
{
    const cr__entry *entry = cr__entry_of(plan, x);
    if (x->op->kind == CR_OP_VIEW)
        return entry->flags & CR__COPIED ? plan->views[entry->slot - 1].copy : 0;
    return entry->slot;
}

void *cr__destination(const cr__plan *plan, cr_tensor *x)
{
    if (x->shape->numel == 1)
        return &x->value;
    return plan->buffers[cr__buffer_slot(plan, x) - 1]->data;
}

cr__source cr__source_of(const cr__plan *plan, cr_tensor *x)
{
    cr__source source = { .base = x };
    if (reads_through(plan, x)) {
        const cr__seen *seen = &plan->views[plan->entries[x->run - 1].slot - 1];
        source.base = seen->base;
        source.layout = &seen->layout;
    }
    if (source.base->run) {
        source.data = cr__destination(plan, source.base);
    } else {
        source.data = cr__value(source.base);
        source.borrowed =
            source.base->shape->numel != 1 && source.base->value.buffer->borrowed;
    }
    return source;
}

cr__layout cr__layout_of(const cr__source *source, const cr_tensor *x)
{
    cr__layout layout;
    if (source->layout)
        return *source->layout;
    cr__layout_init(&layout, x->shape);
    return layout;
}

cr__strided cr__strided_of(const cr__source *source, const cr_tensor *x)
{
    cr__layout layout = cr__layout_of(source, x);
    int64_t size = (int64_t)cr_dtype_size((cr_dtype)x->dtype);
    cr__strided s = { .data = (char *)(uintptr_t)source->data + layout.offset * size,
                      .ndim = layout.ndim };
    memcpy(s.dims, layout.dims, sizeof s.dims);
    memcpy(s.strides, layout.strides, sizeof s.strides);
    return s;
}

/* ---- what to compute ---- */

static const char *name_in_error(const cr_tensor *x)
{
    return x->leaf && x->leaf->name ? x->leaf->name : cr__called(x);
}

/* stale is a replaced value of a leaf, or gradient, which was let go; wanted lies above
 * it, or is it. */
static void fail_stale(cr_ctx *ctx, const cr_tensor *wanted, const cr_tensor *stale)
{
    const char *what = stale->flags & CR__VERSION ? "" : ", a gradient,";
    if (wanted == stale)
        cr_fail(ctx, CR_ERR_STALE,
                "eval: %s %s%s (%s) has been replaced, and its value was let go; "
                "cr_detach() gives one a name that stays",
                name_in_error(stale), cr__shape_text(stale), what, stale->site);
    else
        cr_fail(ctx, CR_ERR_STALE,
                "eval: the value of %s %s (%s) was let go, and %s %s%s beneath it (%s) "
                "has been replaced since; cr_watch() keeps values readable",
                name_in_error(wanted), cr__shape_text(wanted), wanted->site,
                name_in_error(stale), cr__shape_text(stale), what, stale->site);
}

/* False with the error, or with what is stale in the plan. */
static bool push(cr__plan *plan, cr_tensor *x)
{
    cr__list *list = &plan->ctx->run_lists[CR__NODES];
    if (x->flags & CR__KNOWN || x->run)
        return true;
    if (x->flags & CR__CUT || !x->op) {
        plan->stale = x;
        return false;
    }
    if (plan->n > (1u << 24) - 2) {
        cr_fail(plan->ctx, CR_ERR_ARGUMENT,
                "eval: more than 2^24 operations are pending; cr_eval() some of them "
                "before");
        return false;
    }
    if (!cr__list_reserve(plan->ctx, list, ((size_t)plan->n + 1) * sizeof x))
        return false;
    plan->nodes = list->at;
    plan->nodes[plan->n++] = x;
    x->run = plan->n & 0xffffff;
    return true;
}

/* What the nodes from the given place on are computed from. The list is queue and result
 * in one. */
static bool push_inputs(cr__plan *plan, uint32_t from)
{
    for (uint32_t i = from; i < plan->n; i++) {
        const cr_tensor *x = plan->nodes[i];
        for (int k = 0; k < x->n_inputs; k++) {
            cr_tensor *in = cr__input(x, k);
            if (in && !push(plan, in))
                return false;
        }
    }
    return true;
}

/* Whether the user may still hold x, of an open scope, when the value of a leaf beneath
 * it is replaced, or its scope ends: what he has retained or kept, leaves, what is to stay
 * readable, values that no operation reads, single elements. Of a scope that ends only
 * what outlives it. What was assigned is readable as long as the leaf has it. */
static bool is_held(const cr__scope *scope, const cr_tensor *x)
{
    const cr_tensor *node = cr__resolve(x);
    if (!node->op || node->flags & CR__FAILED || x->given_back)
        return false;
    if (x->flags & (CR__RETAINED | CR__KEPT))
        return true;
    if (scope->ending)
        return false;
    if (x->flags & CR__KEEP)
        return true;
    if (x->shown)
        return false;
    return !(x->flags & CR__CONSUMED) || (x->pending && x->shape->numel == 1);
}

/* Of the present scope, or all. What is stale already stays so, and fails when it is
 * read. */
static bool push_held(cr__plan *plan, bool all)
{
    cr__scope *scope = plan->ctx->scope;
    for (cr_tensor *x = scope->first; (x = cr__recent(plan->ctx, &scope, x));
         x = x->link) {
        uint32_t from = plan->n;
        if (!all && scope != plan->ctx->scope)
            break;
        if (!is_held(scope, x))
            continue;
        cr_tensor *node = cr__resolve(x);
        if (push(plan, node) && push_inputs(plan, from)) {
            node->flags |= CR__KEEP;
            cr__settle(node);
            continue;
        }
        if (!plan->stale)
            return false;
        plan->stale = NULL;
        node->flags |= CR__FAILED;
        while (plan->n > from)
            plan->nodes[--plan->n]->run = 0;
    }
    return true;
}

/* x and what it is computed from. */
static bool push_all(cr__plan *plan, cr_tensor *x)
{
    uint32_t from = plan->n;
    if (push(plan, x) && push_inputs(plan, from))
        return true;
    if (plan->stale)
        fail_stale(plan->ctx, x, plan->stale);
    return false;
}

static bool push_leaves(cr__plan *plan)
{
    for (cr__leaf *leaf = plan->ctx->dirty; leaf; leaf = leaf->next_dirty)
        if ((leaf->version && !push_all(plan, leaf->version)) ||
            (leaf->grad && !push_all(plan, cr__resolve(leaf->grad))))
            return false;
    return true;
}

/* A value that cannot be read any more concerns that read only: what is pending on leaves
 * stays pending. */
static bool push_targets(cr__plan *plan, cr_tensor *const *targets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!push_all(plan, targets[i])) {
            plan->ctx->spares = plan->stale != NULL;
            return false;
        }
    return true;
}

static bool collect(cr__plan *plan, cr_tensor *const *targets, size_t n, bool commit,
                    bool replaced)
{
    const cr_ctx *ctx = plan->ctx;
    bool retained = ctx->scope->ending && ctx->retained;
    return push_targets(plan, targets, n) && (!commit || push_leaves(plan)) &&
           ((!replaced && !retained) || push_held(plan, replaced));
}

/* Values that stay with their nodes: what was asked for, what something outside of this
 * run is to read, what takes no memory, and what had to be computed again. */
static bool outlives(const cr__plan *plan, const cr_tensor *x)
{
    return x->flags & CR__KEEP || x->readers || x->shape->numel == 1 || x->ctx->eager ||
           cr__entry_of(plan, x)->flags & CR__AGAIN;
}

/* x reads in, which this run computes. If in has been computed before, was let go and the
 * user may read it time and again, it is not let go once more. */
static void note_again(const cr__plan *plan, cr_tensor *in)
{
    while (cr__viewed(in) && cr__viewed(in)->run)
        in = cr__viewed(in);
    if (in->flags & CR__COMPUTED && in->flags & CR__HELD)
        cr__entry_of(plan, in)->flags |= CR__AGAIN;
}

/* What is computed now is no reader to come of its inputs. */
static void unpend(cr__plan *plan, cr_tensor *x)
{
    x->pending = false;
    for (int k = 0; k < x->n_inputs; k++) {
        cr_tensor *in = cr__input(x, k);
        if (!in)
            continue;
        cr__count_reader(in, -1);
        if (in->run && (in->flags & CR__COMPUTED || in->op->kind == CR_OP_VIEW))
            note_again(plan, in);
    }
}

static bool init_entries(cr__plan *plan)
{
    cr_ctx *ctx = plan->ctx;
    uint32_t views = 0;
    if (!cr__sort_nodes(ctx, plan->nodes, plan->n) ||
        !cr__list_reserve(ctx, &ctx->run_lists[CR__ENTRIES],
                          plan->n * sizeof *plan->entries))
        return false;
    plan->entries = ctx->run_lists[CR__ENTRIES].at;
    for (uint32_t i = 0; i < plan->n; i++) {
        cr_tensor *x = plan->nodes[i];
        x->run = (i + 1) & 0xffffff;
        plan->entries[i] = (cr__entry){ 0 };
        views += x->op->kind == CR_OP_VIEW;
    }
    if (!views)
        return true;
    if (!cr__list_reserve(ctx, &ctx->run_lists[CR__VIEWS], views * sizeof *plan->views))
        return false;
    plan->views = ctx->run_lists[CR__VIEWS].at;
    return true;
}

/* ---- views ---- */

/* Looks through x at what lies beneath. A view that cannot be put on top of another has
 * that other one copied. */
static void see_through(cr__plan *plan, cr_tensor *x)
{
    cr__entry *entry = cr__entry_of(plan, x);
    cr__seen *seen = &plan->views[plan->n_views++];
    const cr__view_info *info = x->op->internal;
    cr_tensor *in = cr__input(x, 0);
    entry->slot = plan->n_views & 0xffffff;
    if (reads_through(plan, in)) {
        *seen = plan->views[cr__entry_of(plan, in)->slot - 1];
        seen->copy = 0;
        if (info->view(x, &seen->layout))
            return;
        cr__entry_of(plan, in)->flags |= CR__COPIED | CR__STORE;
    }
    seen->base = in;
    seen->copy = 0;
    cr__layout_init(&seen->layout, in->shape);
    bool possible = info->view(x, &seen->layout);
    CR__ASSERT(possible);
    (void)possible;
}

/* Whether all of the base is seen, in order. */
static bool shows_all(const cr__seen *seen)
{
    int64_t numel = 1;
    for (int d = 0; d < seen->layout.ndim; d++)
        numel *= seen->layout.dims[d];
    return seen->layout.offset == 0 && seen->base->shape->numel == numel &&
           cr__layout_contiguous(&seen->layout);
}

/* A view whose value is to stay: its base's buffer if it shows all of it in order, else a
 * copy. */
static void settle_target(cr__plan *plan, cr_tensor *x)
{
    cr__entry *entry = cr__entry_of(plan, x);
    if (entry->flags & CR__COPIED)
        return;
    const cr__seen *seen = &plan->views[entry->slot - 1];
    bool whole = shows_all(seen);
    entry->flags |= whole ? CR__ALIAS : CR__COPIED | CR__STORE;
    if (whole && seen->base->run)
        cr__entry_of(plan, seen->base)->flags |= CR__STORE | CR__PINNED;
}

/* Kernels of their own want contiguous inputs, or say what else. */
static void settle_inputs(cr__plan *plan, const cr_tensor *x)
{
    if (x->op->kind != CR_OP_OPAQUE)
        return;
    for (int k = 0; k < x->n_inputs; k++) {
        cr_tensor *in = cr__input(x, k);
        if (!in || !reads_through(plan, in))
            continue;
        cr__entry *entry = cr__entry_of(plan, in);
        if (!cr__reads_layout(x, k, &plan->views[entry->slot - 1].layout))
            entry->flags |= CR__COPIED | CR__STORE;
    }
}

static void settle_views(cr__plan *plan)
{
    for (uint32_t i = 0; i < plan->n && plan->views; i++)
        if (plan->nodes[i]->op->kind == CR_OP_VIEW)
            see_through(plan, plan->nodes[i]);
    for (uint32_t i = 0; i < plan->n && plan->views; i++)
        settle_inputs(plan, plan->nodes[i]);
    /* From the last: then the readers of a node that remain are outside of this run. */
    plan->unpended = true;
    for (uint32_t i = plan->n; i-- > 0;) {
        cr_tensor *x = plan->nodes[i];
        if (x->pending)
            unpend(plan, x);
        if (x->op->kind != CR_OP_VIEW) {
            if (outlives(plan, x))
                plan->entries[i].flags |= CR__STORE | CR__OUTLIVES;
        } else if (x->flags & CR__KEEP) {
            settle_target(plan, x);
            plan->entries[i].flags |= CR__OUTLIVES;
        }
    }
}

/* ---- groups ---- */

cr_tensor *cr__original(const cr__plan *plan, cr_tensor *x)
{
    if (!reads_through(plan, x))
        return x;
    const cr__seen *seen = &plan->views[plan->entries[x->run - 1].slot - 1];
    bool same = seen->base->shape == x->shape && shows_all(seen);
    return same ? seen->base : x;
}

/* group reads x: element by element in the group's own shape (direct), or otherwise. */
static void use(cr__plan *plan, cr_tensor *x, uint32_t group, bool direct)
{
    cr__entry *entry = cr__entry_of_base(plan, x);
    direct = direct && entry == cr__entry_of(plan, cr__original(plan, x));
    if (!entry)
        return;
    if (!entry->last || group < entry->last)
        entry->last = group;
    if (group > entry->group) {
        if (entry->group != CR__NO_GROUP)
            entry->flags |= CR__STORE;
        entry->group = group;
        entry->flags &= (uint8_t)~CR__INDIRECT;
    } else if (group < entry->group) {
        entry->flags |= CR__STORE;
    }
    if (!direct)
        entry->flags |= CR__STORE;
    if (!direct && group == entry->group)
        entry->flags |= CR__INDIRECT;
}

bool cr__means_integers(const cr_tensor *x)
{
    const cr__reduce_info *info = x->op->internal;
    cr_dtype dtype = (cr_dtype)cr__input(x, 0)->dtype;
    return info->ending == CR__AS_MEAN && dtype != CR_F32 && dtype != CR_F64;
}

bool cr__reduces_inner(const cr_tensor *x)
{
    const cr__reduce_attrs *attrs = x->attrs;
    int ndim = cr__input(x, 0)->shape->ndim;
    if (cr__input(x, 0)->shape->numel == 0 || cr__means_integers(x))
        return false;
    for (int i = 0; i < attrs->dim.n; i++)
        if (attrs->dim.v[i] != ndim - attrs->dim.n + i)
            return false;
    return true;
}

/* A new group with x as its only member; 0 with the error. */
static uint32_t begin_group(cr__plan *plan, cr_tensor *x)
{
    cr__list *list = &plan->ctx->run_lists[CR__GROUPS];
    if (!cr__list_reserve(plan->ctx, list,
                          ((size_t)plan->n_groups + 1) * sizeof *plan->groups))
        return CR__NO_GROUP;
    plan->groups = list->at;
    cr__group *group = &plan->groups[plan->n_groups];
    *group = (cr__group){ 0 };
    if (x->op->kind == CR_OP_MAP) {
        group->shape = x->shape;
    } else if (x->op->kind == CR_OP_REDUCE && cr__reduces_inner(x)) {
        group->reduce = x;
        group->shape = cr__input(x, 0)->shape;
    }
    return plan->n_groups++;
}

static uint32_t choose_group(cr__plan *plan, cr_tensor *x)
{
    const cr__entry *entry = cr__entry_of(plan, x);
    if (x->op->kind == CR_OP_MAP && entry->group != CR__NO_GROUP &&
        !(entry->flags & CR__INDIRECT)) {
        const cr__group *group = &plan->groups[entry->group];
        if (group->shape && group->count < MAX_PROGRAM && group->shape == x->shape)
            return entry->group;
    }
    return begin_group(plan, x);
}

static bool place_node(cr__plan *plan, cr_tensor *x)
{
    cr__entry *entry = cr__entry_of(plan, x);
    uint32_t used_by = entry->group, g = choose_group(plan, x);
    if (g == CR__NO_GROUP)
        return false;
    cr__group *group = &plan->groups[g];
    if (used_by != CR__NO_GROUP && used_by != g)
        entry->flags |= CR__STORE;
    if (x->op->kind != CR_OP_MAP)
        entry->flags |= CR__STORE;
    entry->group = g;
    if (!entry->last)
        entry->last = g;
    entry->next = group->first;
    group->first = x->run;
    group->count++;
    bool by_element = group->shape != NULL;
    for (int k = 0; k < x->n_inputs; k++) {
        cr_tensor *in = cr__input(x, k);
        if (in && in->run)
            use(plan, in, g, by_element && in->shape == group->shape);
    }
    return true;
}

static bool copy_of_view(cr__plan *plan, cr_tensor *x)
{
    cr__entry *entry = cr__entry_of(plan, x);
    uint32_t g = begin_group(plan, x);
    if (g == CR__NO_GROUP)
        return false;
    plan->groups[g].first = x->run;
    plan->groups[g].count = 1;
    entry->group = g;
    if (!entry->last)
        entry->last = g;
    const cr__seen *seen = &plan->views[entry->slot - 1];
    if (seen->base->run)
        use(plan, seen->base, g, false);
    return true;
}

static bool make_groups(cr__plan *plan)
{
    plan->n_groups = CR__NO_GROUP + 1;
    for (uint32_t i = plan->n; i-- > 0;) {
        cr_tensor *x = plan->nodes[i];
        if (x->op->kind != CR_OP_VIEW) {
            if (!place_node(plan, x))
                return false;
        } else if (plan->entries[i].flags & CR__COPIED) {
            if (!copy_of_view(plan, x))
                return false;
        }
    }
    return true;
}

/* What is not computed before it goes with its scope, or before a leaf is replaced,
 * reads nothing that is to be kept for it: neither activations nor old values. */
static void unpend_rest(const cr_ctx *ctx, bool replaced)
{
    cr__scope *scope = ctx->scope;
    for (cr_tensor *x = scope->first; x && scope->ending; x = x->link)
        if (!x->run)
            cr__unpend(x);
    if (scope->ending && !replaced)
        return;
    for (cr_tensor *x = scope->first; (x = cr__recent(ctx, &scope, x)); x = x->link)
        if (!x->run)
            cr__unpend(x);
}

bool cr__plan_groups(cr__plan *plan, cr_tensor *const *targets, size_t n, bool commit)
{
    const cr_ctx *ctx = plan->ctx;
    bool replaced = commit && cr__replacements_pending(ctx);
    if (!collect(plan, targets, n, commit, replaced))
        return false;
    if (!plan->n)
        return true;
    if (ctx->scope->ending || replaced)
        unpend_rest(ctx, replaced);
    if (!init_entries(plan))
        return false;
    settle_views(plan);
    return make_groups(plan);
}
