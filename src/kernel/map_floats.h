/* The maps of f32 and f64 in one instruction set, and the rows of attention. */
#include "math_body.h"

#define CR__BODY "map_body.h"
#include "for_each_float.h"
#include "join_body.h"

#define CR__BODY "attend_body.h"
#include "for_each_float.h"
