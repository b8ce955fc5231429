/* Operations whose shape depends on data: nonzero, masked_select, unique, bincount.
 * They compute what the shape depends on while they are recorded, and make constants
 * of it: places and counts, by which elements are then picked as by any index. */
#include "attrs.h"
#include <string.h>

/* ---- nonzero ---- */

/* Whether element i of data is not 0: NaN is not. */
static bool is_nonzero(cr_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case CR_F64:
        return ((const double *)data)[i] != 0;
    case CR_F32:
        return ((const float *)data)[i] != 0;
    case CR_BF16:
    case CR_F16:
        return (((const uint16_t *)data)[i] & 0x7fff) != 0;
    case CR_I64:
        return ((const int64_t *)data)[i] != 0;
    case CR_I32:
        return ((const int32_t *)data)[i] != 0;
    default:
        return ((const uint8_t *)data)[i] != 0;
    }
}

/* Zeroed memory for n numbers, at least one; NULL with the error. */
static int64_t *new_numbers(cr_ctx *ctx, int64_t n)
{
    size_t bytes = (size_t)(n > 0 ? n : 1) * sizeof(int64_t);
    int64_t *numbers = cr__pooled_new(ctx, bytes);
    if (numbers)
        memset(numbers, 0, bytes);
    return numbers;
}

/* Places in row-major order, ascending, of what is not 0, n of them; NULL with the
 * error. */
static int64_t *nonzero_places(cr_tensor *x, int64_t *n)
{
    const void *data = cr_data(x);
    cr_dtype dtype = cr_dtype_of(x);
    int64_t numel = cr_numel(x);
    *n = 0;
    if (cr_error(cr_ctx_of(x)))
        return NULL;
    for (int64_t i = 0; i < numel; i++)
        *n += is_nonzero(dtype, data, i);
    int64_t *places = new_numbers(cr_ctx_of(x), *n), *to = places;
    for (int64_t i = 0; places && i < numel; i++)
        if (is_nonzero(dtype, data, i))
            *to++ = i;
    return places;
}

static cr_tensor *nonzero_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                 const void *attrs)
{
    cr_tensor *x = inputs[0], *out = NULL;
    int64_t count, *places = nonzero_places(x, &count);
    cr_dims dims = cr_shape(x);
    int64_t *rows = places ? new_numbers(ctx, count * dims.n) : NULL;
    (void)n, (void)attrs;
    for (int64_t i = 0; rows && i < count; i++)
        for (int64_t d = dims.n - 1, at = places[i]; d >= 0; at /= dims.v[d--])
            rows[i * dims.n + d] = at % dims.v[d];
    if (rows)
        out = cr_from(ctx, CR_I64, CR_DIMS(count, dims.n), rows);
    cr__pooled_free(rows);
    cr__pooled_free(places);
    return out;
}

CR__OP(nonzero) = {
    .name = "nonzero",
    .doc = "i64 [count, rank]: the indices of the elements that are not 0, in order",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .expand = nonzero_expand,
    .samples = CR__SAMPLES({ "f[2,3]=0,-1,nan,-0,2,0", NULL }, { "i[2,3]{0,2}", NULL },
                           { "b[4]", NULL }, { "f[]", NULL }, { "f[0,3]", NULL }),
};

cr_tensor *cr_nonzero_at(cr_tensor *x, const char *site)
{
    return cr__record_1(&cr__op_nonzero, x, NULL, site);
}

/* ---- masked_select ---- */

static cr_tensor *masked_select_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                       const void *attrs)
{
    cr_tensor *x = inputs[0], *mask = inputs[1], *index = NULL;
    cr_dims common;
    int64_t count;
    (void)n, (void)attrs;
    if (cr_dtype_of(mask) != CR_BOOL)
        cr__op_fail(ctx, &cr__op_masked_select, CR_ERR_DTYPE, "cr_ne(mask, 0) makes one",
                    "mask is bool, not %s", cr_dtype_name(cr_dtype_of(mask)));
    else if (!cr__broadcast_dims(cr_shape(x), cr_shape(mask), &common))
        cr__op_fail(ctx, &cr__op_masked_select, CR_ERR_SHAPE, NULL,
                    "shapes do not broadcast: %s and %s", cr__shape_text(x),
                    cr__shape_text(mask));
    if (cr_error(ctx))
        return NULL;
    int64_t *places = nonzero_places(cr__expand_to(mask, common), &count);
    if (places)
        index = cr_from(ctx, CR_I64, CR_DIMS(count), places);
    cr__pooled_free(places);
    return cr_index_select(cr_reshape(cr__expand_to(x, common), CR_DIMS(-1)), 0, index);
}

CR__OP(masked_select) = {
    .name = "masked_select",
    .doc = "the elements of x where mask is true, as a list",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 2,
    .max_inputs = 2,
    .inputs = "x,mask",
    .expand = masked_select_expand,
    .samples = CR__SAMPLES({ "f[2,3] b[2,3]", NULL }, { "f[3] b[2,1]=1,0", NULL },
                           { "f[2,1] b[3]=1,0,1", NULL }, { "f[] b[]", NULL },
                           { "f[2,0] b[2,0]", NULL }, { "i[4] b[4]", NULL }),
};

cr_tensor *cr_masked_select_at(cr_tensor *x, cr_tensor *mask, const char *site)
{
    cr_tensor *inputs[] = { x, mask };
    return cr__record_n(NULL, &cr__op_masked_select, inputs, 2, NULL, site);
}

/* ---- unique ---- */

/* Whether elements i and j are equal numbers: 0 and -0 are, NaNs are not. */
static bool are_equal(cr_dtype dtype, const void *data, int64_t i, int64_t j)
{
    size_t size = cr_dtype_size(dtype);
    const char *a = (const char *)data + (size_t)i * size;
    const char *b = (const char *)data + (size_t)j * size;
    if (dtype == CR_F64)
        return ((const double *)data)[i] == ((const double *)data)[j];
    if (dtype == CR_F32)
        return ((const float *)data)[i] == ((const float *)data)[j];
    if (cr__is_half(dtype))
        return cr__half_value(dtype, ((const uint16_t *)data)[i]) ==
               cr__half_value(dtype, ((const uint16_t *)data)[j]);
    return memcmp(a, b, size) == 0;
}

/* Equal elements stand together in a sorted list. */
static int unique_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n, const void *attrs,
                         cr_tensor **outputs, int capacity)
{
    cr_tensor *x = cr_reshape(cr_detach(inputs[0]), CR_DIMS(-1));
    cr_tensor *sorted = cr_argsort(x, 0);
    const void *data = cr_data(x);
    const int64_t *order = cr_data(sorted);
    cr_dtype dtype = cr_dtype_of(x);
    int64_t numel = cr_numel(x), groups = 0;
    (void)n, (void)attrs;
    int64_t *first = cr_error(ctx) ? NULL : new_numbers(ctx, numel);
    int64_t *inverse = first ? new_numbers(ctx, numel) : NULL;
    int64_t *counts = inverse ? new_numbers(ctx, numel) : NULL;
    for (int64_t i = 0; counts && i < numel; i++) {
        if (i == 0 || !are_equal(dtype, data, order[i - 1], order[i]))
            first[groups++] = order[i];
        inverse[order[i]] = groups - 1;
        counts[groups - 1]++;
    }
    cr_tensor *results[3] = { NULL };
    if (counts) {
        results[0] = cr_index_select(x, 0, cr_from(ctx, CR_I64, CR_DIMS(groups), first));
        results[1] = cr_from(ctx, CR_I64, cr_shape(inputs[0]), inverse);
        results[2] = cr_from(ctx, CR_I64, CR_DIMS(groups), counts);
    }
    cr__pooled_free(counts);
    cr__pooled_free(inverse);
    cr__pooled_free(first);
    for (int i = 0; i < 3 && i < capacity; i++)
        outputs[i] = results[i];
    return cr_error(ctx) ? -1 : 3;
}

CR__OP(unique) = {
    .name = "unique",
    .doc = "the different elements, ascending; where each of x is among them; how many "
           "of each",
    .kind = CR_OP_COMPOSITE,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .expand_all = unique_expand,
    .samples = CR__SAMPLES({ "i[2,5]{0,4}", NULL }, { "f[6]~=2,nan,-0,0,nan,-inf", NULL },
                           { "b[4]", NULL }, { "i[]", NULL }, { "i[0,2]", NULL }),
    .call = "x,.inverse,.counts",
};

cr_tensor *cr_unique_at(cr_tensor *x, cr_unique_opts opts)
{
    cr_tensor *out[3] = { NULL };
    (void)cr__record_all(NULL, &cr__op_unique, &x, 1, NULL, out, 3, opts.site);
    if (opts.inverse)
        *opts.inverse = out[1];
    if (opts.counts)
        *opts.counts = out[2];
    return out[0];
}

/* ---- bincount ---- */

typedef struct bincount_attrs {
    int64_t minlength;
} bincount_attrs;

static bool can_be_counted(cr_ctx *ctx, cr_tensor *x, cr_tensor *weights,
                           int64_t minlength)
{
    const cr_op *op = &cr__op_bincount;
    if (!cr__is_int(cr_dtype_of(x)))
        cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() converts",
                    "x has integers, i64, i32 or u8, not %s",
                    cr_dtype_name(cr_dtype_of(x)));
    else if (cr_ndim(x) != 1)
        cr__op_fail(ctx, op, CR_ERR_SHAPE, "cr_reshape(x, CR_DIMS(-1)) makes it a list",
                    "x has rank 1, not shape %s", cr__shape_text(x));
    else if (weights && (cr_ndim(weights) != 1 || cr_size(weights, 0) != cr_size(x, 0)))
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                    "weights %s are not one for each of x %s", cr__shape_text(weights),
                    cr__shape_text(x));
    else if (minlength < 0)
        cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "minlength is %lld, below 0",
                    (long long)minlength);
    return !cr_error(ctx);
}

/* One more than the largest of x, at least minlength; -1 with the error. */
static int64_t bins_of(cr_ctx *ctx, cr_tensor *x, int64_t minlength)
{
    const int64_t *data = cr_data(cr_cast(x, CR_I64));
    int64_t bins = minlength;
    for (int64_t i = 0; data && i < cr_numel(x); i++) {
        if (data[i] < 0 || data[i] == INT64_MAX) {
            cr__op_fail(ctx, &cr__op_bincount, CR_ERR_INDEX, NULL,
                        "element %lld at [%lld] is %s", (long long)data[i], (long long)i,
                        data[i] < 0 ? "below 0" : "too large");
            return -1;
        }
        bins = data[i] >= bins ? data[i] + 1 : bins;
    }
    return cr_error(ctx) ? -1 : bins;
}

static cr_tensor *bincount_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                  const void *attributes)
{
    const bincount_attrs *attrs = attributes;
    cr_tensor *x = inputs[0], *weights = cr__optional(inputs, n, 1);
    if (!can_be_counted(ctx, x, weights, attrs->minlength))
        return NULL;
    bool counts = !weights || cr_numel(x) == 0;
    int64_t bins = bins_of(ctx, x, attrs->minlength);
    if (bins < 0)
        return NULL;
    if (counts)
        weights = cr_ones(ctx, cr_shape(x), .dtype = CR_I64);
    else if (!cr__is_float(cr_dtype_of(weights)))
        weights = cr_cast(weights, CR_F64);
    cr_tensor *zeros =
        cr_zeros(ctx, CR_DIMS(bins), .dtype = counts ? CR_I64 : cr_dtype_of(weights));
    return cr_scatter_add(zeros, 0, x, weights);
}

CR__OP(bincount) = {
    .name = "bincount",
    .doc = "how often each of 0, 1, .. is in x, or the sum of its weights",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 2,
    .inputs = "x,weights",
    .attrs = CR__ATTRS(CR__ATTR(bincount_attrs, minlength, INT, .initial = "0")),
    .attrs_size = sizeof(bincount_attrs),
    .expand = bincount_expand,
    .samples = CR__SAMPLES({ "i[6]{0,4}", NULL }, { "i[6]{0,4} f[6]", NULL },
                           { "i[6]{0,4} -", "minlength=7" },
                           { "i[6]{0,4} i[6]", "minlength=2" }, { "i[0]", NULL }),
    .call = "x,.weights,.minlength",
};

cr_tensor *cr_bincount_at(cr_tensor *x, cr_bincount_opts opts)
{
    cr_tensor *inputs[] = { x, opts.weights };
    return cr__record_n(NULL, &cr__op_bincount, inputs, 2,
                        &(bincount_attrs){ opts.minlength }, opts.site);
}
