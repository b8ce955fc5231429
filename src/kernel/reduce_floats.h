/* The reductions of f32 and f64 in one instruction set: instances of reduce_body.h. NaN
 * wins in amax and amin: the vocabulary's max(b, a) is a if one is NaN, which is wrong
 * only for NaN b. */

#define R_T         float
#define R_VT        vf
#define R_N         CR__W
#define R_L         v
#define R(name)     CR__V(f32_sum_##name)
#define R_IDENTITY  0
#define R_OP(a, b)  ((a) + (b))
#define R_ONE(a, b) ((a) + (b))
#include "reduce_body.h"
#undef R
#undef R_IDENTITY
#undef R_OP
#undef R_ONE
#define R(name)     CR__V(f32_amax_##name)
#define R_IDENTITY  (-INFINITY)
#define R_OP(a, b)  v_sel(v_ne(b, b), b, v_max(b, a))
#define R_ONE(a, b) ((b) > (a) || isnan(b) ? (b) : (a))
#include "reduce_body.h"
#undef R
#undef R_IDENTITY
#undef R_OP
#undef R_ONE
#define R(name)     CR__V(f32_amin_##name)
#define R_IDENTITY  INFINITY
#define R_OP(a, b)  v_sel(v_ne(b, b), b, v_min(b, a))
#define R_ONE(a, b) ((b) < (a) || isnan(b) ? (b) : (a))
#include "reduce_body.h"
#undef R
#undef R_IDENTITY
#undef R_OP
#undef R_ONE
#undef R_T
#undef R_VT
#undef R_N
#undef R_L

#define R_T         double
#define R_VT        vd
#define R_N         (CR__W / 2)
#define R_L         d
#define R(name)     CR__V(f64_sum_##name)
#define R_IDENTITY  0
#define R_OP(a, b)  ((a) + (b))
#define R_ONE(a, b) ((a) + (b))
#include "reduce_body.h"
#undef R
#undef R_IDENTITY
#undef R_OP
#undef R_ONE
#define R(name)     CR__V(f64_amax_##name)
#define R_IDENTITY  (-(double)INFINITY)
#define R_OP(a, b)  d_sel(d_ne(b, b), b, d_max(b, a))
#define R_ONE(a, b) ((b) > (a) || isnan(b) ? (b) : (a))
#include "reduce_body.h"
#undef R
#undef R_IDENTITY
#undef R_OP
#undef R_ONE
#define R(name)     CR__V(f64_amin_##name)
#define R_IDENTITY  (double)INFINITY
#define R_OP(a, b)  d_sel(d_ne(b, b), b, d_min(b, a))
#define R_ONE(a, b) ((b) < (a) || isnan(b) ? (b) : (a))
#include "reduce_body.h"
#undef R
#undef R_IDENTITY
#undef R_OP
#undef R_ONE
#undef R_T
#undef R_VT
#undef R_N
#undef R_L
