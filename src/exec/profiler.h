/* What a profile holds: profile.c takes it, profile_text.c tells it. */
#ifndef CR_EXEC_PROFILER_H
#define CR_EXEC_PROFILER_H

#include "exec.h"

/* At most, per second. 0: not known. */
typedef struct cr__machine {
    double flops, bandwidth;
} cr__machine;
void cr__measure_machine(cr_ctx *ctx, cr__machine *machine); /* machine.c */

/* What has been measured of something. limit: what the time would be at the machine's limit. */
typedef struct cr__cost {
    uint64_t calls;
    double nanoseconds, bytes, flops, limit;
} cr__cost;

/* Of one unit in its group; alone: what it would take without the others, at the limit. */
typedef struct cr__member_cost {
    double bytes_in, bytes_out, flops, alone;
} cr__member_cost;

/* An operation recorded at one place, as part of one composite or of none. */
typedef struct cr__profile_row {
    const cr_op *op, *within; /* with site its key: compared, never looked into */
    const char *site;
    bool copy;
    char name[48];
    cr__cost cost;
} cr__profile_row;

/* A slice of the trace, on the lane of a worker. */
typedef enum cr__slice_kind {
    CR__SLICE_RUN,
    CR__SLICE_GROUP,
    CR__SLICE_PART /* what another thread does of the group before it */
} cr__slice_kind;
typedef struct cr__slice {
    int64_t begin, end; /* by the clock */
    double in, out, flops, limit;
    uint32_t first, n; /* of members: places of rows */
    uint16_t lane, kind;
} cr__slice;

typedef struct cr__profile {
    bool traces;
    cr__machine machine;
    int64_t begun,
        ended; /* by the clock; what profiles before this one took is not kept */
    int64_t run_began;
    int64_t last;              /* when the last group ended, or the first began */
    int depth;                 /* of runs: infinities are traced by runs within one */
    double in_runs, in_groups; /* nanoseconds */
    uint64_t runs, groups;
    uint64_t lost; /* groups that the trace has no room for */
    uint32_t n_rows, n_slices, n_members;
    size_t n_index; /* places in the index: a power of two */
    cr__list rows, index;
    cr__list places, costs; /* of each unit of the run: its row, cr__member_cost */
    cr__list slices, members, sums; /* sums: profile_text.c */
    cr__list lanes;                 /* cr__lane of each worker */
    cr__list file; /* of CHAINRULE_PROFILE, a copy: its name; "": the table is wanted */
} cr__profile;

/* ---- where a run tells what it does ---- */

/* Before and behind a run; before it computes: room for what there will be to say, false with the
 * error; before the first group; behind those from place i of the order. Each does nothing if no
 * profile is being taken. */
void cr__profile_run_begins(cr_ctx *ctx);
void cr__profile_run_ends(cr_ctx *ctx);
bool cr__profile_prepare(cr__plan *plan);
void cr__profile_begin_groups(cr_ctx *ctx);
void cr__profile_groups(cr__plan *plan, uint32_t i, uint32_t n);
void cr__profile_singles(cr__plan *plan);

/* The table to stderr, which only the environment can ask for, or the trace to a file of this name:
 * profile_text.c. */
bool cr__write_profile(cr_ctx *ctx, const char *name);

#endif
