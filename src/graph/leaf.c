/* Leaves: gradients, assignment, versions; names and watched tensors. What is pending on
 * leaves is committed by a run that succeeds and rolled back by an error.
 *
 * What holds between any two calls, of a cr__leaf that has a handle:
 *
 * - The handle is the user's tensor and has no value, operation or inputs of its own.
 *   Who records takes cr__resolve() of it: no node has a handle as its input, apart from
 *   nodes that were recorded before it became one. Those hold the handle, as they did
 *   before; cr__input() shows them `first`, the version that it was then. `first` is set
 *   once, when the handle is made, if anybody besides the scope referred to the tensor.
 * - `committed` is what the last run that succeeded has left, `version` what operations
 *   recorded from now on read; `grad` and `grad_committed` likewise, NULL meaning that
 *   there is none. Each of them, and `first`, is a reference. If version differs from
 *   committed, or grad from grad_committed, something is pending and the leaf is in the
 *   list ctx->dirty; off the list they are equal.
 * - A pending version is a detach of the value that was assigned, so that computing it
 *   computes that. Committing cuts it: a committed version has no inputs, unless it is
 *   one that make_handle() has made of a value not computed yet (it is cut when it is:
 *   see cr__settles()). A gradient is cut likewise, but may become a leaf itself: then
 *   `grad` is a handle and its value is that of cr__resolve(grad).
 * - version and committed have CR__KEEP. A replaced version loses it, and its value
 *   unless a vjp to come reads it; if it has no inputs it cannot be computed again: it
 *   is stale. One that was pending and is replaced before any run is an ordinary node
 *   from then on.
 * - `shown` of the tensor that a pending or committed version or gradient is another
 *   name for says that its value is readable at no cost as long as the leaf has it:
 *   cr__let_go() and the search for what is held pass it by. leaf->shown and
 *   leaf->grad_shown find that tensor when the leaf loses the value. They are no
 *   references, since an assignment must not make its operand live on: the seq tells
 *   whether the node is still that tensor.
 *
 * Of a leaf that only bears a name or a watched gradient, `handle` is the tensor, which
 * has no CR__HANDLE, and of the values only the gradients are in use. */
#include "graph.h"

#include <stdio.h>
#include <string.h>

/* ---- arguments ---- */

bool cr__usable(cr_ctx *ctx, const cr_tensor *x, const char *what, const char *site)
{
    if (!ctx && x)
        ctx = x->ctx;
    if (!ctx || ctx->status != CR_OK || !cr__may_change(ctx, what))
        return false;
    if (CR__LIKELY(cr__alive(x) && x->ctx == ctx))
        return true;
    char place[256] = "";
    if (site)
        snprintf(place, sizeof place, " (%s)", site);
    if (!x)
        cr_fail(ctx, CR_ERR_NULL, "%s: the tensor is NULL%s", what, place);
    else if (!cr__alive(x))
        cr_fail(ctx, CR_ERR_SCOPE,
                "%s: the tensor was %s%s; cr_keep() moves one to the enclosing scope",
                what, cr__released_text(x), place);
    else
        cr_fail(ctx, CR_ERR_SCOPE, "%s: the tensor belongs to another context%s", what,
                place);
    return false;
}

/* Always false. */
bool cr__complain(const cr_tensor *x, const char *what)
{
    if (x && x->ctx->check)
        (void)cr__usable(x->ctx, x, what, NULL);
    return false;
}

/* ---- records ---- */

cr__leaf *cr__leaf_of(cr_tensor *x)
{
    if (x->leaf)
        return x->leaf;
    cr__leaf *leaf = cr__slab_new(x->ctx, &x->ctx->leaves);
    if (!leaf)
        return NULL;
    *leaf = (cr__leaf){ .refs = 1, .handle = x };
    x->leaf = leaf;
    return leaf;
}

static void mark_dirty(cr_ctx *ctx, cr__leaf *leaf)
{
    if (leaf->dirty)
        return;
    leaf->dirty = true;
    leaf->prev_dirty = NULL;
    leaf->next_dirty = ctx->dirty;
    if (ctx->dirty)
        ctx->dirty->prev_dirty = leaf;
    ctx->dirty = leaf;
}

/* *slot = x, counting. */
static void set(cr_tensor **slot, cr_tensor *x)
{
    cr_tensor *old = *slot;
    if (x)
        cr__retain(x);
    *slot = x;
    cr__drop(old);
}

/* What was to take the committed one's place will not. */
static void unshow(const cr_tensor *pending, const cr_tensor *committed)
{
    cr_tensor *x = pending != committed ? cr__shown_by(pending) : NULL;
    if (x)
        x->shown = false;
}

/* The leaf's gradient, as it is pending or committed (the slot), becomes grad. */
static void set_grad(const cr__leaf *leaf, cr_tensor **slot, cr_tensor *grad)
{
    cr_tensor *old = *slot;
    if (grad) {
        grad->flags |= CR__GRADIENT;
        cr__retain(grad);
    }
    *slot = grad;
    if (old && old != leaf->grad && old != leaf->grad_committed)
        old->flags &= (uint16_t)~CR__GRADIENT;
    cr__drop(old);
}

/* Turns x into a handle: what it was becomes the leaf's first version. */
static bool make_handle(cr_tensor *x)
{
    cr_ctx *ctx = x->ctx;
    if (x->flags & CR__VERSION) {
        cr_fail(
            ctx, CR_ERR_ARGUMENT,
            "%s is the value of a leaf as an operation reads it (%s); change the leaf, "
            "or a cr_detach() of it",
            cr__shape_text(x), x->site);
        return false;
    }
    cr__leaf *leaf = cr__leaf_of(x);
    cr_tensor *v = leaf ? cr__node_memory(ctx) : NULL;
    if (!v)
        return false;
    cr__leave_viewed(x);
    ctx->n_nodes++;
    *v = *x;
    v->link = NULL;
    v->refs = 2;
    v->run = 0;
    v->walk = 0;
    v->flags |= CR__VERSION | CR__KEEP;
    v->flags &= (uint16_t) ~(CR__WATCHED | CR__READ | CR__HELD);
    x->shape->refs++;
    leaf->refs++;
    leaf->version = leaf->committed = v;
    if (x->refs > 1 || x->readers) {
        leaf->first = v;
        v->refs++;
    }
    x->flags = CR__HANDLE | CR__KEEP | (x->flags & CR__HELD);
    x->op = x->within = NULL;
    x->attrs = NULL;
    x->n_inputs = 0;
    x->readers = 0;
    x->pending = x->shown = v->shown = v->moved = x->recomputed = false;
    cr__settle(v);
    if (!(v->flags & CR__KNOWN))
        cr__make_recent(x);
    return true;
}

/* ---- gradients ---- */

static void set_flag(cr_tensor *x, unsigned flag, bool on)
{
    x->flags = (uint16_t)(on ? x->flags | flag : x->flags & ~flag);
}

/* What is no leaf is frozen already, unless a gradient flows through it. */
static cr_tensor *freeze_other(cr_tensor *x, const char *site)
{
    if (!(x->flags & CR__NEEDS_GRAD))
        return x;
    cr_fail(x->ctx, CR_ERR_GRAD,
            "requires_grad: %s is no leaf, and only a leaf can be frozen (%s); "
            "cr_detach() is its value without the gradient",
            cr__shape_text(x), site ? site : "?");
    return NULL;
}

cr_tensor *cr_requires_grad_at(cr_tensor *x, bool on, const char *site)
{
    if (!x || !cr__usable(x->ctx, x, "requires_grad", site))
        return NULL;
    if (!on && !(x->flags & CR__HANDLE))
        return freeze_other(x, site);
    if (!cr__is_float((cr_dtype)x->dtype) && on) {
        cr_fail(x->ctx, CR_ERR_DTYPE,
                "requires_grad: a %s tensor has no gradient (%s); cr_cast() it to a "
                "float type",
                cr_dtype_name((cr_dtype)x->dtype), site ? site : "?");
        return NULL;
    }
    if (!(x->flags & CR__HANDLE) && x->flags & CR__NEEDS_GRAD) {
        cr_fail(
            x->ctx, CR_ERR_GRAD,
            "requires_grad: %s is computed from what needs a gradient (%s), which would "
            "flow no further; cr_watch() keeps its gradient, cr_detach() cuts it off",
            cr__shape_text(x), site ? site : "?");
        return NULL;
    }
    if (!(x->flags & CR__HANDLE) && !make_handle(x))
        return NULL;
    cr__leaf *leaf = x->leaf;
    leaf->requires_grad = on;
    if (on)
        cr__unsave(leaf->version);
    set_flag(x, CR__NEEDS_GRAD, on);
    set_flag(leaf->version, CR__NEEDS_GRAD, on);
    set_flag(leaf->committed, CR__NEEDS_GRAD, on);
    return x;
}

bool cr_is_leaf(const cr_tensor *x)
{
    return cr__readable(x, "is_leaf") && x->flags & CR__HANDLE;
}

void cr__leaf_set_grad(cr__leaf *leaf, cr_tensor *grad)
{
    /* One that is replaced before any run has computed it is a node like others. */
    unshow(leaf->grad, leaf->grad_committed);
    if (leaf->grad && leaf->grad != leaf->grad_committed &&
        !(leaf->grad->flags & (CR__WATCHED | CR__READ | CR__CUT)))
        leaf->grad->flags &= (uint16_t)~CR__KEEP;
    if (grad)
        grad->flags |= CR__KEEP;
    if (cr__shown_by(grad))
        cr__shown_by(grad)->shown = true;
    leaf->accumulated = false;
    set_grad(leaf, &leaf->grad, grad);
    mark_dirty(leaf->handle->ctx, leaf);
}

/* What can have a gradient. */
static bool check_holder(const cr_tensor *x, const char *what)
{
    if (!cr__usable(NULL, x, what, NULL))
        return false;
    if (x->flags & (CR__HANDLE | CR__VERSION | CR__WATCHED))
        return true;
    cr_fail(x->ctx, CR_ERR_GRAD,
            "%s: %s is neither a leaf nor watched (%s); cr_requires_grad() makes a leaf, "
            "and cr_watch() keeps the gradient of what is computed",
            what, cr__shape_text(x), x->site);
    return false;
}

/* Its gradient can be had while an error is pending, too. */
cr_tensor *cr_grad(cr_tensor *x)
{
    if (cr__alive(x) && x->leaf && x->leaf->grad)
        return x->leaf->grad;
    (void)check_holder(x, "grad");
    return NULL;
}

cr_status cr_zero_grad(cr_tensor *x)
{
    if (!x)
        return CR_ERR_NULL;
    if (!check_holder(x, "zero_grad"))
        return cr__refuse(x->ctx);
    if (x->leaf && x->leaf->grad)
        cr__leaf_set_grad(x->leaf, NULL);
    return CR_OK;
}

cr_status cr_set_grad(cr_tensor *x, cr_tensor *g)
{
    cr_ctx *ctx = x ? x->ctx : g ? g->ctx : NULL;
    if (!ctx)
        return CR_ERR_NULL;
    if (!cr__usable(ctx, x, "set_grad", NULL) || !check_holder(x, "set_grad") ||
        !cr__usable(ctx, g, "set_grad", NULL))
        return cr__refuse(ctx);
    if (!cr__same_type(g, x))
        return cr_fail(ctx, CR_ERR_SHAPE,
                       "set_grad: the gradient of %s %s cannot be %s %s",
                       cr_dtype_name((cr_dtype)x->dtype), cr__shape_text(x),
                       cr_dtype_name((cr_dtype)g->dtype), cr__shape_text(g));
    /* The caller's tensor outlives its time as a gradient. */
    g = cr_detach_at(g, "set_grad");
    if (!g || !cr__leaf_of(x))
        return ctx->status;
    cr__leaf_set_grad(x->leaf, g);
    return CR_OK;
}

cr_tensor *cr_detach_at(cr_tensor *x, const char *site)
{
    return cr__record_1(&cr__op_detach, x, NULL, site);
}

cr_tensor *cr_watch(cr_tensor *x)
{
    if (!x || !cr__usable(x->ctx, x, "watch", NULL))
        return NULL;
    if (x->flags & (CR__HANDLE | CR__VERSION))
        return x;
    if (!cr__leaf_of(x))
        return NULL;
    x->flags |= CR__WATCHED | CR__KEEP;
    cr__settle(x);
    if (!(x->flags & CR__KNOWN))
        cr__make_recent(x);
    return x;
}

/* ---- assignment ---- */

static bool check_assign(cr_ctx *ctx, cr_tensor *x, cr_tensor *value, const char *site)
{
    if (!cr__usable(ctx, x, "assign", site) || !cr__usable(ctx, value, "assign", site))
        return false;
    if (!cr__same_type(x, value))
        cr_fail(ctx, x->dtype == value->dtype ? CR_ERR_SHAPE : CR_ERR_DTYPE,
                "assign: the new value of %s%s%s %s is %s %s (%s); they must have the "
                "same dtype and shape",
                cr_name(x), *cr_name(x) ? ": " : "", cr_dtype_name((cr_dtype)x->dtype),
                cr__shape_text(x), cr_dtype_name((cr_dtype)value->dtype),
                cr__shape_text(value), site ? site : "?");
    else if (!(x->flags & CR__HANDLE) && x->flags & CR__NEEDS_GRAD)
        cr_fail(ctx, CR_ERR_ARGUMENT,
                "assign: %s is computed from tensors that require gradients (%s); assign "
                "to a leaf, or to a cr_detach() of it",
                cr__shape_text(x), site ? site : "?");
    return ctx->status == CR_OK;
}

cr_status cr_assign_at(cr_tensor *x, cr_tensor *value, const char *site)
{
    cr_ctx *ctx = x ? x->ctx : value ? value->ctx : NULL;
    if (!ctx)
        return CR_ERR_NULL;
    site = ctx->site ? ctx->site : site;
    if (!check_assign(ctx, x, value, site) ||
        (!(x->flags & CR__HANDLE) && !make_handle(x)))
        return cr__refuse(ctx);
    x->shape->refs++;
    cr_tensor *v = cr__node_alone(ctx, (cr_dtype)x->dtype, x->shape, site);
    if (!v)
        return ctx->status;
    v->op = &cr__op_detach;
    v->n_inputs = 1;
    v->in[0].tensor = cr__resolve(value);
    cr__retain(v->in[0].tensor);
    v->in[0].tensor->shown = true;
    v->flags = CR__VERSION | CR__KEEP;
    cr__pend(v);
    v->barred = v->in[0].tensor->barred || v->in[0].tensor->flags & CR__NEEDS_GRAD;
    if (x->leaf->requires_grad)
        v->flags |= CR__NEEDS_GRAD;
    v->leaf = x->leaf;
    x->leaf->refs++;
    /* A version that is replaced before any run has computed it is a node like others. */
    unshow(x->leaf->version, x->leaf->committed);
    if (x->leaf->version != x->leaf->committed && !(x->leaf->version->flags & CR__CUT))
        x->leaf->version->flags &= (uint16_t)~CR__KEEP;
    set(&x->leaf->version, v);
    cr__drop(v);
    mark_dirty(ctx, x->leaf);
    return CR_OK;
}

/* Whether a committed value is to be replaced by another, or by none. */
static bool replaces(const cr_tensor *committed, const cr_tensor *pending)
{
    return committed && committed != pending;
}

bool cr__replacements_pending(const cr_ctx *ctx)
{
    for (const cr__leaf *leaf = ctx->dirty; leaf; leaf = leaf->next_dirty)
        if (replaces(leaf->committed, leaf->version) ||
            replaces(leaf->grad_committed, leaf->grad))
            return true;
    return false;
}

/* Of a replaced value only a vjp to come may still read it. A gradient may have become a
 * leaf itself. */
static void replace(cr_tensor *old, const cr_tensor *by)
{
    if (!replaces(old, by) || old->flags & CR__HANDLE)
        return;
    old->flags &= (uint16_t)~CR__KEEP;
    cr__let_go(old);
}

/* node takes the place of the leaf's value or gradient. What it is another name for gets
 * the value, and no longer what the old one was another name for. */
static void show(cr__shown *shown, const cr_tensor *node)
{
    cr_tensor *x = cr__shown_by(node);
    cr__hide(shown);
    if (!x || !x->shown)
        return;
    *shown = (cr__shown){ x, x->seq };
    if (!(x->flags & CR__KNOWN) && x->shape->numel != 1) {
        x->value.buffer = cr__buffer_retain(node->value.buffer);
        x->flags |= CR__KNOWN;
    }
}

/* Eagerly computed values are let go when lazily computed ones become stale. */
static void let_go_eager(cr_ctx *ctx)
{
    cr__scope *scope = ctx->scope;
    for (cr_tensor *x = scope->first; (x = cr__recent(ctx, &scope, x)); x = x->link)
        cr__let_go(x);
}

void cr__commit(cr_ctx *ctx)
{
    bool replaced = cr__replacements_pending(ctx);
    for (cr__leaf *leaf; (leaf = ctx->dirty);) {
        cr_tensor *grad = leaf->grad ? cr__resolve(leaf->grad) : NULL;
        cr__leaf_settled(leaf, ctx);
        replace(leaf->committed, leaf->version);
        replace(leaf->grad_committed, leaf->grad);
        if (replaces(leaf->committed, leaf->version))
            show(&leaf->shown, leaf->version);
        if (leaf->grad != leaf->grad_committed)
            show(&leaf->grad_shown, grad);
        if (leaf->version)
            cr__cut(leaf->version);
        if (grad)
            cr__cut(grad);
        set(&leaf->committed, leaf->version);
        set_grad(leaf, &leaf->grad_committed, leaf->grad);
        if (CR__UNLIKELY(leaf->accumulated))
            cr__note_accumulated(ctx, leaf);
    }
    if (replaced && ctx->eager)
        let_go_eager(ctx);
    if (replaced)
        cr__nothing_recent(ctx);
}

void cr__rollback(cr_ctx *ctx)
{
    for (cr__leaf *leaf; (leaf = ctx->dirty);) {
        cr__leaf_settled(leaf, ctx);
        leaf->accumulated = false;
        unshow(leaf->version, leaf->committed);
        unshow(leaf->grad, leaf->grad_committed);
        set(&leaf->version, leaf->committed);
        set_grad(leaf, &leaf->grad, leaf->grad_committed);
    }
}

void cr__undo(cr_ctx *ctx)
{
    if (!ctx->spares)
        cr__rollback(ctx);
}

/* ---- names ---- */

cr_tensor *cr_named(cr_tensor *x, const char *name)
{
    if (!x || !cr__usable(x->ctx, x, "named", NULL))
        return NULL;
    cr__leaf *leaf = cr__leaf_of(x);
    size_t bytes = name ? strlen(name) + 1 : 0;
    char *copy = leaf && bytes ? cr__pooled_new(x->ctx, bytes) : NULL;
    if (!leaf || (bytes && !copy))
        return NULL;
    if (copy)
        memcpy(copy, name, bytes);
    cr__pooled_free(leaf->name);
    leaf->name = copy;
    return x;
}

const char *cr_name(const cr_tensor *x)
{
    return cr__readable(x, "name") && x->leaf && x->leaf->name ? x->leaf->name : "";
}
