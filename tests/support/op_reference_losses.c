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

const ref_entry ref_entries_losses[] = {
    { "bernoulli_nll", ref_bernoulli_nll },
    { "multilabel_soft_margin_loss", ref_multilabel_soft_margin },
    { "multilabel_margin_loss", ref_multilabel_margin },
    { "label_loss", ref_label_loss },
    { "label_grad", ref_label_grad },
    { NULL, NULL },
};
