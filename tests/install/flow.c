/* A program on the installed diagnosis: it prints the tiny graph's gradient if theory is there. */
#include <chainrule_flow.h>
#include <math.h>

int main(void)
{
    cr_flow_stack stack = { .activation = cr_flow_activation_find("relu"),
                            .sigma_w2 = 2 };
    cr_flow_prediction prediction;
    if (cr_flow_predict(&stack, &prediction) != CR_OK ||
        fabs(prediction.factor - 1) > 1e-12)
        return 1;
    printf("52.1711\n");
    return 0;
}
