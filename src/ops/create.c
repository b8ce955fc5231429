/* Tensors made of nothing but attributes: arange, linspace, eye. Those from data and
 * numbers are src/graph's. */
#include "../base/compiler.h"
#include "ops.h"

cr_status cr__resolve_dtype(cr_infer *infer, cr_dtype *dtype, unsigned allowed)
{
    if (*dtype == CR_DTYPE_DEFAULT)
        *dtype = CR_F32;
    infer->dtype = *dtype;
    if (*dtype > CR_DTYPE_DEFAULT && *dtype < CR_DTYPES && allowed >> *dtype & 1)
        return CR_OK;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, NULL, "no result of dtype %s",
                       *dtype > CR_DTYPE_DEFAULT && *dtype < CR_DTYPES
                           ? cr_dtype_name(*dtype)
                           : "unknown");
}

static cr_status refuse(cr_infer *infer, const char *what)
{
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_ARGUMENT, NULL, "%s", what);
}

/* ---- arange ---- */

typedef struct arange_attrs {
    cr_arg start, end, step;
    cr_dtype dtype;
} arange_attrs;

/* ceil((end - start) / step) of integers, without overflow. */
static uint64_t count_whole(int64_t start, int64_t end, int64_t step)
{
    uint64_t distance = (uint64_t)end - (uint64_t)start, stride = (uint64_t)step;
    if (step > 0 ? end <= start : end >= start)
        return 0;
    if (step < 0)
        distance = 0 - distance, stride = 0 - stride;
    return (distance - 1) / stride + 1;
}

static double count_real(double start, double end, double step)
{
    double count = ceil((end - start) / step);
    return count > 0 ? count : 0;
}

/* start, end and step as integers, in whatever kind they are written; false if one is
 * none. */
static bool whole_numbers(const arange_attrs *a, int64_t v[3])
{
    return cr__number_store(a->start, CR_I64, &v[0]) &&
           cr__number_store(a->end, CR_I64, &v[1]) &&
           cr__number_store(a->step, CR_I64, &v[2]);
}

static cr_status arange_check(cr_infer *infer, const arange_attrs *a, bool whole)
{
    const cr_arg numbers[3] = { a->start, a->end, a->step };
    for (int i = 0; i < 3; i++)
        if (numbers[i].kind < CR_ARG_REAL || !isfinite(cr__arg_double(numbers[i])))
            return refuse(infer, "start, end and step must be finite numbers");
    if (cr__arg_double(a->step) == 0)
        return refuse(infer, "the step is 0");
    if (!whole && !cr__is_float(a->dtype))
        return cr__op_fail(
            infer->ctx, infer->op, CR_ERR_DTYPE, "a float .dtype holds fractions",
            "start, end and step must be integers for %s", cr_dtype_name(a->dtype));
    return CR_OK;
}

/* Whether the dtype holds n integers from v[0] in steps of v[2]. */
static cr_status arange_fits(cr_infer *infer, const int64_t v[3], int64_t n)
{
    uint64_t bits, last = (uint64_t)v[0] + (uint64_t)(n - 1) * (uint64_t)v[2];
    cr_dtype dtype = infer->dtype;
    if (n == 0 || (cr__number_store(cr_arg_int(v[0]), dtype, &bits) &&
                   cr__number_store(cr_arg_int((int64_t)last), dtype, &bits)))
        return CR_OK;
    return cr__op_fail(infer->ctx, infer->op, CR_ERR_DTYPE, NULL,
                       "%lld to %lld is more than %s holds", (long long)v[0],
                       (long long)(int64_t)last, cr_dtype_name(dtype));
}

static cr_status arange_shape(cr_infer *infer)
{
    arange_attrs *a = infer->attrs;
    int64_t v[3];
    bool whole = whole_numbers(a, v);
    cr_status status = cr__resolve_dtype(infer, &a->dtype, CR__NUMBERS);
    if (status != CR_OK || (status = arange_check(infer, a, whole)) != CR_OK)
        return status;
    double real = count_real(cr__arg_double(a->start), cr__arg_double(a->end),
                             cr__arg_double(a->step));
    if (!(real < 0x1p62))
        return cr__op_fail(infer->ctx, infer->op, CR_ERR_SHAPE, NULL,
                           "%g elements are too many", real);
    int64_t n = whole ? (int64_t)count_whole(v[0], v[1], v[2]) : (int64_t)real;
    infer->dims = CR_DIMS(n);
    return cr__is_float(a->dtype) ? CR_OK : arange_fits(infer, v, n);
}

static void arange_source(const void *attrs, void *params)
{
    const arange_attrs *a = attrs;
    cr__arange_params *p = params;
    int64_t v[3] = { 0 };
    if (!cr__is_float(a->dtype))
        (void)whole_numbers(a, v);
    *p = (cr__arange_params){ cr__arg_double(a->start), cr__arg_double(a->step), v[0],
                              v[2] };
}

CR__OP(arange) = {
    .name = "arange",
    .doc = "start, start + step, ... below end",
    .kind = CR_OP_MAP,
    .attrs = CR__ATTRS(CR__ATTR(arange_attrs, start, NUMBER, .initial = "0",
                                .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(arange_attrs, end, NUMBER, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(arange_attrs, step, NUMBER, .initial = "1",
                                .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(arange_attrs, dtype, DTYPE, .initial = "f32")),
    .attrs_size = sizeof(arange_attrs),
    .shape = arange_shape,
    .internal = CR__MAP_OF(arange, .source = arange_source),
    .samples = CR__SAMPLES({ "", "end=7" }, { "", "start=0.5,end=2,step=0.25,dtype=f64" },
                           { "", "start=5,end=-5,step=-2,dtype=i64" }),
};

cr_tensor *cr_arange_at(cr_ctx *ctx, cr_arg start, cr_arg end, cr_arg step,
                        cr_make_opts opts)
{
    arange_attrs attrs = { start, end, step, opts.dtype };
    return cr__record(ctx, &cr__op_arange, NULL, 0, &attrs, opts.site);
}

/* ---- linspace ---- */

typedef struct linspace_attrs {
    double start, end;
    int64_t steps;
    cr_dtype dtype;
} linspace_attrs;

static cr_status linspace_shape(cr_infer *infer)
{
    linspace_attrs *a = infer->attrs;
    if (!isfinite(a->start) || !isfinite(a->end))
        return refuse(infer, "start and end must be finite numbers");
    infer->dims = CR_DIMS(a->steps);
    return cr__resolve_dtype(infer, &a->dtype, CR__FLOATS);
}

static void linspace_source(const void *attrs, void *params)
{
    const linspace_attrs *a = attrs;
    double gaps = a->steps > 1 ? (double)(a->steps - 1) : 1;
    /* Halves first: the distance between the two may overflow. */
    double step = (a->end / 2 - a->start / 2) / gaps * 2;
    *(cr__linspace_params *)params =
        (cr__linspace_params){ a->start, step, a->steps == 1 ? a->start : a->end,
                               a->steps };
}

CR__OP(linspace) = {
    .name = "linspace",
    .doc = "steps numbers evenly from start to end, both included",
    .kind = CR_OP_MAP,
    .attrs = CR__ATTRS(CR__ATTR(linspace_attrs, start, REAL, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(linspace_attrs, end, REAL, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(linspace_attrs, steps, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(linspace_attrs, dtype, DTYPE, .initial = "f32")),
    .attrs_size = sizeof(linspace_attrs),
    .shape = linspace_shape,
    .internal = CR__MAP_OF(linspace, .source = linspace_source),
    .samples = CR__SAMPLES({ "", "start=-1,end=2,steps=7" },
                           { "", "start=0,end=1,steps=50,dtype=f64" },
                           { "", "start=3,end=9,steps=1" }),
};

cr_tensor *cr_linspace_at(cr_ctx *ctx, double start, double end, int64_t steps,
                          cr_make_opts opts)
{
    linspace_attrs attrs = { start, end, steps, opts.dtype };
    return cr__record(ctx, &cr__op_linspace, NULL, 0, &attrs, opts.site);
}

/* ---- eye ---- */

typedef struct eye_attrs {
    int64_t n;
    cr_dtype dtype;
} eye_attrs;

static cr_tensor *eye_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n_inputs,
                             const void *attrs)
{
    const eye_attrs *a = attrs;
    cr_dtype dtype = a->dtype == CR_DTYPE_DEFAULT ? CR_F32 : a->dtype;
    (void)inputs, (void)n_inputs;
    if (a->n < 0) {
        cr__op_fail(ctx, &cr__op_eye, CR_ERR_SHAPE, NULL, "n is negative: %lld",
                    (long long)a->n);
        return NULL;
    }
    cr_tensor *columns = cr_arange(ctx, 0, a->n, 1, .dtype = CR_I64);
    return cr_cast(cr_eq(cr_unsqueeze(columns, 1), columns), dtype);
}

CR__OP(eye) = {
    .name = "eye",
    .doc = "the identity matrix [n, n]",
    .kind = CR_OP_COMPOSITE,
    .attrs = CR__ATTRS(CR__ATTR(eye_attrs, n, INT, .flags = CR_ATTR_POSITIONAL),
                       CR__ATTR(eye_attrs, dtype, DTYPE, .initial = "f32")),
    .attrs_size = sizeof(eye_attrs),
    .expand = eye_expand,
    .samples = CR__SAMPLES({ "", "n=4" }, { "", "n=3,dtype=bool" }),
};

cr_tensor *cr_eye_at(cr_ctx *ctx, int64_t n, cr_make_opts opts)
{
    eye_attrs attrs = { n, opts.dtype };
    return cr__record(ctx, &cr__op_eye, NULL, 0, &attrs, opts.site);
}
