/* Convolutions that have a place for each position (sliding.h): how lines are laid out, weights
 * packed, and positions cut into vectors. The arithmetic is in sliding_body.h. */
#include "sliding.h"
#include <string.h>

#define CR__TEMPLATE "sliding_body.h"
#include "for_each_set.h"

#define KERNEL(S) &sliding_kernel##S
const cr__sliding_kernel *const cr__sliding_kernels[CR__ISAS] = { CR__EACH_SET(KERNEL) };

/* ---- layouts ---- */

static int64_t floor_of(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

static int64_t between(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

/* Which elements of the copies are there. */
CR__COLD static void find_bounds(const cr__window *w, cr__sliding_copies *c)
{
    for (int i = 0; i < c->n; i++) {
        c->lo[i] = between(-floor_of(c->first[i], w->step), 0, c->length);
        c->hi[i] =
            between(-floor_of(c->first[i] - w->size, w->step), c->lo[i], c->length);
    }
}

/* Where taps read, of copies by remainders. */
CR__COLD static void find_shifts(const cr__window *w, cr__sliding_copies *c)
{
    for (int64_t j = 0; j < w->taps; j++) {
        const int64_t at = j * w->tap_step + w->origin;
        c->copy[j] = 0;
        while ((at - c->first[c->copy[j]]) % w->step)
            c->copy[j]++;
        c->shift[j] = (at - c->first[c->copy[j]]) / w->step;
    }
}

/* By remainders, of n windows; taps of the first one. */
CR__COLD static void copy_remainders(const cr__sliding *d, int n, int dim,
                                     cr__sliding_copies *c)
{
    const cr__window *w = &d->dims[dim];
    int64_t remainders[CR__SLIDING_TAPS], least = INT64_MAX, most = INT64_MIN, all = 0;
    c->n = 0;
    for (int i = 0; i < n; i++) {
        const cr__window *of = &d[i].dims[dim];
        for (int64_t j = 0; j < of->taps; j++) {
            const int64_t at = j * of->tap_step + of->origin, q = floor_of(at, w->step);
            int k = 0;
            least = q < least ? q : least;
            most = q > most ? q : most;
            while (k < c->n && remainders[k] != at - q * w->step)
                k++;
            if (k == c->n)
                remainders[c->n++] = at - q * w->step;
        }
        all = of->n > all ? of->n : all;
    }
    for (int k = 0; k < c->n; k++)
        c->first[k] = remainders[k] + least * w->step;
    c->more = most - least;
    c->length = all + c->more;
    find_bounds(w, c);
    find_shifts(w, c);
}

CR__COLD static void copy_taps(const cr__window *w, cr__sliding_copies *c)
{
    c->n = (int)w->taps;
    for (int j = 0; j < c->n; j++) {
        c->first[j] = j * w->tap_step + w->origin;
        c->copy[j] = j, c->shift[j] = 0;
    }
    c->length = w->n, c->more = 0;
    find_bounds(w, c);
}

/* Zeros in front of every line that those behind the one before may be; places remain apart. */
CR__COLD static int64_t overlap_of(const cr__sliding_copies *c)
{
    int64_t least = c->more;
    for (int i = 0; i < c->n; i++) {
        const int64_t behind = c->length - c->hi[i];
        least = c->lo[i] < least ? c->lo[i] : least;
        least = behind < least ? behind : least;
    }
    return least;
}

CR__COLD static bool lies_so(const cr__sliding *d, const cr__sliding_copies *dims)
{
    for (int i = 0; i < CR__PLANE; i++)
        if (d->dims[i].step != 1 || dims[i].lo[0] > 0 || dims[i].hi[0] < dims[i].length)
            return false;
    return d->x_line >= d->dims[1].n && d->x_channel >= 0 &&
           d->x_channel < INT32_MAX / 4 / d->channels - d->x_line * dims[0].length;
}

CR__COLD void cr__sliding_lay_out(const cr__sliding *d, int n, int lanes,
                                  cr__sliding_layout *layout)
{
    cr__sliding_copies *along = &layout->dims[1];
    const cr__window *w = &d->dims[1];
    for (int i = 0; i < CR__PLANE; i++)
        copy_remainders(d, n, i, &layout->dims[i]);
    layout->overlap = 0;
    layout->in_place = n == 1 && lies_so(d, layout->dims) &&
                       (d->dims[0].n - 1) * d->x_line + w->n >= lanes;
    if (layout->in_place) {
        layout->pitch = d->x_line, layout->copy = 0, layout->channel = d->x_channel;
        return;
    }
    layout->overlap = overlap_of(along);
    layout->pitch = along->length - layout->overlap;
    /* Copying costs about as much as half a row of c at 16 positions. */
    if (n == 1 && lanes && w->n % lanes &&
        (layout->pitch - w->n) * d->rows * d->dims[0].taps > 8 * w->n) {
        copy_taps(w, along);
        layout->pitch = w->n, layout->overlap = 0;
    }
}

CR__COLD void cr__sliding_size(int64_t lines, cr__sliding_layout *layout)
{
    if (layout->in_place)
        return;
    layout->lines = lines;
    layout->copy = lines * layout->pitch;
    layout->channel = layout->copy * layout->dims[0].n * layout->dims[1].n;
}

int64_t cr__sliding_tap(const cr__sliding_layout *layout, int64_t down, int64_t along)
{
    const cr__sliding_copies *dims = layout->dims;
    return (dims[0].copy[down] * dims[1].n + dims[1].copy[along]) * layout->copy +
           dims[0].shift[down] * layout->pitch + dims[1].shift[along];
}

/* Lines first .. of a copy of a channel: n of them, elements lo .. hi - 1 of each. If they follow
 * each other on both sides it is done as if they were one, and what is not there is overwritten. */
static void fill_lines(const cr__sliding_kernel *kernel, const cr__sliding *d,
                       const cr__sliding_layout *layout, const float *from, int64_t lo,
                       int64_t hi, int64_t n, float *to)
{
    const int64_t pitch = layout->pitch, step = d->dims[1].step,
                  down = d->dims[0].step * d->x_line, outside = pitch - hi + lo;
    if (step != 1 || down != pitch || hi > pitch || lo >= hi) {
        kernel->lines(to, from, lo, hi, step, pitch, down, n);
    } else if (n > 0) {
        kernel->lines(to, from, lo, (n - 1) * pitch + hi, 1, n * pitch, 0, 1);
        for (int64_t l = 1; l < n; l++)
            for (int64_t i = 0; i < outside; i++)
                to[l * pitch - (pitch - hi) + i] = 0;
    }
}

/* Copies lie one behind the other, so that what lines write behind themselves is written over. */
void cr__sliding_fill(cr__isa isa, const cr__sliding *d, const cr__sliding_layout *layout,
                      const cr__sliding_piece *pieces, int n, int64_t channels,
                      float *band)
{
    const cr__sliding_kernel *kernel = cr__sliding_kernels[isa];
    const cr__sliding_copies *down = &layout->dims[0], *along = &layout->dims[1];
    const cr__window *w = &d->dims[0];
    const int64_t copies = channels * down->n * along->n, pitch = layout->pitch;
    for (int64_t i = 0; i < copies; i++, band += layout->copy) {
        const int64_t j = i % along->n, k = i / along->n % down->n,
                      channel = i / along->n / down->n;
        for (const cr__sliding_piece *p = pieces; p < pieces + n; p++) {
            const int64_t lines = p->lines + down->more, lo = along->lo[j],
                          first = down->first[k] + p->first * w->step,
                          above = between(-floor_of(first, w->step), 0, lines),
                          there =
                              between(-floor_of(first - w->size, w->step), above, lines);
            const float *from = p->image + channel * d->x_channel +
                                (first + above * w->step) * d->x_line + along->first[j] +
                                lo * d->dims[1].step;
            float *to = band + p->at * pitch;
            memset(to, 0, (size_t)(above * pitch) * 4);
            fill_lines(kernel, d, layout, from, lo, along->hi[j], there - above,
                       to + above * pitch);
            memset(to + there * pitch, 0,
                   (size_t)((lines - there) * pitch + layout->overlap) * 4);
        }
    }
}

CR__COLD cr__sliding_fetch cr__sliding_fetch_of(const float *from, int64_t step,
                                                int64_t bytes, int64_t channels,
                                                int64_t times)
{
    const int64_t lines = (bytes + 63) / 64;
    return (cr__sliding_fetch){ .from = (const char *)from,
                                .step = step * 4,
                                .lines = lines,
                                .channels = channels,
                                .each = channels * lines / times + 1 };
}

/* ---- rows ---- */

#define FEW_TILED 3

/* What tiles add to the rows, at most. */
#define ADDED_ROWS 3

/* Rows that are worked off for each vector: their weights stay in the second level cache. */
#define GROUP_BYTES (256 << 10)
#define GROUP_ROWS  224
_Static_assert((CR__BAND_ROOM + CR__BAND_SLOP + GROUP_ROWS * 32) * 4 <= CR__SCRATCH_BYTES,
               "room for rows aside");

/* One of the convolutions that share copies: rows of all tiles, and where taps are. */
typedef struct sliding_phase {
    const cr__sliding *d;
    int64_t k;
    int32_t *taps;
    float *packed;
} sliding_phase;

typedef struct sliding_plan {
    const cr__sliding *d; /* the first; what all have in common */
    const cr__sliding_kernel *kernel;
    cr__isa isa;
    cr__sliding_layout layout;
    sliding_phase phases[CR__SLIDING_PHASES];
    int n_phases;
    int64_t lines;              /* of positions that a band has, at most */
    int64_t units, unit, parts; /* of an image; lines of a unit; parts of the work */
    int vectors;                /* of a tile */
    bool strided;               /* places of the result are not neighbours */
    cr__team *team;
} sliding_plan;

static int64_t padded_rows(const sliding_plan *p)
{
    return p->d->rows + ADDED_ROWS;
}

/* The tile that is next where so many rows are left. */
static int64_t tile_rows(const sliding_plan *p, int64_t left, cr__sliding_fn **tile)
{
    const int *heights = p->kernel->heights;
    int i = CR__SLIDING_HEIGHTS - 1;
    if (p->vectors > 2) {
        *tile = p->kernel->few;
        return FEW_TILED;
    }
    while (heights[i] == 0)
        i--;
    const int64_t n = (left + heights[i] - 1) / heights[i];
    while (i > 0 && n * heights[i - 1] >= left)
        i--;
    *tile = p->kernel->tiles[i];
    return heights[i];
}

static void pack_rows(const sliding_plan *p, const sliding_phase *f, int64_t group,
                      int64_t first, int64_t rows)
{
    const cr__sliding *d = f->d;
    float *to = f->packed + (group * padded_rows(p) + first) * f->k;
    const float *w = d->w + group * d->w_group;
    int64_t at[16];
    for (int64_t r = 0; r < rows; r++)
        at[r] = (first + r < d->rows ? first + r : d->rows - 1) * d->w_row;
    for (int64_t channel = 0; channel < d->channels; channel++, w += d->w_channel)
        for (int64_t i = 0; i < d->dims[0].taps; i++)
            for (int64_t j = 0; j < d->dims[1].taps; j++) {
                const float *from = w + i * d->w_tap[0] + j * d->w_tap[1];
                for (int64_t r = 0; r < rows; r++)
                    *to++ = from[at[r]];
            }
}

CR__COLD static void pack_part(void *arg, int64_t part, int worker)
{
    const sliding_plan *p = arg;
    cr__sliding_fn *tile;
    int64_t i = 0;
    (void)worker;
    for (const sliding_phase *f = p->phases; f < p->phases + p->n_phases; f++)
        for (int64_t group = 0; group < p->d->groups; group++)
            for (int64_t row = 0, n; row < p->d->rows; row += n, i++) {
                n = tile_rows(p, p->d->rows - row, &tile);
                if (i % p->parts == part)
                    pack_rows(p, f, group, row, n);
            }
}

/* ---- positions ---- */

/* Lines of an image, at b, that become lines at c. */
typedef struct sliding_band {
    const sliding_phase *f;
    const char *b;
    const float *a;
    float *c, *aside;
    int64_t lines;
    cr__sliding_fetch next; /* what the next band is copied of */
} sliding_band;

/* What a tile's vectors are. */
typedef struct sliding_vectors {
    const char *b[CR__SLIDING_VECTORS];
    cr__sliding_lanes to;
    int64_t line[CR__SLIDING_VECTORS], column[CR__SLIDING_VECTORS];
    bool whole; /* all of their elements are there, in order */
} sliding_vectors;

/* The vector v of the tile, which begins at *next. */
static void next_vector(const sliding_plan *p, const sliding_band *band, int64_t *next,
                        int v, sliding_vectors *t)
{
    const cr__sliding *d = band->f->d;
    const int64_t n = d->dims[1].n, pitch = p->layout.pitch,
                  total = (band->lines - 1) * pitch + n, lanes = p->kernel->lanes,
                  all = band->lines * n;
    const int64_t at =
        p->layout.in_place && *next + lanes > total ? total - lanes : *next;
    const int64_t line = at / pitch, column = at - line * pitch,
                  place = line * n + (column < n ? column : n);
    int32_t *order = t->to.order[v];
    t->b[v] = band->b + at * 4;
    t->to.c[v] = p->strided ? band->c + line * d->c_place[0] + column * d->c_place[1]
                            : band->c + place;
    t->line[v] = line, t->column[v] = column;
    *next = at + lanes;
    if (column + lanes == n && n % lanes == 0)
        *next += pitch - n;
    if (p->strided)
        return;
    if (column + lanes <= n || (pitch == n && at + lanes <= total)) {
        for (int32_t i = 0; i < lanes; i++)
            order[i] = i;
        t->to.n[v] = lanes;
        return;
    }
    int64_t count = 0, l = line, c = column;
    memset(order, 0, sizeof t->to.order[v]);
    for (int32_t i = 0; i < lanes; i++) {
        if (c < n && l < band->lines)
            order[count++] = i;
        if (++c == pitch)
            c = 0, l++;
    }
    t->to.n[v] = place + lanes <= all ? lanes : count;
    t->whole = t->whole && count == lanes;
}

/* Results that are no neighbours: line by line of what the vectors have of each. */
static void give_apart(const sliding_plan *p, const sliding_band *band,
                       const sliding_vectors *t, const float *from, int64_t row,
                       int64_t rows)
{
    const cr__sliding *d = band->f->d;
    const int64_t lanes = p->kernel->lanes, n = d->dims[1].n, step = d->c_place[1];
    for (int64_t r = row; r < row + rows; r++)
        for (int v = 0; v < p->vectors; v++, from += lanes) {
            int64_t line = t->line[v], column = t->column[v];
            for (int64_t i = 0; i < lanes && line < band->lines; line++, column = 0) {
                const int64_t left = lanes - i,
                              some = n - column < left ? n - column : left;
                float *to = band->c + r * d->c_row + line * d->c_place[0] + column * step;
                if (some > 0)
                    p->kernel->spread(to, step, from + i, some);
                i += p->layout.pitch - column;
            }
        }
}

/* To be written soon. */
static void expect(const sliding_plan *p, float *const *c, int64_t rows)
{
    for (int v = 0; v < p->vectors; v++)
        for (int64_t r = 0; r < rows; r++)
            CR__FETCH_TO_WRITE(c[v] + r * p->d->c_row);
}

/* Rows at a tile's vectors: block by block of k, which of b stays in the first level cache. */
static void run_rows(const sliding_plan *p, sliding_band *band, const sliding_vectors *v,
                     int64_t begin, int64_t end)
{
    const cr__sliding *d = p->d;
    const sliding_phase *f = band->f;
    const int64_t width = p->vectors * p->kernel->lanes;
    cr__sliding_tile t;
    memcpy(t.b, v->b, sizeof t.b);
    for (int64_t k = 0; k < f->k; k += CR__GEMM_BLOCK) {
        t.k = f->k - k < CR__GEMM_BLOCK ? f->k - k : CR__GEMM_BLOCK;
        t.taps = f->taps + k, t.add = k > 0;
        for (int64_t row = begin, n; row < end; row += n) {
            cr__sliding_fn *tile;
            n = tile_rows(p, d->rows - row, &tile);
            const int64_t there = n < d->rows - row ? n : d->rows - row;
            const bool whole = v->whole && there == n, last = k + t.k == f->k;
            float *aside = band->aside + (row - begin) * width, *to[CR__SLIDING_VECTORS];
            for (int i = 0; i < p->vectors; i++) {
                to[i] = v->to.c[i] + row * d->c_row;
                t.c[i] = whole ? to[i] : aside + i * p->kernel->lanes;
            }
            t.c_row = whole ? d->c_row : width;
            t.a = band->a + row * f->k + k * n;
            if (whole ? k == 0 : last)
                expect(p, to, there);
            cr__sliding_fetch_some(&band->next);
            tile(&t);
            if (last && p->strided)
                give_apart(p, band, v, aside, row, there);
            else if (last && !whole)
                p->kernel->give(&v->to, aside, row, there, p->vectors);
        }
    }
}

/* Behind the tiles from a row on whose weights stay in the second level cache. */
CR__COLD static int64_t end_of_group(const sliding_plan *p, int64_t k, int64_t row)
{
    const int64_t fits = GROUP_BYTES / 4 / k,
                  wanted = p->layout.in_place ? 64 : GROUP_ROWS,
                  most = fits < wanted ? fits : wanted;
    cr__sliding_fn *tile;
    int64_t end = row, n = 0;
    do
        end += n, n = tile_rows(p, p->d->rows - end, &tile);
    while (end < p->d->rows && (end == row || end + n - row <= most));
    return end;
}

/* How many tiles such rows are, in all blocks of k. */
static int64_t tiles_of(const sliding_plan *p, int64_t k, int64_t rows)
{
    const int64_t height = p->vectors > 2 ? FEW_TILED : 2 * CR__SLIDING_HEIGHTS;
    return (rows + height - 1) / height * ((k + CR__GEMM_BLOCK - 1) / CR__GEMM_BLOCK);
}

static void run_band(const sliding_plan *p, sliding_band *band)
{
    const int64_t width = p->vectors * p->kernel->lanes;
    const int64_t total = (band->lines - 1) * p->layout.pitch + band->f->d->dims[1].n;
    for (int64_t row = 0, end; row < p->d->rows; row = end) {
        end = end_of_group(p, band->f->k, row);
        sliding_vectors t = { .to.c_row = p->d->c_row };
        for (int64_t next = 0; next < total;) {
            t.whole = !p->strided;
            for (int v = 0; v < p->vectors; v++) {
                if (next < total) {
                    next_vector(p, band, &next, v, &t);
                    continue;
                }
                t.b[v] = t.b[v - 1], t.to.c[v] = t.to.c[v - 1], t.to.n[v] = t.to.n[v - 1];
                memcpy(t.to.order[v], t.to.order[v - 1], sizeof t.to.order[v]);
                t.line[v] = t.line[v - 1], t.column[v] = t.column[v - 1];
            }
            if (p->layout.in_place)
                band->next = cr__sliding_fetch_of(
                    (const float *)(const void *)t.b[0] + width, p->d->x_channel,
                    next < total ? width * 4 : 0, p->d->channels,
                    tiles_of(p, band->f->k, end - row));
            run_rows(p, band, &t, row, end);
        }
    }
}

/* Lines of an image of a group. */
typedef struct sliding_lines {
    int64_t group, image, first, lines;
} sliding_lines;

static const float *sliding_source(const sliding_plan *p, const sliding_lines *l)
{
    const cr__sliding *d = p->d;
    return d->x + l->image * d->x_image + l->group * d->channels * d->x_channel;
}

/* While that many lines' tiles run, those of the next are fetched. */
CR__COLD static cr__sliding_fetch fetch_lines(const sliding_plan *p,
                                              const sliding_lines *next, int64_t lines)
{
    const cr__sliding *d = p->d;
    const int64_t down = d->dims[0].step * d->x_line;
    int64_t tiles = 0;
    for (int i = 0; i < p->n_phases; i++)
        tiles += tiles_of(p, p->phases[i].k, d->rows);
    tiles = tiles * lines * p->layout.pitch / (p->kernel->lanes * p->vectors) + 1;
    return cr__sliding_fetch_of(sliding_source(p, next) + next->first * down,
                                d->x_channel, next->lines * down * 4, d->channels, tiles);
}

/* The lines of the result, of all rows, that these of all phases make are there. */
CR__COLD static void tell_lines(const sliding_plan *p, const sliding_lines *l,
                                float *scratch)
{
    const cr__sliding *d = p->d;
    const int64_t from = l->first * d->c_place[0], n = l->lines * d->c_place[0],
                  start = l->image * d->c_image + l->group * d->rows * d->c_row + from;
    const cr__panel panel = { .data = (const float *)d->result + start,
                              .start = start,
                              .rows = d->rows,
                              .columns = n < d->c_row - from ? n : d->c_row - from,
                              .pitch = d->c_row,
                              .step = d->c_row,
                              .scratch = scratch };
    d->then->fn(d->then->arg, &panel);
}

CR__COLD static void run_lines(const sliding_plan *p, const sliding_lines *l,
                               const sliding_lines *next, float *copies)
{
    const cr__sliding *d = p->d;
    const cr__sliding_copies *dims = p->layout.dims;
    const cr__sliding_piece piece = { sliding_source(p, l), l->first, l->lines, 0 };
    sliding_band band = { .b = (const char *)copies,
                          .aside = copies + CR__BAND_ROOM + CR__BAND_SLOP };
    if (p->layout.in_place) {
        band.b = (const char *)(piece.image + (dims[0].first[0] + l->first) * d->x_line +
                                dims[1].first[0]);
    } else {
        cr__sliding_fill(p->isa, d, &p->layout, &piece, 1, d->channels, copies);
        if (next->lines)
            band.next = fetch_lines(p, next, l->lines);
    }
    for (const sliding_phase *f = p->phases; f < p->phases + p->n_phases; f++) {
        const int64_t left = f->d->dims[0].n - l->first;
        band.f = f;
        band.lines = left < l->lines ? left : l->lines;
        band.a = f->packed + l->group * padded_rows(p) * f->k;
        band.c = (float *)f->d->result + l->image * d->c_image +
                 l->group * d->rows * d->c_row + l->first * d->c_place[0];
        if (left > 0)
            run_band(p, &band);
    }
    if (d->then)
        tell_lines(p, l, copies);
}

/* Of an image, in the phase that has most. */
static int64_t all_lines(const sliding_plan *p)
{
    return p->layout.dims[0].length - p->layout.dims[0].more;
}

/* What a part has left: units, and lines of the image where it is. */
typedef struct sliding_rest {
    int64_t at, end, outer, from, last;
} sliding_rest;

/* The next lines, none at the end. */
CR__COLD static sliding_lines next_lines(const sliding_plan *p, sliding_rest *rest)
{
    const cr__sliding *d = p->d;
    if (rest->from == rest->last) {
        const int64_t unit = rest->at % p->units, most = p->units - unit;
        const int64_t n = most < rest->end - rest->at ? most : rest->end - rest->at;
        if (n == 0)
            return (sliding_lines){ 0 };
        rest->outer = rest->at / p->units;
        rest->from = unit * p->unit;
        rest->last = unit + n == p->units ? all_lines(p) : (unit + n) * p->unit;
        rest->at += n;
    }
    const int64_t left = rest->last - rest->from,
                  bands = (left + p->lines - 1) / p->lines;
    const sliding_lines lines = { rest->outer / d->images, rest->outer % d->images,
                                  rest->from, (left + bands - 1) / bands };
    rest->from += lines.lines;
    return lines;
}

static void sliding_part(void *arg, int64_t i, int worker)
{
    const sliding_plan *p = arg;
    sliding_rest rest = { 0 };
    cr__part(p->d->groups * p->d->images * p->units, 1, i, p->parts, &rest.at, &rest.end);
    sliding_lines lines = next_lines(p, &rest);
    while (lines.lines) {
        const sliding_lines next = next_lines(p, &rest);
        run_lines(p, &lines, &next, cr__team_scratch(p->team, worker));
        lines = next;
    }
}

/* ---- a convolution ---- */

#define FLOPS_PER_NS 80
size_t cr__sliding_bytes(const cr__sliding *d)
{
    int64_t k = d->channels, positions = d->images, bytes;
    for (int i = 0; i < CR__PLANE; i++) {
        if (d->dims[i].taps > CR__SLIDING_TAPS)
            return 0;
        k *= d->dims[i].taps, positions *= d->dims[i].n;
    }
    if (k == 0 || d->rows == 0 || positions < 32 ||
        (d->groups > 1 && d->rows <= FEW_TILED))
        return 0;
    return __builtin_mul_overflow(d->groups * (d->rows + ADDED_ROWS) + 1, k * 4,
                                  &bytes) ||
                   bytes > CR__SLIDING_BYTES
               ? 0
               : (size_t)bytes + 64;
}

/* Whether a band has room. */
CR__COLD static bool plan_bands(sliding_plan *p)
{
    const cr__sliding *d = p->d;
    const cr__sliding_copies *dims = p->layout.dims;
    const int64_t all = all_lines(p), more = dims[0].more;
    p->unit = 1, p->lines = all;
    if (p->layout.in_place) {
        while ((p->unit - 1) * p->layout.pitch + d->dims[1].n < p->kernel->lanes)
            p->unit++;
        p->lines = GROUP_BYTES / 4 / (d->channels * p->layout.pitch);
        p->lines = p->lines > 2 * p->unit ? p->lines : 2 * p->unit;
    } else {
        p->lines =
            CR__BAND_ROOM / (d->channels * dims[0].n * dims[1].n * p->layout.pitch) -
            more;
        p->lines = p->lines < all ? p->lines : all;
        cr__sliding_size(p->lines + more, &p->layout);
    }
    p->units = all / p->unit;
    return p->lines > 0;
}

/* Where the phase's taps are, and its rows will be, from *memory on. */
CR__COLD static void find_taps(sliding_plan *p, const sliding_phase *f)
{
    int32_t *to = f->taps;
    for (int i = 0; i < CR__PLANE && p->n_phases > 1; i++)
        find_shifts(&f->d->dims[i], &p->layout.dims[i]);
    for (int64_t channel = 0; channel < p->d->channels; channel++)
        for (int64_t i = 0; i < f->d->dims[0].taps; i++)
            for (int64_t j = 0; j < f->d->dims[1].taps; j++)
                *to++ = (int32_t)(4 * (channel * p->layout.channel +
                                       cr__sliding_tap(&p->layout, i, j)));
}

/* The taps of all phases lie in front of the rows of all. */
CR__COLD static double plan_phases(sliding_plan *p, const cr__sliding *d)
{
    double flops = 0;
    int64_t k = 0;
    for (int i = 0; i < p->n_phases; i++) {
        sliding_phase *f = &p->phases[i];
        f->d = &d[i];
        f->k = d->channels * d[i].dims[0].taps * d[i].dims[1].taps;
        f->taps = (int32_t *)d->memory + k;
        k += f->k;
        find_taps(p, f);
        flops += (double)(f->k * d[i].dims[0].n * d[i].dims[1].n);
    }
    float *rows = (float *)d->memory + (k + 15) / 16 * 16;
    for (int i = 0; i < p->n_phases; i++) {
        p->phases[i].packed = rows;
        rows += d->groups * padded_rows(p) * p->phases[i].k;
    }
    return 2 * flops * (double)(d->groups * d->rows * d->images);
}

/* Products pack patches of several images side by side. That pays where much of an image's last
 * vectors is nothing, if packing is for many rows, and weights lie as products read them. */
CR__COLD static bool pays_as_product(const sliding_plan *p, const cr__sliding *d)
{
    const int64_t taps = d->dims[0].taps * d->dims[1].taps, lines = d->dims[0].n,
                  n = d->dims[1].n, width = 2 * p->kernel->lanes,
                  vectors = ((lines - 1) * p->layout.pitch + n + width - 1) / width;
    return p->n_phases == 1 && !p->layout.in_place && d->w_channel == taps &&
           d->rows >= 128 && d->channels * taps >= 1024 && d->images > 1 &&
           10 * lines * n < 9 * vectors * width;
}

CR__COLD bool cr__sliding_for(cr__isa isa, const cr__sliding *d, int n, cr__team *team)
{
    sliding_plan p = { .d = d,
                       .kernel = cr__sliding_kernels[isa],
                       .isa = isa,
                       .n_phases = n,
                       .team = team };
    for (int i = 0; i < n; i++)
        if (!cr__sliding_bytes(&d[i]))
            return false;
    p.strided = d->c_place[1] != 1 || d->c_place[0] != d->dims[1].n;
    cr__sliding_lay_out(d, n, p.kernel->lanes, &p.layout);
    if (pays_as_product(&p, d) || !plan_bands(&p))
        return false;
    p.vectors = d->rows <= FEW_TILED && p.kernel->few ? CR__SLIDING_VECTORS : 2;
    const double flops = plan_phases(&p, d);
    const int64_t units = d->groups * d->images * p.units;
    p.parts = cr__threads_for(flops / FLOPS_PER_NS, team);
    p.parts = p.parts < units ? p.parts : units;
    cr__parallel(team, p.parts, pack_part, &p);
    cr__parallel(team, p.parts, sliding_part, &p);
    return true;
}
