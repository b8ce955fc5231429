/* bf16 and f16 in every instruction set against a definition in integers: every value widened;
 * what lies between two neighbours, their middle and what is next to it, rounded and narrowed;
 * every 1021st f32; casts that begin with more digits than an f32 has; tails. */
#include "../src/kernel/rows.h"
#include "half.h"
#include "tap.h"
#include <stdlib.h>

enum { LEFT = 77 }; /* no length that is tried is a multiple of it */

static const cr_dtype types[] = { CR_BF16, CR_F16 };

static float as_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t as_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* ---- widening ---- */

static void test_widen(cr__isa isa)
{
    static uint16_t from[65536];
    static float to[65536 + LEFT];
    for (int k = 0; k < 2; k++) {
        const cr_dtype t = types[k];
        const cr__half *half = cr__half_find_for(isa, t);
        int wrong = 0;
        for (int i = 0; i < 65536; i++)
            from[i] = (uint16_t)i;
        half->widen(to, from, 65536);
        for (int i = 0; i < 65536; i++) {
            const uint16_t h = (uint16_t)i;
            bool good = half_is_nan(t, h) ? to[i] != to[i]
                        : (h & 0x7fff) == half_infinity(t)
                            ? to[i] == (h >> 15 ? -INFINITY : INFINITY)
                            : as_bits(to[i]) == as_bits((float)half_value(t, h));
            double alone = cr__half_value(t, h);
            good = good && (to[i] != to[i] ? alone != alone : alone == (double)to[i]);
            if (!good && wrong++ < 4)
                diag("  %04x is %a", (unsigned)h, (double)to[i]);
        }
        ok(wrong == 0, "%s: every %s is widened", cr__isa_name(isa), cr_dtype_name(t));
    }
}

/* ---- rounding ---- */

enum { BATCH = 4096 };
typedef struct batch {
    cr_dtype type;
    const cr__half *half;
    int n, wrong;
    float x[BATCH], rounded[BATCH], back[BATCH];
    uint16_t narrow[BATCH];
} batch;

static void check_batch(batch *b)
{
    b->half->narrow(b->narrow, b->x, b->n);
    memcpy(b->rounded, b->x, sizeof b->x);
    b->half->round(b->rounded, b->rounded, b->n);
    b->half->widen(b->back, b->narrow, b->n);
    for (int i = 0; i < b->n; i++) {
        const float x = b->x[i];
        bool good =
            x != x ? half_is_nan(b->type, b->narrow[i]) && b->rounded[i] != b->rounded[i]
                   : b->narrow[i] == half_nearest(b->type, (double)x) &&
                         as_bits(b->rounded[i]) == as_bits(b->back[i]);
        if (!good && b->wrong++ < 4)
            diag("  %a is rounded to %04x, %a", (double)x, (unsigned)b->narrow[i],
                 (double)b->rounded[i]);
    }
    b->n = 0;
}

static void add(batch *b, float x)
{
    b->x[b->n++] = x;
    if (b->n == BATCH)
        check_batch(b);
}

/* Around x: itself and its neighbours. */
static void add_around(batch *b, float x)
{
    for (int i = -1; i <= 1; i++)
        add(b, as_float(as_bits(x) + (uint32_t)i));
}

static void test_round(cr__isa isa)
{
    static batch b;
    for (int k = 0; k < 2; k++) {
        const cr_dtype t = types[k];
        b = (batch){ .type = t, .half = cr__half_find_for(isa, t) };
        for (uint32_t h = 0; h < half_infinity(t); h++)
            for (int sign = 0; sign < 2; sign++) {
                const double low = half_value(t, (uint16_t)h);
                const double high = h + 1u == half_infinity(t)
                                        ? ldexp(1, half_largest_exponent(t) + 1)
                                        : half_value(t, (uint16_t)(h + 1));
                const double middle = (low + high) / 2;
                add_around(&b, (float)(sign ? -low : low));
                add_around(&b, (float)(sign ? -middle : middle));
            }
        for (uint64_t bits = 0; bits >> 32 == 0; bits += 1021)
            add(&b, as_float((uint32_t)bits));
        static const uint32_t far[] = { 0x7f800000, 0xff800000, 0x7f800001, 0xff800001,
                                        0x7fc00000, 0x7fffffff, 0xffffffff, 0x7f802000,
                                        0x7f7fffff, 0xff7fffff, 1,          0x80000001 };
        for (int i = 0; i < (int)(sizeof far / sizeof *far); i++)
            add(&b, as_float(far[i]));
        check_batch(&b);
        ok(b.wrong == 0, "%s: f32 is rounded to the nearest %s, ties to even",
           cr__isa_name(isa), cr_dtype_name(t));
    }
}

/* ---- tails ---- */

/* What stands at the end of its memory would be found by the sanitizer; here, that nothing else
 * is written. */
static void test_tails(cr__isa isa)
{
    enum { MOST = 40 };
    bool good = true;
    for (int k = 0; k < 2; k++)
        for (int n = 0; n <= MOST; n++) {
            const cr__half *half = cr__half_find_for(isa, types[k]);
            uint16_t *narrow = malloc((size_t)n * 2 + 1), h[MOST + 2];
            float *wide = malloc((size_t)n * 4 + 1), f[MOST + 2];
            for (int i = 0; i < n; i++)
                wide[i] = (float)i;
            for (int i = 0; i < MOST + 2; i++)
                h[i] = 7, f[i] = 7;
            half->narrow(h, wide, n);
            for (int i = 0; i < MOST + 2; i++)
                good = good && h[i] == (i < n ? half_nearest(types[k], i) : 7);
            if (n)
                memcpy(narrow, h, (size_t)n * 2);
            half->widen(f, narrow, n);
            half->round(f, f, n);
            for (int i = 0; i < MOST + 2; i++)
                good = good && f[i] == (float)(i < n ? i : 7);
            free(narrow);
            free(wide);
        }
    ok(good, "%s: exactly n elements are written", cr__isa_name(isa));
}

/* ---- casts that round once ---- */

static uint16_t cast_by(cr_dtype from, cr_dtype to, const void *x)
{
    float wide;
    uint16_t h;
    const void *src[] = { x };
    cr__map_find(CR__MAP_cast, from, to)(&wide, src, (const int64_t[]){ 1 }, 1);
    cr__half_find(to)->narrow(&h, &wide, 1);
    return h;
}

/* Just above and below the middle of two numbers, by less than an f32 can say. */
static void test_casts(void)
{
    for (int k = 0; k < 2; k++) {
        const cr_dtype t = types[k];
        int wrong = 0;
        for (uint32_t h = 0; h + 1 < half_infinity(t); h++) {
            double low = half_value(t, (uint16_t)h),
                   high = half_value(t, (uint16_t)(h + 1));
            double middle = (low + high) / 2;
            double x[] = { middle,
                           nextafter(middle, 0),
                           nextafter(middle, INFINITY),
                           nextafter(low, 0),
                           nextafter(low, INFINITY),
                           -middle };
            for (int i = 0; i < 6; i++)
                wrong += cast_by(CR_F64, t, &x[i]) != half_nearest(t, x[i]);
        }
        ok(wrong == 0, "f64 is rounded to %s once: %d wrong", cr_dtype_name(t), wrong);
        wrong = 0;
        for (int shift = 0; shift < 63; shift++)
            for (int64_t lead = 128; lead < 512; lead++)
                for (int64_t rest = -2; rest <= 2; rest++) {
                    int64_t m = (lead << 1 | 1) << (shift < 52 ? shift : 52),
                            x = m + rest;
                    int32_t narrow = (int32_t)x;
                    /* exactly: the nearest of what is left is that of its sign */
                    double near = (double)m, hint = near + (double)rest;
                    if (rest && hint == near)
                        hint = nextafter(near, rest < 0 ? 0 : INFINITY);
                    wrong += cast_by(CR_I64, t, &x) != half_nearest(t, hint);
                    if (narrow == x)
                        wrong += cast_by(CR_I32, t, &narrow) != half_nearest(t, hint);
                }
        ok(wrong == 0, "integers are rounded to %s once: %d wrong", cr_dtype_name(t),
           wrong);
    }
}

int main(void)
{
    for (cr__isa isa = CR__GENERIC; isa < CR__ISAS; isa++) {
        if (!cr__isa_usable(isa))
            continue;
        test_widen(isa);
        test_round(isa);
        test_tails(isa);
    }
    test_casts();
    return done_testing();
}
