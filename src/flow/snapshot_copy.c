/* Copies of snapshots, which outlive the flow that took them. */
#include "flow.h"

/* NULL stays NULL; *failed is set without memory. */
static const char *text_copy(cr__arena *arena, cr_ctx *ctx, const char *text,
                             bool *failed)
{
    const char *copy = text ? cr__arena_text(arena, ctx, text) : NULL;
    *failed |= text && !copy;
    return copy;
}

static void *array_copy(cr__arena *arena, cr_ctx *ctx, const void *from, size_t bytes,
                        bool *failed)
{
    void *copy = from ? cr__arena_alloc(arena, ctx, bytes) : NULL;
    *failed |= from && !copy;
    return copy ? memcpy(copy, from, bytes) : NULL;
}

cr_status cr__flow_copy_snapshot(cr_ctx *ctx, cr__arena *arena,
                                 const cr_flow_snapshot *from, cr_flow_snapshot *to)
{
    bool failed = false;
    *to = *from;
    cr_flow_layer *layers = array_copy(arena, ctx, from->layers,
                                       (size_t)from->n_layers * sizeof *layers, &failed);
    cr_flow_param *params = array_copy(arena, ctx, from->params,
                                       (size_t)from->n_params * sizeof *params, &failed);
    for (int i = 0; i < from->n_layers && !failed; i++) {
        cr_flow_layer *l = &layers[i];
        l->name = text_copy(arena, ctx, l->name, &failed);
        l->kind = text_copy(arena, ctx, l->kind, &failed);
        l->y_bins = array_copy(arena, ctx, l->y_bins, sizeof *l->y_bins, &failed);
        l->delta_bins =
            array_copy(arena, ctx, l->delta_bins, sizeof *l->delta_bins, &failed);
    }
    for (int i = 0; i < from->n_params && !failed; i++) {
        cr_flow_param *p = &params[i];
        p->name = text_copy(arena, ctx, p->name, &failed);
        p->weight_bins =
            array_copy(arena, ctx, p->weight_bins, sizeof *p->weight_bins, &failed);
        p->gradient_bins =
            array_copy(arena, ctx, p->gradient_bins, sizeof *p->gradient_bins, &failed);
    }
    to->loss.op = text_copy(arena, ctx, from->loss.op, &failed);
    to->layers = layers;
    to->params = params;
    return failed ? CR_ERR_MEMORY : CR_OK;
}
