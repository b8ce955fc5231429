/* Profiles: what they count is what was computed, their times add up, nothing else changes; the
 * trace is JSON. */
#define _XOPEN_SOURCE 700 /* setenv, putenv */
#include "tap.h"
#include <chainrule.h>

#include <ctype.h>
#include <stdlib.h>

enum { M = 96, K = 64, N = 80, STEPS = 5 };

typedef struct work {
    cr_ctx *ctx;
    cr_tensor *x, *w;
    float values[K * N];
} work;

static void open_work(work *k, int threads)
{
    k->ctx = cr_open(&(cr_options){ .threads = threads });
    k->x = cr_rand(k->ctx, CR_DIMS(M, K));
    k->w = cr_requires_grad(cr_rand(k->ctx, CR_DIMS(K, N)));
    cr_eval(k->x, k->w);
}

static int product_line;

static void step(work *k)
{
    CR_SCOPE(k->ctx);
    cr_zero_grad(k->w);
    product_line = __LINE__ + 1;
    cr_tensor *y = cr_relu(cr_matmul(k->x, k->w));
    cr_backward(cr_mean(cr_square(y)));
    cr_assign(k->w, cr_sub(k->w, cr_mul(cr_grad(k->w), 0.1)));
    cr_eval(k->w);
}

static char *table_of(cr_ctx *ctx)
{
    size_t length = cr_profile_format(ctx, NULL, 0);
    char *text = calloc(length + 1, 1);
    if (text)
        cr_profile_format(ctx, text, length + 1);
    return text;
}

/* A row of the table: its numbers, and what it is about. */
typedef struct row {
    double ms, percent, calls, mb, gflop;
    char label[200];
} row;

enum { LABELS_FROM = 59 }; /* the column */

/* The line behind `at` as a row; false if it is none. */
static bool read_row(const char *at, row *r)
{
    char line[400];
    *r = (row){ 0 };
    snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
    if (strlen(line) <= LABELS_FROM)
        return false;
    snprintf(r->label, sizeof r->label, "%.*s", (int)sizeof r->label - 1,
             line + LABELS_FROM);
    return sscanf(line, "%lf %lf %lf %lf %lf", &r->ms, &r->percent, &r->calls, &r->mb,
                  &r->gflop) >= 2;
}

/* The first row behind `at` in whose label this stands. */
static bool find_row(const char *at, const char *label, row *r)
{
    while (at && (at = strchr(at, '\n')) != NULL)
        if (read_row(++at, r) && strstr(r->label, label))
            return true;
    return false;
}

/* The sum of the rows of a table, up to that of all. */
static double sum_of(const char *at, row *all)
{
    double sum = 0;
    while (at && (at = strchr(at, '\n')) != NULL) {
        if (!read_row(++at, all))
            continue;
        if (strcmp(all->label, "in all") == 0)
            return sum;
        sum += all->ms;
    }
    return NAN;
}

/* 4 images, 16 channels, 9 taps, 900 places. */
#define CONV_FLOPS (2. * 4 * 16 * 16 * 9 * 900)
static void convolve(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_randn(ctx, CR_DIMS(4, 16, 32, 32)),
              *weight = cr_randn(ctx, CR_DIMS(16, 16, 3, 3));
    cr_eval(cr_conv2d(x, weight, NULL));
}

/* 2 heads, 300 queries of 64, each of the keys up to its own; forward and backward. */
#define ATTENTION_FLOPS (2. * 2 * 300 * 301 / 2 * (2 + 5) * 64)
static void attend(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_tensor *x = cr_requires_grad(cr_randn(ctx, CR_DIMS(2, 300, 64)));
    cr_backward(
        cr_sum(cr_scaled_dot_product_attention(x, x, x, NULL, .is_causal = true)));
    cr_eval(cr_grad(x));
}

static void test_counts(void)
{
    work k;
    row r, other;
    char line[40];
    open_work(&k, 2);
    is_int(cr_profile_start(k.ctx), CR_OK, "a profile begins");
    for (int i = 0; i < STEPS; i++)
        step(&k);
    convolve(k.ctx);
    attend(k.ctx);
    is_int(cr_profile_stop(k.ctx), CR_OK, "and ends");
    step(&k);
    char *text = table_of(k.ctx);
    bool found = find_row(text, "matmul", &r) || find_row(text, "contract", &r);
    is_near(r.gflop, STEPS * 2 * 2e-9 * M * K * N, 6e-4, "operations of matrix products");
    ok(found && r.calls == 2 * STEPS && r.ms > 0, "%g products in %g ms", r.calls, r.ms);
    const char *lines = strstr(text, "by line");
    snprintf(line, sizeof line, "profile.c:%d", product_line);
    ok(lines && find_row(lines, line, &other) && other.calls >= r.calls &&
           other.ms >= 0.99 * r.ms,
       "the line that they are of: %g calls in %g ms", other.calls, other.ms);
    ok(find_row(text, "conv2d", &other), "a convolution");
    is_near(other.gflop, 1e-9 * CONV_FLOPS, 6e-4, "its operations");
    double flops = 0;
    for (const char *at = text; at && at < lines; at = strchr(at + 1, '\n'))
        if (read_row(at + 1, &other) && strstr(other.label, ": attention"))
            flops += other.gflop;
    is_near(flops, 1e-9 * ATTENTION_FLOPS, 1.2e-3, "operations of attention");
    ok(find_row(text, "relu", &other) && other.calls > 0 && other.mb > 0, "maps");
    double sum = sum_of(strstr(text, "by operation"), &other);
    is_near(sum, other.ms, 0.05, "rows add up to %g ms", other.ms);
    is_near(sum_of(lines, &other), sum, 0.05, "and so do lines");
    ok(find_row(text, "planning", &r) && r.ms > 0 && find_row(text, "outside", &r) &&
           r.ms > 0,
       "planning, and what is outside");
    free(text);
    cr_close(k.ctx);
}

/* What is alike is counted together, what is not apart: operands that are one array or two. */
static void test_likeness(void)
{
    work k;
    row r;
    open_work(&k, 1);
    cr_tensor *y = cr_rand(k.ctx, CR_DIMS(M, K));
    cr_eval(y);
    cr_profile_start(k.ctx);
    for (int i = 0; i < 300; i++) {
        CR_SCOPE(k.ctx);
        cr_eval(cr_mul(k.x, i % 3 ? y : k.x));
    }
    char *text = table_of(k.ctx);
    ok(find_row(text, "mul", &r) && r.calls == 300, "%g calls", r.calls);
    is_near(r.mb, 1e-6 * M * K * 4 * (100 * 2 + 200 * 3), 6e-4,
            "bytes, by what is one operand");
    free(text);
    cr_close(k.ctx);
}

/* More kinds of groups than are kept apart. */
static void test_many_kinds(bool trace)
{
    cr_tensor *(*const maps[])(cr_tensor *, const char *) = { cr_sin_at, cr_cos_at,
                                                              cr_exp_at, cr_abs_at };
    enum { MAPS = sizeof maps / sizeof *maps, SIZES = 4500 };
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_tensor *x = cr_rand(ctx, CR_DIMS(SIZES));
    row r;
    cr_eval(x);
    cr_profile_start(ctx, .trace = trace);
    for (int n = 2; n < SIZES; n++)
        for (int i = 0; i < MAPS; i++) {
            CR_SCOPE(ctx);
            cr_eval(maps[i](cr_slice(x, 0, 0, n), "kinds.c:1"));
        }
    char *text = table_of(ctx);
    const char *lines = strstr(text, "by line");
    double bytes = 8. * MAPS * (SIZES * (SIZES - 1.) / 2 - 1);
    ok(lines && find_row(lines, "kinds.c:1", &r) && r.calls == MAPS * (SIZES - 2),
       "%g calls of as many kinds", r.calls);
    is_near(r.mb, 1e-6 * bytes, 2e-3, "and all their bytes");
    free(text);
    cr_close(ctx);
}

/* The same bits, the same memory, and in steady state no allocations. */
static void test_nothing_changes(void)
{
    static work plain, watched;
    size_t used[2];
    open_work(&plain, 3);
    open_work(&watched, 3);
    cr_profile_start(watched.ctx, .trace = true);
    for (int i = 0; i < STEPS; i++) {
        step(&plain);
        step(&watched);
    }
    used[0] = cr_memory_peak(plain.ctx), used[1] = cr_memory_peak(watched.ctx);
    cr_read(plain.w, plain.values, sizeof plain.values);
    cr_read(watched.w, watched.values, sizeof watched.values);
    ok(memcmp(plain.values, watched.values, sizeof plain.values) == 0, "the same bits");
    ok(used[0] == used[1], "the same peak of memory");
    cr_profile_start(watched.ctx);
    const char *check = getenv("CHAINRULE_CHECK"); /* keeps the records of the dead */
    for (int i = 0; i < STEPS; i++)
        step(&watched);
    uint64_t before = cr_get_stats(watched.ctx).allocations;
    for (int i = 0; i < STEPS; i++)
        step(&watched);
    uint64_t later = cr_get_stats(watched.ctx).allocations;
    ok(later == before || (check && *check == '1'), "no allocations in steady state");
    cr_close(plain.ctx);
    cr_close(watched.ctx);
}

/* ---- the trace ---- */

static const char *skip_blanks(const char *at)
{
    while (isspace((unsigned char)*at))
        at++;
    return at;
}

static const char *skip_json(const char *at, int depth);

/* What stands between brackets, each with a name if they are braces. NULL: it is no JSON. */
static const char *skip_members(const char *at, char close, int depth)
{
    at = skip_blanks(at);
    if (*at == close)
        return at + 1;
    for (;;) {
        if (close == '}') {
            at = skip_blanks(at);
            at = *at == '"' ? skip_json(at, depth) : NULL;
            at = at ? skip_blanks(at) : NULL;
            if (!at || *at++ != ':')
                return NULL;
        }
        if (!(at = skip_json(at, depth)))
            return NULL;
        at = skip_blanks(at);
        if (*at == close)
            return at + 1;
        if (*at++ != ',')
            return NULL;
    }
}

static const char *skip_json(const char *at, int depth)
{
    at = skip_blanks(at);
    if (depth > 8)
        return NULL;
    if (*at == '{' || *at == '[')
        return skip_members(at + 1, *at == '{' ? '}' : ']', depth + 1);
    if (*at == '"') {
        for (at++; *at && *at != '"'; at++)
            at += *at == '\\';
        return *at ? at + 1 : NULL;
    }
    char *end;
    strtod(at, &end);
    return end > at ? end : NULL;
}

static char *read_all(FILE *file)
{
    char *text = calloc(1 << 20, 1);
    rewind(file);
    if (text && !fread(text, 1, (1 << 20) - 1, file))
        text[0] = 0;
    fclose(file);
    return text;
}

static int count(const char *text, const char *word)
{
    int n = 0;
    for (; (text = strstr(text, word)) != NULL; text++)
        n++;
    return n;
}

static bool is_json(const char *text)
{
    const char *end = skip_json(text, 0);
    return end && !*skip_blanks(end);
}

static char *trace_of(cr_ctx *ctx)
{
    FILE *file = tmpfile();
    if (!file)
        return NULL;
    is_int(cr_profile_trace(ctx, file), CR_OK, "written");
    return read_all(file);
}

static void test_trace(void)
{
    work k;
    open_work(&k, 2);
    cr_profile_start(k.ctx, .trace = true);
    uint64_t before = cr_get_stats(k.ctx).runs;
    for (int i = 0; i < STEPS; i++)
        step(&k);
    {
        CR_SCOPE(k.ctx);
        cr_item(cr_sin_at(cr_scalar(k.ctx, 1.0), "C:\\dir\\\"quoted\".c:1"));
    }
    int runs = (int)(cr_get_stats(k.ctx).runs - before);
    char *text = trace_of(k.ctx);
    if (!text) {
        skip(1, "no temporary file, or no memory");
        cr_close(k.ctx);
        return;
    }
    ok(is_json(text), "it is JSON");
    ok(count(text, "\"name\":\"run\"") >= runs, "%d runs", runs);
    ok(count(text, "matmul") + count(text, "contract") >= STEPS, "products");
    ok(count(text, "of the limit") > STEPS && count(text, "profile.c:"), "and lines");
    ok(count(text, "\"thread_name\"") == 2, "lanes");
    free(text);
    cr_profile_stop(k.ctx);
    char *once = trace_of(k.ctx), *again = trace_of(k.ctx);
    ok(once && again && strcmp(once, again) == 0, "once stopped it stays as it is");
    free(once), free(again);
    cr_close(k.ctx);
}

/* ---- calls ---- */

static void test_calls(void)
{
    work k;
    open_work(&k, 1);
    is_int(cr_profile_start(NULL), CR_ERR_NULL, "no context");
    is_int(cr_profile_stop(NULL), CR_ERR_NULL, "no context to stop");
    ok(cr_profile_format(NULL, NULL, 0) == 0, "no context to tell of");
    ok(cr_profile_format(k.ctx, NULL, 0) == 0, "no profile");
    is_int(cr_profile_print(k.ctx, stdout), CR_ERR_ARGUMENT, "nothing to print");
    cr_clear(k.ctx);
    is_int(cr_profile_stop(k.ctx), CR_OK, "nothing to stop");
    cr_profile_start(k.ctx);
    is_int(cr_profile_trace(k.ctx, stdout), CR_ERR_ARGUMENT, "no trace: %s",
           cr_message(k.ctx));
    cr_clear(k.ctx);
    is_int(cr_profile_print(k.ctx, NULL), CR_ERR_NULL, "no file");
    cr_clear(k.ctx);
    step(&k);
    cr_profile_stop(k.ctx);
    FILE *file = tmpfile();
    char *text = table_of(k.ctx), *printed = NULL;
    if (file && cr_profile_print(k.ctx, file) == CR_OK)
        printed = read_all(file);
    ok(!file || (printed && strcmp(text, printed) == 0), "print is format");
    char part[20];
    ok(cr_profile_format(k.ctx, part, sizeof part) == strlen(text) &&
           strncmp(part, text, sizeof part - 1) == 0 && strlen(part) == sizeof part - 1,
       "as much as there is room for");
    free(text);
    free(printed);
    cr_close(k.ctx);
}

/* A run that ends in an error, or is cancelled, is counted as far as it came. */
static void test_failing_runs(void)
{
    work k;
    open_work(&k, 1);
    cr_profile_start(k.ctx, .trace = true);
    for (int i = 0; i < 3; i++) {
        CR_SCOPE(k.ctx);
        cr_cancel(k.ctx);
        ok(!cr_data(cr_matmul(k.x, k.w)) && cr_error(k.ctx), "cancelled");
        cr_clear(k.ctx);
    }
    step(&k);
    char *text = table_of(k.ctx);
    ok(strlen(text) > 200, "and told");
    free(text);
    cr_close(k.ctx);
}

/* The allocation that is refused, counted down. */
static void *give_once_not(void *user, size_t bytes)
{
    return (*(int *)user)-- ? malloc(bytes) : NULL;
}

static void take_back(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

static void count_lines(void *user, const char *line)
{
    *(int *)user += strstr(line, "CHAINRULE_PROFILE") != NULL;
}

/* A profile that the environment wants and cannot have is not the program's error. */
static void test_no_room(void)
{
    int lines = 0;
    bool clean = true;
    for (int n = 0; n < 40; n++) {
        int left = n;
        setenv("CHAINRULE_PROFILE", "no/such/folder/file", 1);
        cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1,
                                             .alloc = give_once_not,
                                             .free = take_back,
                                             .memory_user = &left,
                                             .log = count_lines,
                                             .log_user = &lines });
        clean &= !ctx || cr_error(ctx) == CR_OK;
        setenv("CHAINRULE_PROFILE", "0", 1);
        cr_close(ctx);
    }
    unsetenv("CHAINRULE_PROFILE");
    ok(clean && lines >= 40 - 5, "no room for the environment's profile: %d lines",
       lines);
}

/* Contexts that share threads, each with a profile of its own, one begun while the other's is
 * taken. */
static void test_two_contexts(void)
{
    cr_pool *pool = cr_pool_open(3);
    work k[2];
    uint64_t runs[2];
    for (int i = 0; i < 2; i++) {
        open_work(&k[i], 1);
        cr_close(k[i].ctx);
        k[i].ctx = cr_open(&(cr_options){ .pool = pool });
        k[i].x = cr_rand(k[i].ctx, CR_DIMS(M, K));
        k[i].w = cr_requires_grad(cr_rand(k[i].ctx, CR_DIMS(K, N)));
        cr_eval(k[i].x, k[i].w);
        runs[i] = cr_get_stats(k[i].ctx).runs;
        cr_profile_start(k[i].ctx, .trace = true);
        for (int s = 0; s < STEPS; s++)
            step(&k[s % (i + 1)]);
    }
    for (int i = 0; i < 2; i++) {
        cr_profile_stop(k[1 - i].ctx);
        char *text = trace_of(k[i].ctx);
        if (!text)
            continue;
        const int want = (int)(cr_get_stats(k[i].ctx).runs - runs[i]);
        ok(is_json(text), "a trace of each context is JSON");
        is_int(count(text, "\"name\":\"run\""), want, "and of its runs alone");
        free(text);
    }
    for (int i = 0; i < 2; i++)
        cr_close(k[i].ctx);
    cr_pool_close(pool);
}

static void test_environment(void)
{
    static const char *const name = "build/profile_test.json";
    work k;
    setenv("CHAINRULE_PROFILE", name, 1);
    open_work(&k, 2);
    setenv("CHAINRULE_PROFILE", "0", 1);
    step(&k);
    cr_close(k.ctx);
    FILE *file = fopen(name, "r");
    char *text = file ? read_all(file) : NULL;
    ok(!text || is_json(text), "the environment's trace is JSON");
    ok(!text || count(text, "run") > 0, "with runs");
    remove(name);
    free(text);
    /* the environment's memory is the program's, which uses it for something else */
    static char wish[] = "CHAINRULE_PROFILE=build/profile_test.json";
    putenv(wish);
    open_work(&k, 1);
    memcpy(strchr(wish, '=') + 1, "build/profile_no", 16);
    cr_close(k.ctx);
    ok(remove(name) == 0 || !file, "the name is the one of when the context was opened");
    unsetenv("CHAINRULE_PROFILE");
    test_no_room();
    setenv("CHAINRULE_PROFILE", "no/such/folder/file", 1);
    open_work(&k, 1);
    step(&k);
    ok(cr_error(k.ctx) == CR_OK, "what cannot be written is no error of a run");
    cr_close(k.ctx);
    unsetenv("CHAINRULE_PROFILE");
}

int main(void)
{
    test_counts();
    test_likeness();
    test_many_kinds(false);
    test_many_kinds(true);
    test_nothing_changes();
    test_trace();
    test_calls();
    test_failing_runs();
    test_two_contexts();
    test_environment();
    return done_testing();
}
