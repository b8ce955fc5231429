/* Places of tensors picked by an index tensor that names one for each element: gather
 * and its adjoint scatter_add, scatter, scatter_reduce. An index outside is an error
 * of the run. Sums of floats are those of kernel/scatter.c; those of integers, where
 * every order gives the same, are made one after the other. A thread owns what it adds
 * to. */
#include "pick.h"
#include <string.h>

/* ---- gather ---- */

#define PLACES_AT_ONCE 64

static void move_row(const cr__pick *w, cr__pick_place p, int64_t n)
{
    const char *x = w->kernel->in[0].data;
    const int64_t size = (int64_t)cr_dtype_size(w->kernel->out.dtype);
    char *out = (char *)w->kernel->out.data + p.each * size;
    int64_t places[PLACES_AT_ONCE];
    for (int64_t i = 0, some; i < n; i += some, out += some * size) {
        some = n - i < PLACES_AT_ONCE ? n - i : PLACES_AT_ONCE;
        cr__pick_others(w, p, i, some, places);
        if (size == 4)
            for (int64_t k = 0; k < some; k++)
                memcpy(out + k * 4, x + places[k] * 4, 4);
        else
            for (int64_t k = 0; k < some; k++)
                cr__move_one(out, k, x, places[k], (size_t)size);
    }
}

static cr_status gather_shape(cr_infer *infer)
{
    cr_status status = cr__pick_shape(infer, &((cr__dim_attrs *)infer->attrs)->dim);
    infer->dims = infer->in_dims[1];
    return status;
}

static cr_status gather_kernel(const cr_kernel *kernel)
{
    const cr__dim_attrs *attrs = kernel->attrs;
    if (kernel->out.numel == 0)
        return CR_OK;
    cr__pick walk = cr__pick_begin(kernel, &kernel->out, &kernel->in[0], attrs->dim);
    cr__pick_all(&walk, move_row);
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
    .check = cr__check_along_dim,
    .checks = CR_READS_INPUT(1),
    .samples = CR__SAMPLES({ "f[3,4] i[2,4]{0,3}", "dim=0" },
                           { "f[3,4] i[3,2]{0,4}", "dim=-1" },
                           { "f[2,3,2] i[2,5,1]{0,3}", "dim=1" },
                           { "f[] i[]{0,1}", "dim=0" }, { "f[5] i[0]", "dim=0" },
                           { "f[] i[3]{0,1}", "dim=0" }, { "f[3] i[]{0,3}", "dim=-1" },
                           { "i[3] i[2]{0,3}", "dim=0" }),
    .call = "x,dim,index",
};

cr_tensor *cr_gather_at(cr_tensor *x, int dim, cr_tensor *index, const char *site)
{
    cr_tensor *inputs[] = { x, index };
    return cr__record_n(NULL, &cr__op_gather, inputs, 2, &(cr__dim_attrs){ dim }, site);
}

/* ---- scatter_add ---- */

static cr_status scatter_add_shape(cr_infer *infer)
{
    cr__dim_attrs *attrs = infer->attrs;
    return cr__addable(infer) ? cr__pick_shape(infer, &attrs->dim) : CR_ERR_DTYPE;
}

/* The walk of a sum of floats: strip_of() lines at once. */
typedef struct scatter_walk {
    cr__pick pick;
    int64_t strip;
} scatter_walk;

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
static cr__groups *groups_of(const cr__pick *w, int worker)
{
    int64_t n = w->dims[w->dim], rows = cr__size_at(&w->kernel->out.dims, w->dim);
    char *memory = w->kernel->scratch;
    memory += (size_t)worker * sorting_bytes(rows, n);
    cr__groups *groups = (cr__groups *)(void *)memory;
    if (!groups->counts)
        *groups = cr__groups_in(groups + 1, rows, n);
    return groups;
}

/* The lines along dim from the place on, `width` of them. */
static void scatter_lines(const scatter_walk *s, int worker, cr__pick_place p,
                          int64_t width)
{
    const cr__pick *w = &s->pick;
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
        .rows = cr__size_at(&kernel->out.dims, w->dim),
    };
    if (s->strip) {
        cr__scatter_into_few(&few, scratch);
        return;
    }
    if (cr__scatter_line(&few, scratch))
        return;
    cr__groups *groups = groups_of(w, worker);
    cr__groups_sort(groups, few.index, index, few.index_stride, few.n);
    cr__scatter(&few.job, groups, 0, groups->count, scratch);
}

/* How many neighbouring lines are summed at once: 0 if rows are not few. */
static int64_t strip_of(cr_dtype dtype, int64_t rows, cr_dims index, int64_t dim)
{
    int64_t n = cr__size_at(&index, dim), last = index.n - 1;
    int64_t width = dim < last && index.v[last] > 1 ? STRIP : 1;
    return cr__scatter_is_few(dtype, rows, n, width) ? width : 0;
}

/* No worker has groups yet. */
static void groups_clear(const cr__pick *w)
{
    const cr_kernel *kernel = w->kernel;
    int64_t workers = cr__team_size(kernel->workers);
    size_t bytes = sorting_bytes(cr__size_at(&kernel->out.dims, w->dim), w->dims[w->dim]);
    for (int64_t i = 0; i < workers && i < w->chunks; i++)
        memset((char *)kernel->scratch + (size_t)i * bytes, 0, sizeof(cr__groups));
}

/* The lines of a chunk. */
static void scatter_chunk(void *arg, int64_t chunk, int worker)
{
    const scatter_walk *s = arg;
    const cr__pick *w = &s->pick;
    int64_t begin, end, at[CR_MAX_DIMS] = { 0 }, dims[CR_MAX_DIMS], steps[CR_MAX_DIMS];
    for (int i = 0; i < w->ndim; i++) {
        dims[i] = i == w->dim ? 1 : w->dims[i];
        steps[i] = i == w->ndim - 1 && s->strip ? s->strip : 1;
    }
    cr__part(dims[w->axis], steps[w->axis], chunk, w->chunks, &begin, &end);
    dims[w->axis] = end;
    at[w->axis] = begin;
    for (bool more = begin < end; more;) {
        int last = w->ndim - 1;
        int64_t left = dims[last] - at[last];
        scatter_lines(s, worker, cr__pick_at(w, at),
                      left < steps[last] ? left : steps[last]);
        more = false;
        for (int i = last; i >= 0 && !more; i--) {
            more = (at[i] += steps[i]) < dims[i];
            at[i] = more ? at[i] : i == w->axis ? begin : 0;
        }
    }
}

/* Integers. */
static void add_gathered_row(const cr__pick *w, cr__pick_place p, int64_t n)
{
    const cr_array *out = &w->kernel->out;
    for (int64_t i = 0; i < n; i++)
        cr__add_integers(out->dtype, out->data, cr__pick_other(w, p, i),
                         w->kernel->in[2].data, p.each + i, 1, 1);
}

static cr_status scatter_add_kernel(const cr_kernel *kernel)
{
    const cr__dim_attrs *attrs = kernel->attrs;
    const cr_array *index = &kernel->in[1];
    cr__copy_input(kernel, 0);
    if (index->numel == 0)
        return CR_OK;
    scatter_walk walk = {
        .pick = cr__pick_begin(kernel, &kernel->in[2], &kernel->out, attrs->dim),
        .strip = strip_of(kernel->out.dtype, cr__size_at(&kernel->out.dims, attrs->dim),
                          index->dims, attrs->dim)
    };
    if (!cr__is_float(kernel->out.dtype)) {
        cr__pick_all(&walk.pick, add_gathered_row);
        return CR_OK;
    }
    if (!walk.strip)
        groups_clear(&walk.pick);
    cr_kernel_chunks(kernel, walk.pick.chunks, scatter_chunk, &walk);
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
        strip_of(cr_dtype_of(out), cr__size_at(&x, attrs->dim), dims, attrs->dim))
        return 0;
    for (int i = 0; i < dims.n; i++)
        most = i != attrs->dim && dims.v[i] > most ? dims.v[i] : most;
    most = cr__team_size(out->ctx->team) < most ? cr__team_size(out->ctx->team) : most;
    bytes = sorting_bytes(cr__size_at(&x, attrs->dim), cr__size_at(&dims, attrs->dim));
    return __builtin_mul_overflow(bytes, (size_t)most, &bytes) ? SIZE_MAX : bytes;
}

static void scatter_add_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const cr__dim_attrs *attrs = cr_attrs(out);
    down[0] = g;
    if (cr_input_needs_grad(out, 2))
        down[2] = cr__pick_source(cr_gather(g, (int)attrs->dim, cr_input(out, 1)),
                                  cr_input(out, 2));
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
    .check = cr__check_along_dim,
    .checks = CR_READS_INPUT(1),
    .scratch = scatter_add_scratch,
    .samples = CR__SAMPLES(
        { "f[3,4] i[2,4]{0,3} f[2,4]", "dim=0" },
        { "f[3,4] i[3,2]{0,4} f[3,2]", "dim=-1" },
        { "f[2,3,2] i[2,5,1]{0,3} f[2,5,1]", "dim=1" }, { "f[] i[]{0,1} f[]", "dim=0" },
        { "f[5] i[0] f[0]", "dim=0" }, { "f[] i[3]{0,1} f[4]", "dim=0" },
        { "f[3] i[]{0,3} f[1]", "dim=0" }, { "f[3,4] i[2,3]{0,3} f[3,4]", "dim=0" },
        { "f[2] i[6]{0,2} f[6]", "dim=0" }, { "i[3] i[2]{0,3} i[2]", "dim=0" }),
    .call = "x,dim,index,src",
};

cr_tensor *cr_scatter_add_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *src,
                             const char *site)
{
    cr_tensor *inputs[] = { x, index, src };
    return cr__record_n(NULL, &cr__op_scatter_add, inputs, 3, &(cr__dim_attrs){ dim },
                        site);
}
