/* Singular values of a Jacobian that is never written down: products with it and its transpose are
 * cr_jvp() and cr_vjp(). Extremes and the distribution by Lanczos (with full reorthogonalisation:
 * Golub and Van Loan, 2013, section 10.3; as quadrature: Golub and Meurant, 1994), moments by random
 * orthonormal probes (Hutchinson, 1990). In double between the products, which have the digits of
 * the tensors' type. */
#include "measure.h"

#include <float.h>

/* J of sample 0, and J^T J or J J^T, whichever is smaller: a matrix of size n. */
typedef struct jacobian {
    cr_ctx *ctx;
    cr_tensor *y, *x;
    int64_t rows, columns, n;
    int octaves;     /* size of vectors whose products neither vanish nor overflow */
    double *product; /* of rows or columns, whichever is more */
    cr__arena memory;
} jacobian;

static double dot(const double *a, const double *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* a += c b */
static void add_scaled(double *a, double c, const double *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        a[i] += c * b[i];
}

static void scale(double *a, double c, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        a[i] *= c;
}

/* ---- products ---- */

/* v times 2^octaves in the place of sample 0 of a tensor like t; zeros elsewhere. */
static cr_tensor *tensor_of(jacobian *j, cr_tensor *t, const double *v, int64_t n,
                            int octaves)
{
    const size_t all = (size_t)cr_numel(t);
    double *elements = calloc(all + 1, sizeof *elements);
    cr_tensor *made = NULL;
    if (elements) {
        for (int64_t i = 0; i < n; i++)
            elements[i] = ldexp(v[i], octaves);
        made = cr_cast(cr_from(j->ctx, CR_F64, cr_shape(t), elements), cr_dtype_of(t));
    } else
        cr_fail(j->ctx, CR_ERR_MEMORY, "flow_spectrum: no memory for %zu elements", all);
    free(elements);
    return made;
}

/* The product with 2^octaves v, J v (forward) or J^T v, as it comes; the largest of its elements,
 * -1 with an error. */
static double multiply_once(jacobian *j, bool forward, const double *v, int octaves,
                            double *out)
{
    const int64_t n_in = forward ? j->columns : j->rows,
                  n = forward ? j->rows : j->columns;
    cr_tensor *in = tensor_of(j, forward ? j->x : j->y, v, n_in, octaves), *result = NULL;
    const cr_product_opts opts = { .site = "flow_spectrum", .retain_graph = true };
    double largest = 0;
    if (!in)
        return -1;
    if (forward)
        cr_jvp_at(&j->y, 1, &j->x, 1, &in, &result, opts);
    else
        cr_vjp_at(&j->y, 1, &j->x, 1, &in, &result, opts);
    const void *data = result ? cr_data(result) : NULL;
    if (!data)
        return -1;
    const cr__flow_array array = { data, cr_dtype_of(result), n };
    cr__flow_load(&array, 0, n, out);
    for (int64_t i = 0; i < n; i++)
        largest = isfinite(out[i]) ? fmax(largest, fabs(out[i])) : (double)INFINITY;
    return largest;
}

/* The same in its true size. What overflows or nearly vanishes is computed again, scaled to fit:
 * products are linear. */
static bool multiply(jacobian *j, bool forward, const double *v, double *out)
{
    const cr_dtype dtype = cr_dtype_of(j->y);
    const int room = dtype == CR_F64 ? 500 : dtype == CR_F16 ? 7 : 60;
    const int64_t n = forward ? j->columns : j->rows;
    double largest = 0, size = sqrt(dot(v, v, n));
    const int unit = size > 0 ? -ilogb(size) : 0;
    int octaves = 0;
    for (int attempt = 0; attempt < 6; attempt++) {
        octaves = unit + j->octaves;
        if (cr_scope_push(j->ctx) != CR_OK)
            return false;
        largest = multiply_once(j, forward, v, octaves, out);
        cr_scope_pop(j->ctx);
        if (cr_error(j->ctx))
            return false;
        if (!isfinite(largest))
            j->octaves -= room;
        else if (largest < ldexp(1, -room) && j->octaves < 2 * room && attempt < 3)
            j->octaves += room;
        else
            break;
    }
    if (!isfinite(largest))
        cr_fail(j->ctx, CR_ERR_NONFINITE,
                "flow_spectrum: products with the Jacobian are not finite");
    scale(out, ldexp(1, -octaves), forward ? j->rows : j->columns);
    return !cr_error(j->ctx);
}

/* out = J^T J v, or J J^T v. */
static bool apply(jacobian *j, const double *v, double *out)
{
    const bool tall = j->n == j->columns;
    return multiply(j, tall, v, j->product) && multiply(j, !tall, j->product, out);
}

/* ---- random vectors ---- */

/* Uniform in (0, 1): Steele et al., 2014. The program's draws stay. */
double cr__flow_draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return ((double)((z ^ (z >> 31)) >> 11) + 0.5) * 0x1p-53;
}

/* Takes from v its parts along the n_basis rows of basis, twice, for the first time leaves rounding
 * behind. Returns what is left, |v|. */
static double orthogonalise(double *v, const double *basis, int n_basis, int64_t n)
{
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < n_basis; i++)
            add_scaled(v, -dot(v, basis + i * n, n), basis + i * n, n);
    return sqrt(dot(v, v, n));
}

/* A random unit vector, at right angles to the rows before it. */
static void add_random(double *basis, int place, int64_t n, uint64_t *state)
{
    double *v = basis + place * n, size = 0;
    while (!(size > 1e-8)) {
        for (int64_t i = 0; i < n; i++)
            v[i] = sqrt(-2 * log(cr__flow_draw(state))) *
                   cos(8 * atan(1) * cr__flow_draw(state));
        size = orthogonalise(v, basis, place, n);
    }
    scale(v, 1 / size, n);
}

/* ---- tridiagonal matrices ---- */

static void rotate_rows(double *row, int i, double c, double s)
{
    const double f = row[i + 1];
    row[i + 1] = s * row[i] + c * f;
    row[i] = c * row[i] - s * f;
}

static void chase(double *d, double *e, int l, int m, double *first, double *last)
{
    double g = (d[l + 1] - d[l]) / (2 * e[l]), r = hypot(g, 1);
    double s = 1, c = 1, p = 0;
    g = d[m] - d[l] + e[l] / (g + copysign(r, g));
    for (int i = m - 1; i >= l; i--) {
        const double f = s * e[i], b = c * e[i];
        r = hypot(f, g);
        e[i + 1] = r;
        if (r == 0) {
            d[i + 1] -= p;
            e[m] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        rotate_rows(first, i, c, s);
        rotate_rows(last, i, c, s);
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0;
}

/* Eigenvalues of the symmetric tridiagonal matrix with diagonal d and e beside it (e[i] between i
 * and i + 1; overwritten) into d, in no order, and of each eigenvector the first and the last
 * component. QL with implicit shifts: Golub and Van Loan, section 8.3. */
static void diagonalise(int n, double *d, double *e, double *first, double *last)
{
    for (int i = 0; i < n; i++)
        first[i] = last[i] = 0;
    first[0] = last[n - 1] = 1;
    e[n - 1] = 0;
    for (int l = 0; l < n; l++)
        for (int step = 0; step < 64; step++) {
            int m = l;
            while (m < n - 1 && fabs(e[m]) > DBL_EPSILON * (fabs(d[m]) + fabs(d[m + 1])))
                m++;
            if (m == l)
                break;
            chase(d, e, l, m, first, last);
        }
}

/* ---- Lanczos ---- */

typedef struct lanczos {
    int m;                     /* steps made */
    bool complete;             /* nothing is left outside of the space that was reached */
    double *diagonal, *beside; /* m each: beside[m - 1] leads out of the space */
} lanczos;

/* Rounding of products: what is smaller than this beside the largest is noise. */
static double rounding_of(const cr_tensor *y)
{
    switch (cr_dtype_of(y)) {
    case CR_F64:
        return 0x1p-52;
    case CR_F16:
        return 0x1p-10;
    case CR_BF16:
        return 0x1p-7;
    default:
        return 0x1p-23;
    }
}

static bool run_lanczos(jacobian *j, int steps, uint64_t *state, lanczos *l)
{
    const int64_t n = j->n;
    const size_t rows = (size_t)steps + 2;
    double *basis = cr__arena_alloc(&j->memory, j->ctx, rows * (size_t)n * sizeof *basis);
    l->diagonal = cr__arena_alloc(&j->memory, j->ctx, 2 * rows * sizeof(double));
    if (!basis || !l->diagonal)
        return false;
    l->beside = l->diagonal + rows;
    add_random(basis, 0, n, state);
    double largest = 0;
    for (l->m = 0; l->m < steps && !l->complete;) {
        double *v = basis + l->m * n, *next = v + n;
        if (!apply(j, v, next))
            return false;
        l->diagonal[l->m++] = dot(v, next, n);
        const double left = orthogonalise(next, basis, l->m, n);
        l->beside[l->m - 1] = left;
        largest = fmax(largest, l->diagonal[l->m - 1] + left);
        l->complete = l->m == n || !(left > 4 * rounding_of(j->y) * largest);
        if (left > 0)
            scale(next, 1 / left, n);
    }
    return true;
}

static int compare_pairs(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The distribution, by the nodes and weights of the first steps. */
static void take_values(const lanczos *l, cr_flow_spectrum *out)
{
    enum { MOST = (int)(sizeof out->values / sizeof out->values[0]) };
    const int n = l->m < MOST ? l->m : MOST;
    double d[MOST + 1], e[MOST + 1], first[MOST], last[MOST], pairs[MOST][2];
    memcpy(d, l->diagonal, (size_t)n * sizeof *d);
    memcpy(e, l->beside, (size_t)n * sizeof *e);
    diagonalise(n, d, e, first, last);
    for (int i = 0; i < n; i++) {
        pairs[i][0] = sqrt(fmax(d[i], 0));
        pairs[i][1] = first[i] * first[i];
    }
    qsort(pairs, (size_t)n, sizeof *pairs, compare_pairs);
    out->n_values = n;
    for (int i = 0; i < n; i++) {
        out->values[i] = pairs[i][0];
        out->weights[i] = pairs[i][1];
    }
}

/* The smallest counts as reached where its error, what leads out of the space times the last
 * component, is below a hundredth of it, and where it is above the noise of the products. */
static bool take_extremes(jacobian *j, const lanczos *l, cr_flow_spectrum *out)
{
    const size_t n = (size_t)l->m + 1;
    double *d = cr__arena_alloc(&j->memory, j->ctx, 4 * n * sizeof *d);
    if (!d)
        return false;
    double *e = d + n, *first = e + n, *last = first + n;
    memcpy(d, l->diagonal, (size_t)l->m * sizeof *d);
    memcpy(e, l->beside, (size_t)l->m * sizeof *e);
    diagonalise(l->m, d, e, first, last);
    int most = 0, least = 0;
    for (int i = 0; i < l->m; i++) {
        most = d[i] > d[most] ? i : most;
        least = d[i] < d[least] ? i : least;
    }
    const double leads_out = l->complete ? 0 : l->beside[l->m - 1];
    const double noise = 16 * rounding_of(j->y) * d[most];
    const bool reached =
        fabs(leads_out * last[least]) < d[least] / 100 && d[least] > noise;
    out->largest = sqrt(fmax(d[most], 0));
    out->smallest = reached ? sqrt(d[least]) : (double)NAN;
    if (d[most] <= 0)
        out->smallest = 0; /* J is zero */
    return true;
}

/* ---- moments ---- */

/* tr A and tr A^2, of probes q at right angles: n / probes sums of |J q|^2 and |A q|^2. Exact if
 * there are as many as A has rows. */
static bool take_moments(jacobian *j, int probes, uint64_t *state, cr_flow_spectrum *out)
{
    const int64_t n = j->n, inner = j->n == j->columns ? j->rows : j->columns;
    const int count = probes < n ? probes : (int)n;
    double *basis = cr__arena_alloc(&j->memory, j->ctx,
                                    ((size_t)count + 1) * (size_t)n * sizeof *basis);
    if (!basis)
        return false;
    double *product = basis + count * n, first = 0, second = 0;
    for (int i = 0; i < count; i++) {
        add_random(basis, i, n, state);
        if (!apply(j, basis + i * n, product))
            return false;
        first += dot(j->product, j->product, inner);
        second += dot(product, product, n);
    }
    out->mean = first / count;
    out->variance = fmax(second / count - out->mean * out->mean, 0);
    return true;
}

/* ---- all of it ---- */

static cr_status check_spectrum(cr_tensor *y, cr_tensor *x,
                                const cr_flow_spectrum_opts *opts)
{
    cr_ctx *ctx = y ? cr_ctx_of(y) : cr_ctx_of(x);
    const char *site = opts->site ? opts->site : "?";
    if (!y || !x)
        return ctx ? cr_fail(ctx, CR_ERR_NULL, "flow_spectrum: %s is NULL (%s)",
                             y ? "x" : "y", site)
                   : CR_ERR_NULL;
    if (cr_error(ctx))
        return cr_error(ctx);
    if (opts->iterations < 0 || opts->probes < 0)
        return cr_fail(ctx, CR_ERR_ARGUMENT, "flow_spectrum: %s is negative (%s)",
                       opts->probes < 0 ? "probes" : "iterations", site);
    if (!cr_needs_grad(x) || !cr_needs_grad(y))
        return cr_fail(
            ctx, CR_ERR_GRAD,
            "flow_spectrum: %s needs no gradient (%s); cr_requires_grad(x) before y "
            "is made?",
            cr_needs_grad(x) ? "y" : "x", site);
    if (!cr_numel(x) || !cr_numel(y))
        return cr_fail(ctx, CR_ERR_SHAPE, "flow_spectrum: %s has no elements (%s)",
                       cr_numel(x) ? "y" : "x", site);
    return CR_OK;
}

static bool take_spectrum(jacobian *j, const cr_flow_spectrum_opts *opts,
                          cr_flow_spectrum *out)
{
    const int iterations = opts->iterations ? opts->iterations : 32;
    const int64_t inner = j->rows > j->columns ? j->rows : j->columns;
    lanczos l = { 0 };
    uint64_t state = 0;
    j->product = cr__arena_alloc(&j->memory, j->ctx, (size_t)inner * sizeof *j->product);
    if (!j->product ||
        !run_lanczos(j, iterations < j->n ? iterations : (int)j->n, &state, &l) ||
        !take_extremes(j, &l, out))
        return false;
    take_values(&l, out);
    return take_moments(j, opts->probes ? opts->probes : 8, &state, out);
}

cr_status cr_flow_spectrum_at(cr_tensor *y, cr_tensor *x, cr_flow_spectrum *out,
                              cr_flow_spectrum_opts opts)
{
    const cr_status status = check_spectrum(y, x, &opts);
    if (status != CR_OK || !out)
        return status;
    cr_ctx *ctx = cr_ctx_of(y);
    const bool batch = cr_ndim(y) > 1 && cr_ndim(x) > 1 && cr_size(y, 0) == cr_size(x, 0);
    const int64_t samples = batch ? cr_size(y, 0) : 1;
    const cr_rng rng = cr_rng_get(ctx);
    cr_flow_spectrum found = { .rows = cr_numel(y) / samples,
                               .columns = cr_numel(x) / samples };
    jacobian j = {
        .ctx = ctx, .y = y, .x = x, .rows = found.rows, .columns = found.columns
    };
    j.n = j.rows < j.columns ? j.rows : j.columns;
    if (take_spectrum(&j, &opts, &found))
        *out = found;
    cr__arena_free(&j.memory);
    cr_rng_set(ctx, rng);
    return cr_error(ctx);
}
