/* Kernels of their own: what they want of their inputs, whether they can fail, calls. */
#ifndef CR_EXEC_CALL_OPAQUE_H
#define CR_EXEC_CALL_OPAQUE_H

#include "exec.h"

/* How the kernel of an opaque node reads input k. */
typedef enum cr__reading {
    CR__CONTIGUOUS, /* a view is copied before */
    CR__STRIDED,    /* unless its last dim has stride 1 */
    CR__FETCHED     /* as it lies */
} cr__reading;
cr__reading cr__reading_of(const cr_tensor *x, int k);

/* Whether the kernel of x can read input k where it lies; else it is copied. */
bool cr__reads_layout(const cr_tensor *x, int k, const cr__layout *layout);

/* Whether x has a check that reads input k. */
bool cr__checks(const cr_tensor *x, int k);

/* Whether x can fail once the run computes: its kernel has no check, or that reads what the
 * run computes. */
bool cr__can_fail(const cr__plan *plan, cr_tensor *x);

/* Whether what x reads as input k may be made while it is fetched. */
bool cr__draws(const cr_tensor *x, int k);

/* Memory for calling x, in the list CR__ARRAYS. */
size_t cr__call_bytes(const cr_tensor *x);

/* Calls the unit's check, if it has one, on what that reads, which is known. False with the
 * error. */
bool cr__check_opaque(const cr__plan *plan, const cr__unit *unit);

/* Calls the unit's kernel, and its check before if that could not be called earlier. */
bool cr__run_opaque(cr__plan *plan, const cr__unit *unit);

#endif
