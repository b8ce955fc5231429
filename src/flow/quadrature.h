/* Expectations over a normal variable, for theory.c. */
#ifndef CR_FLOW_QUADRATURE_H
#define CR_FLOW_QUADRATURE_H

#include "flow.h"

enum {
    CR__FLOW_FEW = 32, /* nodes of Gauss-Hermite */
    CR__FLOW_MANY = 64,
    CR__FLOW_PIECE = 16, /* of Gauss-Legendre */
    CR__FLOW_MOST_KINKS = 32
};

/* Nodes and weights, computed once for a call of the library: it keeps no tables of its own. */
typedef struct cr__flow_rules {
    double few_nodes[CR__FLOW_FEW], few_weights[CR__FLOW_FEW];
    double many_nodes[CR__FLOW_MANY], many_weights[CR__FLOW_MANY];
    double piece_nodes[CR__FLOW_PIECE], piece_weights[CR__FLOW_PIECE];
} cr__flow_rules;
void cr__flow_rules_make(cr__flow_rules *rules);

/* x = mean + std z. */
typedef struct cr__flow_normal {
    double mean, std;
    double reach;     /* |z| to which pieces go */
    double tolerance; /* relative to the integral's size */
    int work; /* values that may be asked for: most want 1,000, else it is noise */
    const double *kinks; /* of the integrand, in x */
    int n_kinks;
} cr__flow_normal;
typedef double cr__flow_integrand(double x, const void *user);
double cr__flow_expect(const cr__flow_rules *rules, const cr__flow_normal *over,
                       cr__flow_integrand *f, const void *user);

#endif
