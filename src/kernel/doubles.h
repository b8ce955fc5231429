/* The maps that are computed in f64, whatever their type: doubles.c. */
#ifndef CR_KERNEL_DOUBLES_H
#define CR_KERNEL_DOUBLES_H

#include "isa.h"
#include "kernel.h"

/* The kernel of a RARE row, or of an ELEMENTARY one in f64; NULL if it has none of the type. bf16
 * and f16 have those of f32. */
cr__map_fn *cr__doubles_find_for(cr__isa isa, cr__map_code code, cr_dtype dtype);

#endif
