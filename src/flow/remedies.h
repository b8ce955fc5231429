/* A training as remedies change it, and the lines of C that say what they changed. */
#ifndef CR_FLOW_REMEDIES_H
#define CR_FLOW_REMEDIES_H

#include "flow.h"

/* ---- edits of the module tree, as C ---- */

/* Modules are named by the places of children from the network down. */
enum { CR__FLOW_LEVELS = 8 };
typedef struct cr__flow_path {
    int place[CR__FLOW_LEVELS];
    int n;
} cr__flow_path;

/* Lines of C, put together edit by edit. In a template "@" stands for the module that the path
 * leads to, without its last place, and "#" for that; "$" for the module with it. Edits that
 * differ in one place alone, by the same amount, become a loop over it. */
typedef struct cr__flow_code {
    char text[sizeof((cr_flow_trial *)0)->code];
    size_t length; /* of all that there would be */
    char held[256];
    cr__flow_path first, last;
    int count, varies, stride;
} cr__flow_code;
void cr__flow_code_edit(cr__flow_code *code, const cr__flow_path *path,
                        const char *format, ...) CR_FORMAT(3, 4);
void cr__flow_code_line(cr__flow_code *code, const char *format, ...) CR_FORMAT(2, 3);
/* The text, complete. */
const char *cr__flow_code_end(cr__flow_code *code);

/* ---- trainings ---- */

/* A copy of a task's network in training, and what remedies make of its steps. */
typedef struct cr__flow_training {
    cr_ctx *ctx;
    const cr_flow_task *task;
    const cr_flow_report
        *found;    /* what the diagnosis said: sizes and names; NULL: nothing yet */
    double amount; /* of a remedy that has a size to choose; 0: its usual one */
    cr__arena arena;
    cr_module *net;
    cr_optim *optim;
    cr_optim *rest;    /* of parameters that the task's optimiser leaves out */
    double loss_scale; /* what the loss is multiplied by */
    double max_norm;   /* to clip gradients at; 0: they are not */
    int64_t warmup;    /* steps in which the learning rate rises; 0: it does not */
    double rate;       /* that it rises to */
    bool clears;       /* gradients, before each step's backward pass */
    cr__flow_code code;
    double target_mean, target_deviation;
    char activation[24]; /* the first hidden one; "" */
    char why_not[100];   /* a remedy does not apply: the reason */
    bool is_so;          /* .. because the network is as it would make it */
} cr__flow_training;

/* When a remedy acts: what changes modules comes before what draws weights, what shifts the places
 * of all modules behind both. */
typedef enum cr__flow_stage {
    CR__FLOW_MODULES,
    CR__FLOW_BRANCHES,
    CR__FLOW_WEIGHTS,
    CR__FLOW_ENDS,
    CR__FLOW_STEPS, /* the optimiser is there */
    CR__FLOW_STAGES
} cr__flow_stage;

typedef bool cr__flow_apply(cr__flow_training *t, const cr_flow_remedy *self);
struct cr_flow_remedy {
    const char *name;
    cr__flow_stage stage;
    cr__flow_apply *apply; /* false: nothing was changed, as why_not or an error says */
    const char *call;      /* the constructor or initialiser as C */
    cr_module *(*make)(cr_ctx *ctx); /* an activation */
    double sizes[6]; /* to choose from up to the first 0; the usual one first */
    const char *if_vanishing,
        *if_exploding; /* why it does not help a gradient that does */
};

/* False, with the reason. */
bool cr__flow_does_not_apply(cr__flow_training *t, const char *format, ...)
    CR_FORMAT(2, 3);

/* ---- remedy_modules.c ---- */

cr__flow_apply cr__flow_change_activations, cr__flow_remove_output_activation,
    cr__flow_place_norms, cr__flow_make_branches, cr__flow_scale_branches,
    cr__flow_zero_branches, cr__flow_draw_weights, cr__flow_fix_up;

/* The kind of the first hidden activation, "" if there is none. */
const char *cr__flow_hidden_activation(cr__flow_training *t);

/* ---- diagnose_spectrum.c ---- */

/* Of a network as it is built from that seed; zeros where it cannot be taken. */
void cr__flow_take_spectrum(cr_ctx *ctx, const cr_flow_task *task, uint64_t seed,
                            cr_flow_spectrum *out);

/* ---- remedies.c ---- */

/* One remedy or several of them that a name joins by "+". */
enum { CR__FLOW_JOINED = 4 };
typedef struct cr__flow_cure {
    const cr_flow_remedy *part[CR__FLOW_JOINED];
    int n;
} cr__flow_cure;

/* The cure that the first length characters of name are; false if there is none. */
bool cr__flow_cure_find(const char *name, size_t length, cr__flow_cure *out);

/* Sizes that the cure may choose from, times its usual one; NULL, and 0, if it has none. */
const double *cr__flow_cure_sizes(const cr__flow_cure *cure, int *n);

/* Builds the task's network and its optimiser from the context's random state, with the cure in
 * its place; cure NULL: as they are. False if the cure changes nothing, which why_not says, and
 * with an error. Either way cr__flow_training_close() ends it. */
bool cr__flow_training_open(cr__flow_training *t, cr_ctx *ctx, const cr_flow_task *task,
                            const cr_flow_report *found, const cr__flow_cure *cure,
                            double amount);
void cr__flow_training_close(cr__flow_training *t);

/* What the training minimises, and what stands behind it in a step. */
cr_tensor *cr__flow_training_loss(const cr__flow_training *t, cr_tensor *loss);
cr_status cr__flow_training_update(cr__flow_training *t, cr_tensor *loss, int64_t step);

/* Why a network cured so still loses or wins |delta| per layer, factor being what a layer
 * multiplies it by: written like snprintf() does. */
void cr__flow_cure_fails(const cr__flow_cure *cure, const cr__flow_training *t,
                         double factor, char *text, size_t capacity);

#endif
