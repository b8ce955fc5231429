/* What a measurement says of each parameter, and what the next step made of it. */
#include "measure.h"

enum {
    RANK_SIDE = 64,  /* rows and columns of a gradient whose rank is taken, at most */
    RANK_STEPS = 24, /* of the power iteration */
};

/* ---- matrices ---- */

/* A parameter as the matrix [rows, columns] of its first dimension and all others. */
typedef struct matrix {
    const cr__flow_array *array;
    int64_t rows, columns;
} matrix;

static matrix matrix_of(const cr_tensor *x, const cr__flow_array *array)
{
    if (cr_ndim(x) < 2 || !array->data || !array->numel)
        return (matrix){ 0 };
    return (matrix){ array, cr_size(x, 0), array->numel / cr_size(x, 0) };
}

/* Rms distance of rows from their mean row, over rms of all. */
static double row_spread(const matrix *a)
{
    if (a->rows < 2)
        return (double)NAN;
    double *row = calloc((size_t)(3 * a->columns), sizeof *row);
    if (!row)
        return (double)NAN;
    double *first = row + a->columns, *sum = first + a->columns, apart = 0, whole = 0;
    cr__flow_load(a->array, 0, a->columns, first);
    for (int64_t i = 0; i < a->rows; i++) {
        cr__flow_load(a->array, i * a->columns, a->columns, row);
        for (int64_t k = 0; k < a->columns; k++) {
            const double d = row[k] - first[k]; /* exactly zero of equal rows */
            sum[k] += d;
            apart += d * d;
            whole += row[k] * row[k];
        }
    }
    for (int64_t k = 0; k < a->columns; k++)
        apart -= sum[k] * sum[k] / (double)a->rows;
    free(row);
    return sqrt(fmax(apart, 0) / whole);
}

/* The square of the largest singular value of a [rows, columns], by power iteration from its
 * longest row: an a v with v = a^T u. Of equal rows the first step is exact. */
static double largest_square(const double *a, int64_t rows, int64_t columns, double *u,
                             double *v)
{
    double largest = 0, longest = -1;
    for (int64_t i = 0; i < rows; i++) {
        double size = 0;
        for (int64_t k = 0; k < columns; k++)
            size += a[i * columns + k] * a[i * columns + k];
        if (size > longest) {
            longest = size;
            memcpy(v, a + i * columns, (size_t)columns * sizeof *v);
        }
    }
    for (int step = 0; step < RANK_STEPS; step++) {
        double vv = 0, uu = 0;
        for (int64_t k = 0; k < columns; k++)
            vv += v[k] * v[k];
        for (int64_t i = 0; i < rows; i++) {
            u[i] = 0;
            for (int64_t k = 0; k < columns; k++)
                u[i] += a[i * columns + k] * v[k];
            uu += u[i] * u[i];
        }
        const bool settled = uu / vv < largest * (1 + 1e-4);
        largest = fmax(largest, uu / vv);
        if (settled || !(uu > 0))
            break;
        memset(v, 0, (size_t)columns * sizeof *v);
        for (int64_t i = 0; i < rows; i++)
            for (int64_t k = 0; k < columns; k++)
                v[k] += a[i * columns + k] * u[i] / sqrt(uu);
    }
    return largest;
}

/* |a|_F^2 / |a|_2^2, of evenly chosen rows and columns if there are many. In units of the largest
 * element, so that no square vanishes. */
static double stable_rank(cr__flow_measurement *m, const matrix *a,
                          const cr_flow_size *size)
{
    const int64_t rows = a->rows < RANK_SIDE ? a->rows : RANK_SIDE;
    const int64_t columns = a->columns < RANK_SIDE ? a->columns : RANK_SIDE;
    const double unit = fmax(fabs(size->least), fabs(size->most));
    double whole = 0;
    if (rows < 2 || columns < 2 || !(unit > 0) || size->state == CR_FLOW_NOT_FINITE)
        return (double)NAN;
    const size_t n = (size_t)(rows * columns + rows + columns);
    double *b = cr__arena_alloc(&m->scratch, m->ctx, n * sizeof *b);
    if (!b)
        return (double)NAN;
    for (int64_t i = 0; i < rows; i++) {
        const int64_t start = i * a->rows / rows * a->columns;
        double *row = b + i * columns;
        if (columns == a->columns)
            cr__flow_load(a->array, start, columns, row);
        for (int64_t k = 0; k < columns; k++) {
            if (columns < a->columns)
                row[k] = cr__flow_at(a->array, start + k * a->columns / columns);
            row[k] /= unit;
            whole += row[k] * row[k];
        }
    }
    double *u = b + rows * columns;
    return whole / largest_square(b, rows, columns, u, u + rows);
}

/* ---- samples ---- */

/* |mean|^2 / trace of the covariance of gradients [samples, ..]. */
static double signal_to_noise(const cr__flow_array *grads, int64_t samples)
{
    const int64_t n = samples ? grads->numel / samples : 0;
    double *sum = samples > 1 ? calloc((size_t)(2 * n + 1), sizeof *sum) : NULL;
    double *row = sum + n, squares = 0, mean = 0;
    if (!sum)
        return (double)NAN;
    for (int64_t i = 0; i < samples; i++) {
        cr__flow_load(grads, i * n, n, row);
        for (int64_t k = 0; k < n; k++) {
            sum[k] += row[k];
            squares += row[k] * row[k];
        }
    }
    for (int64_t k = 0; k < n; k++)
        mean += sum[k] * sum[k];
    free(sum);
    mean /= (double)samples * (double)samples;
    const double count = (double)samples;
    return mean / fmax((squares - count * mean) / (count - 1), 0);
}

/* Gradients of each sample of those parameters that have one, into the snapshot's rows. */
static void take_signals(cr__flow_measurement *m, cr_flow_param *params)
{
    const size_t n = (size_t)m->params.n + 1;
    cr_tensor **xs = cr__arena_alloc(&m->scratch, m->ctx, 2 * n * sizeof *xs);
    int *places = cr__arena_alloc(&m->scratch, m->ctx, n * sizeof *places), count = 0;
    if (!m->opts->losses || !xs || !places)
        return;
    for (int i = 0; i < m->params.n; i++)
        if (cr__flow_value_of(m, m->params.list[i].tensor)->delta) {
            places[count] = i;
            xs[count++] = m->params.list[i].tensor;
        }
    cr_tensor **grads = xs + n;
    const cr_product_opts opts = { .site = "flow", .retain_graph = true };
    if (!count || !cr_needs_grad(m->opts->losses) ||
        cr_per_sample_gradients_at(m->opts->losses, xs, count, grads, opts) != CR_OK ||
        cr_eval_at(grads, count, "flow") != CR_OK)
        return;
    for (int i = 0; i < count; i++) {
        const cr__flow_array array = { cr_data(grads[i]), cr_dtype_of(grads[i]),
                                       cr_numel(grads[i]) };
        if (array.data)
            params[places[i]].signal_to_noise =
                signal_to_noise(&array, cr_size(grads[i], 0));
    }
}

/* ---- fans ---- */

static void count_fans(const cr_tensor *x, cr_flow_param *p)
{
    const cr_dims shape = cr_shape(x);
    if (shape.n < 2 || shape.v[0] < 1 || shape.v[1] < 1)
        return;
    p->fan_in = cr_numel(x) / shape.v[0];
    p->fan_out = cr_numel(x) / shape.v[1];
}

/* ---- parameters ---- */

static bool is_optimised(const cr_optim *optim, const cr_tensor *x)
{
    const cr_params *params = cr_optim_params(optim);
    if (!params)
        return true; /* nothing says otherwise */
    for (int i = 0; i < params->n; i++)
        if (params->list[i].tensor == x)
            return true;
    return false;
}

static const cr__flow_past *find_past(const cr_flow *flow, const cr_tensor *x, int i)
{
    if (i < flow->n_past && flow->past[i].tensor == x)
        return &flow->past[i];
    return NULL;
}

/* What the leaf has accumulated, and how it lies to the last step's gradient. */
static void take_buffer(const cr__flow_measurement *m, int i, cr_flow_param *p)
{
    cr_tensor *x = m->params.list[i].tensor;
    cr_tensor *buffer = cr_is_leaf(x) ? cr_grad(x) : NULL;
    cr_tensor *shown = buffer ? cr_detach(buffer) : NULL;
    p->buffer = cr__flow_no_size(x, false);
    p->buffer_along = (double)NAN;
    if (!shown)
        return;
    const cr__flow_array array = { cr_data(shown), cr_dtype_of(shown), cr_numel(shown) };
    const cr__flow_past *past = find_past(m->flow, x, i);
    if (!array.data)
        return;
    p->buffer = m->thorough ? cr__flow_measure(&array, NULL) : cr__flow_estimate(&array);
    if (past)
        p->buffer_along = cr__flow_compare(&array, &past->gradient).cosine;
}

/* What changes slowly, or costs much. */
static void take_slow_numbers(cr__flow_measurement *m, int i, const cr__flow_value *v,
                              cr_flow_param *p)
{
    const matrix weight = matrix_of(v->tensor, &v->value),
                 gradient = matrix_of(v->tensor, &v->gradient);
    if (m->thorough) {
        p->rank = stable_rank(m, &gradient, &v->delta_size);
        p->row_spread = row_spread(&weight);
        p->gradient_row_spread = row_spread(&gradient);
        return;
    }
    const cr_flow_param *last = &m->last->params[i];
    p->rank = last->rank;
    p->row_spread = last->row_spread;
    p->gradient_row_spread = last->gradient_row_spread;
    p->signal_to_noise = last->signal_to_noise;
}

static void take_param(cr__flow_measurement *m, int i, cr_flow_param *p)
{
    cr_tensor *x = m->params.list[i].tensor;
    const cr__flow_value *v = cr__flow_value_of(m, x);
    const double none = (double)NAN;
    *p =
        (cr_flow_param){ .name = cr__arena_text(m->arena, m->ctx, m->params.list[i].name),
                         .weight = v->size,
                         .gradient = v->delta_size,
                         .update = cr__flow_no_size(x, false),
                         .update_ratio = none,
                         .rank = none,
                         .row_spread = none,
                         .gradient_row_spread = none,
                         .update_along_weight = none,
                         .update_along_gradient = none,
                         .signal_to_noise = none,
                         .in_optimiser = is_optimised(m->flow->optim, x),
                         .requires_grad = cr_needs_grad(x),
                         .weight_bins = v->bins,
                         .gradient_bins = v->delta_bins };
    count_fans(x, p);
    take_buffer(m, i, p);
    take_slow_numbers(m, i, v, p);
}

void cr__flow_take_params(cr__flow_measurement *m)
{
    const size_t n = (size_t)m->params.n;
    cr_flow_param *params = cr__arena_alloc(m->arena, m->ctx, (n + 1) * sizeof *params);
    for (size_t i = 0; i < n && params && !cr_error(m->ctx); i++)
        take_param(m, (int)i, &params[i]);
    if (params && m->thorough && !cr_error(m->ctx))
        take_signals(m, params);
    m->out->params = params;
    m->out->n_params = params ? (int)n : 0;
}

/* ---- from a step to the next ---- */

static bool copy_array(cr__flow_measurement *m, const cr__flow_array *from,
                       cr__flow_array *to)
{
    const size_t bytes = (size_t)from->numel * cr_dtype_size(from->dtype);
    *to = *from;
    if (!from->data)
        return true;
    to->data = cr__arena_alloc(&m->flow->remembered, m->ctx, bytes);
    return to->data && memcpy((void *)(uintptr_t)to->data, from->data, bytes);
}

static void forget(cr_flow *flow)
{
    flow->past = NULL;
    flow->n_past = 0;
    cr__arena_empty(&flow->remembered);
}

void cr__flow_remember(cr__flow_measurement *m)
{
    cr_flow *flow = m->flow;
    const size_t n = (size_t)m->params.n;
    if (cr_error(m->ctx))
        return;
    forget(flow);
    cr__flow_past *past =
        cr__arena_alloc(&flow->remembered, m->ctx, (n + 1) * sizeof *past);
    for (size_t i = 0; i < n && past; i++) {
        const cr__flow_value *v = cr__flow_value_of(m, m->params.list[i].tensor);
        past[i].tensor = m->params.list[i].tensor;
        if (!copy_array(m, &v->value, &past[i].weight) ||
            !copy_array(m, &v->gradient, &past[i].gradient))
            return forget(flow);
    }
    flow->past = past;
    flow->n_past = past ? (int)n : 0;
}

/* Of large parameters some pieces are looked at where the measurement was light, unless they show no
 * update at all. */
static void finish_param(const cr__flow_past *past, cr_tensor *shown, bool all,
                         cr_flow_param *p)
{
    const cr__flow_array now = { cr_data(shown), cr_dtype_of(shown), cr_numel(shown) };
    enum { PIECES = 8, PIECE = 128 };
    double along[2] = { 0 }, size[2] = { 0 }, square = 0, x[PIECE], w[PIECE],
           g[PIECE] = { 0 };
    cr__tally moved;
    if (!now.data || now.numel != past->weight.numel)
        return;
    all = all || now.numel <= 2 * PIECES * PIECE;
    const int64_t step = all ? PIECE : (now.numel - PIECE) / (PIECES - 1);
    cr__tally_start(&moved, now.dtype);
    for (int64_t start = 0; start < now.numel; start += step) {
        const int64_t n = now.numel - start < PIECE ? now.numel - start : PIECE;
        cr__flow_load(&now, start, n, x);
        cr__flow_load(&past->weight, start, n, w);
        if (past->gradient.data)
            cr__flow_load(&past->gradient, start, n, g);
        for (int64_t i = 0; i < n; i++) {
            x[i] -= w[i];
            square += x[i] * x[i];
            along[0] += x[i] * w[i];
            size[0] += w[i] * w[i];
            along[1] -= x[i] * g[i];
            size[1] += g[i] * g[i];
        }
        cr__tally_add(&moved, x, n);
    }
    if (!all && square == 0) {
        finish_param(past, shown, true, p);
        return;
    }
    p->update = cr__tally_size(&moved);
    p->update.log10_norm += log10((double)now.numel / (double)p->update.numel) / 2;
    p->update.numel = now.numel;
    if (p->weight.state != CR_FLOW_ZERO)
        p->update_ratio = p->update.log10_norm - p->weight.log10_norm;
    p->update_along_weight = along[0] / sqrt(square) / sqrt(size[0]);
    p->update_along_gradient = along[1] / sqrt(square) / sqrt(size[1]);
}

/* The past stays until the measurement of this step, which looks at its gradients, is done. */
void cr__flow_finish(cr_flow *flow)
{
    cr_flow_snapshot *last =
        flow->n_snapshots ? &flow->snapshots[flow->n_snapshots - 1] : NULL;
    cr_ctx *ctx = flow->ctx;
    if (!flow->past)
        return;
    const bool next = last && last->step + 1 == flow->step;
    if (next && cr_scope_push(ctx) == CR_OK) {
        cr_no_grad_push(ctx);
        for (int i = 0; i < flow->n_past && i < last->n_params && !cr_error(ctx); i++) {
            cr_tensor *shown = cr_detach(flow->past[i].tensor);
            /* Snapshots are handed out as constants; their memory is the flow's own. */
            cr_flow_param *p = (cr_flow_param *)(uintptr_t)&last->params[i];
            if (shown)
                finish_param(&flow->past[i], shown, flow->thorough, p);
        }
        cr_no_grad_pop(ctx);
        cr_scope_pop(ctx);
    }
    if (!cr_flow_is_due(flow))
        forget(flow);
}
