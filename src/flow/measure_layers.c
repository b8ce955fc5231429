/* What a measurement says of each boundary: gains, saturation, dead units, spread, branches. */
#include "measure.h"

#include <stdio.h>

/* ---- over the batch ---- */

/* Of y [samples, ..]: rms of what differs from the mean over samples, over rms. */
double cr__flow_spread(const cr__flow_value *y)
{
    const int64_t samples = cr_size(y->tensor, 0);
    if (cr_ndim(y->tensor) < 1 || samples < 2 || !y->value.data)
        return (double)NAN;
    const int64_t units = y->value.numel / samples;
    double apart = 0, whole = 0;
    double *block = calloc((size_t)(3 * units), sizeof *block);
    if (!block)
        return (double)NAN;
    double *first = block + units, *sum = first + units;
    cr__flow_load(&y->value, 0, units, first);
    for (int64_t i = 0; i < samples; i++) {
        cr__flow_load(&y->value, i * units, units, block);
        for (int64_t k = 0; k < units; k++) {
            const double d = block[k] - first[k]; /* exactly zero where nothing differs */
            sum[k] += d;
            apart += d * d;
            whole += block[k] * block[k];
        }
    }
    for (int64_t k = 0; k < units; k++)
        apart -= sum[k] * sum[k] / (double)samples;
    free(block);
    return sqrt(fmax(apart, 0) / whole);
}

/* Whether all elements x[(outer * units + unit) * inner + ..] of a unit are equal. */
static bool is_constant(const cr__flow_array *x, int64_t outer, int64_t units,
                        int64_t inner, int64_t unit)
{
    const double first = cr__flow_at(x, unit * inner);
    for (int64_t i = 0; i < outer; i++)
        for (int64_t k = 0; k < inner; k++)
            if (cr__flow_at(x, (i * units + unit) * inner + k) != first)
                return false;
    return true;
}

static double constant_share(const cr__flow_array *x, int64_t outer, int64_t units,
                             int64_t inner)
{
    int64_t dead = 0;
    if (outer * inner < 2 || units < 1)
        return (double)NAN;
    for (int64_t unit = 0; unit < units; unit++)
        dead += is_constant(x, outer, units, inner, unit);
    return (double)dead / (double)units;
}

/* Units are columns of [samples, units] and channels of [samples, channels, ..]; of three
 * dimensions also [samples, time, units], whichever has more of dead ones. */
static double dead_share(const cr__flow_value *y)
{
    const cr_dims shape = cr_shape(y->tensor);
    if (shape.n < 2 || !y->value.data || shape.v[0] < 2)
        return (double)NAN;
    const int64_t samples = shape.v[0], units = shape.v[1];
    const int64_t inner = y->value.numel / samples / units;
    const double share = constant_share(&y->value, samples, units, inner);
    if (shape.n != 3)
        return share;
    const int64_t last = shape.v[2];
    return fmax(share, constant_share(&y->value, y->value.numel / last, last, 1));
}

/* Parameters of the module itself, not of those it holds. */
static void find_own_params(const cr__flow_measurement *m, cr_module *module,
                            cr_flow_layer *layer)
{
    const cr_params *own = cr_nn_params(module);
    for (int i = 0; own && i < own->n; i++) {
        const cr__flow_value *v = cr__flow_value_of(m, own->list[i].tensor);
        if (strchr(own->list[i].name, '.') || !v)
            continue;
        for (int k = 0; k < m->params.n; k++) {
            if (m->params.list[k].tensor != own->list[i].tensor)
                continue;
            layer->first_param = layer->n_params ? layer->first_param : k;
            layer->n_params++;
            break;
        }
    }
}

/* |branch| / |sum|, and |what came through it| / |all that came|: the sum sends the branch what it
 * sends the other operand. */
static void take_branch(const cr__flow_measurement *m, const cr__flow_branch *sum,
                        const cr__flow_value *y, cr_flow_layer *layer)
{
    const cr__flow_value *skip = cr__flow_value_of(m, sum->skip);
    const cr__flow_value *branch = cr__flow_value_of(m, sum->branch);
    if (!branch)
        return;
    layer->branch = pow(10, branch->size.log10_norm - y->size.log10_norm);
    if (!skip || !skip->gradient.data || !branch->gradient.data)
        return;
    const cr__flow_pair through = cr__flow_compare(&skip->gradient, &branch->gradient);
    layer->branch_delta = pow(10, cr__tally_size(&through.difference).log10_norm -
                                      skip->delta_size.log10_norm);
}

/* The largest slope of an activation, to a hundredth: all known ones have it between -8 and 8. */
static double steepest(cr_flow *flow, const cr_flow_activation *phi)
{
    if (flow->steepest == phi)
        return flow->steepest_slope;
    flow->steepest = phi;
    flow->steepest_slope = 0;
    for (int i = -128; i <= 128; i++)
        flow->steepest_slope =
            fmax(flow->steepest_slope, fabs(phi->slope(i / 16.0, phi->user)));
    return flow->steepest_slope;
}

/* Of outputs where the slope is below a hundredth of its largest: theory's, where it knows the
 * activation, or the largest that there is. */
static double saturated_share(cr_flow *flow, const cr__flow_event *e, cr_tensor *slope)
{
    const cr_flow_activation *phi = cr_flow_activation_find(cr__flow_activation_name(e));
    if (!slope || !cr_numel(slope))
        return (double)NAN;
    const cr__flow_array array = cr__flow_array_of(slope);
    if (!array.data)
        return (double)NAN;
    const cr_flow_size size = cr__flow_measure(&array, NULL);
    const double seen = fmax(fabs(size.least), fabs(size.most));
    const double least = (phi ? fmax(seen, steepest(flow, phi)) : seen) / 100;
    int64_t few = 0;
    for (int64_t i = 0; i < array.numel; i++)
        few += fabs(cr__flow_at(&array, i)) < least;
    return least > 0 ? (double)few / (double)array.numel : 1;
}

/* How many leaf modules read each value, by its place. */
static bool count_readers(cr__flow_measurement *m)
{
    m->readers = cr__arena_alloc(&m->scratch, m->ctx, (size_t)m->n_values * sizeof(int));
    for (int i = 0; i < m->flow->n_events && m->readers; i++) {
        const cr__flow_event *e = &m->flow->events[i];
        const cr__flow_value *x = cr__flow_value_of(m, e->x);
        const cr__flow_value *skip = cr__flow_value_of(m, m->finds[i].sum.skip);
        if (x && cr_nn_count(e->place->module) == 0)
            m->readers[x - m->values]++;
        if (skip)
            m->readers[skip - m->values]++;
    }
    return m->readers != NULL;
}

/* log10 of the norm of what this module alone sends down to x, which others read too. */
static double own_share(const cr__flow_event *e, cr_tensor *delta)
{
    cr_tensor *down = NULL;
    const cr_gradients_opts opts = {
        .site = "flow", .cotangents = &delta, .retain_graph = true, .allow_unused = true
    };
    if (cr_gradients_at(&e->y, 1, &e->x, 1, &down, opts) != CR_OK || !down)
        return (double)NAN;
    const cr__flow_array array = cr__flow_array_of(down);
    return array.data ? cr__flow_measure(&array, NULL).log10_norm : (double)NAN;
}

/* What the gradient wins in a module: from y to x, without what comes to x from elsewhere. */
static double decades_of(cr__flow_measurement *m, int event, const cr__flow_value *x,
                         const cr__flow_value *y)
{
    const cr__flow_event *e = &m->flow->events[event];
    double down = x ? x->delta_size.log10_norm : (double)NAN;
    if (x && x->delta && y->delta && m->readers[x - m->values] > 1 &&
        x->delta_size.state == CR_FLOW_USUAL && !m->finds[event].sum.skip)
        down = own_share(e, y->delta);
    const double decades = down - y->delta_size.log10_norm;
    return isfinite(decades) ? decades : (double)NAN;
}

/* What changes slowly. */
static void take_slow(cr__flow_measurement *m, int event, const cr__flow_value *y,
                      cr_flow_layer *layer)
{
    if (m->thorough) {
        layer->saturated =
            saturated_share(m->flow, &m->flow->events[event], m->finds[event].slope);
        layer->dead = dead_share(y);
        layer->unlike = cr__flow_spread(y);
        take_branch(m, &m->finds[event].sum, y, layer);
        return;
    }
    const cr_flow_layer *last = &m->last->layers[event];
    layer->saturated = last->saturated;
    layer->dead = last->dead;
    layer->unlike = last->unlike;
    layer->branch = last->branch;
    layer->branch_delta = last->branch_delta;
}

static void fill_layer(cr__flow_measurement *m, int event, cr_flow_layer *layer)
{
    const cr__flow_event *e = &m->flow->events[event];
    const cr__flow_value *x = cr__flow_value_of(m, e->x), *y = cr__flow_value_of(m, e->y);
    const double none = (double)NAN;
    *layer =
        (cr_flow_layer){ .kind = "tensor",
                         .leaf = true,
                         .x = x ? x->size : cr__flow_no_size(NULL, false),
                         .y = y->size,
                         .delta_x = x ? x->delta_size : cr__flow_no_size(NULL, false),
                         .delta_y = y->delta_size,
                         .saturated = none,
                         .dead = none,
                         .unlike = none,
                         .branch = none,
                         .branch_delta = none,
                         .y_bins = y->bins,
                         .delta_bins = y->delta_bins };
    layer->decades = decades_of(m, event, x, y);
    take_slow(m, event, y, layer);
    if (!e->place)
        return;
    layer->kind = cr_nn_kind(e->place->module);
    layer->level = e->place->level;
    layer->leaf = cr_nn_count(e->place->module) == 0;
    find_own_params(m, e->place->module, layer);
}

/* How often this module has run before. */
static int runs_before(const cr_flow *flow, int event)
{
    int n = 0;
    for (int i = 0; i < event; i++)
        n += flow->events[event].place &&
             flow->events[i].place == flow->events[event].place;
    return n;
}

bool cr__flow_take_layers(cr__flow_measurement *m)
{
    const cr_flow *flow = m->flow;
    cr_flow_layer *layers =
        cr__arena_alloc(m->arena, m->ctx, ((size_t)flow->n_events + 1) * sizeof *layers);
    if (!layers || !count_readers(m))
        return false;
    for (int i = 0; i < flow->n_events; i++) {
        char name[600];
        const int runs = runs_before(flow, i);
        fill_layer(m, i, &layers[i]);
        snprintf(name, sizeof name, runs ? "%s#%d" : "%s", flow->events[i].name,
                 runs + 1);
        layers[i].name = cr__arena_text(m->arena, m->ctx, name);
        layers[i].kind = cr__arena_text(m->arena, m->ctx, layers[i].kind);
        if (!layers[i].name || !layers[i].kind)
            return false;
    }
    m->out->layers = layers;
    m->out->n_layers = flow->n_events;
    return true;
}
