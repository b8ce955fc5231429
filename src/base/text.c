/* Texts and numbers, apart from locales: the C library does the work, conversion by
 * conversion, and what it makes of the decimal point is put right. */
#include "text.h"

#include "fp.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- formats ---- */

typedef struct text_out {
    char *text;
    size_t capacity, length; /* of the whole text, as snprintf() counts */
} text_out;

static void append(text_out *out, const char *from, size_t n)
{
    if (out->length < out->capacity) {
        size_t room = out->capacity - out->length - 1, some = n < room ? n : room;
        memcpy(out->text + out->length, from, some);
        out->text[out->length + some] = '\0';
    }
    out->length += n;
}

/* One conversion: "%-*.3lld" as a format of its own, in which stars are numbers. */
typedef struct conversion {
    char format[40];
    size_t n;
    char
        size; /* of integers: 'l', 'L' for ll, 'z', 'j', 't'; 0: int. Reals: 'D' for long */
    char type;
} conversion;

static void add(conversion *c, char one)
{
    if (c->n + 1 < sizeof c->format)
        c->format[c->n++] = one;
}

static void add_int(conversion *c, int number)
{
    char digits[16];
    int n = snprintf(digits, sizeof digits, "%d", number);
    for (int i = 0; i < n; i++)
        add(c, digits[i]);
}

typedef struct arguments {
    va_list list;
} arguments;

/* Digits, or a star's argument; a negative one is a flag with a width, or no precision. */
static const char *add_number(conversion *c, const char *at, arguments *args)
{
    if (*at == '*') {
        add_int(c, va_arg(args->list, int));
        return at + 1;
    }
    while (*at >= '0' && *at <= '9')
        add(c, *at++);
    return at;
}

/* What follows a '%'. Returns what is behind it. */
static const char *read_conversion(conversion *c, const char *at, arguments *args)
{
    *c = (conversion){ .format = "%", .n = 1 };
    while (*at && strchr("-+ #0", *at))
        add(c, *at++);
    at = add_number(c, at, args);
    if (*at == '.') {
        add(c, '.');
        at = add_number(c, at + 1, args);
    }
    while (*at && strchr("hlLzjt", *at)) {
        c->size = *at == 'l' && c->size == 'l' ? 'L' : *at == 'L' ? 'D' : *at;
        add(c, *at++);
    }
    c->type = *at;
    add(c, *at);
    return *at ? at + 1 : at;
}

static int64_t integer(char size, arguments *args)
{
    switch (size) {
    case 'l':
        return va_arg(args->list, long);
    case 'L':
        return va_arg(args->list, long long);
    case 'j':
        return va_arg(args->list, intmax_t);
    case 'z':
    case 't':
        return va_arg(args->list, ptrdiff_t);
    default:
        return va_arg(args->list, int);
    }
}

/* The same argument again, in the width that the conversion names. */
static int put_integer(char *text, size_t capacity, const conversion *c, int64_t x)
{
    switch (c->size) {
    case 'l':
        return snprintf(text, capacity, c->format, (long)x);
    case 'L':
        return snprintf(text, capacity, c->format, (long long)x);
    case 'j':
        return snprintf(text, capacity, c->format, (intmax_t)x);
    case 'z':
    case 't':
        return snprintf(text, capacity, c->format, (ptrdiff_t)x);
    default:
        return snprintf(text, capacity, c->format, (int)x);
    }
}

/* A decimal point is whatever is no sign, digit, letter or blank: in some locales it has
 * several bytes. Returns the length that is left. */
static int point_of(char *text, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        unsigned char one = (unsigned char)text[i];
        bool letter = (one | 32) >= 'a' && (one | 32) <= 'z';
        if (letter || (one >= '0' && one <= '9') || strchr("+- ", one))
            text[kept++] = text[i];
        else if (kept == 0 || text[kept - 1] != '.')
            text[kept++] = '.';
    }
    text[kept] = '\0';
    return kept;
}

static void put_conversion(text_out *out, const conversion *c, arguments *args)
{
    char text[501];
    int n = 0;
    if (c->type == 's') {
        const char *string = va_arg(args->list, const char *);
        size_t room = out->length < out->capacity ? out->capacity - out->length : 0;
        n = snprintf(room ? out->text + out->length : NULL, room, c->format, string);
        out->length += n > 0 ? (size_t)n : 0;
        return;
    }
    if (c->type && strchr("diouxXc", c->type)) {
        n = put_integer(text, sizeof text, c, integer(c->size, args));
    } else if (c->type && strchr("fFeEgGaA", c->type)) {
        n = c->size == 'D'
                ? snprintf(text, sizeof text, c->format, va_arg(args->list, long double))
                : snprintf(text, sizeof text, c->format, va_arg(args->list, double));
        n = n < (int)sizeof text ? n : (int)sizeof text - 1;
        n = point_of(text, n);
    } else if (c->type == 'p') {
        n = snprintf(text, sizeof text, c->format, va_arg(args->list, void *));
    } else {
        n = snprintf(text, sizeof text, "%c", c->type); /* "%%", or none */
    }
    append(out, text, n < (int)sizeof text ? (size_t)n : sizeof text - 1);
}

int cr__vformat(char *text, size_t capacity, const char *format, va_list list)
{
    text_out out = { text, capacity, 0 };
    arguments args;
    conversion c;
    CR__TEXT_GUARD();
    va_copy(args.list, list);
    append(&out, "", 0);
    for (const char *at = format; *at;) {
        size_t plain = strcspn(at, "%");
        append(&out, at, plain);
        at += plain;
        if (*at) {
            at = read_conversion(&c, at + 1, &args);
            put_conversion(&out, &c, &args);
        }
    }
    va_end(args.list);
    return (int)out.length;
}

int cr__format(char *text, size_t capacity, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = cr__vformat(text, capacity, format, args);
    va_end(args);
    return n;
}

void cr__say(cr__text *out, const char *format, ...)
{
    size_t used = out->length < out->capacity ? out->length : out->capacity;
    va_list args;
    va_start(args, format);
    int n =
        cr__vformat(out->at ? out->at + used : NULL, out->capacity - used, format, args);
    va_end(args);
    out->length += n > 0 ? (size_t)n : 0;
}

/* ---- numbers ---- */

/* Digits from *at, copied to text without those that do not fit; returns how many there
 * are. */
static int digits_of(const char **at, const char *end, char *text, int *n, int most)
{
    int count = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++, count++)
        if (*n < most)
            text[(*n)++] = **at;
    return count;
}

/* Without a point, which depends on the locale: 1.25e3 is read as 125e1. */
bool cr__parse_real(const char *at, size_t size, double *out)
{
    char text[96];
    const char *end = at + size;
    int n = 0, exponent = 0, whole, fraction = 0;
    if (size > 64)
        return false;
    CR__TEXT_GUARD();
    if (at < end && (*at == '-' || *at == '+'))
        text[n++] = *at++;
    whole = digits_of(&at, end, text, &n, 80);
    if (at < end && *at == '.') {
        at++;
        fraction = digits_of(&at, end, text, &n, 80);
    }
    if (whole + fraction == 0)
        return false;
    if (at < end && (*at | 32) == 'e') {
        const bool negative = at + 1 < end && at[1] == '-';
        at += 1 + (at + 1 < end && (at[1] == '-' || at[1] == '+'));
        if (at == end)
            return false;
        for (; at < end && *at >= '0' && *at <= '9'; at++)
            exponent = exponent < 100000 ? 10 * exponent + (*at - '0') : exponent;
        exponent = negative ? -exponent : exponent;
    }
    if (at != end)
        return false;
    snprintf(text + n, sizeof text - (size_t)n, "e%d", exponent - fraction);
    *out = strtod(text, NULL);
    return true;
}
