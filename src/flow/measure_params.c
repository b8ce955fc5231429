/* What a measurement says of each parameter, and what the next step made of it. */
#include "measure.h"

enum { BLOCK = 512 };

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
    p->buffer = cr__flow_measure(&array, NULL);
    if (past)
        p->buffer_along = cr__flow_compare(&array, &past->gradient).cosine;
}

static void take_param(const cr__flow_measurement *m, int i, cr_flow_param *p)
{
    cr_tensor *x = m->params.list[i].tensor;
    const cr__flow_value *v = cr__flow_value_of(m, x);
    const matrix weight = matrix_of(x, &v->value), gradient = matrix_of(x, &v->gradient);
    const double none = (double)NAN;
    *p =
        (cr_flow_param){ .name = cr__arena_text(m->arena, m->ctx, m->params.list[i].name),
                         .weight = v->size,
                         .gradient = v->delta_size,
                         .update = cr__flow_no_size(x, false),
                         .update_ratio = none,
                         .rank = none,
                         .row_spread = row_spread(&weight),
                         .gradient_row_spread = row_spread(&gradient),
                         .update_along_weight = none,
                         .update_along_gradient = none,
                         .signal_to_noise = none,
                         .in_optimiser = is_optimised(m->flow->optim, x),
                         .requires_grad = cr_needs_grad(x),
                         .weight_bins = v->bins,
                         .gradient_bins = v->delta_bins };
    count_fans(x, p);
    take_buffer(m, i, p);
}

void cr__flow_take_params(cr__flow_measurement *m)
{
    const size_t n = (size_t)m->params.n;
    cr_flow_param *params = cr__arena_alloc(m->arena, m->ctx, (n + 1) * sizeof *params);
    for (size_t i = 0; i < n && params && !cr_error(m->ctx); i++)
        take_param(m, (int)i, &params[i]);
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
    cr__arena_free(&flow->remembered);
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

static void finish_param(const cr__flow_past *past, cr_tensor *shown, cr_flow_param *p)
{
    const cr__flow_array now = { cr_data(shown), cr_dtype_of(shown), cr_numel(shown) };
    if (!now.data || now.numel != past->weight.numel)
        return;
    const cr__flow_pair moved = cr__flow_compare(&now, &past->weight);
    p->update = cr__tally_size(&moved.difference);
    p->update_ratio = p->update.log10_norm - p->weight.log10_norm;
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
                finish_param(&flow->past[i], shown, p);
        }
        cr_no_grad_pop(ctx);
        cr_scope_pop(ctx);
    }
    if (!cr_flow_is_due(flow))
        forget(flow);
}
