/* Signal propagation in wide networks: what goes forward is normal, with a variance that a map
 * carries from layer to layer; what goes backward is multiplied by a factor that depends on that
 * variance alone. The header says of which layers, and what is said of them.
 *
 * Of all kinds of layers the branch is phi(u), u normal of deviation s:
 *
 *     s = sqrt(q) without norm, 1 with one        q, v: mean square, and variance over the batch,
 *     n = 1 without norm, v for batch norm,       of what the norm gets: h', or W h' + b in front
 *         q for layer and rms norm                of a post-activation
 *     chi = sigma_w2 E phi'(u)^2 / (1 - p) / n
 *
 * since a norm divides the cotangent by the deviation that it took away (what else it subtracts is
 * of order 1/width, or 1/batch), and a mask of dropout, scaled by 1/(1 - p), has the mean square
 * 1/(1 - p). A residual adds h': squares add up, as W has mean 0, and so do those of the
 * cotangents: 1 + scale^2 chi. */
#include "quadrature.h"

/* A fixed point is looked for between these times the first variance. */
static const double least_q = 1e-30, largest_q = 1e30;
/* What rounding may do to a quotient that is 1. */
static const double rounding = 1e-11;
/* Stands for 0 where a map is wanted in the limit of a small variance. */
static const double small_q = 1e-60;

/* So many layers are gone through; those behind do as the last of them. */
enum { LARGEST_PROFILE = 10000 };

typedef struct theory {
    cr_flow_stack stack;
    double scale2; /* square of the branch's scale */
    double masked; /* mean square of dropout's mask */
    cr__flow_rules rules;
} theory;

/* What a layer hands over: mean square, variance over the batch, mean. */
typedef struct stream {
    double q, variance, mean;
} stream;

/* ---- expectations ---- */

static double of_value(double x, const void *user)
{
    const cr_flow_activation *phi = user;
    return phi->value(x, phi->user);
}

static double of_value2(double x, const void *user)
{
    const double y = of_value(x, user);
    return y * y;
}

static double of_value4(double x, const void *user)
{
    const double y2 = of_value2(x, user);
    return y2 * y2;
}

static double of_slope(double x, const void *user)
{
    const cr_flow_activation *phi = user;
    return phi->slope(x, phi->user);
}

static double of_slope2(double x, const void *user)
{
    const double d = of_slope(x, user);
    return d * d;
}

static double of_slope4(double x, const void *user)
{
    const double d2 = of_slope2(x, user);
    return d2 * d2;
}

static double of_both2(double x, const void *user)
{
    return of_value2(x, user) * of_slope2(x, user);
}

static cr__flow_normal normal_of(const theory *t, double std)
{
    const cr_flow_activation *phi = t->stack.activation;
    return (cr__flow_normal){
        .std = std,
        .reach = 39, /* beyond it the density is below the least double */
        .tolerance = 1e-14,
        .work = 20000,
        .kinks = phi->kinks,
        .n_kinks = phi->n_kinks,
    };
}

/* E f(s z) */
static double expect(const theory *t, cr__flow_integrand *f, double s)
{
    const cr__flow_normal over = normal_of(t, s);
    return cr__flow_expect(&t->rules, &over, f, t->stack.activation);
}

typedef struct tilted {
    cr__flow_integrand *f;
    const void *user;
    double q;
} tilted;

static double tilted_at(double x, const void *user)
{
    const tilted *t = user;
    return (x * x / t->q - 1) * t->f(x, t->user);
}

/* d/dq E f(sqrt(q) z) = E (z^2 - 1) f(sqrt(q) z) / (2 q): f itself need not have a derivative. */
static double expect_change(const theory *t, cr__flow_integrand *f, double q)
{
    const tilted by = { f, t->stack.activation, q };
    const cr__flow_normal over = normal_of(t, sqrt(q));
    return cr__flow_expect(&t->rules, &over, tilted_at, &by) / (2 * q);
}

/* Of two normal variables of deviation s and correlation c: both are a common part of variance
 * |c| s^2 and a part of their own, over which f is averaged first, so that
 * E f(u) f(v) = E g(x) g(+-x), g(x) = E f(x + sqrt(1 - |c|) s z). */
typedef struct pair {
    const theory *t;
    cr__flow_integrand *f;
    double own, sign;
} pair;

static cr__flow_normal nested(const theory *t, double std, double tolerance)
{
    cr__flow_normal over = normal_of(t, std);
    over.reach = 9; /* beyond it is 1e-19 of the density */
    over.tolerance = tolerance;
    over.work = 4000;
    return over;
}

static double averaged(const pair *p, double x)
{
    cr__flow_normal over = nested(p->t, p->own, 1e-12);
    over.mean = x;
    return cr__flow_expect(&p->t->rules, &over, p->f, p->t->stack.activation);
}

static double averaged_pair(double x, const void *user)
{
    const pair *p = user;
    const double g = averaged(p, x);
    return g * (p->sign > 0 ? g : averaged(p, -x));
}

static double expect_pair(const theory *t, cr__flow_integrand *f, double s, double c)
{
    const double common = fabs(c) < 1 ? fabs(c) : 1;
    const pair p = { t, f, s * sqrt(1 - common), c < 0 ? -1 : 1 };
    const cr__flow_normal over = nested(t, s * sqrt(common), 1e-10);
    return cr__flow_expect(&t->rules, &over, averaged_pair, &p);
}

/* ---- one layer ---- */

static bool is_ratio(double x)
{
    return x >= 0 && isfinite(x);
}

static bool theory_of(const cr_flow_stack *stack, theory *t)
{
    if (!stack || !stack->activation)
        return false;
    const cr_flow_activation *phi = stack->activation;
    const bool sound = phi->value && phi->slope && phi->n_kinks >= 0 &&
                       phi->n_kinks <= CR__FLOW_MOST_KINKS &&
                       (phi->kinks || !phi->n_kinks);
    const bool numbers = is_ratio(stack->sigma_w2) && is_ratio(stack->sigma_b2) &&
                         is_ratio(stack->q0) && isfinite(stack->branch_scale) &&
                         stack->dropout >= 0 && stack->dropout < 1 && stack->width >= 0 &&
                         stack->depth >= 0;
    const bool kinds =
        stack->norm >= CR_FLOW_NO_NORM && stack->norm <= CR_FLOW_RMS_NORM &&
        stack->residual >= CR_FLOW_PLAIN && stack->residual <= CR_FLOW_POST_ACTIVATION;
    if (!sound || !numbers || !kinds)
        return false;
    t->stack = *stack;
    if (stack->branch_scale == 0 || stack->residual == CR_FLOW_PLAIN)
        t->stack.branch_scale = 1;
    if (stack->q0 == 0)
        t->stack.q0 = 1;
    t->scale2 = t->stack.branch_scale * t->stack.branch_scale;
    t->masked = 1 / (1 - stack->dropout);
    cr__flow_rules_make(&t->rules);
    return true;
}

/* What the activation of the layer behind `from` gets. */
typedef struct branch {
    double s;    /* deviation of u */
    double norm; /* what the norm divides squares by */
    double q;    /* mean square in front of the norm */
} branch;

static branch branch_of(const theory *t, stream from)
{
    const cr_flow_stack *stack = &t->stack;
    double q = from.q, variance = from.variance;
    if (stack->residual == CR_FLOW_POST_ACTIVATION) {
        q = stack->sigma_w2 * q + stack->sigma_b2;
        variance = stack->sigma_w2 * variance;
    }
    switch (stack->norm) {
    case CR_FLOW_BATCH_NORM:
        return (branch){ 1, variance, q };
    case CR_FLOW_LAYER_NORM:
    case CR_FLOW_RMS_NORM:
        return (branch){ 1, q, q };
    case CR_FLOW_NO_NORM:
        break;
    }
    return (branch){ sqrt(q), 1, q };
}

static bool wants_mean(const theory *t)
{
    return t->stack.norm == CR_FLOW_BATCH_NORM ||
           t->stack.residual == CR_FLOW_POST_ACTIVATION;
}

static stream next_of(const theory *t, stream from)
{
    const cr_flow_stack *stack = &t->stack;
    const double s = branch_of(t, from).s, w2 = stack->sigma_w2;
    const double square = t->masked * expect(t, of_value2, s);
    const double mean = wants_mean(t) ? expect(t, of_value, s) : 0;
    if (stack->residual == CR_FLOW_POST_ACTIVATION) {
        const double step = stack->branch_scale * mean;
        return (stream){ from.q + 2 * from.mean * step + t->scale2 * square,
                         from.variance + t->scale2 * (square - mean * mean),
                         from.mean + step };
    }
    const double kept = stack->residual == CR_FLOW_PLAIN ? 0 : 1;
    return (stream){ kept * from.q + t->scale2 * (w2 * square + stack->sigma_b2),
                     kept * from.variance + t->scale2 * w2 * (square - mean * mean), 0 };
}

/* The first layer's output. Inputs are taken to be independent and of mean 0. */
static stream first_of(const theory *t)
{
    const double q0 = t->stack.q0, w2 = t->stack.sigma_w2;
    if (t->stack.residual == CR_FLOW_PLAIN)
        return (stream){ w2 * q0 + t->stack.sigma_b2, w2 * q0, 0 };
    return next_of(t, (stream){ q0, q0, 0 });
}

static double slope2_at(const theory *t, cr__flow_integrand *f, double s)
{
    return expect(t, f, s > 0 ? s : sqrt(small_q)); /* both sides of a kink at 0 */
}

static double chi_of(const theory *t, stream from)
{
    const branch b = branch_of(t, from);
    return t->stack.sigma_w2 * t->masked * slope2_at(t, of_slope2, b.s) / b.norm;
}

/* Of |delta|^2, from the layer behind `from` down to it. */
static double gain_of(const theory *t, double chi)
{
    return t->stack.residual == CR_FLOW_PLAIN ? chi : 1 + t->scale2 * chi;
}

/* The next correlation, or its derivative, of two inputs whose stream is `from`. Behind batch norm
 * correlations are those of deviations from the batch's mean. Masks of dropout are independent. */
static double correlation_of(const theory *t, stream from, double c, bool derivative)
{
    const cr_flow_stack *stack = &t->stack;
    const bool centred = stack->norm == CR_FLOW_BATCH_NORM;
    const bool post = stack->residual == CR_FLOW_POST_ACTIVATION;
    const branch b = branch_of(t, from);
    const double dc = post && !centred ? stack->sigma_w2 * from.q / b.q : 1;
    const double cu = post && !centred ? dc * c + stack->sigma_b2 / b.q : c;
    const double mean = centred ? expect(t, of_value, b.s) : 0;
    const double both = derivative ? dc * b.s * b.s * expect_pair(t, of_slope, b.s, cu)
                                   : expect_pair(t, of_value, b.s, cu) - mean * mean;
    const double bias = derivative || centred ? 0 : stack->sigma_b2;
    const double added = post ? both : stack->sigma_w2 * both + bias;
    const double kept = stack->residual == CR_FLOW_PLAIN ? 0
                        : centred                        ? from.variance
                                                         : from.q;
    const stream next = next_of(t, from);
    return (kept * (derivative ? 1 : c) + t->scale2 * added) /
           (centred ? next.variance : next.q);
}

double cr_flow_variance_map(const cr_flow_stack *stack, double q)
{
    theory t;
    if (!theory_of(stack, &t) || !is_ratio(q))
        return NAN;
    return next_of(&t, (stream){ q, q, 0 }).q;
}

double cr_flow_correlation_map(const cr_flow_stack *stack, double q, double c)
{
    theory t;
    if (!theory_of(stack, &t) || !(q > 0 && isfinite(q)) || !(c >= -1 && c <= 1))
        return NAN;
    return correlation_of(&t, (stream){ q, q, 0 }, c, false);
}

/* ---- fixed points ---- */

/* A zero of f between a and b, where its signs differ: false position, the Illinois variant. */
typedef struct equation {
    const theory *t;
    stream at;
} equation;
typedef double equation_side(const equation *e, double x);

static double zero_between(equation_side *f, const equation *e, double a, double b)
{
    double fa = f(e, a), fb = f(e, b), last = a;
    for (int i = 0; i < 100 && fa != 0 && fb != 0; i++) {
        const double x = (a * fb - b * fa) / (fb - fa), fx = f(e, x);
        if ((fx > 0) == (fb > 0)) {
            fa /= 2;
        } else {
            a = b;
            fa = fb;
        }
        b = x;
        fb = fx;
        if (!(fabs(x - last) > 1e-15 * (1 + fabs(x))))
            break;
        last = x;
    }
    return fa == 0 ? a : b;
}

static double growth(const equation *e, double log_q)
{
    const double q = exp(log_q);
    return next_of(e->t, (stream){ q, q, 0 }).q / q - 1;
}

/* Where the variances of a plain stack without norm go from q. They move in one direction until the
 * map crosses the diagonal; it is looked for in growing steps. */
static void settle(const theory *t, double q, cr_flow_prediction *out)
{
    const equation e = { .t = t };
    if (q == 0 && next_of(t, (stream){ 0, 0, 0 }).q == 0) {
        out->q_star = 0;
        return;
    }
    double from = log(q > 0 ? q : least_q);
    const double g = growth(&e, from), sign = g > 0 ? 1 : -1;
    out->every_q = fabs(g) < rounding && fabs(growth(&e, from - 2)) < rounding &&
                   fabs(growth(&e, from + 2)) < rounding;
    if (out->every_q || g == 0) {
        out->q_star = q;
        return;
    }
    for (double step = 0.1; fabs(from) < log(largest_q); step *= 1.2) {
        const double to = from + sign * step, ahead = growth(&e, to);
        if (sign * ahead < -rounding) {
            out->q_star = exp(zero_between(growth, &e, from, to));
            return;
        }
        from = to;
    }
    out->diverges = sign > 0;
    out->q_star = sign > 0 ? NAN : 0;
}

/* The stream that deep layers see: the fixed point's, or that of a very large variance. */
static stream far_stream(const theory *t, cr_flow_prediction *out)
{
    const stream first = first_of(t);
    stream far = first;
    if (t->stack.residual != CR_FLOW_PLAIN) {
        out->every_q = next_of(t, first).q == first.q;
        out->diverges = !out->every_q;
        out->q_star = out->every_q ? first.q : NAN;
    } else if (t->stack.norm != CR_FLOW_NO_NORM) {
        far = next_of(t, first);
        out->q_star = far.q;
    } else {
        settle(t, first.q, out);
        far = (stream){ out->q_star, out->q_star, 0 };
    }
    return out->diverges ? (stream){ largest_q, largest_q, 0 } : far;
}

static double excess(const equation *e, double c)
{
    return correlation_of(e->t, e->at, c, false) - c;
}

/* The map is a power series without negative coefficients (Daniely et al., 2016), so convex on
 * [0, 1]: 1 is the only fixed point where its slope there is at most 1 and nothing is dropped; else
 * there is one below. It does not exist where the map keeps every correlation. */
static double fixed_correlation(const equation *e, double slope)
{
    if (!(fabs(excess(e, 0.5)) > 1e-8)) /* or NaN */
        return NAN;
    if (e->t->stack.dropout == 0 && slope <= 1 + 1e-8)
        return 1;
    if (excess(e, 0) <= rounding)
        return 0;
    for (double below = 0.5; below > 1e-9; below /= 4)
        if (excess(e, 1 - below) < 0)
            return zero_between(excess, e, 0, 1 - below);
    return 1;
}

/* Layers in which what shrinks or grows by x per layer does so by e. */
static double depth_scale(double x)
{
    if (fabs(x - 1) < 1e-8)
        return INFINITY;
    return x > 0 ? 1 / fabs(log(x)) : x == 0 ? 0 : NAN;
}

/* ---- finite width ---- */

/* The variance of ln |delta|^2 over the draws of the weights, times the width, of one plain layer.
 * With d = phi'(u) masked, |delta|^2 is multiplied by sigma_w2 mean d_i^2 g_i^2, g standard normal,
 * whose relative variance is (3 E d^4/(E d^2)^2 - 1)/n: 5/n for ReLU (Hanin and Nica, 2020).
 * Orthogonal weights keep |g|, which takes 2/n away. */
static double own_spread(const theory *t, double ratio)
{
    return 3 * ratio - (t->stack.orthogonal ? 3 : 1);
}

/* The variance of squared singular values over their squared mean, of one plain layer (Pennington
 * et al., 2017, equation 22). Of products of free matrices these add up. */
static double own_jacobian(const theory *t, double ratio)
{
    return ratio - (t->stack.orthogonal ? 1 : 0);
}

/* Both of a residual stack. To |delta + scale d W^T delta|^2 the product of the two parts comes in,
 * with relative variance 4 scale^2 chi/n, to the Jacobian 1 + scale d W 2 scale^2 chi, as traces of
 * odd powers of W vanish. Which d_i are large lasts from layer to layer: h of two layers is
 * correlated by the quotient of their deviations, and functions of it by that at most (Gebelein,
 * 1941), which is taken. */
static void residual_spread(const theory *t, cr_flow_prediction *out)
{
    const double depth = (double)t->stack.depth;
    stream at = { t->stack.q0, t->stack.q0, 0 };
    double spread = 0, jacobian = 0, lasting = 0, layers = 0;
    while (layers < depth && layers < LARGEST_PROFILE && isfinite(at.q)) {
        const double s = branch_of(t, at).s, mu1 = slope2_at(t, of_slope2, s);
        const double quotient = t->masked * slope2_at(t, of_slope4, s) / (mu1 * mu1);
        const double ratio = mu1 > 0 ? quotient : 1;
        const double part = t->scale2 * chi_of(t, at), whole = 1 + part,
                     share = part / whole;
        const double lasts = share * sqrt(fmax(ratio - 1, 0));
        spread += 4 * share / whole + share * share * own_spread(t, ratio) +
                  2 * lasts * lasting;
        jacobian += 2 * share / whole + share * share * own_jacobian(t, ratio);
        const stream next = next_of(t, at);
        lasting = (lasting + lasts) * sqrt(at.q / next.q);
        at = next;
        layers++;
    }
    out->beta = spread * (depth / layers) / (double)t->stack.width;
    out->jacobian_variance = jacobian * (depth / layers);
}

/* Variances fluctuate too, and chi with them: with k the deviation of q at a layer,
 * k' = V'(q) k + sigma_w2 mean(phi^2 - E phi^2), and ln chi gets k d ln chi/dq at each layer above.
 * Zero for ReLU, whose chi does not depend on q. Returns what it adds to the sum over the layers,
 * times the width. Orthogonal weights keep the norm: what follows x^2 does not fluctuate. */
static double variance_spread(const theory *t, double q, double depth)
{
    const double s = sqrt(q), m = t->masked, w2 = t->stack.sigma_w2;
    const double phi2 = m * expect(t, of_value2, s), d2 = m * expect(t, of_slope2, s);
    const double by_q = m * expect_change(t, of_slope2, q) / d2;
    const double map_slope = w2 * m * expect_change(t, of_value2, q);
    double noise = w2 * w2 * (m * m * m * expect(t, of_value4, s) - phi2 * phi2);
    double joint = w2 * (m * m * m * expect(t, of_both2, s) / d2 - phi2);
    double own = 0;
    if (t->stack.orthogonal) {
        own = -2 * q * q * by_q * by_q;
        noise -= 2 * q * q * map_slope * map_slope;
        joint -= 2 * q * q * by_q * map_slope;
    }
    if (fabs(by_q * q) < 1e-9 || !(map_slope < 1))
        return own * depth;
    double sum = 0, reach = 0, left = depth;
    for (; left >= 1; left--) { /* reach: of a deviation made at this layer */
        sum += own + reach * reach * noise + 2 * reach * joint;
        const double longer = by_q + map_slope * reach;
        if (fabs(longer - reach) <= 1e-9 * fabs(longer))
            break;
        reach = longer;
    }
    return sum +
           (left >= 1 ? left - 1 : 0) * (own + reach * reach * noise + 2 * reach * joint);
}

static double times_x(double x, const void *user)
{
    const tilted *t = user;
    return x * t->f(x, t->user);
}

/* Layer and rms norm divide by the deviation that they meet, so that mean u_i^2 is 1, and behind a
 * layer norm mean u_i is 0, exactly. With A = d^2/E d^2 and P = sigma_w2 phi^2/q, whose mean is the
 * next q but for the 2/n that weights add, ln |delta|^2 gets mean(A g^2) - mean P - that; what A
 * and P have in common with u^2 and u does not fluctuate. Times the width, of one layer. */
static double normed_spread(const theory *t, const cr_flow_prediction *p)
{
    const double m = t->masked, mu1 = p->mu1, share = t->stack.sigma_w2 * m / p->q_star;
    const double phi2 = expect(t, of_value2, 1), phi4 = expect(t, of_value4, 1);
    const double a2 = m * p->mu2 / (mu1 * mu1),
                 p2 = share * share * (m * phi4 - phi2 * phi2);
    const double joint = share * (m * expect(t, of_both2, 1) / mu1 - phi2);
    const double a_by_square = 2 * expect_change(t, of_slope2, 1) / mu1;
    const double p_by_square = 2 * expect_change(t, of_value2, 1) * share;
    double common = (a_by_square - p_by_square) * (a_by_square - p_by_square) / 2;
    if (t->stack.norm == CR_FLOW_LAYER_NORM) {
        const cr__flow_normal over = normal_of(t, 1);
        const tilted slope2 = { of_slope2, t->stack.activation, 1 };
        const tilted value2 = { of_value2, t->stack.activation, 1 };
        const double a_by = cr__flow_expect(&t->rules, &over, times_x, &slope2) / mu1;
        const double p_by = cr__flow_expect(&t->rules, &over, times_x, &value2) * share;
        common += (a_by - p_by) * (a_by - p_by);
    }
    return own_spread(t, a2) + p2 + (t->stack.orthogonal ? 0 : 2) - 2 * joint - common;
}

/* Batch norm's deviations are of the batch, and taken as given. */
static double plain_spread(const theory *t, const cr_flow_prediction *p)
{
    const double depth = (double)t->stack.depth;
    const bool floats = p->q_star > 0 && !p->every_q;
    switch (t->stack.norm) {
    case CR_FLOW_LAYER_NORM:
    case CR_FLOW_RMS_NORM:
        return depth * normed_spread(t, p);
    case CR_FLOW_NO_NORM:
    case CR_FLOW_BATCH_NORM:
        break;
    }
    const double own = depth * own_spread(t, t->masked * p->mu2 / (p->mu1 * p->mu1));
    return own + (t->stack.norm == CR_FLOW_NO_NORM && floats
                      ? variance_spread(t, p->q_star, depth)
                      : 0);
}

static void predict_spread(const theory *t, cr_flow_prediction *out)
{
    const double depth = (double)t->stack.depth, width = (double)t->stack.width;
    if (depth == 0)
        return;
    if (t->stack.residual != CR_FLOW_PLAIN) {
        residual_spread(t, out);
    } else {
        const double ratio = t->masked * out->mu2 / (out->mu1 * out->mu1);
        out->beta = plain_spread(t, out) / width;
        out->jacobian_variance = depth * own_jacobian(t, ratio);
    }
    if (width == 0)
        out->beta = NAN;
}

/* ---- what is asked for ---- */

static cr_flow_prediction nothing(void)
{
    return (cr_flow_prediction){
        .q_star = NAN,
        .chi = NAN,
        .factor = NAN,
        .decades = NAN,
        .decades_activation = NAN,
        .decades_weight = NAN,
        .decades_norm = NAN,
        .c_star = NAN,
        .slope = NAN,
        .xi_q = NAN,
        .xi_c = NAN,
        .xi_grad = NAN,
        .mu1 = NAN,
        .mu2 = NAN,
        .beta = NAN,
        .jacobian_variance = NAN,
    };
}

static void predict_gradient(const theory *t, stream far, cr_flow_prediction *out)
{
    const branch b = branch_of(t, far);
    out->mu1 = slope2_at(t, of_slope2, b.s);
    out->mu2 = slope2_at(t, of_slope4, b.s);
    out->chi = chi_of(t, far);
    const double gain = gain_of(t, out->chi);
    out->factor = sqrt(gain);
    out->decades = log10(gain) / 2;
    out->xi_grad = depth_scale(gain);
    out->phase = fabs(gain - 1) < 1e-8 ? CR_FLOW_CRITICAL
                 : gain < 1            ? CR_FLOW_ORDERED
                                       : CR_FLOW_CHAOTIC;
    if (t->stack.residual == CR_FLOW_PLAIN) {
        out->decades_activation = log10(t->masked * out->mu1) / 2;
        out->decades_weight = log10(t->stack.sigma_w2) / 2;
        out->decades_norm = log10(1 / b.norm) / 2;
    }
    predict_spread(t, out);
}

/* Where the variance dies out, so do the differences of inputs: by chi, whatever becomes of their
 * directions. It is also what xi_c tends to for a small bias. */
static void predict_correlation(const theory *t, stream far, cr_flow_prediction *out)
{
    equation e = { .t = t, .at = far };
    const bool dies_out = far.q < small_q && t->stack.norm == CR_FLOW_NO_NORM;
    if (dies_out)
        e.at = (stream){ small_q, small_q, 0 };
    out->slope = correlation_of(t, e.at, 1, true);
    out->c_star = fixed_correlation(&e, out->slope);
    if (dies_out)
        out->slope = out->chi / t->masked;
    if (dies_out || out->c_star == 1)
        out->xi_c = depth_scale(out->slope);
    else if (!isnan(out->c_star))
        out->xi_c = depth_scale(correlation_of(t, e.at, out->c_star, true));
}

/* Behind a fixed point all layers do the same. */
static double mean_decades(const theory *t)
{
    const int64_t steps = t->stack.depth - 1;
    stream at = first_of(t);
    double sum = 0;
    for (int64_t l = 0; l < steps; l++) {
        const double step = log10(gain_of(t, chi_of(t, at))) / 2;
        const stream next = next_of(t, at);
        if (l == LARGEST_PROFILE || !isfinite(next.q) ||
            (fabs(next.q - at.q) <= 1e-13 * at.q && next.variance == at.variance))
            return (sum + (double)(steps - l) * step) / (double)steps;
        sum += step;
        at = next;
    }
    return steps > 0 ? sum / (double)steps : NAN;
}

cr_status cr_flow_predict(const cr_flow_stack *stack, cr_flow_prediction *out)
{
    theory t;
    if (!out)
        return CR_ERR_ARGUMENT;
    *out = nothing();
    if (!theory_of(stack, &t))
        return CR_ERR_ARGUMENT;
    const stream far = far_stream(&t, out);
    predict_gradient(&t, far, out);
    out->decades_mean = mean_decades(&t);
    predict_correlation(&t, far, out);
    if (t.stack.residual == CR_FLOW_PLAIN && !out->diverges)
        out->xi_q =
            t.stack.norm != CR_FLOW_NO_NORM ? 0
            : out->every_q
                ? INFINITY
                : depth_scale(t.stack.sigma_w2 * t.masked *
                              expect_change(&t, of_value2, fmax(out->q_star, small_q)));
    return CR_OK;
}

cr_status cr_flow_profile(const cr_flow_stack *stack, double *q, double *ratio)
{
    theory t;
    if (!theory_of(stack, &t))
        return CR_ERR_ARGUMENT;
    stream at = first_of(&t);
    for (int64_t l = 0; l < t.stack.depth; l++) {
        const stream next = next_of(&t, at);
        if (q)
            q[l] = at.q;
        if (ratio) /* of layer l + 1 against the one behind it, until they are summed up */
            ratio[l] = log(gain_of(&t, chi_of(&t, at))) / 2;
        if (!isfinite(next.q)) { /* beyond doubles: a limit that layers above share */
            for (int64_t k = l + 1; k < t.stack.depth; k++) {
                if (q)
                    q[k] = INFINITY;
                if (ratio)
                    ratio[k] = ratio[l];
            }
            break;
        }
        at = next;
    }
    if (ratio && t.stack.depth) {
        ratio[t.stack.depth - 1] = 0;
        for (int64_t l = t.stack.depth - 1; l-- > 0;)
            ratio[l] += ratio[l + 1];
    }
    return CR_OK;
}

/* With q the fixed point, sigma_w2 = 1/E phi'^2 and q = sigma_w2 E phi^2 + sigma_b^2: one equation
 * for q (Schoenholz et al., 2017, section 3; Hayou et al., 2019, algorithm 1). */
static double off_edge(const equation *e, double log_q)
{
    const double q = exp(log_q), s = sqrt(q);
    const double d2 = expect(e->t, of_slope2, s), phi2 = expect(e->t, of_value2, s);
    return 1 - phi2 / (q * d2) - e->t->stack.sigma_b2 / q;
}

/* A solution counts if variances above it fall: beside the one of GELU at sigma_b 0, which is 0,
 * they grow without bound. */
static bool is_stable(theory *t, double sigma_w2, double q)
{
    const double above = 1.001 * q + (q > 0 ? 0 : 0.001);
    t->stack.sigma_w2 = sigma_w2;
    return next_of(t, (stream){ above, above, 0 }).q <= above * (1 + rounding);
}

double cr_flow_edge_of_chaos(const cr_flow_activation *activation, double sigma_b)
{
    theory t;
    const cr_flow_stack stack = { .activation = activation,
                                  .sigma_b2 = sigma_b * sigma_b };
    if (!theory_of(&stack, &t))
        return NAN;
    const equation e = { .t = &t };
    const double at_origin = 1 / slope2_at(&t, of_slope2, 0);
    if (sigma_b == 0 && of_value(0, activation) == 0 && isfinite(at_origin) &&
        is_stable(&t, at_origin, 0))
        return sqrt(at_origin);
    double from = log(fmax(stack.sigma_b2, least_q)), side = off_edge(&e, from);
    for (double step = 0.1; from < log(largest_q); step *= 1.05) {
        const double to = from + step, ahead = off_edge(&e, to);
        if ((side > rounding && ahead < -rounding) ||
            (side < -rounding && ahead > rounding)) {
            const double q = exp(zero_between(off_edge, &e, from, to));
            const double sigma_w2 = 1 / expect(&t, of_slope2, sqrt(q));
            if (is_stable(&t, sigma_w2, q))
                return sqrt(sigma_w2);
        }
        from = to;
        side = ahead;
    }
    return NAN;
}
