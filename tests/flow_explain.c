/* Verdicts on small networks: each check on what it is for and on what looks like it, forwards
 * written by hand, short histories, and what a report says of the stack. */
#include <chainrule_flow.h>

#include "tap.h"

#include <stdlib.h>

/* ---- A training ---- */

/* How a scene is trained. The network: l sizes of a linear layer, r relu, s sigmoid, t tanh, b batch
 * norm of a size, m softmax: "l8,32 r l32,1". Zeros are what is usual. */
typedef struct scene {
    const char *name, *net;
    cr_flow_cause cause; /* healthy: no alarm */
    cr_tensor *(*loss)(cr_tensor *y, cr_tensor *x);
    void (*prepare)(cr_module *net);
    double lr, weight_decay, clip, input_scale;
    int batch, steps,
        accumulate;  /* a step each so many passes; negative: gradients pile up */
    bool adam, late; /* late: gradients are cleared behind the watching */
} scene;

static cr_module *build(cr_ctx *ctx, const char *spec)
{
    cr_module *net = cr_nn_sequential(ctx);
    for (const char *c = spec; *c; c++) {
        char *end = NULL;
        const int64_t in = strtol(c + 1, &end, 10);
        const int64_t out = *end == ',' ? strtol(end + 1, &end, 10) : 0;
        cr_nn_add(net, *c == 'l'   ? cr_nn_linear(ctx, in, out)
                       : *c == 'b' ? cr_nn_batch_norm1d(ctx, in)
                       : *c == 'r' ? cr_nn_relu(ctx)
                       : *c == 's' ? cr_nn_sigmoid(ctx)
                       : *c == 'm' ? cr_nn_softmax(ctx, -1)
                                   : cr_nn_tanh(ctx));
        c = end;
        if (!*c)
            break;
    }
    return net;
}

/* sin(2 x0) + x1 x2 / 2 */
static cr_tensor *surface(cr_tensor *x)
{
    cr_tensor *a = cr_narrow(x, 1, 0, 1), *b = cr_narrow(x, 1, 1, 1),
              *c = cr_narrow(x, 1, 2, 1);
    return cr_detach(cr_add(cr_sin(cr_mul(a, 2)), cr_mul(cr_mul(b, c), 0.5)));
}

static cr_tensor *target_of; /* what the last loss compared with */

static cr_tensor *squares(cr_tensor *y, cr_tensor *x)
{
    target_of = surface(x);
    return cr_mse_loss(y, target_of);
}

static cr_tensor *classes_of(cr_tensor *x)
{
    cr_tensor *s = cr_reshape(surface(x), CR_DIMS(-1));
    return target_of =
               cr_add(cr_cast(cr_gt(s, 0.5), CR_I64), cr_cast(cr_gt(s, -0.5), CR_I64));
}

static cr_tensor *classes(cr_tensor *y, cr_tensor *x)
{
    return cr_cross_entropy(y, classes_of(x));
}

static cr_tensor *classes_summed(cr_tensor *y, cr_tensor *x)
{
    return cr_mul(cr_cross_entropy(y, classes_of(x), .reduction = CR_REDUCTION_SUM), 3);
}

static cr_tensor *likelihood(cr_tensor *y, cr_tensor *x)
{
    return cr_nll_loss(y, classes_of(x));
}

static cr_tensor *likelihood_of_softmax(cr_tensor *y, cr_tensor *x)
{
    return cr_nll_loss(cr_log(y), classes_of(x));
}

static cr_tensor *signs(cr_tensor *y, cr_tensor *x)
{
    target_of = cr_sign(surface(x));
    return cr_binary_cross_entropy_with_logits(y, target_of);
}

static cr_tensor *every_pair(cr_tensor *y, cr_tensor *x)
{
    target_of = cr_reshape(surface(x), CR_DIMS(-1));
    return cr_mean(cr_abs(cr_sub(y, target_of)));
}

static void zero_all(cr_module *net)
{
    const cr_params *params = cr_nn_params(net);
    for (int i = 0; i < params->n; i++)
        cr_init_constant(params->list[i].tensor, 0);
}

static void zero_last(cr_module *net)
{
    const cr_params *params = cr_nn_params(net);
    for (int i = params->n - 2; i < params->n; i++)
        cr_init_constant(params->list[i].tensor, 0);
}

static void equal(cr_module *net)
{
    const cr_params *params = cr_nn_params(net);
    for (int i = 0; i < params->n; i++)
        cr_init_constant(params->list[i].tensor, 0.1);
}

static void he(cr_module *net)
{
    const cr_params *params = cr_nn_params(net);
    for (int i = 0; i < params->n; i++)
        if (cr_ndim(params->list[i].tensor) > 1)
            cr_init_kaiming_normal(params->list[i].tensor, sqrt(2));
}

static void freeze_first(cr_module *net)
{
    cr_requires_grad(cr_nn_param(net, "0.weight"), false);
}

static void evaluate(cr_module *net)
{
    cr_nn_train(net, false);
}

#define DEEP_S \
    "l8,32 s l32,32 s l32,32 s l32,32 s l32,32 s l32,32 s l32,32 s l32,32 s l32,1"
#define DEEP_R \
    "l8,32 r l32,32 r l32,32 r l32,32 r l32,32 r l32,32 r l32,32 r l32,32 r l32,1"

static const scene scenes[] = {
    { "a sound regression", "l8,32 r l32,1", CR_FLOW_HEALTHY, squares, .lr = 0.05 },
    { "a sound classification", "l8,32 t l32,3", CR_FLOW_HEALTHY, classes, .lr = 0.2 },
    { "rate of 30", "l8,32 r l32,1", CR_FLOW_RATE_TOO_LARGE, squares, .lr = 30 },
    { "rate of 0", "l8,32 r l32,1", CR_FLOW_RATE_TOO_SMALL, squares, .lr = 1e-12 },
    { "summed and times three", "l8,32 r l32,3", CR_FLOW_LOSS_SCALE, classes_summed,
      .lr = 0.3, .batch = 128 },
    { "the same for adam", "l8,32 r l32,3", CR_FLOW_HEALTHY, classes_summed, .lr = 0.003,
      .batch = 128, .adam = true },
    { "inputs times 500", "l8,32 r l32,1", CR_FLOW_INPUT_SCALE, squares, .lr = 0.05,
      .input_scale = 500 },
    { "probabilities, not their logarithms", "l8,32 r l32,3 m", CR_FLOW_SOFTMAX_TWICE,
      likelihood, .lr = 0.1 },
    { "softmax, then its logarithm", "l8,32 r l32,3 m", CR_FLOW_HEALTHY,
      likelihood_of_softmax, .lr = 0.1 },
    { "softmax twice", "l8,32 r l32,3 m", CR_FLOW_SOFTMAX_TWICE, classes, .lr = 0.1 },
    { "labels of -1 and 1", "l8,32 r l32,1", CR_FLOW_OUT_OF_REACH, signs, .lr = 0.1 },
    { "relu at the end", "l8,32 r l32,1 r", CR_FLOW_OUT_OF_REACH, squares, .lr = 0.05 },
    { "every pair", "l8,32 r l32,1", CR_FLOW_BROADCAST_LOSS, every_pair, .lr = 0.05 },
    { "zeros", "l8,32 t l32,32 t l32,1", CR_FLOW_ZERO_WEIGHTS, squares, zero_all,
      .lr = 0.05 },
    { "zeros in the last layer", "l8,32 t l32,32 t l32,1", CR_FLOW_HEALTHY, squares,
      zero_last, .lr = 0.05 },
    { "all equal", "l8,32 t l32,32 t l32,1", CR_FLOW_EQUAL_WEIGHTS, squares, equal,
      .lr = 0.05 },
    { "the first layer frozen", "l8,32 r l32,32 r l32,1", CR_FLOW_HEALTHY, squares,
      freeze_first, .lr = 0.05 },
    { "eight sigmoid layers", DEEP_S, CR_FLOW_VANISHING, squares, .lr = 0.05 },
    { "eight relu layers by He", DEEP_R, CR_FLOW_HEALTHY, squares, he, .lr = 0.01 },
    { "gradients pile up", "l8,32 r l32,1", CR_FLOW_NEVER_CLEARED, squares, .lr = 0.01,
      .accumulate = -1 },
    { "cleared late", "l8,32 r l32,1", CR_FLOW_HEALTHY, squares, .lr = 0.05,
      .late = true },
    { "cleared late, clipped", "l8,32 r l32,1", CR_FLOW_HEALTHY, squares, .lr = 0.05,
      .late = true, .clip = 0.5 },
    { "accumulated over three", "l8,32 r l32,1", CR_FLOW_HEALTHY, squares, .lr = 0.02,
      .accumulate = 3 },
    { "clipped at 10^-5", "l8,32 r l32,1", CR_FLOW_CLIPPED, squares, .lr = 0.05,
      .clip = 1e-5 },
    { "decay of 2", "l8,32 r l32,1", CR_FLOW_WEIGHT_DECAY, squares, .lr = 0.05,
      .weight_decay = 2 },
    { "evaluated while trained", "l8,32 b32 r l32,1", CR_FLOW_EVALUATION_MODE, squares,
      evaluate, .lr = 0.05 },
    { "no activation", "l8,32 l32,32 l32,1", CR_FLOW_NO_ACTIVATION, squares, .lr = 0.05 },
    { "linear regression", "l8,1", CR_FLOW_HEALTHY, squares, .lr = 0.05 },
};

static void update(const scene *s, cr_module *net, cr_optim *optim, cr_tensor *loss,
                   int step)
{
    const int each = s->accumulate > 1 ? s->accumulate : 1;
    if (s->late)
        cr_optim_zero_grad(optim);
    cr_backward(loss);
    if (s->clip > 0)
        cr_clip_grad_norm(cr_nn_params(net), s->clip);
    if (step % each < each - 1)
        return;
    cr_optim_step(optim);
    if (!s->late && s->accumulate >= 0)
        cr_optim_zero_grad(optim);
}

static void train(const scene *s, cr_module *net, cr_optim *optim, cr_flow *flow,
                  int from, int to)
{
    cr_ctx *ctx = cr_nn_params(net)->ctx;
    const double scale = s->input_scale > 0 ? s->input_scale : 1;
    for (int step = from; step < to && !cr_error(ctx); step++) {
        CR_SCOPE(ctx);
        cr_tensor *x = cr_randn(ctx, CR_DIMS(s->batch ? s->batch : 32, 8));
        cr_tensor *y = cr_nn_forward(net, cr_mul(x, scale)), *loss = s->loss(y, x);
        if (flow)
            cr_flow_watch(flow, loss, .output = y, .target = target_of);
        update(s, net, optim, loss, step);
    }
}

static cr_optim *optimiser(const scene *s, cr_module *net)
{
    return s->adam
               ? cr_optim_adam(cr_nn_params(net), s->lr)
               : cr_optim_sgd(cr_nn_params(net), s->lr, .weight_decay = s->weight_decay);
}

static void look_at(const scene *s)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_module *net = build(ctx, s->net);
    if (s->prepare)
        s->prepare(net);
    cr_optim *optim = optimiser(s, net);
    cr_flow *flow = cr_flow_open(net, .optim = optim, .every = 10);
    train(s, net, optim, flow, 0, s->steps ? s->steps : 41);
    cr_clear(ctx);
    const cr_flow_report *report = cr_flow_report_of(flow);
    const cr_flow_verdict *v = report ? report->verdicts : NULL;
    const bool alarm = cr_flow_exit_status(report) == 1;
    const bool right =
        v && (s->cause == CR_FLOW_HEALTHY ? !alarm : alarm && v->cause == s->cause);
    ok(right, "%s: %s", s->name, v ? cr_flow_cause_name(v->cause) : cr_message(ctx));
    for (int i = 0; report && i < report->n_verdicts; i++) {
        v = &report->verdicts[i];
        if (!right)
            diag("[%d %.2f] %s: %s | %s", (int)v->severity, v->confidence,
                 cr_flow_cause_name(v->cause), v->what, v->evidence);
        ok(v->what[0] && v->evidence[0] && v->cure[0] && v->where && v->confidence >= 0 &&
               v->confidence <= 1,
           "%s: %s is complete", s->name, cr_flow_cause_name(v->cause));
    }
    cr_flow_close(flow);
    cr_optim_free(optim);
    cr_nn_free(net);
    cr_close(ctx);
}

/* ---- By hand: no modules, boundaries named ---- */

enum { WIDTH = 16 };

typedef struct by_hand {
    const char *name;
    int layers;
    bool one_weight, relu;
    double gain; /* deviation of weights times sqrt(width) */
    cr_flow_cause cause;
} by_hand;

static void look_at_hand(const by_hand *h)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *ws[64],
        *head = cr_requires_grad(cr_mul(cr_randn(ctx, CR_DIMS(WIDTH, 1)), 0.25));
    const int n = h->one_weight ? 1 : h->layers;
    for (int i = 0; i < n; i++)
        ws[i] =
            cr_requires_grad(cr_mul(cr_randn(ctx, CR_DIMS(WIDTH, WIDTH)), h->gain / 4));
    ws[n] = head;
    const cr_params *params = cr_params_of(ws, NULL, n + 1);
    cr_optim *optim = cr_optim_sgd(params, 0.02);
    cr_flow *flow = cr_flow_open(NULL, .optim = optim, .params = params, .every = 10);
    for (int step = 0; step < 31 && !cr_error(ctx); step++) {
        CR_SCOPE(ctx);
        cr_tensor *x = cr_randn(ctx, CR_DIMS(16, WIDTH)), *y = x, *target = surface(x);
        for (int i = 0; i < h->layers; i++) {
            char name[16];
            snprintf(name, sizeof name, "h%d", i);
            y = cr_matmul(y, ws[h->one_weight ? 0 : i]);
            y = cr_flow_name(flow, h->relu ? cr_relu(y) : cr_tanh(y), name);
        }
        y = cr_matmul(y, head);
        cr_tensor *loss = cr_mse_loss(y, target);
        cr_optim_zero_grad(optim);
        cr_flow_watch(flow, loss, .output = y, .target = target);
        cr_backward(loss);
        cr_optim_step(optim);
    }
    cr_clear(ctx);
    const cr_flow_report *report = cr_flow_report_of(flow);
    const bool alarm = cr_flow_exit_status(report) == 1;
    const cr_flow_cause got = report ? report->verdicts[0].cause : CR_FLOW_CAUSES;
    ok(report && (h->cause == CR_FLOW_HEALTHY ? !alarm : alarm && got == h->cause),
       "%s: %s", h->name, cr_flow_cause_name(got));
    if (report)
        diag("%s | %s", report->verdicts[0].what, report->verdicts[0].evidence);
    cr_flow_close(flow);
    cr_optim_free(optim);
    cr_close(ctx);
}

/* ---- What a report says ---- */

static void stacks(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_module *net = build(ctx, DEEP_R);
    he(net);
    const scene s = { "", DEEP_R, .loss = squares, .lr = 0.01 };
    cr_optim *optim = optimiser(&s, net);
    cr_flow *flow = cr_flow_open(net, .optim = optim);
    ok(!cr_flow_report_of(flow), "nothing was watched");
    cr_clear(ctx);
    train(&s, net, optim, flow, 0, 1);
    const cr_flow_report *r = cr_flow_report_of(flow);
    ok(r && r->saw_start && r->n_snapshots == 1, "one snapshot, the start");
    if (r) {
        is_text(r->stack.activation ? r->stack.activation->name : "", "relu",
                "activation");
        is_near(r->stack.sigma_w2, 2, 0.2, "sigma_w2");
        is_int(r->stack.depth, 8, "depth");
        is_int(r->stack.width, 32, "width");
        is_near(r->prediction.decades, 0, 0.03, "theory: nothing is lost");
        /* ln |delta| has variance 5/4 of 1/n a layer: 0.09 decades each, and less in the slope. */
        is_near(r->measured_decades, 0, 0.09, "measured: as theory says");
        ok(r->stack_layers && r->stack_layers[0] == 0, "its layers");
        is_int(cr_flow_exit_status(r), 0, "exit status");
    }
    is_int(cr_flow_exit_status(NULL), 0, "no report is no alarm");
    cr_flow_close(flow);
    const scene late = { "", DEEP_R, .loss = squares, .lr = 0.01, .late = true };
    train(&late, net, optim, NULL, 0, 3);
    flow = cr_flow_open(net, .optim = optim);
    train(&late, net, optim, flow, 0, 3);
    r = cr_flow_report_of(flow);
    ok(r && !r->saw_start, "who comes late did not see the start (%s)", cr_message(ctx));
    cr_flow_close(flow);
    cr_optim_free(optim);
    cr_nn_free(net);
    cr_close(ctx);
}

int main(void)
{
    static const by_hand hands[] = {
        { "fourteen small tanh layers by hand", 14, false, false, 0.5,
          CR_FLOW_VANISHING },
        { "fourteen relu layers by hand, He", 14, false, true, 1.41421356,
          CR_FLOW_HEALTHY },
        { "forty steps of one weight", 40, true, false, 0.6, CR_FLOW_RECURRENCE },
        { "four steps of one weight", 4, true, false, 1, CR_FLOW_HEALTHY },
    };
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++)
        look_at(&scenes[i]);
    for (size_t i = 0; i < sizeof hands / sizeof *hands; i++)
        look_at_hand(&hands[i]);
    stacks();
    return done_testing();
}
