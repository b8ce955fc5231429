/* Why does it not train? Fifty layers of sigmoids are diagnosed, and remedies are tried beside the
 * original from eight seeds: residual branches are proven, clipping is not. chainrule_flow.h says
 * more. */
#include "digits.h"
#include "lesson.h"
#include <chainrule_flow.h>

static cr_module *deep_stack(cr_ctx *ctx, void *user)
{
    cr_module *net = cr_nn_sequential(ctx);
    (void)user;
    for (int i = 0; i < 50; i++) {
        cr_nn_add(net, cr_nn_linear(ctx, PIXELS, 64));
        cr_nn_add(net, cr_nn_sigmoid(ctx));
    }
    cr_nn_add(net, cr_nn_linear(ctx, 64, CLASSES));
    return net;
}

/* Thirty-two images of digits. A step's are always the same. */
static cr_tensor *loss_of_step(cr_module *net, int64_t step, cr_flow_batch *batch,
                               void *user)
{
    cr_ctx *ctx = user;
    int64_t from = TESTED + step * 32 % (TRAINED - 32);
    cr_tensor *x = cr_from(ctx, CR_F32, CR_DIMS(32, PIXELS), images[from]);
    cr_tensor *target = cr_from(ctx, CR_I64, CR_DIMS(32), &labels[from]);
    cr_tensor *y = cr_nn_forward(net, x);
    batch->output = y;
    batch->target = target;
    return cr_cross_entropy(y, target);
}

static cr_optim *descent(cr_module *net, void *user)
{
    (void)user;
    return cr_optim_sgd(cr_nn_params(net), 0.05);
}

int main(void)
{
    if (!read_images())
        return 1;
    cr_ctx *ctx = cr_open(NULL);
    cr_flow_task task = { .name = "50 layers of sigmoid",
                          .build = deep_stack,
                          .optimiser = descent,
                          .loss = loss_of_step,
                          .user = ctx };
    cr_flow_report *report = cr_flow_diagnose(ctx, &task, .remedies = "residual,clip");
    if (report)
        cr_flow_print(report, stdout);
    cr_flow_report_free(report);
    return finish(ctx);
}
