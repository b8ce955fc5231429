/* Texts for people and numbers in texts: the same in every locale, with a decimal point,
 * and in every floating point state of the host. */
#ifndef CR_BASE_TEXT_H
#define CR_BASE_TEXT_H

#include "compiler.h"
#include "chainrule.h"

#include <stdarg.h>

/* snprintf() and vsnprintf(), with all their conversions but %n and wide characters. A
 * number is cut off at 500 characters. */
int cr__format(char *text, size_t capacity, const char *format, ...) CR_FORMAT(3, 4);
int cr__vformat(char *text, size_t capacity, const char *format, va_list args);

/* A text that grows as it is said, as far as there is room; length is that of the whole, as
 * snprintf counts. Begin with { at, capacity, 0 }. */
typedef struct cr__text {
    char *at;
    size_t capacity, length;
} cr__text;
void cr__say(cr__text *out, const char *format, ...) CR_FORMAT(2, 3);

/* The number that n characters of text are, all of them: digits with a point and an
 * exponent, rounded to nearest. False if they are none. */
bool cr__parse_real(const char *text, size_t n, double *out);

#endif
