/* What the ELEMENTARY and RARE rows of maps.inc compute, by libm and by plain formulas in long
 * double: what the library's functions are held against. Infinities stand for their limits. A
 * new row has a line in elementary(). */
#ifndef TESTS_ELEMENTARY_H
#define TESTS_ELEMENTARY_H

#include "../../src/kernel/rows.h"

/* Of a; of a and b; of a with parameters b and c. NaN of a row without a line. */
double elementary(cr__map_code code, double a, double b, double c);

#endif
