/* Includes the template CR__BODY for f32 and for f64, in the vocabulary at hand, with
 *     T VT N       the element, its vector, elements in a vector
 *     F(word)      the vocabulary's word for the type
 *     NAME(name)   a name for this type and set; LOOP(name), for this type in every set */
#define T          float
#define VT         vf
#define N          CR__W
#define F(word)    CR__L(v_, word)
#define NAME(name) CR__V(f32_##name)
#define LOOP(name) f32_##name
#include CR__BODY
#undef T
#undef VT
#undef N
#undef F
#undef NAME
#undef LOOP
#define T          double
#define VT         vd
#define N          (CR__W / 2)
#define F(word)    CR__L(d_, word)
#define NAME(name) CR__V(f64_##name)
#define LOOP(name) f64_##name
#include CR__BODY
#undef T
#undef VT
#undef N
#undef F
#undef NAME
#undef LOOP
#undef CR__BODY
