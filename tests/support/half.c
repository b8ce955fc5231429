/* bf16 and f16 by the definition of their formats: the neighbours of a number, and which of
 * them is nearer. */
#include "half.h"

#include <string.h>

static int fraction_of(cr_dtype t)
{
    return t == CR_BF16 ? 7 : 10;
}

bool is_half(cr_dtype t)
{
    return t == CR_BF16 || t == CR_F16;
}

int half_largest_exponent(cr_dtype t)
{
    return t == CR_BF16 ? 127 : 15;
}

uint16_t half_infinity(cr_dtype t)
{
    return (uint16_t)((2 * half_largest_exponent(t) + 1) << fraction_of(t));
}

bool half_is_nan(cr_dtype t, uint16_t bits)
{
    return (bits & 0x7fff) > half_infinity(t);
}

/* Exponents of f64 have another bias; subnormal numbers are multiples of the smallest. */
double half_value(cr_dtype t, uint16_t bits)
{
    const int f = fraction_of(t), e = (bits & 0x7fff) >> f,
              digits = bits & ((1 << f) - 1);
    const uint64_t wide = (uint64_t)(e + 1023 - half_largest_exponent(t)) << 52 |
                          (uint64_t)digits << (52 - f);
    double size = digits * (t == CR_BF16 ? 0x1p-133 : 0x1p-24);
    if ((bits & 0x7fff) >= half_infinity(t))
        size = half_is_nan(t, bits) ? (double)NAN : (double)INFINITY;
    else if (e)
        memcpy(&size, &wide, sizeof size);
    return bits >> 15 ? -size : size;
}

/* The largest number that is not above size: the smallest ones are multiples of the first;
 * behind them the digits say which it is; the last power of two is searched. */
static uint16_t below(cr_dtype t, double size)
{
    const int f = fraction_of(t), bias = half_largest_exponent(t);
    const double first = t == CR_BF16 ? 0x1p-133 : 0x1p-24;
    uint16_t low = (uint16_t)(2 * bias << f), high = half_infinity(t);
    uint64_t bits;
    if (size < first * (1 << f))
        return (uint16_t)(size / first);
    if (size < half_value(t, low)) {
        memcpy(&bits, &size, sizeof bits);
        return (uint16_t)((bits >> (52 - f)) - ((uint64_t)(1023 - bias) << f));
    }
    while (high - low > 1) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if (half_value(t, middle) <= size)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* That, or its neighbour; behind the largest finite number the next power of two stands for
 * infinity. */
uint16_t half_nearest(cr_dtype t, double x)
{
    const double size = fabs(x);
    const uint16_t sign = signbit(x) ? 0x8000 : 0;
    if (isnan(x))
        return (uint16_t)(half_infinity(t) + 1);
    const uint16_t low = below(t, size), high = (uint16_t)(low + 1);
    double above = half_value(t, high);
    if (high == half_infinity(t))
        above =
            2 * half_value(t, (uint16_t)(2 * half_largest_exponent(t) << fraction_of(t)));
    double down = size - half_value(t, low), up = above - size;
    bool takes_high = size >= above || up < down || (up == down && (high & 1) == 0);
    return (uint16_t)(sign | (takes_high ? high : low));
}

double half_rounded(cr_dtype t, double x)
{
    return half_value(t, half_nearest(t, x));
}
