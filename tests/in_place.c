/* A run writes over the values that it replaces: parameters, states of optimisers, gradients.
 * Nobody notices. Programs that assign, accumulate gradients and hold on to old values give
 * what the same statements give on plain arrays, one after the other; what fails, however,
 * leaves every value as it was, and can be done again; and no second set of anything is held.
 *
 * in_place FIRST COUNT    runs the random programs of these seeds */
#include "tap.h"
#include <chainrule.h>
#include <math.h>
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

/* ---- values that somebody still needs, lazily as eagerly ---- */

enum { SIDE = 20, MOST_NUMBERS = 20000 };

typedef struct scene {
    cr_ctx *ctx;
    cr_tensor *a, *b, *c; /* SIDE x SIDE, positive; a, b and c are leaves */
    double *numbers;
    int n;
} scene;

static void put(scene *s, cr_tensor *t)
{
    CR_NO_GRAD(s->ctx);
    int64_t n = cr_numel(t);
    if (s->n + n > MOST_NUMBERS || cr_error(s->ctx))
        return;
    cr_read(cr_cast(t, CR_F64), s->numbers + s->n, (size_t)n * sizeof(double));
    s->n += (int)n;
}

static void put_all(scene *s)
{
    put(s, s->a), put(s, s->b), put(s, s->c);
}

static void read_twice(scene *s)
{
    CR_NO_GRAD(s->ctx);
    cr_assign(s->a, cr_sub(cr_mul(s->a, s->a), cr_mul(cr_t(s->a), 0.5)));
    cr_assign(s->b, cr_softmax(s->b, 1));
    cr_assign(s->c, cr_div(s->c, cr_sum(s->c, 0, .keepdim = true)));
    cr_eval(s->a, s->b, s->c);
    cr_assign(s->a, cr_matmul(s->a, s->a));
    cr_assign(s->b, cr_sub(s->b, cr_mean(s->b, 1, .keepdim = true)));
    cr_assign(s->c, cr_slice_scatter(s->c, cr_slice(s->a, 0, 0, 3), 0, 2, 5));
}

static void to_come(scene *s)
{
    cr_tensor *y = cr_sum(cr_mul(cr_exp(s->a), s->b));
    put(s, y);
    {
        CR_NO_GRAD(s->ctx);
        cr_assign(s->a, cr_mul(s->a, 2));
        cr_assign(s->b, cr_add(s->b, s->a));
    }
    put(s, s->a);
    cr_backward(y);
    put(s, cr_grad(s->a));
    put(s, cr_grad(s->b));
}

static void second_order(scene *s)
{
    cr_tensor *y = cr_sum(cr_mul(cr_mul(s->a, s->a), s->b)), *g = NULL, *h = NULL;
    cr_gradients(&y, 1, &s->a, 1, &g, .create_graph = true);
    cr_tensor *z = cr_sum(cr_mul(g, g));
    cr_gradients(&z, 1, &s->a, 1, &h);
    CR_NO_GRAD(s->ctx);
    cr_assign(s->a, cr_sub(s->a, cr_mul(h, 0.01)));
    cr_assign(s->b, cr_sub(s->b, cr_mul(g, 0.01)));
}

static void watched(scene *s)
{
    cr_tensor *y = cr_watch(cr_mul(s->a, 3)), *loss = cr_sum(cr_mul(y, y));
    cr_backward(loss);
    {
        CR_NO_GRAD(s->ctx);
        cr_assign(s->a, cr_add(y, 1));
        cr_assign(s->b, cr_add(cr_grad(y), s->b));
    }
    put(s, s->a);
    put(s, y);
    put(s, cr_grad(y));
}

static void gradient_as_leaf(scene *s)
{
    for (int i = 0; i < 2; i++) {
        cr_backward(cr_sum(cr_mul(s->a, s->b)));
        cr_tensor *g = cr_requires_grad(cr_grad(s->a));
        cr_backward(cr_sum(cr_mul(g, cr_mul(g, s->c))));
        put(s, cr_grad(g));
        CR_NO_GRAD(s->ctx);
        cr_assign(g, cr_add(g, cr_grad(g)));
        cr_assign(s->b, cr_add(s->b, cr_grad(s->a)));
        put(s, g);
        put(s, s->b);
    }
}

static void kept_gradient(scene *s)
{
    cr_tensor *kept = NULL;
    {
        CR_SCOPE(s->ctx);
        cr_backward(cr_sum(cr_mul(s->a, s->b)));
        kept = cr_keep(cr_detach(cr_grad(s->a)));
        CR_NO_GRAD(s->ctx);
        cr_assign(s->b, cr_add(s->b, cr_grad(s->b)));
    }
    {
        CR_SCOPE(s->ctx);
        cr_zero_grad(s->a);
        cr_backward(cr_sum(cr_mul(s->a, s->b)));
    }
    put(s, kept);
    put(s, cr_grad(s->a));
}

static void other_types(scene *s)
{
    CR_NO_GRAD(s->ctx);
    cr_tensor *t[] = { cr_cast(s->a, CR_F32),  cr_cast(cr_mul(s->a, 100), CR_I32),
                       cr_cast(s->b, CR_F64),  cr_cast(cr_mul(s->b, 1000), CR_I64),
                       cr_cast(s->a, CR_BF16), cr_cast(s->b, CR_F16) };
    for (int i = 0; i < 6; i++)
        t[i] = cr_detach(t[i]);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 6; i += 2) {
            cr_dtype first = cr_dtype_of(t[i]), second = cr_dtype_of(t[i + 1]);
            cr_tensor *moved = cr_cast(cr_mul(cr_cast(t[i], CR_F32), 1.5), second);
            cr_assign(t[i], cr_cast(t[i + 1], first));
            cr_assign(t[i + 1], moved);
        }
        cr_assign(t[4], cr_add(t[4], cr_mul(t[4], 0.25)));
        if (round % 2)
            put(s, t[round]);
    }
    for (int i = 0; i < 6; i++)
        put(s, t[i]);
}

static void own_numbers(scene *s)
{
    CR_NO_GRAD(s->ctx);
    cr_tensor *index =
        cr_reshape(cr_arange(s->ctx, 0, SIDE, 1, .dtype = CR_I64), CR_DIMS(SIDE));
    index = cr_detach(cr_flip(index, CR_DIMS(0)));
    for (int i = 0; i < 3; i++) {
        cr_assign(s->a, cr_index_select(s->a, 0, index));
        cr_assign(index, cr_index_select(index, 0, index));
        cr_assign(s->b, cr_add(s->b, s->a));
    }
    put(s, index);
}

static void borrowed(scene *s)
{
    static const float data[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    CR_NO_GRAD(s->ctx);
    cr_tensor *x = cr_borrow(s->ctx, CR_F32, CR_DIMS(10), data, NULL, NULL);
    cr_assign(x, cr_mul(x, 2));
    cr_eval(x);
    cr_assign(x, cr_add(x, 1));
    put(s, x);
    put(s, cr_from(s->ctx, CR_F32, CR_DIMS(10), data));
}

static void pointers(scene *s)
{
    CR_NO_GRAD(s->ctx);
    const float *old = cr_data(s->a);
    float before = old ? old[7] : 0;
    cr_assign(s->a, cr_add(s->a, 1));
    put(s, cr_scalar(s->ctx, old && old[7] == before));
    cr_tensor *b = cr_detach(s->b);
    const float *constant = cr_data(b);
    float first = constant ? constant[3] : 0;
    cr_assign(s->b, cr_mul(s->b, 2));
    put_all(s);
    put(s, cr_scalar(s->ctx, constant && constant[3] == first));
    put(s, b);
}

static void without_a_run(scene *s)
{
    for (int i = 0; i < 3; i++) {
        CR_SCOPE(s->ctx);
        CR_NO_GRAD(s->ctx);
        cr_tensor *half = cr_mul(s->a, 0.5);
        cr_assign(s->a, cr_add(half, s->b));
        cr_assign(s->b, half);
        cr_assign(s->b, cr_add(s->b, 1));
    }
}

static void one_network(scene *s)
{
    cr_seed(s->ctx, 3);
    cr_module *net = cr_nn_sequential(s->ctx), *shared = cr_nn_linear(s->ctx, SIDE, SIDE);
    cr_nn_add(net, shared);
    cr_nn_add(net, cr_nn_tanh(s->ctx));
    cr_nn_add(net, cr_nn_batch_norm1d(s->ctx, SIDE));
    cr_optim *optim = cr_optim_adam(cr_nn_params(net), 0.01);
    for (int i = 0; i < 4; i++) {
        CR_SCOPE(s->ctx);
        cr_tensor *h = cr_nn_forward(net, cr_nn_forward(net, s->a));
        cr_optim_zero_grad(optim);
        cr_backward(cr_mean(cr_mul(h, h), CR_ALL));
        cr_clip_grad_norm(cr_nn_params(net), 1);
        cr_optim_step(optim);
        if (i % 2)
            put(s, h);
    }
    put(s, cr_nn_param(net, "0.weight"));
    put(s, cr_grad(s->a));
    cr_optim_free(optim);
    cr_nn_free(net);
}

/* Small updates side by side, on several threads; each reads what its neighbours replace. */
static void neighbours(scene *s)
{
    enum { N = 40 };
    cr_tensor *p[N], *q[N];
    CR_NO_GRAD(s->ctx);
    for (int i = 0; i < N; i++) {
        p[i] = cr_detach(cr_add(s->a, i));
        q[i] = cr_detach(cr_mul(s->b, i));
    }
    for (int step = 0; step < 3; step++) {
        cr_tensor *old[N];
        for (int i = 0; i < N; i++)
            old[i] = cr_detach(p[i]);
        for (int i = 0; i < N; i++) {
            cr_assign(p[i], cr_add(cr_mul(old[i], 0.5), cr_mul(old[(i + 1) % N], 0.25)));
            cr_assign(q[i], cr_sub(cr_mul(q[i], 0.5), p[i]));
        }
        cr_eval(p[0], q[N - 1]);
    }
    for (int i = 0; i < N; i += 3)
        put(s, p[i]), put(s, q[i]);
}

/* Programs as large as they get, of operands that nothing can read in place, 16 bits wide; a
 * sum of what they end in; and elements of 64 bits among them. */
static void large_programs(scene *s)
{
    CR_NO_GRAD(s->ctx);
    const cr_dtype types[] = { CR_BF16, CR_F16 };
    for (int i = 0; i < 2; i++) {
        cr_tensor *turned = cr_t(cr_detach(cr_cast(s->b, types[i])));
        cr_tensor *other = cr_flip(cr_detach(cr_cast(s->c, types[i])), CR_DIMS(0, 1));
        cr_tensor *h = cr_detach(cr_cast(s->a, types[i])), *x = h;
        cr_tensor *mask = cr_t(cr_detach(cr_gt(s->b, 0.5)));
        for (int k = 0; k < 150; k++) {
            x = cr_where(mask, cr_sub(turned, other), x);
            x = cr_add(x, cr_mul(cr_t(h), 0.125));
            x = cr_maximum(cr_minimum(x, other), turned);
        }
        cr_assign(h, x);
        cr_tensor *wide = cr_mul(cr_cast(x, CR_F64), cr_cast(turned, CR_F64));
        put(s, cr_sum(wide, 1));
        put(s, cr_sum(cr_mul(x, other), 1));
        put(s, h);
    }
}

/* Cotangents of slices of one tensor are added to their parts of a sum, in place: slices that
 * overlap, of steps, of rank 0; beside a whole one; watched; and in graphs of gradients. */
static void slice_by_slice(scene *s)
{
    cr_tensor *y = cr_watch(cr_tanh(s->a)), *loss = cr_sum(cr_mul(y, s->b));
    for (int i = 0; i < SIDE; i += 3) {
        loss = cr_add(loss, cr_mean(cr_exp(cr_select(y, i % 2, i))));
        loss =
            cr_add(loss, cr_sum(cr_mul(cr_slice(y, 0, i, i + 5), cr_narrow(y, 0, 1, 1))));
        loss = cr_add(loss, cr_sum(cr_sin(cr_slice(y, 1, -1, i, .step = -2))));
        loss = cr_add(loss, cr_pow(cr_select(cr_select(y, 0, i), 0, 2), 2));
    }
    cr_tensor *grad[2], *wrt[] = { s->a, y };
    cr_gradients(&loss, 1, wrt, 2, grad, .create_graph = true);
    put(s, grad[1]);
    cr_backward(cr_sum(cr_mul(grad[0], s->c)));
    put(s, cr_grad(s->a));
    put(s, cr_grad(y));
    cr_tensor *parts[SIDE], *square = cr_mul(s->c, s->c);
    cr_unbind(square, 0, parts, SIDE);
    for (int i = 1; i < SIDE; i++)
        parts[0] = cr_mul(cr_add(parts[0], parts[i]), 0.5);
    cr_zero_grad(s->c);
    cr_backward(cr_sum(parts[0]));
    put(s, cr_grad(s->c));
}

static const struct {
    const char *name;
    void (*play)(scene *s);
} scenes[] = { { "operands that are read twice, through views, in reductions",
                 read_twice },
               { "a vjp to come reads an old value", to_come },
               { "second order", second_order },
               { "watched values and gradients", watched },
               { "a gradient that is a leaf", gradient_as_leaf },
               { "a gradient that is kept", kept_gradient },
               { "other element types", other_types },
               { "an index that is replaced", own_numbers },
               { "borrowed memory", borrowed },
               { "pointers to data", pointers },
               { "scopes that end", without_a_run },
               { "a network used twice", one_network },
               { "small updates side by side", neighbours },
               { "programs as large as they get", large_programs },
               { "slices that are read one by one", slice_by_slice } };

static int play(int which, bool eager, int threads, double *numbers)
{
    cr_options options = { .eager = eager, .threads = threads };
    scene s = { .ctx = cr_open(&options), .numbers = numbers };
    cr_tensor **leaves[] = { &s.a, &s.b, &s.c };
    cr_seed(s.ctx, 5);
    for (int i = 0; i < 3; i++) {
        cr_tensor *drawn = cr_rand(s.ctx, CR_DIMS(SIDE, SIDE));
        *leaves[i] = cr_requires_grad(cr_detach(drawn));
    }
    for (int step = 0; step < 3; step++) {
        CR_SCOPE(s.ctx);
        scenes[which].play(&s);
    }
    put_all(&s);
    if (cr_error(s.ctx))
        diag("%s: %s", scenes[which].name, cr_message(s.ctx));
    int n = cr_error(s.ctx) ? -1 : s.n;
    cr_clear(s.ctx);
    cr_close(s.ctx);
    return n;
}

static void test_scenes(void)
{
    static double want[MOST_NUMBERS], got[MOST_NUMBERS];
    static const int threads[] = { 1, 2, 7, 16 };
    for (int i = 0; i < (int)(sizeof scenes / sizeof *scenes); i++) {
        int n = play(i, true, 1, want);
        bool right = n > 0;
        for (int t = 0; t < 4; t++)
            right &= play(i, false, threads[t], got) == n &&
                     memcmp(got, want, (size_t)n * sizeof *got) == 0;
        ok(right, "%s: lazily and on threads as eagerly", scenes[i].name);
    }
}

/* ---- what fails changes nothing ---- */

enum { ROWS = 12, INNER = 16, HIDDEN = 24, CLASSES = 6, TENSORS = 4, LARGEST = 400 };

typedef enum trouble {
    NONE,
    INDEX,
    EARLY,
    LATE,
    MEDDLING,
    NORM,
    ALLOCATION,
    TROUBLES
} trouble;

static const char *const troubles[] = {
    [INDEX] = "an index that is out of range",
    [EARLY] = "a kernel in front of updates",
    [LATE] = "a kernel behind an update",
    [NORM] = "a norm that is not finite",
    [ALLOCATION] = "memory",
    [MEDDLING] = "a kernel that uses the context, and says nothing"
};

typedef struct training {
    cr_ctx *ctx;
    cr_tensor
        *leaf[TENSORS]; /* two weights, a bias, and the first weight's mean over steps */
    cr_tensor *x, *labels;
    cr_params params;
    cr_param list[TENSORS];
    cr_optim *optim;
    bool kernel_fails, kernel_meddles;
    long calls, fails_from, fails_to; /* of the allocator: not given */
} training;

/* Values and gradients. */
typedef struct state {
    float values[TENSORS][LARGEST], grads[TENSORS][LARGEST];
    bool has_grad[TENSORS];
} state;

static void *give(void *user, size_t bytes)
{
    training *t = user;
    long call = t->calls++;
    return call >= t->fails_from && call < t->fails_to ? NULL : malloc(bytes);
}

static void take(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

static void begin_training(training *t)
{
    static const int64_t sizes[TENSORS][DIMS] = {
        { INNER, HIDDEN }, { HIDDEN, CLASSES }, { 1, HIDDEN }, { INNER, HIDDEN }
    };
    t->fails_from = t->fails_to = -1;
    t->ctx = cr_open(
        &(cr_options){ .threads = 2, .alloc = give, .free = take, .memory_user = t });
    cr_seed(t->ctx, 9);
    for (int i = 0; i < TENSORS; i++) {
        cr_tensor *drawn = cr_randn(t->ctx, CR_DIMS(sizes[i][0], sizes[i][1]));
        t->leaf[i] = cr_detach(cr_mul(drawn, 0.3));
        if (i < 3)
            t->list[t->params.n++] = (cr_param){ "weight", cr_requires_grad(t->leaf[i]) };
    }
    t->params.list = t->list;
    t->params.ctx = t->ctx;
    t->x = cr_detach(cr_randn(t->ctx, CR_DIMS(ROWS, INNER)));
    t->labels =
        cr_cast(cr_floor(cr_mul(cr_rand(t->ctx, CR_DIMS(ROWS)), CLASSES)), CR_I64);
    t->optim = cr_optim_adam(&t->params, 0.02);
    cr_eval(t->x, t->labels, t->leaf[0], t->leaf[1], t->leaf[2], t->leaf[3]);
}

static bool pass_on(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)n;
    training *t = user;
    memcpy(out->data, in[0].data, (size_t)out->numel * sizeof(float));
    if (t->kernel_meddles)
        cr_add(t->x, 1);
    return !t->kernel_fails;
}

static bool pass_back(const cr_array *in, int n, const cr_array *out,
                      const cr_array *cotangent, cr_array *in_cotangents, void *user)
{
    (void)in, (void)n, (void)out, (void)user;
    memcpy(in_cotangents[0].data, cotangent->data,
           (size_t)cotangent->numel * sizeof(float));
    return true;
}

static cr_tensor *custom(training *t, cr_tensor *x)
{
    static cr_custom_def def = { "pass", pass_on, pass_back, NULL };
    def.user = t;
    return cr_custom(&def, &x, 1, CR_F32, cr_shape(x));
}

/* True if it succeeded. */
static bool step(training *t, trouble with)
{
    cr_ctx *ctx = t->ctx;
    t->kernel_fails = with == EARLY || with == LATE;
    t->kernel_meddles = with == MEDDLING;
    CR_SCOPE(ctx);
    cr_tensor *h = cr_relu(cr_add(cr_matmul(t->x, t->leaf[0]), t->leaf[2]));
    cr_tensor *rows =
        cr_full(ctx, CR_DIMS(ROWS), with == INDEX ? ROWS : 0, .dtype = CR_I64);
    rows = cr_add(rows, cr_mul(t->labels, 1));
    h = cr_add(h, cr_mul(cr_index_select(h, 0, rows), 0.5));
    if (with != LATE)
        h = custom(t, h);
    cr_tensor *loss = cr_cross_entropy(cr_matmul(h, t->leaf[1]), t->labels);
    loss = cr_mul(loss, cr_full(ctx, CR_DIMS(1), with == NORM ? INFINITY : 1));
    cr_optim_zero_grad(t->optim);
    cr_backward(cr_sum(loss));
    cr_clip_grad_norm(&t->params, 0.5);
    cr_optim_step(t->optim);
    CR_NO_GRAD(ctx);
    cr_assign(t->leaf[3], cr_add(cr_mul(t->leaf[3], 0.9), cr_mul(t->leaf[0], 0.1)));
    if (with == LATE)
        cr_eval(custom(t, t->leaf[1]));
    return cr_eval(t->leaf[3]) == CR_OK && !cr_error(ctx);
}

static void look_at(training *t, state *s)
{
    memset(s, 0, sizeof *s);
    for (int i = 0; i < TENSORS; i++) {
        size_t bytes = (size_t)cr_numel(t->leaf[i]) * sizeof(float);
        cr_tensor *grad = i < 3 ? cr_grad(t->leaf[i]) : NULL;
        cr_read(t->leaf[i], (char *)s->values[i], bytes);
        s->has_grad[i] = grad != NULL;
        if (grad)
            cr_read(grad, (char *)s->grads[i], bytes);
    }
}

static void end_training(training *t)
{
    cr_optim_free(t->optim);
    cr_clear(t->ctx);
    cr_close(t->ctx);
}

enum { BEFORE = 2, AFTER = 2 }; /* steps */

/* Whether a step that fails in this way changes nothing, and what follows ends in `want`.
 * Of memory: allocations of the step from the first on to the last are not given; *asked is set
 * to whether it asked for the first of them. */
static bool survives(trouble with, long first, long last, const state *want, bool *asked)
{
    static state before, after, end;
    training t = { 0 };
    bool right = true;
    begin_training(&t);
    for (int i = 0; i < BEFORE; i++)
        right &= step(&t, NONE);
    look_at(&t, &before);
    cr_trim(t.ctx);
    t.calls = 0;
    if (with == ALLOCATION)
        t.fails_from = first, t.fails_to = last;
    bool passed = step(&t, with);
    *asked = t.calls > first;
    t.fails_from = t.fails_to = -1;
    if (!passed) {
        right &= with != ALLOCATION || cr_error(t.ctx) == CR_ERR_MEMORY;
        cr_clear(t.ctx);
        look_at(&t, &after);
        right &= memcmp(&before, &after, sizeof before) == 0;
        right &= step(&t, NONE);
    }
    right &= !passed || with == ALLOCATION;
    for (int i = 0; i < AFTER; i++)
        right &= step(&t, NONE);
    look_at(&t, &end);
    right &= !cr_error(t.ctx) && memcmp(&end, want, sizeof end) == 0;
    end_training(&t);
    return right;
}

static void test_failures(void)
{
    static state want;
    training t = { 0 };
    bool passed = true, asked = true;
    begin_training(&t);
    for (int i = 0; i < BEFORE + 1 + AFTER; i++)
        passed &= step(&t, NONE);
    look_at(&t, &want);
    ok(passed && !cr_error(t.ctx), "a training");
    end_training(&t);
    for (trouble with = INDEX; with < ALLOCATION; with++)
        ok(survives(with, 0, 0, &want, &asked), "%s: nothing has changed, and it goes on",
           troubles[with]);
    for (int all = 0; all < 2; all++) {
        long n = 0;
        bool right = true;
        for (asked = true; asked && n < 3000; n++)
            right &= survives(ALLOCATION, n, all ? 1L << 30 : n + 1, &want, &asked);
        ok(right && n > 10 && n < 3000, "%s, %s of %ld allocations: nothing has changed",
           troubles[ALLOCATION], all ? "none from each" : "each", n - 1);
    }
}

/* The host's jobs, one of which uses the context. */
typedef struct host {
    cr_tensor *x;
    int calls, meddles_in;
} host;

static void jobs(void *user, int n, void (*body)(void *arg, int i), void *arg)
{
    host *h = user;
    if (h->calls++ == h->meddles_in)
        cr_add(h->x, 1);
    while (n-- > 0)
        body(arg, n);
}

/* p becomes 2 p, and q becomes q + p. Whether both have, or neither. */
static bool all_or_nothing(host *h, bool *failed)
{
    enum { N = 1 << 20 };
    cr_ctx *ctx =
        cr_open(&(cr_options){ .threads = 4, .parallel_for = jobs, .parallel_user = h });
    cr_tensor *p = cr_detach(cr_full(ctx, CR_DIMS(N), 1)), *sum = NULL;
    cr_tensor *q = cr_detach(cr_full(ctx, CR_DIMS(N), 10));
    bool right = cr_eval(p, q) == CR_OK;
    h->x = p;
    h->calls = 0;
    cr_assign(q, cr_add(q, p));
    sum = cr_sum(cr_exp(q));
    cr_assign(p, cr_add(cr_mul(p, 2), cr_mul(sum, 0)));
    cr_eval(p, q);
    int calls = h->calls;
    *failed = cr_error(ctx) != CR_OK;
    cr_clear(ctx);
    h->calls = -1000000;
    const float *old = cr_data(p), *new = cr_data(q);
    bool changed = right && old && old[0] == 2;
    for (int i = 0; i < N && right; i++)
        right = old && new &&
                (changed ? old[i] == 2 && new[i] == 11 : old[i] == 1 && new[i] == 10);
    right &= changed || *failed;
    right &= *failed == (h->meddles_in < calls);
    cr_close(ctx);
    return right;
}

static void test_host(void)
{
    host h = { .meddles_in = 0 };
    bool right = true, failed = true;
    for (; failed && h.meddles_in < 100; h.meddles_in++)
        right &= all_or_nothing(&h, &failed);
    ok(right && !failed && h.meddles_in > 2,
       "a host that uses the context in one of %d jobs: all has changed, or nothing",
       h.meddles_in - 1);
}

/* A limit between what is held and what a step takes. */
static void test_limit(void)
{
    static float before[INNER * HIDDEN], after[INNER * HIDDEN];
    bool right = true;
    int failed = 0, steps = 0;
    for (size_t limit = 16 << 10; limit < 440 << 10; limit += 2 << 10) {
        cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1, .memory_limit = limit });
        cr_seed(ctx, 4);
        cr_tensor *w = cr_mul(cr_randn(ctx, CR_DIMS(INNER, HIDDEN)), 0.1);
        w = ctx ? cr_requires_grad(cr_detach(w)) : NULL;
        cr_read(w, before, sizeof before);
        bool begun = ctx && !cr_error(ctx), passed = begun;
        for (int i = 0; i < 3 && passed; i++) {
            CR_SCOPE(ctx);
            cr_tensor *y = cr_matmul(cr_ones(ctx, CR_DIMS(200 << i, INNER)), w);
            cr_zero_grad(w);
            cr_backward(cr_sum(cr_tanh(y)));
            CR_NO_GRAD(ctx);
            cr_assign(w, cr_sub(w, cr_mul(cr_grad(w), 0.01)));
            passed = cr_eval(w) == CR_OK;
            steps += passed;
            if (passed)
                cr_read(w, before, sizeof before);
        }
        if (begun && !passed) {
            failed++;
            right &= cr_error(ctx) == CR_ERR_MEMORY;
            cr_clear(ctx);
            right &= cr_read(w, after, sizeof after) == CR_OK &&
                     memcmp(before, after, sizeof after) == 0;
        }
        cr_clear(ctx);
        cr_close(ctx);
    }
    ok(right && failed > 10 && steps > 100,
       "the limit: %d steps failed and changed nothing, %d passed", failed, steps);
}

/* ---- no second set ---- */

/* The mode in which nothing is overwritten. */
static bool computes_at_once(void)
{
    const char *mode = getenv("CHAINRULE_EAGER");
    return mode && *mode == '1';
}

static void test_adam(void)
{
    enum { N = 1 << 20, SET = N * 4 };
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_tensor *p = cr_requires_grad(cr_ones(ctx, CR_DIMS(N)));
    cr_param list[] = { { "p", p } };
    cr_params params = { .ctx = ctx, .n = 1, .list = list };
    cr_optim *optim = cr_optim_adam(&params, 0.01);
    size_t peak[6], used[6];
    cr_eval(p);
    for (int i = 0; i < 6; i++) {
        {
            CR_SCOPE(ctx);
            cr_optim_zero_grad(optim);
            cr_backward(cr_sum(cr_mul(p, p)));
            cr_optim_step(optim);
        }
        peak[i] = cr_memory_peak(ctx);
        used[i] = cr_memory_used(ctx);
    }
    diag("Adam on %d KiB: peak %zu KiB, in use %zu KiB", SET >> 10, peak[5] >> 10,
         used[5] >> 10);
    ok(!cr_error(ctx) && (computes_at_once() || peak[5] - 4u * SET < 16 << 10),
       "a step of Adam holds p, m, v and g");
    ok(peak[5] == peak[2] && used[5] == used[2], "and its peak does not grow");
    cr_optim_free(optim);
    cr_close(ctx);
}

/* Parameters that the first step computes, too. */
static void test_network(void)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_module *net = cr_nn_sequential(ctx);
    for (int i = 0; i < 3; i++) {
        cr_nn_add(net, cr_nn_linear(ctx, 128, 128));
        cr_nn_add(net, cr_nn_relu(ctx));
    }
    cr_optim *optim = cr_optim_adam(cr_nn_params(net), 0.01);
    size_t peak[5];
    for (int i = 0; i < 5; i++) {
        CR_SCOPE(ctx);
        cr_tensor *y = cr_nn_forward(net, cr_ones(ctx, CR_DIMS(32, 128)));
        cr_optim_zero_grad(optim);
        cr_backward(cr_mean(cr_mul(y, y), CR_ALL));
        cr_optim_step(optim);
        cr_eval(y);
        peak[i] = cr_memory_peak(ctx);
    }
    diag("a network: peak %zu KiB in its first step, %zu KiB behind its last",
         peak[0] >> 10, peak[4] >> 10);
    /* But for the nodes of gradients, which the first step has not found. */
    ok(!cr_error(ctx) && (computes_at_once() || peak[4] - peak[0] < 8 << 10),
       "no step peaks higher than the first");
    cr_optim_free(optim);
    cr_nn_free(net);
    cr_close(ctx);
}

/* A loop over the rows of an input, as of a recurrence over time: its gradient is held once, and
 * each row's cotangent is added to its part. */
static void test_rows_in_turn(void)
{
    enum { LONG = 40, WIDTH = 1000 };
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_tensor *x = cr_requires_grad(cr_detach(cr_rand(ctx, CR_DIMS(LONG, WIDTH))));
    cr_tensor *y = cr_mul(x, 2), *h = cr_zeros(ctx, CR_DIMS(WIDTH));
    for (int t = 0; t < LONG; t++)
        h = cr_add(cr_mul(h, 0.5), cr_select(y, 0, t));
    cr_eval(y, h);
    cr_backward(cr_sum(h));
    static char text[1 << 17];
    cr_tensor *wanted = cr_grad(x);
    cr_plan_format(&wanted, 1, text, sizeof text);
    const char *memory = strstr(text, " in use, ");
    size_t obtained = 0, whole = LONG * WIDTH * sizeof(float);
    if (memory)
        obtained = (size_t)strtoull(memory + 9, NULL, 10);
    ok(!cr_error(ctx) &&
           (computes_at_once() || (obtained > whole && obtained < 2 * whole)),
       "the gradient of rows that are read in turn is held once: %zu KiB",
       obtained >> 10);
    const float *grad = cr_data(cr_grad(x));
    bool right = grad != NULL;
    for (int t = 0; t < LONG && right; t++)
        right = grad[t * WIDTH + 7] == (float)ldexp(2, t - LONG + 1);
    ok(right, "and is what it is");
    cr_close(ctx);
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        test_programs(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
        return done_testing();
    }
    test_programs(1, (uint64_t)tap_share(300));
    test_scenes();
    test_rows_in_turn();
    test_failures();
    test_host();
    test_limit();
    test_adam();
    test_network();
    return done_testing();
}
