/* Numbers near the smallest: how to find that a matrix holds little else. */
#include "kernel.h"

#include <string.h>

/* Elements that are looked at before all are. */
#define SAMPLES 16

/* Below `tiny` a matrix is scaled so that its largest element has the exponent `target`:
 * then products with another such matrix are still normal numbers, and products with the
 * largest ones finite. */
typedef struct range {
    int tiny, target;
} range;
static const range ranges[CR_DTYPES] = {
    [CR_F32] = { -60, -40 },
    [CR_F64] = { -600, -400 },
};

/* The exponent of |x|, of 0 the least int. NaN and infinity have the largest of all. */
static int exponent_at(const char *at, cr_dtype dtype)
{
    int exponent;
    float narrow;
    double x;
    if (dtype == CR_F32) {
        memcpy(&narrow, at, sizeof narrow);
        x = (double)narrow;
    } else {
        memcpy(&x, at, sizeof x);
    }
    if (x == 0)
        return INT32_MIN;
    if (!isfinite(x))
        return INT32_MAX;
    (void)frexp(x, &exponent);
    return exponent - 1;
}

/* The largest exponent of every step-th element of x. */
static int largest_exponent(const cr__strided *x, cr_dtype dtype, int64_t numel,
                            int64_t step)
{
    int64_t size = (int64_t)cr_dtype_size(dtype);
    int largest = INT32_MIN;
    for (int64_t i = 0; i < numel; i += step) {
        int64_t offset = 0, rest = i;
        for (int d = x->ndim - 1; d >= 0; d--) {
            offset += rest % x->dims[d] * x->strides[d];
            rest /= x->dims[d];
        }
        int exponent = exponent_at((const char *)x->data + offset * size, dtype);
        largest = exponent > largest ? exponent : largest;
    }
    return largest;
}

int cr__tiny_exponent(const cr__strided *x, cr_dtype dtype)
{
    const range *r = &ranges[dtype];
    int64_t numel = 1;
    for (int d = 0; d < x->ndim; d++)
        numel *= x->dims[d];
    int64_t step = numel > SAMPLES ? numel / SAMPLES | 1 : 1;
    int largest = largest_exponent(x, dtype, numel, step);
    if (largest == INT32_MIN || largest >= r->tiny)
        return 0;
    largest = largest_exponent(x, dtype, numel, 1);
    return largest < r->tiny ? r->target - largest : 0;
}
