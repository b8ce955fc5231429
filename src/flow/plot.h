/* Drawing into SVG: places, ticks and marks. Colours are classes, which the page's style knows. */
#ifndef CR_FLOW_PLOT_H
#define CR_FLOW_PLOT_H

#include "report.h"

/* Where a plot is, in units of the drawing, and what it shows. */
typedef struct cr__plot {
    cr__sink *sink;
    double left, top, width, height;
    double x_from, x_to, y_from, y_to;
} cr__plot;

double cr__plot_x(const cr__plot *plot, double x);
double cr__plot_y(const cr__plot *plot, double y); /* cut at the edges */

/* 1, 2 or 5 times a power of ten (whole: at least 1), so that at most `most` fit. */
double cr__tick_step(double from, double to, int most, bool whole);
/* The range, wider: to whole numbers, and at least `least` long. 0 to `least` of no range. */
void cr__plot_range(const cr__range *range, double least, double *from, double *to);

/* n values at x_first .. x_last, in equal steps; gaps where they are not finite. */
typedef struct cr__series {
    const double *y;
    int n;
    double x_first, x_last;
} cr__series;
double cr__series_x(const cr__series *series, int i);
void cr__draw_curve(const cr__plot *plot, const cr__series *series, const char *style);
void cr__draw_dots(const cr__plot *plot, const cr__series *series, const char *style);
/* Between two series of the same places. */
void cr__draw_band(const cr__plot *plot, const cr__series *low, const cr__series *high);

/* ---- The depth profile: |delta| layer by layer ---- */

/* In log10, at layers 0 .. n-1 of the first snapshot. Arrays are freed by cr__profile_free(). */
typedef struct cr__profile {
    cr__layers layers;
    double *first, *last, *theory, *low, *high; /* theory and its band: NULL without */
    double *
        sums; /* where theory's layers are modules that hold others: their own, at the last leaf */
    bool has_sums;
    cr__range range;
    const cr_flow_snapshot *last_of; /* NULL if there is but one snapshot */
} cr__profile;
/* False without memory. */
bool cr__profile_of(const cr_flow_report *report, cr__profile *profile);
void cr__profile_free(cr__profile *profile);
void cr__draw_profile(const cr__plot *plot, const cr__profile *profile);
/* |delta| at the output of the layers, NaN where there is none; n values, to be freed. */
double *cr__deltas(const cr__layers *layers);

#endif
