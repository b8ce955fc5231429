/* What becomes of sums, and when they are computed again: see kernel.h. */
#include "../base/compiler.h"
#include "kernel.h"

#include <float.h>
#include <math.h>

/* Below this square (times count), squares of f32 and f64 may have vanished. */
#define TINY(size) ((size) == 4 ? 0x1p-100 : 0x1p-900)

/* The rows of terms that are scaled, of what is ended. */
static const struct {
    cr__reduce_code with, down, up; /* up: of squares */
} scaled_rows[] = {
    { CR__REDUCE_sum, CR__REDUCE_sum_down, CR__REDUCE_CODES },
    { CR__REDUCE_dot, CR__REDUCE_dot_down, CR__REDUCE_CODES },
    { CR__REDUCE_squares, CR__REDUCE_squares_down, CR__REDUCE_squares_up },
    { CR__REDUCE_squares_about, CR__REDUCE_squares_about_down,
      CR__REDUCE_squares_about_up },
    { CR__REDUCE_squares_apart, CR__REDUCE_squares_apart_down,
      CR__REDUCE_squares_apart_up },
};

static int scaled_row(const cr__ending *e)
{
    int i = 0;
    while (scaled_rows[i].with != e->with)
        i++;
    return i;
}

#define ENDINGS(P, T, MAX, SQRT)                                                         \
    /* Whether sums stay as they are. */                                                 \
    CR__VECTORIZED static bool P##_are_finite(const T *sums, int64_t n)                  \
    {                                                                                    \
        int found = 0;                                                                   \
        for (int64_t i = 0; i < n; i++)                                                  \
            found |= !((sums[i] <= MAX) & (sums[i] >= -MAX));                            \
        return !found;                                                                   \
    }                                                                                    \
    static int64_t P##_apply(const cr__ending *e, T *sums, int64_t n,                    \
                             cr__reduce_code *again)                                     \
    {                                                                                    \
        T count = (T)e->count, eps = (T)e->eps, tiny = (T)TINY(sizeof(T));               \
        bool rooted = e->code == CR__AS_RSTD || e->code == CR__AS_ROOT;                  \
        if (!rooted && e->code != CR__AS_MEAN && P##_are_finite(sums, n))                \
            return n;                                                                    \
        for (int64_t i = 0; i < n; i++) {                                                \
            T sum = sums[i], square = rooted ? sum / count + eps : 0;                    \
            if (!(sum <= MAX && sum >= -MAX)) {                                          \
                *again = scaled_rows[scaled_row(e)].down;                                \
                return i;                                                                \
            }                                                                            \
            if (rooted && square < tiny) {                                               \
                *again = scaled_rows[scaled_row(e)].up;                                  \
                return i;                                                                \
            }                                                                            \
            sums[i] = e->code == CR__AS_RSTD   ? 1 / SQRT(square)                        \
                      : e->code == CR__AS_ROOT ? SQRT(square)                            \
                      : e->code == CR__AS_MEAN ? sum / count                             \
                                               : sum;                                    \
        }                                                                                \
        return n;                                                                        \
    }                                                                                    \
    static T P##_scaled(const cr__ending *e, cr__reduce_code again, T sum)               \
    {                                                                                    \
        T count = (T)e->count;                                                           \
        const int row = scaled_row(e);                                                   \
        T by =                                                                           \
            (T)(again == scaled_rows[row].up ? CR__UP(sizeof(T)) : CR__DOWN(sizeof(T))); \
        if (e->code == CR__AS_RSTD)                                                      \
            return 1 / SQRT(sum / count + (T)(e->eps * (double)by * (double)by)) * by;   \
        if (e->code == CR__AS_ROOT)                                                      \
            return SQRT(sum / count) / by;                                               \
        sum = e->code == CR__AS_MEAN ? sum / count : sum;                                \
        return scaled_rows[row].up == CR__REDUCE_CODES ? sum / by : sum / by / by;       \
    }
ENDINGS(f32, float, FLT_MAX, sqrtf)
ENDINGS(f64, double, DBL_MAX, sqrt)

int64_t cr__ending_apply(const cr__ending *ending, void *sums, int64_t n,
                         cr__reduce_code *again)
{
    return ending->code == CR__AS_IT_IS ? n
           : ending->dtype == CR_F32    ? f32_apply(ending, sums, n, again)
                                        : f64_apply(ending, sums, n, again);
}

void cr__ending_scaled(const cr__ending *ending, cr__reduce_code again, void *sum)
{
    if (ending->dtype == CR_F32)
        *(float *)sum = f32_scaled(ending, again, *(float *)sum);
    else
        *(double *)sum = f64_scaled(ending, again, *(double *)sum);
}
