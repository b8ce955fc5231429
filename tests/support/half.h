/* bf16 and f16 by the definition of their formats, on the side of the tests. */
#ifndef TESTS_SUPPORT_HALF_H
#define TESTS_SUPPORT_HALF_H

#include <chainrule.h>

/* Whether it is one of the two. */
bool is_half(cr_dtype t);

uint16_t half_infinity(cr_dtype t);
int half_largest_exponent(cr_dtype t);

bool half_is_nan(cr_dtype t, uint16_t bits);

/* The value of a finite number; infinity and NaN as such. */
double half_value(cr_dtype t, uint16_t bits);

/* The number nearest to x, ties to even, as its bits. */
uint16_t half_nearest(cr_dtype t, double x);

/* x rounded to the type. */
double half_rounded(cr_dtype t, double x);

#endif
