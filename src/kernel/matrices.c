#include "../base/compiler.h"
#include "matrices.h"

#include <math.h>
#include <string.h>

static void swap_rows(double *a, int64_t n, int64_t i, int64_t j)
{
    for (int64_t c = 0; c < n && i != j; c++) {
        const double x = a[i * n + c];
        a[i * n + c] = a[j * n + c];
        a[j * n + c] = x;
    }
}

/* y[0..n) -= factor x[0..n) */
static void subtract_row(double *y, double factor, const double *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        y[i] -= factor * x[i];
}

/* ---- solving ---- */

int cr__lu(double *a, int64_t n, int64_t *order)
{
    int sign = 1;
    bool singular = false;
    for (int64_t i = 0; i < n; i++)
        order[i] = i;
    for (int64_t k = 0; k < n; k++) {
        int64_t best = k;
        for (int64_t i = k + 1; i < n; i++)
            if (fabs(a[i * n + k]) > fabs(a[best * n + k]))
                best = i;
        swap_rows(a, n, k, best);
        const int64_t row = order[k];
        order[k] = order[best], order[best] = row;
        sign = best == k ? sign : -sign;
        if (a[k * n + k] == 0) {
            singular = true;
            continue;
        }
        for (int64_t i = k + 1; i < n; i++) {
            const double factor = a[i * n + k] /= a[k * n + k];
            subtract_row(a + i * n + k + 1, factor, a + k * n + k + 1, n - k - 1);
        }
    }
    return singular ? 0 : sign;
}

void cr__solve_triangle(const double *t, int64_t n, cr__triangle how, double *x,
                        int64_t m)
{
    const bool up = how.upper != how.transposed; /* the last row first */
    const int64_t row = how.transposed ? 1 : n, column = how.transposed ? n : 1;
    for (int64_t step = 0; step < n; step++) {
        const int64_t i = up ? n - 1 - step : step;
        for (int64_t k = 0; k < step; k++) {
            const int64_t j = up ? n - 1 - k : k;
            subtract_row(x + i * m, t[i * row + j * column], x + j * m, m);
        }
        for (int64_t c = 0; c < m && !how.unit; c++)
            x[i * m + c] /= t[i * n + i];
    }
}

int64_t cr__solve(double *a, int64_t n, int64_t *order, const double *b, double *x,
                  int64_t m)
{
    const int sign = cr__lu(a, n, order);
    for (int64_t i = 0; i < n * m; i++)
        x[i] = b ? b[order[i / m] * m + i % m] : order[i / m] == i % m;
    cr__solve_triangle(a, n, (cr__triangle){ .unit = true }, x, m);
    cr__solve_triangle(a, n, (cr__triangle){ .upper = true }, x, m);
    int64_t pivot = 0;
    while (sign == 0 && a[pivot * n + pivot] != 0)
        pivot++;
    return sign == 0 ? pivot : -1;
}

int64_t cr__cholesky(double *a, int64_t n)
{
    for (int64_t j = 0; j < n; j++) {
        double pivot = a[j * n + j];
        for (int64_t k = 0; k < j; k++)
            pivot -= a[j * n + k] * a[j * n + k];
        if (!(pivot > 0))
            return j;
        a[j * n + j] = pivot = sqrt(pivot);
        for (int64_t i = j + 1; i < n; i++) {
            double sum = a[i * n + j];
            for (int64_t k = 0; k < j; k++)
                sum -= a[i * n + k] * a[j * n + k];
            a[i * n + j] = sum / pivot;
            a[j * n + i] = 0;
        }
    }
    return -1;
}

void cr__small_product(double *c, const double *a, bool a_t, const double *b, bool b_t,
                       int64_t m, int64_t n, int64_t k)
{
    const int64_t a_row = a_t ? 1 : k, a_col = a_t ? m : 1;
    memset(c, 0, (size_t)(m * n) * sizeof *c);
    for (int64_t i = 0; i < m; i++)
        for (int64_t l = 0; l < k; l++) {
            const double x = a[i * a_row + l * a_col];
            for (int64_t j = 0; j < n; j++)
                c[i * n + j] += x * b[b_t ? j * k + l : l * n + j];
        }
}

/* ---- orthogonal matrices ---- */

/* The length of n numbers, `step` apart, without overflow. */
static double length_of(const double *x, int64_t n, int64_t step)
{
    double most = 0, sum = 0;
    for (int64_t i = 0; i < n; i++)
        most = most < fabs(x[i * step]) || x[i * step] != x[i * step] ? fabs(x[i * step])
                                                                      : most;
    if (most == 0 || !isfinite(most))
        return most;
    for (int64_t i = 0; i < n; i++) {
        const double q = x[i * step] / most;
        sum += q * q;
    }
    return most * sqrt(sum);
}

/* columns of a[m,n] from c on -= tau v (v^T a), v[0] being 1, over rows r.. */
static void reflect_columns(double *a, int64_t m, int64_t n, int64_t r, int64_t c,
                            const double *v, double tau, double *row)
{
    for (int64_t j = c; j < n; j++)
        row[j] = 0;
    for (int64_t i = r; i < m; i++)
        for (int64_t j = c; j < n; j++)
            row[j] += v[i - r] * a[i * n + j];
    for (int64_t i = r; i < m; i++)
        for (int64_t j = c; j < n; j++)
            a[i * n + j] -= tau * v[i - r] * row[j];
}

/* The reflection that makes column k of a zero below its diagonal, which becomes beta: v with v[0] = 1
 * behind it. Returns tau, 0 if there is nothing to do. */
static double reflection(double *a, int64_t m, int64_t n, int64_t k, double *beta)
{
    const double alpha = a[k * n + k];
    const double below = length_of(a + (k + 1) * n + k, m - k - 1, n);
    *beta = alpha;
    if (below == 0)
        return 0;
    const double both[] = { alpha, below };
    *beta = alpha > 0 ? -length_of(both, 2, 1) : length_of(both, 2, 1);
    for (int64_t i = k + 1; i < m; i++)
        a[i * n + k] /= alpha - *beta;
    return (*beta - alpha) / *beta;
}

void cr__qr(double *a, int64_t m, int64_t n, double *q, double *work)
{
    const int64_t rank = m < n ? m : n;
    double *v = work, *row = work + m;
    for (int64_t k = 0; k < rank; k++) {
        double beta;
        const double tau = k + 1 < m ? reflection(a, m, n, k, &beta) : 0;
        if (tau == 0) {
            q[k] = 0; /* the taus, for a while */
            continue;
        }
        v[0] = 1;
        for (int64_t i = k + 1; i < m; i++)
            v[i - k] = a[i * n + k];
        reflect_columns(a, m, n, k, k + 1, v, tau, row);
        a[k * n + k] = beta;
        q[k] = tau;
    }
    /* Q is the reflections, the last one first, of the unit matrix's columns. */
    double *taus = row;
    memcpy(taus, q, (size_t)rank * sizeof *taus);
    for (int64_t i = 0; i < m * rank; i++)
        q[i] = i / rank == i % rank;
    for (int64_t k = rank - 1; k >= 0; k--) {
        v[0] = 1;
        for (int64_t i = k + 1; i < m; i++)
            v[i - k] = a[i * n + k];
        for (int64_t j = k; j < rank && taus[k] != 0; j++) {
            double sum = 0;
            for (int64_t i = k; i < m; i++)
                sum += v[i - k] * q[i * rank + j];
            for (int64_t i = k; i < m; i++)
                q[i * rank + j] -= taus[k] * v[i - k] * sum;
        }
    }
    for (int64_t i = 1; i < m; i++)
        memset(a + i * n, 0, (size_t)(i < n ? i : n) * sizeof *a);
}

/* ---- rotations ---- */

#define SWEEPS 60 /* about ten are needed */

typedef struct rotation {
    double c, s;
} rotation;

/* The rotation that makes the symmetric [[p, r], [r, q]] diagonal (GvL 8.5.2). */
static rotation jacobi_rotation(double p, double q, double r)
{
    const double theta = (q - p) / (2 * r);
    const double root = fabs(theta) > 1e150 ? fabs(theta) : sqrt(1 + theta * theta);
    const double t = (theta < 0 ? -1 : 1) / (fabs(theta) + root);
    const double c = 1 / sqrt(1 + t * t);
    return (rotation){ c, t * c };
}

/* x and y, n numbers `step` apart, become c x - s y and s x + c y. */
static void rotate_lines(double *x, double *y, int64_t n, int64_t step, rotation r)
{
    if (step == 1) {
        for (int64_t i = 0; i < n; i++) {
            const double p = x[i], q = y[i];
            x[i] = r.c * p - r.s * q;
            y[i] = r.s * p + r.c * q;
        }
        return;
    }
    for (int64_t i = 0; i < n * step; i += step) {
        const double p = x[i], q = y[i];
        x[i] = r.c * p - r.s * q;
        y[i] = r.s * p + r.c * q;
    }
}

static void unit_matrix(double *v, int64_t n)
{
    for (int64_t i = 0; i < n * n; i++)
        v[i] = i / n == i % n;
}

void cr__eigh(double *a, int64_t n, double *w, double *v)
{
    bool turned = true;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++)
            a[i * n + j] = a[j * n + i];
    unit_matrix(v, n);
    for (int sweep = 0; sweep < SWEEPS && turned; sweep++) {
        turned = false;
        for (int64_t p = 0; p < n; p++)
            for (int64_t q = p + 1; q < n; q++) {
                const double r = a[p * n + q];
                const double size = fabs(a[p * n + p]) + fabs(a[q * n + q]);
                if (r == 0 || size + fabs(r) * 0x1p-3 == size) {
                    a[p * n + q] = a[q * n + p] = 0;
                    continue;
                }
                const rotation turn = jacobi_rotation(a[p * n + p], a[q * n + q], r);
                rotate_lines(a + p, a + q, n, n, turn);
                rotate_lines(a + p * n, a + q * n, n, 1, turn);
                rotate_lines(v + p * n, v + q * n, n, 1, turn);
                turned = true;
            }
    }
    for (int64_t i = 0; i < n; i++)
        w[i] = a[i * n + i];
    for (int64_t i = 0; i < n; i++) {
        int64_t least = i;
        for (int64_t j = i + 1; j < n; j++)
            if (w[j] < w[least])
                least = j;
        if (least == i)
            continue;
        const double x = w[i];
        w[i] = w[least], w[least] = x;
        swap_rows(v, n, i, least);
    }
}

static double row_dot(const double *x, const double *y, int64_t n)
{
    double sums[4] = { 0 };
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int l = 0; l < 4; l++)
            sums[l] += x[i + l] * y[i + l];
    for (; i < n; i++)
        sums[i & 3] += x[i] * y[i];
    return (sums[0] + sums[2]) + (sums[1] + sums[3]);
}

/* Row r of u[n,m], a unit vector at right angles to those before it: of the unit vectors the one that
 * they leave most of, made orthogonal twice. */
static void complete_row(double *u, int64_t m, int64_t r)
{
    double *row = u + r * m, least = INFINITY;
    int64_t best = 0;
    for (int64_t i = 0; i < m; i++) {
        double covered = 0;
        for (int64_t j = 0; j < r; j++)
            covered += u[j * m + i] * u[j * m + i];
        if (covered < least)
            least = covered, best = i;
    }
    for (int64_t i = 0; i < m; i++)
        row[i] = i == best;
    for (int pass = 0; pass < 2; pass++) {
        for (int64_t j = 0; j < r; j++)
            subtract_row(row, row_dot(u + j * m, row, m), u + j * m, m);
        const double length = length_of(row, m, 1);
        for (int64_t i = 0; i < m; i++)
            row[i] /= length;
    }
}

/* A power of two that brings the largest element to about 1, for squares not to overflow or vanish. */
static int size_exponent(const double *a, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++)
        most = fabs(a[i]) > most ? fabs(a[i]) : most;
    return most > 0 && isfinite(most) ? ilogb(most) : 0;
}

/* Rotates each pair of rows to right angles; whether there were any to turn. */
static bool sweep_rows(double *a, int64_t m, int64_t n, double *v)
{
    bool turned = false;
    for (int64_t p = 0; p < n; p++)
        for (int64_t q = p + 1; q < n; q++) {
            double *x = a + p * m, *y = a + q * m;
            const double xx = row_dot(x, x, m), yy = row_dot(y, y, m),
                         xy = row_dot(x, y, m);
            if (!(fabs(xy) > 0x1p-52 * sqrt(xx) * sqrt(yy)))
                continue;
            const rotation turn = jacobi_rotation(xx, yy, xy);
            rotate_lines(x, y, m, 1, turn);
            rotate_lines(v + p * n, v + q * n, n, 1, turn);
            turned = true;
        }
    return turned;
}

void cr__svd(double *a, int64_t m, int64_t n, double *s, double *v)
{
    const int exponent = size_exponent(a, m * n);
    for (int64_t i = 0; i < m * n; i++)
        a[i] = ldexp(a[i], -exponent);
    unit_matrix(v, n);
    for (int sweep = 0; sweep < SWEEPS && sweep_rows(a, m, n, v); sweep++)
        ;
    for (int64_t i = 0; i < n; i++)
        s[i] = length_of(a + i * m, m, 1);
    for (int64_t i = 0; i < n; i++) {
        int64_t most = i;
        for (int64_t j = i + 1; j < n; j++)
            if (s[j] > s[most])
                most = j;
        const double x = s[i];
        s[i] = s[most], s[most] = x;
        swap_rows(a, m, i, most);
        swap_rows(v, n, i, most);
    }
    for (int64_t r = 0; r < n; r++) {
        if (s[r] == 0)
            complete_row(a, m, r);
        for (int64_t i = 0; i < m && s[r] != 0; i++)
            a[r * m + i] /= s[r];
        s[r] = ldexp(s[r], exponent);
    }
}

/* ---- the exponential ---- */

/* x = a1 a + b1 b + c1 c + unit, of n n elements. */
static void combine_squares(double *x, const double *a, double a1, const double *b,
                            double b1, const double *c, double c1, double unit, int64_t n)
{
    for (int64_t i = 0; i < n * n; i++)
        x[i] = a1 * a[i] + b1 * b[i] + c1 * c[i] + (i / n == i % n ? unit : 0);
}

void cr__matrix_exp(double *a, int64_t n, double *out, double *work, int64_t *order)
{
    /* Pade's numerator of degree 13 (Higham, 2005, table 2.3); the norm up to which it is exact to f64 */
    static const double b[] = { 64764752532480000,
                                32382376266240000,
                                7771770303897600,
                                1187353796428800,
                                129060195264000,
                                10559470521600,
                                670442572800,
                                33522128640,
                                1323241920,
                                40840800,
                                960960,
                                16380,
                                182,
                                1 };
    const double most = 5.371920351148152;
    double norm = 0;
    int squarings = 0;
    for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            sum += fabs(a[i * n + j]);
        norm = sum > norm || sum != sum ? sum : norm;
    }
    if (!isfinite(norm)) {
        for (int64_t i = 0; i < n * n; i++)
            out[i] = NAN;
        return;
    }
    while (ldexp(norm, -squarings) > most)
        squarings++;
    for (int64_t i = 0; i < n * n; i++)
        a[i] = ldexp(a[i], -squarings);
    double *a2 = work, *a4 = a2 + n * n, *a6 = a4 + n * n, *u = a6 + n * n,
           *v = u + n * n;
    cr__small_product(a2, a, false, a, false, n, n, n);
    cr__small_product(a4, a2, false, a2, false, n, n, n);
    cr__small_product(a6, a4, false, a2, false, n, n, n);
    /* u = a (a6 (b13 a6 + b11 a4 + b9 a2) + b7 a6 + b5 a4 + b3 a2 + b1) */
    combine_squares(out, a6, b[13], a4, b[11], a2, b[9], 0, n);
    cr__small_product(v, a6, false, out, false, n, n, n);
    combine_squares(out, a6, b[7], a4, b[5], a2, b[3], b[1], n);
    for (int64_t i = 0; i < n * n; i++)
        out[i] += v[i];
    cr__small_product(u, a, false, out, false, n, n, n);
    /* v = a6 (b12 a6 + b10 a4 + b8 a2) + b6 a6 + b4 a4 + b2 a2 + b0 */
    combine_squares(out, a6, b[12], a4, b[10], a2, b[8], 0, n);
    cr__small_product(v, a6, false, out, false, n, n, n);
    combine_squares(out, a6, b[6], a4, b[4], a2, b[2], b[0], n);
    for (int64_t i = 0; i < n * n; i++) {
        v[i] += out[i];
        a[i] = v[i] - u[i];
        v[i] += u[i];
    }
    (void)cr__solve(a, n, order, v, out, n);
    for (int i = 0; i < squarings; i++) {
        memcpy(a2, out, (size_t)(n * n) * sizeof *a2);
        cr__small_product(out, a2, false, a2, false, n, n, n);
    }
}
