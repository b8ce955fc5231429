/* What a history says at a glance: how the loss went, how far parameters moved, and what is to
 * blame where it rises. */
#include "evidence.h"

#include <stdarg.h>
#include <stdio.h>

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double cr__flow_median(double *values, int n)
{
    int finite = 0;
    for (int i = 0; i < n; i++)
        if (!isnan(values[i]))
            values[finite++] = values[i];
    if (!finite)
        return NAN;
    qsort(values, (size_t)finite, sizeof *values, by_value);
    const int middle = finite / 2;
    return finite % 2 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

/* ---- One snapshot ---- */

static const cr_flow_size *size_of(const cr_flow_param *p, cr__flow_part part)
{
    return part == CR__PART_WEIGHT     ? &p->weight
           : part == CR__PART_GRADIENT ? &p->gradient
                                       : &p->update;
}

double cr__flow_joint(const cr_flow_snapshot *s, cr__flow_part part)
{
    double largest = -INFINITY, sum = 0;
    bool known = false;
    for (int i = 0; i < s->n_params; i++) {
        const double norm = size_of(&s->params[i], part)->log10_norm;
        if (isnan(norm))
            continue;
        known = true;
        largest = fmax(largest, norm);
    }
    if (!isfinite(largest))
        return known ? largest : NAN;
    for (int i = 0; i < s->n_params; i++) {
        const double norm = size_of(&s->params[i], part)->log10_norm;
        if (!isnan(norm))
            sum += pow(10, 2 * (norm - largest));
    }
    return largest + 0.5 * log10(sum);
}

double cr__flow_promise(const cr_flow_snapshot *s)
{
    double sum = 0;
    bool known = false;
    for (int i = 0; i < s->n_params; i++) {
        const cr_flow_param *p = &s->params[i];
        const double size = p->gradient.log10_norm + p->update.log10_norm;
        if (!isfinite(p->update_along_gradient) || !isfinite(size))
            continue;
        sum += pow(10, size) * p->update_along_gradient;
        known = true;
    }
    return known ? sum / fmax(fabs(s->loss.value), 1e-30) : NAN;
}

int cr__flow_last_leaf(const cr_flow_snapshot *s)
{
    static const char *const movers[] = { "flatten", "dropout", "squeeze", "reshape",
                                          "identity" };
    for (int i = s->n_layers - 1; i >= 0; i--) {
        bool moves = !s->layers[i].leaf;
        for (int k = 0; k < CR__FLOW_COUNT(movers); k++)
            moves =
                moves || strncmp(s->layers[i].kind, movers[k], strlen(movers[k])) == 0;
        if (!moves)
            return i;
    }
    return -1;
}

const cr_flow_size *cr__flow_input(const cr_flow_snapshot *s)
{
    for (int i = 0; i < s->n_layers; i++)
        if (s->layers[i].leaf && s->layers[i].x.numel > 0)
            return &s->layers[i].x;
    return NULL;
}

bool cr__flow_normed_early(const cr_flow_snapshot *s)
{
    for (int i = 0, weights = 0; i < s->n_layers && weights < 2; i++) {
        const cr__flow_role role = cr__flow_role_of(s, i);
        if (role == CR__ROLE_NORM)
            return true;
        weights += role == CR__ROLE_WEIGHTS;
    }
    return false;
}

static bool is_finite(const cr_flow_snapshot *s)
{
    bool finite = isfinite(s->loss.value);
    for (int i = 0; i < s->n_params; i++)
        finite = finite && s->params[i].weight.state != CR_FLOW_NOT_FINITE &&
                 s->params[i].gradient.state != CR_FLOW_NOT_FINITE;
    for (int i = 0; i < s->n_layers; i++)
        finite = finite && s->layers[i].y.state != CR_FLOW_NOT_FINITE;
    return finite;
}

/* ---- The loss ---- */

static double entropy_of(double p, double others)
{
    if (!(p > 0 && p < 1))
        return 0;
    return -p * log(p) - (1 - p) * log((1 - p) / fmax(1, others));
}

cr__flow_targets cr__flow_targets_of(const cr_flow_loss *l)
{
    const bool one_hot = l->classes > 1 && l->target.numel > 0 &&
                         l->target.numel * l->classes == l->output.numel;
    cr__flow_targets t = { l->target_least, l->target_most, l->target_mean, l->target_rms,
                           0 };
    if (one_hot)
        t = (cr__flow_targets){ 0, 1, 1 / (double)l->classes,
                                1 / sqrt((double)l->classes), 0 };
    t.deviation = sqrt(fmax(0, t.rms * t.rms - t.mean * t.mean));
    return t;
}

/* What the best constant output reaches. That of classes takes all but the most frequent one as
 * even, which is no less than theirs. */
static double chance_of(const cr_flow_loss *l)
{
    const double scale = isfinite(l->scale) && l->scale > 0 ? l->scale : 1;
    const cr__flow_targets t = cr__flow_targets_of(l);
    switch (l->kind) {
    case CR_FLOW_LOSS_SQUARES:
        return scale * t.deviation * t.deviation;
    case CR_FLOW_LOSS_SOFTMAX:
    case CR_FLOW_LOSS_LIKELIHOOD:
    case CR_FLOW_LOSS_LOG:
        return scale * entropy_of(l->target_share, (double)l->classes - 1);
    case CR_FLOW_LOSS_SIGMOID:
    case CR_FLOW_LOSS_BINARY:
        return scale * entropy_of(t.mean, 1);
    default:
        return NAN;
    }
}

/* A loss of squares is as high as its batch's targets vary: at the level of the usual batch. */
static double level_of(const cr__case *c, const cr_flow_loss *l)
{
    const double chance = chance_of(l);
    const bool known = l->kind == CR_FLOW_LOSS_SQUARES && chance > 0 && c->chance > 0;
    return known ? l->value * c->chance / chance : l->value;
}

static double median_loss(const cr__case *c, int from, int n)
{
    double values[3];
    int taken = 0;
    for (; taken < 3 && taken < n && from + taken < c->n; taken++)
        values[taken] = level_of(c, &c->snaps[from + taken].loss);
    return cr__flow_median(values, taken);
}

static double median_chance(const cr__case *c, double *room)
{
    for (int i = 0; i < c->n; i++)
        room[i] = chance_of(&c->snaps[i].loss);
    return cr__flow_median(room, c->n);
}

/* A loss far below chance is not getting worse. */
static cr__flow_course course_of(const cr__case *c, double from)
{
    const bool far_below_chance =
        c->chance > 0 &&
        c->late<0.5 * c->chance, rises = c->late> 1.5 * fmax(c->early, from) &&
        !far_below_chance;
    if (!isfinite(c->last->loss.value) || rises)
        return c->n > 1 ? CR__COURSE_WORSE : CR__COURSE_UNSEEN;
    if (c->n < 3)
        return CR__COURSE_UNSEEN;
    return c->fall > 0.15   ? CR__COURSE_LEARNS
           : c->fall > 0.03 ? CR__COURSE_CREEPS
                            : CR__COURSE_STUCK;
}

/* How many snapshots at the end are of the last quarter of the steps, of a few of them. */
static int ends_of(const cr__case *c)
{
    const int most = c->n >= 6 ? 3 : c->n >= 4 ? 2 : 1;
    int ends = 1;
    while (ends < most &&
           c->snaps[c->n - 1 - ends].step >= c->first->step + c->steps * 3 / 4)
        ends++;
    return ends;
}

static void follow_loss(cr__case *c, double *room)
{
    const int ends = ends_of(c);
    c->chance = median_chance(c, room);
    c->early =
        fmin(level_of(c, &c->first->loss), median_loss(c, 0, 3)); /* not after a leap */
    c->late = median_loss(c, c->n - ends, ends);
    c->worst = -INFINITY;
    for (int i = 0; i < c->n; i++)
        c->worst = fmax(c->worst, c->snaps[i].loss.value);
    const double from = c->chance > 0 ? fmin(c->early, c->chance) : c->early;
    c->fall = (from - c->late) / fmax(fabs(from), 1e-30);
    c->course = course_of(c, from);
}

/* Of an optimiser whose rate still rises nothing is said. */
bool cr__flow_hardly_moves(const cr__case *c)
{
    const bool rises = c->last->loss.learning_rate > 1.2 * c->first->loss.learning_rate;
    return c->n >= 2 && !cr__flow_has_learnt(c) && !rises && c->ratio < -4.3 &&
           !(c->promised >= 5e-5) && c->fall < 0.05;
}

bool cr__flow_has_learnt(const cr__case *c)
{
    return c->course == CR__COURSE_LEARNS;
}

/* ---- Movement ---- */

bool cr__flow_moved(const cr_flow_param *p)
{
    return p->update.numel > 0 && p->update.rms > 0;
}

bool cr__flow_stood(const cr_flow_param *p)
{
    return p->update.numel > 0 && p->update.state == CR_FLOW_ZERO;
}

/* The first update of Adam and its kin has one size in all elements, that of the learning rate or
 * more; clipping by value makes them equal too, and smaller. */
static bool is_adaptive(const cr_flow_snapshot *s)
{
    int even = 0, known = 0;
    for (int i = 0; i < s->n_params; i++) {
        const cr_flow_size *u = &s->params[i].update;
        if (!cr__flow_moved(&s->params[i]) || u->numel < 4)
            continue;
        const double rms = u->rms / sqrt(fmax(1e-9, 1 - u->zeros));
        known++;
        even +=
            fmax(-u->least, u->most) < 1.3 * rms && !(rms < 0.2 * s->loss.learning_rate);
    }
    return known >= 1 && even * 3 >= known * 2;
}

static void follow_updates(cr__case *c, double *room)
{
    c->ratio_at_first = -INFINITY;
    for (int i = 0; i < c->n; i++) {
        const cr_flow_snapshot *s = &c->snaps[i];
        room[i] = cr__flow_joint(s, CR__PART_UPDATE) - cr__flow_joint(s, CR__PART_WEIGHT);
        if (i < 5 && room[i] > c->ratio_at_first)
            c->ratio_at_first = room[i];
        if (isfinite(s->loss.learning_rate))
            c->lr = s->loss.learning_rate;
    }
    c->ratio = cr__flow_median(room, c->n);
    for (int i = 0; i < c->n; i++)
        room[i] = cr__flow_promise(&c->snaps[i]);
    c->promised = cr__flow_median(room, c->n);
    c->adaptive = is_adaptive(c->first);
}

/* ---- What is to blame where the loss rises ---- */

/* The most of a layer's units that are without a slope: of relus those that are 0 for the whole
 * batch, of others those that are saturated. */
static double stuck_share(const cr_flow_snapshot *s)
{
    double most = 0;
    for (int i = 0; i < s->n_layers; i++) {
        const cr_flow_layer *l = &s->layers[i];
        if (cr__flow_role_of(s, i) == CR__ROLE_ACTIVATION)
            most = fmax(most, strstr(l->kind, "relu") ? fmin(l->dead, l->y.zeros)
                                                      : l->saturated);
    }
    return most;
}

/* The largest relative fall that a step promised; NaN if no step was followed. */
static double largest_promise(const cr__case *c)
{
    double most = NAN;
    for (int i = 0; i < c->n; i++)
        most = fmax(most, cr__flow_promise(&c->snaps[i]));
    return most;
}

/* Whether the loss leapt from one step to the next though that step promised nearly nothing: the
 * data, the loss or an opponent has changed. */
static bool changed_from_outside(const cr__case *c, double usual)
{
    for (int i = 0; i + 1 < c->n; i++) {
        const cr_flow_snapshot *s = &c->snaps[i], *next = s + 1;
        if (next->step == s->step + 1 && cr__flow_promise(s) < 0.1 &&
            next->loss.value > 2 * fmax(usual, s->loss.value))
            return true;
    }
    return false;
}

/* How it shows that steps are too long; NULL if it does not. Where steps are short the loss falls by
 * about what its gradient promises; on a parabola they diverge from four times its height on. So a
 * loss that rises though little was promised rises for another reason: other data, an opponent. */
static const char *sign_of_divergence(const cr__case *c)
{
    if (c->n < 2 || !c->finite_at_first)
        return NULL;
    for (int i = 0; i + 1 < c->n; i++) {
        const cr_flow_snapshot *s = &c->snaps[i];
        const double ratio =
            cr__flow_joint(s, CR__PART_UPDATE) - cr__flow_joint(s, CR__PART_WEIGHT);
        if (!is_finite(s + 1))
            return ratio > -1.5 || s->loss.value > 2 * c->first->loss.value
                       ? "the loss grows until it is not finite"
                       : NULL;
    }
    const double usual = c->chance > 0 ? fmax(c->chance, c->early) : c->early,
                 promise = largest_promise(c);
    const bool halved = c->late < 0.5 * c->early && !(c->late > 0.9 * c->chance);
    if (cr__flow_has_learnt(c) || halved)
        return NULL;
    const bool own = !(promise < 0.2) && !changed_from_outside(c, usual);
    if (c->course == CR__COURSE_WORSE && c->late > 0 && own)
        return "the loss rises";
    if (usual > 0 && c->worst > 4 * usual && own)
        return "the loss leaps up";
    if (c->ratio_at_first > -0.3)
        return "a step is as large as the parameters";
    if (c->promised > 0.7 &&
        c->fall < 0.03) /* a loss cannot fall by more than all of it */
        return "steps overshoot: the loss does not fall as its gradient promises";
    /* Half a layer that is left learns: one that is nearly gone does not. */
    const double stuck = stuck_share(c->last);
    if (c->ratio_at_first > -1.5 && stuck > 0.8 && stuck > stuck_share(c->first) + 0.4)
        return "the first steps drive units to where they have no slope";
    return NULL;
}

/* Decades beyond what is usual. The curvature of the loss grows with the square of what a layer
 * is given, and in proportion to what the loss is multiplied with. */
static double input_excess(const cr__case *c)
{
    const cr_flow_size *x = cr__flow_input(c->first);
    return x && !cr__flow_normed_early(c->first) ? 2 * log10(x->rms / 2) : NAN;
}

static double loss_excess(const cr__case *c)
{
    const cr_flow_loss *l = &c->first->loss;
    if (c->adaptive)
        return NAN;
    if (l->kind != CR_FLOW_LOSS_UNKNOWN && l->scale > 0)
        return log10(l->scale);
    return l->delta.log10_norm + 0.5 * log10((double)(l->samples > 0 ? l->samples : 1)) -
           0.5;
}

static double target_excess(const cr__case *c)
{
    const cr_flow_loss *l = &c->first->loss;
    if (c->adaptive || l->kind == CR_FLOW_LOSS_SOFTMAX || l->classes > 1)
        return NAN;
    return log10(cr__flow_targets_of(l).rms / fmax(2, 2 * l->output.rms));
}

static double rate_excess(const cr__case *c)
{
    return log10(c->lr / (c->adaptive ? 0.02 : 0.3));
}

static double weights_excess(const cr__case *c)
{
    const cr__flow_hidden *h = &c->hidden;
    if (h->n < 1 || h->shared)
        return NAN;
    double most = NAN;
    for (int i = 0; i < h->n; i++) {
        const int m = cr__flow_matrix_of(c->first, h->places[i]);
        if (m >= 0)
            most = fmax(most, cr__flow_variance(&c->first->params[m].weight) *
                                  (double)c->first->params[m].fan_in);
    }
    return c->stack.norm == CR_FLOW_NO_NORM ? log10(most / 4) : NAN;
}

static double depth_excess(const cr__case *c)
{
    return c->hidden.n >= 4 ? c->steepest - 1 : NAN;
}

/* Of a recurrence the steps until it leaps count: weights that many steps share grow together. */
static double steepest_of(const cr__case *c)
{
    double most = c->hidden.total;
    for (int i = 1; i < c->n && i < 5 && c->hidden.shared; i++) {
        cr__case one = { .ctx = c->ctx, .arena = c->arena };
        cr__flow_hidden h;
        if (cr__flow_find_hidden(&one, &c->snaps[i], &h) == CR_OK && isfinite(h.total))
            most = fmax(most, h.total);
    }
    return most;
}

void cr__flow_find_blame(cr__case *c)
{
    static const struct {
        cr_flow_cause cause;
        double (*excess)(const cr__case *c);
        double
            least; /* decades; the rate is what is left where nothing else is that large */
    } suspects[] = {
        { CR_FLOW_RATE_TOO_LARGE, rate_excess, 0 },
        { CR_FLOW_LOSS_SCALE, loss_excess, 0.5 },
        { CR_FLOW_INPUT_SCALE, input_excess, 0.5 },
        { CR_FLOW_TARGET_SCALE, target_excess, 0.5 },
        { CR_FLOW_WEIGHTS_TOO_LARGE, weights_excess, 0.3 },
        { CR_FLOW_EXPLODING, depth_excess, 0.3 },
    };
    c->blame = CR_FLOW_HEALTHY;
    c->blame_sign = sign_of_divergence(c);
    if (!c->blame_sign)
        return;
    c->steepest = steepest_of(c);
    c->blame = CR_FLOW_RATE_TOO_LARGE;
    c->blame_excess = 0;
    for (int i = 0; i < CR__FLOW_COUNT(suspects); i++) {
        const double excess = suspects[i].excess(c);
        if (excess > suspects[i].least && excess > c->blame_excess) {
            c->blame = suspects[i].cause;
            c->blame_excess = excess;
        }
    }
    if (c->blame == CR_FLOW_EXPLODING && c->hidden.shared)
        c->blame = CR_FLOW_RECURRENCE;
}

bool cr__flow_is_blamed(const cr__case *c, cr_flow_verdict *v, cr_flow_cause cause,
                        double factor)
{
    if (c->blame != cause)
        return false;
    cr__flow_grade(v, CR_FLOW_ALARM, fmin(0.95, 0.6 + 0.2 * c->blame_excess), c->first,
                   NULL);
    v->amount = factor;
    cr__flow_evidence(
        v,
        "%s: %.3g at first, %.3g late; a step moves the parameters by 10^%.1f of "
        "their size (usual 10^-4 to 10^-2); ",
        c->blame_sign, c->early, c->late, c->ratio_at_first);
    return true;
}

cr_status cr__flow_gather(cr__case *c)
{
    c->first = &c->snaps[0];
    c->last = &c->snaps[c->n - 1];
    c->steps = c->last->step - c->first->step;
    c->lr = NAN;
    double *room = cr__arena_alloc(c->arena, c->ctx, sizeof *room * (size_t)c->n);
    if (!room || cr__flow_find_hidden(c, c->first, &c->hidden) != CR_OK ||
        cr__flow_find_hidden(c, c->last, &c->hidden_last) != CR_OK)
        return CR_ERR_MEMORY;
    c->finite_at_first = is_finite(c->first);
    follow_loss(c, room);
    follow_updates(c, room);
    return CR_OK;
}

/* ---- Words ---- */

static void write_behind(char *text, size_t capacity, size_t used, const char *format,
                         va_list arguments)
{
    if (used + 1 < capacity)
        vsnprintf(text + used, capacity - used, format, arguments);
}

void cr__flow_what(cr_flow_verdict *v, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_behind(v->what, sizeof v->what, 0, format, arguments);
    va_end(arguments);
}

void cr__flow_evidence(cr_flow_verdict *v, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_behind(v->evidence, sizeof v->evidence, 0, format, arguments);
    va_end(arguments);
}

void cr__flow_more(cr_flow_verdict *v, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    write_behind(v->evidence, sizeof v->evidence, strlen(v->evidence), format, arguments);
    va_end(arguments);
}

void cr__flow_grade(cr_flow_verdict *v, cr_flow_severity severity, double confidence,
                    const cr_flow_snapshot *s, const char *where)
{
    v->severity = severity;
    v->confidence = confidence;
    v->step = s->step;
    v->where = where ? where : "";
}
