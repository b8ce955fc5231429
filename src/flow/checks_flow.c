/* The flow itself: what is not finite or underflows, weights that are zero, equal, too large or too
 * small, gradients that vanish or explode with depth, units without a slope. */
#include "evidence.h"

#include <stdio.h>

/* ---- Not finite, underflow ---- */

static int first_bad_layer(const cr_flow_snapshot *s, bool backward)
{
    if (!backward) {
        for (int i = 0; i < s->n_layers; i++)
            if (s->layers[i].leaf && s->layers[i].y.state == CR_FLOW_NOT_FINITE)
                return i;
        return -1;
    }
    for (int i = s->n_layers - 1; i >= 0; i--)
        if (s->layers[i].leaf && (s->layers[i].delta_y.state == CR_FLOW_NOT_FINITE ||
                                  s->layers[i].delta_x.state == CR_FLOW_NOT_FINITE))
            return i;
    return -1;
}

static int bad_param(const cr_flow_snapshot *s, bool gradient)
{
    for (int i = 0; i < s->n_params; i++)
        if ((gradient ? s->params[i].gradient.state : s->params[i].weight.state) ==
            CR_FLOW_NOT_FINITE)
            return i;
    return -1;
}

static void say_where_not_finite(const cr_flow_snapshot *s, cr_flow_verdict *v)
{
    const int forward = first_bad_layer(s, false), backward = first_bad_layer(s, true),
              weight = bad_param(s, false), gradient = bad_param(s, true);
    const cr_flow_size *x = cr__flow_input(s);
    if (weight >= 0) {
        v->where = s->params[weight].name;
        cr__flow_what(v, "Parameter %s is not finite at step %lld", v->where,
                      (long long)s->step);
    } else if (x && x->state == CR_FLOW_NOT_FINITE) {
        cr__flow_what(v, "The input is not finite: %.2g%% NaN, %.2g%% infinite",
                      100 * x->nans, 100 * x->infinities);
    } else if (forward >= 0) {
        const cr_flow_layer *l = &s->layers[forward];
        v->where = l->name;
        cr__flow_what(v, "Layer %s (%s) makes what is not finite of finite inputs",
                      l->name, l->kind);
        cr__flow_evidence(v, "its inputs lie between %.3g and %.3g; ", l->x.least,
                          l->x.most);
    } else if (!isfinite(s->loss.value)) {
        cr__flow_what(v, "The loss is %g, of finite outputs", s->loss.value);
        cr__flow_evidence(
            v,
            "outputs lie between %.3g and %.3g: a logarithm, root or quotient of "
            "0 in the loss; ",
            s->loss.output.least, s->loss.output.most);
    } else if (backward >= 0) {
        const cr_flow_layer *l = &s->layers[backward];
        const bool here = l->delta_y.state != CR_FLOW_NOT_FINITE;
        v->where = l->name;
        cr__flow_what(v, "The gradient is not finite from %s (%s) on, the values are",
                      l->name, here ? l->kind : "what lies behind it");
    } else {
        v->where = gradient >= 0 ? s->params[gradient].name : "";
        cr__flow_what(v, "The gradient of %s is not finite, the loss is", v->where);
    }
}

static bool is_bad(const cr_flow_snapshot *s)
{
    const cr_flow_size *x = cr__flow_input(s);
    return !isfinite(s->loss.value) || first_bad_layer(s, false) >= 0 ||
           first_bad_layer(s, true) >= 0 || bad_param(s, true) >= 0 ||
           bad_param(s, false) >= 0 || (x && x->state == CR_FLOW_NOT_FINITE);
}

static bool nonfinite(const cr__case *c, cr_flow_verdict *v)
{
    for (int i = 0; i < c->n; i++) {
        const cr_flow_snapshot *s = &c->snaps[i];
        if (!is_bad(s))
            continue;
        cr__flow_grade(v, CR_FLOW_ALARM, 0.85, s, NULL);
        say_where_not_finite(s, v);
        cr__flow_more(v, "first seen at step %lld", (long long)s->step);
        if (i > 0)
            cr__flow_more(
                v,
                "; step %lld was finite, loss %.3g, a step then moved the parameters "
                "by 10^%.1f of their size",
                (long long)c->snaps[i - 1].step, c->snaps[i - 1].loss.value,
                cr__flow_joint(s - 1, CR__PART_UPDATE) -
                    cr__flow_joint(s - 1, CR__PART_WEIGHT));
        return true;
    }
    return false;
}

static bool is_half(cr_dtype dtype)
{
    return dtype == CR_F16 || dtype == CR_BF16;
}

static bool underflow(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_snapshot *s = c->last;
    int lost = 0, all = 0, half = 0, worst = -1;
    double share = 0;
    for (int i = 0; i < s->n_params; i++) {
        const cr_flow_param *p = &s->params[i];
        if (!p->requires_grad || p->fan_in == 0)
            continue;
        /* Zero at every scale that a half can have, below a delta that is small. */
        const bool gone = is_half(p->gradient.dtype) &&
                          p->gradient.state == CR_FLOW_ZERO && s->loss.delta.rms > 0 &&
                          s->loss.delta.rms < 1e-4;
        const bool under = p->gradient.state == CR_FLOW_UNDERFLOWED || gone,
                   partly = is_half(p->gradient.dtype) && p->gradient.subnormals > 0.3;
        all++;
        half += is_half(p->gradient.dtype);
        lost += under || partly;
        if (p->gradient.subnormals >= share && (under || partly)) {
            share = p->gradient.subnormals;
            worst = i;
        }
    }
    if (!lost || worst < 0 || (cr__flow_has_learnt(c) && lost * 2 < all))
        return false;
    const cr_flow_param *p = &s->params[worst];
    cr__flow_grade(v, CR_FLOW_ALARM, half ? 0.9 : 0.6, s, p->name);
    cr__flow_what(v, "Gradients underflow in %s: %d of %d weights",
                  cr_dtype_name(p->gradient.dtype), lost, all);
    cr__flow_evidence(
        v,
        "%s: norm 10^%.1f; %.0f%% of the elements are subnormal and %.0f%% zero "
        "in %s, whose least normal number is %s",
        p->name, p->gradient.log10_norm, 100 * p->gradient.subnormals,
        100 * p->gradient.zeros, cr_dtype_name(p->gradient.dtype),
        p->gradient.dtype == CR_F16 ? "6e-5" : "1e-38");
    return true;
}

/* ---- Weights that say nothing ---- */

typedef struct count {
    int all, zero, zero_gradient, equal;
    int first_zero, first_equal;
} count;

/* Weight matrices of more than a row. Equal: rows that cannot be told apart. */
static count count_matrices(const cr_flow_snapshot *s)
{
    count n = { .first_zero = -1, .first_equal = -1 };
    for (int i = 0; i < s->n_params; i++) {
        const cr_flow_param *p = &s->params[i];
        if (p->fan_in == 0 || !p->requires_grad)
            continue;
        n.all++;
        if (p->weight.state == CR_FLOW_ZERO) {
            n.zero++;
            n.zero_gradient += p->gradient.state == CR_FLOW_ZERO;
            n.first_zero = n.first_zero < 0 ? i : n.first_zero;
        } else if (p->row_spread < 1e-4 && !(p->gradient_row_spread > 1e-3)) {
            n.equal++;
            n.first_equal = n.first_equal < 0 ? i : n.first_equal;
        }
    }
    return n;
}

/* One zero layer gets a gradient from those beside it and recovers with the first step. Two, one
 * behind the other, hold each other at zero, or let only equal units grow. */
static bool zero_weights(const cr__case *c, cr_flow_verdict *v)
{
    const count first = count_matrices(c->first), last = count_matrices(c->last);
    if (first.zero < 2 || last.zero_gradient + last.equal == 0)
        return false;
    const cr_flow_param *p = &c->first->params[first.first_zero];
    cr__flow_grade(v, CR_FLOW_ALARM, c->n > 1 ? 0.95 : 0.7, c->last, p->name);
    cr__flow_what(v, "%d of %d weights are zero, and stay zero or become equal",
                  first.zero, first.all);
    cr__flow_evidence(
        v,
        "%s and others are exactly 0 at step %lld, and at step %lld %d still are, "
        "with a gradient of exactly 0, and %d have rows that are all the same (a "
        "single zero layer would recover in one step)",
        p->name, (long long)c->first->step, (long long)c->last->step, last.zero_gradient,
        last.equal);
    return true;
}

static bool equal_weights(const cr__case *c, cr_flow_verdict *v)
{
    const count first = count_matrices(c->first), last = count_matrices(c->last);
    if (!last.equal || (first.zero >= 2 && c->saw_start) ||
        (first.equal == 0 && c->saw_start))
        return false;
    const cr_flow_param *p = &c->last->params[last.first_equal];
    cr__flow_grade(v, CR_FLOW_ALARM, c->n > 1 ? 0.95 : 0.7, c->last, p->name);
    cr__flow_what(
        v, "All units of a layer are the same, and stay so: equal weights (%d of %d)",
        last.equal, last.all);
    cr__flow_evidence(
        v,
        "rows of %s differ by %.1g of their size at step %lld, and those of its "
        "gradient by %.1g (independent weights: 1); the gradient's rank is %.2f",
        p->name, p->row_spread, (long long)c->last->step, p->gradient_row_spread,
        p->rank);
    return true;
}

/* ---- Depth ---- */

/* What theory would have of sigma_w^2: the weights at which nothing vanishes or explodes; at most
 * He's, since those that a sigmoid would want (16) are nobody's. */
static double critical_of(const cr__case *c)
{
    const cr_flow_activation *a = c->stack.activation;
    const double edge = a ? cr_flow_edge_of_chaos(a, 0) : NAN;
    return edge > 0 ? fmin(edge * edge, 2) : 1;
}

/* Mean square of hidden weights times the fan-in, the median: the variance, and what a mean adds. */
static double hidden_weights(const cr__case *c)
{
    double *room = cr__arena_alloc(c->arena, c->ctx,
                                   ((size_t)c->first->n_params + 1) * sizeof *room);
    int n = 0;
    for (int i = 0; room && i < c->first->n_params; i++) {
        const cr_flow_param *p = &c->first->params[i];
        if (p->fan_in > 0)
            room[n++] = p->weight.rms * p->weight.rms * (double)p->fan_in;
    }
    return room ? cr__flow_median(room, n > 2 ? n - 1 : n) : NAN;
}

static bool weights_too_large(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_loss *l = &c->first->loss;
    const bool blamed = cr__flow_is_blamed(c, v, CR_FLOW_WEIGHTS_TOO_LARGE, 0);
    const double critical = critical_of(c), sigma = hidden_weights(c);
    const double far = c->chance > 0 ? c->early / c->chance : NAN;
    double saturated = 0;
    for (int i = 0; i < c->last->n_layers; i++)
        if (cr__flow_role_of(c->last, i) == CR__ROLE_ACTIVATION &&
            !strstr(c->last->layers[i].kind, "relu"))
            saturated = fmax(saturated, c->last->layers[i].saturated);
    if (!blamed) {
        const bool large =
            sigma > 6 * critical && c->stack.norm == CR_FLOW_NO_NORM && c->hidden.n >= 1;
        if (!large || cr__flow_has_learnt(c) || c->course == CR__COURSE_UNSEEN ||
            !(far > 3 || saturated > 0.6))
            return false;
        cr__flow_grade(v, CR_FLOW_ALARM, 0.85, c->first, NULL);
        v->evidence[0] = 0;
    }
    cr__flow_what(v, "Weights are too large: their mean square times the fan-in is %.3g",
                  sigma);
    cr__flow_more(v, "usual: about %.2g for %s", critical,
                  c->stack.activation ? c->stack.activation->name : "these layers");
    if (saturated > 0.6)
        cr__flow_more(v, "; up to %.0f%% of a layer is saturated", 100 * saturated);
    if (l->output.rms > 3)
        cr__flow_more(v, "; outputs begin with rms %.3g (usual: 1)", l->output.rms);
    if (far > 3)
        cr__flow_more(v, "; the loss begins at %.1f times a constant guess's", far);
    return true;
}

/* How little the first hidden weights move, in decades beside their size. */
static double first_ratio(const cr__case *c, const cr__flow_hidden *h)
{
    double most = -INFINITY;
    for (int k = 0; k < c->n; k++) {
        if (c->snaps[k].n_layers <= h->places[0])
            continue;
        const int m = cr__flow_matrix_of(&c->snaps[k], h->places[0]);
        const cr_flow_param *p = m >= 0 ? &c->snaps[k].params[m] : NULL;
        if (p && p->update.numel > 0 && p->update.state != CR_FLOW_NOT_FINITE)
            most = fmax(most, p->update_ratio);
    }
    return most;
}

/* The share of the decades that theory gives to each cause, and those that were measured. */
static void say_causes(const cr__case *c, const cr__flow_hidden *h, cr_flow_verdict *v)
{
    const bool known = h->split.activation != 0 || h->split.weights != 0;
    cr__flow_more(v, "measured %+.2f decades per layer", h->decades);
    if (known)
        cr__flow_more(v, " (activation slopes %+.2f, weights %+.2f", h->split.activation,
                      h->split.weights);
    if (known && c->stack.norm != CR_FLOW_NO_NORM)
        cr__flow_more(v, ", norm %+.2f", h->split.norm);
    if (known)
        cr__flow_more(v, ")");
    if (!isfinite(c->prediction.factor))
        return;
    cr__flow_more(v, "; theory %+.2f", c->prediction.decades);
    if (isfinite(c->prediction.decades_activation)) /* a residual's sum has no parts */
        cr__flow_more(v, " (%+.2f, %+.2f)", c->prediction.decades_activation,
                      c->prediction.decades_weight);
}

/* The gradient's way through the hidden layers, with what it does to the first ones. */
static bool vanishes(const cr__case *c)
{
    const cr__flow_hidden *h = &c->hidden;
    if (h->n < 3 || cr__flow_has_learnt(c))
        return false;
    const cr_flow_state at_first = c->first->layers[h->places[0]].delta_y.state;
    const bool gone = at_first == CR_FLOW_UNDERFLOWED || at_first == CR_FLOW_ZERO;
    if (gone && !(h->total > -6) && h->decades < -0.1)
        return true;
    const double first = first_ratio(c, h);
    const bool still = !(first > -4.7), creeping = c->course != CR__COURSE_CREEPS;
    return h->total < -8 || (h->total < -2.5 && still && creeping) ||
           (h->total < -5 && creeping && c->course != CR__COURSE_UNSEEN);
}

static bool vanishing(const cr__case *c, cr_flow_verdict *v)
{
    const cr__flow_hidden *h = &c->hidden;
    const bool small = c->stack.sigma_w2 < critical_of(c) / 8 &&
                       h->split.weights < fmin(-0.4, h->split.activation) &&
                       c->stack.norm == CR_FLOW_NO_NORM;
    if (!vanishes(c) || h->shared || small)
        return false;
    const double first = first_ratio(c, h);
    cr__flow_grade(v, CR_FLOW_ALARM, fmin(0.97, 0.6 - 0.04 * h->total), c->first,
                   c->first->layers[h->places[0]].name);
    cr__flow_what(
        v, "The gradient vanishes: it loses %.1f decades over %d layers, %.2f by each",
        -h->total, h->n, -h->decades);
    say_causes(c, h, v);
    if (isfinite(first))
        cr__flow_more(
            v,
            "; a step moves the first weights by 10^%.1f of their size (usual 10^-4 to "
            "10^-2)",
            first);
    const bool squashed = h->split.activation < -0.3;
    if (squashed)
        snprintf(v->cure, sizeof v->cure, "%s",
                 "Another activation (relu with He's weights); weights alone do not "
                 "repair slopes "
                 "below 1. Or norm and residual branches.");
    snprintf(v->remedies, sizeof v->remedies, "%s",
             squashed ? "relu+he,batch_norm,tanh+xavier,residual"
                      : "he,lsuv,residual,batch_norm");
    return true;
}

static bool weights_too_small(const cr__case *c, cr_flow_verdict *v)
{
    const cr__flow_hidden *h = &c->hidden;
    const double critical = critical_of(c), sigma = c->stack.sigma_w2;
    if (h->n < 1 || h->shared || c->stack.norm != CR_FLOW_NO_NORM ||
        cr__flow_has_learnt(c) || !(sigma < critical / 8) || !(sigma > 0))
        return false;
    const double loss = isfinite(h->total) ? h->total : 0;
    const bool faint =
        c->first->loss.output_spread < 1e-2 || h->signal < -1.5 || loss < -2;
    const bool still = c->course == CR__COURSE_STUCK || c->course == CR__COURSE_UNSEEN;
    if (!still || !faint || !(loss < -1 || sigma < critical / 50))
        return false;
    cr__flow_grade(v, CR_FLOW_ALARM, 0.85, c->first, c->first->layers[h->places[0]].name);
    cr__flow_what(v, "Weights are too small: their variance times the fan-in is %.2g",
                  sigma);
    cr__flow_evidence(
        v,
        "usual: about %.2g; signals change by %+.1f decades on their way through "
        "%d layers; ",
        critical, h->signal, h->n);
    if (h->n >= 2)
        say_causes(c, h, v);
    return true;
}

static bool exploding(const cr__case *c, cr_flow_verdict *v)
{
    const cr__flow_hidden *h = &c->hidden;
    if (!cr__flow_is_blamed(c, v, CR_FLOW_EXPLODING, 0)) {
        if (h->n < 4 || h->shared || !(h->total > 3) || cr__flow_has_learnt(c) ||
            c->course == CR__COURSE_CREEPS)
            return false;
        cr__flow_grade(v, CR_FLOW_ALARM, 0.8, c->first, NULL);
        v->evidence[0] = 0;
    }
    v->where = c->first->layers[h->places[0]].name;
    cr__flow_what(
        v, "The gradient explodes: it grows by %.1f decades over %d layers, %.2f by each",
        h->total, h->n, h->decades);
    say_causes(c, h, v);
    snprintf(v->remedies, sizeof v->remedies, "%s",
             c->stack.norm == CR_FLOW_NO_NORM ? "he,xavier,lsuv,batch_norm,clip"
                                              : "residual,branch_scale,clip,lr_down");
    return true;
}

/* ---- Units ---- */

/* The worst activation of a snapshot. */
static int worst_of(const cr_flow_snapshot *s, bool dead)
{
    int worst = -1;
    double most = 0;
    for (int i = 0; i < s->n_layers; i++) {
        const bool relu = strstr(s->layers[i].kind, "relu") != NULL;
        const double share = dead ? s->layers[i].dead : s->layers[i].saturated;
        if (cr__flow_role_of(s, i) == CR__ROLE_ACTIVATION && (dead || !relu) &&
            share > most) {
            most = share;
            worst = i;
        }
    }
    return worst;
}

static double share_at_first(const cr__case *c, int layer, bool dead)
{
    if (layer >= c->first->n_layers)
        return NAN;
    return dead ? c->first->layers[layer].dead : c->first->layers[layer].saturated;
}

/* Deep relu networks have a third of their units off for a whole small batch and more: only layers
 * through which nearly nothing passes count. */
static bool dead_units(const cr__case *c, cr_flow_verdict *v)
{
    const int layer = worst_of(c->last, true);
    if (layer < 0)
        return false;
    const cr_flow_layer *l = &c->last->layers[layer];
    const bool closed = l->dead > 0.999 && l->delta_x.state == CR_FLOW_ZERO;
    if (!(l->dead > 0.9) || cr__flow_has_learnt(c) || !(l->y.zeros > 0.9) ||
        c->last->loss.samples < 2 || (!closed && c->course == CR__COURSE_UNSEEN))
        return false;
    const double before = share_at_first(c, layer, true);
    cr__flow_grade(v, CR_FLOW_ALARM, closed ? 0.9 : 0.7, c->last, l->name);
    cr__flow_what(v,
                  "%.0f%% of the units of %s (%s) are dead: constant for the whole batch",
                  100 * l->dead, l->name, l->kind);
    cr__flow_evidence(
        v,
        "%.0f%% of its outputs are 0; at step %lld it was %.0f%% (up to a third "
        "and more in deep networks is usual); |delta| above is %.2g, below %.2g",
        100 * l->y.zeros, (long long)c->first->step, 100 * before,
        pow(10, l->delta_y.log10_norm), pow(10, l->delta_x.log10_norm));
    return true;
}

/* Saturation alone is no fault: units that still pass enough of the gradient learn. */
static bool saturated(const cr__case *c, cr_flow_verdict *v)
{
    const int layer = worst_of(c->last, false);
    if (layer < 0 || cr__flow_has_learnt(c) || c->course == CR__COURSE_UNSEEN ||
        c->course == CR__COURSE_CREEPS)
        return false;
    const cr_flow_layer *l = &c->last->layers[layer];
    if (!(l->saturated > 0.8))
        return false;
    const double before = share_at_first(c, layer, false);
    cr__flow_grade(v, CR_FLOW_ALARM, 0.65, c->last, l->name);
    cr__flow_what(v, "%.0f%% of the outputs of %s (%s) are saturated: no slope is left",
                  100 * l->saturated, l->name, l->kind);
    cr__flow_evidence(
        v,
        "its inputs have rms %.3g (usual: 1); the gradient changes by %+.1f "
        "decades there; at step %lld %.0f%% were saturated; the loss does not fall",
        l->x.rms, l->decades, (long long)c->first->step, 100 * before);
    return true;
}

static bool correlated(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_snapshot *s = c->first;
    const cr__flow_hidden *h = &c->hidden;
    if (h->n < 3 || cr__flow_has_learnt(c) || c->course == CR__COURSE_UNSEEN ||
        c->course == CR__COURSE_CREEPS || s->loss.samples < 2)
        return false;
    const cr_flow_layer *first = &s->layers[h->places[0]],
                        *end = &s->layers[h->places[h->n - 1]];
    if (!(end->unlike < 0.02) || !(first->unlike > 0.1) || !(h->total > -2.5))
        return false;
    cr__flow_grade(v, CR_FLOW_ALARM, 0.7, s, end->name);
    cr__flow_what(v, "Inputs become indistinguishable: all samples look alike behind %s",
                  end->name);
    cr__flow_evidence(
        v,
        "what differs between samples is %.2g of the signal behind the first "
        "layer and %.1g behind the last hidden one",
        first->unlike, end->unlike);
    if (isfinite(c->prediction.xi_c))
        cr__flow_more(v, "; theory: correlations forget in %.3g layers, to %.3g",
                      c->prediction.xi_c, c->prediction.c_star);
    return true;
}

static const cr_flow_cause of_values[] = { CR_FLOW_RATE_TOO_SMALL, CR_FLOW_LABELS,
                                           CR_FLOW_EXPLODING, CR_FLOW_HEALTHY };
static const cr_flow_cause of_weights[] = { CR_FLOW_RATE_TOO_SMALL,
                                            CR_FLOW_RATE_TOO_LARGE,
                                            CR_FLOW_VANISHING,
                                            CR_FLOW_EXPLODING,
                                            CR_FLOW_DEAD_UNITS,
                                            CR_FLOW_SATURATED,
                                            CR_FLOW_CORRELATED,
                                            CR_FLOW_UNDERFLOW,
                                            CR_FLOW_NONFINITE,
                                            CR_FLOW_LABELS,
                                            CR_FLOW_NO_ACTIVATION,
                                            CR_FLOW_EQUAL_WEIGHTS,
                                            CR_FLOW_WEIGHTS_TOO_SMALL,
                                            CR_FLOW_IDLE_BRANCH,
                                            CR_FLOW_INPUT_SCALE,
                                            CR_FLOW_CLIPPED,
                                            CR_FLOW_HEALTHY };
static const cr_flow_cause of_depth[] = { CR_FLOW_RATE_TOO_SMALL, CR_FLOW_UNDERFLOW,
                                          CR_FLOW_CORRELATED,     CR_FLOW_SATURATED,
                                          CR_FLOW_LABELS,         CR_FLOW_NONFINITE,
                                          CR_FLOW_DEAD_UNITS,     CR_FLOW_CLIPPED,
                                          CR_FLOW_INPUT_SCALE,    CR_FLOW_HEALTHY };
static const cr_flow_cause of_units[] = { CR_FLOW_LABELS,      CR_FLOW_RATE_TOO_SMALL,
                                          CR_FLOW_CORRELATED,  CR_FLOW_VANISHING,
                                          CR_FLOW_IDLE_BRANCH, CR_FLOW_HEALTHY };

const cr__check cr__checks_flow[] = {
    { CR_FLOW_NONFINITE, nonfinite, "lr_down,clip",
      "cr_trace_nonfinite(ctx, true) names the operation; keep logarithms and roots away "
      "from 0.",
      of_values },
    { CR_FLOW_UNDERFLOW, underflow, "loss_scale",
      "Multiply the loss by 2^10 or more and divide the gradients, or keep weights in "
      "f32.",
      of_values },
    { CR_FLOW_ZERO_WEIGHTS, zero_weights, "he,default,xavier",
      "Draw the weights at random; zero is right for biases and for one last layer.",
      of_weights },
    { CR_FLOW_EQUAL_WEIGHTS, equal_weights, "he,default,xavier",
      "Draw the weights at random: equal units get equal gradients and never differ.",
      of_weights },
    { CR_FLOW_WEIGHTS_TOO_LARGE, weights_too_large, "he,xavier,lsuv",
      "Draw weights with variance 2/fan_in (relu) or 1/fan_in (tanh and others).",
      of_weights },
    { CR_FLOW_WEIGHTS_TOO_SMALL, weights_too_small, "he,xavier,lsuv",
      "Draw weights with variance 2/fan_in (relu) or 1/fan_in (tanh and others).",
      of_weights },
    { CR_FLOW_VANISHING, vanishing, "he,lsuv,batch_norm,residual",
      "Weights of the critical variance (He for relu); or norm and residual branches.",
      of_depth },
    { CR_FLOW_EXPLODING, exploding, "he,xavier,lsuv,residual,clip",
      "Weights of the critical variance, residual branches scaled by 1/sqrt(L), or "
      "clipping.",
      of_depth },
    { CR_FLOW_DEAD_UNITS, dead_units, "leaky_relu,he,lr_down",
      "Start with biases at 0 and weights by He; a leaky relu lets units come back.",
      of_units },
    { CR_FLOW_SATURATED, saturated, "lsuv,batch_norm,relu+he",
      "Bring what enters these units to rms 1: smaller weights, scaled inputs, or a "
      "norm.",
      of_units },
    { CR_FLOW_CORRELATED, correlated, "orthogonal,lsuv,batch_norm,residual",
      "Smaller biases, weights at the edge of chaos, a norm or residual branches.",
      of_units },
    { CR_FLOW_HEALTHY, NULL, NULL, NULL, NULL },
};
