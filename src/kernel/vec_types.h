/* The types of the vocabulary (vec.h), and the words that are the same for every set. */
typedef float vf __attribute__((vector_size(4 * CR__W)));
typedef int32_t vi __attribute__((vector_size(4 * CR__W)));
typedef uint32_t vu __attribute__((vector_size(4 * CR__W)));
typedef float vh __attribute__((vector_size(2 * CR__W)));
typedef double vd __attribute__((vector_size(4 * CR__W)));
typedef int64_t vl __attribute__((vector_size(4 * CR__W)));
typedef uint64_t vul __attribute__((vector_size(4 * CR__W)));
typedef uint16_t vhalf __attribute__((vector_size(2 * CR__W)));
typedef int8_t vbytes __attribute__((vector_size(CR__W)));

CR__FN vf v_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}
CR__FN vd d_load(const double *p)
{
    vd v;
    memcpy(&v, p, sizeof v);
    return v;
}
CR__FN void v_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}
CR__FN void d_store(double *p, vd v)
{
    memcpy(p, &v, sizeof v);
}
/* x - 0 is x with every bit, also of -0. */
CR__FN vf v_set(float x)
{
    return x - (vf){ 0 };
}
CR__FN vd d_set(double x)
{
    return x - (vd){ 0 };
}
CR__FN vi v_int(int32_t x)
{
    return x - (vi){ 0 };
}
CR__FN vf v_fill(const float *p)
{
    int32_t bits;
    memcpy(&bits, p, sizeof bits);
    return (vf)v_int(bits);
}
CR__FN vd d_fill(const double *p)
{
    int64_t bits;
    memcpy(&bits, p, sizeof bits);
    return (vd)(bits - (vl){ 0 });
}
CR__FN vf v_abs(vf a)
{
    return (vf)((vi)a & 0x7fffffff);
}
CR__FN vf v_copysign(vf a, vf sign)
{
    return (vf)(((vi)a & 0x7fffffff) | ((vi)sign & (int32_t)0x80000000));
}
CR__FN vd d_abs(vd a)
{
    return (vd)((vl)a & 0x7fffffffffffffff);
}
CR__FN vd d_copysign(vd a, vd sign)
{
    return (vd)(((vl)a & INT64_MAX) | ((vl)sign & INT64_MIN));
}
