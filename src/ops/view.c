/* Views of whole tensors: reshape, expand, permute, transpose, flip, squeeze, unsqueeze,
 * detach. No kernels: each says how the layout of its input becomes its own. */
#include "attrs.h"
#include <string.h>

bool cr__good_list(cr_infer *infer, const char *name, const cr_dims *dims)
{
    if (dims->n >= 0 && dims->n <= CR_MAX_DIMS)
        return true;
    cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                "%s has %d elements, a tensor at most %d dimensions", name, dims->n,
                CR_MAX_DIMS);
    return false;
}

/* ---- reshape ---- */

typedef struct shape_attrs {
    cr_dims shape;
} shape_attrs;

/* The adjoint of everything that only regroups dimensions. */
static void reshape_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = cr_reshape(g, cr_shape(cr_input(out, 0)));
}

static cr_status bad_reshape(cr_infer *infer, const char *why)
{
    const shape_attrs *attrs = infer->attrs;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL, "%s to %s: %s",
                       cr__dims_text(infer->ctx, infer->in_dims[0]),
                       cr__dims_text(infer->ctx, attrs->shape), why);
}

static cr_status reshape_shape(cr_infer *infer)
{
    shape_attrs *attrs = infer->attrs;
    cr_dims *shape = &attrs->shape;
    if (!cr__good_list(infer, "shape", shape))
        return CR_ERR_SHAPE;
    int64_t have = 1, want = 1;
    for (int i = 0; i < infer->in_dims[0].n; i++)
        have *= infer->in_dims[0].v[i];
    int open = -1;
    for (int i = 0; i < shape->n; i++) {
        if (shape->v[i] == -1 && open >= 0)
            return bad_reshape(infer, "only one size may be -1");
        if (shape->v[i] == -1)
            open = i;
        else if (shape->v[i] < 0)
            return bad_reshape(infer, "sizes are 0 or more, or -1");
        else if (!cr__size_mul(want, shape->v[i], &want))
            return bad_reshape(infer, "that is too large");
    }
    if (open >= 0) {
        if (want == 0 || have % want)
            return bad_reshape(infer, "no size fits in the place of -1");
        shape->v[open] = have / want;
    } else if (have != want) {
        return bad_reshape(infer, "the numbers of elements differ");
    }
    infer->dims = *shape;
    infer->dims.given = true;
    return CR_OK;
}

/* Each new dimension has to lie within one block, which is used up from its inner end. */
static bool reshape_view(const cr_tensor *out, cr__layout *layout)
{
    const cr__shape *shape = out->shape;
    int64_t sizes[CR_MAX_DIMS], strides[CR_MAX_DIMS], found[CR_MAX_DIMS];
    int block =
        cr__merge_dims(layout->dims, layout->strides, layout->ndim, sizes, strides) - 1;
    for (int i = shape->ndim - 1; i >= 0; i--) {
        int64_t size = shape->dims[i];
        found[i] = 0;
        if (size == 1 || shape->numel == 0)
            continue;
        if (sizes[block] % size)
            return false;
        found[i] = strides[block];
        strides[block] *= size;
        sizes[block] /= size;
        if (sizes[block] == 1)
            block--;
    }
    layout->ndim = shape->ndim;
    memcpy(layout->dims, shape->dims, sizeof layout->dims);
    memcpy(layout->strides, found, sizeof found);
    return true;
}

static const cr_attr shape_rows[] = {
    CR__ATTR(shape_attrs, shape, DIMS),
    CR__ATTRS_END,
};
CR__OP(reshape) = {
    .name = "reshape",
    .doc = "the same elements in row-major order; one size may be -1",
    .kind = CR_OP_VIEW,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = shape_rows,
    .attrs_size = sizeof(shape_attrs),
    .shape = reshape_shape,
    .vjp = reshape_vjp,
    .internal = &(const cr__view_info){ reshape_view },
    .samples = CR__SAMPLES({ "f[2,3]", "shape=[3,2]" }, { "f[2,3,4]", "shape=[6,-1]" },
                           { "f[6]", "shape=[1,2,3]" }, { "f[]", "shape=[1]" },
                           { "f[0,3]", "shape=[3,0,1]" }),
};

cr_tensor *cr_reshape_at(cr_tensor *x, cr_dims shape, const char *site)
{
    return cr__record_1(&cr__op_reshape, x, &(shape_attrs){ shape }, site);
}

/* ---- expand ---- */

/* Sizes are aligned at the last dimension. */
static cr_status expand_shape(cr_infer *infer)
{
    shape_attrs *attrs = infer->attrs;
    const cr_dims *x = &infer->in_dims[0];
    cr_dims *shape = &attrs->shape;
    if (!cr__good_list(infer, "shape", shape))
        return CR_ERR_SHAPE;
    int lead = shape->n - x->n;
    for (int i = 0; i < shape->n && lead >= 0; i++) {
        int64_t have = i < lead ? 1 : x->v[i - lead];
        if (shape->v[i] == -1 && i >= lead)
            shape->v[i] = have;
        if (shape->v[i] < 0 || (have != 1 && have != shape->v[i]))
            lead = -1;
    }
    if (lead < 0)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "%s does not expand to %s: only dimensions of size 1 repeat",
                           cr__dims_text(infer->ctx, *x),
                           cr__dims_text(infer->ctx, *shape));
    infer->dims = *shape;
    infer->dims.given = true;
    return CR_OK;
}

static bool expand_view(const cr_tensor *out, cr__layout *layout)
{
    const cr__shape *shape = out->shape;
    const int lead = shape->ndim - layout->ndim;
    layout->ndim = shape->ndim;
    for (int i = shape->ndim - 1; i >= 0; i--) { /* in place: from the last */
        const bool kept = i >= lead && layout->dims[i - lead] == shape->dims[i];
        layout->strides[i] = kept ? layout->strides[i - lead] : 0;
        layout->dims[i] = shape->dims[i];
    }
    return true;
}

/* The sum over what was repeated. */
static void expand_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_dims from = cr_shape(cr_input(out, 0)), to = cr_shape(out), repeated = CR_NO_DIMS;
    int lead = to.n - from.n;
    for (int i = 0; i < to.n; i++)
        if (to.v[i] != 1 && (i < lead || from.v[i - lead] != to.v[i]))
            repeated.v[repeated.n++] = i;
    if (repeated.n)
        g = cr_sum(g, repeated, .keepdim = lead == 0);
    else if (lead)
        g = cr_add(g, 0); /* what the sum of one element is */
    down[0] = cr__dims_equal(cr_shape(g), from) ? g : cr_reshape(g, from);
}

CR__OP(expand) = {
    .name = "expand",
    .doc = "dimensions of size 1, and new leading ones, repeated; -1 keeps a size",
    .kind = CR_OP_VIEW,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = shape_rows,
    .attrs_size = sizeof(shape_attrs),
    .shape = expand_shape,
    .vjp = expand_vjp,
    .internal = &(const cr__view_info){ expand_view },
    .samples = CR__SAMPLES({ "f[3]", "shape=[2,3]" }, { "f[2,1,3]", "shape=[-1,4,3]" },
                           { "f[2,1]", "shape=[3,2,2]" }, { "f[]", "shape=[2]" },
                           { "f[1,3]", "shape=[0,3]" }, { "f[1,2]", "shape=[1,1,2]" },
                           { "i[1,2]", "shape=[3,2]" }),
};

cr_tensor *cr_expand_at(cr_tensor *x, cr_dims shape, const char *site)
{
    return cr__record_1(&cr__op_expand, x, &(shape_attrs){ shape }, site);
}

/* ---- permute ---- */

typedef struct dims_attrs {
    cr_dims dims;
} dims_attrs;

static cr_status permute_shape(cr_infer *infer)
{
    dims_attrs *attrs = infer->attrs;
    const cr_dims *x = &infer->in_dims[0];
    cr_dims *dims = &attrs->dims;
    unsigned seen = 0;
    if (!cr__good_list(infer, "dims", dims))
        return CR_ERR_SHAPE;
    for (int i = 0; i < dims->n && dims->n == x->n; i++) {
        if (!cr__resolve_dim(infer, &dims->v[i], x->n))
            return CR_ERR_SHAPE;
        seen |= 1u << dims->v[i];
        infer->dims.v[i] = x->v[dims->v[i]];
    }
    if (dims->n == x->n && seen == (1u << x->n) - 1)
        return CR_OK;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                       "dims %s are not each dimension of %s once",
                       cr__dims_text(infer->ctx, *dims), cr__dims_text(infer->ctx, *x));
}

static bool permute_view(const cr_tensor *out, cr__layout *layout)
{
    const dims_attrs *attrs = out->attrs;
    cr__layout from = *layout;
    for (int i = 0; i < from.ndim; i++) {
        layout->dims[i] = from.dims[attrs->dims.v[i]];
        layout->strides[i] = from.strides[attrs->dims.v[i]];
    }
    return true;
}

static void permute_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const dims_attrs *attrs = cr_attrs(out);
    cr_dims inverse = attrs->dims;
    for (int i = 0; i < inverse.n; i++)
        inverse.v[attrs->dims.v[i]] = i;
    down[0] = cr_permute(g, inverse);
}

static const cr_attr dims_rows[] = {
    CR__ATTR(dims_attrs, dims, DIMS),
    CR__ATTRS_END,
};
CR__OP(permute) = {
    .name = "permute",
    .doc = "dimension i of the result is dimension dims[i] of x",
    .kind = CR_OP_VIEW,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = dims_rows,
    .attrs_size = sizeof(dims_attrs),
    .shape = permute_shape,
    .vjp = permute_vjp,
    .internal = &(const cr__view_info){ permute_view },
    .samples = CR__SAMPLES({ "f[2,3,4]", "dims=[2,0,1]" }, { "f[2,3]", "dims=[-1,0]" },
                           { "f[2,0,3]", "dims=[1,2,0]" }, { "f[]", "dims=[]" },
                           { "b[2,3]", "dims=[1,0]" }),
};

cr_tensor *cr_permute_at(cr_tensor *x, cr_dims dims, const char *site)
{
    return cr__record_1(&cr__op_permute, x, &(dims_attrs){ dims }, site);
}

/* ---- transpose ---- */

typedef struct transpose_attrs {
    int64_t dim0, dim1;
} transpose_attrs;

static cr_status transpose_shape(cr_infer *infer)
{
    transpose_attrs *attrs = infer->attrs;
    const cr_dims *x = &infer->in_dims[0];
    if (!cr__resolve_dim(infer, &attrs->dim0, x->n) ||
        !cr__resolve_dim(infer, &attrs->dim1, x->n))
        return CR_ERR_SHAPE;
    if (x->n > 0) {
        infer->dims.v[attrs->dim0] = x->v[attrs->dim1];
        infer->dims.v[attrs->dim1] = x->v[attrs->dim0];
    }
    return CR_OK;
}

static void swap(int64_t *v, int64_t i, int64_t j)
{
    int64_t kept = v[i];
    v[i] = v[j];
    v[j] = kept;
}

static bool transpose_view(const cr_tensor *out, cr__layout *layout)
{
    const transpose_attrs *attrs = out->attrs;
    swap(layout->dims, attrs->dim0, attrs->dim1);
    swap(layout->strides, attrs->dim0, attrs->dim1);
    return true;
}

static void transpose_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const transpose_attrs *attrs = cr_attrs(out);
    down[0] = cr_transpose(g, (int)attrs->dim0, (int)attrs->dim1);
}

CR__OP(transpose) = {
    .name = "transpose",
    .doc = "two dimensions exchanged",
    .kind = CR_OP_VIEW,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(transpose_attrs, dim0, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(transpose_attrs, dim1, INT, .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(transpose_attrs),
    .shape = transpose_shape,
    .vjp = transpose_vjp,
    .internal = &(const cr__view_info){ transpose_view },
    .samples = CR__SAMPLES({ "f[2,3]", "dim0=0,dim1=1" },
                           { "f[2,3,4]", "dim0=-1,dim1=0" },
                           { "f[2,0,3]", "dim0=1,dim1=-1" }, { "f[]", "dim0=0,dim1=-1" }),
};

cr_tensor *cr_transpose_at(cr_tensor *x, int dim0, int dim1, const char *site)
{
    return cr__record_1(&cr__op_transpose, x, &(transpose_attrs){ dim0, dim1 }, site);
}

/* ---- flip ---- */

static cr_status flip_shape(cr_infer *infer)
{
    dims_attrs *attrs = infer->attrs;
    return cr__resolve_dims(infer, &attrs->dims, infer->in_dims[0].n) ? CR_OK
                                                                      : CR_ERR_SHAPE;
}

static bool flip_view(const cr_tensor *out, cr__layout *layout)
{
    const dims_attrs *attrs = out->attrs;
    for (int i = 0; i < attrs->dims.n && layout->ndim > 0; i++) {
        int64_t dim = attrs->dims.v[i], last = layout->dims[dim] - 1;
        layout->offset += last > 0 ? last * layout->strides[dim] : 0;
        layout->strides[dim] = -layout->strides[dim];
    }
    return true;
}

static void flip_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const dims_attrs *attrs = cr_attrs(out);
    down[0] = cr_flip(g, attrs->dims);
}

CR__OP(flip) = {
    .name = "flip",
    .doc = "the order along dims reversed",
    .kind = CR_OP_VIEW,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = dims_rows,
    .attrs_size = sizeof(dims_attrs),
    .shape = flip_shape,
    .vjp = flip_vjp,
    .internal = &(const cr__view_info){ flip_view },
    .samples = CR__SAMPLES({ "f[4]", "dims=[0]" }, { "f[2,3]", "dims=[0,-1]" },
                           { "f[2,3,2]", "dims=[1]" }, { "f[0,2]", "dims=[0]" },
                           { "f[3]", "dims=[]" }, { "i[3]", "dims=[0]" }),
};

cr_tensor *cr_flip_at(cr_tensor *x, cr_dims dims, const char *site)
{
    return cr__record_1(&cr__op_flip, x, &(dims_attrs){ dims }, site);
}

/* ---- squeeze, unsqueeze ---- */

static cr_status squeeze_shape(cr_infer *infer)
{
    dims_attrs *attrs = infer->attrs;
    const cr_dims *x = &infer->in_dims[0];
    if (!cr__resolve_dims(infer, &attrs->dims, x->n))
        return CR_ERR_SHAPE;
    for (int i = attrs->dims.n - 1; i >= 0 && x->n > 0; i--)
        if (x->v[attrs->dims.v[i]] == 1)
            cr__dims_remove(&infer->dims, (int)attrs->dims.v[i]);
    return CR_OK;
}

CR__OP(squeeze) = {
    .name = "squeeze",
    .doc = "dimensions of size 1 dropped: those of dim, or all; others are left alone",
    .kind = CR_OP_VIEW,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS({ .name = "dim",
                         .type = CR_ATTR_DIMS,
                         .offset = offsetof(dims_attrs, dims),
                         .initial = CR__NOT_GIVEN }),
    .attrs_size = sizeof(dims_attrs),
    .shape = squeeze_shape,
    .vjp = reshape_vjp,
    .internal = &(const cr__view_info){ reshape_view },
    .samples = CR__SAMPLES({ "f[1,3,1]", NULL }, { "f[1,3,1]", "dim=0" },
                           { "f[1,3,1]", "dim=[0,-1]" }, { "f[2,3]", "dim=1" },
                           { "f[1,0]", NULL }, { "f[]", NULL }),
};

cr_tensor *cr_squeeze_at(cr_tensor *x, cr_dims dim, const char *site)
{
    return cr__record_1(&cr__op_squeeze, x, &(dims_attrs){ dim }, site);
}

static cr_status unsqueeze_shape(cr_infer *infer)
{
    cr__dim_attrs *attrs = infer->attrs;
    int rank = infer->in_dims[0].n;
    if (rank == CR_MAX_DIMS)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "%s has %d dimensions already, which is the most",
                           cr__dims_text(infer->ctx, infer->in_dims[0]), rank);
    if (attrs->dim < -rank - 1 || attrs->dim > rank)
        return cr__op_fail(
            infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
            "dim %lld of the result, which has %d dimensions; from %d to %d",
            (long long)attrs->dim, rank + 1, -rank - 1, rank);
    attrs->dim += attrs->dim < 0 ? rank + 1 : 0;
    cr__dims_insert(&infer->dims, (int)attrs->dim, 1);
    return CR_OK;
}

CR__OP(unsqueeze) = {
    .name = "unsqueeze",
    .doc = "a new dimension of size 1 at dim",
    .kind = CR_OP_VIEW,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = cr__dim_rows,
    .attrs_size = sizeof(cr__dim_attrs),
    .shape = unsqueeze_shape,
    .vjp = reshape_vjp,
    .internal = &(const cr__view_info){ reshape_view },
    .samples = CR__SAMPLES({ "f[2,3]", "dim=0" }, { "f[2,3]", "dim=-1" },
                           { "f[2,3]", "dim=1" }, { "f[0,2]", "dim=-3" },
                           { "f[]", "dim=0" }),
};

cr_tensor *cr_unsqueeze_at(cr_tensor *x, int dim, const char *site)
{
    return cr__record_1(&cr__op_unsqueeze, x, &(cr__dim_attrs){ dim }, site);
}

/* ---- detach ---- */

static bool detach_view(const cr_tensor *out, cr__layout *layout)
{
    (void)out, (void)layout;
    return true;
}

CR__OP(detach) = {
    .name = "detach",
    .doc = "x as a constant: no gradient flows to it",
    .kind = CR_OP_VIEW,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .internal = &(const cr__view_info){ detach_view },
    .samples = CR__SAMPLES({ "f[2,3]~", NULL }, { "f[]~", NULL }),
};
