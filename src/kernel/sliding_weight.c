/* The weights' gradient (sliding.h), sums over positions: a lane for each row of c, which is
 * transposed block by block, and threes of taps or channels for whose elements of x vectors
 * are multiplied by. The sums are transposed in the end. */
#include "sliding.h"
#include <string.h>

#define MOST_PIECES 64 /* images of a band, at most */
#define Y_LANES     32
#define Y_ELEMENTS  (CR__GEMM_BLOCK * Y_LANES)
_Static_assert((CR__BAND_ROOM + CR__BAND_SLOP + Y_ELEMENTS) * 4 <=
                   (int64_t)CR__SCRATCH_BYTES,
               "room");

/* What the members of a three differ in. */
typedef enum three_kind { BY_CHANNEL, BY_LINE, BY_PLACE } three_kind;

typedef struct weight_plan {
    const cr__sliding *d;
    const cr__sliding_kernel *kernel;
    cr__isa isa;
    cr__sliding_layout layout;
    three_kind kind;
    int64_t taps, threes, tiles, slivers; /* of a group */
    int64_t positions;                    /* of an image */
    int64_t channels, blocks;             /* of a band, at most */
    int64_t sums;                         /* of a sliver */
    int64_t apart[2]; /* bytes from a three's first member to the others */
    int parts;
    int cut; /* what parts divide: groups, slivers or tiles */
    cr__team *team;
} weight_plan;

/* The first member: its channel and tap, and how many of its members others have already. */
typedef struct three {
    int64_t channel, tap, seen;
} three;

CR__COLD static three_kind kind_of(const cr__sliding *d)
{
    return d->dims[1].taps == 3 ? BY_PLACE : d->dims[0].taps == 3 ? BY_LINE : BY_CHANNEL;
}

CR__COLD static int64_t count_threes(const cr__sliding *d)
{
    const int64_t taps = d->dims[0].taps * d->dims[1].taps;
    return kind_of(d) == BY_CHANNEL ? (d->channels + 2) / 3 * taps
                                    : d->channels * taps / 3;
}

CR__COLD static three three_of(const weight_plan *p, int64_t i)
{
    const int64_t along = p->d->dims[1].taps;
    if (i >= p->threes)
        i = p->threes - 1;
    if (p->kind == BY_PLACE)
        return (three){ i / (p->taps / 3), i % (p->taps / 3) * 3, 0 };
    if (p->kind == BY_LINE)
        return (three){ i / along, i % along, 0 };
    const int64_t wanted = i / p->taps * 3, last = p->d->channels - 3,
                  channel = wanted < last ? wanted : last;
    return (three){ channel, i % p->taps, wanted - channel };
}

static int64_t tap_of(const weight_plan *p, int64_t channel, int64_t tap)
{
    const int64_t along = p->d->dims[1].taps;
    return channel * p->layout.channel +
           cr__sliding_tap(&p->layout, tap / along, tap % along);
}

/* ---- bands ---- */

/* Some lines of all images' positions, numbered one behind the other. */
typedef struct weight_band {
    const float *x; /* of the first channel */
    int64_t line;
    int n;
    cr__sliding_piece pieces[MOST_PIECES];
} weight_band;

/* The lines that so many positions may touch, and of copies. */
CR__COLD static int64_t weight_lines(const weight_plan *p, int64_t blocks,
                                     int64_t *pieces)
{
    const cr__window *down = &p->d->dims[0];
    const int64_t n = p->d->dims[1].n, all = p->d->images * down->n,
                  touched = (blocks * CR__GEMM_BLOCK - 1) / n + 2,
                  lines = touched < all ? touched : all;
    *pieces = (lines - 1) / down->n + 2;
    return lines + *pieces * p->layout.dims[0].more;
}

CR__COLD static void open_band(const weight_plan *p, int64_t group, int64_t channel,
                               int64_t channels, int64_t position, int64_t end,
                               float *copies, weight_band *band)
{
    const cr__sliding *d = p->d;
    const int64_t n = d->dims[1].n, down = d->dims[0].n, last = (end - 1) / n,
                  more = p->layout.dims[0].more;
    const float *x = d->x + (group * d->channels + channel) * d->x_channel;
    int64_t at = 0;
    band->line = position / n;
    band->n = 0;
    if (p->layout.in_place) {
        band->x = x + p->layout.dims[0].first[0] * d->x_line + p->layout.dims[1].first[0];
        return;
    }
    for (int64_t line = band->line; line <= last; band->n++) {
        cr__sliding_piece *piece = &band->pieces[band->n];
        const int64_t image = line / down, behind = (image + 1) * down;
        piece->image = x + image * d->x_image;
        piece->first = line % down;
        piece->lines = (last + 1 < behind ? last + 1 : behind) - line;
        piece->at = at;
        at += piece->lines + more;
        line += piece->lines;
    }
    cr__sliding_fill(p->isa, d, &p->layout, band->pieces, band->n, channels, copies);
    band->x = copies;
}

/* Where a line's first position is. */
static int64_t line_at(const weight_plan *p, const weight_band *band, int64_t line)
{
    const cr__sliding *d = p->d;
    const int64_t down = d->dims[0].n, image = line / down;
    if (p->layout.in_place)
        return image * d->x_image + line % down * d->x_line;
    const cr__sliding_piece *piece = &band->pieces[image - band->line / down];
    return (piece->at + line % down - piece->first) * p->layout.pitch;
}

/* From each of a block's positions to the next; where the first one is. */
static int64_t find_hops(const weight_plan *p, const weight_band *band, int64_t position,
                         int64_t k, int32_t *hops)
{
    const int64_t n = p->d->dims[1].n;
    int64_t line = position / n, place = position % n, at = line_at(p, band, line);
    const int64_t first = at + place;
    while (k > 0) {
        const int64_t some = n - place < k ? n - place : k;
        for (int64_t i = 0; i < some; i++)
            *hops++ = 4;
        k -= some;
        if (k > 0) {
            const int64_t next = line_at(p, band, ++line);
            hops[-1] = (int32_t)((next - (at + n - 1)) * 4);
            at = next, place = 0;
        }
    }
    return first;
}

/* ---- a block ---- */

/* to[l*pitch + i] = from[i*step + l]. */
static void transpose_part(const cr__sliding_kernel *kernel, float *to, int64_t pitch,
                           const float *from, int64_t step, int64_t lines, int64_t lanes)
{
    for (int64_t i = 0; i < lanes; i += 8)
        for (int64_t l = 0; l < lines; l += 8) {
            float *square = to + l * pitch + i;
            const float *of = from + i * step + l;
            if (kernel->square && i + 8 <= lanes && l + 8 <= lines) {
                kernel->square(square, pitch, of, step);
                continue;
            }
            for (int64_t k = 0; k < 8 && l + k < lines; k++)
                for (int64_t j = 0; j < 8 && i + j < lanes; j++)
                    square[k * pitch + j] = of[j * step + k];
        }
}

/* Rows of c at a block's positions. */
static void transpose_rows(const weight_plan *p, int64_t row, int64_t lanes,
                           int64_t width, int64_t position, int64_t k, float *y)
{
    const cr__sliding *d = p->d;
    if (lanes < width)
        memset(y, 0, (size_t)(k * width) * 4);
    for (int64_t n; k > 0; k -= n, position += n, y += n * width) {
        const int64_t at = position % p->positions, left = p->positions - at;
        n = left < k ? left : k;
        transpose_part(p->kernel, y, width,
                       d->c + position / p->positions * d->c_image + row * d->c_row + at,
                       d->c_row, n, lanes);
    }
}

/* Of a group: some slivers and tiles. */
typedef struct weight_part {
    int64_t group, sliver, slivers, tile, tiles;
} weight_part;

static float *sums_of(const weight_plan *p, int64_t group, int64_t sliver)
{
    return (float *)p->d->memory + (group * p->slivers + sliver) * p->sums;
}

static int64_t lanes_of(const weight_plan *p, int64_t sliver)
{
    const int64_t left = p->d->rows - sliver * 2 * p->kernel->lanes;
    return left < 2 * p->kernel->lanes ? left : 2 * p->kernel->lanes;
}

/* The rows of c that are transposed behind this sliver at this block, while its tiles run. */
static cr__sliding_fetch fetch_rows(const weight_plan *p, const weight_part *part,
                                    int64_t sliver, int64_t position)
{
    const cr__sliding *d = p->d;
    if (++sliver == part->sliver + part->slivers)
        sliver = part->sliver, position += CR__GEMM_BLOCK;
    const int64_t image = position / p->positions;
    if (image >= d->images)
        return (cr__sliding_fetch){ 0 };
    return cr__sliding_fetch_of(
        d->c + image * d->c_image +
            (part->group * d->rows + sliver * 2 * p->kernel->lanes) * d->c_row +
            position % p->positions,
        d->c_row, CR__GEMM_BLOCK * 4, lanes_of(p, sliver), part->tiles);
}

static void run_block(const weight_plan *p, const weight_part *part,
                      const weight_band *band, int64_t position, int64_t k, float *y)
{
    const int threes = p->kernel->threes;
    int32_t hops[CR__GEMM_BLOCK];
    const int64_t channel = three_of(p, part->tile * threes).channel,
                  first = find_hops(p, band, position, k, hops);
    int64_t at[CR__SLIDING_GROUPS];
    cr__sliding_threes t = { .x = (const char *)(band->x + first),
                             .at = at,
                             .hops = hops,
                             .y = y,
                             .k = k,
                             .apart = { p->apart[0], p->apart[1] } };
    t.add = position > 0;
    for (int64_t s = part->sliver; s < part->sliver + part->slivers; s++) {
        const int64_t lanes = lanes_of(p, s);
        const int vectors = lanes > p->kernel->lanes ? 2 : 1;
        const int64_t width = vectors * p->kernel->lanes;
        cr__sliding_fetch next = fetch_rows(p, part, s, position);
        transpose_rows(p, part->group * p->d->rows + s * 2 * p->kernel->lanes, lanes,
                       width, position, k, y);
        for (int64_t i = part->tile; i < part->tile + part->tiles; i++) {
            for (int g = 0; g < threes; g++) {
                const three of = three_of(p, i * threes + g);
                at[g] = 4 * tap_of(p, of.channel - channel, of.tap);
            }
            cr__sliding_fetch_some(&next);
            if (p->layout.in_place && s == part->sliver) {
                cr__sliding_fetch x = cr__sliding_fetch_of(
                    (const float *)(const void *)(t.x + at[0]) +
                        3 * threes * p->layout.channel,
                    p->layout.channel, i + 1 < part->tile + part->tiles ? k * 4 : 0,
                    3 * threes, 1);
                cr__sliding_fetch_some(&x);
            }
            t.sums = sums_of(p, part->group, s) + i * threes * 3 * width;
            p->kernel->weights[vectors - 1](&t);
        }
    }
}

/* The sums' places in the result. */
CR__COLD static void give_sums(const weight_plan *p, const weight_part *part)
{
    const cr__sliding *d = p->d;
    const int threes = p->kernel->threes;
    const int64_t apart = p->kind == BY_CHANNEL ? d->w_channel
                          : p->kind == BY_LINE  ? d->dims[1].taps
                                                : 1;
    for (int64_t s = part->sliver; s < part->sliver + part->slivers; s++) {
        const int64_t lanes = lanes_of(p, s), width = lanes > p->kernel->lanes
                                                          ? 2 * p->kernel->lanes
                                                          : p->kernel->lanes;
        float *to = (float *)d->result + part->group * d->w_group +
                    s * 2 * p->kernel->lanes * d->w_row;
        int64_t i = part->tile * threes, end = (part->tile + part->tiles) * threes;
        if (p->kind == BY_PLACE) {
            end = end < p->threes ? end : p->threes;
            transpose_part(p->kernel, to + 3 * i, d->w_row,
                           sums_of(p, part->group, s) + 3 * i * width, width, lanes,
                           3 * (end - i));
            continue;
        }
        for (; i < end; i++) {
            const three of = three_of(p, i);
            const float *from = sums_of(p, part->group, s) + i * 3 * width;
            if (i >= p->threes)
                break;
            for (int64_t j = of.seen; j < 3; j++)
                for (int64_t lane = 0; lane < lanes; lane++)
                    to[lane * d->w_row + of.channel * d->w_channel + of.tap + j * apart] =
                        from[j * width + lane];
        }
    }
}

/* Tiles from the part's first on whose channels fit into a band; their channels. */
CR__COLD static int64_t fit_tiles(const weight_plan *p, const weight_part *part,
                                  int64_t *channels)
{
    const int threes = p->kernel->threes;
    const int64_t first = three_of(p, part->tile * threes).channel;
    int64_t n = 0;
    for (; n < part->tiles; n++) {
        const int64_t last = three_of(p, (part->tile + n + 1) * threes - 1).channel +
                             (p->kind == BY_CHANNEL ? 2 : 0);
        if (n > 0 && last - first >= p->channels)
            break;
        *channels = last - first + 1;
    }
    return n;
}

static void run_part(const weight_plan *p, const weight_part *whole, float *scratch)
{
    const int64_t all = p->d->images * p->positions;
    float *y = scratch + CR__BAND_ROOM + CR__BAND_SLOP;
    weight_part part = *whole;
    for (int64_t left = whole->tiles, channels = 0; left > 0;
         left -= part.tiles, part.tile += part.tiles) {
        weight_band band;
        part.tiles = left;
        part.tiles = fit_tiles(p, &part, &channels);
        const int64_t channel = three_of(p, part.tile * p->kernel->threes).channel;
        for (int64_t at = 0, end; at < all; at = end) {
            end = at + p->blocks * CR__GEMM_BLOCK < all ? at + p->blocks * CR__GEMM_BLOCK
                                                        : all;
            open_band(p, part.group, channel, channels, at, end, scratch, &band);
            for (int64_t block = at; block < end; block += CR__GEMM_BLOCK)
                run_block(p, &part, &band, block,
                          end - block < CR__GEMM_BLOCK ? end - block : CR__GEMM_BLOCK, y);
        }
    }
    give_sums(p, whole);
}

static void weight_body(void *arg, int64_t i, int worker)
{
    const weight_plan *p = arg;
    const int64_t all[] = { p->d->groups, p->slivers, p->tiles };
    int64_t begin[3] = { 0 }, end[3];
    memcpy(end, all, sizeof end);
    cr__part(all[p->cut], 1, i, p->parts, &begin[p->cut], &end[p->cut]);
    for (int64_t group = begin[0]; group < end[0]; group++) {
        const weight_part part = { group, begin[1], end[1] - begin[1], begin[2],
                                   end[2] - begin[2] };
        run_part(p, &part, cr__team_scratch(p->team, worker));
    }
}

/* ---- the whole ---- */

#define FLOPS_PER_NS 80

CR__COLD size_t cr__sliding_weight_bytes(const cr__sliding *d)
{
    int64_t bytes;
    const int64_t positions = d->images * d->dims[0].n * d->dims[1].n;
    for (int i = 0; i < CR__PLANE; i++)
        if (d->dims[i].taps > CR__SLIDING_TAPS)
            return 0;
    if (d->rows < 8 || positions < 32 || (kind_of(d) == BY_CHANNEL && d->channels < 3))
        return 0;
    const int64_t threes = (count_threes(d) + CR__SLIDING_GROUPS - 1) /
                           CR__SLIDING_GROUPS * CR__SLIDING_GROUPS,
                  lanes = (d->rows + Y_LANES - 1) / Y_LANES * Y_LANES;
    return threes == 0 ||
                   __builtin_mul_overflow(d->groups * threes, 12 * lanes, &bytes) ||
                   bytes > CR__SLIDING_BYTES
               ? 0
               : (size_t)bytes;
}

/* How much a band has. */
CR__COLD static bool plan_weight_bands(weight_plan *p)
{
    const cr__sliding_copies *dims = p->layout.dims;
    int64_t pieces, lines;
    p->blocks = 1, p->channels = p->d->channels;
    if (p->layout.in_place) {
        p->blocks = INT64_MAX / CR__GEMM_BLOCK;
        return p->d->x_image < INT32_MAX / 4 && p->d->x_image > INT32_MIN / 4;
    }
    const int64_t line = p->layout.pitch * dims[0].n * dims[1].n;
    lines = weight_lines(p, 1, &pieces);
    if (pieces > MOST_PIECES)
        return false;
    const int64_t most = CR__BAND_ROOM / (lines * line);
    p->channels = p->channels < most ? p->channels : most;
    for (int64_t blocks = 2; blocks <= 8; blocks++) {
        lines = weight_lines(p, blocks, &pieces);
        if (pieces > MOST_PIECES || lines * line * p->channels > CR__BAND_ROOM)
            break;
        p->blocks = blocks;
    }
    lines = weight_lines(p, p->blocks, &pieces);
    cr__sliding_size(lines, &p->layout);
    return p->channels >= 6 || p->channels == p->d->channels;
}

CR__COLD static void plan_weight_parts(weight_plan *p)
{
    const int64_t all[] = { p->d->groups, p->slivers, p->tiles };
    const double flops = 2.0 *
                         (double)(p->d->groups * p->d->rows * p->d->channels * p->taps) *
                         (double)(p->d->images * p->positions);
    const int team = cr__team_size(p->team);
    p->parts = cr__threads_for(flops / FLOPS_PER_NS, p->team);
    p->cut = p->d->groups >= team                                        ? 0
             : p->slivers % team == 0 || p->slivers >= 4 * (int64_t)team ? 1
                                                                         : 2;
    if (p->parts > all[p->cut])
        p->parts = (int)all[p->cut];
}

CR__COLD bool cr__sliding_weight_for(cr__isa isa, const cr__sliding *d, cr__team *team)
{
    weight_plan p = {
        .d = d, .kernel = cr__sliding_kernels[isa], .isa = isa, .team = team
    };
    if (!cr__sliding_weight_bytes(d) || d->c_place[1] != 1 ||
        d->c_place[0] != d->dims[1].n)
        return false;
    p.kind = kind_of(d);
    p.taps = d->dims[0].taps * d->dims[1].taps;
    p.positions = d->dims[0].n * d->dims[1].n;
    p.threes = count_threes(d);
    p.tiles = (p.threes + p.kernel->threes - 1) / p.kernel->threes;
    p.slivers = (d->rows + 2 * p.kernel->lanes - 1) / (2 * p.kernel->lanes);
    p.sums = p.tiles * p.kernel->threes * 3 * 2 * p.kernel->lanes;
    cr__sliding_lay_out(d, 1, 0, &p.layout);
    if (!plan_weight_bands(&p))
        return false;
    for (int i = 0; i < 2; i++)
        p.apart[i] = 4 * (p.kind == BY_CHANNEL
                              ? (i + 1) * p.layout.channel
                              : cr__sliding_tap(&p.layout, p.kind == BY_LINE ? i + 1 : 0,
                                                p.kind == BY_LINE ? 0 : i + 1) -
                                    cr__sliding_tap(&p.layout, 0, 0));
    plan_weight_parts(&p);
    cr__parallel(team, p.parts, weight_body, &p);
    return true;
}
