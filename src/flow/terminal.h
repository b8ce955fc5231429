/* What is known of the terminal behind a FILE, if there is one. */
#ifndef CR_FLOW_TERMINAL_H
#define CR_FLOW_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

/* Colours are wanted: a terminal that knows them, and no NO_COLOR (no-color.org). */
bool cr__terminal_colour(FILE *file);
/* Its columns; 0 if they are not known, or it is no terminal. */
int cr__terminal_width(FILE *file);

#endif
