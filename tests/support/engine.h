/* What tests share beside the harness: small tensors, elements of arrays, and whether a call
 * failed as it should. */
#ifndef TESTS_SUPPORT_ENGINE_H
#define TESTS_SUPPORT_ENGINE_H

#include "tap.h"
#include <chainrule.h>
#include <stdlib.h>

/* True if the pending error is this one (any, if CR_OK) and its message holds the text;
 * clears it. */
bool failed_with(cr_ctx *ctx, cr_status status, const char *text);
#define FAILS(call, status, text) \
    ((void)(call), ok(failed_with(ctx, CR_ERR_##status, text), "%s", text))

/* The i-th element of an array. */
double number_at(cr_dtype dtype, const void *data, int64_t i);

cr_tensor *floats(cr_ctx *ctx, int n);

cr_tensor *indices(cr_ctx *ctx, int64_t a, int64_t b);

#endif
