/* The three products of convolutions, term by term. */
#include "op_reference.h"

/* Tensors of the product: x [N, C, ..], y [N, O, ..], w [O, C / groups, ..]. */
typedef struct conv_terms {
    cr_dims x, y, w, stride, padding, dilation;
    int64_t groups;
} conv_terms;

static cr_dims for_all(const char *attrs, const char *name, int n)
{
    cr_dims list = attr_dims(attrs, name);
    while (list.n < n)
        list.v[list.n++] = list.v[0];
    return list;
}

static conv_terms terms_of(const ref_call *c)
{
    const int space = c->in[0].dims.n - 2;
    return (conv_terms){ .stride = for_all(c->attrs, "stride", space),
                         .padding = for_all(c->attrs, "padding", space),
                         .dilation = for_all(c->attrs, "dilation", space),
                         .groups = (int64_t)attr_real(c->attrs, "groups", 1) };
}

static double *result(ref_call *c, int64_t first, int64_t second)
{
    cr_dims dims = for_all(c->attrs, "size", c->in[0].dims.n - 2);
    return ref_out(c, c->in[0].dtype, with(with(dims, 0, second), 0, first));
}

/* For each tap w[o, i, t] and place y[n, o, p], the element of x that they meet, or none. */
static void each_term(const conv_terms *c, double *x, double *y, double *w, double *out)
{
    const int space = c->x.n - 2;
    int64_t t[CR_MAX_DIMS] = { 0 }, p[CR_MAX_DIMS], q[CR_MAX_DIMS];
    for (int64_t i = 0; i < count_of(c->w); i++, next_index(t, c->w)) {
        memset(p, 0, sizeof p);
        for (int64_t j = 0; j < count_of(c->y); j++, next_index(p, c->y)) {
            bool there = p[1] == t[0];
            q[0] = p[0], q[1] = t[0] / (c->w.v[0] / c->groups) * c->w.v[1] + t[1];
            for (int d = 0; d < space; d++) {
                q[2 + d] = p[2 + d] * c->stride.v[d] + t[2 + d] * c->dilation.v[d] -
                           c->padding.v[d];
                there = there && q[2 + d] >= 0 && q[2 + d] < c->x.v[2 + d];
            }
            if (!there)
                continue;
            const int64_t k = flat_index(q, c->x.n, c->x);
            double *to = out == x ? &x[k] : out == y ? &y[j] : &w[i];
            *to += (out == x ? 1 : x[k]) * (out == y ? 1 : y[j]) * (out == w ? 1 : w[i]);
        }
    }
}

void ref_conv(ref_call *c)
{
    conv_terms t = terms_of(c);
    t.x = c->in[0].dims, t.w = c->in[1].dims;
    double *y = result(c, t.x.v[0], t.w.v[0]);
    t.y = c->out.dims;
    each_term(&t, c->in[0].v, y, c->in[1].v, y);
}

void ref_conv_input_grad(ref_call *c)
{
    conv_terms t = terms_of(c);
    t.y = c->in[0].dims, t.w = c->in[1].dims;
    double *x = result(c, t.y.v[0], t.w.v[1] * t.groups);
    t.x = c->out.dims;
    each_term(&t, x, c->in[0].v, c->in[1].v, x);
}

void ref_conv_weight_grad(ref_call *c)
{
    conv_terms t = terms_of(c);
    t.x = c->in[0].dims, t.y = c->in[1].dims;
    double *w = result(c, t.y.v[1], t.x.v[1] / t.groups);
    t.w = c->out.dims;
    each_term(&t, c->in[0].v, c->in[1].v, w, w);
}
