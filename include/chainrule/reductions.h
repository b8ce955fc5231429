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

/* the largest, the smallest of all elements: cr_amax(x), cr_amin(x) */
CR_API cr_tensor *cr_max_at(cr_tensor *x, const char *site);
CR_API cr_tensor *cr_min_at(cr_tensor *x, const char *site);
#define cr_max(x) cr_max_at(x, CR_HERE)
#define cr_min(x) cr_min_at(x, CR_HERE)

/* the product; of integers and bools an i64    d g times the product of the others
 * So zeros are no matter, to any order. Of nothing 1.
 * usage: cr_prod(x), cr_prod(x, -1, .keepdim = true) */
CR_API cr_tensor *cr_prod_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define cr_prod(...) CR_REDUCE_(cr_prod_at, cr_reduce_opts, __VA_ARGS__)

/* ln sum e^x, without overflow; floats    d g softmax(x); of -inf only: -inf, d 0
 * usage: cr_logsumexp(x), cr_logsumexp(x, -1, .keepdim = true) */
CR_API cr_tensor *cr_logsumexp_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define cr_logsumexp(...) CR_REDUCE_(cr_logsumexp_at, cr_reduce_opts, __VA_ARGS__)

/* cr_sum(), cr_mean() of what is not NaN    d g, g / count; to NaN 0
 * Of NaN only: 0, NaN. The sum takes any type, the mean floats.
 * usage: cr_nansum(x), cr_nanmean(x, -1, .keepdim = true) */
CR_API cr_tensor *cr_nansum_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
CR_API cr_tensor *cr_nanmean_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define cr_nansum(...) CR_REDUCE_(cr_nansum_at, cr_reduce_opts, __VA_ARGS__)
#define cr_nanmean(...) CR_REDUCE_(cr_nanmean_at, cr_reduce_opts, __VA_ARGS__)

/* Whether any element, whether all are not 0: a bool. How many are not: an i64. NaN is not 0.
 * d none; of nothing: false, true, 0.
 * usage: cr_any(x), cr_all(x, -1, .keepdim = true), cr_count_nonzero(x, CR_DIMS(0, 1)) */
CR_API cr_tensor *cr_any_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
CR_API cr_tensor *cr_all_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
CR_API cr_tensor *cr_count_nonzero_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define cr_any(...) CR_REDUCE_(cr_any_at, cr_reduce_opts, __VA_ARGS__)
#define cr_all(...) CR_REDUCE_(cr_all_at, cr_reduce_opts, __VA_ARGS__)
#define cr_count_nonzero(...) CR_REDUCE_(cr_count_nonzero_at, cr_reduce_opts, __VA_ARGS__)

/* The place (i64) of the largest, of the smallest element along one dim, or (CR_ALL) in the whole
 * tensor; of several the first; the first NaN, if there is one.    d none
 * usage: cr_argmax(x), cr_argmin(x, -1, .keepdim = true) */
CR_API cr_tensor *cr_argmax_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
CR_API cr_tensor *cr_argmin_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define cr_argmax(...) CR_REDUCE_(cr_argmax_at, cr_reduce_opts, __VA_ARGS__)
#define cr_argmin(...) CR_REDUCE_(cr_argmin_at, cr_reduce_opts, __VA_ARGS__)

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

/* the root of cr_var()    d g (x - mean) / (s max(0, count - correction)), s the result; where that
 * is 0: 0
 * Squares overflow or vanish only if the result does. Floats.
 * usage: cr_std(x), cr_std(x, -1, .correction = CR_REAL(0), .keepdim = true) */
CR_API cr_tensor *cr_std_at(cr_tensor *x, cr_dims dim, cr_var_opts opts);
#define cr_std(...) CR_REDUCE_(cr_std_at, cr_var_opts, __VA_ARGS__)

/* ---- values and their places ---- */

/* Along one dim. The places (i64), which have no gradient, come through .indices.
 *
 * the largest, the smallest; of several the first, NaN wins    d g, to that one
 * usage: cr_max_dim(x, -1), cr_min_dim(x, 0, .keepdim = true, .indices = &places) */
typedef struct cr_pick_opts {
    const char *site CR_ZERO;
    bool keepdim CR_ZERO;
    cr_tensor **indices CR_ZERO; /* default: not wanted */
} cr_pick_opts;
CR_API cr_tensor *cr_max_dim_at(cr_tensor *x, int dim, cr_pick_opts opts);
CR_API cr_tensor *cr_min_dim_at(cr_tensor *x, int dim, cr_pick_opts opts);
#define cr_max_dim(x, ...) \
    cr_max_dim_at(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_pick_opts, __VA_ARGS__))
#define cr_min_dim(x, ...) \
    cr_min_dim_at(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_pick_opts, __VA_ARGS__))

/* the k-th smallest, k from 1; of several the first; NaN comes last    d g, to that one
 * usage: cr_kthvalue(x, 2, -1), cr_kthvalue(x, 2, 0, .keepdim = true, .indices = &places) */
CR_API cr_tensor *cr_kthvalue_at(cr_tensor *x, int64_t k, int dim, cr_pick_opts opts);
#define cr_kthvalue(x, k, ...) \
    cr_kthvalue_at(x, k, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_pick_opts, __VA_ARGS__))

/* the median, of two the lower one; NaN if one is; of several the first    d g, to that one
 * usage: cr_median_dim(x, -1), cr_median_dim(x, 0, .keepdim = true, .indices = &places) */
CR_API cr_tensor *cr_median_dim_at(cr_tensor *x, int dim, cr_pick_opts opts);
#define cr_median_dim(x, ...) \
    cr_median_dim_at(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_pick_opts, __VA_ARGS__))

/* the median of all elements    d g, shared evenly by all that are equal to it, or NaN
 * Of no floats NaN. */
CR_API cr_tensor *cr_median_at(cr_tensor *x, const char *site);
#define cr_median(x) cr_median_at(x, CR_HERE)

CR_END
#endif
