/* Special architectures: recurrence, attention, generators, residual branches, and networks that
 * are linear all the same. */
#include "evidence.h"

#include <stdio.h>

static bool recurrence(const cr__case *c, cr_flow_verdict *v)
{
    const cr__flow_hidden *h = &c->hidden;
    const bool blamed = cr__flow_is_blamed(c, v, CR_FLOW_RECURRENCE, 1);
    if (!blamed) {
        if (!h->shared || cr__flow_has_learnt(c) || c->course == CR__COURSE_CREEPS ||
            !(fabs(h->total) > 4))
            return false;
        cr__flow_grade(v, CR_FLOW_ALARM, 0.85, c->first,
                       c->first->layers[h->places[0]].name);
        v->evidence[0] = 0;
    }
    const double total = blamed ? c->steepest : h->total;
    cr__flow_what(v, "The gradient %s through %d steps of the recurrence: %+.1f decades",
                  total < 0 ? "vanishes" : "explodes", h->n, total);
    if (total > 0)
        cr__flow_more(v,
                      "%+.3f decades by each of so many steps of the same weights, at "
                      "most (usual: 0)",
                      total / (h->n - 1));
    else
        cr__flow_more(
            v,
            "%+.3f decades by each step of the same weights: what lies more than %.0f "
            "steps back is not felt",
            h->decades, fmin(1e6, 1 / fmax(fabs(h->decades), 1e-6)));
    snprintf(v->remedies, sizeof v->remedies, "%s",
             total > 0 ? "clip,orthogonal" : "orthogonal");
    return true;
}

/* At the start keys are alike: a softmax that is certain then has scores that are too large. Where
 * they are divided by the root of the keys' size it is the weights that are, which often learn. */
static bool attention_scale(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_loss *l = &c->first->loss;
    if (!c->saw_start || !(l->peak > 0) || !(l->peak_even < 0.6) || c->fall > 0.5)
        return false;
    const double certain = (l->peak - l->peak_even) / (1 - l->peak_even);
    const bool unscaled = l->peak_scale > 1.9 && certain > 0.5,
               unknown =
                   isnan(l->peak_scale) && certain > 0.9 && c->course == CR__COURSE_STUCK;
    if (!unscaled && !unknown)
        return false;
    cr__flow_grade(v, CR_FLOW_ALARM, unscaled ? 0.93 : 0.7, c->first, NULL);
    cr__flow_what(v, "Attention is saturated from the start: its scores are %s",
                  unscaled ? "not divided by sqrt(key size)" : "too large");
    cr__flow_evidence(
        v,
        "the largest weight of a row is %.2f on average before anything is learnt "
        "(even weights: %.2f), so that next to no gradient passes the softmax",
        l->peak, l->peak_even);
    if (unscaled)
        cr__flow_more(v, "; scores are %.2g times q k / sqrt(key size) (usual: 1)",
                      l->peak_scale);
    return true;
}

static bool gan_saturated(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_loss *l = &c->last->loss;
    const bool minimax = l->kind == CR_FLOW_LOSS_MINIMAX,
               unknown = l->kind == CR_FLOW_LOSS_UNKNOWN;
    if (!(minimax || unknown) || !(l->value <= 0) || !(l->value > -0.15) || c->n < 2)
        return false;
    int low = 0;
    for (int i = 0; i < c->n; i++)
        low += c->snaps[i].loss.value <= 0 && c->snaps[i].loss.value > -1;
    if (low < c->n)
        return false;
    cr__flow_grade(v, CR_FLOW_ALARM, minimax ? 0.9 : 0.6, c->last, NULL);
    cr__flow_what(
        v, "The generator's loss log(1 - D) is saturated: the discriminator is too sure");
    cr__flow_evidence(
        v,
        "mean log(1 - D) is %.2g, so D gives %.1g to what is generated (0.5 where "
        "they are even), and the gradient, %.1g in all, is about that times "
        "smaller than -log D would send",
        l->value, -expm1(l->value), pow(10, l->gradient_log10));
    return true;
}

/* Two layers of weights that make one may be meant, as a bottleneck; more are not, unless they do
 * what they are for. */
static bool no_activation(const cr__case *c, cr_flow_verdict *v)
{
    int weights = 0, activations = 0, matrices = 0;
    double linear = NAN;
    for (int i = 0; i < c->first->n_layers; i++) {
        const cr__flow_role role = cr__flow_role_of(c->first, i);
        weights += role == CR__ROLE_WEIGHTS;
        activations += role == CR__ROLE_ACTIVATION;
    }
    for (int i = 0; i < c->first->n_params; i++)
        matrices += c->first->params[i].fan_in > 0;
    for (int i = 0; i < c->n; i++)
        if (!isnan(c->snaps[i].loss.linear))
            linear = fmax(linear, c->snaps[i].loss.linear);
    const int layers = weights ? weights : matrices;
    if (layers < 2 || activations || !(linear < 1e-4))
        return false;
    const bool learnt = c->fall > 0.5, few = layers == 2;
    const cr_flow_severity severity = learnt && few                      ? CR_FLOW_NOTE
                                      : learnt || (few && c->steps < 50) ? CR_FLOW_WARNING
                                                                         : CR_FLOW_ALARM;
    cr__flow_grade(v, severity, 0.9, c->first, NULL);
    cr__flow_what(
        v, "The network is linear in its input: %d layers of weights without activation",
        layers);
    cr__flow_evidence(
        v,
        "along a line of inputs the output bends by %.1g of its change (networks "
        "with activations: 10^-2 and more); all layers together are one matrix; "
        "the loss is %.4g after %lld steps",
        linear, c->late, (long long)c->steps);
    return true;
}

/* A branch that begins at zero on purpose is not zero behind the first step. */
static bool idle_branch(const cr__case *c, cr_flow_verdict *v)
{
    int idle = 0, all = 0, place = -1;
    const cr_flow_snapshot *s = c->last;
    if (c->n < 2)
        return false;
    for (int i = 0; i < s->n_layers; i++) {
        if (strcmp(s->layers[i].kind, "residual") != 0)
            continue;
        const double before =
            c->first->n_layers == s->n_layers ? c->first->layers[i].branch : NAN;
        all++;
        if (!(s->layers[i].branch < 1e-3) || s->layers[i].branch > 1.5 * before)
            continue;
        idle++;
        place = i;
    }
    if (!idle || idle * 2 < all)
        return false;
    const cr_flow_layer *l = &s->layers[place];
    cr__flow_grade(v, CR_FLOW_ALARM, 0.85, s, l->name);
    cr__flow_what(v, "%d of %d residual branches do nothing", idle, all);
    cr__flow_evidence(
        v,
        "the branch of %s is %.1g of its sum at step %lld, as at step %lld, and "
        "%.1g of delta comes through it (branches that begin at 0 grow with the "
        "first step)",
        l->name, l->branch, (long long)s->step, (long long)c->first->step,
        l->branch_delta);
    return true;
}

static const cr_flow_cause of_special[] = {
    CR_FLOW_VANISHING,         CR_FLOW_EXPLODING,
    CR_FLOW_RATE_TOO_SMALL,    CR_FLOW_RATE_TOO_LARGE,
    CR_FLOW_NONFINITE,         CR_FLOW_DEAD_UNITS,
    CR_FLOW_WEIGHTS_TOO_SMALL, CR_FLOW_SATURATED,
    CR_FLOW_CORRELATED,        CR_FLOW_LABELS,
    CR_FLOW_WEIGHTS_TOO_LARGE, CR_FLOW_HEALTHY
};
static const cr_flow_cause of_linear[] = { CR_FLOW_LABELS, CR_FLOW_RATE_TOO_SMALL,
                                           CR_FLOW_HEALTHY };

const cr__check cr__checks_special[] = {
    { CR_FLOW_RECURRENCE, recurrence, "orthogonal,clip",
      "Gates (LSTM, GRU), orthogonal weights, clipping, or fewer steps.", of_special },
    { CR_FLOW_ATTENTION_SCALE, attention_scale, "warmup,lr_down",
      "Divide scores by sqrt(key size), as cr_scaled_dot_product_attention() does.",
      of_special },
    { CR_FLOW_GAN_SATURATED, gan_saturated, "",
      "Let the generator minimise -log D(G(z)) instead of log(1 - D(G(z))).",
      of_special },
    { CR_FLOW_NO_ACTIVATION, no_activation, "relu+he,tanh",
      "Put an activation behind each layer of weights but the last.", of_linear },
    { CR_FLOW_IDLE_BRANCH, idle_branch, "unfreeze,default",
      "Look whether the branch is cut off, scaled to nothing or dead inside.",
      of_linear },
    { CR_FLOW_HEALTHY, NULL, NULL, NULL, NULL },
};
