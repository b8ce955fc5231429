/* bf16 and f16: widening, rounding and narrowing, for each instruction set. */
#include "rows.h"

#include <math.h>
#include <string.h>

#define CR__TEMPLATE "half_body.h"
#include "for_each_set.h"

#define HALVES(SET)                                            \
    {                                                          \
        { bf16_widen##SET, bf16_round##SET, bf16_pack##SET },  \
            { f16_widen##SET, f16_round##SET, f16_pack##SET }, \
    }
static const cr__half halves[CR__ISAS][2] = { CR__EACH_SET(HALVES) };

const cr__half *cr__half_find_for(cr__isa isa, cr_dtype dtype)
{
    return cr__is_half(dtype) ? &halves[isa][dtype == CR_F16] : NULL;
}

const cr__half *cr__half_find(cr_dtype dtype)
{
    return cr__half_find_for(cr__isa_in_use(), dtype);
}

/* No number on the way is subnormal, whatever the floating point state. */
double cr__half_value(cr_dtype dtype, uint16_t bits)
{
    const bool brief = dtype == CR_BF16;
    const int fraction = brief ? 7 : 10, bias = brief ? 127 : 15;
    const int exponent = (bits & 0x7fff) >> fraction;
    const int digits = bits & ((1 << fraction) - 1);
    double x;
    if (exponent == 2 * bias + 1)
        x = digits ? (double)NAN : (double)INFINITY;
    else if (exponent)
        x = ldexp((1 << fraction) + digits, exponent - bias - fraction);
    else
        x = ldexp(digits, 1 - bias - fraction);
    return bits >> 15 ? -x : x;
}
