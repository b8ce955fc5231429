/* Modules and initialisers: the tree and its names, modes, every forward against its
 * formula, lifetime, messages, and what is left when memory runs out. */
#include "engine.h"
#include <stdlib.h>

/* The elements of an f64 or f32 tensor, as doubles; freed by the caller. */
static double *values(cr_tensor *x)
{
    int64_t n = cr_numel(x);
    double *v = calloc((size_t)n + 1, sizeof *v);
    const void *data = cr_data(x);
    for (int64_t i = 0; data && i < n; i++)
        v[i] = cr_dtype_of(x) == CR_F32 ? (double)((const float *)data)[i]
                                        : ((const double *)data)[i];
    return v;
}

/* The largest |x - want|; infinite if sizes differ or an error is pending. */
static double distance(cr_tensor *x, const double *want, int64_t n)
{
    if (!x || cr_numel(x) != n || cr_eval(x) != CR_OK)
        return INFINITY;
    double worst = 0, *got = values(x);
    for (int64_t i = 0; i < n; i++)
        worst = fmax(worst, isnan(got[i] - want[i]) ? INFINITY : fabs(got[i] - want[i]));
    free(got);
    return worst;
}

static cr_tensor *f64(cr_ctx *ctx, cr_dims dims, const double *data)
{
    return cr_from(ctx, CR_F64, dims, data);
}

/* ---- the tree ---- */

static cr_module *small_network(cr_ctx *ctx)
{
    cr_module *inner = cr_nn_sequential(ctx), *net = cr_nn_sequential(ctx);
    cr_nn_add(inner, cr_nn_linear(ctx, 3, 3, .dtype = CR_F64));
    cr_nn_add(inner, cr_nn_tanh(ctx));
    cr_nn_add(net, cr_nn_linear(ctx, 2, 3, .dtype = CR_F64, .no_bias = true));
    cr_nn_add(net, cr_nn_residual(ctx, inner));
    cr_nn_add(net, cr_nn_batch_norm1d(ctx, 3, .dtype = CR_F64));
    return net;
}

static void test_names(cr_ctx *ctx)
{
    static const char *const names[] = { "0.weight", "1.inner.0.weight", "1.inner.0.bias",
                                         "2.weight", "2.bias" };
    cr_module *net = small_network(ctx);
    const cr_params *params = cr_nn_params(net), *buffers = cr_nn_buffers(net);
    is_int(params->n, 5, "five parameters");
    for (int i = 0; i < 5 && i < params->n; i++) {
        is_text(params->list[i].name, names[i], "parameter %d is %s", i, names[i]);
        ok(cr_needs_grad(params->list[i].tensor), "%s requires a gradient", names[i]);
        ok(cr_nn_param(net, names[i]) == params->list[i].tensor, "%s is found", names[i]);
    }
    ok(buffers->n == 2 && !strcmp(buffers->list[0].name, "2.running_mean") &&
           !strcmp(buffers->list[1].name, "2.running_var"),
       "two buffers");
    ok(!cr_needs_grad(cr_nn_param(net, "2.running_mean")),
       "a buffer requires no gradient");
    ok(!cr_nn_param(net, "9.weight") && failed_with(ctx, CR_ERR_ARGUMENT, "9.weight"),
       "an unknown name is an error that repeats it");
    is_int(cr_nn_count(net), 3, "three children");
    is_text(cr_nn_kind(cr_nn_child(net, 1)), "residual", "the second is residual");
    ok(!cr_nn_child(net, 3) && !cr_nn_child(net, -1), "there is no fourth");

    cr_nn_add(net, cr_nn_layer_norm(ctx, 3));
    ok(cr_nn_params(net) == params && params->n == 7 &&
           !strcmp(params->list[6].name, "3.bias"),
       "the list is remade in its place when a module is added");
    cr_nn_free(net);
}

static void test_modes(cr_ctx *ctx)
{
    cr_module *net = small_network(ctx), *deep = cr_nn_child(cr_nn_child(net, 1), 0);
    ok(cr_nn_is_training(net) && cr_nn_is_training(deep),
       "modules start in training mode");
    cr_nn_train(net, false);
    ok(!cr_nn_is_training(net) && !cr_nn_is_training(deep), "the mode reaches all below");
    cr_nn_train(deep, true);
    ok(!cr_nn_is_training(net) && cr_nn_is_training(deep), "and nothing above");
    cr_nn_free(net);
}

static void test_ownership(cr_ctx *ctx)
{
    cr_module *net = cr_nn_sequential(ctx), *child = cr_nn_relu(ctx);
    ok(cr_nn_add(net, child) == CR_OK, "a child is added");
    cr_nn_add(net, child);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "belongs to a sequential already"),
       "but not twice");
    cr_nn_add(net, net);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "cannot hold itself"), "nor to itself");
    cr_nn_free(child);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "which frees it"), "an owned one is not freed");
    cr_nn_add(net, NULL);
    ok(failed_with(ctx, CR_ERR_NULL, "NULL"), "NULL is not added");
    cr_nn_add(child, cr_nn_linear(ctx, 2, 2));
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "relu holds no modules"),
       "a relu holds no modules");
    ok(!cr_nn_residual(ctx, NULL) && failed_with(ctx, CR_ERR_NULL, "NULL"),
       "a residual needs something inside");
    is_int(cr_nn_count(net), 1, "nothing of this changed the network");
    cr_nn_free(net);
    cr_nn_free(NULL);
}

/* ---- forwards ---- */

static void test_linear(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double x[] = { 1, -2, 0.5, 3, 4, -1 }; /* [3, 2] */
    double want[6];
    cr_module *linear = cr_nn_linear(ctx, 2, 2, .dtype = CR_F64);
    double *w = values(cr_nn_param(linear, "weight")),
           *b = values(cr_nn_param(linear, "bias"));
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 2; j++)
            want[2 * i + j] = x[2 * i] * w[2 * j] + x[2 * i + 1] * w[2 * j + 1] + b[j];
    cr_tensor *y = cr_nn_forward(linear, f64(ctx, CR_DIMS(3, 2), x));
    ok(distance(y, want, 6) < 1e-14, "linear: x W^T + b");
    free(w);
    free(b);
    cr_nn_free(linear);

    linear = cr_nn_linear(ctx, 100, 300);
    w = values(cr_nn_param(linear, "weight"));
    b = values(cr_nn_param(linear, "bias"));
    double largest = 0, smallest = 0, bias = 0;
    for (int i = 0; i < 30000; i++) {
        largest = fmax(largest, w[i]);
        smallest = fmin(smallest, w[i]);
    }
    for (int i = 0; i < 300; i++)
        bias = fmax(bias, fabs(b[i]));
    ok(largest <= 0.1 && largest > 0.0999 && smallest >= -0.1 && smallest < -0.0999,
       "linear: weights in +-1/sqrt(in), up to the bounds");
    ok(bias <= 0.1 && bias > 0.095, "linear: the bias likewise");
    is_int(cr_dtype_of(cr_nn_param(linear, "weight")), CR_F32, "linear: f32 by default");
    free(w);
    free(b);
    cr_nn_free(linear);
}

static double softplus(double x)
{
    return log1p(exp(x));
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double relu(double x)
{
    return x > 0 ? x : 0;
}

static double gelu(double x)
{
    return x / 2 * (1 + erf(x / sqrt(2)));
}

static double silu(double x)
{
    return x * sigmoid(x);
}

static double leaky(double x)
{
    return x > 0 ? x : 0.2 * x;
}

static void test_activations(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double x[] = { -3, -0.5, 0, 0.25, 2 };
    const struct {
        cr_module *module;
        const char *kind;
        double (*function)(double x);
    } rows[] = {
        { cr_nn_sigmoid(ctx), "sigmoid", sigmoid },
        { cr_nn_tanh(ctx), "tanh", tanh },
        { cr_nn_relu(ctx), "relu", relu },
        { cr_nn_softplus(ctx), "softplus", softplus },
        { cr_nn_gelu(ctx), "gelu", gelu },
        { cr_nn_silu(ctx), "silu", silu },
        { cr_nn_leaky_relu(ctx, 0.2), "leaky_relu", leaky },
    };
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        double want[5];
        for (int i = 0; i < 5; i++)
            want[i] = rows[k].function(x[i]);
        cr_tensor *y = cr_nn_forward(rows[k].module, f64(ctx, CR_DIMS(5), x));
        ok(distance(y, want, 5) < 1e-14, "%s is its formula", rows[k].kind);
        is_text(cr_nn_kind(rows[k].module), rows[k].kind, "and is called %s",
                rows[k].kind);
        is_int(cr_nn_params(rows[k].module)->n, 0, "and has no parameters");
        cr_nn_free(rows[k].module);
    }
}

static void test_dropout(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    enum { N = 20000 };
    cr_module *dropout = cr_nn_dropout(ctx, 0.25);
    cr_tensor *x = cr_ones(ctx, CR_DIMS(N), .dtype = CR_F64);
    double *y = values(cr_nn_forward(dropout, x));
    int zeros = 0, others = 0;
    for (int i = 0; i < N; i++) {
        zeros += y[i] == 0;
        others += y[i] != 0 && fabs(y[i] - 4.0 / 3) > 1e-15;
    }
    free(y);
    is_near((double)zeros / N, 0.25, 5 * sqrt(0.25 * 0.75 / N),
            "dropout: a quarter is zero");
    is_int(others, 0, "dropout: the rest is x / (1 - p)");
    cr_nn_train(dropout, false);
    ok(cr_nn_forward(dropout, x) == x, "dropout: the identity in evaluation");
    cr_nn_free(dropout);
    ok(!cr_nn_dropout(ctx, 1.5) && failed_with(ctx, CR_ERR_ARGUMENT, "1.5"),
       "dropout: p above 1 is an error");
    ok(!cr_nn_dropout(ctx, (double)NAN) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "probability"),
       "dropout: so is NaN");
}

/* (x - mean) / sqrt(var + 1e-5) over n numbers, step apart. */
static void normalise(const double *x, int n, int step, double *y, double *mean,
                      double *var)
{
    *mean = *var = 0;
    for (int i = 0; i < n; i++)
        *mean += x[i * step] / n;
    for (int i = 0; i < n; i++)
        *var += (x[i * step] - *mean) * (x[i * step] - *mean) / n;
    for (int i = 0; i < n; i++)
        y[i * step] = (x[i * step] - *mean) / sqrt(*var + 1e-5);
}

static void test_norms(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double x[] = { 1, 5, -2, 0.5, 3, -1, 4, 2.5 }; /* [4, 2] */
    double want[8], mean[2], var[2], unused[2];
    cr_tensor *in = f64(ctx, CR_DIMS(4, 2), x);

    cr_module *batch = cr_nn_batch_norm1d(ctx, 2, .dtype = CR_F64);
    for (int c = 0; c < 2; c++)
        normalise(x + c, 4, 2, want + c, &mean[c], &var[c]);
    ok(distance(cr_nn_forward(batch, in), want, 8) < 1e-14,
       "batch_norm1d: the batch's moments");
    const double running_mean[] = { 0.1 * mean[0], 0.1 * mean[1] };
    const double running_var[] = { 0.9 + 0.1 * var[0] * 4 / 3,
                                   0.9 + 0.1 * var[1] * 4 / 3 };
    ok(distance(cr_nn_param(batch, "running_mean"), running_mean, 2) < 1e-15 &&
           distance(cr_nn_param(batch, "running_var"), running_var, 2) < 1e-15,
       "batch_norm1d: running statistics move by a tenth, with the unbiased variance");
    cr_nn_train(batch, false);
    for (int i = 0; i < 8; i++)
        want[i] = (x[i] - running_mean[i % 2]) / sqrt(running_var[i % 2] + 1e-5);
    ok(distance(cr_nn_forward(batch, in), want, 8) < 1e-14,
       "batch_norm1d: the running statistics in evaluation");
    ok(distance(cr_nn_param(batch, "running_mean"), running_mean, 2) < 1e-15,
       "batch_norm1d: which leaves them alone");
    cr_nn_train(batch, true);
    ok(!cr_nn_forward(batch, cr_slice(in, 0, 0, 1)) &&
           failed_with(ctx, CR_ERR_SHAPE, "batch of one"),
       "batch_norm1d: a batch of one is an error in training");
    cr_nn_free(batch);

    cr_module *layer = cr_nn_layer_norm(ctx, 2, .dtype = CR_F64);
    for (int r = 0; r < 4; r++)
        normalise(x + 2 * r, 2, 1, want + 2 * r, &unused[0], &unused[1]);
    ok(distance(cr_nn_forward(layer, in), want, 8) < 1e-14,
       "layer_norm: each row's moments");
    cr_nn_free(layer);
}

/* ---- modules that hold others ---- */

static void test_composition(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double x[] = { 0.5, -1, 2 };
    double want[3];
    cr_module *inner = cr_nn_sequential(ctx), *net = cr_nn_sequential(ctx);
    cr_nn_add(inner, cr_nn_tanh(ctx));
    cr_nn_add(inner, cr_nn_sigmoid(ctx));
    cr_nn_add(net, cr_nn_residual(ctx, inner));
    cr_nn_add(net, cr_nn_relu(ctx));
    for (int i = 0; i < 3; i++)
        want[i] = relu(x[i] + sigmoid(tanh(x[i])));
    ok(distance(cr_nn_forward(net, f64(ctx, CR_DIMS(3), x)), want, 3) < 1e-15,
       "sequential and residual: relu(x + sigmoid(tanh(x)))");
    cr_nn_free(net);
    net = cr_nn_sequential(ctx);
    cr_tensor *in = f64(ctx, CR_DIMS(3), x);
    ok(cr_nn_forward(net, in) == in, "an empty sequential is the identity");
    cr_nn_free(net);
}

/* y = (x + child(x)) * scale */
static cr_tensor *scaled_sum(cr_module *module, cr_tensor *x, void *user)
{
    cr_tensor *scale = cr_nn_param(module, "scale");
    (void)user;
    return cr_mul(cr_add(x, cr_nn_forward(cr_nn_child(module, 0), x)), scale);
}

static cr_tensor *nothing(cr_module *module, cr_tensor *x, void *user)
{
    (void)module, (void)x, (void)user;
    return NULL;
}

static void count_call(void *user)
{
    ++*(int *)user;
}

static void test_custom(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const double x[] = { 0.5, -1 },
                 want[] = { 3 * (0.5 + tanh(0.5)), 3 * (-1 + tanh(-1)) };
    int freed = 0;
    cr_module *custom = cr_nn_custom(ctx, "scaled_sum", scaled_sum, &freed, count_call);
    {
        CR_SCOPE(ctx); /* what the module takes over outlives the scope it was made in */
        cr_nn_add_param(custom, "scale", cr_full(ctx, CR_DIMS(1), 3.0, .dtype = CR_F64));
        cr_nn_add_buffer(custom, "count", cr_full(ctx, CR_DIMS(1), 7.0, .dtype = CR_F64));
    }
    cr_nn_add(custom, cr_nn_tanh(ctx));
    cr_tensor *y = cr_nn_forward(custom, f64(ctx, CR_DIMS(2), x));
    ok(distance(y, want, 2) < 1e-15, "a module of one's own");
    cr_backward(cr_sum(y));
    is_near(cr_item(cr_grad(cr_nn_param(custom, "scale"))), want[0] / 3 + want[1] / 3,
            1e-15, "its parameter gets a gradient");
    is_text(cr_nn_kind(custom), "scaled_sum", "its kind is its own");
    is_near(cr_item(cr_nn_param(custom, "count")), 7, 0, "its buffer is found");
    cr_nn_add_param(custom, "scale", cr_full(ctx, CR_DIMS(1), 3.0, .dtype = CR_F64));
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "scale"), "a name is given once");
    cr_nn_add_param(custom, "a.b", cr_full(ctx, CR_DIMS(1), 3.0, .dtype = CR_F64));
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "a.b"), "a name has no dots");
    cr_nn_add_param(custom, "other", NULL);
    ok(failed_with(ctx, CR_ERR_NULL, "other"), "a parameter is not NULL");
    cr_nn_free(custom);
    is_int(freed, 1, "user data is freed once");
    custom = cr_nn_custom(ctx, "nothing", nothing, NULL, NULL);
    ok(!cr_nn_forward(custom, cr_ones(ctx, CR_DIMS(2))) &&
           failed_with(ctx, CR_ERR_NULL, "nothing"),
       "a forward that returns NULL is an error");
    cr_nn_free(custom);
    ok(!cr_nn_custom(ctx, "none", NULL, &freed, count_call) &&
           failed_with(ctx, CR_ERR_NULL, "forward") && freed == 2,
       "a custom module needs a forward; user data is taken over also then");
}

/* ---- lifetime and messages ---- */

static void test_lifetime(cr_ctx *ctx)
{
    cr_module *net;
    {
        CR_SCOPE(ctx);
        net = small_network(ctx);
    }
    cr_tensor *y = NULL;
    {
        CR_SCOPE(ctx);
        y = cr_nn_forward(net, cr_ones(ctx, CR_DIMS(4, 2), .dtype = CR_F64));
        ok(y && cr_eval(y) == CR_OK, "a module outlives the scope it was made in");
    }
    cr_nn_free(net);

    cr_eval(cr_zeros(ctx, CR_DIMS(1)));
    size_t before = cr_memory_used(ctx);
    for (int i = 0; i < 10; i++) {
        net = cr_nn_linear(ctx, 64, 64);
        cr_eval(cr_nn_param(net, "weight"), cr_nn_param(net, "bias"));
        cr_nn_free(net);
    }
    is_int((int64_t)cr_memory_used(ctx), (int64_t)before,
           "a freed module gives its memory back, also in the root scope");
}

static void test_watched(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = cr_nn_linear(ctx, 2, 1, .dtype = CR_F64);
    cr_optim *optim = cr_optim_sgd(cr_nn_params(net), 0.5);
    cr_tensor *weight = cr_nn_param(net, "weight"),
              *x = cr_ones(ctx, CR_DIMS(3, 2), .dtype = CR_F64);
    double *w = values(weight), *b = values(cr_nn_param(net, "bias")),
           y0 = w[0] + w[1] + b[0];
    cr_tensor *y = cr_nn_forward(net, x);
    cr_tensor *loss = cr_sum(y);
    cr_backward(loss);
    cr_optim_step(optim);
    is_near(cr_item(loss), 3 * y0, 1e-14, "a step runs with the loss");
    ok(distance(y, (double[]){ y0, y0, y0 }, 3) < 1e-14,
       "the network's output can be read after the step");
    ok(distance(cr_grad(y), (double[]){ 1, 1, 1 }, 3) == 0, "and its gradient");
    ok(distance(weight, (double[]){ w[0] - 1.5, w[1] - 1.5 }, 2) < 1e-15,
       "the step was taken");
    free(w);
    free(b);
    cr_optim_free(optim);
    cr_nn_free(net);
}

static void test_messages(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = small_network(ctx);
    cr_nn_add(net, cr_nn_residual(ctx, cr_nn_linear(ctx, 4, 4, .dtype = CR_F64)));
    cr_tensor *x = cr_ones(ctx, CR_DIMS(5, 2), .dtype = CR_F64);
    ok(!cr_nn_forward(net, x), "a layer of the wrong size stops the forward");
    ok(strstr(cr_message(ctx), "3.inner: linear takes 4 features") &&
           strstr(cr_message(ctx), "[5, 3]") && strstr(cr_message(ctx), "nn.c:"),
       "the message says which layer, which shape, and where");
    ok(failed_with(ctx, CR_ERR_SHAPE, ""), "it is a shape error");
    ok(!cr_nn_forward(net, NULL) && failed_with(ctx, CR_ERR_NULL, "input"),
       "x is not NULL");
    ok(!cr_nn_forward(NULL, x) && cr_error(ctx) == CR_OK, "no module, no forward");
    ok(!cr_nn_linear(ctx, -2, 3) && cr_error(ctx) != CR_OK, "negative sizes are errors");
    ok(!cr_nn_forward(cr_nn_child(net, 0), x),
       "while an error is pending nothing is built");
    cr_clear(ctx);
    ok(cr_nn_forward(cr_nn_child(net, 0), x) != NULL, "after cr_clear() all works again");
    cr_nn_free(net);
}

/* ---- initialisers ---- */

typedef struct moments {
    double mean, std, low, high;
} moments;

static moments moments_of(cr_tensor *x)
{
    double *v = values(x), n = (double)cr_numel(x);
    moments m = { 0, 0, INFINITY, -INFINITY };
    for (int64_t i = 0; i < cr_numel(x); i++) {
        m.mean += v[i] / n;
        m.low = fmin(m.low, v[i]);
        m.high = fmax(m.high, v[i]);
    }
    for (int64_t i = 0; i < cr_numel(x); i++)
        m.std += (v[i] - m.mean) * (v[i] - m.mean) / n;
    m.std = sqrt(m.std);
    free(v);
    return m;
}

/* A sample of a uniform distribution in [low, high], or of a normal one with std: mean
 * and standard deviation within five standard errors. */
static void is_uniform(cr_tensor *x, double low, double high, const char *name)
{
    moments m = moments_of(x);
    double n = (double)cr_numel(x), std = (high - low) / sqrt(12);
    double margin = (high - low) * 1e-6;
    is_near(m.mean, (low + high) / 2, 5 * std / sqrt(n), "%s: the mean", name);
    is_near(m.std, std, 5 * std * sqrt(0.2 / n), "%s: the standard deviation", name);
    ok(m.low >= low - margin && m.high <= high + margin, "%s: within the bounds", name);
    ok(m.low < low + (high - low) * 1e-3 && m.high > high - (high - low) * 1e-3,
       "%s: up to the bounds", name);
}

static void is_normal(cr_tensor *x, double mean, double std, const char *name)
{
    moments m = moments_of(x);
    double n = (double)cr_numel(x);
    is_near(m.mean, mean, 5 * std / sqrt(n), "%s: the mean", name);
    is_near(m.std, std, 5 * std / sqrt(2 * n), "%s: the standard deviation", name);
    ok(m.high > mean + 3 * std && m.low < mean - 3 * std, "%s: has tails", name);
}

static void test_distributions(cr_ctx *ctx, cr_dtype dtype)
{
    CR_SCOPE(ctx);
    /* [out, in, field]: fan_in 200 * 3, fan_out 100 * 3. */
    cr_tensor *w = cr_requires_grad(cr_zeros(ctx, CR_DIMS(100, 200, 3), .dtype = dtype));
    cr_init_default(w);
    is_uniform(w, -1 / sqrt(600), 1 / sqrt(600), "default");
    cr_init_xavier_uniform(w, 2);
    is_uniform(w, -2 * sqrt(6.0 / 900), 2 * sqrt(6.0 / 900), "xavier_uniform");
    cr_init_xavier_normal(w, 2);
    is_normal(w, 0, 2 * sqrt(2.0 / 900), "xavier_normal");
    cr_init_kaiming_uniform(w, sqrt(2));
    is_uniform(w, -sqrt(2) * sqrt(3.0 / 600), sqrt(2) * sqrt(3.0 / 600),
               "kaiming_uniform");
    cr_init_kaiming_normal(w, sqrt(2));
    is_normal(w, 0, sqrt(2.0 / 600), "kaiming_normal");
    cr_init_uniform(w, 2, 5);
    is_uniform(w, 2, 5, "uniform");
    cr_init_normal(w, -3, 0.5);
    is_normal(w, -3, 0.5, "normal");
    cr_init_constant(w, 0.25);
    moments m = moments_of(w);
    ok(m.low == 0.25 && m.high == 0.25, "constant");
    ok(cr_needs_grad(w) && cr_error(ctx) == CR_OK, "initialised leaves stay leaves");
}

/* The largest |q q^T - gain^2 I| over the rows (or columns, if they are fewer). */
static double skew(cr_tensor *x, double gain)
{
    int64_t rows = cr_size(x, 0), cols = cr_numel(x) / rows;
    bool wide = rows <= cols;
    int64_t k = wide ? rows : cols, n = wide ? cols : rows;
    double *q = values(x), worst = 0;
    for (int64_t a = 0; a < k; a++)
        for (int64_t b = 0; b <= a; b++) {
            double sum = a == b ? -gain * gain : 0;
            for (int64_t i = 0; i < n; i++)
                sum += wide ? q[a * n + i] * q[b * n + i] : q[i * k + a] * q[i * k + b];
            worst = fmax(worst, fabs(sum));
        }
    free(q);
    return worst;
}

static void test_orthogonal(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    const cr_dims shapes[] = { CR_DIMS(40, 40), CR_DIMS(20, 50), CR_DIMS(50, 20),
                               CR_DIMS(6, 4, 5), CR_DIMS(1, 1) };
    for (int i = 0; i < 5; i++) {
        cr_tensor *w = cr_requires_grad(cr_zeros(ctx, shapes[i], .dtype = CR_F64));
        cr_init_orthogonal(w, 1.5);
        ok(skew(w, 1.5) < 1e-13, "orthogonal: case %d has orthonormal rows or columns",
           i);
    }
    cr_tensor *w = cr_requires_grad(cr_zeros(ctx, CR_DIMS(64, 64)));
    cr_init_orthogonal(w, 1);
    ok(skew(w, 1) < 1e-5, "orthogonal: in f32");
    /* Uniformly distributed, not with a preferred sign: a column's entries average to
     * zero. */
    double sum = 0;
    w = cr_requires_grad(cr_zeros(ctx, CR_DIMS(1, 1), .dtype = CR_F64));
    for (int i = 0; i < 400; i++) {
        cr_init_orthogonal(w, 1);
        sum += cr_item(w) / 400;
    }
    is_near(sum, 0, 5.0 / 20, "orthogonal: both signs come up");
    w = cr_requires_grad(cr_zeros(ctx, CR_DIMS(0, 4)));
    ok(cr_init_orthogonal(w, 1) == CR_OK, "orthogonal: nothing to do without elements");
}

/* What fails when the initialiser computes it is the initialiser's status. */
static void test_orthogonal_fails(cr_ctx *ctx)
{
    cr_tensor *w = cr_requires_grad(cr_zeros(ctx, CR_DIMS(2, 2)));
    cr_tensor *bad =
        cr_retain(cr_embedding(w, cr_full(ctx, CR_DIMS(1), 5, .dtype = CR_I64)));
    cr_clear(ctx);
    cr_status status = cr_init_orthogonal(w, 1);
    ok(status == cr_error(ctx), "orthogonal: the status %s is the error %s",
       cr_status_name(status), cr_status_name(cr_error(ctx)));
    cr_clear(ctx);
    cr_release(bad);
}

static void test_init_errors(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *vector = cr_named(cr_requires_grad(cr_zeros(ctx, CR_DIMS(5))), "gain");
    ok(cr_init_xavier_uniform(vector, 1) == CR_ERR_SHAPE &&
           failed_with(ctx, CR_ERR_SHAPE, "gain has 1 dimensions"),
       "a vector has no fans");
    ok(cr_init_orthogonal(vector, 1) == CR_ERR_SHAPE &&
           failed_with(ctx, CR_ERR_SHAPE, "gain"),
       "nor rows and columns");
    cr_tensor *integers = cr_zeros(ctx, CR_DIMS(2, 2), .dtype = CR_I64);
    ok(cr_init_normal(integers, 0, 1) == CR_ERR_DTYPE &&
           failed_with(ctx, CR_ERR_DTYPE, "i64"),
       "integers are not initialised");
    is_int(cr_init_default(NULL), CR_ERR_NULL, "NULL is an error");
    cr_fail(ctx, CR_ERR_IO, "pending");
    ok(cr_init_constant(vector, 3) == CR_ERR_IO && failed_with(ctx, CR_ERR_IO, "pending"),
       "a pending error comes first");
    moments m = moments_of(vector);
    ok(m.low == 0 && m.high == 0, "and nothing was initialised");
}

static void test_gains(void)
{
    is_near(cr_init_gain("linear", 0), 1, 0, "gain of linear");
    is_near(cr_init_gain("sigmoid", 0), 1, 0, "gain of sigmoid");
    is_near(cr_init_gain("tanh", 0), 5.0 / 3, 0, "gain of tanh");
    is_near(cr_init_gain("relu", 0), sqrt(2), 0, "gain of relu");
    is_near(cr_init_gain("leaky_relu", 0.5), sqrt(2 / 1.25), 0, "gain of leaky_relu");
    is_near(cr_init_gain("selu", 0), 0.75, 0, "gain of selu");
    ok(isnan(cr_init_gain("softsign", 0)) && isnan(cr_init_gain(NULL, 0)),
       "no gain of others");
}

/* ---- no memory ---- */

/* An allocator that fails once, at the given call. */
typedef struct budget {
    long calls, fail_at, live;
} budget;

static void *give(void *user, size_t bytes)
{
    budget *b = user;
    /* And the next one, with which the library tries again without its cache. */
    long call = b->calls++;
    if (call == b->fail_at || call == b->fail_at + 1)
        return NULL;
    b->live++;
    return malloc(bytes);
}

static void take(void *user, void *memory, size_t bytes)
{
    (void)bytes;
    ((budget *)user)->live -= memory != NULL;
    free(memory);
}

enum { WEIGHTS = 9 };

/* Builds, runs and frees a network, whose weights are `after` behind the step; false if that
 * failed and yet changed something. */
static bool build_and_step(cr_ctx *ctx, double *after)
{
    bool unchanged = true;
    cr_module *net = small_network(ctx);
    cr_nn_add(net, cr_nn_custom(ctx, "custom", scaled_sum, NULL, NULL));
    cr_nn_add_param(cr_nn_child(net, 3), "scale",
                    cr_full(ctx, CR_DIMS(1), 3, .dtype = CR_F64));
    cr_nn_add(cr_nn_child(net, 3), cr_nn_gelu(ctx));
    cr_optim *optim =
        net ? cr_optim_adam(cr_nn_params(net), 0.1, .weight_decay = 0.01) : NULL;
    cr_tensor *weight = cr_error(ctx) ? NULL : cr_nn_param(net, "1.inner.0.weight");
    cr_init_orthogonal(weight, 1);
    if (weight && optim && cr_eval(weight) == CR_OK) {
        double *before = values(weight);
        {
            CR_SCOPE(ctx);
            cr_tensor *x = cr_rand(ctx, CR_DIMS(4, 2), .dtype = CR_F64);
            cr_tensor *loss = cr_sum(cr_nn_forward(net, x));
            cr_optim_zero_grad(optim);
            cr_backward(loss);
            cr_clip_grad_norm(cr_nn_params(net), 0.5);
            cr_clip_grad_value(cr_nn_params(net), 0.5);
            cr_optim_step(optim);
            cr_item(loss);
        }
        if (cr_error(ctx)) {
            cr_clear(ctx);
            unchanged = distance(weight, before, WEIGHTS) == 0;
            cr_fail(ctx, CR_ERR_MEMORY, "as before");
        }
        free(before);
        double *now = cr_error(ctx) ? NULL : values(weight);
        if (now)
            memcpy(after, now, WEIGHTS * sizeof *now);
        free(now);
    }
    cr_optim_free(optim);
    cr_nn_free(net);
    return unchanged;
}

static void test_no_memory(void)
{
    bool done = false, balanced = true, unchanged = true, reported = true;
    double want[WEIGHTS] = { 0 };
    long n = 0, harmless = 0;
    cr_ctx *undisturbed = cr_open(&(cr_options){ .threads = 1 });
    (void)build_and_step(undisturbed, want);
    cr_close(undisturbed);
    for (; !done && n < 5000; n++) {
        budget b = { .fail_at = n };
        cr_ctx *ctx = cr_open(&(cr_options){
            .threads = 1, .alloc = give, .free = take, .memory_user = &b });
        if (ctx) {
            double after[WEIGHTS] = { 0 };
            unchanged = build_and_step(ctx, after) && unchanged;
            done = b.calls <= n;
            /* What was only asked for ahead is done without. */
            bool right = memcmp(after, want, sizeof want) == 0;
            harmless += !done && cr_error(ctx) == CR_OK;
            reported = reported && (right ? cr_error(ctx) == CR_OK
                                          : !done && cr_error(ctx) == CR_ERR_MEMORY);
            cr_close(ctx);
        }
        balanced = balanced && b.live == 0;
    }
    diag("%ld allocations failed in turn, %ld of them without harm", n - 1, harmless);
    ok(done, "without a failure all is well");
    ok(reported, "every failed allocation is reported, or does no harm");
    ok(harmless < n / 4, "and few are of the second kind");
    ok(balanced, "and nothing is leaked");
    ok(unchanged, "a step that failed has changed nothing");
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_seed(ctx, 7);
    test_names(ctx);
    test_modes(ctx);
    test_ownership(ctx);
    test_linear(ctx);
    test_activations(ctx);
    test_dropout(ctx);
    test_norms(ctx);
    test_composition(ctx);
    test_custom(ctx);
    test_lifetime(ctx);
    test_watched(ctx);
    test_messages(ctx);
    test_distributions(ctx, CR_F64);
    test_distributions(ctx, CR_F32);
    test_orthogonal(ctx);
    test_orthogonal_fails(ctx);
    test_init_errors(ctx);
    test_gains();
    ok(cr_error(ctx) == CR_OK, "no error is left: %s", cr_message(ctx));
    cr_close(ctx);
    test_no_memory();
    return done_testing();
}
