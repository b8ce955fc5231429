/* Marks and places of drawings, and the depth profile, which the page and the drawing share. */
#include "plot.h"

double cr__plot_x(const cr__plot *plot, double x)
{
    return plot->left + (x - plot->x_from) / (plot->x_to - plot->x_from) * plot->width;
}

double cr__plot_y(const cr__plot *plot, double y)
{
    const double share = (y - plot->y_from) / (plot->y_to - plot->y_from);
    return plot->top + (1 - (share < 0 ? 0 : share > 1 ? 1 : share)) * plot->height;
}

double cr__tick_step(double from, double to, int most, bool whole)
{
    const double least = (to - from) / most;
    double step = pow(10, floor(log10(least)));
    if (whole && !(step >= 1))
        return 1;
    static const double factors[] = { 1, 2, 5, 10 };
    for (int i = 0; i < CR__FLOW_COUNT(factors); i++)
        if (step * factors[i] >= least * (1 - 1e-9))
            return step * factors[i];
    return step * 10;
}

void cr__plot_range(const cr__range *range, double least, double *from, double *to)
{
    *from = cr__range_any(range) ? floor(range->least) : 0;
    *to = cr__range_any(range) ? ceil(range->most) : least;
    if (*to - *from < least) {
        const double more = ceil((least - (*to - *from)) / 2);
        *from -= more;
        *to += more;
    }
}

double cr__series_x(const cr__series *series, int i)
{
    if (series->n < 2)
        return (series->x_first + series->x_last) / 2;
    return series->x_first + (series->x_last - series->x_first) * i / (series->n - 1);
}

void cr__draw_curve(const cr__plot *plot, const cr__series *series, const char *style)
{
    bool drawing = false;
    cr__put(plot->sink, "<path class=\"curve %s\" d=\"", style);
    for (int i = 0; i < series->n; i++) {
        const bool there = isfinite(series->y[i]);
        if (there)
            cr__put(plot->sink, "%c%.1f %.1f", drawing ? 'L' : 'M',
                    cr__plot_x(plot, cr__series_x(series, i)),
                    cr__plot_y(plot, series->y[i]));
        drawing = there;
    }
    cr__put(plot->sink, "\"/>\n");
}

/* Strokes of no length with round ends: they stay round however the drawing is stretched. */
void cr__draw_dots(const cr__plot *plot, const cr__series *series, const char *style)
{
    cr__put(plot->sink, "<path class=\"dots %s\" d=\"", style);
    for (int i = 0; i < series->n; i++)
        if (isfinite(series->y[i]))
            cr__put(plot->sink, "M%.1f %.1fh0", cr__plot_x(plot, cr__series_x(series, i)),
                    cr__plot_y(plot, series->y[i]));
    cr__put(plot->sink, "\"/>\n");
}

void cr__draw_band(const cr__plot *plot, const cr__series *low, const cr__series *high)
{
    char command = 'M';
    cr__put(plot->sink, "<path class=\"band\" d=\"");
    for (int i = 0; i < 2 * low->n; i++) {
        const int at = i < low->n ? i : 2 * low->n - 1 - i;
        const double y = (i < low->n ? low : high)->y[at];
        if (!isfinite(low->y[at]) || !isfinite(high->y[at]))
            continue;
        cr__put(plot->sink, "%c%.1f %.1f", command,
                cr__plot_x(plot, cr__series_x(low, at)), cr__plot_y(plot, y));
        command = 'L';
    }
    cr__put(plot->sink, "\"/>\n");
}

/* ---- the depth profile ---- */

static double *new_values(int n)
{
    double *values = malloc(((size_t)n + 1) * sizeof *values);
    for (int i = 0; values && i < n; i++)
        values[i] = NAN;
    return values;
}

double *cr__deltas(const cr__layers *layers)
{
    double *values = new_values(layers->n);
    for (int i = 0; values && i < layers->n; i++)
        values[i] = cr__delta(cr__layer(layers, i));
    return values;
}

/* The leaf where the layer at that place ends: itself, or the last one that it holds; -1: none. */
static int last_leaf_of(const cr__layers *layers, int place)
{
    const cr_flow_layer *layer = &layers->of->layers[place];
    const size_t length = strlen(layer->name);
    int last = -1;
    for (int i = 0; i < layers->n; i++) {
        const char *name = cr__layer(layers, i)->name;
        if (layers->places[i] == place)
            return i;
        if (length == 0 ||
            (strncmp(name, layer->name, length) == 0 && name[length] == '.'))
            last = i;
    }
    return last;
}

/* Theory begins with what is measured at its last layer. ln |delta|^2 of the layer that is f of the
 * depth further down is spread with variance beta f about a mean that is beta f / 2 lower (Hanin and
 * Nica, 2020); the band holds 95%. */
static void lay_theory(const cr_flow_report *report, cr__profile *profile, double *ratio)
{
    const int64_t depth = report->stack.depth;
    const double beta = isfinite(report->prediction.beta) ? report->prediction.beta : 0;
    const cr_flow_layer *layers = report->snapshots->layers;
    const double from = cr__delta(&layers[report->stack_layers[depth - 1]]);
    const double decade = log(10);
    for (int64_t l = 0; l < depth; l++) {
        const int place = report->stack_layers[l];
        const int leaf = last_leaf_of(&profile->layers, place);
        if (leaf < 0)
            continue;
        if (!layers[place].leaf) {
            profile->sums[leaf] = cr__delta(&layers[place]);
            profile->has_sums = true;
            cr__range_add(&profile->range, profile->sums[leaf]);
        }
        const double further = (double)(depth - 1 - l) / (double)depth;
        const double middle = from + ratio[l] / decade - beta * further / 4 / decade;
        const double half = 1.96 * sqrt(beta * further) / 2 / decade;
        profile->theory[leaf] = from + ratio[l] / decade;
        profile->low[leaf] = middle - half;
        profile->high[leaf] = middle + half;
        cr__range_add(&profile->range, profile->low[leaf]);
        cr__range_add(&profile->range, profile->high[leaf]);
    }
}

/* Between theory's layers lie others: the lines go straight over them. */
static void bridge_gaps(double *values, int n)
{
    for (int i = 0, before = -1; i < n; i++) {
        if (!isfinite(values[i]))
            continue;
        for (int k = before + 1; before >= 0 && k < i; k++)
            values[k] = values[before] +
                        (values[i] - values[before]) * (k - before) / (i - before);
        before = i;
    }
}

static void drop_theory(cr__profile *profile)
{
    free(profile->theory);
    free(profile->low);
    free(profile->high);
    free(profile->sums);
    profile->theory = profile->low = profile->high = profile->sums = NULL;
    profile->has_sums = false;
}

static bool add_theory(const cr_flow_report *report, cr__profile *profile)
{
    const int64_t depth = report->stack.depth;
    const int n = profile->layers.n;
    if (!cr__has_theory(report) || !report->stack_layers || depth < 2 || depth > n)
        return true;
    double *ratio = new_values((int)depth);
    profile->theory = new_values(n);
    profile->low = new_values(n);
    profile->high = new_values(n);
    profile->sums = new_values(n);
    const bool made =
        ratio && profile->theory && profile->low && profile->high && profile->sums;
    if (!made || cr_flow_profile(&report->stack, NULL, ratio) != CR_OK) {
        drop_theory(profile);
    } else {
        lay_theory(report, profile, ratio);
        bridge_gaps(profile->theory, n);
        bridge_gaps(profile->low, n);
        bridge_gaps(profile->high, n);
    }
    free(ratio);
    return made;
}

/* The last snapshot of the same layers in which some gradient is a number. */
static bool add_last(const cr_flow_report *report, cr__profile *profile)
{
    const int n = profile->layers.n;
    profile->last = new_values(n);
    for (int s = report->n_snapshots - 1; profile->last && s > 0; s--) {
        const cr_flow_snapshot *snapshot = &report->snapshots[s];
        if (snapshot->n_layers != report->snapshots->n_layers)
            continue;
        bool any = false;
        for (int i = 0; i < n; i++) {
            profile->last[i] = cr__delta(&snapshot->layers[profile->layers.places[i]]);
            any = any || isfinite(profile->last[i]);
        }
        if (any) {
            profile->last_of = snapshot;
            return true;
        }
    }
    const bool made = profile->last != NULL;
    free(profile->last);
    profile->last = NULL;
    return made;
}

bool cr__profile_of(const cr_flow_report *report, cr__profile *profile)
{
    *profile = (cr__profile){ .range = CR__NO_RANGE };
    bool made =
        cr__layers_of(report->n_snapshots ? report->snapshots : NULL, &profile->layers);
    profile->first = made ? cr__deltas(&profile->layers) : NULL;
    made = profile->first && add_last(report, profile) && add_theory(report, profile);
    if (!made) {
        cr__profile_free(profile);
        return false;
    }
    for (int i = 0; i < profile->layers.n; i++) {
        cr__range_add(&profile->range, profile->first[i]);
        cr__range_add(&profile->range, profile->last ? profile->last[i] : NAN);
    }
    return true;
}

void cr__profile_free(cr__profile *profile)
{
    free(profile->layers.places);
    free(profile->first);
    free(profile->last);
    drop_theory(profile);
    *profile = (cr__profile){ 0 };
}

/* Where there is no number, a mark at the foot says why. */
static void draw_states(const cr__plot *plot, const cr__layers *layers)
{
    static const cr_flow_state marked[] = { CR_FLOW_ZERO, CR_FLOW_NOT_FINITE,
                                            CR_FLOW_DISCONNECTED };
    for (int s = 0; s < CR__FLOW_COUNT(marked); s++) {
        bool any = false;
        for (int i = 0; i < layers->n; i++) {
            if (cr__layer(layers, i)->delta_y.state != marked[s])
                continue;
            if (!any)
                cr__put(plot->sink, "<path class=\"dots state%d\" d=\"", (int)marked[s]);
            cr__put(plot->sink, "M%.1f %.1fh0", cr__plot_x(plot, i),
                    plot->top + plot->height - 5);
            any = true;
        }
        if (any)
            cr__put(plot->sink, "\"/>\n");
    }
}

void cr__draw_profile(const cr__plot *plot, const cr__profile *profile)
{
    const int n = profile->layers.n;
    const double end = n - 1;
    const cr__series first = { profile->first, n, 0, end };
    if (profile->theory)
        cr__draw_band(plot, &(cr__series){ profile->low, n, 0, end },
                      &(cr__series){ profile->high, n, 0, end });
    if (profile->last)
        cr__draw_curve(plot, &(cr__series){ profile->last, n, 0, end }, "c2");
    cr__draw_curve(plot, &first, "c1");
    if (n <= 250)
        cr__draw_dots(plot, &first, "c1");
    if (profile->has_sums)
        cr__draw_dots(plot, &(cr__series){ profile->sums, n, 0, end }, "c4");
    if (profile->theory)
        cr__draw_curve(plot, &(cr__series){ profile->theory, n, 0, end }, "theory");
    draw_states(plot, &profile->layers);
}
