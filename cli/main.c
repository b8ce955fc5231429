/* The chainrule program: what this copy of the library offers, without a manual at hand.
 */
#include <chainrule.h>

#include <string.h>

static const char usage[] =
    "usage: chainrule --version        version, and kernels in use\n"
    "       chainrule ops             the operations\n"
    "       chainrule ops NAME...     their inputs and attributes\n";

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

static bool show_op(const char *name)
{
    const cr_op *op = cr_op_find(name);
    if (!op) {
        fprintf(stderr,
                "chainrule: no operation is called %s; chainrule ops lists them\n", name);
        return false;
    }
    printf("%s(", op->name);
    print_inputs(op);
    printf(")\n    %s\n", op->doc ? op->doc : "");
    printf("    kind %s, %s\n", kind_name(op->kind),
           op->vjp                       ? "differentiable"
           : op->kind == CR_OP_COMPOSITE ? "differentiable where its parts are"
                                         : "not differentiable");
    for (const cr_attr *attr = op->attrs; attr && attr->name; attr++)
        print_attribute(attr);
    return true;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    bool found = true;
    if (strcmp(command, "--version") == 0 && argc == 2) {
        printf("chainrule %s (%s kernels)\n", cr_version(), cr_isa());
    } else if (strcmp(command, "ops") == 0) {
        if (argc == 2)
            list_ops();
        for (int i = 2; i < argc; i++)
            found = show_op(argv[i]) && found;
    } else if (strcmp(command, "--help") == 0 && argc == 2) {
        fputs(usage, stdout);
    } else {
        fputs(usage, stderr);
        return 2;
    }
    return found && fflush(stdout) == 0 ? 0 : 1;
}
