/* One vocabulary: the texts of attributes are the names of parameters and of options in the public
 * headers, enum constants carry their family, and each macro that takes more than it names has a
 * line that shows its use. */
#include <chainrule.h>

#include "support/tap.h"
#include <ctype.h>
#include <stdlib.h>

static char manual[1 << 18], code[1 << 18]; /* all headers; the same without comments */

static void read_file(const char *path)
{
    size_t length = strlen(manual);
    FILE *file = fopen(path, "r");
    if (!file)
        return;
    length += fread(manual + length, 1, sizeof manual - 1 - length, file);
    manual[length] = 0;
    fclose(file);
}

/* chainrule.h, and the parts that it includes. */
static void read_headers(void)
{
    char path[128];
    read_file("include/chainrule.h");
    const char *at = manual, *end = manual + strlen(manual);
    while ((at = strstr(at, "#include \"")) != NULL && at < end) {
        at += strlen("#include \"");
        snprintf(path, sizeof path, "include/%.*s", (int)strcspn(at, "\""), at);
        read_file(path);
    }
    char *to = code;
    for (at = manual; *at; at++) {
        const char *close = strncmp(at, "/*", 2) == 0 ? strstr(at, "*/") : NULL;
        if (close)
            at = close + 1;
        else
            *to++ = *at;
    }
}

/* ---- names in a declaration ---- */

enum { MOST = 16 };

typedef struct names {
    int n;
    char name[MOST][48];
    char options[48]; /* the type of the options, if there are any */
} names;

static bool has(const names *list, const char *name)
{
    for (int i = 0; i < list->n; i++)
        if (strcmp(list->name[i], name) == 0)
            return true;
    return false;
}

/* The last identifier of text[0..n), but for CR_ZERO, is a name; array brackets do not count. */
static void add_name(names *list, const char *text, size_t n)
{
    const char *zero = n > 8 ? strstr(text, " CR_ZERO") : NULL;
    n = zero && zero < text + n ? (size_t)(zero - text) : n;
    while (n && !isalnum((unsigned char)text[n - 1]) && text[n - 1] != '_')
        n--;
    size_t from = n;
    while (from && (isalnum((unsigned char)text[from - 1]) || text[from - 1] == '_'))
        from--;
    if (list->n < MOST && n > from)
        snprintf(list->name[list->n++], sizeof list->name[0], "%.*s", (int)(n - from),
                 text + from);
}

/* What separators divide from text up to one of close. */
static void add_names(names *list, const char *text, char separator, char close)
{
    while (*text && *text != close) {
        char stops[3] = { separator, close, 0 };
        size_t n = strcspn(text, stops);
        const char *options = strstr(text, "_opts ");
        if (options && options < text + n) {
            const char *type = options;
            while (isalnum((unsigned char)type[-1]) || type[-1] == '_')
                type--;
            snprintf(list->options, sizeof list->options, "%.*s",
                     (int)(options + 5 - type), type);
        } else {
            add_name(list, text, n);
        }
        text += n + (text[n] == separator);
    }
}

/* The parameters of cr_NAME_at(); false if there is none. */
static bool parameters(const char *op, names *list)
{
    char text[80];
    *list = (names){ .n = 0 };
    snprintf(text, sizeof text, "CR_UNARY(%s)", op);
    if (strstr(code, text)) {
        add_names(list, "cr_tensor *x)", ',', ')');
        return true;
    }
    snprintf(text, sizeof text, "CR_BINARY(%s)", op);
    if (strstr(code, text)) {
        add_names(list, "cr_arg x, cr_arg other)", ',', ')');
        return true;
    }
    snprintf(text, sizeof text, "cr_tensor *cr_%s_at(", op);
    const char *at = strstr(code, text);
    if (at)
        add_names(list, at + strlen(text), ',', ')');
    return at != NULL;
}

static bool options_of(const char *type, names *list)
{
    char text[80];
    *list = (names){ .n = 0 };
    snprintf(text, sizeof text, "typedef struct %s {", type);
    const char *at = strstr(code, text);
    if (at)
        add_names(list, at + strlen(text), ';', '}');
    return at != NULL;
}

/* ---- attributes ---- */

static bool is_input(const cr_op *op, const char *name)
{
    names inputs = { .n = 0 };
    if (op->inputs)
        add_names(&inputs, op->inputs, ',', 0);
    return has(&inputs, name);
}

static const cr_attr *attribute(const cr_op *op, const char *name)
{
    for (const cr_attr *a = op->attrs; a && a->name; a++)
        if (strcmp(a->name, name) == 0)
            return a;
    return NULL;
}

/* Whether a zeroed member can only mean the default. */
static bool zero_is_default(const cr_attr *a)
{
    switch (a->type) {
    case CR_ATTR_BOOL:
        return strcmp(a->initial, "false") == 0;
    case CR_ATTR_INT:
    case CR_ATTR_REAL:
        return a->flags & (CR_ATTR_POSITIVE | CR_ATTR_NONZERO) ||
               strtod(a->initial, NULL) == 0;
    case CR_ATTR_WORD:
        return strncmp(a->words, a->initial, strlen(a->initial)) == 0;
    case CR_ATTR_DTYPE:
        return strcmp(a->initial, "f32") == 0;
    default:
        return true; /* these say themselves whether they are given */
    }
}

static bool words_are_constants(const cr_attr *a)
{
    char word[80];
    bool good = true;
    for (const char *at = a->words; at && *at;) {
        size_t n = strcspn(at, ",");
        snprintf(word, sizeof word, "CR_%s_%.*s", a->name, (int)n, at);
        for (char *c = word; *c; c++)
            *c = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        if (!strstr(code, word)) {
            diag("  no constant %s", word);
            good = false;
        }
        at += n + (at[n] == ',');
    }
    return good;
}

/* Whether the call names what is no attribute and no input: another result. */
static bool is_result(const cr_op *op, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = op->expand_all ? op->call : NULL; at; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || at[length] == 0))
            return true;
    }
    return false;
}

static bool attributes_agree(const cr_op *op, const names *params, const names *options)
{
    bool good = true;
    for (const cr_attr *a = op->attrs; a && a->name; a++) {
        bool positional = has(params, a->name), option = has(options, a->name);
        const char *why =
            positional == option ? "is neither parameter nor option, or both"
            : a->flags & CR_ATTR_POSITIONAL && !positional
                ? "is marked positional, and is an option"
            : option && !a->initial               ? "has no default, and is an option"
            : option && !zero_is_default(a)       ? "can be 0, which means the default"
            : a->words && !words_are_constants(a) ? "has words that are no constants"
                                                  : NULL;
        if (why)
            diag("  %s: the attribute %s %s", op->name, a->name, why);
        good = good && !why;
    }
    for (int i = 0; i < options->n; i++) {
        const char *name = options->name[i];
        /* Of options that several operations share, one may have no use for all. */
        bool shared =
            strcmp(op->name, "nll_loss") == 0 && strcmp(name, "label_smoothing") == 0;
        /* The other results of an operation that has several. */
        bool result = strcmp(name, "indices") == 0 || strcmp(name, "inverse") == 0 ||
                      strcmp(name, "counts") == 0;
        if (strcmp(name, "site") == 0 || attribute(op, name) || is_input(op, name) ||
            shared || result)
            continue;
        diag("  %s: the option %s is neither attribute nor input", op->name, name);
        good = false;
    }
    for (int i = 0; i < params->n; i++) {
        const char *name = params->name[i];
        if (strcmp(name, "site") == 0 || strcmp(name, "ctx") == 0 ||
            strcmp(name, "n") == 0 || attribute(op, name) || is_input(op, name) ||
            is_result(op, name))
            continue;
        diag("  %s: the parameter %s is neither attribute nor input", op->name, name);
        good = false;
    }
    return good;
}

static void operations(void)
{
    const cr_op *op;
    int found = 0;
    for (int i = 0; (op = cr_op_list(i)) != NULL; i++) {
        names params, options = { .n = 0 };
        if (!parameters(op->name, &params))
            continue;
        found++;
        ok((!*params.options || options_of(params.options, &options)) &&
               attributes_agree(op, &params, &options),
           "%s has the same names in C and in texts", op->name);
    }
    ok(found >= 60, "%d operations have functions", found);
}

/* ---- macros ---- */

/* Each macro with "..." that is no machinery has a line "usage: ...". */
static void usages(void)
{
    for (const char *at = code; (at = strstr(at, "#define cr_")) != NULL; at++) {
        const char *name = at + strlen("#define ");
        size_t n = strcspn(name, "(\n");
        size_t parameters_end = strcspn(name, ")\n");
        const char *dots = strstr(name, "...");
        bool variadic = dots && dots < name + parameters_end;
        if (name[n] != '(' || !variadic)
            continue;
        char call[80];
        snprintf(call, sizeof call, "%.*s(", (int)n, name);
        bool shown = false;
        for (const char *u = manual; (u = strstr(u, "usage: ")) != NULL && !shown; u++) {
            const char *end = strstr(u, "*/"), *use = strstr(u, call);
            shown = end && use && use < end;
        }
        ok(shown, "%.*s has a line that shows its use", (int)n, name);
    }
}

/* The function beneath each macro ends in _at; these are other names for the same function. */
static void functions(void)
{
    static const char *const aliases[] = { "cr_zeros", "cr_ones", "cr_zeros_like",
                                           "cr_ones_like", "cr_t" };
    for (const char *at = code; (at = strstr(at, "#define cr_")) != NULL; at++) {
        const char *name = at + strlen("#define ");
        size_t n = strcspn(name, "( \n");
        char function[80], unary[80], binary[80];
        bool alias = false;
        for (int i = 0; i < 5; i++)
            alias =
                alias || (strlen(aliases[i]) == n && strncmp(aliases[i], name, n) == 0);
        snprintf(function, sizeof function, "%.*s_at(", (int)n, name);
        snprintf(unary, sizeof unary, "CR_UNARY(%.*s)", (int)n - 3, name + 3);
        snprintf(binary, sizeof binary, "CR_BINARY(%.*s)", (int)n - 3, name + 3);
        if (!alias && !strstr(code, unary) && !strstr(code, binary))
            ok(strstr(code, function) != NULL, "%.*s stands on a function %s)", (int)n,
               name, function);
    }
}

int main(void)
{
    read_headers();
    operations();
    usages();
    functions();
    return done_testing();
}
