/* Plain definitions, continued: elements that move. */
#include "op_reference.h"

/* The result is x, with other elements to come. */
static double *copy_of(ref_call *c, const array *x)
{
    double *out = ref_out(c, x->dtype, x->dims);
    memcpy(out, x->v, (size_t)x->numel * sizeof *out);
    return out;
}

static void ref_diagonal_scatter(ref_call *c)
{
    const array *x = &c->in[0], *src = &c->in[1];
    int dim1 = ref_dim(c, "dim1", 0, x->dims.n), dim2 = ref_dim(c, "dim2", 1, x->dims.n);
    int64_t offset = (int64_t)attr_real(c->attrs, "offset", 0);
    int64_t at[CR_MAX_DIMS] = { 0 };
    double *out = copy_of(c, x);
    for (int64_t i = 0; i < x->numel; i++, next_index(at, x->dims)) {
        int64_t place[CR_MAX_DIMS];
        int n = 0;
        if (at[dim2] - at[dim1] != offset)
            continue;
        for (int d = 0; d < x->dims.n; d++)
            if (d != dim1 && d != dim2)
                place[n++] = at[d];
        place[n++] = offset > 0 ? at[dim1] : at[dim2];
        out[i] = src->v[flat_index(place, n, src->dims)];
    }
}

static void ref_diag(ref_call *c)
{
    const array *x = &c->in[0];
    int64_t k = (int64_t)attr_real(c->attrs, "diagonal", 0), from = k < 0 ? -k : 0;
    int64_t row = from, column = from + k;
    if (x->dims.n == 1) {
        int64_t size = x->numel + llabs(k);
        double *out = ref_out(c, x->dtype, with(with(CR_NO_DIMS, 0, size), 1, size));
        for (int64_t i = 0; i < x->numel; i++)
            out[(row + i) * size + column + i] = x->v[i];
        return;
    }
    int64_t m = x->dims.v[0], n = x->dims.v[1];
    int64_t length = (int64_t)fmax(fmin((double)(m - row), (double)(n - column)), 0);
    double *out = ref_out(c, x->dtype, with(CR_NO_DIMS, 0, length));
    for (int64_t i = 0; i < length; i++)
        out[i] = x->v[(row + i) * n + column + i];
}

static void ref_rolled(ref_call *c)
{
    const array *x = &c->in[0];
    cr_dims shifts = attr_dims(c->attrs, "shifts");
    int64_t at[CR_MAX_DIMS] = { 0 }, to[CR_MAX_DIMS];
    double *out = copy_of(c, x);
    for (int64_t i = 0; i < x->numel; i++, next_index(at, x->dims)) {
        for (int d = 0; d < x->dims.n; d++)
            to[d] = (at[d] + shifts.v[d]) % x->dims.v[d];
        out[flat_index(to, x->dims.n, x->dims)] = x->v[i];
    }
}

static void ref_place(ref_call *c)
{
    const array *x = &c->in[0], *src = &c->in[1];
    cr_dims start = attr_dims(c->attrs, "start");
    int64_t at[CR_MAX_DIMS] = { 0 }, to[CR_MAX_DIMS];
    double *out = copy_of(c, x);
    for (int64_t i = 0; i < src->numel; i++, next_index(at, src->dims)) {
        for (int d = 0; d < x->dims.n; d++)
            to[d] = start.v[d] + at[d];
        out[flat_index(to, x->dims.n, x->dims)] = src->v[i];
    }
}

static void ref_repeat(ref_call *c)
{
    const array *x = &c->in[0];
    cr_dims counts = attr_dims(c->attrs, "repeats"), dims = counts;
    int lead = dims.n - x->dims.n;
    int64_t at[CR_MAX_DIMS] = { 0 }, from[CR_MAX_DIMS];
    for (int d = 0; d < dims.n; d++)
        dims.v[d] *= d < lead ? 1 : x->dims.v[d - lead];
    double *out = ref_out(c, x->dtype, dims);
    for (int64_t i = 0; i < c->out.numel; i++, next_index(at, dims)) {
        for (int d = lead; d < dims.n; d++)
            from[d - lead] = at[d] % x->dims.v[d - lead];
        out[i] = x->v[flat_index(from, x->dims.n, x->dims)];
    }
}

/* The first of the results. */
static void ref_meshgrid(ref_call *c)
{
    cr_dims dims = CR_NO_DIMS;
    int64_t at[CR_MAX_DIMS] = { 0 };
    bool xy = attr_is(c->attrs, "indexing", "xy") && c->n > 1;
    for (int i = 0; i < c->n; i++)
        dims = with(dims, xy && i == 1 ? 0 : i, c->in[i].numel);
    double *out = ref_out(c, c->in[0].dtype, dims);
    for (int64_t i = 0; i < c->out.numel; i++, next_index(at, dims))
        out[i] = c->in[0].v[at[xy]];
}

const ref_entry ref_entries_movement[] = {
    { "diagonal_scatter", ref_diagonal_scatter },
    { "diag", ref_diag },
    { "rolled", ref_rolled },
    { "place", ref_place },
    { "repeat", ref_repeat },
    { "meshgrid", ref_meshgrid },
    { .name = NULL },
};
