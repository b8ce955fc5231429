/* Programs on tensors that a seed chooses: operations of all kinds on each other's
 * results, views on views, scopes, gradients of gradients, assignments, reads in any
 * order. What a program does is a function of its seed and of shapes, never of values or
 * of how they are computed. */
#include "random_program.h"
#include "random_blocks.h"
#include "random_ops.h"
#include "tap.h"
#include <stdlib.h>

/* ---- reading ---- */

static bool add_reading(readings *r, const reading *value)
{
    if (r->n == r->capacity) {
        int capacity = r->capacity ? 2 * r->capacity : 64;
        reading *list = realloc(r->list, (size_t)capacity * sizeof *list);
        if (!list)
            return false;
        r->list = list;
        r->capacity = capacity;
    }
    r->list[r->n++] = *value;
    return true;
}

static uint64_t hash_of(const void *data, size_t bytes)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ ((const unsigned char *)data)[i]) * 1099511628211u; /* FNV-1a */
    return h;
}

static void add_pin(world *w, const cr_tensor *t, const void *data, size_t bytes)
{
    for (int i = 0; i < w->n; i++)
        if (w->pool[i].t == t && w->pool[i].level > 0)
            w->pins[below(w, PINS)] =
                (pin){ t, data, hash_of(data, bytes), bytes, w->pool[i].level };
}

bool pins_hold(const world *w)
{
    for (int i = 0; i < PINS; i++)
        if (w->pins[i].t && hash_of(w->pins[i].data, w->pins[i].bytes) != w->pins[i].hash)
            return false;
    return true;
}

static void note(world *w, cr_tensor *t)
{
    reading r = { .step = w->step, .dtype = cr_dtype_of(t), .dims = cr_shape(t) };
    if (!t)
        return;
    r.op = cr_op_of(t) ? cr_op_of(t)->name : "data";
    r.bytes = (size_t)cr_numel(t) * cr_dtype_size(r.dtype);
    r.data = malloc(r.bytes + 1);
    if (chance(w, 50)) {
        const void *data = cr_data(t);
        if (data) {
            memcpy(r.data, data, r.bytes);
            add_pin(w, t, data, r.bytes);
        }
    } else {
        cr_read(t, r.data, r.bytes);
    }
    if (cr_error(w->ctx) || !add_reading(w->out, &r))
        free(r.data);
}

static cr_tensor *read_some(world *w)
{
    for (int64_t n = 1 + below(w, 2); n > 0; n--) {
        cr_tensor *t = pick(w, ANY, 0);
        note(w, t);
        if (t && chance(w, 50))
            note(w, grad_of(t));
    }
    return NULL;
}

static cr_tensor *eval_some(world *w)
{
    cr_tensor *xs[4];
    int n = 0;
    for (int i = 0; i < 4; i++)
        if ((xs[n] = pick(w, ANY, 0)))
            n++;
    cr_eval_at(xs, n, CR_HERE);
    return NULL;
}

/* ---- scopes, and values that are replaced ---- */

static void pop_scope(world *w)
{
    int n = 0;
    for (int i = 0; i < w->n; i++) {
        slot *s = &w->pool[i];
        if (s->level == w->level && !s->retained && chance(w, 25) && cr_keep(s->t))
            s->level--;
        else if (s->level == w->level && chance(w, 5) && !s->retained)
            s->retained = cr_retain(chance(w, 50) ? cr_watch(s->t) : s->t) != NULL;
    }
    for (int i = 0; i < PINS; i++)
        if (w->pins[i].level == w->level)
            w->pins[i].t = NULL;
    cr_scope_pop(w->ctx);
    for (int i = 0; i < w->n; i++) {
        if (w->pool[i].level == w->level && !w->pool[i].retained)
            continue;
        if (w->pool[i].level == w->level)
            w->pool[i].level = -1;
        w->pool[n++] = w->pool[i];
    }
    w->n = n;
    w->level--;
}

/* A value or gradient of a leaf is about to be replaced. What is in the pool shall
 * outlive that: it is evaluated in the same run, or watched, or held, if that run is
 * next: then it may be the end of a scope. */
static void settle(world *w)
{
    cr_tensor *xs[POOL];
    bool now = chance(w, 30), ends = w->level > 1 && chance(w, 25);
    int n = 0;
    for (int i = w->n - 1; i >= 0; i--) {
        cr_tensor *t = w->pool[i].t;
        if (w->pool[i].leaf)
            continue;
        if (chance(w, 15) || (!w->retains && cr_needs_grad(t)))
            forget(w, i);
        else if (ends && w->pool[i].level == w->level)
            continue;
        else if (chance(w, 40))
            cr_watch(t);
        else if (!(now || ends) || t->flags & CR__CONSUMED || chance(w, 30))
            xs[n++] = t;
    }
    if (ends) {
        for (int i = 0; i < n; i++)
            cr_watch(xs[i]);
        pop_scope(w);
        return;
    }
    if (now && n == 0 && w->n > 0)
        xs[n++] = w->pool[0].t;
    cr_eval_at(xs, n, CR_HERE);
}

/* ---- gradients ---- */

static cr_tensor *pick_differentiable(world *w)
{
    for (int tries = 0; tries < 6; tries++) {
        cr_tensor *y = pick(w, FLOATS, 0);
        if (y && cr_needs_grad(y))
            return y;
    }
    return NULL;
}

static void note_gradients(world *w)
{
    for (int i = 0; i < w->n; i++)
        note(w, grad_of(w->pool[i].t));
}

static cr_tensor *go_backward(world *w)
{
    cr_tensor *y = pick_differentiable(w);
    if (!y || w->walks >= MOST_WALKS)
        return NULL;
    w->walks++;
    bool retain = w->retains || chance(w, 50);
    if (w->no_grad || chance(w, 25)) {
        cr_backward(y, .cotangent = alike(w, y), .retain_graph = retain);
    } else {
        cr_tensor *loss = chance(w, 50) ? cr_sum(y) : cr_mean(y);
        put(w, loss, false);
        cr_backward(loss, .retain_graph = retain);
        if (retain && chance(w, 40))
            cr_backward(loss, .retain_graph = retain);
    }
    if (w->replaces)
        settle(w);
    if (chance(w, 40))
        note_gradients(w);
    return NULL;
}

static cr_tensor *differentiate(world *w)
{
    cr_tensor *ys[2], *xs[3], *grads[3];
    int n_ys = 0, n_xs = 0;
    for (int i = 0; i < 2; i++)
        if ((ys[n_ys] = pick_differentiable(w)))
            n_ys++;
    for (int i = 0; i < 3; i++)
        if ((xs[n_xs] = pick_differentiable(w)))
            n_xs++;
    if (!n_ys || !n_xs || w->walks >= MOST_WALKS)
        return NULL;
    bool again = chance(w, 60);
    w->walks += again ? 2 : 1;
    cr_status status =
        cr_gradients(ys, n_ys, xs, n_xs, grads, .create_graph = again,
                     .retain_graph = w->retains || chance(w, 30), .allow_unused = true);
    for (int i = 0; i < n_xs && status == CR_OK; i++) {
        if (grads[i])
            put(w, grads[i], false);
        if (grads[i] && chance(w, 30))
            note(w, grads[i]);
    }
    return NULL;
}

static cr_tensor *make_from_gradient(world *w)
{
    slot *s = pick_slot(w, FLOATS, 0);
    for (int i = 0; i < w->n && s && !grad_of(s->t); i++)
        s = &w->pool[i];
    cr_tensor *g = s ? grad_of(s->t) : NULL;
    if (!g || !w->replaces)
        return NULL;
    if (chance(w, 40))
        return chance(w, 50) ? cr_mul(g, s->t) : view_of(w, cr_detach(g));
    switch (below(w, 6)) { /* it is a tensor like others */
    case 0:
        cr_assign(g, cr_mul(g, 0.5));
        break;
    case 1:
        cr_requires_grad(g);
        break;
    case 2:
        cr_set_grad(s->t, alike(w, s->t));
        break;
    case 3:
        cr_zero_grad(s->t);
        break;
    default:
        cr_set_grad(s->t, chance(w, 50) ? cr_mul(g, 0.5) : cr_clamp(g, -1, 1));
    }
    settle(w);
    return NULL;
}

/* A leaf in the middle of a graph, or a watched tensor. */
static cr_tensor *change_role(world *w)
{
    slot *s = pick_slot(w, FLOATS, 0);
    if (!s)
        return NULL;
    if (chance(w, 60))
        cr_watch(s->t);
    else if (s->leaf || !cr_needs_grad(s->t))
        s->leaf = cr_requires_grad(s->t) != NULL;
    return NULL;
}

static bool in_pool(const world *w, const cr_tensor *x)
{
    for (int i = 0; i < w->n; i++)
        if (w->pool[i].t == x)
            return true;
    return false;
}

static cr_tensor *assign(world *w)
{
    slot *s = pick_slot(w, ANY, 0);
    if (!s || !w->replaces || (!s->leaf && cr_needs_grad(s->t)))
        return NULL;
    cr_tensor *x = s->t, *value = alike(w, x);
    if (is_float(x) && chance(w, 50))
        value = grad_of(x) && chance(w, 70) ? cr_sub(x, cr_mul(grad_of(x), 0.1))
                                            : cr_sub(x, cr_mul(value, 0.1));
    if (value && chance(w, 10))
        value = cr_flip(value, some_of(w, cr_ndim(x)));
    unpin(w, x);
    if (cr_assign(x, value) == CR_OK)
        s->leaf = true;
    bool twice = chance(w, 30); /* in a run */
    bool pooled = in_pool(w, value);
    int level = w->level;
    if (twice)
        cr_assign(x, alike(w, x));
    settle(w);
    /* What was assigned can be read as long as the leaf has it, and the program it. */
    if (!twice && w->level == level && chance(w, 60)) {
        cr_eval(x);
        if (!pooled || in_pool(w, value))
            note(w, value);
    }
    return NULL;
}

/* A state is handed on from scope to scope, and only what is made of it may be read. */
static cr_tensor *carry(world *w)
{
    slot *s = pick_slot(w, FLOATS, 0);
    if (!s || !s->retained || s->leaf)
        return NULL;
    for (int64_t i = 1 + below(w, 4); i > 0; i--) {
        cr_scope_push(w->ctx);
        cr_tensor *next = cr_tanh(cr_add(cr_mul(s->t, 0.5), mirrored(w, s->t)));
        if (chance(w, 30))
            next = cr_detach(next);
        next = cr_retain(next);
        if (chance(w, 50))
            note(w, cr_sum(cr_exp(next)));
        cr_scope_pop(w->ctx);
        if (!next) /* memory failed: the state stays */
            return NULL;
        unpin(w, s->t);
        cr_release(s->t);
        s->t = next;
    }
    if (chance(w, 50))
        note(w, s->t);
    return NULL;
}

/* Two results of what was made before: the second is recorded before the first is read. */
static cr_tensor *read_twice(world *w)
{
    cr_tensor *x = pick(w, FLOATS, 0);
    if (!x)
        return NULL;
    cr_tensor *y = cr_mul(cr_cos(x), 2), *view = mirrored(w, y);
    cr_tensor *first = cr_sum(y), *second = chance(w, 50) ? cr_sum(cr_abs(view)) : view;
    note(w, first);
    if (chance(w, 30))
        read_some(w);
    note(w, second);
    return y;
}

/* A step of training, of all leaves that the last pass has reached. */
static cr_tensor *update(world *w)
{
    bool clips = chance(w, 30), resets = chance(w, 70);
    if (!w->replaces)
        return NULL;
    for (int i = 0; i < w->n; i++) {
        cr_tensor *x = w->pool[i].t, *g = grad_of(x);
        if (!g || !w->pool[i].leaf)
            continue;
        if (clips) {
            cr_set_grad(x, cr_mul(g, cr_rsqrt(cr_add(cr_sum(cr_square(g)), 1))));
            g = grad_of(x);
        }
        unpin(w, x);
        cr_assign(x, cr_sub(x, cr_mul(g, 0.1)));
        if (resets)
            cr_zero_grad(x);
    }
    settle(w);
    return NULL;
}

/* Forward, backward and update, without a read in between. */
static cr_tensor *train(world *w)
{
    cr_tensor *loss = make_loss(w);
    if (!loss || !cr_needs_grad(loss) || w->no_grad || w->walks >= MOST_WALKS)
        return loss;
    w->walks++;
    put(w, loss, false);
    cr_backward(loss, .retain_graph = w->retains || chance(w, 30));
    if (chance(w, 70))
        return update(w);
    if (w->replaces)
        settle(w);
    return NULL;
}

/* ---- what lasts ---- */

static cr_tensor *change_scope(world *w)
{
    if (w->level < MOST_LEVELS && chance(w, 60))
        w->level += cr_scope_push(w->ctx) == CR_OK;
    else if (w->level > 1)
        pop_scope(w);
    return NULL;
}

static cr_tensor *toggle_grad(world *w)
{
    if (w->no_grad)
        cr_no_grad_pop(w->ctx);
    else if (chance(w, 50))
        cr_no_grad_push(w->ctx);
    else
        return NULL;
    w->no_grad = !w->no_grad;
    return NULL;
}

/* ---- a program ---- */

typedef struct action {
    int weight[2];                /* in any program; in one of blocks */
    cr_tensor *(*take)(world *w); /* what it returns goes to the pool */
} action;

static const action actions[] = {
    { { 6, 2 }, make_input },      { { 24, 3 }, make_listed },
    { { 16, 3 }, make_binary },    { { 4, 2 }, make_where },
    { { 3, 1 }, make_comparison }, { { 4, 1 }, make_cast },
    { { 14, 5 }, make_view },      { { 12, 3 }, make_reduction },
    { { 5, 2 }, make_norm },       { { 6, 2 }, make_product },
    { { 4, 1 }, make_index },      { { 3, 1 }, make_join },
    { { 2, 1 }, make_scatter },    { { 3, 1 }, make_random },
    { { 2, 1 }, make_chain },      { { 4, 3 }, read_some },
    { { 2, 2 }, eval_some },       { { 5, 5 }, go_backward },
    { { 3, 3 }, differentiate },   { { 3, 2 }, make_from_gradient },
    { { 4, 2 }, change_role },     { { 6, 3 }, assign },
    { { 4, 3 }, update },          { { 7, 5 }, change_scope },
    { { 1, 1 }, toggle_grad },     { { 4, 2 }, carry },
    { { 3, 2 }, read_twice },      { { 0, 40 }, make_block },
    { { 0, 10 }, train },
};

static const action *choose_action(world *w)
{
    const int n = (int)(sizeof actions / sizeof *actions);
    int total = 0, i = 0;
    for (int k = 0; k < n; k++)
        total += actions[k].weight[w->blocks];
    int64_t at = below(w, total);
    while (at >= actions[i].weight[w->blocks])
        at -= actions[i++].weight[w->blocks];
    return &actions[i];
}

static void choose_sizes(world *w)
{
    static const int64_t borders[] = {
        15,  16,  17,  31,   32,   33,   63,   64,   65,
        511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097
    };
    static const int64_t large[] = { 2, 3, 17, 64, 511, 512, 700, 12289, 8193, 70000 };
    int64_t style = below(w, 24);
    w->steps = 20 + (int)below(w, chance(w, 30) ? 200 : 60);
    w->most = style < 7 ? 300 : style < 14 ? 6000 : style < 21 ? 20000 : 400000;
    if (style >= 21)
        w->steps = 16 + (int)below(w, 24);
    for (int i = 0; i < 6; i++)
        w->sizes[i] = style < 7    ? 1 + below(w, 8)
                      : style < 14 ? 1 + below(w, 60)
                      : style < 21 ? borders[below(w, 18)]
                                   : large[below(w, 10)];
}

void tell(const world *w, const cr_tensor *t)
{
    const cr_op *op = cr_op_of(t);
    printf("%4d %p %s %s [", w->step, (const void *)t, op ? op->name : "data",
           cr_dtype_name(cr_dtype_of(t)));
    for (int i = 0; i < cr_ndim(t); i++)
        printf("%s%" PRId64, i ? "," : "", cr_size(t, i));
    printf("]%s", cr_needs_grad(t) ? "*" : "");
    for (int i = 0; i < cr_input_count(t); i++)
        printf(" %p", (void *)cr_input(t, i));
    printf("\n");
}

void take_step(world *w)
{
    const action *a = choose_action(w);
    if (w->tells)
        printf("%4d action %d\n", w->step, (int)(a - actions));
    cr_tensor *t = a->take(w);
    if (w->tells && t)
        tell(w, t);
    put(w, t, false);
}

void read_all(world *w)
{
    for (int i = w->n - 1; i > 0; i--) {
        int j = (int)below(w, i + 1);
        slot kept = w->pool[i];
        w->pool[i] = w->pool[j];
        w->pool[j] = kept;
    }
    for (int i = 0; i < w->n; i++) {
        note(w, w->pool[i].t);
        if (i % 3 == 0)
            note(w, grad_of(w->pool[w->n - 1 - i].t));
    }
    note_gradients(w);
}

void begin_program(world *w, cr_ctx *ctx, uint64_t seed, readings *out)
{
    *w = (world){ .ctx = ctx, .rng = seed * 0x2545f4914f6cdd1du + 1, .out = out };
    w->blocks = seed >= FIRST_OF_BLOCKS;
    if (w->blocks)
        choose_domain(w);
    else
        choose_sizes(w);
    w->replaces = chance(w, 60);
    w->retains = chance(w, 50);
    cr_seed(ctx, seed);
    for (int i = 0; i < 4; i++) {
        w->level += i % 2 == 0 && cr_scope_push(ctx) == CR_OK;
        make_input(w);
    }
}

void end_program(world *w)
{
    if (w->no_grad)
        cr_no_grad_pop(w->ctx);
    for (int i = 0; i < w->n; i++)
        if (w->pool[i].retained)
            cr_release(w->pool[i].t);
    for (; w->level > 0; w->level--)
        cr_scope_pop(w->ctx);
}
