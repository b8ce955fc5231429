/* Optimisers against plain double re-implementations, clipping by its properties, and
 * steps that fail: they change nothing. */
#include "engine.h"
#include <stdlib.h>

enum { PARAMS = 2, LARGEST = 6, STEPS = 100 };
static const int sizes[PARAMS] = { 6, 4 };

/* An optimiser and its definition: header/optimisers.inc. */
typedef struct rule_case {
    const char *name;
    cr_optim *(*make)(const cr_params *params);
    void (*step)(double *param, double *state, double gradient, double t);
} rule_case;

#define RULE(kind) CR_JOIN(kind, __LINE__)
#define OPTIMISER(name, make, ...)                                            \
    static cr_optim *RULE(make_)(const cr_params *params)                     \
    {                                                                         \
        return make;                                                          \
    }                                                                         \
    static void RULE(step_)(double *param, double *state, double g, double t) \
    {                                                                         \
        double p = *param, a = state[0], b = state[1];                        \
        (void)t, (void)g;                                                     \
        __VA_ARGS__;                                                          \
        *param = p, state[0] = a, state[1] = b;                               \
    }
#include "header/optimisers.inc"
#undef OPTIMISER

static const rule_case cases[] = {
#define OPTIMISER(name, ...) { name, RULE(make_), RULE(step_) },
#include "header/optimisers.inc"
#undef OPTIMISER
};

static const rule_case *case_of(const char *name)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (strcmp(cases[i].name, name) == 0)
            return &cases[i];
    return NULL;
}

/* ---- the plain implementation ---- */

typedef struct plain {
    double p[LARGEST], state[LARGEST][2];
    int t;
} plain;

static void plain_step(const rule_case *rule, plain *x, const double *gradient, int n)
{
    x->t++;
    for (int i = 0; i < n; i++)
        rule->step(&x->p[i], x->state[i], gradient[i], x->t);
}

/* A gradient with curvature and a disturbance that changes with the step. */
static double slope(double p, int t, int i)
{
    return (1 + i) * (p - 0.3 * i) + 0.1 * sin(t + i);
}

static double start(int which, int i)
{
    return cos(3 * which + i);
}

/* ---- ours ---- */

typedef struct problem {
    cr_ctx *ctx;
    cr_param list[PARAMS];
    cr_params params;
    plain plain[PARAMS];
    cr_optim *optim;
} problem;

static void open_problem(problem *x, const rule_case *rule, cr_dtype dtype)
{
    static const char *const names[PARAMS] = { "first", "second" };
    *x = (problem){ .ctx = cr_open(NULL) };
    for (int k = 0; k < PARAMS; k++) {
        for (int i = 0; i < sizes[k]; i++)
            x->plain[k].p[i] = start(k, i);
        cr_tensor *p = cr_from(x->ctx, CR_F64, CR_DIMS(sizes[k] / 2, 2), x->plain[k].p);
        p = cr_requires_grad(dtype == CR_F64 ? p : cr_cast(p, dtype));
        x->list[k] = (cr_param){ .name = names[k], .tensor = p };
    }
    x->params = (cr_params){ .ctx = x->ctx, .n = PARAMS, .list = x->list };
    x->optim = rule->make(&x->params);
}

static void close_problem(problem *x)
{
    cr_optim_free(x->optim);
    cr_close(x->ctx);
}

/* The elements of parameter k as doubles. */
static void read_param(problem *x, int k, double *v)
{
    CR_SCOPE(x->ctx);
    cr_tensor *p = cr_cast(x->list[k].tensor, CR_F64);
    cr_read(p, v, (size_t)sizes[k] * sizeof *v);
}

/* One step of both, with gradients for those parameters whose bit is set. */
static void both_step(problem *x, const rule_case *rule, int t, unsigned which)
{
    CR_SCOPE(x->ctx);
    cr_optim_zero_grad(x->optim);
    for (int k = 0; k < PARAMS; k++) {
        double g[LARGEST];
        if (!(which >> k & 1))
            continue;
        for (int i = 0; i < sizes[k]; i++)
            g[i] = slope(x->plain[k].p[i], t, i);
        plain_step(rule, &x->plain[k], g, sizes[k]);
        cr_tensor *gradient = cr_from(x->ctx, CR_F64, CR_DIMS(sizes[k] / 2, 2), g);
        cr_dtype dtype = cr_dtype_of(x->list[k].tensor);
        cr_set_grad(x->list[k].tensor,
                    dtype == CR_F64 ? gradient : cr_cast(gradient, dtype));
    }
    cr_optim_step(x->optim);
}

/* The largest relative difference between the two. */
static double apart(problem *x)
{
    double worst = 0;
    for (int k = 0; k < PARAMS; k++) {
        double ours[LARGEST] = { 0 };
        read_param(x, k, ours);
        for (int i = 0; i < sizes[k]; i++) {
            double want = x->plain[k].p[i];
            worst = fmax(worst, fabs(ours[i] - want) / (1 + fabs(want)));
        }
    }
    return cr_error(x->ctx) ? INFINITY : worst;
}

static void test_formulas(void)
{
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++)
        for (int wide = 0; wide < 2; wide++) {
            problem x;
            double worst = 0;
            open_problem(&x, &cases[c], wide ? CR_F64 : CR_F32);
            for (int t = 1; t <= STEPS; t++) {
                both_step(&x, &cases[c], t, 3);
                worst = fmax(worst, apart(&x));
            }
            ok(worst <= (wide ? 1e-13 : 1e-4), "%s, %s: %d steps as in plain C (%.1e)",
               cases[c].name, wide ? "f64" : "f32", STEPS, worst);
            close_problem(&x);
        }
}

/* A parameter without a gradient is left alone, and its bias correction starts with its
 * own first step. */
static void test_absent_gradients(void)
{
    const rule_case *adam = case_of("adam");
    problem x;
    double before[LARGEST], after[LARGEST];
    open_problem(&x, adam, CR_F64);
    read_param(&x, 1, before);
    for (int t = 1; t <= 5; t++)
        both_step(&x, adam, t, 1);
    read_param(&x, 1, after);
    ok(memcmp(before, after, sizeof(double) * 4) == 0,
       "without a gradient nothing moves");
    both_step(&x, adam, 6, 0);
    both_step(&x, adam, 7, 2);
    for (int t = 8; t <= 20; t++)
        both_step(&x, adam, t, t % 3 ? 3 : 2);
    ok(apart(&x) <= 1e-13, "each parameter counts its own steps (%.1e)", apart(&x));
    close_problem(&x);
}

static double changing_rate;

static void step_with_rate(double *param, double *state, double g, double t)
{
    (void)state, (void)t;
    *param -= changing_rate * g;
}

static void test_learning_rate(void)
{
    rule_case rule = *case_of("sgd");
    rule.step = step_with_rate;
    problem x;
    open_problem(&x, &rule, CR_F64);
    for (int t = 1; t <= 20; t++) {
        changing_rate = 0.01 * (1 + cos(t));
        cr_optim_set_lr(x.optim, changing_rate);
        both_step(&x, &rule, t, 3);
    }
    ok(apart(&x) <= 1e-13, "the learning rate may change from step to step");
    is_near(cr_optim_lr(x.optim), changing_rate, 0, "and can be asked for");
    const cr_params *params = cr_optim_params(x.optim);
    ok(params->ctx == x.ctx && params->n == x.params.n &&
           params->list[0].tensor == x.params.list[0].tensor,
       "and so can the parameters");
    close_problem(&x);
}

/* ---- errors ---- */

static void test_settings(void)
{
    problem x;
    open_problem(&x, case_of("sgd"), CR_F32);
    const cr_params *p = &x.params;
    cr_ctx *ctx = x.ctx;
    const cr_status wrong = CR_ERR_ARGUMENT;
    ok(!cr_optim_sgd(p, -0.1) && failed_with(ctx, wrong, "learning rate is -0.1"),
       "lr below 0");
    ok(!cr_optim_sgd(p, (double)NAN) && failed_with(ctx, wrong, "learning rate"),
       "lr NaN");
    ok(!cr_optim_sgd(p, 1, .momentum = -1) && failed_with(ctx, wrong, "momentum"),
       "momentum");
    ok(!cr_optim_sgd(p, 1, .nesterov = true) && failed_with(ctx, wrong, "nesterov"),
       "nesterov");
    ok(!cr_optim_adam(p, 1, .weight_decay = -2) &&
           failed_with(ctx, wrong, "weight_decay"),
       "weight decay");
    ok(!cr_optim_adam(p, 1, .betas = CR_REALS(0.9, 1)) &&
           failed_with(ctx, wrong, "betas"),
       "betas of 1");
    ok(!cr_optim_adam(p, 1, .betas = CR_REALS(0.9)) && failed_with(ctx, wrong, "1 betas"),
       "one beta");
    ok(!cr_optim_adamw(p, 1, 0, .eps = -1) && failed_with(ctx, wrong, "eps"),
       "eps below 0");
    ok(cr_optim_set_lr(x.optim, -1) == wrong && failed_with(ctx, wrong, "learning rate"),
       "set_lr below 0");
    is_near(cr_optim_lr(x.optim), 0.05, 0, "changes nothing");
    ok(strstr(CR_HERE, "optim.c") && !cr_optim_sgd(p, -1) &&
           failed_with(ctx, wrong, "optim.c:"),
       "messages say where");

    cr_param odd = { "odd", cr_zeros(ctx, CR_DIMS(2), .dtype = CR_I64) };
    cr_params odds = { ctx, 1, &odd };
    ok(!cr_optim_sgd(&odds, 1) && failed_with(ctx, CR_ERR_DTYPE, "odd is i64"),
       "integers");
    odd.tensor = NULL;
    ok(!cr_optim_sgd(&odds, 1) && failed_with(ctx, CR_ERR_NULL, "odd is NULL"), "NULL");
    ok(!cr_optim_sgd(NULL, 1) && cr_error(ctx) == CR_OK, "no list, no optimiser");
    odds.n = 0;
    cr_optim *idle = cr_optim_adam(&odds, 1);
    ok(idle && cr_optim_step(idle) == CR_OK, "an empty list is well");
    cr_optim_free(idle);
    is_int(cr_optim_step(NULL), CR_ERR_NULL, "a step of NULL");
    is_int(cr_optim_zero_grad(NULL), CR_ERR_NULL, "zero_grad of NULL");
    ok(isnan(cr_optim_lr(NULL)), "the rate of NULL");
    ok(!cr_optim_params(NULL), "its parameters");
    close_problem(&x);
}

/* A step while an error is pending, and one whose run fails, leave parameters, state and
 * step count as they were: afterwards all goes on as if they had not been. */
static void test_failed_steps(const rule_case *rule)
{
    problem x;
    open_problem(&x, rule, CR_F64);
    for (int t = 1; t <= 3; t++)
        both_step(&x, rule, t, 3);
    cr_fail(x.ctx, CR_ERR_IO, "pending");
    is_int(cr_optim_step(x.optim), CR_ERR_IO, "%s: a step returns the pending error",
           rule->name);
    is_int(cr_optim_zero_grad(x.optim), CR_ERR_IO, "%s: so does zero_grad", rule->name);
    cr_clear(x.ctx);
    ok(cr_grad(x.list[0].tensor) != NULL, "%s: which changes nothing", rule->name);
    {
        /* The label is wrong, which only the run can see. */
        CR_SCOPE(x.ctx);
        const int64_t labels[] = { 1, 0, 5 };
        cr_tensor *y = cr_from(x.ctx, CR_I64, CR_DIMS(3), labels);
        cr_optim_zero_grad(x.optim);
        cr_tensor *loss = cr_cross_entropy(x.list[0].tensor, y);
        cr_backward(loss);
        cr_optim_step(x.optim);
        cr_item(loss);
    }
    ok(failed_with(x.ctx, CR_ERR_INDEX, ""), "%s: a label out of range fails the run",
       rule->name);
    for (int t = 4; t <= 20; t++)
        both_step(&x, rule, t, 3);
    ok(apart(&x) <= 1e-13, "%s: and the step has not been (%.1e)", rule->name, apart(&x));
    close_problem(&x);
}

/* ---- clipping ---- */

static void set_gradient(problem *x, int k, const double *g)
{
    cr_dtype dtype = cr_dtype_of(x->list[k].tensor);
    cr_tensor *gradient = cr_from(x->ctx, CR_F64, CR_DIMS(sizes[k] / 2, 2), g);
    cr_set_grad(x->list[k].tensor, dtype == CR_F64 ? gradient : cr_cast(gradient, dtype));
}

static void read_gradient(problem *x, int k, double *g)
{
    CR_SCOPE(x->ctx);
    cr_read(cr_cast(cr_grad(x->list[k].tensor), CR_F64), g, (size_t)sizes[k] * sizeof *g);
}

static const double g0[] = { 3, -4, 1, 0, -2, 0.5 }, g1[] = { 12, 1, -1, 2 };

static double joint_norm(void)
{
    double sum = 0;
    for (int i = 0; i < 6; i++)
        sum += g0[i] * g0[i];
    for (int i = 0; i < 4; i++)
        sum += g1[i] * g1[i];
    return sqrt(sum);
}

static void test_clip_norm(cr_dtype dtype)
{
    const double tolerance = dtype == CR_F64 ? 1e-14 : 1e-6, norm = joint_norm();
    problem x;
    double a[LARGEST], b[LARGEST];
    open_problem(&x, case_of("sgd"), dtype);
    is_near(cr_item(cr_clip_grad_norm(&x.params, 1.0)), 0, 0,
            "no gradients: the norm is 0");
    set_gradient(&x, 0, g0);
    set_gradient(&x, 1, g1);
    cr_tensor *before = cr_clip_grad_norm(&x.params, 100.0);
    is_near(cr_item(before), norm, 1e-6, "the joint norm, below the limit");
    is_int(cr_dtype_of(before), dtype, "in the parameters' dtype");
    read_gradient(&x, 0, a);
    read_gradient(&x, 1, b);
    ok(!memcmp(a, g0, sizeof g0) && !memcmp(b, g1, sizeof g1),
       "leaves the gradients alone");

    before = cr_clip_grad_norm(&x.params, 2.0);
    read_gradient(&x, 0, a);
    read_gradient(&x, 1, b);
    double factor = 2 / (norm + 1e-6), worst = 0, sum = 0;
    for (int i = 0; i < 6; i++)
        worst = fmax(worst, fabs(a[i] - factor * g0[i])), sum += a[i] * a[i];
    for (int i = 0; i < 4; i++)
        worst = fmax(worst, fabs(b[i] - factor * g1[i])), sum += b[i] * b[i];
    ok(worst <= tolerance, "above it all are scaled by limit / (norm + 1e-6)");
    is_near(sqrt(sum), 2, 1e-6, "down to the limit");
    is_near(cr_item(before), norm, 1e-6, "the norm returned is that before");

    cr_optim_step(x.optim);
    read_param(&x, 0, b);
    is_near(b[0], start(0, 0) - 0.05 * a[0], 1e-7, "the step takes the clipped gradient");
    close_problem(&x);
}

static void test_clip_large(void)
{
    problem x;
    double g[] = { 1e30, 1e30, 0, 0 }, scaled[LARGEST];
    open_problem(&x, case_of("sgd"), CR_F32);
    set_gradient(&x, 1, g);
    is_near(cr_item(cr_clip_grad_norm(&x.params, 1.0)) / 1e30, sqrt(2), 1e-6,
            "squares that f32 cannot hold have a norm");
    read_gradient(&x, 1, scaled);
    is_near(scaled[0], sqrt(0.5), 1e-6, "and are clipped by it");
    close_problem(&x);
}

static void test_clip_nonfinite(double bad)
{
    problem x;
    double g[4] = { 1, bad, 0, 0 }, a[LARGEST], before[LARGEST], after[LARGEST];
    open_problem(&x, case_of("sgd, momentum"), CR_F64);
    set_gradient(&x, 0, g0);
    read_gradient(&x, 0, a);
    read_param(&x, 0, before);
    {
        CR_SCOPE(x.ctx);
        set_gradient(&x, 1, g);
        cr_tensor *norm = cr_clip_grad_norm(&x.params, 1.0);
        cr_optim_step(x.optim);
        cr_item(norm);
    }
    ok(failed_with(x.ctx, CR_ERR_NONFINITE, "second"),
       "a gradient of %g is an error that names it", bad);
    read_param(&x, 0, after);
    ok(!memcmp(before, after, sizeof(double) * 6), "and nothing was changed");
    read_gradient(&x, 0, after);
    ok(!memcmp(a, after, sizeof(double) * 6), "no gradient either");
    close_problem(&x);
}

static void test_clip_value(void)
{
    problem x;
    double a[LARGEST];
    const double with_nan[] = { (double)NAN, 1, -9, 9 };
    open_problem(&x, case_of("sgd"), CR_F64);
    set_gradient(&x, 0, g0);
    is_int(cr_clip_grad_value(&x.params, 1.5), CR_OK, "clip_grad_value");
    read_gradient(&x, 0, a);
    ok(a[0] == 1.5 && a[1] == -1.5 && a[2] == 1 && a[3] == 0 && a[4] == -1.5 &&
           a[5] == 0.5,
       "clamps every element");
    ok(!cr_grad(x.list[1].tensor), "and leaves absent gradients absent");
    set_gradient(&x, 1, with_nan);
    cr_clip_grad_value(&x.params, 3);
    read_gradient(&x, 1, a);
    ok(isnan(a[0]) && a[1] == 1 && a[2] == -3 && a[3] == 3, "NaN stays NaN");
    ok(cr_clip_grad_value(&x.params, -1) == CR_ERR_ARGUMENT &&
           failed_with(x.ctx, CR_ERR_ARGUMENT, "clip_value is -1"),
       "a limit below 0 is an error");
    ok(!cr_clip_grad_norm(&x.params, (double)NAN) &&
           failed_with(x.ctx, CR_ERR_ARGUMENT, "optim.c:"),
       "a limit of NaN too, and the message says where");
    is_int(cr_clip_grad_value(NULL, 1), CR_ERR_NULL, "a list of NULL");
    ok(!cr_clip_grad_norm(NULL, 1), "of NULL, no norm");
    close_problem(&x);
}

int main(void)
{
    test_formulas();
    test_absent_gradients();
    test_learning_rate();
    test_settings();
    test_failed_steps(case_of("sgd, nesterov, weight decay"));
    test_failed_steps(case_of("adamw"));
    test_clip_norm(CR_F64);
    test_clip_norm(CR_F32);
    test_clip_large();
    test_clip_nonfinite((double)NAN);
    test_clip_nonfinite((double)INFINITY);
    test_clip_value();
    return done_testing();
}
