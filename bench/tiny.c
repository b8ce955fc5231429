/* The tiny graph, once: what a program costs that only wants one gradient. bench/start
 * times it from exec to exit. */
#include <chainrule.h>

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 3.0));
    cr_backward(cr_mul(2, cr_add(cr_pow(x, 2), cr_exp(x))));
    double grad = cr_item(cr_grad(x));
    cr_close(ctx);
    printf("%.4f\n", grad);
    return grad > 52.17 && grad < 52.18 ? 0 : 1;
}
