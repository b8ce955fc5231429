/* The core of the interface: types, contexts and errors, making and reading tensors, scopes,
 * gradients. */
#ifndef CHAINRULE_CORE_H
#define CHAINRULE_CORE_H

#include "api.h"

CR_BEGIN

/* ---- Types ------------------------------------------------------------------------- */

typedef struct cr_ctx cr_ctx;       /* a context: owns tensors, memory, the pending error */
typedef struct cr_tensor cr_tensor; /* an immutable value, known or still to be computed */
typedef struct cr_pool cr_pool;     /* worker threads, which contexts may share */
typedef struct cr_module cr_module; /* a layer or a network: parameters and a forward pass */
typedef struct cr_optim cr_optim;   /* an optimiser and its state */
typedef struct cr_op cr_op;         /* an operation: operations.h */

typedef enum cr_status {
    CR_OK = 0,
    CR_ERR_NULL,      /* a NULL where a tensor is required */
    CR_ERR_SHAPE,     /* sizes or ranks that do not fit */
    CR_ERR_DTYPE,     /* an element type that the operation does not take */
    CR_ERR_ARGUMENT,  /* any other value out of its domain */
    CR_ERR_INDEX,     /* an index or label out of range, found while computing */
    CR_ERR_VALUE,     /* elements that cannot be taken, found likewise: a singular matrix */
    CR_ERR_MEMORY,    /* an allocation failed, or memory_limit is reached */
    CR_ERR_GRAD,      /* a gradient that does not exist was asked for */
    CR_ERR_STALE,     /* the value was let go, and a leaf beneath it was assigned since */
    CR_ERR_NONFINITE, /* an infinity or NaN where it must not be */
    CR_ERR_SCOPE,     /* a tensor of a closed scope or of another context */
    CR_ERR_IO,        /* a file could not be read or written */
    CR_ERR_FORK,      /* the context was made by the parent process */
    CR_ERR_CANCELLED, /* cr_cancel() has ended a run */
    CR_ERR_UNSUPPORTED
} cr_status;

/* Hooks: autograd.h. */
typedef cr_tensor *cr_hook(cr_tensor *x, cr_tensor *cotangent, void *user);
typedef void cr_post_accumulate_hook(cr_tensor *leaf, void *user);

/* Element types. Zero, where an option asks for a dtype, means the default (f32).
 *
 * bf16 and f16 are stored in 16 bits and computed in f32: an operation gives what it gives of the
 * same values in f32, rounded once, to nearest, ties to even; what is too large becomes infinite.
 * So sums, means and products add in f32, and softmax, norms and losses are f32 inside. Random
 * numbers are those of f32, rounded; cr_rand() rounds down, to stay below 1. A C number beside
 * such a tensor must be one that its type can hold, and takes part as an f32; comparisons round it
 * to the type. A gradient has the type of its tensor. In arrays they are uint16_t, holding the
 * bits; f16 is _Float16 too, where the compiler has it. */
typedef enum cr_dtype {
    CR_DTYPE_DEFAULT = 0,
    CR_F32,
    CR_F64,
    CR_I64,
    CR_I32,
    CR_U8,
    CR_BOOL,
    CR_BF16, /* the upper half of an f32: its range, 8 binary digits */
    CR_F16,  /* IEEE 754's binary16: 11 digits, at most 65504 */
    CR_DTYPES /* one past the last */
} cr_dtype;

#define CR_MAX_DIMS 8

/* A short list of integers: a shape, or some dimensions. A zeroed struct is "not given", which for
 * a reduction's dims means all of them (CR_ALL); CR_NO_DIMS is the empty list, given. Made by
 * CR_DIMS(2, 3) or cr_dims_of(). */
typedef struct cr_dims {
    int64_t v[CR_MAX_DIMS];
    int n;
    bool given;
} cr_dims;

/* A short list of numbers, for options: CR_REALS(0.9, 0.999). A zeroed struct is "not given". */
typedef struct cr_reals {
    CR_NO_NUMBER
    double v[4];
    int n;
} cr_reals;

/* One number, for options where zero is legal and not the default: CR_INT(0), CR_REAL(0.5); and
 * CR_INT(false), where true is the default. A zeroed struct is "not given". */
typedef struct cr_opt_int {
    CR_NO_NUMBER
    int64_t v;
    bool given;
} cr_opt_int;
typedef struct cr_opt_real {
    CR_NO_NUMBER
    double v;
    bool given;
} cr_opt_real;

/* An operand of a binary operation: a tensor or a C number. Made by CR_ARG(x). */
typedef enum cr_arg_kind {
    CR_ARG_NONE = 0,
    CR_ARG_TENSOR,
    CR_ARG_REAL,
    CR_ARG_INT,
    CR_ARG_UINT
} cr_arg_kind;

typedef struct cr_arg {
    cr_arg_kind kind;
    union {
        cr_tensor *tensor;
        double real;
        int64_t i;
        uint64_t u;
    } v;
} cr_arg;

/* The list of n integers at v; n above CR_MAX_DIMS gives a list that every operation refuses.
 * Beside it stand cr_arg_tensor(x), cr_arg_real(x), cr_arg_int(x) and cr_arg_uint(x), which make
 * operands for functions that end in _at. */
static inline cr_dims cr_dims_of(const int64_t *v, int n)
{
    cr_dims d;
    d.n = n;
    d.given = true;
    for (int i = 0; i < CR_MAX_DIMS; i++)
        d.v[i] = i < n ? v[i] : 0;
    return d;
}

/* ---- Contexts and errors ----------------------------------------------------------- */

/* Options of cr_open(); zero means the default throughout. */
typedef struct cr_options {
    int threads;         /* threads that compute, the caller's included; default: the cores
                          * this process may run on. Results do not depend on it. */
    size_t memory_limit; /* bytes that all that is made may take: see cr_memory_used(); default:
                          * no limit */
    bool eager;          /* compute each operation as it is recorded: slower, for debugging;
                          * the same bits. The environment's CHAINRULE_EAGER=1 does the same. */
    bool check;          /* find uses of released tensors: see "Scopes and lifetime". The
                          * environment's CHAINRULE_CHECK=1 does the same. */
    bool trace_nonfinite; /* find where infinities and NaNs come from: cr_trace_nonfinite() in
                           * autograd.h. CHAINRULE_TRACE_NONFINITE=1 does the same. */
    cr_pool *pool;       /* worker threads to share with other contexts */

    /* The host's own job system: calls body(arg, i) for each i below n, in any order and on any
     * threads, and returns when all are done. n is at most `threads`; each call takes work until
     * there is no more, so that those that run late have nothing to do. Replaces the pool. */
    void (*parallel_for)(void *user, int n, void (*body)(void *arg, int i), void *arg);
    void *parallel_user;

    /* Memory: all three or none. alloc returns memory aligned for any type, or NULL. */
    void *(*alloc)(void *user, size_t bytes);
    void (*free)(void *user, void *memory, size_t bytes);
    void *memory_user;

    /* Remarks that are not errors: one line each, without a newline. Default: dropped. */
    void (*log)(void *user, const char *line);
    void *log_user;
} cr_options;

/* A new context, or NULL if there is no memory for it. options may be NULL. The random seed is 0.
 * Also NULL, with a line to the log, if the library was compiled so that its arithmetic is not that
 * of its source (clang -ffp-contract=fast): no result could be relied on. What the compiler shows
 * of this, as -ffast-math and its parts, does not compile.
 * Environment: CHAINRULE_ISA=generic|avx2|avx512|neon chooses the kernels (the best is chosen
 * otherwise, once for the process; the log says if there are no such), CHAINRULE_EAGER=1 computes
 * eagerly, CHAINRULE_CHECK=1 finds uses of released tensors, CHAINRULE_TRACE_NONFINITE=1 where
 * infinities and NaNs come from. */
CR_API cr_ctx *cr_open(const cr_options *options);

/* Frees the context and every tensor in it; modules and optimisers of this context must have been
 * freed before. An error that was never looked at is logged. NULL is allowed. */
CR_API void cr_close(cr_ctx *ctx);

/* The first error since the last cr_clear(), or CR_OK. cr_message() is its text, "" if there is
 * none; it lives until the next error or cr_clear(). NULL: CR_ERR_NULL.
 * What was pending on leaves when the error came (assignments and gradients that no run had
 * computed yet) is forgotten by cr_clear(), or by the end of the scope: a failed step changes
 * nothing. */
CR_API cr_status cr_error(cr_ctx *ctx);
CR_API const char *cr_message(cr_ctx *ctx);
CR_API void cr_clear(cr_ctx *ctx);

/* Code of yours that the library calls in the midst of something (kernels, parallel_for, the
 * allocator, the log, done functions, shape rules) must not use the context it is called for:
 * every such call but cr_fail(), cr_error() and plain questions is CR_ERR_ARGUMENT and does
 * nothing. vjps, expansions and functions under cr_gradcheck() record as anybody does, and may
 * open scopes if they end them; ending one that they have not opened is an error. */

/* Records an error as the library does, for operations of your own and bindings; returns status.
 * The first error stays. */
CR_API cr_status cr_fail(cr_ctx *ctx, cr_status status, const char *format, ...) CR_FORMAT(3, 4);

/* "shape", "dtype", ... and "f32", "f64", ...; never NULL. The bytes of one element. */
CR_API const char *cr_status_name(cr_status status);
CR_API const char *cr_dtype_name(cr_dtype dtype);
CR_API size_t cr_dtype_size(cr_dtype dtype);

/* "0.1.0", and the kernels in use: "avx512", "avx2", "neon" or "generic". */
CR_API const char *cr_version(void);
CR_API const char *cr_isa(void);

/* Bytes in use now, and at most since the context was opened: the elements of tensors, and all the
 * rest, the records of operations, shapes, scopes, names, modules and optimisers. Not what opening
 * the context takes, nor memory that is kept for what comes next, which is at most what was in use
 * once, and half a MiB for plans of earlier runs. What is used stays within memory_limit:
 * beyond it is CR_ERR_MEMORY, and the context stays as usable as before. (Memory for elements is
 * rounded up, by an eighth and 300 bytes at most, and that does not count.) cr_trim() gives kept
 * memory of tensors back to the system. */
CR_API size_t cr_memory_used(const cr_ctx *ctx);
CR_API size_t cr_memory_peak(const cr_ctx *ctx);
CR_API void cr_trim(cr_ctx *ctx);

/* What a context holds, and has done since it was opened; all 0 for NULL. */
typedef struct cr_stats {
    size_t used, peak;    /* cr_memory_used(), cr_memory_peak() */
    size_t held;          /* bytes that the allocator has given and not got back: what is used, what
                           * is kept, what rounding takes; not what opening takes */
    uint64_t allocations; /* how often it was asked for them: a loop in steady state does not */
    uint64_t runs;        /* that have computed something; eagerly each operation is one */
    uint64_t groups;      /* that they computed, each in one go: see cr_plan_format() */
    uint64_t nodes;       /* operations that they computed, views not counted */
    double seconds;       /* that runs took: planning and computing, not recording; but for those of
                           * fewer than 64 single elements, which looking at the clock would slow */
} cr_stats;
CR_API cr_stats cr_get_stats(const cr_ctx *ctx);

/* Obtains memory beforehand and touches it, so that the system has given its pages: so many bytes,
 * in one block, and those of the threads, which are started. All that is made from then on is taken
 * from there as long as it suffices, and returns there when it goes: not even the first step of a
 * training asks the allocator or the system for anything then. A program that has run knows how
 * much that is: cr_get_stats().held, and half of it on top for what division into pieces loses.
 * What is reserved counts as held, as used only when it is; another call adds to it; cr_trim() does
 * not give it back, cr_close() does. Errors: CR_ERR_MEMORY if there is not so much, or memory_limit
 * leaves less; nothing has changed then. */
CR_API cr_status cr_reserve(cr_ctx *ctx, size_t bytes);

/* The peak is from now on that of what comes: what is used now, to begin with. */
CR_API void cr_reset_peak(cr_ctx *ctx);

/* Ends a run of the context from outside: from another thread, or a signal handler (it is one store
 * to an atomic variable). The run that is in progress, or else the next one, fails with
 * CR_ERR_CANCELLED, which leaves everything as it was, like any other error: parameters, states and
 * statistics have the values of before, and the step can be recorded and computed again. Results
 * are those of a program that was never cancelled, if random numbers are drawn again from the same
 * place (cr_rng_get, cr_rng_set).
 * A run looks before it begins, before each group and, on several threads, before each part of one;
 * not in the midst of an operation's own kernel. Once it has begun to write over the values that
 * it replaces, which it does behind the commit point (cr_plan_format()), it goes on to its end, and
 * the next run is the one that fails. Recording takes no notice. cr_clear() takes the error away,
 * and a cancellation that no run has met yet; several of these are one. NULL is allowed. */
CR_API void cr_cancel(cr_ctx *ctx);

/* Random numbers are a function of the seed, the number of the draw in its context and the
 * element (Philox 4x32-10: Salmon et al., 2011), so threads, order of computing and mode do not
 * matter. cr_seed() starts over at draw 0. */
typedef struct cr_rng {
    uint64_t seed;
    uint64_t draw;
} cr_rng;
CR_API void cr_seed(cr_ctx *ctx, uint64_t seed);
CR_API cr_rng cr_rng_get(const cr_ctx *ctx);
CR_API void cr_rng_set(cr_ctx *ctx, cr_rng rng);

/* Worker threads for several contexts that run one at a time or together; n as in
 * cr_options.threads. Close it after the contexts. */
CR_API cr_pool *cr_pool_open(int threads);
CR_API void cr_pool_close(cr_pool *pool);

/* ---- Making tensors ---------------------------------------------------------------- */

/* A tensor has rank 0 to 8 and sizes of 0 or more; its values are row-major. Every builder takes
 * the context first or finds it in its tensors. Errors: CR_ERR_SHAPE for a negative size, a rank
 * above 8 or a product beyond 2^62 bytes; CR_ERR_MEMORY. */
typedef struct cr_make_opts {
    const char *site CR_ZERO;
    cr_dtype dtype CR_ZERO; /* default f32 */
} cr_make_opts;

/* From memory: copies numel elements of the given type at data, which may be a compound literal.
 * usage: cr_from(ctx, CR_F32, CR_DIMS(3), (float[]){ 1, 2, 3 }). Bools are bytes: 0 is false.
 * Where data points to numbers of a C type that is not the dtype's, size and kind, it is
 * CR_ERR_DTYPE: doubles are no f32; int64_t is i64, whichever type that is; char and unsigned char
 * are u8 and bool; uint16_t is bf16 and f16. What points to void, or to no numbers, is taken as it
 * is. For cr_from_at() the type is its name in C, "double", or NULL for one that is not to be
 * compared. */
CR_API cr_tensor *cr_from_at(cr_ctx *ctx, cr_dtype dtype, cr_dims shape, const void *data,
                             const char *type, const char *site);

/* Uses the caller's memory without copying it. It must stay unchanged until done(user, data) is
 * called (done may be NULL), which happens once, when the last tensor that needs it is gone; not if
 * the result is NULL. Its type is checked as that of cr_from(); bools are 0 or 1.
 * usage: cr_borrow(ctx, CR_F32, CR_DIMS(2, 3), data, done, user) */
CR_API cr_tensor *cr_borrow_at(cr_ctx *ctx, cr_dtype dtype, cr_dims shape, const void *data,
                               void (*done)(void *user, const void *data), void *user,
                               const char *type, const char *site);

/* A rank-0 tensor. usage: cr_scalar(ctx, 3.0), cr_scalar(ctx, 7, .dtype = CR_I64) */
CR_API cr_tensor *cr_scalar_at(cr_ctx *ctx, cr_arg value, cr_make_opts opts);
#define cr_scalar(ctx, ...)                                   \
    cr_scalar_at(ctx, CR_ARG(CR_FIRST(__VA_ARGS__, 0)),       \
                 CR_OPTS(cr_make_opts, __VA_ARGS__))

/* All value, all zeros, all ones. usage: cr_full(ctx, CR_DIMS(2, 3), 0.5),
 * cr_zeros(ctx, CR_DIMS(2, 3)), cr_ones(ctx, CR_NO_DIMS, .dtype = CR_F64) */
CR_API cr_tensor *cr_full_at(cr_ctx *ctx, cr_dims shape, cr_arg value, cr_make_opts opts);
#define cr_full(ctx, shape, ...)                              \
    cr_full_at(ctx, shape, CR_ARG(CR_FIRST(__VA_ARGS__, 0)),  \
               CR_OPTS(cr_make_opts, __VA_ARGS__))
#define cr_zeros(ctx, ...)                                    \
    cr_full_at(ctx, CR_FIRST(__VA_ARGS__, 0), cr_arg_int(0),  \
               CR_OPTS(cr_make_opts, __VA_ARGS__))
#define cr_ones(ctx, ...)                                     \
    cr_full_at(ctx, CR_FIRST(__VA_ARGS__, 0), cr_arg_int(1),  \
               CR_OPTS(cr_make_opts, __VA_ARGS__))

/* The same with shape, dtype and context of another tensor. */
CR_API cr_tensor *cr_full_like_at(cr_tensor *like, cr_arg value, const char *site);
#define cr_full_like(like, value) cr_full_like_at(like, CR_ARG(value), CR_HERE)
#define cr_zeros_like(like) cr_full_like_at(like, cr_arg_int(0), CR_HERE)
#define cr_ones_like(like) cr_full_like_at(like, cr_arg_int(1), CR_HERE)

/* start, start + step, ... below end (above, for a negative step): numel ceil((end-start)/step).
 * Element i is start + i*step, rounded once to the dtype.
 * usage: cr_arange(ctx, 0, 10, 1), cr_arange(ctx, 0, 10, 1, .dtype = CR_I64) */
CR_API cr_tensor *cr_arange_at(cr_ctx *ctx, cr_arg start, cr_arg end, cr_arg step,
                               cr_make_opts opts);
#define cr_arange(ctx, start, end, ...)                                              \
    cr_arange_at(ctx, CR_ARG(start), CR_ARG(end), CR_ARG(CR_FIRST(__VA_ARGS__, 0)),  \
                 CR_OPTS(cr_make_opts, __VA_ARGS__))

/* steps numbers evenly from start to end, both included. usage: cr_linspace(ctx, 0, 1, 11) */
CR_API cr_tensor *cr_linspace_at(cr_ctx *ctx, double start, double end, int64_t steps,
                                 cr_make_opts opts);
#define cr_linspace(ctx, start, end, ...)                            \
    cr_linspace_at(ctx, start, end, CR_FIRST(__VA_ARGS__, 0),        \
                   CR_OPTS(cr_make_opts, __VA_ARGS__))

/* The identity matrix [n, n]. usage: cr_eye(ctx, 3), cr_eye(ctx, 3, .dtype = CR_F64) */
CR_API cr_tensor *cr_eye_at(cr_ctx *ctx, int64_t n, cr_make_opts opts);
#define cr_eye(ctx, ...)                        \
    cr_eye_at(ctx, CR_FIRST(__VA_ARGS__, 0),    \
              CR_OPTS(cr_make_opts, __VA_ARGS__))

/* Uniform in [0, 1); standard normal (Box-Muller). Floats. See cr_seed().
 * usage: cr_rand(ctx, CR_DIMS(2, 3)), cr_randn(ctx, CR_DIMS(2, 3), .dtype = CR_F64) */
CR_API cr_tensor *cr_rand_at(cr_ctx *ctx, cr_dims shape, cr_make_opts opts);
CR_API cr_tensor *cr_randn_at(cr_ctx *ctx, cr_dims shape, cr_make_opts opts);
#define cr_rand(ctx, ...)                       \
    cr_rand_at(ctx, CR_FIRST(__VA_ARGS__, 0),   \
               CR_OPTS(cr_make_opts, __VA_ARGS__))
#define cr_randn(ctx, ...)                      \
    cr_randn_at(ctx, CR_FIRST(__VA_ARGS__, 0),  \
                CR_OPTS(cr_make_opts, __VA_ARGS__))
CR_API cr_tensor *cr_rand_like_at(cr_tensor *like, const char *site);
CR_API cr_tensor *cr_randn_like_at(cr_tensor *like, const char *site);
#define cr_rand_like(like) cr_rand_like_at(like, CR_HERE)
#define cr_randn_like(like) cr_randn_like_at(like, CR_HERE)

/* ---- Reading tensors --------------------------------------------------------------- */

/* Shape and type, known without computing. NULL, and a tensor that was released, has rank 0, no
 * elements and no type.
 * cr_size() takes negative dims from the end and gives -1 for one that does not exist. */
CR_API int cr_ndim(const cr_tensor *x);
CR_API int64_t cr_size(const cr_tensor *x, int dim);
CR_API cr_dims cr_shape(const cr_tensor *x);
CR_API int64_t cr_numel(const cr_tensor *x);
CR_API cr_dtype cr_dtype_of(const cr_tensor *x);
CR_API cr_ctx *cr_ctx_of(const cr_tensor *x);

/* The one element of x as a number: NaN (0 for cr_item_i64), with an error unless x is NULL, if x
 * has another number of elements or cannot be computed. Integers beyond 2^53 want cr_item_i64. */
CR_API double cr_item(cr_tensor *x);
CR_API int64_t cr_item_i64(cr_tensor *x);

/* The elements, row-major. cr_data() gives a pointer that is valid until x is assigned or
 * released, NULL on failure; cr_read(x, dst, bytes) copies them to dst, which has room for bytes,
 * and whose type is checked as that of cr_from() is; char and unsigned char may hold any.
 * usage: cr_read(x, dst, sizeof dst) */
CR_API const void *cr_data(cr_tensor *x);
CR_API cr_status cr_read_at(cr_tensor *x, void *dst, size_t bytes, const char *type,
                            const char *site);

/* Computes the values now, all in one run. usage: cr_eval(a), cr_eval(a, b, c) */
CR_API cr_status cr_eval_at(cr_tensor *const *xs, int n, const char *site);

/* What a run that computes xs, n of them, and what is pending on leaves would do, in words, before
 * anything is computed. Planning computes nothing and changes nothing.
 *
 *     plan: 4 values in 2 groups, reads 16400, writes 8800 bytes
 *     commit point: nothing can fail from here on
 *     group 1: reduction over [100, 20]           reads 8000, writes 400 bytes
 *         %1 = amax(x)                            f32 [100, 1] -> slot 1, stays    (train.c:9)
 *     group 2: maps and reduction over [100, 20]  reads 8400, writes 8400 bytes
 *         %2 = sub(x, %1 any)                     f32 [100, 20]                    (train.c:9)
 *         %3 = exp(%2)                            f32 [100, 20] -> slot 2, stays
 *         %4 = sum(%3)                            f32 [100] -> slot 3, stays       (train.c:10)
 *     memory: peak 18738 bytes: 9938 in use, 8800 obtained
 *         of these stay 8800, of which 8400 for a backward pass
 *         overwritten: 0 bytes of old values
 *         slot 2: 8000 bytes                      first exp f32 [100, 20] (train.c:9)
 *
 * Groups, each computed in one go, in order, and their operations. What an operation reads: others'
 * results, numbers, what is known already, by its name or shape, and old values, which the run
 * replaces. How, unless element by element: `one` element for all, one for each `row`, the same
 * `column` values in every row, by `runs`, or in `any` order. Its type, and where the result lies:
 * in a slot of memory, in place of an old value, with its node, or nowhere; whether it stays behind
 * the run. The composite and the call that it is from, where they are not those of the line above.
 * Groups that run together compute one part of their values, as of a batch, all of them, and then
 * the next: what one has made is in the cache when another reads it.
 *
 * Behind the commit point old values are overwritten. The peak is exactly that of
 * cr_memory_peak(), if none was higher before. What stays for a backward pass is read by one to
 * come, or by operations that this run does not compute. Of more than 220 groups the first 200 and
 * the last 20 are told.
 *
 * Written like cr_format(): cr_plan_format(xs, n, NULL, 0) measures. 0 with an error, and without
 * a tensor. In eager mode nothing is left to plan. */
CR_API size_t cr_plan_format(cr_tensor *const *xs, int n, char *text, size_t capacity);

/* Keeps the value of x readable after later assignments, and its gradient after a backward pass
 * (cr_grad works on it as on a leaf). Returns x. */
CR_API cr_tensor *cr_watch(cr_tensor *x);

/* A name for messages and reports (copied); "" if there is none. cr_named returns x. */
CR_API cr_tensor *cr_named(cr_tensor *x, const char *name);
CR_API const char *cr_name(const cr_tensor *x);

/* Writes shape, type and values (abbreviated beyond 1000) for people. cr_format() writes at most
 * capacity bytes with a final NUL and returns the length of the whole text, as snprintf does. */
CR_API cr_status cr_print(cr_tensor *x, FILE *file);
CR_API size_t cr_format(cr_tensor *x, char *text, size_t capacity);

/* ---- Scopes and lifetime ----------------------------------------------------------- */

/* What is made between the two calls is released by the second, which also computes what is still
 * pending for tensors that live on: kept ones, assignments, gradients of leaves. Scopes nest; the
 * root scope is the context's own. Popping the root scope is an error. */
CR_API cr_status cr_scope_push(cr_ctx *ctx);
CR_API cr_status cr_scope_pop_at(cr_ctx *ctx, const char *site);
#define cr_scope_pop(ctx) cr_scope_pop_at(ctx, CR_HERE)

/* A tensor is held by its scope, by cr_retain(), by the leaf whose gradient it is. What none of
 * them holds was released: it is not the caller's any more, whoever else still refers to it, and
 * must not be used. That is an error (CR_ERR_SCOPE), which says where it was made and where its
 * scope ended. But its memory is used again, some thousand tensors later, and then it is, in
 * silence, another tensor. With cr_options.check or CHAINRULE_CHECK=1 memory of tensors is never
 * used again: each use of a released one is an error then, also in cr_ndim() and its like. It costs
 * 128 bytes for each tensor that there ever was, which count neither in cr_memory_used() nor
 * against the limit. */

/* Values carried from step to step: a loop whose body is a scope hands a state on by assignment,
 *
 *     cr_tensor *h = cr_zeros(ctx, CR_DIMS(64));
 *     for (...) {
 *         CR_SCOPE(ctx);
 *         cr_assign(h, cr_tanh(cr_add(cr_matmul(h, u), x)));
 *     }
 *
 * or by reference: next = cr_retain(...) in the scope, then cr_release(h) and h = next behind it.
 * Either takes the memory of one state, however many steps there are: a value that is known and has
 * no gradient to hand down holds nothing that it was computed from. With cr_keep() every state
 * stays, for itself, until the enclosing scope ends, unless cr_release() ends that before: next =
 * cr_keep(...) in the scope, then cr_release(h) and h = next behind it.
 * What needs a gradient holds its graph with all that vjps may read: to carry a loss or a recurrent
 * state, carry a cr_detach() of it, or its number.
 *
 * While something recorded and not yet computed reads a value, that value is kept: cr_item(loss),
 * then cr_item(accuracy) computes their network once. */

/* Moves x to the enclosing scope, when the present one ends: x outlives it, and is released with
 * the enclosing one, or from then on by cr_release(). Returns x. */
CR_API cr_tensor *cr_keep(cr_tensor *x);

/* The reference count beneath, for bindings: each retain is matched by a release, or by the end of
 * the context. cr_release() of what is not retained, but was moved here by cr_keep(), takes it from
 * its scope. Releasing anything else is an error: scopes release what they hold. */
CR_API cr_tensor *cr_retain(cr_tensor *x);
CR_API void cr_release(cr_tensor *x);

/* Gradient recording off and on; nests. cr_grad_enabled() says which. A pop without its push is
 * CR_ERR_ARGUMENT. */
CR_API void cr_no_grad_push(cr_ctx *ctx);
CR_API void cr_no_grad_pop(cr_ctx *ctx);
CR_API bool cr_grad_enabled(const cr_ctx *ctx);

/* Between the two calls nothing is kept for backward passes, but computed again in them: see
 * CR_RECOMPUTE(ctx); in autograd.h. A pop without its push is CR_ERR_ARGUMENT. */
CR_API void cr_recompute_push(cr_ctx *ctx);
CR_API void cr_recompute_pop(cr_ctx *ctx);

/* CR_SCOPE(ctx);, CR_NO_GRAD(ctx); and CR_RECOMPUTE(ctx); as declarations: they end with their
 * block, however it is left. */

/* ---- Gradients --------------------------------------------------------------------- */

/* Makes x (a float) a leaf: backward passes accumulate into its gradient, and go no further.
 * Returns x. usage: cr_requires_grad(x), cr_requires_grad(x, false).
 *
 * cr_requires_grad(x, false) freezes a leaf, as PyTorch does: it stays one, operations pass no
 * gradient to it, and a backward pass adds none, also if the loss was recorded before. The
 * gradient that it has already stays until cr_zero_grad(), and an optimiser's step before that
 * still takes it; after it the step leaves the parameter, its momentum and its count of steps
 * alone, and they go on when cr_requires_grad(x) thaws it. Change it between steps: a backward pass
 * follows what x is at that time. Errors: CR_ERR_DTYPE to make a leaf of what is no float;
 * CR_ERR_GRAD for what is computed from tensors that need gradients, since it would cut them off:
 * cr_watch() keeps its gradient and cr_detach() is its value without one. */
CR_API cr_tensor *cr_requires_grad_at(cr_tensor *x, bool requires_grad, const char *site);
#define cr_requires_grad(...) \
    CR_THIRD_(__VA_ARGS__, CR_REQUIRES_GRAD_2_, CR_REQUIRES_GRAD_1_, )(__VA_ARGS__)
#define CR_REQUIRES_GRAD_1_(x) cr_requires_grad_at(x, true, CR_HERE)
#define CR_REQUIRES_GRAD_2_(x, requires_grad) cr_requires_grad_at(x, requires_grad, CR_HERE)

/* True if x is a leaf, frozen or not: cr_requires_grad() or cr_assign() has made it one. */
CR_API bool cr_is_leaf(const cr_tensor *x);

/* Backpropagation: for every leaf beneath the scalar loss, grad += d loss / d leaf, by the chain
 * rule from the loss down, each operation once. Recorded only; computed with the next run. The
 * activations are let go after it; .retain_graph keeps them for another pass, which would compute
 * them again otherwise.
 * Gradients that are to be differentiated come from cr_gradients() with .create_graph: a leaf's is
 * a constant. Several losses in one pass: cr_backward_many().
 * Errors: CR_ERR_GRAD if loss is not a scalar float, or nothing beneath it requires a gradient
 * (see cr_explain_no_grad), or an input is no leaf, nor watched, or frozen.
 * usage: cr_backward(loss), cr_backward(y, .cotangent = g) */
typedef struct cr_backward_opts {
    const char *site CR_ZERO;
    bool retain_graph CR_ZERO;
    cr_tensor *cotangent CR_ZERO; /* d something / d loss, shaped like it; default 1. With it,
                                   * the loss may have any shape. */
    cr_tensor *const *inputs CR_ZERO; /* only these leaves and watched tensors, n_inputs of them,
                                       * get gradients; what leads to no others is not visited */
    int n_inputs CR_ZERO;
} cr_backward_opts;
CR_API cr_status cr_backward_at(cr_tensor *loss, cr_backward_opts opts);
#define cr_backward(...)                           \
    cr_backward_at(CR_FIRST(__VA_ARGS__, 0),       \
                   CR_OPTS(cr_backward_opts, __VA_ARGS__))

/* The gradient of a leaf (or watched tensor), owned by it: NULL until a backward pass reaches it,
 * which is not an error; CR_ERR_GRAD for a tensor that is neither. Read it before another one takes
 * its place. cr_zero_grad() makes it NULL again; cr_set_grad() replaces it by g (same shape and
 * dtype), as clipping does. Both take effect with the run, like assignments. */
CR_API cr_tensor *cr_grad(cr_tensor *leaf);
CR_API cr_status cr_zero_grad(cr_tensor *leaf);
CR_API cr_status cr_set_grad(cr_tensor *leaf, cr_tensor *g);

/* Rebinds x to a new value of the same shape and dtype: what is recorded from now on sees it,
 * what was recorded before sees the old one. The only mutation there is, and lazy: it is computed
 * with the next run and takes effect only if the whole run succeeds. No gradient flows through.
 * What becomes of tensors that were recorded before, in the run that replaces the value:
 *
 *     read, watched, kept, retained; leaves         computed before it is too late; stays
 *     no operation reads it (an accuracy, a norm)   computed before; stays
 *     a single element                              computed before; stays
 *     assigned, or given to cr_set_grad()           readable as long as the leaf has it
 *     operations have read it                       let go; computed again when it is read, unless
 *                                                   a leaf beneath it was replaced: CR_ERR_STALE
 *
 * Assignment and cr_detach() read nothing in this sense, nor do vjps and the inside of modules,
 * optimisers and composites hold anything for the caller. CR_ERR_STALE is an error of that read
 * only: once it is cleared, what was pending is pending as before, unless a change of leaves was
 * refused meanwhile. Backward passes and cr_gradients() reach every value that the leaf has had:
 * its gradient is the sum. */
CR_API cr_status cr_assign_at(cr_tensor *x, cr_tensor *value, const char *site);
#define cr_assign(x, value) cr_assign_at(x, value, CR_HERE)

/* The value of x as a constant: no gradient flows to x through it. */
CR_API cr_tensor *cr_detach_at(cr_tensor *x, const char *site);
#define cr_detach(x) cr_detach_at(x, CR_HERE)

/* grads[j] = sum over i of d ys[i] / d xs[j] (weighted by cotangents[i]); leaves' own gradients
 * stay untouched. xs may be intermediate. With .create_graph the result can be differentiated
 * again. An x that no y depends on is an error, or with .allow_unused a NULL.
 * usage: cr_gradients(&y, 1, &x, 1, &dx),
 *        cr_gradients(ys, 2, xs, 3, grads, .create_graph = true) */
typedef struct cr_gradients_opts {
    const char *site CR_ZERO;
    cr_tensor *const *cotangents CR_ZERO; /* one for each y; default: ones */
    bool create_graph CR_ZERO;
    bool retain_graph CR_ZERO; /* implied by create_graph */
    bool allow_unused CR_ZERO;
} cr_gradients_opts;
CR_API cr_status cr_gradients_at(cr_tensor *const *ys, int n_ys, cr_tensor *const *xs, int n_xs,
                                 cr_tensor **grads, cr_gradients_opts opts);
#define cr_gradients(ys, n_ys, xs, n_xs, ...)                                 \
    cr_gradients_at(ys, n_ys, xs, n_xs, CR_FIRST(__VA_ARGS__, 0),             \
                    CR_OPTS(cr_gradients_opts, __VA_ARGS__))

/* True if backward passes will reach x. */
CR_API bool cr_needs_grad(const cr_tensor *x);

/* Why cr_needs_grad(x) is false, in words: where the chain is cut. Written like cr_format(). */
CR_API size_t cr_explain_no_grad(cr_tensor *x, char *text, size_t capacity);

/* Compares the gradients of f with finite differences (central, in f64). f builds an f64 tensor
 * from n inputs, of which it is given copies, time and again; those inputs that are f64 and need a
 * gradient are perturbed (if none does: all that are f64). On failure returns CR_ERR_GRAD with a
 * message that names the input and element. Tolerance |a - b| <= atol + rtol |b|, and no slope is
 * infinite. What would agree with any gradient is an error: a result that no gradient connects
 * with a perturbed input (a constant, or a function of your own tensor instead of the copy), an
 * input that needs a gradient and is no f64. f leaves scopes and CR_NO_GRAD as it finds them.
 * usage: cr_gradcheck(f, NULL, &x, 1), cr_gradcheck(f, NULL, xs, 2, .second_order = true) */
typedef struct cr_gradcheck_opts {
    const char *site CR_ZERO;
    double eps CR_ZERO;        /* default 1e-6 */
    double atol CR_ZERO;       /* default 1e-5 */
    double rtol CR_ZERO;       /* default 1e-3 */
    bool second_order CR_ZERO; /* also the gradients of the gradients */
} cr_gradcheck_opts;
typedef cr_tensor *cr_function(cr_ctx *ctx, cr_tensor *const *inputs, int n, void *user);
CR_API cr_status cr_gradcheck_at(cr_function *f, void *user, cr_tensor *const *inputs, int n,
                                 cr_gradcheck_opts opts);
#define cr_gradcheck(f, user, inputs, ...)                               \
    cr_gradcheck_at(f, user, inputs, CR_FIRST(__VA_ARGS__, 0),           \
                    CR_OPTS(cr_gradcheck_opts, __VA_ARGS__))

CR_END
#endif
