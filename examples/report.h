/* The drawing part of the demo's report: line plots as inline SVG, coloured by the page's
 * style sheet so that they follow the reader's light or dark setting. */
#ifndef EXAMPLES_REPORT_H
#define EXAMPLES_REPORT_H

#include <stdio.h>

/* Where a plot is, in units of the drawing, and what it shows. */
typedef struct panel {
    double left, top, width, height;
    double x_from, x_to, y_from, y_to;
    const char *title, *x_label;
} panel;

static const char report_head[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<title>chainrule: how the gradient flows</title>\n"
    "<style>\n"
    ":root { color-scheme: light dark; --ground: #fcfcfb; --ink: #1a1a19; --soft: "
    "#6b6963;\n"
    "  --line: #dddbd5; --c0: #1a1a19; --c1: #2a78d6; --c2: #12946a; --c3: #e2602a;\n"
    "  --c4: #4a3aa7; --c5: #d4538a; --c6: #8a8880; }\n"
    "@media (prefers-color-scheme: dark) { :root { --ground: #1a1a19; --ink: #f2f1ee;\n"
    "  --soft: #a5a39b; --line: #3a3936; --c0: #f2f1ee; --c1: #5598ec; --c2: #2bb583;\n"
    "  --c3: #ee7c4c; --c4: #a197f0; --c5: #e879a8; --c6: #93918a; } }\n"
    "body { background: var(--ground); color: var(--ink); max-width: 60rem; margin: "
    "2.5rem auto;\n"
    "  padding: 0 1.25rem; font: 16px/1.55 system-ui, sans-serif; }\n"
    "h1 { font-size: 1.7rem; line-height: 1.2; } h2 { font-size: 1.2rem; margin-top: "
    "2.5rem; }\n"
    "p { max-width: 44rem; } small, .legend, figcaption { color: var(--soft); }\n"
    "figure { margin: 1.5rem 0; overflow-x: auto; } svg { display: block; max-width: "
    "100%; }\n"
    "svg text { fill: var(--soft); font: 12px system-ui, sans-serif; }\n"
    "svg .title { fill: var(--ink); font-size: 14px; font-weight: 600; }\n"
    ".grid { stroke: var(--line); stroke-width: 1; }\n"
    ".curve { fill: none; stroke-width: 2; stroke-linejoin: round; }\n"
    ".pixel { fill: var(--ink); }\n"
    ".c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); }\n"
    ".c3 { stroke: var(--c3); } .c4 { stroke: var(--c4); } .c5 { stroke: var(--c5); }\n"
    ".c6 { stroke: var(--c6); stroke-dasharray: 6 4; }\n"
    ".legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; font-size: .9rem; }\n"
    ".legend span, .wrong figure { display: inline-flex; align-items: center; gap: "
    ".5rem; }\n"
    ".wrong { display: flex; flex-wrap: wrap; gap: 1.2rem; } .wrong figure { margin: 0; "
    "}\n"
    "table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: "
    "tabular-nums; }\n"
    "th, td { padding: .2rem 1.2rem .2rem 0; text-align: right; }\n"
    "th { color: var(--soft); font-weight: 600; } tr { border-bottom: 1px solid "
    "var(--line); }\n"
    "th:first-child, td:first-child, th:last-child, td:last-child { text-align: left; }\n"
    "</style>\n";

static double place_x(const panel *p, double x)
{
    return p->left + (x - p->x_from) / (p->x_to - p->x_from) * p->width;
}

static double place_y(const panel *p, double y)
{
    double height = (y - p->y_from) / (p->y_to - p->y_from);
    height = height < 0 ? 0 : height > 1 ? 1 : height;
    return p->top + (1 - height) * p->height;
}

static void draw_title(FILE *f, const panel *p)
{
    fprintf(f, "<text class=\"title\" x=\"%g\" y=\"%g\">%s</text>\n", p->left,
            p->top - 14, p->title);
    fprintf(f, "<text x=\"%g\" y=\"%g\" text-anchor=\"middle\">%s</text>\n",
            p->left + p->width / 2, p->top + p->height + 38, p->x_label);
}

static void draw_x_mark(FILE *f, const panel *p, double x)
{
    fprintf(f, "<text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">%g</text>\n",
            place_x(p, x), p->top + p->height + 18, x);
}

/* A grid line with a mark: before, raised (an exponent), after. */
static void draw_y_mark(FILE *f, const panel *p, double y, const char *before,
                        const char *raised, const char *after)
{
    double at = place_y(p, y);
    fprintf(f, "<line class=\"grid\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
            p->left, p->left + p->width, at, at);
    fprintf(f, "<text x=\"%g\" y=\"%.1f\" text-anchor=\"end\">%s", p->left - 8, at + 4,
            before);
    if (raised[0])
        fprintf(f, "<tspan dy=\"-5\" style=\"font-size: 9px\">%s</tspan>", raised);
    fprintf(f, "%s</text>\n", after);
}

/* A curve through n points at x_from, x_from + 1, ..; what is told when the pointer rests
 * on it. */
static void draw_curve(FILE *f, const panel *p, const double *y, int n, int colour,
                       const char *told)
{
    fprintf(f, "<polyline class=\"curve c%d\" points=\"", colour);
    for (int i = 0; i < n; i++)
        if (isfinite(y[i]))
            fprintf(f, "%.1f,%.1f ", place_x(p, p->x_from + i), place_y(p, y[i]));
    fprintf(f, "\"><title>%s</title></polyline>\n", told);
}

#endif
