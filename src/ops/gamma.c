/* Random numbers with a gamma and a beta distribution, and their derivatives. A draw
 * is a function of the seed, its number and the element, as those of random.c are; it
 * and its derivative are computed in f64, whatever the type. */
#include "../kernel/philox.h"
#include "opaque.h"
#include "ops.h"

#include <math.h>
#include <string.h>

/* ---- functions of f64 ---- */

/* Those of the library, whose bits no libm changes. */
typedef struct f64_functions {
    cr__map_fn *log, *exp, *digamma;
} f64_functions;

static f64_functions find_functions(void)
{
    return (f64_functions){ cr__map_find(CR__MAP_log, CR_F64, CR_F64),
                            cr__map_find(CR__MAP_exp, CR_F64, CR_F64),
                            cr__map_find(CR__MAP_digamma, CR_F64, CR_F64) };
}

static double value_of(cr__map_fn *f, double x)
{
    const void *from[] = { &x };
    const int64_t step[] = { 1 };
    double y;
    f(&y, from, step, 1);
    return y;
}

/* ---- draws ---- */

/* Uniform numbers for one element: its own blocks of the draw. */
typedef struct stream {
    cr__random_params key;
    uint64_t block;
    uint32_t words[4];
    int left; /* numbers in words */
} stream;

static double next_uniform(stream *s)
{
    if (s->left == 0) {
        cr__philox(s->words, s->block, s->key.draw, s->key.seed);
        s->block += UINT64_C(1) << 48;
        s->left = 2;
    }
    return cr__uniform53(s->words + 2 * --s->left);
}

/* Marsaglia's polar method (1964). */
static double next_normal(stream *s, const f64_functions *f)
{
    double x, square;
    do {
        double y = 2 * next_uniform(s) - 1;
        x = 2 * next_uniform(s) - 1;
        square = x * x + y * y;
    } while (square >= 1 || square == 0);
    return x * sqrt(-2 * value_of(f->log, square) / square);
}

/* The logarithm of a draw: G. Marsaglia and W. W. Tsang, "A simple method for
 * generating gamma variables", 2000. Below 1 that of a + 1, times u^(1/a). */
static double log_gamma_draw(double a, stream *s, const f64_functions *f, double *value)
{
    double d = (a < 1 ? a + 1 : a) - 1. / 3, c = 1 / sqrt(9 * d), v, log_v;
    for (;;) {
        double x = next_normal(s, f), t = 1 + c * x;
        if (t <= 0)
            continue;
        v = t * t * t;
        log_v = value_of(f->log, v);
        double u = 1 - next_uniform(s);
        if (u < 1 - 0.0331 * (x * x) * (x * x) ||
            value_of(f->log, u) < 0.5 * x * x + d * (1 - v + log_v))
            break;
    }
    double y = value_of(f->log, d) + log_v;
    if (a < 1)
        y += value_of(f->log, 1 - next_uniform(s)) / a;
    *value = a < 1 ? value_of(f->exp, y) : d * v;
    return y;
}

/* ---- derivatives ---- */

/* From here on the quantile's expansion is as good as the sums. */
#define FAR 10000

/* d ln x / da where the distribution function stays the same, for large a: of Cornish
 * and Fisher's expansion at that normal quantile z (Abramowitz and Stegun 26.2.50 for
 * this distribution). */
static double far_slope(double a, double x)
{
    double s = sqrt(a), z = (x - a) / s;
    for (int i = 0; i < 4; i++) {
        double z2 = z * z;
        double at = a + s * z + (z2 - 1) / 3 + z * (z2 - 7) / (36 * s) -
                    (z2 * (6 * z2 + 14) - 32) / (1620 * a) +
                    z * (z2 * (9 * z2 + 256) - 433) / (38880 * a * s);
        z -= (at - x) / (s + 2 * z / 3 + (3 * z2 - 7) / (36 * s));
    }
    double z2 = z * z;
    double slope = 1 + z / (2 * s) - z * (z2 - 7) / (72 * a * s) +
                   (z2 * (6 * z2 + 14) - 32) / (1620 * a * a) -
                   z * (z2 * (9 * z2 + 256) - 433) / (25920 * a * a * s);
    return slope / x;
}

/* The same for x up to about a: with P = x^a e^-x sum x^n / gamma(a + n + 1),
 *     -dP/da / (x dP/dx) = sum x^n / (a (a + 1) .. (a + n)) (psi(a + n + 1) - ln x) */
static double near_slope(const f64_functions *f, double a, double x, double log_x)
{
    double t = 1 / a, psi = value_of(f->digamma, a + 1), sum = t * (psi - log_x);
    for (int n = 1; n < 10000; n++) {
        t *= x / (a + n);
        psi += 1 / (a + n);
        sum += t * (psi - log_x);
        if (a + n > x && t * (fabs(psi - log_x) + 1) < 0x1p-56 * fabs(sum))
            break;
    }
    return sum;
}

/* The same for larger x: with I = gamma(a, x) / (x^a e^-x) it is I (ln x - psi(a)) +
 * dI/da. I is Legendre's continued fraction 1/(x+1-a - 1(1-a)/(x+3-a - 2(2-a)/(x+5-a -
 * ..))), of which numerators and denominators are differentiated with it. */
static double tail_slope(const f64_functions *f, double a, double x, double log_x)
{
    double p = 1, p1 = 0, q = x + 1 - a, q1 = -1; /* the latest, and their derivatives */
    double p_old = 0, p1_old = 0, q_old = 1, q1_old = 0, value = p / q,
           slope = -q1 / q / q;
    for (int n = 1; n < 10000; n++) {
        double b = x + 2 * n + 1 - a, c = -n * (n - a);
        double p_new = b * p + c * p_old, q_new = b * q + c * q_old;
        double p1_new = b * p1 - p + c * p1_old + n * p_old;
        double q1_new = b * q1 - q + c * q1_old + n * q_old;
        double scale = 1 / q_new; /* the latest denominator stays 1 */
        p_old = p * scale, q_old = q * scale, p1_old = p1 * scale, q1_old = q1 * scale;
        p = p_new * scale, q = 1, p1 = p1_new * scale, q1 = q1_new * scale;
        double value_new = p, slope_new = p1 - p * q1;
        bool done = fabs(value_new - value) <= 0x1p-52 * fabs(value_new) &&
                    fabs(slope_new - slope) <= 0x1p-52 * fabs(slope_new);
        value = value_new, slope = slope_new;
        if (done)
            break;
    }
    return value * (log_x - value_of(f->digamma, a)) + slope;
}

static double log_slope(const f64_functions *f, double a, double x, double log_x)
{
    if (!(a > 0) || isnan(log_x))
        return (double)NAN;
    return a >= FAR                 ? far_slope(a, x)
           : x <= a + 1 || x <= 1.5 ? near_slope(f, a, x, log_x)
                                    : tail_slope(f, a, x, log_x);
}

/* ---- the operations ---- */

typedef struct gamma_attrs {
    cr__random_params key;
    bool stamped; /* key is set */
    bool log;     /* the logarithm is wanted */
} gamma_attrs;

static const cr_attr gamma_rows[] = {
    CR__ATTR(gamma_attrs, log, BOOL, .initial = "false"),
    CR__ATTRS_END,
};

static cr_status floats_only(cr_infer *infer)
{
    if (cr__is_float(infer->in_dtype[0]))
        return CR_OK;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                       "concentrations are floats, not %s",
                       cr_dtype_name(infer->in_dtype[0]));
}

static cr_status gamma_shape(cr_infer *infer)
{
    gamma_attrs *a = infer->attrs;
    cr_rng *rng = &infer->ctx->rng;
    if (floats_only(infer) != CR_OK)
        return CR_ERR_DTYPE;
    if (!a->stamped)
        a->key = (cr__random_params){ rng->seed, rng->draw++ };
    a->stamped = true;
    return CR_OK;
}

static double float_at(const cr_array *x, int64_t i)
{
    return x->dtype == CR_F64 ? ((const double *)x->data)[i]
                              : (double)((const float *)x->data)[i];
}

/* A job of one function for each element. */
typedef struct gamma_job gamma_job;
struct gamma_job {
    const cr_kernel *kernel;
    double (*element)(const gamma_job *job, int64_t i);
    f64_functions f;
    int64_t chunks;
};

static void gamma_chunk(void *arg, int64_t chunk, int worker)
{
    const gamma_job *job = arg;
    const cr_array *out = &job->kernel->out;
    int64_t begin, end;
    (void)worker;
    cr__part(out->numel, 1, chunk, job->chunks, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        double y = job->element(job, i);
        if (out->dtype == CR_F64)
            ((double *)out->data)[i] = y;
        else
            ((float *)out->data)[i] = (float)y;
    }
}

static cr_status run_gamma(const cr_kernel *kernel,
                           double (*element)(const gamma_job *job, int64_t i))
{
    gamma_job job = { .kernel = kernel, .element = element, .f = find_functions() };
    job.chunks = cr__kernel_chunks(kernel, 200 * kernel->out.numel, kernel->out.numel);
    cr_kernel_chunks(kernel, job.chunks, gamma_chunk, &job);
    return CR_OK;
}

static double draw_element(const gamma_job *job, int64_t i)
{
    const gamma_attrs *attrs = job->kernel->attrs;
    double a = float_at(&job->kernel->in[0], i), value;
    stream s = { .key = attrs->key, .block = (uint64_t)i };
    if (!(a > 0) || isinf(a))
        return a != 0 && !(a > 0) ? (double)NAN : a > 0 ? a : attrs->log ? -INFINITY : 0;
    double y = log_gamma_draw(a, &s, &job->f, &value);
    return attrs->log ? y : value;
}

static cr_status gamma_kernel(const cr_kernel *kernel)
{
    return run_gamma(kernel, draw_element);
}

/* d out / d concentration, of 0 from a concentration that small: 0. */
static double slope_element(const gamma_job *job, int64_t i)
{
    const gamma_attrs *attrs = job->kernel->attrs;
    double a = float_at(&job->kernel->in[0], i), y = float_at(&job->kernel->in[1], i);
    if (attrs->log)
        return log_slope(&job->f, a, value_of(job->f.exp, y), y);
    return y == 0 ? 0 : y * log_slope(&job->f, a, y, value_of(job->f.log, y));
}

static cr_status slope_kernel(const cr_kernel *kernel)
{
    return run_gamma(kernel, slope_element);
}

static void slope_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    (void)g, (void)down;
    cr__op_fail(out->ctx, out->op, CR_ERR_GRAD, NULL,
                "there is no second derivative of a random number by its concentration");
}

CR__OP(gamma_slope) = {
    .name = "gamma_slope",
    .doc = "the derivative of a gamma variable, or its logarithm, by its concentration",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "concentration,y",
    .attrs = gamma_rows,
    .attrs_size = sizeof(gamma_attrs),
    .shape = floats_only,
    .vjp = slope_vjp,
    .kernel = slope_kernel,
    .never_fails = true,
    .samples = CR__SAMPLES({ "f[4]~=0.5,1,3,20 f[4]~=0.2,3,2,25", NULL },
                           { "f[3]~=0.01,1,5000 f[3]~=-300,-1,8.5", "log=true" }),
};

static void gamma_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const gamma_attrs *attrs = cr_attrs(out);
    cr_tensor *inputs[] = { cr_input(out, 0), out };
    gamma_attrs slope = { .log = attrs->log };
    down[0] =
        cr_mul(g, cr__record_n(NULL, &cr__op_gamma_slope, inputs, 2, &slope, CR_HERE));
}

CR__OP(standard_gamma) = {
    .name = "standard_gamma",
    .doc = "a gamma variable of rate 1, or its logarithm, for each concentration",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "concentration",
    .attrs = gamma_rows,
    .attrs_size = sizeof(gamma_attrs),
    .shape = gamma_shape,
    .vjp = gamma_vjp,
    .reads = CR_READS_INPUT(0) | CR_READS_OUTPUT,
    .kernel = gamma_kernel,
    .never_fails = true,
    .samples = CR__SAMPLES({ "f[3,4]{0.1,9}~", NULL }, { "f[5]{0.01,2}~", "log=true" }),
};

static cr_tensor *standard_gamma(cr_tensor *concentration, bool log)
{
    return cr__record_1(&cr__op_standard_gamma, concentration,
                        &(gamma_attrs){ .log = log }, CR_HERE);
}

static cr_tensor *gamma_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                               const void *attrs)
{
    cr_tensor *concentration = inputs[0], *rate = inputs[1];
    (void)n, (void)attrs;
    if (!cr__expand_both(ctx, &cr__op_gamma, &concentration, &rate))
        return NULL;
    return cr_div(standard_gamma(concentration, false), rate);
}

CR__OP(gamma) = {
    .name = "gamma",
    .doc = "a random number with the density x^(concentration - 1) e^(-rate x)",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "concentration,rate",
    .expand = gamma_expand,
    .samples = CR__SAMPLES({ "f[3,4]{0.1,9}~ f[4]{0.5,2}", NULL },
                           { "f[]{0.5,2}~ f[3]{0.5,2}~", NULL }),
};

cr_tensor *cr_gamma_at(cr_arg concentration, cr_arg rate, const char *site)
{
    return cr__record_parameters(&cr__op_gamma, concentration, rate, site);
}

/* x / (x + y) of two gamma variables, by their logarithms: of small concentrations
 * both vanish. */
static cr_tensor *beta_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                              const void *attrs)
{
    cr_tensor *a = inputs[0], *b = inputs[1];
    (void)n, (void)attrs;
    if (!cr__expand_both(ctx, &cr__op_beta, &a, &b))
        return NULL;
    cr_tensor *first = standard_gamma(a, true);
    return cr_sigmoid(cr_sub(first, standard_gamma(b, true)));
}

CR__OP(beta) = {
    .name = "beta",
    .doc = "a random number with the density x^(concentration1 - 1) (1 - "
           "x)^(concentration0 - 1)",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "concentration1,concentration0",
    .expand = beta_expand,
    .samples = CR__SAMPLES({ "f[3,4]{0.1,9}~ f[4]{0.1,2}~", NULL },
                           { "f[]{0.001,0.01}~ f[3]{0.001,0.01}~", NULL }),
};

cr_tensor *cr_beta_at(cr_arg concentration1, cr_arg concentration0, const char *site)
{
    return cr__record_parameters(&cr__op_beta, concentration1, concentration0, site);
}
