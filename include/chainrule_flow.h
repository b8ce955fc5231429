/* chainrule_flow: why does it not train? How gradients flow through a network: predicted, measured,
 * explained, repaired, proven.
 *
 *     cr_flow *flow = cr_flow_open(net, .optim = optim, .every = 50);    before the training
 *         cr_flow_watch(flow, loss, .target = target);     in each step, before cr_backward(loss)
 *     cr_flow_print(cr_flow_report_of(flow), stdout);      whenever you want to know
 *
 * A library of its own, libchainrule_flow, on chainrule.h alone; nothing in chainrule knows it. The
 * rules of chainrule.h hold: errors are kept in the context, zero among options is the default, the
 * library prints nothing unless it is given a FILE, and never ends the process. Its memory is
 * malloc()'s; a failure is CR_ERR_MEMORY.
 *
 * Words: a boundary is where one module hands over to the next, or a tensor that you name. delta
 * is the cotangent of a boundary, d loss / d boundary. Decades are powers of ten: a gradient that
 * loses 0.85 decades per layer is multiplied by 10^-0.85 by each. */
#ifndef CHAINRULE_FLOW_H
#define CHAINRULE_FLOW_H

#include "chainrule.h"

CR_BEGIN

/* ---- Theory: signal propagation in wide networks ------------------------------------- */

/* The calls of this part have no context: a wrong argument is CR_ERR_ARGUMENT, or NaN, and nothing
 * else happens. They allocate nothing and keep nothing.
 *
 * An activation as theory takes it: value and slope, at most 32 kinks (integrals are split there).
 * cr_flow_activation_find() knows those of modules.h, and "linear", "gelu_tanh", by name, NULL
 * otherwise; cr_flow_activation_list(i) enumerates them, NULL behind the last. Options are the
 * defaults (leaky_relu 0.01); of leaky_relu, prelu (the slope), elu, celu (alpha) and softplus
 * (beta) a copy's user may point to another double. */
typedef struct cr_flow_activation {
    const char *name;
    double (*value)(double x, const void *user);
    double (*slope)(double x, const void *user); /* at a kink either side's */
    const void *user;
    const double *kinks;
    int n_kinks;
} cr_flow_activation;
CR_API const cr_flow_activation *cr_flow_activation_find(const char *name);
CR_API const cr_flow_activation *cr_flow_activation_list(int i);

typedef enum cr_flow_norm {
    CR_FLOW_NO_NORM,
    CR_FLOW_BATCH_NORM,
    CR_FLOW_LAYER_NORM,
    CR_FLOW_RMS_NORM
} cr_flow_norm;
typedef enum cr_flow_residual {
    CR_FLOW_PLAIN,           /* h = W phi(norm h') + b */
    CR_FLOW_PRE_ACTIVATION,  /* h = h' + scale (W phi(norm h') + b) */
    CR_FLOW_POST_ACTIVATION  /* h = h' + scale phi(norm(W h' + b)) */
} cr_flow_residual;
typedef enum cr_flow_phase { CR_FLOW_ORDERED, CR_FLOW_CRITICAL, CR_FLOW_CHAOTIC } cr_flow_phase;

/* A stack of equal layers, of infinite width but where width is given. h is what layers hand over
 * and delta its cotangent: the pre-activation of a plain stack, the stream of a residual one. The
 * first layer of a plain stack is linear, W x + b; x has independent entries of mean 0. Batch norm
 * is that of a large batch, in training. A convolution is a layer whose fan-in is channels times
 * the kernel's size. */
typedef struct cr_flow_stack {
    const cr_flow_activation *activation;
    double sigma_w2;          /* variance of a weight times its fan-in */
    double sigma_b2;          /* variance of a bias */
    cr_flow_norm norm;        /* in front of the activation */
    cr_flow_residual residual;
    double branch_scale;      /* of a residual branch; 0 stands for 1 */
    double dropout;           /* probability of a zero, behind the activation; below 1 */
    double q0;                /* mean square of the input; 0 stands for 1 */
    int64_t width, depth;     /* for the finite-width band; 0: none */
    bool orthogonal;          /* weights, instead of independent ones */
} cr_flow_stack;

/* What theory says of it, with z standard normal, n what the norm divides squares by (1 without),
 * p dropout's probability:
 *
 *     variance map     q' = sigma_w2 E phi(sqrt(q) z)^2 / (1 - p) + sigma_b2     Poole et al., 2016
 *     chi              sigma_w2 E phi'(sqrt(q*) z)^2 / ((1 - p) n)        Schoenholz et al., 2017
 *       layer, rms norm: z for sqrt(q) z, n = q*; batch norm: n = sigma_w2 Var phi(z), Yang et al.,
 *       2019. A residual adds branch_scale^2 times this to the q of h'; its squared factor is
 *       1 + branch_scale^2 chi (Yang and Schoenholz, 2017; Hanin and Rolnick, 2018).
 *     beta             sum over the layers of (3 mu2/mu1^2 - 1)/width, 5/width for ReLU (Hanin and
 *                      Nica, 2020), and what the fluctuation of q, or of what a norm divides by,
 *                      adds: of one sample, which batch norm averages; of residuals from above
 *     jacobian         depth mu2/mu1^2, orthogonal depth (mu2/mu1^2 - 1)  Pennington et al., 2017
 *
 * What is left out is of order 1/width, and 1/batch. Post-activation residuals of an activation
 * with a mean (ReLU) have more: that mean is a direction in which the gradient grows faster, and
 * gets exponentially more of it with depth.
 *
 * Where the variance diverges, as it does in residuals, all is that of the limit for large
 * variances. Where it dies out (q* 0), slope and xi_c are those of differences: chi, 1/|ln chi|.
 * NaN where a thing does not exist. */
typedef struct cr_flow_prediction {
    double q_star;            /* fixed point of the variance map, from q0 on */
    bool diverges;            /* there is none: the variance grows without bound */
    bool every_q;             /* every variance is a fixed point (ReLU at sigma_w2 2) */
    double chi;
    double factor;            /* of |delta| per layer, backwards; sqrt(chi) of a plain stack */
    double decades;           /* log10 of that */
    double decades_activation, decades_weight, decades_norm; /* its parts; NaN of a residual */
    double decades_mean;      /* mean of decades over depth layers, from q0 on; NaN without depth */
    double c_star;            /* fixed point of the correlation map; NaN: all are (tanh, q* 0) */
    double slope;             /* of the correlation map at 1; chi if q* exists, plain */
    double xi_q, xi_c, xi_grad; /* depth scales, in layers, of variance, correlation, |delta|^2:
                                   1/|ln|, infinite where nothing changes exponentially */
    cr_flow_phase phase;      /* by factor: below 1, 1, above 1 */
    double mu1, mu2;          /* means of the activation's slope^2 and slope^4 */
    double beta;              /* variance of ln |delta|^2 at this width and depth; its mean
                                 is lower by beta/2, without norm and residual */
    double jacobian_variance; /* of squared singular values, over the square of their mean */
} cr_flow_prediction;
CR_API cr_status cr_flow_predict(const cr_flow_stack *stack, cr_flow_prediction *out);

/* Layer by layer from q0, for l = 1 .. depth: q[l-1] the mean square of h, ratio[l-1]
 * ln(|delta at layer l| / |delta at layer depth|). Either may be NULL. */
CR_API cr_status cr_flow_profile(const cr_flow_stack *stack, double *q, double *ratio);

/* One step of the maps: the next variance; the next correlation of two inputs of variance q above 0
 * (a residual stream's mean is taken as 0; behind batch norm, correlations of deviations from the
 * batch's mean; masks of dropout are independent). */
CR_API double cr_flow_variance_map(const cr_flow_stack *stack, double q);
CR_API double cr_flow_correlation_map(const cr_flow_stack *stack, double q, double c);

/* The sigma_w at which chi is 1 for this sigma_b, with a q* that variances above it fall to; NaN if
 * there is none. */
CR_API double cr_flow_edge_of_chaos(const cr_flow_activation *activation, double sigma_b);

/* ---- Measurement ---------------------------------------------------------------------- */

/* What there is of a tensor or a gradient. "No gradient", "exactly zero", "underflowed" and "small"
 * are different things. */
typedef enum cr_flow_state {
    CR_FLOW_USUAL,
    CR_FLOW_UNDERFLOWED,  /* zero or subnormal in its type, and not zero: seen with a scaled loss */
    CR_FLOW_ZERO,         /* exactly zero */
    CR_FLOW_NOT_FINITE,
    CR_FLOW_DISCONNECTED  /* no path from the loss leads there */
} cr_flow_state;
typedef struct cr_flow_size {
    cr_flow_state state;
    cr_dtype dtype;
    int64_t numel;
    double log10_norm;   /* of the 2-norm; -inf for zero, NaN where there is none */
    double rms, mean, least, most;
    double zeros, subnormals, infinities, nans; /* shares, in the tensor's own type */
} cr_flow_size;

/* How large the elements are, in octaves that all tensors share: share[i] is that of elements with
 * 2^(from + i) <= |x| < 2^(from + i + 1). The last bin holds the largest element, the first also
 * what is smaller; zeros and what is not finite are in none. */
typedef struct cr_flow_bins {
    int from;
    float share[32];
} cr_flow_bins;

/* A module in the order of its running, or a named tensor. NaN where a thing does not apply. Of
 * delta, numel 0 says that none was to come: the tensor wants no gradient, as inputs do not. */
typedef struct cr_flow_layer {
    const char *name;  /* the path in the module, "3" or "2.inner.0" (the second run of a module in
                        * a step is "3#2"); or the tensor's */
    const char *kind;  /* "linear", "relu", ..; "tensor" */
    int level;         /* modules that hold it */
    bool leaf;         /* holds no modules: the others repeat what theirs say */
    cr_flow_size x, y;             /* in and out */
    cr_flow_size delta_x, delta_y; /* their cotangents */
    double decades;    /* log10 |delta_x| - log10 |delta_y|: what the gradient wins here */
    double saturated;  /* share of outputs where the slope is below a hundredth of its largest */
    double dead;       /* share of units that are constant over the batch */
    double unlike;     /* spread over the batch: rms of y minus its batch mean, over rms of y */
    double branch;     /* of a residual: |branch| / |sum|, forward */
    double branch_delta; /* and backward: share of delta that comes through the branch */
    const cr_flow_bins *y_bins, *delta_bins; /* of y and delta_y; NULL if not counted */
    int first_param, n_params; /* its own, in cr_flow_snapshot.params */
} cr_flow_layer;

/* A parameter. */
typedef struct cr_flow_param {
    const char *name;
    cr_flow_size weight, gradient; /* gradient: fresh, of this loss alone */
    cr_flow_size buffer;           /* what the leaf held before this backward pass */
    double buffer_along;           /* cosine of buffer with the last step's fresh gradient */
    cr_flow_size update;           /* value at the next watched step minus this value, per step */
    double update_ratio;           /* log10 of |update| / |weight| */
    double rank;                   /* of the gradient as a matrix: |g|_F^2 / |g|_2^2 */
    double row_spread;             /* rms distance of weight rows from their mean row, over rms;
                                      NaN of vectors and of a single row */
    double gradient_row_spread;    /* the same of the fresh gradient's rows */
    int64_t fan_in, fan_out;       /* as initialisers count them; 0 of vectors */
    double update_along_weight;    /* cosine of update with weight: -1 of what only decays */
    double update_along_gradient;  /* cosine of update with minus the fresh gradient */
    double signal_to_noise;        /* |mean|^2 / trace of the covariance, over samples */
    bool in_optimiser, requires_grad;
    const cr_flow_bins *weight_bins, *gradient_bins; /* NULL if not counted */
} cr_flow_param;

/* Which loss it is, recognised by its gradient: delta is parallel to what this loss sends down. So
 * those written by hand are known too, and those of another name. Without a target there is but
 * CR_FLOW_LOSS_MINIMAX. */
typedef enum cr_flow_loss_kind {
    CR_FLOW_LOSS_UNKNOWN,
    CR_FLOW_LOSS_SQUARES,        /* y - t */
    CR_FLOW_LOSS_ABSOLUTE,       /* sign(y - t) */
    CR_FLOW_LOSS_BROADCAST,      /* y - mean t: [n] against [n, 1] */
    CR_FLOW_LOSS_SOFTMAX,        /* softmax(y) - t, rows being samples */
    CR_FLOW_LOSS_SOFTMAX_ACROSS, /* the same with rows and columns exchanged */
    CR_FLOW_LOSS_LIKELIHOOD,     /* -t: of logarithms of probabilities */
    CR_FLOW_LOSS_LOG,            /* -t / y: of probabilities */
    CR_FLOW_LOSS_SIGMOID,        /* sigmoid(y) - t */
    CR_FLOW_LOSS_BINARY,         /* (y - t) / (y (1 - y)): of probabilities */
    CR_FLOW_LOSS_MINIMAX         /* log(1 - p), p being y or sigmoid(y) */
} cr_flow_loss_kind;

/* What enters the loss and comes out. Rows are samples; columns, classes or outputs. */
typedef struct cr_flow_loss {
    double value;
    cr_flow_loss_kind kind;
    double scale;              /* delta over that of the mean (over rows of kinds of softmax and
                                  likelihood, over elements of the others); NaN if it is unknown */
    const char *op;            /* the loss' operation as the graph names it, "cross_entropy"; "" */
    cr_flow_size output, target, delta;
    int rank_output, rank_target;
    int64_t samples, classes;
    double row_sum_least, row_sum_most;     /* of the outputs */
    double column_sum_least, column_sum_most;
    double delta_row_sum, delta_column_sum; /* largest |sum|, over the largest sum of |delta| */
    double delta_along_residual;            /* cosine of delta with output - target, same shapes */
    double residual_log10;                  /* log10 of |output - target| */
    double target_least, target_most, target_mean, target_rms;
    double target_share;                    /* of the most frequent class */
    double output_spread;                   /* over the batch, as cr_flow_layer.unlike */
    double gradient_log10;                  /* of all fresh gradients together */
    double learning_rate;
    double linear;                          /* spread over samples of the Jacobian between the first
                                             * and the last weights, along a probe, relative: 0 is
                                             * linear; NaN of less than two samples or layers */
    double repeat;                          /* relative difference of two passes; NaN in a watched
                                             * training, where there is one pass */
    double peak;  /* of softmaxes and attention beneath the output: mean over rows of the largest
                     weight, where it is largest; NaN without them */
    double peak_even;                       /* the same of even weights: 1 / keys */
    double peak_scale; /* what scores q k^T are multiplied with, times sqrt(size of a key), where
                          that is largest: 1 as usual; NaN if it is unknown */
    double compared;   /* elements of the largest difference of outputs and what is not learnt, over
                          those of the outputs: 1; more where their shapes broadcast; NaN: none */
    double row_log_sum, column_log_sum; /* largest |log sum exp| of outputs: 0 of logarithms of
                                           probabilities */
} cr_flow_loss;

typedef struct cr_flow_snapshot {
    int64_t step;
    int n_layers, n_params;
    const cr_flow_layer *layers;
    const cr_flow_param *params;
    cr_flow_loss loss;
    bool training;               /* the module's mode */
} cr_flow_snapshot;

/* Singular values of the Jacobian of y by x, of one sample: extremes by Lanczos on J^T J (vjp and
 * jvp), moments of the spectrum of J^T J by random probes, exact of so many rows or columns. Of the
 * first sample, where y and x have as many samples in their first dimension. Golub and Van Loan,
 * 2013; Hutchinson, 1990. Errors: CR_ERR_GRAD where x or y needs no gradient, CR_ERR_NONFINITE;
 * then out stays. Random draws of the program are as without it. */
typedef struct cr_flow_spectrum {
    double largest, smallest;  /* singular values; smallest NaN if it was not reached */
    double mean, variance;     /* of squared singular values */
    int64_t rows, columns;
    /* The distribution, by quadrature: weights[i] of the singular values lie about values[i], in
     * ascending order; n_values 0 if it was not taken. */
    int n_values;
    double values[32], weights[32];
} cr_flow_spectrum;
typedef struct cr_flow_spectrum_opts {
    const char *site CR_ZERO;
    int iterations CR_ZERO; /* default 32 */
    int probes CR_ZERO;     /* default 8 */
} cr_flow_spectrum_opts;
CR_API cr_status cr_flow_spectrum_at(cr_tensor *y, cr_tensor *x, cr_flow_spectrum *out,
                                     cr_flow_spectrum_opts opts);
#define cr_flow_spectrum_of(y, x, ...)                                \
    cr_flow_spectrum_at(y, x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_flow_spectrum_opts, __VA_ARGS__))

/* Numbers of one tensor, computed if need be. CR_FLOW_DISCONNECTED of NULL, and after an error. */
CR_API cr_flow_size cr_flow_size_of(cr_tensor *x);

/* ---- Watching ------------------------------------------------------------------------- */

/* Watches a training of module, which may be NULL: then only what cr_flow_name() names is seen.
 * The first .first steps are measured, then every .every-th. The module, with its tree as it is,
 * and the optimiser live until cr_flow_close(), which comes before cr_close(). Without an optimiser
 * all parameters count as optimised. NULL with an error. */
typedef struct cr_flow cr_flow;
typedef struct cr_flow_opts {
    const char *site CR_ZERO;
    cr_optim *optim CR_ZERO;
    const cr_params *params CR_ZERO; /* parameters; default the module's */
    int64_t every CR_ZERO;           /* default 50 */
    cr_opt_int first CR_ZERO;        /* default 5 */
} cr_flow_opts;
CR_API cr_flow *cr_flow_open_at(cr_module *module, cr_flow_opts opts);
#define cr_flow_open(...) \
    cr_flow_open_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_flow_opts, __VA_ARGS__))
CR_API void cr_flow_close(cr_flow *flow);

/* Whether the next cr_flow_watch() measures. */
CR_API bool cr_flow_is_due(const cr_flow *flow);

/* Makes x a boundary in the steps that are measured; returns x. For forwards written by hand. */
CR_API cr_tensor *cr_flow_name_at(cr_flow *flow, cr_tensor *x, const char *name, const char *site);
#define cr_flow_name(flow, x, name) cr_flow_name_at(flow, x, name, CR_HERE)

/* To be called in each step, behind the forward pass and before cr_backward(loss): counts it, and
 * measures if it is due. Gradients, modes and random draws of the program are as without it; hooks
 * on tensors are called once more in a step that is measured, by a backward pass of ours. What a
 * step did to the parameters (cr_flow_param.update) is seen by the next call.
 * All is measured in the first steps, and where .every is below 25. Else, but for one time in 64,
 * what costs much or changes slowly is that of the time before (saturated, dead, unlike, branch,
 * ranks, spreads of rows, signal_to_noise, kind, scale, peak), and sizes of tensors with more than
 * 1024 elements, if all are finite, are those of some 500 of them.
 * Errors: CR_ERR_NULL; CR_ERR_SHAPE if loss has more than one element; CR_ERR_SCOPE for another
 * context's; CR_ERR_MEMORY, and what else computing may meet. Then nothing was measured, and the
 * step is not counted. */
typedef struct cr_flow_watch_opts {
    const char *site CR_ZERO;
    cr_tensor *output CR_ZERO; /* default what the module gave last */
    cr_tensor *target CR_ZERO; /* default unknown */
    cr_tensor *losses CR_ZERO; /* a loss for each sample, for signal_to_noise */
} cr_flow_watch_opts;
CR_API cr_status cr_flow_watch_at(cr_flow *flow, cr_tensor *loss, cr_flow_watch_opts opts);
#define cr_flow_watch(flow, ...) \
    cr_flow_watch_at(flow, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_flow_watch_opts, __VA_ARGS__))

/* What was measured, by time, one behind the other in memory. Beyond 256 every other one goes, but
 * the first steps and the latest. They live until the next cr_flow_watch() or cr_flow_close(). */
CR_API int cr_flow_count(const cr_flow *flow);
CR_API const cr_flow_snapshot *cr_flow_snapshot_of(const cr_flow *flow, int i);

/* ---- Explanation ---------------------------------------------------------------------- */

/* What may be wrong. In the order of cr_flow_cause_name(). */
typedef enum cr_flow_cause {
    CR_FLOW_HEALTHY,
    CR_FLOW_RATE_TOO_LARGE,     /* learning rate */
    CR_FLOW_RATE_TOO_SMALL,
    CR_FLOW_LOSS_SCALE,         /* summed instead of averaged, or multiplied */
    CR_FLOW_INPUT_SCALE,
    CR_FLOW_TARGET_SCALE,
    CR_FLOW_SOFTMAX_TWICE,      /* probabilities enter a loss that takes logits */
    CR_FLOW_SIGMOID_TWICE,
    CR_FLOW_WRONG_AXIS,         /* softmax over samples */
    CR_FLOW_BROADCAST_LOSS,     /* [n] against [n, 1] */
    CR_FLOW_OUT_OF_REACH,       /* the outputs cannot reach the targets */
    CR_FLOW_DISCONNECTED_PARAM, /* detached: no path */
    CR_FLOW_FROZEN,             /* does not require gradients */
    CR_FLOW_NOT_OPTIMISED,      /* a gradient, and not in the optimiser */
    CR_FLOW_NEVER_CLEARED,      /* gradients pile up */
    CR_FLOW_NONFINITE,
    CR_FLOW_UNDERFLOW,          /* in half precision, or of f32 */
    CR_FLOW_ZERO_WEIGHTS,
    CR_FLOW_EQUAL_WEIGHTS,      /* symmetry */
    CR_FLOW_WEIGHTS_TOO_LARGE,
    CR_FLOW_WEIGHTS_TOO_SMALL,
    CR_FLOW_VANISHING,          /* by depth: the product of slopes */
    CR_FLOW_EXPLODING,
    CR_FLOW_DEAD_UNITS,
    CR_FLOW_SATURATED,
    CR_FLOW_CORRELATED,         /* inputs become indistinguishable with depth */
    CR_FLOW_BATCH_OF_ONE,
    CR_FLOW_EVALUATION_MODE,    /* while it is trained */
    CR_FLOW_WEIGHT_DECAY,       /* shrinks more than the gradient moves */
    CR_FLOW_CLIPPED,            /* always */
    CR_FLOW_RECURRENCE,         /* many steps of one weight */
    CR_FLOW_ATTENTION_SCALE,    /* saturated attention */
    CR_FLOW_GAN_SATURATED,
    CR_FLOW_NO_ACTIVATION,      /* linear in its input */
    CR_FLOW_IDLE_BRANCH,        /* a residual branch that does nothing */
    CR_FLOW_IMBALANCED,         /* labels */
    CR_FLOW_LABELS,             /* the flow is sound, nothing is learned: shuffled labels? */
    CR_FLOW_CAUSES
} cr_flow_cause;
CR_API const char *cr_flow_cause_name(cr_flow_cause cause); /* "rate_too_large" */

typedef enum cr_flow_severity { CR_FLOW_NOTE, CR_FLOW_WARNING, CR_FLOW_ALARM } cr_flow_severity;

/* A verdict: what, where, the evidence, and what to try. */
typedef struct cr_flow_verdict {
    cr_flow_cause cause;
    cr_flow_severity severity;
    double confidence;      /* 0 to 1; the list is in descending order of severity, then of this */
    int64_t step;           /* of the snapshot that shows it best */
    const char *where;      /* a layer's or parameter's name, "" */
    char what[160];         /* one sentence */
    char evidence[320];     /* numbers, and what healthy ones would be */
    char cure[160];         /* one sentence */
    char remedies[64];      /* that fit, the best first: "relu+he,batch_norm" */
    double amount;          /* what the first of them needs: the factor by which the loss, the rate
                             * or the targets are too large, the norm to clip at; 0: unknown */
} cr_flow_verdict;

/* ---- Remedies and their proof ----------------------------------------------------------- */

/* A training that can be done again from the start. Functions of yours get `user`. */
typedef struct cr_flow_batch {
    cr_tensor *output, *target; /* optional: what the loss compares */
    cr_tensor *losses;          /* optional: a loss for each sample */
} cr_flow_batch;
typedef struct cr_flow_task {
    const char *name;
    cr_module *(*build)(cr_ctx *ctx, void *user); /* a new module, its weights drawn from ctx */
    cr_optim *(*optimiser)(cr_module *module, void *user); /* NULL: SGD with lr 0.01 */
    /* Forward on the batch of that step; the loss, or NULL with an error. A step's batch is the
     * same whenever it is asked for. */
    cr_tensor *(*loss)(cr_module *module, int64_t step, cr_flow_batch *batch, void *user);
    /* Everything behind the loss. NULL: zero_grad, backward, step. */
    cr_status (*update)(cr_module *module, cr_optim *optim, cr_tensor *loss, int64_t step,
                        void *user);
    void *user;
} cr_flow_task;

/* Remedies by name; cr_flow_remedy_list() enumerates them, NULL behind the last. Several that are
 * joined by "+" are one: "relu+he". Weights are parameters of rank 2 and more, embeddings apart;
 * hidden is what stands before the last layer of weights; modules that stand in a sequential can be
 * changed, those in forwards of your own cannot.
 *
 *     default, xavier, he, lecun, orthogonal   all weights drawn again: U(+-1/sqrt(fan_in)),
 *                     cr_init_xavier_normal() with gain 1, cr_init_kaiming_normal() with sqrt(2)
 *                     and with 1, cr_init_orthogonal() with sqrt(2) if hidden layers are relus,
 *                     else 1; biases are 0 then
 *     lsuv, fixup     cr_init_lsuv() on the first batch, cr_init_fixup()
 *     zero_last, branch_scale   the last layer of each residual branch is 0; L branches are scaled
 *                     by 1/sqrt(L)
 *     relu, leaky_relu, gelu, silu, tanh   in place of every hidden activation; if there are none,
 *                     behind every hidden layer of weights
 *     batch_norm, layer_norm, rms_norm     in front of every hidden activation, in place of a norm
 *                     that stands there
 *     residual        around what lies behind a hidden layer of weights up to the next one, which
 *                     keeps the width: pre-activation branches (He et al., 2016)
 *     no_output_activation   the activation or softmax behind the last layer goes
 *     input_norm      batch norm of the input, without parameters
 *     target_norm     targets less their mean over their deviation, of the first batch
 *     loss_scale      the loss over the factor that the verdict found; times 1024 where gradients
 *                     underflow, and the rate over that if updates follow the gradient's size
 *     lr_down, lr_up, clip, warmup         learning rate, cr_clip_grad_norm(), 20 steps of rising
 *     clear_gradients, unfreeze, optimise_all, train_mode */
typedef struct cr_flow_remedy cr_flow_remedy;
CR_API const cr_flow_remedy *cr_flow_remedy_list(int i);
CR_API const char *cr_flow_remedy_name(const cr_flow_remedy *remedy);

/* A remedy's trial. Each of the pairs is two trainings from the same seed over the same batches,
 * without and with the remedy; random numbers drawn in a step are the same too. Where a remedy has
 * a size to choose (a rate, a norm to clip at), that is done before, with a seed of its own. It is
 * accepted if
 *
 *     the gradient's slope is in its band: over the L layers |delta| changes by less than
 *         6 / (2 ln 10) decades (depth of 6 xi: Schoenholz et al., 2017), plus twice the deviation
 *         sqrt(5 L / n) / (2 ln 10) that a width of n leaves (Hanin and Nica, 2020); a network
 *         whose depth was no alarm before may keep the slope it has;
 *     no alarm is there in most of the seeds that was not there before;
 *     the loss falls further: in so many pairs that a sign test tells it from chance at 5% (7 of 8,
 *         9 of 10, 15 of 20; of fewer than 5 pairs, all). A pair counts if the mean loss over the
 *         last tenth of the steps is below the other's by 1%, and below its own start.
 *
 * code is C that follows the making of ctx, net, optim, and in the training loop of x, target and
 * loss; what belongs into the loop says so. */
typedef struct cr_flow_trial {
    const char *remedy;
    bool applies, accepted;
    double decades_before, decades_after;    /* of delta per layer, means over the seeds */
    double loss_before, loss_after;          /* after as many steps, medians over the seeds */
    int seeds, better;                       /* pairs, and those in which the loss fell further */
    char reason[160];                        /* why it was rejected, or accepted */
    char code[1000];                         /* the lines of C that apply it */
} cr_flow_trial;

/* ---- Reports -------------------------------------------------------------------------- */

typedef struct cr_flow_report {
    const char *name;
    int n_verdicts, n_snapshots, n_trials;
    const cr_flow_verdict *verdicts; /* at least one: CR_FLOW_HEALTHY if nothing else */
    const cr_flow_snapshot *snapshots;
    const cr_flow_trial *trials;
    const cr_flow_snapshot *after;    /* first snapshot with the first accepted remedy; NULL */
    cr_flow_stack stack;              /* what theory took the network for */
    cr_flow_prediction prediction;    /* .factor NaN where the network is no stack */
    const int *stack_layers; /* stack.depth places among the first snapshot's layers: theory's layer
                                l ends in y of stack_layers[l - 1]; NULL where it is no stack */
    double measured_decades;          /* per layer, fitted to the first snapshot */
    cr_flow_spectrum spectrum; /* of the output by that of the first layer with weights, before
                                  training (cr_flow_diagnose); zeros if not measured */
    bool saw_start;                   /* from step 0 on */
} cr_flow_report;

/* Of what flow has seen so far; belongs to flow, until the next call or cr_flow_close(). NULL with
 * an error. */
CR_API const cr_flow_report *cr_flow_report_of(cr_flow *flow);

/* Trains a copy for .steps, explains, and tries the remedies (.remedies: a list of names by commas,
 * "auto" for those that the verdicts name, the best first, until two are accepted, each with
 * "+lr_down" too where the gradient comes alive and the rate may be too large for it; default none)
 * over .seeds paired seeds, each trained for .train_steps. Everything happens in ctx, in scopes of
 * its own; ctx's random state stays. A training that fails is a finding, not an error. NULL with an
 * error if the task cannot be built or run, for an unknown remedy, and without memory. The report
 * is freed by cr_flow_report_free(), before or after ctx is closed. Accepted trials stand
 * first, that with the lowest loss before all; .after is of that one. */
typedef struct cr_flow_diagnose_opts {
    const char *site CR_ZERO;
    int64_t steps CR_ZERO;        /* default 25 */
    const char *remedies CR_ZERO; /* default none */
    int seeds CR_ZERO;            /* default 8 */
    int64_t train_steps CR_ZERO;  /* default 200 */
    uint64_t seed CR_ZERO;
    bool spectrum CR_ZERO;        /* measure report.spectrum too: some 30 passes more */
    void (*progress)(const char *what, double share, void *user) CR_ZERO;
    void *progress_user CR_ZERO;
} cr_flow_diagnose_opts;
CR_API cr_flow_report *cr_flow_diagnose_at(cr_ctx *ctx, const cr_flow_task *task,
                                           cr_flow_diagnose_opts opts);
#define cr_flow_diagnose(ctx, ...)                             \
    cr_flow_diagnose_at(ctx, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_flow_diagnose_opts, __VA_ARGS__))
CR_API void cr_flow_report_free(cr_flow_report *report);

/* 0 healthy, 1 an alarm: an exit status. */
CR_API int cr_flow_exit_status(const cr_flow_report *report);

/* The report as text, at most 40 lines for any network: what one pastes into a question. Written
 * like snprintf. width 0: 80; colour: for a terminal. */
typedef struct cr_flow_text_opts {
    int width CR_ZERO;
    bool colour CR_ZERO;
} cr_flow_text_opts;
CR_API size_t cr_flow_text(const cr_flow_report *report, cr_flow_text_opts opts, char *text,
                           size_t capacity);
CR_API bool cr_flow_print(const cr_flow_report *report, FILE *file);

/* The report as one HTML file (nothing beside it, light and dark), as a drawing (SVG) of the depth
 * profile, as JSON, as CSV (a row for each layer and step). False if writing failed. */
CR_API bool cr_flow_html(const cr_flow_report *report, FILE *file);
CR_API bool cr_flow_svg(const cr_flow_report *report, FILE *file);
CR_API bool cr_flow_json(const cr_flow_report *report, FILE *file);
CR_API bool cr_flow_csv(const cr_flow_report *report, FILE *file);

/* The history as a TensorBoard event file (TFRecord of Event messages): scalars by layer. */
CR_API bool cr_flow_tensorboard(const cr_flow_report *report, FILE *file);

CR_END
#endif
