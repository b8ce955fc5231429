/* Reductions against a plain loop over the order that kernel.h defines: the same bits for
 * every type, stride pattern, instruction set and number of threads. Copies against plain
 * indexing. */
#include "../src/base/context.h"
#include "../src/kernel/rows.h"
#include "tap.h"

#define ELEMENTS (1 << 20)

static double data[ELEMENTS + CR__PAD]; /* seen as elements of any type */
static int64_t origin;                  /* the array's first element in data */
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

static void fill(cr_dtype t)
{
    for (int i = 0; i < ELEMENTS; i++) {
        double x = (below(1u << 24) - 8388608.0) * 0x1p-20;
        if (below(100000) == 0)
            x = below(3) ? (double)INFINITY : (double)NAN;
        if (t == CR_F32)
            ((float *)data)[i] = (float)x;
        else if (t == CR_F64)
            data[i] = x;
        else if (t == CR_BOOL)
            ((uint8_t *)data)[i] = (uint8_t)below(2);
        else if (t == CR_U8)
            ((uint8_t *)data)[i] = (uint8_t)below(256);
        else if (t == CR_I32)
            ((int32_t *)data)[i] = (int32_t)(below(1u << 16) << 16);
        else
            ((int64_t *)data)[i] = (int64_t)((uint64_t)below(1u << 16) << 48);
    }
}

static int64_t offset_of(const cr__strided *x, int64_t i)
{
    int64_t offset = origin;
    for (int d = x->ndim - 1; d >= 0; d--) {
        offset += i % x->dims[d] * x->strides[d];
        i /= x->dims[d];
    }
    return offset;
}

/* ---- the definition ---- */

typedef union value {
    float f32;
    double f64;
    int64_t i64;
} value;

/* f32 arithmetic is in f32, all integers' in i64. */
static value load(cr_dtype t, int64_t at)
{
    value v = { .i64 = 0 };
    if (t == CR_F32)
        v.f32 = ((float *)data)[at];
    else if (t == CR_F64)
        v.f64 = data[at];
    else if (t == CR_I64)
        v.i64 = ((int64_t *)data)[at];
    else if (t == CR_I32)
        v.i64 = ((int32_t *)data)[at];
    else
        v.i64 = ((uint8_t *)data)[at];
    return v;
}

static double larger(double a, double b)
{
    return isnan(a) || a >= b ? a : b;
}

static double smaller(double a, double b)
{
    return isnan(a) || a <= b ? a : b;
}

static int64_t larger_int(int64_t a, int64_t b)
{
    return b > a ? b : a;
}

static int64_t smaller_int(int64_t a, int64_t b)
{
    return b < a ? b : a;
}

static double plus(double a, double b)
{
    return a + b;
}

static int64_t plus_int(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* What an element becomes, in the arithmetic of its type. */
static value itself(cr_dtype t, value x)
{
    (void)t;
    return x;
}

static value scaled(cr_dtype t, value x, double by)
{
    if (t == CR_F32)
        x.f32 *= (float)by;
    else
        x.f64 *= by;
    return x;
}

static value scaled_down(cr_dtype t, value x)
{
    return scaled(t, x, CR__DOWN(size_of(t)));
}

static value square(cr_dtype t, value x)
{
    if (t == CR_F32)
        x.f32 *= x.f32;
    else
        x.f64 *= x.f64;
    return x;
}

static value square_down(cr_dtype t, value x)
{
    return square(t, scaled(t, x, CR__DOWN(size_of(t))));
}

static value square_up(cr_dtype t, value x)
{
    return square(t, scaled(t, x, CR__UP(size_of(t))));
}

/* What a reduction is. An infinite identity is of integers the end of their type; without
 * `integers` there is none of them. */
typedef struct definition {
    value (*term)(cr_dtype, value);
    double identity;
    double (*floats)(double, double); /* rounded to f32 it is that of f32 */
    int64_t (*integers)(int64_t, int64_t);
    bool wide; /* integers have an i64 */
} definition;

static const definition definitions[CR__REDUCE_CODES] = {
    [CR__REDUCE_sum] = { itself, 0, plus, plus_int, true },
    [CR__REDUCE_amax] = { itself, -(double)INFINITY, larger, larger_int, false },
    [CR__REDUCE_amin] = { itself, (double)INFINITY, smaller, smaller_int, false },
    [CR__REDUCE_squares] = { square, 0, plus, NULL, false },
    [CR__REDUCE_sum_down] = { scaled_down, 0, plus, NULL, false },
    [CR__REDUCE_squares_down] = { square_down, 0, plus, NULL, false },
    [CR__REDUCE_squares_up] = { square_up, 0, plus, NULL, false },
};

static value identity(cr__reduce_code code, cr_dtype t)
{
    value v = { .i64 = 0 };
    double x = definitions[code].identity;
    if (t == CR_F32)
        v.f32 = (float)x;
    else if (t == CR_F64)
        v.f64 = x;
    else if (isfinite(x))
        v.i64 = (int64_t)x;
    else if (x < 0)
        v.i64 = t == CR_I64 ? INT64_MIN : t == CR_I32 ? INT32_MIN : 0;
    else
        v.i64 = t == CR_I64 ? INT64_MAX : t == CR_I32 ? INT32_MAX : t == CR_U8 ? 255 : 1;
    return v;
}

static value join(cr__reduce_code code, cr_dtype t, value a, value b)
{
    const definition *d = &definitions[code];
    if (t == CR_F32)
        a.f32 = (float)d->floats(a.f32, b.f32);
    else if (t == CR_F64)
        a.f64 = d->floats(a.f64, b.f64);
    else
        a.i64 = d->integers(a.i64, b.i64);
    return a;
}

static value defined(const cr__reduce_job *job, cr__reduce_code code, int64_t output,
                     int64_t length)
{
    static value partials[ELEMENTS / CR__BLOCK + 1];
    cr_dtype t = job->dtype;
    int64_t blocks = 0;
    partials[0] = identity(code, t);
    for (int64_t b = 0; b < length; b += CR__BLOCK) {
        value lanes[CR__LANES];
        for (int l = 0; l < CR__LANES; l++)
            lanes[l] = identity(code, t);
        for (int64_t i = b; i < length && i < b + CR__BLOCK; i++) {
            value x = load(t, offset_of(&job->x, output * length + i));
            lanes[i % CR__LANES] =
                join(code, t, lanes[i % CR__LANES], definitions[code].term(t, x));
        }
        for (int width = CR__LANES / 2; width; width /= 2)
            for (int l = 0; l < width; l++)
                lanes[l] = join(code, t, lanes[l], lanes[l + width]);
        partials[blocks++] = lanes[0];
    }
    for (; blocks > 1; blocks = (blocks + 1) / 2)
        for (int64_t i = 0; i < blocks; i += 2)
            partials[i / 2] = i + 1 < blocks ? join(code, t, partials[i], partials[i + 1])
                                             : partials[i];
    return partials[0];
}

static bool same(const void *got, value want, cr__reduce_code code, cr_dtype t)
{
    float f;
    double d;
    if (t == CR_F32) {
        memcpy(&f, got, sizeof f);
        return memcmp(&f, &want.f32, sizeof f) == 0 || (isnan(f) && isnan(want.f32));
    }
    if (t == CR_F64) {
        memcpy(&d, got, sizeof d);
        return memcmp(&d, &want.f64, sizeof d) == 0 || (isnan(d) && isnan(want.f64));
    }
    if (definitions[code].wide || t == CR_I64)
        return *(const int64_t *)got == want.i64;
    if (t == CR_I32)
        return *(const int32_t *)got == want.i64;
    return *(const uint8_t *)got == want.i64;
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
        int other = (int)below((uint32_t)x.ndim);
        int64_t n = x.dims[d], s = x.strides[d];
        x.dims[d] = x.dims[other], x.dims[other] = n;
        x.strides[d] = x.strides[other], x.strides[other] = s;
    }
    return x;
}

/* ---- reductions ---- */

static uint64_t out[ELEMENTS + CR__PAD];

/* Some 40 outputs of one reduction. */
static bool reduce_case(cr__isa isa, cr__reduce_code code, cr_dtype t,
                        const cr__strided *x, int kept, cr__team *team)
{
    cr__reduce_job job = {
        .kernel = cr__reduce_find_for(isa, code, t),
        .dtype = t,
        .x = *x,
        .kept = kept,
        .out = out,
    };
    int64_t outputs = 1, length = 1;
    for (int d = 0; d < x->ndim; d++)
        *(d < kept ? &outputs : &length) *= x->dims[d];
    job.x.data = (char *)data + (size_t)origin * size_of(t);
    memset(out, 0x55, sizeof(uint64_t) * (size_t)(outputs < 64 ? 64 : outputs));
    cr__reduce(&job, team);
    for (int64_t o = 0; o < outputs; o += 1 + outputs / 40)
        if (!same((char *)out + (size_t)o * job.kernel->out_size,
                  defined(&job, code, o, length), code, t))
            return false;
    return true;
}

/* The first of the largest, or the first NaN. */
static int64_t defined_place(const cr__strided *x, cr_dtype t, bool least, int64_t o,
                             int64_t length)
{
    value best = load(t, offset_of(x, o * length));
    int64_t at = 0;
    cr__reduce_code code = least ? CR__REDUCE_amin : CR__REDUCE_amax;
    for (int64_t i = 1; i < length; i++) {
        value v = load(t, offset_of(x, o * length + i)), joined = join(code, t, best, v);
        bool moved =
            t == CR_F32   ? !isnan(best.f32) && (isnan(v.f32) || joined.f32 != best.f32)
            : t == CR_F64 ? !isnan(best.f64) && (isnan(v.f64) || joined.f64 != best.f64)
                          : joined.i64 != best.i64;
        if (moved)
            best = v, at = i;
    }
    return at;
}

static bool place_case(cr_dtype t, const cr__strided *x, int kept, bool least,
                       cr__team *team)
{
    cr__strided y = *x;
    int64_t outputs = 1, length = 1;
    for (int d = 0; d < x->ndim; d++)
        *(d < kept ? &outputs : &length) *= x->dims[d];
    if (length == 0)
        return true;
    y.data = (char *)data + (size_t)origin * size_of(t);
    cr__reduce_place(&y, t, kept, least, (int64_t *)out, team);
    for (int64_t o = 0; o < outputs; o += 1 + outputs / 40)
        if (((int64_t *)out)[o] != defined_place(x, t, least, o, length))
            return false;
    return true;
}

static void test_reductions(cr__isa isa, cr_dtype t, cr__team *one, cr__team *four)
{
    bool placed = true;
    for (cr__reduce_code code = 0; code < CR__REDUCE_CODES; code++) {
        bool reduced = definitions[code].floats != NULL;
        if (t != CR_F32 && t != CR_F64 && !definitions[code].integers)
            continue;
        for (int i = 0; i < 100; i++) {
            cr__strided x = random_array(i % 10 ? 20000 : ELEMENTS / 16);
            int kept = (int)below((uint32_t)x.ndim + 1);
            reduced = reduced &&
                      reduce_case(isa, code, t, &x, kept, i & 1 ? one : four) &&
                      reduce_case(isa, code, t, &x, kept, i & 1 ? four : one);
            placed = placed && place_case(t, &x, kept, below(2) == 0, i & 1 ? four : one);
        }
        ok(reduced, "%s: %s of %s", cr__isa_name(isa), cr__reduce_names[code],
           cr_dtype_name(t));
    }
    ok(placed, "%s: places of the largest of %s", cr__isa_name(isa), cr_dtype_name(t));
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
    for (int i = 0; i < 600; i++) {
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
        flat[(size_t)count * size] = 0x5a;
        if (count == total)
            cr__copy_strided(flat, &x, size, team), start = 0;
        else
            cr__copy_range(flat, &x, size, start, count);
        copied = copied && flat[(size_t)count * size] == 0x5a;
        for (int64_t k = 0; k < count; k++)
            copied =
                copied && !memcmp(flat + (size_t)k * size,
                                  bytes + (size_t)offset_of(&x, start + k) * size, size);
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
                stored && !memcmp(flat + (size_t)k * size,
                                  bytes + (size_t)offset_of(&x, start + k) * size, size);
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
