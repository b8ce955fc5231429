/* What the lesson's programs share: the norm of a gradient, summed so that nothing is
 * lost, and bars on a logarithmic scale. */
#ifndef EXAMPLES_LESSON_H
#define EXAMPLES_LESSON_H

#include <chainrule.h>
#include <float.h>

typedef enum gradient_state {
    NORMAL,
    SUBNORMAL,
    ZERO,
    NOT_FINITE,
    DISCONNECTED
} gradient_state;

typedef struct gradient_norm {
    double norm; /* 2-norm */
    gradient_state state;
} gradient_norm;

/* The norm of a leaf's gradient. Squares of small single precision numbers underflow, so
 * the sum is kept in double. */
static inline gradient_norm norm_of_gradient(cr_tensor *leaf)
{
    cr_tensor *gradient = cr_grad(leaf);
    if (!gradient)
        return (gradient_norm){ 0, DISCONNECTED };
    double sum = 0, largest = 0;
    bool single = cr_dtype_of(gradient) == CR_F32;
    const void *data = cr_data(gradient);
    for (int64_t i = 0; data && i < cr_numel(gradient); i++) {
        double g = single ? (double)((const float *)data)[i] : ((const double *)data)[i];
        sum += g * g;
        largest = fmax(largest, fabs(g));
    }
    double smallest_normal = single ? (double)FLT_MIN : DBL_MIN;
    gradient_state state = !data || !isfinite(sum)     ? NOT_FINITE
                           : largest == 0              ? ZERO
                           : largest < smallest_normal ? SUBNORMAL
                                                       : NORMAL;
    return (gradient_norm){ data ? sqrt(sum) : NAN, state };
}

static inline const char *words_for(gradient_state state)
{
    static const char *const words[] = {
        "normal numbers",
        "subnormal numbers: too small for all their digits, the last stop before zero",
        "exactly zero",
        "not finite",
        "disconnected: no gradient reached it",
    };
    return words[state];
}

/* The height of a norm between 10^low and 10^high, 0 to 1. */
static inline double log_height(double norm, double low, double high)
{
    double height = norm > 0 ? (log10(norm) - low) / (high - low) : 0;
    return height < 0 ? 0 : height > 1 ? 1 : height;
}

/* A bar of at most width characters. */
static inline void print_bar(double norm, double low, double high, int width)
{
    int length = (int)(log_height(norm, low, high) * width + 0.5);
    for (int i = 0; i < length; i++)
        printf("█");
}

/* One character for each norm, from low to high. */
static inline void print_column(double norm, double low, double high)
{
    static const char *const blocks[] = { "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█" };
    printf("%s", blocks[(int)(log_height(norm, low, high) * 7 + 0.5)]);
}

/* For the end of main: prints the pending error, if there is one, and closes the context.
 */
static inline int finish(cr_ctx *ctx)
{
    int failed = cr_error(ctx) != CR_OK;
    if (failed)
        fprintf(stderr, "%s\n", cr_message(ctx));
    cr_close(ctx);
    return failed;
}

#endif
