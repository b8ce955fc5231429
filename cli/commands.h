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

/* Shows the workloads of these names, or without names a line for each there is. Ends at the first
 * name that is unknown, which it says, or that cannot be shown. The command's status. */
struct workload;
int workload_each(int n, char **names, bool (*show)(const struct workload *work));

#endif
