/* Memory that belongs together and is freed together. */
#include "flow.h"

struct cr__arena_block {
    struct cr__arena_block *next;
    max_align_t data[];
};

void *cr__arena_alloc(cr__arena *arena, cr_ctx *ctx, size_t bytes)
{
    struct cr__arena_block *block =
        bytes < SIZE_MAX / 2 ? calloc(1, sizeof *block + bytes) : NULL;
    if (!block) {
        cr_fail(ctx, CR_ERR_MEMORY, "flow: no memory for %zu bytes", bytes);
        return NULL;
    }
    block->next = arena->blocks;
    arena->blocks = block;
    return block->data;
}

char *cr__arena_text(cr__arena *arena, cr_ctx *ctx, const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = cr__arena_alloc(arena, ctx, bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

void cr__arena_free(cr__arena *arena)
{
    while (arena->blocks) {
        struct cr__arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}
