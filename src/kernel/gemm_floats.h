/* The matrix products of f32 and f64 in one instruction set: instances of gemm_body.h and
 * gemv_body.h, and what those need beyond the vocabulary of vec.h:
 *
 *     G_T G_VT G_M           the element, its vector, a mask
 *     G_SIZE G_N G_L         bytes of an element, elements in a vector, v or d
 *     G_FMA(a, b, c)         a*b + c, rounded once (in the generic set: twice)
 *     G_LOAD_PART(p, mask)   reads only the mask's lanes; the others are 0
 *     G_STORE_PART(p, mask, v)   writes only those
 *     G_ROWS G_ROWS_1        the most rows of a tile two vectors wide, and of one: their
 * sums fill the registers G_EACH_ROWS(X, V)      X(1, V) X(2, V) .. X(G_ROWS, V);
 * likewise G_EACH_ROWS_1 G_PACKS                whether there are tiles with packed rows
 * of a */

#if CR__ISA == 2 && !defined(CR__SANITIZED)
#define G_ROWS         14
#define G_ROWS_1       14
#define G_FEW(X, V)    ROWS_1_2(X, V) ROWS_3_6(X, V)
#define G_MANY(X, V)   ROWS_7_12(X, V) ROWS_13_14(X, V)
#define G_EACH_1(X, V) G_FEW(X, V) G_MANY(X, V)
#elif CR__ISA == 1 && !defined(CR__SANITIZED)
#define G_ROWS         6
#define G_ROWS_1       12
#define G_FEW(X, V)    ROWS_1_2(X, V)
#define G_MANY(X, V)   ROWS_3_6(X, V)
#define G_EACH_1(X, V) G_FEW(X, V) G_MANY(X, V) ROWS_7_12(X, V)
#else
#define G_ROWS         6
#define G_ROWS_1       6
#define G_FEW(X, V)    ROWS_1_2(X, V)
#define G_MANY(X, V)   ROWS_3_6(X, V)
#define G_EACH_1(X, V) G_FEW(X, V) G_MANY(X, V)
#endif
/* f64 and the generic set do without, for the library's size. */
#define G_PACKS (CR__ISA > 0 && G_SIZE == 4)

#define G(name)        CR__V(f32_gemm_##name)
#define G_SIZE         4
#define G_T            float
#define G_VT           vf
#define G_M            vm
#define G_N            CR__W
#define G_L            v
#define G_FMA(a, b, c) v_fma(a, b, c)
#if CR__ISA == 2
#define G_LOAD_PART(p, mask)     _mm512_maskz_loadu_ps(mask, p)
#define G_STORE_PART(p, mask, v) _mm512_mask_storeu_ps(p, mask, v)
#elif CR__ISA == 1
#define G_LOAD_PART(p, mask)     _mm256_maskload_ps(p, (__m256i)(mask))
#define G_STORE_PART(p, mask, v) _mm256_maskstore_ps(p, (__m256i)(mask), v)
#endif
#include "gemm_body.h"
#include "gemv_body.h"
#undef G
#undef G_SIZE
#undef G_T
#undef G_VT
#undef G_M
#undef G_N
#undef G_L
#undef G_FMA
#undef G_LOAD_PART
#undef G_STORE_PART

#define G(name) CR__V(f64_gemm_##name)
#define G_SIZE  8
#define G_T     double
#define G_VT    vd
#define G_M     vmd
#define G_N     (CR__W / 2)
#define G_L     d
#if CR__ISA == 2
#define G_FMA(a, b, c)           _mm512_fmadd_pd(a, b, c)
#define G_LOAD_PART(p, mask)     _mm512_maskz_loadu_pd(mask, p)
#define G_STORE_PART(p, mask, v) _mm512_mask_storeu_pd(p, mask, v)
#elif CR__ISA == 1
#define G_FMA(a, b, c)           _mm256_fmadd_pd(a, b, c)
#define G_LOAD_PART(p, mask)     _mm256_maskload_pd(p, (__m256i)(mask))
#define G_STORE_PART(p, mask, v) _mm256_maskstore_pd(p, (__m256i)(mask), v)
#else
#define G_FMA(a, b, c) ((a) * (b) + (c))
#endif
#include "gemm_body.h"
#include "gemv_body.h"
#undef G
#undef G_SIZE
#undef G_T
#undef G_VT
#undef G_M
#undef G_N
#undef G_L
#undef G_FMA
#undef G_LOAD_PART
#undef G_STORE_PART

#undef G_PACKS
#undef G_ROWS
#undef G_ROWS_1
#undef G_FEW
#undef G_MANY
#undef G_EACH_1
