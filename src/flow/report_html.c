/* The report as one page: what is wrong, then a drawing for each question, each with a line on how
 * to read it. Without the script everything is there but the cursor. */
#include "html.h"

void cr__html_text(cr__html *page, const char *text)
{
    cr__put_text(page->sink, CR__AS_MARKUP, text ? text : "");
}

/* A part of a text of ours, which is UTF-8. */
static void put_span(cr__html *page, const char *from, const char *to)
{
    char part[512] = "";
    cr__sink sink = { .text = part, .capacity = sizeof part };
    cr__put_bytes(&sink, from, (size_t)(to - from));
    cr__html_text(page, part);
}

void cr__html_prose(cr__html *page, const char *text)
{
    for (const char *power; (power = strstr(text, "10^")) != NULL;) {
        const char *exponent = power + 3;
        const size_t length = strspn(exponent, "+-0123456789.");
        const size_t whole = length && exponent[length - 1] == '.' ? length - 1 : length;
        put_span(page, text, exponent - 1);
        cr__put(page->sink, "<sup>%s", *exponent == '-' ? "\u2212" : "");
        put_span(page, exponent + (*exponent == '-'), exponent + whole);
        cr__put(page->sink, "</sup>");
        text = exponent + whole;
    }
    cr__html_text(page, text);
}

void cr__html_count(cr__html *page, int64_t count)
{
    if (count >= 1000) {
        cr__html_count(page, count / 1000);
        cr__put(page->sink, ",%03d", (int)(count % 1000));
    } else {
        cr__put(page->sink, "%d", (int)count);
    }
}

void cr__html_section(cr__html *page, const char *id, const char *title, const char *how)
{
    cr__put(page->sink,
            "<section id=\"%s\">\n<h2>%d. %s</h2>\n<p class=\"read\">%s</p>\n", id,
            ++page->sections, title, how);
}

const cr_flow_snapshot *cr__html_step(const cr__html *page, int i)
{
    return &page->report->snapshots[page->steps[i]];
}

/* The i-th leaf in that snapshot; NULL if it has other layers than the first. */
const cr_flow_layer *cr__html_leaf(const cr__html *page, const cr_flow_snapshot *snapshot,
                                   int i)
{
    const int place = page->profile.layers.places[i];
    return snapshot->n_layers == page->report->snapshots->n_layers
               ? &snapshot->layers[place]
               : NULL;
}

/* ---- what is wrong ---- */

static const char *tone_of(const cr_flow_verdict *verdict)
{
    return verdict->cause == CR_FLOW_HEALTHY ? "healthy"
                                             : cr__severity_name(verdict->severity);
}

static void put_verdict(cr__html *page, const cr_flow_verdict *verdict, bool first)
{
    char words[32];
    cr__cause_words(verdict->cause, words);
    cr__put(page->sink, "<div class=\"verdict %s%s\">\n<p class=\"badge\">%s",
            tone_of(verdict), first ? "" : " minor", tone_of(verdict));
    if (verdict->cause != CR_FLOW_HEALTHY)
        cr__put(page->sink, ": %s", words);
    cr__put(page->sink, "</p>\n<p class=\"what\">");
    cr__html_prose(page, verdict->what);
    cr__put(page->sink, "</p>\n");
    if (verdict->evidence[0]) {
        cr__put(page->sink, "<p><b>Evidence.</b> ");
        cr__html_prose(page, verdict->evidence);
        cr__put(page->sink, "</p>\n");
    }
    if (verdict->cure[0]) {
        cr__put(page->sink, "<p><b>Try.</b> ");
        cr__html_prose(page, verdict->cure);
        cr__put(page->sink, "</p>\n");
    }
    if (verdict->cause != CR_FLOW_HEALTHY) {
        cr__put(page->sink, "<p class=\"soft\">%.0f%% sure, seen at step %lld",
                100 * verdict->confidence, (long long)verdict->step);
        if (verdict->where && *verdict->where) {
            cr__put(page->sink, " at <code>");
            cr__html_text(page, verdict->where);
            cr__put(page->sink, "</code>");
        }
        cr__put(page->sink, "</p>\n");
    }
    cr__put(page->sink, "</div>\n");
}

static void open_tile(cr__html *page, const char *title)
{
    cr__put(page->sink, "<div><dt>%s</dt><dd>", title);
}

static void close_tile(cr__html *page)
{
    cr__put(page->sink, "</dd></div>\n");
}

static void put_loss(cr__sink *sink, double loss)
{
    if (isfinite(loss))
        cr__put(sink, "%.4g", loss);
    else
        cr__put(sink, isnan(loss) ? "NaN" : "\u221e");
}

static void put_tiles(cr__html *page)
{
    const cr_flow_report *report = page->report;
    const cr_flow_snapshot *first = report->snapshots;
    const cr_flow_snapshot *last = first + report->n_snapshots - 1;
    cr__sink *sink = page->sink;
    int64_t numbers = 0;
    for (int i = 0; i < first->n_params; i++)
        numbers += first->params[i].weight.numel;
    cr__put(sink, "<dl class=\"tiles\">\n");
    if (isfinite(report->measured_decades)) {
        open_tile(page, "gradient per layer");
        cr__put_signed(sink, report->measured_decades, 2);
        cr__put(sink, " decades<small>%s%.3g from layer to layer", "\u00d7",
                pow(10, report->measured_decades));
        if (cr__has_theory(report)) {
            cr__put(sink, "; theory: ");
            cr__put_signed(sink, report->prediction.decades, 2);
        }
        cr__put(sink, "</small>");
        close_tile(page);
    }
    const cr__profile *profile = &page->profile;
    const int n = profile->layers.n;
    if (n > 1 && isfinite(profile->first[0]) && isfinite(profile->first[n - 1])) {
        open_tile(page, "reaches the first layer");
        cr__put_power(sink, profile->first[0] - profile->first[n - 1]);
        cr__put(sink, "<small>of the gradient at the last layer</small>");
        close_tile(page);
    }
    open_tile(page, "loss");
    put_loss(sink, first->loss.value);
    if (last != first) {
        cr__put(sink, " \u2192 ");
        put_loss(sink, last->loss.value);
    }
    cr__put(sink, "<small>");
    cr__html_text(page, first->loss.op && *first->loss.op
                            ? first->loss.op
                            : cr__loss_name(first->loss.kind));
    cr__put(sink, ", steps %lld to %lld%s</small>", (long long)first->step,
            (long long)last->step, report->saw_start ? "" : ", the start was not seen");
    close_tile(page);
    open_tile(page, "network");
    cr__put(sink, "%d layers<small>%d parameters, ", n, first->n_params);
    cr__html_count(page, numbers);
    cr__put(sink, " numbers</small>");
    close_tile(page);
    cr__put(sink, "</dl>\n");
}

static void put_top(cr__html *page)
{
    const cr_flow_report *report = page->report;
    cr__put(page->sink, "<header>\n<p class=\"brand\">chainrule flow: how the gradient "
                        "flows</p>\n<h1>");
    cr__html_text(page, report->name && *report->name ? report->name : "A network");
    cr__put(page->sink, "</h1>\n");
    for (int i = 0; i < report->n_verdicts; i++)
        put_verdict(page, &report->verdicts[i], i == 0);
    if (report->n_snapshots > 0)
        put_tiles(page);
    cr__put(page->sink, "</header>\n");
    if (page->profile.layers.n > 0)
        cr__put(page->sink,
                "<p><b>How it works.</b> Training sends a message from the loss back "
                "through the "
                "layers: the gradient, which says how the loss would change if a layer's "
                "output "
                "did. Every layer multiplies it by a factor. Fifty factors of 0.14 leave "
                "nothing; "
                "fifty factors of 2 leave a number that nobody can use. Factors are "
                "counted in "
                "<b>decades</b>, powers of ten: 1 decade is \u00d710, \u22121 decade is "
                "\u00f710.</p>\n<p class=\"soft\">Point at a drawing, or focus it with "
                "Tab and "
                "walk: \u2190 \u2192 through the layers, \u2191 \u2193 through the "
                "steps.</p>\n");
}

/* ---- the page ---- */

static void put_head(cr__html *page)
{
    cr__put(page->sink,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width, "
            "initial-scale=1\">\n<title>");
    cr__html_text(page, page->report->name && *page->report->name ? page->report->name
                                                                  : "chainrule flow");
    cr__put(page->sink, ": %s</title>\n<style>\n", cr__outcome(page->report));
    cr__put_lines(page->sink, cr__page_colours);
    cr__put_lines(page->sink, cr__page_style);
    cr__put_lines(page->sink, cr__plot_style);
    cr__put(page->sink, "</style>\n</head>\n<body>\n");
}

static bool put_sections(cr__html *page)
{
    bool made = true;
    if (page->profile.layers.n > 0) {
        cr__html_profile(page);
        cr__html_parts(page);
    }
    made = cr__html_trials(page);
    cr__html_loss(page);
    if (page->profile.layers.n > 0) {
        made = cr__html_forward(page) && made;
        made = cr__html_branches(page) && made;
        cr__html_history(page);
        cr__html_bins(page);
    }
    made = cr__html_updates(page) && made;
    cr__html_spectrum(page);
    cr__html_tables(page);
    cr__html_words(page);
    return made;
}

/* Evenly from the first to the last, few enough for the page. */
static void choose_steps(cr__html *page)
{
    const int n = page->report->n_snapshots, layers = page->profile.layers.n;
    int most = CR__MOST_CELLS / (layers > 0 ? layers : 1);
    most = most < 4 ? 4 : most > CR__MOST_STEPS ? CR__MOST_STEPS : most;
    page->n_steps = n < most ? n : most;
    for (int i = 0; i < page->n_steps; i++)
        page->steps[i] =
            page->n_steps < 2 ? 0 : (int)((int64_t)i * (n - 1) / (page->n_steps - 1));
}

bool cr_flow_html(const cr_flow_report *report, FILE *file)
{
    cr__sink sink = { .file = file };
    cr__html page = { .sink = &sink, .report = report };
    if (!report || !file || !cr__profile_of(report, &page.profile))
        return false;
    choose_steps(&page);
    put_head(&page);
    put_top(&page);
    cr__put(&sink, "<main>\n");
    const bool made = put_sections(&page);
    cr__put(
        &sink,
        "</main>\n<footer><p class=\"soft\">Made by chainrule %s, kernels %s. This page "
        "needs nothing beside it.</p></footer>\n",
        cr_version(), cr_isa());
    cr__put(&sink, "<output id=\"readout\" hidden></output>\n");
    cr__html_data(&page);
    cr__put(&sink, "<script>\n");
    cr__put_lines(&sink, cr__page_script);
    cr__put(&sink, "</script>\n</body>\n</html>\n");
    cr__profile_free(&page.profile);
    return cr__sink_done(&sink) && made;
}
