/* A command of the program: one row of the table in main.c. Its help, the man page and the shells'
 * completion are written from what stands here. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* What a command gives back, as the program's exit status. */
enum { STATUS_GOOD = 0, STATUS_ALARM = 1, STATUS_ERROR = 2 };

/* Words by number, NULL behind the last. */
typedef const char *word_list(int i);

typedef enum option_type {
    OPTION_SWITCH, /* bool */
    OPTION_INT,    /* int64_t */
    OPTION_REAL,   /* double; NaN where none is given */
    OPTION_TEXT,   /* const char *; NULL where none is given */
    OPTION_WORD    /* const char *, one of .words */
} option_type;

typedef struct option {
    const char *name;
    option_type type;
    void *to;
    const char *value;   /* what help calls the value: "N", "FILE" */
    const char *initial; /* the default, as it would be written; NULL: none */
    word_list *words;
    double least, most; /* of numbers */
    const char *doc;
} option;

/* arguments: what stands beside options, "[NAME...]"; NULL: nothing may. words: what these may be;
 * NULL: anything. lists: without arguments it prints these words, each before a line about it.
 * options: tables, ended by a row without a name; what is in several is that of the first. help:
 * paragraphs, divided by empty lines; those that begin with blanks are kept as they are. */
enum { COMMAND_TABLES = 3 };
typedef struct command {
    const char *name; /* one word or two */
    int (*run)(int n, char **words);
    const char *doc; /* one line */
    const char *arguments;
    word_list *words;
    bool lists;
    const option *options[COMMAND_TABLES];
    const char *help;
} command;

extern const command commands[]; /* main.c; name NULL: the end */

/* A command's options by number, NULL behind the last. */
const option *option_at(const command *c, int i);

/* Takes the options of argv into their places and moves what is none to the front of argv; *n
 * counts argv before and after. False with a message on stderr. */
bool options_take(const command *c, int *n, char **argv);

/* Prints "; did you mean a, b?" on stderr of those words that are nearly `asked`, with `before` in
 * front of each; false if there are none. */
bool suggest_near(const char *asked, word_list *words, const char *before);

/* help.c */
void help_overview(FILE *file);
void help_command(FILE *file, const command *c);
void help_man_page(FILE *file);
bool help_completion(FILE *file, const char *shell);
word_list help_shells;

#endif
