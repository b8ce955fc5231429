/* Convolutions and their gradients as products whose matrices of patches are read from the
 * images and are nowhere in memory: against the definition in f64, and bit for bit against
 * products of the same matrices written out. One to three dims, strides, padding, dilation,
 * groups; every instruction set, one thread and more. Tensors lie in memory of just their
 * size, so that a sanitizer sees what is read outside. */
#include "../src/base/context.h"
#include "../src/kernel/rows.h"
#include "tap.h"
#include <stdlib.h>

enum { DIMS = CR__IMAGE_DIMS, TEAMS = 4 };

static uint64_t random_state = 1;

static int64_t below(int64_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((random_state >> 33) % (uint64_t)n);
}

/* ---- tensors ---- */

typedef struct array {
    cr_dtype dtype;
    int64_t n;
    void *data;
} array;

static array new_array(cr_dtype dtype, int64_t n)
{
    array x = { dtype, n, calloc((size_t)n, cr_dtype_size(dtype)) };
    if (!x.data) {
        diag("no memory");
        exit(1);
    }
    return x;
}

static double get(const array *x, int64_t i)
{
    if (cr__is_half(x->dtype))
        return cr__half_value(x->dtype, ((const uint16_t *)x->data)[i]);
    return x->dtype == CR_F64 ? ((const double *)x->data)[i]
                              : (double)((const float *)x->data)[i];
}

static void set(array *x, int64_t i, double value)
{
    const float narrow = (float)value;
    if (cr__is_half(x->dtype))
        cr__half_find(x->dtype)->narrow((uint16_t *)x->data + i, &narrow, 1);
    else if (x->dtype == CR_F64)
        ((double *)x->data)[i] = value;
    else
        ((float *)x->data)[i] = narrow;
}

static array random_array(cr_dtype dtype, int64_t n, int exponent)
{
    array x = new_array(dtype, n);
    for (int64_t i = 0; i < n; i++)
        set(&x, i, ldexp((double)below(1 << 12) - 2048, exponent - 11));
    return x;
}

/* ---- a convolution ---- */

typedef struct conv {
    int ndim;
    int64_t images, groups, ins, outs; /* channels of a group */
    int64_t size[DIMS], kernel[DIMS], stride[DIMS], padding[DIMS], dilation[DIMS];
    /* what follows from that: of one channel, products */
    int64_t out[DIMS], pixels, positions, taps;
} conv;

static int64_t product_of(const int64_t *v, int n)
{
    int64_t p = 1;
    for (int d = 0; d < n; d++)
        p *= v[d];
    return p;
}

static void finish(conv *c)
{
    for (int d = 0; d < c->ndim; d++)
        c->out[d] =
            (c->size[d] + 2 * c->padding[d] - c->dilation[d] * (c->kernel[d] - 1) - 1) /
                c->stride[d] +
            1;
    c->pixels = product_of(c->size, c->ndim);
    c->positions = product_of(c->out, c->ndim);
    c->taps = product_of(c->kernel, c->ndim);
}

static conv random_conv(int64_t most)
{
    conv c = { .ndim = 1 + (int)below(DIMS),
               .images = 1 + below(3),
               .groups = 1 + below(3),
               .ins = 1 + below(5),
               .outs = 1 + below(9) };
    for (int d = 0; d < c.ndim; d++) {
        c.kernel[d] = 1 + below(c.ndim == 1 ? 7 : 4);
        c.stride[d] = 1 + below(3);
        c.dilation[d] = 1 + below(3);
        c.padding[d] = below(4);
        const int64_t least = c.dilation[d] * (c.kernel[d] - 1) + 1 - 2 * c.padding[d];
        c.size[d] = (least > 1 ? least : 1) + below(c.ndim == 1 ? most : most / 6 + 2);
    }
    finish(&c);
    return c;
}

/* Calls visit for every product of the convolution: that of pixel, position and tap of one
 * channel, numbered row-major. */
typedef void visit(void *arg, int64_t pixel, int64_t position, int64_t tap);
static void each_term(const conv *c, visit *to, void *arg)
{
    for (int64_t position = 0; position < c->positions; position++)
        for (int64_t tap = 0; tap < c->taps; tap++) {
            int64_t p = position, t = tap, pixel = 0, pitch = 1;
            bool inside = true;
            for (int d = c->ndim - 1; d >= 0; d--) {
                int64_t at = p % c->out[d] * c->stride[d] +
                             t % c->kernel[d] * c->dilation[d] - c->padding[d];
                inside = inside && at >= 0 && at < c->size[d];
                pixel += at * pitch;
                pitch *= c->size[d];
                p /= c->out[d], t /= c->kernel[d];
            }
            if (inside)
                to(arg, pixel, position, tap);
        }
}

/* ---- the three passes ---- */

typedef enum pass { FORWARD, WEIGHTS, INPUT, PASSES } pass;
static const char *const pass_names[PASSES] = { "forward", "weight gradient",
                                                "input gradient" };

/* All that belongs to one case: x [images, groups*ins, pixels], w [groups*outs, ins, taps],
 * y [images, groups*outs, positions]. */
typedef struct problem {
    conv c;
    pass what;
    array x, w, y;
    cr__gemm_job job;
    cr__image a, b;
    int64_t results;
} problem;

/* The patches of x as a matrix [channel and tap, image and position], or, turned, its
 * transpose. */
static cr__image patches(const conv *c, bool turned)
{
    cr__image image = { .ndim = c->ndim };
    int64_t pitch = 1;
    for (int d = c->ndim - 1; d >= 0; d--) {
        image.dims[d] = (cr__image_dim){ .size = c->size[d],
                                         .stride = pitch,
                                         .rows = c->kernel[d],
                                         .row_step = c->dilation[d],
                                         .cols = c->out[d],
                                         .col_step = c->stride[d],
                                         .padding = c->padding[d] };
        if (turned) {
            cr__image_dim *i = &image.dims[d];
            i->cols = c->kernel[d], i->col_step = c->dilation[d];
            i->rows = c->out[d], i->row_step = c->stride[d];
        }
        pitch *= c->size[d];
    }
    return image;
}

/* Of y as the input gradient reads it: [channel and tap, pixel]. */
static cr__image spread_patches(const conv *c)
{
    cr__image image = { .ndim = c->ndim };
    int64_t pitch = 1;
    for (int d = c->ndim - 1; d >= 0; d--) {
        image.dims[d] = (cr__image_dim){ .size = c->out[d],
                                         .stride = pitch,
                                         .rows = c->kernel[d],
                                         .row_step = -c->dilation[d],
                                         .cols = c->size[d],
                                         .col_step = 1,
                                         .padding = -c->padding[d],
                                         .spread = c->stride[d] };
        pitch *= c->out[d];
    }
    return image;
}

/* A matrix whose columns are numbered (outer, inner), the inner ones neighbours. */
static cr__image two_levels(int64_t inner)
{
    return (cr__image){ .ndim = 1,
                        .dims = { { .size = inner,
                                    .stride = 1,
                                    .rows = 1,
                                    .cols = inner,
                                    .col_step = 1 } } };
}

static void describe(problem *p)
{
    const conv *c = &p->c;
    const int64_t k = c->ins * c->taps;
    cr__gemm_job *job = &p->job;
    job->dtype = p->x.dtype;
    switch (p->what) {
    case FORWARD:
        p->b = patches(c, false);
        job->m = c->outs, job->k = k, job->n = c->positions;
        job->a = (cr__reader){ .data = p->w.data, .row = k, .col = 1 };
        job->b = (cr__reader){ .data = p->x.data, .row = c->pixels, .image = &p->b };
        break;
    case WEIGHTS:
        p->a = two_levels(c->positions);
        p->b = patches(c, true);
        job->m = c->outs, job->k = c->images * c->positions, job->n = k;
        job->a = (cr__reader){ .data = p->y.data,
                               .row = c->positions,
                               .col = c->groups * c->outs * c->positions,
                               .image = &p->a };
        job->b = (cr__reader){ .data = p->x.data,
                               .row = c->groups * c->ins * c->pixels,
                               .col = c->pixels,
                               .image = &p->b };
        break;
    default:
        p->a = two_levels(c->taps);
        p->b = spread_patches(c);
        job->m = c->ins, job->k = c->outs * c->taps, job->n = c->pixels;
        job->a =
            (cr__reader){ .data = p->w.data, .row = c->taps, .col = k, .image = &p->a };
        job->b = (cr__reader){ .data = p->y.data, .row = c->positions, .image = &p->b };
    }
    job->a.dtype = job->b.dtype = p->x.dtype;
    const int64_t group_x = c->ins * c->pixels, group_y = c->outs * c->positions,
                  group_w = c->outs * k;
    job->batch_ndim = p->what == WEIGHTS ? 1 : 2;
    job->batch_dims[0] = c->images, job->batch_dims[1] = c->groups;
    if (p->what == WEIGHTS) {
        job->batch_dims[0] = c->groups;
        job->a_batch[0] = group_y, job->b_batch[0] = group_x;
        p->results = c->groups * group_w;
        return;
    }
    job->a_batch[0] = 0, job->a_batch[1] = group_w;
    job->b_batch[1] = p->what == FORWARD ? group_x : group_y;
    job->b_batch[0] = c->groups * job->b_batch[1];
    p->results = c->images * c->groups * job->m * job->n;
}

/* The job points into the problem, which therefore stays where it is. */
static void init_problem(problem *p, const conv *c, pass what, cr_dtype dtype,
                         int exponent)
{
    *p = (problem){ .c = *c, .what = what };
    p->x = random_array(dtype, c->images * c->groups * c->ins * c->pixels, exponent);
    p->w = random_array(dtype, c->groups * c->outs * c->ins * c->taps, 0);
    p->y = random_array(dtype, c->images * c->groups * c->outs * c->positions, 0);
    describe(p);
}

static void free_problem(problem *p)
{
    free(p->x.data);
    free(p->w.data);
    free(p->y.data);
}

/* ---- the definition ---- */

/* The terms of one pair of channels. */
typedef struct sums {
    const problem *p;
    const array *left, *right;
    int64_t at_left, at_right, at_out;
    double *out, *size; /* and the sum of the terms' sizes */
} sums;

static void add_term(void *arg, int64_t pixel, int64_t position, int64_t tap)
{
    sums *s = arg;
    int64_t left = s->p->what == WEIGHTS ? position : tap;
    int64_t right = s->p->what == INPUT ? position : pixel;
    int64_t out = s->p->what == FORWARD ? position : s->p->what == WEIGHTS ? tap : pixel;
    double term = get(s->left, s->at_left + left) * get(s->right, s->at_right + right);
    s->out[s->at_out + out] += term;
    s->size[s->at_out + out] += fabs(term);
}

static void define(const problem *p, double *out, double *size)
{
    const conv *c = &p->c;
    memset(out, 0, (size_t)p->results * sizeof *out);
    memset(size, 0, (size_t)p->results * sizeof *size);
    for (int64_t n = 0; n < c->images; n++)
        for (int64_t o = 0; o < c->groups * c->outs; o++)
            for (int64_t i = 0; i < c->ins; i++) {
                const int64_t g = o / c->outs;
                const int64_t x = ((n * c->groups + g) * c->ins + i) * c->pixels;
                const int64_t y = (n * c->groups * c->outs + o) * c->positions;
                const int64_t w = (o * c->ins + i) * c->taps;
                sums s = { .p = p, .out = out, .size = size };
                s.left = p->what == WEIGHTS ? &p->y : &p->w;
                s.right = p->what == INPUT ? &p->y : &p->x;
                s.at_left = p->what == WEIGHTS ? y : w;
                s.at_right = p->what == INPUT ? y : x;
                s.at_out = p->what == FORWARD ? y : p->what == WEIGHTS ? w : x;
                each_term(c, add_term, &s);
            }
}

/* ---- the same product of matrices that are written out ---- */

typedef struct writing {
    const problem *p;
    array *b;
    int64_t from, row, column; /* of the channel: in memory, and in the matrix */
} writing;

static void write_element(void *arg, int64_t pixel, int64_t position, int64_t tap)
{
    writing *w = arg;
    const problem *p = w->p;
    int64_t row = w->row + (p->what == WEIGHTS ? position : tap);
    int64_t column = w->column + (p->what == FORWARD   ? position
                                  : p->what == WEIGHTS ? tap
                                                       : pixel);
    double value =
        p->what == INPUT ? get(&p->y, w->from + position) : get(&p->x, w->from + pixel);
    set(w->b, row * p->job.n + column, value);
}

/* One batch: group g of image n, or of all images. */
static void write_matrices(const problem *p, int64_t n, int64_t g, array *a, array *b)
{
    const conv *c = &p->c;
    const int64_t k = p->job.k;
    for (int64_t i = 0; i < p->job.m; i++)
        for (int64_t j = 0; j < k; j++) {
            int64_t w = (g * c->outs + i) * k + j; /* forward */
            if (p->what == INPUT)
                w = ((g * c->outs + j / c->taps) * c->ins + i) * c->taps + j % c->taps;
            int64_t y =
                ((j / c->positions * c->groups + g) * c->outs + i) * c->positions +
                j % c->positions;
            set(a, i * k + j, p->what == WEIGHTS ? get(&p->y, y) : get(&p->w, w));
        }
    memset(b->data, 0, (size_t)b->n * cr_dtype_size(b->dtype));
    const int64_t channels = p->what == INPUT ? c->outs : c->ins;
    const int64_t pitch = p->what == INPUT ? c->positions : c->pixels;
    for (int64_t image = 0; image < c->images; image++)
        for (int64_t i = 0; i < channels; i++) {
            writing w = { .p = p, .b = b, .row = i * c->taps };
            w.from = ((image * c->groups + g) * channels + i) * pitch;
            if (p->what == WEIGHTS)
                w.row = image * c->positions, w.column = i * c->taps;
            if (p->what == WEIGHTS || image == n)
                each_term(c, write_element, &w);
        }
}

static array of_matrices(const problem *p, cr__team *team)
{
    const conv *c = &p->c;
    const int64_t m = p->job.m, n = p->job.n, k = p->job.k;
    array a = new_array(p->x.dtype, m * k), b = new_array(p->x.dtype, k * n);
    array out = new_array(p->job.dtype, p->results);
    int64_t batches = p->results / (m * n);
    for (int64_t i = 0; i < batches; i++) {
        write_matrices(p, p->what == WEIGHTS ? 0 : i / c->groups, i % c->groups, &a, &b);
        cr__gemm_job job = { .dtype = p->job.dtype, .m = m, .n = n, .k = k };
        job.a = (cr__reader){ a.data, a.dtype, p->job.a.exponent, .row = k, .col = 1 };
        job.b = (cr__reader){ b.data, b.dtype, p->job.b.exponent, .row = n, .col = 1 };
        job.c = (char *)out.data + i * m * n * (int64_t)cr_dtype_size(out.dtype);
        cr__gemm_for(CR__GENERIC, &job, team);
    }
    free(a.data);
    free(b.data);
    return out;
}

/* ---- cases ---- */

static cr__team *teams[TEAMS];

static bool near_definition(const problem *p, const array *got)
{
    double *want = calloc((size_t)p->results, sizeof *want),
           *size = calloc((size_t)p->results, sizeof *size);
    if (!want || !size)
        exit(1);
    define(p, want, size);
    const double unit = p->job.dtype == CR_F64 ? 0x1p-50 : 0x1p-21;
    const double rounding = p->job.dtype == CR_BF16  ? 0x1p-8
                            : p->job.dtype == CR_F16 ? 0x1p-11
                                                     : 0;
    bool near = true;
    for (int64_t i = 0; near && i < p->results; i++)
        near = fabs(get(got, i) - want[i]) <=
               unit * size[i] + rounding * fabs(want[i]) + (rounding > 0 ? 0x1p-24 : 0);
    free(want);
    free(size);
    return near;
}

/* Scratch memory holds NaNs: what is not written is seen. */
static void spoil(cr__team *team)
{
    for (int i = 0; i < cr__team_size(team); i++)
        memset(cr__team_scratch(team, i), 0xff, CR__SCRATCH_BYTES);
}

/* Says what failed; frees the problem. */
static bool check(problem *p)
{
    const char *wrong = NULL;
    const conv *c = &p->c;
    array want = of_matrices(p, teams[0]);
    const size_t bytes = (size_t)p->results * cr_dtype_size(p->job.dtype);
    if (!near_definition(p, &want))
        wrong = "the matrices are wrong";
    for (cr__isa isa = CR__GENERIC; isa < CR__ISAS && !wrong; isa++)
        for (int t = 0; t < TEAMS && !wrong && cr__isa_usable(isa); t++) {
            array got = new_array(p->job.dtype, p->results);
            p->job.c = got.data;
            spoil(teams[t]);
            cr__gemm_for(isa, &p->job, teams[t]);
            if (memcmp(got.data, want.data, bytes) != 0)
                wrong = near_definition(p, &got) ? "other bits" : "not as defined";
            if (wrong)
                diag("%s, team %d: %s", cr__isa_name(isa), t, wrong);
            free(got.data);
        }
    if (wrong)
        diag("%s: m %d n %d k %d; %dd, %d images, %d groups of %d to %d channels; size "
             "%d, "
             "kernel %d, stride %d, padding %d, dilation %d",
             pass_names[p->what], (int)p->job.m, (int)p->job.n, (int)p->job.k, c->ndim,
             (int)c->images, (int)c->groups, (int)c->ins, (int)c->outs, (int)c->size[0],
             (int)c->kernel[0], (int)c->stride[0], (int)c->padding[0],
             (int)c->dilation[0]);
    free(want.data);
    free_problem(p);
    return !wrong;
}

/* Results of bf16 and f16 may be wide. */
static bool check_conv(const conv *c, pass what, cr_dtype dtype, bool wide)
{
    problem p;
    init_problem(&p, c, what, dtype, 0);
    if (wide && cr__is_half(dtype))
        p.job.dtype = CR_F32;
    return check(&p);
}

static void test_random(cr_dtype dtype, pass what)
{
    bool passed = true;
    for (int i = 0; passed && i < 60; i++) {
        conv c = random_conv(i % 4 ? 20 : 60);
        passed = check_conv(&c, what, dtype, i % 3 == 0);
    }
    ok(passed, "%s, %s: any sizes", cr_dtype_name(dtype), pass_names[what]);
}

/* Shapes that are cut among threads, and one with several blocks of the sum. */
static void test_large(cr_dtype dtype, pass what)
{
#define CONV(...)                   \
    {                               \
        __VA_ARGS__, { 0 }, 0, 0, 0 \
    }
    static const conv shapes[] = {
        CONV(2, 2, 1, 32, 40, { 20, 17 }, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }),
        CONV(2, 1, 2, 30, 16, { 23, 24 }, { 3, 3 }, { 2, 2 }, { 1, 1 }, { 1, 1 }),
        CONV(1, 3, 1, 3, 70, { 500 }, { 9 }, { 2 }, { 4 }, { 2 }),
        CONV(3, 1, 1, 12, 20, { 9, 8, 10 }, { 3, 3, 3 }, { 1, 2, 1 }, { 1, 0, 1 },
             { 1, 1, 2 }),
        CONV(2, 1, 1, 64, 1, { 16, 16 }, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }),
    };
    bool passed = true;
    for (int i = 0; passed && i < CR__COUNT(shapes); i++) {
        conv c = shapes[i];
        finish(&c);
        passed = check_conv(&c, what, dtype, i % 3 == 0);
    }
    ok(passed, "%s, %s: larger ones", cr_dtype_name(dtype), pass_names[what]);
}

/* Tiny images are scaled while they are read. */
static void test_scaled(cr_dtype dtype, pass what)
{
    const int tiny = dtype == CR_F64 ? -700 : dtype == CR_F16 ? -6 : -100;
    bool passed = true;
    for (int i = 0; passed && i < 20; i++) {
        conv c = random_conv(20);
        problem p;
        init_problem(&p, &c, what, dtype, tiny);
        if (what != INPUT)
            p.job.b.exponent = -tiny;
        p.job.a.exponent = 10;
        if (i % 3 == 0 && cr__is_half(dtype))
            p.job.dtype = CR_F32;
        passed = check(&p);
    }
    ok(passed, "%s, %s: scaled", cr_dtype_name(dtype), pass_names[what]);
}

int main(void)
{
    static const int threads[TEAMS] = { 1, 2, 3, 7 };
    static const cr_dtype dtypes[] = { CR_F32, CR_F64, CR_BF16, CR_F16 };
    cr_ctx *contexts[TEAMS];
    for (int i = 0; i < TEAMS; i++) {
        contexts[i] = cr_open(&(cr_options){ .threads = threads[i] });
        teams[i] = contexts[i]->team;
    }
    for (int i = 0; i < CR__COUNT(dtypes); i++)
        for (int what = 0; what < PASSES; what++) {
            test_random(dtypes[i], (pass)what);
            test_large(dtypes[i], (pass)what);
            test_scaled(dtypes[i], (pass)what);
        }
    for (int i = 0; i < TEAMS; i++)
        cr_close(contexts[i]);
    return done_testing();
}
