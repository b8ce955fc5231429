/* Instruction sets: which exist, which is in use, and how a function is compiled for one.
 * Kernels are templates, included once for each set by for_each_set.h. */
#ifndef CR_KERNEL_ISA_H
#define CR_KERNEL_ISA_H

#include "../base/compiler.h"

typedef enum cr__isa { CR__GENERIC = 0, CR__AVX2, CR__AVX512, CR__ISAS } cr__isa;

/* The set in use: the best this processor has, or what CHAINRULE_ISA names if the
 * processor has it. Chosen at the first call and constant from then on. */
cr__isa cr__isa_in_use(void);
const char *cr__isa_name(cr__isa isa);

#if defined(__x86_64__)
#define CR__HAVE_X86 1
#include <immintrin.h>
#define CR__TARGET_AVX2 __attribute__((target("avx2,fma")))
#define CR__TARGET_AVX512 \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl")))
#endif
#define CR__TARGET_GENERIC

/* ROW(suffix) for each set that is compiled, in the order of cr__isa: a row for each in a
 * table of what the templates made. */
#ifdef CR__HAVE_X86
#define CR__EACH_SET(ROW) ROW(_generic), ROW(_avx2), ROW(_avx512)
#else
#define CR__EACH_SET(ROW) ROW(_generic)
#endif

#endif
