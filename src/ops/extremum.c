/* Elements picked by their rank among those of a line, with their places: max_dim,
 * min_dim, kthvalue, median. A place is an operation of its own, without gradient; the
 * value is what is gathered there. Formulas: chainrule/reductions.h. */
#include "../base/compiler.h"
#include "attrs.h"
#include "opaque.h"
#include <math.h>

/* ---- results with places ---- */

cr_tensor *cr__record_pair(const cr_op *op, cr_tensor *x, const void *attrs,
                           cr_tensor **second, const char *site)
{
    cr_tensor *both[2] = { NULL, NULL };
    (void)cr__record_all(NULL, op, &x, 1, attrs, both, 2, site);
    if (second)
        *second = both[1];
    return both[0];
}

int cr__picked(cr_tensor *x, int dim, cr_tensor *places, bool drop, cr_tensor **outputs,
               int capacity)
{
    cr_tensor *found[2] = { cr_gather(x, dim, places), places };
    if (!found[0])
        return -1;
    for (int i = 0; i < 2 && i < capacity; i++)
        outputs[i] = drop && cr_ndim(x) ? cr_squeeze(found[i], dim) : found[i];
    return capacity > 0 && !outputs[0] ? -1 : 2;
}

/* ---- the k-th in a line ---- */

typedef struct kth_attrs {
    int64_t k; /* from 1; 0: the median, the lower one of two, or the first NaN */
    int64_t dim;
} kth_attrs;

/* An unsigned integer that orders as the element does: zeros are one, NaN comes last. */
#define LAST_KEY UINT64_MAX
CR__INLINE uint64_t ordered_key(double x)
{
    uint64_t bits, sign = (uint64_t)1 << 63;
    if (isnan(x))
        return LAST_KEY;
    x = x == 0 ? 0 : x;
    memcpy(&bits, &x, sizeof bits);
    return bits & sign ? ~bits : bits | sign;
}

CR__INLINE uint64_t key_at(const cr_array *x, int64_t i)
{
    switch (x->dtype) {
    case CR_F32:
        return ordered_key(((const float *)x->data)[i]);
    case CR_F64:
        return ordered_key(((const double *)x->data)[i]);
    case CR_BOOL:
        return ((const uint8_t *)x->data)[i];
    default:
        return (uint64_t)cr__index_load(x, i) ^ (uint64_t)1 << 63;
    }
}

/* Up to this many are sorted by insertion. */
#define FEW_KEYS 32

/* The key that k of the n are below: by its bytes, the highest first; those that have
 * another there are left out. */
static uint64_t select_key(uint64_t *keys, int64_t n, int64_t k)
{
    for (int shift = 56; n > FEW_KEYS && shift >= 0; shift -= 8) {
        int64_t counts[256] = { 0 }, kept = 0;
        uint64_t byte = 0;
        for (int64_t i = 0; i < n; i++)
            counts[keys[i] >> shift & 255]++;
        while (k >= counts[byte])
            k -= counts[byte++];
        for (int64_t i = 0; i < n; i++)
            if ((keys[i] >> shift & 255) == byte)
                keys[kept++] = keys[i];
        n = kept;
    }
    for (int64_t i = 1; i < n; i++) {
        uint64_t key = keys[i];
        int64_t at = i;
        for (; n <= FEW_KEYS && at > 0 && keys[at - 1] > key; at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
    return keys[k];
}

/* The place of the k-th (see kth_attrs) of n elements, from `first` on, that lie `stride`
 * apart: the first of equals. */
static int64_t kth_in_line(const cr_array *x, int64_t first, int64_t n, int64_t stride,
                           int64_t k, uint64_t *keys)
{
    const bool real = x->dtype == CR_F32 || x->dtype == CR_F64;
    bool nan = false;
    for (int64_t i = 0; i < n; i++) {
        keys[i] = key_at(x, first + i * stride);
        nan = nan || (real && keys[i] == LAST_KEY);
    }
    uint64_t key =
        k == 0 && nan ? LAST_KEY : select_key(keys, n, k ? k - 1 : (n - 1) / 2);
    int64_t place = 0;
    while (key_at(x, first + place * stride) != key)
        place++;
    return place;
}

typedef struct kth_job {
    const cr_kernel *kernel;
    cr__lines lines;
    int64_t chunks;
} kth_job;

static void kth_chunk(void *arg, int64_t chunk, int worker)
{
    const kth_job *job = arg;
    const cr__lines *l = &job->lines;
    const kth_attrs *attrs = job->kernel->attrs;
    uint64_t *keys = (uint64_t *)job->kernel->scratch + worker * l->n;
    int64_t begin, end;
    cr__part(l->outer * l->inner, 1, chunk, job->chunks, &begin, &end);
    for (int64_t line = begin; line < end; line++) {
        const int64_t first = line / l->inner * l->n * l->inner + line % l->inner;
        ((int64_t *)job->kernel->out.data)[line] =
            kth_in_line(&job->kernel->in[0], first, l->n, l->inner, attrs->k, keys);
    }
}

static cr_status kth_kernel(const cr_kernel *kernel)
{
    const kth_attrs *attrs = kernel->attrs;
    kth_job job = { .kernel = kernel };
    if (kernel->out.numel == 0)
        return CR_OK;
    job.lines = cr__lines_along(kernel->in[0].dims, attrs->dim);
    job.chunks = cr__kernel_chunks(kernel, kernel->in[0].numel * 8, kernel->out.numel);
    cr_kernel_chunks(kernel, job.chunks, kth_chunk, &job);
    return CR_OK;
}

static size_t kth_scratch(const cr_tensor *out)
{
    const kth_attrs *attrs = cr_attrs(out);
    const cr_tensor *x = cr_input(out, 0);
    int64_t lines = cr_numel(out), workers = cr__team_size(out->ctx->team);
    size_t bytes = (size_t)(cr_ndim(x) ? cr_size(x, (int)attrs->dim) : 1);
    workers = workers < lines ? workers : lines;
    return __builtin_mul_overflow(bytes, sizeof(uint64_t) * (size_t)workers, &bytes)
               ? SIZE_MAX
               : bytes;
}

static cr_status kth_shape(cr_infer *infer)
{
    kth_attrs *attrs = infer->attrs;
    if (!cr__resolve_dim(infer, &attrs->dim, infer->dims.n))
        return CR_ERR_ARGUMENT;
    const int64_t n = infer->dims.n ? infer->dims.v[attrs->dim] : 1;
    if (n == 0)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "no elements to choose from along dim %lld of %s",
                           (long long)attrs->dim, cr__dims_text(infer->ctx, infer->dims));
    if (attrs->k < 0 || attrs->k > n)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                           "k is %lld; along dim %lld of %s it is 1 to %lld",
                           (long long)attrs->k, (long long)attrs->dim,
                           cr__dims_text(infer->ctx, infer->dims), (long long)n);
    if (infer->dims.n)
        infer->dims.v[attrs->dim] = 1;
    infer->dtype = CR_I64;
    return CR_OK;
}

CR__OP(kth_place) = {
    .name = "kth_place",
    .doc =
        "the place of the k-th smallest along dim, the first of several; k 0: the median",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(kth_attrs, k, INT, .initial = "0"),
                       CR__ATTR(kth_attrs, dim, INT, .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(kth_attrs),
    .shape = kth_shape,
    .kernel = kth_kernel,
    .never_fails = true,
    .scratch = kth_scratch,
    .samples = CR__SAMPLES({ "f[3,4]!", "k=2,dim=0" }, { "f[2,5]!", "dim=1" },
                           { "f[6]=1,nan,-0,0,1,nan", "k=2,dim=0" },
                           { "f[2,4]=2,nan,1,nan,2,1,2,1", "dim=1" },
                           { "f[80]=5,1,-3,1e300,-1e-300,7,inf", "k=41,dim=0" },
                           { "f[]", "k=1,dim=0" }, { "f[0,2]", "k=1,dim=1" }),
};

static cr_tensor *kth_place(cr_tensor *x, int64_t k, int64_t dim)
{
    return cr__record_1(&cr__op_kth_place, x, &(kth_attrs){ k, dim }, CR_HERE);
}

/* ---- max_dim, min_dim, kthvalue ---- */

typedef struct pick_attrs {
    int64_t k, dim;
    bool keepdim;
} pick_attrs;

static int max_dim_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n, const void *attrs,
                          cr_tensor **outputs, int capacity)
{
    const pick_attrs *a = attrs;
    (void)ctx, (void)n;
    cr_tensor *places = cr_argmax(inputs[0], a->dim, .keepdim = true);
    return cr__picked(inputs[0], (int)a->dim, places, !a->keepdim, outputs, capacity);
}

static int min_dim_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n, const void *attrs,
                          cr_tensor **outputs, int capacity)
{
    const pick_attrs *a = attrs;
    (void)ctx, (void)n;
    cr_tensor *places = cr_argmin(inputs[0], a->dim, .keepdim = true);
    return cr__picked(inputs[0], (int)a->dim, places, !a->keepdim, outputs, capacity);
}

static int kthvalue_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                           const void *attrs, cr_tensor **outputs, int capacity)
{
    const pick_attrs *a = attrs;
    (void)n;
    if (a->k < 1) {
        cr__op_fail(ctx, &cr__op_kthvalue, CR_ERR_ARGUMENT, NULL,
                    "k is %lld; it counts from 1, the smallest", (long long)a->k);
        return -1;
    }
    cr_tensor *places = kth_place(inputs[0], a->k, a->dim);
    return cr__picked(inputs[0], (int)a->dim, places, !a->keepdim, outputs, capacity);
}

#define KEEPDIM CR__ATTR(pick_attrs, keepdim, BOOL, .initial = "false")
#define PICKS(NAME, DOC, CALL, ATTRS, ...)   \
    CR__OP(NAME) = {                         \
        .name = #NAME,                       \
        .doc = DOC,                          \
        .kind = CR_OP_COMPOSITE,             \
        .min_inputs = 1,                     \
        .max_inputs = 1,                     \
        .inputs = "x",                       \
        .attrs = ATTRS,                      \
        .attrs_size = sizeof(pick_attrs),    \
        .expand_all = NAME##_expand,         \
        .samples = CR__SAMPLES(__VA_ARGS__), \
        .call = CALL,                        \
    };
#define EXTREME(NAME, DOC, ...)                                                          \
    PICKS(                                                                               \
        NAME, DOC, "x,dim,.keepdim,.indices",                                            \
        CR__ATTRS(CR__ATTR(pick_attrs, dim, INT, .flags = CR_ATTR_POSITIONAL), KEEPDIM), \
        { "f[3,4]!", "dim=0" }, { "f[2,3]!", "dim=-1,keepdim=true" },                    \
        { "f[]", "dim=0" }, { "f[0,2]", "dim=1" }, __VA_ARGS__)                          \
    cr_tensor *cr_##NAME##_at(cr_tensor *x, int dim, cr_pick_opts opts)                  \
    {                                                                                    \
        pick_attrs attrs = { .dim = dim, .keepdim = opts.keepdim };                      \
        return cr__record_pair(&cr__op_##NAME, x, &attrs, opts.indices, opts.site);      \
    }
EXTREME(max_dim, "the largest along dim, and its place: the first of several; NaN wins",
        { "f[2,3]=1,3,3,2,nan,nan -> 0,1,0,0,1,0", "dim=1" })
EXTREME(min_dim, "the smallest along dim, and its place: the first of several; NaN wins",
        { "f[2,3]=3,1,1,2,nan,nan -> 0,1,0,0,1,0", "dim=1" })
PICKS(kthvalue,
      "the k-th smallest along dim, and its place: the first of several; NaN is last",
      "x,k,dim,.keepdim,.indices",
      CR__ATTRS(CR__ATTR(pick_attrs, k, INT, .flags = CR_ATTR_POSITIONAL),
                CR__ATTR(pick_attrs, dim, INT, .initial = "-1",
                         .flags = CR_ATTR_POSITIONAL),
                KEEPDIM),
      { "f[3,4]!", "k=2,dim=0" }, { "f[2,3]!", "k=3,keepdim=true" }, { "f[]", "k=1" },
      { "f[2,4]=1,2,1,0,nan,5,nan,6 -> 1,0,0,0,1,0,0,0", "k=3" })

cr_tensor *cr_kthvalue_at(cr_tensor *x, int64_t k, int dim, cr_pick_opts opts)
{
    pick_attrs attrs = { k, dim, opts.keepdim };
    return cr__record_pair(&cr__op_kthvalue, x, &attrs, opts.indices, opts.site);
}

/* ---- median ---- */

/* A whole tensor is one line. */
static cr_status median_kernel(const cr_kernel *kernel)
{
    const cr_array *x = &kernel->in[0], *out = &kernel->out;
    const size_t size = cr_dtype_size(out->dtype);
    if (x->numel > 0) {
        int64_t place = kth_in_line(x, 0, x->numel, 1, 0, kernel->scratch);
        memcpy(out->data, (const char *)x->data + (size_t)place * size, size);
    } else if (out->dtype == CR_F32) {
        *(float *)out->data = (float)NAN;
    } else {
        *(double *)out->data = (double)NAN;
    }
    return CR_OK;
}

static size_t median_scratch(const cr_tensor *out)
{
    return (size_t)cr_numel(cr_input(out, 0)) * sizeof(uint64_t);
}

static cr_status median_shape(cr_infer *infer)
{
    bool empty = false;
    for (int d = 0; d < infer->dims.n; d++)
        empty = empty || infer->dims.v[d] == 0;
    if (empty && !cr__is_float(infer->dtype))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "no elements to choose from in %s",
                           cr__dims_text(infer->ctx, infer->dims));
    infer->dims = CR_NO_DIMS;
    return CR_OK;
}

static void median_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *x = cr_input(out, 0);
    cr__reduce_attrs all = { .dim = { .n = cr_ndim(x), .given = true } };
    for (int d = 0; d < all.dim.n; d++)
        all.dim.v[d] = d;
    down[0] = cr__shared_by_ties(x, out, g, &all);
}

CR__OP(median) = {
    .name = "median",
    .doc = "the median of all, the lower one of two; NaN if one is, or of nothing",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .shape = median_shape,
    .vjp = median_vjp,
    .reads = CR_READS_INPUT(0) | CR_READS_OUTPUT,
    .kernel = median_kernel,
    .never_fails = true,
    .scratch = median_scratch,
    .samples = CR__SAMPLES({ "f[3,4]!", NULL }, { "f[]", NULL },
                           { "f[5]=1,2,2,5,9 -> 0,0.5,0.5,0,0", NULL },
                           { "f[4]=1,nan,2,nan -> 0,0.5,0,0.5", NULL }),
};

cr_tensor *cr_median_at(cr_tensor *x, const char *site)
{
    return cr__record_1(&cr__op_median, x, NULL, site);
}

typedef struct median_attrs {
    cr_opt_int dim;
    bool keepdim;
} median_attrs;

static int median_dim_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                             const void *attrs, cr_tensor **outputs, int capacity)
{
    const median_attrs *a = attrs;
    (void)n;
    if (a->dim.given)
        return cr__picked(inputs[0], (int)a->dim.v, kth_place(inputs[0], 0, a->dim.v),
                          !a->keepdim, outputs, capacity);
    if (a->keepdim) {
        cr__op_fail(ctx, &cr__op_median_dim, CR_ERR_ARGUMENT, NULL,
                    "keepdim is true, and no dim given");
        return -1;
    }
    cr_tensor *median = cr_median(inputs[0]);
    if (capacity > 0)
        outputs[0] = median;
    return median ? 1 : -1;
}

CR__OP(median_dim) = {
    .name = "median_dim",
    .doc = "the median along dim, the lower one of two, and its place: the first of "
           "several, or "
           "of NaNs; without dim cr_median()",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(median_attrs, dim, OPT_INT, .initial = CR__NOT_GIVEN),
                       CR__ATTR(median_attrs, keepdim, BOOL, .initial = "false")),
    .attrs_size = sizeof(median_attrs),
    .expand_all = median_dim_expand,
    .samples = CR__SAMPLES({ "f[3,4]!", "dim=0" }, { "f[2,3]!", "dim=-1,keepdim=true" },
                           { "f[2,3]!", NULL }, { "f[]", "dim=0" },
                           { "f[2,4]=2,1,2,1,nan,5,nan,6 -> 0,1,0,0,1,0,0,0", "dim=1" }),
    .call = "x,dim,.keepdim,.indices",
};

cr_tensor *cr_median_dim_at(cr_tensor *x, int dim, cr_pick_opts opts)
{
    median_attrs attrs = { { .v = dim, .given = true }, opts.keepdim };
    return cr__record_pair(&cr__op_median_dim, x, &attrs, opts.indices, opts.site);
}
