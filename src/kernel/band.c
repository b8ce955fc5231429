/* Bands of images (band.h): where their lines are, and where taps and columns are in them. */
#include "band.h"

enum { LINES, PLACES };

/* Whether there is a dim for lines, and one for planes. */
static int dim_of_lines(const cr__matrix *x)
{
    return x->ndim - 2;
}

static int64_t count_in(const cr__matrix *x, int side, int d)
{
    return d < 0 ? 1 : x->count[side][d];
}

/* Along the taps of a dim: from the lowest step to the highest. */
static int64_t reach_in(const cr__matrix *x, int d, int64_t *least)
{
    const int64_t all = d < 0 ? 0 : (x->count[CR__ROWS][d] - 1) * x->step[CR__ROWS][d];
    *least = all < 0 ? all : 0;
    return all < 0 ? -all : all;
}

int64_t cr__band_channels(const cr__matrix *x, int64_t k, int64_t block)
{
    int64_t taps = 1;
    for (int d = 0; d < x->ndim; d++)
        taps *= x->count[CR__ROWS][d];
    const int64_t all = k / taps, most = block / taps + 2;
    return all < most ? all : most;
}

int64_t cr__band_init(cr__band *b, const cr__matrix *x, int64_t column, int64_t columns,
                      int64_t channels)
{
    const int last = x->ndim - 1, h = dim_of_lines(x);
    const int64_t width = x->count[CR__COLUMNS][last],
                  height = count_in(x, CR__COLUMNS, h);
    const int64_t step = x->step[CR__COLUMNS][last];
    *b = (cr__band){ .x = x, .column = column, .columns = columns, .channels = channels };
    b->taps = x->count[CR__ROWS][last] * count_in(x, CR__ROWS, h) *
              count_in(x, CR__ROWS, h - 1);
    b->first_line = column / width, b->last_line = (column + columns - 1) / width;
    const bool one = b->first_line == b->last_line;
    b->first_place = one ? column % width : 0;
    const int64_t places = one ? columns : width;
    const int64_t across = reach_in(x, last, &b->least[PLACES]),
                  down = reach_in(x, h, &b->least[LINES]);
    b->groups = b->last_line / height - b->first_line / height + 1;
    int64_t lines = b->last_line - b->first_line;
    if (b->groups == 2) {
        const int64_t above = height - 1 - b->first_line % height,
                      below = b->last_line % height;
        lines = above > below ? above : below;
    } else if (b->groups > 2) {
        lines = height - 1;
    }
    b->phases = step < across + 1 ? step : across + 1;
    b->pitch = places + across / step;
    b->lines = (h < 0 ? 0 : lines * x->step[CR__COLUMNS][h]) + down + 1;
    b->planes = count_in(x, CR__ROWS, h - 1);
    b->line = b->phases * b->pitch;
    int64_t all;
    if (__builtin_mul_overflow(b->lines, b->line, &b->plane) ||
        __builtin_mul_overflow(b->planes, b->plane, &b->channel) ||
        __builtin_mul_overflow(channels, b->channel, &b->group) ||
        __builtin_mul_overflow(b->groups, b->group, &all))
        return INT64_MAX;
    return all;
}

void cr__band_taps(const cr__band *b, int64_t k, int64_t n, int64_t first, int64_t *at)
{
    const cr__matrix *x = b->x;
    const int last = x->ndim - 1, h = dim_of_lines(x);
    const int64_t wide = x->count[CR__ROWS][last], high = count_in(x, CR__ROWS, h);
    const int64_t step = x->step[CR__COLUMNS][last];
    for (int64_t i = 0; i < n; i++) {
        const int64_t tap = (k + i) % b->taps, channel = (k + i) / b->taps - first;
        const int64_t place = tap % wide * x->step[CR__ROWS][last] - b->least[PLACES];
        const int64_t line =
            h < 0 ? 0 : tap / wide % high * x->step[CR__ROWS][h] - b->least[LINES];
        at[i] = channel * b->channel + tap / wide / high * b->plane + line * b->line +
                place % step * b->pitch + place / step;
    }
}

/* The first line of a group that its columns need, among the group's positions. */
static int64_t first_of(const cr__band *b, int64_t group)
{
    const int64_t height = count_in(b->x, CR__COLUMNS, dim_of_lines(b->x));
    return group == 0 ? b->first_line % height : 0;
}

int64_t cr__band_run(const cr__band *b, int64_t column, int64_t n, int64_t *at)
{
    const cr__matrix *x = b->x;
    const int h = dim_of_lines(x);
    const int64_t width = x->count[CR__COLUMNS][x->ndim - 1],
                  height = count_in(x, CR__COLUMNS, h);
    const int64_t line = column / width, place = column % width,
                  group = line / height - b->first_line / height;
    *at = group * b->group + place - b->first_place;
    if (h >= 0)
        *at += (line % height - first_of(b, group)) * x->step[CR__COLUMNS][h] * b->line;
    return n < width - place ? n : width - place;
}

void cr__band_find(const cr__band *b, int64_t group, int64_t channel, int64_t plane,
                   int64_t line, int64_t phase, cr__band_line *found)
{
    const cr__matrix *x = b->x;
    const int last = x->ndim - 1, h = dim_of_lines(x);
    const int64_t height = count_in(x, CR__COLUMNS, h),
                  depth = count_in(x, CR__COLUMNS, h - 1);
    const int64_t outer = b->first_line / height + group,
                  step = x->step[CR__COLUMNS][last];
    const int64_t start =
        b->first_place * step + phase + b->least[PLACES] + x->origin[last];
    const char *from =
        x->data + outer / depth * x->outer[CR__COLUMNS] + channel * x->outer[CR__ROWS];
    bool there = true;
    if (h >= 0) {
        const int64_t u = first_of(b, group) * x->step[CR__COLUMNS][h] + line +
                          b->least[LINES] + x->origin[h];
        there = u >= x->low[h] && u < x->high[h];
        from += u * x->memory[h];
    }
    if (h >= 1) {
        const int64_t u = outer % depth * x->step[CR__COLUMNS][0] +
                          plane * x->step[CR__ROWS][0] + x->origin[0];
        there = there && u >= x->low[0] && u < x->high[0];
        from += u * x->memory[0];
    }
    int64_t lo = 0, hi = 0;
    if (there) {
        const int64_t low = x->low[last] - start, high = x->high[last] - start;
        lo = low > 0 ? (low + step - 1) / step : 0;
        hi = high > 0 ? (high + step - 1) / step : 0;
        hi = hi < b->pitch ? hi : b->pitch;
    }
    *found = (cr__band_line){ .at = group * b->group + plane * b->plane + line * b->line +
                                    phase * b->pitch,
                              .lo = lo < hi ? lo : b->pitch,
                              .hi = lo < hi ? hi : b->pitch,
                              .step = step * x->memory[last],
                              .from = from + (start + lo * step) * x->memory[last] };
}
