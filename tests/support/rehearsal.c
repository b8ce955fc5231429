#include "rehearsal.h"
#include "../../src/graph/graph.h"

#include <stdlib.h>
#include <string.h>

char *plan_of(cr_tensor *const *xs, int n)
{
    size_t length = cr_plan_format(xs, n, NULL, 0);
    char *text = length ? malloc(length + 1) : NULL;
    if (text && cr_plan_format(xs, n, text, length + 1) == length)
        return text;
    free(text);
    return NULL;
}

size_t number_behind(const char *text, const char *words)
{
    const char *at = text ? strstr(text, words) : NULL;
    return at ? (size_t)strtoull(at + strlen(words), NULL, 10) : 0;
}

void forget_peak(cr_ctx *ctx)
{
    ctx->memory.peak = cr_memory_used(ctx);
}

/* ---- what must not change ---- */

static uint64_t mix(uint64_t h, uint64_t value)
{
    return (h ^ value) * 1099511628211u; /* FNV-1a */
}

static uint64_t mix_node(uint64_t h, const cr_tensor *x)
{
    if (!x)
        return mix(h, 1);
    h = mix(mix(mix(h, x->seq), (uint64_t)x->refs), x->readers);
    h = mix(mix(mix(h, x->flags), (uint64_t)x->n_inputs), x->kinds);
    h = mix(mix(mix(h, x->run), x->pending), x->shown);
    h = mix(mix(mix(h, x->barred), x->moved), x->walk);
    return x->flags & CR__KNOWN ? mix(h, x->value.buffer != NULL) : h;
}

/* Of all nodes in open scopes, their operands, and leaves with something pending. */
static uint64_t hash_graph(const cr_ctx *ctx)
{
    uint64_t h = 14695981039346656037u;
    for (const cr__scope *scope = ctx->scope; scope; scope = scope->parent)
        for (const cr_tensor *x = scope->first; x; x = x->link) {
            h = mix_node(h, x);
            for (int k = 0; k < x->n_inputs; k++)
                h = mix_node(h, cr__input(x, k));
        }
    for (const cr__leaf *leaf = ctx->dirty; leaf; leaf = leaf->next_dirty) {
        h = mix_node(mix_node(h, leaf->version), leaf->committed);
        h = mix_node(mix_node(h, leaf->grad), leaf->grad_committed);
    }
    return mix(mix(h, ctx->next_seq), (uint64_t)ctx->n_nodes);
}

const char *rehearse(cr_ctx *ctx, cr_tensor *const *xs, int n, size_t *peak)
{
    uint64_t hash = hash_graph(ctx);
    size_t used = cr_memory_used(ctx), most = cr_memory_peak(ctx);
    char *first = plan_of(xs, n), *second = plan_of(xs, n);
    const char *wrong = NULL;
    *peak = number_behind(first, "memory: peak ");
    if (!first || !second)
        wrong = "there is no plan";
    else if (strcmp(first, second) != 0)
        wrong = "two plans differ";
    else if (hash_graph(ctx) != hash)
        wrong = "planning has changed the graph";
    else if (cr_memory_used(ctx) != used || cr_memory_peak(ctx) != most)
        wrong = "planning takes memory";
    free(first);
    free(second);
    return wrong;
}
