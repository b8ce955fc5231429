/* chainrule: automatic differentiation for C.
 *
 *     cr_ctx *ctx = cr_open(NULL);
 *     cr_tensor *x = cr_requires_grad(cr_scalar(ctx, 3.0));
 *     cr_tensor *L = cr_mul(cr_add(cr_pow(x, 2), cr_exp(x)), 2);     L = 2 (x^2 + e^x)
 *     cr_backward(L);
 *     printf("%.4f\n", cr_item(cr_grad(x)));                         52.1711
 *     cr_close(ctx);
 *
 * This header is the whole interface and its manual. Its parts, in order:
 *
 *     1  types                     6  gradients
 *     2  contexts and errors       7  operations
 *     3  making tensors            8  operations by name, and your own
 *     4  reading tensors           9  modules and initialisers
 *     5  scopes and lifetime      10  optimisers and clipping
 *
 * Rules that hold throughout:
 *
 * - Calls record; nothing is computed until a value is read (cr_item, cr_data, cr_read, cr_eval,
 *   cr_print, ...) or a scope with pending assignments ends. See cr_options.eager.
 * - A function that builds a tensor returns NULL when it fails and stores the first error in the
 *   context. While an error is pending every builder returns NULL at once and nothing changes, so
 *   calls nest and one look at cr_error() after a step is enough. cr_clear() makes the context
 *   usable again. Errors that only computing can find (an index out of range, no memory) appear
 *   when the value is read, with the place where the operation was recorded.
 * - NULL where a tensor is required is CR_ERR_NULL. Where no argument leads to a context, as in
 *   cr_sum(NULL), there is nowhere to record an error, and nothing happens: what returns a pointer
 *   returns NULL, a cr_status is CR_ERR_NULL, cr_item() is NaN, and other numbers are 0. So a NULL
 *   that a failed builder gave goes through, since the error is pending; one that you made does
 *   not show before its value is missed.
 * - A tensor belongs to the scope it was made in; you free nothing but contexts, modules,
 *   optimisers and pools.
 * - In an options struct zero always means the default.
 * - A context and all that belongs to it is used by one thread at a time.
 * - The library never ends the process, installs no signal handler and prints nothing.
 */
#ifndef CHAINRULE_H
#define CHAINRULE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
#include <type_traits>
#define CR_ZERO = {}
#define CR_NO_NUMBER
extern "C" {
#else
#define CR_ZERO
#define CR_NO_NUMBER __extension__ char no_number[0];
#endif

#if defined(__GNUC__)
#define CR_API __attribute__((visibility("default")))
#define CR_FORMAT(at, from) __attribute__((format(printf, at, from)))
#else
#define CR_API
#define CR_FORMAT(at, from)
#endif

#define CR_VERSION_MAJOR 0
#define CR_VERSION_MINOR 1
#define CR_VERSION_PATCH 0

/* ---- 1. Types ------------------------------------------------------------------------------ */

typedef struct cr_ctx cr_ctx;       /* a context: owns tensors, memory, the pending error */
typedef struct cr_tensor cr_tensor; /* an immutable value, known or still to be computed */
typedef struct cr_pool cr_pool;     /* worker threads, which contexts may share */
typedef struct cr_module cr_module; /* a layer or a network: parameters and a forward pass */
typedef struct cr_optim cr_optim;   /* an optimiser and its state */
typedef struct cr_op cr_op;         /* an operation: section 8 */

typedef enum cr_status {
    CR_OK = 0,
    CR_ERR_NULL,      /* a NULL where a tensor is required */
    CR_ERR_SHAPE,     /* sizes or ranks that do not fit */
    CR_ERR_DTYPE,     /* an element type that the operation does not take */
    CR_ERR_ARGUMENT,  /* any other value out of its domain */
    CR_ERR_INDEX,     /* an index or label out of range, found while computing */
    CR_ERR_MEMORY,    /* an allocation failed, or memory_limit is reached */
    CR_ERR_GRAD,      /* a gradient that does not exist was asked for */
    CR_ERR_STALE,     /* the value was let go, and a leaf beneath it was assigned since */
    CR_ERR_NONFINITE, /* an infinity or NaN where it must not be */
    CR_ERR_SCOPE,     /* a tensor of a closed scope or of another context */
    CR_ERR_IO,        /* a file could not be read or written */
    CR_ERR_FORK,      /* the context was made by the parent process */
    CR_ERR_UNSUPPORTED
} cr_status;

/* Element types. Zero, where an option asks for a dtype, means the default (f32). */
typedef enum cr_dtype {
    CR_DTYPE_DEFAULT = 0,
    CR_F32,
    CR_F64,
    CR_I64,
    CR_I32,
    CR_U8,
    CR_BOOL,
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

/* One number, for options where zero is legal and not the default: CR_INT(0), CR_REAL(0.5). A
 * zeroed struct is "not given". CR_NO_NUMBER is a member of no size, by which C compilers see that
 * a plain number is given instead. */
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

/* What a loss does with its elements. */
typedef enum cr_reduction {
    CR_REDUCTION_MEAN = 0,
    CR_REDUCTION_SUM,
    CR_REDUCTION_NONE
} cr_reduction;

static inline cr_arg cr_arg_tensor(cr_tensor *x)
{
    cr_arg a;
    a.kind = CR_ARG_TENSOR, a.v.tensor = x;
    return a;
}
static inline cr_arg cr_arg_real(double x)
{
    cr_arg a;
    a.kind = CR_ARG_REAL, a.v.real = x;
    return a;
}
static inline cr_arg cr_arg_long_double(long double x)
{
    return cr_arg_real((double)x);
}
static inline cr_arg cr_arg_int(long long x)
{
    cr_arg a;
    a.kind = CR_ARG_INT, a.v.i = x;
    return a;
}
static inline cr_arg cr_arg_uint(unsigned long long x)
{
    cr_arg a;
    a.kind = CR_ARG_UINT, a.v.u = x;
    return a;
}

/* The list of n integers at v; n above CR_MAX_DIMS gives a list that every operation refuses. */
static inline cr_dims cr_dims_of(const int64_t *v, int n)
{
    cr_dims d;
    d.n = n;
    d.given = true;
    for (int i = 0; i < CR_MAX_DIMS; i++)
        d.v[i] = i < n ? v[i] : 0;
    return d;
}

/* One dim, as a list: for CR_DIM_OR_ALL(). */
static inline cr_dims cr_dims_same(cr_dims dims)
{
    return dims;
}
static inline cr_dims cr_dims_int(long long dim)
{
    const int64_t v[] = { dim };
    return cr_dims_of(v, 1);
}
static inline cr_dims cr_dims_uint(unsigned long long dim)
{
    return cr_dims_int(dim < INT64_MAX ? (long long)dim : INT64_MAX);
}

/* The macros beneath the interface: the caller's place as text, optional trailing options, and
 * numbers or tensors in either place. Each macro writes each of its arguments once. */
#define CR_TEXT_(x) #x
#define CR_TEXT(x) CR_TEXT_(x)
#define CR_HERE __FILE__ ":" CR_TEXT(__LINE__)
#define CR_JOIN_(a, b) a##b
#define CR_JOIN(a, b) CR_JOIN_(a, b)
#define CR_FIRST(...) CR_FIRST_(__VA_ARGS__)
#define CR_FIRST_(a, ...) a
#define CR_SECOND(...) CR_SECOND_(__VA_ARGS__)
#define CR_SECOND_(a, b, ...) b
#define CR_THIRD_(a, b, c, ...) c

/* The types of numbers that a pointer may point to, which is compared with a dtype. */
#define CR_NUMBER_TYPES_(X)                                            \
    X(bool) X(char) X(signed char) X(unsigned char)                    \
    X(short) X(unsigned short) X(int) X(unsigned int)                  \
    X(long) X(unsigned long) X(long long) X(unsigned long long)        \
    X(float) X(double) X(long double)

/* How many arguments: 1 to 10. */
#define CR_COUNT(...) CR_COUNT_(__VA_ARGS__, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, )
#define CR_COUNT_(a, b, c, d, e, f, g, h, i, j, n, ...) n

/* The second argument, an int or a list, as a list; CR_ALL if there is none. */
#define CR_DIM_OR_ALL(...) CR_DIM_ARG(CR_SECOND(__VA_ARGS__, CR_ALL, 0))

/* An options struct with the caller's place, and what the arguments behind the first one set. Each
 * of them is written behind the name of the struct, as `o .keepdim = true`, so that one which is no
 * option, as in `o 1`, does not compile. In C they are designators, and an array literal among them
 * lives as long as the block around the call; in C++ they are assignments, in any order.
 * CR_OPTS_BEHIND_2: behind the first two. */
#define CR_OPTS_BEHIND_2(T, ...)                                                              \
    CR_JOIN(CR_BEHIND_2_, CR_COUNT_(__VA_ARGS__, SOME, SOME, SOME, SOME, SOME, SOME, SOME,    \
                                    SOME, NONE, NONE, ))(T, __VA_ARGS__)
#define CR_BEHIND_2_NONE(T, ...) CR_OPTS(T, 0)
#define CR_BEHIND_2_SOME(T, a, ...) CR_OPTS(T, __VA_ARGS__)
#define CR_SET_1(o, a)
#define CR_SET_2(o, a, b) CR_SET(o, b)
#define CR_SET_3(o, a, b, ...) CR_SET(o, b) CR_SET_2(o, b, __VA_ARGS__)
#define CR_SET_4(o, a, b, ...) CR_SET(o, b) CR_SET_3(o, b, __VA_ARGS__)
#define CR_SET_5(o, a, b, ...) CR_SET(o, b) CR_SET_4(o, b, __VA_ARGS__)
#define CR_SET_6(o, a, b, ...) CR_SET(o, b) CR_SET_5(o, b, __VA_ARGS__)
#define CR_SET_7(o, a, b, ...) CR_SET(o, b) CR_SET_6(o, b, __VA_ARGS__)
#define CR_SET_8(o, a, b, ...) CR_SET(o, b) CR_SET_7(o, b, __VA_ARGS__)
#define CR_SET_9(o, a, b, ...) CR_SET(o, b) CR_SET_8(o, b, __VA_ARGS__)
#define CR_SET_10(o, a, b, ...) CR_SET(o, b) CR_SET_9(o, b, __VA_ARGS__)

#ifdef __cplusplus
} /* extern "C" */

/* The name of the type that data points to, arrays of any rank included; nullptr of others. */
template <class T> struct cr_number_type_ { static constexpr const char *name = nullptr; };
#define CR_NAME_TYPE_(T) \
    template <> struct cr_number_type_<T> { static constexpr const char *name = #T; };
CR_NUMBER_TYPES_(CR_NAME_TYPE_)
#undef CR_NAME_TYPE_
template <class T> static inline const char *cr_type_behind_(T *)
{
    typedef typename std::remove_all_extents<T>::type element;
    return cr_number_type_<typename std::remove_cv<element>::type>::name;
}

#define CR_OPTS(T, ...)                                                                       \
    CR_JOIN(CR_OPTS_, CR_COUNT_(__VA_ARGS__, SOME, SOME, SOME, SOME, SOME, SOME, SOME, SOME,  \
                                SOME, NONE, ))                                                \
    (T, CR_JOIN(cr_opts_, __COUNTER__), __VA_ARGS__)
#define CR_OPTS_NONE(T, o, ...) T{ CR_HERE }
#define CR_OPTS_SOME(T, o, ...)                                                               \
    __extension__({                                                                           \
        T o{ CR_HERE };                                                                       \
        CR_JOIN(CR_SET_, CR_COUNT(__VA_ARGS__))(o, __VA_ARGS__) o;                            \
    })
#define CR_SET(o, option) o option;

/* A number of any type. NULL is an integer in C++, of a type that plain 0 has not: as an operand it
 * is a NULL tensor, and so is the literal 0L, where that is NULL's type. */
struct cr_null_or_number {
    cr_arg arg;
    template <class T, class = typename std::enable_if<
                           std::is_same<T, decltype(NULL)>::value>::type>
    cr_null_or_number(T x) : arg(cr_arg_int(x)) {}
};
template <class T> struct cr_is_number {
    static const bool value =
        (std::is_arithmetic<T>::value && (std::is_same<T, int>::value ||
                                          !std::is_same<T, decltype(NULL)>::value)) ||
        (std::is_enum<T>::value && std::is_convertible<T, long long>::value);
};
static inline cr_arg CR_ARG(cr_tensor *x) { return cr_arg_tensor(x); }
static inline cr_arg CR_ARG(cr_null_or_number x) { return x.arg; }
template <class T, class = typename std::enable_if<cr_is_number<T>::value>::type>
static inline cr_arg CR_ARG(T x)
{
    if constexpr (std::is_floating_point<T>::value)
        return cr_arg_real(static_cast<double>(x));
    else if constexpr (std::is_unsigned<T>::value)
        return cr_arg_uint(static_cast<unsigned long long>(x));
    else
        return cr_arg_int(static_cast<long long>(x));
}

static inline cr_dims CR_DIM_ARG(cr_dims dims) { return dims; }
template <class T,
          class = typename std::enable_if<!std::is_floating_point<T>::value &&
                                          !std::is_same<T, bool>::value &&
                                          std::is_convertible<T, long long>::value>::type>
static inline cr_dims CR_DIM_ARG(T dim)
{
    if constexpr (std::is_unsigned<T>::value)
        return cr_dims_uint(dim);
    else
        return cr_dims_int(static_cast<long long>(dim));
}
template <class... I> static inline cr_dims CR_DIMS(I... i)
{
    static_assert(sizeof...(I) <= CR_MAX_DIMS, "a tensor has at most 8 dimensions");
    const int64_t v[] = { static_cast<int64_t>(i)..., 0 };
    return cr_dims_of(v, static_cast<int>(sizeof...(I)));
}
#define CR_NO_DIMS cr_dims_of(nullptr, 0)
#define CR_ALL cr_dims()
template <class... R> static inline cr_reals CR_REALS(R... r)
{
    static_assert(sizeof...(R) <= 4, "at most 4 numbers");
    const double v[] = { static_cast<double>(r)..., 0 };
    cr_reals reals = cr_reals();
    for (reals.n = 0; reals.n < static_cast<int>(sizeof...(R)); reals.n++)
        reals.v[reals.n] = v[reals.n];
    return reals;
}
template <class T> static inline cr_opt_int CR_INT(T x)
{
    static_assert(std::is_convertible<T, int64_t>::value &&
                      !std::is_floating_point<T>::value, "an integer");
    cr_opt_int given = cr_opt_int();
    given.v = static_cast<int64_t>(x), given.given = true;
    return given;
}
template <class T> static inline cr_opt_real CR_REAL(T x)
{
    cr_opt_real given = cr_opt_real();
    given.v = static_cast<double>(x), given.given = true;
    return given;
}

extern "C" {
#else

#define CR_OPTS(T, ...)                                                                     \
    ((struct { T cr_opts; }){                                                               \
        .cr_opts.site = CR_HERE CR_JOIN(CR_SET_, CR_COUNT(__VA_ARGS__))(cr_opts, __VA_ARGS__) \
    }).cr_opts
#define CR_SET(o, option) , .o option

/* The counter names the variable, so that nested uses do not shadow each other. */
#define CR_ARG(x) CR_ARG_(x, CR_JOIN(cr_arg_, __COUNTER__))
#define CR_ARG_(x, name)                                                                    \
    __extension__({                                                                         \
        __auto_type name = (x);                                                             \
        _Generic(name, cr_tensor *: cr_arg_tensor, void *: cr_arg_tensor,                   \
                 float: cr_arg_real, double: cr_arg_real,                                   \
                 long double: cr_arg_long_double, CR_SIGNED(cr_arg_int),                    \
                 CR_UNSIGNED(cr_arg_uint), bool: cr_arg_int)(name);                         \
    })
#define CR_DIM_ARG(x) CR_DIM_ARG_(x, CR_JOIN(cr_dim_, __COUNTER__))
#define CR_DIM_ARG_(x, name)                                                                \
    __extension__({                                                                         \
        __auto_type name = (x);                                                             \
        _Generic(name, cr_dims: cr_dims_same, CR_SIGNED(cr_dims_int),                       \
                 CR_UNSIGNED(cr_dims_uint))(name);                                          \
    })
#define CR_SIGNED(f)                                                                        \
    char: f, signed char: f, short: f, int: f, long: f, long long: f
#define CR_UNSIGNED(f)                                                                      \
    unsigned char: f, unsigned short: f, unsigned: f, unsigned long: f, unsigned long long: f

/* The parentheses keep the commas from the macros that a list is passed to. */
#define CR_DIMS(...)                                                                        \
    ((cr_dims){ .v = { __VA_ARGS__ },                                                       \
                .n = (int)(sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)),           \
                .given = true })
#define CR_NO_DIMS ((cr_dims){ .given = true })
#define CR_ALL ((cr_dims){ .given = false })
#define CR_REALS(...)                                                                       \
    ((cr_reals){ .v = { __VA_ARGS__ },                                                      \
                 .n = (int)(sizeof((double[]){ __VA_ARGS__ }) / sizeof(double)) })
#define CR_INT(x) ((cr_opt_int){ .v = (x), .given = true })
#define CR_REAL(x) ((cr_opt_real){ .v = (x), .given = true })

/* The name of the type that data points to, arrays of arrays included; NULL of others. */
#define CR_TYPE_BEHIND_(data) \
    _Generic(data, CR_NUMBER_TYPES_(CR_NAME_TYPE_) default: (const char *)0)
#define CR_NAME_TYPE_(T) T *: #T, const T *: #T, T (*)[]: #T, const T (*)[]: #T,

#endif

/* ---- 2. Contexts and errors ---------------------------------------------------------------- */

/* Options of cr_open(); zero means the default throughout. */
typedef struct cr_options {
    int threads;         /* threads that compute, the caller's included; default: the cores
                          * this process may run on. Results do not depend on it. */
    size_t memory_limit; /* bytes that tensors may occupy; default: no limit */
    bool eager;          /* compute each operation as it is recorded: slower, for debugging;
                          * the same bits. The environment's CHAINRULE_EAGER=1 does the same. */
    cr_pool *pool;       /* worker threads to share with other contexts */

    /* The host's own job system: calls body(arg, i) for each i below n, in any order and on any
     * threads, and returns when all are done. Replaces the pool. */
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
 * Environment: CHAINRULE_ISA=generic|avx2|avx512|neon chooses the kernels (the best is chosen
 * otherwise, once for the process; the log says if there are no such), CHAINRULE_EAGER=1 computes
 * eagerly. */
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

/* Bytes that tensors occupy now, and at most since the context was opened. Memory that is kept for
 * the next tensor does not count; cr_trim() gives it back to the system. */
CR_API size_t cr_memory_used(const cr_ctx *ctx);
CR_API size_t cr_memory_peak(const cr_ctx *ctx);
CR_API void cr_trim(cr_ctx *ctx);

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

/* ---- 3. Making tensors --------------------------------------------------------------------- */

/* A tensor has rank 0 to 8 and sizes of 0 or more; its values are row-major. Every builder takes
 * the context first or finds it in its tensors. Errors: CR_ERR_SHAPE for a negative size, a rank
 * above 8 or a product beyond 2^62 bytes; CR_ERR_MEMORY. */
typedef struct cr_make_opts {
    const char *site CR_ZERO;
    cr_dtype dtype CR_ZERO; /* default f32 */
} cr_make_opts;

/* From memory: copies numel elements of the given type at data, which may be a compound literal:
 * cr_from(ctx, CR_F32, CR_DIMS(3), (float[]){ 1, 2, 3 }). Bools are bytes: 0 is false.
 * Where data points to numbers of a C type that is not the dtype's, size and kind, it is
 * CR_ERR_DTYPE: doubles are no f32; int64_t is i64, whichever type that is; char and unsigned char
 * are u8 and bool. What points to void, or to no numbers, is taken as it is. For cr_from_at() the
 * type is its name in C, "double", or NULL for one that is not to be compared. */
CR_API cr_tensor *cr_from_at(cr_ctx *ctx, cr_dtype dtype, cr_dims shape, const void *data,
                             const char *type, const char *site);
#ifdef __cplusplus
} /* extern "C" */
template <class T>
static inline cr_tensor *cr_from_(const char *site, cr_ctx *ctx, cr_dtype dtype, cr_dims dims,
                                  T *data)
{
    return cr_from_at(ctx, dtype, dims, data, cr_type_behind_(data), site);
}
static inline cr_tensor *cr_from_(const char *site, cr_ctx *ctx, cr_dtype dtype, cr_dims dims,
                                  const void *data)
{
    return cr_from_at(ctx, dtype, dims, data, nullptr, site);
}
#define cr_from(ctx, dtype, shape, ...) cr_from_(CR_HERE, ctx, dtype, shape, __VA_ARGS__)
extern "C" {
#else
#define cr_from(ctx, dtype, shape, ...) \
    CR_FROM_(CR_JOIN(cr_data_, __COUNTER__), ctx, dtype, shape, __VA_ARGS__)
#define CR_FROM_(name, ctx, dtype, shape, ...)                                      \
    __extension__({                                                                 \
        __auto_type name = (__VA_ARGS__);                                           \
        cr_from_at(ctx, dtype, shape, name, CR_TYPE_BEHIND_(name), CR_HERE);        \
    })
#endif

/* Uses the caller's memory without copying it: cr_borrow(ctx, dtype, shape, data, done, user). It
 * must stay unchanged until done(user, data) is called (done may be NULL), which happens once, when
 * the last tensor that needs it is gone; not if the result is NULL. Its type is checked as that of
 * cr_from(); bools are 0 or 1. */
CR_API cr_tensor *cr_borrow_at(cr_ctx *ctx, cr_dtype dtype, cr_dims shape, const void *data,
                               void (*done)(void *user, const void *data), void *user,
                               const char *type, const char *site);
#ifdef __cplusplus
} /* extern "C" */
template <class T>
static inline cr_tensor *cr_borrow_(const char *site, cr_ctx *ctx, cr_dtype dtype, cr_dims dims,
                                    T *data, void (*done)(void *, const void *), void *user)
{
    return cr_borrow_at(ctx, dtype, dims, data, done, user, cr_type_behind_(data), site);
}
static inline cr_tensor *cr_borrow_(const char *site, cr_ctx *ctx, cr_dtype dtype, cr_dims dims,
                                    const void *data, void (*done)(void *, const void *),
                                    void *user)
{
    return cr_borrow_at(ctx, dtype, dims, data, done, user, nullptr, site);
}
#define cr_borrow(...) cr_borrow_(CR_HERE, __VA_ARGS__)
extern "C" {
#else
#define cr_borrow(ctx, dtype, shape, data, ...) \
    CR_BORROW_(CR_JOIN(cr_data_, __COUNTER__), ctx, dtype, shape, data, __VA_ARGS__)
#define CR_BORROW_(name, ctx, dtype, shape, data, ...)                                      \
    __extension__({                                                                         \
        __auto_type name = (data);                                                          \
        cr_borrow_at(ctx, dtype, shape, name, __VA_ARGS__, CR_TYPE_BEHIND_(name), CR_HERE); \
    })
#endif

/* A rank-0 tensor: cr_scalar(ctx, 3.0), cr_scalar(ctx, 7, .dtype = CR_I64). */
CR_API cr_tensor *cr_scalar_at(cr_ctx *ctx, cr_arg value, cr_make_opts opts);
#define cr_scalar(ctx, ...)                                   \
    cr_scalar_at(ctx, CR_ARG(CR_FIRST(__VA_ARGS__, 0)),       \
                 CR_OPTS(cr_make_opts, __VA_ARGS__))

/* All zeros, all ones, all value. */
CR_API cr_tensor *cr_full_at(cr_ctx *ctx, cr_dims shape, cr_arg value, cr_make_opts opts);
#define cr_full(ctx, shape, ...)                              \
    cr_full_at(ctx, shape, CR_ARG(CR_FIRST(__VA_ARGS__, 0)),   \
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
 * Element i is start + i*step, rounded once to the dtype. */
CR_API cr_tensor *cr_arange_at(cr_ctx *ctx, cr_arg start, cr_arg end, cr_arg step,
                               cr_make_opts opts);
#define cr_arange(ctx, start, end, ...)                                              \
    cr_arange_at(ctx, CR_ARG(start), CR_ARG(end), CR_ARG(CR_FIRST(__VA_ARGS__, 0)),  \
                 CR_OPTS(cr_make_opts, __VA_ARGS__))

/* steps numbers evenly from start to end, both included. */
CR_API cr_tensor *cr_linspace_at(cr_ctx *ctx, double start, double end, int64_t steps,
                                 cr_make_opts opts);
#define cr_linspace(ctx, start, end, ...)                            \
    cr_linspace_at(ctx, start, end, CR_FIRST(__VA_ARGS__, 0),        \
                   CR_OPTS(cr_make_opts, __VA_ARGS__))

/* The identity matrix [n, n]. */
CR_API cr_tensor *cr_eye_at(cr_ctx *ctx, int64_t n, cr_make_opts opts);
#define cr_eye(ctx, ...)                        \
    cr_eye_at(ctx, CR_FIRST(__VA_ARGS__, 0),    \
              CR_OPTS(cr_make_opts, __VA_ARGS__))

/* Uniform in [0, 1); standard normal (Box-Muller). f32 or f64. See cr_seed(). */
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

/* ---- 4. Reading tensors -------------------------------------------------------------------- */

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
 * and whose type is checked as that of cr_from() is; char and unsigned char may hold any. */
CR_API const void *cr_data(cr_tensor *x);
CR_API cr_status cr_read_at(cr_tensor *x, void *dst, size_t bytes, const char *type,
                            const char *site);
#ifdef __cplusplus
} /* extern "C" */
template <class T>
static inline cr_status cr_read_(const char *site, cr_tensor *x, T *dst, size_t bytes)
{
    return cr_read_at(x, dst, bytes, cr_type_behind_(dst), site);
}
static inline cr_status cr_read_(const char *site, cr_tensor *x, void *dst, size_t bytes)
{
    return cr_read_at(x, dst, bytes, nullptr, site);
}
#define cr_read(x, ...) cr_read_(CR_HERE, x, __VA_ARGS__)
extern "C" {
#else
#define cr_read(x, dst, bytes) CR_READ_(CR_JOIN(cr_data_, __COUNTER__), x, dst, bytes)
#define CR_READ_(name, x, dst, bytes)                                       \
    __extension__({                                                         \
        __auto_type name = (dst);                                           \
        cr_read_at(x, name, bytes, CR_TYPE_BEHIND_(name), CR_HERE);         \
    })
#endif

/* Computes the values now, all in one run: cr_eval(a), cr_eval(a, b, c). */
CR_API cr_status cr_eval_at(cr_tensor *const *xs, int n, const char *site);
#ifdef __cplusplus
} /* extern "C" */
template <class... T> static inline cr_status cr_eval_list_(const char *site, T... x)
{
    cr_tensor *const xs[] = { x... };
    return cr_eval_at(xs, static_cast<int>(sizeof...(T)), site);
}
#define cr_eval(...) cr_eval_list_(CR_HERE, __VA_ARGS__)
extern "C" {
#else
#define cr_eval(...)                          \
    cr_eval_at((cr_tensor *[]){ __VA_ARGS__ }, \
               (int)(sizeof((cr_tensor *[]){ __VA_ARGS__ }) / sizeof(cr_tensor *)), CR_HERE)
#endif

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

/* ---- 5. Scopes and lifetime ---------------------------------------------------------------- */

/* What is made between the two calls is released by the second, which also computes what is still
 * pending for tensors that live on: kept ones, assignments, gradients of leaves. Scopes nest; the
 * root scope is the context's own. Popping the root scope is an error. */
CR_API cr_status cr_scope_push(cr_ctx *ctx);
CR_API cr_status cr_scope_pop(cr_ctx *ctx);

/* Moves x to the enclosing scope: it outlives the present one. Returns x. */
CR_API cr_tensor *cr_keep(cr_tensor *x);

/* The reference count beneath, for bindings: each retain is matched by a release, or by the end of
 * the context. Releasing what was not retained is an error: scopes release what they hold. */
CR_API cr_tensor *cr_retain(cr_tensor *x);
CR_API void cr_release(cr_tensor *x);

/* Gradient recording off and on; nests. cr_grad_enabled() says which. A pop without its push is
 * CR_ERR_ARGUMENT. */
CR_API void cr_no_grad_push(cr_ctx *ctx);
CR_API void cr_no_grad_pop(cr_ctx *ctx);
CR_API bool cr_grad_enabled(const cr_ctx *ctx);

/* CR_SCOPE(ctx); and CR_NO_GRAD(ctx); as declarations: they end with their block, however it is
 * left. */
#ifdef __cplusplus
} /* extern "C" */
template <void (*leave)(cr_ctx *)> struct cr_guard {
    cr_ctx *ctx;
    ~cr_guard() { leave(ctx); }
};
static inline cr_ctx *cr_scope_enter_(cr_ctx *ctx)
{
    return cr_scope_push(ctx) == CR_OK ? ctx : nullptr;
}
static inline void cr_scope_leave_(cr_ctx *ctx)
{
    if (ctx)
        (void)cr_scope_pop(ctx);
}
static inline cr_ctx *cr_no_grad_enter_(cr_ctx *ctx)
{
    cr_no_grad_push(ctx);
    return ctx;
}
#define CR_SCOPE(ctx)                                                            \
    cr_guard<cr_scope_leave_> CR_JOIN(cr_scope_, __LINE__) { cr_scope_enter_(ctx) }
#define CR_NO_GRAD(ctx)                                                          \
    cr_guard<cr_no_grad_pop> CR_JOIN(cr_no_grad_, __LINE__) { cr_no_grad_enter_(ctx) }
extern "C" {
#else
static inline cr_ctx *cr_scope_enter_(cr_ctx *ctx)
{
    return cr_scope_push(ctx) == CR_OK ? ctx : NULL;
}
static inline void cr_scope_leave_(cr_ctx **ctx)
{
    if (*ctx)
        cr_scope_pop(*ctx);
}
static inline cr_ctx *cr_no_grad_enter_(cr_ctx *ctx)
{
    cr_no_grad_push(ctx);
    return ctx;
}
static inline void cr_no_grad_leave_(cr_ctx **ctx)
{
    cr_no_grad_pop(*ctx);
}
#define CR_SCOPE(ctx)                                                    \
    cr_ctx *CR_JOIN(cr_scope_, __LINE__)                                 \
        __attribute__((cleanup(cr_scope_leave_), unused)) = cr_scope_enter_(ctx)
#define CR_NO_GRAD(ctx)                                                  \
    cr_ctx *CR_JOIN(cr_no_grad_, __LINE__)                               \
        __attribute__((cleanup(cr_no_grad_leave_), unused)) = cr_no_grad_enter_(ctx)
#endif

/* ---- 6. Gradients -------------------------------------------------------------------------- */

/* Makes x (f32 or f64) a leaf: backward passes accumulate into its gradient, and go no further.
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
 * Errors: CR_ERR_GRAD if loss is not a scalar float, or nothing beneath it requires a gradient
 * (see cr_explain_no_grad). */
typedef struct cr_backward_opts {
    const char *site CR_ZERO;
    bool retain_graph CR_ZERO;
    cr_tensor *cotangent CR_ZERO; /* d something / d loss, shaped like it; default 1. With it,
                                   * the loss may have any shape. */
} cr_backward_opts;
CR_API cr_status cr_backward_at(cr_tensor *loss, cr_backward_opts opts);
#define cr_backward(...)                           \
    cr_backward_at(CR_FIRST(__VA_ARGS__, 0),       \
                   CR_OPTS(cr_backward_opts, __VA_ARGS__))

/* The gradient of a leaf (or watched tensor), owned by it: NULL until a backward pass reaches it,
 * which is not an error; CR_ERR_GRAD for a tensor that is neither. Read it before another one takes its place. cr_zero_grad() makes it NULL
 * again; cr_set_grad() replaces it by g (same shape and dtype), as clipping does. Both take effect
 * with the run, like assignments. */
CR_API cr_tensor *cr_grad(cr_tensor *leaf);
CR_API cr_status cr_zero_grad(cr_tensor *leaf);
CR_API cr_status cr_set_grad(cr_tensor *leaf, cr_tensor *g);

/* Rebinds x to a new value of the same shape and dtype: what is recorded from now on sees it,
 * what was recorded before sees the old one. The only mutation there is, and lazy: it is computed
 * with the next run and takes effect only if the whole run succeeds. No gradient flows through.
 * The same run computes what was recorded from the old value and may still be read: results that no
 * other operation reads, the loss, what is watched. The rest is let go, and reading it is
 * CR_ERR_STALE from then on. */
CR_API cr_status cr_assign_at(cr_tensor *x, cr_tensor *value, const char *site);
#define cr_assign(x, value) cr_assign_at(x, value, CR_HERE)

/* The value of x as a constant: no gradient flows to x through it. */
CR_API cr_tensor *cr_detach_at(cr_tensor *x, const char *site);
#define cr_detach(x) cr_detach_at(x, CR_HERE)

/* grads[j] = sum over i of d ys[i] / d xs[j] (weighted by cotangents[i]); leaves' own gradients
 * stay untouched. xs may be intermediate. With .create_graph the result can be differentiated
 * again. An x that no y depends on is an error, or with .allow_unused a NULL. */
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
 * message that names the input and element. Tolerance |a - b| <= atol + rtol |b|. */
typedef struct cr_gradcheck_opts {
    const char *site CR_ZERO;
    double eps CR_ZERO;       /* default 1e-6 */
    double atol CR_ZERO;      /* default 1e-5 */
    double rtol CR_ZERO;      /* default 1e-3 */
    bool second_order CR_ZERO; /* also the gradients of the gradients */
} cr_gradcheck_opts;
typedef cr_tensor *cr_function(cr_ctx *ctx, cr_tensor *const *inputs, int n, void *user);
CR_API cr_status cr_gradcheck_at(cr_function *f, void *user, cr_tensor *const *inputs, int n,
                                 cr_gradcheck_opts opts);
#define cr_gradcheck(f, user, inputs, ...)                               \
    cr_gradcheck_at(f, user, inputs, CR_FIRST(__VA_ARGS__, 0),           \
                    CR_OPTS(cr_gradcheck_opts, __VA_ARGS__))

/* ---- 7. Operations ------------------------------------------------------------------------- */

/* Broadcasting is NumPy's: shapes are aligned at the last dimension, and a size of 1 (or a missing
 * dimension) is repeated. A negative dim counts from the end. g is the cotangent that arrives
 * from above; what an operation sends down is written behind "d". */

/* Element by element, one input. Floats unless said otherwise.
 *
 *     neg         -x                            d -g                       also integers
 *     abs         |x|                           d g sign(x), 0 at 0        also integers
 *     sign        -1, 0, 1; 0 of NaN            d 0                        also integers
 *     floor       largest integer <= x          d 0
 *     exp         e^x                           d g e^x
 *     expm1       e^x - 1                       d g e^x
 *     log         ln x                          d g / x
 *     log1p       ln(1 + x)                     d g / (1 + x)
 *     sqrt        x^(1/2)                       d g / (2 sqrt x), inf at 0
 *     rsqrt       x^(-1/2)                      d -g x^(-3/2) / 2
 *     square      x^2                           d 2 g x                    also integers
 *     reciprocal  1/x                           d -g / x^2
 *     sin, cos    radians                       d g cos x, -g sin x
 *     tanh                                      d g (1 - tanh^2 x)
 *     sigmoid     1 / (1 + e^-x)                d g s (1 - s)
 *     erf         2/sqrt(pi) int_0^x e^(-t^2)   d g 2/sqrt(pi) e^(-x^2)
 *     relu        max(x, 0); NaN of NaN         d g where x > 0, 0 at 0
 *     silu        x sigmoid(x)                  Elfwing et al., 2018
 *     logical_not x == 0, a bool                d none                     any type
 */
#define CR_DECLARE_UNARY(name) CR_API cr_tensor *cr_##name##_at(cr_tensor *x, const char *site);
CR_DECLARE_UNARY(neg)
CR_DECLARE_UNARY(abs)
CR_DECLARE_UNARY(sign)
CR_DECLARE_UNARY(floor)
CR_DECLARE_UNARY(exp)
CR_DECLARE_UNARY(expm1)
CR_DECLARE_UNARY(log)
CR_DECLARE_UNARY(log1p)
CR_DECLARE_UNARY(sqrt)
CR_DECLARE_UNARY(rsqrt)
CR_DECLARE_UNARY(square)
CR_DECLARE_UNARY(reciprocal)
CR_DECLARE_UNARY(sin)
CR_DECLARE_UNARY(cos)
CR_DECLARE_UNARY(tanh)
CR_DECLARE_UNARY(sigmoid)
CR_DECLARE_UNARY(erf)
CR_DECLARE_UNARY(relu)
CR_DECLARE_UNARY(silu)
CR_DECLARE_UNARY(logical_not)
#undef CR_DECLARE_UNARY
#define cr_neg(x) cr_neg_at(x, CR_HERE)
#define cr_abs(x) cr_abs_at(x, CR_HERE)
#define cr_sign(x) cr_sign_at(x, CR_HERE)
#define cr_floor(x) cr_floor_at(x, CR_HERE)
#define cr_exp(x) cr_exp_at(x, CR_HERE)
#define cr_expm1(x) cr_expm1_at(x, CR_HERE)
#define cr_log(x) cr_log_at(x, CR_HERE)
#define cr_log1p(x) cr_log1p_at(x, CR_HERE)
#define cr_sqrt(x) cr_sqrt_at(x, CR_HERE)
#define cr_rsqrt(x) cr_rsqrt_at(x, CR_HERE)
#define cr_square(x) cr_square_at(x, CR_HERE)
#define cr_reciprocal(x) cr_reciprocal_at(x, CR_HERE)
#define cr_sin(x) cr_sin_at(x, CR_HERE)
#define cr_cos(x) cr_cos_at(x, CR_HERE)
#define cr_tanh(x) cr_tanh_at(x, CR_HERE)
#define cr_sigmoid(x) cr_sigmoid_at(x, CR_HERE)
#define cr_erf(x) cr_erf_at(x, CR_HERE)
#define cr_relu(x) cr_relu_at(x, CR_HERE)
#define cr_silu(x) cr_silu_at(x, CR_HERE)
#define cr_logical_not(x) cr_logical_not_at(x, CR_HERE)

/* x where x > 0, slope x elsewhere; the slope also at 0. */
CR_API cr_tensor *cr_leaky_relu_at(cr_tensor *x, double negative_slope, const char *site);
#define cr_leaky_relu(x, negative_slope) cr_leaky_relu_at(x, negative_slope, CR_HERE)

/* ln(1 + e^(beta x)) / beta, and x where beta x > threshold. */
typedef struct cr_softplus_opts {
    const char *site CR_ZERO;
    double beta CR_ZERO;        /* above 0; default 1 */
    cr_opt_real threshold CR_ZERO; /* default 20 */
} cr_softplus_opts;
CR_API cr_tensor *cr_softplus_at(cr_tensor *x, cr_softplus_opts opts);
#define cr_softplus(...)                         \
    cr_softplus_at(CR_FIRST(__VA_ARGS__, 0),     \
                   CR_OPTS(cr_softplus_opts, __VA_ARGS__))

/* x Phi(x) with the normal distribution function Phi(x) = (1 + erf(x/sqrt 2))/2, or with
 * .approximate = CR_APPROXIMATE_TANH: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
 * Hendrycks and Gimpel, 2016. */
typedef enum cr_approximate { CR_APPROXIMATE_NONE = 0, CR_APPROXIMATE_TANH } cr_approximate;
typedef struct cr_gelu_opts {
    const char *site CR_ZERO;
    cr_approximate approximate CR_ZERO;
} cr_gelu_opts;
CR_API cr_tensor *cr_gelu_at(cr_tensor *x, cr_gelu_opts opts);
#define cr_gelu(...)                         \
    cr_gelu_at(CR_FIRST(__VA_ARGS__, 0),     \
               CR_OPTS(cr_gelu_opts, __VA_ARGS__))

/* Element by element, two operands: tensors or C numbers in either place, at least one tensor.
 * Of tensors of different types bools and integers take the other's float type, and of
 * bool < u8 < i32 < i64 the wider one is taken; f32 with f64 is an error: cr_cast() one. A number
 * takes the tensor's dtype and must be a value of it (a float rounds it): to multiply integers by
 * 0.5, cast them. Shapes broadcast.
 *
 *     add, sub, mul          any number type; mul also bools (and)
 *     div                    floats; integers and bools divide as f32
 *     pow         x^y        floats; 0^0 = 1 with both gradients 0; d/dy at x = 0 is 0; d/dx at
 *                            y = 0 is 0, also of NaN
 *     maximum, minimum       numbers and bools; NaN wins; equal operands get half of the gradient
 *     eq ne lt le gt ge      a bool; no gradient; exact for any two types, also of a float with an
 *                            integer that its type does not hold (2^53 + 1)
 *     logical_and, _or       of x != 0 and y != 0: a bool; no gradient; any types
 */
#define CR_DECLARE_BINARY(name) \
    CR_API cr_tensor *cr_##name##_at(cr_arg x, cr_arg other, const char *site);
CR_DECLARE_BINARY(add)
CR_DECLARE_BINARY(sub)
CR_DECLARE_BINARY(mul)
CR_DECLARE_BINARY(div)
CR_DECLARE_BINARY(pow)
CR_DECLARE_BINARY(maximum)
CR_DECLARE_BINARY(minimum)
CR_DECLARE_BINARY(eq)
CR_DECLARE_BINARY(ne)
CR_DECLARE_BINARY(lt)
CR_DECLARE_BINARY(le)
CR_DECLARE_BINARY(gt)
CR_DECLARE_BINARY(ge)
CR_DECLARE_BINARY(logical_and)
CR_DECLARE_BINARY(logical_or)
#undef CR_DECLARE_BINARY
#define cr_add(x, other) cr_add_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_sub(x, other) cr_sub_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_mul(x, other) cr_mul_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_div(x, other) cr_div_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_pow(x, exponent) cr_pow_at(CR_ARG(x), CR_ARG(exponent), CR_HERE)
#define cr_maximum(x, other) cr_maximum_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_minimum(x, other) cr_minimum_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_eq(x, other) cr_eq_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_ne(x, other) cr_ne_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_lt(x, other) cr_lt_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_le(x, other) cr_le_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_gt(x, other) cr_gt_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_ge(x, other) cr_ge_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_logical_and(x, other) cr_logical_and_at(CR_ARG(x), CR_ARG(other), CR_HERE)
#define cr_logical_or(x, other) cr_logical_or_at(CR_ARG(x), CR_ARG(other), CR_HERE)

/* x where the bool tensor condition is true, other elsewhere; the gradient is selected likewise. Any
 * type, different ones as above; of two numbers i64 if both are integers, else f32.
 * The branch that is not taken is computed too, and what is infinite in its derivative there meets
 * a cotangent of 0: the gradient of where(x > 0, sqrt(x), 0) at x <= 0 is NaN, as everywhere. Keep
 * its argument inside before: where(x > 0, sqrt(clamp(x, 1e-12, INFINITY)), 0). */
CR_API cr_tensor *cr_where_at(cr_tensor *condition, cr_arg x, cr_arg other,
                              const char *site);
#define cr_where(condition, x, other) \
    cr_where_at(condition, CR_ARG(x), CR_ARG(other), CR_HERE)

/* min(max(x, min), max) for numbers min and max, -INFINITY and INFINITY for none; NaN stays NaN. Any
 * number type. The gradient passes strictly between the bounds and is 0 at them. */
CR_API cr_tensor *cr_clamp_at(cr_tensor *x, cr_arg min, cr_arg max, const char *site);
#define cr_clamp(x, min, max) cr_clamp_at(x, CR_ARG(min), CR_ARG(max), CR_HERE)

/* x as another element type, as C converts; to bool: x != 0. A float that the integer type cannot
 * hold becomes its nearest value, NaN becomes 0. Gradients pass between floats. */
CR_API cr_tensor *cr_cast_at(cr_tensor *x, cr_dtype dtype, const char *site);
#define cr_cast(x, dtype) cr_cast_at(x, dtype, CR_HERE)

/* Reductions over dim: an int, a list CR_DIMS(0, 2), or CR_ALL; behind the first argument it may be
 * left out, and then is CR_ALL. .keepdim leaves what was reduced with size 1.
 *
 *     cr_sum(x)    cr_sum(x, -1)    cr_sum(x, CR_DIMS(0, 2))    cr_sum(x, CR_ALL, .keepdim = true)
 *
 *     sum         integers and bools sum as i64
 *     mean        sum / count; integers and bools give f32; NaN of nothing
 *     amax, amin  NaN wins; the gradient is shared evenly by all equal extrema; of nothing: error
 *     logsumexp   ln sum e^x, without overflow; floats; of -inf only: -inf with gradient 0
 */
typedef struct cr_reduce_opts {
    const char *site CR_ZERO;
    bool keepdim CR_ZERO;
} cr_reduce_opts;
CR_API cr_tensor *cr_sum_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
CR_API cr_tensor *cr_mean_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
CR_API cr_tensor *cr_amax_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
CR_API cr_tensor *cr_amin_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
CR_API cr_tensor *cr_logsumexp_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define CR_REDUCE_(name, T, ...)                                       \
    name(CR_FIRST(__VA_ARGS__, 0), CR_DIM_OR_ALL(__VA_ARGS__), CR_OPTS_BEHIND_2(T, __VA_ARGS__))
#define cr_sum(...) CR_REDUCE_(cr_sum_at, cr_reduce_opts, __VA_ARGS__)
#define cr_mean(...) CR_REDUCE_(cr_mean_at, cr_reduce_opts, __VA_ARGS__)
#define cr_amax(...) CR_REDUCE_(cr_amax_at, cr_reduce_opts, __VA_ARGS__)
#define cr_amin(...) CR_REDUCE_(cr_amin_at, cr_reduce_opts, __VA_ARGS__)
#define cr_logsumexp(...) CR_REDUCE_(cr_logsumexp_at, cr_reduce_opts, __VA_ARGS__)

/* The place (i64) of the largest element along one dim, or (CR_ALL) in the whole tensor; of
 * several, the first; the first NaN, if there is one. */
CR_API cr_tensor *cr_argmax_at(cr_tensor *x, cr_dims dim, cr_reduce_opts opts);
#define cr_argmax(...) CR_REDUCE_(cr_argmax_at, cr_reduce_opts, __VA_ARGS__)

/* sum (x - mean)^2 / max(0, count - correction): correction 1 is the sample variance, 0 the
 * population's: cr_var(x, -1, .correction = CR_REAL(0)). Floats. */
typedef struct cr_var_opts {
    const char *site CR_ZERO;
    cr_opt_real correction CR_ZERO; /* default 1 */
    bool keepdim CR_ZERO;
} cr_var_opts;
CR_API cr_tensor *cr_var_at(cr_tensor *x, cr_dims dim, cr_var_opts opts);
#define cr_var(...) CR_REDUCE_(cr_var_at, cr_var_opts, __VA_ARGS__)

/* Views: the same elements seen in another shape; nothing is copied until a kernel needs it. All
 * types.
 *
 *     reshape    the same elements in row-major order; one size may be -1
 *     permute    dimension i of the result is dimension dims[i] of x
 *     transpose  two dimensions exchanged
 *     t          the last two exchanged
 *     expand     size-1 (and new leading) dimensions repeated; -1 keeps a size
 *     flip       the order along dims reversed
 *     squeeze    those of dim (as in reductions; all, if there is none) that have size 1 dropped
 *     unsqueeze  a new dimension of size 1 at dim
 *     slice      start, start + step, ... below end along dim; negative places count from the
 *                end, places outside are clipped; INT64_MAX is the end; .step is above 0
 *     select     the index-th slice along dim, without that dimension
 */
CR_API cr_tensor *cr_reshape_at(cr_tensor *x, cr_dims shape, const char *site);
CR_API cr_tensor *cr_permute_at(cr_tensor *x, cr_dims dims, const char *site);
CR_API cr_tensor *cr_transpose_at(cr_tensor *x, int dim0, int dim1, const char *site);
CR_API cr_tensor *cr_expand_at(cr_tensor *x, cr_dims shape, const char *site);
CR_API cr_tensor *cr_flip_at(cr_tensor *x, cr_dims dims, const char *site);
CR_API cr_tensor *cr_unsqueeze_at(cr_tensor *x, int dim, const char *site);
CR_API cr_tensor *cr_select_at(cr_tensor *x, int dim, int64_t index, const char *site);
#define cr_reshape(x, shape) cr_reshape_at(x, shape, CR_HERE)
#define cr_permute(x, dims) cr_permute_at(x, dims, CR_HERE)
#define cr_transpose(x, dim0, dim1) cr_transpose_at(x, dim0, dim1, CR_HERE)
#define cr_t(x) cr_transpose_at(x, -2, -1, CR_HERE)
#define cr_expand(x, shape) cr_expand_at(x, shape, CR_HERE)
#define cr_flip(x, dims) cr_flip_at(x, dims, CR_HERE)
#define cr_unsqueeze(x, dim) cr_unsqueeze_at(x, dim, CR_HERE)
#define cr_select(x, dim, index) cr_select_at(x, dim, index, CR_HERE)

CR_API cr_tensor *cr_squeeze_at(cr_tensor *x, cr_dims dim, const char *site);
#define cr_squeeze(...) CR_THIRD_(__VA_ARGS__, CR_SQUEEZE_2_, CR_SQUEEZE_1_, )(__VA_ARGS__)
#define CR_SQUEEZE_1_(x) cr_squeeze_at(x, CR_ALL, CR_HERE)
#define CR_SQUEEZE_2_(x, dim) cr_squeeze_at(x, CR_DIM_ARG(dim), CR_HERE)

typedef struct cr_slice_opts {
    const char *site CR_ZERO;
    int64_t step CR_ZERO; /* default 1 */
} cr_slice_opts;
CR_API cr_tensor *cr_slice_at(cr_tensor *x, int dim, int64_t start, int64_t end,
                              cr_slice_opts opts);
#define cr_slice(x, dim, start, ...)                             \
    cr_slice_at(x, dim, start, CR_FIRST(__VA_ARGS__, 0),         \
                CR_OPTS(cr_slice_opts, __VA_ARGS__))

/* x with the slice (as above) replaced by src, which has the slice's shape. */
CR_API cr_tensor *cr_slice_scatter_at(cr_tensor *x, cr_tensor *src, int dim, int64_t start,
                                      int64_t end, cr_slice_opts opts);
#define cr_slice_scatter(x, src, dim, start, ...)                        \
    cr_slice_scatter_at(x, src, dim, start, CR_FIRST(__VA_ARGS__, 0),    \
                        CR_OPTS(cr_slice_opts, __VA_ARGS__))

/* n tensors joined along an existing dim (cat; other sizes equal) or a new one (stack). */
CR_API cr_tensor *cr_cat_at(cr_tensor *const *xs, int n, int dim, const char *site);
CR_API cr_tensor *cr_stack_at(cr_tensor *const *xs, int n, int dim, const char *site);
#define cr_cat(...) cr_cat_at(__VA_ARGS__, CR_HERE)
#define cr_stack(...) cr_stack_at(__VA_ARGS__, CR_HERE)

/* Matrix product of the last two dimensions, [.., m, k] @ [.., k, n], leading ones broadcast; a
 * rank-1 operand is a row on the left, a column on the right, and its dimension is dropped.
 * Transposed operands are read in place. f32 and f64. */
CR_API cr_tensor *cr_matmul_at(cr_tensor *x, cr_tensor *other, const char *site);
#define cr_matmul(x, other) cr_matmul_at(x, other, CR_HERE)

/* x weight^T + bias: x [.., in], weight [out, in] (or [in]), bias [out] or NULL. */
CR_API cr_tensor *cr_linear_at(cr_tensor *x, cr_tensor *weight, cr_tensor *bias, const char *site);
#define cr_linear(x, weight, bias) cr_linear_at(x, weight, bias, CR_HERE)

/* Picking by index tensors (i64, i32 or u8). An index outside is an error of the run.
 *
 *     gather        out[i,j,k] = x[i,index[i,j,k],k] (for dim 1): index's shape, which must fit
 *                   into x's outside dim; the gradient is added up where x was read
 *     scatter_add   x with x[i,index[i,j,k],k] += src[i,j,k]: gather's adjoint. All that points
 *                   to one element is summed as cr_sum() does, in an order that depends on the
 *                   index alone; x is added to the sum. So are the gradients of these operations.
 *     index_select  whole slices along dim, index of rank 0 or 1
 *     embedding     out[.., :] = weight[index[..], :], weight [count, width]; rows of
 *                   .padding_idx get no gradient
 *     one_hot       i64 ones at index along a new last dimension of num_classes; -1 looks for
 *                   the largest index, and so computes index at once
 */
CR_API cr_tensor *cr_gather_at(cr_tensor *x, int dim, cr_tensor *index, const char *site);
CR_API cr_tensor *cr_scatter_add_at(cr_tensor *x, int dim, cr_tensor *index, cr_tensor *src,
                                    const char *site);
CR_API cr_tensor *cr_index_select_at(cr_tensor *x, int dim, cr_tensor *index, const char *site);
CR_API cr_tensor *cr_one_hot_at(cr_tensor *index, int64_t num_classes, const char *site);
#define cr_gather(x, dim, index) cr_gather_at(x, dim, index, CR_HERE)
#define cr_scatter_add(x, dim, index, src) cr_scatter_add_at(x, dim, index, src, CR_HERE)
#define cr_index_select(x, dim, index) cr_index_select_at(x, dim, index, CR_HERE)
#define cr_one_hot(index, num_classes) cr_one_hot_at(index, num_classes, CR_HERE)

typedef struct cr_embedding_opts {
    const char *site CR_ZERO;
    cr_opt_int padding_idx CR_ZERO; /* default none */
} cr_embedding_opts;
CR_API cr_tensor *cr_embedding_at(cr_tensor *weight, cr_tensor *index, cr_embedding_opts opts);
#define cr_embedding(weight, ...)                            \
    cr_embedding_at(weight, CR_FIRST(__VA_ARGS__, 0),        \
                    CR_OPTS(cr_embedding_opts, __VA_ARGS__))

/* e^x / sum e^x along dim, and its logarithm; both without overflow. Floats. In a row of -inf
 * softmax is 0 with gradient 0, log_softmax NaN. */
CR_API cr_tensor *cr_softmax_at(cr_tensor *x, int dim, const char *site);
CR_API cr_tensor *cr_log_softmax_at(cr_tensor *x, int dim, const char *site);
#define cr_softmax(x, dim) cr_softmax_at(x, dim, CR_HERE)
#define cr_log_softmax(x, dim) cr_log_softmax_at(x, dim, CR_HERE)

/* Classification losses. Classes are dimension 1 of x [N, C, ..] (or 0 of [C]); target holds
 * class indices [N, ..] (or is a scalar), and another number is an error of the run. .weight [C]
 * weights the classes; targets equal to .ignore_index count for nothing; the mean divides by the
 * sum of the targets' weights.
 *
 *     nll_loss       -x[target], x being log-probabilities
 *     cross_entropy  nll_loss of log_softmax(x); target may also hold probabilities, shaped like
 *                    x; .label_smoothing e mixes the target with e/C everywhere
 */
typedef struct cr_class_loss_opts {
    const char *site CR_ZERO;
    cr_tensor *weight CR_ZERO;
    cr_opt_int ignore_index CR_ZERO; /* default -100 */
    cr_reduction reduction CR_ZERO;
    double label_smoothing CR_ZERO; /* 0 to 1; cross_entropy only */
} cr_class_loss_opts;
CR_API cr_tensor *cr_cross_entropy_at(cr_tensor *x, cr_tensor *target, cr_class_loss_opts opts);
CR_API cr_tensor *cr_nll_loss_at(cr_tensor *x, cr_tensor *target, cr_class_loss_opts opts);
#define CR_CLASS_LOSS_(name, x, ...)              \
    name(x, CR_FIRST(__VA_ARGS__, 0),             \
         CR_OPTS(cr_class_loss_opts, __VA_ARGS__))
#define cr_cross_entropy(x, ...) CR_CLASS_LOSS_(cr_cross_entropy_at, x, __VA_ARGS__)
#define cr_nll_loss(x, ...) CR_CLASS_LOSS_(cr_nll_loss_at, x, __VA_ARGS__)

/* (x - target)^2; target is shaped like x or broadcasts to it. */
typedef struct cr_loss_opts {
    const char *site CR_ZERO;
    cr_reduction reduction CR_ZERO;
} cr_loss_opts;
CR_API cr_tensor *cr_mse_loss_at(cr_tensor *x, cr_tensor *target, cr_loss_opts opts);
#define cr_mse_loss(x, ...)                            \
    cr_mse_loss_at(x, CR_FIRST(__VA_ARGS__, 0),        \
                   CR_OPTS(cr_loss_opts, __VA_ARGS__))

/* -(p t ln s(x) + (1 - t) ln(1 - s(x))) w with the sigmoid s, without overflow; target t in
 * [0, 1], .weight w and .pos_weight p broadcast. */
typedef struct cr_bce_opts {
    const char *site CR_ZERO;
    cr_tensor *weight CR_ZERO;
    cr_tensor *pos_weight CR_ZERO;
    cr_reduction reduction CR_ZERO;
} cr_bce_opts;
CR_API cr_tensor *cr_binary_cross_entropy_with_logits_at(cr_tensor *x, cr_tensor *target,
                                                         cr_bce_opts opts);
#define cr_binary_cross_entropy_with_logits(x, ...)                            \
    cr_binary_cross_entropy_with_logits_at(x, CR_FIRST(__VA_ARGS__, 0),        \
        CR_OPTS(cr_bce_opts, __VA_ARGS__))

/* 1 with probability x, else 0; below 0 and above 1 x counts as 0 and 1. Gradient 0. */
CR_API cr_tensor *cr_bernoulli_at(cr_tensor *x, const char *site);
#define cr_bernoulli(x) cr_bernoulli_at(x, CR_HERE)

/* Zero with probability p, else x / (1 - p). For training only: the module dropout knows the
 * mode. Srivastava et al., 2014. */
CR_API cr_tensor *cr_dropout_at(cr_tensor *x, double p, const char *site);
#define cr_dropout(x, p) cr_dropout_at(x, p, CR_HERE)

/* (x - mean) / sqrt(var + eps) * weight + bias over the last dimensions, which must equal
 * normalized_shape (the shape of weight and bias, either of which may be NULL); biased variance.
 * Ba et al., 2016. */
typedef struct cr_norm_opts {
    const char *site CR_ZERO;
    double eps CR_ZERO; /* above 0; default 1e-5 */
} cr_norm_opts;
CR_API cr_tensor *cr_layer_norm_at(cr_tensor *x, cr_dims normalized_shape, cr_tensor *weight,
                                   cr_tensor *bias, cr_norm_opts opts);
#define cr_layer_norm(x, normalized_shape, weight, ...)                              \
    cr_layer_norm_at(x, normalized_shape, weight, CR_FIRST(__VA_ARGS__, 0),          \
                     CR_OPTS(cr_norm_opts, __VA_ARGS__))

/* The same over all dimensions but 1, per channel (x [N, C, ..]). training: with the batch's mean
 * and biased variance, and running = (1 - momentum) running + momentum batch (the unbiased
 * variance) is assigned to running_mean and running_var, unless they are NULL. Otherwise: with the
 * running statistics, which must be given. Ioffe and Szegedy, 2015. */
CR_API cr_tensor *cr_batch_norm_at(cr_tensor *x, cr_tensor *running_mean, cr_tensor *running_var,
                                   cr_tensor *weight, cr_tensor *bias, bool training,
                                   double momentum, cr_norm_opts opts);
#define cr_batch_norm(x, running_mean, running_var, weight, bias, training, ...)                 \
    cr_batch_norm_at(x, running_mean, running_var, weight, bias, training,                       \
                     CR_FIRST(__VA_ARGS__, 0),                                                   \
                     CR_OPTS(cr_norm_opts, __VA_ARGS__))

/* ---- 8. Operations by name, and your own --------------------------------------------------- */

/* What the executor knows about an operation. */
typedef enum cr_op_kind {
    CR_OP_MAP = 1,   /* element by element; fused into tile programs */
    CR_OP_REDUCE,    /* over dimensions; may end a tile program */
    CR_OP_VIEW,      /* no kernel: another way to index its input */
    CR_OP_CONTRACT,  /* a matrix product */
    CR_OP_OPAQUE,    /* a kernel of its own on contiguous arrays */
    CR_OP_COMPOSITE  /* expands into others while recording */
} cr_op_kind;

/* An attribute: a member of the operation's attribute struct. */
typedef enum cr_attr_type {
    CR_ATTR_BOOL,   /* bool */
    CR_ATTR_INT,    /* int64_t */
    CR_ATTR_REAL,   /* double */
    CR_ATTR_NUMBER, /* cr_arg: an integer stays one */
    CR_ATTR_DIMS,   /* cr_dims */
    CR_ATTR_REALS,  /* cr_reals */
    CR_ATTR_OPT_INT,  /* cr_opt_int */
    CR_ATTR_OPT_REAL, /* cr_opt_real */
    CR_ATTR_WORD,   /* an int-sized enum: the place of the word in words */
    CR_ATTR_DTYPE   /* cr_dtype */
} cr_attr_type;

/* Why zero may stand for the default of an attribute. */
enum {
    CR_ATTR_POSITIONAL = 1, /* the C function takes it by position: zero is zero */
    CR_ATTR_POSITIVE = 2    /* only values above zero are legal: cr_apply() and cr_call() see to it */
};

typedef struct cr_attr {
    const char *name;
    cr_attr_type type CR_ZERO;
    size_t offset CR_ZERO;
    const char *initial CR_ZERO; /* the default as text; NULL: none, it must be given */
    const char *words CR_ZERO;   /* of CR_ATTR_WORD: "mean,sum,none" */
    unsigned flags CR_ZERO;
} cr_attr;

/* What a shape rule is given and fills in. attrs is the node's own copy of the attribute struct:
 * resolve defaults and negative dims in it, so that vjp and kernel need not. */
typedef struct cr_infer {
    cr_ctx *ctx;
    const cr_op *op;
    int n;                     /* inputs; absent ones have dtype 0 */
    const cr_dtype *in_dtype;
    const cr_dims *in_dims;
    void *attrs;
    cr_dtype dtype;            /* out: preset to the first input's */
    cr_dims dims;              /* out: preset to the first input's */
} cr_infer;

/* An array as kernels see it: contiguous and row-major. */
typedef struct cr_array {
    void *data;
    cr_dtype dtype;
    cr_dims dims;
    int64_t numel;
} cr_array;

/* What an opaque kernel is given. It is pure: it may run on any thread, and again; it writes all
 * elements of out, whose content is undefined before. */
typedef struct cr_kernel {
    const cr_array *in; /* absent optional inputs have data NULL and dtype 0 */
    int n;
    cr_array out;
    const void *attrs;
    void *scratch; /* as many bytes as the operation's scratch() asked for, or NULL */
    char *message; /* where to say why it failed: capacity bytes */
    size_t capacity;
    void *workers; /* for cr_kernel_parallel() */
} cr_kernel;

/* Inside a kernel: calls body(arg, i) for each i below n, on the context's threads. */
CR_API void cr_kernel_parallel(const cr_kernel *kernel, int n, void (*body)(void *arg, int i),
                               void *arg);

/* Sample inputs, from which the tests of an operation are made. inputs is a list like
 *
 *     "f[2,3] f[3]{0.5,2} i[4]{0,5} b[2,3] - n{-2,2}"
 *
 * of float, integer (i64) and bool tensors, absent inputs (-) and C numbers (n), with the range
 * of their values (default -2 to 2, integers 0 to 4; the upper bound of integers is excluded).
 * "~" behind a tensor: no gradient is asked for it; "!": all elements differ from each other. */
typedef struct cr_sample {
    const char *inputs;
    const char *attrs CR_ZERO; /* as in cr_call(); NULL: none */
} cr_sample;

/* What a vjp reads besides the cotangent: CR_READS_INPUT(0) | CR_READS_OUTPUT. */
#define CR_READS_INPUT(i) (1u << (i))
#define CR_READS_OUTPUT (1u << 31)
#define CR_READS_INPUTS 0x7fffffffu

/* One operation. Tables of the library and of its users are made of these; all members that are
 * not used stay zero. One of your own is opaque, with a kernel, or composite, with an expansion; it
 * must outlive the tensors made with it, as a static one does. */
struct cr_op {
    const char *name;
    const char *doc CR_ZERO; /* what it computes, one line */
    cr_op_kind kind CR_ZERO;
    int min_inputs CR_ZERO;
    int max_inputs CR_ZERO;      /* more than min_inputs: the rest is optional; -1: any number */
    const char *inputs CR_ZERO;  /* their names: "x,weight,bias" */

    const cr_attr *attrs CR_ZERO; /* ends with a row whose name is NULL */
    size_t attrs_size CR_ZERO;    /* of the attribute struct, which holds no pointers */

    /* dtype and shape of the result, or an error by cr_fail(). NULL: as the first input. */
    cr_status (*shape)(cr_infer *infer) CR_ZERO;

    /* Given the output's node and cotangent, stores the cotangents of those inputs for which
     * cr_input_needs_grad() holds, made by calling operations; what it leaves NULL gets none. NULL:
     * not differentiable. A composite has none: its parts have theirs. */
    void (*vjp)(cr_tensor *out, cr_tensor *cotangent, cr_tensor **input_cotangents) CR_ZERO;
    unsigned reads CR_ZERO;
    /* What it reads for the cotangent of input i alone: not counted if that is a number. */
    unsigned reads_for[2] CR_ZERO;

    /* CR_OP_OPAQUE: computes out from in; on failure returns a status and writes the message. */
    cr_status (*kernel)(const cr_kernel *kernel) CR_ZERO;
    /* How many bytes of memory that needs besides, which the run obtains before it computes
     * anything. NULL: none. May ask for inputs' shapes and attributes, never for values. */
    size_t (*scratch)(const cr_tensor *out) CR_ZERO;

    /* CR_OP_COMPOSITE: builds the result from other operations. */
    cr_tensor *(*expand)(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                         const void *attrs) CR_ZERO;

    /* The library's other kinds: how to run it. Its form depends on the kind; not for users. */
    const void *internal CR_ZERO;

    const cr_sample *samples CR_ZERO; /* ends with a row whose inputs are NULL */
    const char *kinks CR_ZERO; /* inputs near which it is not differentiable: "0", "-0.5,0.5" */
};

/* For vjps: the inputs of a node (NULL if absent or a number), the operand as given, its resolved
 * attributes, and whether an input wants a cotangent. */
CR_API cr_tensor *cr_input(const cr_tensor *out, int i);
CR_API cr_arg cr_operand(const cr_tensor *out, int i);
CR_API int cr_input_count(const cr_tensor *out);
CR_API const void *cr_attrs(const cr_tensor *out);
CR_API bool cr_input_needs_grad(const cr_tensor *out, int i);
CR_API const cr_op *cr_op_of(const cr_tensor *x);

/* All operations of the library, by number (NULL past the last) and by name (NULL if unknown). */
CR_API const cr_op *cr_op_list(int i);
CR_API const cr_op *cr_op_find(const char *name);

/* Applies an operation to n inputs. attrs points to its attribute struct, NULL for defaults. */
CR_API cr_tensor *cr_apply_at(const cr_op *op, cr_tensor *const *inputs, int n, const void *attrs,
                              const char *site);
#define cr_apply(...) cr_apply_at(__VA_ARGS__, CR_HERE)

/* The same with attributes as text: "dim=1,keepdim=true", values being integers, reals, true,
 * false, words, or lists [1,2]. Returns how many outputs came out (written to outputs as far as
 * capacity goes), or -1 with an error. ctx may be NULL if there is an input. */
CR_API int cr_call_at(cr_ctx *ctx, const cr_op *op, cr_tensor *const *inputs, int n,
                      const char *attrs, cr_tensor **outputs, int capacity, const char *site);
#define cr_call(...) cr_call_at(__VA_ARGS__, CR_HERE)

/* An operation from two C functions over plain arrays, both pure: forward writes out; backward
 * gets the inputs, the output and its cotangent, and writes the cotangent of every float input
 * (in_cotangents[i].data is NULL where none is wanted). Both return false to fail the run. The
 * result has the given dtype and shape. A second derivative is an error that says so. */
typedef bool cr_custom_forward(const cr_array *in, int n, cr_array *out, void *user);
typedef bool cr_custom_backward(const cr_array *in, int n, const cr_array *out,
                                const cr_array *cotangent, cr_array *in_cotangents, void *user);
typedef struct cr_custom_def {
    const char *name;
    cr_custom_forward *forward;
    cr_custom_backward *backward CR_ZERO; /* NULL: not differentiable */
    void *user CR_ZERO;                   /* must outlive the tensors made with it */
} cr_custom_def;
CR_API cr_tensor *cr_custom_at(const cr_custom_def *def, cr_tensor *const *inputs, int n,
                               cr_dtype dtype, cr_dims shape, const char *site);
#define cr_custom(...) cr_custom_at(__VA_ARGS__, CR_HERE)

/* ---- 9. Modules and initialisers ----------------------------------------------------------- */

/* A module owns parameters, buffers and the modules added to it. Constructors return NULL with an
 * error in the context. cr_nn_free() frees it with all it owns; NULL is allowed. A module that was
 * added to another belongs to that one; adding a NULL or an owned one is an error. */
CR_API void cr_nn_free(cr_module *module);

/* Runs the module on x. NULL if either is NULL or an error is pending. */
CR_API cr_tensor *cr_nn_forward_at(cr_module *module, cr_tensor *x, const char *site);
#define cr_nn_forward(module, x) cr_nn_forward_at(module, x, CR_HERE)

/* Training mode (the start) or evaluation: matters to dropout and batch norm. For the module and
 * all it holds. */
CR_API void cr_nn_train(cr_module *module, bool training);

/* The parameters of a module and all it holds, in the order of construction, with names like
 * "0.weight" or "2.inner.bias"; the list belongs to the module and is remade when modules are
 * added. Buffers (running statistics) are listed by cr_nn_buffers(). */
typedef struct cr_param {
    const char *name;
    cr_tensor *tensor;
} cr_param;
typedef struct cr_params {
    cr_ctx *ctx;
    int n;
    const cr_param *list;
} cr_params;
CR_API const cr_params *cr_nn_params(cr_module *module);
CR_API const cr_params *cr_nn_buffers(cr_module *module);

/* The parameter or buffer of that name, NULL with an error if there is none. */
CR_API cr_tensor *cr_nn_param(cr_module *module, const char *name);

/* The modules inside: how many, the i-th, and what kind a module is ("linear", "relu", ...). */
CR_API int cr_nn_count(const cr_module *module);
CR_API cr_module *cr_nn_child(const cr_module *module, int i);
CR_API const char *cr_nn_kind(const cr_module *module);

/* Runs its parts one after the other. cr_nn_add() takes over child (also on failure). */
CR_API cr_module *cr_nn_sequential(cr_ctx *ctx);
CR_API cr_status cr_nn_add(cr_module *sequential, cr_module *child);

/* x + inner(x); takes over inner. He et al., 2016. */
CR_API cr_module *cr_nn_residual(cr_ctx *ctx, cr_module *inner);

/* x W^T + b with W [out, in] and b [out], both uniform in +-1/sqrt(in). */
typedef struct cr_nn_linear_opts {
    const char *site CR_ZERO;
    bool no_bias CR_ZERO;
    cr_dtype dtype CR_ZERO;
} cr_nn_linear_opts;
CR_API cr_module *cr_nn_linear_at(cr_ctx *ctx, int64_t in, int64_t out, cr_nn_linear_opts opts);
#define cr_nn_linear(ctx, in, ...)                              \
    cr_nn_linear_at(ctx, in, CR_FIRST(__VA_ARGS__, 0),        \
                      CR_OPTS(cr_nn_linear_opts, __VA_ARGS__))

/* Activations, without parameters. */
CR_API cr_module *cr_nn_sigmoid(cr_ctx *ctx);
CR_API cr_module *cr_nn_tanh(cr_ctx *ctx);
CR_API cr_module *cr_nn_relu(cr_ctx *ctx);
CR_API cr_module *cr_nn_leaky_relu(cr_ctx *ctx, double negative_slope);
CR_API cr_module *cr_nn_softplus(cr_ctx *ctx);
CR_API cr_module *cr_nn_gelu(cr_ctx *ctx);
CR_API cr_module *cr_nn_silu(cr_ctx *ctx);

/* Dropout with probability p while training, the identity otherwise. */
CR_API cr_module *cr_nn_dropout(cr_ctx *ctx, double p);

/* Normalisation of [N, features]: see cr_batch_norm (momentum 0.1) and cr_layer_norm. Parameters
 * weight (ones) and bias (zeros); batch norm's buffers running_mean, running_var. */
CR_API cr_module *cr_nn_batch_norm1d(cr_ctx *ctx, int64_t features, cr_dtype dtype);
CR_API cr_module *cr_nn_layer_norm(cr_ctx *ctx, int64_t features, cr_dtype dtype);

/* A module of your own: forward gets it and x; parameters and buffers are added by name, and child
 * modules with cr_nn_add(). user is freed by free_user, if given. */
typedef cr_tensor *cr_nn_forward_fn(cr_module *module, cr_tensor *x, void *user);
CR_API cr_module *cr_nn_custom(cr_ctx *ctx, const char *kind, cr_nn_forward_fn *forward, void *user,
                               void (*free_user)(void *user));
CR_API cr_status cr_nn_add_param(cr_module *module, const char *name, cr_tensor *value);
CR_API cr_status cr_nn_add_buffer(cr_module *module, const char *name, cr_tensor *value);
CR_API bool cr_nn_is_training(const cr_module *module);

/* Initialisers assign a new value to a leaf. fan_in is the product of all sizes but the first,
 * fan_out of all but the second (PyTorch's convention for [out, in, ..]).
 *
 *     default         U(+-1/sqrt(fan_in))
 *     xavier_uniform  U(+-gain sqrt(6/(fan_in + fan_out)))       Glorot and Bengio, 2010
 *     xavier_normal   N(0, gain^2 2/(fan_in + fan_out))
 *     kaiming_uniform U(+-gain sqrt(3/fan)), fan = fan_in        He et al., 2015
 *     kaiming_normal  N(0, gain^2/fan)
 *     orthogonal      gain Q, Q with orthonormal rows or columns Saxe et al., 2013
 *     constant        the value everywhere
 *     normal, uniform N(mean, std^2), U[low, high)
 *
 * cr_init_gain("relu", 0) is the gain of an activation: linear, sigmoid 1; tanh 5/3; relu sqrt 2;
 * leaky_relu sqrt(2/(1 + slope^2)); selu 3/4. Unknown names give NaN. */
CR_API double cr_init_gain(const char *activation, double slope);
CR_API cr_status cr_init_default(cr_tensor *param);
CR_API cr_status cr_init_xavier_uniform(cr_tensor *param, double gain);
CR_API cr_status cr_init_xavier_normal(cr_tensor *param, double gain);
CR_API cr_status cr_init_kaiming_uniform(cr_tensor *param, double gain);
CR_API cr_status cr_init_kaiming_normal(cr_tensor *param, double gain);
CR_API cr_status cr_init_orthogonal(cr_tensor *param, double gain);
CR_API cr_status cr_init_constant(cr_tensor *param, double value);
CR_API cr_status cr_init_normal(cr_tensor *param, double mean, double std);
CR_API cr_status cr_init_uniform(cr_tensor *param, double low, double high);

/* ---- 10. Optimisers and clipping ----------------------------------------------------------- */

/* An optimiser changes parameters by their gradients g; parameters whose gradient is NULL are
 * left alone. The list must outlive it. A step is a set of assignments: lazy, all or nothing. */
typedef struct cr_sgd_opts {
    const char *site CR_ZERO;
    double momentum CR_ZERO;
    double weight_decay CR_ZERO;
    bool nesterov CR_ZERO; /* needs momentum */
} cr_sgd_opts;
typedef struct cr_adam_opts {
    const char *site CR_ZERO;
    cr_reals betas CR_ZERO; /* default 0.9, 0.999 */
    double eps CR_ZERO;     /* above 0; default 1e-8 */
} cr_adam_opts;

/* g += weight_decay p; m = momentum m + g (m = g at first); p -= lr (nesterov ? g + momentum m : m).
 * Sutskever et al., 2013. */
CR_API cr_optim *cr_optim_sgd_at(const cr_params *params, double lr, cr_sgd_opts opts);
#define cr_optim_sgd(params, ...)                          \
    cr_optim_sgd_at(params, CR_FIRST(__VA_ARGS__, 0),    \
                      CR_OPTS(cr_sgd_opts, __VA_ARGS__))

/* m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
 * p -= lr / (1-b1^t) m / (sqrt(v) / sqrt(1-b2^t) + eps). Kingma and Ba, 2015.
 * weight_decay: adam adds weight_decay p to g; adamw first multiplies p by 1 - lr weight_decay
 * (Loshchilov and Hutter, 2019). */
CR_API cr_optim *cr_optim_adam_at(const cr_params *params, double lr, double weight_decay,
                                    cr_adam_opts opts);
CR_API cr_optim *cr_optim_adamw_at(const cr_params *params, double lr, double weight_decay,
                                     cr_adam_opts opts);
#define cr_optim_adam(params, lr, ...)                           \
    cr_optim_adam_at(params, lr, CR_FIRST(__VA_ARGS__, 0),     \
                       CR_OPTS(cr_adam_opts, __VA_ARGS__))
#define cr_optim_adamw(params, lr, ...)                          \
    cr_optim_adamw_at(params, lr, CR_FIRST(__VA_ARGS__, 0),    \
                        CR_OPTS(cr_adam_opts, __VA_ARGS__))

CR_API cr_status cr_optim_zero_grad(cr_optim *optim);
CR_API cr_status cr_optim_step(cr_optim *optim);
CR_API double cr_optim_lr(const cr_optim *optim);
CR_API cr_status cr_optim_set_lr(cr_optim *optim, double lr);
CR_API void cr_optim_free(cr_optim *optim);

/* Scales all gradients together so that their joint 2-norm is at most max_norm: by
 * min(1, max_norm / (norm + 1e-6)). Returns the norm before (a scalar tensor; the parameters'
 * dtype, the sum of squares in f64). A norm that is not finite fails the run with a message that
 * names the parameter. Pascanu et al., 2013. */
CR_API cr_tensor *cr_clip_grad_norm_at(const cr_params *params, double max_norm, const char *site);
#define cr_clip_grad_norm(params, max_norm) cr_clip_grad_norm_at(params, max_norm, CR_HERE)

/* Clamps every element of every gradient to [-clip_value, clip_value]. */
CR_API cr_status cr_clip_grad_value_at(const cr_params *params, double clip_value,
                                       const char *site);
#define cr_clip_grad_value(params, clip_value) cr_clip_grad_value_at(params, clip_value, CR_HERE)

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif
