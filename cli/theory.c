/* chainrule flow theory: what the theory of wide networks says of a stack of layers. */
#include "commands.h"
#include "host.h"
#include "network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool given_list;

const option theory_options[] = {
    { "list", OPTION_SWITCH, &given_list, NULL, NULL, NULL, 0, 0,
      "the activations that theory knows, and their edge of chaos" },
    { "activation", OPTION_WORD, &network_given.activation, "NAME", "tanh",
      theory_activation_words, 0, 0, "behind each layer" },
    { "init", OPTION_WORD, &network_given.init, "NAME", NULL, init_words, 0, 0,
      "how weights are drawn; without this and --sigma-w2: a table of the usual ones" },
    { "sigma-b2", OPTION_REAL, &network_given.sigma_b2, "X", "0", NULL, 0, 1000,
      "variance of a bias" },
    { .name = NULL }
};

const char *theory_activation_words(int i)
{
    const cr_flow_activation *activation = cr_flow_activation_list(i);
    return activation ? activation->name : NULL;
}

/* A number for a column of so many characters; what does not exist is a dash. */
static void print_number(double x, int width)
{
    char text[32];
    snprintf(text, sizeof text, isnan(x) ? "-" : isinf(x) ? "inf" : "%.4g", x);
    printf("%*s", width, text);
}

static const char *phase_name(const cr_flow_prediction *p)
{
    static const char *const names[] = { [CR_FLOW_ORDERED] = "ordered",
                                         [CR_FLOW_CRITICAL] = "critical",
                                         [CR_FLOW_CHAOTIC] = "chaotic" };
    return names[p->phase];
}

static const char *remark(const cr_flow_prediction *p)
{
    return p->diverges  ? ", the variance grows without bound"
           : p->every_q ? ", any variance stays"
                        : "";
}

/* ---- the table ---- */

static const struct usual {
    const char *name;
    double sigma_w2;
} usual[] = { { "default", 1.0 / 3 },
              { "xavier, lecun", 1 },
              { "he", 2 },
              { "tanh's gain", 25.0 / 9 } };

static bool print_row(const char *name, const cr_flow_stack *stack)
{
    cr_flow_prediction p;
    if (cr_flow_predict(stack, &p) != CR_OK)
        return false;
    printf("%-14s", name);
    print_number(stack->sigma_w2, 9);
    print_number(p.diverges ? INFINITY : p.q_star, 9);
    print_number(p.chi, 9);
    print_number(p.factor, 9);
    print_number(p.decades, 10);
    print_number(p.xi_c, 9);
    print_number(p.xi_grad, 9);
    printf("  %s%s\n", phase_name(&p), remark(&p));
    return true;
}

static bool print_table(const cr_flow_stack *stack, bool all)
{
    bool good = true;
    printf("%-14s%9s%9s%9s%9s%10s%9s%9s\n", "weights", "sigma_w2", "q*", "chi", "factor",
           "decades", "xi_c", "xi_grad");
    for (size_t i = 0; all && i < sizeof usual / sizeof usual[0]; i++) {
        cr_flow_stack one = *stack;
        one.sigma_w2 = usual[i].sigma_w2;
        good = print_row(usual[i].name, &one) && good;
    }
    if (!all)
        good = print_row("these", stack);
    printf(
        "\nq*: variance that pre-activations tend to. factor: of the gradient's norm per "
        "layer, backwards;\ndecades: log10 of it. xi: layers over which correlations "
        "(c) and gradients fall to 1/e; networks\ntrain up to about 6 xi_c deep.\n");
    return good;
}

/* ---- one stack ---- */

static void print_parts(const cr_flow_prediction *p)
{
    printf("\ndecades per layer: ");
    print_number(p->decades, 0);
    printf(", of which activation ");
    print_number(p->decades_activation, 0);
    printf(", weights ");
    print_number(p->decades_weight, 0);
    printf(", norm ");
    print_number(p->decades_norm, 0);
    printf("\ncorrelation of two inputs: fixed point ");
    print_number(p->c_star, 0);
    printf(", slope at 1 ");
    print_number(p->slope, 0);
    printf("\n");
}

/* The gradient's norm by layer, over that of the last, with a bar for each. */
static bool print_profile(const cr_flow_stack *stack, const cr_flow_prediction *p)
{
    enum { LINES = 10, BEFORE = 28 };
    const int depth = (int)stack->depth, columns = host_columns(stdout);
    const int step = (depth + LINES - 1) / LINES, width = columns > 100 ? 100 : columns;
    double *ratio = malloc(sizeof *ratio * (size_t)depth), most = 0;
    const bool good = ratio && cr_flow_profile(stack, NULL, ratio) == CR_OK;
    for (int l = 0; good && l < depth; l++)
        most = fmax(most, fabs(ratio[l]));
    if (good)
        printf("\nthe gradient by layer, over that of layer %d, in decades\n", depth);
    for (int l = 0; good && l < depth; l += step) {
        const double decades = ratio[l] / log(10);
        const double share = most > 0 ? fabs(ratio[l]) / most : 0;
        const int bar = (int)(share * (width - BEFORE) + 0.5);
        printf("  layer %4d  ", l + 1);
        print_number(decades, 9);
        fputs("  ", stdout);
        for (int i = 0; i < bar; i++)
            fputs(decades < 0 ? "░" : "█", stdout);
        printf("\n");
    }
    free(ratio);
    if (good && stack->width > 0 && isfinite(p->beta))
        printf("at width %d the norm of a single network differs by a factor of e^%.2g "
               "either way\n(its square's logarithm has variance %.3g)\n",
               (int)stack->width, sqrt(p->beta) / 2, p->beta);
    return good;
}

static void print_edge(const cr_flow_activation *activation)
{
    static const double sigma_b2[] = { 0, 0.01, 0.05, 0.1, 0.5, 1 };
    enum { N = sizeof sigma_b2 / sizeof sigma_b2[0] };
    printf("\nedge of chaos: where chi is 1 (no norm, no residual)\n%-10s", "sigma_b2");
    for (int i = 0; i < N; i++)
        print_number(sigma_b2[i], 9);
    printf("\n%-10s", "sigma_w2");
    for (int i = 0; i < N; i++) {
        const double edge = cr_flow_edge_of_chaos(activation, sqrt(sigma_b2[i]));
        print_number(edge * edge, 9);
    }
    printf("\n");
}

static void list_activations(void)
{
    const cr_flow_activation *activation;
    printf("%-14s%12s%12s\n%-14s%12s%12s\n", "", "edge of chaos, sigma_w2", "", "",
           "sigma_b2 0", "0.05");
    for (int i = 0; (activation = cr_flow_activation_list(i)) != NULL; i++) {
        const double none = cr_flow_edge_of_chaos(activation, 0);
        const double some = cr_flow_edge_of_chaos(activation, sqrt(0.05));
        printf("%-14s", activation->name);
        print_number(none * none, 12);
        print_number(some * some, 12);
        printf("\n");
    }
}

int theory_run(int n, char **words)
{
    (void)n, (void)words;
    if (given_list) {
        list_activations();
        return STATUS_GOOD;
    }
    const network_spec *spec = &network_given;
    const bool all = !spec->init && isnan(spec->sigma_w2);
    cr_flow_stack stack = network_stack(spec);
    printf("%s, norm %s, residual %s, sigma_b2 %g\n\n", spec->activation, spec->norm,
           spec->residual, stack.sigma_b2);
    bool good = print_table(&stack, all);
    cr_flow_prediction p;
    if (!all && good && cr_flow_predict(&stack, &p) == CR_OK) {
        print_parts(&p);
        good = print_profile(&stack, &p);
    }
    print_edge(stack.activation);
    if (!good)
        fprintf(stderr, "chainrule flow theory: theory has no answer for this stack\n");
    return good ? STATUS_GOOD : STATUS_ERROR;
}
