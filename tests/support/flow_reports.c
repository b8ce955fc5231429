/* Reports made by hand. All their memory is freed at once. */
#include "flow_reports.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

typedef struct owned_block {
    struct owned_block *next;
    max_align_t data[];
} owned_block;
static owned_block *blocks;

static void *make(size_t count, size_t size)
{
    owned_block *made = calloc(1, sizeof *made + count * size + 1);
    if (!made)
        abort();
    made->next = blocks;
    blocks = made;
    return made->data;
}

static const char *text_of(const char *format, int i)
{
    char *text = make(64, 1);
    snprintf(text, 64, format, i);
    return text;
}

void flow_reports_free(void)
{
    while (blocks) {
        owned_block *next = blocks->next;
        free(blocks);
        blocks = next;
    }
}

/* ---- numbers that look measured ---- */

/* Uniform in [-1, 1), the same each time. */
static double noise(unsigned i)
{
    i = (i ^ 61) ^ (i >> 16);
    i *= 9;
    i ^= i >> 4;
    i *= 0x27d4eb2d;
    i ^= i >> 15;
    return i / 2147483648.0 - 1;
}

static cr_flow_size size_of(int64_t numel, double log10_norm)
{
    const double rms = pow(10, log10_norm) / sqrt((double)numel);
    return (cr_flow_size){
        .state = CR_FLOW_USUAL,
        .numel = numel,
        .log10_norm = log10_norm,
        .rms = rms,
        .mean = 0.01 * rms,
        .least = -3.1 * rms,
        .most = 3.3 * rms,
    };
}

static cr_flow_size size_in_state(cr_flow_state state, int64_t numel)
{
    cr_flow_size size = { .state = state, .numel = numel, .log10_norm = NAN };
    if (state == CR_FLOW_ZERO)
        size.log10_norm = -INFINITY, size.zeros = 1;
    if (state == CR_FLOW_NOT_FINITE)
        size.nans = 0.75, size.infinities = 0.25, size.rms = size.mean = NAN;
    return size;
}

/* Of normally distributed elements, by their density at the octaves' middles. */
static const cr_flow_bins *bins_of(double log10_rms)
{
    cr_flow_bins *bins = make(1, sizeof *bins);
    if (!isfinite(log10_rms))
        return NULL;
    bins->from = (int)floor(log10_rms / log10(2)) - 29;
    double sum = 0;
    for (int i = 0; i < 32; i++) {
        const double x = pow(2, bins->from + i + 0.5) / pow(10, log10_rms);
        bins->share[i] = (float)(x * exp(-x * x / 2));
        sum += (double)bins->share[i];
    }
    for (int i = 0; i < 32; i++)
        bins->share[i] /= (float)sum;
    return bins;
}

/* ---- networks: what each layer does, from the input on ---- */

typedef struct step_of {
    const char *name, *kind;
    double gain;      /* decades that the gradient wins in it */
    double rms;       /* of its output */
    int64_t features; /* of a sample */
    int64_t weights;  /* 0: no parameters */
    double saturated, dead;
} step_of;

static cr_flow_layer layer_made(const step_of *from, int64_t batch, double delta,
                                unsigned seed)
{
    cr_flow_layer layer = {
        .name = from->name,
        .kind = from->kind,
        .level = 1,
        .leaf = true,
        .saturated = from->saturated,
        .dead = from->dead,
        .unlike = 0.3,
        .branch = NAN,
        .branch_delta = NAN,
    };
    const int64_t numel = batch * from->features;
    layer.y = layer.x = size_of(numel, log10(from->rms * sqrt((double)numel)));
    layer.decades = from->gain + 0.03 * noise(seed);
    layer.delta_y = size_of(numel, delta);
    layer.delta_x = size_of(numel, delta + layer.decades);
    if (delta < -37)
        layer.delta_y.state = layer.delta_x.state = CR_FLOW_UNDERFLOWED;
    layer.y_bins = bins_of(log10(from->rms));
    layer.delta_bins = bins_of(delta - 0.5 * log10((double)numel));
    return layer;
}

static void add_params(cr_flow_param *params, int *n, cr_flow_layer *layer,
                       const step_of *from, int64_t step)
{
    static const char *const ends[] = { "weight", "bias" };
    layer->first_param = *n;
    layer->n_params = 2;
    for (int i = 0; i < 2; i++) {
        char *name = make(strlen(from->name) + 16, 1);
        sprintf(name, "%s.%s", from->name, ends[i]);
        const int64_t numel = i ? from->features : from->weights;
        const double gradient = layer->delta_y.log10_norm + (i ? 0 : 0.4);
        cr_flow_param *param = &params[(*n)++];
        *param = (cr_flow_param){
            .name = name,
            .weight = size_of(numel, log10(0.07 * sqrt((double)numel))),
            .gradient = size_of(numel, gradient),
            .buffer = size_in_state(CR_FLOW_ZERO, numel),
            .buffer_along = NAN,
            .update = size_of(numel, gradient - 2),
            .rank = 3.5 - 2 * i,
            .row_spread = 0.9,
            .signal_to_noise = 0.4 + 0.2 * noise((unsigned)(*n + step)),
            .in_optimiser = true,
            .requires_grad = true,
            .weight_bins = bins_of(log10(0.07)),
            .gradient_bins = bins_of(gradient - 0.5 * log10((double)numel)),
        };
        param->update_ratio = param->update.log10_norm - param->weight.log10_norm;
    }
}

/* One snapshot; the root stands first, as a module that holds the others. delta is at the end. */
static cr_flow_snapshot snapshot_made(const step_of *steps, int n, int64_t step,
                                      double delta, double loss)
{
    cr_flow_layer *layers = make((size_t)n + 1, sizeof *layers);
    cr_flow_param *params = make((size_t)n * 2 + 1, sizeof *params);
    cr_flow_snapshot snapshot = { .step = step, .layers = layers, .params = params };
    layers[0] = (cr_flow_layer){ .name = "", .kind = "sequential", .decades = NAN };
    layers[0].saturated = layers[0].dead = layers[0].unlike = NAN;
    layers[0].branch = layers[0].branch_delta = NAN;
    for (int i = n; i >= 1; i--) {
        layers[i] = layer_made(&steps[i - 1], 8, delta, (unsigned)(i * 977 + step * 13));
        delta = layers[i].delta_x.log10_norm;
    }
    layers[0].x = layers[1].x, layers[0].delta_x = layers[1].delta_x;
    layers[0].y = layers[n].y, layers[0].delta_y = layers[n].delta_y;
    for (int i = 1; i <= n; i++)
        if (steps[i - 1].weights)
            add_params(params, &snapshot.n_params, &layers[i], &steps[i - 1], step);
    snapshot.n_layers = n + 1;
    snapshot.training = true;
    snapshot.loss = (cr_flow_loss){
        .value = loss,
        .op = "mse_loss",
        .output = layers[n].y,
        .target = size_of(layers[n].y.numel, 0.3),
        .delta = layers[n].delta_y,
        .rank_output = 2,
        .rank_target = 2,
        .samples = 8,
        .classes = steps[n - 1].features,
        .row_sum_least = -0.4,
        .row_sum_most = 0.6,
        .delta_along_residual = 1,
        .residual_log10 = 0.4,
        .target_least = -1.2,
        .target_most = 1.4,
        .target_mean = 0.1,
        .target_rms = 0.9,
        .target_share = NAN,
        .output_spread = 0.02,
        .gradient_log10 = 0.2,
        .learning_rate = 0.01,
        .linear = 0.3,
        .repeat = 0,
    };
    return snapshot;
}

static cr_flow_verdict verdict_made(cr_flow_cause cause, cr_flow_severity severity,
                                    double confidence, const char *where,
                                    const char *what, const char *evidence,
                                    const char *cure)
{
    cr_flow_verdict verdict = {
        .cause = cause, .severity = severity, .confidence = confidence, .where = where
    };
    snprintf(verdict.what, sizeof verdict.what, "%s", what);
    snprintf(verdict.evidence, sizeof verdict.evidence, "%s", evidence);
    snprintf(verdict.cure, sizeof verdict.cure, "%s", cure);
    return verdict;
}

static cr_flow_report *report_made(const char *name, int verdicts, int snapshots,
                                   int trials)
{
    cr_flow_report *report = make(1, sizeof *report);
    report->name = name;
    report->n_verdicts = verdicts;
    report->n_snapshots = snapshots;
    report->n_trials = trials;
    report->verdicts = make((size_t)verdicts, sizeof *report->verdicts);
    report->snapshots = make((size_t)snapshots, sizeof *report->snapshots);
    report->trials = make((size_t)trials, sizeof *report->trials);
    report->prediction.factor = report->measured_decades = NAN;
    report->saw_start = true;
    return report;
}

/* The parts that a report's own pointers call const. */
#define VERDICT(report, i)  ((cr_flow_verdict *)(report)->verdicts)[i]
#define SNAPSHOT(report, i) ((cr_flow_snapshot *)(report)->snapshots)[i]
#define TRIAL(report, i)    ((cr_flow_trial *)(report)->trials)[i]

/* ---- fifty sigmoids ---- */

static int sigmoid_steps(step_of *steps, bool normed)
{
    int n = 0;
    for (int i = 0; i < 50; i++) {
        steps[n] = (step_of){ .kind = "linear",
                              .gain = -0.24,
                              .rms = normed ? 1.1 : 0.35,
                              .features = 64,
                              .weights = 4096 };
        n++;
        if (normed) {
            steps[n] = (step_of){ .kind = "batch_norm1d",
                                  .gain = 0.25,
                                  .rms = 1,
                                  .features = 64,
                                  .weights = 64 };
            n++;
        }
        steps[n] = (step_of){ .kind = "sigmoid",
                              .gain = normed ? 0 : -0.61,
                              .rms = normed ? 0.54 : 0.51,
                              .features = 64,
                              .saturated = 0.01 };
        n++;
    }
    steps[n++] = (step_of){
        .kind = "linear", .gain = -0.2, .rms = 0.4, .features = 1, .weights = 64
    };
    for (int i = 0; i < n; i++)
        steps[i].name = text_of("%d", i);
    return n;
}

static void add_trial(cr_flow_report *report, int i, const char *remedy, bool accepted,
                      double decades, double loss, int better, const char *reason,
                      const char *code)
{
    cr_flow_trial *trial = &TRIAL(report, i);
    *trial = (cr_flow_trial){
        .remedy = remedy,
        .applies = true,
        .accepted = accepted,
        .decades_before = -0.85,
        .decades_after = decades,
        .loss_before = 0.902,
        .loss_after = loss,
        .seeds = 8,
        .better = better,
    };
    snprintf(trial->reason, sizeof trial->reason, "%s", reason);
    snprintf(trial->code, sizeof trial->code, "%s", code);
}

static const cr_flow_report *sigmoid50(void)
{
    enum { STEPS = 25, LAYERS = 151 };
    cr_flow_report *report = report_made("sigmoid50", 2, STEPS, 6);
    step_of *steps = make(LAYERS, sizeof *steps);
    int n = sigmoid_steps(steps, false);
    for (int i = 0; i < STEPS; i++)
        SNAPSHOT(report, i) = snapshot_made(steps, n, i, 0.1 + 0.02 * noise((unsigned)i),
                                            0.91 - 0.008 * (1 - exp(-i / 4.0)));
    int *stack = make(50, sizeof *stack);
    for (int l = 0; l < 50; l++)
        stack[l] = 1 + 2 * l;
    report->stack_layers = stack;
    report->stack = (cr_flow_stack){ .activation = cr_flow_activation_find("sigmoid"),
                                     .sigma_w2 = 1.0 / 3,
                                     .sigma_b2 = 1.0 / 192,
                                     .q0 = 1,
                                     .width = 64,
                                     .depth = 50 };
    report->prediction = (cr_flow_prediction){
        .q_star = 0.0913,
        .chi = 0.02,
        .factor = 0.1414,
        .decades = -0.85,
        .decades_activation = -0.61,
        .decades_weight = -0.24,
        .decades_norm = 0,
        .c_star = 1,
        .slope = 0.02,
        .xi_q = 0.26,
        .xi_c = 0.26,
        .xi_grad = 0.256,
        .phase = CR_FLOW_ORDERED,
        .mu1 = 0.06,
        .mu2 = 0.004,
        .beta = 3.2,
        .jacobian_variance = 60,
    };
    report->measured_decades = -0.851;
    report->spectrum = (cr_flow_spectrum){ .largest = 3e-42,
                                           .smallest = NAN,
                                           .mean = 4e-86,
                                           .variance = 2e-170,
                                           .rows = 1,
                                           .columns = 64 };
    VERDICT(report, 0) = verdict_made(
        CR_FLOW_VANISHING, CR_FLOW_ALARM, 0.99, "",
        "The gradient loses 0.85 decades per layer: the first layers do not learn.",
        "Theory says 0.85 for sigmoid with these weights: 0.61 from its slope, 0.24 from "
        "the "
        "weights. After 50 layers 10^-42.3 of it is left, less than f32 can hold. No "
        "initialisation repairs this: at its best, sigmoid's slope is 1/4.",
        "Put batch norm in front of the sigmoids, or take another activation.");
    VERDICT(report, 1) = verdict_made(
        CR_FLOW_UNDERFLOW, CR_FLOW_WARNING, 0.9, "0",
        "Gradients of 8 layers underflow in f32; they are seen with a scaled loss only.",
        "", "");
    add_trial(report, 0, "he", false, -0.66, 0.901, 3,
              "the gradient still loses 0.66 decades per layer", "");
    add_trial(report, 1, "batch_norm", true, 0.01, 0.021, 8,
              "the gradient's slope is in its band, and the loss falls 43 times as far",
              "for (int i = 49; i >= 0; i--)\n"
              "    cr_nn_insert(net, 2 * i + 1, cr_nn_batch_norm1d(ctx, 64));");
    add_trial(
        report, 2, "layer_norm", false, -0.41, 0.9, 4,
        "layer norm leaves sigmoid's slope as it is: 0.41 decades per layer are lost",
        "");
    add_trial(report, 3, "residual", true, 0.02, 0.14, 8, "the skip carries the gradient",
              "cr_nn_residual(ctx, inner)");
    add_trial(report, 4, "clip", false, -0.85, 0.902, 4, "clipping never cures vanishing",
              "");
    add_trial(report, 5, "fixup", false, NAN, NAN, 0, "", "");
    TRIAL(report, 5).applies = false;
    n = sigmoid_steps(steps, true);
    cr_flow_snapshot *after = make(1, sizeof *after);
    *after = snapshot_made(steps, n, 0, 0.1, 0.95);
    report->after = after;
    return report;
}

/* ---- a residual CNN ---- */

static const cr_flow_report *cnn(void)
{
    enum { STEPS = 40, BLOCKS = 8, LAYERS = 3 + BLOCKS * 6 + 3 };
    static const char *const kinds[] = { "conv2d", "batch_norm2d", "relu" };
    step_of *steps = make(LAYERS, sizeof *steps);
    int n = 0;
    for (int i = 0; i < 3 + BLOCKS * 6; i++, n++) {
        const int block = (i - 3) / 6, kind = i % 3;
        steps[n] = (step_of){ .kind = kinds[kind],
                              .features = 16 * 64,
                              .dead = NAN,
                              .saturated = NAN,
                              .gain = kind == 0   ? 0.06
                                      : kind == 1 ? -0.04
                                                  : -0.01,
                              .rms = kind == 0   ? 1.3
                                     : kind == 1 ? 1
                                                 : 0.71,
                              .weights = kind == 0   ? 2304
                                         : kind == 1 ? 16
                                                     : 0 };
        if (kind == 2)
            steps[n].dead = 0.02 + 0.01 * noise((unsigned)i);
        char *name = make(32, 1);
        if (i < 3)
            sprintf(name, "stem.%d", i);
        else
            sprintf(name, "block%d.inner.%d", block, (i - 3) % 6);
        steps[n].name = name;
    }
    steps[n++] = (step_of){ "pool", "avg_pool2d", -0.6, 0.5, 16, 0, NAN, NAN };
    steps[n++] = (step_of){ "flatten", "flatten", 0, 0.5, 16, 0, NAN, NAN };
    steps[n++] = (step_of){ "head", "linear", -0.1, 0.9, 10, 160, NAN, NAN };
    cr_flow_report *report = report_made("residual CNN", 1, STEPS, 0);
    for (int i = 0; i < STEPS; i++) {
        cr_flow_snapshot *snapshot = &SNAPSHOT(report, i);
        *snapshot =
            snapshot_made(steps, n, i < 5 ? i : 50 * (i - 4),
                          -0.3 - 0.02 * i + 0.1 * noise((unsigned)i),
                          2.3 * exp(-i / 9.0) + 0.08 + 0.02 * noise((unsigned)i * 7));
        snapshot->loss.op = "cross_entropy";
        /* The blocks themselves hold what was listed. */
        cr_flow_layer *layers = make((size_t)n + 1 + BLOCKS, sizeof *layers);
        memcpy(layers, snapshot->layers, (size_t)(n + 1) * sizeof *layers);
        for (int b = 0; b < BLOCKS; b++) {
            cr_flow_layer *block = &layers[n + 1 + b];
            *block = layers[4 + 6 * b];
            block->name = text_of("block%d", b);
            block->kind = "residual";
            block->leaf = false;
            block->n_params = 0;
            block->branch = 0.5 + 0.1 * noise((unsigned)b);
            block->branch_delta = 0.4 + 0.1 * noise((unsigned)b + 99);
        }
        snapshot->layers = layers;
        snapshot->n_layers = n + 1 + BLOCKS;
    }
    cr_flow_spectrum *spectrum = &report->spectrum;
    *spectrum = (cr_flow_spectrum){ .largest = 4.1,
                                    .smallest = 0.02,
                                    .mean = 1.2,
                                    .variance = 2.1,
                                    .rows = 10,
                                    .columns = 64,
                                    .n_values = 10 };
    for (int i = 0; i < 10; i++) {
        spectrum->values[i] = 0.02 * pow(4.1 / 0.02, i / 9.0);
        spectrum->weights[i] = 0.1;
    }
    VERDICT(report, 0) = verdict_made(CR_FLOW_HEALTHY, CR_FLOW_NOTE, 0.95, "",
                                      "The gradient reaches every layer.",
                                      "It changes by 0.01 decades per layer; updates "
                                      "move each weight by 0.03% to 0.4% a "
                                      "step; the loss fell from 2.38 to 0.11.",
                                      "");
    return report;
}

/* ---- what is wrong with numbers ---- */

static const cr_flow_report *nan_report(void)
{
    enum { STEPS = 8, LAYERS = 6 };
    static const step_of steps[LAYERS] = {
        { "0", "linear", 0.1, 1, 64, 4096, NAN, NAN },
        { "1", "relu", -0.15, 0.7, 64, 0, NAN, 0.3 },
        { "2", "linear", 0.1, 1, 64, 4096, NAN, NAN },
        { "3", "relu", -0.15, 0.7, 64, 0, NAN, 0.3 },
        { "4", "linear", 0.1, 1, 10, 640, NAN, NAN },
        { "5", "softmax", 0.1, 1, 10, 0, NAN, NAN },
    };
    cr_flow_report *report = report_made("diverges", 1, STEPS, 0);
    for (int i = 0; i < STEPS; i++) {
        SNAPSHOT(report, i) =
            snapshot_made(steps, LAYERS, i, 0.5 + i, i < 5 ? exp(3 * i) : NAN);
        cr_flow_layer *layers = (cr_flow_layer *)SNAPSHOT(report, i).layers;
        for (int k = 1; i >= 5 && k <= LAYERS; k++) {
            layers[k].delta_x = layers[k].delta_y =
                size_in_state(CR_FLOW_NOT_FINITE, layers[k].y.numel);
            layers[k].y = layers[k].delta_y;
            layers[k].decades = NAN;
            layers[k].y_bins = layers[k].delta_bins = NULL;
        }
    }
    VERDICT(report, 0) = verdict_made(
        CR_FLOW_NONFINITE, CR_FLOW_ALARM, 1, "4",
        "The loss is NaN from step 5 on; the first value that was not finite came from "
        "4.",
        "The gradient grew a decade per step before: 3.2, 32, 316, 3162, 31623.",
        "Take a learning rate that is ten times smaller.");
    VERDICT(report, 0).step = 5;
    report->spectrum.largest = NAN;
    return report;
}

static const cr_flow_report *states(void)
{
    step_of steps[5];
    for (int i = 0; i < 5; i++)
        steps[i] = (step_of){ text_of("layer%d", i), "tensor", 0, 1, 16, 16, NAN, NAN };
    cr_flow_report *report = report_made("states", 1, 1, 0);
    SNAPSHOT(report, 0) = snapshot_made(steps, 5, 7, -1, 0.7);
    cr_flow_layer *layers = (cr_flow_layer *)SNAPSHOT(report, 0).layers;
    cr_flow_param *params = (cr_flow_param *)SNAPSHOT(report, 0).params;
    for (int i = 0; i < 5; i++) {
        cr_flow_size *size = &layers[i + 1].delta_y;
        if (i == CR_FLOW_USUAL || i == CR_FLOW_UNDERFLOWED)
            *size = size_of(128, i ? -44 : -1);
        else
            *size = size_in_state((cr_flow_state)i, 128);
        size->state = (cr_flow_state)i;
        params[2 * i].gradient = *size;
    }
    params[0].requires_grad = false;
    params[1].in_optimiser = false;
    report->saw_start = false;
    VERDICT(report, 0) =
        verdict_made(CR_FLOW_DISCONNECTED_PARAM, CR_FLOW_ALARM, 1, "layer4",
                     "No path from the loss leads to layer4.", "", "");
    return report;
}

/* ---- names ---- */

#define STRANGE "<b>&amp; \"q\" 'a' \\ , ;\n\t\033[31m"
#define WORDS \
    "Schicht \u00e4\u00f6\u00fc \u5c42 \u0441\u043b\u043e\u0439 \U0001f9e0 e\u0301"

static const cr_flow_report *names(void)
{
    static const step_of steps[] = {
        { STRANGE, "linear", 0, 1, 8, 64, NAN, NAN },
        { WORDS, "relu", 0, 1, 8, 0, NAN, 0.5 },
        { "]]> --> </script> <!--", "linear", 0, 1, 8, 64, NAN, NAN },
        { "\xff\xc0\x80\xed\xa0\x80\xf8 not UTF-8 \xe5\xb1", "<kind>&\"'", 0, 1, 8, 64,
          NAN, NAN },
    };
    cr_flow_report *report = report_made(STRANGE WORDS, 2, 2, 1);
    for (int i = 0; i < 2; i++) {
        SNAPSHOT(report, i) = snapshot_made(steps, 4, i, -1, 1 - 0.1 * i);
        SNAPSHOT(report, i).loss.op = STRANGE;
    }
    VERDICT(report, 0) =
        verdict_made(CR_FLOW_RATE_TOO_LARGE, CR_FLOW_WARNING, 0.8, STRANGE, WORDS STRANGE,
                     STRANGE WORDS, "</p>" STRANGE);
    VERDICT(report, 1) =
        verdict_made(CR_FLOW_DEAD_UNITS, CR_FLOW_NOTE, 0.5, WORDS, STRANGE, "", "");
    add_trial(report, 0, STRANGE, true, 0, 0.5, 8, STRANGE WORDS,
              "</pre>" STRANGE "\nnext();");
    return report;
}

/* ---- sizes ---- */

static const cr_flow_report *large(void)
{
    enum { LAYERS = 1200 };
    static const char *const kinds[] = { "linear", "relu", "tanh", "layer_norm",
                                         "dropout" };
    step_of *steps = make(LAYERS, sizeof *steps);
    for (int i = 0; i < LAYERS; i++) {
        const int kind = (int)((noise((unsigned)i * 31) + 1) * 2.5);
        steps[i] = (step_of){ .name = text_of("a.rather.long.path.%d", i),
                              .kind = kinds[kind],
                              .gain = 0.01 * noise((unsigned)i),
                              .rms = 1,
                              .features = 32,
                              .weights = kind == 0 ? 1024 : 0,
                              .saturated = NAN,
                              .dead = NAN };
    }
    cr_flow_report *report = report_made("large", 12, 2, 12);
    for (int i = 0; i < 2; i++)
        SNAPSHOT(report, i) = snapshot_made(steps, LAYERS, i, 0, 1);
    for (int i = 0; i < 12; i++) {
        VERDICT(report, i) = verdict_made(
            CR_FLOW_EXPLODING, CR_FLOW_WARNING, 0.6, "a.rather.long.path.0",
            "A sentence as long as what fits, which goes on and on and says one thing "
            "after "
            "the other until there is no place left for more of it, here.",
            "Evidence of every kind, as long as it may be: numbers, and what healthy "
            "ones would "
            "be, one after the other. Evidence of every kind, as long as it may be: "
            "numbers, and "
            "what healthy ones would be, one after the other. Evidence of every kind, as "
            "long as "
            "it may be: numbers, and what healthy ones would.",
            "A cure as long as what fits, which goes on and on and says one thing after "
            "the "
            "other until there is no place left for more of it, here at last.");
        add_trial(report, i, "branch_scale", i % 2 == 0, 0.1, 0.5, 6,
                  "a reason as long as what fits, which goes on and on",
                  "a();\nb();\nc();\nd();\ne();\nf();");
    }
    return report;
}

static const cr_flow_report *no_layers(void)
{
    cr_flow_report *report = report_made("no layers", 1, 2, 0);
    SNAPSHOT(report, 0).loss.value = SNAPSHOT(report, 1).loss.value = 1;
    SNAPSHOT(report, 1).step = 1;
    VERDICT(report, 0) =
        verdict_made(CR_FLOW_HEALTHY, CR_FLOW_NOTE, 0, "", "Nothing to see.", "", "");
    return report;
}

static const cr_flow_report *nothing(void)
{
    return make(1, sizeof(cr_flow_report));
}

static const struct {
    const char *name;
    const cr_flow_report *(*make)(void);
} reports[] = {
    { "sigmoid50", sigmoid50 }, { "cnn", cnn },         { "nan", nan_report },
    { "states", states },       { "names", names },     { "large", large },
    { "no_layers", no_layers }, { "nothing", nothing },
};

const char *flow_report_name(int i)
{
    return i < (int)(sizeof reports / sizeof *reports) ? reports[i].name : NULL;
}

const cr_flow_report *flow_report_made(const char *name)
{
    for (int i = 0; flow_report_name(i); i++)
        if (strcmp(flow_report_name(i), name) == 0)
            return reports[i].make();
    return NULL;
}
