/* The floating point control register of the processors that have one. */
#include "compiler.h"

#include "fp.h"

#if defined(__SSE__)
#include <xmmintrin.h>

/* All exceptions masked, none pending; round to nearest; no FTZ, no DAZ: as after a
 * reset. */
#define DEFAULT_MXCSR 0x1f80u

unsigned cr__fp_enter(void)
{
    unsigned saved = _mm_getcsr();
    _mm_setcsr(DEFAULT_MXCSR);
    return saved;
}

void cr__fp_leave(unsigned saved)
{
    _mm_setcsr(saved);
}

#elif defined(__aarch64__)

static void set_fpcr(unsigned long value)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(value));
}

/* All its bits are modes, and 0 is the default of each; the upper half is reserved. */
unsigned cr__fp_enter(void)
{
    unsigned long saved;
    __asm__ volatile("mrs %0, fpcr" : "=r"(saved));
    set_fpcr(0);
    return (unsigned)saved;
}

void cr__fp_leave(unsigned saved)
{
    set_fpcr(saved);
}

#else

unsigned cr__fp_enter(void)
{
    return 0;
}

void cr__fp_leave(unsigned saved)
{
    (void)saved;
}

#endif
