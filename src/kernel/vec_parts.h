/* Words of the vocabulary (vec.h) for what may be less than a vector, the same for every set. */

CR__FN vf v_take(const float *p, int64_t n)
{
    return CR__LIKELY(n >= CR__W) ? v_load(p) : v_load_first(p, n);
}
CR__FN vd d_take(const double *p, int64_t n)
{
    return CR__LIKELY(n >= CR__W / 2) ? d_load(p) : d_load_first(p, n);
}
CR__FN vm v_take_mask(const uint8_t *p, int64_t n)
{
    return CR__LIKELY(n >= CR__W) ? v_load_mask(p) : v_load_mask_first(p, n);
}
CR__FN vmd d_take_mask(const uint8_t *p, int64_t n)
{
    return CR__LIKELY(n >= CR__W / 2) ? d_load_mask(p) : d_load_mask_first(p, n);
}
CR__FN void v_give(float *p, int64_t n, vf v)
{
    if (CR__LIKELY(n >= CR__W))
        v_store(p, v);
    else
        v_store_first(p, n, v);
}
CR__FN void d_give(double *p, int64_t n, vd v)
{
    if (CR__LIKELY(n >= CR__W / 2))
        d_store(p, v);
    else
        d_store_first(p, n, v);
}
CR__FN void v_give_mask(uint8_t *p, int64_t n, vm m)
{
    if (CR__LIKELY(n >= CR__W))
        v_store_mask(p, m);
    else
        v_store_mask_first(p, n, m);
}
CR__FN void d_give_mask(uint8_t *p, int64_t n, vmd m)
{
    if (CR__LIKELY(n >= CR__W / 2))
        d_store_mask(p, m);
    else
        d_store_mask_first(p, n, m);
}
