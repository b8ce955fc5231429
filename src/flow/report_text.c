/* The report as text: the verdict, then the layers, then what was tried. It never has 40 lines. */
#include "lines.h"
#include "terminal.h"

enum {
    MOST_LINES = 39,
    LEAST_WIDTH = 24,
    MOST_WIDTH = 200,
    MARGIN = 10, /* of what stands behind a heading of the line */
    LEAST_ROWS = 6,
    GOOD_ROWS = 9, /* the table is given these if others can be shorter */
    MOST_ROWS = 24,
    MOST_VERDICTS = 4, /* further ones are counted */
    MOST_TRIALS = 5,
    MOST_CODE = 4, /* lines of it */
    LEAST_BAR = 8,
    MOST_BAR = 40
};

static cr__sink into(char *text, size_t capacity)
{
    text[0] = '\0';
    return (cr__sink){ .text = text, .capacity = capacity };
}

static cr__style severity_style(const cr_flow_verdict *verdict)
{
    static const cr__style styles[] = { CR__BLUE, CR__YELLOW, CR__RED };
    if (verdict->cause == CR_FLOW_HEALTHY)
        return CR__GREEN;
    return styles[verdict->severity];
}

/* What the line is about, and where its text begins. */
static void put_heading(cr__lines *lines, const char *heading)
{
    cr__line_text(lines, CR__BOLD, heading);
    cr__line_blanks(lines, MARGIN);
}

/* A power of ten, as it is read: 0.032, 3.2e-05 or 10^-41.6. */
static void put_power(cr__sink *sink, double log10)
{
    if (isnan(log10))
        cr__put(sink, "?");
    else if (fabs(log10) < 4)
        cr__put(sink, "%.3g", pow(10, log10));
    else
        cr__put(sink, "10^%.1f", log10);
}

/* ---- verdicts ---- */

static void write_title(cr__lines *lines, const cr_flow_report *report)
{
    char text[512];
    cr__sink sink = into(text, sizeof text);
    if (report->name && *report->name)
        cr__put(&sink, ": %s", report->name);
    if (report->n_snapshots > 0)
        cr__put(&sink, "; steps %lld to %lld, %d measured",
                (long long)report->snapshots->step,
                (long long)report->snapshots[report->n_snapshots - 1].step,
                report->n_snapshots);
    if (!report->saw_start)
        cr__put(&sink, "; the start was not seen");
    cr__line_text(lines, CR__BOLD, "chainrule flow");
    cr__line_words(lines, CR__BOLD, MARGIN, 2, text);
}

static void write_verdict(cr__lines *lines, const cr_flow_verdict *verdict, bool first)
{
    const cr__style style = severity_style(verdict);
    const bool healthy = verdict->cause == CR_FLOW_HEALTHY;
    char words[32];
    cr__cause_words(verdict->cause, words);
    cr__line_text(lines, style,
                  healthy                                ? "HEALTHY"
                  : verdict->severity == CR_FLOW_ALARM   ? "ALARM"
                  : verdict->severity == CR_FLOW_WARNING ? "WARNING"
                                                         : "NOTE");
    cr__line_blanks(lines, MARGIN);
    if (!healthy) {
        cr__line_text(lines, style, words);
        if (verdict->where && *verdict->where) {
            cr__line_text(lines, CR__PLAIN, " at ");
            cr__line_text(lines, CR__PLAIN, verdict->where);
        }
        cr__line_put(lines, CR__DIM, " (%.0f%% sure)", 100 * verdict->confidence);
        cr__line_text(lines, CR__PLAIN, first ? "" : ": ");
        if (first) {
            cr__line_end(lines);
            cr__line_blanks(lines, MARGIN);
        }
    }
    cr__line_words(lines, first ? CR__BOLD : CR__PLAIN, MARGIN, first ? 2 : 1,
                   verdict->what);
    if (first && verdict->evidence[0]) {
        put_heading(lines, "evidence");
        cr__line_words(lines, CR__PLAIN, MARGIN, 4, verdict->evidence);
    }
    if (first && verdict->cure[0]) {
        put_heading(lines, "try");
        cr__line_words(lines, CR__PLAIN, MARGIN, 2, verdict->cure);
    }
}

static void write_verdicts(cr__lines *lines, const cr_flow_report *report)
{
    const int n = report->n_verdicts;
    const int shown = n <= MOST_VERDICTS ? n : MOST_VERDICTS - 1;
    for (int i = 0; i < shown; i++)
        write_verdict(lines, &report->verdicts[i], i == 0);
    if (shown < n) {
        cr__line_blanks(lines, MARGIN);
        cr__line_put(lines, CR__DIM, "and %d more", n - shown);
        cr__line_end(lines);
    }
}

/* ---- the numbers of the whole ---- */

static void write_loss(cr__lines *lines, const cr_flow_report *report)
{
    const cr_flow_snapshot *first = report->snapshots;
    const cr_flow_snapshot *last = first + report->n_snapshots - 1;
    const cr_flow_loss *loss = &first->loss;
    char text[512];
    cr__sink sink = into(text, sizeof text);
    put_heading(lines, "loss");
    cr__put(&sink, "%.4g", loss->value);
    if (last != first)
        cr__put(&sink, " -> %.4g", last->loss.value);
    if (loss->op && *loss->op)
        cr__put(&sink, ", %s", loss->op);
    else if (loss->kind != CR_FLOW_LOSS_UNKNOWN)
        cr__put(&sink, ", %s", cr__loss_name(loss->kind));
    if (loss->samples > 0)
        cr__put(&sink, " of %lld x %lld outputs", (long long)loss->samples,
                (long long)loss->classes);
    if (loss->output.state == CR_FLOW_USUAL && loss->output.numel > 0)
        cr__put(&sink, " in [%.3g, %.3g]", loss->output.least, loss->output.most);
    if (isfinite(loss->target_least))
        cr__put(&sink, ", targets in [%.3g, %.3g]", loss->target_least,
                loss->target_most);
    if (isfinite(loss->learning_rate) && loss->learning_rate > 0)
        cr__put(&sink, ", lr %.3g", loss->learning_rate);
    cr__put(&sink, first->training ? ", training mode" : ", evaluation mode");
    cr__line_words(lines, CR__PLAIN, MARGIN, 2, text);
}

static void write_theory(cr__lines *lines, const cr_flow_report *report)
{
    const cr_flow_stack *stack = &report->stack;
    const cr_flow_prediction *p = &report->prediction;
    char text[512];
    cr__sink sink = into(text, sizeof text);
    put_heading(lines, "theory");
    cr__put(&sink, "%.2f decades per layer for %s, sigma_w^2 %.3g", p->decades,
            stack->activation->name, stack->sigma_w2);
    if (stack->norm != CR_FLOW_NO_NORM)
        cr__put(&sink, ", %s", cr__norm_name(stack->norm));
    if (stack->residual != CR_FLOW_PLAIN)
        cr__put(&sink, ", %s residual", cr__residual_name(stack->residual));
    if (isfinite(p->decades_activation) && isfinite(p->decades_weight))
        cr__put(&sink, " (slopes %+.2f, weights %+.2f)", p->decades_activation,
                p->decades_weight);
    cr__put(&sink, ", %s", cr__phase_name(p->phase));
    if (isfinite(report->measured_decades))
        cr__put(&sink, "; measured %.2f", report->measured_decades);
    cr__line_words(lines, CR__PLAIN, MARGIN, 2, text);
}

static void write_params(cr__lines *lines, const cr_flow_snapshot *snapshot)
{
    cr__range gradient = CR__NO_RANGE, ratio = CR__NO_RANGE;
    long long numbers = 0;
    int states[CR_FLOW_DISCONNECTED + 1] = { 0 }, frozen = 0, idle = 0;
    for (int i = 0; i < snapshot->n_params; i++) {
        const cr_flow_param *param = &snapshot->params[i];
        numbers += (long long)param->weight.numel;
        frozen += !param->requires_grad;
        idle += param->requires_grad && !param->in_optimiser;
        if (param->requires_grad && (size_t)param->gradient.state <= CR_FLOW_DISCONNECTED)
            states[param->gradient.state]++;
        cr__range_add(&gradient, param->gradient.log10_norm);
        cr__range_add(&ratio, param->update_ratio);
    }
    char text[512];
    cr__sink sink = into(text, sizeof text);
    put_heading(lines, "params");
    cr__put(&sink, "%d, %lld numbers", snapshot->n_params, numbers);
    if (cr__range_any(&gradient)) {
        cr__put(&sink, "; gradients ");
        put_power(&sink, gradient.least);
        cr__put(&sink, " to ");
        put_power(&sink, gradient.most);
    }
    if (cr__range_any(&ratio)) {
        cr__put(&sink, "; update/weight ");
        put_power(&sink, ratio.least);
        cr__put(&sink, " to ");
        put_power(&sink, ratio.most);
    }
    for (int i = 1; i < CR__FLOW_COUNT(states); i++)
        if (states[i])
            cr__put(&sink, "; %d %s", states[i], cr__state_name((cr_flow_state)i));
    if (frozen)
        cr__put(&sink, "; %d frozen", frozen);
    if (idle)
        cr__put(&sink, "; %d not in the optimiser", idle);
    cr__line_words(lines, CR__PLAIN, MARGIN, 2, text);
}

/* Residual branches and the Jacobian, where they were measured. */
static void write_jacobian(cr__lines *lines, const cr_flow_report *report,
                           const cr_flow_snapshot *snapshot)
{
    cr__range branch = CR__NO_RANGE, delta = CR__NO_RANGE;
    int n = 0;
    for (int i = 0; i < snapshot->n_layers; i++) {
        n += isfinite(snapshot->layers[i].branch);
        cr__range_add(&branch, snapshot->layers[i].branch);
        cr__range_add(&delta, snapshot->layers[i].branch_delta);
    }
    if (n > 0) {
        put_heading(lines, "branches");
        cr__line_put(lines, CR__PLAIN, "%d, with %.2f to %.2f of the sum", n,
                     branch.least, branch.most);
        if (cr__range_any(&delta))
            cr__line_put(lines, CR__PLAIN, ", %.2f to %.2f of the gradient", delta.least,
                         delta.most);
        cr__line_end(lines);
    }
    const cr_flow_spectrum *spectrum = &report->spectrum;
    if (cr__has_spectrum(report)) {
        put_heading(lines, "jacobian");
        cr__line_put(lines, CR__PLAIN, "singular values %.2g", spectrum->largest);
        if (isfinite(spectrum->smallest))
            cr__line_put(lines, CR__PLAIN, " to %.2g", spectrum->smallest);
        cr__line_put(lines, CR__PLAIN, ", root mean square %.2g (%lld x %lld)",
                     sqrt(spectrum->mean), (long long)spectrum->rows,
                     (long long)spectrum->columns);
        cr__line_end(lines);
    }
}

/* ---- the layers ---- */

/* A row of the table: a layer, or several that are folded. */
typedef struct layer_row {
    char name[64], kind[96], size[24], decades[16], rms[16], notes[96];
    double delta; /* for the bar; NaN: none */
    cr__style style;
} layer_row;

static void name_kinds(const cr__layers *layers, cr__fold fold, char *text,
                       size_t capacity)
{
    cr__sink sink = into(text, capacity);
    bool alike = true;
    for (int i = 0; i < fold.units * fold.period; i++)
        alike =
            alike && strcmp(cr__layer(layers, fold.first + i)->kind,
                            cr__layer(layers, fold.first + i % fold.period)->kind) == 0;
    if (!alike) {
        cr__put(&sink, "%d layers", fold.units * fold.period);
        return;
    }
    if (fold.units > 1)
        cr__put(&sink, "%d x ", fold.units);
    for (int i = 0; i < fold.period; i++)
        cr__put(&sink, "%s%s", i ? " " : "", cr__layer(layers, fold.first + i)->kind);
}

/* A word about the layers, behind a comma where there is one. */
CR_FORMAT(2, 3) static void add_note(layer_row *row, const char *format, ...)
{
    const size_t length = strlen(row->notes);
    cr__sink sink = { .text = row->notes + length,
                      .capacity = sizeof row->notes - length };
    va_list args;
    va_start(args, format);
    cr__put(&sink, length ? ", " : "");
    cr__put_list(&sink, format, args);
    va_end(args);
}

/* What is worth a word: far from what a layer usually does, not wrong by itself. */
static void note_layers(const cr__layers *layers, cr__fold fold, double most,
                        layer_row *row)
{
    int states[CR_FLOW_DISCONNECTED + 1] = { 0 }, not_finite = 0;
    cr__range saturated = CR__NO_RANGE, dead = CR__NO_RANGE, unlike = CR__NO_RANGE;
    const int n = fold.units * fold.period;
    for (int i = 0; i < n; i++) {
        const cr_flow_layer *layer = cr__layer(layers, fold.first + i);
        if ((size_t)layer->delta_y.state <= CR_FLOW_DISCONNECTED)
            states[layer->delta_y.state]++;
        not_finite += layer->y.nans > 0 || layer->y.infinities > 0;
        cr__range_add(&saturated, layer->saturated);
        cr__range_add(&dead, layer->dead);
        cr__range_add(&unlike, layer->unlike);
    }
    for (int i = CR__FLOW_COUNT(states) - 1; i > 0; i--) {
        const char *word = cr__state_name((cr_flow_state)i);
        if (states[i] && n > 1)
            add_note(row, "%d %s", states[i], word);
        else if (states[i] && strcmp(word, row->size) != 0)
            add_note(row, "%s", word);
        if (states[i])
            row->style = i == CR_FLOW_UNDERFLOWED ? CR__YELLOW : CR__RED;
    }
    if (not_finite) {
        add_note(row, "outputs not finite");
        row->style = CR__RED;
    }
    if (states[CR_FLOW_USUAL] == n && most - row->delta > 6)
        add_note(row, "small");
    if (saturated.most >= 0.8) /* half is what a relu does */
        add_note(row, "saturated %.0f%%", 100 * saturated.most);
    if (dead.most >= 0.25)
        add_note(row, "dead %.0f%%", 100 * dead.most);
    else if (unlike.least < 0.05)
        add_note(row, "samples alike");
}

/* The length of the path that both names begin with, up to its last point. */
static size_t common_path(const char *a, const char *b)
{
    size_t common = 0;
    for (size_t i = 0; a[i] && a[i] == b[i]; i++)
        if (a[i] == '.')
            common = i + 1;
    return common;
}

static void fill_row(const cr__layers *layers, cr__fold fold, double most, layer_row *row)
{
    const int last = fold.first + fold.units * fold.period - 1;
    const cr_flow_layer *from = cr__layer(layers, fold.first),
                        *to = cr__layer(layers, last);
    *row = (layer_row){ .delta = cr__delta(from), .style = CR__BLUE };
    cr__sink sink = into(row->name, sizeof row->name);
    cr__put(&sink, "%s", from->name);
    if (to != from)
        cr__put(&sink, "..%s", to->name + common_path(from->name, to->name));
    name_kinds(layers, fold, row->kind, sizeof row->kind);
    sink = into(row->size, sizeof row->size);
    if (isnan(row->delta))
        cr__put(&sink, "%s", cr__state_name(from->delta_y.state));
    else
        cr__put(&sink, "10^%.1f", row->delta);
    double decades = NAN;
    for (int i = fold.first; i <= last; i++) {
        const double gain = cr__layer(layers, i)->decades;
        if (isfinite(gain))
            decades = isnan(decades) ? gain : decades + gain;
    }
    sink = into(row->decades, sizeof row->decades);
    if (isfinite(decades))
        cr__put(&sink, "%+.2f", decades);
    sink = into(row->rms, sizeof row->rms);
    if (!isnan(to->y.rms))
        cr__put(&sink, "%.2g", to->y.rms);
    note_layers(layers, fold, most, row);
}

/* Eighths of a column. */
static void put_bar(cr__lines *lines, cr__style style, double share, int width)
{
    static const char *const parts[] = { "",       "\u258f", "\u258e", "\u258d",
                                         "\u258c", "\u258b", "\u258a", "\u2589" };
    const int eighths = (int)lround(share * 8 * width);
    for (int i = 0; i < eighths / 8; i++)
        cr__line_text(lines, style, "\u2588");
    cr__line_text(lines, style, eighths ? parts[eighths % 8] : "\u258f");
}

/* The columns of the table, in order. */
enum { NAME, KIND, SIZE, BAR, DECADES, RMS, NOTES, COLUMNS };
typedef struct layer_table {
    layer_row rows[MOST_ROWS];
    int n, widths[COLUMNS];
    bool any_bar;
    double from, to; /* the bars' scale */
} layer_table;

static const char *cell(const layer_row *row, int column)
{
    const char *const cells[COLUMNS] = { row->name,    row->kind, row->size, "",
                                         row->decades, row->rms,  row->notes };
    return cells[column];
}

static const char *const headings[COLUMNS] = { "layer",   "kind",   "delta", "",
                                               "decades", "rms(y)", "" };

/* Columns as wide as what they hold; the bar gets what is left, and the others yield to it. */
static void lay_out(layer_table *table, int width)
{
    int *const widths = table->widths;
    for (int c = 0; c < COLUMNS; c++) {
        widths[c] = cr__text_columns(headings[c]);
        for (int i = 0; i < table->n; i++) {
            const int columns = cr__text_columns(cell(&table->rows[i], c));
            if (columns > widths[c])
                widths[c] = columns;
        }
    }
    const int caps[COLUMNS] = { width / 4, width / 3, width,    width,
                                width,     width,     width / 5 };
    int used = COLUMNS - 1;
    for (int c = 0; c < COLUMNS; c++) {
        widths[c] = widths[c] < caps[c] ? widths[c] : caps[c];
        used += c != BAR ? widths[c] : 0;
    }
    /* Who yields first, and how far. */
    static const struct {
        int column, least;
    } yielding[] = {
        { KIND, 12 }, { NAME, 10 }, { RMS, 0 }, { KIND, 0 }, { DECADES, 0 }
    };
    for (int i = 0; i < CR__FLOW_COUNT(yielding) && width - used < LEAST_BAR; i++) {
        int *const column = &widths[yielding[i].column];
        const int missing = LEAST_BAR - (width - used);
        const int spare = *column - yielding[i].least;
        const int yielded = spare < missing ? spare : missing;
        if (yielded <= 0)
            continue;
        if (yielding[i].least == 0) {
            used -= *column;
            *column = 0;
        } else {
            used -= yielded;
            *column -= yielded;
        }
    }
    widths[BAR] = width - used;
    if (widths[BAR] > MOST_BAR)
        widths[BAR] = MOST_BAR;
}

/* Of a path that is too long, the end says more. */
static const char *tail_of(const char *text, int width)
{
    while (cr__text_columns(text) > width - 1)
        cr__utf8_next(&text);
    return text;
}

static void put_name(cr__lines *lines, const char *name, int width)
{
    if (width > 1 && cr__text_columns(name) > width) {
        cr__line_text(lines, CR__PLAIN, "\u2026");
        cr__line_cell(lines, CR__PLAIN, tail_of(name, width), width - 1, false);
    } else {
        cr__line_cell(lines, CR__PLAIN, name, width, false);
    }
}

static void write_row(cr__lines *lines, const layer_table *table, const layer_row *row)
{
    for (int c = 0; c < COLUMNS; c++) {
        const bool number = c == SIZE || c == DECADES || c == RMS;
        const int begin = lines->columns;
        if (c == NAME) {
            put_name(lines, row->name, table->widths[c]);
            continue;
        }
        if (c != BAR) {
            const bool marked = c == NOTES || (c == SIZE && isnan(row->delta));
            cr__line_cell(lines,
                          marked && row->style != CR__BLUE ? row->style : CR__PLAIN,
                          cell(row, c), table->widths[c], number);
            continue;
        }
        if (table->widths[BAR] <= 0)
            continue;
        if (isfinite(row->delta))
            put_bar(lines, row->style,
                    (row->delta - table->from) / (table->to - table->from),
                    table->widths[BAR]);
        cr__line_blanks(lines, begin + table->widths[BAR] + 1);
    }
    cr__line_end(lines);
}

static void write_headings(cr__lines *lines, const layer_table *table)
{
    for (int c = 0; c < COLUMNS; c++) {
        char scale[32];
        cr__sink sink = into(scale, sizeof scale);
        if (c == BAR && table->any_bar)
            cr__put(&sink, "10^%.0f..10^%.0f", table->from, table->to);
        if (sink.length > (size_t)table->widths[BAR])
            scale[0] = '\0';
        cr__line_cell(lines, CR__DIM, c == BAR ? scale : headings[c], table->widths[c],
                      c == SIZE || c == DECADES || c == RMS);
    }
    cr__line_end(lines);
}

/* At least four decades, so that what is alike looks alike. */
static void scale_bars(const cr__layers *layers, layer_table *table)
{
    cr__range range = CR__NO_RANGE;
    for (int i = 0; i < layers->n; i++)
        cr__range_add(&range, cr__delta(cr__layer(layers, i)));
    table->any_bar = cr__range_any(&range);
    table->to = table->any_bar ? ceil(range.most) : 0;
    table->from = table->any_bar ? floor(range.least) : 0;
    if (table->to - table->from < 4)
        table->from = table->to - 4;
}

static void write_layers(cr__lines *lines, const cr_flow_snapshot *snapshot, int rows)
{
    cr__layers layers;
    if (!cr__layers_of(snapshot, &layers)) {
        cr__line_text(lines, CR__RED, "no memory for the layers");
        cr__line_end(lines);
        return;
    }
    layer_table table = { .n = 0 };
    cr__fold folds[MOST_ROWS];
    if (layers.n > 0)
        table.n = cr__fold_layers(&layers, folds, rows);
    scale_bars(&layers, &table);
    for (int i = 0; i < table.n; i++)
        fill_row(&layers, folds[i], table.to, &table.rows[i]);
    lay_out(&table, lines->width);
    if (table.n > 0)
        write_headings(lines, &table);
    for (int i = 0; i < table.n; i++)
        write_row(lines, &table, &table.rows[i]);
    free(layers.places);
}

/* ---- what was tried ---- */

/* What is left to choose: rows of the table (0: no table), lines for each trial and its code. */
typedef struct text_layout {
    int rows, trial_lines, code_lines;
} text_layout;

static void write_code(cr__lines *lines, const char *code, int most)
{
    for (int n = 0; *code && n < most; n++) {
        const size_t length = strcspn(code, "\n");
        char line[256];
        cr__sink sink = into(line, sizeof line);
        cr__put_bytes(&sink, code, length);
        cr__line_blanks(lines, MARGIN + 2);
        cr__line_text(lines, CR__GREEN, line);
        cr__line_end(lines);
        code += length + (code[length] == '\n');
        if (*code && n + 1 == most) {
            cr__line_blanks(lines, MARGIN + 2);
            cr__line_text(lines, CR__DIM, "\u2026");
            cr__line_end(lines);
        }
    }
}

static void write_trial(cr__lines *lines, const cr_flow_trial *trial, int most)
{
    char text[512];
    cr__sink sink = into(text, sizeof text);
    cr__line_text(lines, trial->accepted ? CR__GREEN : CR__DIM,
                  trial->accepted ? "accepted" : "rejected");
    cr__line_blanks(lines, MARGIN);
    cr__line_text(lines, CR__BOLD, trial->remedy);
    cr__put(&sink, ": ");
    if (trial->reason[0])
        cr__put(&sink, "%s; ", trial->reason);
    cr__put(&sink, "decades %+.2f -> %+.2f, loss %.3g -> %.3g, better in %d of %d",
            trial->decades_before, trial->decades_after, trial->loss_before,
            trial->loss_after, trial->better, trial->seeds);
    cr__line_words(lines, CR__PLAIN, MARGIN, most, text);
}

/* The accepted ones first, as they came; the first of them is said in C. */
static void write_trials(cr__lines *lines, const cr_flow_report *report,
                         text_layout layout)
{
    int shown = 0, tried = 0;
    bool coded = false;
    for (int accepted = 1; accepted >= 0; accepted--)
        for (int i = 0; i < report->n_trials; i++) {
            const cr_flow_trial *trial = &report->trials[i];
            if (!trial->applies || trial->accepted != (accepted == 1) ||
                tried++ >= MOST_TRIALS)
                continue;
            write_trial(lines, trial, layout.trial_lines);
            if (accepted && !coded)
                write_code(lines, trial->code, layout.code_lines);
            coded = true;
            shown++;
        }
    if (tried > shown) {
        cr__line_blanks(lines, MARGIN);
        cr__line_put(lines, CR__DIM, "and %d more", tried - shown);
        cr__line_end(lines);
    }
}

/* ---- the whole ---- */

/* The snapshot that the first verdict speaks of. */
static const cr_flow_snapshot *telling_snapshot(const cr_flow_report *report)
{
    if (report->n_snapshots == 0)
        return NULL;
    for (int i = 0; i < report->n_snapshots && report->n_verdicts > 0; i++)
        if (report->snapshots[i].step == report->verdicts[0].step)
            return &report->snapshots[i];
    return report->snapshots;
}

static void write_text_report(cr__lines *lines, const cr_flow_report *report,
                              text_layout layout)
{
    const cr_flow_snapshot *snapshot = telling_snapshot(report);
    write_title(lines, report);
    write_verdicts(lines, report);
    if (snapshot) {
        write_loss(lines, report);
        if (cr__has_theory(report))
            write_theory(lines, report);
        if (snapshot->n_params > 0)
            write_params(lines, snapshot);
        write_jacobian(lines, report, snapshot);
        if (snapshot->step != report->snapshots->step)
            cr__line_put(lines, CR__DIM, "step %lld: ", (long long)snapshot->step);
        cr__line_text(lines, CR__DIM,
                      "delta: gradient of the loss by a layer's output, its 2-norm");
        cr__line_end(lines);
        if (layout.rows > 0)
            write_layers(lines, snapshot, layout.rows);
    }
    write_trials(lines, report, layout);
}

static void write_report_text(cr__sink *sink, const cr_flow_report *report,
                              cr_flow_text_opts opts)
{
    int width = opts.width > 0 ? opts.width : 80;
    width = width < LEAST_WIDTH ? LEAST_WIDTH : width > MOST_WIDTH ? MOST_WIDTH : width;
    cr__lines lines = { .width = width, .most = MOST_LINES, .colour = opts.colour };
    /* The roomiest one that leaves lines to the table, whose headings are one. */
    static const text_layout layouts[] = {
        { 0, 2, 12 }, { 0, 2, 6 }, { 0, 2, 3 }, { 0, 1, 6 }, { 0, 1, 3 }
    };
    text_layout layout = { 0 };
    for (int i = 0; i < CR__FLOW_COUNT(layouts) && layout.rows < GOOD_ROWS; i++) {
        layout = layouts[i];
        lines.n = 0;
        write_text_report(&lines, report, layout);
        layout.rows = MOST_LINES - 1 - lines.n;
    }
    layout.rows = layout.rows < LEAST_ROWS  ? LEAST_ROWS
                  : layout.rows > MOST_ROWS ? MOST_ROWS
                                            : layout.rows;
    lines.sink = sink;
    lines.n = 0;
    write_text_report(&lines, report, layout);
}

size_t cr_flow_text(const cr_flow_report *report, cr_flow_text_opts opts, char *text,
                    size_t capacity)
{
    cr__sink sink = { .text = text, .capacity = capacity };
    if (capacity > 0)
        text[0] = '\0';
    if (report)
        write_report_text(&sink, report, opts);
    return sink.length;
}

bool cr_flow_print(const cr_flow_report *report, FILE *file)
{
    if (!report || !file)
        return false;
    cr__sink sink = { .file = file };
    write_report_text(&sink, report,
                      (cr_flow_text_opts){ .width = cr__terminal_width(file),
                                           .colour = cr__terminal_colour(file) });
    return cr__sink_done(&sink);
}
