/* What normalisations share. */
#ifndef CR_OPS_NORM_H
#define CR_OPS_NORM_H

#include "ops.h"

/* A float tensor x, and an eps above 0; false with the error. */
bool cr__norm_arguments(cr_ctx *ctx, const cr_op *op, cr_tensor *x, double eps);

/* Whether p, if given, has this shape. */
bool cr__norm_shape(cr_ctx *ctx, const cr_op *op, const char *name, cr_tensor *p,
                    cr_dims want);

/* Two floats of different types, one of which is bf16 or f16, do not meet by being widened. */
bool cr__norm_type(cr_ctx *ctx, const cr_op *op, cr_tensor *x, cr_tensor *p);

/* The last dimensions, by number; none with the error if x does not end in shape. */
cr_dims cr__norm_last_dims(cr_ctx *ctx, const cr_op *op, cr_tensor *x, cr_dims shape);

/* [C] as something that broadcasts to [N, C, ..]. */
cr_tensor *cr__norm_channels(cr_tensor *p, int rank);

/* x, or a cast of it, if it is bf16 or f16: those are computed in f32. And back. */
cr_tensor *cr__norm_f32(cr_tensor *x);
cr_tensor *cr__norm_cast(cr_tensor *x, cr_dtype dtype);

/* running = (1 - momentum) running + momentum batch. */
void cr__norm_track(cr_ctx *ctx, cr_tensor *running, cr_tensor *batch, double momentum);

#endif
