/* What the kernel folder's files and its tests share: the kernels of each instruction
 * set. */
#ifndef CR_KERNEL_ROWS_H
#define CR_KERNEL_ROWS_H

#include "isa.h"
#include "kernel.h"

/* What a row of maps.inc says. */
typedef enum cr__map_types {
    CR__MAPS_FLOATS,
    CR__MAPS_ELEMENTARY,
    CR__MAPS_RARE,
    CR__MAPS_NUMBERS,
    CR__MAPS_ORDERED,
    CR__MAPS_COMPARED,
    CR__MAPS_LOGICAL,
    CR__MAPS_LOOPED,
    CR__MAPS_ALONE
} cr__map_types;

typedef enum cr__map_form {
    CR__FORM_UNARY,
    CR__FORM_PARAMETRIC1,
    CR__FORM_PARAMETRIC2,
    CR__FORM_BINARY,
    CR__FORM_WHERE,
    CR__FORM_SOURCE
} cr__map_form;

typedef struct cr__map_row {
    const char *name;
    cr__map_types types;
    cr__map_form form;
} cr__map_row;
extern const cr__map_row cr__map_rows[CR__MAP_CODES]; /* CR__MAP_NONE: without a name */

/* The names of reductions, by code. */
extern const char *const cr__reduce_names[CR__REDUCE_CODES];

/* cr__map_find() and cr__reduce_find() in a given instruction set. */
cr__map_fn *cr__map_find_for(cr__isa isa, cr__map_code code, cr_dtype in, cr_dtype out);
bool cr__reduce_find_for(cr__isa isa, cr__reduce_code code, cr_dtype in,
                         cr__reduce_kernel *kernel);
cr__map_fn *cr__join_find_for(cr__isa isa, cr__join join);
cr__map_fn *cr__twin_find_for(cr__isa isa, cr__twin twin);
cr__step_fn *cr__step_find_for(cr__isa isa);
/* cr__half_find() in a given instruction set. */
const cr__half *cr__half_find_for(cr__isa isa, cr_dtype dtype);
/* cr__gemm(), and cr__convolve(), in a given instruction set. */
void cr__gemm_for(cr__isa isa, const cr__gemm_job *job, cr__team *team);
void cr__convolve_for(cr__isa isa, const cr__conv *conv, cr__team *team);
/* False, and nothing is done, if it is none that pays to be taken channel by channel. *told: who
 * follows has been told of all of it. */
bool cr__depthwise_for(cr__isa isa, const cr__conv *conv, cr__team *team, bool *told);
/* cr__largest() and cr__give_pairs() in a given instruction set. */
void cr__largest_for(cr__isa isa, const cr__windows *w, float *values, int32_t *numbers);
void cr__give_pairs_for(cr__isa isa, float *out, const float *x, const int32_t *numbers,
                        int32_t first, int64_t n);

#endif
