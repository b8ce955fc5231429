/* What computes a group. */
#ifndef CR_EXEC_LAUNCH_H
#define CR_EXEC_LAUNCH_H

#include "program.h"

/* Programs in one job, at most. */
#define CR__MAX_JOB 16

/* What it takes one thread, in nanoseconds; roughly. */
CR__INLINE double cr__program_cost(const cr__program *p)
{
    return p->cost * (double)p->numel;
}

/* A map of single elements: n operands and parameters, those of bf16 and f16 as they are
 * stored; of no operands, the element of index 0. direct.c. */
void cr__call_single(cr_tensor *x, cr__map_fn *map, const void **src,
                     const cr_dtype *dtypes, int n);

/* A reduction, with the maps that it ends. */
void cr__run_reduction(cr__plan *plan, const cr__group *group);

/* Of n equal parts of a group's elements, neighbours each, the i-th; { 0, 1 }: all. */
typedef struct cr__share {
    int64_t i, n;
} cr__share;

/* A row program. */
void cr__run_rows(cr__plan *plan, const cr__group *group, cr__share share);

/* A contraction, with the maps that read it; a view that is copied. */
void cr__run_product(cr__plan *plan, const cr__group *group, cr__share share);
/* The second operand of the product, packed now or before; NULL if it is not to be. */
const void *cr__packed(cr__plan *plan, const cr__unit *unit, const cr__gemm_job *job);
void cr__run_copy(const cr__plan *plan, const cr__unit *unit);

/* The stretch of groups that begins at place i of the order, or what of it can be run by parts: how
 * many these are. by_parts.c. */
uint32_t cr__run_by_parts(cr__plan *plan, uint32_t i);
/* That part of an operand. */
void cr__take_share(cr__strided *x, cr_dtype dtype, cr__share share);
CR__INLINE bool cr__is_made_by_parts(const cr__plan *plan, const cr__use *use)
{
    const cr__unit *unit = &plan->units[use->unit];
    return use->kind == CR__USE_UNIT && unit->kind != CR__UNIT_OLD &&
           plan->groups[unit->group].by_parts;
}

#endif
