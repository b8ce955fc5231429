/* The chainrule program: what this copy of the library offers, without a manual at hand.
 */
#include "ops.h"
#include "workloads.h"

#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: chainrule version         version, and kernels in use\n"
    "       chainrule ops             the operations\n"
    "       chainrule ops NAME...     how they are called, their shapes, gradients and "
    "attributes\n"
    "       chainrule ops --page      all of that as a page in Markdown\n"
    "       chainrule plan            graphs of the usual kinds\n"
    "       chainrule plan NAME...    what a run of one does, and the memory that it "
    "takes:\n"
    "                                 forward, backward and update, the first step and,\n"
    "                                 where it is another, the second\n"
    "       chainrule help            this text\n";

/* ---- plans ---- */

static void list_workloads(void)
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

static bool show_plan(const char *name)
{
    const workload *work = workload_find(name);
    if (!work) {
        fprintf(stderr, "chainrule: no graph is called '%s'; chainrule plan lists all\n",
                name);
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

/* ---- commands ---- */

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(word, *words) != 0)
        words++;
    return *words != NULL;
}

int main(int argc, char **argv)
{
    static const char *const helps[] = { "help", "--help", "-h", NULL };
    static const char *const versions[] = { "version", "--version", "-V", NULL };
    const char *command = argc > 1 ? argv[1] : "";
    bool good = true;
    if (is_one_of(command, helps)) {
        fputs(usage, stdout);
    } else if (is_one_of(command, versions) && argc == 2) {
        printf("chainrule %s (%s kernels)\n", cr_version(), cr_isa());
    } else if (strcmp(command, "ops") == 0) {
        if (argc == 2)
            ops_list();
        else if (strcmp(argv[2], "--page") == 0)
            ops_page();
        for (int i = 2; i < argc && argv[i][0] != '-'; i++)
            good = ops_show(argv[i]) && good;
    } else if (strcmp(command, "plan") == 0) {
        if (argc == 2)
            list_workloads();
        for (int i = 2; i < argc; i++)
            good = show_plan(argv[i]) && good;
    } else {
        if (argc > 1)
            fprintf(stderr, "chainrule: '%s' is no command\n", command);
        fputs(usage, stderr);
        return 2;
    }
    return good && fflush(stdout) == 0 ? 0 : 1;
}
