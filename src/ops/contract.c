/* Matrix products: contract, the primitive on equal batches, and those that bring their
 * operands into its form: matmul, linear, bmm, mv, dot, addmm. And products without a
 * sum: outer, kron. */
#include "attrs.h"

/* ---- contract ---- */

/* [.., m, a] @ [b, n] is no product; the error also says how it could become one. */
static cr_status inner_differs(cr_ctx *ctx, const cr_op *op, cr_dims x, cr_dims y)
{
    const int64_t a = x.v[x.n - 1], b = y.v[y.n > 1 ? y.n - 2 : 0];
    const char *advice = NULL;
    if (y.n > 1 && y.v[y.n - 1] == a)
        advice = "transpose the second with cr_t()?";
    else if (x.n > 1 && x.v[x.n - 2] == b)
        advice = "transpose the first with cr_t()?";
    return cr__op_fail(ctx, op, CR_ERR_SHAPE, advice, "inner sizes differ: %s @ %s",
                       cr__dims_text(ctx, x), cr__dims_text(ctx, y));
}

static bool inner_fits(cr_ctx *ctx, const cr_op *op, cr_dims x, cr_dims y)
{
    return x.v[x.n - 1] == y.v[y.n > 1 ? y.n - 2 : 0] ||
           inner_differs(ctx, op, x, y) == CR_OK;
}

bool cr__products_fit(cr_infer *infer)
{
    const cr_dtype a = infer->in_dtype[0], b = infer->in_dtype[1];
    if (!cr__takes_floats(infer->ctx, infer->op, a) ||
        !cr__takes_floats(infer->ctx, infer->op, b))
        return false;
    if (a == b)
        return true;
    return !cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                        "types differ: %s @ %s", cr_dtype_name(a), cr_dtype_name(b));
}

static cr_dims turned_dims(cr_dims x, bool turned)
{
    if (turned && x.n >= 2) {
        const int64_t rows = x.v[x.n - 2];
        x.v[x.n - 2] = x.v[x.n - 1];
        x.v[x.n - 1] = rows;
    }
    return x;
}

/* Copies of dims are made only for what errors say: they are long. */
static cr_status contract_shape(cr_infer *infer)
{
    cr_ctx *ctx = infer->ctx;
    const bool *turned = ((const cr__contract_attrs *)infer->attrs)->turned;
    const cr_dims *x = &infer->in_dims[0], *y = &infer->in_dims[1];
    const int n = x->n;
    if (!cr__products_fit(infer))
        return CR_ERR_DTYPE;
    bool fits = n >= 2 && n == y->n;
    for (int i = 0; fits && i < n - 2; i++)
        fits = x->v[i] == y->v[i];
    if (!fits)
        return cr__op_fail(ctx, infer->op, CR_ERR_SHAPE, "cr_matmul() broadcasts",
                           "not [.., m, k] @ [.., k, n] with equal batches: %s @ %s",
                           cr__dims_text(ctx, turned_dims(*x, turned[0])),
                           cr__dims_text(ctx, turned_dims(*y, turned[1])));
    if (x->v[n - 1 - turned[0]] != y->v[n - 2 + turned[1]])
        return inner_differs(ctx, infer->op, turned_dims(*x, turned[0]),
                             turned_dims(*y, turned[1]));
    infer->dims.v[n - 2] = x->v[n - 2 + turned[0]];
    infer->dims.v[n - 1] = y->v[n - 1 - turned[1]];
    return CR_OK;
}

/* The product of x and y, those turned that are to be. */
static cr_tensor *turned_product(cr_tensor *x, bool turn_x, cr_tensor *y, bool turn_y)
{
    const cr_arg operands[] = { cr_arg_tensor(x), cr_arg_tensor(y) };
    const cr__contract_attrs attrs = { { turn_x, turn_y } };
    return cr__record(NULL, &cr__op_contract, operands, 2, &attrs, CR_HERE);
}

static void contract_job(const cr_tensor *out, const cr__strided *a, const cr__strided *b,
                         cr__gemm_job *job)
{
    int batch = out->shape->ndim - 2;
    job->m = a->dims[batch];
    job->k = a->dims[batch + 1];
    job->n = b->dims[batch + 1];
    job->a.row = a->strides[batch];
    job->a.col = a->strides[batch + 1];
    job->b.row = b->strides[batch];
    job->b.col = b->strides[batch + 1];
    job->batch_ndim = batch;
    for (int i = 0; i < batch; i++) {
        job->batch_dims[i] = a->dims[i];
        job->a_batch[i] = a->strides[i];
        job->b_batch[i] = b->strides[i];
    }
}

/* Whether x is seen transposed: along its last dimension there are gaps, along the one
 * before none. */
static bool seen_transposed(const cr_tensor *x)
{
    cr__layout layout;
    int n = x->shape->ndim;
    if (!x->op || x->op->kind != CR_OP_VIEW || !x->n_inputs)
        return false;
    cr__layout_init(&layout, cr__input(x, 0)->shape);
    const cr__view_info *info = x->op->internal;
    return info->view(x, &layout) && layout.strides[n - 2] == 1 &&
           layout.strides[n - 1] > 1;
}

/* Products come out row-major. The gradient of what is seen transposed is made as that of
 * what lies beneath, transposed, so that it need not be copied, and that of what is turned as of
 * what is not; the sums are the same. */
static void contract_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_input(out, 0), *y = cr_input(out, 1);
    const bool turned_x = cr__is_turned(out, 0), turned_y = cr__is_turned(out, 1);
    if (cr_input_needs_grad(out, 0)) {
        const bool seen = !turned_x && seen_transposed(x);
        down[0] = turned_x || seen ? turned_product(y, turned_y, g, true)
                                   : turned_product(g, false, y, !turned_y);
        if (seen)
            down[0] = cr_t(down[0]);
    }
    if (cr_input_needs_grad(out, 1)) {
        const bool seen = !turned_y && seen_transposed(y);
        down[1] = turned_y || seen ? turned_product(g, true, x, turned_x)
                                   : turned_product(x, !turned_x, g, false);
        if (seen)
            down[1] = cr_t(down[1]);
    }
}

/* Rows of a plain product, and batches. */
static unsigned contract_apart(const cr_tensor *out)
{
    if (cr_ndim(out) > 2)
        return CR_READS_INPUT(0) | CR_READS_INPUT(1);
    return cr__is_turned(out, 0) ? 0 : CR_READS_INPUT(0);
}

static cr_tensor *contract_vjp_apart(cr_tensor *out, cr_tensor *g, int i, int64_t n)
{
    cr_tensor *x = cr_input(out, 0);
    (void)i;
    x = cr_reshape(x, CR_DIMS(n, cr_size(x, 0) / n, cr_size(x, 1)));
    g = cr_reshape(g, CR_DIMS(n, cr_size(g, 0) / n, cr_size(g, 1)));
    return cr__is_turned(out, 1) ? turned_product(g, true, x, false)
                                 : turned_product(x, true, g, false);
}

CR__OP(contract) = {
    .name = "contract",
    .doc = "the matrix product [.., m, k] @ [.., k, n] with equal leading dimensions",
    .kind = CR_OP_CONTRACT,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,other",
    .attrs_size = sizeof(cr__contract_attrs),
    .shape = contract_shape,
    .vjp = contract_vjp,
    .reads = CR_READS_INPUT(0) | CR_READS_INPUT(1),
    .apart = contract_apart,
    .vjp_apart = contract_vjp_apart,
    .internal = &(const cr__contract_info){ .job = contract_job, .panels = true },
    .samples = CR__SAMPLES({ "f[2,3] f[3,4]", NULL }, { "f[2,2,3] f[2,3,2]", NULL },
                           { "f[2,0] f[0,3]", NULL }, { "f[0,2] f[2,3]", NULL },
                           { "f[0,2,2] f[0,2,2]", NULL }),
};

cr_tensor *cr__contract(cr_tensor *x, cr_tensor *y)
{
    return cr__record_2(&cr__op_contract, cr_arg_tensor(x), cr_arg_tensor(y), CR_HERE);
}

/* ---- matmul ---- */

/* The product of a batch with one matrix is one product, of all rows: and so is the
 * gradient of the matrix, instead of a batch of products that are then added. */
static cr_tensor *product_folded(cr_tensor *x, cr_tensor *y)
{
    cr_dims from = cr_shape(x), to = from, last = cr_shape(y);
    int64_t rows = 1;
    for (int i = 0; i < from.n - 1; i++)
        rows *= from.v[i];
    to.v[to.n - 1] = last.v[last.n - 1];
    if (last.n > 2)
        y = cr_reshape(y, CR_DIMS(last.v[last.n - 2], last.v[last.n - 1]));
    if (from.n == 2)
        return cr__contract(x, y);
    x = cr_reshape(x, CR_DIMS(rows, from.v[from.n - 1]));
    return cr_reshape(cr__contract(x, y), to);
}

static bool is_one_matrix(cr_dims y, int rank_of_x)
{
    int64_t matrices = 1;
    for (int i = 0; i < y.n - 2; i++)
        matrices *= y.v[i];
    return matrices == 1 && y.n <= rank_of_x;
}

static cr_dims with_matrix(cr_dims batch, cr_dims matrix)
{
    batch.v[batch.n++] = matrix.v[matrix.n - 2];
    batch.v[batch.n++] = matrix.v[matrix.n - 1];
    return batch;
}

/* x and y of rank 2 or more; inner sizes fit. */
static cr_tensor *product_of(cr_ctx *ctx, const cr_op *op, cr_tensor *x, cr_tensor *y)
{
    cr_dims a = cr_shape(x), b = cr_shape(y), batch, a_batch = a, b_batch = b;
    if (is_one_matrix(b, a.n))
        return product_folded(x, y);
    a_batch.n -= 2;
    b_batch.n -= 2;
    if (!cr__broadcast_dims(a_batch, b_batch, &batch)) {
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                    "leading sizes do not broadcast: %s @ %s", cr__dims_text(ctx, a),
                    cr__dims_text(ctx, b));
        return NULL;
    }
    return cr__contract(cr__expand_to(x, with_matrix(batch, a)),
                        cr__expand_to(y, with_matrix(batch, b)));
}

static cr_tensor *matmul_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                const void *attrs)
{
    cr_tensor *x = inputs[0], *y = inputs[1];
    int rank_x = cr_ndim(x), rank_y = cr_ndim(y);
    (void)n, (void)attrs;
    if (rank_x == 0 || rank_y == 0) {
        cr__op_fail(ctx, &cr__op_matmul, CR_ERR_SHAPE, "cr_mul() multiplies by a scalar",
                    "operands have rank 1 or more: %s @ %s", cr__shape_text(x),
                    cr__shape_text(y));
        return NULL;
    }
    if (!inner_fits(ctx, &cr__op_matmul, cr_shape(x), cr_shape(y)))
        return NULL;
    x = rank_x == 1 ? cr_unsqueeze(x, 0) : x;
    y = rank_y == 1 ? cr_unsqueeze(y, 1) : y;
    if (!x || !y)
        return NULL;
    cr_tensor *out = product_of(ctx, &cr__op_matmul, x, y);
    if (rank_y == 1)
        out = cr_squeeze(out, -1);
    if (rank_x == 1)
        out = cr_squeeze(out, rank_y == 1 ? -1 : -2);
    return out;
}

CR__OP(matmul) = {
    .name = "matmul",
    .doc = "the matrix product of the last two dimensions, leading ones broadcast",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,other",
    .expand = matmul_expand,
    .samples = CR__SAMPLES({ "f[3] f[3]", NULL }, { "f[2,3] f[3]", NULL },
                           { "f[3] f[3,2]", NULL }, { "f[2,3] f[3,4]", NULL },
                           { "f[2,2,3] f[3,4]", NULL }, { "f[2,2,3] f[3]", NULL },
                           { "f[2,3] f[2,3,2]", NULL }, { "f[3] f[2,3,2]", NULL },
                           { "f[2,1,2,3] f[2,3,2]", NULL }, { "f[2,2,3] f[1,3,2]", NULL },
                           { "f[2,0] f[0,3]", NULL }, { "f[0,3] f[3,2]", NULL }),
};

cr_tensor *cr_matmul_at(cr_tensor *x, cr_tensor *other, const char *site)
{
    return cr__record_2(&cr__op_matmul, cr_arg_tensor(x), cr_arg_tensor(other), site);
}

/* ---- linear ---- */

static bool linear_fits(cr_ctx *ctx, cr_tensor *x, cr_tensor *weight, cr_tensor *bias)
{
    cr_dims w = cr_shape(weight), b = bias ? cr_shape(bias) : CR_NO_DIMS;
    if (w.n < 1 || w.n > 2) {
        cr__op_fail(ctx, &cr__op_linear, CR_ERR_SHAPE, NULL,
                    "weight is [out, in] or [in], not %s", cr__shape_text(weight));
        return false;
    }
    if (cr_ndim(x) < 1 || cr_size(x, -1) != w.v[w.n - 1]) {
        cr__op_fail(ctx, &cr__op_linear, CR_ERR_SHAPE, NULL,
                    "weight %s takes %lld features, x is %s", cr__shape_text(weight),
                    (long long)w.v[w.n - 1], cr__shape_text(x));
        return false;
    }
    int64_t outputs = w.n == 2 ? w.v[0] : 1;
    if (bias && !(b.n == w.n - 1 && (b.n == 0 || b.v[0] == outputs)) &&
        !(w.n == 1 && b.n == 1 && b.v[0] == 1)) {
        cr__op_fail(ctx, &cr__op_linear, CR_ERR_SHAPE, NULL,
                    "weight %s has %lld outputs, bias is %s", cr__shape_text(weight),
                    (long long)outputs, cr__shape_text(bias));
        return false;
    }
    return true;
}

/* One product of all rows; the bias is added to it before it gets its shape, where it is
 * the product's epilogue. */
static cr_tensor *linear_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                const void *attrs)
{
    cr_tensor *x = inputs[0], *weight = inputs[1], *bias = n > 2 ? inputs[2] : NULL;
    (void)attrs;
    if (!linear_fits(ctx, x, weight, bias))
        return NULL;
    if (cr_ndim(x) == 2 && cr_ndim(weight) == 2) {
        cr_tensor *product = turned_product(x, false, weight, true);
        return bias ? cr_add(product, bias) : product;
    }
    cr_dims from = cr_shape(x), to = from;
    int64_t rows = 1;
    for (int i = 0; i < from.n - 1; i++)
        rows *= from.v[i];
    if (from.n != 2)
        x = cr_reshape(x, CR_DIMS(rows, from.v[from.n - 1]));
    if (cr_ndim(weight) == 2)
        to.v[to.n - 1] = cr_size(weight, 0);
    else
        to.n--;
    cr_tensor *out = to.n == from.n ? turned_product(x, false, weight, true)
                                    : cr__contract(x, cr_unsqueeze(weight, 1));
    if (bias)
        out = cr_add(out, bias);
    return cr_reshape(out, to);
}

CR__OP(linear) = {
    .name = "linear",
    .doc = "x weight^T + bias: x [.., in], weight [out, in] or [in], bias [out]",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 2,
    .max_inputs = 3,
    .inputs = "x,weight,bias",
    .expand = linear_expand,
    .samples = CR__SAMPLES({ "f[2,3] f[4,3] f[4]", NULL }, { "f[2,3] f[4,3] -", NULL },
                           { "f[3] f[4,3] f[4]", NULL }, { "f[2,2,3] f[4,3] f[4]", NULL },
                           { "f[2,3] f[3]", NULL }, { "f[2,2,3] f[3] f[]", NULL },
                           { "f[0,3] f[2,3] f[2]", NULL },
                           { "f[2,0] f[3,0] f[3]", NULL }),
};

cr_tensor *cr_linear_at(cr_tensor *x, cr_tensor *weight, cr_tensor *bias,
                        const char *site)
{
    cr_tensor *inputs[] = { x, weight, bias };
    return cr__record_n(NULL, &cr__op_linear, inputs, bias ? 3 : 2, NULL, site);
}

/* ---- bmm, mv, dot ---- */

/* The matrix product of operands that must have these ranks, and equal batches. */
static cr_tensor *strict_product(cr_ctx *ctx, const cr_op *op, cr_tensor *const *in,
                                 int rank_x, int rank_y)
{
    cr_dims x = cr_shape(in[0]), y = cr_shape(in[1]);
    if (x.n != rank_x || y.n != rank_y) {
        cr__op_fail(ctx, op, CR_ERR_SHAPE, "cr_matmul() takes any ranks",
                    "operands have rank %d and %d, not %s @ %s", rank_x, rank_y,
                    cr__dims_text(ctx, x), cr__dims_text(ctx, y));
        return NULL;
    }
    if (rank_x == 3 && x.v[0] != y.v[0]) {
        cr__op_fail(ctx, op, CR_ERR_SHAPE, "cr_matmul() broadcasts",
                    "batches differ: %s @ %s", cr__dims_text(ctx, x),
                    cr__dims_text(ctx, y));
        return NULL;
    }
    if (!inner_fits(ctx, op, x, y))
        return NULL;
    return rank_x == 3 ? cr__contract(in[0], in[1]) : cr_matmul(in[0], in[1]);
}

#define STRICT(NAME, RANK_X, RANK_Y, OTHER, DOC, ...)                               \
    static cr_tensor *NAME##_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,   \
                                    const void *attrs)                              \
    {                                                                               \
        (void)n, (void)attrs;                                                       \
        return strict_product(ctx, &cr__op_##NAME, inputs, RANK_X, RANK_Y);         \
    }                                                                               \
    CR__OP(NAME) = {                                                                \
        .name = #NAME,                                                              \
        .doc = DOC,                                                                 \
        .kind = CR_OP_COMPOSITE,                                                    \
        .min_inputs = 2,                                                            \
        .max_inputs = 2,                                                            \
        .inputs = "x," #OTHER,                                                      \
        .expand = NAME##_expand,                                                    \
        .samples = CR__SAMPLES(__VA_ARGS__),                                        \
    };                                                                              \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, cr_tensor *OTHER, const char *site)     \
    {                                                                               \
        return cr__record_2(&cr__op_##NAME, cr_arg_tensor(x), cr_arg_tensor(OTHER), \
                            site);                                                  \
    }
/* clang-format off */
STRICT(bmm, 3, 3, other, "the matrix products of two batches: [b, m, k] @ [b, k, n]",
       { "f[2,3,2] f[2,2,4]", NULL }, { "f[0,2,2] f[0,2,1]", NULL }, { "f[2,2,0] f[2,0,3]", NULL })
STRICT(mv, 2, 1, vec, "the product of a matrix [m, k] and a vector [k]",
       { "f[3,2] f[2]", NULL }, { "f[2,0] f[0]", NULL }, { "f[0,2] f[2]", NULL })
STRICT(dot, 1, 1, other, "the sum of the products of two vectors' elements",
       { "f[3] f[3]", NULL }, { "f[0] f[0]", NULL })
/* clang-format on */

/* ---- addmm ---- */

typedef struct addmm_attrs {
    cr_opt_real beta, alpha;
} addmm_attrs;

/* factor times x: at 0 not a NaN of x arrives, though its gradient, 0, does. */
static cr_tensor *factor_times(cr_ctx *ctx, cr_tensor *x, double factor)
{
    return factor == 1   ? x
           : factor != 0 ? cr_mul(x, factor)
                         : cr_where(cr_scalar(ctx, 0, .dtype = CR_BOOL), x, 0);
}

static cr_tensor *addmm_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                               const void *attributes)
{
    const addmm_attrs *attrs = attributes;
    cr_tensor *product = strict_product(ctx, &cr__op_addmm, inputs + 1, 2, 2);
    (void)n;
    if (!product)
        return NULL;
    cr_dims dims = cr_shape(product), x = cr_shape(inputs[0]), common;
    if (cr_dtype_of(inputs[0]) != cr_dtype_of(product)) {
        cr__op_fail(ctx, &cr__op_addmm, CR_ERR_DTYPE, "cr_cast() converts",
                    "x is %s, the product %s", cr_dtype_name(cr_dtype_of(inputs[0])),
                    cr_dtype_name(cr_dtype_of(product)));
        return NULL;
    }
    if (!cr__broadcast_dims(x, dims, &common) || !cr__dims_equal(common, dims)) {
        cr__op_fail(ctx, &cr__op_addmm, CR_ERR_SHAPE, NULL,
                    "x %s does not expand to the product, %s", cr__dims_text(ctx, x),
                    cr__dims_text(ctx, dims));
        return NULL;
    }
    return cr_add(factor_times(ctx, product, attrs->alpha.v),
                  factor_times(ctx, inputs[0], attrs->beta.v));
}

CR__OP(addmm) = {
    .name = "addmm",
    .doc =
        "beta x + alpha a b: x broadcasts to the product of two matrices; beta 0 ignores "
        "what x is, alpha 0 what the product is",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 3,
    .max_inputs = 3,
    .inputs = "x,a,b",
    .attrs = CR__ATTRS(CR__ATTR(addmm_attrs, beta, OPT_REAL, .initial = "1"),
                       CR__ATTR(addmm_attrs, alpha, OPT_REAL, .initial = "1")),
    .attrs_size = sizeof(addmm_attrs),
    .expand = addmm_expand,
    .samples = CR__SAMPLES(
        { "f[2,4] f[2,3] f[3,4]", "beta=0.5,alpha=-2" }, { "f[4] f[2,3] f[3,4]", NULL },
        { "f[2,1] f[2,3] f[3,2]", NULL }, { "f[] f[2,0] f[0,2]", "beta=2" },
        { "f[2]=nan,inf f[1,1]=2 f[1,2]=3,4 -> 0,0 7 2,2 -> 0,0 2 1,1", "beta=0" },
        { "f[2] f[0,3] f[3,2]", NULL }),
};

cr_tensor *cr_addmm_at(cr_tensor *x, cr_tensor *a, cr_tensor *b, cr_addmm_opts opts)
{
    cr_tensor *inputs[] = { x, a, b };
    addmm_attrs attrs = { opts.beta, opts.alpha };
    cr__attrs_fill(NULL, &cr__op_addmm, &attrs);
    return cr__record_n(NULL, &cr__op_addmm, inputs, 3, &attrs, opts.site);
}

/* ---- outer, kron ---- */

static cr_tensor *outer_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                               const void *attrs)
{
    (void)n, (void)attrs;
    if (cr_ndim(inputs[0]) == 1 && cr_ndim(inputs[1]) == 1)
        return cr_mul(cr_unsqueeze(inputs[0], 1), inputs[1]);
    cr__op_fail(ctx, &cr__op_outer, CR_ERR_SHAPE, NULL, "takes vectors, not %s and %s",
                cr__shape_text(inputs[0]), cr__shape_text(inputs[1]));
    return NULL;
}

CR__OP(outer) = {
    .name = "outer",
    .doc = "x_i other_j of two vectors",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,other",
    .expand = outer_expand,
    .samples = CR__SAMPLES({ "f[2] f[3]", NULL }, { "f[0] f[2]", NULL },
                           { "i[2] i[2]", NULL }),
};

cr_tensor *cr_outer_at(cr_tensor *x, cr_tensor *other, const char *site)
{
    return cr__record_2(&cr__op_outer, cr_arg_tensor(x), cr_arg_tensor(other), site);
}

/* Each dim of x in front of the same one of other; where one of the two has size 1, one
 * is enough. */
static cr_tensor *kron_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                              const void *attrs)
{
    cr_dims x = cr_shape(inputs[0]), y = cr_shape(inputs[1]), left = CR_NO_DIMS;
    cr_dims right = left, out = left;
    (void)n, (void)attrs;
    while (x.n < y.n)
        cr__dims_insert(&x, 0, 1);
    while (y.n < x.n)
        cr__dims_insert(&y, 0, 1);
    for (int i = 0; i < x.n; i++) {
        bool apart = x.v[i] != 1 && y.v[i] != 1;
        if (left.n + 1 + apart > CR_MAX_DIMS) {
            cr__op_fail(
                ctx, &cr__op_kron, CR_ERR_SHAPE, NULL,
                "%s and %s have too many dimensions: each of both counts, at most %d",
                cr__dims_text(ctx, x), cr__dims_text(ctx, y), CR_MAX_DIMS);
            return NULL;
        }
        left.v[left.n++] = x.v[i];
        right.v[right.n++] = apart ? 1 : y.v[i];
        if (apart) {
            left.v[left.n++] = 1;
            right.v[right.n++] = y.v[i];
        }
        if (!cr__size_mul(x.v[i], y.v[i], &out.v[out.n++])) {
            cr__op_fail(ctx, &cr__op_kron, CR_ERR_SHAPE, NULL, "the result is too large");
            return NULL;
        }
    }
    cr_tensor *product =
        cr_mul(cr_reshape(inputs[0], left), cr_reshape(inputs[1], right));
    return cr_reshape(product, out);
}

CR__OP(kron) = {
    .name = "kron",
    .doc = "other times each element of x, in its place: the Kronecker product",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,other",
    .expand = kron_expand,
    .samples = CR__SAMPLES({ "f[2,3] f[4,2]", NULL }, { "f[2] f[2,2]", NULL },
                           { "f[2,1,2] f[3]", NULL }, { "f[] f[2]", NULL },
                           { "f[0,2] f[2,2]", NULL }, { "i[2] i[2]", NULL }),
};

cr_tensor *cr_kron_at(cr_tensor *x, cr_tensor *other, const char *site)
{
    return cr__record_2(&cr__op_kron, cr_arg_tensor(x), cr_arg_tensor(other), site);
}
