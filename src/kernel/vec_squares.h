/* Words of the vocabulary (vec.h) for sets with 32 bytes in a register, or more: squares. */
/* Lines i and j of `from`, in halves. */
#define SQUARE_LINE(T, i) (const T *)(from + (i)*step)
#define SQUARE_PS(i, j, at)                                               \
    _mm256_insertf128_ps(                                                 \
        _mm256_castps128_ps256(_mm_loadu_ps(SQUARE_LINE(float, i) + at)), \
        _mm_loadu_ps(SQUARE_LINE(float, j) + at), 1)
#define SQUARE_PD(i, j, at)                                                \
    _mm256_insertf128_pd(                                                  \
        _mm256_castpd128_pd256(_mm_loadu_pd(SQUARE_LINE(double, i) + at)), \
        _mm_loadu_pd(SQUARE_LINE(double, j) + at), 1)
CR__FN void v_square(float *to, int64_t pitch, const char *from, int64_t step)
{
#pragma GCC unroll 2
    for (int at = 0; at < 8; at += 4, to += 4 * pitch) {
        __m256 r0 = SQUARE_PS(0, 4, at), r1 = SQUARE_PS(1, 5, at);
        __m256 r2 = SQUARE_PS(2, 6, at), r3 = SQUARE_PS(3, 7, at);
        __m256 s0 = _mm256_unpacklo_ps(r0, r1), s1 = _mm256_unpackhi_ps(r0, r1);
        __m256 s2 = _mm256_unpacklo_ps(r2, r3), s3 = _mm256_unpackhi_ps(r2, r3);
        _mm256_storeu_ps(to, _mm256_shuffle_ps(s0, s2, 0x44));
        _mm256_storeu_ps(to + pitch, _mm256_shuffle_ps(s0, s2, 0xee));
        _mm256_storeu_ps(to + 2 * pitch, _mm256_shuffle_ps(s1, s3, 0x44));
        _mm256_storeu_ps(to + 3 * pitch, _mm256_shuffle_ps(s1, s3, 0xee));
    }
}
CR__FN void d_square(double *to, int64_t pitch, const char *from, int64_t step)
{
#pragma GCC unroll 2
    for (int at = 0; at < 4; at += 2, to += 2 * pitch) {
        __m256d r0 = SQUARE_PD(0, 2, at), r1 = SQUARE_PD(1, 3, at);
        _mm256_storeu_pd(to, _mm256_unpacklo_pd(r0, r1));
        _mm256_storeu_pd(to + pitch, _mm256_unpackhi_pd(r0, r1));
    }
}
#undef SQUARE_LINE
#undef SQUARE_PS
#undef SQUARE_PD
