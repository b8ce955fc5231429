/* Memory that belongs together and is freed together. */
#include "flow.h"

struct cr__arena_block {
    struct cr__arena_block *next;
    size_t used, capacity;
    max_align_t data[];
};

enum { LEAST_BLOCK = 4096 };

/* A block with room for so many bytes: the first, one that was kept by cr__arena_empty(), which comes
 * to the front, or a new one. */
static struct cr__arena_block *block_for(cr__arena *arena, size_t bytes)
{
    struct cr__arena_block **at = &arena->blocks, *block;
    while ((block = *at) && block->capacity - block->used < bytes)
        at = &block->next;
    if (block) {
        *at = block->next;
    } else {
        const size_t capacity = bytes > LEAST_BLOCK ? bytes : LEAST_BLOCK;
        if (bytes > SIZE_MAX / 2 || !(block = malloc(sizeof *block + capacity)))
            return NULL;
        *block = (struct cr__arena_block){ .capacity = capacity };
    }
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *cr__arena_alloc(cr__arena *arena, cr_ctx *ctx, size_t bytes)
{
    const size_t unit = sizeof(max_align_t), units = bytes / unit + 1;
    struct cr__arena_block *block = block_for(arena, units * unit);
    if (!block) {
        cr_fail(ctx, CR_ERR_MEMORY, "flow: no memory for %zu bytes", bytes);
        return NULL;
    }
    void *at = (char *)block->data + block->used;
    block->used += units * unit;
    return memset(at, 0, units * unit);
}

char *cr__arena_text(cr__arena *arena, cr_ctx *ctx, const char *text)
{
    const size_t bytes = strlen(text) + 1;
    char *copy = cr__arena_alloc(arena, ctx, bytes);
    return copy ? memcpy(copy, text, bytes) : NULL;
}

void cr__arena_empty(cr__arena *arena)
{
    for (struct cr__arena_block *block = arena->blocks; block; block = block->next)
        block->used = 0;
}

void cr__arena_free(cr__arena *arena)
{
    while (arena->blocks) {
        struct cr__arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}
