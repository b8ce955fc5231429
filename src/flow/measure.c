/* One measurement: the tensors of a step, their cotangents by a walk that leaves the program's
 * graph and gradients as they are, and what they say of each boundary. */
#include "measure.h"

#include <stdio.h>

/* ---- the tensors ---- */

static int *slot_of(const cr__flow_measurement *m, const cr_tensor *x)
{
    const uintptr_t bits = (uintptr_t)x;
    const size_t mask = (size_t)m->n_slots - 1;
    size_t i = (size_t)((bits >> 4) ^ (bits >> 15)) & mask;
    while (m->slots[i] && m->values[m->slots[i] - 1].tensor != x)
        i = (i + 1) & mask;
    return &m->slots[i];
}

const cr__flow_value *cr__flow_value_of(const cr__flow_measurement *m, const cr_tensor *x)
{
    const int place = x ? *slot_of(m, x) : 0;
    return place ? &m->values[place - 1] : NULL;
}

static void enter(cr__flow_measurement *m, cr_tensor *x)
{
    int *slot = x ? slot_of(m, x) : NULL;
    if (!slot || *slot)
        return;
    m->values[m->n_values++].tensor = x;
    *slot = m->n_values;
}

/* The module's last output, or what the caller says it is. */
static cr_tensor *find_output(const cr__flow_measurement *m)
{
    if (m->opts->output)
        return m->opts->output;
    for (int i = m->flow->n_events; i-- > 0;) {
        const cr__flow_event *e = &m->flow->events[i];
        if (e->place && e->place->module == m->flow->module)
            return e->y;
    }
    return NULL;
}

static bool enter_all(cr__flow_measurement *m)
{
    const cr_flow *flow = m->flow;
    m->params = cr__flow_params(flow);
    cr_tensor *output = find_output(m);
    const size_t n_events = (size_t)flow->n_events;
    const size_t most = 3 * n_events + (size_t)m->params.n + 3;
    m->n_slots = 16;
    while ((size_t)m->n_slots < 2 * most)
        m->n_slots *= 2;
    m->values = cr__arena_alloc(&m->scratch, m->ctx, most * sizeof *m->values);
    m->slots =
        cr__arena_alloc(&m->scratch, m->ctx, (size_t)m->n_slots * sizeof *m->slots);
    m->finds = cr__arena_alloc(&m->scratch, m->ctx, (n_events + 1) * sizeof *m->finds);
    if (!m->values || !m->slots || !m->finds)
        return false;
    enter(m, m->loss);
    for (int i = 0; i < flow->n_events; i++) {
        m->finds[i].argument = cr__flow_argument(m, &flow->events[i]);
        m->finds[i].sum = cr__flow_find_branch(m, &flow->events[i]);
        enter(m, flow->events[i].x);
        enter(m, flow->events[i].y);
        enter(m, m->finds[i].sum.branch);
    }
    for (int i = 0; i < m->params.n; i++)
        enter(m, m->params.list[i].tensor);
    enter(m, output);
    enter(m, m->opts->target);
    m->output = cr__flow_value_of(m, output);
    m->target = cr__flow_value_of(m, m->opts->target);
    return !cr_error(m->ctx);
}

/* ---- walks ---- */

static bool is_float(const cr_tensor *x)
{
    const cr_dtype dtype = cr_dtype_of(x);
    return dtype == CR_F32 || dtype == CR_F64 || dtype == CR_F16 || dtype == CR_BF16;
}

static bool wants_delta(const cr_tensor *x)
{
    return is_float(x) && cr_needs_grad(x);
}

/* Cotangents of all that wants one, into deltas, one for each value; NULL where none arrives. The
 * program's own pass comes later: its graph stays. */
static bool walk(cr__flow_measurement *m, cr_tensor *seed, cr_tensor **deltas)
{
    cr_tensor **xs =
        cr__arena_alloc(&m->scratch, m->ctx, (size_t)m->n_values * sizeof *xs);
    cr_tensor **grads =
        cr__arena_alloc(&m->scratch, m->ctx, (size_t)m->n_values * sizeof *xs);
    int n = 0;
    if (!xs || !grads)
        return false;
    for (int i = 0; i < m->n_values; i++)
        if (wants_delta(m->values[i].tensor))
            xs[n++] = m->values[i].tensor;
    if (!n || !wants_delta(m->loss))
        return true;
    const cr_gradients_opts opts = { .site = "flow",
                                     .cotangents = seed ? &seed : NULL,
                                     .retain_graph = true,
                                     .allow_unused = true };
    if (cr_gradients_at(&m->loss, 1, xs, n, grads, opts) != CR_OK)
        return false;
    for (int i = m->n_values; i-- > 0;)
        if (wants_delta(m->values[i].tensor))
            deltas[i] = grads[--n];
    return true;
}

static cr__flow_array array_of(cr_tensor *x)
{
    return (cr__flow_array){ cr_numel(x) ? cr_data(x) : NULL, cr_dtype_of(x),
                             cr_numel(x) };
}

/* Computes what is there of xs, all in one run. */
static bool evaluate(cr__flow_measurement *m, cr_tensor *const *xs, int n)
{
    cr_tensor **some =
        cr__arena_alloc(&m->scratch, m->ctx, (size_t)(n + 1) * sizeof *some);
    int count = 0;
    for (int i = 0; i < n && some; i++)
        if (xs[i])
            some[count++] = xs[i];
    return some && (!count || cr_eval_at(some, count, "flow") == CR_OK);
}

/* Slopes of elementwise functions, into list. */
static bool find_slopes(cr__flow_measurement *m, cr_tensor **list)
{
    for (int i = 0; i < m->flow->n_events; i++) {
        cr__flow_find *find = &m->finds[i];
        const cr_gradients_opts opts = { .site = "flow",
                                         .retain_graph = true,
                                         .allow_unused = true };
        if (find->argument && cr_gradients_at(&m->flow->events[i].y, 1, &find->argument,
                                              1, &find->slope, opts) != CR_OK)
            return false;
        list[i] = find->slope;
    }
    return true;
}

/* Values and cotangents as the program's own pass sees them. */
static bool take_values(cr__flow_measurement *m)
{
    const size_t n = (size_t)m->n_values, n_events = (size_t)m->flow->n_events;
    const size_t most = 2 * n + n_events + CR__FLOW_SOFTMAXES;
    cr_tensor **all = cr__arena_alloc(&m->scratch, m->ctx, most * sizeof *all);
    if (!all || !walk(m, NULL, all + n) || !find_slopes(m, all + 2 * n))
        return false;
    for (size_t i = 0; i < n; i++)
        all[i] = m->values[i].shown = cr_detach(m->values[i].tensor);
    m->n_softmaxes = cr__flow_find_softmaxes(m, m->softmaxes, CR__FLOW_SOFTMAXES);
    memcpy(all + 2 * n + n_events, m->softmaxes, sizeof m->softmaxes);
    if (!evaluate(m, all, (int)most))
        return false;
    for (size_t i = 0; i < n; i++) {
        cr__flow_value *v = &m->values[i];
        cr_flow_bins *bins = cr__arena_alloc(m->arena, m->ctx, 2 * sizeof *bins);
        if (!bins)
            return false;
        v->value = array_of(v->shown);
        v->size = cr__flow_measure(&v->value, &bins[0]);
        v->bins = &bins[0];
        v->delta = all[n + i];
        v->delta_size = cr__flow_no_size(v->tensor, wants_delta(v->tensor));
        if (!v->delta)
            continue;
        v->gradient = array_of(v->delta);
        v->delta_size = cr__flow_measure(&v->gradient, &bins[1]);
        v->delta_bins = &bins[1];
    }
    return !cr_error(m->ctx);
}

/* ---- what underflows ---- */

static bool is_lost(const cr_flow_size *size)
{
    return size->state == CR_FLOW_ZERO || size->state == CR_FLOW_UNDERFLOWED;
}

/* The largest exponent of a type's numbers. */
static int largest_exponent(cr_dtype dtype)
{
    return dtype == CR_F64 ? 1023 : dtype == CR_F16 ? 15 : 127;
}

/* By how many octaves the loss can be scaled, so that no cotangent that is seen overflows; seven
 * octaves remain for those that are not. */
static int octaves_of_room(const cr__flow_measurement *m)
{
    int room = largest_exponent(cr_dtype_of(m->loss));
    for (int i = 0; i < m->n_values; i++) {
        const cr_flow_size *s = &m->values[i].delta_size;
        const double largest = fmax(fabs(s->least), fabs(s->most));
        if (!m->values[i].delta || !(largest > 0) || !isfinite(largest))
            continue;
        const int free = largest_exponent(s->dtype) - ilogb(largest) - 7;
        room = free < room ? free : room;
    }
    return room;
}

/* Sizes of what a scaled loss gives, put back by so many octaves. Shares stay what they are in the
 * program's own pass. */
static void put_back(cr_flow_size *size, const cr_flow_size *scaled, int octaves)
{
    size->state = CR_FLOW_UNDERFLOWED;
    size->log10_norm = scaled->log10_norm - octaves * log10(2);
    size->rms = ldexp(scaled->rms, -octaves);
    size->mean = ldexp(scaled->mean, -octaves);
    size->least = ldexp(scaled->least, -octaves);
    size->most = ldexp(scaled->most, -octaves);
}

/* What is zero or subnormal is looked at again with a scaled loss: vjps are linear in the
 * cotangent. Zero is what is zero there too. */
static bool take_underflowed(cr__flow_measurement *m)
{
    bool lost = false;
    for (int i = 0; i < m->n_values; i++)
        lost |= m->values[i].delta && is_lost(&m->values[i].delta_size);
    const int octaves = lost ? octaves_of_room(m) : 0;
    if (octaves <= 0)
        return true;
    cr_tensor **deltas =
        cr__arena_alloc(&m->scratch, m->ctx, (size_t)m->n_values * sizeof *deltas);
    cr_tensor *seed = cr_full_like(m->loss, ldexp(1, octaves));
    if (!deltas || !seed || !walk(m, seed, deltas))
        return false;
    for (int i = 0; i < m->n_values; i++)
        if (!is_lost(&m->values[i].delta_size))
            deltas[i] = NULL;
    if (!evaluate(m, deltas, m->n_values))
        return false;
    for (int i = 0; i < m->n_values; i++) {
        if (!deltas[i])
            continue;
        cr__flow_value *v = &m->values[i];
        const cr__flow_array array = array_of(deltas[i]);
        const cr_flow_size scaled = cr__flow_measure(&array, NULL);
        if (scaled.state == CR_FLOW_USUAL || scaled.state == CR_FLOW_UNDERFLOWED)
            put_back(&v->delta_size, &scaled, octaves);
    }
    return !cr_error(m->ctx);
}

/* ---- layers ---- */

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
    const cr__flow_array array = array_of(slope);
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
static double own_share(cr__flow_measurement *m, const cr__flow_event *e,
                        cr_tensor *delta)
{
    cr_tensor *down = NULL;
    const cr_gradients_opts opts = {
        .site = "flow", .cotangents = &delta, .retain_graph = true, .allow_unused = true
    };
    if (cr_gradients_at(&e->y, 1, &e->x, 1, &down, opts) != CR_OK || !down)
        return (double)NAN;
    const cr__flow_array array = array_of(down);
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
        down = own_share(m, e, y->delta);
    const double decades = down - y->delta_size.log10_norm;
    return isfinite(decades) ? decades : (double)NAN;
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
                         .saturated = saturated_share(m->flow, e, m->finds[event].slope),
                         .dead = dead_share(y),
                         .unlike = cr__flow_spread(y),
                         .branch = none,
                         .branch_delta = none,
                         .y_bins = y->bins,
                         .delta_bins = y->delta_bins };
    layer->decades = decades_of(m, event, x, y);
    take_branch(m, &m->finds[event].sum, y, layer);
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

static bool take_layers(cr__flow_measurement *m)
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

/* ---- all of it ---- */

static void take_all(cr__flow_measurement *m)
{
    if (!enter_all(m) || !take_values(m) || !take_underflowed(m) || !take_layers(m))
        return;
    m->out->training = !m->flow->module || cr_nn_is_training(m->flow->module);
    cr__flow_take_params(m);
    cr__flow_take_loss(m);
    cr__flow_remember(m);
}

cr_status cr__flow_take(cr_flow *flow, cr_tensor *loss, const cr_flow_watch_opts *opts,
                        cr__arena *arena, cr_flow_snapshot *out)
{
    cr_ctx *ctx = flow->ctx;
    const cr_rng rng = cr_rng_get(ctx);
    cr__flow_measurement m = {
        .flow = flow, .ctx = ctx, .arena = arena, .loss = loss, .opts = opts, .out = out
    };
    if (cr_scope_push(ctx) != CR_OK)
        return cr_error(ctx);
    cr_no_grad_push(ctx);
    take_all(&m);
    cr_no_grad_pop(ctx);
    cr_scope_pop(ctx);
    cr__arena_free(&m.scratch);
    cr_rng_set(ctx, rng);
    return cr_error(ctx);
}
