/* Blocks of Philox (philox.h), a vector of them at a time, in one instruction set. Lanes are of 64
 * bits, for products; only the lower half of a lane counts. */
CR__T static void CR__V(philox_blocks)(uint32_t *words, uint64_t first, int64_t blocks,
                                       const cr__random_params *p)
{
    enum { LANES = CR__W / 2 };
    const vul none = { 0 };
    for (int64_t i = 0; i < blocks; i += LANES, words += 4 * LANES) {
        const int64_t left = blocks - i < LANES ? blocks - i : LANES;
        uint64_t pairs[2][LANES];
        uint32_t k0 = (uint32_t)p->seed, k1 = (uint32_t)(p->seed >> 32);
        for (int lane = 0; lane < LANES; lane++)
            pairs[0][lane] = first + (uint64_t)(i + lane);
        vul c0, c1, c2 = none + (uint32_t)p->draw, c3 = none + (p->draw >> 32);
        memcpy(&c0, pairs[0], sizeof c0);
        c1 = c0 >> 32;
        for (int round = 0; round < 10; round++) {
            const vul a = l_product(c0, none + 0xd2511f53u),
                      b = l_product(c2, none + 0xcd9e8d57u);
            c0 = (b >> 32) ^ c1 ^ k0;
            c1 = b;
            c2 = (a >> 32) ^ c3 ^ k1;
            c3 = a;
            k0 += 0x9e3779b9u;
            k1 += 0xbb67ae85u;
        }
        c0 = CR__PAIRED(c0, c1), c2 = CR__PAIRED(c2, c3);
        memcpy(pairs[0], &c0, sizeof c0);
        memcpy(pairs[1], &c2, sizeof c2);
        for (int64_t lane = 0; lane < left; lane++)
            for (int64_t k = 0; k < 2; k++)
                memcpy(words + 4 * lane + 2 * k, &pairs[k][lane], 8);
    }
}
