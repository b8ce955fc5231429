/* Fifty layers of sigmoids: the gradient of the first layer is a product of fifty
 * factors, each of them at most 1/4 times a small weight. How small it gets, and why a
 * plain print says 0.000000. */
#include "lesson.h"

static void show(const char *layer, cr_tensor *weight)
{
    gradient_norm g = norm_of_gradient(weight);
    const float *values = cr_data(cr_grad(weight));
    float sum = 0;
    for (int64_t i = 0; values && i < cr_numel(weight); i++)
        sum += values[i] * values[i];
    printf("\n%s layer, norm of the weight's gradient\n", layer);
    printf("    summed in single precision, printed with %%f:  %f\n", (double)sqrtf(sum));
    printf("    summed in double precision:                   %.3g\n", g.norm);
    printf("    its elements:                                 %s\n", words_for(g.state));
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_module *net = cr_nn_sequential(ctx);
    for (int i = 0; i < 50; i++) {
        cr_nn_add(net, cr_nn_linear(ctx, 64, 64));
        cr_nn_add(net, cr_nn_sigmoid(ctx));
    }
    cr_nn_add(net, cr_nn_linear(ctx, 64, 1));

    cr_backward(cr_sum(cr_nn_forward(net, cr_randn(ctx, CR_DIMS(8, 64)))));

    printf("50 layers of Linear(64) and sigmoid, a head 64 -> 1, a batch of 8\n");
    if (!cr_error(ctx)) {
        cr_tensor *first = cr_nn_param(net, "0.weight"),
                  *last = cr_nn_param(net, "98.weight");
        show("first", first);
        show("last", last);
        double decades =
            log10(norm_of_gradient(first).norm / norm_of_gradient(last).norm);
        printf(
            "\nfirst / last: 10^%.1f, or a factor of %.2f in every layer between them\n",
            decades, pow(10, decades / 49));
    }
    cr_nn_free(net);
    return finish(ctx);
}
