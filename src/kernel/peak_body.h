/* A loop of nothing but multiply-adds of f32: peak.c. A template over the vocabulary of vec.h; what
 * it computes is of no interest. Chains enough to hide their latency, in 16 registers. */
CR__CALL float CR__V(peak)(int64_t steps, const float *x)
{
    vf sums[CR__CHAINS], a = v_fill(x), b = v_fill(x + 1);
    float out[CR__W];
    for (int i = 0; i < CR__CHAINS; i++)
        sums[i] = v_fill(x + 2 + i % 2);
    for (int64_t k = 0; k < steps; k++)
#if defined(__clang__)
#pragma clang loop unroll(full)
#else
#pragma GCC unroll 12
#endif
        for (int i = 0; i < CR__CHAINS; i++)
            sums[i] = v_fma(sums[i], a, b);
    for (int i = 1; i < CR__CHAINS; i++)
        sums[0] += sums[i];
    v_store(out, sums[0]);
    return out[0];
}
enum { CR__V(lanes) = CR__W };
