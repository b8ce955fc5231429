/* grid_sample: elements of images at places that a grid gives. What takes them and what gives
 * cotangents back are each other's adjoints, and both are there for every derivative of their weights
 * by the places, so that gradients of all orders follow. */
#include "../base/compiler.h"
#include "attrs.h"
#include "opaque.h"
#include "resample.h"

#define SPATIAL    3 /* dimensions, at most */
#define GRID_TAPS  4 /* along a dimension, at most */
#define POINT_TAPS 16

typedef struct grid_attrs {
    cr_sampling_mode mode;
    cr_padding_mode padding_mode;
    bool align_corners;
    cr_dims size;  /* of x behind [N, C], for what gives */
    cr_dims order; /* of derivatives along x, y, z: the last dim of x first; none is 0 */
} grid_attrs;

/* ---- places ---- */

/* Where a place lies among the elements along a dimension, and its derivative by the place. */
typedef struct position {
    double at, slope;
} position;

/* -1 and 1 are the first and the last element, or with their outer edges. */
static position pixel_position(double place, int64_t size, bool align_corners)
{
    double s = align_corners ? (double)(size - 1) / 2 : (double)size / 2;
    return (position){ (place + 1) * s - (align_corners ? 0 : 0.5), s };
}

/* Into 0 .. size - 1; constant from there on. What is no number is 0. */
static position clipped(position p, int64_t size)
{
    if (!(p.at > 0))
        return (position){ 0, 0 };
    return p.at < (double)(size - 1) ? p : (position){ (double)(size - 1), 0 };
}

/* Mirrored at the first and the last element, or at their outer edges, as often as need be. */
static position reflected(position p, int64_t size, bool align_corners)
{
    double low = align_corners ? 0 : -0.5;
    double span = (double)(align_corners ? size - 1 : size);
    if (span == 0 || !isfinite(p.at))
        return (position){ 0, 0 };
    double x = fabs(p.at - low), extra = fmod(x, 2 * span);
    double side = p.at < low ? -1 : 1;
    if (extra > span)
        extra = 2 * span - extra, side = -side;
    return clipped((position){ extra + low, side * p.slope }, size);
}

CR__INLINE position padded(position p, int64_t size, const grid_attrs *a)
{
    return a->padding_mode == CR_PADDING_MODE_BORDER ? clipped(p, size)
           : a->padding_mode == CR_PADDING_MODE_REFLECTION
               ? reflected(p, size, a->align_corners)
               : p;
}

/* ---- weights ---- */

/* The elements that a place is made of along one dimension. */
typedef struct grid_taps {
    int n;
    int64_t at[GRID_TAPS];
    double weight[GRID_TAPS];
} grid_taps;

/* One more, if it is inside. */
CR__INLINE void add_tap(grid_taps *t, double at, int64_t size, double weight)
{
    if (!(at >= 0 && at < (double)size))
        return;
    t->at[t->n] = (int64_t)at;
    t->weight[t->n++] = weight;
}

/* Four neighbours, each of which is padded by itself. */
static void cubic_taps(grid_taps *t, position p, int64_t size, const grid_attrs *a,
                       int order)
{
    double below = floor(p.at), weights[GRID_TAPS];
    cr__cubic_weights(p.at - below, order, weights);
    for (int i = 0; i < GRID_TAPS && isfinite(p.at); i++) {
        for (int k = 0; k < order; k++)
            weights[i] *= p.slope;
        add_tap(t, padded((position){ below + i - 1, 0 }, size, a).at, size, weights[i]);
    }
}

CR__INLINE void find_grid_taps(grid_taps *t, double place, int64_t size,
                               const grid_attrs *a, int order)
{
    position p = pixel_position(place, size, a->align_corners);
    t->n = 0;
    if (a->mode == CR_MODE_BICUBIC) {
        cubic_taps(t, p, size, a, order);
        return;
    }
    p = padded(p, size, a);
    if (!(p.at > -1 && p.at < (double)size))
        return;
    if (a->mode == CR_MODE_NEAREST) {
        add_tap(t, rint(p.at), size, order == 0);
        return;
    }
    double below = (double)(int64_t)p.at; /* floor() without a call */
    below -= p.at < below;
    add_tap(t, below, size, order == 0 ? below + 1 - p.at : order == 1 ? -p.slope : 0);
    add_tap(t, below + 1, size, order == 0 ? p.at - below : order == 1 ? p.slope : 0);
}

/* The elements of a plane that one place is made of. */
typedef struct grid_point {
    int n;
    int64_t at[POINT_TAPS];
    double weight[POINT_TAPS];
} grid_point;

/* ---- kernels ---- */

#define POINTS   32 /* are known at a time */
#define CHANNELS 8  /* get their cotangents at a time */

/* x [N, C, size], the grid [N, points, spatial], the result [N, C, points]; or x is the result. */
typedef struct sampling {
    const cr_kernel *kernel;
    const grid_attrs *attrs;
    int spatial;
    int64_t images, channels, plane, points, chunks, parts;
    int64_t size[SPATIAL]; /* of x, the last dim first */
} sampling;

static sampling sampling_of(const cr_kernel *kernel, const cr_dims *x)
{
    const cr_array *grid = &kernel->in[1];
    sampling s = { .kernel = kernel,
                   .attrs = kernel->attrs,
                   .spatial = x->n - 2,
                   .images = x->v[0],
                   .channels = x->v[1],
                   .plane = 1 };
    for (int i = 0; i < s.spatial; i++) {
        s.size[i] = x->v[x->n - 1 - i];
        s.plane *= s.size[i];
    }
    s.points = s.images ? grid->numel / s.images / s.spatial : 0;
    return s;
}

static double grid_value(const cr_array *grid, int64_t i)
{
    return grid->dtype == CR_F32 ? (double)((const float *)grid->data)[i]
                                 : ((const double *)grid->data)[i];
}

static void make_point(const sampling *s, int64_t i, grid_point *point)
{
    grid_taps t[SPATIAL];
    for (int d = 0; d < s->spatial; d++)
        find_grid_taps(&t[d], grid_value(&s->kernel->in[1], i * s->spatial + d),
                       s->size[d], s->attrs, (int)s->attrs->order.v[d]);
    if (s->spatial < SPATIAL)
        t[2].n = 1, t[2].at[0] = 0, t[2].weight[0] = 1;
    point->n = 0;
    for (int z = 0; z < t[2].n; z++)
        for (int y = 0; y < t[1].n; y++)
            for (int x = 0; x < t[0].n; x++) {
                point->at[point->n] =
                    (t[2].at[z] * s->size[1] + t[1].at[y]) * s->size[0] + t[0].at[x];
                point->weight[point->n++] =
                    t[2].weight[z] * t[1].weight[y] * t[0].weight[x];
            }
}

/* take: some points of an image, of all channels. give: the same for some channels, added to sums. */
#define WEIGHED(P, X, K) ((P)->weight[K] * (double)(X)[(P)->at[K]])
#define SAMPLE(T)                                                                      \
    static void grid_take_##T(const sampling *s, const grid_point *points,             \
                              int64_t image, int64_t first, int64_t n)                 \
    {                                                                                  \
        for (int64_t c = image * s->channels; c < (image + 1) * s->channels; c++) {    \
            const T *x = (const T *)s->kernel->in[0].data + c * s->plane;              \
            T *out = (T *)s->kernel->out.data + c * s->points + first;                 \
            for (int64_t i = 0; i < n; i++) {                                          \
                const grid_point *p = &points[i];                                      \
                double sum = 0;                                                        \
                int k = 0;                                                             \
                for (; k + 4 <= p->n; k += 4)                                          \
                    sum = sum + WEIGHED(p, x, k) + WEIGHED(p, x, k + 1) +              \
                          WEIGHED(p, x, k + 2) + WEIGHED(p, x, k + 3);                 \
                for (; k < p->n; k++)                                                  \
                    sum += WEIGHED(p, x, k);                                           \
                out[i] = (T)sum;                                                       \
            }                                                                          \
        }                                                                              \
    }                                                                                  \
    static void grid_give_##T(const sampling *s, const grid_point *points,             \
                              int64_t channel, int64_t first, int64_t n, double *sums) \
    {                                                                                  \
        const T *g = (const T *)s->kernel->in[0].data + channel * s->points + first;   \
        for (int64_t i = 0; i < n; i++) {                                              \
            const grid_point *p = &points[i];                                          \
            for (int k = 0; k < p->n; k++)                                             \
                sums[p->at[k]] += p->weight[k] * (double)g[i];                         \
        }                                                                              \
    }                                                                                  \
    static void grid_store_##T(const sampling *s, int64_t channel, const double *sums) \
    {                                                                                  \
        T *out = (T *)s->kernel->out.data + channel * s->plane;                        \
        for (int64_t i = 0; i < s->plane; i++)                                         \
            out[i] = (T)sums[i];                                                       \
    }
SAMPLE(float)
SAMPLE(double)

/* The points first .. of an image; returns how many. */
static int64_t make_points(const sampling *s, int64_t image, int64_t first, int64_t end,
                           grid_point *points)
{
    int64_t n = end - first < POINTS ? end - first : POINTS;
    for (int64_t i = 0; i < n; i++)
        make_point(s, image * s->points + first + i, &points[i]);
    return n;
}

static void grid_take_points(void *arg, int64_t chunk, int worker)
{
    const sampling *s = arg;
    grid_point *points = cr__team_scratch(s->kernel->workers, worker);
    int64_t begin, end, n;
    cr__part(s->images * s->points, 1, chunk, s->chunks, &begin, &end);
    for (; begin < end; begin += n) {
        int64_t image = begin / s->points, first = begin % s->points;
        int64_t stop =
            (image + 1) * s->points < end ? s->points : end - image * s->points;
        n = make_points(s, image, first, stop, points);
        if (s->kernel->out.dtype == CR_F32)
            grid_take_float(s, points, image, first, n);
        else
            grid_take_double(s, points, image, first, n);
    }
}

/* A few channels of an image. */
static void grid_give_points(void *arg, int64_t chunk, int worker)
{
    const sampling *s = arg;
    grid_point *points = cr__team_scratch(s->kernel->workers, worker);
    double *sums = (double *)s->kernel->scratch + (int64_t)worker * CHANNELS * s->plane;
    const int64_t image = chunk / s->parts;
    int64_t begin, end, n;
    const bool single = s->kernel->out.dtype == CR_F32;
    cr__part(s->channels, 1, chunk % s->parts, s->parts, &begin, &end);
    memset(sums, 0, (size_t)((end - begin) * s->plane) * sizeof *sums);
    for (int64_t first = 0; first < s->points; first += n) {
        n = make_points(s, image, first, s->points, points);
        for (int64_t c = begin; c < end; c++) {
            int64_t channel = image * s->channels + c;
            double *to = sums + (c - begin) * s->plane;
            if (single)
                grid_give_float(s, points, channel, first, n, to);
            else
                grid_give_double(s, points, channel, first, n, to);
        }
    }
    for (int64_t c = begin; c < end; c++) {
        int64_t channel = image * s->channels + c;
        if (single)
            grid_store_float(s, channel, sums + (c - begin) * s->plane);
        else
            grid_store_double(s, channel, sums + (c - begin) * s->plane);
    }
}

static cr_status grid_take_kernel(const cr_kernel *kernel)
{
    sampling s = sampling_of(kernel, &kernel->in[0].dims);
    if (kernel->out.numel == 0)
        return CR_OK;
    s.chunks = cr__kernel_chunks(kernel, s.images * s.points * (20 + 8 * s.channels),
                                 s.images * s.points);
    cr_kernel_chunks(kernel, s.chunks, grid_take_points, &s);
    return CR_OK;
}

static cr_status grid_give_kernel(const cr_kernel *kernel)
{
    sampling s = sampling_of(kernel, &kernel->out.dims);
    if (kernel->out.numel == 0)
        return CR_OK;
    s.parts = (s.channels - 1) / CHANNELS + 1;
    cr_kernel_chunks(kernel, s.images * s.parts, grid_give_points, &s);
    return CR_OK;
}

/* ---- the operations ---- */

/* Whether both are floats of one type, of a rank that has images. */
static bool grid_fits(cr_infer *infer, const cr_dims *x, const cr_dims *grid,
                      const char *what)
{
    const cr_op *op = infer->op;
    const grid_attrs *a = infer->attrs;
    bool fits = x->n == grid->n && (x->n == 4 || x->n == 5) && x->v[0] == grid->v[0] &&
                grid->v[grid->n - 1] == x->n - 2;
    if (infer->in_dtype[0] != infer->in_dtype[1] ||
        (infer->dtype != CR_F32 && infer->dtype != CR_F64))
        return cr__op_fail(infer->ctx, op, CR_ERR_DTYPE, "cr_cast() converts",
                           "%s is %s and grid %s, not floats of one type", what,
                           cr_dtype_name(infer->in_dtype[0]),
                           cr_dtype_name(infer->in_dtype[1])) == CR_OK;
    for (int i = 2; fits && i < x->n; i++)
        fits = x->v[i] > 0;
    if (!fits)
        return cr__op_fail(
                   infer->ctx, op, CR_ERR_SHAPE, NULL,
                   "x is [N, C, H, W] and grid [N, .., .., 2], or [N, C, D, H, W] and "
                   "[N, .., .., .., 3], with elements to take, not %s and %s",
                   cr__dims_text(infer->ctx, *x),
                   cr__dims_text(infer->ctx, *grid)) == CR_OK;
    if (x->n == 4 || a->mode != CR_MODE_BICUBIC)
        return true;
    return cr__op_fail(infer->ctx, op, CR_ERR_ARGUMENT, NULL,
                       "bicubic is for 2 spatial dims, and x is %s",
                       cr__dims_text(infer->ctx, *x)) == CR_OK;
}

static cr_status take_shape(cr_infer *infer)
{
    const cr_dims *grid = &infer->in_dims[1];
    if (!grid_fits(infer, &infer->in_dims[0], grid, "x"))
        return CR_ERR_SHAPE;
    for (int i = 2; i < infer->dims.n; i++)
        infer->dims.v[i] = grid->v[i - 1];
    return CR_OK;
}

/* g [N, C, points]. */
static cr_status give_grid_shape(cr_infer *infer)
{
    const grid_attrs *a = infer->attrs;
    const cr_dims *grid = &infer->in_dims[1];
    if (a->size.n != infer->dims.n - 2)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                           "size %s is not that of an image",
                           cr__dims_text(infer->ctx, a->size));
    for (int i = 2; i < infer->dims.n; i++) {
        if (infer->dims.v[i] != grid->v[i - 1])
            return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL, "g is %s",
                               cr__dims_text(infer->ctx, infer->dims));
        infer->dims.v[i] = a->size.v[i - 2];
    }
    return grid_fits(infer, &infer->dims, grid, "g") ? CR_OK : CR_ERR_SHAPE;
}

static cr_tensor *record_at(const cr_op *op, cr_tensor *x, cr_tensor *grid,
                            const grid_attrs *attrs)
{
    return cr__record_n(NULL, op, (cr_tensor *[]){ x, grid }, 2, attrs, CR_HERE);
}

/* The cotangent of the grid: per place the sum of g times what it takes of x with the weights'
 * derivatives. Those of nearest, and the second ones of bilinear along one dim, are 0. */
static cr_tensor *grid_cotangent(cr_tensor *x, cr_tensor *grid, cr_tensor *g,
                                 const grid_attrs *attrs)
{
    cr_tensor *parts[SPATIAL];
    int spatial = cr_ndim(grid) - 2;
    int64_t most = attrs->mode == CR_MODE_NEAREST   ? 0
                   : attrs->mode == CR_MODE_BICUBIC ? 3
                                                    : 1;
    cr_tensor *zero = cr_zeros_like(cr_select(grid, -1, 0));
    if (most == 0)
        return cr_zeros_like(grid);
    for (int d = 0; d < spatial; d++) {
        grid_attrs a = *attrs;
        a.order.n = spatial, a.order.given = true;
        parts[d] = zero;
        if (++a.order.v[d] <= most)
            parts[d] = cr_sum(cr_mul(g, record_at(&cr__op_grid_take, x, grid, &a)), 1);
    }
    return cr_stack(parts, spatial, -1);
}

static void take_grid_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    grid_attrs a = *(const grid_attrs *)cr_attrs(out);
    cr_tensor *x = cr_input(out, 0), *grid = cr_input(out, 1);
    if (cr_input_needs_grad(out, 0)) {
        a.size = cr_shape(x);
        cr__dims_remove(&a.size, 0);
        cr__dims_remove(&a.size, 0);
        down[0] = record_at(&cr__op_grid_give, g, grid, &a);
    }
    if (cr_input_needs_grad(out, 1))
        down[1] = grid_cotangent(x, grid, g, &a);
}

static void give_grid_vjp(cr_tensor *out, cr_tensor *h, cr_tensor **down)
{
    const grid_attrs *a = cr_attrs(out);
    cr_tensor *g = cr_input(out, 0), *grid = cr_input(out, 1);
    if (cr_input_needs_grad(out, 0))
        down[0] = record_at(&cr__op_grid_take, h, grid, a);
    if (cr_input_needs_grad(out, 1))
        down[1] = grid_cotangent(h, grid, g, a);
}

static size_t grid_give_scratch(const cr_tensor *out)
{
    const grid_attrs *a = cr_attrs(out);
    size_t bytes = (size_t)cr__team_size(out->ctx->team) * CHANNELS * sizeof(double);
    for (int i = 0; i < a->size.n; i++)
        if (__builtin_mul_overflow(bytes, (size_t)a->size.v[i], &bytes))
            return SIZE_MAX;
    return cr_numel(out) ? bytes : 0;
}

#define SAMPLING_ROWS                                                \
    CR__ATTR(grid_attrs, mode, WORD, .initial = "bilinear",          \
             .words = "bilinear,nearest,bicubic"),                   \
        CR__ATTR(grid_attrs, padding_mode, WORD, .initial = "zeros", \
                 .words = "zeros,border,reflection"),                \
        CR__ATTR(grid_attrs, align_corners, BOOL, .initial = "false")

static const cr_attr grid_part_rows[] = {
    SAMPLING_ROWS,
    CR__ATTR(grid_attrs, size, DIMS, .initial = CR__NOT_GIVEN),
    CR__ATTR(grid_attrs, order, DIMS, .initial = CR__NOT_GIVEN),
    CR__ATTRS_END,
};

#define GRID_ENTRY                                                                    \
    .kind = CR_OP_OPAQUE, .widens = true, .min_inputs = 2, .max_inputs = 2,           \
    .attrs_size = sizeof(grid_attrs), .reads = CR_READS_INPUT(0) | CR_READS_INPUT(1), \
    .never_fails = true

CR__OP(grid_take) = {
    .name = "grid_take",
    .doc = "grid_sample with the derivatives of its weights of some order",
    GRID_ENTRY,
    .inputs = "x,grid",
    .attrs = grid_part_rows,
    .shape = take_shape,
    .vjp = take_grid_vjp,
    .kernel = grid_take_kernel,
    .samples = CR__SAMPLES(
        { "f[1,2,3,4] f[1,2,2,2]=-0.9,0.3,0.11,-0.35,0.77,1.2,0.45,-0.2", "order=[1,0]" },
        { "f[1,1,3,4] f[1,2,2,2]=-0.9,0.3,0.11,-0.35,0.77,0.6,0.45,-0.2",
          "order=[1,1],padding_mode=border" },
        { "f[1,1,3,4] f[1,1,2,2]=-0.9,0.3,0.11,-0.37", "order=[0,1],mode=bicubic" },
        { "f[1,1,2,3,2] f[1,1,1,2,3]=-0.2,0.3,0.1,0.6,0.4,-0.45", "order=[0,1,1]" }),
};

CR__OP(grid_give) = {
    .name = "grid_give",
    .doc = "grid_take's adjoint: g added up at the places that the grid gives",
    GRID_ENTRY,
    .inputs = "g,grid",
    .attrs = grid_part_rows,
    .shape = give_grid_shape,
    .vjp = give_grid_vjp,
    .kernel = grid_give_kernel,
    .scratch = grid_give_scratch,
    .samples = CR__SAMPLES(
        { "f[1,2,2,2] f[1,2,2,2]=-0.9,0.3,0.11,-0.35,0.77,1.2,0.45,-0.2", "size=[3,4]" },
        { "f[1,1,1,2] f[1,1,2,2]=-0.9,0.3,0.11,-0.37",
          "size=[3,4],order=[1,0],mode=bicubic" },
        { "f[1,1,1,1,2] f[1,1,1,2,3]=-0.2,0.3,0.1,0.6,0.4,-0.45", "size=[2,3,2]" }),
};

CR__OP(grid_sample) = {
    .name = "grid_sample",
    .doc = "x [N, C, H, W] at the places (x, y) of grid [N, .., .., 2]; so with 3 dims",
    GRID_ENTRY,
    .inputs = "x,grid",
    .attrs = CR__ATTRS(SAMPLING_ROWS),
    .shape = take_shape,
    .vjp = take_grid_vjp,
    .kernel = grid_take_kernel,
    .samples = CR__SAMPLES(
        { "f[2,2,3,4] f[2,1,2,2]=-0.9,0.3,0.11,-0.35,0.77,1.2,1.45,-0.2", NULL },
        { "f[1,1,3,4] f[1,2,2,2]=-0.9,0.3,0.11,-0.35,0.77,1.2,1.45,-0.2",
          "padding_mode=border,align_corners=true" },
        { "f[1,1,3,4] f[1,2,2,2]=-0.9,0.3,0.11,-0.35,0.77,1.6,1.45,-3.2",
          "padding_mode=reflection" },
        { "f[1,2,3,4] f[1,2,2,2]=-0.9,0.3,0.11,-0.35,0.77,1.2,1.45,-0.2",
          "mode=nearest" },
        { "f[1,1,3,4] f[1,1,3,2]=-0.9,0.3,0.11,-0.37,1.3,-0.2", "mode=bicubic" },
        { "f[1,1,3,4] f[1,1,3,2]=-0.9,0.3,0.11,-0.37,1.3,-0.2",
          "mode=bicubic,padding_mode=reflection,align_corners=true" },
        { "f[1,1,3,4] f[1,1,3,2]=-0.9,0.3,0.11,-0.37,1.3,-0.2",
          "mode=bicubic,padding_mode=border" },
        { "f[1,2,2,3,2] f[1,1,1,2,3]=-0.2,0.3,0.1,0.6,0.4,-0.45", NULL },
        { "f[1,1,2,3,2] f[1,1,1,2,3]=-0.2,0.3,0.1,0.6,1.4,-0.45",
          "mode=nearest,padding_mode=reflection" },
        { "f[1,1,1,2]=3,5 f[1,1,3,2]=nan,0,inf,0,1e300,0 -> 0 0", NULL },
        { "f[0,1,2,2] f[0,1,2,2]", NULL }),
};

cr_tensor *cr_grid_sample_at(cr_tensor *x, cr_tensor *grid, cr_grid_sample_opts opts)
{
    grid_attrs attrs = { .mode = opts.mode,
                         .padding_mode = opts.padding_mode,
                         .align_corners = opts.align_corners };
    return cr__record_n(NULL, &cr__op_grid_sample, (cr_tensor *[]){ x, grid }, 2, &attrs,
                        opts.site);
}
