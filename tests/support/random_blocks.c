/* What networks are made of, on tensors of one shape, the program's domain. */
#include "random_blocks.h"
#include "random_ops.h"

/* ---- shapes ---- */

static int64_t length_of(world *w)
{
    static const int64_t borders[] = { 15,  16,  17,  31,   32,   33,   63,  64,
                                       127, 128, 129, 1023, 1024, 1025, 4097 };
    return chance(w, 30) ? borders[below(w, 15)]
                         : 1 + below(w, chance(w, 50) ? 70 : 3000);
}

/* Of each style so many sizes, which begin at and are of so many. In a loop: in which order an
 * initializer list draws is the compiler's. */
typedef struct size_range {
    int n;
    int64_t least[4], count[4];
} size_range;
static const size_range cubes = { 3, { 1, 1, 1 }, { 9, 20, 70 } },
                        images = { 4, { 1, 1, 5, 5 }, { 2, 33, 30, 30 } },
                        small = { 4, { 1, 1, 1, 1 }, { 5, 12, 9, 20 } };

static cr_dims sizes_in(world *w, const size_range *range)
{
    cr_dims dims = { .n = range->n };
    for (int i = 0; i < range->n; i++)
        dims.v[i] = range->least[i] + below(w, range->count[i]);
    return dims;
}

void choose_domain(world *w)
{
    static const int64_t large[][3] = { { 700, 130 },    { 33, 2600 },    { 12289, 7 },
                                        { 2, 60000 },    { 5, 49153 },    { 64, 1024 },
                                        { 2, 17, 4096 }, { 100, 3, 300 }, { 40000, 3 } };
    cr_dims dims = CR_NO_DIMS;
    const int64_t few = 1 + below(w, 40), length = length_of(w);
    const int style = (int)below(w, 16);
    if (style < 6)
        dims = chance(w, 70) ? CR_DIMS(few, length) : CR_DIMS(length, few);
    else if (style < 9)
        dims = sizes_in(w, &cubes);
    else if (style < 10)
        dims = sizes_in(w, &images);
    else if (style < 12)
        dims = sizes_in(w, &small);
    else if (style < 14)
        dims = CR_DIMS(length);
    else
        for (const int64_t *at = large[below(w, 9)]; dims.n < 3 && at[dims.n]; dims.n++)
            dims.v[dims.n] = at[dims.n];
    if (chance(w, 3))
        dims.v[below(w, dims.n)] = 0;
    w->domain = dims;
    w->real = chance(w, 70)   ? CR_F32
              : chance(w, 40) ? CR_F64
              : chance(w, 60) ? CR_BF16
                              : CR_F16;
    w->most = 2 * extent(dims) + 5000;
    w->steps = 12 + (int)below(w, extent(dims) > 50000 ? 12 : 40);
    for (int i = 0; i < 6; i++) /* some are the domain's */
        w->sizes[i] = i < 4 && dims.v[i % dims.n] ? dims.v[i % dims.n] : 1 + below(w, 20);
}

/* Which dims a sum is over: mostly the last, the first ones, or all but the channels. */
static cr_dims some_reduced(world *w)
{
    cr_dims dims = CR_NO_DIMS;
    const int rank = w->domain.n, style = (int)below(w, 10);
    const int from = style < 2 && rank > 2 ? rank - 2 : rank - 1;
    if (style < 5)
        for (int i = from; i < rank; i++)
            dims.v[dims.n++] = i;
    else if (style < 9)
        for (int i = 0; i < rank; i++)
            if (style < 7 ? i < rank - 1 : i != 1)
                dims.v[dims.n++] = i;
    return dims.n ? dims : style < 9 ? CR_DIMS(-1) : some_of(w, rank);
}

/* The domain's shape, these dims being 1. */
static cr_dims kept_dims(const world *w, cr_dims reduced)
{
    cr_dims dims = w->domain;
    for (int i = 0; i < reduced.n; i++)
        dims.v[reduced.v[i] < 0 ? reduced.v[i] + dims.n : reduced.v[i]] = 1;
    return dims;
}

/* ---- operands ---- */

/* Of that shape, as a view of something that lies otherwise. */
static cr_tensor *viewed(world *w, cr_dims dims)
{
    cr_dims stored = dims;
    const int dim = (int)below(w, dims.n), other = (int)below(w, dims.n);
    switch (below(w, 5)) {
    case 0:
        stored.v[dim] = dims.v[other];
        stored.v[other] = dims.v[dim];
        return cr_transpose(fresh(w, w->real, stored), dim, other);
    case 1:
        stored.v[dim] += 3;
        return cr_slice(fresh(w, w->real, stored), dim, 1, dims.v[dim] + 1);
    case 2:
        stored.v[dim] *= 2;
        return cr_slice(fresh(w, w->real, stored), dim, 0, INT64_MAX, .step = 2);
    case 3:
        return cr_flip(fresh(w, w->real, dims), CR_DIMS(dim));
    default:
        stored.v[dim] = 1;
        return cr_expand(fresh(w, w->real, stored), dims);
    }
}

/* Of that shape: from the pool or new, a leaf or not. */
static cr_tensor *shaped(world *w, cr_dims dims)
{
    for (int tries = 0; tries < 4; tries++) {
        cr_tensor *x = pick(w, TYPE(w->real), dims.n);
        if (x && same_dims(cr_shape(x), dims))
            return x;
    }
    cr_tensor *x = dims.n && chance(w, 35) ? viewed(w, dims) : fresh(w, w->real, dims);
    const bool leaf = x && chance(w, 50);
    if (leaf)
        x = cr_requires_grad(x);
    if (leaf || chance(w, 50))
        put(w, x, leaf);
    return x;
}

static cr_tensor *member(world *w)
{
    return shaped(w, w->domain);
}

/* What broadcasts to the domain: of rows, columns, channels. */
static cr_tensor *partial(world *w)
{
    cr_dims dims = kept_dims(w, some_reduced(w));
    while (dims.n > 0 && dims.v[0] == 1 && chance(w, 60)) {
        dims.n--;
        memmove(dims.v, dims.v + 1, (size_t)dims.n * sizeof *dims.v);
    }
    return shaped(w, dims);
}

/* ---- maps ---- */

/* A part of the values that were computed on the way is used elsewhere, too. */
static cr_tensor *seen(world *w, cr_tensor *x)
{
    if (chance(w, 12))
        put(w, x, false);
    return x;
}

/* x changed, into numbers of a moderate size. */
static cr_tensor *bent(world *w, cr_tensor *x)
{
    cr_tensor *part;
    switch (below(w, 14)) {
    case 0:
        return cr_tanh(x);
    case 1:
        return cr_gelu(x);
    case 2:
        return cr_relu(x);
    case 3:
        return cr_exp(cr_neg(cr_abs(x)));
    case 4:
        return cr_where(cr_gt(x, 0.25), x, chance(w, 50) ? 0 : -1);
    case 5:
        part = partial(w);
        return cr_where(cr_lt(x, part), x, member(w));
    case 6:
        return cr_dropout(x, 0.3);
    case 7:
        return cr_mul(cr_sigmoid(x), x);
    case 8:
        part = partial(w);
        return cr_add(cr_mul(x, part), partial(w));
    case 9:
        return cr_add(x, cr_mul(member(w), 0.5));
    case 10:
        return cr_sub(cr_clamp(x, -3, 3), partial(w));
    case 11:
        return cr_cast(cr_cast(x, chance(w, 50) ? CR_BF16 : CR_F32), w->real);
    case 12:
        return cr_add(mirrored(w, x), x);
    default:
        return cr_sin(cr_mul(x, 0.7));
    }
}

/* The same for an x of any shape. */
static cr_tensor *bent_by_itself(world *w, cr_tensor *x)
{
    return chance(w, 50) ? cr_gelu(x) : cr_clamp(cr_mul(x, 0.5), -1, 6);
}

static cr_tensor *bent_often(world *w, cr_tensor *x)
{
    for (int64_t n = below(w, 4); n > 0; n--)
        x = seen(w, bent(w, x));
    return x;
}

/* ---- sums ---- */

static cr_tensor *summed(world *w, cr_tensor *x, cr_dims dims, bool keepdim)
{
    const cr_reduce_opts o = { .site = "summed", .keepdim = keepdim };
    const bool empty = cr_numel(x) == 0;
    switch (below(w, empty ? 5 : 9)) {
    case 5:
        return cr_amax_at(x, dims, o);
    case 6:
        return cr_amin_at(x, dims, o);
    case 7:
        return cr_logsumexp_at(x, dims, o);
    case 8:
        return cr_sum_at(cr_square(x), dims, o);
    case 4:
        return cr_mean_at(x, dims, o);
    default:
        return cr_sum_at(x, dims, o);
    }
}

/* Many sums of x and of maps of it, which are not read again here. */
static cr_tensor *sums(world *w, cr_tensor *x)
{
    cr_tensor *y = bent_often(w, x), *all = NULL;
    for (int64_t n = 1 + below(w, 4); n > 0; n--) {
        cr_tensor *of = chance(w, 40)   ? bent(w, y)
                        : chance(w, 30) ? cr_mul(y, member(w))
                                        : y;
        cr_dims dims = chance(w, 25) ? CR_ALL : some_reduced(w);
        all = summed(w, of, dims, chance(w, 40));
        put(w, all, false);
    }
    return chance(w, 50) ? y : all;
}

/* Sums that maps over the same elements read, perhaps of sums again. */
static cr_tensor *feedback(world *w, cr_tensor *x)
{
    for (int64_t n = 1 + below(w, 3); n > 0 && x; n--) {
        cr_tensor *s = summed(w, chance(w, 50) ? bent(w, x) : x, some_reduced(w), true);
        s = seen(w, chance(w, 40) ? bent(w, s) : s);
        s = chance(w, 30) ? cr_tanh(s) : cr_mul(s, 1.0 / 64);
        x = chance(w, 40)   ? cr_add(x, s)
            : chance(w, 40) ? cr_mul(bent(w, x), s)
            : chance(w, 50) ? cr_where(cr_gt(x, s), x, s)
                            : cr_sub(s, bent(w, x));
        x = seen(w, x);
    }
    return x;
}

/* ---- what is known by a name ---- */

/* What lies above the diagonal counts not. */
static cr_tensor *causal(world *w, cr_tensor *x, double out)
{
    const cr_dims last = CR_DIMS(cr_size(x, -2), cr_size(x, -1));
    cr_tensor *all = cr_ones(w->ctx, last, .dtype = CR_BOOL);
    return cr_masked_fill(x, cr_logical_not(cr_tril(all, 0)), out);
}

/* Places that count not. */
static cr_tensor *masked(world *w, cr_tensor *x)
{
    const double out = chance(w, 50) ? -1e4 : chance(w, 50) ? -INFINITY : 0;
    if (w->domain.n >= 2 && chance(w, 40))
        return causal(w, x, out);
    return cr_where(cr_gt(chance(w, 50) ? member(w) : partial(w), -0.5), x, out);
}

static cr_tensor *softmax(world *w, cr_tensor *x)
{
    cr_dims dims = some_reduced(w);
    if (cr_numel(x) == 0)
        return cr_softmax(x, -1);
    if (chance(w, 30))
        x = masked(w, x);
    if (chance(w, 40))
        return chance(w, 50) ? cr_softmax(x, dims.n ? (int)dims.v[0] : 0)
                             : cr_log_softmax(x, dims.n ? (int)dims.v[0] : 0);
    cr_tensor *most = seen(w, cr_amax(x, dims, .keepdim = true));
    cr_tensor *d = seen(w, cr_sub(x, chance(w, 30) ? cr_detach(most) : most));
    cr_tensor *e = seen(w, cr_exp(d));
    cr_tensor *s = seen(w, cr_sum(e, dims, .keepdim = true));
    return chance(w, 60)   ? cr_div(e, s)
           : chance(w, 50) ? cr_mul(e, cr_reciprocal(s))
                           : cr_sub(d, cr_log(s));
}

/* The logarithm of what one class of each row has. */
static cr_tensor *picked(world *w, cr_tensor *x)
{
    const int dim = w->domain.n == 1 || chance(w, 60) ? w->domain.n - 1 : 1;
    const int64_t classes = w->domain.v[dim];
    cr_dims dims = w->domain;
    if (cr_numel(x) == 0)
        return cr_sum(x);
    dims.v[dim] = 1;
    cr_tensor *index =
        cr_clamp(cr_cast(cr_mul(fresh(w, CR_F32, dims), 7), CR_I64), 0, classes - 1);
    if (chance(w, 30))
        return cr_gather(cr_log_softmax(x, dim), dim, index);
    if (dim == w->domain.n - 1 && chance(w, 30))
        return cr_sum(
            cr_mul(cr_log_softmax(x, dim), cr_one_hot(cr_squeeze(index, dim), classes)));
    cr_class_loss_opts o = { .site = "loss" };
    o.ignore_index = CR_INT(chance(w, 50) ? 0 : -100);
    if (chance(w, 50))
        o.reduction = CR_REDUCTION_SUM;
    if (w->domain.n > 1 && dim != 1)
        x = cr_reshape(x, CR_DIMS(-1, classes)), index = cr_reshape(index, CR_DIMS(-1));
    else
        index = cr_squeeze(index, dim);
    return chance(w, 60)
               ? cr_cross_entropy_at(x, index, o)
               : cr_nll_loss_at(cr_log_softmax(x, w->domain.n == 1 ? 0 : 1), index, o);
}

/* The shape of the domain's last dims. */
static cr_dims last_dims(world *w)
{
    cr_dims dims = w->domain;
    int keep = 1 + (int)below(w, dims.n > 1 ? 2 : 1);
    memmove(dims.v, dims.v + dims.n - keep, (size_t)keep * sizeof *dims.v);
    dims.n = keep;
    return dims;
}

static cr_tensor *norm(world *w, cr_tensor *x)
{
    cr_dims last = last_dims(w), dims = some_reduced(w);
    if (cr_numel(x) == 0)
        return cr_tanh(x);
    if (chance(w, 25)) {
        cr_tensor *weight = shaped(w, last);
        return chance(w, 30)   ? cr_rms_norm(x, last, weight)
               : chance(w, 80) ? cr_layer_norm(x, last, weight, shaped(w, last))
                               : cr_layer_norm(x, last, weight, NULL);
    }
    if (w->domain.n >= 2 && w->domain.v[1] * 2 <= cr_numel(x) && chance(w, 30)) {
        const cr_dims c = CR_DIMS(w->domain.v[1]);
        cr_tensor *mean = fresh(w, w->real, c);
        cr_tensor *var = cr_abs(fresh(w, w->real, c));
        cr_tensor *scale = shaped(w, c);
        cr_tensor *shift = shaped(w, c);
        return cr_batch_norm(x, mean, var, scale, shift, chance(w, 80), 0.1);
    }
    cr_tensor *mean = seen(w, cr_mean(x, dims, .keepdim = true));
    cr_tensor *d = chance(w, 80) ? seen(w, cr_sub(x, mean)) : x;
    cr_tensor *var = seen(w, cr_mean(cr_square(d), dims, .keepdim = true));
    cr_tensor *y = chance(w, 50) ? cr_mul(d, cr_rsqrt(cr_add(var, 1e-3)))
                                 : cr_div(d, cr_sqrt(cr_add(var, 1e-3)));
    y = chance(w, 70) ? cr_mul(y, partial(w)) : y;
    return chance(w, 70) ? cr_add(y, partial(w)) : y;
}

/* A product, and what stands behind it. */
static cr_tensor *layer(world *w, cr_tensor *x)
{
    const int64_t k = w->domain.v[w->domain.n - 1], rows = k ? extent(w->domain) / k : 0;
    const int64_t n = chance(w, 50) ? k : 1 + below(w, 70);
    if (k > 1100 || rows * k * n > 20000000 || rows * n > 4 * w->most || cr_numel(x) == 0)
        return bent_often(w, x);
    cr_tensor *weight = cr_mul(shaped(w, CR_DIMS(n, k)), 0.2);
    cr_tensor *y =
        chance(w, 60) ? cr_linear(x, weight, chance(w, 70) ? shaped(w, CR_DIMS(n)) : NULL)
                      : cr_matmul(x, cr_t(weight));
    if (chance(w, 30))
        y = cr_add(y, n == k ? x : shaped(w, CR_DIMS(n)));
    y = seen(w, y);
    if (n == k && w->domain.n > 1)
        return chance(w, 50)   ? norm(w, y)
               : chance(w, 50) ? softmax(w, bent(w, y))
                               : bent(w, y);
    y = chance(w, 50) ? cr_gelu(y) : cr_relu(y);
    return chance(w, 50) ? cr_softmax(y, -1) : y;
}

static cr_tensor *attention(world *w, cr_tensor *x)
{
    const int64_t k = w->domain.v[w->domain.n - 1];
    const int64_t rows = w->domain.n > 1 ? w->domain.v[w->domain.n - 2] : 0;
    if (w->domain.n < 2 || cr_numel(x) == 0 || rows > 100 || k > 300)
        return softmax(w, x);
    cr_tensor *scores = cr_mul(cr_matmul(x, cr_t(member(w))), 0.1);
    if (chance(w, 60))
        scores = causal(w, scores, chance(w, 50) ? -INFINITY : -1e4);
    cr_tensor *p = seen(w, cr_softmax(seen(w, scores), -1));
    p = chance(w, 30) ? cr_dropout(p, 0.2) : p;
    return cr_matmul(p, member(w));
}

/* A convolution, and what stands behind it. */
static cr_tensor *convolution(world *w, cr_tensor *x)
{
    static const int64_t kernels[] = { 1, 3, 3, 5 };
    const int64_t *size = w->domain.v;
    if (w->domain.n != 4 || cr_numel(x) == 0 || cr_numel(x) > 60000)
        return norm(w, x);
    const int64_t k = kernels[below(w, 4)], stride = 1 + below(w, 2);
    const bool depthwise = chance(w, 25);
    const int64_t outs = chance(w, 50) ? size[1] : (1 + below(w, 3)) * size[1];
    const int64_t wide = chance(w, 50) ? k : 1;
    cr_tensor *weight = shaped(w, CR_DIMS(outs, depthwise ? 1 : size[1], k, wide));
    cr_tensor *bias = chance(w, 60) ? shaped(w, CR_DIMS(outs)) : NULL;
    const bool same = stride == 1 && outs == size[1];
    cr_tensor *y =
        cr_conv2d(x, cr_mul(weight, 0.3), bias, .stride = CR_DIMS(stride),
                  .padding = CR_DIMS(k / 2, wide / 2), .groups = depthwise ? size[1] : 1);
    y = seen(w, y);
    if (chance(w, 40)) {
        cr_tensor *mean = fresh(w, w->real, CR_DIMS(outs));
        cr_tensor *var = cr_abs(fresh(w, w->real, CR_DIMS(outs)));
        cr_tensor *scale = shaped(w, CR_DIMS(outs));
        const bool training = chance(w, 70) && cr_numel(y) >= 2 * outs;
        y = cr_batch_norm(y, mean, var, scale, NULL, training, 0.1);
    }
    if (same && chance(w, 50))
        y = cr_add(y, x);
    return chance(w, 60) ? cr_relu(y) : bent_by_itself(w, y);
}

/* Steps of a recurrence, whose gates are parts of one product. */
static cr_tensor *recurrence(world *w, cr_tensor *x)
{
    const int64_t n = w->domain.v[0], k = w->domain.v[w->domain.n - 1];
    if (w->domain.n != 2 || cr_numel(x) == 0 || k > 130 || n > 130)
        return feedback(w, x);
    cr_tensor *weight = cr_mul(shaped(w, CR_DIMS(4 * k, k)), 0.3);
    cr_tensor *bias = shaped(w, CR_DIMS(4 * k)), *h = member(w), *c = member(w);
    cr_tensor *own = cr_linear(x, weight, bias), *gate[4];
    for (int64_t steps = 1 + below(w, 3); steps > 0; steps--) {
        cr_tensor *all = cr_add(own, cr_linear(h, weight, NULL));
        for (int i = 0; i < 4; i++)
            gate[i] = cr_slice(all, 1, i * k, (i + 1) * k);
        c = cr_add(cr_mul(cr_sigmoid(gate[0]), c),
                   cr_mul(cr_sigmoid(gate[1]), cr_tanh(gate[2])));
        h = seen(w, cr_mul(cr_sigmoid(gate[3]), cr_tanh(c)));
    }
    return h;
}

/* ---- blocks ---- */

typedef cr_tensor *block_fn(world *w, cr_tensor *x);

cr_tensor *make_block(world *w)
{
    static block_fn *const blocks[] = { sums,      sums,       feedback,    feedback,
                                        softmax,   softmax,    norm,        norm,
                                        norm,      layer,      layer,       picked,
                                        attention, bent_often, convolution, convolution,
                                        recurrence };
    cr_tensor *x = member(w);
    if (x && chance(w, 50))
        x = bent_often(w, x);
    return x ? blocks[below(w, (int64_t)(sizeof blocks / sizeof *blocks))](w, x) : NULL;
}

cr_tensor *make_loss(world *w)
{
    cr_tensor *loss = NULL;
    for (int64_t n = 1 + below(w, 3); n > 0; n--) {
        cr_tensor *x = make_block(w);
        if (x && chance(w, 40))
            x = cr_mul(x, cr_mul(x, 0.5));
        x = chance(w, 50) ? cr_sum(x) : cr_mean(x);
        x = cr_dtype_of(x) == w->real ? x : cr_cast(x, w->real);
        loss = loss ? cr_add(loss, x) : x;
    }
    return loss;
}
