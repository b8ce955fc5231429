/* Largest elements of windows, in one instruction set (windows.c). */

/* The element v, with this number, of all windows of a vector. */
CR__FN void CR__V(take_larger)(vf v, int number, vf *most, vi *numbers)
{
    const vm more = (vm)(v_lt(*most, v) | v_ne(v, v));
    *most = v_sel(more, v, *most);
    *numbers = (vi)v_sel(more, (vf)v_int(number), (vf)*numbers);
}

/* Elements w and, if pairs, w + 1 of a row of windows that are two elements apart. */
CR__FN int CR__V(take_apart)(const float *x, int64_t left, bool pairs, int number,
                             vf *most, vi *numbers)
{
    const int64_t there = 2 * left - !pairs;
    vf parts[2];
    v_split(v_take(x, there), there > CR__W ? v_take(x + CR__W, there - CR__W) : v_set(0),
            parts);
    CR__V(take_larger)(parts[0], number, most, numbers);
    if (pairs)
        CR__V(take_larger)(parts[1], number + 1, most, numbers);
    return number + 1 + pairs;
}

CR__T static void CR__V(largest)(const cr__windows *of, float *values, int32_t *numbers)
{
    const bool near = of->steps[2] == 1;
    for (int64_t i = 0; i < of->n; i += CR__W) {
        const int64_t left = of->n - i < CR__W ? of->n - i : CR__W;
        vf most = v_set(-INFINITY);
        vi at = { 0 };
        int number = 0;
        for (int d = 0; d < of->nd; d++)
            for (int h = 0; h < of->nh; h++) {
                const float *x =
                    of->x + i * of->stride + d * of->steps[0] + h * of->steps[1];
                for (int w = 0; w < of->nw;) {
                    const bool pairs = of->stride == 2 && near && w + 1 < of->nw;
                    const float *from = x + w * of->steps[2];
                    if (of->stride == 2)
                        number = CR__V(take_apart)(from, left, pairs, number, &most, &at);
                    else
                        CR__V(take_larger)
                    (v_take(from, left), number++, &most, &at);
                    w += 1 + pairs;
                }
            }
        v_give(values + i, left, most);
        if (numbers)
            v_give((float *)(void *)(numbers + i), left, (vf)at);
    }
}
CR__T static void CR__V(give_pairs)(float *out, const float *x, const int32_t *numbers,
                                    int32_t first, int64_t n)
{
    for (int64_t i = 0; i < n; i += CR__W) {
        const int64_t left = n - i < CR__W ? n - i : CR__W;
        const vf given = v_take(x + i, left) + v_set(0);
        const vi at = (vi)v_take((const float *)(const void *)(numbers + i), left);
        vf pairs[2];
        v_weave((vf)((vi)given & (at == first)), (vf)((vi)given & (at == first + 1)),
                pairs);
        v_give(out + 2 * i, 2 * left, pairs[0]);
        if (2 * left > CR__W)
            v_give(out + 2 * i + CR__W, 2 * left - CR__W, pairs[1]);
    }
}
