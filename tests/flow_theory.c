/* Theory of gradient flow: the numbers of papers and of closed forms, tests/flow_theory.txt
 * (tools/flow_theory.py), identities of the maps, and wrong arguments. Measured networks are in
 * flow_predictions.c. */
#include <chainrule_flow.h>
#include <tap.h>

#include <stdlib.h>

static const double pi = 3.14159265358979323846;

static cr_flow_prediction predicted(const char *activation, cr_flow_stack stack)
{
    cr_flow_prediction p;
    stack.activation = cr_flow_activation_find(activation);
    is_int(cr_flow_predict(&stack, &p), CR_OK, "%s: is predicted", activation);
    return p;
}

static cr_flow_prediction plain(const char *activation, double sigma_w2, double sigma_b2)
{
    return predicted(activation,
                     (cr_flow_stack){ .sigma_w2 = sigma_w2, .sigma_b2 = sigma_b2 });
}

/* sqrt(chi) of plain stacks without bias at sigma_w2 = 1/3, 1, 2, 25/9; 0: the variance diverges.
 * SELU's and ReLU's are closed forms: E phi'^2 at q 0 is the mean of both sides, and at q 1
 * scale^2 (1/2 + alpha^2 e^2 Phi(-2)). */
static void table_of_factors(void)
{
    static const double sigma_w2[] = { 1.0 / 3, 1, 2, 25.0 / 9 };
    static const struct {
        const char *name;
        double factor[4];
    } rows[] = {
        { "sigmoid", { 0.1414, 0.2361, 0.3178, 0.3620 } },
        { "tanh", { 0.5774, 1, 1.0514, 1.0999 } },
        { "relu", { 0.4082, 0.7071, 1, 0 } },
        { "selu", { 0.8362, 1.0352, 0, 0 } },
        { "gelu", { 0.2887, 0.5, 0.7071, 0 } },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int j = 0; j < 4; j++) {
            const cr_flow_prediction p = plain(rows[i].name, sigma_w2[j], 0);
            if (rows[i].factor[j] > 0)
                is_near(p.factor, rows[i].factor[j], 0.5e-4, "%s at %.4f: factor",
                        rows[i].name, sigma_w2[j]);
            ok(p.diverges == (rows[i].factor[j] == 0), "%s at %.4f: diverges or not",
               rows[i].name, sigma_w2[j]);
        }
    const double scale = 1.0507009873554804934, alpha = 1.6732632423543772848;
    const double a2 = alpha * alpha, tail = erfc(sqrt(2)) / 2; /* Phi(-2) */
    cr_flow_prediction p = plain("selu", 1, 0);
    is_near(p.q_star, 1, 1e-12, "selu: its fixed point is 1 (Klambauer et al., 2017)");
    is_near(p.chi, scale * scale * (0.5 + a2 * exp(2) * tail), 1e-12,
            "selu: chi in closed form");
    is_near(plain("selu", 1.0 / 3, 0).chi, scale * scale * (1 + a2) / 6, 1e-12,
            "selu: at q* 0 both sides of the kink count");
    is_near(plain("relu", 25.0 / 9, 0).factor, 1.1785, 0.5e-4,
            "relu: a factor, though it diverges");
    is_near(plain("gelu", 25.0 / 9, 0).chi, 25.0 / 18, 1e-9,
            "gelu diverges, and is a relu there");
    p = plain("relu", 2, 0);
    ok(p.every_q && p.phase == CR_FLOW_CRITICAL && isinf(p.xi_q) && isinf(p.xi_grad),
       "relu at 2: every variance stays, critical");
    is_near(p.q_star, 2, 1e-12, "relu at 2: q* is the first layer's");
    is_near(p.c_star, 1, 0, "relu at 2: correlations go to 1");
}

static void sigmoid_stack(void)
{
    const cr_flow_prediction p = plain("sigmoid", 1.0 / 3, 0);
    is_near(p.decades, -0.85, 0.005, "sigmoid, default init: 0.85 decades");
    is_near(p.decades_activation, -0.61, 0.005, "0.61 by the slope");
    is_near(p.decades_weight, -0.24, 0.005, "0.24 by the weights");
    is_near(p.decades_activation + p.decades_weight + p.decades_norm, p.decades, 1e-12,
            "the parts add up");
    is_near(p.xi_grad, 0.256, 0.0005, "0.256 layers");
    is_int(p.phase, CR_FLOW_ORDERED, "ordered");
    is_near(p.c_star, 1, 0, "all inputs become one");
    is_near(p.xi_c, p.xi_grad, 1e-12, "at the same pace");
}

/* tanh without bias keeps all angles while everything shrinks to 0; relu turns them into one. */
static void dying_out(void)
{
    const cr_flow_prediction p = plain("tanh", 0.5, 0), r = plain("relu", 1, 0);
    ok(p.q_star == 0 && isnan(p.c_star), "tanh below 1: nothing remains, at any angle");
    is_near(p.slope, 0.5, 1e-12, "tanh below 1: the slope is chi");
    is_near(p.xi_c, 1 / log(2), 1e-9, "differences shrink by it");
    ok(r.q_star == 0 && r.c_star == 1, "relu below 2: nothing remains, and all is one");
    is_near(r.xi_c, 1 / log(2), 1e-9, "differences shrink by chi");
    const cr_flow_prediction near = plain("tanh", 0.5, 1e-10);
    is_near(near.xi_c, p.xi_c, 1e-6, "a small bias changes little");
    is_near(near.c_star, 1, 0, "but that all is one");
}

/* Not every strtod() knows nan. */
static double number(const char *text)
{
    return strcmp(text, "nan") == 0 ? (double)NAN : strtod(text, NULL);
}

static void against_table(void)
{
    FILE *file = fopen("tests/flow_theory.txt", "r");
    char line[200], name[32], cell[6][32];
    int rows = 0;
    while (file && fgets(line, sizeof line, file)) {
        if (line[0] == '#' ||
            sscanf(line, "%31s %31s %31s %31s %31s %31s %31s", name, cell[0], cell[1],
                   cell[2], cell[3], cell[4], cell[5]) != 7)
            continue;
        const cr_flow_prediction p = plain(name, number(cell[0]), number(cell[1]));
        const double q = number(cell[2]), c = number(cell[4]), rate = number(cell[5]);
        const char *row = line;
        line[strcspn(line, "\n")] = 0;
        ok(p.diverges == (isnan(q) != 0), "diverges or not: %s", row);
        rows++;
        if (isnan(q))
            continue;
        is_near(p.q_star, q, 2e-13 * (1 + q), "q*: %s", row);
        is_near(p.chi, number(cell[3]), 1e-11, "chi: %s", row);
        if (isnan(c))
            continue;
        is_near(p.c_star, c, 1e-8, "c*: %s", row);
        is_near(p.xi_c, rate < 1 ? -1 / log(rate) : INFINITY, 1e-6 * p.xi_c, "xi_c: %s",
                row);
        is_near(p.slope, p.chi, 1e-9, "the correlation map's slope at 1 is chi: %s", row);
    }
    ok(rows > 80, "%d rows of tests/flow_theory.txt", rows);
    if (file)
        fclose(file);
}

/* Cho and Saul, 2009: E relu(u) relu(v) of unit variances, and its derivative by c. */
static double arc_cosine(double c)
{
    return (sqrt(1 - c * c) + (pi - acos(c)) * c) / (2 * pi);
}

static void maps(void)
{
    cr_flow_stack relu = { .activation = cr_flow_activation_find("relu"),
                           .sigma_w2 = 1.7,
                           .sigma_b2 = 0.3 };
    cr_flow_stack linear = relu;
    linear.activation = cr_flow_activation_find("linear");
    for (double q = 1e-12; q < 1e13; q *= 316.2) {
        is_near(cr_flow_variance_map(&relu, q) / (0.85 * q + 0.3), 1, 1e-13,
                "relu: q = %g", q);
        is_near(cr_flow_variance_map(&linear, q) / (1.7 * q + 0.3), 1, 1e-13,
                "linear: q = %g", q);
    }
    for (int i = -10; i <= 10; i++) {
        const double c = i / 10.0, q = 2.5, next = 0.85 * q + 0.3;
        is_near(cr_flow_correlation_map(&relu, q, c),
                (1.7 * q * arc_cosine(c) + 0.3) / next, 1e-9,
                "relu: the arc-cosine kernel at %.1f", c);
        is_near(cr_flow_correlation_map(&linear, q, c),
                (1.7 * q * c + 0.3) / (1.7 * q + 0.3), 1e-9,
                "linear: correlation at %.1f", c);
    }
    for (int i = 0; cr_flow_activation_list(i); i++) { /* two ways to the same number */
        const cr_flow_activation *phi = cr_flow_activation_list(i);
        const cr_flow_stack stack = { .activation = phi,
                                      .sigma_w2 = 1.3,
                                      .sigma_b2 = 0.1 };
        is_near(cr_flow_correlation_map(&stack, 1.5, 1), 1, 1e-12, "%s: 1 stays 1",
                phi->name);
        const double at = cr_flow_correlation_map(&stack, 1.5, 0.6);
        ok(at > -1 && at < 1, "%s: a correlation stays one", phi->name);
    }
}

/* Slopes are those of the values; kinks are in order; names are found. */
static void activations(void)
{
    int n = 0;
    for (const cr_flow_activation *phi; (phi = cr_flow_activation_list(n)); n++) {
        ok(cr_flow_activation_find(phi->name) == phi, "%s: is found", phi->name);
        double worst = 0;
        for (double x = -8.03; x < 8; x += 0.11) {
            bool near_kink = false;
            for (int k = 0; k < phi->n_kinks; k++)
                near_kink |= fabs(x - phi->kinks[k]) < 1e-3;
            const double h = 1e-5, change = phi->value(x + h, phi->user) -
                                            phi->value(x - h, phi->user);
            if (!near_kink)
                worst = fmax(worst, fabs(change / (2 * h) - phi->slope(x, phi->user)));
        }
        ok(worst < 1e-9, "%s: slope is the value's, to %.1e", phi->name, worst);
        for (int k = 1; k < phi->n_kinks; k++)
            ok(phi->kinks[k - 1] < phi->kinks[k], "%s: kinks in order", phi->name);
        for (double x = 1e-300; x < 1e151; x *= 1e30) {
            const bool number =
                isfinite(phi->value(-x, NULL)) && isfinite(phi->slope(-x, NULL)) &&
                isfinite(phi->value(x, NULL)) && isfinite(phi->slope(x, NULL));
            if (!number)
                ok(false, "%s: not finite at %g", phi->name, x);
        }
    }
    ok(n >= 20 && !cr_flow_activation_list(-1), "%d activations", n);
    ok(!cr_flow_activation_find("no such") && !cr_flow_activation_find(NULL),
       "others are not known");
    cr_flow_activation leaky = *cr_flow_activation_find("leaky_relu");
    const double slope = 0.2;
    leaky.user = &slope;
    const cr_flow_stack stack = { .activation = &leaky,
                                  .sigma_w2 = 2 / (1 + slope * slope) };
    cr_flow_prediction p;
    cr_flow_predict(&stack, &p);
    is_near(p.chi, 1, 1e-12, "leaky_relu with a slope of its own: He's gain is critical");
}

static const double tanh_near_0 = 0.05;

static void edges(void)
{
    const cr_flow_activation *tanh_ = cr_flow_activation_find("tanh");
    is_near(cr_flow_edge_of_chaos(tanh_, 0), 1, 1e-12, "tanh: (1, 0) is critical");
    /* Pennington et al., 2017: q* = sigma_b^2 + .., sigma_w = 1 + q*(..): its own equation holds */
    for (double sigma_b = tanh_near_0; sigma_b < 2; sigma_b *= 1.7) {
        const double sigma_w = cr_flow_edge_of_chaos(tanh_, sigma_b);
        const cr_flow_prediction p = plain("tanh", sigma_w * sigma_w, sigma_b * sigma_b);
        is_near(p.chi, 1, 1e-9, "tanh: chi on the edge at sigma_b %.3f", sigma_b);
        const cr_flow_prediction in =
            plain("tanh", sigma_w * sigma_w * 0.98, sigma_b * sigma_b);
        const cr_flow_prediction out =
            plain("tanh", sigma_w * sigma_w * 1.02, sigma_b * sigma_b);
        ok(in.phase == CR_FLOW_ORDERED && out.phase == CR_FLOW_CHAOTIC &&
               in.c_star == 1 && out.c_star < 1,
           "tanh: order below and chaos above the edge at %.3f", sigma_b);
    }
    is_near(cr_flow_edge_of_chaos(cr_flow_activation_find("relu"), 0), sqrt(2), 1e-12,
            "relu: He et al., 2015");
    ok(isnan(cr_flow_edge_of_chaos(cr_flow_activation_find("relu"), 0.1)),
       "relu: none with a bias (Hayou et al., 2019)");
    ok(isnan(cr_flow_edge_of_chaos(cr_flow_activation_find("gelu"), 0)),
       "gelu: at (2, 0) variances above 0 grow");
    is_near(cr_flow_edge_of_chaos(cr_flow_activation_find("hardtanh"), 0), 1, 1e-12,
            "hardtanh");
}

static void norms(void)
{
    cr_flow_prediction p =
        predicted("relu", (cr_flow_stack){ .sigma_w2 = 2, .norm = CR_FLOW_BATCH_NORM });
    is_near(p.factor, sqrt(pi / (pi - 1)), 1e-12,
            "BN and relu: sqrt(pi/(pi - 1)), Yang et al., 2019");
    is_near(p.factor, 1.2112, 0.5e-4, "BN and relu: 1.2112");
    is_near(p.c_star, 0, 0, "BN: samples become orthogonal");
    is_near(
        predicted("relu", (cr_flow_stack){ .sigma_w2 = 0.01, .norm = CR_FLOW_BATCH_NORM })
            .factor,
        p.factor, 1e-12, "BN: the weights' scale does not matter");
    p = predicted("linear", (cr_flow_stack){ .sigma_w2 = 3, .norm = CR_FLOW_BATCH_NORM });
    is_near(p.factor, 1, 1e-12, "BN without activation: 1");
    p = predicted("sigmoid",
                  (cr_flow_stack){ .sigma_w2 = 1.0 / 3, .norm = CR_FLOW_LAYER_NORM });
    is_near(p.factor, 0.39, 0.005, "LN and sigmoid");
    is_near(p.decades_activation + p.decades_weight + p.decades_norm, p.decades, 1e-12,
            "parts");
    p = predicted("relu", (cr_flow_stack){ .sigma_w2 = 9, .norm = CR_FLOW_RMS_NORM });
    is_near(p.factor, 1, 1e-12, "RMS norm and relu without bias: 1");
    is_near(p.xi_q, 0, 0, "a norm forgets the variance at once");
}

static void residuals(void)
{
    cr_flow_stack stack = { .sigma_w2 = 1.4,
                            .residual = CR_FLOW_PRE_ACTIVATION,
                            .depth = 20 };
    cr_flow_prediction p = predicted("relu", stack);
    is_near(p.factor * p.factor, 1.7, 1e-12, "residual relu: 1 + sigma_w2/2");
    ok(p.diverges && isnan(p.decades_activation),
       "its variance grows; its factor has no parts");
    stack.branch_scale = 1 / sqrt(20);
    stack.sigma_w2 = 2;
    p = predicted("relu", stack);
    is_near(pow(p.factor, 2 * 20), pow(1 + 1.0 / 20, 20), 1e-10,
            "scaled by 1/sqrt(L): nearly e");
    stack =
        (cr_flow_stack){ .sigma_w2 = 1, .residual = CR_FLOW_PRE_ACTIVATION, .depth = 50 };
    p = predicted("tanh", stack);
    is_near(p.factor, 1, 1e-12,
            "residual tanh: less than exponential (Yang and Schoenholz, 2017)");
    ok(p.decades_mean > 0.001 && p.decades_mean < 0.05, "but it grows: %.4f",
       p.decades_mean);
    stack.norm = CR_FLOW_LAYER_NORM;
    double q[50], ratio[50];
    stack.activation = cr_flow_activation_find("relu");
    is_int(cr_flow_profile(&stack, q, ratio), CR_OK, "a profile");
    for (int l = 0; l < 50; l++) { /* q_l = 1 + l/2: the product telescopes */
        is_near(q[l], 1 + (l + 1) / 2.0, 1e-11, "pre-norm: variance grows linearly");
        is_near(exp(2 * ratio[l]), q[49] / q[l], 1e-10,
                "and the squared gradient with it");
    }
    stack = (cr_flow_stack){ .sigma_w2 = 2, .residual = CR_FLOW_POST_ACTIVATION };
    is_near(predicted("relu", stack).factor, sqrt(2), 1e-12,
            "post-activation: 1 + chi as well");
}

/* tanh at the critical point: q* is 0, and the way there a power law. */
static void profiles(void)
{
    cr_flow_stack stack = { .activation = cr_flow_activation_find("tanh"),
                            .sigma_w2 = 1,
                            .depth = 3000 };
    double *q = malloc(3000 * sizeof *q), *ratio = malloc(3000 * sizeof *ratio);
    cr_flow_profile(&stack, q, ratio);
    is_near(2 * 3000 * q[2999], 1, 0.02, "tanh at 1: q is 1/(2 l)");
    is_near(q[0], 1, 0, "the first layer's");
    is_near(ratio[2999], 0, 0, "the last against itself");
    stack.depth = 30;
    cr_flow_profile(&stack, NULL, ratio);
    is_near(exp(ratio[0]), 0.157, 0.001, "tanh at 1: 30 layers");
    cr_flow_prediction p;
    cr_flow_predict(&stack, &p);
    is_near(p.decades_mean, ratio[0] / log(10) / 29, 1e-12,
            "decades_mean is the profile's");
    is_near(p.decades, 0, 1e-12, "decades the limit's");
    free(q);
    free(ratio);
}

static void others(void)
{
    cr_flow_prediction p =
        predicted("relu", (cr_flow_stack){ .sigma_w2 = 1.5, .dropout = 0.25 });
    is_near(p.chi, 1, 1e-12, "dropout multiplies chi by 1/(1 - p)");
    ok(p.c_star < 1,
       "dropout: equal inputs become different (Schoenholz et al., 2017): %.4f",
       p.c_star);
    p = predicted("relu", (cr_flow_stack){ .sigma_w2 = 2, .width = 100, .depth = 40 });
    is_near(p.beta, 5 * 40 / 100.0, 1e-12, "relu: beta is 5 L/n (Hanin and Nica, 2020)");
    is_near(p.jacobian_variance, 40 * 2, 1e-10,
            "relu: L mu2/mu1^2 (Pennington et al., 2017)");
    p = predicted(
        "relu",
        (cr_flow_stack){ .sigma_w2 = 2, .width = 100, .depth = 40, .orthogonal = true });
    is_near(p.jacobian_variance, 40, 1e-10, "orthogonal: L (mu2/mu1^2 - 1)");
    is_near(p.beta, 3 * 40 / 100.0, 1e-12, "orthogonal: 3 L/n");
    p = predicted(
        "linear",
        (cr_flow_stack){ .sigma_w2 = 1, .width = 100, .depth = 40, .orthogonal = true });
    ok(fabs(p.jacobian_variance) < 1e-10 && fabs(p.beta) < 1e-10,
       "orthogonal and linear: an isometry");
}

static void wrong(const char *what, cr_flow_stack stack)
{
    cr_flow_prediction p;
    double one[4];
    is_int(cr_flow_predict(&stack, &p), CR_ERR_ARGUMENT, "predict: %s", what);
    ok(isnan(p.chi) && isnan(p.q_star) && isnan(p.beta), "nothing is said: %s", what);
    is_int(cr_flow_profile(&stack, one, one), CR_ERR_ARGUMENT, "profile: %s", what);
    ok(isnan(cr_flow_variance_map(&stack, 1)) &&
           isnan(cr_flow_correlation_map(&stack, 1, 0.5)),
       "maps: %s", what);
}

static double not_a_number(double x, const void *user)
{
    (void)x, (void)user;
    return NAN;
}

static double noise(double x, const void *user)
{
    (void)user;
    return sin(1e9 * x);
}

static void robustness(void)
{
    const cr_flow_activation *relu = cr_flow_activation_find("relu");
    const cr_flow_stack sound = { .activation = relu, .sigma_w2 = 2 };
    cr_flow_activation broken = *relu;
    cr_flow_prediction p;
#define WRONG(what, field, value) \
    do {                          \
        cr_flow_stack s = sound;  \
        s.field = (value);        \
        wrong(what, s);           \
    } while (0)
    WRONG("no activation", activation, NULL);
    WRONG("sigma_w2 below 0", sigma_w2, -1);
    WRONG("sigma_w2 NaN", sigma_w2, NAN);
    WRONG("sigma_w2 infinite", sigma_w2, INFINITY);
    WRONG("sigma_b2 below 0", sigma_b2, -0.1);
    WRONG("q0 NaN", q0, NAN);
    WRONG("dropout 1", dropout, 1);
    WRONG("dropout below 0", dropout, -0.1);
    WRONG("branch_scale NaN", branch_scale, NAN);
    WRONG("width below 0", width, -1);
    WRONG("depth below 0", depth, -1);
    WRONG("no such norm", norm, (cr_flow_norm)7);
    WRONG("no such residual", residual, (cr_flow_residual)7);
    broken.kinks = NULL;
    WRONG("kinks that are not there", activation, &broken);
    broken.n_kinks = 1000;
    WRONG("too many kinks", activation, &broken);
    is_int(cr_flow_predict(NULL, &p), CR_ERR_ARGUMENT, "no stack");
    is_int(cr_flow_predict(&sound, NULL), CR_ERR_ARGUMENT, "nowhere to");
    is_int(cr_flow_profile(NULL, NULL, NULL), CR_ERR_ARGUMENT, "no stack for a profile");
    is_int(cr_flow_profile(&sound, NULL, NULL), CR_OK, "a profile of nothing");
    ok(isnan(cr_flow_edge_of_chaos(NULL, 0)) && isnan(cr_flow_edge_of_chaos(relu, NAN)),
       "edges");
    ok(isnan(cr_flow_variance_map(&sound, -1)) &&
           isnan(cr_flow_correlation_map(&sound, 1, 1.5)) &&
           isnan(cr_flow_correlation_map(&sound, 0, 0.5)),
       "maps of what is no variance");
    static const double values[] = { 0, 1e-12, 1, 1e12, 1e100 };
    int bad = 0, calls = 0;
    for (int i = 0; cr_flow_activation_list(i); i++)
        for (int w = 0; w < 5; w++, calls++) {
            const cr_flow_stack s = { .activation = cr_flow_activation_list(i),
                                      .sigma_w2 = values[w],
                                      .norm = (cr_flow_norm)(calls % 4),
                                      .residual = (cr_flow_residual)(calls % 3),
                                      .width = 10,
                                      .depth = 3 };
            bad += cr_flow_predict(&s, &p) != CR_OK || p.factor < 0 ||
                   (p.c_star < -1 || p.c_star > 1);
        }
    is_int(bad, 0, "%d predictions from 0 to 1e100", calls);
    p = predicted("relu",
                  (cr_flow_stack){ .sigma_w2 = 0, .depth = INT64_MAX, .width = 1 });
    ok(p.q_star == 0 && p.chi == 0 && p.factor == 0, "no weights: nothing passes");
    p = predicted("tanh",
                  (cr_flow_stack){ .sigma_w2 = 2, .depth = INT64_MAX, .width = 64 });
    ok(isfinite(p.beta) && p.decades_mean > 0, "depth without end");
    broken = (cr_flow_activation){ .name = "nan",
                                   .value = not_a_number,
                                   .slope = not_a_number };
    cr_flow_stack s = sound;
    s.activation = &broken;
    is_int(cr_flow_predict(&s, &p), CR_OK, "an activation that is NaN");
    ok(isnan(p.chi), "gives NaN");
    broken = (cr_flow_activation){ .name = "noise", .value = noise, .slope = noise };
    ok(!isnan(cr_flow_variance_map(&s, 1)), "noise comes to an end");
}

int main(void)
{
    table_of_factors();
    sigmoid_stack();
    dying_out();
    against_table();
    maps();
    activations();
    edges();
    norms();
    residuals();
    profiles();
    others();
    robustness();
    return done_testing();
}
