/* What the writers of reports share: where text goes, and the words and numbers that all of them
 * use. They only read the report. */
#ifndef CR_FLOW_REPORT_H
#define CR_FLOW_REPORT_H

#include "flow.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- Where text goes: a file, or memory as with snprintf ---- */

typedef struct cr__sink {
    FILE *file; /* NULL: memory */
    char *text;
    size_t capacity;
    size_t length; /* written so far, or what would have been */
    bool failed;
} cr__sink;

void cr__put_bytes(cr__sink *sink, const char *bytes, size_t n);

/* Like fprintf, but for numbers, which have a point in every locale and no minus when they are
 * rounded to zero. Knows d, lld, u, x, zu, s, c and e, f, g; no '*'; strings are put as they are. */
void cr__put(cr__sink *sink, const char *format, ...) CR_FORMAT(2, 3);
void cr__put_list(cr__sink *sink, const char *format, va_list list);

/* A text that a program gave, made fit for where it goes: invalid UTF-8 and, but for JSON, control
 * characters become U+FFFD. CR__AS_PLAIN may be cut by columns. */
typedef enum cr__escape {
    CR__AS_PLAIN,
    CR__AS_MARKUP,
    CR__AS_JSON,
    CR__AS_CSV
} cr__escape;
void cr__put_text(cr__sink *sink, cr__escape escape, const char *text);

/* The code point at *text, which is moved on; U+FFFD for what is not UTF-8. 0 at the end. */
uint32_t cr__utf8_next(const char **text);
void cr__put_code(cr__sink *sink, uint32_t code);
/* How many columns of a terminal it takes: 0, 1 or 2. */
int cr__columns_of(uint32_t code);

/* True if all of it arrived. */
bool cr__sink_done(cr__sink *sink);

/* ---- What all reports say in the same way ---- */

/* What a layer does to the gradient. */
typedef enum cr__part {
    CR__WEIGHTS,
    CR__ACTIVATION,
    CR__NORM,
    CR__OTHER,
    CR__PARTS
} cr__part;
cr__part cr__part_of(const cr_flow_layer *layer);
const char *cr__part_name(cr__part part); /* "weights", .. */

const char *cr__state_name(cr_flow_state state); /* "usual", "disconnected", .. */
const char *cr__severity_name(cr_flow_severity severity); /* "note", .. */
const char *cr__phase_name(cr_flow_phase phase);
const char *cr__loss_name(cr_flow_loss_kind kind);
const char *cr__norm_name(cr_flow_norm norm);
const char *cr__residual_name(cr_flow_residual residual);

/* The verdict in a word: "healthy", or the severity of the first verdict. */
const char *cr__outcome(const cr_flow_report *report);
/* The cause with blanks for underscores. */
void cr__cause_words(cr_flow_cause cause, char words[32]);

/* Whether theory took the network for a stack. */
bool cr__has_theory(const cr_flow_report *report);
/* Whether the spectrum was measured. */
bool cr__has_spectrum(const cr_flow_report *report);

/* The layers of a snapshot that hold no others, in their order: places in of->layers. */
typedef struct cr__layers {
    const cr_flow_snapshot *of;
    int n;
    int *places; /* to be freed */
} cr__layers;
/* False without memory; there are no layers then. snapshot may be NULL: none. */
bool cr__layers_of(const cr_flow_snapshot *snapshot, cr__layers *layers);
const cr_flow_layer *cr__layer(const cr__layers *layers, int i);

/* `units` times the same kinds of `period` layers, from the first-th on. Of layers that are alike in
 * nothing, period is 1. */
typedef struct cr__fold {
    int first, period, units;
} cr__fold;
/* All layers in at most capacity (>= 1) groups; returns how many. */
int cr__fold_layers(const cr__layers *layers, cr__fold *groups, int capacity);

/* log10 of |delta| at the output of a layer: finite, or NaN where the word says why. */
double cr__delta(const cr_flow_layer *layer);

/* The smallest and the largest of many; both NaN before the first finite one. */
typedef struct cr__range {
    double least, most;
} cr__range;
#define CR__NO_RANGE ((cr__range){ NAN, NAN })
void cr__range_add(cr__range *range, double value);
bool cr__range_any(const cr__range *range);

/* The 2-norm, as log10, of a layer's own parameters together: of one member of cr_flow_param. NaN
 * where none is finite. */
double cr__params_log10(const cr_flow_snapshot *snapshot, const cr_flow_layer *layer,
                        size_t member);

#endif
