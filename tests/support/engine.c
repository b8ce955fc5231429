/* What tests share beside the harness: small tensors, elements of arrays, and whether a call
 * failed as it should. */
#include "engine.h"
#include "half.h"

bool failed_with(cr_ctx *ctx, cr_status status, const char *text)
{
    bool good = cr_error(ctx) && (!status || cr_error(ctx) == status) &&
                strstr(cr_message(ctx), text);
    if (!good)
        diag("  %s: \"%s\", and \"%s\" was wanted", cr_status_name(cr_error(ctx)),
             cr_message(ctx), text);
    cr_clear(ctx);
    return good;
}

double number_at(cr_dtype dtype, const void *data, int64_t i)
{
    switch (dtype) {
    case CR_F64:
        return ((const double *)data)[i];
    case CR_F32:
        return (double)((const float *)data)[i];
    case CR_I64:
        return (double)((const int64_t *)data)[i];
    case CR_I32:
        return (double)((const int32_t *)data)[i];
    case CR_BF16:
    case CR_F16:
        return half_value(dtype, ((const uint16_t *)data)[i]);
    default:
        return (double)((const uint8_t *)data)[i];
    }
}

cr_tensor *floats(cr_ctx *ctx, int n)
{
    return cr_add(cr_arange(ctx, 0, n, 1), 0.5);
}

cr_tensor *indices(cr_ctx *ctx, int64_t a, int64_t b)
{
    return cr_from(ctx, CR_I64, CR_DIMS(2), ((int64_t[]){ a, b }));
}
