/* The depth profile as a drawing of its own. */
#include "page.h"

static void put_drawing_ticks(const cr__plot *plot, int layers)
{
    const double x_step = cr__tick_step(0, layers > 1 ? layers : 1, 10, true);
    const double y_step = cr__tick_step(plot->y_from, plot->y_to, 8, true);
    const double foot = plot->top + plot->height;
    for (double y = ceil(plot->y_from / y_step) * y_step; y <= plot->y_to; y += y_step) {
        cr__put(plot->sink,
                "<line class=\"grid\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>\n"
                "<text x=\"%.0f\" y=\"%.1f\" text-anchor=\"end\">10<tspan dy=\"-5\" "
                "font-size=\"9\">",
                plot->left, plot->left + plot->width, cr__plot_y(plot, y),
                cr__plot_y(plot, y), plot->left - 8, cr__plot_y(plot, y) + 4);
        cr__put_signed(plot->sink, y, 0);
        cr__put(plot->sink, "</tspan></text>\n");
    }
    for (double x = 0; x < layers; x += x_step)
        cr__put(plot->sink,
                "<text x=\"%.1f\" y=\"%.0f\" text-anchor=\"middle\">%.0f</text>\n",
                cr__plot_x(plot, x), foot + 18, x);
    cr__put(plot->sink,
            "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\">layer, in the order of "
            "running: "
            "input on the left, loss on the right</text>\n",
            plot->left + plot->width / 2, foot + 40);
}

/* From left to right above the plot. */
static void put_drawing_legend(const cr__plot *plot, const cr__profile *profile)
{
    const struct {
        const char *style, *text;
        bool shown;
        double width;
    } entries[] = {
        { "curve c1", profile->last ? "first step" : "measured", true, 110 },
        { "curve c2", "last step", profile->last != NULL, 105 },
        { "curve theory", "theory", profile->theory != NULL, 90 },
        { "band", "95% of this width", profile->theory != NULL, 150 },
    };
    double x = plot->left;
    for (int i = 0; i < CR__FLOW_COUNT(entries); i++) {
        if (!entries[i].shown)
            continue;
        cr__put(plot->sink,
                "<path class=\"%s\" d=\"M%.0f %.0fh26%s\"/>\n<text x=\"%.0f\" "
                "y=\"%.0f\">%s</text>\n",
                entries[i].style, x, plot->top - 20,
                strcmp(entries[i].style, "band") == 0 ? "v6h-26v-6z" : "", x + 34,
                plot->top - 15, entries[i].text);
        x += entries[i].width;
    }
}

bool cr_flow_svg(const cr_flow_report *report, FILE *file)
{
    cr__sink sink = { .file = file };
    cr__profile profile;
    if (!report || !file || !cr__profile_of(report, &profile))
        return false;
    const int n = profile.layers.n;
    cr__plot plot = { .sink = &sink,
                      .left = 70,
                      .top = 90,
                      .width = 840,
                      .height = 340,
                      .x_from = -0.5,
                      .x_to = (n > 0 ? n : 1) - 0.5 };
    cr__plot_range(&profile.range, 4, &plot.y_from, &plot.y_to);
    cr__put(&sink, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 940 490\" "
                   "width=\"940\" height=\"490\" role=\"img\">\n<title>");
    cr__put_text(&sink, CR__AS_MARKUP, report->name ? report->name : "");
    cr__put(&sink, ": size of the gradient by layer</title>\n<style>\n");
    cr__put_lines(&sink, cr__page_colours);
    cr__put_lines(&sink, cr__plot_style);
    cr__put(&sink, "svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }\n"
                   "svg .title { fill: var(--ink); font-size: 15px; font-weight: 600; }\n"
                   "svg .ground { fill: var(--ground); }\n</style>\n"
                   "<rect class=\"ground\" width=\"940\" height=\"490\"/>\n"
                   "<text class=\"title\" x=\"70\" y=\"30\">");
    cr__put_text(&sink, CR__AS_MARKUP, report->name ? report->name : "");
    cr__put(&sink, "</text>\n<text x=\"70\" y=\"50\">|\u03b4|: 2-norm of the gradient of "
                   "the loss by "
                   "each layer's output</text>\n");
    put_drawing_ticks(&plot, n);
    put_drawing_legend(&plot, &profile);
    cr__draw_profile(&plot, &profile);
    cr__put(&sink, "</svg>\n");
    cr__profile_free(&profile);
    return cr__sink_done(&sink);
}
