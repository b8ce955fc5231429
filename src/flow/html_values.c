/* Drawings of distributions, updates, the spectrum, the loss, and of what remedies did. */
#include "html.h"

enum {
    RIDGES = 14, /* layers whose distributions are drawn */
    RIDGE_HEIGHT = 28
};

/* ---- the loss ---- */

void cr__html_loss(cr__html *page)
{
    const cr_flow_report *report = page->report;
    cr__range range = CR__NO_RANGE;
    bool positive = true;
    for (int i = 0; i < report->n_snapshots; i++) {
        const double loss = report->snapshots[i].loss.value;
        cr__range_add(&range, loss);
        positive = positive && !(loss <= 0);
    }
    if (report->n_snapshots < 2 || !cr__range_any(&range))
        return;
    const bool logarithm = positive && range.most / range.least > 30;
    const cr_flow_snapshot *last = &report->snapshots[report->n_snapshots - 1];
    cr__html_section(
        page, "loss", "Does it learn?",
        "The loss at the steps that were measured. <b>It should fall</b>; batches "
        "differ, so it need not fall at every step.");
    cr__frame frame = { .label = "Loss by step",
                        .y_title = logarithm ? "loss of the step's batch, logarithmic"
                                             : "loss of the step's batch",
                        .x_title = "step",
                        .height = 170,
                        .x_from = (double)report->snapshots->step,
                        .x_to = (double)last->step,
                        .style = "",
                        .data = "" };
    cr__axis y = { CR__PLAIN_TICK, 0 };
    if (logarithm) {
        cr__plot_range(&(cr__range){ log10(range.least), log10(range.most) }, 1,
                       &frame.y_from, &frame.y_to);
        y = cr__html_power_axis(&frame, 5);
    } else {
        const double spread = range.most - range.least;
        const double least =
            spread > 1e-6 * fabs(range.most) ? spread : fabs(range.most) + 1e-30;
        y.step = cr__tick_step(0, least, 4, false);
        frame.y_from = floor(range.least / y.step) * y.step;
        frame.y_to = ceil(range.most / y.step + 1e-9) * y.step;
        if (!(frame.y_to > frame.y_from))
            frame.y_to = frame.y_from + y.step;
    }
    const double steps = frame.x_to - frame.x_from;
    const cr__plot plot = cr__frame_open(
        page->sink, &frame,
        (cr__axis){ CR__PLAIN_TICK, cr__tick_step(0, steps > 0 ? steps : 1, 8, true) },
        y);
    cr__put(page->sink, "<path class=\"curve c1\" d=\"");
    char pen = 'M';
    for (int i = 0; i < report->n_snapshots; i++) {
        const double loss = report->snapshots[i].loss.value;
        if (!isfinite(loss)) {
            pen = 'M';
            continue;
        }
        cr__put(page->sink, "%c%.1f %.1f", pen,
                cr__plot_x(&plot, (double)report->snapshots[i].step),
                cr__plot_y(&plot, logarithm ? log10(loss) : loss));
        pen = 'L';
    }
    cr__put(page->sink, "\"/>\n");
    cr__frame_close(page->sink, &frame);
    if (!isfinite(last->loss.value))
        cr__put(page->sink,
                "<p>The line ends where the loss is no number any more.</p>\n");
    cr__put(page->sink, "</section>\n");
}

/* ---- histograms ---- */

/* The layers that are drawn: evenly among those that have bins. */
typedef struct ridges {
    const cr_flow_layer *first[RIDGES], *last[RIDGES]; /* last: NULL without */
    int n;
} ridges;

static ridges choose_ridges(const cr__html *page)
{
    const cr_flow_report *report = page->report;
    const cr__layers *layers = &page->profile.layers;
    const cr_flow_snapshot *end = &report->snapshots[report->n_snapshots - 1];
    ridges chosen = { .n = 0 };
    int with = 0, seen = 0;
    for (int i = 0; i < layers->n; i++)
        with += cr__layer(layers, i)->y_bins || cr__layer(layers, i)->delta_bins;
    const int wanted = with < RIDGES ? with : RIDGES;
    for (int i = 0; i < layers->n && chosen.n < wanted; i++) {
        const cr_flow_layer *layer = cr__layer(layers, i);
        if (!layer->y_bins && !layer->delta_bins)
            continue;
        const int64_t due =
            wanted < 2 ? 0 : (int64_t)chosen.n * (with - 1) / (wanted - 1);
        if (seen++ < due)
            continue;
        chosen.last[chosen.n] =
            report->n_snapshots > 1 ? cr__html_leaf(page, end, i) : NULL;
        chosen.first[chosen.n++] = layer;
    }
    return chosen;
}

static const cr_flow_bins *bins_of(const cr_flow_layer *layer, bool back)
{
    return !layer ? NULL : back ? layer->delta_bins : layer->y_bins;
}

static void draw_ridge(const cr__plot *plot, const cr_flow_bins *bins, double base,
                       double scale, const char *style)
{
    const double octave = log10(2);
    const int n = CR__FLOW_COUNT(bins->share);
    cr__put(plot->sink, "<path class=\"%s\" d=\"M%.1f %.1f", style,
            cr__plot_x(plot, bins->from * octave), base);
    for (int i = 0; i < n; i++)
        cr__put(plot->sink, "L%.1f %.1f",
                cr__plot_x(plot, (bins->from + i + 0.5) * octave),
                base - (double)bins->share[i] * scale);
    cr__put(plot->sink, "L%.1f %.1fz\"/>", cr__plot_x(plot, (bins->from + n) * octave),
            base);
}

static void add_bins(cr__range *range, double *most, const cr_flow_bins *bins)
{
    for (int i = 0; bins && i < CR__FLOW_COUNT(bins->share); i++) {
        const double share = (double)bins->share[i];
        if (share > 0.002) {
            cr__range_add(range, (bins->from + i) * log10(2));
            cr__range_add(range, (bins->from + i + 1) * log10(2));
        }
        *most = share > *most ? share : *most;
    }
}

static void put_ridges(cr__html *page, const ridges *chosen, bool back)
{
    cr__range range = CR__NO_RANGE;
    double most = 0;
    for (int i = 0; i < chosen->n; i++) {
        add_bins(&range, &most, bins_of(chosen->first[i], back));
        add_bins(&range, &most, bins_of(chosen->last[i], back));
    }
    if (!(most > 0))
        return;
    cr__frame frame = { .label = back ? "Sizes of gradients" : "Sizes of outputs",
                        .y_title =
                            back ? "backward: elements of the gradient by the output"
                                 : "forward: elements of the output",
                        .x_title = "size of an element",
                        .height = chosen->n * RIDGE_HEIGHT + 12,
                        .style = "rows",
                        .data = "" };
    cr__plot_range(&range, 2, &frame.x_from, &frame.x_to);
    frame.y_to = 1;
    const cr__axis x = { CR__POWER_TICK,
                         cr__tick_step(frame.x_from, frame.x_to, 6, true) };
    cr__frame_begin(page->sink, &frame);
    cr__frame_ticks(page->sink, &frame, x, true);
    for (int i = 0; i < chosen->n; i++) {
        cr__frame_label_open(page->sink, (RIDGE_HEIGHT * (i + 1) + 2) / frame.height);
        cr__html_text(page, chosen->first[i]->name);
        cr__put(page->sink, " ");
        cr__html_text(page, chosen->first[i]->kind);
        cr__put(page->sink, "</span>");
    }
    const cr__plot plot = cr__frame_draw(page->sink, &frame);
    for (int i = 0; i < chosen->n; i++) {
        const double base = RIDGE_HEIGHT * (i + 1) + 8;
        const double scale = (RIDGE_HEIGHT - 4) / most;
        cr__put(page->sink, "<line class=\"grid\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>",
                CR__PLOT_WIDTH, base, base);
        if (bins_of(chosen->first[i], back))
            draw_ridge(&plot, bins_of(chosen->first[i], back), base, scale,
                       back ? "area back" : "area");
        if (bins_of(chosen->last[i], back))
            draw_ridge(&plot, bins_of(chosen->last[i], back), base, scale, "later");
    }
    cr__put(page->sink, "\n");
    cr__frame_close(page->sink, &frame);
}

void cr__html_bins(cr__html *page)
{
    const ridges chosen = choose_ridges(page);
    if (chosen.n == 0)
        return;
    cr__html_section(
        page, "sizes", "How large the numbers are",
        "For layers from input (above) to loss (below): which sizes their elements "
        "have, on one logarithmic scale. <b>Hills that stay below each other are "
        "good.</b> Hills that wander left vanish, to the right they explode. Filled: "
        "first step; line: last step.");
    cr__put(page->sink, "<div class=\"pair\">\n");
    put_ridges(page, &chosen, false);
    put_ridges(page, &chosen, true);
    cr__put(page->sink, "</div>\n</section>\n");
}

/* ---- branches ---- */

bool cr__html_branches(cr__html *page)
{
    const cr_flow_snapshot *first = page->report->snapshots;
    double *values = malloc(2 * ((size_t)first->n_layers + 1) * sizeof *values);
    if (!values)
        return false;
    int n = 0;
    double most = 1;
    for (int i = 0; i < first->n_layers; i++)
        n += isfinite(first->layers[i].branch);
    for (int i = 0, k = 0; i < first->n_layers; i++) {
        const cr_flow_layer *layer = &first->layers[i];
        if (!isfinite(layer->branch))
            continue;
        values[k] = layer->branch;
        values[n + k++] = layer->branch_delta;
        most = layer->branch > most ? layer->branch : most;
    }
    if (n > 0) {
        cr__html_section(
            page, "branches", "What residual branches contribute",
            "At each residual addition, the part that comes through the branch and "
            "not over the skip. <b>Between a tenth and two thirds is usual</b>; a "
            "branch near 0 does nothing yet, and one near 1 leaves the skip no say.");
        cr__legend_open(page->sink);
        cr__legend_entry(page->sink, "dots", "c1", "forward: |branch| / |sum|");
        cr__legend_entry(page->sink, "dots", "c3", "backward: share of the gradient");
        cr__legend_close(page->sink);
        cr__frame frame = { .label = "Share of the branch by residual addition",
                            .y_title = "share of the branch, first step",
                            .x_title = "residual addition, in the order of running",
                            .height = 150,
                            .x_from = -0.5,
                            .x_to = n - 0.5,
                            .y_to = ceil(most * 4) / 4,
                            .style = "",
                            .data = "" };
        const cr__plot plot = cr__frame_open(
            page->sink, &frame,
            (cr__axis){ CR__PLAIN_TICK, cr__tick_step(0, n, 10, true) },
            (cr__axis){ CR__PERCENT_TICK, cr__tick_step(0, frame.y_to, 4, false) });
        cr__draw_dots(&plot, &(cr__series){ values, n, 0, n - 1 }, "c1");
        cr__draw_dots(&plot, &(cr__series){ values + n, n, 0, n - 1 }, "c3");
        cr__frame_close(page->sink, &frame);
        cr__put(page->sink, "</section>\n");
    }
    free(values);
    return true;
}

/* ---- updates ---- */

bool cr__html_updates(cr__html *page)
{
    const cr_flow_report *report = page->report;
    if (report->n_snapshots == 0 || report->snapshots->n_params == 0)
        return true;
    const int n = report->snapshots->n_params;
    const cr_flow_snapshot *ends[2] = { report->snapshots,
                                        &report->snapshots[report->n_snapshots - 1] };
    /* The last update is known when the next step is: the snapshot before may be the last that has
     * them. */
    while (ends[1] > ends[0] &&
           (ends[1]->n_params != n || isnan(ends[1]->params->update_ratio)))
        ends[1]--;
    double *values = malloc(2 * (size_t)n * sizeof *values);
    cr__range range = CR__NO_RANGE;
    for (int i = 0; values && i < 2 * n; i++) {
        values[i] = ends[i / n]->params[i % n].update_ratio;
        cr__range_add(&range, values[i]);
    }
    if (values && cr__range_any(&range)) {
        cr__html_section(
            page, "updates", "Do the weights move?",
            "How far a step moves each parameter, compared with its size. <b>About "
            "10<sup>\u22123</sup> is usual</b> (shaded: a decade around it); a "
            "hundred times less hardly learns, a hundred times more forgets.");
        cr__legend_open(page->sink);
        cr__legend_entry(page->sink, "dots", "c1", "first step");
        if (ends[1] > ends[0])
            cr__legend_entry(page->sink, "dots", "c2", "last step");
        cr__legend_entry(page->sink, "area", "band", "usual");
        bool still = false;
        for (int i = 0; i < n; i++)
            still = still || ends[0]->params[i].update.state == CR_FLOW_ZERO;
        if (still)
            cr__legend_entry(page->sink, "dots", "state2",
                             "no change at all in the first step");
        cr__legend_close(page->sink);
        cr__range_add(&range, -4);
        cr__range_add(&range, -2);
        cr__frame frame = { .label = "Update over weight by parameter",
                            .y_title = "|update| / |weight|",
                            .x_title = "parameter, in the order of the network",
                            .height = 200,
                            .x_from = -0.5,
                            .x_to = n - 0.5,
                            .style = "",
                            .data = "" };
        cr__plot_range(&range, 2, &frame.y_from, &frame.y_to);
        const cr__plot plot =
            cr__frame_open(page->sink, &frame,
                           (cr__axis){ CR__PLAIN_TICK, cr__tick_step(0, n, 10, true) },
                           cr__html_power_axis(&frame, 6));
        cr__put(page->sink,
                "<rect class=\"band\" width=\"%d\" y=\"%.1f\" height=\"%.1f\"/>\n",
                CR__PLOT_WIDTH, cr__plot_y(&plot, -2.5),
                cr__plot_y(&plot, -3.5) - cr__plot_y(&plot, -2.5));
        if (ends[1] > ends[0])
            cr__draw_dots(&plot, &(cr__series){ values + n, n, 0, n - 1 }, "c2");
        cr__draw_dots(&plot, &(cr__series){ values, n, 0, n - 1 }, "c1");
        for (int i = 0; i < n; i++)
            values[i] =
                ends[0]->params[i].update.state == CR_FLOW_ZERO ? frame.y_from : NAN;
        cr__draw_dots(&plot, &(cr__series){ values, n, 0, n - 1 }, "state2");
        cr__frame_close(page->sink, &frame);
        cr__put(page->sink, "</section>\n");
    }
    free(values);
    return values != NULL;
}

/* ---- the spectrum ---- */

static void put_spectrum_mark(const cr__plot *plot, double value, const char *style)
{
    if (value > 0)
        cr__put(plot->sink, "<path class=\"curve %s\" d=\"M%.1f 8V%.0f\"/>", style,
                cr__plot_x(plot, log10(value)), plot->height);
}

void cr__html_spectrum(cr__html *page)
{
    const cr_flow_spectrum *spectrum = &page->report->spectrum;
    if (!cr__has_spectrum(page->report))
        return;
    cr__html_section(
        page, "spectrum", "How the network stretches directions",
        "Singular values of the Jacobian, from the first layer to the output: by how "
        "much a small "
        "change at the first layer grows in its different directions. <b>All near 1 is "
        "ideal</b>; where the smallest and the largest lie far apart, few directions "
        "survive.");
    const double middle = sqrt(spectrum->mean);
    cr__range range = CR__NO_RANGE;
    const double ends[] = { spectrum->largest, spectrum->smallest, middle };
    for (int i = 0; i < CR__FLOW_COUNT(ends); i++)
        cr__range_add(&range, ends[i] > 0 ? log10(ends[i]) : NAN);
    for (int i = 0; i < spectrum->n_values; i++)
        cr__range_add(&range, spectrum->values[i] > 0 ? log10(spectrum->values[i]) : NAN);
    cr__legend_open(page->sink);
    cr__legend_entry(page->sink, "line", "c3", "smallest and largest");
    cr__legend_entry(page->sink, "line", "c2", "root mean square");
    if (spectrum->n_values > 0)
        cr__legend_entry(page->sink, "line", "c1", "share of the values about here");
    cr__legend_close(page->sink);
    cr__frame frame = { .label = "Singular values",
                        .y_title = "",
                        .x_title = "singular value",
                        .height = 110,
                        .y_to = 1,
                        .style = "",
                        .data = "" };
    cr__plot_range(&range, 2, &frame.x_from, &frame.x_to);
    const cr__axis x = { CR__POWER_TICK,
                         cr__tick_step(frame.x_from, frame.x_to, 8, true) };
    const cr__plot plot = cr__frame_open(page->sink, &frame, x, (cr__axis){ 0 });
    cr__put(page->sink, "<line class=\"grid\" x2=\"%d\" y1=\"%.0f\" y2=\"%.0f\"/>",
            CR__PLOT_WIDTH, frame.height, frame.height);
    if (frame.x_from < 0 && frame.x_to > 0)
        cr__put(page->sink, "<line class=\"rule\" x1=\"%.1f\" x2=\"%.1f\" y2=\"%.0f\"/>",
                cr__plot_x(&plot, 0), cr__plot_x(&plot, 0), frame.height);
    double most = 0;
    for (int i = 0; i < spectrum->n_values; i++)
        most = spectrum->weights[i] > most ? spectrum->weights[i] : most;
    for (int i = 0; i < spectrum->n_values && most > 0; i++)
        if (spectrum->values[i] > 0)
            cr__put(page->sink, "<path class=\"curve c1 bar\" d=\"M%.1f %.0fv-%.1f\"/>",
                    cr__plot_x(&plot, log10(spectrum->values[i])), frame.height,
                    0.75 * frame.height * spectrum->weights[i] / most);
    put_spectrum_mark(&plot, spectrum->largest, "c3");
    put_spectrum_mark(&plot, spectrum->smallest, "c3");
    put_spectrum_mark(&plot, middle, "c2");
    cr__put(page->sink, "\n");
    cr__frame_close(page->sink, &frame);
    cr__put(page->sink, "<p>Largest %.3g, ", spectrum->largest);
    if (spectrum->smallest > 0)
        cr__put(page->sink, "smallest %.3g, their ratio %.3g, ", spectrum->smallest,
                spectrum->largest / spectrum->smallest);
    cr__put(page->sink, "root mean square %.3g; %lld outputs by %lld inputs.", middle,
            (long long)spectrum->rows, (long long)spectrum->columns);
    if (cr__has_theory(page->report) && spectrum->mean > 0 &&
        isfinite(page->report->prediction.jacobian_variance))
        cr__put(
            page->sink,
            " Variance of the squared values over their mean squared: %.3g, theory %.3g.",
            spectrum->variance / spectrum->mean / spectrum->mean,
            page->report->prediction.jacobian_variance);
    cr__put(page->sink, "</p>\n</section>\n");
}

/* ---- before and after ---- */

/* Layers of both are spread over the same width: the remedy may have brought some. */
static bool put_before_after(cr__html *page, const char *remedy)
{
    cr__layers after;
    bool made = cr__layers_of(page->report->after, &after);
    double *deltas = made ? cr__deltas(&after) : NULL;
    made = deltas != NULL;
    if (made && after.n > 0) {
        const cr__profile *profile = &page->profile;
        cr__range range = CR__NO_RANGE;
        for (int i = 0; i < profile->layers.n; i++)
            cr__range_add(&range, profile->first[i]);
        for (int i = 0; i < after.n; i++)
            cr__range_add(&range, deltas[i]);
        cr__legend_open(page->sink);
        cr__legend_entry(page->sink, "line", "c1", "before");
        cr__put(page->sink,
                "<span><svg width=\"26\" height=\"10\" aria-hidden=\"true\"><path "
                "class=\"curve c2\" d=\"M0 5H26\"/></svg>with ");
        cr__html_text(page, remedy);
        cr__put(page->sink, "</span>\n");
        cr__legend_close(page->sink);
        cr__frame frame = {
            .label = "Size of the gradient by depth, before and after",
            .y_title = "|\u03b4|: 2-norm of the gradient by a layer's output, first "
                       "step",
            .x_title = "depth: from the input to the loss",
            .height = 260,
            .x_to = 1,
            .style = "",
            .data = ""
        };
        cr__plot_range(&range, 4, &frame.y_from, &frame.y_to);
        const cr__plot plot =
            cr__frame_open(page->sink, &frame, (cr__axis){ CR__PERCENT_TICK, 0.25 },
                           cr__html_power_axis(&frame, 6));
        cr__draw_curve(&plot, &(cr__series){ profile->first, profile->layers.n, 0, 1 },
                       "c1");
        cr__draw_curve(&plot, &(cr__series){ deltas, after.n, 0, 1 }, "c2");
        cr__frame_close(page->sink, &frame);
    }
    free(deltas);
    free(after.places);
    return made;
}

static void put_trial(cr__html *page, const cr_flow_trial *trial)
{
    cr__put(page->sink, "<tr><td class=\"t\">");
    cr__html_text(page, trial->remedy);
    cr__put(page->sink, "</td><td class=\"t %s\">%s</td>", trial->accepted ? "yes" : "no",
            trial->accepted ? "\u2713 accepted" : "\u2717 rejected");
    cr__put(page->sink, "<td>");
    cr__put_signed(page->sink, trial->decades_before, 2);
    cr__put(page->sink, " \u2192 ");
    cr__put_signed(page->sink, trial->decades_after, 2);
    cr__put(page->sink,
            "</td><td>%.3g \u2192 %.3g</td><td>%d of %d</td><td class=\"t wide\">",
            trial->loss_before, trial->loss_after, trial->better, trial->seeds);
    cr__html_text(page, trial->reason);
    cr__put(page->sink, "</td></tr>\n");
}

static void put_code(cr__html *page, const cr_flow_trial *trial)
{
    cr__put(page->sink, "<h3>In C: ");
    cr__html_text(page, trial->remedy);
    cr__put(page->sink, "</h3>\n<pre><code>");
    cr__html_text(page, trial->code);
    cr__put(page->sink, "</code></pre>\n");
}

bool cr__html_trials(cr__html *page)
{
    const cr_flow_report *report = page->report;
    const char *accepted = NULL;
    int tried = 0;
    for (int i = 0; i < report->n_trials; i++) {
        tried += report->trials[i].applies;
        if (report->trials[i].accepted && !accepted)
            accepted = report->trials[i].remedy;
    }
    if (tried == 0)
        return true;
    cr__html_section(
        page, "remedies", "What was tried, and what it did",
        "Each remedy was applied to a copy, and both were trained from the same "
        "seeds. <b>Accepted</b> is what brings the gradient into its band and lets "
        "the loss fall further, in too many pairs to be chance.");
    bool made = true;
    if (report->after && accepted && page->profile.layers.n > 0)
        made = put_before_after(page, accepted);
    cr__put(page->sink,
            "<div class=\"scroll\"><table>\n<tr><th class=\"t\">remedy</th><th "
            "class=\"t\">result</th><th>decades per layer</th><th>loss</th>"
            "<th>better in</th><th class=\"t\">why</th></tr>\n");
    for (int i = 0; i < report->n_trials; i++)
        if (report->trials[i].applies)
            put_trial(page, &report->trials[i]);
    cr__put(page->sink, "</table></div>\n");
    for (int i = 0; i < report->n_trials; i++)
        if (report->trials[i].accepted && report->trials[i].code[0])
            put_code(page, &report->trials[i]);
    cr__put(page->sink, "</section>\n");
    return made;
}
