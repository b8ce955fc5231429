/* Drawings whose x are the layers: the gradient, its causes, the signal, the history. */
#include "html.h"

enum {
    MOST_HITS = 300, /* layers that show their numbers without the script */
    LEVELS = 11      /* of colour in the heat map */
};

/* The frame of everything whose x is the layers: cells from i - 1/2 to i + 1/2. */
cr__frame cr__html_layers_frame(const cr__html *page, const char *label,
                                const char *y_title, double height)
{
    const int n = page->profile.layers.n;
    return (cr__frame){ .label = label,
                        .y_title = y_title,
                        .x_title =
                            "layer, in the order of running: input on the left, loss on "
                            "the right",
                        .height = height,
                        .x_from = -0.5,
                        .x_to = n - 0.5,
                        .layers = n,
                        .style = "",
                        .data = "" };
}

cr__axis cr__html_layers_axis(const cr__html *page)
{
    return (cr__axis){ CR__PLAIN_TICK,
                       cr__tick_step(0, page->profile.layers.n, 10, true) };
}

cr__axis cr__html_power_axis(const cr__frame *frame, int most)
{
    return (cr__axis){ CR__POWER_TICK,
                       cr__tick_step(frame->y_from, frame->y_to, most, true) };
}

/* Numbers that show where the pointer rests. */
static void put_layer_hits(cr__html *page, const cr__plot *plot)
{
    const cr__layers *layers = &page->profile.layers;
    for (int i = 0; i < layers->n && layers->n <= MOST_HITS; i++) {
        const cr_flow_layer *layer = cr__layer(layers, i);
        const double left = cr__plot_x(plot, i - 0.5), right = cr__plot_x(plot, i + 0.5);
        cr__put(page->sink,
                "<rect class=\"hit\" x=\"%.1f\" width=\"%.1f\" height=\"%.0f\"><title>",
                left, right - left, plot->height);
        cr__html_text(page, layer->name);
        cr__put(page->sink, " ");
        cr__html_text(page, layer->kind);
        if (isfinite(cr__delta(layer)))
            cr__put(page->sink, ": 10^%.2f", cr__delta(layer));
        else
            cr__put(page->sink, ": %s", cr__state_name(layer->delta_y.state));
        if (isfinite(layer->decades))
            cr__put(page->sink, ", %+.2f decades", layer->decades);
        cr__put(page->sink, "</title></rect>\n");
    }
}

/* ---- the gradient's way ---- */

void cr__html_profile(cr__html *page)
{
    const cr__profile *profile = &page->profile;
    const bool bands = profile->theory && isfinite(page->report->prediction.beta) &&
                       page->report->prediction.beta > 0;
    cr__html_section(
        page, "profile", "How much of the gradient reaches each layer",
        "The gradient starts at the loss, on the right, and travels left. <b>Level is "
        "good.</b> Where the line sinks to the left, the gradient vanishes, and what "
        "lies "
        "there does not learn; where it rises, it explodes.");
    cr__legend_open(page->sink);
    char step[40];
    snprintf(step, sizeof step, "step %lld", (long long)page->report->snapshots->step);
    cr__legend_entry(page->sink, "line", "c1", step);
    if (profile->last) {
        snprintf(step, sizeof step, "step %lld", (long long)profile->last_of->step);
        cr__legend_entry(page->sink, "line", "c2", step);
    }
    if (profile->has_sums)
        cr__legend_entry(page->sink, "dots", "c4",
                         "of the whole residual block, which theory means");
    if (profile->theory)
        cr__legend_entry(page->sink, "line", "theory", "theory of infinite width");
    if (bands)
        cr__legend_entry(page->sink, "area", "band", "95% of networks of this width");
    static const struct {
        cr_flow_state state;
        const char *style, *text;
    } marks[] = {
        { CR_FLOW_ZERO, "state2", "exactly zero" },
        { CR_FLOW_NOT_FINITE, "state3", "NaN or infinite" },
        { CR_FLOW_DISCONNECTED, "state4", "disconnected: no path from the loss" },
    };
    for (int m = 0; m < CR__FLOW_COUNT(marks); m++) {
        bool any = false;
        for (int i = 0; i < profile->layers.n; i++)
            any = any || cr__layer(&profile->layers, i)->delta_y.state == marks[m].state;
        if (any)
            cr__legend_entry(page->sink, "dots", marks[m].style, marks[m].text);
    }
    cr__legend_close(page->sink);
    cr__frame frame = cr__html_layers_frame(
        page, "Size of the gradient by layer",
        "|\u03b4|: 2-norm of the gradient by a layer's output", 340);
    cr__plot_range(&profile->range, 4, &frame.y_from, &frame.y_to);
    char data[128] = "";
    cr__sink sink = { .text = data, .capacity = sizeof data };
    cr__put(&sink, "data-low=\"%.6g\" data-high=\"%.6g\" data-height=\"%.0f\"",
            frame.y_from, frame.y_to, frame.height);
    frame.data = data;
    const cr__plot plot = cr__frame_open(page->sink, &frame, cr__html_layers_axis(page),
                                         cr__html_power_axis(&frame, 8));
    cr__draw_profile(&plot, profile);
    put_layer_hits(page, &plot);
    cr__frame_close(page->sink, &frame);
    cr__put(page->sink, "</section>\n");
}

/* ---- where it is won and lost ---- */

/* Sums over the first snapshot's leaves. */
typedef struct part_sums {
    double decades[CR__PARTS];
    int layers[CR__PARTS];
} part_sums;

static part_sums sum_parts(const cr__html *page)
{
    part_sums sums = { 0 };
    for (int i = 0; i < page->profile.layers.n; i++) {
        const cr_flow_layer *layer = cr__layer(&page->profile.layers, i);
        const cr__part part = cr__part_of(layer);
        sums.layers[part]++;
        sums.decades[part] += isfinite(layer->decades) ? layer->decades : 0;
    }
    return sums;
}

static void put_part_table(cr__html *page, const part_sums *sums)
{
    const cr_flow_prediction *p = &page->report->prediction;
    const double predicted[CR__PARTS] = { p->decades_weight, p->decades_activation,
                                          p->decades_norm, NAN };
    const bool theory = cr__has_theory(page->report) && isfinite(p->decades_weight);
    cr__put(page->sink,
            "<div class=\"scroll\"><table>\n<tr><th class=\"t\">cause</th>"
            "<th>layers</th><th>decades</th><th>per layer</th>%s</tr>\n",
            theory ? "<th>theory, per layer</th>" : "");
    for (int i = 0; i < CR__PARTS; i++) {
        if (sums->layers[i] == 0)
            continue;
        cr__put(page->sink, "<tr><td class=\"t\">%s</td><td>%d</td><td>",
                cr__part_name((cr__part)i), sums->layers[i]);
        cr__put_signed(page->sink, sums->decades[i], 2);
        cr__put(page->sink, "</td><td>");
        cr__put_signed(page->sink, sums->decades[i] / sums->layers[i], 3);
        cr__put(page->sink, "</td>");
        if (theory) {
            cr__put(page->sink, "<td>");
            if (isfinite(predicted[i]))
                cr__put_signed(page->sink, predicted[i], 3);
            cr__put(page->sink, "</td>");
        }
        cr__put(page->sink, "</tr>\n");
    }
    cr__put(page->sink, "</table></div>\n");
}

void cr__html_parts(cr__html *page)
{
    const part_sums sums = sum_parts(page);
    const cr__layers *layers = &page->profile.layers;
    cr__range range = CR__NO_RANGE;
    for (int i = 0; i < layers->n; i++)
        cr__range_add(&range, cr__layer(layers, i)->decades);
    if (!cr__range_any(&range))
        return;
    cr__range_add(&range, 0);
    cr__html_section(
        page, "causes", "Where it is won and lost, and by what",
        "A bar for each layer: how many decades the gradient wins (up) or loses (down) "
        "in "
        "it. <b>Many small losses of one colour add up</b>; a single long bar is one "
        "layer to look at.");
    cr__legend_open(page->sink);
    static const char *const styles[] = { "part0", "part1", "part2", "part3" };
    for (int i = 0; i < CR__PARTS; i++)
        if (sums.layers[i])
            cr__legend_entry(page->sink, "area", styles[i], cr__part_name((cr__part)i));
    cr__legend_close(page->sink);
    cr__frame frame = cr__html_layers_frame(page, "Decades won or lost by layer",
                                            "decades won or lost in the layer", 200);
    const double step = cr__tick_step(range.least, range.most, 5, false);
    frame.y_from = floor(range.least / step) * step;
    frame.y_to = ceil(range.most / step) * step;
    const cr__plot plot = cr__frame_open(page->sink, &frame, cr__html_layers_axis(page),
                                         (cr__axis){ CR__PLAIN_TICK, step });
    cr__put(page->sink, "<line class=\"axis\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
            CR__PLOT_WIDTH, cr__plot_y(&plot, 0), cr__plot_y(&plot, 0));
    for (int i = 0; i < layers->n; i++) {
        const cr_flow_layer *layer = cr__layer(layers, i);
        if (!isfinite(layer->decades))
            continue;
        const double zero = cr__plot_y(&plot, 0), end = cr__plot_y(&plot, layer->decades);
        cr__put(page->sink,
                "<rect class=\"part%d\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
                "height=\"%.1f\"/>",
                (int)cr__part_of(layer), cr__plot_x(&plot, i - 0.4),
                zero < end ? zero : end, 0.8 * plot.width / layers->n, fabs(end - zero));
    }
    put_layer_hits(page, &plot);
    cr__frame_close(page->sink, &frame);
    put_part_table(page, &sums);
    cr__put(page->sink, "</section>\n");
}

/* ---- the signal's way forward ---- */

/* A member of cr_flow_layer for each leaf, by its log10 if so wanted. NULL without memory. */
static double *leaf_values(const cr__html *page, const cr_flow_snapshot *snapshot,
                           size_t member, bool logarithm)
{
    const int n = page->profile.layers.n;
    double *values = malloc(((size_t)n + 1) * sizeof *values);
    for (int i = 0; values && i < n; i++) {
        const cr_flow_layer *layer = cr__html_leaf(page, snapshot, i);
        values[i] = NAN;
        if (layer)
            memcpy(&values[i], (const char *)layer + member, sizeof values[i]);
        if (logarithm)
            values[i] = values[i] > 0 ? log10(values[i]) : NAN;
    }
    return values;
}

static void put_output_sizes(cr__html *page, const double *first, const double *last)
{
    const int n = page->profile.layers.n;
    cr__range range = CR__NO_RANGE;
    for (int i = 0; i < n; i++) {
        cr__range_add(&range, first[i]);
        cr__range_add(&range, last[i]);
    }
    cr__frame frame = cr__html_layers_frame(page, "Size of the outputs by layer",
                                            "root mean square of a layer's output", 200);
    cr__plot_range(&range, 2, &frame.y_from, &frame.y_to);
    const cr__plot plot = cr__frame_open(page->sink, &frame, cr__html_layers_axis(page),
                                         cr__html_power_axis(&frame, 5));
    if (page->profile.last)
        cr__draw_curve(&plot, &(cr__series){ last, n, 0, n - 1 }, "c2");
    cr__draw_curve(&plot, &(cr__series){ first, n, 0, n - 1 }, "c1");
    cr__frame_close(page->sink, &frame);
}

static void put_shares(cr__html *page, const double *saturated, const double *dead)
{
    const int n = page->profile.layers.n;
    bool any = false;
    for (int i = 0; i < n; i++)
        any = any || saturated[i] > 0.05 || dead[i] > 0.05;
    if (!any)
        return;
    cr__put(
        page->sink,
        "<p class=\"read\">Shares of outputs that pass (almost) no gradient on: "
        "saturated ones lie where the activation is flat, dead units give the "
        "same for every sample. A relu is flat for half of what comes, and a third of "
        "dead units is no reason to worry.</p>\n");
    cr__legend_open(page->sink);
    cr__legend_entry(page->sink, "dots", "c3", "saturated");
    cr__legend_entry(page->sink, "dots", "c4", "dead");
    cr__legend_close(page->sink);
    cr__frame frame =
        cr__html_layers_frame(page, "Saturated outputs and dead units by layer",
                              "share of the layer, first step", 120);
    frame.y_to = 1;
    const cr__plot plot = cr__frame_open(page->sink, &frame, cr__html_layers_axis(page),
                                         (cr__axis){ CR__PERCENT_TICK, 0.25 });
    cr__draw_dots(&plot, &(cr__series){ saturated, n, 0, n - 1 }, "c3");
    cr__draw_dots(&plot, &(cr__series){ dead, n, 0, n - 1 }, "c4");
    cr__frame_close(page->sink, &frame);
}

bool cr__html_forward(cr__html *page)
{
    const cr_flow_report *report = page->report;
    const cr_flow_snapshot *last = &report->snapshots[report->n_snapshots - 1];
    const size_t rms = offsetof(cr_flow_layer, y) + offsetof(cr_flow_size, rms);
    double *values[4] = {
        leaf_values(page, report->snapshots, rms, true),
        leaf_values(page, last, rms, true),
        leaf_values(page, report->snapshots, offsetof(cr_flow_layer, saturated), false),
        leaf_values(page, report->snapshots, offsetof(cr_flow_layer, dead), false),
    };
    const bool made = values[0] && values[1] && values[2] && values[3];
    if (made) {
        cr__html_section(
            page, "forward", "How large the signal is on its way forward",
            "The outputs of each layer, input on the left. <b>Level is good</b> here "
            "too: a signal that shrinks or grows on the way forward makes the gradient "
            "do so on the way back.");
        if (page->profile.last) {
            cr__legend_open(page->sink);
            cr__legend_entry(page->sink, "line", "c1", "first step");
            cr__legend_entry(page->sink, "line", "c2", "last step");
            cr__legend_close(page->sink);
        }
        put_output_sizes(page, values[0], values[1]);
        put_shares(page, values[2], values[3]);
        cr__put(page->sink, "</section>\n");
    }
    for (int i = 0; i < CR__FLOW_COUNT(values); i++)
        free(values[i]);
    return made;
}

/* ---- layer by step ---- */

/* Which colour: a level of the ramp, or beyond it a state's; -1: none. */
static int heat_of(const cr_flow_layer *layer, double from, double to)
{
    if (!layer)
        return -1;
    const double delta = cr__delta(layer);
    if (isfinite(delta)) {
        const int level = (int)((delta - from) / (to - from) * LEVELS);
        return level < 0 ? 0 : level >= LEVELS ? LEVELS - 1 : level;
    }
    return layer->delta_y.state >= CR_FLOW_ZERO ? LEVELS + (int)layer->delta_y.state : -1;
}

/* All cells of one colour are one path, whose runs are drawn at once. */
static void put_heat(cr__html *page, const cr__plot *plot, int colour, double from,
                     double to)
{
    const int n = page->profile.layers.n;
    bool any = false;
    for (int s = 0; s < page->n_steps; s++)
        for (int i = 0; i < n; i++) {
            if (heat_of(cr__html_leaf(page, cr__html_step(page, s), i), from, to) !=
                colour)
                continue;
            int end = i + 1;
            while (end < n && heat_of(cr__html_leaf(page, cr__html_step(page, s), end),
                                      from, to) == colour)
                end++;
            if (!any)
                cr__put(page->sink, "<path class=\"%c%d\" d=\"",
                        colour < LEVELS ? 'q' : 'h',
                        colour < LEVELS ? colour : colour - LEVELS);
            any = true;
            const double left = cr__plot_x(plot, i - 0.5),
                         right = cr__plot_x(plot, end - 0.5);
            const double height = plot->height / page->n_steps;
            cr__put(page->sink, "M%.1f %.1fh%.1fv%.1fh-%.1fz", left, s * height,
                    right - left, height, right - left);
            i = end - 1;
        }
    if (any)
        cr__put(page->sink, "\"/>\n");
}

static bool any_state(const cr__html *page, cr_flow_state state)
{
    for (int s = 0; s < page->n_steps; s++)
        for (int i = 0; i < page->profile.layers.n; i++) {
            const cr_flow_layer *layer = cr__html_leaf(page, cr__html_step(page, s), i);
            if (layer && layer->delta_y.state == state)
                return true;
        }
    return false;
}

static void put_ramp(cr__html *page, double from, double to)
{
    cr__legend_open(page->sink);
    cr__put(page->sink, "<span class=\"ramp\"><i>");
    cr__put_exponent(page->sink, from, 0);
    cr__put(page->sink,
            "</i><svg viewBox=\"0 0 110 10\" height=\"10\" preserveAspectRatio=\"none\" "
            "aria-hidden=\"true\">");
    for (int i = 0; i < LEVELS; i++)
        cr__put(page->sink, "<rect class=\"q%d\" x=\"%d\" width=\"10.5\" height=\"10\"/>",
                i, 10 * i);
    cr__put(page->sink, "</svg><i>");
    cr__put_exponent(page->sink, to, 0);
    cr__put(page->sink, "</i></span>\n");
    static const struct {
        cr_flow_state state;
        const char *style, *text;
    } states[] = {
        { CR_FLOW_ZERO, "h2", "zero" },
        { CR_FLOW_NOT_FINITE, "h3", "NaN or infinite" },
        { CR_FLOW_DISCONNECTED, "h4", "disconnected" },
    };
    for (int i = 0; i < CR__FLOW_COUNT(states); i++)
        if (any_state(page, states[i].state))
            cr__legend_entry(page->sink, "area", states[i].style, states[i].text);
    cr__legend_close(page->sink);
}

void cr__html_history(cr__html *page)
{
    const int n = page->profile.layers.n;
    cr__range range = CR__NO_RANGE;
    for (int s = 0; s < page->n_steps; s++)
        for (int i = 0; i < n; i++) {
            const cr_flow_layer *layer = cr__html_leaf(page, cr__html_step(page, s), i);
            cr__range_add(&range, layer ? cr__delta(layer) : NAN);
        }
    if (page->n_steps < 2)
        return;
    double from, to;
    cr__plot_range(&range, 2, &from, &to);
    cr__html_section(
        page, "history", "The gradient by layer and step",
        "A row for each step that was measured, time running down; a column for each "
        "layer. <b>Even colour is good.</b> A side that stays pale never learns; colours "
        "that darken downwards explode.");
    put_ramp(page, from, to);
    cr__frame frame = cr__html_layers_frame(
        page, "Size of the gradient by layer and step", "step", page->n_steps * 12.0);
    frame.height = frame.height < 110 ? 110 : frame.height > 380 ? 380 : frame.height;
    frame.y_to = 1;
    char data[48] = "";
    cr__sink sink = { .text = data, .capacity = sizeof data };
    cr__put(&sink, "data-steps=\"%d\"", page->n_steps);
    frame.data = data;
    cr__frame_begin(page->sink, &frame);
    cr__frame_ticks(page->sink, &frame, cr__html_layers_axis(page), true);
    const int every = 1 + (page->n_steps - 1) / (int)(frame.height / 20);
    for (int s = 0; s < page->n_steps; s += every) {
        cr__frame_label_open(page->sink, (s + 0.5) / page->n_steps);
        cr__put(page->sink, "%lld</span>", (long long)cr__html_step(page, s)->step);
    }
    const cr__plot plot = cr__frame_draw(page->sink, &frame);
    for (int colour = 0; colour <= LEVELS + CR_FLOW_DISCONNECTED; colour++)
        put_heat(page, &plot, colour, from, to);
    cr__frame_close(page->sink, &frame);
    cr__put(page->sink, "</section>\n");
}
