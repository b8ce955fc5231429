/* Values and gradients that PyTorch computed, against the library's:
 *
 *     golden_ops [FOLDER]     default: tests/golden/ops
 *
 * The format of the files is that of tests/golden/README.md. Prints a line for each
 * operation, as TAP, and last how many cases passed, failed and are not offered. */
#define _POSIX_C_SOURCE 200809L
#include "engine.h"
#include "half.h"
#include <dirent.h>
#include <stdlib.h>

enum { MOST = 16, SHOWN_CASES = 3, SHOWN_ELEMENTS = 3 };

/* A tensor of a case. */
typedef struct array {
    bool given, none, needs_grad; /* none: it says that there is none */
    cr_dtype dtype;
    cr_dims dims;
    int64_t numel;
    void *data;
} array;

typedef struct golden_case {
    char *name, *op, *attrs;
    bool error, malformed;
    array in[MOST], out[MOST], cot[MOST], grad[MOST];
} golden_case;

typedef struct tally {
    char *op;
    int passed, failed, missing;
} tally;

/* ---- reading ---- */

typedef struct reader {
    FILE *file;
    char *line;
    size_t capacity;
} reader;

/* The next line without its newline, or NULL. */
static char *next_line(reader *r)
{
    ssize_t n = getline(&r->line, &r->capacity, r->file);
    if (n <= 0)
        return NULL;
    if (r->line[n - 1] == '\n')
        r->line[n - 1] = 0;
    return r->line;
}

/* What follows the word and a blank in the line; NULL if the line begins otherwise. */
static const char *after(const char *line, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(line, word, n) != 0 || (line[n] != ' ' && line[n] != 0))
        return NULL;
    return line[n] ? line + n + 1 : line + n;
}

static cr_dtype dtype_named(const char *text)
{
    for (int t = CR_F32; t < CR_DTYPES; t++)
        if (after(text, cr_dtype_name((cr_dtype)t)))
            return (cr_dtype)t;
    return CR_DTYPE_DEFAULT;
}

static bool read_dims(const char *text, cr_dims *dims)
{
    const char *p = strchr(text, '[');
    dims->given = true;
    while (p && *p && *++p && *p != ']') {
        char *end;
        if (dims->n == CR_MAX_DIMS)
            return false;
        dims->v[dims->n++] = strtoll(p, &end, 10);
        if (end == p || (*end != ',' && *end != ']'))
            return false;
        p = end;
        if (*p == ']')
            break;
    }
    return p && *p;
}

/* One number at text to element i; where it ends, or NULL. */
static char *read_number(const char *text, const array *a, int64_t i)
{
    char *end;
    double real = 0;
    long long whole = 0;
    if (a->dtype == CR_F64 || a->dtype == CR_F32 || is_half(a->dtype))
        real = strtod(text, &end);
    else
        whole = strtoll(text, &end, 10);
    switch (a->dtype) {
    case CR_F64:
        ((double *)a->data)[i] = real;
        break;
    case CR_F32:
        ((float *)a->data)[i] = (float)real;
        break;
    case CR_BF16:
    case CR_F16:
        ((uint16_t *)a->data)[i] = half_nearest(a->dtype, real);
        break;
    case CR_I64:
        ((int64_t *)a->data)[i] = whole;
        break;
    case CR_I32:
        ((int32_t *)a->data)[i] = (int32_t)whole;
        break;
    default:
        ((uint8_t *)a->data)[i] = (uint8_t)whole;
        break;
    }
    return end == text ? NULL : end;
}

/* "0 f64 [2,3] grad" and the line of values that follows. */
static bool read_array(const char *text, reader *r, array *arrays)
{
    char *end;
    long place = strtol(text, &end, 10);
    if (end == text || *end != ' ' || place < 0 || place >= MOST || arrays[place].given)
        return false;
    array *a = &arrays[place];
    a->given = true;
    if (strcmp(end + 1, "none") == 0)
        return a->none = true;
    a->dtype = dtype_named(end + 1);
    if (!a->dtype || !read_dims(end, &a->dims))
        return false;
    a->needs_grad = strstr(end, "] grad") != NULL;
    a->numel = 1;
    for (int i = 0; i < a->dims.n; i++)
        a->numel *= a->dims.v[i];
    a->data = calloc((size_t)a->numel + 1, sizeof(double));
    char *values = next_line(r);
    for (int64_t i = 0; values && i < a->numel; i++)
        values = read_number(values, a, i);
    return values && values[strspn(values, " ")] == 0;
}

static void free_arrays(array *arrays)
{
    for (int i = 0; i < MOST; i++)
        free(arrays[i].data);
}

static void free_case(golden_case *c)
{
    free(c->name);
    free(c->op);
    free(c->attrs);
    free_arrays(c->in);
    free_arrays(c->out);
    free_arrays(c->cot);
    free_arrays(c->grad);
    memset(c, 0, sizeof *c);
}

/* One line inside a case. */
static bool read_item(const char *line, reader *r, golden_case *c)
{
    const char *rest;
    if ((rest = after(line, "op")))
        return !c->op && (c->op = strdup(rest));
    if ((rest = after(line, "attrs")))
        return !c->attrs && (c->attrs = strdup(rest));
    if ((rest = after(line, "in")))
        return read_array(rest, r, c->in);
    if ((rest = after(line, "out")))
        return read_array(rest, r, c->out);
    if ((rest = after(line, "cot")))
        return read_array(rest, r, c->cot);
    if ((rest = after(line, "grad")))
        return read_array(rest, r, c->grad);
    return c->error = after(line, "error") != NULL;
}

/* The next case of the file; false at its end. */
static bool read_case(reader *r, golden_case *c)
{
    char *line = next_line(r);
    while (line && !*line)
        line = next_line(r);
    if (!line)
        return false;
    const char *name = after(line, "case");
    c->name = strdup(name ? name : line);
    c->malformed = !name;
    while ((line = next_line(r)) && strcmp(line, "end") != 0)
        c->malformed = !read_item(line, r, c) || c->malformed;
    c->malformed = c->malformed || !line || !c->op || !c->attrs;
    return true;
}

/* ---- comparing ---- */

static int shown; /* messages about the operation in progress */

/* Says what is wrong with a case, unless enough has been said. */
TAP_FORMAT(2, 3) static bool complain(const golden_case *c, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (shown++ < SHOWN_CASES)
        diag("  %s (%s): %s", c->name, c->attrs, text);
    return false;
}

/* bf16 and f16 have 8 and 11 digits: a result may differ by the last. Gradients have roundings
 * of their own between, at other places. */
static bool equal(double got, double want, cr_dtype dtype, bool gradient)
{
    const double digit = dtype == CR_BF16 ? 0x1p-7 : 0x1p-10;
    if (isnan(want) || isinf(want))
        return isnan(want) ? isnan(got) : got == want;
    if (is_half(dtype))
        return fabs(got - want) <= digit * (gradient ? 1 + 4 * fabs(want) : fabs(want));
    return fabs(got - want) <= 1e-9 + 1e-7 * fabs(want);
}

/* PyTorch's silu multiplies -inf by 0; ours is the limit, 0. */
static bool has_limit(const golden_case *c, int64_t i, double got, double want)
{
    return strcmp(c->op, "silu") == 0 && isnan(want) && got == 0 &&
           number_at(c->in[0].dtype, c->in[0].data, i) == -(double)INFINITY;
}

static bool same_values(const golden_case *c, const char *what, int place, cr_tensor *x,
                        const array *want)
{
    int wrong = 0;
    const void *data = cr_data(x);
    if (!data && want->numel)
        return complain(c, "%s %d: %s", what, place, cr_message(cr_ctx_of(x)));
    for (int64_t i = 0; i < want->numel; i++) {
        double g = number_at(want->dtype, data, i),
               w = number_at(want->dtype, want->data, i);
        if (equal(g, w, want->dtype, *what == 'g') || has_limit(c, i, g, w))
            continue;
        if (wrong == 0)
            complain(c, "%s %d, element %" PRId64 ": got %.17g, want %.17g", what, place,
                     i, g, w);
        else if (wrong < SHOWN_ELEMENTS && shown <= SHOWN_CASES)
            diag("    element %" PRId64 ": got %.17g, want %.17g", i, g, w);
        wrong++;
    }
    if (wrong > SHOWN_ELEMENTS && shown <= SHOWN_CASES)
        diag("    %d of %" PRId64 " elements are wrong", wrong, want->numel);
    return wrong == 0;
}

static bool same_array(const golden_case *c, const char *what, int place, cr_tensor *x,
                       const array *want)
{
    if (want->none || !x) {
        if (want->none == !x)
            return true;
        return complain(c, "%s %d: %s", what, place,
                        x ? "got one, want none" : "got none");
    }
    if (cr_dtype_of(x) != want->dtype)
        return complain(c, "%s %d: got %s, want %s", what, place,
                        cr_dtype_name(cr_dtype_of(x)), cr_dtype_name(want->dtype));
    bool fits = cr_ndim(x) == want->dims.n;
    for (int i = 0; fits && i < want->dims.n; i++)
        fits = cr_size(x, i) == want->dims.v[i];
    if (!fits) {
        char text[200];
        cr_format(x, text, sizeof text);
        return complain(c, "%s %d: rank %d, want %d, or another shape: %s", what, place,
                        cr_ndim(x), want->dims.n, text);
    }
    return same_values(c, what, place, x, want);
}

/* ---- running ---- */

static int count(const array *arrays)
{
    int n = 0;
    for (int i = 0; i < MOST; i++)
        n = arrays[i].given ? i + 1 : n;
    return n;
}

static cr_tensor *tensor_of(cr_ctx *ctx, const array *a)
{
    return a->none ? NULL : cr_from(ctx, a->dtype, a->dims, a->data);
}

static bool gradients_agree(cr_ctx *ctx, const golden_case *c, cr_tensor *const *in,
                            cr_tensor *const *out)
{
    cr_tensor *ys[MOST], *cotangents[MOST], *xs[MOST], *grads[MOST] = { 0 };
    int n_ys = 0, n_xs = 0, place[MOST];
    for (int i = 0; i < MOST; i++)
        if (c->cot[i].given) {
            ys[n_ys] = out[i];
            cotangents[n_ys++] = tensor_of(ctx, &c->cot[i]);
        }
    for (int i = 0; i < MOST; i++)
        if (c->grad[i].given) {
            place[n_xs] = i;
            xs[n_xs++] = in[i];
        }
    if (n_ys == 0 || n_xs == 0)
        return true;
    if (cr_gradients(ys, n_ys, xs, n_xs, grads, .cotangents = cotangents,
                     .allow_unused = true) != CR_OK)
        return complain(c, "gradients: %s", cr_message(ctx));
    bool agree = true;
    for (int i = 0; i < n_xs; i++)
        agree =
            same_array(c, "gradient", place[i], grads[i], &c->grad[place[i]]) && agree;
    return agree;
}

/* The call must fail, with a message, and leave the context as good as new. */
static bool fails_well(cr_ctx *ctx, const golden_case *c, int n, cr_tensor *const *out)
{
    if (n >= 0 && !cr_error(ctx))
        cr_eval_at(out, n, CR_HERE);
    if (!cr_error(ctx))
        return complain(c, "no error");
    if (!*cr_message(ctx))
        return complain(c, "an error without a message");
    cr_clear(ctx);
    if (cr_item(cr_add(cr_scalar(ctx, 1.0), 2)) != 3)
        return complain(c, "the context is not usable afterwards: %s", cr_message(ctx));
    return true;
}

/* Cases that PyTorch computes, and the library refuses. */
static bool is_refused(const golden_case *c)
{
    static const struct {
        const char *op, *attrs, *why;
    } refused[] = {
        { "group_norm", "num_groups=2,eps=-0.5", "a negative eps is a mistake" },
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(c->op, refused[i].op) == 0 && strcmp(c->attrs, refused[i].attrs) == 0)
            return true;
    return false;
}

static bool passes(cr_ctx *ctx, const cr_op *op, const golden_case *c)
{
    if (c->malformed)
        return complain(c, "the case is not well formed");
    CR_SCOPE(ctx);
    cr_tensor *in[MOST] = { 0 }, *out[MOST] = { 0 };
    int n_in = count(c->in), n_out = count(c->out);
    for (int i = 0; i < n_in; i++) {
        in[i] = tensor_of(ctx, &c->in[i]);
        if (c->in[i].needs_grad)
            cr_requires_grad(in[i]);
    }
    int n = cr_call(ctx, op, in, n_in, c->attrs, out, MOST);
    if (c->error || is_refused(c))
        return fails_well(ctx, c, n, out);
    if (n < 0)
        return complain(c, "%s", cr_message(ctx));
    if (n != n_out)
        return complain(c, "%d results, want %d", n, n_out);
    bool agree = true;
    for (int i = 0; i < n; i++)
        agree = same_array(c, "result", i, out[i], &c->out[i]) && agree;
    return gradients_agree(ctx, c, in, out) && agree;
}

/* All cases of a file, into the tally; which is of one operation in our files. */
static bool run_file(cr_ctx *ctx, const char *path, tally *t)
{
    reader r = { .file = fopen(path, "r") };
    golden_case c = { 0 };
    if (!r.file)
        return false;
    shown = 0;
    while (read_case(&r, &c)) {
        const cr_op *op = c.op ? cr_op_find(c.op) : NULL;
        if (c.op && !t->op)
            t->op = strdup(c.op);
        if (!op && !c.malformed)
            t->missing++;
        else if (passes(ctx, op, &c))
            t->passed++;
        else
            t->failed++;
        cr_clear(ctx);
        free_case(&c);
    }
    free_case(&c);
    free(r.line);
    fclose(r.file);
    return t->passed + t->failed + t->missing > 0;
}

/* ---- the table ---- */

static int is_golden(const struct dirent *entry)
{
    const char *end = strrchr(entry->d_name, '.');
    return end && strcmp(end, ".txt") == 0;
}

static void print_row(int row, const tally *t)
{
    printf("%-6s %3d - %-36s %4d passed %4d failed %4d not offered%s\n",
           t->failed ? "not ok" : "ok", row, t->op ? t->op : "?", t->passed, t->failed,
           t->missing, t->passed + t->failed ? "" : " # SKIP not offered");
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *folder = argc > 1 ? argv[1] : "tests/golden/ops";
    struct dirent **files = NULL;
    int n = scandir(folder, &files, is_golden, alphasort);
    tally sum = { 0 };
    cr_ctx *ctx = cr_open(NULL);
    for (int i = 0; i < n; i++) {
        char path[4096];
        tally t = { 0 };
        snprintf(path, sizeof path, "%s/%s", folder, files[i]->d_name);
        if (!run_file(ctx, path, &t)) {
            diag("%s: no cases", path);
            t.failed++;
        }
        print_row(i + 1, &t);
        sum.passed += t.passed, sum.failed += t.failed, sum.missing += t.missing;
        free(t.op);
        free(files[i]);
    }
    free(files);
    cr_close(ctx);
    if (n <= 0)
        diag("no cases in %s", folder);
    printf("1..%d\n", n > 0 ? n : 0);
    printf("%d passed, %d failed, %d not offered\n", sum.passed, sum.failed, sum.missing);
    return sum.failed || !sum.passed ? 1 : 0;
}
