/* Orders: sorting, the largest, places in sorted lists. */
#ifndef CHAINRULE_SORTING_H
#define CHAINRULE_SORTING_H

#include "macros.h"

CR_BEGIN

/* NaN is above all numbers, so last in ascending order and first in descending; of equals, among
 * which are 0 and -0, the first comes first. Places are i64. They take any type, and are linear in
 * time, or n log k for the first k. Gradients flow through the values. */

/* x along dim in ascending order    d g, put where x was read
 * *.indices gets the places: the values are cr_gather(x, dim, indices). It is stable, whether
 * .stable is given or not.
 * usage: cr_sort(x, -1), cr_sort(x, 0, .descending = true, .indices = &indices) */
typedef struct cr_sort_opts {
    const char *site CR_ZERO;
    bool descending CR_ZERO;
    bool stable CR_ZERO;
    cr_tensor **indices CR_ZERO;
} cr_sort_opts;
CR_API cr_tensor *cr_sort_at(cr_tensor *x, int dim, cr_sort_opts opts);
#define cr_sort(x, ...) \
    cr_sort_at(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_sort_opts, __VA_ARGS__))

/* the places that sort x along dim    d none
 * usage: cr_argsort(x, -1), cr_argsort(x, 0, .descending = true) */
typedef struct cr_argsort_opts {
    const char *site CR_ZERO;
    bool descending CR_ZERO;
    bool stable CR_ZERO;
} cr_argsort_opts;
CR_API cr_tensor *cr_argsort_at(cr_tensor *x, int dim, cr_argsort_opts opts);
#define cr_argsort(x, ...) \
    cr_argsort_at(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_argsort_opts, __VA_ARGS__))

/* the k largest along dim, the largest first, or the k smallest, the smallest first    d g, put
 * where x was read
 * *.indices gets their places. They are in order, whether .sorted is given or not.
 * usage: cr_topk(x, 3, -1), cr_topk(x, 3, 0, .largest = CR_INT(false), .indices = &indices) */
typedef struct cr_topk_opts {
    const char *site CR_ZERO;
    cr_opt_int largest CR_ZERO; /* default true */
    cr_opt_int sorted CR_ZERO;  /* default true */
    cr_tensor **indices CR_ZERO;
} cr_topk_opts;
CR_API cr_tensor *cr_topk_at(cr_tensor *x, int64_t k, int dim, cr_topk_opts opts);
#define cr_topk(x, k, ...) \
    cr_topk_at(x, k, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_topk_opts, __VA_ARGS__))

/* i64, shaped like values: how many of the ascending list `sorted` are below the value, or (.right)
 * not above it    d none
 * Or sorted has as many dims as values, and each of its rows is searched for those of values. NaN
 * is above all. Their dtype is the same.
 * usage: cr_searchsorted(sorted, values), cr_searchsorted(sorted, values, .right = true) */
typedef struct cr_searchsorted_opts {
    const char *site CR_ZERO;
    bool right CR_ZERO;
} cr_searchsorted_opts;
CR_API cr_tensor *cr_searchsorted_at(cr_tensor *sorted, cr_tensor *values,
                                     cr_searchsorted_opts opts);
#define cr_searchsorted(sorted, ...)                             \
    cr_searchsorted_at(sorted, CR_FIRST(__VA_ARGS__, 0),         \
                       CR_OPTS(cr_searchsorted_opts, __VA_ARGS__))

CR_END
#endif
