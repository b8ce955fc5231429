/* Largest elements of windows, and what is given back to them, against plain loops: every
 * instruction set, sizes about those of vectors, ties, infinities, NaNs and zeros of both signs.
 * Arrays have just their size, so that a sanitizer sees what is read or written outside. */
#include "../src/kernel/rows.h"
#include "tap.h"
#include <stdlib.h>

static uint64_t random_state = 1;

static int below(int n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (int)((random_state >> 33) % (uint64_t)n);
}

static void *array(int64_t n)
{
    void *p = calloc((size_t)n, 4);
    if (!p)
        exit(1);
    return p;
}

/* Few values, so that there are ties. */
static float some(bool nans)
{
    static const float rare[] = { INFINITY, -INFINITY, -0.f, 0, 1e-40f, NAN };
    return below(8) ? (float)(below(7) - 3) : rare[below(nans ? 6 : 5)];
}

static bool same(float a, float b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b);
}

/* The definition, of one window. */
static float largest_of(const cr__windows *w, int64_t i, int32_t *number)
{
    float most = -INFINITY;
    int32_t n = 0;
    *number = 0;
    for (int d = 0; d < w->nd; d++)
        for (int h = 0; h < w->nh; h++)
            for (int k = 0; k < w->nw; k++, n++) {
                const float v = w->x[i * w->stride + d * w->steps[0] + h * w->steps[1] +
                                     k * w->steps[2]];
                if (v > most || v != v)
                    most = v, *number = n;
            }
    return most;
}

static bool test_case(cr__isa isa, bool nans)
{
    cr__windows w = { .n = 1 + below(70),
                      .steps = { 0, 0, 1 + below(3) },
                      .nd = 1 + below(2),
                      .nh = 1 + below(3),
                      .nw = 1 + below(4),
                      .stride = 1 + below(2) };
    const int64_t row = (w.n - 1) * w.stride + (w.nw - 1) * w.steps[2] + 1;
    w.steps[1] = row + below(4), w.steps[0] = w.nh * w.steps[1];
    const int64_t all = (w.nd - 1) * w.steps[0] + (w.nh - 1) * w.steps[1] + row;
    float *x = array(all), *values = array(w.n), *alone = array(w.n);
    int32_t *numbers = array(w.n), number;
    bool right = true;
    for (int64_t i = 0; i < all; i++)
        x[i] = some(nans);
    w.x = x;
    cr__largest_for(isa, &w, values, numbers);
    cr__largest_for(isa, &w, alone, NULL);
    for (int64_t i = 0; i < w.n; i++) {
        const float want = largest_of(&w, i, &number);
        right = right && same(values[i], want) && same(alone[i], want) &&
                numbers[i] == number;
    }
    free(x), free(values), free(alone), free(numbers);
    return right;
}

static bool test_pairs(cr__isa isa)
{
    const int n = 1 + below(70), first = 2 * below(3);
    float *out = array(2 * n), *x = array(n);
    int32_t *numbers = array(n);
    bool right = true;
    for (int i = 0; i < n; i++)
        x[i] = some(true), numbers[i] = below(6);
    cr__give_pairs_for(isa, out, x, numbers, first, n);
    for (int i = 0; i < 2 * n; i++)
        right = right && same(out[i], numbers[i / 2] == first + i % 2 ? x[i / 2] + 0 : 0);
    free(out), free(x), free(numbers);
    return right;
}

int main(void)
{
    for (cr__isa isa = CR__GENERIC; isa < CR__ISAS; isa++) {
        bool largest = true, pairs = true;
        for (int i = 0; cr__isa_usable(isa) && i < 3000; i++) {
            largest = largest && test_case(isa, i % 2);
            pairs = pairs && test_pairs(isa);
        }
        ok(largest, "%s: largest elements", cr__isa_name(isa));
        ok(pairs, "%s: what pairs are given", cr__isa_name(isa));
    }
    return done_testing();
}
