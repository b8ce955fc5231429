/* Takes a profile: what each group costs, and of that each operation by the place where it was
 * recorded. A group's time is divided in the proportion of what its operations would take alone at
 * the machine's limit. A steady step meets groups that are known by what they do, and adds to two
 * numbers of each. All memory that a run needs for this is obtained before it computes. */
#include "profiler.h"

#include "../base/system.h"
#include "program.h"

#include <stdlib.h>

#define MOST_SLICES ((uint32_t)1 << 20)
#define MOST_APART  ((uint32_t)1 << 14) /* that are kept apart */
#define FEWEST      64

/* ---- what is known ---- */

CR__INLINE uint64_t mixed_key(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

/* Records are this large. */
CR__INLINE uint64_t known_key(const cr__known *known, size_t size, uint32_t i)
{
    uint64_t key;
    memcpy(&key, (const char *)known->records.at + i * size, sizeof key);
    return key;
}

/* Where the record's place, plus 1, stands in the index, or is to. */
CR__INLINE uint32_t *find_place(const cr__known *known, size_t size, uint64_t key)
{
    uint32_t *index = known->index.at;
    size_t at = key & (known->n_index - 1);
    while (index[at] && known_key(known, size, index[at] - 1) != key)
        at = (at + 1) & (known->n_index - 1);
    return &index[at];
}

CR__COLD static void fill_index(cr__known *known, size_t size)
{
    if (known->n_index)
        memset(known->index.at, 0, known->n_index * sizeof(uint32_t));
    for (uint32_t i = 0; i < known->n; i++)
        *find_place(known, size, known_key(known, size, i)) = i + 1;
}

/* Room for so many more. The index is at most half full. */
CR__COLD static bool reserve_known(cr_ctx *ctx, cr__known *known, size_t size,
                                   uint32_t more)
{
    const size_t n = (size_t)known->n + more;
    size_t places = known->n_index ? known->n_index : FEWEST;
    if (!cr__list_reserve(ctx, &known->records, n * size))
        return false;
    if (2 * n <= known->n_index)
        return true;
    while (places < 2 * n)
        places *= 2;
    if (!cr__list_reserve(ctx, &known->index, places * sizeof(uint32_t)))
        return false;
    known->n_index = places;
    fill_index(known, size);
    return true;
}

CR__INLINE uint64_t rotated(uint64_t word, int by)
{
    return word << by | word >> (64 - by);
}

/* What the row of an operation is known by. */
CR__INLINE uint64_t row_word(const cr_tensor *x, bool copy)
{
    return (uint64_t)(uintptr_t)x->op ^ rotated((uint64_t)(uintptr_t)x->site, 20) ^
           rotated((uint64_t)(uintptr_t)x->within, 40) ^ copy;
}

/* Its place. */
CR__COLD static uint32_t known_row(cr__profile *p, const cr_tensor *x, bool copy)
{
    cr__profile_row row = { .key = mixed_key(0, row_word(x, copy)), .site = x->site };
    uint32_t *place = find_place(&p->rows, sizeof row, row.key);
    if (*place)
        return *place - 1;
    cr__format(row.name, sizeof row.name, "%s%s%s", x->within ? x->within->name : "",
               x->within ? ": " : "", copy ? "copy" : x->op->name);
    ((cr__profile_row *)p->rows.records.at)[p->rows.n++] = row;
    *place = p->rows.n;
    return *place - 1;
}

/* ---- before anything is computed ---- */

CR__COLD void cr__profile_settle(cr_ctx *ctx)
{
    cr__profile *p = ctx->profile;
    cr__profile_row *rows = p->rows.records.at;
    if (ctx->profiles) /* what is stopped is told the same each time */
        p->tick = 1e9 * cr__seconds_of(ctx, 1);
    for (uint32_t k = 0; k < p->pieces.n; k++) {
        cr__profile_piece *piece = (cr__profile_piece *)p->pieces.records.at + k;
        const cr__profile_member *members =
            (const cr__profile_member *)p->members.at + piece->first;
        const double calls = (double)piece->calls, ticks = (double)piece->ticks;
        for (uint32_t i = 0; i < piece->n; i++) {
            cr__cost *to = &rows[members[i].row].cost;
            to->calls += piece->calls;
            to->nanoseconds += p->tick * ticks * members[i].share;
            to->limit += calls * piece->limit * members[i].share;
            to->bytes += calls * members[i].bytes;
            to->flops += calls * members[i].flops;
        }
        piece->calls = piece->ticks = 0;
    }
}

/* All pieces but those that slices are of. */
CR__COLD static void forget_pieces(cr_ctx *ctx)
{
    cr__profile *p = ctx->profile;
    cr__profile_settle(ctx);
    p->pieces.n = p->n_traced;
    const cr__profile_piece *last =
        (const cr__profile_piece *)p->pieces.records.at + p->n_traced;
    p->n_members = p->n_traced ? last[-1].first + last[-1].n : 0;
    fill_index(&p->pieces, sizeof *last);
}

CR__COLD static bool reserve_slices(cr__plan *plan, cr__profile *p)
{
    const size_t team = (size_t)cr__team_size(plan->ctx->team);
    const size_t n = p->n_slices + (plan->n_order + (size_t)1) * team + 1;
    return !p->traces || cr__list_reserve(plan->ctx, &p->slices, n * sizeof(cr__slice));
}

CR__COLD bool cr__profile_prepare(cr__plan *plan)
{
    cr__profile *p = plan->ctx->profile;
    const uint32_t n = plan->single ? plan->n : plan->n_units;
    if (p->pieces.n - p->n_traced > MOST_APART)
        forget_pieces(plan->ctx);
    return reserve_known(plan->ctx, &p->rows, sizeof(cr__profile_row), n) &&
           reserve_known(plan->ctx, &p->pieces, sizeof(cr__profile_piece),
                         plan->single ? 1 : plan->n_order) &&
           cr__list_reserve(plan->ctx, &p->members,
                            (p->n_members + (size_t)n) * sizeof(cr__profile_member)) &&
           reserve_slices(plan, p);
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
    cr__strided a, b;
    cr__operand_of(plan, unit, 0, &a);
    cr__operand_of(plan, unit, 1, &b);
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

/* The n groups from place i of the order. */
typedef struct members {
    const cr__plan *plan;
    uint32_t order, group,
        unit; /* the next: of the order, behind its last, and in the group */
} members;

CR__INLINE const cr__unit *next_member(members *m)
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

/* All that what an operand costs depends on, places of units being told from that of `first`. Where
 * known values lie differs from step to step: whether two in a row are one is looked at. Maps have
 * the shape of what they read as it is. */
CR__INLINE uint64_t use_word(const cr__plan *plan, const cr__unit *unit, uint32_t k,
                             uint32_t first, const void **before)
{
    const cr__use *use = &plan->uses[unit->uses + k];
    uint64_t word = use->kind | (uint64_t)use->dtype << 2;
    if (use->kind == CR__USE_NONE || use->kind == CR__USE_NUMBER)
        return word;
    if (use->kind == CR__USE_UNIT)
        word |= (uint64_t)(use->unit - first) << 8;
    else
        word |= (uint64_t)(use->at.data == *before) << 6, *before = use->at.data;
    if (use->look) {
        const cr__layout *layout = &plan->looks[use->look - 1].layout;
        for (int d = 0; d < layout->ndim; d++)
            word = rotated(word, 9) ^ (uint64_t)layout->dims[d] ^
                   rotated((uint64_t)layout->strides[d], 31);
    } else if (unit->kind != CR__UNIT_MAP) {
        word ^= (uint64_t)cr__input(unit->node, (int)k)->shape->hash << 32;
    }
    return word;
}

CR__INLINE uint64_t unit_word(const cr__plan *plan, const cr__unit *unit, uint32_t first,
                              const void **before)
{
    const uint32_t place = (uint32_t)(unit - plan->units) - first;
    uint64_t word = unit->shape->hash | (uint64_t)place << 32;
    word = rotated(word, 16) ^ (unit->kind | (uint64_t)unit->dtype << 3 |
                                (uint64_t)(unit->flags & CR__STORED) << 8);
    for (uint32_t k = 0; k < unit->n_uses; k++)
        word = rotated(word, 11) ^ use_word(plan, unit, k, first, before);
    if (CR__UNLIKELY(unit->kind == CR__UNIT_OPAQUE)) {
        const double flops = flops_of(plan, unit);
        uint64_t bits;
        memcpy(&bits, &flops, sizeof bits);
        word ^= bits;
    }
    return mixed_key(word, row_word(unit->node, unit->kind == CR__UNIT_COPY));
}

CR__COLD static cr__profile_piece *begin_piece(cr__profile *p, uint64_t key,
                                               uint32_t *place)
{
    cr__profile_piece *piece = (cr__profile_piece *)p->pieces.records.at + p->pieces.n;
    *piece = (cr__profile_piece){ .key = key, .first = p->n_members };
    *place = ++p->pieces.n;
    return piece;
}

CR__COLD static cr__profile_member *new_member(cr__profile *p, cr__profile_piece *piece)
{
    piece->n++;
    return (cr__profile_member *)p->members.at + p->n_members++;
}

/* What the groups do that m begins with. A share is what the operation would take alone, at first. */
CR__COLD static void describe_piece(cr__profile *p, cr__profile_piece *piece, members m)
{
    double alone = 0, slower = 1;
    const cr__unit *unit;
    while ((unit = next_member(&m)) != NULL) {
        size_t in, out;
        cr__profile_member *to = new_member(p, piece);
        to->row = known_row(p, unit->node, unit->kind == CR__UNIT_COPY);
        to->flops = flops_of(m.plan, unit);
        const bool doubles = unit->dtype == CR_F64 && to->flops > 0;
        cr__unit_traffic(m.plan, unit, true, &in, &out);
        to->share =
            limit_of(p, (double)in + (double)out, to->flops) * (doubles ? 2 : 1) + 1;
        cr__unit_traffic(m.plan, unit, false, &in, &out);
        to->bytes = (double)in + (double)out;
        piece->in += (double)in, piece->out += (double)out, piece->flops += to->flops;
        alone += to->share;
        slower = doubles ? 2 : slower;
    }
    piece->limit = limit_of(p, piece->in + piece->out, piece->flops * slower);
    for (uint32_t i = 0; i < piece->n; i++)
        ((cr__profile_member *)p->members.at)[piece->first + i].share /= alone;
}

/* Those that ran until now began where the last ones were done with. */
static void note_time(cr__profile *p, cr__profile_piece *piece, uint64_t now)
{
    piece->calls++;
    piece->ticks += now - p->last;
    p->in_groups += now - p->last;
    p->groups++;
}

CR__COLD static void add_slice(cr__profile *p, cr__slice slice)
{
    ((cr__slice *)p->slices.at)[p->n_slices++] = slice;
}

/* The groups' slice, and what other threads did of them. */
CR__COLD static void trace_groups(cr_ctx *ctx, cr__profile *p,
                                  const cr__profile_piece *piece, uint64_t now)
{
    const int team = cr__team_size(ctx->team);
    cr__lane *lanes = p->lanes.at;
    cr__slice slice = { .begin = p->last, .end = now, .kind = CR__SLICE_GROUP };
    if (p->n_slices + (uint32_t)team >= MOST_SLICES) {
        p->lost++;
        return;
    }
    slice.piece = (uint32_t)(piece - (const cr__profile_piece *)p->pieces.records.at);
    p->n_traced = slice.piece < p->n_traced ? p->n_traced : slice.piece + 1;
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
    memset(lanes, 0, (size_t)team * sizeof *lanes);
}

void cr__profile_begin_groups(cr_ctx *ctx)
{
    ctx->profile->last = cr__ticks();
}

void cr__profile_groups(cr__plan *plan, uint32_t i, uint32_t n)
{
    const uint64_t now = cr__ticks();
    cr__profile *p = plan->ctx->profile;
    const uint32_t first = plan->groups[plan->order[i]].first - 1;
    const void *before = NULL;
    uint64_t key = n;
    const cr__unit *unit;
    for (members m = { plan, i, i + n, 0 }; (unit = next_member(&m)) != NULL;)
        key = mixed_key(key, unit_word(plan, unit, first, &before));
    uint32_t *place = find_place(&p->pieces, sizeof(cr__profile_piece), key);
    if (CR__UNLIKELY(!*place))
        describe_piece(p, begin_piece(p, key, place), (members){ plan, i, i + n, 0 });
    cr__profile_piece *piece = (cr__profile_piece *)p->pieces.records.at + *place - 1;
    note_time(p, piece, now);
    if (p->traces)
        trace_groups(plan->ctx, p, piece, now);
    /* Finding a known piece takes no longer than a look at the clock: the next one's time has it. */
    p->last = p->traces ? cr__ticks() : now;
}

/* Each takes as long as the others. */
CR__COLD void cr__profile_singles(cr__plan *plan)
{
    const uint64_t now = cr__ticks();
    cr__profile *p = plan->ctx->profile;
    uint64_t key = 0;
    if (plan->n == 0)
        return;
    for (uint32_t i = 0; i < plan->n; i++)
        key = mixed_key(key, row_word(plan->nodes[i], false));
    uint32_t *place = find_place(&p->pieces, sizeof(cr__profile_piece), key);
    if (!*place) {
        cr__profile_piece *piece = begin_piece(p, key, place);
        for (uint32_t i = 0; i < plan->n; i++)
            *new_member(p, piece) =
                (cr__profile_member){ .row = known_row(p, plan->nodes[i], false),
                                      .share = 1 / (double)plan->n };
    }
    cr__profile_piece *piece = (cr__profile_piece *)p->pieces.records.at + *place - 1;
    note_time(p, piece, now);
    if (p->traces)
        trace_groups(plan->ctx, p, piece, now);
}

/* ---- runs ---- */

void cr__profile_run_begins(cr_ctx *ctx)
{
    if (ctx->profile->depth++ == 0)
        ctx->profile->run_began = cr__ticks();
}

void cr__profile_run_ends(cr_ctx *ctx)
{
    cr__profile *p = ctx->profile;
    if (--p->depth)
        return;
    const uint64_t now = cr__ticks();
    p->in_runs += now - p->run_began;
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
    p->rows.n = p->pieces.n = p->n_slices = p->n_members = p->n_traced = 0;
    p->in_runs = p->in_groups = 0;
    p->runs = p->groups = p->lost = 0;
    fill_index(&p->rows, sizeof(cr__profile_row));
    fill_index(&p->pieces, sizeof(cr__profile_piece));
    cr__team_watch(ctx->team, p->traces ? p->lanes.at : NULL);
    ctx->profiles = true;
    p->begun = cr__ticks();
    return CR_OK;
}

CR__COLD cr_status cr_profile_stop(cr_ctx *ctx)
{
    if (!ctx)
        return CR_ERR_NULL;
    if (!cr__may_change(ctx, "profile_stop"))
        return ctx->status;
    if (ctx->profiles) {
        CR__FP_GUARD();
        ctx->profile->ended = cr__ticks();
        cr__profile_settle(ctx);
    }
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
    cr__list *lists[] = { &p->rows.records, &p->rows.index, &p->pieces.records,
                          &p->pieces.index, &p->slices,     &p->members,
                          &p->sums,         &p->lanes,      &p->file };
    for (int i = 0; i < CR__COUNT(lists); i++)
        cr__list_free(ctx, lists[i]);
    cr__free(ctx, p);
    ctx->profile = NULL;
}
