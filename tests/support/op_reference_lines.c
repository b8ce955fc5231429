/* Plain definitions of what takes a tensor line by line along one dim: scans, ranks. */
#include "op_reference.h"

/* A line of n elements, those of x and of the second input, if there is one, into n of
 * the result, or into one. */
typedef void ref_line(const double *x, const double *y, int64_t n, double *out,
                      const ref_call *c);

static void by_lines(ref_call *c, ref_line *f, cr_dtype dtype, bool to_one)
{
    const array *x = &c->in[0], *y = c->n > 1 ? &c->in[1] : NULL;
    const int dim = ref_dim(c, "dim", 0, x->dims.n ? x->dims.n : 1);
    int64_t n = x->dims.n ? x->dims.v[dim] : 1, stride = 1;
    cr_dims dims = x->dims;
    for (int d = dim + 1; d < dims.n; d++)
        stride *= dims.v[d];
    if (to_one && dims.n)
        dims.v[dim] = 1;
    double *out = ref_out(c, dtype, dims);
    double *lines = calloc((size_t)n * 3 + 1, sizeof *lines), *a = lines, *b = a + n,
           *r = b + n;
    for (int64_t line = 0; n && line < x->numel / n; line++) {
        const int64_t outer = line / stride, inner = line % stride;
        for (int64_t i = 0; i < n; i++) {
            a[i] = x->v[(outer * n + i) * stride + inner];
            b[i] = y ? y->v[(outer * n + i) * stride + inner] : 0;
        }
        f(a, b, n, r, c);
        for (int64_t i = 0; i < (to_one ? 1 : n); i++)
            out[(outer * (to_one ? 1 : n) + i) * stride + inner] = r[i];
    }
    free(lines);
}

static cr_dtype sum_type(const ref_call *c)
{
    return is_float_type(c->in[0].dtype) ? c->in[0].dtype : CR_I64;
}

static cr_dtype own_type(const ref_call *c)
{
    return c->in[0].dtype;
}

static cr_dtype place_type(const ref_call *c)
{
    (void)c;
    return CR_I64;
}

#define LINES(NAME, TYPE, TO_ONE, ...)                                                \
    static void line_##NAME(const double *x, const double *y, int64_t n, double *out, \
                            const ref_call *c)                                        \
    {                                                                                 \
        (void)y, (void)c;                                                             \
        for (int64_t i = 0; i < (TO_ONE ? 1 : n); i++)                                \
            __VA_ARGS__                                                               \
    }                                                                                 \
    static void ref_##NAME(ref_call *c)                                               \
    {                                                                                 \
        by_lines(c, line_##NAME, TYPE(c), TO_ONE);                                    \
    }

LINES(cumsum, sum_type, false, {
    out[i] = 0;
    for (int64_t j = 0; j <= i; j++)
        out[i] += x[j];
})
LINES(cumsum_back, sum_type, false, {
    out[i] = 0;
    for (int64_t j = n - 1; j >= i; j--)
        out[i] += x[j];
})
LINES(cumprod, sum_type, false, {
    out[i] = 1;
    for (int64_t j = 0; j <= i; j++)
        out[i] *= x[j];
})
LINES(recurrence, own_type, false, { out[i] = y[i] + (i ? x[i] * out[i - 1] : 0); })
LINES(recurrence_back, own_type, false, {
    const int64_t j = n - 1 - i;
    out[j] = y[j] + (i ? x[j + 1] * out[j + 1] : 0);
})
LINES(cofactors, own_type, false, {
    out[i] = 1;
    for (int64_t j = 0; j < n; j++)
        out[i] *= j == i ? 1 : x[j];
})

/* Whether a is to be chosen after b. */
static bool beyond(double a, double b, double sign)
{
    return isnan(a) || sign * a >= sign * b;
}

LINES(cummax_place, place_type, false, {
    out[i] = i && !beyond(x[i], x[(int64_t)out[i - 1]], 1) ? out[i - 1] : (double)i;
})
LINES(cummin_place, place_type, false, {
    out[i] = i && !beyond(x[i], x[(int64_t)out[i - 1]], -1) ? out[i - 1] : (double)i;
})
LINES(running_max, own_type, false,
      { out[i] = i && !beyond(x[i], out[i - 1], 1) ? out[i - 1] : x[i]; })

/* How many stand before x[i], NaN being last; those that equal it are none. */
static int64_t rank_of(const double *x, int64_t n, int64_t i, bool equal)
{
    int64_t rank = 0;
    for (int64_t j = 0; j < n; j++)
        if (isnan(x[i]))
            rank += !isnan(x[j]) || equal;
        else
            rank += x[j] < x[i] || (equal && x[j] == x[i]);
    return rank;
}

/* k 0: the median, or the first NaN. */
static int64_t kth_place(const double *x, int64_t n, int64_t k)
{
    bool nan = false;
    for (int64_t i = 0; i < n; i++)
        nan = nan || isnan(x[i]);
    k = k ? k : nan ? n : (n + 1) / 2;
    int64_t place = 0;
    while (rank_of(x, n, place, false) >= k || rank_of(x, n, place, true) < k)
        place++;
    return place;
}

LINES(kth_place, place_type, true,
      { out[i] = (double)kth_place(x, n, (int64_t)attr_real(c->attrs, "k", 0)); })

static void ref_median(ref_call *c)
{
    const array *x = &c->in[0];
    double *out = ref_out(c, x->dtype, CR_NO_DIMS);
    out[0] = x->numel ? x->v[kth_place(x->v, x->numel, 0)] : (double)NAN;
}

static void ref_distances(ref_call *c)
{
    const array *x = &c->in[0], *y = &c->in[1];
    const int last = x->dims.n - 1;
    const int64_t n = x->dims.v[last - 1], k = y->dims.v[last - 1], m = x->dims.v[last];
    const double p =
        attr_is(c->attrs, "p", "inf") ? (double)INFINITY : attr_real(c->attrs, "p", 2);
    cr_dims dims = x->dims;
    dims.v[last] = k;
    double *out = ref_out(c, x->dtype, dims);
    for (int64_t i = 0; i < c->out.numel; i++) {
        const double *a = x->v + i / k * m, *b = y->v + (i / k / n * k + i % k) * m;
        for (int64_t j = 0; j < m; j++) {
            const double apart = fabs(a[j] - b[j]);
            out[i] = isinf(p) ? fmax(out[i], apart)
                     : p != 0 ? out[i] + pow(apart, p)
                              : out[i] + (apart != 0);
        }
        out[i] = p == 2 ? sqrt(out[i]) : out[i];
    }
}

const ref_entry ref_entries_lines[] = {
    { "cumsum", ref_cumsum },
    { "cumsum_back", ref_cumsum_back },
    { "cumprod", ref_cumprod },
    { "recurrence", ref_recurrence },
    { "recurrence_back", ref_recurrence_back },
    { "cofactors", ref_cofactors },
    { "cummax_place", ref_cummax_place },
    { "cummin_place", ref_cummin_place },
    { "running_max", ref_running_max },
    { "kth_place", ref_kth_place },
    { "median", ref_median },
    { "distances", ref_distances },
    { NULL, NULL },
};
