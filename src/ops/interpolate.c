/* Images in other sizes: interpolate, composed of resample.c, and pixel_shuffle with its inverse,
 * which move elements. */
#include "../base/compiler.h"
#include "attrs.h"
#include "resample.h"

/* ---- interpolate ---- */

typedef struct interpolate_attrs {
    cr_sampling_mode mode;
    cr_dims size;
    cr_reals scale_factor;
    bool align_corners, recompute_scale_factor;
} interpolate_attrs;

/* What a mode is along each dimension, and how many dimensions it is for (0: 1 to 3). */
static const struct {
    cr__taps_kind kind;
    int spatial;
    bool corners; /* align_corners has a meaning */
} modes[] = {
    [CR_MODE_BILINEAR] = { CR__TAPS_LINEAR, 2, true },
    [CR_MODE_NEAREST] = { CR__TAPS_NEAREST, 0, false },
    [CR_MODE_BICUBIC] = { CR__TAPS_CUBIC, 2, true },
    [CR_MODE_LINEAR] = { CR__TAPS_LINEAR, 1, true },
    [CR_MODE_TRILINEAR] = { CR__TAPS_LINEAR, 3, true },
    [CR_MODE_AREA] = { CR__TAPS_ADAPTIVE, 0, false },
    [CR_MODE_NEAREST_EXACT] = { CR__TAPS_EXACT, 0, false },
};
static const char mode_words[] =
    "bilinear,nearest,bicubic,linear,trilinear,area,nearest-exact";

static cr_tensor *refuse_image(cr_ctx *ctx, const cr_op *op, cr_status status,
                               const char *what, cr_tensor *x)
{
    cr__op_fail(ctx, op, status, NULL, what, cr__shape_text(x));
    return NULL;
}

/* Whether x is an image, which only its batch may leave empty, in a float type. */
static bool is_image(cr_ctx *ctx, const cr_op *op, cr_tensor *x)
{
    cr_dims in = cr_shape(x);
    bool full = true;
    if (!cr__is_float(cr_dtype_of(x))) {
        cr__op_fail(ctx, op, CR_ERR_DTYPE, "cr_cast() converts",
                    "x is %s, not of a float type", cr_dtype_name(cr_dtype_of(x)));
        return false;
    }
    for (int i = 1; i < in.n; i++)
        full = full && in.v[i] > 0;
    if (in.n < 3 || in.n > 5 || !full)
        refuse_image(
            ctx, op, CR_ERR_SHAPE,
            "x is [N, C, ..] with 1 to 3 dims behind, of which only N may be 0, not %s",
            x);
    return cr_error(ctx) == CR_OK;
}

/* The size along spatial dim i of n, and the scale to compute with (0: the quotient of sizes). */
static bool size_along(cr_ctx *ctx, const cr_op *op, const interpolate_attrs *a, int i,
                       int n, cr__resample_attrs *d)
{
    int given = a->size.given ? a->size.n : a->scale_factor.n;
    if (given != 1 && given != n)
        return cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL,
                           "%s has one number or %d, not %d",
                           a->size.given ? "size" : "scale_factor", n, given) == CR_OK;
    int k = given == 1 ? 0 : i;
    if (a->size.given) {
        d->out = a->size.v[k];
    } else {
        double scale = a->scale_factor.v[k], size = (double)d->in * scale;
        if (!(scale > 0) || !(size < 0x1p53))
            return cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "scale_factor is %g",
                               scale) == CR_OK;
        d->out = (int64_t)size;
        d->scale = a->recompute_scale_factor || a->mode == CR_MODE_AREA ? 0 : scale;
    }
    if (d->out > 0)
        return true;
    return cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL,
                       "the size %lld becomes %lld, which is not above 0",
                       (long long)d->in, (long long)d->out) == CR_OK;
}

static cr_tensor *interpolate_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                     const void *attrs)
{
    const interpolate_attrs *a = attrs;
    const cr_op *op = &cr__op_interpolate;
    cr_tensor *x = inputs[0];
    cr__resample_attrs dims[3];
    int spatial = cr_ndim(x) - 2;
    (void)n;
    if (!is_image(ctx, op, x))
        return NULL;
    if (modes[a->mode].spatial && modes[a->mode].spatial != spatial)
        return refuse_image(
            ctx, op, CR_ERR_SHAPE,
            "x %s: linear, bilinear and trilinear are for 1, 2 and 3 spatial dims, "
            "bicubic for 2",
            x);
    if (a->size.given == (a->scale_factor.n > 0))
        return refuse_image(ctx, op, CR_ERR_ARGUMENT,
                            "x %s: give either size or scale_factor", x);
    if (a->align_corners && !modes[a->mode].corners)
        return refuse_image(
            ctx, op, CR_ERR_ARGUMENT,
            "x %s: align_corners is for linear, bilinear, bicubic and trilinear", x);
    for (int i = 0; i < spatial; i++) {
        dims[i] = (cr__resample_attrs){ .dim = 2 + i,
                                        .kind = modes[a->mode].kind,
                                        .in = cr_size(x, 2 + i),
                                        .align_corners = a->align_corners };
        if (!size_along(ctx, op, a, i, spatial, &dims[i]))
            return NULL;
    }
    return cr__resample(x, dims, spatial);
}

CR__OP(interpolate) = {
    .name = "interpolate",
    .doc = "an image [N, C, ..] in another size, between its elements",
    .kind = CR_OP_COMPOSITE,
    .widens = true,
    .min_inputs = 1,
    .max_inputs = 1,
    .inputs = "x",
    .attrs = CR__ATTRS(
        CR__ATTR(interpolate_attrs, mode, WORD, .initial = "nearest", .words = mode_words,
                 .flags = CR_ATTR_POSITIONAL),
        CR__ATTR(interpolate_attrs, size, DIMS, .initial = CR__NOT_GIVEN),
        CR__ATTR(interpolate_attrs, scale_factor, REALS, .initial = CR__NOT_GIVEN),
        CR__ATTR(interpolate_attrs, align_corners, BOOL, .initial = "false"),
        CR__ATTR(interpolate_attrs, recompute_scale_factor, BOOL, .initial = "false")),
    .attrs_size = sizeof(interpolate_attrs),
    .expand = interpolate_expand,
    .samples = CR__SAMPLES(
        { "f[1,2,5]", "size=3" }, { "f[2,1,4,3]", "scale_factor=[1.7,0.6]" },
        { "f[1,1,2,3,2]", "size=[3,2,4]" }, { "f[1,1,5]", "size=[8],mode=nearest-exact" },
        { "f[1,2,4]", "scale_factor=1.7,mode=linear" },
        { "f[1,2,4,3]", "size=[3,7],mode=bilinear" },
        { "f[1,2,4,3]", "size=[1,4],mode=bilinear,align_corners=true" },
        { "f[1,1,4,3]", "scale_factor=1.6,mode=bicubic" },
        { "f[1,1,3,4]", "size=[5,2],mode=bicubic,align_corners=true" },
        { "f[1,1,2,3,2]", "scale_factor=2,mode=trilinear" },
        { "f[1,2,5,4]", "size=[2,3],mode=area" },
        { "f[1,1,4,3]", "size=[4,3],mode=bilinear" }, { "f[0,2,4]", "size=3" }),
    .call = "x,mode,.size,.scale_factor,.align_corners,.recompute_scale_factor",
};

cr_tensor *cr_interpolate_at(cr_tensor *x, cr_sampling_mode mode,
                             cr_interpolate_opts opts)
{
    interpolate_attrs attrs = { mode, opts.size, opts.scale_factor, opts.align_corners,
                                opts.recompute_scale_factor };
    return cr__record_1(&cr__op_interpolate, x, &attrs, opts.site);
}

/* ---- pixel_shuffle, pixel_unshuffle ---- */

typedef struct shuffle_attrs {
    int64_t factor;
} shuffle_attrs;

/* x [.., C, H, W] as [all before, split], its dims in another order, in the shape. */
static cr_tensor *moved(cr_tensor *x, const int64_t *split, cr_dims order, cr_dims shape)
{
    cr_dims dims = { .v = { 1 }, .n = 6, .given = true };
    for (int i = 0; i < shape.n - 3; i++)
        dims.v[0] *= shape.v[i];
    memcpy(dims.v + 1, split, 5 * sizeof *split);
    return cr_reshape(cr_permute(cr_reshape(x, dims), order), shape);
}

/* Whether x has its three dims, and these sizes are whole multiples. */
static bool can_shuffle(cr_ctx *ctx, const cr_op *op, cr_tensor *x, int64_t factor,
                        const char *what, bool whole)
{
    if (factor > INT32_MAX)
        cr__op_fail(ctx, op, CR_ERR_ARGUMENT, NULL, "%s is %lld", op->attrs->name,
                    (long long)factor);
    else if (cr_ndim(x) < 3 || !whole)
        cr__op_fail(ctx, op, CR_ERR_SHAPE, NULL,
                    "x is [.., C, H, W], %s for %s %lld, not %s", what, op->attrs->name,
                    (long long)factor, cr__shape_text(x));
    return cr_error(ctx) == CR_OK;
}

static cr_tensor *pixel_shuffle_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                       const void *attrs)
{
    const int64_t r = ((const shuffle_attrs *)attrs)->factor;
    cr_tensor *x = inputs[0];
    cr_dims shape = cr_shape(x);
    int64_t *v = shape.v + (shape.n < 3 ? 0 : shape.n - 3);
    (void)n;
    if (!can_shuffle(ctx, &cr__op_pixel_shuffle, x, r, "C a multiple of its square",
                     r <= INT32_MAX && v[0] % (r * r) == 0))
        return NULL;
    const int64_t split[] = { v[0] / (r * r), r, r, v[1], v[2] };
    v[0] = split[0], v[1] *= r, v[2] *= r;
    return moved(x, split, CR_DIMS(0, 1, 4, 2, 5, 3), shape);
}

static cr_tensor *pixel_unshuffle_expand(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                                         const void *attrs)
{
    const int64_t r = ((const shuffle_attrs *)attrs)->factor;
    cr_tensor *x = inputs[0];
    cr_dims shape = cr_shape(x);
    int64_t *v = shape.v + (shape.n < 3 ? 0 : shape.n - 3);
    (void)n;
    if (!can_shuffle(ctx, &cr__op_pixel_unshuffle, x, r, "H and W multiples of it",
                     v[1] % r == 0 && v[2] % r == 0))
        return NULL;
    const int64_t split[] = { v[0], v[1] / r, r, v[2] / r, r };
    v[0] *= r * r, v[1] /= r, v[2] /= r;
    return moved(x, split, CR_DIMS(0, 1, 3, 5, 2, 4), shape);
}

#define SHUFFLE_ENTRY(factor_name)                                            \
    .kind = CR_OP_COMPOSITE, .min_inputs = 1, .max_inputs = 1, .inputs = "x", \
    .attrs_size = sizeof(shuffle_attrs),                                      \
    .attrs = CR__ATTRS({ .name = factor_name,                                 \
                         .type = CR_ATTR_INT,                                 \
                         .flags = CR_ATTR_POSITIONAL | CR_ATTR_POSITIVE })

CR__OP(pixel_shuffle) = {
    .name = "pixel_shuffle",
    .doc = "[.., C r^2, H, W] as [.., C, H r, W r]: channels become pixels",
    SHUFFLE_ENTRY("upscale_factor"),
    .expand = pixel_shuffle_expand,
    .samples = CR__SAMPLES({ "f[1,8,2,3]", "upscale_factor=2" },
                           { "f[9,1,2]", "upscale_factor=3" },
                           { "f[2,0,2,2]", "upscale_factor=2" },
                           { "i[4,2,2]", "upscale_factor=2" }),
};

cr_tensor *cr_pixel_shuffle_at(cr_tensor *x, int64_t upscale_factor, const char *site)
{
    return cr__record_1(&cr__op_pixel_shuffle, x, &(shuffle_attrs){ upscale_factor },
                        site);
}

CR__OP(pixel_unshuffle) = {
    .name = "pixel_unshuffle",
    .doc = "[.., C, H r, W r] as [.., C r^2, H, W]: pixels become channels",
    SHUFFLE_ENTRY("downscale_factor"),
    .expand = pixel_unshuffle_expand,
    .samples = CR__SAMPLES({ "f[1,2,4,6]", "downscale_factor=2" },
                           { "f[1,3,6]", "downscale_factor=3" },
                           { "b[2,2,2]", "downscale_factor=2" }),
};

cr_tensor *cr_pixel_unshuffle_at(cr_tensor *x, int64_t downscale_factor, const char *site)
{
    return cr__record_1(&cr__op_pixel_unshuffle, x, &(shuffle_attrs){ downscale_factor },
                        site);
}
