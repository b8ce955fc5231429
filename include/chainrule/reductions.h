/* Operations that reduce dimensions. */
#ifndef CHAINRULE_REDUCTIONS_H
#define CHAINRULE_REDUCTIONS_H

#include "macros.h"

CR_BEGIN

/* Reductions over dim: an int, a list CR_DIMS(0, 2), or CR_ALL; behind the first argument it may be
 * left out, and then is CR_ALL. .keepdim leaves what was reduced with size 1. Sums, means and
 * variances of floats overflow only if the result does; but where an x - mean is more than its type
 * holds, which takes numbers above half the largest, a variance and what normalises by it are NaN.
 *
 * usage: cr_sum(x), cr_sum(x, -1), cr_sum(x, CR_DIMS(0, 2)), cr_sum(x, CR_ALL, .keepdim = true) */
typedef struct cr_reduce_opts {
    const char *site CR_ZERO;
    bool keepdim CR_ZERO;
} cr_reduce_opts;
#define CR_REDUCE_(name, T, ...) \
    name(CR_FIRST(__VA_ARGS__, 0), CR_DIM_OR_ALL(__VA_ARGS__), CR_OPTS_BEHIND_2(T, __VA_ARGS__))

/* the sum; of integers and bools an i64    d g to each */
CR_API cr_tensor *cr_sum_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define cr_sum(...) CR_REDUCE_(cr_sum_at, cr_reduce_opts, __VA_ARGS__)

/* sum / count    d g / count to each
 * Of integers and bools an f32, correctly rounded; NaN of nothing.
 * usage: cr_mean(x), cr_mean(x, -1, .keepdim = true) */
CR_API cr_tensor *cr_mean_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define cr_mean(...) CR_REDUCE_(cr_mean_at, cr_reduce_opts, __VA_ARGS__)

/* the largest; NaN wins; of nothing: error    d g, shared evenly by all that are largest, or NaN
 * usage: cr_amax(x), cr_amax(x, -1, .keepdim = true) */
CR_API cr_tensor *cr_amax_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define cr_amax(...) CR_REDUCE_(cr_amax_at, cr_reduce_opts, __VA_ARGS__)

/* the smallest; NaN wins; of nothing: error    d g, shared evenly by all that are smallest, or NaN
 * usage: cr_amin(x), cr_amin(x, -1, .keepdim = true) */
CR_API cr_tensor *cr_amin_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define cr_amin(...) CR_REDUCE_(cr_amin_at, cr_reduce_opts, __VA_ARGS__)

/* ln sum e^x, without overflow; floats    d g softmax(x); of -inf only: -inf, d 0
 * usage: cr_logsumexp(x), cr_logsumexp(x, -1, .keepdim = true) */
CR_API cr_tensor *cr_logsumexp_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define cr_logsumexp(...) CR_REDUCE_(cr_logsumexp_at, cr_reduce_opts, __VA_ARGS__)

/* The place (i64) of the largest element along one dim, or (CR_ALL) in the whole tensor; of several
 * the first; the first NaN, if there is one.    d none
 * usage: cr_argmax(x), cr_argmax(x, -1, .keepdim = true) */
CR_API cr_tensor *cr_argmax_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define cr_argmax(...) CR_REDUCE_(cr_argmax_at, cr_reduce_opts, __VA_ARGS__)

/* sum (x - mean)^2 / max(0, count - correction)    d 2 g (x - mean) / max(0, count - correction)
 * Correction 1 is the sample variance, 0 the population's. Floats.
 * usage: cr_var(x), cr_var(x, -1, .correction = CR_REAL(0), .keepdim = true) */
typedef struct cr_var_opts {
    const char *site CR_ZERO;
    cr_opt_real correction CR_ZERO; /* default 1 */
    bool keepdim CR_ZERO;
} cr_var_opts;
CR_API cr_tensor *cr_var_at(cr_tensor *x, cr_dims dim, cr_var_opts opts);
#define cr_var(...) CR_REDUCE_(cr_var_at, cr_var_opts, __VA_ARGS__)

CR_END
#endif
