/* Instruction sets: which exist, which is in use, and how a function is compiled for one.
 * Kernels are templates, included once for each set by for_each_set.h. */
#ifndef CR_KERNEL_ISA_H
#define CR_KERNEL_ISA_H

#include "../base/compiler.h"
#include <stdatomic.h>
#include <stdbool.h>

/* A machine has one and all before it that its kind knows. */
typedef enum cr__isa {
    CR__GENERIC = 0,
    CR__AVX2,
    CR__AVX512,
    CR__NEON,
    CR__ISAS
} cr__isa;

/* The set in use: the best this processor has, or what CHAINRULE_ISA names if the
 * processor has it. Chosen at the first call and constant from then on. What is chosen is
 * it plus 1, and 0 before; threads that race choose the same. */
extern atomic_int cr__isa_chosen;
int cr__isa_choose(void);
CR__INLINE cr__isa cr__isa_in_use(void)
{
    int chosen = atomic_load_explicit(&cr__isa_chosen, memory_order_relaxed);
    return (cr__isa)((CR__LIKELY(chosen) ? chosen : cr__isa_choose()) - 1);
}
const char *cr__isa_name(cr__isa isa);
/* Whether this build and this processor have it. */
bool cr__isa_usable(cr__isa isa);

/* The sets besides the generic one that this build has. GCC for Windows puts vectors of more than 16
 * bytes on a stack that is not aligned for them (its bug 54412), so that they are there only where
 * the assembler makes unaligned moves of all (CMakeLists.txt). */
#if defined(__x86_64__) && \
    (!defined(_WIN32) || defined(__clang__) || defined(CR_UNALIGNED_MOVES))
#define CR__HAVE_AVX    1
#define CR__TARGET_AVX2 __attribute__((target("avx2,fma")))
#define CR__TARGET_AVX512 \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))
#elif defined(__aarch64__)
#define CR__HAVE_NEON 1
#endif

/* [set] = ROW(suffix) for each set that is compiled: a table, by cr__isa, of what the
 * templates made. */
#if defined(CR__HAVE_AVX)
#define CR__EACH_SET(ROW) \
    [CR__GENERIC] = ROW(_generic), [CR__AVX2] = ROW(_avx2), [CR__AVX512] = ROW(_avx512)
#elif defined(CR__HAVE_NEON)
#define CR__EACH_SET(ROW) [CR__GENERIC] = ROW(_generic), [CR__NEON] = ROW(_neon)
#else
#define CR__EACH_SET(ROW) [CR__GENERIC] = ROW(_generic)
#endif

#endif
