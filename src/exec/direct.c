/* Single elements: their kernels are called as they are. A run that computes nothing else,
 * the graph of a scalar function, needs no plan; it visits each node once. */
#include "launch.h"

#include <string.h>

#define AHEAD 6 /* nodes: of large graphs they are not in the cache */

#define LOOK_EVERY 256 /* nodes, whether the run is cancelled: some microseconds */

/* Of bf16 and f16: in f32, rounded. */
static void call_half(cr_tensor *x, cr__map_fn *map, const void **src,
                      const int64_t *step, const cr_dtype *dtypes, int n)
{
    const cr__half *to = cr__half_find((cr_dtype)x->dtype);
    float wide[4], result;
    for (int k = 0; k < n; k++) {
        const cr__half *from = cr__half_find(dtypes[k]);
        if (!from)
            continue;
        from->widen(&wide[k], src[k], 1);
        src[k] = &wide[k];
    }
    map(to ? (void *)&result : &x->value, src, step, 1);
    if (to)
        to->narrow((uint16_t *)(void *)&x->value, &result, 1);
}

void cr__call_single(cr_tensor *x, cr__map_fn *map, const void **src,
                     const cr_dtype *dtypes, int n)
{
    static const int64_t step[4] = { 1, 1, 1, 1 };
    static const int64_t first = 0;
    const cr__map *info = x->op->internal;
    uint64_t params[4];
    bool half = cr__is_half((cr_dtype)x->dtype);
    if (CR__UNLIKELY(info->source)) {
        info->source(x->attrs, params);
        src[0] = &first;
        src[1] = params;
    }
    for (int k = 0; k < n; k++)
        half |= cr__is_half(dtypes[k]);
    if (CR__UNLIKELY(half))
        call_half(x, map, src, step, dtypes, n);
    else
        map(&x->value, src, step, 1);
}

/* The operands' values, which are known; what is computed now is no reader to come of them.
 * False with the error. */
static bool compute(cr_ctx *ctx, cr_tensor *x)
{
    const cr__map *map = x->op->internal;
    const bool pending = x->pending;
    const void *src[4];
    uint64_t numbers[4];
    cr_dtype dtypes[4], dtype = CR_DTYPE_DEFAULT;
    cr_arg params[4];
    int n = x->n_inputs;
    cr__set_pending(x, false);
    for (int k = 0; k < n; k++) {
        cr_tensor *in = cr__input(x, k);
        if (!in)
            continue;
        if (pending)
            cr__count_reader(in, -1);
        src[k] = &in->value;
        dtypes[k] = (cr_dtype)in->dtype;
        if (dtype == CR_DTYPE_DEFAULT && !(map->own >> k & 1))
            dtype = dtypes[k];
    }
    if (dtype == CR_DTYPE_DEFAULT)
        dtype = (cr_dtype)x->dtype;
    if (map->n_params)
        map->params(x->attrs, params);
    for (int k = 0; k < n + map->n_params; k++) {
        if (k < n && cr__input(x, k))
            continue;
        dtypes[k] = cr__register_dtype(dtype);
        cr__store_operand(k < n ? cr_operand(x, k) : params[k - n], dtypes[k],
                          &numbers[k]);
        src[k] = &numbers[k];
    }
    cr__map_fn *fn = cr__map_find(map->code, dtype, (cr_dtype)x->dtype);
    if (!fn) {
        cr__fail_kernel(ctx, x->op, dtype);
        return false;
    }
    cr__call_single(x, fn, src, dtypes, n + map->n_params);
    return true;
}

/* Those that stay, before they lose what they were computed from. */
static bool look_at_nodes(cr__plan *plan)
{
    for (uint32_t i = 0; i < plan->n && !plan->nonfinite; i++) {
        const cr_tensor *x = plan->nodes[i];
        plan->nonfinite =
            x->flags & CR__KEEP && !cr__all_finite((cr_dtype)x->dtype, &x->value, 1);
    }
    for (uint32_t i = 0; i < plan->n && !plan->nonfinite; i++)
        cr__settle(plan->nodes[i]);
    return !plan->nonfinite;
}

bool cr__run_directly(cr__plan *plan)
{
    bool success = true;
    for (uint32_t i = 0; i < plan->n; i++) {
        cr_tensor *x = plan->nodes[i];
        if (i + AHEAD < plan->n) {
            __builtin_prefetch(plan->nodes[i + AHEAD], 1);
            __builtin_prefetch((char *)plan->nodes[i + AHEAD] + 64, 1);
        }
        CR__ASSERT(x->refs > 0 && !(x->flags & CR__KNOWN));
        x->run = 0;
        if (CR__UNLIKELY(i % LOOK_EVERY == LOOK_EVERY - 1))
            success = success && !cr__is_cancelled(plan->ctx);
        success = success && compute(plan->ctx, x);
        if (success) {
            cr__note_computed(x, false);
            x->flags |= CR__KNOWN;
            if (CR__LIKELY(!plan->traces && !plan->ctx->blames))
                cr__settle(x);
        } else {
            cr__note_failed(x);
        }
    }
    if (success && plan->traces)
        success = look_at_nodes(plan);
    if (success)
        cr__settle_held(plan);
    return success;
}
