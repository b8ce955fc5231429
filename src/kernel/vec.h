/* The vector vocabulary: types and functions that the kernel templates (*_body.h) are
 * written in. Included once for each instruction set, with CR__ISA 0 (generic), 1 (AVX2
 * and FMA) or 2 (AVX-512); the names of an inclusion end in that set's suffix, which the
 * macros below add.
 *
 *     vf vi    CR__W floats, and as many int32        vm   a mask of CR__W lanes
 *     vd vl    half as many doubles, and int64        vmd  a mask of their lanes
 *
 * + - * / and integer operators are the compiler's vector extensions. Every function
 * compiles to the same IEEE operations in AVX2 and AVX-512, so results have the same
 * bits. */
#include "isa.h"
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#undef CR__SUFFIX
#undef CR__W
#undef CR__T
#if CR__ISA == 2
#define CR__SUFFIX _avx512
#define CR__W      16
#define CR__T      CR__TARGET_AVX512
#elif CR__ISA == 1
#define CR__SUFFIX _avx2
#define CR__W      8
#define CR__T      CR__TARGET_AVX2
#else
#define CR__SUFFIX _generic
#define CR__W      4
#define CR__T      CR__TARGET_GENERIC
#endif

#ifndef CR_KERNEL_VEC_H
#define CR_KERNEL_VEC_H
#define CR__V(name) CR__JOIN(name, CR__SUFFIX)
#define CR__FN                                                              \
    CR__INLINE CR__T /* opens a function of the vocabulary or of a template \
                      */
/* Joins words of which the result may be a name of the vocabulary. */
#define CR__L(a, b)  CR__L_(a, b)
#define CR__L_(a, b) a##b

#define vf           CR__V(vf)
#define vi           CR__V(vi)
#define vu           CR__V(vu)
#define vh           CR__V(vh)
#define vd           CR__V(vd)
#define vl           CR__V(vl)
#define vul          CR__V(vul)
#define vm           CR__V(vm)
#define vmd          CR__V(vmd)
#define vbytes       CR__V(vbytes)
#define v_load       CR__V(v_load)
#define v_fill       CR__V(v_fill)
#define v_store      CR__V(v_store)
#define v_set        CR__V(v_set)
#define v_int        CR__V(v_int)
#define v_fma        CR__V(v_fma)
#define v_fma_exact  CR__V(v_fma_exact)
#define v_sqrt       CR__V(v_sqrt)
#define v_floor      CR__V(v_floor)
#define v_lt         CR__V(v_lt)
#define v_le         CR__V(v_le)
#define v_eq         CR__V(v_eq)
#define v_ne         CR__V(v_ne)
#define v_not        CR__V(v_not)
#define v_sel        CR__V(v_sel)
#define v_any        CR__V(v_any)
#define v_max        CR__V(v_max)
#define v_min        CR__V(v_min)
#define v_abs        CR__V(v_abs)
#define v_copysign   CR__V(v_copysign)
#define v_scale      CR__V(v_scale)
#define v_store_mask CR__V(v_store_mask)
#define v_load_mask  CR__V(v_load_mask)
#define d_load       CR__V(d_load)
#define d_fill       CR__V(d_fill)
#define d_store      CR__V(d_store)
#define d_set        CR__V(d_set)
#define d_sqrt       CR__V(d_sqrt)
#define d_floor      CR__V(d_floor)
#define d_lt         CR__V(d_lt)
#define d_le         CR__V(d_le)
#define d_eq         CR__V(d_eq)
#define d_ne         CR__V(d_ne)
#define d_not        CR__V(d_not)
#define d_sel        CR__V(d_sel)
#define d_max        CR__V(d_max)
#define d_min        CR__V(d_min)
#define d_abs        CR__V(d_abs)
#define d_store_mask CR__V(d_store_mask)
#define d_load_mask  CR__V(d_load_mask)
#endif

typedef float vf __attribute__((vector_size(4 * CR__W)));
typedef int32_t vi __attribute__((vector_size(4 * CR__W)));
typedef uint32_t vu __attribute__((vector_size(4 * CR__W)));
typedef float vh __attribute__((vector_size(2 * CR__W)));
typedef double vd __attribute__((vector_size(4 * CR__W)));
typedef int64_t vl __attribute__((vector_size(4 * CR__W)));
typedef uint64_t vul __attribute__((vector_size(4 * CR__W)));
typedef int8_t vbytes __attribute__((vector_size(CR__W)));

CR__FN vf v_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
CR__FN vd d_load(const double *p)
{
    vd v;
    memcpy(&v, p, sizeof v);
    return v;
}
CR__FN void v_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}
CR__FN void d_store(double *p, vd v)
{
    memcpy(p, &v, sizeof v);
}
/* x - 0 is x with every bit, also of -0. */
CR__FN vf v_set(float x)
{
    return x - (vf){ 0 };
}
CR__FN vd d_set(double x)
{
    return x - (vd){ 0 };
}
CR__FN vi v_int(int32_t x)
{
    return x - (vi){ 0 };
}

/* One element in every lane, with its bits whatever they are. */
CR__FN vf v_fill(const float *p)
{
    int32_t bits;
    memcpy(&bits, p, sizeof bits);
    return (vf)v_int(bits);
}
CR__FN vd d_fill(const double *p)
{
    int64_t bits;
    memcpy(&bits, p, sizeof bits);
    return (vd)(bits - (vl){ 0 });
}

#if CR__ISA == 2

typedef __mmask16 vm;
typedef __mmask8 vmd;
CR__FN vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
CR__FN vf v_sqrt(vf a)
{
    return _mm512_sqrt_ps(a);
}
CR__FN vf v_floor(vf a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
CR__FN vm v_lt(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
CR__FN vm v_le(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ);
}
CR__FN vm v_eq(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
CR__FN vm v_ne(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ);
}
CR__FN vm v_not(vm m)
{
    return (vm)~m;
}
CR__FN bool v_any(vm m)
{
    return m != 0;
}
CR__FN vf v_sel(vm m, vf a, vf b)
{
    return _mm512_mask_blend_ps(m, b, a);
}
/* a > b ? a : b, so b if one is NaN; v_min likewise. */
CR__FN vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
CR__FN vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
/* a * 2^n for whole n within +-250, rounded once. */
CR__FN vf v_scale(vf a, vf n)
{
    return _mm512_scalef_ps(a, n);
}
/* Bools of a mask's lanes, and the lanes whose bool is not 0. */
CR__FN void v_store_mask(uint8_t *p, vm m)
{
    __m128i v = _mm_maskz_set1_epi8(m, 1);
    memcpy(p, &v, sizeof v);
}
CR__FN vm v_load_mask(const uint8_t *p)
{
    __m128i v;
    memcpy(&v, p, sizeof v);
    return _mm_test_epi8_mask(v, v);
}
CR__FN vd d_sqrt(vd a)
{
    return _mm512_sqrt_pd(a);
}
CR__FN vd d_floor(vd a)
{
    return _mm512_roundscale_pd(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
CR__FN vmd d_lt(vd a, vd b)
{
    return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ);
}
CR__FN vmd d_le(vd a, vd b)
{
    return _mm512_cmp_pd_mask(a, b, _CMP_LE_OQ);
}
CR__FN vmd d_eq(vd a, vd b)
{
    return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ);
}
CR__FN vmd d_ne(vd a, vd b)
{
    return _mm512_cmp_pd_mask(a, b, _CMP_NEQ_UQ);
}
CR__FN vmd d_not(vmd m)
{
    return (vmd)~m;
}
CR__FN vd d_sel(vmd m, vd a, vd b)
{
    return _mm512_mask_blend_pd(m, b, a);
}
CR__FN vd d_max(vd a, vd b)
{
    return _mm512_max_pd(a, b);
}
CR__FN vd d_min(vd a, vd b)
{
    return _mm512_min_pd(a, b);
}
CR__FN void d_store_mask(uint8_t *p, vmd m)
{
    __m128i v = _mm_maskz_set1_epi8(m, 1);
    memcpy(p, &v, 8);
}
CR__FN vmd d_load_mask(const uint8_t *p)
{
    __m128i v = _mm_setzero_si128();
    memcpy(&v, p, 8);
    return (vmd)_mm_test_epi8_mask(v, v);
}

#else

typedef vi vm;
typedef vl vmd;
#if CR__ISA == 1
CR__FN vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
CR__FN vf v_sqrt(vf a)
{
    return _mm256_sqrt_ps(a);
}
CR__FN vf v_floor(vf a)
{
    return _mm256_floor_ps(a);
}
CR__FN vd d_sqrt(vd a)
{
    return _mm256_sqrt_pd(a);
}
CR__FN vd d_floor(vd a)
{
    return _mm256_floor_pd(a);
}
CR__FN bool v_any(vm m)
{
    return _mm256_movemask_ps((vf)m) != 0;
}
CR__FN vf v_sel(vm m, vf a, vf b)
{
    return _mm256_blendv_ps(b, a, (vf)m);
}
CR__FN vd d_sel(vmd m, vd a, vd b)
{
    return _mm256_blendv_pd(b, a, (vd)m);
}
CR__FN vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
CR__FN vf v_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
CR__FN vd d_max(vd a, vd b)
{
    return _mm256_max_pd(a, b);
}
CR__FN vd d_min(vd a, vd b)
{
    return _mm256_min_pd(a, b);
}
#else
CR__FN vf v_fma(vf a, vf b, vf c)
{
    return a * b + c;
}
CR__FN vf v_sqrt(vf a)
{
    for (int i = 0; i < CR__W; i++)
        a[i] = sqrtf(a[i]);
    return a;
}
CR__FN vf v_floor(vf a)
{
    for (int i = 0; i < CR__W; i++)
        a[i] = floorf(a[i]);
    return a;
}
CR__FN vd d_sqrt(vd a)
{
    for (int i = 0; i < CR__W / 2; i++)
        a[i] = sqrt(a[i]);
    return a;
}
CR__FN vd d_floor(vd a)
{
    for (int i = 0; i < CR__W / 2; i++)
        a[i] = floor(a[i]);
    return a;
}
CR__FN bool v_any(vm m)
{
    return (m[0] | m[1] | m[2] | m[3]) != 0;
}
CR__FN vf v_sel(vm m, vf a, vf b)
{
    return (vf)((m & (vi)a) | (~m & (vi)b));
}
CR__FN vd d_sel(vmd m, vd a, vd b)
{
    return (vd)((m & (vl)a) | (~m & (vl)b));
}
CR__FN vf v_max(vf a, vf b)
{
    return v_sel(a > b, a, b);
}
CR__FN vf v_min(vf a, vf b)
{
    return v_sel(a < b, a, b);
}
CR__FN vd d_max(vd a, vd b)
{
    return d_sel(a > b, a, b);
}
CR__FN vd d_min(vd a, vd b)
{
    return d_sel(a < b, a, b);
}
#endif
CR__FN vm v_lt(vf a, vf b)
{
    return a < b;
}
CR__FN vm v_le(vf a, vf b)
{
    return a <= b;
}
CR__FN vm v_eq(vf a, vf b)
{
    return a == b;
}
CR__FN vm v_ne(vf a, vf b)
{
    return a != b;
}
CR__FN vm v_not(vm m)
{
    return ~m;
}
CR__FN vmd d_lt(vd a, vd b)
{
    return a < b;
}
CR__FN vmd d_le(vd a, vd b)
{
    return a <= b;
}
CR__FN vmd d_eq(vd a, vd b)
{
    return a == b;
}
CR__FN vmd d_ne(vd a, vd b)
{
    return a != b;
}
CR__FN vmd d_not(vmd m)
{
    return ~m;
}
/* In two factors, each a normal number; the first product is exact. */
CR__FN vf v_scale(vf a, vf n)
{
    vi whole = __builtin_convertvector(n, vi), half = whole >> 1;
    return a * (vf)((half + 127) << 23) * (vf)((whole - half + 127) << 23);
}
#if CR__ISA == 1
CR__FN void v_store_mask(uint8_t *p, vm m)
{
    __m256i v = (__m256i)m;
    __m128i w =
        _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    w = _mm_and_si128(_mm_packs_epi16(w, w), _mm_set1_epi8(1));
    memcpy(p, &w, 8);
}
CR__FN vm v_load_mask(const uint8_t *p)
{
    __m128i v = _mm_setzero_si128();
    memcpy(&v, p, 8);
    return (vi)_mm256_cvtepu8_epi32(v) != 0;
}
#else
CR__FN void v_store_mask(uint8_t *p, vm m)
{
    vbytes b = __builtin_convertvector(m, vbytes) & 1;
    memcpy(p, &b, sizeof b);
}
CR__FN vm v_load_mask(const uint8_t *p)
{
    vbytes b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, vi) != 0;
}
#endif
CR__FN void d_store_mask(uint8_t *p, vmd m)
{
    for (int i = 0; i < CR__W / 2; i++)
        p[i] = (uint8_t)(m[i] & 1);
}
CR__FN vmd d_load_mask(const uint8_t *p)
{
    vl m = { 0 };
    for (int i = 0; i < CR__W / 2; i++)
        m[i] = -(int64_t)(p[i] != 0);
    return m;
}

#endif

/* Rounded once in the generic set too, where it costs: for the steps that need it. */
CR__FN vf v_fma_exact(vf a, vf b, vf c)
{
#if CR__ISA == 0
    for (int i = 0; i < CR__W; i++)
        c[i] = (float)((double)a[i] * (double)b[i] + (double)c[i]);
    return c;
#else
    return v_fma(a, b, c);
#endif
}
CR__FN vf v_abs(vf a)
{
    return (vf)((vi)a & 0x7fffffff);
}
CR__FN vf v_copysign(vf a, vf sign)
{
    return (vf)(((vi)a & 0x7fffffff) | ((vi)sign & (int32_t)0x80000000));
}
CR__FN vd d_abs(vd a)
{
    return (vd)((vl)a & 0x7fffffffffffffff);
}
