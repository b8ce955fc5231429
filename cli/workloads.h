/* Graphs of the usual kinds, built in: what `chainrule plan` shows plans of, and what stored
 * plans are of. Public header only. */
#ifndef CLI_WORKLOADS_H
#define CLI_WORKLOADS_H

#include <chainrule.h>

enum { MOST_LEAVES = 64 };

typedef struct stage stage;

typedef struct workload {
    const char *name, *doc;
    void (*open)(stage *s);        /* makes inputs and leaves */
    cr_tensor *(*value)(stage *s); /* the scalar that is differentiated; NULL: none is */
    enum { NO_OPTIM, SGD, ADAM } optim;
    double clip; /* of the norm of gradients; 0: none */
} workload;

/* A workload set up in a context. */
struct stage {
    const workload *work;
    cr_ctx *ctx;
    int shrink;           /* sizes of 64 and more are divided by it */
    cr_tensor *x, *c, *y; /* data, weights of the output, labels */
    cr_param leaves[MOST_LEAVES];
    cr_params params;
    cr_optim *optim;
    cr_tensor *targets[MOST_LEAVES + 1]; /* of the step that was recorded */
    int n_targets;
};

extern const workload workloads[]; /* name NULL: the end */

const workload *workload_find(const char *name);

/* Errors are the context's. */
void stage_open(stage *s, const workload *work, cr_ctx *ctx, int shrink);
void stage_close(stage *s);

/* Records forward, backward and update, in a scope of the caller. Computing the targets
 * computes all of it. */
void stage_record(stage *s);

/* For workloads of others: a size, shrunk; known numbers; a parameter; so many labels. */
int stage_size(const stage *s, int n);
cr_tensor *stage_data(stage *s, cr_dims dims, const char *name);
cr_tensor *stage_leaf(stage *s, cr_dims dims, const char *name);
cr_tensor *stage_labels(stage *s, int n, int classes);

#endif
