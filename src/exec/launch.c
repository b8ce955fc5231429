/* Computes: group after group in the plan's order, each cut into chunks for the threads. Small
 * groups of maps that stand one behind the other and do not depend on each other make one
 * job. Nothing here asks for memory. */
#include "launch.h"
#include "call_opaque.h"
#include "profiler.h"

/* ---- groups of single elements ---- */

static void run_single(const cr__plan *plan, const cr__unit *unit)
{
    const void *src[4];
    cr_dtype dtypes[4];
    for (uint32_t k = 0; k < unit->n_uses; k++) {
        src[k] = cr__use_start(plan, &plan->uses[unit->uses + k]);
        dtypes[k] = (cr_dtype)plan->uses[unit->uses + k].dtype;
    }
    cr__call_single(unit->node, unit->map, src, dtypes, (int)unit->n_uses);
}

/* ---- programs ---- */

/* A job of programs, one behind the other in chunks of about equal work: end[i] is what the
 * programs up to i weigh. */
typedef struct job {
    cr__program programs[CR__MAX_JOB];
    int64_t end[CR__MAX_JOB], chunks;
    int n;
    cr__team *team;
} job;

/* How many tiles there are, and the i-th: part of a row each. */
static int64_t tiles(const cr__program *p)
{
    int64_t each = (p->length + p->tile - 1) / p->tile;
    return p->numel / p->length * each;
}

static void run_tiles(const cr__program *p, char *scratch, int64_t from, int64_t to)
{
    int64_t each = (p->length + p->tile - 1) / p->tile;
    int64_t row = from / each, at = from % each;
    for (int64_t i = from; i < to; i++) {
        int64_t column = at * p->tile, n = p->length - column;
        cr__run_tile(p, scratch, row * p->length + column, n < p->tile ? n : p->tile);
        if (++at == each)
            at = 0, row++;
    }
}

/* The tile of a program at which so much of all work is done. */
static int64_t tile_at(const job *j, int of, int64_t done)
{
    const int64_t begin = of ? j->end[of - 1] : 0, weight = j->end[of] - begin;
    const int64_t own = done < begin ? 0 : done < j->end[of] ? done - begin : weight;
    return tiles(&j->programs[of]) * own / weight;
}

static void job_chunk(void *arg, int64_t chunk, int worker)
{
    const job *j = arg;
    int64_t from, to;
    int of = 0;
    cr__part(j->end[j->n - 1], 1, chunk, j->chunks, &from, &to);
    while (j->end[of] <= from)
        of++;
    for (; of < j->n && (!of || j->end[of - 1] < to); of++)
        run_tiles(&j->programs[of], cr__team_scratch(j->team, worker),
                  tile_at(j, of, from), tile_at(j, of, to));
}

/* Work of groups that may share a job, in nanoseconds. */
#define SMALL      200e3
#define NS_PER_MAP 0.05

static bool is_small(const cr__group *group)
{
    return !group->root && !cr__is_row_program(group) && group->shape->numel > 1 &&
           NS_PER_MAP * (double)group->shape->numel * (group->count + 1) < SMALL;
}

/* Marks the slots that a group reads and writes as those of the job; false, and nothing is
 * marked, if groups of the job write them, or read what it writes. */
static bool joins_job(const cr__plan *plan, const cr__group *group, uint32_t number)
{
    for (int mark = 0; mark < 2; mark++)
        for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
            const cr__unit *unit = &plan->units[at - 1];
            cr__slot *own = unit->slot ? &plan->slots[unit->slot - 1] : NULL;
            if (own && !mark && (own->read_in == number || own->written_in == number))
                return false;
            for (uint32_t k = 0; k < unit->n_uses; k++) {
                const cr__use *use = &plan->uses[unit->uses + k];
                uint32_t slot =
                    use->kind == CR__USE_UNIT ? plan->units[use->unit].slot : 0;
                if (slot && !mark && plan->slots[slot - 1].written_in == number)
                    return false;
                if (slot && mark)
                    plan->slots[slot - 1].read_in = number;
            }
            if (own && mark)
                own->written_in = number;
        }
    return true;
}

/* Emits the groups from place i of the order that make one job; how many. */
static uint32_t make_job(cr__plan *plan, uint32_t i, job *j)
{
    const cr__list *list = &plan->ctx->run_lists[CR__PROGRAM];
    const bool shares = cr__team_size(j->team) > 1;
    const cr__group *group = &plan->groups[plan->order[i]], *next;
    size_t used = 0;
    double cost = 0;
    int64_t grains = 0;
    for (j->n = 0;; group = next) {
        cr__program *p = &j->programs[j->n];
        cr__emit(p, plan, group, (char *)list->at + used);
        used += cr__program_bytes(group);
        cost += cr__program_cost(p);
        grains += tiles(p);
        j->end[j->n] = (int64_t)cost + 1 + j->n;
        uint32_t at = i + (uint32_t)++j->n;
        if (!shares || j->n == CR__MAX_JOB || at == plan->n_order || !is_small(group))
            break;
        next = &plan->groups[plan->order[at]];
        if (!is_small(next) || used + cr__program_bytes(next) > list->capacity)
            break;
        if (j->n == 1)
            (void)joins_job(plan, group, i + 1);
        if (!joins_job(plan, next, i + 1))
            break;
    }
    if (j->n == 1)
        j->end[0] = grains; /* may be many */
    j->chunks = cr__chunks(cost, grains, j->team);
    cr__verify_job(plan, i, (uint32_t)j->n);
    return (uint32_t)j->n;
}

static uint32_t run_maps(cr__plan *plan, uint32_t i)
{
    job j;
    j.team = plan->ctx->team;
    uint32_t taken = make_job(plan, i, &j);
    if (i + taken > plan->overwrites)
        cr__team_stop(j.team, NULL);
    cr__parallel(j.team, j.chunks, job_chunk, &j);
    return taken;
}

/* ---- all groups ---- */

static bool run_root(cr__plan *plan, const cr__group *group)
{
    const cr__unit *unit = &plan->units[group->root - 1];
    switch (unit->kind) {
    case CR__UNIT_REDUCE:
        cr__run_reduction(plan, group);
        return true;
    case CR__UNIT_CONTRACT:
        cr__run_product(plan, group, (cr__share){ 0, 1 });
        return true;
    case CR__UNIT_COPY:
        cr__run_copy(plan, unit);
        return true;
    default:
        return cr__run_opaque(plan, unit);
    }
}

/* What can be checked is, before anything is computed. */
static bool check_operands(const cr__plan *plan)
{
    bool passed = true;
    for (uint32_t i = 0; passed && i < plan->n_units && plan->any_opaque; i++) {
        const cr__unit *unit = &plan->units[i];
        if ((unit->kind == CR__UNIT_OPAQUE || unit->kind == CR__UNIT_MADE) &&
            !(unit->flags & CR__CAN_FAIL))
            passed = cr__check_opaque(plan, unit);
    }
    return passed;
}

/* The group at place i of the order, and those that it shares a job or parts with; *taken: how
 * many. */
static bool run_group(cr__plan *plan, uint32_t i, uint32_t *taken)
{
    const cr__group *group = &plan->groups[plan->order[i]];
    *taken = 1;
    if (group->together)
        *taken = cr__run_by_parts(plan, i);
    else if (group->root) {
        if (!run_root(plan, group))
            return false;
        cr__trace_unit(plan, &plan->units[group->root - 1]);
    } else if (cr__is_row_program(group)) {
        cr__run_rows(plan, group, (cr__share){ 0, 1 });
        for (uint32_t at = group->first; at; at = plan->units[at - 1].next)
            if (plan->units[at - 1].role != CR__EACH)
                cr__trace_unit(plan, &plan->units[at - 1]);
    } else if (group->shape->numel > 1)
        *taken = run_maps(plan, i);
    else if (group->shape->numel == 1)
        for (uint32_t at = group->first; at; at = plan->units[at - 1].next) {
            run_single(plan, &plan->units[at - 1]);
            cr__trace_unit(plan, &plan->units[at - 1]);
        }
    return true;
}

/* Whether the run goes on with place i of the order, or ends there well. Until it writes over old
 * values it can be cancelled, in the midst of a group too; but a kernel of an operation's own may be
 * one of many parts, of which the later ones rely on what the earlier ones have done. */
static bool goes_on(cr__plan *plan, uint32_t i)
{
    cr_ctx *ctx = plan->ctx;
    if (i <= plan->overwrites && cr__is_cancelled(ctx))
        return false;
    if (i == plan->n_order)
        return true;
    const uint32_t root = plan->groups[plan->order[i]].root;
    const bool whole = root && plan->units[root - 1].kind == CR__UNIT_OPAQUE;
    cr__team_stop(ctx->team, whole || i >= plan->overwrites ? NULL : &ctx->cancelled);
    return i != plan->commits || ctx->status == CR_OK;
}

/* A kernel, or the host's parallel_for, may have left an error in the context, by using it
 * although it is busy. That fails the run, but not behind the commit point: there values may
 * have been overwritten, and the run goes on to its end with the error pending. */
bool cr__launch(cr__plan *plan)
{
    cr_ctx *ctx = plan->ctx;
    ctx->busy = "a kernel, or parallel_for";
    bool done = check_operands(plan) && goes_on(plan, 0);
    if (CR__UNLIKELY(ctx->profiles))
        cr__profile_begin_groups(ctx);
    for (uint32_t i = 0, taken; done && i < plan->n_order;) {
        done = run_group(plan, i, &taken);
        if (CR__UNLIKELY(ctx->profiles))
            cr__profile_groups(plan, i, taken);
        i += taken;
        done = done && goes_on(plan, i);
    }
    cr__team_stop(ctx->team, NULL);
    ctx->busy = NULL;
    return done && (ctx->status == CR_OK || plan->overwrites < plan->n_order);
}
