/* Pooling over windows of the last one, two or three dimensions. */
#ifndef CHAINRULE_POOLING_H
#define CHAINRULE_POOLING_H

#include "macros.h"

CR_BEGIN

/* x is [N, C, ..] or [C, ..], with one, two or three spatial dimensions behind; floats. Only N may
 * be 0. kernel_size, stride, padding, dilation and output_size are a number for all spatial
 * dimensions or a list with one for each (the first two arguments; options are lists: CR_DIMS(2)).
 * Windows begin at -padding and move by stride (default: kernel_size); padding is at most half of
 * kernel_size. There are floor((size + 2 padding - dilation (kernel_size - 1) - 1) / stride) + 1 of
 * them; with ceil_mode the quotient is rounded up, and a window that would begin behind x and the
 * padding before it is left out. What none fits into is an error. */

/* max_pool1d to 3d: the largest element of each window    d g, to that element
 * Elements of a window are dilation apart. Padding is -inf and never chosen. Of equals the first is
 * the largest; NaN is larger than all, and of several the last counts. A window without elements,
 * which dilation and padding may make, gives -inf. g is added up in the order of the windows.
 * indices: where to store the place of each largest element in its plane (i64, row-major over the
 * spatial dimensions; -1 in a window without elements).
 * usage: cr_max_pool1d(x, 2), cr_max_pool2d(x, CR_DIMS(3, 2), .stride = CR_DIMS(2)),
 *        cr_max_pool3d(x, 3, .padding = CR_DIMS(1), .indices = &i) */
typedef struct cr_max_pool_opts {
    const char *site CR_ZERO;
    cr_dims stride CR_ZERO;
    cr_dims padding CR_ZERO;
    cr_dims dilation CR_ZERO;
    bool ceil_mode CR_ZERO;
    cr_tensor **indices CR_ZERO;
} cr_max_pool_opts;
CR_API cr_tensor *cr_max_pool1d_at(cr_tensor *x, cr_dims kernel_size, cr_max_pool_opts opts);
CR_API cr_tensor *cr_max_pool2d_at(cr_tensor *x, cr_dims kernel_size, cr_max_pool_opts opts);
CR_API cr_tensor *cr_max_pool3d_at(cr_tensor *x, cr_dims kernel_size, cr_max_pool_opts opts);
#define cr_max_pool1d(x, ...) CR_POOL_(max_pool1d, max_pool, x, __VA_ARGS__)
#define cr_max_pool2d(x, ...) CR_POOL_(max_pool2d, max_pool, x, __VA_ARGS__)
#define cr_max_pool3d(x, ...) CR_POOL_(max_pool3d, max_pool, x, __VA_ARGS__)
#define CR_POOL_(name, family, x, ...)                       \
    cr_##name##_at(x, CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)),  \
                   CR_OPTS(cr_##family##_opts, __VA_ARGS__))

/* avg_pool1d to 3d: the mean of each window    d g / divisor, to each element of it
 * The divisor is how many elements of the window lie in x or its padding; without padding, if
 * count_include_pad is false (then a window without elements gives 0); or divisor_override.
 * usage: cr_avg_pool1d(x, 2), cr_avg_pool2d(x, 3, .count_include_pad = CR_INT(false)),
 *        cr_avg_pool3d(x, 2, .divisor_override = CR_INT(4)) */
typedef struct cr_avg_pool_opts {
    const char *site CR_ZERO;
    cr_dims stride CR_ZERO;
    cr_dims padding CR_ZERO;
    bool ceil_mode CR_ZERO;
    cr_opt_int count_include_pad CR_ZERO; /* default true */
    cr_opt_int divisor_override CR_ZERO;  /* not 0 */
} cr_avg_pool_opts;
CR_API cr_tensor *cr_avg_pool1d_at(cr_tensor *x, cr_dims kernel_size, cr_avg_pool_opts opts);
CR_API cr_tensor *cr_avg_pool2d_at(cr_tensor *x, cr_dims kernel_size, cr_avg_pool_opts opts);
CR_API cr_tensor *cr_avg_pool3d_at(cr_tensor *x, cr_dims kernel_size, cr_avg_pool_opts opts);
#define cr_avg_pool1d(x, ...) CR_POOL_(avg_pool1d, avg_pool, x, __VA_ARGS__)
#define cr_avg_pool2d(x, ...) CR_POOL_(avg_pool2d, avg_pool, x, __VA_ARGS__)
#define cr_avg_pool3d(x, ...) CR_POOL_(avg_pool3d, avg_pool, x, __VA_ARGS__)

/* lp_pool1d to 3d: (sum x^p)^(1/p) of each window, p = norm_type    d g x^(p-1) y^(1-p)
 * y being the result; 0 where the sum is 0. p is not 0; of infinity: the largest |x|, of -infinity
 * the smallest. There is no absolute value: where an odd p makes a sum negative, the result is NaN.
 * A window that ceil_mode lets reach beyond x counts as if it were filled up with the mean of its
 * powers (PyTorch's rule).
 * usage: cr_lp_pool1d(x, 2, 3), cr_lp_pool2d(x, 2, CR_DIMS(3, 2), .stride = CR_DIMS(1)),
 *        cr_lp_pool3d(x, 1.5, 2) */
typedef struct cr_lp_pool_opts {
    const char *site CR_ZERO;
    cr_dims stride CR_ZERO;
    bool ceil_mode CR_ZERO;
} cr_lp_pool_opts;
CR_API cr_tensor *cr_lp_pool1d_at(cr_tensor *x, double norm_type, cr_dims kernel_size,
                                  cr_lp_pool_opts opts);
CR_API cr_tensor *cr_lp_pool2d_at(cr_tensor *x, double norm_type, cr_dims kernel_size,
                                  cr_lp_pool_opts opts);
CR_API cr_tensor *cr_lp_pool3d_at(cr_tensor *x, double norm_type, cr_dims kernel_size,
                                  cr_lp_pool_opts opts);
#define cr_lp_pool1d(x, norm_type, ...) CR_LP_POOL_(lp_pool1d, x, norm_type, __VA_ARGS__)
#define cr_lp_pool2d(x, norm_type, ...) CR_LP_POOL_(lp_pool2d, x, norm_type, __VA_ARGS__)
#define cr_lp_pool3d(x, norm_type, ...) CR_LP_POOL_(lp_pool3d, x, norm_type, __VA_ARGS__)
#define CR_LP_POOL_(name, x, norm_type, ...)                            \
    cr_##name##_at(x, norm_type, CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)),  \
                   CR_OPTS(cr_lp_pool_opts, __VA_ARGS__))

/* adaptive_max_pool1d to 3d: the largest element of each of output_size parts    d g, to it
 * Part i is the elements from floor(i size / output_size) to ceil((i + 1) size / output_size), so
 * that parts may overlap. Otherwise as max_pool.
 * usage: cr_adaptive_max_pool1d(x, 3), cr_adaptive_max_pool2d(x, CR_DIMS(3, 2)),
 *        cr_adaptive_max_pool3d(x, 1, .indices = &i) */
typedef struct cr_adaptive_max_pool_opts {
    const char *site CR_ZERO;
    cr_tensor **indices CR_ZERO;
} cr_adaptive_max_pool_opts;
CR_API cr_tensor *cr_adaptive_max_pool1d_at(cr_tensor *x, cr_dims output_size,
                                            cr_adaptive_max_pool_opts opts);
CR_API cr_tensor *cr_adaptive_max_pool2d_at(cr_tensor *x, cr_dims output_size,
                                            cr_adaptive_max_pool_opts opts);
CR_API cr_tensor *cr_adaptive_max_pool3d_at(cr_tensor *x, cr_dims output_size,
                                            cr_adaptive_max_pool_opts opts);
#define cr_adaptive_max_pool1d(x, ...) \
    CR_POOL_(adaptive_max_pool1d, adaptive_max_pool, x, __VA_ARGS__)
#define cr_adaptive_max_pool2d(x, ...) \
    CR_POOL_(adaptive_max_pool2d, adaptive_max_pool, x, __VA_ARGS__)
#define cr_adaptive_max_pool3d(x, ...) \
    CR_POOL_(adaptive_max_pool3d, adaptive_max_pool, x, __VA_ARGS__)

/* adaptive_avg_pool1d to 3d: the mean of each of these parts    d g / its size, to its elements */
CR_API cr_tensor *cr_adaptive_avg_pool1d_at(cr_tensor *x, cr_dims output_size, const char *site);
CR_API cr_tensor *cr_adaptive_avg_pool2d_at(cr_tensor *x, cr_dims output_size, const char *site);
CR_API cr_tensor *cr_adaptive_avg_pool3d_at(cr_tensor *x, cr_dims output_size, const char *site);
#define cr_adaptive_avg_pool1d(x, output_size) \
    cr_adaptive_avg_pool1d_at(x, CR_DIM_ARG(output_size), CR_HERE)
#define cr_adaptive_avg_pool2d(x, output_size) \
    cr_adaptive_avg_pool2d_at(x, CR_DIM_ARG(output_size), CR_HERE)
#define cr_adaptive_avg_pool3d(x, output_size) \
    cr_adaptive_avg_pool3d_at(x, CR_DIM_ARG(output_size), CR_HERE)

CR_END
#endif
