/* Random tensors: rand, randn, and what is made of them. A random node is stamped with
 * the seed and the number of its draw, and is a function of these: see cr_rng. */
#include "../base/compiler.h"
#include "opaque.h"
#include "ops.h"

#include <math.h>

typedef struct random_attrs {
    cr_dims shape;
    cr__random_params key;
    bool stamped; /* key is set */
    cr_dtype dtype;
} random_attrs;

static cr_status random_shape(cr_infer *infer)
{
    random_attrs *a = infer->attrs;
    cr_rng *rng = &infer->ctx->rng;
    if (cr__resolve_dtype(infer, &a->dtype, CR__FLOATS) != CR_OK)
        return CR_ERR_DTYPE;
    infer->dims = a->shape;
    if (!a->stamped)
        a->key = (cr__random_params){ rng->seed, rng->draw++ };
    a->stamped = true;
    return CR_OK;
}

static void random_source(const void *attrs, void *params)
{
    *(cr__random_params *)params = ((const random_attrs *)attrs)->key;
}

static const cr_attr random_rows[] = {
    CR__ATTR(random_attrs, shape, DIMS, .flags = CR_ATTR_POSITIONAL),
    CR__ATTR(random_attrs, dtype, DTYPE, .initial = "f32"),
    CR__ATTRS_END,
};

/* A random source, its public function and that of its _like. */
#define RANDOM(NAME, DOC)                                                             \
    CR__OP(NAME) = {                                                                  \
        .name = #NAME,                                                                \
        .doc = DOC,                                                                   \
        .kind = CR_OP_MAP,                                                            \
        .attrs = random_rows,                                                         \
        .attrs_size = sizeof(random_attrs),                                           \
        .shape = random_shape,                                                        \
        .internal = CR__MAP_OF(NAME, .source = random_source),                        \
        .samples = CR__SAMPLES({ "", "shape=[3,5]" }, { "", "shape=[7],dtype=f64" }), \
    };                                                                                \
    cr_tensor *cr_##NAME##_at(cr_ctx *ctx, cr_dims dims, cr_make_opts opts)           \
    {                                                                                 \
        random_attrs attrs = { .shape = dims, .dtype = opts.dtype };                  \
        return cr__record(ctx, &cr__op_##NAME, NULL, 0, &attrs, opts.site);           \
    }                                                                                 \
    cr_tensor *cr_##NAME##_like_at(cr_tensor *like, const char *site)                 \
    {                                                                                 \
        if (!like || !cr__usable(like->ctx, like, #NAME "_like", site))               \
            return NULL;                                                              \
        random_attrs attrs = { .shape = cr_shape(like), .dtype = cr_dtype_of(like) }; \
        return cr__record(like->ctx, &cr__op_##NAME, NULL, 0, &attrs, site);          \
    }
RANDOM(rand, "uniform in [0, 1)")
RANDOM(randn, "standard normal")

/* ---- bernoulli ---- */

/* -floor(u - x) is 1 where u < x, and has floor's gradient: zero, not none. Subtracted
 * from 0 it is never -0. What is no probability counts as the next one. */
static cr_tensor *bernoulli_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                   const void *attrs)
{
    (void)ctx, (void)n, (void)attrs;
    cr_tensor *p = cr_clamp(inputs[0], 0, 1);
    return cr_sub(0, cr_floor(cr_sub(cr_rand_like(p), p)));
}

CR__OP(bernoulli) = {
    .name = "bernoulli",
    .doc = "1 with probability x, else 0",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .expand = bernoulli_expand,
    .samples = CR__SAMPLES({ "f[4,5]{0,1}~", NULL }),
};

cr_tensor *cr_bernoulli_at(cr_tensor *x, const char *site)
{
    return cr__record_1(&cr__op_bernoulli, x, NULL, site);
}

/* ---- dropout ---- */

typedef struct dropout_attrs {
    double p;
} dropout_attrs;

/* Selected last, so that what is dropped is 0 whatever it was, and its gradient too. */
static cr_tensor *dropout_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attrs)
{
    double p = ((const dropout_attrs *)attrs)->p;
    cr_tensor *x = inputs[0];
    (void)n;
    if (!(p >= 0 && p <= 1)) {
        cr__op_fail(ctx, &cr__op_dropout, CR_ERR_ARGUMENT, NULL,
                    "p must be a probability, not %g", p);
        return NULL;
    }
    cr_tensor *kept = cr_ge(cr_rand_like(x), p);
    return cr_where(kept, cr_mul(x, p < 1 ? 1 / (1 - p) : 0), 0);
}

CR__OP(dropout) = {
    .name = "dropout",
    .doc = "0 with probability p, else x / (1 - p)",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(dropout_attrs, p, REAL, .initial = "0.5",
                                .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(dropout_attrs),
    .expand = dropout_expand,
    .samples = CR__SAMPLES({ "f[4,5]", NULL }, { "f[3]", "p=0" }),
};

cr_tensor *cr_dropout_at(cr_tensor *x, double p, const char *site)
{
    dropout_attrs attrs = { p };
    return cr__record_1(&cr__op_dropout, x, &attrs, site);
}

/* ---- parameters ---- */

cr_tensor *cr__as_tensor(cr_arg a, cr_tensor *like, const char *site)
{
    if (a.kind == CR_ARG_TENSOR)
        return a.v.tensor;
    if (a.kind == CR_ARG_NONE || !like)
        return NULL;
    return cr_full_at(cr_ctx_of(like), CR_NO_DIMS, a,
                      (cr_make_opts){ .site = site, .dtype = cr_dtype_of(like) });
}

cr_tensor *cr__record_parameters(const cr_op *op, cr_arg a, cr_arg b, const char *site)
{
    cr_tensor *like = a.kind == CR_ARG_TENSOR ? a.v.tensor : cr__as_tensor(b, NULL, site);
    cr_tensor *inputs[] = { cr__as_tensor(a, like, site), cr__as_tensor(b, like, site) };
    return cr__record_n(NULL, op, inputs, 2, NULL, site);
}

bool cr__expand_both(cr_ctx *ctx, const cr_op *op, cr_tensor **a, cr_tensor **b)
{
    cr_dims common;
    if (!cr__is_float(cr_dtype_of(*a)) || cr_dtype_of(*a) != cr_dtype_of(*b)) {
        cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() converts",
                    "its parameters are floats of one type, not %s and %s",
                    cr_dtype_name(cr_dtype_of(*a)), cr_dtype_name(cr_dtype_of(*b)));
        return false;
    }
    if (!cr__broadcast_dims(cr_shape(*a), cr_shape(*b), &common)) {
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL, "shapes do not broadcast: %s and %s",
                    cr__shape_text(*a), cr__shape_text(*b));
        return false;
    }
    *a = cr__expand_to(*a, common);
    *b = cr__expand_to(*b, common);
    return !cr_error(ctx);
}

/* ---- normal, uniform, exponential ---- */

static cr_tensor *normal_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                const void *attrs)
{
    cr_tensor *mean = inputs[0], *std = inputs[1];
    (void)n, (void)attrs;
    if (!cr__expand_both(ctx, &cr__op_normal, &mean, &std))
        return NULL;
    return cr_add(mean, cr_mul(std, cr_randn_like(mean)));
}

static cr_tensor *uniform_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attrs)
{
    cr_tensor *low = inputs[0], *high = inputs[1];
    (void)n, (void)attrs;
    if (!cr__expand_both(ctx, &cr__op_uniform, &low, &high))
        return NULL;
    return cr_add(low, cr_mul(cr_sub(high, low), cr_rand_like(low)));
}

#define TWO_PARAMETERS(NAME, INPUTS, A, B, SAMPLES, DOC)                           \
    CR__OP(NAME) = { .name = #NAME,                                                \
                     .doc = DOC,                                                   \
                     .kind = CR_OP_COMPOSITE,                                      \
                     .widens = true,                                               \
                     .min_inputs = 2,                                              \
                     .max_inputs = 2,                                              \
                     .inputs = INPUTS,                                             \
                     .expand = NAME##_expand,                                      \
                     .samples =                                                    \
                         CR__SAMPLES({ SAMPLES, NULL }, { "f[] f[3]{2,3}", NULL }, \
                                     { "f[2,0] f[2,0]", NULL }) };                 \
    cr_tensor *cr_##NAME##_at(cr_arg A, cr_arg B, const char *site)                \
    {                                                                              \
        return cr__record_parameters(&cr__op_##NAME, A, B, site);                  \
    }
TWO_PARAMETERS(normal, "mean,std", mean, std, "f[3,4] f[4]{0.5,2}", "mean + std randn")
TWO_PARAMETERS(uniform, "low,high", low, high, "f[3,4] f[4]{3,4}",
               "low + (high - low) rand")

/* Of rate 1 -ln(1 - u), in f64. */
static cr_tensor *unit_exponentials(cr_ctx *ctx, cr_dims dims)
{
    return cr_neg(cr_log1p(cr_neg(cr_rand(ctx, dims, .dtype = CR_F64))));
}

static cr_tensor *exponential_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                     const void *attrs)
{
    cr_tensor *rate = inputs[0];
    (void)n, (void)attrs;
    if (!cr__is_float(cr_dtype_of(rate))) {
        cr__op_fail(ctx, &cr__op_exponential, CR_ERR_DTYPE, "cr_cast() converts",
                    "the rate is a float, not %s", cr_dtype_name(cr_dtype_of(rate)));
        return NULL;
    }
    return cr_div(cr_cast(unit_exponentials(ctx, cr_shape(rate)), cr_dtype_of(rate)),
                  rate);
}

CR__OP(exponential) = {
    .name = "exponential",
    .doc = "a random number with the density e^(-rate x)",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "rate",
    .expand = exponential_expand,
    .samples = CR__SAMPLES({ "f[3,4]{0.5,2}", NULL }, { "f[]{0.5,2}", NULL }),
};

cr_tensor *cr_exponential_at(cr_tensor *rate, const char *site)
{
    return cr__record_1(&cr__op_exponential, rate, NULL, site);
}

/* ---- integers ---- */

typedef struct randint_attrs {
    int64_t low, high;
    cr_dims shape;
} randint_attrs;

/* u < 1 times a count that an f64 holds is below it, rounded too. */
static cr_tensor *randint_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attributes)
{
    const randint_attrs *attrs = attributes;
    int64_t count;
    (void)inputs, (void)n;
    if (__builtin_sub_overflow(attrs->high, attrs->low, &count) || count < 1 ||
        count > INT64_C(1) << 53) {
        cr__op_fail(
            ctx, &cr__op_randint, CR_ERR_ARGUMENT, NULL,
            "there are 1 to 2^53 numbers from low to below high, not from %lld to "
            "%lld",
            (long long)attrs->low, (long long)attrs->high);
        return NULL;
    }
    cr_tensor *u = cr_rand(ctx, attrs->shape, .dtype = CR_F64);
    return cr_add(cr_cast(cr_floor(cr_mul(u, (double)count)), CR_I64), attrs->low);
}

CR__OP(randint) = {
    .name = "randint",
    .doc = "i64: any of low, low + 1, .. below high, each as likely",
    .kind = CR_OP_COMPOSITE,
    .attrs = CR__ATTRS(CR__ATTR(randint_attrs, low, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(randint_attrs, high, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(randint_attrs, shape, DIMS, .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(randint_attrs),
    .expand = randint_expand,
    .samples = CR__SAMPLES({ "", "low=-2,high=5,shape=[3,4]" },
                           { "", "low=7,high=8,shape=[0]" }),
};

cr_tensor *cr_randint_at(cr_ctx *ctx, int64_t low, int64_t high, cr_dims shape,
                         const char *site)
{
    randint_attrs attrs = { low, high, shape };
    return cr__record(ctx, &cr__op_randint, NULL, 0, &attrs, site);
}

typedef struct randperm_attrs {
    int64_t n;
} randperm_attrs;

/* Of equal keys, one in 2^53 pairs, the first comes first. */
static cr_tensor *randperm_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                  const void *attributes)
{
    const randperm_attrs *attrs = attributes;
    (void)inputs, (void)n;
    if (attrs->n < 0) {
        cr__op_fail(ctx, &cr__op_randperm, CR_ERR_SHAPE, NULL, "n is negative: %lld",
                    (long long)attrs->n);
        return NULL;
    }
    return cr_argsort(cr_rand(ctx, CR_DIMS(attrs->n), .dtype = CR_F64), 0);
}

CR__OP(randperm) = {
    .name = "randperm",
    .doc = "i64: 0 to n - 1 in any order, each as likely",
    .kind = CR_OP_COMPOSITE,
    .attrs = CR__ATTRS(CR__ATTR(randperm_attrs, n, INT, .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(randperm_attrs),
    .expand = randperm_expand,
    .samples = CR__SAMPLES({ "", "n=7" }, { "", "n=0" }),
};

cr_tensor *cr_randperm_at(cr_ctx *ctx, int64_t n, const char *site)
{
    return cr__record(ctx, &cr__op_randperm, NULL, 0, &(randperm_attrs){ n }, site);
}
