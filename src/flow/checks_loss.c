/* What enters the loss and what comes out: scales of inputs, targets and the loss, what is applied
 * twice or over the wrong axis, shapes that broadcast, outputs that cannot reach the targets. */
#include "evidence.h"

/* ---- Scales ---- */

static bool loss_scale(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_loss *l = &c->first->loss;
    const bool known = l->kind != CR_FLOW_LOSS_UNKNOWN && isfinite(l->scale);
    if (cr__flow_is_blamed(c, v, CR_FLOW_LOSS_SCALE,
                           known ? l->scale : pow(10, c->blame_excess))) {
        cr__flow_what(v, "The loss is %s: its gradient is %.3g times that of the mean",
                      known && fabs(l->scale / (double)l->samples - 1) < 0.1
                          ? "summed over the batch instead of averaged"
                          : "scaled up",
                      v->amount);
        cr__flow_more(
            v, "delta at the output is %.3g times a mean's (usual 1), for %lld samples",
            v->amount, (long long)l->samples);
        return true;
    }
    if (known && !c->adaptive && l->scale < 0.02 && l->scale > 0 &&
        cr__flow_hardly_moves(c)) {
        v->amount = l->scale;
        cr__flow_grade(v, CR_FLOW_ALARM, 0.8, c->last, NULL);
        cr__flow_what(
            v, "The loss is scaled down: its gradient is %.3g times that of the mean",
            l->scale);
        cr__flow_evidence(
            v,
            "steps move the parameters by 10^%.1f of their size (usual 10^-2 to "
            "10^-4), and the loss from %.4g to %.4g in %lld steps",
            c->ratio, c->early, c->late, (long long)c->steps);
        return true;
    }
    return false;
}

static double first_saturated(const cr_flow_snapshot *s)
{
    for (int i = 0; i < s->n_layers; i++)
        if (cr__flow_role_of(s, i) == CR__ROLE_ACTIVATION)
            return strstr(s->layers[i].kind, "relu") ? NAN : s->layers[i].saturated;
    return NAN;
}

static bool input_scale(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_size *x = cr__flow_input(c->first);
    if (!x || !(x->rms > 0))
        return false;
    const bool large = x->rms > 8 && !cr__flow_normed_early(c->first),
               small = x->rms < 0.02 && !cr__flow_normed_early(c->first);
    const double saturated = first_saturated(c->last);
    const double far = c->chance > 0 ? c->early / c->chance : NAN;
    const bool blamed = cr__flow_is_blamed(c, v, CR_FLOW_INPUT_SCALE, x->rms);
    if (!blamed) {
        const bool squashed = large && saturated > 0.9 && c->fall < 0.5;
        if ((cr__flow_has_learnt(c) && !squashed) || c->course == CR__COURSE_UNSEEN)
            return false;
        const bool drowned = squashed || (large && (saturated > 0.6 || far > 3));
        const bool faint = small && c->steps >= 10 && c->fall < 0.1;
        if (!drowned && !faint)
            return false;
        cr__flow_grade(v, CR_FLOW_ALARM, 0.8, c->first, NULL);
        v->amount = x->rms;
        v->evidence[0] = 0;
    }
    cr__flow_what(v, "Inputs are %s: rms %.3g, from %.3g to %.3g",
                  small ? "too small" : "too large", x->rms, x->least, x->most);
    cr__flow_more(v,
                  "inputs have rms %.3g and mean %.3g (usual: rms near 1, mean near 0)",
                  x->rms, x->mean);
    if (saturated > 0.6)
        cr__flow_more(v, "; %.0f%% of the first activation is saturated",
                      100 * saturated);
    if (far > 3)
        cr__flow_more(v, "; the loss begins at %.1f times a constant guess's", far);
    return true;
}

static bool is_of_numbers(const cr_flow_loss *l)
{
    return l->kind == CR_FLOW_LOSS_SQUARES || l->kind == CR_FLOW_LOSS_ABSOLUTE;
}

static bool target_scale(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_loss *l = &c->first->loss, *end = &c->last->loss;
    const cr__flow_targets t = cr__flow_targets_of(l);
    if (!cr__flow_is_blamed(c, v, CR_FLOW_TARGET_SCALE, t.rms)) {
        if (!is_of_numbers(l) || cr__flow_has_learnt(c) || c->course == CR__COURSE_UNSEEN)
            return false;
        const bool far = t.rms > 8 && end->output.rms < 0.7 * t.rms;
        const bool tiny = t.rms < 0.02 && end->output.rms > 2 * t.deviation;
        if (!far && !tiny)
            return false;
        v->amount = t.rms;
        cr__flow_grade(v, CR_FLOW_ALARM, 0.8, c->last, NULL);
        v->evidence[0] = 0;
    }
    cr__flow_what(v, "Targets are too %s: rms %.3g beside outputs of rms %.3g",
                  t.rms < 1 ? "small" : "large", t.rms, l->output.rms);
    cr__flow_more(
        v,
        "targets have mean %.3g and deviation %.3g (usual: 0 and 1); outputs reach rms "
        "%.3g after %lld steps",
        t.mean, t.deviation, end->output.rms, (long long)c->steps);
    return true;
}

/* ---- What enters the loss ---- */

/* Outputs lie from 0 to 1 in all snapshots, and are not all the same. */
static bool are_shares(const cr__case *c)
{
    for (int i = 0; i < c->n; i++) {
        const cr_flow_loss *l = &c->snaps[i].loss;
        if (l->output.state == CR_FLOW_NOT_FINITE)
            continue;
        if (!(l->output.numel > 0 && l->output.least >= 0 && l->output.most <= 1 + 1e-5))
            return false;
    }
    return c->first->loss.output.numel > 0;
}

static bool sum_to_one(double least, double most)
{
    return fabs(least - 1) < 1e-3 && fabs(most - 1) < 1e-3;
}

static bool rows_are_softmax(const cr__case *c)
{
    for (int i = 0; i < c->n; i++)
        if (!sum_to_one(c->snaps[i].loss.row_sum_least, c->snaps[i].loss.row_sum_most))
            return false;
    return c->first->loss.classes > 1 && are_shares(c);
}

/* A softmax sends down rows that sum to zero. */
static bool has_softmax(const cr_flow_loss *l)
{
    return l->kind == CR_FLOW_LOSS_SOFTMAX ||
           (l->kind == CR_FLOW_LOSS_UNKNOWN && l->delta_row_sum < 1e-4 && l->classes > 1);
}

static bool softmax_twice(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_loss *l = &c->first->loss;
    const bool again = has_softmax(l), logits = l->kind == CR_FLOW_LOSS_SIGMOID,
               logarithm = l->kind == CR_FLOW_LOSS_LIKELIHOOD;
    if (!rows_are_softmax(c) || !(again || logits || logarithm))
        return false;
    cr__flow_grade(v, CR_FLOW_ALARM, 0.95, c->first, NULL);
    cr__flow_what(v, "Probabilities enter a loss that takes %s%s",
                  logarithm ? "their logarithms" : "logits",
                  again ? ": softmax is applied twice" : "");
    cr__flow_evidence(
        v,
        "what enters the loss lies between %.3g and %.3g, and each row sums to 1 "
        "(logits sum to anything); ",
        l->output.least, l->output.most);
    if (again)
        cr__flow_more(
            v,
            "delta's rows sum to 0 (%.1g of their size), which a softmax in the loss "
            "makes; of %lld classes the loss stays above %.3g",
            l->delta_row_sum, (long long)l->classes,
            log(1 + ((double)l->classes - 1) * exp(-1)));
    else
        cr__flow_more(v, "delta is that of %s",
                      logits ? "a sigmoid in the loss"
                             : "-target: nothing takes a logarithm");
    return true;
}

static const char *last_kind(const cr_flow_snapshot *s)
{
    const int last = cr__flow_last_leaf(s);
    return last >= 0 ? s->layers[last].kind : "";
}

static bool sigmoid_twice(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_loss *l = &c->first->loss;
    const bool sigmoid = l->kind == CR_FLOW_LOSS_SIGMOID, softmax = has_softmax(l);
    if (!are_shares(c) || rows_are_softmax(c) || !(sigmoid || softmax))
        return false;
    /* Logits may lie from 0 to 1 by chance, for some steps: not where a sigmoid made them. */
    const bool made = strcmp(last_kind(c->first), "sigmoid") == 0;
    if (!made && !(c->n >= 3 && c->steps >= 10 && l->output.numel >= 16 &&
                   l->output.least > 0 && l->output.mean > 0.2))
        return false;
    cr__flow_grade(v, CR_FLOW_ALARM, made ? 0.95 : 0.7, c->first, NULL);
    cr__flow_what(v, "Probabilities enter a loss that takes logits: %s",
                  sigmoid ? "sigmoid is applied twice" : "a softmax behind a sigmoid");
    cr__flow_evidence(
        v,
        "what enters the loss lies between %.3g and %.3g in every step; delta is "
        "that of a %s in the loss",
        l->output.least, l->output.most, sigmoid ? "sigmoid" : "softmax");
    if (sigmoid)
        cr__flow_more(v, ", which then gives 0.5 to 0.73 only: the loss stays above %.3g",
                      l->target_mean * log(1 + exp(-1)) + (1 - l->target_mean) * log(2));
    return true;
}

static bool wrong_axis(const cr__case *c, cr_flow_verdict *v)
{
    int across = 0, columns = 0, logs = 0, seen = 0, single = 0;
    for (int i = 0; i < c->n; i++) {
        const cr_flow_loss *l = &c->snaps[i].loss;
        if (l->samples < 2 || !(l->output.numel > 0) ||
            l->output.state == CR_FLOW_NOT_FINITE)
            continue;
        seen++;
        across += l->kind == CR_FLOW_LOSS_SOFTMAX_ACROSS ||
                  (l->kind == CR_FLOW_LOSS_UNKNOWN && l->classes > 1 &&
                   l->delta_column_sum < 1e-4 && l->delta_row_sum > 0.05);
        logs += l->kind == CR_FLOW_LOSS_LIKELIHOOD && l->column_log_sum < 1e-3 &&
                l->row_log_sum > 0.05;
        columns += l->output.least >= 0 && l->output.most <= 1 + 1e-5 &&
                   sum_to_one(l->column_sum_least, l->column_sum_most) &&
                   !sum_to_one(l->row_sum_least, l->row_sum_most);
        single += l->output.least > 0.999 && l->output.most < 1.001 && l->classes == 1;
    }
    const cr_flow_loss *l = &c->first->loss;
    if (!seen || (across < seen && columns < seen && logs < seen && single < seen))
        return false;
    cr__flow_grade(v, CR_FLOW_ALARM, 0.95, c->first, NULL);
    if (single == seen) {
        cr__flow_what(v, "A softmax over a single output: it is 1 whatever enters");
        cr__flow_evidence(
            v, "all outputs are 1 in every step, and there is one column; a sigmoid "
               "is what one output takes");
        return true;
    }
    cr__flow_what(
        v, "Softmax runs over the samples of the batch instead of over the classes");
    if (logs == seen)
        cr__flow_evidence(
            v,
            "exponentials of what enters the loss sum to 1 in columns, in rows to "
            "up to e^%.2f (log softmax over classes: rows to 1)",
            l->row_log_sum);
    else if (columns == seen)
        cr__flow_evidence(
            v,
            "columns of what enters the loss sum to 1, rows to %.3g .. %.3g "
            "(softmax over classes: rows to 1)",
            l->row_sum_least, l->row_sum_most);
    else
        cr__flow_evidence(
            v,
            "delta's columns sum to 0 (%.1g of their size), its rows do not "
            "(%.2g): softmax over classes makes the rows do",
            l->delta_column_sum, l->delta_row_sum);
    return true;
}

static bool broadcast_loss(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_loss *l = &c->first->loss;
    int parallel = 0, compared = 0, seen = 0;
    for (int i = 0; i < c->n; i++) {
        seen++;
        parallel += c->snaps[i].loss.kind == CR_FLOW_LOSS_BROADCAST;
        compared += c->snaps[i].loss.compared > 1.5;
    }
    const bool stretched = compared == seen,
               like_mean = parallel * 2 > seen && l->rank_output != l->rank_target;
    if (!stretched && !like_mean)
        return false;
    cr__flow_grade(v, CR_FLOW_ALARM, 0.95, c->first, NULL);
    cr__flow_what(v, "The loss broadcasts: every output is compared with every target");
    cr__flow_evidence(v, "%lld outputs (rank %d), %lld targets (rank %d)",
                      (long long)l->output.numel, l->rank_output,
                      (long long)l->target.numel, l->rank_target);
    if (stretched)
        cr__flow_more(v,
                      "; their difference has %.0f times as many elements as the outputs "
                      "(usual: as many)",
                      l->compared);
    if (isfinite(l->delta_along_residual))
        cr__flow_more(
            v,
            "; delta has a cosine of %.2f with output - target (1 where each meets its "
            "own)",
            l->delta_along_residual);
    if (parallel * 2 > seen)
        cr__flow_more(v, ", and is parallel to output - mean target");
    return true;
}

/* ---- Reach ---- */

static const struct reach {
    const char *kind;
    double least, most;
} reaches[] = {
    { "relu", 0, INFINITY },
    { "sigmoid", 0, 1 },
    { "tanh", -1, 1 },
    { "softplus", 0, INFINITY },
    { "softmax", 0, 1 },
    { "relu6", 0, 6 },
    { "hardsigmoid", 0, 1 },
    { "hardtanh", -1, 1 },
    { "softsign", -1, 1 },
    { "elu", -1, INFINITY },
    { "log_softmax", -INFINITY, 0 },
    { "logsigmoid", -INFINITY, 0 },
};

/* The range of the last activation: by its kind, or of one that is applied beside the module, by
 * how outputs pile up at a bound. */
static const struct reach *reach_of(const cr__case *c)
{
    static const struct reach cut = { "a relu", 0, INFINITY },
                              squeezed = { "a tanh", -1, 1 },
                              share = { "a sigmoid", 0, 1 };
    for (int i = 0; i < CR__FLOW_COUNT(reaches); i++)
        if (strcmp(last_kind(c->first), reaches[i].kind) == 0)
            return &reaches[i];
    int zeros = 0, pressed = 0, shares = 0, seen = 0;
    for (int i = 0; i < c->n; i++) {
        const cr_flow_size *y = &c->snaps[i].loss.output;
        const bool within = y->least >= -1 && y->most <= 1;
        if (y->numel < 8 || y->state == CR_FLOW_NOT_FINITE)
            continue;
        seen++;
        zeros += y->least == 0 && y->zeros > 0.05;
        pressed += within && fmax(-y->least, y->most) > 0.995;
        shares += within && y->least >= 0;
        if (!within && y->least != 0)
            return NULL;
    }
    if (seen && zeros == seen)
        return &cut;
    if (seen >= 4 && pressed * 2 > seen)
        return shares == seen ? &share : &squeezed;
    return NULL;
}

static bool out_of_reach(const cr__case *c, cr_flow_verdict *v)
{
    const cr_flow_loss *l = &c->first->loss;
    const struct reach *r = l->output.numel > 0 ? reach_of(c) : NULL;
    const cr__flow_targets t = cr__flow_targets_of(l);
    const bool binary = l->kind == CR_FLOW_LOSS_SIGMOID || l->kind == CR_FLOW_LOSS_BINARY;
    if (binary && (t.least < -1e-6 || t.most > 1 + 1e-6)) {
        cr__flow_grade(v, CR_FLOW_ALARM, 0.9, c->first, NULL);
        cr__flow_what(v, "Targets from %.3g to %.3g in a loss that takes 0 to 1", t.least,
                      t.most);
        cr__flow_evidence(
            v, "binary cross entropy has no lower bound then; it is %.3g late", c->late);
        return true;
    }
    if (!r)
        return false;
    if (is_of_numbers(l) || l->kind == CR_FLOW_LOSS_UNKNOWN ||
        l->kind == CR_FLOW_LOSS_BROADCAST) {
        if (!(l->target.numel > 0) || l->kind == CR_FLOW_LOSS_UNKNOWN)
            return false;
        const double below = (r->least - t.least) / t.deviation,
                     above = (t.most - r->most) / t.deviation;
        if (!(below > 0.3) && !(above > 0.3))
            return false;
        cr__flow_grade(v, CR_FLOW_ALARM, 0.9, c->first, NULL);
        cr__flow_what(v, "Outputs cannot reach the targets: they end in %s", r->kind);
        cr__flow_evidence(
            v,
            "outputs can be %.3g to %.3g, and were %.3g to %.3g; targets are %.3g "
            "to %.3g, deviation %.3g",
            r->least, r->most, c->last->loss.output.least, c->last->loss.output.most,
            t.least, t.most, t.deviation);
        return true;
    }
    const bool bounded =
        isfinite(r->least) && (has_softmax(l) || l->kind == CR_FLOW_LOSS_SIGMOID);
    if (!bounded || (r->least == 0 && r->most == 1))
        return false; /* probabilities: softmax_twice, sigmoid_twice */
    cr__flow_grade(v, CR_FLOW_ALARM, 0.85, c->first, NULL);
    cr__flow_what(v, "Logits end in %s: they cannot become what the loss wants", r->kind);
    cr__flow_evidence(
        v,
        "logits can be %.3g to %.3g, and were %.3g to %.3g, %.0f%% of them 0; a "
        "loss of logits wants any number",
        r->least, r->most, c->last->loss.output.least, c->last->loss.output.most,
        100 * c->last->loss.output.zeros);
    return true;
}

/* ---- Labels ---- */

static double mean_share(const cr__case *c)
{
    double sum = 0;
    int seen = 0;
    for (int i = 0; i < c->n; i++) {
        const cr_flow_loss *l = &c->snaps[i].loss;
        double share = l->target_share;
        if (l->kind == CR_FLOW_LOSS_SIGMOID || l->kind == CR_FLOW_LOSS_BINARY)
            share = fmax(l->target_mean, 1 - l->target_mean);
        if (!(share >= 0 && share <= 1))
            continue;
        sum += share;
        seen++;
    }
    return seen ? sum / seen : NAN;
}

static bool imbalanced(const cr__case *c, cr_flow_verdict *v)
{
    const double share = mean_share(c), classes = (double)c->first->loss.classes;
    if (!(share > fmax(0.7, 1.8 / fmax(2, classes))) || c->first->loss.samples < 4)
        return false;
    const bool learnt = c->late < 0.6 * c->chance;
    cr__flow_grade(v, learnt ? CR_FLOW_NOTE : CR_FLOW_WARNING, learnt ? 0.3 : 0.7,
                   c->last, NULL);
    cr__flow_what(v, "%.0f%% of the targets are one class", 100 * share);
    cr__flow_evidence(
        v,
        "always guessing it gives a loss of %.3g; the loss is %.3g after %lld "
        "steps; outputs spread by %.2g over the batch",
        c->chance, c->late, (long long)c->steps, c->last->loss.output_spread);
    return true;
}

/* What is left when nothing else is wrong: only ever a warning, and a note as long as it is early. */
static bool labels(const cr__case *c, cr_flow_verdict *v)
{
    const double moved = c->ratio + log10((double)c->steps);
    const double over = c->chance > 0 ? c->late / c->chance : c->late / c->early;
    if (c->course == CR__COURSE_UNSEEN || cr__flow_has_learnt(c) || c->steps < 10 ||
        !(over > 0.93 && over < 1.4))
        return false;
    const bool early = c->steps < 60 || !(moved > -1);
    cr__flow_grade(v, early ? CR_FLOW_NOTE : CR_FLOW_WARNING, early ? 0.2 : 0.5, c->last,
                   NULL);
    cr__flow_what(v, "Nothing is learnt %s: do labels belong to the inputs?",
                  early ? "yet; if that stays" : "though the flow is sound");
    cr__flow_evidence(
        v,
        "after %lld steps, which moved the parameters by 10^%.1f of their size, "
        "the loss is %.3g; a constant guess has %.3g; flow can only rule out the "
        "rest",
        (long long)c->steps, moved, c->late, c->chance > 0 ? c->chance : c->early);
    return true;
}

static const cr_flow_cause of_scale[] = {
    CR_FLOW_RATE_TOO_LARGE, CR_FLOW_NONFINITE, CR_FLOW_DEAD_UNITS,     CR_FLOW_SATURATED,
    CR_FLOW_CLIPPED,        CR_FLOW_EXPLODING, CR_FLOW_RATE_TOO_SMALL, CR_FLOW_CORRELATED,
    CR_FLOW_VANISHING,      CR_FLOW_UNDERFLOW, CR_FLOW_LABELS,         CR_FLOW_HEALTHY
};
static const cr_flow_cause of_structure[] = {
    CR_FLOW_LABELS,     CR_FLOW_RATE_TOO_SMALL, CR_FLOW_RATE_TOO_LARGE,
    CR_FLOW_LOSS_SCALE, CR_FLOW_TARGET_SCALE,   CR_FLOW_DEAD_UNITS,
    CR_FLOW_SATURATED,  CR_FLOW_VANISHING,      CR_FLOW_WEIGHTS_TOO_SMALL,
    CR_FLOW_CORRELATED, CR_FLOW_ZERO_WEIGHTS,   CR_FLOW_OUT_OF_REACH,
    CR_FLOW_HEALTHY
};
static const cr_flow_cause of_imbalance[] = { CR_FLOW_LABELS, CR_FLOW_HEALTHY };
static const cr_flow_cause of_nothing[] = { CR_FLOW_HEALTHY };

const cr__check cr__checks_loss[] = {
    { CR_FLOW_LOSS_SCALE, loss_scale, "loss_scale,lr_down,clip",
      "Average the loss over the batch, or divide the learning rate by the same factor.",
      of_scale },
    { CR_FLOW_INPUT_SCALE, input_scale, "input_norm,batch_norm,lr_down",
      "Subtract the mean of each input feature and divide by its deviation.", of_scale },
    { CR_FLOW_TARGET_SCALE, target_scale, "target_norm,lr_down",
      "Subtract the targets' mean and divide by their deviation; undo it when "
      "predicting.",
      of_scale },
    { CR_FLOW_SOFTMAX_TWICE, softmax_twice, "no_output_activation",
      "Give the loss the logits: leave the softmax out.", of_structure },
    { CR_FLOW_SIGMOID_TWICE, sigmoid_twice, "no_output_activation",
      "Give the loss the logits: leave the last sigmoid out.", of_structure },
    { CR_FLOW_WRONG_AXIS, wrong_axis, "no_output_activation",
      "Take the softmax over the last dim, -1, or let cr_cross_entropy() do it.",
      of_structure },
    { CR_FLOW_BROADCAST_LOSS, broadcast_loss, "",
      "Give both the same shape: cr_reshape() the target to the output's.",
      of_structure },
    { CR_FLOW_OUT_OF_REACH, out_of_reach, "no_output_activation,target_norm",
      "Leave the last activation out, or scale the targets into its range.",
      of_structure },
    { CR_FLOW_IMBALANCED, imbalanced, "",
      "Weigh the classes in the loss or draw them evenly; judge by recall, not by "
      "accuracy.",
      of_imbalance },
    { CR_FLOW_LABELS, labels, "",
      "Look whether each label belongs to its input; overfit one batch on purpose.",
      of_nothing },
    { CR_FLOW_HEALTHY, NULL, NULL, NULL, NULL },
};
