/* Attention in blocks against the same composed of matmul and softmax, which a mask that wants a
 * gradient asks for: values, gradients of first and second order, at sizes of several blocks. And
 * against the order of sums that it has, written out in products of whole rows: to the bit. */
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

/* ---- to the bit ---- */

typedef struct exact {
    int64_t heads, queries, keys, width, values;
    enum { PLAIN, CAUSAL, BOOLS, FLOATS, STRIDED, INFINITE } kind;
} exact;

/* Bits are equal when values are, any NaN equalling any NaN. */
static bool are_equal(cr_tensor *a, cr_tensor *b)
{
    if (cr_numel(a) == 0)
        return cr_numel(b) == 0;
    cr_tensor *both = cr_logical_and(cr_ne(a, a), cr_ne(b, b));
    return cr_item(cr_amin(cr_cast(cr_logical_or(cr_eq(a, b), both), CR_F32))) == 1;
}

/* Rows first .. first + n - 1 of dim -2. */
static cr_tensor *rows_of(cr_tensor *x, int64_t first, int64_t n)
{
    return cr_slice(x, -2, first, first + n);
}

/* y, dq, dk and dv of one head, block by block of queries. */
static void by_definition(const exact *x, cr_tensor *const *in, cr_tensor *mask,
                          cr_tensor *g, double scale, cr_tensor **want)
{
    cr_tensor *q = in[0], *k = in[1], *v = in[2], *ys[512], *dqs[512];
    cr_ctx *ctx = cr_ctx_of(q);
    const int64_t size = (int64_t)cr_dtype_size(cr_dtype_of(q));
    int64_t rows = (256 << 10) / size / x->keys, blocks = 0;
    rows = rows < 8 ? 8 : rows > 128 ? 128 : rows;
    cr_tensor *dk = NULL, *dv = NULL;
    for (int64_t i = 0; i < x->queries; i += rows, blocks++) {
        const int64_t n = rows < x->queries - i ? rows : x->queries - i;
        const bool causal = x->kind == CAUSAL || x->kind == STRIDED;
        const int64_t m = causal && i + n < x->keys ? i + n : x->keys;
        cr_tensor *qb = rows_of(q, i, n), *gb = rows_of(g, i, n), *kb = rows_of(k, 0, m),
                  *vb = rows_of(v, 0, m);
        cr_tensor *s = cr_mul(cr_matmul(qb, cr_transpose(kb, -2, -1)), scale);
        if (mask && cr_dtype_of(mask) == CR_BOOL)
            s = cr_where(rows_of(mask, i, n), s, -(double)INFINITY);
        else if (mask)
            s = cr_add(s, rows_of(mask, i, n));
        if (causal)
            s = cr_where(cr_le(cr_arange(ctx, 0, m, 1),
                               cr_unsqueeze(cr_arange(ctx, i, i + n, 1), 1)),
                         s, -(double)INFINITY);
        cr_tensor *most = cr_amax(s, CR_DIMS(-1), .keepdim = true);
        cr_tensor *none = cr_eq(most, -(double)INFINITY);
        cr_tensor *e = cr_where(none, 0, cr_exp(cr_sub(s, most)));
        cr_tensor *sum = cr_where(none, 1, cr_sum(e, CR_DIMS(-1), .keepdim = true));
        ys[blocks] = cr_div(cr_matmul(e, vb), sum);
        cr_tensor *log = cr_where(none, (double)INFINITY, cr_add(most, cr_log(sum)));
        cr_tensor *p = cr_exp(cr_sub(s, log));
        cr_tensor *dp = cr_matmul(gb, cr_transpose(vb, -2, -1));
        cr_tensor *mean = cr_sum(cr_mul(gb, ys[blocks]), CR_DIMS(-1), .keepdim = true);
        cr_tensor *ds = cr_mul(cr_mul(cr_sub(dp, mean), p), scale);
        if (causal)
            ds = cr_where(cr_eq(p, 0), 0, ds);
        dqs[blocks] = cr_matmul(ds, kb);
        cr_tensor *of_k = cr_pad(cr_matmul(cr_transpose(ds, -2, -1), qb),
                                 CR_DIMS(0, 0, 0, x->keys - m)),
                  *of_v = cr_pad(cr_matmul(cr_transpose(p, -2, -1), gb),
                                 CR_DIMS(0, 0, 0, x->keys - m));
        dk = dk ? cr_add(dk, of_k) : of_k;
        dv = dv ? cr_add(dv, of_v) : of_v;
    }
    want[0] = cr_cat(ys, (int)blocks, -2);
    want[1] = cr_cat(dqs, (int)blocks, -2);
    want[2] = dk, want[3] = dv;
}

static void test_exact(cr_ctx *ctx, const exact *x, cr_dtype type, uint64_t seed)
{
    static const char *const names[] = { "result", "of q", "of k", "of v" };
    CR_SCOPE(ctx);
    uint64_t state = seed;
    const bool strided = x->kind == STRIDED;
    const int64_t sizes[3][2] = { { x->queries, x->width },
                                  { x->keys, x->width },
                                  { x->keys, x->values } };
    cr_tensor *in[3], *mask = NULL, *found[4], *want[4];
    for (int i = 0; i < 3; i++) {
        const int64_t n = sizes[i][0], w = sizes[i][1];
        in[i] = cr_cast(
            values(ctx, strided ? CR_DIMS(n, x->heads, w) : CR_DIMS(x->heads, n, w),
                   &state),
            type);
        in[i] = cr_requires_grad(strided ? cr_transpose(in[i], 0, 1) : in[i]);
    }
    cr_tensor *g =
        cr_cast(values(ctx, CR_DIMS(x->heads, x->queries, x->values), &state), type);
    if (x->kind == BOOLS || x->kind == FLOATS || x->kind == INFINITE)
        mask = cr_cast(values(ctx, CR_DIMS(x->queries, x->keys), &state), type);
    if (x->kind == BOOLS)
        mask = cr_gt(mask, 1.5);
    if (x->kind == INFINITE) { /* rows of NaN, of inf, and of nothing */
        mask = cr_where(cr_gt(mask, 1.99), (double)NAN, mask);
        mask = cr_where(cr_lt(mask, 0.5), -(double)INFINITY, mask);
        mask = cr_where(cr_gt(mask, 1.98), (double)INFINITY, mask);
    }
    cr_tensor *y = cr_scaled_dot_product_attention(
        in[0], in[1], in[2], mask, .is_causal = x->kind == CAUSAL || strided,
        .scale = CR_REAL(0.3));
    found[0] = y;
    cr_gradients(&y, 1, in, 3, found + 1, .cotangents = &g);
    by_definition(x, in, mask, g, 0.3, want);
    for (int i = 0; i < 4; i++)
        ok(are_equal(found[i], want[i]),
           "%s, kind %d, [%d, %d, %d] of %d and %d to the bit: %s", cr_dtype_name(type),
           (int)x->kind, (int)x->heads, (int)x->queries, (int)x->keys, (int)x->width,
           (int)x->values, names[i]);
    is_text(cr_message(ctx), "", "no error");
}

int main(void)
{
    static const exact exacts[] = {
        { 2, 128, 128, 16, 16, CAUSAL }, { 1, 129, 129, 9, 17, CAUSAL },
        { 2, 300, 290, 31, 5, CAUSAL },  { 1, 290, 300, 33, 40, STRIDED },
        { 1, 257, 700, 8, 2, CAUSAL },   { 3, 7, 13, 3, 65, CAUSAL },
        { 2, 33, 257, 2, 3, PLAIN },     { 1, 70, 513, 300, 20, PLAIN },
        { 1, 1, 77, 8, 8, PLAIN },       { 2, 9, 1, 4, 4, PLAIN },
        { 1, 20, 20, 1, 3, PLAIN },      { 1, 20, 20, 3, 1, PLAIN },
        { 1, 10, 5000, 4, 3, PLAIN },    { 2, 140, 260, 8, 8, BOOLS },
        { 2, 65, 33, 5, 7, FLOATS },     { 1, 40, 41, 6, 6, INFINITE },
        { 2, 64, 64, 32, 32, STRIDED },
    };
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
    for (int threads = 1; threads <= 7; threads += 6) { /* more than there are heads */
        ctx = cr_open(&(cr_options){ .threads = threads });
        for (int i = 0; i < (int)(sizeof exacts / sizeof *exacts); i++) {
            test_exact(ctx, &exacts[i], CR_F32, (uint64_t)i + 1);
            test_exact(ctx, &exacts[i], CR_F64, (uint64_t)i + 1);
        }
        cr_close(ctx);
    }
    return done_testing();
}
