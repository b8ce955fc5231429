/* What every page has: its style, its script, and plots whose words are HTML, so that they keep
 * their size however wide the page is. */
#ifndef CR_FLOW_PAGE_H
#define CR_FLOW_PAGE_H

#include "plot.h"

extern const char *const cr__page_colours[]; /* CSS variables, light and dark */
extern const char *const cr__page_style[];
extern const char *const cr__plot_style[]; /* of marks, in pages and drawings */
extern const char *const cr__page_script[];

/* Lines that end with NULL. */
void cr__put_lines(cr__sink *sink, const char *const *lines);
/* With so many digits (0 to 2) behind the point, and a minus as long as a plus. */
void cr__put_signed(cr__sink *sink, double value, int digits);

enum { CR__PLOT_WIDTH = 1000 }; /* units over the width of every plot in a page */

/* What stands around a plot. */
typedef struct cr__frame {
    const char *label;   /* for those who cannot see it */
    const char *y_title; /* above it */
    const char *x_title; /* below it */
    double height;       /* in pixels */
    double x_from, x_to, y_from, y_to;
    int layers;        /* places that the cursor walks along; 0: none */
    const char *style; /* class of the figure, "" */
    const char *data;  /* further attributes of the frame, "" */
} cr__frame;

typedef enum cr__tick_kind {
    CR__PLAIN_TICK,
    CR__POWER_TICK,
    CR__PERCENT_TICK
} cr__tick_kind;
typedef struct cr__axis {
    cr__tick_kind kind;
    double step; /* from tick to tick; 0: none */
} cr__axis;

/* Opens the figure, with its ticks and their lines, and the SVG inside. */
cr__plot cr__frame_open(cr__sink *sink, const cr__frame *frame, cr__axis x, cr__axis y);
void cr__frame_close(cr__sink *sink, const cr__frame *frame);
/* The steps of opening it, for labels of one's own: these are text, which "</span>" ends, at a share
 * of the height from above. */
void cr__frame_begin(cr__sink *sink, const cr__frame *frame);
void cr__frame_ticks(cr__sink *sink, const cr__frame *frame, cr__axis axis, bool along_x);
void cr__frame_label_open(cr__sink *sink, double share);
cr__plot cr__frame_draw(cr__sink *sink, const cr__frame *frame);

/* A key to colours: a line, dots or an area of that class, and what it is. */
void cr__legend_open(cr__sink *sink);
void cr__legend_entry(cr__sink *sink, const char *mark, const char *style,
                      const char *text);
void cr__legend_close(cr__sink *sink);

/* 10 with an exponent of so many digits behind the point. */
void cr__put_exponent(cr__sink *sink, double exponent, int digits);
/* A power of ten in HTML: 0.032, or 10 with an exponent. */
void cr__put_power(cr__sink *sink, double log10);

#endif
