/* Normalisation along dimensions: softmax, and layer, batch, group, instance and other norms. */
#ifndef CHAINRULE_NORMS_H
#define CHAINRULE_NORMS_H

#include "macros.h"

CR_BEGIN

/* e^x / sum e^x along dim, without overflow    d y (g - sum g y), y the result; 0 in a row of -inf,
 * which gives 0. Floats. */
CR_API cr_tensor *cr_softmax_at(cr_tensor *x, int dim, const char *site);
#define cr_softmax(x, dim) cr_softmax_at(x, dim, CR_HERE)

/* x - ln sum e^x along dim, without overflow    d g - e^y sum g, y the result
 * NaN in a row of -inf. Floats. */
CR_API cr_tensor *cr_log_softmax_at(cr_tensor *x, int dim, const char *site);
#define cr_log_softmax(x, dim) cr_log_softmax_at(x, dim, CR_HERE)

/* softmax of -x    d -y (g - sum g y), y the result; 0 in a row of inf, which gives 0. Floats. */
CR_API cr_tensor *cr_softmin_at(cr_tensor *x, int dim, const char *site);
#define cr_softmin(x, dim) cr_softmin_at(x, dim, CR_HERE)

/* y weight + bias, y = (x - mean) / s, s = sqrt(var + eps)    d (h - mean h - y mean(h y)) / s
 * with h = g weight; to weight: the sum of g y. Over the last dimensions, which must equal
 * normalized_shape (the shape of weight and bias, either of which may be NULL); biased variance.
 * Ba et al., 2016.
 * usage: cr_layer_norm(x, CR_DIMS(64), weight, bias),
 *        cr_layer_norm(x, shape, NULL, NULL, .eps = 1e-6) */
typedef struct cr_norm_opts {
    const char *site CR_ZERO;
    double eps CR_ZERO; /* above 0; default 1e-5 */
} cr_norm_opts;
CR_API cr_tensor *cr_layer_norm_at(cr_tensor *x, cr_dims normalized_shape, cr_tensor *weight,
                                   cr_tensor *bias, cr_norm_opts opts);
#define cr_layer_norm(x, normalized_shape, weight, ...)                              \
    cr_layer_norm_at(x, normalized_shape, weight, CR_FIRST(__VA_ARGS__, 0),          \
                     CR_OPTS(cr_norm_opts, __VA_ARGS__))

/* y weight + bias as above, over all dimensions but 1    d as above; evaluating: g weight / s
 * Per channel (x [N, C, ..]). training: with the batch's mean and biased variance, and running =
 * (1 - momentum) running + momentum batch (the unbiased variance) is assigned to running_mean and
 * running_var, unless they are NULL. Otherwise: with the running statistics, which must be given.
 * One value alone is an error, an empty batch gives an empty result and changes nothing.
 * Ioffe and Szegedy, 2015.
 * usage: cr_batch_norm(x, mean, var, weight, bias, true, 0.1),
 *        cr_batch_norm(x, mean, var, NULL, NULL, false, 0.1, .eps = 1e-3) */
CR_API cr_tensor *cr_batch_norm_at(cr_tensor *x, cr_tensor *running_mean, cr_tensor *running_var,
                                   cr_tensor *weight, cr_tensor *bias, bool training,
                                   double momentum, cr_norm_opts opts);
#define cr_batch_norm(x, running_mean, running_var, weight, bias, training, ...)                 \
    cr_batch_norm_at(x, running_mean, running_var, weight, bias, training,                       \
                     CR_FIRST(__VA_ARGS__, 0),                                                   \
                     CR_OPTS(cr_norm_opts, __VA_ARGS__))

/* the same over each group of channels of each sample    d as of cr_layer_norm
 * x [N, C, ..], num_groups divides C, weight and bias [C] or NULL. A group of one element
 * becomes bias; of a single sample it is an error. Wu and He, 2018.
 * usage: cr_group_norm(x, 4, weight, bias), cr_group_norm(x, 4, NULL, NULL, .eps = 1e-3) */
CR_API cr_tensor *cr_group_norm_at(cr_tensor *x, int64_t num_groups, cr_tensor *weight,
                                   cr_tensor *bias, cr_norm_opts opts);
#define cr_group_norm(x, num_groups, weight, ...)                              \
    cr_group_norm_at(x, num_groups, weight, CR_FIRST(__VA_ARGS__, 0),          \
                     CR_OPTS(cr_norm_opts, __VA_ARGS__))

/* the same over each channel of each sample    d as of cr_layer_norm; with running statistics:
 * g weight / s
 * x [N, C, ..]. use_input_stats: with the sample's mean and biased variance, and, unless they are
 * NULL, running = (1 - momentum) running + momentum m is assigned to running_mean and running_var,
 * m being the mean over samples (of unbiased variances). Otherwise with the running statistics. One
 * element alone is an error. Ulyanov et al., 2016.
 * usage: cr_instance_norm(x, NULL, NULL, weight, bias, true, 0.1),
 *        cr_instance_norm(x, mean, var, NULL, NULL, false, 0.1, .eps = 1e-3) */
CR_API cr_tensor *cr_instance_norm_at(cr_tensor *x, cr_tensor *running_mean,
                                      cr_tensor *running_var, cr_tensor *weight, cr_tensor *bias,
                                      bool use_input_stats, double momentum, cr_norm_opts opts);
#define cr_instance_norm(x, running_mean, running_var, weight, bias, use_input_stats, ...)       \
    cr_instance_norm_at(x, running_mean, running_var, weight, bias, use_input_stats,             \
                        CR_FIRST(__VA_ARGS__, 0),                                                \
                        CR_OPTS(cr_norm_opts, __VA_ARGS__))

/* x weight / s, s = sqrt(mean x^2 + eps), over the last dimensions    d (h - y mean(h y)) / s with
 * h = g weight, y = x / s. As cr_layer_norm, but nothing is subtracted. Zhang and Sennrich, 2019.
 * usage: cr_rms_norm(x, CR_DIMS(64), weight), cr_rms_norm(x, shape, NULL, .eps = CR_REAL(1e-6)) */
typedef struct cr_rms_norm_opts {
    const char *site CR_ZERO;
    cr_opt_real eps CR_ZERO; /* above 0; default what 1 lies apart from the next f64, else f32 */
} cr_rms_norm_opts;
CR_API cr_tensor *cr_rms_norm_at(cr_tensor *x, cr_dims normalized_shape, cr_tensor *weight,
                                 cr_rms_norm_opts opts);
#define cr_rms_norm(x, normalized_shape, ...)                          \
    cr_rms_norm_at(x, normalized_shape, CR_FIRST(__VA_ARGS__, 0),      \
                   CR_OPTS(cr_rms_norm_opts, __VA_ARGS__))

/* x / (k + alpha m)^beta, m the mean of x^2 over `size` neighbouring channels    d by its parts
 * x [N, C, L, ..]; channel c sees c - size / 2 .. and zeros outside. Krizhevsky et al., 2012.
 * usage: cr_local_response_norm(x, 5), cr_local_response_norm(x, 5, .k = CR_REAL(2)) */
typedef struct cr_local_response_norm_opts {
    const char *site CR_ZERO;
    cr_opt_real alpha CR_ZERO; /* default 1e-4 */
    cr_opt_real beta CR_ZERO;  /* default 0.75 */
    cr_opt_real k CR_ZERO;     /* default 1 */
} cr_local_response_norm_opts;
CR_API cr_tensor *cr_local_response_norm_at(cr_tensor *x, int64_t size,
                                            cr_local_response_norm_opts opts);
#define cr_local_response_norm(x, ...)                            \
    cr_local_response_norm_at(x, CR_FIRST(__VA_ARGS__, 0),        \
                              CR_OPTS(cr_local_response_norm_opts, __VA_ARGS__))

CR_END
#endif
