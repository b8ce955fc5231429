/* Parts of tensors, taken out and put together: slice and select (views), slice_scatter,
 * cat, stack. */
#include "attrs.h"
#include "opaque.h"

/* Whether dim, resolved, is one that a value of this shape has: not so for rank 0. */
static bool has_dims(cr_infer *infer)
{
    if (infer->in_dims[0].n > 0)
        return true;
    cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, "cr_unsqueeze() adds one",
                "a tensor of rank 0 has no dimension to choose from");
    return false;
}

/* ---- slice, slice_scatter ---- */

typedef struct slice_attrs {
    int64_t dim, start, end, step;
} slice_attrs;

static int64_t clip_place(int64_t place, int64_t size)
{
    place = place < 0 ? place + size : place;
    return place < 0 ? 0 : place > size ? size : place;
}

/* attrs to places within x, start <= end; the slice's shape to *dims. */
static cr_status resolve_slice(cr_infer *infer, cr_dims *dims)
{
    slice_attrs *attrs = infer->attrs;
    *dims = infer->in_dims[0];
    if (!has_dims(infer) || !cr__resolve_dim(infer, &attrs->dim, dims->n))
        return CR_ERR_SHAPE;
    attrs->step = attrs->step == 0 ? 1 : attrs->step;
    if (attrs->step < 0)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT,
                           "cr_flip() reverses an order", "step is %lld, not above 0",
                           (long long)attrs->step);
    int64_t size = dims->v[attrs->dim];
    attrs->start = clip_place(attrs->start, size);
    attrs->end = clip_place(attrs->end, size);
    attrs->end = attrs->end < attrs->start ? attrs->start : attrs->end;
    int64_t length = attrs->end - attrs->start;
    dims->v[attrs->dim] = length / attrs->step + (length % attrs->step != 0);
    return CR_OK;
}

static cr_status slice_shape(cr_infer *infer)
{
    return resolve_slice(infer, &infer->dims);
}

static bool slice_view(const cr_tensor *out, cr__layout *layout)
{
    const slice_attrs *attrs = out->attrs;
    int64_t size = out->shape->dims[attrs->dim];
    layout->offset += size > 0 ? attrs->start * layout->strides[attrs->dim] : 0;
    layout->dims[attrs->dim] = size;
    layout->strides[attrs->dim] *= size > 1 ? attrs->step : 1;
    return true;
}

static void slice_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const slice_attrs *a = cr_attrs(out);
    down[0] = cr_slice_scatter(cr_zeros_like(cr_input(out, 0)), g, (int)a->dim, a->start,
                               a->end, .step = a->step);
}

static const cr_attr slice_rows[] = {
    CR__ATTR(slice_attrs, dim, INT, .initial = "0"),
    CR__ATTR(slice_attrs, start, INT, .initial = "0"),
    CR__ATTR(slice_attrs, end, INT, .initial = "9223372036854775807",
             .flags = CR_ATTR_POSITIONAL),
    CR__ATTR(slice_attrs, step, INT, .initial = "1", .flags = CR_ATTR_POSITIVE),
    CR__ATTRS_END,
};
CR__OP(slice) = {
    .name = "slice",
    .doc = "places start, start + step, .. below end along dim; clipped, negative from "
           "the end",
    .kind = CR_OP_VIEW,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = slice_rows,
    .attrs_size = sizeof(slice_attrs),
    .shape = slice_shape,
    .vjp = slice_vjp,
    .internal = &(const cr__view_info){ slice_view },
    .samples = CR__SAMPLES({ "f[5]", "start=1,end=4" },
                           { "f[3,5]", "dim=1,start=-4,step=2" },
                           { "f[2,3,2]", "dim=-2,start=1" }, { "f[4]", "start=3,end=1" },
                           { "f[0,3]", "dim=1,end=2" }, { "i[5]", "step=3" }),
};

cr_tensor *cr_slice_at(cr_tensor *x, int dim, int64_t start, int64_t end,
                       cr_slice_opts opts)
{
    slice_attrs attrs = { dim, start, end, opts.step };
    return cr__record_1(&cr__op_slice, x, &attrs, opts.site);
}

static cr_status slice_scatter_shape(cr_infer *infer)
{
    cr_dims slice;
    cr_status status = resolve_slice(infer, &slice);
    if (status != CR_OK)
        return status;
    if (infer->in_dtype[0] != infer->in_dtype[1])
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                           "x is %s, src %s", cr_dtype_name(infer->in_dtype[0]),
                           cr_dtype_name(infer->in_dtype[1]));
    if (cr__dims_equal(slice, infer->in_dims[1]))
        return CR_OK;
    return cr__op_fail(
        infer->ctx, infer->op, CR_ERR_SHAPE, NULL, "src is %s, the slice of %s is %s",
        cr__dims_text(infer->ctx, infer->in_dims[1]),
        cr__dims_text(infer->ctx, infer->in_dims[0]), cr__dims_text(infer->ctx, slice));
}

static cr_status slice_scatter_kernel(const cr_kernel *kernel)
{
    const slice_attrs *attrs = kernel->attrs;
    const cr_array *out = &kernel->out, *src = &kernel->in[1];
    size_t size = cr_dtype_size(out->dtype);
    cr__strided to = { .data = out->data, .ndim = out->dims.n };
    int64_t stride = 1;
    cr__copy_input(kernel, 0);
    for (int i = to.ndim - 1; i >= 0; i--) {
        to.dims[i] = src->dims.v[i];
        to.strides[i] = i == attrs->dim && to.dims[i] > 1 ? stride * attrs->step : stride;
        if (i == attrs->dim)
            to.data = (char *)to.data + attrs->start * stride * (int64_t)size;
        stride *= out->dims.v[i];
    }
    if (src->numel > 0)
        cr__store_input(kernel, 1, &to);
    return CR_OK;
}

static void slice_scatter_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const slice_attrs *a = cr_attrs(out);
    int dim = (int)a->dim;
    if (cr_input_needs_grad(out, 0))
        down[0] = cr_slice_scatter(g, cr_zeros_like(cr_input(out, 1)), dim, a->start,
                                   a->end, .step = a->step);
    if (cr_input_needs_grad(out, 1))
        down[1] = cr_slice(g, dim, a->start, a->end, .step = a->step);
}

CR__OP(slice_scatter) = {
    .name = "slice_scatter",
    .doc = "x with its slice replaced by src",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,src",
    .attrs = slice_rows,
    .attrs_size = sizeof(slice_attrs),
    .shape = slice_scatter_shape,
    .vjp = slice_scatter_vjp,
    .kernel = slice_scatter_kernel,
    .fetched = CR_READS_INPUTS,
    .never_fails = true,
    .samples = CR__SAMPLES({ "f[5] f[3]", "start=1,end=4" },
                           { "f[3,5] f[3,2]", "dim=1,start=-4,step=2" },
                           { "f[4] f[0]", "start=3,end=1" },
                           { "f[0,3] f[0,2]", "dim=1,end=2" }),
};

cr_tensor *cr_slice_scatter_at(cr_tensor *x, cr_tensor *src, int dim, int64_t start,
                               int64_t end, cr_slice_opts opts)
{
    slice_attrs attrs = { dim, start, end, opts.step };
    cr_tensor *inputs[] = { x, src };
    return cr__record_n(NULL, &cr__op_slice_scatter, inputs, 2, &attrs, opts.site);
}

/* ---- select ---- */

typedef struct select_attrs {
    int64_t dim, index;
} select_attrs;

static cr_status select_shape(cr_infer *infer)
{
    select_attrs *attrs = infer->attrs;
    const cr_dims *x = &infer->in_dims[0];
    if (!has_dims(infer) || !cr__resolve_dim(infer, &attrs->dim, x->n))
        return CR_ERR_SHAPE;
    int64_t size = x->v[attrs->dim];
    if (attrs->index < -size || attrs->index >= size)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_INDEX, NULL,
                           "index %lld is outside dim %lld of %s",
                           (long long)attrs->index, (long long)attrs->dim,
                           cr__dims_text(infer->ctx, *x));
    attrs->index += attrs->index < 0 ? size : 0;
    cr__dims_remove(&infer->dims, (int)attrs->dim);
    return CR_OK;
}

static bool select_view(const cr_tensor *out, cr__layout *layout)
{
    const select_attrs *attrs = out->attrs;
    layout->offset += attrs->index * layout->strides[attrs->dim];
    layout->ndim--;
    for (int64_t i = attrs->dim; i < layout->ndim; i++) {
        layout->dims[i] = layout->dims[i + 1];
        layout->strides[i] = layout->strides[i + 1];
    }
    return true;
}

static void select_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const select_attrs *a = cr_attrs(out);
    int dim = (int)a->dim;
    down[0] = cr_slice_scatter(cr_zeros_like(cr_input(out, 0)), cr_unsqueeze(g, dim), dim,
                               a->index, a->index + 1);
}

CR__OP(select) = {
    .name = "select",
    .doc = "the index-th slice along dim, without that dimension",
    .kind = CR_OP_VIEW,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(select_attrs, dim, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(select_attrs, index, INT, .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(select_attrs),
    .shape = select_shape,
    .vjp = select_vjp,
    .internal = &(const cr__view_info){ select_view },
    .samples = CR__SAMPLES({ "f[4]", "dim=0,index=2" }, { "f[2,3,2]", "dim=1,index=-1" },
                           { "f[2,0]", "dim=0,index=1" }),
};

cr_tensor *cr_select_at(cr_tensor *x, int dim, int64_t index, const char *site)
{
    return cr__record_1(&cr__op_select, x, &(select_attrs){ dim, index }, site);
}

/* ---- split, chunk ---- */

/* They are no operations, having several results, but have names in messages. */
typedef struct cutting {
    cr_ctx *ctx;
    const cr_op *what;
    cr_tensor *x;
    int dim;
    int64_t size; /* of x along dim */
    cr_tensor **parts;
    int capacity;
    const char *outer_site;
    const cr_op *outer;
} cutting;

/* False with the error, where there is a context. */
static bool begin_cutting(cutting *c, int dim, const char *site)
{
    cr_tensor *x = c->x;
    for (int i = 0; c->parts && i < c->capacity; i++)
        c->parts[i] = NULL;
    if (!x || !cr__usable(x->ctx, x, c->what->name, site))
        return false;
    c->ctx = x->ctx;
    c->outer_site = c->ctx->site;
    c->outer = c->ctx->within;
    c->ctx->site = c->outer_site ? c->outer_site : site;
    c->ctx->within = c->outer ? c->outer : c->what;
    const cr_dims dims = cr_shape(x);
    cr_infer infer = { .ctx = c->ctx, .op = c->what, .n = 1, .in_dims = &dims };
    int64_t resolved = dim;
    if (has_dims(&infer) && cr__resolve_dim(&infer, &resolved, dims.n)) {
        c->dim = (int)resolved;
        c->size = dims.v[resolved];
    }
    return c->ctx->status == CR_OK;
}

static int end_cutting(cutting *c, int n)
{
    if (!c->ctx)
        return -1;
    for (int i = 0; c->ctx->status && c->parts && i < c->capacity; i++)
        c->parts[i] = NULL;
    c->ctx->site = c->outer_site;
    c->ctx->within = c->outer;
    return c->ctx->status ? -1 : n;
}

/* n parts of the given size, the last of them as much as is left; or of the sizes of a
 * list. Returns n. */
static int cut_parts(const cutting *c, int64_t n, int64_t size, const cr_dims *sizes)
{
    int64_t from = 0;
    if (n > c->capacity)
        cr__op_fail(c->ctx, c->what, CR_ERR_ARGUMENT, NULL,
                    "%lld parts of %s along dim %d, and there is room for %d",
                    (long long)n, cr__shape_text(c->x), c->dim, c->capacity);
    else if (!c->parts && n > 0)
        cr__op_fail(c->ctx, c->what, CR_ERR_NULL, NULL,
                    "there is no place for the parts");
    for (int64_t i = 0; i < n && c->ctx->status == CR_OK; i++) {
        int64_t left = c->size - from, length = sizes ? sizes->v[i] : size;
        length = length < left ? length : left;
        c->parts[i] = cr_slice(c->x, c->dim, from, from + length);
        from += length;
    }
    return (int)n;
}

static void fail_sizes(const cutting *c, cr_dims sizes)
{
    cr__op_fail(c->ctx, c->what, CR_ERR_SHAPE, NULL,
                "sizes %s do not make up dim %d of %s", cr__dims_text(c->ctx, sizes),
                c->dim, cr__shape_text(c->x));
}

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

int cr_split_at(cr_tensor *x, cr_dims sizes, int dim, cr_tensor **parts, int capacity,
                const char *site)
{
    static const cr_op split = { .name = "split" };
    cutting c = { .what = &split, .x = x, .parts = parts, .capacity = capacity };
    int n = 0;
    if (!begin_cutting(&c, dim, site))
        return end_cutting(&c, 0);
    if (sizes.given && sizes.n == 1 && sizes.v[0] > 0) {
        int64_t size = sizes.v[0], parts_of = c.size / size + (c.size % size != 0);
        n = cut_parts(&c, parts_of > 0 ? parts_of : 1, size, NULL);
    } else if (sizes.given && sizes.n > 1 && sizes.n <= CR_MAX_DIMS &&
               add_up(&c, &sizes)) {
        n = cut_parts(&c, sizes.n, 0, &sizes);
    } else {
        fail_sizes(&c, sizes);
    }
    return end_cutting(&c, n);
}

int cr_chunk_at(cr_tensor *x, int64_t chunks, int dim, cr_tensor **parts, int capacity,
                const char *site)
{
    static const cr_op chunk = { .name = "chunk" };
    cutting c = { .what = &chunk, .x = x, .parts = parts, .capacity = capacity };
    int n = 0;
    if (!begin_cutting(&c, dim, site))
        return end_cutting(&c, 0);
    if (chunks < 1) {
        cr__op_fail(c.ctx, c.what, CR_ERR_ARGUMENT, NULL, "chunks is %lld, not above 0",
                    (long long)chunks);
    } else if (c.size == 0) {
        n = cut_parts(&c, chunks, 0, NULL);
    } else {
        int64_t size = c.size / chunks + (c.size % chunks != 0);
        n = cut_parts(&c, c.size / size + (c.size % size != 0), size, NULL);
    }
    return end_cutting(&c, n);
}

/* ---- cat, stack ---- */

typedef struct join_attrs {
    int64_t dim;
} join_attrs;

static bool joinable(cr_infer *infer, int i, int64_t dim)
{
    const cr_dims *a = &infer->in_dims[0], *b = &infer->in_dims[i];
    bool fits = a->n == b->n;
    for (int d = 0; fits && d < a->n; d++)
        fits = d == dim || a->v[d] == b->v[d];
    if (!fits)
        cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                    "input 0 is %s and input %d is %s: sizes differ outside dim %lld",
                    cr__dims_text(infer->ctx, *a), i, cr__dims_text(infer->ctx, *b),
                    (long long)dim);
    else if (infer->in_dtype[i] != infer->in_dtype[0])
        cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                    "input 0 is %s, input %d %s", cr_dtype_name(infer->in_dtype[0]), i,
                    cr_dtype_name(infer->in_dtype[i]));
    return fits && infer->in_dtype[i] == infer->in_dtype[0];
}

static cr_status cat_shape(cr_infer *infer)
{
    join_attrs *attrs = infer->attrs;
    if (!has_dims(infer) || !cr__resolve_dim(infer, &attrs->dim, infer->in_dims[0].n))
        return CR_ERR_SHAPE;
    int64_t total = 0;
    for (int i = 0; i < infer->n; i++) {
        if (!joinable(infer, i, attrs->dim))
            return CR_ERR_SHAPE;
        if (__builtin_add_overflow(total, infer->in_dims[i].v[attrs->dim], &total))
            return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                               "the result is too large");
    }
    infer->dims.v[attrs->dim] = total;
    return CR_OK;
}

/* The result as [outer, all]: every input is a band of columns. */
static cr_status cat_kernel(const cr_kernel *kernel)
{
    const join_attrs *attrs = kernel->attrs;
    size_t size = cr_dtype_size(kernel->out.dtype);
    int64_t outer = 1;
    for (int64_t i = 0; i < attrs->dim; i++)
        outer *= kernel->out.dims.v[i];
    int64_t all = outer ? kernel->out.numel / outer : 0;
    char *to = kernel->out.data;
    for (int i = 0; i < kernel->n; i++) {
        if (kernel->in[i].numel == 0)
            continue;
        int64_t columns = kernel->in[i].numel / outer;
        cr__strided band = {
            .data = to, .ndim = 2, .dims = { outer, columns }, .strides = { all, 1 }
        };
        cr__store_input(kernel, i, &band);
        to += columns * (int64_t)size;
    }
    return CR_OK;
}

static void cat_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const join_attrs *attrs = cr_attrs(out);
    int64_t from = 0;
    for (int i = 0; i < cr_input_count(out); i++) {
        int64_t to = from + cr_size(cr_input(out, i), (int)attrs->dim);
        if (cr_input_needs_grad(out, i))
            down[i] = cr_slice(g, (int)attrs->dim, from, to);
        from = to;
    }
}

static const cr_attr join_rows[] = {
    CR__ATTR(join_attrs, dim, INT, .initial = "0"),
    CR__ATTRS_END,
};
CR__OP(cat) = {
    .name = "cat",
    .doc = "tensors joined along an existing dim; their other sizes are equal",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 1,
    .max_inputs = -1,
    .inputs = "tensors",
    .attrs = join_rows,
    .attrs_size = sizeof(join_attrs),
    .shape = cat_shape,
    .vjp = cat_vjp,
    .kernel = cat_kernel,
    .fetched = CR_READS_INPUTS,
    .never_fails = true,
    .samples = CR__SAMPLES({ "f[2,3] f[1,3]", NULL },
                           { "f[2,3] f[2,1] f[2,2]", "dim=-1" },
                           { "f[2,1,2] f[2,2,2]", "dim=1" }, { "f[3]", NULL },
                           { "f[0,2] f[2,2]", NULL }, { "i[2] i[1]", NULL }),
};

cr_tensor *cr_cat_at(cr_tensor *const *xs, int n, int dim, const char *site)
{
    return n > 0 ? cr__record_n(NULL, &cr__op_cat, xs, n, &(join_attrs){ dim }, site)
                 : NULL;
}

static cr_tensor *stack_expand(cr_ctx *ctx, cr_tensor *const *xs, int n,
                               const void *attributes)
{
    const join_attrs *attrs = attributes;
    cr_tensor *out = NULL, **raised = cr__pooled_new(ctx, (size_t)n * sizeof *raised);
    for (int i = 0; raised && i < n; i++) {
        if (xs[0]->shape != xs[i]->shape) {
            cr__op_fail(ctx, &cr__op_stack, CR_ERR_SHAPE, NULL,
                        "shapes differ: input 0 is %s, input %d is %s",
                        cr__shape_text(xs[0]), i, cr__shape_text(xs[i]));
            goto done;
        }
        raised[i] = cr_unsqueeze(xs[i], (int)attrs->dim);
    }
    if (raised && !cr_error(ctx))
        out = cr_cat(raised, n, (int)attrs->dim);
done:
    cr__pooled_free(raised);
    return out;
}

CR__OP(stack) = {
    .name = "stack",
    .doc = "tensors of one shape joined along a new dimension dim",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = -1,
    .inputs = "tensors",
    .attrs = join_rows,
    .attrs_size = sizeof(join_attrs),
    .expand = stack_expand,
    .samples = CR__SAMPLES({ "f[2,3] f[2,3]", NULL }, { "f[2] f[2] f[2]", "dim=-1" },
                           { "f[2,3]", "dim=1" }, { "f[] f[]", NULL },
                           { "f[0,2] f[0,2]", "dim=1" }),
};

cr_tensor *cr_stack_at(cr_tensor *const *xs, int n, int dim, const char *site)
{
    return n > 0 ? cr__record_n(NULL, &cr__op_stack, xs, n, &(join_attrs){ dim }, site)
                 : NULL;
}
