/* Attention: softmax(scale q k^T + mask) v for a batch of heads. Its parts and their gradients are
 * operations of one packed result each, whose views are what others see; attention_kernel.c computes
 * them. */
#include "attention_parts.h"
#include "attrs.h"
#include "ops.h"

#include <math.h>

static const cr_attr attention_rows[] = {
    CR__ATTR(attention_attrs, scale, REAL, .flags = CR_ATTR_POSITIONAL),
    CR__ATTR(attention_attrs, is_causal, BOOL, .initial = "false"), CR__ATTRS_END
};

/* ---- sizes ---- */

/* heads (a b + c d); false if that is no number of elements. */
static bool packed_numel(int64_t heads, int64_t a, int64_t b, int64_t c, int64_t d,
                         int64_t *numel)
{
    int64_t first, second;
    return !__builtin_mul_overflow(a, b, &first) &&
           !__builtin_mul_overflow(c, d, &second) &&
           !__builtin_add_overflow(first, second, &first) &&
           !__builtin_mul_overflow(first, heads, numel);
}

static cr_status packed_shape(cr_infer *infer, bool fits, int64_t numel)
{
    if (!fits)
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "q %s and v %s have too many elements",
                           cr__dims_text(infer->ctx, infer->in_dims[Q]),
                           cr__dims_text(infer->ctx, infer->in_dims[V]));
    infer->dims = CR_DIMS(numel);
    return CR_OK;
}

/* Floats of one type, of rank 2 or more, whose sizes fit; packed: how many inputs are such results. */
static bool are_heads(cr_infer *infer, int packed)
{
    const cr_dims *q = &infer->in_dims[Q], *k = &infer->in_dims[K],
                  *v = &infer->in_dims[V];
    bool fits = q->n >= 2 && k->n == q->n && v->n == q->n &&
                k->v[k->n - 1] == q->v[q->n - 1] && v->v[v->n - 2] == k->v[k->n - 2];
    for (int i = Q; i <= V + packed; i++)
        if (!cr__is_float(infer->in_dtype[i]) || infer->in_dtype[i] != infer->in_dtype[Q])
            return !cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                                "takes floats of one type, not %s",
                                cr_dtype_name(infer->in_dtype[i]));
    for (int d = 0; fits && d < q->n - 2; d++)
        fits = k->v[d] == q->v[d] && v->v[d] == q->v[d];
    for (int i = V + 1; fits && i <= V + packed; i++) {
        const cr__attention_sizes s = cr__attention_sizes_of(q, k, v);
        int64_t numel;
        fits = packed_numel(s.heads, s.queries, s.values, s.queries, 1, &numel) &&
               infer->in_dims[i].n == 1 && infer->in_dims[i].v[0] == numel;
    }
    const int mask = V + packed + 1;
    if (fits && infer->n > mask && infer->in_dtype[mask]) {
        cr_dims scores = *q;
        scores.v[scores.n - 1] = k->v[k->n - 2];
        fits = cr__dims_equal(infer->in_dims[mask], scores);
    }
    return fits ||
           !cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                        "sizes do not fit: q %s, k %s, v %s",
                        cr__dims_text(infer->ctx, *q), cr__dims_text(infer->ctx, *k),
                        cr__dims_text(infer->ctx, *v));
}

/* The results, then for each row the logarithm of its sum of exponentials. */
static cr_status attention_shape(cr_infer *infer)
{
    if (!are_heads(infer, 0))
        return infer->ctx->status;
    const cr__attention_sizes s = cr__attention_sizes_of(
        &infer->in_dims[Q], &infer->in_dims[K], &infer->in_dims[V]);
    int64_t numel = 0;
    bool fits = packed_numel(s.heads, s.queries, s.values, s.queries, 1, &numel);
    return packed_shape(infer, fits, numel);
}

/* The gradients of q, of k and of v. */
static cr_status attention_grad_shape(cr_infer *infer)
{
    if (!are_heads(infer, 2))
        return infer->ctx->status;
    const cr__attention_sizes s = cr__attention_sizes_of(
        &infer->in_dims[Q], &infer->in_dims[K], &infer->in_dims[V]);
    int64_t numel = 0, of_v = 0;
    bool fits = packed_numel(s.heads, s.queries, s.width, s.keys, s.width, &numel) &&
                packed_numel(s.heads, s.keys, s.values, 0, 0, &of_v) &&
                !__builtin_add_overflow(numel, of_v, &numel);
    return packed_shape(infer, fits, numel);
}

/* ---- the packed operations ---- */

/* The next elements of a packed result, as a tensor of that shape. */
static cr_tensor *unpack(cr_tensor *packed, int64_t *at, cr_dims dims)
{
    int64_t n = 1, from = *at;
    for (int d = 0; d < dims.n; d++)
        n *= dims.v[d];
    *at += n;
    return cr_reshape(cr_slice(packed, 0, from, from + n), dims);
}

/* [.., rows, values] for q [.., rows, width] and v. */
static cr_dims result_dims(cr_tensor *q, cr_tensor *v)
{
    cr_dims dims = cr_shape(q);
    dims.v[dims.n - 1] = cr_size(v, -1);
    return dims;
}

static void attention_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    cr_tensor *mask = cr_input(out, MASK);
    cr_tensor *inputs[] = {
        cr_input(out, Q), cr_input(out, K), cr_input(out, V), g, out, mask
    };
    cr_tensor *packed = cr__record_n(NULL, &cr__op_attention_grad, inputs, mask ? 6 : 5,
                                     cr_attrs(out), CR_HERE);
    int64_t at = 0;
    for (int i = Q; i <= V; i++)
        down[i] = unpack(packed, &at, cr_shape(inputs[i]));
}

/* Whether query i sees key j <= i, of [queries, keys]. */
static cr_tensor *causal_mask(cr_ctx *ctx, int64_t queries, int64_t keys)
{
    cr_tensor *i = cr_arange(ctx, 0, queries, 1, .dtype = CR_I64);
    cr_tensor *j = cr_arange(ctx, 0, keys, 1, .dtype = CR_I64);
    return cr_le(j, cr_unsqueeze(i, 1));
}

/* The weights, of operations that have all derivatives. */
static cr_tensor *weights_of(cr_tensor *q, cr_tensor *k, cr_tensor *mask, double scale,
                             bool causal)
{
    cr_tensor *scores = cr_mul(cr_matmul(q, cr_transpose(k, -2, -1)), scale);
    cr_tensor *visible = mask && cr_dtype_of(mask) == CR_BOOL ? mask : NULL;
    if (mask && !visible)
        scores = cr_add(scores, mask);
    if (causal)
        visible = causal_mask(cr_ctx_of(q), cr_size(q, -2), cr_size(k, -2));
    if (visible)
        scores = cr_where(visible, scores, -(double)INFINITY);
    return cr_softmax(scores, -1);
}

/* x minus the part of it that a row of weights a cannot see: a (x - sum a x). */
static cr_tensor *through_softmax(cr_tensor *a, cr_tensor *x)
{
    cr_tensor *mean = cr_sum(cr_mul(a, x), CR_DIMS(-1), .keepdim = true);
    return cr_mul(a, cr_sub(x, mean));
}

/* With weights a and the chain dp = g v^T, ds = a (dp - sum a dp + gl), where gl is the cotangent of
 * the logarithms, the gradients were dq = c ds k, dk = c ds^T q and dv = a^T g. Of <uq, dq> +
 * <uk, dk> + <uv, dv>, the cotangent of ds is w, that of dp is r, that of a is x, and that of the
 * scores, through a, again what softmax sends down. The packed result was a function of q, k, v
 * and g: its derivatives by the others are in those. */
static void attention_grad_vjp(cr_tensor *out, cr_tensor *u, cr_tensor **down)
{
    const attention_attrs *attrs = cr_attrs(out);
    const double c = attrs->scale;
    cr_tensor *q = cr_input(out, Q), *k = cr_input(out, K), *v = cr_input(out, V);
    int64_t at = 0, g_at = 0;
    cr_tensor *uq = unpack(u, &at, cr_shape(q)), *uk = unpack(u, &at, cr_shape(k)),
              *uv = unpack(u, &at, cr_shape(v));
    cr_dims lines = result_dims(q, v);
    cr_tensor *g = unpack(cr_input(out, G), &g_at, lines);
    lines.v[lines.n - 1] = 1;
    cr_tensor *gl = unpack(cr_input(out, G), &g_at, lines);
    cr_tensor *a = weights_of(q, k, cr_input(out, GRAD_MASK), c, attrs->is_causal);
    cr_tensor *dp = cr_matmul(g, cr_transpose(v, -2, -1)),
              *ds = cr_add(through_softmax(a, dp), cr_mul(a, gl));
    cr_tensor *w = cr_matmul(uq, cr_transpose(k, -2, -1));
    w = cr_mul(cr_add(w, cr_matmul(q, cr_transpose(uk, -2, -1))), c);
    cr_tensor *r = through_softmax(a, w);
    cr_tensor *mean_dp = cr_sum(cr_mul(a, dp), CR_DIMS(-1), .keepdim = true);
    cr_tensor *mean_w = cr_sum(cr_mul(a, w), CR_DIMS(-1), .keepdim = true);
    cr_tensor *x = cr_mul(w, cr_add(cr_sub(dp, mean_dp), gl));
    x = cr_sub(x, cr_mul(mean_w, dp));
    x = through_softmax(a, cr_add(x, cr_matmul(g, cr_transpose(uv, -2, -1))));
    down[Q] = cr_mul(cr_add(cr_matmul(x, k), cr_matmul(ds, uk)), c);
    down[K] = cr_mul(cr_add(cr_matmul(cr_transpose(x, -2, -1), q),
                            cr_matmul(cr_transpose(ds, -2, -1), uq)),
                     c);
    down[V] = cr_matmul(cr_transpose(r, -2, -1), g);
    cr_tensor *of_g = cr_add(cr_matmul(r, v), cr_matmul(a, uv));
    cr_tensor *flat[] = { cr_reshape(of_g, CR_DIMS(cr_numel(of_g))),
                          cr_reshape(mean_w, CR_DIMS(cr_numel(mean_w))) };
    down[G] = cr_cat(flat, 2, 0);
}

#define HEADS (CR_READS_INPUT(Q) | CR_READS_INPUT(K) | CR_READS_INPUT(V))

/* Two products of each query that sees a key, or the five of their gradients. */
static double products_flops(const cr_tensor *out, double of_width, double of_values)
{
    const cr_dims q = cr_shape(cr_input(out, Q)), k = cr_shape(cr_input(out, K)),
                  v = cr_shape(cr_input(out, V));
    const cr__attention_sizes s = cr__attention_sizes_of(&q, &k, &v);
    const double l = (double)s.queries, all = (double)s.keys, m = l < all ? l : all;
    const double pairs = ((const attention_attrs *)cr_attrs(out))->is_causal
                             ? m * (m + 1) / 2 + (l - m) * all
                             : l * all;
    return 2 * pairs * (double)s.heads *
           (of_width * (double)s.width + of_values * (double)s.values);
}

static double attention_flops(const cr_tensor *out)
{
    return products_flops(out, 1, 1);
}

static double attention_grad_flops(const cr_tensor *out)
{
    return products_flops(out, 3, 2);
}

CR__OP(attention) = {
    .name = "attention",
    .doc = "softmax(scale q k^T + mask) v, and the logarithms of the rows' sums, packed",
    .kind = CR_OP_OPAQUE,
    .widens = true,

    .min_inputs = 3,
    .max_inputs = 4,
    .inputs = "q,k,v,mask",
    .attrs = attention_rows,
    .attrs_size = sizeof(attention_attrs),
    .shape = attention_shape,
    .vjp = attention_vjp,
    .reads = HEADS | CR_READS_INPUT(MASK) | CR_READS_OUTPUT,
    .kernel = cr__attention_kernel,
    .strided = HEADS | CR_READS_INPUT(MASK),
    .never_fails = true,
    .scratch = cr__attention_scratch,
    .internal = &(const cr__opaque_info){ .flops = attention_flops },
    .samples = CR__SAMPLES({ "f[2,3] f[4,3] f[4,2]", "scale=0.5" },
                           { "f[2,3,2] f[2,3,2] f[2,3,1]", "scale=1,is_causal=true" },
                           { "f[2,3] f[4,3] f[4,2] b[2,4]", "scale=0.5" }),
};
CR__OP(attention_grad) = {
    .name = "attention_grad",
    .doc = "what attention sends down to q, k and v, packed",
    .kind = CR_OP_OPAQUE,
    .widens = true,
    .min_inputs = 5,
    .max_inputs = 6,
    .inputs = "q,k,v,grad,out,mask",
    .attrs = attention_rows,
    .attrs_size = sizeof(attention_attrs),
    .shape = attention_grad_shape,
    .vjp = attention_grad_vjp,
    .reads = HEADS | CR_READS_INPUT(G) | CR_READS_INPUT(GRAD_MASK),
    .kernel = cr__attention_grad_kernel,
    .strided = HEADS | CR_READS_INPUT(GRAD_MASK),
    .never_fails = true,
    .scratch = cr__attention_grad_scratch,
    .internal = &(const cr__opaque_info){ .flops = attention_grad_flops },
    /* Of one key, whose weight is 1: `out` belongs to q, k and v. */
    .samples = CR__SAMPLES({ "f[2,1]~=1,2 f[1,1]~=1 f[1,2]~=3,4 f[6] f[6]~=3,4,3,4,0.5,1",
                             "scale=0.5" }),
};

/* ---- scaled_dot_product_attention ---- */

typedef struct sdpa_attrs {
    bool is_causal, enable_gqa;
    cr_opt_real scale;
    double dropout_p;
} sdpa_attrs;

static const cr_attr sdpa_rows[] = {
    CR__ATTR(sdpa_attrs, is_causal, BOOL, .initial = "false"),
    CR__ATTR(sdpa_attrs, scale, OPT_REAL, .initial = CR__NOT_GIVEN),
    CR__ATTR(sdpa_attrs, dropout_p, REAL, .initial = "0"),
    CR__ATTR(sdpa_attrs, enable_gqa, BOOL, .initial = "false"), CR__ATTRS_END
};

/* What is asked for; the leading dims become equal. */
typedef struct heads_given {
    cr_ctx *ctx;
    const cr_op *op;
    cr_tensor *q, *k, *v, *mask;
    cr_dims batch;
} heads_given;

static bool refuse_heads(const heads_given *r, const char *rule)
{
    return !cr__op_fail(r->ctx, r->op, CR_ERR_SHAPE, NULL, "%s: q %s, k %s, v %s", rule,
                        cr__shape_text(r->q), cr__shape_text(r->k), cr__shape_text(r->v));
}

static bool types_fit(const heads_given *r)
{
    const cr_dtype t = cr_dtype_of(r->q);
    const cr_tensor *others[] = { r->k, r->v, r->mask };
    for (int i = 0; i < CR__COUNT(others); i++) {
        const cr_dtype other = others[i] ? cr_dtype_of(others[i]) : t;
        if (!cr__is_float(t) || (other != t && !(i == 2 && other == CR_BOOL)))
            return !cr__op_fail(
                r->ctx, r->op, CR_ERR_DTYPE, "cr_cast() converts",
                "q, k and v are floats of one type, and a mask of that or "
                "bools; not %s and %s",
                cr_dtype_name(t), cr_dtype_name(other));
    }
    return true;
}

/* The batch: leading dims that broadcast. */
static bool batch_fits(heads_given *r)
{
    cr_dims q = cr_shape(r->q), k = cr_shape(r->k), v = cr_shape(r->v);
    if (q.n < 2 || k.n < 2 || v.n < 2)
        return refuse_heads(r, "they have rank 2 or more, [.., length, width]");
    if (q.v[q.n - 1] != k.v[k.n - 1])
        return refuse_heads(r, "the widths of q and k differ");
    if (k.v[k.n - 2] != v.v[v.n - 2])
        return refuse_heads(r, "the lengths of k and v differ");
    q.n -= 2, k.n -= 2, v.n -= 2;
    if (!cr__broadcast_dims(q, k, &r->batch) ||
        !cr__broadcast_dims(r->batch, v, &r->batch))
        return refuse_heads(r, "leading sizes do not broadcast");
    return true;
}

/* [batch.., rows, columns] */
static cr_dims with_batch(const heads_given *r, int64_t rows, int64_t columns)
{
    cr_dims dims = r->batch;
    dims.v[dims.n++] = rows;
    dims.v[dims.n++] = columns;
    return dims;
}

static bool mask_fits(heads_given *r)
{
    cr_dims all = with_batch(r, cr_size(r->q, -2), cr_size(r->k, -2)), both;
    if (!r->mask)
        return true;
    if (cr__broadcast_dims(all, cr_shape(r->mask), &both) && cr__dims_equal(all, both)) {
        r->mask = cr__expand_to(r->mask, all);
        return true;
    }
    return !cr__op_fail(r->ctx, r->op, CR_ERR_SHAPE, NULL,
                        "attn_mask %s does not broadcast to the scores, %s",
                        cr__shape_text(r->mask), cr__dims_text(r->ctx, all));
}

/* The heads of q, several of which share one of k and v, in a dimension of their own. */
static bool group_heads(heads_given *r)
{
    const int64_t heads = cr_ndim(r->q) > 2 ? cr_size(r->q, -3) : 0;
    const int64_t shared = cr_ndim(r->k) > 2 ? cr_size(r->k, -3) : 0;
    if (!shared || heads % shared || cr_ndim(r->v) < 3 || cr_size(r->v, -3) != shared ||
        cr_ndim(r->q) == CR_MAX_DIMS)
        return refuse_heads(
            r, "enable_gqa needs q [.., n heads, L, E], k and v [.., heads, S, ..]");
    cr_dims q = cr_shape(r->q);
    q.v[q.n - 3] = shared;
    cr__dims_insert(&q, q.n - 2, heads / shared);
    r->q = cr_reshape(r->q, q);
    r->k = cr_unsqueeze(r->k, -3);
    r->v = cr_unsqueeze(r->v, -3);
    if (r->mask && cr_ndim(r->mask) > 2) {
        cr_dims mask = cr_shape(r->mask);
        const bool each = mask.v[mask.n - 3] == heads;
        mask.v[mask.n - 3] = each ? shared : mask.v[mask.n - 3];
        cr__dims_insert(&mask, mask.n - 2, each ? heads / shared : 1);
        r->mask = cr_reshape(r->mask, mask);
    }
    return r->q && r->k && r->v;
}

/* Of weights that are drawn, or whose mask wants a gradient, all is composed. */
static cr_tensor *attend_composed(const heads_given *r, double scale, bool causal,
                                  double p)
{
    cr_tensor *weights = weights_of(r->q, r->k, r->mask, scale, causal);
    return cr_matmul(p > 0 ? cr_dropout(weights, p) : weights, r->v);
}

static cr_tensor *attend_packed(const heads_given *r, double scale, bool causal)
{
    const cr_dims q = with_batch(r, cr_size(r->q, -2), cr_size(r->q, -1)),
                  k = with_batch(r, cr_size(r->k, -2), cr_size(r->k, -1)),
                  v = with_batch(r, cr_size(r->v, -2), cr_size(r->v, -1));
    cr_tensor *inputs[] = { cr__expand_to(r->q, q), cr__expand_to(r->k, k),
                            cr__expand_to(r->v, v), r->mask };
    int64_t at = 0;
    cr_tensor *packed =
        cr__record_n(r->ctx, &cr__op_attention, inputs, r->mask ? 4 : 3,
                     &(attention_attrs){ .scale = scale, .is_causal = causal }, CR_HERE);
    return packed ? unpack(packed, &at, result_dims(inputs[Q], inputs[V])) : NULL;
}

static cr_tensor *sdpa_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                              const void *attributes)
{
    const sdpa_attrs *attrs = attributes;
    heads_given r = { .ctx = ctx,
                      .op = &cr__op_scaled_dot_product_attention,
                      .q = inputs[0],
                      .k = inputs[1],
                      .v = inputs[2],
                      .mask = n > 3 ? inputs[3] : NULL };
    const int64_t heads = cr_ndim(r.q) > 2 ? cr_size(r.q, -3) : 1;
    if (!types_fit(&r) || (attrs->enable_gqa && !group_heads(&r)) || !batch_fits(&r) ||
        !mask_fits(&r))
        return NULL;
    if (attrs->is_causal && r.mask) {
        cr__op_fail(ctx, r.op, CR_ERR_ARGUMENT, NULL,
                    "is_causal is a mask, and there is an attn_mask");
        return NULL;
    }
    const int64_t width = cr_size(r.q, -1);
    const double scale = attrs->scale.given ? attrs->scale.v
                         : width > 0        ? 1 / sqrt((double)width)
                                            : 1;
    const bool composed = attrs->dropout_p > 0 || (r.mask && cr_needs_grad(r.mask));
    cr_tensor *y = composed
                       ? attend_composed(&r, scale, attrs->is_causal, attrs->dropout_p)
                       : attend_packed(&r, scale, attrs->is_causal);
    if (!y || !attrs->enable_gqa)
        return y;
    cr_dims dims = cr_shape(y);
    cr__dims_remove(&dims, dims.n - 3);
    dims.v[dims.n - 3] = heads;
    return cr_reshape(y, dims);
}

CR__OP(scaled_dot_product_attention) = {
    .name = "scaled_dot_product_attention",
    .doc = "softmax(scale q k^T + mask) v: q [.., L, E], k [.., S, E], v [.., S, Ev]",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 3,
    .max_inputs = 4,
    .inputs = "query,key,value,attn_mask",
    .attrs = sdpa_rows,
    .attrs_size = sizeof(sdpa_attrs),
    .expand = sdpa_expand,
    .samples = CR__SAMPLES({ "f[2,3] f[4,3] f[4,2]", NULL },
                           { "f[2,3,2] f[2,3,2] f[2,3,2]", "is_causal=true" },
                           { "f[2,4,2] f[2,2,2] f[2,2,1]", "is_causal=true,scale=0.7" },
                           { "f[2,1,2,2] f[3,3,2] f[3,1]", NULL },
                           { "f[2,3] f[3,3] f[3,2] b[2,3]=1,1,0,0,0,0", NULL },
                           { "f[2,3] f[3,3] f[3,2] f[2,3]", NULL },
                           { "f[2,3] f[3,3] f[3,2] f[1,3]~", "scale=-1" },
                           { "f[2,4,2,2] f[2,2,3,2] f[2,2,3,2] b[2,1,1,3]",
                             "enable_gqa=true" },
                           { "f[2,0,3] f[2,4,3] f[2,4,2]", NULL },
                           { "f[0,2,3] f[0,4,3] f[0,4,2]", NULL },
                           { "f[2,3] f[0,3] f[0,2]", NULL }),
    .call = "query,key,value,attn_mask,.is_causal,.scale,.dropout_p,.enable_gqa",
};

cr_tensor *cr_scaled_dot_product_attention_at(cr_tensor *query, cr_tensor *key,
                                              cr_tensor *value, cr_tensor *attn_mask,
                                              cr_attention_opts opts)
{
    cr_tensor *inputs[] = { query, key, value, attn_mask };
    const sdpa_attrs attrs = { opts.is_causal, opts.enable_gqa, opts.scale,
                               opts.dropout_p };
    return cr__record_n(NULL, &cr__op_scaled_dot_product_attention, inputs,
                        attn_mask ? 4 : 3, &attrs, opts.site);
}
