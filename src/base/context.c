/* The context's plain part: the pending error, remarks, names, memory in numbers, the
 * state of the random numbers. Opening and closing is the graph's: it owns most of what
 * there is to close. */
#include "compiler.h"

#include "context.h"
#include "system.h"
#include "text.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- errors and remarks ---- */

cr_status cr_fail(cr_ctx *ctx, cr_status status, const char *format, ...)
{
    if (!ctx || status == CR_OK || ctx->status != CR_OK)
        return status;
    ctx->status = status;
    ctx->error_seen = false;
    va_list args;
    va_start(args, format);
    cr__vformat(ctx->message, sizeof ctx->message,
                format ? format : "an error without a message", args);
    va_end(args);
    return status;
}

cr_status cr_error(cr_ctx *ctx)
{
    if (!ctx)
        return CR_ERR_NULL;
    ctx->error_seen = true;
    return ctx->status;
}

cr_status cr__refuse(cr_ctx *ctx)
{
    ctx->spares = ctx->spares && ctx->status == CR_OK;
    return ctx->status;
}

const char *cr_message(cr_ctx *ctx)
{
    if (!ctx)
        return "the context is NULL";
    ctx->error_seen = true;
    return ctx->status == CR_OK ? "" : ctx->message;
}

void cr__fail_busy(cr_ctx *ctx, const char *what)
{
    cr_fail(ctx, CR_ERR_ARGUMENT,
            "%s: called from inside %s, where the context must not be used; do it after",
            what, ctx->busy);
}

void cr__log(cr_ctx *ctx, const char *format, ...)
{
    if (!ctx->log)
        return;
    char line[sizeof ctx->message + 64];
    va_list args;
    va_start(args, format);
    cr__vformat(line, sizeof line, format, args);
    va_end(args);
    const char *outer = ctx->busy;
    ctx->busy = "the log callback";
    ctx->log(ctx->log_user, line);
    ctx->busy = outer;
}

/* ---- cancelling ---- */

void cr_cancel(cr_ctx *ctx)
{
    if (ctx)
        __atomic_store_n(&ctx->cancelled, 1, __ATOMIC_RELAXED);
}

void cr__fail_cancelled(cr_ctx *ctx)
{
    __atomic_store_n(&ctx->cancelled, 0, __ATOMIC_RELAXED);
    cr_fail(ctx, CR_ERR_CANCELLED,
            "eval: cr_cancel() has ended the run; nothing has changed, and after "
            "cr_clear() the step can be done again");
}

/* ---- names ---- */

const char *cr_status_name(cr_status status)
{
    static const char *const names[] = {
        [CR_OK] = "ok",
        [CR_ERR_NULL] = "null",
        [CR_ERR_SHAPE] = "shape",
        [CR_ERR_DTYPE] = "dtype",
        [CR_ERR_ARGUMENT] = "argument",
        [CR_ERR_INDEX] = "index",
        [CR_ERR_MEMORY] = "memory",
        [CR_ERR_GRAD] = "grad",
        [CR_ERR_STALE] = "stale",
        [CR_ERR_NONFINITE] = "nonfinite",
        [CR_ERR_SCOPE] = "scope",
        [CR_ERR_IO] = "io",
        [CR_ERR_FORK] = "fork",
        [CR_ERR_CANCELLED] = "cancelled",
        [CR_ERR_VALUE] = "value",
        [CR_ERR_UNSUPPORTED] = "unsupported",
    };
    return (unsigned)status < CR__COUNT(names) ? names[status] : "unknown";
}

static const struct {
    const char *name;
    size_t size;
} dtypes[CR_DTYPES] = {
    [CR_DTYPE_DEFAULT] = { "none", 0 },
    [CR_F32] = { "f32", 4 },
    [CR_F64] = { "f64", 8 },
    [CR_I64] = { "i64", 8 },
    [CR_I32] = { "i32", 4 },
    [CR_U8] = { "u8", 1 },
    [CR_BOOL] = { "bool", 1 },
    [CR_BF16] = { "bf16", 2 },
    [CR_F16] = { "f16", 2 },
};

const char *cr_dtype_name(cr_dtype dtype)
{
    return (unsigned)dtype < CR_DTYPES ? dtypes[dtype].name : "unknown";
}

size_t cr_dtype_size(cr_dtype dtype)
{
    return (unsigned)dtype < CR_DTYPES ? dtypes[dtype].size : 0;
}

const char *cr_version(void)
{
    return CR_TEXT(CR_VERSION_MAJOR) "." CR_TEXT(CR_VERSION_MINOR) "." CR_TEXT(
        CR_VERSION_PATCH);
}

/* ---- in numbers ---- */

size_t cr_memory_used(const cr_ctx *ctx)
{
    return ctx ? cr__memory_used(&ctx->memory) : 0;
}

size_t cr_memory_peak(const cr_ctx *ctx)
{
    return ctx ? ctx->memory.peak : 0;
}

cr_status cr_reserve(cr_ctx *ctx, size_t bytes)
{
    if (!ctx)
        return CR_ERR_NULL;
    if (ctx->status != CR_OK || !cr__may_change(ctx, "reserve"))
        return ctx->status;
    if (bytes < CR__LEAST_RESERVE || cr__memory_reserve(ctx, bytes))
        cr__team_prepare(ctx->team);
    return ctx->status;
}

void cr_reset_peak(cr_ctx *ctx)
{
    if (ctx && cr__may_change(ctx, "reset_peak"))
        cr__memory_reset_peak(&ctx->memory);
}

double cr__seconds_of(const cr_ctx *ctx, uint64_t ticks)
{
    const uint64_t all = cr__ticks() - ctx->opened_ticks;
    const int64_t nanoseconds = cr__nanoseconds() - ctx->opened;
    return all ? 1e-9 * (double)nanoseconds * ((double)ticks / (double)all) : 0;
}

cr_stats cr_get_stats(const cr_ctx *ctx)
{
    if (!ctx)
        return (cr_stats){ 0 };
    CR__FP_GUARD();
    return (cr_stats){ .used = cr_memory_used(ctx),
                       .peak = cr_memory_peak(ctx),
                       .held = ctx->memory.held,
                       .allocations = ctx->memory.allocations,
                       .runs = ctx->counts.runs,
                       .groups = ctx->counts.groups,
                       .nodes = ctx->counts.nodes,
                       .seconds = cr__seconds_of(ctx, ctx->counts.ticks) };
}

void cr_trim(cr_ctx *ctx)
{
    if (ctx && cr__may_change(ctx, "trim"))
        cr__memory_trim(ctx);
}

/* ---- the state of the random numbers ---- */

void cr_seed(cr_ctx *ctx, uint64_t seed)
{
    cr_rng_set(ctx, (cr_rng){ .seed = seed });
}

cr_rng cr_rng_get(const cr_ctx *ctx)
{
    return ctx ? ctx->rng : (cr_rng){ 0, 0 };
}

void cr_rng_set(cr_ctx *ctx, cr_rng rng)
{
    if (ctx && cr__may_change(ctx, "rng_set"))
        ctx->rng = rng;
}
