/* The vocabulary (vec.h) of NEON on 64-bit ARM, where every machine has it. */
#undef CR__SUFFIX
#undef CR__T
#undef CR__W
#undef CR__REGISTERS
#undef CR__HAS_FMA
#undef CR__HAS_MASKS
#undef CR__HAS_SQUARES
#undef CR__HAS_LINES
#undef CR__HAS_F16
#define CR__SUFFIX      _neon
#define CR__T           /* the build's own */
#define CR__W           4
#define CR__REGISTERS   32
#define CR__HAS_FMA     1
#define CR__HAS_MASKS   0
#define CR__HAS_SQUARES 0
#define CR__HAS_LINES   0
#define CR__HAS_F16     0

#ifndef CR_KERNEL_VEC_NEON_H
#define CR_KERNEL_VEC_NEON_H
#include "vec.h"
#include "vec_types.h"
#include "vec_plain.h"
#include <arm_neon.h>

CR__FN vf v_fma(vf a, vf b, vf c)
{
    return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
CR__FN vd d_fma(vd a, vd b, vd c)
{
    return (vd)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
CR__FN vf v_sqrt(vf a)
{
    return (vf)vsqrtq_f32((float32x4_t)a);
}
CR__FN vd d_sqrt(vd a)
{
    return (vd)vsqrtq_f64((float64x2_t)a);
}
CR__FN vf v_floor(vf a)
{
    return (vf)vrndmq_f32((float32x4_t)a);
}
CR__FN vd d_floor(vd a)
{
    return (vd)vrndmq_f64((float64x2_t)a);
}

#endif
