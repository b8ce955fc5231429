/* What the tests of the engine share: small tensors, and whether a call failed as it
 * should. */
#include "engine.h"

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

cr_tensor *floats(cr_ctx *ctx, int n)
{
    return cr_add(cr_arange(ctx, 0, n, 1), 0.5);
}

cr_tensor *indices(cr_ctx *ctx, int64_t a, int64_t b)
{
    return cr_from(ctx, CR_I64, CR_DIMS(2), ((int64_t[]){ a, b }));
}
