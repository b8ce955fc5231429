/* Networks of equal layers, as the options of chainrule flow, flow theory and flow map describe
 * them: a module, a task for the diagnosis, and what theory takes it for. */
#ifndef CLI_NETWORK_H
#define CLI_NETWORK_H

#include "activations.h"
#include "command.h"
#include "dataset.h"

#include <chainrule_flow.h>

typedef struct network_spec {
    int64_t depth, width, batch, seed; /* depth: hidden layers */
    const char *activation, *init, *norm, *residual, *optimiser, *task, *data;
    double lr;                 /* NaN: the optimiser's usual one */
    double sigma_w2, sigma_b2; /* NaN: what init says */
} network_spec;

/* A network and what it learns. */
typedef struct network {
    network_spec spec;
    dataset data;
} network;

/* What the options of the command line have said. */
extern network_spec network_given;
extern const option stack_options[], training_options[];

/* What the words of a spec may be. */
word_list init_words, norm_words, residual_words, optimiser_words;

/* Reads or makes the samples; false with a message on stderr. */
bool network_open(network *net, const network_spec *spec);
void network_close(network *net);

/* The functions of a cr_flow_task whose user is the network. */
cr_module *network_build(cr_ctx *ctx, void *net);
cr_optim *network_optimiser(cr_module *module, void *net);
cr_tensor *network_loss(cr_module *module, int64_t step, cr_flow_batch *batch, void *net);
cr_flow_task network_task(network *net, const char *name);

/* "depth 50, width 64, ..", without what has one of those names. */
void network_describe(char *text, size_t capacity, const network_spec *spec,
                      const char *const *without, int n_without);

/* "50 layers of sigmoid, width 64" and what is not usual. */
void network_name(char *text, size_t capacity, const network_spec *spec);

/* The stack of equal layers that theory takes it for. */
cr_flow_stack network_stack(const network_spec *spec);

#endif
