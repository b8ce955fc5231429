/* Tensors from data: copies, borrowed memory, numbers. */
#include "graph.h"

#include <string.h>

/* ---- numbers ---- */

/* Numbers are told apart and rounded by their bits: that needs no arithmetic, which would
 * depend on the host's floating point state, or trap. */

#define MANTISSA   ((UINT64_C(1) << 52) - 1)
#define HIDDEN_BIT (UINT64_C(1) << 52)

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static int exponent_of(uint64_t bits)
{
    return (int)(bits >> 52 & 0x7ff) - 1023;
}

/* bits / 2^n, to nearest, ties to even. */
static uint64_t rounded_shift(uint64_t bits, int n)
{
    if (n > 63)
        return 0;
    return (bits + ((UINT64_C(1) << (n - 1)) - 1) + (bits >> n & 1)) >> n;
}

/* A format narrower than f64: digits behind the point, the largest exponent, which is the bias
 * too. */
typedef struct format {
    int fraction, most, bits;
} format;

/* The number of that format nearest to x, as its bits. A carry goes on into the exponent, and to
 * infinity. */
static uint32_t nearest(double x, format f)
{
    const uint64_t bits = bits_of(x), mantissa = bits & MANTISSA;
    const uint32_t sign = (uint32_t)(bits >> 63) << (f.bits - 1);
    const uint32_t infinity = (2 * (uint32_t)f.most + 1) << f.fraction;
    const int e = exponent_of(bits), least = 1 - f.most, lost = 52 - f.fraction;
    uint64_t rounded = infinity;
    if (e == 1024 && mantissa)
        rounded |= UINT64_C(1) << (f.fraction - 1);
    else if (e >= least && e <= f.most)
        rounded = rounded_shift((uint64_t)(e + f.most) << 52 | mantissa, lost);
    else if (e < least)
        rounded = rounded_shift(mantissa | HIDDEN_BIT, lost + least - e);
    return sign | (uint32_t)rounded;
}

/* False if x is finite and the number stored is not. */
static bool store_float(double x, cr_dtype dtype, void *dst)
{
    static const format formats[CR_DTYPES] = {
        [CR_F32] = { 23, 127, 32 }, [CR_BF16] = { 7, 127, 16 }, [CR_F16] = { 10, 15, 16 }
    };
    const format f = formats[dtype];
    if (dtype == CR_F64) {
        memcpy(dst, &x, sizeof x);
        return true;
    }
    const uint32_t narrow = nearest(x, f),
                   size = narrow & ((UINT32_C(1) << (f.bits - 1)) - 1);
    const uint16_t half = (uint16_t)narrow;
    memcpy(dst, f.bits == 32 ? (const void *)&narrow : &half, (size_t)f.bits / 8);
    return size != (2 * (uint32_t)f.most + 1) << f.fraction ||
           (bits_of(x) << 1) == 0xffe0000000000000;
}

/* Integers of more bits than f64 has are rounded. */
double cr__arg_double(cr_arg number)
{
    if (number.kind == CR_ARG_REAL)
        return number.v.real;
    if ((number.kind == CR_ARG_INT ? number.v.u + HIDDEN_BIT : number.v.u) <
        2 * HIDDEN_BIT)
        return (double)number.v.i;
    CR__FP_GUARD();
    CR__HOLD(number);
    double rounded = number.kind == CR_ARG_INT ? (double)number.v.i : (double)number.v.u;
    CR__HOLD(rounded);
    return rounded;
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
    const uint64_t bits = bits_of(number.v.real),
                   mantissa = (bits & MANTISSA) | HIDDEN_BIT;
    const int e = exponent_of(bits);
    *negative = bits >> 63;
    *magnitude = 0;
    if (bits << 1 == 0)
        return true;
    if (e < 0 || e > 63 || (e < 52 && mantissa << (12 + e)))
        return false;
    *magnitude = e < 52 ? mantissa >> (52 - e) : mantissa << (e - 52);
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
        return store_float(cr__arg_double(number), dtype, dst);
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

bool cr__is_filled(const cr_tensor *x, int number)
{
    const cr_tensor *each = x->op == &cr__op_expand ? cr__input(x, 0) : NULL;
    uint64_t as_stored = 0;
    return each && !(x->flags & CR__NEEDS_GRAD) && each->flags & CR__KNOWN &&
           each->shape->numel == 1 &&
           cr__number_store(cr_arg_int(number), (cr_dtype)x->dtype, &as_stored) &&
           !memcmp(&each->value.scalar, &as_stored, cr_dtype_size((cr_dtype)x->dtype));
}

/* ---- types of C ---- */

enum { FLOATING, FLOATING16, SIGNED, UNSIGNED, BYTE, TRUTH };

bool cr__type_fits(const char *type, cr_dtype dtype)
{
    static const struct {
        const char *name;
        size_t size;
        int kind;
    } types[] = {
        { "bool", sizeof(bool), TRUTH },
        { "char", 1, BYTE },
        { "signed char", 1, SIGNED },
        { "unsigned char", 1, BYTE },
        { "short", sizeof(short), SIGNED },
        { "unsigned short", sizeof(short), UNSIGNED },
        { "int", sizeof(int), SIGNED },
        { "unsigned int", sizeof(int), UNSIGNED },
        { "long", sizeof(long), SIGNED },
        { "unsigned long", sizeof(long), UNSIGNED },
        { "long long", sizeof(long long), SIGNED },
        { "unsigned long long", sizeof(long long), UNSIGNED },
        { "float", sizeof(float), FLOATING },
        { "double", sizeof(double), FLOATING },
        { "long double", sizeof(long double), FLOATING },
        { "cr_float16_", 2, FLOATING16 },
    };
    static const unsigned kinds[CR_DTYPES] = {
        [CR_F32] = 1u << FLOATING,  [CR_F64] = 1u << FLOATING,
        [CR_I64] = 1u << SIGNED,    [CR_I32] = 1u << SIGNED,
        [CR_U8] = 1u << BYTE,       [CR_BOOL] = 1u << BYTE | 1u << TRUTH,
        [CR_BF16] = 1u << UNSIGNED, [CR_F16] = 1u << UNSIGNED | 1u << FLOATING16,
    };
    for (int i = 0; type && i < CR__COUNT(types); i++)
        if (strcmp(type, types[i].name) == 0)
            return types[i].size == cr_dtype_size(dtype) &&
                   kinds[dtype] >> types[i].kind & 1;
    return true;
}

/* ---- makers ---- */

/* They are no operations, but have names in messages. */
static const cr_op op_from = { .name = "from" }, op_borrow = { .name = "borrow" },
                   op_scalar = { .name = "scalar" }, op_full = { .name = "full" };

typedef struct making {
    cr_ctx *ctx;
    const char *outer_site;
    const cr_op *outer;
} making;

/* What is made until end() has the maker's name and this place, unless an operation makes
 * it. False if an error is pending. */
static bool begin(making *m, cr_ctx *ctx, const cr_op *maker, const char *site)
{
    if (!ctx || ctx->status != CR_OK || !cr__may_change(ctx, maker->name))
        return false;
    *m = (making){ ctx, ctx->site, ctx->within };
    if (!ctx->site)
        ctx->site = site ? site : "?";
    if (!ctx->within)
        ctx->within = maker;
    return true;
}

static cr_tensor *end(const making *m, cr_tensor *x)
{
    m->ctx->site = m->outer_site;
    m->ctx->within = m->outer;
    return x;
}

/* Checks dtype and dims; a node without value. */
static cr_tensor *blank(const making *m, cr_dtype dtype, cr_dims dims)
{
    int64_t numel;
    cr_ctx *ctx = m->ctx;
    if (dtype <= CR_DTYPE_DEFAULT || dtype >= CR_DTYPES)
        cr__op_fail(ctx, ctx->within, CR_ERR_DTYPE, NULL, "%d is no dtype", (int)dtype);
    else if (cr__dims_numel(ctx, ctx->within, dims, dtype, &numel))
        return cr__node_new(ctx, dtype, cr__shape_of(ctx, dims), NULL);
    return NULL;
}

static cr_tensor *constant(const making *m, cr_dtype dtype, cr_dims dims,
                           const void *data)
{
    cr_tensor *x = blank(m, dtype, dims);
    if (!x)
        return NULL;
    size_t bytes = (size_t)cr__numel(x) * cr_dtype_size(dtype);
    if (cr__numel(x) != 1 && !(x->value.buffer = cr__buffer_new(m->ctx, bytes))) {
        cr__say_for_what(x);
        return NULL;
    }
    x->flags |= CR__KNOWN | CR__KEEP;
    if (bytes)
        memcpy(cr__value(x), data, bytes);
    return x;
}

/* NULL is data for nothing. */
static bool check_data(const making *m, cr_dtype dtype, cr_dims dims, const void *data,
                       const char *type)
{
    const cr_op *maker = m->ctx->within;
    bool empty = false;
    for (int i = 0; i < dims.n && i < CR_MAX_DIMS; i++)
        empty |= dims.v[i] == 0;
    if (!data && !empty)
        cr__op_fail(m->ctx, maker, CR_ERR_NULL, NULL, "the data is NULL");
    else if (cr_dtype_size(dtype) && !cr__type_fits(type, dtype))
        cr__op_fail(m->ctx, maker, CR_ERR_DTYPE,
                    "give the data's own dtype, and cr_cast() the tensor",
                    "the data is %s, which is not %s", type, cr_dtype_name(dtype));
    return m->ctx->status == CR_OK;
}

cr_tensor *cr_from_at(cr_ctx *ctx, cr_dtype dtype, cr_dims dims, const void *data,
                      const char *type, const char *site)
{
    making m;
    cr_tensor *x = NULL;
    if (!begin(&m, ctx, &op_from, site))
        return NULL;
    if (check_data(&m, dtype, dims, data, type))
        x = constant(&m, dtype, dims, data);
    if (x && dtype == CR_BOOL)
        for (int64_t i = 0; i < cr__numel(x); i++)
            ((uint8_t *)cr__value(x))[i] = ((uint8_t *)cr__value(x))[i] != 0;
    return end(&m, x);
}

/* One element is copied: it has its place in the node. */
static bool set_borrowed(cr_tensor *x, const void *data,
                         void (*done)(void *user, const void *data), void *user)
{
    size_t bytes = (size_t)cr__numel(x) * cr_dtype_size((cr_dtype)x->dtype);
    if (cr__numel(x) == 1) {
        memcpy(&x->value.scalar, data, bytes);
        if (done)
            cr__lent_back(x->ctx, done, user, data);
    } else if (!(x->value.buffer = cr__buffer_borrow(x->ctx, data, bytes, done, user)))
        return false;
    x->flags |= CR__KNOWN | CR__KEEP;
    return true;
}

cr_tensor *cr_borrow_at(cr_ctx *ctx, cr_dtype dtype, cr_dims dims, const void *data,
                        void (*done)(void *user, const void *data), void *user,
                        const char *type, const char *site)
{
    making m;
    if (!begin(&m, ctx, &op_borrow, site))
        return NULL;
    bool good = check_data(&m, dtype, dims, data, type);
    cr_tensor *x = good ? blank(&m, dtype, dims) : NULL;
    return end(&m, x && set_borrowed(x, data, done, user) ? x : NULL);
}

static cr_tensor *scalar_of(const making *m, cr_arg value, cr_dtype dtype)
{
    cr_ctx *ctx = m->ctx;
    uint64_t bits = 0;
    dtype = dtype == CR_DTYPE_DEFAULT ? CR_F32 : dtype;
    if (value.kind == CR_ARG_TENSOR || value.kind == CR_ARG_NONE)
        cr__op_fail(ctx, ctx->within, CR_ERR_ARGUMENT, NULL,
                    "the value must be a number");
    else if (dtype > CR_DTYPE_DEFAULT && dtype < CR_DTYPES &&
             !cr__number_store(value, dtype, &bits))
        cr__op_fail(ctx, ctx->within, CR_ERR_DTYPE, NULL, "%s is not a value of %s",
                    cr__number_text(ctx, value), cr_dtype_name(dtype));
    else
        return constant(m, dtype, CR_NO_DIMS, &bits);
    return NULL;
}

cr_tensor *cr_scalar_at(cr_ctx *ctx, cr_arg value, cr_make_opts opts)
{
    making m;
    CR__FP_GUARD();
    if (!begin(&m, ctx, &op_scalar, opts.site))
        return NULL;
    return end(&m, scalar_of(&m, value, opts.dtype));
}

/* The number, expanded: it takes no memory until it must lie contiguous. */
cr_tensor *cr_full_at(cr_ctx *ctx, cr_dims dims, cr_arg value, cr_make_opts opts)
{
    making m;
    int64_t numel;
    CR__FP_GUARD();
    if (!begin(&m, ctx, &op_full, opts.site))
        return NULL;
    cr_tensor *x = cr__dims_numel(ctx, &op_full, dims, CR_DTYPE_DEFAULT, &numel)
                       ? scalar_of(&m, value, opts.dtype)
                       : NULL;
    return end(&m, x && dims.n ? cr_expand_at(x, dims, NULL) : x);
}

cr_tensor *cr_full_like_at(cr_tensor *like, cr_arg value, const char *site)
{
    if (!like || !cr__usable(like->ctx, like, "full_like", site))
        return NULL;
    return cr_full_at(like->ctx, cr_shape(like), value,
                      (cr_make_opts){ .site = site, .dtype = (cr_dtype)like->dtype });
}
