/* The vocabulary (vec.h) of AVX-512: F, BW, DQ and VL. */
#undef CR__SUFFIX
#undef CR__T
#undef CR__W
#undef CR__REGISTERS
#undef CR__HAS_FMA
#undef CR__HAS_MASKS
#undef CR__HAS_SQUARES
#undef CR__HAS_LINES
#undef CR__HAS_F16
#define CR__SUFFIX      _avx512
#define CR__T           CR__TARGET_AVX512
#define CR__W           16
#define CR__REGISTERS   32
#define CR__HAS_FMA     1
#define CR__HAS_MASKS   1
#define CR__HAS_SQUARES 1
#define CR__HAS_LINES   1
#define CR__HAS_F16     1

#ifndef CR_KERNEL_VEC_AVX512_H
#define CR_KERNEL_VEC_AVX512_H
#include "vec.h"
#include "vec_types.h"

typedef __mmask16 vm;
typedef __mmask8 vmd;
CR__FN vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
CR__FN vd d_fma(vd a, vd b, vd c)
{
    return _mm512_fmadd_pd(a, b, c);
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
CR__FN bool d_any(vmd m)
{
    return m != 0;
}
CR__FN vd d_gather(const double *p, vl i)
{
    return _mm512_i64gather_pd((__m512i)i, p, 8);
}
CR__FN vf v_sel(vm m, vf a, vf b)
{
    return _mm512_mask_blend_ps(m, b, a);
}
CR__FN vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
CR__FN vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
CR__FN vul l_product(vul a, vul b)
{
    return (vul)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}
CR__FN void v_split(vf a, vf b, vf *out)
{
    const __m512i even =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    out[0] = _mm512_permutex2var_ps(a, even, b);
    out[1] = _mm512_permutex2var_ps(a, _mm512_add_epi32(even, _mm512_set1_epi32(1)), b);
}
CR__FN void v_weave(vf a, vf b, vf *out)
{
    const __m512i low =
        _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    out[0] = _mm512_permutex2var_ps(a, low, b);
    out[1] = _mm512_permutex2var_ps(a, _mm512_add_epi32(low, _mm512_set1_epi32(8)), b);
}
CR__FN vf v_scale(vf a, vf n)
{
    return _mm512_scalef_ps(a, n);
}
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
CR__FN vm v_first(int64_t n)
{
    return (vm)((1u << n) - 1);
}
CR__FN vmd d_first(int64_t n)
{
    return (vmd)((1u << n) - 1);
}
CR__FN vf v_load_part(const float *p, vm m)
{
    return _mm512_maskz_loadu_ps(m, p);
}
CR__FN vd d_load_part(const double *p, vmd m)
{
    return _mm512_maskz_loadu_pd(m, p);
}
CR__FN void v_store_part(float *p, vm m, vf v)
{
    _mm512_mask_storeu_ps(p, m, v);
}
CR__FN void d_store_part(double *p, vmd m, vd v)
{
    _mm512_mask_storeu_pd(p, m, v);
}
CR__FN vf v_pick(vf v, vi i)
{
    return _mm512_permutexvar_ps((__m512i)i, v);
}
#define HALVES_PS(v) (_mm512_castps512_ps256(v) + _mm512_extractf32x8_ps(v, 1))
#define HALVES_PD(v) (_mm512_castpd512_pd256(v) + _mm512_extractf64x4_pd(v, 1))
CR__FN void v_fold4(const vf *v, float *out)
{
    __m256 a = HALVES_PS(v[0]), b = HALVES_PS(v[1]);
    __m256 c = HALVES_PS(v[2]), d = HALVES_PS(v[3]);
    __m256 ab = _mm256_permute2f128_ps(a, b, 0x20) + _mm256_permute2f128_ps(a, b, 0x31);
    __m256 cd = _mm256_permute2f128_ps(c, d, 0x20) + _mm256_permute2f128_ps(c, d, 0x31);
    __m256 acbd = _mm256_shuffle_ps(ab, cd, 0x44) + _mm256_shuffle_ps(ab, cd, 0xee);
    acbd = _mm256_shuffle_ps(acbd, acbd, 0x88) + _mm256_shuffle_ps(acbd, acbd, 0xdd);
    _mm_storeu_ps(out, _mm_unpacklo_ps(_mm256_castps256_ps128(acbd),
                                       _mm256_extractf128_ps(acbd, 1)));
}
CR__FN void d_fold4(const vd *v, double *out)
{
    __m256d a = HALVES_PD(v[0]), b = HALVES_PD(v[1]);
    __m256d c = HALVES_PD(v[2]), d = HALVES_PD(v[3]);
    __m256d ab = _mm256_permute2f128_pd(a, b, 0x20) + _mm256_permute2f128_pd(a, b, 0x31);
    __m256d cd = _mm256_permute2f128_pd(c, d, 0x20) + _mm256_permute2f128_pd(c, d, 0x31);
    __m256d acbd = _mm256_unpacklo_pd(ab, cd) + _mm256_unpackhi_pd(ab, cd);
    _mm256_storeu_pd(out, _mm256_permute4x64_pd(acbd, 0xd8));
}
#undef HALVES_PS
#undef HALVES_PD
CR__FN vf v_down(vf v, int n)
{
    return n == 8   ? _mm512_shuffle_f32x4(v, v, 0x4e)
           : n == 4 ? _mm512_shuffle_f32x4(v, v, 0xb1)
           : n == 2 ? _mm512_shuffle_ps(v, v, 0x4e)
                    : _mm512_shuffle_ps(v, v, 0xb1);
}
CR__FN vd d_down(vd v, int n)
{
    return n == 4   ? _mm512_shuffle_f64x2(v, v, 0x4e)
           : n == 2 ? _mm512_shuffle_f64x2(v, v, 0xb1)
                    : _mm512_shuffle_pd(v, v, 0x55);
}
CR__FN vf v_load_first(const float *p, int64_t n)
{
    return v_load_part(p, v_first(n));
}
CR__FN vd d_load_first(const double *p, int64_t n)
{
    return d_load_part(p, d_first(n));
}
CR__FN void v_store_first(float *p, int64_t n, vf v)
{
    v_store_part(p, v_first(n), v);
}
CR__FN void d_store_first(double *p, int64_t n, vd v)
{
    d_store_part(p, d_first(n), v);
}
CR__FN vm v_load_mask_first(const uint8_t *p, int64_t n)
{
    __m128i v = _mm_maskz_loadu_epi8(v_first(n), p);
    return _mm_test_epi8_mask(v, v);
}
CR__FN vmd d_load_mask_first(const uint8_t *p, int64_t n)
{
    __m128i v = _mm_maskz_loadu_epi8(d_first(n), p);
    return (vmd)_mm_test_epi8_mask(v, v);
}
CR__FN void v_store_mask_first(uint8_t *p, int64_t n, vm m)
{
    _mm_mask_storeu_epi8(p, v_first(n), _mm_maskz_set1_epi8(m, 1));
}
CR__FN void d_store_mask_first(uint8_t *p, int64_t n, vmd m)
{
    _mm_mask_storeu_epi8(p, d_first(n), _mm_maskz_set1_epi8(m, 1));
}
#include "vec_parts.h"
CR__FN vu v_of_u16(vhalf h)
{
    return (vu)_mm512_cvtepu16_epi32((__m256i)h);
}
CR__FN vf v_of_f16(vhalf h)
{
    return _mm512_cvtph_ps((__m256i)h);
}
CR__FN vhalf v_to_f16(vf a)
{
    return (vhalf)_mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT);
}
#include "vec_squares.h"
/* Four lines at a time have a pointer, steady, so that the addresses of all sixteen are not kept. */
CR__FN void v_lines(float *to, int64_t pitch, const char *from, int64_t step)
{
    __m512 r[4];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++)
        r[i] = _mm512_castps128_ps512(_mm_loadu_ps((const float *)(from + i * step)));
#pragma GCC unroll 3
    for (int q = 1; q < 4; q++) {
        from += 4 * step;
        CR__STEADY(from);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            r[i] = _mm512_mask_broadcast_f32x4(
                r[i], (__mmask16)(0xf << (4 * q)),
                _mm_loadu_ps((const float *)(from + i * step)));
    }
    __m512 s0 = _mm512_unpacklo_ps(r[0], r[1]), s1 = _mm512_unpackhi_ps(r[0], r[1]);
    __m512 s2 = _mm512_unpacklo_ps(r[2], r[3]), s3 = _mm512_unpackhi_ps(r[2], r[3]);
    _mm512_storeu_ps(to, _mm512_shuffle_ps(s0, s2, 0x44));
    _mm512_storeu_ps(to + pitch, _mm512_shuffle_ps(s0, s2, 0xee));
    _mm512_storeu_ps(to + 2 * pitch, _mm512_shuffle_ps(s1, s3, 0x44));
    _mm512_storeu_ps(to + 3 * pitch, _mm512_shuffle_ps(s1, s3, 0xee));
}

#endif
