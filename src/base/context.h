/* The context: everything that a program's use of the library holds on to. Its graph part
 * is used by src/graph and the layers above only. */
#ifndef CR_BASE_CONTEXT_H
#define CR_BASE_CONTEXT_H

#include "fp.h"
#include "memory.h"
#include "threads.h"

struct cr__leaf;

typedef struct cr__scope {
    struct cr__scope *parent;
    cr_tensor *first; /* its tensors, newest first, by their links */
    uint64_t since;   /* the context's next_seq when it began: outer scopes' are older */
    bool ending;
    size_t count; /* of its tensors */
    size_t reads; /* runs that somebody asked for while it was the present one */
} cr__scope;

#define CR__ATTR_SLABS 6

/* What runs have done: cr_get_stats(). */
typedef struct cr__counts {
    uint64_t runs, groups, nodes, ticks;
} cr__counts;

/* What every node touches comes first. */
struct cr_ctx {
    cr_status status; /* the pending error */
    bool error_seen;
    bool spares; /* the pending error concerns a read: what is pending on leaves stays */
    bool eager;
    bool check;    /* memory of dead nodes is not used again */
    bool running;  /* a run is in progress */
    bool walking;  /* a backward walk is */
    bool unsaves;  /* it takes back what nodes save as soon as their vjps were called */
    bool in_state; /* the library's floating point state has been entered: cr__state */
    bool remarked; /* it has been said that a scope is large */
    int no_grad;
    const char *busy; /* the host's code that is being called and must not change the
                         context: "a kernel", ...; NULL: none. See cr__may_change() */

    /* graph */
    uint64_t next_seq;
    const char *site;    /* overrides the caller's, inside composites and vjps */
    const cr_op *within; /* the composite being expanded */
    cr__scope *scope;
    int64_t n_nodes;              /* that somebody refers to */
    int64_t n_pending;            /* nodes that count as readers: cr_tensor.pending */
    cr_tensor *dying;             /* released, but its inputs not yet */
    cr_tensor *dead, **last_dead; /* nodes whose memory may be used again, in order of
                                     death; see cr__node_memory() */
    size_t n_dead;
    cr__memory memory;

    cr__scope root;
    cr__scope *floor; /* scopes from here outwards were not opened by the vjp or expansion
                         in progress, and are not its to end; NULL: none is */
    uint64_t recent;  /* the first seq that is recent: see cr__recent() */
    int64_t retained; /* references given by cr_retain(), and not released */
    int64_t keeps;    /* of all tensors: how often each is to be moved outwards */
    int64_t given_back; /* tensors that scopes list and do not hold: see cr_release() */
    cr__slab nodes, shapes, leaves, scopes, attrs[CR__ATTR_SLABS];
    cr__list shape_table; /* all shapes, by their hash: see cr__shape_of() */
    size_t shape_buckets, n_shapes;
    struct cr__leaf *dirty; /* with pending values or gradients */
    struct cr__leaf *accumulated, **last_accumulated; /* whose hooks are due: hooks.c */
    uint64_t next_hook;
    cr_tensor
        *carried; /* by it the last walk has come into an earlier step's graph; not */
    uint64_t carried_seq; /* counted: its seq, if it is there */
    bool traces;          /* infinities and NaNs, to where they come from: blame.c */
    bool blames;          /* a run is being repeated, operation by operation */
    struct {
        uint64_t since, until;
    } walks[8]; /* the seqs that the last walks have made */
    int next_walk;
    /* CR_RECOMPUTE: recompute.c */
    cr__list regions;
    size_t n_regions, many_regions;
    int recompute_depth;
    bool recomputes;  /* what is recorded is marked */
    bool in_hooks;    /* hooks are being called */
    size_t n_unsaved; /* nodes listed in unsaved: see cr__unsave_soon() */
    /* Memory of walks, of what runs are asked for, and of runs, kept between them. */
    cr__list walk_lists[6], unsaved, targets, run_lists[16], sort_list;
    cr__list plans; /* of earlier runs: exec/recall.c; of which there are so many bytes */
    size_t plan_bytes;

    bool profiles; /* a profile is being taken; it, or the last one: exec/profiler.h */
    struct cr__profile *profile;
    int cancelled;     /* by cr_cancel(), whoever calls it: atomic */
    cr__counts counts; /* since opened_ticks, when the clock said `opened` */
    uint64_t opened_ticks;
    int64_t opened;

    cr__team *team;
    int pid; /* of the process that opened it */
    cr_rng rng;
    void (*log)(void *user, const char *line);
    void *log_user;
    char message[1024];
    char texts[4][320]; /* see cr__dims_text() */
    int next_text;
};

/* CR__FP_GUARD() where it may have been entered already, of which the context knows: a
 * walk or a composite records much. */
typedef struct cr__state {
    cr_ctx *ctx; /* NULL: nothing was entered */
    uint64_t host;
} cr__state;
CR__INLINE cr__state cr__state_enter(cr_ctx *ctx, bool needed)
{
    if (!needed || ctx->in_state)
        return (cr__state){ NULL, 0 };
    ctx->in_state = true;
    return (cr__state){ ctx, cr__fp_enter() };
}
CR__INLINE void cr__state_end(const cr__state *state)
{
    if (!state->ctx)
        return;
    state->ctx->in_state = false;
    cr__fp_leave(state->host);
}
#define CR__STATE_GUARD(ctx, needed)                                           \
    __attribute__((cleanup(cr__state_end), unused)) const cr__state cr__host = \
        cr__state_enter(ctx, needed)

/* What only fails stands apart. */
CR__COLD cr_status cr_fail(cr_ctx *ctx, cr_status status, const char *format, ...);

/* False with the error if the host's code is being called in the midst of something. */
void cr__fail_busy(cr_ctx *ctx, const char *what);
CR__INLINE bool cr__may_change(cr_ctx *ctx, const char *what)
{
    if (CR__LIKELY(!ctx->busy))
        return true;
    cr__fail_busy(ctx, what);
    return false;
}

/* True with the error if the run is to end because of cr_cancel(), which is over with that. */
void cr__fail_cancelled(cr_ctx *ctx);
CR__INLINE bool cr__is_cancelled(cr_ctx *ctx)
{
    if (CR__LIKELY(!__atomic_load_n(&ctx->cancelled, __ATOMIC_RELAXED)))
        return false;
    cr__fail_cancelled(ctx);
    return true;
}

/* Ticks of as long as the context is open, by the clock. */
double cr__seconds_of(const cr_ctx *ctx, uint64_t ticks);

/* A remark to the log callback, if there is one. */
void cr__log(cr_ctx *ctx, const char *format, ...) CR_FORMAT(2, 3);

/* With what the options ask for: threads of its own, a pool, or the host's job system.
 * NULL when memory is short. The team's memory is the context's. */
cr__team *cr__team_open(cr_ctx *ctx, const cr_options *options);
void cr__team_close(cr_ctx *ctx, cr__team *team);

#endif
