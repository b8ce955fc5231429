/* The style and the script of pages, and the frames of their plots. */
#include "page.h"

const char *const cr__page_colours[] = {
    ":root { color-scheme: light dark; --ground: #fcfcfb; --card: #f4f3f0; --ink: ",
    "#1a1a19;\n",
    "  --soft: #65635d; --line: #dddbd5; --c1: #2a78d6; --c2: #12946a; --c3: #e2602a;\n",
    "  --c4: #4a3aa7; --c5: #d4538a; --c6: #8a8880; --alarm: #c4282d; --warning: ",
    "#9a6700;\n",
    "  --good: #0b7a55; --note: #2a66b8; --zero: #c9b48d;\n",
    "  --q0: #eef3fa; --q1: #d9e6f6; --q2: #c1d7f1; --q3: #a5c5eb; --q4: #86b0e3; --q5: ",
    "#679bda;\n",
    "  --q6: #4a85cd; --q7: #326fba; --q8: #22599f; --q9: #164381; --q10: #0c2f61; }\n",
    "@media (prefers-color-scheme: dark) { :root { --ground: #1a1a19; --card: #242422;\n",
    "  --ink: #f2f1ee; --soft: #aba9a1; --line: #3a3936; --c1: #5598ec; --c2: #2bb583;\n",
    "  --c3: #ee7c4c; --c4: #a197f0; --c5: #e879a8; --c6: #93918a; --alarm: #ff7b74;\n",
    "  --warning: #e3b341; --good: #3fcf98; --note: #79b0f5; --zero: #6b5b3c;\n",
    "  --q0: #1d2530; --q1: #1f2f44; --q2: #233c5a; --q3: #284a72; --q4: #2f5a8c; --q5: ",
    "#386ba6;\n",
    "  --q6: #487fbf; --q7: #6498d4; --q8: #88b3e5; --q9: #b0cff2; --q10: #dfecfc; } }\n",
    NULL,
};

const char *const cr__plot_style[] = {
    "svg .curve { fill: none; stroke-width: 2; stroke-linejoin: round; }\n",
    "svg .dots { fill: none; stroke-width: 5; stroke-linecap: round; }\n",
    "svg path, svg line { vector-effect: non-scaling-stroke; }\n",
    "svg .c1 { stroke: var(--c1); } svg .c2 { stroke: var(--c2); } svg .c3 { stroke: ",
    "var(--c3); }\n",
    "svg .c4 { stroke: var(--c4); } svg .c5 { stroke: var(--c5); } svg .c6 { stroke: ",
    "var(--c6); }\n",
    "svg .theory { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 6 4; }\n",
    "svg .band { fill: var(--c6); fill-opacity: .22; stroke: none; }\n",
    "svg .grid { stroke: var(--line); stroke-width: 1; }\n",
    "svg .axis { stroke: var(--soft); stroke-width: 1; }\n",
    "svg .rule { stroke: var(--c6); stroke-width: 1; stroke-dasharray: 2 3; }\n",
    "svg .state2 { stroke: var(--zero); stroke-width: 9; }\n",
    "svg .state3 { stroke: var(--alarm); stroke-width: 9; }\n",
    "svg .state4 { stroke: var(--c5); stroke-width: 9; }\n",
    NULL,
};

const char *const cr__page_style[] = {
    "* { box-sizing: border-box; }\n",
    "body { background: var(--ground); color: var(--ink); max-width: 62rem; margin: 0 ",
    "auto;\n",
    "  padding: 2rem 1.25rem 6rem; font: 16px/1.55 system-ui, sans-serif; }\n",
    "h1 { font-size: 1.9rem; line-height: 1.2; margin: .2rem 0 1.2rem; overflow-wrap: ",
    "anywhere; }\n",
    "h2 { font-size: 1.25rem; margin: 3rem 0 .3rem; } h3 { font-size: 1rem; margin: ",
    "1.5rem 0 .2rem; }\n",
    "code { font: .92em ui-monospace, monospace; }\n",
    "p { max-width: 46rem; margin: .4rem 0; } .soft, small, .brand { color: "
    "var(--soft); ",
    "}\n",
    ".brand { font-size: .9rem; margin: 0; } a { color: var(--c1); }\n",
    ".read { color: var(--soft); } .read b { color: var(--ink); font-weight: 600; }\n",
    ".verdict { border-left: 5px solid var(--tone); background: var(--card); padding: ",
    ".9rem 1.1rem;\n",
    "  margin: .8rem 0; border-radius: 0 6px 6px 0; overflow-wrap: anywhere; }\n",
    ".verdict p { margin: .3rem 0; max-width: none; } .verdict .what { font-size: "
    "1.2rem; font-weight: ",
    "600;\n",
    "  line-height: 1.35; } .minor .what { font-size: 1rem; }\n",
    ".badge { color: var(--tone); font-weight: 700; text-transform: uppercase; ",
    "font-size: .82rem;\n",
    "  letter-spacing: .04em; }\n",
    ".alarm { --tone: var(--alarm); } .warning { --tone: var(--warning); }\n",
    ".note { --tone: var(--note); } .healthy { --tone: var(--good); }\n",
    ".tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, ",
    "1fr)); gap: .8rem;\n",
    "  margin: 1.2rem 0; padding: 0; } .tiles div { background: var(--card); ",
    "border-radius: 6px;\n",
    "  padding: .7rem .9rem; } .tiles dt { color: var(--soft); font-size: .85rem; }\n",
    ".tiles dd { margin: 0; font-size: 1.25rem; font-weight: 600; line-height: 1.35; }\n",
    ".tiles dd small { font-weight: 400; font-size: .85rem; display: block; }\n",
    "sup { font-size: .72em; line-height: 0; }\n",
    "figure { margin: 1rem 0; } figure:focus-visible { outline: 2px solid var(--c1);\n",
    "  outline-offset: 4px; border-radius: 4px; }\n",
    ".ytitle, .xtitle, .legend { color: var(--soft); font-size: .85rem; }\n",
    ".ytitle { margin: 0 0 .6rem; } .xtitle { text-align: center; margin: 1.7rem 0 "
    ".5rem ",
    "3.6rem; }\n",
    ".frame { position: relative; margin: 0 .8rem 0 3.6rem; }\n",
    ".frame svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: ",
    "visible; }\n",
    ".frame span { position: absolute; color: var(--soft); font-size: .8rem; ",
    "line-height: 1;\n",
    "  white-space: nowrap; font-variant-numeric: tabular-nums; }\n",
    ".frame .y { right: 100%; margin-right: .5rem; transform: translateY(-50%); }\n",
    ".frame .x { top: 100%; margin-top: .45rem; transform: translateX(-50%); }\n",
    ".frame .in { transform: translateX(-50%); color: var(--ink); }\n",
    ".rows .frame { margin-left: 8.5rem; } .rows .frame .y { max-width: 8rem; overflow: ",
    "hidden;\n",
    "  text-overflow: ellipsis; line-height: 1.3; } .rows .xtitle { margin-left: "
    "8.5rem; ",
    "}\n",
    ".cursor { position: absolute; top: 0; bottom: 0; width: 0; border-left: 1.5px "
    "solid ",
    "var(--ink);\n",
    "  opacity: .65; pointer-events: none; }\n",
    ".row-cursor { position: absolute; left: 0; right: 0; border: 1.5px solid ",
    "var(--ink);\n",
    "  pointer-events: none; }\n",
    ".pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, "
    "1fr)); ",
    "gap: 0 1rem; }\n",
    ".legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin: .3rem 0 .3rem ",
    "3.6rem; }\n",
    ".legend span { display: inline-flex; align-items: center; gap: .5rem; }\n",
    ".legend .ramp svg { width: 9rem; } .legend i { font-style: normal; }\n",
    "svg .part0 { fill: var(--c1); } svg .part1 { fill: var(--c3); } svg .part2 { fill: ",
    "var(--c4); }\n",
    "svg .part3 { fill: var(--c6); } svg .hit { fill: transparent; }\n",
    "svg .area { fill: var(--c1); fill-opacity: .35; stroke: var(--c1); stroke-width: ",
    "1.5; }\n",
    "svg .area.back { fill: var(--c3); stroke: var(--c3); }\n",
    ".rows svg { overflow: hidden; } svg .bar { stroke-width: 7; }\n",
    "svg .later { fill: none; stroke: var(--ink); stroke-width: 1.2; }\n",
    "svg .q0 { fill: var(--q0); } svg .q1 { fill: var(--q1); } svg .q2 { fill: ",
    "var(--q2); }\n",
    "svg .q3 { fill: var(--q3); } svg .q4 { fill: var(--q4); } svg .q5 { fill: ",
    "var(--q5); }\n",
    "svg .q6 { fill: var(--q6); } svg .q7 { fill: var(--q7); } svg .q8 { fill: ",
    "var(--q8); }\n",
    "svg .q9 { fill: var(--q9); } svg .q10 { fill: var(--q10); } svg .h2 { fill: ",
    "var(--zero); }\n",
    "svg .h3 { fill: var(--alarm); } svg .h4 { fill: var(--c5); }\n",
    ".scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: ",
    ".88rem;\n",
    "  font-variant-numeric: tabular-nums; margin: .5rem 0; }\n",
    "th, td { padding: .3rem 1.1rem .3rem 0; text-align: right; vertical-align: top; }\n",
    "th { color: var(--soft); font-weight: 600; white-space: nowrap; }\n",
    "tr { border-bottom: 1px solid var(--line); } .t { text-align: left; }\n",
    "td { white-space: nowrap; } td.wide { min-width: 16rem; white-space: normal; }\n",
    ".yes { color: var(--good); font-weight: 700; } .no { color: var(--alarm); ",
    "font-weight: 700; }\n",
    "details { margin: .7rem 0; } summary { cursor: pointer; color: var(--c1); }\n",
    "pre { background: var(--card); border-radius: 6px; padding: .8rem 1rem; "
    "overflow-x: ",
    "auto;\n",
    "  font: 14px/1.5 ui-monospace, monospace; margin: .6rem 0; }\n",
    "dl.words { display: grid; grid-template-columns: max-content 1fr; gap: .3rem ",
    "1.2rem; }\n",
    "dl.words dt { font-weight: 600; } dl.words dd { margin: 0; max-width: 40rem; }\n",
    "#readout { position: fixed; left: 0; right: 0; bottom: 0; background: var(--ink);\n",
    "  color: var(--ground); padding: .55rem 1.25rem; font-size: .9rem; text-align: ",
    "center;\n",
    "  font-variant-numeric: tabular-nums; } #readout[hidden] { display: none; }\n",
    "@media (max-width: 40rem) { body { padding: 1.2rem .9rem 6rem; } h1 { font-size: ",
    "1.5rem; }\n",
    "  .frame { margin: 0 .4rem 0 3rem; } .frame .odd { display: none; }\n",
    "  .legend { margin-left: 0; } .xtitle { margin-left: 3rem; }\n",
    "  dl.words { grid-template-columns: 1fr; } dl.words dd { margin-bottom: .5rem; } "
    "}\n",
    "@media print { #readout { display: none; } figure { break-inside: avoid; } }\n",
    NULL,
};

const char *const cr__page_script[] = {
    "(function () {\n",
    "  'use strict';\n",
    "  var data = JSON.parse(document.getElementById('data').textContent);\n",
    "  var out = document.getElementById('readout');\n",
    "  var frames = [].slice.call(document.querySelectorAll('[data-layers]'));\n",
    "  var n = data.names.length, layer = n - 1, step = 0;\n",
    "  if (!n) return;\n",
    "  function power(v) {\n",
    "    if (typeof v === 'string') return v;\n",
    "    if (v === null) return '\\u2013';\n",
    "    return '10^' + v.toFixed(1).replace('-', '\\u2212');\n",
    "  }\n",
    "  function number(v) { return v === null ? '\\u2013' : +v.toPrecision(3) + ''; }\n",
    "  function cursor(frame, name) {\n",
    "    var c = frame.querySelector('.' + name);\n",
    "    if (!c) {\n",
    "      c = document.createElement('div');\n",
    "      c.className = name;\n",
    "      frame.appendChild(c);\n",
    "    }\n",
    "    return c;\n",
    "  }\n",
    "  function stepCurve(frame) {\n",
    "    var svg = frame.querySelector('svg'), path = svg.querySelector('.chosen');\n",
    "    var low = +frame.dataset.low, high = +frame.dataset.high, height = ",
    "+frame.dataset.height;\n",
    "    var d = '', pen = 'M';\n",
    "    if (!path) {\n",
    "      path = document.createElementNS('http://www.w3.org/2000/svg', 'path');\n",
    "      path.setAttribute('class', 'curve c5 chosen');\n",
    "      svg.appendChild(path);\n",
    "      var key = frame.parentNode.previousElementSibling;\n",
    "      if (key) key.insertAdjacentHTML('beforeend', '<span><svg width=\"26\" "
    "height=\"10\">' +\n",
    "        '<path class=\"curve c5\" d=\"M0 5H26\"/></svg>step of the "
    "cursor</span>');\n",
    "    }\n",
    "    data.delta[step].forEach(function (v, i) {\n",
    "      if (typeof v !== 'number') { pen = 'M'; return; }\n",
    "      var y = Math.min(1, Math.max(0, (v - low) / (high - low)));\n",
    "      d += pen + ((i + .5) / n * 1000).toFixed(1) + ' ' + ((1 - y) * ",
    "height).toFixed(1);\n",
    "      pen = 'L';\n",
    "    });\n",
    "    path.setAttribute('d', step ? d : '');\n",
    "  }\n",
    "  function show() {\n",
    "    frames.forEach(function (frame) {\n",
    "      cursor(frame, 'cursor').style.left = 100 * (layer + .5) / n + '%';\n",
    "      if (frame.dataset.steps) {\n",
    "        var row = cursor(frame, 'row-cursor').style;\n",
    "        row.top = 100 * step / data.steps.length + '%';\n",
    "        row.height = 100 / data.steps.length + '%';\n",
    "      }\n",
    "      if (frame.dataset.low) stepCurve(frame);\n",
    "    });\n",
    "    out.hidden = false;\n",
    "    out.textContent = 'step ' + data.steps[step] + ' \\u00b7 layer ' + ",
    "data.names[layer] + ', ' +\n",
    "      data.kinds[layer] + ' \\u00b7 gradient ' + power(data.delta[step][layer]) +\n",
    "      ' \\u00b7 output ' + number(data.rms[step][layer]) +\n",
    "      (data.decades[layer] === null ? '' : ' \\u00b7 ' + ",
    "data.decades[layer].toFixed(2) +\n",
    "      ' decades here at step ' + data.steps[0]);\n",
    "  }\n",
    "  function clamp(v, most) { return Math.max(0, Math.min(most, v)); }\n",
    "  frames.forEach(function (frame) {\n",
    "    frame.addEventListener('pointermove', function (e) {\n",
    "      var box = frame.getBoundingClientRect();\n",
    "      layer = clamp(Math.floor((e.clientX - box.left) / box.width * n), n - 1);\n",
    "      if (frame.dataset.steps)\n",
    "        step = clamp(Math.floor((e.clientY - box.top) / box.height * ",
    "data.steps.length),\n",
    "                     data.steps.length - 1);\n",
    "      show();\n",
    "    });\n",
    "    frame.parentNode.addEventListener('focus', show);\n",
    "    frame.parentNode.addEventListener('keydown', function (e) {\n",
    "      var moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1],\n",
    "                    ArrowDown: [0, 1], Home: [-n, 0], End: [n, 0] };\n",
    "      var move = moves[e.key];\n",
    "      if (e.key === 'Escape') { out.hidden = true; return; }\n",
    "      if (!move || e.ctrlKey || e.metaKey || e.altKey) return;\n",
    "      layer = clamp(layer + move[0], n - 1);\n",
    "      step = clamp(step + move[1], data.steps.length - 1);\n",
    "      show();\n",
    "      e.preventDefault();\n",
    "    });\n",
    "  });\n",
    "})();\n",
    NULL,
};

void cr__put_lines(cr__sink *sink, const char *const *lines)
{
    for (; *lines; lines++)
        cr__put_bytes(sink, *lines, strlen(*lines));
}

void cr__put_signed(cr__sink *sink, double value, int digits)
{
    char text[32] = "";
    cr__sink number = { .text = text, .capacity = sizeof text };
    cr__put(&number, digits == 0 ? "%.0f" : digits == 1 ? "%.1f" : "%.2f", value);
    cr__put(sink, "%s%s", text[0] == '-' ? "\u2212" : "", text + (text[0] == '-'));
}

/* ---- frames ---- */

void cr__put_exponent(cr__sink *sink, double exponent, int digits)
{
    cr__put(sink, "10<sup>");
    cr__put_signed(sink, exponent, digits);
    cr__put(sink, "</sup>");
}

static void put_tick(cr__sink *sink, cr__tick_kind kind, double value)
{
    if (kind == CR__POWER_TICK)
        cr__put_exponent(sink, value, 0);
    else if (kind == CR__PERCENT_TICK)
        cr__put(sink, "%.3g%%", 100 * value);
    else
        cr__put(sink, "%.4g", value);
}

void cr__frame_label_open(cr__sink *sink, double share)
{
    cr__put(sink, "<span class=\"y\" style=\"top:%.2f%%\">", 100 * share);
}

/* Every other tick along x may be left out where there is no room. */
void cr__frame_ticks(cr__sink *sink, const cr__frame *frame, cr__axis axis, bool along_x)
{
    const double from = along_x ? frame->x_from : frame->y_from;
    const double to = along_x ? frame->x_to : frame->y_to;
    if (!(axis.step > 0))
        return;
    for (int i = 0; i < 100; i++) {
        const double value = (ceil(from / axis.step - 1e-9) + i) * axis.step;
        const double share = (value - from) / (to - from);
        if (share > 1 + 1e-9)
            return;
        if (along_x)
            cr__put(sink, "<span class=\"x%s\" style=\"left:%.2f%%\">",
                    i % 2 ? " odd" : "", 100 * share);
        else
            cr__frame_label_open(sink, 1 - share);
        put_tick(sink, axis.kind, value);
        cr__put(sink, "</span>");
    }
}

static void put_grid(const cr__plot *plot, cr__axis y)
{
    for (int i = 0; i < 100 && y.step > 0; i++) {
        const double value = (ceil(plot->y_from / y.step - 1e-9) + i) * y.step;
        if (value > plot->y_to + 1e-9)
            return;
        cr__put(plot->sink,
                "<line class=\"grid\" x1=\"0\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>",
                CR__PLOT_WIDTH, cr__plot_y(plot, value), cr__plot_y(plot, value));
    }
}

void cr__frame_begin(cr__sink *sink, const cr__frame *frame)
{
    cr__put(sink, "<figure%s%s%s%s role=\"group\" aria-label=\"",
            *frame->style ? " class=\"" : "", frame->style, *frame->style ? "\"" : "",
            frame->layers > 0 ? " tabindex=\"0\"" : "");
    cr__put_text(sink, CR__AS_MARKUP, frame->label);
    cr__put(
        sink,
        "\">\n<p class=\"ytitle\">%s</p>\n<div class=\"frame\" style=\"height:%.0fpx\"",
        frame->y_title, frame->height);
    if (frame->layers > 0)
        cr__put(sink, " data-layers=\"%d\"", frame->layers);
    cr__put(sink, "%s%s>\n", *frame->data ? " " : "", frame->data);
}

cr__plot cr__frame_draw(cr__sink *sink, const cr__frame *frame)
{
    cr__put(sink,
            "<svg viewBox=\"0 0 %d %.0f\" preserveAspectRatio=\"none\" "
            "aria-hidden=\"true\">\n",
            CR__PLOT_WIDTH, frame->height);
    return (cr__plot){ .sink = sink,
                       .width = CR__PLOT_WIDTH,
                       .height = frame->height,
                       .x_from = frame->x_from,
                       .x_to = frame->x_to,
                       .y_from = frame->y_from,
                       .y_to = frame->y_to };
}

cr__plot cr__frame_open(cr__sink *sink, const cr__frame *frame, cr__axis x, cr__axis y)
{
    cr__frame_begin(sink, frame);
    cr__frame_ticks(sink, frame, x, true);
    cr__frame_ticks(sink, frame, y, false);
    const cr__plot plot = cr__frame_draw(sink, frame);
    put_grid(&plot, y);
    return plot;
}

void cr__frame_close(cr__sink *sink, const cr__frame *frame)
{
    cr__put(sink, "</svg></div>\n<p class=\"xtitle\">%s</p></figure>\n", frame->x_title);
}

void cr__legend_open(cr__sink *sink)
{
    cr__put(sink, "<div class=\"legend\">\n");
}

void cr__legend_entry(cr__sink *sink, const char *mark, const char *style,
                      const char *text)
{
    static const struct {
        const char *mark, *begin, *end;
    } marks[] = {
        { "line", "<path class=\"curve ", "\" d=\"M0 5H26\"/>" },
        { "dots", "<path class=\"dots ", "\" d=\"M13 5h0\"/>" },
        { "area", "<rect width=\"26\" height=\"10\" class=\"", "\"/>" },
    };
    for (int i = 0; i < CR__FLOW_COUNT(marks); i++)
        if (strcmp(marks[i].mark, mark) == 0)
            cr__put(
                sink,
                "<span><svg width=\"26\" height=\"10\" aria-hidden=\"true\">%s%s%s</svg>",
                marks[i].begin, style, marks[i].end);
    cr__put(sink, "%s</span>\n", text);
}

void cr__legend_close(cr__sink *sink)
{
    cr__put(sink, "</div>\n");
}

void cr__put_power(cr__sink *sink, double log10)
{
    if (isnan(log10))
        cr__put(sink, "\u2013");
    else if (isinf(log10))
        cr__put(sink, log10 < 0 ? "0" : "\u221e");
    else if (fabs(log10) < 3)
        cr__put(sink, "%.3g", pow(10, log10));
    else
        cr__put_exponent(sink, log10, 1);
}
