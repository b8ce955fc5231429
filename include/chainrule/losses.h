/* Losses. */
#ifndef CHAINRULE_LOSSES_H
#define CHAINRULE_LOSSES_H

#include "macros.h"

CR_BEGIN

/* What a loss does with its elements. */
typedef enum cr_reduction {
    CR_REDUCTION_MEAN = 0,
    CR_REDUCTION_SUM,
    CR_REDUCTION_NONE,
    CR_REDUCTION_BATCHMEAN /* the sum divided by the size of dimension 0; kl_div only */
} cr_reduction;

/* In what follows n is the number of elements, t the target, and what an operation sends down is
 * that of the mean. A target is shaped like x or broadcasts to it (in the binary cross entropies it
 * is shaped like x); x is never repeated: that is an error, since it compares each with all.
 * Integers and bools among targets become x's type. At kinks the gradient is 0. */

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

/* 1/C times the sum over classes i but t of max(0, margin - x[t] + x[i])^p w[t]
 * d for each term above 0: g to x[i], -g to x[t]; p = 2: times twice its root
 * .p is 1 or 2. x is [N, C] or [C]; target [N], or one class, whose shape the loss has.
 * usage: cr_multi_margin_loss(x, target), cr_multi_margin_loss(x, target, .p = 2) */
typedef struct cr_multi_margin_opts {
    const char *site CR_ZERO;
    cr_tensor *weight CR_ZERO;
    int64_t p CR_ZERO;          /* default 1 */
    cr_opt_real margin CR_ZERO; /* default 1 */
    cr_reduction reduction CR_ZERO;
} cr_multi_margin_opts;
CR_API cr_tensor *cr_multi_margin_loss_at(cr_tensor *x, cr_tensor *target,
                                          cr_multi_margin_opts opts);
#define cr_multi_margin_loss(x, ...)                            \
    cr_multi_margin_loss_at(x, CR_FIRST(__VA_ARGS__, 0),        \
                            CR_OPTS(cr_multi_margin_opts, __VA_ARGS__))

/* Losses whose only option is the reduction:
 *
 *     l1_loss              |x - t|              d g sign(x - t) / n, 0 at 0
 *     mse_loss             (x - t)^2            d 2 g (x - t) / n
 *     soft_margin_loss     ln(1 + e^(-t x))     d -g t s(-t x) / n, s the sigmoid; t is 1 or -1
 *
 * multilabel_margin_loss: target, shaped like x, [N, C] or [C], holds in each row classes up to the
 * first -1, labels j; the sum over them and the classes i that are none of them of
 * max(0, 1 - x[j] + x[i]) / C, for each row.    d for each term above 0: g/C to x[i], -g/C to x[j]
 * usage: cr_mse_loss(x, target), cr_mse_loss(x, target, .reduction = CR_REDUCTION_SUM),
 *        cr_l1_loss(x, target), cr_soft_margin_loss(x, target),
 *        cr_multilabel_margin_loss(x, target) */
typedef struct cr_loss_opts {
    const char *site CR_ZERO;
    cr_reduction reduction CR_ZERO;
} cr_loss_opts;
#define CR_LOSS_(name, x, ...) \
    name(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_loss_opts, __VA_ARGS__))
CR_API cr_tensor *cr_l1_loss_at(cr_tensor *x, cr_tensor *target, cr_loss_opts opts);
CR_API cr_tensor *cr_mse_loss_at(cr_tensor *x, cr_tensor *target, cr_loss_opts opts);
CR_API cr_tensor *cr_soft_margin_loss_at(cr_tensor *x, cr_tensor *target, cr_loss_opts opts);
CR_API cr_tensor *cr_multilabel_margin_loss_at(cr_tensor *x, cr_tensor *target,
                                               cr_loss_opts opts);
#define cr_l1_loss(x, ...) CR_LOSS_(cr_l1_loss_at, x, __VA_ARGS__)
#define cr_mse_loss(x, ...) CR_LOSS_(cr_mse_loss_at, x, __VA_ARGS__)
#define cr_soft_margin_loss(x, ...) CR_LOSS_(cr_soft_margin_loss_at, x, __VA_ARGS__)
#define cr_multilabel_margin_loss(x, ...) CR_LOSS_(cr_multilabel_margin_loss_at, x, __VA_ARGS__)

/* (x - t)^2 / (2 beta) where |x - t| < beta, else |x - t| - beta/2
 * d g (x - t) / beta / n, or g sign(x - t) / n; .beta = CR_REAL(0): l1_loss; Girshick, 2015
 * usage: cr_smooth_l1_loss(x, target), cr_smooth_l1_loss(x, target, .beta = CR_REAL(0.5)) */
typedef struct cr_smooth_l1_opts {
    const char *site CR_ZERO;
    cr_opt_real beta CR_ZERO; /* at least 0; default 1 */
    cr_reduction reduction CR_ZERO;
} cr_smooth_l1_opts;
CR_API cr_tensor *cr_smooth_l1_loss_at(cr_tensor *x, cr_tensor *target, cr_smooth_l1_opts opts);
#define cr_smooth_l1_loss(x, ...)                            \
    cr_smooth_l1_loss_at(x, CR_FIRST(__VA_ARGS__, 0),        \
                         CR_OPTS(cr_smooth_l1_opts, __VA_ARGS__))

/* (x - t)^2 / 2 where |x - t| <= delta, else delta (|x - t| - delta/2)
 * d g (x - t) / n, or g delta sign(x - t) / n; Huber, 1964
 * usage: cr_huber_loss(x, target), cr_huber_loss(x, target, .delta = 2) */
typedef struct cr_huber_opts {
    const char *site CR_ZERO;
    double delta CR_ZERO; /* above 0; default 1 */
    cr_reduction reduction CR_ZERO;
} cr_huber_opts;
CR_API cr_tensor *cr_huber_loss_at(cr_tensor *x, cr_tensor *target, cr_huber_opts opts);
#define cr_huber_loss(x, ...)                            \
    cr_huber_loss_at(x, CR_FIRST(__VA_ARGS__, 0),        \
                     CR_OPTS(cr_huber_opts, __VA_ARGS__))

/* Losses with .weight w, which broadcasts to x:
 *
 *     binary_cross_entropy    -w (t ln x + (1 - t) ln(1 - x)), x and t in 0 to 1: another number is
 *         an error of the run. Logarithms are -100 at least, and the gradient, as PyTorch's, is
 *         d g w (x - t) / max(x (1 - x), 1e-12) / n.
 *     multilabel_soft_margin_loss    the mean over the last dimension of
 *         -w (t ln s(x) + (1 - t) ln s(-x)), s the sigmoid    d g w (s(x) - t) / n
 *
 * usage: cr_binary_cross_entropy(x, target), cr_binary_cross_entropy(x, target, .weight = w),
 *        cr_multilabel_soft_margin_loss(x, target) */
typedef struct cr_weighted_loss_opts {
    const char *site CR_ZERO;
    cr_tensor *weight CR_ZERO;
    cr_reduction reduction CR_ZERO;
} cr_weighted_loss_opts;
CR_API cr_tensor *cr_binary_cross_entropy_at(cr_tensor *x, cr_tensor *target,
                                             cr_weighted_loss_opts opts);
CR_API cr_tensor *cr_multilabel_soft_margin_loss_at(cr_tensor *x, cr_tensor *target,
                                                    cr_weighted_loss_opts opts);
#define CR_WEIGHTED_LOSS_(name, x, ...) \
    name(x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_weighted_loss_opts, __VA_ARGS__))
#define cr_binary_cross_entropy(x, ...) \
    CR_WEIGHTED_LOSS_(cr_binary_cross_entropy_at, x, __VA_ARGS__)
#define cr_multilabel_soft_margin_loss(x, ...) \
    CR_WEIGHTED_LOSS_(cr_multilabel_soft_margin_loss_at, x, __VA_ARGS__)

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

/* t (ln t - x), x being logarithms of probabilities; with .log_target e^t (t - x)
 * d -g t / n, and ln t - x + 1. Where the target is 0 (or -inf) the loss is 0, whatever x, and so
 * are the gradients. The Kullback-Leibler divergence itself is .reduction = CR_REDUCTION_BATCHMEAN.
 * usage: cr_kl_div(x, target), cr_kl_div(x, target, .reduction = CR_REDUCTION_BATCHMEAN) */
typedef struct cr_kl_div_opts {
    const char *site CR_ZERO;
    cr_reduction reduction CR_ZERO;
    bool log_target CR_ZERO;
} cr_kl_div_opts;
CR_API cr_tensor *cr_kl_div_at(cr_tensor *x, cr_tensor *target, cr_kl_div_opts opts);
#define cr_kl_div(x, ...)                            \
    cr_kl_div_at(x, CR_FIRST(__VA_ARGS__, 0),        \
                 CR_OPTS(cr_kl_div_opts, __VA_ARGS__))

/* e^x - t x    d g (e^x - t) / n, x being the logarithm of the expected number, t the number found
 * With .log_input = CR_INT(false) x - t ln(x + eps)    d g (1 - t / (x + eps)) / n
 * .full adds Stirling's t ln t - t + ln(2 pi t) / 2 where t > 1.
 * usage: cr_poisson_nll_loss(x, target), cr_poisson_nll_loss(x, target, .full = true) */
typedef struct cr_poisson_nll_opts {
    const char *site CR_ZERO;
    cr_opt_int log_input CR_ZERO; /* default CR_INT(true) */
    bool full CR_ZERO;
    cr_opt_real eps CR_ZERO; /* default 1e-8 */
    cr_reduction reduction CR_ZERO;
} cr_poisson_nll_opts;
CR_API cr_tensor *cr_poisson_nll_loss_at(cr_tensor *x, cr_tensor *target,
                                         cr_poisson_nll_opts opts);
#define cr_poisson_nll_loss(x, ...)                            \
    cr_poisson_nll_loss_at(x, CR_FIRST(__VA_ARGS__, 0),        \
                           CR_OPTS(cr_poisson_nll_opts, __VA_ARGS__))

/* (ln v + (x - t)^2 / v) / 2, v = max(var, eps)
 * d g (x - t) / v / n, and to var g (1 - (x - t)^2 / v) / (2 v) / n, below eps too
 * .full adds ln(2 pi) / 2. var broadcasts to x, or is shaped like x without its last dimension;
 * something negative in it is an error of the run. Nix and Weigend, 1994.
 * usage: cr_gaussian_nll_loss(x, target, var),
 *        cr_gaussian_nll_loss(x, target, var, .full = true) */
typedef struct cr_gaussian_nll_opts {
    const char *site CR_ZERO;
    bool full CR_ZERO;
    double eps CR_ZERO; /* above 0; default 1e-6 */
    cr_reduction reduction CR_ZERO;
} cr_gaussian_nll_opts;
CR_API cr_tensor *cr_gaussian_nll_loss_at(cr_tensor *x, cr_tensor *target, cr_tensor *var,
                                          cr_gaussian_nll_opts opts);
#define cr_gaussian_nll_loss(x, target, ...)                            \
    cr_gaussian_nll_loss_at(x, target, CR_FIRST(__VA_ARGS__, 0),        \
                            CR_OPTS(cr_gaussian_nll_opts, __VA_ARGS__))

/* Losses with a margin; the target is 1 (alike) or -1 (apart):
 *
 *     hinge_embedding_loss     x where t is 1, max(0, margin - x) where it is -1 (both summed of
 *         other targets); margin 1    d g / n, and -g / n where x < margin
 *     margin_ranking_loss      max(0, margin - t (x - other)); margin 0
 *         d -g t / n and g t / n where that is above 0
 *     cosine_embedding_loss    1 - cos where t is 1, max(0, cos - margin) where it is -1, else 0,
 *         cos being x y / sqrt((x^2 + 1e-12) (y^2 + 1e-12)) along the last dimension; margin 0.
 *         x and y are [N, D] with target [N], or [D] with [].
 *
 * usage: cr_hinge_embedding_loss(x, target), cr_margin_ranking_loss(x, other, target),
 *        cr_cosine_embedding_loss(x, y, target, .margin = CR_REAL(0.5)) */
typedef struct cr_margin_loss_opts {
    const char *site CR_ZERO;
    cr_opt_real margin CR_ZERO;
    cr_reduction reduction CR_ZERO;
} cr_margin_loss_opts;
CR_API cr_tensor *cr_hinge_embedding_loss_at(cr_tensor *x, cr_tensor *target,
                                             cr_margin_loss_opts opts);
CR_API cr_tensor *cr_margin_ranking_loss_at(cr_tensor *x, cr_tensor *other, cr_tensor *target,
                                            cr_margin_loss_opts opts);
CR_API cr_tensor *cr_cosine_embedding_loss_at(cr_tensor *x, cr_tensor *y, cr_tensor *target,
                                              cr_margin_loss_opts opts);
#define CR_MARGIN_OPTS_(...) CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_margin_loss_opts, __VA_ARGS__)
#define cr_hinge_embedding_loss(x, ...) \
    cr_hinge_embedding_loss_at(x, CR_MARGIN_OPTS_(__VA_ARGS__))
#define cr_margin_ranking_loss(x, other, ...) \
    cr_margin_ranking_loss_at(x, other, CR_MARGIN_OPTS_(__VA_ARGS__))
#define cr_cosine_embedding_loss(x, y, ...) \
    cr_cosine_embedding_loss_at(x, y, CR_MARGIN_OPTS_(__VA_ARGS__))

/* max(0, |anchor - positive| - |anchor - negative| + margin)    d where that is above 0: g/n times
 * the distances' derivatives
 * Distances along the last dimension are those of cr_pairwise_distance with .p and .eps. With .swap
 * that of positive and negative takes the place of the second, where it is smaller; equal ones get
 * half each. Balntas et al., 2016.
 * usage: cr_triplet_margin_loss(anchor, positive, negative),
 *        cr_triplet_margin_loss(anchor, positive, negative, .margin = 0.2, .swap = true) */
typedef struct cr_triplet_margin_opts {
    const char *site CR_ZERO;
    double margin CR_ZERO;   /* above 0; default 1 */
    cr_opt_real p CR_ZERO;   /* default 2 */
    cr_opt_real eps CR_ZERO; /* default 1e-6 */
    bool swap CR_ZERO;
    cr_reduction reduction CR_ZERO;
} cr_triplet_margin_opts;
CR_API cr_tensor *cr_triplet_margin_loss_at(cr_tensor *anchor, cr_tensor *positive,
                                            cr_tensor *negative, cr_triplet_margin_opts opts);
#define cr_triplet_margin_loss(anchor, positive, ...)                            \
    cr_triplet_margin_loss_at(anchor, positive, CR_FIRST(__VA_ARGS__, 0),        \
                              CR_OPTS(cr_triplet_margin_opts, __VA_ARGS__))

/* -ln of the probability that log_probs [T, N, C] (logarithms of probabilities, as of log_softmax)
 * spell the targets, all ways to repeat labels and to put blanks between them together; Graves et
 * al., 2006. The mean is that of the losses divided by the lengths of their targets (at least 1).
 * targets is [N, S], of each row the first target_lengths[n] count, or all of them one behind the
 * other; of log_probs the first input_lengths[n] steps count. One sample: [T, C], targets [S] and
 * lengths of rank 0. A target that is too long (equal labels need a blank between) has the loss inf
 * and NaN as its gradient; with .zero_infinity both are 0.
 * d g (e^log_probs - how probable each class is there, given the targets), which, as in PyTorch,
 * takes log_probs to be a log_softmax. There is no second derivative: an error.
 * usage: cr_ctc_loss(log_probs, targets, input_lengths, target_lengths),
 *        cr_ctc_loss(log_probs, targets, input_lengths, target_lengths, .blank = 2) */
typedef struct cr_ctc_loss_opts {
    const char *site CR_ZERO;
    int64_t blank CR_ZERO; /* the class that stands for none */
    bool zero_infinity CR_ZERO;
    cr_reduction reduction CR_ZERO;
} cr_ctc_loss_opts;
CR_API cr_tensor *cr_ctc_loss_at(cr_tensor *log_probs, cr_tensor *targets,
                                 cr_tensor *input_lengths, cr_tensor *target_lengths,
                                 cr_ctc_loss_opts opts);
#define cr_ctc_loss(log_probs, targets, input_lengths, ...)                                  \
    cr_ctc_loss_at(log_probs, targets, input_lengths, CR_FIRST(__VA_ARGS__, 0),              \
                   CR_OPTS(cr_ctc_loss_opts, __VA_ARGS__))

CR_END
#endif
