/* Words of the vocabulary (vec.h) in the compiler's vector extensions alone, for sets
 * that have nothing better. */
#include "vec_lanes.h"

CR__FN bool v_any(vm m)
{
    int32_t any = 0;
    for (int i = 0; i < CR__W; i++)
        any |= m[i];
    return any != 0;
}
CR__FN bool d_any(vmd m)
{
    int64_t any = 0;
    for (int i = 0; i < CR__W / 2; i++)
        any |= m[i];
    return any != 0;
}
CR__FN vd d_gather(const double *p, vl i)
{
    vd v = { 0 };
    for (int lane = 0; lane < CR__W / 2; lane++)
        v[lane] = p[i[lane]];
    return v;
}
CR__FN vf v_sel(vm m, vf a, vf b)
{
    return (vf)((m & (vi)a) | (~m & (vi)b));
}
CR__FN vd d_sel(vmd m, vd a, vd b)
{
    return (vd)((m & (vl)a) | (~m & (vl)b));
}
CR__FN vul l_product(vul a, vul b)
{
    return (a & UINT32_MAX) * (b & UINT32_MAX);
}
CR__FN void v_split(vf a, vf b, vf *out)
{
    vf even = a, odd = b;
    for (int i = 0; i < CR__W / 2; i++) {
        even[i] = a[2 * i], even[i + CR__W / 2] = b[2 * i];
        odd[i] = a[2 * i + 1], odd[i + CR__W / 2] = b[2 * i + 1];
    }
    out[0] = even, out[1] = odd;
}
CR__FN void v_weave(vf a, vf b, vf *out)
{
    vf low = a, high = b;
    for (int i = 0; i < CR__W / 2; i++) {
        low[2 * i] = a[i], low[2 * i + 1] = b[i];
        high[2 * i] = a[i + CR__W / 2], high[2 * i + 1] = b[i + CR__W / 2];
    }
    out[0] = low, out[1] = high;
}
CR__FN vf v_max(vf a, vf b)
{
    return v_sel(a > b, a, b);
}
CR__FN vf v_min(vf a, vf b)
{
    return v_sel(a < b, a, b);
}
CR__FN vd d_max(vd a, vd b)
{
    return d_sel(a > b, a, b);
}
CR__FN vd d_min(vd a, vd b)
{
    return d_sel(a < b, a, b);
}
CR__FN void v_store_mask(uint8_t *p, vm m)
{
    vbytes b = __builtin_convertvector(m, vbytes) & 1;
    memcpy(p, &b, sizeof b);
}
CR__FN vm v_load_mask(const uint8_t *p)
{
    vbytes b;
    memcpy(&b, p, sizeof b);
    return __builtin_convertvector(b, vi) != 0;
}
CR__CALL vf v_load_part(const float *p, vm m)
{
    vf v = { 0 };
    for (int i = 0; i < CR__W; i++)
        if (m[i])
            v[i] = p[i];
    return v;
}
CR__CALL vd d_load_part(const double *p, vmd m)
{
    vd v = { 0 };
    for (int i = 0; i < CR__W / 2; i++)
        if (m[i])
            v[i] = p[i];
    return v;
}
CR__CALL void v_store_part(float *p, vm m, vf v)
{
    for (int i = 0; i < CR__W; i++)
        if (m[i])
            p[i] = v[i];
}
CR__CALL void d_store_part(double *p, vmd m, vd v)
{
    for (int i = 0; i < CR__W / 2; i++)
        if (m[i])
            p[i] = v[i];
}
CR__FN vf v_pick(vf v, vi i)
{
    vf picked = v;
    for (int lane = 0; lane < CR__W; lane++)
        picked[lane] = v[i[lane]];
    return picked;
}
CR__FN void v_fold4(const vf *v, float *out)
{
    for (int r = 0; r < 4; r++) {
        float l[CR__W];
        v_store(l, v[r]);
        for (int half = CR__W / 2; half; half /= 2)
            for (int i = 0; i < half; i++)
                l[i] += l[i + half];
        out[r] = l[0];
    }
}
CR__FN void d_fold4(const vd *v, double *out)
{
    for (int r = 0; r < 4; r++) {
        double l[CR__W / 2];
        d_store(l, v[r]);
        for (int half = CR__W / 4; half; half /= 2)
            for (int i = 0; i < half; i++)
                l[i] += l[i + half];
        out[r] = l[0];
    }
}
CR__FN vf v_down(vf v, int n)
{
    for (int i = 0; i < n; i++)
        v[i] = v[i + n];
    return v;
}
CR__FN vd d_down(vd v, int n)
{
    for (int i = 0; i < n; i++)
        v[i] = v[i + n];
    return v;
}
CR__CALL vf v_load_first(const float *p, int64_t n)
{
    vf v = { 0 };
    for (int i = 0; i < n; i++)
        v[i] = p[i];
    return v;
}
CR__CALL vd d_load_first(const double *p, int64_t n)
{
    vd v = { 0 };
    for (int i = 0; i < n; i++)
        v[i] = p[i];
    return v;
}
CR__CALL void v_store_first(float *p, int64_t n, vf v)
{
    for (int i = 0; i < n; i++)
        p[i] = v[i];
}
CR__CALL void d_store_first(double *p, int64_t n, vd v)
{
    for (int i = 0; i < n; i++)
        p[i] = v[i];
}
CR__CALL vm v_load_mask_first(const uint8_t *p, int64_t n)
{
    uint8_t bytes[CR__W] = { 0 };
    for (int i = 0; i < n; i++)
        bytes[i] = p[i];
    return v_load_mask(bytes);
}
CR__CALL vmd d_load_mask_first(const uint8_t *p, int64_t n)
{
    uint8_t bytes[CR__W] = { 0 };
    for (int i = 0; i < n; i++)
        bytes[i] = p[i];
    return d_load_mask(bytes);
}
CR__CALL void v_store_mask_first(uint8_t *p, int64_t n, vm m)
{
    for (int i = 0; i < n; i++)
        p[i] = (uint8_t)(m[i] & 1);
}
CR__CALL void d_store_mask_first(uint8_t *p, int64_t n, vmd m)
{
    for (int i = 0; i < n; i++)
        p[i] = (uint8_t)(m[i] & 1);
}
CR__FN vu v_of_u16(vhalf h)
{
    return __builtin_convertvector(h, vu);
}
#include "vec_parts.h"
