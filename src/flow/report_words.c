/* Words and numbers that all reports share. */
#include "report.h"

#include <stdio.h>

/* A kind that does not stand here is CR__OTHER; what holds parameters of its own are weights. */
static const struct {
    const char *kind;
    cr__part part;
} kinds[] = {
    { "relu", CR__ACTIVATION },        { "leaky_relu", CR__ACTIVATION },
    { "prelu", CR__ACTIVATION },       { "elu", CR__ACTIVATION },
    { "selu", CR__ACTIVATION },        { "celu", CR__ACTIVATION },
    { "relu6", CR__ACTIVATION },       { "gelu", CR__ACTIVATION },
    { "silu", CR__ACTIVATION },        { "mish", CR__ACTIVATION },
    { "sigmoid", CR__ACTIVATION },     { "log_sigmoid", CR__ACTIVATION },
    { "logsigmoid", CR__ACTIVATION },  { "tanh", CR__ACTIVATION },
    { "hardtanh", CR__ACTIVATION },    { "hardsigmoid", CR__ACTIVATION },
    { "hardswish", CR__ACTIVATION },   { "hardshrink", CR__ACTIVATION },
    { "softplus", CR__ACTIVATION },    { "softsign", CR__ACTIVATION },
    { "softshrink", CR__ACTIVATION },  { "tanhshrink", CR__ACTIVATION },
    { "threshold", CR__ACTIVATION },   { "softmax", CR__ACTIVATION },
    { "log_softmax", CR__ACTIVATION }, { "softmin", CR__ACTIVATION },
    { "glu", CR__ACTIVATION },
};

cr__part cr__part_of(const cr_flow_layer *layer)
{
    for (int i = 0; i < CR__FLOW_COUNT(kinds); i++)
        if (strcmp(layer->kind, kinds[i].kind) == 0)
            return kinds[i].part;
    if (strstr(layer->kind, "norm"))
        return CR__NORM;
    return layer->n_params > 0 ? CR__WEIGHTS : CR__OTHER;
}

/* An enumerator's word, whatever number came in. */
#define CR__WORD(words, i) \
    ((size_t)(i) < sizeof(words) / sizeof *(words) ? (words)[i] : "unknown")

const char *cr__part_name(cr__part part)
{
    static const char *const words[] = { "weights", "activation", "normalisation",
                                         "other" };
    return CR__WORD(words, part);
}

const char *cr__state_name(cr_flow_state state)
{
    static const char *const words[] = { "usual", "underflowed", "zero", "not finite",
                                         "disconnected" };
    return CR__WORD(words, state);
}

const char *cr__severity_name(cr_flow_severity severity)
{
    static const char *const words[] = { "note", "warning", "alarm" };
    return CR__WORD(words, severity);
}

const char *cr__phase_name(cr_flow_phase phase)
{
    static const char *const words[] = { "ordered", "critical", "chaotic" };
    return CR__WORD(words, phase);
}

const char *cr__loss_name(cr_flow_loss_kind kind)
{
    static const char *const words[] = { "unknown",    "squares", "absolute",
                                         "broadcast",  "softmax", "softmax_across",
                                         "likelihood", "log",     "sigmoid",
                                         "binary",     "minimax" };
    return CR__WORD(words, kind);
}

const char *cr__norm_name(cr_flow_norm norm)
{
    static const char *const words[] = { "none", "batch_norm", "layer_norm", "rms_norm" };
    return CR__WORD(words, norm);
}

const char *cr__residual_name(cr_flow_residual residual)
{
    static const char *const words[] = { "none", "pre_activation", "post_activation" };
    return CR__WORD(words, residual);
}

const char *cr__outcome(const cr_flow_report *report)
{
    if (report->n_verdicts == 0)
        return "no verdict";
    if (report->verdicts[0].cause == CR_FLOW_HEALTHY)
        return "healthy";
    return cr__severity_name(report->verdicts[0].severity);
}

void cr__cause_words(cr_flow_cause cause, char words[32])
{
    snprintf(words, 32, "%s", cr_flow_cause_name(cause));
    for (char *c = words; *c; c++)
        if (*c == '_')
            *c = ' ';
}

bool cr__has_theory(const cr_flow_report *report)
{
    return report->stack.activation && isfinite(report->prediction.factor);
}

bool cr__has_spectrum(const cr_flow_report *report)
{
    return report->spectrum.rows > 0 && report->spectrum.largest > 0;
}

bool cr__layers_of(const cr_flow_snapshot *snapshot, cr__layers *layers)
{
    *layers = (cr__layers){ .of = snapshot };
    int n = 0;
    for (int i = 0; snapshot && i < snapshot->n_layers; i++)
        n += snapshot->layers[i].leaf;
    layers->places = malloc(((size_t)n + 1) * sizeof *layers->places);
    if (!layers->places)
        return false;
    for (int i = 0; snapshot && i < snapshot->n_layers; i++)
        if (snapshot->layers[i].leaf)
            layers->places[layers->n++] = i;
    return true;
}

const cr_flow_layer *cr__layer(const cr__layers *layers, int i)
{
    return &layers->of->layers[layers->places[i]];
}

double cr__delta(const cr_flow_layer *layer)
{
    const cr_flow_size *delta = &layer->delta_y;
    const bool there =
        delta->state == CR_FLOW_USUAL || delta->state == CR_FLOW_UNDERFLOWED;
    return there && isfinite(delta->log10_norm) ? delta->log10_norm : NAN;
}

void cr__range_add(cr__range *range, double value)
{
    if (!isfinite(value))
        return;
    if (!(range->least <= value))
        range->least = value;
    if (!(range->most >= value))
        range->most = value;
}

bool cr__range_any(const cr__range *range)
{
    return isfinite(range->least);
}

double cr__params_log10(const cr_flow_snapshot *snapshot, const cr_flow_layer *layer,
                        size_t member)
{
    double most = NAN,
           sum = 0; /* of squares, over 10^(2 most): these may be out of range */
    for (int i = 0; i < layer->n_params; i++) {
        const char *param = (const char *)&snapshot->params[layer->first_param + i];
        double size;
        memcpy(&size, param + member + offsetof(cr_flow_size, log10_norm), sizeof size);
        if (!isfinite(size))
            continue;
        if (!isfinite(most) || size > most) {
            sum = isfinite(most) ? sum * pow(10, 2 * (most - size)) : 0;
            most = size;
        }
        sum += pow(10, 2 * (size - most));
    }
    return most + 0.5 * log10(sum);
}
