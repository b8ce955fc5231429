/* The chain rule: the walk from results down to the leaves. It knows vjps and flags of
 * nodes, no operation, and computes nothing. */
#include "../base/text.h"
#include "grad.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Marks the walk's targets while it is pruned. */
#define TARGET ((uint32_t)1 << 31)

cr_status cr__grad_fail(cr_ctx *ctx, cr_status status, const char *what, const char *site,
                        const char *advice, const char *format, ...)
{
    char why[640];
    va_list args;
    va_start(args, format);
    cr__vformat(why, sizeof why, format, args);
    va_end(args);
    return cr_fail(ctx, status, "%s: %s (%s)%s%s", what, why, site ? site : "?",
                   advice ? "; " : "", advice ? advice : "");
}

/* ---- collecting ---- */

bool cr__may_walk(cr_ctx *ctx, const char *what, const char *site)
{
    if (ctx->walking)
        cr__grad_fail(ctx, CR_ERR_UNSUPPORTED, what, site,
                      "let it build its cotangents from operations",
                      "a vjp may not start another walk");
    return !ctx->walking;
}

void cr__walk_begin(cr__walk *walk, cr_ctx *ctx, bool create_graph, const char *what,
                    const char *site)
{
    *walk = (cr__walk){ .ctx = ctx,
                        .since = ctx->next_seq,
                        .what = what,
                        .site = site,
                        .no_grad = ctx->no_grad,
                        .recomputes = ctx->recomputes,
                        .context_site = ctx->site,
                        .within = ctx->within };
    ctx->walking = true;
    ctx->recomputes = false;
    ctx->no_grad = create_graph ? 0 : ctx->no_grad + 1;
}

CR__INLINE bool add_to_walk(cr__walk *walk, cr_tensor *node)
{
    cr__list *list = &walk->ctx->walk_lists[CR__WALK_NODES];
    if (!(node->flags & CR__NEEDS_GRAD) || node->walk)
        return true;
    if (!cr__list_reserve(walk->ctx, list, (walk->n + 1) * sizeof *walk->nodes))
        return false;
    walk->nodes = list->at;
    walk->nodes[walk->n++] = node;
    node->walk = (uint32_t)walk->n;
    return true;
}

bool cr__walk_root(cr__walk *walk, cr_tensor *node)
{
    return add_to_walk(walk, node);
}

static void number_nodes(cr__walk *walk)
{
    for (size_t i = 0; i < walk->n; i++)
        walk->nodes[i]->walk = (uint32_t)i + 1;
}

static void swap_nodes(cr_tensor **a, cr_tensor **b)
{
    cr_tensor *node = *a;
    *a = *b;
    *b = node;
}

/* Decreasing order of creation: inputs are older. Versions of leaves need no order and go
 * to the end; they may be so old that they would spread the seqs to sort. */
static bool order(cr__walk *walk)
{
    size_t n = walk->n;
    for (size_t i = 0; i < n;) {
        if (walk->nodes[i]->flags & CR__VERSION)
            swap_nodes(&walk->nodes[i], &walk->nodes[--n]);
        else
            i++;
    }
    if (!cr__sort_nodes(walk->ctx, walk->nodes, NULL, n))
        return false;
    for (size_t i = 0; i < n / 2; i++)
        swap_nodes(&walk->nodes[i], &walk->nodes[n - 1 - i]);
    number_nodes(walk);
    return true;
}

/* Behind what was recorded since a leaf's value was replaced come older nodes, if a tensor of
 * an earlier step leads to them: it is remembered, by its name if one has a name. */
static void note_carried(const cr__walk *walk)
{
    cr_ctx *ctx = walk->ctx;
    size_t n = walk->n;
    ctx->carried = NULL;
    while (n > 0 && walk->nodes[n - 1]->flags & CR__VERSION)
        n--;
    if (!n || walk->nodes[n - 1]->seq >= ctx->recent)
        return;
    for (size_t i = 0; i < n; i++) {
        const cr_tensor *node = walk->nodes[i];
        for (int j = 0; j < node->n_inputs && node->seq >= ctx->recent; j++) {
            cr_tensor *in = cr__input(node, j);
            bool older = in && in->flags & CR__NEEDS_GRAD && !(in->flags & CR__VERSION) &&
                         in->seq < ctx->recent;
            if (older && (!ctx->carried || (*cr_name(in) && !*cr_name(ctx->carried))))
                ctx->carried = in;
        }
    }
    ctx->carried_seq = ctx->carried ? ctx->carried->seq : 0;
}

/* The list is queue and result in one: no recursion, however deep the graph. A chain
 * comes out in order. */
bool cr__walk_collect(cr__walk *walk)
{
    bool ordered = true;
    uint64_t last = UINT64_MAX;
    for (size_t i = 0; i < walk->n; i++) {
        const cr_tensor *node = walk->nodes[i];
        if (node->flags & CR__VERSION)
            continue;
        ordered &= node->seq < last;
        last = node->seq;
        for (int j = 0; j < node->n_inputs; j++) {
            cr_tensor *in = cr__input(node, j);
            if (in && !add_to_walk(walk, in))
                return false;
        }
    }
    CR__ASSERT(walk->n < TARGET);
    if (!ordered && !order(walk))
        return false;
    note_carried(walk);
    return true;
}

/* Of the versions, those of the handles among the xs are targets. */
static void find_targets(cr__walk *walk, cr_tensor *const *nodes, cr_tensor *const *xs,
                         size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (nodes[i]->walk)
            nodes[i]->walk |= TARGET;
        if (xs[i]->flags & CR__HANDLE)
            xs[i]->walk = TARGET;
    }
    for (size_t i = 0; i < walk->n; i++) {
        cr_tensor *node = walk->nodes[i];
        const cr_tensor *handle = node->flags & CR__VERSION ? node->leaf->handle : NULL;
        if (handle && handle->walk)
            node->walk |= TARGET;
        if (node->flags & CR__VERSION && !(node->walk & TARGET))
            node->walk = 0;
    }
    for (size_t i = 0; i < n; i++)
        if (xs[i]->flags & CR__HANDLE)
            xs[i]->walk = 0;
}

void cr__walk_prune(cr__walk *walk, cr_tensor *const *nodes, cr_tensor *const *xs,
                    size_t n)
{
    size_t kept = 0;
    find_targets(walk, nodes, xs, n);
    /* Inputs come first: what is not useful has left the walk already. */
    for (size_t i = walk->n; i-- > 0;) {
        cr_tensor *node = walk->nodes[i];
        bool useful = node->flags & CR__VERSION || node->walk & TARGET;
        for (int j = 0; j < node->n_inputs && !useful; j++) {
            const cr_tensor *in = cr__input(node, j);
            useful = in && in->walk;
        }
        if (!useful)
            node->walk = 0;
    }
    for (size_t i = 0; i < walk->n; i++)
        if (walk->nodes[i]->walk)
            walk->nodes[kept++] = walk->nodes[i];
    walk->n = kept;
    number_nodes(walk);
}

/* ---- the chain rule ---- */

/* The sum of two cotangents. */
static cr_tensor *sum_of_two(cr__walk *walk, cr_tensor *sum, cr_tensor *g)
{
    cr_tensor *cheaper = g->op && g->op->add_to ? g->op->add_to(sum, g) : NULL;
    if (!cheaper && walk->ctx->status == CR_OK)
        return cr_add_at(cr_arg_tensor(sum), cr_arg_tensor(g), walk->site);
    walk->wasteful = true; /* g itself is not needed */
    return cheaper;
}

CR__INLINE bool arrive(cr__walk *walk, const cr_tensor *node, cr_tensor *cotangent)
{
    cr_tensor **sum = &walk->cotangents[node->walk - 1];
    if (*sum)
        cotangent = sum_of_two(walk, *sum, cotangent);
    *sum = cotangent;
    return cotangent;
}

bool cr__walk_arrive(cr__walk *walk, const cr_tensor *node, cr_tensor *cotangent)
{
    return arrive(walk, node, cotangent);
}

bool cr__walk_seed(cr__walk *walk, cr_tensor *node, cr_tensor *cotangent)
{
    if (!walk->cotangents) {
        cr__list *list = &walk->ctx->walk_lists[CR__WALK_COTANGENTS];
        size_t bytes = walk->n * sizeof *walk->cotangents;
        if (!cr__list_reserve(walk->ctx, list, bytes))
            return false;
        walk->cotangents = list->at;
        memset(walk->cotangents, 0, bytes);
    }
    return arrive(walk, node, cotangent);
}

/* The vjp of node, which may be the user's, gave its input j what is no cotangent of it. */
static void refuse_cotangent(cr__walk *walk, const cr_tensor *node, int j,
                             const cr_tensor *in, const cr_tensor *g)
{
    const char *op = node->op->name;
    char input[64];
    cr__input_text(node->op, j, input, sizeof input);
    if (g->refs <= 0 || g->ctx != walk->ctx)
        cr__grad_fail(walk->ctx, CR_ERR_SCOPE, walk->what, node->site, NULL,
                      "the vjp of %s gave %s a cotangent of a closed scope or of another "
                      "context",
                      op, input);
    else if (g->dtype != in->dtype)
        cr__grad_fail(walk->ctx, CR_ERR_DTYPE, walk->what, node->site, NULL,
                      "the vjp of %s gave %s, which is %s, a cotangent of %s", op, input,
                      cr_dtype_name(in->dtype), cr_dtype_name(g->dtype));
    else
        cr__grad_fail(walk->ctx, CR_ERR_SHAPE, walk->what, node->site,
                      "a cotangent has the shape of its input",
                      "the vjp of %s gave %s of shape %s a cotangent of shape %s", op,
                      input, cr__shape_text(in), cr__shape_text(g));
}

/* What the vjp gave the inputs arrives at those that take part. */
static bool send_down(cr__walk *walk, const cr_tensor *node, cr_tensor *const *down)
{
    for (int j = 0; j < node->n_inputs; j++) {
        cr_tensor *g = down[j];
        const cr_tensor *in = g ? cr__input(node, j) : NULL;
        if (!in)
            continue;
        if (CR__UNLIKELY(!in->walk)) {
            walk->wasteful = true;
            continue;
        }
        if (CR__UNLIKELY(g->refs <= 0 || g->ctx != walk->ctx || !cr__same_type(g, in))) {
            refuse_cotangent(walk, node, j, in, g);
            return false;
        }
        if (!arrive(walk, in, cr__resolve(g)))
            return false;
    }
    return true;
}

/* Room for what the vjp gives n inputs, empty; NULL with the error. */
static cr_tensor **room_for_many(cr__walk *walk, int n)
{
    const size_t bytes = (size_t)n * sizeof(cr_tensor *);
    cr__list *list = &walk->ctx->walk_lists[CR__WALK_DOWN];
    return cr__list_reserve(walk->ctx, list, bytes) ? memset(list->at, 0, bytes) : NULL;
}

/* Sends the cotangent g of node down to its inputs, if one of them takes part. */
static bool visit(cr__walk *walk, cr_tensor *node, cr_tensor *g)
{
    cr_ctx *ctx = walk->ctx;
    bool wanted = false;
    for (int j = 0; j < node->n_inputs && !wanted; j++) {
        const cr_tensor *in = cr__input(node, j);
        wanted = in && in->walk;
    }
    if (!wanted)
        return true;
    cr_tensor *few[3] = { NULL }, **down = few;
    if (node->n_inputs > 3 && !(down = room_for_many(walk, node->n_inputs)))
        return false;
    CR__ASSERT(node->op && node->op->vjp);
    cr_tensor *out = node;
    if (CR__UNLIKELY(node->recomputed) && ctx->no_grad &&
        !(out = cr__walk_again(walk, node->walk - 1)))
        return false;
    ctx->site = node->site;
    ctx->within = node->within;
    cr__scope *floor = cr__floor_set(ctx);
    node->op->vjp(out, g, down);
    cr__floor_end(ctx, floor, node->op->name);
    if (CR__LIKELY(ctx->status == CR_OK))
        return send_down(walk, node, down);
    cr__say_whose(ctx, cr__called(node), node->site);
    return false;
}

static bool note_end(cr__walk *walk, size_t place)
{
    cr__list *list = &walk->ctx->walk_lists[CR__WALK_ENDS];
    if (!cr__list_reserve(walk->ctx, list, (walk->n_ends + 1) * sizeof *walk->ends))
        return false;
    walk->ends = list->at;
    walk->ends[walk->n_ends++] = place;
    return true;
}

/* Each node comes after all its consumers: its cotangent is complete. Leaves are looked
 * at when all is over. */
bool cr__walk_down(cr__walk *walk)
{
    for (size_t i = 0; i < walk->n && walk->cotangents; i++) {
        cr_tensor *node = walk->nodes[i], *g = walk->cotangents[i];
        bool version = node->flags & CR__VERSION;
        if (CR__UNLIKELY(node->leaf && node->leaf->hooks) && g && !version &&
            !(walk->cotangents[i] = g = cr__call_hooks(node, g, walk->what)))
            return false;
        if (version || (g && node->flags & CR__WATCHED && walk->some <= node->wanted))
            if (!note_end(walk, i))
                return false;
        if (version)
            continue;
        if (g && (!visit(walk, node, g) || (walk->releases && !cr__unsave_soon(node))))
            return false;
        if (walk->releases)
            node->walk = 0; /* its consumers and its vjp have been */
    }
    walk->ctx->site = walk->context_site;
    walk->ctx->within = walk->within;
    return true;
}

void cr__walk_end(cr__walk *walk, bool let_go)
{
    cr_ctx *ctx = walk->ctx;
    bool gone = walk->releases && let_go; /* those of leaves by add_cotangents() */
    if (walk->releases)
        cr__unsave_end(ctx, !let_go);
    cr__walk_forget_copies(walk);
    for (size_t i = 0; i < walk->n && !gone; i++) {
        cr_tensor *node = walk->nodes[i];
        node->walk = 0;
        if (let_go && walk->cotangents && walk->cotangents[i])
            cr__unsave(node);
    }
    if (walk->wasteful)
        cr__disown(ctx, walk->since);
    ctx->site = walk->context_site;
    ctx->within = walk->within;
    ctx->no_grad = walk->no_grad;
    ctx->recomputes = walk->recomputes;
    ctx->walking = false;
    if (CR__UNLIKELY(ctx->traces)) {
        const int at = ctx->next_walk++ & (CR__COUNT(ctx->walks) - 1);
        ctx->walks[at].since = walk->since;
        ctx->walks[at].until = ctx->next_seq;
    }
    for (int i = 0; i < CR__COUNT(ctx->walk_lists); i++)
        cr__list_rest(ctx, &ctx->walk_lists[i]);
}

cr_tensor *cr__walk_start(cr_tensor *y, cr_tensor *given, bool create_graph,
                          const char *what, const char *site)
{
    if (!given)
        return cr_full_like_at(y, cr_arg_int(1), site);
    if (!cr__usable(y->ctx, given, what, site))
        return NULL;
    given = cr__resolve(given);
    if (!cr__same_type(given, y)) {
        cr__grad_fail(y->ctx, given->dtype == y->dtype ? CR_ERR_SHAPE : CR_ERR_DTYPE,
                      what, site, "a cotangent is like what it belongs to",
                      "the cotangent is %s %s, its tensor %s %s",
                      cr_dtype_name(given->dtype), cr__shape_text(given),
                      cr_dtype_name(y->dtype), cr__shape_text(y));
        return NULL;
    }
    /* Under a name of its own: it may come out as a gradient, and given stays the
     * caller's. */
    return create_graph ? cr_reshape_at(given, cr_shape(given), site)
                        : cr_detach_at(given, site);
}
