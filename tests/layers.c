/* Trees that are changed, residual branches, paths, hooks on forward; modes, inputs, gradients and
 * copies of the layers that modules.c holds against their definitions; and memory that fails. */
#include "engine.h"

/* ---- trees that change ---- */

static void test_insert(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    char path[32];
    cr_module *net = cr_nn_sequential(ctx);
    cr_module *a = cr_nn_linear(ctx, 2, 2), *b = cr_nn_linear(ctx, 2, 2, .no_bias = true);
    is_int(cr_nn_insert(net, 0, a), CR_OK, "into an empty one");
    is_int(cr_nn_insert(net, 0, cr_nn_relu(ctx)), CR_OK, "in front");
    is_int(cr_nn_insert(net, 2, b), CR_OK, "behind");
    is_int(cr_nn_insert(net, 1, cr_nn_tanh(ctx)), CR_OK, "between");
    ok(cr_nn_count(net) == 4 && cr_nn_child(net, 2) == a && cr_nn_child(net, 3) == b,
       "each is in its place");
    is_text(cr_nn_params(net)->list[0].name, "2.weight", "names follow");
    cr_nn_path(a, path, sizeof path);
    is_text(path, "2", "paths too");
    cr_tensor *x = cr_randn(ctx, CR_DIMS(3, 2));
    cr_tensor *want = cr_linear(
        cr_linear(cr_tanh(cr_relu(x)), cr_nn_param(a, "weight"), cr_nn_param(a, "bias")),
        cr_nn_param(b, "weight"), NULL);
    is_near(cr_item(cr_amax(cr_abs(cr_sub(cr_nn_forward(net, x), want)))), 0, 0,
            "it runs in that order");
    ok(cr_nn_remove(net, 2) == a && cr_nn_count(net) == 3 && cr_nn_child(net, 2) == b,
       "one is taken out");
    is_text(cr_nn_params(net)->list[0].name, "2.weight", "those behind move up");
    ok(cr_nn_path(a, path, sizeof path) == 0 && !*path, "it is nobody's");
    cr_nn_free(a);
    a = cr_nn_relu(ctx);
    cr_nn_insert(net, 4, a);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "no place 4"), "no place behind the end");
    cr_nn_insert(net, -1, cr_nn_relu(ctx));
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "no place -1"), "nor before the start");
    ok(!cr_nn_remove(net, 3) && failed_with(ctx, CR_ERR_ARGUMENT, "holds 3 modules"),
       "nor is there a fourth");
    ok(!cr_nn_remove(b, 0) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "linear holds no modules"),
       "a linear has none");
    cr_nn_insert(b, 0, cr_nn_relu(ctx));
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "nn_insert: a linear holds"), "and takes none");
    cr_nn_insert(NULL, 0, cr_nn_relu(ctx));
    ok(failed_with(ctx, CR_ERR_NULL, "nn_insert"), "nor does NULL");
    ok(!cr_nn_remove(NULL, 0) && !cr_error(ctx), "which has none");
    cr_fail(ctx, CR_ERR_IO, "pending");
    ok(!cr_nn_remove(net, 0) && failed_with(ctx, CR_ERR_IO, "pending") &&
           cr_nn_count(net) == 3,
       "while an error is pending nothing changes");
    cr_nn_free(net);
}

/* What was too deep fits when a part was taken out, wherever it was. */
static void test_height(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = cr_nn_sequential(ctx), *at = net, *middle = NULL;
    for (int i = 1; i < CR_NN_MAX_DEPTH; i++) {
        cr_module *inner = cr_nn_sequential(ctx);
        cr_nn_add(at, inner);
        at = inner;
        middle = i == 10 ? inner : middle;
    }
    cr_nn_add(middle, cr_nn_relu(ctx));
    cr_module *outer = cr_nn_sequential(ctx);
    cr_module *rest = cr_nn_remove(middle, 0);
    ok(cr_nn_count(rest) == 1 && cr_nn_count(middle) == 1, "the deep part is out");
    is_int(cr_nn_add(outer, net), CR_OK, "what is left fits into another");
    cr_nn_add(middle, rest);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "257 modules"), "and the part not any more");
    cr_nn_free(outer);
}

static void test_paths(cr_ctx *ctx)
{
    char path[40];
    cr_module *net = cr_nn_sequential(ctx), *inner = cr_nn_sequential(ctx);
    cr_module *deep = cr_nn_linear(ctx, 2, 2);
    cr_nn_add(inner, cr_nn_relu(ctx));
    cr_nn_add(inner, deep);
    for (int i = 0; i < 12; i++)
        cr_nn_add(net, cr_nn_relu(ctx));
    cr_nn_add(net, cr_nn_residual(ctx, inner));
    is_int((int64_t)cr_nn_path(deep, path, sizeof path), 10, "the length of a path");
    is_text(path, "12.inner.1", "as in the names of parameters");
    is_int((int64_t)cr_nn_path(deep, NULL, 0), 10, "of which nothing need be written");
    for (size_t capacity = 1; capacity < 11; capacity++) {
        memset(path, '#', sizeof path);
        size_t length = cr_nn_path(deep, path, capacity);
        ok(length == 10 && strlen(path) == capacity - 1 &&
               strncmp(path, "12.inner.1", capacity - 1) == 0 && path[capacity] == '#',
           "%zu characters of it", capacity - 1);
    }
    is_int((int64_t)cr_nn_path(net, path, sizeof path), 0, "the root has none");
    is_text(path, "", "which is written");
    is_int((int64_t)cr_nn_path(NULL, path, sizeof path), 0, "nor has NULL");
    cr_nn_free(net);
}

static void test_residual(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    char name[] = "attention", path[32];
    cr_module *net = cr_nn_sequential(ctx);
    cr_module *linear = cr_nn_linear(ctx, 2, 2, .dtype = CR_F64);
    cr_module *block = cr_nn_residual(ctx, linear, .scale = CR_REAL(0), .name = name);
    cr_nn_add(net, block);
    memset(name, 'x', 3);
    is_text(cr_nn_params(net)->list[0].name, "0.attention.weight",
            "a branch gives its name, which was copied");
    ok(cr_nn_param(net, "0.attention.bias") && !cr_nn_param(net, "0.inner.bias") &&
           failed_with(ctx, CR_ERR_ARGUMENT, "0.inner.bias"),
       "and is found by no other");
    cr_nn_path(linear, path, sizeof path);
    is_text(path, "0.attention", "its path");
    cr_tensor *x = cr_requires_grad(cr_randn(ctx, CR_DIMS(3, 2), .dtype = CR_F64));
    cr_tensor *b =
        cr_linear(x, cr_nn_param(linear, "weight"), cr_nn_param(linear, "bias"));
    is_near(cr_nn_scale(block), 0, 0, "a scale of 0 is one");
    is_near(cr_item(cr_amax(cr_abs(cr_sub(cr_nn_forward(net, x), x)))), 0, 0,
            "so that the branch adds nothing");
    is_int(cr_nn_set_scale(block, 0.25), CR_OK, "another");
    cr_tensor *y = cr_nn_forward(net, x);
    is_near(cr_item(cr_amax(cr_abs(cr_sub(y, cr_add(x, cr_mul(b, 0.25)))))), 0, 0,
            "takes effect");
    cr_backward(cr_sum(y));
    is_near(cr_item(cr_sum(cr_grad(cr_nn_param(linear, "bias")))), 6 * 0.25, 1e-12,
            "on gradients too");
    ok(isnan(cr_nn_scale(linear)) && isnan(cr_nn_scale(NULL)), "others have no scale");
    ok(cr_nn_set_scale(linear, 1) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "linear has no scale"),
       "to be set");
    is_int(cr_nn_set_scale(NULL, 1), CR_ERR_NULL, "nor has NULL");
    ok(cr_nn_set_scale(block, (double)NAN) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "scale is nan") &&
           cr_nn_scale(block) == 0.25,
       "a scale is a finite number");
    ok(!cr_nn_residual(ctx, cr_nn_relu(ctx), .scale = CR_REAL((double)INFINITY)) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "nn_residual: scale is inf"),
       "from the start");
    ok(!cr_nn_residual(ctx, cr_nn_relu(ctx), .name = "a.b") &&
           failed_with(ctx, CR_ERR_ARGUMENT, "\"a.b\" is no name"),
       "a name has no dot");
    ok(!cr_nn_residual(ctx, cr_nn_relu(ctx), .name = "") &&
           failed_with(ctx, CR_ERR_ARGUMENT, "\"\" is no name"),
       "and is not empty");
    cr_nn_free(net);
}

/* ---- hooks ---- */

enum { CALLS = 32 };

/* What a hook did, and what it is to do. */
typedef struct record {
    cr_ctx *ctx;
    char paths[CALLS][24];
    double sums[CALLS][2]; /* of x and y */
    int calls;
    cr_module *module; /* what is meddled with */
    uint64_t own, other;
} record;

static cr_tensor *note(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    record *r = user;
    if (r->calls < CALLS) {
        cr_nn_path(module, r->paths[r->calls], sizeof r->paths[0]);
        r->sums[r->calls][0] = cr_item(cr_sum(x));
        r->sums[r->calls][1] = cr_item(cr_sum(y));
    }
    r->calls++;
    return NULL;
}

static cr_tensor *twice_y(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    (void)module, (void)x, (void)user;
    return cr_mul(y, 2);
}

static void test_hooks(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    record r = { .ctx = ctx };
    cr_module *net = cr_nn_sequential(ctx), *inner = cr_nn_relu(ctx);
    cr_module *block = cr_nn_residual(ctx, inner, .name = "f");
    cr_nn_add(net, block);
    cr_nn_add(net, cr_nn_tanh(ctx));
    cr_tensor *x = cr_requires_grad(cr_full(ctx, CR_DIMS(1), 0.5));
    for (cr_module *m = net; m; m = m == net ? block : m == block ? inner : NULL)
        ok(cr_nn_register_forward_hook(m, note, &r) == 1, "each module counts its hooks");
    cr_tensor *y = cr_nn_forward(net, x);
    is_int(r.calls, 3, "hooks of modules inside are called");
    is_text(r.paths[0], "0.f", "the innermost first");
    is_text(r.paths[1], "0", "then what holds it");
    is_text(r.paths[2], "", "and the outermost");
    ok(r.sums[0][0] == 0.5 && r.sums[0][1] == 0.5 && r.sums[1][1] == 1 &&
           r.sums[2][0] == 0.5 && r.sums[2][1] == cr_item(y),
       "with what went in and came out");
    uint64_t id = cr_nn_register_forward_hook(inner, twice_y, NULL);
    is_int((int64_t)id, 2, "a second hook");
    y = cr_nn_forward(net, x);
    is_near(cr_item(y), tanh(1.5), 1e-7, "what it returns takes the place");
    is_near(r.sums[3][1], 0.5, 0, "the first saw what was before");
    cr_backward(y);
    is_near(cr_item(cr_grad(x)), 3 * (1 - tanh(1.5) * tanh(1.5)), 1e-6,
            "gradients go through it");
    is_int(cr_nn_remove_forward_hook(inner, 1), CR_OK, "one is removed");
    ok(cr_nn_remove_forward_hook(inner, 1) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "no hook 1"),
       "once");
    r.calls = 0;
    is_near(cr_item(cr_nn_forward(net, x)), tanh(1.5), 1e-7, "the other is still there");
    is_int(r.calls, 2, "it not");
    is_near(cr_item(cr_nn_forward(inner, x)), 1, 0, "a part called alone calls its own");
    cr_module *moved = cr_nn_remove(net, 0);
    is_near(cr_item(cr_nn_forward(moved, x)), 1.5, 0, "hooks move with their module");
    cr_nn_free(moved);
    is_near(cr_item(cr_nn_forward(net, x)), tanh(0.5), 1e-7, "and go with it");
    ok(!cr_nn_register_forward_hook(net, NULL, NULL) &&
           failed_with(ctx, CR_ERR_NULL, "hook is NULL"),
       "NULL is no hook");
    ok(!cr_nn_register_forward_hook(NULL, note, NULL) && !cr_error(ctx),
       "NULL has no hooks");
    is_int(cr_nn_remove_forward_hook(NULL, 1), CR_ERR_NULL, "to remove either");
    cr_fail(ctx, CR_ERR_IO, "pending");
    ok(!cr_nn_register_forward_hook(net, note, &r) &&
           failed_with(ctx, CR_ERR_IO, "pending"),
       "an error is pending");
    cr_nn_free(net);
}

static cr_tensor *remove_both(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    record *r = user;
    (void)x, (void)y;
    cr_nn_remove_forward_hook(module, r->own);
    cr_nn_remove_forward_hook(module, r->other);
    for (int i = 0; i < 9; i++)
        cr_nn_register_forward_hook(module, note, r);
    return NULL;
}

static cr_tensor *fails(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    (void)module, (void)y;
    cr_fail(((record *)user)->ctx, CR_ERR_IO, "the hook's own");
    return x;
}

static cr_tensor *meddles(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    record *r = user;
    (void)x, (void)y;
    r->calls++;
    cr_nn_free(r->module);
    bool all = failed_with(r->ctx, CR_ERR_ARGUMENT, "is running");
    all = !cr_nn_remove(r->module, 0) &&
          failed_with(r->ctx, CR_ERR_ARGUMENT, "is running") && all;
    cr_nn_insert(r->module, 0, cr_nn_relu(r->ctx));
    all = failed_with(r->ctx, CR_ERR_ARGUMENT, "is running") && all;
    ok(all, "from a hook of %s nothing in the tree goes", cr_nn_kind(module));
    return NULL;
}

static cr_tensor *runs_again(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    record *r = user;
    (void)y;
    if (++r->calls == 1)
        return cr_nn_forward(module, x);
    cr_nn_remove_forward_hook(module, r->own);
    return NULL;
}

static cr_tensor *runs_ever(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    (void)y, (void)user;
    return cr_nn_forward(module, x);
}

static cr_tensor *of_another(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    (void)module, (void)x, (void)y;
    return user;
}

static void test_hooks_that_meddle(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    record r = { .ctx = ctx };
    cr_tensor *x = cr_ones(ctx, CR_DIMS(2));
    cr_module *net = cr_nn_relu(ctx);
    r.own = cr_nn_register_forward_hook(net, remove_both, &r);
    r.other = cr_nn_register_forward_hook(net, note, &r);
    cr_eval(cr_nn_forward(net, x));
    is_int(r.calls, 0, "what a hook removes is not called, what it adds not yet");
    cr_eval(cr_nn_forward(net, x));
    is_int(r.calls, 9, "but the next time");
    cr_nn_free(net);

    net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_relu(ctx));
    cr_nn_register_forward_hook(cr_nn_child(net, 0), fails, &r);
    r.calls = 0;
    cr_nn_register_forward_hook(cr_nn_child(net, 0), note, &r);
    cr_nn_register_forward_hook(net, note, &r);
    ok(!cr_nn_forward(net, x) && failed_with(ctx, CR_ERR_IO, "the hook's own"),
       "a hook's error is the forward's");
    is_int(r.calls, 0, "and no other is called");
    cr_nn_free(net);

    net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_tanh(ctx));
    r.module = net;
    cr_nn_register_forward_hook(net, meddles, &r);
    cr_nn_register_forward_hook(cr_nn_child(net, 0), meddles, &r);
    cr_eval(cr_nn_forward(net, x));
    ok(r.calls == 2 && cr_nn_count(net) == 1, "both hooks were called");
    cr_nn_free(net);

    net = cr_nn_relu(ctx);
    r.calls = 0;
    r.own = cr_nn_register_forward_hook(net, runs_again, &r);
    ok(cr_nn_forward(net, x) && r.calls == 2 &&
           cr_nn_remove_forward_hook(net, r.own) == CR_ERR_ARGUMENT &&
           failed_with(ctx, CR_ERR_ARGUMENT, "no hook 1"),
       "a hook may run its module, and go in the midst of it");
    cr_nn_register_forward_hook(net, runs_ever, NULL);
    ok(!cr_nn_forward(net, x) && failed_with(ctx, CR_ERR_ARGUMENT, "inside of itself"),
       "but not without an end");
    cr_nn_free(net);

    cr_ctx *other = cr_open(NULL);
    net = cr_nn_relu(ctx);
    cr_nn_register_forward_hook(net, of_another, cr_ones(other, CR_DIMS(2)));
    ok(!cr_nn_forward(net, x) &&
           failed_with(ctx, CR_ERR_SCOPE,
                       "hook 1 of a relu returned a tensor of another"),
       "what takes the place is of the same context");
    cr_nn_free(net);
    cr_close(other);
}

/* ---- modes and inputs ---- */

static double apart(cr_tensor *a, cr_tensor *b)
{
    return cr_item(cr_amax(cr_abs(cr_sub(a, b))));
}

/* In training by the batch, evaluating by running statistics, if there are any. */
static void test_modes(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *m = cr_nn_batch_norm2d(ctx, 3, .momentum = CR_REAL(1));
    cr_tensor *x = cr_add(cr_mul(cr_randn(ctx, CR_DIMS(8, 3, 2, 2)), 2), 1);
    cr_tensor *y = cr_nn_forward(m, x);
    is_near(apart(y, cr_batch_norm(x, NULL, NULL, NULL, NULL, true, 0.1)), 0, 1e-6,
            "batch_norm2d: the batch's moments");
    is_near(apart(cr_nn_param(m, "running_mean"), cr_mean(x, CR_DIMS(0, 2, 3))), 0, 1e-6,
            "which become the running mean");
    cr_nn_train(m, false);
    cr_tensor *var = cr_nn_param(m, "running_var");
    cr_tensor *mean = cr_nn_param(m, "running_mean");
    is_near(apart(cr_nn_forward(m, x), cr_batch_norm(x, mean, var, NULL, NULL, false, 0)),
            0, 1e-6, "by which it evaluates, also a batch of one");
    cr_eval(cr_nn_forward(m, cr_ones(ctx, CR_DIMS(1, 3, 1, 1))));
    cr_nn_train(m, true);
    FAILS(cr_nn_forward(m, cr_ones(ctx, CR_DIMS(1, 3, 1, 1))), SHAPE,
          "batch_norm2d has no variance to train with");
    cr_nn_free(m);

    m = cr_nn_instance_norm1d(ctx, 2, .track_running_stats = true,
                              .momentum = CR_REAL(1));
    is_int(cr_nn_params(m)->n, 0, "instance_norm: no parameters unless asked for");
    x = cr_randn(ctx, CR_DIMS(3, 2, 5));
    y = cr_nn_forward(m, x);
    is_near(apart(y, cr_instance_norm(x, NULL, NULL, NULL, NULL, true, 0)), 0, 1e-6,
            "instance_norm: each sample's moments");
    cr_eval(y);
    cr_nn_train(m, false);
    mean = cr_nn_param(m, "running_mean");
    var = cr_nn_param(m, "running_var");
    is_near(
        apart(cr_nn_forward(m, x), cr_instance_norm(x, mean, var, NULL, NULL, false, 0)),
        0, 1e-6, "evaluating: the running ones");
    cr_nn_free(m);
    m = cr_nn_instance_norm1d(ctx, 2);
    cr_nn_train(m, false);
    is_near(apart(cr_nn_forward(m, x), y), 0, 1e-6,
            "if there are none: the same as before");
    cr_nn_free(m);

    m = cr_nn_attention(ctx, 4, 2, .dropout_p = 1);
    x = cr_randn(ctx, CR_DIMS(2, 3, 4));
    is_near(cr_item(cr_amax(cr_abs(cr_nn_forward(m, x)))), 0, 0,
            "attention: all weights are dropped");
    cr_nn_train(m, false);
    ok(cr_item(cr_amax(cr_abs(cr_nn_forward(m, x)))) > 0, "in training alone");
    cr_nn_free(m);
    is_text(cr_message(ctx), "", "no error in modes");
}

static void test_attention(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    static const char *const names[] = { "q_proj.weight",   "q_proj.bias",
                                         "k_proj.weight",   "k_proj.bias",
                                         "v_proj.weight",   "v_proj.bias",
                                         "out_proj.weight", "out_proj.bias" };
    cr_module *m = cr_nn_attention(ctx, 6, 3, .is_causal = true, .scale = CR_REAL(2),
                                   .dtype = CR_F64);
    is_text(cr_message(ctx), "", "attention is made");
    bool named = m && cr_nn_params(m)->n == 8;
    for (int i = 0; named && i < 8; i++)
        named = strcmp(cr_nn_params(m)->list[i].name, names[i]) == 0;
    ok(named, "attention has four linear modules");
    is_text(cr_nn_kind(cr_nn_child(m, 3)), "linear", "as children");
    ok(!cr_nn_remove(m, 0) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "attention holds no modules"),
       "that stay");
    double bound = cr_item(cr_amax(cr_abs(cr_nn_param(m, "v_proj.weight"))));
    ok(bound <= 0.5 && bound > 0.3, "uniform as rows of one matrix: %g", bound);
    ok(cr_item(cr_amax(cr_abs(cr_nn_param(m, "q_proj.bias")))) == 0, "biases are zeros");
    cr_tensor *x = cr_requires_grad(cr_randn(ctx, CR_DIMS(2, 4, 6), .dtype = CR_F64));
    cr_tensor *heads[3];
    for (int i = 0; i < 3; i++)
        heads[i] = cr_transpose(
            cr_reshape(cr_nn_forward(cr_nn_child(m, i), x), CR_DIMS(2, 4, 3, 2)), 1, 2);
    cr_tensor *scores = cr_mul(cr_matmul(heads[0], cr_transpose(heads[1], 2, 3)), 2);
    scores = cr_where(cr_gt(cr_tril(cr_ones(ctx, CR_DIMS(4, 4)), 0), 0), scores, -1e9);
    cr_tensor *y = cr_matmul(cr_softmax(scores, -1), heads[2]);
    y = cr_nn_forward(cr_nn_child(m, 3),
                      cr_reshape(cr_transpose(y, 1, 2), CR_DIMS(2, 4, 6)));
    is_near(apart(cr_nn_forward(m, x), y), 0, 1e-12, "heads, scale and mask are as said");
    cr_nn_free(m);
    m = cr_nn_attention(ctx, 6, 1, .no_bias = true);
    is_int(cr_nn_params(m)->n, 4, "without biases");
    cr_nn_free(m);
}

/* The module is not made, and the message is of it and of this file. */
static void refused(cr_ctx *ctx, cr_module *module, const char *text)
{
    bool said = strstr(cr_message(ctx), text) && strstr(cr_message(ctx), "layers.c:");
    ok(!module && cr_error(ctx) && said, "%s: %s", text, cr_message(ctx));
    cr_clear(ctx);
}

static void test_arguments(cr_ctx *ctx)
{
    const double nan = (double)NAN;
    refused(ctx, cr_nn_elu(ctx, .alpha = CR_REAL(nan)), "nn_elu: alpha is nan; a finite");
    refused(ctx, cr_nn_celu(ctx, .alpha = CR_REAL(0)), "nn_celu: alpha is 0");
    refused(ctx, cr_nn_hardtanh(ctx, .min_val = CR_REAL(2)),
            "nn_hardtanh: min_val is 2 and max_val 1");
    refused(ctx, cr_nn_hardtanh(ctx, .max_val = CR_REAL(nan)),
            "nn_hardtanh: min_val is -1");
    refused(ctx, cr_nn_softshrink(ctx, .lambd = CR_REAL(-1)),
            "nn_softshrink: lambd is -1");
    refused(ctx, cr_nn_hardshrink(ctx, .lambd = CR_REAL(nan)),
            "nn_hardshrink: lambd is nan");
    refused(ctx, cr_nn_threshold(ctx, nan, 0), "nn_threshold: threshold is nan");
    refused(ctx, cr_nn_threshold(ctx, 0, nan), "nn_threshold: value is nan");
    refused(ctx, cr_nn_softmax(ctx, 8), "nn_softmax: dim is 8; -8 to 7");
    refused(ctx, cr_nn_glu(ctx, -9), "nn_glu: dim is -9");
    refused(ctx, cr_nn_prelu(ctx, .num_parameters = -1),
            "nn_prelu: num_parameters is -1");
    refused(ctx, cr_nn_prelu(ctx, .init = CR_REAL(nan)), "nn_prelu: init is nan");
    refused(ctx, cr_nn_prelu(ctx, .dtype = CR_I64), "nn_prelu: dtype is i64");
    refused(ctx, cr_nn_max_pool2d(ctx, 0), "nn_max_pool2d: kernel_size is 0, below 1");
    refused(ctx, cr_nn_max_pool1d(ctx, CR_DIMS(2, 2)),
            "kernel_size has 2 numbers; one, or 1");
    refused(ctx, cr_nn_max_pool3d(ctx, 2, .stride = CR_DIMS(1, 0, 1)),
            "stride is 0, below 1");
    refused(ctx, cr_nn_max_pool2d(ctx, CR_DIMS(4, 2), .padding = CR_DIMS(2)),
            "nn_max_pool2d: padding is 2, above half of the kernel's 2");
    refused(ctx, cr_nn_max_pool2d(ctx, 2, .padding = CR_DIMS(-1)),
            "padding is -1, below 0");
    refused(ctx, cr_nn_max_pool2d(ctx, 2, .dilation = CR_DIMS(0)),
            "dilation is 0, below 1");
    refused(ctx, cr_nn_avg_pool2d(ctx, 2, .divisor_override = CR_INT(0)),
            "nn_avg_pool2d: divisor_override is 0");
    refused(ctx, cr_nn_avg_pool1d(ctx, -2), "nn_avg_pool1d: kernel_size is -2");
    refused(ctx, cr_nn_lp_pool2d(ctx, 0, 2), "nn_lp_pool2d: norm_type is 0");
    refused(ctx, cr_nn_lp_pool1d(ctx, nan, 2), "nn_lp_pool1d: norm_type is nan");
    refused(ctx, cr_nn_adaptive_max_pool2d(ctx, 0),
            "nn_adaptive_max_pool2d: output_size is 0");
    refused(ctx, cr_nn_adaptive_avg_pool3d(ctx, CR_DIMS(1, 2)),
            "output_size has 2 numbers");
    refused(ctx, cr_nn_flatten(ctx, .start_dim = CR_INT(9)),
            "nn_flatten: start_dim is 9");
    refused(ctx, cr_nn_flatten(ctx, .end_dim = CR_INT(-9)), "nn_flatten: end_dim is -9");
    refused(ctx, cr_nn_unflatten(ctx, 8, 2), "nn_unflatten: dim is 8");
    refused(ctx, cr_nn_unflatten(ctx, 0, CR_NO_DIMS), "nn_unflatten: sizes has 0");
    refused(ctx, cr_nn_batch_norm2d(ctx, -1), "nn_batch_norm2d: num_features is -1");
    refused(ctx, cr_nn_instance_norm2d(ctx, 0), "nn_instance_norm2d: num_features is 0");
    refused(ctx, cr_nn_instance_norm3d(ctx, 2, .momentum = CR_REAL(2)), "momentum is 2");
    refused(ctx, cr_nn_group_norm(ctx, 0, 4), "nn_group_norm: num_groups is 0");
    refused(ctx, cr_nn_group_norm(ctx, 3, 4), "num_groups 3 does not divide 4 channels");
    refused(ctx, cr_nn_group_norm(ctx, 2, -4), "nn_group_norm: num_channels is -4");
    refused(ctx, cr_nn_group_norm(ctx, 2, 4, .eps = -1), "nn_group_norm: eps is -1");
    refused(ctx, cr_nn_rms_norm(ctx, 0), "nn_rms_norm: a size of normalized_shape is 0");
    refused(ctx, cr_nn_rms_norm(ctx, 4, .eps = CR_REAL(0)), "nn_rms_norm: eps is 0");
    refused(ctx, cr_nn_rms_norm(ctx, 4, .dtype = CR_U8), "nn_rms_norm: dtype is u8");
    refused(ctx, cr_nn_attention(ctx, 0, 1), "nn_attention: embed_dim is 0");
    refused(ctx, cr_nn_attention(ctx, 4, 0), "nn_attention: num_heads is 0");
    refused(ctx, cr_nn_attention(ctx, 4, 3), "num_heads 3 does not divide embed_dim 4");
    refused(ctx, cr_nn_attention(ctx, 4, 2, .dropout_p = 2),
            "nn_attention: dropout_p is 2");
    refused(ctx, cr_nn_attention(ctx, 4, 2, .scale = CR_REAL(nan)), "scale is nan");
    refused(ctx, cr_nn_attention(ctx, 4, 2, .dtype = CR_BOOL), "dtype is bool");
    refused(ctx, cr_nn_attention(ctx, INT64_MAX, 1), "nn_attention: its parameters");
    ok(!cr_nn_elu(NULL) && !cr_nn_max_pool2d(NULL, 2) && !cr_nn_attention(NULL, 4, 2) &&
           !cr_nn_group_norm(NULL, 2, 4) && !cr_nn_rms_norm(NULL, 4) &&
           !cr_nn_prelu(NULL) && !cr_nn_softmax(NULL, 1) && !cr_nn_flatten(NULL) &&
           !cr_nn_unflatten(NULL, 0, 2),
       "without a context nothing is made");
}

/* What the module says of an input of these sizes. */
static void refuses_input(cr_module *module, cr_dims dims, const char *text)
{
    cr_ctx *ctx = cr_nn_params(module)->ctx;
    CR_SCOPE(ctx);
    ok(!cr_nn_forward(module, cr_ones(ctx, dims)) && failed_with(ctx, CR_ERR_SHAPE, text),
       "%s", text);
    cr_nn_free(module);
}

static void test_inputs(cr_ctx *ctx)
{
    refuses_input(cr_nn_batch_norm1d(ctx, 3), CR_DIMS(2, 3, 4, 4),
                  "batch_norm1d takes 2 to 3 dimensions, not [2, 3, 4, 4] (");
    refuses_input(cr_nn_batch_norm2d(ctx, 3), CR_DIMS(2, 3),
                  "batch_norm2d takes 4 dimensions, not [2, 3] (");
    refuses_input(cr_nn_batch_norm3d(ctx, 3), CR_DIMS(2, 3, 4, 4), "takes 5 dimensions");
    refuses_input(cr_nn_instance_norm2d(ctx, 3), CR_DIMS(2, 4, 4, 4),
                  "instance_norm2d takes 3 features along dim 1, not [2, 4, 4, 4] (");
    refuses_input(cr_nn_group_norm(ctx, 3, 6), CR_DIMS(2, 3),
                  "takes 6 features along dim 1");
    refuses_input(cr_nn_group_norm(ctx, 3, 6), CR_DIMS(6), "takes 2 to 8 dimensions");
    refuses_input(cr_nn_rms_norm(ctx, 3), CR_DIMS(2, 4), "takes 3 features along dim -1");
    refuses_input(cr_nn_max_pool2d(ctx, 2), CR_DIMS(2, 4), "takes 3 to 4 dimensions");
    refuses_input(cr_nn_adaptive_avg_pool1d(ctx, 2), CR_DIMS(4),
                  "takes 2 to 3 dimensions");
    refuses_input(cr_nn_attention(ctx, 4, 2), CR_DIMS(4), "takes 2 to 7 dimensions");
    refuses_input(cr_nn_attention(ctx, 4, 2), CR_DIMS(3, 5),
                  "takes 4 features along dim -1");
}

/* ---- a network of many kinds ---- */

static cr_module *many_kinds(cr_ctx *ctx)
{
    cr_module *net = cr_nn_sequential(ctx), *block = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_conv2d(ctx, 2, 4, 3));
    cr_nn_add(net, cr_nn_batch_norm2d(ctx, 4));
    cr_nn_add(net, cr_nn_prelu(ctx, .num_parameters = 4));
    cr_nn_add(net, cr_nn_avg_pool2d(ctx, 2));
    cr_nn_add(net, cr_nn_group_norm(ctx, 2, 4));
    cr_nn_add(net, cr_nn_celu(ctx));
    cr_nn_add(net,
              cr_nn_instance_norm2d(ctx, 4, .affine = true, .track_running_stats = true));
    cr_nn_add(net, cr_nn_adaptive_max_pool2d(ctx, CR_DIMS(2, 1)));
    cr_nn_add(net, cr_nn_flatten(ctx));
    cr_nn_add(net, cr_nn_unflatten(ctx, 1, CR_DIMS(2, 4)));
    cr_nn_add(block, cr_nn_rms_norm(ctx, 4));
    cr_nn_add(block, cr_nn_attention(ctx, 4, 2));
    cr_nn_add(net, cr_nn_residual(ctx, block, .scale = CR_REAL(0.5), .name = "mix"));
    cr_nn_add(net, cr_nn_mish(ctx));
    return net;
}

static void test_gradients(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = many_kinds(ctx), *target = many_kinds(ctx);
    cr_tensor *x = cr_randn(ctx, CR_DIMS(3, 2, 8, 8));
    cr_backward(cr_sum(cr_square(cr_nn_forward(net, x))));
    const cr_params *params = cr_nn_params(net);
    for (int i = 0; i < params->n; i++) {
        cr_tensor *g = cr_grad(params->list[i].tensor);
        /* A number that is added to all keys changes no softmax, one before a norm nothing. */
        bool none = strstr(params->list[i].name, "k_proj.bias") ||
                    strcmp(params->list[i].name, "0.bias") == 0;
        ok(g && (none || cr_item(cr_amax(cr_abs(g))) > 0), "%s has a gradient",
           params->list[i].name);
    }
    is_int(cr_nn_buffers(net)->n, 4, "and two norms have buffers");
    is_int(cr_nn_copy(target, net), CR_OK, "all that is copied");
    cr_nn_train(net, false);
    cr_nn_train(target, false);
    is_near(apart(cr_nn_forward(net, x), cr_nn_forward(target, x)), 0, 0,
            "to one that gives the same then");
    is_text(cr_message(ctx), "", "no error in a network of many kinds");
    cr_nn_free(net);
    cr_nn_free(target);
}

/* ---- memory that fails ---- */

typedef struct budget {
    long calls, fail_at, live;
} budget;

static void *give(void *user, size_t bytes)
{
    budget *b = user;
    void *memory = b->calls++ == b->fail_at ? NULL : malloc(bytes);
    b->live += memory != NULL;
    return memory;
}

static void take(void *user, void *memory, size_t bytes)
{
    (void)bytes;
    ((budget *)user)->live -= memory != NULL;
    free(memory);
}

static cr_tensor *keep_y(cr_module *module, cr_tensor *x, cr_tensor *y, void *user)
{
    (void)module, (void)x, (void)user;
    return y;
}

/* A network is built, changed, hooked, initialised and run; NaN if that fails. */
static double everything(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_seed(ctx, 9);
    cr_module *net = many_kinds(ctx);
    cr_nn_insert(net, 0, cr_nn_max_pool2d(ctx, 2));
    cr_nn_free(cr_nn_remove(net, 0));
    for (int i = 0; i < 5; i++)
        cr_nn_register_forward_hook(net, keep_y, NULL);
    if (net)
        cr_init_fixup(net);
    if (net)
        cr_init_lsuv(net, cr_randn(ctx, CR_DIMS(2, 2, 8, 8)));
    double y = cr_item(cr_sum(cr_nn_forward(net, cr_randn(ctx, CR_DIMS(2, 2, 8, 8)))));
    cr_nn_free(net);
    return y;
}

/* Does everything, with memory that may fail; what is wrong, NULL if nothing is. *failed: whether
 * it did. With a limit it fails again and again, and may be repeated without one. */
static const char *disturb(const cr_options *options, budget *b, double want,
                           bool *failed)
{
    const char *wrong = NULL;
    b->calls = 0;
    cr_ctx *ctx = cr_open(options);
    double y = ctx ? everything(ctx) : (double)NAN;
    *failed = !ctx || cr_error(ctx);
    if (!*failed && y != want)
        wrong = "other values";
    if (*failed && ctx) {
        if (cr_error(ctx) != CR_ERR_MEMORY)
            wrong = "a failure is not called one of memory";
        cr_clear(ctx);
        if (!wrong && !options->memory_limit && everything(ctx) != want)
            wrong = "what failed cannot be repeated";
    }
    cr_close(ctx);
    return wrong ? wrong : b->live ? "memory is lost" : NULL;
}

/* Memory comes in large pieces: the pieces fail in turn, and then what is taken from them, by a
 * limit that grows. */
static void test_memory(void)
{
    enum { LIMITS = 400 };
    budget b = { .fail_at = -1 };
    cr_options options = { .threads = 1, .alloc = give, .free = take, .memory_user = &b };
    cr_ctx *ctx = cr_open(&options);
    const double want = everything(ctx);
    const size_t peak = cr_memory_peak(ctx);
    const char *wrong = NULL;
    bool failed = true;
    is_text(cr_message(ctx), "", "memory suffices");
    cr_close(ctx);
    for (b.fail_at = 0; failed && !wrong; b.fail_at++)
        wrong = disturb(&options, &b, want, &failed);
    ok(!wrong, "each of %ld pieces of memory may fail: %s", b.fail_at,
       wrong ? wrong : "");
    b.fail_at = -1;
    int failures = 0;
    for (int i = 1; i <= LIMITS && !wrong; i++, failures += failed) {
        options.memory_limit = peak / LIMITS * (size_t)i;
        wrong = disturb(&options, &b, want, &failed);
    }
    ok(!wrong && failures > LIMITS / 2, "and what is taken from them, %d times: %s",
       failures, wrong ? wrong : "");
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_seed(ctx, 3);
    test_insert(ctx);
    test_height(ctx);
    test_paths(ctx);
    test_residual(ctx);
    test_hooks(ctx);
    test_hooks_that_meddle(ctx);
    test_modes(ctx);
    test_attention(ctx);
    test_arguments(ctx);
    test_inputs(ctx);
    test_gradients(ctx);
    test_memory();
    is_text(cr_message(ctx), "", "no error is left");
    cr_close(ctx);
    return done_testing();
}
