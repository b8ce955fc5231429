/* The reductions of f32 and f64 in one instruction set, and its table of all. */
#define CR__BODY "reduce_body.h"
#include "for_each_float.h"

#define WIDE(name)                                                    \
    [CR_I64] = &i64_##name##_kernel, [CR_I32] = &i32_##name##_kernel, \
    [CR_U8] = &u8_##name##_kernel, [CR_BOOL] = &bool_##name##_kernel
#define SAME(name)   WIDE(name)
#define FLOATS(name) [CR_DTYPE_DEFAULT] = NULL
static of_types CR__V(reductions)[CR__REDUCE_CODES] = {
#define REDUCTION(name, RESULT, ...)            \
    [CR__REDUCE_##name] = {                     \
        [CR_F32] = &CR__V(f32_##name##_kernel), \
        [CR_F64] = &CR__V(f64_##name##_kernel), \
        RESULT(name),                           \
    },
#include "reductions.inc"
};
#undef WIDE
#undef SAME
#undef FLOATS
