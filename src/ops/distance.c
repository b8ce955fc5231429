/* Norms of vectors and what is made of them: normalize, cosine_similarity,
 * pairwise_distance, cdist. Formulas: chainrule/distances.h. */
#include "../base/compiler.h"
#include "attrs.h"
#include "opaque.h"
#include <math.h>

/* ---- norms ---- */

/* m (sum (|x| / m)^p)^(1/p), m, the largest |x| (for p below 0 the smallest), being a
 * constant to the gradient, on which the result does not depend. What is 0 is left out of
 * the powers, whose slopes are infinite there. */
static cr_tensor *power_norm(cr_ctx *ctx, cr_tensor *x, double p, cr_dims dim,
                             bool keepdim)
{
    cr_tensor *size = cr_abs(x);
    cr_no_grad_push(ctx);
    cr_tensor *m =
        p > 0 ? cr_amax(size, dim, .keepdim = true) : cr_amin(size, dim, .keepdim = true);
    cr_tensor *unfit = cr_logical_or(cr_eq(m, 0), cr_eq(m, INFINITY));
    m = cr_where(unfit, 1, m);
    cr_tensor *none = cr_eq(x, 0);
    cr_no_grad_pop(ctx);
    cr_tensor *power = cr_pow(cr_div(cr_where(none, 1, size), m), p);
    power = cr_where(none, p > 0 ? 0.0 : (double)INFINITY, power);
    cr_tensor *sum = cr_sum(power, dim, .keepdim = true);
    cr_tensor *empty = cr_eq(sum, 0);
    cr_tensor *root = cr_pow(cr_where(empty, 1, sum), 1 / p);
    root = cr_mul(cr_where(empty, p > 0 ? 0.0 : (double)INFINITY, root), m);
    return keepdim || !root ? root
                            : cr_reshape(root, cr__reduced_dims(cr_shape(x), dim, false));
}

/* The p-norm of floats over dims, which are resolved. */
static cr_tensor *norm_over(cr_ctx *ctx, cr_tensor *x, double p, cr_dims dim,
                            bool keepdim)
{
    const cr_reduce_opts opts = { .keepdim = keepdim };
    if (!x)
        return NULL;
    if (p == 2)
        return cr__euclidean(x, dim, keepdim, 1);
    if (p == 0)
        return cr_cast(cr_sum_at(cr_ne(x, 0), dim, opts), cr_dtype_of(x));
    if (p == 1 || (p > 0 && isfinite(p) && cr__reduced_count(cr_shape(x), dim) == 0))
        return cr_sum_at(cr_abs(x), dim, opts);
    if (isinf(p))
        return p > 0 ? cr_amax_at(cr_abs(x), dim, opts)
                     : cr_amin_at(cr_abs(x), dim, opts);
    return power_norm(ctx, x, p, dim, keepdim);
}

/* Whether x is of floats and p a number; dims are resolved. False with the error. */
static bool can_take_norm(cr_ctx *ctx, const cr_op *op, const cr_tensor *x, double p,
                          cr_dims *dim)
{
    cr_infer infer = { .ctx = ctx, .op = op };
    if (isnan(p))
        cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "a norm of order NaN");
    return !isnan(p) && cr__takes_floats(ctx, op, cr_dtype_of(x)) &&
           cr__resolve_over(&infer, dim, cr_ndim(x));
}

typedef struct norm_attrs {
    cr__reduce_attrs reduce;
    cr_opt_real ord;
} norm_attrs;

static cr_tensor *vector_norm_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                     const void *attributes)
{
    norm_attrs a = *(const norm_attrs *)attributes;
    (void)n;
    if (!can_take_norm(ctx, &cr__op_vector_norm, inputs[0], a.ord.v, &a.reduce.dim))
        return NULL;
    return norm_over(ctx, inputs[0], a.ord.v, a.reduce.dim, a.reduce.keepdim);
}

#define COMPOSITE(NAME, N, INPUTS, ATTRS, T, DOC, CALL, ...) \
    CR__OP(NAME) = {                                         \
        .name = #NAME,                                       \
        .doc = DOC,                                          \
        .kind = CR_OP_COMPOSITE,                             \
        .widens = true,                                      \
        .min_inputs = N,                                     \
        .max_inputs = N,                                     \
        .inputs = INPUTS,                                    \
        .attrs = CR__ATTRS ATTRS,                            \
        .attrs_size = sizeof(T),                             \
        .expand = NAME##_expand,                             \
        .samples = CR__SAMPLES(__VA_ARGS__),                 \
        .call = CALL,                                        \
    };

COMPOSITE(vector_norm, 1, "x",
          (CR__REDUCE_ROWS(norm_attrs),
           CR__ATTR(norm_attrs, ord, OPT_REAL, .initial = "2")),
          norm_attrs, "(sum |x|^ord)^(1/ord), without overflow", "x,dim,.ord,.keepdim",
          { "f[3,4]", NULL }, { "f[3,4]", "dim=-1,ord=3" },
          { "f[3,4]", "dim=0,ord=1,keepdim=true" }, { "f[3,4]!", "ord=inf,dim=1" },
          { "f[3,4]{0.5,2}!", "ord=-inf,dim=1" }, { "f[3,4]{0.5,2}", "ord=-1.5,dim=0" },
          { "f[3,4]", "ord=0" }, { "f[2,0]", "dim=1,ord=3" },
          { "f[2,3]=0,0,0,0,3,-4 -> 0,0,0,0,0.6,-0.8 -> 0,0,0,0.2,0.224,0.168", "dim=1" },
          { "f[2,3]=0,0,0,0,1,-1 -> 0,0,0,0,1,-1", "dim=1,ord=1" },
          { "f[2,2]=0,0,0,-3 -> 0,0,0,-1", "dim=1,ord=2.5" },
          { "f[2,2]=0,0,0,-3 -> 0,0,0,-1", "dim=1,ord=0.5" },
          { "f[2,3]=0,0,0,2,-2,1 -> 0,0,0,0.5,-0.5,0", "dim=1,ord=inf" })

cr_tensor *cr_vector_norm_at(cr_tensor *x, cr_dims dim, cr_vector_norm_opts opts)
{
    norm_attrs attrs = { { dim, opts.keepdim }, opts.ord };
    cr__attrs_fill(NULL, &cr__op_vector_norm, &attrs);
    return cr__record_1(&cr__op_vector_norm, x, &attrs, opts.site);
}

/* ---- normalize ---- */

typedef struct normalize_attrs {
    cr_dims dim;
    cr_opt_real p, eps;
} normalize_attrs;

static cr_tensor *normalize_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                   const void *attributes)
{
    normalize_attrs a = *(const normalize_attrs *)attributes;
    cr_tensor *x = inputs[0];
    (void)n;
    if (!can_take_norm(ctx, &cr__op_normalize, x, a.p.v, &a.dim))
        return NULL;
    cr_tensor *norm = norm_over(ctx, x, a.p.v, a.dim, true);
    return cr_div(x, cr_clamp(norm, a.eps.v, INFINITY));
}

COMPOSITE(normalize, 1, "x",
          (CR__ATTR(normalize_attrs, dim, DIMS, .initial = "1",
                    .flags = CR_ATTR_POSITIONAL),
           CR__ATTR(normalize_attrs, p, OPT_REAL, .initial = "2"),
           CR__ATTR(normalize_attrs, eps, OPT_REAL, .initial = "1e-12")),
          normalize_attrs, "x / max(p-norm over dim, eps)", "x,dim,.p,.eps",
          { "f[3,4]", NULL }, { "f[3,4]", "dim=0,p=1" }, { "f[2,3,2]", "dim=[0,2],p=3" },
          { "f[2]=0.25,0.5 -> 0.5,0.5", "dim=0,eps=2" }, { "f[0,2]", NULL })

cr_tensor *cr_normalize_at(cr_tensor *x, cr_dims dim, cr_normalize_opts opts)
{
    normalize_attrs attrs = { dim, opts.p, opts.eps };
    cr__attrs_fill(NULL, &cr__op_normalize, &attrs);
    return cr__record_1(&cr__op_normalize, x, &attrs, opts.site);
}

/* ---- pairs ---- */

/* Two float tensors of one shape; false with the error. */
static bool broadcast_pair(cr_ctx *ctx, const cr_op *op, cr_tensor **x, cr_tensor **y)
{
    cr_dims dims;
    if (!cr__takes_floats(ctx, op, cr_dtype_of(*x)) ||
        !cr__takes_floats(ctx, op, cr_dtype_of(*y)))
        return false;
    if (!cr__broadcast_dims(cr_shape(*x), cr_shape(*y), &dims)) {
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL, "shapes do not broadcast: %s and %s",
                    cr__shape_text(*x), cr__shape_text(*y));
        return false;
    }
    *x = cr__expand_to(*x, dims);
    *y = cr__expand_to(*y, dims);
    return *x && *y;
}

typedef struct cosine_attrs {
    int64_t dim;
    cr_opt_real eps;
} cosine_attrs;

/* x / max(|x|, eps). What eps adds to a norm is a constant to the gradient. */
static cr_tensor *unit(cr_ctx *ctx, cr_tensor *x, cr_dims dim, double eps)
{
    cr_tensor *norm = cr__euclidean(x, dim, true, 1);
    cr_no_grad_push(ctx);
    cr_tensor *more = cr_where(cr_lt(norm, eps), cr_sub(eps, norm), 0);
    cr_no_grad_pop(ctx);
    return cr_div(x, cr_add(norm, more));
}

static cr_tensor *cosine_similarity_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                           const void *attributes)
{
    cosine_attrs a = *(const cosine_attrs *)attributes;
    cr_infer infer = { .ctx = ctx, .op = &cr__op_cosine_similarity };
    cr_tensor *x = inputs[0], *y = inputs[1];
    (void)n;
    if (!broadcast_pair(ctx, infer.op, &x, &y) ||
        !cr__resolve_dim(&infer, &a.dim, cr_ndim(x)))
        return NULL;
    cr_dims dim = cr_ndim(x) ? CR_DIMS(a.dim) : CR_NO_DIMS;
    return cr_sum(cr_mul(unit(ctx, x, dim, a.eps.v), unit(ctx, y, dim, a.eps.v)), dim);
}

COMPOSITE(cosine_similarity, 2, "x,y",
          (CR__ATTR(cosine_attrs, dim, INT, .initial = "1", .flags = CR_ATTR_POSITIONAL),
           CR__ATTR(cosine_attrs, eps, OPT_REAL, .initial = "1e-8")),
          cosine_attrs, "sum x y / (max(|x|, eps) max(|y|, eps)) over dim",
          "x,y,dim,.eps", { "f[3,4] f[3,4]", NULL }, { "f[3,4] f[4]", "dim=0" },
          { "f[2,1,3] f[4,3]", "dim=-2,eps=0.001" }, { "f[] f[]", "dim=0" },
          { "f[2]=0,0 f[2]=0,0 -> 0,0 0,0 -> 4,4 4,4", "dim=0,eps=0.5" },
          { "f[2,0] f[2,0]", NULL })

cr_tensor *cr_cosine_similarity_at(cr_tensor *x, cr_tensor *y, int dim,
                                   cr_cosine_similarity_opts opts)
{
    cosine_attrs attrs = { dim, opts.eps };
    cr__attrs_fill(NULL, &cr__op_cosine_similarity, &attrs);
    return cr__record_n(NULL, &cr__op_cosine_similarity, (cr_tensor *[]){ x, y }, 2,
                        &attrs, opts.site);
}

typedef struct pairwise_attrs {
    cr_opt_real p, eps;
    bool keepdim;
} pairwise_attrs;

static cr_tensor *pairwise_distance_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                           const void *attributes)
{
    const pairwise_attrs *a = attributes;
    const cr_op *op = &cr__op_pairwise_distance;
    cr_tensor *x = inputs[0], *y = inputs[1];
    (void)n;
    if (!broadcast_pair(ctx, op, &x, &y))
        return NULL;
    cr_dims dim = cr_ndim(x) ? CR_DIMS(-1) : CR_NO_DIMS;
    if (!can_take_norm(ctx, op, x, a->p.v, &dim))
        return NULL;
    x = cr_add(cr_sub(x, y), a->eps.v);
    return norm_over(ctx, x, a->p.v, dim, a->keepdim);
}

COMPOSITE(pairwise_distance, 2, "x,y",
          (CR__ATTR(pairwise_attrs, p, OPT_REAL, .initial = "2"),
           CR__ATTR(pairwise_attrs, eps, OPT_REAL, .initial = "1e-6"),
           CR__ATTR(pairwise_attrs, keepdim, BOOL, .initial = "false")),
          pairwise_attrs, "the p-norm of x - y + eps over the last dim",
          "x,y,.p,.eps,.keepdim", { "f[3,4] f[3,4]", NULL },
          { "f[3,4] f[4]", "p=1,keepdim=true" }, { "f[2,1,3] f[4,3]", "p=3,eps=0" },
          { "f[] f[]", NULL }, { "f[2]=1,2 f[2]=1,2 -> 0,0 0,0", "eps=0" },
          { "f[0,2] f[0,2]", NULL })

cr_tensor *cr_pairwise_distance_at(cr_tensor *x, cr_tensor *y,
                                   cr_pairwise_distance_opts opts)
{
    pairwise_attrs attrs = { opts.p, opts.eps, opts.keepdim };
    cr__attrs_fill(NULL, &cr__op_pairwise_distance, &attrs);
    return cr__record_n(NULL, &cr__op_pairwise_distance, (cr_tensor *[]){ x, y }, 2,
                        &attrs, opts.site);
}

/* ---- cdist ---- */

typedef struct cdist_attrs {
    cr_opt_real p;
} cdist_attrs;

/* Of the norms that have a reduction of their own. */
static cr__reduce_code reduction_of(double p)
{
    return p == 2   ? CR__REDUCE_squares_apart
           : p == 1 ? CR__REDUCE_sum_apart
           : p == 0 ? CR__REDUCE_count_apart
                    : CR__REDUCE_amax_apart;
}

typedef struct distances_job {
    const cr_kernel *kernel;
    cr__reduce_kernel reduce;
    cr__ending ending;
    int64_t n, k, m; /* x is [.., n, m], y [.., k, m] */
    int64_t chunks;
} distances_job;

/* From a row to `rows` of y, one behind the other; `copies` are as many of the row. What
 * is longer than a block adds up in order. */
static void reduce_pairs(const cr__reduce_kernel *k, void *out, const char *y,
                         const char *copies, int64_t rows, int64_t m)
{
    const int64_t size = k->size;
    if (m <= CR__BLOCK) {
        k->rows(k, out, y, copies, rows, m);
        return;
    }
    for (int64_t at = 0; at < m; at += CR__BLOCK) {
        CR__ALIGNED(64) char piece[8];
        const int64_t n = m - at < CR__BLOCK ? m - at : CR__BLOCK;
        k->rows(k, at ? piece : out, y + at * size, copies + at * size, 1, n);
        if (at)
            k->join(k, out, out, piece, 1, 1);
    }
}

/* The roots of sums of squares; what has overflowed or vanished is computed again. */
static void end_pairs(const distances_job *job, char *out, const char *y,
                      const char *copies, int64_t rows)
{
    const int64_t size = job->reduce.size, line = job->m * size;
    cr__reduce_code again;
    for (int64_t r = 0; job->ending.code && r < rows; r++) {
        cr__reduce_kernel scaled;
        r += cr__ending_apply(&job->ending, out + r * size, rows - r, &again);
        if (r == rows)
            return;
        cr__reduce_find(again, job->reduce.dtype, &scaled);
        reduce_pairs(&scaled, out + r * size, y + r * line, copies, 1, job->m);
        cr__ending_scaled(&job->ending, again, out + r * size);
    }
}

static void distances_chunk(void *arg, int64_t chunk, int worker)
{
    const distances_job *job = arg;
    const cr_kernel *kernel = job->kernel;
    const int64_t size = job->reduce.size, line = job->m * size;
    const int64_t fit = job->m < CR__BLOCK ? CR__BLOCK / job->m : 1;
    char *copies = cr__team_scratch(kernel->workers, worker);
    int64_t begin, end, rows;
    cr__part(kernel->out.numel / job->k, 1, chunk, job->chunks, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        const char *row = (const char *)kernel->in[0].data + i * line;
        const char *y = (const char *)kernel->in[1].data + i / job->n * job->k * line;
        char *out = (char *)kernel->out.data + i * job->k * size;
        for (int64_t r = 0; fit > 1 && r < fit && r < job->k; r++)
            memcpy(copies + r * line, row, (size_t)line);
        for (int64_t j = 0; j < job->k; j += rows, y += rows * line, out += rows * size) {
            rows = job->k - j < fit ? job->k - j : fit;
            reduce_pairs(&job->reduce, out, y, fit > 1 ? copies : row, rows, job->m);
            end_pairs(job, out, y, row, rows);
        }
    }
}

static cr_status distances_kernel(const cr_kernel *kernel)
{
    const double p = ((const cdist_attrs *)kernel->attrs)->p.v;
    const cr_dims *x = &kernel->in[0].dims;
    distances_job job = { .kernel = kernel,
                          .n = x->v[x->n - 2],
                          .k = kernel->out.dims.v[x->n - 1],
                          .m = x->v[x->n - 1] };
    if (kernel->out.numel == 0)
        return CR_OK;
    cr__reduce_find(reduction_of(p), kernel->out.dtype, &job.reduce);
    job.ending = (cr__ending){ .code = p == 2 ? CR__AS_ROOT : CR__AS_IT_IS,
                               .with = job.reduce.code,
                               .dtype = kernel->out.dtype,
                               .count = 1 };
    job.chunks = cr__kernel_chunks(kernel, kernel->out.numel * (job.m / 8 + 4),
                                   kernel->out.numel / job.k);
    cr_kernel_chunks(kernel, job.chunks, distances_chunk, &job);
    return CR_OK;
}

/* Both have rank 2 at least, the same leading dims, and rows of one length, not 0. */
static cr_status distances_shape(cr_infer *infer)
{
    const cr_dims *x = &infer->in_dims[0], *y = &infer->in_dims[1];
    if (!cr__is_float(infer->in_dtype[0]))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                           "takes floats, not %s", cr_dtype_name(infer->in_dtype[0]));
    if (x->n < 2 || x->n != y->n || x->v[x->n - 1] != y->v[y->n - 1] ||
        x->v[x->n - 1] == 0)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "rows of %s and %s are not of one length above 0",
                           cr__dims_text(infer->ctx, *x), cr__dims_text(infer->ctx, *y));
    infer->dims.v[x->n - 1] = y->v[y->n - 2];
    return CR_OK;
}

/* The gradient to the rows of x, from those of y, whose sign is the other: over [.., n,
 * m, k], so that what is summed is never stored. */
static cr_tensor *distance_gradient(cr_tensor *x, cr_tensor *y, cr_tensor *distance,
                                    cr_tensor *g, double p)
{
    cr_tensor *columns = cr_transpose(y, -2, -1);
    columns = cr_cat(&columns, 1, 0);
    cr_tensor *apart = cr_sub(cr_unsqueeze(x, -1), cr_unsqueeze(columns, -3));
    cr_tensor *to = cr_unsqueeze(distance, -2);
    if (p == 1)
        return cr_sum(cr_mul(cr_sign(apart), cr_unsqueeze(g, -2)), -1);
    if (p == 2) {
        to = cr_reciprocal(cr_where(cr_eq(to, 0), INFINITY, to));
        return cr_sum(cr_mul(cr_mul(apart, to), cr_unsqueeze(g, -2)), -1);
    }
    cr_tensor *tied = cr_eq(cr_abs(apart), to);
    cr_tensor *ties = cr_cast(cr_sum(tied, -2, .keepdim = true), cr_dtype_of(g));
    g = cr_div(cr_unsqueeze(g, -2), ties);
    return cr_sum(cr_where(tied, cr_mul(cr_sign(apart), g), 0), -1);
}

static void distances_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const double p = ((const cdist_attrs *)cr_attrs(out))->p.v;
    cr_tensor *x = cr_input(out, 0), *y = cr_input(out, 1);
    if (p == 0) {
        down[0] = cr_zeros_like(x), down[1] = cr_zeros_like(y);
        return;
    }
    if (cr_input_needs_grad(out, 0))
        down[0] = distance_gradient(x, y, out, g, p);
    if (cr_input_needs_grad(out, 1))
        down[1] = distance_gradient(y, x, cr_transpose(out, -2, -1),
                                    cr_transpose(g, -2, -1), p);
}

CR__OP(distances) = {
    .name = "distances",
    .doc = "cdist for p of 0, 1, 2 and inf, with the leading dims broadcast",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,y",
    .attrs = CR__ATTRS(CR__ATTR(cdist_attrs, p, OPT_REAL, .initial = "2")),
    .attrs_size = sizeof(cdist_attrs),
    .shape = distances_shape,
    .vjp = distances_vjp,
    .reads = CR_READS_INPUTS | CR_READS_OUTPUT,
    .kernel = distances_kernel,
    .never_fails = true,
    .samples = CR__SAMPLES({ "f[3,4] f[2,4]", NULL },
                           { "f[2,1,2]=0,5,-3,2 f[2,2,2]=0.5,1,2,8", "p=inf" },
                           { "f[3,2] f[2,2]", "p=1" }, { "f[3,4] f[2,4]", "p=0" },
                           { "f[0,4] f[2,4]", NULL }, { "f[70,3] f[1,3]", NULL }),
};

static cr_tensor *cdist_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                               const void *attributes)
{
    const cr_op *op = &cr__op_cdist;
    cdist_attrs attrs = *(const cdist_attrs *)attributes;
    cr_tensor *x = inputs[0], *y = inputs[1];
    const int a = cr_ndim(x), b = cr_ndim(y);
    const double p = attrs.p.v;
    cr_dims to, other;
    (void)n;
    if (!cr__takes_floats(ctx, op, cr_dtype_of(x)) ||
        !cr__takes_floats(ctx, op, cr_dtype_of(y)))
        return NULL;
    if (cr_dtype_of(x) != cr_dtype_of(y)) {
        cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() one of them",
                    "dtypes differ: %s and %s", cr_dtype_name(cr_dtype_of(x)),
                    cr_dtype_name(cr_dtype_of(y)));
        return NULL;
    }
    if (!(p >= 0)) {
        cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "p is %g, not 0 or above", p);
        return NULL;
    }
    if (a < 2 || b < 2 || cr_size(x, -1) != cr_size(y, -1)) {
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                    "x is [.., n, m] and y [.., k, m], not %s and %s", cr__shape_text(x),
                    cr__shape_text(y));
        return NULL;
    }
    const int64_t rows = cr_size(x, -2), others = cr_size(y, -2), m = cr_size(x, -1);
    to = cr_shape(x), other = cr_shape(y);
    to.n -= 2, other.n -= 2;
    if (!cr__broadcast_dims(to, other, &to)) {
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                    "the leading dims of %s and %s do not broadcast", cr__shape_text(x),
                    cr__shape_text(y));
        return NULL;
    }
    other = to;
    cr__dims_insert(&to, to.n, rows), cr__dims_insert(&to, to.n, m);
    cr__dims_insert(&other, other.n, others), cr__dims_insert(&other, other.n, m);
    x = cr__expand_to(x, to), y = cr__expand_to(y, other);
    if (m > 0 && (p == 0 || p == 1 || p == 2 || isinf(p)))
        return cr__record_n(ctx, &cr__op_distances, (cr_tensor *[]){ x, y }, 2, &attrs,
                            CR_HERE);
    x = cr_sub(cr_unsqueeze(x, -2), cr_unsqueeze(y, -3));
    return norm_over(ctx, x, m ? p : 1, CR_DIMS(to.n), false);
}

COMPOSITE(cdist, 2, "x,y", (CR__ATTR(cdist_attrs, p, OPT_REAL, .initial = "2")),
          cdist_attrs, "the p-norm of each row of x less each of y", "x,y,.p",
          { "f[3,4] f[2,4]", NULL }, { "f[2,1,3,2] f[4,2,2]", "p=1" },
          { "f[3,4] f[2,4]", "p=3" }, { "f[2,2]=0,5,-3,2 f[2,2]=0.5,1,2,8", "p=inf" },
          { "f[2,0] f[3,0]", "p=inf" }, { "f[2,3] f[0,3]", NULL },
          { "f[1,2]=1,2 f[1,2]=1,2 -> 0,0 0,0", NULL },
          { "f[1,2]=1,2 f[1,2]=1,2 -> 0,0 0,0", "p=1.5" })

cr_tensor *cr_cdist_at(cr_tensor *x, cr_tensor *y, cr_cdist_opts opts)
{
    cdist_attrs attrs = { opts.p };
    cr__attrs_fill(NULL, &cr__op_cdist, &attrs);
    return cr__record_n(NULL, &cr__op_cdist, (cr_tensor *[]){ x, y }, 2, &attrs,
                        opts.site);
}
