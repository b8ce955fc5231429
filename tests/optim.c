/* Optimisers against plain double re-implementations, clipping by its properties, and
 * steps that fail: they change nothing. */
#include "tap.h"
#include <chainrule.h>
#include <stdlib.h>

enum { PARAMS = 2, LARGEST = 6, STEPS = 100 };
static const int sizes[PARAMS] = { 6, 4 };

/* Settings of an optimiser, for both implementations. */
typedef struct settings {
    const char *name;
    enum { SGD, ADAM, ADAMW } kind;
    double lr, weight_decay, momentum;
    bool nesterov;
    double beta1, beta2, eps; /* 0: the defaults */
} settings;

/* ---- the plain implementation ---- */

typedef struct plain {
    double p[LARGEST], m[LARGEST], v[LARGEST];
    int t;
} plain;

static void plain_step(const settings *s, plain *x, const double *gradient, int n)
{
    double b1 = s->beta2 > 0 ? s->beta1 : 0.9, b2 = s->beta2 > 0 ? s->beta2 : 0.999;
    double eps = s->eps > 0 ? s->eps : 1e-8;
    x->t++;
    for (int i = 0; i < n; i++) {
        double g = gradient[i];
        if (s->kind == ADAMW)
            x->p[i] *= 1 - s->lr * s->weight_decay;
        else
            g += s->weight_decay * x->p[i];
        if (s->kind == SGD) {
            x->m[i] = x->t == 1 ? g : s->momentum * x->m[i] + g;
            x->p[i] -= s->lr * (s->nesterov ? g + s->momentum * x->m[i] : x->m[i]);
            continue;
        }
        x->m[i] = b1 * x->m[i] + (1 - b1) * g;
        x->v[i] = b2 * x->v[i] + (1 - b2) * g * g;
        x->p[i] -= s->lr / (1 - pow(b1, x->t)) * x->m[i] /
                   (sqrt(x->v[i]) / sqrt(1 - pow(b2, x->t)) + eps);
    }
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

static cr_optim *make_optim(const cr_params *params, const settings *s)
{
    if (s->kind == SGD)
        return cr_optim_sgd(params, s->lr, .momentum = s->momentum,
                            .weight_decay = s->weight_decay, .nesterov = s->nesterov);
    cr_adam_opts opts = { .site = CR_HERE, .eps = s->eps };
    if (s->beta2 > 0)
        opts.betas = CR_REALS(s->beta1, s->beta2);
    return s->kind == ADAM ? cr_optim_adam_at(params, s->lr, s->weight_decay, opts)
                           : cr_optim_adamw_at(params, s->lr, s->weight_decay, opts);
}

static void open_problem(problem *x, const settings *s, cr_dtype dtype)
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
    x->optim = make_optim(&x->params, s);
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
static void both_step(problem *x, const settings *s, int t, unsigned which)
{
    CR_SCOPE(x->ctx);
    cr_optim_zero_grad(x->optim);
    for (int k = 0; k < PARAMS; k++) {
        double g[LARGEST];
        if (!(which >> k & 1))
            continue;
        for (int i = 0; i < sizes[k]; i++)
            g[i] = slope(x->plain[k].p[i], t, i);
        plain_step(s, &x->plain[k], g, sizes[k]);
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

static const settings cases[] = {
    { .name = "sgd", .kind = SGD, .lr = 0.05 },
    { .name = "sgd, weight decay", .kind = SGD, .lr = 0.05, .weight_decay = 0.1 },
    { .name = "sgd, momentum", .kind = SGD, .lr = 0.02, .momentum = 0.9 },
    { .name = "sgd, nesterov, weight decay",
      .kind = SGD,
      .lr = 0.02,
      .momentum = 0.9,
      .nesterov = true,
      .weight_decay = 0.01 },
    { .name = "sgd, standing still", .kind = SGD },
    { .name = "adam", .kind = ADAM, .lr = 0.01 },
    { .name = "adam, weight decay", .kind = ADAM, .lr = 0.01, .weight_decay = 0.1 },
    { .name = "adam, betas and eps",
      .kind = ADAM,
      .lr = 0.01,
      .beta1 = 0.5,
      .beta2 = 0.9,
      .eps = 1e-3 },
    { .name = "adam, no momentum", .kind = ADAM, .lr = 0.01, .beta1 = 0, .beta2 = 0.99 },
    { .name = "adamw", .kind = ADAMW, .lr = 0.01, .weight_decay = 0.1 },
    { .name = "adamw, no decay", .kind = ADAMW, .lr = 0.01 },
};

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
    const settings *adam = &cases[5];
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

static void test_learning_rate(void)
{
    settings s = cases[9];
    problem x;
    open_problem(&x, &s, CR_F64);
    for (int t = 1; t <= 20; t++) {
        s.lr = 0.01 * (1 + cos(t));
        cr_optim_set_lr(x.optim, s.lr);
        both_step(&x, &s, t, 3);
    }
    ok(apart(&x) <= 1e-13, "the learning rate may change from step to step");
    is_near(cr_optim_lr(x.optim), s.lr, 0, "and can be asked for");
    close_problem(&x);
}

/* ---- errors ---- */

static bool failed_with(cr_ctx *ctx, cr_status status, const char *text)
{
    bool as_expected = cr_error(ctx) == status && strstr(cr_message(ctx), text);
    if (!as_expected)
        diag("  %s: %s", cr_status_name(cr_error(ctx)), cr_message(ctx));
    cr_clear(ctx);
    return as_expected;
}

static void test_settings(void)
{
    problem x;
    open_problem(&x, &cases[0], CR_F32);
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
    ok(!cr_optim_adam(p, 1, -2.0) && failed_with(ctx, wrong, "weight_decay"),
       "weight decay");
    ok(!cr_optim_adam(p, 1, 0, .betas = CR_REALS(0.9, 1)) &&
           failed_with(ctx, wrong, "betas"),
       "betas of 1");
    ok(!cr_optim_adam(p, 1, 0, .betas = CR_REALS(0.9)) &&
           failed_with(ctx, wrong, "1 betas"),
       "one beta");
    ok(!cr_optim_adamw(p, 1, 0, .eps = -1) && failed_with(ctx, wrong, "eps"),
       "eps below 0");
    ok(cr_optim_set_lr(x.optim, -1) == wrong && failed_with(ctx, wrong, "learning rate"),
       "set_lr below 0");
    is_near(cr_optim_lr(x.optim), cases[0].lr, 0, "changes nothing");
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
    cr_optim *idle = cr_optim_adam(&odds, 1, 0);
    ok(idle && cr_optim_step(idle) == CR_OK, "an empty list is well");
    cr_optim_free(idle);
    is_int(cr_optim_step(NULL), CR_ERR_NULL, "a step of NULL");
    is_int(cr_optim_zero_grad(NULL), CR_ERR_NULL, "zero_grad of NULL");
    ok(isnan(cr_optim_lr(NULL)), "the rate of NULL");
    close_problem(&x);
}

/* A step while an error is pending, and one whose run fails, leave parameters, state and
 * step count as they were: afterwards all goes on as if they had not been. */
static void test_failed_steps(const settings *s)
{
    problem x;
    open_problem(&x, s, CR_F64);
    for (int t = 1; t <= 3; t++)
        both_step(&x, s, t, 3);
    cr_fail(x.ctx, CR_ERR_IO, "pending");
    is_int(cr_optim_step(x.optim), CR_ERR_IO, "%s: a step returns the pending error",
           s->name);
    is_int(cr_optim_zero_grad(x.optim), CR_ERR_IO, "%s: so does zero_grad", s->name);
    cr_clear(x.ctx);
    ok(cr_grad(x.list[0].tensor) != NULL, "%s: which changes nothing", s->name);
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
       s->name);
    for (int t = 4; t <= 20; t++)
        both_step(&x, s, t, 3);
    ok(apart(&x) <= 1e-13, "%s: and the step has not been (%.1e)", s->name, apart(&x));
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
    open_problem(&x, &cases[0], dtype);
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
    is_near(b[0], start(0, 0) - cases[0].lr * a[0], 1e-7,
            "the step takes the clipped gradient");
    close_problem(&x);
}

static void test_clip_large(void)
{
    problem x;
    double g[] = { 1e30, 1e30, 0, 0 }, scaled[LARGEST];
    open_problem(&x, &cases[0], CR_F32);
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
    open_problem(&x, &cases[2], CR_F64);
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
    open_problem(&x, &cases[0], CR_F64);
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
    test_failed_steps(&cases[3]);
    test_failed_steps(&cases[9]);
    test_clip_norm(CR_F64);
    test_clip_norm(CR_F32);
    test_clip_large();
    test_clip_nonfinite((double)NAN);
    test_clip_nonfinite((double)INFINITY);
    test_clip_value();
    return done_testing();
}
