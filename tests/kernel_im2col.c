/* Convolutions and their gradients as products whose matrices of patches are read from the
 * images and are nowhere in memory: against the definition in f64, and bit for bit against
 * sums whose terms are added one by one in their order. One to three dims, strides, padding, dilation,
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

/* One or two dims, whose lines, channels and taps have any number of vectors, tiles and threes. */
static conv random_plane(void)
{
    conv c = { .ndim = 1 + (int)below(2),
               .images = 1 + below(3),
               .groups = below(4) ? 1 : 2,
               .ins = 1 + below(below(2) ? 40 : 6),
               .outs = 1 + below(below(2) ? 40 : 6) };
    const bool pointwise = below(5) == 0;
    for (int d = 0; d < c.ndim; d++) {
        c.kernel[d] = pointwise ? 1 : below(2) ? 3 : 1 + below(7);
        c.stride[d] = pointwise || below(2) ? 1 : 1 + below(6);
        c.dilation[d] = below(3) ? 1 : 1 + below(3);
        c.padding[d] = pointwise || below(2) ? c.kernel[d] / 2 : below(4);
        const int64_t least = c.dilation[d] * (c.kernel[d] - 1) + 1 - 2 * c.padding[d];
        c.size[d] = (least > 1 ? least : 1) + below(d == c.ndim - 1 ? 37 : 7);
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
    cr__conv job;
    int64_t results;
} problem;

/* Of dims (first, second, space), contiguous. */
static void lay_out(int64_t *strides, const int64_t *space, int ndim, int64_t second)
{
    int64_t pitch = 1;
    for (int d = ndim - 1; d >= 0; d--) {
        strides[2 + d] = pitch;
        pitch *= space[d];
    }
    strides[1] = pitch;
    strides[0] = pitch * second;
}

static void describe(problem *p)
{
    static const cr__conv_pass passes[] = { CR__CONV_FORWARD, CR__CONV_WEIGHT,
                                            CR__CONV_INPUT };
    const conv *c = &p->c;
    const array *first = p->what == INPUT ? &p->y : &p->x,
                *second = p->what == WEIGHTS ? &p->y : &p->w;
    p->job =
        (cr__conv){ .pass = passes[p->what],
                    .ndim = c->ndim,
                    .images = c->images,
                    .groups = c->groups,
                    .ins = c->ins,
                    .outs = c->outs,
                    .dtype = p->x.dtype,
                    .operand = { { .data = first->data, .dtype = first->dtype },
                                 { .data = second->data, .dtype = second->dtype } } };
    for (int d = 0; d < c->ndim; d++) {
        p->job.size[d] = c->size[d], p->job.out[d] = c->out[d];
        p->job.kernel[d] = c->kernel[d], p->job.stride[d] = c->stride[d];
        p->job.padding[d] = c->padding[d], p->job.dilation[d] = c->dilation[d];
    }
    if (p->what == INPUT)
        lay_out(p->job.strides[0], c->out, c->ndim, c->groups * c->outs);
    else
        lay_out(p->job.strides[0], c->size, c->ndim, c->groups * c->ins);
    if (p->what == WEIGHTS)
        lay_out(p->job.strides[1], c->out, c->ndim, c->groups * c->outs);
    else
        lay_out(p->job.strides[1], c->kernel, c->ndim, c->ins);
    p->results = p->what == FORWARD ? c->images * c->groups * c->outs * c->positions
                 : p->what == INPUT ? c->images * c->groups * c->ins * c->pixels
                                    : c->groups * c->outs * c->ins * c->taps;
}

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
    free(p->job.memory);
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

/* ---- the order of sums ---- */

/* A sum of products in the order of contractions, of f32 or f64; or of reductions. */
typedef struct chain {
    bool wide, lanes;
    int64_t n;
    double block, all;
    double lane[CR__LANES];
    int height; /* of the tree of blocks */
    double tree[32];
} chain;

static double fused(const chain *s, double a, double b, double c)
{
    return s->wide ? fma(a, b, c) : (double)fmaf((float)a, (float)b, (float)c);
}

static double added(const chain *s, double a, double b)
{
    return s->wide ? a + b : (double)((float)a + (float)b);
}

/* Neighbours of equal size join, and in the end all. */
static void end_lanes(chain *s, bool last)
{
    int64_t done = (s->n + CR__BLOCK - 1) / CR__BLOCK;
    for (int half = CR__LANES / 2; half; half /= 2)
        for (int i = 0; i < half; i++)
            s->lane[i] = added(s, s->lane[i], s->lane[i + half]);
    s->tree[s->height++] = s->lane[0];
    memset(s->lane, 0, sizeof s->lane);
    for (; s->height > 1 && (last || done % 2 == 0); done /= 2) {
        s->height--;
        s->tree[s->height - 1] = added(s, s->tree[s->height - 1], s->tree[s->height]);
    }
}

static void chain_add(chain *s, double a, double b)
{
    if (s->lanes) {
        if (s->n > 0 && s->n % CR__BLOCK == 0)
            end_lanes(s, false);
        double *lane = &s->lane[s->n++ % CR__LANES];
        *lane = fused(s, a, b, *lane);
        return;
    }
    if (s->n > 0 && s->n % CR__GEMM_BLOCK == 0) {
        s->all = s->n == CR__GEMM_BLOCK ? s->block : added(s, s->all, s->block);
        s->block = 0;
    }
    s->block = fused(s, a, b, s->block);
    s->n++;
}

static double chain_end(chain *s)
{
    if (s->lanes)
        end_lanes(s, true);
    if (s->lanes)
        return s->tree[0];
    return s->n > CR__GEMM_BLOCK ? added(s, s->all, s->block) : s->block;
}

/* The element of a plane at a place, 0 outside of it. */
static double element(const array *x, int64_t plane, const int64_t *size, int ndim,
                      const int64_t *at, int exponent)
{
    int64_t i = plane;
    for (int d = 0; d < ndim; d++) {
        if (at[d] < 0 || at[d] >= size[d])
            return 0;
        i = i * size[d] + at[d];
    }
    return ldexp(get(x, i), exponent);
}

static void split(int64_t i, const int64_t *dims, int ndim, int64_t *at)
{
    for (int d = ndim - 1; d >= 0; d--) {
        at[d] = i % dims[d];
        i /= dims[d];
    }
}

/* The terms of one result: of image n and a channel at a place, or of a weight. */
static void sum_forward(const problem *p, chain *s, int64_t n, int64_t o,
                        const int64_t *at)
{
    const conv *c = &p->c;
    int64_t t[DIMS], u[DIMS];
    for (int64_t k = 0; k < c->ins * c->taps; k++) {
        const int64_t i = k / c->taps,
                      channel = n * c->groups * c->ins + o / c->outs * c->ins + i;
        split(k % c->taps, c->kernel, c->ndim, t);
        for (int d = 0; d < c->ndim; d++)
            u[d] = at[d] * c->stride[d] + t[d] * c->dilation[d] - c->padding[d];
        chain_add(
            s, ldexp(get(&p->w, o * c->ins * c->taps + k), p->job.operand[1].exponent),
            element(&p->x, channel, c->size, c->ndim, u, p->job.operand[0].exponent));
    }
}

static void sum_input(const problem *p, chain *s, int64_t n, int64_t i, const int64_t *at)
{
    const conv *c = &p->c;
    const int64_t g = i / c->ins;
    int64_t t[DIMS], u[DIMS];
    for (int64_t k = 0; k < c->outs * c->taps; k++) {
        const int64_t o = g * c->outs + k / c->taps,
                      w = (o * c->ins + i % c->ins) * c->taps + k % c->taps;
        bool meets = true;
        split(k % c->taps, c->kernel, c->ndim, t);
        for (int d = 0; d < c->ndim; d++) {
            u[d] = at[d] + c->padding[d] - t[d] * c->dilation[d];
            meets = meets && u[d] % c->stride[d] == 0;
            u[d] /= c->stride[d];
        }
        if (meets)
            chain_add(s, ldexp(get(&p->w, w), p->job.operand[1].exponent),
                      element(&p->y, n * c->groups * c->outs + o, c->out, c->ndim, u,
                              p->job.operand[0].exponent));
    }
}

static void sum_weight(const problem *p, chain *s, int64_t i, int64_t o, const int64_t *t)
{
    const conv *c = &p->c;
    int64_t at[DIMS], u[DIMS];
    s->lanes = c->outs == 1 || c->ins * c->taps == 1;
    for (int64_t k = 0; k < c->images * c->positions; k++) {
        const int64_t n = k / c->positions;
        split(k % c->positions, c->out, c->ndim, at);
        for (int d = 0; d < c->ndim; d++)
            u[d] = at[d] * c->stride[d] + t[d] * c->dilation[d] - c->padding[d];
        chain_add(s,
                  element(&p->y, n * c->groups * c->outs + o, c->out, c->ndim, at,
                          p->job.operand[1].exponent),
                  element(&p->x, n * c->groups * c->ins + o / c->outs * c->ins + i,
                          c->size, c->ndim, u, p->job.operand[0].exponent));
    }
}

/* All results, in the order of sums. */
static array in_order(const problem *p)
{
    const conv *c = &p->c;
    const int64_t *space = p->what == FORWARD ? c->out
                           : p->what == INPUT ? c->size
                                              : c->kernel;
    const int64_t seconds = p->what == FORWARD ? c->groups * c->outs
                            : p->what == INPUT ? c->groups * c->ins
                                               : c->ins;
    const int64_t places = product_of(space, c->ndim);
    const int exponent = -(p->job.operand[0].exponent + p->job.operand[1].exponent);
    array out = new_array(p->job.dtype, p->results);
    for (int64_t r = 0; r < p->results; r++) {
        const int64_t first = r / places / seconds, second = r / places % seconds;
        int64_t at[DIMS];
        chain s = { .wide = p->x.dtype == CR_F64 };
        split(r % places, space, c->ndim, at);
        if (p->what == FORWARD)
            sum_forward(p, &s, first, second, at);
        else if (p->what == INPUT)
            sum_input(p, &s, first, second, at);
        else
            sum_weight(p, &s, second, first, at);
        const double sum = ldexp(chain_end(&s), exponent);
        set(&out, r, s.wide ? sum : (double)(float)sum);
    }
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
    array want = in_order(p);
    const size_t asked = cr__conv_bytes(&p->job);
    if (asked && !(p->job.memory = malloc(asked)))
        exit(1);
    const size_t bytes = (size_t)p->results * cr_dtype_size(p->job.dtype);
    if (!near_definition(p, &want))
        wrong = "the order of sums is wrong";
    for (cr__isa isa = CR__GENERIC; isa < CR__ISAS && !wrong; isa++)
        for (int t = 0; t < TEAMS && !wrong && cr__isa_usable(isa); t++) {
            array got = new_array(p->job.dtype, p->results);
            p->job.result = got.data;
            spoil(teams[t]);
            if (asked)
                memset(p->job.memory, 0xff, asked);
            cr__convolve_for(isa, &p->job, teams[t]);
            if (memcmp(got.data, want.data, bytes) != 0)
                wrong = near_definition(p, &got) ? "other bits" : "not as defined";
            if (wrong)
                diag("%s, team %d: %s", cr__isa_name(isa), t, wrong);
            free(got.data);
        }
    if (wrong)
        diag("%s: %dd, %d images, %d groups of %d to %d channels; size "
             "%d, "
             "kernel %d, stride %d, padding %d, dilation %d",
             pass_names[p->what], c->ndim, (int)c->images, (int)c->groups, (int)c->ins,
             (int)c->outs, (int)c->size[0], (int)c->kernel[0], (int)c->stride[0],
             (int)c->padding[0], (int)c->dilation[0]);
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
    for (int i = 0; passed && i < tap_share(60); i++) {
        conv c = random_conv(i % 4 ? 20 : 60);
        passed = check_conv(&c, what, dtype, i % 3 == 0);
    }
    ok(passed, "%s, %s: any sizes", cr_dtype_name(dtype), pass_names[what]);
}

static void test_planes(pass what)
{
    bool passed = true;
    for (int i = 0; passed && i < tap_share(120); i++) {
        conv c = random_plane();
        passed = check_conv(&c, what, CR_F32, false);
    }
    ok(passed, "%s: planes", pass_names[what]);
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

/* Channels by themselves: small ones, lines beyond a tile's, planes beyond the buffer, and sums of
 * several blocks. */
static void test_channels(cr_dtype dtype, pass what)
{
    static const conv shapes[] = {
        CONV(2, 3, 5, 1, 1, { 56, 56 }, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 1, 1 }),
        CONV(2, 2, 2, 1, 1, { 97, 71 }, { 5, 3 }, { 2, 2 }, { 2, 1 }, { 1, 1 }),
        CONV(1, 2, 2, 1, 1, { 2500 }, { 4 }, { 1 }, { 3 }, { 2 }),
        CONV(2, 1, 2, 1, 1, { 4, 1100 }, { 2, 2 }, { 1, 1 }, { 1, 1 }, { 1, 1 }),
        CONV(2, 9, 2, 1, 1, { 31, 33 }, { 3, 3 }, { 1, 1 }, { 1, 1 }, { 2, 2 }),
        CONV(3, 2, 2, 1, 1, { 9, 11, 10 }, { 3, 2, 3 }, { 1, 2, 1 }, { 1, 0, 1 },
             { 1, 1, 2 }),
        CONV(2, 1, 2, 1, 1, { 40, 30 }, { 12, 11 }, { 1, 1 }, { 5, 5 }, { 1, 1 }),
    };
    bool passed = true;
    for (int i = 0; passed && i < tap_share(120) + CR__COUNT(shapes); i++) {
        conv c = i < CR__COUNT(shapes) ? shapes[i] : random_conv(i % 4 ? 33 : 150);
        if (i >= CR__COUNT(shapes))
            c.ins = c.outs = 1, c.groups += below(4);
        if (i % 5 == 4)
            *(what == INPUT ? &c.ins : &c.outs) = 2;
        finish(&c);
        passed = check_conv(&c, what, dtype, false);
    }
    ok(passed, "%s, %s: channels by themselves", cr_dtype_name(dtype), pass_names[what]);
}

/* Tiny images are scaled while they are read. */
static void test_scaled(cr_dtype dtype, pass what)
{
    const int tiny = dtype == CR_F64 ? -700 : dtype == CR_F16 ? -6 : -100;
    bool passed = true;
    for (int i = 0; passed && i < tap_share(20); i++) {
        conv c = random_conv(20);
        problem p;
        init_problem(&p, &c, what, dtype, tiny);
        if (what != INPUT)
            p.job.operand[0].exponent = -tiny;
        p.job.operand[1].exponent = 10;
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
            if (!cr__is_half(dtypes[i]))
                test_channels(dtypes[i], (pass)what);
            test_scaled(dtypes[i], (pass)what);
        }
    for (int what = 0; what < PASSES; what++)
        test_planes((pass)what);
    for (int i = 0; i < TEAMS; i++)
        cr_close(contexts[i]);
    return done_testing();
}
