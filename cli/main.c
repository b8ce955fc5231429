/* The chainrule program: what this copy of the library offers, without a manual at hand.
 */
#include "workloads.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: chainrule version         version, and kernels in use\n"
    "       chainrule ops             the operations\n"
    "       chainrule ops NAME...     how they are called, their inputs and attributes\n"
    "       chainrule plan            graphs of the usual kinds\n"
    "       chainrule plan NAME...    what a run of one does, and the memory that it "
    "takes:\n"
    "                                 forward, backward and update, the first step and,\n"
    "                                 where it is another, the second\n"
    "       chainrule help            this text\n";

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

static void print_attribute(const cr_attr *attr)
{
    printf("    %-18s %-9s ", attr->name, type_name(attr->type));
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

static void print_call(const cr_op *op)
{
    const char *between = "";
    const cr_attr *last = last_positional(op);
    char option[64];
    printf("    C: cr_%s(", op->name);
    if (op->call) {
        print_list(op, op->call, between);
    } else {
        between = print_list(op, op->inputs ? op->inputs : "ctx", between);
        if (op->max_inputs < 0)
            printf(", n");
        for (const cr_attr *attr = op->attrs; attr && attr->name; attr++) {
            snprintf(option, sizeof option, "%s%s", last && attr <= last ? "" : ".",
                     attr->name);
            print_list(op, option, between);
        }
    }
    printf(")\n");
}

/* ---- operations by name ---- */

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

/* How far the operation's name is from what was asked for: a part of it is near. */
static size_t strangeness(const char *name, const char *asked)
{
    size_t far = 4 * distance(name, asked);
    bool part = strlen(asked) > 2 && (strstr(name, asked) || strstr(asked, name));
    return part && far > 5 ? 5 : far;
}

/* Says which names are like one that is none. */
static void suggest(const char *asked)
{
    const cr_op *op;
    const char *before = "; did you mean ";
    size_t most = 4 * (1 + strlen(asked) / 4);
    fprintf(stderr, "chainrule: no operation is called '%s'", asked);
    for (size_t at = 0, named = 0; at <= most && named < 3; at++)
        for (int i = 0; named < 3 && (op = cr_op_list(i)) != NULL; i++)
            if (strangeness(op->name, asked) == at) {
                fprintf(stderr, "%s%s", before, op->name);
                before = ", ";
                named++;
            }
    fprintf(stderr, "%s chainrule ops lists all\n", *before == ',' ? "?" : ";");
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
    print_call(op);
    printf("    kind %s, %s\n", kind_name(op->kind),
           op->vjp                       ? "differentiable"
           : op->kind == CR_OP_COMPOSITE ? "differentiable where its parts are"
                                         : "not differentiable");
    for (const cr_attr *attr = op->attrs; attr && attr->name; attr++)
        print_attribute(attr);
    return true;
}

/* ---- plans ---- */

static void list_workloads(void)
{
    for (const workload *work = workloads; work->name; work++)
        printf("%-16s %s\n", work->name, work->doc);
}

/* Records a step and prints its plan. */
static void print_plan(stage *s)
{
    stage_record(s);
    size_t length = cr_plan_format(s->targets, s->n_targets, NULL, 0);
    char *text = malloc(length + 1);
    if (text && cr_plan_format(s->targets, s->n_targets, text, length + 1))
        fputs(text, stdout);
    free(text);
}

/* The steps' plans; the first is computed before the second is recorded. */
static void print_plans(stage *s)
{
    printf("%s: %s\n\n", s->work->name, s->work->doc);
    {
        CR_SCOPE(s->ctx);
        print_plan(s);
    }
    printf("\n");
    if (s->work->optim) {
        CR_SCOPE(s->ctx);
        printf("The second step:\n\n");
        print_plan(s);
        printf("\n");
    }
}

static bool show_plan(const char *name)
{
    const workload *work = workload_find(name);
    if (!work) {
        fprintf(stderr, "chainrule: no graph is called '%s'; chainrule plan lists all\n",
                name);
        return false;
    }
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    if (!ctx) {
        fprintf(stderr, "chainrule: there is no memory\n");
        return false;
    }
    stage s;
    stage_open(&s, work, ctx, 1);
    if (!cr_error(ctx))
        print_plans(&s);
    bool good = !cr_error(ctx);
    if (!good)
        fprintf(stderr, "chainrule: %s\n", cr_message(ctx));
    stage_close(&s);
    cr_close(ctx);
    return good;
}

/* ---- commands ---- */

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(word, *words) != 0)
        words++;
    return *words != NULL;
}

int main(int argc, char **argv)
{
    static const char *const helps[] = { "help", "--help", "-h", NULL };
    static const char *const versions[] = { "version", "--version", "-V", NULL };
    const char *command = argc > 1 ? argv[1] : "";
    bool good = true;
    if (is_one_of(command, helps)) {
        fputs(usage, stdout);
    } else if (is_one_of(command, versions) && argc == 2) {
        printf("chainrule %s (%s kernels)\n", cr_version(), cr_isa());
    } else if (strcmp(command, "ops") == 0) {
        if (argc == 2)
            list_ops();
        for (int i = 2; i < argc; i++)
            good = show_op(argv[i]) && good;
    } else if (strcmp(command, "plan") == 0) {
        if (argc == 2)
            list_workloads();
        for (int i = 2; i < argc; i++)
            good = show_plan(argv[i]) && good;
    } else {
        if (argc > 1)
            fprintf(stderr, "chainrule: '%s' is no command\n", command);
        fputs(usage, stderr);
        return 2;
    }
    return good && fflush(stdout) == 0 ? 0 : 1;
}
