/* Values put to places that an index names: scatter, scatter_reduce, index_put,
 * masked_fill; and take_along_dim, which takes them from there. Of several that are
 * put to one place the last stays, in the index's order; products and extrema are made
 * in that order too. A thread owns the places that it writes. */
#include "pick.h"
#include <string.h>

/* ---- scatter ---- */

static cr_status scatter_shape(cr_infer *infer)
{
    cr__dim_attrs *attrs = infer->attrs;
    cr_infer alike = *infer;
    if (infer->in_dtype[2] != infer->in_dtype[0])
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, "cr_cast() converts",
                           "x is %s, src %s", cr_dtype_name(infer->in_dtype[0]),
                           cr_dtype_name(infer->in_dtype[2]));
    alike.n = infer->in_dims[2].n ? 3 : 2; /* rank 0 stands for all */
    return cr__pick_shape(&alike, &attrs->dim);
}

static void put_row(const cr__pick *w, cr__pick_place p, int64_t n)
{
    const cr_array *src = &w->kernel->in[2], *out = &w->kernel->out;
    size_t size = cr_dtype_size(out->dtype);
    int64_t step = src->dims.n ? 1 : 0;
    for (int64_t i = 0; i < n; i++)
        cr__move_one(out->data, cr__pick_other(w, p, i), src->data, p.each + i * step,
                     size);
}

static cr_status scatter_kernel(const cr_kernel *kernel)
{
    const cr__dim_attrs *attrs = kernel->attrs;
    cr__copy_input(kernel, 0);
    if (kernel->in[1].numel == 0)
        return CR_OK;
    cr__pick walk = cr__pick_begin(kernel, &kernel->in[2], &kernel->out, attrs->dim);
    cr__pick_all(&walk, put_row);
    return CR_OK;
}

static void scatter_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    int dim = (int)((const cr__dim_attrs *)cr_attrs(out))->dim;
    cr_tensor *index = cr_input(out, 1), *src = cr_input(out, 2);
    if (cr_input_needs_grad(out, 0))
        down[0] = cr_scatter(g, dim, index, 0);
    if (!cr_input_needs_grad(out, 2))
        return;
    g = cr_where(cr__pick_last(index, cr_shape(out), dim), cr_gather(g, dim, index), 0);
    down[2] = cr_ndim(src) ? cr__pick_source(g, src) : cr_sum(g);
}

CR__OP(scatter) = {
    .name = "scatter",
    .doc = "x with src[i,j,k] put to [i,index[i,j,k],k] (for dim 1); the last of several",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 3,
    .max_inputs = 3,
    .inputs = "x,index,src",
    .attrs = cr__dim_rows,
    .attrs_size = sizeof(cr__dim_attrs),
    .shape = scatter_shape,
    .vjp = scatter_vjp,
    .reads = CR_READS_INPUT(1),
    .kernel = scatter_kernel,
    .strided = CR_READS_INPUT(1) | CR_READS_INPUT(2),
    .fetched = CR_READS_INPUT(0),
    .check = cr__check_along_dim,
    .checks = CR_READS_INPUT(1),
    .samples = CR__SAMPLES({ "f[3,4] i[2,4]{0,3} f[2,4]", "dim=0" },
                           { "f[2,3,2] i[2,5,1]{0,3} f[2,5,2]", "dim=1" },
                           { "f[3,4] i[3,2]{0,4} f[]", "dim=-1" },
                           { "f[3] i[4]{0,3}=1,0,1,1 f[4] -> 0,0,1 0,1,0,1", "dim=0" },
                           { "f[] i[3]{0,1} f[3]", "dim=0" },
                           { "f[3] i[]{0,3} f[1]", "dim=0" },
                           { "f[5] i[0] f[0]", "dim=0" },
                           { "b[3] i[2]{0,3} b[2]", "dim=0" }),
    .call = "x,dim,index,src",
};

cr_tensor *cr_scatter_at(cr_tensor *x, int dim, cr_tensor *index, cr_arg src,
                         const char *site)
{
    cr_tensor *inputs[] = { x, index, cr__as_tensor(src, x, site) };
    return cr__record_n(NULL, &cr__op_scatter, inputs, 3, &(cr__dim_attrs){ dim }, site);
}

/* ---- products and extrema ---- */

typedef struct combine_attrs {
    int64_t dim;
    cr_reduce reduce;
    bool include_self;
} combine_attrs;

/* Elements are combined where they are put. Of what is not included there the identity
 * is put first. NaN is the largest and the smallest. */
#define NEVER(x) false
#define COMBINE(P, T, U, LOW, HIGH, NANS)                                              \
    static void P##_combine_row(const cr__pick *w, cr__pick_place p, int64_t n)        \
    {                                                                                  \
        const combine_attrs *attrs = w->kernel->attrs;                                 \
        const T *from = (const T *)w->kernel->in[2].data + p.each;                     \
        T *to = w->kernel->out.data;                                                   \
        for (int64_t i = 0; i < n; i++) {                                              \
            T *at = &to[cr__pick_other(w, p, i)], x = from[i];                         \
            if (attrs->reduce == CR_REDUCE_PROD)                                       \
                *at = (T)((U)*at * (U)x);                                              \
            else if (attrs->reduce == CR_REDUCE_AMAX)                                  \
                *at = x > *at || NANS(x) ? x : *at;                                    \
            else                                                                       \
                *at = x < *at || NANS(x) ? x : *at;                                    \
        }                                                                              \
    }                                                                                  \
    static void P##_identity_row(const cr__pick *w, cr__pick_place p, int64_t n)       \
    {                                                                                  \
        const combine_attrs *attrs = w->kernel->attrs;                                 \
        T *to = w->kernel->out.data;                                                   \
        for (int64_t i = 0; i < n; i++)                                                \
            to[cr__pick_other(w, p, i)] = attrs->reduce == CR_REDUCE_PROD   ? (T)1     \
                                          : attrs->reduce == CR_REDUCE_AMAX ? (T)LOW   \
                                                                            : (T)HIGH; \
    }
COMBINE(f32, float, float, -INFINITY, INFINITY, isnan)
COMBINE(f64, double, double, -INFINITY, INFINITY, isnan)
COMBINE(i64, int64_t, uint64_t, INT64_MIN, INT64_MAX, NEVER)
COMBINE(i32, int32_t, uint32_t, INT32_MIN, INT32_MAX, NEVER)
COMBINE(u8, uint8_t, uint32_t, 0, UINT8_MAX, NEVER)

static cr_status combine_kernel(const cr_kernel *kernel)
{
    static const struct {
        cr_dtype dtype;
        cr__pick_row *combine, *identity;
    } rows[] = { { CR_F32, f32_combine_row, f32_identity_row },
                 { CR_F64, f64_combine_row, f64_identity_row },
                 { CR_I64, i64_combine_row, i64_identity_row },
                 { CR_I32, i32_combine_row, i32_identity_row },
                 { CR_U8, u8_combine_row, u8_identity_row } };
    const combine_attrs *attrs = kernel->attrs;
    size_t type = 0;
    cr__copy_input(kernel, 0);
    if (kernel->in[1].numel == 0)
        return CR_OK;
    while (rows[type].dtype != kernel->out.dtype)
        type++;
    cr__pick walk = cr__pick_begin(kernel, &kernel->in[2], &kernel->out, attrs->dim);
    if (!attrs->include_self)
        cr__pick_all(&walk, rows[type].identity);
    cr__pick_all(&walk, rows[type].combine);
    return CR_OK;
}

static cr_status combine_shape(cr_infer *infer)
{
    combine_attrs *attrs = infer->attrs;
    return cr__addable(infer) ? cr__pick_shape(infer, &attrs->dim) : CR_ERR_DTYPE;
}

static cr_status combine_check(const cr_kernel *kernel)
{
    return cr__check_indices(kernel, ((const combine_attrs *)kernel->attrs)->dim);
}

/* A result, with what it was made of, for its gradients. */
typedef struct combined {
    cr_tensor *x, *index, *src, *out, *g;
    int dim;
    bool include_self;
} combined;

static cr_tensor *at_index(const combined *c, cr_tensor *x)
{
    return cr_gather(x, c->dim, c->index);
}

/* Of each place the sum over its elements: `self` of x, if that is included, and
 * `each` of src. */
static cr_tensor *total(const combined *c, cr_tensor *self, cr_tensor *each)
{
    cr_dtype dtype = cr_dtype_of(c->g);
    self = c->include_self ? cr_cast(self, dtype) : cr_zeros_like(c->g);
    return cr_scatter_add(self, c->dim, c->index, cr_cast(each, dtype));
}

/* The extremum's elements share evenly; if it is NaN, the NaNs. */
static void extremum_down(const combined *c, cr_tensor **self, cr_tensor **each)
{
    cr_tensor *x_tied = cr_logical_or(cr_eq(c->x, c->out), cr_ne(c->x, c->x));
    cr_tensor *tied =
        cr_logical_or(cr_eq(c->src, at_index(c, c->out)), cr_ne(c->src, c->src));
    /* At places that nothing is put to there are none, and nothing is shared. */
    cr_tensor *share = cr_div(c->g, cr_maximum(total(c, x_tied, tied), 1));
    *each = cr_where(tied, at_index(c, share), 0);
    *self = cr_where(x_tied, share, 0);
}

/* What a product's derivative is for each of its elements: the product of all others.
 * With P the product of those that are not 0, and Z the sum of those that are, whose
 * derivative is 1:
 *     no zeros:   P / x
 *     one zero:   P for the zero, and Z P / x for the others
 *     two zeros:  P (Z - x) for the zeros, and 0
 * All but the second line's P have the value 0, and derivatives that are right. */
typedef struct product_parts {
    cr_tensor *of_others;        /* g P or g P Z: over x */
    cr_tensor *alone, *together; /* g P, where there is one zero, and two */
    cr_tensor *zeros;            /* Z */
} product_parts;

static product_parts parts_of_product(const combined *c, cr_tensor *x_zero,
                                      cr_tensor *zero)
{
    cr_tensor *x = c->include_self ? cr_where(x_zero, 1, c->x) : c->x;
    cr_tensor *p =
        cr_scatter_reduce(x, c->dim, c->index, cr_where(zero, 1, c->src), CR_REDUCE_PROD,
                          .include_self = CR_INT(c->include_self));
    cr_tensor *count = total(c, x_zero, zero), *gp = cr_mul(c->g, p);
    cr_tensor *z = total(c, cr_where(x_zero, c->x, 0), cr_where(zero, c->src, 0));
    cr_tensor *one = cr_eq(count, 1);
    return (product_parts){
        .of_others =
            cr_where(cr_eq(count, 0), gp, cr_where(one, cr__zero_times(z, gp), 0)),
        .alone = cr_where(one, gp, 0),
        .together = cr_where(cr_eq(count, 2), gp, 0),
        .zeros = z,
    };
}

static cr_tensor *product_slope(cr_tensor *x, cr_tensor *zero, const product_parts *p)
{
    cr_tensor *rest = cr__zero_times(cr_sub(p->zeros, x), p->together);
    return cr_where(zero, cr_add(p->alone, rest),
                    cr_div(p->of_others, cr_where(zero, 1, x)));
}

static void product_down(const combined *c, cr_tensor **self, cr_tensor **each)
{
    cr_tensor *x_zero = cr_eq(c->x, 0), *zero = cr_eq(c->src, 0);
    product_parts p = parts_of_product(c, x_zero, zero);
    product_parts at = { at_index(c, p.of_others), at_index(c, p.alone),
                         at_index(c, p.together), at_index(c, p.zeros) };
    *each = product_slope(c->src, zero, &at);
    cr_tensor *pointed =
        cr_scatter(cr_zeros(cr_ctx_of(c->x), cr_shape(c->x), .dtype = CR_BOOL), c->dim,
                   c->index, true);
    *self = cr_where(pointed, product_slope(c->x, x_zero, &p), c->g);
}

static void combine_vjp(cr_tensor *out, cr_tensor *g, cr_tensor **down)
{
    const combine_attrs *attrs = cr_attrs(out);
    combined c = { cr_input(out, 0), cr_input(out, 1),   cr_input(out, 2), out, g,
                   (int)attrs->dim,  attrs->include_self };
    cr_tensor *self = g, *each = NULL;
    if (cr_numel(c.index) == 0)
        each = cr_zeros_like(c.src);
    else
        (attrs->reduce == CR_REDUCE_PROD ? product_down : extremum_down)(&c, &self,
                                                                         &each);
    if (cr_input_needs_grad(out, 0))
        down[0] = c.include_self ? self : cr_scatter(g, c.dim, c.index, 0);
    if (cr_input_needs_grad(out, 2))
        down[2] = each;
}

/* What scatter_reduce becomes of prod, amax and amin. */
CR__OP(scatter_combine) = {
    .name = "scatter_combine",
    .doc = "the product, largest or smallest of what is put to each place",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 3,
    .max_inputs = 3,
    .inputs = "x,index,src",
    .attrs = CR__ATTRS(
        CR__ATTR(combine_attrs, dim, INT, .flags = CR_ATTR_POSITIONAL),
        CR__ATTR(combine_attrs, reduce, WORD, .words = "sum,prod,mean,amax,amin",
                 .flags = CR_ATTR_POSITIONAL),
        CR__ATTR(combine_attrs, include_self, BOOL, .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(combine_attrs),
    .shape = combine_shape,
    .vjp = combine_vjp,
    .reads = CR_READS_INPUTS | CR_READS_OUTPUT,
    .kernel = combine_kernel,
    .widens = true,
    .strided = CR_READS_INPUT(1) | CR_READS_INPUT(2),
    .fetched = CR_READS_INPUT(0),
    .check = combine_check,
    .checks = CR_READS_INPUT(1),
    .samples = CR__SAMPLES(
        { "f[3,4]{0.5,2} i[2,4]{0,3} f[2,4]{0.5,2}",
          "dim=0,reduce=prod,include_self=true" },
        { "f[3,4] i[3,5]{0,4} f[3,5]!", "dim=1,reduce=amax,include_self=false" },
        { "f[3,4] i[3,5]{0,4} f[3,5]!", "dim=1,reduce=amin,include_self=true" }),
};

/* ---- scatter_reduce ---- */

typedef struct scatter_reduce_attrs {
    int64_t dim;
    cr_reduce reduce;
    cr_opt_int include_self;
} scatter_reduce_attrs;

/* The part of src that index covers. */
static cr_tensor *covered(cr_tensor *src, cr_tensor *index)
{
    for (int d = 0; d < cr_ndim(index) && cr_ndim(src) == cr_ndim(index); d++)
        if (cr_size(src, d) > cr_size(index, d))
            src = cr_slice(src, d, 0, cr_size(index, d));
    return cr_ndim(src) == 0 && cr_ndim(index) == 1 ? cr_unsqueeze(src, 0)
           : cr_ndim(src) == 1 && cr_ndim(index) == 0 && cr_numel(src) > 0
               ? cr_reshape(cr_slice(src, 0, 0, 1), CR_NO_DIMS)
               : src;
}

/* The sum over what each place has: of means, the integers rounded down. */
static cr_tensor *sum_or_mean(cr_tensor *x, cr_tensor *index, cr_tensor *src, int dim,
                              bool mean, bool include_self)
{
    cr_tensor *from = include_self ? x : cr_scatter(x, dim, index, 0);
    cr_tensor *sum = cr_scatter_add(from, dim, index, src);
    if (!mean || !sum)
        return sum;
    cr_tensor *count = cr_full_like(x, include_self ? 1 : 0);
    count = cr_scatter_add(count, dim, index, cr_ones_like(src));
    count = cr_maximum(count, 1);
    return cr__is_float(cr_dtype_of(x)) ? cr_div(sum, count)
                                        : cr_floor_divide(sum, count);
}

static cr_tensor *scatter_reduce_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                        const void *attributes)
{
    const scatter_reduce_attrs *attrs = attributes;
    cr_tensor *x = inputs[0], *index = inputs[1], *src = covered(inputs[2], index);
    bool include_self = !attrs->include_self.given || attrs->include_self.v;
    bool mean = attrs->reduce == CR_REDUCE_MEAN;
    (void)ctx, (void)n;
    if (mean || attrs->reduce == CR_REDUCE_SUM)
        return sum_or_mean(x, index, src, (int)attrs->dim, mean, include_self);
    cr_tensor *parts[] = { x, index, src };
    combine_attrs combine = { attrs->dim, attrs->reduce, include_self };
    return cr__record_n(NULL, &cr__op_scatter_combine, parts, 3, &combine, CR_HERE);
}

CR__OP(scatter_reduce) = {
    .name = "scatter_reduce",
    .doc = "x with what src puts to each place, and what is there, reduced to one",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 3,
    .max_inputs = 3,
    .inputs = "x,index,src",
    .attrs = CR__ATTRS(
        CR__ATTR(scatter_reduce_attrs, dim, INT, .flags = CR_ATTR_POSITIONAL),
        CR__ATTR(scatter_reduce_attrs, reduce, WORD, .words = "sum,prod,mean,amax,amin",
                 .flags = CR_ATTR_POSITIONAL),
        CR__ATTR(scatter_reduce_attrs, include_self, OPT_BOOL, .initial = "true")),
    .attrs_size = sizeof(scatter_reduce_attrs),
    .expand = scatter_reduce_expand,
    .samples = CR__SAMPLES(
        { "f[3,4] i[2,4]{0,3} f[2,4]", "dim=0,reduce=sum,include_self=false" },
        { "f[3,4] i[5,4]{0,3} f[5,4]", "dim=0,reduce=mean" },
        { "f[3,4] i[3,5]{0,4} f[3,5]", "dim=-1,reduce=mean,include_self=false" },
        { "f[3,4]{0.5,2} i[3,5]{0,4} f[3,5]", "dim=1,reduce=prod,include_self=false" },
        { "f[4]=3,0,2,5 i[4]{0,4}=0,0,1,2 f[4]=2,0,4,0 -> 0,4,0,1 0,6,0,2 -> "
          "2,1,1,0 3,5,1,1",
          "dim=0,reduce=prod" },
        { "f[2]=0,7 i[3]{0,2}=0,0,0 f[3]=0,2,5 -> 0,1 0,0,0 -> 10,0 10,0,0",
          "dim=0,reduce=prod" },
        { "f[3]=1,4,2 i[4]{0,3}=0,0,1,1 f[4]=0,1,3,4 -> 0.5,0.5,1 0,0.5,0,0.5",
          "dim=0,reduce=amax" },
        { "f[3]=1,4,2 i[4]{0,3}=0,0,1,1 f[4]=nan,1,3,4 -> 0,0,1 1,0,1,0",
          "dim=0,reduce=amin,include_self=false" },
        { "f[] i[]{0,1} f[]", "dim=0,reduce=prod" },
        { "f[2] i[0] f[0]", "dim=0,reduce=amax" },
        { "i[3] i[4]{0,3} i[4]", "dim=0,reduce=prod,include_self=false" },
        { "i[3] i[4]{0,3} i[4]", "dim=0,reduce=mean" }),
    .call = "x,dim,index,src,reduce,.include_self",
};

cr_tensor *cr_scatter_reduce_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *src,
                                cr_reduce reduce, cr_scatter_reduce_opts opts)
{
    cr_tensor *inputs[] = { x, index, src };
    scatter_reduce_attrs attrs = { dim, reduce, opts.include_self };
    return cr__record_n(NULL, &cr__op_scatter_reduce, inputs, 3, &attrs, opts.site);
}

/* ---- several indices as one ---- */

typedef struct flat_attrs {
    int64_t dim;   /* the first that is indexed */
    cr_dims sizes; /* of those */
} flat_attrs;

static cr_status flat_shape(cr_infer *infer)
{
    const flat_attrs *attrs = infer->attrs;
    infer->dtype = CR_I64;
    for (int i = 0; i < infer->n; i++)
        if (!cr__index_dtype(infer, i))
            return CR_ERR_DTYPE;
    if (attrs->sizes.n == infer->n)
        return CR_OK;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL,
                       "%d indices, and %d sizes", infer->n, attrs->sizes.n);
}

static cr_status flat_check(const cr_kernel *kernel)
{
    const flat_attrs *attrs = kernel->attrs;
    char place[160];
    for (int k = 0; k < kernel->n; k++) {
        cr_array part = kernel->in[k];
        int64_t size = attrs->sizes.v[k];
        for (int64_t at = 0, n; at < kernel->in[k].numel; at += n) {
            n = kernel->in[k].numel - at < CR_MAX_FETCH ? kernel->in[k].numel - at
                                                        : CR_MAX_FETCH;
            part.data = (void *)(uintptr_t)cr_array_fetch(&kernel->in[k], at, n, 0);
            for (int64_t i = 0; i < n; i++) {
                int64_t index = cr__index_load(&part, i);
                if (index >= -size && index < size)
                    continue;
                snprintf(kernel->message, kernel->capacity,
                         "index %lld at %s is outside dim %lld, which has size %lld",
                         (long long)index,
                         cr__place_text(&kernel->in[k], at + i, place, sizeof place),
                         (long long)attrs->dim + k, (long long)size);
                return CR_ERR_INDEX;
            }
        }
    }
    return CR_OK;
}

static cr_status flat_kernel(const cr_kernel *kernel)
{
    const flat_attrs *attrs = kernel->attrs;
    int64_t *out = kernel->out.data;
    for (int64_t i = 0; i < kernel->out.numel; i++) {
        int64_t flat = 0;
        for (int k = 0; k < kernel->n; k++) {
            int64_t index = cr__index_load(&kernel->in[k], i), size = attrs->sizes.v[k];
            flat = flat * size + index + (index < 0 ? size : 0);
        }
        out[i] = flat;
    }
    return CR_OK;
}

CR__OP(flat_index) = {
    .name = "flat_index",
    .doc = "the place in row-major order that indices, negative ones from the end, name",
    .kind = CR_OP_OPAQUE,
    .min_inputs = 1,
    .max_inputs = -1,
    .inputs = "indices",
    .attrs = CR__ATTRS(CR__ATTR(flat_attrs, dim, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(flat_attrs, sizes, DIMS, .flags = CR_ATTR_POSITIONAL)),
    .attrs_size = sizeof(flat_attrs),
    .shape = flat_shape,
    .kernel = flat_kernel,
    .check = flat_check,
    .checks = CR_READS_INPUTS,
    .samples = CR__SAMPLES({ "i[2,3]{0,4} i[2,3]{0,2}", "dim=0,sizes=[4,2]" },
                           { "i[3]{0,5}", "dim=1,sizes=[5]" }),
};

static cr_tensor *flat_index(cr_tensor *const *indices, int n, int64_t dim, cr_dims sizes)
{
    return cr__record_n(NULL, &cr__op_flat_index, indices, n, &(flat_attrs){ dim, sizes },
                        CR_HERE);
}

/* ---- index_put ---- */

typedef struct index_put_attrs {
    bool accumulate;
} index_put_attrs;

/* The indices as integers, a mask being the list of its true places, one for each of its
 * dims. Returns how many, or -1 with the error. */
static int integer_indices(cr_ctx *ctx, cr_tensor *x, cr_tensor *const *indices, int n,
                           cr_tensor **out)
{
    int count = 0;
    for (int i = 0; i < n; i++) {
        bool mask = cr_dtype_of(indices[i]) == CR_BOOL;
        int rank = mask ? cr_ndim(indices[i]) : 1;
        if (count + rank > cr_ndim(x)) {
            cr__op_fail(ctx, &cr__op_index_put, CR_ERR_SHAPE, NULL,
                        "the indices are for more dims than %s has", cr__shape_text(x));
            return -1;
        }
        for (int d = 0; d < rank && mask; d++)
            if (cr_size(indices[i], d) != cr_size(x, count + d)) {
                cr__op_fail(ctx, &cr__op_index_put, CR_ERR_ARGUMENT, NULL,
                            "the mask is %s, and %s has size %lld at dim %d",
                            cr__shape_text(indices[i]), cr__shape_text(x),
                            (long long)cr_size(x, count + d), count + d);
                return -1;
            }
        cr_tensor *places = mask ? cr_nonzero(indices[i]) : NULL;
        for (int d = 0; d < rank; d++)
            out[count++] = mask ? cr_select(places, 1, d) : indices[i];
    }
    return cr_error(ctx) ? -1 : count;
}

/* Expands them to their common shape, *common. */
static bool expand_indices(cr_ctx *ctx, cr_tensor **indices, int n, cr_dims *common)
{
    *common = cr_shape(indices[0]);
    for (int i = 1; i < n; i++)
        if (!cr__broadcast_dims(*common, cr_shape(indices[i]), common)) {
            cr__op_fail(ctx, &cr__op_index_put, CR_ERR_SHAPE, NULL,
                        "the shapes of the indices do not broadcast: %s and %s",
                        cr__dims_text(ctx, *common), cr__shape_text(indices[i]));
            return false;
        }
    for (int i = 0; i < n; i++)
        indices[i] = cr__expand_to(indices[i], *common);
    return !cr_error(ctx);
}

/* The indexed dims become one, and so do the dims of the indices: values are then
 * slices. */
static cr_tensor *index_put_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                   const void *attributes)
{
    const index_put_attrs *attrs = attributes;
    cr_tensor *x = inputs[0], *indices[CR_MAX_DIMS];
    cr_dims shape = cr_shape(x), common, sizes = { .given = true };
    int count = integer_indices(ctx, x, inputs + 2, n - 2, indices);
    if (count < 1 || !expand_indices(ctx, indices, count, &common))
        return NULL;
    cr_dims slices = common, flat = { .n = 1, .given = true };
    int64_t places = 1, positions = 1;
    for (int d = 0; d < count; d++)
        places *= sizes.v[sizes.n++] = shape.v[d];
    for (int d = 0; d < common.n; d++)
        positions *= common.v[d];
    if (common.n + shape.n - count > CR_MAX_DIMS) {
        cr__op_fail(ctx, &cr__op_index_put, CR_ERR_SHAPE, NULL,
                    "indices %s of %s make more than %d dims", cr__dims_text(ctx, common),
                    cr__shape_text(x), CR_MAX_DIMS);
        return NULL;
    }
    for (int d = count; d < shape.n; d++)
        slices.v[slices.n++] = flat.v[flat.n++] = shape.v[d];
    cr_dims all;
    if (!cr__broadcast_dims(slices, cr_shape(inputs[1]), &all) ||
        !cr__dims_equal(slices, all)) {
        cr__op_fail(ctx, &cr__op_index_put, CR_ERR_ARGUMENT, NULL,
                    "values %s do not broadcast to %s, what the indices name",
                    cr__shape_text(inputs[1]), cr__dims_text(ctx, slices));
        return NULL;
    }
    cr_tensor *index =
        cr_reshape(flat_index(indices, count, 0, sizes), CR_DIMS(positions));
    cr_tensor *values = cr__expand_to(inputs[1], slices);
    flat.v[0] = positions;
    values = cr_reshape(values, flat);
    flat.v[0] = places;
    cr_tensor *whole = cr_reshape(x, flat);
    return cr_reshape(attrs->accumulate ? cr_index_add(whole, 0, index, values)
                                        : cr_index_copy(whole, 0, index, values),
                      shape);
}

CR__OP(index_put) = {
    .name = "index_put",
    .doc = "x with values put, or added, to [index0,index1,..], indices of one shape",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 3,
    .max_inputs = -1,
    .inputs = "x,values,indices",
    .attrs = CR__ATTRS(CR__ATTR(index_put_attrs, accumulate, BOOL, .initial = "false")),
    .attrs_size = sizeof(index_put_attrs),
    .expand = index_put_expand,
    .samples = CR__SAMPLES({ "f[4,3] f[2,3] i[2]{0,4}", NULL },
                           { "f[4,3] f[] i[3]{0,4} i[2,1]{0,3}", "accumulate=true" },
                           { "f[3,2,2] f[4,1,2] i[4]{0,3}", "accumulate=true" },
                           { "f[3,2] f[2] b[3]=1,0,1", NULL },
                           { "f[2,3] f[1] b[2,3]=0,1,0,0,0,1", "accumulate=true" },
                           { "f[3] f[3] i[3]{0,3}=1,1,1 -> 1,0,1 0,0,1", NULL },
                           { "f[3] f[3] i[3]{0,3}=1,1,0 -> 1,1,1 1,1,1",
                             "accumulate=true" },
                           { "f[3,2] f[0,2] i[0]", NULL },
                           { "i[3] i[2] i[2]{0,3}", "accumulate=true" }),
    .call = "x,indices,n,values,.accumulate",
};

cr_tensor *cr_index_put_at(cr_tensor *x, cr_tensor *const *indices, int n,
                           cr_tensor *values, cr_index_put_opts opts)
{
    cr_tensor *inputs[2 + CR_MAX_DIMS] = { x, values };
    if (!x || !cr__usable(cr_ctx_of(x), x, "index_put", opts.site))
        return NULL;
    if (n < 1 || n > CR_MAX_DIMS || !indices) {
        cr_fail(cr_ctx_of(x), CR_ERR_ARGUMENT, "index_put: %d indices (%s)%s", n,
                opts.site, indices ? "" : "; their list is NULL");
        return NULL;
    }
    memcpy(inputs + 2, indices, (size_t)n * sizeof *indices);
    return cr__record_n(NULL, &cr__op_index_put, inputs, 2 + n,
                        &(index_put_attrs){ opts.accumulate }, opts.site);
}

/* ---- masked_fill ---- */

static cr_tensor *masked_fill_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                     const void *attrs)
{
    cr_tensor *x = inputs[0], *mask = inputs[1], *value = inputs[2];
    cr_dtype dtype = cr_dtype_of(x), given = cr_dtype_of(value);
    (void)n, (void)attrs;
    if (cr_dtype_of(mask) != CR_BOOL)
        cr__op_fail(ctx, &cr__op_masked_fill, CR_ERR_DTYPE, "cr_ne(mask, 0) makes one",
                    "mask is bool, not %s", cr_dtype_name(cr_dtype_of(mask)));
    else if (cr_ndim(value) != 0)
        cr__op_fail(ctx, &cr__op_masked_fill, CR_ERR_SHAPE, "cr_where() takes a tensor",
                    "value is a number or of rank 0, not %s", cr__shape_text(value));
    else if (cr__is_float(given) && given != dtype)
        cr__op_fail(ctx, &cr__op_masked_fill, CR_ERR_DTYPE, "cr_cast() converts",
                    "x is %s, value %s", cr_dtype_name(dtype), cr_dtype_name(given));
    else if (given != dtype)
        value = cr_cast(value, dtype);
    return cr_where(mask, value, x);
}

CR__OP(masked_fill) = {
    .name = "masked_fill",
    .doc = "value where mask is true, else x",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 3,
    .max_inputs = 3,
    .inputs = "x,mask,value",
    .expand = masked_fill_expand,
    .samples = CR__SAMPLES({ "f[2,3] b[2,3] f[]", NULL }, { "f[3] b[2,1] f[]", NULL },
                           { "f[] b[] f[]", NULL }, { "f[0,3] b[3] f[]", NULL },
                           { "f[3]=nan,1,inf b[3]=1,0,1 f[]=-inf -> 0,1,0 2", NULL },
                           { "i[3] b[3] i[]", NULL }),
};

cr_tensor *cr_masked_fill_at(cr_tensor *x, cr_tensor *mask, cr_arg value,
                             const char *site)
{
    cr_tensor *inputs[] = { x, mask, cr__as_tensor(value, x, site) };
    return cr__record_n(NULL, &cr__op_masked_fill, inputs, 3, NULL, site);
}

/* ---- take_along_dim ---- */

typedef struct take_attrs {
    cr_opt_int dim;
} take_attrs;

/* a with the sizes of b where its own are 1, but for dim. */
static cr_dims common_but(cr_dims a, cr_dims b, int64_t dim)
{
    for (int d = 0; d < a.n; d++)
        a.v[d] = d != dim && a.v[d] == 1 ? b.v[d] : a.v[d];
    return a;
}

static cr_tensor *take_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                              const void *attributes)
{
    cr_opt_int along = ((const take_attrs *)attributes)->dim;
    cr_tensor *x = inputs[0], *index = inputs[1];
    (void)n;
    if (!along.given) {
        x = cr_reshape(x, CR_DIMS(-1));
        index = cr_reshape(index, CR_DIMS(-1));
        along = CR_INT(0);
    }
    cr_dims dims = cr_shape(x), other = cr_shape(index);
    cr_infer infer = { .ctx = ctx, .op = &cr__op_take_along_dim };
    if (cr_error(ctx) || !cr__resolve_dim(&infer, &along.v, dims.n))
        return NULL;
    if (dims.n != other.n) {
        cr__op_fail(ctx, &cr__op_take_along_dim, CR_ERR_SHAPE, NULL,
                    "x %s and index %s differ in rank", cr__shape_text(x),
                    cr__shape_text(index));
        return NULL;
    }
    cr_dims x_dims = common_but(dims, other, along.v);
    cr_dims index_dims = common_but(other, dims, along.v);
    for (int d = 0; d < dims.n; d++)
        if (d != along.v && x_dims.v[d] != index_dims.v[d]) {
            cr__op_fail(ctx, &cr__op_take_along_dim, CR_ERR_SHAPE, NULL,
                        "x %s and index %s do not broadcast outside dim %lld",
                        cr__shape_text(x), cr__shape_text(index), (long long)along.v);
            return NULL;
        }
    int64_t size = cr__size_at(&dims, along.v);
    index = flat_index(&index, 1, along.v, CR_DIMS(size));
    return cr_gather(cr__expand_to(x, x_dims), (int)along.v,
                     cr__expand_to(index, index_dims));
}

CR__OP(take_along_dim) = {
    .name = "take_along_dim",
    .doc = "gather, whose x and index broadcast outside dim; without dim, of x as a list",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,index",
    .attrs = CR__ATTRS(CR__ATTR(take_attrs, dim, OPT_INT, .initial = CR__NOT_GIVEN)),
    .attrs_size = sizeof(take_attrs),
    .expand = take_expand,
    .samples = CR__SAMPLES({ "f[3,4] i[3,2]{0,4}", "dim=1" },
                           { "f[3,4] i[1,4]{0,3}", "dim=0" },
                           { "f[1,4] i[3,2]{0,4}", "dim=-1" },
                           { "f[2,3] i[4]{0,6}", NULL }, { "f[] i[2]{0,1}", NULL },
                           { "f[3] i[0]", "dim=0" }),
    .call = "x,index,.dim",
};

cr_tensor *cr_take_along_dim_at(cr_tensor *x, cr_tensor *index,
                                cr_take_along_dim_opts opts)
{
    cr_tensor *inputs[] = { x, index };
    return cr__record_n(NULL, &cr__op_take_along_dim, inputs, 2,
                        &(take_attrs){ opts.dim }, opts.site);
}
