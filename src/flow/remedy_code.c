/* The lines of C by which a remedy is applied, written down while it is. */
#include "remedies.h"

#include <stdarg.h>
#include <stdio.h>

CR_FORMAT(2, 0)
static void append_list(cr__flow_code *code, const char *format, va_list args)
{
    const size_t room =
        code->length < sizeof code->text ? sizeof code->text - code->length : 0;
    const int n = vsnprintf(room ? code->text + code->length : NULL, room, format, args);
    code->length += n > 0 ? (size_t)n : 0;
}

CR_FORMAT(2, 3)
static void append_text(cr__flow_code *code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    append_list(code, format, args);
    va_end(args);
}

/* A place on the path: a number, or the loop's variable. */
static void append_place(cr__flow_code *code, int level)
{
    if (code->count > 1 && level == code->varies)
        append_text(code, "i");
    else
        append_text(code, "%d", code->first.place[level]);
}

/* The module that the first n places lead to. */
static void append_module(cr__flow_code *code, int n)
{
    for (int i = 0; i < n; i++)
        append_text(code, "cr_nn_child(");
    append_text(code, "net");
    for (int i = 0; i < n; i++) {
        append_text(code, ", ");
        append_place(code, i);
        append_text(code, ")");
    }
}

/* The template held, once. */
static void append_template(cr__flow_code *code, const char *indent)
{
    append_text(code, "%s", indent);
    for (const char *at = code->held; *at; at++)
        if (*at == '@')
            append_module(code, code->first.n - 1);
        else if (*at == '$')
            append_module(code, code->first.n);
        else if (*at == '#')
            append_place(code, code->first.n - 1);
        else if (*at == '\n')
            append_text(code, "\n%s", indent);
        else
            append_text(code, "%c", *at);
    append_text(code, "\n");
}

/* Writes what is held: a loop if it stands for several edits, and braces around what declares or
 * is more than a statement of a loop. */
static void flush_edits(cr__flow_code *code)
{
    if (!code->count)
        return;
    const bool many = strchr(code->held, '\n') != NULL;
    const bool declares = many && strchr(code->held, '=') != NULL;
    const bool braces = code->count > 1 ? many : declares;
    if (code->count > 1) {
        const int from = code->first.place[code->varies], by = code->stride;
        const int to = code->last.place[code->varies];
        append_text(code, "for (int i = %d; i %s %d; ", from, by < 0 ? ">=" : "<=", to);
        if (by == 1 || by == -1)
            append_text(code, "i%s)", by < 0 ? "--" : "++");
        else
            append_text(code, "i %s= %d)", by < 0 ? "-" : "+", by < 0 ? -by : by);
        append_text(code, braces ? " {\n" : "\n");
    } else if (braces) {
        append_text(code, "{\n");
    }
    append_template(code, code->count > 1 || braces ? "    " : "");
    if (braces)
        append_text(code, "}\n");
    code->count = 0;
}

/* Whether path goes on from the edits held by one place alone, and by the same step. */
static bool goes_on(cr__flow_code *code, const cr__flow_path *path)
{
    int differ = -1;
    if (path->n != code->last.n)
        return false;
    for (int i = 0; i < path->n; i++)
        if (path->place[i] != code->last.place[i]) {
            if (differ >= 0)
                return false;
            differ = i;
        }
    if (differ < 0)
        return false;
    const int stride = path->place[differ] - code->last.place[differ];
    if (code->count > 1 && (differ != code->varies || stride != code->stride))
        return false;
    code->varies = differ;
    code->stride = stride;
    return true;
}

void cr__flow_code_edit(cr__flow_code *code, const cr__flow_path *path,
                        const char *format, ...)
{
    char text[sizeof code->held];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!code->count || strcmp(text, code->held) != 0 || !goes_on(code, path)) {
        flush_edits(code);
        memcpy(code->held, text, sizeof text);
        code->first = *path;
    }
    code->last = *path;
    code->count++;
}

void cr__flow_code_line(cr__flow_code *code, const char *format, ...)
{
    flush_edits(code);
    va_list args;
    va_start(args, format);
    append_list(code, format, args);
    va_end(args);
    append_text(code, "\n");
}

const char *cr__flow_code_end(cr__flow_code *code)
{
    static const char more[] = "\n/* .. and so on for the modules that are left */\n";
    flush_edits(code);
    if (code->length >= sizeof code->text) { /* whole lines only */
        char *end = code->text + sizeof code->text - sizeof more;
        while (end > code->text && *end != '\n')
            end--;
        memcpy(end, more, sizeof more);
    }
    const size_t written = strlen(code->text);
    if (written && code->text[written - 1] == '\n') {
        code->text[written - 1] = '\0';
        code->length--;
    }
    return code->text;
}
