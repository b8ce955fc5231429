/* Reductions of columns at the end of maps and of row programs, row programs whose rows are
 * channels, and what row programs add up with what they compute: values have the bits that eager
 * mode gives them, for any number of threads; where rows are short, long, or more than a block; and
 * where sums have to be computed again, since they overflow, or vanish as squares. */
#include "tap.h"
#include <chainrule.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows and columns; or images and channels, of so many by so many elements. */
typedef int64_t size[4];

static const size sizes[] = {
    { 0, 8 },         { 1, 7 },          { 2, 2 },         { 3, 33 },
    { 5, 31 },        { 7, 127 },        { 31, 10 },       { 32, 65 },
    { 33, 1 },        { 33, 128 },       { 40, 129 },      { 64, 768 },
    { 65, 300 },      { 270, 256 },      { 3, 4100 },      { 4097, 5 },
    { 8200, 9 },      { 3, 9000 },       { 2, 3, 5, 7 },   { 1, 1, 4, 4 },
    { 0, 3, 2, 2 },   { 3, 8, 1, 2 },    { 4, 16, 8, 8 },  { 32, 5, 9, 9 },
    { 7, 4, 1, 33 },  { 2, 33, 16, 16 }, { 130, 3, 4, 4 }, { 2, 3, 70, 61 },
    { 1, 2, 65, 64 }, { 5, 64, 6, 6 },   { 3, 9, 40, 41 }, { 3, 33, 7, 7 },
    { 2, 20, 8, 9 },  { 9, 13, 12, 16 }, { 2, 64, 8, 16 },
};

/* What all elements of some columns, of rows too, are multiplied by. */
static const double odd[][2] = {
    { 1, 1 }, { 1e38, 1e300 }, { INFINITY, INFINITY }, { NAN, NAN }, { 1e-25, 1e-200 }
};

#define RESULTS 12

/* Elements times `by` in the first of every five columns, and in the first row. */
static cr_tensor *make_input(cr_ctx *ctx, const int64_t *s, cr_dtype dtype, double by)
{
    cr_tensor *place = cr_arange(ctx, 0, (double)s[1], 1);
    cr_tensor *first = cr_eq(cr_sub(place, cr_mul(cr_floor(cr_mul(place, 0.2)), 5)), 0);
    cr_tensor *x = cr_randn(ctx, CR_DIMS(s[0], s[1]), .dtype = dtype);
    return cr_where(first, cr_mul(x, by), x);
}

/* A loss and its gradients: how many results that are. */
static int add_gradients(cr_tensor *results[RESULTS], cr_tensor *loss, cr_tensor *x,
                         cr_tensor *weight, cr_tensor *bias)
{
    cr_backward(loss);
    results[0] = loss;
    results[1] = cr_grad(x);
    results[2] = cr_grad(weight);
    results[3] = cr_grad(bias);
    return 4;
}

static void make_columns(cr_ctx *ctx, const int64_t *s, cr_dtype dtype, double by,
                         cr_tensor *results[RESULTS])
{
    cr_tensor *x = cr_requires_grad(make_input(ctx, s, dtype, by));
    cr_tensor *weight = cr_requires_grad(cr_randn(ctx, CR_DIMS(s[1]), .dtype = dtype));
    cr_tensor *bias = cr_requires_grad(cr_randn(ctx, CR_DIMS(s[1]), .dtype = dtype));
    cr_tensor *c = cr_randn(ctx, CR_DIMS(s[0], s[1]), .dtype = dtype);
    cr_eval(x, weight, bias, c);
    /* a whole norm, and its weights' gradients; everything is summed up too */
    cr_tensor *y = cr_layer_norm(x, CR_DIMS(s[1]), weight, bias);
    int n = add_gradients(results, cr_sum(cr_mul(y, c)), x, weight, bias);
    /* maps alone, of which some stay */
    cr_tensor *maps = cr_mul(cr_tanh(x), c);
    results[n++] = cr_sum(maps, 0);
    results[n++] = maps;
    results[n++] = cr_mean(cr_mul(x, c), 0, .keepdim = true);
    results[n++] = cr_vector_norm(cr_mul(x, c), 0);
    results[n++] = cr_var(cr_add(x, c), 0);
    /* of other reductions, which are of columns too */
    cr_tensor *centred = cr_sub(x, cr_mean(x, 0, .keepdim = true));
    results[n++] = cr_prod(cr_mul(centred, c), 0);
    results[n++] = cr_sum(cr_mul(cr_softmax(centred, 1), c), 0);
    /* of a view, and of what is read otherwise by the same group */
    results[n++] = cr_sum(cr_exp(cr_neg(cr_abs(cr_t(x)))), 1);
}

/* What depends on a channel is the first of every five's. */
static void make_channels(cr_ctx *ctx, const int64_t *s, cr_dtype dtype, double by,
                          cr_tensor *results[RESULTS])
{
    const cr_dims dims = CR_DIMS(s[0], s[1], s[2], s[3]), one = CR_DIMS(s[1], 1, 1),
                  kept = CR_DIMS(0, 2, 3);
    const size flat = { 1, s[1] };
    cr_tensor *odd_ones = cr_reshape(make_input(ctx, flat, dtype, by), one);
    cr_tensor *x =
        cr_requires_grad(cr_mul(cr_randn(ctx, dims, .dtype = dtype), odd_ones));
    cr_tensor *weight = cr_requires_grad(cr_randn(ctx, CR_DIMS(s[1]), .dtype = dtype));
    cr_tensor *bias = cr_requires_grad(cr_randn(ctx, CR_DIMS(s[1]), .dtype = dtype));
    cr_tensor *c = cr_randn(ctx, dims, .dtype = dtype);
    cr_eval(x, weight, bias, c);
    cr_tensor *y = cr_batch_norm(x, NULL, NULL, weight, bias, true, 0.1);
    int n = add_gradients(results, cr_sum(cr_mul(cr_relu(y), c)), x, weight, bias);
    /* maps alone, of which some stay; what is made of channels' values; other channels */
    cr_tensor *maps = cr_mul(cr_tanh(x), c);
    results[n++] = cr_sum(maps, kept);
    results[n++] = maps;
    cr_tensor *mean = cr_mean(cr_mul(x, c), kept, .keepdim = true);
    results[n++] = cr_add(cr_mul(mean, 0.1), cr_reshape(cr_exp(weight), one));
    results[n++] = cr_sub(cr_neg(cr_mul(x, c)), mean);
    results[n++] = cr_vector_norm(cr_mul(x, c), kept);
    results[n++] = cr_sub(x, cr_sum(cr_abs(x), CR_DIMS(0, 1), .keepdim = true));
    results[n++] = cr_mul(c, cr_amax(cr_add(x, c), CR_DIMS(2, 3), .keepdim = true));
    results[n++] = cr_sum(cr_mul(x, mean), CR_DIMS(1));
}

/* Exponentials, products and negatives that are added up, by rows and all of them; where infinity
 * is the largest of a row, and where all of it is -infinity. */
static void make_sums(cr_ctx *ctx, const int64_t *s, cr_dtype dtype, double by,
                      cr_tensor *results[RESULTS])
{
    cr_tensor *rows = cr_unsqueeze(cr_arange(ctx, 0, (double)s[0], 1), 1);
    cr_tensor *x = make_input(ctx, s, dtype, by);
    cr_tensor *c = cr_randn(ctx, CR_DIMS(s[0], s[1]), .dtype = dtype);
    x = cr_where(cr_eq(rows, 2), -(double)INFINITY, x);
    cr_tensor *labels =
        cr_cast(cr_mul(cr_rand(ctx, CR_DIMS(s[0])), (double)s[1] * 0.99), CR_I64);
    cr_eval(x, c, labels);
    cr_tensor *leaf[3], *part[3];
    int n = 0;
    for (int i = 0; i < 3; i++)
        leaf[i] = cr_requires_grad(cr_mul(x, 1));
    part[0] = cr_mul(cr_softmax(leaf[0], 1), c);
    part[1] = cr_mul(cr_log_softmax(leaf[1], 1), c);
    part[2] = cr_cross_entropy(leaf[2], labels, .ignore_index = CR_INT(1));
    for (int i = 0; i < 3; i++) {
        cr_tensor *loss = cr_sum(part[i]);
        cr_backward(loss);
        results[n++] = loss;
        results[n++] = cr_grad(leaf[i]);
    }
    results[n++] = cr_sum(cr_neg(cr_mul(x, c)), 1);
    cr_tensor *negative = cr_neg(cr_tanh(x));
    results[n++] =
        cr_add(cr_sum(negative),
               cr_sum(cr_mul(cr_sub(x, cr_amax(x, 1, .keepdim = true)), cr_sigmoid(c))));
    while (n < RESULTS)
        results[n++] = cr_sum(x, 1);
}

typedef void make_fn(cr_ctx *ctx, const int64_t *s, cr_dtype dtype, double by,
                     cr_tensor *results[RESULTS]);

/* They, one behind the other, any NaN as the same. */
static char *compute(make_fn *make, const int64_t *s, cr_dtype dtype, double by,
                     bool eager, int threads, size_t *bytes)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager, .threads = threads });
    cr_tensor *results[RESULTS], *one[RESULTS];
    char *out = NULL;
    cr_seed(ctx, 11);
    make(ctx, s, dtype, by, results);
    *bytes = 0;
    for (int i = 0; i < RESULTS; i++)
        one[i] = cr_where(cr_isnan(results[i]), NAN, results[i]);
    for (int i = 0; i < RESULTS; i++) {
        const size_t n = (size_t)cr_numel(one[i]) * cr_dtype_size(dtype);
        char *more = realloc(out, *bytes + n + 1);
        if (!more)
            break;
        out = more;
        if (n)
            cr_read(one[i], out + *bytes, n);
        *bytes += n;
    }
    if (cr_error(ctx) != CR_OK) {
        diag("%s", cr_message(ctx));
        free(out);
        out = NULL;
    }
    cr_close(ctx);
    return out;
}

static bool same_as_eager(make_fn *make, const int64_t *s, cr_dtype dtype, double by)
{
    static const int threads[] = { 1, 2, 7 };
    size_t bytes, n;
    char *expected = compute(make, s, dtype, by, true, 1, &bytes);
    bool same = expected != NULL;
    for (int i = 0; i < 3 && same; i++) {
        char *found = compute(make, s, dtype, by, false, threads[i], &n);
        same = found && n == bytes && memcmp(found, expected, n) == 0;
        free(found);
    }
    free(expected);
    if (!same)
        diag("%d rows, %d columns of %d, times %g", (int)s[0], (int)s[1],
             (int)(s[2] * s[3]), by);
    return same;
}

/* Of these not every type and every odd element is tried, which would take half a minute. */
static bool is_large(const int64_t *s)
{
    return s[0] * s[1] * (s[2] ? s[2] * s[3] : 1) > 10000;
}

int main(void)
{
    static const cr_dtype dtypes[] = { CR_F32, CR_F64, CR_BF16 };
    for (size_t d = 0; d < sizeof dtypes / sizeof *dtypes; d++)
        for (size_t o = 0; o < sizeof odd / sizeof *odd; o++) {
            const double by = odd[o][dtypes[d] == CR_F64];
            bool same = true;
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                if (is_large(sizes[i]) && o + d > 1)
                    continue;
                same =
                    same_as_eager(sizes[i][2] ? make_channels : make_columns, sizes[i],
                                  dtypes[d], by) &&
                    (sizes[i][2] || same_as_eager(make_sums, sizes[i], dtypes[d], by)) &&
                    same;
            }
            ok(same, "columns and channels of %s, some times %g, as in eager mode",
               cr_dtype_name(dtypes[d]), by);
        }
    return done_testing();
}
