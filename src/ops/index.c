/* Picking by index tensors: gather, index_select, embedding, one_hot, and the adjoints
 * scatter_add and index_add. An index outside is an error of the run. Sums of floats are
 * those of kernel/scatter.c; those of integers, where every order gives the same, are
 * made one after the other. A thread owns what it adds to. */
#include "attrs.h"
#include "opaque.h"
#include <string.h>

/* dims.v[i], rank 0 being seen as [1]. */
static int64_t size_at(const cr_dims *dims, int64_t i)
{
    return i < dims->n ? dims->v[i] : 1;
}

/* The stride along a dim, that of rank 0 being one of size 1. */
static int64_t stride_at(const cr_array *x, int64_t i)
{
    return i < x->dims.n ? x->strides[i] : 1;
}

/* Whether all of input 1 are places along dim of input 0. */
static cr_status check_indices(const cr_kernel *kernel, int64_t dim)
{
    const cr_array *index = &kernel->in[1];
    int64_t size = size_at(&kernel->in[0].dims, dim), at;
    int64_t i = cr__index_outside(index, size, NULL, &at);
    char place[160];
    if (i < 0)
        return CR_OK;
    snprintf(kernel->message, kernel->capacity,
             "index %lld at %s is outside dim %lld, which has size %lld%s", (long long)at,
             cr__place_text(index, i, place, sizeof place), (long long)dim,
             (long long)size, at < 0 ? " (indices do not count from the end)" : "");
    return CR_ERR_INDEX;
}

static cr_status check_along_dim(const cr_kernel *kernel)
{
    return check_indices(kernel, ((const cr__dim_attrs *)kernel->attrs)->dim);
}

/* ---- moving and adding ---- */

CR__INLINE void move_one(void *to, int64_t at, const void *from, int64_t i, size_t size)
{
    if (size == 4)
        memcpy((char *)to + 4 * at, (const char *)from + 4 * i, 4);
    else if (size == 8)
        memcpy((char *)to + 8 * at, (const char *)from + 8 * i, 8);
    else if (size == 2)
        memcpy((char *)to + 2 * at, (const char *)from + 2 * i, 2);
    else
        ((char *)to)[at] = ((const char *)from)[i];
}

/* to[at + i] += alpha from[first + i] for i < n, of integers: they wrap. */
#define ADD(T, U)                   \
    for (int64_t i = 0; i < n; i++) \
    ((T *)to)[at + i] =             \
        (T)((U)((T *)to)[at + i] + (U)alpha * (U)((const T *)from)[first + i])

static void add_integers(cr_dtype dtype, void *to, int64_t at, const void *from,
                         int64_t first, int64_t n, int64_t alpha)
{
    if (dtype == CR_I64)
        ADD(int64_t, uint64_t);
    else if (dtype == CR_I32)
        ADD(int32_t, uint32_t);
    else
        ADD(uint8_t, uint32_t);
}

/* ---- gather, scatter_add: an index for every element ---- */

/* The walk over the index of a gather or scatter_add, in rows along its last dimension,
 * cut along one dimension, `axis`, into chunks. */
typedef struct pick_strides {
    int64_t strides[CR_MAX_DIMS];
} pick_strides;
typedef struct pick_place {
    int64_t index, each, other;
} pick_place;
typedef struct pick_walk {
    const cr_kernel *kernel; /* of three inputs: it adds */
    int ndim, dim, axis;
    int64_t chunks;
    int64_t strip;             /* of sums of floats: see strip_of() */
    int64_t dims[CR_MAX_DIMS]; /* of the index */
    pick_strides index, each;  /* each: gather's result, or what is added */
    pick_strides other;        /* what is picked from or added to; 0 at dim */
    int64_t step;              /* of that along dim */
} pick_walk;

static pick_walk pick_begin(const cr_kernel *kernel, const cr_array *each,
                            const cr_array *other, int64_t dim)
{
    const cr_array *index = &kernel->in[1];
    pick_walk w = { .kernel = kernel, .dim = (int)dim, .axis = -1 };
    w.ndim = index->dims.n ? index->dims.n : 1;
    w.step = stride_at(other, dim);
    for (int i = w.ndim - 1; i >= 0; i--) {
        w.dims[i] = size_at(&index->dims, i);
        w.index.strides[i] = stride_at(index, i);
        w.each.strides[i] = stride_at(each, i);
        w.other.strides[i] = i == dim ? 0 : stride_at(other, i);
        if (i != dim && (w.axis < 0 || w.dims[i] >= w.dims[w.axis]))
            w.axis = i;
    }
    w.chunks =
        w.axis < 0 ? 1 : cr__kernel_chunks(kernel, 2 * index->numel, w.dims[w.axis]);
    w.axis = w.axis < 0 ? 0 : w.axis;
    return w;
}

/* Where element `at` of the index is in the three arrays. */
static pick_place pick_at(const pick_walk *w, const int64_t *at)
{
    pick_place p = { 0, 0, 0 };
    for (int i = 0; i < w->ndim; i++) {
        p.index += at[i] * w->index.strides[i];
        p.each += at[i] * w->each.strides[i];
        p.other += at[i] * w->other.strides[i];
    }
    return p;
}

/* n neighbours of the index and of each. */
static void pick_row(const pick_walk *w, pick_place p, int64_t n)
{
    const cr_array index = w->kernel->in[1], out = w->kernel->out;
    const void *from = w->kernel->in[w->kernel->n == 3 ? 2 : 0].data;
    size_t size = cr_dtype_size(out.dtype);
    int64_t along = w->other.strides[w->ndim - 1], step = w->step;
    for (int64_t i = 0; i < n; i++) {
        int64_t row = cr__index_load(&index, p.index + i);
        int64_t place = p.other + i * along + row * step;
        if (w->kernel->n == 3)
            add_integers(out.dtype, out.data, place, from, p.each + i, 1, 1);
        else
            move_one(out.data, p.each + i, from, place, size);
    }
}

static void pick_chunk(void *arg, int64_t chunk, int worker)
{
    const pick_walk *w = arg;
    int last = w->ndim - 1;
    int64_t begin, end, rows = 1, dims[CR_MAX_DIMS], from[CR_MAX_DIMS] = { 0 };
    (void)worker;
    memcpy(dims, w->dims, sizeof dims);
    cr__part(dims[w->axis], 1, chunk, w->chunks, &begin, &end);
    dims[w->axis] = end - begin;
    from[w->axis] = begin;
    for (int i = 0; i < last; i++)
        rows *= dims[i];
    for (int64_t row = 0; row < rows && dims[last] > 0; row++) {
        int64_t at[CR_MAX_DIMS], left = row;
        at[last] = from[last];
        for (int i = last - 1; i >= 0; i--) {
            at[i] = from[i] + left % dims[i];
            left /= dims[i];
        }
        pick_row(w, pick_at(w, at), dims[last]);
    }
}

/* index may be smaller than x outside dim; an empty one may have any rank, as in PyTorch.
 */
static cr_status pick_shape(cr_infer *infer, const char *what)
{
    cr__dim_attrs *attrs = infer->attrs;
    const cr_dims *x = &infer->in_dims[0], *index = &infer->in_dims[1];
    bool fits = x->n == index->n, empty = false;
    if (!cr__index_dtype(infer, 1))
        return CR_ERR_DTYPE;
    if (!cr__resolve_dim(infer, &attrs->dim, x->n))
        return CR_ERR_SHAPE;
    for (int i = 0; i < index->n; i++) {
        empty = empty || index->v[i] == 0;
        fits = fits && (i == attrs->dim || index->v[i] <= x->v[i]);
    }
    if (fits || empty)
        return CR_OK;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                       "index %s does not fit into %s %s outside dim %lld",
                       cr__dims_text(infer->ctx, *index), what,
                       cr__dims_text(infer->ctx, *x), (long long)attrs->dim);
}

static cr_status gather_shape(cr_infer *infer)
{
    cr_status status = pick_shape(infer, "x");
    infer->dims = infer->in_dims[1];
    return status;
}

static cr_status gather_kernel(const cr_kernel *kernel)
{
    const cr__dim_attrs *attrs = kernel->attrs;
    if (kernel->out.numel == 0)
        return CR_OK;
    pick_walk walk = pick_begin(kernel, &kernel->out, &kernel->in[0], attrs->dim);
    cr_kernel_chunks(kernel, walk.chunks, pick_chunk, &walk);
    return CR_OK;
}

static void gather_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const cr__dim_attrs *attrs = cr_attrs(out);
    down[0] = cr_scatter_add(cr_zeros_like(cr_input(out, 0)), (int)attrs->dim,
                             cr_input(out, 1), g);
}

CR__OP(gather) = {
    .name = "gather",
    .doc = "x[i,index[i,j,k],k] for dim 1: one index for each element of the result",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,index",
    .attrs = cr__dim_rows,
    .attrs_size = sizeof(cr__dim_attrs),
    .shape = gather_shape,
    .vjp = gather_vjp,
    .reads = CR_READS_INPUT(1),
    .kernel = gather_kernel,
    .strided = CR_READS_INPUTS,
    .check = check_along_dim,
    .checks = CR_READS_INPUT(1),
    .samples = CR__SAMPLES({ "f[3,4] i[2,4]{0,3}", "dim=0" },
                           { "f[3,4] i[3,2]{0,4}", "dim=-1" },
                           { "f[2,3,2] i[2,5,1]{0,3}", "dim=1" },
                           { "f[] i[]{0,1}", "dim=0" }, { "f[5] i[0]", "dim=0" },
                           { "i[3] i[2]{0,3}", "dim=0" }),
    .call = "x,dim,index",
};

cr_tensor *cr_gather_at(cr_tensor *x, int dim, cr_tensor *index, const char *site)
{
    cr_tensor *inputs[] = { x, index };
    return cr__record_n(NULL, &cr__op_gather, inputs, 2, &(cr__dim_attrs){ dim }, site);
}

/* dtypes that can be added, equal for x and what is added to it. */
static bool addable(cr_infer *infer)
{
    cr_dtype x = infer->in_dtype[0], src = infer->in_dtype[2];
    if (x == src && (cr__is_float(x) || cr__is_int(x)))
        return true;
    cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                "x is %s and what is added %s, not numbers of one type", cr_dtype_name(x),
                cr_dtype_name(src));
    return false;
}

static cr_status scatter_add_shape(cr_infer *infer)
{
    cr_status status = pick_shape(infer, "x");
    if (status != CR_OK)
        return status;
    if (!addable(infer))
        return CR_ERR_DTYPE;
    if (!cr__dims_equal(infer->in_dims[1], infer->in_dims[2]))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, "cr_slice() takes a part",
                           "index %s and src %s differ in shape",
                           cr__dims_text(infer->ctx, infer->in_dims[1]),
                           cr__dims_text(infer->ctx, infer->in_dims[2]));
    return CR_OK;
}

/* Where rows are few, so many lines are summed at once that their elements fill a cache
 * line, if they are neighbours. */
#define STRIP 16

/* A worker's groups, with their memory behind them; SIZE_MAX: more than there can be. */
static size_t sorting_bytes(int64_t rows, int64_t n)
{
    size_t bytes = cr__groups_bytes(rows, n);
    return bytes < SIZE_MAX - sizeof(cr__groups) ? bytes + sizeof(cr__groups) : SIZE_MAX;
}

/* Those of the worker: zero before its first chunk, and then cleared once. */
static cr__groups *groups_of(const pick_walk *w, int worker)
{
    int64_t n = w->dims[w->dim], rows = size_at(&w->kernel->out.dims, w->dim);
    char *memory = w->kernel->scratch;
    memory += (size_t)worker * sorting_bytes(rows, n);
    cr__groups *groups = (cr__groups *)(void *)memory;
    if (!groups->counts)
        *groups = cr__groups_in(groups + 1, rows, n);
    return groups;
}

/* The lines along dim from the place on, `width` of them. */
static void scatter_lines(const pick_walk *w, int worker, pick_place p, int64_t width)
{
    const cr_kernel *kernel = w->kernel;
    cr_dtype dtype = kernel->out.dtype, index = kernel->in[1].dtype;
    int64_t size = (int64_t)cr_dtype_size(dtype);
    void *scratch = cr__team_scratch(kernel->workers, worker);
    cr__scatter_few few = {
        .job = { .dtype = dtype,
                 .from = (const char *)kernel->in[2].data + p.each * size,
                 .to = (char *)kernel->out.data + p.other * size,
                 .from_stride = w->each.strides[w->dim],
                 .to_stride = w->step,
                 .width = width,
                 .alpha = 1 },
        .index =
            (const char *)kernel->in[1].data + p.index * (int64_t)cr_dtype_size(index),
        .index_dtype = index,
        .index_stride = w->index.strides[w->dim],
        .n = w->dims[w->dim],
        .rows = size_at(&kernel->out.dims, w->dim),
    };
    if (w->strip) {
        cr__scatter_into_few(&few, scratch);
        return;
    }
    cr__groups *groups = groups_of(w, worker);
    cr__groups_sort(groups, few.index, index, few.index_stride, few.n);
    cr__scatter(&few.job, groups, 0, groups->count, scratch);
}

/* How many neighbouring lines are summed at once: 0 if rows are not few. */
static int64_t strip_of(cr_dtype dtype, int64_t rows, cr_dims index, int64_t dim)
{
    int64_t n = size_at(&index, dim), last = index.n - 1;
    int64_t width = dim < last && index.v[last] > 1 ? STRIP : 1;
    return cr__scatter_is_few(dtype, rows, n, width) ? width : 0;
}

/* No worker has groups yet. */
static void groups_clear(const pick_walk *w)
{
    const cr_kernel *kernel = w->kernel;
    int64_t workers = cr__team_size(kernel->workers);
    size_t bytes = sorting_bytes(size_at(&kernel->out.dims, w->dim), w->dims[w->dim]);
    for (int64_t i = 0; i < workers && i < w->chunks; i++)
        memset((char *)kernel->scratch + (size_t)i * bytes, 0, sizeof(cr__groups));
}

/* The lines of a chunk. */
static void scatter_chunk(void *arg, int64_t chunk, int worker)
{
    const pick_walk *w = arg;
    int64_t begin, end, at[CR_MAX_DIMS] = { 0 }, dims[CR_MAX_DIMS], steps[CR_MAX_DIMS];
    for (int i = 0; i < w->ndim; i++) {
        dims[i] = i == w->dim ? 1 : w->dims[i];
        steps[i] = i == w->ndim - 1 && w->strip ? w->strip : 1;
    }
    cr__part(dims[w->axis], steps[w->axis], chunk, w->chunks, &begin, &end);
    dims[w->axis] = end;
    at[w->axis] = begin;
    for (bool more = begin < end; more;) {
        int last = w->ndim - 1;
        int64_t left = dims[last] - at[last];
        scatter_lines(w, worker, pick_at(w, at), left < steps[last] ? left : steps[last]);
        more = false;
        for (int i = last; i >= 0 && !more; i--) {
            more = (at[i] += steps[i]) < dims[i];
            at[i] = more ? at[i] : i == w->axis ? begin : 0;
        }
    }
}

static cr_status scatter_add_kernel(const cr_kernel *kernel)
{
    const cr__dim_attrs *attrs = kernel->attrs;
    const cr_array *index = &kernel->in[1];
    cr__copy_input(kernel, 0);
    if (index->numel == 0)
        return CR_OK;
    pick_walk walk = pick_begin(kernel, &kernel->in[2], &kernel->out, attrs->dim);
    if (!cr__is_float(kernel->out.dtype)) {
        cr_kernel_chunks(kernel, walk.chunks, pick_chunk, &walk);
        return CR_OK;
    }
    walk.strip = strip_of(kernel->out.dtype, size_at(&kernel->out.dims, attrs->dim),
                          index->dims, attrs->dim);
    if (!walk.strip)
        groups_clear(&walk);
    cr_kernel_chunks(kernel, walk.chunks, scatter_chunk, &walk);
    return CR_OK;
}

/* Groups for each worker that there may be. */
static size_t scatter_add_scratch(const cr_tensor *out)
{
    const cr__dim_attrs *attrs = cr_attrs(out);
    const cr_tensor *index = cr_input(out, 1);
    cr_dims dims = cr_shape(index), x = cr_shape(out);
    int64_t most = 1;
    size_t bytes;
    if (!cr__is_float(cr_dtype_of(out)) || cr_numel(index) == 0 ||
        strip_of(cr_dtype_of(out), size_at(&x, attrs->dim), dims, attrs->dim))
        return 0;
    for (int i = 0; i < dims.n; i++)
        most = i != attrs->dim && dims.v[i] > most ? dims.v[i] : most;
    most = cr__team_size(out->ctx->team) < most ? cr__team_size(out->ctx->team) : most;
    bytes = sorting_bytes(size_at(&x, attrs->dim), size_at(&dims, attrs->dim));
    return __builtin_mul_overflow(bytes, (size_t)most, &bytes) ? SIZE_MAX : bytes;
}

static void scatter_add_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const cr__dim_attrs *attrs = cr_attrs(out);
    down[0] = g;
    if (cr_input_needs_grad(out, 2))
        down[2] = cr_gather(g, (int)attrs->dim, cr_input(out, 1));
}

CR__OP(scatter_add) = {
    .name = "scatter_add",
    .doc = "x with src[i,j,k] added at [i,index[i,j,k],k] (for dim 1): gather's adjoint",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 3,
    .max_inputs = 3,
    .inputs = "x,index,src",
    .attrs = cr__dim_rows,
    .attrs_size = sizeof(cr__dim_attrs),
    .shape = scatter_add_shape,
    .vjp = scatter_add_vjp,
    .reads = CR_READS_INPUT(1),
    .kernel = scatter_add_kernel,
    .strided = CR_READS_INPUT(1) | CR_READS_INPUT(2),
    .fetched = CR_READS_INPUT(0),
    .check = check_along_dim,
    .checks = CR_READS_INPUT(1),
    .scratch = scatter_add_scratch,
    .samples = CR__SAMPLES({ "f[3,4] i[2,4]{0,3} f[2,4]", "dim=0" },
                           { "f[3,4] i[3,2]{0,4} f[3,2]", "dim=-1" },
                           { "f[2,3,2] i[2,5,1]{0,3} f[2,5,1]", "dim=1" },
                           { "f[] i[]{0,1} f[]", "dim=0" }, { "f[5] i[0] f[0]", "dim=0" },
                           { "f[2] i[6]{0,2} f[6]", "dim=0" },
                           { "i[3] i[2]{0,3} i[2]", "dim=0" }),
    .call = "x,dim,index,src",
};

cr_tensor *cr_scatter_add_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *src,
                             const char *site)
{
    cr_tensor *inputs[] = { x, index, src };
    return cr__record_n(NULL, &cr__op_scatter_add, inputs, 3, &(cr__dim_attrs){ dim },
                        site);
}

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
    s.size = size_at(dims, dim);
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
    int64_t begin, end, step = stride_at(x, s->dim), width = s->inner * (int64_t)size;
    cr__strided inner = inner_dims(x, s->dim);
    (void)worker;
    cr__part(s->outer * s->n, 1, chunk, s->chunks, &begin, &end);
    int64_t i = begin % s->n, outer = begin / s->n;
    int64_t origin = outer_offset(x, s->dim, outer);
    for (int64_t row = begin; row < end; row++) {
        int64_t place = origin + cr__index_load(s->index, i) * step;
        inner.data = (char *)x->data + place * (int64_t)size;
        if (s->inner == 1)
            move_one(to, row, x->data, place, size);
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
    int64_t n = size_at(&infer->in_dims[1], 0);
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
    .check = check_along_dim,
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

static cr_status index_add_shape(cr_infer *infer)
{
    index_add_attrs *attrs = infer->attrs;
    cr_dims want = infer->in_dims[0];
    if (!is_list(infer, 1) || !cr__resolve_dim(infer, &attrs->dim, want.n))
        return CR_ERR_SHAPE;
    if (!addable(infer))
        return CR_ERR_DTYPE;
    uint64_t bits;
    if (!attrs->alpha.given)
        attrs->alpha = CR_REAL(1);
    if (!cr__number_store(cr_arg_real(attrs->alpha.v), infer->dtype, &bits))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                           "alpha %g is not a value of %s", attrs->alpha.v,
                           cr_dtype_name(infer->dtype));
    if (want.n > 0)
        want.v[attrs->dim] = size_at(&infer->in_dims[1], 0);
    if (cr__dims_equal(want, infer->in_dims[2]) &&
        (want.n > 0 || size_at(&infer->in_dims[1], 0) == 1))
        return CR_OK;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                       "source is %s; x %s with index %s takes %s",
                       cr__dims_text(infer->ctx, infer->in_dims[2]),
                       cr__dims_text(infer->ctx, infer->in_dims[0]),
                       cr__dims_text(infer->ctx, infer->in_dims[1]),
                       cr__dims_text(infer->ctx, want));
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
        if (s->few)
            cr__scatter_into_few(&(cr__scatter_few){ job, s->index->data, s->index->dtype,
                                                     1, s->n, s->size },
                                 scratch);
        else
            cr__scatter(&job, &s->groups, first, last, scratch);
    }
}

static void add_integer_slices(const slices *s)
{
    const cr_array *out = &s->kernel->out;
    for (int64_t outer = 0; outer < s->outer; outer++)
        for (int64_t i = 0; i < s->n; i++) {
            int64_t place = outer * s->size + cr__index_load(s->index, i);
            add_integers(out->dtype, out->data, place * s->inner, s->kernel->in[2].data,
                         (outer * s->n + i) * s->inner, s->inner, (int64_t)s->alpha);
        }
}

static cr_status index_add_check(const cr_kernel *kernel)
{
    return check_indices(kernel, ((const index_add_attrs *)kernel->attrs)->dim);
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
    return cr__groups_bytes(size_at(&x, attrs->dim), cr_numel(cr_input(out, 1)));
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
    return check_indices(kernel, 0);
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
