/* The memory of a run: every value's buffer is found before anything is computed, so that
 * a run that lacks memory has changed nothing. A value's buffer serves the next one when
 * its last reader is through. */
#include "exec.h"

/* How many spare buffers are looked at for one of the right size. */
#define MAX_LOOK 16

static bool obtain(cr__plan *plan, cr__buffer **spare, size_t bytes, uint32_t *slot)
{
    cr_ctx *ctx = plan->ctx;
    cr__buffer **link = spare;
    for (int i = 0; *link && i < MAX_LOOK; i++, link = &(*link)->next_free) {
        cr__buffer *found = *link;
        if (found->bytes != bytes)
            continue;
        *link = found->next_free;
        *slot = (uint32_t)(uintptr_t)found->user;
        return true;
    }
    if (!cr__list_reserve(ctx, &ctx->run_lists[CR__BUFFERS],
                          ((size_t)plan->n_buffers + 1) * sizeof *plan->buffers))
        return false;
    plan->buffers = ctx->run_lists[CR__BUFFERS].at;
    cr__buffer *buffer = cr__buffer_new(ctx, bytes);
    if (!buffer)
        return false;
    plan->buffers[plan->n_buffers++] = buffer;
    /* user, free in buffers of our own, tells its place. */
    buffer->user = (void *)(uintptr_t)plan->n_buffers;
    *slot = plan->n_buffers;
    return true;
}

static bool give_buffer(cr__plan *plan, cr__buffer **spare, cr_tensor *x)
{
    cr__entry *entry = cr__entry_of(plan, x);
    uint32_t slot;
    if (!(entry->flags & CR__STORE) || x->shape->numel == 1)
        return true;
    size_t bytes = (size_t)x->shape->numel * cr_dtype_size((cr_dtype)x->dtype);
    if (!obtain(plan, spare, bytes, &slot)) {
        cr__say_for_what(x);
        return false;
    }
    if (x->op->kind == CR_OP_VIEW)
        plan->views[entry->slot - 1].copy = slot;
    else
        entry->slot = slot & 0xffffff;
    return true;
}

/* The value's last reader is through: its buffer is spare, unless the value stays. */
static void retire(cr__plan *plan, cr__buffer **spare, cr_tensor *x, uint32_t group)
{
    cr__entry *entry = cr__entry_of(plan, x);
    if (entry->last != group || entry->flags & (CR__OUTLIVES | CR__PINNED | CR__FREED) ||
        !(entry->flags & CR__STORE) || x->shape->numel == 1)
        return;
    entry->flags |= CR__FREED;
    cr__buffer *buffer = plan->buffers[cr__buffer_slot(plan, x) - 1];
    buffer->next_free = *spare;
    *spare = buffer;
}

static void retire_inputs(cr__plan *plan, cr__buffer **spare, cr_tensor *x,
                          uint32_t group)
{
    if (x->op->kind == CR_OP_VIEW) {
        cr_tensor *base = plan->views[cr__entry_of(plan, x)->slot - 1].base;
        if (base->run)
            retire(plan, spare, base, group);
        return;
    }
    for (int k = 0; k < x->n_inputs; k++) {
        cr_tensor *in = cr__input(x, k);
        const cr__entry *entry = in ? cr__entry_of_base(plan, in) : NULL;
        if (entry)
            retire(plan, spare, plan->nodes[entry - plan->entries], group);
    }
}

/* What the opaque kernel that asks for the most gets; they run one after the other. */
static bool obtain_scratch(cr__plan *plan, cr__buffer **spare)
{
    const cr_tensor *asks = NULL;
    size_t most = 0;
    for (uint32_t i = 0; i < plan->n; i++) {
        const cr_tensor *x = plan->nodes[i];
        size_t bytes = x->op->scratch ? x->op->scratch(x) : 0;
        if (bytes > most)
            asks = x, most = bytes;
    }
    if (!asks || obtain(plan, spare, most, &plan->scratch))
        return true;
    cr__say_for_what(asks);
    return false;
}

bool cr__plan_memory(cr__plan *plan)
{
    cr__buffer *spare = NULL;
    if (!obtain_scratch(plan, &spare))
        return false;
    for (uint32_t g = plan->n_groups; g-- > 1;) {
        const cr__group *group = &plan->groups[g];
        for (uint32_t at = group->first; at; at = plan->entries[at - 1].next)
            if (!give_buffer(plan, &spare, plan->nodes[at - 1]))
                return false;
        for (uint32_t at = group->first; at; at = plan->entries[at - 1].next) {
            retire_inputs(plan, &spare, plan->nodes[at - 1], g);
            retire(plan, &spare, plan->nodes[at - 1], g);
        }
    }
    return true;
}
