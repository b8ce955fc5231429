/* The chain rule on a graph of four operations, by hand and by machine.
 *
 *     a = x^2    b = e^x    c = a + b    L = 2 c            at x = 3
 */
#include "lesson.h"

/* What cr_backward does, spelt out: from L back to x, the derivative of each step is
 * multiplied to what arrives from above; where two ways lead to x, they add. */
static double by_hand(double x)
{
    double dL_dc = 2;         /* L = 2 c */
    double dL_da = dL_dc * 1; /* c = a + b */
    double dL_db = dL_dc * 1;
    double by_a = dL_da * 2 * x;  /* a = x^2 */
    double by_b = dL_db * exp(x); /* b = e^x */
    return by_a + by_b;
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 3.0));
    cr_tensor *L = cr_mul(cr_add(cr_pow(x, 2), cr_exp(x)), 2);
    cr_backward(L);
    printf("L = 2 (x^2 + e^x) at x = 3:  %.4f\n", cr_item(L));
    printf("dL/dx by hand:              %.4f\n", by_hand(3));
    printf("dL/dx by backpropagation:   %.4f\n", cr_item(cr_grad(x)));
    return finish(ctx);
}
