/* The spectrum of a task's network: of the Jacobian from its first layer with weights to its
 * output. */
#include "remedies.h"

/* Passes through the network are some 2 (iterations + probes). */
enum { ITERATIONS = 12, PROBES = 2 };

/* The first module that holds no others but parameters; NULL if there is none. */
static cr_module *first_weights(cr_module *module, int depth)
{
    const cr_params *params = cr_nn_params(module);
    if (!params || params->n == 0 || depth > CR_NN_MAX_DEPTH)
        return NULL;
    if (cr_nn_count(module) == 0)
        return module;
    for (int i = 0; i < cr_nn_count(module); i++) {
        cr_module *found = first_weights(cr_nn_child(module, i), depth + 1);
        if (found)
            return found;
    }
    return NULL;
}

static cr_tensor *keep_output(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    cr_tensor **kept = user;
    (void)module;
    (void)x;
    if (!*kept)
        *kept = y;
    return NULL;
}

void cr__flow_take_spectrum(cr_ctx *ctx, const cr_flow_task *task, uint64_t seed,
                            cr_flow_spectrum *out)
{
    cr_flow_batch batch = { .output = NULL };
    cr_tensor *from = NULL;
    *out = (cr_flow_spectrum){ .largest = 0 };
    if (cr_scope_push(ctx) != CR_OK)
        return;
    cr_rng_set(ctx, (cr_rng){ .seed = seed });
    cr_module *net = task->build(ctx, task->user);
    cr_module *first = net ? first_weights(net, 0) : NULL;
    if (first && first != net && cr_nn_register_forward_hook(first, keep_output, &from) &&
        task->loss(net, 0, &batch, task->user) && from && batch.output &&
        batch.output != from &&
        cr_flow_spectrum_of(batch.output, from, out, .iterations = ITERATIONS,
                            .probes = PROBES) != CR_OK)
        *out = (cr_flow_spectrum){ .largest = 0 };
    cr_clear(ctx);
    cr_nn_free(net);
    cr_scope_pop(ctx);
}
