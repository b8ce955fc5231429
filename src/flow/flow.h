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
/* What was given is no more; the memory is kept for the next. */
void cr__arena_empty(cr__arena *arena);
void cr__arena_free(cr__arena *arena);

/* ---- verdicts.c ----------------------------------------------------------------------- */

/* Fills of out what n snapshots tell, in the order of time: verdicts, the stack that theory takes
 * the network for, its prediction, measured_decades; and snapshots, n_snapshots, saw_start, which
 * are those given. The rest stays. What it allocates is arena's; snapshots must live as long. */
cr_status cr__flow_explain(cr_ctx *ctx, cr__arena *arena,
                           const cr_flow_snapshot *snapshots, int n, bool saw_start,
                           cr_flow_report *out);

/* ---- snapshot_copy.c ------------------------------------------------------------------ */

/* A copy whose memory is arena's. */
cr_status cr__flow_copy_snapshot(cr_ctx *ctx, cr__arena *arena,
                                 const cr_flow_snapshot *from, cr_flow_snapshot *to);

#endif
