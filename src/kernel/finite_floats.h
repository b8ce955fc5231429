/* What looks for infinities and NaNs among f32 and f64, in one instruction set. */
#define CR__BODY "finite_body.h"
#include "for_each_float.h"
