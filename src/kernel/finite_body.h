/* Whether n elements are finite, in one instruction set: 0 times what is not is NaN, and stays so
 * in a sum. */
CR__CALL bool NAME(finite)(const void *x, int64_t n)
{
    const T *at = x;
    VT zero = F(set)(0), a = zero, b = zero, c = zero, d = zero;
    T lanes[N], sum = 0;
    int64_t i = 0;
    for (; i + 4 * N <= n; i += 4 * N) {
        a += F(load)(at + i) * zero;
        b += F(load)(at + i + N) * zero;
        c += F(load)(at + i + 2 * N) * zero;
        d += F(load)(at + i + 3 * N) * zero;
    }
    F(store)(lanes, (a + b) + (c + d));
    for (int k = 0; k < N; k++)
        sum += lanes[k];
    for (; i < n; i++)
        sum += at[i] * 0;
    return sum == 0;
}
