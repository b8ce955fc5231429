/* Attention in blocks against the same composed of matmul and softmax, which a mask that wants a
 * gradient asks for: values, gradients of first and second order, at sizes of several blocks. */
#include "engine.h"
#include "op_sample.h"

static cr_tensor *values(cr_ctx *ctx, cr_dims dims, uint64_t *state)
{
    int64_t n = count_of(dims);
    double *v = malloc((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++)
        v[i] = 4 * uniform(state) - 2;
    cr_tensor *x = cr_from(ctx, CR_F64, dims, v);
    free(v);
    return x;
}

static double distance(cr_tensor *a, cr_tensor *b)
{
    return cr_item(cr_amax(cr_abs(cr_sub(a, b))));
}

typedef struct shape {
    int64_t heads, queries, keys, width, values;
    bool causal, masked;
} shape;

/* The result and the three gradients, and those of a sum of squares of them. */
static void attend(cr_tensor *const *in, cr_tensor *mask, cr_tensor *c, bool causal,
                   cr_tensor **found)
{
    cr_tensor *y =
        cr_scaled_dot_product_attention(in[0], in[1], in[2], mask, .is_causal = causal);
    found[0] = y;
    cr_gradients(&y, 1, in, 3, found + 1, .cotangents = &c, .create_graph = true);
    cr_tensor *squares = cr_sum(cr_square(found[1]));
    for (int i = 2; i < 4; i++)
        squares = cr_add(squares, cr_sum(cr_square(found[i])));
    cr_gradients(&squares, 1, in, 3, found + 4);
}

static void test_shape(cr_ctx *ctx, const shape *s, uint64_t seed)
{
    CR_SCOPE(ctx);
    uint64_t state = seed;
    cr_tensor *in[3] = { values(ctx, CR_DIMS(s->heads, s->queries, s->width), &state),
                         values(ctx, CR_DIMS(s->heads, s->keys, s->width), &state),
                         values(ctx, CR_DIMS(s->heads, s->keys, s->values), &state) };
    cr_tensor *c = values(ctx, CR_DIMS(s->heads, s->queries, s->values), &state);
    cr_tensor *visible = cr_gt(values(ctx, CR_DIMS(s->queries, s->keys), &state), 0.5);
    cr_tensor *found[7], *want[7];
    for (int i = 0; i < 3; i++)
        in[i] = cr_requires_grad(in[i]);
    attend(in, s->masked ? visible : NULL, c, s->causal, found);
    /* The same as a sum: -inf where nothing is to be seen. */
    cr_tensor *i = cr_unsqueeze(cr_arange(ctx, 0, s->queries, 1), 1);
    cr_tensor *seen = cr_le(cr_arange(ctx, 0, s->keys, 1), i);
    if (s->masked)
        seen = visible;
    else if (!s->causal)
        seen = cr_ones_like(visible);
    cr_tensor *sum =
        cr_where(seen, cr_zeros(ctx, CR_DIMS(1), .dtype = CR_F64), -(double)INFINITY);
    attend(in, cr_requires_grad(sum), c, false, want);
    for (int k = 0; k < 7; k++)
        is_near(distance(found[k], want[k]), 0, k < 4 ? 1e-12 : 1e-9,
                "%d heads, [%d, %d] of %d and %d%s%s: result %d", (int)s->heads,
                (int)s->queries, (int)s->keys, (int)s->width, (int)s->values,
                s->causal ? ", causal" : "", s->masked ? ", masked" : "", k);
    is_text(cr_message(ctx), "", "no error");
}

int main(void)
{
    static const shape shapes[] = {
        { 2, 300, 300, 8, 5, true, false }, { 2, 300, 300, 8, 5, false, false },
        { 1, 70, 5000, 3, 4, false, true }, { 3, 129, 40, 4, 4, true, false },
        { 1, 5, 4099, 4, 1, true, false },  { 1, 257, 129, 1, 3, true, false },
        { 2, 200, 33, 16, 2, false, true },
    };
    cr_ctx *ctx = cr_open(NULL);
    for (int i = 0; i < (int)(sizeof shapes / sizeof *shapes); i++)
        test_shape(ctx, &shapes[i], (uint64_t)i + 1);
    cr_close(ctx);
    return done_testing();
}
