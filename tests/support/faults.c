/* Rows of faults.h as tasks: build, optimiser, loss, update; training, and what it was worth. */
#include "faults.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SCORED = 512 };

struct fault_case {
    const fault_net *net;
    fault_samples samples;
    cr_flow_task task;
};

/* ---- The task ----------------------------------------------------------------------- */

static cr_module *build(cr_ctx *ctx, void *user)
{
    const fault_case *c = user;
    return fault_module(ctx, c->net, &c->samples);
}

static const double usual_rates[] = {
    [RULE_SGD] = 0.1, [RULE_MOMENTUM] = 0.02, [RULE_ADAM] = 3e-3, [RULE_ADAMW] = 3e-3
};

static double rate_of(const fault_net *net)
{
    return net->lr > 0 ? net->lr : usual_rates[net->rule];
}

static cr_optim *optimiser_of(const fault_net *net, const cr_params *params)
{
    double lr = rate_of(net);
    switch (net->rule) {
    case RULE_SGD:
        return cr_optim_sgd(params, lr, .weight_decay = net->weight_decay);
    case RULE_MOMENTUM:
        return cr_optim_sgd(params, lr, .momentum = 0.9,
                            .weight_decay = net->weight_decay);
    case RULE_ADAM:
        return cr_optim_adam(params, lr, .weight_decay = net->weight_decay);
    case RULE_ADAMW:
        return cr_optim_adamw(params, lr, net->weight_decay);
    }
    return NULL;
}

/* The parameters from the given one on; copies of them, as of a model that was copied. */
static cr_optim *optimiser(cr_module *module, void *user)
{
    const fault_net *net = ((const fault_case *)user)->net;
    const cr_params *all = cr_nn_params(module);
    if (!all)
        return NULL;
    int from = net->left_out < 0 ? all->n + net->left_out : net->left_out;
    if (from == 0 && !net->optimises_copy)
        return optimiser_of(net, all);
    cr_tensor *list[256];
    int n = 0;
    for (int i = from; i < all->n && n < 256; i++) {
        cr_tensor *p = all->list[i].tensor;
        list[n++] = net->optimises_copy ? cr_requires_grad(cr_mul(cr_detach(p), 1)) : p;
    }
    return optimiser_of(net, cr_params_of(list, NULL, n));
}

/* Those of the step, one behind the other. */
static int sample_at(const fault_case *c, int64_t step, int batch, int i)
{
    return (int)((step * batch + i) % c->samples.n);
}

typedef struct taken {
    cr_tensor *x, *numbers, *labels;
} taken;

static taken take(const fault_case *c, cr_ctx *ctx, int64_t step, int batch)
{
    const fault_samples *s = &c->samples;
    taken out = { 0 };
    float *x = malloc((size_t)(batch * s->numel) * sizeof *x);
    float *y = malloc((size_t)batch * sizeof *y);
    int64_t *labels = malloc((size_t)batch * sizeof *labels);
    if (x && y && labels) {
        for (int i = 0; i < batch; i++) {
            int at = sample_at(c, step, batch, i);
            memcpy(&x[i * s->numel], &s->x[at * s->numel], (size_t)s->numel * sizeof *x);
            y[i] = s->y[at];
            labels[i] = s->labels[at];
        }
        cr_dims shape = { .n = s->shape.n + 1, .given = true, .v = { batch } };
        for (int i = 0; i < s->shape.n; i++)
            shape.v[i + 1] = s->shape.v[i];
        out.x = cr_from(ctx, CR_F32, shape, x);
        out.numbers = cr_from(ctx, CR_F32, CR_DIMS(batch, 1), y);
        out.labels = cr_from(ctx, CR_I64, CR_DIMS(batch), labels);
        if (c->net->dtype)
            out.x = cr_cast(out.x, c->net->dtype);
    }
    free(x);
    free(y);
    free(labels);
    return out;
}

static int batch_of(const fault_net *net)
{
    return net->batch ? net->batch : 32;
}

static cr_ctx *ctx_of(cr_module *module)
{
    const cr_params *params = cr_nn_params(module);
    return params ? params->ctx : NULL;
}

static cr_tensor *generator_loss(const fault_case *c, cr_module *module, cr_tensor *x,
                                 cr_flow_batch *batch)
{
    cr_tensor *verdict =
        cr_nn_forward(fault_discriminator(module), cr_nn_forward(module, x));
    if (batch)
        batch->output = verdict;
    if (c->net->loss)
        return c->net->loss(verdict, cr_ones_like(verdict));
    /* ln(1 - D(G(z))), to be made small: Goodfellow et al., 2014, equation 1 */
    return cr_mean(cr_log(cr_sub(1 + 1e-7, cr_sigmoid(verdict))));
}

static cr_tensor *loss(cr_module *module, int64_t step, cr_flow_batch *batch, void *user)
{
    const fault_case *c = user;
    const fault_net *net = c->net;
    taken t = take(c, ctx_of(module), step, batch_of(net));
    if (net->body == BODY_GAN)
        return generator_loss(c, module, t.x, batch);
    cr_tensor *output = cr_nn_forward(module, t.x);
    if (net->behind)
        output = fault_behind(net->behind, output, net->over_samples ? 0 : -1);
    cr_tensor *target = c->samples.classes ? t.labels : t.numbers;
    if (net->dtype && !c->samples.classes && output)
        target = cr_cast(target, cr_dtype_of(output));
    cr_tensor *value = NULL;
    if (net->loss)
        value = net->loss(output, target);
    else if (net->data == DATA_SPIRALS)
        value = loss_bce_logits(output, target);
    else
        value = c->samples.classes ? cr_cross_entropy(output, target)
                                   : cr_mse_loss(output, target);
    if (net->loss_scale > 0)
        value = cr_mul(value, net->loss_scale);
    if (batch && !net->output_unknown)
        *batch = (cr_flow_batch){ .output = output, .target = target };
    return value;
}

/* The discriminator's own step: what is real against what is generated. */
static void train_discriminator(const fault_case *c, cr_module *module, int64_t step)
{
    cr_ctx *ctx = ctx_of(module);
    cr_module *d = fault_discriminator(module);
    const cr_params *params = cr_nn_params(d);
    cr_tensor *fake = cr_detach(cr_nn_forward(module, take(c, ctx, step, 32).x));
    cr_tensor *real = cr_add(cr_mul(cr_randn(ctx, CR_DIMS(32, 2)), 0.3),
                             cr_from(ctx, CR_F32, CR_DIMS(1, 2), ((float[]){ 2, -1 })));
    cr_tensor *on_real = cr_nn_forward(d, real), *on_fake = cr_nn_forward(d, fake);
    cr_tensor *value = cr_add(loss_bce_logits(on_real, cr_ones_like(on_real)),
                              loss_bce_logits(on_fake, cr_zeros_like(on_fake)));
    cr_tensor *ps[16], *gs[16];
    for (int i = 0; i < params->n; i++)
        ps[i] = params->list[i].tensor;
    if (cr_gradients(&value, 1, ps, params->n, gs))
        return;
    for (int i = 0; i < params->n; i++)
        cr_assign(ps[i], cr_sub(cr_detach(ps[i]), cr_mul(gs[i], 0.1)));
}

static cr_status update(cr_module *module, cr_optim *optim, cr_tensor *value,
                        int64_t step, void *user)
{
    const fault_case *c = user;
    const fault_net *net = c->net;
    if (!net->never_cleared)
        cr_optim_zero_grad(optim);
    cr_status status = cr_backward(value);
    if (net->clip_norm > 0)
        cr_clip_grad_norm(cr_nn_params(module), net->clip_norm);
    if (net->clip_value > 0)
        cr_clip_grad_value(cr_nn_params(module), net->clip_value);
    if (net->warm_up)
        cr_optim_set_lr(optim, rate_of(net) * fmin(1, (double)(step + 1) / net->warm_up));
    if (net->lr_factor > 0)
        cr_optim_set_lr(optim, rate_of(net) * pow(net->lr_factor, (double)step));
    if (!status)
        status = cr_optim_step(optim);
    int judged = net->body != BODY_GAN ? 0
                 : step == 0           ? 300
                                       : 5; /* it is trained first */
    for (int i = 0; !status && i < judged; i++) {
        CR_SCOPE(ctx_of(module));
        train_discriminator(c, module, 5 * step + i);
    }
    return status ? status : cr_error(ctx_of(module));
}

fault_case *fault_open(const fault_net *net)
{
    fault_case *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->net = net;
    c->task = (cr_flow_task){ .name = net->name,
                              .build = build,
                              .optimiser = optimiser,
                              .loss = loss,
                              .update = update,
                              .user = c };
    if (!fault_samples_make(net, &c->samples)) {
        free(c);
        return NULL;
    }
    return c;
}

void fault_close(fault_case *c)
{
    if (c)
        fault_samples_free(&c->samples);
    free(c);
}

const cr_flow_task *fault_task(const fault_case *c)
{
    return &c->task;
}

/* ---- What a training was worth ------------------------------------------------------- */

/* Mean recall of the classes that occur, from chance to 1 as from 0 to 1. */
static double score_classes(const float *out, const int64_t *labels, int n, int classes)
{
    int of[16] = { 0 }, right[16] = { 0 }, occur = 0;
    for (int i = 0; i < n; i++) {
        int best = 0;
        for (int k = 1; k < classes; k++)
            if (out[i * classes + k] > out[i * classes + best])
                best = k;
        of[labels[i]]++;
        right[labels[i]] += best == labels[i];
    }
    double recall = 0;
    for (int k = 0; k < classes; k++)
        if (of[k]) {
            recall += (double)right[k] / of[k];
            occur++;
        }
    double chance = 1.0 / occur;
    return (recall / occur - chance) / (1 - chance);
}

static double score_numbers(const float *out, const float *y, int n)
{
    double sum = 0, squares = 0, left = 0;
    for (int i = 0; i < n; i++) {
        double v = (double)y[i], d = v - (double)out[i];
        sum += v;
        squares += v * v;
        left += d * d;
    }
    return 1 - left / (squares - sum * sum / n);
}

/* Of logits or probabilities: `from` is where the guess changes. */
static double score_binary(const float *out, const float *y, int n, double from)
{
    float two[2 * SCORED];
    int64_t labels[SCORED];
    for (int i = 0; i < n; i++) {
        two[2 * i] = (float)from;
        two[2 * i + 1] = out[i];
        labels[i] = (double)y[i] > 0.5;
    }
    return score_classes(two, labels, n, 2);
}

/* Twice the deviation of what lies around (2, -1), and not all in one place. */
static double score_cloud(const float *out, int n)
{
    int near = 0;
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        double x = (double)out[2 * i], y = (double)out[2 * i + 1];
        near += hypot(x - 2, y + 1) < 1;
        sum += x;
        squares += x * x;
    }
    double deviation = sqrt(fmax(0, squares / n - sum * sum / n / n));
    return (double)near / n * fmin(1, deviation / 0.1);
}

double fault_score(const fault_case *c, cr_module *module)
{
    const fault_samples *s = &c->samples;
    const fault_net *net = c->net;
    cr_ctx *ctx = ctx_of(module);
    int n = s->n < SCORED ? s->n : SCORED;
    CR_SCOPE(ctx);
    CR_NO_GRAD(ctx);
    cr_nn_train(module, false);
    taken t = take(c, ctx, 0, n);
    cr_tensor *out = cr_nn_forward(module, t.x);
    if (out && cr_dtype_of(out) != CR_F32)
        out = cr_cast(out, CR_F32);
    if (out && net->behind && !net->over_samples)
        out = fault_behind(net->behind, out, -1);
    const float *values = cr_data(out);
    const float *y = cr_data(t.numbers);
    const int64_t *labels = cr_data(t.labels);
    double score = 0;
    if (!values || !y || !labels)
        score = NAN;
    else if (net->body == BODY_GAN)
        score = score_cloud(values, n);
    else if (s->classes)
        score = score_classes(values, labels, n, s->classes);
    else if (net->data == DATA_SPIRALS)
        score =
            score_binary(values, y, n, net->loss || net->behind || net->last ? 0.5 : 0);
    else
        score = score_numbers(values, y, n);
    return score > 0 ? score : 0;
}

double fault_train(const fault_case *c, uint64_t seed, int64_t steps)
{
    if (steps <= 0)
        steps = c->net->train_steps ? c->net->train_steps : 300;
    cr_ctx *ctx = cr_open(NULL);
    if (!ctx)
        return 0;
    cr_seed(ctx, seed);
    cr_module *module = build(ctx, (void *)c);
    cr_optim *optim = module ? optimiser(module, (void *)c) : NULL;
    double score = 0;
    cr_status status = optim ? CR_OK : cr_error(ctx);
    for (int64_t step = 0; !status && step < steps; step++) {
        CR_SCOPE(ctx);
        cr_tensor *value = loss(module, step, NULL, (void *)c);
        status = value ? update(module, optim, value, step, (void *)c) : cr_error(ctx);
    }
    if (!status && module)
        score = fault_score(c, module);
    cr_clear(ctx);
    cr_optim_free(optim);
    cr_nn_free(module);
    cr_close(ctx);
    return score;
}
