/* What the program wants of the system beside C: the terminal, threads, clocks, its own place. */
#ifndef CLI_HOST_H
#define CLI_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Columns: those of COLUMNS, of the terminal, or 80. */
int host_columns(FILE *file);

/* Whether to write colours: to a terminal that is not dumb, unless NO_COLOR is set. */
bool host_colours(FILE *file);

/* One line on stderr, where that is a terminal, which the next call writes over: what is being
 * done, and how much of it is. A share of 1 or more clears the line. The signature is that of
 * cr_flow_diagnose_opts.progress. */
void host_progress(const char *what, double share, void *unused);

/* Seconds since some time. */
double host_seconds(void);

/* Processors that this process may use. */
int host_processors(void);

/* Calls body(arg, i) for each i below n, on so many threads (on one where there are none). */
void host_parallel(int threads, int n, void (*body)(void *arg, int i), void *arg);

/* What is between the two is done by one thread at a time. */
void host_lock(void);
void host_unlock(void);

/* The folder that holds the program, without a final slash; false if that is not known. */
bool host_program_folder(char *path, size_t capacity);

#endif
