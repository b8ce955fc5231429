/* The diagnosis against networks that do not train, each for a known reason, and networks
 * that do: the confusion matrix (tests/support/faults.h).
 *
 *     flow_faults           watches the first steps of each: at least 95% of the verdicts
 *                           are right, and no healthy network has an alarm
 *     flow_faults --train   that the faulty ones train far worse than what they were made of,
 *                           and that the healthy ones train: the worst of three seeds against
 *                           the best (two minutes)
 *     flow_faults --repair  that the first remedy which the diagnosis accepts makes at least 90%
 *                           of the faulty rows that a remedy can repair train (ten minutes)
 *     .. NAME               the rows whose name has that in it, with all verdicts
 */
#include "faults.h"
#include "tap.h"

#include <stdlib.h>

/* ---- Rows of all tables -------------------------------------------------------------- */

static int broken_count(void)
{
    return loop_faults_count + network_faults_count;
}

static const fault_row *broken_at(int i)
{
    return i < loop_faults_count ? &loop_faults[i]
                                 : &network_faults[i - loop_faults_count];
}

/* ---- Trained -------------------------------------------------------------------------- */

/* Over three seeds the best, or the worst. */
static double score_of(const fault_net *net, int64_t steps, bool best)
{
    fault_case *c = fault_open(net);
    double score = c ? fault_train(c, 1, steps) : NAN;
    for (uint64_t seed = 2; c && seed <= 3; seed++) {
        double other = fault_train(c, seed, steps);
        score = best ? fmax(score, other) : fmin(score, other);
    }
    fault_close(c);
    return score;
}

static double healthy_scores[128];

static void train_healthy(const char *part)
{
    for (int i = 0; i < healthy_count; i++) {
        const healthy_row *row = &healthy_rows[i];
        if (part && !strstr(row->net.name, part))
            continue;
        double least = row->least > 0 ? row->least : 0.8;
        healthy_scores[i] = score_of(&row->net, 0, false);
        ok(healthy_scores[i] >= least, "healthy: %s: %.3f", row->net.name,
           healthy_scores[i]);
    }
}

static int healthy_named(const char *name)
{
    for (int i = 0; i < healthy_count; i++)
        if (!strcmp(healthy_rows[i].net.name, name))
            return i;
    return -1;
}

static void train_broken(const char *part)
{
    for (int i = 0; i < broken_count(); i++) {
        const fault_row *row = broken_at(i);
        if (part && !strstr(row->net.name, part))
            continue;
        int like = healthy_named(row->like);
        if (!ok(like >= 0, "%s is made of a healthy row", row->net.name))
            continue;
        const fault_net *from = &healthy_rows[like].net;
        int64_t steps = row->net.train_steps ? row->net.train_steps : from->train_steps;
        if (healthy_scores[like] == 0)
            healthy_scores[like] = score_of(from, 0, false);
        double score = score_of(&row->net, steps, true);
        ok(score < 0.7 * healthy_scores[like], "broken: %s: %.3f; %s: %.3f",
           row->net.name, score, row->like, healthy_scores[like]);
    }
}

static void train(const char *part)
{
    train_healthy(part);
    train_broken(part);
}

/* ---- Diagnosed ------------------------------------------------------------------------ */

/* NULL, having said so, if there is none. */
static cr_flow_report *diagnose(cr_ctx *ctx, const cr_flow_task *task,
                                cr_flow_diagnose_opts opts)
{
    opts.seed = 1;
    cr_flow_report *report = cr_flow_diagnose_at(ctx, task, opts);
    ok(report != NULL, "%s: %s", task->name, report ? "a report" : cr_message(ctx));
    cr_clear(ctx);
    return report;
}

/* The cause of the first alarm; healthy if there is none. */
static cr_flow_cause alarm_of(const cr_flow_report *report)
{
    for (int i = 0; i < report->n_verdicts; i++)
        if (report->verdicts[i].severity == CR_FLOW_ALARM)
            return report->verdicts[i].cause;
    return CR_FLOW_HEALTHY;
}

static bool names(const cr_flow_report *report, cr_flow_cause cause)
{
    for (int i = 0; i < report->n_verdicts; i++)
        if (report->verdicts[i].cause == cause)
            return true;
    return false;
}

static bool is_right(const fault_row *row, const cr_flow_report *report)
{
    cr_flow_cause alarm = alarm_of(report);
    if (row->quiet)
        return names(report, row->cause) &&
               (alarm == row->cause || alarm == CR_FLOW_HEALTHY);
    bool right = alarm == row->cause;
    for (int i = 0; i < 3; i++)
        right |= row->also[i] != CR_FLOW_HEALTHY && alarm == row->also[i];
    return right;
}

static void show(const char *what, const char *name, const cr_flow_report *report)
{
    static const char *const severities[] = { "note", "warning", "ALARM" };
    diag("%s: %s", what, name);
    for (int i = 0; i < report->n_verdicts; i++) {
        const cr_flow_verdict *v = &report->verdicts[i];
        diag("    %s %s %.2f, step %d, at %s: %s", severities[v->severity],
             cr_flow_cause_name(v->cause), v->confidence, (int)v->step, v->where,
             v->what);
        diag("        %s", v->evidence);
    }
}

static int matrix[CR_FLOW_CAUSES][CR_FLOW_CAUSES];

static void print_matrix(void)
{
    diag("%-20s %5s  the first alarm", "what was done", "rows");
    for (int cause = 0; cause < CR_FLOW_CAUSES; cause++) {
        int rows = 0, used = 0;
        char line[400] = "";
        for (int got = 0; got < CR_FLOW_CAUSES; got++) {
            rows += matrix[cause][got];
            if (matrix[cause][got] && used < (int)sizeof line)
                used +=
                    snprintf(line + used, sizeof line - (size_t)used, "  %s %d",
                             cr_flow_cause_name((cr_flow_cause)got), matrix[cause][got]);
        }
        if (rows)
            diag("%-20s %5d%s", cr_flow_cause_name((cr_flow_cause)cause), rows, line);
    }
}

static struct {
    int rows, right, false_alarms;
} counted;

/* A row that was made for cause, or is healthy; shown if it is wrong, or asked for. */
static void count(const fault_net *net, const fault_row *broken, int i, bool shown)
{
    fault_case *c = fault_open(net);
    cr_ctx *ctx = cr_open(NULL);
    /* Labels are doubted when all else is sound and nothing is learnt: that takes its time. */
    cr_flow_diagnose_opts opts = { .steps = broken && broken->quiet ? 200 : 25 };
    cr_flow_report *report = c && ctx ? diagnose(ctx, fault_task(c), opts) : NULL;
    counted.rows++;
    if (report) {
        cr_flow_cause alarm = alarm_of(report);
        cr_flow_cause cause = broken ? broken->cause : CR_FLOW_HEALTHY;
        bool right = broken ? is_right(broken, report) : alarm == CR_FLOW_HEALTHY;
        char what[80];
        snprintf(what, sizeof what, "%s row %d, %s", right ? "right" : "WRONG", i,
                 cr_flow_cause_name(cause));
        if (shown || !right)
            show(what, net->name, report);
        matrix[cause][alarm]++;
        counted.right += right;
        counted.false_alarms += !broken && alarm != CR_FLOW_HEALTHY;
    }
    cr_flow_report_free(report);
    cr_close(ctx);
    fault_close(c);
}

/* Rows whose name holds part, or all; with part, all verdicts are shown. */
static void confuse(const char *part)
{
    for (int i = 0; i < broken_count(); i++)
        if (!part || strstr(broken_at(i)->net.name, part))
            count(&broken_at(i)->net, broken_at(i), i, part != NULL);
    for (int i = 0; i < healthy_count; i++)
        if (!part || strstr(healthy_rows[i].net.name, part))
            count(&healthy_rows[i].net, NULL, i, part != NULL);
    print_matrix();
    ok(counted.right >= 0.95 * counted.rows, "%d of %d verdicts are right: 95%% at least",
       counted.right, counted.rows);
    is_int(counted.false_alarms, 0, "no alarm for a healthy network");
}

/* ---- Repaired -------------------------------------------------------------------------- */

enum { PAIRS = 5 };

/* A task as it is, and the scores of the trainings that come to their end. */
typedef struct scored {
    const fault_case *c;
    cr_flow_task task;
    int64_t steps; /* the last of them is scored */
    double scores[64];
    int n;
} scored;

static cr_module *scored_build(cr_ctx *ctx, void *user)
{
    const scored *s = user;
    return fault_task(s->c)->build(ctx, fault_task(s->c)->user);
}

static cr_optim *scored_optimiser(cr_module *module, void *user)
{
    const scored *s = user;
    return fault_task(s->c)->optimiser(module, fault_task(s->c)->user);
}

static cr_tensor *scored_loss(cr_module *module, int64_t step, cr_flow_batch *batch,
                              void *user)
{
    const scored *s = user;
    return fault_task(s->c)->loss(module, step, batch, fault_task(s->c)->user);
}

static cr_status scored_update(cr_module *module, cr_optim *optim, cr_tensor *loss,
                               int64_t step, void *user)
{
    scored *s = user;
    cr_status status =
        fault_task(s->c)->update(module, optim, loss, step, fault_task(s->c)->user);
    if (!status && step == s->steps - 1 && s->n < 64) {
        s->scores[s->n++] = fault_score(s->c, module);
        cr_nn_train(module, true);
    }
    return status;
}

/* The first remedy that was accepted; "" without. */
static void find_remedy(cr_ctx *ctx, const cr_flow_task *task, int64_t steps, char *name,
                        size_t capacity)
{
    cr_flow_report *report =
        diagnose(ctx, task,
                 (cr_flow_diagnose_opts){
                     .remedies = "auto", .seeds = PAIRS, .train_steps = steps });
    name[0] = 0;
    for (int i = 0; report && i < report->n_trials; i++) {
        const cr_flow_trial *t = &report->trials[i];
        diag("    %s: %s, loss %.3g to %.3g: %s", t->remedy,
             t->accepted ? "accepted" : "rejected", t->loss_before, t->loss_after,
             t->reason);
        if (t->accepted && !name[0])
            snprintf(name, capacity, "%s", t->remedy);
    }
    cr_flow_report_free(report);
}

/* Whether the first remedy that is accepted makes most trainings of that row come near what its
 * healthy counterpart reaches in as many steps; it is tried alone, and scored beside the proof. */
static bool is_repaired(const fault_row *row)
{
    fault_case *c = fault_open(&row->net);
    cr_ctx *ctx = cr_open(NULL);
    int like = healthy_named(row->like), good = 0;
    char remedy[64] = "";
    if (c && ctx && like >= 0) {
        const fault_net *from = &healthy_rows[like].net;
        int64_t steps = from->train_steps ? from->train_steps : 300;
        double least = 0.7 * score_of(from, steps, false);
        scored s = { .c = c,
                     .steps = steps,
                     .task = { row->net.name, scored_build, scored_optimiser, scored_loss,
                               scored_update, NULL } };
        s.task.user = &s;
        find_remedy(ctx, fault_task(c), steps, remedy, sizeof remedy);
        if (remedy[0])
            cr_flow_report_free(
                diagnose(ctx, &s.task,
                         (cr_flow_diagnose_opts){
                             .remedies = remedy, .seeds = PAIRS, .train_steps = steps }));
        for (int i = 0; i < s.n; i++)
            good += s.scores[i] >= least;
    }
    diag("%s: %s: %s: %d of %d trainings, half of them with it, train",
         good >= PAIRS - 1 ? "repaired" : "NOT REPAIRED", row->net.name, remedy, good,
         2 * PAIRS);
    cr_close(ctx);
    fault_close(c);
    return good >= PAIRS - 1;
}

static void repair(const char *part)
{
    int rows = 0, repaired = 0;
    for (int i = 0; i < broken_count(); i++) {
        const fault_row *row = broken_at(i);
        if (!row->repairable || (part && !strstr(row->net.name, part)))
            continue;
        rows++;
        repaired += is_repaired(row);
    }
    ok(repaired >= 0.9 * rows, "%d of %d are repaired: 90%% at least", repaired, rows);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(const char *part);
    } modes[] = { { "--train", train }, { "--repair", repair }, { "", confuse } };
    int mode = 0, named = argc > 1 && argv[1][0] == '-';
    while (modes[mode].name[0] && (!named || strcmp(argv[1], modes[mode].name)))
        mode++;
    modes[mode].run(argc > 1 + named ? argv[1 + named] : NULL);
    return done_testing();
}
