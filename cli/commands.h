/* The commands' functions and options, for the table in main.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "command.h"

int flow_run(int n, char **words);
int theory_run(int n, char **words);
int map_run(int n, char **words);
int lesson_run(int n, char **words);
int ops_run(int n, char **words);
int plan_run(int n, char **words);
int profile_run(int n, char **words);
int graph_run(int n, char **words);
int check_run(int n, char **words);

extern const option flow_options[], theory_options[], map_options[], lesson_options[],
    ops_options[], profile_options[];

/* What the commands take as arguments. */
word_list ops_words, workload_words, theory_activation_words;

/* A line for each workload. */
void workload_list(void);

/* Says that there is no such workload, and what is called nearly so. */
void workload_unknown(const char *name);

#endif
