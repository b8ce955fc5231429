/* Convolutions of f32 whose sums run over the taps of one channel alone, and what they make of it for the
 * weight: there is nothing for a product of matrices to do. A part of a plane lies in a buffer in the
 * cache with its padding, where the loops of depthwise_body.h read it in place. The order of sums is
 * that of the products (kernel.h): chains over the taps, all in one block, and for the weight the
 * reduction. */
#include "rows.h"
#include <string.h>

#define MOST_TAPS 128
/* Elements of a buffer in the first level cache, and of one that holds just a line of results; what is
 * read, and not used, behind a line. */
#define BUFFER       6144
#define LARGEST      32768
#define SLACK        128
#define MOST_COLUMNS 1024
/* Results of one plane, at most: more are better a product. */
#define MOST_REPEATS 2
/* Subtrees of block results: more than 2^48 elements there are not. */
#define MOST_SUBTREES 37

/* Taps, and where in the buffer they meet the first result. */
typedef struct tap_list {
    int n;
    int64_t at[MOST_TAPS];
    float weight[MOST_TAPS];
} tap_list;

/* Lines of zeros, n elements and zeros: lines are `pitch` apart in the buffer, `step` where they come
 * from, and what is read next is `ahead` bytes behind. */
typedef struct line_copy {
    float *to;
    const float *from;
    int64_t pitch, step, lines, before, n, after, ahead;
} line_copy;

#define CR__TEMPLATE "depthwise_body.h"
#include "for_each_set.h"

typedef struct depthwise_loops {
    void (*copy)(const line_copy *);
    void (*sum)(const tap_list *, const float *x, int64_t step, float *out, int64_t pitch,
                int64_t lines, int64_t n);
    void (*add)(const tap_list *, const float *y, const float *x, float *lanes,
                int64_t lane, int64_t n, const char *const *next);
} depthwise_loops;
#define DEPTHWISE_LOOPS(S)                                    \
    {                                                         \
        depth_copy##S, depth_sum_lines##S, depth_add_lanes##S \
    }
static const depthwise_loops depthwise_loops_of[CR__ISAS] = { CR__EACH_SET(
    DEPTHWISE_LOOPS) };

/* ---- what is summed up ---- */

/* One dim: result i is at first + i * place; with tap j it meets the element of a plane at i * step +
 * offset[j], if that is below size, for the weight's element tap[j]. */
typedef struct depth_axis {
    int64_t results, first, place, size, step;
    int64_t least, reach; /* the first offset, and from it to behind the last */
    int taps;
    int64_t tap[MOST_TAPS], offset[MOST_TAPS];
} depth_axis;

CR__COLD static void span_axis(depth_axis *a)
{
    int64_t most = a->taps ? a->offset[0] : 0;
    a->least = most;
    for (int j = 0; j < a->taps; j++) {
        a->least = a->offset[j] < a->least ? a->offset[j] : a->least;
        most = a->offset[j] > most ? a->offset[j] : most;
    }
    a->reach = most - a->least + 1;
}

CR__COLD static void forward_axis(const cr__conv *c, int d, depth_axis *a)
{
    *a = (depth_axis){ .results = c->out[d],
                       .place = 1,
                       .size = c->size[d],
                       .step = c->stride[d],
                       .taps = (int)c->kernel[d] };
    for (int j = 0; j < a->taps; j++)
        a->tap[j] = j, a->offset[j] = j * c->dilation[d] - c->padding[d];
    span_axis(a);
}

/* Of the pixels that leave this remainder by the stride: taps that meet them. */
CR__COLD static void input_axis(const cr__conv *c, int d, int64_t remainder,
                                depth_axis *a)
{
    *a = (depth_axis){ .results = (c->size[d] - remainder - 1) / c->stride[d] + 1,
                       .first = remainder,
                       .place = c->stride[d],
                       .size = c->out[d],
                       .step = 1 };
    for (int64_t j = 0; j < c->kernel[d]; j++) {
        const int64_t at = remainder + c->padding[d] - j * c->dilation[d];
        if (at % c->stride[d] == 0)
            a->tap[a->taps] = j, a->offset[a->taps++] = at / c->stride[d];
    }
    span_axis(a);
}

/* Dims that a convolution does not have, which are the first ones. */
CR__COLD static void no_axis(depth_axis *a)
{
    *a = (depth_axis){
        .results = 1, .place = 1, .size = 1, .step = 1, .taps = 1, .reach = 1
    };
}

typedef struct depthwise {
    const cr__conv *conv;
    cr__team *team;
    const depthwise_loops *loops;
    int64_t strides[2][CR__IMAGE_DIMS], result[CR__IMAGE_DIMS];
    int64_t rows, columns,
        tiles[CR__IMAGE_DIMS]; /* results of a tile; how many there are */
    /* Of the result; made of one of the operand's; by remainders of pixels; of all images. */
    int64_t channels, repeats, phases, planes, chunks;
} depthwise;

/* Taps of a phase and where their elements lie: in `lines` lines for each tap of the first dim, in
 * parts of `pitch` elements. */
typedef struct depth_phase {
    depth_axis dim[CR__IMAGE_DIMS];
    tap_list taps;
    int64_t weight[MOST_TAPS]; /* where in the weight */
    int64_t lines, parts, pitch;
} depth_phase;

CR__COLD static void phase_axes(const cr__conv *c, int64_t phase, depth_phase *p)
{
    const int lead = CR__IMAGE_DIMS - c->ndim;
    for (int d = CR__IMAGE_DIMS - 1; d >= 0; d--) {
        if (d < lead) {
            no_axis(&p->dim[d]);
        } else if (c->pass != CR__CONV_INPUT) {
            forward_axis(c, d - lead, &p->dim[d]);
        } else {
            const int64_t size = c->size[d - lead], stride = c->stride[d - lead],
                          remainders = stride < size ? stride : size;
            input_axis(c, d - lead, phase % remainders, &p->dim[d]);
            phase /= remainders;
        }
    }
}

/* Elements of the buffer for a tile, laid out for chains: lines of the plane, each in as many parts as
 * there are remainders by the step, so that results of a line meet neighbours. */
CR__COLD static int64_t lay_out_chains(depth_phase *p, int64_t rows, int64_t columns)
{
    const depth_axis *h = &p->dim[1], *w = &p->dim[2];
    p->lines = (rows - 1) * h->step + h->reach;
    p->parts = w->step < w->reach ? w->step : w->reach;
    p->pitch = columns + (w->reach - 1) / w->step;
    return p->dim[0].taps * p->lines * p->parts * p->pitch;
}

CR__COLD static int64_t chain_at(const depth_phase *p, int i, int j, int k)
{
    const depth_axis *w = &p->dim[2];
    const int64_t line = p->dim[1].offset[j] - p->dim[1].least,
                  column = w->offset[k] - w->least;
    return ((i * p->lines + line) * p->parts + column % w->step) * p->pitch +
           column / w->step;
}

/* And for the weight: for every tap of the last dim the elements that it meets, as results lie, in
 * parts by the remainder of lines. */
CR__COLD static int64_t lay_out_weight(depth_phase *p, int64_t rows, int64_t columns)
{
    const depth_axis *h = &p->dim[1];
    p->lines = rows + (h->reach - 1) / h->step;
    p->parts = h->step < h->reach ? h->step : h->reach;
    p->pitch = columns;
    return p->dim[0].taps * p->parts * p->dim[2].taps * p->lines * p->pitch;
}

CR__COLD static int64_t tap_weight(const depth_phase *p, int i, int j, int k)
{
    const depth_axis *h = &p->dim[1];
    const int64_t line = h->offset[j] - h->least, part = i * p->parts + line % h->step;
    return ((part * p->dim[2].taps + k) * p->lines + line / h->step) * p->pitch;
}

CR__COLD static int64_t lay_out(const depthwise *d, depth_phase *p, int64_t rows,
                                int64_t columns)
{
    return d->conv->pass == CR__CONV_WEIGHT ? lay_out_weight(p, rows, columns)
                                            : lay_out_chains(p, rows, columns);
}

/* strides: of the weight's dims, if there is one to read. */
CR__COLD static void init_phase(const depthwise *d, int64_t phase, depth_phase *p)
{
    const bool weight = d->conv->pass == CR__CONV_WEIGHT;
    const int64_t *strides = d->strides[1];
    int n = 0;
    phase_axes(d->conv, phase, p);
    lay_out(d, p, d->rows, d->columns);
    for (int i = 0; i < p->dim[0].taps; i++)
        for (int j = 0; j < p->dim[1].taps; j++)
            for (int k = 0; k < p->dim[2].taps; k++, n++) {
                p->taps.at[n] = weight ? tap_weight(p, i, j, k) : chain_at(p, i, j, k);
                p->weight[n] = p->dim[0].tap[i] * strides[0] +
                               p->dim[1].tap[j] * strides[1] +
                               p->dim[2].tap[k] * strides[2];
            }
    p->taps.n = n;
}

/* ---- the buffer ---- */

/* n coordinates, `step` apart, of which some are in a plane. */
typedef struct depth_span {
    int64_t from, step, n;
} depth_span;

/* Those inside are begin .. end - 1. */
static void span_inside(const depth_span *s, int64_t size, int64_t *begin, int64_t *end)
{
    *begin = s->from < 0 ? (s->step - 1 - s->from) / s->step : 0;
    *end = s->from < size ? (size - s->from - 1) / s->step + 1 : 0;
    *end = *end < s->n ? *end : s->n;
    *begin = *begin < *end ? *begin : *end;
}

/* Elements of a plane that become lines of the buffer, 0 where there are none. */
typedef struct depth_lines {
    float *to;
    const float *plane;
    int64_t pitch; /* from one line to the next, in elements */
    int64_t sizes[2], strides[2];
    depth_span rows, columns;
    int64_t ahead;
} depth_lines;

/* Of elements that are no neighbours. */
static void copy_spread(const line_copy *c, int64_t step)
{
    const float *from = c->from;
    float *to = c->to;
    for (int64_t l = 0; l < c->lines; l++, to += c->pitch, from += c->step) {
        memset(to, 0, (size_t)c->before * sizeof *to);
        for (int64_t i = 0; i < c->n; i++)
            to[c->before + i] = from[i * step];
        memset(to + c->before + c->n, 0, (size_t)c->after * sizeof *to);
    }
}

static void copy_lines(const depthwise *d, const depth_lines *c)
{
    int64_t top, bottom, left, right;
    span_inside(&c->rows, c->sizes[0], &top, &bottom);
    span_inside(&c->columns, c->sizes[1], &left, &right);
    const int64_t y = c->rows.from + top * c->rows.step,
                  x = c->columns.from + left * c->columns.step;
    for (int64_t l = 0; l < c->rows.n; l++)
        if (l < top || l >= bottom || left == right)
            memset(c->to + l * c->pitch, 0, (size_t)c->columns.n * sizeof *c->to);
    if (top == bottom || left == right)
        return;
    line_copy copy = { .to = c->to + top * c->pitch,
                       .from = c->plane + y * c->strides[0] + x * c->strides[1],
                       .pitch = c->pitch,
                       .step = c->rows.step * c->strides[0],
                       .lines = bottom - top,
                       .before = left,
                       .n = right - left,
                       .after = c->columns.n - right,
                       .ahead = c->ahead };
    const int64_t between = copy.before + copy.after;
    if (c->columns.step * c->strides[1] != 1) {
        copy_spread(&copy, c->columns.step * c->strides[1]);
    } else if (copy.step == c->pitch && c->pitch == c->columns.n) {
        /* Lines follow each other on both sides: as one, where what is not there is overwritten. */
        copy.n += (copy.lines - 1) * c->pitch, copy.lines = 1;
        d->loops->copy(&copy);
        for (int64_t l = top + 1; l < bottom && between; l++)
            memset(c->to + l * c->pitch - copy.after, 0, (size_t)between * sizeof *c->to);
    } else {
        d->loops->copy(&copy);
    }
}

/* Results of a plane of results. */
typedef struct depth_tile {
    int64_t plane, row, rows, column, columns;
} depth_tile;

/* Whatever the taps of the first dim meet. */
static void fill_buffer(const depthwise *d, const depth_phase *p, const depth_tile *t,
                        const float *image, int64_t ahead, float *to)
{
    const bool weight = d->conv->pass == CR__CONV_WEIGHT;
    const depth_axis *z = &p->dim[0], *h = &p->dim[1], *w = &p->dim[2];
    const int64_t blocks = weight ? p->parts * w->taps : p->parts,
                  block = weight ? p->lines * p->pitch : p->pitch,
                  whole = p->lines * p->pitch * (weight ? blocks : p->parts);
    depth_lines c = { .pitch = weight ? p->pitch : p->parts * p->pitch,
                      .sizes = { 0, w->size },
                      .strides = { d->strides[0][1], d->strides[0][2] },
                      .rows = { t->row * h->step + h->least, 1,
                                (t->rows - 1) * h->step + h->reach },
                      .columns = { t->column * w->step + w->least, w->step,
                                   t->columns + (w->reach - 1) / w->step },
                      .ahead = ahead };
    if (weight) {
        c.rows.step = h->step, c.rows.n = t->rows + (h->reach - 1) / h->step;
        c.columns.n = t->columns;
    }
    for (int i = 0; i < z->taps; i++) {
        const int64_t at = t->plane * z->step + z->offset[i];
        depth_lines of = c;
        of.sizes[0] = at >= 0 && at < z->size ? h->size : 0;
        of.plane = image + (of.sizes[0] ? at * d->strides[0][0] : 0);
        for (int64_t b = 0; b < blocks; b++) {
            of.to = to + i * whole + b * block;
            of.rows.from = c.rows.from + (weight ? b / w->taps : 0);
            of.columns.from = weight ? t->column * w->step + w->offset[b % w->taps]
                                     : c.columns.from + b;
            copy_lines(d, &of);
            of.ahead = 0;
        }
    }
}

/* ---- chains ---- */

static int64_t product_of_dims(const int64_t *v, int n)
{
    int64_t product = 1;
    for (int d = 0; d < n; d++)
        product *= v[d];
    return product;
}

/* The operand's plane that this one of the result is made of, in elements. */
static int64_t operand_plane(const depthwise *d, int64_t plane)
{
    const int64_t channel = plane % d->channels / d->repeats;
    return plane / d->channels * d->conv->strides[0][0] +
           channel * d->conv->strides[0][1];
}

static void load_weight(const depthwise *d, depth_phase *p, int64_t plane)
{
    const int64_t *w = d->conv->strides[1], channel = plane % d->channels;
    const int64_t at = d->conv->pass == CR__CONV_FORWARD
                           ? channel * w[0]
                           : channel / d->repeats * w[0] + channel % d->repeats * w[1];
    const float *from = (const float *)d->conv->operand[1].data + at;
    for (int i = 0; i < p->taps.n; i++)
        p->taps.weight[i] = from[p->weight[i]];
}

static void sum_tile(const depthwise *d, depth_phase *p, const depth_tile *t,
                     int64_t plane, float *scratch)
{
    const depth_axis *z = &p->dim[0], *h = &p->dim[1], *w = &p->dim[2];
    const int64_t across = d->result[2], down = d->result[1] * across;
    const float *from = (const float *)d->conv->operand[0].data + operand_plane(d, plane);
    const float *next = (const float *)d->conv->operand[0].data +
                        operand_plane(d, plane + (plane + 1 < d->planes));
    float *aside = scratch + LARGEST + SLACK;
    float *out = (float *)d->conv->result +
                 (plane * d->result[0] + z->first + t->plane * z->place) * down +
                 (h->first + t->row * h->place) * across + w->first +
                 t->column * w->place;
    const bool dense = w->place == 1;
    load_weight(d, p, plane);
    fill_buffer(d, p, t, from, next - from, scratch);
    d->loops->sum(&p->taps, scratch, h->step * p->parts * p->pitch, dense ? out : aside,
                  dense ? h->place * across : t->columns, t->rows, t->columns);
    for (int64_t r = 0; !dense && r < t->rows; r++)
        for (int64_t c = 0; c < t->columns; c++)
            out[r * h->place * across + c * w->place] = aside[r * t->columns + c];
}

/* The tile with this number, of those that the first phase has; others may have less of it. */
static bool plane_tile(const depthwise *d, const depth_phase *p, int64_t i, depth_tile *t)
{
    const depth_axis *h = &p->dim[1], *w = &p->dim[2];
    t->column = i % d->tiles[2] * d->columns, i /= d->tiles[2];
    t->row = i % d->tiles[1] * d->rows;
    t->plane = i / d->tiles[1];
    t->rows = h->results - t->row < d->rows ? h->results - t->row : d->rows;
    t->columns =
        w->results - t->column < d->columns ? w->results - t->column : d->columns;
    return t->plane < p->dim[0].results && t->rows > 0 && t->columns > 0;
}

/* Of tiles that are complete, and of neighbours, and large enough to be told of. */
static bool tells_tiles(const depthwise *d)
{
    return d->conv->then && d->conv->pass != CR__CONV_WEIGHT && d->phases == 1 &&
           d->tiles[2] == 1 && d->rows * d->columns >= 256;
}

static void tell_tile(const depthwise *d, const depth_tile *t, int64_t plane,
                      float *scratch)
{
    const cr__follower *then = d->conv->then;
    const int64_t across = d->result[2],
                  start = ((plane * d->result[0] + t->plane) * d->result[1] + t->row) *
                          across;
    const cr__panel panel = { .data = (const float *)d->conv->result + start,
                              .start = start,
                              .rows = 1,
                              .columns = t->rows * across,
                              .scratch = scratch };
    then->fn(then->arg, &panel);
}

static void sum_chunk(void *arg, int64_t chunk, int worker)
{
    const depthwise *d = arg;
    const bool tells = tells_tiles(d);
    float *scratch = cr__team_scratch(d->team, worker);
    int64_t begin, end;
    depth_phase p;
    depth_tile t;
    cr__part(d->planes * product_of_dims(d->tiles, CR__IMAGE_DIMS), 1, chunk, d->chunks,
             &begin, &end);
    for (int64_t phase = 0; phase < d->phases; phase++) {
        init_phase(d, phase, &p);
        for (int64_t i = begin; i < end; i++) {
            if (!plane_tile(d, &p, i / d->planes, &t))
                continue;
            sum_tile(d, &p, &t, i % d->planes, scratch);
            if (tells)
                tell_tile(d, &t, i % d->planes, scratch);
        }
    }
}

/* ---- the weight's gradient ---- */

/* Sums of one channel, as they grow. */
typedef struct depth_sums {
    float *buffer, *y, *lanes, *stack;
    int64_t at, done, left; /* in the block; blocks; terms to come */
    int height;
} depth_sums;

/* The cotangents of a tile, one behind the other. */
static const float *tile_of_y(const depthwise *d, const depth_phase *p,
                              const depth_tile *t, const float *y, float *room)
{
    const int64_t *strides = d->strides[1];
    const int64_t across = p->dim[2].results;
    y += t->plane * strides[0];
    if (strides[2] == 1 && (strides[1] == across || t->rows == 1))
        return y + t->row * strides[1] + t->column;
    const depth_lines c = { .to = room,
                            .plane = y,
                            .pitch = t->columns,
                            .sizes = { p->dim[1].results, across },
                            .strides = { strides[1], strides[2] },
                            .rows = { t->row, 1, t->rows },
                            .columns = { t->column, 1, t->columns } };
    copy_lines(d, &c);
    return room;
}

/* The lanes of every tap, folded by halving, become a block's sums, which join those of the blocks
 * before: the stack holds a subtree for each bit of their number, the largest first. With the last
 * block, all are joined. */
static void end_block(depth_sums *s, int taps, bool last)
{
    float *lane = s->lanes, *top = s->stack + (int64_t)s->height * taps;
    for (int i = 0; i < taps; i++, lane += CR__LANES) {
        for (int half = CR__LANES / 2; half; half /= 2)
            for (int l = 0; l < half; l++)
                lane[l] += lane[l + half];
        top[i] = lane[0];
    }
    memset(s->lanes, 0, (size_t)taps * CR__LANES * sizeof *lane);
    s->at = 0;
    int64_t done = ++s->done;
    for (s->height++; s->height > 1 && (last || done % 2 == 0); s->height--, done /= 2) {
        for (int i = 0; i < taps; i++)
            top[i - taps] += top[i];
        top -= taps;
    }
}

/* `ahead`: bytes to the next image's x and y; 0: there is none. */
static void add_tile(const depthwise *d, const depth_phase *p, const depth_tile *t,
                     const float *x, const float *y, const int64_t *ahead, depth_sums *s)
{
    const int64_t all = t->rows * t->columns;
    const float *from = tile_of_y(d, p, t, y, s->y);
    const char *next[] = { NULL, NULL, NULL };
    for (int i = 0; i < 2 && ahead[i]; i++)
        next[i] = (const char *)((i ? y : x) + ahead[i]) +
                  (t->row * d->strides[i][1] + t->column) * (int64_t)sizeof *x;
    fill_buffer(d, p, t, x, 0, s->buffer);
    for (int64_t i = 0, n; i < all; i += n) {
        n = all - i < CR__BLOCK - s->at ? all - i : CR__BLOCK - s->at;
        d->loops->add(&p->taps, from + i, s->buffer + i, s->lanes, s->at % CR__LANES, n,
                      next);
        for (int k = 0; k < 2 && next[k]; k++)
            next[k] += n * (int64_t)sizeof *y;
        s->at += n, s->left -= n;
        if (s->at == CR__BLOCK || s->left == 0)
            end_block(s, p->taps.n, s->left == 0);
    }
}

static void weight_chunk(void *arg, int64_t chunk, int worker)
{
    const depthwise *d = arg;
    const cr__conv *c = d->conv;
    const int64_t *x = c->strides[0], *y = c->strides[1];
    float *scratch = cr__team_scratch(d->team, worker);
    const int64_t tiles = product_of_dims(d->tiles, CR__IMAGE_DIMS);
    int64_t begin, end;
    depth_phase p;
    depth_tile t;
    init_phase(d, 0, &p);
    cr__part(d->channels, 1, chunk, d->chunks, &begin, &end);
    for (int64_t channel = begin; channel < end; channel++) {
        depth_sums s = { .buffer = scratch,
                         .y = scratch + LARGEST + SLACK,
                         .lanes = scratch + 2 * LARGEST + SLACK,
                         .left = c->images * product_of_dims(c->out, c->ndim) };
        s.stack = s.lanes + MOST_TAPS * CR__LANES;
        memset(s.lanes, 0, (size_t)p.taps.n * CR__LANES * sizeof(float));
        for (int64_t i = 0; i < c->images; i++) {
            const int64_t ahead[] = { i + 1 < c->images ? x[0] : 0,
                                      i + 1 < c->images ? y[0] : 0 };
            for (int64_t k = 0; k < tiles; k++)
                if (plane_tile(d, &p, k, &t))
                    add_tile(
                        d, &p, &t,
                        (const float *)c->operand[0].data + i * x[0] + channel * x[1],
                        (const float *)c->operand[1].data + i * y[0] + channel * y[1],
                        ahead, &s);
        }
        memcpy((float *)c->result + channel * p.taps.n, s.stack,
               (size_t)p.taps.n * sizeof(float));
    }
}
_Static_assert((size_t)(2 * LARGEST + SLACK + MOST_TAPS * (CR__LANES + MOST_SUBTREES)) *
                       sizeof(float) <=
                   CR__SCRATCH_BYTES,
               "scratch memory");

/* ---- what is done here, and how it is cut ---- */

/* Whether it is a convolution for this file; as a product others have the same bits. */
CR__COLD static bool is_depthwise(const cr__conv *c, depthwise *d)
{
    const bool forward = c->pass == CR__CONV_FORWARD, weight = c->pass == CR__CONV_WEIGHT;
    const int64_t taps = product_of_dims(c->kernel, c->ndim);
    d->repeats = forward ? c->outs : c->ins;
    d->channels = c->groups * d->repeats;
    d->planes = c->images * d->channels;
    d->phases = 1;
    for (int i = 0; c->pass == CR__CONV_INPUT && i < c->ndim; i++)
        d->phases *= c->stride[i] < c->size[i] ? c->stride[i] : c->size[i];
    for (int i = 0; i < 2; i++)
        if (c->operand[i].dtype != c->dtype || c->operand[i].exponent)
            return false;
    return c->dtype == CR_F32 && taps <= MOST_TAPS && (forward || c->outs == 1) &&
           (c->pass == CR__CONV_INPUT || c->ins == 1) && d->repeats <= MOST_REPEATS &&
           (!weight || d->repeats == 1) && d->phases <= MOST_TAPS && d->planes > 0 &&
           product_of_dims(c->out, c->ndim) > 0 && product_of_dims(c->size, c->ndim) > 0;
}

/* Strides of dims that it has; results of others have none. */
CR__COLD static void set_dims(depthwise *d)
{
    const cr__conv *c = d->conv;
    const int64_t *result = c->pass == CR__CONV_FORWARD ? c->out : c->size;
    const int lead = CR__IMAGE_DIMS - c->ndim;
    for (int i = 0; i < CR__IMAGE_DIMS; i++) {
        for (int k = 0; k < 2; k++)
            d->strides[k][i] = i < lead ? 0 : c->strides[k][2 + i - lead];
        d->result[i] = i < lead ? 1 : result[i - lead];
    }
}

/* As many results as have room, in parts of about one size; where lanes go on, whole rows of lanes
 * if there is a choice. False if there is no room for one line. */
CR__COLD static bool set_tiles(depthwise *d)
{
    const bool weight = d->conv->pass == CR__CONV_WEIGHT;
    depth_phase p;
    int64_t rows = INT64_MAX;
    for (int64_t phase = 0; phase < d->phases; phase++) {
        phase_axes(d->conv, phase, &p);
        if (phase == 0) {
            d->columns = p.dim[2].results;
            d->columns = d->columns < MOST_COLUMNS ? d->columns : MOST_COLUMNS;
        }
        const int64_t one = lay_out(d, &p, 1, d->columns);
        const int64_t each = lay_out(d, &p, 2, d->columns) - one;
        if (one > LARGEST)
            return false;
        const int64_t fit = one < BUFFER && each ? 1 + (BUFFER - one) / each : 1;
        rows = fit < rows ? fit : rows;
    }
    phase_axes(d->conv, 0, &p);
    const int64_t all = p.dim[1].results;
    if (weight && d->columns < p.dim[2].results)
        rows = 1;
    rows = (all - 1) / ((all - 1) / rows + 1) + 1;
    if (weight && rows < all && rows >= CR__LANES)
        rows -= rows % CR__LANES;
    d->rows = rows;
    d->tiles[0] = p.dim[0].results;
    d->tiles[1] = (all - 1) / rows + 1;
    d->tiles[2] = (p.dim[2].results - 1) / d->columns + 1;
    return true;
}

/* Nanoseconds for a product in a chain, and for an element. */
#define NS_PER_TERM    0.04
#define NS_PER_ELEMENT 0.5

CR__COLD bool cr__depthwise_for(cr__isa isa, const cr__conv *conv, cr__team *team,
                                bool *told)
{
    depthwise d = { .conv = conv, .team = team, .loops = &depthwise_loops_of[isa] };
    if (!is_depthwise(conv, &d))
        return false;
    set_dims(&d);
    if (!set_tiles(&d))
        return false;
    const bool weight = conv->pass == CR__CONV_WEIGHT;
    const double terms = (double)d.planes *
                         (double)product_of_dims(conv->out, conv->ndim) *
                         (double)product_of_dims(conv->kernel, conv->ndim);
    const double elements =
        (double)d.planes * (double)product_of_dims(d.result, CR__IMAGE_DIMS);
    const int64_t grains =
        weight ? d.channels : d.planes * product_of_dims(d.tiles, CR__IMAGE_DIMS);
    d.chunks = cr__chunks(NS_PER_TERM * terms + NS_PER_ELEMENT * elements, grains, team);
    cr__parallel(team, d.chunks, weight ? weight_chunk : sum_chunk, &d);
    *told = tells_tiles(&d);
    return true;
}
