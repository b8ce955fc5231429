/* Orders along a dim: sort, argsort, topk, searchsorted. All sort keys, unsigned
 * numbers whose order is that of the elements, with their places: NaN is above all, 0
 * and -0 are equal, and of equals the first comes first. Values are then picked by a
 * gather, through which gradients flow. */
#include "pick.h"
#include <string.h>

/* ---- keys ---- */

typedef struct keyed {
    uint64_t key;
    int64_t at;
} keyed;

/* Bits of a float, of `size` bytes, as a number of that size. */
CR__INLINE uint64_t float_key(uint64_t bits, uint64_t infinity, uint64_t sign)
{
    /* Without a branch on the sign, which nobody could foresee. */
    uint64_t magnitude = bits & (sign - 1), minus = bits & sign ? UINT64_MAX : 0;
    uint64_t key = sign + (magnitude ^ minus) - minus;
    return magnitude > infinity ? sign | (sign - 1) : key;
}

CR__INLINE uint64_t element_key(cr_dtype dtype, const void *data, int64_t i)
{
    uint64_t wide;
    uint32_t narrow;
    switch (dtype) {
    case CR_F64:
        memcpy(&wide, (const double *)data + i, sizeof wide);
        return float_key(wide, UINT64_C(0x7ff) << 52, UINT64_C(1) << 63);
    case CR_F32:
        memcpy(&narrow, (const float *)data + i, sizeof narrow);
        return float_key(narrow, UINT64_C(0xff) << 23, UINT64_C(1) << 31);
    case CR_BF16:
        return float_key(((const uint16_t *)data)[i], 0x7f80, 0x8000);
    case CR_F16:
        return float_key(((const uint16_t *)data)[i], 0x7c00, 0x8000);
    case CR_I64:
        return (uint64_t)((const int64_t *)data)[i] ^ UINT64_C(1) << 63;
    case CR_I32:
        return (uint32_t)((const int32_t *)data)[i] ^ UINT32_C(1) << 31;
    default:
        return ((const uint8_t *)data)[i];
    }
}

/* The keys of n elements, `stride` apart; the largest is the smallest if `descending`. */
static void load_keys(keyed *to, cr_dtype dtype, const void *data, int64_t start,
                      int64_t stride, int64_t n, bool descending)
{
    uint64_t flip = descending ? UINT64_MAX >> (64 - 8 * cr_dtype_size(dtype)) : 0;
    for (int64_t i = 0; i < n && dtype == CR_F32; i++)
        to[i] = (keyed){ element_key(CR_F32, data, start + i * stride) ^ flip, i };
    for (int64_t i = 0; i < n && dtype != CR_F32; i++)
        to[i] = (keyed){ element_key(dtype, data, start + i * stride) ^ flip, i };
}

/* ---- sorting ---- */

#define RUN      16   /* so many are sorted by insertion */
#define RADIX_AT 1024 /* from so many on counting is faster than merging */

CR__INLINE bool comes_before(keyed a, keyed b)
{
    return a.key < b.key || (a.key == b.key && a.at < b.at);
}

static void sort_run(keyed *x, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        keyed k = x[i];
        int64_t j = i;
        for (; j > 0 && comes_before(k, x[j - 1]); j--)
            x[j] = x[j - 1];
        x[j] = k;
    }
}

/* Runs of `width` of x, two by two, into y. */
static void merge_runs(const keyed *x, keyed *y, int64_t n, int64_t width)
{
    for (int64_t begin = 0; begin < n; begin += 2 * width) {
        int64_t middle = n - begin < width ? n : begin + width;
        int64_t end = n - middle < width ? n : middle + width, a = begin, b = middle;
        for (int64_t i = begin; i < end; i++)
            y[i] =
                a < middle && (b == end || !comes_before(x[b], x[a])) ? x[a++] : x[b++];
    }
}

/* Returns where the sorted ones are: x, or other, which has as much room. */
static keyed *merge_sort(keyed *x, keyed *other, int64_t n)
{
    for (int64_t i = 0; i < n; i += RUN)
        sort_run(x + i, n - i < RUN ? n - i : RUN);
    for (int64_t width = RUN; width < n; width *= 2) {
        keyed *y = other;
        merge_runs(x, y, n, width);
        other = x, x = y;
    }
    return x;
}

/* By the bytes of the keys, the lowest first; places are ascending. */
static keyed *sort_by_bytes(keyed *x, keyed *other, int64_t n, size_t bytes)
{
    for (size_t byte = 0; byte < bytes; byte++) {
        int64_t starts[257] = { 0 };
        for (int64_t i = 0; i < n; i++)
            starts[(x[i].key >> 8 * byte & 255) + 1]++;
        if (starts[(x[0].key >> 8 * byte & 255) + 1] == n)
            continue;
        for (int i = 0; i < 256; i++)
            starts[i + 1] += starts[i];
        for (int64_t i = 0; i < n; i++)
            other[starts[x[i].key >> 8 * byte & 255]++] = x[i];
        keyed *y = other;
        other = x, x = y;
    }
    return x;
}

static keyed *sort_keys(keyed *x, keyed *other, int64_t n, cr_dtype dtype)
{
    return n < RADIX_AT ? merge_sort(x, other, n)
                        : sort_by_bytes(x, other, n, cr_dtype_size(dtype));
}

/* ---- the first k ---- */

/* A heap of the k that come first so far, whose root comes last of them. */
static void sift_down(keyed *heap, int64_t n, int64_t i)
{
    keyed k = heap[i];
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        child += child + 1 < n && comes_before(heap[child], heap[child + 1]);
        if (!comes_before(k, heap[child]))
            break;
        heap[i] = heap[child];
    }
    heap[i] = k;
}

/* The first k of x come to its first k places, in any order. */
static void select_first(keyed *x, int64_t n, int64_t k)
{
    for (int64_t i = k / 2 - 1; i >= 0; i--)
        sift_down(x, k, i);
    for (int64_t i = k; i < n; i++)
        if (comes_before(x[i], x[0])) {
            x[0] = x[i];
            sift_down(x, k, 0);
        }
}

/* ---- the index operation ---- */

typedef struct sort_order_attrs {
    int64_t dim, k; /* k: how many of each line, all if -1 */
    bool descending;
} sort_order_attrs;

/* The lines of x along dim. */
typedef struct lines {
    const cr_kernel *kernel;
    int64_t dim, n, k, count, chunks;
    int64_t step, out_step; /* along dim */
} lines;

static size_t worker_bytes(int64_t n)
{
    size_t bytes;
    return __builtin_mul_overflow((size_t)n, 2 * sizeof(keyed), &bytes) ? SIZE_MAX
                                                                        : bytes;
}

/* Where line i begins. */
static int64_t line_start(const cr_array *x, int64_t dim, int64_t i)
{
    int64_t start = 0;
    for (int64_t d = x->dims.n - 1; d >= 0; d--)
        if (d != dim) {
            start += i % x->dims.v[d] * x->strides[d];
            i /= x->dims.v[d];
        }
    return start;
}

static void order_chunk(void *arg, int64_t chunk, int worker)
{
    const lines *l = arg;
    const sort_order_attrs *attrs = l->kernel->attrs;
    const cr_array *x = &l->kernel->in[0], *out = &l->kernel->out;
    char *memory = l->kernel->scratch;
    keyed *keys = (keyed *)(void *)(memory + (size_t)worker * worker_bytes(l->n));
    int64_t begin, end, n = l->n;
    cr__part(l->count, 1, chunk, l->chunks, &begin, &end);
    for (int64_t line = begin; line < end; line++) {
        int64_t *to = (int64_t *)out->data + line_start(out, l->dim, line);
        load_keys(keys, x->dtype, x->data, line_start(x, l->dim, line), l->step, n,
                  attrs->descending);
        int64_t sorted = n;
        if (l->k < n / 8)
            select_first(keys, n, sorted = l->k);
        /* What was selected is in no order of places, which counting relies on. */
        keyed *first = sorted < n ? merge_sort(keys, keys + n, sorted)
                                  : sort_keys(keys, keys + n, n, x->dtype);
        for (int64_t i = 0; i < l->k; i++)
            to[i * l->out_step] = first[i].at;
    }
}

static cr_status order_kernel(const cr_kernel *kernel)
{
    const sort_order_attrs *attrs = kernel->attrs;
    const cr_array *x = &kernel->in[0];
    lines l = { .kernel = kernel, .dim = attrs->dim, .k = attrs->k };
    if (kernel->out.numel == 0)
        return CR_OK;
    l.n = cr__size_at(&x->dims, attrs->dim);
    l.step = cr__stride_at(x, attrs->dim);
    l.out_step = cr__stride_at(&kernel->out, attrs->dim);
    l.count = x->numel / l.n;
    l.chunks = cr__kernel_chunks(kernel, 20 * x->numel, l.count);
    cr_kernel_chunks(kernel, l.chunks, order_chunk, &l);
    return CR_OK;
}

static size_t order_scratch(const cr_tensor *out)
{
    const sort_order_attrs *attrs = cr_attrs(out);
    cr_dims x = cr_shape(cr_input(out, 0));
    int64_t n = cr__size_at(&x, attrs->dim), numel = cr_numel(cr_input(out, 0));
    int64_t most = cr__team_size(out->ctx->team), count = n ? numel / n : 0;
    size_t bytes;
    most = count < most ? count : most;
    return __builtin_mul_overflow(worker_bytes(n), (size_t)most, &bytes) ? SIZE_MAX
                                                                         : bytes;
}

static cr_status order_shape(cr_infer *infer)
{
    sort_order_attrs *attrs = infer->attrs;
    const cr_dims *x = &infer->in_dims[0];
    if (!cr__resolve_dim(infer, &attrs->dim, x->n))
        return CR_ERR_SHAPE;
    int64_t size = cr__size_at(x, attrs->dim);
    attrs->k = attrs->k == -1 ? size : attrs->k;
    infer->dtype = CR_I64;
    if (attrs->k < 0 || attrs->k > size)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                           "k is %lld; dim %lld of %s has %lld elements",
                           (long long)attrs->k, (long long)attrs->dim,
                           cr__dims_text(infer->ctx, *x), (long long)size);
    if (x->n > 0)
        infer->dims.v[attrs->dim] = attrs->k;
    return CR_OK;
}

/* What sort, argsort and topk become. */
CR__OP(sort_order) = {
    .name = "sort_order",
    .doc = "i64: the places of the k smallest, or largest, along dim, in order",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(sort_order_attrs, dim, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(sort_order_attrs, k, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(sort_order_attrs, descending, BOOL, .initial = "false")),
    .attrs_size = sizeof(sort_order_attrs),
    .shape = order_shape,
    .kernel = order_kernel,
    .strided = CR_READS_INPUT(0),
    .never_fails = true,
    .scratch = order_scratch,
    .samples = CR__SAMPLES(
        { "f[3,5]", "dim=0,k=-1" }, { "f[3,40]", "dim=-1,k=3,descending=true" },
        { "f[8]=1,nan,-0,0,inf,-inf,nan,1", "dim=0,k=-1" },
        { "f[8]=1,nan,-0,0,inf,-inf,nan,1", "dim=0,k=-1,descending=true" },
        { "i[2,1500]{0,9}", "dim=1,k=-1" }, { "i[2,1500]{0,9}", "dim=1,k=20" },
        { "b[5]", "dim=0,k=-1,descending=true" }, { "f[]", "dim=0,k=1" },
        { "f[2,0]", "dim=1,k=-1" }),
};

static cr_tensor *order_of(cr_tensor *x, int64_t dim, int64_t k, bool descending)
{
    sort_order_attrs attrs = { dim, k, descending };
    return cr__record_1(&cr__op_sort_order, x, &attrs, CR_HERE);
}

/* ---- sort, argsort ---- */

typedef struct sort_attrs {
    int64_t dim;
    bool descending, stable; /* it always is */
} sort_attrs;

static const cr_attr sort_rows[] = {
    CR__ATTR(sort_attrs, dim, INT, .initial = "-1", .flags = CR_ATTR_POSITIONAL),
    CR__ATTR(sort_attrs, descending, BOOL, .initial = "false"),
    CR__ATTR(sort_attrs, stable, BOOL, .initial = "false"),
    CR__ATTRS_END,
};

static int sort_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                       const void *attributes, cr_tensor **outputs, int capacity)
{
    const sort_attrs *attrs = attributes;
    cr_tensor *index = order_of(inputs[0], attrs->dim, -1, attrs->descending);
    (void)ctx, (void)n;
    return cr__picked(inputs[0], (int)attrs->dim, index, false, outputs, capacity);
}

CR__OP(sort) = {
    .name = "sort",
    .doc =
        "the elements along dim, ascending, and their places; of equals the first first",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = sort_rows,
    .attrs_size = sizeof(sort_attrs),
    .expand_all = sort_expand,
    .samples = CR__SAMPLES({ "f[3,5]!", "dim=0" }, { "f[2,4]!", "descending=true" },
                           { "f[6]=1,nan,-0,0,inf,1 -> 1,1,1,1,1,1", NULL },
                           { "f[]", "dim=0" }, { "i[7]{0,3}", NULL }, { "f[2,0]", NULL }),
    .call = "x,dim,.descending,.stable,.indices",
};

cr_tensor *cr_sort_at(cr_tensor *x, int dim, cr_sort_opts opts)
{
    sort_attrs attrs = { dim, opts.descending, opts.stable };
    return cr__record_pair(&cr__op_sort, x, &attrs, opts.indices, opts.site);
}

static cr_tensor *argsort_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attributes)
{
    const sort_attrs *attrs = attributes;
    (void)ctx, (void)n;
    return order_of(inputs[0], attrs->dim, -1, attrs->descending);
}

CR__OP(argsort) = {
    .name = "argsort",
    .doc = "the places that sort x along dim; of equals the first comes first",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = sort_rows,
    .attrs_size = sizeof(sort_attrs),
    .expand = argsort_expand,
    .samples = CR__SAMPLES({ "f[3,5]", "dim=0" }, { "f[2,4]", "descending=true" },
                           { "i[7]{0,3}", "stable=true" }, { "f[]", NULL }),
};

cr_tensor *cr_argsort_at(cr_tensor *x, int dim, cr_argsort_opts opts)
{
    sort_attrs attrs = { dim, opts.descending, opts.stable };
    return cr__record_1(&cr__op_argsort, x, &attrs, opts.site);
}

/* ---- topk ---- */

typedef struct topk_attrs {
    int64_t k, dim;
    cr_opt_int largest, sorted; /* they always are */
} topk_attrs;

static int topk_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                       const void *attributes, cr_tensor **outputs, int capacity)
{
    const topk_attrs *attrs = attributes;
    bool largest = !attrs->largest.given || attrs->largest.v;
    (void)n;
    if (attrs->k < 0) {
        cr__op_fail(ctx, &cr__op_topk, CR_ERR_ARGUMENT, NULL, "k is %lld, below 0",
                    (long long)attrs->k);
        return -1;
    }
    cr_tensor *index = order_of(inputs[0], attrs->dim, attrs->k, largest);
    return cr__picked(inputs[0], (int)attrs->dim, index, false, outputs, capacity);
}

CR__OP(topk) = {
    .name = "topk",
    .doc = "the k largest along dim, in order, and their places; of equals the first",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(CR__ATTR(topk_attrs, k, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(topk_attrs, dim, INT, .initial = "-1",
                                .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(topk_attrs, largest, OPT_BOOL, .initial = "true"),
                       CR__ATTR(topk_attrs, sorted, OPT_BOOL, .initial = "true")),
    .attrs_size = sizeof(topk_attrs),
    .expand_all = topk_expand,
    .samples = CR__SAMPLES({ "f[3,5]!", "k=2" }, { "f[5,3]!", "k=3,dim=0,largest=false" },
                           { "f[2,40]!", "k=3" },
                           { "f[5]=2,3,nan,3,3 -> 0,1,1,1,0", "k=3" },
                           { "f[]", "k=1,dim=0" }, { "f[3]", "k=0" },
                           { "i[9]{0,3}", "k=4,sorted=false" }),
    .call = "x,k,dim,.largest,.sorted,.indices",
};

cr_tensor *cr_topk_at(cr_tensor *x, int64_t k, int dim, cr_topk_opts opts)
{
    topk_attrs attrs = { k, dim, opts.largest, opts.sorted };
    return cr__record_pair(&cr__op_topk, x, &attrs, opts.indices, opts.site);
}

/* ---- searchsorted ---- */

typedef struct search_attrs {
    bool right;
} search_attrs;

static cr_status search_shape(cr_infer *infer)
{
    const cr_dims *sorted = &infer->in_dims[0], *values = &infer->in_dims[1];
    bool fits = sorted->n == 1 || (sorted->n == values->n && sorted->n > 0);
    for (int d = 0; d + 1 < sorted->n && fits; d++)
        fits = sorted->v[d] == values->v[d];
    if (infer->in_dtype[0] != infer->in_dtype[1])
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() one of them",
                           "sorted is %s, values %s", cr_dtype_name(infer->in_dtype[0]),
                           cr_dtype_name(infer->in_dtype[1]));
    if (!fits)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "sorted %s has neither rank 1 nor the rows of values %s",
                           cr__dims_text(infer->ctx, *sorted),
                           cr__dims_text(infer->ctx, *values));
    infer->dims = *values;
    infer->dtype = CR_I64;
    return CR_OK;
}

/* The place of v among n ascending ones: before its equals, or behind them. No
 * comparison holds of NaN, which so comes last. */
#define SEARCH(P, T)                                                             \
    static int64_t P##_search(const void *sorted, int64_t n, const void *values, \
                              int64_t i, bool right)                             \
    {                                                                            \
        const T *x = sorted, v = ((const T *)values)[i];                         \
        int64_t low = 0, high = n;                                               \
        while (low < high) {                                                     \
            int64_t middle = low + (high - low) / 2;                             \
            if (right ? x[middle] > v : x[middle] >= v)                          \
                high = middle;                                                   \
            else                                                                 \
                low = middle + 1;                                                \
        }                                                                        \
        return low;                                                              \
    }
SEARCH(f32, float)
SEARCH(f64, double)
SEARCH(i64, int64_t)
SEARCH(i32, int32_t)
SEARCH(u8, uint8_t)

typedef struct search_job {
    const cr_kernel *kernel;
    int64_t n, row, chunks; /* of sorted; of values, for one row of sorted */
} search_job;

static void search_chunk(void *arg, int64_t chunk, int worker)
{
    const search_job *job = arg;
    const cr_kernel *kernel = job->kernel;
    const cr_array *sorted = &kernel->in[0];
    bool right = ((const search_attrs *)kernel->attrs)->right;
    int64_t begin, end, *out = kernel->out.data,
                        size = (int64_t)cr_dtype_size(sorted->dtype);
    (void)worker;
    cr__part(kernel->out.numel, 1, chunk, job->chunks, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        const void *row = (const char *)sorted->data + i / job->row * job->n * size;
        out[i] = (sorted->dtype == CR_F32   ? f32_search
                  : sorted->dtype == CR_F64 ? f64_search
                  : sorted->dtype == CR_I64 ? i64_search
                  : sorted->dtype == CR_I32
                      ? i32_search
                      : u8_search)(row, job->n, kernel->in[1].data, i, right);
    }
}

static cr_status search_kernel(const cr_kernel *kernel)
{
    const cr_dims *sorted = &kernel->in[0].dims, *values = &kernel->in[1].dims;
    search_job job = { .kernel = kernel, .n = sorted->v[sorted->n - 1] };
    if (kernel->out.numel == 0)
        return CR_OK;
    job.row = sorted->n == 1 ? kernel->out.numel : values->v[values->n - 1];
    job.chunks = cr__kernel_chunks(kernel, 50 * kernel->out.numel, kernel->out.numel);
    cr_kernel_chunks(kernel, job.chunks, search_chunk, &job);
    return CR_OK;
}

CR__OP(searchsorted) = {
    .name = "searchsorted",
    .doc =
        "i64: where each of values belongs in an ascending list, or in its row of lists",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "sorted,values",
    .attrs = CR__ATTRS(CR__ATTR(search_attrs, right, BOOL, .initial = "false")),
    .attrs_size = sizeof(search_attrs),
    .shape = search_shape,
    .kernel = search_kernel,
    .never_fails = true,
    .samples = CR__SAMPLES({ "f[4]=-1,0,0,2 f[5]=0,-2,3,nan,2", NULL },
                           { "f[4]=-1,0,0,2 f[5]=0,-2,3,nan,2", "right=true" },
                           { "i[2,3]=1,2,3,1,1,4 i[2,4]{0,5}", NULL },
                           { "f[4]=1,2,3,4 f[]", NULL }, { "f[0] f[3]", NULL }),
};

cr_tensor *cr_searchsorted_at(cr_tensor *sorted, cr_tensor *values,
                              cr_searchsorted_opts opts)
{
    cr_tensor *inputs[] = { sorted, values };
    return cr__record_n(NULL, &cr__op_searchsorted, inputs, 2,
                        &(search_attrs){ opts.right }, opts.site);
}
