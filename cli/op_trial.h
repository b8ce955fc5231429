/* A try of an operation: its first samples recorded, for the shapes of inputs and results and for
 * the expressions of its gradients. Nothing is computed. */
#ifndef CHAINRULE_CLI_OP_TRIAL_H
#define CHAINRULE_CLI_OP_TRIAL_H

#include <chainrule.h>
#include <stddef.h>

enum { TRIAL_INPUTS = 8, TRIAL_SHAPES = 3, TRIAL_TEXT = 256 };

typedef struct op_trial {
    int n_shapes;
    char shapes[TRIAL_SHAPES][TRIAL_TEXT];    /* "[2, 3], [3] -> [2, 3]" */
    char gradients[TRIAL_INPUTS][TRIAL_TEXT]; /* "x: g cos(x)"; "" if there is none */
} op_trial;

void op_try(const cr_op *op, op_trial *trial);

#endif
