/* Pooling over windows of the last one to three dimensions: max pooling, a kernel of its own for
 * all ranks; average and Lp pooling, composed of resample.c; and the adaptive ones. */
#include "../base/compiler.h"
#include "attrs.h"
#include "opaque.h"
#include "resample.h"

#define SPATIAL 3 /* dimensions, at most */

/* Of all kinds; the lists have one number for each spatial dimension once they are resolved.
 * output_size: of the adaptive ones, which have nothing else. */
typedef struct pool_attrs {
    cr_dims kernel_size, stride, padding, dilation, output_size;
    bool ceil_mode;
    cr_opt_int count_include_pad, divisor_override;
    double norm_type;
} pool_attrs;

/* ---- shapes ---- */

/* A list of one number is that for all spatial dims; one that is not given is `fallback`. */
static bool resolve_window_list(cr_infer *infer, const char *name, cr_dims *list,
                                int spatial, const cr_dims *fallback)
{
    if (fallback && (!list->given || list->n == 0))
        *list = *fallback;
    for (int i = 1; list->n == 1 && i < spatial; i++)
        list->v[i] = list->v[0];
    list->n = list->n == 1 ? spatial : list->n;
    if (list->n == spatial)
        return true;
    cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                "%s has one number or %d, not %s", name, spatial,
                cr__dims_text(infer->ctx, *list));
    return false;
}

/* x is [N, C, ..] or [C, ..] with spatial dims behind; from dim `full` on sizes are above 0. */
static bool check_input(cr_infer *infer, int spatial, int full)
{
    const cr_dims *x = &infer->in_dims[0];
    cr_dtype dtype = infer->in_dtype[0];
    const char *why = NULL;
    if (dtype != CR_F32 && dtype != CR_F64) {
        cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                    "x is %s, not of a float type", cr_dtype_name(dtype));
        return false;
    }
    if (x->n != spatial + 1 && x->n != spatial + 2)
        why = "";
    for (int i = full < 0 ? 0 : full; !why && i < x->n; i++)
        why = x->v[i] == 0 ? ": only a batch may be empty" : NULL;
    if (why)
        cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                    "x is [N, C, ..] or [C, ..] with %d dims behind, not %s%s", spatial,
                    cr__dims_text(infer->ctx, *x), why);
    return !why;
}

/* How many windows fit; with ceil_mode also one that begins in x or the padding before it, and
 * is not all there. */
static int64_t count_windows(int64_t size, const pool_attrs *a, int i)
{
    int64_t span = a->dilation.v[i] * (a->kernel_size.v[i] - 1) + 1,
            stride = a->stride.v[i];
    int64_t room = size + 2 * a->padding.v[i] - span + (a->ceil_mode ? stride - 1 : 0);
    int64_t count = room < 0 ? 0 : room / stride + 1;
    return a->ceil_mode && count && (count - 1) * stride >= size + a->padding.v[i]
               ? count - 1
               : count;
}

static cr_status window_fails(cr_infer *infer, const char *format, int64_t x, int64_t y)
{
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL, format, (long long)x,
                       (long long)y);
}

#define MOST_SIZE ((int64_t)1 << 40)

/* Resolves the lists and finds the shape. */
static cr_status window_shape(cr_infer *infer, int spatial)
{
    pool_attrs *a = infer->attrs;
    const cr_dims one = CR_DIMS(1), zero = CR_DIMS(0);
    int first = infer->dims.n - spatial;
    if (!check_input(infer, spatial, first - 1))
        return CR_ERR_SHAPE;
    if (!resolve_window_list(infer, "kernel_size", &a->kernel_size, spatial, NULL) ||
        !resolve_window_list(infer, "stride", &a->stride, spatial, &a->kernel_size) ||
        !resolve_window_list(infer, "padding", &a->padding, spatial, &zero) ||
        !resolve_window_list(infer, "dilation", &a->dilation, spatial, &one))
        return CR_ERR_ARGUMENT;
    for (int i = 0; i < spatial; i++) {
        int64_t *size = &infer->dims.v[first + i], kernel = a->kernel_size.v[i];
        if (kernel > MOST_SIZE || a->stride.v[i] > MOST_SIZE ||
            a->dilation.v[i] > MOST_SIZE)
            return window_fails(
                infer, "kernel_size, stride and dilation are at most %lld", MOST_SIZE, 0);
        if (a->padding.v[i] < 0 || a->padding.v[i] > kernel / 2)
            return window_fails(
                infer, "padding is %lld; it is 0 to half of kernel_size, which is %lld",
                a->padding.v[i], kernel);
        if (__builtin_mul_overflow(kernel, a->dilation.v[i], &(int64_t){ 0 }))
            return window_fails(infer, "kernel_size %lld with dilation %lld is too large",
                                kernel, a->dilation.v[i]);
        int64_t count = count_windows(*size, a, i);
        if (count < 1)
            return window_fails(
                infer, "kernel_size %lld is too large for a size of %lld and its padding",
                kernel, *size);
        *size = count;
    }
    return CR_OK;
}

static cr_status adaptive_shape(cr_infer *infer, int spatial, int full)
{
    pool_attrs *a = infer->attrs;
    int first = infer->dims.n - spatial;
    if (!check_input(infer, spatial, full < 0 ? first : full))
        return CR_ERR_SHAPE;
    if (!resolve_window_list(infer, "output_size", &a->output_size, spatial, NULL))
        return CR_ERR_ARGUMENT;
    for (int i = 0; i < spatial; i++) {
        if (a->output_size.v[i] < 0)
            return window_fails(infer, "output_size is %lld, below %lld",
                                a->output_size.v[i], 0);
        infer->dims.v[first + i] = a->output_size.v[i];
    }
    return CR_OK;
}

/* The shape rule of a composite, applied to its input: the result's sizes to *dims, what is
 * resolved to attrs. */
static bool infer_composite(const cr_op *op, cr_tensor *x, pool_attrs *a,
                            cr_status (*rule)(cr_infer *infer), cr_dims *dims)
{
    const cr_dims shape = cr_shape(x);
    const cr_dtype dtype = cr_dtype_of(x);
    cr_infer infer = { .ctx = x->ctx,
                       .op = op,
                       .n = 1,
                       .in_dtype = &dtype,
                       .in_dims = &shape,
                       .attrs = a,
                       .dtype = dtype,
                       .dims = shape };
    cr_status status = rule(&infer);
    *dims = infer.dims;
    return status == CR_OK;
}

/* ---- max pooling ---- */

/* The windows along one dimension: they begin at first[i] and have count[i] elements, `step`
 * apart. */
typedef struct windows {
    int64_t in, out, step, *first, *count;
} windows;

/* What becomes of the place in x that each window's largest element has. */
typedef enum pool_use {
    TAKE_VALUE, /* the element there */
    TAKE_PLACE, /* the place itself */
    TAKE_OTHER, /* the element there of another array like x */
    GIVE        /* the cotangent is added there */
} pool_use;

/* Planes of x and of the result, seen with three dimensions. */
typedef struct pooling {
    const cr_kernel *kernel;
    pool_use use;
    windows dim[SPATIAL];
    int64_t planes, in, out; /* elements of a plane */
    int cut; /* the first dim of a plane, along which it is cut into parts */
    int64_t parts, chunks;
    /* Of f32: windows of a row that are all there, `stride` elements apart. Whether all are and,
     * with two elements each, lie side by side in all dims; and leave nothing between them. */
    int64_t even_begin, even_end;
    int stride;
    bool side_by_side, covered;
} pooling;

static int spatial_dims(const pool_attrs *a)
{
    return a->output_size.given ? a->output_size.n : a->kernel_size.n;
}

static void fill_windows(windows *w, const pool_attrs *a, int i)
{
    for (int64_t o = 0; o < w->out; o++) {
        if (a->output_size.given) {
            w->first[o] = o * w->in / w->out;
            w->count[o] = ((o + 1) * w->in + w->out - 1) / w->out - w->first[o];
            continue;
        }
        int64_t begin = o * a->stride.v[i] - a->padding.v[i], step = a->dilation.v[i];
        int64_t skipped = begin < 0 ? (step - 1 - begin) / step : 0;
        w->first[o] = begin + skipped * step;
        int64_t inside = (w->in - w->first[o] + step - 1) / step;
        int64_t left = a->kernel_size.v[i] - skipped;
        w->count[o] = left < inside ? left : inside > 0 ? inside : 0;
    }
}

/* The most windows of a row that follow each other with one stride and are of one size. */
static void find_even(pooling *p)
{
    const windows *w = &p->dim[SPATIAL - 1];
    for (int64_t i = 0, end; i + 1 < w->out; i = end) {
        const int64_t stride = w->first[i + 1] - w->first[i];
        for (end = i + 1; end < w->out && w->count[end] == w->count[i] &&
                          w->first[end] - w->first[end - 1] == stride;)
            end++;
        if ((stride == 1 || stride == 2) && w->count[i] > 0 && w->count[i] < INT16_MAX &&
            end - i > p->even_end - p->even_begin)
            p->even_begin = i, p->even_end = end, p->stride = (int)stride;
    }
}

/* Whether windows along a dim share nothing, and leave out nothing. */
static void find_gaps(pooling *p, const windows *w)
{
    for (int64_t i = 0, behind = 0; i < w->out; i++) {
        p->side_by_side &= w->step == 1 && w->first[i] >= behind;
        p->covered &= w->first[i] == behind;
        behind = w->first[i] + w->count[i];
        p->covered &= i + 1 < w->out || behind == w->in;
    }
}

static void find_rows(pooling *p)
{
    const windows *w = &p->dim[SPATIAL - 1];
    find_even(p);
    p->side_by_side =
        p->stride == 2 && p->even_begin == 0 && p->even_end == w->out && w->count[0] == 2;
    p->covered = p->side_by_side;
    for (int i = 0; p->side_by_side && i < SPATIAL; i++)
        find_gaps(p, &p->dim[i]);
    p->covered &= p->side_by_side;
}

static pooling pooling_of(const cr_kernel *kernel, pool_use use)
{
    const pool_attrs *a = kernel->attrs;
    const cr_dims *in = &kernel->in[0].dims;
    const cr_dims *out = use == GIVE ? &kernel->in[1].dims : &kernel->out.dims;
    int spatial = spatial_dims(a);
    pooling p = { .kernel = kernel, .use = use, .planes = 1, .in = 1, .out = 1 };
    int64_t *memory = kernel->scratch;
    for (int i = 0; i < in->n - spatial; i++)
        p.planes *= in->v[i];
    for (int i = 0; i < SPATIAL; i++) {
        int lead = SPATIAL - spatial, d = in->n - SPATIAL + i;
        windows *w = &p.dim[i];
        *w = (windows){ 1, 1, 1, memory, memory + 1 };
        w->first[0] = 0, w->count[0] = 1;
        if (i >= lead) {
            p.cut = i == lead ? i : p.cut;
            *w = (windows){ in->v[d], out->v[d], 1, memory, memory + out->v[d] };
            w->step = a->output_size.given ? 1 : a->dilation.v[i - lead];
            fill_windows(w, a, i - lead);
        }
        memory += 2 * w->out;
        p.in *= w->in;
        p.out *= w->out;
    }
    if (in->n && kernel->in[0].dtype == CR_F32)
        find_rows(&p);
    return p;
}

/* The tables of windows. */
static size_t tables_bytes(cr_dims pooled, const pool_attrs *a)
{
    int spatial = spatial_dims(a);
    int64_t numbers = 2 * SPATIAL, numel = 1;
    for (int i = 0; i < pooled.n; i++)
        numel *= pooled.v[i] ? 1 : 0;
    for (int i = pooled.n - spatial; numel && i < pooled.n; i++)
        numbers += 2 * pooled.v[i];
    return (size_t)numbers * sizeof(int64_t);
}

static size_t take_scratch(const cr_tensor *out)
{
    return tables_bytes(cr_shape(out), cr_attrs(out));
}

static size_t give_scratch(const cr_tensor *out)
{
    return tables_bytes(cr_shape(cr_input(out, 1)), cr_attrs(out));
}

#define SEGMENT 128 /* windows, whose places are known at a time */

/* largest: where in its plane the window has its largest element: the first of equals; NaN is larger
 * than all, and the last of NaNs counts, as in PyTorch. -1: the window is empty. at: its first
 * element; nd, nh, nw: its counts.
 * largest_near: the same of nh x nw neighbours, which are constants; without branches, but where the
 * sum is NaN, as it is if one of them is.
 * places: so of n windows of a row, from o[2] on.
 * segment: what becomes of them; places outside begin .. end - 1 are left alone. */
#define MAX_POOLING(T)                                                                   \
    static int64_t largest_##T(const T *x, int64_t at, int64_t nd, int64_t nh,           \
                               int64_t nw, const int64_t *steps)                         \
    {                                                                                    \
        int64_t place = nd && nh && nw ? at : -1;                                        \
        T most = (T)-INFINITY;                                                           \
        for (int64_t d = 0; d < nd; d++)                                                 \
            for (int64_t h = 0; h < nh; h++) {                                           \
                int64_t from = at + d * steps[0] + h * steps[1];                         \
                for (int64_t w = 0; w < nw; w++, from += steps[2]) {                     \
                    T v = x[from];                                                       \
                    bool more = v > most || v != v;                                      \
                    most = more ? v : most;                                              \
                    place = more ? from : place;                                         \
                }                                                                        \
            }                                                                            \
        return place;                                                                    \
    }                                                                                    \
    CR__INLINE int64_t largest_near_##T(const T *x, int64_t at, int nh, int nw,          \
                                        const int64_t *steps)                            \
    {                                                                                    \
        int64_t place = at;                                                              \
        T most = x[at], sum = 0;                                                         \
        for (int h = 0; h < nh; h++)                                                     \
            for (int w = 0; w < nw; w++) {                                               \
                int64_t from = at + h * steps[1] + w;                                    \
                T v = x[from];                                                           \
                place += (from - place) & -(int64_t)(v > most);                          \
                most = v > most ? v : most;                                              \
                sum += v;                                                                \
            }                                                                            \
        return sum == sum ? place : largest_##T(x, at, 1, nh, nw, steps);                \
    }                                                                                    \
    static void places_##T(const pooling *p, const T *x, const int64_t *o, int64_t n,    \
                           int64_t *places)                                              \
    {                                                                                    \
        const windows *z = &p->dim[0], *y = &p->dim[1], *r = &p->dim[2];                 \
        const int64_t across = r->in, nd = z->count[o[0]], nh = y->count[o[1]];          \
        const int64_t steps[] = { z->step * y->in * across, y->step * across, r->step }; \
        const int64_t at = (z->first[o[0]] * y->in + y->first[o[1]]) * across;           \
        const int64_t near[] = { 0, across, 1 };                                         \
        const bool dense = nd == 1 && y->step == 1 && r->step == 1;                      \
        for (int64_t i = 0; i < n; i++) {                                                \
            int64_t nw = r->count[o[2] + i], from = at + r->first[o[2] + i];             \
            places[i] =                                                                  \
                dense && nh == 2 && nw == 2   ? largest_near_##T(x, from, 2, 2, near)    \
                : dense && nh == 3 && nw == 3 ? largest_near_##T(x, from, 3, 3, near)    \
                                              : largest_##T(x, from, nd, nh, nw, steps); \
        }                                                                                \
    }                                                                                    \
    static void segment_##T(const pooling *p, int64_t plane, const int64_t *o,           \
                            int64_t n, int64_t begin, int64_t end)                       \
    {                                                                                    \
        int64_t places[SEGMENT];                                                         \
        const cr_kernel *k = p->kernel;                                                  \
        const T *x = (const T *)k->in[0].data + plane * p->in;                           \
        const int64_t first =                                                            \
            ((plane * p->dim[0].out + o[0]) * p->dim[1].out + o[1]) * p->dim[2].out +    \
            o[2];                                                                        \
        places_##T(p, x, o, n, places);                                                  \
        if (p->use == GIVE) {                                                            \
            const T *g = (const T *)k->in[1].data + first;                               \
            T *out = (T *)k->out.data + plane * p->in;                                   \
            for (int64_t i = 0; i < n; i++)                                              \
                if (places[i] >= begin && places[i] < end)                               \
                    out[places[i]] += g[i];                                              \
        } else if (p->use == TAKE_PLACE) {                                               \
            memcpy((int64_t *)k->out.data + first, places, (size_t)n * sizeof *places);  \
        } else {                                                                         \
            T *out = (T *)k->out.data + first, none = k->n > 1 ? 0 : (T)-INFINITY;       \
            const T *from = (const T *)k->in[k->n - 1].data + plane * p->in;             \
            for (int64_t i = 0; i < n; i++)                                              \
                out[i] = places[i] < 0 ? none : from[places[i]];                         \
        }                                                                                \
    }
MAX_POOLING(float)
MAX_POOLING(double)

/* Of windows of one size: where element i of a window is, from its first one. */
static int64_t place_in_window(const cr__windows *w, int64_t i)
{
    const int64_t row = i / w->nw;
    return row / w->nh * w->steps[0] + row % w->nh * w->steps[1] +
           i % w->nw * w->steps[2];
}

/* g of n windows into a plane of out, where they have their largest elements. */
static void give_even(const pooling *p, const cr__windows *w, const int32_t *numbers,
                      const float *g, float *out, int64_t first, int64_t begin,
                      int64_t end)
{
    if (p->side_by_side && begin == 0 && end == p->in) {
        for (int r = 0; r < w->nd * w->nh; r++)
            cr__give_pairs(out + first + place_in_window(w, 2 * r), g, numbers, 2 * r,
                           w->n);
        return;
    }
    for (int64_t i = 0; i < w->n; i++) {
        const int64_t at = first + i * w->stride + place_in_window(w, numbers[i]);
        if (at >= begin && at < end)
            out[at] += g[i];
    }
}

/* The same as segment_float() of windows that are all there, one stride apart. */
static void segment_even(const pooling *p, int64_t plane, const int64_t *o, int64_t n,
                         int64_t begin, int64_t end)
{
    const windows *z = &p->dim[0], *y = &p->dim[1], *r = &p->dim[2];
    const cr_kernel *k = p->kernel;
    const int64_t first =
        (z->first[o[0]] * y->in + y->first[o[1]]) * r->in + r->first[o[2]];
    const int64_t result = ((plane * z->out + o[0]) * y->out + o[1]) * r->out + o[2];
    const float *other = (const float *)k->in[k->n - 1].data;
    const cr__windows w = { .x = (const float *)k->in[0].data + plane * p->in + first,
                            .n = n,
                            .steps = { z->step * y->in * r->in, y->step * r->in,
                                       r->step },
                            .nd = (int)z->count[o[0]],
                            .nh = (int)y->count[o[1]],
                            .nw = (int)r->count[o[2]],
                            .stride = p->stride };
    float values[SEGMENT];
    int32_t numbers[SEGMENT];
    if (p->use == TAKE_VALUE) {
        cr__largest(&w, (float *)k->out.data + result, NULL);
        return;
    }
    cr__largest(&w, values, numbers);
    if (p->use == GIVE) {
        give_even(p, &w, numbers, other + result, (float *)k->out.data + plane * p->in,
                  first, begin, end);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = first + i * w.stride + place_in_window(&w, numbers[i]);
        if (p->use == TAKE_PLACE)
            ((int64_t *)k->out.data)[result + i] = at;
        else
            ((float *)k->out.data)[result + i] = other[plane * p->in + at];
    }
}

/* Windows of a plane from o on, up to `stop` in their row, that are treated alike. */
static int64_t alike_from(const pooling *p, const int64_t *o, int64_t stop, bool *even)
{
    const bool some = p->dim[0].count[o[0]] > 0 && p->dim[1].count[o[1]] > 0 &&
                      p->dim[0].count[o[0]] * p->dim[1].count[o[1]] < INT16_MAX;
    *even = some && o[2] >= p->even_begin && o[2] < p->even_end;
    const int64_t until = *even                          ? p->even_end
                          : o[2] < p->even_begin && some ? p->even_begin
                                                         : stop;
    const int64_t n = (until < stop ? until : stop) - o[2];
    return n < SEGMENT ? n : SEGMENT;
}

/* The windows o[2] .. stop - 1 of a row. */
static void pool_row(const pooling *p, int64_t plane, int64_t *o, int64_t stop,
                     int64_t begin, int64_t end)
{
    bool even;
    for (int64_t n; o[2] < stop; o[2] += n) {
        n = alike_from(p, o, stop, &even);
        if (even)
            segment_even(p, plane, o, n, begin, end);
        else if (p->kernel->in[0].dtype == CR_F32)
            segment_float(p, plane, o, n, begin, end);
        else
            segment_double(p, plane, o, n, begin, end);
    }
}

static void take_chunk(void *arg, int64_t chunk, int worker)
{
    const pooling *p = arg;
    const int64_t rows = p->dim[0].out * p->dim[1].out;
    int64_t begin, end;
    (void)worker;
    cr__part(p->planes * rows, 1, chunk, p->chunks, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        int64_t o[] = { i % rows / p->dim[1].out, i % p->dim[1].out, 0 };
        pool_row(p, i / rows, o, p->dim[2].out, 0, p->in);
    }
}

/* The elements from .. to - 1 along the cut of a plane of x, from all windows that reach there, in
 * ascending order. */
static void give_part(const pooling *p, int64_t plane, int64_t from, int64_t to)
{
    const windows *w = &p->dim[p->cut];
    const int64_t inner = p->in / w->in;
    const size_t size = cr_dtype_size(p->kernel->out.dtype);
    int64_t begin[SPATIAL] = { 0 }, end[SPATIAL], o[SPATIAL], *b = &begin[p->cut],
            *e = &end[p->cut];
    if (!p->covered || to - from < w->in)
        memset((char *)p->kernel->out.data +
                   (size_t)(plane * p->in + from * inner) * size,
               0, (size_t)((to - from) * inner) * size);
    for (int i = 0; i < SPATIAL; i++)
        end[i] = p->dim[i].out;
    while (*b < *e && w->first[*b] + (w->count[*b] - 1) * w->step < from)
        ++*b;
    while (*b < *e && w->first[*e - 1] >= to)
        --*e;
    for (o[0] = begin[0]; o[0] < end[0]; o[0]++)
        for (o[1] = begin[1]; o[1] < end[1]; o[1]++) {
            o[2] = begin[2];
            pool_row(p, plane, o, end[2], from * inner, to * inner);
        }
}

static void give_chunk(void *arg, int64_t chunk, int worker)
{
    const pooling *p = arg;
    int64_t begin, end, from, to;
    (void)worker;
    cr__part(p->planes * p->parts, 1, chunk, p->chunks, &begin, &end);
    for (int64_t i = begin; i < end; i++) {
        cr__part(p->dim[p->cut].in, 1, i % p->parts, p->parts, &from, &to);
        give_part(p, i / p->parts, from, to);
    }
}

static cr_status pool_kernel(const cr_kernel *kernel, pool_use use)
{
    if (kernel->out.numel == 0)
        return CR_OK;
    pooling p = pooling_of(kernel, use);
    int64_t work = 2 * p.planes * (p.in + 4 * p.out), each = p.dim[p.cut].in;
    if (use != GIVE) {
        p.chunks =
            cr__kernel_chunks(kernel, work, p.planes * p.dim[0].out * p.dim[1].out);
        cr_kernel_chunks(kernel, p.chunks, take_chunk, &p);
        return CR_OK;
    }
    p.chunks = cr__kernel_chunks(kernel, work, p.planes * each);
    p.parts = p.chunks <= p.planes ? 1 : (p.chunks - 1) / p.planes + 1;
    p.parts = p.parts < each ? p.parts : each;
    cr_kernel_chunks(kernel, p.chunks, give_chunk, &p);
    return CR_OK;
}

static cr_status take_value_kernel(const cr_kernel *kernel)
{
    return pool_kernel(kernel, TAKE_VALUE);
}

static cr_status take_place_kernel(const cr_kernel *kernel)
{
    return pool_kernel(kernel, TAKE_PLACE);
}

static cr_status take_other_kernel(const cr_kernel *kernel)
{
    return pool_kernel(kernel, TAKE_OTHER);
}

static cr_status give_kernel(const cr_kernel *kernel)
{
    return pool_kernel(kernel, GIVE);
}

/* What the parts of max pooling are given is resolved. */
static cr_status resolved_shape(cr_infer *infer)
{
    const pool_attrs *a = infer->attrs;
    int spatial = spatial_dims(a);
    return a->output_size.given ? adaptive_shape(infer, spatial, 1)
                                : window_shape(infer, spatial);
}

static cr_status max_place_shape(cr_infer *infer)
{
    infer->dtype = CR_I64;
    return resolved_shape(infer);
}

/* x and its pooled form, of one type; the result is like x. */
static cr_status give_shape(cr_infer *infer)
{
    cr_infer pooled = *infer;
    cr_status status = resolved_shape(&pooled);
    if (status == CR_OK && (infer->in_dtype[0] != infer->in_dtype[1] ||
                            !cr__dims_equal(pooled.dims, infer->in_dims[1])))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL, "g is %s, not %s",
                           cr__dims_text(infer->ctx, infer->in_dims[1]),
                           cr__dims_text(infer->ctx, pooled.dims));
    return status;
}

static cr_tensor *record_pair(const cr_op *op, cr_tensor *x, cr_tensor *y,
                              const void *attrs)
{
    return cr__record_n(NULL, op, (cr_tensor *[]){ x, y }, 2, attrs, CR_HERE);
}

/* Which elements are the largest changes nowhere that it is differentiable. */
static void pair_vjp(cr_tensor *out, const cr_op *op, cr_tensor *g, cr_tensor **down)
{
    if (cr_input_needs_grad(out, 0))
        down[0] = cr_zeros_like(cr_input(out, 0));
    if (cr_input_needs_grad(out, 1))
        down[1] = record_pair(op, cr_input(out, 0), g, cr_attrs(out));
}

static void take_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    pair_vjp(out, &cr__op_max_pool_give, g, down);
}

static void give_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    pair_vjp(out, &cr__op_max_pool_take, g, down);
}

static void max_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    down[0] = record_pair(&cr__op_max_pool_give, cr_input(out, 0), g, cr_attrs(out));
}

#define LIST_ROW(name, initial_text, flag) \
    CR__ATTR(pool_attrs, name, DIMS, .initial = initial_text, .flags = flag)

static const cr_attr max_rows[] = {
    LIST_ROW(kernel_size, NULL, CR_ATTR_POSITIONAL | CR_ATTR_POSITIVE),
    LIST_ROW(stride, CR__NOT_GIVEN, CR_ATTR_POSITIVE),
    LIST_ROW(padding, CR__NOT_GIVEN, 0),
    LIST_ROW(dilation, CR__NOT_GIVEN, CR_ATTR_POSITIVE),
    CR__ATTR(pool_attrs, ceil_mode, BOOL, .initial = "false"),
    CR__ATTRS_END,
};
static const cr_attr adaptive_rows[] = {
    LIST_ROW(output_size, NULL, CR_ATTR_POSITIONAL),
    CR__ATTRS_END,
};
static const cr_attr part_rows[] = {
    LIST_ROW(kernel_size, CR__NOT_GIVEN, CR_ATTR_POSITIVE),
    LIST_ROW(stride, CR__NOT_GIVEN, CR_ATTR_POSITIVE),
    LIST_ROW(padding, CR__NOT_GIVEN, 0),
    LIST_ROW(dilation, CR__NOT_GIVEN, CR_ATTR_POSITIVE),
    CR__ATTR(pool_attrs, ceil_mode, BOOL, .initial = "false"),
    LIST_ROW(output_size, CR__NOT_GIVEN, 0),
    CR__ATTRS_END,
};

#define MAX_PART                                                            \
    .kind = CR_OP_OPAQUE, .widens = true, .attrs_size = sizeof(pool_attrs), \
    .never_fails = true

CR__OP(max_pool_place) = {
    .name = "max_pool_place",
    .doc = "where in its plane each window of max pooling has its largest element",
    MAX_PART,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = part_rows,
    .shape = max_place_shape,
    .kernel = take_place_kernel,
    .scratch = take_scratch,
    .samples = CR__SAMPLES({ "f[2,7]", "kernel_size=3,stride=2,padding=1" },
                           { "f[1,4]=1,1,0,1", "kernel_size=2" },
                           { "f[2,4,5]", "output_size=[3,2]" }),
};

CR__OP(max_pool_take) = {
    .name = "max_pool_take",
    .doc = "the elements of y where x has those of max pooling",
    MAX_PART,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,y",
    .attrs = part_rows,
    .shape = resolved_shape,
    .vjp = take_vjp,
    .reads = CR_READS_INPUT(0),
    .kernel = take_other_kernel,
    .scratch = take_scratch,
    .samples = CR__SAMPLES({ "f[2,7]~ f[2,7]", "kernel_size=3,stride=2,padding=1" },
                           { "f[1,4,5]~ f[1,4,5]",
                             "kernel_size=[2,3],dilation=[2,1],ceil_mode=true" },
                           { "f[2,4,5]~ f[2,4,5]", "output_size=[3,2]" }),
};

CR__OP(max_pool_give) = {
    .name = "max_pool_give",
    .doc =
        "max_pool_take's adjoint: 0 shaped like x, with g added where x has its elements",
    MAX_PART,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,g",
    .attrs = part_rows,
    .shape = give_shape,
    .vjp = give_vjp,
    .reads = CR_READS_INPUT(0),
    .kernel = give_kernel,
    .scratch = give_scratch,
    .samples =
        CR__SAMPLES({ "f[2,7]~ f[2,4]", "kernel_size=3,stride=2,padding=1" },
                    { "f[1,4,6]~ f[1,2,3]",
                      "kernel_size=[2,3],dilation=[2,1],stride=[1,2],ceil_mode=true" },
                    { "f[2,4,5]~ f[2,3,2]", "output_size=[3,2]" }),
};

/* The entries of all ranks. */
#define SHAPES(N)                                        \
    static cr_status window_shape_##N(cr_infer *infer)   \
    {                                                    \
        return window_shape(infer, N);                   \
    }                                                    \
    static cr_status most_shape_##N(cr_infer *infer)     \
    {                                                    \
        return adaptive_shape(infer, N, 1);              \
    }                                                    \
    static cr_status adaptive_shape_##N(cr_infer *infer) \
    {                                                    \
        return adaptive_shape(infer, N, N < 3 ? -1 : 1); \
    }
SHAPES(1)
SHAPES(2)
SHAPES(3)

/* The largest elements; indices: their places too, if it is not NULL. */
static cr_tensor *max_pool(const cr_op *op, int spatial, cr_tensor *x, pool_attrs attrs,
                           cr_tensor **indices, const char *site)
{
    cr_tensor *y = cr__record_1(op, x, &attrs, site);
    cr_dims *list = attrs.output_size.given ? &attrs.output_size : &attrs.kernel_size;
    if (!indices)
        return y;
    for (int i = 1; list->n == 1 && i < spatial; i++)
        list->v[i] = list->v[0];
    list->n = spatial;
    *indices = y ? cr__record_1(&cr__op_max_pool_place, x, &attrs, site) : NULL;
    return *indices ? y : NULL;
}

#define MAX_ENTRY                                                                 \
    .kind = CR_OP_OPAQUE, .widens = true, .min_inputs = 1, .max_inputs = 1,       \
    .inputs = "x", .attrs_size = sizeof(pool_attrs), .vjp = max_vjp,              \
    .reads = CR_READS_INPUT(0), .kernel = take_value_kernel, .never_fails = true, \
    .scratch = take_scratch

#define MAX_POOL(N, ...)                                                               \
    CR__OP(max_pool##N##d) = {                                                         \
        .name = "max_pool" #N "d",                                                     \
        .doc = "the largest element of each window of the last " #N " dims",           \
        MAX_ENTRY,                                                                     \
        .attrs = max_rows,                                                             \
        .shape = window_shape_##N,                                                     \
        .call = "x,kernel_size,.stride,.padding,.dilation,.ceil_mode",                 \
        .samples = CR__SAMPLES(__VA_ARGS__),                                           \
    };                                                                                 \
    cr_tensor *cr_max_pool##N##d_at(cr_tensor *x, cr_dims kernel_size,                 \
                                    cr_max_pool_opts opts)                             \
    {                                                                                  \
        pool_attrs attrs = { .kernel_size = kernel_size,                               \
                             .stride = opts.stride,                                    \
                             .padding = opts.padding,                                  \
                             .dilation = opts.dilation,                                \
                             .ceil_mode = opts.ceil_mode };                            \
        return max_pool(&cr__op_max_pool##N##d, N, x, attrs, opts.indices, opts.site); \
    }
MAX_POOL(1, { "f[2,3,7]!", "kernel_size=3,stride=2,padding=1" },
         { "f[2,5]!", "kernel_size=2,dilation=3" },
         { "f[1,1,6]!", "kernel_size=[3],stride=[2],ceil_mode=true" },
         { "f[1,4]=2,2,1,2 -> 1,1,0,1", "kernel_size=2,stride=1" },
         { "f[1,3]=-inf -> 2,1,1", "kernel_size=2,stride=1,padding=1" },
         { "f[1,4]=1,nan,3,nan -> 0,0,0,1", "kernel_size=4" },
         { "f[1,4]=1,2,3,4 -> 0", "kernel_size=2,dilation=5,padding=1" },
         { "f[0,2,4]", "kernel_size=2" })
MAX_POOL(2, { "f[2,3,5,6]!", "kernel_size=2" },
         { "f[1,6,7]!", "kernel_size=[3,2],stride=[1,2],padding=[1,0],dilation=[1,2]" },
         { "f[1,2,5,4]!", "kernel_size=3,stride=2,padding=1,ceil_mode=true" },
         { "f[1,1,7]!", "kernel_size=[1,2],dilation=[2,1]" })
MAX_POOL(3, { "f[1,2,4,5,3]!", "kernel_size=2,stride=[2,1,1],padding=[1,0,1]" },
         { "f[2,3,4,5]!", "kernel_size=[2,3,2],dilation=[2,1,2],ceil_mode=true" })

#define ADAPTIVE_MAX_POOL(N, ...)                                                       \
    CR__OP(adaptive_max_pool##N##d) = {                                                 \
        .name = "adaptive_max_pool" #N "d",                                             \
        .doc =                                                                          \
            "the largest element of each of output_size parts of the last " #N " dims", \
        MAX_ENTRY,                                                                      \
        .attrs = adaptive_rows,                                                         \
        .shape = most_shape_##N,                                                        \
        .samples = CR__SAMPLES(__VA_ARGS__),                                            \
    };                                                                                  \
    cr_tensor *cr_adaptive_max_pool##N##d_at(cr_tensor *x, cr_dims output_size,         \
                                             cr_adaptive_max_pool_opts opts)            \
    {                                                                                   \
        pool_attrs attrs = { .output_size = output_size };                              \
        return max_pool(&cr__op_adaptive_max_pool##N##d, N, x, attrs, opts.indices,     \
                        opts.site);                                                     \
    }
ADAPTIVE_MAX_POOL(1, { "f[2,3,7]!", "output_size=3" }, { "f[1,4]!", "output_size=[6]" },
                  { "f[1,2,3]", "output_size=0" })
ADAPTIVE_MAX_POOL(2, { "f[1,2,5,6]!", "output_size=[3,4]" },
                  { "f[2,3,3]!", "output_size=1" })
ADAPTIVE_MAX_POOL(3, { "f[1,2,4,3,5]!", "output_size=[2,2,3]" })

/* ---- average pooling ---- */

static cr_tensor *average(cr_ctx *ctx, const cr_op *op, cr_tensor *x, pool_attrs a,
                          cr_status (*rule)(cr_infer *infer))
{
    cr__resample_attrs dims[SPATIAL];
    cr_dims in = cr_shape(x), out;
    if (a.divisor_override.given && a.divisor_override.v == 0)
        cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "divisor_override is 0");
    if (cr_error(ctx) || !infer_composite(op, x, &a, rule, &out))
        return NULL;
    int spatial = spatial_dims(&a), first = in.n - spatial;
    for (int i = 0; i < spatial; i++) {
        cr__resample_attrs *d = &dims[i];
        *d = (cr__resample_attrs){ .dim = first + i,
                                   .kind = CR__TAPS_ADAPTIVE,
                                   .in = in.v[first + i],
                                   .out = out.v[first + i] };
        if (a.output_size.given)
            continue;
        d->kind = CR__TAPS_WINDOW;
        d->kernel_size = a.kernel_size.v[i];
        d->stride = a.stride.v[i];
        d->padding = a.padding.v[i];
        d->count_include_pad = !a.count_include_pad.given || a.count_include_pad.v;
        if (a.divisor_override.given)
            d->divisor = i ? 1 : a.divisor_override.v;
    }
    return cr__resample(x, dims, spatial);
}

static const cr_attr avg_rows[] = {
    LIST_ROW(kernel_size, NULL, CR_ATTR_POSITIONAL | CR_ATTR_POSITIVE),
    LIST_ROW(stride, CR__NOT_GIVEN, CR_ATTR_POSITIVE),
    LIST_ROW(padding, CR__NOT_GIVEN, 0),
    CR__ATTR(pool_attrs, ceil_mode, BOOL, .initial = "false"),
    CR__ATTR(pool_attrs, count_include_pad, OPT_BOOL, .initial = "true"),
    CR__ATTR(pool_attrs, divisor_override, OPT_INT, .initial = CR__NOT_GIVEN),
    CR__ATTRS_END,
};

#define POOL_ENTRY                                                             \
    .kind = CR_OP_COMPOSITE, .widens = true, .min_inputs = 1, .max_inputs = 1, \
    .inputs = "x", .attrs_size = sizeof(pool_attrs)

#define AVG_POOL(N, ...)                                                           \
    static cr_tensor *avg_expand_##N(cr_ctx *ctx, cr_tensor *const *inputs, int n, \
                                     const void *attrs)                            \
    {                                                                              \
        (void)n;                                                                   \
        return average(ctx, &cr__op_avg_pool##N##d, inputs[0],                     \
                       *(const pool_attrs *)attrs, window_shape_##N);              \
    }                                                                              \
    CR__OP(avg_pool##N##d) = {                                                     \
        .name = "avg_pool" #N "d",                                                 \
        .doc = "the mean of each window of the last " #N " dims",                  \
        POOL_ENTRY,                                                                \
        .attrs = avg_rows,                                                         \
        .expand = avg_expand_##N,                                                  \
        .call = "x,kernel_size,.stride,.padding,.ceil_mode,.count_include_pad,"    \
                ".divisor_override",                                               \
        .samples = CR__SAMPLES(__VA_ARGS__),                                       \
    };                                                                             \
    cr_tensor *cr_avg_pool##N##d_at(cr_tensor *x, cr_dims kernel_size,             \
                                    cr_avg_pool_opts opts)                         \
    {                                                                              \
        pool_attrs attrs = { .kernel_size = kernel_size,                           \
                             .stride = opts.stride,                                \
                             .padding = opts.padding,                              \
                             .ceil_mode = opts.ceil_mode,                          \
                             .count_include_pad = opts.count_include_pad,          \
                             .divisor_override = opts.divisor_override };          \
        return cr__record_1(&cr__op_avg_pool##N##d, x, &attrs, opts.site);         \
    }
AVG_POOL(1, { "f[2,3,7]", "kernel_size=3,stride=2,padding=1" },
         { "f[2,9]", "kernel_size=6,stride=3,padding=2,ceil_mode=true" },
         { "f[1,1,6]", "kernel_size=3,padding=1,count_include_pad=false,ceil_mode=true" },
         { "f[0,2,4]", "kernel_size=2" })
AVG_POOL(2, { "f[2,3,4,5]", "kernel_size=2" },
         { "f[1,6,7]",
           "kernel_size=[3,2],stride=[1,2],padding=[1,0],divisor_override=5" },
         { "f[1,2,5,4]", "kernel_size=3,stride=2,padding=1,ceil_mode=true,"
                         "count_include_pad=false" },
         { "f[1,3,3]", "kernel_size=1,divisor_override=-2" })
AVG_POOL(3, { "f[1,2,4,5,3]", "kernel_size=2,stride=[2,1,1],padding=[1,0,1]" })

#define ADAPTIVE_AVG_POOL(N, ...)                                                       \
    static cr_tensor *adaptive_expand_##N(cr_ctx *ctx, cr_tensor *const *inputs, int n, \
                                          const void *attrs)                            \
    {                                                                                   \
        (void)n;                                                                        \
        return average(ctx, &cr__op_adaptive_avg_pool##N##d, inputs[0],                 \
                       *(const pool_attrs *)attrs, adaptive_shape_##N);                 \
    }                                                                                   \
    CR__OP(adaptive_avg_pool##N##d) = {                                                 \
        .name = "adaptive_avg_pool" #N "d",                                             \
        .doc = "the mean of each of output_size parts of the last " #N " dims",         \
        POOL_ENTRY,                                                                     \
        .attrs = adaptive_rows,                                                         \
        .expand = adaptive_expand_##N,                                                  \
        .samples = CR__SAMPLES(__VA_ARGS__),                                            \
    };                                                                                  \
    cr_tensor *cr_adaptive_avg_pool##N##d_at(cr_tensor *x, cr_dims output_size,         \
                                             const char *site)                          \
    {                                                                                   \
        return cr__record_1(&cr__op_adaptive_avg_pool##N##d, x,                         \
                            &(pool_attrs){ .output_size = output_size }, site);         \
    }
ADAPTIVE_AVG_POOL(1, { "f[2,3,7]", "output_size=3" }, { "f[1,4]", "output_size=[6]" },
                  { "f[1,2,3]", "output_size=0" })
ADAPTIVE_AVG_POOL(2, { "f[1,2,5,6]", "output_size=[3,4]" },
                  { "f[2,3,3]", "output_size=1" }, { "f[2,0,4,4]", "output_size=2" })
ADAPTIVE_AVG_POOL(3, { "f[1,2,4,3,5]", "output_size=[2,2,3]" })

/* ---- Lp pooling ---- */

/* (sum x^p)^(1/p), whose derivative is 0 where the sum is. */
static cr_tensor *lp_pool(cr_ctx *ctx, const cr_op *op, cr_tensor *x, pool_attrs a,
                          const cr_op *most, cr_status (*rule)(cr_infer *infer))
{
    double p = a.norm_type, count = 1;
    cr_dims dims;
    if (p == 0 || p != p)
        cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "norm_type is %g", p);
    if (cr_error(ctx))
        return NULL;
    if (isinf(p)) {
        x = cr__record_1(most, p > 0 ? cr_abs(x) : cr_neg(cr_abs(x)), &a, CR_HERE);
        return p > 0 ? x : cr_neg(x);
    }
    pool_attrs resolved = a;
    if (!infer_composite(op, x, &resolved, rule, &dims))
        return NULL;
    for (int i = 0; i < resolved.kernel_size.n; i++)
        count *= (double)resolved.kernel_size.v[i];
    cr_tensor *sum = cr_mul(average(ctx, op, cr_pow(x, p), a, rule), count);
    cr_tensor *zero = cr_eq(sum, 0);
    return cr_where(zero, p > 0 ? 0.0 : (double)INFINITY,
                    cr_pow(cr_where(zero, 1, sum), 1 / p));
}

static const cr_attr lp_rows[] = {
    CR__ATTR(pool_attrs, norm_type, REAL, .flags = CR_ATTR_POSITIONAL),
    LIST_ROW(kernel_size, NULL, CR_ATTR_POSITIONAL | CR_ATTR_POSITIVE),
    LIST_ROW(stride, CR__NOT_GIVEN, CR_ATTR_POSITIVE),
    CR__ATTR(pool_attrs, ceil_mode, BOOL, .initial = "false"),
    CR__ATTRS_END,
};

#define LP_POOL(N, ...)                                                                 \
    static cr_tensor *lp_expand_##N(cr_ctx *ctx, cr_tensor *const *inputs, int n,       \
                                    const void *attrs)                                  \
    {                                                                                   \
        (void)n;                                                                        \
        return lp_pool(ctx, &cr__op_lp_pool##N##d, inputs[0],                           \
                       *(const pool_attrs *)attrs, &cr__op_max_pool##N##d,              \
                       window_shape_##N);                                               \
    }                                                                                   \
    CR__OP(lp_pool##N##d) = {                                                           \
        .name = "lp_pool" #N "d",                                                       \
        .doc = "(sum x^p)^(1/p) of each window of the last " #N " dims, p = norm_type", \
        POOL_ENTRY,                                                                     \
        .attrs = lp_rows,                                                               \
        .expand = lp_expand_##N,                                                        \
        .call = "x,norm_type,kernel_size,.stride,.ceil_mode",                           \
        .samples = CR__SAMPLES(__VA_ARGS__),                                            \
    };                                                                                  \
    cr_tensor *cr_lp_pool##N##d_at(cr_tensor *x, double norm_type, cr_dims kernel_size, \
                                   cr_lp_pool_opts opts)                                \
    {                                                                                   \
        pool_attrs attrs = { .kernel_size = kernel_size,                                \
                             .stride = opts.stride,                                     \
                             .ceil_mode = opts.ceil_mode,                               \
                             .norm_type = norm_type };                                  \
        return cr__record_1(&cr__op_lp_pool##N##d, x, &attrs, opts.site);               \
    }
LP_POOL(1, { "f[2,3,7]", "norm_type=2,kernel_size=3,stride=2" },
        { "f[2,7]{0.5,2}", "norm_type=1.5,kernel_size=3,stride=2,ceil_mode=true" },
        { "f[1,4]=0,0,3,4 -> 0,0,0.6,0.8 -> 0,0,0.032,-0.024",
          "norm_type=2,kernel_size=2" },
        { "f[1,4]=-3,1,0,2 -> -1,0,0,1", "norm_type=inf,kernel_size=2" },
        { "f[1,4]=-3,1,-2,2 -> 0,1,-1,0", "norm_type=-inf,kernel_size=2" })
LP_POOL(2, { "f[1,2,4,5]", "norm_type=2,kernel_size=[2,3]" },
        { "f[2,4,4]{0.5,2}", "norm_type=3,kernel_size=2,stride=1" })
LP_POOL(3, { "f[1,2,4,3,2]", "norm_type=2,kernel_size=2" })
