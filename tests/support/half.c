/* bf16 and f16 by the definition of their formats: a search for the nearest, no bit tricks. */
#include "half.h"

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

double half_value(cr_dtype t, uint16_t bits)
{
    const int f = fraction_of(t), e = (bits & 0x7fff) >> f,
              digits = bits & ((1 << f) - 1);
    double size = half_is_nan(t, bits) ? (double)NAN : (double)INFINITY;
    if ((bits & 0x7fff) < half_infinity(t))
        size = ldexp(e ? digits + (1 << f) : digits,
                     (e ? e : 1) - half_largest_exponent(t) - f);
    return bits >> 15 ? -size : size;
}

/* Between the largest that is not above |x| and its neighbour; behind the largest finite number
 * the next power of two stands for infinity. */
uint16_t half_nearest(cr_dtype t, double x)
{
    const double size = fabs(x);
    const uint16_t sign = signbit(x) ? 0x8000 : 0;
    uint16_t low = 0, high = half_infinity(t);
    if (isnan(x))
        return (uint16_t)(high + 1);
    while (high - low > 1) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        if (half_value(t, middle) <= size)
            low = middle;
        else
            high = middle;
    }
    double above = high == half_infinity(t) ? ldexp(1, half_largest_exponent(t) + 1)
                                            : half_value(t, high);
    double down = size - half_value(t, low), up = above - size;
    bool takes_high = size >= above || up < down || (up == down && (high & 1) == 0);
    return (uint16_t)(sign | (takes_high ? high : low));
}

double half_rounded(cr_dtype t, double x)
{
    return half_value(t, half_nearest(t, x));
}
