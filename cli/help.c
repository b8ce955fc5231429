/* Help, the man page and the shells' completion: written from the table of commands. */
#include "command.h"
#include "host.h"

#include <chainrule.h>
#include <math.h>
#include <string.h>

/* ---- text ---- */

/* A paragraph that stands `indent` columns from the left; the first line has `used` columns. */
static void print_wrapped(FILE *file, const char *text, size_t length, int indent,
                          int used)
{
    const int most = host_columns(file), width = most > 100 ? 100 : most;
    int column = used;
    const char *end = text + length;
    while (text < end) {
        const size_t word = strcspn(text, " \n");
        const size_t taken = word < (size_t)(end - text) ? word : (size_t)(end - text);
        if (taken > 0) {
            if (column > indent && column + 1 + (int)taken > width) {
                fputs("\n", file);
                column = 0;
            }
            while (column < indent)
                column += fprintf(file, " ");
            column +=
                fprintf(file, "%s%.*s", column > indent ? " " : "", (int)taken, text);
        }
        text += taken + 1;
    }
    fputs("\n", file);
}

/* The part of a help text up to an empty line; *next is what follows. */
static size_t paragraph(const char *text, const char **next)
{
    const char *end = strstr(text, "\n\n");
    *next = end ? end + 2 : text + strlen(text);
    return end ? (size_t)(end - text) : strlen(text);
}

/* " (default 50)", "; one of ..", as help and the man page end an option. */
static void describe_option(char *text, size_t capacity, const option *o)
{
    int n = snprintf(text, capacity, "%s", o->doc);
    const char *word;
    for (int i = 0; o->words && (word = o->words(i)) != NULL; i++)
        n += snprintf(text + n, capacity - (size_t)n, "%s %s", i ? "," : ":", word);
    if (o->initial && o->type != OPTION_SWITCH)
        snprintf(text + n, capacity - (size_t)n, " (default %s)", o->initial);
}

enum { MOST_TEXT = 1024 };

void help_overview(FILE *file)
{
    fputs("usage: chainrule COMMAND [options]\n\n", file);
    for (const command *c = commands; c->name; c++) {
        const int used = fprintf(file, "  %-14s", c->name);
        print_wrapped(file, c->doc, strlen(c->doc), 16, used);
    }
    fputs("\nchainrule help COMMAND says more of each.\n", file);
}

void help_command(FILE *file, const command *c)
{
    const option *o;
    char text[MOST_TEXT], name[64];
    fprintf(file, "usage: chainrule %s%s%s%s\n\n", c->name, c->arguments ? " " : "",
            c->arguments ? c->arguments : "", option_at(c, 0) ? " [options]" : "");
    for (const char *at = c->help, *next; *at; at = next) {
        const size_t length = paragraph(at, &next);
        if (*at == ' ')
            fprintf(file, "%.*s\n", (int)length, at);
        else
            print_wrapped(file, at, length, 0, 0);
        fputs(*next ? "\n" : "", file);
    }
    for (int i = 0; (o = option_at(c, i)) != NULL; i++) {
        fputs(i ? "" : "\n", file);
        snprintf(name, sizeof name, "--%s%s%s", o->name, o->value ? " " : "",
                 o->value ? o->value : "");
        const int used = fprintf(file, "  %-22s", name);
        describe_option(text, sizeof text, o);
        print_wrapped(file, text, strlen(text), 24, used);
    }
}

/* ---- the man page: roff of the macros man(7) ---- */

static void print_roff(FILE *file, const char *text, size_t length)
{
    if (length > 0 && (*text == '.' || *text == '\''))
        fputs("\\&", file);
    for (size_t i = 0; i < length; i++)
        if (text[i] == '-')
            fputs("\\-", file);
        else if (text[i] == '\\')
            fputs("\\e", file);
        else
            fputc(text[i], file);
}

static void print_man_help(FILE *file, const char *text)
{
    for (const char *at = text, *next; *at; at = next) {
        const size_t length = paragraph(at, &next);
        fputs(*at == ' ' ? ".PP\n.nf\n" : ".PP\n", file);
        print_roff(file, at, length);
        fputs(*at == ' ' ? "\n.fi\n" : "\n", file);
    }
}

static void print_man_command(FILE *file, const command *c)
{
    const option *o;
    char text[MOST_TEXT];
    fprintf(file, ".SS \"chainrule %s%s%s\"\n", c->name, c->arguments ? " " : "",
            c->arguments ? c->arguments : "");
    print_man_help(file, c->help);
    for (int i = 0; (o = option_at(c, i)) != NULL; i++) {
        fputs(".TP\n.B \\-\\-", file);
        print_roff(file, o->name, strlen(o->name));
        fprintf(file, "%s%s\n", o->value ? " " : "", o->value ? o->value : "");
        describe_option(text, sizeof text, o);
        print_roff(file, text, strlen(text));
        fputs("\n", file);
    }
}

void help_man_page(FILE *file)
{
    fprintf(file,
            ".\\\" Made by chainrule help --man from the table of commands.\n"
            ".TH CHAINRULE 1 \"\" \"chainrule %s\" \"User Commands\"\n"
            ".SH NAME\n"
            "chainrule \\- why does a network not train, and what this library can do\n"
            ".SH SYNOPSIS\n.B chainrule\n.I COMMAND\n[options]\n"
            ".SH DESCRIPTION\n"
            "The program of chainrule, a library that differentiates and trains.\n"
            ".B chainrule flow\n"
            "diagnoses how gradients flow through a network; the others show what this "
            "copy of\nthe library offers.\n.SH COMMANDS\n",
            cr_version());
    for (const command *c = commands; c->name; c++)
        print_man_command(file, c);
    fputs(".SH EXIT STATUS\n"
          "0: all is well. 1: an alarm of a diagnosis, or something that is not there. "
          "2: the\ncommand could not be carried out; a message on standard error says "
          "why.\n"
          ".SH ENVIRONMENT\n"
          ".TP\n.B COLUMNS\nthe width to write for, instead of the terminal's.\n"
          ".TP\n.B NO_COLOR\nwithout colours, if it is set.\n"
          ".TP\n.B CHAINRULE_ISA\nthe kernels: generic, avx2, avx512 or neon.\n"
          ".TP\n.B CHAINRULE_DIGITS\nthe file of the images of digits.\n",
          file);
}

/* ---- completion ---- */

static bool is_file(const option *o)
{
    return o->value && strcmp(o->value, "FILE") == 0;
}

static void print_words(FILE *file, word_list *words)
{
    const char *word, *before = "";
    for (int i = 0; words && (word = words(i)) != NULL; i++) {
        fprintf(file, "%s%s", before, word);
        before = " ";
    }
}

/* Commands of two words: which is meant is seen from the second. */
static void print_double_names(FILE *file, const char *between)
{
    const char *before = "";
    for (const command *c = commands; c->name; c++)
        if (strchr(c->name, ' ')) {
            fprintf(file, "%s'%s'", before, c->name);
            before = between;
        }
}

/* What may stand behind the command and is no option: arguments, second words. */
static void print_arguments(FILE *file, const command *c)
{
    const size_t length = strlen(c->name);
    if (c->lists)
        fprintf(file, "$(chainrule %s | sed 's/ .*//')", c->name);
    else
        print_words(file, c->words);
    for (const command *d = commands; d->name; d++)
        if (strncmp(d->name, c->name, length) == 0 && d->name[length] == ' ')
            fprintf(file, " %s", d->name + length + 1);
}

static void bash_option(FILE *file, const command *c, const option *o)
{
    fprintf(file, "    '%s --%s') ", c->name, o->name);
    if (is_file(o)) {
        fputs("COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n", file);
    } else if (o->words) {
        fputs("words='", file);
        print_words(file, o->words);
        fputs("' ;;\n", file);
    } else {
        fputs("return ;;\n", file);
    }
}

static void write_bash(FILE *file)
{
    const option *o;
    fputs("# Completion for bash. Made by chainrule completion bash from the table of "
          "commands.\n"
          "_chainrule()\n{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local command=${COMP_WORDS[1]} words=\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -gt 2 ]; then\n"
          "        case \"$command ${COMP_WORDS[2]}\" in\n        ",
          file);
    print_double_names(file, " | ");
    fputs(") command=\"$command ${COMP_WORDS[2]}\" ;;\n        esac\n    fi\n"
          "    case \"$command $before\" in\n",
          file);
    for (const command *c = commands; c->name; c++)
        for (int i = 0; (o = option_at(c, i)) != NULL; i++)
            if (o->value)
                bash_option(file, c, o);
    fputs("    esac\n    [ -n \"$words\" ] || case \"$command\" in\n", file);
    for (const command *c = commands; c->name; c++) {
        fprintf(file, "    '%s') words=\"", c->name);
        print_arguments(file, c);
        for (int i = 0; (o = option_at(c, i)) != NULL; i++)
            fprintf(file, " --%s", o->name);
        fputs("\" ;;\n", file);
    }
    fputs("    esac\n    if [ \"$COMP_CWORD\" -eq 1 ]; then\n        words='", file);
    for (const command *c = commands; c->name; c++)
        if (!strchr(c->name, ' '))
            fprintf(file, " %s", c->name);
    fputs("'\n    fi\n    COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n}\n"
          "complete -F _chainrule chainrule\n",
          file);
}

/* Inside '..[TEXT]..' of _arguments. */
static void print_zsh_text(FILE *file, const char *text)
{
    for (; *text; text++)
        if (*text == '\'')
            fputs("'\\''", file);
        else if (strchr("[]:\\", *text))
            fprintf(file, "\\%c", *text);
        else
            fputc(*text, file);
}

static void zsh_option(FILE *file, const option *o)
{
    fprintf(file, " \\\n            '--%s%s[", o->name, o->value ? "=" : "");
    print_zsh_text(file, o->doc);
    fputs("]", file);
    if (o->value)
        fprintf(file, ":%s:", o->value);
    if (is_file(o)) {
        fputs("_files", file);
    } else if (o->words) {
        fputs("(", file);
        print_words(file, o->words);
        fputs(")", file);
    }
    fputs("'", file);
}

static void write_zsh(FILE *file)
{
    const option *o;
    fputs("#compdef chainrule\n# Made by chainrule completion zsh from the table of "
          "commands.\n"
          "_chainrule()\n{\n    local command=$words[2]\n    local -a commands\n"
          "    if (( CURRENT == 2 )); then\n        commands=(",
          file);
    for (const command *c = commands; c->name; c++)
        if (!strchr(c->name, ' ')) {
            fprintf(file, "\n            '%s:", c->name);
            print_zsh_text(file, c->doc);
            fputs("'", file);
        }
    fputs("\n        )\n        _describe command commands\n        return\n    fi\n"
          "    case \"$command $words[3]\" in\n    ",
          file);
    print_double_names(file, " | ");
    fputs(") command=\"$command $words[3]\" ;;\n    esac\n    case $command in\n", file);
    for (const command *c = commands; c->name; c++) {
        fprintf(file, "    '%s')\n        _arguments \"*: :(", c->name);
        print_arguments(file, c);
        fputs(")\"", file);
        for (int i = 0; (o = option_at(c, i)) != NULL; i++)
            zsh_option(file, o);
        fputs(" ;;\n", file);
    }
    fputs("    esac\n}\n_chainrule \"$@\"\n", file);
}

static const struct shell {
    const char *name;
    void (*write)(FILE *file);
} shells[] = { { "bash", write_bash }, { "zsh", write_zsh } };
enum { SHELLS = sizeof shells / sizeof shells[0] };

const char *help_shells(int i)
{
    return i < SHELLS ? shells[i].name : NULL;
}

bool help_completion(FILE *file, const char *shell)
{
    for (int i = 0; i < SHELLS; i++)
        if (strcmp(shells[i].name, shell) == 0) {
            shells[i].write(file);
            return true;
        }
    return false;
}
