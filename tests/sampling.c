/* Random numbers: their distributions, by Kolmogorov and Smirnov's distance, moments
 * and frequencies, at fixed seeds; their derivatives; that threads, modes and
 * computing again change nothing. */
#include "engine.h"
#include <math.h>
#include <stdlib.h>

enum { DRAWS = 20000, STEPS = 100 };

/* ---- distribution functions ---- */

typedef double cdf_fn(double x, double a, double b);

static double normal_cdf(double x, double mean, double std)
{
    return erfc((mean - x) / (std * sqrt(2))) / 2;
}

static double uniform_cdf(double x, double low, double high)
{
    return (x - low) / (high - low);
}

static double exponential_cdf(double x, double rate, double unused)
{
    (void)unused;
    return -expm1(-rate * x);
}

/* By its series. */
static double gamma_cdf(double x, double a, double rate)
{
    double t = 1 / a, sum = t;
    x *= rate;
    for (int n = 1; n < 2000; n++)
        sum += t *= x / (a + n);
    return x > 0 ? sum * exp(a * log(x) - x - lgamma(a)) : 0;
}

/* The density's integral from 0, by midpoints of y; below 1 of t = y^a, by which the
 * density is bounded at 0. */
static double beta_part(double x, double a, double b)
{
    double sum = 0, power = a < 1 ? a : 1, top = pow(x, power);
    for (int i = 0; i < STEPS; i++) {
        double y = (i + 0.5) / STEPS * top;
        y = a < 1 ? pow(y, 1 / a) : y;
        sum += pow(1 - y, b - 1) * (a > 1 ? pow(y, a - 1) : 1);
    }
    return sum / STEPS * top / power * exp(lgamma(a + b) - lgamma(a) - lgamma(b));
}

static double beta_cdf(double x, double a, double b)
{
    return x <= 0.5 ? beta_part(x, a, b) : 1 - beta_part(1 - x, b, a);
}

/* ---- distances ---- */

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The largest distance to the distribution function, times sqrt(n): above 1.95 once in
 * 1000. */
static void is_distributed(cr_tensor *x, cdf_fn *cdf, double a, double b,
                           const char *what)
{
    static double values[DRAWS];
    int64_t n = cr_numel(x);
    double distance = 0;
    cr_read(cr_cast(x, CR_F64), values, sizeof values);
    qsort(values, (size_t)n, sizeof *values, ascending);
    for (int64_t i = 0; i < n; i++) {
        double f = cdf(values[i], a, b);
        distance = fmax(distance,
                        fmax((double)(i + 1) / (double)n - f, f - (double)i / (double)n));
    }
    ok(distance * sqrt((double)n) < 1.95 && !cr_error(cr_ctx_of(x)),
       "%s(%g, %g): the distance times sqrt(n) is %.3f", what, a, b,
       distance * sqrt((double)n));
}

static void distributions(cr_ctx *ctx, cr_dtype dtype)
{
    static const double parameters[][2] = { { 0.1, 1 }, { 0.7, 2 }, { 1, 0.5 },
                                            { 3.5, 1 }, { 40, 3 },  { 600, 1 } };
    const cr_dims all = CR_DIMS(DRAWS);
    CR_SCOPE(ctx);
    cr_seed(ctx, 17);
    is_distributed(cr_normal(cr_full(ctx, all, -1, .dtype = dtype), 3), normal_cdf, -1, 3,
                   "normal");
    is_distributed(cr_uniform(cr_full(ctx, all, -1, .dtype = dtype), 3), uniform_cdf, -1,
                   3, "uniform");
    is_distributed(cr_exponential(cr_full(ctx, all, 2.5, .dtype = dtype)),
                   exponential_cdf, 2.5, 0, "exponential");
    for (int i = 0; i < 6; i++) {
        double a = parameters[i][0], b = parameters[i][1];
        cr_tensor *x = cr_full(ctx, all, a, .dtype = dtype);
        is_distributed(cr_gamma(x, b), gamma_cdf, a, b, "gamma");
        if (a < 100 && dtype == CR_F64)
            is_distributed(cr_beta(x, b), beta_cdf, a, b, "beta");
    }
}

/* Both parameters of 0.01 put half of it near 0 and half near 1, and nothing where it
 * cannot be told from them by their logarithms alone. */
static void small_concentrations(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *a = cr_full(ctx, CR_DIMS(DRAWS), 0.001), *x = cr_beta(a, 0.001);
    double low = cr_item(cr_mean(cr_cast(cr_lt(x, 0.5), CR_F64)));
    ok(fabs(low - 0.5) < 0.01, "beta(0.001, 0.001): %g lie below 1/2", low);
    is_int(cr_item_i64(cr_sum(cr_isnan(x))), 0, "and none is NaN");
    cr_requires_grad(a);
    cr_backward(cr_sum(cr_beta(a, 0.001)));
    is_int(cr_item_i64(cr_sum(cr_isnan(cr_grad(a)))), 0, "nor has a gradient that is");
}

/* ---- frequencies ---- */

/* Pearson's sum of counts against their probabilities, for k - 1 degrees of freedom;
 * the bound is exceeded once in 1000. */
static void is_frequent(cr_tensor *index, const double *p, int k, const char *what)
{
    cr_tensor *counts = cr_bincount(cr_reshape(index, CR_DIMS(-1)), .minlength = k);
    const int64_t *count = cr_data(counts);
    double n = (double)cr_numel(index), sum = 0,
           bound = k - 1 + 3.1 * sqrt(2.0 * (k - 1)) + 5;
    bool none = true;
    for (int i = 0; i < k && count; i++)
        if (p[i] > 0)
            sum += ((double)count[i] - n * p[i]) * ((double)count[i] - n * p[i]) /
                   (n * p[i]);
        else
            none = none && count[i] == 0;
    ok(count && none && sum < bound, "%s: chi squared is %.2f", what, sum);
}

static void frequencies(cr_ctx *ctx)
{
    static const double p[] = { 0.1, 0, 0.4, 0.05, 0.45 },
                        even[] = { 0.25, 0.25, 0.25, 0.25 };
    /* Of two draws without replacement, the second: sum of p_i p_j / (1 - p_i). */
    double second[5] = { 0 };
    for (int j = 0; j < 5; j++)
        for (int i = 0; i < 5; i++)
            second[j] += i == j ? 0 : p[i] * p[j] / (1 - p[i]);
    CR_SCOPE(ctx);
    cr_seed(ctx, 5);
    cr_tensor *weights = cr_mul(cr_from(ctx, CR_F64, CR_DIMS(5), p), 7);
    cr_tensor *rows = cr_expand(weights, CR_DIMS(20000, 5));
    is_frequent(cr_multinomial(weights, 20000, .replacement = true), p, 5, "multinomial");
    cr_tensor *pairs = cr_multinomial(rows, 2);
    is_frequent(cr_select(pairs, 1, 0), p, 5, "the first without replacement");
    is_frequent(cr_select(pairs, 1, 1), second, 5, "the second");
    is_int(cr_item_i64(cr_sum(cr_eq(cr_select(pairs, 1, 0), cr_select(pairs, 1, 1)))), 0,
           "never the same");
    cr_tensor *logits = cr_log(rows);
    is_frequent(cr_categorical(logits), p, 5, "categorical");
    is_frequent(cr_argmax(cr_gumbel_softmax(logits), -1), p, 5, "gumbel_softmax");
    is_frequent(cr_argmax(cr_gumbel_softmax(logits, .hard = true), -1), p, 5,
                "the hard one");
    is_frequent(cr_add(cr_randint(ctx, -3, 1, CR_DIMS(20000)), 3), even, 4, "randint");
    cr_tensor *first[2000];
    for (int i = 0; i < 2000; i++)
        first[i] = cr_select(cr_randperm(ctx, 4), 0, 2);
    is_frequent(cr_stack(first, 2000, 0), even, 4, "a place of randperm");
}

/* ---- derivatives ---- */

/* -(dF/da) / (dF/dx) of the gamma distribution, by mpmath with 60 digits. */
static const double slopes[][3] = {
    { 0.001, 1e-200, 4.5994144666699882e-195 },
    { 0.01, 1e-30, 6.85166673319527e-27 },
    { 0.1, 0.5, 5.1196915672094697 },
    { 0.5, 0.0001, 0.0018494982546518135 },
    { 0.5, 1.7, 2.3565769355158444 },
    { 1, 0.3, 0.59577846565618241 },
    { 1, 40, 4.2904992340950977 },
    { 2.5, 2.5, 1.0686730199876306 },
    { 10, 3, 0.52421196060143801 },
    { 10, 30, 1.6746941162593883 },
    { 150, 150.4, 1.0024454806250352 },
    { 2000, 1900, 0.97465380457854021 },
    { 9000, 9300, 1.0165033308378339 },
    { 12000, 11800, 0.99163375315034111 },
    { 1000000.0, 1003000, 1.0014986691623419 },
};

static void derivatives(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    double worst = 0, worst_log = 0;
    for (size_t i = 0; i < sizeof slopes / sizeof slopes[0]; i++) {
        double a = slopes[i][0], x = slopes[i][1], want = slopes[i][2];
        cr_tensor *in[] = { cr_scalar(ctx, a, .dtype = CR_F64),
                            cr_scalar(ctx, x, .dtype = CR_F64) },
                  *y;
        cr_call(ctx, cr_op_find("gamma_slope"), in, 2, NULL, &y, 1);
        worst = fmax(worst, fabs(cr_item(y) / want - 1));
        in[1] = cr_log(in[1]);
        cr_call(ctx, cr_op_find("gamma_slope"), in, 2, "log=true", &y, 1);
        worst_log = fmax(worst_log, fabs(cr_item(y) * x / want - 1));
    }
    ok(worst < 1e-11, "the derivative by the concentration: off by %.1e at most", worst);
    ok(worst_log < 1e-11, "that of the logarithm: %.1e", worst_log);
}

/* The mean of a gamma variable is a / rate, that of beta a / (a + b): their gradients
 * are the means of those of the draws. */
static void mean_gradients(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_seed(ctx, 3);
    const cr_dims all = CR_DIMS(DRAWS);
    for (int i = 0; i < 3; i++) {
        double a = (double[]){ 0.3, 2, 30 }[i], b = 1.5;
        cr_tensor *x = cr_requires_grad(cr_scalar(ctx, a, .dtype = CR_F64));
        cr_tensor *y = cr_requires_grad(cr_scalar(ctx, b, .dtype = CR_F64));
        cr_backward(cr_mean(cr_gamma(cr_expand(x, all), cr_expand(y, all))));
        is_near(cr_item(cr_grad(x)), 1 / b, 0.02, "d mean / d concentration at %g", a);
        is_near(cr_item(cr_grad(y)), -a / (b * b), 0.02 * a, "d mean / d rate");
        cr_zero_grad(x);
        cr_zero_grad(y);
        cr_backward(cr_mean(cr_beta(cr_expand(x, all), cr_expand(y, all))));
        is_near(cr_item(cr_grad(x)), b / ((a + b) * (a + b)), 0.01, "d beta's mean");
        is_near(cr_item(cr_grad(y)), -a / ((a + b) * (a + b)), 0.01, "by the other");
    }
    ok(!cr_error(ctx), "no error: %s", cr_message(ctx));
}

/* ---- the same whatever computes them ---- */

static double all_of(cr_ctx *ctx)
{
    cr_seed(ctx, 99);
    cr_tensor *a = cr_full(ctx, CR_DIMS(3000), 0.8);
    cr_tensor *x = cr_gamma(a, 2), *y = cr_beta(a, 3), *z = cr_exponential(a);
    cr_tensor *i = cr_multinomial(cr_reshape(a, CR_DIMS(300, 10)), 4);
    double sum = cr_item(cr_sum(cr_cast(i, CR_F64)));
    sum += cr_item(cr_sum(cr_mul(cr_normal(x, y), cr_uniform(y, z))));
    return sum + cr_item(cr_sum(cr_mul(x, x)));
}

static void same_everywhere(void)
{
    static const cr_options ways[] = { { .threads = 1 },
                                       { .threads = 4 },
                                       { .threads = 3, .eager = true } };
    double first = 0;
    for (int i = 0; i < 3; i++) {
        cr_ctx *ctx = cr_open(&ways[i]);
        double got = all_of(ctx);
        first = i ? first : got;
        ok(got == first && isfinite(got), "the same numbers: %.17g", got);
        cr_close(ctx);
    }
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    distributions(ctx, CR_F64);
    distributions(ctx, CR_F32);
    small_concentrations(ctx);
    frequencies(ctx);
    derivatives(ctx);
    mean_gradients(ctx);
    same_everywhere();
    cr_close(ctx);
    return done_testing();
}
