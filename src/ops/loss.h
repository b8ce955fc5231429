/* What the families of losses share. */
#ifndef CR_OPS_LOSS_H
#define CR_OPS_LOSS_H

#include "attrs.h"

/* Of losses whose only attribute it is, by position. */
typedef struct cr__loss_attrs {
    cr_reduction reduction;
} cr__loss_attrs;
extern const cr_attr cr__loss_rows[];

#define CR__REDUCTION_ROW(T) \
    CR__ATTR(T, reduction, WORD, .initial = "mean", .words = "mean,sum,none")

/* An entry; what follows DOC are its other members. */
#define CR__LOSS(NAME, LEAST, MOST, INPUTS, ROWS, ATTRS, DOC, ...) \
    CR__OP(NAME) = {                                               \
        .name = #NAME,                                             \
        .doc = DOC,                                                \
        .kind = CR_OP_COMPOSITE,                                   \
        .widens = true,                                            \
        .min_inputs = LEAST,                                       \
        .max_inputs = MOST,                                        \
        .inputs = INPUTS,                                          \
        .attrs = ROWS,                                             \
        .attrs_size = sizeof(ATTRS),                               \
        .expand = NAME##_expand,                                   \
        __VA_ARGS__,                                               \
    };

/* The head of its expansion. */
#define CR__EXPAND_LOSS(NAME)                                                     \
    static cr_tensor *NAME##_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n, \
                                    const void *attributes)

/* The loss of all elements becomes what reduction says; the mean divides by total, or by
 * the number of elements. */
cr_tensor *cr__loss_reduced(cr_tensor *loss, cr_reduction reduction, cr_tensor *total);

/* t repeated to the shape of x, which is never repeated itself: with [n, 1] and [n] that
 * would compare each with all. Classes and masks become numbers of x's type. */
cr_tensor *cr__loss_like(cr_ctx *ctx, const cr_op *op, const char *name, cr_tensor *t,
                         cr_tensor *x);

/* Whether x is a float; the error if not. */
bool cr__loss_of_float(cr_ctx *ctx, const cr_op *op, cr_tensor *x);

#endif
