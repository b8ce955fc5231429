/* Matrix products: from a unit to a job of the kernel. Operands that are tiny, as gradients
 * are that have vanished, are multiplied by a power of two while they are packed, and the
 * product is divided by it: sums of subnormal numbers then take no longer than others, and
 * are rounded only once. Obtains no memory, and cannot fail. */
#include "launch.h"

static cr__reader reader_of(const cr__strided *x, cr_dtype dtype)
{
    return (cr__reader){ .data = x->data,
                         .dtype = dtype,
                         .exponent = cr__tiny_exponent(x, dtype) };
}

void cr__run_product(const cr__plan *plan, const cr__unit *unit)
{
    const cr_tensor *x = unit->node;
    const cr__contract_info *info = x->op->internal;
    cr__strided a = cr__operand_of(plan, unit, 0), b = cr__operand_of(plan, unit, 1);
    const cr__reader readers[2] = { reader_of(&a, (cr_dtype)cr__input(x, 0)->dtype),
                                    reader_of(&b, (cr_dtype)cr__input(x, 1)->dtype) };
    if (info->conv) {
        cr__conv conv = { .dtype = (cr_dtype)x->dtype,
                          .operand = { readers[0], readers[1] },
                          .result = cr__unit_data(plan, unit) };
        memcpy(conv.strides[0], a.strides, sizeof conv.strides[0]);
        memcpy(conv.strides[1], b.strides, sizeof conv.strides[1]);
        info->conv(x, a.dims, b.dims, &conv);
        if (plan->scratch && cr__conv_bytes(&conv))
            conv.memory = plan->slots[plan->scratch - 1].buffer->data;
        cr__convolve(&conv, plan->ctx->team);
        return;
    }
    cr__gemm_job job = { .dtype = (cr_dtype)x->dtype,
                         .a = readers[0],
                         .b = readers[1],
                         .c = cr__unit_data(plan, unit) };
    info->job(x, &a, &b, &job);
    cr__gemm(&job, plan->ctx->team);
}
