/* Operations element by element: of one input, of two, selection, conversion.
 *
 * Broadcasting is NumPy's: shapes are aligned at the last dimension, and a size of 1 (or a missing
 * dimension) is repeated. A negative dim counts from the end. g is the cotangent that arrives
 * from above; what an operation sends down is written behind "d". */
#ifndef CHAINRULE_MAPS_H
#define CHAINRULE_MAPS_H

#include "macros.h"

CR_BEGIN

/* Element by element, one input; floats, unless said otherwise. Each line says what an operation
 * computes and what it sends down. What chooses (abs, relu, clamp, maximum..) loses no NaN: where
 * its value is NaN, g passes. */
#define CR_UNARY(name) CR_API cr_tensor *cr_##name##_at(cr_tensor *x, const char *site);

CR_UNARY(neg)           /* -x                            d -g                       also integers */
#define cr_neg(x) cr_neg_at(x, CR_HERE)

CR_UNARY(abs)           /* |x|                           d g sign(x), 0 at 0        also integers */
#define cr_abs(x) cr_abs_at(x, CR_HERE)

CR_UNARY(sign)          /* -1, 0, 1; 0 of NaN            d 0                        also integers */
#define cr_sign(x) cr_sign_at(x, CR_HERE)

/* Of integers these are the integers themselves. */
CR_UNARY(floor)         /* largest integer <= x          d 0                        also integers */
#define cr_floor(x) cr_floor_at(x, CR_HERE)

CR_UNARY(ceil)          /* smallest integer >= x         d 0                        also integers */
#define cr_ceil(x) cr_ceil_at(x, CR_HERE)

CR_UNARY(trunc)         /* x without its fraction        d 0                        also integers */
#define cr_trunc(x) cr_trunc_at(x, CR_HERE)

CR_UNARY(frac)          /* x - trunc(x)                  d g */
#define cr_frac(x) cr_frac_at(x, CR_HERE)

CR_UNARY(exp)           /* e^x                           d g e^x */
#define cr_exp(x) cr_exp_at(x, CR_HERE)

CR_UNARY(expm1)         /* e^x - 1                       d g e^x */
#define cr_expm1(x) cr_expm1_at(x, CR_HERE)

CR_UNARY(log)           /* ln x                          d g / x */
#define cr_log(x) cr_log_at(x, CR_HERE)

CR_UNARY(log2)          /* log2 x                        d g / (x ln 2) */
#define cr_log2(x) cr_log2_at(x, CR_HERE)

CR_UNARY(log1p)         /* ln(1 + x)                     d g / (1 + x) */
#define cr_log1p(x) cr_log1p_at(x, CR_HERE)

CR_UNARY(sqrt)          /* x^(1/2)                       d g / (2 sqrt x), inf at 0 */
#define cr_sqrt(x) cr_sqrt_at(x, CR_HERE)

CR_UNARY(rsqrt)         /* x^(-1/2)                      d -g x^(-3/2) / 2 */
#define cr_rsqrt(x) cr_rsqrt_at(x, CR_HERE)

CR_UNARY(square)        /* x^2                           d 2 g x                    also integers */
#define cr_square(x) cr_square_at(x, CR_HERE)

CR_UNARY(reciprocal)    /* 1/x                           d -g / x^2 */
#define cr_reciprocal(x) cr_reciprocal_at(x, CR_HERE)

CR_UNARY(exp2)          /* 2^x                           d g 2^x ln 2 */
#define cr_exp2(x) cr_exp2_at(x, CR_HERE)

CR_UNARY(log10)         /* log10 x                       d g / (x ln 10) */
#define cr_log10(x) cr_log10_at(x, CR_HERE)

CR_UNARY(sinh)          /* (e^x - e^-x)/2                d g cosh x */
#define cr_sinh(x) cr_sinh_at(x, CR_HERE)

CR_UNARY(cosh)          /* (e^x + e^-x)/2                d g sinh x */
#define cr_cosh(x) cr_cosh_at(x, CR_HERE)

CR_UNARY(asinh)         /* ln(x + sqrt(x^2 + 1))         d g / sqrt(x^2 + 1) */
#define cr_asinh(x) cr_asinh_at(x, CR_HERE)

CR_UNARY(acosh)         /* ln(x + sqrt(x^2 - 1))         d g / sqrt(x^2 - 1), inf at 1 */
#define cr_acosh(x) cr_acosh_at(x, CR_HERE)

CR_UNARY(atanh)         /* ln((1 + x)/(1 - x))/2         d g / (1 - x^2), inf at 1 and -1 */
#define cr_atanh(x) cr_atanh_at(x, CR_HERE)

CR_UNARY(sin)           /* sine, radians                 d g cos x */
#define cr_sin(x) cr_sin_at(x, CR_HERE)

CR_UNARY(cos)           /* cosine, radians               d -g sin x */
#define cr_cos(x) cr_cos_at(x, CR_HERE)

CR_UNARY(tan)           /* tangent, radians              d g (1 + tan^2 x) */
#define cr_tan(x) cr_tan_at(x, CR_HERE)

CR_UNARY(asin)          /* -pi/2..pi/2; NaN off [-1, 1]  d g / sqrt(1 - x^2), inf at 1 and -1 */
#define cr_asin(x) cr_asin_at(x, CR_HERE)

CR_UNARY(acos)          /* 0..pi; NaN off [-1, 1]        d -g / sqrt(1 - x^2), -inf at 1 and -1 */
#define cr_acos(x) cr_acos_at(x, CR_HERE)

CR_UNARY(atan)          /* -pi/2..pi/2                   d g / (1 + x^2) */
#define cr_atan(x) cr_atan_at(x, CR_HERE)

CR_UNARY(sinc)          /* sin(pi x)/(pi x), 1 at 0      d g (cos(pi x) - sinc x)/x, 0 at 0 */
#define cr_sinc(x) cr_sinc_at(x, CR_HERE)

/* The gradients of sigmoid and tanh in f32 are made of the result, which the next layer keeps
 * anyway. Their absolute error is at most 1.1 2^-24 g (tanh: 2^-23 g), but what is left of a small
 * 1 - result has few digits: they are 1% off from x = 12.7 on and 0 from 17.3 on (tanh: |x| = 6.7
 * and 9.01); sigmoid's below 0 has all its digits. Made of x, as in f64, they would be right to the
 * last digits everywhere, at 2% more time and up to twice the memory of activations in a deep stack
 * of layers. Who needs the digits takes f64: cr_cast(cr_sigmoid(cr_cast(x, CR_F64)), CR_F32). */
CR_UNARY(tanh)          /* hyperbolic tangent            d g (1 - tanh^2 x) */
#define cr_tanh(x) cr_tanh_at(x, CR_HERE)

CR_UNARY(sigmoid)       /* 1 / (1 + e^-x)                d g s (1 - s) */
#define cr_sigmoid(x) cr_sigmoid_at(x, CR_HERE)

CR_UNARY(erf)           /* 2/sqrt(pi) int_0^x e^(-t^2)   d g 2/sqrt(pi) e^(-x^2) */
#define cr_erf(x) cr_erf_at(x, CR_HERE)

CR_UNARY(erfc)          /* 1 - erf x                     d -g 2/sqrt(pi) e^(-x^2) */
#define cr_erfc(x) cr_erfc_at(x, CR_HERE)

CR_UNARY(erfinv)        /* erf y = x; NaN off [-1, 1]    d g sqrt(pi)/2 e^(y^2), inf at 1 and -1 */
#define cr_erfinv(x) cr_erfinv_at(x, CR_HERE)

/* Both are right to the last digits of what they are, but next to their zeros below 0, where they
 * are so to the last digits of 1. At whole numbers from 0 downwards lgamma is inf and digamma NaN,
 * at 0 -inf (at -0 inf). */
CR_UNARY(lgamma)        /* ln |Gamma(x)|                 d g digamma x */
#define cr_lgamma(x) cr_lgamma_at(x, CR_HERE)

CR_UNARY(digamma)       /* Gamma'(x)/Gamma(x)            d g trigamma x; all derivatives exist */
#define cr_digamma(x) cr_digamma_at(x, CR_HERE)

CR_UNARY(relu)          /* max(x, 0); NaN of NaN         d g where x > 0, 0 at 0 */
#define cr_relu(x) cr_relu_at(x, CR_HERE)

/* silu: Elfwing et al., 2018 */
CR_UNARY(silu)          /* x s(x), s the sigmoid         d g (s + x s (1 - s)) */
#define cr_silu(x) cr_silu_at(x, CR_HERE)

CR_UNARY(logical_not)   /* x == 0, a bool                d none                     any type */
#define cr_logical_not(x) cr_logical_not_at(x, CR_HERE)

CR_UNARY(isnan)         /* whether x is NaN, a bool      d none                     any type */
#define cr_isnan(x) cr_isnan_at(x, CR_HERE)

CR_UNARY(isinf)         /* whether x is infinite         d none                     any type */
#define cr_isinf(x) cr_isinf_at(x, CR_HERE)

CR_UNARY(isfinite)      /* whether x is neither          d none                     any type */
#define cr_isfinite(x) cr_isfinite_at(x, CR_HERE)
#undef CR_UNARY

/* The nearest integer, the even one of two    d 0; also integers
 * With .decimals = d that of 10^d x, divided by 10^d; below 0 before the point. Floats then.
 * usage: cr_round(x), cr_round(x, .decimals = 2) */
typedef struct cr_round_opts {
    const char *site CR_ZERO;
    int64_t decimals CR_ZERO;
} cr_round_opts;
CR_API cr_tensor *cr_round_at(cr_tensor *x, cr_round_opts opts);
#define cr_round(...)                         \
    cr_round_at(CR_FIRST(__VA_ARGS__, 0),     \
                CR_OPTS(cr_round_opts, __VA_ARGS__))

/* x with numbers in place of what is none    d g, and 0 where a number stands for x
 * NaN becomes .nan (0), the infinities .posinf and .neginf (the type's largest and least).
 * Integers stay what they are.
 * usage: cr_nan_to_num(x), cr_nan_to_num(x, .posinf = CR_REAL(0)) */
typedef struct cr_nan_to_num_opts {
    const char *site CR_ZERO;
    cr_opt_real nan CR_ZERO;
    cr_opt_real posinf CR_ZERO;
    cr_opt_real neginf CR_ZERO;
} cr_nan_to_num_opts;
CR_API cr_tensor *cr_nan_to_num_at(cr_tensor *x, cr_nan_to_num_opts opts);
#define cr_nan_to_num(...)                         \
    cr_nan_to_num_at(CR_FIRST(__VA_ARGS__, 0),     \
                     CR_OPTS(cr_nan_to_num_opts, __VA_ARGS__))

/* x where x > 0, negative_slope x elsewhere    d g, or g negative_slope: also at 0 and of NaN. With
 * slope 0 -inf becomes NaN, 0 times infinity; relu has 0 there. */
CR_API cr_tensor *cr_leaky_relu_at(cr_tensor *x, double negative_slope, const char *site);
#define cr_leaky_relu(x, negative_slope) cr_leaky_relu_at(x, negative_slope, CR_HERE)

/* ln(1 + e^(beta x)) / beta; x where beta x > threshold      d g s(beta x), s the sigmoid; or g
 * usage: cr_softplus(x), cr_softplus(x, .beta = 2, .threshold = CR_REAL(0)) */
typedef struct cr_softplus_opts {
    const char *site CR_ZERO;
    double beta CR_ZERO;           /* above 0; default 1 */
    cr_opt_real threshold CR_ZERO; /* default 20 */
} cr_softplus_opts;
CR_API cr_tensor *cr_softplus_at(cr_tensor *x, cr_softplus_opts opts);
#define cr_softplus(...)                         \
    cr_softplus_at(CR_FIRST(__VA_ARGS__, 0),     \
                   CR_OPTS(cr_softplus_opts, __VA_ARGS__))

/* ln(x / (1 - x)), of x kept from eps to 1 - eps: NaN off [0, 1] without eps
 * d g / (x (1 - x)), inf at 0 and 1; with eps 0 where x is beyond a bound, g's at both bounds
 * usage: cr_logit(x), cr_logit(x, .eps = CR_REAL(1e-6)) */
typedef struct cr_logit_opts {
    const char *site CR_ZERO;
    cr_opt_real eps CR_ZERO; /* default: x is taken as it is */
} cr_logit_opts;
CR_API cr_tensor *cr_logit_at(cr_tensor *x, cr_logit_opts opts);
#define cr_logit(...)                         \
    cr_logit_at(CR_FIRST(__VA_ARGS__, 0),     \
                CR_OPTS(cr_logit_opts, __VA_ARGS__))

/* x Phi(x) with the normal distribution function Phi(x) = (1 + erf(x/sqrt 2))/2, or with
 * .approximate = CR_APPROXIMATE_TANH: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
 * d g (Phi(x) + x phi(x)), phi the density; Hendrycks and Gimpel, 2016.
 * usage: cr_gelu(x), cr_gelu(x, .approximate = CR_APPROXIMATE_TANH) */
typedef enum cr_approximate { CR_APPROXIMATE_NONE = 0, CR_APPROXIMATE_TANH } cr_approximate;
typedef struct cr_gelu_opts {
    const char *site CR_ZERO;
    cr_approximate approximate CR_ZERO;
} cr_gelu_opts;
CR_API cr_tensor *cr_gelu_at(cr_tensor *x, cr_gelu_opts opts);
#define cr_gelu(...)                         \
    cr_gelu_at(CR_FIRST(__VA_ARGS__, 0),     \
               CR_OPTS(cr_gelu_opts, __VA_ARGS__))

/* Element by element, two operands: tensors or C numbers in either place, at least one tensor.
 * Of tensors of different types bools and integers take the other's float type, and of
 * bool < u8 < i32 < i64 the wider one is taken; two float types are an error: cr_cast(). Integers
 * and bools divide as f32; pow takes floats. A number takes the tensor's dtype and must be a value
 * of it (a float rounds it): to multiply integers by 0.5, cast them. Shapes broadcast.
 * Comparisons give bools, take any two types and are exact, also of a float with an integer that
 * its type does not hold (2^53 + 1); logical ones take any types, too. */
#define CR_BINARY(name) \
    CR_API cr_tensor *cr_##name##_at(cr_arg x, cr_arg other, const char *site);

CR_BINARY(add)          /* x + other                     d g, g */
#define cr_add(x, other) cr_add_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(sub)          /* x - other                     d g, -g */
#define cr_sub(x, other) cr_sub_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(mul)          /* x other; bools: and           d g other, g x */
#define cr_mul(x, other) cr_mul_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(div)          /* x / other                     d g / other, -g x / other^2 */
#define cr_div(x, other) cr_div_at(CR_ARG(x), CR_ARG(other), CR_HERE)

/* x^exponent, e; 0^0 is 1    d g e x^(e-1), g x^e ln x; 0 and 0 at 0^0
 * Towards x also 0 where the exponent is 0, of NaN too; towards the exponent 0 where x is 0. */
CR_API cr_tensor *cr_pow_at(cr_arg x, cr_arg exponent, const char *site);
#define cr_pow(x, exponent) cr_pow_at(CR_ARG(x), CR_ARG(exponent), CR_HERE)

CR_BINARY(hypot)        /* sqrt(x^2 + other^2)           d g x / h, g other / h; 0 at the origin */
#define cr_hypot(x, other) cr_hypot_at(CR_ARG(x), CR_ARG(other), CR_HERE)

/* The angle of the point (other, x), from -pi to pi      d g other / h^2, -g x / h^2; h = hypot,
 * 0 and 0 at the origin. */
CR_BINARY(atan2)
#define cr_atan2(x, other) cr_atan2_at(CR_ARG(x), CR_ARG(other), CR_HERE)

/* ln(e^x + e^other)          d g s(x - other), g s(other - x), s the sigmoid; of two equal
 * infinities half each, of two -inf 0 */
CR_BINARY(logaddexp)
#define cr_logaddexp(x, other) cr_logaddexp_at(CR_ARG(x), CR_ARG(other), CR_HERE)

/* x ln other, and 0 where x is 0, but NaN if other is    d g ln other, g x / other; where x is 0
 * and other is not above 0: 0 and 0 */
CR_BINARY(xlogy)
#define cr_xlogy(x, other) cr_xlogy_at(CR_ARG(x), CR_ARG(other), CR_HERE)

/* Division with a rest. Of integers the result is one, and a zero in other is an error of the call
 * or, in a tensor, of the run. fmod's rest is exact and has the sign of x, remainder's has that of
 * other. q, how often other is taken away, is an integer, and constant to the gradient. */
CR_BINARY(fmod)         /* x - other trunc(x / other)    d g, -g q                  also integers */
#define cr_fmod(x, other) cr_fmod_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(remainder)    /* x - other floor(x / other)    d g, -g q                  also integers */
#define cr_remainder(x, other) cr_remainder_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(floor_divide) /* floor(x / other)              d 0, 0                     also integers */
#define cr_floor_divide(x, other) cr_floor_divide_at(CR_ARG(x), CR_ARG(other), CR_HERE)

/* |x| with the sign of other, -0 included    d g, or -g where x had the other sign, 0 at x = 0; 0
 * Integers give f32. */
CR_BINARY(copysign)
#define cr_copysign(x, other) cr_copysign_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(maximum)      /* the larger; NaN wins          d g to the larger, g/2 each if equal */
#define cr_maximum(x, other) cr_maximum_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(minimum)      /* the smaller; NaN wins         d g to the smaller, g/2 each if equal */
#define cr_minimum(x, other) cr_minimum_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(eq)           /* x == other                    d none */
#define cr_eq(x, other) cr_eq_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(ne)           /* x != other                    d none */
#define cr_ne(x, other) cr_ne_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(lt)           /* x < other                     d none */
#define cr_lt(x, other) cr_lt_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(le)           /* x <= other                    d none */
#define cr_le(x, other) cr_le_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(gt)           /* x > other                     d none */
#define cr_gt(x, other) cr_gt_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(ge)           /* x >= other                    d none */
#define cr_ge(x, other) cr_ge_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(logical_and)  /* x != 0 and other != 0         d none */
#define cr_logical_and(x, other) cr_logical_and_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(logical_or)   /* x != 0 or other != 0          d none */
#define cr_logical_or(x, other) cr_logical_or_at(CR_ARG(x), CR_ARG(other), CR_HERE)

CR_BINARY(logical_xor)  /* (x != 0) != (other != 0)      d none */
#define cr_logical_xor(x, other) cr_logical_xor_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#undef CR_BINARY

/* x where the bool tensor condition is true, else other    d g there, 0 elsewhere; likewise other
 * Any type, different ones as above; of two numbers i64 if both are integers, else f32.
 * The branch that is not taken is computed too, and what is infinite in its derivative there meets
 * a cotangent of 0: the gradient of where(x > 0, sqrt(x), 0) at x <= 0 is NaN, as everywhere. Keep
 * its argument inside before: where(x > 0, sqrt(clamp(x, 1e-12, INFINITY)), 0). */
CR_API cr_tensor *cr_where_at(cr_tensor *condition, cr_arg x, cr_arg other,
                              const char *site);
#define cr_where(condition, x, other) \
    cr_where_at(condition, CR_ARG(x), CR_ARG(other), CR_HERE)

/* min(max(x, min), max)    d g strictly between the bounds and of NaN, 0 at the bounds and beyond
 * For numbers min and max, -INFINITY and INFINITY for none; NaN stays NaN. Any number type. */
CR_API cr_tensor *cr_clamp_at(cr_tensor *x, cr_arg min, cr_arg max, const char *site);
#define cr_clamp(x, min, max) cr_clamp_at(x, CR_ARG(min), CR_ARG(max), CR_HERE)

/* x + weight (end - x)    d g (1 - weight), g weight, g (end - x)
 * Made from the nearer end, so that it is x at weight 0 and end at 1. All broadcast; weight may be
 * a number. Floats. */
CR_API cr_tensor *cr_lerp_at(cr_tensor *x, cr_tensor *end, cr_arg weight, const char *site);
#define cr_lerp(x, end, weight) cr_lerp_at(x, end, CR_ARG(weight), CR_HERE)

/* x + value a b    d g, g value b, g value a
 * x + value a / b    d g, g value / b, -g value a / b^2
 * All broadcast. addcmul takes integers, too, and then an integer .value; addcdiv divides them as
 * f32.
 * usage: cr_addcmul(x, a, b), cr_addcmul(x, a, b, .value = CR_REAL(0.5)),
 *        cr_addcdiv(x, a, b), cr_addcdiv(x, a, b, .value = CR_REAL(-1)) */
typedef struct cr_addc_opts {
    const char *site CR_ZERO;
    cr_opt_real value CR_ZERO; /* default 1 */
} cr_addc_opts;
CR_API cr_tensor *cr_addcmul_at(cr_tensor *x, cr_tensor *a, cr_tensor *b, cr_addc_opts opts);
#define cr_addcmul(x, a, ...)                          \
    cr_addcmul_at(x, a, CR_FIRST(__VA_ARGS__, 0),      \
                  CR_OPTS(cr_addc_opts, __VA_ARGS__))
CR_API cr_tensor *cr_addcdiv_at(cr_tensor *x, cr_tensor *a, cr_tensor *b, cr_addc_opts opts);
#define cr_addcdiv(x, a, ...)                          \
    cr_addcdiv_at(x, a, CR_FIRST(__VA_ARGS__, 0),      \
                  CR_OPTS(cr_addc_opts, __VA_ARGS__))

/* x as another element type, as C converts    d g, cast back; between floats
 * To bool: x != 0. A float that the integer type cannot hold becomes its nearest value, NaN
 * becomes 0. */
CR_API cr_tensor *cr_cast_at(cr_tensor *x, cr_dtype dtype, const char *site);
#define cr_cast(x, dtype) cr_cast_at(x, dtype, CR_HERE)

CR_END
#endif
