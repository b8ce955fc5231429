/* Measurement against numbers computed by hand: what a flow says of boundaries, parameters and the
 * loss, the states of gradients, singular values; and that watching changes nothing. */
#include <chainrule_flow.h>

#include "support/tap.h"

#include <stdlib.h>

static const cr_flow_layer *layer_of(const cr_flow *flow, int snapshot, const char *name)
{
    const cr_flow_snapshot *s = cr_flow_snapshot_of(flow, snapshot);
    for (int i = 0; s && i < s->n_layers; i++)
        if (!strcmp(s->layers[i].name, name))
            return &s->layers[i];
    static const cr_flow_layer none;
    ok(false, "there is a layer %s in snapshot %d", name, snapshot);
    return &none;
}

static const cr_flow_param *param_of(const cr_flow *flow, int snapshot, const char *name)
{
    const cr_flow_snapshot *s = cr_flow_snapshot_of(flow, snapshot);
    for (int i = 0; s && i < s->n_params; i++)
        if (!strcmp(s->params[i].name, name))
            return &s->params[i];
    static const cr_flow_param none;
    ok(false, "there is a parameter %s in snapshot %d", name, snapshot);
    return &none;
}

static const cr_flow_loss *loss_of(const cr_flow *flow, int snapshot)
{
    static const cr_flow_loss none;
    const cr_flow_snapshot *s = cr_flow_snapshot_of(flow, snapshot);
    return s ? &s->loss : &none;
}

static cr_tensor *doubles(cr_ctx *ctx, int64_t rows, int64_t columns, const double *v)
{
    return cr_from(ctx, CR_F64, CR_DIMS(rows, columns), v);
}

/* [rows, columns] of eighths that follow no pattern. */
static cr_tensor *eighths(cr_ctx *ctx, int rows, int columns, int a, int b, int c, int n)
{
    double v[64];
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < columns; k++)
            v[i * columns + k] = ((i * a + k * b + c) % n - n / 2) / 8.0;
    return doubles(ctx, rows, columns, v);
}

/* ---- sizes ---- */

static void test_sizes(void)
{
    cr_ctx *ctx = cr_open(NULL);
    const float f[] = { 3, -4, 0, 0, 1e-40f, 0, 0, 0, 0, 0 };
    cr_flow_size s = cr_flow_size_of(cr_from(ctx, CR_F32, CR_DIMS(10), f));
    ok(s.state == CR_FLOW_USUAL && s.dtype == CR_F32 && s.numel == 10, "a usual tensor");
    is_near(s.log10_norm, log10(5), 1e-12, "its norm");
    is_near(s.rms, sqrt(2.5), 1e-12, "rms");
    is_near(s.mean, -0.1, 1e-12, "mean");
    ok(s.least == -4 && s.most == 3, "bounds");
    is_near(s.zeros, 0.7, 1e-12, "share of zeros");
    is_near(s.subnormals, 0.1, 1e-12, "and of subnormals");

    const float bad[] = { 1, INFINITY, NAN, -2 };
    s = cr_flow_size_of(cr_from(ctx, CR_F32, CR_DIMS(4), bad));
    ok(s.state == CR_FLOW_NOT_FINITE && isnan(s.log10_norm), "not finite");
    ok(s.infinities == 0.25 && s.nans == 0.25 && s.least == -2 && s.most == 1,
       "the rest is told all the same");

    const double large[] = { 3e200, 4e200 }, small[] = { 3e-200, -4e-200, 0 };
    s = cr_flow_size_of(cr_from(ctx, CR_F64, CR_DIMS(2), large));
    is_near(s.log10_norm, 200 + log10(5), 1e-9, "squares that overflow");
    s = cr_flow_size_of(cr_from(ctx, CR_F64, CR_DIMS(3), small));
    is_near(s.log10_norm, -200 + log10(5), 1e-9, "squares that vanish");
    is_near(s.zeros, 1.0 / 3, 1e-12, "are no zeros");

    const uint16_t half[] = { 0x3c00, 0xc000, 0x0001, 0x7c00 }, bf[] = { 0x3f80, 0xc000 };
    s = cr_flow_size_of(cr_from(ctx, CR_F16, CR_DIMS(3), half));
    is_near(s.log10_norm, log10(5) / 2, 1e-9, "f16: 1, -2 and 2^-24");
    is_near(s.subnormals, 1.0 / 3, 1e-12, "which is subnormal there");
    s = cr_flow_size_of(cr_from(ctx, CR_F16, CR_DIMS(4), half));
    ok(s.state == CR_FLOW_NOT_FINITE && isinf(s.log10_norm), "infinite in f16");
    s = cr_flow_size_of(cr_from(ctx, CR_BF16, CR_DIMS(2), bf));
    ok(s.least == -2 && s.most == 1, "bf16");
    s = cr_flow_size_of(cr_from(ctx, CR_I64, CR_DIMS(2), (int64_t[]){ -7, 2 }));
    ok(s.least == -7 && s.most == 2, "integers");
    s = cr_flow_size_of(cr_zeros(ctx, CR_DIMS(3)));
    ok(s.state == CR_FLOW_ZERO && s.log10_norm == -INFINITY, "zeros");
    s = cr_flow_size_of(cr_full(ctx, CR_DIMS(3), 1e-40));
    ok(s.state == CR_FLOW_UNDERFLOWED, "all subnormal");
    ok(cr_flow_size_of(NULL).state == CR_FLOW_DISCONNECTED, "nothing");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
    cr_close(ctx);
}

/* ---- a network by hand ---- */

static double norm_of(const double *v, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += v[i] * v[i];
    return log10(sum) / 2;
}

/* y = W2 tanh(W1 x), mean of squares; two samples, all in f64. */
static void test_by_hand(void)
{
    static const double x[2][2] = { { 0.5, -1 }, { 2, 0.25 } },
                        w1[2][2] = { { 1, 2 }, { -1, 0.5 } }, w2[1][2] = { { 1.5, -3 } },
                        t[2] = { 1, -1 };
    cr_ctx *ctx = cr_open(NULL);
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, 2, 2, .no_bias = true, .dtype = CR_F64));
    cr_nn_add(net, cr_nn_tanh(ctx));
    cr_nn_add(net, cr_nn_linear(ctx, 2, 1, .no_bias = true, .dtype = CR_F64));
    cr_assign(cr_nn_param(net, "0.weight"), doubles(ctx, 2, 2, w1[0]));
    cr_assign(cr_nn_param(net, "2.weight"), doubles(ctx, 1, 2, w2[0]));
    cr_optim *optim = cr_optim_sgd(cr_nn_params(net), 0.125);
    cr_flow *flow = cr_flow_open(net, .optim = optim);
    cr_tensor *target = doubles(ctx, 2, 1, t);
    for (int step = 0; step < 2; step++) {
        CR_SCOPE(ctx);
        cr_tensor *y = cr_nn_forward(net, doubles(ctx, 2, 2, x[0]));
        cr_tensor *loss = cr_mse_loss(y, target);
        cr_tensor *losses = cr_mean(cr_square(cr_sub(y, target)), 1);
        cr_flow_watch(flow, loss, .target = target, .losses = losses);
        cr_optim_zero_grad(optim);
        cr_backward(loss);
        cr_optim_step(optim);
    }
    is_int(cr_error(ctx), CR_OK, "by hand: no error: %s", cr_message(ctx));

    double h[2][2], a[2][2], y[2], dy[2], da[2][2], dh[2][2], g1[4] = { 0 },
                                                              g2[2] = { 0 };
    double s1[2][4], loss = 0;
    for (int n = 0; n < 2; n++) {
        y[n] = 0;
        for (int i = 0; i < 2; i++) {
            h[n][i] = w1[i][0] * x[n][0] + w1[i][1] * x[n][1];
            a[n][i] = tanh(h[n][i]);
            y[n] += w2[0][i] * a[n][i];
        }
        dy[n] = y[n] - t[n];
        loss += (y[n] - t[n]) * (y[n] - t[n]) / 2;
        for (int i = 0; i < 2; i++) {
            g2[i] += dy[n] * a[n][i];
            da[n][i] = dy[n] * w2[0][i];
            dh[n][i] = da[n][i] * (1 - a[n][i] * a[n][i]);
            for (int k = 0; k < 2; k++) {
                s1[n][i * 2 + k] = 2 * dh[n][i] * x[n][k];
                g1[i * 2 + k] += dh[n][i] * x[n][k];
            }
        }
    }
    const cr_flow_layer *l = layer_of(flow, 0, "0");
    ok(!strcmp(l->kind, "linear") && l->level == 1 && l->leaf && l->first_param == 0 &&
           l->n_params == 1,
       "the first layer");
    is_near(l->y.log10_norm, norm_of(h[0], 4), 1e-12, "|h|");
    is_near(l->delta_y.log10_norm, norm_of(dh[0], 4), 1e-12, "|dh|");
    ok(l->delta_x.state == CR_FLOW_DISCONNECTED && l->delta_x.numel == 0 &&
           isnan(l->decades),
       "the input wants no gradient, and none is missed");
    l = layer_of(flow, 0, "1");
    is_near(l->y.log10_norm, norm_of(a[0], 4), 1e-12, "|a|");
    is_near(l->decades, norm_of(dh[0], 4) - norm_of(da[0], 4), 1e-12, "what tanh wins");
    int few = 0;
    for (int i = 0; i < 4; i++)
        few += 1 - a[i / 2][i % 2] * a[i / 2][i % 2] < 0.01;
    is_near(l->saturated, few / 4.0, 0, "saturated: %d of 4", few);
    is_near(l->dead, 0, 0, "no dead units");
    const double spread[2] = { (a[0][0] - a[1][0]) / sqrt(2),
                               (a[0][1] - a[1][1]) / sqrt(2) };
    is_near(l->unlike, pow(10, norm_of(spread, 2) - norm_of(a[0], 4)), 1e-12, "spread");
    l = layer_of(flow, 0, "2");
    is_near(l->decades, norm_of(da[0], 4) - norm_of(dy, 2), 1e-12,
            "what the last layer wins");
    l = layer_of(flow, 0, "");
    ok(l->level == 0 && !l->leaf && !strcmp(l->kind, "sequential"), "the module itself");

    const cr_flow_param *p = param_of(flow, 0, "0.weight");
    is_near(p->weight.log10_norm, norm_of(w1[0], 4), 1e-12, "|W1|");
    is_near(p->gradient.log10_norm, norm_of(g1, 4), 1e-12, "its gradient");
    const double up[4] = { 0.125 * g1[0], 0.125 * g1[1], 0.125 * g1[2], 0.125 * g1[3] };
    is_near(p->update.log10_norm, norm_of(up, 4), 1e-9, "what the step did");
    is_near(p->update_ratio, norm_of(up, 4) - norm_of(w1[0], 4), 1e-9, "over the weight");
    is_near(p->update_along_gradient, 1, 1e-9, "down the gradient");
    const double inner =
        g1[0] * w1[0][0] + g1[1] * w1[0][1] + g1[2] * w1[1][0] + g1[3] * w1[1][1];
    is_near(p->update_along_weight, -inner / pow(10, norm_of(g1, 4) + norm_of(w1[0], 4)),
            1e-9, "and beside the weight");
    ok(p->in_optimiser && p->requires_grad && p->fan_in == 2 && p->fan_out == 2,
       "flags, fans");
    ok(p->buffer.state == CR_FLOW_DISCONNECTED && isnan(p->buffer_along),
       "nothing was left");
    const double det = g1[0] * g1[3] - g1[1] * g1[2], whole = pow(10, 2 * norm_of(g1, 4));
    const double top = (whole + sqrt(whole * whole - 4 * det * det)) / 2;
    is_near(p->rank, whole / top, 1e-3, "rank of the gradient");
    double mean = 0, apart = 0;
    for (int i = 0; i < 4; i++) {
        mean += (s1[0][i] + s1[1][i]) * (s1[0][i] + s1[1][i]) / 4;
        apart += (s1[0][i] - s1[1][i]) * (s1[0][i] - s1[1][i]) / 2;
    }
    is_near(p->signal_to_noise, mean / apart, 1e-9, "signal to noise over the samples");
    const double rows[2] = { 1,
                             0.75 }; /* half of what the rows differ by: (2, 1.5) / 2 */
    is_near(p->row_spread, pow(10, norm_of(rows, 2) - norm_of(w1[0], 4)) * sqrt(2), 1e-12,
            "spread of rows");

    const cr_flow_loss *q = loss_of(flow, 0);
    is_near(q->value, loss, 1e-12, "the loss");
    is_text(q->op, "mse_loss", "its operation");
    ok(q->kind == CR_FLOW_LOSS_SQUARES, "its kind");
    is_near(q->scale, 1, 1e-9, "a mean");
    is_near(q->delta_along_residual, 1, 1e-12, "delta is the residual");
    is_near(q->residual_log10, norm_of(dy, 2), 1e-12, "whose size is told");
    is_near(q->learning_rate, 0.125, 0, "learning rate");
    is_near(q->gradient_log10,
            log10(pow(10, 2 * norm_of(g1, 4)) + pow(10, 2 * norm_of(g2, 2))) / 2, 1e-12,
            "all gradients together");
    ok(q->samples == 2 && q->classes == 1 && q->rank_output == 2 && q->rank_target == 2,
       "shapes");
    ok(q->target_least == -1 && q->target_most == 1 && q->target_mean == 0, "targets");
    p = param_of(flow, 1, "0.weight");
    is_near(p->buffer.log10_norm, norm_of(g1, 4), 1e-9,
            "the last step's gradient is still there");
    is_near(p->buffer_along, 1, 1e-12, "and it alone");
    cr_flow_close(flow);
    cr_optim_free(optim);
    cr_nn_free(net);
    cr_close(ctx);
}

/* ---- states ---- */

static cr_tensor *cut_forward(cr_module *module, cr_tensor *x, void *user)
{
    (void)user;
    return cr_detach(cr_nn_forward(cr_nn_child(module, 0), x));
}

/* y of three layers; `kind` says what is wrong. */
static void measure_state_in(cr_ctx *ctx, const char *kind, cr_flow_state want,
                             cr_flow_state want_weight)
{
    cr_module *net = cr_nn_sequential(ctx), *first = cr_nn_linear(ctx, 4, 4);
    if (!strcmp(kind, "detached")) {
        cr_module *cut = cr_nn_custom(ctx, "cut", cut_forward, NULL, NULL);
        cr_nn_add(cut, first);
        first = cut;
    }
    cr_nn_add(net, first);
    cr_nn_add(net, cr_nn_linear(ctx, 4, 4));
    cr_nn_add(net, cr_nn_linear(ctx, 4, 1));
    if (!strcmp(kind, "zero"))
        cr_init_constant(cr_nn_param(net, "1.weight"), 0);
    if (!strcmp(kind, "infinite"))
        cr_init_constant(cr_nn_param(net, "1.weight"), INFINITY);
    double size = !strcmp(kind, "small") ? 1e-15 : 1;
    if (!strcmp(kind, "underflowed"))
        size = 1e-25;
    if (size < 1) {
        cr_init_constant(cr_nn_param(net, "1.weight"), size);
        cr_init_constant(cr_nn_param(net, "2.weight"), size);
    }
    cr_flow *flow = cr_flow_open(net);
    CR_SCOPE(ctx);
    cr_flow_watch(flow, cr_mean(cr_nn_forward(net, cr_ones(ctx, CR_DIMS(3, 4))), CR_ALL));
    is_int(cr_error(ctx), CR_OK, "%s: no error: %s", kind, cr_message(ctx));
    const bool detached = !strcmp(kind, "detached");
    const cr_flow_layer *l = layer_of(flow, 0, detached ? "0.0" : "0");
    is_int(l->delta_y.state, want, "%s: the cotangent", kind);
    const cr_flow_param *p = param_of(flow, 0, detached ? "0.0.weight" : "0.weight");
    is_int(p->gradient.state, want_weight, "%s: the weight's gradient", kind);
    if (size < 1)
        is_near(l->delta_y.log10_norm, 2 * log10(size) + log10(4 / sqrt(3) * 2), 1e-4,
                "%s: its size", kind);
    if (detached)
        ok(l->delta_y.numel == 12, "a cotangent that should be there has a size");
    cr_flow_close(flow);
    cr_nn_free(net);
}

static void measure_state(const char *kind, cr_flow_state want, cr_flow_state want_weight)
{
    cr_ctx *ctx = cr_open(NULL);
    measure_state_in(ctx, kind, want, want_weight);
    cr_close(ctx);
}

static void test_states(void)
{
    measure_state("usual", CR_FLOW_USUAL, CR_FLOW_USUAL);
    measure_state("detached", CR_FLOW_DISCONNECTED, CR_FLOW_DISCONNECTED);
    measure_state("zero", CR_FLOW_ZERO, CR_FLOW_ZERO);
    measure_state("small", CR_FLOW_USUAL, CR_FLOW_USUAL);
    measure_state("underflowed", CR_FLOW_UNDERFLOWED, CR_FLOW_UNDERFLOWED);
    measure_state("infinite", CR_FLOW_NOT_FINITE, CR_FLOW_NOT_FINITE);
}

/* Sizes of delta at the first layer of `depth` sigmoids, in f32 and in f64, of the same weights. */
static double deep_delta(cr_dtype dtype, int depth, cr_flow_state *state)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_module *net = cr_nn_sequential(ctx);
    for (int i = 0; i < depth; i++) {
        cr_nn_add(net, cr_nn_linear(ctx, 16, 16, .dtype = dtype));
        cr_nn_add(net, cr_nn_sigmoid(ctx));
    }
    for (int i = 0; i < cr_nn_params(net)->n; i++) {
        cr_tensor *p = cr_nn_params(net)->list[i].tensor;
        cr_assign(p, cr_cast(cr_sub(cr_rand(ctx, cr_shape(p)), 0.5), dtype));
    }
    cr_flow *flow = cr_flow_open(net);
    cr_tensor *x = cr_cast(cr_randn(ctx, CR_DIMS(2, 16)), dtype);
    cr_flow_watch(flow, cr_sum(cr_nn_forward(net, x)));
    is_int(cr_error(ctx), CR_OK, "deep: no error: %s", cr_message(ctx));
    const cr_flow_layer *l = layer_of(flow, 0, "0");
    const double size = l->delta_y.log10_norm;
    *state = l->delta_y.state;
    cr_flow_close(flow);
    cr_nn_free(net);
    cr_close(ctx);
    return size;
}

static void test_deep(void)
{
    cr_flow_state narrow, wide;
    const double f32 = deep_delta(CR_F32, 200, &narrow),
                 f64 = deep_delta(CR_F64, 200, &wide);
    is_near(f32, f64, 1e-3, "200 sigmoids: 10^%.2f in f32, 10^%.2f in f64", f32, f64);
    ok(narrow == CR_FLOW_UNDERFLOWED && wide == CR_FLOW_USUAL, "underflowed and usual");
}

/* ---- kinds of boundaries ---- */

static cr_tensor *recur(cr_module *module, cr_tensor *x, void *user)
{
    (void)user;
    for (int i = 0; i < 3; i++)
        x = cr_tanh(cr_nn_forward(cr_nn_child(module, 0), x));
    return x;
}

static void test_boundaries(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_module *net = cr_nn_sequential(ctx),
              *cell = cr_nn_custom(ctx, "cell", recur, NULL, NULL);
    cr_module *inner = cr_nn_linear(ctx, 4, 4, .no_bias = true);
    cr_nn_add(cell, cr_nn_linear(ctx, 4, 4));
    cr_nn_add(net, cell);
    cr_nn_add(net, cr_nn_residual(ctx, inner, .scale = CR_REAL(0.5)));
    cr_nn_add(net, cr_nn_relu(ctx));
    cr_assign(cr_nn_param(net, "1.inner.weight"), cr_mul(cr_eye(ctx, 4), 2));
    cr_init_constant(cr_nn_param(net, "0.0.bias"), 0);
    cr_requires_grad(cr_nn_param(net, "0.0.bias"), false);
    const cr_param some = cr_nn_params(net)->list[0];
    cr_optim *optim =
        cr_optim_sgd(cr_params_of((cr_tensor *[]){ some.tensor }, NULL, 1), 0.1);
    cr_flow *flow = cr_flow_open(net, .optim = optim);
    for (int step = 0; step < 3; step++) {
        CR_SCOPE(ctx);
        {
            CR_NO_GRAD(ctx); /* an evaluation in between is not the step's */
            cr_item(cr_sum(cr_nn_forward(net, cr_ones(ctx, CR_DIMS(9, 4)))));
        }
        cr_tensor *loss = cr_sum(cr_nn_forward(net, cr_randn(ctx, CR_DIMS(5, 4))));
        cr_flow_watch(flow, loss);
        cr_backward(loss); /* never cleared */
        cr_optim_step(optim);
    }
    is_int(cr_error(ctx), CR_OK, "boundaries: no error: %s", cr_message(ctx));
    const cr_flow_snapshot *s = cr_flow_snapshot_of(flow, 2);
    is_int(s->n_layers, 8, "modules by how often they run");
    ok(layer_of(flow, 2, "0.0")->y.numel == 20 &&
           layer_of(flow, 2, "0.0#2")->y.numel == 20 &&
           layer_of(flow, 2, "0.0#3")->y.numel == 20,
       "the third run of a module is called #3");
    const cr_flow_layer *l = layer_of(flow, 2, "1");
    is_near(l->branch, 0.5, 1e-6, "x + x: the branch is half of the sum");
    is_near(l->branch_delta, 0.5, 1e-6, "and half of the gradient");
    is_near(layer_of(flow, 2, "1.inner")->decades, log10(2), 1e-6, "its own gain");
    ok(isnan(layer_of(flow, 2, "0")->branch), "what is no sum has no branch");
    const cr_flow_layer *relu = layer_of(flow, 2, "2");
    is_near(relu->saturated, relu->y.zeros, 1e-12, "zeros of a relu are saturated");
    ok(!param_of(flow, 2, "0.0.bias")->requires_grad, "a frozen parameter");
    ok(param_of(flow, 2, "0.0.bias")->gradient.numel == 0, "misses nothing");
    ok(!param_of(flow, 2, "1.inner.weight")->in_optimiser, "a forgotten parameter");
    ok(param_of(flow, 2, "0.0.weight")->in_optimiser, "and one that is not");
    const cr_flow_param *p = param_of(flow, 2, "1.inner.weight");
    ok(p->buffer_along < 1 - 1e-6 &&
           p->buffer.log10_norm >
               param_of(flow, 1, "1.inner.weight")->gradient.log10_norm,
       "gradients that are never cleared pile up");
    cr_flow_close(flow);
    cr_optim_free(optim);
    cr_nn_free(net);
    cr_close(ctx);
}

/* A forward by hand: tensors that are named. */
static void test_named(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *w = cr_requires_grad(cr_named(cr_full(ctx, CR_DIMS(4, 4), 9), "w"));
    cr_flow *flow =
        cr_flow_open(NULL, .params = cr_params_of((cr_tensor *[]){ w }, NULL, 1),
                     .first = CR_INT(1), .every = 2);
    for (int step = 0; step < 3; step++) {
        CR_SCOPE(ctx);
        ok(cr_flow_is_due(flow) == (step != 1), "step %d: due or not", step);
        cr_tensor *x = cr_add(cr_rand(ctx, CR_DIMS(3, 4)), 1);
        cr_tensor *h = cr_flow_name(flow, cr_matmul(x, w), "h");
        cr_tensor *a = cr_flow_name(flow, cr_tanh(h), "a");
        cr_tensor *sum = cr_flow_name(flow, cr_add(h, cr_mul(a, 2)), "sum");
        cr_flow_watch(flow, cr_mean(sum, CR_ALL), .output = sum);
    }
    is_int(cr_error(ctx), CR_OK, "named: no error: %s", cr_message(ctx));
    is_int(cr_flow_count(flow), 2, "two of three steps");
    is_int(cr_flow_snapshot_of(flow, 1)->step, 2, "by their numbers");
    is_int(cr_flow_snapshot_of(flow, 1)->n_layers, 3, "three tensors");
    is_near(layer_of(flow, 1, "a")->saturated, 1, 0, "tanh of large numbers");
    ok(layer_of(flow, 1, "sum")->branch > 0 && layer_of(flow, 1, "sum")->branch < 0.1,
       "a sum with a small branch");
    is_near(layer_of(flow, 1, "a")->dead, 1, 0, "units that say 1 whatever comes in");
    is_near(param_of(flow, 1, "w")->row_spread, 0, 0, "equal rows");
    is_near(param_of(flow, 1, "w")->rank, 1, 1e-3, "symmetry: a gradient of rank 1");
    cr_flow_close(flow);
    cr_close(ctx);
}

/* ---- losses ---- */

typedef struct loss_case {
    const char *name;
    cr_tensor *(*loss)(cr_tensor *y, cr_tensor *t);
    const char *output; /* what y is of z */
    char target;        /* i indices, h one-hot, r reals, b bits */
    cr_flow_loss_kind kind;
    double scale;
} loss_case;

static cr_tensor *mse(cr_tensor *y, cr_tensor *t)
{
    return cr_mse_loss(y, t);
}
static cr_tensor *sum_of_squares(cr_tensor *y, cr_tensor *t)
{
    return cr_sum(cr_square(cr_sub(y, t)));
}
static cr_tensor *l1(cr_tensor *y, cr_tensor *t)
{
    return cr_l1_loss(y, t);
}
static cr_tensor *outer(cr_tensor *y, cr_tensor *t)
{
    return cr_mean(cr_square(cr_sub(y, cr_reshape(t, CR_DIMS(-1)))), CR_ALL);
}
static cr_tensor *entropy(cr_tensor *y, cr_tensor *t)
{
    return cr_cross_entropy(y, t);
}
static cr_tensor *entropy_sum(cr_tensor *y, cr_tensor *t)
{
    return cr_cross_entropy(y, t, .reduction = CR_REDUCTION_SUM);
}
static cr_tensor *by_hand(cr_tensor *y, cr_tensor *t)
{
    return cr_neg(cr_mean(cr_sum(cr_mul(t, cr_log_softmax(y, 1)), 1), CR_ALL));
}
static cr_tensor *across(cr_tensor *y, cr_tensor *t)
{
    return cr_neg(cr_mean(cr_sum(cr_mul(t, cr_log_softmax(y, 0)), 1), CR_ALL));
}
static cr_tensor *nll(cr_tensor *y, cr_tensor *t)
{
    return cr_nll_loss(y, t);
}
static cr_tensor *log_by_hand(cr_tensor *y, cr_tensor *t)
{
    return cr_neg(cr_mean(cr_sum(cr_mul(t, cr_log(y)), 1), CR_ALL));
}
static cr_tensor *bce(cr_tensor *y, cr_tensor *t)
{
    return cr_binary_cross_entropy(y, t);
}
static cr_tensor *bce_logits(cr_tensor *y, cr_tensor *t)
{
    return cr_binary_cross_entropy_with_logits(y, t);
}
static cr_tensor *minimax(cr_tensor *y, cr_tensor *t)
{
    (void)t;
    return cr_mean(cr_log(cr_sub(1, cr_sigmoid(y))), CR_ALL);
}
static cr_tensor *mean_alone(cr_tensor *y, cr_tensor *t)
{
    (void)t;
    return cr_neg(cr_mean(y, CR_ALL));
}

static const loss_case loss_cases[] = {
    { "mean of squares", mse, "", 'r', CR_FLOW_LOSS_SQUARES, 1 },
    { "sum of squares", sum_of_squares, "", 'r', CR_FLOW_LOSS_SQUARES, 24 },
    { "absolute", l1, "", 'r', CR_FLOW_LOSS_ABSOLUTE, 1 },
    { "[n, 1] against [n]", outer, "column", 'c', CR_FLOW_LOSS_BROADCAST, 1 },
    { "cross entropy", entropy, "", 'i', CR_FLOW_LOSS_SOFTMAX, 1 },
    { "its sum", entropy_sum, "", 'i', CR_FLOW_LOSS_SOFTMAX, 6 },
    { "by hand", by_hand, "", 'h', CR_FLOW_LOSS_SOFTMAX, 1 },
    { "softmax twice", entropy, "softmax", 'i', CR_FLOW_LOSS_SOFTMAX, 1 },
    { "over samples", across, "", 'h', CR_FLOW_LOSS_SOFTMAX_ACROSS, 1 },
    { "of logarithms", nll, "log_softmax", 'i', CR_FLOW_LOSS_LIKELIHOOD, 1 },
    { "of probabilities", log_by_hand, "softmax", 'h', CR_FLOW_LOSS_LOG, 1 },
    { "binary", bce, "sigmoid", 'b', CR_FLOW_LOSS_BINARY, 1 },
    { "binary of logits", bce_logits, "", 'b', CR_FLOW_LOSS_SIGMOID, 1 },
    { "minimax", minimax, "", 0, CR_FLOW_LOSS_MINIMAX, 1 },
    { "a mean is no loss that is known", mean_alone, "", 0, CR_FLOW_LOSS_UNKNOWN, NAN },
};

static cr_tensor *target_for(cr_ctx *ctx, char kind)
{
    const int64_t classes[] = { 0, 3, 1, 2, 3, 3 };
    cr_tensor *i = cr_from(ctx, CR_I64, CR_DIMS(6), classes);
    switch (kind) {
    case 'i':
        return i;
    case 'h':
        return cr_cast(cr_one_hot(i, 4), CR_F32);
    case 'r':
        return cr_randn(ctx, CR_DIMS(6, 4));
    case 'c':
        return cr_randn(ctx, CR_DIMS(6, 1));
    case 'b':
        return cr_cast(cr_lt(cr_rand(ctx, CR_DIMS(6, 4)), 0.5), CR_F32);
    default:
        return NULL;
    }
}

static void test_losses(void)
{
    cr_ctx *ctx = cr_open(NULL);
    for (size_t i = 0; i < sizeof loss_cases / sizeof *loss_cases; i++) {
        const loss_case *c = &loss_cases[i];
        CR_SCOPE(ctx);
        cr_tensor *z = cr_requires_grad(
            cr_randn(ctx, !strcmp(c->output, "column") ? CR_DIMS(6, 1) : CR_DIMS(6, 4)));
        cr_tensor *y = cr_mul(z, 1);
        if (!strcmp(c->output, "softmax"))
            y = cr_softmax(z, 1);
        if (!strcmp(c->output, "log_softmax"))
            y = cr_log_softmax(z, 1);
        if (!strcmp(c->output, "sigmoid"))
            y = cr_sigmoid(z);
        cr_tensor *t = target_for(ctx, c->target);
        cr_flow *flow =
            cr_flow_open(NULL, .params = cr_params_of((cr_tensor *[]){ z }, NULL, 1));
        cr_flow_watch(flow, c->loss(y, t), .output = y, .target = t);
        is_int(cr_error(ctx), CR_OK, "%s: no error: %s", c->name, cr_message(ctx));
        is_int(loss_of(flow, 0)->kind, c->kind, "%s is known by its gradient", c->name);
        is_near(loss_of(flow, 0)->scale, c->scale, 1e-3, "%s: and its scale", c->name);
        const cr_flow_loss *l = loss_of(flow, 0);
        if (!strcmp(c->output, "softmax"))
            ok(fabs(l->row_sum_least - 1) < 1e-5 && fabs(l->row_sum_most - 1) < 1e-5,
               "%s: rows add up to 1", c->name);
        if (!strcmp(c->name, "over samples"))
            ok(l->delta_column_sum < 1e-6 && l->delta_row_sum > 1e-2,
               "columns of delta vanish");
        if (!strcmp(c->name, "cross entropy"))
            ok(l->delta_row_sum < 1e-6 && l->delta_column_sum > 1e-2 &&
                   l->target_share == 0.5,
               "rows of delta vanish; half of the labels are equal");
        cr_flow_close(flow);
    }
    cr_close(ctx);
}

/* Softmaxes beneath the output, composed and in an attention. */
static void test_peaks(void)
{
    cr_ctx *ctx = cr_open(NULL);
    for (int composed = 0; composed < 2; composed++) {
        CR_SCOPE(ctx);
        cr_tensor *q = cr_requires_grad(cr_mul(cr_randn(ctx, CR_DIMS(2, 5, 8)), 30));
        cr_tensor *weights = cr_softmax(cr_div(cr_matmul(q, cr_t(q)), sqrt(8)), -1);
        cr_tensor *y = composed ? cr_matmul(weights, q)
                                : cr_scaled_dot_product_attention(q, q, q, NULL);
        cr_flow *flow = cr_flow_open(NULL);
        cr_flow_watch(flow, cr_mean(y, CR_ALL), .output = y);
        const double want = cr_item(cr_mean(cr_amax(weights, -1), CR_ALL));
        is_near(loss_of(flow, 0)->peak, want, 1e-5,
                "attention's largest weights, composed %d", composed);
        is_near(loss_of(flow, 0)->peak_even <= 1 &&
                    loss_of(flow, 0)->peak_even >= 0.2 - 1e-9,
                1, 0, "and even ones");
        cr_flow_close(flow);
    }
    is_int(cr_error(ctx), CR_OK, "peaks: no error: %s", cr_message(ctx));
    cr_close(ctx);
}

static void test_linear(void)
{
    for (int active = 0; active < 2; active++) {
        cr_ctx *ctx = cr_open(NULL);
        cr_module *net = cr_nn_sequential(ctx);
        for (int i = 0; i < 3; i++) {
            cr_nn_add(net, cr_nn_linear(ctx, 8, 8));
            if (active)
                cr_nn_add(net, cr_nn_relu(ctx));
        }
        cr_nn_add(net, cr_nn_linear(ctx, 8, 2));
        cr_flow *flow = cr_flow_open(net);
        cr_flow_watch(
            flow, cr_sum(cr_square(cr_nn_forward(net, cr_randn(ctx, CR_DIMS(16, 8))))));
        const double linear = loss_of(flow, 0)->linear;
        ok(active ? linear > 0.1 : linear < 1e-5, "linear or not: %g", linear);
        cr_flow_close(flow);
        cr_nn_free(net);
        cr_close(ctx);
    }
}

/* ---- watching changes nothing ---- */

enum { STEPS = 12 };

typedef struct trace {
    uint64_t hash;
    cr_rng rng;
} trace;

static void add_bits(trace *t, cr_tensor *x)
{
    const unsigned char *bytes = cr_data(x);
    const size_t n = (size_t)cr_numel(x) * cr_dtype_size(cr_dtype_of(x));
    for (size_t i = 0; bytes && i < n; i++)
        t->hash = (t->hash ^ bytes[i]) * 1099511628211u;
}

static trace train(bool watched, bool fail)
{
    cr_ctx *ctx = cr_open(NULL);
    trace t = { .hash = 14695981039346656037u };
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, 8, 16));
    cr_nn_add(net, cr_nn_batch_norm1d(ctx, 16));
    cr_nn_add(net, cr_nn_gelu(ctx));
    cr_nn_add(net, cr_nn_dropout(ctx, 0.3));
    cr_nn_add(net, cr_nn_residual(ctx, cr_nn_linear(ctx, 16, 16)));
    cr_nn_add(net, cr_nn_linear(ctx, 16, 3));
    cr_optim *optim = cr_optim_adam(cr_nn_params(net), 0.01);
    cr_flow *flow = watched ? cr_flow_open(net, .optim = optim, .every = 3) : NULL;
    for (int step = 0; step < STEPS; step++) {
        CR_SCOPE(ctx);
        cr_tensor *y = cr_nn_forward(net, cr_randn(ctx, CR_DIMS(6, 8)));
        cr_tensor *target = cr_randint(ctx, 0, 3, CR_DIMS(6));
        cr_tensor *losses = cr_cross_entropy(y, target, .reduction = CR_REDUCTION_NONE);
        cr_tensor *loss = cr_mean(losses, CR_ALL);
        if (watched)
            cr_flow_watch(flow, loss, .target = target, .losses = losses);
        if (watched && fail && step == 4) {
            cr_flow_watch(flow, y); /* no scalar */
            ok(cr_error(ctx) == CR_ERR_SHAPE, "a measurement that fails: %s",
               cr_message(ctx));
            cr_clear(ctx);
        }
        cr_optim_zero_grad(optim);
        cr_backward(loss);
        cr_clip_grad_norm(cr_nn_params(net), 1.0);
        cr_optim_step(optim);
    }
    is_int(cr_error(ctx), CR_OK, "training: no error: %s", cr_message(ctx));
    for (int i = 0; i < cr_nn_params(net)->n; i++) {
        add_bits(&t, cr_nn_params(net)->list[i].tensor);
        add_bits(&t, cr_grad(cr_nn_params(net)->list[i].tensor));
    }
    for (int i = 0; i < cr_nn_buffers(net)->n; i++)
        add_bits(&t, cr_nn_buffers(net)->list[i].tensor);
    t.rng = cr_rng_get(ctx);
    if (watched)
        is_int(cr_flow_count(flow), 7, "steps 0 to 4, 6 and 9");
    cr_flow_close(flow);
    cr_optim_free(optim);
    cr_nn_free(net);
    cr_close(ctx);
    return t;
}

static void test_unchanged(void)
{
    const trace plain = train(false, false), watched = train(true, false);
    ok(plain.hash == watched.hash,
       "parameters, gradients and statistics have the same bits");
    ok(plain.rng.seed == watched.rng.seed && plain.rng.draw == watched.rng.draw,
       "and draws");
    ok(train(true, true).hash == plain.hash,
       "a failed measurement changes nothing either");
}

/* Between thorough measurements large tensors are measured by parts, unless an element of them is
 * not finite. */
static void test_rare(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, 100, 100));
    cr_nn_add(net, cr_nn_tanh(ctx));
    cr_flow *flow = cr_flow_open(net, .first = CR_INT(0));
    cr_tensor *x = cr_randn(ctx, CR_DIMS(50, 100));
    for (int step = 0; step <= 100; step++) {
        CR_SCOPE(ctx);
        if (step == 100) {
            cr_tensor *w = cr_nn_param(net, "0.weight");
            cr_tensor *third = cr_eq(cr_arange(ctx, 0, 10000, 1), 3333);
            cr_assign(w, cr_where(cr_reshape(third, CR_DIMS(100, 100)), INFINITY, w));
        }
        cr_flow_watch(flow, cr_mean(cr_nn_forward(net, x), CR_ALL));
    }
    is_int(cr_error(ctx), CR_OK, "rare: no error: %s", cr_message(ctx));
    is_int(cr_flow_count(flow), 3, "steps 0, 50 and 100");
    const cr_flow_layer *all = layer_of(flow, 0, "1"), *some = layer_of(flow, 1, "1");
    ok(all->y_bins && !some->y_bins, "all, and some");
    is_near(some->y.log10_norm, all->y.log10_norm, 0.02, "are as large");
    ok(some->y.numel == 5000 && some->unlike == all->unlike && some->dead == all->dead,
       "what changes slowly is as it was");
    is_int(param_of(flow, 1, "0.weight")->weight.state, CR_FLOW_USUAL, "a usual weight");
    is_int(param_of(flow, 2, "0.weight")->weight.state, CR_FLOW_NOT_FINITE,
           "one infinite element among 10000 is found");
    cr_flow_close(flow);
    cr_nn_free(net);
    cr_close(ctx);
}

/* ---- limits and errors ---- */

/* A pass that is not watched, say over held out samples, is no part of the step behind it. */
static void test_pass_between(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_module *net = cr_nn_linear(ctx, 3, 2);
    cr_flow *flow = cr_flow_open(net);
    for (int step = 0; step < 3; step++) {
        {
            CR_SCOPE(ctx);
            cr_item(cr_sum(cr_nn_forward(net, cr_ones(ctx, CR_DIMS(7, 3)))));
        }
        CR_SCOPE(ctx);
        cr_tensor *loss = cr_sum(cr_nn_forward(net, cr_ones(ctx, CR_DIMS(4, 3))));
        is_int(cr_flow_watch(flow, loss), CR_OK, "watched: %s", cr_message(ctx));
        const cr_flow_snapshot *s = cr_flow_snapshot_of(flow, step);
        is_int(s ? s->n_layers : 0, 1, "the step's own pass alone");
        is_int(s ? s->layers[0].y.numel : 0, 8, "its own batch");
    }
    cr_flow_close(flow);
    cr_nn_free(net);
    cr_close(ctx);
}

static void test_memory_limit(void)
{
    int failed = 0, done = 0;
    for (size_t limit = 20000; limit < 400000 && done < 2; limit += limit / 8) {
        cr_ctx *ctx = cr_open(&(cr_options){ .memory_limit = limit });
        cr_module *net = cr_nn_sequential(ctx);
        cr_nn_add(net, cr_nn_linear(ctx, 16, 16));
        cr_nn_add(net, cr_nn_tanh(ctx));
        cr_nn_add(net, cr_nn_linear(ctx, 16, 16));
        cr_flow *flow = cr_error(ctx) ? NULL : cr_flow_open(net);
        cr_tensor *loss =
            cr_sum(cr_square(cr_nn_forward(net, cr_randn(ctx, CR_DIMS(64, 16)))));
        if (flow && !cr_error(ctx)) {
            const cr_status status = cr_flow_watch(flow, loss);
            ok(status == cr_error(ctx) && (status == CR_OK || status == CR_ERR_MEMORY),
               "%zu bytes: measured, or told why not", limit);
            is_int(cr_flow_count(flow), status == CR_OK, "all or nothing");
            failed += status != CR_OK;
            done += status == CR_OK;
        }
        cr_clear(ctx);
        cr_flow_close(flow);
        cr_nn_free(net);
        cr_close(ctx);
    }
    ok(failed > 0 && done > 0, "there are limits that only the measurement exceeds");
}

static void test_history(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *w = cr_requires_grad(cr_ones(ctx, CR_DIMS(2)));
    cr_flow *flow = cr_flow_open(
        NULL, .params = cr_params_of((cr_tensor *[]){ w }, NULL, 1), .every = 1);
    bool ascending = true;
    for (int step = 0; step < 700; step++) {
        CR_SCOPE(ctx);
        cr_flow_watch(flow, cr_sum(w));
    }
    const int n = cr_flow_count(flow);
    for (int i = 1; i < n; i++)
        ascending &=
            cr_flow_snapshot_of(flow, i)->step > cr_flow_snapshot_of(flow, i - 1)->step;
    ok(n > 100 && n <= 256 && ascending, "700 snapshots are thinned to %d", n);
    is_int(cr_flow_snapshot_of(flow, 4)->step, 4, "the first steps stay");
    is_int(cr_flow_snapshot_of(flow, n - 1)->step, 699, "and so does the latest");
    ok(!cr_flow_snapshot_of(flow, n) && !cr_flow_snapshot_of(flow, -1),
       "there are no others");
    cr_flow_close(flow);
    cr_close(ctx);
}

static void test_errors(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_module *net = cr_nn_linear(ctx, 2, 2);
    ok(!cr_flow_open(net, .every = -1) && cr_error(ctx) == CR_ERR_ARGUMENT, "every: %s",
       cr_message(ctx));
    cr_clear(ctx);
    ok(!cr_flow_open(net, .first = CR_INT(-1)) && cr_error(ctx) == CR_ERR_ARGUMENT,
       "first: %s", cr_message(ctx));
    cr_clear(ctx);
    cr_flow *flow = cr_flow_open(net);
    ok(cr_flow_watch(flow, NULL) == CR_ERR_NULL, "no loss: %s", cr_message(ctx));
    cr_clear(ctx);
    cr_tensor *loss = cr_sum(cr_nn_forward(net, cr_ones(ctx, CR_DIMS(1, 2))));
    ok(cr_flow_watch(NULL, loss) == CR_ERR_NULL, "no flow: %s", cr_message(ctx));
    cr_clear(ctx);
    is_int(cr_flow_watch(NULL, NULL), CR_ERR_NULL, "nothing");
    ok(cr_flow_name(NULL, loss, "x") == loss && !cr_flow_name(flow, NULL, "x"), "names");
    ok(!cr_flow_name(flow, loss, NULL) && cr_error(ctx) == CR_ERR_NULL, "no name");
    ok(cr_flow_watch(flow, loss) == CR_ERR_NULL && !cr_flow_count(flow),
       "a pending error");
    cr_clear(ctx);
    cr_ctx *other = cr_open(NULL);
    cr_tensor *strange = cr_scalar(other, 1);
    ok(cr_flow_watch(flow, strange) == CR_ERR_SCOPE, "another context: %s",
       cr_message(other));
    cr_clear(other);
    cr_close(other);
    ok(cr_flow_watch(flow, cr_scalar(ctx, 1)) == CR_OK, "a loss that nothing leads to");
    is_int(param_of(flow, 0, "weight")->gradient.state, CR_FLOW_DISCONNECTED,
           "is no gradient");
    ok(!cr_flow_count(NULL) && !cr_flow_snapshot_of(NULL, 0) && !cr_flow_is_due(NULL),
       "NULLs");
    cr_flow_close(NULL);
    cr_flow_close(flow);
    cr_nn_free(net);
    cr_close(ctx);
}

/* ---- spectra: numpy.linalg.svd of the same matrices ---- */

static void test_spectrum(void)
{
    static const double svd[] = {
        0.120732040430728, 0.157044457712703, 0.89010465630762,
        1.06468653156437,  1.479749295625887, 1.830872759815596
    };
    cr_ctx *ctx = cr_open(NULL);
    for (int dtype = 0; dtype < 2; dtype++) {
        CR_SCOPE(ctx);
        const double tolerance = dtype ? 1e-9 : 1e-4;
        cr_tensor *x = cr_randn(ctx, CR_DIMS(3, 6), .dtype = CR_F64);
        cr_tensor *y = cr_matmul(
            cr_matmul(cr_requires_grad(x), cr_t(eighths(ctx, 6, 6, 7, 3, 0, 11))),
            cr_t(eighths(ctx, 7, 6, 5, 2, 1, 13)));
        if (!dtype) {
            x = cr_requires_grad(cr_cast(cr_detach(x), CR_F32));
            y = cr_matmul(
                cr_matmul(x, cr_cast(cr_t(eighths(ctx, 6, 6, 7, 3, 0, 11)), CR_F32)),
                cr_cast(cr_t(eighths(ctx, 7, 6, 5, 2, 1, 13)), CR_F32));
        }
        cr_flow_spectrum s;
        is_int(cr_flow_spectrum_of(y, x, &s), CR_OK, "a spectrum: %s", cr_message(ctx));
        ok(s.rows == 7 && s.columns == 6, "of one sample's Jacobian");
        is_near(s.largest, svd[5], tolerance, "largest singular value");
        is_near(s.smallest, svd[0], 10 * tolerance, "smallest");
        is_near(s.mean, 1.2511393229166672, tolerance,
                "mean of squares, by as many probes");
        is_near(s.variance, 1.4254227413071536, 4 * tolerance, "variance");
        double sum = 0;
        for (int i = 0; i < s.n_values; i++) {
            is_near(s.values[i], svd[i], 10 * tolerance, "value %d", i);
            sum += s.weights[i];
        }
        is_near(sum, 1, 1e-9, "weights of the distribution");
    }
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(1, 40), 0.5));
    cr_tensor *tiny = cr_mul(cr_mul(cr_mul(x, 1e-25), 1e-25), cr_linspace(ctx, 1, 2, 40));
    cr_flow_spectrum s;
    is_int(cr_flow_spectrum_of(tiny, x, &s, .iterations = 8), CR_OK,
           "products that underflow");
    is_near(log10(s.largest), log10(2) - 50, 1e-2, "are scaled");
    ok(isnan(s.smallest), "what was not reached is not told");
    ok(cr_flow_spectrum_of(x, cr_ones(ctx, CR_DIMS(2)), &s) == CR_ERR_GRAD, "%s",
       cr_message(ctx));
    cr_clear(ctx);
    ok(cr_flow_spectrum_of(NULL, x, &s) == CR_ERR_NULL, "%s", cr_message(ctx));
    cr_clear(ctx);
    cr_close(ctx);
}

int main(void)
{
    test_sizes();
    test_by_hand();
    test_states();
    test_deep();
    test_boundaries();
    test_named();
    test_losses();
    test_peaks();
    test_linear();
    test_unchanged();
    test_rare();
    test_pass_between();
    test_memory_limit();
    test_history();
    test_errors();
    test_spectrum();
    return done_testing();
}
