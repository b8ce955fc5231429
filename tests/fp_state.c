/* The host's floating point state: with every trap enabled no call dies, and whatever it
 * has set, rounding and flushing too, the library's numbers have the same bits, and the
 * host finds its own state again after each call. */
#define _GNU_SOURCE /* feenableexcept */
#include "tap.h"
#include <chainrule.h>
#include <fenv.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>

static cr_ctx *ctx;
static cr_tensor *x, *y, *ints, *leaf, *wide;

/* ---- calls: what each gives is read, and hashed ---- */

static uint64_t hash;

static void put(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ p[i]) * 1099511628211u;
}

/* A tensor, or the message of the error. */
static void see(cr_tensor *t)
{
    const size_t bytes = t ? (size_t)cr_numel(t) * cr_dtype_size(cr_dtype_of(t)) : 0;
    const void *data = t ? cr_data(t) : NULL;
    if (data)
        put(data, bytes);
    put(cr_message(ctx), strlen(cr_message(ctx)));
    cr_clear(ctx);
}

static void see_number(double number)
{
    put(&number, sizeof number);
}

static void see_status(cr_status status)
{
    put(&status, sizeof status);
    see(NULL);
}

static cr_tensor *op(const char *name, cr_tensor *input, const char *attrs)
{
    cr_tensor *out = NULL;
    cr_call(ctx, cr_op_find(name), &input, input ? 1 : 0, attrs, &out, 1);
    return out;
}

static cr_tensor *cubed(cr_ctx *in, cr_tensor *const *inputs, int n, void *user)
{
    (void)in, (void)n, (void)user;
    return cr_sum(cr_mul(cr_pow(inputs[0], 3), 0.1));
}

#define CALLS(X)                                                                    \
    X(see(cr_scalar(ctx, 0.1)))                                                     \
    X(see(cr_scalar(ctx, 1e300)))                                                   \
    X(see(cr_scalar(ctx, 1e-45)))                                                   \
    X(see(cr_scalar(ctx, NAN)))                                                     \
    X(see(cr_scalar(ctx, NAN, .dtype = CR_I64)))                                    \
    X(see(cr_scalar(ctx, 0.5, .dtype = CR_I32)))                                    \
    X(see(cr_scalar(ctx, INT64_MAX)))                                               \
    X(see(cr_scalar(ctx, UINT64_MAX, .dtype = CR_F64)))                             \
    X(see(cr_full(ctx, CR_DIMS(2), 0.1)))                                           \
    X(see(cr_full_like(x, 1.0 / 3)))                                                \
    X(see(cr_arange(ctx, 0, 1, 0.1)))                                               \
    X(see(cr_arange(ctx, 0, NAN, 0.1)))                                             \
    X(see(cr_arange(ctx, 0, 1e300, 1e-300)))                                        \
    X(see(cr_arange(ctx, 0.1, 0.7, 0.1, .dtype = CR_F64)))                          \
    X(see(cr_linspace(ctx, 0.1, 0.7, 7)))                                           \
    X(see(cr_linspace(ctx, -1e308, 1e308, 7, .dtype = CR_F64)))                     \
    X(see(cr_rand(ctx, CR_DIMS(9))))                                                \
    X(see(cr_randn(ctx, CR_DIMS(9))))                                               \
    X(see(cr_mul(x, 1e300)))                                                        \
    X(see(cr_mul(x, 0.1)))                                                          \
    X(see(cr_mul(x, NAN)))                                                          \
    X(see(cr_mul(x, 1e-45)))                                                        \
    X(see(cr_mul(ints, NAN)))                                                       \
    X(see(cr_mul(ints, 1e300)))                                                     \
    X(see(cr_add(x, INT64_MAX)))                                                    \
    X(see(cr_div(x, 3)))                                                            \
    X(see(cr_div(x, 0)))                                                            \
    X(see(cr_div(ints, 3)))                                                         \
    X(see(cr_pow(x, 0.3)))                                                          \
    X(see(cr_pow(x, NAN)))                                                          \
    X(see(cr_eq(x, NAN)))                                                           \
    X(see(cr_lt(x, INT64_MAX)))                                                     \
    X(see(cr_gt(ints, 0.1)))                                                        \
    X(see(cr_logical_or(x, UINT64_MAX)))                                            \
    X(see(cr_logical_and(x, NAN)))                                                  \
    X(see(cr_maximum(x, 0.1)))                                                      \
    X(see(cr_where(cr_gt(x, 0), x, 0.1)))                                           \
    X(see(cr_clamp(x, -0.1, 0.1)))                                                  \
    X(see(cr_clamp(x, NAN, 0.1)))                                                   \
    X(see(cr_clamp(x, -1e300, 1e300)))                                              \
    X(see(cr_clamp(ints, -INFINITY, 1)))                                            \
    X(see(cr_clamp(ints, -0.5, 1e300)))                                             \
    X(see(cr_leaky_relu(x, 0.1)))                                                   \
    X(see(cr_leaky_relu(x, 1e300)))                                                 \
    X(see(cr_softplus(x, .beta = 0.1)))                                             \
    X(see(cr_softplus(x, .beta = NAN)))                                             \
    X(see(cr_gelu(x)))                                                              \
    X(see(cr_cast(x, CR_I32)))                                                      \
    X(see(cr_exp(cr_mul(x, 1000))))                                                 \
    X(see(cr_log(cr_sub(x, 100))))                                                  \
    X(see(cr_sqrt(cr_neg(cr_abs(x)))))                                              \
    X(see(cr_bernoulli(cr_sigmoid(x))))                                             \
    X(see(cr_dropout(x, 0.3)))                                                      \
    X(see(cr_dropout(x, NAN)))                                                      \
    X(see(cr_dropout(x, 1)))                                                        \
    X(see(cr_dropout(x, 1.5)))                                                      \
    X(see(cr_mean(x)))                                                              \
    X(see(cr_mean(ints)))                                                           \
    X(see(cr_logsumexp(x)))                                                         \
    X(see(cr_softmax(y, -1)))                                                       \
    X(see(cr_layer_norm(y, CR_DIMS(3), NULL, NULL)))                                \
    X(see(cr_layer_norm(y, CR_DIMS(3), NULL, NULL, .eps = NAN)))                    \
    X(see(cr_mse_loss(x, cr_mul(x, 0.3))))                                          \
    X(see(cr_cross_entropy(y, ints, .label_smoothing = 0.1)))                       \
    X(see(cr_cross_entropy(y, ints, .label_smoothing = NAN)))                       \
    X(see(cr_matmul(y, cr_t(y))))                                                   \
    X(see(cr_embedding(y, ints)))                                                   \
    X(see(op("clamp", x, "min=-0.1,max=0.3")))                                      \
    X(see(op("clamp", x, "min=-1e300")))                                            \
    X(see(op("clamp", x, "min=1e-400,max=1e400")))                                  \
    X(see(op("dropout", x, "p=0.1")))                                               \
    X(see(op("dropout", x, "p=1e400")))                                             \
    X(see(op("leaky_relu", x, "negative_slope=0.1")))                               \
    X(see(op("arange", NULL, "end=1,step=0.1")))                                    \
    X(see(op("softplus", x, NULL)))                                                 \
    X(see_number(cr_item(cr_sum(x))))                                               \
    X(see_number(cr_item(wide)))                                                    \
    X(see_status(cr_backward(cr_sum(cr_pow(cr_mul(leaf, 0.1), 1.7))));              \
      see(cr_grad(leaf)))                                                           \
    X(see_status(                                                                   \
          cr_backward(cr_mean(cr_softplus(cr_clamp(leaf, -0.1, 0.1), .beta = 3)))); \
      see(cr_grad(leaf)))                                                           \
    X(see_status(cr_gradcheck(cubed, NULL, &wide_leaf, 1, .second_order = true)))   \
    X(see_status(cr_gradcheck(cubed, NULL, &wide_leaf, 1, .eps = NAN)))             \
    X(cr_format(x, text, sizeof text); put(text, strlen(text)))                     \
    X(cr_format(cr_mul(x, 1e-39), text, sizeof text); put(text, strlen(text)))      \
    X(cr_tensor *planned = cr_mul(x, 0.1);                                          \
      cr_plan_format(&planned, 1, text, sizeof text); put(text, 100))               \
    X(see_status(cr_fail(ctx, CR_ERR_ARGUMENT, "%g and %.3f", 1e300, 0.0005)))      \
    X(see_number(cr_init_gain("leaky_relu", 0.1)))                                  \
    X(see_number(cr_init_gain("tanh", 0)))                                          \
    X(see_number(cr_init_gain("leaky_relu", NAN)))                                  \
    X(see_status(cr_init_kaiming_uniform(leaf, 1.1)); see(leaf))                    \
    X(see_status(cr_init_kaiming_normal(leaf, 1.1)); see(leaf))                     \
    X(see_status(cr_init_xavier_uniform(leaf, 1.1)); see(leaf))                     \
    X(see_status(cr_init_xavier_normal(leaf, 1.1)); see(leaf))                      \
    X(see_status(cr_init_orthogonal(leaf, 1.1)); see(leaf))                         \
    X(see_status(cr_init_uniform(leaf, -0.1, 0.2)); see(leaf))                      \
    X(see_status(cr_init_normal(leaf, 0.1, 0.2)); see(leaf))                        \
    X(see_status(cr_init_constant(leaf, 0.1)); see(leaf))                           \
    X(network())                                                                    \
    X(optimise(0))                                                                  \
    X(optimise(1))                                                                  \
    X(optimise(2))                                                                  \
    X(optimise(3))

static cr_tensor *wide_leaf;
static char text[1000];

/* Made, initialised and used. */
static void network(void)
{
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, 3, 5));
    cr_nn_add(net, cr_nn_batch_norm1d(ctx, 5));
    cr_nn_add(net, cr_nn_sigmoid(ctx));
    cr_nn_add(net, cr_nn_dropout(ctx, 0.3));
    see(cr_nn_forward(net, y));
    cr_nn_train(net, false);
    see(cr_nn_forward(net, y));
    cr_nn_free(net);
}

/* Three steps of an f64 parameter. */
static void optimise(int which)
{
    cr_tensor *p = cr_requires_grad(cr_full(ctx, CR_DIMS(3), 0.7, .dtype = CR_F64));
    cr_param entry = { 0 };
    entry.tensor = p;
    cr_params list = { .ctx = ctx, .list = &entry, .n = 1 };
    cr_optim *optim = which == 0   ? cr_optim_sgd(&list, 0.1)
                      : which == 1 ? cr_optim_sgd(&list, 0.1, .momentum = 0.9)
                      : which == 2 ? cr_optim_adamw(&list, 0.1, 0)
                                   : cr_optim_adamw(&list, 0.1, 0.03);
    for (int i = 0; i < 3; i++) {
        cr_optim_zero_grad(optim);
        see_status(cr_backward(cr_sum(cr_pow(p, 3))));
        if (which)
            see(cr_clip_grad_norm(&list, 0.1));
        see_status(cr_optim_step(optim));
        see_status(cr_optim_set_lr(optim, cr_optim_lr(optim) * 0.5));
    }
    see(p);
    see_status(cr_optim_set_lr(optim, NAN));
    cr_optim_free(optim);
    see(cr_clip_grad_norm(&list, NAN));
    see_status(cr_clip_grad_value(&list, 0.001));
}

static void call(int which)
{
    int n = 0;
#define CASE(...)       \
    if (which == n++) { \
        CR_SCOPE(ctx);  \
        __VA_ARGS__;    \
    }
    CALLS(CASE)
}

static const char *const names[] = {
#define NAME(...) #__VA_ARGS__,
    CALLS(NAME)
};

enum { COUNT = sizeof names / sizeof names[0] };

/* ---- states ---- */

static void open_all(void)
{
    static const float numbers[] = { 0.3f, -1.7f, 2.9f, 1e-38f, -0.01f, 0.7f };
    static const int64_t labels[] = { 2, 0 };
    ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_seed(ctx, 5);
    x = cr_from(ctx, CR_F32, CR_DIMS(6), numbers);
    y = cr_from(ctx, CR_F32, CR_DIMS(2, 3), numbers);
    ints = cr_from(ctx, CR_I64, CR_DIMS(2), labels);
    wide = cr_scalar(ctx, INT64_MAX, .dtype = CR_I64);
    leaf = cr_requires_grad(cr_full(ctx, CR_DIMS(4, 3), 0.25));
    wide_leaf = cr_requires_grad(cr_linspace(ctx, -1.1, 0.9, 4, .dtype = CR_F64));
    cr_eval(leaf, wide_leaf);
}

static uint64_t hashes[COUNT];
static sigjmp_buf back;

static void on_trap(int signal)
{
    siglongjmp(back, signal);
}

#if defined(__SSE__)
#define READ_STATE() __builtin_ia32_stmxcsr()
#else
#define READ_STATE() ((unsigned)fegetround())
#endif

/* A host's state: set by enter, which returns false where there is none. */
typedef struct state {
    const char *name;
    bool (*enter)(void);
} state;

static bool upward(void)
{
    return fesetround(FE_UPWARD) == 0;
}
static bool downward(void)
{
    return fesetround(FE_DOWNWARD) == 0;
}
static bool to_zero(void)
{
    return fesetround(FE_TOWARDZERO) == 0;
}
static bool flushing(void)
{
#if defined(__SSE__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
    return true;
#else
    return false;
#endif
}
static bool trapping(void)
{
#if defined(__GLIBC__)
    return feenableexcept(FE_ALL_EXCEPT) != -1;
#else
    return false;
#endif
}

static void test_state(const state *s)
{
    fenv_t mine;
    volatile bool same = true, alive = true, kept = true;
    fegetenv(&mine);
    open_all();
    for (volatile int i = 0; i < COUNT; i++) {
        hash = 14695981039346656037u;
        volatile unsigned before = 0, after = 0;
        int trap = sigsetjmp(back, 1);
        if (!trap) {
            feclearexcept(FE_ALL_EXCEPT);
            if (!s->enter()) {
                skip(1, s->name);
                cr_close(ctx);
                return;
            }
            before = READ_STATE();
            call(i);
            after = READ_STATE();
        }
        fesetenv(&mine);
        if (trap) {
            diag("%s: SIGFPE in %s", s->name, names[i]);
            alive = false;
            open_all(); /* the old one is in the middle of something */
            continue;
        }
        if (before != after) {
            diag("%s: %s leaves the state %x, not %x", s->name, names[i], after, before);
            kept = false;
        }
        if (!hashes[i])
            hashes[i] = hash;
        if (hash != hashes[i]) {
            diag("%s: other bits from %s", s->name, names[i]);
            same = false;
        }
    }
    cr_close(ctx);
    ok(alive, "%s: every call returns", s->name);
    ok(kept, "%s: the host's state is as before", s->name);
    ok(same, "%s: the same bits", s->name);
}

static bool nothing(void)
{
    return true;
}

int main(void)
{
    static const state states[] = {
        { "the default", nothing },         { "rounding upward", upward },
        { "rounding downward", downward },  { "rounding to zero", to_zero },
        { "flushing denormals", flushing }, { "every trap", trapping },
    };
    signal(SIGFPE, on_trap);
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        test_state(&states[i]);
    return done_testing();
}
