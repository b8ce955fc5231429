/* Sums, products and extrema of all elements so far. */
#ifndef CHAINRULE_SCANS_H
#define CHAINRULE_SCANS_H

#include "macros.h"

CR_BEGIN

/* Element i along dim is made of elements 0 .. i, added or multiplied in that order: of f32 in f64,
 * of f64 with the sums' rounding errors carried along. So the error of a sum does not grow with the
 * length of the dim: where nothing cancels, it is the rounding of the result. */

/* sums; of integers and bools an i64    d the sum of g from there on */
CR_API cr_tensor *cr_cumsum_at(cr_tensor *x, int dim, const char *site);
#define cr_cumsum(x, dim) cr_cumsum_at(x, dim, CR_HERE)

/* products; of integers and bools an i64    d the sum of g from there on, each times the product of
 * the others
 * So zeros are no matter, to any order. */
CR_API cr_tensor *cr_cumprod_at(cr_tensor *x, int dim, const char *site);
#define cr_cumprod(x, dim) cr_cumprod_at(x, dim, CR_HERE)

/* ln of the sums of e^x, without overflow; floats    d e^x times the sum of g e^-y from there on, y
 * the result; 0 where that is -inf */
CR_API cr_tensor *cr_logcumsumexp_at(cr_tensor *x, int dim, const char *site);
#define cr_logcumsumexp(x, dim) cr_logcumsumexp_at(x, dim, CR_HERE)

/* the largest, the smallest so far; of several the last; NaN wins, the last one    d g, to that one
 * Their places (i64), which have no gradient, come through .indices.
 * usage: cr_cummax(x, -1), cr_cummin(x, 0, .indices = &places) */
typedef struct cr_cum_opts {
    const char *site CR_ZERO;
    cr_tensor **indices CR_ZERO; /* default: not wanted */
} cr_cum_opts;
CR_API cr_tensor *cr_cummax_at(cr_tensor *x, int dim, cr_cum_opts opts);
CR_API cr_tensor *cr_cummin_at(cr_tensor *x, int dim, cr_cum_opts opts);
#define cr_cummax(x, ...) \
    cr_cummax_at(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_cum_opts, __VA_ARGS__))
#define cr_cummin(x, ...) \
    cr_cummin_at(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_cum_opts, __VA_ARGS__))

CR_END
#endif
