/* The context: everything that a program's use of the library holds on to. Its graph part is
 * used by src/graph and the layers above only. */
#ifndef CR_BASE_CONTEXT_H
#define CR_BASE_CONTEXT_H

#include "memory.h"
#include "threads.h"

typedef struct cr__scope {
    struct cr__scope *parent;
    cr_tensor *first; /* its tensors, newest first, linked by scope_next */
    bool remarked;    /* it has been said that it is large */
    size_t nodes;
} cr__scope;

struct cr__leaf;
struct cr__walk;

struct cr_ctx {
    cr__memory memory;
    cr__team *team;
    void (*log)(void *user, const char *line);
    void *log_user;
    bool eager;
    int pid; /* of the process that opened it */
    cr_rng rng;

    cr_status status; /* the pending error */
    bool error_seen;
    char message[1024];

    /* graph */
    uint64_t next_seq;
    int no_grad;
    const char *site;    /* overrides the caller's, inside composites and vjps */
    const cr_op *within; /* the composite being expanded */
    bool in_vjp;         /* inputs are versions: see cr__resolve() */
    cr__scope root, *scope;
    cr__slab nodes, shapes;
    struct cr__leaf *dirty;   /* leaves with pending values or gradients */
    struct cr__walk *walk;    /* the backward walk in progress */

    /* Computes the values of the targets and of everything pending on dirty leaves. The executor,
     * put here by cr_open(). */
    cr_status (*run)(cr_ctx *ctx, cr_tensor *const *targets, int n);
    bool running;

    cr__list walk_lists[4], run_lists[8]; /* memory of walks and runs, kept between them */
};

/* A remark to the log callback, if there is one. */
void cr__log(cr_ctx *ctx, const char *format, ...) CR_FORMAT(2, 3);

cr__team *cr__team_open(cr_ctx *ctx, const cr_options *options);
void cr__team_close(cr_ctx *ctx, cr__team *team);

#endif
