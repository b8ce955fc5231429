/* Matrix products: contract, the primitive on equal batches, and matmul and linear, which
 * bring their operands into its form. */
#include "ops.h"

/* ---- contract ---- */

/* Whether [.., m, a] @ [b, n] is a product; the error also says how it could become one.
 */
static bool inner_fits(cr_ctx *ctx, const cr_op *op, cr_dims x, cr_dims y)
{
    int64_t a = x.v[x.n - 1], b = y.v[y.n > 1 ? y.n - 2 : 0];
    if (a == b)
        return true;
    const char *advice = NULL;
    if (y.n > 1 && y.v[y.n - 1] == a)
        advice = "transpose the second with cr_t()?";
    else if (x.n > 1 && x.v[x.n - 2] == b)
        advice = "transpose the first with cr_t()?";
    cr__op_fail(ctx, op, CR_ERR_SHAPE, advice, "inner sizes differ: %s @ %s",
                cr__dims_text(ctx, x), cr__dims_text(ctx, y));
    return false;
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

static cr_status contract_shape(cr_infer *infer)
{
    cr_ctx *ctx = infer->ctx;
    const cr_dims *x = &infer->in_dims[0], *y = &infer->in_dims[1];
    if (!cr__products_fit(infer))
        return CR_ERR_DTYPE;
    bool fits = x->n >= 2 && x->n == y->n;
    for (int i = 0; fits && i < x->n - 2; i++)
        fits = x->v[i] == y->v[i];
    if (!fits)
        return cr__op_fail(ctx, infer->op, CR_ERR_SHAPE, "cr_matmul() broadcasts",
                           "not [.., m, k] @ [.., k, n] with equal batches: %s @ %s",
                           cr__dims_text(ctx, *x), cr__dims_text(ctx, *y));
    if (!inner_fits(ctx, infer->op, *x, *y))
        return CR_ERR_SHAPE;
    infer->dims.v[x->n - 1] = y->v[y->n - 1];
    return CR_OK;
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
        job->batch_dims[i] = out->shape->dims[i];
        job->a_batch[i] = a->strides[i];
        job->b_batch[i] = b->strides[i];
    }
}

static cr_tensor *contract(cr_tensor *x, cr_tensor *y);

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
 * what lies beneath, transposed, so that it need not be copied; the sums are the same. */
static void contract_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_input(out, 0), *y = cr_input(out, 1);
    if (cr_input_needs_grad(out, 0))
        down[0] = seen_transposed(x) ? cr_t(contract(y, cr_t(g))) : contract(g, cr_t(y));
    if (cr_input_needs_grad(out, 1))
        down[1] = seen_transposed(y) ? cr_t(contract(cr_t(g), x)) : contract(cr_t(x), g);
}

/* Rows of a plain product, and batches. */
static unsigned contract_apart(const cr_tensor *out)
{
    return CR_READS_INPUT(0) | (cr_ndim(out) > 2 ? CR_READS_INPUT(1) : 0u);
}

static cr_tensor *contract_vjp_apart(cr_tensor *out, cr_tensor *g, int i, int64_t n)
{
    cr_tensor *x = cr_input(out, 0);
    (void)i;
    x = cr_reshape(x, CR_DIMS(n, cr_size(x, 0) / n, cr_size(x, 1)));
    g = cr_reshape(g, CR_DIMS(n, cr_size(g, 0) / n, cr_size(g, 1)));
    return contract(cr_t(x), g);
}

CR__OP(contract) = {
    .name = "contract",
    .doc = "the matrix product [.., m, k] @ [.., k, n] with equal leading dimensions",
    .kind = CR_OP_CONTRACT,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,other",
    .shape = contract_shape,
    .vjp = contract_vjp,
    .reads = CR_READS_INPUT(0) | CR_READS_INPUT(1),
    .apart = contract_apart,
    .vjp_apart = contract_vjp_apart,
    .internal = &(const cr__contract_info){ .job = contract_job },
    .samples = CR__SAMPLES({ "f[2,3] f[3,4]", NULL }, { "f[2,2,3] f[2,3,2]", NULL },
                           { "f[2,0] f[0,3]", NULL }, { "f[0,2] f[2,3]", NULL },
                           { "f[0,2,2] f[0,2,2]", NULL }),
};

static cr_tensor *contract(cr_tensor *x, cr_tensor *y)
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
        return contract(x, y);
    x = cr_reshape(x, CR_DIMS(rows, from.v[from.n - 1]));
    return cr_reshape(contract(x, y), to);
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
    return contract(cr__expand_to(x, with_matrix(batch, a)),
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
    weight = to.n == from.n ? cr_t(weight) : cr_unsqueeze(weight, 1);
    cr_tensor *out = contract(x, weight);
    if (bias)
        out = cr_add(out, bias);
    return to.n == 2 && from.n == 2 ? out : cr_reshape(out, to);
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
