/* The operations, for people: chainrule ops. */
#ifndef CHAINRULE_CLI_OPS_H
#define CHAINRULE_CLI_OPS_H

#include <stdbool.h>

/* A line for each. */
void ops_list(void);

/* How one is called, its shapes, gradient and attributes; false, and near names, if there is none. */
bool ops_show(const char *name);

/* All of that as a page in Markdown: docs/operations.md. */
void ops_page(void);

#endif
