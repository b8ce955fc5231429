/* Options on the command line: read by their tables, and names that are nearly right. */
#include "command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- names that are nearly right ---- */

/* How many letters are to be inserted, left out or exchanged (Levenshtein, 1966). */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 64 };
    size_t n = strlen(b), row[LONGEST + 1];
    if (n > LONGEST || strlen(a) > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t corner = row[0]++;
        for (size_t j = 0; j < n; j++) {
            size_t least = corner + (a[i] != b[j]);
            corner = row[j + 1];
            least = corner + 1 < least ? corner + 1 : least;
            row[j + 1] = row[j] + 1 < least ? row[j] + 1 : least;
        }
    }
    return row[n];
}

/* How far the name is from what was asked for: a part of it is near. */
static size_t strangeness(const char *name, const char *asked)
{
    size_t far = 4 * distance(name, asked);
    bool part = strlen(asked) > 2 && (strstr(name, asked) || strstr(asked, name));
    return part && far > 5 ? 5 : far;
}

bool suggest_near(const char *asked, word_list *words, const char *before)
{
    const char *word, *between = "; did you mean ";
    size_t most = 4 * (1 + strlen(asked) / 4);
    int named = 0;
    for (size_t at = 0; at <= most && named < 3; at++)
        for (int i = 0; named < 3 && (word = words(i)) != NULL; i++)
            if (strangeness(word, asked) == at) {
                fprintf(stderr, "%s%s%s", between, before, word);
                between = ", ";
                named++;
            }
    if (named)
        fputs("?", stderr);
    return named > 0;
}

/* ---- reading ---- */

/* The command whose options are being read: word lists have no argument of their own. */
static const command *current;

/* Whether a table in front of this one has an option of that name. */
static bool is_hidden(const command *c, int table, const char *name)
{
    for (int before = 0; before < table; before++)
        for (const option *o = c->options[before]; o && o->name; o++)
            if (strcmp(o->name, name) == 0)
                return true;
    return false;
}

const option *option_at(const command *c, int i)
{
    for (int table = 0; table < COMMAND_TABLES; table++)
        for (const option *o = c->options[table]; o && o->name; o++)
            if (!is_hidden(c, table, o->name) && i-- == 0)
                return o;
    return NULL;
}

static const char *option_name(int i)
{
    const option *o = option_at(current, i);
    return o ? o->name : NULL;
}

static const option *option_find(const command *c, const char *name, size_t length)
{
    const option *o;
    for (int i = 0; (o = option_at(c, i)) != NULL; i++)
        if (strlen(o->name) == length && memcmp(o->name, name, length) == 0)
            return o;
    return NULL;
}

static bool complain(const command *c, const option *o, const char *text,
                     const char *what)
{
    fprintf(stderr, "chainrule %s: --%s %s: %s\n", c->name, o->name, text, what);
    return false;
}

static bool take_number(const command *c, const option *o, const char *text)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value))
        return complain(c, o, text, "that is no number");
    if (o->type == OPTION_INT && value != floor(value))
        return complain(c, o, text, "a whole number is wanted");
    if (value < o->least || value > o->most) {
        char range[96];
        snprintf(range, sizeof range, "it must be from %g to %g", o->least, o->most);
        return complain(c, o, text, range);
    }
    if (o->type == OPTION_INT)
        *(int64_t *)o->to = (int64_t)value;
    else
        *(double *)o->to = value;
    return true;
}

static bool take_word(const command *c, const option *o, const char *text)
{
    const char *word;
    for (int i = 0; (word = o->words(i)) != NULL; i++)
        if (strcmp(word, text) == 0) {
            *(const char **)o->to = word;
            return true;
        }
    fprintf(stderr, "chainrule %s: --%s: '%s' is none", c->name, o->name, text);
    if (!suggest_near(text, o->words, "")) {
        fputs("; there are", stderr);
        for (int i = 0; (word = o->words(i)) != NULL; i++)
            fprintf(stderr, "%s %s", i ? "," : "", word);
    }
    fputs("\n", stderr);
    return false;
}

static bool take_value(const command *c, const option *o, const char *text)
{
    switch (o->type) {
    case OPTION_SWITCH:
        *(bool *)o->to = true;
        return true;
    case OPTION_INT:
    case OPTION_REAL:
        return take_number(c, o, text);
    case OPTION_TEXT:
        *(const char **)o->to = text;
        return true;
    case OPTION_WORD:
        return take_word(c, o, text);
    }
    return false;
}

static bool take_defaults(const command *c)
{
    const option *o;
    for (int i = 0; (o = option_at(c, i)) != NULL; i++) {
        if (o->initial && !take_value(c, o, o->initial))
            return false;
        if (!o->initial && o->type == OPTION_REAL)
            *(double *)o->to = NAN;
    }
    return true;
}

/* One option, argv[*i] being "--name" or "--name=value"; its value may be the next word. */
static bool take_option(const command *c, int *i, int n, char **argv)
{
    const char *name = argv[*i] + 2, *value = strchr(name, '=');
    size_t length = value ? (size_t)(value - name) : strlen(name);
    const option *o = option_find(c, name, length);
    if (!o) {
        fprintf(stderr, "chainrule %s: there is no option --%.*s", c->name, (int)length,
                name);
        char asked[64];
        snprintf(asked, sizeof asked, "%.*s", (int)length, name);
        current = c;
        suggest_near(asked, option_name, "--");
        fprintf(stderr, "; chainrule help %s lists all\n", c->name);
        return false;
    }
    if (o->type == OPTION_SWITCH) {
        if (value)
            return complain(c, o, value + 1, "it takes no value");
        return take_value(c, o, NULL);
    }
    if (value)
        return take_value(c, o, value + 1);
    if (*i + 1 >= n)
        return complain(c, o, "", "its value is missing");
    return take_value(c, o, argv[++*i]);
}

bool options_take(const command *c, int *n, char **argv)
{
    int words = 0;
    bool options = true;
    if (!take_defaults(c))
        return false;
    for (int i = 0; i < *n; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
        } else if (options && strncmp(argv[i], "--", 2) == 0) {
            if (!take_option(c, &i, *n, argv))
                return false;
        } else if (c->arguments) {
            argv[words++] = argv[i];
        } else {
            fprintf(stderr, "chainrule %s: '%s' is no option\n", c->name, argv[i]);
            return false;
        }
    }
    *n = words;
    return true;
}
