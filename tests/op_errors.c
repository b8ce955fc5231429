/* Wrong inputs: what every operation says to them. The rows are in tests/op_errors/FAMILY.txt, one for
 * each rule of an operation:
 *
 *     operation | inputs | attributes | what the message holds
 *
 * Inputs are those of samples (cr_sample); the message begins with the operation's name. Lines that
 * begin with # and empty ones are remarks. Every operation but maps that has attributes or a rule of
 * its own for the shape has a row. */
#define _POSIX_C_SOURCE 200809L
#include "engine.h"
#include "op_run.h"
#include <dirent.h>

#define FOLDER "tests/op_errors/"

enum { FIELDS = 4, MOST_OPERATIONS = 1000 };

static bool has_row[MOST_OPERATIONS];

/* Cuts a line at its bars, and blanks around them. */
static bool cut(char *line, char *field[FIELDS])
{
    int n = 0;
    for (char *at = line; at && n < FIELDS; n++) {
        char *end = strchr(at, '|'), *next = end ? end + 1 : NULL;
        end = end ? end : at + strlen(at);
        while (*at == ' ')
            at++;
        while (end > at && strchr(" \r\n", end[-1]))
            end--;
        *end = 0;
        field[n] = at;
        at = next;
    }
    return n == FIELDS;
}

/* Recording or, where only values are wrong, computing fails, with the text. */
static bool refuses(cr_ctx *ctx, const cr_op *op, char *const field[FIELDS])
{
    CR_SCOPE(ctx);
    const manner m = { .ctx = ctx, .real = CR_F32 };
    call c;
    cr_tensor *in[MOST_INPUTS] = { 0 }, *out[MOST_OUTPUTS] = { 0 };
    if (!make_call(&c, op, &(cr_sample){ field[1], *field[2] ? field[2] : NULL }))
        return false;
    for (int i = 0; i < c.s.n; i++)
        in[i] = presented(&m, &c.in[i], wants_gradient(&c, i));
    int n = apply(&m, &c, in, out);
    if (n > 0)
        cr_eval_at(out, n < MOST_OUTPUTS ? n : MOST_OUTPUTS, CR_HERE);
    const char *message = cr_message(ctx);
    size_t name = strlen(op->name);
    bool good = cr_error(ctx) && strncmp(message, op->name, name) == 0 &&
                message[name] == ':' && strstr(message, field[3]);
    if (!good)
        diag("says \"%s\"", message);
    cr_clear(ctx);
    free_call(&c);
    return good && cr_item(cr_add(cr_scalar(ctx, 1.0), 2)) == 3;
}

static int place_of(const cr_op *op)
{
    int i = 0;
    while (cr_op_list(i) && cr_op_list(i) != op)
        i++;
    return i;
}

static void run_file(cr_ctx *ctx, const char *name)
{
    char path[512], *line = NULL, *field[FIELDS];
    size_t capacity = 0;
    snprintf(path, sizeof path, FOLDER "%s", name);
    FILE *file = fopen(path, "r");
    ok(file != NULL, "%s can be read", path);
    while (file && getline(&line, &capacity, file) > 0) {
        if (strchr("#\r\n", *line))
            continue;
        bool good = cut(line, field);
        const cr_op *op = good ? cr_op_find(field[0]) : NULL;
        if (op)
            has_row[place_of(op)] = true;
        ok(op && refuses(ctx, op, field), "%s(%s; %s): %s", field[0],
           good ? field[1] : "?", good ? field[2] : "?", good ? field[3] : "?");
    }
    free(line);
    if (file)
        fclose(file);
}

static int is_table(const struct dirent *entry)
{
    const char *end = strrchr(entry->d_name, '.');
    return end && strcmp(end, ".txt") == 0;
}

static void test_tables(cr_ctx *ctx)
{
    struct dirent **entries = NULL;
    int n = scandir(FOLDER, &entries, is_table, alphasort);
    ok(n > 0, "there are tables in " FOLDER);
    for (int i = 0; i < n; i++) {
        run_file(ctx, entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
}

/* Whatever the operation: inputs that are missing, too many, or of an attribute that it does not
 * have, or whose text is none. */
static void test_any(cr_ctx *ctx, const cr_op *op)
{
    CR_SCOPE(ctx);
    cr_tensor *in[MOST_INPUTS] = { 0 }, *out[MOST_OUTPUTS];
    char text[160];
    for (int i = 0; i < MOST_INPUTS; i++)
        in[i] = cr_ones(ctx, CR_DIMS(2, 2));
    snprintf(text, sizeof text, "%s: ", op->name);
    int most = op->max_inputs < 0 ? MOST_INPUTS : op->max_inputs;
    if (op->min_inputs > 0)
        FAILS(cr_call(ctx, op, in, op->min_inputs - 1, NULL, out, MOST_OUTPUTS), ARGUMENT,
              text);
    if (most < MOST_INPUTS)
        FAILS(cr_call(ctx, op, in, most + 1, NULL, out, MOST_OUTPUTS), ARGUMENT, text);
    FAILS(cr_call(ctx, op, in, op->min_inputs, "no_such=1", out, MOST_OUTPUTS), ARGUMENT,
          text);
    for (int i = 0; op->attrs && op->attrs[i].name; i++) {
        char attrs[64];
        snprintf(attrs, sizeof attrs, "%s=?", op->attrs[i].name);
        FAILS(cr_call(ctx, op, in, op->min_inputs, attrs, out, MOST_OUTPUTS), ARGUMENT,
              text);
    }
    for (int i = 0; i < op->min_inputs; i++) {
        cr_tensor *given = in[i];
        in[i] = NULL;
        ok(cr_call(ctx, op, in, op->min_inputs, NULL, out, MOST_OUTPUTS) < 0 &&
               cr_error(ctx) && strncmp(cr_message(ctx), text, strlen(text)) == 0,
           "%sinput %d is NULL", text, i);
        cr_clear(ctx);
        in[i] = given;
    }
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    const cr_op *op;
    test_tables(ctx);
    for (int i = 0; (op = cr_op_list(i)) != NULL; i++) {
        test_any(ctx, op);
        if (op->kind != CR_OP_MAP && (op->attrs || op->shape))
            ok(has_row[i], "%s: a wrong input is in tests/op_errors", op->name);
    }
    cr_close(ctx);
    return done_testing();
}
