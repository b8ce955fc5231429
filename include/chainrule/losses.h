/* Losses. */
#ifndef CHAINRULE_LOSSES_H
#define CHAINRULE_LOSSES_H

#include "macros.h"

CR_BEGIN

/* What a loss does with its elements. */
typedef enum cr_reduction {
    CR_REDUCTION_MEAN = 0,
    CR_REDUCTION_SUM,
    CR_REDUCTION_NONE
} cr_reduction;

/* Classification losses. Classes are dimension 1 of x [N, C, ..] (or 0 of [C]); target holds
 * class indices [N, ..] (or is a scalar), and another number is an error of the run. .weight [C]
 * weights the classes; targets equal to .ignore_index count for nothing; the mean divides by the
 * sum of the targets' weights. */
typedef struct cr_class_loss_opts {
    const char *site CR_ZERO;
    cr_tensor *weight CR_ZERO;
    cr_opt_int ignore_index CR_ZERO; /* default -100 */
    cr_reduction reduction CR_ZERO;
    double label_smoothing CR_ZERO; /* 0 to 1; cross_entropy only */
} cr_class_loss_opts;
#define CR_CLASS_LOSS_(name, x, ...) \
    name(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_class_loss_opts, __VA_ARGS__))

/* -log_softmax(x)[target]    d g (softmax(x) - one_hot(target)) / n
 * target may also hold probabilities, shaped like x; .label_smoothing e mixes the target with e/C
 * everywhere.
 * usage: cr_cross_entropy(x, target), cr_cross_entropy(x, target, .ignore_index = CR_INT(0)) */
CR_API cr_tensor *cr_cross_entropy_at(cr_tensor *x, cr_tensor *target, cr_class_loss_opts opts);
#define cr_cross_entropy(x, ...) CR_CLASS_LOSS_(cr_cross_entropy_at, x, __VA_ARGS__)

/* -x[target], x being log-probabilities    d -g one_hot(target) / n
 * usage: cr_nll_loss(x, target), cr_nll_loss(x, target, .reduction = CR_REDUCTION_SUM) */
CR_API cr_tensor *cr_nll_loss_at(cr_tensor *x, cr_tensor *target, cr_class_loss_opts opts);
#define cr_nll_loss(x, ...) CR_CLASS_LOSS_(cr_nll_loss_at, x, __VA_ARGS__)

/* (x - target)^2    d 2 g (x - target) / n
 * target is shaped like x or broadcasts to it.
 * usage: cr_mse_loss(x, target), cr_mse_loss(x, target, .reduction = CR_REDUCTION_SUM) */
typedef struct cr_loss_opts {
    const char *site CR_ZERO;
    cr_reduction reduction CR_ZERO;
} cr_loss_opts;
CR_API cr_tensor *cr_mse_loss_at(cr_tensor *x, cr_tensor *target, cr_loss_opts opts);
#define cr_mse_loss(x, ...)                            \
    cr_mse_loss_at(x, CR_FIRST(__VA_ARGS__, 0),        \
                   CR_OPTS(cr_loss_opts, __VA_ARGS__))

/* -w (p t ln s + (1 - t) ln(1 - s)), s = sigmoid(x)    d g w ((1 - t) s - p t (1 - s)) / n
 * Without overflow; target t in [0, 1]; .weight w and .pos_weight p broadcast.
 * usage: cr_binary_cross_entropy_with_logits(x, target),
 *        cr_binary_cross_entropy_with_logits(x, target, .pos_weight = p) */
typedef struct cr_bce_opts {
    const char *site CR_ZERO;
    cr_tensor *weight CR_ZERO;
    cr_tensor *pos_weight CR_ZERO;
    cr_reduction reduction CR_ZERO;
} cr_bce_opts;
CR_API cr_tensor *cr_binary_cross_entropy_with_logits_at(cr_tensor *x, cr_tensor *target,
                                                         cr_bce_opts opts);
#define cr_binary_cross_entropy_with_logits(x, ...)                            \
    cr_binary_cross_entropy_with_logits_at(x, CR_FIRST(__VA_ARGS__, 0),        \
        CR_OPTS(cr_bce_opts, __VA_ARGS__))

CR_END
#endif
