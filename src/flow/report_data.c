/* The report for programs: JSON with everything, CSV with a row for each layer and step. Both are
 * written from one description of the structs. */
#include "report.h"

typedef enum field_kind {
    A_TEXT,   /* const char * */
    AN_ARRAY, /* char[] */
    A_BOOL,
    AN_INT,
    A_LONG, /* int64_t */
    A_DOUBLE,
    A_CAUSE,
    A_SEVERITY,
    A_PHASE,
    A_NORM,
    A_RESIDUAL,
    AN_ACTIVATION,
    A_STATE,
    A_DTYPE,
    A_LOSS_KIND,
    BINS,   /* const cr_flow_bins * */
    A_SIZE, /* these hold fields of their own */
    A_LOSS
} field_kind;

typedef struct field {
    const char *name;
    field_kind kind;
    size_t offset;
} field;

#define FIELD(type, sort, member)                                       \
    {                                                                   \
        .name = #member, .kind = sort, .offset = offsetof(type, member) \
    }
#define END             \
    {                   \
        NULL, A_BOOL, 0 \
    }

#define SIZE(kind, member) FIELD(cr_flow_size, kind, member)
static const field size_fields[] = {
    SIZE(A_STATE, state),
    SIZE(A_DTYPE, dtype),
    SIZE(A_LONG, numel),
    SIZE(A_DOUBLE, log10_norm),
    SIZE(A_DOUBLE, rms),
    SIZE(A_DOUBLE, mean),
    SIZE(A_DOUBLE, least),
    SIZE(A_DOUBLE, most),
    SIZE(A_DOUBLE, zeros),
    SIZE(A_DOUBLE, subnormals),
    SIZE(A_DOUBLE, infinities),
    SIZE(A_DOUBLE, nans),
    END,
};

#define LAYER(kind, member) FIELD(cr_flow_layer, kind, member)
static const field layer_fields[] = {
    LAYER(A_TEXT, name),
    LAYER(A_TEXT, kind),
    LAYER(AN_INT, level),
    LAYER(A_BOOL, leaf),
    LAYER(A_DOUBLE, decades),
    LAYER(A_DOUBLE, saturated),
    LAYER(A_DOUBLE, dead),
    LAYER(A_DOUBLE, unlike),
    LAYER(A_DOUBLE, branch),
    LAYER(A_DOUBLE, branch_delta),
    LAYER(AN_INT, first_param),
    LAYER(AN_INT, n_params),
    LAYER(A_SIZE, x),
    LAYER(A_SIZE, y),
    LAYER(A_SIZE, delta_x),
    LAYER(A_SIZE, delta_y),
    LAYER(BINS, y_bins),
    LAYER(BINS, delta_bins),
    END,
};

#define PARAM(kind, member) FIELD(cr_flow_param, kind, member)
static const field param_fields[] = {
    PARAM(A_TEXT, name),
    PARAM(A_BOOL, in_optimiser),
    PARAM(A_BOOL, requires_grad),
    PARAM(A_SIZE, weight),
    PARAM(A_SIZE, gradient),
    PARAM(A_SIZE, buffer),
    PARAM(A_SIZE, update),
    PARAM(A_DOUBLE, buffer_along),
    PARAM(A_DOUBLE, update_ratio),
    PARAM(A_DOUBLE, rank),
    PARAM(A_DOUBLE, row_spread),
    PARAM(A_DOUBLE, gradient_row_spread),
    PARAM(A_LONG, fan_in),
    PARAM(A_LONG, fan_out),
    PARAM(A_DOUBLE, update_along_weight),
    PARAM(A_DOUBLE, update_along_gradient),
    PARAM(A_DOUBLE, signal_to_noise),
    PARAM(BINS, weight_bins),
    PARAM(BINS, gradient_bins),
    END,
};

#define LOSS(kind, member) FIELD(cr_flow_loss, kind, member)
static const field loss_fields[] = {
    LOSS(A_DOUBLE, value),
    LOSS(A_LOSS_KIND, kind),
    LOSS(A_DOUBLE, scale),
    LOSS(A_TEXT, op),
    LOSS(A_SIZE, output),
    LOSS(A_SIZE, target),
    LOSS(A_SIZE, delta),
    LOSS(AN_INT, rank_output),
    LOSS(AN_INT, rank_target),
    LOSS(A_LONG, samples),
    LOSS(A_LONG, classes),
    LOSS(A_DOUBLE, row_sum_least),
    LOSS(A_DOUBLE, row_sum_most),
    LOSS(A_DOUBLE, column_sum_least),
    LOSS(A_DOUBLE, column_sum_most),
    LOSS(A_DOUBLE, delta_row_sum),
    LOSS(A_DOUBLE, delta_column_sum),
    LOSS(A_DOUBLE, delta_along_residual),
    LOSS(A_DOUBLE, residual_log10),
    LOSS(A_DOUBLE, target_least),
    LOSS(A_DOUBLE, target_most),
    LOSS(A_DOUBLE, target_mean),
    LOSS(A_DOUBLE, target_rms),
    LOSS(A_DOUBLE, target_share),
    LOSS(A_DOUBLE, output_spread),
    LOSS(A_DOUBLE, gradient_log10),
    LOSS(A_DOUBLE, learning_rate),
    LOSS(A_DOUBLE, linear),
    LOSS(A_DOUBLE, repeat),
    LOSS(A_DOUBLE, peak),
    LOSS(A_DOUBLE, peak_even),
    END,
};

#define SNAPSHOT(kind, member) FIELD(cr_flow_snapshot, kind, member)
static const field snapshot_fields[] = {
    SNAPSHOT(A_LONG, step),
    SNAPSHOT(A_BOOL, training),
    SNAPSHOT(A_LOSS, loss),
    END,
};

#define VERDICT(kind, member) FIELD(cr_flow_verdict, kind, member)
static const field verdict_fields[] = {
    VERDICT(A_CAUSE, cause),
    VERDICT(A_SEVERITY, severity),
    VERDICT(A_DOUBLE, confidence),
    VERDICT(A_LONG, step),
    VERDICT(A_TEXT, where),
    VERDICT(AN_ARRAY, what),
    VERDICT(AN_ARRAY, evidence),
    VERDICT(AN_ARRAY, cure),
    VERDICT(AN_ARRAY, remedies),
    VERDICT(A_DOUBLE, amount),
    END,
};

#define TRIAL(kind, member) FIELD(cr_flow_trial, kind, member)
static const field trial_fields[] = {
    TRIAL(A_TEXT, remedy),          TRIAL(A_BOOL, applies),
    TRIAL(A_BOOL, accepted),        TRIAL(A_DOUBLE, decades_before),
    TRIAL(A_DOUBLE, decades_after), TRIAL(A_DOUBLE, loss_before),
    TRIAL(A_DOUBLE, loss_after),    TRIAL(AN_INT, seeds),
    TRIAL(AN_INT, better),          TRIAL(AN_ARRAY, reason),
    TRIAL(AN_ARRAY, code),          END,
};

#define STACK(kind, member) FIELD(cr_flow_stack, kind, member)
static const field stack_fields[] = {
    STACK(AN_ACTIVATION, activation),
    STACK(A_DOUBLE, sigma_w2),
    STACK(A_DOUBLE, sigma_b2),
    STACK(A_NORM, norm),
    STACK(A_RESIDUAL, residual),
    STACK(A_DOUBLE, branch_scale),
    STACK(A_DOUBLE, dropout),
    STACK(A_DOUBLE, q0),
    STACK(A_LONG, width),
    STACK(A_LONG, depth),
    STACK(A_BOOL, orthogonal),
    END,
};

#define PREDICTION(kind, member) FIELD(cr_flow_prediction, kind, member)
static const field prediction_fields[] = {
    PREDICTION(A_DOUBLE, q_star),
    PREDICTION(A_BOOL, diverges),
    PREDICTION(A_BOOL, every_q),
    PREDICTION(A_DOUBLE, chi),
    PREDICTION(A_DOUBLE, factor),
    PREDICTION(A_DOUBLE, decades),
    PREDICTION(A_DOUBLE, decades_activation),
    PREDICTION(A_DOUBLE, decades_weight),
    PREDICTION(A_DOUBLE, decades_norm),
    PREDICTION(A_DOUBLE, c_star),
    PREDICTION(A_DOUBLE, slope),
    PREDICTION(A_DOUBLE, xi_q),
    PREDICTION(A_DOUBLE, xi_c),
    PREDICTION(A_DOUBLE, xi_grad),
    PREDICTION(A_PHASE, phase),
    PREDICTION(A_DOUBLE, mu1),
    PREDICTION(A_DOUBLE, mu2),
    PREDICTION(A_DOUBLE, beta),
    PREDICTION(A_DOUBLE, jacobian_variance),
    END,
};

#define SPECTRUM(kind, member) FIELD(cr_flow_spectrum, kind, member)
static const field spectrum_fields[] = {
    SPECTRUM(A_DOUBLE, largest),
    SPECTRUM(A_DOUBLE, smallest),
    SPECTRUM(A_DOUBLE, mean),
    SPECTRUM(A_DOUBLE, variance),
    SPECTRUM(A_LONG, rows),
    SPECTRUM(A_LONG, columns),
    END,
};

/* ---- values ---- */

#define VALUE(type, at) (*(const type *)(const void *)(at))

/* The value's word, where words are what the kind has; NULL otherwise. */
static const char *word_of(field_kind kind, const char *at)
{
    switch (kind) {
    case A_TEXT:
        return VALUE(char *, at) ? VALUE(char *, at) : "";
    case AN_ARRAY:
        return at;
    case A_CAUSE:
        return cr_flow_cause_name(VALUE(cr_flow_cause, at));
    case A_SEVERITY:
        return cr__severity_name(VALUE(cr_flow_severity, at));
    case A_PHASE:
        return cr__phase_name(VALUE(cr_flow_phase, at));
    case A_NORM:
        return cr__norm_name(VALUE(cr_flow_norm, at));
    case A_RESIDUAL:
        return cr__residual_name(VALUE(cr_flow_residual, at));
    case A_STATE:
        return cr__state_name(VALUE(cr_flow_state, at));
    case A_DTYPE:
        return cr_dtype_name(VALUE(cr_dtype, at));
    case A_LOSS_KIND:
        return cr__loss_name(VALUE(cr_flow_loss_kind, at));
    case AN_ACTIVATION:
        return VALUE(cr_flow_activation *, at) ? VALUE(cr_flow_activation *, at)->name
                                               : "";
    default:
        return NULL;
    }
}

/* ---- JSON ---- */

/* JSON knows no NaN and no infinities. */
static void put_json_number(cr__sink *sink, double value)
{
    if (isfinite(value))
        cr__put(sink, "%.9g", value);
    else
        cr__put(sink, "null");
}

static void put_json_bins(cr__sink *sink, const cr_flow_bins *bins)
{
    if (!bins) {
        cr__put(sink, "null");
        return;
    }
    cr__put(sink, "{\"from\":%d,\"share\":[", bins->from);
    for (int i = 0; i < CR__FLOW_COUNT(bins->share); i++) {
        cr__put(sink, i ? "," : "");
        cr__put(sink, "%.4g", isfinite(bins->share[i]) ? (double)bins->share[i] : 0);
    }
    cr__put(sink, "]}");
}

static void put_json_fields(cr__sink *sink, const field *fields, const void *object);

static void put_json_value(cr__sink *sink, field_kind kind, const char *at)
{
    const char *word = word_of(kind, at);
    if (word) {
        cr__put(sink, "\"");
        cr__put_text(sink, CR__AS_JSON, word);
        cr__put(sink, "\"");
    } else if (kind == A_BOOL) {
        cr__put(sink, VALUE(bool, at) ? "true" : "false");
    } else if (kind == AN_INT) {
        cr__put(sink, "%d", VALUE(int, at));
    } else if (kind == A_LONG) {
        cr__put(sink, "%lld", (long long)VALUE(int64_t, at));
    } else if (kind == A_DOUBLE) {
        put_json_number(sink, VALUE(double, at));
    } else if (kind == BINS) {
        put_json_bins(sink, VALUE(cr_flow_bins *, at));
    } else {
        cr__put(sink, "{");
        put_json_fields(sink, kind == A_SIZE ? size_fields : loss_fields, at);
        cr__put(sink, "}");
    }
}

static void put_json_fields(cr__sink *sink, const field *fields, const void *object)
{
    for (const field *f = fields; f->name; f++) {
        cr__put(sink, "%s\"%s\":", f == fields ? "" : ",", f->name);
        put_json_value(sink, f->kind, (const char *)object + f->offset);
    }
}

static void put_json_array(cr__sink *sink, const char *name, const field *fields,
                           const void *objects, int n, size_t bytes)
{
    cr__put(sink, "\"%s\":[", name);
    for (int i = 0; i < n; i++) {
        cr__put(sink, i ? ",\n{" : "\n{");
        put_json_fields(sink, fields, (const char *)objects + (size_t)i * bytes);
        cr__put(sink, "}");
    }
    cr__put(sink, "]");
}

static void put_json_snapshot(cr__sink *sink, const cr_flow_snapshot *snapshot)
{
    cr__put(sink, "{");
    put_json_fields(sink, snapshot_fields, snapshot);
    cr__put(sink, ",\n");
    put_json_array(sink, "layers", layer_fields, snapshot->layers, snapshot->n_layers,
                   sizeof *snapshot->layers);
    cr__put(sink, ",\n");
    put_json_array(sink, "params", param_fields, snapshot->params, snapshot->n_params,
                   sizeof *snapshot->params);
    cr__put(sink, "}");
}

static void put_json_object(cr__sink *sink, const char *name, const field *fields,
                            const void *object)
{
    cr__put(sink, "\"%s\":{", name);
    put_json_fields(sink, fields, object);
    cr__put(sink, "},\n");
}

/* What JSON says of a spectrum beyond its fields: the quadrature. */
static void put_json_spectrum(cr__sink *sink, const cr_flow_spectrum *spectrum)
{
    cr__put(sink, "\"spectrum\":{");
    put_json_fields(sink, spectrum_fields, spectrum);
    for (int which = 0; which < 2; which++) {
        cr__put(sink, ",\"%s\":[", which ? "weights" : "values");
        for (int i = 0; i < spectrum->n_values; i++) {
            cr__put(sink, i ? "," : "");
            put_json_number(sink, (which ? spectrum->weights : spectrum->values)[i]);
        }
        cr__put(sink, "]");
    }
    cr__put(sink, "},\n");
}

static void put_json_report(cr__sink *sink, const cr_flow_report *report)
{
    cr__put(sink, "{\"chainrule\":\"%s\",\n\"name\":\"", cr_version());
    cr__put_text(sink, CR__AS_JSON, report->name ? report->name : "");
    cr__put(sink, "\",\n\"outcome\":\"%s\",\n\"saw_start\":%s,\n\"measured_decades\":",
            cr__outcome(report), report->saw_start ? "true" : "false");
    put_json_number(sink, report->measured_decades);
    cr__put(sink, ",\n");
    put_json_array(sink, "verdicts", verdict_fields, report->verdicts, report->n_verdicts,
                   sizeof *report->verdicts);
    cr__put(sink, ",\n");
    put_json_array(sink, "trials", trial_fields, report->trials, report->n_trials,
                   sizeof *report->trials);
    cr__put(sink, ",\n");
    if (cr__has_theory(report)) {
        put_json_object(sink, "stack", stack_fields, &report->stack);
        put_json_object(sink, "prediction", prediction_fields, &report->prediction);
    }
    if (cr__has_spectrum(report))
        put_json_spectrum(sink, &report->spectrum);
    cr__put(sink, "\"snapshots\":[");
    for (int i = 0; i < report->n_snapshots; i++) {
        cr__put(sink, i ? ",\n" : "\n");
        put_json_snapshot(sink, &report->snapshots[i]);
    }
    cr__put(sink, "],\n\"after\":");
    if (report->after)
        put_json_snapshot(sink, report->after);
    else
        cr__put(sink, "null");
    cr__put(sink, "}\n");
}

bool cr_flow_json(const cr_flow_report *report, FILE *file)
{
    cr__sink sink = { .file = file };
    if (!report || !file)
        return false;
    put_json_report(&sink, report);
    return cr__sink_done(&sink);
}

/* ---- CSV (RFC 4180, but for line ends, which are \n) ---- */

static void put_csv_value(cr__sink *sink, field_kind kind, const char *at)
{
    const char *word = word_of(kind, at);
    if (word) {
        cr__put(sink, "\"");
        cr__put_text(sink, CR__AS_CSV, word);
        cr__put(sink, "\"");
    } else if (kind == A_DOUBLE) {
        const double value = VALUE(double, at);
        if (isinf(value))
            cr__put(sink, "%s", value > 0 ? "inf" : "-inf");
        else if (!isnan(value)) /* an empty cell is a missing value */
            cr__put(sink, "%.9g", value);
    } else {
        put_json_value(sink, kind, at);
    }
}

/* Names or values of the fields, sizes spread out: y_rms, ..; object NULL: the names. */
static void put_csv_fields(cr__sink *sink, const field *fields, const char *prefix,
                           const char *object)
{
    for (const field *f = fields; f->name; f++) {
        if (f->kind == BINS)
            continue;
        if (f->kind == A_SIZE) {
            put_csv_fields(sink, size_fields, f->name,
                           object ? object + f->offset : NULL);
            continue;
        }
        cr__put(sink, ",");
        if (object)
            put_csv_value(sink, f->kind, object + f->offset);
        else
            cr__put(sink, "%s%s%s", prefix, *prefix ? "_" : "", f->name);
    }
}

/* What a layer's own parameters come to together. */
static const struct {
    const char *name;
    size_t member;
} totals[] = {
    { "weight_log10_norm", offsetof(cr_flow_param, weight) },
    { "gradient_log10_norm", offsetof(cr_flow_param, gradient) },
    { "update_log10_norm", offsetof(cr_flow_param, update) },
};

bool cr_flow_csv(const cr_flow_report *report, FILE *file)
{
    cr__sink sink = { .file = file };
    if (!report || !file)
        return false;
    cr__put(&sink, "step,layer");
    put_csv_fields(&sink, layer_fields, "", NULL);
    for (int t = 0; t < CR__FLOW_COUNT(totals); t++)
        cr__put(&sink, ",%s", totals[t].name);
    cr__put(&sink, "\n");
    for (int s = 0; s < report->n_snapshots; s++) {
        const cr_flow_snapshot *snapshot = &report->snapshots[s];
        for (int i = 0; i < snapshot->n_layers; i++) {
            const cr_flow_layer *layer = &snapshot->layers[i];
            cr__put(&sink, "%lld,%d", (long long)snapshot->step, i);
            put_csv_fields(&sink, layer_fields, "", (const char *)layer);
            for (int t = 0; t < CR__FLOW_COUNT(totals); t++) {
                const double total = cr__params_log10(snapshot, layer, totals[t].member);
                cr__put(&sink, ",");
                put_csv_value(&sink, A_DOUBLE, (const char *)&total);
            }
            cr__put(&sink, "\n");
        }
    }
    return cr__sink_done(&sink);
}
