/* Takes a profile: what each group costs, and of that each operation by the place where it was
 * recorded. A group's time is divided in the proportion of what its operations would take alone at
 * the machine's limit. All memory that a run needs for this is obtained before it computes. */
#include "profiler.h"

#include "../base/lookup.h"
#include "../base/system.h"
#include "program.h"

#include <stdlib.h>

#define MOST_SLICES ((uint32_t)1 << 20)
#define FEWEST_ROWS 64

/* ---- rows ---- */

CR__COLD static uint32_t row_hash(const cr__profile_row *row)
{
    return cr__hash_pointer(row->op) * 31 + cr__hash_pointer(row->site) * 7 +
           cr__hash_pointer(row->within) + row->copy;
}

/* Where the row's place, plus 1, stands in the index, or is to. */
CR__COLD static uint32_t *find_place(const cr__profile *p, const cr__profile_row *key)
{
    const cr__profile_row *rows = p->rows.at;
    uint32_t *index = p->index.at;
    size_t at = row_hash(key) & (p->n_index - 1);
    for (; index[at]; at = (at + 1) & (p->n_index - 1)) {
        const cr__profile_row *row = &rows[index[at] - 1];
        if (row->op == key->op && row->site == key->site && row->within == key->within &&
            row->copy == key->copy)
            break;
    }
    return &index[at];
}

/* The index is at most half full. */
CR__COLD static bool grow_index(cr_ctx *ctx, cr__profile *p)
{
    size_t n = p->n_index ? 2 * p->n_index : 2 * FEWEST_ROWS;
    if (!cr__list_reserve(ctx, &p->index, n * sizeof(uint32_t)))
        return false;
    p->n_index = n;
    memset(p->index.at, 0, n * sizeof(uint32_t));
    for (uint32_t i = 0; i < p->n_rows; i++)
        *find_place(p, &((cr__profile_row *)p->rows.at)[i]) = i + 1;
    return true;
}

/* The place of the node's row, plus 1; 0 with the error. */
CR__COLD static uint32_t find_row(cr__profile *p, const cr_tensor *x, bool copy)
{
    cr__profile_row key = {
        .op = x->op, .within = x->within, .site = x->site, .copy = copy
    };
    if (2 * (size_t)p->n_rows >= p->n_index && !grow_index(x->ctx, p))
        return 0;
    uint32_t *place = find_place(p, &key);
    if (*place)
        return *place;
    if (!cr__list_reserve(x->ctx, &p->rows, (p->n_rows + (size_t)1) * sizeof key))
        return 0;
    cr__format(key.name, sizeof key.name, "%s%s%s", x->within ? x->within->name : "",
               x->within ? ": " : "", copy ? "copy" : x->op->name);
    ((cr__profile_row *)p->rows.at)[p->n_rows++] = key;
    return *place = p->n_rows;
}

/* ---- before anything is computed ---- */

CR__COLD static bool reserve_slices(cr__plan *plan, cr__profile *p, size_t units)
{
    const size_t team = (size_t)cr__team_size(plan->ctx->team);
    const size_t n = p->n_slices + (plan->n_order + (size_t)1) * team + 1;
    return !p->traces ||
           (cr__list_reserve(plan->ctx, &p->slices, n * sizeof(cr__slice)) &&
            cr__list_reserve(plan->ctx, &p->members,
                             (p->n_members + units) * sizeof(uint32_t)));
}

CR__COLD bool cr__profile_prepare(cr__plan *plan)
{
    cr__profile *p = plan->ctx->profile;
    const uint32_t n = plan->single ? plan->n : plan->n_units;
    if (!cr__list_reserve(plan->ctx, &p->places, n * sizeof(uint32_t)) ||
        !cr__list_reserve(plan->ctx, &p->costs, n * sizeof(cr__member_cost)) ||
        !reserve_slices(plan, p, n))
        return false;
    uint32_t *places = p->places.at;
    for (uint32_t i = 0; i < n; i++) {
        const cr__unit *unit = plan->single ? NULL : &plan->units[i];
        if (unit && unit->kind == CR__UNIT_OLD)
            continue;
        places[i] = find_row(p, unit ? unit->node : plan->nodes[i],
                             unit && unit->kind == CR__UNIT_COPY);
        if (!places[i])
            return false;
    }
    return true;
}

/* ---- what groups cost ---- */

/* The multiplications and additions of a contraction's definition, padding included, or that the
 * operation states. */
CR__COLD static double flops_of(const cr__plan *plan, const cr__unit *unit)
{
    const cr__contract_info *info = unit->op->internal;
    const cr__opaque_info *opaque = unit->op->internal;
    if (unit->kind == CR__UNIT_OPAQUE)
        return opaque && opaque->flops ? opaque->flops(unit->node) : 0;
    if (unit->kind != CR__UNIT_CONTRACT)
        return 0;
    cr__strided a = cr__operand_of(plan, unit, 0), b = cr__operand_of(plan, unit, 1);
    if (!info->conv) {
        cr__gemm_job job = { .dtype = (cr_dtype)unit->dtype };
        info->job(unit->node, &a, &b, &job);
        return 2.0 * (double)unit->shape->numel * (double)job.k;
    }
    cr__conv conv = { .dtype = (cr_dtype)unit->dtype };
    info->conv(unit->node, a.dims, b.dims, &conv);
    double flops = 2.0 * (double)(conv.images * conv.groups * conv.ins * conv.outs);
    for (int d = 0; d < conv.ndim; d++)
        flops *= (double)(conv.out[d] * conv.kernel[d]);
    return flops;
}

/* In nanoseconds, of so many threads; as if there were some limit where none is known. f64 has half
 * as many elements in a register. */
CR__COLD static double limit_of(const cr__profile *p, double bytes, double flops)
{
    double memory = bytes / (p->machine.bandwidth > 0 ? p->machine.bandwidth : 1e10);
    double arithmetic = flops / (p->machine.flops > 0 ? p->machine.flops : 1e11);
    return 1e9 * (memory > arithmetic ? memory : arithmetic);
}

CR__COLD static cr__member_cost cost_of(const cr__plan *plan, const cr__profile *p,
                                        const cr__unit *unit)
{
    size_t in, out;
    cr__member_cost c = { .flops = flops_of(plan, unit) };
    cr__unit_traffic(plan, unit, true, &in, &out);
    c.alone = limit_of(p, (double)in + (double)out, c.flops) *
                  (unit->dtype == CR_F64 && c.flops > 0 ? 2 : 1) +
              1;
    cr__unit_traffic(plan, unit, false, &in, &out);
    c.bytes_in = (double)in, c.bytes_out = (double)out;
    return c;
}

CR__COLD static void add_slice(cr__profile *p, cr__slice slice)
{
    ((cr__slice *)p->slices.at)[p->n_slices++] = slice;
}

/* The group's slice, and what other threads did of it. */
CR__COLD static void trace_groups(cr_ctx *ctx, cr__profile *p, cr__slice slice)
{
    const int team = cr__team_size(ctx->team);
    cr__lane *lanes = p->lanes.at;
    if (p->n_slices + (uint32_t)team >= MOST_SLICES) {
        p->lost++;
        p->n_members = slice.first;
        return;
    }
    add_slice(p, slice);
    slice.kind = CR__SLICE_PART;
    for (int i = 1; i < team; i++) {
        if (!lanes[i].end)
            continue;
        slice.lane = (uint16_t)i;
        slice.begin = lanes[i].begin;
        slice.end = lanes[i].end;
        add_slice(p, slice);
    }
}

/* The n groups from place i of the order, or the plan's nodes, have run since the last ones. */
typedef struct members {
    const cr__plan *plan;
    uint32_t order, group,
        unit; /* the next: of the order, behind its last, and in the group */
} members;

CR__COLD static const cr__unit *next_member(members *m)
{
    while (!m->unit) {
        if (m->order == m->group)
            return NULL;
        m->unit = m->plan->groups[m->plan->order[m->order++]].first;
    }
    const cr__unit *unit = &m->plan->units[m->unit - 1];
    m->unit = unit->next;
    return unit;
}

CR__COLD void cr__profile_begin_groups(cr_ctx *ctx)
{
    ctx->profile->last = cr__nanoseconds();
}

/* Since when, and the time in nanoseconds; the next begins now. */
CR__COLD static double take_time(cr__profile *p, cr__slice *slice)
{
    slice->begin = p->last;
    slice->end = p->last = cr__nanoseconds();
    double nanoseconds = (double)(slice->end - slice->begin);
    p->in_groups += nanoseconds;
    p->groups++;
    return nanoseconds;
}

CR__COLD static void note_member(cr__profile *p, cr__slice *slice, uint32_t place)
{
    if (p->traces && p->n_slices < MOST_SLICES)
        ((uint32_t *)p->members.at)[p->n_members++] = place - 1, slice->n++;
}

CR__COLD void cr__profile_groups(cr__plan *plan, uint32_t i, uint32_t n)
{
    cr__profile *p = plan->ctx->profile;
    cr__profile_row *rows = p->rows.at;
    const uint32_t *places = p->places.at;
    cr__member_cost *costs = p->costs.at;
    cr__slice slice = { .kind = CR__SLICE_GROUP, .first = p->n_members };
    const double nanoseconds = take_time(p, &slice);
    double alone = 0, slower = 1;
    const cr__unit *unit;
    for (members m = { plan, i, i + n, 0 }; (unit = next_member(&m));) {
        const cr__member_cost c = costs[unit - plan->units] = cost_of(plan, p, unit);
        slice.in += c.bytes_in, slice.out += c.bytes_out, slice.flops += c.flops;
        alone += c.alone;
        slower = c.flops > 0 && unit->dtype == CR_F64 ? 2 : slower;
        note_member(p, &slice, places[unit - plan->units]);
    }
    slice.limit = limit_of(p, slice.in + slice.out, slice.flops * slower);
    for (members m = { plan, i, i + n, 0 }; (unit = next_member(&m));) {
        const cr__member_cost c = costs[unit - plan->units];
        cr__cost *to = &rows[places[unit - plan->units] - 1].cost;
        to->calls++;
        to->nanoseconds += nanoseconds * c.alone / alone;
        to->limit += slice.limit * c.alone / alone;
        to->bytes += c.bytes_in + c.bytes_out;
        to->flops += c.flops;
    }
    if (p->traces)
        trace_groups(plan->ctx, p, slice);
    if (p->lanes.at)
        memset(p->lanes.at, 0, p->lanes.capacity);
    p->last = cr__nanoseconds();
}

/* Each takes as long as the others. */
CR__COLD void cr__profile_singles(cr__plan *plan)
{
    cr__profile *p = plan->ctx->profile;
    cr__profile_row *rows = p->rows.at;
    const uint32_t *places = p->places.at;
    cr__slice slice = { .kind = CR__SLICE_GROUP, .first = p->n_members };
    const double nanoseconds = take_time(p, &slice);
    for (uint32_t i = 0; i < plan->n; i++) {
        cr__cost *to = &rows[places[i] - 1].cost;
        note_member(p, &slice, places[i]);
        to->calls++;
        to->nanoseconds += nanoseconds / plan->n;
    }
    if (p->traces)
        trace_groups(plan->ctx, p, slice);
}

/* ---- runs ---- */

CR__COLD void cr__profile_run_begins(cr_ctx *ctx)
{
    if (ctx->profile->depth++ == 0)
        ctx->profile->run_began = cr__nanoseconds();
}

CR__COLD void cr__profile_run_ends(cr_ctx *ctx)
{
    cr__profile *p = ctx->profile;
    if (--p->depth)
        return;
    const int64_t now = cr__nanoseconds();
    p->in_runs += (double)(now - p->run_began);
    p->runs++;
    if (p->traces && p->slices.capacity / sizeof(cr__slice) > p->n_slices &&
        p->n_slices < MOST_SLICES)
        add_slice(p, (cr__slice){ .begin = p->run_began, .end = now });
}

/* ---- the calls ---- */

CR__COLD static bool open_profile(cr_ctx *ctx)
{
    cr__list list = { 0 };
    if (ctx->profile)
        return true;
    if (!cr__list_reserve(ctx, &list, sizeof *ctx->profile))
        return false;
    ctx->profile = list.at; /* zeroed, and kept as lists are */
    cr__measure_machine(ctx, &ctx->profile->machine);
    return true;
}

CR__COLD cr_status cr_profile_start_at(cr_ctx *ctx, cr_profile_opts opts)
{
    if (!ctx)
        return CR_ERR_NULL;
    if (ctx->status != CR_OK || !cr__may_change(ctx, "profile_start") ||
        !open_profile(ctx))
        return ctx->status;
    cr__profile *p = ctx->profile;
    const size_t bytes = (size_t)cr__team_size(ctx->team) * sizeof(cr__lane);
    if (opts.trace && !cr__list_reserve(ctx, &p->lanes, bytes))
        return ctx->status;
    p->traces = opts.trace;
    p->n_rows = p->n_slices = p->n_members = 0;
    p->in_runs = p->in_groups = 0;
    p->runs = p->groups = p->lost = 0;
    if (p->n_index)
        memset(p->index.at, 0, p->n_index * sizeof(uint32_t));
    cr__team_watch(ctx->team, p->traces ? p->lanes.at : NULL);
    ctx->profiles = true;
    p->begun = cr__nanoseconds();
    return CR_OK;
}

CR__COLD cr_status cr_profile_stop(cr_ctx *ctx)
{
    if (!ctx)
        return CR_ERR_NULL;
    if (!cr__may_change(ctx, "profile_stop"))
        return ctx->status;
    if (ctx->profiles)
        ctx->profile->ended = cr__nanoseconds();
    ctx->profiles = false;
    cr__team_watch(ctx->team, NULL);
    return CR_OK;
}

/* ---- the environment ---- */

CR__COLD void cr__profile_open(cr_ctx *ctx)
{
    const char *wish = getenv("CHAINRULE_PROFILE");
    if (!wish || !*wish || strcmp(wish, "0") == 0)
        return;
    const bool table = strcmp(wish, "1") == 0;
    const size_t bytes = table ? 1 : strlen(wish) + 1;
    if (cr_profile_start(ctx, .trace = !table) == CR_OK &&
        cr__list_reserve(ctx, &ctx->profile->file, bytes)) {
        memcpy(ctx->profile->file.at, table ? "" : wish, bytes);
        return;
    }
    cr__log(ctx, "CHAINRULE_PROFILE: %s", ctx->message);
    cr_clear(ctx); /* who has opened the context has not asked for it */
}

CR__COLD void cr__profile_close(cr_ctx *ctx)
{
    cr__profile *p = ctx->profile;
    if (!p)
        return;
    (void)cr_profile_stop(ctx);
    const char *file = p->file.at;
    if (file && ctx->pid == cr__process_id() && !cr__write_profile(ctx, file))
        cr__log(ctx, "CHAINRULE_PROFILE: %.200s cannot be written", file);
    cr__list *lists[] = { &p->rows,    &p->index, &p->places, &p->costs, &p->slices,
                          &p->members, &p->sums,  &p->lanes,  &p->file };
    for (int i = 0; i < CR__COUNT(lists); i++)
        cr__list_free(ctx, lists[i]);
    cr__free(ctx, p);
    ctx->profile = NULL;
}
