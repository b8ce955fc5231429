/* Layers by groups: what repeats is folded, so that any network fits on a page. */
#include "report.h"

enum { LONGEST_UNIT = 32 };

static const char *kind_at(const cr__layers *layers, int i)
{
    return layers->of->layers[layers->places[i]].kind;
}

/* From `first` on, the unit of layers whose repetitions reach furthest; the shortest of them. */
static cr__fold longest_repetition(const cr__layers *layers, int first)
{
    cr__fold best = { first, 1, 1 };
    for (int period = 1; period <= LONGEST_UNIT && first + 2 * period <= layers->n;
         period++) {
        int same = 0;
        while (first + period + same < layers->n &&
               strcmp(kind_at(layers, first + same),
                      kind_at(layers, first + period + same)) == 0)
            same++;
        const int units = 1 + same / period;
        if (units > 1 && units * period > best.units * best.period)
            best = (cr__fold){ first, period, units };
    }
    return best;
}

/* Whether the unit at `first` is what one module holds. */
static bool is_module(const cr__layers *layers, int first, int period)
{
    const char *const name = cr__layer(layers, first)->name;
    const char *const point = strrchr(name, '.');
    const size_t path = point ? (size_t)(point - name) + 1 : 0;
    bool same = path > 0;
    for (int i = 1; same && i < period; i++)
        same = strncmp(cr__layer(layers, first + i)->name, name, path) == 0;
    return same;
}

/* The fold that begins at `first`. Where units that begin a little later are modules, what stands
 * before them is left alone. */
static cr__fold fold_from(const cr__layers *layers, int first)
{
    const cr__fold best = longest_repetition(layers, first);
    if (best.units > 1 && !is_module(layers, first, best.period))
        for (int later = 1; later < best.period; later++)
            if (first + later + best.period <= layers->n &&
                is_module(layers, first + later, best.period))
                return (cr__fold){ first, 1, 1 };
    return best;
}

/* Appends the fold's units, `at_once` to a group. Returns the count of groups, which may exceed
 * capacity. */
static int unfold(cr__fold fold, int at_once, cr__fold *groups, int n, int capacity)
{
    for (int unit = 0; unit < fold.units; unit += at_once, n++)
        if (n < capacity)
            groups[n] = (cr__fold){
                .first = fold.first + unit * fold.period,
                .period = fold.period,
                .units = fold.units - unit < at_once ? fold.units - unit : at_once,
            };
    return n;
}

static int fold_at_once(const cr__layers *layers, int at_once, cr__fold *groups,
                        int capacity)
{
    int n = 0;
    for (int i = 0; i < layers->n && n <= capacity;) {
        const cr__fold fold = fold_from(layers, i);
        n = unfold(fold, at_once, groups, n, capacity);
        i += fold.units * fold.period;
    }
    return n;
}

int cr__fold_layers(const cr__layers *layers, cr__fold *groups, int capacity)
{
    const cr__fold all = { 0, 1, layers->n };
    if (layers->n <= capacity)
        return unfold(all, 1, groups, 0, capacity);
    for (int at_once = 1; at_once < layers->n; at_once *= 2) {
        const int n = fold_at_once(layers, at_once, groups, capacity);
        if (n <= capacity) { /* the fewest at once that fit */
            int fewest = at_once / 2 + 1;
            while (fold_at_once(layers, fewest, groups, capacity) > capacity)
                fewest++;
            return fold_at_once(layers, fewest, groups, capacity);
        }
    }
    /* Nothing repeats often enough. */
    return unfold(all, (layers->n + capacity - 1) / capacity, groups, 0, capacity);
}
