/* What the files of src/flow share. They use the public headers alone; memory is malloc()'s, and
 * belongs to the cr_flow or the report that it was made for. */
#ifndef CR_FLOW_FLOW_H
#define CR_FLOW_FLOW_H

#include <chainrule_flow.h>

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CR__FLOW_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* Memory that is freed at once with its owner: names, texts, arrays of a snapshot. */
typedef struct cr__arena {
    struct cr__arena_block *blocks;
} cr__arena;
/* Zeroed; NULL with CR_ERR_MEMORY in ctx. */
void *cr__arena_alloc(cr__arena *arena, cr_ctx *ctx, size_t bytes);
char *cr__arena_text(cr__arena *arena, cr_ctx *ctx, const char *text);
void cr__arena_free(cr__arena *arena);

#endif
