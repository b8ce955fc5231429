#include "op_trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESULTS = 8, DEPTH = 12, SHORT = 150 };

/* Text that grows until it is full. */
typedef struct text {
    char *at;
    size_t length, capacity;
} text;

static void add(text *t, const char *more)
{
    size_t n = strlen(more);
    if (t->length + n < t->capacity)
        memcpy(t->at + t->length, more, n + 1);
    t->length += n;
}

static bool overflows(const text *t)
{
    return t->length >= t->capacity;
}

/* The i-th name of a list that commas separate. */
static void input_name(const cr_op *op, int i, char *name, size_t capacity)
{
    const char *at = op->inputs ? op->inputs : "x";
    int k = 0;
    for (; k < i && strchr(at, ','); k++)
        at = strchr(at, ',') + 1;
    if (k < i) /* a list of inputs: its last name, counted */
        snprintf(name, capacity, "%.*s%d", (int)strcspn(at, ","), at, i);
    else
        snprintf(name, capacity, "%.*s", (int)strcspn(at, ","), at);
}

/* ---- samples ---- */

static void add_dims(text *t, cr_dims dims)
{
    char number[24];
    add(t, "[");
    for (int d = 0; d < dims.n; d++) {
        snprintf(number, sizeof number, "%s%lld", d ? ", " : "", (long long)dims.v[d]);
        add(t, number);
    }
    add(t, "]");
}

/* An input of a sample, "f[2,3]{0.5,2}~=1,2": zeros, which want a gradient if they are floats, or NULL. Behind it is *end. */
static cr_tensor *sample_input(cr_ctx *ctx, const char *at, const char **end)
{
    const char kind = *at;
    cr_dims dims = { .given = true };
    *end = at + strcspn(at, " ");
    for (at = strchr(at, '['); at && at < *end && *at != ']' && at[1] != ']';) {
        dims.v[dims.n++] = strtoll(at + 1, NULL, 10);
        at += 1 + strcspn(at + 1, ",]");
    }
    if (kind == 'f') /* no leaf: of those, graphs hold versions */
        return cr_neg(cr_requires_grad(cr_zeros(ctx, dims)));
    return kind == '-' ? NULL
                       : cr_zeros(ctx, dims, .dtype = kind == 'b' ? CR_BOOL : CR_I64);
}

/* ---- expressions ---- */

typedef struct naming {
    cr_tensor *const *known; /* the inputs, the results, the cotangents */
    char (*names)[32];
    int n;
} naming;

static void add_expression(text *t, const naming *n, cr_tensor *x, int depth);

static void add_operand(text *t, const naming *n, cr_tensor *x, int i, int depth)
{
    char number[32];
    const cr_arg a = cr_operand(x, i);
    if (a.kind == CR_ARG_REAL)
        snprintf(number, sizeof number, "%.6g", a.v.real);
    else
        snprintf(number, sizeof number, "%lld", (long long)a.v.i);
    if (a.kind == CR_ARG_TENSOR)
        add_expression(t, n, a.v.tensor, depth + 1);
    else if (a.kind != CR_ARG_NONE)
        add(t, number);
}

/* What broadcasting repeats, and what backward cuts off: nothing that a formula shows. */
static bool goes_without_saying(const char *op)
{
    return strcmp(op, "expand") == 0 || strcmp(op, "detach") == 0;
}

static const char *infix(const char *op)
{
    static const char *const signs[][2] = { { "add", " + " }, { "sub", " - " },
                                            { "mul", " * " }, { "div", " / " },
                                            { "eq", " == " }, { "lt", " < " },
                                            { "le", " <= " }, { "gt", " > " },
                                            { "ge", " >= " }, { "ne", " != " } };
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (strcmp(signs[i][0], op) == 0)
            return signs[i][1];
    return NULL;
}

/* x in terms of what has a name; stops where the text is full anyway. */
static void add_expression(text *t, const naming *n, cr_tensor *x, int depth)
{
    for (int i = 0; i < n->n; i++)
        if (n->known[i] == x) {
            add(t, n->names[i]);
            return;
        }
    const cr_op *op = cr_op_of(x);
    const int inputs = op ? cr_input_count(x) : 0;
    if (overflows(t) || depth > DEPTH) {
        t->length = t->capacity;
        return;
    }
    if (!op) {
        add(t, "data");
        return;
    }
    const char *sign = inputs == 2 ? infix(op->name) : NULL;
    const bool minus = strcmp(op->name, "neg") == 0;
    if (minus || goes_without_saying(op->name)) {
        add(t, minus ? "-" : "");
        add_operand(t, n, x, 0, minus ? depth : depth - 1);
        return;
    }
    if (!sign)
        add(t, op->name);
    add(t, sign && depth == 0 ? "" : "(");
    for (int i = 0; i < inputs; i++) {
        add(t, i ? (sign ? sign : ", ") : "");
        add_operand(t, n, x, i, depth);
    }
    add(t, sign && depth == 0 ? "" : ")");
}

/* The operations beneath x, each once, down to what has a name. */
static void add_operations(text *t, const naming *n, cr_tensor *x, int depth)
{
    char word[80];
    for (int i = 0; i < n->n; i++)
        if (n->known[i] == x)
            return;
    const cr_op *op = cr_op_of(x);
    if (!op || depth > DEPTH)
        return;
    for (int i = 0; i < cr_input_count(x) && !overflows(t); i++)
        if (cr_input(x, i))
            add_operations(t, n, cr_input(x, i), depth + 1);
    snprintf(word, sizeof word, " %s,", op->name);
    if (!overflows(t) && !strstr(t->at, word) && !goes_without_saying(op->name))
        add(t, word);
}

static void describe_gradient(op_trial *trial, const naming *n, int input, cr_tensor *g)
{
    char start[40];
    text t = { trial->gradients[input], 0, SHORT };
    snprintf(start, sizeof start, "%s: ", n->names[input]);
    add(&t, start);
    add_expression(&t, n, g, 0);
    if (!overflows(&t))
        return;
    t = (text){ trial->gradients[input], 0, TRIAL_TEXT };
    add(&t, start);
    add(&t, "made of");
    add_operations(&t, n, g, 0);
    char *end = strrchr(trial->gradients[input], ',');
    if (end)
        *end = 0;
}

static void find_gradients(op_trial *trial, cr_tensor *const *in, int n_in,
                           cr_tensor *const *out, int n_out)
{
    cr_tensor *known[TRIAL_INPUTS + 2 * RESULTS] = { 0 }, *ys[RESULTS], *gs[RESULTS];
    cr_tensor *found[TRIAL_INPUTS] = { 0 };
    cr_tensor *xs[TRIAL_INPUTS];
    int place[TRIAL_INPUTS], n_xs = 0, n_ys = 0;
    char names[TRIAL_INPUTS + 2 * RESULTS][32] = { { 0 } };
    naming n = { known, names, n_in };
    for (int i = 0; i < n_in; i++) {
        snprintf(names[i], sizeof names[i], "%s", in[i] ? cr_name(in[i]) : "");
        known[i] = in[i];
        if (in[i] && cr_needs_grad(in[i])) {
            place[n_xs] = i;
            xs[n_xs++] = in[i];
        }
    }
    for (int i = 0; i < n_out; i++)
        if (cr_needs_grad(out[i])) {
            gs[n_ys] = cr_zeros_like(out[i]);
            ys[n_ys++] = out[i];
        }
    for (int i = 0; i < n_ys; i++) {
        known[n.n] = ys[i];
        snprintf(names[n.n++], 32, n_ys > 1 ? "y%d" : "y", i);
        known[n.n] = gs[i];
        snprintf(names[n.n++], 32, n_ys > 1 ? "g%d" : "g", i);
    }
    if (n_xs && n_ys)
        cr_gradients(ys, n_ys, xs, n_xs, found, .cotangents = gs, .allow_unused = true);
    for (int i = 0; i < n_xs; i++)
        if (found[i] && !cr_error(cr_ctx_of(xs[i])))
            describe_gradient(trial, &n, place[i], found[i]);
}

/* ---- trials ---- */

/* One sample: its shapes, if they are others than before, and the gradients of the first. */
static void try_sample(cr_ctx *ctx, const cr_op *op, const cr_sample *sample,
                       op_trial *trial)
{
    CR_SCOPE(ctx);
    cr_tensor *in[TRIAL_INPUTS] = { 0 }, *out[RESULTS] = { 0 };
    char shapes[TRIAL_TEXT] = "", name[32];
    text t = { shapes, 0, sizeof shapes };
    int n = 0;
    for (const char *at = sample->inputs; *at && n < TRIAL_INPUTS; n++) {
        while (*at == ' ')
            at++;
        if (!*at || strncmp(at, "->", 2) == 0)
            break;
        add(&t, n ? ", " : "");
        in[n] = sample_input(ctx, at, &at);
        input_name(op, n, name, sizeof name);
        cr_named(in[n], name);
        if (in[n])
            add_dims(&t, cr_shape(in[n]));
        else
            add(&t, "-");
    }
    int count = cr_call(ctx, op, in, n, sample->attrs, out, RESULTS);
    add(&t, " -> ");
    for (int i = 0; i < count && i < RESULTS; i++) {
        add(&t, i ? ", " : "");
        add_dims(&t, cr_shape(out[i]));
    }
    if (!cr_error(ctx) && sample == op->samples)
        find_gradients(trial, in, n, out, count < RESULTS ? count : RESULTS);
    bool good = !cr_error(ctx) && !overflows(&t) && trial->n_shapes < TRIAL_SHAPES;
    for (int i = 0; i < trial->n_shapes && good; i++)
        good = strcmp(trial->shapes[i], shapes) != 0;
    if (good)
        memcpy(trial->shapes[trial->n_shapes++], shapes, sizeof shapes);
    cr_clear(ctx);
}

void op_try(const cr_op *op, op_trial *trial)
{
    *trial = (op_trial){ 0 };
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    for (const cr_sample *s = op->samples; ctx && s && s->inputs; s++)
        if (!strchr(s->inputs, 'n'))
            try_sample(ctx, op, s, trial);
    cr_close(ctx);
}
