/* Whole slices picked by a list of indices: index_select, its adjoint index_add,
 * index_copy, embedding, and one_hot. An index outside is an error of the run. Sums
 * are as in gather.c. */
#include "pick.h"
#include <string.h>

/* ---- index_select, index_add: an index for every slice ---- */

/* An array [outer, size, inner] seen along one dimension, and the slices chosen of it. */
typedef struct slices {
    const cr_kernel *kernel;
    const cr_array *index;
    int64_t outer, size, inner, n;
    int64_t dim;
    double alpha;
    int64_t chunks;
    bool whole;        /* the elements of a slice lie one behind the other */
    bool few;          /* rows of one element: needs no groups */
    bool by_outer;     /* how chunks are cut */
    cr__groups groups; /* of the index */
} slices;

static slices slices_of(const cr_kernel *kernel, const cr_dims *dims, int64_t dim)
{
    const cr_array *index = &kernel->in[1];
    slices s = { .kernel = kernel, .index = index, .outer = 1, .inner = 1 };
    s.size = cr__size_at(dims, dim);
    s.n = index->numel;
    for (int64_t i = 0; i < dims->n; i++)
        if (i < dim)
            s.outer *= dims->v[i];
        else if (i > dim)
            s.inner *= dims->v[i];
    return s;
}

/* Where x has row `outer` of the dims before dim. */
static int64_t outer_offset(const cr_array *x, int64_t dim, int64_t outer)
{
    int64_t offset = 0;
    for (int64_t d = dim - 1; d >= 0; d--) {
        offset += outer % x->dims.v[d] * x->strides[d];
        outer /= x->dims.v[d];
    }
    return offset;
}

/* A slice of x: the dims behind dim. */
static cr__strided inner_dims(const cr_array *x, int64_t dim)
{
    cr__strided inner = { .ndim = 0 };
    for (int64_t d = dim + 1; d < x->dims.n; d++) {
        inner.dims[inner.ndim] = x->dims.v[d];
        inner.strides[inner.ndim++] = x->strides[d];
    }
    return inner;
}

static void select_chunk(void *arg, int64_t chunk, int worker)
{
    const slices *s = arg;
    const cr_array *x = &s->kernel->in[0];
    char *to = s->kernel->out.data;
    size_t size = cr_dtype_size(x->dtype);
    int64_t begin, end, step = cr__stride_at(x, s->dim), width = s->inner * (int64_t)size;
    cr__strided inner = inner_dims(x, s->dim);
    (void)worker;
    cr__part(s->outer * s->n, 1, chunk, s->chunks, &begin, &end);
    int64_t i = begin % s->n, outer = begin / s->n;
    int64_t origin = outer_offset(x, s->dim, outer);
    for (int64_t row = begin; row < end; row++) {
        int64_t place = origin + cr__index_load(s->index, i) * step;
        inner.data = (char *)x->data + place * (int64_t)size;
        if (s->inner == 1)
            cr__move_one(to, row, x->data, place, size);
        else if (s->whole)
            memcpy(to + row * width, inner.data, (size_t)width);
        else
            cr__copy_range(to + row * width, &inner, size, 0, s->inner);
        if (++i == s->n)
            i = 0, origin = outer_offset(x, s->dim, ++outer);
    }
}

static cr_status select_slices(const cr_kernel *kernel, int64_t dim)
{
    const cr_array *x = &kernel->in[0];
    slices s = slices_of(kernel, &x->dims, dim);
    if (kernel->out.numel == 0)
        return CR_OK;
    s.dim = dim;
    s.whole = true;
    for (int64_t d = x->dims.n - 1, stride = 1; d > dim; stride *= x->dims.v[d--])
        s.whole = s.whole && (x->dims.v[d] == 1 || x->strides[d] == stride);
    s.chunks = cr__kernel_chunks(kernel, kernel->out.numel / 4 + s.outer * s.n * 2,
                                 s.outer * s.n);
    cr_kernel_chunks(kernel, s.chunks, select_chunk, &s);
    return CR_OK;
}

/* A vector of indices, or one. */
static bool is_list(cr_infer *infer, int input)
{
    if (!cr__index_dtype(infer, input))
        return false;
    if (infer->in_dims[input].n <= 1)
        return true;
    cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                "index has rank 0 or 1, not shape %s",
                cr__dims_text(infer->ctx, infer->in_dims[input]));
    return false;
}

static cr_status index_select_shape(cr_infer *infer)
{
    cr__dim_attrs *attrs = infer->attrs;
    int64_t n = cr__size_at(&infer->in_dims[1], 0);
    if (!is_list(infer, 1) || !cr__resolve_dim(infer, &attrs->dim, infer->in_dims[0].n))
        return CR_ERR_SHAPE;
    if (infer->dims.n > 0)
        infer->dims.v[attrs->dim] = n;
    else if (n != 1)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "x has rank 0: one index, not %lld", (long long)n);
    return CR_OK;
}

static cr_status index_select_kernel(const cr_kernel *kernel)
{
    const cr__dim_attrs *attrs = kernel->attrs;
    return select_slices(kernel, attrs->dim);
}

static void index_select_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const cr__dim_attrs *attrs = cr_attrs(out);
    down[0] = cr_index_add(cr_zeros_like(cr_input(out, 0)), (int)attrs->dim,
                           cr_input(out, 1), g);
}

CR__OP(index_select) = {
    .name = "index_select",
    .doc = "whole slices of x along dim, in the order of index",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,index",
    .attrs = cr__dim_rows,
    .attrs_size = sizeof(cr__dim_attrs),
    .shape = index_select_shape,
    .vjp = index_select_vjp,
    .reads = CR_READS_INPUT(1),
    .kernel = index_select_kernel,
    .strided = CR_READS_INPUT(0),
    .check = cr__check_along_dim,
    .checks = CR_READS_INPUT(1),
    .samples = CR__SAMPLES({ "f[4,3] i[5]{0,4}", "dim=0" },
                           { "f[2,3,2] i[2]{0,3}", "dim=-2" },
                           { "f[2,3] i[4]{0,3}", "dim=1" }, { "f[3] i[]{0,3}", "dim=0" },
                           { "f[] i[1]{0,1}", "dim=0" }, { "f[3,2] i[0]", "dim=0" },
                           { "b[3,2] i[2]{0,3}", "dim=0" }),
    .call = "x,dim,index",
};

cr_tensor *cr_index_select_at(cr_tensor *x, int dim, cr_tensor *index, const char *site)
{
    cr_tensor *inputs[] = { x, index };
    return cr__record_n(NULL, &cr__op_index_select, inputs, 2, &(cr__dim_attrs){ dim },
                        site);
}

typedef struct index_add_attrs {
    int64_t dim;
    cr_opt_real alpha;
} index_add_attrs;

/* Whether input 2 is what x has of the slices at index. */
static cr_status check_source(cr_infer *infer, int64_t dim)
{
    cr_dims want = infer->in_dims[0];
    int64_t n = cr__size_at(&infer->in_dims[1], 0);
    if (want.n > 0)
        want.v[dim] = n;
    if (cr__dims_equal(want, infer->in_dims[2]) && (want.n > 0 || n == 1))
        return CR_OK;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                       "source is %s; x %s with index %s takes %s",
                       cr__dims_text(infer->ctx, infer->in_dims[2]),
                       cr__dims_text(infer->ctx, infer->in_dims[0]),
                       cr__dims_text(infer->ctx, infer->in_dims[1]),
                       cr__dims_text(infer->ctx, want));
}

static cr_status index_add_shape(cr_infer *infer)
{
    index_add_attrs *attrs = infer->attrs;
    if (!is_list(infer, 1) || !cr__resolve_dim(infer, &attrs->dim, infer->in_dims[0].n))
        return CR_ERR_SHAPE;
    if (!cr__addable(infer))
        return CR_ERR_DTYPE;
    uint64_t bits;
    if (!attrs->alpha.given)
        attrs->alpha = CR_REAL(1);
    if (!cr__number_store(cr_arg_real(attrs->alpha.v), infer->dtype, &bits))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                           "alpha %g is not a value of %s", attrs->alpha.v,
                           cr_dtype_name(infer->dtype));
    return check_source(infer, attrs->dim);
}

/* A chunk owns a range of the outer dimension, or of the positions that are sorted by
 * row, or, of integers, of columns. */
static void add_some(void *arg, int64_t chunk, int worker)
{
    const slices *s = arg;
    const cr_array *out = &s->kernel->out;
    const char *src = s->kernel->in[2].data;
    int64_t o0 = 0, o1 = s->outer, first = 0, last = s->groups.count;
    int64_t size = (int64_t)cr_dtype_size(out->dtype);
    if (s->by_outer) {
        cr__part(s->outer, 1, chunk, s->chunks, &o0, &o1);
    } else {
        cr__part(s->n, 1, chunk, s->chunks, &first, &last);
        first = cr__groups_from(&s->groups, first);
        last = cr__groups_from(&s->groups, last);
    }
    for (int64_t outer = o0; outer < o1; outer++) {
        cr__scatter_job job = {
            .dtype = out->dtype,
            .from = src + outer * s->n * s->inner * size,
            .to = (char *)out->data + outer * s->size * s->inner * size,
            .from_stride = s->inner,
            .to_stride = s->inner,
            .width = s->inner,
            .alpha = s->alpha,
        };
        void *scratch = cr__team_scratch(s->kernel->workers, worker);
        const cr__scatter_few few = { job, s->index->data, s->index->dtype,
                                      1,   s->n,           s->size };
        if (s->few)
            cr__scatter_into_few(&few, scratch);
        else if (!s->by_outer || !cr__scatter_line(&few, scratch))
            cr__scatter(&job, &s->groups, first, last, scratch);
    }
}

static void add_integer_slices(const slices *s)
{
    const cr_array *out = &s->kernel->out;
    for (int64_t outer = 0; outer < s->outer; outer++)
        for (int64_t i = 0; i < s->n; i++) {
            int64_t place = outer * s->size + cr__index_load(s->index, i);
            cr__add_integers(out->dtype, out->data, place * s->inner,
                             s->kernel->in[2].data, (outer * s->n + i) * s->inner,
                             s->inner, (int64_t)s->alpha);
        }
}

static cr_status index_add_check(const cr_kernel *kernel)
{
    return cr__check_indices(kernel, ((const index_add_attrs *)kernel->attrs)->dim);
}

static cr_status index_add_kernel(const cr_kernel *kernel)
{
    const index_add_attrs *attrs = kernel->attrs;
    slices s = slices_of(kernel, &kernel->out.dims, attrs->dim);
    cr__copy_input(kernel, 0);
    s.alpha = attrs->alpha.v;
    if (kernel->in[2].numel == 0)
        return CR_OK;
    if (!cr__is_float(kernel->out.dtype)) {
        add_integer_slices(&s);
        return CR_OK;
    }
    s.few = s.inner == 1 && cr__scatter_is_few(kernel->out.dtype, s.size, s.n, 1);
    if (!s.few) {
        s.groups = cr__groups_in(kernel->scratch, s.size, s.n);
        cr__groups_sort(&s.groups, s.index->data, s.index->dtype, 1, s.n);
    }
    s.by_outer = s.few || s.outer >= s.groups.count;
    s.chunks = cr__kernel_chunks(kernel, kernel->in[2].numel,
                                 s.by_outer ? s.outer : s.groups.count);
    cr_kernel_chunks(kernel, s.chunks, add_some, &s);
    return CR_OK;
}

static size_t index_add_scratch(const cr_tensor *out)
{
    const index_add_attrs *attrs = cr_attrs(out);
    cr_dims x = cr_shape(out);
    if (!cr__is_float(cr_dtype_of(out)) || cr_numel(cr_input(out, 2)) == 0)
        return 0;
    return cr__groups_bytes(cr__size_at(&x, attrs->dim), cr_numel(cr_input(out, 1)));
}

static void index_add_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const index_add_attrs *attrs = cr_attrs(out);
    down[0] = g;
    if (!cr_input_needs_grad(out, 2))
        return;
    if (attrs->alpha.v != 1)
        g = cr_mul(g, attrs->alpha.v);
    down[2] = cr_index_select(g, (int)attrs->dim, cr_input(out, 1));
}

CR__OP(index_add) = {
    .name = "index_add",
    .doc = "x with alpha source added to its slices index along dim",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 3,
    .max_inputs = 3,
    .inputs = "x,index,source",
    .attrs = CR__ATTRS(CR__ATTR(index_add_attrs, dim, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(index_add_attrs, alpha, OPT_REAL, .initial = "1")),
    .attrs_size = sizeof(index_add_attrs),
    .shape = index_add_shape,
    .vjp = index_add_vjp,
    .reads = CR_READS_INPUT(1),
    .kernel = index_add_kernel,
    .fetched = CR_READS_INPUT(0),
    .check = index_add_check,
    .checks = CR_READS_INPUT(1),
    .scratch = index_add_scratch,
    .samples = CR__SAMPLES({ "f[4,3] i[5]{0,4} f[5,3]", "dim=0" },
                           { "f[2,3,2] i[2]{0,3} f[2,2,2]", "dim=-2,alpha=-0.5" },
                           { "f[2,3] i[4]{0,3} f[2,4]", "dim=1" },
                           { "f[3] i[]{0,3} f[1]", "dim=0" },
                           { "f[] i[1]{0,1} f[]", "dim=0" },
                           { "f[3,2] i[0] f[0,2]", "dim=0" }),
    .call = "x,dim,index,source,.alpha",
};

cr_tensor *cr_index_add_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *source,
                           cr_index_add_opts opts)
{
    cr_tensor *inputs[] = { x, index, source };
    return cr__record_n(NULL, &cr__op_index_add, inputs, 3,
                        &(index_add_attrs){ dim, opts.alpha }, opts.site);
}

/* ---- index_copy ---- */

static cr_status index_copy_shape(cr_infer *infer)
{
    cr__dim_attrs *attrs = infer->attrs;
    if (!is_list(infer, 1) || !cr__resolve_dim(infer, &attrs->dim, infer->in_dims[0].n))
        return CR_ERR_SHAPE;
    if (infer->in_dtype[0] != infer->in_dtype[2])
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                           "x is %s, source %s", cr_dtype_name(infer->in_dtype[0]),
                           cr_dtype_name(infer->in_dtype[2]));
    return check_source(infer, attrs->dim);
}

/* The slices of a chunk's rows, in the index's order. */
static void copy_some(void *arg, int64_t chunk, int worker)
{
    const slices *s = arg;
    int64_t begin, end, bytes = s->inner;
    bytes *= (int64_t)cr_dtype_size(s->kernel->out.dtype);
    (void)worker;
    cr__part(s->outer, 1, chunk, s->chunks, &begin, &end);
    for (int64_t outer = begin; outer < end; outer++)
        for (int64_t i = 0; i < s->n; i++)
            memcpy((char *)s->kernel->out.data +
                       (outer * s->size + cr__index_load(s->index, i)) * bytes,
                   (const char *)s->kernel->in[2].data + (outer * s->n + i) * bytes,
                   (size_t)bytes);
}

static cr_status index_copy_kernel(const cr_kernel *kernel)
{
    const cr__dim_attrs *attrs = kernel->attrs;
    slices s = slices_of(kernel, &kernel->out.dims, attrs->dim);
    cr__copy_input(kernel, 0);
    if (kernel->in[2].numel == 0)
        return CR_OK;
    s.chunks =
        cr__kernel_chunks(kernel, kernel->in[2].numel / 4 + s.outer * s.n * 2, s.outer);
    cr_kernel_chunks(kernel, s.chunks, copy_some, &s);
    return CR_OK;
}

static void index_copy_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    int dim = (int)((const cr__dim_attrs *)cr_attrs(out))->dim;
    cr_tensor *index = cr_input(out, 1), *source = cr_input(out, 2);
    if (cr_input_needs_grad(out, 0))
        down[0] = cr_index_copy(g, dim, index, cr_zeros_like(source));
    if (!cr_input_needs_grad(out, 2))
        return;
    int64_t size = cr_ndim(out) ? cr_size(out, dim) : 1;
    cr_tensor *last = cr__pick_last(index, CR_DIMS(size), 0);
    cr_dims along = cr_shape(source);
    for (int d = 0; d < along.n; d++)
        along.v[d] = d == dim ? cr_numel(index) : 1;
    down[2] = cr_where(cr_reshape(last, along), cr_index_select(g, dim, index), 0);
}

CR__OP(index_copy) = {
    .name = "index_copy",
    .doc =
        "x with its slices at index along dim replaced by source's; the last of several",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 3,
    .max_inputs = 3,
    .inputs = "x,index,source",
    .attrs = cr__dim_rows,
    .attrs_size = sizeof(cr__dim_attrs),
    .shape = index_copy_shape,
    .vjp = index_copy_vjp,
    .reads = CR_READS_INPUT(1),
    .kernel = index_copy_kernel,
    .fetched = CR_READS_INPUT(0),
    .check = cr__check_along_dim,
    .checks = CR_READS_INPUT(1),
    .samples = CR__SAMPLES({ "f[4,3] i[2]{0,4} f[2,3]", "dim=0" },
                           { "f[2,3,2] i[4]{0,3} f[2,4,2]", "dim=-2" },
                           { "f[3] i[3]{0,3}=2,0,2 f[3] -> 0,1,0 0,1,1", "dim=0" },
                           { "f[3] i[]{0,3} f[1]", "dim=0" },
                           { "f[] i[1]{0,1} f[]", "dim=0" },
                           { "f[3,2] i[0] f[0,2]", "dim=0" },
                           { "b[3,2] i[2]{0,3} b[2,2]", "dim=0" }),
    .call = "x,dim,index,source",
};

cr_tensor *cr_index_copy_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *source,
                            const char *site)
{
    cr_tensor *inputs[] = { x, index, source };
    return cr__record_n(NULL, &cr__op_index_copy, inputs, 3, &(cr__dim_attrs){ dim },
                        site);
}

/* ---- embedding ---- */

typedef struct embedding_attrs {
    cr_opt_int padding_idx;
} embedding_attrs;

static cr_status embedding_shape(cr_infer *infer)
{
    embedding_attrs *attrs = infer->attrs;
    const cr_dims *weight = &infer->in_dims[0];
    cr_opt_int *padding = &attrs->padding_idx;
    if (!cr__index_dtype(infer, 1))
        return CR_ERR_DTYPE;
    if (weight->n != 2 || infer->in_dims[1].n == CR_MAX_DIMS)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "weight is [count, width] and index of rank 0 to 7, not %s "
                           "and %s",
                           cr__dims_text(infer->ctx, *weight),
                           cr__dims_text(infer->ctx, infer->in_dims[1]));
    if (padding->given) {
        int64_t count = weight->v[0], row = padding->v;
        if (row < -count || row >= count)
            return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                               "padding_idx %lld is not one of the %lld rows of weight",
                               (long long)row, (long long)count);
        padding->v += row < 0 ? count : 0;
    }
    infer->dims = infer->in_dims[1];
    infer->dims.v[infer->dims.n++] = weight->v[1];
    return CR_OK;
}

static cr_status embedding_check(const cr_kernel *kernel)
{
    return cr__check_indices(kernel, 0);
}

static cr_status embedding_kernel(const cr_kernel *kernel)
{
    return select_slices(kernel, 0);
}

static void embedding_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const embedding_attrs *attrs = cr_attrs(out);
    cr_tensor *weight = cr_input(out, 0), *index = cr_input(out, 1);
    int64_t n = cr_numel(index);
    index = cr_reshape(index, CR_DIMS(n));
    g = cr_reshape(g, CR_DIMS(n, cr_size(weight, 1)));
    bool byte = cr_dtype_of(index) == CR_U8;
    if (attrs->padding_idx.given && (!byte || attrs->padding_idx.v <= UINT8_MAX))
        g = cr_where(cr_unsqueeze(cr_ne(index, attrs->padding_idx.v), 1), g, 0);
    down[0] = cr_index_add(cr_zeros_like(weight), 0, index, g);
}

static unsigned embedding_apart(const cr_tensor *out)
{
    (void)out;
    return CR_READS_INPUT(1);
}

/* The gradient of n tables one behind the other, part k looking into table k. */
static cr_tensor *embedding_vjp_apart(cr_tensor *out, cr_tensor *g, int i, int64_t n)
{
    const embedding_attrs *attrs = cr_attrs(out);
    cr_tensor *weight = cr_input(out, i), *index = cr_input(out, 1), *all, *table;
    const int64_t count = cr_size(weight, 0), width = cr_size(weight, 1),
                  numel = cr_numel(index);
    index = cr_reshape(cr_cast(index, CR_I64), CR_DIMS(n, numel / n));
    g = cr_reshape(g, CR_DIMS(numel, width));
    if (attrs->padding_idx.given)
        g = cr_where(cr_reshape(cr_ne(index, attrs->padding_idx.v), CR_DIMS(numel, 1)), g,
                     0);
    table = cr_arange(cr_ctx_of(out), 0, n * count, count, .dtype = CR_I64);
    index = cr_reshape(cr_add(index, cr_unsqueeze(table, 1)), CR_DIMS(numel));
    all =
        cr_zeros(cr_ctx_of(out), CR_DIMS(n * count, width), .dtype = cr_dtype_of(weight));
    return cr_reshape(cr_index_add(all, 0, index, g), CR_DIMS(n, count, width));
}

CR__OP(embedding) = {
    .name = "embedding",
    .doc = "the rows of weight [count, width] at index; row padding_idx gets no gradient",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "weight,index",
    .attrs = CR__ATTRS(CR__ATTR(embedding_attrs, padding_idx, OPT_INT,
                                .initial = CR__NOT_GIVEN)),
    .attrs_size = sizeof(embedding_attrs),
    .shape = embedding_shape,
    .vjp = embedding_vjp,
    .reads = CR_READS_INPUT(1),
    .apart = embedding_apart,
    .vjp_apart = embedding_vjp_apart,
    .kernel = embedding_kernel,
    .strided = CR_READS_INPUT(0),
    .check = embedding_check,
    .checks = CR_READS_INPUT(1),
    .samples = CR__SAMPLES({ "f[4,3] i[2,3]{0,4}", NULL }, { "f[4,3] i[]{0,4}", NULL },
                           { "f[0,3] i[0]", NULL }, { "f[4,0] i[2]{0,4}", NULL },
                           { "f[4,3]~ i[5]{0,4}", "padding_idx=1" }),
};

cr_tensor *cr_embedding_at(cr_tensor *weight, cr_tensor *index, cr_embedding_opts opts)
{
    cr_tensor *inputs[] = { weight, index };
    embedding_attrs attrs = { opts.padding_idx };
    return cr__record_n(NULL, &cr__op_embedding, inputs, 2, &attrs, opts.site);
}

/* ---- one_hot ---- */

typedef struct one_hot_attrs {
    int64_t num_classes;
} one_hot_attrs;

static cr_status one_hot_shape(cr_infer *infer)
{
    const one_hot_attrs *attrs = infer->attrs;
    if (!cr__index_dtype(infer, 0))
        return CR_ERR_DTYPE;
    if (attrs->num_classes < 1)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, "give num_classes",
                           "the number of classes is %lld",
                           (long long)attrs->num_classes);
    if (infer->dims.n == CR_MAX_DIMS)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "index %s has no room for another dimension",
                           cr__dims_text(infer->ctx, infer->dims));
    infer->dims.v[infer->dims.n++] = attrs->num_classes;
    infer->dtype = CR_I64;
    return CR_OK;
}

static cr_status one_hot_check(const cr_kernel *kernel)
{
    const one_hot_attrs *attrs = kernel->attrs;
    const cr_array *index = &kernel->in[0];
    int64_t at, size = attrs->num_classes;
    int64_t i = cr__index_outside(index, size, NULL, &at);
    char place[160];
    if (i < 0)
        return CR_OK;
    cr__place_text(index, i, place, sizeof place);
    if (at < 0)
        snprintf(kernel->message, kernel->capacity,
                 "index %lld at %s is below 0; classes are 0 to %lld", (long long)at,
                 place, (long long)size - 1);
    else
        snprintf(kernel->message, kernel->capacity,
                 "index %lld at %s is not below num_classes, %lld", (long long)at, place,
                 (long long)size);
    return CR_ERR_INDEX;
}

static cr_status one_hot_kernel(const cr_kernel *kernel)
{
    const one_hot_attrs *attrs = kernel->attrs;
    const cr_array *index = &kernel->in[0];
    int64_t *out = kernel->out.data;
    if (kernel->out.numel == 0)
        return CR_OK;
    memset(out, 0, (size_t)kernel->out.numel * sizeof *out);
    for (int64_t i = 0; i < index->numel; i++)
        out[i * attrs->num_classes + cr__index_load(index, i)] = 1;
    return CR_OK;
}

/* With the number of classes known: what one_hot becomes. */
CR__OP(one_hot_of) = {
    .name = "one_hot",
    .doc = "i64 ones at index along a new last dimension of num_classes",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "index",
    .attrs = CR__ATTRS(CR__ATTR(one_hot_attrs, num_classes, INT,
                                .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(one_hot_attrs),
    .shape = one_hot_shape,
    .kernel = one_hot_kernel,
    .check = one_hot_check,
    .checks = CR_READS_INPUT(0),
    .samples = CR__SAMPLES({ "i[2,3]{0,4}", "num_classes=4" },
                           { "i[0]", "num_classes=3" }),
};

static cr_tensor *one_hot_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attributes)
{
    one_hot_attrs attrs = *(const one_hot_attrs *)attributes;
    cr_tensor *index = inputs[0];
    (void)n;
    if (!cr__is_int(cr_dtype_of(index))) {
        cr__op_fail(ctx, &cr__op_one_hot, CR_ERR_DTYPE, "cr_cast() converts",
                    "indices are i64, i32 or u8, not %s",
                    cr_dtype_name(cr_dtype_of(index)));
        return NULL;
    }
    if (attrs.num_classes == -1 && cr_numel(index) > 0) {
        int64_t largest = cr_item_i64(cr_amax(index));
        attrs.num_classes = largest + (largest < INT64_MAX);
    }
    if (attrs.num_classes < 1 && !cr_error(ctx)) {
        cr__op_fail(ctx, &cr__op_one_hot, CR_ERR_ARGUMENT, "give num_classes",
                    "the number of classes is %lld", (long long)attrs.num_classes);
        return NULL;
    }
    return cr__record_1(&cr__op_one_hot_of, index, &attrs, CR_HERE);
}

CR__OP(one_hot) = {
    .name = "one_hot",
    .doc =
        "i64 ones at index along a new last dimension; num_classes -1: the largest + 1",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "index",
    .attrs = CR__ATTRS(CR__ATTR(one_hot_attrs, num_classes, INT, .initial = "-1",
                                .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(one_hot_attrs),
    .expand = one_hot_expand,
    .samples = CR__SAMPLES({ "i[2,3]{0,4}", "num_classes=4" },
                           { "i[]{0,2}", "num_classes=2" }, { "i[4]{0,5}", NULL },
                           { "i[0]", "num_classes=3" }),
};

cr_tensor *cr_one_hot_at(cr_tensor *index, int64_t num_classes, const char *site)
{
    return cr__record_1(&cr__op_one_hot, index, &(one_hot_attrs){ num_classes }, site);
}
