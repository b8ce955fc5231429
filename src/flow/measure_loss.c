/* What enters the loss and comes out: outputs, targets, delta, and which loss it is, recognised by
 * the gradient that it sends down. */
#include "measure.h"

enum {
    ELEMENTS = 1 << 16, /* of outputs in the rows that a loss is recognised by */
    SUMMED = 1 << 20,   /* in the rows, or columns, whose sums are taken */
    DISTINCT = 1 << 16, /* targets that are sorted */
};

/* ---- outputs as rows and classes ---- */

/* Row r and class c of an output lie at (r / inner * classes + c) * inner + r % inner. */
typedef struct table {
    int64_t rows, classes, inner;
} table;

static bool same_but(cr_dims a, cr_dims b, int axis)
{
    bool same = b.n == a.n - 1;
    for (int i = 0, k = 0; i < a.n && same; i++)
        if (i != axis)
            same = a.v[i] == b.v[k++];
    return same;
}

/* The axis of the classes: that which a target of indices lacks; or else the last of up to three
 * dimensions, and channels of more. */
static int axis_of_classes(const cr_tensor *output, const cr_tensor *target)
{
    const cr_dims shape = cr_shape(output), other = cr_shape(target);
    const int last = shape.n - 1;
    if (shape.n < 3)
        return last > 0 ? last : -1;
    if (target && same_but(shape, other, 1) && !same_but(shape, other, last))
        return 1;
    return shape.n == 3 || (target && same_but(shape, other, last)) ? last : 1;
}

static table table_of(const cr_tensor *output, const cr_tensor *target)
{
    const cr_dims shape = cr_shape(output);
    const int axis = axis_of_classes(output, target);
    table t = { .rows = cr_numel(output), .classes = 1, .inner = 1 };
    if (axis < 0 || !t.rows)
        return t;
    t.classes = shape.v[axis];
    t.rows /= t.classes;
    for (int i = axis + 1; i < shape.n; i++)
        t.inner *= shape.v[i];
    return t;
}

static int64_t place_in(const table *t, int64_t row, int64_t class)
{
    return (row / t->inner * t->classes + class) * t->inner + row % t->inner;
}

/* ---- sums ---- */

typedef struct sums {
    double least, most;  /* of the sums */
    double largest_size; /* of the sums of absolute values */
} sums;

static void add_sum(sums *s, double sum, double size)
{
    s->least = fmin(s->least, sum);
    s->most = fmax(s->most, sum);
    s->largest_size = fmax(s->largest_size, size);
}

/* Of rows, or of columns; evenly chosen ones, if there are very many elements. */
static sums sums_along(const cr__flow_array *a, const table *t, bool rows)
{
    sums s = { (double)INFINITY, -(double)INFINITY, 0 };
    const int64_t all = rows ? t->rows : t->classes, n = rows ? t->classes : t->rows;
    const int64_t most = n < SUMMED ? SUMMED / n : 1, count = all < most ? all : most;
    for (int64_t j = 0; j < count; j++) {
        const int64_t i = j * all / count;
        double sum = 0, size = 0;
        for (int64_t k = 0; k < n; k++) {
            const double x = cr__flow_at(a, rows ? place_in(t, i, k) : place_in(t, k, i));
            sum += x;
            size += fabs(x);
        }
        add_sum(&s, sum, size);
    }
    return s;
}

static double relative_sum(const sums *s)
{
    return fmax(fabs(s->least), fabs(s->most)) / s->largest_size;
}

/* The largest |log sum exp| of rows or columns. */
static double largest_log_sum(const cr__flow_array *a, const table *t, bool rows)
{
    const int64_t count = rows ? t->rows : t->classes, n = rows ? t->classes : t->rows;
    double largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double most = -(double)INFINITY, sum = 0;
        for (int64_t k = 0; k < n; k++)
            most =
                fmax(most, cr__flow_at(a, rows ? place_in(t, i, k) : place_in(t, k, i)));
        for (int64_t k = 0; k < n; k++)
            sum +=
                exp(cr__flow_at(a, rows ? place_in(t, i, k) : place_in(t, k, i)) - most);
        largest = fmax(largest, fabs(most + log(sum)));
    }
    return largest;
}

/* ---- which loss ---- */

/* Rows of output, target and delta, chosen evenly if there are many: y, t and d are matrices
 * [rows, classes]. */
typedef struct sample {
    table all;
    int64_t rows, classes;
    int64_t counted;              /* rows that have a target, of all */
    double *y, *t, *d, *g, *mean; /* g: a candidate's gradient; mean: of t, by class */
    bool has_target;
    cr_dtype dtype; /* of delta */
} sample;

/* Makes g, up to a factor that is the same for all rows. */
typedef void gradient_of(const sample *s);

static void squares(const sample *s)
{
    for (int64_t i = 0; i < s->rows * s->classes; i++)
        s->g[i] = 2 * (s->y[i] - s->t[i]);
}

static void absolute(const sample *s)
{
    for (int64_t i = 0; i < s->rows * s->classes; i++)
        s->g[i] = (s->y[i] > s->t[i]) - (s->y[i] < s->t[i]);
}

static void broadcast(const sample *s)
{
    for (int64_t i = 0; i < s->rows * s->classes; i++)
        s->g[i] = 2 * (s->y[i] - s->mean[i % s->classes]);
}

/* p * (sum of t) - t along rows of `stride` 1, or along columns. */
static void softmax_along(const sample *s, int64_t count, int64_t step, int64_t n,
                          int64_t stride)
{
    for (int64_t i = 0; i < count; i++) {
        const double *y = s->y + i * step, *t = s->t + i * step;
        double most = -(double)INFINITY, sum = 0, targets = 0;
        for (int64_t k = 0; k < n; k++)
            most = fmax(most, y[k * stride]);
        for (int64_t k = 0; k < n; k++) {
            sum += exp(y[k * stride] - most);
            targets += t[k * stride];
        }
        for (int64_t k = 0; k < n; k++)
            s->g[i * step + k * stride] =
                exp(y[k * stride] - most) / sum * targets - t[k * stride];
    }
}

static void softmax(const sample *s)
{
    softmax_along(s, s->rows, s->classes, s->classes, 1);
}

static void softmax_across(const sample *s)
{
    softmax_along(s, s->classes, 1, s->rows, s->classes);
}

static void likelihood(const sample *s)
{
    for (int64_t i = 0; i < s->rows * s->classes; i++)
        s->g[i] = -s->t[i];
}

static void logarithm(const sample *s)
{
    for (int64_t i = 0; i < s->rows * s->classes; i++)
        s->g[i] = s->t[i] == 0 ? 0 : -s->t[i] / s->y[i];
}

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static void sigmoid(const sample *s)
{
    for (int64_t i = 0; i < s->rows * s->classes; i++)
        s->g[i] = logistic(s->y[i]) - s->t[i];
}

static void binary(const sample *s)
{
    for (int64_t i = 0; i < s->rows * s->classes; i++)
        s->g[i] = (s->y[i] - s->t[i]) / (s->y[i] * (1 - s->y[i]));
}

static void minimax_logits(const sample *s)
{
    for (int64_t i = 0; i < s->rows * s->classes; i++)
        s->g[i] = -logistic(s->y[i]);
}

static void minimax(const sample *s)
{
    for (int64_t i = 0; i < s->rows * s->classes; i++)
        s->g[i] = -1 / (1 - s->y[i]);
}

/* What a mean of the loss would divide by. */
typedef enum divisor { BY_ELEMENTS, BY_ROWS } divisor;

typedef struct candidate {
    cr_flow_loss_kind kind;
    gradient_of *gradient;
    divisor divisor;
    bool whole; /* needs whole columns */
    bool targetless;
    bool classes;       /* of at least two */
    double least, most; /* outputs outside of these are none that it takes */
} candidate;

static const candidate candidates[] = {
    { CR_FLOW_LOSS_SQUARES, squares, BY_ELEMENTS, .least = -INFINITY, .most = INFINITY },
    { CR_FLOW_LOSS_SOFTMAX, softmax, BY_ROWS, .classes = true, .least = -INFINITY,
      .most = INFINITY },
    { CR_FLOW_LOSS_SIGMOID, sigmoid, BY_ELEMENTS, .least = -INFINITY, .most = INFINITY },
    { CR_FLOW_LOSS_LIKELIHOOD, likelihood, BY_ROWS, .classes = true, .least = -INFINITY,
      .most = INFINITY },
    { CR_FLOW_LOSS_LOG, logarithm, BY_ROWS, .classes = true, .least = 0,
      .most = 1 + 1e-6 },
    { CR_FLOW_LOSS_BINARY, binary, BY_ELEMENTS, .least = 0, .most = 1 },
    { CR_FLOW_LOSS_ABSOLUTE, absolute, BY_ELEMENTS, .least = -INFINITY,
      .most = INFINITY },
    { CR_FLOW_LOSS_BROADCAST, broadcast, BY_ELEMENTS, .least = -INFINITY,
      .most = INFINITY },
    { CR_FLOW_LOSS_SOFTMAX_ACROSS, softmax_across, BY_ROWS, .whole = true,
      .classes = true, .least = -INFINITY, .most = INFINITY },
    { CR_FLOW_LOSS_MINIMAX, minimax_logits, BY_ELEMENTS, .targetless = true,
      .least = -INFINITY, .most = INFINITY },
    { CR_FLOW_LOSS_MINIMAX, minimax, BY_ELEMENTS, .targetless = true, .least = 0,
      .most = 1 },
};

/* How well a candidate fits: the cosine, and delta over its mean's. */
typedef struct fit {
    double cosine, scale;
} fit;

static fit fit_of(const sample *s, const candidate *c)
{
    double gg = 0, dd = 0, gd = 0;
    c->gradient(s);
    for (int64_t i = 0; i < s->rows * s->classes; i++) {
        gg += s->g[i] * s->g[i];
        dd += s->d[i] * s->d[i];
        gd += s->g[i] * s->d[i];
    }
    const double n =
        (double)(c->divisor == BY_ROWS ? s->counted : s->all.rows * s->all.classes);
    return (fit){ gd / sqrt(gg) / sqrt(dd), gd / gg * n };
}

static bool is_taken(const sample *s, const candidate *c, const cr_flow_size *output)
{
    if (c->targetless == s->has_target || (c->classes && s->classes < 2))
        return false;
    if (c->whole && s->rows != s->all.rows)
        return false;
    return output->least >= c->least && output->most <= c->most;
}

static bool is_round(double scale)
{
    return fabs(scale - 1) < 1e-3;
}

/* Directions agree to the digits of delta's type. Of those that fit equally well (there may be but
 * one element) the one whose scale is that of the mean is meant, then the first. */
static void recognise(const sample *s, const cr_flow_size *output, cr_flow_loss *l)
{
    const bool half = s->dtype == CR_F16 || s->dtype == CR_BF16;
    const double tolerance = half ? 1e-2 : 1e-4, equal = half ? 1e-3 : 1e-5;
    fit best = { 0, 0 };
    for (int i = 0; i < CR__FLOW_COUNT(candidates); i++) {
        const candidate *c = &candidates[i];
        if (!is_taken(s, c, output))
            continue;
        const fit f = fit_of(s, c);
        const double n = (double)(s->all.rows * s->all.classes);
        /* Without a target all constant outputs look alike: their size decides. */
        if (!(f.cosine > 1 - tolerance) || !(f.scale > 0) ||
            (c->targetless && !is_round(f.scale) && !is_round(f.scale / n)))
            continue;
        if (f.cosine > best.cosine + equal ||
            (f.cosine > best.cosine - equal && is_round(f.scale) &&
             !is_round(best.scale))) {
            best = f;
            l->kind = c->kind;
            l->scale = f.scale;
        }
    }
}

/* Target of the sampled row r, all rows' being `row`: indices of classes, or numbers like the
 * output's. */
static void load_target(sample *s, const cr__flow_array *target, int64_t r, int64_t row,
                        bool indices)
{
    for (int64_t c = 0; c < s->classes; c++)
        s->t[r * s->classes + c] =
            indices ? 0 : cr__flow_at(target, place_in(&s->all, row, c));
    const double class = indices ? cr__flow_at(target, row) : -1;
    if (class >= 0 && class < (double)s->classes)
        s->t[r * s->classes + (int64_t) class] = 1;
}

static bool load_sample(cr__flow_measurement *m, const table *t, sample *s)
{
    const cr__flow_value *o = m->output, *target = m->target;
    const bool indices = target && t->classes > 1 && target->value.numel == t->rows;
    const int64_t most = t->classes < ELEMENTS ? ELEMENTS / t->classes : 1;
    s->all = *t;
    s->classes = t->classes;
    s->rows = t->rows < most ? t->rows : most;
    s->counted = t->rows;
    s->has_target = target != NULL;
    s->dtype = o->gradient.dtype;
    if (target && !indices && target->value.numel != o->value.numel)
        return false;
    const size_t n = (size_t)(s->rows * s->classes);
    s->y = cr__arena_alloc(&m->scratch, m->ctx,
                           (4 * n + (size_t)s->classes) * sizeof(double));
    if (!s->y)
        return false;
    s->t = s->y + n;
    s->d = s->t + n;
    s->g = s->d + n;
    s->mean = s->g + n;
    for (int64_t r = 0; r < s->rows; r++) {
        const int64_t row = r * t->rows / s->rows;
        for (int64_t c = 0; c < s->classes; c++) {
            s->y[r * s->classes + c] = cr__flow_at(&o->value, place_in(t, row, c));
            s->d[r * s->classes + c] = cr__flow_at(&o->gradient, place_in(t, row, c));
        }
        if (target)
            load_target(s, &target->value, r, row, indices);
        for (int64_t c = 0; c < s->classes; c++)
            s->mean[c] += s->t[r * s->classes + c] / (double)s->rows;
    }
    for (int64_t row = 0; row < t->rows && indices; row++) {
        const double class = cr__flow_at(&target->value, row);
        s->counted -= !(class >= 0 && class < (double)s->classes);
    }
    return true;
}

/* ---- targets ---- */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The share of the most frequent of n values, which are sorted here; NaN of reals most of which are
 * different: these are no classes. */
static double largest_share(double *v, int64_t n, bool reals)
{
    int64_t distinct = 0, longest = 0;
    qsort(v, (size_t)n, sizeof *v, compare_doubles);
    for (int64_t i = 0, begin = 0; i < n; i++) {
        if (i && v[i] != v[i - 1])
            begin = i;
        distinct += i == begin;
        longest = i - begin + 1 > longest ? i - begin + 1 : longest;
    }
    return reals && 2 * distinct > n && n > 4 ? (double)NAN : (double)longest / (double)n;
}

/* The class of a row of weights that add up to 1; -1 if they do not. */
static double class_of(const cr__flow_array *target, const table *t, int64_t row)
{
    double sum = 0, most = -1;
    int64_t class = 0;
    for (int64_t c = 0; c < t->classes; c++) {
        const double x = cr__flow_at(target, place_in(t, row, c));
        if (x < 0)
            return -1;
        sum += x;
        class = x > most ? c : class;
        most = fmax(most, x);
    }
    return fabs(sum - 1) < 1e-2 ? (double)class : -1;
}

static double target_share(cr__flow_measurement *m, const table *t)
{
    const cr__flow_array *target = &m->target->value;
    const bool rows = t->classes > 1 && target->numel == t->rows * t->classes;
    const int64_t all = rows ? t->rows : target->numel,
                  n = all < DISTINCT ? all : DISTINCT;
    double *v = cr__arena_alloc(&m->scratch, m->ctx, (size_t)(n + 1) * sizeof *v);
    for (int64_t i = 0; i < n && v; i++) {
        const int64_t row = i * all / n;
        v[i] = rows ? class_of(target, t, row) : cr__flow_at(target, row);
        if (rows && v[i] < 0)
            return (double)NAN;
    }
    return v && n ? largest_share(v, n, !rows && cr__flow_is_float(target->dtype))
                  : (double)NAN;
}

static void take_target(cr__flow_measurement *m, const table *t, cr_flow_loss *l)
{
    l->target = m->target->size;
    l->rank_target = cr_ndim(m->target->tensor);
    l->target_least = l->target.least;
    l->target_most = l->target.most;
    l->target_mean = l->target.mean;
    l->target_rms = l->target.rms;
    l->target_share = target_share(m, t);
}

/* ---- outputs ---- */

static bool same_shape(const cr_tensor *a, const cr_tensor *b)
{
    const cr_dims x = cr_shape(a), y = cr_shape(b);
    return x.n == y.n && memcmp(x.v, y.v, (size_t)x.n * sizeof *x.v) == 0;
}

static double along_residual(const sample *s)
{
    double rr = 0, dd = 0, rd = 0;
    for (int64_t i = 0; i < s->rows * s->classes; i++) {
        const double r = s->y[i] - s->t[i];
        rr += r * r;
        dd += s->d[i] * s->d[i];
        rd += r * s->d[i];
    }
    return rd / sqrt(rr) / sqrt(dd);
}

static void take_output(const cr__flow_value *o, const table *t, cr_flow_loss *l)
{
    l->output = o->size;
    l->delta = o->delta_size;
    l->rank_output = cr_ndim(o->tensor);
    l->samples = l->rank_output ? cr_size(o->tensor, 0) : 1;
    l->classes = t->classes;
    l->output_spread = cr__flow_spread(o);
    const sums rows = sums_along(&o->value, t, true),
               columns = sums_along(&o->value, t, false);
    l->row_sum_least = rows.least;
    l->row_sum_most = rows.most;
    l->column_sum_least = columns.least;
    l->column_sum_most = columns.most;
    l->row_log_sum = largest_log_sum(&o->value, t, true);
    l->column_log_sum = largest_log_sum(&o->value, t, false);
    if (!o->gradient.data)
        return;
    const sums down = sums_along(&o->gradient, t, true),
               across = sums_along(&o->gradient, t, false);
    l->delta_row_sum = relative_sum(&down);
    l->delta_column_sum = relative_sum(&across);
}

/* ---- softmaxes ---- */

/* Mean over rows of the largest weight, and of even ones. */
static void take_peak(cr_tensor *weights, cr_flow_loss *l)
{
    const int64_t keys = cr_size(weights, -1), n = cr_numel(weights);
    const cr__flow_array array = { n ? cr_data(weights) : NULL, cr_dtype_of(weights), n };
    double peak = 0, even = 0;
    for (int64_t i = 0; i < n && array.data; i += keys) {
        double most = 0, seen = 0;
        for (int64_t k = 0; k < keys; k++) {
            const double x = cr__flow_at(&array, i + k);
            most = fmax(most, x);
            seen += x > 0;
        }
        peak += most;
        even += seen > 0 ? 1 / seen : 0;
    }
    peak *= (double)keys / (double)n;
    even *= (double)keys / (double)n;
    if (!(peak <= l->peak)) {
        l->peak = peak;
        l->peak_even = even;
    }
}

/* ---- all of it ---- */

static const cr_flow_loss nothing = {
    .value = NAN,
    .scale = NAN,
    .op = "",
    .row_sum_least = NAN,
    .row_sum_most = NAN,
    .column_sum_least = NAN,
    .column_sum_most = NAN,
    .delta_row_sum = NAN,
    .delta_column_sum = NAN,
    .delta_along_residual = NAN,
    .residual_log10 = NAN,
    .target_least = NAN,
    .target_most = NAN,
    .target_mean = NAN,
    .target_rms = NAN,
    .target_share = NAN,
    .output_spread = NAN,
    .gradient_log10 = NAN,
    .learning_rate = NAN,
    .linear = NAN,
    .repeat = NAN,
    .peak = NAN,
    .peak_even = NAN,
    .peak_scale = NAN,
    .compared = NAN,
    .row_log_sum = NAN,
    .column_log_sum = NAN,
};

/* log10 of the norm of all gradients together. */
static double joint_norm(const cr_flow_snapshot *s)
{
    double most = -(double)INFINITY, sum = 0;
    for (int i = 0; i < s->n_params; i++) {
        if (s->params[i].gradient.state == CR_FLOW_NOT_FINITE)
            return s->params[i].gradient.log10_norm;
        most = fmax(most, s->params[i].gradient.log10_norm);
    }
    for (int i = 0; i < s->n_params && isfinite(most); i++) {
        const double size = s->params[i].gradient.log10_norm;
        sum += isnan(size) ? 0 : pow(10, 2 * (size - most));
    }
    return sum > 0 ? most + log10(sum) / 2 : most;
}

void cr__flow_take_loss(cr__flow_measurement *m)
{
    cr_flow_loss *l = &m->out->loss;
    sample s = { .rows = 0 };
    *l = nothing;
    l->output = l->target = l->delta = cr__flow_no_size(NULL, false);
    l->value = cr__flow_at(&m->values[0].value, 0);
    l->learning_rate = cr_optim_lr(m->flow->optim);
    l->gradient_log10 = joint_norm(m->out);
    l->op = cr__arena_text(m->arena, m->ctx, cr__flow_loss_op(m));
    if (!m->thorough) {
        l->peak = m->last->loss.peak;
        l->peak_even = m->last->loss.peak_even;
        l->peak_scale = m->last->loss.peak_scale;
    }
    for (int i = 0; i < m->n_softmaxes; i++)
        take_peak(m->softmaxes[i], l);
    if (m->score_scale > 0)
        l->peak_scale = m->score_scale;
    l->compared = cr__flow_compared(m);
    if (!m->output || !m->output->value.data)
        return;
    const table t = table_of(m->output->tensor, m->target ? m->target->tensor : NULL);
    take_output(m->output, &t, l);
    if (m->target && m->target->value.data) {
        take_target(m, &t, l);
        if (same_shape(m->output->tensor, m->target->tensor)) {
            const cr__flow_pair apart =
                cr__flow_compare(&m->output->value, &m->target->value);
            l->residual_log10 = cr__tally_size(&apart.difference).log10_norm;
        }
    }
    if (!m->output->gradient.data || !load_sample(m, &t, &s))
        return;
    if (m->thorough)
        recognise(&s, &m->output->size, l);
    else {
        l->kind = m->last->loss.kind;
        l->scale = m->last->loss.scale;
    }
    if (m->target && same_shape(m->output->tensor, m->target->tensor))
        l->delta_along_residual = along_residual(&s);
}
