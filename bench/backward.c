/* What the backward pass costs: of each network the loss alone, and the loss with all gradients, in
 * turn. For networks of products the pass is two products for each one forward, but for the first
 * layer's, whose input wants no gradient.
 *
 *     backward --threads N */
#include "networks.h"

enum { ROUNDS = 15 };

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of its times in rounds. */
static double median(double *times)
{
    qsort(times, ROUNDS, sizeof *times, ascending);
    return times[ROUNDS / 2];
}

static void forward(work *w)
{
    CR_SCOPE(w->ctx);
    CR_NO_GRAD(w->ctx);
    w->result = cr_item(w->value(w));
}

int main(int argc, char **argv)
{
    const bench_workload table[] = {
        { "mlp", mlp_make, NULL, work_free, &mlp_large },
        { "gpt", gpt_make, NULL, work_free, &gpt_narrow },
        { "gpt_wide", gpt_make, NULL, work_free, &gpt_wide },
        { "cnn", cnn_make, NULL, work_free, NULL },
        { "resnet20", resnet20_make, NULL, work_free, NULL },
    };
    printf("%-10s %12s %12s %20s\n", "", "forward", "backward", "backward / forward");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        double check, alone[ROUNDS], behind[ROUNDS], ratio[ROUNDS];
        work *w = table[i].make(table[i].arg, bench_threads(argc, argv), &check);
        if (!w)
            return 1;
        for (int k = -1; k < ROUNDS; k++) {
            const int at = k < 0 ? 0 : k; /* the first time is none */
            double start = bench_seconds();
            forward(w);
            double between = bench_seconds();
            run_function(w);
            alone[at] = between - start;
            behind[at] = bench_seconds() - between - alone[at];
            ratio[at] = behind[at] / alone[at];
        }
        printf("%-10s %9.3f ms %9.3f ms %20.2f\n", table[i].name, median(alone) * 1e3,
               median(behind) * 1e3, median(ratio));
        fflush(stdout);
        work_free(w);
    }
    return 0;
}
