/* Every map kernel, of every type, instruction set and combination of uniform operands,
 * against a plain scalar reference, among many elements and few, which alone are written;
 * every set against the generic one, bit for bit; random numbers against known ones. */
#include "../src/kernel/rows.h"
#include "elementary.h"
#include "tap.h"

#define N     1000       /* elements, not a multiple of a vector */
#define MOST  70         /* of few elements, all numbers of which are tried */
#define GUARD (8 * MOST) /* bytes */

typedef union element {
    float f32;
    double f64;
    int64_t i64;
    int32_t i32;
    uint8_t u8;
} element;

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

static element load(cr_dtype t, const void *p, int i)
{
    element e = { .i64 = 0 };
    memcpy(&e, (const char *)p + (size_t)i * size_of(t), size_of(t));
    return e;
}

static double as_double(cr_dtype t, element e)
{
    return t == CR_F32   ? (double)e.f32
           : t == CR_F64 ? e.f64
           : t == CR_I64 ? (double)e.i64
           : t == CR_I32 ? (double)e.i32
                         : (double)e.u8;
}

static int64_t as_int(cr_dtype t, element e)
{
    return t == CR_I64 ? e.i64 : t == CR_I32 ? e.i32 : e.u8;
}

/* x rounded to t. */
static element from_double(cr_dtype t, double x)
{
    element e = { .i64 = 0 };
    if (t == CR_F32)
        e.f32 = (float)x;
    else
        e.f64 = x;
    return e;
}

/* The low bits of x; a bool is 0 or 1 already. */
static element from_int(cr_dtype t, uint64_t x)
{
    element e = { .i64 = 0 };
    if (size_of(t) == 8)
        e.i64 = (int64_t)x;
    else if (size_of(t) == 4)
        e.i32 = (int32_t)(uint32_t)x;
    else
        e.u8 = (uint8_t)x;
    return e;
}

static element random_element(cr_dtype t)
{
    static const double specials[] = { 0,         -0.0, 1,   -1, INFINITY,
                                       -INFINITY, NAN,  0.5, 2,  1e-40 };
    static const int64_t whole[] = { 0,         1,         -1,        INT64_MIN,
                                     INT64_MAX, INT32_MIN, INT32_MAX, 2 };
    if (is_float(t))
        return from_double(t, below(3) ? (below(1u << 23) - 4194304.0) * 0x1p-19
                                       : specials[below(CR__COUNT(specials))]);
    if (t == CR_BOOL)
        return from_int(t, below(2));
    return from_int(t, below(3) ? (uint64_t)(below(200) - INT64_C(100))
                                : (uint64_t)whole[below(CR__COUNT(whole))]);
}

static void fill(cr_dtype t, void *p)
{
    for (int i = 0; i < N + CR__PAD; i++) {
        element e = random_element(t);
        memcpy((char *)p + (size_t)i * size_of(t), &e, size_of(t));
    }
}

/* ---- the reference ---- */

/* a - b q is in [0, b), or (b, 0]. */
static double floored_rest(double a, double b)
{
    double rest = fmod(a, b);
    return rest < 0 && b > 0 ? rest + b : rest > 0 && b < 0 ? rest + b : rest;
}

static double floored_quotient(double a, double b)
{
    double rest = fmod(a, b);
    if (b == 0)
        return a / b;
    if (rest < 0 && b > 0)
        return rint((a - rest) / b) - 1;
    if (rest > 0 && b < 0)
        return rint((a - rest) / b) - 1;
    return copysign(rint((a - rest) / b), a / b);
}

/* Arithmetic on two f32 in f64, rounded, is that in f32 (53 >= 2*24 + 2 bits); so one
 * reference serves both. Elementary functions are compared with a tolerance. */
static double float_reference(cr__map_code code, double a, double b, double c)
{
    switch (code) {
    case CR__MAP_copy:
        return a;
    case CR__MAP_neg:
        return -a;
    case CR__MAP_abs:
        return fabs(a);
    case CR__MAP_sign:
        return a > 0 ? 1 : a < 0 ? -1 : 0;
    case CR__MAP_floor:
        return floor(a);
    case CR__MAP_ceil:
        return ceil(a);
    case CR__MAP_trunc:
        return trunc(a);
    case CR__MAP_rint:
        return rint(a);
    case CR__MAP_frac:
        return a - trunc(a);
    case CR__MAP_softsign:
        return a / (fabs(a) + 1);
    case CR__MAP_softshrink:
        return a > b ? a - b : a < -b ? a + b : a != a ? a : 0;
    case CR__MAP_copysign:
        return copysign(a, b);
    case CR__MAP_fmod:
        return fmod(a, b);
    case CR__MAP_remainder:
        return floored_rest(a, b);
    case CR__MAP_floor_divide:
        return floored_quotient(a, b);
    case CR__MAP_sqrt:
        return sqrt(a);
    case CR__MAP_rsqrt:
        return 1 / sqrt(a);
    case CR__MAP_square:
        return a * a;
    case CR__MAP_reciprocal:
        return 1 / a;
    case CR__MAP_rest_of_square:
        return fma(-a, a, 1);
    case CR__MAP_relu:
        return a < 0 ? 0 : a;
    case CR__MAP_leaky_relu:
        return a > 0 ? a : a * b;
    case CR__MAP_clamp:
        return a < b ? b : a > c ? c : a;
    case CR__MAP_add:
        return a + b;
    case CR__MAP_sub:
        return a - b;
    case CR__MAP_mul:
        return a * b;
    case CR__MAP_div:
        return a / b;
    case CR__MAP_hypot:
        return hypot(a, b);
    case CR__MAP_maximum:
        return isnan(a) || a > b ? a : b;
    case CR__MAP_minimum:
        return isnan(a) || a < b ? a : b;
    case CR__MAP_below_largest:
        return isinf(a) && a == b ? a > 0 ? 0 : (double)NAN : a - b;
    case CR__MAP_zero_times:
        return a == 0 ? 0 : a * b;
    default:
        return elementary(code, a, b, c);
    }
}

/* Rounded to t after every step, as the kernels do. */
static element gradient_reference(cr__map_code code, cr_dtype t, double g, double y)
{
    element e;
    if (code == CR__MAP_relu_grad)
        return from_double(t, y <= 0 ? 0 : g);
    if (code == CR__MAP_tanh_grad) {
        e = from_double(t, y * y);
        e = from_double(t, 1 - as_double(t, e));
    } else {
        e = from_double(t, 1 - y);
        e = from_double(t, y * as_double(t, e));
    }
    return from_double(t, g * as_double(t, e));
}

static int64_t floor_divided(int64_t a, int64_t b)
{
    int64_t q = a / b;
    return a % b != 0 && (a ^ b) < 0 ? q - 1 : q;
}

static uint64_t int_reference(cr__map_code code, cr_dtype t, int64_t a, int64_t b,
                              int64_t c)
{
    uint64_t x = (uint64_t)a, y = (uint64_t)b;
    switch (code) {
    case CR__MAP_copy:
    case CR__MAP_floor:
    case CR__MAP_ceil:
    case CR__MAP_trunc:
    case CR__MAP_rint:
        return x;
    case CR__MAP_neg:
        return 0 - x;
    case CR__MAP_abs:
        return a < 0 ? 0 - x : x;
    case CR__MAP_sign:
        return (uint64_t)((a > 0) - (a < 0));
    case CR__MAP_square:
        return x * x;
    case CR__MAP_relu:
        return a < 0 ? 0 : x;
    case CR__MAP_clamp:
        return (uint64_t)(a < b ? (b < c ? b : c) : a > c ? c : a);
    case CR__MAP_add:
        return x + y;
    case CR__MAP_sub:
        return x - y;
    case CR__MAP_mul:
        return t == CR_BOOL ? a && b : x * y;
    case CR__MAP_maximum:
        return a > b ? x : y;
    case CR__MAP_minimum:
        return a < b ? x : y;
    case CR__MAP_fmod:
        return b == 0 || b == -1 ? 0 : (uint64_t)(a % b);
    case CR__MAP_remainder:
        return b == 0 || b == -1 ? 0 : x - (uint64_t)floor_divided(a, b) * y;
    case CR__MAP_floor_divide:
        return b == 0 ? 0 : b == -1 ? 0 - x : (uint64_t)floor_divided(a, b);
    default:
        return 0;
    }
}

#define COMPARED(a, b)                 \
    (code == CR__MAP_eq   ? (a) == (b) \
     : code == CR__MAP_ne ? (a) != (b) \
     : code == CR__MAP_lt ? (a) < (b)  \
     : code == CR__MAP_le ? (a) <= (b) \
     : code == CR__MAP_gt ? (a) > (b)  \
                          : (a) >= (b))
static element truth(cr__map_code code, cr_dtype t, element a, element b)
{
    bool x = as_double(t, a) != 0, y = as_double(t, b) != 0, z;
    if (code == CR__MAP_logical_not)
        z = !x;
    else if (code == CR__MAP_logical_and)
        z = x && y;
    else if (code == CR__MAP_logical_or)
        z = x || y;
    else if (code == CR__MAP_logical_xor)
        z = x != y;
    else if (code == CR__MAP_isnan)
        z = isnan(as_double(t, a)) != 0;
    else if (code == CR__MAP_isinf)
        z = isinf(as_double(t, a)) != 0;
    else if (code == CR__MAP_isfinite)
        z = isfinite(as_double(t, a)) != 0;
    else if (is_float(t))
        z = COMPARED(as_double(t, a), as_double(t, b));
    else
        z = COMPARED(as_int(t, a), as_int(t, b));
    return from_int(CR_BOOL, z);
}

static element cast(cr_dtype from, cr_dtype to, element a)
{
    double x = as_double(from, a), low = 0, high = 255;
    if (to == CR_BOOL)
        return from_int(to, x != 0);
    if (is_float(to)) {
        if (to == CR_F32 && from == CR_I64) /* rounded once */
            return (element){ .f32 = (float)a.i64 };
        return from_double(to, x);
    }
    if (!is_float(from))
        return from_int(to, (uint64_t)as_int(from, a));
    if (to == CR_I64)
        return from_int(to, isnan(x)       ? 0
                            : x >= 0x1p63  ? INT64_MAX
                            : x <= -0x1p63 ? (uint64_t)INT64_MIN
                                           : (uint64_t)(int64_t)x);
    if (to == CR_I32)
        low = INT32_MIN, high = INT32_MAX;
    return from_int(to, isnan(x) ? 0 : (uint64_t)(int64_t)fmin(fmax(x, low), high));
}

static bool writes_bool(cr__map_code code)
{
    cr__map_types types = cr__map_rows[code].types;
    return types == CR__MAPS_COMPARED || types == CR__MAPS_LOGICAL;
}

static element reference(cr__map_code code, cr_dtype in, cr_dtype out, const element *x)
{
    if (code == CR__MAP_cast)
        return cast(in, out, x[0]);
    if (code == CR__MAP_where)
        return x[0].u8 ? x[1] : x[2];
    if (writes_bool(code))
        return truth(code, in, x[0], x[1]);
    if (code == CR__MAP_relu_grad || code == CR__MAP_tanh_grad ||
        code == CR__MAP_sigmoid_grad)
        return gradient_reference(code, in, as_double(in, x[0]), as_double(in, x[1]));
    if (is_float(in))
        return from_double(in, float_reference(code, as_double(in, x[0]),
                                               as_double(in, x[1]), as_double(in, x[2])));
    return from_int(in, int_reference(code, in, as_int(in, x[0]), as_int(in, x[1]),
                                      as_int(in, x[2])));
}

/* Derivatives, times their first operand: they have zeros. */
static bool is_derivative(cr__map_code code)
{
    const cr__map_row *row = &cr__map_rows[code];
    return (row->types == CR__MAPS_ELEMENTARY || row->types == CR__MAPS_RARE) &&
           (strstr(row->name, "_grad") || strstr(row->name, "_curve"));
}

/* Made of numbers of this size, where it is near 0. */
static bool has_zeros(cr__map_code code)
{
    return code == CR__MAP_lgamma || code == CR__MAP_digamma ||
           code == CR__MAP_logaddexp || code == CR__MAP_sinc_nth;
}

/* Functions that are rounded once in both must agree in every bit; others within a few
 * ulp of what they are made of: themselves, and terms of the size given. */
static bool agrees(cr__map_code code, cr_dtype t, element got, element want, double size)
{
    bool rounded_once = cr__map_rows[code].types != CR__MAPS_ELEMENTARY &&
                        cr__map_rows[code].types != CR__MAPS_RARE &&
                        code != CR__MAP_rsqrt && code != CR__MAP_hypot &&
                        code != CR__MAP_softsign;
    double g = as_double(t, got), w = as_double(t, want);
    if (is_float(t) && isnan(w))
        return isnan(g);
    if (is_derivative(code) && w == 0)
        return g == 0;
    if (!is_float(t) || rounded_once || isinf(w) || w == 0)
        return memcmp(&got, &want, size_of(t)) == 0;
    double step = t == CR_F32 ? 0x1p-21 : 0x1p-49;
    return fabs(g - w) <= (fabs(w) + size) * step + 0x1p-148;
}

/* ---- cases ---- */

static CR__ALIGNED(64) double operands[3][N + CR__PAD], result[N + CR__PAD],
    other[N + CR__PAD];

static bool equal_first(cr_dtype t, const void *p, const void *q, int64_t n)
{
    for (int i = 0; i < n; i++) {
        element a = load(t, p, i), b = load(t, q, i);
        if (is_float(t) && isnan(as_double(t, a)) && isnan(as_double(t, b)))
            continue;
        if (memcmp(&a, &b, size_of(t)) != 0)
            return false;
    }
    return true;
}

/* Where source j's elements have their type. */
static cr_dtype source_type(cr__map_code code, cr_dtype in, int j)
{
    return code == CR__MAP_where && j == 0 ? CR_BOOL : in;
}

/* How many parameters, uniform ones, stand behind the operand. */
static int parameters(cr__map_code code)
{
    cr__map_form form = cr__map_rows[code].form;
    return form == CR__FORM_PARAMETRIC1 ? 1 : form == CR__FORM_PARAMETRIC2 ? 2 : 0;
}

/* The operands of a case, of which bit j of uniform says that all elements of source j are
 * equal; clamp's bounds are in order and softplus' parameters positive. */
static void prepare(cr__map_code code, cr_dtype in, unsigned uniform)
{
    for (int j = 0; j < 3; j++)
        fill(source_type(code, in, j), operands[j]);
    for (int j = 1; j < 3 && parameters(code); j++) {
        int64_t value = code == CR__MAP_clamp ? (in == CR_BOOL ? j - 1 : j * 3 - 2) : j;
        element e =
            is_float(in) ? from_double(in, (double)value) : from_int(in, (uint64_t)value);
        memcpy(operands[j], &e, size_of(in));
    }
    for (int j = 0; j < 3; j++) {
        size_t size = size_of(source_type(code, in, j));
        for (size_t i = 1; uniform >> j & 1 && i < CR__PAD; i++)
            memcpy((char *)operands[j] + i * size, operands[j], size);
    }
}

/* n elements between others, which stay as they are; likewise in place of each source that
 * varies. The elements have been computed among N before. */
static bool exact(cr__map_fn *kernel, cr__map_code code, cr_dtype in, cr_dtype out,
                  const int64_t *step, int64_t n)
{
    static CR__ALIGNED(64) char memory[3 * GUARD];
    size_t bytes = (size_t)n * size_of(out);
    for (int j = -1; j < 3; j++) {
        const void *src[3] = { operands[0], operands[1], operands[2] };
        char *dst = memory + GUARD;
        if (j >= 0 && (!step[j] || size_of(source_type(code, in, j)) != size_of(out)))
            continue;
        memset(memory, 0x5a, sizeof memory);
        if (j >= 0)
            src[j] = memcpy(dst, operands[j], bytes);
        kernel(dst, src, step, n);
        if (memcmp(dst, result, bytes) != 0 && !equal_first(out, dst, result, n))
            return false;
        for (char *p = memory; p < memory + sizeof memory; p++)
            if ((p < dst || p >= dst + bytes) && *p != 0x5a)
                return false;
    }
    return true;
}

static void test_case(cr__isa isa, cr__map_code code, cr_dtype in, cr_dtype out,
                      unsigned uniform)
{
    cr__map_fn *kernel = cr__map_find_for(isa, code, in, out);
    const void *src[3] = { operands[0], operands[1], operands[2] };
    const int64_t step[3] = { !(uniform & 1), !(uniform & 2), !(uniform & 4) };
    bool right = true;
    int64_t n = 0;
    if (!kernel)
        return;
    prepare(code, in, uniform);
    kernel(result, src, step, N);
    for (int i = 0; i < N; i++) {
        element x[3];
        for (int j = 0; j < 3; j++)
            x[j] = load(source_type(code, in, j), operands[j], step[j] ? i : 0);
        double size = is_derivative(code) ? fabs(as_double(in, x[0]))
                      : has_zeros(code)   ? 4
                                          : 0;
        right = right && agrees(code, out, load(out, result, i),
                                reference(code, in, out, x), size);
    }
    while (n <= MOST && exact(kernel, code, in, out, step, n))
        n++;
    ok(right && n > MOST, "%s: %s, %s to %s, uniform %u%s", cr__isa_name(isa),
       cr__map_rows[code].name, cr_dtype_name(in), cr_dtype_name(out), uniform,
       right ? "" : ": wrong");
    if (n <= MOST)
        diag("%d elements are not computed alone", (int)n);
}

/* The types that the row promises kernels of; where and cast: all. */
static bool promised(cr__map_code code, cr_dtype t)
{
    switch (cr__map_rows[code].types) {
    case CR__MAPS_FLOATS:
    case CR__MAPS_ELEMENTARY:
    case CR__MAPS_RARE:
        return is_float(t);
    case CR__MAPS_NUMBERS:
    case CR__MAPS_LOOPED:
        return t != CR_BOOL;
    default:
        return true;
    }
}

/* Calls test for every combination of uniform operands; parameters always are. */
static void each_combination(cr__isa isa, cr__map_code code, cr_dtype in, cr_dtype out,
                             void (*test)(cr__isa, cr__map_code, cr_dtype, cr_dtype,
                                          unsigned))
{
    static const unsigned last[] = { [CR__FORM_UNARY] = 1,
                                     [CR__FORM_PARAMETRIC1] = 1,
                                     [CR__FORM_PARAMETRIC2] = 1,
                                     [CR__FORM_BINARY] = 3,
                                     [CR__FORM_WHERE] = 7 };
    cr__map_form form = cr__map_rows[code].form;
    if (form == CR__FORM_SOURCE)
        return;
    for (unsigned uniform = 0; uniform <= last[form]; uniform++)
        test(isa, code, in, out, uniform | (parameters(code) ? 6 : 0));
}

static void test_set(cr__isa isa)
{
    bool complete = true;
    for (cr__map_code code = 1; code < CR__MAP_CODES; code++)
        for (cr_dtype in = CR_F32; in <= CR_BOOL; in++) {
            cr_dtype out = writes_bool(code) ? CR_BOOL : in;
            if (cr__map_rows[code].form != CR__FORM_SOURCE && promised(code, in) &&
                !cr__map_find_for(isa, code, in, out)) {
                diag("%s: no kernel of %s", cr__map_rows[code].name, cr_dtype_name(in));
                complete = false;
            }
            if (code != CR__MAP_cast)
                each_combination(isa, code, in, out, test_case);
            for (out = CR_F32; code == CR__MAP_cast && out <= CR_BOOL; out++)
                each_combination(isa, code, in, out, test_case);
        }
    ok(complete, "%s: every kernel that the table promises exists", cr__isa_name(isa));
}

/* ---- several maps in one ---- */

/* What the parts give: sources a, b, p, q in the order of the kernels. */
static void in_parts(cr__isa isa, cr__map_code outer, int left, int right, bool each,
                     const void *const *src, float *to, int64_t n)
{
    const int64_t step[2] = { 1, each };
    int64_t both[2] = { 1, 1 };
    static CR__ALIGNED(64) float part[2][N + CR__PAD];
    const void *sides[2] = { src[0], src[1] };
    const int codes[2] = { left, right };
    for (int k = 0; k < 2; k++) {
        const void *in[2] = { src[k], src[2 + k] };
        if (codes[k] == CR__MAP_ONE) {
            sides[k] = src[2 + k];
            both[k] = 0;
        } else if (codes[k]) {
            cr__map_find_for(isa, (cr__map_code)codes[k], CR_F32, CR_F32)(part[k], in,
                                                                          step, n);
            sides[k] = part[k];
        }
    }
    cr__map_find_for(isa, outer, CR_F32, CR_F32)(to, sides, both, n);
}

/* Of n elements, in memory of its own or in place of a source; nothing else is written. */
static bool join_exact(cr__isa isa, cr__join join, bool each, const float *want,
                       int64_t n)
{
    static CR__ALIGNED(64) char memory[3 * GUARD];
    const size_t bytes = (size_t)n * sizeof *want;
    for (int j = -1; j < 2 + each; j++) {
        const void *src[4] = { operands[0], operands[1], operands[2], operands[2] + 1 };
        char *dst = memory + GUARD;
        memset(memory, 0x5a, sizeof memory);
        if (j >= 0)
            src[j] = memcpy(dst, operands[j], bytes);
        cr__join_find_for(isa, join)(dst, src, NULL, n);
        if (!equal_first(CR_F32, dst, want, n))
            return false;
        for (char *p = memory; p < memory + sizeof memory; p++)
            if ((p < dst || p >= dst + bytes) && *p != 0x5a)
                return false;
    }
    return true;
}

enum { UNIFORM, EACH };
static void test_join(cr__isa isa, cr__join join, const char *name, cr__map_code outer,
                      int left, int right, bool each)
{
    bool right_bits = true;
    for (int round = 0; round < 40 && right_bits; round++) {
        float uniform[2][CR__PAD], *want = (float *)(void *)result;
        const void *src[4] = { operands[0], operands[1], uniform[0], uniform[1] };
        fill(CR_F32, operands[0]);
        fill(CR_F32, operands[1]);
        fill(CR_F32, operands[2]);
        for (int k = 0; k < 2; k++)
            for (int i = 0; i < CR__PAD; i++)
                uniform[k][i] = load(CR_F32, operands[2] + k, 0).f32;
        if (each)
            src[2] = operands[2];
        in_parts(isa, outer, left, right, each, src, want, N);
        for (int64_t n = 0; n <= MOST && right_bits; n++)
            right_bits = join_exact(isa, join, each, want, n);
        cr__join_find_for(isa, join)(other, src, NULL, N);
        right_bits = right_bits && equal_first(CR_F32, other, want, N);
    }
    ok(right_bits, "%s: %s gives the bits of its parts", cr__isa_name(isa), name);
}

/* Quotients as near to the middle of two floats as they come, on both sides of what is moderate:
 * a 2^24 = q m + r of integers, m being odd. */
static void test_quotients(cr__isa isa)
{
    bool exact = true;
    for (int round = 0; round < tap_share(20000); round++) {
        const uint32_t digits = below(1u << 23) | 1u << 23 | 1;
        const float q = ldexpf((float)digits, (int)below(56) - 51);
        float a[CR__PAD], got[CR__PAD], uniform[CR__PAD];
        const void *src[4] = { a, a, uniform, uniform };
        uint32_t inverse = digits;
        for (int i = 0; i < 5; i++)
            inverse *= 2 - digits * inverse;
        for (int i = 0; i < CR__PAD; i++) {
            const uint32_t r = (uint32_t)(2 * i + 1 - CR__PAD);
            const uint64_t m = (0 - r) * inverse % (1u << 24) + (1u << 24);
            a[i] = ldexpf((float)((digits * m + (uint64_t)(int64_t)(int32_t)r) >> 24),
                          (int)below(8) - 80 + 12 * (round % 12));
            if (round % 4 == 0 && below(3) == 0)
                a[i] = below(2) ? 0.0f : -0.0f;
            uniform[i] = round % 64 ? q : -q;
        }
        cr__join_find_for(isa, CR__JOIN_over)(got, src, NULL, CR__PAD);
        for (int i = 0; i < CR__PAD; i++)
            a[i] /= uniform[i];
        exact &= memcmp(got, a, sizeof got) == 0;
    }
    ok(exact, "%s: quotients by what is uniform round as they should", cr__isa_name(isa));
}

/* What a step comes to, by the joins that it is made of: four results of n elements. */
static void step_in_parts(cr__isa isa, const float *const *src, float *const *to,
                          int64_t n)
{
    const void *const m[4] = { src[0], src[1], src[2], src[3] },
                      *const r[4] = { src[4], src[5], src[6], src[7] },
                      *const u[4] = { to[0], to[1], src[8], src[8] },
                      *const x[4] = { src[9], to[2], src[10], src[10] };
    cr__join_find_for(isa, CR__JOIN_scaled_sum)(to[0], m, NULL, n);
    cr__join_find_for(isa, CR__JOIN_scaled_hypot)(to[1], r, NULL, n);
    cr__join_find_for(isa, CR__JOIN_over_sum)(to[2], u, NULL, n);
    cr__join_find_for(isa, CR__JOIN_minus_scaled)(to[3], x, NULL, n);
}

/* Of n elements, into other memory or in place of the states and the parameter; nothing else is
 * written. */
static bool step_exact(cr__isa isa, const float *const *from, float *const *want,
                       int64_t n)
{
    static CR__ALIGNED(64) float got[CR__STEP_RESULTS][MOST + 2 * CR__PAD];
    static const int in_place[CR__STEP_RESULTS] = { 0, 4, -1, 9 };
    bool exact = true;
    for (int round = 0; round < 2; round++) {
        const float *src[CR__STEP_SOURCES];
        float *dst[CR__STEP_RESULTS];
        memcpy(src, from, sizeof src);
        memset(got, 0x5a, sizeof got);
        for (int i = 0; i < CR__STEP_RESULTS; i++) {
            dst[i] = got[i] + CR__PAD;
            if (round && in_place[i] >= 0)
                src[in_place[i]] =
                    memcpy(dst[i], from[in_place[i]], (size_t)n * sizeof **dst);
        }
        cr__step_find_for(isa)(dst, src, n);
        for (int i = 0; i < CR__STEP_RESULTS; i++) {
            const char *begin = (const char *)got[i], *end = begin + sizeof got[i];
            const char *first = (const char *)dst[i], *last = (const char *)(dst[i] + n);
            exact &= equal_first(CR_F32, dst[i], want[i], n);
            for (const char *p = begin; p < end; p++)
                exact &= (p >= first && p < last) || *p == 0x5a;
        }
    }
    return exact;
}

static void test_step(cr__isa isa)
{
    static CR__ALIGNED(64) float many[5][MOST + CR__PAD], wants[CR__STEP_RESULTS][MOST];
    bool exact = true;
    for (int round = 0; round < tap_share(40) && exact; round++) {
        float uniform[6][CR__PAD], *want[CR__STEP_RESULTS];
        for (int k = 0; k < 6; k++) {
            fill(CR_F32, operands[0]);
            for (int i = 0; i < CR__PAD; i++)
                uniform[k][i] = load(CR_F32, operands[0], 0).f32;
        }
        for (int k = 0; k < 5; k++) {
            fill(CR_F32, operands[0]);
            memcpy(many[k], operands[0], sizeof many[k]);
        }
        const float *const src[CR__STEP_SOURCES] = { many[0],    many[1],    uniform[0],
                                                     uniform[1], many[2],    many[3],
                                                     uniform[2], uniform[3], uniform[4],
                                                     many[4],    uniform[5] };
        for (int i = 0; i < CR__STEP_RESULTS; i++)
            want[i] = wants[i];
        step_in_parts(isa, src, want, MOST);
        for (int64_t n = 0; n <= MOST && exact; n++)
            exact = step_exact(isa, src, want, n);
    }
    ok(exact, "%s: a step gives the bits of its parts", cr__isa_name(isa));
}

/* Values, and slopes times g, of n elements; nothing else is written. */
static bool twin_exact(cr__isa isa, cr__twin twin, const void *const *from,
                       const float *const *want, int64_t n)
{
    static const int64_t both[2] = { 1, 1 };
    static CR__ALIGNED(64) float got[2][MOST + 2 * CR__PAD];
    float *value = got[0] + CR__PAD, *slope = got[1] + CR__PAD;
    const void *src[2] = { from[1], slope }, *times[2] = { from[0], slope };
    bool exact = true;
    memset(got, 0x5a, sizeof got);
    cr__twin_find_for(isa, twin)(value, src, both, n);
    for (int i = 0; i < 2; i++)
        for (const char *p = (char *)got[i]; p < (char *)(got[i] + MOST + 2 * CR__PAD);
             p++)
            exact &=
                (p >= (char *)(got[i] + CR__PAD) && p < (char *)(got[i] + CR__PAD + n)) ||
                *p == 0x5a;
    cr__map_find_for(isa, CR__MAP_mul, CR_F32, CR_F32)(slope, times, both, n);
    return exact && equal_first(CR_F32, value, want[0], n) &&
           equal_first(CR_F32, slope, want[1], n);
}

static void test_twin(cr__isa isa, cr__twin twin, const char *name, cr__map_code value,
                      cr__map_code grad)
{
    static const int64_t both[2] = { 1, 1 };
    static CR__ALIGNED(64) float wants[2][N];
    const void *src[2] = { operands[0], operands[1] };
    const float *const want[2] = { wants[0], wants[1] };
    bool exact = true;
    for (int round = 0; round < 40 && exact; round++) {
        fill(CR_F32, operands[0]);
        fill(CR_F32, operands[1]);
        cr__map_find_for(isa, value, CR_F32, CR_F32)(wants[0], src + 1, both, N);
        cr__map_find_for(isa, grad, CR_F32, CR_F32)(wants[1], src, both, N);
        for (int64_t n = 0; n <= MOST && exact; n++)
            exact = twin_exact(isa, twin, src, want, n);
    }
    ok(exact, "%s: %s and its slope have the bits of each", cr__isa_name(isa), name);
}

static void test_joins(cr__isa isa)
{
    if (isa == CR__GENERIC) {
        ok(!cr__join_find_for(isa, (cr__join)1) && !cr__step_find_for(isa),
           "the generic set has neither joins nor steps");
        return;
    }
#define TEST_TWIN(value, grad, ...) \
    test_twin(isa, CR__TWIN_##value, #value, CR__MAP_##value, CR__MAP_##grad);
    CR__EACH_TWIN(TEST_TWIN)
#define TEST_JOIN(name, outer, left, right, P, ...)                         \
    test_join(isa, CR__JOIN_##name, #name, CR__MAP_##outer, CR__MAP_##left, \
              CR__MAP_##right, P);
    CR__EACH_JOIN(TEST_JOIN)
    test_quotients(isa);
    test_step(isa);
}

static bool same = true;

static void compare(cr__isa isa, cr__map_code code, cr_dtype in, cr_dtype out,
                    unsigned uniform)
{
    const int64_t step[3] = { !(uniform & 1), !(uniform & 2), !(uniform & 4) };
    for (int round = 0; round < tap_share(20); round++) {
        const void *src[3] = { operands[0], operands[1], operands[2] };
        prepare(code, in, uniform);
        cr__map_find_for(CR__GENERIC, code, in, out)(result, src, step, N);
        cr__map_find_for(isa, code, in, out)(other, src, step, N);
        if (!equal_first(out, result, other, N)) {
            diag("%s of %s differs", cr__map_rows[code].name, cr_dtype_name(in));
            same = false;
        }
    }
}

/* Every kernel of floats: the same bits as in the generic set. */
static void test_same_bits(cr__isa isa)
{
    same = true;
    for (cr__map_code code = 1; code < CR__MAP_CODES; code++)
        for (cr_dtype in = CR_F32; in <= CR_F64; in++)
            each_combination(isa, code, in, writes_bool(code) ? CR_BOOL : in, compare);
    ok(same, "%s gives the bits of the generic set", cr__isa_name(isa));
}

/* ---- sources made from indices ---- */

static void test_arange(cr_dtype t)
{
    cr__map_fn *kernel = cr__map_find(CR__MAP_arange, t, t);
    cr__arange_params p = { 0.1, 0.7, 3, -2 };
    int64_t first = 12345;
    const void *src[2] = { &first, &p };
    bool right = true;
    kernel(result, src, NULL, N);
    for (int i = 0; i < N; i++) {
        element want = is_float(t) ? from_double(t, 0.1 + (double)(first + i) * 0.7)
                                   : from_int(t, (uint64_t)(3 - 2 * (first + i)));
        right = right && agrees(CR__MAP_arange, t, load(t, result, i), want, 0);
    }
    ok(right, "arange of %s", cr_dtype_name(t));
}

/* 0.1 to 0.7 in 50 numbers, in two calls: both ends exact, between them within a
 * rounding. */
static void test_linspace(cr_dtype t)
{
    cr__map_fn *kernel = cr__map_find(CR__MAP_linspace, t, t);
    cr__linspace_params p = { 0.1, (0.7 - 0.1) / 49, 0.7, 50 };
    int64_t first[2] = { 0, 16 };
    bool right = true;
    for (int call = 0; call < 2; call++) {
        const void *src[2] = { &first[call], &p };
        kernel((char *)result + (size_t)first[call] * size_of(t), src, NULL,
               call ? 34 : 16);
    }
    for (int i = 0; i < 50; i++) {
        double x = as_double(t, load(t, result, i));
        double want = i == 49 ? 0.7 : 0.1 + i * p.step;
        double exact = as_double(t, from_double(t, want));
        right = right && (i % 49 == 0 ? x == exact
                                      : fabs(x - want) <= (t == CR_F32 ? 1e-7 : 2e-16));
    }
    ok(right, "linspace of %s", cr_dtype_name(t));
}

static void test_random(cr__map_code code, cr_dtype t)
{
    cr__map_fn *kernel = cr__map_find(code, t, t);
    cr__random_params p = { 42, 7 };
    int64_t first = 0, later = 37;
    const void *src[2] = { &first, &p }, *src_later[2] = { &later, &p };
    double sum = 0, squares = 0, mean = code == CR__MAP_rand ? 0.5 : 0;
    double variance = code == CR__MAP_rand ? 1.0 / 12 : 1;
    bool in_range = true;
    for (first = 0; first < 100 * N; first += N) {
        kernel(result, src, NULL, N);
        for (int i = 0; i < N; i++) {
            double x = as_double(t, load(t, result, i));
            sum += x, squares += (x - mean) * (x - mean);
            in_range = in_range && (code == CR__MAP_rand ? x >= 0 && x < 1 : isfinite(x));
        }
    }
    ok(in_range, "%s of %s: in range", cr__map_rows[code].name, cr_dtype_name(t));
    is_near(sum / (100 * N), mean, 0.01, "its mean");
    is_near(squares / (100 * N), variance, 0.015, "its variance");
    first = 0;
    kernel(result, src, NULL, N);
    kernel(other, src_later, NULL, N - 37);
    ok(memcmp(other, (char *)result + 37 * size_of(t), (N - 37) * size_of(t)) == 0,
       "the same from any start");
}

/* The first known answer of Random123's kat_vectors: all zero counter and key. */
static void test_philox(void)
{
    static const uint32_t want[4] = { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 };
    cr__random_params p = { 0, 0 };
    int64_t first = 0;
    const void *src[2] = { &first, &p };
    float x[CR__PAD];
    bool right = true;
    cr__map_find(CR__MAP_rand, CR_F32, CR_F32)(x, src, NULL, 4);
    for (int i = 0; i < 4; i++)
        right = right && x[i] == (float)(want[i] >> 8) * 0x1p-24f;
    ok(right, "Philox 4x32-10 gives its published numbers");
}

int main(void)
{
    for (cr__isa isa = CR__GENERIC; isa < CR__ISAS; isa++) {
        if (!cr__isa_usable(isa))
            continue;
        test_set(isa);
        test_joins(isa);
        test_same_bits(isa);
    }
    for (cr_dtype t = CR_F32; t <= CR_I32; t++)
        test_arange(t);
    for (cr_dtype t = CR_F32; t <= CR_F64; t++) {
        test_linspace(t);
        test_random(CR__MAP_rand, t);
        test_random(CR__MAP_randn, t);
    }
    test_philox();
    return done_testing();
}
