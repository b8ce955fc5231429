/* Parts of tensors, taken out and put together: slice, select and unfold (views),
 * slice_scatter, cat, stack. */
#include "attrs.h"
#include "opaque.h"

bool cr__has_a_dim(cr_infer *infer)
{
    if (infer->in_dims[0].n > 0)
        return true;
    cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, "cr_unsqueeze() adds one",
                "a tensor of rank 0 has no dimension to choose from");
    return false;
}

/* ---- slice, slice_scatter ---- */

typedef struct slice_attrs {
    int64_t dim;
    cr_opt_int start, end;
    int64_t step;
} slice_attrs;

/* A place to low .. high; not given: the initial one. */
static int64_t clip_place(cr_opt_int place, int64_t size, int64_t low, int64_t high,
                          int64_t initial)
{
    int64_t at = !place.given ? initial : place.v < 0 ? place.v + size : place.v;
    return at < low ? low : at > high ? high : at;
}

/* attrs to places within x that say the same when they are resolved once more (so an end
 * before the first place is none); the slice's shape to *dims. */
static cr_status resolve_slice(cr_infer *infer, cr_dims *dims)
{
    slice_attrs *attrs = infer->attrs;
    *dims = infer->in_dims[0];
    if (!cr__has_a_dim(infer) || !cr__resolve_dim(infer, &attrs->dim, dims->n))
        return CR_ERR_SHAPE;
    int64_t size = dims->v[attrs->dim], step = attrs->step ? attrs->step : 1;
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? size - 1 : size;
    int64_t start = clip_place(attrs->start, size, low, high, step < 0 ? high : 0);
    int64_t end = clip_place(attrs->end, size, low, high, step < 0 ? -1 : size);
    uint64_t length = 0, by = step < 0 ? 0 - (uint64_t)step : (uint64_t)step;
    if (step < 0 ? end < start : start < end)
        length = ((uint64_t)(step < 0 ? start - end : end - start) - 1) / by + 1;
    attrs->start = CR_INT(length ? start : 0);
    attrs->end = (cr_opt_int){ .v = length ? end : 0, .given = !length || end >= 0 };
    attrs->step = step;
    dims->v[attrs->dim] = (int64_t)length;
    return CR_OK;
}

static cr_status slice_shape(cr_infer *infer)
{
    return resolve_slice(infer, &infer->dims);
}

/* The layout of the slice, of this size, of what lies like that. */
static void slice_layout(const slice_attrs *attrs, int64_t size, cr__layout *layout)
{
    layout->offset += size > 0 ? attrs->start.v * layout->strides[attrs->dim] : 0;
    layout->dims[attrs->dim] = size;
    layout->strides[attrs->dim] *= size > 1 ? attrs->step : 1;
}

static bool slice_view(const cr_tensor *out, cr__layout *layout)
{
    const slice_attrs *attrs = out->attrs;
    slice_layout(attrs, out->shape->dims[attrs->dim], layout);
    return true;
}

static cr_tensor *replaced(cr_tensor *x, cr_tensor *src, const slice_attrs *attrs)
{
    cr_tensor *inputs[] = { x, src };
    return cr__record_n(NULL, &cr__op_slice_scatter, inputs, 2, attrs, CR_HERE);
}

static void slice_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = replaced(cr_zeros_like(cr_input(out, 0)), g, cr_attrs(out));
}

static const cr_attr slice_rows[] = {
    CR__ATTR(slice_attrs, dim, INT, .initial = "0"),
    CR__ATTR(slice_attrs, start, OPT_INT, .initial = CR__NOT_GIVEN,
             .flags = CR_ATTR_POSITIONAL),
    CR__ATTR(slice_attrs, end, OPT_INT, .initial = CR__NOT_GIVEN,
             .flags = CR_ATTR_POSITIONAL),
    CR__ATTR(slice_attrs, step, INT, .initial = "1", .flags = CR_ATTR_NONZERO),
    CR__ATTRS_END,
};
CR__OP(slice) = {
    .name = "slice",
    .doc =
        "places start, start + step, .. up to end along dim, which is left out; clipped, "
        "negative from the end",
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
                           { "f[0,3]", "dim=1,end=2" }, { "i[5]", "step=3" },
                           { "f[5]", "step=-1" }, { "f[5]", "start=-2,end=0,step=-2" },
                           { "f[2,4]", "dim=1,start=9,end=-9,step=-3" },
                           { "f[3]", "start=-9,step=-1" }),
    .call = "x,dim,start,end,.step=step",
};

static slice_attrs attrs_of(int dim, int64_t start, int64_t end,
                            const cr_slice_opts *opts)
{
    return (slice_attrs){ dim, CR_INT(start), CR_INT(end), opts->step };
}

cr_tensor *cr_slice_at(cr_tensor *x, int dim, int64_t start, int64_t end,
                       cr_slice_opts opts)
{
    slice_attrs attrs = attrs_of(dim, start, end, &opts);
    return cr__record_1(&cr__op_slice, x, &attrs, opts.site);
}

static cr_status slice_scatter_shape(cr_infer *infer)
{
    cr_dims slice;
    cr_status status = resolve_slice(infer, &slice);
    if (status != CR_OK)
        return status;
    return cr__fits_part(infer, "the slice", slice);
}

static cr_status slice_scatter_kernel(const cr_kernel *kernel)
{
    const slice_attrs *attrs = kernel->attrs;
    cr__layout part = cr__whole_result(kernel);
    slice_layout(attrs, kernel->in[1].dims.v[attrs->dim], &part);
    cr__replace_part(kernel, &part);
    return CR_OK;
}

static void slice_scatter_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    if (cr_input_needs_grad(out, 0))
        down[0] = replaced(g, cr_zeros_like(cr_input(out, 1)), cr_attrs(out));
    if (cr_input_needs_grad(out, 1))
        down[1] = cr__record_1(&cr__op_slice, g, cr_attrs(out), CR_HERE);
}

/* Zeros with a slice that is not, as the cotangents of a tensor are that is read slice by slice:
 * adds to that slice alone. However many there are, they cost what they hold. */
static cr_tensor *slice_scatter_add_to(cr_tensor *sum, cr_tensor *x)
{
    const slice_attrs *attrs = x->attrs;
    if (!cr__is_filled(cr__input(x, 0), 0))
        return NULL;
    if (attrs->step == 1 && !cr__is_half((cr_dtype)x->dtype)) {
        cr_tensor *inputs[] = { sum, cr__input(x, 1) };
        return cr__record_n(NULL, &cr__op_slice_add, inputs, 2, attrs, x->site);
    }
    cr_tensor *part = cr__record_1(&cr__op_slice, sum, attrs, x->site);
    return replaced(sum, cr_add(part, cr__input(x, 1)), attrs);
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
    .once = CR_READS_INPUT(1),
    .overwrites = CR_READS_INPUT(0),
    .never_fails = true,
    .add_to = slice_scatter_add_to,
    .samples = CR__SAMPLES({ "f[5] f[3]", "start=1,end=4" },
                           { "f[3,5] f[3,2]", "dim=1,start=-4,step=2" },
                           { "f[4] f[0]", "start=3,end=1" },
                           { "f[2,5] f[2,3]", "dim=-1,step=-2" },
                           { "f[0,3] f[0,2]", "dim=1,end=2" }),
    .call = "x,src,dim,start,end,.step=step",
};

cr_tensor *cr_slice_scatter_at(cr_tensor *x, cr_tensor *src, int dim, int64_t start,
                               int64_t end, cr_slice_opts opts)
{
    slice_attrs attrs = attrs_of(dim, start, end, &opts);
    cr_tensor *inputs[] = { x, src };
    return cr__record_n(NULL, &cr__op_slice_scatter, inputs, 2, &attrs, opts.site);
}

/* ---- slice_add ---- */

/* Rows of src, `columns` elements each, go to rows that are `pitch` apart. */
typedef struct slice_sum {
    const cr_kernel *kernel;
    cr__map_fn *add;
    char *to;
    int64_t columns, pitch, chunks;
} slice_sum;

static void add_part_rows(void *arg, int64_t chunk, int worker)
{
    const slice_sum *s = arg;
    const cr_array *src = &s->kernel->in[1];
    const int64_t size = (int64_t)cr_dtype_size(src->dtype), one[] = { 1, 1 };
    int64_t begin, end, n;
    cr__part(src->numel, CR_MAX_FETCH, chunk, s->chunks, &begin, &end);
    for (int64_t at = begin; at < end; at += n) {
        const int64_t left = s->columns - at % s->columns;
        n = end - at < CR_MAX_FETCH ? end - at : CR_MAX_FETCH;
        n = n < left ? n : left;
        char *to = s->to + (at / s->columns * s->pitch + at % s->columns) * size;
        const void *terms[] = { to, cr_array_fetch(src, at, n, worker) };
        s->add(to, terms, one, n);
    }
}

static cr_status slice_add_kernel(const cr_kernel *kernel)
{
    const slice_attrs *attrs = kernel->attrs;
    const cr_array *src = &kernel->in[1], *out = &kernel->out;
    const cr__lines all = cr__lines_along(out->dims, attrs->dim);
    slice_sum s = { .kernel = kernel,
                    .add = cr__map_find(CR__MAP_add, out->dtype, out->dtype),
                    .columns = src->dims.v[attrs->dim] * all.inner,
                    .pitch = all.n * all.inner };
    cr__copy_input(kernel, 0);
    if (src->numel == 0)
        return CR_OK;
    s.to = (char *)out->data +
           attrs->start.v * all.inner * (int64_t)cr_dtype_size(out->dtype);
    s.chunks =
        cr__kernel_chunks(kernel, src->numel / 2, (src->numel - 1) / CR_MAX_FETCH + 1);
    cr_kernel_chunks(kernel, s.chunks, add_part_rows, &s);
    return CR_OK;
}

static void slice_add_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = g;
    if (cr_input_needs_grad(out, 1))
        down[1] = cr__record_1(&cr__op_slice, g, cr_attrs(out), CR_HERE);
}

static cr_status slice_add_shape(cr_infer *infer)
{
    if (!cr__is_float(infer->in_dtype[0]))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                           "cotangents are floats, not %s",
                           cr_dtype_name(infer->in_dtype[0]));
    const cr_status status = slice_scatter_shape(infer);
    const int64_t step = ((const slice_attrs *)infer->attrs)->step;
    if (status == CR_OK && step != 1)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                           "step is %lld: src is added to elements that lie together",
                           (long long)step);
    return status;
}

/* What slice_scatter of x's slice plus src is, in place where x dies. */
CR__OP(slice_add) = {
    .name = "slice_add",
    .doc = "x with src added to its slice, whose step is 1",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,src",
    .attrs = slice_rows,
    .attrs_size = sizeof(slice_attrs),
    .shape = slice_add_shape,
    .vjp = slice_add_vjp,
    .kernel = slice_add_kernel,
    .fetched = CR_READS_INPUTS,
    .once = CR_READS_INPUT(1),
    .overwrites = CR_READS_INPUT(0),
    .never_fails = true,
    .widens = true,
    .samples = CR__SAMPLES({ "f[5] f[3]", "start=1,end=4" },
                           { "f[3,5] f[3,2]", "dim=1,start=2,end=4" },
                           { "f[3,2] f[1,2]", "start=-1" },
                           { "f[4] f[0]", "start=3,end=1" },
                           { "f[0,3] f[0,2]", "dim=1,end=2" }),
    .call = "x,src,dim,start,end",
};

/* ---- select ---- */

typedef struct select_attrs {
    int64_t dim, index;
} select_attrs;

static cr_status select_shape(cr_infer *infer)
{
    select_attrs *attrs = infer->attrs;
    const cr_dims *x = &infer->in_dims[0];
    if (!cr__has_a_dim(infer) || !cr__resolve_dim(infer, &attrs->dim, x->n))
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

/* ---- unfold ---- */

typedef struct unfold_attrs {
    int64_t dimension, size, step;
} unfold_attrs;

/* Rank 0 counts as one element along a dimension. */
static cr_status unfold_shape(cr_infer *infer)
{
    unfold_attrs *a = infer->attrs;
    cr_dims *dims = &infer->dims;
    if (!cr__resolve_dim(infer, &a->dimension, dims->n))
        return CR_ERR_ARGUMENT;
    int64_t have = dims->n ? dims->v[a->dimension] : 1;
    if (a->step < 1)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                           "step is %lld, not above 0", (long long)a->step);
    if (a->size < 0 || a->size > have)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                           "size is %lld: windows of 0 to %lld fit along dim %lld",
                           (long long)a->size, (long long)have, (long long)a->dimension);
    if (dims->n == CR_MAX_DIMS)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "%s has %d dimensions already, which is the most",
                           cr__dims_text(infer->ctx, *dims), CR_MAX_DIMS);
    if (dims->n)
        dims->v[a->dimension] = (have - a->size) / a->step + 1;
    cr__dims_insert(dims, dims->n, a->size);
    return CR_OK;
}

static bool unfold_view(const cr_tensor *out, cr__layout *layout)
{
    const unfold_attrs *a = out->attrs;
    int last = layout->ndim++;
    layout->dims[last] = a->size;
    layout->strides[last] = last ? layout->strides[a->dimension] : 1;
    if (last) {
        int64_t windows = out->shape->dims[a->dimension];
        layout->dims[a->dimension] = windows;
        layout->strides[a->dimension] *= windows > 1 ? a->step : 1;
    }
    return true;
}

/* Windows overlap: each place of x gets what the windows' elements that show it get, as
 * index_add adds them up, the elements being numbered window by window. */
static void unfold_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const unfold_attrs *a = cr_attrs(out);
    cr_tensor *x = cr_input(out, 0);
    cr_dims dims = cr_shape(x);
    int dim = (int)a->dimension;
    if (dims.n == 0) {
        down[0] = cr_sum(g);
        return;
    }
    cr_tensor *places = cr_arange(x->ctx, 0, dims.v[dim], 1, .dtype = CR_I64);
    places = cr_flatten(cr_unfold(places, 0, a->size, a->step), 0, -1);
    g = cr_flatten(cr_movedim(g, CR_DIMS(-1), CR_DIMS(dim + 1)), dim, dim + 1);
    down[0] = cr_index_add(cr_zeros_like(x), dim, places, g);
}

CR__OP(unfold) = {
    .name = "unfold",
    .doc =
        "windows of size elements, step apart, along dimension; their elements are a new "
        "last dimension",
    .kind = CR_OP_VIEW,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(unfold_attrs, dimension, INT,
                                .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(unfold_attrs, size, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(unfold_attrs, step, INT, .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(unfold_attrs),
    .shape = unfold_shape,
    .vjp = unfold_vjp,
    .internal = &(const cr__view_info){ unfold_view },
    .samples = CR__SAMPLES({ "f[5]", "dimension=0,size=3,step=1" },
                           { "f[2,5]", "dimension=-1,size=2,step=3" },
                           { "f[4,2]", "dimension=0,size=3,step=1" },
                           { "f[3,2]", "dimension=0,size=0,step=2" },
                           { "f[2,3]", "dimension=1,size=3,step=7" },
                           { "f[]", "dimension=0,size=1,step=1" },
                           { "f[0,3]", "dimension=1,size=2,step=1" },
                           { "i[4]", "dimension=0,size=2,step=2" }),
};

cr_tensor *cr_unfold_at(cr_tensor *x, int dimension, int64_t size, int64_t step,
                        const char *site)
{
    unfold_attrs attrs = { dimension, size, step };
    return cr__record_1(&cr__op_unfold, x, &attrs, site);
}

/* ---- cat, stack ---- */

typedef struct join_attrs {
    int64_t dim;
} join_attrs;

/* An empty list, [0], is joined to whatever shape, as nothing: as in PyTorch. */
static bool is_empty_list(const cr_dims *dims)
{
    return dims->n == 1 && dims->v[0] == 0;
}

/* Input i against the first that counts. */
static bool joinable(cr_infer *infer, int first, int i, int64_t dim)
{
    const cr_dims *a = &infer->in_dims[first], *b = &infer->in_dims[i];
    bool fits = a->n == b->n;
    for (int d = 0; fits && d < a->n; d++)
        fits = d == dim || a->v[d] == b->v[d];
    fits = fits || is_empty_list(b);
    if (!fits)
        cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                    "input %d is %s and input %d is %s: sizes differ outside dim %lld",
                    first, cr__dims_text(infer->ctx, *a), i,
                    cr__dims_text(infer->ctx, *b), (long long)dim);
    else if (infer->in_dtype[i] != infer->in_dtype[0])
        cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                    "input 0 is %s, input %d %s", cr_dtype_name(infer->in_dtype[0]), i,
                    cr_dtype_name(infer->in_dtype[i]));
    return fits && infer->in_dtype[i] == infer->in_dtype[0];
}

static cr_status cat_shape(cr_infer *infer)
{
    join_attrs *attrs = infer->attrs;
    int first = 0;
    while (first + 1 < infer->n && is_empty_list(&infer->in_dims[first]))
        first++;
    cr_infer counted = *infer;
    counted.in_dims += first;
    infer->dims = infer->in_dims[first];
    if (is_empty_list(&infer->dims))
        attrs->dim = 0; /* of nothing every dim is the same */
    else if (!cr__has_a_dim(&counted) ||
             !cr__resolve_dim(infer, &attrs->dim, infer->dims.n))
        return CR_ERR_SHAPE;
    int64_t total = 0;
    for (int i = 0; i < infer->n; i++) {
        const cr_dims *x = &infer->in_dims[i];
        if (!joinable(infer, first, i, attrs->dim))
            return CR_ERR_SHAPE;
        if (!is_empty_list(x) && __builtin_add_overflow(total, x->v[attrs->dim], &total))
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
        cr_tensor *x = cr_input(out, i);
        bool nothing = cr_ndim(x) == 1 && cr_numel(x) == 0;
        int64_t to = from + (nothing ? 0 : cr_size(x, (int)attrs->dim));
        if (cr_input_needs_grad(out, i))
            down[i] = nothing ? cr_zeros_like(x) : cr_slice(g, (int)attrs->dim, from, to);
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
    .once = CR_READS_INPUTS,
    .never_fails = true,
    .samples = CR__SAMPLES({ "f[2,3] f[1,3]", NULL },
                           { "f[2,3] f[2,1] f[2,2]", "dim=-1" },
                           { "f[2,1,2] f[2,2,2]", "dim=1" }, { "f[3]", NULL },
                           { "f[0,2] f[2,2]", NULL }, { "i[2] i[1]", NULL },
                           { "f[0] f[2,3] f[0] f[2,1]", "dim=-1" },
                           { "f[0] f[0]", "dim=2" }),
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
