/* The matrix products of f32 and f64 in one instruction set: instances of gemm_body.h and
 * gemv_body.h. They are given
 *
 *     G_T G_VT G_M       the element, its vector, a mask
 *     G_SIZE G_N G_L     bytes of an element, elements in a vector, v or d
 *     G_ROWS G_ROWS_1    the most rows of a tile two vectors wide, whose sums fill the
 *                        registers, and of one, which hide the latency
 *     G_ROWS_ODD         f32 has tiles two vectors wide of 3, 5 .. so many rows
 *     G_EACH(X, V)       X(2, V) X(4, V) .. X(G_ROWS, V)
 *     G_EACH_1(X, V)     X(2, V) X(4, V) .. X(G_ROWS_1, V)
 *     G_EACH_ODD(X, V)   X(3, V) .. X(G_ROWS_ODD, V)
 *     G_PACKS            whether there are tiles for packed rows of a, and lists of them */

#if CR__REGISTERS == 32 && !defined(CR__SANITIZED)
#define G_ROWS           14
#define G_ROWS_1         8
#define G_ROWS_ODD       7
#define G_EACH(X, V)     ROWS_2_14(X, V)
#define G_EACH_1(X, V)   ROWS_2_8(X, V)
#define G_EACH_ODD(X, V) ROWS_3_7(X, V)
#elif CR__HAS_FMA && !defined(CR__SANITIZED)
#define G_ROWS           6
#define G_ROWS_1         8
#define G_ROWS_ODD       5
#define G_EACH(X, V)     ROWS_2_6(X, V)
#define G_EACH_1(X, V)   ROWS_2_8(X, V)
#define G_EACH_ODD(X, V) ROWS_3_5(X, V)
#else
#define G_ROWS         4
#define G_ROWS_1       4
#define G_ROWS_ODD     0
#define G_EACH(X, V)   ROWS_2_4(X, V)
#define G_EACH_1(X, V) ROWS_2_4(X, V)
#endif
/* f64 does without, for the library's size; so do sets whose vector has no room for a
 * tile's rows. */
#define G_PACKS (CR__HAS_SQUARES && G_SIZE == 4)

#define G(name) CR__V(f32_gemm_##name)
#define G_SIZE  4
#define G_T     float
#define G_VT    vf
#define G_M     vm
#define G_N     CR__W
#define G_L     v
#include "gemm_body.h"
#include "gemv_body.h"
#undef G
#undef G_SIZE
#undef G_T
#undef G_VT
#undef G_M
#undef G_N
#undef G_L

#define G(name) CR__V(f64_gemm_##name)
#define G_SIZE  8
#define G_T     double
#define G_VT    vd
#define G_M     vmd
#define G_N     (CR__W / 2)
#define G_L     d
#include "gemm_body.h"
#include "gemv_body.h"
#undef G
#undef G_SIZE
#undef G_T
#undef G_VT
#undef G_M
#undef G_N
#undef G_L

#undef G_PACKS
#undef G_ROWS
#undef G_ROWS_1
#undef G_ROWS_ODD
#undef G_EACH_ODD
#undef G_EACH
#undef G_EACH_1
