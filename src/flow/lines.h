/* Lines of styled text that respect a width in columns, and a count of lines. */
#ifndef CR_FLOW_LINES_H
#define CR_FLOW_LINES_H

#include "report.h"

typedef enum cr__style {
    CR__PLAIN,
    CR__BOLD,
    CR__DIM,
    CR__RED,
    CR__YELLOW,
    CR__GREEN,
    CR__BLUE
} cr__style;

typedef struct cr__lines {
    cr__sink *sink; /* NULL: lines are counted only */
    int width, most;
    int n; /* lines so far; those beyond `most` are not written */
    bool colour;
    /* The line that is being written. What does not fit here is cut from lines anyway. */
    uint32_t codes[512];
    unsigned char styles[512];
    int length, columns;
} cr__lines;

void cr__line_text(cr__lines *lines, cr__style style, const char *text);
void cr__line_put(cr__lines *lines, cr__style style, const char *format, ...)
    CR_FORMAT(3, 4);
/* Blanks up to a column. */
void cr__line_blanks(cr__lines *lines, int column);
/* An ellipsis stands for what was cut. */
void cr__line_end(cr__lines *lines);

/* Words from where the line stands to its end, on at most `most` lines, the further ones indented. */
void cr__line_words(cr__lines *lines, cr__style style, int indent, int most,
                    const char *text);

/* A text in a column of that width, cut or filled up, and a blank; nothing where width is 0. */
void cr__line_cell(cr__lines *lines, cr__style style, const char *text, int width,
                   bool right);

int cr__text_columns(const char *text);

#endif
