/* Theory of gradient flow against networks: the same cr_flow_stack is predicted and built, in f64,
 * from several seeds, and what is measured must lie within the theory's own band: its mean within 4
 * standard errors, its variance within 4 of the variance's.
 *
 *     tests/flow_predictions [times]    as many times more seeds: the band shrinks with the root */
#include <chainrule_flow.h>
#include <tap.h>

#include <stdlib.h>

enum { MOST_LAYERS = 64 };

static int more = 1;

typedef cr_tensor *unary(cr_tensor *x, const char *site);

static cr_tensor *gelu_of(cr_tensor *x, const char *site)
{
    return cr_gelu_at(x, (cr_gelu_opts){ .site = site });
}

static cr_tensor *activated(const char *name, cr_tensor *x)
{
    static const struct {
        const char *name;
        unary *call;
    } rows[] = {
        { "relu", cr_relu_at }, { "sigmoid", cr_sigmoid_at }, { "tanh", cr_tanh_at },
        { "selu", cr_selu_at }, { "gelu", gelu_of },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(rows[i].name, name))
            return rows[i].call(x, CR_HERE);
    return x;
}

/* ---- networks ---- */

static cr_tensor *normal_of(cr_ctx *ctx, int64_t rows, int64_t columns, double variance)
{
    return cr_mul(cr_randn(ctx, CR_DIMS(rows, columns), .dtype = CR_F64), sqrt(variance));
}

static cr_tensor *weight_of(cr_ctx *ctx, const cr_flow_stack *stack)
{
    const int64_t n = stack->width;
    if (!stack->orthogonal)
        return cr_requires_grad(normal_of(ctx, n, n, stack->sigma_w2 / (double)n));
    cr_tensor *w = cr_requires_grad(cr_zeros(ctx, CR_DIMS(n, n), .dtype = CR_F64));
    cr_init_orthogonal(w, sqrt(stack->sigma_w2));
    return w;
}

static cr_tensor *affine(const cr_flow_stack *stack, cr_tensor *x, cr_tensor *w)
{
    cr_tensor *y = cr_matmul(x, w);
    if (stack->sigma_b2 == 0)
        return y;
    return cr_add(y, normal_of(cr_ctx_of(x), 1, stack->width, stack->sigma_b2));
}

static cr_tensor *normed(const cr_flow_stack *stack, cr_tensor *x)
{
    switch (stack->norm) {
    case CR_FLOW_BATCH_NORM:
        return cr_batch_norm(x, NULL, NULL, NULL, NULL, true, 0.1, .eps = 1e-12);
    case CR_FLOW_LAYER_NORM:
        return cr_layer_norm(x, CR_DIMS(stack->width), NULL, NULL, .eps = 1e-12);
    case CR_FLOW_RMS_NORM:
        return cr_rms_norm(x, CR_DIMS(stack->width), NULL);
    case CR_FLOW_NO_NORM:
        break;
    }
    return x;
}

static cr_tensor *branch_of(const cr_flow_stack *stack, cr_tensor *x)
{
    cr_tensor *y = activated(stack->activation->name, normed(stack, x));
    return stack->dropout > 0 ? cr_dropout(y, stack->dropout) : y;
}

static cr_tensor *layer(const cr_flow_stack *stack, cr_tensor *h, cr_tensor *w)
{
    const double scale = stack->branch_scale == 0 ? 1 : stack->branch_scale;
    switch (stack->residual) {
    case CR_FLOW_PRE_ACTIVATION:
        return cr_add(h, cr_mul(affine(stack, branch_of(stack, h), w), scale));
    case CR_FLOW_POST_ACTIVATION:
        return cr_add(h, cr_mul(branch_of(stack, affine(stack, h, w)), scale));
    case CR_FLOW_PLAIN:
        break;
    }
    return affine(stack, branch_of(stack, h), w);
}

/* Layers count from 0. |delta|^2 is summed over the batch. */
typedef struct network {
    cr_tensor *x, *h[MOST_LAYERS], *w[MOST_LAYERS], *delta[MOST_LAYERS], *dw[MOST_LAYERS];
    double ln_delta2[MOST_LAYERS];
} network;

static double square_sum(cr_tensor *x)
{
    return cr_item(cr_sum(cr_square(x)));
}

/* Draws a network and an input, and sends a random cotangent of its output backwards. */
static void run(cr_ctx *ctx, const cr_flow_stack *stack, int64_t batch, network *net)
{
    const int depth = (int)stack->depth;
    const double q0 = stack->q0 == 0 ? 1 : stack->q0;
    net->x = cr_requires_grad(normal_of(ctx, batch, stack->width, q0));
    cr_tensor *h = net->x, *all[2 * MOST_LAYERS], *grads[2 * MOST_LAYERS];
    for (int l = 0; l < depth; l++) {
        net->w[l] = weight_of(ctx, stack);
        const bool first = l == 0 && stack->residual == CR_FLOW_PLAIN;
        h = first ? affine(stack, h, net->w[l]) : layer(stack, h, net->w[l]);
        all[l] = net->h[l] = h;
        all[depth + l] = net->w[l];
    }
    cr_tensor *cotangent = normal_of(ctx, batch, stack->width, 1);
    cr_gradients(&h, 1, all, 2 * depth, grads, .cotangents = &cotangent);
    for (int l = 0; l < depth; l++) {
        net->delta[l] = grads[l];
        net->dw[l] = grads[depth + l];
        net->ln_delta2[l] = log(square_sum(net->delta[l]));
    }
}

/* ---- statistics ---- */

typedef struct sample {
    int n;
    double sum, squares;
} sample;

static void add(sample *s, double x)
{
    s->n++;
    s->sum += x;
    s->squares += x * x;
}

static double mean_of(const sample *s)
{
    return s->sum / s->n;
}

static double variance_of(const sample *s)
{
    return (s->squares - s->sum * s->sum / s->n) / (s->n - 1);
}

/* ln |delta_from|^2 - ln |delta_last|^2 of so many seeds. */
static sample ratios(const cr_flow_stack *stack, int from, int64_t batch, int seeds)
{
    sample s = { 0 };
    cr_ctx *ctx = cr_open(NULL);
    for (int seed = 0; seed < seeds * more; seed++) {
        network net;
        cr_seed(ctx, 1000 + (uint64_t)seed);
        cr_scope_push(ctx);
        run(ctx, stack, batch, &net);
        add(&s, net.ln_delta2[from] - net.ln_delta2[stack->depth - 1]);
        cr_scope_pop(ctx);
    }
    is_text(cr_message(ctx), "", "no errors");
    cr_close(ctx);
    return s;
}

/* beta of the factors between depth layers, which are depth - 1. */
static double band_of(const cr_flow_stack *stack)
{
    cr_flow_stack factors = *stack;
    cr_flow_prediction p;
    factors.depth--;
    cr_flow_predict(&factors, &p);
    return p.beta;
}

/* ---- the band ---- */

/* Means and variances over the seeds: -beta/2 below the profile, and beta. The estimate of a
 * variance from n normal numbers has the relative deviation sqrt(2/n); ln |delta|^2 is normal up to
 * terms of order beta/depth. */
static void stacks(void)
{
    static const struct {
        const char *activation;
        double sigma_w2, sigma_b2, dropout;
        int64_t width, depth;
        int seeds;
        bool orthogonal;
        cr_flow_residual residual;
        double scale;
        cr_flow_norm norm;
    } rows[] = {
        { "relu", 2, 0, 0, 64, 32, 100, false, CR_FLOW_PLAIN, 0, CR_FLOW_NO_NORM },
        { "relu", 2, 0, 0, 48, 16, 24, true, CR_FLOW_PLAIN, 0, CR_FLOW_NO_NORM },
        { "relu", 1.5, 0, 0.25, 100, 20, 24, false, CR_FLOW_PLAIN, 0, CR_FLOW_NO_NORM },
        { "relu", 2, 0.2, 0, 100, 20, 24, false, CR_FLOW_PLAIN, 0, CR_FLOW_NO_NORM },
        { "tanh", 25.0 / 9, 0, 0, 100, 30, 24, false, CR_FLOW_PLAIN, 0, CR_FLOW_NO_NORM },
        { "tanh", 25.0 / 9, 0.05, 0, 48, 16, 24, true, CR_FLOW_PLAIN, 0,
          CR_FLOW_NO_NORM },
        { "tanh", 1, 0, 0, 128, 30, 16, false, CR_FLOW_PLAIN, 0, CR_FLOW_NO_NORM },
        { "sigmoid", 4, 0, 0, 100, 20, 24, false, CR_FLOW_PLAIN, 0, CR_FLOW_NO_NORM },
        { "selu", 1, 0, 0, 100, 20, 24, false, CR_FLOW_PLAIN, 0, CR_FLOW_NO_NORM },
        { "gelu", 1.9, 0.1, 0, 160, 10, 32, false, CR_FLOW_PLAIN, 0, CR_FLOW_NO_NORM },
        { "relu", 2, 0, 0, 64, 20, 32, false, CR_FLOW_PRE_ACTIVATION, 0,
          CR_FLOW_NO_NORM },
        { "relu", 2, 0, 0, 64, 20, 32, false, CR_FLOW_PRE_ACTIVATION, 0.22360679774997896,
          CR_FLOW_NO_NORM },
        { "tanh", 2, 0, 0, 64, 20, 32, false, CR_FLOW_PRE_ACTIVATION, 0,
          CR_FLOW_NO_NORM },
        { "tanh", 2, 0, 0, 64, 20, 32, false, CR_FLOW_POST_ACTIVATION, 0,
          CR_FLOW_NO_NORM },
        { "relu", 2, 0, 0, 128, 20, 24, false, CR_FLOW_PLAIN, 0, CR_FLOW_RMS_NORM },
        { "tanh", 2, 0, 0, 100, 20, 24, false, CR_FLOW_PLAIN, 0, CR_FLOW_LAYER_NORM },
        { "sigmoid", 2, 0.1, 0, 100, 20, 24, false, CR_FLOW_PLAIN, 0,
          CR_FLOW_LAYER_NORM },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const cr_flow_stack stack = {
            .activation = cr_flow_activation_find(rows[i].activation),
            .sigma_w2 = rows[i].sigma_w2,
            .sigma_b2 = rows[i].sigma_b2,
            .dropout = rows[i].dropout,
            .width = rows[i].width,
            .depth = rows[i].depth,
            .orthogonal = rows[i].orthogonal,
            .residual = rows[i].residual,
            .branch_scale = rows[i].scale,
            .norm = rows[i].norm,
        };
        const sample s = ratios(&stack, 0, 1, rows[i].seeds);
        double ratio[MOST_LAYERS];
        cr_flow_profile(&stack, NULL, ratio);
        const double beta = band_of(&stack), error = sqrt(beta / s.n);
        const char *kind = stack.norm         ? "norm"
                           : stack.residual   ? "residual"
                           : stack.orthogonal ? "orthogonal"
                                              : "plain";
        /* beta of residuals is from above; behind a norm the mean lies between */
        const double loose = stack.residual || stack.norm ? beta / 4 : 0;
        is_near(mean_of(&s), 2 * ratio[0] - beta / 2 + loose, 4 * error + loose,
                "%s, %s: ln |delta|^2", rows[i].activation, kind);
        const double spread = variance_of(&s) / beta, most = 1 + 4 * sqrt(2.0 / s.n);
        const double least = stack.residual ? 0 : 1 - 4 * sqrt(2.0 / s.n);
        ok(spread > least && spread < most, "%s, %s: its variance is %.2f of beta, %.3f",
           rows[i].activation, kind, spread, beta);
    }
}

/* ---- single numbers ---- */

/* The modules as they are initialised: weights and biases uniform in +-1/sqrt(n). */
static double sigmoid_decades(cr_ctx *ctx, int64_t width, int depth)
{
    cr_module *linear[MOST_LAYERS], *sigmoid = cr_nn_sigmoid(ctx);
    cr_tensor *h = cr_requires_grad(normal_of(ctx, 1, width, 1)), *ends[2], *deltas[2];
    for (int l = 0; l < depth; l++) {
        linear[l] = cr_nn_linear(ctx, width, width, .dtype = CR_F64);
        h = cr_nn_forward(linear[l], l == 0 ? h : cr_nn_forward(sigmoid, h));
        if (l == 0)
            ends[0] = h;
    }
    ends[1] = h;
    cr_tensor *cotangent = normal_of(ctx, 1, width, 1);
    cr_gradients(&h, 1, ends, 2, deltas, .cotangents = &cotangent);
    const double decades = log10(square_sum(deltas[0]) / square_sum(deltas[1])) / 2;
    for (int l = 0; l < depth; l++)
        cr_nn_free(linear[l]);
    cr_nn_free(sigmoid);
    return decades;
}

static void default_sigmoid(void)
{
    enum { WIDTH = 64 };
    static const struct {
        int depth;
        double decades;
    } rows[] = { { 30, -24.6 }, { 50, -41.6 } };
    cr_ctx *ctx = cr_open(NULL);
    for (int i = 0; i < 2; i++) {
        const cr_flow_stack stack = {
            .activation = cr_flow_activation_find("sigmoid"),
            .sigma_w2 = 1.0 / 3,
            .sigma_b2 = 1.0 / (3 * WIDTH),
            .width = WIDTH,
            .depth = rows[i].depth,
        };
        double ratio[MOST_LAYERS];
        sample s = { 0 };
        for (int seed = 0; seed < 8 * more; seed++) {
            cr_seed(ctx, (uint64_t)seed);
            cr_scope_push(ctx);
            add(&s, sigmoid_decades(ctx, WIDTH, rows[i].depth));
            cr_scope_pop(ctx);
        }
        cr_flow_profile(&stack, NULL, ratio);
        const double beta = band_of(&stack), error = sqrt(beta / s.n) / 2 / log(10);
        const double decades = mean_of(&s) + beta / 4 / log(10);
        is_near(decades, ratio[0] / log(10), 4 * error,
                "sigmoid, %d layers: as predicted", rows[i].depth);
        is_near(decades, rows[i].decades, 4 * error + 0.05, "sigmoid, %d layers: 10^%.1f",
                rows[i].depth, rows[i].decades);
        const double layer_decades = decades / (rows[i].depth - 1);
        is_near(layer_decades, -0.85, 0.005 + 4 * error / 29, "0.85 decades per layer");
        is_near(-1 / (2 * log(10) * layer_decades), 0.256,
                0.001 + 0.256 * 4 * error / 24.6, "xi is 0.256");
    }
    is_text(cr_message(ctx), "", "no errors");
    cr_close(ctx);
}

/* At the edge of chaos the gradient decays as a power; beyond it, it grows and units saturate. */
static void tanh_gains(void)
{
    cr_flow_stack stack = { .activation = cr_flow_activation_find("tanh"),
                            .sigma_w2 = 1,
                            .width = 128,
                            .depth = 30 };
    sample s = ratios(&stack, 0, 1, 16);
    double beta = band_of(&stack), error = sqrt(beta / s.n) / 2;
    is_near((mean_of(&s) + beta / 2) / 2, log(0.157), 4 * error,
            "tanh at 1: .157 over 30 layers");

    enum { FROM = 8 };
    stack.sigma_w2 = 25.0 / 9;
    s = ratios(&stack, FROM, 1, 32);
    stack.depth -= FROM;
    beta = band_of(&stack);
    const double factors = (double)(stack.depth - 1);
    error = sqrt(beta / s.n) / 2 / factors;
    is_near(exp((mean_of(&s) + beta / 2) / 2 / factors), 1.10, 4 * 1.1 * error + 0.005,
            "tanh, gain 5/3: 1.10 per layer");

    stack.depth = 30;
    sample beyond = { 0 };
    cr_ctx *ctx = cr_open(NULL);
    for (int seed = 0; seed < 8 * more; seed++) {
        network net;
        cr_seed(ctx, (uint64_t)seed);
        cr_scope_push(ctx);
        run(ctx, &stack, 1, &net);
        for (int l = FROM; l < 30; l++) {
            const double *h = cr_data(net.h[l]);
            double n = 0;
            for (int64_t i = 0; i < stack.width; i++)
                n += fabs(tanh(h[i])) > 0.97;
            add(&beyond, n / (double)stack.width);
        }
        cr_scope_pop(ctx);
    }
    cr_close(ctx);
    is_near(mean_of(&beyond), 0.054,
            4 * sqrt(variance_of(&beyond) / (8.0 * more)) / 2 + 0.0005,
            "tanh, gain 5/3: 5.4%% beyond .97");
}

/* Factors per layer behind norms. The theory is that of a wide layer and a large batch. What is
 * left is of order 1/batch; with the width the measured one comes down to it, as 1/sqrt(width) in
 * experiments (sigmoid and batch norm: 1.057, 1.046, 1.037, 1.028 at 32, 64, 128, 256). */
static void norms(void)
{
    static const struct {
        const char *activation;
        cr_flow_norm norm;
        double factor;
        int64_t batch, width;
    } rows[] = {
        { "relu", CR_FLOW_BATCH_NORM, 1.2112, 128, 64 },
        { "relu", CR_FLOW_BATCH_NORM, 1.2112, 32, 64 },
        { "sigmoid", CR_FLOW_BATCH_NORM, 1.0167, 128, 32 },
        { "sigmoid", CR_FLOW_BATCH_NORM, 1.0167, 64, 192 },
        { "tanh", CR_FLOW_BATCH_NORM, 1.0853, 128, 64 },
        { "sigmoid", CR_FLOW_LAYER_NORM, 0.3909, 4, 100 },
        { "tanh", CR_FLOW_LAYER_NORM, 1.0853, 4, 100 },
        { "relu", CR_FLOW_RMS_NORM, 1, 4, 100 },
    };
    enum { FROM = 4, DEPTH = 16, SEEDS = 8, FACTORS = DEPTH - 1 - FROM };
    double above[sizeof rows / sizeof *rows];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const cr_flow_stack stack = {
            .activation = cr_flow_activation_find(rows[i].activation),
            .sigma_w2 = 1.5,
            .norm = rows[i].norm,
            .width = rows[i].width,
            .depth = DEPTH,
        };
        cr_flow_prediction p;
        cr_flow_predict(&stack, &p);
        is_near(p.factor, rows[i].factor, 0.5e-4, "%s: what a norm makes",
                rows[i].activation);
        const sample s = ratios(&stack, FROM, rows[i].batch, SEEDS);
        const bool batched = rows[i].norm == CR_FLOW_BATCH_NORM;
        const double finite =
            batched ? 0.3 / sqrt((double)rows[i].width) + 1 / (double)rows[i].batch
                    : 1 / (double)rows[i].width;
        const double error = sqrt(variance_of(&s) / s.n) / 2 / FACTORS;
        above[i] = mean_of(&s) / 2 / FACTORS - log(p.factor);
        is_near(above[i], 0, 4 * error + finite, "%s, norm %d, batch %d: %.4f per layer",
                rows[i].activation, (int)rows[i].norm, (int)rows[i].batch,
                exp(mean_of(&s) / 2 / FACTORS));
    }
    ok(above[3] < 0.7 * above[2],
       "sigmoid and batch norm: wider is nearer, %.4f after %.4f", above[3], above[2]);
}

/* Residual streams: the same blocks as a closed formula. */
static void residuals(void)
{
    enum { L = 20 };
    cr_flow_stack stack = { .activation = cr_flow_activation_find("relu"),
                            .sigma_w2 = 1.3,
                            .residual = CR_FLOW_PRE_ACTIVATION,
                            .width = 100,
                            .depth = L + 1 };
    sample s = ratios(&stack, 0, 1, 16);
    double beta = band_of(&stack);
    is_near(mean_of(&s) + beta / 2, L * log(1.65), 4 * sqrt(beta / s.n),
            "(1 + sigma_w2/2)^L");
    stack.sigma_w2 = 2;
    stack.branch_scale = 1 / sqrt(L);
    s = ratios(&stack, 0, 1, 16);
    beta = band_of(&stack);
    is_near(mean_of(&s) + beta / 2, 1, 4 * sqrt(beta / s.n) + 1.0 / L,
            "scaled by 1/sqrt(L): e");
    stack = (cr_flow_stack){ .activation = stack.activation,
                             .sigma_w2 = 2,
                             .width = 100,
                             .residual = CR_FLOW_PRE_ACTIVATION,
                             .norm = CR_FLOW_LAYER_NORM,
                             .depth = L + 1 };
    s = ratios(&stack, 0, 4, 16); /* q_l is l + 1: from 2 to L + 2 */
    beta = band_of(&stack);
    is_near(mean_of(&s), log((L + 2) / 2.0), 4 * sqrt(beta / s.n) + 1.0 / 25,
            "pre-norm: a power");
}

/* Xavier's variance with ReLU: each layer's gradient is as large as the next one's, and yet delta
 * decays, since activations decay as well. */
static void xavier_relu(void)
{
    const cr_flow_stack stack = { .activation = cr_flow_activation_find("relu"),
                                  .sigma_w2 = 1,
                                  .width = 128,
                                  .depth = 31 };
    sample weights = { 0 }, deltas = { 0 };
    cr_ctx *ctx = cr_open(NULL);
    for (int seed = 0; seed < 12 * more; seed++) {
        network net;
        cr_seed(ctx, 77 + (uint64_t)seed);
        cr_scope_push(ctx);
        run(ctx, &stack, 1, &net);
        add(&weights, log(square_sum(net.dw[0]) / square_sum(net.dw[30])));
        add(&deltas, net.ln_delta2[0] - net.ln_delta2[30]);
        cr_scope_pop(ctx);
    }
    cr_close(ctx);
    const double beta = band_of(&stack), error = sqrt(beta / deltas.n) / 2;
    is_near((mean_of(&deltas) + beta / 2) / 2, log(3e-5), 4 * error + 0.02,
            "relu, Xavier: delta loses all but 3e-5 of it in 30 layers");
    /* |dW_1|/|dW_31| = |delta_1| |x| / (|delta_31| |a_30|): 1, and both parts fluctuate by beta */
    is_near(mean_of(&weights) / 2, 0, 2 * 4 * error,
            "weight gradients are alike (a ratio of 1.19 is within: %.2f)",
            exp(2 * 4 * error));
    ok(4 * 2 * error > log(1.19), "the band holds 1.19");
}

/* sum W dL/dW is the derivative along the scale of one layer; a bias-free ReLU network is
 * homogeneous of degree 1 in each, so that it is L's own for all (Du et al., 2018). */
static void homogeneity(void)
{
    const cr_flow_stack stack = { .activation = cr_flow_activation_find("relu"),
                                  .sigma_w2 = 2,
                                  .width = 32,
                                  .depth = 24 };
    cr_ctx *ctx = cr_open(NULL);
    for (int seed = 0; seed < 8; seed++) {
        network net;
        cr_seed(ctx, (uint64_t)seed);
        cr_scope_push(ctx);
        run(ctx, &stack, 3, &net);
        const double first = cr_item(cr_sum(cr_mul(net.w[0], net.dw[0])));
        double worst = 0;
        for (int l = 1; l < 24; l++)
            worst =
                fmax(worst, fabs(cr_item(cr_sum(cr_mul(net.w[l], net.dw[l]))) - first));
        ok(fabs(first) > 0.01 && worst < 1e-10 * fabs(first),
           "<W, dL/dW> is %.6f in all layers, to %.1e", first, worst);
        cr_scope_pop(ctx);
    }
    cr_close(ctx);
}

/* J of one input: as many copies of it as outputs, each sent back with one unit cotangent. Moments
 * of its squared singular values: tr(J J^T)/n and tr((J J^T)^2)/n. */
static double jacobian_variance(cr_ctx *ctx, const cr_flow_stack *stack)
{
    const int64_t n = stack->width;
    cr_tensor *x = cr_expand(normal_of(ctx, 1, n, stack->q0), CR_DIMS(n, n));
    cr_tensor *first = cr_requires_grad(cr_detach(x)), *h = first, *jacobian;
    for (int l = 0; l < stack->depth; l++) /* phi(W h) */
        h = branch_of(stack, affine(stack, h, weight_of(ctx, stack)));
    cr_tensor *unit = cr_eye(ctx, n, .dtype = CR_F64);
    cr_gradients(&h, 1, &first, 1, &jacobian, .cotangents = &unit);
    const double m1 = square_sum(jacobian) / (double)n;
    const double m2 =
        square_sum(cr_matmul(jacobian, cr_transpose(jacobian, 0, 1))) / (double)n;
    return m2 / (m1 * m1) - 1;
}

static void jacobians(void)
{
    static const struct {
        const char *activation;
        double sigma_w2;
        bool orthogonal;
    } rows[] = {
        { "linear", 1, false }, { "relu", 2, false },       { "tanh", 25.0 / 9, false },
        { "relu", 2, true },    { "tanh", 25.0 / 9, true },
    };
    enum { L = 4, SEEDS = 8, N = 96 };
    cr_ctx *ctx = cr_open(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_flow_stack stack = {
            .activation = cr_flow_activation_find(rows[i].activation),
            .sigma_w2 = rows[i].sigma_w2,
            .width = N,
            .depth = L,
            .orthogonal = rows[i].orthogonal,
        };
        cr_flow_prediction p;
        cr_flow_predict(&stack, &p);
        stack.q0 = p.q_star / stack.sigma_w2; /* then the first layer has q* */
        sample s = { 0 };
        for (int seed = 0; seed < SEEDS * more; seed++) {
            cr_seed(ctx, (uint64_t)seed);
            cr_scope_push(ctx);
            add(&s, jacobian_variance(ctx, &stack));
            cr_scope_pop(ctx);
        }
        const double error = sqrt(variance_of(&s) / s.n), v = p.jacobian_variance;
        is_near(mean_of(&s), v, 4 * error + v * v / N,
                "%s, %s: spread of singular values", rows[i].activation,
                rows[i].orthogonal ? "orthogonal" : "gaussian");
    }
    cr_close(ctx);
}

/* Two inputs go through one network: the correlation of what comes out, far down, is c*. */
static void correlations(void)
{
    static const struct {
        const char *activation;
        double sigma_w2, sigma_b2, dropout;
        cr_flow_norm norm;
    } rows[] = {
        { "tanh", 25.0 / 9, 0.09, 0, CR_FLOW_NO_NORM },
        { "tanh", 6, 0.09, 0, CR_FLOW_NO_NORM },
        { "sigmoid", 2, 0, 0, CR_FLOW_NO_NORM },
        { "relu", 1.6, 0.1, 0.2, CR_FLOW_NO_NORM },
        { "gelu", 2, 0, 0, CR_FLOW_LAYER_NORM },
    };
    enum { DEPTH = 40, FROM = 30, WIDTH = 96, SEEDS = 10 };
    cr_ctx *ctx = cr_open(NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const cr_flow_stack stack = {
            .activation = cr_flow_activation_find(rows[i].activation),
            .sigma_w2 = rows[i].sigma_w2,
            .sigma_b2 = rows[i].sigma_b2,
            .dropout = rows[i].dropout,
            .norm = rows[i].norm,
            .width = WIDTH,
            .depth = DEPTH,
        };
        cr_flow_prediction p;
        cr_flow_predict(&stack, &p);
        sample seeds = { 0 };
        for (int seed = 0; seed < SEEDS * more; seed++) {
            network net;
            cr_seed(ctx, 5 + (uint64_t)seed);
            cr_scope_push(ctx);
            run(ctx, &stack, 2, &net);
            sample of_seed = { 0 };
            for (int l = FROM; l < DEPTH; l++) {
                const double *h = cr_data(net.h[l]);
                double aa = 0, bb = 0, ab = 0;
                for (int k = 0; k < WIDTH; k++) {
                    aa += h[k] * h[k];
                    bb += h[WIDTH + k] * h[WIDTH + k];
                    ab += h[k] * h[WIDTH + k];
                }
                add(&of_seed, ab / sqrt(aa * bb));
            }
            add(&seeds, mean_of(&of_seed));
            cr_scope_pop(ctx);
        }
        const double error = sqrt(variance_of(&seeds) / seeds.n);
        is_near(mean_of(&seeds), p.c_star, 4 * error + 1.0 / WIDTH,
                "%s at %.2f, %.2f: c*", rows[i].activation, rows[i].sigma_w2,
                rows[i].sigma_b2);
    }
    is_text(cr_message(ctx), "", "no errors");
    cr_close(ctx);
}

/* A convolution's fan-in is channels times the kernel's size. The image is a circle, so that there
 * are no borders (Xiao et al., 2018). */
static void convolutions(void)
{
    enum { CHANNELS = 24, SIZE = 6, DEPTH = 12, SEEDS = 8 };
    const cr_flow_stack stack = { .activation = cr_flow_activation_find("tanh"),
                                  .sigma_w2 = 2.5,
                                  .width = CHANNELS,
                                  .depth = DEPTH };
    double ratio[DEPTH];
    cr_flow_profile(&stack, NULL, ratio);
    sample s = { 0 };
    cr_ctx *ctx = cr_open(NULL);
    for (int seed = 0; seed < SEEDS * more; seed++) {
        cr_seed(ctx, (uint64_t)seed);
        cr_scope_push(ctx);
        const cr_dims image = CR_DIMS(1, CHANNELS, SIZE, SIZE);
        cr_tensor *h = cr_requires_grad(cr_randn(ctx, image, .dtype = CR_F64));
        cr_tensor *ends[2], *deltas[2],
            *cotangent = cr_randn(ctx, image, .dtype = CR_F64);
        for (int l = 0; l < DEPTH; l++) {
            cr_tensor *w =
                cr_randn(ctx, CR_DIMS(CHANNELS, CHANNELS, 3, 3), .dtype = CR_F64);
            cr_tensor *x = l ? cr_tanh(h) : h;
            x = cr_pad(x, CR_DIMS(1, 1, 1, 1), .mode = CR_MODE_CIRCULAR);
            h = cr_conv2d(x, cr_mul(w, sqrt(stack.sigma_w2 / (9 * CHANNELS))), NULL);
            if (l == 0)
                ends[0] = h;
        }
        ends[1] = h;
        cr_gradients(&h, 1, ends, 2, deltas, .cotangents = &cotangent);
        add(&s, log(square_sum(deltas[0]) / square_sum(deltas[1])));
        cr_scope_pop(ctx);
    }
    is_text(cr_message(ctx), "", "no errors");
    cr_close(ctx);
    const double beta =
        band_of(&stack); /* of one position: those of an image are averaged */
    is_near(mean_of(&s), 2 * ratio[0] - beta / 4, 4 * sqrt(beta / s.n) + beta / 4,
            "convolution");
}

/* What theory calls an activation is what the module computes. */
static void modules(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_module *all[] = {
        cr_nn_sigmoid(ctx),
        cr_nn_tanh(ctx),
        cr_nn_relu(ctx),
        cr_nn_silu(ctx),
        cr_nn_leaky_relu(ctx, 0.01),
        cr_nn_softplus(ctx),
        cr_nn_gelu(ctx),
        cr_nn_relu6(ctx),
        cr_nn_selu(ctx),
        cr_nn_mish(ctx),
        cr_nn_hardsigmoid(ctx),
        cr_nn_hardswish(ctx),
        cr_nn_softsign(ctx),
        cr_nn_tanhshrink(ctx),
        cr_nn_logsigmoid(ctx),
        cr_nn_hardtanh(ctx),
        cr_nn_elu(ctx),
        cr_nn_celu(ctx),
        cr_nn_softshrink(ctx),
        cr_nn_hardshrink(ctx),
    };
    cr_tensor *x = cr_requires_grad(cr_linspace(ctx, -9.03, 9, 301, .dtype = CR_F64));
    const double *at = cr_data(x);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        cr_tensor *y = cr_nn_forward(all[i], x), *one = cr_ones_like(x), *slope = NULL;
        cr_gradients(&y, 1, &x, 1, &slope, .cotangents = &one);
        const double *values = cr_data(y), *slopes = cr_data(slope);
        const cr_flow_activation *phi = cr_flow_activation_find(cr_nn_kind(all[i]));
        double worst = phi && values && slopes ? 0 : NAN;
        for (int k = 0; k < 301 && worst >= 0; k++)
            worst = fmax(worst, fmax(fabs(values[k] - phi->value(at[k], phi->user)),
                                     fabs(slopes[k] - phi->slope(at[k], phi->user))));
        ok(worst < 1e-12, "%s: theory's is the module's, to %.1e", cr_nn_kind(all[i]),
           worst);
        cr_nn_free(all[i]);
    }
    is_text(cr_message(ctx), "", "no errors");
    cr_close(ctx);
}

int main(int argc, char **argv)
{
    more = argc > 1 && atoi(argv[1]) > 1 ? atoi(argv[1]) : 1;
    stacks();
    default_sigmoid();
    tanh_gains();
    norms();
    residuals();
    xavier_relu();
    homogeneity();
    jacobians();
    correlations();
    convolutions();
    modules();
    return done_testing();
}
