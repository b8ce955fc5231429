/* The network as a stack: which layers are hidden, what theory takes them for, how fast the
 * gradient changes along them and by which of their parts. */
#include "evidence.h"

static bool begins(const char *text, const char *with)
{
    return text && strncmp(text, with, strlen(with)) == 0;
}

cr_flow_norm cr__flow_norm_of(const char *kind)
{
    static const struct {
        const char *kind;
        cr_flow_norm norm;
    } norms[] = {
        { "batch_norm", CR_FLOW_BATCH_NORM }, { "layer_norm", CR_FLOW_LAYER_NORM },
        { "group_norm", CR_FLOW_LAYER_NORM }, { "instance_norm", CR_FLOW_LAYER_NORM },
        { "rms_norm", CR_FLOW_RMS_NORM },
    };
    for (int i = 0; i < CR__FLOW_COUNT(norms); i++)
        if (begins(kind, norms[i].kind))
            return norms[i].norm;
    return CR_FLOW_NO_NORM;
}

int cr__flow_matrix_of(const cr_flow_snapshot *s, int layer)
{
    const cr_flow_layer *l = &s->layers[layer];
    int found = -1;
    for (int i = l->first_param; i < l->first_param + l->n_params && i < s->n_params; i++)
        if (i >= 0 && s->params[i].fan_in > 0 &&
            (found < 0 || s->params[i].weight.numel > s->params[found].weight.numel))
            found = i;
    return found;
}

double cr__flow_variance(const cr_flow_size *size)
{
    return fmax(0, size->rms * size->rms - size->mean * size->mean);
}

cr__flow_role cr__flow_role_of(const cr_flow_snapshot *s, int layer)
{
    const cr_flow_layer *l = &s->layers[layer];
    if (!l->leaf)
        return CR__ROLE_OTHER;
    if (begins(l->kind, "embedding"))
        return CR__ROLE_EMBEDDING;
    if (cr__flow_norm_of(l->kind) != CR_FLOW_NO_NORM)
        return CR__ROLE_NORM;
    if (cr__flow_matrix_of(s, layer) >= 0)
        return CR__ROLE_WEIGHTS;
    if (begins(l->kind, "dropout"))
        return CR__ROLE_DROPOUT;
    const bool known = cr_flow_activation_find(l->kind) != NULL;
    return known && strcmp(l->kind, "linear") != 0 ? CR__ROLE_ACTIVATION : CR__ROLE_OTHER;
}

/* Whether layer `inner` lies within `outer`: "2.inner.0" in "2". */
static bool lies_in(const cr_flow_snapshot *s, int inner, int outer)
{
    const char *name = s->layers[outer].name;
    const size_t length = strlen(name);
    return begins(s->layers[inner].name, name) && s->layers[inner].name[length] == '.';
}

static double slope_of(const double *y, int n, double *scratch)
{
    int pairs = 0;
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            if (isfinite(y[i]) && isfinite(y[j]))
                scratch[pairs++] = (y[j] - y[i]) / (j - i);
    return cr__flow_median(scratch, pairs);
}

/* Layers beyond that are passed over evenly, so that the slopes of all pairs stay few. */
enum { MOST_POINTS = 128 };

static double log_delta(const cr_flow_snapshot *s, int place)
{
    return s->layers[place].delta_y.log10_norm;
}

enum { FEWEST_RUNS = 5 };

/* How often the layer's own weights run. */
static int runs_of(const cr_flow_snapshot *s, int layer)
{
    int runs = 0;
    for (int i = 0; i < s->n_layers; i++)
        runs += s->layers[i].n_params > 0 && s->layers[layer].n_params > 0 &&
                s->layers[i].first_param == s->layers[layer].first_param;
    return runs;
}

/* Of recurrences the layer that hands the state on: weights that run again, and through which
 * delta goes on; -1. */
static int find_recurrent(const cr_flow_snapshot *s)
{
    for (int i = s->n_layers - 1; i >= 0; i--)
        if (cr__flow_role_of(s, i) == CR__ROLE_WEIGHTS &&
            isfinite(s->layers[i].decades) && runs_of(s, i) >= FEWEST_RUNS)
            return i;
    return -1;
}

typedef struct landmarks {
    int weights, residuals, recurrent; /* the last is a layer, or -1 */
} landmarks;

static landmarks survey(const cr_flow_snapshot *s)
{
    landmarks m = { .recurrent = find_recurrent(s) };
    for (int i = 0; i < s->n_layers; i++) {
        m.weights += cr__flow_role_of(s, i) == CR__ROLE_WEIGHTS;
        m.residuals += strcmp(s->layers[i].kind, "residual") == 0;
    }
    return m;
}

/* Where a hidden layer ends: of recurrences with each run, of residual networks with each branch,
 * else with the weights; without modules with each named tensor. */
static bool ends_layer(const cr_flow_snapshot *s, const landmarks *m, int i)
{
    if (m->recurrent >= 0)
        return s->layers[i].n_params > 0 &&
               s->layers[i].first_param == s->layers[m->recurrent].first_param;
    if (m->residuals >= 2 && m->residuals * 4 >= m->weights)
        return strcmp(s->layers[i].kind, "residual") == 0;
    return m->weights ? cr__flow_role_of(s, i) == CR__ROLE_WEIGHTS
                      : strcmp(s->layers[i].kind, "tensor") == 0;
}

static int *ends_of_layers(cr__case *c, const cr_flow_snapshot *s, int *n_out)
{
    int *places =
        cr__arena_alloc(c->arena, c->ctx, sizeof *places * ((size_t)s->n_layers + 1));
    if (!places)
        return NULL;
    const landmarks m = survey(s);
    int n = 0;
    for (int i = 0; i < s->n_layers; i++)
        if (ends_layer(s, &m, i))
            places[n++] = i;
    if (n > 1 && m.recurrent < 0 &&
        cr__flow_role_of(s, places[n - 1]) ==
            CR__ROLE_WEIGHTS) /* the last layer of weights makes the output */
        n--;
    *n_out = n;
    return places;
}

static void split_between(const cr_flow_snapshot *s, int from, int to,
                          cr__flow_split *out)
{
    *out = (cr__flow_split){ 0 };
    for (int i = from + 1; i <= to; i++) {
        const double d = s->layers[i].decades;
        if (!s->layers[i].leaf || !isfinite(d))
            continue;
        switch (cr__flow_role_of(s, i)) {
        case CR__ROLE_WEIGHTS:
            out->weights += d;
            break;
        case CR__ROLE_ACTIVATION:
            out->activation += d;
            break;
        case CR__ROLE_NORM:
            out->norm += d;
            break;
        default:
            out->other += d;
        }
    }
}

static cr_status split_of(cr__case *c, const cr_flow_snapshot *s, cr__flow_hidden *h)
{
    const size_t n = (size_t)h->n;
    double *parts = cr__arena_alloc(c->arena, c->ctx, 4 * n * sizeof *parts);
    if (!parts)
        return CR_ERR_MEMORY;
    for (size_t i = 1; i < n; i++) {
        cr__flow_split one;
        split_between(s, h->places[i - 1], h->places[i], &one);
        parts[i - 1] = one.activation;
        parts[n + i - 1] = one.weights;
        parts[2 * n + i - 1] = one.norm;
        parts[3 * n + i - 1] = one.other;
    }
    h->split.activation = cr__flow_median(parts, h->n - 1);
    h->split.weights = cr__flow_median(parts + n, h->n - 1);
    h->split.norm = cr__flow_median(parts + 2 * n, h->n - 1);
    h->split.other = cr__flow_median(parts + 3 * n, h->n - 1);
    return CR_OK;
}

/* One weight in all of them: a module that runs again, or named tensors of few parameters. */
static bool are_shared(const cr_flow_snapshot *s, const cr__flow_hidden *h)
{
    int tensors = 0, matrices = 0;
    for (int i = 0; i < h->n; i++)
        tensors += strcmp(s->layers[h->places[i]].kind, "tensor") == 0;
    for (int i = 0; i < s->n_params; i++)
        matrices += s->params[i].fan_in > 0;
    if (h->n < FEWEST_RUNS)
        return false;
    return tensors == h->n ? matrices * 2 <= h->n
                           : runs_of(s, h->places[0]) >= FEWEST_RUNS;
}

cr_status cr__flow_find_hidden(cr__case *c, const cr_flow_snapshot *s,
                               cr__flow_hidden *out)
{
    *out = (cr__flow_hidden){ .decades = NAN, .total = NAN, .signal = NAN };
    int n = 0;
    int *places = ends_of_layers(c, s, &n);
    if (!places)
        return CR_ERR_MEMORY;
    out->n = n;
    out->places = places;
    out->split = (cr__flow_split){ NAN, NAN, NAN, NAN };
    if (n < 2)
        return CR_OK;
    out->shared = are_shared(s, out);
    const int stride = (n + MOST_POINTS - 1) / MOST_POINTS,
              points = (n + stride - 1) / stride;
    double *y = cr__arena_alloc(
        c->arena, c->ctx, sizeof *y * ((size_t)points + (size_t)points * (size_t)points));
    if (!y)
        return CR_ERR_MEMORY;
    for (int i = 0; i < points; i++)
        y[i] = log_delta(s, places[i * stride]);
    out->decades = -slope_of(y, points, y + points) / stride;
    out->total = log_delta(s, places[0]) - log_delta(s, places[n - 1]);
    out->signal = log10(s->layers[places[n - 1]].y.rms / s->layers[places[0]].y.rms);
    return split_of(c, s, out);
}

/* ---- As theory takes it ---- */

typedef struct tally {
    double *weights, *biases, *widths;
    int n_weights, n_biases;
} tally;

static void take_layer(const cr_flow_snapshot *s, int place, tally *t)
{
    const cr_flow_layer *l = &s->layers[place];
    const int m = cr__flow_matrix_of(s, place);
    const cr_flow_param *w = &s->params[m];
    t->widths[t->n_weights] = (double)w->fan_out;
    t->weights[t->n_weights++] = cr__flow_variance(&w->weight) * (double)w->fan_in;
    for (int i = l->first_param; i < l->first_param + l->n_params; i++)
        if (i != m && s->params[i].fan_in == 0)
            t->biases[t->n_biases++] = s->params[i].weight.rms * s->params[i].weight.rms;
}

/* The activation of most layers; NULL if there is none or no single one. */
static const cr_flow_activation *activation_of(const cr_flow_snapshot *s, int end)
{
    const char *most = NULL;
    int best = 0, all = 0;
    for (int i = 0; i < end; i++) {
        if (cr__flow_role_of(s, i) != CR__ROLE_ACTIVATION)
            continue;
        int same = 0;
        all++;
        for (int j = 0; j < end; j++)
            same += cr__flow_role_of(s, j) == CR__ROLE_ACTIVATION &&
                    strcmp(s->layers[i].kind, s->layers[j].kind) == 0;
        if (same > best) {
            best = same;
            most = s->layers[i].kind;
        }
    }
    if (!all)
        return cr_flow_activation_find("linear");
    return best * 10 >= all * 8 ? cr_flow_activation_find(most) : NULL;
}

/* What stands among the hidden layers: a norm for most, dropout, branches and what begins them. */
static void take_surroundings(const cr_flow_snapshot *s, const cr__flow_hidden *h,
                              int n_weights, cr_flow_stack *stack)
{
    int norms[4] = { 0 }, pre = 0, residuals = 0;
    double branch = 0;
    const int end = h->places[h->n - 1];
    for (int i = 0; i <= end; i++) {
        if (s->layers[i].leaf)
            norms[cr__flow_norm_of(s->layers[i].kind)]++;
        if (cr__flow_role_of(s, i) == CR__ROLE_DROPOUT)
            stack->dropout =
                fmax(stack->dropout, s->layers[i].y.zeros - s->layers[i].x.zeros);
        if (strcmp(s->layers[i].kind, "residual") != 0)
            continue;
        int inner = i - 1, begin = i;
        while (begin > 0 && lies_in(s, begin - 1, i))
            begin--;
        while (begin < i && !s->layers[begin].leaf)
            begin++;
        while (inner > begin && !s->layers[inner].leaf)
            inner--;
        residuals++;
        pre += begin < i && cr__flow_role_of(s, begin) != CR__ROLE_WEIGHTS;
        branch += s->layers[i].branch * s->layers[i].y.rms / s->layers[inner].y.rms;
    }
    for (int k = CR_FLOW_BATCH_NORM; k <= CR_FLOW_RMS_NORM; k++)
        if (norms[k] * 2 >= n_weights)
            stack->norm = (cr_flow_norm)k;
    if (residuals * 2 < h->n)
        return;
    stack->residual =
        pre * 2 > residuals ? CR_FLOW_PRE_ACTIVATION : CR_FLOW_POST_ACTIVATION;
    stack->branch_scale = isfinite(branch) && branch > 0 ? branch / residuals : 0;
}

bool cr__flow_find_stack(cr__case *c, const cr_flow_snapshot *s, cr_flow_stack *stack,
                         const int **places)
{
    const cr__flow_hidden *h = &c->hidden;
    *stack = (cr_flow_stack){ 0 };
    *places = NULL;
    if (h->n < 2 || h->shared || strcmp(s->layers[h->places[0]].kind, "tensor") == 0)
        return false;
    const size_t most = (size_t)s->n_layers + (size_t)s->n_params + 1;
    double *room = cr__arena_alloc(c->arena, c->ctx, 3 * most * sizeof *room);
    if (!room)
        return false;
    tally t = { .weights = room, .biases = room + most, .widths = room + 2 * most };
    const int end = h->places[h->n - 1];
    for (int i = h->places[0] + 1; i <= end;
         i++) /* the first one's fan-in is the input's */
        if (cr__flow_role_of(s, i) == CR__ROLE_WEIGHTS)
            take_layer(s, i, &t);
    if (!t.n_weights)
        return false;
    take_surroundings(s, h, t.n_weights, stack);
    const int n_weights = t.n_weights;
    stack->activation = activation_of(s, end + 1);
    stack->sigma_w2 = cr__flow_median(t.weights, n_weights);
    stack->sigma_b2 = t.n_biases ? cr__flow_median(t.biases, t.n_biases) : 0;
    stack->width = (int64_t)cr__flow_median(t.widths, n_weights);
    stack->depth = h->n;
    stack->q0 = cr__flow_input(s) ? cr__flow_input(s)->rms * cr__flow_input(s)->rms : 0;
    *places = h->places;
    const bool one_each = stack->residual == CR_FLOW_PLAIN || n_weights <= h->n;
    return stack->activation && one_each && isfinite(stack->sigma_w2);
}
