/* Activations by name: those that theory knows too. */
#include "activations.h"

#include <string.h>

#define PLAIN(name) MAKE(name, ctx)
#define MAKE(name, ...)                        \
    static cr_module *make_##name(cr_ctx *ctx) \
    {                                          \
        return cr_nn_##name(__VA_ARGS__);      \
    }
PLAIN(sigmoid)
PLAIN(tanh)
PLAIN(relu)
PLAIN(gelu)
PLAIN(silu)
PLAIN(selu)
PLAIN(elu)
PLAIN(celu)
PLAIN(mish)
PLAIN(softplus)
PLAIN(softsign)
PLAIN(relu6)
PLAIN(hardtanh)
PLAIN(hardsigmoid)
PLAIN(hardswish)
PLAIN(logsigmoid)
PLAIN(tanhshrink)
MAKE(leaky_relu, ctx, 0.01)

#define ROW(name)          \
    {                      \
#name, make_##name \
    }
static const struct activation {
    const char *name;
    cr_module *(*make)(cr_ctx *ctx);
} activations[] = {
    ROW(sigmoid),    ROW(tanh),       ROW(relu),          ROW(leaky_relu),
    ROW(gelu),       ROW(silu),       ROW(selu),          ROW(elu),
    ROW(celu),       ROW(mish),       ROW(softplus),      ROW(softsign),
    ROW(relu6),      ROW(hardtanh),   ROW(hardsigmoid),   ROW(hardswish),
    ROW(logsigmoid), ROW(tanhshrink), { "linear", NULL },
};
enum { ACTIVATIONS = sizeof activations / sizeof activations[0] };

const char *activation_words(int i)
{
    return i < ACTIVATIONS ? activations[i].name : NULL;
}

cr_module *activation_make(cr_ctx *ctx, const char *name)
{
    for (int i = 0; i < ACTIVATIONS; i++)
        if (activations[i].make && strcmp(activations[i].name, name) == 0)
            return activations[i].make(ctx);
    return NULL;
}
