/* chainrule profile: where the time of a built-in graph's steps goes. */
#include "commands.h"
#include "workloads.h"

static int64_t steps, threads;
static const char *trace;
const option profile_options[] = {
    { "steps", OPTION_INT, &steps, "N", "20", NULL, 1, 1e6,
      "how many are measured, behind two that are not" },
    { "threads", OPTION_INT, &threads, "N", "1", NULL, 1, 64, "that compute" },
    { "trace", OPTION_TEXT, &trace, "FILE", NULL, NULL, 0, 0,
      "each group's time, for chrome://tracing or ui.perfetto.dev" },
    { .name = NULL }
};

static void take_steps(stage *s, int64_t n)
{
    while (n-- > 0 && !cr_error(s->ctx)) {
        CR_SCOPE(s->ctx);
        stage_record(s);
        cr_eval_at(s->targets, s->n_targets, "profile");
    }
}

static bool write_trace(cr_ctx *ctx)
{
    FILE *file = fopen(trace, "w");
    bool good = file && cr_profile_trace(ctx, file) == CR_OK;
    if (file && fclose(file) != 0)
        good = false;
    if (!good)
        fprintf(stderr, "chainrule profile: %s cannot be written\n", trace);
    return good;
}

static bool profile(const workload *work)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = (int)threads });
    stage s;
    if (!ctx) {
        fprintf(stderr, "chainrule profile: there is no memory\n");
        return false;
    }
    stage_open(&s, work, ctx, 1);
    take_steps(&s, 2);
    cr_profile_start(ctx, .trace = trace != NULL);
    take_steps(&s, steps);
    cr_profile_stop(ctx);
    bool good = !cr_error(ctx);
    if (good) {
        printf("%s: %s\n%lld steps\n\n", work->name, work->doc, (long long)steps);
        good = cr_profile_print(ctx, stdout) == CR_OK && (!trace || write_trace(ctx));
    } else {
        fprintf(stderr, "chainrule profile: %s\n", cr_message(ctx));
    }
    stage_close(&s);
    cr_close(ctx);
    return good;
}

int profile_run(int n, char **names)
{
    return workload_each(n, names, profile);
}
