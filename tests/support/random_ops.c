/* Operations of all kinds on tensors that chance picks: each function returns the result,
 * or NULL if there is nothing that fits. */
#include "random_ops.h"
#include "tap.h"

/* ---- whatever the registry lists ---- */

/* What a sample gives exactly: kinks, ties, and what only such values may be. */
static cr_tensor *given(world *w, const sample_input *in, cr_dtype real)
{
    uint64_t state = 0;
    array a = make_array(in, NULL, &state);
    cr_tensor *x = cr_from(w->ctx, CR_F64, a.dims, a.v);
    free(a.v);
    return cr_cast(x, in->kind == 'f' ? real : in->kind == 'b' ? CR_BOOL : CR_I64);
}

/* Elements of a tensor of the pool, or new ones, as this input of a sample describes. */
static cr_tensor *drawn(world *w, const sample_input *in, cr_dtype real, cr_dims dims)
{
    bool whole = in->kind == 'i', ranged = in->low != -2 || in->high != 2;
    int64_t n = count_of(dims);
    cr_tensor *x = in->constant ? NULL : pick(w, in->kind == 'f' ? TYPE(real) : ANY, 0);
    if (in->kind == '-')
        return NULL;
    if (in->values)
        return given(w, in, real);
    if (!x || cr_numel(x) < n || n == 0)
        x = fresh(w, in->kind == 'f' ? real : CR_I64, dims);
    else if (!same_dims(cr_shape(x), dims))
        x = cr_reshape(cr_slice(cr_reshape(x, CR_DIMS(-1)), 0, 0, n), dims);
    if (in->kind == 'b')
        return cr_gt(x, 0);
    if (whole)
        return cr_clamp(cr_cast(x, CR_I64), (int64_t)in->low, (int64_t)in->high - 1);
    return ranged ? cr_add(cr_mul(cr_sigmoid(x), in->high - in->low), in->low) : x;
}

/* Whether its tensors may all have any shape of this rank instead: they are of one shape, and
 * the attributes name no dim that there is not. */
static bool takes_any_shape(const cr_op *op, const sample *s, int rank)
{
    bool any = (op->kind == CR_OP_MAP || op->kind == CR_OP_REDUCE) && s->n > 0 &&
               rank >= s->in[0].dims.n;
    for (int i = 0; i < s->n; i++)
        any = any && !s->in[i].values &&
              (s->in[i].kind == 'n' || same_dims(s->in[i].dims, s->in[0].dims) ||
               s->in[0].kind == 'n');
    return any;
}

static cr_tensor *call_listed(world *w, const cr_op *op, const sample *s,
                              const char *attrs)
{
    cr_tensor *like = pick(w, FLOATS, 1), *in[MOST_INPUTS], *out[8] = { 0 };
    cr_arg operands[MOST_INPUTS];
    cr_dtype real = like ? cr_dtype_of(like) : CR_F32;
    bool any = like && cr_numel(like) > 0 && takes_any_shape(op, s, cr_ndim(like));
    bool numbers = false;
    for (int i = 0; i < s->n; i++) {
        const sample_input *input = &s->in[i];
        double part = (double)below(w, 9) / 8;
        bool number = input->kind == 'n';
        in[i] = number ? NULL : drawn(w, input, real, any ? cr_shape(like) : input->dims);
        operands[i] = number ? cr_arg_real(input->low + (input->high - input->low) * part)
                             : cr_arg_tensor(in[i]);
        numbers = numbers || number;
    }
    if (numbers)
        return cr__record(w->ctx, op, operands, s->n, NULL, "listed");
    cr_call(w->ctx, op, in, s->n, attrs, out, 8);
    return out[0];
}

/* What refuses values that programs come to, NaN among them, or a derivative of a high order. */
static bool may_refuse(const cr_op *op)
{
    static const char *const names[] = { "binary_cross_entropy",
                                         "gaussian_nll_loss",
                                         "multinomial",
                                         "categorical",
                                         "gamma",
                                         "beta",
                                         "det" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], op->name) == 0)
            return true;
    return false;
}

cr_tensor *make_listed(world *w)
{
    int ops = 0, samples = 0;
    while (cr_op_list(ops))
        ops++;
    const cr_op *op = cr_op_list((int)below(w, ops));
    if (may_refuse(op))
        return NULL;
    while (op->samples[samples].inputs)
        samples++;
    const cr_sample *text = &op->samples[below(w, samples)];
    sample s;
    return parse_sample(text->inputs, &s) ? call_listed(w, op, &s, text->attrs) : NULL;
}

/* ---- maps ---- */

typedef cr_tensor *binary_fn(cr_arg x, cr_arg y, const char *site);

/* A number that every type but bool can hold. */
static cr_arg some_number(world *w, cr_tensor *x)
{
    static const double reals[] = { 0.5, -1.5, 2, 0.1, 3, -1, 0, 1.25 };
    return is_float(x) && chance(w, 70) ? cr_arg_real(reals[below(w, 8)])
                                        : cr_arg_int(below(w, 4));
}

static cr_tensor *apply_binary(world *w, binary_fn *f, cr_tensor *x, bool number_fits)
{
    cr_arg a = cr_arg_tensor(x), b;
    b = number_fits && chance(w, 35) ? some_number(w, x)
                                     : cr_arg_tensor(fitting(w, x, TYPE(cr_dtype_of(x))));
    return chance(w, 50) ? f(a, b, "binary") : f(b, a, "binary");
}

cr_tensor *make_binary(world *w)
{
    static binary_fn *const all[] = { cr_add_at,     cr_sub_at, cr_mul_at,
                                      cr_maximum_at, cr_mul_at, cr_minimum_at };
    cr_tensor *x = pick(w, ANY, 0);
    if (!x)
        return NULL;
    if (cr_dtype_of(x) == CR_BOOL)
        return apply_binary(w, cr_mul_at, x, false);
    if (is_float(x) && chance(w, 15)) {
        if (chance(w, 80))
            x = cr_add(cr_abs(x), 0.25);
        return cr_div_at(some_number(w, x), cr_arg_tensor(x), "div");
    }
    if (is_float(x) && chance(w, 15))
        return apply_binary(w, chance(w, 50) ? cr_div_at : cr_pow_at, x, true);
    return apply_binary(w, all[below(w, 6)], x, true);
}

static cr_tensor *compare(world *w, cr_tensor *x)
{
    static binary_fn *const all[] = { cr_lt_at,          cr_le_at,        cr_gt_at,
                                      cr_ge_at,          cr_eq_at,        cr_ne_at,
                                      cr_logical_and_at, cr_logical_or_at };
    bool numbers = cr_dtype_of(x) != CR_BOOL;
    return apply_binary(w, all[numbers ? below(w, 8) : 4 + below(w, 4)], x, numbers);
}

cr_tensor *make_chain(world *w)
{
    cr_tensor *recent[32], *x = pick(w, FLOATS, 0);
    int n = chance(w, 10) ? 40 + (int)below(w, 200) : 3 + (int)below(w, 30);
    if (!x || (cr_numel(x) > 5000 && n > 40))
        return NULL;
    for (int i = 0; i < 32; i++)
        recent[i] = i % 8 ? x : alike(w, x);
    for (int i = 0; i < n && x; i++) {
        cr_tensor *y = recent[below(w, 32)];
        x = recent[below(w, 32)];
        if (chance(w, 10)) {
            x = cr_cos(x);
            y = x;
        }
        x = chance(w, 30)   ? cr_tanh(x)
            : chance(w, 30) ? cr_where(cr_lt(x, y), y, 0.5)
            : chance(w, 30) ? cr_mul(x, cr_sub(0.75, y))
            : chance(w, 20) ? cr_maximum(mirrored(w, x), x)
                            : cr_maximum(cr_sub(x, y), -1);
        recent[i % 32] = x;
        if (chance(w, 4))
            put(w, x, false);
    }
    return x;
}

cr_tensor *make_comparison(world *w)
{
    cr_tensor *x = pick(w, ANY, 0);
    return x ? compare(w, x) : NULL;
}

cr_tensor *make_where(world *w)
{
    cr_tensor *x = pick(w, FLOATS | INTS, 0);
    if (!x)
        return NULL;
    cr_tensor *y = fitting(w, x, TYPE(cr_dtype_of(x)));
    cr_dims out;
    if (!y || !broadcasts(cr_shape(x), cr_shape(y), &out))
        return NULL;
    cr_tensor *like = count_of(cr_shape(x)) == count_of(out) ? x : y;
    cr_tensor *condition =
        chance(w, 60) ? compare(w, like) : fitting(w, x, TYPE(CR_BOOL));
    cr_dims all;
    if (!condition || !broadcasts(out, cr_shape(condition), &all) ||
        extent(all) > w->most)
        return NULL;
    return chance(w, 30)
               ? cr_where_at(condition, cr_arg_tensor(x), some_number(w, x), "w")
               : cr_where(condition, x, y);
}

cr_tensor *make_cast(world *w)
{
    static const cr_dtype types[] = { CR_F32, CR_F64, CR_F32,  CR_F64,  CR_I64,
                                      CR_I32, CR_U8,  CR_BOOL, CR_BF16, CR_F16 };
    cr_tensor *x = pick(w, ANY, 0);
    return x ? cr_cast(x, types[below(w, 10)]) : NULL;
}

/* ---- views ---- */

static cr_tensor *some_reshape(world *w, cr_tensor *x)
{
    cr_dims dims = cr_shape(x);
    int at = (int)below(w, dims.n);
    if (dims.n == 0 || chance(w, 25))
        return cr_reshape(x, CR_DIMS(cr_numel(x)));
    if (at + 1 < dims.n && chance(w, 50)) { /* two dims become one */
        dims.v[at] *= dims.v[at + 1];
        dims.n--;
        memmove(dims.v + at + 1, dims.v + at + 2,
                (size_t)(dims.n - at - 1) * sizeof *dims.v);
        return cr_reshape(x, dims);
    }
    int64_t by = 1 + below(w, 5);
    if (dims.n >= 5 || dims.v[at] % by)
        return x;
    memmove(dims.v + at + 1, dims.v + at, (size_t)(dims.n - at) * sizeof *dims.v);
    dims.n++;
    dims.v[at] = by;
    dims.v[at + 1] /= by;
    return cr_reshape(x, dims);
}

static cr_tensor *some_permute(world *w, cr_tensor *x)
{
    cr_dims dims = CR_NO_DIMS;
    dims.n = cr_ndim(x);
    for (int i = 0; i < dims.n; i++)
        dims.v[i] = i;
    for (int i = dims.n - 1; i > 0; i--) {
        int j = (int)below(w, i + 1);
        int64_t kept = dims.v[i];
        dims.v[i] = dims.v[j];
        dims.v[j] = kept;
    }
    return cr_permute(x, dims);
}

cr_dims some_of(world *w, int rank)
{
    cr_dims dims = CR_NO_DIMS;
    for (int i = 0; i < rank; i++)
        if (chance(w, 50))
            dims.v[dims.n++] = chance(w, 30) ? i - rank : i;
    return dims;
}

static cr_tensor *some_slice(world *w, cr_tensor *x)
{
    int dim = (int)below(w, cr_ndim(x));
    int64_t size = cr_size(x, dim), start = below(w, size + 1);
    start /= 1 + below(w, 3);
    int64_t end = chance(w, 40) ? INT64_MAX : start + below(w, size - start + 1);
    return cr_slice(x, dim, start, end, .step = chance(w, 60) ? 1 : 1 + below(w, 4));
}

static cr_tensor *some_expand(world *w, cr_tensor *x)
{
    cr_dims dims = cr_shape(x);
    int64_t by = 1 + below(w, chance(w, 20) ? 40 : 4);
    if (extent(cr_shape(x)) * by > w->most)
        return x;
    for (int i = 0; i < dims.n; i++)
        if (dims.v[i] == 1 && chance(w, 70)) {
            dims.v[i] = by;
            return cr_expand(x, dims);
        }
    if (dims.n >= 5)
        return x;
    memmove(dims.v + 1, dims.v, (size_t)dims.n++ * sizeof *dims.v);
    dims.v[0] = by;
    return cr_expand(x, dims);
}

static cr_tensor *some_transpose(world *w, cr_tensor *x)
{
    int dim = (int)below(w, cr_ndim(x));
    return cr_transpose(x, dim, (int)below(w, cr_ndim(x)));
}

static cr_tensor *some_flip(world *w, cr_tensor *x)
{
    return cr_flip(x, some_of(w, cr_ndim(x)));
}

static cr_tensor *some_select(world *w, cr_tensor *x)
{
    int dim = (int)below(w, cr_ndim(x));
    int64_t size = cr_size(x, dim);
    return size ? cr_select(x, dim, below(w, size)) : x;
}

static cr_tensor *some_squeeze(world *w, cr_tensor *x)
{
    return chance(w, 50) ? cr_squeeze(x) : cr_squeeze(x, below(w, cr_ndim(x)));
}

static cr_tensor *some_unsqueeze(world *w, cr_tensor *x)
{
    return cr_ndim(x) < 5 ? cr_unsqueeze(x, (int)below(w, cr_ndim(x) + 1)) : x;
}

static cr_tensor *some_detach(world *w, cr_tensor *x)
{
    return chance(w, 20) ? cr_detach(x) : x;
}

typedef cr_tensor *view_fn(world *w, cr_tensor *x);

cr_tensor *view_of(world *w, cr_tensor *x)
{
    static view_fn *const any_rank[] = { some_reshape, some_expand, some_expand,
                                         some_unsqueeze, some_reshape };
    static view_fn *const all[] = { some_permute, some_transpose, some_transpose,
                                    some_flip,    some_slice,     some_slice,
                                    some_slice,   some_select,    some_squeeze,
                                    some_detach,  some_flip };
    bool any = cr_ndim(x) == 0 || chance(w, 40);
    return any ? any_rank[below(w, 5)](w, x) : all[below(w, 11)](w, x);
}

cr_tensor *make_view(world *w)
{
    cr_tensor *x = pick(w, ANY, chance(w, 80));
    for (int64_t n = 1 + below(w, 5); x && n > 0; n--)
        x = view_of(w, x);
    return x;
}

/* ---- reductions and what is made of them ---- */

cr_tensor *make_reduction(world *w)
{
    cr_tensor *x = pick(w, ANY, chance(w, 80));
    if (!x)
        return NULL;
    cr_reduce_opts o = { .site = "reduction", .keepdim = chance(w, 40) };
    cr_dims dim = chance(w, 80) ? some_of(w, cr_ndim(x)) : CR_ALL;
    if (chance(w, 40) && cr_ndim(x))
        dim = CR_DIMS(-1);
    if (cr_numel(x) == 0 || chance(w, 40))
        return chance(w, 60) ? cr_sum_at(x, dim, o) : cr_mean_at(x, dim, o);
    switch (below(w, is_float(x) ? 5 : 3)) {
    case 0:
        return cr_amax_at(x, dim, o);
    case 1:
        return cr_amin_at(x, dim, o);
    case 2:
        dim.n = dim.n > 1 ? 1 : dim.n;
        return cr_argmax_at(x, dim, o);
    case 3:
        return cr_logsumexp_at(x, dim, o);
    default:
        return cr_var(x, dim, .correction = CR_REAL((double)below(w, 2)),
                      .keepdim = o.keepdim);
    }
}

cr_tensor *make_norm(world *w)
{
    cr_tensor *x = pick(w, FLOATS, 1);
    if (!x || cr_numel(x) == 0)
        return NULL;
    int rank = cr_ndim(x), dim = (int)below(w, rank);
    cr_dtype dtype = cr_dtype_of(x);
    dim = chance(w, 50) ? -1 : dim;
    if (chance(w, 60))
        return chance(w, 50) ? cr_softmax(x, dim) : cr_log_softmax(x, dim);
    if (rank >= 2 && chance(w, 25)) {
        cr_dims c = CR_DIMS(cr_size(x, 1));
        cr_tensor *mean = fresh(w, dtype, c), *var = cr_abs(fresh(w, dtype, c));
        cr_tensor *scale = fresh(w, dtype, c), *shift = fresh(w, dtype, c);
        put(w, mean, false);
        bool training = cr_numel(x) > c.v[0] && chance(w, 70);
        return cr_batch_norm(x, mean, var, scale, shift, training, 0.1);
    }
    cr_dims dims = cr_shape(x);
    int keep = 1 + (int)below(w, rank > 1 ? 2 : 1);
    memmove(dims.v, dims.v + rank - keep, (size_t)keep * sizeof *dims.v);
    dims.n = keep;
    cr_tensor *weight = chance(w, 60) ? fresh(w, dtype, dims) : NULL;
    cr_tensor *bias = chance(w, 60) ? fresh(w, dtype, dims) : NULL;
    if (weight && chance(w, 60))
        put(w, cr_requires_grad(weight), true);
    return cr_layer_norm(x, dims, weight, bias);
}

/* ---- products ---- */

/* [.., k, n], from the pool or new, in any layout. */
static cr_tensor *right_factor(world *w, cr_tensor *x)
{
    int64_t k = cr_size(x, -1), n = some_size(w);
    for (int tries = 0; tries < 5; tries++) {
        cr_tensor *y = pick(w, TYPE(cr_dtype_of(x)), 1);
        int rank = cr_ndim(y);
        if (y && rank <= 2 && cr_size(y, rank == 1 ? 0 : -2) == k)
            return y;
        if (y && rank == 2 && cr_size(y, -1) == k)
            return cr_t(y);
    }
    while (n * k > w->most)
        n = 1 + below(w, 9);
    int64_t dim = below(w, 2);
    switch (below(w, 5)) {
    case 0:
        return cr_t(fresh(w, cr_dtype_of(x), CR_DIMS(n, k)));
    case 1:
        return cr_flip(fresh(w, cr_dtype_of(x), CR_DIMS(k, n)), CR_DIMS(dim));
    case 2:
        return cr_slice(fresh(w, cr_dtype_of(x), CR_DIMS(k, n + 3)), 1, 1, n + 1);
    case 3:
        return fresh(w, cr_dtype_of(x), CR_DIMS(k));
    default:
        return fresh(w, cr_dtype_of(x), CR_DIMS(k, n));
    }
}

cr_tensor *make_product(world *w)
{
    cr_tensor *x = pick(w, FLOATS, 1);
    cr_tensor *y = x ? right_factor(w, x) : NULL;
    if (!y)
        return NULL;
    double tiny = cr_dtype_of(x) == CR_F64 ? 1e-307 : 1e-38;
    if (chance(w, 10))
        x = cr_mul(x, tiny);
    if (chance(w, 10))
        y = cr_mul(y, tiny);
    if (!x || !y)
        return NULL;
    cr_dims a = cr_shape(x);
    int64_t k = a.v[a.n - 1], n = cr_ndim(y) > 1 ? cr_size(y, -1) : 1;
    if (extent(a) / (k ? k : 1) * (n ? n : 1) > w->most ||
        count_of(a) * n > 20 * w->most + 4000000)
        return NULL;
    if (cr_ndim(y) == 2 && chance(w, 30))
        return cr_linear(x, cr_t(y),
                         chance(w, 60) ? fresh(w, cr_dtype_of(x), CR_DIMS(n)) : NULL);
    if (a.n >= 3 && a.n < 5 && cr_ndim(y) == 2 &&
        chance(w, 40)) { /* a batch of products */
        cr_dims dims = a;
        dims.v[a.n - 2] = k, dims.v[a.n - 1] = n;
        if (extent(dims) <= w->most)
            y = chance(w, 50) ? cr_expand(y, dims) : fresh(w, cr_dtype_of(x), dims);
    }
    return cr_matmul(x, y);
}

/* ---- indices and joins ---- */

/* x as places below size. */
static cr_tensor *places(world *w, cr_tensor *x, int64_t size)
{
    cr_tensor *i = is_float(x) ? cr_mul(x, 3.5) : x;
    return cr_clamp(cr_cast(i, chance(w, 80) ? CR_I64 : CR_I32), 0, size - 1);
}

cr_tensor *make_index(world *w)
{
    cr_tensor *x = pick(w, ANY, 1), *y = pick(w, ANY, 1);
    if (!x || cr_numel(x) == 0)
        return NULL;
    int dim = (int)below(w, cr_ndim(x));
    int64_t size = cr_size(x, dim);
    if (chance(w, 50)) {
        cr_tensor *index = places(w, chance(w, 60) ? x : some_slice(w, x), size);
        cr_tensor *out = cr_gather(x, dim, index);
        if (cr_dtype_of(x) == CR_BOOL || chance(w, 60))
            return out;
        return cr_scatter_add(alike(w, x), dim, index, out);
    }
    if (cr_ndim(y) != 1)
        y = cr_reshape(y, CR_DIMS(cr_numel(y)));
    bool embeds = cr_ndim(x) == 2 && is_float(x) && chance(w, 30);
    if (embeds)
        size = cr_size(x, 0);
    if (cr_numel(x) / size * cr_numel(y) > w->most)
        return NULL;
    if (embeds)
        return cr_embedding(x, places(w, y, size));
    if (chance(w, 20) && cr_numel(y) * 5 <= w->most)
        return cr_one_hot(places(w, y, 5), 5);
    return cr_index_select(x, dim, places(w, y, size));
}

cr_tensor *make_join(world *w)
{
    cr_tensor *x = pick(w, ANY, 1), *parts[5];
    if (!x)
        return NULL;
    int n = 1 + (int)below(w, 5), dim = (int)below(w, cr_ndim(x));
    if (cr_numel(x) * n > w->most)
        return NULL;
    bool stack = chance(w, 30);
    for (int i = 0; i < n; i++) {
        parts[i] = i && chance(w, 60) ? alike(w, x) : x;
        if (!stack && chance(w, 40))
            parts[i] = cr_slice(parts[i], dim, below(w, 3), INT64_MAX);
    }
    return stack ? cr_stack(parts, n, dim) : cr_cat(parts, n, dim);
}

cr_tensor *make_scatter(world *w)
{
    cr_tensor *x = pick(w, ANY, 1);
    if (!x)
        return NULL;
    int dim = (int)below(w, cr_ndim(x));
    int64_t start = below(w, cr_size(x, dim) + 1), step = 1 + below(w, 3);
    cr_tensor *src = cr_slice(alike(w, x), dim, start, INT64_MAX, .step = step);
    if (is_float(x) && chance(w, 50))
        src = cr_mul(src, 2);
    return cr_slice_scatter(x, src, dim, start, INT64_MAX, .step = step);
}

cr_tensor *make_random(world *w)
{
    static const double p[] = { 0, 0.3, 0.5, 1 };
    cr_tensor *x = pick(w, FLOATS, 0);
    if (!x)
        return NULL;
    if (chance(w, 60))
        return cr_dropout(x, p[below(w, 4)]);
    return chance(w, 40)   ? cr_bernoulli(cr_sigmoid(x))
           : chance(w, 50) ? cr_rand_like(x)
                           : cr_randn_like(x);
}
