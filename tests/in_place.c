/* A run writes over the values that it replaces: parameters, states of optimisers, gradients.
 * Nobody notices. Programs that assign, accumulate gradients and hold on to old values give
 * what the same statements give on plain arrays, one after the other; what fails, however,
 * leaves every value as it was, and can be done again; and no second set of anything is held.
 *
 * in_place FIRST COUNT    runs the random programs of these seeds */
#include "tap.h"
#include <chainrule.h>
#include <stdlib.h>

/* ---- programs of assignments, against plain arrays ---- */

enum { LEAVES = 5, SNAPSHOTS = 8, MOST_ELEMENTS = 64 * 512, DIMS = 2 };

typedef struct snapshot {
    cr_tensor *t; /* NULL: none */
    float *want;
} snapshot;

typedef struct program {
    uint64_t rng;
    cr_ctx *ctx;
    int64_t rows, cols, n;
    cr_tensor *leaf[LEAVES], *reversed; /* numbers of rows, from the last to the first */
    float *value[LEAVES], *grad[LEAVES];
    bool has_grad[LEAVES];
    snapshot held[SNAPSHOTS];
    float *room[2];
    const char *wrong;
} program;

static unsigned draw(program *p, unsigned n)
{
    p->rng = p->rng * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(p->rng >> 33) % n;
}

static float *floats(int64_t n)
{
    float *made = calloc((size_t)n, sizeof *made);
    return made ? made : (abort(), NULL);
}

static void copy(program *p, float *to, const float *from)
{
    memcpy(to, from, (size_t)p->n * sizeof *to);
}

/* Rounded to float after each operation, whatever the compiler would like. */
static float rounded(float x)
{
    volatile float stored = x;
    return stored;
}

enum {
    MIX,
    GREATEST,
    FLIPPED,
    BY_ROWS,
    BY_COLUMNS,
    WIDER,
    TURNED,
    GATHERED,
    TWICE,
    FORMS
};

/* An expression of two leaves' values, as a tensor and, to want, in plain C. */
static cr_tensor *expression(program *p, cr_tensor *a, const float *x, cr_tensor *b,
                             const float *y, float *want)
{
    int64_t rows = p->rows, cols = p->cols;
    unsigned form = draw(p, FORMS);
    for (int64_t i = 0; i < p->n; i++) {
        int64_t r = i / cols, c = i % cols;
        float half = rounded(x[i] * 0.5f), other = 0;
        switch (form) {
        case MIX:
            other = rounded(y[i] * 0.5f);
            break;
        case GREATEST:
            half = x[i] > y[i] ? x[i] : y[i];
            break;
        case FLIPPED:
            other = rounded(y[p->n - 1 - i] * 0.5f);
            break;
        case BY_ROWS:
            other = rounded(y[r * cols] * 0.5f);
            break;
        case BY_COLUMNS:
            other = rounded(y[c] * 0.5f);
            break;
        case WIDER:
            half = (float)((double)x[i] * 0.25);
            break;
        case TURNED:
            other = rounded(y[(i % rows) * cols + i / rows] * 0.5f);
            break;
        case GATHERED:
            other = rounded(y[(rows - 1 - r) * cols + c] * 0.5f);
            break;
        default:
            other = -rounded(x[i] * 0.25f);
            break;
        }
        want[i] = rounded(half + other);
    }
    cr_tensor *half = cr_mul(a, 0.5);
    switch (form) {
    case MIX:
        return cr_add(half, cr_mul(b, 0.5));
    case GREATEST:
        return cr_maximum(a, b);
    case FLIPPED:
        return cr_add(half, cr_mul(cr_flip(b, CR_DIMS(0, 1)), 0.5));
    case BY_ROWS:
        return cr_add(half, cr_mul(cr_slice(b, 1, 0, 1), 0.5));
    case BY_COLUMNS:
        return cr_add(half, cr_mul(cr_slice(b, 0, 0, 1), 0.5));
    case WIDER:
        return cr_cast(cr_mul(cr_cast(a, CR_F64), 0.25), CR_F32);
    case TURNED:
        return cr_add(half, cr_mul(cr_reshape(cr_t(b), CR_DIMS(rows, cols)), 0.5));
    case GATHERED:
        return cr_add(half, cr_mul(cr_index_select(b, 0, p->reversed), 0.5));
    default:
        return cr_sub(half, cr_mul(a, 0.25));
    }
}

/* One of the leaves' values, or gradients, and what it is. */
static cr_tensor *operand(program *p, const float **x)
{
    unsigned i = draw(p, LEAVES);
    bool grad = p->has_grad[i] && draw(p, 4) == 0;
    *x = grad ? p->grad[i] : p->value[i];
    return grad ? cr_grad(p->leaf[i]) : p->leaf[i];
}

static cr_tensor *drawn_expression(program *p, float *want)
{
    const float *x, *y;
    cr_tensor *a = operand(p, &x), *b = operand(p, &y);
    return expression(p, a, x, b, y, want);
}

static void compare(program *p, cr_tensor *t, const float *want, const char *what)
{
    float *got = p->room[1];
    if (cr_read(t, got, (size_t)p->n * sizeof *got) != CR_OK)
        p->wrong = what;
    for (int64_t i = 0; i < p->n && !p->wrong; i++)
        if (got[i] != want[i])
            p->wrong = what;
}

static void assign(program *p)
{
    unsigned i = draw(p, LEAVES), j = draw(p, LEAVES);
    float *want = p->room[0];
    CR_NO_GRAD(p->ctx);
    switch (draw(p, 6)) {
    case 0: /* another leaf's value, or its own */
        cr_assign(p->leaf[i], p->leaf[j]);
        copy(p, want, p->value[j]);
        break;
    case 1:
        if (!p->has_grad[j])
            return;
        cr_assign(p->leaf[i], cr_grad(p->leaf[j]));
        copy(p, want, p->grad[j]);
        break;
    case 2: /* to two leaves */ {
        cr_tensor *value = drawn_expression(p, want);
        cr_assign(p->leaf[j], value);
        cr_assign(p->leaf[i], value);
        copy(p, p->value[j], want);
        break;
    }
    case 3: /* a swap */ {
        cr_tensor *old = cr_detach(p->leaf[i]);
        cr_assign(p->leaf[i], p->leaf[j]);
        cr_assign(p->leaf[j], old);
        copy(p, want, p->value[j]);
        copy(p, p->value[j], p->value[i]);
        break;
    }
    default:
        cr_assign(p->leaf[i], drawn_expression(p, want));
    }
    copy(p, p->value[i], want);
}

/* The gradient of the sum of a product is the other factor. */
static void backward(program *p)
{
    unsigned i = draw(p, LEAVES), j = draw(p, LEAVES);
    if (i == j)
        return;
    cr_backward(cr_sum(cr_mul(p->leaf[i], p->leaf[j])));
    for (int64_t k = 0; k < p->n; k++) {
        float a = p->value[j][k], b = p->value[i][k];
        p->grad[i][k] = p->has_grad[i] ? p->grad[i][k] + a : a;
        p->grad[j][k] = p->has_grad[j] ? p->grad[j][k] + b : b;
    }
    p->has_grad[i] = p->has_grad[j] = true;
}

static void descend(program *p)
{
    CR_NO_GRAD(p->ctx);
    for (int i = 0; i < LEAVES; i++) {
        if (!p->has_grad[i])
            continue;
        cr_assign(p->leaf[i], cr_sub(p->leaf[i], cr_mul(cr_grad(p->leaf[i]), 0.125)));
        for (int64_t k = 0; k < p->n; k++)
            p->value[i][k] = rounded(p->value[i][k] - rounded(p->grad[i][k] * 0.125f));
    }
}

static void change_gradient(program *p)
{
    unsigned i = draw(p, LEAVES);
    CR_NO_GRAD(p->ctx);
    if (draw(p, 2)) {
        cr_zero_grad(p->leaf[i]);
        p->has_grad[i] = false;
        return;
    }
    float *want = p->room[0];
    cr_set_grad(p->leaf[i], drawn_expression(p, want));
    copy(p, p->grad[i], want);
    p->has_grad[i] = true;
}

/* Something that stays although what it is of is replaced; computed now or later. */
static void hold(program *p)
{
    unsigned s = draw(p, SNAPSHOTS), form = draw(p, 5);
    snapshot *held = &p->held[s];
    const float *x;
    CR_NO_GRAD(p->ctx);
    if (held->t) {
        compare(p, held->t, held->want, "a held value has changed");
        cr_release(held->t);
    }
    cr_tensor *of = operand(p, &x);
    copy(p, held->want, x);
    if (form < 2)
        held->t = cr_detach(of);
    else if (form == 2)
        held->t = cr_reshape(of, CR_DIMS(p->cols, p->rows));
    else
        held->t = drawn_expression(p, held->want);
    held->t = cr_retain(held->t);
    if (form % 2)
        cr_eval(held->t);
}

static void look(program *p)
{
    unsigned i = draw(p, LEAVES), s = draw(p, SNAPSHOTS);
    switch (draw(p, 4)) {
    case 0:
        compare(p, p->leaf[i], p->value[i], "a leaf's value is wrong");
        break;
    case 1:
        if (p->has_grad[i])
            compare(p, cr_grad(p->leaf[i]), p->grad[i], "a gradient is wrong");
        break;
    case 2:
        if (p->held[s].t)
            compare(p, p->held[s].t, p->held[s].want, "a held value is wrong");
        break;
    default: {
        float *want = p->room[0];
        CR_NO_GRAD(p->ctx);
        compare(p, drawn_expression(p, want), want, "an expression is wrong");
    }
    }
}

static void act(program *p)
{
    switch (draw(p, 10)) {
    case 0:
    case 1:
    case 2:
        assign(p);
        break;
    case 3:
        backward(p);
        break;
    case 4:
        descend(p);
        break;
    case 5:
        change_gradient(p);
        break;
    case 6:
        hold(p);
        break;
    case 7:
        look(p);
        break;
    case 8:
        assign(p);
        break;
    default:
        backward(p);
        descend(p);
    }
}

static void begin(program *p)
{
    static const int64_t shapes[][DIMS] = {
        { 3, 7 }, { 8, 200 }, { 64, 512 }, { 1, 50 }
    };
    const int64_t *shape = shapes[draw(p, 4)];
    const int threads[] = { 1, 2, 5 };
    cr_options options = { .threads = threads[draw(p, 3)] };
    p->rows = shape[0], p->cols = shape[1], p->n = p->rows * p->cols;
    p->ctx = cr_open(&options);
    p->room[0] = floats(p->n), p->room[1] = floats(p->n);
    p->reversed = cr_flip(cr_arange(p->ctx, 0, p->rows, 1, .dtype = CR_I64), CR_DIMS(0));
    cr_eval(p->reversed);
    for (int i = 0; i < LEAVES; i++) {
        p->value[i] = floats(p->n), p->grad[i] = floats(p->n);
        for (int64_t k = 0; k < p->n; k++)
            p->value[i][k] = (float)draw(p, 2001) / 1000 - 1;
        p->leaf[i] = cr_from(p->ctx, CR_F32, CR_DIMS(p->rows, p->cols), p->value[i]);
        cr_requires_grad(p->leaf[i]);
    }
    for (int s = 0; s < SNAPSHOTS; s++)
        p->held[s].want = floats(p->n);
}

static void end(program *p)
{
    for (int i = 0; i < LEAVES; i++) {
        compare(p, p->leaf[i], p->value[i], "a leaf's value is wrong at the end");
        if (p->has_grad[i])
            compare(p, cr_grad(p->leaf[i]), p->grad[i], "a gradient is wrong at the end");
        free(p->value[i]), free(p->grad[i]);
    }
    for (int s = 0; s < SNAPSHOTS; s++) {
        if (p->held[s].t)
            compare(p, p->held[s].t, p->held[s].want, "a held value is wrong at the end");
        cr_release(p->held[s].t);
        free(p->held[s].want);
    }
    free(p->room[0]), free(p->room[1]);
    cr_close(p->ctx);
}

static bool run_program(uint64_t seed)
{
    program p = { .rng = seed * 0x9e3779b97f4a7c15u + 1 };
    begin(&p);
    for (unsigned step = 0; step < 12 && !p.wrong; step++) {
        CR_SCOPE(p.ctx);
        for (unsigned n = 1 + draw(&p, 8); n-- && !p.wrong;)
            act(&p);
        if (draw(&p, 3) == 0 && !p.wrong)
            look(&p);
    }
    if (cr_error(p.ctx))
        diag("seed %" PRIu64 ": %s", seed, cr_message(p.ctx));
    const char *wrong = p.wrong;
    end(&p);
    wrong = wrong ? wrong : p.wrong;
    if (wrong)
        diag("seed %" PRIu64 ": %s", seed, wrong);
    return !wrong;
}

static void test_programs(uint64_t first, uint64_t count)
{
    bool right = true;
    for (uint64_t i = 0; i < count; i++)
        right &= run_program(first + i);
    ok(right, "programs %" PRIu64 " to %" PRIu64, first, first + count - 1);
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        test_programs(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
        return done_testing();
    }
    test_programs(1, 300);
    return done_testing();
}
