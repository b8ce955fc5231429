/* cr_plan_format(): the plans of the built-in workloads are those that are stored; the peak
 * that a plan names is the run's, to the byte, and what it says to stay stays; making one
 * changes nothing.
 *
 * plan --write    stores the plans
 */
#include "../cli/workloads.h"
#include "engine.h"
#include "rehearsal.h"

/* ---- graphs beside the built-in ones ---- */

/* Views that are read through, copied, kept and turned back. */
static void open_views(stage *s)
{
    stage_leaf(s, CR_DIMS(48, 200), "x");
    s->c = stage_data(s, CR_DIMS(200, 48), "c");
}

static cr_tensor *views(stage *s)
{
    cr_tensor *x = s->leaves[0].tensor, *t = cr_t(x);
    cr_tensor *some = cr_watch(cr_slice(cr_exp(t), 0, 20, 120));
    cr_tensor *turned =
        cr_reshape(cr_flip(cr_mul(t, s->c), CR_DIMS(0)), CR_DIMS(96, 100));
    cr_tensor *both[] = { turned,
                          cr_reshape(cr_transpose(some, 0, 1), CR_DIMS(48, 100)) };
    return cr_sum(cr_square(cr_cat(both, 2, 0)));
}

/* A kernel that may fail, between parameters that are updated in place. */
static bool fails;

static bool halve(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)n, (void)user;
    for (int64_t i = 0; i < out->numel; i++)
        ((float *)out->data)[i] = ((const float *)in[0].data)[i] / 2;
    return !fails;
}

static bool halve_back(const cr_array *in, int n, const cr_array *out,
                       const cr_array *cotangent, cr_array *in_cotangents, void *user)
{
    (void)in, (void)n, (void)user;
    for (int64_t i = 0; in_cotangents[0].data && i < out->numel; i++)
        ((float *)in_cotangents[0].data)[i] = ((const float *)cotangent->data)[i] / 2;
    return true;
}

static void open_custom(stage *s)
{
    s->x = stage_data(s, CR_DIMS(16, 40), "data");
    stage_leaf(s, CR_DIMS(40, 40), "weight1");
    stage_leaf(s, CR_DIMS(40, 40), "weight2");
}

static cr_tensor *custom(stage *s)
{
    cr_custom_def def = { .name = "halve", .forward = halve, .backward = halve_back };
    cr_tensor *h = cr_tanh(cr_matmul(s->x, s->leaves[0].tensor));
    cr_tensor *half = cr_custom(&def, &h, 1, CR_F32, cr_shape(h));
    return cr_sum(cr_square(cr_matmul(half, s->leaves[1].tensor)));
}

/* Indices that are computed can be checked only when they are there. */
static void open_indexed(stage *s)
{
    stage_leaf(s, CR_DIMS(30, 20), "table");
    s->y = stage_labels(s, 25, 30);
}

static cr_tensor *indexed(stage *s)
{
    cr_tensor *index = cr_sub(29, s->y);
    return cr_sum(cr_square(cr_embedding(s->leaves[0].tensor, index)));
}

/* Convolutions, and what is computed of their lines: a bias, a bend, what is added, a mask. */
static void open_convolutions(stage *s)
{
    s->x = stage_data(s, CR_DIMS(4, 8, 20, 20), "data");
    stage_leaf(s, CR_DIMS(16, 8, 3, 3), "weight1");
    stage_leaf(s, CR_DIMS(16), "bias1");
    stage_leaf(s, CR_DIMS(16, 16, 3, 3), "weight2");
}

static cr_tensor *convolutions(stage *s)
{
    cr_tensor *w1 = s->leaves[0].tensor, *bias = s->leaves[1].tensor;
    cr_tensor *w2 = s->leaves[2].tensor;
    cr_tensor *h = cr_conv2d(s->x, w1, bias, .padding = CR_DIMS(1));
    h = cr_relu(h);
    cr_tensor *y = cr_conv2d(h, w2, NULL, .padding = CR_DIMS(1));
    return cr_sum(cr_square(cr_relu(cr_add(y, h))));
}

/* Maps that kernels of their own alone read are made as they are fetched, if each element is once;
 * not what is read in turn of what is written over. */
static void open_fetched(stage *s)
{
    stage_leaf(s, CR_DIMS(30, 40), "x");
    s->c = stage_data(s, CR_DIMS(40, 30), "c");
}

static cr_tensor *fetched(stage *s)
{
    cr_tensor *x = s->leaves[0].tensor, *turned = cr_mul(x, cr_t(s->c));
    cr_tensor *both = cr_cat(CR_ARRAY(cr_tensor *, cr_neg(turned), x), 2, 1);
    cr_tensor *sums = cr_cumsum(cr_mul(cr_add(x, 1), 2), 1);
    cr_tensor *part = cr_slice(both, 1, 0, 40);
    return cr_sum(cr_square(cr_slice_scatter(both, cr_add(part, sums), 1, 0, 40)));
}

/* A norm that is recorded together with what keeps its statistics. */
static void open_statistics(stage *s)
{
    s->x = stage_data(s, CR_DIMS(8, 6, 12, 12), "data");
    stage_leaf(s, CR_DIMS(6), "weight");
    s->c = stage_data(s, CR_DIMS(6), "mean");
    s->y = stage_data(s, CR_DIMS(6), "variance");
}

static cr_tensor *statistics(stage *s)
{
    cr_tensor *y =
        cr_batch_norm(cr_tanh(s->x), s->c, s->y, s->leaves[0].tensor, NULL, true, 0.1);
    return cr_sum(cr_square(cr_relu(y)));
}

static const workload others[] = {
    { "views", "views that are read through, copied and kept", open_views, views,
      NO_OPTIM, 0 },
    { "custom", "a kernel that may fail", open_custom, custom, SGD, 0 },
    { "indexed", "indices that are computed", open_indexed, indexed, ADAM, 0 },
    { "convolutions", "convolutions and what reads them", open_convolutions, convolutions,
      SGD, 0 },
    { "fetched", "maps that kernels fetch", open_fetched, fetched, SGD, 0 },
    { "statistics", "a norm that keeps statistics", open_statistics, statistics, SGD, 0 },
    { NULL, NULL, NULL, NULL, NO_OPTIM, 0 }
};

static const workload *const lists[] = { workloads, others };
enum { LISTS = sizeof lists / sizeof *lists };

/* ---- stored plans ---- */

/* Leaves out where the caller stands, and how many bytes are in use: that is not the plan's
 * doing. */
static void normalise(char *text)
{
    char *to = text;
    for (const char *at = text; *at;) {
        if (to > text && strncmp(at, "peak ", 5) == 0 && strstr(at, " in use, "))
            at = strstr(at, " in use, ") + 9;
        else if (*at == '(' && strcspn(at, ")") < strcspn(at, "\n")) {
            size_t length = strcspn(at, ")");
            if (strcspn(at, ":") < length) {
                at += length + 1;
                continue;
            }
        }
        if (*at == '\n')
            while (to > text && to[-1] == ' ')
                to--;
        *to++ = *at++;
    }
    *to = '\0';
}

/* The plans of the first and the second step, together. Caller frees. */
static char *both_plans(const workload *work)
{
    stage s;
    char *steps[2] = { NULL, NULL }, *text = NULL;
    int shrink = work->value ? 1 : 4096; /* one tensor of Adam's is like another */
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    stage_open(&s, work, ctx, shrink);
    for (int i = 0; i < 1 + (work->optim != NO_OPTIM); i++) {
        CR_SCOPE(ctx);
        stage_record(&s);
        steps[i] = plan_of(s.targets, s.n_targets);
        if (steps[i])
            normalise(steps[i]);
    }
    if (!cr_error(ctx) && steps[0] && (steps[1] || !work->optim)) {
        const char *between = steps[1] ? "\nThe second step:\n\n" : "";
        size_t size = strlen(steps[0]) + strlen(between) + 1;
        size += steps[1] ? strlen(steps[1]) : 0;
        text = malloc(size);
        if (text)
            snprintf(text, size, "%s%s%s", steps[0], between, steps[1] ? steps[1] : "");
    } else {
        diag("%s: %s", work->name, cr_message(ctx));
    }
    free(steps[0]);
    free(steps[1]);
    stage_close(&s);
    cr_close(ctx);
    return text;
}

static void path_of(const workload *work, char *path, size_t size)
{
    snprintf(path, size, "tests/plans/%s.txt", work->name);
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);
    if (file && text)
        text[fread(text, 1, (1 << 20) - 1, file)] = '\0';
    if (file)
        fclose(file);
    return text;
}

/* The first line that differs. */
static void say_difference(const char *got, const char *want)
{
    const char *begin = got;
    int line = 1;
    while (*got && *got == *want)
        line += *got++ == '\n', want++;
    while (got > begin && got[-1] != '\n')
        got--, want--;
    diag("line %d: %.*s", line, (int)strcspn(got, "\n"), got);
    diag("stored:   %.*s", (int)strcspn(want, "\n"), want);
    diag("build/tests/plan --write stores what there is now; look at the difference");
}

static void test_stored(const workload *work, bool write)
{
    char path[100], *got = both_plans(work);
    path_of(work, path, sizeof path);
    if (write && got) {
        FILE *file = fopen(path, "wb");
        ok(file && fputs(got, file) >= 0 && fclose(file) == 0, "%s is written", path);
    } else {
        char *want = read_file(path);
        bool same = got && want && strcmp(got, want) == 0;
        ok(same, "the plan of %s is %s", work->name, path);
        if (!same && got && want)
            say_difference(got, want);
        free(want);
    }
    free(got);
}

/* A custom operation asks for scratch memory that holds addresses: its plan is that of 64 bits. */
static void test_all_stored(bool write)
{
    for (int l = 0; l < LISTS; l++)
        for (const workload *work = lists[l]; work->name; work++)
            if (sizeof(void *) == 8 || strcmp(work->name, "custom") != 0)
                test_stored(work, write);
}

/* ---- the peak ---- */

static void test_peak(const workload *work)
{
    stage s;
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 2 });
    stage_open(&s, work, ctx, work->value ? 8 : 64);
    for (int step = 1; step <= 3; step++) {
        CR_SCOPE(ctx);
        size_t peak;
        stage_record(&s);
        const char *wrong = rehearse(ctx, s.targets, s.n_targets, &peak);
        ok(!wrong, "%s, step %d: %s", work->name, step,
           wrong ? wrong : "planning changes nothing");
        forget_peak(ctx);
        cr_eval_at(s.targets, s.n_targets, CR_HERE);
        ok(cr_memory_peak(ctx) == peak && peak, "its peak is %zu bytes, said to be %zu",
           cr_memory_peak(ctx), peak);
    }
    ok(!cr_error(ctx), "%s", cr_message(ctx));
    stage_close(&s);
    cr_close(ctx);
}

/* ---- what stays ---- */

typedef cr_tensor *function(cr_tensor *x);

static cr_tensor *reads_output(cr_tensor *x)
{
    return cr_sum(cr_exp(cr_sin(x)));
}

static cr_tensor *reads_both(cr_tensor *x)
{
    return cr_sum(cr_mul(cr_exp(x), cr_sin(x)));
}

static cr_tensor *reads_nothing(cr_tensor *x)
{
    return cr_sum(cr_add(cr_mul(x, 2), cr_neg(x)));
}

/* sigmoid's derivative is one of its own value, which is read through a view. */
static cr_tensor *reads_through_view(cr_tensor *x)
{
    return cr_sum(cr_mul(cr_reshape(cr_sigmoid(x), CR_DIMS(10, 100)),
                         cr_reshape(x, CR_DIMS(10, 100))));
}

/* Of forward alone: what the backward pass is going to read stays, by hand. */
static void test_staying(function *f, size_t bytes, const char *what)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(1000), 0.5));
    cr_eval(x);
    cr_tensor *y = f(x);
    char *text = plan_of(&y, 1);
    size_t before = cr_memory_used(ctx);
    is_int((int64_t)number_behind(text, "of which "), (int64_t)bytes,
           "%s: for a backward pass", what);
    is_int((int64_t)number_behind(text, "of these stay "), (int64_t)bytes, "and no more");
    cr_eval(y);
    is_int((int64_t)(cr_memory_used(ctx) - before), (int64_t)bytes, "which is so");
    cr_backward(y);
    cr_eval(cr_grad(x));
    free(text);
    text = plan_of(&y, 1);
    ok(strstr(text, "plan: 0 values in 0 groups"), "then there is nothing to do");
    free(text);
    cr_close(ctx);
}

/* ---- what a plan must not do ---- */

/* The numbers of a few steps, planned before they are run or not. */
static void take_steps(const workload *work, bool plans, int fails_at, float *out)
{
    stage s;
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 2 });
    stage_open(&s, work, ctx, 8);
    for (int step = 0; step < 4; step++) {
        CR_SCOPE(ctx);
        stage_record(&s);
        fails = step == fails_at;
        if (plans)
            free(plan_of(s.targets, s.n_targets));
        if (cr_eval_at(s.targets, s.n_targets, CR_HERE) != CR_OK)
            cr_clear(ctx);
        fails = false;
    }
    memset(out, 0, 2 * 1600 * sizeof *out);
    for (int i = 0; i < s.params.n && i < 2; i++)
        if (cr_numel(s.leaves[i].tensor) <= 1600)
            memcpy(out + (ptrdiff_t)i * 1600, cr_data(s.leaves[i].tensor),
                   (size_t)cr_numel(s.leaves[i].tensor) * sizeof *out);
    ok(!cr_error(ctx), "%s", cr_message(ctx));
    stage_close(&s);
    cr_close(ctx);
}

static void test_same_steps(void)
{
    static float want[2 * 1600], got[2 * 1600];
    for (int fails_at = -1; fails_at < 3; fails_at++) {
        take_steps(&others[1], false, fails_at, want);
        take_steps(&others[1], true, fails_at, got);
        ok(memcmp(want, got, sizeof want) == 0, "planned steps, %d fails, give the same",
           fails_at);
    }
}

/* A tensor that an operation has read is let go by a run that replaces what lies beneath, and
 * one that none has read is computed; a plan of that run does neither. */
static void test_nothing_held(void)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_tensor *p = cr_full(ctx, CR_DIMS(100), 2);
    cr_eval(p);
    cr_tensor *square = cr_square(p), *sum = cr_sum(square), *unread = cr_exp(p);
    cr_assign(p, cr_mul(p, 3));
    size_t peak;
    const char *wrong = rehearse(ctx, &sum, 1, &peak);
    ok(!wrong, "what a run would hold is not held: %s", wrong ? wrong : "");
    free(plan_of(&square, 1));
    forget_peak(ctx);
    ok(cr_item(sum) == 400 && cr_memory_peak(ctx) == peak,
       "the peak is that of the plan");
    ok(((const float *)cr_data(p))[0] == 6, "and the assignment is made");
    FAILS(cr_eval(square), STALE, "was let go");
    ok(((const float *)cr_data(unread))[0] > 7, "what is held is computed");
    cr_close(ctx);
}

/* What has been planned and is never run leaves nothing behind, either. */
static void test_never_run(void)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_tensor *p = cr_requires_grad(cr_full(ctx, CR_DIMS(100), 2));
    cr_eval(p);
    for (int planned = 0; planned < 2; planned++) {
        size_t before = cr_memory_used(ctx);
        {
            CR_SCOPE(ctx);
            cr_tensor *loss = cr_sum(cr_exp(cr_square(p)));
            if (planned)
                free(plan_of(&loss, 1));
        }
        ok(cr_memory_used(ctx) == before, "nothing is left, planned %d times", planned);
    }
    cr_close(ctx);
}

/* A plan that cannot be made leaves what is pending as it is. */
static void test_stale(void)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_tensor *p = cr_full(ctx, CR_DIMS(100), 2);
    cr_tensor *square = cr_square(p), *sum = cr_sum(square);
    cr_assign(p, cr_mul(p, 3));
    cr_eval(sum);
    cr_assign(p, cr_add(p, 1));
    FAILS(cr_plan_format(&square, 1, NULL, 0), STALE, "was let go");
    ok(((const float *)cr_data(p))[0] == 7, "what was pending is still so");
    cr_close(ctx);
}

/* ---- the call ---- */

static void test_arguments(void)
{
    char text[300] = "x";
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_named(cr_ones(ctx, CR_DIMS(6)), "six"), *y = cr_exp(x);
    cr_tensor *some[] = { NULL, y };
    ok(cr_plan_format(NULL, 0, text, sizeof text) == 0 && !*text, "nothing to plan");
    ok(cr_plan_format(NULL, 3, text, 0) == 0 && cr_plan_format(some, 1, text, 3) == 0,
       "nor of NULL");
    ok(cr_plan_format(&y, -1, text, sizeof text) == 0, "nor of fewer than none");
    size_t length = cr_plan_format(&y, 1, NULL, 100);
    ok(length > 100 && cr_plan_format(&y, 1, text, 0) == length, "to nowhere");
    memset(text, '#', sizeof text);
    ok(cr_plan_format(&y, 1, text, 10) == length && strlen(text) == 9 && text[10] == '#',
       "as much as there is room for");
    strcpy(text, "x");
    FAILS(cr_plan_format(some, 2, text, sizeof text), NULL, "NULL");
    ok(!*text, "an error's text is empty");
    cr_fail(ctx, CR_ERR_ARGUMENT, "pending");
    ok(cr_plan_format(&y, 1, text, sizeof text) == 0, "nothing is planned with an error");
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "pending"), "which stays");
    cr_close(ctx);
}

/* Large plans are told in part. */
static void test_large(void)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_tensor *x = cr_ones(ctx, CR_DIMS(4, 4)), *y = x;
    for (int i = 0; i < 5000; i++)
        y = cr_matmul(y, x);
    char *text = plan_of(&y, 1);
    ok(strlen(text) < 100000 && strstr(text, "more groups .."), "%zu characters",
       strlen(text));
    ok(strstr(text, "group 1:") && strstr(text, "group 5000:"), "first and last");
    free(text);
    cr_close(ctx);
}

int main(int argc, char **argv)
{
    bool write = argc > 1 && strcmp(argv[1], "--write") == 0;
    const char *eager = getenv("CHAINRULE_EAGER");
    bool lazy = !eager || strcmp(eager, "1") != 0;
    if (lazy)
        test_all_stored(write);
    if (write)
        return done_testing();
    for (int l = 0; l < LISTS; l++)
        for (const workload *work = lists[l]; work->name; work++)
            test_peak(work);
    test_same_steps();
    test_arguments();
    if (lazy) {
        test_staying(reads_output, 4000, "exp(sin(x))");
        test_staying(reads_both, 8000, "exp(x) sin(x)");
        test_staying(reads_nothing, 0, "2 x - x");
        test_staying(reads_through_view, 4000, "sigmoid through a view");
        test_nothing_held();
        test_never_run();
        test_stale();
        test_large();
    }
    return done_testing();
}
