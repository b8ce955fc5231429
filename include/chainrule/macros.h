/* The macros beneath the interface, which nobody needs to read to use it: the caller's place as
 * text, optional trailing options, numbers or tensors in either place, lists. Each macro writes
 * each of its arguments once. */
#ifndef CHAINRULE_MACROS_H
#define CHAINRULE_MACROS_H

#include "core.h"

/* ---- functions ---- */

CR_BEGIN
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
CR_END

/* ---- both languages ---- */

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

/* The compiler's own f16, where it has one. */
#if defined(__FLT16_MAX__) && (!defined(__cplusplus) || __GNUC__ >= 13)
__extension__ typedef _Float16 cr_float16_;
#define CR_FLOAT16_(X) X(cr_float16_)
#else
#define CR_FLOAT16_(X)
#endif

/* The types of numbers that a pointer may point to, which is compared with a dtype. */
#define CR_NUMBER_TYPES_(X)                                            \
    X(bool) X(char) X(signed char) X(unsigned char)                    \
    X(short) X(unsigned short) X(int) X(unsigned int)                  \
    X(long) X(unsigned long) X(long long) X(unsigned long long)        \
    X(float) X(double) X(long double) CR_FLOAT16_(X)

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

/* ---- C++ ---- */

#define CR_SCOPE_SITE_ "the end of the block of CR_SCOPE, " CR_HERE

#ifdef __cplusplus

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
#define CR_ARRAY(T, ...) std::initializer_list<T>{ __VA_ARGS__ }.begin()
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

/* data: a pointer, NULL, or an array, also a literal one, which does not become a pointer. */
template <class T>
static inline cr_tensor *cr_from_(const char *site, cr_ctx *ctx, cr_dtype dtype, cr_dims shape,
                                  const T &data)
{
    if constexpr (std::is_array<T>::value)
        return cr_from_at(ctx, dtype, shape, &data, cr_type_behind_(&data), site);
    else if constexpr (std::is_pointer<T>::value)
        return cr_from_at(ctx, dtype, shape, data, cr_type_behind_(data), site);
    else if constexpr (std::is_same<T, decltype(NULL)>::value)
        return cr_from_at(ctx, dtype, shape, nullptr, nullptr, site);
    else
        return cr_from_at(ctx, dtype, shape, static_cast<const void *>(data), nullptr, site);
}
#define cr_from(ctx, dtype, shape, ...) cr_from_(CR_HERE, ctx, dtype, shape, __VA_ARGS__)

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

template <class... T> static inline cr_status cr_eval_list_(const char *site, T... x)
{
    cr_tensor *const xs[] = { x... };
    return cr_eval_at(xs, static_cast<int>(sizeof...(T)), site);
}
#define cr_eval(...) cr_eval_list_(CR_HERE, __VA_ARGS__)

struct cr_scope_guard {
    cr_ctx *ctx;
    const char *site;
    ~cr_scope_guard()
    {
        if (ctx)
            (void)cr_scope_pop_at(ctx, site);
    }
};
template <void (*leave)(cr_ctx *)> struct cr_guard {
    cr_ctx *ctx;
    ~cr_guard() { leave(ctx); }
};
static inline cr_ctx *cr_scope_enter_(cr_ctx *ctx)
{
    return cr_scope_push(ctx) == CR_OK ? ctx : nullptr;
}
static inline cr_ctx *cr_no_grad_enter_(cr_ctx *ctx)
{
    cr_no_grad_push(ctx);
    return ctx;
}
static inline cr_ctx *cr_recompute_enter_(cr_ctx *ctx)
{
    cr_recompute_push(ctx);
    return ctx;
}
#define CR_SCOPE(ctx)                                                            \
    cr_scope_guard CR_JOIN(cr_scope_, __LINE__) { cr_scope_enter_(ctx), CR_SCOPE_SITE_ }
#define CR_NO_GRAD(ctx)                                                          \
    cr_guard<cr_no_grad_pop> CR_JOIN(cr_no_grad_, __LINE__) { cr_no_grad_enter_(ctx) }
#define CR_RECOMPUTE(ctx)                                                        \
    cr_guard<cr_recompute_pop> CR_JOIN(cr_recompute_, __LINE__) { cr_recompute_enter_(ctx) }

/* ---- C ---- */

#else

#define CR_OPTS(T, ...)                                                                     \
    ((struct { T cr_opts; }){                                                               \
        .cr_opts.site = CR_HERE                                                             \
        CR_JOIN(CR_SET_, CR_COUNT(__VA_ARGS__))(cr_opts, __VA_ARGS__)                       \
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
#define CR_ARRAY(T, ...) ((T[]){ __VA_ARGS__ })
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

#define cr_from(ctx, dtype, shape, ...) \
    CR_FROM_(CR_JOIN(cr_data_, __COUNTER__), ctx, dtype, shape, __VA_ARGS__)
#define CR_FROM_(name, ctx, dtype, shape, ...)                                      \
    __extension__({                                                                 \
        __auto_type name = (__VA_ARGS__);                                           \
        cr_from_at(ctx, dtype, shape, name, CR_TYPE_BEHIND_(name), CR_HERE);        \
    })

#define cr_borrow(ctx, dtype, shape, data, ...) \
    CR_BORROW_(CR_JOIN(cr_data_, __COUNTER__), ctx, dtype, shape, data, __VA_ARGS__)
#define CR_BORROW_(name, ctx, dtype, shape, data, ...)                                      \
    __extension__({                                                                         \
        __auto_type name = (data);                                                          \
        cr_borrow_at(ctx, dtype, shape, name, __VA_ARGS__, CR_TYPE_BEHIND_(name), CR_HERE); \
    })

#define cr_read(x, dst, bytes) CR_READ_(CR_JOIN(cr_data_, __COUNTER__), x, dst, bytes)
#define CR_READ_(name, x, dst, bytes)                                       \
    __extension__({                                                         \
        __auto_type name = (dst);                                           \
        cr_read_at(x, name, bytes, CR_TYPE_BEHIND_(name), CR_HERE);         \
    })

#define cr_eval(...)                           \
    cr_eval_at((cr_tensor *[]){ __VA_ARGS__ }, \
               (int)(sizeof((cr_tensor *[]){ __VA_ARGS__ }) / sizeof(cr_tensor *)), CR_HERE)

typedef struct cr_scope_guard {
    cr_ctx *ctx;
    const char *site;
} cr_scope_guard;
static inline cr_scope_guard cr_scope_enter_(cr_ctx *ctx, const char *site)
{
    cr_scope_guard guard = { cr_scope_push(ctx) == CR_OK ? ctx : NULL, site };
    return guard;
}
static inline void cr_scope_leave_(const cr_scope_guard *guard)
{
    if (guard->ctx)
        (void)cr_scope_pop_at(guard->ctx, guard->site);
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
static inline cr_ctx *cr_recompute_enter_(cr_ctx *ctx)
{
    cr_recompute_push(ctx);
    return ctx;
}
static inline void cr_recompute_leave_(cr_ctx **ctx)
{
    cr_recompute_pop(*ctx);
}
#define CR_SCOPE(ctx)                                                    \
    cr_scope_guard CR_JOIN(cr_scope_, __LINE__)                          \
        __attribute__((cleanup(cr_scope_leave_), unused)) = cr_scope_enter_(ctx, CR_SCOPE_SITE_)
#define CR_NO_GRAD(ctx)                                                  \
    cr_ctx *CR_JOIN(cr_no_grad_, __LINE__)                               \
        __attribute__((cleanup(cr_no_grad_leave_), unused)) = cr_no_grad_enter_(ctx)
#define CR_RECOMPUTE(ctx)                                                \
    cr_ctx *CR_JOIN(cr_recompute_, __LINE__)                             \
        __attribute__((cleanup(cr_recompute_leave_), unused)) = cr_recompute_enter_(ctx)

#endif
#endif
