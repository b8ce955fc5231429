/* The rules: each is its settings, its update, a row and its constructor, in one place.
 * What all optimisers have in common is in optim.c, which knows no rule. */
#include "rule.h"

#include <math.h>

#define ADD(x, y) cr_add_at(CR_ARG(x), CR_ARG(y), optim->site)
#define SUB(x, y) cr_sub_at(CR_ARG(x), CR_ARG(y), optim->site)
#define MUL(x, y) cr_mul_at(CR_ARG(x), CR_ARG(y), optim->site)
#define DIV(x, y) cr_div_at(CR_ARG(x), CR_ARG(y), optim->site)
#define POW(x, y) cr_pow_at(CR_ARG(x), CR_ARG(y), optim->site)

#define WEIGHT_DECAY(T)                                                                 \
    {                                                                                   \
        .name = "weight_decay", .offset = offsetof(T, weight_decay), .below = INFINITY, \
        .range = "0 or more",                                                           \
    }

/* ---- SGD ---- */

static const cr__setting sgd_settings[] = {
    WEIGHT_DECAY(cr_sgd_opts),
    { .name = "momentum",
      .offset = offsetof(cr_sgd_opts, momentum),
      .below = INFINITY,
      .range = "0 or more" },
    { .name = NULL },
};

static const char *check_sgd(const void *settings)
{
    const cr_sgd_opts *opts = settings;
    return opts->nesterov && opts->momentum == 0 ? "nesterov needs momentum above 0"
                                                 : NULL;
}

static int sgd_states(const void *settings)
{
    return ((const cr_sgd_opts *)settings)->momentum != 0;
}

static void update_sgd(const cr_optim *optim, cr__optim_slot *s)
{
    const cr_sgd_opts *opts = optim->settings;
    cr_tensor *p = s->value, *g = s->grad;
    if (opts->weight_decay != 0)
        g = ADD(g, MUL(p, opts->weight_decay));
    if (opts->momentum != 0) {
        cr_tensor *m = ADD(MUL(s->state[0], opts->momentum), g);
        s->next_state[0] = m;
        g = opts->nesterov ? ADD(g, MUL(m, opts->momentum)) : m;
    }
    s->next_param = SUB(p, MUL(g, optim->lr));
}

static const cr__rule sgd = {
    .name = "sgd",
    .settings = sgd_settings,
    .settings_size = sizeof(cr_sgd_opts),
    .check = check_sgd,
    .states = sgd_states,
    .update = update_sgd,
};

cr_optim *cr_optim_sgd_at(const cr_params *params, double lr, cr_sgd_opts opts)
{
    return cr__optim_new(&sgd, params, lr, &opts, opts.site);
}

/* ---- Adam and AdamW ---- */

typedef struct adam_settings {
    cr_reals betas;
    double eps, weight_decay;
} adam_settings;

static const cr__setting adam_rows[] = {
    WEIGHT_DECAY(adam_settings),
    { .name = "betas",
      .offset = offsetof(adam_settings, betas),
      .count = 2,
      .initial = { 0.9, 0.999 },
      .below = 1,
      .range = "from 0 to below 1" },
    { .name = "eps",
      .offset = offsetof(adam_settings, eps),
      .initial = { 1e-8 },
      .below = INFINITY,
      .range = "above 0" },
    { .name = NULL },
};

static int adam_states(const void *settings)
{
    (void)settings;
    return 2;
}

/* The root of beta2 as the parameter's dtype has it. Its square takes beta2's place
 * everywhere, so that one rounding does not make the average drift from its correction. */
static double root_of_beta2(const adam_settings *settings, cr_dtype dtype)
{
    double root = sqrt(settings->betas.v[1]);
    return dtype == CR_F64 ? root : (double)(float)root;
}

/* With c = sqrt(1 - beta2^t) / 2: c lr / (1 - beta1^t) and c eps. */
static void adam_factors(const cr_optim *optim, cr_tensor *t, cr_dtype dtype,
                         cr_tensor **factors)
{
    const adam_settings *settings = optim->settings;
    double root = root_of_beta2(settings, dtype);
    cr_tensor *c = MUL(cr_sqrt_at(SUB(1, POW(root * root, t)), optim->site), 0.5);
    cr_tensor *correction = SUB(1, POW(settings->betas.v[0], t));
    factors[0] = DIV(MUL(c, optim->lr), correction);
    factors[1] = MUL(c, settings->eps);
}

/* The step from p by the gradient g. The second state is half the root of v: squares of
 * large and of small gradients are no numbers of the dtype, and the root of an average of
 * equal squares may be the largest number, rounded up. Numerator and denominator of the step
 * are multiplied by c above, which leaves no factor beside the root that could overflow. */
static void step_adam(const cr_optim *optim, cr__optim_slot *s, cr_tensor *p,
                      cr_tensor *g)
{
    const adam_settings *settings = optim->settings;
    double b1 = settings->betas.v[0];
    double root = root_of_beta2(settings, cr_dtype_of(p));
    cr_tensor *m = MUL(g, 1 - b1), *r = MUL(g, sqrt(1 - root * root) / 2);
    m = ADD(MUL(s->state[0], b1), m);
    r = cr_hypot_at(CR_ARG(MUL(s->state[1], root)), CR_ARG(r), optim->site);
    s->next_state[0] = m;
    s->next_state[1] = r;
    s->next_param = SUB(p, MUL(DIV(m, ADD(r, s->factors[1])), s->factors[0]));
}

static void update_adam(const cr_optim *optim, cr__optim_slot *s)
{
    double decay = ((const adam_settings *)optim->settings)->weight_decay;
    cr_tensor *g = s->grad;
    if (decay != 0)
        g = ADD(g, MUL(s->value, decay));
    step_adam(optim, s, s->value, g);
}

static void update_adamw(const cr_optim *optim, cr__optim_slot *s)
{
    double decay = ((const adam_settings *)optim->settings)->weight_decay;
    cr_tensor *p = s->value;
    if (decay != 0)
        p = MUL(p, 1 - optim->lr * decay);
    step_adam(optim, s, p, s->grad);
}

static const cr__rule adam = {
    .name = "adam",
    .settings = adam_rows,
    .settings_size = sizeof(adam_settings),
    .states = adam_states,
    .factors = adam_factors,
    .update = update_adam,
};

cr_optim *cr_optim_adam_at(const cr_params *params, double lr, cr_adam_opts opts)
{
    adam_settings settings = { opts.betas, opts.eps, opts.weight_decay };
    return cr__optim_new(&adam, params, lr, &settings, opts.site);
}

static const cr__rule adamw = {
    .name = "adamw",
    .settings = adam_rows,
    .settings_size = sizeof(adam_settings),
    .states = adam_states,
    .factors = adam_factors,
    .update = update_adamw,
};

cr_optim *cr_optim_adamw_at(const cr_params *params, double lr, double weight_decay,
                            cr_adamw_opts opts)
{
    adam_settings settings = { opts.betas, opts.eps, weight_decay };
    return cr__optim_new(&adamw, params, lr, &settings, opts.site);
}
