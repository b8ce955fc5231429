/* Verdicts: every check looks at the history; causes stand above their consequences. */
#include "evidence.h"
#include "measure.h"

#include <stdio.h>

static const cr__check *const families[] = { cr__checks_loss, cr__checks_loop,
                                             cr__checks_flow, cr__checks_special };

/* A verdict with the row that gave it. */
typedef struct found {
    cr_flow_verdict verdict;
    const cr__check *check;
} found;

static int run_checks(const cr__case *c, found *list)
{
    int n = 0;
    for (int f = 0; f < CR__FLOW_COUNT(families); f++)
        for (const cr__check *check = families[f]; check->look; check++) {
            found *one = &list[n];
            *one = (found){ .verdict = { .cause = check->cause, .where = "" },
                            .check = check };
            snprintf(one->verdict.cure, sizeof one->verdict.cure, "%s", check->cure);
            snprintf(one->verdict.remedies, sizeof one->verdict.remedies, "%s",
                     check->remedies);
            n += check->look(c, &one->verdict);
        }
    return n;
}

static bool explains(const found *cause, const found *consequence)
{
    const cr_flow_severity severity = cause->verdict.severity;
    if (cause == consequence || severity == CR_FLOW_NOTE ||
        severity < consequence->verdict.severity)
        return false;
    for (const cr_flow_cause *e = cause->check->explains; *e != CR_FLOW_HEALTHY; e++)
        if (*e == consequence->verdict.cause)
            return true;
    return false;
}

/* What follows from another verdict becomes a note that says so. Two that explain each other: the
 * surer one stands. */
static void rank_causes(found *list, int n)
{
    enum { MOST = CR_FLOW_CAUSES };
    int by[MOST];
    for (int i = 0; i < n; i++) {
        by[i] = -1;
        for (int j = 0; j < n && by[i] < 0; j++) {
            const bool mutual = explains(&list[i], &list[j]);
            if (explains(&list[j], &list[i]) &&
                (!mutual || list[j].verdict.confidence > list[i].verdict.confidence))
                by[i] = j;
        }
    }
    for (int i = 0; i < n; i++) {
        if (by[i] < 0)
            continue;
        cr_flow_verdict *v = &list[i].verdict;
        char what[sizeof v->what];
        snprintf(what, sizeof what, "%s", v->what);
        v->severity = CR_FLOW_NOTE;
        snprintf(v->what, sizeof v->what, "%.100s (follows from %s)", what,
                 cr_flow_cause_name(list[by[i]].verdict.cause));
    }
}

static int by_weight(const void *a, const void *b)
{
    const cr_flow_verdict *x = &((const found *)a)->verdict,
                          *y = &((const found *)b)->verdict;
    if (x->severity != y->severity)
        return x->severity < y->severity ? 1 : -1;
    if (x->confidence != y->confidence)
        return x->confidence < y->confidence ? 1 : -1;
    return x->cause > y->cause ? 1 : x->cause < y->cause ? -1 : 0;
}

/* The sound case, with what it is judged by. */
static void say_healthy(const cr__case *c, cr_flow_verdict *v)
{
    const cr__flow_hidden *h = &c->hidden;
    static const char *const courses[] = {
        [CR__COURSE_UNSEEN] = "it is too early to say whether it learns",
        [CR__COURSE_LEARNS] = "it learns",
        [CR__COURSE_CREEPS] = "it learns slowly so far",
        [CR__COURSE_STUCK] = "it has not learnt yet",
        [CR__COURSE_WORSE] = "the loss has not fallen yet",
    };
    *v = (cr_flow_verdict){ .cause = CR_FLOW_HEALTHY,
                            .severity = CR_FLOW_NOTE,
                            .where = "" };
    v->confidence = cr__flow_has_learnt(c) ? 0.95 : 0.5;
    v->step = c->last->step;
    cr__flow_what(v, "The gradient's flow is sound, and %s", courses[c->course]);
    cr__flow_evidence(v, "loss %.4g to %.4g in %lld steps; ", c->early, c->late,
                      (long long)c->steps);
    if (isfinite(c->ratio))
        cr__flow_more(
            v,
            "a step moves the parameters by 10^%.1f of their size (usual 10^-4 to "
            "10^-2); ",
            c->ratio);
    if (h->n >= 2 && isfinite(h->total))
        cr__flow_more(
            v,
            "the gradient changes by %+.1f decades over %d hidden layers, %+.2f by each",
            h->total, h->n, h->decades);
    if (isfinite(c->prediction.factor))
        cr__flow_more(v, " (theory %+.2f)", c->prediction.decades);
    snprintf(v->cure, sizeof v->cure, "%s",
             c->course == CR__COURSE_LEARNS
                 ? "None is needed."
                 : "None is called for; watch some more steps.");
}

/* Who came late says so: failures look alike afterwards. */
static void admit_end_only(const cr__case *c, found *list, int n)
{
    for (int i = 0; i < n; i++)
        if (!c->saw_start && list[i].verdict.severity > CR_FLOW_NOTE) {
            list[i].verdict.confidence *= 0.7;
            cr__flow_more(&list[i].verdict,
                          "; only the end was seen: watch from the start to be "
                          "sure of the cause");
        }
}

/* A leaf that holds a gradient before the first pass that was watched has been trained before. */
static bool begins_in_the_midst(const cr_flow_snapshot *s)
{
    for (int i = 0; i < s->n_params; i++)
        if (s->params[i].buffer.numel > 0 && isfinite(s->params[i].buffer.log10_norm))
            return true;
    return false;
}

static cr_status explain_case(cr__case *c, cr_flow_report *out)
{
    cr_status status = cr__flow_gather(c);
    if (status != CR_OK)
        return status;
    const int *places = NULL;
    c->prediction.factor = NAN;
    if (cr__flow_find_stack(c, c->first, &c->stack, &places))
        status = cr_flow_predict(&c->stack, &c->prediction);
    if (status != CR_OK) /* numbers that theory does not take */
        c->prediction = (cr_flow_prediction){ .factor = NAN };
    cr__flow_find_blame(c);
    found *list = cr__arena_alloc(c->arena, c->ctx, (CR_FLOW_CAUSES + 1) * sizeof *list);
    cr_flow_verdict *verdicts =
        cr__arena_alloc(c->arena, c->ctx, (CR_FLOW_CAUSES + 1) * sizeof *verdicts);
    if (!list || !verdicts)
        return CR_ERR_MEMORY;
    int n = run_checks(c, list);
    rank_causes(list, n);
    admit_end_only(c, list, n);
    qsort(list, (size_t)n, sizeof *list, by_weight);
    int grave = 0;
    for (int i = 0; i < n; i++)
        grave += list[i].verdict.severity > CR_FLOW_NOTE;
    if (!grave)
        say_healthy(c, &verdicts[0]);
    for (int i = 0; i < n; i++)
        verdicts[i + !grave] = list[i].verdict;
    out->verdicts = verdicts;
    out->n_verdicts = n + !grave;
    out->stack = c->stack;
    out->prediction = c->prediction;
    out->stack_layers = isfinite(c->prediction.factor) ? places : NULL;
    out->measured_decades = c->hidden.decades;
    return CR_OK;
}

cr_status cr__flow_explain(cr_ctx *ctx, cr__arena *arena,
                           const cr_flow_snapshot *snapshots, int n, bool saw_start,
                           cr_flow_report *out)
{
    out->snapshots = snapshots;
    out->n_snapshots = n;
    if (n < 1)
        return cr_fail(ctx, CR_ERR_ARGUMENT,
                       "flow_report_of: nothing was watched; call cr_flow_watch() before "
                       "cr_backward()");
    cr__case c = { .ctx = ctx, .arena = arena, .snaps = snapshots, .n = n };
    c.saw_start =
        saw_start && snapshots[0].step == 0 && !begins_in_the_midst(&snapshots[0]);
    out->saw_start = c.saw_start;
    return explain_case(&c, out);
}

const cr_flow_report *cr_flow_report_of(cr_flow *flow)
{
    if (!flow || !flow->ctx || cr_error(flow->ctx))
        return NULL;
    flow->report = (cr_flow_report){ .name = "flow" };
    cr__arena_free(&flow->reported);
    const cr_status status =
        cr__flow_explain(flow->ctx, &flow->reported, flow->snapshots, flow->n_snapshots,
                         flow->saw_start, &flow->report);
    return status == CR_OK ? &flow->report : NULL;
}

int cr_flow_exit_status(const cr_flow_report *report)
{
    for (int i = 0; report && i < report->n_verdicts; i++)
        if (report->verdicts[i].severity == CR_FLOW_ALARM)
            return 1;
    return 0;
}
