/* Images in other sizes, and taken at other places. */
#ifndef CHAINRULE_IMAGES_H
#define CHAINRULE_IMAGES_H

#include "macros.h"

CR_BEGIN

/* How a value between elements is found. */
typedef enum cr_sampling_mode {
    CR_MODE_BILINEAR = 0,
    CR_MODE_NEAREST,
    CR_MODE_BICUBIC,
    CR_MODE_LINEAR,
    CR_MODE_TRILINEAR,
    CR_MODE_AREA,
    CR_MODE_NEAREST_EXACT
} cr_sampling_mode;

/* x [N, C, ..] in another size, with 1 to 3 spatial dimensions    d g, by the transposed weights
 * Floats. Either size or scale_factor is given, one number or one for each spatial dimension; of a
 * factor the size becomes floor(size scale_factor). Element i of the result lies at (i + 0.5) / s -
 * 0.5 in x, where s is the factor, or the quotient of the sizes if that is not given or
 * recompute_scale_factor is true; with align_corners at i (size - 1) / (new size - 1), so that
 * corners meet. Places outside are those at the border.
 * CR_MODE_LINEAR, BILINEAR and TRILINEAR (for 1, 2 and 3 dimensions) mix the neighbours,
 * CR_MODE_BICUBIC (for 2) four of them, by Keys' polynomial with a = -0.75 (Keys, 1981).
 * CR_MODE_NEAREST takes element floor(i / s), CR_MODE_NEAREST_EXACT floor((i + 0.5) / s), computed
 * in the type of x; CR_MODE_AREA is adaptive average pooling. align_corners is not for these.
 * usage: cr_interpolate(x, CR_MODE_NEAREST, .size = CR_DIMS(8)),
 *        cr_interpolate(x, CR_MODE_BILINEAR, .scale_factor = CR_REALS(2, 1.5)) */
typedef struct cr_interpolate_opts {
    const char *site CR_ZERO;
    cr_dims size CR_ZERO;
    cr_reals scale_factor CR_ZERO;
    bool align_corners CR_ZERO;
    bool recompute_scale_factor CR_ZERO;
} cr_interpolate_opts;
CR_API cr_tensor *cr_interpolate_at(cr_tensor *x, cr_sampling_mode mode, cr_interpolate_opts opts);
#define cr_interpolate(x, ...)                             \
    cr_interpolate_at(x, CR_FIRST(__VA_ARGS__, 0),         \
                      CR_OPTS(cr_interpolate_opts, __VA_ARGS__))

/* x [N, C, H, W] at places (x, y) of grid [N, h, w, 2]: [N, C, h, w]    d g, to the elements taken
 * So of x [N, C, D, H, W] with places (x, y, z). Floats of one type. -1 and 1 are the outer edges
 * of the first and the last element, with align_corners their middles. CR_MODE_BILINEAR (default)
 * mixes the neighbours, CR_MODE_BICUBIC (of 2 dimensions) 4 x 4 as cr_interpolate() does,
 * CR_MODE_NEAREST takes one, of two equally near the even one. Elements outside are 0; or those at
 * the border; or x mirrored there. A place that is NaN is outside, or at the first element; so is
 * an infinite one that is mirrored.
 * d grid: g times the slope of x between the elements, 0 of nearest and where the border holds the
 * place. On an element the slope is that to its right. Derivatives of every order exist.
 * usage: cr_grid_sample(x, grid),
 *        cr_grid_sample(x, grid, .padding_mode = CR_PADDING_MODE_BORDER, .align_corners = true) */
typedef enum cr_padding_mode {
    CR_PADDING_MODE_ZEROS = 0,
    CR_PADDING_MODE_BORDER,
    CR_PADDING_MODE_REFLECTION
} cr_padding_mode;
typedef struct cr_grid_sample_opts {
    const char *site CR_ZERO;
    cr_sampling_mode mode CR_ZERO;
    cr_padding_mode padding_mode CR_ZERO;
    bool align_corners CR_ZERO;
} cr_grid_sample_opts;
CR_API cr_tensor *cr_grid_sample_at(cr_tensor *x, cr_tensor *grid, cr_grid_sample_opts opts);
#define cr_grid_sample(x, ...)                         \
    cr_grid_sample_at(x, CR_FIRST(__VA_ARGS__, 0),     \
                      CR_OPTS(cr_grid_sample_opts, __VA_ARGS__))

/* [.., C r^2, H, W] as [.., C, H r, W r], r = upscale_factor    d g, moved back
 * Pixel (r h + i, r w + j) of channel c is pixel (h, w) of channel (c r + i) r + j. All types. */
CR_API cr_tensor *cr_pixel_shuffle_at(cr_tensor *x, int64_t upscale_factor, const char *site);
#define cr_pixel_shuffle(x, upscale_factor) cr_pixel_shuffle_at(x, upscale_factor, CR_HERE)

/* [.., C, H r, W r] as [.., C r^2, H, W], r = downscale_factor    d g, moved back
 * The inverse of pixel_shuffle. */
CR_API cr_tensor *cr_pixel_unshuffle_at(cr_tensor *x, int64_t downscale_factor, const char *site);
#define cr_pixel_unshuffle(x, downscale_factor) \
    cr_pixel_unshuffle_at(x, downscale_factor, CR_HERE)

CR_END
#endif
