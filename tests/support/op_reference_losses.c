/* Plain definitions of losses, for op_reference.c. */
#include "op_reference.h"

static void ref_bernoulli_nll(ref_call *c)
{
    double *out = ref_out(c, c->in[0].dtype, c->in[0].dims);
    for (int64_t i = 0; i < c->out.numel; i++) {
        double x = c->in[0].v[i], t = c->in[1].v[i];
        out[i] = -t * fmax(log(x), -100) - (1 - t) * fmax(log(1 - x), -100);
    }
}

/* Element i's loss, reduced, as the attribute says. */
static void reduced(ref_call *c, const double *loss, int64_t n)
{
    double sum = 0;
    if (attr_is(c->attrs, "reduction", "none")) {
        memcpy(ref_out(c, c->in[0].dtype, n > 1 ? CR_DIMS(n) : CR_NO_DIMS), loss,
               (size_t)n * sizeof *loss);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        sum += loss[i];
    ref_out(c, c->in[0].dtype, CR_NO_DIMS)[0] =
        attr_is(c->attrs, "reduction", "sum") ? sum : sum / (double)n;
}

static void ref_multilabel_soft_margin(ref_call *c)
{
    cr_dims dims = c->in[0].dims;
    int64_t classes = dims.v[dims.n - 1], rows = c->in[0].numel / classes, at = 0;
    double *loss = calloc((size_t)rows + 1, sizeof *loss);
    int64_t index[CR_MAX_DIMS] = { 0 };
    for (; at < c->in[0].numel; at++, next_index(index, dims)) {
        double x = c->in[0].v[at], t = c->in[1].v[at];
        double w = c->n > 2 && c->in[2].v ? ref_at(&c->in[2], index, dims.n) : 1;
        loss[at / classes] +=
            w * (t * log(1 + exp(-x)) + (1 - t) * log(1 + exp(x))) / (double)classes;
    }
    reduced(c, loss, rows);
    free(loss);
}

/* Whether a row of targets, up to its end, names class i. */
static bool names(const double *target, int64_t classes, int64_t i)
{
    for (int64_t k = 0; k < classes && target[k] >= 0; k++)
        if (target[k] == (double)i)
            return true;
    return false;
}

/* The loss of each row, or, where grad is not NULL, its gradient times g. */
static void label_rows(const array *x, const array *target, double *loss, double *grad,
                       const double *g)
{
    int64_t classes = x->dims.v[x->dims.n - 1];
    for (int64_t row = 0; row < (x->numel ? x->numel / classes : 0); row++) {
        const double *v = x->v + row * classes, *t = target->v + row * classes;
        for (int64_t k = 0; k < classes && t[k] >= 0; k++)
            for (int64_t i = 0; i < classes; i++) {
                double z = 1 - v[(int64_t)t[k]] + v[i];
                if (names(t, classes, i) || z <= 0)
                    continue;
                if (loss)
                    loss[row] += z / (double)classes;
                if (grad) {
                    grad[row * classes + i] += g[row] / (double)classes;
                    grad[row * classes + (int64_t)t[k]] -= g[row] / (double)classes;
                }
            }
    }
}

static void ref_multilabel_margin(ref_call *c)
{
    const array *x = &c->in[0];
    int64_t rows = x->dims.n > 1 ? x->dims.v[0] : 1;
    double *loss = calloc((size_t)rows + 1, sizeof *loss);
    label_rows(x, &c->in[1], loss, NULL, NULL);
    reduced(c, loss, rows);
    free(loss);
}

static void ref_label_loss(ref_call *c)
{
    double *out = ref_out(c, c->in[0].dtype, CR_DIMS(c->in[0].dims.v[0]));
    label_rows(&c->in[0], &c->in[1], out, NULL, NULL);
}

static void ref_label_grad(ref_call *c)
{
    double *out = ref_out(c, c->in[1].dtype, c->in[1].dims);
    label_rows(&c->in[1], &c->in[2], NULL, out, c->in[0].v);
}

/* ---- ctc: by all paths there are ---- */

typedef struct ctc_paths {
    const array *x;       /* log_probs */
    const double *target; /* of the sample */
    int64_t n, steps, length;
    double blank, total;
    double *occupied; /* [steps, classes], or NULL */
    int64_t path[16];
} ctc_paths;

/* Whether the path, repetitions and then blanks taken away, is the target. */
static bool spells(const ctc_paths *c)
{
    int64_t at = 0;
    for (int64_t t = 0; t < c->steps; t++) {
        if ((double)c->path[t] == c->blank || (t > 0 && c->path[t] == c->path[t - 1]))
            continue;
        if (at == c->length || c->target[at++] != (double)c->path[t])
            return false;
    }
    return at == c->length;
}

static void all_paths(ctc_paths *c, int64_t t, double log_prob)
{
    int64_t samples = c->x->dims.v[1], classes = c->x->dims.v[2];
    for (int64_t k = 0; k < classes && t < c->steps; k++) {
        c->path[t] = k;
        all_paths(c, t + 1, log_prob + c->x->v[(t * samples + c->n) * classes + k]);
    }
    if (t < c->steps || !spells(c))
        return;
    c->total += exp(log_prob);
    for (int64_t i = 0; i < c->steps && c->occupied; i++)
        c->occupied[i * classes + c->path[i]] += exp(log_prob);
}

static ctc_paths ctc_sample(const ref_call *c, int first, int64_t n)
{
    const array *targets = &c->in[first + 1], *lengths = &c->in[first + 3];
    ctc_paths p = { .x = &c->in[first], .n = n, .target = targets->v };
    p.blank = attr_real(c->attrs, "blank", 0);
    p.steps = (int64_t)c->in[first + 2].v[n];
    p.length = (int64_t)lengths->v[n];
    for (int64_t i = 0; i < n; i++)
        p.target += targets->dims.n == 2 ? targets->dims.v[1] : (int64_t)lengths->v[i];
    return p;
}

static void ref_ctc(ref_call *c)
{
    double *out = ref_out(c, c->in[0].dtype, CR_DIMS(c->in[0].dims.v[1]));
    for (int64_t n = 0; n < c->out.numel; n++) {
        ctc_paths p = ctc_sample(c, 0, n);
        all_paths(&p, 0, 0);
        out[n] = -log(p.total);
    }
}

static void ref_ctc_grad(ref_call *c)
{
    cr_dims dims = c->in[1].dims;
    double *out = ref_out(c, c->in[1].dtype, dims);
    for (int64_t n = 0; n < dims.v[1]; n++) {
        ctc_paths p = ctc_sample(c, 1, n);
        p.occupied = calloc((size_t)(dims.v[0] * dims.v[2]) + 1, sizeof(double));
        all_paths(&p, 0, 0);
        for (int64_t i = 0; i < p.steps * dims.v[2]; i++) {
            int64_t at = (i / dims.v[2] * dims.v[1] + n) * dims.v[2] + i % dims.v[2];
            out[at] = c->in[0].v[n] * (exp(c->in[1].v[at]) - p.occupied[i] / p.total);
        }
        free(p.occupied);
    }
}

const ref_entry ref_entries_losses[] = {
    { "ctc", ref_ctc },
    { "ctc_grad", ref_ctc_grad },
    { "bernoulli_nll", ref_bernoulli_nll },
    { "multilabel_soft_margin_loss", ref_multilabel_soft_margin },
    { "multilabel_margin_loss", ref_multilabel_margin },
    { "label_loss", ref_label_loss },
    { "label_grad", ref_label_grad },
    { NULL, NULL },
};
