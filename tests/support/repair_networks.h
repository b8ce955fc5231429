/* Small networks that remedies are applied to, and what they look like afterwards: shared by
 * flow_repair.c and the program that it writes, which applies the lines of C that it was told. */
#ifndef TESTS_SUPPORT_REPAIR_NETWORKS_H
#define TESTS_SUPPORT_REPAIR_NETWORKS_H

#include <chainrule.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What they are given: 4 samples of 8 numbers. */
static inline cr_tensor *repair_input(cr_ctx *ctx)
{
    return cr_reshape(cr_sin(cr_arange(ctx, 0, 32, 1)), CR_DIMS(4, 8));
}

/* Equal layers. */
static cr_module *build_sigmoids(cr_ctx *ctx)
{
    cr_module *net = cr_nn_sequential(ctx);
    for (int i = 0; i < 4; i++) {
        cr_nn_add(net, cr_nn_linear(ctx, 8, 8));
        cr_nn_add(net, cr_nn_sigmoid(ctx));
    }
    cr_nn_add(net, cr_nn_linear(ctx, 8, 1));
    return net;
}

/* Layers of several widths, a norm, nested, with an activation behind the output. */
static cr_module *build_mixed(cr_ctx *ctx)
{
    cr_module *net = cr_nn_sequential(ctx), *head = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, 8, 6));
    cr_nn_add(net, cr_nn_layer_norm(ctx, 6));
    cr_nn_add(net, cr_nn_tanh(ctx));
    cr_nn_add(net, cr_nn_linear(ctx, 6, 6));
    cr_nn_add(net, cr_nn_dropout(ctx, 0.1));
    cr_nn_add(net, cr_nn_tanh(ctx));
    cr_nn_add(head, cr_nn_linear(ctx, 6, 4));
    cr_nn_add(head, cr_nn_relu(ctx));
    cr_nn_add(head, cr_nn_linear(ctx, 4, 1));
    cr_nn_add(head, cr_nn_relu(ctx));
    cr_nn_add(net, head);
    return net;
}

/* Residual branches. */
static cr_module *build_branches(cr_ctx *ctx)
{
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, 8, 8));
    for (int i = 0; i < 4; i++) {
        cr_module *block = cr_nn_sequential(ctx);
        cr_nn_add(block, cr_nn_relu(ctx));
        cr_nn_add(block, cr_nn_linear(ctx, 8, 8));
        cr_nn_add(block, cr_nn_relu(ctx));
        cr_nn_add(block, cr_nn_linear(ctx, 8, 8));
        cr_nn_add(net, cr_nn_residual(ctx, block));
    }
    cr_nn_add(net, cr_nn_linear(ctx, 8, 1));
    return net;
}

/* No activation. */
static cr_module *build_lines(cr_ctx *ctx)
{
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, 8, 8));
    cr_nn_add(net, cr_nn_linear(ctx, 8, 5));
    cr_nn_add(net, cr_nn_linear(ctx, 5, 1));
    return net;
}

typedef struct repair_network {
    const char *name;
    cr_module *(*build)(cr_ctx *ctx);
} repair_network;
static const repair_network repair_networks[] = {
    { "sigmoids", build_sigmoids },
    { "mixed", build_mixed },
    { "branches", build_branches },
    { "lines", build_lines },
};
enum { REPAIR_NETWORKS = sizeof repair_networks / sizeof *repair_networks };

/* The modules without modules in them, "linear sigmoid ..", branches in parentheses behind their
 * scale; not what stands in for a line of the training loop. */
static void describe_modules(const cr_module *module, char *text, size_t capacity)
{
    const bool residual = strcmp(cr_nn_kind(module), "residual") == 0;
    size_t length = strlen(text);
    if (residual)
        snprintf(text + length, capacity - length, "%.4g(", cr_nn_scale(module));
    else if (!cr_nn_count(module) && strcmp(cr_nn_kind(module), "train_mode") != 0)
        snprintf(text + length, capacity - length, "%s ", cr_nn_kind(module));
    for (int i = 0; i < cr_nn_count(module); i++)
        describe_modules(cr_nn_child(module, i), text, capacity);
    length = strlen(text);
    if (residual)
        snprintf(text + length, capacity - length, ") ");
}

/* The sum over parameters of the sum of cos(i + x[i]): tells any two lists of values apart. */
static double sum_up_params(cr_module *net)
{
    const cr_params *params = cr_nn_params(net);
    double sum = 0;
    int64_t at = 0;
    for (int i = 0; i < params->n; i++) {
        const float *x = cr_data(params->list[i].tensor);
        for (int64_t k = 0; x && k < cr_numel(params->list[i].tensor); k++)
            sum += cos((double)at++ + (double)x[k]);
    }
    return sum;
}

/* A line that says what a network is. */
static void print_network(const char *name, const char *remedy, cr_module *net,
                          FILE *file)
{
    char text[600] = "";
    describe_modules(net, text, sizeof text);
    fprintf(file, "%s, %s: %s%.9g\n", name, remedy, text, sum_up_params(net));
}

#endif
