/* The rows of maps.inc that are computed in f64, in one instruction set: each is a function of
 * vectors of doubles, called by the loop of its form and type. */
#include "math64_body.h"

#include "activations64_body.h"
#include "special64_body.h"

/* Of up to three operands, the rest being anything. */
#define function_of_doubles CR__V(function_of_doubles)
typedef vd function_of_doubles(vd a, vd b, vd c);

#define DOUBLES_OF(name) CR__V(doubles_##name)
#define DEFINE_UNARY(name, vectors)                \
    CR__CALL vd DOUBLES_OF(name)(vd a, vd b, vd c) \
    {                                              \
        (void)b, (void)c;                          \
        return vectors;                            \
    }
#define DEFINE_BINARY(name, vectors)               \
    CR__CALL vd DOUBLES_OF(name)(vd a, vd b, vd c) \
    {                                              \
        (void)c;                                   \
        return vectors;                            \
    }
#define DEFINE_PARAMETRIC1(name, vectors)          \
    CR__CALL vd DOUBLES_OF(name)(vd a, vd p, vd c) \
    {                                              \
        (void)c;                                   \
        return vectors;                            \
    }
#define DEFINE_PARAMETRIC2(name, vectors)          \
    CR__CALL vd DOUBLES_OF(name)(vd a, vd p, vd q) \
    {                                              \
        return vectors;                            \
    }
#define DOUBLES_RARE(FORM, name, vectors) DEFINE_##FORM(name, vectors)
#define DOUBLES_FLOATS(...)
#define DOUBLES_ELEMENTARY(FORM, name, floats, vectors) DEFINE_##FORM(name, vectors)
#define DOUBLES_NUMBERS(...)
#define DOUBLES_ORDERED(...)
#define DOUBLES_COMPARED(...)
#define DOUBLES_LOGICAL(...)
#define DOUBLES_LOOPED(...)
#define DOUBLES_ALONE(...)
#define MAP(TYPES, FORM, ...) DOUBLES_##TYPES(FORM, __VA_ARGS__)
#include "maps.inc"

/* The functions of a vector of the type: floats are widened, by halves. */
CR__FN vf CR__V(f32_of_doubles)(function_of_doubles *f, vf a, vf b, vf c)
{
    vh as[2], bs[2], cs[2];
    memcpy(as, &a, sizeof a);
    memcpy(bs, &b, sizeof b);
    memcpy(cs, &c, sizeof c);
    for (int i = 0; i < 2; i++) {
        vd y = f(__builtin_convertvector(as[i], vd), __builtin_convertvector(bs[i], vd),
                 __builtin_convertvector(cs[i], vd));
        as[i] = __builtin_convertvector(y, vh);
    }
    memcpy(&a, as, sizeof a);
    return a;
}
CR__FN vd CR__V(f64_of_doubles)(function_of_doubles *f, vd a, vd b, vd c)
{
    return f(a, b, c);
}

#define CR__BODY "doubles_loop.h"
#include "for_each_float.h"
