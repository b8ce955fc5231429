/* Reductions against a plain loop over the order that kernel.h defines: the same bits for
 * every type, stride pattern, instruction set and number of threads. Copies against plain
 * indexing. */
#include "../src/base/context.h"
#include "../src/exec/reducer.h"
#include "../src/kernel/rows.h"
#include "tap.h"

#include <float.h>

#define ELEMENTS (1 << 20)

static double data[ELEMENTS + CR__PAD];  /* seen as elements of any type */
static double other[ELEMENTS + CR__PAD]; /* y */
static int64_t origin;                   /* the array's first element in data */
static uint64_t random_state = 1;

static uint32_t below(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static size_t size_of(cr_dtype t)
{
    return t == CR_F64 || t == CR_I64 ? 8 : t == CR_F32 || t == CR_I32 ? 4 : 1;
}

static bool is_float(cr_dtype t)
{
    return t == CR_F32 || t == CR_F64;
}

static void store(cr_dtype t, double *to, int64_t i, double x, uint32_t bits)
{
    if (t == CR_F32)
        ((float *)to)[i] = (float)x;
    else if (t == CR_F64)
        to[i] = x;
    else if (t == CR_BOOL)
        ((uint8_t *)to)[i] = (uint8_t)(bits & 1);
    else if (t == CR_U8)
        ((uint8_t *)to)[i] = (uint8_t)bits;
    else if (t == CR_I32)
        ((int32_t *)to)[i] = (int32_t)(bits << 16);
    else
        ((int64_t *)to)[i] = (int64_t)((uint64_t)bits << 48);
}

static void fill(cr_dtype t)
{
    for (int i = 0; i < ELEMENTS; i++) {
        double x = (below(1u << 24) - 8388608.0) * 0x1p-20;
        if (below(100000) == 0)
            x = below(3) ? (double)INFINITY : (double)NAN;
        store(t, data, i, x, below(1u << 16));
        store(t, other, i, (below(1u << 24) - 8388608.0) * 0x1p-20, below(1u << 16));
    }
}

/* What is rare, in the first `n` elements: ties, zeros of both signs, infinities, NaN; each
 * `kind` has some of them. */
static void fill_special(cr_dtype t, int n, uint32_t kind)
{
    const double specials[] = {
        0, -0.0, 1, 1, -(double)INFINITY, (double)INFINITY, NAN, 0, -1, 0x1p-100
    };
    for (int i = 0; i < n; i++) {
        double x = specials[below(1 + kind % 10)];
        if (kind >= 20)
            x = -(double)INFINITY;
        else if (kind >= 10 && below(40))
            x = below(5) - 2.0;
        store(t, data, i, x, below(4) ? 0 : below(1u << 16));
        store(t, other, i, below(3) - 1.0, below(2));
    }
}

static int64_t offset_of(const cr__strided *x, int64_t i)
{
    int64_t offset = 0;
    for (int d = x->ndim - 1; d >= 0; d--) {
        offset += i % x->dims[d] * x->strides[d];
        i /= x->dims[d];
    }
    return offset;
}

/* ---- the definition ---- */

/* An element, an accumulator: its parts. */
typedef union value {
    float f32;
    double f64;
    int64_t i64;
} value;
typedef struct pair {
    value a, b;
} pair;

/* f32 arithmetic is in f32, all integers' in i64. */
static value load(cr_dtype t, const void *from, int64_t at)
{
    value v = { .i64 = 0 };
    if (t == CR_F32)
        v.f32 = ((const float *)from)[at];
    else if (t == CR_F64)
        v.f64 = ((const double *)from)[at];
    else if (t == CR_I64)
        v.i64 = ((const int64_t *)from)[at];
    else if (t == CR_I32)
        v.i64 = ((const int32_t *)from)[at];
    else
        v.i64 = ((const uint8_t *)from)[at];
    return v;
}

static value real(cr_dtype t, double x)
{
    value v = { .i64 = 0 };
    if (t == CR_F32)
        v.f32 = (float)x;
    else if (t == CR_F64)
        v.f64 = x;
    else
        v.i64 = (int64_t)x;
    return v;
}

static double number(cr_dtype t, value v)
{
    return t == CR_F32 ? (double)v.f32 : t == CR_F64 ? v.f64 : (double)v.i64;
}

/* One operation, rounded to the type: of f32 the product or sum of two in f64, rounded, is that
 * of f32. */
static value times(cr_dtype t, value x, value y)
{
    if (!is_float(t))
        return (value){ .i64 = (int64_t)((uint64_t)x.i64 * (uint64_t)y.i64) };
    return real(t, number(t, x) * number(t, y));
}

static value plus(cr_dtype t, value x, value y)
{
    if (!is_float(t))
        return (value){ .i64 = (int64_t)((uint64_t)x.i64 + (uint64_t)y.i64) };
    return real(t, number(t, x) + number(t, y));
}

static value minus(cr_dtype t, value x, value y)
{
    return real(t, number(t, x) - number(t, y));
}

static value scaled(cr_dtype t, value x, bool up)
{
    double by = up ? CR__UP(size_of(t)) : CR__DOWN(size_of(t));
    return times(t, x, real(t, by));
}

static value square(cr_dtype t, value x)
{
    return times(t, x, x);
}

static int compared(cr_dtype t, value x, value y)
{
    if (is_float(t))
        return (number(t, x) > number(t, y)) - (number(t, x) < number(t, y));
    return (x.i64 > y.i64) - (x.i64 < y.i64);
}

static bool is_nan(cr_dtype t, value x)
{
    return is_float(t) && isnan(number(t, x));
}

/* The library's exp, which has its own test. */
static value exp_of(cr_dtype t, value x)
{
    const void *src[] = { &x };
    const int64_t step[] = { 1 };
    cr__map_find(CR__MAP_exp, t, t)(&x, src, step, 1);
    return x;
}

/* What the reductions are. */
enum {
    SUM,
    PRODUCT,
    LARGEST,
    LEAST,
    HALVES,
    PLACE_OF_LARGEST,
    PLACE_OF_LEAST,
    LOGSUMEXP
};

static const struct {
    int join;
    bool integers, floats; /* whether there are kernels for them */
    char result;           /* of integers: wide i64, same; bool, f32, place, two */
} definitions[CR__REDUCE_CODES] = {
    [CR__REDUCE_sum] = { SUM, true, true, 'w' },
    [CR__REDUCE_amax] = { LARGEST, true, true, 's' },
    [CR__REDUCE_amin] = { LEAST, true, true, 's' },
    [CR__REDUCE_prod] = { PRODUCT, true, true, 'w' },
    [CR__REDUCE_squares] = { SUM, false, true, 's' },
    [CR__REDUCE_squares_about] = { SUM, false, true, 's' },
    [CR__REDUCE_dot] = { SUM, false, true, 's' },
    [CR__REDUCE_sum_down] = { SUM, false, true, 's' },
    [CR__REDUCE_dot_down] = { SUM, false, true, 's' },
    [CR__REDUCE_squares_down] = { SUM, false, true, 's' },
    [CR__REDUCE_squares_up] = { SUM, false, true, 's' },
    [CR__REDUCE_squares_about_down] = { SUM, false, true, 's' },
    [CR__REDUCE_squares_about_up] = { SUM, false, true, 's' },
    [CR__REDUCE_any] = { LARGEST, true, true, 'b' },
    [CR__REDUCE_all] = { LEAST, true, true, 'b' },
    [CR__REDUCE_mean] = { HALVES, true, false, 'f' },
    [CR__REDUCE_argmax] = { PLACE_OF_LARGEST, true, true, 'p' },
    [CR__REDUCE_argmin] = { PLACE_OF_LEAST, true, true, 'p' },
    [CR__REDUCE_logsumexp] = { LOGSUMEXP, false, true, '2' },
    [CR__REDUCE_squares_apart] = { SUM, false, true, 's' },
    [CR__REDUCE_squares_apart_down] = { SUM, false, true, 's' },
    [CR__REDUCE_squares_apart_up] = { SUM, false, true, 's' },
    [CR__REDUCE_sum_apart] = { SUM, false, true, 's' },
    [CR__REDUCE_amax_apart] = { LARGEST, false, true, 's' },
    [CR__REDUCE_count_apart] = { SUM, false, true, 's' },
};

static pair identity(cr__reduce_code code, cr_dtype t)
{
    const bool least = definitions[code].join == LEAST;
    pair none = { real(t, 0), { .i64 = 0 } };
    switch (definitions[code].join) {
    case PRODUCT:
        none.a = real(t, 1);
        break;
    case LARGEST:
    case LEAST:
        if (is_float(t))
            none.a = real(t, least ? (double)INFINITY : -(double)INFINITY);
        else if (definitions[code].result == 'b' || t == CR_BOOL)
            none.a.i64 = least;
        else if (t == CR_U8)
            none.a.i64 = least ? UINT8_MAX : 0;
        else if (t == CR_I32)
            none.a.i64 = least ? INT32_MAX : INT32_MIN;
        else
            none.a.i64 = least ? INT64_MAX : INT64_MIN;
        break;
    case PLACE_OF_LARGEST:
    case PLACE_OF_LEAST:
        none.b.i64 = -1;
        break;
    case LOGSUMEXP:
        none.a = real(t, -(double)INFINITY);
        none.b = real(t, 0);
        break;
    default:
        break;
    }
    return none;
}

/* What an element becomes first. */
static pair element(cr__reduce_code code, cr_dtype t, value x, value y, int64_t place)
{
    pair e = { x, { .i64 = 0 } };
    switch (code) {
    case CR__REDUCE_squares:
        e.a = square(t, x);
        break;
    case CR__REDUCE_squares_about:
    case CR__REDUCE_squares_apart:
        e.a = square(t, minus(t, x, y));
        break;
    case CR__REDUCE_dot:
        e.a = times(t, x, y);
        break;
    case CR__REDUCE_sum_down:
        e.a = scaled(t, x, false);
        break;
    case CR__REDUCE_dot_down:
        e.a = scaled(t, times(t, x, y), false);
        break;
    case CR__REDUCE_squares_down:
    case CR__REDUCE_squares_up:
        e.a = square(t, scaled(t, x, code == CR__REDUCE_squares_up));
        break;
    case CR__REDUCE_squares_about_down:
    case CR__REDUCE_squares_about_up:
        e.a = square(t, scaled(t, minus(t, x, y), code == CR__REDUCE_squares_about_up));
        break;
    case CR__REDUCE_squares_apart_down:
    case CR__REDUCE_squares_apart_up:
        e.a = square(t, scaled(t, minus(t, x, y), code == CR__REDUCE_squares_apart_up));
        break;
    case CR__REDUCE_sum_apart:
    case CR__REDUCE_amax_apart:
        e.a = compared(t, x, y) > 0 ? minus(t, x, y) : minus(t, y, x);
        break;
    case CR__REDUCE_count_apart:
        e.a = real(t, compared(t, x, y) || is_nan(t, x) || is_nan(t, y));
        break;
    case CR__REDUCE_any:
    case CR__REDUCE_all:
        e.a = real(t, compared(t, x, real(t, 0)) || is_nan(t, x));
        break;
    case CR__REDUCE_mean:
        e.a.i64 = x.i64 >> 32;
        e.b.i64 = (uint32_t)x.i64;
        break;
    case CR__REDUCE_argmax:
    case CR__REDUCE_argmin:
        e.b.i64 = place;
        break;
    case CR__REDUCE_logsumexp:
        e.b = real(t, 1);
        break;
    default:
        break;
    }
    return e;
}

static pair join_pairs(cr_dtype t, pair a, pair b)
{
    pair out = a;
    value e;
    if (is_nan(t, a.a) || is_nan(t, b.a)) {
        out.a = out.b = real(t, NAN);
        return out;
    }
    const int order = compared(t, b.a, a.a);
    const value high = order > 0 ? b.a : a.a, low = order > 0 ? a.a : b.a;
    if (number(t, high) == -(double)INFINITY)
        e = real(t, 0);
    else
        e = order ? exp_of(t, minus(t, low, high)) : real(t, 1);
    out.a = high;
    out.b = order > 0 ? plus(t, times(t, a.b, e), b.b) : plus(t, a.b, times(t, b.b, e));
    return out;
}

/* b comes after a. */
static pair join(cr__reduce_code code, cr_dtype t, pair a, pair b)
{
    const int sign =
        definitions[code].join == LEAST || definitions[code].join == PLACE_OF_LEAST ? -1
                                                                                    : 1;
    const int order = sign * compared(t, b.a, a.a);
    pair out = a;
    switch (definitions[code].join) {
    case SUM:
        out.a = plus(t, a.a, b.a);
        break;
    case PRODUCT:
        out.a = times(t, a.a, b.a);
        break;
    case LARGEST:
    case LEAST:
        return is_nan(t, a.a) || (order <= 0 && !is_nan(t, b.a)) ? a : b;
    case HALVES:
        out.b.i64 = a.b.i64 + b.b.i64;
        out.a.i64 = a.a.i64 + b.a.i64 + (out.b.i64 >> 32);
        out.b.i64 &= UINT32_MAX;
        break;
    case LOGSUMEXP:
        return join_pairs(t, a, b);
    default: /* the place of the better, of equals the first */
        if (a.b.i64 < 0 || b.b.i64 < 0)
            return a.b.i64 < 0 ? b : a;
        if (is_nan(t, a.a) != is_nan(t, b.a))
            return is_nan(t, a.a) ? a : b;
        if (order == 0 || is_nan(t, a.a))
            return a.b.i64 < b.b.i64 ? a : b;
        return order > 0 ? b : a;
    }
    return out;
}

/* Elements of x and y: x's are at x_at(i). */
typedef struct source {
    cr_dtype t;
    const cr__strided *x, *y;
    const void *values;
    int64_t first; /* element of the output, in x */
    int64_t output;
} source;

static pair element_at(cr__reduce_code code, const source *s, int64_t i)
{
    value x = load(s->t, s->x->data, offset_of(s->x, s->first + i)), y = { .i64 = 0 };
    if (s->values)
        y = load(s->t, s->values, s->output);
    else if (s->y)
        y = load(s->t, s->y->data, offset_of(s->y, s->first + i));
    return element(code, s->t, x, y, i);
}

static pair defined_block(cr__reduce_code code, const source *s, int64_t begin,
                          int64_t end)
{
    pair lanes[CR__LANES];
    for (int l = 0; l < CR__LANES; l++)
        lanes[l] = identity(code, s->t);
    for (int64_t i = begin; i < end; i++)
        lanes[i % CR__LANES] =
            join(code, s->t, lanes[i % CR__LANES], element_at(code, s, i));
    for (int width = CR__LANES / 2; width; width /= 2)
        for (int l = 0; l < width; l++)
            lanes[l] = join(code, s->t, lanes[l], lanes[l + width]);
    return lanes[0];
}

static pair defined(cr__reduce_code code, const source *s, int64_t length)
{
    static pair partials[ELEMENTS / CR__BLOCK + 1];
    int64_t blocks = 0;
    partials[0] = identity(code, s->t);
    for (int64_t b = 0; b < length; b += CR__BLOCK)
        partials[blocks++] =
            defined_block(code, s, b, b + CR__BLOCK < length ? b + CR__BLOCK : length);
    for (; blocks > 1; blocks = (blocks + 1) / 2)
        for (int64_t i = 0; i < blocks; i += 2)
            partials[i / 2] = i + 1 < blocks
                                  ? join(code, s->t, partials[i], partials[i + 1])
                                  : partials[i];
    return partials[0];
}

/* Equal bits, or both NaN. */
static bool same_float(cr_dtype t, const void *got, value want)
{
    value v = load(t, got, 0);
    return is_nan(t, v) ? is_nan(t, want) : memcmp(&v, &want, size_of(t)) == 0;
}

/* The nearest f32 to (high 2^32 + low) / n: no neighbour is nearer, in long division. */
static bool is_mean(float mean, pair sum, int64_t n)
{
    if (n == 0)
        return isnan(mean);
    /* exact: |sum| < 2^53 in these tests, or a multiple of a high power of two */
    double total = ldexp((double)sum.a.i64, 32) + (double)sum.b.i64;
    double error = fabs((double)mean - total / (double)n);
    double next = fabs((double)nextafterf(mean, INFINITY) - (double)mean);
    return error <= next * (0.5 + 1e-6);
}

static bool same(const void *got, pair want, cr__reduce_code code, cr_dtype t,
                 int64_t length)
{
    float mean;
    int64_t wide;
    switch (definitions[code].result) {
    case 'b':
        return *(const uint8_t *)got == (number(t, want.a) > 0);
    case 'f':
        memcpy(&mean, got, sizeof mean);
        return is_mean(mean, want, length);
    case 'p':
        memcpy(&wide, got, sizeof wide);
        return wide == want.b.i64;
    case '2':
        return same_float(t, got, want.a) &&
               same_float(t, (const char *)got + size_of(t), want.b);
    default:
        if (is_float(t))
            return same_float(t, got, want.a);
        return load(definitions[code].result == 'w' ? CR_I64 : t, got, 0).i64 ==
               want.a.i64;
    }
}

/* ---- shapes ---- */

/* A random strided array within data: permuted, some dims broadcast, reversed or with
 * gaps. */
static cr__strided random_array(int64_t most)
{
    cr__strided x = { .ndim = (int)below(10) ? 1 + (int)below(5) : 0 };
    int64_t total = 1, step = 1;
    bool gaps = below(4) == 0;
    for (int d = 0; d < x.ndim; d++) {
        uint32_t kind = below(8);
        int64_t n = kind == 0 ? 1 : kind < 3 ? 32 * (1 + below(8)) : 1 + below(40);
        if (kind == 3)
            n = 1 + below(20000);
        n = total * n > most ? 1 : n;
        total *= n;
        x.dims[d] = below(100) ? n : 0;
    }
    origin = 0;
    for (int d = x.ndim - 1; d >= 0; d--) {
        int64_t gap = gaps ? 2 : 1;
        gaps = false;
        x.strides[d] = step * gap;
        step *= x.dims[d] * gap;
        if (below(8) == 0) {
            x.strides[d] = 0;
        } else if (below(8) == 0 && x.dims[d] > 0) {
            origin += (x.dims[d] - 1) * x.strides[d];
            x.strides[d] = -x.strides[d];
        }
    }
    for (int d = 0; d < x.ndim; d++) {
        int with = (int)below((uint32_t)x.ndim);
        int64_t n = x.dims[d], s = x.strides[d];
        x.dims[d] = x.dims[with], x.dims[with] = n;
        x.strides[d] = x.strides[with], x.strides[with] = s;
    }
    return x;
}

/* ---- reductions ---- */

static uint64_t out[2 * ELEMENTS + CR__PAD];

/* Another array of the same dims, within `other`. */
static cr__strided shuffled(const cr__strided *x)
{
    cr__strided y = *x;
    int64_t step = 1;
    const bool from_first = below(2);
    for (int i = 0; i < y.ndim; i++) {
        const int d = from_first ? i : y.ndim - 1 - i;
        y.strides[d] = step;
        step *= y.dims[d];
    }
    y.data = other;
    return y;
}

/* Some 40 outputs. */
static bool all_as_defined(const cr__reduction *r, const cr__strided *x, int64_t outputs,
                           int64_t length)
{
    const cr__reduce_kernel *k = &r->kernel;
    for (int64_t o = 0; o < outputs; o += 1 + outputs / 40) {
        source s = { k->dtype,
                     x,
                     k->operand == CR__REDUCES_ARRAY ? &r->y : NULL,
                     k->operand == CR__REDUCES_VALUE ? r->values : NULL,
                     o * length,
                     o };
        if (!same((char *)out + (size_t)o * k->out_size, defined(k->code, &s, length),
                  k->code, k->dtype, length)) {
            diag("%s of %s, %d of length %d", cr__reduce_names[k->code],
                 cr_dtype_name(k->dtype), (int)o, (int)length);
            return false;
        }
    }
    return true;
}

static bool reduce_case(cr__isa isa, cr__reduce_code code, cr_dtype t,
                        const cr__strided *x, int kept, cr__team *team)
{
    cr__reduction r = {
        .x = *x, .y = shuffled(x), .values = other, .kept = kept, .out = out
    };
    int64_t outputs = 1, length = 1;
    if (!cr__reduce_find_for(isa, code, t, &r.kernel))
        return false;
    for (int d = 0; d < x->ndim; d++)
        *(d < kept ? &outputs : &length) *= x->dims[d];
    r.x.data = (char *)data + (size_t)origin * size_of(t);
    memset(out, 0x55, sizeof(uint64_t) * (size_t)(2 * outputs + 2));
    cr__reduce(&r, team);
    char guard[16];
    memset(guard, 0x55, sizeof guard);
    return memcmp((char *)out + (size_t)outputs * r.kernel.out_size, guard, 8) == 0 &&
           all_as_defined(&r, &r.x, outputs, length);
}

static const void *make_elements(void *arg, int64_t start, int64_t n, char *scratch,
                                 const void **y)
{
    const cr__reduction *r = arg;
    const size_t size = r->kernel.size;
    if (r->kernel.operand == CR__REDUCES_ARRAY)
        *y = (const char *)r->y.data + (size_t)start * size;
    if (start & 1)
        return (const char *)r->x.data + (size_t)start * size;
    memcpy(scratch, (const char *)r->x.data + (size_t)start * size, (size_t)n * size);
    return scratch;
}

/* Elements that are made, some at a time. */
static bool made_case(cr__isa isa, cr__reduce_code code, cr_dtype t, cr__team *team)
{
    cr__reduction made = {
        .values = other, .out = out, .make = make_elements, .arg = &made
    };
    const int64_t length = below(3)   ? below(200)
                           : below(3) ? 1 + below(9000)
                                      : below(ELEMENTS / 4);
    const int64_t outputs = length ? 1 + below((uint32_t)(20000 / length + 1)) : 3;
    made.tile = CR__LANES << below(8);
    made.cost = below(3);
    made.kept = 1;
    made.x = made.y = (cr__strided){ data, 2, { outputs, length }, { length, 1 } };
    made.y.data = other;
    if (!cr__reduce_find_for(isa, code, t, &made.kernel))
        return false;
    cr__reduce(&made, team);
    return all_as_defined(&made, &made.x, outputs, length);
}

/* The same over columns, and over what lies around and within kept dims. */
static bool made_columns_case(cr__isa isa, cr__reduce_code code, cr_dtype t,
                              cr__team *team)
{
    cr__reduction made = {
        .values = other, .out = out, .make = make_elements, .arg = &made
    };
    const int64_t columns = below(6) ? 1 + below(40) : 1 + below(3000);
    const int64_t inner = below(2) ? 1 : 1 + below(70),
                  outer = below(3) ? 1 : 1 + below(3);
    const int64_t most = 60000 / (columns * inner * outer) + 1;
    const int64_t rows = below((uint32_t)(below(3) && most > 70 ? 70 : most) + 1);
    const int64_t step = inner * columns;
    made.tile = CR__LANES << below(8);
    made.cost = below(3);
    made.kept = 2;
    made.x = (cr__strided){
        data, 4, { outer, columns, rows, inner }, { rows * step, inner, step, 1 }
    };
    made.y = made.x;
    made.y.data = other;
    if (!cr__reduce_find_for(isa, code, t, &made.kernel))
        return false;
    cr__reduce(&made, team);
    return all_as_defined(&made, &made.x, outer * columns, rows * inner);
}

/* Sums that are ended, of which some overflow or are too small and are computed again: in columns
 * as in rows of their own. */
static bool endings_case(cr__isa isa, cr_dtype t, cr__team *team)
{
    static const cr__reduce_code codes[] = { CR__REDUCE_sum, CR__REDUCE_squares };
    static float alone[64];
    const int64_t rows = 1 + below(below(2) ? 40 : 9000), columns = 2 + below(60);
    const double largest = t == CR_F32 ? (double)FLT_MAX : DBL_MAX;
    const double scales[] = { 1, largest / 2, 1 / largest };
    cr__reduction r = { .out = out, .kept = 1, .tile = 256, .arg = &r };
    const cr__ending_code code = below(2) ? CR__AS_ROOT : CR__AS_MEAN;
    const int what = code == CR__AS_ROOT;
    r.ending = (cr__ending){ code, codes[what], t, (double)rows, 0 };
    r.x = (cr__strided){ data, 2, { columns, rows }, { 1, columns } };
    if (!cr__reduce_find_for(isa, codes[what], t, &r.kernel))
        return false;
    for (int64_t i = 0; i < rows * columns; i++) {
        double x = (1 + below(1000) * 0x1p-10) * scales[i % columns % 7 / 3];
        store(t, data, i, i / columns % 2 ? x : -x, 0);
        store(t, other, i % columns * rows + i / columns, i / columns % 2 ? x : -x, 0);
    }
    r.make = below(2) ? make_elements : NULL;
    cr__reduce(&r, team);
    bool passed = true;
    for (int64_t c = 0; c < columns; c++) {
        cr__reduction one = r;
        one.make = NULL;
        one.out = alone;
        one.x = (cr__strided){
            (char *)other + c * rows * r.kernel.size, 2, { 1, rows }, { rows, 1 }
        };
        cr__reduce(&one, team);
        passed = passed && same_float(t, alone, load(t, out, c)) &&
                 isfinite(number(t, load(t, out, c)));
    }
    return passed;
}

static void test_endings(cr__isa isa, cr_dtype t, cr__team *one, cr__team *four)
{
    bool passed = true;
    for (int i = 0; i < tap_share(60); i++)
        passed = passed && endings_case(isa, t, i & 1 ? one : four);
    ok(passed, "%s: means and roots of %s in columns that are computed again",
       cr__isa_name(isa), cr_dtype_name(t));
}

/* ---- accumulators ---- */

#define MOST_WIDTH 130
static CR__ALIGNED(64) char acc[CR__LANES * MOST_WIDTH * CR__ACCUMULATOR];
static CR__ALIGNED(64) char more[CR__LANES * CR__ACCUMULATOR];

/* A block in pieces that begin on any lane, the operands anywhere; where every order gives the
 * same, in two accumulators that are joined. */
static bool pieces_case(const cr__reduce_kernel *k)
{
    const int64_t n = below(3) ? below(100) : below(CR__BLOCK + 1);
    const int64_t shift = below(40), size = k->size;
    const bool apart = k->lanes == 1 && below(2);
    const cr__strided x = { (char *)data + shift * size, 1, { n }, { 1 } };
    const cr__strided y = { (char *)other + shift * size, 1, { n }, { 1 } };
    const bool array = k->operand == CR__REDUCES_ARRAY;
    source s = { k->dtype, &x, array ? &y : NULL, NULL, 0, 0 };
    if (k->operand == CR__REDUCES_VALUE)
        s.values = y.data;
    cr__reduce_begin(k, acc, k->lanes);
    cr__reduce_begin(k, more, k->lanes);
    for (int64_t at = 0, piece; at < n; at += piece) {
        piece = below(3) ? 1 + below(70) : 1 + below(1000);
        piece = piece < n - at ? piece : n - at;
        k->add(k, apart && at > n / 2 ? more : acc, (char *)x.data + at * size,
               (char *)y.data + (array ? at * size : 0), at, piece);
    }
    if (apart)
        k->join(k, acc, acc, more, 1, 1);
    cr__reduce_fold(k, acc);
    cr__reduce_end(k, acc, k->lanes, out, 1, n);
    if (!same(out, defined_block(k->code, &s, 0, n), k->code, k->dtype, n)) {
        diag("%d elements in pieces", (int)n);
        return false;
    }
    memset(out, 0x55, 64);
    k->rows(k, out, x.data, y.data, 1, n);
    return same(out, defined_block(k->code, &s, 0, n), k->code, k->dtype, n);
}

/* Neighbouring outputs, also in pieces. */
static bool columns_case(const cr__reduce_kernel *k)
{
    const int64_t width = 1 + below(MOST_WIDTH), n = below(3) ? below(70) : below(1000);
    const int64_t stride = width + below(20), size = k->size, y_stride = width + below(3);
    const bool array = k->operand == CR__REDUCES_ARRAY;
    const int64_t pitch = k->lanes * width;
    cr__reduce_begin(k, acc, pitch);
    for (int64_t lane = 0; lane < k->lanes; lane++)
        for (int64_t at = lane, piece; at < n; at += piece * k->lanes) {
            piece = 1 + below(50);
            piece =
                piece < (n - at - 1) / k->lanes + 1 ? piece : (n - at - 1) / k->lanes + 1;
            k->columns(k, acc + lane * width * k->part_size, pitch,
                       (char *)data + at * stride * size, k->lanes * stride,
                       (char *)other + (array ? at * y_stride * size : 0),
                       array ? k->lanes * y_stride : 0, width, at, piece);
        }
    cr__reduce_fold_columns(k, acc, width,
                            n < k->lanes && k->parts == 1 && below(2) ? n : k->lanes);
    cr__reduce_end(k, acc, pitch, out, width, n);
    for (int64_t c = 0; c < width; c++) {
        const cr__strided x = { (char *)data + c * size, 1, { n }, { stride } };
        const cr__strided y = { (char *)other + c * size, 1, { n }, { y_stride } };
        source s = { k->dtype, &x, array ? &y : NULL, NULL, 0, 0 };
        if (k->operand == CR__REDUCES_VALUE)
            s.values = y.data;
        if (!same((char *)out + c * k->out_size, defined_block(k->code, &s, 0, n),
                  k->code, k->dtype, n)) {
            diag("column %d of %d, %d rows", (int)c, (int)width, (int)n);
            return false;
        }
    }
    return true;
}

static void test_accumulators(cr__isa isa, cr_dtype t)
{
    for (cr__reduce_code code = 0; code < CR__REDUCE_CODES; code++) {
        cr__reduce_kernel k;
        bool pieces = true, columns = true;
        if (!cr__reduce_find_for(isa, code, t, &k))
            continue;
        for (uint32_t kind = 0; kind < 24; kind++) {
            fill_special(t, CR__BLOCK + 64, kind);
            for (int i = 0; i < tap_share(10); i++)
                pieces = pieces && pieces_case(&k);
            fill_special(t, 150000, kind);
            columns = columns && columns_case(&k);
        }
        ok(pieces, "%s: %s of %s: what is rare, in any pieces", cr__isa_name(isa),
           cr__reduce_names[code], cr_dtype_name(t));
        ok(columns, "%s: %s of %s: what is rare, in columns", cr__isa_name(isa),
           cr__reduce_names[code], cr_dtype_name(t));
    }
}

static void test_reductions(cr__isa isa, cr_dtype t, cr__team *one, cr__team *four)
{
    for (cr__reduce_code code = 0; code < CR__REDUCE_CODES; code++) {
        cr__reduce_kernel k;
        bool exists = is_float(t) ? definitions[code].floats : definitions[code].integers;
        bool reduced = cr__reduce_find_for(isa, code, t, &k) == exists, made = reduced;
        for (int i = 0; exists && i < tap_share(100); i++) {
            cr__strided x = random_array(i % 10 ? 20000 : ELEMENTS / 16);
            int kept = (int)below((uint32_t)x.ndim + 1);
            reduced = reduced &&
                      reduce_case(isa, code, t, &x, kept, i & 1 ? one : four) &&
                      reduce_case(isa, code, t, &x, kept, i & 1 ? four : one);
            made = made && made_case(isa, code, t, i & 1 ? one : four) &&
                   made_columns_case(isa, code, t, i & 2 ? one : four);
        }
        ok(reduced, "%s: %s of %s", cr__isa_name(isa), cr__reduce_names[code],
           cr_dtype_name(t));
        ok(made, "%s: %s of %s that is made", cr__isa_name(isa), cr__reduce_names[code],
           cr_dtype_name(t));
    }
}

/* Shapes that take the paths for threads: long rows, few outputs, wide and narrow
 * columns. */
static void test_large(cr__isa isa, cr__team *one, cr__team *four)
{
    static const int64_t shapes[][5] = { /* dims, whether transposed, kept */
                                         { 1, ELEMENTS, 0, 0 }, { 3, 300007, 0, 1 },
                                         { 3, 300007, 1, 1 },   { 1024, 1024, 0, 1 },
                                         { 1024, 1024, 1, 1 },  { 10, 100003, 1, 1 },
                                         { 130, 8000, 1, 1 },   { 100000, 10, 0, 1 }
    };
    bool passed = true;
    origin = 0;
    for (int i = 0; i < CR__COUNT(shapes); i++) {
        const int64_t *s = shapes[i];
        cr__strided x = { .ndim = 2, .dims = { s[0], s[1] } };
        x.strides[0] = s[2] ? 1 : s[1];
        x.strides[1] = s[2] ? s[0] : 1;
        passed = passed && reduce_case(isa, CR__REDUCE_sum, CR_F32, &x, (int)s[3], one) &&
                 reduce_case(isa, CR__REDUCE_sum, CR_F32, &x, (int)s[3], four);
    }
    ok(passed, "%s: large sums", cr__isa_name(isa));
}

/* ---- copies ---- */

static void test_copies(size_t size, cr__team *team)
{
    static uint8_t flat[ELEMENTS * 8 + 8];
    char *bytes = (char *)data;
    bool copied = true, stored = true;
    for (int i = 0; i < tap_share(600); i++) {
        cr__strided x = random_array(40000);
        int64_t total = 1;
        bool repeats = false;
        for (int d = 0; d < x.ndim; d++) {
            total *= x.dims[d];
            repeats = repeats || (x.strides[d] == 0 && x.dims[d] > 1);
        }
        int64_t start = total ? below((uint32_t)total) : 0;
        int64_t count = i % 4 ? below((uint32_t)(total - start) + 1) : total;
        x.data = bytes + (size_t)origin * size;
        if (i % 3 == 0 && total)
            memset(x.data, i, size);
        flat[(size_t)count * size] = 0x5a;
        if (count == total)
            cr__copy_strided(flat, &x, size, team), start = 0;
        else
            cr__copy_range(flat, &x, size, start, count);
        copied = copied && flat[(size_t)count * size] == 0x5a;
        for (int64_t k = 0; k < count; k++)
            copied =
                copied &&
                !memcmp(flat + (size_t)k * size,
                        (char *)x.data + offset_of(&x, start + k) * (int64_t)size, size);
        if (repeats)
            continue;
        for (int64_t k = 0; k < count * (int64_t)size; k++)
            flat[k] = (uint8_t)below(256);
        if (count == total)
            cr__store_strided(&x, flat, size, team);
        else
            cr__store_range(&x, flat, size, start, count);
        for (int64_t k = 0; k < count; k++)
            stored =
                stored &&
                !memcmp(flat + (size_t)k * size,
                        (char *)x.data + offset_of(&x, start + k) * (int64_t)size, size);
    }
    ok(copied, "copies of %d bytes from strided memory", (int)size);
    ok(stored, "copies of %d bytes to strided memory", (int)size);
}

int main(void)
{
    cr_ctx *one = cr_open(&(cr_options){ .threads = 1 });
    cr_ctx *four = cr_open(&(cr_options){ .threads = 4 });
    for (cr__isa isa = CR__GENERIC; isa < CR__ISAS; isa++) {
        if (!cr__isa_usable(isa))
            continue;
        for (cr_dtype t = CR_F32; t <= CR_BOOL; t++) {
            fill(t);
            test_reductions(isa, t, one->team, four->team);
            test_accumulators(isa, t);
            if (is_float(t))
                test_endings(isa, t, one->team, four->team);
        }
        fill(CR_F32);
        for (int i = 0; i < ELEMENTS; i++)
            if (!isfinite(((float *)data)[i]))
                ((float *)data)[i] = 1;
        test_large(isa, one->team, four->team);
    }
    test_copies(1, four->team);
    test_copies(2, four->team);
    test_copies(4, four->team);
    test_copies(8, four->team);
    cr_close(one);
    cr_close(four);
    return done_testing();
}
