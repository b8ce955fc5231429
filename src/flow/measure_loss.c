/* What enters the loss and comes out. */
#include "measure.h"

void cr__flow_take_loss(cr__flow_measurement *m)
{
    cr_flow_loss *l = &m->out->loss;
    const double none = (double)NAN;
    double squares = 0;
    *l = (cr_flow_loss){ .value = cr__flow_at(&m->values[0].value, 0),
                         .scale = none,
                         .op = "",
                         .output = cr__flow_no_size(NULL, false),
                         .target = cr__flow_no_size(NULL, false),
                         .delta = cr__flow_no_size(NULL, false),
                         .learning_rate = cr_optim_lr(m->flow->optim),
                         .linear = none,
                         .repeat = none,
                         .peak = none,
                         .peak_even = none };
    for (int i = 0; i < m->out->n_params; i++) {
        const double size = m->out->params[i].gradient.log10_norm;
        squares += isfinite(size) ? pow(10, 2 * size) : 0;
    }
    l->gradient_log10 = log10(squares) / 2;
    if (m->output) {
        l->output = m->output->size;
        l->delta = m->output->delta_size;
        l->rank_output = cr_ndim(m->output->tensor);
        l->samples = l->rank_output ? cr_size(m->output->tensor, 0) : 1;
        l->classes = l->rank_output > 1 ? cr_size(m->output->tensor, 1) : 1;
    }
    if (m->target) {
        l->target = m->target->size;
        l->rank_target = cr_ndim(m->target->tensor);
    }
}
