/* What the ELEMENTARY and RARE rows of maps.inc compute, by libm and by plain formulas in long
 * double: what the library's functions are held against. Infinities stand for their limits. A
 * new row has a line in elementary(). */
#ifndef TESTS_ELEMENTARY_H
#define TESTS_ELEMENTARY_H

#include "../../src/kernel/rows.h"

/* Of a; of a and b; of a with parameters b and c. NaN of a row without a line. */
double elementary(cr__map_code code, double a, double b, double c);

/* The activations among them and their derivatives (slope, curve). */
double sigmoid(double x);
double logistic_slope(double x);
double logistic_curve(double x);
double silu(double x);
double silu_slope(double x);
double silu_curve(double x);
double gelu(double x);
double gelu_slope(double x);
double gelu_curve(double x);
double gelu_tanh(double x);
double gelu_tanh_slope(double x);
double gelu_tanh_curve(double x);

double erfinv(double x);
double erfinv_slope(double x);
double digamma(double x);
double polygamma(double x, double order);
double sinc_nth(double x, double order);

#endif
