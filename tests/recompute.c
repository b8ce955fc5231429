/* CR_RECOMPUTE: the same bits as without it, random operations included, and the memory that it
 * promises, in the plan and in fact. */
#include "engine.h"

enum { LAYERS = 24, BATCH = 64, WIDTH = 64 };

typedef struct net {
    cr_ctx *ctx;
    cr_tensor *w[LAYERS], *x;
    bool recompute;
    int group; /* layers in a region */
} net;

static void open_net(net *n, bool recompute, int group)
{
    cr_options options = { .threads = 2 };
    n->ctx = cr_open(&options);
    n->recompute = recompute;
    n->group = group;
    cr_seed(n->ctx, 7);
    for (int i = 0; i < LAYERS; i++)
        n->w[i] = cr_requires_grad(
            cr_assign(n->w[i] = cr_zeros(n->ctx, CR_DIMS(WIDTH, WIDTH)),
                      cr_mul(cr_randn(n->ctx, CR_DIMS(WIDTH, WIDTH)), 0.15)) == CR_OK
                ? n->w[i]
                : NULL);
    n->x = cr_randn(n->ctx, CR_DIMS(BATCH, WIDTH));
    cr_eval_at(n->w, LAYERS, CR_HERE);
    cr_eval(n->x);
}

/* Softmax keeps its result, gelu its input, dropout its mask. */
static cr_tensor *layer(const net *n, int i, cr_tensor *h)
{
    h = cr_matmul(h, n->w[i]);
    h = cr_gelu(h);
    h = cr_add(h, cr_softmax(cr_tanh(h), 1));
    return cr_dropout(h, 0.25);
}

static cr_tensor *forward(const net *n)
{
    cr_tensor *h = n->x;
    for (int i = 0; i < LAYERS;) {
        if (n->recompute)
            cr_recompute_push(n->ctx);
        for (int k = 0; k < n->group && i < LAYERS; k++, i++)
            h = layer(n, i, h);
        if (n->recompute)
            cr_recompute_pop(n->ctx);
    }
    return cr_mean(cr_square(h));
}

static bool same_gradients(const net *a, const net *b)
{
    bool same = true;
    for (int i = 0; i < LAYERS && same; i++) {
        const void *x = cr_grad(a->w[i]) ? cr_data(cr_grad(a->w[i])) : NULL;
        const void *y = cr_grad(b->w[i]) ? cr_data(cr_grad(b->w[i])) : NULL;
        same = x && y && memcmp(x, y, sizeof(float) * WIDTH * WIDTH) == 0;
    }
    return same;
}

static void zero(const net *n)
{
    for (int i = 0; i < LAYERS; i++)
        cr_zero_grad(n->w[i]);
}

/* The number behind a text in the plan of xs. */
static long long from_plan(cr_tensor *loss, const net *n, const char *text)
{
    static char plan[1 << 20];
    cr_tensor *xs[LAYERS + 1] = { loss };
    for (int i = 0; i < LAYERS; i++)
        xs[i + 1] = cr_grad(n->w[i]) ? cr_grad(n->w[i]) : loss;
    cr_plan_format(xs, LAYERS + 1, plan, sizeof plan);
    const char *at = strstr(plan, text);
    return at ? atoll(at + strlen(text)) : -1;
}

static bool is_eager(void)
{
    const char *value = getenv("CHAINRULE_EAGER");
    return value && strcmp(value, "1") == 0;
}

static void test_bits(int group)
{
    net plain, again;
    open_net(&plain, false, group);
    open_net(&again, true, group);
    for (int mode = 0; mode < 3; mode++) {
        net *both[] = { &plain, &again };
        size_t peaks[2];
        long long kept[2] = { 0, 0 }, obtained[2] = { 0, 0 };
        for (int i = 0; i < 2; i++) {
            CR_SCOPE(both[i]->ctx);
            cr_rng_set(both[i]->ctx, (cr_rng){ .seed = 3, .draw = 100 });
            zero(both[i]);
            cr_eval(both[i]->w[0]); /* the old gradients' memory is free */
            cr_tensor *loss = forward(both[i]);
            if (mode == 1) {
                kept[i] = from_plan(loss, both[i], "of which ");
                cr_item(loss);
            }
            is_int(cr_backward(loss), CR_OK, "backward");
            if (mode == 2)
                obtained[i] = from_plan(loss, both[i], "in use, ");
            ok(isfinite(cr_item(loss)), "a loss");
            peaks[i] = cr_memory_peak(both[i]->ctx);
        }
        ok(same_gradients(&plain, &again), "the same bits, %d layers a region, mode %d",
           group, mode);
        if (is_eager())
            continue;
        diag("%d layers a region, mode %d: peak %zu for %zu, kept %lld for %lld, "
             "obtained %lld "
             "for %lld",
             group, mode, peaks[1], peaks[0], kept[1], kept[0], obtained[1], obtained[0]);
        const long long one = (long long)sizeof(float) * BATCH * WIDTH;
        if (mode == 1)
            ok(kept[1] <= (LAYERS / group + 2) * one && kept[0] > 3 * LAYERS * one,
               "only the regions' inputs are kept for the backward pass");
        if (mode == 2)
            ok(obtained[1] < obtained[0], "the run of both passes takes less");
    }
    cr_close(plain.ctx);
    cr_close(again.ctx);
}

/* ---- what regions read and share ---- */

static cr_tensor *doubles(cr_ctx *ctx, double a, double b)
{
    return cr_requires_grad(cr_from(ctx, CR_F64, CR_DIMS(2), CR_ARRAY(double, a, b)));
}

static void test_graph(bool recompute, double *out)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = doubles(ctx, 0.5, 1.5), *y = doubles(ctx, -1, 2), *inner, *two, *loss;
    {
        CR_SCOPE(ctx);
        if (recompute)
            cr_recompute_push(ctx);
        cr_tensor *mask = cr_gt(cr_rand_like(x), 0.0);
        inner = cr_exp(cr_mul(x, y));
        two = cr_where(mask, cr_sin(inner), cr_sum(inner, 0, .keepdim = true));
        inner = cr_mul(inner, cr_detach(two));
        if (recompute) {
            CR_RECOMPUTE(ctx); /* a part of the other */
            inner = cr_tanh(
                cr_cat(CR_ARRAY(cr_tensor *, inner, two, cr_square(x), y, x), 5, 0));
        } else {
            inner = cr_tanh(
                cr_cat(CR_ARRAY(cr_tensor *, inner, two, cr_square(x), y, x), 5, 0));
        }
        if (recompute)
            cr_recompute_pop(ctx);
        if (recompute)
            cr_recompute_push(ctx);
        cr_tensor *last = cr_mul(cr_log(cr_add(cr_square(inner), 1)), cr_sum(two));
        if (recompute)
            cr_recompute_pop(ctx);
        loss =
            cr_add(cr_sum(last), cr_sum(cr_mul(two, inner = cr_slice(inner, 0, 2, 4))));
        cr_tensor *xs[] = { x, y, two }, *g[3], *h[2];
        is_int(cr_gradients(&loss, 1, xs, 3, g, .create_graph = true), CR_OK,
               "gradients");
        cr_tensor *norm = cr_add(cr_sum(cr_square(g[0])), cr_sum(cr_square(g[1])));
        is_int(cr_gradients(&norm, 1, xs, 2, h, .retain_graph = true), CR_OK,
               "second order");
        is_int(cr_backward(loss, .retain_graph = true), CR_OK, "backward");
        is_int(cr_backward(loss), CR_OK, "and again");
        is_int(cr_backward(loss), CR_OK, "and behind what was let go");
        for (int i = 0; i < 3; i++)
            cr_read(g[i], out + 2 * i, 2 * sizeof *out);
        for (int i = 0; i < 2; i++)
            cr_read(h[i], out + 6 + 2 * i, 2 * sizeof *out);
        cr_read(cr_grad(x), out + 10, 2 * sizeof *out);
        cr_read(cr_grad(y), out + 12, 2 * sizeof *out);
    }
    ok(cr_error(ctx) == CR_OK, "no error: %s", cr_message(ctx));
    cr_close(ctx);
}

static void test_same(void)
{
    double plain[14] = { 0 }, again[14] = { 0 };
    test_graph(false, plain);
    test_graph(true, again);
    for (int i = 0; i < 14; i++)
        is_near(again[i], plain[i], 0, "number %d", i);
    ok(memcmp(plain, again, sizeof plain) == 0,
       "the same bits of first and second order");
    ok(plain[0] != 0 && plain[13] != 0, "which are numbers");
}

/* A step changes the leaves before the pass that computes again. */
static void test_assigned(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 3.0)), *v = cr_ones(ctx, CR_DIMS(100)),
              *loss;
    size_t before = cr_memory_used(ctx);
    {
        CR_SCOPE(ctx);
        cr_tensor *w = cr_requires_grad(cr_full(ctx, CR_DIMS(100), 2.0));
        {
            CR_RECOMPUTE(ctx);
            loss = cr_sum(cr_exp(cr_mul(cr_square(w), cr_mul(v, x))));
        }
        ok(isfinite(cr_item(loss)), "forward");
        cr_assign(w, cr_full(ctx, CR_DIMS(100), 5.0));
        cr_eval(w);
        is_int(cr_backward(loss), CR_OK, "backward behind an assignment");
        is_near(cr_item(cr_grad(x)), 400 * exp(12), 1e3, "sees the old value");
        CR_NO_GRAD(ctx);
        CR_RECOMPUTE(ctx);
        cr_item(cr_sum(cr_exp(w)));
    }
    cr_zero_grad(x);
    cr_eval(x);
    is_int((int64_t)cr_memory_used(ctx), (int64_t)before, "all memory goes");
    FAILS(cr_recompute_pop(ctx), ARGUMENT, "recompute_pop: nothing is recomputed");
    for (int i = 0; i < 10000; i++) {
        CR_SCOPE(ctx);
        CR_RECOMPUTE(ctx);
        cr_exp(x);
    }
    ok(cr_memory_used(ctx) < before + 2000, "regions without nodes are forgotten");
    cr_close(ctx);
}

int main(void)
{
    test_bits(1);
    test_bits(4);
    test_same();
    test_assigned();
    return done_testing();
}
