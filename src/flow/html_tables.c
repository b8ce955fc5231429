/* The numbers behind the drawings, the words, and what the script knows. */
#include "html.h"

enum { MOST_ROWS_OF_A_TABLE = 400 };

static void put_cell_number(cr__html *page, const char *format, double value)
{
    cr__put(page->sink, "<td>");
    if (isnan(value))
        cr__put(page->sink, "\u2013");
    else if (isinf(value))
        cr__put(page->sink, value > 0 ? "\u221e" : "\u2212\u221e");
    else if (strcmp(format, "share") == 0)
        cr__put(page->sink, "%.0f%%", 100 * value);
    else if (strcmp(format, "10^") == 0)
        cr__put_power(page->sink, value);
    else if (strcmp(format, ".2") == 0)
        cr__put_signed(page->sink, value, 2);
    else
        cr__put(page->sink, "%.3g", value);
    cr__put(page->sink, "</td>");
}

/* The gradient's size, or the word for why there is none. */
static void put_gradient(cr__html *page, const cr_flow_size *size)
{
    const bool there = size->state == CR_FLOW_USUAL || size->state == CR_FLOW_UNDERFLOWED;
    cr__put(page->sink, "<td>");
    if (there)
        cr__put_power(page->sink, size->log10_norm);
    cr__put(page->sink, "%s%s</td>", size->state == CR_FLOW_UNDERFLOWED ? " " : "",
            size->state == CR_FLOW_USUAL ? "" : cr__state_name(size->state));
}

static void put_layer_row(cr__html *page, int i)
{
    const cr_flow_layer *layer = cr__layer(&page->profile.layers, i);
    cr__put(page->sink, "<tr><td>%d</td><td class=\"t\">", i);
    cr__html_text(page, layer->name);
    cr__put(page->sink, "</td><td class=\"t\">");
    cr__html_text(page, layer->kind);
    cr__put(page->sink, "</td>");
    put_gradient(page, &layer->delta_y);
    put_cell_number(page, ".2", layer->decades);
    put_cell_number(page, "g", layer->y.rms);
    put_cell_number(page, "share", layer->saturated);
    put_cell_number(page, "share", layer->dead);
    put_cell_number(page, "g", layer->unlike);
    cr__put(page->sink, "</tr>\n");
}

static void put_layer_table(cr__html *page)
{
    const int n = page->profile.layers.n;
    cr__put(page->sink,
            "<details><summary>All layers at step %lld</summary>\n<div "
            "class=\"scroll\"><table>\n<tr><th>place</th><th class=\"t\">name</th><th "
            "class=\"t\">kind</th><th>|\u03b4|</th><th>decades</th><th>rms of output"
            "</th><th>saturated</th><th>dead</th><th>spread over samples</th></tr>\n",
            (long long)page->report->snapshots->step);
    for (int i = 0; i < n && i < MOST_ROWS_OF_A_TABLE; i++)
        put_layer_row(page, i);
    cr__put(page->sink, "</table></div>\n");
    if (n > MOST_ROWS_OF_A_TABLE)
        cr__put(page->sink, "<p>%d more are in the CSV and JSON files.</p>\n",
                n - MOST_ROWS_OF_A_TABLE);
    cr__put(page->sink, "</details>\n");
}

static void put_param_table(cr__html *page)
{
    const cr_flow_snapshot *first = page->report->snapshots;
    cr__put(page->sink,
            "<details><summary>All parameters at step %lld</summary>\n<div "
            "class=\"scroll\"><table>\n<tr><th>place</th><th class=\"t\">name</th><th>"
            "numbers</th><th>rms</th><th>|gradient|</th><th>|update| / |weight|</th>"
            "<th>rank of gradient</th><th>signal to noise</th><th class=\"t\">remarks"
            "</th></tr>\n",
            (long long)first->step);
    for (int i = 0; i < first->n_params && i < MOST_ROWS_OF_A_TABLE; i++) {
        const cr_flow_param *param = &first->params[i];
        cr__put(page->sink, "<tr><td>%d</td><td class=\"t\">", i);
        cr__html_text(page, param->name);
        cr__put(page->sink, "</td><td>");
        cr__html_count(page, param->weight.numel);
        cr__put(page->sink, "</td>");
        put_cell_number(page, "g", param->weight.rms);
        put_gradient(page, &param->gradient);
        put_cell_number(page, "10^", param->update_ratio);
        put_cell_number(page, "g", param->rank);
        put_cell_number(page, "g", param->signal_to_noise);
        cr__put(page->sink, "<td class=\"t\">%s</td></tr>\n",
                !param->requires_grad  ? "frozen"
                : !param->in_optimiser ? "not in the optimiser"
                                       : "");
    }
    cr__put(page->sink, "</table></div>\n");
    if (first->n_params > MOST_ROWS_OF_A_TABLE)
        cr__put(page->sink, "<p>%d more are in the JSON file.</p>\n",
                first->n_params - MOST_ROWS_OF_A_TABLE);
    cr__put(page->sink, "</details>\n");
}

/* What theory computed, by its names. */
static void put_theory_table(cr__html *page)
{
    const cr_flow_stack *stack = &page->report->stack;
    const cr_flow_prediction *p = &page->report->prediction;
    const struct {
        const char *name, *meaning;
        double value;
    } rows[] = {
        { "\u03c3<sub>w</sub><sup>2</sup>", "variance of a weight times its fan-in",
          stack->sigma_w2 },
        { "\u03c3<sub>b</sub><sup>2</sup>", "variance of a bias", stack->sigma_b2 },
        { "q*", "mean square of pre-activations that depth leads to", p->q_star },
        { "\u03c7",
          "mean square factor of a small change per layer; 1 is the edge of chaos",
          p->chi },
        { "factor", "of |\u03b4| per layer, backwards", p->factor },
        { "\u03be<sub>c</sub>", "layers after which inputs have become alike (or unlike)",
          p->xi_c },
        { "\u03be<sub>\u2207</sub>",
          "layers over which the gradient changes by a factor e", p->xi_grad },
        { "\u03b2", "variance of ln |\u03b4|<sup>2</sup> at this width and depth",
          p->beta },
    };
    cr__put(page->sink,
            "<details><summary>What theory took it for</summary>\n<p>%lld layers of "
            "%s, width %lld, norm: %s, residual: %s; phase: %s.</p>\n<div "
            "class=\"scroll\"><table>\n",
            (long long)stack->depth, stack->activation->name, (long long)stack->width,
            cr__norm_name(stack->norm), cr__residual_name(stack->residual),
            cr__phase_name(p->phase));
    for (int i = 0; i < CR__FLOW_COUNT(rows); i++) {
        cr__put(page->sink, "<tr><td class=\"t\">%s</td>", rows[i].name);
        put_cell_number(page, "g", rows[i].value);
        cr__put(page->sink, "<td class=\"t wide\">%s</td></tr>\n", rows[i].meaning);
    }
    cr__put(page->sink,
            "</table></div>\n<p class=\"soft\">Poole et al., 2016; Schoenholz et al., "
            "2017; Hanin and Nica, 2020.</p></details>\n");
}

void cr__html_tables(cr__html *page)
{
    if (page->report->n_snapshots == 0)
        return;
    cr__html_section(
        page, "numbers", "The numbers behind it",
        "Everything that was measured is in the JSON file of this report; per layer "
        "and step in the CSV.");
    if (page->profile.layers.n > 0)
        put_layer_table(page);
    if (page->report->snapshots->n_params > 0)
        put_param_table(page);
    if (cr__has_theory(page->report))
        put_theory_table(page);
    cr__put(page->sink, "</section>\n");
}

void cr__html_words(cr__html *page)
{
    static const struct {
        const char *word, *meaning;
    } words[] = {
        { "\u03b4, the gradient by an output",
          "how the loss changes when this layer's output does" },
        { "decade", "a factor of ten; \u22120.85 decades is a factor of 0.14" },
        { "small", "there, but more than a million times smaller than the largest" },
        { "underflowed",
          "too small for the number type, and so lost; seen here by scaling the "
          "loss" },
        { "zero", "exactly zero at every scale: nothing is passed on" },
        { "disconnected", "no path leads there from the loss: not zero, but none" },
        { "theory", "what very wide networks with such weights do on average" },
        { "band",
          "where 95% of the networks of this width lie: luck of the random start" },
    };
    cr__html_section(page, "words", "Words", "");
    cr__put(page->sink, "<dl class=\"words\">\n");
    for (int i = 0; i < CR__FLOW_COUNT(words); i++)
        cr__put(page->sink, "<dt>%s</dt><dd>%s</dd>\n", words[i].word, words[i].meaning);
    cr__put(page->sink, "</dl>\n</section>\n");
}

/* ---- what the script knows ---- */

static void put_json_or_null(cr__html *page, double value, const char *word)
{
    if (isfinite(value))
        cr__put(page->sink, "%.3g", value);
    else if (word)
        cr__put(page->sink, "\"%s\"", word);
    else
        cr__put(page->sink, "null");
}

static void put_names(cr__html *page, const char *key, bool kinds)
{
    const cr__layers *layers = &page->profile.layers;
    cr__put(page->sink, "\"%s\":[", key);
    for (int i = 0; i < layers->n; i++) {
        const cr_flow_layer *layer = cr__layer(layers, i);
        cr__put(page->sink, i ? ",\"" : "\"");
        cr__put_text(page->sink, CR__AS_JSON, kinds ? layer->kind : layer->name);
        cr__put(page->sink, "\"");
    }
    cr__put(page->sink, "],\n");
}

static void put_matrix(cr__html *page, const char *key, bool outputs)
{
    cr__put(page->sink, "\"%s\":[", key);
    for (int s = 0; s < page->n_steps; s++) {
        cr__put(page->sink, s ? ",\n[" : "[");
        for (int i = 0; i < page->profile.layers.n; i++) {
            const cr_flow_layer *layer = cr__html_leaf(page, cr__html_step(page, s), i);
            cr__put(page->sink, i ? "," : "");
            if (!layer)
                cr__put(page->sink, "null");
            else if (outputs)
                put_json_or_null(page, layer->y.rms, NULL);
            else
                put_json_or_null(page, cr__delta(layer),
                                 cr__state_name(layer->delta_y.state));
        }
        cr__put(page->sink, "]");
    }
    cr__put(page->sink, "]");
}

void cr__html_data(cr__html *page)
{
    const cr__layers *layers = &page->profile.layers;
    cr__put(page->sink, "<script type=\"application/json\" id=\"data\">{\"steps\":[");
    for (int s = 0; s < page->n_steps; s++)
        cr__put(page->sink, s ? ",%lld" : "%lld",
                (long long)cr__html_step(page, s)->step);
    cr__put(page->sink, "],\n");
    put_names(page, "names", false);
    put_names(page, "kinds", true);
    cr__put(page->sink, "\"decades\":[");
    for (int i = 0; i < layers->n; i++) {
        cr__put(page->sink, i ? "," : "");
        put_json_or_null(page, cr__layer(layers, i)->decades, NULL);
    }
    cr__put(page->sink, "],\n");
    put_matrix(page, "delta", false);
    cr__put(page->sink, ",\n");
    put_matrix(page, "rms", true);
    cr__put(page->sink, "}</script>\n");
}
