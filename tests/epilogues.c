/* Maps over panels of the product that they read, around every edge of panels and tiles: values
 * and gradients have the bits that eager mode gives them, on one thread and three. Products are read
 * by several, through views, and are added to others; some are nowhere in memory. And products of
 * one matrix, which is packed once for all of them. And convolutions, of which panels are lines. */
#include "tap.h"
#include <chainrule.h>
#include <stdlib.h>
#include <string.h>

typedef struct size {
    int64_t batch, m, n, k;
} size;

/* Rectangles have at most 128 rows and 2 KiB, blocks of k 256; small products of a batch are told
 * of together. */
static const size sizes[] = {
    { 1, 2, 2, 0 },      { 1, 1, 70, 33 },    { 1, 70, 1, 33 },    { 1, 3, 5, 7 },
    { 1, 33, 31, 8 },    { 1, 130, 10, 300 }, { 1, 7, 600, 20 },   { 1, 200, 530, 12 },
    { 1, 129, 257, 40 }, { 1, 64, 1030, 9 },  { 1, 300, 40, 257 }, { 5, 3, 4, 6 },
    { 9, 60, 60, 5 },    { 3, 140, 33, 4 },   { 3, 1, 40, 6 },     { 2, 8, 700, 3 },
};

static cr_tensor *random_leaf(cr_ctx *ctx, cr_dtype dtype, cr_dims dims)
{
    return cr_requires_grad(cr_cast(cr_randn(ctx, dims), dtype));
}

/* Rows, and of how many columns, that a matrix is multiplied with time and again. */
static const size loops[] = {
    { 1, 2, 64, 0 }, { 1, 33, 70, 0 }, { 1, 128, 300, 0 }, { 1, 129, 65, 0 }
};

typedef cr_tensor *program_fn(cr_ctx *ctx, cr_dtype dtype, const size *s,
                              cr_tensor *leaves[5]);

/* What all of it comes to: the readings of one way of computing, one behind the other. */
static cr_tensor *products(cr_ctx *ctx, cr_dtype dtype, const size *s,
                           cr_tensor *leaves[5])
{
    const cr_dims x = CR_DIMS(s->batch, s->m, s->k), w = CR_DIMS(s->batch, s->k, s->n),
                  y = CR_DIMS(s->batch, s->m, s->n);
    leaves[0] = random_leaf(ctx, dtype, x);
    leaves[1] = random_leaf(ctx, dtype, w);
    leaves[2] = random_leaf(ctx, dtype, CR_DIMS(s->n));
    leaves[3] = random_leaf(ctx, dtype, y);
    leaves[4] = random_leaf(ctx, dtype, CR_DIMS(s->m, 1));
    cr_tensor *product = cr_bmm(leaves[0], leaves[1]);
    cr_tensor *gated = cr_mul(cr_tanh(product), product);
    cr_tensor *other = cr_relu(cr_add(cr_bmm(cr_neg(leaves[0]), leaves[1]), leaves[2]));
    cr_tensor *third = cr_sub(leaves[3], cr_bmm(leaves[0], cr_sigmoid(leaves[1])));
    cr_tensor *sum = cr_add(cr_add(gated, other), cr_mul(third, leaves[4]));
    cr_tensor *flat =
        cr_reshape(cr_bmm(leaves[0], leaves[1]), CR_DIMS(s->batch * s->m, s->n));
    flat = cr_mul(cr_exp(cr_neg(cr_square(flat))), 0.5);
    return cr_watch(cr_add(sum, cr_reshape(flat, y)));
}

/* Steps of a recurrence, and products of tiny numbers, with a whole matrix and parts of another. */
static cr_tensor *recurrence(cr_ctx *ctx, cr_dtype dtype, const size *s,
                             cr_tensor *leaves[5])
{
    leaves[0] = random_leaf(ctx, dtype, CR_DIMS(s->m, s->n));
    leaves[1] = random_leaf(ctx, dtype, CR_DIMS(s->n, s->n));
    leaves[2] = random_leaf(ctx, dtype, CR_DIMS(s->n));
    leaves[3] = random_leaf(ctx, dtype, CR_DIMS(s->n, 2 * s->n));
    leaves[4] = random_leaf(ctx, dtype, CR_DIMS(s->m, 1));
    cr_tensor *h = leaves[0];
    for (int i = 0; i < 6; i++) {
        const int64_t from = i < 3 ? s->n - 1 : 1;
        cr_tensor *part = cr_slice(leaves[3], 1, from, from + s->n);
        cr_tensor *tiny = cr_linear(cr_mul(h, 0x1p-120), leaves[1], leaves[2]);
        cr_tensor *other = cr_add(cr_linear(cr_mul(h, leaves[4]), part, NULL), tiny);
        h = cr_tanh(cr_add(cr_linear(h, leaves[1], leaves[2]), other));
    }
    return cr_watch(h);
}

/* Images of n x n, from k channels to m: of which bands are complete one after the other, of several
 * lines or images, in the phases of a stride, and where nothing is complete before all is. */
static const size images[] = { { 2, 5, 9, 3 },    { 1, 2, 33, 1 },   { 3, 40, 8, 20 },
                               { 2, 33, 40, 70 }, { 2, 130, 7, 64 }, { 1, 17, 61, 4 } };

static cr_tensor *convolutions(cr_ctx *ctx, cr_dtype dtype, const size *s,
                               cr_tensor *leaves[5])
{
    const cr_dims y = CR_DIMS(s->batch, s->m, s->n, s->n), pad = CR_DIMS(1);
    leaves[0] = random_leaf(ctx, dtype, CR_DIMS(s->batch, s->k, s->n, s->n));
    leaves[1] = random_leaf(ctx, dtype, CR_DIMS(s->m, s->k, 3, 3));
    leaves[2] = random_leaf(ctx, dtype, CR_DIMS(s->m));
    leaves[3] = random_leaf(ctx, dtype, y);
    leaves[4] = random_leaf(ctx, dtype, CR_DIMS(s->k, 1, 3, 3));
    cr_tensor *x = cr_tanh(leaves[0]), *w = leaves[1];
    cr_tensor *bent = cr_relu(cr_conv2d(x, w, leaves[2], .padding = pad));
    cr_tensor *more = cr_add(leaves[3], cr_conv2d(cr_mul(x, x), w, NULL, .padding = pad));
    cr_tensor *both = cr_conv2d(x, cr_neg(w), leaves[2], .padding = pad);
    both = cr_mul(cr_sigmoid(both), both);
    cr_tensor *parts[] = {
        cr_add(cr_mul(bent, more), both),
        cr_relu(cr_conv2d(x, w, leaves[2], .padding = pad, .stride = CR_DIMS(2, 1))),
        cr_exp(cr_neg(cr_square(cr_conv2d(x, w, NULL, .stride = CR_DIMS(4))))),
        cr_relu(cr_conv2d(x, leaves[4], NULL, .padding = pad, .groups = s->k)),
        cr_tanh(cr_conv1d(cr_flatten(x, 2, -1), cr_select(w, 2, 1), NULL)),
    };
    for (int i = 0; i < 5; i++)
        parts[i] = cr_flatten(parts[i], 0, -1);
    return cr_watch(cr_cat(parts, 5, 0));
}

static bool compute(program_fn *program, const size *s, cr_dtype dtype, bool eager,
                    int threads, char **out, size_t *bytes)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager, .threads = threads });
    cr_tensor *leaves[5], *read[6];
    cr_seed(ctx, 7);
    read[0] = program(ctx, dtype, s, leaves);
    cr_backward(cr_sum(cr_cast(cr_mul(read[0], read[0]), CR_F32)));
    *bytes = 0;
    *out = NULL;
    for (int i = 0; i < 6; i++) {
        read[i] = i ? cr_grad(leaves[i - 1]) : read[0];
        const size_t n = (size_t)cr_numel(read[i]) * cr_dtype_size(dtype);
        char *more = realloc(*out, *bytes + n + 1);
        if (!more)
            break;
        *out = more;
        if (n)
            cr_read(read[i], *out + *bytes, n);
        *bytes += n;
    }
    const bool done = cr_error(ctx) == CR_OK;
    if (!done)
        diag("%s", cr_message(ctx));
    cr_close(ctx);
    return done;
}

static bool same_as_eager(program_fn *program, const size *s, cr_dtype dtype)
{
    char *expected, *found;
    size_t bytes, n;
    bool same = compute(program, s, dtype, true, 1, &expected, &bytes);
    for (int threads = 1; threads <= 3; threads += 2) {
        same = compute(program, s, dtype, false, threads, &found, &n) && same &&
               n == bytes && memcmp(found, expected, n) == 0;
        free(found);
    }
    free(expected);
    if (!same)
        diag("%s, batch %d m %d n %d k %d", cr_dtype_name(dtype), (int)s->batch,
             (int)s->m, (int)s->n, (int)s->k);
    return same;
}

int main(void)
{
    static const cr_dtype dtypes[] = { CR_F32, CR_F64, CR_BF16, CR_F16 };
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++) {
        bool same = true;
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            same = same_as_eager(products, &sizes[i], dtypes[d]) && same;
        ok(same, "products of %s and what reads them, as in eager mode",
           cr_dtype_name(dtypes[d]));
        for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
            same = same_as_eager(recurrence, &loops[i], dtypes[d]) && same;
        ok(same, "many products of %s with one matrix, as in eager mode",
           cr_dtype_name(dtypes[d]));
        same = true;
        for (size_t i = 0; i < sizeof images / sizeof *images; i++)
            same = same_as_eager(convolutions, &images[i], dtypes[d]) && same;
        ok(same, "convolutions of %s and what reads them, as in eager mode",
           cr_dtype_name(dtypes[d]));
    }
    return done_testing();
}
