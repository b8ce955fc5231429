/* What compiler.h cannot see: whether the compiler, against its pragmas, contracts,
 * reassociates or divides by reciprocals (clang -ffp-contract=fast and others), or keeps
 * more bits than a type has. Asked when a context opens, of the set in use. */
#include "kernel.h"
#include "isa.h"

#include <string.h>

#define CR__TEMPLATE "sound_body.h"
#include "for_each_set.h"

#define SOUND(SET) sound##SET
static bool (*const self_tests[CR__ISAS])(const float *,
                                          const double *) = { CR__EACH_SET(SOUND) };

/* Four operands: a, whose square loses its last bit; what is left of the square, negative;
 * a number that swallows a; a divisor, twice, which its reciprocal does not give back.
 * Then what is right: the loss is 0, fused it is not; nothing is left of a; 1. Volatile,
 * so that nothing is computed by the compiler. */
bool cr__arithmetic_is_sound(void)
{
    static const volatile float given[] = { 0x1.0008p0f, -0x1.001p0f, 0x1p60f, 41, 41,
                                            0,           0x1p-26f,    0,       1 };
    static const volatile double given_f64[] = {
        0x1.00000004p0, -0x1.00000008p0, 0x1p120, 49, 49, 0, 0x1p-60, 0, 1
    };
    float x[CR__COUNT(given)];
    double y[CR__COUNT(given_f64)];
    CR__FP_GUARD();
    for (int i = 0; i < CR__COUNT(given); i++)
        x[i] = given[i], y[i] = given_f64[i];
    return self_tests[cr__isa_in_use()](x, y);
}
