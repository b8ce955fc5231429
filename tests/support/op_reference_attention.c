/* Plain definitions of attention and of what it sends down, packed as the operations are. */
#include "op_reference.h"

/* One head's arrays, [rows, width] each. */
typedef struct heads {
    const ref_call *c;
    const array *mask;
    int64_t n, queries, keys, width, values;
    double scale;
    bool causal;
} heads;

static heads heads_of(const ref_call *c, int mask)
{
    const cr_dims q = c->in[0].dims, v = c->in[2].dims;
    heads h = { .c = c,
                .mask = c->n > mask ? &c->in[mask] : NULL,
                .n = 1,
                .queries = q.v[q.n - 2],
                .keys = v.v[v.n - 2],
                .width = q.v[q.n - 1],
                .values = v.v[v.n - 1],
                .scale = attr_real(c->attrs, "scale", 1),
                .causal = attr_is(c->attrs, "is_causal", "true") };
    for (int d = 0; d < q.n - 2; d++)
        h.n *= q.v[d];
    return h;
}

static double score_of(const heads *h, int64_t head, int64_t i, int64_t j)
{
    const double *q = h->c->in[0].v + (head * h->queries + i) * h->width;
    const double *k = h->c->in[1].v + (head * h->keys + j) * h->width;
    double s = 0;
    for (int64_t e = 0; e < h->width; e++)
        s += q[e] * k[e];
    s *= h->scale;
    if (h->mask) {
        double m = h->mask->v[(head * h->queries + i) * h->keys + j];
        s = h->mask->dtype != CR_BOOL ? s + m : m != 0 ? s : -(double)INFINITY;
    }
    return h->causal && j > i ? -(double)INFINITY : s;
}

/* Query i's weights; returns the logarithm of the sum of exponentials. */
static double weigh(const heads *h, int64_t head, int64_t i, double *weights)
{
    double sum = 0;
    for (int64_t j = 0; j < h->keys; j++)
        sum += weights[j] = exp(score_of(h, head, i, j));
    for (int64_t j = 0; j < h->keys; j++)
        weights[j] = sum > 0 ? weights[j] / sum : 0;
    return sum > 0 ? log(sum) : (double)INFINITY;
}

static void ref_attention(ref_call *c)
{
    const heads h = heads_of(c, 3);
    const int64_t lines = h.n * h.queries;
    double *weights = calloc((size_t)h.keys + 1, sizeof *weights);
    cr_dims dims = { .n = 1, .v = { lines * (h.values + 1) } };
    double *out = ref_out(c, c->in[0].dtype, dims);
    for (int64_t line = 0; line < lines; line++) {
        const int64_t head = line / h.queries;
        out[lines * h.values + line] = weigh(&h, head, line % h.queries, weights);
        for (int64_t j = 0; j < h.keys; j++)
            for (int64_t e = 0; e < h.values; e++)
                out[line * h.values + e] +=
                    weights[j] * c->in[2].v[(head * h.keys + j) * h.values + e];
    }
    free(weights);
}

static void ref_attention_grad(ref_call *c)
{
    const heads h = heads_of(c, 5);
    const double *q = c->in[0].v, *k = c->in[1].v, *v = c->in[2].v, *g = c->in[3].v;
    const double *g_logs = g + h.n * h.queries * h.values;
    const int64_t of_q = h.n * h.queries * h.width, of_k = h.n * h.keys * h.width;
    double *weights = calloc(2 * (size_t)h.keys + 1, sizeof *weights);
    double *slopes = weights + h.keys;
    cr_dims dims = { .n = 1, .v = { of_q + of_k + h.n * h.keys * h.values } };
    double *dq = ref_out(c, c->in[0].dtype, dims), *dk = dq + of_q, *dv = dk + of_k;
    for (int64_t line = 0; line < h.n * h.queries; line++) {
        const int64_t first = line / h.queries * h.keys;
        double mean = 0;
        weigh(&h, line / h.queries, line % h.queries, weights);
        for (int64_t j = 0; j < h.keys; j++) {
            slopes[j] = 0;
            for (int64_t e = 0; e < h.values; e++) {
                slopes[j] += g[line * h.values + e] * v[(first + j) * h.values + e];
                dv[(first + j) * h.values + e] += weights[j] * g[line * h.values + e];
            }
            mean += weights[j] * slopes[j];
        }
        for (int64_t j = 0; j < h.keys; j++)
            for (int64_t e = 0; e < h.width; e++) {
                double s = weights[j] * (slopes[j] - mean + g_logs[line]) * h.scale;
                dq[line * h.width + e] += s * k[(first + j) * h.width + e];
                dk[(first + j) * h.width + e] += s * q[line * h.width + e];
            }
    }
    free(weights);
}

const ref_entry ref_entries_attention[] = {
    { "attention", ref_attention },
    { "attention_grad", ref_attention_grad },
    { .name = NULL },
};
