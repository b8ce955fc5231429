/* Whether a gradient will flow, and if not, where its way is cut, in words. */
#include "../base/text.h"
#include "grad.h"

/* More places than these are only counted. */
#define NAMED_CUTS 3

/* Of a node that needs no gradient though an input does, or did: why. */
static void say_cut(cr__text *out, const cr_tensor *node)
{
    const char *name = cr__called(node);
    const char *site = node->site ? node->site : "unknown place";
    if (node->flags & CR__VERSION)
        cr__say(out, "no gradient flows through the assignment at %s", site);
    else if (node->flags & CR__CUT)
        cr__say(
            out,
            "%s (%s), or something beneath it that is not known any more since the value "
            "is, passes no gradient on or was recorded while gradients were off",
            name, site);
    else if (!node->op->vjp)
        cr__say(out, "%s (%s) passes no gradient on", name, site);
    else if (!cr__is_float((cr_dtype)node->dtype))
        cr__say(out, "%s (%s) makes %s of it, which has no gradient", name, site,
                cr_dtype_name(node->dtype));
    else
        cr__say(
            out,
            "%s (%s) was recorded while gradients were off, or before cr_requires_grad()",
            name, site);
}

static bool visit_later(cr_ctx *ctx, cr_tensor *node, size_t *n)
{
    cr__list *list = &ctx->walk_lists[0];
    if (node->walk)
        return true;
    if (!cr__list_reserve(ctx, list, (*n + 1) * sizeof node))
        return false;
    ((cr_tensor **)list->at)[(*n)++] = node;
    node->walk = 1;
    return true;
}

/* Searches the history of x, which needs no gradient, down to where gradients are needed.
 * Returns how many cuts there are. */
static size_t find_cuts(cr__text *out, cr_tensor *x)
{
    cr_ctx *ctx = x->ctx;
    size_t n = 0, cuts = 0;
    bool room = visit_later(ctx, x, &n);
    for (size_t i = 0; i < n; i++) {
        const cr_tensor *node = ((cr_tensor **)ctx->walk_lists[0].at)[i];
        bool cut = node->flags & CR__CUT && node->barred;
        for (int j = 0; j < node->n_inputs && room; j++) {
            cr_tensor *in = cr__input(node, j);
            if (in && in->flags & CR__NEEDS_GRAD)
                cut = true;
            else if (in)
                room = visit_later(ctx, in, &n);
        }
        if (cut && cuts++ < NAMED_CUTS) {
            cr__say(out, cuts > 1 ? "; " : "");
            say_cut(out, node);
        }
    }
    for (size_t i = 0; i < n; i++)
        ((cr_tensor **)ctx->walk_lists[0].at)[i]->walk = 0;
    return cuts;
}

bool cr_needs_grad(const cr_tensor *x)
{
    return cr__readable(x, "needs_grad") && cr__resolve(x)->flags & CR__NEEDS_GRAD;
}

size_t cr_explain_no_grad(cr_tensor *x, char *at, size_t capacity)
{
    cr__text out = { .at = at, .capacity = at ? capacity : 0 };
    if (out.capacity)
        at[0] = 0;
    if (!cr__readable(x, "explain_no_grad")) {
        if (x)
            cr__say(&out, "it was %s", cr__released_text(x));
        else
            cr__say(&out, "it is NULL");
        return out.length;
    }
    x = cr__resolve(x);
    if (x->flags & CR__NEEDS_GRAD)
        cr__say(&out, "it needs a gradient: nothing is cut");
    else if (x->ctx->walking)
        cr__say(&out, "not known before the backward pass in progress has ended");
    else {
        size_t cuts = find_cuts(&out, x);
        if (cuts > NAMED_CUTS)
            cr__say(&out, "; and so at %zu more places", cuts - NAMED_CUTS);
        if (!cuts && !cr__is_float((cr_dtype)x->dtype))
            cr__say(&out, "it is %s, and only floats have gradients",
                    cr_dtype_name(x->dtype));
        else if (!cuts)
            cr__say(&out, "no tensor beneath it was marked by cr_requires_grad()");
    }
    return out.length;
}
