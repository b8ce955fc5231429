/* What the files of src/optim share: a rule, which is all that one optimiser differs in from
 * another, what a rule's update is given, and lists of parameters. */
#ifndef CR_OPTIM_RULE_H
#define CR_OPTIM_RULE_H

#include "../base/memory.h"

enum {
    CR__RULE_STATES = 2,  /* the most tensors of state that a parameter has */
    CR__RULE_FACTORS = 2, /* the most factors that follow from the count of steps */
};

/* One of a rule's settings: a member of its settings struct that is a double (or, count
 * being above 0, cr_reals of so many), in which zero stands for the initial value. */
typedef struct cr__setting {
    const char *name;
    size_t offset;
    int count;
    double initial[2];
    double least, below;
    const char *range; /* the same in words */
} cr__setting;

/* A parameter and its state; the optimiser holds a reference to each. */
typedef struct cr__optim_slot {
    cr_tensor *param, *state[CR__RULE_STATES];
    int counter;
    /* During a step: the parameter's value and gradient, or NULL, the factors, and the new values.
     * Of bf16 and f16 all are f32. */
    cr_tensor *value, *grad, *const *factors, *next_param, *next_state[CR__RULE_STATES];
} cr__optim_slot;

typedef struct cr__rule {
    const char *name;
    const cr__setting *settings; /* ends with a row whose name is NULL */
    size_t settings_size;
    /* What is wrong with settings that are each in their range; NULL: nothing. May be
     * NULL. */
    const char *(*check)(const void *settings);
    /* How many tensors of state, zeros at first, these settings need. */
    int (*states)(const void *settings);
    /* Scalars that follow from the number t of this step, which is f64; they are cast to
     * dtype. NULL: there are none, and nothing is counted. */
    void (*factors)(const cr_optim *optim, cr_tensor *t, cr_dtype dtype,
                    cr_tensor **factors);
    /* Records s->next_param and s->next_state. */
    void (*update)(const cr_optim *optim, cr__optim_slot *s);
} cr__rule;

/* Steps counted for the parameters that always had a gradient at the same time. */
typedef struct cr__optim_counter {
    cr_tensor *count; /* rank 0; the optimiser holds a reference */
    /* During a step: */
    int stepping, resting; /* how many of its parameters have a gradient, and have none */
    int split;             /* the counter of those that rest from now on; 0: none */
    cr_tensor *next;
    cr_tensor *factors[2][CR__RULE_FACTORS]; /* for f32 and f64 */
} cr__optim_counter;

struct cr_optim {
    cr_ctx *ctx;
    const cr__rule *rule;
    const char *site;
    double lr;
    void *settings; /* the rule's, resolved */
    int states;
    int n, n_counters;
    cr__optim_slot *slots;
    cr__optim_counter *counters; /* room for n */
    cr_params view;              /* of the slots' parameters, for who asks */
    cr_param *rows;
};

/* A new optimiser by a rule; settings are copied. */
cr_optim *cr__optim_new(const cr__rule *rule, const cr_params *params, double lr,
                        const void *settings, const char *site);

/* The context of a list that can be used: no error is pending, and it and its tensors are
 * there and of one context. NULL with the error otherwise, or without a context. */
cr_ctx *cr__params_ctx(const cr_params *params, const char *what, const char *site);

/* The context whose errors are the list's; NULL if there is none. */
cr_ctx *cr__params_owner(const cr_params *params);

/* What a parameter, the i-th of its list, is called in messages, in the caller's buffer. */
const char *cr__param_text(const cr_param *param, int i, char *text, size_t size);

#endif
