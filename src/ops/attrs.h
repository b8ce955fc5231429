/* Attributes: rows of their tables, defaults, text. */
#ifndef CR_OPS_ATTRS_H
#define CR_OPS_ATTRS_H

#include "ops.h"

/* Of the many operations whose only attribute is a dim, by position. */
typedef struct cr__dim_attrs {
    int64_t dim;
} cr__dim_attrs;
extern const cr_attr cr__dim_rows[];

/* Gives the members of an attribute struct that are zero their defaults, where zero
 * stands for the default: lists not given, dtypes, and what is above zero. False with the
 * error if a default is malformed, which those of the library are not. */
bool cr__attrs_fill(cr_ctx *ctx, const cr_op *op, void *attrs);

/* Whether they are what the table allows: lengths of lists, words, what is above zero.
 * False with the error. */
bool cr__attrs_check(cr_ctx *ctx, const cr_op *op, const void *attrs);

/* The attribute struct that text (as in cr_call; NULL: no text) describes, to be freed
 * with cr__free(): NULL if the operation has none. False with the error. */
bool cr__attrs_parse(cr_ctx *ctx, const cr_op *op, const char *text, void **attrs);

/* The i-th input of a composite, which may have been given fewer. */
CR__INLINE cr_tensor *cr__optional(cr_tensor *const *inputs, int n, int i)
{
    return i < n ? inputs[i] : NULL;
}

#endif
