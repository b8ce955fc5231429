/* Random choices among categories: multinomial, categorical, gumbel_softmax. */
#include "opaque.h"
#include "ops.h"

#include <math.h>

/* ---- probabilities ---- */

typedef struct weights_attrs {
    int64_t least; /* so many must be above 0 in each row */
} weights_attrs;

static cr_status weights_shape(cr_infer *infer)
{
    if (!cr__is_float(infer->in_dtype[0]) || infer->in_dims[0].n < 1)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                           "takes rows of floats, not %s %s",
                           cr_dtype_name(infer->in_dtype[0]),
                           cr__dims_text(infer->ctx, infer->in_dims[0]));
    infer->dtype = CR_F64;
    return CR_OK;
}

static double weight_at(cr_dtype dtype, const void *data, int64_t i)
{
    return dtype == CR_F64 ? ((const double *)data)[i] : (double)((const float *)data)[i];
}

/* What is wrong with a row, NULL if nothing is; *at gets the place of a wrong element. */
static const char *row_fault(const cr_array *x, int64_t row, int64_t n, int64_t least,
                             int64_t *at)
{
    double sum = 0;
    int64_t above = 0;
    for (int64_t i = 0, m; i < n; i += m) {
        m = n - i < CR_MAX_FETCH ? n - i : CR_MAX_FETCH;
        const void *data = cr_array_fetch(x, row * n + i, m, 0);
        for (int64_t k = 0; k < m; k++) {
            double p = weight_at(x->dtype, data, k);
            *at = row * n + i + k;
            if (!(p >= 0) || isinf(p))
                return "is no probability";
            sum += p;
            above += p > 0;
        }
    }
    *at = row * n;
    return above < least ? "begins a row of too few that are above 0"
           : isinf(sum)  ? "begins a row whose sum is infinite"
                         : NULL;
}

static cr_status weights_check(const cr_kernel *kernel)
{
    const weights_attrs *attrs = kernel->attrs;
    const cr_array *x = &kernel->in[0];
    int64_t n = x->dims.v[x->dims.n - 1], at;
    char place[160];
    for (int64_t row = 0; n > 0 && row < x->numel / n; row++) {
        const char *fault = row_fault(x, row, n, attrs->least, &at);
        if (!fault)
            continue;
        double p = weight_at(x->dtype, cr_array_fetch(x, at, 1, 0), 0);
        snprintf(kernel->message, kernel->capacity, "%g at %s %s", p,
                 cr__place_text(x, at, place, sizeof place), fault);
        return CR_ERR_VALUE;
    }
    return CR_OK;
}

static cr_status weights_kernel(const cr_kernel *kernel)
{
    double *out = kernel->out.data;
    for (int64_t i = 0; i < kernel->out.numel; i++)
        out[i] = weight_at(kernel->in[0].dtype, kernel->in[0].data, i);
    return CR_OK;
}

CR__OP(multinomial_weights) = {
    .name = "multinomial_weights",
    .doc = "x, found to be rows of probabilities up to a factor, in f64",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(weights_attrs, least, INT, .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(weights_attrs),
    .shape = weights_shape,
    .kernel = weights_kernel,
    .check = weights_check,
    .checks = CR_READS_INPUT(0),
    .samples = CR__SAMPLES({ "f[2,3]{0.1,1}~", "least=3" }, { "f[3]~=0,2,0", "least=1" }),
};

/* ---- multinomial ---- */

typedef struct multinomial_attrs {
    int64_t num_samples;
    bool replacement;
} multinomial_attrs;

static bool can_choose(cr_ctx *ctx, cr_tensor *x, const multinomial_attrs *attrs)
{
    const cr_op *op = &cr__op_multinomial;
    int64_t n = attrs->num_samples;
    if (!cr__is_float(cr_dtype_of(x)))
        cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() converts",
                    "probabilities are floats, not %s", cr_dtype_name(cr_dtype_of(x)));
    else if (cr_ndim(x) < 1 || cr_ndim(x) > 2 || cr_size(x, -1) == 0)
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                    "probabilities are a row or rows of one or more, not %s",
                    cr__shape_text(x));
    else if (n < 1 || (!attrs->replacement && n > cr_size(x, -1)))
        cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "num_samples is %lld, of %lld%s",
                    (long long)n, (long long)cr_size(x, -1),
                    attrs->replacement ? "" : " without replacement");
    return !cr_error(ctx);
}

/* With replacement where u times the sum falls among the sums so far, else what comes
 * first when each waits a time of the rate p: P. Efraimidis and P. Spirakis, 2006. */
static cr_tensor *multinomial_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                     const void *attributes)
{
    const multinomial_attrs *attrs = attributes;
    cr_tensor *x = inputs[0], *index;
    weights_attrs weights = { attrs->replacement ? 1 : attrs->num_samples };
    (void)n;
    if (!can_choose(ctx, x, attrs))
        return NULL;
    x = cr__record_1(&cr__op_multinomial_weights, cr_detach(x), &weights, CR_HERE);
    if (!x)
        return NULL;
    cr_dims dims = cr_shape(x);
    if (!attrs->replacement) {
        cr_tensor *u = cr_rand(ctx, dims, .dtype = CR_F64);
        cr_tensor *time = cr_div(cr_neg(cr_log1p(cr_neg(u))), x);
        cr_topk(time, attrs->num_samples, -1, .largest = CR_INT(false),
                .indices = &index);
        return index;
    }
    cr_tensor *sums = cr_cumsum(x, -1);
    cr_tensor *sum = cr_slice(sums, -1, dims.v[dims.n - 1] - 1, dims.v[dims.n - 1]);
    dims.v[dims.n - 1] = attrs->num_samples;
    return cr_searchsorted(sums, cr_mul(cr_rand(ctx, dims, .dtype = CR_F64), sum),
                           .right = true);
}

CR__OP(multinomial) = {
    .name = "multinomial",
    .doc = "i64: num_samples random places of each row, likely as its elements say",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(
        CR__ATTR(multinomial_attrs, num_samples, INT, .flags = CR_ATTR_POSITIONAL),
        CR__ATTR(multinomial_attrs, replacement, BOOL, .initial = "false")),
    .attrs_size = sizeof(multinomial_attrs),
    .expand = multinomial_expand,
    .samples = CR__SAMPLES({ "f[2,5]{0.1,1}~", "num_samples=3" },
                           { "f[4]~=0,2,0,1", "num_samples=2" },
                           { "f[4]~=0,2,0,1", "num_samples=9,replacement=true" },
                           { "f[2,5]{0.1,1}~", "num_samples=3,replacement=true" }),
};

cr_tensor *cr_multinomial_at(cr_tensor *x, int64_t num_samples, cr_multinomial_opts opts)
{
    multinomial_attrs attrs = { num_samples, opts.replacement };
    return cr__record_1(&cr__op_multinomial, x, &attrs, opts.site);
}

/* ---- with Gumbel's noise ---- */

/* x - ln(e), e being exponential: its largest element is a choice by softmax(x). */
static cr_tensor *with_noise(cr_tensor *x)
{
    cr_tensor *u = cr_rand(cr_ctx_of(x), cr_shape(x), .dtype = CR_F64);
    cr_tensor *noise = cr_log(cr_neg(cr_log1p(cr_neg(u))));
    return cr_sub(x, cr_cast(noise, cr_dtype_of(x)));
}

static bool are_logits(cr_ctx *ctx, const cr_op *op, cr_tensor *x)
{
    if (!cr__is_float(cr_dtype_of(x)))
        cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() converts",
                    "logits are floats, not %s", cr_dtype_name(cr_dtype_of(x)));
    else if (cr_ndim(x) == 0)
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                    "logits have a dim of categories, not []");
    return !cr_error(ctx);
}

static cr_tensor *categorical_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                     const void *attrs)
{
    (void)n, (void)attrs;
    return are_logits(ctx, &cr__op_categorical, inputs[0])
               ? cr_argmax(with_noise(inputs[0]), -1)
               : NULL;
}

CR__OP(categorical) = {
    .name = "categorical",
    .doc = "i64: a random place of each row, likely as softmax(x) says",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .expand = categorical_expand,
    .samples = CR__SAMPLES({ "f[2,5]~", NULL }, { "f[4]~=-inf,2,-inf,1", NULL }),
};

cr_tensor *cr_categorical_at(cr_tensor *x, const char *site)
{
    return cr__record_1(&cr__op_categorical, x, NULL, site);
}

typedef struct gumbel_attrs {
    double tau;
    bool hard;
    cr_opt_int dim;
} gumbel_attrs;

/* Straight through: the value is the hard one, the gradient that of the soft one. */
static cr_tensor *gumbel_softmax_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                        const void *attributes)
{
    const gumbel_attrs *attrs = attributes;
    int dim = attrs->dim.given ? (int)attrs->dim.v : -1;
    cr_tensor *x = inputs[0];
    (void)n;
    if (!are_logits(ctx, &cr__op_gumbel_softmax, x))
        return NULL;
    cr_tensor *soft =
        cr_softmax(cr_div(with_noise(x), attrs->tau == 0 ? 1 : attrs->tau), dim);
    if (!attrs->hard)
        return soft;
    cr_tensor *place = cr_argmax(soft, dim, .keepdim = true);
    cr_tensor *hard = cr_scatter(cr_zeros_like(soft), dim, place, 1);
    return cr_add(soft, cr_detach(cr_sub(hard, soft)));
}

CR__OP(gumbel_softmax) = {
    .name = "gumbel_softmax",
    .doc =
        "softmax((x + Gumbel's noise) / tau); hard: 1 at its largest, and its gradient",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(gumbel_attrs, tau, REAL, .initial = "1",
                                .flags = CR_ATTR_POSITIVE),
                       CR__ATTR(gumbel_attrs, hard, BOOL, .initial = "false"),
                       CR__ATTR(gumbel_attrs, dim, OPT_INT, .initial = CR__NOT_GIVEN)),
    .attrs_size = sizeof(gumbel_attrs),
    .expand = gumbel_softmax_expand,
    .samples = CR__SAMPLES({ "f[2,5]", NULL }, { "f[3,4]", "tau=0.5,dim=0" },
                           { "f[2,5]~", "hard=true" }),
    .call = "x,.tau,.hard,.dim",
};

cr_tensor *cr_gumbel_softmax_at(cr_tensor *x, cr_gumbel_softmax_opts opts)
{
    gumbel_attrs attrs = { opts.tau, opts.hard, opts.dim };
    return cr__record_1(&cr__op_gumbel_softmax, x, &attrs, opts.site);
}
