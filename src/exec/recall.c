/* Plans of earlier runs. What fuse.c, order.c and slots.c decide depends on what collecting has found
 * and on little else: all of it, in words, is a plan's key. A run whose key is that of a plan that was
 * kept, as each step's of a training is, decides nothing again. Keys hold neither numbers nor where
 * known values lie: programs and calls are made anew in each run. */
#include "call_opaque.h"

/* Smaller plans are made as fast; larger ones compute for long. */
#define FEWEST_UNITS 4
#define MOST_UNITS   1024

/* There is room for so many like the first that did not fit, within so many bytes. */
#define PLANS      4
#define MOST_BYTES ((size_t)512 << 10)

/* What the phases decide of a unit. */
typedef struct kept_unit {
    uint32_t group, next, slot, last, run;
    uint16_t flags;
    uint8_t kind, role, level;
} kept_unit;

/* Behind it: the key, units, groups, order, slots. */
typedef struct kept_plan {
    size_t bytes, key_words;
    cr__plan plan;
} kept_plan;

static bool is_worth_it(const cr__plan *plan)
{
    return plan->n_units >= plan->n_old + FEWEST_UNITS && plan->n_units <= MOST_UNITS;
}

/* ---- keys ---- */

static uint64_t *write_unit(const cr__plan *plan, const cr__unit *unit, uint64_t *to)
{
    cr_tensor *x = unit->node;
    const bool is_opaque = unit->kind == CR__UNIT_OPAQUE;
    const cr__opaque_info *info = is_opaque ? unit->op->internal : NULL;
    *to++ = (uintptr_t)unit->op;
    *to++ = (uintptr_t)unit->shape;
    *to++ = unit->n_uses | (uint64_t)unit->flags << 32 | (uint64_t)unit->kind << 48 |
            (uint64_t)unit->dtype << 56;
    if (unit->kind == CR__UNIT_OLD) {
        *to++ = x->value.buffer->bytes;
    } else if (unit->kind == CR__UNIT_REDUCE) {
        *to++ = (uintptr_t)unit->inner;
        *to++ = (uintptr_t)cr__input(x, 0)->shape;
        *to++ = unit->run | (uint64_t)cr__ending_of(x).code << 32;
    } else if (is_opaque) {
        *to++ = info && info->elements && info->elements(x);
        *to++ = unit->op->overwrites;
    }
    for (uint32_t k = 0; k < unit->n_uses; k++) {
        const cr__use *use = &plan->uses[unit->uses + k];
        const bool draws = is_opaque && cr__draws(x, (int)k);
        *to++ = use->unit | (uint64_t)use->look << 24 | (uint64_t)use->kind << 48 |
                (uint64_t)use->dtype << 52 | (uint64_t)draws << 60;
    }
    return to;
}

static uint64_t *write_look(const cr__look *look, uint64_t *to)
{
    const cr__layout *x = &look->layout;
    const size_t bytes = (size_t)x->ndim * sizeof *x->dims;
    *to++ = (uint64_t)x->ndim | (uint64_t)look->whole << 32;
    *to++ = (uint64_t)x->offset;
    memcpy(to, x->dims, bytes);
    memcpy(to + x->ndim, x->strides, bytes);
    return to + 2 * x->ndim;
}

/* How many words; 0 with the error. */
static size_t write_key(const cr__plan *plan)
{
    cr__list *list = &plan->ctx->run_lists[CR__KEY];
    const size_t most = 8 + 6 * (size_t)plan->n_units + plan->n_uses +
                        (2 + 2 * CR_MAX_DIMS) * (size_t)plan->n_looks;
    if (!cr__list_reserve(plan->ctx, list, most * sizeof(uint64_t)))
        return 0;
    uint64_t *const key = list->at, *to = key;
    *to++ = plan->n_units | (uint64_t)plan->n_old << 32;
    *to++ = plan->n_uses | (uint64_t)plan->n_looks << 32;
    *to++ = plan->scratch_bytes;
    *to++ = plan->asks | (uint64_t)cr__team_size(plan->ctx->team) << 32;
    for (uint32_t i = 0; i < plan->n_units; i++)
        to = write_unit(plan, &plan->units[i], to);
    for (uint32_t i = 0; i < plan->n_looks; i++)
        to = write_look(&plan->looks[i], to);
    return (size_t)(to - key);
}

/* ---- plans ---- */

/* What is kept behind the header, or NULL if nothing is. */
static kept_plan *find_kept(const cr__plan *plan, size_t words)
{
    const cr_ctx *ctx = plan->ctx;
    kept_plan *k;
    for (size_t at = 0; at < ctx->plan_bytes; at += k->bytes) {
        k = (kept_plan *)(void *)((char *)ctx->plans.at + at);
        if (k->key_words == words &&
            !memcmp(k + 1, ctx->run_lists[CR__KEY].at, words * sizeof(uint64_t)))
            return k;
    }
    return NULL;
}

static size_t rounded(size_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

/* To or from what is kept, one list behind the other. */
static void copy_list(char **at, void *list, size_t bytes, bool keeps)
{
    if (bytes)
        memcpy(keeps ? *at : list, keeps ? list : *at, bytes);
    *at += rounded(bytes);
}

static void copy_lists(cr__plan *plan, char *at, bool keeps)
{
    copy_list(&at, plan->groups, plan->n_groups * sizeof *plan->groups, keeps);
    copy_list(&at, plan->order, plan->n_order * sizeof *plan->order, keeps);
    copy_list(&at, plan->slots, plan->n_slots * sizeof *plan->slots, keeps);
}

static bool take_lists(cr__plan *plan, const cr__plan *from)
{
    cr__list *lists = plan->ctx->run_lists;
    plan->n_groups = from->n_groups;
    plan->n_order = from->n_order;
    plan->n_slots = from->n_slots;
    if (!cr__list_reserve(plan->ctx, &lists[CR__GROUPS],
                          plan->n_groups * sizeof *plan->groups) ||
        !cr__list_reserve(plan->ctx, &lists[CR__ORDER],
                          plan->n_order * sizeof *plan->order) ||
        !cr__list_reserve(plan->ctx, &lists[CR__SLOTS],
                          plan->n_slots * sizeof *plan->slots))
        return false;
    plan->groups = lists[CR__GROUPS].at;
    plan->order = lists[CR__ORDER].at;
    plan->slots = lists[CR__SLOTS].at;
    return true;
}

/* Room for units: an even number, so that what is behind them is aligned. */
static size_t units_room(const cr__plan *plan)
{
    return (plan->n_units + (size_t)1) / 2 * 2 * sizeof(kept_unit);
}

static bool take_plan(cr__plan *plan, kept_plan *k, size_t words)
{
    const cr__plan *from = &k->plan;
    const kept_unit *units = (const kept_unit *)(void *)((uint64_t *)(k + 1) + words);
    if (!take_lists(plan, from))
        return false;
    copy_lists(plan, (char *)(uintptr_t)units + units_room(plan), false);
    plan->fails = from->fails;
    plan->commits = from->commits;
    plan->overwrites = from->overwrites;
    plan->scratch = from->scratch;
    plan->new_bytes = from->new_bytes;
    memcpy(plan->packs, from->packs, sizeof plan->packs);
    for (uint32_t i = 0; i < plan->n_units; i++) {
        cr__unit *unit = &plan->units[i];
        unit->group = units[i].group;
        unit->next = units[i].next;
        unit->slot = units[i].slot;
        unit->last = units[i].last;
        unit->run = units[i].run;
        unit->flags = units[i].flags;
        unit->kind = units[i].kind;
        unit->role = units[i].role;
        unit->level = units[i].level;
    }
    for (uint32_t i = 0; i < plan->n_old; i++)
        plan->slots[plan->units[i].slot - 1].buffer = plan->units[i].node->value.buffer;
    return true;
}

/* In place of all others, if there is no room left. */
static bool keep_plan(cr__plan *plan, size_t words)
{
    cr_ctx *ctx = plan->ctx;
    const size_t key = words * sizeof(uint64_t), units = units_room(plan);
    const size_t bytes = sizeof(kept_plan) + key + units +
                         rounded(plan->n_groups * sizeof *plan->groups) +
                         rounded(plan->n_order * sizeof *plan->order) +
                         rounded(plan->n_slots * sizeof *plan->slots);
    if (bytes > MOST_BYTES)
        return true;
    if (ctx->plan_bytes + bytes > ctx->plans.capacity) {
        const size_t room = PLANS * bytes < MOST_BYTES ? PLANS * bytes : MOST_BYTES;
        ctx->plan_bytes = 0;
        if (bytes > ctx->plans.capacity && !cr__list_reserve(ctx, &ctx->plans, room))
            return false;
    }
    kept_plan *k = (kept_plan *)(void *)((char *)ctx->plans.at + ctx->plan_bytes);
    *k = (kept_plan){ .bytes = bytes, .key_words = words, .plan = *plan };
    char *at = (char *)(k + 1);
    memcpy(at, ctx->run_lists[CR__KEY].at, key);
    kept_unit *to = (kept_unit *)(void *)(at + key);
    for (uint32_t i = 0; i < plan->n_units; i++) {
        const cr__unit *unit = &plan->units[i];
        to[i] = (kept_unit){ unit->group, unit->next, unit->slot, unit->last, unit->run,
                             unit->flags, unit->kind, unit->role, unit->level };
    }
    copy_lists(plan, at + key + units, true);
    ctx->plan_bytes += bytes;
    return true;
}

/* A rehearsal takes what the run would, and keeps nothing. */
bool cr__decide(cr__plan *plan)
{
    const bool recalls = is_worth_it(plan);
    cr__find_updates(plan);
    const size_t words = recalls ? write_key(plan) : 0;
    if (recalls && !words)
        return false;
    kept_plan *k = words ? find_kept(plan, words) : NULL;
    if (k)
        return take_plan(plan, k, words);
    return cr__fuse(plan) && cr__order(plan) && cr__find_slots(plan) &&
           (!recalls || plan->rehearsal || keep_plan(plan, words));
}
