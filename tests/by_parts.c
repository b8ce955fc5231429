/* Groups that run together, one part of their values after the other: results and gradients have the
 * bits of eager mode, on one thread and two, also where a value is seen across parts, where memory
 * of another size is used again, where tiny operands have an exponent that only all of them tell, and
 * over a step's end. */
#include "tap.h"

#include <chainrule.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct block {
    cr_tensor *q, *k, *v, *seen;
} block;
typedef cr_tensor *program_fn(const block *b);

static cr_tensor *scores(const block *b)
{
    return cr_matmul(b->q, cr_transpose(b->k, -2, -1));
}

/* ---- what runs together ---- */

static cr_tensor *attend(const block *b)
{
    cr_tensor *s = cr_where(b->seen, cr_mul(scores(b), 0.25), -(double)INFINITY);
    return cr_matmul(cr_softmax(s, -1), b->v);
}

static cr_tensor *chain(const block *b)
{
    cr_tensor *s = scores(b);
    return cr_matmul(cr_matmul(s, s), b->v);
}

static cr_tensor *with_noise(const block *b)
{
    cr_tensor *s = cr_dropout(cr_softmax(scores(b), -1), 0.5);
    return cr_matmul(s, b->v);
}

static cr_tensor *normed(const block *b)
{
    cr_tensor *s = scores(b), *mean = cr_mean(s, -1, .keepdim = true);
    cr_tensor *z = cr_matmul(cr_transpose(cr_sub(s, mean), -2, -1), b->v);
    return cr_add(z, cr_mul(mean, b->v));
}

/* Memory of what is no longer read, for a value of half the size. */
static cr_tensor *narrowing(const block *b)
{
    cr_tensor *z = cr_matmul(scores(b), b->v);
    cr_tensor *half = cr_narrow(b->k, -2, 0, cr_size(b->k, -2) / 2);
    cr_tensor *s = cr_softmax(cr_matmul(z, cr_transpose(half, -2, -1)), -1);
    return cr_matmul(s, cr_narrow(b->v, -2, 0, cr_size(b->v, -2) / 2));
}

static cr_tensor *pair(const block *b)
{
    return cr_matmul(scores(b), b->v);
}

/* Part of each row. */
static cr_tensor *sliced(const block *b)
{
    const int64_t n = cr_size(b->k, -2) - 1;
    return cr_matmul(cr_narrow(scores(b), -1, 1, n), cr_narrow(b->v, -2, 1, n));
}

/* Backward sums columns of all parts. */
static cr_tensor *biased(const block *b)
{
    cr_tensor *bias = cr_reshape(b->v, CR_DIMS(-1, cr_size(b->k, -2)));
    cr_tensor *s = cr_add(scores(b), cr_select(bias, 0, 1));
    return cr_matmul(cr_softmax(s, -1), b->v);
}

/* ---- what sees other parts ---- */

/* The batch's dims exchanged: [a, b, ..] for [b, a, ..]. */
static cr_tensor *across(const block *b)
{
    cr_tensor *s = scores(b);
    cr_dims dims = cr_shape(s), other = cr_shape(b->v);
    cr_tensor *turned = cr_transpose(
        cr_reshape(s, CR_DIMS(2, -1, dims.v[dims.n - 2], dims.v[dims.n - 1])), 0, 1);
    cr_tensor *v =
        cr_reshape(b->v, CR_DIMS(-1, 2, other.v[other.n - 2], other.v[other.n - 1]));
    return cr_matmul(turned, v);
}

/* The first of all for each. */
static cr_tensor *first_for_all(const block *b)
{
    cr_tensor *s =
        cr_reshape(scores(b), CR_DIMS(-1, cr_size(b->q, -2), cr_size(b->k, -2)));
    cr_dims v = cr_shape(b->v);
    return cr_matmul(cr_expand(cr_narrow(s, 0, 0, 1), cr_shape(s)),
                     cr_reshape(b->v, CR_DIMS(-1, v.v[v.n - 2], v.v[v.n - 1])));
}

/* Sums of all parts in between. */
static cr_tensor *summed(const block *b)
{
    cr_tensor *s = scores(b);
    return cr_matmul(cr_sub(s, cr_mean(s, 0, .keepdim = true)), b->v);
}

/* ---- and back ---- */

typedef struct shape {
    int64_t batch[2]; /* one or, unless the second is 0, two dims */
    int64_t n;
    double scale; /* of q and k */
    double first; /* and of the first matrices of q once more */
} shape;

#define STEPS 2
#define SOME  (-1)

/* The results and gradients of some steps, in which gradients take the place of older ones. */
static char *results(program_fn *fn, const shape *s, int threads, bool eager,
                     size_t *bytes, int *stretches)
{
    enum { WIDTH = 16 };
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = threads, .eager = eager });
    const cr_dims dims = s->batch[1] ? CR_DIMS(s->batch[0], s->batch[1], s->n, WIDTH)
                                     : CR_DIMS(s->batch[0], s->n, WIDTH);
    block b = { .q = cr_mul(cr_randn(ctx, dims), s->scale),
                .k = cr_mul(cr_randn(ctx, dims), s->scale),
                .v = cr_randn(ctx, dims) };
    cr_tensor *i = cr_arange(ctx, 0, s->n, 1, .dtype = CR_I64), *g = NULL;
    cr_tensor *first = cr_eq(cr_arange(ctx, 0, dims.v[0], 1), 0);
    b.q = cr_where(
        cr_reshape(first, cr_ndim(b.q) > 3 ? CR_DIMS(-1, 1, 1, 1) : CR_DIMS(-1, 1, 1)),
        cr_mul(b.q, s->first), b.q);
    b.seen = cr_le(i, cr_unsqueeze(i, 1));
    cr_tensor *leaves[] = { b.q = cr_requires_grad(cr_detach(b.q)),
                            b.k = cr_requires_grad(cr_detach(b.k)),
                            b.v = cr_requires_grad(cr_detach(b.v)) };
    cr_eval(b.q, b.k, b.v, b.seen);
    char *all = NULL;
    *bytes = 0;
    *stretches = 0;
    for (int step = 0; step < STEPS; step++) {
        CR_SCOPE(ctx);
        for (int k = 0; k < 3; k++)
            cr_zero_grad(leaves[k]);
        cr_tensor *out = fn(&b);
        g = g ? g : cr_keep(cr_randn(ctx, cr_shape(out)));
        cr_tensor *loss = cr_sum(cr_mul(out, g));
        cr_backward(loss);
        cr_tensor *read[] = { out, cr_grad(b.q), cr_grad(b.k), cr_grad(b.v) };
        char *text = calloc(1 << 16, 1);
        if (text && !eager && cr_plan_format(read, 4, text, 1 << 16))
            for (const char *at = text; (at = strstr(at, "run together")) != NULL; at++)
                ++*stretches;
        free(text);
        for (int k = 0; k < 4; k++) {
            const size_t n = (size_t)cr_numel(read[k]) * sizeof(float);
            const void *data = cr_data(read[k]);
            all = realloc(all, *bytes + n);
            if (data && all)
                memcpy(all + *bytes, data, n);
            *bytes += n;
        }
    }
    if (cr_error(ctx))
        diag("%s", cr_message(ctx));
    bool good = !cr_error(ctx);
    cr_close(ctx);
    if (good)
        return all;
    free(all);
    return NULL;
}

static void test_program(const char *name, program_fn *fn, const shape *s, int expected)
{
    size_t n, m;
    int stretches;
    char *want = results(fn, s, 1, true, &n, &stretches);
    for (int threads = 1; threads < 3; threads++) {
        char *have = results(fn, s, threads, false, &m, &stretches);
        ok(want && have && n == m && memcmp(want, have, n) == 0,
           "%s of %d x %d matrices, times %g, the first %g, on %d: the bits of eager "
           "mode",
           name, (int)s->batch[0], (int)s->batch[1], s->scale, s->first, threads);
        ok(expected == SOME ? stretches > 0 : stretches == expected * STEPS,
           "%s: %d stretches in %d steps", name, stretches, STEPS);
        free(have);
    }
    free(want);
}

int main(void)
{
    static const shape plain = { { 16 }, 256, 1, 1 }, two_dims = { { 6, 4 }, 250, 1, 1 },
                       many = { { 1000 }, 40, 1, 1 }, odd = { { 17, 3 }, 147, 1, 1 },
                       tiny = { { 16 }, 256, 0x1p-66, 1 },
                       tiny_behind_zeros = { { 16 }, 256, 0x1p-66, 0 },
                       tiny_behind_others = { { 16 }, 256, 0x1p-66, 0x1p66 },
                       tiny_first = { { 16 }, 256, 1, 0x1p-132 },
                       zeros_first = { { 16 }, 256, 1, 0 }, few = { { 3 }, 256, 1, 1 };
    const shape *all[] = { &plain, &two_dims, &many, &odd };
    for (int i = 0; i < tap_share(4); i++)
        test_program("attention", attend, all[i], 2);
    test_program("a chain", chain, &many, SOME);
    test_program("dropout", with_noise, &two_dims, SOME);
    test_program("means of rows", normed, &two_dims, SOME);
    test_program("narrowing", narrowing, &plain, SOME);
    test_program("batches exchanged", across, &two_dims, 0);
    test_program("the first for all", first_for_all, &plain, 0);
    test_program("sums over the batch", summed, &plain, 0);
    test_program("part of each row", sliced, &plain, SOME);
    test_program("sums of columns", biased, &plain, 1);
    const shape *uneven[] = { &tiny, &tiny_behind_zeros, &tiny_behind_others, &tiny_first,
                              &zeros_first };
    for (int i = 0; i < tap_share(5); i++) {
        test_program("attention", attend, uneven[i], SOME);
        test_program("two products", pair, uneven[i], SOME);
    }
    test_program("what fits the cache", attend, &few, 0);
    return done_testing();
}
