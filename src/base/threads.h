/* Threads that compute. A team is what one context computes with: a pool, or the host's
 * job system, and scratch memory for each worker. */
#ifndef CR_BASE_THREADS_H
#define CR_BASE_THREADS_H

#include "compiler.h"
#include <stddef.h>
#include <stdint.h>

typedef struct cr__team cr__team;

/* Memory of one worker, aligned to 64 bytes; its content is lost between chunks. */
#define CR__SCRATCH_BYTES ((size_t)512 << 10)

/* What a worker has besides: so many rooms of CR__ROOM_BYTES, for what kernels fetch. */
#define CR__ROOMS      4
#define CR__ROOM_BYTES ((size_t)32 << 10)

/* The threads of the team, at least 1. */
int cr__team_size(const cr__team *team);

/* Scratch memory of worker < cr__team_size(). */
void *cr__team_scratch(cr__team *team, int worker);
void *cr__team_room(cr__team *team, int worker, int room);

/* Starts its threads, and touches their memory: jobs need no more of either. */
void cr__team_prepare(cr__team *team);

/* Calls body(arg, chunk, worker) for every chunk below n, on the team's threads, and
 * returns when all are done. n may be much larger than the team. worker is below
 * cr__team_size() and below n, and no two chunks that run at the same time have the same
 * one. With n == 1 the chunk runs on the caller, as worker 0. Bodies do not nest jobs. */
typedef void cr__body(void *arg, int64_t chunk, int worker);
void cr__parallel(cr__team *team, int64_t n, cr__body *body, void *arg);

/* Jobs of the team are given up where *stop is set, which somebody may do at any time: chunks that
 * have not begun are left out. NULL: they are not. What reads `stop` next sees it set, too. */
void cr__team_stop(cr__team *team, const int *stop);

/* When each worker has begun and ended its part of the jobs since all of this was zeroed, in
 * ticks; NULL: nobody wants to know. Of jobs that are one chunk the caller knows. */
typedef struct cr__lane {
    uint64_t begin, end;
} cr__lane;
void cr__team_watch(cr__team *team, cr__lane *lanes);

/* How many threads work that takes one so long is worth telling: 1, up to all of the team. Small
 * work is not worth waking one. Bits must not depend on it. */
int cr__threads_for(double nanoseconds, cr__team *team);

/* How many chunks such work is best cut into, at most `grains`: 1 if only one thread is worth it;
 * else at least one for each, and none of more than 40 us. Nor must bits depend on that. */
int64_t cr__chunks(double nanoseconds, int64_t grains, cr__team *team);
/* For so many threads, the answer of cr__threads_for(). */
int64_t cr__chunks_for(int threads, double nanoseconds, int64_t grains);

/* The part [*begin, *end) of 0..count that chunk i of n owns, cut at multiples of grain. */
static inline void cr__part(int64_t count, int64_t grain, int64_t i, int64_t n,
                            int64_t *begin, int64_t *end)
{
    /* grains * i / n, whose product may be larger than there are numbers */
    int64_t grains = (count + grain - 1) / grain, each = grains / n, odd = grains % n;
    int64_t from = (each * i + odd * i / n) * grain;
    int64_t to = (each * (i + 1) + odd * (i + 1) / n) * grain;
    *begin = from < count ? from : count;
    *end = to < count ? to : count;
}

#endif
