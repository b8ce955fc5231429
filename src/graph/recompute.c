/* CR_RECOMPUTE(ctx): what is recorded in a region is marked, and keeps nothing for its vjps but
 * what the region reads of the rest. Regions are told apart by where they begin: a marked node is
 * of the last region that has begun before it, so nodes need no more than the mark. Regions of
 * which no node is left are forgotten. What a backward pass makes of the marks is src/grad's. */
#include "graph.h"

typedef struct recomputed_region {
    uint64_t since;
    int64_t live; /* its nodes that are there */
} recomputed_region;

static recomputed_region *regions(const cr_ctx *ctx)
{
    return ctx->regions.at;
}

/* The region of a marked node of this seq. */
static recomputed_region *region_of(const cr_ctx *ctx, uint64_t seq)
{
    size_t low = 0, high = ctx->n_regions;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (regions(ctx)[middle].since <= seq)
            low = middle;
        else
            high = middle;
    }
    CR__ASSERT(high > low && regions(ctx)[low].since <= seq);
    return &regions(ctx)[low];
}

/* Those without nodes go whenever there are twice as many as were left the last time. */
static void forget_regions(cr_ctx *ctx)
{
    size_t n = 0;
    if (ctx->n_regions < ctx->many_regions)
        return;
    for (size_t i = 0; i < ctx->n_regions; i++)
        if (regions(ctx)[i].live)
            regions(ctx)[n++] = regions(ctx)[i];
    ctx->n_regions = n;
    ctx->many_regions = 2 * n + 16;
}

static bool begin_region(cr_ctx *ctx)
{
    forget_regions(ctx);
    if (!cr__list_reserve(ctx, &ctx->regions,
                          (ctx->n_regions + 1) * sizeof(recomputed_region)))
        return false;
    regions(ctx)[ctx->n_regions++] = (recomputed_region){ .since = ctx->next_seq };
    return true;
}

void cr_recompute_push(cr_ctx *ctx)
{
    if (!ctx || !cr__may_change(ctx, "recompute_push"))
        return;
    bool begins =
        ctx->recompute_depth++ == 0 && !ctx->no_grad && !ctx->walking && !ctx->eager;
    ctx->recomputes = ctx->recomputes || (begins && begin_region(ctx));
}

void cr_recompute_pop(cr_ctx *ctx)
{
    if (!ctx || !cr__may_change(ctx, "recompute_pop"))
        return;
    if (ctx->recompute_depth > 0)
        ctx->recompute_depth--;
    else
        cr_fail(
            ctx, CR_ERR_ARGUMENT,
            "recompute_pop: nothing is recomputed; each pop ends one cr_recompute_push");
    if (!ctx->recompute_depth)
        ctx->recomputes = false;
}

void cr__mark_recomputed(cr_tensor *x)
{
    x->recomputed = true;
    region_of(x->ctx, x->seq)->live++;
}

void cr__unmark_recomputed(cr_tensor *x)
{
    x->recomputed = false;
    region_of(x->ctx, x->seq)->live--;
}

uint64_t cr__recomputed_since(const cr_tensor *x)
{
    return region_of(x->ctx, x->seq)->since;
}

void cr__count_boundary(cr_tensor *x, int by)
{
    const uint64_t since = cr__recomputed_since(x);
    for (int i = 0; i < x->n_inputs; i++) {
        cr_tensor *in = cr__input(x, i);
        if (in && !cr__is_recomputed(in, since))
            cr__count_reader(in, by);
    }
}
