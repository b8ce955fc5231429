/* Opening, closing and clearing a context. */
#include "../base/system.h"
#include "graph.h"

#include <stdlib.h>
#include <string.h>

/* Sizes of attribute structs that come from slabs: multiples of 16. */
static const size_t attr_sizes[CR__ATTR_SLABS] = { 16, 48, 96, 128, 192, 256 };

static size_t slab_size(size_t record)
{
    return (record + 15) / 16 * 16;
}

static void init_graph(cr_ctx *ctx)
{
    ctx->next_seq = 1;
    ctx->scope = &ctx->root;
    ctx->nodes.size = CR__NODE_BYTES;
    ctx->shapes.size = slab_size(sizeof(cr__shape));
    ctx->leaves.size = slab_size(sizeof(cr__leaf));
    ctx->scopes.size = slab_size(sizeof(cr__scope));
    for (int i = 0; i < CR__ATTR_SLABS; i++)
        ctx->attrs[i].size = attr_sizes[i];
}

static bool asks_for(const char *variable)
{
    const char *value = getenv(variable);
    return value && strcmp(value, "1") == 0;
}

cr_ctx *cr_open(const cr_options *options)
{
    static const cr_options none = { 0 };
    cr__memory memory;
    if (!options)
        options = &none;
    cr__memory_init(&memory, options);
    cr_ctx *ctx = memory.alloc(memory.user, sizeof *ctx);
    if (!ctx)
        return NULL;
    memset(ctx, 0, sizeof *ctx);
    ctx->memory = memory;
    ctx->log = options->log;
    ctx->log_user = options->log_user;
    ctx->eager = options->eager || asks_for("CHAINRULE_EAGER");
    ctx->check = options->check || asks_for("CHAINRULE_CHECK");
    ctx->traces = options->trace_nonfinite || asks_for("CHAINRULE_TRACE_NONFINITE");
    ctx->pid = cr__process_id();
    init_graph(ctx);
    ctx->team = cr__team_open(ctx, options);
    if (!ctx->team) {
        cr_close(ctx);
        return NULL;
    }
    if (!cr__arithmetic_is_sound()) {
        cr__log(
            ctx,
            "open: the compiler did not keep to the arithmetic of the source, on which "
            "every bit rests; compile the library without -ffp-contract=fast and what "
            "-ffast-math consists of");
        cr_close(ctx);
        return NULL;
    }
    cr__memory_begin(&ctx->memory, options);
    ctx->opened = cr__nanoseconds();
    ctx->opened_ticks = cr__ticks();
    cr__profile_open(ctx);
    if (cr__isa_refused())
        cr__log(ctx, "CHAINRULE_ISA=%.40s: no such kernels on this machine; in use: %s",
                cr__isa_refused(), cr_isa());
    return ctx;
}

/* A tensor that somebody has retained and not released, or that refers to itself: a
 * gradient whose history, which is still to be computed, holds its own leaf. */
static void let_die(void *record)
{
    cr_tensor *x = record;
    if (x->refs <= 0)
        return;
    x->refs = 1;
    cr__drop(x);
}

void cr_close(cr_ctx *ctx)
{
    if (!ctx || !cr__may_change(ctx, "close"))
        return;
    if (ctx->walking || ctx->floor) {
        cr_fail(ctx, CR_ERR_ARGUMENT, "close: called from inside a vjp or an expansion");
        return;
    }
    if (ctx->status != CR_OK && !ctx->error_seen)
        cr__log(ctx, "closed with an error that was never looked at: %s", ctx->message);
    cr__rollback(ctx);
    cr__forget_due_hooks(ctx);
    cr__profile_close(ctx);
    while (ctx->scope != &ctx->root)
        cr__scope_end(ctx, NULL);
    cr__scope_end(ctx, NULL);
    if (ctx->n_nodes)
        cr__slab_each(&ctx->nodes, let_die);
    for (int i = 0; i < CR__COUNT(ctx->walk_lists); i++)
        cr__list_free(ctx, &ctx->walk_lists[i]);
    for (int i = 0; i < CR__COUNT(ctx->run_lists); i++)
        cr__list_free(ctx, &ctx->run_lists[i]);
    cr__list_free(ctx, &ctx->unsaved);
    cr__list_free(ctx, &ctx->regions);
    cr__list_free(ctx, &ctx->targets);
    cr__list_free(ctx, &ctx->sort_list);
    cr__list_free(ctx, &ctx->plans);
    cr__list_free(ctx, &ctx->shape_table);
    cr__slab_close(ctx, &ctx->nodes);
    cr__slab_close(ctx, &ctx->shapes);
    cr__slab_close(ctx, &ctx->leaves);
    cr__slab_close(ctx, &ctx->scopes);
    cr__slab_close(ctx, &ctx->memory.borrowed);
    for (int i = 0; i < CR__ATTR_SLABS; i++)
        cr__slab_close(ctx, &ctx->attrs[i]);
    if (ctx->team)
        cr__team_close(ctx, ctx->team);
    cr__memory_close(ctx);
    cr__memory memory = ctx->memory;
    ctx->busy = "the allocator";
    memory.free(memory.user, ctx, sizeof *ctx);
}

void cr_trace_nonfinite(cr_ctx *ctx, bool on)
{
    if (ctx && cr__may_change(ctx, "trace_nonfinite"))
        ctx->traces = on;
}

void cr_clear(cr_ctx *ctx)
{
    if (!ctx || !cr__may_change(ctx, "clear"))
        return;
    if (ctx->status != CR_OK)
        cr__undo(ctx);
    __atomic_store_n(&ctx->cancelled, 0, __ATOMIC_RELAXED);
    ctx->status = CR_OK;
    ctx->spares = false;
    ctx->error_seen = false;
    ctx->message[0] = '\0';
}
