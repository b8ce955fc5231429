/* Tensors from data: copies, borrowed memory, numbers. */
#include "graph.h"

#include <float.h>
#include <string.h>

/* ---- numbers ---- */

static bool store_float(double real, cr_dtype dtype, void *dst)
{
    if (dtype == CR_F64) {
        memcpy(dst, &real, sizeof real);
        return true;
    }
    float f = (float)real;
    memcpy(dst, &f, sizeof f);
    return !isinf(f) || isinf(real);
}

/* The number as a whole one: its sign and magnitude. False if it is none. */
static bool whole(cr_arg number, bool *negative, uint64_t *magnitude)
{
    if (number.kind == CR_ARG_UINT) {
        *negative = false;
        *magnitude = number.v.u;
        return true;
    }
    if (number.kind == CR_ARG_INT) {
        *negative = number.v.i < 0;
        *magnitude = *negative ? 0 - (uint64_t)number.v.i : (uint64_t)number.v.i;
        return true;
    }
    double size = fabs(number.v.real);
    if (!(size < 0x1p64) || floor(size) != size)
        return false;
    *negative = number.v.real < 0;
    *magnitude = (uint64_t)size;
    return true;
}

bool cr__number_store(cr_arg number, cr_dtype dtype, void *dst)
{
    static const uint64_t largest[CR_DTYPES] = {
        [CR_I64] = INT64_MAX, [CR_I32] = INT32_MAX, [CR_U8] = UINT8_MAX, [CR_BOOL] = 1
    };
    bool negative;
    uint64_t magnitude;
    if (cr__is_float(dtype))
        return store_float(number.kind == CR_ARG_REAL  ? number.v.real
                           : number.kind == CR_ARG_INT ? (double)number.v.i
                                                       : (double)number.v.u,
                           dtype, dst);
    if (!whole(number, &negative, &magnitude))
        return false;
    uint64_t limit = largest[dtype];
    if (negative && magnitude)
        limit = dtype == CR_I64 || dtype == CR_I32 ? limit + 1 : 0;
    if (magnitude > limit)
        return false;
    /* Little-endian or not, each type is stored as itself. */
    int64_t value = (int64_t)(negative ? 0 - magnitude : magnitude);
    int32_t narrow = (int32_t)value;
    uint8_t byte = (uint8_t)value;
    const void *from = dtype == CR_I64   ? (const void *)&value
                       : dtype == CR_I32 ? (const void *)&narrow
                                         : (const void *)&byte;
    memcpy(dst, from, cr_dtype_size(dtype));
    return true;
}

/* ---- constants ---- */

/* Stands for the makers in messages: they are no operations. */
static const cr_op maker = { .name = "tensor" };

/* Checks dtype and dims; a node without value. */
static cr_tensor *blank(cr_ctx *ctx, cr_dtype dtype, cr_dims dims, const char *site)
{
    int64_t numel;
    if (!ctx || ctx->status != CR_OK)
        return NULL;
    const char *outer = ctx->site;
    ctx->site = outer ? outer : site;
    bool valid = false;
    if (dtype <= CR_DTYPE_DEFAULT || dtype >= CR_DTYPES)
        cr__op_fail(ctx, &maker, CR_ERR_DTYPE, NULL, "%d is no dtype", (int)dtype);
    else
        valid = cr__dims_numel(ctx, &maker, dims, dtype, &numel);
    ctx->site = outer;
    return valid ? cr__node_new(ctx, dtype, cr__shape_new(ctx, dims), site) : NULL;
}

cr_tensor *cr__constant(cr_ctx *ctx, cr_dtype dtype, cr_dims dims, const void *data,
                        const char *site)
{
    cr_tensor *x = blank(ctx, dtype, dims, site);
    if (!x)
        return NULL;
    size_t bytes = (size_t)cr__numel(x) * cr_dtype_size(dtype);
    if (cr__numel(x) != 1 && !(x->value.buffer = cr__buffer_new(ctx, bytes)))
        return NULL;
    x->flags |= CR__KNOWN | CR__KEEP;
    if (data && bytes)
        memcpy(cr__value(x), data, bytes);
    return x;
}

static bool check_data(cr_ctx *ctx, cr_dims dims, const void *data, const char *what,
                       const char *site)
{
    if (!ctx || ctx->status != CR_OK)
        return false;
    bool empty = false;
    for (int i = 0; i < dims.n && i < CR_MAX_DIMS; i++)
        empty |= dims.v[i] == 0;
    if (data || empty)
        return true;
    cr_fail(ctx, CR_ERR_NULL, "%s: the data is NULL (%s)", what, site ? site : "?");
    return false;
}

cr_tensor *cr_from_at(cr_ctx *ctx, cr_dtype dtype, cr_dims dims, const void *data,
                      const char *site)
{
    return check_data(ctx, dims, data, "from", site)
               ? cr__constant(ctx, dtype, dims, data, site)
               : NULL;
}

cr_tensor *cr_borrow_at(cr_ctx *ctx, cr_dtype dtype, cr_dims dims, const void *data,
                        void (*done)(void *user, const void *data), void *user,
                        const char *site)
{
    cr_tensor *x = check_data(ctx, dims, data, "borrow", site)
                       ? blank(ctx, dtype, dims, site)
                       : NULL;
    if (!x)
        return NULL;
    size_t bytes = (size_t)cr__numel(x) * cr_dtype_size(dtype);
    if (cr__numel(x) == 1) {
        memcpy(&x->value.scalar, data, bytes);
        if (done)
            done(user, data);
    } else if (!(x->value.buffer = cr__buffer_borrow(ctx, data, bytes, done, user))) {
        return NULL;
    }
    x->flags |= CR__KNOWN | CR__KEEP;
    return x;
}

static cr_tensor *number(cr_ctx *ctx, cr_arg value, cr_dtype dtype, const char *what,
                         const char *site)
{
    uint64_t bits = 0;
    if (!ctx || ctx->status != CR_OK)
        return NULL;
    if (value.kind == CR_ARG_TENSOR || value.kind == CR_ARG_NONE) {
        cr_fail(ctx, CR_ERR_ARGUMENT, "%s: the value must be a number (%s)", what,
                site ? site : "?");
        return NULL;
    }
    if (dtype > CR_DTYPE_DEFAULT && dtype < CR_DTYPES &&
        !cr__number_store(value, dtype, &bits)) {
        cr_fail(ctx, CR_ERR_DTYPE, "%s: %s is not a value of %s (%s)", what,
                cr__number_text(ctx, value), cr_dtype_name(dtype), site ? site : "?");
        return NULL;
    }
    return cr__constant(ctx, dtype, CR_NO_DIMS, &bits, site);
}

static cr_dtype or_f32(cr_dtype dtype)
{
    return dtype == CR_DTYPE_DEFAULT ? CR_F32 : dtype;
}

cr_tensor *cr_scalar_at(cr_ctx *ctx, cr_arg value, cr_make_opts opts)
{
    return number(ctx, value, or_f32(opts.dtype), "scalar", opts.site);
}

/* The number, expanded: it takes no memory until it must lie contiguous. */
cr_tensor *cr_full_at(cr_ctx *ctx, cr_dims dims, cr_arg value, cr_make_opts opts)
{
    cr_tensor *x = number(ctx, value, or_f32(opts.dtype), "full", opts.site);
    return x && dims.n ? cr_expand_at(x, dims, opts.site) : x;
}

cr_tensor *cr_full_like_at(cr_tensor *like, cr_arg value, const char *site)
{
    if (!like || !cr__usable(like->ctx, like, "full_like", site))
        return NULL;
    return cr_full_at(like->ctx, cr_shape(like), value,
                      (cr_make_opts){ .site = site, .dtype = (cr_dtype)like->dtype });
}
