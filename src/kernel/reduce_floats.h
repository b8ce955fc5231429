/* The reductions of f32 and f64 in one instruction set, and its table of all. */
#define CR__BODY "reduce_body.h"
#include "for_each_float.h"

static const cr__reduce_loops *const CR__V(reduce_loops)[] = { &CR__V(f32_loops),
                                                               &CR__V(f64_loops) };

#undef ALL_ROWS /* the sets behind the first */
#define ALL_ROWS 0
