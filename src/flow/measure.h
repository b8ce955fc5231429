/* What watching and measuring share: a cr_flow, arrays and their numbers, one measurement. */
#ifndef CR_FLOW_MEASURE_H
#define CR_FLOW_MEASURE_H

#include "flow.h"

/* ---- arrays: sizes.c ------------------------------------------------------------------ */

/* The elements of a tensor. data NULL: there are none. */
typedef struct cr__flow_array {
    const void *data;
    cr_dtype dtype;
    int64_t numel;
} cr__flow_array;

bool cr__flow_is_float(cr_dtype dtype);

/* n elements from start on as doubles; and one. */
void cr__flow_load(const cr__flow_array *array, int64_t start, int64_t n, double *to);
double cr__flow_at(const cr__flow_array *array, int64_t i);

/* What has been seen of an array, whose elements come bit by bit. The sum of their squares is
 * squares 4^exponent. */
typedef struct cr__tally {
    cr_dtype dtype;
    int64_t n, zeros, subnormals, infinities, nans;
    double tiny; /* the least normal number of its type */
    double sum, squares, least, most;
    int exponent;
} cr__tally;
void cr__tally_start(cr__tally *t, cr_dtype dtype);
void cr__tally_add(cr__tally *t, const double *v, int64_t n);
cr_flow_size cr__tally_size(const cr__tally *t);

/* Numbers of an array; its histogram too, unless bins is NULL. */
cr_flow_size cr__flow_measure(const cr__flow_array *array, cr_flow_bins *bins);

/* The same of some of the elements, evenly chosen, if there are many. */
cr_flow_size cr__flow_estimate(const cr__flow_array *array);

/* Of a tensor of which there is nothing: CR_FLOW_DISCONNECTED, and numel 0 where nothing was to be
 * expected. */
cr_flow_size cr__flow_no_size(const cr_tensor *x, bool awaited);

/* Two arrays beside each other: NaNs where one is missing, or of another size. */
typedef struct cr__flow_pair {
    double cosine;
    cr__tally difference; /* a - b */
} cr__flow_pair;
cr__flow_pair cr__flow_compare(const cr__flow_array *a, const cr__flow_array *b);

/* Uniform in (0, 1), by a generator of our own, so that the program's draws stay: spectrum.c. */
double cr__flow_draw(uint64_t *state);

/* ---- a flow: watch.c ------------------------------------------------------------------ */

/* A module of the tree, from the step before a measurement to that. */
typedef struct cr__flow_place {
    cr_flow *flow;
    cr_module *module;
    const char *name;
    uint64_t hook;
    int level;
} cr__flow_place;

/* A module that has run, or a tensor that was named; x NULL for these. The flow holds references to
 * the tensors. */
typedef struct cr__flow_event {
    const cr__flow_place *place; /* NULL: a named tensor */
    const char *name;
    cr_tensor *x, *y;
} cr__flow_event;

/* A parameter as it was when it was measured last, if that was in the step before this. */
typedef struct cr__flow_past {
    cr_tensor *tensor;
    cr__flow_array weight, gradient;
} cr__flow_past;

struct cr_flow {
    cr_ctx *ctx; /* NULL until it is known */
    cr_module *module;
    cr_optim *optim;
    cr_params
        given; /* .params of the options: copied, retained; list NULL: none were given */
    int64_t every, first;
    int64_t step; /* watched so far: the number of the next */

    /* While the next step is to be measured: hooks, what they have seen. Freed with `seen`. */
    bool attached;
    cr__flow_place *places; /* the module first */
    int n_places;
    cr__flow_event *events;
    int n_events, events_capacity;
    cr__arena seen;

    /* Of the step before, if that was measured. */
    cr__flow_past *past;
    int n_past;
    cr__arena remembered;
    cr__arena scratch; /* of measurements, empty between them */

    /* By time; each with memory of its own. */
    cr_flow_snapshot *snapshots;
    cr__arena *arenas;
    int n_snapshots, snapshots_capacity;
    int64_t measured; /* how many there were, those that were thinned out counted */
    bool saw_start;   /* the first step was measured */
    bool thorough;    /* the latest measurement was */

    const cr_flow_activation *steepest; /* the last whose largest slope was looked for */
    double steepest_slope;

    cr_flow_report report; /* cr_flow_report_of() */
    cr__arena reported;
};

/* The parameters that are looked at; n 0 if there are none. */
cr_params cr__flow_params(const cr_flow *flow);

/* ---- one measurement: measure.c, measure_params.c, measure_loss.c ---------------------- */

/* A tensor that is measured, and its cotangent. */
typedef struct cr__flow_value {
    cr_tensor *tensor;
    cr_tensor *shown; /* the same value: reading it has no effect on the tensor */
    cr_tensor *delta; /* NULL: none arrived */
    cr__flow_array value, gradient;
    cr_flow_size size, delta_size;
    const cr_flow_bins *bins, *delta_bins;
} cr__flow_value;

enum { CR__FLOW_SOFTMAXES = 64 };

/* A residual addition: the two operands, the second having been made of the first. */
typedef struct cr__flow_branch {
    cr_tensor *skip, *branch;
} cr__flow_branch;

/* What is found in the graph at a boundary. */
typedef struct cr__flow_find {
    cr_tensor *argument; /* that y is an elementwise function of; NULL: it is none */
    cr_tensor *slope;    /* of that function */
    cr__flow_branch sum;
} cr__flow_find;

typedef struct cr__flow_measurement {
    cr_flow *flow;
    cr_ctx *ctx;
    cr__arena *arena;  /* the snapshot's */
    cr__arena scratch; /* the flow's */
    cr_tensor *loss;
    const cr_flow_watch_opts *opts;
    cr_flow_snapshot *out;
    const cr_flow_snapshot *last; /* the one before, NULL if there is none */
    bool thorough;                /* else what changes slowly is taken from the last */
    cr__flow_value *values;       /* each tensor once */
    int n_values;
    int *slots; /* hash table of places in values, plus 1 */
    int n_slots;
    cr__flow_find *finds; /* for each event of the flow */
    int *readers;         /* for each value: modules and sums */
    cr_tensor *softmaxes[CR__FLOW_SOFTMAXES];
    int n_softmaxes;
    double score_scale; /* cr_flow_loss.peak_scale; 0: unknown */
    cr_params params;
    const cr__flow_value *output, *target; /* NULL if unknown */
} cr__flow_measurement;

/* The value of a tensor that was entered; NULL of NULL. */
const cr__flow_value *cr__flow_value_of(const cr__flow_measurement *m,
                                        const cr_tensor *x);

/* Measures a step into out, whose memory is arena's; all or nothing. */
cr_status cr__flow_take(cr_flow *flow, cr_tensor *loss, const cr_flow_watch_opts *opts,
                        cr__arena *arena, cr_flow_snapshot *out);

/* Of a value [samples, ..]: the rms of what differs from the mean over samples, over the rms. */
double cr__flow_spread(const cr__flow_value *y);

void cr__flow_take_params(cr__flow_measurement *m);
void cr__flow_take_loss(cr__flow_measurement *m);

cr__flow_array cr__flow_array_of(cr_tensor *x); /* computes it */
bool cr__flow_take_layers(cr__flow_measurement *m);
void cr__flow_take_linear(cr__flow_measurement *m);

/* Of several passes of the module since the last step, those that do not lead to the loss go, if one
 * does: evaluations in between are no part of the step. False with an error. */
bool cr__flow_drop_other_passes(cr__flow_measurement *m);

/* Of the graph: measure_graph.c. The last: what a way leads to from the loss that does not pass x is
 * as good as found. False if there are too many ways. */
const char *cr__flow_loss_op(cr__flow_measurement *m);
cr_tensor *cr__flow_argument(cr__flow_measurement *m, const cr__flow_event *e);
const char *cr__flow_activation_name(const cr__flow_event *e);
cr__flow_branch cr__flow_find_branch(cr__flow_measurement *m, const cr__flow_event *e);
int cr__flow_find_softmaxes(cr__flow_measurement *m, cr_tensor **list, int capacity);
bool cr__flow_settle(cr__flow_measurement *m, const cr_tensor *x, bool *found);

/* ---- what the graph says of a loss and of attention: measure_scores.c ------------------- */

/* How many elements the largest difference between the output and what leads to no parameter has,
 * over those of the output; NaN if there is none. */
double cr__flow_compared(const cr__flow_measurement *m);

/* The factor of the scores that enter a softmax, x or the node of an attention, times the root of
 * their keys' size; NaN if they are no product. */
double cr__flow_score_scale(const cr_tensor *x);

/* Remembers parameters and gradients for the next step; and what became of them since, into the
 * latest snapshot. */
void cr__flow_remember(cr__flow_measurement *m);
void cr__flow_finish(cr_flow *flow);

#endif
