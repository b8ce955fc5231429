/* The vocabulary (vec.h) of AVX2 with FMA. */
#undef CR__SUFFIX
#undef CR__T
#undef CR__W
#undef CR__REGISTERS
#undef CR__HAS_FMA
#undef CR__HAS_MASKS
#undef CR__HAS_SQUARES
#undef CR__HAS_LINES
#undef CR__HAS_F16
#define CR__SUFFIX      _avx2
#define CR__T           CR__TARGET_AVX2
#define CR__W           8
#define CR__REGISTERS   16
#define CR__HAS_FMA     1
#define CR__HAS_MASKS   0
#define CR__HAS_SQUARES 1
#define CR__HAS_LINES   0
#define CR__HAS_F16     0

#ifndef CR_KERNEL_VEC_AVX2_H
#define CR_KERNEL_VEC_AVX2_H
#include "vec.h"
#include "vec_types.h"
#include "vec_lanes.h"

CR__FN vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
CR__FN vd d_fma(vd a, vd b, vd c)
{
    return _mm256_fmadd_pd(a, b, c);
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
CR__FN bool d_any(vmd m)
{
    return _mm256_movemask_pd((vd)m) != 0;
}
CR__FN vd d_gather(const double *p, vl i)
{
    return _mm256_i64gather_pd(p, (__m256i)i, 8);
}
CR__FN vf v_sel(vm m, vf a, vf b)
{
    return _mm256_blendv_ps(b, a, (vf)m);
}
CR__FN vd d_sel(vmd m, vd a, vd b)
{
    return _mm256_blendv_pd(b, a, (vd)m);
}
CR__FN vul l_product(vul a, vul b)
{
    return (vul)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}
CR__FN void v_split(vf a, vf b, vf *out)
{
    const __m256d even = (__m256d)_mm256_shuffle_ps(a, b, 0x88),
                  odd = (__m256d)_mm256_shuffle_ps(a, b, 0xdd);
    out[0] = (vf)_mm256_permute4x64_pd(even, 0xd8);
    out[1] = (vf)_mm256_permute4x64_pd(odd, 0xd8);
}
CR__FN void v_weave(vf a, vf b, vf *out)
{
    const __m256 low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
    out[0] = _mm256_permute2f128_ps(low, high, 0x20);
    out[1] = _mm256_permute2f128_ps(low, high, 0x31);
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
CR__FN vf v_load_part(const float *p, vm m)
{
    return _mm256_maskload_ps(p, (__m256i)m);
}
CR__FN vd d_load_part(const double *p, vmd m)
{
    return _mm256_maskload_pd(p, (__m256i)m);
}
CR__FN void v_store_part(float *p, vm m, vf v)
{
    _mm256_maskstore_ps(p, (__m256i)m, v);
}
CR__FN void d_store_part(double *p, vmd m, vd v)
{
    _mm256_maskstore_pd(p, (__m256i)m, v);
}
CR__FN vf v_pick(vf v, vi i)
{
    return _mm256_permutevar8x32_ps(v, (__m256i)i);
}
CR__FN void v_fold4(const vf *v, float *out)
{
    __m256 a = v[0], b = v[1];
    __m256 c = v[2], d = v[3];
    __m256 ab = _mm256_permute2f128_ps(a, b, 0x20) + _mm256_permute2f128_ps(a, b, 0x31);
    __m256 cd = _mm256_permute2f128_ps(c, d, 0x20) + _mm256_permute2f128_ps(c, d, 0x31);
    __m256 acbd = _mm256_shuffle_ps(ab, cd, 0x44) + _mm256_shuffle_ps(ab, cd, 0xee);
    acbd = _mm256_shuffle_ps(acbd, acbd, 0x88) + _mm256_shuffle_ps(acbd, acbd, 0xdd);
    _mm_storeu_ps(out, _mm_unpacklo_ps(_mm256_castps256_ps128(acbd),
                                       _mm256_extractf128_ps(acbd, 1)));
}
CR__FN void d_fold4(const vd *v, double *out)
{
    __m256d a = v[0], b = v[1];
    __m256d c = v[2], d = v[3];
    __m256d ab = _mm256_permute2f128_pd(a, b, 0x20) + _mm256_permute2f128_pd(a, b, 0x31);
    __m256d cd = _mm256_permute2f128_pd(c, d, 0x20) + _mm256_permute2f128_pd(c, d, 0x31);
    __m256d acbd = _mm256_unpacklo_pd(ab, cd) + _mm256_unpackhi_pd(ab, cd);
    _mm256_storeu_pd(out, _mm256_permute4x64_pd(acbd, 0xd8));
}
CR__FN vf v_down(vf v, int n)
{
    return n == 4   ? _mm256_permute2f128_ps(v, v, 0x01)
           : n == 2 ? _mm256_shuffle_ps(v, v, 0x4e)
                    : _mm256_shuffle_ps(v, v, 0xb1);
}
CR__FN vd d_down(vd v, int n)
{
    return n == 2 ? _mm256_permute2f128_pd(v, v, 0x01) : _mm256_shuffle_pd(v, v, 0x5);
}
CR__FN vf v_load_first(const float *p, int64_t n)
{
    return v_load_part(p, v_first(n));
}
CR__FN vd d_load_first(const double *p, int64_t n)
{
    return d_load_part(p, d_first(n));
}
/* Not by a mask: such stores are slow, and what is loaded next waits for them. */
CR__CALL void v_store_first(float *p, int64_t n, vf v)
{
    __m128 left = _mm256_castps256_ps128(v);
    if (n & 4) {
        _mm_storeu_ps(p, left);
        left = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)(void *)p, left);
        left = _mm_movehl_ps(left, left);
        p += 2;
    }
    if (n & 1)
        _mm_store_ss(p, left);
}
CR__CALL void d_store_first(double *p, int64_t n, vd v)
{
    __m128d left = _mm256_castpd256_pd128(v);
    if (n & 2) {
        _mm_storeu_pd(p, left);
        left = _mm256_extractf128_pd(v, 1);
        p += 2;
    }
    if (n & 1)
        _mm_store_sd(p, left);
}
/* The bytes of fewer than eight bools, in a word. */
CR__FN uint64_t bools_load(const uint8_t *p, int64_t n)
{
    uint64_t word = 0;
    for (int64_t i = n; i-- > 0;)
        word = word << 8 | p[i];
    return word;
}
CR__FN void bools_store(uint8_t *p, int64_t n, uint64_t word)
{
    uint32_t four = (uint32_t)word;
    if (n & 4) {
        memcpy(p, &four, 4);
        four = (uint32_t)(word >> 32);
        p += 4;
    }
    uint16_t two = (uint16_t)four;
    if (n & 2) {
        memcpy(p, &two, 2);
        four >>= 16;
        p += 2;
    }
    if (n & 1)
        *p = (uint8_t)four;
}
CR__CALL vm v_load_mask_first(const uint8_t *p, int64_t n)
{
    uint64_t word = bools_load(p, n);
    return v_load_mask((const uint8_t *)&word);
}
CR__CALL vmd d_load_mask_first(const uint8_t *p, int64_t n)
{
    uint64_t word = bools_load(p, n);
    return d_load_mask((const uint8_t *)&word);
}
CR__CALL void v_store_mask_first(uint8_t *p, int64_t n, vm m)
{
    uint64_t word;
    v_store_mask((uint8_t *)&word, m);
    bools_store(p, n, word);
}
CR__CALL void d_store_mask_first(uint8_t *p, int64_t n, vmd m)
{
    uint64_t word = 0;
    d_store_mask((uint8_t *)&word, m);
    bools_store(p, n, word);
}
CR__FN vu v_of_u16(vhalf h)
{
    return (vu)_mm256_cvtepu16_epi32((__m128i)h);
}
#include "vec_parts.h"
#include "vec_squares.h"

#endif
