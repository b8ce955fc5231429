/* The activations and their derivatives (slope, curve), by their plain formulas in long double:
 * what those of the library are held against. Infinities stand for their limits. */
#ifndef TESTS_ACTIVATIONS_H
#define TESTS_ACTIVATIONS_H

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

#endif
