/* Instruction sets: which exist, which is in use, and how a function is compiled for one.
 * Kernels are templates (files named *_body.h), included once for each set with CR__ISA
 * defined. */
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

#endif
