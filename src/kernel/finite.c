/* Whether all elements of an array are finite. */
#include "kernel.h"
#include "isa.h"

#define CR__TEMPLATE "finite_floats.h"
#include "for_each_set.h"

#define FINITE(SET)                      \
    {                                    \
        f32_finite##SET, f64_finite##SET \
    }
static bool (*const finite_loops[CR__ISAS][2])(const void *,
                                               int64_t) = { CR__EACH_SET(FINITE) };

/* The exponent of bf16 and f16 is all ones. */
static bool finite_halves(const uint16_t *x, int64_t n, uint16_t exponent)
{
    bool finite = true;
    for (int64_t i = 0; i < n; i++)
        finite &= (x[i] & exponent) != exponent;
    return finite;
}

bool cr__all_finite(cr_dtype dtype, const void *x, int64_t n)
{
    switch (dtype) {
    case CR_F32:
    case CR_F64:
        return finite_loops[cr__isa_in_use()][dtype == CR_F64](x, n);
    case CR_BF16:
        return finite_halves(x, n, 0x7f80);
    case CR_F16:
        return finite_halves(x, n, 0x7c00);
    default:
        return true;
    }
}
