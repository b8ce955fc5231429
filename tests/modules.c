/* Modules: each against its definition in operations, arguments that are wrong, trees that
 * are deep or are changed while they run, and copies from one module to another. */
#include "engine.h"

#include <pthread.h>

static cr_tensor *doubled(cr_module *module, cr_tensor *x, void *user)
{
    (void)module, (void)user;
    return cr_mul(x, 2);
}

/* ---- each module is what it says ---- */

static double difference(cr_tensor *a, cr_tensor *b)
{
    return cr_numel(a) == cr_numel(b) && cr_dtype_of(a) == cr_dtype_of(b)
               ? cr_item(cr_amax(cr_abs(cr_sub(a, b))))
               : (double)INFINITY;
}

#define P(name) cr_nn_param(module, name)
#define MODULE(name, make, input, want)                                       \
    {                                                                         \
        CR_SCOPE(ctx);                                                        \
        cr_module *module = make;                                             \
        is_text(cr_nn_kind(module), name, "line %d is a %s", __LINE__, name); \
        cr_tensor *x = input, *expected = want;                               \
        is_near(difference(cr_nn_forward(module, x), expected), 0, 1e-6,      \
                "line %d: a %s is its definition", __LINE__, name);           \
        is_text(cr_message(ctx), "", "line %d: no error", __LINE__);          \
        cr_nn_free(module);                                                   \
    }

static void test_definitions(cr_ctx *ctx)
{
#include "header/modules.inc"
}

static void test_options(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *module = cr_nn_embedding(ctx, 50, 40, .padding_idx = CR_INT(-1));
    cr_tensor *index = cr_arange(ctx, 0, 50, 1, .dtype = CR_I64);
    cr_backward(cr_sum(cr_nn_forward(module, index)));
    cr_tensor *w = P("weight"), *g = cr_grad(w);
    is_near(cr_item(cr_sum(cr_slice(w, 0, 49, 50))), 0, 0, "the row of padding is zeros");
    is_near(cr_item(cr_sum(cr_slice(g, 0, 49, 50))), 0, 0, "and gets no gradient");
    is_near(cr_item(cr_sum(g)), 49 * 40, 0, "others do");
    is_near(cr_item(cr_var(w)), 49.0 / 50, 0.15, "they are standard normal");
    cr_nn_free(module);

    module = cr_nn_batch_norm1d(ctx, 2, .momentum = CR_REAL(1), .dtype = CR_F64);
    const double data[] = { 1, 10, 3, 30 };
    cr_tensor *x = cr_from(ctx, CR_F64, CR_DIMS(2, 2), data);
    cr_eval(cr_nn_forward(module, x));
    is_near(cr_item(cr_sum(P("running_mean"))), 22, 1e-12,
            "momentum 1: the batch's mean");
    is_near(cr_item(cr_sum(P("running_var"))), 202, 1e-12, "and its unbiased variance");
    cr_nn_free(module);
    module = cr_nn_batch_norm1d(ctx, 2, .no_running_stats = true, .dtype = CR_F64);
    is_int(cr_nn_buffers(module)->n, 0, "no running statistics");
    cr_nn_train(module, false);
    is_near(cr_item(cr_sum(cr_square(cr_nn_forward(module, x)))), 4, 1e-4,
            "so evaluation takes the batch's");
    cr_nn_free(module);
    is_text(cr_message(ctx), "", "no error in options");
}

/* ---- arguments ---- */

/* The module is not made, and the message is of it and of this file. */
static void refuses(cr_ctx *ctx, cr_module *module, const char *text)
{
    bool said = strstr(cr_message(ctx), text) && strstr(cr_message(ctx), "modules.c:");
    ok(!module && cr_error(ctx) && said, "%s: %s", text, cr_message(ctx));
    cr_clear(ctx);
}

static void test_arguments(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    refuses(ctx, cr_nn_linear(ctx, -3, 4), "nn_linear: in is -3");
    refuses(ctx, cr_nn_linear(ctx, 3, -4), "nn_linear: out is -4");
    refuses(ctx, cr_nn_linear(ctx, 3, 0), "nn_linear: out is 0");
    refuses(ctx, cr_nn_linear(ctx, 3, 4, .dtype = CR_I64), "nn_linear: dtype is i64");
    refuses(ctx, cr_nn_linear(ctx, INT64_MAX, 4), "nn_linear: its parameters");
    refuses(ctx, cr_nn_linear(ctx, INT64_MAX, INT64_MAX), "nn_linear: its parameters");
    refuses(ctx, cr_nn_conv1d(ctx, 0, 4, 3), "nn_conv1d: in_channels is 0");
    refuses(ctx, cr_nn_conv2d(ctx, 4, -1, 3), "nn_conv2d: out_channels is -1");
    refuses(ctx, cr_nn_conv2d(ctx, 4, 4, 0), "nn_conv2d: kernel_size is 0, below 1");
    refuses(ctx, cr_nn_conv2d(ctx, 4, 4, CR_DIMS(1, 2, 3)),
            "nn_conv2d: kernel_size has 3 numbers; one, or 2");
    refuses(ctx, cr_nn_conv2d(ctx, 4, 4, 3, .stride = CR_DIMS(1, 0)),
            "nn_conv2d: stride is 0, below 1");
    refuses(ctx, cr_nn_conv2d(ctx, 4, 4, 3, .dilation = CR_DIMS(-1)),
            "nn_conv2d: dilation is -1, below 1");
    refuses(ctx, cr_nn_conv2d(ctx, 4, 4, 3, .padding = CR_DIMS(-1)),
            "nn_conv2d: padding is -1, below 0");
    refuses(ctx, cr_nn_conv2d(ctx, 4, 4, 3, .groups = 3),
            "nn_conv2d: groups 3 does not divide 4 and 4 channels");
    refuses(ctx, cr_nn_conv2d(ctx, 4, 4, 3, .groups = -1), "nn_conv2d: groups is -1");
    refuses(ctx, cr_nn_conv3d(ctx, 4, 4, 3, .dtype = CR_I32), "nn_conv3d: dtype is i32");
    refuses(ctx, cr_nn_conv3d(ctx, INT64_MAX, INT64_MAX, 3), "nn_conv3d: its parameters");
    refuses(ctx, cr_nn_conv_transpose1d(ctx, 4, 4, 3, .padding = CR_PADDING_SAME),
            "nn_conv_transpose1d: padding is");
    refuses(ctx, cr_nn_conv_transpose1d(ctx, 4, 4, 3, .output_padding = CR_DIMS(-1)),
            "nn_conv_transpose1d: output_padding is -1, below 0");
    refuses(ctx, cr_nn_embedding(ctx, 0, 4), "nn_embedding: count is 0");
    refuses(ctx, cr_nn_embedding(ctx, 4, -1), "nn_embedding: width is -1");
    refuses(ctx, cr_nn_embedding(ctx, 4, 2, .padding_idx = CR_INT(4)),
            "nn_embedding: padding_idx is 4");
    refuses(ctx, cr_nn_embedding(ctx, 4, 2, .padding_idx = CR_INT(-5)),
            "nn_embedding: padding_idx is -5");
    refuses(ctx, cr_nn_embedding(ctx, 4, 2, .padding_idx = CR_INT(INT64_MIN)),
            "nn_embedding: padding_idx");
    refuses(ctx, cr_nn_embedding(ctx, 4, 2, .dtype = CR_BOOL), "nn_embedding: dtype");
    refuses(ctx, cr_nn_leaky_relu(ctx, (double)NAN), "nn_leaky_relu: negative_slope is");
    refuses(ctx, cr_nn_leaky_relu(ctx, (double)INFINITY),
            "nn_leaky_relu: negative_slope");
    refuses(ctx, cr_nn_softplus(ctx, .beta = -1), "nn_softplus: beta is -1; above 0");
    refuses(ctx, cr_nn_softplus(ctx, .beta = (double)NAN), "nn_softplus: beta is");
    refuses(ctx, cr_nn_softplus(ctx, .threshold = CR_REAL((double)NAN)),
            "nn_softplus: threshold");
    refuses(ctx, cr_nn_gelu(ctx, .approximate = (cr_approximate)7),
            "nn_gelu: approximate is 7");
    refuses(ctx, cr_nn_dropout(ctx, 1.5), "nn_dropout: p is 1.5; a probability");
    refuses(ctx, cr_nn_dropout(ctx, -0.1), "nn_dropout: p is -0.1");
    refuses(ctx, cr_nn_dropout(ctx, (double)NAN), "nn_dropout: p is");
    refuses(ctx, cr_nn_batch_norm1d(ctx, 0), "nn_batch_norm1d: num_features is 0");
    refuses(ctx, cr_nn_batch_norm1d(ctx, 4, .eps = -1), "nn_batch_norm1d: eps is -1");
    refuses(ctx, cr_nn_batch_norm1d(ctx, 4, .eps = (double)NAN), "nn_batch_norm1d: eps");
    refuses(ctx, cr_nn_batch_norm1d(ctx, 4, .momentum = CR_REAL(1.5)),
            "nn_batch_norm1d: momentum is 1.5");
    refuses(ctx, cr_nn_batch_norm1d(ctx, 4, .dtype = CR_U8), "nn_batch_norm1d: dtype");
    refuses(ctx, cr_nn_layer_norm(ctx, 0), "nn_layer_norm: a size");
    refuses(ctx, cr_nn_layer_norm(ctx, CR_DIMS(3, -1)), "nn_layer_norm: a size");
    refuses(ctx, cr_nn_layer_norm(ctx, CR_NO_DIMS), "nn_layer_norm: normalized_shape");
    refuses(ctx, cr_nn_layer_norm(ctx, 4, .eps = -1e-5), "nn_layer_norm: eps");
    refuses(ctx, cr_nn_layer_norm(ctx, 4, .dtype = CR_I32), "nn_layer_norm: dtype");
    refuses(ctx, cr_nn_residual(ctx, NULL), "add to a residual is NULL");
    refuses(ctx, cr_nn_custom(ctx, NULL, doubled, NULL, NULL), "nn_custom: kind is NULL");
    refuses(ctx, cr_nn_custom(ctx, "c", NULL, NULL, NULL), "nn_custom: forward is NULL");
    ok(!cr_nn_relu(NULL) && !cr_nn_linear(NULL, 2, 2) && !cr_nn_sequential(NULL),
       "without a context nothing is made");
    cr_module *net = cr_nn_sequential(ctx);
    refuses(ctx, (cr_nn_add(net, NULL), NULL), "NULL");
    refuses(ctx, (cr_nn_add(NULL, net), NULL), "add to is NULL"); /* frees net */
    cr_module *linear = cr_nn_linear(ctx, 2, 2);
    refuses(ctx, (cr_nn_add_param(linear, "w.x", cr_ones(ctx, CR_DIMS(1))), NULL), "w.x");
    refuses(ctx, (cr_nn_add_param(linear, NULL, cr_ones(ctx, CR_DIMS(1))), NULL),
            "(NULL)");
    refuses(ctx, (cr_nn_add_buffer(linear, "b", NULL), NULL), "b is NULL");
    refuses(ctx, (cr_nn_param(linear, "nothing"), NULL), "\"nothing\"");
    refuses(ctx, (cr_nn_param(linear, NULL), NULL), "(NULL)");
    refuses(ctx, (cr_nn_param(linear, "0.weight"), NULL), "\"0.weight\"");
    refuses(ctx, (cr_init_orthogonal(cr_nn_param(linear, "bias"), 1), NULL),
            "init_orthogonal: bias has 1");
    refuses(ctx, (cr_init_normal(cr_nn_param(linear, "bias"), 0, -1), NULL),
            "init_normal: std is -1");
    refuses(ctx, (cr_init_uniform(cr_nn_param(linear, "bias"), 2, 1), NULL),
            "init_uniform: high - low is -1");
    refuses(ctx,
            (cr_init_xavier_normal(cr_nn_param(linear, "weight"), (double)NAN), NULL),
            "init_xavier_normal: gain is");
    cr_nn_free(linear);
}

/* ---- trees ---- */

static void test_shared(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = cr_nn_sequential(ctx), *a = cr_nn_linear(ctx, 3, 3);
    cr_module *b = cr_nn_custom(ctx, "tied", doubled, NULL, NULL);
    cr_nn_add_param(b, "weight", cr_nn_param(a, "weight"));
    cr_nn_add_param(b, "own", cr_ones(ctx, CR_DIMS(2)));
    cr_nn_add(net, a);
    cr_nn_add(net, b);
    const cr_params *params = cr_nn_params(net);
    is_int(params->n, 3, "a tensor that two modules share is listed once");
    is_text(params->list[0].name, "0.weight", "by its first name");
    is_text(params->list[2].name, "1.own", "and the rest follows");
    ok(cr_nn_param(net, "1.weight") == cr_nn_param(net, "0.weight"),
       "both names find it");
    cr_optim *optim = cr_optim_sgd(params, 0.1);
    ok(optim != NULL, "so that an optimiser takes the list");
    cr_optim_free(optim);
    ok(!cr_nn_param(net, "00.weight") && failed_with(ctx, CR_ERR_ARGUMENT, "00.weight") &&
           !cr_nn_param(net, "9999999999.w") &&
           failed_with(ctx, CR_ERR_ARGUMENT, "999") && !cr_nn_param(net, ".weight") &&
           failed_with(ctx, CR_ERR_ARGUMENT, ".weight") && !cr_nn_param(net, "0.") &&
           failed_with(ctx, CR_ERR_ARGUMENT, "0.") && !cr_nn_param(net, "-1.w") &&
           failed_with(ctx, CR_ERR_ARGUMENT, "-1.w"),
       "no other name does");
    cr_nn_free(net);
}

/* Names are found in constant time: this would take minutes otherwise. */
static void test_many_names(cr_ctx *ctx)
{
    enum { N = 100000 };
    CR_SCOPE(ctx);
    cr_module *module = cr_nn_custom(ctx, "many", doubled, NULL, NULL);
    char name[16];
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "w%d", i);
        cr_nn_add_param(module, name, cr_scalar(ctx, i));
    }
    bool found = cr_nn_params(module)->n == N;
    for (int i = 0; found && i < N; i++)
        found = cr_nn_param(module, cr_nn_params(module)->list[i].name) ==
                cr_nn_params(module)->list[i].tensor;
    ok(found, "%d parameters are found by name: %s", N, cr_message(ctx));
    cr_nn_free(module);
}

/* depth modules in each other, built from within; the innermost is a relu. */
static cr_module *nested(cr_ctx *ctx, int depth)
{
    cr_module *module = cr_nn_relu(ctx);
    for (int i = 1; i < depth && module; i++) {
        cr_module *outer = i % 2 ? cr_nn_residual(ctx, module) : cr_nn_sequential(ctx);
        if (i % 2 == 0 && cr_nn_add(outer, module) != CR_OK) {
            cr_nn_free(outer);
            return NULL;
        }
        module = outer;
    }
    return module;
}

static void *run_deep(void *arg)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    cr_module *module = nested(ctx, CR_NN_MAX_DEPTH);
    cr_nn_train(module, false);
    cr_tensor *y = cr_nn_forward(module, cr_zeros(ctx, CR_DIMS(2)));
    *(bool *)arg = y && cr_eval(y) == CR_OK && cr_nn_params(module)->n == 0;
    cr_nn_free(module);
    cr_close(ctx);
    return NULL;
}

static void test_depth(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    ok(!nested(ctx, CR_NN_MAX_DEPTH + 1) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "257 modules in each other; at most 256"),
       "a module too many is an error");
    cr_module *net = cr_nn_sequential(ctx), *at = net;
    int depth = 1;
    for (; depth < 2000; depth++) {
        cr_module *inner = cr_nn_sequential(ctx);
        if (cr_nn_add(at, inner) != CR_OK)
            break;
        at = inner;
    }
    ok(depth == CR_NN_MAX_DEPTH && failed_with(ctx, CR_ERR_ARGUMENT, "in each other"),
       "from outside inwards too");
    cr_nn_free(net);
    bool done = false;
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 64 << 10);
    if (pthread_create(&thread, &attributes, run_deep, &done) == 0)
        pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    ok(done, "%d modules in each other run on a stack of 64 KiB", CR_NN_MAX_DEPTH);
#else
    run_deep(&done);
    ok(done, "%d modules in each other run", CR_NN_MAX_DEPTH);
#endif
}

/* ---- changes from within ---- */

typedef struct meddler {
    cr_ctx *ctx;
    cr_module *root, *other;
    int freed;
} meddler;

static cr_tensor *free_oneself(cr_module *module, cr_tensor *x, void *user)
{
    (void)user;
    cr_nn_free(module);
    return x;
}

static cr_tensor *free_root(cr_module *module, cr_tensor *x, void *user)
{
    (void)module;
    cr_nn_free(((meddler *)user)->root);
    return x;
}

static cr_tensor *join_other(cr_module *module, cr_tensor *x, void *user)
{
    (void)module;
    cr_nn_add(((meddler *)user)->other, ((meddler *)user)->root);
    return x;
}

static cr_tensor *call_oneself(cr_module *module, cr_tensor *x, void *user)
{
    (void)user;
    return cr_nn_forward(module, x);
}

static cr_tensor *grow_oneself(cr_module *module, cr_tensor *x, void *user)
{
    while (cr_nn_count(module) < 9)
        cr_nn_add(module, cr_nn_tanh(((meddler *)user)->ctx));
    return cr_nn_forward(cr_nn_child(module, 8), x);
}

static void meddle_at_end(void *user)
{
    meddler *m = user;
    m->freed++;
    cr_nn_free(m->root);
    cr_nn_add(m->root, cr_nn_relu(m->ctx));
    cr_nn_forward(m->root, cr_ones(m->ctx, CR_DIMS(1)));
}

static void test_reentrancy(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    meddler m = { .ctx = ctx };
    cr_tensor *x = cr_ones(ctx, CR_DIMS(2));
    m.root = cr_nn_custom(ctx, "suicide", free_oneself, &m, NULL);
    ok(!cr_nn_forward(m.root, x) && cr_error(ctx), "a forward that frees its module");
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "suicide is running"), "is an error");
    cr_nn_free(m.root);

    m.root = cr_nn_sequential(ctx);
    cr_nn_add(m.root, cr_nn_custom(ctx, "inner", free_root, &m, NULL));
    cr_nn_add(m.root, cr_nn_relu(ctx));
    cr_nn_forward(m.root, x);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "sequential is running"), "nor its root");
    is_int(cr_nn_count(m.root), 2, "which is as before");
    cr_nn_free(m.root);

    m.root = cr_nn_custom(ctx, "joiner", join_other, &m, NULL);
    m.other = cr_nn_sequential(ctx);
    cr_nn_forward(m.root, x);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "joiner is running"),
       "nor is it added meanwhile");
    cr_nn_free(m.other);
    cr_nn_free(m.root);

    m.root = cr_nn_custom(ctx, "recursive", call_oneself, NULL, NULL);
    ok(!cr_nn_forward(m.root, x) && failed_with(ctx, CR_ERR_ARGUMENT, "inside of itself"),
       "a forward without an end is an error");
    cr_nn_free(m.root);

    m.root = cr_nn_custom(ctx, "growing", grow_oneself, &m, NULL);
    is_near(cr_item(cr_sum(cr_nn_forward(m.root, x))), 2 * tanh(1), 1e-6,
            "modules may be added in a forward");
    cr_nn_free(m.root);

    m.root = cr_nn_custom(ctx, "ending", doubled, &m, meddle_at_end);
    cr_nn_free(m.root);
    ok(m.freed == 1 && failed_with(ctx, CR_ERR_ARGUMENT, "is being freed"),
       "a module that is being freed is neither freed nor used");
}

static void count_end(void *user)
{
    ++*(int *)user;
}

/* cr_nn_add() takes over the child also when it fails, apart from what is not its to take. */
static void test_taking_over(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    int ended = 0;
    cr_module *relu = cr_nn_relu(ctx), *net = cr_nn_sequential(ctx);
    cr_nn_add(relu, cr_nn_custom(ctx, "child", doubled, &ended, count_end));
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "holds no modules") && ended == 1,
       "what cannot be added is freed");
    cr_nn_add(NULL, cr_nn_custom(ctx, "child", doubled, &ended, count_end));
    ok(failed_with(ctx, CR_ERR_NULL, "NULL") && ended == 2, "also if there is no parent");
    cr_module *child = cr_nn_custom(ctx, "child", doubled, &ended, count_end);
    cr_fail(ctx, CR_ERR_IO, "pending");
    cr_nn_add(net, child);
    ok(failed_with(ctx, CR_ERR_IO, "pending") && ended == 3, "or an error is pending");
    child = cr_nn_custom(ctx, "child", doubled, &ended, count_end);
    cr_fail(ctx, CR_ERR_IO, "pending");
    ok(!cr_nn_residual(ctx, child) && failed_with(ctx, CR_ERR_IO, "pending") &&
           ended == 4,
       "a residual does the same");
    cr_module *middle = cr_nn_sequential(ctx);
    cr_nn_add(net, middle);
    cr_nn_add(middle, net);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "cannot hold itself") && cr_nn_count(net) == 1 &&
           cr_nn_count(middle) == 0,
       "a module is not added to its descendant, and stays");
    cr_nn_add(relu, middle);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "holds no modules") && cr_nn_count(net) == 1,
       "one that has an owner stays the owner's");
    cr_ctx *other = cr_open(NULL);
    cr_nn_add(net, cr_nn_custom(other, "child", doubled, &ended, count_end));
    ok(failed_with(ctx, CR_ERR_SCOPE, "another context") && ended == 5,
       "one of another context is freed");
    cr_close(other);
    cr_nn_free(net);
    cr_nn_free(relu);
}

/* ---- copies ---- */

static cr_module *norm_net(cr_ctx *ctx, int64_t width)
{
    cr_module *net = cr_nn_sequential(ctx);
    cr_nn_add(net, cr_nn_linear(ctx, 3, width));
    cr_nn_add(net, cr_nn_batch_norm1d(ctx, width));
    return net;
}

static double distance_of(const cr_params *a, const cr_params *b)
{
    double most = 0;
    for (int i = 0; i < a->n; i++)
        most = fmax(most, difference(a->list[i].tensor, b->list[i].tensor));
    return most;
}

static void test_copy(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = norm_net(ctx, 4), *target = norm_net(ctx, 4);
    cr_optim *optim = cr_optim_sgd(cr_nn_params(net), 0.5);
    cr_tensor *x = cr_randn(ctx, CR_DIMS(6, 3));
    {
        CR_SCOPE(ctx);
        cr_backward(
            cr_sum(cr_square(cr_mul(cr_nn_forward(net, x), cr_arange(ctx, 0, 4, 1)))));
        cr_optim_step(optim);
        is_int(cr_nn_copy(target, net), CR_OK, "a copy");
    }
    is_near(distance_of(cr_nn_params(target), cr_nn_params(net)), 0, 0,
            "has the parameters");
    is_near(distance_of(cr_nn_buffers(target), cr_nn_buffers(net)), 0, 0,
            "and the buffers");
    ok(cr_item(cr_sum(cr_nn_param(net, "1.running_mean"))) != 0, "which have moved");
    cr_tensor *before = cr_keep(cr_detach(cr_mul(cr_nn_param(target, "0.weight"), 1)));
    cr_eval(before);
    for (int i = 0; i < 2; i++) {
        CR_SCOPE(ctx);
        cr_optim_zero_grad(optim);
        cr_backward(
            cr_sum(cr_square(cr_mul(cr_nn_forward(net, x), cr_arange(ctx, 0, 4, 1)))));
        cr_optim_step(optim);
    }
    ok(difference(cr_nn_param(target, "0.weight"), before) == 0 &&
           distance_of(cr_nn_params(target), cr_nn_params(net)) > 0,
       "it stays what it is when the other moves on");
    ok(cr_needs_grad(cr_nn_param(target, "0.weight")), "its parameters stay leaves");
    is_int(cr_nn_copy(net, net), CR_OK, "a copy of itself is well");
    is_text(cr_message(ctx), "", "no error");

    cr_module *wide = norm_net(ctx, 5), *linear = cr_nn_linear(ctx, 3, 4);
    cr_module *bare = cr_nn_sequential(ctx), *norm = cr_nn_sequential(ctx);
    cr_nn_add(bare, cr_nn_linear(ctx, 3, 4));
    cr_nn_add(bare, cr_nn_batch_norm1d(ctx, 4, .no_running_stats = true));
    cr_nn_add(norm, cr_nn_linear(ctx, 3, 4, .dtype = CR_F64));
    cr_nn_add(norm, cr_nn_batch_norm1d(ctx, 4));
    ok(cr_nn_copy(target, wide) == CR_ERR_SHAPE &&
           failed_with(ctx, CR_ERR_SHAPE, "shape of 0.weight differs"),
       "other shapes are an error");
    ok(cr_nn_copy(target, linear) && failed_with(ctx, CR_ERR_SHAPE, "2 parameters"),
       "another number");
    ok(cr_nn_copy(target, bare) &&
           failed_with(ctx, CR_ERR_SHAPE, "0 parameters or buffers"),
       "of buffers too");
    ok(cr_nn_copy(target, norm) && failed_with(ctx, CR_ERR_DTYPE, "0.weight is f64"),
       "another dtype");
    cr_module *named = cr_nn_custom(ctx, "c", doubled, NULL, NULL);
    cr_nn_add_param(named, "weight", cr_zeros(ctx, CR_DIMS(4, 3)));
    cr_nn_add_param(named, "offset", cr_zeros(ctx, CR_DIMS(4)));
    ok(cr_nn_copy(linear, named) &&
           failed_with(ctx, CR_ERR_ARGUMENT, "offset has no place"),
       "other names");
    ok(cr_nn_copy(target, NULL) && failed_with(ctx, CR_ERR_NULL, "modules.c:"), "NULL");
    is_int(cr_nn_copy(NULL, NULL), CR_ERR_NULL, "two of it");
    ok(difference(cr_nn_param(target, "0.weight"), before) == 0, "nothing was changed");
    cr_module *const all[] = { net, target, wide, linear, bare, norm, named };
    cr_optim_free(optim);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cr_nn_free(all[i]);
}

/* ---- freezing ---- */

static void test_freezing(cr_ctx *ctx)
{
    CR_SCOPE(ctx);
    cr_module *net = cr_nn_linear(ctx, 2, 2, .dtype = CR_F64);
    cr_tensor *w = cr_nn_param(net, "weight"), *b = cr_nn_param(net, "bias");
    cr_init_constant(w, 1);
    cr_init_constant(b, 1);
    cr_requires_grad(w, false);
    cr_optim *optim = cr_optim_sgd(cr_nn_params(net), 0.1, .momentum = 0.5);
    cr_tensor *x = cr_ones(ctx, CR_DIMS(1, 2), .dtype = CR_F64);
    for (int t = 0; t < 3; t++) {
        CR_SCOPE(ctx);
        cr_optim_zero_grad(optim);
        cr_backward(cr_sum(cr_nn_forward(net, x)));
        cr_optim_step(optim);
    }
    is_near(cr_item(cr_sum(w)), 4, 0, "a frozen parameter stays");
    is_near(cr_item(cr_sum(b)), 2 - 2 * 0.1 * (1 + 1.5 + 1.75), 1e-12, "others do not");
    cr_requires_grad(b, false);
    cr_requires_grad(w);
    for (int t = 0; t < 2; t++) {
        CR_SCOPE(ctx);
        cr_optim_zero_grad(optim);
        cr_backward(cr_sum(cr_nn_forward(net, x)));
        cr_optim_step(optim);
    }
    cr_requires_grad(b);
    {
        CR_SCOPE(ctx);
        cr_optim_zero_grad(optim);
        cr_backward(cr_sum(cr_nn_forward(net, x)));
        cr_optim_step(optim);
    }
    is_near(cr_item(cr_sum(w)), 4 - 4 * 0.1 * (1 + 1.5 + 1.75), 1e-12,
            "thawed, it moves");
    is_near(cr_item(cr_sum(b)), 2 - 2 * 0.1 * (1 + 1.5 + 1.75 + 1.875), 1e-12,
            "momentum waits for a frozen one");
    cr_requires_grad(w, false);
    cr_optim_step(optim);
    is_near(cr_item(cr_sum(w)), 4 - 4 * 0.1 * (1 + 1.5 + 1.75 + 1.875), 1e-12,
            "the gradient it has already is taken");
    is_text(cr_message(ctx), "", "no error");
    cr_optim_free(optim);
    cr_nn_free(net);
}

int main(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_seed(ctx, 3);
    test_definitions(ctx);
    test_options(ctx);
    test_arguments(ctx);
    test_shared(ctx);
    test_many_names(ctx);
    test_depth(ctx);
    test_reentrancy(ctx);
    test_taking_over(ctx);
    test_copy(ctx);
    test_freezing(ctx);
    cr_close(ctx);
    return done_testing();
}
