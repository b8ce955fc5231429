/* Definitions of pooling, interpolation and sampling, from their formulas, in any number of
 * dimensions. */
#include "op_reference.h"
#include <math.h>

/* The i-th of a list of attributes, which may be one number for all. */
static int64_t list_at(const ref_call *c, const char *name, int i, int64_t initial)
{
    cr_dims list = attr_dims(c->attrs, name);
    return list.n == 0 ? initial : list.v[list.n == 1 ? 0 : i];
}

/* ---- windows ---- */

/* Element `k` of window `o` along spatial dim i, or -1 outside; how many k there are to *n. */
static int64_t window_at(const ref_call *c, int i, int64_t size, int64_t o, int64_t k,
                         int64_t *n)
{
    int64_t out = list_at(c, "output_size", i, 0);
    if (out) {
        int64_t begin = (int64_t)floor((double)(o * size) / (double)out);
        *n = (int64_t)ceil((double)((o + 1) * size) / (double)out) - begin;
        return begin + k;
    }
    int64_t at = o * list_at(c, "stride", i, list_at(c, "kernel_size", i, 1)) -
                 list_at(c, "padding", i, 0) + k * list_at(c, "dilation", i, 1);
    *n = list_at(c, "kernel_size", i, 1);
    return at >= 0 && at < size ? at : -1;
}

/* The window at `at` of the result, over the last `spatial` dims of x: calls see() with each of its
 * elements that is in x, in row-major order, and its place in its plane. */
static void each_in_window(const ref_call *c, int spatial, const int64_t *at,
                           void (*see)(double v, int64_t place, double *state),
                           double *state)
{
    const array *x = &c->in[0];
    int lead = x->dims.n - spatial, i;
    int64_t k[CR_MAX_DIMS] = { 0 }, from[CR_MAX_DIMS], n;
    memcpy(from, at, sizeof from);
    do {
        int64_t place = 0;
        bool inside = true;
        for (i = 0; i < spatial; i++) {
            from[lead + i] = window_at(c, i, x->dims.v[lead + i], at[lead + i], k[i], &n);
            inside = inside && from[lead + i] >= 0;
            place = place * x->dims.v[lead + i] + from[lead + i];
        }
        if (inside)
            see(x->v[flat_index(from, x->dims.n, x->dims)], place, state);
        for (i = spatial - 1; i >= 0; k[i--] = 0) {
            window_at(c, i, x->dims.v[lead + i], at[lead + i], 0, &n);
            if (++k[i] < n)
                break;
        }
    } while (i >= 0);
}

/* state: the place and the value of the largest. */
static void see_largest(double v, int64_t place, double *state)
{
    if (state[0] < 0 || v > state[1] || isnan(v))
        state[0] = (double)place, state[1] = v;
}

static int64_t largest_at(const ref_call *c, const int64_t *at)
{
    double state[] = { -1, 0 };
    each_in_window(c, c->in[0].dims.n - 1, at, see_largest, state);
    return (int64_t)state[0];
}

/* The shape of the result of a window over the last `spatial` dims. */
static cr_dims windowed(const ref_call *c, int spatial)
{
    cr_dims dims = c->in[0].dims;
    for (int i = 0; i < spatial; i++) {
        int64_t *size = &dims.v[dims.n - spatial + i];
        int64_t kernel = list_at(c, "kernel_size", i, 1),
                pad = list_at(c, "padding", i, 0);
        int64_t stride = list_at(c, "stride", i, kernel);
        int64_t room = *size + 2 * pad - list_at(c, "dilation", i, 1) * (kernel - 1) - 1;
        int64_t count = room / stride + 1, out = list_at(c, "output_size", i, -1);
        if (attr_real(c->attrs, "ceil_mode", 0) != 0 && room % stride &&
            count * stride < *size + pad)
            count++;
        *size = out >= 0 ? out : count;
    }
    return dims;
}

static void ref_max_pool_place(ref_call *c)
{
    cr_dims dims = windowed(c, c->in[0].dims.n - 1);
    double *out = ref_out(c, CR_I64, dims);
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < c->out.numel; i++, next_index(at, dims))
        out[i] = (double)largest_at(c, at);
}

static int64_t plane_of(const array *x)
{
    return x->dims.v[0] ? x->numel / x->dims.v[0] : 0;
}

static void ref_max_pool_take(ref_call *c)
{
    cr_dims dims = windowed(c, c->in[0].dims.n - 1);
    double *out = ref_out(c, c->in[0].dtype, dims);
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < c->out.numel; i++, next_index(at, dims))
        out[i] = c->in[1].v[at[0] * plane_of(&c->in[0]) + largest_at(c, at)];
}

static void ref_max_pool_give(ref_call *c)
{
    double *out = ref_out(c, c->in[0].dtype, c->in[0].dims);
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int64_t i = 0; i < c->in[1].numel; i++, next_index(at, c->in[1].dims))
        out[at[0] * plane_of(&c->in[0]) + largest_at(c, at)] += c->in[1].v[i];
}

/* state: p, the sum of powers or the extreme of |x|, and how many there are. */
static void see_power(double v, int64_t place, double *state)
{
    double x = fabs(v), p = state[0];
    (void)place;
    if (isinf(p))
        state[1] = state[2] == 0 || (p > 0 ? x > state[1] : x < state[1]) ? x : state[1];
    else
        state[1] += pow(v, p);
    state[2]++;
}

/* With ceil_mode the sum over part of a window counts as the mean of it times the whole. */
static void lp_pool(ref_call *c, int spatial)
{
    cr_dims dims = windowed(c, spatial);
    double *out = ref_out(c, c->in[0].dtype, dims), whole = 1;
    int64_t at[CR_MAX_DIMS] = { 0 };
    for (int i = 0; i < spatial; i++)
        whole *= (double)list_at(c, "kernel_size", i, 1);
    for (int64_t i = 0; i < c->out.numel; i++, next_index(at, dims)) {
        double state[] = { attr_real(c->attrs, "norm_type", 2), 0, 0 };
        each_in_window(c, spatial, at, see_power, state);
        out[i] =
            isinf(state[0]) ? state[1] : pow(state[1] / state[2] * whole, 1 / state[0]);
    }
}

static void ref_lp_pool1d(ref_call *c)
{
    lp_pool(c, 1);
}

static void ref_lp_pool2d(ref_call *c)
{
    lp_pool(c, 2);
}

static void ref_lp_pool3d(ref_call *c)
{
    lp_pool(c, 3);
}

/* ---- a matrix along one dimension ---- */

/* The weight of element j of x in element i of the result: the interpolating functions are even
 * functions of the distance, and elements beyond the ends count as those at the ends. */
static double kernel_value(const char *attrs, double d)
{
    const double a = -0.75, x = fabs(d);
    if (attr_is(attrs, "kind", "linear"))
        return x < 1 ? 1 - x : 0;
    return x <= 1  ? (a + 2) * x * x * x - (a + 3) * x * x + 1
           : x < 2 ? a * x * x * x - 5 * a * x * x + 8 * a * x - 4 * a
                   : 0;
}

static double interpolating(const char *attrs, int64_t i, int64_t j, int64_t in,
                            int64_t out)
{
    double scale = attr_real(attrs, "scale", 0), weight = 0;
    bool corners = attr_real(attrs, "align_corners", 0) != 0;
    double step = corners     ? (double)(in - 1) / (double)(out - 1)
                  : scale > 0 ? 1 / scale
                              : (double)in / (double)out;
    double half = attr_is(attrs, "kind", "nearest") ? 0 : 0.5;
    double at = corners ? (double)i * step : ((double)i + half) * step - half;
    if (attr_is(attrs, "kind", "nearest") || attr_is(attrs, "kind", "exact"))
        return fmin(floor(at + half), (double)(in - 1)) == (double)j;
    for (int64_t k = -4; k < in + 4; k++)
        if ((k < 0 ? 0 : k >= in ? in - 1 : k) == j)
            weight += kernel_value(attrs, at - (double)k);
    return weight;
}

/* The weight of j in the mean that i is. */
static double averaging(const char *attrs, int64_t i, int64_t j, int64_t in, int64_t out)
{
    double kernel = attr_real(attrs, "kernel_size", 1),
           pad = attr_real(attrs, "padding", 0);
    double begin = (double)i * attr_real(attrs, "stride", 1) - pad, end = begin + kernel;
    double divisor = attr_real(attrs, "divisor", 0);
    if (attr_is(attrs, "kind", "adaptive")) {
        begin = floor((double)(i * in) / (double)out);
        end = ceil((double)((i + 1) * in) / (double)out);
    }
    double all = fmin(end, (double)in + pad) - begin;
    double inside = fmin(end, (double)in) - fmax(begin, 0);
    bool padded = attr_real(attrs, "count_include_pad", 0) != 0;
    divisor = divisor != 0 ? divisor : padded ? all : inside;
    return (double)j >= begin && (double)j < end ? 1 / divisor : 0;
}

static void ref_resample(ref_call *c)
{
    const array *x = &c->in[0];
    int dim = ref_dim(c, "dim", 0, x->dims.n);
    int64_t in = (int64_t)attr_real(c->attrs, "in", 0);
    int64_t out = (int64_t)attr_real(c->attrs, "out", 0), at[CR_MAX_DIMS] = { 0 };
    bool transposed = attr_real(c->attrs, "transposed", 0) != 0;
    bool means = !strstr(c->attrs, "kind=") || attr_is(c->attrs, "kind", "adaptive");
    cr_dims dims = x->dims;
    dims.v[dim] = transposed ? in : out;
    ref_out(c, x->dtype, dims);
    for (int64_t n = 0; n < x->numel; n++, next_index(at, x->dims))
        for (int64_t to = 0; to < dims.v[dim]; to++) {
            int64_t place[CR_MAX_DIMS], i = transposed ? at[dim] : to;
            int64_t j = transposed ? to : at[dim];
            memcpy(place, at, sizeof place);
            place[dim] = to;
            c->out.v[flat_index(place, dims.n, dims)] +=
                x->v[n] * (means ? averaging : interpolating)(c->attrs, i, j, in, out);
        }
}

/* ---- images at places ---- */

/* The interpolating function and its first derivative at distance u; on an element that to its right. */
static double bump(bool cubic, int order, double u)
{
    const double a = -0.75, x = fabs(u), side = u < 0 ? -1 : 1;
    if (order == 0)
        return kernel_value(cubic ? "kind=cubic" : "kind=linear", u);
    if (!cubic)
        return u >= -1 && u < 1 ? -side : 0;
    return side * (x <= 1  ? 3 * (a + 2) * x * x - 2 * (a + 3) * x
                   : x < 2 ? 3 * a * x * x - 10 * a * x + 8 * a
                           : 0);
}

/* What element k of `size` weighs at a place, or its derivative of that order by the place; beyond
 * the ends elements are 0, or held by the border. */
static double element_weight(const ref_call *c, double place, int64_t k, int64_t size,
                             int order)
{
    bool cubic = attr_is(c->attrs, "mode", "bicubic");
    bool border = attr_is(c->attrs, "padding_mode", "border");
    double half = (double)size / 2, at = (place + 1) * half - 0.5, weight = 0;
    if (border && !cubic && (at <= 0 || at >= (double)(size - 1)))
        return order == 0 && k == (at <= 0 ? 0 : size - 1);
    for (int64_t j = -4; j < size + 4; j++)
        if (j == k || (border && k == (j < 0 ? 0 : j >= size ? size - 1 : j)))
            weight += bump(cubic, order, at - (double)j) * pow(half, order);
    return weight;
}

/* Of x [N, C, size], each element times its weight at each place, added to the place's element of
 * the result; of g, the other way round. */
static void sample_grid(ref_call *c, cr_dims image, bool gives)
{
    const array *grid = &c->in[1];
    int spatial = image.n - 2;
    cr_dims points = grid->dims, order = attr_dims(c->attrs, "order");
    points.v[0] = 1, points.v[points.n - 1] = 1;
    int64_t plane = 1, rows = image.v[0] * image.v[1], n = count_of(points);
    for (int i = 2; i < image.n; i++)
        plane *= image.v[i];
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < n; i++)
            for (int64_t k = 0; k < plane; k++) {
                const double *place = &grid->v[(row / image.v[1] * n + i) * spatial];
                double weight = 1;
                int64_t left = k;
                for (int d = 0; d < spatial; d++) {
                    int64_t size = image.v[image.n - 1 - d];
                    weight *= element_weight(c, place[d], left % size, size,
                                             order.n ? (int)order.v[d] : 0);
                    left /= size;
                }
                if (gives)
                    c->out.v[row * plane + k] += weight * c->in[0].v[row * n + i];
                else
                    c->out.v[row * n + i] += weight * c->in[0].v[row * plane + k];
            }
}

static void ref_grid_take(ref_call *c)
{
    cr_dims dims = c->in[0].dims;
    for (int i = 2; i < dims.n; i++)
        dims.v[i] = c->in[1].dims.v[i - 1];
    ref_out(c, c->in[0].dtype, dims);
    sample_grid(c, c->in[0].dims, false);
}

static void ref_grid_give(ref_call *c)
{
    cr_dims dims = c->in[0].dims, size = attr_dims(c->attrs, "size");
    for (int i = 2; i < dims.n; i++)
        dims.v[i] = size.v[i - 2];
    ref_out(c, c->in[0].dtype, dims);
    sample_grid(c, dims, true);
}

/* ---- pixels ---- */

static void ref_pixel_unshuffle(ref_call *c)
{
    const array *x = &c->in[0];
    int64_t r = (int64_t)attr_real(c->attrs, "downscale_factor", 1),
            at[CR_MAX_DIMS] = { 0 };
    cr_dims dims = x->dims;
    int lead = dims.n - 3;
    dims.v[lead] *= r * r, dims.v[lead + 1] /= r, dims.v[lead + 2] /= r;
    double *out = ref_out(c, x->dtype, dims);
    for (int64_t i = 0; i < x->numel; i++, next_index(at, x->dims)) {
        int64_t to[CR_MAX_DIMS], *p = to + lead;
        memcpy(to, at, sizeof to);
        p[0] = (at[lead] * r + at[lead + 1] % r) * r + at[lead + 2] % r;
        p[1] /= r, p[2] /= r;
        out[flat_index(to, dims.n, dims)] = x->v[i];
    }
}

const ref_entry ref_entries_images[] = {
    { "grid_take", ref_grid_take },
    { "grid_give", ref_grid_give },
    { "pixel_unshuffle", ref_pixel_unshuffle },
    { "max_pool_place", ref_max_pool_place },
    { "max_pool_take", ref_max_pool_take },
    { "max_pool_give", ref_max_pool_give },
    { "lp_pool1d", ref_lp_pool1d },
    { "lp_pool2d", ref_lp_pool2d },
    { "lp_pool3d", ref_lp_pool3d },
    { "resample", ref_resample },
    { .name = NULL },
};
