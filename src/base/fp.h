/* The floating point control register. Hosts change it (game and audio threads flush
 * denormals, some trap), and results must not depend on it, nor may a trap end the host:
 * whatever computes, converts or compares floating point numbers does so in the library's
 * own state. Runs enter it on every thread; so does what records, reads and prints. */
#ifndef CR_BASE_FP_H
#define CR_BASE_FP_H

#include "compiler.h"
#include <stdint.h>

/* ---- entering the library's state, and the host's again ---- */

#if defined(__i386__) || defined(__x86_64__)

/* The x87 unit's word: all masked, 64 bits of precision, round to nearest. Its flags are
 * not looked at. */
#define CR__DEFAULT_X87 0x037fu

CR__INLINE unsigned cr__x87_enter(void)
{
    unsigned short word, own = CR__DEFAULT_X87;
    __asm__ volatile("fnstcw %0" : "=m"(word));
    if (CR__UNLIKELY(word != own))
        __asm__ volatile("fnclex\n\tfldcw %0" : : "m"(own));
    return word;
}

CR__INLINE void cr__x87_leave(unsigned saved)
{
    unsigned short word = (unsigned short)saved;
    if (CR__UNLIKELY(saved != CR__DEFAULT_X87))
        __asm__ volatile("fnclex\n\tfldcw %0" : : "m"(word));
}

/* All exceptions masked; round to nearest; no FTZ, no DAZ: as after a reset. The flags of
 * exceptions stand below the masks. */
#define CR__DEFAULT_MXCSR 0x1f80u
#define CR__MXCSR_FLAGS   0x3fu

/* Whether libm, and what returns floats, use the x87 unit. */
#if defined(__i386__) || defined(_WIN32)
#define CR__USES_X87 1
#else
#define CR__USES_X87 0
#endif

CR__INLINE uint64_t cr__fp_enter(void)
{
    unsigned saved = __builtin_ia32_stmxcsr();
    unsigned x87 = CR__USES_X87 ? cr__x87_enter() : CR__DEFAULT_X87;
    if (CR__UNLIKELY((saved & ~CR__MXCSR_FLAGS) != CR__DEFAULT_MXCSR))
        __builtin_ia32_ldmxcsr(CR__DEFAULT_MXCSR);
    return saved | (uint64_t)x87 << 32;
}

CR__INLINE void cr__fp_leave(uint64_t saved)
{
    if (CR__UNLIKELY(__builtin_ia32_stmxcsr() != (unsigned)saved))
        __builtin_ia32_ldmxcsr((unsigned)saved);
    if (CR__USES_X87)
        cr__x87_leave((unsigned)(saved >> 32));
}

#elif defined(__aarch64__)

#define CR__REGISTER(name)                                    \
    CR__INLINE uint64_t cr__##name(void)                      \
    {                                                         \
        uint64_t value;                                       \
        __asm__ volatile("mrs %0, " #name : "=r"(value));     \
        return value;                                         \
    }                                                         \
    CR__INLINE void cr__set_##name(uint64_t value)            \
    {                                                         \
        __asm__ volatile("msr " #name ", %0" : : "r"(value)); \
    }
CR__REGISTER(fpcr)
CR__REGISTER(fpsr)

/* All bits of FPCR are modes, and 0 is the default of each; FPSR has the flags of
 * exceptions. The upper halves are reserved. */
CR__INLINE uint64_t cr__fp_enter(void)
{
    uint64_t modes = cr__fpcr();
    if (CR__UNLIKELY(modes))
        cr__set_fpcr(0);
    return cr__fpsr() << 32 | (modes & UINT32_MAX);
}

CR__INLINE void cr__fp_leave(uint64_t saved)
{
    if (cr__fpsr() != saved >> 32)
        cr__set_fpsr(saved >> 32);
    if (CR__UNLIKELY(saved & UINT32_MAX))
        cr__set_fpcr(saved & UINT32_MAX);
}

#else

CR__INLINE uint64_t cr__fp_enter(void)
{
    return 0;
}

CR__INLINE void cr__fp_leave(uint64_t saved)
{
    (void)saved;
}

#endif

CR__INLINE void cr__fp_end(const uint64_t *saved)
{
    cr__fp_leave(*saved);
}

/* The C library's conversions between numbers and texts ask the x87 unit how to round,
 * also where nothing else uses it. */
CR__INLINE unsigned cr__text_enter(void)
{
#if defined(__i386__) || defined(__x86_64__)
    return cr__x87_enter();
#else
    return 0;
#endif
}

CR__INLINE void cr__text_end(const unsigned *saved)
{
#if defined(__i386__) || defined(__x86_64__)
    cr__x87_leave(*saved);
#else
    (void)saved;
#endif
}

/* To the end of the block: default rounding, no flushing of denormals, no traps; then
 * what was set before, the flags of exceptions too. It costs a look at the register if
 * the host has changed nothing. The compiler does not know that arithmetic depends on the
 * register: where operands or results are in registers, CR__HOLD() them after this line
 * and before the block's end. */
#define CR__FP_GUARD()                                                        \
    __attribute__((cleanup(cr__fp_end), unused)) const uint64_t cr__fp_host = \
        cr__fp_enter()
#define CR__TEXT_GUARD()                                                         \
    CR__FP_GUARD();                                                              \
    __attribute__((cleanup(cr__text_end), unused)) const unsigned cr__x87_host = \
        cr__text_enter()
#define CR__HOLD(x) __asm__ volatile("" : "+m"(x))

#endif
