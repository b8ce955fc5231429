/* What the parts of the HTML report share. */
#ifndef CR_FLOW_HTML_H
#define CR_FLOW_HTML_H

#include "page.h"

enum {
    CR__MOST_CELLS =
        12000, /* of the heat map and of what the script knows: layers times steps */
    CR__MOST_STEPS = 64
};

/* What all sections draw from. */
typedef struct cr__html {
    cr__sink *sink;
    const cr_flow_report *report;
    cr__profile profile;                /* its layers are the first snapshot's leaves */
    int steps[CR__MOST_STEPS], n_steps; /* places of the snapshots that are drawn */
    int sections;
} cr__html;

/* A text that a program gave. */
void cr__html_text(cr__html *page, const char *text);
/* The same with exponents raised: 10^-3. */
void cr__html_prose(cr__html *page, const char *text);
/* A count, in groups of three digits. */
void cr__html_count(cr__html *page, int64_t count);
/* Its heading, and how to read it. "</section>" ends it. */
void cr__html_section(cr__html *page, const char *id, const char *title, const char *how);
const cr_flow_snapshot *cr__html_step(const cr__html *page, int i);
/* The i-th leaf in that snapshot; NULL if it has other layers than the first. */
const cr_flow_layer *cr__html_leaf(const cr__html *page, const cr_flow_snapshot *snapshot,
                                   int i);

/* ---- html_layers.c: drawings whose x are the layers ---- */

/* Cells from i - 1/2 to i + 1/2. */
cr__frame cr__html_layers_frame(const cr__html *page, const char *label,
                                const char *y_title, double height);
cr__axis cr__html_layers_axis(const cr__html *page);
cr__axis cr__html_power_axis(const cr__frame *frame, int most);
/* These write a section each, where there is something to see. False without memory. */
void cr__html_profile(cr__html *page);
void cr__html_parts(cr__html *page);
bool cr__html_forward(cr__html *page);
void cr__html_history(cr__html *page);

/* ---- html_values.c: distributions, updates, the spectrum, the loss, before and after ---- */

void cr__html_loss(cr__html *page);
void cr__html_bins(cr__html *page);
bool cr__html_branches(cr__html *page);
bool cr__html_updates(cr__html *page);
void cr__html_spectrum(cr__html *page);
bool cr__html_trials(cr__html *page);

/* ---- html_tables.c ---- */

void cr__html_tables(cr__html *page);
void cr__html_words(cr__html *page);
/* For the script. */
void cr__html_data(cr__html *page);

#endif
