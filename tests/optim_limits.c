/* Optimisers and clipping where numbers or counts are far from the usual: gradients whose
 * squares overflow or vanish, very many parameters, and the host's floating point state. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* feenableexcept */
#endif
#include "engine.h"

#include <fenv.h>
#include <float.h>
#include <time.h>

/* ---- the joint norm ---- */

/* Clips gradients given as f64 and compares with the definition, computed in long double. */
static void check_norm(cr_dtype dtype, const double *g, int n, double max_norm,
                       const char *what)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *params[8];
    const double tolerance = dtype == CR_F64 ? 1e-15 : 1.2e-7;
    const long double least =
        dtype == CR_F64 ? (long double)DBL_MIN : (long double)FLT_MIN;
    long double largest = 0, sum = 0;
    for (int i = 0; i < n; i++) {
        largest = fmaxl(largest, fabsl((long double)g[i]));
        cr_tensor *grad = cr_full(ctx, CR_DIMS(1), g[i], .dtype = dtype);
        params[i] = cr_requires_grad(cr_zeros(ctx, CR_DIMS(1), .dtype = dtype));
        cr_set_grad(params[i], grad);
    }
    for (int i = 0; i < n && largest > 0; i++)
        sum += (g[i] / largest) * (g[i] / largest);
    long double norm = largest * sqrtl(sum), factor = fminl(1, max_norm / (norm + 1e-6L));
    double got = cr_item(cr_clip_grad_norm(cr_params_of(params, NULL, n), max_norm));
    bool holds = dtype == CR_F64 || norm <= (long double)FLT_MAX;
    ok(holds ? fabsl(got - norm) <= 2 * tolerance * norm : isinf(got),
       "%s: the norm is %Lg (%g)", what, norm, got);
    double worst = 0;
    for (int i = 0; i < n; i++) {
        long double want = g[i] * factor;
        worst = fmax(worst, (double)(fabsl(cr_item(cr_grad(params[i])) - want) /
                                     fmaxl(fabsl(want), least)));
    }
    ok(worst <= 3 * tolerance, "%s: and the gradients are clipped by it (%.1e)", what,
       worst);
    is_text(cr_message(ctx), "", "%s: no error", what);
    cr_close(ctx);
}

static void test_norms(void)
{
    const double huge[] = { 3e200, -4e200, 1e180 }, tiny[] = { 3e-200, -4e-200, 1e-220 },
                 both[] = { 1e-300, 1e250, 1, -1e250, 0 }, edge[] = { 1.2e308, -1e308 },
                 denormal[] = { 3e-320, 4e-320 }, usual[] = { 3, -4, 12 },
                 zero[] = { 0, 0 }, large[] = { 3e38, -3e38, 3e38, 1e30 },
                 small[] = { 3e-40, -4e-40 }, wide[] = { 1e-30, 1e30, 2e30 };
    check_norm(CR_F64, usual, 3, 1, "f64, usual");
    check_norm(CR_F64, huge, 3, 1, "f64, 1e200");
    check_norm(CR_F64, tiny, 3, 1e-210, "f64, 1e-200");
    check_norm(CR_F64, both, 5, 2, "f64, 1e-300 to 1e250");
    check_norm(CR_F64, edge, 2, 1, "f64, nearly the largest");
    check_norm(CR_F64, denormal, 2, 1, "f64, denormal");
    check_norm(CR_F64, zero, 2, 1, "f64, zeros");
    check_norm(CR_F32, large, 4, 1, "f32, a norm beyond the largest");
    check_norm(CR_F32, large, 3, 1e-6, "f32, a factor of 1e-45");
    check_norm(CR_F32, small, 2, 1, "f32, denormal");
    check_norm(CR_F32, wide, 3, 0.5, "f32, 1e-30 to 1e30");
}

static void test_clip_arguments(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *w = cr_requires_grad(floats(ctx, 2));
    cr_set_grad(w, floats(ctx, 2));
    const cr_params absent = { ctx, 3, NULL }, negative = { ctx, -1, NULL };
    const cr_param null = { "first", NULL };
    const cr_params holes = { ctx, 1, &null };
    ok(!cr_clip_grad_norm(&absent, 1) && failed_with(ctx, CR_ERR_NULL, "list of 3"),
       "clip_grad_norm: a list of NULL");
    ok(!cr_clip_grad_norm(&negative, 1) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "list of -1"),
       "clip_grad_norm: a list of -1");
    ok(!cr_clip_grad_norm(&holes, 1) && failed_with(ctx, CR_ERR_NULL, "first is NULL"),
       "clip_grad_norm: a tensor of NULL");
    ok(cr_clip_grad_value(&absent, 1) == CR_ERR_NULL &&
           failed_with(ctx, CR_ERR_NULL, "optim_limits.c"),
       "clip_grad_value: a list of NULL");
    cr_set_grad(w, floats(ctx, 2));
    is_int(cr_clip_grad_value(cr_params_of(&w, NULL, 1), 1e300), CR_OK,
           "a limit that f32 cannot hold is none");
    is_near(cr_item(cr_sum(cr_grad(w))), 2, 0, "and clips nothing");
    is_near(cr_item(cr_clip_grad_norm(cr_params_of(&w, NULL, 1), (double)INFINITY)),
            sqrt(2.5), 1e-7, "an infinite limit clips nothing");
    is_near(cr_item(cr_sum(cr_grad(w))), 2, 0, "either");
    ok(!cr_params_of(NULL, NULL, 2), "no tensors, no list");
    cr_tensor *const some[] = { w, NULL };
    ok(!cr_params_of(some, NULL, 2) &&
           failed_with(ctx, CR_ERR_NULL, "parameter 1 is NULL"),
       "a list with a NULL in it is an error");
    cr_close(ctx);
}

/* ---- lists of plain tensors ---- */

static void test_plain_lists(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *xs[] = { cr_requires_grad(floats(ctx, 3)), floats(ctx, 4) };
    cr_named(xs[0], "own");
    size_t before = cr_memory_used(ctx);
    {
        CR_SCOPE(ctx);
        char name[] = "given";
        const char *names[] = { NULL, name };
        const cr_params *list = cr_params_of(xs, names, 2);
        name[0] = 'x';
        ok(list && list->ctx == ctx && list->n == 2 && list->list[0].tensor == xs[0] &&
               list->list[1].tensor == xs[1],
           "a list of plain tensors");
        is_text(list->list[0].name, "own", "a name that is not given is the tensor's");
        is_text(list->list[1].name, "given", "names are copied");
        ok(!cr_optim_sgd(list, 0.1) && failed_with(ctx, CR_ERR_GRAD, "given is no leaf"),
           "what is no leaf is not optimised");
        cr_requires_grad(cr_requires_grad(xs[1]), false);
        cr_optim *optim = cr_optim_sgd(list, 0.1);
        ok(optim != NULL, "a frozen leaf may be");
        cr_optim_free(optim);
        xs[1] = xs[0];
        ok(!cr_optim_sgd(cr_params_of(xs, names, 2), 0.1) &&
               failed_with(ctx, CR_ERR_ARGUMENT, "the same tensor as own"),
           "the same tensor twice is an error that names both");
        cr_tensor *computed = cr_mul(xs[0], 2);
        ok(!cr_optim_adam(cr_params_of(&computed, NULL, 1), 0.1) &&
               failed_with(ctx, CR_ERR_GRAD, "parameter 0 is no leaf"),
           "so is a computed tensor");
    }
    ok(cr_memory_used(ctx) <= before + 512, "lists go with their scope");
    const cr_params absent = { ctx, 3, NULL };
    ok(!cr_optim_adam(&absent, 0.1) && failed_with(ctx, CR_ERR_NULL, "list of 3"),
       "an optimiser over a list of NULL");
    const cr_param row = { "w", xs[0] };
    const cr_params homeless = { NULL, 1, &row }, negative = { ctx, -2, &row };
    ok(!cr_optim_adam(&negative, 0.1) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "-2 parameters"),
       "an optimiser over -2 parameters");
    cr_optim *optim = cr_optim_adam(&homeless, 0.1);
    ok(optim != NULL, "a list without a context has its tensors'");
    cr_optim_free(optim);
    cr_close(ctx);
}

/* ---- very many parameters ---- */

enum { MANY = 100000 };

/* Parameter i has its first gradient at step i % ROUNDS. */
static void test_many_parameters(void)
{
    enum { ROUNDS = 4 };
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor **params = calloc(MANY, sizeof *params);
    for (int i = 0; i < MANY; i++)
        params[i] = cr_requires_grad(cr_zeros(ctx, CR_DIMS(1), .dtype = CR_F64));
    const cr_params *list = cr_params_of(params, NULL, MANY);
    for (int i = 0; i < MANY; i++)
        cr_set_grad(params[i], cr_full(ctx, CR_DIMS(1), i % 2 ? 3 : -4, .dtype = CR_F64));
    double norm = cr_item(cr_clip_grad_norm(list, 1));
    is_near(norm, sqrt(MANY / 2 * 25.0), 1e-9, "the joint norm of %d gradients", MANY);
    is_near(cr_item(cr_grad(params[MANY - 1])), 3 / norm, 1e-9, "clips the last");
    is_text(cr_message(ctx), "", "without an error");
    cr_optim *optim = cr_optim_adam(list, 0.01);
    cr_optim_zero_grad(optim);
    for (int t = 0; t < ROUNDS; t++) {
        CR_SCOPE(ctx);
        cr_tensor *g = cr_ones(ctx, CR_DIMS(1), .dtype = CR_F64);
        for (int i = t; i < MANY; i += ROUNDS)
            cr_set_grad(params[i], g);
        cr_optim_step(optim);
    }
    /* A gradient that does not change moves Adam by the rate in each step. */
    bool right = cr_error(ctx) == CR_OK;
    for (int i = 0; right && i < MANY; i += 9973)
        right = fabs(cr_item(params[i]) + 0.01 * (ROUNDS - i % ROUNDS)) < 1e-9;
    ok(right, "%d parameters, begun at %d times: %s", MANY, ROUNDS, cr_message(ctx));
    cr_optim_free(optim);
    cr_close(ctx);
    free(params);
}

/* Each parameter begins at a time of its own. */
static void test_many_beginnings(void)
{
    enum { N = 1000 };
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *params[N];
    for (int i = 0; i < N; i++)
        params[i] = cr_requires_grad(cr_zeros(ctx, CR_DIMS(1), .dtype = CR_F64));
    cr_optim *optim = cr_optim_adam(cr_params_of(params, NULL, N), 0.01);
    for (int t = 0; t < N; t++) {
        CR_SCOPE(ctx);
        cr_optim_zero_grad(optim);
        if (t == N - 1)
            for (int i = 0; i < N; i++)
                cr_set_grad(params[i], cr_ones(ctx, CR_DIMS(1), .dtype = CR_F64));
        else
            cr_set_grad(params[t], cr_ones(ctx, CR_DIMS(1), .dtype = CR_F64));
        cr_optim_step(optim);
    }
    is_near(cr_item(params[3]), -0.02, 1e-9, "%d beginnings", N);
    is_near(cr_item(params[N - 1]), -0.01, 1e-9, "and the last: %s", cr_message(ctx));
    cr_optim_free(optim);
    cr_close(ctx);
}

/* ---- Adam's second moment ---- */

/* Constant gradients: the step is lr g / (|g| + eps), whatever their size. */
static void check_adam(cr_dtype dtype, double g, double eps)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *w = cr_requires_grad(cr_zeros(ctx, CR_DIMS(2), .dtype = dtype));
    cr_optim *optim = cr_optim_adam(cr_params_of(&w, NULL, 1), 0.125, .eps = eps);
    double want = 0;
    for (int t = 0; t < 50; t++) {
        CR_SCOPE(ctx);
        cr_set_grad(w, cr_full(ctx, CR_DIMS(2), g, .dtype = dtype));
        cr_optim_step(optim);
        want -= 0.125 * g / (fabs(g) + eps);
    }
    double got = cr_item(cr_sum(w)) / 2;
    ok(fabs(got - want) <= 1e-5 * fabs(want), "adam, %s: 50 steps of %g, eps %g: %g (%g)",
       cr_dtype_name(dtype), g, eps, want, got);
    /* One enormous gradient is forgotten like others. */
    for (int t = 0; t < 3; t++) {
        CR_SCOPE(ctx);
        cr_set_grad(w, cr_full(ctx, CR_DIMS(2), t ? 0 : g, .dtype = dtype));
        cr_optim_step(optim);
    }
    ok(isfinite(cr_item(cr_sum(w))) && !cr_error(ctx), "and then it moves on");
    cr_optim_free(optim);
    cr_close(ctx);
}

static void test_adam_sizes(void)
{
    const double wide[] = { 1, -1e-3, 1e20, -1e150, 1e200, 1.7e308, 1e-200, -1e-300 };
    const double narrow[] = { 1, -1e-3, 1e18, 1.9e19, -1e25, 3e38, 3.4028234e38, 1e-25 };
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        check_adam(CR_F64, wide[i], fmin(fabs(wide[i]) / 4, 1e-8));
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++)
        check_adam(CR_F32, narrow[i], fmin(fabs(narrow[i]) / 4, 1e-8));
    check_adam(CR_F32, -1e-30, 1e-31);
}

/* ---- the host's floating point state ---- */

typedef enum host_state {
    USUAL,
    UPWARD,
    DOWNWARD,
    TO_ZERO,
    TRAPS,
    HOST_STATES
} host_state;

static void enter_host(host_state state)
{
    static const int modes[] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO,
                                 FE_TONEAREST };
    fesetround(modes[state]);
#ifdef __GLIBC__
    feclearexcept(FE_ALL_EXCEPT);
    if (state == TRAPS)
        feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW | FE_UNDERFLOW |
                       FE_INEXACT);
    else
        fedisableexcept(FE_ALL_EXCEPT);
#endif
}

/* A training whose calls of modules, initialisers, optimisers and clipping come from a host in this
 * state. */
static void train(host_state state, double *result)
{
    cr_ctx *ctx = cr_open(NULL);
    const double rates[] = { 0.1 / 3, 0.1 / 7, 1.0 / 3, NAN };
    cr_tensor *w = cr_requires_grad(cr_full(ctx, CR_DIMS(1), 0.7, .dtype = CR_F64));
    cr_tensor *v = cr_requires_grad(cr_full(ctx, CR_DIMS(3, 2), 0.3));
    cr_tensor *params[] = { w, v };
    const cr_params *list = cr_params_of(params, NULL, 2);
    enter_host(state);
    cr_init_xavier_normal(v, cr_init_gain("leaky_relu", rates[0]));
    cr_init_orthogonal(v, cr_init_gain("relu", 0));
    cr_module *linear = cr_nn_linear(ctx, 3, 5, .dtype = CR_F64);
    cr_optim *optims[] = { cr_optim_adamw(list, rates[0], rates[1]),
                           cr_optim_sgd(list, rates[0], .momentum = 0.9) };
    for (int t = 0; t < 6; t++) {
        CR_SCOPE(ctx);
        cr_optim *optim = optims[t % 2];
        cr_optim_zero_grad(optim);
        enter_host(USUAL);
        cr_backward(
            cr_add(cr_sum(cr_square(cr_mul(w, 3))), cr_sum(cr_cast(cr_exp(v), CR_F64))));
        enter_host(state);
        cr_clip_grad_norm(list, rates[2]);
        cr_clip_grad_value(list, rates[2]);
        cr_optim_set_lr(optim, rates[0]);
        cr_optim_step(optim);
    }
    cr_optim *none = cr_optim_sgd(list, rates[3]);
    enter_host(USUAL);
    ok(!none && failed_with(ctx, CR_ERR_ARGUMENT, "rate"), "host %d: an error", state);
    enter_host(state);
    cr_module *no_module = cr_nn_dropout(ctx, rates[3]);
    enter_host(USUAL);
    ok(!no_module && failed_with(ctx, CR_ERR_ARGUMENT, "nn_dropout: p"),
       "host %d: of a module", state);
    enter_host(state);
    cr_tensor *no_norm = cr_clip_grad_norm(list, rates[3]);
    enter_host(USUAL);
    ok(!no_norm && failed_with(ctx, CR_ERR_ARGUMENT, "nan"), "host %d: another", state);
    result[0] = cr_item(w);
    result[1] = cr_item(cr_sum(v));
    result[2] = cr_item(cr_sum(cr_nn_param(linear, "weight")));
    is_text(cr_message(ctx), "", "host %d: and no other", state);
    cr_optim_free(optims[0]);
    cr_optim_free(optims[1]);
    cr_nn_free(linear);
    cr_close(ctx);
}

static void test_host_states(void)
{
    double usual[3], other[3];
    train(USUAL, usual);
    for (host_state state = UPWARD; state < HOST_STATES; state++) {
        train(state, other);
        ok(!memcmp(usual, other, sizeof usual), "host %d: changes no bit", state);
    }
}

int main(void)
{
    test_norms();
    test_clip_arguments();
    test_plain_lists();
    test_adam_sizes();
    test_many_parameters();
    test_many_beginnings();
    test_host_states();
    return done_testing();
}
