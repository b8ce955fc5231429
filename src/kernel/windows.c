/* Largest elements of windows in a row, and what is given back to them: kernel.h. */
#include "rows.h"

#define CR__TEMPLATE "windows_body.h"
#include "for_each_set.h"

typedef struct window_loops {
    void (*largest)(const cr__windows *, float *, int32_t *);
    void (*give)(float *, const float *, const int32_t *, int32_t, int64_t);
} window_loops;
#define WINDOW_LOOPS(S)           \
    {                             \
        largest##S, give_pairs##S \
    }
static const window_loops window_loops_of[CR__ISAS] = { CR__EACH_SET(WINDOW_LOOPS) };

void cr__largest_for(cr__isa isa, const cr__windows *w, float *values, int32_t *numbers)
{
    window_loops_of[isa].largest(w, values, numbers);
}

void cr__largest(const cr__windows *w, float *values, int32_t *numbers)
{
    cr__largest_for(cr__isa_in_use(), w, values, numbers);
}

void cr__give_pairs_for(cr__isa isa, float *out, const float *x, const int32_t *numbers,
                        int32_t first, int64_t n)
{
    window_loops_of[isa].give(out, x, numbers, first, n);
}

void cr__give_pairs(float *out, const float *x, const int32_t *numbers, int32_t first,
                    int64_t n)
{
    cr__give_pairs_for(cr__isa_in_use(), out, x, numbers, first, n);
}
