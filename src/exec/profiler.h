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

/* Records that begin with what they are known by, 64 bits that no two have in common, and where
 * they are found by it: places plus 1 in a power of two of places. */
typedef struct cr__known {
    cr__list records, index;
    uint32_t n;
    size_t n_index;
} cr__known;

/* An operation recorded at one place, as part of one composite or of none. */
typedef struct cr__profile_row {
    uint64_t key;
    const char *site;
    char name[48];
    cr__cost cost;
} cr__profile_row;

/* Groups that ran between two looks at the clock, and all that were like them: what they do is
 * found out once. A run adds to calls and ticks, which are divided among rows when somebody wants
 * to read these. */
typedef struct cr__profile_piece {
    uint64_t key;
    uint64_t calls, ticks;
    double in, out, flops, limit; /* of one call */
    uint32_t first, n;            /* of members: its operations */
} cr__profile_piece;

/* An operation's share of the piece's time, and of the rest. */
typedef struct cr__profile_member {
    uint32_t row;
    double share, bytes, flops;
} cr__profile_member;

/* A slice of the trace, on the lane of a worker. */
typedef enum cr__slice_kind {
    CR__SLICE_RUN,
    CR__SLICE_GROUP,
    CR__SLICE_PART /* what another thread does of the group before it */
} cr__slice_kind;
typedef struct cr__slice {
    uint64_t begin, end; /* ticks */
    uint32_t piece;      /* of groups and parts */
    uint16_t lane, kind;
} cr__slice;

/* Times are in ticks, of which `tick` is how many nanoseconds one takes, as far as is known. */
typedef struct cr__profile {
    bool traces;
    cr__machine machine;
    double tick;
    uint64_t begun, ended; /* what profiles before this one took is not kept */
    uint64_t run_began;
    uint64_t last; /* when the last group ended, or the first began */
    int depth;     /* of runs: infinities are traced by runs within one */
    uint64_t in_runs, in_groups;
    uint64_t runs, groups;
    uint64_t lost; /* groups that the trace has no room for */
    uint32_t n_slices, n_members;
    uint32_t n_traced; /* pieces that slices are of are among the first of so many */
    cr__known rows, pieces;
    cr__list slices, members, sums; /* sums: profile_text.c */
    cr__list lanes;                 /* cr__lane of each worker */
    cr__list file; /* of CHAINRULE_PROFILE, a copy: its name; "": the table is wanted */
} cr__profile;

/* What pieces took becomes that of rows. */
void cr__profile_settle(cr_ctx *ctx);

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
