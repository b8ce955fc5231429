/* Diagnosis of a task from its start, and the proof of remedies: pairs of trainings from the same
 * seeds over the same batches, without and with them. */
#include "remedies.h"

#include <stdarg.h>
#include <stdio.h>

enum {
    FIRST_STEPS = 5,  /* all of them are measured */
    ENOUGH = 2,       /* accepted remedies, of those that the verdicts name */
    MOST_TRIALS = 10, /* of these */
};

/* A report with its memory. */
typedef struct own_report {
    cr_flow_report view;
    cr__arena arena;
} own_report;

/* What a training came to. */
typedef struct outcome {
    bool applies;
    char failure[160]; /* what ended it, or why the remedy does not apply; "" */
    double decades;    /* of |delta| per layer, at the start */
    double layers, width;
    double first, last; /* loss; the mean over the last tenth of the steps */
    bool alarms[CR_FLOW_CAUSES];
    char note[160]; /* of the remedy, if decades are out of their band */
    char code[sizeof((cr_flow_trial *)0)->code];
} outcome;

typedef struct study {
    cr_ctx *ctx;
    const cr_flow_task *task;
    cr_flow_diagnose_opts opts;
    own_report *report;
    cr_flow_trial *trials;
    outcome *before, *after; /* by pair */
    int runs, planned;       /* trainings, for progress */
    bool slower_may_do; /* the last cure at a lower rate: it was rejected by that alone */
} study;

/* A training to be done. */
typedef struct order {
    const cr__flow_cure *cure; /* NULL: as the task has it */
    const char *what;          /* for progress */
    double amount;
    uint64_t seed;
    int64_t steps, every;
} order;

/* ---- one training ---- */

static cr_status take_step(cr__flow_training *t, cr_flow *flow, const order *o,
                           int64_t step, double *value)
{
    cr_ctx *ctx = t->ctx;
    cr_flow_batch batch = { .output = NULL };
    if (cr_scope_push(ctx) != CR_OK)
        return cr_error(ctx);
    /* What a step draws depends on the step alone: remedies that draw shift nothing. */
    cr_rng_set(ctx, (cr_rng){ .seed = o->seed, .draw = ((uint64_t)step + 1) << 32 });
    cr_tensor *loss = t->task->loss(t->net, step, &batch, t->task->user);
    if (!loss)
        cr_fail(ctx, CR_ERR_NULL, "flow: the task's loss() gave none");
    cr_tensor *minimised = cr__flow_training_loss(t, loss);
    cr_flow_watch(flow, minimised, .output = batch.output, .target = batch.target,
                  .losses = batch.losses);
    if (step < o->steps && !cr_error(ctx))
        cr__flow_training_update(t, minimised, step);
    *value = cr_item(loss);
    cr_scope_pop(ctx);
    return cr_error(ctx);
}

/* Steps 0 to o->steps, the last without an update; false if one fails. */
static bool take_steps(const study *s, cr__flow_training *t, cr_flow *flow,
                       const order *o, outcome *out)
{
    const int64_t tail = o->steps / 10 > 1 ? o->steps / 10 : 1;
    double sum = 0;
    out->last = INFINITY;
    for (int64_t step = 0; step <= o->steps; step++) {
        double value = NAN;
        if (take_step(t, flow, o, step, &value) != CR_OK)
            return false;
        if (!step)
            out->first = value;
        if (step > o->steps - tail)
            sum += value;
        if (s->opts.progress && step % 10 == 0)
            s->opts.progress(
                o->what, (s->runs + (double)step / (double)(o->steps + 1)) / s->planned,
                s->opts.progress_user);
    }
    out->last = isfinite(sum) ? sum / (double)tail : INFINITY;
    return true;
}

/* What is not a lack of memory is a finding. */
static bool take_failure(cr_ctx *ctx, outcome *out)
{
    if (cr_error(ctx) == CR_ERR_MEMORY)
        return false;
    if (cr_error(ctx))
        snprintf(out->failure, sizeof out->failure, "%s", cr_message(ctx));
    cr_clear(ctx);
    return true;
}

/* Explains what flow has seen, in the memory of keep, where the report is to stay there. */
static cr_status explain_run(const study *s, cr_flow *flow, own_report *keep)
{
    const int n = cr_flow_count(flow);
    cr_flow_snapshot *shots =
        cr__arena_alloc(&keep->arena, s->ctx, ((size_t)n + 1) * sizeof *shots);
    if (!shots)
        return CR_ERR_MEMORY;
    for (int i = 0; i < n; i++)
        if (cr__flow_copy_snapshot(s->ctx, &keep->arena, cr_flow_snapshot_of(flow, i),
                                   &shots[i]))
            return CR_ERR_MEMORY;
    return cr__flow_explain(s->ctx, &keep->arena, shots, n, true, &keep->view);
}

/* The slope at the first step that has one: where the last layer is zero at first, deltas are. */
static cr_status first_slope(const study *s, own_report *own, double *decades)
{
    const cr_flow_report *report = &own->view;
    *decades = report->n_snapshots ? report->measured_decades : NAN;
    for (int i = 1; i < report->n_snapshots && isnan(*decades); i++) {
        cr_flow_report later = { .name = NULL };
        if (cr__flow_explain(s->ctx, &own->arena, report->snapshots + i,
                             report->n_snapshots - i, false, &later) != CR_OK)
            return CR_ERR_MEMORY;
        *decades = later.measured_decades;
    }
    return CR_OK;
}

static bool read_run(const study *s, cr_flow *flow, own_report *keep, outcome *out)
{
    const cr_flow_report *report = &keep->view;
    if (explain_run(s, flow, keep) != CR_OK)
        return false;
    out->layers = (double)report->stack.depth;
    out->width = (double)report->stack.width;
    for (int i = 0; i < report->n_verdicts; i++)
        if (report->verdicts[i].severity == CR_FLOW_ALARM)
            out->alarms[report->verdicts[i].cause] = true;
    return first_slope(s, keep, &out->decades) == CR_OK;
}

/* False, with an error, only where nothing can go on. keep takes the report. */
static bool train(study *s, const order *o, outcome *out, own_report *keep)
{
    cr_ctx *ctx = s->ctx;
    cr__flow_training t;
    cr_flow *flow = NULL;
    bool usable = true;
    *out = (outcome){ .decades = NAN, .first = NAN, .last = INFINITY };
    if (cr_scope_push(ctx) != CR_OK)
        return false;
    cr_rng_set(ctx, (cr_rng){ .seed = o->seed });
    if (cr__flow_training_open(&t, ctx, s->task, &s->report->view, o->cure, o->amount)) {
        flow = cr_flow_open(t.net, .optim = t.optim, .every = o->every,
                            .first = CR_INT(FIRST_STEPS));
        const bool done = flow && take_steps(s, &t, flow, o, out);
        usable = take_failure(ctx, out);
        out->applies = done || (flow && cr_flow_count(flow));
        usable = usable && (!out->applies || read_run(s, flow, keep, out));
    } else {
        usable = take_failure(ctx, out);
        if (!out->failure[0])
            snprintf(out->failure, sizeof out->failure, "%s", t.why_not);
    }
    if (o->cure) {
        cr__flow_cure_fails(o->cure, &t, pow(10, out->decades), out->note,
                            sizeof out->note);
        memcpy(out->code, cr__flow_code_end(&t.code), sizeof out->code);
    }
    cr_flow_close(flow);
    cr__flow_training_close(&t);
    cr_scope_pop(ctx);
    s->runs++;
    return take_failure(ctx, out) && usable;
}

/* ---- decisions ---- */

/* The fewest of n fair coins that show heads with a probability of at most 5%; all, if none do. */
static int pairs_needed(int n)
{
    double share = pow(0.5, n), tail = 0;
    for (int k = n; k >= 0; k--) {
        tail += share;
        if (tail > 0.05)
            return k < n ? k + 1 : n;
        share *= (double)k / (double)(n - k + 1);
    }
    return n;
}

static bool fell_further(const outcome *before, const outcome *after)
{
    const double own = isfinite(after->first) ? after->first - 0.01 * fabs(after->first)
                                              : (double)INFINITY;
    const double other = isfinite(before->last) ? before->last - 0.01 * fabs(before->last)
                                                : (double)INFINITY;
    return after->last < own && after->last < other;
}

/* What |delta| may win or lose per layer: see cr_flow_trial. Infinite for two layers or fewer. */
static double band_of(const outcome *o)
{
    const double spread = o->width > 0 ? sqrt(5 * o->layers / o->width) : 0;
    return o->layers > 2 ? (6 + 2 * spread) / (2 * log(10)) / o->layers
                         : (double)INFINITY;
}

typedef double outcome_value(const outcome *o);

static double outcome_decades(const outcome *o)
{
    return o->decades;
}

static double outcome_loss(const outcome *o)
{
    return o->last;
}

static double mean_of(const outcome *list, int n, outcome_value *value)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += value(&list[i]);
    return sum / n;
}

static double median_of(const outcome *list, int n, outcome_value *value)
{
    /* The middle is what as many lie below as above: n is small. */
    double low = NAN, high = NAN;
    for (int i = 0; i < n; i++) {
        int below = 0, same = 0;
        for (int k = 0; k < n; k++) {
            below += value(&list[k]) < value(&list[i]);
            same += value(&list[k]) == value(&list[i]);
        }
        if (below <= (n - 1) / 2 && (n - 1) / 2 < below + same)
            low = value(&list[i]);
        if (below <= n / 2 && n / 2 < below + same)
            high = value(&list[i]);
    }
    return low == high ? low : 0.5 * (low + high);
}

static bool most_alarm(const outcome *list, int n, int cause)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        count += list[i].alarms[cause];
    return 2 * count > n;
}

static bool is_found(const cr_flow_report *report, cr_flow_cause cause)
{
    for (int i = 0; i < report->n_verdicts; i++)
        if (report->verdicts[i].cause == cause &&
            report->verdicts[i].severity != CR_FLOW_NOTE)
            return true;
    return false;
}

/* Whether depth is what is wrong: |delta| vanishes or explodes, and that is no mere remark, or
 * follows from what is foremost. */
static bool has_depth_alarm(const cr_flow_report *report)
{
    static const cr_flow_cause causes[] = { CR_FLOW_WEIGHTS_TOO_SMALL,
                                            CR_FLOW_WEIGHTS_TOO_LARGE, CR_FLOW_SATURATED,
                                            CR_FLOW_CORRELATED };
    bool foremost = false, seen = false;
    for (int i = 0; i < CR__FLOW_COUNT(causes); i++)
        foremost |= report->verdicts[0].cause == causes[i];
    for (int i = 0; i < report->n_verdicts; i++)
        seen |= report->verdicts[i].cause == CR_FLOW_VANISHING ||
                report->verdicts[i].cause == CR_FLOW_EXPLODING;
    return is_found(report, CR_FLOW_VANISHING) || is_found(report, CR_FLOW_EXPLODING) ||
           (foremost && seen);
}

/* An alarm that most of the cured trainings have and neither those without the cure nor the
 * diagnosis; CR_FLOW_HEALTHY if there is none. */
static cr_flow_cause new_alarm(const study *s)
{
    for (int c = CR_FLOW_HEALTHY + 1; c < CR_FLOW_CAUSES; c++)
        if (most_alarm(s->after, s->opts.seeds, c) &&
            !most_alarm(s->before, s->opts.seeds, c) &&
            !is_found(&s->report->view, (cr_flow_cause)c))
            return (cr_flow_cause)c;
    return CR_FLOW_HEALTHY;
}

/* Whether |delta| keeps its size over the depth. */
static bool flows(const study *s, const cr_flow_trial *trial, double band)
{
    const double now = fabs(trial->decades_after), then = fabs(trial->decades_before);
    if (isinf(band) || now <= band)
        return true;
    if (has_depth_alarm(&s->report->view))
        return false;
    return isnan(then) || now <= then * 1.05;
}

CR_FORMAT(2, 3)
static void give_reason(cr_flow_trial *trial, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(trial->reason, sizeof trial->reason, format, args);
    va_end(args);
}

static void decide(study *s, cr_flow_trial *trial)
{
    const int n = s->opts.seeds, needed = pairs_needed(n);
    const outcome *some = &s->after[0];
    const double band = band_of(some);
    int failed = 0;
    for (int i = 0; i < n; i++) {
        failed += s->after[i].failure[0] != '\0';
        trial->better += fell_further(&s->before[i], &s->after[i]);
    }
    trial->decades_before = mean_of(s->before, n, outcome_decades);
    trial->decades_after = mean_of(s->after, n, outcome_decades);
    trial->loss_before = median_of(s->before, n, outcome_loss);
    trial->loss_after = median_of(s->after, n, outcome_loss);
    const cr_flow_cause alarm = new_alarm(s);
    if (2 * failed > n)
        give_reason(trial, "it fails: %s", some->failure);
    else if (!flows(s, trial, band))
        give_reason(
            trial, "a layer multiplies |delta| by %.3g: %.2f decades, outside +-%.2g%s%s",
            pow(10, trial->decades_after), trial->decades_after, band,
            some->note[0] ? "; " : "", some->note);
    else if (alarm != CR_FLOW_HEALTHY)
        give_reason(trial, "it brings a new alarm: %s%s", cr_flow_cause_name(alarm),
                    alarm == CR_FLOW_RATE_TOO_LARGE ? " (+lr_down?)" : "");
    else if (trial->better < needed)
        give_reason(trial,
                    "the loss falls further in %d of %d pairs; %d tell it from chance",
                    trial->better, n, needed);
    else
        trial->accepted = true;
    /* A rate that is no matter in a dead network is one in a network that comes alive. */
    const bool revived = has_depth_alarm(&s->report->view) && alarm == CR_FLOW_HEALTHY;
    s->slower_may_do = !trial->accepted && 2 * failed <= n && flows(s, trial, band) &&
                       (revived || alarm == CR_FLOW_RATE_TOO_LARGE);
    const bool changed = fabs(trial->decades_after - trial->decades_before) > 0.01;
    if (trial->accepted && isfinite(band) && changed)
        give_reason(
            trial,
            "%.2g decades per layer instead of %.2g, within +-%.2g; the loss falls "
            "further in %d of %d pairs",
            trial->decades_after, trial->decades_before, band, trial->better, n);
    else if (trial->accepted)
        give_reason(trial, "the loss falls further in %d of %d pairs", trial->better, n);
}

/* ---- trials ---- */

static bool train_pairs(study *s, const order *first, outcome *out, own_report *keep)
{
    for (int i = 0; i < s->opts.seeds; i++) {
        own_report scratch = { .arena = { NULL } };
        order o = *first;
        o.seed = s->opts.seed + (uint64_t)i;
        const bool trained = train(s, &o, &out[i], i || !keep ? &scratch : keep);
        cr__arena_free(&scratch.arena);
        if (!trained)
            return false;
        if (!out[0].applies) /* the others would not, either */
            break;
    }
    return true;
}

/* The size with which the loss falls furthest, with a seed that no pair has. */
static bool choose_amount(study *s, order *o)
{
    int n;
    const double *sizes = cr__flow_cure_sizes(o->cure, &n);
    double best = INFINITY;
    for (int i = 0; i < n && n > 1; i++) {
        outcome out;
        own_report scratch = { .arena = { NULL } };
        order probe = *o;
        probe.seed = s->opts.seed + (uint64_t)s->opts.seeds;
        probe.amount = sizes[i];
        probe.steps = o->steps / 4 > 25 ? o->steps / 4 : o->steps;
        const bool trained = train(s, &probe, &out, &scratch);
        cr__arena_free(&scratch.arena);
        s->runs--;
        if (!trained)
            return false;
        if (out.last < best) {
            best = out.last;
            o->amount = sizes[i];
        }
    }
    return true;
}

static bool stands_before(const cr_flow_trial *x, const cr_flow_trial *y)
{
    return x->accepted && (!y->accepted || x->loss_after < y->loss_after);
}

/* Whether the trial, the latest, stands before all others. */
static bool is_best(const cr_flow_report *report, const cr_flow_trial *trial)
{
    for (const cr_flow_trial *t = report->trials; t < trial; t++)
        if (!stands_before(trial, t))
            return false;
    return trial->accepted;
}

static bool try_cure(study *s, const char *name, size_t length)
{
    cr__flow_cure cure;
    own_report *own = s->report, kept = { .arena = { NULL } };
    char *text = cr__arena_alloc(&own->arena, s->ctx, length + 1);
    if (!text || !cr__flow_cure_find(name, length, &cure))
        return text != NULL;
    memcpy(text, name, length);
    cr_flow_trial *trial = &s->trials[own->view.n_trials];
    *trial = (cr_flow_trial){ .remedy = text,
                              .seeds = s->opts.seeds,
                              .decades_before = NAN,
                              .decades_after = NAN,
                              .loss_before = NAN,
                              .loss_after = NAN };
    order o = { .cure = &cure,
                .what = text,
                .steps = s->opts.train_steps,
                .every = s->opts.train_steps / 2 + 1 };
    s->slower_may_do = false;
    bool usable = choose_amount(s, &o) && train_pairs(s, &o, s->after, &kept);
    if (usable && s->after[0].applies) {
        trial->applies = true;
        decide(s, trial);
        memcpy(trial->code, s->after[0].code, sizeof trial->code);
    } else {
        give_reason(trial, "%s", s->after[0].failure);
    }
    if (usable && is_best(&own->view, trial) && kept.view.n_snapshots) {
        cr_flow_snapshot *after = cr__arena_alloc(&own->arena, s->ctx, sizeof *after);
        usable = after && cr__flow_copy_snapshot(s->ctx, &own->arena,
                                                 &kept.view.snapshots[0], after) == CR_OK;
        own->view.after = usable ? after : NULL;
    }
    cr__arena_free(&kept.arena);
    own->view.n_trials++;
    return usable;
}

/* What is accepted first, the lowest loss before all, as report->after is of that; the rest as it was
 * tried. */
static void sort_trials(cr_flow_trial *trials, int n)
{
    for (int i = 1; i < n; i++) {
        const cr_flow_trial trial = trials[i];
        int at = i;
        for (; at > 0 && stands_before(&trial, &trials[at - 1]); at--)
            trials[at] = trials[at - 1];
        trials[at] = trial;
    }
}

/* The next name in a list by commas, without blanks around it; false at the end. */
static bool next_name(const char **list, const char **name, size_t *length)
{
    const char *at = *list;
    at += strspn(at, ", ");
    *name = at;
    *length = strcspn(at, ", ");
    *list = at + *length;
    return *length > 0;
}

static bool is_tried(const cr_flow_report *report, const char *name, size_t length)
{
    for (int i = 0; i < report->n_trials; i++)
        if (strlen(report->trials[i].remedy) == length &&
            memcmp(report->trials[i].remedy, name, length) == 0)
            return true;
    return false;
}

static int count_accepted(const cr_flow_report *report)
{
    int n = 0;
    for (int i = 0; i < report->n_trials; i++)
        n += report->trials[i].accepted;
    return n;
}

/* Tries those of the list that were not tried; enough and most: when to stop. */
static bool try_list(study *s, const char *list, int enough, int most)
{
    const cr_flow_report *report = &s->report->view;
    const char *name;
    size_t length;
    while (next_name(&list, &name, &length))
        if (!is_tried(report, name, length)) {
            if (count_accepted(report) >= enough || report->n_trials >= most)
                return true;
            if (!try_cure(s, name, length))
                return false;
        }
    return true;
}

/* The same, and a network that comes alive at a rate that was no matter while it was not is tried
 * at a lower one. */
static bool try_list_and_rates(study *s, const char *list, int enough)
{
    const cr_flow_report *report = &s->report->view;
    const char *name;
    size_t length;
    char slower[80], one[64];
    while (next_name(&list, &name, &length)) {
        const int tried = report->n_trials;
        snprintf(one, sizeof one, "%.*s", (int)length, name);
        snprintf(slower, sizeof slower, "%s+lr_down", one);
        s->slower_may_do = false;
        if (!try_list(s, one, enough, MOST_TRIALS) ||
            (report->n_trials > tried && s->slower_may_do &&
             !try_list(s, slower, enough, MOST_TRIALS)))
            return false;
    }
    return true;
}

/* What the verdicts name, the gravest first; where depth is the matter and that is not enough, what
 * repairs depth in general. */
static bool try_named(study *s)
{
    static const char by_depth[] =
        "batch_norm,relu+he,residual+batch_norm,residual+branch_scale";
    const cr_flow_report *report = &s->report->view;
    for (int i = 0; i < report->n_verdicts; i++)
        if (report->verdicts[i].severity != CR_FLOW_NOTE &&
            !try_list_and_rates(s, report->verdicts[i].remedies, ENOUGH))
            return false;
    return !has_depth_alarm(report) || count_accepted(report) ||
           try_list_and_rates(s, by_depth, 1);
}

static int count_names(const char *list)
{
    int n = 0;
    const char *name;
    size_t length;
    while (next_name(&list, &name, &length))
        n++;
    return n;
}

static bool try_remedies(study *s)
{
    const char *list = s->opts.remedies;
    const bool named = strcmp(list, "auto") == 0;
    if (named && s->report->view.verdicts[0].cause == CR_FLOW_HEALTHY)
        return true;
    const int most = named ? MOST_TRIALS : count_names(list);
    const size_t seeds = (size_t)s->opts.seeds;
    cr__arena *arena = &s->report->arena;
    s->trials = cr__arena_alloc(arena, s->ctx, ((size_t)most + 1) * sizeof *s->trials);
    s->before = cr__arena_alloc(arena, s->ctx, 2 * seeds * sizeof *s->before);
    if (!s->trials || !s->before)
        return false;
    s->report->view.trials = s->trials;
    s->after = s->before + seeds;
    s->planned = 1 + s->opts.seeds * (1 + most);
    const order o = { .what = "baseline",
                      .steps = s->opts.train_steps,
                      .every = s->opts.train_steps / 2 + 1 };
    if (!train_pairs(s, &o, s->before, NULL))
        return false;
    const bool tried = named ? try_named(s) : try_list(s, list, most, most);
    sort_trials(s->trials, s->report->view.n_trials);
    return tried;
}

/* ---- the call ---- */

static bool check_remedies(cr_ctx *ctx, const char *list, const char *site)
{
    cr__flow_cure cure;
    const char *name;
    size_t length;
    if (!list || strcmp(list, "auto") == 0)
        return true;
    while (next_name(&list, &name, &length))
        if (!cr__flow_cure_find(name, length, &cure)) {
            cr_fail(
                ctx, CR_ERR_ARGUMENT,
                "flow_diagnose: there is no remedy \"%.*s\"; cr_flow_remedy_list() names "
                "those there are (%s)",
                (int)length, name, site);
            return false;
        }
    return true;
}

static bool check_call(cr_ctx *ctx, const cr_flow_task *task, cr_flow_diagnose_opts *opts)
{
    const char *site = opts->site ? opts->site : "?";
    if (!ctx || cr_error(ctx))
        return false;
    opts->steps = opts->steps ? opts->steps : 25;
    opts->seeds = opts->seeds ? opts->seeds : 8;
    opts->train_steps = opts->train_steps ? opts->train_steps : 200;
    if (!task || !task->build || !task->loss)
        cr_fail(ctx, CR_ERR_NULL, "flow_diagnose: a task has build() and loss() (%s)",
                site);
    else if (opts->steps < 1 || opts->seeds < 1 || opts->train_steps < 1)
        cr_fail(ctx, CR_ERR_ARGUMENT,
                "flow_diagnose: steps, seeds and train_steps are 1 or more (%s)", site);
    return !cr_error(ctx) && check_remedies(ctx, opts->remedies, site);
}

/* The diagnosis itself: one training, every step of the first measured, then every fifth. */
static bool diagnose(study *s)
{
    outcome out;
    const order o = { .what = "diagnosis",
                      .seed = s->opts.seed,
                      .steps = s->opts.steps,
                      .every = FIRST_STEPS };
    own_report taken = { .arena = { NULL } };
    s->planned = 1;
    const bool usable = train(s, &o, &out, &taken);
    if (usable && !out.applies)
        cr_fail(s->ctx, CR_ERR_ARGUMENT, "flow_diagnose: the task does not run: %s (%s)",
                out.failure, s->opts.site ? s->opts.site : "?");
    s->report->view = taken.view;
    s->report->arena = taken.arena;
    s->report->view.name =
        cr__arena_text(&s->report->arena, s->ctx, s->task->name ? s->task->name : "");
    if (usable && out.applies && s->opts.spectrum)
        cr__flow_take_spectrum(s->ctx, s->task, s->opts.seed, &s->report->view.spectrum);
    return usable && !cr_error(s->ctx);
}

cr_flow_report *cr_flow_diagnose_at(cr_ctx *ctx, const cr_flow_task *task,
                                    cr_flow_diagnose_opts opts)
{
    if (!check_call(ctx, task, &opts))
        return NULL;
    study s = {
        .ctx = ctx, .task = task, .opts = opts, .report = calloc(1, sizeof *s.report)
    };
    if (!s.report) {
        cr_fail(ctx, CR_ERR_MEMORY, "flow_diagnose: no memory for a report");
        return NULL;
    }
    const cr_rng rng = cr_rng_get(ctx);
    const bool done = diagnose(&s) && (!opts.remedies || try_remedies(&s));
    if (opts.progress && done)
        opts.progress("done", 1, opts.progress_user);
    cr_rng_set(ctx, rng);
    if (done)
        return &s.report->view;
    cr_flow_report_free(&s.report->view);
    return NULL;
}

void cr_flow_report_free(cr_flow_report *report)
{
    own_report *own = (own_report *)report;
    if (!own)
        return;
    cr__arena_free(&own->arena);
    free(own);
}
