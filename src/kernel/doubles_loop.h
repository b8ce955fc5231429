/* The kernels of one float type (for_each_float.h) that are computed in f64, in one instruction
 * set. Functions are long: one loop serves them all. */

/* A parameter is one element. */
CR__CALL void NAME(with_parameters)(T *out, const void *const *src, const int64_t *step,
                                    int64_t n, function_of_doubles *f, int p, int q)
{
    const T *x = src[0];
    const int64_t x_step = step[0] * N;
    const VT b = F(fill)(src[p]), c = F(fill)(src[q]);
    for (; n > 0; n -= N, out += N, x += x_step)
        F(give)(out, n, NAME(of_doubles)(f, F(take)(x, n), b, c));
}

CR__CALL void NAME(with_operands)(T *out, const void *const *src, const int64_t *step,
                                  int64_t n, function_of_doubles *f, int second)
{
    const T *x = src[0], *y = src[second];
    const int64_t x_step = step[0] * N, y_step = step[second] * N;
    for (; n > 0; n -= N, out += N, x += x_step, y += y_step) {
        VT a = F(take)(x, n), b = F(take)(y, n);
        F(give)(out, n, NAME(of_doubles)(f, a, b, b));
    }
}

#define KERNEL_OF_DOUBLES(name, LOOP_OF, ...)                                            \
    CR__T static void NAME(name)(void *dst, const void *const *src, const int64_t *step, \
                                 int64_t n)                                              \
    {                                                                                    \
        NAME(LOOP_OF)(dst, src, step, n, DOUBLES_OF(name), __VA_ARGS__);                 \
    }
#define KERNEL_UNARY(name)       KERNEL_OF_DOUBLES(name, with_operands, 0)
#define KERNEL_BINARY(name)      KERNEL_OF_DOUBLES(name, with_operands, 1)
#define KERNEL_PARAMETRIC1(name) KERNEL_OF_DOUBLES(name, with_parameters, 1, 1)
#define KERNEL_PARAMETRIC2(name) KERNEL_OF_DOUBLES(name, with_parameters, 1, 2)

#define KERNEL_RARE(FORM, name, ...) KERNEL_##FORM(name)
#define KERNEL_FLOATS(...)
#define KERNEL_ELEMENTARY(FORM, name, ...)   CR__L(KERNEL_ELEMENTARY_, T)(FORM, name)
#define KERNEL_ELEMENTARY_float(FORM, name)  /* map_body.h */
#define KERNEL_ELEMENTARY_double(FORM, name) KERNEL_##FORM(name)
#define KERNEL_NUMBERS(...)
#define KERNEL_ORDERED(...)
#define KERNEL_COMPARED(...)
#define KERNEL_LOGICAL(...)
#define KERNEL_LOOPED(...)
#define KERNEL_ALONE(...)
#define MAP(TYPES, FORM, ...) KERNEL_##TYPES(FORM, __VA_ARGS__)
#include "maps.inc"

#define ROW_RARE(FORM, name) [CR__MAP_##name] = NAME(name),
#define ROW_FLOATS(...)
#define ROW_ELEMENTARY(FORM, name) CR__L(ROW_ELEMENTARY_, T)(FORM, name)
#define ROW_ELEMENTARY_float(FORM, name)
#define ROW_ELEMENTARY_double(FORM, name) ROW_RARE(FORM, name)
#define ROW_NUMBERS(...)
#define ROW_ORDERED(...)
#define ROW_COMPARED(...)
#define ROW_LOGICAL(...)
#define ROW_LOOPED(...)
#define ROW_ALONE(...)
static cr__map_fn *const NAME(rare)[CR__MAP_CODES] = {
#define MAP(TYPES, FORM, name, ...) ROW_##TYPES(FORM, name)
#include "maps.inc"
};
