/* Threads that compute. A team is what one context computes with: a pool, or the host's
 * job system, and scratch memory for each chunk of work. */
#ifndef CR_BASE_THREADS_H
#define CR_BASE_THREADS_H

#include "compiler.h"
#include <stddef.h>
#include <stdint.h>

typedef struct cr__team cr__team;

/* Memory of one chunk of work, aligned to 64 bytes; its content is lost between jobs. */
#define CR__SCRATCH_BYTES ((size_t)512 << 10)

/* How many chunks a job is best cut into: the threads of the team, at least 1. */
int cr__team_size(const cr__team *team);

/* Scratch memory of chunk i < cr__team_size(). */
void *cr__team_scratch(cr__team *team, int i);

/* Calls body(arg, i) for every i below n, on the team's threads, and returns when all are
 * done. With n == 1 it runs on the caller. Bodies do not nest jobs. */
typedef void cr__body(void *arg, int i);
void cr__parallel(cr__team *team, int n, cr__body *body, void *arg);

/* The part [*begin, *end) of 0..count that chunk i of n owns, cut at multiples of grain.
 */
static inline void cr__part(int64_t count, int64_t grain, int i, int n, int64_t *begin,
                            int64_t *end)
{
    int64_t grains = (count + grain - 1) / grain;
    int64_t from = grains * i / n * grain, to = grains * (i + 1) / n * grain;
    *begin = from < count ? from : count;
    *end = to < count ? to : count;
}

#endif
