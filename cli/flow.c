/* chainrule flow: diagnoses a built-in network, and proves a remedy. */
#include "commands.h"
#include "host.h"
#include "network.h"

#include <stdlib.h>
#include <string.h>

static struct {
    const char *remedies, *html, *svg, *json, *csv, *tensorboard;
    int64_t steps, seeds, train_steps;
} given;

#define COUNT(name, to, initial, least, doc)                             \
    {                                                                    \
        name, OPTION_INT, &given.to, "N", initial, NULL, least, 1e6, doc \
    }
#define OUTPUT(name, doc)                                              \
    {                                                                  \
#name, OPTION_TEXT, &given.name, "FILE", NULL, NULL, 0, 0, doc \
    }

const option flow_options[] = {
    { "try", OPTION_TEXT, &given.remedies, "LIST", NULL, NULL, 0, 0,
      "remedies to prove, by commas, joined by + where they belong together: "
      "he,relu+he,batch_norm; auto: those that the diagnosis names" },
    COUNT("steps", steps, "25", 1, "steps that are trained and watched"),
    COUNT("seeds", seeds, "8", 1, "pairs of trainings, without and with a remedy"),
    COUNT("train-steps", train_steps, "200", 1, "steps of each of them"),
    OUTPUT(html, "the report as a page; - is standard output, here and below"),
    OUTPUT(svg, "the depth profile as a drawing"),
    OUTPUT(json, "all of it as JSON"),
    OUTPUT(csv, "a row for each layer and step"),
    OUTPUT(tensorboard, "the history as an event file"),
    { .name = NULL }
};

/* ---- writing ---- */

typedef struct output {
    const char *path;
    bool (*write)(const cr_flow_report *report, FILE *file);
} output;

static bool write_output(const output *o, const cr_flow_report *report)
{
    if (strcmp(o->path, "-") == 0)
        return o->write(report, stdout);
    FILE *file = fopen(o->path, "wb");
    const bool written = file && o->write(report, file);
    return (!file || fclose(file) == 0) && written;
}

static void print_report(const cr_flow_report *report)
{
    const cr_flow_text_opts opts = { .width = host_columns(stdout),
                                     .colour = host_colours(stdout) };
    const size_t length = cr_flow_text(report, opts, NULL, 0);
    char *text = malloc(length + 1);
    if (text && cr_flow_text(report, opts, text, length + 1))
        fputs(text, stdout);
    free(text);
}

/* The text goes to standard output, unless something else does. */
static bool write_all(const cr_flow_report *report)
{
    const output outputs[] = { { given.html, cr_flow_html },
                               { given.svg, cr_flow_svg },
                               { given.json, cr_flow_json },
                               { given.csv, cr_flow_csv },
                               { given.tensorboard, cr_flow_tensorboard } };
    bool good = true, told = false;
    for (size_t i = 0; i < sizeof outputs / sizeof outputs[0]; i++) {
        if (!outputs[i].path)
            continue;
        told = told || strcmp(outputs[i].path, "-") == 0;
        if (!write_output(&outputs[i], report)) {
            fprintf(stderr, "chainrule flow: %s could not be written\n", outputs[i].path);
            good = false;
        }
    }
    if (!told)
        print_report(report);
    return good;
}

/* ---- the command ---- */

static cr_flow_report *diagnose(cr_ctx *ctx, network *net)
{
    char name[256];
    network_name(name, sizeof name, &net->spec);
    const cr_flow_task task = network_task(net, name);
    cr_flow_report *report = cr_flow_diagnose(
        ctx, &task, .steps = given.steps, .remedies = given.remedies, .spectrum = true,
        .seeds = (int)given.seeds, .train_steps = given.train_steps,
        .seed = (uint64_t)net->spec.seed, .progress = host_progress);
    host_progress("", 1, NULL);
    return report;
}

int flow_run(int n, char **words)
{
    network net;
    (void)n, (void)words;
    if (!network_open(&net, &network_given))
        return STATUS_ERROR;
    int status = STATUS_ERROR;
    cr_ctx *ctx = cr_open(NULL);
    cr_flow_report *report = ctx ? diagnose(ctx, &net) : NULL;
    if (!report)
        fprintf(stderr, "chainrule flow: %s\n",
                ctx ? cr_message(ctx) : "there is no memory");
    else if (write_all(report))
        status = cr_flow_exit_status(report) ? STATUS_ALARM : STATUS_GOOD;
    cr_flow_report_free(report);
    cr_close(ctx);
    network_close(&net);
    return status;
}
