/* chainrule ops: what the registry knows of each operation, and what a try with its samples
 * shows: the shapes, and what its gradients are made of. */
#include "commands.h"
#include "op_trial.h"
#include <chainrule.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *kind_name(cr_op_kind kind)
{
    switch (kind) {
    case CR_OP_MAP:
        return "map";
    case CR_OP_REDUCE:
        return "reduce";
    case CR_OP_VIEW:
        return "view";
    case CR_OP_CONTRACT:
        return "contract";
    case CR_OP_OPAQUE:
        return "opaque";
    case CR_OP_COMPOSITE:
        return "composite";
    }
    return "unknown";
}

static const char *type_name(cr_attr_type type)
{
    switch (type) {
    case CR_ATTR_BOOL:
    case CR_ATTR_OPT_BOOL:
        return "bool";
    case CR_ATTR_INT:
        return "integer";
    case CR_ATTR_REAL:
        return "real";
    case CR_ATTR_NUMBER:
        return "number";
    case CR_ATTR_DIMS:
        return "integers";
    case CR_ATTR_REALS:
        return "reals";
    case CR_ATTR_OPT_INT:
        return "integer";
    case CR_ATTR_OPT_REAL:
        return "real";
    case CR_ATTR_WORD:
        return "word";
    case CR_ATTR_DTYPE:
        return "dtype";
    case CR_ATTR_TEXT:
        return "text";
    }
    return "unknown";
}

static void list_ops(void)
{
    const cr_op *op;
    for (int i = 0; (op = cr_op_list(i)) != NULL; i++)
        printf("%-32s %s\n", op->name, op->doc ? op->doc : "");
}

/* x, weight [, bias]: the inputs by name, those that may be absent in brackets. */
static void print_inputs(const cr_op *op)
{
    const char *name = op->inputs ? op->inputs : "";
    for (int i = 0; *name; i++) {
        size_t length = strcspn(name, ",");
        bool optional = i >= op->min_inputs;
        printf("%s%s%.*s%s", optional ? " [" : "", i ? ", " : "", (int)length, name,
               optional ? "]" : "");
        name += length + (name[length] == ',');
    }
    if (op->max_inputs < 0)
        printf(", ...");
}

/* format: of the name and the type. */
static void print_attribute(const cr_attr *attr, const char *format)
{
    printf(format, attr->name, type_name(attr->type));
    if (attr->initial)
        printf("default %s", *attr->initial ? attr->initial : "none");
    else
        printf("must be given");
    if (attr->words)
        printf("; one of %s", attr->words);
    printf("\n");
}

/* ---- the C function ---- */

static const cr_attr *find_attribute(const cr_op *op, const char *name, size_t length)
{
    for (const cr_attr *attr = op->attrs; attr && attr->name; attr++)
        if (strlen(attr->name) == length && memcmp(attr->name, name, length) == 0)
            return attr;
    return NULL;
}

/* A name of op->call: an argument by position, or an option behind a dot. */
static void print_argument(const cr_op *op, const char *name, size_t length)
{
    const cr_attr *attr;
    const char *made = "";
    if (*name != '.') {
        printf("%.*s", (int)length, name);
        return;
    }
    if (memchr(name, '=', length)) { /* ".step=step", as it is */
        printf("%.*s", (int)length, name);
        return;
    }
    attr = find_attribute(op, name + 1, length - 1);
    if (attr && (attr->type == CR_ATTR_OPT_INT || attr->type == CR_ATTR_OPT_BOOL))
        made = "CR_INT(";
    if (attr && attr->type == CR_ATTR_OPT_REAL)
        made = "CR_REAL(";
    printf("%.*s = %s%.*s%s", (int)length, name, made, (int)length - 1, name + 1,
           *made ? ")" : "");
}

static const char *print_list(const cr_op *op, const char *names, const char *between)
{
    while (*names) {
        size_t length = strcspn(names, ",");
        printf("%s", between);
        print_argument(op, names, length);
        names += length + (names[length] == ',');
        between = ", ";
    }
    return between;
}

/* Behind the last attribute that has its place are the options. */
static const cr_attr *last_positional(const cr_op *op)
{
    const cr_attr *last = NULL;
    for (const cr_attr *attr = op->attrs; attr && attr->name; attr++)
        if (!attr->initial || attr->flags & CR_ATTR_POSITIONAL ||
            strcmp(attr->name, "dim") == 0)
            last = attr;
    return last;
}

static void print_call(const cr_op *op, const char *start, const char *end)
{
    const char *between = "";
    const cr_attr *last = last_positional(op);
    char argument[64];
    printf("%scr_%s(", start, op->name);
    if (op->call) {
        print_list(op, op->call, between);
    } else {
        between = print_list(op, op->inputs ? op->inputs : "ctx", between);
        if (op->max_inputs < 0)
            printf(", n");
        for (const cr_attr *attr = op->attrs; attr && attr->name; attr++) {
            snprintf(argument, sizeof argument, "%s%s", last && attr <= last ? "" : ".",
                     attr->name);
            print_list(op, argument, between);
        }
    }
    printf(")%s", end);
}

/* ---- operations by name ---- */

const char *ops_words(int i)
{
    const cr_op *op = cr_op_list(i);
    return op ? op->name : NULL;
}

/* Says which names are like one that is none. */
static void suggest(const char *asked)
{
    fprintf(stderr, "chainrule: no operation is called '%s'", asked);
    if (!suggest_near(asked, ops_words, ""))
        fputs(";", stderr);
    fputs(" chainrule ops lists all\n", stderr);
}

/* ---- what is shown ---- */

static const char *differentiable(const cr_op *op)
{
    return op->vjp                       ? "differentiable"
           : op->kind == CR_OP_COMPOSITE ? "differentiable where its parts are"
                                         : "not differentiable";
}

/* The lines of a trial, each begun by `start` and ended by `end`. */
static void print_trial(const cr_op *op, const char *start, const char *end)
{
    op_trial trial;
    op_try(op, &trial);
    for (int i = 0; i < trial.n_shapes; i++)
        printf("%sshapes: %s%s", start, trial.shapes[i], end);
    for (int i = 0; i < TRIAL_INPUTS; i++)
        if (*trial.gradients[i])
            printf("%sgradient of %s%s", start, trial.gradients[i], end);
    if (op->kinks)
        printf("%skinks: %s%s", start, op->kinks, end);
}

static bool show_op(const char *name)
{
    const cr_op *op = cr_op_find(name);
    if (!op) {
        suggest(name);
        return false;
    }
    printf("%s(", op->name);
    print_inputs(op);
    printf(")\n    %s\n", op->doc ? op->doc : "");
    print_call(op, "    C: ", "\n");
    printf("    kind %s, %s\n", kind_name(op->kind), differentiable(op));
    print_trial(op, "    ", "\n");
    for (const cr_attr *attr = op->attrs; attr && attr->name; attr++)
        print_attribute(attr, "    %-18s %-9s ");
    return true;
}

static void print_entry(const cr_op *op)
{
    printf("\n### %s\n\n%s.\n\n", op->name, op->doc ? op->doc : "");
    print_call(op, "    ", "\n\n");
    printf("- kind: %s, %s\n", kind_name(op->kind), differentiable(op));
    print_trial(op, "- ", "\n");
    for (const cr_attr *attr = op->attrs; attr && attr->name; attr++)
        print_attribute(attr, "- `%s`: %s, ");
}

static void print_page(void)
{
    const cr_op *op;
    printf("# Operations\n\n"
           "Made by `chainrule ops --page` from the table of operations; `chainrule ops "
           "NAME` "
           "shows the same. The\nheaders under `include/chainrule/` say more: formulas, "
           "errors, sources.\n\n"
           "Shapes are those of samples. Gradients are what backward records for them: g "
           "is the "
           "cotangent of the\nresult y, and what broadcasting repeats is not shown; "
           "longer ones "
           "are told by the operations that they\nare made of. At kinks, gradients are "
           "as the "
           "header says.\n\n| operation | |\n|---|---|\n");
    for (int i = 0; (op = cr_op_list(i)) != NULL; i++) {
        printf("| [%s](#%s) | ", op->name, op->name);
        for (const char *c = op->doc ? op->doc : ""; *c; c++)
            printf(*c == '|' ? "\\%c" : "%c", *c);
        printf(" |\n");
    }
    for (int i = 0; (op = cr_op_list(i)) != NULL; i++)
        print_entry(op);
}

/* ---- the command ---- */

static bool as_page;

const option ops_options[] = { { .name = "page",
                                 .type = OPTION_SWITCH,
                                 .to = &as_page,
                                 .doc = "all as a page in Markdown" },
                               { .name = NULL } };

int ops_run(int n, char **names)
{
    bool good = true;
    if (as_page)
        print_page();
    else if (n == 0)
        list_ops();
    for (int i = 0; i < n; i++)
        good = show_op(names[i]) && good;
    return good ? STATUS_GOOD : STATUS_ALARM;
}
