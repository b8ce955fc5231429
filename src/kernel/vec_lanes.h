/* Words of the vocabulary (vec.h) for sets whose masks are vectors, of 0 and -1. */
typedef vi vm;
typedef vl vmd;

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
CR__FN vm v_first(int64_t n)
{
    vi lane = { 0 };
#pragma GCC unroll 16
    for (int i = 0; i < CR__W; i++)
        lane[i] = i;
    return lane < v_int((int32_t)n);
}
CR__FN vmd d_first(int64_t n)
{
    vl lane = { 0 };
#pragma GCC unroll 16
    for (int i = 0; i < CR__W / 2; i++)
        lane[i] = i;
    return lane < n - (vl){ 0 };
}
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
