/* What the checks look at: a history of snapshots, and what it says at a glance. */
#ifndef CR_FLOW_EVIDENCE_H
#define CR_FLOW_EVIDENCE_H

#include "flow.h"

/* Kinds of modules, as far as gradient flow tells them apart. */
typedef enum cr__flow_role {
    CR__ROLE_OTHER,
    CR__ROLE_WEIGHTS, /* multiplies by a matrix of its own */
    CR__ROLE_ACTIVATION,
    CR__ROLE_NORM,
    CR__ROLE_EMBEDDING,
    CR__ROLE_DROPOUT
} cr__flow_role;
cr__flow_role cr__flow_role_of(const cr_flow_snapshot *s, int layer);
cr_flow_norm cr__flow_norm_of(const char *kind);

/* The largest matrix among the layer's own parameters, in s->params; -1. */
int cr__flow_matrix_of(const cr_flow_snapshot *s, int layer);
/* Variance of the elements of a parameter. */
double cr__flow_variance(const cr_flow_size *size);

/* What the gradient wins (decades, backwards) between two layers of weights, by cause: medians. */
typedef struct cr__flow_split {
    double activation, weights, norm, other;
} cr__flow_split;

/* The hidden layers in the order of running: those of weights but the last; without weights the
 * named tensors. places[i] is a layer of s, whose y is where delta is taken. */
typedef struct cr__flow_hidden {
    int n;
    const int *places;
    double decades; /* per layer, backwards: Theil and Sen's slope of log10 |delta_y| */
    double total;   /* from the last of them to the first */
    double signal;  /* decades of rms y, forward, from the first to the last */
    cr__flow_split split;
    bool shared; /* one layer, run time and again: recurrence */
} cr__flow_hidden;

/* How the loss went. */
typedef enum cr__flow_course {
    CR__COURSE_UNSEEN, /* too short to say */
    CR__COURSE_LEARNS,
    CR__COURSE_CREEPS, /* falls a little */
    CR__COURSE_STUCK,
    CR__COURSE_WORSE
} cr__flow_course;

typedef struct cr__case {
    cr_ctx *ctx;
    cr__arena *arena;
    const cr_flow_snapshot *snaps, *first, *last;
    int n;
    bool saw_start;
    int64_t steps; /* between the first and the last */

    double early, late; /* loss: medians of three at both ends */
    double worst;
    double chance; /* what a constant output reaches; NaN if it is unknown */
    double fall;   /* (min(early, chance) - late) / |that| */
    cr__flow_course course;
    bool finite_at_first;

    double ratio; /* log10 |update| / |weight| of all parameters, the median in time */
    double ratio_at_first; /* the largest of the first five steps */
    double promised; /* relative fall of the loss per step, to first order: the median */
    bool adaptive;   /* updates whose size the gradient's does not change: Adam */
    double lr;       /* the last that is known; NaN */

    cr_flow_stack stack;
    cr_flow_prediction prediction;
    cr__flow_hidden hidden; /* at the first snapshot */
    cr__flow_hidden hidden_last;

    double steepest;        /* decades that the gradient wins backwards, at most */
    cr_flow_cause blame;    /* of a loss that rises: what is largest beyond the usual */
    double blame_excess;    /* in decades */
    const char *blame_sign; /* the sign of divergence, in words */
} cr__case;

/* NULL-safe statistics. */
double cr__flow_median(double *values, int n); /* sorts values; NaN of none */

/* ---- stack.c ---- */
cr_status cr__flow_find_hidden(cr__case *c, const cr_flow_snapshot *s,
                               cr__flow_hidden *out);
/* The network as theory takes it; false where it is no stack of equal layers. *places has
 * stack->depth members. */
bool cr__flow_find_stack(cr__case *c, const cr_flow_snapshot *s, cr_flow_stack *stack,
                         const int **places);

/* ---- evidence.c ---- */

/* What targets ask of outputs; those of class indices are 0 and 1. */
typedef struct cr__flow_targets {
    double least, most, mean, rms, deviation;
} cr__flow_targets;
cr__flow_targets cr__flow_targets_of(const cr_flow_loss *l);
cr_status cr__flow_gather(cr__case *c);
/* log10 of the joint norm of all parameters' values, fresh gradients or updates. */
typedef enum cr__flow_part {
    CR__PART_WEIGHT,
    CR__PART_GRADIENT,
    CR__PART_UPDATE
} cr__flow_part;
double cr__flow_joint(const cr_flow_snapshot *s, cr__flow_part part);
/* Relative fall of the loss in this step, to first order: sum over parameters of -g . update. */
double cr__flow_promise(const cr_flow_snapshot *s);
bool cr__flow_has_learnt(const cr__case *c);
/* What rises the loss, into c->blame; wants c->stack. */
void cr__flow_find_blame(cr__case *c);
/* A loss that rises, blamed on this: grades v and begins its evidence. */
bool cr__flow_is_blamed(const cr__case *c, cr_flow_verdict *v, cr_flow_cause cause,
                        double factor);
/* Steps too short to see anything. */
bool cr__flow_hardly_moves(const cr__case *c);
/* Whether the parameter changed behind that snapshot; false also where nobody looked. */
bool cr__flow_moved(const cr_flow_param *p);
bool cr__flow_stood(const cr_flow_param *p);
/* The last leaf that changes values: what makes the output; -1. */
int cr__flow_last_leaf(const cr_flow_snapshot *s);
/* The first layer's input; NULL. */
const cr_flow_size *cr__flow_input(const cr_flow_snapshot *s);
bool cr__flow_normed_early(
    const cr_flow_snapshot *s); /* a norm before or behind the first weights */

/* ---- checks_*.c ---- */

/* Looks for a cause; false if it is not there. Writes severity, confidence, what, evidence, and
 * where, step, amount and remedies where they differ from the row's. */
typedef bool cr__check_fn(const cr__case *c, cr_flow_verdict *v);
typedef struct cr__check {
    cr_flow_cause cause;
    cr__check_fn *look;
    const char *remedies, *cure;
    const cr_flow_cause *explains; /* its consequences; ends with CR_FLOW_HEALTHY */
} cr__check;
extern const cr__check cr__checks_loss[], cr__checks_loop[], cr__checks_flow[],
    cr__checks_special[]; /* end with a row without look */

/* "it says .." in v, in the manner of printf. */
CR_FORMAT(2, 3) void cr__flow_what(cr_flow_verdict *v, const char *format, ...);
CR_FORMAT(2, 3) void cr__flow_evidence(cr_flow_verdict *v, const char *format, ...);
/* Adds to the evidence. */
CR_FORMAT(2, 3) void cr__flow_more(cr_flow_verdict *v, const char *format, ...);
void cr__flow_grade(cr_flow_verdict *v, cr_flow_severity severity, double confidence,
                    const cr_flow_snapshot *s, const char *where);

#endif
