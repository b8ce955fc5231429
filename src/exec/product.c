/* Matrix products: from nodes to jobs of the kernel. Operands that are tiny, as gradients
 * are that have vanished, are multiplied by a power of two before and the product is
 * divided by it after: sums of subnormal numbers then take no longer than others, and are
 * rounded only once. */
#include "exec.h"

/* An operand as the kernel gets it. */
typedef struct factor {
    cr__layout layout;
    const char *data;
    int exponent;       /* it is multiplied by 2^exponent */
    cr__buffer *scaled; /* the memory of that, or NULL */
} factor;

/* data[0..n) *= 2^exponent. Floats; in steps that are floats themselves. */
static void scale(void *data, cr_dtype dtype, int64_t n, int exponent)
{
    if (!exponent)
        return;
    cr__map_fn *multiply = cr__map_find(CR__MAP_mul, dtype, dtype, 2);
    int most = dtype == CR_F32 ? 120 : 1000;
    while (exponent) {
        int step = exponent > most ? most : exponent < -most ? -most : exponent;
        double wide = ldexp(1, step);
        float narrow = (float)wide;
        const void *src[] = { data, dtype == CR_F32 ? (const void *)&narrow : &wide };
        multiply(data, src, n);
        exponent -= step;
    }
}

static bool scaled_copy(const cr__plan *plan, factor *f, const cr_tensor *x,
                        const cr__strided *s)
{
    cr_dtype dtype = (cr_dtype)x->dtype;
    size_t size = cr_dtype_size(dtype);
    f->scaled = cr__buffer_new(plan->ctx, (size_t)x->shape->numel * size);
    if (!f->scaled)
        return false;
    cr__copy_strided(f->scaled->data, s, size, plan->ctx->team);
    scale(f->scaled->data, dtype, x->shape->numel, f->exponent);
    f->data = f->scaled->data;
    cr__layout_init(&f->layout, x->shape);
    return true;
}

static bool find_factor(const cr__plan *plan, cr_tensor *x, bool scalable, factor *f)
{
    cr__source source = cr__source_of(plan, x);
    f->layout = cr__layout_of(&source, x);
    cr__strided s = cr__strided_of(&source, x);
    f->data = s.data;
    f->exponent = scalable ? cr__tiny_exponent(&s, (cr_dtype)x->dtype) : 0;
    return !f->exponent || scaled_copy(plan, f, x, &s);
}

bool cr__run_contract(const cr__plan *plan, cr_tensor *x)
{
    const cr__contract_info *info = x->op->internal;
    cr_dtype dtype = (cr_dtype)x->dtype;
    factor a = { .scaled = NULL }, b = { .scaled = NULL };
    /* Kernels that scale write whole vectors: not the one element in a node. */
    bool scalable = x->shape->numel > 1;
    bool done = find_factor(plan, cr__input(x, 0), scalable, &a) &&
                find_factor(plan, cr__input(x, 1), scalable, &b);
    if (done) {
        cr__gemm_job job = { .dtype = dtype };
        info->job(x, &a.layout, &b.layout, &job);
        job.a = a.data;
        job.b = b.data;
        job.c = cr__destination(plan, x);
        cr__gemm(&job, plan->ctx->team);
        scale(job.c, dtype, x->shape->numel, -(a.exponent + b.exponent));
    } else
        cr__say_for_what(x);
    cr__buffer_release(a.scaled);
    cr__buffer_release(b.scaled);
    return done;
}
