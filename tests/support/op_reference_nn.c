/* Plain definitions, continued: products, losses, norms, and what must hold of random
 * numbers. */
#include "op_reference.h"

/* ---- products ---- */

static void ref_matmul(ref_call *c)
{
    const array *x = &c->in[0], *y = &c->in[1];
    cr_dims a = x->dims, b = y->dims, batch, out;
    bool row = a.n == 1, column = b.n == 1;
    if (row)
        a = with(a, 0, 1);
    if (column)
        b = with(b, 1, 1);
    int64_t m = a.v[a.n - 2], k = a.v[a.n - 1], n = b.v[b.n - 1];
    a.n -= 2, b.n -= 2;
    broadcast_dims(a, b, &batch);
    out = batch;
    if (!row)
        out = with(out, out.n, m);
    if (!column)
        out = with(out, out.n, n);
    double *at = ref_out(c, x->dtype, out);
    int64_t index[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < count_of(batch); i++, next_index(index, batch)) {
        const double *p = x->v + flat_index(index, batch.n, a) * m * k;
        const double *q = y->v + flat_index(index, batch.n, b) * k * n;
        for (int64_t r = 0; r < m; r++)
            for (int64_t s = 0; s < n; s++, at++)
                for (int64_t j = 0; j < k; j++)
                    *at += p[r * k + j] * q[j * n + s];
    }
}

static void ref_linear(ref_call *c)
{
    const array *x = &c->in[0], *w = &c->in[1], *bias = &c->in[2];
    int64_t k = x->dims.v[x->dims.n - 1], n = w->dims.n == 1 ? 1 : w->dims.v[0];
    cr_dims dims = x->dims;
    dims.n--;
    if (w->dims.n == 2)
        dims = with(dims, dims.n, n);
    double *out = ref_out(c, x->dtype, dims);
    for (int64_t i = 0; i < c->out.numel; i++) {
        for (int64_t j = 0; j < k; j++)
            out[i] += x->v[i / n * k + j] * w->v[i % n * k + j];
        if (c->n > 2 && bias->v)
            out[i] += bias->v[bias->dims.n ? i % n : 0];
    }
}

/* ---- losses ---- */

/* The losses of elements of these dims become what the attribute reduction says; the mean
 * divides by the weight. */
static void reduced(ref_call *c, cr_dims dims, const double *losses, double weight)
{
    int64_t n = count_of(dims);
    bool none = attr_is(c->attrs, "reduction", "none");
    double *out = ref_out(c, CR_F64, none ? dims : CR_NO_DIMS);
    for (int64_t i = 0; i < n; i++)
        out[none ? i : 0] += losses[i];
    if (!none && !attr_is(c->attrs, "reduction", "sum"))
        out[0] /= weight;
}

static void ref_mse_loss(ref_call *c)
{
    const array *x = &c->in[0], *y = &c->in[1];
    cr_dims dims;
    broadcast_dims(x->dims, y->dims, &dims);
    int64_t n = count_of(dims), index[CR_MAX_DIMS] = { 0 };
    double *losses = calloc((size_t)n + 1, sizeof *losses);
    for (int64_t i = 0; i < n; i++, next_index(index, dims)) {
        double d = ref_at(x, index, dims.n) - ref_at(y, index, dims.n);
        losses[i] = d * d;
    }
    reduced(c, dims, losses, (double)n);
    free(losses);
}

static void ref_binary_cross_entropy_with_logits(ref_call *c)
{
    const array *x = &c->in[0], *y = &c->in[1];
    const array *weight = c->n > 2 && c->in[2].v ? &c->in[2] : NULL;
    const array *pos_weight = c->n > 3 && c->in[3].v ? &c->in[3] : NULL;
    cr_dims dims = x->dims;
    int64_t index[CR_MAX_DIMS] = { 0 };
    double *losses = calloc((size_t)x->numel + 1, sizeof *losses);
    for (int64_t i = 0; i < x->numel; i++, next_index(index, dims)) {
        double z = x->v[i], t = ref_at(y, index, dims.n);
        double p = pos_weight ? ref_at(pos_weight, index, dims.n) : 1;
        double w = weight ? ref_at(weight, index, dims.n) : 1;
        losses[i] = (p * t * log1p(exp(-z)) + (1 - t) * log1p(exp(z))) * w;
    }
    reduced(c, dims, losses, (double)x->numel);
    free(losses);
}

/* Log-probabilities of one element: its classes are stride apart. */
static void log_probabilities(const double *x, int64_t classes, int64_t stride,
                              bool softmax, double *out)
{
    double sum = 0;
    for (int64_t i = 0; i < classes; i++)
        sum += exp(x[i * stride]);
    for (int64_t i = 0; i < classes; i++)
        out[i] = softmax ? x[i * stride] - log(sum) : x[i * stride];
}

/* The loss of one element; adds to *total what the mean divides by. target points to a
 * class, or to probabilities that are stride apart. */
static double class_loss(const ref_call *c, const double *l, int64_t classes,
                         const double *target, bool index, int64_t stride, double *total)
{
    double smoothing = attr_real(c->attrs, "label_smoothing", 0), sum = 0;
    const double *weight = c->n > 2 ? c->in[2].v : NULL;
    if (index && *target == attr_real(c->attrs, "ignore_index", -100))
        return 0;
    for (int64_t i = 0; i < classes; i++) {
        double w = weight ? weight[i] : 1;
        double t = index ? *target == (double)i : target[i * stride];
        sum -= w * l[i] * (t * (1 - smoothing) + smoothing / (double)classes);
        if (index)
            *total += t * w;
    }
    *total += !index;
    return sum;
}

static void class_losses(ref_call *c, bool softmax)
{
    const array *x = &c->in[0], *target = &c->in[1];
    int dim = x->dims.n > 1;
    int64_t classes = x->dims.v[dim], inner = 1, n = classes ? x->numel / classes : 0;
    bool index = target->dtype != CR_F64;
    for (int d = dim + 1; d < x->dims.n; d++)
        inner *= x->dims.v[d];
    double *losses = calloc((size_t)n + 1, sizeof *losses), total = 0;
    double *l = calloc((size_t)classes + 1, sizeof *l);
    for (int64_t i = 0; i < n; i++) {
        int64_t first = i / inner * inner * classes + i % inner;
        log_probabilities(x->v + first, classes, inner, softmax, l);
        losses[i] = class_loss(c, l, classes, target->v + (index ? i : first), index,
                               inner, &total);
    }
    reduced(c, without(x->dims, dim), losses, total);
    free(losses);
    free(l);
}

static void ref_cross_entropy(ref_call *c)
{
    class_losses(c, true);
}

static void ref_nll_loss(ref_call *c)
{
    class_losses(c, false);
}

/* ---- norms ---- */

/* Over the last dims together, as many as normalized_shape has. */
static void ref_layer_norm(ref_call *c)
{
    const array *x = &c->in[0];
    int64_t n = count_of(attr_dims(c->attrs, "normalized_shape"));
    double eps = attr_real(c->attrs, "eps", 1e-5), *out = ref_out(c, x->dtype, x->dims);
    for (int64_t i = 0; i < x->numel; i++) {
        const double *v = x->v + i / n * n;
        double mean = mean_of(v, n), var = 0;
        for (int64_t j = 0; j < n; j++)
            var += (v[j] - mean) * (v[j] - mean) / (double)n;
        out[i] = (x->v[i] - mean) / sqrt(var + eps);
        if (c->n > 1 && c->in[1].v)
            out[i] *= c->in[1].v[i % n];
        if (c->n > 2 && c->in[2].v)
            out[i] += c->in[2].v[i % n];
    }
}

/* The mean and the biased variance of a channel: dimension 1. */
static void channel_moments(const array *x, int64_t channel, int64_t inner, double *mean,
                            double *var)
{
    double n = (double)(x->numel / x->dims.v[1]), sum = 0, squares = 0;
    for (int64_t i = 0; i < x->numel; i++)
        if (i / inner % x->dims.v[1] == channel)
            sum += x->v[i];
    for (int64_t i = 0; i < x->numel; i++)
        if (i / inner % x->dims.v[1] == channel)
            squares += (x->v[i] - sum / n) * (x->v[i] - sum / n);
    *mean = sum / n, *var = squares / n;
}

static void ref_batch_norm(ref_call *c)
{
    const array *x = &c->in[0], none = { 0 };
    const array *part[5];
    int64_t inner = 1;
    bool training = attr_real(c->attrs, "training", 0) != 0;
    double eps = attr_real(c->attrs, "eps", 1e-5), *out = ref_out(c, x->dtype, x->dims);
    for (int i = 1; i < 5; i++)
        part[i] = i < c->n ? &c->in[i] : &none;
    for (int d = 2; d < x->dims.n; d++)
        inner *= x->dims.v[d];
    for (int64_t i = 0; i < x->numel; i++) {
        int64_t channel = i / inner % x->dims.v[1];
        double mean, var;
        if (training || !part[1]->v)
            channel_moments(x, channel, inner, &mean, &var);
        else
            mean = part[1]->v[channel], var = part[2]->v[channel];
        out[i] = (x->v[i] - mean) / sqrt(var + eps);
        out[i] *= part[3]->v ? part[3]->v[channel] : 1;
        out[i] += part[4]->v ? part[4]->v[channel] : 0;
    }
}

/* Where target i's class is in [outer, classes, inner]; -1 of an ignored one. */
static int64_t place_of_class(const ref_call *c, int64_t i)
{
    cr_dims dims = c->in[1].dims;
    int dim = ref_dim(c, "dim", 0, dims.n + 1);
    int64_t classes = (int64_t)attr_real(c->attrs, "classes", 0), inner = 1;
    double target = c->in[1].v[i];
    for (int d = dim; d < dims.n; d++)
        inner *= dims.v[d];
    if (target == attr_real(c->attrs, "ignore_index", -100))
        return -1;
    return (i / inner * classes + (int64_t)target) * inner + i % inner;
}

static void ref_class_pick(ref_call *c)
{
    double *out = ref_out(c, c->in[0].dtype, c->in[1].dims);
    for (int64_t i = 0; i < c->out.numel; i++)
        out[i] = place_of_class(c, i) < 0 ? 0 : -c->in[0].v[place_of_class(c, i)];
}

static void ref_class_place(ref_call *c)
{
    int dim = ref_dim(c, "dim", 0, c->in[1].dims.n + 1);
    double *out =
        ref_out(c, c->in[0].dtype,
                with(c->in[1].dims, dim, (int64_t)attr_real(c->attrs, "classes", 0)));
    for (int64_t i = 0; i < c->in[1].numel; i++)
        if (place_of_class(c, i) >= 0)
            out[place_of_class(c, i)] = -c->in[0].v[i];
}

static void ref_class_weights(ref_call *c)
{
    double *out = ref_out(c, c->in[0].dtype, c->in[1].dims);
    for (int64_t i = 0; i < c->out.numel; i++)
        if (place_of_class(c, i) >= 0)
            out[i] = c->in[0].v[(int64_t)c->in[1].v[i]];
}

/* ---- random numbers: what holds of each, given the library's result ---- */

static bool rand_holds(const ref_call *c, int64_t i)
{
    return c->out.v[i] >= 0 && c->out.v[i] < 1;
}

static bool randn_holds(const ref_call *c, int64_t i)
{
    return fabs(c->out.v[i]) < 9;
}

static bool bernoulli_holds(const ref_call *c, int64_t i)
{
    double x = c->in[0].v[i];
    return x <= 0   ? c->out.v[i] == 0
           : x >= 1 ? c->out.v[i] == 1
                    : c->out.v[i] == 0 || c->out.v[i] == 1;
}

static bool dropout_holds(const ref_call *c, int64_t i)
{
    double kept = c->in[0].v[i] / (1 - attr_real(c->attrs, "p", 0.5));
    return c->out.v[i] == 0 || fabs(c->out.v[i] - kept) <= 1e-12 * fabs(kept);
}

static bool is_finite(const ref_call *c, int64_t i)
{
    return isfinite(c->out.v[i]);
}

static bool is_not_negative(const ref_call *c, int64_t i)
{
    return c->out.v[i] >= 0;
}

static bool is_fraction(const ref_call *c, int64_t i)
{
    return c->out.v[i] >= 0 && c->out.v[i] <= 1;
}

static bool uniform_holds(const ref_call *c, int64_t i)
{
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t k = 0; k < i; k++)
        next_index(at, c->out.dims);
    int n = c->out.dims.n;
    return c->out.v[i] >= ref_at(&c->in[0], at, n) &&
           c->out.v[i] <= ref_at(&c->in[1], at, n);
}

static bool randint_holds(const ref_call *c, int64_t i)
{
    return c->out.v[i] >= attr_real(c->attrs, "low", 0) &&
           c->out.v[i] < attr_real(c->attrs, "high", 0) &&
           c->out.v[i] == floor(c->out.v[i]);
}

static bool randperm_holds(const ref_call *c, int64_t i)
{
    int found = 0;
    for (int64_t k = 0; k < c->out.numel; k++)
        found += c->out.v[k] == (double)i;
    return found == 1;
}

/* A place in its row, whose element is above 0, or above -inf; no place twice without
 * replacement. */
static bool is_choice(const ref_call *c, int64_t i, double above)
{
    const array *x = &c->in[0];
    int64_t k = x->dims.v[x->dims.n - 1], rows = x->numel / k, each = c->out.numel / rows;
    int64_t row = i / each, place = (int64_t)c->out.v[i];
    bool again = above < 0 || attr_is(c->attrs, "replacement", "true");
    for (int64_t j = row * each; j < i && !again; j++)
        if (c->out.v[j] == c->out.v[i])
            return false;
    return place >= 0 && place < k && x->v[row * k + place] > above;
}

static bool multinomial_holds(const ref_call *c, int64_t i)
{
    return is_choice(c, i, 0);
}

static bool categorical_holds(const ref_call *c, int64_t i)
{
    return is_choice(c, i, -INFINITY);
}

/* ---- the tables ---- */

const ref_entry ref_entries_nn[] = {
    { "contract", ref_matmul },
    { "matmul", ref_matmul },
    { "linear", ref_linear },
    { "conv", ref_conv },
    { "conv_input_grad", ref_conv_input_grad },
    { "conv_weight_grad", ref_conv_weight_grad },
    { "mse_loss", ref_mse_loss },
    { "binary_cross_entropy_with_logits", ref_binary_cross_entropy_with_logits },
    { "cross_entropy", ref_cross_entropy },
    { "nll_loss", ref_nll_loss },
    { "class_pick", ref_class_pick },
    { "class_place", ref_class_place },
    { "class_weights", ref_class_weights },
    { "layer_norm", ref_layer_norm },
    { "batch_norm", ref_batch_norm },
    { .name = NULL },
};

static const ref_property properties[] = {
    { "rand", rand_holds },
    { "randn", randn_holds },
    { "bernoulli", bernoulli_holds },
    { "dropout", dropout_holds },
    { "normal", is_finite },
    { "uniform", uniform_holds },
    { "exponential", is_not_negative },
    { "gamma", is_not_negative },
    { "standard_gamma", is_finite },
    { "gamma_slope", is_not_negative },
    { "beta", is_fraction },
    { "randint", randint_holds },
    { "randperm", randperm_holds },
    { "multinomial", multinomial_holds },
    { "multinomial_weights", is_not_negative },
    { "categorical", categorical_holds },
    { "gumbel_softmax", is_fraction },
};

const ref_property *find_property(const char *name)
{
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++)
        if (strcmp(properties[i].name, name) == 0)
            return &properties[i];
    for (const ref_property *p = ref_properties_linalg; p->name; p++)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}
