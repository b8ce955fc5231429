/* chainrule plan: what a run of a built-in graph does. */
#include "commands.h"
#include "workloads.h"

#include <stdlib.h>

static void workload_list(void)
{
    for (const workload *work = workloads; work->name; work++)
        printf("%-16s %s\n", work->name, work->doc);
}

/* Records a step and prints its plan. */
static void print_plan(stage *s)
{
    stage_record(s);
    size_t length = cr_plan_format(s->targets, s->n_targets, NULL, 0);
    char *text = malloc(length + 1);
    if (text && cr_plan_format(s->targets, s->n_targets, text, length + 1))
        fputs(text, stdout);
    free(text);
}

/* The steps' plans; the first is computed before the second is recorded. */
static void print_plans(stage *s)
{
    printf("%s: %s\n\n", s->work->name, s->work->doc);
    {
        CR_SCOPE(s->ctx);
        print_plan(s);
    }
    printf("\n");
    if (s->work->optim) {
        CR_SCOPE(s->ctx);
        printf("The second step:\n\n");
        print_plan(s);
        printf("\n");
    }
}

static void workload_unknown(const char *name)
{
    fprintf(stderr, "chainrule: no graph is called '%s'", name);
    suggest_near(name, workload_words, "");
    fputs("; chainrule plan lists all\n", stderr);
}

int workload_each(int n, char **names, bool (*show)(const workload *work))
{
    if (n == 0)
        workload_list();
    for (int i = 0; i < n; i++) {
        const workload *work = workload_find(names[i]);
        if (!work) {
            workload_unknown(names[i]);
            return STATUS_ALARM;
        }
        if (!show(work))
            return STATUS_ERROR;
    }
    return STATUS_GOOD;
}

static bool show_plan(const char *name)
{
    const workload *work = workload_find(name);
    if (!work) {
        workload_unknown(name);
        return false;
    }
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    if (!ctx) {
        fprintf(stderr, "chainrule: there is no memory\n");
        return false;
    }
    stage s;
    stage_open(&s, work, ctx, 1);
    if (!cr_error(ctx))
        print_plans(&s);
    bool good = !cr_error(ctx);
    if (!good)
        fprintf(stderr, "chainrule: %s\n", cr_message(ctx));
    stage_close(&s);
    cr_close(ctx);
    return good;
}

const char *workload_words(int i)
{
    return workloads[i].name;
}

int plan_run(int n, char **names)
{
    bool good = true;
    if (n == 0)
        workload_list();
    for (int i = 0; i < n; i++)
        good = show_plan(names[i]) && good;
    return good ? STATUS_GOOD : STATUS_ALARM;
}
