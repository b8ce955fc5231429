/* Why does it not train? Fifty layers of sigmoids are diagnosed, and a remedy is proven: tried
 * beside the original from eight seeds. chainrule_flow.h says more. */
#include "lesson.h"
#include <chainrule_flow.h>

static cr_module *deep_stack(cr_ctx *ctx, void *user)
{
    cr_module *net = cr_nn_sequential(ctx);
    (void)user;
    for (int i = 0; i < 50; i++) {
        cr_nn_add(net, cr_nn_linear(ctx, 64, 64));
        cr_nn_add(net, cr_nn_sigmoid(ctx));
    }
    cr_nn_add(net, cr_nn_linear(ctx, 64, 10));
    return net;
}

/* Which of the first ten numbers is the largest? A step's batch is always the same. */
static cr_tensor *loss_of_step(cr_module *net, int64_t step, cr_flow_batch *batch,
                               void *user)
{
    cr_ctx *ctx = user;
    cr_rng before = cr_rng_get(ctx);
    cr_seed(ctx, 1000 + (uint64_t)step);
    cr_tensor *x = cr_randn(ctx, CR_DIMS(32, 64));
    cr_rng_set(ctx, before);
    cr_tensor *target = cr_argmax(cr_slice(x, 1, 0, 10), 1);
    cr_tensor *y = cr_nn_forward(net, x);
    batch->output = y;
    batch->target = target;
    return cr_cross_entropy(y, target);
}

static cr_optim *descent(cr_module *net, void *user)
{
    (void)user;
    return cr_optim_sgd(cr_nn_params(net), 0.02);
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_flow_task task = { .name = "50 layers of sigmoid",
                          .build = deep_stack,
                          .optimiser = descent,
                          .loss = loss_of_step,
                          .user = ctx };
    cr_flow_report *report = cr_flow_diagnose(ctx, &task, .remedies = "batch_norm,clip");
    if (report)
        cr_flow_print(report, stdout);
    cr_flow_report_free(report);
    return finish(ctx);
}
