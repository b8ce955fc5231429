/* Matrices: solving, inverses, determinants, the exponential. Factorisations: decompose.c. */
#include "attrs.h"
#include "../base/text.h"
#include "matrix.h"

#include <math.h>
#include <string.h>

/* ---- what is shared ---- */

cr__matrices cr__matrices_of(cr_dims dims)
{
    cr__matrices m = { 1, dims.v[dims.n - 2], dims.v[dims.n - 1] };
    for (int d = 0; d < dims.n - 2; d++)
        m.count *= dims.v[d];
    return m;
}

bool cr__takes_matrices(cr_infer *infer, int input)
{
    if (!cr__is_float(infer->in_dtype[input]))
        return !cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                            "takes floats, not %s",
                            cr_dtype_name(infer->in_dtype[input]));
    if (infer->in_dtype[input] != infer->in_dtype[0])
        return !cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                            "types differ: %s and %s", cr_dtype_name(infer->in_dtype[0]),
                            cr_dtype_name(infer->in_dtype[input]));
    if (infer->in_dims[input].n < 2)
        return !cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                            "takes matrices, [.., m, n], not %s",
                            cr__dims_text(infer->ctx, infer->in_dims[input]));
    return true;
}

bool cr__takes_squares(cr_infer *infer, int input)
{
    const cr_dims *dims = &infer->in_dims[input];
    if (!cr__takes_matrices(infer, input))
        return false;
    if (dims->v[dims->n - 1] != dims->v[dims->n - 2])
        return !cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                            "takes square matrices, [.., n, n], not %s",
                            cr__dims_text(infer->ctx, *dims));
    return true;
}

cr_status cr__squares_shape(cr_infer *infer)
{
    for (int i = 0; i < infer->n; i++)
        if (!cr__takes_squares(infer, i))
            return infer->ctx->status;
    if (infer->n > 1 && !cr__dims_equal(infer->in_dims[0], infer->in_dims[1]))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "shapes differ: %s and %s",
                           cr__dims_text(infer->ctx, infer->in_dims[0]),
                           cr__dims_text(infer->ctx, infer->in_dims[1]));
    return CR_OK;
}

/* All matrices of a kernel. */
typedef struct matrix_job {
    const cr_kernel *kernel;
    cr__matrix_fn *one;
    size_t bytes;   /* of work for each worker */
    int64_t failed; /* the first matrix that failed; INT64_MAX: none */
} matrix_job;

static void run_matrix(void *arg, int64_t matrix, int worker)
{
    matrix_job *job = arg;
    char *work = (char *)job->kernel->scratch + (size_t)worker * job->bytes;
    const int64_t place = job->one(job->kernel, matrix, (double *)(void *)work);
    int64_t first = __atomic_load_n(&job->failed, __ATOMIC_RELAXED);
    while (place >= 0 && matrix < first &&
           !__atomic_compare_exchange_n(&job->failed, &first, matrix, false,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static double work_for(cr_dims x, cr_dims out, cr__matrix_work *work)
{
    const cr__matrices of = cr__matrices_of(x);
    return work((double)of.rows, (double)of.columns,
                out.n ? (double)out.v[out.n - 1] : 1);
}

cr_status cr__each_matrix(const cr_kernel *kernel, cr__matrix_fn *one, const char *what,
                          cr__matrix_work *work)
{
    const cr_dims *x = &kernel->in[0].dims;
    matrix_job job = { .kernel = kernel, .one = one, .failed = INT64_MAX };
    job.bytes = (size_t)work_for(*x, kernel->out.dims, work) * sizeof(double);
    cr_kernel_chunks(kernel, cr__matrices_of(*x).count, run_matrix, &job);
    if (job.failed == INT64_MAX)
        return CR_OK;
    /* Again, alone, for the place. */
    const int64_t place = one(kernel, job.failed, kernel->scratch);
    int length = snprintf(kernel->message, kernel->capacity, "matrix %lld ",
                          (long long)job.failed);
    if (length > 0 && (size_t)length < kernel->capacity)
        cr__format(kernel->message + length, kernel->capacity - (size_t)length, what,
                   (long long)place);
    return CR_ERR_VALUE;
}

size_t cr__matrix_scratch(const cr_tensor *out, cr__matrix_work *work)
{
    const double doubles = work_for(cr_shape(cr_input(out, 0)), cr_shape(out), work);
    const double bytes = /* of empty matrices, too, there is a place */
        (doubles + 1) * sizeof(double) * (double)cr__team_size(out->ctx->team);
    return bytes < 0x1p60 ? (size_t)bytes : SIZE_MAX;
}

double *cr__matrix_load(const cr_array *x, int64_t at, int64_t n, double *to)
{
    for (int64_t i = 0; i < n; i++)
        to[i] = x->dtype == CR_F32 ? (double)((const float *)x->data)[at + i]
                                   : ((const double *)x->data)[at + i];
    return to + n;
}

void cr__matrix_store(const cr_array *x, int64_t at, int64_t n, const double *from)
{
    for (int64_t i = 0; i < n; i++)
        if (x->dtype == CR_F32)
            ((float *)x->data)[at + i] = (float)from[i];
        else
            ((double *)x->data)[at + i] = from[i];
}

cr_tensor *cr__unpack_matrix(cr_tensor *packed, int64_t *at, int64_t rows,
                             int64_t columns)
{
    const int64_t from = *at;
    cr_dims dims = cr_shape(packed);
    *at += columns < 0 ? rows : rows * columns;
    cr_tensor *part = cr_slice(packed, -1, from, *at);
    if (!part || columns < 0)
        return part;
    dims.v[dims.n - 1] = rows;
    dims.v[dims.n++] = columns;
    return cr_reshape(part, dims);
}

cr_tensor *cr__below_diagonal(cr_ctx *ctx, int64_t n, int64_t above)
{
    cr_tensor *i = cr_arange(ctx, 0, n, 1, .dtype = CR_I64);
    return cr_gt(cr_sub(cr_unsqueeze(i, 1), i), above);
}

cr_tensor *cr__symmetric(cr_tensor *x)
{
    return cr_mul(cr_add(x, cr_t(x)), 0.5);
}

cr_tensor *cr__product(cr_tensor *x, bool x_t, cr_tensor *y, bool y_t)
{
    return cr_matmul(x_t ? cr_t(x) : x, y_t ? cr_t(y) : y);
}

/* ---- cholesky ---- */

/* The result's matrix as doubles, in place of the input's. */
static int64_t cholesky_lower_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const int64_t n = kernel->in[0].dims.v[kernel->in[0].dims.n - 1];
    cr__matrix_load(&kernel->in[0], matrix * n * n, n * n, work);
    const int64_t failed = cr__cholesky(work, n);
    cr__matrix_store(&kernel->out, matrix * n * n, n * n, work);
    return failed < 0 ? -1 : failed + 1;
}

CR__EACH_MATRIX(cholesky_lower,
                "is not positive definite: its leading minor of order %lld", n *n)

/* With p the lower triangle of L^T g, its diagonal halved: L^-T p L^-1, made symmetric (Murray,
 * 2016). */
static void cholesky_lower_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_ctx *ctx = cr_ctx_of(out);
    const int64_t n = cr_size(out, -1);
    cr_tensor *lower = cr__below_diagonal(ctx, n, -1);
    cr_tensor *p = cr__product(out, true, cr_where(lower, g, 0), false);
    p = cr_where(lower, cr_where(cr__below_diagonal(ctx, n, 0), p, cr_mul(p, 0.5)), 0);
    p = cr_solve_triangular(cr_t(out), p, true);
    p = cr_solve_triangular(out, p, false, .left = CR_INT(0));
    down[0] = cr__symmetric(p);
}

CR__OP(cholesky_lower) = {
    .name = "cholesky_lower",
    .doc = "the lower triangular L with L L^T = x, of which the lower triangle is read",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .shape = cr__squares_shape,
    .vjp = cholesky_lower_vjp,
    .reads = CR_READS_OUTPUT,
    .kernel = cholesky_lower_kernel,
    .scratch = cholesky_lower_scratch,
    .samples = CR__SAMPLES({ "f[2,2]~=4,2,2,3", NULL }, { "f[2,1,1]{1,2}~", NULL },
                           { "f[0,3,3]", NULL }, { "f[2,0,0]", NULL }),
};

typedef struct cholesky_attrs {
    bool upper;
} cholesky_attrs;
static const cr_attr cholesky_rows[] = {
    CR__ATTR(cholesky_attrs, upper, BOOL, .initial = "false"), CR__ATTRS_END
};

static cr_tensor *cholesky_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                  const void *attributes)
{
    const cholesky_attrs *attrs = attributes;
    (void)ctx, (void)n;
    if (attrs->upper)
        return cr_t(cr__record_1(&cr__op_cholesky_lower, cr_t(inputs[0]), NULL, CR_HERE));
    return cr__record_1(&cr__op_cholesky_lower, inputs[0], NULL, CR_HERE);
}

CR__OP(cholesky) = {
    .name = "cholesky",
    .doc = "the triangular L with L L^T = x, positive definite; .upper: its transpose",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = cholesky_rows,
    .attrs_size = sizeof(cholesky_attrs),
    .expand = cholesky_expand,
    .samples = CR__SAMPLES({ "f[2,2]~=4,2,2,3", NULL },
                           { "f[3,3]~=4,1,2,1,5,3,2,3,6", "upper=true" },
                           { "f[0,2,2]", NULL }),
};

cr_tensor *cr_cholesky_at(cr_tensor *x, cr_cholesky_opts opts)
{
    return cr__record_1(&cr__op_cholesky, x, &(cholesky_attrs){ opts.upper }, opts.site);
}

/* ---- solving ---- */

/* [.., n, n] and [.., n, m] with equal leading dims. */
static cr_status system_shape(cr_infer *infer)
{
    const cr_dims *a = &infer->in_dims[0], *b = &infer->in_dims[1];
    if (!cr__takes_squares(infer, 0) || !cr__takes_matrices(infer, 1))
        return infer->ctx->status;
    bool fits = a->n == b->n && a->v[a->n - 1] == b->v[b->n - 2];
    for (int d = 0; fits && d < a->n - 2; d++)
        fits = a->v[d] == b->v[d];
    if (!fits)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "not [.., n, n] and [.., n, m] with equal batches: %s and %s",
                           cr__dims_text(infer->ctx, *a), cr__dims_text(infer->ctx, *b));
    infer->dims = *b;
    return CR_OK;
}

/* The matrix, both sides, and an order. */
#define SYSTEM_WORK (n * n + 2 * n * k + n)

typedef struct triangle_attrs {
    bool upper, unitriangular;
} triangle_attrs;
static const cr_attr triangle_rows[] = {
    CR__ATTR(triangle_attrs, upper, BOOL, .flags = CR_ATTR_POSITIONAL),
    CR__ATTR(triangle_attrs, unitriangular, BOOL, .initial = "false"), CR__ATTRS_END
};

static int64_t triangular_system_one(const cr_kernel *kernel, int64_t matrix,
                                     double *work)
{
    const triangle_attrs *attrs = kernel->attrs;
    const cr__matrices b = cr__matrices_of(kernel->in[1].dims);
    const int64_t n = b.rows, m = b.columns;
    double *x = cr__matrix_load(&kernel->in[0], matrix * n * n, n * n, work);
    cr__matrix_load(&kernel->in[1], matrix * n * m, n * m, x);
    cr__solve_triangle(
        work, n, (cr__triangle){ .upper = attrs->upper, .unit = attrs->unitriangular }, x,
        m);
    cr__matrix_store(&kernel->out, matrix * n * m, n * m, x);
    return -1;
}

CR__EACH_MATRIX(triangular_system, "", SYSTEM_WORK)

/* The part of x that the triangle has. */
static cr_tensor *part_of_triangle(cr_tensor *x, const triangle_attrs *attrs)
{
    const int64_t n = cr_size(x, -1), diagonal = attrs->unitriangular ? 0 : -1;
    cr_tensor *lower = cr__below_diagonal(cr_ctx_of(x), n, diagonal);
    return cr_where(attrs->upper ? cr_t(lower) : lower, x, 0);
}

static void triangle_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const triangle_attrs *attrs = cr_attrs(out);
    triangle_attrs turned = *attrs;
    turned.upper = !turned.upper;
    cr_tensor *inputs[] = { cr_t(cr_input(out, 0)), g };
    cr_tensor *of_b =
        cr__record_n(NULL, &cr__op_triangular_system, inputs, 2, &turned, CR_HERE);
    down[1] = of_b;
    if (cr_input_needs_grad(out, 0))
        down[0] = part_of_triangle(cr_neg(cr__product(of_b, false, out, true)), attrs);
}

CR__OP(triangular_system) = {
    .name = "triangular_system",
    .doc = "the solution of a x = b, a a triangle, of equal batches",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "a,b",
    .attrs = triangle_rows,
    .attrs_size = sizeof(triangle_attrs),
    .shape = system_shape,
    .vjp = triangle_vjp,
    .reads = CR_READS_INPUT(0) | CR_READS_OUTPUT,
    .kernel = triangular_system_kernel,
    .never_fails = true,
    .scratch = triangular_system_scratch,
    .samples = CR__SAMPLES({ "f[3,3]{0.5,2} f[3,2]", "upper=true" },
                           { "f[2,2,2]{0.5,2} f[2,2,1]", "upper=false" },
                           { "f[3,3] f[3,1]", "upper=false,unitriangular=true" },
                           { "f[0,0] f[0,2]", "upper=true" },
                           { "f[2,2] f[2,0]", "upper=true" }),
};

static int64_t linear_system_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const cr__matrices b = cr__matrices_of(kernel->in[1].dims);
    const int64_t n = b.rows, m = b.columns;
    double *rhs = cr__matrix_load(&kernel->in[0], matrix * n * n, n * n, work);
    double *x = cr__matrix_load(&kernel->in[1], matrix * n * m, n * m, rhs);
    const int64_t failed = cr__solve(work, n, (int64_t *)(void *)(x + n * m), rhs, x, m);
    cr__matrix_store(&kernel->out, matrix * n * m, n * m, x);
    return failed;
}

CR__EACH_MATRIX(linear_system, "is singular: pivot %lld is 0", SYSTEM_WORK)

static void system_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *inputs[] = { cr_t(cr_input(out, 0)), g };
    down[1] = cr__record_n(NULL, &cr__op_linear_system, inputs, 2, NULL, CR_HERE);
    if (cr_input_needs_grad(out, 0))
        down[0] = cr_neg(cr__product(down[1], false, out, true));
}

#define REGULAR "f[3,3]=3,-1,0.5,1,-2,1.5,0.25,1,4"
CR__OP(linear_system) = {
    .name = "linear_system",
    .doc = "the solution of a x = b, of equal batches",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "a,b",
    .shape = system_shape,
    .vjp = system_vjp,
    .reads = CR_READS_INPUT(0) | CR_READS_OUTPUT,
    .kernel = linear_system_kernel,
    .scratch = linear_system_scratch,
    .samples = CR__SAMPLES({ "f[2,2]{1,2} f[2,3]", NULL }, { "f[0,0] f[0,2]", NULL },
                           { "f[1,1,1]{1,2} f[1,1,0]", NULL }),
};

/* a and b with equal batches. */
static bool align_batches(cr_ctx *ctx, const cr_op *op, cr_tensor **a, cr_tensor **b)
{
    cr_dims x = cr_shape(*a), y = cr_shape(*b), batch, to;
    if (!*a || !*b)
        return false;
    const int64_t rows[] = { x.v[x.n - 2], y.v[y.n - 2] };
    const int64_t columns[] = { x.v[x.n - 1], y.v[y.n - 1] };
    x.n -= 2, y.n -= 2;
    if (!cr__broadcast_dims(x, y, &batch))
        return !cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                            "leading sizes do not broadcast: %s and %s",
                            cr__shape_text(*a), cr__shape_text(*b));
    for (int i = 0; i < 2; i++) {
        to = batch;
        to.v[to.n++] = rows[i];
        to.v[to.n++] = columns[i];
        *(i ? b : a) = cr__expand_to(*(i ? b : a), to);
    }
    return true;
}

typedef struct solve_triangular_attrs {
    bool upper, unitriangular;
    cr_opt_int left;
} solve_triangular_attrs;
static const cr_attr solve_triangular_rows[] = {
    CR__ATTR(solve_triangular_attrs, upper, BOOL, .flags = CR_ATTR_POSITIONAL),
    CR__ATTR(solve_triangular_attrs, left, OPT_BOOL, .initial = "true"),
    CR__ATTR(solve_triangular_attrs, unitriangular, BOOL, .initial = "false"),
    CR__ATTRS_END
};

/* Both have rank 2 or more. */
static bool are_matrices(cr_ctx *ctx, const cr_op *op, cr_tensor *a, cr_tensor *b)
{
    return (cr_ndim(a) > 1 && cr_ndim(b) > 1) ||
           !cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                        "takes matrices, [.., n, n] and [.., n, m], not %s and %s",
                        cr__shape_text(a), cr__shape_text(b));
}

static cr_tensor *solve_triangular_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                          const void *attributes)
{
    const solve_triangular_attrs *attrs = attributes;
    const bool right = attrs->left.given && !attrs->left.v;
    triangle_attrs how = { attrs->upper != right, attrs->unitriangular };
    cr_tensor *system[] = { inputs[0], inputs[1] };
    (void)n;
    if (!are_matrices(ctx, &cr__op_solve_triangular, system[0], system[1]))
        return NULL;
    for (int i = 0; i < 2 && right; i++)
        system[i] = cr_t(system[i]);
    if (!align_batches(ctx, &cr__op_solve_triangular, &system[0], &system[1]))
        return NULL;
    cr_tensor *x = cr__record_n(ctx, &cr__op_triangular_system, system, 2, &how, CR_HERE);
    return right ? cr_t(x) : x;
}

CR__OP(solve_triangular) = {
    .name = "solve_triangular",
    .doc = "the solution of x y = b, or of y x = b, where x is a triangle",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,b",
    .attrs = solve_triangular_rows,
    .attrs_size = sizeof(solve_triangular_attrs),
    .expand = solve_triangular_expand,
    .samples = CR__SAMPLES({ "f[3,3]{0.5,2} f[3,2]", "upper=true" },
                           { "f[2,2]{0.5,2} f[2,2,1]", "upper=false" },
                           { "f[3,3]{0.5,2} f[2,3]", "upper=true,left=false" },
                           { "f[2,2] f[1,2]",
                             "upper=false,left=false,unitriangular=true" }),
    .call = "x,b,upper,.left,.unitriangular",
};

cr_tensor *cr_solve_triangular_at(cr_tensor *x, cr_tensor *b, bool upper,
                                  cr_solve_triangular_opts opts)
{
    cr_tensor *inputs[] = { x, b };
    const solve_triangular_attrs attrs = { upper, opts.unitriangular, opts.left };
    return cr__record_n(NULL, &cr__op_solve_triangular, inputs, 2, &attrs, opts.site);
}

typedef struct solve_attrs {
    cr_opt_int left;
} solve_attrs;
static const cr_attr solve_rows[] = {
    CR__ATTR(solve_attrs, left, OPT_BOOL, .initial = "true"), CR__ATTRS_END
};

/* Whether b is a batch of vectors: [.., n] for x [.., n, n], as PyTorch tells them apart. */
static bool is_vectors(cr_tensor *x, cr_tensor *b)
{
    cr_dims a = cr_shape(x);
    a.n--;
    return cr_ndim(b) == 1 || (cr_ndim(b) == a.n && cr__dims_equal(a, cr_shape(b)));
}

static cr_tensor *solve_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                               const void *attributes)
{
    const solve_attrs *attrs = attributes;
    const bool right = attrs->left.given && !attrs->left.v;
    cr_tensor *system[] = { inputs[0], inputs[1] };
    (void)n;
    const bool vectors = cr_ndim(system[0]) > 1 && is_vectors(system[0], system[1]);
    if (vectors)
        system[1] = cr_unsqueeze(system[1], -1);
    if (!are_matrices(ctx, &cr__op_solve, system[0], system[1]))
        return NULL;
    if (right && vectors) {
        cr__op_fail(ctx, &cr__op_solve, CR_ERR_SHAPE, NULL,
                    "with left=false b is [.., m, n], not vectors, %s",
                    cr__shape_text(inputs[1]));
        return NULL;
    }
    for (int i = 0; i < 2 && right; i++)
        system[i] = cr_t(system[i]);
    if (!align_batches(ctx, &cr__op_solve, &system[0], &system[1]))
        return NULL;
    cr_tensor *x = cr__record_n(ctx, &cr__op_linear_system, system, 2, NULL, CR_HERE);
    return vectors ? cr_squeeze(x, -1) : right ? cr_t(x) : x;
}

CR__OP(solve) = {
    .name = "solve",
    .doc = "the solution of x y = b, or of y x = b; an error if x is singular",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,b",
    .attrs = solve_rows,
    .attrs_size = sizeof(solve_attrs),
    .expand = solve_expand,
    .samples = CR__SAMPLES({ REGULAR " f[3,2]", NULL }, { REGULAR " f[3]", NULL },
                           { REGULAR " f[2,3,2]", NULL },
                           { REGULAR " f[2,3]", "left=false" }, { "f[0,0] f[0]", NULL }),
};

cr_tensor *cr_solve_at(cr_tensor *x, cr_tensor *b, cr_solve_opts opts)
{
    cr_tensor *inputs[] = { x, b };
    return cr__record_n(NULL, &cr__op_solve, inputs, 2, &(solve_attrs){ opts.left },
                        opts.site);
}

/* ---- inv ---- */

static int64_t inv_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    const int64_t n = kernel->out.dims.v[kernel->out.dims.n - 1];
    double *x = cr__matrix_load(&kernel->in[0], matrix * n * n, n * n, work);
    const int64_t failed = cr__solve(work, n, (int64_t *)(void *)(x + n * n), NULL, x, n);
    cr__matrix_store(&kernel->out, matrix * n * n, n * n, x);
    return failed;
}

/* Of a singular matrix: infinities and NaN. */
static int64_t inv_unchecked_one(const cr_kernel *kernel, int64_t matrix, double *work)
{
    (void)inv_one(kernel, matrix, work);
    return -1;
}

#define INVERSE_WORK (2 * n * n + n)
CR__EACH_MATRIX(inv, "is singular: pivot %lld is 0", INVERSE_WORK)
CR__EACH_MATRIX(inv_unchecked, "", INVERSE_WORK)

/* -y^T g y^T */
static void inv_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_neg(cr__product(cr__product(out, true, g, false), false, out, true));
}

CR__OP(inv) = {
    .name = "inv",
    .doc = "the inverse of x [.., n, n]; an error if it is singular",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .shape = cr__squares_shape,
    .vjp = inv_vjp,
    .reads = CR_READS_OUTPUT,
    .kernel = inv_kernel,
    .scratch = inv_scratch,
    .samples = CR__SAMPLES({ REGULAR, NULL }, { "f[2,1,1]{1,2}", NULL },
                           { "f[0,2,2]", NULL }, { "f[0,0]", NULL }),
};

CR__OP(inv_unchecked) = {
    .name = "inv_unchecked",
    .doc = "the inverse of x, with infinities or NaN where it is singular",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .shape = cr__squares_shape,
    .vjp = inv_vjp,
    .reads = CR_READS_OUTPUT,
    .kernel = inv_unchecked_kernel,
    .never_fails = true,
    .scratch = inv_unchecked_scratch,
    .samples = CR__SAMPLES({ REGULAR, NULL }, { "f[0,2,2]", NULL }),
};

cr_tensor *cr_inv_at(cr_tensor *x, const char *site)
{
    return cr__record_1(&cr__op_inv, x, NULL, site);
}
