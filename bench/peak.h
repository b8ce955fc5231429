/* What this core's multiply-add units can do: a loop of nothing else. */
#ifndef BENCH_PEAK_H
#define BENCH_PEAK_H

#include <chainrule.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* AVX2 has 16 registers: two of them hold factors. */
enum { CHAINS = 12 };

static volatile float result; /* keeps the compiler from leaving the work out */

/* CHAINS independent multiply-adds, so that their latency is hidden. */
#define PEAK(name, target_set, vector, lanes, fill, fma)                        \
    __attribute__((noinline, target(target_set))) static double name(long n)    \
    {                                                                           \
        vector sums[CHAINS], x = fill(0.999f), y = fill(0.001f);                \
        for (int i = 0; i < CHAINS; i++)                                        \
            sums[i] = fill((float)i);                                           \
        for (long k = 0; k < n; k++) {                                          \
            _Pragma("GCC unroll 16") for (int i = 0; i < CHAINS; i++) sums[i] = \
                fma(sums[i], x, y);                                             \
        }                                                                       \
        for (int i = 0; i < CHAINS; i++)                                        \
            result = sums[i][0];                                                \
        return 2.0 * CHAINS * (lanes) * (double)n;                              \
    }

#if defined(__x86_64__)
PEAK(peak_avx512, "avx512f", __m512, 16, _mm512_set1_ps, _mm512_fmadd_ps)
PEAK(peak_avx2, "avx2,fma", __m256, 8, _mm256_set1_ps, _mm256_fmadd_ps)
#endif

/* Operations of n steps; none is known for other sets. */
static double peak_steps(long n)
{
#if defined(__x86_64__)
    if (strcmp(cr_isa(), "avx512") == 0)
        return peak_avx512(n);
    if (strcmp(cr_isa(), "avx2") == 0)
        return peak_avx2(n);
#endif
    (void)n;
    return 0;
}

#endif
