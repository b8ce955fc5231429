/* The f32 functions of every instruction set against libm in f64: at most 2 ulp. Every
 * 257th float, or of another step: kernel_math STEP; special values; pow over pairs. */
#include "elementary.h"
#include "tap.h"
#include <stdlib.h>

#define N 1024 /* inputs in a call */

static float from_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* The distance of got from want in units of the last place of an f32 near want; an
 * infinity counts as 2^128. Not a NaN where one is wanted, or the wrong sign of zero:
 * infinite. */
static double ulps(float got, double want)
{
    int e;
    double g = isinf(got) ? copysign(0x1p128, (double)got) : (double)got, w = want;
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got) ? 0 : (double)INFINITY;
    if (want == 0)
        return got == 0 && !signbit(got) == !signbit(want) ? 0 : (double)INFINITY;
    if (fabs(w) > 0x1p128)
        w = copysign(0x1p128, w);
    frexp(w, &e);
    e = e < -125 ? -125 : e > 128 ? 128 : e;
    return fabs(g - w) / ldexp(1, e - 24);
}

typedef struct function {
    cr__map_code code;
    double bound;    /* in ulp */
    bool derivative; /* tried with 1 as the first of two operands */
} function;

static double reference(const function *f, float x)
{
    const double a = (double)x;
    return f->code == CR__MAP_sqrt         ? sqrt(a)
           : f->code == CR__MAP_rsqrt      ? 1 / sqrt(a)
           : f->code == CR__MAP_reciprocal ? 1 / a
           : f->derivative                 ? elementary(f->code, 1, a, 0)
                                           : elementary(f->code, a, 0, 0);
}

static function functions[CR__MAP_CODES];
static int n_functions;

/* Every elementary function of one operand, every derivative of one. */
static void collect(void)
{
    static const function exact[] = { { CR__MAP_sqrt, 0.5, false },
                                      { CR__MAP_rsqrt, 2, false },
                                      { CR__MAP_reciprocal, 0.5, false } };
    for (int i = 0; i < CR__COUNT(exact); i++)
        functions[n_functions++] = exact[i];
    for (cr__map_code code = 1; code < CR__MAP_CODES; code++) {
        const cr__map_row *row = &cr__map_rows[code];
        const bool rare = row->types == CR__MAPS_RARE;
        const bool derivative = strstr(row->name, "_grad") || strstr(row->name, "_curve");
        const bool activation =
            code == CR__MAP_silu || code == CR__MAP_gelu_erf || code == CR__MAP_gelu_tanh;
        if (!rare && row->types != CR__MAPS_ELEMENTARY)
            continue;
        if (row->form != CR__FORM_UNARY && !derivative)
            continue;
        const double bound = rare                          ? 0.51
                             : strstr(row->name, "_curve") ? 9
                             : derivative                  ? 6
                             : activation                  ? 5
                                                           : 2;
        functions[n_functions++] = (function){ code, bound, derivative };
    }
}

/* Whether x is near a zero of one of the derivatives of silu and gelu. */
static bool near_zero_of(cr__map_code code, float x)
{
    double zero = code == CR__MAP_silu_grad        ? -1.278
                  : code == CR__MAP_silu_curve     ? copysign(2.399, x)
                  : code == CR__MAP_gelu_erf_grad  ? -0.752
                  : code == CR__MAP_gelu_tanh_grad ? -0.752
                  : code == CR__MAP_gelu_erf_curve || code == CR__MAP_gelu_tanh_curve
                      ? copysign(1.414, x)
                      : (double)NAN;
    return fabs(x - zero) < 0.75;
}

/* The worst of n results. Near a derivative's zero its terms are what is rounded. */
static void worst_of(const function *f, const float *x, const float *y, int n,
                     double *worst, float *at)
{
    for (int i = 0; i < n; i++) {
        double want = reference(f, x[i]), distance = ulps(y[i], want);
        if (near_zero_of(f->code, x[i]))
            distance = fmin(distance, fabs((double)y[i] - want) * 0x1p25);
        if (distance > *worst)
            *worst = distance, *at = x[i];
    }
}

static const float ones[CR__PAD] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 };

static void test_function(cr__isa isa, const function *f, uint32_t step)
{
    static float x[N], y[N];
    const int64_t steps[2] = { !f->derivative, 1 };
    const void *src[2] = { f->derivative ? ones : x, x };
    cr__map_fn *kernel = cr__map_find_for(isa, f->code, CR_F32, CR_F32);
    double worst = 0;
    float at = 0;
    const bool rare = cr__map_rows[f->code].types == CR__MAPS_RARE;
    step *= rare ? 127 : f->bound > 2 ? 31 : 1; /* f64 and long double take their time */
    if (!kernel) {
        ok(false, "%s: %s exists", cr__isa_name(isa), cr__map_rows[f->code].name);
        return;
    }
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32;) {
        int n = 0;
        for (; n < N && bits < UINT64_C(1) << 32; n++, bits += step)
            x[n] = from_bits((uint32_t)bits);
        kernel(y, src, steps, n);
        worst_of(f, x, y, n, &worst, &at);
    }
    ok(worst <= f->bound, "%s: %s, %.3f ulp at %a", cr__isa_name(isa),
       cr__map_rows[f->code].name, worst, (double)at);
}

static const float specials[] = {
    0.0f,        -0.0f,           1.0f,        -1.0f,       2.0f,        -2.0f,
    0.5f,        -0.5f,           3.0f,        -3.0f,       2.5f,        -2.5f,
    INFINITY,    -INFINITY,       NAN,         0x1p-149f,   -0x1p-149f,  0x1p-126f,
    0x1p127f,    -0x1p127f,       16777215.0f, -16777215.f, 16777216.0f, 33554432.f,
    -33554432.f, 0x1.fffffep127f, 1.0000001f,  0.99999994f, 88.72284f,   -87.33655f,
    -103.97208f, 8192.0f,         8193.0f,     0x1p100f,
};
#define SPECIALS ((int)(sizeof specials / sizeof *specials))

static void test_specials(cr__isa isa)
{
    float y[SPECIALS];
    for (int f = 0; f < n_functions; f++) {
        double worst = 0;
        float at = 0;
        bool derivative = functions[f].derivative;
        const int64_t step[2] = { !derivative, 1 };
        const void *src[2] = { derivative ? ones : specials, specials };
        cr__map_find_for(isa, functions[f].code, CR_F32, CR_F32)(y, src, step, SPECIALS);
        worst_of(&functions[f], specials, y, SPECIALS, &worst, &at);
        ok(worst <= fmax(3, functions[f].bound), "%s: %s, %.3f ulp at %a",
           cr__isa_name(isa), cr__map_rows[functions[f].code].name, worst, (double)at);
    }
}

/* Every pair of special values, then random ones whose power is neither 0 nor infinite
 * for most. libm's pow is the reference: it has C's special cases. */
static void test_pow(cr__isa isa)
{
    static float x[N], y[N], z[N];
    const void *src[2] = { x, y };
    cr__map_fn *kernel = cr__map_find_for(isa, CR__MAP_pow, CR_F32, CR_F32);
    double worst = 0;
    float at = 0;
    uint32_t state = 1;
    for (int round = 0; round < tap_share(1000); round++) {
        for (int i = 0; i < N; i++) {
            int pair = round * N + i;
            state = state * 1664525u + 1013904223u;
            x[i] = from_bits(state ^ state >> 15);
            y[i] = (float)((double)state * 0x1p-32 - 0.5) * 300 /
                   (float)(1 + fabs(log2(fabs((double)x[i]) + 1e-50)));
            if (i % 3 == 0)
                y[i] = rintf(y[i]);
            if (pair < SPECIALS * SPECIALS)
                x[i] = specials[pair / SPECIALS], y[i] = specials[pair % SPECIALS];
        }
        kernel(z, src, (const int64_t[]){ 1, 1 }, N);
        for (int i = 0; i < N; i++) {
            double want = pow((double)x[i], (double)y[i]), d = ulps(z[i], want);
            /* A power below f32 rounds to zero of the same sign. */
            if (z[i] == 0 && fabs(want) <= 0x1p-150)
                d = !signbit(z[i]) == !signbit(want) ? 0 : (double)INFINITY;
            if (d > worst)
                worst = d, at = x[i];
        }
    }
    ok(worst <= 2, "%s: %s, %.3f ulp at %a", cr__isa_name(isa), "pow", worst, (double)at);
}

int main(int argc, char **argv)
{
    uint32_t step = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 257;
    step = (step * (uint32_t)tap_parts()) | 1; /* odd: all ends of mantissas come */
    collect();
    for (cr__isa isa = CR__GENERIC; isa < CR__ISAS; isa++) {
        if (!cr__isa_usable(isa))
            continue;
        for (int f = 0; f < n_functions; f++)
            test_function(isa, &functions[f], step);
        test_specials(isa);
        test_pow(isa);
    }
    return done_testing();
}
