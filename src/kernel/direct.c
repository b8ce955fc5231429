/* Convolutions that have a place for each position (direct.h): how lines are laid out, weights
 * packed, and positions cut into vectors. The arithmetic is in direct_body.h. */
#include "direct.h"
#include <string.h>

#define CR__TEMPLATE "direct_body.h"
#include "for_each_set.h"

#define KERNEL(S)                                                           \
    {                                                                       \
        direct_lanes##S, direct_rows##S, direct_threes##S, direct_tiles##S, \
            direct_few##S, direct_fill##S, direct_transpose##S,             \
        {                                                                   \
            direct_weights_1##S, direct_weights_2##S                        \
        }                                                                   \
    }
const cr__direct_kernel cr__direct_kernels[CR__ISAS] = { CR__EACH_SET(KERNEL) };

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
static void find_bounds(const cr__window *w, cr__direct_copies *c)
{
    for (int i = 0; i < c->n; i++) {
        c->lo[i] = between(-floor_of(c->first[i], w->step), 0, c->length);
        c->hi[i] =
            between(-floor_of(c->first[i] - w->size, w->step), c->lo[i], c->length);
    }
}

/* By remainders. */
static void copy_remainders(const cr__window *w, cr__direct_copies *c)
{
    int64_t remainders[CR__DIRECT_TAPS], least = 0, most = 0;
    c->n = 0;
    for (int64_t j = 0; j < w->taps; j++) {
        const int64_t at = j * w->tap_step + w->origin, q = floor_of(at, w->step),
                      remainder = at - q * w->step;
        least = j == 0 || q < least ? q : least;
        most = j == 0 || q > most ? q : most;
        c->copy[j] = 0;
        while (c->copy[j] < c->n && remainders[c->copy[j]] != remainder)
            c->copy[j]++;
        if (c->copy[j] == c->n)
            remainders[c->n++] = remainder;
        c->shift[j] = q;
    }
    for (int64_t j = 0; j < w->taps; j++)
        c->shift[j] -= least;
    for (int i = 0; i < c->n; i++)
        c->first[i] = remainders[i] + least * w->step;
    c->length = w->n + most - least;
    find_bounds(w, c);
}

static void copy_taps(const cr__window *w, cr__direct_copies *c)
{
    c->n = (int)w->taps;
    for (int j = 0; j < c->n; j++) {
        c->first[j] = j * w->tap_step + w->origin;
        c->copy[j] = j, c->shift[j] = 0;
    }
    c->length = w->n;
    find_bounds(w, c);
}

/* Zeros in front of every line that those behind the one before may be; of so many places, which
 * remain apart. */
static int64_t overlap_of(const cr__direct_copies *c, int64_t n)
{
    int64_t least = c->length - n;
    for (int i = 0; i < c->n; i++) {
        const int64_t behind = c->length - c->hi[i];
        least = c->lo[i] < least ? c->lo[i] : least;
        least = behind < least ? behind : least;
    }
    return least;
}

static bool lies_so(const cr__direct *d, const cr__direct_copies *dims)
{
    for (int i = 0; i < CR__PLANE; i++)
        if (d->dims[i].step != 1 || dims[i].lo[0] > 0 || dims[i].hi[0] < dims[i].length)
            return false;
    return d->x_line >= d->dims[CR__ALONG_THE].n && d->x_channel >= 0 &&
           d->x_channel < INT32_MAX / 4 / d->channels - d->x_line * dims[0].length;
}

void cr__direct_lay_out(const cr__direct *d, int lanes, cr__direct_layout *layout)
{
    cr__direct_copies *along = &layout->dims[CR__ALONG_THE];
    const cr__window *w = &d->dims[CR__ALONG_THE];
    for (int i = 0; i < CR__PLANE; i++)
        copy_remainders(&d->dims[i], &layout->dims[i]);
    layout->overlap = 0;
    layout->in_place = lies_so(d, layout->dims) &&
                       (d->dims[CR__DOWN_THE].n - 1) * d->x_line + w->n >= lanes;
    if (layout->in_place) {
        layout->pitch = d->x_line, layout->copy = 0, layout->channel = d->x_channel;
        return;
    }
    layout->overlap = overlap_of(along, w->n);
    layout->pitch = along->length - layout->overlap;
    /* Copying costs about as much as half a row of c at 16 positions. */
    if (lanes && w->n % lanes &&
        (layout->pitch - w->n) * d->rows * d->dims[CR__DOWN_THE].taps > 8 * w->n) {
        copy_taps(w, along);
        layout->pitch = w->n, layout->overlap = 0;
    }
}

void cr__direct_size(const cr__direct *d, int64_t lines, cr__direct_layout *layout)
{
    if (layout->in_place)
        return;
    layout->lines = lines;
    layout->copy = lines * layout->pitch;
    layout->channel =
        layout->copy * layout->dims[CR__DOWN_THE].n * layout->dims[CR__ALONG_THE].n;
    (void)d;
}

int64_t cr__direct_tap(const cr__direct_layout *layout, int64_t down, int64_t along)
{
    const cr__direct_copies *dims = layout->dims;
    return (dims[0].copy[down] * dims[1].n + dims[1].copy[along]) * layout->copy +
           dims[0].shift[down] * layout->pitch + dims[1].shift[along];
}

/* ---- weights ---- */

#define FEW_TILED 3

typedef struct direct_plan {
    const cr__direct *d;
    const cr__direct_kernel *kernel;
    cr__direct_layout layout;
    int64_t k, tiles, padded;   /* rows of all tiles */
    int64_t lines;              /* of positions that a band has, at most */
    int64_t units, unit, parts; /* of an image; lines of a unit; parts of the work */
    int32_t *taps;
    float *packed;
    cr__team *team;
} direct_plan;

static int64_t padded_rows(int64_t rows)
{
    return rows <= FEW_TILED ? FEW_TILED : (rows + 1) / 2 * 2;
}

/* The first row of a tile. */
static int64_t first_row(const direct_plan *p, int64_t tile)
{
    return p->tiles == 1 ? tile * p->padded : p->padded / 2 * tile / p->tiles * 2;
}

static void pack_tile(const direct_plan *p, int64_t group, int64_t tile)
{
    const cr__direct *d = p->d;
    const int64_t first = first_row(p, tile), rows = first_row(p, tile + 1) - first;
    float *to = p->packed + (group * p->padded + first) * p->k;
    const float *w = d->w + group * d->w_group;
    int64_t at[16];
    for (int64_t r = 0; r < rows; r++)
        at[r] = (first + r < d->rows ? first + r : d->rows - 1) * d->w_row;
    for (int64_t channel = 0; channel < d->channels; channel++)
        for (int64_t i = 0; i < d->dims[0].taps; i++)
            for (int64_t j = 0; j < d->dims[1].taps; j++) {
                const float *from =
                    w + channel * d->w_channel + i * d->w_tap[0] + j * d->w_tap[1];
                for (int64_t r = 0; r < rows; r++)
                    *to++ = from[at[r]];
            }
}

static void pack_part(void *arg, int64_t i, int worker)
{
    const direct_plan *p = arg;
    int64_t begin, end;
    (void)worker;
    cr__part(p->d->groups * p->tiles, 1, i, p->parts, &begin, &end);
    for (; begin < end; begin++)
        pack_tile(p, begin / p->tiles, begin % p->tiles);
}

/* ---- positions ---- */

/* Lines of an image, at b, that become lines at c. */
typedef struct direct_band {
    const char *b;
    const float *a;
    float *c;
    int64_t lines;
} direct_band;

static int64_t place_of(const direct_plan *p, int64_t at)
{
    const int64_t n = p->d->dims[CR__ALONG_THE].n, pitch = p->layout.pitch,
                  rest = at % pitch;
    return at / pitch * n + (rest < n ? rest : n);
}

/* The next vector of the tile, into its place v. */
static void next_vector(const direct_plan *p, const direct_band *band, int64_t *next,
                        int v, cr__direct_tile *t)
{
    const int64_t n = p->d->dims[CR__ALONG_THE].n, pitch = p->layout.pitch,
                  total = (band->lines - 1) * pitch + n, lanes = p->kernel->lanes;
    int64_t at = *next;
    if (p->layout.in_place && at + lanes > total)
        at = total - lanes;
    const int64_t place = place_of(p, at), all = band->lines * n;
    int64_t end = place_of(p, at + lanes), count = 0;
    end = end < all ? end : all;
    t->b[v] = band->b + at * 4;
    t->c[v] = band->c + place;
    t->n[v] = place + lanes <= all ? lanes : end - place;
    if (end - place < lanes) {
        t->plain = false;
        for (int64_t i = 0; i < lanes; i++)
            if ((at + i) % pitch < n)
                t->order[v][count++] = (int32_t)i;
    } else {
        for (; count < lanes; count++)
            t->order[v][count] = (int32_t)count;
    }
    for (; count < lanes; count++)
        t->order[v][count] = 0;
    *next = at + lanes;
    if (n % lanes == 0 && *next % pitch == n)
        *next += pitch - n;
}

/* All rows of a group at a tile's vectors. */
static void run_rows(const direct_plan *p, const direct_band *band, cr__direct_tile *t,
                     int vectors)
{
    const cr__direct *d = p->d;
    float *c[CR__DIRECT_VECTORS];
    memcpy(c, t->c, sizeof c);
    for (int64_t i = 0; i < p->tiles; i++) {
        const int64_t first = first_row(p, i), rows = first_row(p, i + 1) - first;
        t->a = band->a + first * p->k;
        t->absent = (int)(first + rows > d->rows ? first + rows - d->rows : 0);
        for (int v = 0; v < vectors; v++)
            t->c[v] = c[v] + first * d->c_row;
        if (vectors > 2)
            p->kernel->few(t);
        else
            p->kernel->tiles[rows / 2 - 1](t);
    }
}

static void run_band(const direct_plan *p, const direct_band *band)
{
    const int64_t pitch = p->layout.pitch,
                  total = (band->lines - 1) * pitch + p->d->dims[CR__ALONG_THE].n;
    const int vectors = p->d->rows <= FEW_TILED ? CR__DIRECT_VECTORS : 2;
    cr__direct_tile t = { .taps = p->taps, .k = p->k, .c_row = p->d->c_row };
    for (int64_t next = 0; next < total;) {
        t.plain = true;
        for (int v = 0; v < vectors; v++) {
            if (next < total) {
                next_vector(p, band, &next, v, &t);
            } else {
                t.b[v] = t.b[v - 1], t.c[v] = t.c[v - 1], t.n[v] = t.n[v - 1];
                memcpy(t.order[v], t.order[v - 1], sizeof t.order[v]);
            }
        }
        run_rows(p, band, &t, vectors);
    }
}

/* Lines from `first` on of an image of a group. */
static void run_lines(const direct_plan *p, int64_t group, int64_t image, int64_t first,
                      int64_t lines, float *copies)
{
    const cr__direct *d = p->d;
    const cr__direct_copies *dims = p->layout.dims;
    const float *x = d->x + image * d->x_image + group * d->channels * d->x_channel;
    const cr__direct_piece piece = { .image = x, .first = first, .lines = lines };
    direct_band band = { .a = p->packed + group * p->padded * p->k, .lines = lines };
    band.c = (float *)d->result + image * d->c_image + group * d->rows * d->c_row +
             first * d->c_place[0];
    if (p->layout.in_place) {
        band.b =
            (const char *)(x + (dims[0].first[0] + first) * d->x_line + dims[1].first[0]);
    } else {
        p->kernel->fill(d, &p->layout, &piece, 1, d->channels, copies);
        band.b = (const char *)copies;
    }
    run_band(p, &band);
}

static void direct_part(void *arg, int64_t i, int worker)
{
    const direct_plan *p = arg;
    const cr__direct *d = p->d;
    const int64_t lines = d->dims[CR__DOWN_THE].n;
    int64_t at, end;
    float *scratch = cr__team_scratch(p->team, worker);
    cr__part(d->groups * d->images * p->units, 1, i, p->parts, &at, &end);
    while (at < end) {
        const int64_t unit = at % p->units, outer = at / p->units;
        int64_t most = p->units - unit < end - at ? p->units - unit : end - at;
        const int64_t first = unit * p->unit,
                      last = unit + most == p->units ? lines : first + most * p->unit;
        for (int64_t from = first, n; from < last; from += n) {
            const int64_t left = last - from, bands = (left + p->lines - 1) / p->lines;
            n = (left + bands - 1) / bands;
            run_lines(p, outer / d->images, outer % d->images, from, n, scratch);
        }
        at += most;
    }
}

/* ---- a convolution ---- */

#define FLOPS_PER_PART 150e3

size_t cr__direct_bytes(const cr__direct *d)
{
    int64_t k = d->channels, positions = d->images, bytes;
    for (int i = 0; i < CR__PLANE; i++) {
        if (d->dims[i].taps > CR__DIRECT_TAPS)
            return 0;
        k *= d->dims[i].taps, positions *= d->dims[i].n;
    }
    if (k == 0 || d->rows == 0 || positions < 32 ||
        (d->groups > 1 && d->rows <= FEW_TILED))
        return 0;
    return __builtin_mul_overflow(d->groups * padded_rows(d->rows) + 1, k * 4, &bytes)
               ? 0
               : (size_t)bytes + 64;
}

/* Whether a band has room. */
static bool plan_bands(direct_plan *p, int64_t lanes)
{
    const cr__direct *d = p->d;
    const cr__direct_copies *dims = p->layout.dims;
    const int64_t all = d->dims[CR__DOWN_THE].n, more = dims[0].length - all;
    p->unit = 1, p->lines = all;
    if (p->layout.in_place) {
        while ((p->unit - 1) * p->layout.pitch + d->dims[CR__ALONG_THE].n < lanes)
            p->unit++;
    } else {
        p->lines =
            CR__BAND_ROOM / (d->channels * dims[0].n * dims[1].n * p->layout.pitch) -
            more;
        p->lines = p->lines < all ? p->lines : all;
        cr__direct_size(d, p->lines + more, &p->layout);
    }
    p->units = all / p->unit;
    return p->lines > 0;
}

static void find_taps(const direct_plan *p)
{
    int32_t *to = p->taps;
    for (int64_t channel = 0; channel < p->d->channels; channel++)
        for (int64_t i = 0; i < p->d->dims[0].taps; i++)
            for (int64_t j = 0; j < p->d->dims[1].taps; j++)
                *to++ = (int32_t)(4 * (channel * p->layout.channel +
                                       cr__direct_tap(&p->layout, i, j)));
}

bool cr__direct_for(cr__isa isa, const cr__direct *d, cr__team *team)
{
    direct_plan p = { .d = d, .kernel = &cr__direct_kernels[isa], .team = team };
    p.k = d->channels * d->dims[0].taps * d->dims[1].taps;
    if (!cr__direct_bytes(d) || d->c_place[1] != 1 || d->c_place[0] != d->dims[1].n)
        return false;
    cr__direct_lay_out(d, p.kernel->lanes, &p.layout);
    if (!plan_bands(&p, p.kernel->lanes))
        return false;
    p.taps = d->memory;
    p.packed = (float *)d->memory + (p.k + 15) / 16 * 16;
    p.padded = padded_rows(d->rows);
    p.tiles = d->rows <= FEW_TILED ? 1 : (p.padded + p.kernel->rows - 1) / p.kernel->rows;
    find_taps(&p);
    const double flops = 2.0 * (double)(d->groups * d->rows * d->images * p.k) *
                         (double)(d->dims[0].n * d->dims[1].n);
    const int64_t units = d->groups * d->images * p.units;
    p.parts = cr__team_size(team);
    p.parts = flops < FLOPS_PER_PART * (double)p.parts ? 1 : p.parts;
    p.parts = p.parts < units ? p.parts : units;
    cr__parallel(team, p.parts, pack_part, &p);
    cr__parallel(team, p.parts, direct_part, &p);
    return true;
}
