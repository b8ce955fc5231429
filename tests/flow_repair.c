/* Remedies: what each changes, the lines of C that say so, and how trials tell those that help
 * from those that do not.
 *
 * flow_repair --code       writes a program that applies the lines (flow_repair.sh compiles it)
 * flow_repair --networks   writes what it must print
 */
#include "../src/flow/remedies.h"
#include "repair_networks.h"
#include "tap.h"

/* ---- remedies one by one ---- */

static cr_tensor *some_loss(cr_module *net, int64_t step, cr_flow_batch *batch,
                            void *user)
{
    (void)step, (void)user;
    cr_ctx *ctx = cr_ctx_of(cr_nn_params(net)->list[0].tensor);
    batch->output = cr_nn_forward(net, repair_input(ctx));
    return cr_mean(cr_square(batch->output));
}

static cr_module *build_named(cr_ctx *ctx, void *user)
{
    return ((const repair_network *)user)->build(ctx);
}

static cr_flow_task task_of(const repair_network *network)
{
    return (cr_flow_task){ .name = network->name,
                           .build = build_named,
                           .loss = some_loss,
                           .user = (void *)(uintptr_t)network };
}

/* A report that says what a diagnosis might: for remedies that take numbers from it. */
static cr_flow_report report_of_numbers(void)
{
    static cr_flow_snapshot snapshot;
    static const cr_flow_layer layer = { .name = "0", .x = { .rms = 300 } };
    static const cr_flow_param param = { .name = "0.bias" };
    snapshot.n_layers = snapshot.n_params = 1;
    snapshot.layers = &layer;
    snapshot.params = &param;
    snapshot.loss.kind = CR_FLOW_LOSS_SQUARES;
    snapshot.loss.scale = 32;
    snapshot.loss.target.numel = 4;
    snapshot.loss.target_mean = 50;
    snapshot.loss.target_rms = sqrt(2500 + 16);
    return (cr_flow_report){ .n_snapshots = 1, .snapshots = &snapshot };
}

/* Applies a remedy to a network of seed 0; whether it applies. */
static bool open_cured(cr_ctx *ctx, const cr_flow_task *task,
                       const cr_flow_report *report, const char *remedy,
                       cr__flow_training *t)
{
    cr__flow_cure cure;
    cr_seed(ctx, 0);
    return cr__flow_cure_find(remedy, strlen(remedy), &cure) &&
           cr__flow_training_open(t, ctx, task, report, &cure, 0);
}

static const char *const joined[] = { "relu+he", "residual+branch_scale",
                                      "residual+batch_norm",
                                      "batch_norm+tanh+residual+zero_last" };

/* All remedies by name, and some joined; NULL behind the last. */
static const char *remedy_name(int i)
{
    int n = 0;
    while (cr_flow_remedy_list(n))
        n++;
    if (i < n)
        return cr_flow_remedy_name(cr_flow_remedy_list(i));
    return i - n < CR__FLOW_COUNT(joined) ? joined[i - n] : NULL;
}

/* Calls each for every remedy and network that go together. */
static void for_cured(void (*each)(const char *remedy, const repair_network *network,
                                   cr__flow_training *t))
{
    cr_ctx *ctx = cr_open(NULL);
    const cr_flow_report report = report_of_numbers();
    for (int k = 0; k < REPAIR_NETWORKS; k++)
        for (int i = 0; remedy_name(i); i++) {
            const cr_flow_task task = task_of(&repair_networks[k]);
            cr__flow_training t;
            if (open_cured(ctx, &task, &report, remedy_name(i), &t))
                each(remedy_name(i), &repair_networks[k], &t);
            else if (cr_error(ctx))
                ok(false, "%s, %s: %s", repair_networks[k].name, remedy_name(i),
                   cr_message(ctx));
            cr_clear(ctx);
            cr__flow_training_close(&t);
        }
    cr_close(ctx);
}

static void print_cured(const char *remedy, const repair_network *network,
                        cr__flow_training *t)
{
    print_network(network->name, remedy, t->net, stdout);
}

/* C's identifiers have no "+". */
static void identifier_of(const char *remedy, const char *network, char *text,
                          size_t capacity)
{
    snprintf(text, capacity, "apply_%s_%s", network, remedy);
    for (char *at = text; *at; at++)
        *at = *at == '+' ? '_' : *at;
}

static void print_function(const char *remedy, const repair_network *network,
                           cr__flow_training *t)
{
    char name[100];
    identifier_of(remedy, network->name, name, sizeof name);
    printf("static void %s(cr_ctx *ctx, cr_module *net, cr_optim *optim, cr_tensor *x,\n"
           "    cr_tensor *target, cr_tensor *loss, int64_t step)\n{\n%s\n}\n",
           name, cr__flow_code_end(&t->code));
}

static void print_call(const char *remedy, const repair_network *network,
                       cr__flow_training *t)
{
    char name[100];
    (void)t;
    identifier_of(remedy, network->name, name, sizeof name);
    printf("    cr_seed(ctx, 0);\n    net = build_%s(ctx);\n", network->name);
    printf("    optim = cr_optim_sgd(cr_nn_params(net), 0.01);\n");
    printf("    %s(ctx, net, optim, x, x, cr_sum(x), 0);\n", name);
    printf("    print_network(\"%s\", \"%s\", net, stdout);\n", network->name, remedy);
    printf("    cr_nn_free(net);\n");
}

static int print_code(void)
{
    puts("#include \"repair_networks.h\"");
    for_cured(print_function);
    puts("int main(void)\n{\n    cr_ctx *ctx = cr_open(NULL);\n    cr_module *net;\n"
         "    cr_optim *optim;\n    cr_tensor *x = repair_input(ctx);");
    for_cured(print_call);
    puts("    if (cr_error(ctx))\n        printf(\"%s\\n\", cr_message(ctx));\n"
         "    return cr_error(ctx) != CR_OK;\n}");
    return 0;
}

static void check_step(const char *remedy, const repair_network *network,
                       cr__flow_training *t)
{
    cr_flow_batch batch;
    CR_SCOPE(t->ctx);
    cr_tensor *loss =
        cr__flow_training_loss(t, t->task->loss(t->net, 0, &batch, t->task->user));
    cr__flow_training_update(t, loss, 0);
    const double value = cr_item(loss);
    const size_t length = strlen(cr__flow_code_end(&t->code));
    ok(isfinite(value) && !cr_error(t->ctx) && length > 0 && length == t->code.length,
       "%s, %s: a step, and lines of C, complete: %s", network->name, remedy,
       cr_message(t->ctx));
}

/* What the networks look like, and where remedies have nothing to do. */
static const struct {
    const char *network, *remedy;
    const char *modules; /* or why not */
} cured[] = {
    { "sigmoids", "relu", "linear relu linear relu linear relu linear relu linear " },
    { "sigmoids", "batch_norm",
      "linear batch_norm1d sigmoid linear batch_norm1d sigmoid linear batch_norm1d "
      "sigmoid "
      "linear batch_norm1d sigmoid linear " },
    { "sigmoids", "residual",
      "linear 1(sigmoid linear ) 1(sigmoid linear ) 1(sigmoid linear ) sigmoid linear " },
    { "sigmoids", "residual+batch_norm",
      "linear 1(batch_norm1d sigmoid linear ) 1(batch_norm1d sigmoid linear ) "
      "1(batch_norm1d sigmoid linear ) batch_norm1d sigmoid linear " },
    { "sigmoids", "residual+branch_scale",
      "linear 0.5774(sigmoid linear ) 0.5774(sigmoid linear ) 0.5774(sigmoid linear ) "
      "sigmoid linear " },
    { "sigmoids", "branch_scale", "it has no residual branches" },
    { "sigmoids", "input_norm",
      "batch_norm1d linear sigmoid linear sigmoid linear sigmoid linear sigmoid "
      "linear " },
    { "sigmoids", "no_output_activation", "its last module is no activation" },
    { "mixed", "no_output_activation",
      "linear layer_norm tanh linear dropout tanh linear relu linear " },
    { "mixed", "gelu",
      "linear layer_norm gelu linear dropout gelu linear gelu linear relu " },
    { "mixed", "batch_norm",
      "linear batch_norm1d tanh linear dropout batch_norm1d tanh linear batch_norm1d "
      "relu "
      "linear relu " },
    { "mixed", "layer_norm",
      "linear layer_norm tanh linear dropout layer_norm tanh linear layer_norm relu "
      "linear "
      "relu " },
    { "mixed", "residual",
      "linear 1(layer_norm tanh linear ) dropout tanh linear relu linear relu " },
    { "branches", "residual", "no two layers in a row have the same width" },
    { "branches", "relu", "its activations are relu already" },
    { "branches", "branch_scale",
      "linear 0.5(relu linear relu linear ) 0.5(relu linear relu linear ) "
      "0.5(relu linear relu linear ) 0.5(relu linear relu linear ) linear " },
    { "lines", "relu", "linear relu linear relu linear " },
    { "lines", "batch_norm", "no activation module stands behind weights" },
};

static const repair_network *network_named(const char *name)
{
    const repair_network *n = repair_networks;
    while (strcmp(n->name, name) != 0)
        n++;
    return n;
}

static void test_modules(cr_ctx *ctx)
{
    for (int i = 0; i < CR__FLOW_COUNT(cured); i++) {
        const cr_flow_task task = task_of(network_named(cured[i].network));
        cr__flow_training t;
        char text[600] = "";
        if (open_cured(ctx, &task, NULL, cured[i].remedy, &t))
            describe_modules(t.net, text, sizeof text);
        is_text(text[0] ? text : t.why_not, cured[i].modules, "%s, %s", cured[i].network,
                cured[i].remedy);
        cr__flow_training_close(&t);
    }
}

/* Standard deviations of weights: gain / sqrt(fan), within what 8 x 8 numbers scatter. */
static void test_weights(cr_ctx *ctx)
{
    static const struct {
        const char *remedy;
        double variance; /* of a weight, times its fan-in */
    } draws[] = { { "he", 2 }, { "lecun", 1 }, { "xavier", 1 }, { "default", 1.0 / 3 } };
    for (int i = 0; i < CR__FLOW_COUNT(draws); i++) {
        const cr_flow_task task = task_of(network_named("sigmoids"));
        cr__flow_training t;
        double sum = 0;
        ok(open_cured(ctx, &task, NULL, draws[i].remedy, &t), "%s applies",
           draws[i].remedy);
        for (int k = 0; k < 8; k += 2) {
            char name[20];
            snprintf(name, sizeof name, "%d.weight", k);
            sum += cr_item(cr_sum(cr_square(cr_nn_param(t.net, name))));
        }
        const double n = 4 * 64;
        is_near(sum / n * 8, draws[i].variance, 5 * draws[i].variance * sqrt(2 / n),
                "%s: variance times fan-in", draws[i].remedy);
        cr__flow_training_close(&t);
    }
}

static void test_orthogonal(cr_ctx *ctx)
{
    const cr_flow_task task = task_of(network_named("branches"));
    cr__flow_training t;
    ok(open_cured(ctx, &task, NULL, "orthogonal", &t), "orthogonal applies");
    cr_tensor *w = cr_nn_param(t.net, "0.weight");
    cr_tensor *error = cr_sub(cr_matmul(w, cr_t(w)), cr_mul(cr_eye(ctx, 8), 2));
    is_near(cr_item(cr_sum(cr_square(error))), 0, 1e-9,
            "W W^T is 2 where hidden units are relus");
    cr__flow_training_close(&t);
}

static void test_zero_last(cr_ctx *ctx)
{
    const cr_flow_task task = task_of(network_named("branches"));
    cr__flow_training t;
    ok(open_cured(ctx, &task, NULL, "zero_last", &t), "zero_last applies");
    is_near(cr_item(cr_sum(cr_square(cr_nn_param(t.net, "1.inner.3.weight")))), 0, 0,
            "the last layer of a branch is zero");
    ok(cr_item(cr_sum(cr_square(cr_nn_param(t.net, "1.inner.1.weight")))) > 0,
       "the first is not");
    cr__flow_training_close(&t);
}

/* What leaves each layer of weights has variance 1, within LSUV's tolerance of a tenth. */
static void test_lsuv(cr_ctx *ctx)
{
    const cr_flow_task task = task_of(network_named("sigmoids"));
    cr__flow_training t;
    ok(open_cured(ctx, &task, NULL, "lsuv", &t), "lsuv applies");
    cr_tensor *h = repair_input(ctx);
    for (int i = 0; i < cr_nn_count(t.net); i++) {
        h = cr_nn_forward(cr_nn_child(t.net, i), h);
        if (i % 2 == 0)
            is_near(cr_item(cr_var(h, CR_ALL, .correction = CR_REAL(0))), 1, 0.11,
                    "lsuv: variance behind layer %d", i);
    }
    cr__flow_training_close(&t);
}

static void test_fixup(cr_ctx *ctx)
{
    const cr_flow_task task = task_of(network_named("branches"));
    cr__flow_training t;
    ok(open_cured(ctx, &task, NULL, "fixup", &t), "fixup applies");
    cr_tensor *last = cr_nn_param(t.net, "2.inner.3.weight"),
              *first = cr_nn_param(t.net, "2.inner.1.weight");
    is_near(cr_item(cr_sum(cr_square(last))), 0, 0, "the last layer of a branch is zero");
    is_near(cr_item(cr_mean(cr_square(first))) * 8, 2.0 / 4, 0.35,
            "the first has He's variance over the 4 branches");
    cr__flow_training_close(&t);
}

static void test_names(void)
{
    cr__flow_cure cure;
    ok(cr__flow_cure_find("relu+he", 7, &cure) && cure.n == 2, "two that are joined");
    ok(!cr__flow_cure_find("relu+", 5, &cure), "an empty name is none");
    ok(!cr__flow_cure_find("rel", 3, &cure), "half a name is none");
    ok(!cr__flow_cure_find("he+he+he+he+he", 14, &cure), "four are joined at most");
    for (int i = 0; cr_flow_remedy_list(i); i++)
        for (int k = 0; k < i; k++)
            if (!strcmp(cr_flow_remedy_name(cr_flow_remedy_list(i)),
                        cr_flow_remedy_name(cr_flow_remedy_list(k))))
                ok(false, "two remedies have the name %s",
                   cr_flow_remedy_name(cr_flow_remedy_list(i)));
    ok(!cr_flow_remedy_list(-1) && !cr_flow_remedy_list(1000), "NULL beyond both ends");
}

/* ---- trials ---- */

/* A stack with a scalar output: which of two halves of space a point lies in, or a number. */
typedef struct stack_task {
    int depth, width;
    const char *activation;
    double rate;
    bool adam, summed, numbers, zero;
    double target_scale;
    cr_tensor *x, *labels;
} stack_task;

static cr_module *make_activation(cr_ctx *ctx, const char *name)
{
    return !strcmp(name, "sigmoid") ? cr_nn_sigmoid(ctx)
           : !strcmp(name, "tanh")  ? cr_nn_tanh(ctx)
                                    : cr_nn_relu(ctx);
}

static cr_module *build_stack(cr_ctx *ctx, void *user)
{
    const stack_task *t = user;
    cr_module *net = cr_nn_sequential(ctx);
    for (int i = 0; i < t->depth; i++) {
        cr_nn_add(net, cr_nn_linear(ctx, i ? t->width : 8, t->width));
        cr_nn_add(net, make_activation(ctx, t->activation));
    }
    cr_nn_add(net, cr_nn_linear(ctx, t->width, 1));
    for (int i = 0; t->zero && i < cr_nn_params(net)->n; i++)
        cr_init_constant(cr_nn_params(net)->list[i].tensor, 0);
    return net;
}

static cr_optim *stack_optimiser(cr_module *net, void *user)
{
    const stack_task *t = user;
    return t->adam ? cr_optim_adam(cr_nn_params(net), t->rate)
                   : cr_optim_sgd(cr_nn_params(net), t->rate);
}

/* Batches of 32 of the 128 points, one after the other. */
static cr_tensor *stack_loss(cr_module *net, int64_t step, cr_flow_batch *batch,
                             void *user)
{
    const stack_task *t = user;
    const int64_t from = step % 4 * 32;
    batch->target = cr_slice(t->labels, 0, from, from + 32);
    batch->output = cr_nn_forward(net, cr_slice(t->x, 0, from, from + 32));
    const cr_reduction how = t->summed ? CR_REDUCTION_SUM : CR_REDUCTION_MEAN;
    return t->numbers ? cr_mse_loss(batch->output, batch->target, .reduction = how)
                      : cr_binary_cross_entropy_with_logits(batch->output, batch->target,
                                                            .reduction = how);
}

static void make_data(cr_ctx *ctx, stack_task *t)
{
    const double scale = t->target_scale > 0 ? t->target_scale : 1;
    cr_seed(ctx, 77);
    t->x = cr_randn(ctx, CR_DIMS(128, 8));
    cr_tensor *side = cr_sum(cr_slice(t->x, 1, 0, 3), 1, .keepdim = true);
    t->labels = t->numbers ? cr_mul(side, scale) : cr_cast(cr_gt(side, 0), CR_F32);
    cr_eval(t->x, t->labels);
}

static cr_flow_report *diagnose_stack(cr_ctx *ctx, stack_task *t, const char *remedies,
                                      int64_t train_steps, int seeds)
{
    const cr_flow_task task = { .name = "stack",
                                .build = build_stack,
                                .optimiser = stack_optimiser,
                                .loss = stack_loss,
                                .user = t };
    make_data(ctx, t);
    cr_flow_report *report =
        cr_flow_diagnose(ctx, &task, .remedies = remedies, .seeds = seeds,
                         .train_steps = train_steps, .steps = 12);
    for (int i = 0; report && i < report->n_verdicts; i++)
        diag("%s: %s", cr_flow_cause_name(report->verdicts[i].cause),
             report->verdicts[i].what);
    bool in_order = true;
    for (int i = 0; report && i < report->n_trials; i++) {
        const cr_flow_trial *r = &report->trials[i];
        diag("%s %s: %.3g -> %.3g decades, loss %.4g -> %.4g, %d of %d: %s",
             r->accepted ? "+" : "-", r->remedy, r->decades_before, r->decades_after,
             r->loss_before, r->loss_after, r->better, r->seeds, r->reason);
        const cr_flow_trial *last = i ? r - 1 : r;
        in_order = in_order && last->accepted >= r->accepted &&
                   !(r->accepted && last->loss_after > r->loss_after);
    }
    ok(in_order, "accepted trials stand first, the lowest loss before all");
    return report;
}

static const cr_flow_trial *trial_of(const cr_flow_report *report, const char *remedy)
{
    static const cr_flow_trial none = { .remedy = "none", .reason = "not tried" };
    for (int i = 0; report && i < report->n_trials; i++)
        if (strcmp(report->trials[i].remedy, remedy) == 0)
            return &report->trials[i];
    return &none;
}

/* accepted, and a word of the reason. */
static void is_decided(const cr_flow_report *report, const char *remedy, bool accepted,
                       const char *reason)
{
    const cr_flow_trial *trial = trial_of(report, remedy);
    ok(trial->accepted == accepted && strstr(trial->reason, reason), "%s is %s: %s",
       remedy, accepted ? "accepted" : "rejected", trial->reason);
}

static void test_sigmoids(cr_ctx *ctx)
{
    stack_task t = { .depth = 30, .width = 16, .activation = "sigmoid", .rate = 0.1 };
    cr_flow_report *report =
        diagnose_stack(ctx, &t, "clip, xavier, layer_norm, batch_norm", 30, 8);
    if (!ok(report && report->n_trials == 4, "30 sigmoids: four trials: %s",
            cr_message(ctx)))
        return;
    is_decided(report, "clip", false, "clipping only shortens gradients");
    is_decided(report, "xavier", false, "do not make up for the slope of sigmoid");
    is_decided(report, "layer_norm", false, "leaves the slope of sigmoid");
    is_decided(report, "batch_norm", true, "within");
    const cr_flow_trial *norm = trial_of(report, "batch_norm");
    is_near(norm->decades_before, -0.85, 0.05, "before: 0.85 decades per layer");
    is_near(norm->decades_after, log10(1.026), 0.03,
            "behind batch norms: 1.026 per layer");
    ok(norm->better >= 7 && norm->loss_after < norm->loss_before,
       "the loss falls further");
    is_text(norm->code,
            "for (int i = 59; i >= 1; i -= 2)\n"
            "    cr_nn_insert(net, i, cr_nn_batch_norm1d(ctx, 16));",
            "the lines of C");
    ok(report->after && report->after->n_layers > report->snapshots[0].n_layers,
       "the network behind it is shown");
    cr_flow_report_free(report);
}

/* He's weights and batch norm, no skip: each layer multiplies by sqrt(pi / (pi - 1)). */
static void test_batch_norm_explodes(cr_ctx *ctx)
{
    stack_task t = { .depth = 40, .width = 32, .activation = "relu", .rate = 0.1 };
    cr_flow_report *report = diagnose_stack(ctx, &t, "he+batch_norm", 5, 5);
    is_decided(report, "he+batch_norm", false, "a batch norm without a skip");
    is_near(pow(10, trial_of(report, "he+batch_norm")->decades_after), 1.21, 0.06,
            "it explodes by 1.21 per layer");
    cr_flow_report_free(report);
}

/* The remedy, which the list or a verdict names, repairs what was broken. */
static void is_repaired(cr_ctx *ctx, stack_task *t, const char *what, const char *list,
                        const char *remedy, const char *code)
{
    cr_flow_report *report = diagnose_stack(ctx, t, list, 40, 8);
    const cr_flow_trial *trial = trial_of(report, remedy);
    ok(trial->accepted && strstr(trial->code, code), "%s: %s repairs it: %s: %s", what,
       remedy, trial->reason, trial->code);
    cr_flow_report_free(report);
}

static void test_repairs(cr_ctx *ctx)
{
    stack_task rate = { .depth = 2, .width = 16, .activation = "tanh", .rate = 100 };
    is_repaired(ctx, &rate, "a rate of 100", "auto", "lr_down",
                "cr_optim_set_lr(optim, ");
    stack_task sum = { .depth = 2,
                       .width = 16,
                       .activation = "relu",
                       .rate = 0.1,
                       .numbers = true,
                       .summed = true };
    is_repaired(ctx, &sum, "a summed loss", "auto", "loss_scale",
                "loss = cr_div(loss, 32);");
    stack_task zero = {
        .depth = 2, .width = 16, .activation = "tanh", .rate = 0.5, .zero = true
    };
    is_repaired(ctx, &zero, "zero weights", "auto", "default", "cr_init_default(w)");
    stack_task targets = { .depth = 2,
                           .width = 16,
                           .activation = "tanh",
                           .rate = 0.05,
                           .numbers = true,
                           .target_scale = 1000 };
    is_repaired(ctx, &targets, "large targets", "target_norm", "target_norm",
                "target = cr_div(");
}

/* Weights of He bring a dead network to life, at a rate that was no matter while it was dead; and
 * a zero last layer, behind which no delta is at first, is measured when there is one. */
static void test_followed_up(cr_ctx *ctx)
{
    stack_task t = { .depth = 12, .width = 16, .activation = "relu", .rate = 1 };
    cr_flow_report *report = diagnose_stack(ctx, &t, "auto", 40, 8);
    is_decided(report, "he", false, "rate_too_large (+lr_down?)");
    is_decided(report, "he+lr_down", true, "within");
    cr_flow_report_free(report);
    t.depth = 20;
    t.rate = 0.3;
    report = diagnose_stack(ctx, &t, "residual+fixup", 40, 8);
    is_decided(report, "residual+fixup", true, "within");
    cr_flow_report_free(report);
}

/* A remedy that changes nothing leaves each loss what it is, to the bit; and random numbers that
 * the caller draws afterwards are those that it would have drawn. */
static void test_pairs(cr_ctx *ctx)
{
    stack_task t = { .depth = 2, .width = 16, .activation = "tanh", .rate = 0.3 };
    make_data(ctx, &t);
    cr_seed(ctx, 5);
    const double drawn = cr_item(cr_sum(cr_randn(ctx, CR_DIMS(3))));
    cr_seed(ctx, 5);
    const cr_flow_task task = { .build = build_stack, .loss = stack_loss, .user = &t };
    cr_flow_report *report = cr_flow_diagnose(ctx, &task, .remedies = "train_mode",
                                              .seeds = 5, .train_steps = 20);
    const cr_flow_trial *same = trial_of(report, "train_mode");
    ok(same->applies && same->loss_before == same->loss_after && same->better == 0,
       "the same losses: %.17g and %.17g", same->loss_before, same->loss_after);
    ok(!same->accepted && same->decades_before == same->decades_after, "%s",
       same->reason);
    ok(drawn == cr_item(cr_sum(cr_randn(ctx, CR_DIMS(3)))),
       "the caller's random numbers stay");
    cr_flow_report_free(report);
}

static cr_tensor *no_loss(cr_module *net, int64_t step, cr_flow_batch *batch, void *user)
{
    (void)net, (void)step, (void)batch, (void)user;
    return NULL;
}

static void is_refused(cr_ctx *ctx, cr_flow_report *report, cr_status status,
                       const char *word)
{
    ok(!report && cr_error(ctx) == status && strstr(cr_message(ctx), word), "%s",
       cr_message(ctx));
    cr_clear(ctx);
}

static void test_errors(cr_ctx *ctx)
{
    cr_flow_task task = task_of(network_named("lines"));
    is_refused(ctx, cr_flow_diagnose(ctx, &task, .remedies = "he, prayer"),
               CR_ERR_ARGUMENT, "there is no remedy \"prayer\"");
    is_refused(ctx, cr_flow_diagnose(ctx, &task, .seeds = -1), CR_ERR_ARGUMENT,
               "1 or more");
    is_refused(ctx, cr_flow_diagnose(ctx, NULL), CR_ERR_NULL, "build() and loss()");
    task.loss = no_loss;
    is_refused(ctx, cr_flow_diagnose(ctx, &task), CR_ERR_ARGUMENT, "loss() gave none");
    ok(!cr_flow_diagnose(NULL, &task), "no context, no report");
    cr_flow_report_free(NULL);
}

/* Updates of one's own: gradients are clipped by the loss' scale, and cleared in front of it. */
static cr_status own_update(cr_module *net, cr_optim *optim, cr_tensor *loss,
                            int64_t step, void *user)
{
    (void)net, (void)step, (void)user;
    cr_backward(loss);
    return cr_optim_step(optim);
}

static double change_by(cr_ctx *ctx, const char *remedy, bool own)
{
    cr_flow_task task = task_of(network_named("sigmoids"));
    cr__flow_training t;
    double sum = 0;
    task.update = own ? own_update : NULL;
    open_cured(ctx, &task, NULL, remedy, &t);
    for (int step = 0; step < 3; step++) {
        cr_flow_batch batch;
        CR_SCOPE(ctx);
        cr_tensor *loss = cr_mul(100, task.loss(t.net, step, &batch, task.user));
        cr__flow_training_update(&t, loss, step);
    }
    sum = sum_up_params(t.net);
    cr__flow_training_close(&t);
    return sum;
}

static void test_own_updates(cr_ctx *ctx)
{
    is_near(change_by(ctx, "clip+clear_gradients", true), change_by(ctx, "clip", false),
            1e-4, "an update of one's own is clipped and cleared like the usual one");
    ok(fabs(change_by(ctx, "clip", true) - change_by(ctx, "clip", false)) > 1e-3,
       "without clearing it is another");
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--code") == 0)
        return print_code();
    if (argc > 1 && strcmp(argv[1], "--networks") == 0) {
        for_cured(print_cured);
        return 0;
    }
    cr_ctx *ctx = cr_open(NULL);
    test_names();
    test_modules(ctx);
    test_weights(ctx);
    test_orthogonal(ctx);
    test_zero_last(ctx);
    test_lsuv(ctx);
    test_fixup(ctx);
    for_cured(check_step);
    test_own_updates(ctx);
    test_pairs(ctx);
    test_errors(ctx);
    test_sigmoids(ctx);
    test_batch_norm_explodes(ctx);
    test_repairs(ctx);
    test_followed_up(ctx);
    ok(!cr_error(ctx), "no error is left: %s", cr_message(ctx));
    cr_close(ctx);
    return done_testing();
}
