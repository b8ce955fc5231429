/* The vector vocabulary: types and words that the kernel templates (*_body.h) are written
 * in. Each instruction set has a file of its own, vec_generic.h, vec_avx2.h, vec_avx512.h
 * or vec_neon.h: a template is included once behind each, and the names of an inclusion
 * end in that set's suffix, which the macros below add. A set's file says
 *
 *     CR__SUFFIX CR__T     the suffix, and the attribute that lets the compiler use the set
 *     CR__W                floats in a vector
 *     CR__REGISTERS        vectors that registers hold
 *     CR__HAS_FMA          v_fma and d_fma are one instruction
 *     CR__HAS_MASKS        partial loads and stores cost no more than whole ones
 *     CR__HAS_SQUARES      v_square and d_square exist; CR__HAS_LINES: v_lines does
 *     CR__HAS_F16          v_of_f16 and v_to_f16 exist
 *
 * and defines these words. v_ ones are of vf, CR__W floats; those in brackets have a twin
 * d_ of vd, half as many doubles. vi and vl are int32 and int64 of the same widths, vu and vul
 * unsigned ones, vhalf as many uint16 as vf has floats, vm and vmd masks of their lanes; what + - * / and integer operators do is the compiler's vector
 * extensions.
 *
 *     [load store]         a whole vector, anywhere
 *     [set fill]           x in every lane; the element at p, with its bits
 *     [fma] (a, b, c)      a*b + c, rounded once, on every machine
 *     [sqrt floor abs]     [copysign] (a, sign)
 *     [max min] (a, b)     a > b ? a : b, so b if one is NaN; likewise <
 *     scale(a, n)          a * 2^n for whole n within +-250, rounded once
 *     [lt le eq ne not]    masks; [sel] (m, a, b) takes lanes of a where m is set
 *     [any] (m)            whether a lane is set
 *     v_split(a, b, out)   out[0]: the even lanes of a, and of b behind them; out[1]: the odd ones
 *     v_weave(a, b, out)   its inverse
 *     l_product(a, b)  of the lower halves of the lanes of two vul
 *     d_gather(p, i)       p[i], lane by lane; i is a vl
 *     [store_mask load_mask]   bools of a mask's lanes; the lanes whose bool is not 0
 *     [take] (p, n)        the first n elements at p, the other lanes being 0; all if n is as
 *                          many or more. Nothing else is read
 *     [give] (p, n, v)     writes the first n lanes, all if n is as many or more
 *     [take_mask give_mask]    the same of bools
 *     [first] (n)          a mask of the first n lanes, 0 <= n
 *     [load_part] (p, m)   reads only the mask's lanes; the others are 0
 *     [store_part] (p, m, v)   writes only those
 *     [fold4] (v, out)     out[r] = the lanes of v[r] folded by halving, for four vectors
 *     [down] (v, n)        lane i + n in lane i, where n is half of the lanes, or half of that ..;
 *                          lanes that are not below n are anything
 *     [square] (to, pitch, from, step)   transposes 32 bytes of as many lines: line i of
 *                          `to`, pitch elements apart, is column i of `from`, whose lines
 *                          are step bytes apart
 *     pick(v, i)           lane i[l] of v in lane l
 *     of_u16(h)            the lanes of a vhalf as those of a vu
 *     of_f16(h) to_f16(a)  widens; rounds to nearest, ties to even; NaNs become quiet
 *     lines(to, pitch, from, step)   the same for four lines `to` of CR__W elements
 *
 * Every word gives the same IEEE results in every set, so kernels have the same bits. */
#ifndef CR_KERNEL_VEC_H
#define CR_KERNEL_VEC_H

#include "isa.h"
#if defined(CR__HAVE_AVX)
#include <immintrin.h> /* long: here, not where sets are only named */
#endif
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define CR__V(name) CR__JOIN(name, CR__SUFFIX)
/* Opens a function of the vocabulary or of a template. */
#define CR__FN CR__INLINE CR__T
/* The same for what is too long to be repeated at every use. */
#define CR__CALL CR__T __attribute__((noinline, unused)) static
/* Joins words of which the result may be a name of the vocabulary. */
#define CR__L(a, b)  CR__L_(a, b)
#define CR__L_(a, b) a##b

#define vf                 CR__V(vf)
#define vi                 CR__V(vi)
#define vu                 CR__V(vu)
#define vh                 CR__V(vh)
#define vd                 CR__V(vd)
#define vl                 CR__V(vl)
#define vul                CR__V(vul)
#define vm                 CR__V(vm)
#define vmd                CR__V(vmd)
#define vbytes             CR__V(vbytes)
#define vhalf              CR__V(vhalf)
#define v_load             CR__V(v_load)
#define v_fill             CR__V(v_fill)
#define v_store            CR__V(v_store)
#define v_set              CR__V(v_set)
#define v_int              CR__V(v_int)
#define v_fma              CR__V(v_fma)
#define v_sqrt             CR__V(v_sqrt)
#define v_floor            CR__V(v_floor)
#define v_lt               CR__V(v_lt)
#define v_le               CR__V(v_le)
#define v_eq               CR__V(v_eq)
#define v_ne               CR__V(v_ne)
#define v_not              CR__V(v_not)
#define v_sel              CR__V(v_sel)
#define v_any              CR__V(v_any)
#define v_max              CR__V(v_max)
#define v_min              CR__V(v_min)
#define v_abs              CR__V(v_abs)
#define v_copysign         CR__V(v_copysign)
#define v_scale            CR__V(v_scale)
#define l_product          CR__V(l_product)
#define v_split            CR__V(v_split)
#define v_weave            CR__V(v_weave)
#define v_store_mask       CR__V(v_store_mask)
#define v_load_mask        CR__V(v_load_mask)
#define v_first            CR__V(v_first)
#define v_load_part        CR__V(v_load_part)
#define v_store_part       CR__V(v_store_part)
#define v_of_u16           CR__V(v_of_u16)
#define v_of_f16           CR__V(v_of_f16)
#define v_to_f16           CR__V(v_to_f16)
#define v_fold4            CR__V(v_fold4)
#define v_down             CR__V(v_down)
#define v_pick             CR__V(v_pick)
#define v_square           CR__V(v_square)
#define v_lines            CR__V(v_lines)
#define v_take             CR__V(v_take)
#define v_give             CR__V(v_give)
#define v_take_mask        CR__V(v_take_mask)
#define v_give_mask        CR__V(v_give_mask)
#define v_load_first       CR__V(v_load_first)
#define v_store_first      CR__V(v_store_first)
#define v_load_mask_first  CR__V(v_load_mask_first)
#define v_store_mask_first CR__V(v_store_mask_first)
#define d_load             CR__V(d_load)
#define d_fill             CR__V(d_fill)
#define d_store            CR__V(d_store)
#define d_set              CR__V(d_set)
#define d_fma              CR__V(d_fma)
#define d_sqrt             CR__V(d_sqrt)
#define d_floor            CR__V(d_floor)
#define d_lt               CR__V(d_lt)
#define d_le               CR__V(d_le)
#define d_eq               CR__V(d_eq)
#define d_ne               CR__V(d_ne)
#define d_not              CR__V(d_not)
#define d_sel              CR__V(d_sel)
#define d_max              CR__V(d_max)
#define d_min              CR__V(d_min)
#define d_abs              CR__V(d_abs)
#define d_copysign         CR__V(d_copysign)
#define d_any              CR__V(d_any)
#define d_gather           CR__V(d_gather)
#define d_store_mask       CR__V(d_store_mask)
#define d_load_mask        CR__V(d_load_mask)
#define d_first            CR__V(d_first)
#define d_load_part        CR__V(d_load_part)
#define d_store_part       CR__V(d_store_part)
#define d_fold4            CR__V(d_fold4)
#define d_down             CR__V(d_down)
#define d_square           CR__V(d_square)
#define d_take             CR__V(d_take)
#define d_give             CR__V(d_give)
#define d_take_mask        CR__V(d_take_mask)
#define d_give_mask        CR__V(d_give_mask)
#define d_load_first       CR__V(d_load_first)
#define d_store_first      CR__V(d_store_first)
#define d_load_mask_first  CR__V(d_load_mask_first)
#define d_store_mask_first CR__V(d_store_mask_first)

#endif
