/* Random tensors: rand, randn, bernoulli, dropout. A random node is stamped with the seed
 * and the number of its draw, and is a function of these: see cr_rng. */
#include "../base/compiler.h"
#include "ops.h"

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
