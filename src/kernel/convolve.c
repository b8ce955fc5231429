/* Convolutions as matrix products (kernel.h): which matrices, and where their elements are. */
#include "sliding.h"
#include <string.h>

/* The outermost dim of each operand and of the result, and the second one. */
enum { OUTER, CHANNEL, SPACE };

static int64_t volume_of(const int64_t *v, int n)
{
    int64_t product = 1;
    for (int d = 0; d < n; d++)
        product *= v[d];
    return product;
}

/* Of one dim, what a result is made of: places first, first + step, .. of it are the positions of
 * a window on the operand, whose taps are the weight's tap, tap + tap_step, .. Results of forward
 * are one such phase, pixels one for each remainder by the stride. */
typedef struct conv_phase {
    int64_t first, step, tap, tap_step;
    cr__window window;
} conv_phase;

static int64_t divisor_of(int64_t a, int64_t b)
{
    while (b) {
        const int64_t rest = a % b;
        a = b, b = rest;
    }
    return a;
}

static conv_phase forward_phase(const cr__conv *c, int d)
{
    return (conv_phase){ .step = 1,
                         .tap_step = 1,
                         .window = { .n = c->out[d],
                                     .step = c->stride[d],
                                     .taps = c->kernel[d],
                                     .tap_step = c->dilation[d],
                                     .origin = -c->padding[d],
                                     .size = c->size[d] } };
}

/* Of the pixels that leave this remainder. */
CR__COLD static conv_phase pixel_phase(const cr__conv *c, int d, int64_t pixel)
{
    const int64_t stride = c->stride[d], dilation = c->dilation[d];
    conv_phase p = { .first = pixel,
                     .step = stride,
                     .tap_step = stride / divisor_of(stride, dilation),
                     .window = { .n = (c->size[d] - pixel - 1) / stride + 1,
                                 .step = 1,
                                 .size = c->out[d] } };
    p.window.tap_step = -dilation * p.tap_step / stride;
    while (p.tap < p.tap_step && p.tap < c->kernel[d] &&
           (pixel + c->padding[d] - p.tap * dilation) % stride)
        p.tap++;
    if (p.tap < p.tap_step && p.tap < c->kernel[d]) {
        p.window.taps = (c->kernel[d] - p.tap - 1) / p.tap_step + 1;
        p.window.origin = (pixel + c->padding[d] - p.tap * dilation) / stride;
    }
    return p;
}

/* What of a product follows from the operand: where it begins, type, exponent. */
static cr__reader reader_at(const cr__conv *c, int operand, int64_t offset)
{
    cr__reader reader = c->operand[operand];
    reader.data =
        (const char *)reader.data + offset * (int64_t)cr_dtype_size(reader.dtype);
    return reader;
}

/* The weights as a: rows `row` elements apart, columns (outer, taps). Without an image, if one
 * stride spans all columns. */
CR__COLD static void read_weights(cr__gemm_job *job, int64_t row, int64_t outer,
                                  cr__image *image)
{
    int64_t dims[1 + CR__IMAGE_DIMS] = { job->k },
                     strides[1 + CR__IMAGE_DIMS] = { outer };
    const int64_t taps = image->dims[0].cols *
                         (image->ndim > 1 ? image->dims[1].cols : 1) *
                         (image->ndim > 2 ? image->dims[2].cols : 1);
    dims[0] = taps ? job->k / taps : 0;
    for (int d = 0; d < image->ndim; d++) {
        cr__image_dim *dim = &image->dims[d];
        dim->size = dim->cols, dim->rows = 1, dim->col_step = 1;
        dims[1 + d] = dim->cols, strides[1 + d] = dim->stride;
    }
    job->a.row = row;
    if (cr__merge_dims(dims, strides, 1 + image->ndim, dims, strides) <= 1) {
        job->a.col = strides[0];
    } else {
        job->a.col = outer;
        job->a.image = image;
    }
}

/* The product is that of all images, or of each, in a batch of groups. */
static void batch_groups(cr__gemm_job *job, const cr__conv *c, int64_t a, int64_t b,
                         cr__places *places, int64_t rows)
{
    const int64_t pixels = places->row;
    job->batch_ndim = 1;
    job->batch_dims[0] = c->groups;
    job->a_batch[0] = a, job->b_batch[0] = b;
    places->outer = c->groups * rows * pixels;
    places->batch[0] = rows * pixels;
    job->m = rows;
    job->chain = true;
    job->places = places;
}

/* ---- without matrices ---- */

/* Whether elements are as sliding.h has them. */
static bool may_slide(const cr__conv *c)
{
    bool is = c->dtype == CR_F32 && c->ndim <= CR__PLANE;
    for (int i = 0; i < 2; i++)
        is = is && c->operand[i].dtype == CR_F32 && !c->operand[i].exponent;
    return is;
}

/* The dim of a plane that a dim is. */
static int plane_dim(const cr__conv *c, int d)
{
    return d + CR__PLANE - c->ndim;
}

/* Whether x and y exchange their roles in the weight's gradient, to either of which one place is a
 * position: what has fewer rows is transposed. */
static bool exchanges(const cr__conv *c)
{
    bool is = c->pass == CR__CONV_WEIGHT && c->outs > c->ins && c->ins >= 8;
    for (int d = 0; d < c->ndim; d++)
        is = is && c->kernel[d] == 1 && c->stride[d] == 1 && c->padding[d] == 0;
    return is;
}

/* The sizes, with windows of one place where none are given. */
CR__COLD static cr__sliding sliding_of(const cr__conv *c, const conv_phase *phases)
{
    const cr__window one = { 1, 1, 1, 1, 0, 1 };
    const bool input = c->pass == CR__CONV_INPUT || exchanges(c);
    cr__sliding d = { .images = c->images,
                      .groups = c->groups,
                      .rows = input ? c->ins : c->outs,
                      .channels = input ? c->outs : c->ins,
                      .dims = { one, one },
                      .memory = c->memory };
    for (int i = 0; i < c->ndim; i++)
        d.dims[plane_dim(c, i)] = phases[i].window;
    return d;
}

/* Of that operand; false if its places are not neighbours. */
static bool read_sliding(const cr__conv *c, int operand, cr__sliding *d)
{
    const int64_t *x = c->strides[operand];
    d->x = c->operand[operand].data;
    d->x_image = x[0], d->x_channel = x[1];
    d->x_line = c->ndim > 1 ? x[SPACE] : 0;
    return x[SPACE + c->ndim - 1] == 1;
}

/* The result's sizes, and strides of weights from row to row and from term to term. */
static const int64_t *conv_dims(const cr__conv *c)
{
    return c->pass == CR__CONV_INPUT ? c->size : c->out;
}
static int row_dim(const cr__conv *c)
{
    return c->pass == CR__CONV_INPUT ? CHANNEL : OUTER;
}

CR__COLD static void slide_over(const cr__conv *c, const conv_phase *phases,
                                cr__sliding *d)
{
    const int64_t *w = c->strides[1], *dims = conv_dims(c);
    int64_t pitch = 1, first = 0, tap = 0;
    *d = sliding_of(c, phases);
    for (int i = c->ndim - 1; i >= 0; i--) {
        const conv_phase *p = &phases[i];
        const int at = plane_dim(c, i);
        d->w_tap[at] = w[SPACE + i] * p->tap_step;
        d->c_place[at] = pitch * p->step;
        first += p->first * pitch;
        tap += p->tap * w[SPACE + i];
        pitch *= dims[i];
    }
    if (c->ndim == 1)
        d->c_place[0] = d->dims[1].n * d->c_place[1];
    d->w = (const float *)c->operand[1].data + tap;
    d->w_group = c->outs * w[OUTER];
    d->w_row = w[row_dim(c)], d->w_channel = w[!row_dim(c)];
    d->result = (float *)c->result + first;
    d->c_row = pitch, d->c_image = c->groups * d->rows * pitch;
}

/* Of several rows and columns: one alone would be a reduction. */
CR__COLD static bool slide_weight(cr__isa isa, const cr__conv *c, cr__team *team)
{
    const bool exchanged = exchanges(c);
    const int64_t *y = c->strides[!exchanged], taps = volume_of(c->kernel, c->ndim);
    conv_phase phases[CR__IMAGE_DIMS];
    for (int i = 0; i < c->ndim; i++)
        phases[i] = forward_phase(c, i);
    cr__sliding d = sliding_of(c, phases);
    if (!read_sliding(c, exchanged, &d))
        return false;
    d.c = c->operand[!exchanged].data;
    d.c_image = y[OUTER], d.c_row = y[CHANNEL];
    d.c_place[0] = d.dims[1].n;
    for (int i = 0; i < c->ndim; i++)
        d.c_place[plane_dim(c, i)] = y[SPACE + i];
    d.result = c->result;
    d.w_group = c->outs * c->ins * taps;
    d.w_row = exchanged ? 1 : c->ins * taps;
    d.w_channel = exchanged ? c->ins : taps;
    return cr__sliding_weight_for(isa, &d, team);
}

/* Of an input's gradient, as if all taps met all pixels. */
size_t cr__conv_bytes(const cr__conv *c)
{
    conv_phase phases[CR__IMAGE_DIMS];
    if (!may_slide(c))
        return 0;
    for (int i = 0; i < c->ndim; i++) {
        phases[i] = forward_phase(c, i);
        phases[i].window.n = c->pass == CR__CONV_INPUT ? c->size[i] : c->out[i];
    }
    const cr__sliding d = sliding_of(c, phases);
    return c->pass == CR__CONV_WEIGHT ? cr__sliding_weight_bytes(&d)
                                      : cr__sliding_bytes(&d);
}

/* ---- as products ---- */

CR__COLD static void multiply_phase(cr__isa isa, const cr__conv *c,
                                    const conv_phase *phases, cr__team *team)
{
    const int64_t *x = c->strides[0], *w = c->strides[1], *dims = conv_dims(c);
    const bool input = c->pass == CR__CONV_INPUT;
    const int64_t rows = input ? c->ins : c->outs, terms = input ? c->outs : c->ins;
    cr__gemm_job job = { .dtype = c->dtype };
    cr__image weights = { .ndim = c->ndim }, patches = { .ndim = c->ndim };
    cr__places places = { .ndim = c->ndim, .row = volume_of(dims, c->ndim) };
    int64_t pitch = 1, first = 0, tap = 0, places_all = 1, taps = 1;
    for (int d = c->ndim - 1; d >= 0; d--) {
        const conv_phase *p = &phases[d];
        weights.dims[d] = (cr__image_dim){ .stride = w[SPACE + d] * p->tap_step,
                                           .cols = p->window.taps };
        patches.dims[d] = (cr__image_dim){ .size = p->window.size,
                                           .stride = x[SPACE + d],
                                           .rows = p->window.taps,
                                           .row_step = p->window.tap_step,
                                           .cols = p->window.n,
                                           .col_step = p->window.step,
                                           .padding = -p->window.origin };
        places.dims[d] = p->window.n, places.strides[d] = pitch * p->step;
        first += p->first * pitch;
        tap += p->tap * w[SPACE + d];
        places_all *= p->window.n, taps *= p->window.taps;
        pitch *= dims[d];
    }
    batch_groups(&job, c, c->outs * w[OUTER], terms * x[CHANNEL], &places, rows);
    job.k = terms * taps;
    job.n = c->images * places_all;
    job.c = (char *)c->result + first * (int64_t)cr_dtype_size(c->dtype);
    job.a = reader_at(c, 1, tap);
    read_weights(&job, w[row_dim(c)], w[!row_dim(c)], &weights);
    job.b = reader_at(c, 0, 0);
    job.b.row = x[CHANNEL], job.b.col = x[OUTER], job.b.image = &patches;
    cr__gemm_for(isa, &job, team);
}

/* Some phases, or all, in one way or the other. All passes: whether who follows has been told. */
CR__COLD static bool convolve_phases(cr__isa isa, const cr__conv *c,
                                     conv_phase (*phases)[CR__IMAGE_DIMS], int n,
                                     bool all, cr__team *team)
{
    cr__sliding d[CR__SLIDING_PHASES];
    bool slides = c->memory && may_slide(c);
    for (int i = 0; i < n && slides; i++) {
        slide_over(c, phases[i], &d[i]);
        d[i].then = all ? c->then : NULL;
        slides = read_sliding(c, 0, &d[i]);
    }
    if (slides && cr__sliding_for(isa, d, n, team))
        return all;
    for (int i = 0; i < n; i++)
        multiply_phase(isa, c, phases[i], team);
    return false;
}

CR__COLD static bool convolve_forward(cr__isa isa, const cr__conv *c, cr__team *team)
{
    conv_phase phases[1][CR__IMAGE_DIMS];
    for (int d = 0; d < c->ndim; d++)
        phases[0][d] = forward_phase(c, d);
    return convolve_phases(isa, c, phases, 1, true, team);
}

/* Only phases that taps meet are computed; other pixels are 0. */
CR__COLD static bool convolve_input(cr__isa isa, const cr__conv *c, cr__team *team)
{
    int64_t remainders[CR__IMAGE_DIMS];
    bool sparse = false, told = false;
    conv_phase p[CR__SLIDING_PHASES][CR__IMAGE_DIMS];
    int n = 0;
    for (int d = 0; d < c->ndim; d++) {
        remainders[d] = c->stride[d] < c->size[d] ? c->stride[d] : c->size[d];
        for (int64_t i = 0; i < remainders[d]; i++)
            sparse |= pixel_phase(c, d, i).window.taps == 0;
    }
    if (sparse)
        memset(c->result, 0,
               (size_t)(c->images * c->groups * c->ins * volume_of(c->size, c->ndim)) *
                   cr_dtype_size(c->dtype));
    const int64_t all = volume_of(remainders, c->ndim);
    for (int64_t i = 0; i < all; i++) {
        bool met = true;
        int64_t rest = i;
        for (int d = c->ndim - 1; d >= 0; d--) {
            p[n][d] = pixel_phase(c, d, rest % remainders[d]);
            rest /= remainders[d];
            met &= p[n][d].window.taps > 0;
        }
        n += met;
        if (n == CR__SLIDING_PHASES || (i + 1 == all && n)) {
            told = convolve_phases(isa, c, p, n, n == all, team);
            n = 0;
        }
    }
    return told;
}

CR__COLD static bool convolve_weight(cr__isa isa, const cr__conv *c, cr__team *team)
{
    cr__gemm_job job = { .dtype = c->dtype, .c = c->result };
    if (c->memory && may_slide(c) && slide_weight(isa, c, team))
        return false;
    const int64_t *x = c->strides[0], *y = c->strides[1];
    cr__image positions = { .ndim = c->ndim }, patches = { .ndim = c->ndim };
    for (int d = 0; d < c->ndim; d++) {
        positions.dims[d] = (cr__image_dim){ .size = c->out[d],
                                             .stride = y[SPACE + d],
                                             .rows = 1,
                                             .cols = c->out[d],
                                             .col_step = 1 };
        patches.dims[d] = (cr__image_dim){ .size = c->size[d],
                                           .stride = x[SPACE + d],
                                           .rows = c->out[d],
                                           .row_step = c->stride[d],
                                           .cols = c->kernel[d],
                                           .col_step = c->dilation[d],
                                           .padding = c->padding[d] };
    }
    job.m = c->outs;
    job.k = c->images * volume_of(c->out, c->ndim);
    job.n = c->ins * volume_of(c->kernel, c->ndim);
    job.a = reader_at(c, 1, 0);
    job.a.row = y[CHANNEL], job.a.col = y[OUTER], job.a.image = &positions;
    job.b = reader_at(c, 0, 0);
    job.b.row = x[OUTER], job.b.col = x[CHANNEL], job.b.image = &patches;
    job.batch_ndim = 1;
    job.batch_dims[0] = c->groups;
    job.a_batch[0] = c->outs * y[CHANNEL], job.b_batch[0] = c->ins * x[CHANNEL];
    cr__gemm_for(isa, &job, team);
    return false;
}

/* ---- who follows, of what is complete ---- */

typedef struct following {
    const cr__conv *conv;
    int64_t numel, chunks;
    cr__team *team;
} following;

static void tell_chunk(void *arg, int64_t chunk, int worker)
{
    const following *f = arg;
    const cr__conv *c = f->conv;
    int64_t from, to;
    cr__part(f->numel, 512, chunk, f->chunks, &from, &to);
    const cr__panel panel = { .data = (const char *)c->result +
                                      from * (int64_t)cr_dtype_size(c->dtype),
                              .start = from,
                              .rows = 1,
                              .columns = to - from,
                              .scratch = cr__team_scratch(f->team, worker) };
    c->then->fn(c->then->arg, &panel);
}

CR__COLD static void tell_all(const cr__conv *c, cr__team *team)
{
    const bool input = c->pass == CR__CONV_INPUT;
    following f = { .conv = c, .team = team };
    f.numel = c->images * c->groups * (input ? c->ins : c->outs) *
              volume_of(conv_dims(c), c->ndim);
    f.chunks = cr__chunks(c->then->cost * (double)f.numel, (f.numel + 511) / 512, team);
    cr__parallel(team, f.chunks, tell_chunk, &f);
}

void cr__convolve_for(cr__isa isa, const cr__conv *conv, cr__team *team)
{
    static bool (*const passes[])(cr__isa, const cr__conv *,
                                  cr__team *) = { convolve_forward, convolve_input,
                                                  convolve_weight };
    bool told = false;
    if (!cr__depthwise_for(isa, conv, team, &told))
        told = passes[conv->pass](isa, conv, team);
    if (conv->then && !told)
        tell_all(conv, team);
}

void cr__convolve(const cr__conv *conv, cr__team *team)
{
    cr__convolve_for(cr__isa_in_use(), conv, team);
}
