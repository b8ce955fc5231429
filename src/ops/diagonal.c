/* Diagonals and triangles of matrices: diagonal (a view) and its adjoint
 * diagonal_scatter, diag, diag_embed, tril, triu. */
#include "attrs.h"
#include "opaque.h"

#define FROM_DIM(NAME, INITIAL) \
    CR__ATTR(diagonal_attrs, NAME, INT, .initial = INITIAL, .flags = CR_ATTR_POSITIONAL)

/* ---- diagonal, diagonal_scatter ---- */

typedef struct diagonal_attrs {
    int64_t offset, dim1, dim2;
} diagonal_attrs;

/* dim1 and dim2 of a tensor of that rank to different dims from 0 up. */
static cr_status resolve_pair(cr_infer *infer, diagonal_attrs *attrs, int rank)
{
    if (rank < 2)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "%s has no two dimensions",
                           cr__dims_text(infer->ctx, infer->in_dims[0]));
    if (!cr__resolve_dim(infer, &attrs->dim1, rank) ||
        !cr__resolve_dim(infer, &attrs->dim2, rank))
        return CR_ERR_ARGUMENT;
    if (attrs->dim1 != attrs->dim2)
        return CR_OK;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                       "dim1 and dim2 are both %lld", (long long)attrs->dim1);
}

/* How long a diagonal is in a matrix of so many rows and columns. */
static int64_t diagonal_length(int64_t rows, int64_t columns, int64_t offset)
{
    if (offset >= columns || offset <= -rows)
        return 0;
    rows += offset < 0 ? offset : 0;
    columns -= offset > 0 ? offset : 0;
    return rows < columns ? rows : columns;
}

/* The shape of the diagonals of something of shape *dims: the two dims go, and another
 * comes last. */
static void diagonal_dims(const diagonal_attrs *a, cr_dims *dims)
{
    int64_t length = diagonal_length(dims->v[a->dim1], dims->v[a->dim2], a->offset);
    bool first = a->dim1 > a->dim2;
    cr__dims_remove(dims, (int)(first ? a->dim1 : a->dim2));
    cr__dims_remove(dims, (int)(first ? a->dim2 : a->dim1));
    cr__dims_insert(dims, dims->n, length);
}

static void diagonal_layout(const diagonal_attrs *a, cr__layout *layout)
{
    const cr__layout from = *layout;
    cr_dims dims = cr_dims_of(from.dims, from.ndim);
    int64_t row = from.strides[a->dim1], column = from.strides[a->dim2];
    diagonal_dims(a, &dims);
    layout->ndim = dims.n;
    if (dims.v[dims.n - 1] > 0)
        layout->offset += a->offset > 0 ? a->offset * column : -a->offset * row;
    for (int d = 0, to = 0; d < from.ndim; d++)
        if (d != a->dim1 && d != a->dim2)
            layout->strides[to++] = from.strides[d];
    layout->strides[dims.n - 1] = row + column;
    for (int d = 0; d < dims.n; d++)
        layout->dims[d] = dims.v[d];
}

static cr_status diagonal_shape(cr_infer *infer)
{
    cr_status status = resolve_pair(infer, infer->attrs, infer->in_dims[0].n);
    if (status == CR_OK)
        diagonal_dims(infer->attrs, &infer->dims);
    return status;
}

static bool diagonal_view(const cr_tensor *out, cr__layout *layout)
{
    diagonal_layout(out->attrs, layout);
    return true;
}

static cr_tensor *scatter(cr_tensor *x, cr_tensor *src, const diagonal_attrs *a)
{
    return cr_diagonal_scatter(x, src, a->offset, (int)a->dim1, (int)a->dim2);
}

static void diagonal_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = scatter(cr_zeros_like(cr_input(out, 0)), g, cr_attrs(out));
}

static const cr_attr diagonal_rows[] = {
    FROM_DIM(offset, "0"),
    FROM_DIM(dim1, "0"),
    FROM_DIM(dim2, "1"),
    CR__ATTRS_END,
};
CR__OP(diagonal) = {
    .name = "diagonal",
    .doc = "the diagonal of each matrix in dim1, dim2 as the last dimension; offset "
           "above 0: "
           "right of it",
    .kind = CR_OP_VIEW,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = diagonal_rows,
    .attrs_size = sizeof(diagonal_attrs),
    .shape = diagonal_shape,
    .vjp = diagonal_vjp,
    .internal = &(const cr__view_info){ diagonal_view },
    .samples = CR__SAMPLES({ "f[3,3]", NULL }, { "f[3,4]", "offset=1" },
                           { "f[4,2]", "offset=-2" }, { "f[2,3,4]", "dim1=-1,dim2=0" },
                           { "f[2,3,2]", "offset=-1,dim1=1,dim2=2" },
                           { "f[2,3]", "offset=3" }, { "f[0,3]", NULL },
                           { "f[2,0,2]", "dim1=0,dim2=2" }, { "i[3,2]", NULL }),
};

cr_tensor *cr_diagonal_at(cr_tensor *x, int64_t offset, int dim1, int dim2,
                          const char *site)
{
    return cr__record_1(&cr__op_diagonal, x, &(diagonal_attrs){ offset, dim1, dim2 },
                        site);
}

static cr_status diagonal_scatter_shape(cr_infer *infer)
{
    cr_dims want = infer->in_dims[0];
    cr_status status = resolve_pair(infer, infer->attrs, want.n);
    if (status != CR_OK)
        return status;
    diagonal_dims(infer->attrs, &want);
    return cr__fits_part(infer, "the diagonal", want);
}

static cr_status diagonal_scatter_kernel(const cr_kernel *kernel)
{
    cr__layout part = cr__whole_result(kernel);
    diagonal_layout(kernel->attrs, &part);
    cr__replace_part(kernel, &part);
    return CR_OK;
}

static void diagonal_scatter_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const diagonal_attrs *a = cr_attrs(out);
    if (cr_input_needs_grad(out, 0))
        down[0] = scatter(g, cr_zeros_like(cr_input(out, 1)), a);
    if (cr_input_needs_grad(out, 1))
        down[1] = cr_diagonal(g, a->offset, (int)a->dim1, (int)a->dim2);
}

CR__OP(diagonal_scatter) = {
    .name = "diagonal_scatter",
    .doc = "x with its diagonal replaced by src",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,src",
    .attrs = diagonal_rows,
    .attrs_size = sizeof(diagonal_attrs),
    .shape = diagonal_scatter_shape,
    .vjp = diagonal_scatter_vjp,
    .kernel = diagonal_scatter_kernel,
    .fetched = CR_READS_INPUTS,
    .overwrites = CR_READS_INPUT(0),
    .never_fails = true,
    .samples = CR__SAMPLES({ "f[3,3] f[3]", NULL }, { "f[3,4] f[3]", "offset=1" },
                           { "f[2,3,4] f[3,2]", "dim1=-1,dim2=0" },
                           { "f[2,3] f[0]", "offset=3" }, { "f[0,3] f[0]", NULL }),
};

cr_tensor *cr_diagonal_scatter_at(cr_tensor *x, cr_tensor *src, int64_t offset, int dim1,
                                  int dim2, const char *site)
{
    cr_tensor *inputs[] = { x, src };
    diagonal_attrs attrs = { offset, dim1, dim2 };
    return cr__record_n(NULL, &cr__op_diagonal_scatter, inputs, 2, &attrs, site);
}

/* ---- diag_embed, diag ---- */

static cr_tensor *diag_embed_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                    const void *attributes)
{
    diagonal_attrs a = *(const diagonal_attrs *)attributes;
    cr_tensor *x = inputs[0];
    cr_dims from = cr_shape(x);
    cr_infer infer = { .ctx = ctx, .op = &cr__op_diag_embed, .in_dims = &from };
    int64_t size;
    (void)n;
    if (from.n == 0 || from.n == CR_MAX_DIMS) {
        cr__op_fail(ctx, infer.op, CR_ERR_SHAPE, NULL,
                    "x has 1 to %d dimensions, and is %s", CR_MAX_DIMS - 1,
                    cr__shape_text(x));
        return NULL;
    }
    if (resolve_pair(&infer, &a, from.n + 1) != CR_OK)
        return NULL;
    if (a.offset == INT64_MIN ||
        __builtin_add_overflow(from.v[from.n - 1], a.offset < 0 ? -a.offset : a.offset,
                               &size)) {
        cr__op_fail(ctx, infer.op, CR_ERR_SHAPE, NULL, "offset %lld is too large",
                    (long long)a.offset);
        return NULL;
    }
    int64_t low = a.dim1 < a.dim2 ? a.dim1 : a.dim2;
    from.n--;
    cr__dims_insert(&from, (int)low, size);
    cr__dims_insert(&from, (int)(a.dim1 + a.dim2 - low), size);
    return scatter(cr_zeros(ctx, from, .dtype = cr_dtype_of(x)), x, &a);
}

CR__OP(diag_embed) = {
    .name = "diag_embed",
    .doc = "matrices in new dims dim1, dim2 with the last dimension of x as diagonal, 0 "
           "elsewhere",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(FROM_DIM(offset, "0"), FROM_DIM(dim1, "-2"), FROM_DIM(dim2, "-1")),
    .attrs_size = sizeof(diagonal_attrs),
    .expand = diag_embed_expand,
    .samples = CR__SAMPLES({ "f[3]", NULL }, { "f[2,3]", "offset=1" },
                           { "f[2,3]", "offset=-1,dim1=2,dim2=0" }, { "f[0]", NULL },
                           { "f[0,2]", "offset=2" }, { "b[2]", NULL }),
};

cr_tensor *cr_diag_embed_at(cr_tensor *x, int64_t offset, int dim1, int dim2,
                            const char *site)
{
    return cr__record_1(&cr__op_diag_embed, x, &(diagonal_attrs){ offset, dim1, dim2 },
                        site);
}

/* Of the one attribute of diag, tril and triu. */
typedef struct level_attrs {
    int64_t diagonal;
} level_attrs;

static const cr_attr level_rows[] = {
    CR__ATTR(level_attrs, diagonal, INT, .initial = "0", .flags = CR_ATTR_POSITIONAL),
    CR__ATTRS_END,
};

static cr_tensor *diag_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                              const void *attributes)
{
    const level_attrs *a = attributes;
    int rank = cr_ndim(inputs[0]);
    (void)n;
    if (rank == 1)
        return cr_diag_embed(inputs[0], a->diagonal, 0, 1);
    if (rank == 2)
        return cr_diagonal(inputs[0], a->diagonal, 0, 1);
    cr__op_fail(ctx, &cr__op_diag, CR_ERR_SHAPE,
                "cr_diagonal() and cr_diag_embed() take batches",
                "x has 1 or 2 dimensions, and is %s", cr__shape_text(inputs[0]));
    return NULL;
}

CR__OP(diag) = {
    .name = "diag",
    .doc = "of a vector the matrix with that diagonal, of a matrix its diagonal",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = level_rows,
    .attrs_size = sizeof(level_attrs),
    .expand = diag_expand,
    .samples = CR__SAMPLES({ "f[3]", NULL }, { "f[2]", "diagonal=-1" },
                           { "f[3,2]", NULL }, { "f[2,4]", "diagonal=1" },
                           { "f[0]", NULL }, { "f[0,2]", NULL }),
};

cr_tensor *cr_diag_at(cr_tensor *x, int64_t diagonal, const char *site)
{
    return cr__record_1(&cr__op_diag, x, &(level_attrs){ diagonal }, site);
}

/* ---- tril, triu ---- */

/* x where `upper` has column >= row + diagonal, or else column <= row + diagonal, and 0
 * elsewhere. */
static cr_tensor *triangle(cr_ctx *ctx, const cr_op *op, cr_tensor *x, bool upper,
                           int64_t diagonal)
{
    if (cr_ndim(x) < 2) {
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL, "x has 2 dimensions or more, and is %s",
                    cr__shape_text(x));
        return NULL;
    }
    int64_t m = cr_size(x, -2), n = cr_size(x, -1);
    diagonal = diagonal < -m ? -m : diagonal > n ? n : diagonal;
    cr_tensor *columns = cr_arange(ctx, 0, n, 1, .dtype = CR_I64);
    cr_tensor *rows = cr_arange(ctx, diagonal, m + diagonal, 1, .dtype = CR_I64);
    rows = cr_unsqueeze(rows, 1);
    return cr_where(upper ? cr_ge(columns, rows) : cr_le(columns, rows), x, 0);
}

#define TRIANGLE(NAME, UPPER, INFINITE, DOC)                                        \
    static cr_tensor *NAME##_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,   \
                                    const void *attrs)                              \
    {                                                                               \
        (void)n;                                                                    \
        return triangle(ctx, &cr__op_##NAME, inputs[0], UPPER,                      \
                        ((const level_attrs *)attrs)->diagonal);                    \
    }                                                                               \
    CR__OP(NAME) = {                                                                \
        .name = #NAME,                                                              \
        .doc = DOC,                                                                 \
        .kind = CR_OP_COMPOSITE,                                                    \
        .min_inputs = 1,                                                            \
        .max_inputs = 1,                                                            \
        .inputs = "x",                                                              \
        .attrs = level_rows,                                                        \
        .attrs_size = sizeof(level_attrs),                                          \
        .expand = NAME##_expand,                                                    \
        .samples =                                                                  \
            CR__SAMPLES({ "f[3,3]", NULL }, { "f[2,4]", "diagonal=1" },             \
                        { "f[2,3,2]", "diagonal=-1" }, { "f[2,2]", "diagonal=9" },  \
                        { INFINITE, NULL }, { "f[0,2]", NULL }, { "f[2,0]", NULL }, \
                        { "i[2,3]", NULL }),                                        \
    };                                                                              \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, int64_t diagonal, const char *site)     \
    {                                                                               \
        return cr__record_1(&cr__op_##NAME, x, &(level_attrs){ diagonal }, site);   \
    }
TRIANGLE(tril, false, "f[2,2]=inf,nan,1,-inf -> 1,0,1,1",
         "each matrix below and on its diagonal, 0 above")
TRIANGLE(triu, true, "f[2,2]=inf,2,nan,-inf -> 1,1,0,1",
         "each matrix above and on its diagonal, 0 below")
