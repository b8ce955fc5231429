/* Plain definitions of what picks, puts and orders by index: see op_reference.h. */
#include "op_reference.h"
#include <math.h>

static bool is_true(const ref_call *c, const char *name, bool initial)
{
    return attr_is(c->attrs, name, "true") ||
           (initial && !attr_is(c->attrs, name, "false"));
}

/* The result begins as x. */
static void begin_as_x(ref_call *c)
{
    double *out = ref_out(c, c->in[0].dtype, c->in[0].dims);
    for (int64_t i = 0; i < c->out.numel; i++)
        out[i] = c->in[0].v[i];
}

/* For each element of the index the place in x, and the one in src. */
typedef void ref_pair(ref_call *c, int64_t to, int64_t from, void *state);

static void for_pairs(ref_call *c, ref_pair *f, void *state)
{
    const array *x = &c->in[0], *index = &c->in[1], *src = &c->in[2];
    int dim = ref_dim(c, "dim", 0, x->dims.n ? x->dims.n : 1);
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < index->numel; i++, next_index(at, index->dims)) {
        int64_t to[CR_MAX_DIMS];
        memcpy(to, at, sizeof to);
        to[dim] = (int64_t)index->v[i];
        f(c, flat_index(to, x->dims.n, x->dims),
          src->dims.n ? flat_index(at, src->dims.n, src->dims) : 0, state);
    }
}

static void put(ref_call *c, int64_t to, int64_t from, void *state)
{
    (void)state;
    c->out.v[to] = c->in[2].v[from];
}

static void ref_scatter(ref_call *c)
{
    begin_as_x(c);
    for_pairs(c, put, NULL);
}

/* ---- scatter_reduce ---- */

static void reduce_one(ref_call *c, int64_t to, int64_t from, void *state)
{
    double *counts = state, *a = &c->out.v[to], b = c->in[2].v[from];
    bool prod = attr_is(c->attrs, "reduce", "prod"),
         most = attr_is(c->attrs, "reduce", "amax"),
         least = attr_is(c->attrs, "reduce", "amin");
    if (counts[to]++ == 0)
        *a = b;
    else if (isnan(*a) || isnan(b))
        *a = (double)NAN;
    else
        *a = prod ? *a * b : most ? fmax(*a, b) : least ? fmin(*a, b) : *a + b;
}

static void ref_scatter_reduce(ref_call *c)
{
    begin_as_x(c);
    double *counts = calloc((size_t)c->out.numel + 1, sizeof *counts);
    for (int64_t i = 0; i < c->out.numel && is_true(c, "include_self", true); i++)
        counts[i] = 1;
    for_pairs(c, reduce_one, counts);
    for (int64_t i = 0; i < c->out.numel && attr_is(c->attrs, "reduce", "mean"); i++)
        c->out.v[i] /= counts[i] > 0 ? counts[i] : 1;
    for (int64_t i = 0; i < c->out.numel && !is_float_type(c->out.dtype); i++)
        c->out.v[i] = floor(c->out.v[i]);
    free(counts);
}

/* ---- slices, masks ---- */

static void ref_index_copy(ref_call *c)
{
    const array *x = &c->in[0], *index = &c->in[1], *source = &c->in[2];
    int dim = ref_dim(c, "dim", 0, x->dims.n);
    int64_t at[CR_MAX_DIMS] = { 0 };
    begin_as_x(c);
    for (int64_t i = 0; i < source->numel; i++, next_index(at, source->dims)) {
        int64_t to[CR_MAX_DIMS];
        memcpy(to, at, sizeof to);
        if (x->dims.n)
            to[dim] = (int64_t)index->v[at[dim]];
        c->out.v[flat_index(to, x->dims.n, x->dims)] = source->v[i];
    }
}

static void ref_masked_select(ref_call *c)
{
    const array *x = &c->in[0], *mask = &c->in[1];
    cr_dims dims = CR_NO_DIMS;
    int64_t at[CR_MAX_DIMS] = { 0 }, n = 0;
    broadcast_dims(x->dims, mask->dims, &dims);
    double *out = ref_out(c, x->dtype, CR_DIMS(count_of(dims)));
    for (int64_t i = count_of(dims); i > 0; i--, next_index(at, dims))
        if (ref_at(mask, at, dims.n) != 0)
            out[n++] = ref_at(x, at, dims.n);
    c->out.numel = c->out.dims.v[0] = n;
}

static void ref_bincount(ref_call *c)
{
    const array *x = &c->in[0], *weights = c->n > 1 ? &c->in[1] : NULL;
    int64_t bins = (int64_t)attr_real(c->attrs, "minlength", 0);
    bool weighted = weights && weights->dtype && x->numel;
    for (int64_t i = 0; i < x->numel; i++)
        bins = x->v[i] >= (double)bins ? (int64_t)x->v[i] + 1 : bins;
    double *out = ref_out(c,
                          !weighted                       ? CR_I64
                          : is_float_type(weights->dtype) ? weights->dtype
                                                          : CR_F64,
                          CR_DIMS(bins));
    for (int64_t i = 0; i < x->numel; i++)
        out[(int64_t)x->v[i]] += weighted ? weights->v[i] : 1;
}

/* Of as many sizes as there are indices. */
static void ref_flat_index(ref_call *c)
{
    cr_dims sizes = attr_dims(c->attrs, "sizes");
    double *out = ref_out(c, CR_I64, c->in[0].dims);
    for (int64_t i = 0; i < c->out.numel; i++)
        for (int k = 0; k < c->n; k++) {
            double at = c->in[k].v[i], size = (double)sizes.v[k];
            out[i] = out[i] * size + (at < 0 ? at + size : at);
        }
}

/* ---- order ---- */

/* NaN is above all. */
static bool is_below(double a, double b)
{
    return isnan(b) ? !isnan(a) : a < b;
}

/* How many of the line of n elements come before element i. */
static int64_t rank_of(const array *x, int64_t start, int64_t step, int64_t n, int64_t i,
                       bool descending)
{
    double v = x->v[start + i * step];
    int64_t before = 0;
    for (int64_t j = 0; j < n; j++) {
        double w = x->v[start + j * step];
        bool ahead = descending ? is_below(v, w) : is_below(w, v);
        bool behind = descending ? is_below(w, v) : is_below(v, w);
        before += ahead || (!behind && j < i);
    }
    return before;
}

/* The first k of each line, or their places. */
static void order(ref_call *c, int64_t k, bool descending, bool places)
{
    const array *x = &c->in[0];
    int dim = ref_dim(c, "dim", -1, x->dims.n ? x->dims.n : 1);
    int64_t n = x->dims.n ? x->dims.v[dim] : 1, step = 1;
    cr_dims dims = x->dims;
    k = k < 0 ? n : k;
    if (dims.n)
        dims.v[dim] = k;
    for (int d = dim + 1; d < dims.n; d++)
        step *= dims.v[d];
    ref_out(c, places ? CR_I64 : x->dtype, dims);
    for (int64_t i = 0; i < x->numel; i++) {
        int64_t at = i / step % n, start = i - at * step;
        int64_t rank = rank_of(x, start, step, n, at, descending);
        int64_t to = start / (n * step) * k * step + start % step + rank * step;
        if (rank < k)
            c->out.v[to] = places ? (double)at : x->v[i];
    }
}

static void ref_sort(ref_call *c)
{
    order(c, -1, is_true(c, "descending", false), false);
}

static void ref_argsort(ref_call *c)
{
    order(c, -1, is_true(c, "descending", false), true);
}

static void ref_topk(ref_call *c)
{
    order(c, (int64_t)attr_real(c->attrs, "k", 0), is_true(c, "largest", true), false);
}

static void ref_sort_order(ref_call *c)
{
    order(c, (int64_t)attr_real(c->attrs, "k", 0), is_true(c, "descending", false), true);
}

/* Of the different elements, those that no earlier one is equal to. */
static void ref_unique(ref_call *c)
{
    const array *x = &c->in[0];
    int64_t n = 0;
    double *out = ref_out(c, x->dtype, CR_DIMS(x->numel));
    for (int64_t i = 0; i < x->numel; i++) {
        bool fresh = true;
        for (int64_t j = 0; j < i; j++)
            fresh = fresh && x->v[j] != x->v[i];
        int64_t place = n;
        for (; fresh && place > 0 && is_below(x->v[i], out[place - 1]); place--)
            out[place] = out[place - 1];
        if (fresh)
            out[place] = x->v[i], n++;
    }
    c->out.numel = c->out.dims.v[0] = n;
}

const ref_entry ref_entries_index[] = {
    { "scatter", ref_scatter },
    { "scatter_reduce", ref_scatter_reduce },
    { "scatter_combine", ref_scatter_reduce },
    { "index_copy", ref_index_copy },
    { "masked_select", ref_masked_select },
    { "flat_index", ref_flat_index },
    { "bincount", ref_bincount },
    { "sort", ref_sort },
    { "argsort", ref_argsort },
    { "topk", ref_topk },
    { "sort_order", ref_sort_order },
    { "unique", ref_unique },
    { .name = NULL },
};
