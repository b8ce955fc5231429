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
    cr__image images[2];
    cr__gemm_job job = { .dtype = (cr_dtype)x->dtype,
                         .a = reader_of(&a, (cr_dtype)cr__input(x, 0)->dtype),
                         .b = reader_of(&b, (cr_dtype)cr__input(x, 1)->dtype),
                         .c = cr__unit_data(plan, unit) };
    info->job(x, &a, &b, &job, images);
    cr__gemm(&job, plan->ctx->team);
}
