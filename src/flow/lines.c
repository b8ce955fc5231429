/* Lines of styled text. */
#include "lines.h"

static const char *const style_codes[] = {
    [CR__PLAIN] = "0",     [CR__BOLD] = "1",     [CR__DIM] = "2",  [CR__RED] = "1;31",
    [CR__YELLOW] = "1;33", [CR__GREEN] = "1;32", [CR__BLUE] = "34"
};

static void put_span(cr__lines *lines, cr__style style, const char *from, const char *to)
{
    while (from < to && lines->length < CR__FLOW_COUNT(lines->codes)) {
        const uint32_t code = cr__utf8_next(&from);
        const bool control = code < 0x20 || (code >= 0x7f && code <= 0x9f);
        lines->codes[lines->length] = control ? 0xfffd : code;
        lines->styles[lines->length++] = (unsigned char)style;
        lines->columns += cr__columns_of(code);
    }
}

void cr__line_text(cr__lines *lines, cr__style style, const char *text)
{
    put_span(lines, style, text, text + strlen(text));
}

void cr__line_put(cr__lines *lines, cr__style style, const char *format, ...)
{
    char text[768] = "";
    cr__sink sink = { .text = text, .capacity = sizeof text };
    va_list args;
    va_start(args, format);
    cr__put_list(&sink, format, args);
    va_end(args);
    cr__line_text(lines, style, text);
}

void cr__line_blanks(cr__lines *lines, int column)
{
    while (lines->columns < column && lines->length < CR__FLOW_COUNT(lines->codes))
        cr__line_text(lines, CR__PLAIN, " ");
}

/* How many code points are shown; where some are not, there is a column for the ellipsis. */
static int shown_codes(const cr__lines *lines)
{
    if (lines->columns <= lines->width)
        return lines->length;
    int columns = 0, shown = 0;
    while (columns + cr__columns_of(lines->codes[shown]) < lines->width)
        columns += cr__columns_of(lines->codes[shown++]);
    return shown;
}

static void put_line(const cr__lines *lines)
{
    const int shown = shown_codes(lines);
    cr__style style = CR__PLAIN;
    for (int i = 0; i < shown; i++) {
        const cr__style wanted = (cr__style)lines->styles[i];
        if (lines->colour && wanted != style)
            cr__put(lines->sink, "\033[0;%sm", style_codes[wanted]);
        style = wanted;
        cr__put_code(lines->sink, lines->codes[i]);
    }
    if (shown < lines->length)
        cr__put(lines->sink, "\u2026");
    cr__put(lines->sink, lines->colour && style != CR__PLAIN ? "\033[0m\n" : "\n");
}

void cr__line_end(cr__lines *lines)
{
    while (lines->length > 0 && lines->codes[lines->length - 1] == ' ') {
        lines->length--;
        lines->columns--;
    }
    if (lines->sink && lines->n < lines->most)
        put_line(lines);
    lines->n++;
    lines->length = lines->columns = 0;
}

static int span_columns(const char *from, const char *to)
{
    int columns = 0;
    while (from < to)
        columns += cr__columns_of(cr__utf8_next(&from));
    return columns;
}

int cr__text_columns(const char *text)
{
    return span_columns(text, text + strlen(text));
}

void cr__line_words(cr__lines *lines, cr__style style, int indent, int most,
                    const char *text)
{
    for (int line = 1; *text;) {
        const char *const end = text + strcspn(text, " \n");
        const bool full = lines->columns + span_columns(text, end) > lines->width &&
                          lines->columns > indent;
        if (full && line == most) { /* the line's end cuts the rest, and says so */
            cr__line_text(lines, style, text);
            break;
        }
        if (full) {
            cr__line_end(lines);
            cr__line_blanks(lines, indent);
            line++;
        }
        put_span(lines, style, text, end);
        for (text = end; *text == ' ' || *text == '\n'; text++)
            cr__line_text(lines, style, " ");
    }
    cr__line_end(lines);
}

void cr__line_cell(cr__lines *lines, cr__style style, const char *text, int width,
                   bool right)
{
    const int begin = lines->columns, columns = cr__text_columns(text);
    if (width <= 0)
        return;
    const char *end = text + strlen(text);
    if (columns > width) {
        int kept = 0;
        const char *next = end = text;
        while ((kept += cr__columns_of(cr__utf8_next(&next))) < width)
            end = next;
    }
    if (right)
        cr__line_blanks(lines, begin + width - columns);
    put_span(lines, style, text, end);
    if (*end)
        cr__line_text(lines, style, "\u2026");
    cr__line_blanks(lines, begin + width + 1);
}
