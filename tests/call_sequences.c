/* Sequences of calls, right and wrong ones, that a seed chooses: released handles, NULL, other
 * contexts' tensors, errors that stay pending, scopes and counts that do not balance, modules and
 * optimisers freed at any time, memory that fails. Nothing crashes, each call says whether it
 * failed as the context's error does, both modes of evaluation say the same, and all memory is
 * given back.
 *
 *     call_sequences FIRST COUNT          other seeds than those of the suite
 *     call_sequences --tell SEED WAY      the calls of one, as they are made
 */
#include "../src/graph/graph.h"
#include "op_sample.h"
#include "supply.h"
#include "tap.h"

enum { THINGS = 24, MODULES = 6, OPTIMS = 3, MOST_STEPS = 90 };

/* A tensor that the program knows, as the header says what becomes of it. */
typedef struct thing {
    cr_tensor *t;
    int who;      /* its context */
    int level;    /* of its scope */
    int retained; /* how often */
    int keeps;
    bool moved;
    bool unsure; /* others may hold it, too, or nobody knows */
} thing;

typedef struct held_module {
    cr_module *m;
    int who, parent; /* -1: none */
} held_module;

typedef struct held_optim {
    cr_optim *o;
    int who;
} held_optim;

/* What a step has led to. */
typedef struct mark {
    const char *call;
    cr_status status;
    uint64_t value;
} mark;

typedef struct trace {
    int n;
    mark marks[MOST_STEPS];
    char wrong[600];
} trace;

typedef struct way {
    const char *name;
    cr_options options;
    bool commits; /* a run after each call */
    int fails;    /* see supply */
    bool limited;
    bool compared; /* with the first way of the same `commits` */
} way;

typedef struct world {
    cr_ctx *ctx[2];
    supply memory[2];
    const way *how;
    uint64_t rng;
    thing things[THINGS];
    held_module modules[MODULES];
    held_optim optims[OPTIMS];
    int step;
    bool tells;
    /* the call in progress */
    const char *call;
    cr_status before[2];
    bool foreign; /* an operand was of the other context, or none */
    bool dead, unsure, null;
    uint64_t value;
    trace *out;
} world;

/* ---- chance ---- */

static int64_t below(world *w, int64_t n)
{
    return (int64_t)(next_random(&w->rng) % (uint64_t)n);
}

static bool chance(world *w, int percent)
{
    return below(w, 100) < percent;
}

/* ---- what is known of tensors ---- */

static int depth(const cr_ctx *ctx)
{
    int n = 0;
    for (const cr__scope *scope = ctx->scope; scope->parent; scope = scope->parent)
        n++;
    return n;
}

static bool dead(const thing *x)
{
    return x->level < 0 && x->retained == 0;
}

TAP_FORMAT(2, 3) static void complain(world *w, const char *format, ...)
{
    char text[400];
    va_list list;
    if (*w->out->wrong)
        return;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    snprintf(w->out->wrong, sizeof w->out->wrong, "step %d, %s: %s (%.160s)", w->step,
             w->call, text, cr_message(w->ctx[cr_error(w->ctx[0]) == CR_OK]));
}

static thing *find(world *w, const cr_tensor *t)
{
    for (int i = 0; i < THINGS; i++)
        if (w->things[i].t == t)
            return &w->things[i];
    return NULL;
}

/* t is known from now on, in the place of another. */
static thing *learn(world *w, cr_tensor *t, bool unsure)
{
    if (!t)
        return NULL;
    thing *x = find(w, t);
    if (x && !dead(x))
        return x;
    if (!x)
        x = &w->things[below(w, THINGS)];
    int who = t->ctx == w->ctx[1];
    *x = (thing){ .t = t, .who = who, .level = depth(w->ctx[who]), .unsure = unsure };
    return x;
}

/* Any, mostly one that may be used. */
static thing *some(world *w)
{
    static thing none;
    if (chance(w, 2)) {
        w->null = w->foreign = true;
        return &none;
    }
    thing *x = NULL;
    for (int tries = 0; tries < 8; tries++) {
        x = &w->things[below(w, THINGS)];
        if (x->t && (!dead(x) || chance(w, 4)) && (x->who == 0 || chance(w, 12)))
            break;
    }
    if (!x->t) {
        w->null = w->foreign = true;
        return &none;
    }
    w->foreign |= x->who != 0;
    w->dead |= dead(x);
    w->unsure |= x->unsure;
    return x;
}

static cr_tensor *any(world *w)
{
    return some(w)->t;
}

/* One of such a type, if there soon is one. */
static thing *some_of(world *w, cr_dtype dtype)
{
    bool was[] = { w->foreign, w->dead, w->unsure, w->null };
    thing *x = some(w);
    for (int i = 0; i < 6 && !(x->t && !dead(x) && x->t->dtype == dtype); i++) {
        w->foreign = was[0], w->dead = was[1], w->unsure = was[2], w->null = was[3];
        x = some(w);
    }
    return x;
}

static cr_tensor *real(world *w)
{
    return some_of(w, CR_F32)->t;
}

static cr_dtype some_dtype(world *w)
{
    if (chance(w, 3))
        return (cr_dtype)(below(w, 12) - 3);
    return chance(w, 65) ? CR_F32 : (cr_dtype)(1 + below(w, CR_DTYPES - 1));
}

static cr_dims some_dims(world *w)
{
    static const int64_t sizes[] = { 2, 3, 2, 3, 1, 2, 0, 4 };
    int64_t v[CR_MAX_DIMS];
    int n = chance(w, 3) ? (int)below(w, 9) : (int)below(w, 4);
    for (int i = 0; i < CR_MAX_DIMS; i++)
        v[i] = sizes[below(w, 8)];
    if (chance(w, 2))
        v[0] = chance(w, 50) ? INT64_MAX : -below(w, 5);
    return chance(w, 1) ? cr_dims_of(v, 12) : cr_dims_of(v, n);
}

static int some_dim(world *w)
{
    if (chance(w, 3))
        return (int)next_random(&w->rng);
    return (int)below(w, chance(w, 90) ? 2 : 9) - (int)below(w, 3);
}

static cr_dims some_list(world *w)
{
    int64_t v[2] = { some_dim(w), some_dim(w) };
    return chance(w, 30) ? CR_ALL : cr_dims_of(v, 1 + (int)below(w, 2));
}

static double some_real(world *w)
{
    static const double odd[] = { 0, -1, 1e30, INFINITY, NAN, -0.0, 1e-300 };
    return chance(w, 10) ? odd[below(w, 7)] : uniform(&w->rng) * 2 - 0.5;
}

static cr_arg some_arg(world *w)
{
    if (chance(w, 75))
        return cr_arg_tensor(real(w));
    return chance(w, 50) ? cr_arg_real(some_real(w)) : cr_arg_int(below(w, 5) - 2);
}

static cr_ctx *some_ctx(world *w)
{
    if (chance(w, 2)) {
        w->foreign = w->null = true;
        return NULL;
    }
    bool other = chance(w, 8);
    w->foreign |= other;
    return w->ctx[other];
}

/* ---- what a call has said ---- */

static void begin(world *w, const char *call)
{
    w->call = call;
    w->foreign = w->dead = w->unsure = w->null = false;
    for (int i = 0; i < 2; i++)
        w->before[i] = cr_error(w->ctx[i]);
}

static bool pending(const world *w)
{
    return w->before[0] || w->before[1];
}

static bool fails_now(const world *w)
{
    return (!w->before[0] && cr_error(w->ctx[0])) ||
           (!w->before[1] && cr_error(w->ctx[1]));
}

/* Every use of a released tensor is an error in check mode, and none of another. */
static void check_scopes(world *w)
{
    bool scope =
        cr_error(w->ctx[0]) == CR_ERR_SCOPE || cr_error(w->ctx[1]) == CR_ERR_SCOPE;
    if (pending(w) || w->unsure)
        return;
    if (w->dead && !w->null && w->how->options.check && !fails_now(w))
        complain(w, "a released tensor was used");
    if (!w->dead && !w->foreign && scope)
        complain(w, "no released tensor was used");
}

/* failed: what the call's own result says. */
static void end(world *w, bool failed)
{
    for (int i = 0; i < 2; i++)
        if (w->before[i] && cr_error(w->ctx[i]) != w->before[i])
            complain(w, "the first error did not stay");
    if (!pending(w) && failed != fails_now(w) && !(w->null && failed))
        complain(w, failed ? "no result, and no error" : "a result, and an error");
    check_scopes(w);
}

static void end_tensor(world *w, cr_tensor *t)
{
    end(w, !t);
    learn(w, t, false);
}

/* Of what returns nothing that says whether it failed. */
static void end_void(world *w)
{
    end(w, fails_now(w));
}

static void end_status(world *w, cr_status status)
{
    end(w, status != CR_OK);
    if (!pending(w) && !w->foreign && !w->null && status != cr_error(w->ctx[0]))
        complain(w, "status %s, error %s", cr_status_name(status),
                 cr_status_name(cr_error(w->ctx[0])));
}

static void add_value(world *w, const void *data, size_t bytes)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++)
        w->value = (w->value ^ p[i]) * 1099511628211u; /* FNV-1a */
}

/* ---- calls: making ---- */

static void call_make(world *w)
{
    static const double numbers[64] = { 1, -1, 0.5, 2, 0, 3 };
    cr_ctx *ctx = some_ctx(w);
    cr_dims dims = some_dims(w);
    cr_make_opts opts = { .dtype = some_dtype(w) };
    switch (below(w, 8)) {
    case 0:
        if (dims.n > 3 || (dims.n > 0 && (dims.v[0] > 4 || dims.v[0] < 0)))
            dims = CR_DIMS(2);
        end_tensor(w, cr_from_at(ctx, opts.dtype, dims, chance(w, 3) ? NULL : numbers,
                                 NULL, NULL));
        break;
    case 1:
        end_tensor(w, cr_arange_at(ctx, cr_arg_int(0), cr_arg_real(some_real(w) * 3),
                                   cr_arg_real(1), opts));
        break;
    case 2:
        end_tensor(w, cr_eye_at(ctx, below(w, 5) - 1, opts));
        break;
    case 3:
        end_tensor(w, cr_randn_at(ctx, dims, opts));
        break;
    case 4:
        end_tensor(w, cr_scalar_at(ctx, cr_arg_real(some_real(w)), opts));
        break;
    case 5:
        end_tensor(w, cr_full_like_at(any(w), cr_arg_int(1), NULL));
        break;
    default:
        end_tensor(w, cr_full_at(ctx, dims, cr_arg_int(below(w, 3)), opts));
    }
}

static void call_leaf(world *w)
{
    cr_tensor *x = chance(w, 60) ? cr_randn(w->ctx[0], CR_DIMS(2, 3)) : any(w);
    end_tensor(w, cr_requires_grad_at(x, !chance(w, 20), NULL));
}

static void call_unary(world *w)
{
    cr_tensor *x = real(w);
    cr_tensor *(*const f[])(cr_tensor *, const char *) = {
        cr_exp_at, cr_tanh_at,   cr_square_at,      cr_relu_at,
        cr_neg_at, cr_detach_at, cr_logical_not_at, cr_bernoulli_at
    };
    end_tensor(w, f[below(w, 8)](x, NULL));
}

static void call_binary(world *w)
{
    cr_tensor *(*const f[])(cr_arg, cr_arg, const char *) = {
        cr_add_at, cr_mul_at, cr_sub_at, cr_div_at, cr_maximum_at, cr_lt_at, cr_pow_at
    };
    cr_arg a = some_arg(w), b = some_arg(w);
    w->null |= a.kind != CR_ARG_TENSOR && b.kind != CR_ARG_TENSOR;
    end_tensor(w, f[below(w, 7)](a, b, NULL));
}

static void call_view(world *w)
{
    cr_tensor *x = any(w);
    int a = some_dim(w), b = some_dim(w);
    cr_tensor *y = NULL;
    switch (below(w, 9)) {
    case 0:
        y = cr_reshape(x, chance(w, 50) ? CR_DIMS(-1) : some_dims(w));
        break;
    case 1:
        y = cr_permute(x, some_list(w));
        break;
    case 2:
        y = cr_transpose(x, a, b);
        break;
    case 3:
        y = cr_expand(x, some_dims(w));
        break;
    case 4:
        y = cr_flip(x, some_list(w));
        break;
    case 5:
        y = cr_unsqueeze(x, a);
        break;
    case 6:
        y = cr_squeeze_at(x, some_list(w), NULL);
        break;
    case 7:
        y = cr_select(x, a, b);
        break;
    default:
        y = cr_slice(x, a, b, below(w, 4), .step = below(w, 3));
    }
    end_tensor(w, y);
}

static void call_reduce(world *w)
{
    cr_tensor *x = real(w);
    cr_dims dims = some_list(w);
    cr_reduce_opts opts = { .keepdim = chance(w, 40) };
    cr_tensor *(*const f[])(cr_tensor *, cr_dims, cr_reduce_opts) = {
        cr_sum_at, cr_mean_at, cr_amax_at, cr_logsumexp_at, cr_argmax_at, cr_sum_at
    };
    end_tensor(w, f[below(w, 6)](x, dims, opts));
}

static void call_product(world *w)
{
    cr_tensor *x = real(w), *y = real(w);
    if (chance(w, 60))
        end_tensor(w, cr_matmul(x, chance(w, 50) ? y : x));
    else
        end_tensor(w, cr_linear(x, y, NULL));
}

static void call_join(world *w)
{
    cr_tensor *list[6];
    int n = (int)below(w, 6) + chance(w, 95) - chance(w, 2);
    cr_tensor *x = any(w);
    for (int i = 0; i < 6; i++)
        list[i] = i >= n || chance(w, 70) ? x : any(w);
    w->null |= n <= 0;
    end_tensor(w, chance(w, 50) ? cr_cat(list, n, some_dim(w))
                                : cr_stack(list, n, some_dim(w)));
}

static void call_split(world *w)
{
    cr_tensor *parts[5] = { 0 }, *x = any(w);
    int dim = some_dim(w), room = (int)below(w, 6), n;
    if (chance(w, 50))
        n = cr_split_at(x, chance(w, 50) ? some_list(w) : CR_DIMS(1), dim, parts, room,
                        NULL);
    else
        n = cr_chunk_at(x, below(w, 5) - 1, dim, parts, room, NULL);
    end(w, n < 0);
    for (int i = 0; i < room; i++)
        if ((parts[i] != NULL) != (i < n))
            complain(w, "part %d of %d", i, n);
    for (int i = 0; i < n; i++)
        learn(w, parts[i], false);
}

static void call_index(world *w)
{
    int which = (int)below(w, 6);
    cr_tensor *i = some_of(w, CR_I64)->t, *x = which == 3 ? i : real(w);
    int dim = some_dim(w);
    cr_tensor *y = NULL;
    switch (which) {
    case 0:
        y = cr_gather(x, dim, i);
        break;
    case 1:
        y = cr_index_select(x, dim, i);
        break;
    case 2:
        y = cr_embedding(x, i);
        break;
    case 3:
        y = cr_one_hot(i, below(w, 6) - 1);
        break;
    case 4:
        y = cr_cross_entropy(x, i);
        break;
    default:
        y = cr_scatter_add(x, dim, i, real(w));
    }
    end_tensor(w, y);
}

/* Any operation by name, mostly with a sample's attributes. */
static void call_listed(world *w)
{
    int count = 0;
    while (cr_op_list(count))
        count++;
    const cr_op *op = cr_op_list((int)below(w, count));
    const char *attrs = chance(w, 5) ? "dim=7,,x" : NULL;
    for (int i = 0; op->samples && op->samples[i].inputs; i++)
        if (chance(w, 40))
            attrs = op->samples[i].attrs;
    cr_tensor *in[4], *out[3] = { 0 };
    int most = op->max_inputs < 0                ? 3
               : op->max_inputs > op->min_inputs ? op->max_inputs
                                                 : op->min_inputs;
    int n = chance(w, 5) ? (int)below(w, 4) : most < 4 ? most : 4;
    for (int i = 0; i < n; i++)
        in[i] = chance(w, 85) ? real(w) : any(w);
    cr_ctx *ctx = n ? NULL : w->ctx[0];
    w->null |= n == 0;
    n = cr_call(ctx, op, in, n, attrs, out, 3);
    end(w, n < 0);
    for (int i = 0; i < n && i < 3; i++)
        learn(w, out[i], false);
}

/* ---- calls: lifetimes ---- */

static void call_scope(world *w)
{
    int who = chance(w, 10), was = depth(w->ctx[who]);
    bool push = chance(w, was > 3 ? 20 : was == 0 ? 85 : 50);
    w->foreign |= who != 0;
    cr_status status = push ? cr_scope_push(w->ctx[who]) : cr_scope_pop(w->ctx[who]);
    if (!pending(w) && (status == CR_OK) == fails_now(w))
        complain(w, "%s", cr_status_name(status));
    int now = depth(w->ctx[who]);
    for (int i = 0; i < THINGS && now < was; i++) {
        thing *x = &w->things[i];
        if (!x->t || x->who != who || x->level <= now)
            continue;
        x->moved = x->keeps > 0;
        x->level = x->keeps > 0 ? now : -1;
        x->keeps -= x->keeps > 0;
    }
}

static void call_keep(world *w)
{
    thing *x = some(w);
    cr_tensor *t = cr_keep(x->t);
    end(w, !t);
    if (t && x->level >= 0)
        x->keeps++;
}

static void call_retain(world *w)
{
    thing *x = some(w);
    cr_tensor *t = cr_retain(x->t);
    if (!pending(w))
        end(w, !t);
    if (t)
        x->retained++;
}

static void call_release(world *w)
{
    thing *x = some(w);
    if (!x->t)
        return;
    bool right = x->retained > 0 || (x->level >= 0 && x->moved);
    cr_release(x->t);
    if (!pending(w) && !x->unsure && right == fails_now(w))
        complain(w, right ? "refused" : "what nobody holds was released");
    if (x->retained > 0)
        x->retained--;
    else if (right)
        x->level = -1, x->moved = false, x->keeps = 0;
}

static void call_watch(world *w)
{
    cr_tensor *x = any(w);
    switch (below(w, 3)) {
    case 0:
        end(w, !cr_watch(x));
        break;
    case 1:
        end(w, !cr_named(x, chance(w, 5) ? NULL : "name"));
        break;
    default:
        end(w, !cr_requires_grad_at(x, chance(w, 50), NULL));
    }
}

static void call_no_grad(world *w)
{
    if (chance(w, 40))
        cr_no_grad_push(w->ctx[0]);
    else
        cr_no_grad_pop(w->ctx[0]);
    end_void(w);
}

/* ---- calls: gradients and assignments ---- */

static void call_backward(world *w)
{
    cr_tensor *x = real(w);
    cr_backward_opts opts = { .retain_graph = chance(w, 40) };
    if (chance(w, 60) && !w->dead)
        x = x ? cr_sum(x) : NULL;
    if (chance(w, 20))
        opts.cotangent = chance(w, 60) ? x : real(w);
    w->null |= !x;
    end_status(w, cr_backward_at(x, opts));
}

static void call_gradients(world *w)
{
    cr_tensor *ys[3], *xs[3], *grads[3] = { 0 }, *cotangents[3];
    int n_ys = (int)below(w, 3) + chance(w, 80), n_xs = (int)below(w, 3) + chance(w, 80);
    for (int i = 0; i < 3; i++) {
        ys[i] = i < n_ys ? real(w) : NULL;
        xs[i] = i < n_xs ? real(w) : NULL;
        cotangents[i] = ys[i];
    }
    cr_gradients_opts opts = { .create_graph = chance(w, 40),
                               .retain_graph = chance(w, 40),
                               .allow_unused = chance(w, 70),
                               .cotangents = chance(w, 50) ? cotangents : NULL };
    w->null |= n_ys == 0;
    cr_status status = cr_gradients_at(ys, n_ys, xs, n_xs, grads, opts);
    end_status(w, status);
    for (int i = 0; i < n_xs; i++)
        learn(w, grads[i], true);
}

static void call_grad(world *w)
{
    thing *x = some(w);
    cr_tensor *g = cr_grad(x->t);
    if (g)
        end(w, false);
    else
        end_void(w);
    thing *y = learn(w, g, true);
    if (y)
        y->unsure = true;
}

static void call_assign(world *w)
{
    thing x = *some(w);
    cr_tensor *value = NULL;
    if (chance(w, 50) && x.t && !dead(&x))
        learn(w, value = cr_mul(x.t, 0.5), false);
    else
        value = any(w);
    w->null |= !value;
    end_status(w, cr_assign(x.t, value));
}

static void call_set_grad(world *w)
{
    cr_tensor *x = any(w), *g = x;
    if (chance(w, 25)) {
        end_status(w, cr_zero_grad(x));
        return;
    }
    if (chance(w, 20) && x && !dead(find(w, x)))
        learn(w, g = cr_grad(x), true);
    else if (chance(w, 75))
        g = any(w);
    w->null |= !g;
    end_status(w, cr_set_grad(x, g));
    if (g && find(w, g))
        find(w, g)->unsure = true;
}

/* ---- calls: reading ---- */

static void call_item(world *w)
{
    cr_tensor *x = real(w);
    if (chance(w, 60) && x && !dead(find(w, x)))
        x = cr_sum(x);
    double v = cr_item(x);
    end_void(w);
    if (fails_now(w) && !isnan(v))
        complain(w, "a number, and an error");
    if (!isnan(v))
        add_value(w, &v, sizeof v);
}

static void call_read(world *w)
{
    cr_tensor *x = any(w);
    unsigned char room[4096];
    size_t bytes = sizeof room;
    if (x && cr_numel(x) < 100 && chance(w, 90))
        bytes = (size_t)cr_numel(x) * cr_dtype_size(cr_dtype_of(x));
    memset(room, 0, sizeof room);
    cr_status status = cr_read(x, room, bytes);
    end_status(w, status);
    if (status == CR_OK && !pending(w) && bytes < sizeof room &&
        !cr__is_float(cr_dtype_of(x)))
        add_value(w, room, bytes);
}

static void call_look(world *w)
{
    cr_tensor *x = any(w);
    char text[300];
    if (chance(w, 30))
        cr_format(x, text, sizeof text);
    else if (chance(w, 30))
        cr_plan_format(&x, 1, text, sizeof text);
    else if (chance(w, 50))
        cr_explain_no_grad(x, text, sizeof text);
    else if (chance(w, 50))
        (void)cr_data(x);
    else
        (void)cr_name(x), (void)cr_ndim(x), (void)cr_size(x, some_dim(w));
    end_void(w);
}

static void call_eval(world *w)
{
    cr_tensor *list[4];
    int n = (int)below(w, 5);
    for (int i = 0; i < n; i++)
        list[i] = any(w);
    w->null |= n == 0;
    end_status(w, cr_eval_at(list, n, NULL));
}

/* ---- calls: modules and optimisers ---- */

/* A module's own code, which may do what it should not. */
static cr_tensor *odd_forward(cr_module *module, cr_tensor *x, void *user)
{
    world *w = user;
    cr_ctx *ctx = cr_ctx_of(x);
    switch (below(w, 10)) {
    case 0:
        return NULL;
    case 1:
        cr_nn_free(module);
        return x;
    case 2:
        return cr_nn_forward(module, x);
    case 3:
        cr_nn_add(module, module);
        return x;
    case 4:
        cr_scope_push(ctx);
        return cr_tanh(x);
    case 5:
        cr_scope_pop(ctx);
        return cr_tanh(x);
    case 6:
        return any(w);
    case 7:
        cr_scope_push(ctx);
        x = cr_keep(cr_exp(x));
        cr_scope_pop(ctx);
        return x;
    default:
        return cr_exp(x);
    }
}

static int some_module(world *w)
{
    return (int)below(w, MODULES);
}

static void call_module(world *w)
{
    int i = some_module(w);
    if (w->modules[i].m)
        return;
    int who = chance(w, 5);
    cr_ctx *ctx = w->ctx[who];
    cr_module *m = NULL;
    w->foreign = who != 0;
    switch (below(w, 9)) {
    case 0:
        m = cr_nn_sequential(ctx);
        break;
    case 1:
        m = cr_nn_linear(ctx, 3, below(w, 5));
        break;
    case 2:
        m = cr_nn_batch_norm1d(ctx, 3);
        break;
    case 3:
        m = cr_nn_layer_norm(ctx, 3);
        break;
    case 4:
        m = cr_nn_dropout(ctx, some_real(w));
        break;
    case 5:
        m = cr_nn_embedding(ctx, below(w, 4), 3);
        break;
    case 6:
        m = cr_nn_linear(ctx, 3, 3, .dtype = some_dtype(w));
        break;
    case 7:
        m = cr_nn_custom(ctx, "odd", odd_forward, w, NULL);
        break;
    default:
        m = cr_nn_relu(ctx);
    }
    end(w, !m);
    w->modules[i] = (held_module){ m, who, -1 };
}

static bool holds(const world *w, int outer, int inner)
{
    while (inner >= 0 && inner != outer)
        inner = w->modules[inner].parent;
    return inner >= 0;
}

/* The module and all in it are gone. */
static void forget_module(world *w, int i)
{
    for (int k = 0; k < MODULES; k++)
        if (w->modules[k].m && w->modules[k].parent == i)
            forget_module(w, k);
    w->modules[i].m = NULL;
}

static void call_add(world *w)
{
    int to = some_module(w), child = some_module(w);
    held_module *a = &w->modules[to], *b = &w->modules[child];
    if (!b->m)
        return;
    w->foreign = w->null = !a->m || a->who || b->who;
    bool stays = b->parent >= 0 || (a->m && holds(w, child, to));
    cr_status status = cr_nn_add(a->m, b->m);
    end_status(w, status);
    if (status == CR_OK)
        b->parent = to;
    else if (!stays)
        forget_module(w, child);
}

static void call_free_module(world *w)
{
    int i = some_module(w);
    if (chance(w, 60) || !w->modules[i].m)
        return;
    w->foreign = w->modules[i].who != 0;
    bool inner = w->modules[i].parent >= 0;
    cr_nn_free(w->modules[i].m);
    if (!pending(w) && inner && !fails_now(w))
        complain(w, "a module's module was freed");
    if (!inner)
        forget_module(w, i);
}

static void call_forward(world *w)
{
    held_module *m = &w->modules[some_module(w)];
    cr_tensor *x = chance(w, 50) ? cr_randn(w->ctx[0], CR_DIMS(2, 3)) : any(w);
    w->foreign = w->null |= !m->m || m->who != 0;
    w->unsure = true;
    cr_tensor *y = cr_nn_forward(m->m, x);
    for (int i = 0; i < THINGS; i++) /* it may have ended scopes */
        w->things[i].unsure |= w->things[i].level > depth(w->ctx[w->things[i].who]);
    if (y || !w->null)
        end_tensor(w, y);
}

static void call_parameter(world *w)
{
    held_module *m = &w->modules[some_module(w)], *n = &w->modules[some_module(w)];
    w->foreign = w->null = !m->m || !n->m || m->who || n->who;
    const cr_params *list = chance(w, 70) ? cr_nn_params(m->m) : cr_nn_buffers(m->m);
    switch (below(w, 7)) {
    case 0:
        for (int i = 0; list && i < list->n; i++)
            learn(w, list->list[i].tensor, true);
        break;
    case 1:
        cr_nn_train(m->m, chance(w, 50));
        break;
    case 2:
        learn(w, cr_nn_param(m->m, "weight"), true);
        break;
    case 3:
        cr_nn_copy(m->m, n->m);
        break;
    case 4: {
        thing *x = some(w);
        cr_nn_add_param(m->m, chance(w, 90) ? "own" : "a.b", x->t);
        x->unsure = true;
        break;
    }
    case 5: {
        thing *x = some(w);
        cr_nn_add_buffer(m->m, chance(w, 90) ? "kept" : NULL, x->t);
        x->unsure = true;
        break;
    }
    default:
        cr_clip_grad_norm(list, some_real(w));
    }
    w->unsure = true;
    end_void(w);
}

static void call_optim(world *w)
{
    held_optim *o = &w->optims[below(w, OPTIMS)];
    if (o->o)
        return;
    held_module *m = &w->modules[some_module(w)];
    cr_tensor *list[3];
    for (int i = 0; i < 3; i++) {
        thing *x = some_of(w, CR_F32);
        list[i] = x->t;
        x->unsure = true;
    }
    bool own = chance(w, 50);
    const cr_params *params = own    ? cr_params_of(list, NULL, (int)below(w, 4))
                              : m->m ? cr_nn_params(m->m)
                                     : NULL;
    double lr = chance(w, 90) ? 0.1 : some_real(w);
    int who = own ? params && params->ctx == w->ctx[1] : m->who;
    w->foreign = w->null = w->unsure = true;
    switch (below(w, 3)) {
    case 0:
        o->o = cr_optim_sgd(params, lr, .momentum = chance(w, 50) ? 0.9 : 0);
        break;
    case 1:
        o->o = cr_optim_adam(params, lr);
        break;
    default:
        o->o = cr_optim_adamw(params, lr, 0.01);
    }
    end(w, !o->o);
    o->who = who;
}

static void call_step(world *w)
{
    held_optim *o = &w->optims[below(w, OPTIMS)];
    w->foreign = w->null = !o->o || o->who;
    switch (below(w, 6)) {
    case 0:
        end_status(w, cr_optim_zero_grad(o->o));
        break;
    case 1:
        end_status(w, cr_optim_set_lr(o->o, some_real(w)));
        break;
    case 2:
        cr_optim_free(o->o);
        o->o = NULL;
        break;
    default:
        end_status(w, cr_optim_step(o->o));
    }
}

static void call_init(world *w)
{
    cr_tensor *x = any(w);
    if (chance(w, 30))
        end_status(w, cr_init_default(x));
    else if (chance(w, 50))
        end_status(w, cr_init_orthogonal(x, some_real(w)));
    else
        end_status(w, cr_init_constant(x, some_real(w)));
}

/* ---- calls: others ---- */

static void call_clear(world *w)
{
    if (chance(w, 80))
        cr_clear(w->ctx[0]);
    cr_clear(w->ctx[1]);
}

static void call_memory(world *w)
{
    supply *s = &w->memory[0];
    s->fails = s->fails ? 0 : w->how->fails;
    cr_trim(w->ctx[0]);
    if (chance(w, 20))
        cr_seed(w->ctx[0], 5);
}

/* ---- programs ---- */

static const struct row {
    const char *name;
    int weight;
    void (*make)(world *w);
} table[] = {
    { "make", 12, call_make },
    { "leaf", 8, call_leaf },
    { "unary", 9, call_unary },
    { "binary", 12, call_binary },
    { "view", 8, call_view },
    { "reduce", 8, call_reduce },
    { "product", 4, call_product },
    { "join", 4, call_join },
    { "split", 3, call_split },
    { "index", 5, call_index },
    { "listed", 8, call_listed },
    { "scope", 14, call_scope },
    { "keep", 7, call_keep },
    { "retain", 5, call_retain },
    { "release", 6, call_release },
    { "watch", 5, call_watch },
    { "no_grad", 3, call_no_grad },
    { "backward", 9, call_backward },
    { "gradients", 7, call_gradients },
    { "grad", 6, call_grad },
    { "assign", 9, call_assign },
    { "set_grad", 6, call_set_grad },
    { "item", 7, call_item },
    { "read", 6, call_read },
    { "look", 5, call_look },
    { "eval", 3, call_eval },
    { "module", 5, call_module },
    { "add", 4, call_add },
    { "free module", 3, call_free_module },
    { "forward", 6, call_forward },
    { "parameter", 5, call_parameter },
    { "optim", 4, call_optim },
    { "step", 6, call_step },
    { "init", 2, call_init },
    { "memory", 3, call_memory },
};
enum { ROWS = sizeof table / sizeof *table };

static const struct row *some_row(world *w)
{
    int sum = 0, i = 0;
    for (int k = 0; k < ROWS; k++)
        sum += table[k].weight;
    for (int at = (int)below(w, sum); at >= table[i].weight; i++)
        at -= table[i].weight;
    return &table[i];
}

/* What is chosen for a step depends on nothing that was computed. */
static void take_step(world *w, uint64_t seed)
{
    w->rng = seed * 1000003 + (uint64_t)w->step * 7919;
    next_random(&w->rng);
    const struct row *row = some_row(w);
    if (pending(w) && chance(w, 75))
        call_clear(w);
    begin(w, row->name);
    if (w->tells)
        printf("%d %s\n", w->step, row->name), fflush(stdout);
    w->value = 0;
    row->make(w);
    if (w->how->commits && !cr_error(w->ctx[0]))
        cr_eval(cr_scalar(w->ctx[0], 1));
    if (w->tells && cr_error(w->ctx[0]))
        printf("    %s\n", cr_message(w->ctx[0]));
    w->out->marks[w->out->n++] = (mark){ row->name, cr_error(w->ctx[0]), w->value };
    for (int i = 0; i < 2; i++)
        w->before[i] = cr_error(w->ctx[i]);
}

/* After whatever there was the context computes. */
static void check_use(world *w, int who)
{
    cr_ctx *ctx = w->ctx[who];
    w->call = "at the end";
    cr_eval(cr_zeros(ctx, CR_NO_DIMS)); /* may fail: it computes what is pending */
    cr_clear(ctx);
    cr_tensor *x = cr_full(ctx, CR_DIMS(3), 2);
    double v = cr_item(cr_sum(cr_mul(x, 3)));
    cr_status status = cr_error(ctx);
    if (!(v == 18 && status == CR_OK) && !(w->how->limited && status == CR_ERR_MEMORY))
        complain(w, "the sum is %g", v);
    cr_clear(ctx);
}

static void end_program(world *w)
{
    for (int i = 0; i < 2; i++)
        w->memory[i].fails = 0, check_use(w, i);
    bool first = chance(w, 50);
    for (int i = 0; i < OPTIMS && first; i++)
        cr_optim_free(w->optims[i].o);
    for (int i = 0; i < MODULES; i++)
        if (w->modules[i].m && w->modules[i].parent < 0)
            cr_nn_free(w->modules[i].m);
    for (int i = 0; i < OPTIMS && !first; i++)
        cr_optim_free(w->optims[i].o);
    for (int i = 0; i < 2; i++)
        check_use(w, i);
    for (int i = 0; i < 2; i++)
        cr_close(w->ctx[i]);
    for (int i = 0; i < 2; i++)
        if ((w->memory[i].blocks || w->memory[i].bytes || w->memory[i].wrong) &&
            !*w->out->wrong)
            snprintf(w->out->wrong, sizeof w->out->wrong,
                     "%ld blocks, %ld bytes are left, %ld sizes are wrong",
                     w->memory[i].blocks, w->memory[i].bytes, w->memory[i].wrong);
}

static void run_program(uint64_t seed, const way *how, bool tells, trace *out)
{
    world w = { .how = how, .tells = tells, .out = out, .call = "start" };
    *out = (trace){ .n = 0 };
    w.rng = seed;
    for (int i = 0; i < 2; i++) {
        cr_options options = how->options;
        w.memory[i].rng = seed + (uint64_t)i;
        options.alloc = supply_give, options.free = supply_take,
        options.memory_user = &w.memory[i];
        if (how->limited)
            options.memory_limit = (size_t)(2000 + below(&w, 30000));
        w.ctx[i] = cr_open(&options);
    }
    int steps = 20 + (int)(seed % (MOST_STEPS - 20));
    for (w.step = 0; w.step < steps && !*out->wrong; w.step++)
        take_step(&w, seed);
    w.step = steps;
    end_program(&w);
}

/* ---- ways and seeds ---- */

static const way ways[] = {
    { .name = "lazy", .options = { .threads = 1 } },
    { .name = "eager", .options = { .threads = 1, .eager = true }, .compared = true },
    { .name = "lazy, commits", .options = { .threads = 1 }, .commits = true },
    { .name = "eager, commits",
      .options = { .threads = 1, .eager = true },
      .commits = true,
      .compared = true },
    { .name = "check", .options = { .threads = 1, .check = true } },
    { .name = "eager check", .options = { .threads = 2, .eager = true, .check = true } },
    { .name = "limited", .options = { .threads = 1 }, .limited = true },
    { .name = "fails", .options = { .threads = 1 }, .fails = 7 },
    { .name = "eager, fails", .options = { .threads = 1, .eager = true }, .fails = 25 },
};
enum { WAYS = sizeof ways / sizeof *ways };

/* Found while computing: when, depends on the mode. */
static bool of_runs(cr_status s)
{
    return s == CR_ERR_INDEX || s == CR_ERR_VALUE || s == CR_ERR_NONFINITE ||
           s == CR_ERR_STALE || s == CR_ERR_MEMORY;
}

static void compare(const trace *want, trace *got, bool commits)
{
    for (int i = 0; i < want->n && i < got->n && !*got->wrong; i++) {
        const mark *a = &want->marks[i], *b = &got->marks[i];
        if (of_runs(a->status) || of_runs(b->status))
            return;
        if (a->status != b->status || a->value != b->value)
            snprintf(got->wrong, sizeof got->wrong, "step %d, %s: %s, not %s; value %d",
                     i, a->call, cr_status_name(b->status), cr_status_name(a->status),
                     a->value == b->value);
        if (a->status && !commits)
            return;
    }
}

static bool test_seed(uint64_t seed)
{
    static trace want, got;
    bool good = true;
    for (int i = 0; i < WAYS && good; i++) {
        trace *out = ways[i].compared ? &got : &want;
        run_program(seed, &ways[i], false, out);
        if (ways[i].compared)
            compare(&want, &got, ways[i].commits);
        good = !*out->wrong;
        if (!good)
            diag("seed %" PRIu64 ", way %d, %s: %s", seed, i, ways[i].name, out->wrong);
    }
    return good;
}

int main(int argc, char **argv)
{
    static trace out;
    uint64_t first = argc > 2 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 200;
    if (argc > 3) {
        run_program(strtoull(argv[2], NULL, 10), &ways[strtoul(argv[3], NULL, 10) % WAYS],
                    true, &out);
        printf("%s\n", out.wrong);
        return 0;
    }
    int failed = 0;
    for (uint64_t seed = first; seed < first + count && failed < 20; seed++)
        failed += !test_seed(seed);
    ok(failed == 0, "sequences %" PRIu64 " to %" PRIu64, first, first + count - 1);
    return done_testing();
}
