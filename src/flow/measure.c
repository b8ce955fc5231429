/* One measurement: the tensors of a step, their cotangents by a walk that leaves the program's
 * graph and gradients as they are, and what they say of each boundary. */
#include "measure.h"

enum {
    WALKS = 64,    /* with scaled cotangents, at most */
    RARELY = 25,   /* steps from a measurement to the next, where it is to cost little: */
    THOROUGH = 64, /* every so many of them all is measured */
};

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
        if (m->thorough)
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

bool cr__flow_is_float(cr_dtype dtype)
{
    return dtype == CR_F32 || dtype == CR_F64 || dtype == CR_F16 || dtype == CR_BF16;
}

static bool wants_delta(const cr_tensor *x)
{
    return cr__flow_is_float(cr_dtype_of(x)) && cr_needs_grad(x);
}

/* Cotangents of all that wants one, into deltas, one for each value; NULL where none arrives. From
 * root, whose own is seed (NULL: 1). The program's own pass comes later: its graph stays. */
static bool walk(cr__flow_measurement *m, cr_tensor *root, cr_tensor *seed,
                 cr_tensor **deltas)
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
    if (!n || !wants_delta(root))
        return true;
    const cr_gradients_opts opts = { .site = "flow",
                                     .cotangents = seed ? &seed : NULL,
                                     .retain_graph = true,
                                     .allow_unused = true };
    if (cr_gradients_at(&root, 1, xs, n, grads, opts) != CR_OK)
        return false;
    for (int i = m->n_values; i-- > 0;)
        if (wants_delta(m->values[i].tensor))
            deltas[i] = grads[--n];
    return true;
}

cr__flow_array cr__flow_array_of(cr_tensor *x)
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

/* Sums of floats, into list: not finite where an element is not. */
static void find_sums(cr_tensor *const *xs, size_t n, cr_tensor **list)
{
    for (size_t i = 0; i < n; i++)
        if (xs[i] && cr__flow_is_float(cr_dtype_of(xs[i])))
            list[i] = cr_sum(xs[i]);
}

/* All elements are looked at, or, of large tensors that are finite, some. */
static bool size_up(cr__flow_measurement *m, const cr__flow_array *array, cr_tensor *sum,
                    cr_flow_size *size, const cr_flow_bins **bins)
{
    if (!m->thorough && (!sum || isfinite(cr_item(sum)))) {
        *size = cr__flow_estimate(array);
        return true;
    }
    cr_flow_bins *counted = cr__arena_alloc(m->arena, m->ctx, sizeof *counted);
    *bins = counted;
    if (counted)
        *size = cr__flow_measure(array, counted);
    return counted != NULL;
}

/* Values and cotangents as the program's own pass sees them. */
static bool take_values(cr__flow_measurement *m)
{
    const size_t n = (size_t)m->n_values, n_events = (size_t)m->flow->n_events;
    const size_t most = 4 * n + n_events + CR__FLOW_SOFTMAXES;
    cr_tensor **all = cr__arena_alloc(&m->scratch, m->ctx, most * sizeof *all);
    if (!all || !walk(m, m->loss, NULL, all + n))
        return false;
    for (size_t i = 0; i < n; i++)
        all[i] = m->values[i].shown = cr_detach(m->values[i].tensor);
    cr_tensor **sums = all + 2 * n;
    if (m->thorough) {
        if (!find_slopes(m, all + 4 * n))
            return false;
        m->n_softmaxes = cr__flow_find_softmaxes(m, m->softmaxes, CR__FLOW_SOFTMAXES);
        memcpy(all + 4 * n + n_events, m->softmaxes, sizeof m->softmaxes);
    } else
        find_sums(all, 2 * n, sums);
    if (!evaluate(m, all, (int)most))
        return false;
    for (size_t i = 0; i < n; i++) {
        cr__flow_value *v = &m->values[i];
        v->value = cr__flow_array_of(v->shown);
        v->delta = all[n + i];
        v->delta_size = cr__flow_no_size(v->tensor, wants_delta(v->tensor));
        if (!size_up(m, &v->value, sums[i], &v->size, &v->bins))
            return false;
        if (!v->delta)
            continue;
        v->gradient = cr__flow_array_of(v->delta);
        if (!size_up(m, &v->gradient, sums[n + i], &v->delta_size, &v->delta_bins))
            return false;
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

/* By how many octaves the loss can be scaled, so that no cotangent that is seen overflows, nor one
 * that is lost in the narrowest of the types, if it were as large as any; seven octaves remain. */
static int octaves_of_room(const cr__flow_measurement *m)
{
    int room = largest_exponent(cr_dtype_of(m->loss)), narrowest = room;
    double top = 0;
    for (int i = 0; i < m->n_values; i++) {
        const cr_flow_size *s = &m->values[i].delta_size;
        const double largest = fmax(fabs(s->least), fabs(s->most));
        const int exponent = largest_exponent(s->dtype);
        if (!m->values[i].delta)
            continue;
        if (is_lost(s) && exponent < narrowest)
            narrowest = exponent;
        if (!(largest > 0) || !isfinite(largest))
            continue;
        const int free = exponent - ilogb(largest) - 7;
        room = free < room ? free : room;
        top = fmax(top, largest);
    }
    const int free = top > 0 ? narrowest - ilogb(top) - 7 : room;
    return free < room ? free : room;
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

/* One more walk, from root with the cotangent seed, everything being so many octaves larger than in
 * the program's own pass. Those of the values that are lost and seen now are put in order; which are
 * so for good, is said in found. Returns the last of these, going down, before there is one that has
 * still vanished, NULL if there is none, and its cotangent. */
static cr_tensor *walk_scaled(cr__flow_measurement *m, cr_tensor *root, cr_tensor *seed,
                              int octaves, bool *found, cr_tensor **delta)
{
    cr_tensor *lowest = NULL;
    bool vanished = false;
    cr_tensor **deltas =
        cr__arena_alloc(&m->scratch, m->ctx, (size_t)m->n_values * sizeof *deltas);
    if (!deltas || !seed || !walk(m, root, seed, deltas))
        return NULL;
    for (int i = 0; i < m->n_values; i++)
        if (found[i])
            deltas[i] = NULL;
    if (!evaluate(m, deltas, m->n_values))
        return NULL;
    for (int i = m->n_values; i-- > 0;) {
        cr__flow_value *v = &m->values[i];
        if (!deltas[i])
            continue;
        const cr__flow_array array = cr__flow_array_of(deltas[i]);
        const cr_flow_size scaled = cr__flow_measure(&array, NULL);
        if (scaled.state == CR_FLOW_USUAL || scaled.state == CR_FLOW_UNDERFLOWED)
            put_back(&v->delta_size, &scaled, octaves);
        found[i] = scaled.state == CR_FLOW_USUAL;
        if (cr_is_leaf(v->tensor))
            continue;
        vanished |= !found[i];
        if (!vanished) {
            lowest = v->tensor;
            *delta = deltas[i];
        }
    }
    return lowest;
}

/* Octaves up to which the largest element of a cotangent can be scaled, with room for it to grow. */
static int room_above(cr_tensor *delta)
{
    const cr__flow_array array = cr__flow_array_of(delta);
    const cr_flow_size size = cr__flow_measure(&array, NULL);
    const int most = largest_exponent(size.dtype),
              room = most * 3 / 4 - ilogb(fmax(fabs(size.least), fabs(size.most)));
    return room < most ? room : most; /* the factor is a number of that type, too */
}

/* x 2^octaves, a factor being a number of x's type. */
static cr_tensor *times_octaves(cr_tensor *x, int octaves)
{
    for (int most = largest_exponent(cr_dtype_of(x)), by; octaves > 0; octaves -= by) {
        by = octaves < most ? octaves : most;
        x = cr_mul(x, ldexp(1, by));
    }
    return x;
}

static int count_lost(const cr__flow_measurement *m, const bool *found)
{
    int lost = 0;
    for (int i = 0; i < m->n_values; i++)
        lost += m->values[i].delta && !found[i];
    return lost;
}

/* What is zero or subnormal is looked at again with a scaled loss: vjps are linear in the
 * cotangent. Where that vanishes in turn, what only one boundary leads to is walked to from there,
 * scaled once more; and so on. Zero is what is zero at every scale. */
static bool take_underflowed(cr__flow_measurement *m)
{
    bool *found =
        cr__arena_alloc(&m->scratch, m->ctx, (size_t)m->n_values * sizeof *found);
    for (int i = 0; i < m->n_values && found; i++)
        found[i] = !m->values[i].delta || !is_lost(&m->values[i].delta_size);
    if (!found || !count_lost(m, found))
        return found != NULL;
    int octaves = octaves_of_room(m), more = octaves;
    cr_tensor *root = m->loss, *delta = NULL;
    cr_tensor *seed = octaves > 0 ? cr_full_like(m->loss, ldexp(1, octaves)) : NULL;
    for (int i = 0; i < WALKS && seed && more > 0; i++) {
        root = walk_scaled(m, root, seed, octaves, found, &delta);
        if (!root || !cr__flow_settle(m, root, found) || !count_lost(m, found))
            break;
        more = room_above(delta);
        seed = times_octaves(delta, more);
        octaves += more;
    }
    return !cr_error(m->ctx);
}

/* ---- all of it ---- */

/* Whether all is measured: in the first steps, where measurements are frequent, where the network
 * is another than the last time, and now and then. */
static bool is_thorough(const cr__flow_measurement *m)
{
    const cr_flow *flow = m->flow;
    return flow->step < flow->first || flow->every < RARELY || !m->last ||
           m->last->n_layers != flow->n_events ||
           m->last->n_params != cr__flow_params(flow).n || flow->measured % THOROUGH == 0;
}

static void take_all(cr__flow_measurement *m)
{
    m->last = m->flow->n_snapshots ? &m->flow->snapshots[m->flow->n_snapshots - 1] : NULL;
    m->thorough = m->flow->thorough = is_thorough(m);
    if (!cr__flow_drop_other_passes(m) || !enter_all(m) || !take_values(m) ||
        !take_underflowed(m) || !cr__flow_take_layers(m))
        return;
    m->out->training = !m->flow->module || cr_nn_is_training(m->flow->module);
    cr__flow_take_params(m);
    cr__flow_take_loss(m);
    cr__flow_take_linear(m);
    cr__flow_remember(m);
}

cr_status cr__flow_take(cr_flow *flow, cr_tensor *loss, const cr_flow_watch_opts *opts,
                        cr__arena *arena, cr_flow_snapshot *out)
{
    cr_ctx *ctx = flow->ctx;
    const cr_rng rng = cr_rng_get(ctx);
    cr__flow_measurement m = { .flow = flow,
                               .ctx = ctx,
                               .arena = arena,
                               .scratch = flow->scratch,
                               .loss = loss,
                               .opts = opts,
                               .out = out };
    if (cr_scope_push(ctx) != CR_OK)
        return cr_error(ctx);
    cr_no_grad_push(ctx);
    take_all(&m);
    cr_no_grad_pop(ctx);
    cr_scope_pop(ctx);
    cr__arena_empty(&m.scratch);
    flow->scratch = m.scratch;
    cr_rng_set(ctx, rng);
    return cr_error(ctx);
}
