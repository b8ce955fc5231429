/* The chainrule program: why a network does not train, and what this copy of the library offers. */
#include "commands.h"
#include "network.h"

#include <chainrule.h>
#include <string.h>

/* ---- commands about the program ---- */

static bool as_man_page;
static const option help_options[] = { { .name = "man",
                                         .type = OPTION_SWITCH,
                                         .to = &as_man_page,
                                         .doc = "the man page of all of them" },
                                       { .name = NULL } };

static const char *command_name(int i)
{
    return commands[i].name;
}

/* The command that these words begin with, the longer name first; *used counts its words. */
static const command *find_command(int n, char **words, int *used)
{
    char pair[64];
    if (n > 1) {
        snprintf(pair, sizeof pair, "%s %s", words[0], words[1]);
        for (const command *c = commands; c->name; c++)
            if (strcmp(c->name, pair) == 0) {
                *used = 2;
                return c;
            }
    }
    *used = 1;
    for (const command *c = commands; n > 0 && c->name; c++)
        if (strcmp(c->name, words[0]) == 0)
            return c;
    return NULL;
}

static int unknown_command(const char *word)
{
    fprintf(stderr, "chainrule: '%s' is no command", word);
    suggest_near(word, command_name, "");
    fputs("; chainrule help lists all\n", stderr);
    return STATUS_ERROR;
}

static int help_run(int n, char **words)
{
    int used;
    if (as_man_page) {
        help_man_page(stdout);
    } else if (n == 0) {
        help_overview(stdout);
    } else {
        const command *c = find_command(n, words, &used);
        if (!c)
            return unknown_command(words[0]);
        help_command(stdout, c);
    }
    return STATUS_GOOD;
}

static int version_run(int n, char **words)
{
    (void)n, (void)words;
    printf("chainrule %s (%s kernels)\n", cr_version(), cr_isa());
    return STATUS_GOOD;
}

static int completion_run(int n, char **words)
{
    if (n == 1 && help_completion(stdout, words[0]))
        return STATUS_GOOD;
    fprintf(stderr, "chainrule completion: of which shell? There are");
    for (int i = 0; help_shells(i); i++)
        fprintf(stderr, "%s %s", i ? " and" : "", help_shells(i));
    fputs("\n", stderr);
    return STATUS_ERROR;
}

/* ---- the table ---- */

const command commands[] = {
    { .name = "flow",
      .run = flow_run,
      .doc = "why a network does not train: the gradient's way, explained and repaired",
      .options = { flow_options, stack_options, training_options },
      .help =
          "Builds a network, trains it for some steps, measures how the gradient flows "
          "through it, says what is wrong and why, and tries remedies: each is trained "
          "beside the original from several seeds, and accepted only if that proves "
          "it.\n\n"
          "    chainrule flow --depth 50 --width 64 --activation sigmoid --try "
          "batch_norm\n"
          "    chainrule flow --activation relu --init he --depth 20 --html "
          "report.html\n\n"
          "The exit status is 0 if the network is healthy, 1 if there is an alarm, 2 if "
          "it "
          "could not be diagnosed. Of networks of your own chainrule_flow.h tells the "
          "same." },
    { .name = "flow theory",
      .run = theory_run,
      .doc = "what theory says of a stack of layers, before it is trained",
      .options = { theory_options, stack_options },
      .help =
          "The theory of wide networks, for an activation and weights: the variance that "
          "signals tend to, the factor by which each layer multiplies the gradient, the "
          "depth over which inputs become alike, and the edge of chaos, where all of "
          "this "
          "lasts longest.\n\n"
          "    chainrule flow theory --activation gelu\n"
          "    chainrule flow theory --activation tanh --sigma-w2 1.5 --depth 30" },
    { .name = "flow map",
      .run = map_run,
      .doc = "which networks train: a grid of them, and theory's boundary",
      .options = { map_options, stack_options, training_options },
      .help =
          "Trains a network for each cell of a grid and shows which of them learn, with "
          "theory's boundary, computed before any training, laid over it: depth of 6 xi "
          "(Schoenholz et al., Deep Information Propagation, 2017). What is no axis is "
          "said by the other options.\n\n"
          "    chainrule flow map --html map.html\n"
          "    chainrule flow map --x norm --y depth --activation relu --init he\n"
          "    chainrule flow map --x lr --y sigma_w2 --grid 10x10 --resume cells.txt" },
    { .name = "lesson",
      .run = lesson_run,
      .doc = "how gradients flow, shown step by step",
      .arguments = "[SEED]",
      .help =
          "The chain rule by hand and by machine, fifty sigmoids, what keeps a gradient "
          "alive, why a network does not train, and one that learns to read digits. "
          "Leaves a page, report.html." },
    { .name = "ops",
      .run = ops_run,
      .doc = "the operations: how they are called, shapes, gradients",
      .arguments = "[NAME...]",
      .words = ops_words,
      .lists = true,
      .options = { ops_options },
      .help =
          "Without a name: all operations, a line for each. With names: how each is "
          "called in "
          "C, the shapes that it takes and gives, its gradients, kinks and attributes." },
    { .name = "plan",
      .run = plan_run,
      .doc = "what a run of a built-in graph does, and the memory that it takes",
      .arguments = "[NAME...]",
      .words = workload_words,
      .lists = true,
      .help = "Without a name: the graphs. With names: the plan of a step, forward, "
              "backward and "
              "update, the first and, where it is another, the second." },
    { .name = "profile",
      .run = profile_run,
      .doc = "where the time of a built-in graph's steps goes",
      .arguments = "[NAME...]",
      .words = workload_words,
      .lists = true,
      .options = { profile_options },
      .help =
          "Without a name: the graphs. With names: the time of each operation, and of "
          "each line that recorded it, beside what the machine can do at most. Of "
          "programs of your own CHAINRULE_PROFILE=1 in the environment tells the same." },
    { .name = "graph",
      .run = graph_run,
      .doc = "a built-in graph, forward and backward, for Graphviz",
      .arguments = "[NAME...]",
      .words = workload_words,
      .lists = true,
      .help = "Without a name: the graphs. With names: each in the language DOT, its "
              "nodes with "
              "operation, type, shape and the place in the source where they were "
              "recorded.\n\n"
              "    chainrule graph mlp_small | dot -Tsvg >mlp.svg" },
    { .name = "check",
      .run = check_run,
      .doc = "this build: kernels, bits, speed beside the machine's limit",
      .help =
          "Prints which kernels compute, whether some graphs give the bits that every "
          "machine must give (exit status 1 if not), and the speed of a product and of a "
          "map beside what this machine's units and memory can do, measured now." },
    { .name = "completion",
      .run = completion_run,
      .doc = "completion for a shell",
      .arguments = "SHELL",
      .words = help_shells,
      .help =
          "Writes what makes the shell complete commands, options and their values:\n\n"
          "    eval \"$(chainrule completion bash)\"\n\n"
          "An installed chainrule has put it where shells look." },
    { .name = "version",
      .run = version_run,
      .doc = "version, and kernels in use",
      .help = "Prints the version, and which kernels compute on this machine." },
    { .name = "help",
      .run = help_run,
      .doc = "this text, or more of a command",
      .arguments = "[COMMAND]",
      .words = command_name,
      .options = { help_options },
      .help = "Says what there is, or all about one command." },
    { .name = NULL }
};

/* ---- main ---- */

static const struct alias {
    const char *word, *command;
} aliases[] = { { "--help", "help" },
                { "-h", "help" },
                { "--version", "version" },
                { "-V", "version" } };

static bool asks_for_help(int n, char **words)
{
    for (int i = 0; i < n && strcmp(words[i], "--") != 0; i++)
        if (strcmp(words[i], "--help") == 0 || strcmp(words[i], "-h") == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    int used, n = argc - 1;
    char **words = argv + 1;
    char alias[16];
    for (size_t i = 0; n > 0 && i < sizeof aliases / sizeof aliases[0]; i++)
        if (strcmp(words[0], aliases[i].word) == 0) {
            snprintf(alias, sizeof alias, "%s", aliases[i].command);
            words[0] = alias;
        }
    const command *c = find_command(n, words, &used);
    if (!c && n > 0)
        return unknown_command(words[0]);
    if (!c) {
        help_overview(stderr);
        return STATUS_ERROR;
    }
    n -= used;
    words += used;
    if (asks_for_help(n, words)) {
        help_command(stdout, c);
        return STATUS_GOOD;
    }
    if (!options_take(c, &n, words))
        return STATUS_ERROR;
    const int status = c->run(n, words);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "chainrule: what was printed could not be written\n");
        return STATUS_ERROR;
    }
    return status;
}
