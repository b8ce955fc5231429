/* Where the text of reports goes: numbers in every locale alike, texts of programs made harmless. */
#include "report.h"

void cr__put_bytes(cr__sink *sink, const char *bytes, size_t n)
{
    if (sink->file) {
        if (!sink->failed && fwrite(bytes, 1, n, sink->file) != n)
            sink->failed = true;
    } else if (sink->length + 1 < sink->capacity) {
        const size_t room = sink->capacity - 1 - sink->length;
        const size_t fits = n < room ? n : room;
        memcpy(sink->text + sink->length, bytes, fits);
        sink->text[sink->length + fits] = '\0';
    }
    sink->length += n;
}

bool cr__sink_done(cr__sink *sink)
{
    if (sink->file && fflush(sink->file) != 0)
        sink->failed = true;
    return !sink->failed;
}

/* A locale's decimal point may be any bytes: what is no part of a number is one. */
static void put_number(cr__sink *sink, const char *number, bool finite)
{
    char text[384];
    size_t n = 0;
    bool zero = true, in_point = false;
    for (const char *from = number; *from && n + 1 < sizeof text; from++) {
        const bool usual = !finite || strchr("0123456789+-e ", *from);
        if (usual || !in_point)
            text[n++] = usual ? *from : '.';
        in_point = !usual;
        zero = zero && !(finite && *from >= '1' && *from <= '9');
    }
    if (finite && zero && text[0] == '-')
        cr__put_bytes(sink, text + 1, n - 1);
    else
        cr__put_bytes(sink, text, n);
}

/* One conversion; length is the letters between its flags and its last. */
static void put_conversion(cr__sink *sink, const char *spec, char last, char length,
                           va_list *args)
{
    char text[384];
    double value;
    switch (last) {
    case 's': {
        const char *from = va_arg(*args, const char *);
        cr__put_bytes(sink, from, strlen(from));
        return;
    }
    case 'c':
        text[0] = (char)va_arg(*args, int);
        cr__put_bytes(sink, text, 1);
        return;
    case '%':
        cr__put_bytes(sink, "%", 1);
        return;
    case 'e':
    case 'f':
    case 'g':
        value = va_arg(*args, double);
        snprintf(text, sizeof text, spec, value);
        put_number(sink, text, isfinite(value));
        return;
    default:
        if (length == 'l')
            snprintf(text, sizeof text, spec, va_arg(*args, long long));
        else if (length == 'z')
            snprintf(text, sizeof text, spec, va_arg(*args, size_t));
        else
            snprintf(text, sizeof text, spec, va_arg(*args, int));
        cr__put_bytes(sink, text, strlen(text));
    }
}

void cr__put_list(cr__sink *sink, const char *format, va_list list)
{
    va_list args;
    va_copy(args, list);
    while (*format) {
        const size_t plain = strcspn(format, "%");
        cr__put_bytes(sink, format, plain);
        format += plain;
        if (!*format)
            break;
        char spec[16] = { 0 };
        const size_t n = 2 + strcspn(format + 1, "duxscefg%");
        memcpy(spec, format, n < sizeof spec ? n : sizeof spec - 1);
        put_conversion(sink, spec, format[n - 1], n > 2 ? format[n - 2] : '\0', &args);
        format += n;
    }
    va_end(args);
}

void cr__put(cr__sink *sink, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    cr__put_list(sink, format, args);
    va_end(args);
}

uint32_t cr__utf8_next(const char **text)
{
    static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
    const unsigned char *at = (const unsigned char *)*text;
    if (*at < 0x80) {
        *text += *at != 0;
        return *at;
    }
    *text += 1;
    const int more = *at >= 0xf0 && *at < 0xf8   ? 3
                     : *at >= 0xe0 && *at < 0xf0 ? 2
                     : *at >= 0xc0 && *at < 0xe0 ? 1
                                                 : 0;
    uint32_t code = *at & (0x3fu >> more);
    for (int i = 1; i <= more; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0xfffd;
        code = code << 6 | (at[i] & 0x3fu);
    }
    const bool valid = more && code >= least[more] && code <= 0x10ffff &&
                       (code < 0xd800 || code > 0xdfff);
    if (valid)
        *text += more;
    return valid ? code : 0xfffd;
}

int cr__columns_of(uint32_t code)
{
    /* Marks that stand over others, and joiners; then what East Asian Width calls wide. */
    static const struct {
        uint32_t from, to;
        int columns;
    } ranges[] = {
        { 0x300, 0x36f, 0 },     { 0x483, 0x489, 0 },     { 0x591, 0x5bd, 0 },
        { 0x610, 0x61a, 0 },     { 0x64b, 0x65f, 0 },     { 0x1100, 0x115f, 2 },
        { 0x1ab0, 0x1aff, 0 },   { 0x1dc0, 0x1dff, 0 },   { 0x200b, 0x200f, 0 },
        { 0x202a, 0x202e, 0 },   { 0x20d0, 0x20ff, 0 },   { 0x2e80, 0x303e, 2 },
        { 0x3041, 0xa4cf, 2 },   { 0xac00, 0xd7a3, 2 },   { 0xf900, 0xfaff, 2 },
        { 0xfe00, 0xfe0f, 0 },   { 0xfe20, 0xfe2f, 0 },   { 0xfe30, 0xfe6f, 2 },
        { 0xff00, 0xff60, 2 },   { 0xffe0, 0xffe6, 2 },   { 0x1f300, 0x1f64f, 2 },
        { 0x1f680, 0x1f6ff, 2 }, { 0x1f900, 0x1faff, 2 }, { 0x20000, 0x3fffd, 2 },
    };
    for (int i = 0; i < CR__FLOW_COUNT(ranges); i++)
        if (code >= ranges[i].from && code <= ranges[i].to)
            return ranges[i].columns;
    return 1;
}

void cr__put_code(cr__sink *sink, uint32_t code)
{
    char bytes[4];
    size_t n = 0;
    if (code < 0x80) {
        bytes[n++] = (char)code;
    } else if (code < 0x800) {
        bytes[n++] = (char)(0xc0 | code >> 6);
        bytes[n++] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        bytes[n++] = (char)(0xe0 | code >> 12);
        bytes[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (code & 0x3f));
    } else {
        bytes[n++] = (char)(0xf0 | code >> 18);
        bytes[n++] = (char)(0x80 | (code >> 12 & 0x3f));
        bytes[n++] = (char)(0x80 | (code >> 6 & 0x3f));
        bytes[n++] = (char)(0x80 | (code & 0x3f));
    }
    cr__put_bytes(sink, bytes, n);
}

/* What stands for a character that cannot stand for itself; '<' and '&' in JSON because it may lie
 * in a page. A row ends with code 0. */
static const struct replacement {
    uint32_t code;
    const char *text;
} replacements[][8] = {
    [CR__AS_PLAIN] = { { 0, NULL } },
    [CR__AS_MARKUP] = { { '<', "&lt;" },
                        { '>', "&gt;" },
                        { '&', "&amp;" },
                        { '"', "&quot;" },
                        { '\'', "&#39;" },
                        { 0, NULL } },
    [CR__AS_JSON] = { { '"', "\\\"" },
                      { '\\', "\\\\" },
                      { '\n', "\\n" },
                      { '\t', "\\t" },
                      { '<', "\\u003c" },
                      { '&', "\\u0026" },
                      { 0, NULL } },
    [CR__AS_CSV] = { { '"', "\"\"" }, { 0, NULL } },
};

void cr__put_text(cr__sink *sink, cr__escape escape, const char *text)
{
    const struct replacement *row = replacements[escape];
    for (uint32_t code; (code = cr__utf8_next(&text)) != 0;) {
        const struct replacement *found = row;
        while (found->code && found->code != code)
            found++;
        if (found->code)
            cr__put(sink, "%s", found->text);
        else if (code >= 0x20 && (code < 0x7f || code > 0x9f))
            cr__put_code(sink, code);
        else if (escape == CR__AS_JSON)
            cr__put(sink, "\\u%04x", (unsigned)code);
        else if (escape == CR__AS_MARKUP && code == '\n')
            cr__put_code(sink, code);
        else
            cr__put_code(sink, 0xfffd);
    }
}
