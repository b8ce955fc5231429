/* The table of remedies; those that change a training's ends, its optimiser or its steps; and how
 * one or several are applied to a copy of a task. diagnose.c tries them. */
#include "remedies.h"

#include <stdarg.h>
#include <stdio.h>

typedef cr__flow_training training;

bool cr__flow_does_not_apply(training *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(t->why_not, sizeof t->why_not, format, args);
    va_end(args);
    return false;
}

/* The first snapshot of the diagnosis, NULL if there is none. */
static const cr_flow_snapshot *first_snapshot(const training *t)
{
    return t->found && t->found->n_snapshots ? &t->found->snapshots[0] : NULL;
}

/* ---- ends ---- */

static bool is_sequential(const cr_module *module)
{
    return strcmp(cr_nn_kind(module), "sequential") == 0;
}

/* The input's rank and features by the weights that it meets first: [out, in, ..]. */
static bool normalise_input(training *t, const cr_flow_remedy *self)
{
    (void)self;
    cr_module *first = t->net;
    while (cr_nn_count(first) && is_sequential(first))
        first = cr_nn_child(first, 0);
    const char *kind = cr_nn_kind(first);
    const bool flat = strcmp(kind, "linear") == 0, image = strcmp(kind, "conv2d") == 0;
    if (!is_sequential(t->net) || (!flat && !image))
        return cr__flow_does_not_apply(t, "it does not begin with a layer of weights");
    const cr_flow_snapshot *shot = first_snapshot(t);
    const double rms = shot && shot->n_layers ? shot->layers[0].x.rms : 1;
    /* Constants stay near zero: far below the input's own scale. */
    const double eps = isfinite(rms) && rms > 0 ? 1e-5 * rms * rms : 1e-5;
    const int64_t n = cr_size(cr_nn_param(first, "weight"), 1);
    cr_nn_insert(t->net, 0,
                 flat ? cr_nn_batch_norm1d(t->ctx, n, .no_affine = true, .eps = eps)
                      : cr_nn_batch_norm2d(t->ctx, n, .no_affine = true, .eps = eps));
    cr__flow_code_line(
        &t->code,
        "cr_nn_insert(net, 0, cr_nn_batch_norm%dd(ctx, %lld, .no_affine = true,\n"
        "                                         .eps = %.3g));",
        flat ? 1 : 2, (long long)n, eps);
    return true;
}

static cr_tensor *unscale_output(cr_module *module, cr_tensor *x, cr_tensor *y,
                                 void *user)
{
    (void)module, (void)x;
    const training *t = user;
    return cr_add(cr_mul(y, t->target_deviation), t->target_mean);
}

/* The loss is the task's: so the network's output is scaled up to the targets, and the loss down
 * by what that multiplies its gradient with. With squared errors that is the training that has its
 * targets scaled. */
static bool normalise_target(training *t, const cr_flow_remedy *self)
{
    (void)self;
    const cr_flow_snapshot *shot = first_snapshot(t);
    const cr_flow_loss *loss = shot ? &shot->loss : NULL;
    const bool numbers = loss && (loss->kind == CR_FLOW_LOSS_SQUARES ||
                                  loss->kind == CR_FLOW_LOSS_ABSOLUTE ||
                                  loss->kind == CR_FLOW_LOSS_UNKNOWN);
    if (!numbers || loss->target.numel < 2 || !isfinite(loss->target_rms))
        return cr__flow_does_not_apply(t, "its targets are unknown, or classes");
    const double mean = loss->target_mean;
    const double square = loss->target_rms * loss->target_rms - mean * mean;
    if (!(square > 1e-12 * loss->target_rms * loss->target_rms))
        return cr__flow_does_not_apply(t, "its targets are all the same");
    t->target_mean = mean;
    t->target_deviation = sqrt(square);
    t->loss_scale /= loss->kind == CR_FLOW_LOSS_ABSOLUTE ? t->target_deviation : square;
    cr__flow_code_line(&t->code,
                       "target = cr_div(cr_sub(target, %.4g), %.4g); /* before the loss; "
                       "predictions go back by * and + */",
                       mean, t->target_deviation);
    return cr_nn_register_forward_hook(t->net, unscale_output, t) != 0;
}

static cr_tensor *start_training(cr_module *module, cr_tensor *x, void *user)
{
    (void)module;
    cr_nn_train(user, true);
    return x;
}

static bool train_mode(training *t, const cr_flow_remedy *self)
{
    (void)self;
    cr_nn_train(t->net, true);
    /* The task may leave the mode again in each step: what stands in front brings it back. */
    if (is_sequential(t->net))
        cr_nn_insert(t->net, 0,
                     cr_nn_custom(t->ctx, "train_mode", start_training, t->net, NULL));
    cr__flow_code_line(
        &t->code, "cr_nn_train(net, true); /* in each step, before the forward pass */");
    return true;
}

static bool unfreeze(training *t, const cr_flow_remedy *self)
{
    (void)self;
    const cr_params *params = cr_nn_params(t->net);
    for (int i = 0; params && i < params->n; i++)
        cr_requires_grad(params->list[i].tensor);
    cr__flow_code_line(&t->code,
                       "for (int i = 0; i < cr_nn_params(net)->n; i++)\n"
                       "    cr_requires_grad(cr_nn_params(net)->list[i].tensor);");
    return true;
}

/* ---- weights by a whole network's forward pass, or its branches ---- */

static cr_tensor *keep_input(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    cr_tensor **kept = user;
    (void)module, (void)y;
    *kept = *kept ? *kept : cr_retain(cr_detach(x));
    return NULL;
}

/* What the task gives its network in step 0, retained; NULL if its loss runs only parts of it. */
static cr_tensor *first_input(training *t)
{
    cr_tensor *x = NULL;
    const cr_rng rng = cr_rng_get(t->ctx);
    const uint64_t hook = cr_nn_register_forward_hook(t->net, keep_input, &x);
    if (!hook || cr_scope_push(t->ctx) != CR_OK)
        return NULL;
    cr_flow_batch batch = { .output = NULL };
    cr_no_grad_push(t->ctx);
    t->task->loss(t->net, 0, &batch, t->task->user);
    cr_no_grad_pop(t->ctx);
    cr_scope_pop(t->ctx);
    cr_nn_remove_forward_hook(t->net, hook);
    cr_rng_set(t->ctx, rng);
    return x;
}

static bool scale_layers(training *t, const cr_flow_remedy *self)
{
    (void)self;
    cr_tensor *x = first_input(t);
    if (!x)
        return cr__flow_does_not_apply(t, "its loss does not run the module as a whole");
    cr_init_lsuv(t->net, x);
    cr_release(x);
    cr__flow_code_line(&t->code, "cr_init_lsuv(net, x); /* x: a batch */");
    return true;
}

/* ---- steps ---- */

static double usual_size(const training *t, const cr_flow_remedy *self)
{
    return t->amount > 0 ? t->amount : self->sizes[0];
}

static bool set_rate(training *t, const cr_flow_remedy *self)
{
    const double rate = cr_optim_lr(t->optim) * usual_size(t, self);
    cr_optim_set_lr(t->optim, rate);
    cr__flow_code_line(&t->code, "cr_optim_set_lr(optim, %.3g);", rate);
    return true;
}

static bool warm_up(training *t, const cr_flow_remedy *self)
{
    t->rate = cr_optim_lr(t->optim);
    t->warmup = (int64_t)usual_size(t, self);
    const int n = (int)t->warmup;
    cr__flow_code_line(
        &t->code,
        "cr_optim_set_lr(optim, step < %d ? %.3g * (double)(step + 1) / %d : "
        "%.3g); /* in each step */",
        n, t->rate, n, t->rate);
    return true;
}

static bool clip_gradients(training *t, const cr_flow_remedy *self)
{
    t->max_norm = usual_size(t, self);
    cr__flow_code_line(
        &t->code,
        "cr_clip_grad_norm(cr_nn_params(net), %g); /* between cr_backward() and "
        "cr_optim_step() */",
        t->max_norm);
    return true;
}

/* The factor itself, or the number of terms that it is within a twentieth: a sum's. */
static double terms_of(const cr_flow_loss *loss, double factor)
{
    const double counts[] = { (double)loss->samples, (double)loss->output.numel };
    for (int i = 0; i < CR__FLOW_COUNT(counts); i++)
        if (counts[i] > 1 && fabs(factor / counts[i] - 1) < 0.05)
            return counts[i];
    return factor;
}

/* The verdict of that cause; NULL. */
static const cr_flow_verdict *verdict_of(const training *t, cr_flow_cause cause)
{
    for (int i = 0; t->found && i < t->found->n_verdicts; i++)
        if (t->found->verdicts[i].cause == cause)
            return &t->found->verdicts[i];
    return NULL;
}

/* Whether what the optimiser does grows with the gradient: its first update is lr times that. */
static bool follows_gradient(const cr_flow_snapshot *shot)
{
    for (int i = 0; i < shot->n_params; i++) {
        const cr_flow_param *p = &shot->params[i];
        const double usual = log10(shot->loss.learning_rate) + p->gradient.log10_norm;
        if (isfinite(p->update.log10_norm) && isfinite(usual))
            return fabs(p->update.log10_norm - usual) < 0.05;
    }
    return false;
}

/* Gradients beneath the smallest numbers of a half: a larger loss lifts them. */
static bool lift_loss(training *t, const cr_flow_snapshot *shot)
{
    const double factor = 1024;
    t->loss_scale *= factor;
    cr__flow_code_line(&t->code,
                       "loss = cr_mul(loss, %g); /* before cr_backward(loss) */", factor);
    if (follows_gradient(shot)) {
        const double rate = cr_optim_lr(t->optim) / factor;
        cr_optim_set_lr(t->optim, rate);
        cr__flow_code_line(&t->code, "cr_optim_set_lr(optim, %.3g);", rate);
    }
    return true;
}

static bool scale_loss(training *t, const cr_flow_remedy *self)
{
    (void)self;
    const cr_flow_snapshot *shot = first_snapshot(t);
    const cr_flow_verdict *scaled = verdict_of(t, CR_FLOW_LOSS_SCALE);
    if (shot && !scaled && verdict_of(t, CR_FLOW_UNDERFLOW))
        return lift_loss(t, shot);
    double factor = shot ? shot->loss.scale : 0;
    factor = scaled && scaled->amount > 0 ? scaled->amount : factor;
    if (!isfinite(factor) || factor <= 0 || fabs(log(factor)) < 0.01)
        return cr__flow_does_not_apply(t, "its loss is a mean, as far as can be seen");
    factor = shot ? terms_of(&shot->loss, factor) : factor;
    t->loss_scale /= factor;
    cr__flow_code_line(
        &t->code, "loss = cr_div(loss, %.6g); /* before cr_backward(loss) */", factor);
    return true;
}

static bool clear_gradients(training *t, const cr_flow_remedy *self)
{
    (void)self;
    t->clears = true;
    cr__flow_code_line(
        &t->code,
        "cr_optim_zero_grad(optim); /* in each step, before cr_backward(loss) */");
    return true;
}

static bool is_stepped(const cr_optim *optim, const cr_tensor *x)
{
    const cr_params *params = cr_optim_params(optim);
    for (int i = 0; params && i < params->n; i++)
        if (params->list[i].tensor == x)
            return true;
    return false;
}

/* Those that the task's optimiser leaves out get one of their own. */
static bool optimise_all(training *t, const cr_flow_remedy *self)
{
    (void)self;
    const cr_params *params = cr_nn_params(t->net);
    const size_t most = params ? (size_t)params->n + 1 : 1;
    cr_tensor **left = cr__arena_alloc(&t->arena, t->ctx, most * sizeof *left);
    int count = 0;
    for (int i = 0; left && params && i < params->n; i++)
        if (!is_stepped(t->optim, params->list[i].tensor))
            left[count++] = params->list[i].tensor;
    if (!count)
        return cr__flow_does_not_apply(t, "its optimiser has all parameters");
    const double rate = cr_optim_lr(t->optim);
    const cr_params *rest = cr_params_of(left, NULL, count);
    const cr_flow_snapshot *shot = first_snapshot(t);
    const bool sgd = !shot || follows_gradient(shot);
    t->rest = sgd ? cr_optim_sgd(rest, rate) : cr_optim_adam(rest, rate);
    cr__flow_code_line(
        &t->code,
        "cr_optim_free(optim);\n"
        "optim = cr_optim_%s(cr_nn_params(net), %.3g); /* or your own, of all */",
        sgd ? "sgd" : "adam", rate);
    return t->rest != NULL;
}

/* ---- the table ---- */

#define MAKER(name)                            \
    static cr_module *make_##name(cr_ctx *ctx) \
    {                                          \
        return cr_nn_##name(ctx);              \
    }
MAKER(relu)
MAKER(gelu)
MAKER(silu)
MAKER(tanh)

static cr_module *make_leaky_relu(cr_ctx *ctx)
{
    return cr_nn_leaky_relu(ctx, 0.01);
}

static const char slope_note[] = "weights of this size do not make up for the slope of @";

static const cr_flow_remedy remedies[] = {
    { .name = "default",
      .stage = CR__FLOW_WEIGHTS,
      .apply = cr__flow_draw_weights,
      .call = "cr_init_default",
      .if_vanishing = slope_note },
    { .name = "xavier",
      .stage = CR__FLOW_WEIGHTS,
      .apply = cr__flow_draw_weights,
      .call = "cr_init_xavier_normal",
      .if_vanishing = slope_note },
    { .name = "he",
      .stage = CR__FLOW_WEIGHTS,
      .apply = cr__flow_draw_weights,
      .call = "cr_init_kaiming_normal",
      .if_vanishing = slope_note },
    { .name = "lecun",
      .stage = CR__FLOW_WEIGHTS,
      .apply = cr__flow_draw_weights,
      .call = "cr_init_kaiming_normal",
      .if_vanishing = slope_note },
    { .name = "orthogonal",
      .stage = CR__FLOW_WEIGHTS,
      .apply = cr__flow_draw_weights,
      .call = "cr_init_orthogonal",
      .if_vanishing = slope_note },
    { .name = "lsuv",
      .stage = CR__FLOW_WEIGHTS,
      .apply = scale_layers,
      .if_vanishing = slope_note },
    { .name = "fixup",
      .stage = CR__FLOW_WEIGHTS,
      .apply = cr__flow_fix_up,
      .if_vanishing = slope_note },
    { .name = "zero_last", .stage = CR__FLOW_WEIGHTS, .apply = cr__flow_zero_branches },
    { .name = "branch_scale",
      .stage = CR__FLOW_WEIGHTS,
      .apply = cr__flow_scale_branches },
#define REPLACEMENT(name_, call_)                                                        \
    {                                                                                    \
        .name = #name_, .stage = CR__FLOW_MODULES, .apply = cr__flow_change_activations, \
        .call = call_, .make = make_##name_,                                             \
        .if_vanishing = "the weights are too small for @"                                \
    }
    REPLACEMENT(relu, "cr_nn_relu(ctx)"),
    REPLACEMENT(leaky_relu, "cr_nn_leaky_relu(ctx, 0.01)"),
    REPLACEMENT(gelu, "cr_nn_gelu(ctx)"),
    REPLACEMENT(silu, "cr_nn_silu(ctx)"),
    REPLACEMENT(tanh, "cr_nn_tanh(ctx)"),
    { .name = "batch_norm",
      .stage = CR__FLOW_MODULES,
      .apply = cr__flow_place_norms,
      .if_exploding = "a batch norm without a skip does that" },
    { .name = "layer_norm",
      .stage = CR__FLOW_MODULES,
      .apply = cr__flow_place_norms,
      .if_vanishing = "a layer norm leaves the slope of @ what it is" },
    { .name = "rms_norm",
      .stage = CR__FLOW_MODULES,
      .apply = cr__flow_place_norms,
      .if_vanishing = "an rms norm leaves the slope of @ what it is" },
    { .name = "residual",
      .stage = CR__FLOW_BRANCHES,
      .apply = cr__flow_make_branches,
      .if_exploding = "branches at full scale add up: branch_scale" },
    { .name = "no_output_activation",
      .stage = CR__FLOW_MODULES,
      .apply = cr__flow_remove_output_activation },
    { .name = "input_norm", .stage = CR__FLOW_ENDS, .apply = normalise_input },
    { .name = "target_norm", .stage = CR__FLOW_ENDS, .apply = normalise_target },
    { .name = "loss_scale", .stage = CR__FLOW_STEPS, .apply = scale_loss },
    { .name = "lr_down",
      .stage = CR__FLOW_STEPS,
      .apply = set_rate,
      .sizes = { 0.1, 0.3, 0.03, 0.01, 1e-3, 1e-4 } },
    { .name = "lr_up",
      .stage = CR__FLOW_STEPS,
      .apply = set_rate,
      .sizes = { 10, 3, 100, 1000, 1e4, 1e5 },
      .if_vanishing = "a rate multiplies all layers alike" },
    { .name = "clip",
      .stage = CR__FLOW_STEPS,
      .apply = clip_gradients,
      .sizes = { 1, 0.1, 10 },
      .if_vanishing = "clipping only shortens gradients",
      .if_exploding = "clipping shortens all layers alike" },
    { .name = "warmup", .stage = CR__FLOW_STEPS, .apply = warm_up, .sizes = { 20 } },
    { .name = "clear_gradients", .stage = CR__FLOW_STEPS, .apply = clear_gradients },
    { .name = "unfreeze", .stage = CR__FLOW_ENDS, .apply = unfreeze },
    { .name = "optimise_all", .stage = CR__FLOW_STEPS, .apply = optimise_all },
    { .name = "train_mode", .stage = CR__FLOW_ENDS, .apply = train_mode },
};

const cr_flow_remedy *cr_flow_remedy_list(int i)
{
    return i >= 0 && i < CR__FLOW_COUNT(remedies) ? &remedies[i] : NULL;
}

const char *cr_flow_remedy_name(const cr_flow_remedy *remedy)
{
    return remedy ? remedy->name : "";
}

/* ---- cures ---- */

bool cr__flow_cure_find(const char *name, size_t length, cr__flow_cure *out)
{
    const char *const end = name + length;
    *out = (cr__flow_cure){ .n = 0 };
    while (name <= end) {
        const char *plus = memchr(name, '+', (size_t)(end - name));
        const size_t own = (size_t)((plus ? plus : end) - name);
        const cr_flow_remedy *found = NULL;
        for (int i = 0; i < CR__FLOW_COUNT(remedies); i++)
            if (strlen(remedies[i].name) == own && !memcmp(remedies[i].name, name, own))
                found = &remedies[i];
        if (!found || out->n == CR__FLOW_JOINED)
            return false;
        out->part[out->n++] = found;
        name += own + 1;
    }
    return true;
}

const double *cr__flow_cure_sizes(const cr__flow_cure *cure, int *n)
{
    *n = 0;
    for (int i = 0; i < cure->n; i++) {
        const double *sizes = cure->part[i]->sizes;
        while (*n < CR__FLOW_COUNT(cure->part[i]->sizes) && sizes[*n] > 0)
            ++*n;
        if (*n)
            return sizes;
    }
    return NULL;
}

void cr__flow_cure_fails(const cr__flow_cure *cure, const training *t, double factor,
                         char *text, size_t capacity)
{
    const char *note = "";
    for (int i = 0; i < cure->n && !note[0]; i++) {
        const cr_flow_remedy *r = cure->part[i];
        const char *own = factor < 1 ? r->if_vanishing : r->if_exploding;
        note = own ? own : "";
    }
    const char *at = strchr(note, '@');
    const char *activation = t->activation[0] ? t->activation : "what lies between";
    if (at)
        snprintf(text, capacity, "%.*s%s%s", (int)(at - note), note, activation, at + 1);
    else
        snprintf(text, capacity, "%s", note);
}

/* ---- trainings ---- */

/* Applies the parts of the cure that act in this stage; false if one changes nothing, unless the
 * network is so already and there are other parts. */
static bool apply_stage(training *t, const cr__flow_cure *cure, cr__flow_stage stage)
{
    for (int i = 0; cure && i < cure->n; i++) {
        t->is_so = false;
        if (cure->part[i]->stage == stage && !cure->part[i]->apply(t, cure->part[i]) &&
            !(t->is_so && cure->n > 1))
            return false;
    }
    return !cr_error(t->ctx);
}

static bool open_optimiser(training *t)
{
    const cr_flow_task *task = t->task;
    t->optim = task->optimiser ? task->optimiser(t->net, task->user)
                               : cr_optim_sgd(cr_nn_params(t->net), 0.01);
    if (!t->optim)
        cr_fail(t->ctx, CR_ERR_NULL, "flow: the task's optimiser() gave none");
    return t->optim != NULL;
}

bool cr__flow_training_open(training *t, cr_ctx *ctx, const cr_flow_task *task,
                            const cr_flow_report *found, const cr__flow_cure *cure,
                            double amount)
{
    *t = (training){
        .ctx = ctx, .task = task, .found = found, .amount = amount, .loss_scale = 1
    };
    t->net = task->build(ctx, task->user);
    if (!t->net) {
        cr_fail(ctx, CR_ERR_NULL, "flow: the task's build() gave no module");
        return false;
    }
    for (int stage = CR__FLOW_MODULES; stage < CR__FLOW_STEPS; stage++)
        if (!apply_stage(t, cure, (cr__flow_stage)stage))
            return false;
    snprintf(t->activation, sizeof t->activation, "%s", cr__flow_hidden_activation(t));
    return open_optimiser(t) && apply_stage(t, cure, CR__FLOW_STEPS);
}

void cr__flow_training_close(training *t)
{
    cr_optim_free(t->rest);
    cr_optim_free(t->optim);
    cr_nn_free(t->net);
    cr__arena_free(&t->arena);
}

cr_tensor *cr__flow_training_loss(const training *t, cr_tensor *loss)
{
    return t->loss_scale == 1 ? loss : cr_mul(loss, t->loss_scale);
}

/* The loss times min(1, max_norm / (norm + 1e-6)), norm being that of its gradients: what clips
 * them where the update is the task's own. */
static cr_tensor *clipped_loss(const training *t, cr_tensor *loss)
{
    const cr_params *params = cr_nn_params(t->net);
    if (!params || !params->n)
        return loss;
    const size_t bytes = (size_t)params->n * sizeof(cr_tensor *);
    cr_tensor **xs = malloc(2 * bytes), **grads = xs ? xs + params->n : NULL;
    cr_tensor *square = NULL;
    if (!xs) {
        cr_fail(t->ctx, CR_ERR_MEMORY, "flow: no memory for %zu bytes", 2 * bytes);
        return NULL;
    }
    int n = 0;
    for (int i = 0; i < params->n; i++)
        if (cr_needs_grad(params->list[i].tensor))
            xs[n++] = params->list[i].tensor;
    if (cr_gradients(&loss, 1, xs, n, grads, .allow_unused = true,
                     .retain_graph = true) == CR_OK)
        for (int i = 0; i < n; i++)
            if (grads[i]) {
                cr_tensor *own = cr_sum(cr_square(cr_cast(grads[i], CR_F64)));
                square = square ? cr_add(square, own) : own;
            }
    free(xs);
    if (!square)
        return loss;
    cr_tensor *factor = cr_minimum(cr_div(t->max_norm, cr_add(cr_sqrt(square), 1e-6)), 1);
    return cr_mul(loss, cr_detach(cr_cast(factor, cr_dtype_of(loss))));
}

cr_status cr__flow_training_update(training *t, cr_tensor *loss, int64_t step)
{
    const cr_params *params = cr_nn_params(t->net);
    const cr_flow_task *task = t->task;
    if (t->warmup && step < t->warmup)
        cr_optim_set_lr(t->optim, t->rate * (double)(step + 1) / (double)t->warmup);
    for (int i = 0; t->clears && params && i < params->n; i++)
        cr_zero_grad(params->list[i].tensor);
    if (t->rest)
        cr_optim_zero_grad(t->rest);
    if (task->update) {
        loss = t->max_norm > 0 ? clipped_loss(t, loss) : loss;
        if (loss)
            task->update(t->net, t->optim, loss, step, task->user);
    } else {
        cr_optim_zero_grad(t->optim);
        cr_backward(loss);
        if (t->max_norm > 0)
            cr_clip_grad_norm(params, t->max_norm);
        cr_optim_step(t->optim);
    }
    if (t->rest)
        cr_optim_step(t->rest);
    return cr_error(t->ctx);
}
