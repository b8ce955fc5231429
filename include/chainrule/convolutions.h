/* Convolutions and their transposed forms, in one to three dimensions. */
#ifndef CHAINRULE_CONVOLUTIONS_H
#define CHAINRULE_CONVOLUTIONS_H

#include "macros.h"

CR_BEGIN

/* Lists have a number for each dimension of space; one number stands for all. */
typedef struct cr_conv_opts {
    const char *site CR_ZERO;
    cr_dims stride CR_ZERO;   /* 1 or more; default 1 */
    cr_dims padding CR_ZERO;  /* zeros before the first and behind the last element; default 0; or
                               * CR_PADDING_SAME, CR_PADDING_VALID */
    cr_dims dilation CR_ZERO; /* 1 or more; default 1 */
    int64_t groups CR_ZERO;   /* default 1 */
} cr_conv_opts;
/* As many zeros as make the result as large as x, of an odd number the last one behind (stride is
 * 1); and none. */
#define CR_PADDING_SAME CR_DIMS(INT64_MIN)
#define CR_PADDING_VALID CR_DIMS(INT64_MIN + 1)

/* y[n, o, p] = bias[o] + sum over c, t of weight[o, c, t] x[n, c of o's group, s p + d t - padding]
 * d the transposed convolution of g with weight; sum over n, p of g x; the sum of g
 * s is stride, d dilation.
 * x [N, C, ..] or [C, ..] with as many dimensions of space as the name says; weight [O, C / groups,
 * ..]; bias [O] or NULL. The result has (size + 2 padding - d (kernel - 1) - 1) / s + 1 places in
 * each dimension, rounded down; an error if there is none. Floats of one type. Padding counts as
 * zeros, which times infinite weights are NaN.
 * usage: cr_conv1d(x, weight, NULL), cr_conv1d(x, weight, bias, .padding = CR_PADDING_SAME) */
CR_API cr_tensor *cr_conv1d_at(cr_tensor *x, cr_tensor *weight, cr_tensor *bias,
                               cr_conv_opts opts);
#define cr_conv1d(x, weight, ...)                          \
    cr_conv1d_at(x, weight, CR_FIRST(__VA_ARGS__, 0),      \
                 CR_OPTS(cr_conv_opts, __VA_ARGS__))

/* usage: cr_conv2d(x, weight, bias), cr_conv2d(x, weight, bias, .stride = CR_DIMS(2, 1)),
 *        cr_conv2d(x, weight, bias, .padding = CR_DIMS(1), .groups = 4) */
CR_API cr_tensor *cr_conv2d_at(cr_tensor *x, cr_tensor *weight, cr_tensor *bias,
                               cr_conv_opts opts);
#define cr_conv2d(x, weight, ...)                          \
    cr_conv2d_at(x, weight, CR_FIRST(__VA_ARGS__, 0),      \
                 CR_OPTS(cr_conv_opts, __VA_ARGS__))

/* usage: cr_conv3d(x, weight, bias), cr_conv3d(x, weight, bias, .dilation = CR_DIMS(2)) */
CR_API cr_tensor *cr_conv3d_at(cr_tensor *x, cr_tensor *weight, cr_tensor *bias,
                               cr_conv_opts opts);
#define cr_conv3d(x, weight, ...)                          \
    cr_conv3d_at(x, weight, CR_FIRST(__VA_ARGS__, 0),      \
                 CR_OPTS(cr_conv_opts, __VA_ARGS__))

typedef struct cr_conv_transpose_opts {
    const char *site CR_ZERO;
    cr_dims stride CR_ZERO;         /* 1 or more; default 1 */
    cr_dims padding CR_ZERO;        /* places that are left out at each end; default 0 */
    cr_dims output_padding CR_ZERO; /* more places behind the last; below stride or dilation;
                                     * default 0 */
    int64_t groups CR_ZERO;         /* default 1 */
    cr_dims dilation CR_ZERO;       /* 1 or more; default 1 */
} cr_conv_transpose_opts;

/* y[n, o, s p + d t - padding] = bias[o] + sum over c, p, t that meet there of weight[c, o, t]
 * x[n, c, p], what a convolution with this weight hands down    d the convolution of g with weight;
 * sum over n, p of x g; the sum of g
 * x [N, C, ..] or [C, ..]; weight [C, O / groups, ..]; bias [O] or NULL. The result has
 * s (size - 1) + d (kernel - 1) + 1 - 2 padding + output_padding places in each dimension; an error
 * if there is none. Floats of one type.
 * usage: cr_conv_transpose1d(x, weight, NULL),
 *        cr_conv_transpose1d(x, weight, bias, .stride = s, .output_padding = CR_DIMS(1)) */
CR_API cr_tensor *cr_conv_transpose1d_at(cr_tensor *x, cr_tensor *weight, cr_tensor *bias,
                                         cr_conv_transpose_opts opts);
#define cr_conv_transpose1d(x, weight, ...)                     \
    cr_conv_transpose1d_at(x, weight, CR_FIRST(__VA_ARGS__, 0), \
                           CR_OPTS(cr_conv_transpose_opts, __VA_ARGS__))

/* usage: cr_conv_transpose2d(x, weight, bias, .stride = CR_DIMS(2), .padding = CR_DIMS(1)) */
CR_API cr_tensor *cr_conv_transpose2d_at(cr_tensor *x, cr_tensor *weight, cr_tensor *bias,
                                         cr_conv_transpose_opts opts);
#define cr_conv_transpose2d(x, weight, ...)                     \
    cr_conv_transpose2d_at(x, weight, CR_FIRST(__VA_ARGS__, 0), \
                           CR_OPTS(cr_conv_transpose_opts, __VA_ARGS__))

/* usage: cr_conv_transpose3d(x, weight, bias, .stride = CR_DIMS(2, 2, 1)) */
CR_API cr_tensor *cr_conv_transpose3d_at(cr_tensor *x, cr_tensor *weight, cr_tensor *bias,
                                         cr_conv_transpose_opts opts);
#define cr_conv_transpose3d(x, weight, ...)                     \
    cr_conv_transpose3d_at(x, weight, CR_FIRST(__VA_ARGS__, 0), \
                           CR_OPTS(cr_conv_transpose_opts, __VA_ARGS__))

CR_END
#endif
