/* Numbers of one array, in double, whatever the type of its elements: sizes, shares, histograms,
 * comparisons of two. Squares are scaled where those of f64 would overflow or vanish. */
#include "measure.h"

#include <float.h>

enum { LANES = 8, BLOCK = 512 };

/* ---- elements ---- */

static double half_value(uint16_t bits)
{
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double x =
        ldexp(exponent ? 1024 + fraction : fraction, exponent ? exponent - 25 : -24);
    if (exponent == 31)
        x = fraction ? (double)NAN : (double)INFINITY;
    return bits >> 15 ? -x : x;
}

static double bfloat_value(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &wide, sizeof x);
    return (double)x;
}

#define LOAD(type, value)                                     \
    do {                                                      \
        const type *from = (const type *)array->data + start; \
        for (int64_t i = 0; i < n; i++)                       \
            to[i] = (value);                                  \
    } while (0)

void cr__flow_load(const cr__flow_array *array, int64_t start, int64_t n, double *to)
{
    switch (array->dtype) {
    case CR_F32:
        LOAD(float, (double)from[i]);
        break;
    case CR_F64:
        LOAD(double, from[i]);
        break;
    case CR_BF16:
        LOAD(uint16_t, bfloat_value(from[i]));
        break;
    case CR_F16:
        LOAD(uint16_t, half_value(from[i]));
        break;
    case CR_I64:
        LOAD(int64_t, (double)from[i]);
        break;
    case CR_I32:
        LOAD(int32_t, (double)from[i]);
        break;
    default:
        LOAD(uint8_t, (double)from[i]);
        break;
    }
}

double cr__flow_at(const cr__flow_array *array, int64_t i)
{
    double x;
    cr__flow_load(array, i, 1, &x);
    return x;
}

/* The least normal number of a type; of integers everything but zero is above it. */
static double least_normal(cr_dtype dtype)
{
    switch (dtype) {
    case CR_F64:
        return DBL_MIN;
    case CR_F16:
        return 0x1p-14;
    case CR_F32:
    case CR_BF16:
        return (double)FLT_MIN;
    default:
        return 0.5;
    }
}

/* ---- tallies ---- */

void cr__tally_start(cr__tally *t, cr_dtype dtype)
{
    *t = (cr__tally){ .dtype = dtype,
                      .tiny = least_normal(dtype),
                      .least = (double)INFINITY,
                      .most = -(double)INFINITY };
}

/* squares += q 4^exponent. */
static void add_squares(cr__tally *t, double q, int exponent)
{
    if (q == 0)
        return;
    if (t->squares == 0 || exponent > t->exponent) {
        t->squares =
            t->squares == 0 ? 0 : ldexp(t->squares, 2 * (t->exponent - exponent));
        t->exponent = exponent;
    }
    t->squares += ldexp(q, 2 * (exponent - t->exponent));
}

/* Any elements. */
static void add_slowly(cr__tally *t, const double *v, int64_t n)
{
    double largest = 0;
    for (int64_t i = 0; i < n; i++) {
        const double a = fabs(v[i]);
        t->nans += isnan(a) != 0;
        t->infinities += isinf(a) != 0;
        if (!isfinite(a))
            continue;
        t->zeros += a == 0;
        t->subnormals += a > 0 && a < t->tiny;
        t->sum += v[i];
        t->least = fmin(t->least, v[i]);
        t->most = fmax(t->most, v[i]);
        largest = fmax(largest, a);
    }
    if (largest == 0)
        return;
    const int exponent = ilogb(largest);
    double q = 0;
    for (int64_t i = 0; i < n; i++) {
        const double x = isfinite(v[i]) ? ldexp(v[i], -exponent) : 0;
        q += x * x;
    }
    add_squares(t, q, exponent);
}

/* The same of n elements, a multiple of LANES, if all are finite and their squares too; false if
 * not. In lanes, so that compilers make vectors of them. */
static bool add_fast(cr__tally *t, const double *v, int64_t n)
{
    double s[LANES] = { 0 }, q[LANES] = { 0 }, few[LANES] = { 0 }, lo[LANES], hi[LANES];
    for (int k = 0; k < LANES; k++)
        lo[k] = hi[k] = v[k];
    for (int64_t i = 0; i < n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            const double x = v[i + k], a = fabs(x);
            s[k] += x;
            q[k] += x * x;
            few[k] += a < t->tiny ? 1 : 0;
            lo[k] = x < lo[k] ? x : lo[k];
            hi[k] = x > hi[k] ? x : hi[k];
        }
    double sum = 0, squares = 0, small = 0, least = lo[0], most = hi[0];
    for (int k = 0; k < LANES; k++) {
        sum += s[k];
        squares += q[k];
        small += few[k];
        least = fmin(least, lo[k]);
        most = fmax(most, hi[k]);
    }
    /* Squares of f64 lose digits below this; those of the others never come here. */
    if (!(squares < DBL_MAX) || (t->dtype == CR_F64 && squares < 1e-250))
        return false;
    t->sum += sum;
    t->least = fmin(t->least, least);
    t->most = fmax(t->most, most);
    add_squares(t, squares, 0);
    for (int64_t i = 0; small > 0 && i < n; i++) {
        t->zeros += v[i] == 0;
        t->subnormals += v[i] != 0 && fabs(v[i]) < t->tiny;
    }
    return true;
}

void cr__tally_add(cr__tally *t, const double *v, int64_t n)
{
    const int64_t even = n / LANES * LANES;
    t->n += n;
    if (even && !add_fast(t, v, even))
        add_slowly(t, v, even);
    if (even < n)
        add_slowly(t, v + even, n - even);
}

static double log10_root(double squares, int exponent)
{
    return squares > 0 ? log10(squares) / 2 + exponent * log10(2) : -(double)INFINITY;
}

static cr_flow_state state_of(const cr__tally *t)
{
    if (t->nans || t->infinities)
        return CR_FLOW_NOT_FINITE;
    if (t->zeros == t->n)
        return CR_FLOW_ZERO;
    return t->zeros + t->subnormals == t->n ? CR_FLOW_UNDERFLOWED : CR_FLOW_USUAL;
}

cr_flow_size cr__tally_size(const cr__tally *t)
{
    const double n = (double)t->n, finite = (double)(t->n - t->nans - t->infinities);
    cr_flow_size size = { .state = state_of(t),
                          .dtype = t->dtype,
                          .numel = t->n,
                          .log10_norm = log10_root(t->squares, t->exponent),
                          .rms = ldexp(sqrt(t->squares / finite), t->exponent),
                          .mean = t->sum / finite,
                          .least = finite > 0 ? t->least : (double)NAN,
                          .most = finite > 0 ? t->most : (double)NAN,
                          .zeros = (double)t->zeros / n,
                          .subnormals = (double)t->subnormals / n,
                          .infinities = (double)t->infinities / n,
                          .nans = (double)t->nans / n };
    if (t->infinities)
        size.log10_norm = (double)INFINITY;
    if (t->nans)
        size.log10_norm = (double)NAN;
    return size;
}

cr_flow_size cr__flow_no_size(const cr_tensor *x, bool awaited)
{
    const double none = (double)NAN;
    return (cr_flow_size){ CR_FLOW_DISCONNECTED,
                           cr_dtype_of(x),
                           awaited ? cr_numel(x) : 0,
                           none,
                           none,
                           none,
                           none,
                           none,
                           none,
                           none,
                           none,
                           none };
}

/* ---- arrays ---- */

/* Octaves, the last being that of the largest. */
static void count_bins(const cr__flow_array *array, double largest, cr_flow_bins *bins)
{
    enum { BINS = (int)(sizeof bins->share / sizeof bins->share[0]) };
    int64_t counts[BINS] = { 0 };
    double block[BLOCK];
    *bins = (cr_flow_bins){ 0 };
    if (!(largest > 0))
        return;
    bins->from = ilogb(largest) - BINS + 1;
    for (int64_t start = 0; start < array->numel; start += BLOCK) {
        const int64_t n = array->numel - start < BLOCK ? array->numel - start : BLOCK;
        cr__flow_load(array, start, n, block);
        for (int64_t i = 0; i < n; i++) {
            uint64_t
                bits; /* the exponent stands there; f64's subnormals are in the first bin */
            memcpy(&bits, &block[i], sizeof bits);
            const int bin = (int)(bits >> 52 & 2047) - 1023 - bins->from;
            if (block[i] != 0 && bin < BINS)
                counts[bin < 0 ? 0 : bin]++;
        }
    }
    for (int i = 0; i < BINS; i++)
        bins->share[i] = (float)((double)counts[i] / (double)array->numel);
}

cr_flow_size cr__flow_measure(const cr__flow_array *array, cr_flow_bins *bins)
{
    cr__tally t;
    double block[BLOCK];
    cr__tally_start(&t, array->dtype);
    if (!array->data && array->numel)
        return cr__flow_no_size(NULL, false);
    for (int64_t start = 0; start < array->numel; start += BLOCK) {
        const int64_t n = array->numel - start < BLOCK ? array->numel - start : BLOCK;
        cr__flow_load(array, start, n, block);
        cr__tally_add(&t, block, n);
    }
    if (bins)
        count_bins(array, fmax(fabs(t.least), fabs(t.most)), bins);
    return cr__tally_size(&t);
}

cr_flow_size cr__flow_estimate(const cr__flow_array *array)
{
    enum { PIECES = 4, PIECE = 128 };
    cr__tally t;
    double block[PIECE];
    if (!array->data || array->numel <= 2 * PIECES * PIECE)
        return cr__flow_measure(array, NULL);
    cr__tally_start(&t, array->dtype);
    for (int64_t i = 0; i < PIECES; i++) {
        cr__flow_load(array, i * (array->numel - PIECE) / (PIECES - 1), PIECE, block);
        cr__tally_add(&t, block, PIECE);
    }
    cr_flow_size size = cr__tally_size(&t);
    size.log10_norm += log10((double)array->numel / (double)size.numel) / 2;
    size.numel = array->numel;
    return size;
}

cr__flow_pair cr__flow_compare(const cr__flow_array *a, const cr__flow_array *b)
{
    cr__flow_pair p = { .difference = { 0 } };
    double x[BLOCK], y[BLOCK];
    cr__tally_start(&p.difference, a->dtype);
    if (!a->data || !b->data || a->numel != b->numel)
        return (cr__flow_pair){ .cosine = (double)NAN, .difference = p.difference };
    double xx = 0, yy = 0, xy = 0;
    for (int64_t start = 0; start < a->numel; start += BLOCK) {
        const int64_t n = a->numel - start < BLOCK ? a->numel - start : BLOCK;
        cr__flow_load(a, start, n, x);
        cr__flow_load(b, start, n, y);
        for (int64_t i = 0; i < n; i++) {
            xx += x[i] * x[i];
            yy += y[i] * y[i];
            xy += x[i] * y[i];
            x[i] -= y[i];
        }
        cr__tally_add(&p.difference, x, n);
    }
    p.cosine = xy / sqrt(xx) / sqrt(yy);
    return p;
}

cr_flow_size cr_flow_size_of(cr_tensor *x)
{
    cr_ctx *ctx = cr_ctx_of(x);
    cr_flow_size size = cr__flow_no_size(x, false);
    if (!x || cr_error(ctx) || cr_scope_push(ctx) != CR_OK)
        return size;
    cr_tensor *value = cr_detach(x); /* what is read stays: not x, for that */
    const void *data = value ? cr_data(value) : NULL;
    if (!cr_error(ctx)) {
        const cr__flow_array array = { data, cr_dtype_of(x), cr_numel(x) };
        size = cr__flow_measure(&array, NULL);
    }
    cr_scope_pop(ctx);
    return size;
}
