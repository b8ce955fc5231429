/* What the multiply-add units of a core can do at most. */
#include "kernel.h"
#include "isa.h"

#define CR__CHAINS   12
#define CR__TEMPLATE "peak_body.h"
#include "for_each_set.h"

#define PEAK(SET)             \
    {                         \
        peak##SET, lanes##SET \
    }
static const struct {
    float (*loop)(int64_t steps, const float *x);
    int lanes;
} peaks[CR__ISAS] = { CR__EACH_SET(PEAK) };

double cr__peak_steps(int64_t steps)
{
    static const volatile float given[] = { 0.999f, 0.001f, 1, 2 };
    const float x[] = { given[0], given[1], given[2], given[3] };
    volatile float result = peaks[cr__isa_in_use()].loop(steps, x);
    (void)result;
    return 2.0 * CR__CHAINS * peaks[cr__isa_in_use()].lanes * (double)steps;
}
