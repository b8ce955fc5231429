/* Numbers near the smallest: how to find that a matrix holds little else. */
#include "kernel.h"

#include <string.h>

/* Rows whose first element is looked at before all are. */
#define SAMPLES 16

/* Elements of a row that are looked at before it is asked whether that is enough. */
#define STRETCH 4096

/* Below `tiny` a matrix is scaled so that its largest element has the exponent `target`:
 * then products with another such matrix are still normal numbers, and products with the
 * largest ones finite. */
typedef struct tiny_range {
    int tiny, target;
} tiny_range;
static const tiny_range ranges[CR_DTYPES] = {
    [CR_F32] = { -85, -40 },
    [CR_F64] = { -800, -400 },
    [CR_BF16] = { -85,
                  -40 }, /* computed with as f32; products of f16 are never tiny there */
};

/* The bits of |x| grow with it, so the largest of n elements is found among integers; at step
 * 1 that is a loop of vectors, of f32. */
#define LARGEST(HOW, name, T, MASK)                                                    \
    HOW static uint64_t name(const char *at, int64_t step, int64_t n, uint64_t before) \
    {                                                                                  \
        T largest = (T)before;                                                         \
        if (step == 1) {                                                               \
            for (int64_t i = 0; i < n; i++) {                                          \
                T bits;                                                                \
                memcpy(&bits, at + i * (int64_t)sizeof bits, sizeof bits);             \
                bits &= MASK;                                                          \
                largest = bits > largest ? bits : largest;                             \
            }                                                                          \
            return (uint64_t)largest;                                                  \
        }                                                                              \
        for (int64_t i = 0; i < n; i++, at += step * (int64_t)sizeof(T)) {             \
            T bits;                                                                    \
            memcpy(&bits, at, sizeof bits);                                            \
            bits &= MASK;                                                              \
            largest = bits > largest ? bits : largest;                                 \
        }                                                                              \
        return (uint64_t)largest;                                                      \
    }
LARGEST(CR__COLD, largest_bf16, int16_t, INT16_MAX)
LARGEST(CR__VECTORIZED, largest_f32, int32_t, INT32_MAX)
LARGEST(CR__COLD, largest_f64, int64_t, INT64_MAX)

/* Of n elements and those before; a bf16 has the bits of the same f32, less the lower half. */
static uint64_t largest_of(cr_dtype dtype, const char *at, int64_t step, int64_t n,
                           uint64_t largest)
{
    if (dtype == CR_F64)
        return largest_f64(at, step, n, largest);
    if (dtype == CR_F32)
        return largest_f32(at, step, n, largest);
    return largest_bf16(at, step, n, largest >> 16) << 16;
}

/* The bits of one |x|, as largest_of() has them. */
static uint64_t magnitude(cr_dtype dtype, const char *at)
{
    uint64_t wide;
    uint32_t narrow;
    uint16_t half;
    if (dtype == CR_F64)
        return memcpy(&wide, at, sizeof wide), wide & INT64_MAX;
    if (dtype == CR_F32)
        return memcpy(&narrow, at, sizeof narrow), narrow & INT32_MAX;
    return memcpy(&half, at, sizeof half), (uint64_t)(half & INT16_MAX) << 16;
}

/* The bits of 2^exponent. */
static uint64_t power_bits(int exponent, cr_dtype dtype)
{
    return dtype == CR_F64 ? (uint64_t)(exponent + 1023) << 52
                           : (uint64_t)(exponent + 127) << 23;
}

/* The exponent of the number with these bits, which is finite and not 0. */
static int exponent_in(uint64_t bits, cr_dtype dtype)
{
    uint32_t low = (uint32_t)bits;
    float narrow;
    double x;
    memcpy(&narrow, &low, sizeof narrow);
    memcpy(&x, &bits, sizeof x);
    return ilogb(dtype == CR_F64 ? x : (double)narrow);
}

/* Where the row begins that has number r among the innermost rows of x; of a matrix that takes no
 * division. */
static const char *row_at(const cr__strided *x, int64_t size, int64_t r)
{
    int64_t offset = 0;
    int d = x->ndim - 2;
    for (; d > 0; d--) {
        offset += r % x->dims[d] * x->strides[d];
        r /= x->dims[d];
    }
    offset += d == 0 ? r * x->strides[0] : 0;
    return (const char *)x->data + offset * size;
}

/* Looks at the first element of some rows: a cheap way to say no. All of those that are there
 * are below the limit, and not all are 0. */
static bool samples_are_tiny(const cr__strided *x, cr_dtype dtype, int64_t rows,
                             uint64_t limit)
{
    int64_t size = (int64_t)cr_dtype_size(dtype),
            step = rows > SAMPLES ? rows / SAMPLES : 1;
    uint64_t largest = 0;
    for (int64_t r = 0; r < rows && largest < limit; r += step) {
        const uint64_t first = magnitude(dtype, row_at(x, size, r));
        largest = first > largest ? first : largest;
    }
    return largest && largest < limit;
}

/* The same elements, each once, in the order in which they lie. */
CR__COLD static cr__strided as_they_lie(const cr__strided *x)
{
    cr__strided by = *x;
    for (int d = 0; d < by.ndim; d++) {
        const int64_t n = x->strides[d] ? x->dims[d] : 1, stride = x->strides[d];
        int at = d;
        for (; at > 0 && by.strides[at - 1] < stride; at--)
            by.dims[at] = by.dims[at - 1], by.strides[at] = by.strides[at - 1];
        by.dims[at] = n, by.strides[at] = stride;
    }
    by.ndim = cr__merge_dims(by.dims, by.strides, by.ndim, by.dims, by.strides);
    if (by.ndim == 0)
        by.ndim = 1, by.dims[0] = 1, by.strides[0] = 1;
    return by;
}

/* Of all elements, or, once it is no longer below the limit, of some. */
CR__COLD static uint64_t largest_below(const cr__strided *all, cr_dtype dtype,
                                       uint64_t limit)
{
    const cr__strided x = as_they_lie(all);
    const int last = x.ndim - 1;
    const int64_t size = (int64_t)cr_dtype_size(dtype), step = x.strides[last];
    int64_t rows = 1;
    uint64_t largest = 0;
    for (int d = 0; d < last; d++)
        rows *= x.dims[d];
    for (int64_t r = 0; r < rows && largest < limit; r++)
        for (int64_t i = 0; i < x.dims[last] && largest < limit; i += STRETCH) {
            const int64_t left = x.dims[last] - i;
            largest = largest_of(dtype, row_at(&x, size, r) + i * step * size, step,
                                 left < STRETCH ? left : STRETCH, largest);
        }
    return largest;
}

int cr__tiny_exponent(const cr__strided *x, cr_dtype dtype)
{
    const int last = x->ndim - 1;
    const uint64_t limit = power_bits(ranges[dtype].tiny, dtype);
    int64_t rows = 1;
    for (int d = 0; d < last; d++)
        rows *= x->dims[d];
    if (!ranges[dtype].tiny || rows == 0 || x->dims[last] == 0 ||
        !samples_are_tiny(x, dtype, rows, limit))
        return 0;
    const uint64_t largest = largest_below(x, dtype, limit);
    return largest < limit ? ranges[dtype].target - exponent_in(largest, dtype) : 0;
}

bool cr__is_not_tiny(const cr__strided *x, cr_dtype dtype)
{
    const uint64_t limit = power_bits(ranges[dtype].tiny, dtype);
    return !ranges[dtype].tiny || largest_below(x, dtype, limit) >= limit;
}
