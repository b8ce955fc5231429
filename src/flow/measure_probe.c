/* Whether a network is linear: the Jacobian from its first layer to its last is the same for every
 * sample then. One walk more, so it is not taken each time. */
#include "measure.h"

/* Ends between which there could be activations: what the first module with a weight gives (or the
 * first named tensor), and the last. */
typedef struct ends {
    cr_tensor *first, *last;
} ends;

static bool has_weight(const cr__flow_measurement *m, const cr_flow_layer *layer)
{
    for (int i = 0; i < layer->n_params; i++)
        if (m->out->params[layer->first_param + i].fan_in)
            return true;
    return false;
}

static ends find_ends(const cr__flow_measurement *m)
{
    ends e = { NULL, NULL };
    for (int i = 0; i < m->out->n_layers; i++) {
        const cr_flow_layer *layer = &m->out->layers[i];
        const cr__flow_event *event = &m->flow->events[i];
        if (!layer->leaf || (event->place && !has_weight(m, layer)))
            continue;
        const cr__flow_value *y = cr__flow_value_of(m, event->y);
        if (!y->delta || cr_ndim(event->y) < 2)
            continue;
        e.first = e.first ? e.first : event->y;
        e.last = event->y;
    }
    return e;
}

static double random_sign(uint64_t *state)
{
    return cr__flow_draw(state) < 0.5 ? -1 : 1;
}

/* A random row for all samples, each with a sign of its own: what mixes samples (a batch norm) is
 * not linear then. */
static cr_tensor *cotangent_for(cr__flow_measurement *m, cr_tensor *y, double *signs)
{
    const int64_t samples = cr_size(y, 0), n = cr_numel(y) / samples;
    double *v = cr__arena_alloc(&m->scratch, m->ctx, (size_t)cr_numel(y) * sizeof *v);
    uint64_t state = 1;
    if (!v)
        return NULL;
    for (int64_t k = 0; k < n; k++)
        v[k] = random_sign(&state);
    for (int64_t i = 0; i < samples; i++)
        signs[i] = i ? random_sign(&state) : 1;
    for (int64_t i = 1; i < samples; i++)
        for (int64_t k = 0; k < n; k++)
            v[i * n + k] = signs[i] * v[k];
    return cr_cast(cr_from(m->ctx, CR_F64, cr_shape(y), v), cr_dtype_of(y));
}

/* Rms over samples of what differs from the mean, each sample by its sign, over rms of all. */
static double spread_of(cr__flow_measurement *m, const cr__flow_array *g, int64_t samples,
                        const double *signs)
{
    const int64_t n = g->numel / samples;
    double *mean = cr__arena_alloc(&m->scratch, m->ctx, 2 * (size_t)n * sizeof *mean);
    double *row = mean + n, apart = 0, whole = 0;
    for (int pass = 0; pass < 2 && mean; pass++)
        for (int64_t i = 0; i < samples; i++) {
            cr__flow_load(g, i * n, n, row);
            for (int64_t k = 0; k < n; k++) {
                const double x = signs[i] * row[k], d = x - mean[k] / (double)samples;
                if (pass) {
                    apart += d * d;
                    whole += x * x;
                } else
                    mean[k] += x;
            }
        }
    return sqrt(apart / whole);
}

static double measure_linear(cr__flow_measurement *m)
{
    const ends e = find_ends(m);
    const int64_t samples = e.first ? cr_size(e.first, 0) : 0;
    if (e.first == e.last || samples < 2 || cr_size(e.last, 0) != samples)
        return (double)NAN;
    double *signs = cr__arena_alloc(&m->scratch, m->ctx, (size_t)samples * sizeof *signs);
    cr_tensor *seed = signs ? cotangent_for(m, e.last, signs) : NULL, *down = NULL;
    const cr_gradients_opts opts = {
        .site = "flow", .cotangents = &seed, .retain_graph = true, .allow_unused = true
    };
    if (!seed || cr_gradients_at(&e.last, 1, &e.first, 1, &down, opts) != CR_OK || !down)
        return (double)NAN;
    const cr__flow_array g = cr__flow_array_of(down);
    return g.data ? spread_of(m, &g, samples, signs) : (double)NAN;
}

void cr__flow_take_linear(cr__flow_measurement *m)
{
    const bool again = m->last && (!m->thorough || m->flow->step % 8);
    m->out->loss.linear = again ? m->last->loss.linear : measure_linear(m);
}
