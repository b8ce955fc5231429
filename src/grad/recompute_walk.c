/* The backward walk through what was recorded under CR_RECOMPUTE(ctx). When the walk reaches the
 * first node of a region, the region is recorded once more, from what it read of the rest, and the
 * vjps of its nodes get the copies. So its values are needed only between there and the region's
 * end, and what vjps do not read is not computed. Copies have the attributes of the originals,
 * random operations their draws: the same bits. Where gradients are to be differentiated the
 * originals take part, since what flows to copies would be added in another order; their values,
 * which were let go, are computed again as any are. */
#include "grad.h"

#include <string.h>

/* The nodes to be copied, in order of creation; while they are, `run` is the place plus 1. */
typedef struct batch {
    cr__walk *walk;
    uint64_t since;
    cr_tensor **nodes;
    size_t n;
} batch;

static bool add_to_batch(batch *b, cr_tensor *node)
{
    cr_ctx *ctx = b->walk->ctx;
    cr__list *list = &ctx->walk_lists[CR__WALK_BATCH];
    if (node->run)
        return true;
    if (!cr__list_reserve(ctx, list, 2 * (b->n + 1) * sizeof *b->nodes))
        return false;
    if (b->n + 1 >= (1u << 24)) {
        cr__grad_fail(ctx, CR_ERR_ARGUMENT, b->walk->what, b->walk->site, NULL,
                      "more than 2^24 operations in one CR_RECOMPUTE");
        return false;
    }
    b->nodes = list->at;
    b->nodes[b->n++] = node;
    node->run = b->n & 0xffffff;
    return true;
}

/* Whether an input of a copy is a copy itself: not what is known anyway, nor data. */
static bool needs_copy(const batch *b, const cr_tensor *in)
{
    return cr__is_recomputed(in, b->since) &&
           !(in->flags & (CR__KNOWN | CR__VERSION | CR__CUT)) && in->op;
}

/* The region's nodes in the walk, from place i on, and what they are computed from in it. */
static bool collect_batch(batch *b, size_t i)
{
    const cr__walk *walk = b->walk;
    for (; i < walk->n; i++)
        if (cr__is_recomputed(walk->nodes[i], b->since) &&
            !(walk->nodes[i]->flags & CR__VERSION) && !add_to_batch(b, walk->nodes[i]))
            return false;
    for (size_t k = 0; k < b->n; k++) {
        const cr_tensor *x = b->nodes[k];
        for (int j = 0; j < x->n_inputs; j++) {
            cr_tensor *in = cr__input(x, j);
            if (in && needs_copy(b, in) && !add_to_batch(b, in))
                return false;
        }
    }
    return cr__sort_nodes(walk->ctx, b->nodes, NULL, b->n);
}

/* Operand j of x as its copy gets it. */
static cr_arg operand_again(const batch *b, cr_tensor *const *copies, const cr_tensor *x,
                            int j)
{
    cr_arg arg = cr__operand(x, j);
    if (arg.kind == CR_ARG_NONE)
        return cr_arg_tensor(NULL);
    if (arg.kind == CR_ARG_TENSOR && arg.v.tensor->run && needs_copy(b, arg.v.tensor))
        arg.v.tensor = copies[arg.v.tensor->run - 1];
    return arg;
}

static cr_tensor *copy_node(const batch *b, cr_tensor *const *copies, const cr_tensor *x)
{
    cr_ctx *ctx = x->ctx;
    cr_arg few[4], *operands = few;
    if (x->n_inputs > 4 &&
        !(operands = cr__pooled_new(ctx, (size_t)x->n_inputs * sizeof *operands)))
        return NULL;
    for (int j = 0; j < x->n_inputs; j++)
        operands[j] = operand_again(b, copies, x, j);
    ctx->site = x->site;
    ctx->within = x->within;
    cr_tensor *copy = cr__record_again(x, operands, (cr_dtype)x->dtype);
    if (operands != few)
        cr__pooled_free(operands);
    return copy;
}

static bool copy_batch(const batch *b)
{
    cr__walk *walk = b->walk;
    cr_tensor **copies = b->nodes + b->n;
    for (size_t k = 0; k < b->n; k++)
        b->nodes[k]->run = (k + 1) & 0xffffff;
    for (size_t k = 0; k < b->n; k++) {
        cr_tensor *x = b->nodes[k], *copy = copy_node(b, copies, x);
        if (!(copies[k] = copy))
            return false;
        /* Nobody but the pass may ask for it. */
        copy->flags |= CR__CONSUMED;
        copy->walk = x->walk;
        if (x->walk)
            walk->copies[x->walk - 1] = copy;
        else if (walk->releases && !cr__unsave_soon(x))
            return false;
    }
    walk->wasteful = true; /* some may be read by nothing */
    return true;
}

static bool reserve_copies(cr__walk *walk)
{
    cr__list *list = &walk->ctx->walk_lists[CR__WALK_COPIES];
    const size_t bytes = walk->n * sizeof *walk->copies;
    if (!walk->copies && cr__list_reserve(walk->ctx, list, bytes))
        walk->copies = memset(list->at, 0, bytes);
    return walk->copies;
}

cr_tensor *cr__walk_again(cr__walk *walk, size_t i)
{
    batch b = { .walk = walk };
    if (!reserve_copies(walk))
        return NULL;
    if (!walk->copies[i]) {
        b.since = cr__recomputed_since(walk->nodes[i]);
        bool done = collect_batch(&b, i) && copy_batch(&b);
        for (size_t k = 0; k < b.n; k++)
            b.nodes[k]->run = 0;
        if (!done)
            return NULL;
    }
    return walk->copies[i];
}

void cr__walk_forget_copies(cr__walk *walk)
{
    for (size_t i = 0; i < walk->n && walk->copies; i++)
        if (walk->copies[i])
            walk->copies[i]->walk = 0;
}
