/* The map as a page of its own: heat map, theory's lines over it, what to read from it. */
#include "map_picture.h"

#include <math.h>
#include <string.h>

enum { CELL = 26, LEFT = 70, TOP = 14, BOTTOM = 52 };

static const double multiples[] = { 1, 3, MAP_LINE };
enum { MULTIPLES = sizeof multiples / sizeof multiples[0] };

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<title>chainrule: which networks train</title>\n<style>\n"
    ":root { color-scheme: light dark; --ground: #fcfcfb; --ink: #1a1a19; --soft: "
    "#6b6963;\n"
    "  --line: #dddbd5; }\n"
    "@media (prefers-color-scheme: dark) { :root { --ground: #1a1a19; --ink: #f2f1ee;\n"
    "  --soft: #a5a39b; --line: #3a3936; } }\n"
    "body { background: var(--ground); color: var(--ink); max-width: 48rem; margin: 2rem "
    "auto;\n"
    "  padding: 0 1.25rem; font: 16px/1.55 system-ui, sans-serif; }\n"
    "h1 { font-size: 1.6rem; line-height: 1.2; } p { max-width: 42rem; }\n"
    "small, .soft, output { color: var(--soft); }\n"
    "figure { margin: 1.5rem 0 .5rem; } svg { display: block; width: 100%; height: auto; "
    "}\n"
    "svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }\n"
    "rect { shape-rendering: crispEdges; }\n"
    "@media (max-width: 36rem) { svg text { font-size: 19px; } }\n"
    "svg:focus { outline: 2px solid var(--soft); outline-offset: 4px; }\n"
    ".halo { fill: none; stroke: #000; stroke-opacity: .55; stroke-width: 5; }\n"
    ".theory { fill: none; stroke: #fff; stroke-width: 2; }\n"
    ".m0 { stroke-dasharray: 2 4; } .m1 { stroke-dasharray: 7 4; }\n"
    ".here { stroke: #fff; stroke-width: 3; }\n"
    ".legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; font-size: .9rem;\n"
    "  align-items: center; } .legend span { display: inline-flex; gap: .5rem;\n"
    "  align-items: center; }\n"
    ".bar { width: 9rem; height: .8rem; display: inline-block; background:\n"
    "  linear-gradient(90deg, #440154, #414487, #2a788e, #22a884, #7ad151, #fde725); }\n"
    ".key { width: 42px; height: 12px; background: #2a788e; }\n"
    "table { border-collapse: collapse; font-size: .75rem; font-variant-numeric: "
    "tabular-nums; }\n"
    "td, th { padding: .1rem .4rem; text-align: right; } .wide { overflow-x: auto; }\n"
    "</style>\n";

/* By the arrow keys or the pointer: what a cell has, in words. */
static const char script[] =
    "<script>\n"
    "const svg = document.querySelector('svg'), told = "
    "document.querySelector('output');\n"
    "const cells = [...svg.querySelectorAll('rect[data-told]')];\n"
    "const columns = +svg.dataset.columns;\n"
    "let at = 0;\n"
    "function show(i) {\n"
    "  cells[at].classList.remove('here');\n"
    "  at = i;\n"
    "  cells[at].classList.add('here');\n"
    "  told.textContent = cells[at].dataset.told;\n"
    "}\n"
    "cells.forEach((cell, i) => cell.addEventListener('pointerenter', () => show(i)));\n"
    "svg.addEventListener('focus', () => show(at));\n"
    "svg.addEventListener('keydown', event => {\n"
    "  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: columns, ArrowDown: -columns }"
    "[event.key];\n"
    "  const row = Math.floor(at / columns), i = at + by;\n"
    "  if (by === undefined || i < 0 || i >= cells.length) return;\n"
    "  if (Math.abs(by) === 1 && Math.floor(i / columns) !== row && columns > 1) "
    "return;\n"
    "  event.preventDefault();\n"
    "  show(i);\n"
    "});\n"
    "</script>\n";

/* ---- places and colours ---- */

static double plot_height(const map *m)
{
    return (double)m->y.n * CELL;
}

/* viridis (van der Walt and Smith, 2015) by six of its colours. */
static void print_colour(FILE *f, double share)
{
    static const int anchors[6][3] = { { 68, 1, 84 },    { 65, 68, 135 },
                                       { 42, 120, 142 }, { 34, 168, 132 },
                                       { 122, 209, 81 }, { 253, 231, 37 } };
    const double place = fmin(fmax(share, 0), 1) * 5;
    const int i = place >= 5 ? 4 : (int)place;
    int c[3];
    for (int k = 0; k < 3; k++)
        c[k] = (int)(anchors[i][k] + (anchors[i + 1][k] - anchors[i][k]) * (place - i) +
                     0.5);
    fprintf(f, "#%02x%02x%02x", c[0], c[1], c[2]);
}

/* Where a value between the first and the last of an axis lies, in cells from its start. */
static double place_on(const map_axis *axis, double value)
{
    const double from = axis->values[0], to = axis->values[axis->n - 1];
    if (axis->n < 2)
        return 0.5;
    const double share = axis->kind->logarithmic ? log(value / from) / log(to / from)
                                                 : (value - from) / (to - from);
    return 0.5 + share * (axis->n - 1);
}

/* ---- the heat map ---- */

static void draw_cell(FILE *f, const map *m, int cell)
{
    char across[32], up[32];
    const map_cell *c = &m->cells[cell];
    map_axis_text(across, sizeof across, &m->x, cell % m->x.n);
    map_axis_text(up, sizeof up, &m->y, cell / m->x.n);
    fprintf(f,
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" data-told=\"%s %s, %s "
            "%s: %.1f%% "
            "right, ",
            LEFT + cell % m->x.n * CELL, TOP + (m->y.n - 1 - cell / m->x.n) * CELL, CELL,
            CELL, m->x.kind->name, across, m->y.kind->name, up, 100 * c->accuracy);
    if (isfinite(c->loss))
        fprintf(f, "loss %.3g", c->loss);
    else
        fprintf(f, "the loss grew beyond all bounds");
    if (isfinite(c->xi))
        fprintf(f, ", %.2g xi deep", map_depth_over_xi(m, cell));
    fprintf(f, "\" fill=\"");
    print_colour(f, c->accuracy);
    fprintf(f, "\"/>\n");
}

/* At most so many marks; of words all. */
static bool is_marked(const map_axis *axis, int i)
{
    const int step = axis->kind->words ? 1 : 1 + (axis->n - 1) / 6;
    return i % step == 0;
}

static void draw_axes(FILE *f, const map *m)
{
    char text[32];
    for (int i = 0; i < m->x.n; i++)
        if (is_marked(&m->x, i)) {
            map_axis_text(text, sizeof text, &m->x, i);
            fprintf(f, "<text x=\"%g\" y=\"%g\" text-anchor=\"middle\">%s</text>\n",
                    LEFT + (i + 0.5) * CELL, TOP + plot_height(m) + 17, text);
        }
    for (int i = 0; i < m->y.n; i++)
        if (is_marked(&m->y, i)) {
            map_axis_text(text, sizeof text, &m->y, i);
            fprintf(f, "<text x=\"%d\" y=\"%g\" text-anchor=\"end\">%s</text>\n",
                    LEFT - 8, TOP + (m->y.n - i - 0.5) * CELL + 4, text);
        }
    fprintf(f, "<text x=\"%g\" y=\"%g\" text-anchor=\"middle\">%s</text>\n",
            LEFT + m->x.n * CELL / 2.0, TOP + plot_height(m) + 40, m->x.kind->name);
    fprintf(f,
            "<text x=\"14\" y=\"%g\" text-anchor=\"middle\" transform=\"rotate(-90 14 "
            "%g)\">%s"
            "</text>\n",
            TOP + plot_height(m) / 2, TOP + plot_height(m) / 2, m->y.kind->name);
}

/* ---- theory ---- */

static bool has_depth_upwards(const map *m)
{
    return strcmp(m->y.kind->name, "depth") == 0 && !m->x.kind->words && m->x.n > 1;
}

/* The depth of so many xi as a curve over the x axis. */
static void curve_points(FILE *f, const map *m, double multiple)
{
    enum { POINTS = 240 };
    for (int i = 0; i <= POINTS; i++) {
        map fine = *m;
        const double share = (double)i / POINTS, from = m->x.values[0],
                     to = m->x.values[m->x.n - 1];
        fine.x.values[0] = m->x.kind->logarithmic ? from * pow(to / from, share)
                                                  : from + (to - from) * share;
        const network_spec spec = map_spec(&fine, 0);
        const cr_flow_stack stack = network_stack(&spec);
        cr_flow_prediction p;
        if (cr_flow_predict(&stack, &p) != CR_OK || isnan(p.xi_c))
            continue;
        const double depth = fmin(multiple * p.xi_c, 10 * m->y.values[m->y.n - 1]);
        fprintf(f, "%.1f,%.1f ", LEFT + place_on(&m->x, fine.x.values[0]) * CELL,
                TOP + plot_height(m) - place_on(&m->y, depth) * CELL);
    }
}

static void draw_curves(FILE *f, const map *m)
{
    static const char *const layers[] = { "halo", "theory" };
    fprintf(f,
            "<clipPath id=\"plot\"><rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%g\"/>"
            "</clipPath>\n<g clip-path=\"url(#plot)\">\n",
            LEFT, TOP, m->x.n * CELL, plot_height(m));
    for (int k = 0; k < MULTIPLES; k++)
        for (int layer = 0; layer < 2; layer++) {
            fprintf(f, "<polyline class=\"%s m%d\" points=\"", layers[layer], k);
            curve_points(f, m, multiples[k]);
            fprintf(f, "\"/>\n");
        }
    fprintf(f, "</g>\n");
}

/* The border between the cells that theory lets train and the others. */
static void draw_border(FILE *f, const map *m)
{
    fprintf(f, "<path class=\"theory\" d=\"");
    for (int cell = 0; cell < m->x.n * m->y.n; cell++) {
        const int x = cell % m->x.n, y = cell / m->x.n;
        const double left = LEFT + x * CELL, top = TOP + (m->y.n - 1 - y) * CELL;
        const bool inside = map_inside(m, cell, MAP_LINE);
        if (isnan(m->cells[cell].xi))
            continue;
        if (x + 1 < m->x.n && inside != map_inside(m, cell + 1, MAP_LINE))
            fprintf(f, "M%g %gv%d", left + CELL, top, CELL);
        if (y + 1 < m->y.n && inside != map_inside(m, cell + m->x.n, MAP_LINE))
            fprintf(f, "M%g %gh%d", left, top, CELL);
    }
    fprintf(f, "\"/>\n");
}

/* ---- the page ---- */

static void write_legend(FILE *f, const map *m)
{
    fprintf(f, "<div class=\"legend soft\"><span>0%% <i class=\"bar\"></i> 100%% "
               "right</span>\n");
    for (int k = has_depth_upwards(m) ? 0 : MULTIPLES - 1; k < MULTIPLES; k++)
        fprintf(
            f,
            "<span><svg class=\"key\" viewBox=\"0 0 42 12\"><line class=\"theory m%d\" "
            "x2=\"42\" y1=\"6\" y2=\"6\"/></svg>depth %g xi</span>\n",
            k, multiples[k]);
    fprintf(f, "</div>\n");
}

static void write_table(FILE *f, const map *m)
{
    char text[32];
    fprintf(f,
            "<details><summary>The numbers: percent right</summary><div class=\"wide\">"
            "<table>\n");
    for (int y = m->y.n - 1; y >= 0; y--) {
        map_axis_text(text, sizeof text, &m->y, y);
        fprintf(f, "<tr><th>%s", text);
        for (int x = 0; x < m->x.n; x++)
            fprintf(f, "<td>%.0f", 100 * m->cells[y * m->x.n + x].accuracy);
        fprintf(f, "</tr>\n");
    }
    fprintf(f, "<tr><th>");
    for (int x = 0; x < m->x.n; x++) {
        map_axis_text(text, sizeof text, &m->x, x);
        fprintf(f, "<th>%s", text);
    }
    fprintf(f, "</tr>\n</table></div></details>\n");
}

static void write_reading(FILE *f)
{
    fprintf(
        f,
        "<p>How to read it: each field is a network, trained for a few hundred steps "
        "from its own "
        "start. Yellow ones learned, dark ones did not. With every layer two inputs "
        "become more "
        "alike (small weights: order) or less (large weights: chaos); after a few times "
        "xi layers "
        "nothing of how they differ is left, and the gradient, which goes the same way "
        "back, "
        "vanishes or explodes. Between order and chaos xi is infinite: there the deepest "
        "networks "
        "train. The lines are computed before any training (S. S. Schoenholz, J. Gilmer, "
        "S. "
        "Ganguli, J. Sohl-Dickstein, <i>Deep Information Propagation</i>, 2017).</p>\n");
}

bool map_html(const map *m, FILE *f)
{
    char text[512];
    const map_finding found = map_find(m);
    fprintf(f, "%s<h1>Which networks train</h1>\n", head);
    map_tell(text, sizeof text, m, &found);
    fprintf(f, "<p><b>%s</b> ", text);
    map_tell_theory(text, sizeof text, m, &found);
    fprintf(f, "%s</p>\n", text);
    fprintf(
        f,
        "<figure><svg tabindex=\"0\" data-columns=\"%d\" viewBox=\"0 0 %d %g\" "
        "role=\"img\" "
        "aria-label=\"Share of images that each network gets right; the numbers are in a "
        "table below. Arrow keys go from field to field.\">\n",
        m->x.n, LEFT + m->x.n * CELL + 14, TOP + plot_height(m) + BOTTOM);
    for (int i = 0; i < m->x.n * m->y.n; i++)
        draw_cell(f, m, i);
    draw_axes(f, m);
    if (has_depth_upwards(m))
        draw_curves(f, m);
    else
        draw_border(f, m);
    fprintf(
        f,
        "</svg></figure>\n<p><output>Point at a field, or go there with the arrow keys."
        "</output></p>\n");
    write_legend(f, m);
    write_reading(f);
    write_table(f, m);
    map_describe(text, sizeof text, m);
    fprintf(f,
            "<p><small>All of them: %s. Accuracy on 512 of the images that were learned "
            "from. "
            "Measured by chainrule %s.</small></p>\n%s",
            text, cr_version(), script);
    return !ferror(f);
}
