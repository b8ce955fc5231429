/* Operations with several results, all of them views: split, chunk, unbind, meshgrid. */
#include "attrs.h"
#include <limits.h>

/* A tensor to be cut along a dim. */
typedef struct cutting {
    cr_ctx *ctx;
    const cr_op *op;
    cr_tensor *x;
    int dim;
    int64_t size; /* of x along dim */
    cr_tensor **parts;
    int capacity;
} cutting;

/* False with the error. */
static bool begin_cutting(cutting *c, int64_t dim)
{
    const cr_dims dims = cr_shape(c->x);
    cr_infer infer = { .ctx = c->ctx, .op = c->op, .n = 1, .in_dims = &dims };
    if (!cr__has_a_dim(&infer) || !cr__resolve_dim(&infer, &dim, dims.n))
        return false;
    c->dim = (int)dim;
    c->size = dims.v[dim];
    return true;
}

/* n parts of the given size, the last of them as much as is left; or of the sizes of a
 * list. Returns n. */
static int cut_parts(const cutting *c, int64_t n, int64_t size, const cr_dims *sizes)
{
    int64_t from = 0;
    if (n > INT_MAX) {
        cr__op_fail(c->ctx, c->op, CR_ERR_ARGUMENT, NULL, "%lld parts are too many",
                    (long long)n);
        return -1;
    }
    for (int64_t i = 0; i < n && i < c->capacity && c->ctx->status == CR_OK; i++) {
        int64_t left = c->size - from, length = sizes ? sizes->v[i] : size;
        length = length < left ? length : left;
        c->parts[i] = cr_slice(c->x, c->dim, from, from + length);
        from += length;
    }
    return c->ctx->status == CR_OK ? (int)n : -1;
}

/* Records an operation of several results for its C function: there must be room for all.
 * */
static int record_parts(const cr_op *op, cr_tensor *const *inputs, int n,
                        const void *attrs, cr_tensor **parts, int capacity,
                        const char *site)
{
    for (int i = 0; parts && i < capacity; i++)
        parts[i] = NULL;
    int count =
        cr__record_all(NULL, op, inputs, n, attrs, parts, parts ? capacity : 0, site);
    if (count <= 0 || (parts && count <= capacity))
        return count;
    cr_ctx *ctx = inputs[0]->ctx;
    const char *outer_site = ctx->site;
    ctx->site = outer_site ? outer_site : site;
    if (parts)
        cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL,
                    "%d parts of %s, and there is room for %d", count,
                    cr__shape_text(inputs[0]), capacity);
    else
        cr__op_fail(ctx, op, CR_ERR_NULL, NULL, "there is no place for the parts");
    ctx->site = outer_site;
    for (int i = 0; parts && i < capacity; i++)
        parts[i] = NULL;
    return -1;
}

/* ---- split, chunk ---- */

typedef struct split_attrs {
    cr_dims split_size;
    int64_t dim;
} split_attrs;

/* Whether the sizes are not negative and add up. */
static bool add_up(const cutting *c, const cr_dims *sizes)
{
    int64_t left = c->size;
    for (int i = 0; i < sizes->n; i++) {
        if (sizes->v[i] < 0 || sizes->v[i] > left)
            return false;
        left -= sizes->v[i];
    }
    return left == 0;
}

/* A size of 0 is that of the one part of nothing. */
static int split_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                        const void *attributes, cr_tensor **outputs, int capacity)
{
    const split_attrs *attrs = attributes;
    const cr_dims *sizes = &attrs->split_size;
    cutting c = { ctx, &cr__op_split, inputs[0], 0, 0, outputs, capacity };
    (void)n;
    if (!begin_cutting(&c, attrs->dim))
        return -1;
    int64_t size = sizes->given && sizes->n == 1 ? sizes->v[0] : -1;
    if (size > 0 || (size == 0 && c.size == 0)) {
        int64_t count = size ? c.size / size + (c.size % size != 0) : 1;
        return cut_parts(&c, count > 0 ? count : 1, size, NULL);
    }
    if (sizes->given && sizes->n > 1 && sizes->n <= CR_MAX_DIMS && add_up(&c, sizes))
        return cut_parts(&c, sizes->n, 0, sizes);
    cr__op_fail(ctx, c.op, CR_ERR_SHAPE, NULL, "sizes %s do not make up dim %d of %s",
                cr__dims_text(ctx, *sizes), c.dim, cr__shape_text(c.x));
    return -1;
}

CR__OP(split) = {
    .name = "split",
    .doc = "parts of split_size along dim, the last of what is left; or of the sizes of "
           "a list",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(split_attrs, split_size, DIMS),
                       CR__ATTR(split_attrs, dim, INT, .initial = "0")),
    .attrs_size = sizeof(split_attrs),
    .expand_all = split_expand,
    .samples = CR__SAMPLES({ "f[5]", "split_size=2" },
                           { "f[2,3]", "split_size=3,dim=-1" },
                           { "f[2,3]", "split_size=[1,0,2],dim=1" },
                           { "f[0,2]", "split_size=0" }, { "i[3]", "split_size=2" }),
    .call = "x,split_size,dim,parts,capacity",
};

int cr_split_at(cr_tensor *x, cr_dims split_size, int dim, cr_tensor **parts,
                int capacity, const char *site)
{
    split_attrs attrs = { split_size, dim };
    return record_parts(&cr__op_split, &x, 1, &attrs, parts, capacity, site);
}

typedef struct chunk_attrs {
    int64_t chunks, dim;
} chunk_attrs;

static int chunk_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                        const void *attributes, cr_tensor **outputs, int capacity)
{
    const chunk_attrs *attrs = attributes;
    cutting c = { ctx, &cr__op_chunk, inputs[0], 0, 0, outputs, capacity };
    (void)n;
    if (!begin_cutting(&c, attrs->dim))
        return -1;
    if (attrs->chunks < 1) {
        cr__op_fail(ctx, c.op, CR_ERR_ARGUMENT, NULL, "chunks is %lld, not above 0",
                    (long long)attrs->chunks);
        return -1;
    }
    if (c.size == 0)
        return cut_parts(&c, attrs->chunks, 0, NULL);
    int64_t size = c.size / attrs->chunks + (c.size % attrs->chunks != 0);
    return cut_parts(&c, c.size / size + (c.size % size != 0), size, NULL);
}

CR__OP(chunk) = {
    .name = "chunk",
    .doc = "at most so many chunks of one size along dim, the last of what is left",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(chunk_attrs, chunks, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(chunk_attrs, dim, INT, .initial = "0")),
    .attrs_size = sizeof(chunk_attrs),
    .expand_all = chunk_expand,
    .samples = CR__SAMPLES({ "f[5]", "chunks=2" }, { "f[2,5]", "chunks=4,dim=-1" },
                           { "f[2,0]", "chunks=2,dim=1" }, { "b[3]", "chunks=3" }),
    .call = "x,chunks,dim,parts,capacity",
};

int cr_chunk_at(cr_tensor *x, int64_t chunks, int dim, cr_tensor **parts, int capacity,
                const char *site)
{
    chunk_attrs attrs = { chunks, dim };
    return record_parts(&cr__op_chunk, &x, 1, &attrs, parts, capacity, site);
}

/* ---- unbind ---- */

static int unbind_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                         const void *attributes, cr_tensor **outputs, int capacity)
{
    cutting c = { ctx, &cr__op_unbind, inputs[0], 0, 0, outputs, capacity };
    (void)n;
    if (!begin_cutting(&c, ((const cr__dim_attrs *)attributes)->dim))
        return -1;
    for (int i = 0; i < c.size && i < capacity && ctx->status == CR_OK; i++)
        outputs[i] = cr_select(c.x, c.dim, i);
    return c.size <= INT_MAX ? (int)c.size : INT_MAX;
}

CR__OP(unbind) = {
    .name = "unbind",
    .doc = "all slices along dim, without that dimension",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(cr__dim_attrs, dim, INT, .initial = "0")),
    .attrs_size = sizeof(cr__dim_attrs),
    .expand_all = unbind_expand,
    .samples = CR__SAMPLES({ "f[3]", NULL }, { "f[2,3]", "dim=-1" }, { "f[2,0]", NULL },
                           { "i[2,2]", "dim=1" }),
    .call = "x,dim,parts,capacity",
};

int cr_unbind_at(cr_tensor *x, int dim, cr_tensor **parts, int capacity, const char *site)
{
    return record_parts(&cr__op_unbind, &x, 1, &(cr__dim_attrs){ dim }, parts, capacity,
                        site);
}

/* ---- meshgrid ---- */

typedef struct meshgrid_attrs {
    cr_indexing indexing;
} meshgrid_attrs;

/* The shape of the grid, vectors in order; false with the error. */
static bool grid_dims(cr_ctx *ctx, cr_tensor *const *xs, int n, cr_dims *grid)
{
    *grid = CR_NO_DIMS;
    if (n > CR_MAX_DIMS) {
        cr__op_fail(ctx, &cr__op_meshgrid, CR_ERR_SHAPE, NULL,
                    "%d vectors make a grid of as many dimensions, at most %d", n,
                    CR_MAX_DIMS);
        return false;
    }
    for (int i = 0; i < n; i++) {
        if (cr_ndim(xs[i]) > 1) {
            cr__op_fail(ctx, &cr__op_meshgrid, CR_ERR_SHAPE, NULL,
                        "takes vectors and scalars, and input %d is %s", i,
                        cr__shape_text(xs[i]));
            return false;
        }
        if (cr_dtype_of(xs[i]) != cr_dtype_of(xs[0])) {
            cr__op_fail(ctx, &cr__op_meshgrid, CR_ERR_DTYPE, "cr_cast() converts",
                        "input 0 is %s, input %d %s", cr_dtype_name(cr_dtype_of(xs[0])),
                        i, cr_dtype_name(cr_dtype_of(xs[i])));
            return false;
        }
        grid->v[grid->n++] = cr_numel(xs[i]);
    }
    return true;
}

/* xy is ij with the first two dimensions exchanged. */
static int meshgrid_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                           const void *attributes, cr_tensor **outputs, int capacity)
{
    const meshgrid_attrs *attrs = attributes;
    bool exchanged = attrs->indexing == CR_INDEXING_XY && n > 1;
    cr_dims grid;
    if (!grid_dims(ctx, inputs, n, &grid))
        return -1;
    for (int i = 0; i < n && i < capacity && ctx->status == CR_OK; i++) {
        cr_dims alone = grid;
        for (int d = 0; d < n; d++)
            alone.v[d] = d == i ? grid.v[d] : 1;
        outputs[i] = cr_expand(cr_reshape(inputs[i], alone), grid);
        if (exchanged)
            outputs[i] = cr_transpose(outputs[i], 0, 1);
    }
    return ctx->status == CR_OK ? n : -1;
}

CR__OP(meshgrid) = {
    .name = "meshgrid",
    .doc = "vectors repeated to the grid that they span, each along a dimension of its "
           "own; xy: "
           "the first two dimensions exchanged",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = -1,
    .inputs = "tensors",
    .attrs = CR__ATTRS(CR__ATTR(meshgrid_attrs, indexing, WORD, .initial = "ij",
                                .words = "ij,xy")),
    .attrs_size = sizeof(meshgrid_attrs),
    .expand_all = meshgrid_expand,
    .samples = CR__SAMPLES({ "f[2] f[3]", NULL }, { "f[2] f[3] f[2]", "indexing=xy" },
                           { "f[3] f[]", "indexing=xy" }, { "f[2]", "indexing=xy" },
                           { "f[2] f[0]", NULL }, { "i[2] i[1]", NULL }),
    .call = "tensors,n,parts,capacity,.indexing",
};

int cr_meshgrid_at(cr_tensor *const *tensors, int n, cr_tensor **parts, int capacity,
                   cr_meshgrid_opts opts)
{
    meshgrid_attrs attrs = { opts.indexing };
    return n > 0 && tensors ? record_parts(&cr__op_meshgrid, tensors, n, &attrs, parts,
                                           capacity, opts.site)
                            : -1;
}
