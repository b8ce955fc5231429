/* Where the time goes: profiles of what runs compute, as a table and as a trace. */
#ifndef CHAINRULE_PROFILE_H
#define CHAINRULE_PROFILE_H

#include "core.h"
#include "macros.h"

CR_BEGIN

/* Begins a profile of the context's runs, and forgets the one before: the time of each group of
 * operations (cr_plan_format() shows groups), the bytes that it reads and writes, the arithmetic of
 * its contractions and of attention (a multiplication and an addition are two; of a causal mask
 * only what is seen counts), and its share of the machine's limit. cr_profile_stop() ends it; it
 * can be read until the next one begins, and meanwhile.
 * Results stay the same to the bit, and a run takes about 10 ns longer for each of its operations
 * and twice that for each group: what groups do is found out at the first of those that are alike,
 * of the same operations, lines and shapes.
 *
 * The machine's limit is measured when the first profile of a context begins, in some hundredths of
 * a second, with the threads of the context: multiply-adds of f32 that wait for nothing, and memory
 * that is gone through in order. A group cannot take less than the longer of
 *
 *     its operations / most operations per second,    its bytes / most bytes per second
 *
 * and its share of the limit is that, divided by the time that it took. Where data lie in a cache
 * it can be above 1. Contractions of f64 count twice. Other kernels count no operations.
 *
 * A group's time is divided among its operations in the proportion of what each would take alone at
 * the limit; a run of single elements, evenly.
 *
 * The environment's CHAINRULE_PROFILE=1 takes a profile from cr_open() to cr_close(), which prints
 * the table to stderr; any other text than 0 is the name of a file, which the trace is written to.
 * Errors: CR_ERR_MEMORY, here, or in a run that finds no room for its profile.
 * usage: cr_profile_start(ctx), cr_profile_start(ctx, .trace = true) */
typedef struct cr_profile_opts {
    const char *site CR_ZERO;
    bool trace CR_ZERO; /* keep each group for cr_profile_trace(): 24 bytes for it and for each
                         * other thread's part; 2^20 at most */
} cr_profile_opts;
CR_API cr_status cr_profile_start_at(cr_ctx *ctx, cr_profile_opts opts);
#define cr_profile_start(...)                       \
    cr_profile_start_at(CR_FIRST(__VA_ARGS__, 0),   \
                        CR_OPTS(cr_profile_opts, __VA_ARGS__))
CR_API cr_status cr_profile_stop(cr_ctx *ctx);

/* The profile as a table: by operation, a composite's as "softmax: exp", and by the line of the
 * program that recorded it (a backward operation has the line of its forward), the longest first,
 * each with its time, the share of all, the number of calls, megabytes, GFLOP and the share of the
 * limit. Then what planning, commits and the like took in runs, and what passed outside of them:
 * recording, backward walks and the program's own work. All of it together is the time that passed.
 * cr_profile_format() writes at most capacity bytes with a final NUL and returns the length of the
 * whole text, as snprintf does; 0 if no profile was begun. Errors: CR_ERR_ARGUMENT without one;
 * CR_ERR_NULL without a file, CR_ERR_IO where it cannot be written. */
CR_API size_t cr_profile_format(cr_ctx *ctx, char *text, size_t capacity);
CR_API cr_status cr_profile_print(cr_ctx *ctx, FILE *file);

/* The profile, begun with .trace, in the JSON that chrome://tracing and ui.perfetto.dev show: runs,
 * in them groups, and what other threads did of these, each on the thread's lane, with operations,
 * lines, bytes, FLOPs and the share of the limit. Errors as above. */
CR_API cr_status cr_profile_trace(cr_ctx *ctx, FILE *file);

CR_END
#endif
