/* Operations that draw random numbers. */
#ifndef CHAINRULE_SAMPLING_H
#define CHAINRULE_SAMPLING_H

#include "macros.h"

CR_BEGIN

/* 1 with probability x, else 0    d 0
 * Below 0 and above 1 x counts as 0 and 1, and NaN gives NaN. */
CR_API cr_tensor *cr_bernoulli_at(cr_tensor *x, const char *site);
#define cr_bernoulli(x) cr_bernoulli_at(x, CR_HERE)

/* 0 with probability p, else x / (1 - p)    d 0, else g / (1 - p)
 * For training only: the module dropout knows the mode. Srivastava et al., 2014. */
CR_API cr_tensor *cr_dropout_at(cr_tensor *x, double p, const char *site);
#define cr_dropout(x, p) cr_dropout_at(x, p, CR_HERE)

/* Parameters are floats, tensors or numbers in either place, and broadcast; one at least is a
 * tensor, which gives the type. The result is a function of them and of numbers that do not depend
 * on them, through which gradients flow. A concentration below 0 gives NaN. */

/* mean + std z, z standard normal    d g; to std: g z
 * usage: cr_normal(mean, std), cr_normal(mean, 0.1) */
CR_API cr_tensor *cr_normal_at(cr_arg mean, cr_arg std, const char *site);
#define cr_normal(mean, ...) cr_normal_at(CR_ARG(mean), CR_ARG(__VA_ARGS__), CR_HERE)

/* low + (high - low) u, u uniform in [0, 1): below high, or rounded to it    d g (1 - u); to high:
 * g u
 * usage: cr_uniform(low, high), cr_uniform(-1, high) */
CR_API cr_tensor *cr_uniform_at(cr_arg low, cr_arg high, const char *site);
#define cr_uniform(low, ...) cr_uniform_at(CR_ARG(low), CR_ARG(__VA_ARGS__), CR_HERE)

/* x with the density rate e^(-rate x), x >= 0    d -g x / rate */
CR_API cr_tensor *cr_exponential_at(cr_tensor *rate, const char *site);
#define cr_exponential(rate) cr_exponential_at(rate, CR_HERE)

/* x with the density rate^a x^(a - 1) e^(-rate x) / gamma(a), a being the concentration (Marsaglia
 * and Tsang, 2000)    to rate: -g x / rate; to a: g times the derivative of x by a along which the
 * distribution function F stays the same, -(dF/da) / (dF/dx) (Figurnov et al., 2018), within 1e-11
 * of itself; of first order only
 * usage: cr_gamma(concentration, rate), cr_gamma(concentration, 1) */
CR_API cr_tensor *cr_gamma_at(cr_arg concentration, cr_arg rate, const char *site);
#define cr_gamma(concentration, ...) \
    cr_gamma_at(CR_ARG(concentration), CR_ARG(__VA_ARGS__), CR_HERE)

/* x with a density in proportion to x^(concentration1 - 1) (1 - x)^(concentration0 - 1): g1 / (g1 +
 * g0) of two gamma variables, made of their logarithms, so that small concentrations do no harm
 *    d through both
 * usage: cr_beta(concentration1, concentration0), cr_beta(concentration1, 0.5) */
CR_API cr_tensor *cr_beta_at(cr_arg concentration1, cr_arg concentration0, const char *site);
#define cr_beta(concentration1, ...) \
    cr_beta_at(CR_ARG(concentration1), CR_ARG(__VA_ARGS__), CR_HERE)

/* i64: low to high - 1, each as likely. The numbers are at most 2^53. */
CR_API cr_tensor *cr_randint_at(cr_ctx *ctx, int64_t low, int64_t high, cr_dims shape,
                                const char *site);
#define cr_randint(ctx, low, high, shape) cr_randint_at(ctx, low, high, shape, CR_HERE)

/* i64: 0 to n - 1 in a random order. */
CR_API cr_tensor *cr_randperm_at(cr_ctx *ctx, int64_t n, const char *site);
#define cr_randperm(ctx, n) cr_randperm_at(ctx, n, CR_HERE)

/* i64 [.., num_samples]: places in each row of x, which is one row or several, with probabilities
 * in proportion to its elements; with .replacement the same one may come again    d none
 * A row with a negative, infinite or NaN element, or with fewer than wanted above 0, is an error.
 * usage: cr_multinomial(x, 3), cr_multinomial(x, 100, .replacement = true) */
typedef struct cr_multinomial_opts {
    const char *site CR_ZERO;
    bool replacement CR_ZERO;
} cr_multinomial_opts;
CR_API cr_tensor *cr_multinomial_at(cr_tensor *x, int64_t num_samples, cr_multinomial_opts opts);
#define cr_multinomial(x, ...)                               \
    cr_multinomial_at(x, CR_FIRST(__VA_ARGS__, 0),           \
                      CR_OPTS(cr_multinomial_opts, __VA_ARGS__))

/* i64: a place in each row of x along its last dim, with the probabilities softmax(x)    d none */
CR_API cr_tensor *cr_categorical_at(cr_tensor *x, const char *site);
#define cr_categorical(x) cr_categorical_at(x, CR_HERE)

/* softmax((x + n) / tau) along dim, n being Gumbel's noise; .hard: 1 at its largest, else 0
 *    d that of the softmax, if hard too (Jang et al., 2017)
 * usage: cr_gumbel_softmax(x), cr_gumbel_softmax(x, .tau = 0.5, .hard = true) */
typedef struct cr_gumbel_softmax_opts {
    const char *site CR_ZERO;
    double tau CR_ZERO; /* above 0; default 1 */
    bool hard CR_ZERO;
    cr_opt_int dim CR_ZERO; /* default the last */
} cr_gumbel_softmax_opts;
CR_API cr_tensor *cr_gumbel_softmax_at(cr_tensor *x, cr_gumbel_softmax_opts opts);
#define cr_gumbel_softmax(...)                               \
    cr_gumbel_softmax_at(CR_FIRST(__VA_ARGS__, 0),           \
                         CR_OPTS(cr_gumbel_softmax_opts, __VA_ARGS__))

CR_END
#endif
