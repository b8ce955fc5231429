/* Parameters and the loop around them: which are reached, optimised, cleared, and by how much a
 * step moves them; the modes of the module. */
#include "evidence.h"

#include <stdio.h>

/* ---- Step sizes ---- */

static bool rate_too_large(const cr__case *c, cr_flow_verdict *v)
{
    if (!cr__flow_is_blamed(c, v, CR_FLOW_RATE_TOO_LARGE, 10))
        return false;
    cr__flow_what(v, "The learning rate is too large: %s", c->blame_sign);
    cr__flow_more(
        v, "learning rate %.3g; inputs, targets, loss and weights have usual sizes",
        c->lr);
    return true;
}

/* A schedule that has let the rate fall to nothing before anything was learnt. */
static bool has_run_down(const cr__case *c)
{
    const double first = c->first->loss.learning_rate, last = c->last->loss.learning_rate;
    return last < 1e-3 * first && !cr__flow_has_learnt(c);
}

static bool rate_too_small(const cr__case *c, cr_flow_verdict *v)
{
    const bool none = c->lr == 0 && c->first->loss.learning_rate == 0 && c->n >= 2,
               down = has_run_down(c);
    if (!none && !down && !cr__flow_hardly_moves(c))
        return false;
    v->amount = none || down ? 0 : pow(10, c->ratio + 3);
    cr__flow_grade(v, CR_FLOW_ALARM, 0.7, c->last, NULL);
    if (none)
        cr__flow_what(v, "The learning rate is 0");
    else if (down)
        cr__flow_what(v, "The learning rate has fallen from %.3g to %.3g in %lld steps",
                      c->first->loss.learning_rate, c->last->loss.learning_rate,
                      (long long)c->steps);
    else
        cr__flow_what(v, "Steps are too small: the loss would need some %.0e of them",
                      1 / fmax(c->promised, 1e-30));
    cr__flow_evidence(
        v,
        "learning rate %.3g: a step moves the parameters by 10^%.1f of their size "
        "(usual 10^-4 to 10^-2), and promises a loss lower by %.1e of it; "
        "|gradient| is %.2g; the loss went from %.5g to %.5g in %lld steps",
        c->lr, c->ratio, c->promised, pow(10, c->last->loss.gradient_log10), c->early,
        c->late, (long long)c->steps);
    if (down)
        snprintf(v->cure, sizeof v->cure, "%s",
                 "Let the schedule step once an epoch, not with each batch.");
    return true;
}

/* The update over what the gradient alone would make: 1 for SGD, less where it was clipped. */
static double clip_factor(const cr_flow_snapshot *s)
{
    return pow(10, cr__flow_joint(s, CR__PART_UPDATE) -
                       cr__flow_joint(s, CR__PART_GRADIENT)) /
           s->loss.learning_rate;
}

static bool clipped(const cr__case *c, cr_flow_verdict *v)
{
    int seen = 0, small = 0;
    double factor = NAN;
    for (int i = 0; i < c->n; i++) {
        const double f = clip_factor(&c->snaps[i]);
        if (!isfinite(f) || f <= 0)
            continue;
        seen++;
        small += f < 0.1;
        factor = f;
    }
    const bool rises = c->last->loss.learning_rate > 1.2 * c->first->loss.learning_rate;
    if (c->adaptive || seen < 2 || small < seen || rises || cr__flow_has_learnt(c) ||
        !(c->ratio < -3.5) || !(c->fall < 0.1))
        return false;
    v->amount = pow(10, c->first->loss.gradient_log10);
    cr__flow_grade(v, CR_FLOW_ALARM, 0.85, c->last, NULL);
    cr__flow_what(v, "Clipping is always on and takes nearly all of the gradient");
    cr__flow_evidence(
        v,
        "steps are %.2g of learning rate times |gradient| (1 where nothing is "
        "clipped) in all of %d measured; |gradient| is %.3g; a step moves the "
        "parameters by 10^%.1f of their size (usual 10^-4 to 10^-2)",
        factor, seen, pow(10, c->last->loss.gradient_log10), c->ratio);
    return true;
}

static double median_along(const cr_flow_snapshot *s, bool weight, double *room)
{
    int n = 0;
    for (int i = 0; i < s->n_params; i++)
        if (s->params[i].fan_in > 0 && cr__flow_moved(&s->params[i]))
            room[n++] = weight ? s->params[i].update_along_weight
                               : s->params[i].update_along_gradient;
    return cr__flow_median(room, n);
}

/* What only decays points back along the weight; the gradient does not. */
static bool weight_decay(const cr__case *c, cr_flow_verdict *v)
{
    const size_t most =
        (size_t)(c->first->n_params > c->last->n_params ? c->first->n_params
                                                        : c->last->n_params);
    double *room = cr__arena_alloc(c->arena, c->ctx, (most + 1) * sizeof *room);
    int seen = 0, back = 0;
    double along = NAN, gradient = NAN;
    for (int i = 0; room && i < c->n; i++) {
        if ((size_t)c->snaps[i].n_params > most)
            continue;
        const double w = median_along(&c->snaps[i], true, room),
                     g = median_along(&c->snaps[i], false, room);
        if (isnan(w))
            continue;
        seen++;
        if (w < -0.6 && g < 0.6) {
            back++;
            along = w;
            gradient = g;
        }
    }
    const double shrunk = cr__flow_joint(c->last, CR__PART_WEIGHT) -
                          cr__flow_joint(c->first, CR__PART_WEIGHT);
    if (cr__flow_has_learnt(c) || back * 2 < seen || !back || !(c->ratio > -4) ||
        !(shrunk < -0.01))
        return false;
    cr__flow_grade(v, CR_FLOW_ALARM, 0.9, c->last, NULL);
    cr__flow_what(v,
                  "Weight decay shrinks the weights faster than the gradient moves them");
    cr__flow_evidence(
        v,
        "updates have a cosine of %.2f with the weights (usual: near 0; -1 is "
        "decay alone) and of %.2f with minus the gradient; in %lld steps the "
        "weights' norm fell to %.2g of what it was",
        along, gradient, (long long)c->steps, pow(10, shrunk));
    return true;
}

/* ---- Parameters that do not move ---- */

/* Whether a module that ran owns the parameter, or holds its owner: modules within others may run
 * unseen. True where no modules are watched. */
static bool has_run(const cr_flow_snapshot *s, int param)
{
    bool owned = false;
    for (int i = 0; i < s->n_layers; i++) {
        const cr_flow_layer *l = &s->layers[i];
        const size_t length = strlen(l->name);
        if (param >= l->first_param && param < l->first_param + l->n_params)
            return true;
        if (length && strncmp(s->params[param].name, l->name, length) == 0 &&
            s->params[param].name[length] == '.')
            return true;
        owned = owned || l->n_params > 0;
    }
    return !owned;
}

typedef bool holds(const cr__case *c, int param);

typedef struct census {
    int n, first, last; /* parameters; the first of them and the last */
    double share;       /* of all elements */
} census;

static census count_params(const cr__case *c, holds *test)
{
    census found = { .first = -1, .last = -1 };
    double elements = 0, all = 0;
    for (int i = 0; i < c->first->n_params; i++) {
        const double numel = (double)c->first->params[i].weight.numel;
        all += numel;
        if (!test(c, i))
            continue;
        elements += numel;
        found.first = found.first < 0 ? i : found.first;
        found.last = i;
        found.n++;
    }
    found.share = all > 0 ? elements / all : 0;
    return found;
}

/* A snapshot's parameter; NULL where the list has changed. */
static const cr_flow_param *at(const cr__case *c, int snap, int param)
{
    return param < c->snaps[snap].n_params ? &c->snaps[snap].params[param] : NULL;
}

static bool is_cut_off(const cr__case *c, int param)
{
    for (int i = 0; i < c->n; i++) {
        const cr_flow_param *p = at(c, i, param);
        if (!p || !p->requires_grad || p->gradient.state != CR_FLOW_DISCONNECTED ||
            !p->in_optimiser)
            return false;
    }
    return true;
}

static bool is_cut_off_in_use(const cr__case *c, int param)
{
    return is_cut_off(c, param) && has_run(c->first, param);
}

static bool disconnected(const cr__case *c, cr_flow_verdict *v)
{
    const census used = count_params(c, is_cut_off_in_use),
                 all = count_params(c, is_cut_off);
    const int n = c->first->n_params;
    if (!all.n)
        return false;
    const bool alarm = used.n > 0 || all.n == n;
    const census *of = used.n ? &used : &all;
    cr__flow_grade(v, alarm ? CR_FLOW_ALARM : CR_FLOW_WARNING, 0.95, c->first,
                   c->first->params[of->last].name);
    if (all.n == n)
        cr__flow_what(
            v, "No parameter is reached by the gradient: the loss is not connected");
    else
        cr__flow_what(v,
                      "%d of %d parameters are %s: no path leads from the loss to them",
                      of->n, n, used.n ? "cut off" : "not used");
    cr__flow_evidence(
        v,
        "from %s to %s: no gradient arrives (not a zero: none) in %d of %d "
        "snapshots, though they want one%s",
        c->first->params[of->first].name, c->first->params[of->last].name, c->n, c->n,
        used.n && all.n < n ? " and their modules ran in the forward pass" : "");
    return true;
}

static bool is_frozen(const cr__case *c, int param)
{
    return !c->first->params[param].requires_grad &&
           !c->last->params[param].requires_grad;
}

static bool frozen(const cr__case *c, cr_flow_verdict *v)
{
    const census f = c->last->n_params == c->first->n_params ? count_params(c, is_frozen)
                                                             : (census){ 0 };
    if (!f.n)
        return false;
    const bool all = f.n == c->first->n_params,
               fails = c->course == CR__COURSE_STUCK || c->course == CR__COURSE_WORSE,
               harms = all || (f.share > 0.5 && fails);
    const cr_flow_severity severity = harms ? CR_FLOW_ALARM : CR_FLOW_NOTE;
    cr__flow_grade(v, severity, harms ? 0.8 : 0.3, c->last,
                   c->first->params[f.first].name);
    cr__flow_what(v, "%d of %d parameters are frozen: %.0f%% of the elements", f.n,
                  c->first->n_params, 100 * f.share);
    cr__flow_evidence(
        v,
        "from %s to %s they do not require gradients; the loss went from %.4g to "
        "%.4g in %lld steps (on purpose it is no fault)",
        c->first->params[f.first].name, c->first->params[f.last].name, c->early, c->late,
        (long long)c->steps);
    return true;
}

/* A gradient in every snapshot, and no update in any: what another optimiser moves is none. */
static bool is_left_alone(const cr__case *c, int param)
{
    int stood = 0;
    for (int i = 0; i < c->n; i++) {
        const cr_flow_param *p = at(c, i, param);
        if (!p || !p->requires_grad || cr__flow_moved(p))
            return false;
        stood += cr__flow_stood(p) && p->gradient.state == CR_FLOW_USUAL &&
                 c->snaps[i].loss.learning_rate != 0;
    }
    return stood > 0;
}

static bool is_not_in_optimiser(const cr__case *c, int param)
{
    return !c->first->params[param].in_optimiser && is_left_alone(c, param);
}

static bool not_optimised(const cr__case *c, cr_flow_verdict *v)
{
    const census out = count_params(c, is_not_in_optimiser),
                 still = count_params(c, is_left_alone);
    const int n = c->first->n_params;
    /* A step below the rounding of the weights is made, and too small. */
    const double expected = log10(c->lr) + cr__flow_joint(c->first, CR__PART_GRADIENT) -
                            cr__flow_joint(c->first, CR__PART_WEIGHT);
    const bool none =
        still.n == n && c->first->params[0].weight.dtype == CR_F32 && !(expected < -6);
    if (!out.n && !none)
        return false;
    const census *of = out.n ? &out : &still;
    /* Those in front may be left out on purpose: the smaller part, or where the rest learns. */
    const bool front = out.n > 0 && out.n < n && out.last == out.n - 1,
               purpose = front && (out.n * 2 < n || cr__flow_has_learnt(c));
    cr__flow_grade(v, purpose ? CR_FLOW_WARNING : CR_FLOW_ALARM, 0.9, c->last,
                   c->first->params[of->first].name);
    if (out.n)
        cr__flow_what(v, "%d of %d parameters are not in the optimiser", out.n, n);
    else
        cr__flow_what(v, "No step is made: gradients arrive, and no parameter changes");
    cr__flow_evidence(
        v,
        "from %s to %s: |gradient| %.2g and an update of exactly 0 in every step "
        "(%.0f%% of all elements)",
        c->first->params[of->first].name, c->first->params[of->last].name,
        pow(10, c->first->params[of->first].gradient.log10_norm), 100 * of->share);
    return true;
}

/* ---- Gradients that pile up ---- */

/* log10 of the joint norm of what leaves held before the pass. */
static double buffers(const cr_flow_snapshot *s)
{
    double sum = 0;
    for (int i = 0; i < s->n_params; i++)
        if (isfinite(s->params[i].buffer.log10_norm))
            sum += pow(10, 2 * s->params[i].buffer.log10_norm);
    return 0.5 * log10(sum);
}

static bool any_moved(const cr_flow_snapshot *s)
{
    for (int i = 0; i < s->n_params; i++)
        if (cr__flow_moved(&s->params[i]))
            return true;
    return false;
}

/* Whether what the leaf held before this pass is what it held before the last one plus the last
 * one's gradient, by the law of cosines: |a|^2 = |b|^2 + |g|^2 - 2 |b| |g| cos(b, g). */
static bool has_piled_up(const cr_flow_param *last, const cr_flow_param *now)
{
    const double a = pow(10, last->buffer.log10_norm),
                 b = pow(10, now->buffer.log10_norm),
                 g = pow(10, last->gradient.log10_norm), along = now->buffer_along;
    const double want = b * b + g * g - 2 * b * g * along;
    return a > 0.02 * b && fabs(sqrt(fmax(0, want)) - a) < 0.03 * a;
}

static void count_piles(const cr_flow_snapshot *last, const cr_flow_snapshot *now,
                        int *piled, int *cleared)
{
    for (int i = 0; i < last->n_params && i < now->n_params; i++) {
        const cr_flow_param *p = &last->params[i], *q = &now->params[i];
        if (!cr__flow_moved(p) || !(p->gradient.log10_norm > -30))
            continue;
        const bool held =
            isfinite(p->buffer.log10_norm) && isfinite(q->buffer.log10_norm);
        if (held && has_piled_up(p, q))
            ++*piled;
        else
            ++*cleared;
    }
}

/* A program may clear its gradients before or behind the watching: buffers are empty then, or the
 * last gradient, or that clipped. While gradients are accumulated on purpose no step is made. */
static bool never_cleared(const cr__case *c, cr_flow_verdict *v)
{
    int piled = 0, cleared = 0, pairs = 0;
    double most = 0;
    for (int i = 1; i + 1 < c->n; i++) {
        const cr_flow_snapshot *s = &c->snaps[i], *next = s + 1;
        if (next->step != s->step + 1 || !any_moved(s - 1))
            continue;
        const int before = piled;
        count_piles(s, next, &piled, &cleared);
        pairs += piled > before;
        most = fmax(most, buffers(next) - cr__flow_joint(s, CR__PART_GRADIENT));
    }
    if (pairs < 2 || piled < 3 * cleared || !(most > 0.05))
        return false;
    cr__flow_grade(v, CR_FLOW_ALARM, 0.95, c->last, NULL);
    cr__flow_what(v, "Gradients are never cleared: each step adds to those before");
    cr__flow_evidence(
        v,
        "before a backward pass leaves hold what they held before the last one plus "
        "its gradient: in %d of %d cases, while steps were made; what they hold "
        "is up to %.2f times the last gradient",
        piled, piled + cleared, pow(10, most));
    return true;
}

/* ---- Modes ---- */

static int find_role(const cr_flow_snapshot *s, cr__flow_role role, cr_flow_norm norm)
{
    for (int i = 0; i < s->n_layers; i++)
        if (cr__flow_role_of(s, i) == role &&
            (role != CR__ROLE_NORM || cr__flow_norm_of(s->layers[i].kind) == norm))
            return i;
    return -1;
}

static bool evaluation_mode(const cr__case *c, cr_flow_verdict *v)
{
    bool moved = false;
    for (int i = 0; i < c->n; i++) {
        if (c->snaps[i].training)
            return false;
        moved = moved || any_moved(&c->snaps[i]);
    }
    const int norm = find_role(c->first, CR__ROLE_NORM, CR_FLOW_BATCH_NORM),
              dropout = find_role(c->first, CR__ROLE_DROPOUT, CR_FLOW_NO_NORM);
    if (!moved || c->first->n_layers == 0 || (norm < 0 && dropout < 0))
        return false;
    const int layer = norm >= 0 ? norm : dropout;
    cr__flow_grade(v, norm >= 0 ? CR_FLOW_ALARM : CR_FLOW_WARNING, 0.9, c->first,
                   c->first->layers[layer].name);
    cr__flow_what(v, "The module is trained in evaluation mode");
    cr__flow_evidence(
        v,
        "cr_nn_is_training() is false in all of %d snapshots, while parameters "
        "move; %s",
        c->n,
        norm >= 0 ? "batch norm then takes its running statistics, which never "
                    "learn the data"
                  : "dropout does nothing then");
    if (norm >= 0)
        cr__flow_more(v, ": behind %s rms is %.3g (usual 1)", c->first->layers[norm].name,
                      c->first->layers[norm].y.rms);
    return true;
}

/* Values that a batch norm takes each mean of. */
static double values_each(const cr_flow_snapshot *s, int layer)
{
    const cr_flow_layer *l = &s->layers[layer];
    if (l->n_params < 1 || l->first_param < 0 || l->first_param >= s->n_params)
        return s->loss.samples > 0 ? (double)s->loss.samples : NAN;
    return (double)l->x.numel / (double)s->params[l->first_param].weight.numel;
}

/* A single value has no deviation; a single sample has only its own. Where each sample has many
 * targets, as pixels, the latter is usual. */
static bool batch_of_one(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_snapshot *s = c->last;
    for (int i = 0; i < s->n_layers; i++) {
        if (cr__flow_norm_of(s->layers[i].kind) != CR_FLOW_BATCH_NORM || !s->training)
            continue;
        const double each = values_each(s, i);
        const bool lone = s->loss.samples == 1 && s->loss.target.numel == 1;
        if (!(each < 2) && !lone)
            continue;
        cr__flow_grade(v, CR_FLOW_ALARM, 0.95, s, s->layers[i].name);
        cr__flow_what(v, "Batch norm of a batch of one: %s",
                      each < 2 ? "the mean is the value, nothing is left"
                               : "each sample is normalised by itself alone");
        cr__flow_evidence(
            v,
            "%s (%s) normalises each feature over %.0f values of 1 sample (usual: 16 "
            "samples and more); its output has rms %.3g, and of |delta| %.2g above "
            "%.2g is left below",
            s->layers[i].name, s->layers[i].kind, each, s->layers[i].y.rms,
            pow(10, s->layers[i].delta_y.log10_norm),
            pow(10, s->layers[i].delta_x.log10_norm));
        return true;
    }
    return false;
}

static const cr_flow_cause of_rate[] = {
    CR_FLOW_NONFINITE,       CR_FLOW_DEAD_UNITS,   CR_FLOW_SATURATED, CR_FLOW_CORRELATED,
    CR_FLOW_VANISHING,       CR_FLOW_EXPLODING,    CR_FLOW_UNDERFLOW, CR_FLOW_IDLE_BRANCH,
    CR_FLOW_ATTENTION_SCALE, CR_FLOW_WEIGHT_DECAY, CR_FLOW_LABELS,    CR_FLOW_HEALTHY
};
static const cr_flow_cause of_loop[] = { CR_FLOW_LABELS,         CR_FLOW_RATE_TOO_LARGE,
                                         CR_FLOW_RATE_TOO_SMALL, CR_FLOW_DEAD_UNITS,
                                         CR_FLOW_SATURATED,      CR_FLOW_NONFINITE,
                                         CR_FLOW_IDLE_BRANCH,    CR_FLOW_CORRELATED,
                                         CR_FLOW_NO_ACTIVATION,  CR_FLOW_HEALTHY };
static const cr_flow_cause of_little[] = { CR_FLOW_LABELS,     CR_FLOW_RATE_TOO_SMALL,
                                           CR_FLOW_VANISHING,  CR_FLOW_WEIGHTS_TOO_SMALL,
                                           CR_FLOW_CORRELATED, CR_FLOW_HEALTHY };
static const cr_flow_cause of_small_steps[] = { CR_FLOW_LABELS, CR_FLOW_HEALTHY };
static const cr_flow_cause of_statistics[] = {
    CR_FLOW_LABELS,         CR_FLOW_VANISHING,         CR_FLOW_RATE_TOO_LARGE,
    CR_FLOW_CORRELATED,     CR_FLOW_DEAD_UNITS,        CR_FLOW_NONFINITE,
    CR_FLOW_RATE_TOO_SMALL, CR_FLOW_INPUT_SCALE,       CR_FLOW_EXPLODING,
    CR_FLOW_SATURATED,      CR_FLOW_WEIGHTS_TOO_LARGE, CR_FLOW_WEIGHTS_TOO_SMALL,
    CR_FLOW_HEALTHY
};

const cr__check cr__checks_loop[] = {
    { CR_FLOW_RATE_TOO_LARGE, rate_too_large, "lr_down,warmup,clip",
      "Divide the learning rate by 10 until the loss falls from the first steps on.",
      of_rate },
    { CR_FLOW_RATE_TOO_SMALL, rate_too_small, "lr_up",
      "Multiply the learning rate by 10 until a step moves the weights by 10^-3 of their "
      "size.",
      of_small_steps },
    { CR_FLOW_CLIPPED, clipped, "clip,lr_up",
      "Clip at a norm that most steps stay below, and look why gradients are large.",
      of_little },
    { CR_FLOW_WEIGHT_DECAY, weight_decay, "",
      "Lower the weight decay: learning rate times decay should be far below 10^-3.",
      of_little },
    { CR_FLOW_DISCONNECTED_PARAM, disconnected, "",
      "Look for cr_detach(), CR_NO_GRAD or integers on the way; cr_explain_no_grad() "
      "says where.",
      of_loop },
    { CR_FLOW_FROZEN, frozen, "unfreeze",
      "cr_requires_grad(parameter, true) for those that are to learn.", of_loop },
    { CR_FLOW_NOT_OPTIMISED, not_optimised, "optimise_all",
      "Make the optimiser of all parameters of the module that is trained, when it is "
      "complete.",
      of_loop },
    { CR_FLOW_NEVER_CLEARED, never_cleared, "clear_gradients",
      "Call cr_optim_zero_grad() in each step, before cr_backward().", of_loop },
    { CR_FLOW_EVALUATION_MODE, evaluation_mode, "train_mode",
      "Call cr_nn_train(module, true) before training.", of_statistics },
    { CR_FLOW_BATCH_OF_ONE, batch_of_one, "layer_norm",
      "Train with larger batches, or take layer or group norm.", of_statistics },
    { CR_FLOW_HEALTHY, NULL, NULL, NULL, NULL },
};
