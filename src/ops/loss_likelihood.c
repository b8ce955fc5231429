/* Losses that are negative logarithms of likelihoods, or differences of such: binary cross
 * entropies, kl_div, poisson_nll_loss, gaussian_nll_loss. */
#include "loss.h"
#include "opaque.h"

/* ---- binary_cross_entropy ---- */

enum { PIECE = 512 };

/* -(t max(ln x, -100) + (1 - t) max(ln(1 - x), -100)) */
#define BERNOULLI_NLL(T, DTYPE)                                                         \
    static void T##_bernoulli_nll(T *out, const T *x, const T *t, int64_t n)            \
    {                                                                                   \
        T minus[PIECE], yes[PIECE], no[PIECE];                                          \
        const int64_t step = 1;                                                         \
        for (int64_t i = 0; i < n; i++)                                                 \
            minus[i] = -x[i];                                                           \
        cr__map_find(CR__MAP_log, DTYPE, DTYPE)(yes, (const void *[]){ x }, &step, n);  \
        cr__map_find(CR__MAP_log1p, DTYPE, DTYPE)(no, (const void *[]){ minus }, &step, \
                                                  n);                                   \
        for (int64_t i = 0; i < n; i++) {                                               \
            T a = yes[i] < -100 ? -100 : yes[i], b = no[i] < -100 ? -100 : no[i];       \
            out[i] = -(t[i] * a + (1 - t[i]) * b);                                      \
        }                                                                               \
    }
BERNOULLI_NLL(float, CR_F32)
BERNOULLI_NLL(double, CR_F64)

typedef struct bernoulli_job {
    const cr_kernel *kernel;
    int64_t chunks;
} bernoulli_job;

static void bernoulli_chunk(void *arg, int64_t chunk, int worker)
{
    const bernoulli_job *job = arg;
    const cr_array *x = &job->kernel->in[0], *t = &job->kernel->in[1];
    void *out = job->kernel->out.data;
    int64_t begin, end;
    (void)worker;
    cr__part(x->numel, PIECE, chunk, job->chunks, &begin, &end);
    for (int64_t at = begin, n; at < end; at += n) {
        n = end - at < PIECE ? end - at : PIECE;
        if (x->dtype == CR_F32)
            float_bernoulli_nll((float *)out + at, (const float *)x->data + at,
                                (const float *)t->data + at, n);
        else
            double_bernoulli_nll((double *)out + at, (const double *)x->data + at,
                                 (const double *)t->data + at, n);
    }
}

static cr_status bernoulli_nll_kernel(const cr_kernel *kernel)
{
    bernoulli_job job = { .kernel = kernel };
    int64_t n = kernel->out.numel;
    job.chunks = n ? cr__kernel_chunks(kernel, n * 4, (n - 1) / PIECE + 1) : 0;
    cr_kernel_chunks(kernel, job.chunks, bernoulli_chunk, &job);
    return CR_OK;
}

static cr_status bernoulli_nll_shape(cr_infer *infer)
{
    if (!cr__is_float(infer->in_dtype[0]) || infer->in_dtype[1] != infer->in_dtype[0])
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                           "x is %s, the target %s: not one float type",
                           cr_dtype_name(infer->in_dtype[0]),
                           cr_dtype_name(infer->in_dtype[1]));
    if (cr__dims_equal(infer->in_dims[0], infer->in_dims[1]))
        return CR_OK;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                       "target %s is not shaped like x, %s",
                       cr__dims_text(infer->ctx, infer->in_dims[1]),
                       cr__dims_text(infer->ctx, infer->in_dims[0]));
}

/* PyTorch's: g (x - t) / max(x (1 - x), 1e-12), and g (ln(1 - x) - ln x). */
static void bernoulli_nll_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_input(out, 0), *t = cr_input(out, 1);
    if (cr__wants_grad(out, 0)) {
        cr_tensor *spread = cr_clamp(cr_mul(x, cr_sub(1, x)), 1e-12, INFINITY);
        down[0] = cr_mul(g, cr_div(cr_sub(x, t), spread));
    }
    if (cr__wants_grad(out, 1))
        down[1] = cr_mul(g, cr_sub(cr_log1p(cr_neg(x)), cr_log(x)));
}

CR__OP(bernoulli_nll) = {
    .name = "bernoulli_nll",
    .doc = "-(target ln x + (1 - target) ln(1 - x)), logarithms being -100 at least",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,target",
    .shape = bernoulli_nll_shape,
    .vjp = bernoulli_nll_vjp,
    .reads = CR_READS_INPUT(0) | CR_READS_INPUT(1),
    .kernel = bernoulli_nll_kernel,
    .never_fails = true,
    .samples = CR__SAMPLES({ "f[2,3]{0.1,0.9} f[2,3]{0,1}", NULL },
                           { "f[4]=0,1,0,1 f[4]~=0,1,1,0 -> 0,0,-1e12,1e12 -> "
                             "1e12,1e12,1e12,1e12",
                             NULL }),
};

/* Whether target, which may be a mask, has the shape of x: no less will do here. */
static cr_tensor *exactly_like(cr_ctx *ctx, const cr_op *op, cr_tensor *t, cr_tensor *x)
{
    if (cr__dims_equal(cr_shape(t), cr_shape(x)))
        return cr__loss_like(ctx, op, "target", t, x);
    cr__op_fail(ctx, op, CR_ERR_SHAPE, "cr_expand() repeats it",
                "target %s is not shaped like x, %s", cr__shape_text(t),
                cr__shape_text(x));
    return NULL;
}

CR__EXPAND_LOSS(binary_cross_entropy)
{
    const cr__loss_attrs *attrs = attributes;
    const cr_op *op = &cr__op_binary_cross_entropy;
    cr_tensor *x = inputs[0], *weight = cr__optional(inputs, n, 2);
    cr_tensor *target = exactly_like(ctx, op, inputs[1], x);
    if (target && weight)
        weight = cr__loss_like(ctx, op, "weight", weight, x);
    if (cr_error(ctx))
        return NULL;
    target = cr__require(target, CR__PROBABILITY_TARGET);
    x = cr__require(x, CR__PROBABILITY_X);
    cr_tensor *loss = cr__record_2(&cr__op_bernoulli_nll, cr_arg_tensor(x),
                                   cr_arg_tensor(target), NULL);
    return cr__loss_reduced(weight ? cr_mul(loss, weight) : loss, attrs->reduction, NULL);
}

CR__LOSS(binary_cross_entropy, 2, 3, "x,target,weight", cr__loss_rows, cr__loss_attrs,
         "-(target ln x + (1 - target) ln(1 - x)) weight, logarithms being -100 at least",
         .samples = CR__SAMPLES({ "f[2,3]{0.1,0.9} f[2,3]{0,1}", NULL },
                                { "f[2,3]{0.1,0.9} f[2,3]{0,1} f[3]{0.5,2}",
                                  "reduction=sum" },
                                { "f[4]{0.1,0.9} b[4]", "reduction=none" },
                                { "f[]{0.1,0.9} f[]{0,1}", NULL }),
         .call = "x,target,.weight,.reduction")

cr_tensor *cr_binary_cross_entropy_at(cr_tensor *x, cr_tensor *target,
                                      cr_weighted_loss_opts opts)
{
    cr_tensor *inputs[] = { x, target, opts.weight };
    return cr__record_n(NULL, &cr__op_binary_cross_entropy, inputs, 3,
                        &(cr__loss_attrs){ opts.reduction }, opts.site);
}

/* ---- binary_cross_entropy_with_logits ---- */

/* t p softplus(-x) + (1 - t) softplus(x): -ln of a sigmoid is a softplus, and so both
 * sides keep all their digits, in the gradients too. From 40 on the softplus is x to the
 * last digit of f64. */
CR__EXPAND_LOSS(binary_cross_entropy_with_logits)
{
    const cr__loss_attrs *attrs = attributes;
    const cr_op *op = &cr__op_binary_cross_entropy_with_logits;
    const cr_opt_real far = CR_REAL(40);
    cr_tensor *x = inputs[0], *weight = cr__optional(inputs, n, 2);
    cr_tensor *pos_weight = cr__optional(inputs, n, 3);
    cr_tensor *target = exactly_like(ctx, op, inputs[1], x);
    if (target && weight)
        weight = cr__loss_like(ctx, op, "weight", weight, x);
    if (target && pos_weight)
        pos_weight = cr__loss_like(ctx, op, "pos_weight", pos_weight, x);
    if (cr_error(ctx))
        return NULL;
    cr_tensor *yes = cr__zero_times(target, cr_softplus(cr_neg(x), .threshold = far));
    cr_tensor *no = cr__zero_times(cr_sub(1, target), cr_softplus(x, .threshold = far));
    cr_tensor *loss = cr_add(pos_weight ? cr_mul(yes, pos_weight) : yes, no);
    loss = weight ? cr_mul(loss, weight) : loss;
    return cr__loss_reduced(loss, attrs->reduction, NULL);
}

CR__LOSS(binary_cross_entropy_with_logits, 2, 4, "x,target,weight,pos_weight",
         cr__loss_rows, cr__loss_attrs,
         "-(pos_weight target ln s(x) + (1 - target) ln(1 - s(x))) weight, s the sigmoid",
         .samples = CR__SAMPLES({ "f[2,3] f[2,3]{0,1}", NULL },
                                { "f[4]{-12,12}~ f[4]{0,1}", "reduction=none" },
                                { "f[2,3] f[2,3]{0,1} f[3]{0.5,2} f[2,1]{0.5,2}",
                                  "reduction=sum" },
                                { "f[2,3] f[2,3]{0,1} - f[3]{0.5,2}", NULL },
                                { "f[] f[]{0,1}", NULL }),
         .call = "x,target,.weight,.pos_weight,.reduction")

cr_tensor *cr_binary_cross_entropy_with_logits_at(cr_tensor *x, cr_tensor *target,
                                                  cr_bce_opts opts)
{
    cr_tensor *inputs[] = { x, target, opts.weight, opts.pos_weight };
    return cr__record_n(NULL, &cr__op_binary_cross_entropy_with_logits, inputs, 4,
                        &(cr__loss_attrs){ opts.reduction }, opts.site);
}

/* ---- kl_div ---- */

typedef struct kl_attrs {
    cr_reduction reduction;
    bool log_target;
} kl_attrs;

/* p (ln p - x), and 0 where p is 0: chosen before the product, for the gradients. */
CR__EXPAND_LOSS(kl_div)
{
    const kl_attrs *attrs = attributes;
    cr_tensor *x = inputs[0], *t, *p, *zero, *ln;
    (void)n;
    if (!cr__loss_of_float(ctx, &cr__op_kl_div, x) ||
        !(t = cr__loss_like(ctx, &cr__op_kl_div, "target", inputs[1], x)))
        return NULL;
    p = attrs->log_target ? cr_exp(t) : t;
    zero = cr_eq(p, 0);
    ln = attrs->log_target ? t : cr_log(cr_where(zero, 1, t));
    cr_tensor *loss = cr_mul(p, cr_where(zero, 0, cr_sub(ln, x)));
    if (attrs->reduction != CR_REDUCTION_BATCHMEAN)
        return cr__loss_reduced(loss, attrs->reduction, NULL);
    return cr_div(cr_sum(loss), cr_ndim(x) ? (double)cr_size(x, 0) : 1.0);
}

CR__LOSS(kl_div, 2, 2, "x,target",
         CR__ATTRS(CR__ATTR(kl_attrs, reduction, WORD, .initial = "mean",
                            .words = "mean,sum,none,batchmean"),
                   CR__ATTR(kl_attrs, log_target, BOOL, .initial = "false")),
         kl_attrs,
         "target (ln target - x), x being ln of probabilities; target may be such, too",
         .samples = CR__SAMPLES(
             { "f[2,3] f[2,3]{0.1,1}", NULL },
             { "f[2,3] f[2,3]", "log_target=true,reduction=batchmean" },
             { "f[2,3] f[3]{0.1,1}", "reduction=batchmean" },
             { "f[] f[]{0.1,1}", "reduction=batchmean" },
             { "f[3]=-1,-inf,-2 f[3]=0,0,1 -> 0,0,-1 0,0,3 -> 0,0,-1 0",
               "reduction=none" },
             { "f[3]=-1,-inf,-2 f[3]=-inf,-inf,0 -> 0,0,-1 0,0,3 -> 0,0,-1 0,0,3",
               "log_target=true,reduction=sum" }))

cr_tensor *cr_kl_div_at(cr_tensor *x, cr_tensor *target, cr_kl_div_opts opts)
{
    cr_tensor *inputs[] = { x, target };
    return cr__record_n(NULL, &cr__op_kl_div, inputs, 2,
                        &(kl_attrs){ opts.reduction, opts.log_target }, opts.site);
}

/* ---- poisson_nll_loss ---- */

typedef struct poisson_attrs {
    cr_opt_int log_input; /* true or false */
    bool full;
    cr_opt_real eps;
    cr_reduction reduction;
} poisson_attrs;

/* Stirling's approximation of ln t!: t ln t - t + ln(2 pi t) / 2, and 0 up to 1. */
static cr_tensor *stirling(cr_tensor *t)
{
    cr_tensor *few = cr_le(t, 1), *safe = cr_where(few, 1, t), *ln = cr_log(safe);
    cr_tensor *term = cr_add(cr_mul(cr_add(safe, 0.5), ln), 0.9189385332046727);
    return cr_where(few, 0, cr_sub(term, safe));
}

CR__EXPAND_LOSS(poisson_nll_loss)
{
    const poisson_attrs *attrs = attributes;
    const cr_op *op = &cr__op_poisson_nll_loss;
    cr_tensor *x = inputs[0], *t, *loss;
    (void)n;
    if (!cr__loss_of_float(ctx, op, x) ||
        !(t = cr__loss_like(ctx, op, "target", inputs[1], x)))
        return NULL;
    if (attrs->log_input.v) {
        cr_tensor *rate = cr_exp(x);
        loss = cr_sub(rate, cr_mul(t, x));
    } else {
        loss = cr_sub(x, cr__zero_times(t, cr_log(cr_add(x, attrs->eps.v))));
    }
    if (attrs->full)
        loss = cr_add(loss, stirling(t));
    return cr__loss_reduced(loss, attrs->reduction, NULL);
}

CR__LOSS(
    poisson_nll_loss, 2, 2, "x,target",
    CR__ATTRS(CR__ATTR(poisson_attrs, log_input, OPT_BOOL, .initial = "true"),
              CR__ATTR(poisson_attrs, full, BOOL, .initial = "false"),
              CR__ATTR(poisson_attrs, eps, OPT_REAL, .initial = "1e-8"),
              CR__REDUCTION_ROW(poisson_attrs)),
    poisson_attrs,
    "e^x - target x; without log_input x - target ln(x + eps); with full + ln target!",
    .samples = CR__SAMPLES(
        { "f[2,3] f[2,3]{0,4}", NULL },
        { "f[2,3]{0.1,3} f[2,3]{2,4}", "log_input=false,full=true,reduction=sum" },
        { "f[4] f[4]{2,4}", "full=true,reduction=none" },
        { "f[4]{0.5,2} f[4]{0,1}", "log_input=false,eps=0.5,full=true" },
        { "f[2]=1,2 f[2]=1,0 -> 1.718281828459045,7.389056098930650 -1,-2 "
          "-> 1.718281828459045,6.389056098930650 -1,-1",
          "full=true,reduction=sum" }))

cr_tensor *cr_poisson_nll_loss_at(cr_tensor *x, cr_tensor *target,
                                  cr_poisson_nll_opts opts)
{
    cr_tensor *inputs[] = { x, target };
    poisson_attrs attrs = { opts.log_input, opts.full, opts.eps, opts.reduction };
    cr__attrs_fill(NULL, &cr__op_poisson_nll_loss, &attrs);
    return cr__record_n(NULL, &cr__op_poisson_nll_loss, inputs, 2, &attrs, opts.site);
}

/* ---- gaussian_nll_loss ---- */

typedef struct gaussian_attrs {
    bool full;
    double eps;
    cr_reduction reduction;
} gaussian_attrs;

/* var as something that broadcasts to x: also one for all of the last dimension. */
static cr_tensor *variance_of(cr_ctx *ctx, cr_tensor *var, cr_tensor *x)
{
    cr_dims dims = cr_shape(x), given = cr_shape(var);
    if (given.n > 0 && given.n == dims.n - 1) {
        dims.n--;
        if (cr__dims_equal(dims, given))
            return cr_unsqueeze(var, -1);
        cr__op_fail(ctx, &cr__op_gaussian_nll_loss, CR_ERR_SHAPE, NULL,
                    "var %s is neither shaped like x, %s, nor without its last dimension",
                    cr__shape_text(var), cr__shape_text(x));
        return NULL;
    }
    return var;
}

/* The variance is eps at least, and its gradient is that at what it has become. */
CR__EXPAND_LOSS(gaussian_nll_loss)
{
    const gaussian_attrs *attrs = attributes;
    const cr_op *op = &cr__op_gaussian_nll_loss;
    cr_tensor *x = inputs[0], *t, *var;
    (void)n;
    if (!cr__loss_of_float(ctx, op, x) ||
        !(t = cr__loss_like(ctx, op, "target", inputs[1], x)) ||
        !(var = variance_of(ctx, inputs[2], x)))
        return NULL;
    var = cr__require(var, CR__VARIANCE);
    cr_tensor *least = cr_add(cr_sub(var, cr_detach(var)), attrs->eps);
    var = cr__loss_like(ctx, op, "var", cr_where(cr_lt(var, attrs->eps), least, var), x);
    if (!var)
        return NULL;
    cr_tensor *loss = cr_add(cr_log(var), cr_div(cr_square(cr_sub(x, t)), var));
    loss = cr_mul(loss, 0.5);
    if (attrs->full)
        loss = cr_add(loss, 0.9189385332046727);
    return cr__loss_reduced(loss, attrs->reduction, NULL);
}

CR__LOSS(gaussian_nll_loss, 3, 3, "x,target,var",
         CR__ATTRS(CR__ATTR(gaussian_attrs, full, BOOL, .initial = "false"),
                   CR__ATTR(gaussian_attrs, eps, REAL, .initial = "1e-6",
                            .flags = CR_ATTR_POSITIVE),
                   CR__REDUCTION_ROW(gaussian_attrs)),
         gaussian_attrs, "(ln var + (x - target)^2 / var) / 2, with full + ln(2 pi) / 2",
         .samples = CR__SAMPLES({ "f[2,3] f[2,3] f[2,3]{0.5,2}", NULL },
                                { "f[2,3] f[3] f[2]{0.5,2}", "full=true,reduction=sum" },
                                { "f[4] f[4] f[]{0.5,2}", "reduction=none" },
                                { "f[2]=1,2 f[2]~=0,0 f[2]~=0,0.25 -> 2,4 -> 2,2",
                                  "eps=0.5,reduction=none" }))

cr_tensor *cr_gaussian_nll_loss_at(cr_tensor *x, cr_tensor *target, cr_tensor *var,
                                   cr_gaussian_nll_opts opts)
{
    cr_tensor *inputs[] = { x, target, var };
    gaussian_attrs attrs = { opts.full, opts.eps, opts.reduction };
    cr__attrs_fill(NULL, &cr__op_gaussian_nll_loss, &attrs);
    return cr__record_n(NULL, &cr__op_gaussian_nll_loss, inputs, 3, &attrs, opts.site);
}
