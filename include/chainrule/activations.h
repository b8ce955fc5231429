/* Activations, element by element, apart from those in maps.h (relu, sigmoid, tanh, silu, gelu,
 * softplus, leaky_relu). Each line says what one computes and what it sends down. Floats. What
 * chooses loses no NaN: where its value is NaN, g passes. */
#ifndef CHAINRULE_ACTIVATIONS_H
#define CHAINRULE_ACTIVATIONS_H

#include "macros.h"

CR_BEGIN

#define CR_UNARY(name) CR_API cr_tensor *cr_##name##_at(cr_tensor *x, const char *site);

CR_UNARY(relu6)         /* min(max(x, 0), 6)             d g where 0 < x < 6, 0 at 0 and 6 */
#define cr_relu6(x) cr_relu6_at(x, CR_HERE)

/* min(max(x + 3, 0), 6) / 6    d g / 6 where -3 < x < 3, 0 at -3 and 3 */
CR_UNARY(hardsigmoid)
#define cr_hardsigmoid(x) cr_hardsigmoid_at(x, CR_HERE)

/* x hardsigmoid(x)    d 0 up to -3, g (2 x + 3) / 6 between, g from 3 on; Howard et al., 2019
 * NaN at -inf, as in PyTorch: -inf times 0. */
CR_UNARY(hardswish)
#define cr_hardswish(x) cr_hardswish_at(x, CR_HERE)

/* 1.0507.. elu(x) with alpha = 1.67326..    d likewise; Klambauer et al., 2017 */
CR_UNARY(selu)
#define cr_selu(x) cr_selu_at(x, CR_HERE)

CR_UNARY(softsign)      /* x / (1 + |x|), NaN at inf     d g / (1 + |x|)^2 */
#define cr_softsign(x) cr_softsign_at(x, CR_HERE)

CR_UNARY(tanhshrink)    /* x - tanh x                    d g tanh^2 x */
#define cr_tanhshrink(x) cr_tanhshrink_at(x, CR_HERE)

/* x w, w = tanh(ln(1 + e^x))    d g (w + x w'), w' = (1 - w^2) s, s the sigmoid; Misra, 2019
 * NaN at -inf, as in PyTorch: -inf times 0. */
CR_UNARY(mish)
#define cr_mish(x) cr_mish_at(x, CR_HERE)

CR_UNARY(logsigmoid)    /* ln(1 / (1 + e^-x))            d g sigmoid(-x), in all its digits */
#define cr_logsigmoid(x) cr_logsigmoid_at(x, CR_HERE)
#undef CR_UNARY

/* min(max(x, min_val), max_val)    d g strictly between the bounds, 0 at them and beyond
 * usage: cr_hardtanh(x), cr_hardtanh(x, .min_val = CR_REAL(0)) */
typedef struct cr_hardtanh_opts {
    const char *site CR_ZERO;
    cr_opt_real min_val CR_ZERO; /* default -1 */
    cr_opt_real max_val CR_ZERO; /* default 1 */
} cr_hardtanh_opts;
CR_API cr_tensor *cr_hardtanh_at(cr_tensor *x, cr_hardtanh_opts opts);
#define cr_hardtanh(...)                         \
    cr_hardtanh_at(CR_FIRST(__VA_ARGS__, 0),     \
                   CR_OPTS(cr_hardtanh_opts, __VA_ARGS__))

/* x where x > 0, else .alpha (e^x - 1)                d g, or g alpha e^x, also at 0
 * x where x > 0, else .alpha (e^(x / .alpha) - 1)     d g, or g e^(x / alpha), also at 0
 * Clevert et al., 2016, and Barron, 2017, whose alpha is not 0.
 * usage: cr_elu(x), cr_elu(x, .alpha = CR_REAL(0.5)),
 *        cr_celu(x), cr_celu(x, .alpha = CR_REAL(0.5)) */
typedef struct cr_elu_opts {
    const char *site CR_ZERO;
    cr_opt_real alpha CR_ZERO; /* default 1 */
} cr_elu_opts;
CR_API cr_tensor *cr_elu_at(cr_tensor *x, cr_elu_opts opts);
CR_API cr_tensor *cr_celu_at(cr_tensor *x, cr_elu_opts opts);
#define cr_elu(...) cr_elu_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_elu_opts, __VA_ARGS__))
#define cr_celu(...) cr_celu_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_elu_opts, __VA_ARGS__))

/* x - .lambd above lambd, x + lambd below -lambd, else 0    d g, and 0 where |x| <= lambd
 * x where |x| > .lambd, else 0                              d g, and 0 where |x| <= lambd
 * softshrink's lambd is not below 0.
 * usage: cr_softshrink(x), cr_softshrink(x, .lambd = CR_REAL(0)),
 *        cr_hardshrink(x), cr_hardshrink(x, .lambd = CR_REAL(1)) */
typedef struct cr_shrink_opts {
    const char *site CR_ZERO;
    cr_opt_real lambd CR_ZERO; /* default 0.5 */
} cr_shrink_opts;
CR_API cr_tensor *cr_softshrink_at(cr_tensor *x, cr_shrink_opts opts);
CR_API cr_tensor *cr_hardshrink_at(cr_tensor *x, cr_shrink_opts opts);
#define cr_softshrink(...)                         \
    cr_softshrink_at(CR_FIRST(__VA_ARGS__, 0),     \
                     CR_OPTS(cr_shrink_opts, __VA_ARGS__))
#define cr_hardshrink(...)                         \
    cr_hardshrink_at(CR_FIRST(__VA_ARGS__, 0),     \
                     CR_OPTS(cr_shrink_opts, __VA_ARGS__))

/* x where x > threshold, else value    d g, and 0 where x <= threshold; also integers */
CR_API cr_tensor *cr_threshold_at(cr_tensor *x, cr_arg threshold, cr_arg value,
                                  const char *site);
#define cr_threshold(x, threshold, value) \
    cr_threshold_at(x, CR_ARG(threshold), CR_ARG(value), CR_HERE)

/* x where x > 0, else weight x    d g, or g weight; the sum of g x where x <= 0
 * weight is one number, or [C], one for each channel of x [N, C, ..]; He et al., 2015. */
CR_API cr_tensor *cr_prelu_at(cr_tensor *x, cr_tensor *weight, const char *site);
#define cr_prelu(x, weight) cr_prelu_at(x, weight, CR_HERE)

/* a sigmoid(b), a and b being the halves of x along dim    d g s(b), g a s(b) s(-b)
 * The size of dim is even; Dauphin et al., 2017. */
CR_API cr_tensor *cr_glu_at(cr_tensor *x, int dim, const char *site);
#define cr_glu(x, dim) cr_glu_at(x, dim, CR_HERE)

CR_END
#endif
