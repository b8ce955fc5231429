/* A matrix with a few weights in each row, applied along one dimension: average pooling and
 * interpolation, one dimension after the other, and, transposed, their gradients. Sums are ascending
 * chains of f64 over the elements of a row, rounded once. */
#include "resample.h"
#include "../base/compiler.h"
#include "opaque.h"

/* ---- the matrix ---- */

/* Row r has the places begin[r] .. begin[r + 1] - 1, ascending; their sum is divided by its divisor. */
typedef struct taps {
    int64_t rows;
    int64_t *begin, *place;
    double *weight, *divisor;
} taps;

/* The places that one element of the result is made of. */
typedef struct tap_row {
    int64_t *place;
    double *weight;
    int64_t n;
    double divisor;
} tap_row;

static int64_t most_taps(const cr__resample_attrs *a)
{
    int64_t most = a->kind == CR__TAPS_WINDOW     ? a->kernel_size
                   : a->kind == CR__TAPS_ADAPTIVE ? a->in / (a->out ? a->out : 1) + 2
                   : a->kind == CR__TAPS_LINEAR   ? 2
                   : a->kind == CR__TAPS_CUBIC    ? 4
                                                  : 1;
    bool mean = a->kind == CR__TAPS_WINDOW || a->kind == CR__TAPS_ADAPTIVE;
    return mean && most > a->in ? a->in : most;
}

/* Indices are computed in the type of the elements, as PyTorch does: where they lie between two
 * elements decides which is the nearest. */
static double in_type(double x, bool single)
{
    return single ? (double)(float)x : x;
}

/* How many elements of x one of the result takes. */
static double step_of(const cr__resample_attrs *a, bool single)
{
    if (a->align_corners)
        return a->out > 1 ? in_type((double)(a->in - 1) / (double)(a->out - 1), single)
                          : 0;
    return in_type(a->scale > 0 ? 1 / a->scale : (double)a->in / (double)a->out, single);
}

/* Where element i of the result lies among those of x. */
static double source_of(const cr__resample_attrs *a, int64_t i, bool single)
{
    double step = step_of(a, single);
    if (a->align_corners)
        return in_type(step * (double)i, single);
    double x = in_type(in_type(step * ((double)i + 0.5), single) - 0.5, single);
    return x < 0 && a->kind != CR__TAPS_CUBIC ? 0 : x;
}

static int64_t clip(int64_t i, int64_t size)
{
    return i < 0 ? 0 : i < size ? i : size - 1;
}

/* The element below x, and how far x lies beyond it, from 0 to 1. */
static int64_t split_source(double x, int64_t size, double *beyond)
{
    int64_t i = (int64_t)floor((double)(float)x);
    i = i < size ? i : size - 1;
    *beyond = x - (double)i;
    *beyond = *beyond < 0 ? 0 : *beyond > 1 ? 1 : *beyond;
    return i;
}

static void window_row(const cr__resample_attrs *a, int64_t i, tap_row *row)
{
    int64_t begin = i * a->stride - a->padding, end = begin + a->kernel_size;
    if (a->kind == CR__TAPS_ADAPTIVE) {
        begin = i * a->in / a->out;
        end = ((i + 1) * a->in + a->out - 1) / a->out;
    }
    end = end < a->in + a->padding ? end : a->in + a->padding;
    row->divisor = (double)(end - begin);
    begin = begin > 0 ? begin : 0;
    end = end < a->in ? end : a->in;
    if (!a->count_include_pad)
        row->divisor = (double)(end - begin);
    if (a->divisor)
        row->divisor = (double)a->divisor;
    for (int64_t at = begin; at < end; at++) {
        row->place[row->n] = at;
        row->weight[row->n++] = 1;
    }
}

void cr__cubic_weights(double t, int order, double weights[4])
{
    const double a = -0.75;
    for (int i = 0; i < 4; i++) {
        /* how far element i - 1 lies from t, and on which side */
        const double x = i < 2 ? t + 1 - i : i - 1 - t, side = i < 2 ? 1 : -1;
        const double c[] = { i % 3 ? 1 : -4 * a, i % 3 ? 0 : 8 * a,
                             i % 3 ? -(a + 3) : -5 * a, i % 3 ? a + 2 : a };
        weights[i] = order == 0   ? ((c[3] * x + c[2]) * x + c[1]) * x + c[0]
                     : order == 1 ? side * ((3 * c[3] * x + 2 * c[2]) * x + c[1])
                     : order == 2 ? 6 * c[3] * x + 2 * c[2]
                     : order == 3 ? side * 6 * c[3]
                                  : 0;
    }
}

static void cubic_row(const cr__resample_attrs *a, int64_t i, bool single, tap_row *row)
{
    double t;
    int64_t at = split_source(source_of(a, i, single), a->in, &t);
    cr__cubic_weights(t, 0, row->weight);
    for (; row->n < 4; row->n++)
        row->place[row->n] = clip(at + row->n - 1, a->in);
}

static void make_row(const cr__resample_attrs *a, int64_t i, bool single, tap_row *row)
{
    double t, middle = a->kind == CR__TAPS_EXACT ? 0.5 : 0;
    row->n = 0;
    row->divisor = 1;
    switch (a->kind) {
    case CR__TAPS_WINDOW:
    case CR__TAPS_ADAPTIVE:
        window_row(a, i, row);
        break;
    case CR__TAPS_NEAREST:
    case CR__TAPS_EXACT:
        t = in_type(step_of(a, single) * ((double)i + middle), single);
        row->place[0] = clip((int64_t)floor((double)(float)t), a->in);
        row->weight[row->n++] = 1;
        break;
    case CR__TAPS_LINEAR:
        row->place[0] = i, t = 0;
        if (a->in != a->out)
            row->place[0] = split_source(source_of(a, i, single), a->in, &t);
        row->place[1] = clip(row->place[0] + 1, a->in);
        row->weight[0] = 1 - t, row->weight[1] = t;
        row->n = 2;
        break;
    case CR__TAPS_CUBIC:
        cubic_row(a, i, single, row);
        break;
    }
}

/* Numbers of 8 bytes: of the matrix, and of one row. */
static size_t taps_bytes(const cr__resample_attrs *a)
{
    int64_t rows = a->transposed ? a->in : a->out, most = most_taps(a), all, numbers;
    if (__builtin_mul_overflow(a->out, most, &all) ||
        __builtin_mul_overflow(all, (int64_t)16, &numbers) || rows > INT64_MAX / 64)
        return SIZE_MAX;
    return (size_t)numbers + (size_t)(2 * rows + 1 + 2 * most) * 8;
}

/* The rows of the transposed matrix are gathered by a counting sort, so that their places ascend. */
static taps make_taps(const cr__resample_attrs *a, bool single, void *memory)
{
    int64_t most = most_taps(a), all = a->out * most;
    taps t = { .rows = a->transposed ? a->in : a->out, .begin = memory };
    t.place = t.begin + t.rows + 1;
    t.weight = (double *)(void *)(t.place + all);
    t.divisor = t.weight + all;
    tap_row row = { .weight = t.divisor + t.rows };
    row.place = (int64_t *)(void *)(row.weight + most);
    memset(t.begin, 0, (size_t)(t.rows + 1) * sizeof *t.begin);
    for (int64_t i = 0; i < a->out; i++) {
        make_row(a, i, single, &row);
        for (int64_t k = 0; k < row.n; k++)
            t.begin[(a->transposed ? row.place[k] : i) + 1]++;
    }
    for (int64_t r = 0; r < t.rows; r++) {
        t.begin[r + 1] += t.begin[r];
        t.divisor[r] = 1;
    }
    for (int64_t i = 0; i < a->out; i++) {
        make_row(a, i, single, &row);
        for (int64_t k = 0; k < row.n; k++) {
            int64_t at = t.begin[a->transposed ? row.place[k] : i]++;
            t.place[at] = a->transposed ? i : row.place[k];
            t.weight[at] = a->transposed ? row.weight[k] / row.divisor : row.weight[k];
        }
        if (!a->transposed)
            t.divisor[i] = row.divisor;
    }
    /* each begin has become the next one's */
    memmove(t.begin + 1, t.begin, (size_t)t.rows * sizeof *t.begin);
    t.begin[0] = 0;
    return t;
}

/* ---- its product ---- */

#define TILE 64 /* neighbours that are summed at once */

/* x is [outer, n, inner], the result [outer, rows, inner]. */
typedef struct resampling {
    const cr_kernel *kernel;
    taps taps;
    int64_t outer, n, inner;
    int64_t chunks;
} resampling;

/* Where there are whole tiles, the compiler knows their length. */
#define RESAMPLE(T)                                                                     \
    static double line_##T(const taps *t, int64_t r, const T *x)                        \
    {                                                                                   \
        int64_t k = t->begin[r], end = t->begin[r + 1];                                 \
        double sum = k < end ? t->weight[k] * (double)x[t->place[k]] : 0;               \
        while (++k < end)                                                               \
            sum += t->weight[k] * (double)x[t->place[k]];                               \
        return t->divisor[r] == 1 || end == t->begin[r] ? sum : sum / t->divisor[r];    \
    }                                                                                   \
    CR__INLINE void tile_##T(const taps *t, int64_t r, const T *x, int64_t inner,       \
                             int64_t n, T *out)                                         \
    {                                                                                   \
        double sum[TILE] = { 0 }, divisor = t->divisor[r];                              \
        int64_t begin = t->begin[r], end = t->begin[r + 1];                             \
        for (int64_t k = begin; k < end; k++) {                                         \
            const T *from = x + t->place[k] * inner;                                    \
            const double weight = t->weight[k];                                         \
            for (int64_t c = 0; c < n; c++)                                             \
                sum[c] += weight * (double)from[c];                                     \
        }                                                                               \
        if (divisor == 1 || begin == end)                                               \
            for (int64_t c = 0; c < n; c++)                                             \
                out[c] = (T)sum[c];                                                     \
        else                                                                            \
            for (int64_t c = 0; c < n; c++)                                             \
                out[c] = (T)(sum[c] / divisor);                                         \
    }                                                                                   \
    static void lines_##T(const resampling *s, int64_t begin, int64_t end)              \
    {                                                                                   \
        const int64_t inner = s->inner, rows = s->taps.rows;                            \
        T *out = (T *)s->kernel->out.data + begin * inner;                              \
        for (int64_t line = begin; line < end; line++, out += inner) {                  \
            const int64_t r = line % rows;                                              \
            const T *x = (const T *)s->kernel->in[0].data + line / rows * s->n * inner; \
            int64_t c = 0;                                                              \
            if (inner == 1)                                                             \
                out[c++] = (T)line_##T(&s->taps, r, x);                                 \
            for (; c + TILE <= inner; c += TILE)                                        \
                tile_##T(&s->taps, r, x + c, inner, TILE, out + c);                     \
            if (c < inner)                                                              \
                tile_##T(&s->taps, r, x + c, inner, inner - c, out + c);                \
        }                                                                               \
    }
RESAMPLE(float)
RESAMPLE(double)

static void resample_chunk(void *arg, int64_t chunk, int worker)
{
    const resampling *s = arg;
    int64_t begin, end;
    (void)worker;
    cr__part(s->outer * s->taps.rows, 1, chunk, s->chunks, &begin, &end);
    if (s->kernel->out.dtype == CR_F32)
        lines_float(s, begin, end);
    else
        lines_double(s, begin, end);
}

static cr_status resample_kernel(const cr_kernel *kernel)
{
    const cr__resample_attrs *a = kernel->attrs;
    resampling s = { .kernel = kernel, .outer = 1, .inner = 1 };
    if (kernel->out.numel == 0)
        return CR_OK;
    for (int i = 0; i < kernel->out.dims.n; i++)
        if (i < a->dim)
            s.outer *= kernel->out.dims.v[i];
        else if (i > a->dim)
            s.inner *= kernel->out.dims.v[i];
    s.n = a->transposed ? a->out : a->in;
    s.taps = make_taps(a, kernel->out.dtype == CR_F32, kernel->scratch);
    int64_t terms = s.taps.begin[s.taps.rows] + s.taps.rows;
    s.chunks =
        cr__kernel_chunks(kernel, s.outer * s.inner * terms, s.outer * s.taps.rows);
    cr_kernel_chunks(kernel, s.chunks, resample_chunk, &s);
    return CR_OK;
}

/* ---- the operation ---- */

static cr_status resample_shape(cr_infer *infer)
{
    const cr__resample_attrs *a = infer->attrs;
    const int64_t n = a->transposed ? a->out : a->in;
    if (infer->dtype != CR_F32 && infer->dtype != CR_F64)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                           "x is %s, not of a float type", cr_dtype_name(infer->dtype));
    if (a->dim < 0 || a->dim >= infer->dims.n || infer->dims.v[a->dim] != n)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "x %s has not size %lld at dim %lld",
                           cr__dims_text(infer->ctx, infer->dims), (long long)n,
                           (long long)a->dim);
    infer->dims.v[a->dim] = a->transposed ? a->in : a->out;
    return CR_OK;
}

static size_t resample_scratch(const cr_tensor *out)
{
    return cr_numel(out) ? taps_bytes(cr_attrs(out)) : 0;
}

static void resample_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr__resample_attrs a = *(const cr__resample_attrs *)cr_attrs(out);
    a.transposed = !a.transposed;
    down[0] = cr__record_1(&cr__op_resample, g, &a, CR_HERE);
}

CR__OP(resample) = {
    .name = "resample",
    .doc = "a matrix of few weights, applied along one dim",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(
        CR__ATTR(cr__resample_attrs, dim, INT, .initial = "0"),
        CR__ATTR(cr__resample_attrs, kind, WORD, .initial = "window",
                 .words = "window,adaptive,nearest,exact,linear,cubic"),
        CR__ATTR(cr__resample_attrs, in, INT, .flags = CR_ATTR_POSITIONAL),
        CR__ATTR(cr__resample_attrs, out, INT, .flags = CR_ATTR_POSITIONAL),
        CR__ATTR(cr__resample_attrs, kernel_size, INT, .initial = "1",
                 .flags = CR_ATTR_POSITIVE),
        CR__ATTR(cr__resample_attrs, stride, INT, .initial = "1",
                 .flags = CR_ATTR_POSITIVE),
        CR__ATTR(cr__resample_attrs, padding, INT, .initial = "0"),
        CR__ATTR(cr__resample_attrs, count_include_pad, BOOL, .initial = "false"),
        CR__ATTR(cr__resample_attrs, divisor, INT, .initial = "0"),
        CR__ATTR(cr__resample_attrs, scale, REAL, .initial = "0"),
        CR__ATTR(cr__resample_attrs, align_corners, BOOL, .initial = "false"),
        CR__ATTR(cr__resample_attrs, transposed, BOOL, .initial = "false")),
    .attrs_size = sizeof(cr__resample_attrs),
    .shape = resample_shape,
    .vjp = resample_vjp,
    .kernel = resample_kernel,
    .never_fails = true,
    .scratch = resample_scratch,
    .samples = CR__SAMPLES(
        { "f[2,5,3]", "dim=1,in=5,out=3,kernel_size=3,stride=2,padding=1" },
        { "f[2,3,2]",
          "dim=1,in=5,out=3,kernel_size=3,stride=2,padding=1,transposed=true" },
        { "f[5]", "in=5,out=2,kernel_size=4,stride=3,count_include_pad=true,divisor=3" },
        { "f[7,2]", "kind=adaptive,in=7,out=4" },
        { "f[4]", "kind=adaptive,in=7,out=4,transposed=true" },
        { "f[2,5]", "dim=1,kind=nearest,in=5,out=3" },
        { "f[2,5]", "dim=1,kind=exact,in=5,out=8" },
        { "f[3,70]", "kind=linear,in=3,out=5" },
        { "f[5,2]", "kind=linear,in=3,out=5,align_corners=true,transposed=true" },
        { "f[4]", "kind=cubic,in=4,out=6,scale=1.6" },
        { "f[6,2]", "kind=cubic,in=4,out=6,transposed=true" },
        { "f[0,5]", "dim=1,kind=linear,in=5,out=2" },
        { "f[2,3]", "kind=nearest,in=2,out=0" }),
};

/* Whether the matrix is the identity. */
static bool changes_nothing(const cr__resample_attrs *a)
{
    if (a->kind == CR__TAPS_WINDOW)
        return a->kernel_size == 1 && a->stride == 1 && a->padding == 0 &&
               a->divisor <= 1 && a->divisor >= 0;
    return a->in == a->out &&
           (a->kind == CR__TAPS_ADAPTIVE || a->kind == CR__TAPS_LINEAR);
}

cr_tensor *cr__resample(cr_tensor *x, const cr__resample_attrs *attrs, int n)
{
    double grows = 1;
    int recorded = 0;
    for (int i = 0; i < n; i++)
        grows *= (double)attrs[i].out / (double)(attrs[i].in ? attrs[i].in : 1);
    for (int k = 0; k < n; k++) {
        const cr__resample_attrs *a = &attrs[grows > 1 ? n - 1 - k : k];
        if (changes_nothing(a) && (recorded || k < n - 1))
            continue;
        x = cr__record_1(&cr__op_resample, x, a, CR_HERE);
        recorded++;
    }
    return x;
}
