/* The maps that are computed in f64: the ELEMENTARY rows of maps.inc, and the RARE ones, of f32
 * too. */
#include "doubles.h"
#include "math64_tables.h"
#include "rows.h"
#include <math.h>
#include <string.h>

/* x in quarters of a turn, modulo four: *q of them and what is returned, within 1/2, with *rest of
 * it (Payne and Hanek, 1983). x = m 2^e is multiplied by seven words of 2/pi, from the first on
 * that counts; 126 bits behind the point are taken, of which cancellation leaves 64. Not a
 * template, so that every set gets the same bits. What is no number, or below 2^20, gives NaN. */
static double math_quarter_turns(double x, double *rest, double *q)
{
    uint64_t bits;
    uint32_t words[9] = { 0 };
    memcpy(&bits, &x, sizeof bits);
    const int e = (int)(bits >> 52 & 0x7ff) - 1075, first = e < 2 ? 0 : (e - 2) / 32;
    const uint64_t m = (bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52;
    *rest = *q = 0;
    if (x - x != 0 || e < -32)
        return (double)NAN;
    for (int half = 0; half < 2; half++) {
        uint64_t carry = 0, factor = half ? m >> 32 : m & UINT32_MAX;
        for (int i = 0; i < 7; i++) {
            carry += factor * math_two_over_pi[first + 6 - i] + words[half + i];
            words[half + i] = (uint32_t)carry;
            carry >>= 32;
        }
        words[half + 7] = (uint32_t)carry;
    }
    /* the point is 224 - (e - 32 first) bits up; two more bits are the quarters */
    const int low = 224 - (e - 32 * first) - 126, at = low / 32, shift = low % 32;
    uint64_t part[2];
    for (int i = 0; i < 2; i++) {
        const uint32_t *w = words + at + 2 * i;
        uint64_t both = (uint64_t)w[1] << 32 | w[0];
        part[i] = shift ? both >> shift | (uint64_t)w[2] << (64 - shift) : both;
    }
    const uint64_t quarters = (part[1] + (UINT64_C(1) << 61)) >> 62;
    const int64_t high = (int64_t)(part[1] - (quarters << 62));
    const double a = (double)(high >> 32) * 0x1p-30;
    const double b = (double)(high & UINT32_MAX) * 0x1p-62;
    const double c = (double)(part[0] >> 11) * 0x1p-115, sum = a + b;
    const double left = (b - (sum - a)) + c, turns = sum + left;
    *rest = (left - (turns - sum)) * (bits >> 63 ? -1 : 1);
    *q = (double)(bits >> 63 ? -(int64_t)quarters : (int64_t)quarters);
    return bits >> 63 ? -turns : turns;
}

#define CR__TEMPLATE "doubles_body.h"
#include "for_each_set.h"

typedef struct rows_of_set {
    cr__map_fn *const *of[CR_DTYPES];
} rows_of_set;
#define ROWS_OF_SET(SET)                                         \
    {                                                            \
        {                                                        \
            [CR_F32] = f32_rare##SET, [CR_F64] = f64_rare##SET,  \
            [CR_BF16] = f32_rare##SET, [CR_F16] = f32_rare##SET, \
        }                                                        \
    }
static const rows_of_set rows_of_sets[CR__ISAS] = { CR__EACH_SET(ROWS_OF_SET) };

cr__map_fn *cr__doubles_find_for(cr__isa isa, cr__map_code code, cr_dtype dtype)
{
    cr__map_fn *const *rows = rows_of_sets[isa].of[dtype];
    return rows ? rows[code] : NULL;
}
