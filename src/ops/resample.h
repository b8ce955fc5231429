/* What averages over windows and what interpolates: one sparse matrix for each dimension. */
#ifndef CR_OPS_RESAMPLE_H
#define CR_OPS_RESAMPLE_H

#include "ops.h"

/* How an element of the result is made of the `in` elements along the dimension. */
typedef enum cr__taps_kind {
    CR__TAPS_WINDOW, /* the mean of a window of kernel_size, moved by stride, from -padding on */
    CR__TAPS_ADAPTIVE, /* the mean from floor(i in / out) to ceil((i + 1) in / out) */
    CR__TAPS_NEAREST,
    CR__TAPS_EXACT, /* the nearest, seen from the middle of the element */
    CR__TAPS_LINEAR,
    CR__TAPS_CUBIC
} cr__taps_kind;

typedef struct cr__resample_attrs {
    int64_t dim;
    cr__taps_kind kind;
    int64_t in, out;
    int64_t kernel_size, stride, padding; /* of windows */
    bool count_include_pad;
    int64_t divisor; /* what the sum of a window is divided by; 0: its size */
    double scale;    /* out / in, if it is not that quotient; 0: it is */
    bool align_corners;
    bool transposed; /* from `out` elements to `in`: the adjoint */
} cr__resample_attrs;

/* x with n of its dimensions resampled, one after the other: those that enlarge from the last on,
 * others from the first on, so that fewer elements are computed. */
cr_tensor *cr__resample(cr_tensor *x, const cr__resample_attrs *attrs, int n);

/* The weights of the four neighbours of a place t beyond the second of them (Keys, 1981, with a =
 * -0.75), or their derivatives of that order by t. */
void cr__cubic_weights(double t, int order, double weights[4]);

#endif
