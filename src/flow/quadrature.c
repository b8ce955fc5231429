/* Expectations over a normal variable. Where the integrand is smooth on the scale of the variable's
 * spread two Gauss-Hermite rules agree, and the larger is taken. Elsewhere the line is split at the
 * kinks that are known, and halved by Gauss-Legendre rules until halves and whole agree. */
#include "quadrature.h"

#define PI 3.14159265358979323846

/* Of halving: then a piece is as narrow as a rounding. */
enum { LARGEST_DEPTH = 48 };

/* Normalised Hermite polynomials for the weight e^(-z^2/2)/sqrt(2 pi):
 * sqrt(k + 1) h_{k+1} = z h_k - sqrt(k) h_{k-1}. The last two of n + 1, and the sum of squares of
 * the first n, whose inverse is the weight of a node (Christoffel). */
typedef struct hermite_values {
    double last, before, squares;
} hermite_values;

static hermite_values hermite_at(int n, double z)
{
    hermite_values h = { 1, 0, 0 };
    for (int k = 0; k < n; k++) {
        h.squares += h.last * h.last;
        const double next = (z * h.last - sqrt(k) * h.before) / sqrt(k + 1);
        h.before = h.last;
        h.last = next;
    }
    return h;
}

/* The k-th positive zero of h_n, from the largest down, begins at Tricomi's estimate, sqrt(2 nu)
 * cos(t/2) with t - sin t = (4k + 3) pi / (2 nu), nu = 2n + 1 (the action of the oscillator is
 * quantised); Newton's method with h_n' = sqrt(n) h_{n-1} ends there. Townsend, Trogdon and Olver,
 * "Fast computation of Gauss quadrature nodes and weights on the whole real line", 2016. */
static double hermite_zero(int n, int k)
{
    const double nu = 2 * n + 1, area = (4 * k + 3) * PI / nu;
    double t = PI / 2;
    for (int i = 0; i < 30; i++) {
        t -= (t - sin(t) - area) / (1 - cos(t));
        t = t > PI ? PI : t < 0.1 ? 0.1 : t;
    }
    double z = sqrt(2 * nu) * cos(t / 2);
    for (int i = 0; i < 12; i++) {
        const hermite_values h = hermite_at(n, z);
        z -= h.last / (sqrt(n) * h.before);
    }
    return z;
}

/* Nodes beside each other are of one sign: n is even. */
static void make_hermite(int n, double *node, double *weight)
{
    for (int k = 0; k < n / 2; k++) {
        const double z = hermite_zero(n, k);
        node[k] = z;
        node[n - 1 - k] = -z;
        weight[k] = weight[n - 1 - k] = 1 / hermite_at(n, z).squares;
    }
}

static void make_legendre(int n, double *node, double *weight)
{
    for (int k = 0; k < n; k++) {
        double x = cos(PI * (k + 0.75) / (n + 0.5)), slope = 1;
        for (int i = 0; i < 8; i++) {
            double last = x, before = 1;
            for (int j = 2; j <= n; j++) {
                const double next = ((2 * j - 1) * x * last - (j - 1) * before) / j;
                before = last;
                last = next;
            }
            slope = n * (x * last - before) / (x * x - 1);
            x -= last / slope;
        }
        node[k] = x;
        weight[k] = 2 / ((1 - x * x) * slope * slope);
    }
}

void cr__flow_rules_make(cr__flow_rules *rules)
{
    make_hermite(CR__FLOW_FEW, rules->few_nodes, rules->few_weights);
    make_hermite(CR__FLOW_MANY, rules->many_nodes, rules->many_weights);
    make_legendre(CR__FLOW_PIECE, rules->piece_nodes, rules->piece_weights);
}

typedef struct integral {
    const cr__flow_rules *rules;
    const cr__flow_normal *over;
    cr__flow_integrand *f;
    const void *user;
    double tolerance; /* of a piece, absolute */
    int left;         /* values that may still be asked for */
} integral;

static double hermite_sum(const integral *in, int n, const double *node,
                          const double *weight)
{
    double sum = 0;
    for (int k = 0; k < n; k++)
        sum += weight[k] * in->f(in->over->mean + in->over->std * node[k], in->user);
    return sum;
}

static double piece_sum(integral *in, double from, double to)
{
    const cr__flow_rules *rules = in->rules;
    const double middle = (from + to) / 2, half = (to - from) / 2;
    double sum = 0;
    for (int k = 0; k < CR__FLOW_PIECE; k++) {
        const double z = middle + half * rules->piece_nodes[k];
        const double density = exp(-z * z / 2);
        if (density > 0) /* what has no weight may be infinite */
            sum += rules->piece_weights[k] * density *
                   in->f(in->over->mean + in->over->std * z, in->user);
    }
    in->left -= CR__FLOW_PIECE;
    return sum * half / sqrt(2 * PI);
}

static double halved(integral *in, double from, double to, double whole, int depth)
{
    const double middle = (from + to) / 2;
    const double left = piece_sum(in, from, middle), right = piece_sum(in, middle, to);
    const double error = fabs(left + right - whole);
    if (!isfinite(error) || error <= in->tolerance || depth == LARGEST_DEPTH ||
        in->left < 0)
        return left + right;
    return halved(in, from, middle, left, depth + 1) +
           halved(in, middle, to, right, depth + 1);
}

/* In ascending order; what lies outside is left out. */
static int add_point(double *points, int n, double z, double reach)
{
    if (!(fabs(z) < reach))
        return n;
    int at = n;
    for (; at > 0 && points[at - 1] > z; at--)
        points[at] = points[at - 1];
    points[at] = z;
    return n + 1;
}

/* Kinks, and marks on the scale of the density and on that of the function, which for activations
 * is 1: a step that is narrow in z is found by them. */
static int split_points(const cr__flow_normal *over, double *points)
{
    static const double of_density[] = { -9, -3, 3, 9 },
                        of_function[] = { -32, -4, 0, 4, 32 };
    int n = 0;
    points[n++] = -over->reach;
    for (int i = 0; i < CR__FLOW_COUNT(of_density); i++)
        n = add_point(points, n, of_density[i], over->reach);
    for (int i = 0; i < CR__FLOW_COUNT(of_function); i++)
        n = add_point(points, n, (of_function[i] - over->mean) / over->std, over->reach);
    for (int i = 0; i < over->n_kinks; i++)
        n = add_point(points, n, (over->kinks[i] - over->mean) / over->std, over->reach);
    points[n++] = over->reach;
    return n;
}

static double by_pieces(integral *in, double relative)
{
    double points[CR__FLOW_MOST_KINKS + 16], sums[CR__FLOW_MOST_KINKS + 16];
    const int n = split_points(in->over, points);
    double size = 0, total = 0;
    for (int i = 0; i + 1 < n; i++) {
        sums[i] = piece_sum(in, points[i], points[i + 1]);
        size += fabs(sums[i]);
    }
    in->tolerance = relative * size;
    for (int i = 0; i + 1 < n; i++)
        total += halved(in, points[i], points[i + 1], sums[i], 0);
    return total;
}

double cr__flow_expect(const cr__flow_rules *rules, const cr__flow_normal *over,
                       cr__flow_integrand *f, const void *user)
{
    if (over->std == 0)
        return f(over->mean, user);
    integral in = { rules, over, f, user, 0, over->work };
    if (over->n_kinks == 0 && over->std < 2) {
        const double few =
            hermite_sum(&in, CR__FLOW_FEW, rules->few_nodes, rules->few_weights);
        const double many =
            hermite_sum(&in, CR__FLOW_MANY, rules->many_nodes, rules->many_weights);
        if (fabs(many - few) <= over->tolerance * fabs(many))
            return many;
    }
    return by_pieces(&in, over->tolerance);
}
