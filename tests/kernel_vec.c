/* The words of every vocabulary that all results rest on: a*b + c rounded once, partial
 * loads and stores that touch nothing else, folds, transpositions.
 *
 * kernel_vec ROUNDS tries so many times 64 operands of each kind; 20,000 without. */
#define _GNU_SOURCE /* mmap */
#include "../src/kernel/isa.h"
#include "tap.h"
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE 4096

typedef struct checks {
    bool (*fma)(const double *, const double *, const double *);
    bool (*fmaf)(const float *, const float *, const float *);
    bool (*parts)(char *from, char *end);
    bool (*parts_f64)(char *from, char *end);
    bool (*fold)(const float *);
    bool (*fold_f64)(const double *);
    bool (*squares)(const float *, const double *);
} checks;

static uint64_t random_state = 88172645463325252u;

static uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 2685821657736338717u;
}

/* ---- what is right: the instruction where there is one, else libm ---- */

static bool instruction;

#if defined(__x86_64__)
__attribute__((target("fma"))) static double instruction_f64(double x, double y, double z)
{
    return __builtin_fma(x, y, z);
}
__attribute__((target("fma"))) static float instruction_f32(float x, float y, float z)
{
    return __builtin_fmaf(x, y, z);
}
#else
#define instruction_f64(x, y, z) __builtin_fma(x, y, z)
#define instruction_f32(x, y, z) __builtin_fmaf(x, y, z)
#endif

static double fused_f64(double x, double y, double z)
{
    return instruction ? instruction_f64(x, y, z) : fma(x, y, z);
}

static float fused_f32(float x, float y, float z)
{
    return instruction ? instruction_f32(x, y, z) : fmaf(x, y, z);
}

static bool same_f64(double got, double want, double x, double y, double z)
{
    bool same = memcmp(&got, &want, sizeof got) == 0 || (isnan(got) && isnan(want));
    if (!same)
        diag("fma(%a, %a, %a) is %a, not %a", x, y, z, want, got);
    return same;
}

static bool same_f32(float got, float want, float x, float y, float z)
{
    bool same = memcmp(&got, &want, sizeof got) == 0 || (isnan(got) && isnan(want));
    if (!same)
        diag("fmaf(%a, %a, %a) is %a, not %a", (double)x, (double)y, (double)z,
             (double)want, (double)got);
    return same;
}

#define CR__TEMPLATE "../../tests/vec_body.h"
#include "../src/kernel/for_each_set.h"

#define ALL(SET) &all##SET
static const checks *const sets[CR__ISAS] = { CR__EACH_SET(ALL) };

/* ---- operands ---- */

#define N 64
static double x64[N], y64[N], z64[N];
static float x32[N], y32[N], z32[N];

static double bits_f64(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Few bits set, and an exponent within `range` of `middle`: sums that lie between two
 * numbers, or just beside, are frequent. */
static double simple(int middle, int range)
{
    uint64_t r = random64(), mantissa = UINT64_C(1) << 52;
    for (int i = (int)(r & 3); i > 0; i--)
        mantissa ^= UINT64_C(1) << (random64() % 53);
    if (r & 4)
        mantissa = (UINT64_C(1) << 53) - (mantissa & ((UINT64_C(1) << 52) - 1)) - 1;
    int e = middle + (int)(random64() % (uint64_t)(2 * range + 1)) - range;
    double x = ldexp((double)mantissa, e - 52);
    return r & 8 ? -x : x;
}

static const double specials[] = {
    0.0,
    -0.0,
    INFINITY,
    -INFINITY,
    NAN,
    0x1p-1074,
    -0x1p-1074,
    0x1p-1022,
    -0x1p-1022,
    0x1p1023,
    1.0,
    -1.0,
    1.5,
    0x1.fffffffffffffp1023,
    0x1p-149,
    0x1p-126,
    0x1p127,
    0x1p-537,
    0x1p-538,
    0x1p511,
    -0x1.fffffffffffffp1023,
    0x1p-75,
    0x1.8p-75,
    -0x1p-149,
    0x1p-969,
    -0x1p-970,
    0x1p990,
    0x0.fffffffffffffp-1022,
};

/* Of a kind; z is often near the product, or what is lost of it. */
static void operands(int kind, int e_least, int bits)
{
    for (int i = 0; i < N; i++) {
        double x, y, z;
        uint64_t r = random64();
        switch (kind) {
        case 0: /* any bits */
            x = bits_f64(random64()), y = bits_f64(random64()), z = bits_f64(random64());
            break;
        case 1: /* of one size */
            x = simple(0, 3), y = simple(0, 3), z = simple((int)(r % 120) - 60, 3);
            break;
        case 2: /* near cancellation */
            x = simple(0, 40), y = simple(0, 40);
            z = -x * y * (1 + (double)(int)(r % 9 - 4) * 0x1p-52);
            break;
        case 3: /* products about the smallest numbers */
            x = simple(e_least / 2, bits), y = simple(e_least / 2, bits);
            z = simple(e_least, bits);
            break;
        case 4: /* about the largest */
            x = simple(-e_least / 2, bits), y = simple(-e_least / 2, bits);
            z = simple(-e_least, bits);
            break;
        case 5: /* far apart */
            x = simple(0, -e_least / 2), y = simple(0, -e_least / 2);
            z = simple(0, -e_least);
            break;
        default:
            x = specials[random64() % CR__COUNT(specials)];
            y = specials[random64() % CR__COUNT(specials)];
            z = specials[random64() % CR__COUNT(specials)];
            if (r % 3 == 0)
                *(r & 16 ? &x : &z) = simple(0, 200);
        }
        x64[i] = x, y64[i] = y, z64[i] = z;
        x32[i] = (float)x, y32[i] = (float)y, z32[i] = (float)z;
        if (kind == 0) {
            uint32_t words[3] = { (uint32_t)r, (uint32_t)random64(),
                                  (uint32_t)random64() };
            memcpy(&x32[i], &words[0], 4);
            memcpy(&y32[i], &words[1], 4);
            memcpy(&z32[i], &words[2], 4);
        }
        if (kind == 2) {
            x32[i] = (float)x, y32[i] = (float)y, z32[i] = -x32[i] * y32[i];
            if (r & 1)
                z32[i] = nextafterf(z32[i], 0);
        }
    }
}

static void test_fma(const char *name, const checks *set, int rounds)
{
    bool f64 = true, f32 = true;
    for (int round = 0; f64 && f32 && round < rounds; round++) {
        operands(round % 7, -1040, 80);
        for (int i = 0; i < N; i += 16)
            for (int at = i; at < i + 16; at += 2) /* of the narrowest set */
                f64 = f64 && (at + 8 > N || set->fma(x64 + at, y64 + at, z64 + at));
        operands(round % 7, -140, 30);
        for (int i = 0; i + 16 <= N; i += 4)
            f32 = f32 && set->fmaf(x32 + i, y32 + i, z32 + i);
    }
    ok(f64, "%s: fma of f64 is rounded once", name);
    ok(f32, "%s: fma of f32 is rounded once", name);
}

static void test_memory(const char *name, const checks *set)
{
    char *pages = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED ||
        mprotect(pages + PAGE, PAGE, PROT_READ | PROT_WRITE) != 0) {
        skip(2, "no pages to be had");
        return;
    }
    char *from = pages + PAGE, *end = from + PAGE;
    ok(set->parts(from, end), "%s: parts of f32 vectors touch nothing else", name);
    ok(set->parts_f64(from, end), "%s: parts of f64 vectors touch nothing else", name);
    munmap(pages, 3 * PAGE);
}

static void test_moves(const char *name, const checks *set)
{
    static float x[256];
    static double y[256];
    bool folds = true;
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < 256; i++)
            y[i] = simple(0, 20), x[i] = (float)y[i];
        folds = folds && set->fold(x) && set->fold_f64(y);
    }
    ok(folds, "%s: lanes are folded by halving", name);
    ok(set->squares(x, y), "%s: squares are transposed", name);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 20000;
#if defined(__x86_64__)
    instruction = __builtin_cpu_supports("fma");
#elif defined(__aarch64__)
    instruction = true;
#endif
    for (cr__isa isa = CR__GENERIC; isa < CR__ISAS; isa++) {
        if (!cr__isa_usable(isa))
            continue;
        test_fma(cr__isa_name(isa), sets[isa], rounds);
        test_memory(cr__isa_name(isa), sets[isa]);
        test_moves(cr__isa_name(isa), sets[isa]);
    }
    return done_testing();
}
