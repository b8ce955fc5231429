/* What the recorded graph says of shapes in a loss and of scales in attention. Walks are chains of
 * a few nodes, or go over a few hundred. */
#include "measure.h"

enum {
    CHAIN = 24,       /* nodes in a row */
    LOSS_PARTS = 256, /* nodes between the loss and the output */
};

static bool is_named(const cr_tensor *x, const char *name)
{
    const cr_op *op = cr_op_of(x);
    return op && strcmp(op->name, name) == 0;
}

/* ---- shapes that broadcast ---- */

/* Whether a chain of operations on one tensor leads from x down to `end`. */
static bool leads_to(const cr_tensor *x, const cr_tensor *end)
{
    for (int i = 0; i < CHAIN && x; i++) {
        if (x == end)
            return true;
        if (cr_input_count(x) != 1)
            return false;
        x = cr_input(x, 0);
    }
    return false;
}

/* A map of two, of which one is the output, stretched, and the other needs no gradient and is
 * stretched too. */
static bool is_stretched_pair(const cr_tensor *x, const cr_tensor *output)
{
    if (cr_input_count(x) != 2 || !cr_input(x, 0) || !cr_input(x, 1))
        return false;
    for (int i = 0; i < 2; i++) {
        const cr_tensor *a = cr_input(x, i), *b = cr_input(x, 1 - i);
        if (is_named(a, "expand") && leads_to(a, output) && !cr_needs_grad(b) &&
            is_named(b, "expand") && cr_numel(cr_input(b, 0)) > 1 &&
            cr_numel(x) > cr_numel(output))
            return true;
    }
    return false;
}

double cr__flow_compared(const cr__flow_measurement *m)
{
    const cr_tensor *nodes[LOSS_PARTS] = { m->loss };
    const cr_tensor *output = m->output ? m->output->tensor : NULL;
    int n = 1;
    for (int i = 0; i < n && output; i++) {
        if (is_stretched_pair(nodes[i], output))
            return (double)cr_numel(nodes[i]) / (double)cr_numel(output);
        for (int k = 0; k < cr_input_count(nodes[i]) && nodes[i] != output; k++) {
            const cr_tensor *in = cr_input(nodes[i], k);
            bool known = !in;
            for (int j = 0; j < n && !known; j++)
                known = nodes[j] == in;
            if (!known && n < LOSS_PARTS)
                nodes[n++] = in;
        }
    }
    return output ? 1 : (double)NAN;
}

/* ---- scores ---- */

/* The number that a node multiplies with; 1 if it does something else. */
static double factor_of(const cr_tensor *x)
{
    for (int i = 0; i < 2 && cr_input_count(x) == 2; i++) {
        const cr_arg number = cr_operand(x, i);
        const double value = number.kind == CR_ARG_REAL  ? number.v.real
                             : number.kind == CR_ARG_INT ? (double)number.v.i
                                                         : (double)NAN;
        if (is_named(x, "mul") && !isnan(value))
            return value;
        if (is_named(x, "div") && i == 1 && !isnan(value))
            return 1 / value;
    }
    return 1;
}

/* Down a chain of views, factors and masks, whose first input that is computed goes on, to a
 * product or something else; *factor is multiplied with what is met. */
static const cr_tensor *follow_scores(const cr_tensor *x, double *factor)
{
    for (int i = 0; i < CHAIN && x && cr_op_of(x); i++) {
        const cr_op *op = cr_op_of(x);
        if (op->kind != CR_OP_VIEW && op->kind != CR_OP_MAP)
            return x;
        const cr_tensor *next = NULL;
        for (int k = 0; k < cr_input_count(x) && !next; k++)
            if (cr_input(x, k) && cr_op_of(cr_input(x, k)) &&
                cr_needs_grad(cr_input(x, k)))
                next = cr_input(x, k);
        *factor *= factor_of(x);
        x = next;
    }
    return x;
}

static double scale_of_product(const cr_tensor *x, double factor)
{
    const cr_tensor *product = follow_scores(x, &factor);
    if (!product || !cr_op_of(product) || cr_op_of(product)->kind != CR_OP_CONTRACT)
        return (double)NAN;
    follow_scores(cr_input(product, 0), &factor);
    follow_scores(cr_input(product, 1), &factor);
    const cr_tensor *q = cr_input(product, 0);
    return fabs(factor) * sqrt((double)cr_size(q, cr_ndim(q) - 1));
}

double cr__flow_score_scale(const cr_tensor *x)
{
    const cr_op *op = cr_op_of(x), *softmax = cr_op_find("softmax");
    if (op && strcmp(op->name, "attention") == 0) {
        const char *attrs = cr_attrs(x);
        for (const cr_attr *row = op->attrs; attrs && row && row->name; row++)
            if (strcmp(row->name, "scale") == 0) {
                double scale;
                memcpy(&scale, attrs + row->offset, sizeof scale);
                return scale * sqrt((double)cr_size(cr_input(x, 0), -1));
            }
        return (double)NAN;
    }
    for (int i = 0; i < CHAIN && x && cr_op_within(x) == softmax; i++)
        x = cr_input_count(x) > 0 ? cr_input(x, 0) : NULL;
    return x ? scale_of_product(x, 1) : (double)NAN;
}
