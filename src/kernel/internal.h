/* What the kernel folder's files and its tests share: the kernels of each instruction
 * set. */
#ifndef CR_KERNEL_INTERNAL_H
#define CR_KERNEL_INTERNAL_H

#include "isa.h"
#include "kernel.h"

/* cr__map_find() and cr__reduce_find() in a given instruction set. */
cr__map_fn *cr__map_find_for(cr__isa isa, cr__map_code code, cr_dtype in, cr_dtype out,
                             unsigned uniform);
const cr__reduce_kernel *cr__reduce_find_for(cr__isa isa, cr__reduce_code code,
                                             cr_dtype in);
/* cr__gemm() in a given instruction set. */
void cr__gemm_for(cr__isa isa, const cr__gemm_job *job, cr__team *team);

#endif
