/* Elements in other places and shapes, most of it composed of views: narrow, movedim,
 * flatten, unflatten, broadcast_to, rot90, roll, tile, repeat, repeat_interleave. */
#include "attrs.h"
#include "opaque.h"
#include <string.h>

/* ---- narrow ---- */

typedef struct narrow_attrs {
    int64_t dim, start, length;
} narrow_attrs;

static cr_tensor *narrow_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                const void *attributes)
{
    const narrow_attrs *a = attributes;
    const cr_dims dims = cr_shape(inputs[0]);
    cr_infer infer = { .ctx = ctx, .op = &cr__op_narrow, .in_dims = &dims };
    int64_t dim = a->dim, start = a->start;
    (void)n;
    if (!cr__has_a_dim(&infer) || !cr__resolve_dim(&infer, &dim, dims.n))
        return NULL;
    int64_t size = dims.v[dim];
    start += start < 0 ? size : 0;
    if (start >= 0 && start <= size && a->length >= 0 && a->length <= size - start)
        return cr_slice(inputs[0], (int)dim, start, start + a->length);
    cr__op_fail(ctx, infer.op, CR_ERR_INDEX, "cr_slice() clips",
                "start %lld and length %lld reach outside dim %lld of %s",
                (long long)a->start, (long long)a->length, (long long)dim,
                cr__dims_text(ctx, dims));
    return NULL;
}

CR__OP(narrow) = {
    .name = "narrow",
    .doc = "length places along dim, from start on; nothing is clipped",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(narrow_attrs, dim, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(narrow_attrs, start, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(narrow_attrs, length, INT, .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(narrow_attrs),
    .expand = narrow_expand,
    .samples = CR__SAMPLES({ "f[4]", "dim=0,start=1,length=2" },
                           { "f[2,3]", "dim=-1,start=-2,length=2" },
                           { "f[2,3]", "dim=1,start=3,length=0" },
                           { "f[0,2]", "dim=1,start=1,length=1" }),
};

cr_tensor *cr_narrow_at(cr_tensor *x, int dim, int64_t start, int64_t length,
                        const char *site)
{
    return cr__record_1(&cr__op_narrow, x, &(narrow_attrs){ dim, start, length }, site);
}

/* ---- movedim ---- */

typedef struct movedim_attrs {
    cr_dims source, destination;
} movedim_attrs;

/* Dims in the order given, each once, from 0 up; false with the error. */
static bool resolve_list(cr_infer *infer, const char *name, cr_dims *list, int rank)
{
    unsigned seen = 0;
    for (int i = 0; i < list->n; i++) {
        if (!cr__resolve_dim(infer, &list->v[i], rank))
            return false;
        if (seen >> list->v[i] & 1) {
            cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                        "%s names dim %lld twice", name, (long long)list->v[i]);
            return false;
        }
        seen |= 1u << list->v[i];
    }
    return true;
}

static cr_tensor *movedim_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attributes)
{
    movedim_attrs a = *(const movedim_attrs *)attributes;
    cr_infer infer = { .ctx = ctx, .op = &cr__op_movedim };
    int rank = cr_ndim(inputs[0]), from = 0;
    cr_dims order = CR_NO_DIMS;
    unsigned moved = 0;
    (void)n;
    if (a.source.n != a.destination.n) {
        cr__op_fail(ctx, infer.op, CR_ERR_ARGUMENT, NULL,
                    "source %s and destination %s differ in length",
                    cr__dims_text(ctx, a.source), cr__dims_text(ctx, a.destination));
        return NULL;
    }
    if (!resolve_list(&infer, "source", &a.source, rank) ||
        !resolve_list(&infer, "destination", &a.destination, rank))
        return NULL;
    for (int i = 0; i < rank; i++)
        order.v[order.n++] = -1;
    for (int i = 0; i < a.source.n && rank > 0; i++) {
        order.v[a.destination.v[i]] = a.source.v[i];
        moved |= 1u << a.source.v[i];
    }
    for (int i = 0; i < rank; i++) {
        if (order.v[i] >= 0)
            continue;
        while (moved >> from & 1)
            from++;
        order.v[i] = from++;
    }
    return cr_permute(inputs[0], order);
}

CR__OP(movedim) = {
    .name = "movedim",
    .doc = "dims source at the places destination, the others in their order around them",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(movedim_attrs, source, DIMS),
                       CR__ATTR(movedim_attrs, destination, DIMS)),
    .attrs_size = sizeof(movedim_attrs),
    .expand = movedim_expand,
    .samples = CR__SAMPLES({ "f[2,3,4]", "source=0,destination=-1" },
                           { "f[2,3,4]", "source=[2,0],destination=[0,1]" },
                           { "f[2,0]", "source=[-1],destination=[0]" },
                           { "f[]", "source=0,destination=-1" },
                           { "f[2,3]", "source=[],destination=[]" }),
};

cr_tensor *cr_movedim_at(cr_tensor *x, cr_dims source, cr_dims destination,
                         const char *site)
{
    return cr__record_1(&cr__op_movedim, x, &(movedim_attrs){ source, destination },
                        site);
}

/* ---- flatten, unflatten, broadcast_to ---- */

typedef struct flatten_attrs {
    int64_t start_dim, end_dim;
} flatten_attrs;

static cr_tensor *flatten_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attributes)
{
    flatten_attrs a = *(const flatten_attrs *)attributes;
    cr_infer infer = { .ctx = ctx, .op = &cr__op_flatten };
    cr_dims dims = cr_shape(inputs[0]);
    (void)n;
    if (!cr__resolve_dim(&infer, &a.start_dim, dims.n) ||
        !cr__resolve_dim(&infer, &a.end_dim, dims.n))
        return NULL;
    if (a.start_dim > a.end_dim) {
        cr__op_fail(ctx, infer.op, CR_ERR_ARGUMENT, NULL,
                    "start_dim %lld comes after end_dim %lld", (long long)a.start_dim,
                    (long long)a.end_dim);
        return NULL;
    }
    if (dims.n == 0)
        return cr_reshape(inputs[0], CR_DIMS(1));
    for (int64_t i = a.end_dim; i > a.start_dim; i--) {
        dims.v[i - 1] *= dims.v[i];
        cr__dims_remove(&dims, (int)i);
    }
    return cr_reshape(inputs[0], dims);
}

CR__OP(flatten) = {
    .name = "flatten",
    .doc = "the dims from start_dim to end_dim as one",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(flatten_attrs, start_dim, INT, .initial = "0",
                                .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(flatten_attrs, end_dim, INT, .initial = "-1",
                                .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(flatten_attrs),
    .expand = flatten_expand,
    .samples = CR__SAMPLES({ "f[2,3,2]", NULL }, { "f[2,3,2]", "start_dim=1" },
                           { "f[2,3,2]", "start_dim=-3,end_dim=-2" }, { "f[]", NULL },
                           { "f[2,0,3]", "end_dim=1" }, { "i[2,2]", NULL }),
};

cr_tensor *cr_flatten_at(cr_tensor *x, int start_dim, int end_dim, const char *site)
{
    return cr__record_1(&cr__op_flatten, x, &(flatten_attrs){ start_dim, end_dim }, site);
}

typedef struct unflatten_attrs {
    int64_t dim;
    cr_dims sizes;
} unflatten_attrs;

/* sizes with the one that is -1 found out, so that they make up `size`; false if they
 * cannot. */
static bool resolve_sizes(cr_dims *sizes, int64_t size)
{
    int64_t known = 1;
    int open = -1;
    for (int i = 0; i < sizes->n; i++) {
        if (sizes->v[i] == -1 && open < 0)
            open = i;
        else if (sizes->v[i] < 0 || !cr__size_mul(known, sizes->v[i], &known))
            return false;
    }
    if (open < 0)
        return known == size && sizes->n > 0;
    if (known == 0 || size % known)
        return false;
    sizes->v[open] = size / known;
    return true;
}

static cr_tensor *unflatten_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                   const void *attributes)
{
    unflatten_attrs a = *(const unflatten_attrs *)attributes;
    cr_dims dims = cr_shape(inputs[0]);
    cr_infer infer = { .ctx = ctx, .op = &cr__op_unflatten, .in_dims = &dims };
    (void)n;
    if (!cr__has_a_dim(&infer) || !cr__resolve_dim(&infer, &a.dim, dims.n))
        return NULL;
    if (dims.n - 1 + a.sizes.n > CR_MAX_DIMS || !resolve_sizes(&a.sizes, dims.v[a.dim])) {
        cr__op_fail(ctx, infer.op, CR_ERR_SHAPE, NULL,
                    "sizes %s do not make up dim %lld of %s",
                    cr__dims_text(ctx, ((const unflatten_attrs *)attributes)->sizes),
                    (long long)a.dim, cr__dims_text(ctx, dims));
        return NULL;
    }
    cr__dims_remove(&dims, (int)a.dim);
    for (int i = 0; i < a.sizes.n; i++)
        cr__dims_insert(&dims, (int)a.dim + i, a.sizes.v[i]);
    return cr_reshape(inputs[0], dims);
}

CR__OP(unflatten) = {
    .name = "unflatten",
    .doc = "dim as several, of these sizes; one may be -1",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(unflatten_attrs, dim, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(unflatten_attrs, sizes, DIMS)),
    .attrs_size = sizeof(unflatten_attrs),
    .expand = unflatten_expand,
    .samples = CR__SAMPLES({ "f[6]", "dim=0,sizes=[2,3]" },
                           { "f[2,6]", "dim=-1,sizes=[3,-1]" },
                           { "f[2,0]", "dim=1,sizes=[-1,3]" },
                           { "i[4]", "dim=0,sizes=4" }),
};

cr_tensor *cr_unflatten_at(cr_tensor *x, int dim, cr_dims sizes, const char *site)
{
    return cr__record_1(&cr__op_unflatten, x, &(unflatten_attrs){ dim, sizes }, site);
}

typedef struct broadcast_attrs {
    cr_dims shape;
} broadcast_attrs;

static cr_tensor *broadcast_to_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                      const void *attributes)
{
    (void)ctx, (void)n;
    return cr_expand(inputs[0], ((const broadcast_attrs *)attributes)->shape);
}

CR__OP(broadcast_to) = {
    .name = "broadcast_to",
    .doc = "dimensions of size 1, and new leading ones, repeated; -1 keeps a size",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(broadcast_attrs, shape, DIMS)),
    .attrs_size = sizeof(broadcast_attrs),
    .expand = broadcast_to_expand,
    .samples = CR__SAMPLES({ "f[3]", "shape=[2,3]" }, { "f[2,1]", "shape=[2,4]" },
                           { "f[]", "shape=[0,2]" }),
};

cr_tensor *cr_broadcast_to_at(cr_tensor *x, cr_dims shape, const char *site)
{
    return cr__record_1(&cr__op_broadcast_to, x, &(broadcast_attrs){ shape }, site);
}

/* ---- rot90 ---- */

typedef struct rot90_attrs {
    int64_t k;
    cr_dims dims;
} rot90_attrs;

static cr_tensor *rot90_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                               const void *attributes)
{
    rot90_attrs a = *(const rot90_attrs *)attributes;
    cr_infer infer = { .ctx = ctx, .op = &cr__op_rot90 };
    cr_tensor *x = inputs[0];
    (void)n;
    if (cr_ndim(x) < 2 || a.dims.n != 2) {
        cr__op_fail(ctx, infer.op, CR_ERR_SHAPE, NULL,
                    "rotates in two dims of two or more: dims %s of %s",
                    cr__dims_text(ctx, a.dims), cr__shape_text(x));
        return NULL;
    }
    if (!resolve_list(&infer, "dims", &a.dims, cr_ndim(x)))
        return NULL;
    int first = (int)a.dims.v[0], second = (int)a.dims.v[1];
    switch ((a.k % 4 + 4) % 4) {
    case 1:
        return cr_transpose(cr_flip(x, CR_DIMS(second)), first, second);
    case 2:
        return cr_flip(x, a.dims);
    case 3:
        return cr_flip(cr_transpose(x, first, second), CR_DIMS(second));
    default:
        return cr_flip(x, CR_NO_DIMS);
    }
}

CR__OP(rot90) = {
    .name = "rot90",
    .doc = "k quarter turns from the first of two dims to the second",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(rot90_attrs, k, INT, .initial = "1",
                                .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(rot90_attrs, dims, DIMS, .initial = "[0,1]",
                                .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(rot90_attrs),
    .expand = rot90_expand,
    .samples = CR__SAMPLES({ "f[2,3]", NULL }, { "f[2,3,2]", "k=2,dims=[0,-1]" },
                           { "f[2,3]", "k=-1,dims=[1,0]" }, { "f[2,2]", "k=4" },
                           { "f[0,2]", "k=3" }),
    .call = "x,k,dims",
};

cr_tensor *cr_rot90_at(cr_tensor *x, int64_t k, cr_dims dims, const char *site)
{
    return cr__record_1(&cr__op_rot90, x, &(rot90_attrs){ k, dims }, site);
}

/* ---- roll ---- */

/* Of `rolled`: a shift for each dim, from 0 up to its size. */
typedef struct rolled_attrs {
    cr_dims shifts;
} rolled_attrs;

/* Rows of the result, and where they come from. */
typedef struct roll_job {
    const cr_kernel *kernel;
    int64_t rows, chunks;
} roll_job;

static void roll_rows(void *arg, int64_t chunk, int worker)
{
    const roll_job *job = arg;
    const cr_array *x = &job->kernel->in[0];
    const int64_t *shifts = ((const rolled_attrs *)job->kernel->attrs)->shifts.v;
    const int last = x->dims.n - 1;
    const size_t size = cr_dtype_size(x->dtype);
    const size_t all = (size_t)x->dims.v[last] * size;
    const size_t moved = (size_t)shifts[last] * size;
    int64_t begin, end;
    (void)worker;
    cr__part(job->rows, 1, chunk, job->chunks, &begin, &end);
    for (int64_t row = begin; row < end; row++) {
        int64_t left = row, offset = 0;
        for (int i = last - 1; i >= 0; i--) {
            int64_t at = left % x->dims.v[i] - shifts[i];
            offset += (at < 0 ? at + x->dims.v[i] : at) * x->strides[i];
            left /= x->dims.v[i];
        }
        const char *from = (const char *)x->data + offset * (int64_t)size;
        char *to = (char *)job->kernel->out.data + (size_t)row * all;
        memcpy(to + moved, from, all - moved);
        memcpy(to, from + (all - moved), moved);
    }
}

static cr_status rolled_kernel(const cr_kernel *kernel)
{
    const cr_array *x = &kernel->in[0];
    if (x->numel == 0)
        return CR_OK;
    roll_job job = { .kernel = kernel, .rows = x->numel / x->dims.v[x->dims.n - 1] };
    job.chunks = cr__kernel_chunks(kernel, x->numel / 4 + 8 * job.rows, job.rows);
    cr_kernel_chunks(kernel, job.chunks, roll_rows, &job);
    return CR_OK;
}

static void rolled_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    rolled_attrs back = *(const rolled_attrs *)cr_attrs(out);
    for (int i = 0; i < back.shifts.n; i++)
        if (back.shifts.v[i])
            back.shifts.v[i] = cr_size(out, i) - back.shifts.v[i];
    down[0] = cr__record_1(&cr__op_rolled, g, &back, CR_HERE);
}

static cr_status rolled_shape(cr_infer *infer)
{
    return infer->dims.n ? CR_OK
                         : cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                                       "takes a row or rows, not []");
}

CR__OP(rolled) = {
    .name = "rolled",
    .doc = "element i, j, .. of x at i + shifts[0], j + shifts[1], .., behind the end "
           "from the "
           "start again",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(rolled_attrs, shifts, DIMS)),
    .attrs_size = sizeof(rolled_attrs),
    .shape = rolled_shape,
    .vjp = rolled_vjp,
    .kernel = rolled_kernel,
    .strided = CR_READS_INPUTS,
    .never_fails = true,
    .samples = CR__SAMPLES({ "f[4]", "shifts=1" }, { "f[2,3]", "shifts=[1,2]" },
                           { "f[2,3,2]", "shifts=[0,2,0]" },
                           { "f[0,2]", "shifts=[0,1]" }),
};

typedef struct roll_attrs {
    cr_dims shifts, dims;
} roll_attrs;

/* Shifts along one dim add up. */
static bool add_shifts(cr_infer *infer, const roll_attrs *a, rolled_attrs *total)
{
    const cr_dims *x = &infer->in_dims[0];
    for (int i = 0; i < x->n; i++)
        total->shifts.v[total->shifts.n++] = 0;
    for (int i = 0; i < a->dims.n; i++) {
        int64_t dim = a->dims.v[i];
        if (!cr__has_a_dim(infer) || !cr__resolve_dim(infer, &dim, x->n))
            return false;
        int64_t size = x->v[dim], *shift = &total->shifts.v[dim];
        if (size > 0)
            *shift = (*shift + (a->shifts.v[i] % size + size) % size) % size;
    }
    return true;
}

/* Without dims x is one row. */
static cr_tensor *roll_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                              const void *attributes)
{
    roll_attrs a = *(const roll_attrs *)attributes;
    rolled_attrs total = { CR_NO_DIMS };
    cr_tensor *x = inputs[0];
    cr_dims dims = cr_shape(x), row = CR_DIMS(cr_numel(x));
    cr_infer infer = { .ctx = ctx,
                       .op = &cr__op_roll,
                       .in_dims = a.dims.given ? &dims : &row };
    (void)n;
    if (!cr__good_list(&infer, "shifts", &a.shifts) ||
        !cr__good_list(&infer, "dims", &a.dims))
        return NULL;
    if (a.shifts.n < 1 || a.shifts.n != (a.dims.given ? a.dims.n : 1)) {
        cr__op_fail(
            ctx, infer.op, CR_ERR_ARGUMENT, NULL,
            "shifts %s: there is one for each of dims, or without dims one for all "
            "elements in a row",
            cr__dims_text(ctx, a.shifts));
        return NULL;
    }
    if (!a.dims.given) {
        x = cr_reshape(x, row);
        a.dims = CR_DIMS(0);
    }
    if (!add_shifts(&infer, &a, &total))
        return NULL;
    x = cr__record_1(&cr__op_rolled, x, &total, CR_HERE);
    return cr_ndim(x) == dims.n ? x : cr_reshape(x, dims);
}

CR__OP(roll) = {
    .name = "roll",
    .doc = "x shifted along dims, behind the end from the start again; without dims all "
           "elements "
           "in a row",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(roll_attrs, shifts, DIMS),
                       CR__ATTR(roll_attrs, dims, DIMS, .initial = CR__NOT_GIVEN,
                                .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(roll_attrs),
    .expand = roll_expand,
    .samples = CR__SAMPLES({ "f[5]", "shifts=2,dims=0" }, { "f[2,3]", "shifts=-1" },
                           { "f[2,3]", "shifts=[1,-5],dims=[0,-1]" },
                           { "f[3]", "shifts=[1,1],dims=[0,0]" }, { "f[]", "shifts=3" },
                           { "f[0,2]", "shifts=1,dims=0" }, { "i[3]", "shifts=1" }),
    .call = "x,shifts,dims",
};

cr_tensor *cr_roll_at(cr_tensor *x, cr_dims shifts, cr_dims dims, const char *site)
{
    return cr__record_1(&cr__op_roll, x, &(roll_attrs){ shifts, dims }, site);
}

/* ---- tile, repeat ---- */

/* x repeated along dim, a copy behind the other, or, `each`, element by element: seen as
 * [outer, size, inner], so that one more dimension fits into any rank. */
static cr_tensor *repeated(cr_ctx *ctx, const cr_op *op, cr_tensor *x, int dim,
                           int64_t count, bool each)
{
    cr_dims dims = cr_shape(x), seen = CR_DIMS(1, 1, 1, 1), all;
    if (!x || count == 1)
        return x;
    for (int i = 0; i < dims.n; i++)
        seen.v[i < dim ? 0 : i > dim ? 3 : each ? 1 : 2] *= dims.v[i];
    all = seen;
    all.v[each ? 2 : 1] = count;
    if (!cr__size_mul(dims.v[dim], count, &dims.v[dim])) {
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL, "%lld times %s is too large",
                    (long long)count, cr__shape_text(x));
        return NULL;
    }
    return cr_reshape(cr_expand(cr_reshape(x, seen), all), dims);
}

/* counts are for the last dims; where there are more of them, x gets leading dims of size
 * 1. */
static cr_tensor *tiled(cr_ctx *ctx, const cr_op *op, cr_tensor *x, const char *name,
                        cr_dims counts)
{
    cr_infer infer = { .ctx = ctx, .op = op };
    cr_dims dims = cr_shape(x);
    if (!cr__good_list(&infer, name, &counts))
        return NULL;
    for (int i = 0; i < counts.n; i++)
        if (counts.v[i] < 0) {
            cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "%s %s: counts are 0 or more",
                        name, cr__dims_text(ctx, counts));
            return NULL;
        }
    while (dims.n < counts.n)
        cr__dims_insert(&dims, 0, 1);
    x = cr_reshape(x, dims);
    for (int i = counts.n - 1; i >= 0; i--)
        x = repeated(ctx, op, x, dims.n - counts.n + i, counts.v[i], false);
    return x;
}

typedef struct tile_attrs {
    cr_dims dims;
} tile_attrs;

static cr_tensor *tile_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                              const void *attrs)
{
    (void)n;
    return tiled(ctx, &cr__op_tile, inputs[0], "dims", ((const tile_attrs *)attrs)->dims);
}

CR__OP(tile) = {
    .name = "tile",
    .doc = "x repeated dims[i] times along each of the last dimensions; new leading ones "
           "where "
           "there are more",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(tile_attrs, dims, DIMS)),
    .attrs_size = sizeof(tile_attrs),
    .expand = tile_expand,
    .samples = CR__SAMPLES({ "f[2]", "dims=3" }, { "f[2,3]", "dims=[2,2]" },
                           { "f[2,2]", "dims=2" }, { "f[2]", "dims=[2,1,2]" },
                           { "f[]", "dims=[2,1]" }, { "f[2]", "dims=[2,0]" },
                           { "f[2]", "dims=[]" }, { "f[0,2]", "dims=[2,2]" },
                           { "i[2]", "dims=2" }),
};

cr_tensor *cr_tile_at(cr_tensor *x, cr_dims dims, const char *site)
{
    return cr__record_1(&cr__op_tile, x, &(tile_attrs){ dims }, site);
}

typedef struct repeat_attrs {
    cr_dims repeats;
} repeat_attrs;

static cr_tensor *repeat_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                const void *attrs)
{
    const cr_dims *repeats = &((const repeat_attrs *)attrs)->repeats;
    (void)n;
    if (repeats->n >= cr_ndim(inputs[0]))
        return tiled(ctx, &cr__op_repeat, inputs[0], "repeats", *repeats);
    cr__op_fail(ctx, &cr__op_repeat, CR_ERR_SHAPE, "cr_tile() takes fewer",
                "%d counts for %s, which has more dimensions", repeats->n,
                cr__shape_text(inputs[0]));
    return NULL;
}

CR__OP(repeat) = {
    .name = "repeat",
    .doc = "x repeated repeats[i] times along each dimension; new leading ones where "
           "there are "
           "more",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(repeat_attrs, repeats, DIMS)),
    .attrs_size = sizeof(repeat_attrs),
    .expand = repeat_expand,
    .samples = CR__SAMPLES({ "f[2]", "repeats=3" }, { "f[2,3]", "repeats=[2,2]" },
                           { "f[2]", "repeats=[2,1,2]" }, { "f[]", "repeats=[]" },
                           { "f[0,2]", "repeats=[2,2]" }),
};

cr_tensor *cr_repeat_at(cr_tensor *x, cr_dims repeats, const char *site)
{
    return cr__record_1(&cr__op_repeat, x, &(repeat_attrs){ repeats }, site);
}

/* ---- repeat_interleave ---- */

typedef struct interleave_attrs {
    cr_dims repeats;
    cr_opt_int dim;
} interleave_attrs;

/* counts[i] times the place i, one behind the other; NULL with the error. */
static cr_tensor *repeat_places(cr_ctx *ctx, const int64_t *counts, int64_t n)
{
    int64_t total = 0, bytes;
    bool fits = true;
    for (int64_t i = 0; i < n && fits; i++) {
        if (counts[i] < 0) {
            cr__op_fail(ctx, &cr__op_repeat_interleave, CR_ERR_ARGUMENT, NULL,
                        "element %lld is repeated %lld times, which is below 0",
                        (long long)i, (long long)counts[i]);
            return NULL;
        }
        fits = !__builtin_add_overflow(total, counts[i], &total);
    }
    if (!fits || !cr__size_mul(total, 8, &bytes)) {
        cr__op_fail(ctx, &cr__op_repeat_interleave, CR_ERR_SHAPE, NULL,
                    "the result is too large");
        return NULL;
    }
    int64_t *places = cr__pooled_new(ctx, (size_t)bytes + 8), at = 0;
    if (!places)
        return NULL;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < counts[i]; k++)
            places[at++] = i;
    cr_tensor *index = cr_from(ctx, CR_I64, CR_DIMS(total), places);
    cr__pooled_free(places);
    return index;
}

/* The counts, as a vector of i64: from the input, or the attribute. */
static cr_tensor *counts_of(cr_ctx *ctx, cr_tensor *given, const cr_dims *repeats)
{
    const cr_op *op = &cr__op_repeat_interleave;
    if (given && !repeats->given) {
        if (cr__is_int(cr_dtype_of(given)) && cr_ndim(given) <= 1)
            return cr_flatten(cr_cast(given, CR_I64), 0, -1);
        cr__op_fail(ctx, op, CR_ERR_DTYPE, NULL,
                    "repeats is a number, or integers of rank 1, and not %s %s",
                    cr_dtype_name(cr_dtype_of(given)), cr__shape_text(given));
        return NULL;
    }
    cr_infer infer = { .ctx = ctx, .op = op };
    if (!given && repeats->given && cr__good_list(&infer, "repeats", repeats))
        return cr_from(ctx, CR_I64, CR_DIMS(repeats->n), repeats->v);
    cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "repeats is %s",
                given ? "given twice" : "missing");
    return NULL;
}

static cr_tensor *repeat_interleave_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                           const void *attributes)
{
    const interleave_attrs *a = attributes;
    cr_tensor *x = a->dim.given ? inputs[0] : cr_flatten(inputs[0], 0, -1);
    cr_tensor *counts = counts_of(ctx, cr__optional(inputs, n, 1), &a->repeats);
    cr_dims dims = cr_shape(x);
    cr_infer infer = { .ctx = ctx, .op = &cr__op_repeat_interleave, .in_dims = &dims };
    int64_t dim = a->dim.given ? a->dim.v : 0;
    if (!counts || !cr__has_a_dim(&infer) || !cr__resolve_dim(&infer, &dim, dims.n))
        return NULL;
    const int64_t *values = cr_data(counts), length = cr_numel(counts);
    if (cr_error(ctx))
        return NULL;
    if (length == 1 && values[0] >= 0)
        return repeated(ctx, infer.op, x, (int)dim, values[0], true);
    if (length != 1 && length != dims.v[dim]) {
        cr__op_fail(
            ctx, infer.op, CR_ERR_SHAPE, NULL,
            "%lld counts for dim %lld of %s: there is one, or one for each element",
            (long long)length, (long long)dim, cr__dims_text(ctx, dims));
        return NULL;
    }
    cr_tensor *places = repeat_places(ctx, values, length);
    return places ? cr_index_select(x, (int)dim, places) : NULL;
}

CR__OP(repeat_interleave) = {
    .name = "repeat_interleave",
    .doc = "each element along dim repeated, as often as repeats says of all or of each; "
           "without "
           "dim x is one row",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 2,
    .inputs = "x,repeats",
    .attrs =
        CR__ATTRS(CR__ATTR(interleave_attrs, repeats, DIMS, .initial = CR__NOT_GIVEN),
                  CR__ATTR(interleave_attrs, dim, OPT_INT, .initial = CR__NOT_GIVEN)),
    .attrs_size = sizeof(interleave_attrs),
    .expand = repeat_interleave_expand,
    .samples = CR__SAMPLES({ "f[2,3]", "repeats=2" }, { "f[2,3]", "repeats=3,dim=-1" },
                           { "f[3,2] i[3]=1,0,2", "dim=0" },
                           { "f[2,3]", "repeats=[2,0,1],dim=1" }, { "f[]", "repeats=2" },
                           { "f[2]", "repeats=0" }, { "f[0,2]", "repeats=2,dim=0" },
                           { "f[2] i[]=2", NULL }, { "i[2]", "repeats=2" }),
    .call = "x,repeats,.dim",
};

cr_tensor *cr_repeat_interleave_at(cr_tensor *x, cr_arg repeats,
                                   cr_repeat_interleave_opts opts)
{
    bool each = repeats.kind == CR_ARG_TENSOR;
    int64_t count = 0;
    cr_tensor *inputs[] = { x, each ? repeats.v.tensor : NULL };
    interleave_attrs attrs = { .dim = opts.dim };
    if (!each && cr__number_store(repeats, CR_I64, &count))
        attrs.repeats = CR_DIMS(count);
    return cr__record_n(NULL, &cr__op_repeat_interleave, inputs, 2, &attrs, opts.site);
}
