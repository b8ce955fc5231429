/* Whether one instruction set's arithmetic is what the source says: sound.c. A template
 * over the vocabulary of vec.h. */
CR__CALL bool CR__V(sound)(const float *x, const double *y)
{
    vf a = v_fill(x), b = v_fill(x + 1), c = v_fill(x + 2), d = v_fill(x + 3);
    vd p = d_fill(y), q = d_fill(y + 1), r = d_fill(y + 2), s = d_fill(y + 3);
    float f[5][CR__W];
    double g[5][CR__W / 2];
    v_store(f[0], a * a + b);
    v_store(f[1], v_fma(a, a, b));
    v_store(f[2], (c + a) - c);
    v_store(f[3], v_fill(x + 4) / d);
    v_store(f[4], a / d);
    d_store(g[0], p * p + q);
    d_store(g[1], d_fma(p, p, q));
    d_store(g[2], (r + p) - r);
    d_store(g[3], d_fill(y + 4) / s);
    d_store(g[4], p / s);
    bool right = true;
    for (int i = 0; i < CR__W; i++)
        for (int k = 0; k < 4; k++)
            right = right && memcmp(&f[k][i], &x[5 + k], sizeof(float)) == 0;
    for (int i = 0; i < CR__W / 2; i++)
        for (int k = 0; k < 4; k++)
            right = right && memcmp(&g[k][i], &y[5 + k], sizeof(double)) == 0;
    return right && f[4][0] > 0 && g[4][0] > 0;
}
