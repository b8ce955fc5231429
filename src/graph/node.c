/* Nodes, shapes and attributes: where their memory comes from, and when it goes. Freeing
 * is iterative: a chain of any length needs no stack.
 *
 * A node lives as long as somebody refers to it, its value as long as somebody is to
 * read it. Two counts:
 *
 * `refs` is the number of references: of the list of its scope, of the nodes whose input
 * it is, of the leaf whose version or gradient it is, of each cr_retain(). At 0 the node
 * is put on ctx->dying, from which bury() takes one after the other: a node is never
 * freed by the one that lost it, so whoever loses references calls bury(), or
 * cr__drop(), at the end.
 *
 * `readers` is the number of those that are to come and will read the value. It is,
 * always, the sum of
 *     - the places in which x is an input of a node with `pending` (recorded, and
 *       neither computed yet nor given up),
 *     - the reads of the value by the vjps of nodes with CR__SAVES, x itself included,
 *       and
 *     - the views of x, while they have inputs, whose own `readers` is above 0.
 * So a change from 0 to 1 or back is passed on through views (cr__count_viewed()). Who
 * takes `pending`, CR__SAVES or the inputs from a node gives up what it counts for:
 * cr__unpend(), cr__unsave(), lose_inputs(). Inputs are counted by cr__input(): when one
 * becomes a handle its count goes over to the leaf's `first`.
 *
 * A value is let go (cr__let_go()) when nothing reads it, no flag keeps it (CR__KEEP:
 * data, what was read, watched, kept, versions) and no leaf shows it. It can be computed
 * again as long as the node has its inputs. These go for good by cr__cut(), of what is
 * known and stays: by cr__settle(), as soon as no gradient flows through it, and when a
 * leaf's value or gradient is committed. A node that is cut and has lost its value is
 * stale. */
#include "graph.h"

#include <string.h>

/* ---- attributes ---- */

/* The slab for records of size bytes, NULL if they are too large for any. */
static cr__slab *slab_for(cr_ctx *ctx, size_t size)
{
    for (int i = 0; i < CR__ATTR_SLABS; i++)
        if (size <= ctx->attrs[i].size)
            return &ctx->attrs[i];
    return NULL;
}

void *cr__attrs_new(cr_ctx *ctx, size_t size)
{
    cr__slab *slab = slab_for(ctx, size);
    return slab ? cr__slab_new(ctx, slab) : cr__pooled_new(ctx, size);
}

void cr__attrs_free(cr_ctx *ctx, void *attrs, size_t size)
{
    cr__slab *slab = slab_for(ctx, size);
    if (!attrs)
        return;
    if (slab)
        cr__slab_free(&ctx->memory, slab, attrs);
    else
        cr__pooled_free(attrs);
}

/* ---- nodes ---- */

/* While fewer are dead, memory of nodes is fresh; so there is always as much of it ahead as that
 * may take: a graph whose like there has been finds room. */
cr_tensor *cr__node_memory_fresh(cr_ctx *ctx)
{
    if (ctx->n_dead > CR__LONG_DEAD) {
        cr__fail_limit(ctx, CR__NODE_BYTES);
        return NULL;
    }
    size_t ahead = CR__LONG_DEAD - ctx->n_dead + 1;
    return cr__slab_reserve(ctx, &ctx->nodes, ahead) ? cr__slab_new(ctx, &ctx->nodes)
                                                     : NULL;
}

static void note_dead(cr_ctx *ctx, cr_tensor *x)
{
    if (CR__UNLIKELY(ctx->check)) {
        ctx->memory.taken -= CR__NODE_BYTES;
        return;
    }
    ctx->memory.kept += CR__NODE_BYTES;
    x->next_dead = NULL;
    *(ctx->n_dead ? ctx->last_dead : &ctx->dead) = x;
    ctx->last_dead = &x->next_dead;
    ctx->n_dead++;
}

cr_tensor *cr__node_alone(cr_ctx *ctx, cr_dtype dtype, cr__shape *shape, const char *site)
{
    cr_tensor *x = shape ? cr__node_memory(ctx) : NULL;
    if (!x) {
        if (shape)
            cr__shape_release(ctx, shape);
        return NULL;
    }
    cr__node_init(x, ctx, dtype, shape, site ? site : "?");
    return x;
}

cr_tensor *cr__node_new(cr_ctx *ctx, cr_dtype dtype, cr__shape *shape, const char *site)
{
    cr_tensor *x = cr__node_alone(ctx, dtype, shape, site);
    if (x)
        cr__scope_take(x);
    return x;
}

void cr__retain(cr_tensor *x)
{
    x->refs++;
}

/* Gives up a reference; what nobody refers to any more is put on the list of the dying.
 */
CR__INLINE void lose(cr_ctx *ctx, cr_tensor *x)
{
    if (x && --x->refs == 0) {
        x->next_dead = ctx->dying;
        ctx->dying = x;
    }
}

/* Something to come reads x, or does no more. While a view is read, what it is a view of
 * is: so a chain of views is walked once, not for each that is read. */
void cr__count_viewed(cr_tensor *x, int by)
{
    while ((x = cr__viewed(x))) {
        x->readers += (uint32_t)by;
        if (x->readers != (by > 0 ? 1u : 0u))
            return;
    }
}

void cr__leave_viewed(cr_tensor *x)
{
    if (x->readers)
        cr__count_viewed(x, -1);
}

void cr__pend(cr_tensor *x)
{
    cr__set_pending(x, true);
    for (int i = 0; i < x->n_inputs; i++) {
        cr_tensor *in = cr__input(x, i);
        if (in)
            cr__count_reader(in, 1);
    }
}

void cr__unpend(cr_tensor *x)
{
    if (!x->pending)
        return;
    cr__set_pending(x, false);
    for (int i = 0; i < x->n_inputs; i++) {
        cr_tensor *in = cr__input(x, i);
        if (in)
            cr__count_reader(in, -1);
    }
}

/* x will never be computed: values that only it was to read go, unless eager mode keeps
 * them. */
static void let_go_unread(cr_tensor *x)
{
    bool lets_go = !x->ctx->eager;
    for (int i = 0; i < x->n_inputs; i++) {
        cr_tensor *in = cr__input(x, i);
        if (in && x->pending)
            cr__count_reader(in, -1);
        for (; in && !in->readers && lets_go && !cr__stays(in); in = cr__viewed(in))
            if (in->flags & CR__KNOWN)
                cr__let_go(in);
    }
    cr__set_pending(x, false);
}

static void lose_listed_inputs(cr_tensor *x)
{
    for (int i = 0; i < x->n_inputs; i++)
        lose(x->ctx, x->in[0].list[i]);
    cr__pooled_free(x->in[0].list);
}

CR__INLINE void lose_inputs(cr_ctx *ctx, cr_tensor *x)
{
    if (!(x->flags & CR__COMPUTED))
        let_go_unread(x);
    if (CR__UNLIKELY(x->readers))
        cr__count_viewed(x, -1);
    if (CR__UNLIKELY(x->n_inputs > 3))
        lose_listed_inputs(x);
    else
        for (int i = 0; i < x->n_inputs; i++)
            if (cr__kind(x, i) == CR_ARG_TENSOR)
                lose(ctx, x->in[i].tensor);
    x->n_inputs = 0;
}

CR__INLINE void forget_value(cr_tensor *x)
{
    if (x->shape->numel != 1 && x->flags & CR__KNOWN)
        cr__buffer_release(x->value.buffer);
    x->flags &= (uint16_t)~CR__KNOWN;
}

void cr__forget_value(cr_tensor *x)
{
    forget_value(x);
}

void cr__leaf_settled(cr__leaf *leaf, cr_ctx *ctx)
{
    if (!leaf->dirty)
        return;
    if (leaf->prev_dirty)
        leaf->prev_dirty->next_dirty = leaf->next_dirty;
    else
        ctx->dirty = leaf->next_dirty;
    if (leaf->next_dirty)
        leaf->next_dirty->prev_dirty = leaf->prev_dirty;
    leaf->dirty = false;
}

cr_tensor *cr__shown_by(const cr_tensor *node)
{
    bool names = node && node->op == &cr__op_detach && node->n_inputs;
    return names ? cr__input(node, 0) : NULL;
}

void cr__hide(cr__shown *shown)
{
    cr_tensor *x = shown->x;
    bool there = x && x->refs > 0 && x->seq == shown->seq && x->shown;
    *shown = (cr__shown){ NULL, 0 };
    if (!there)
        return;
    x->shown = false;
    /* Unless it shares its memory with others, or has it from another leaf. */
    if (x->flags & CR__KNOWN && x->shape->numel != 1 && x->value.buffer->refs == 1)
        cr__let_go(x);
}

static void lose_gradient(cr_ctx *ctx, cr_tensor *grad)
{
    if (grad)
        grad->flags &= (uint16_t)~CR__GRADIENT;
    lose(ctx, grad);
}

/* x, the leaf's handle or a version or what bears its name, goes. With the handle
 * everything that it stood for goes, apart from versions that the graph refers to. */
static void lose_leaf(cr_ctx *ctx, cr_tensor *x)
{
    cr__leaf *leaf = x->leaf;
    if (!leaf)
        return;
    if (!(x->flags & CR__VERSION)) {
        cr__leaf_settled(leaf, ctx);
        cr__hide(&leaf->shown);
        cr__hide(&leaf->grad_shown);
        cr__free_hooks(leaf);
        lose(ctx, leaf->first);
        lose(ctx, leaf->version);
        lose(ctx, leaf->committed);
        lose_gradient(ctx, leaf->grad);
        lose_gradient(ctx, leaf->grad_committed);
        leaf->handle = leaf->first = leaf->version = leaf->committed = NULL;
        leaf->grad = leaf->grad_committed = NULL;
    }
    if (--leaf->refs == 0) {
        cr__pooled_free(leaf->name);
        cr__slab_free(&ctx->memory, &ctx->leaves, leaf);
    }
}

/* x, which nobody refers to any more, goes; what only it referred to is dying. */
CR__INLINE void bury_one(cr_ctx *ctx, cr_tensor *x)
{
    if (CR__UNLIKELY(x->flags & CR__KEPT))
        ctx->keeps -= 1 + (x->leaf ? (int64_t)x->leaf->keeps : 0);
    cr__unsave(x);
    if (CR__UNLIKELY(x->recomputed))
        cr__unmark_recomputed(x);
    forget_value(x);
    if (CR__UNLIKELY(x->leaf))
        lose_leaf(ctx, x);
    lose_inputs(ctx, x);
    if (x->attrs)
        cr__attrs_free(ctx, x->attrs, x->op->attrs_size);
    cr__shape_release(ctx, x->shape);
    ctx->n_pending -= x->pending;
    note_dead(ctx, x);
    ctx->n_nodes--;
}

static void bury(cr_ctx *ctx)
{
    for (cr_tensor *x; (x = ctx->dying);) {
        ctx->dying = x->next_dead;
        bury_one(ctx, x);
    }
}

void cr__scope_release(cr_ctx *ctx, cr_tensor *x, const char *site)
{
    x->ended = site;
    x->flags &= (uint16_t)~CR__SCOPED;
    if (--x->refs)
        return;
    bury_one(ctx, x);
    if (CR__UNLIKELY(ctx->dying))
        bury(ctx);
}

void cr__drop(cr_tensor *x)
{
    if (!x)
        return;
    lose(x->ctx, x);
    bury(x->ctx);
}

void cr__cut(cr_tensor *x)
{
    cr__unsave(x);
    lose_inputs(x->ctx, x);
    x->flags |= CR__CUT;
    bury(x->ctx);
}

void cr__settle(cr_tensor *x)
{
    if (cr__settles(x))
        cr__cut(x);
}

static void count_many_saves(cr_tensor *x, unsigned reads, int by)
{
    /* Inputs beyond the bits are read if all are. */
    for (int i = 0; i < x->n_inputs && (i < 31 || cr__has_input(reads, i)); i++) {
        cr_tensor *in = cr__input(x, i);
        if (in && cr__has_input(reads, i))
            cr__count_reader(in, by);
    }
}

/* Counts what the vjp of x reads up or down. */
static void count_saves(cr_tensor *x, int by)
{
    if (CR__UNLIKELY(x->recomputed)) {
        cr__count_boundary(x, by);
        return;
    }
    const cr_op *op = x->op;
    unsigned reads = cr__reads_always(op, x->dtype);
    int n = x->n_inputs;
    for (int i = 0; i < n && i < CR__COUNT(op->reads_for); i++)
        if (op->reads_for[i] && cr__input(x, i))
            reads |= op->reads_for[i];
    if (reads & CR_READS_OUTPUT)
        cr__count_reader(x, by);
    if (CR__UNLIKELY(n > 3)) {
        count_many_saves(x, reads, by);
        return;
    }
    for (int i = 0; i < n; i++) {
        cr_tensor *in = reads >> i & 1 ? cr__input(x, i) : NULL;
        if (in)
            cr__count_reader(in, by);
    }
}

void cr__save(cr_tensor *x)
{
    x->flags |= CR__SAVES;
    count_saves(x, 1);
}

void cr__unsave_now(cr_tensor *x)
{
    x->flags &= (uint16_t)~CR__SAVES;
    count_saves(x, -1);
}

bool cr__unsave_soon(cr_tensor *x)
{
    cr_ctx *ctx = x->ctx;
    if (!(x->flags & CR__SAVES))
        return true;
    if (!cr__list_reserve(ctx, &ctx->unsaved, (ctx->n_unsaved + 1) * sizeof x))
        return false;
    ((cr_tensor **)ctx->unsaved.at)[ctx->n_unsaved++] = x;
    if (ctx->unsaves)
        cr__unsave_now(x);
    return true;
}

void cr__save_again(cr_ctx *ctx)
{
    cr_tensor **nodes = ctx->unsaved.at;
    for (size_t i = 0; i < ctx->n_unsaved && ctx->unsaves; i++)
        cr__save(nodes[i]);
    ctx->unsaves = false;
}

void cr__unsave_end(cr_ctx *ctx, bool failed)
{
    cr_tensor **nodes = ctx->unsaved.at;
    if (failed)
        cr__save_again(ctx);
    for (size_t i = 0; i < ctx->n_unsaved && !failed && !ctx->unsaves; i++)
        cr__unsave(nodes[i]);
    ctx->unsaves = false;
    ctx->n_unsaved = 0;
    cr__list_rest(ctx, &ctx->unsaved);
}

void cr__let_go(cr_tensor *x)
{
    if (!(x->flags & CR__KEEP) && !x->readers && !x->shown && x->shape->numel != 1)
        forget_value(x);
}

void cr__disown(cr_ctx *ctx, uint64_t since)
{
    cr_tensor *x = ctx->scope->first;
    for (; x && x->seq >= since; x = x->link) {
        if (x->result || x->flags & (CR__KEEP | CR__GRADIENT))
            continue;
        x->flags |= CR__CONSUMED;
        if (!x->readers)
            cr__unpend(x);
    }
}

/* ---- order ---- */

/* Few nodes: by insertion, since they are collected nearly in descending order. */
static void insertion_sort(cr_tensor **nodes, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        cr_tensor *x = nodes[i];
        nodes[i] = nodes[n - 1 - i];
        nodes[n - 1 - i] = x;
    }
    for (size_t i = 1; i < n; i++) {
        cr_tensor *x = nodes[i];
        size_t j = i;
        for (; j > 0 && nodes[j - 1]->seq > x->seq; j--)
            nodes[j] = nodes[j - 1];
        nodes[j] = x;
    }
}

/* Each node to the place of its seq, and the gaps closed. */
static bool place_sort(cr_ctx *ctx, cr_tensor **nodes, const uint64_t *seqs, size_t n,
                       uint64_t least, uint64_t range)
{
    const size_t bytes = (size_t)range * sizeof(cr_tensor *);
    if (!cr__list_reserve(ctx, &ctx->sort_list, bytes))
        return false;
    cr_tensor **places = memset(ctx->sort_list.at, 0, bytes);
    for (size_t i = 0; i < n; i++)
        places[(seqs ? seqs[i] : nodes[i]->seq) - least] = nodes[i];
    size_t k = 0;
    for (uint64_t i = 0; i < range; i++)
        if (places[i])
            nodes[k++] = places[i];
    cr__list_rest(ctx, &ctx->sort_list);
    return true;
}

/* By the bytes of seq - least, the lowest first. */
static bool radix_sort(cr_ctx *ctx, cr_tensor **nodes, size_t n, uint64_t least,
                       uint64_t range)
{
    if (!cr__list_reserve(ctx, &ctx->sort_list, n * sizeof *nodes))
        return false;
    cr_tensor **from = nodes, **to = ctx->sort_list.at;
    for (int shift = 0; shift < 64 && range >> shift; shift += 8) {
        size_t places[257] = { 0 };
        for (size_t i = 0; i < n; i++)
            places[((from[i]->seq - least) >> shift & 255) + 1]++;
        for (int b = 1; b < 256; b++)
            places[b] += places[b - 1];
        for (size_t i = 0; i < n; i++)
            to[places[(from[i]->seq - least) >> shift & 255]++] = from[i];
        cr_tensor **swap = from;
        from = to;
        to = swap;
    }
    if (from != nodes)
        memcpy(nodes, from, n * sizeof *nodes);
    cr__list_rest(ctx, &ctx->sort_list);
    return true;
}

bool cr__sort_nodes(cr_ctx *ctx, cr_tensor **nodes, const uint64_t *seqs, size_t n)
{
    uint64_t least = UINT64_MAX, most = 0;
    if (n <= 32) {
        insertion_sort(nodes, n);
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        uint64_t seq = seqs ? seqs[i] : nodes[i]->seq;
        least = seq < least ? seq : least;
        most = seq > most ? seq : most;
    }
    if (most - least < 8 * (uint64_t)n)
        return place_sort(ctx, nodes, seqs, n, least, most - least + 1);
    return radix_sort(ctx, nodes, n, least, most - least + 1);
}
