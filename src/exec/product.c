/* Matrix products: from a unit to a job of the kernel. Operands that are tiny, as gradients
 * are that have vanished, are multiplied by a power of two while they are packed, and the
 * product is divided by it: sums of subnormal numbers then take no longer than others, and
 * are rounded only once. Obtains no memory, and cannot fail. */
#include "launch.h"

_Static_assert(CR__TEMP_BYTES <= CR__PANEL_SCRATCH, "temporaries have room");

bool cr__takes_panels(const cr__unit *unit)
{
    return ((const cr__contract_info *)unit->op->internal)->panels &&
           (!cr__is_convolution(unit) || !cr__is_half((cr_dtype)unit->dtype));
}

bool cr__is_convolution(const cr__unit *unit)
{
    return ((const cr__contract_info *)unit->op->internal)->conv;
}

/* The maps of the group over a panel. */
static void run_panel(void *arg, const cr__panel *panel)
{
    const cr__program *p = arg;
    const cr__unit *root = &p->plan->units[p->group->root - 1];
    const int64_t size =
        (int64_t)cr_dtype_size(cr__register_dtype((cr_dtype)root->dtype));
    const bool whole = panel->columns == panel->step || panel->rows == 1;
    const int64_t lines = whole ? 1 : panel->rows;
    const int64_t n = panel->columns * panel->rows / lines;
    for (int64_t i = 0; i < lines; i++)
        for (int64_t at = 0; at < n; at += p->tile)
            cr__run_tile_of(p, panel->scratch, panel->start + i * panel->step + at,
                            n - at < p->tile ? n - at : p->tile,
                            (const char *)panel->data + (i * panel->pitch + at) * size);
}

/* Who runs the maps of the group over panels, by that program; NULL: there are none. */
static const cr__follower *follower_of(cr__plan *plan, const cr__group *group,
                                       cr__program *p, cr__follower *then)
{
    const cr__reg *regs[CR__STREAMS];
    if (!group->shape)
        return NULL;
    cr__emit(p, plan, group, plan->ctx->run_lists[CR__PROGRAM].at);
    *then = (cr__follower){ .fn = run_panel,
                            .arg = p,
                            .cost = cr__program_cost(p) / (double)p->numel,
                            .n_streams = cr__streams(p, regs, CR__STREAMS) };
    for (int i = 0; i < then->n_streams; i++)
        then->streams[i] = regs[i]->data, then->sizes[i] = regs[i]->size;
    return then;
}

/* Operand k of the product, of which x becomes that share. */
static cr__reader reader_of(const cr__plan *plan, const cr__unit *unit, int k,
                            cr__strided *x, cr__share share)
{
    const cr_dtype dtype = (cr_dtype)cr__input(unit->node, k)->dtype;
    const bool made = cr__is_made_by_parts(plan, &plan->uses[unit->uses + (uint32_t)k]);
    const int exponent = made ? 0 : cr__tiny_exponent(x, dtype);
    if (share.n > 1)
        cr__take_share(x, dtype, share);
    return (cr__reader){ .data = x->data, .dtype = dtype, .exponent = exponent };
}

/* Whether all that the group does with the product is adding it to what lies where the sum will,
 * which the kernel can do: the next contribution to a gradient. */
static bool adds_in_place(const cr__plan *plan, const cr__group *group,
                          const cr__gemm_job *job)
{
    const cr__unit *product = &plan->units[group->root - 1];
    const cr__unit *sum = product->next ? &plan->units[product->next - 1] : NULL;
    if (group->count != 2 || !sum || product->flags & CR__STORED ||
        ((const cr__map *)sum->op->internal)->code != CR__MAP_add ||
        cr__is_half(job->dtype) || job->m == 1 || job->n == 1 || job->k == 0 ||
        job->k > CR__GEMM_BLOCK || job->a.exponent || job->b.exponent || !sum->slot)
        return false;
    for (uint32_t k = 0; k < 2; k++) {
        const cr__use *use = &plan->uses[sum->uses + k];
        const cr__unit *other = &plan->units[use->unit];
        if (use->kind == CR__USE_UNIT && !use->look && other->slot == sum->slot)
            return true;
    }
    return false;
}

static void run_convolution(cr__plan *plan, const cr__unit *unit,
                            const cr__strided operands[2], cr__conv *conv)
{
    const cr__contract_info *info = unit->op->internal;
    for (int i = 0; i < 2; i++)
        memcpy(conv->strides[i], operands[i].strides, sizeof conv->strides[i]);
    info->conv(unit->node, operands[0].dims, operands[1].dims, conv);
    if (plan->scratch && cr__conv_bytes(conv))
        conv->memory = plan->slots[plan->scratch - 1].buffer->data;
    cr__convolve(conv, plan->ctx->team);
}

void cr__run_product(cr__plan *plan, const cr__group *group, cr__share share)
{
    const cr__unit *unit = &plan->units[group->root - 1];
    const cr_tensor *x = unit->node;
    cr__strided in[2];
    for (int k = 0; k < 2; k++)
        cr__operand_of(plan, unit, k, &in[k]);
    const cr__reader readers[2] = { reader_of(plan, unit, 0, &in[0], share),
                                    reader_of(plan, unit, 1, &in[1], share) };
    char *data = unit->flags & CR__STORED ? cr__unit_data(plan, unit) : NULL;
    if (share.i > 0)
        data += cr__unit_bytes(unit) / (size_t)share.n * (size_t)share.i;
    cr__gemm_job job = {
        .dtype = (cr_dtype)x->dtype, .a = readers[0], .b = readers[1], .c = data
    };
    cr__program p;
    cr__follower then;
    if (cr__is_convolution(unit)) {
        cr__conv conv = { .dtype = job.dtype,
                          .operand = { readers[0], readers[1] },
                          .result = data,
                          .then = follower_of(plan, group, &p, &then) };
        run_convolution(plan, unit, in, &conv);
        return;
    }
    ((const cr__contract_info *)x->op->internal)->job(x, &in[0], &in[1], &job);
    job.packed = cr__packed(plan, unit, &job);
    if (group->shape && adds_in_place(plan, group, &job)) {
        job.c = cr__unit_data(plan, &plan->units[unit->next - 1]);
        job.adds = true;
    } else {
        job.then = follower_of(plan, group, &p, &then);
    }
    cr__gemm(&job, plan->ctx->team);
}
