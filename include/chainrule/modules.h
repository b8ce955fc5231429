/* Modules, their parameters, and initialisers. */
#ifndef CHAINRULE_MODULES_H
#define CHAINRULE_MODULES_H

#include "activations.h"
#include "convolutions.h"
#include "indexing.h"
#include "maps.h"
#include "pooling.h"

CR_BEGIN

/* A module owns parameters, buffers and the modules added to it. Constructors return NULL with an
 * error in the context, which names the module, the argument and the caller's place. cr_nn_free()
 * frees it with all it owns; NULL is allowed. A module that was added to another belongs to that
 * one. Freeing one that belongs to another, or that is running, is an error and changes nothing. */
CR_API void cr_nn_free(cr_module *module);

/* So many modules may be in each other, the outermost counted; forwards, which call each other,
 * want as many times about 200 bytes of stack. */
#define CR_NN_MAX_DEPTH 256

/* Runs the module on x. NULL if either is NULL or an error is pending. A forward that calls itself
 * is an error beyond CR_NN_MAX_DEPTH. */
CR_API cr_tensor *cr_nn_forward_at(cr_module *module, cr_tensor *x, const char *site);
#define cr_nn_forward(module, x) cr_nn_forward_at(module, x, CR_HERE)

/* Hooks are functions of yours that a module calls, in the order in which they were registered,
 * each time when it has run, from inside another module too: with its input x and its output y, as
 * lazy as everything. The hook returns NULL, or what takes y's place: a tensor of the same context.
 * It records and reads as the forward does, into the same graph. Hooks belong to the module and go
 * with it; `user` is yours and must live as long. What registers returns the hook's number (1 or
 * more), by which it is removed, or 0 with an error.
 *
 * A hook may register and remove hooks, its own too: those that are new are called the next time,
 * those that are removed not any more. It ends the scopes that it opens, and no others. If it
 * records an error (cr_fail(), or a call that failed), forward fails with that error. In a hook the
 * module is running: it cannot be freed, and no module be inserted or removed in its tree. Where
 * forward fails, hooks are not called. Removing one that is not there is CR_ERR_ARGUMENT. */
typedef cr_tensor *cr_nn_forward_hook(cr_module *module, cr_tensor *x, cr_tensor *y, void *user);
CR_API uint64_t cr_nn_register_forward_hook_at(cr_module *module, cr_nn_forward_hook *hook,
                                               void *user, const char *site);
#define cr_nn_register_forward_hook(module, hook, user) \
    cr_nn_register_forward_hook_at(module, hook, user, CR_HERE)
CR_API cr_status cr_nn_remove_forward_hook(cr_module *module, uint64_t id);

/* Training mode (the start) or evaluation: matters to dropout and batch norm. For the module and
 * all it holds. */
CR_API void cr_nn_train(cr_module *module, bool training);

/* The parameters of a module and all it holds, in the order of construction, with names like
 * "0.weight" or "2.inner.bias"; the list belongs to the module and is remade when modules are
 * added. A tensor that several modules share is listed once, by its first name. Buffers (running
 * statistics) are listed by cr_nn_buffers(). NULL if module is, or without memory. */
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
CR_API cr_tensor *cr_nn_param_at(cr_module *module, const char *name, const char *site);
#define cr_nn_param(module, name) cr_nn_param_at(module, name, CR_HERE)

/* Assigns to every parameter and buffer of `to` the value that the one of the same name has in
 * `from`: for target networks, and for keeping the best model so far. The two belong to one context
 * and have the same names, dtypes and shapes; otherwise it is an error, and nothing is changed.
 * Lazy, all or nothing, like any assignment; gradients and training modes stay. */
CR_API cr_status cr_nn_copy_at(cr_module *to, cr_module *from, const char *site);
#define cr_nn_copy(to, from) cr_nn_copy_at(to, from, CR_HERE)

/* The modules inside: how many, the i-th, and what kind a module is ("linear", "relu", ...). */
CR_API int cr_nn_count(const cr_module *module);
CR_API cr_module *cr_nn_child(const cr_module *module, int i);
CR_API const char *cr_nn_kind(const cr_module *module);

/* The module's path in the tree that it belongs to, as parameters' names have it: "2.inner.0"; ""
 * for the outermost, and for NULL. Like snprintf(): at most capacity - 1 characters and a zero are
 * written (text may be NULL if capacity is 0), and the length of the whole path is returned. */
CR_API size_t cr_nn_path(const cr_module *module, char *text, size_t capacity);

/* Options of modules that have none of their own. */
typedef struct cr_nn_opts {
    const char *site CR_ZERO;
} cr_nn_opts;

/* Runs its parts one after the other. cr_nn_add() takes over child, and frees it if it fails, so
 * that there is nothing to free in either case; but it leaves alone a child that belongs to another
 * module, is running, or holds the module that it was to be added to: these stay whose they are.
 * usage: cr_nn_sequential(ctx); cr_nn_add(net, cr_nn_relu(ctx)) */
CR_API cr_module *cr_nn_sequential_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_status cr_nn_add_at(cr_module *sequential, cr_module *child, const char *site);
#define cr_nn_sequential(...) \
    cr_nn_sequential_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_nn_opts, __VA_ARGS__))
#define cr_nn_add(sequential, child) cr_nn_add_at(sequential, child, CR_HERE)

/* cr_nn_insert() is cr_nn_add() in front of the i-th module, i being 0 to cr_nn_count().
 * cr_nn_remove() gives back the i-th, which is the caller's to free, or to add elsewhere; NULL with
 * an error. Those behind it move up, and so do the names of their parameters. Errors: a module that
 * holds none, an i that is not there, and, but for adding at the end, a tree that is running; then
 * nothing changes. */
CR_API cr_status cr_nn_insert_at(cr_module *sequential, int i, cr_module *child, const char *site);
CR_API cr_module *cr_nn_remove_at(cr_module *sequential, int i, const char *site);
#define cr_nn_insert(sequential, i, child) cr_nn_insert_at(sequential, i, child, CR_HERE)
#define cr_nn_remove(sequential, i) cr_nn_remove_at(sequential, i, CR_HERE)

/* x + scale inner(x); takes over inner, as cr_nn_add() does. .name, without a dot, is what inner is
 * called in paths and names of parameters ("2.conv.weight"). He et al., 2016.
 * cr_nn_scale() is the scale, NaN for what is no residual; cr_nn_set_scale() changes it for the
 * forwards that follow.
 * usage: cr_nn_residual(ctx, block),
 *        cr_nn_residual(ctx, block, .scale = CR_REAL(0.1), .name = "conv") */
typedef struct cr_nn_residual_opts {
    const char *site CR_ZERO;
    cr_opt_real scale CR_ZERO; /* default 1 */
    const char *name CR_ZERO;  /* default "inner" */
} cr_nn_residual_opts;
CR_API cr_module *cr_nn_residual_at(cr_ctx *ctx, cr_module *inner, cr_nn_residual_opts opts);
#define cr_nn_residual(ctx, ...)                            \
    cr_nn_residual_at(ctx, CR_FIRST(__VA_ARGS__, 0),        \
                      CR_OPTS(cr_nn_residual_opts, __VA_ARGS__))
CR_API double cr_nn_scale(const cr_module *residual);
CR_API cr_status cr_nn_set_scale_at(cr_module *residual, double scale, const char *site);
#define cr_nn_set_scale(residual, scale) cr_nn_set_scale_at(residual, scale, CR_HERE)

/* x W^T + b with W [out, in] and b [out], both uniform in +-1/sqrt(in).
 * usage: cr_nn_linear(ctx, 64, 10), cr_nn_linear(ctx, 64, 10, .no_bias = true) */
typedef struct cr_nn_linear_opts {
    const char *site CR_ZERO;
    bool no_bias CR_ZERO;
    cr_dtype dtype CR_ZERO;
} cr_nn_linear_opts;
CR_API cr_module *cr_nn_linear_at(cr_ctx *ctx, int64_t in_features, int64_t out_features,
                                  cr_nn_linear_opts opts);
#define cr_nn_linear(ctx, in_features, ...)                            \
    cr_nn_linear_at(ctx, in_features, CR_FIRST(__VA_ARGS__, 0),        \
                    CR_OPTS(cr_nn_linear_opts, __VA_ARGS__))

/* Row x[..] of weight [num_embeddings, embedding_dim], standard normal at first; x is of integers.
 * The row .padding_idx (negative: from the end) is zeros and gets no gradient. See cr_embedding.
 * usage: cr_nn_embedding(ctx, 99, 64), cr_nn_embedding(ctx, 99, 64, .padding_idx = CR_INT(0)) */
typedef struct cr_nn_embedding_opts {
    const char *site CR_ZERO;
    cr_opt_int padding_idx CR_ZERO; /* default none */
    cr_dtype dtype CR_ZERO;
} cr_nn_embedding_opts;
CR_API cr_module *cr_nn_embedding_at(cr_ctx *ctx, int64_t num_embeddings, int64_t embedding_dim,
                                     cr_nn_embedding_opts opts);
#define cr_nn_embedding(ctx, num_embeddings, ...)                            \
    cr_nn_embedding_at(ctx, num_embeddings, CR_FIRST(__VA_ARGS__, 0),        \
                       CR_OPTS(cr_nn_embedding_opts, __VA_ARGS__))

/* Convolutions of x [N, in, ..] or [in, ..] with as many dimensions of space as the name says: see
 * cr_conv2d. kernel_size is a number or a list. weight [out, in / groups, ..] and bias [out] are
 * uniform in +-1/sqrt(in / groups times the kernel's size).
 * usage: cr_nn_conv1d(ctx, 3, 16, 5), cr_nn_conv1d(ctx, 3, 16, 5, .padding = CR_PADDING_SAME),
 *        cr_nn_conv2d(ctx, 3, 16, 3, .stride = CR_DIMS(2), .padding = CR_DIMS(1)),
 *        cr_nn_conv3d(ctx, 3, 16, CR_DIMS(1, 3, 3), .no_bias = true) */
typedef struct cr_nn_conv_opts {
    const char *site CR_ZERO;
    cr_dims stride CR_ZERO;   /* default 1 */
    cr_dims padding CR_ZERO;  /* default 0; or CR_PADDING_SAME */
    cr_dims dilation CR_ZERO; /* default 1 */
    int64_t groups CR_ZERO;   /* default 1 */
    bool no_bias CR_ZERO;
    cr_dtype dtype CR_ZERO;
} cr_nn_conv_opts;
CR_API cr_module *cr_nn_conv1d_at(cr_ctx *ctx, int64_t in_channels, int64_t out_channels,
                                  cr_dims kernel_size, cr_nn_conv_opts opts);
CR_API cr_module *cr_nn_conv2d_at(cr_ctx *ctx, int64_t in_channels, int64_t out_channels,
                                  cr_dims kernel_size, cr_nn_conv_opts opts);
CR_API cr_module *cr_nn_conv3d_at(cr_ctx *ctx, int64_t in_channels, int64_t out_channels,
                                  cr_dims kernel_size, cr_nn_conv_opts opts);
#define cr_nn_conv1d(ctx, in_channels, out_channels, ...)                                 \
    cr_nn_conv1d_at(ctx, in_channels, out_channels, CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)), \
                    CR_OPTS(cr_nn_conv_opts, __VA_ARGS__))
#define cr_nn_conv2d(ctx, in_channels, out_channels, ...)                                 \
    cr_nn_conv2d_at(ctx, in_channels, out_channels, CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)), \
                    CR_OPTS(cr_nn_conv_opts, __VA_ARGS__))
#define cr_nn_conv3d(ctx, in_channels, out_channels, ...)                                 \
    cr_nn_conv3d_at(ctx, in_channels, out_channels, CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)), \
                    CR_OPTS(cr_nn_conv_opts, __VA_ARGS__))

/* Their transposed forms: see cr_conv_transpose2d. weight [in, out / groups, ..] and bias [out] are
 * uniform in +-1/sqrt(out / groups times the kernel's size).
 * usage: cr_nn_conv_transpose1d(ctx, 3, 16, 5, .stride = CR_DIMS(2)),
 *        cr_nn_conv_transpose2d(ctx, 3, 16, 3, .output_padding = p, .stride = CR_DIMS(2)),
 *        cr_nn_conv_transpose3d(ctx, 3, 16, CR_DIMS(1, 3, 3)) */
typedef struct cr_nn_conv_transpose_opts {
    const char *site CR_ZERO;
    cr_dims stride CR_ZERO;         /* default 1 */
    cr_dims padding CR_ZERO;        /* default 0 */
    cr_dims output_padding CR_ZERO; /* default 0 */
    int64_t groups CR_ZERO;         /* default 1 */
    cr_dims dilation CR_ZERO;       /* default 1 */
    bool no_bias CR_ZERO;
    cr_dtype dtype CR_ZERO;
} cr_nn_conv_transpose_opts;
CR_API cr_module *cr_nn_conv_transpose1d_at(cr_ctx *ctx, int64_t in_channels,
                                            int64_t out_channels, cr_dims kernel_size,
                                            cr_nn_conv_transpose_opts opts);
CR_API cr_module *cr_nn_conv_transpose2d_at(cr_ctx *ctx, int64_t in_channels,
                                            int64_t out_channels, cr_dims kernel_size,
                                            cr_nn_conv_transpose_opts opts);
CR_API cr_module *cr_nn_conv_transpose3d_at(cr_ctx *ctx, int64_t in_channels,
                                            int64_t out_channels, cr_dims kernel_size,
                                            cr_nn_conv_transpose_opts opts);
#define cr_nn_conv_transpose1d(ctx, in_channels, out_channels, ...)          \
    cr_nn_conv_transpose1d_at(ctx, in_channels, out_channels,                \
                              CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)),          \
                              CR_OPTS(cr_nn_conv_transpose_opts, __VA_ARGS__))
#define cr_nn_conv_transpose2d(ctx, in_channels, out_channels, ...)          \
    cr_nn_conv_transpose2d_at(ctx, in_channels, out_channels,                \
                              CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)),          \
                              CR_OPTS(cr_nn_conv_transpose_opts, __VA_ARGS__))
#define cr_nn_conv_transpose3d(ctx, in_channels, out_channels, ...)          \
    cr_nn_conv_transpose3d_at(ctx, in_channels, out_channels,                \
                              CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)),          \
                              CR_OPTS(cr_nn_conv_transpose_opts, __VA_ARGS__))

/* Activations: each is its function, with its options, and apart from prelu has no parameter.
 * usage: cr_nn_sigmoid(ctx), cr_nn_tanh(ctx), cr_nn_relu(ctx), cr_nn_silu(ctx), cr_nn_relu6(ctx),
 *        cr_nn_selu(ctx), cr_nn_mish(ctx), cr_nn_hardsigmoid(ctx), cr_nn_hardswish(ctx),
 *        cr_nn_softsign(ctx), cr_nn_tanhshrink(ctx), cr_nn_logsigmoid(ctx),
 *        cr_nn_softmax(ctx, -1), cr_nn_log_softmax(ctx, -1), cr_nn_softmin(ctx, -1),
 *        cr_nn_glu(ctx, -1), cr_nn_leaky_relu(ctx, 0.01), cr_nn_threshold(ctx, 0.1, 0),
 *        cr_nn_softplus(ctx, .beta = 2), cr_nn_gelu(ctx), cr_nn_elu(ctx, .alpha = CR_REAL(2)),
 *        cr_nn_celu(ctx), cr_nn_hardtanh(ctx, .min_val = CR_REAL(0)), cr_nn_hardshrink(ctx),
 *        cr_nn_softshrink(ctx, .lambd = CR_REAL(1)) */
CR_API cr_module *cr_nn_sigmoid_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_tanh_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_relu_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_silu_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_relu6_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_selu_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_mish_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_hardsigmoid_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_hardswish_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_softsign_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_tanhshrink_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_logsigmoid_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_softmax_at(cr_ctx *ctx, int dim, cr_nn_opts opts);
CR_API cr_module *cr_nn_log_softmax_at(cr_ctx *ctx, int dim, cr_nn_opts opts);
CR_API cr_module *cr_nn_softmin_at(cr_ctx *ctx, int dim, cr_nn_opts opts);
CR_API cr_module *cr_nn_glu_at(cr_ctx *ctx, int dim, cr_nn_opts opts);
CR_API cr_module *cr_nn_leaky_relu_at(cr_ctx *ctx, double negative_slope, cr_nn_opts opts);
CR_API cr_module *cr_nn_threshold_at(cr_ctx *ctx, double threshold, double value,
                                     cr_nn_opts opts);
CR_API cr_module *cr_nn_softplus_at(cr_ctx *ctx, cr_softplus_opts opts);
CR_API cr_module *cr_nn_gelu_at(cr_ctx *ctx, cr_gelu_opts opts);
CR_API cr_module *cr_nn_elu_at(cr_ctx *ctx, cr_elu_opts opts);
CR_API cr_module *cr_nn_celu_at(cr_ctx *ctx, cr_elu_opts opts);
CR_API cr_module *cr_nn_hardtanh_at(cr_ctx *ctx, cr_hardtanh_opts opts);
CR_API cr_module *cr_nn_hardshrink_at(cr_ctx *ctx, cr_shrink_opts opts);
CR_API cr_module *cr_nn_softshrink_at(cr_ctx *ctx, cr_shrink_opts opts);
#define CR_NN_0_(name, options, ...) \
    cr_nn_##name##_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(options, __VA_ARGS__))
#define CR_NN_1_(name, options, ctx, ...) \
    cr_nn_##name##_at(ctx, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(options, __VA_ARGS__))
#define CR_NN_2_(name, options, ctx, x, ...) \
    cr_nn_##name##_at(ctx, x, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(options, __VA_ARGS__))
#define CR_NN_DIMS_(name, options, ctx, ...)                    \
    cr_nn_##name##_at(ctx, CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)), \
                      CR_OPTS(options, __VA_ARGS__))
#define cr_nn_sigmoid(...) CR_NN_0_(sigmoid, cr_nn_opts, __VA_ARGS__)
#define cr_nn_tanh(...) CR_NN_0_(tanh, cr_nn_opts, __VA_ARGS__)
#define cr_nn_relu(...) CR_NN_0_(relu, cr_nn_opts, __VA_ARGS__)
#define cr_nn_silu(...) CR_NN_0_(silu, cr_nn_opts, __VA_ARGS__)
#define cr_nn_relu6(...) CR_NN_0_(relu6, cr_nn_opts, __VA_ARGS__)
#define cr_nn_selu(...) CR_NN_0_(selu, cr_nn_opts, __VA_ARGS__)
#define cr_nn_mish(...) CR_NN_0_(mish, cr_nn_opts, __VA_ARGS__)
#define cr_nn_hardsigmoid(...) CR_NN_0_(hardsigmoid, cr_nn_opts, __VA_ARGS__)
#define cr_nn_hardswish(...) CR_NN_0_(hardswish, cr_nn_opts, __VA_ARGS__)
#define cr_nn_softsign(...) CR_NN_0_(softsign, cr_nn_opts, __VA_ARGS__)
#define cr_nn_tanhshrink(...) CR_NN_0_(tanhshrink, cr_nn_opts, __VA_ARGS__)
#define cr_nn_logsigmoid(...) CR_NN_0_(logsigmoid, cr_nn_opts, __VA_ARGS__)
#define cr_nn_softmax(ctx, ...) CR_NN_1_(softmax, cr_nn_opts, ctx, __VA_ARGS__)
#define cr_nn_log_softmax(ctx, ...) CR_NN_1_(log_softmax, cr_nn_opts, ctx, __VA_ARGS__)
#define cr_nn_softmin(ctx, ...) CR_NN_1_(softmin, cr_nn_opts, ctx, __VA_ARGS__)
#define cr_nn_glu(ctx, ...) CR_NN_1_(glu, cr_nn_opts, ctx, __VA_ARGS__)
#define cr_nn_leaky_relu(ctx, ...) CR_NN_1_(leaky_relu, cr_nn_opts, ctx, __VA_ARGS__)
#define cr_nn_threshold(ctx, threshold, ...)                      \
    cr_nn_threshold_at(ctx, threshold, CR_FIRST(__VA_ARGS__, 0),  \
                       CR_OPTS(cr_nn_opts, __VA_ARGS__))
#define cr_nn_softplus(...) CR_NN_0_(softplus, cr_softplus_opts, __VA_ARGS__)
#define cr_nn_gelu(...) CR_NN_0_(gelu, cr_gelu_opts, __VA_ARGS__)
#define cr_nn_elu(...) CR_NN_0_(elu, cr_elu_opts, __VA_ARGS__)
#define cr_nn_celu(...) CR_NN_0_(celu, cr_elu_opts, __VA_ARGS__)
#define cr_nn_hardtanh(...) CR_NN_0_(hardtanh, cr_hardtanh_opts, __VA_ARGS__)
#define cr_nn_hardshrink(...) CR_NN_0_(hardshrink, cr_shrink_opts, __VA_ARGS__)
#define cr_nn_softshrink(...) CR_NN_0_(softshrink, cr_shrink_opts, __VA_ARGS__)

/* The parameter weight [num_parameters], .init everywhere, is one slope for all, or one for each
 * channel of x [N, C, ..]: see cr_prelu.
 * usage: cr_nn_prelu(ctx), cr_nn_prelu(ctx, .num_parameters = 16, .init = CR_REAL(0)) */
typedef struct cr_nn_prelu_opts {
    const char *site CR_ZERO;
    int64_t num_parameters CR_ZERO; /* default 1 */
    cr_opt_real init CR_ZERO;       /* default 0.25 */
    cr_dtype dtype CR_ZERO;
} cr_nn_prelu_opts;
CR_API cr_module *cr_nn_prelu_at(cr_ctx *ctx, cr_nn_prelu_opts opts);
#define cr_nn_prelu(...) CR_NN_0_(prelu, cr_nn_prelu_opts, __VA_ARGS__)

/* Dropout with probability p while training, the identity otherwise.
 * usage: cr_nn_dropout(ctx, 0.2) */
CR_API cr_module *cr_nn_dropout_at(cr_ctx *ctx, double p, cr_nn_opts opts);
#define cr_nn_dropout(ctx, ...) \
    cr_nn_dropout_at(ctx, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_nn_opts, __VA_ARGS__))

/* Pooling of x [N, C, ..] or [C, ..] with as many dimensions of space as the name says: see
 * pooling.h. kernel_size and output_size are a number or a list.
 * usage: cr_nn_max_pool1d(ctx, 2), cr_nn_max_pool2d(ctx, 3, .stride = CR_DIMS(2)),
 *        cr_nn_max_pool3d(ctx, CR_DIMS(1, 2, 2)), cr_nn_avg_pool1d(ctx, 2),
 *        cr_nn_avg_pool2d(ctx, 3, .padding = CR_DIMS(1)), cr_nn_avg_pool3d(ctx, 2),
 *        cr_nn_lp_pool1d(ctx, 2, 3), cr_nn_lp_pool2d(ctx, 2, CR_DIMS(3, 2)),
 *        cr_nn_lp_pool3d(ctx, 1.5, 2, .ceil_mode = true), cr_nn_adaptive_max_pool1d(ctx, 3),
 *        cr_nn_adaptive_max_pool2d(ctx, CR_DIMS(3, 2)), cr_nn_adaptive_max_pool3d(ctx, 1),
 *        cr_nn_adaptive_avg_pool1d(ctx, 3), cr_nn_adaptive_avg_pool2d(ctx, 1),
 *        cr_nn_adaptive_avg_pool3d(ctx, 1) */
typedef struct cr_nn_max_pool_opts {
    const char *site CR_ZERO;
    cr_dims stride CR_ZERO;   /* default: kernel_size */
    cr_dims padding CR_ZERO;  /* default 0 */
    cr_dims dilation CR_ZERO; /* default 1 */
    bool ceil_mode CR_ZERO;
} cr_nn_max_pool_opts;
CR_API cr_module *cr_nn_max_pool1d_at(cr_ctx *ctx, cr_dims kernel_size,
                                       cr_nn_max_pool_opts opts);
CR_API cr_module *cr_nn_max_pool2d_at(cr_ctx *ctx, cr_dims kernel_size,
                                       cr_nn_max_pool_opts opts);
CR_API cr_module *cr_nn_max_pool3d_at(cr_ctx *ctx, cr_dims kernel_size,
                                       cr_nn_max_pool_opts opts);
CR_API cr_module *cr_nn_avg_pool1d_at(cr_ctx *ctx, cr_dims kernel_size,
                                       cr_avg_pool_opts opts);
CR_API cr_module *cr_nn_avg_pool2d_at(cr_ctx *ctx, cr_dims kernel_size,
                                       cr_avg_pool_opts opts);
CR_API cr_module *cr_nn_avg_pool3d_at(cr_ctx *ctx, cr_dims kernel_size,
                                       cr_avg_pool_opts opts);
CR_API cr_module *cr_nn_lp_pool1d_at(cr_ctx *ctx, double norm_type, cr_dims kernel_size,
                                      cr_lp_pool_opts opts);
CR_API cr_module *cr_nn_lp_pool2d_at(cr_ctx *ctx, double norm_type, cr_dims kernel_size,
                                      cr_lp_pool_opts opts);
CR_API cr_module *cr_nn_lp_pool3d_at(cr_ctx *ctx, double norm_type, cr_dims kernel_size,
                                      cr_lp_pool_opts opts);
CR_API cr_module *cr_nn_adaptive_max_pool1d_at(cr_ctx *ctx, cr_dims output_size,
                                                cr_nn_opts opts);
CR_API cr_module *cr_nn_adaptive_max_pool2d_at(cr_ctx *ctx, cr_dims output_size,
                                                cr_nn_opts opts);
CR_API cr_module *cr_nn_adaptive_max_pool3d_at(cr_ctx *ctx, cr_dims output_size,
                                                cr_nn_opts opts);
CR_API cr_module *cr_nn_adaptive_avg_pool1d_at(cr_ctx *ctx, cr_dims output_size,
                                                cr_nn_opts opts);
CR_API cr_module *cr_nn_adaptive_avg_pool2d_at(cr_ctx *ctx, cr_dims output_size,
                                                cr_nn_opts opts);
CR_API cr_module *cr_nn_adaptive_avg_pool3d_at(cr_ctx *ctx, cr_dims output_size,
                                                cr_nn_opts opts);
#define cr_nn_max_pool1d(ctx, ...) CR_NN_DIMS_(max_pool1d, cr_nn_max_pool_opts, ctx, __VA_ARGS__)
#define cr_nn_max_pool2d(ctx, ...) CR_NN_DIMS_(max_pool2d, cr_nn_max_pool_opts, ctx, __VA_ARGS__)
#define cr_nn_max_pool3d(ctx, ...) CR_NN_DIMS_(max_pool3d, cr_nn_max_pool_opts, ctx, __VA_ARGS__)
#define cr_nn_avg_pool1d(ctx, ...) CR_NN_DIMS_(avg_pool1d, cr_avg_pool_opts, ctx, __VA_ARGS__)
#define cr_nn_avg_pool2d(ctx, ...) CR_NN_DIMS_(avg_pool2d, cr_avg_pool_opts, ctx, __VA_ARGS__)
#define cr_nn_avg_pool3d(ctx, ...) CR_NN_DIMS_(avg_pool3d, cr_avg_pool_opts, ctx, __VA_ARGS__)
#define cr_nn_lp_pool1d(ctx, norm_type, ...) \
    CR_NN_LP_(lp_pool1d, ctx, norm_type, __VA_ARGS__)
#define cr_nn_lp_pool2d(ctx, norm_type, ...) \
    CR_NN_LP_(lp_pool2d, ctx, norm_type, __VA_ARGS__)
#define cr_nn_lp_pool3d(ctx, norm_type, ...) \
    CR_NN_LP_(lp_pool3d, ctx, norm_type, __VA_ARGS__)
#define CR_NN_LP_(name, ctx, norm_type, ...)                                \
    cr_nn_##name##_at(ctx, norm_type, CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)), \
                      CR_OPTS(cr_lp_pool_opts, __VA_ARGS__))
#define cr_nn_adaptive_max_pool1d(ctx, ...) \
    CR_NN_DIMS_(adaptive_max_pool1d, cr_nn_opts, ctx, __VA_ARGS__)
#define cr_nn_adaptive_max_pool2d(ctx, ...) \
    CR_NN_DIMS_(adaptive_max_pool2d, cr_nn_opts, ctx, __VA_ARGS__)
#define cr_nn_adaptive_max_pool3d(ctx, ...) \
    CR_NN_DIMS_(adaptive_max_pool3d, cr_nn_opts, ctx, __VA_ARGS__)
#define cr_nn_adaptive_avg_pool1d(ctx, ...) \
    CR_NN_DIMS_(adaptive_avg_pool1d, cr_nn_opts, ctx, __VA_ARGS__)
#define cr_nn_adaptive_avg_pool2d(ctx, ...) \
    CR_NN_DIMS_(adaptive_avg_pool2d, cr_nn_opts, ctx, __VA_ARGS__)
#define cr_nn_adaptive_avg_pool3d(ctx, ...) \
    CR_NN_DIMS_(adaptive_avg_pool3d, cr_nn_opts, ctx, __VA_ARGS__)

/* The dims from .start_dim to .end_dim as one, and one as several, whose sizes make it up (one may
 * be -1): see cr_flatten and cr_unflatten.
 * usage: cr_nn_flatten(ctx), cr_nn_flatten(ctx, .start_dim = CR_INT(0)),
 *        cr_nn_unflatten(ctx, 1, CR_DIMS(3, -1)) */
typedef struct cr_nn_flatten_opts {
    const char *site CR_ZERO;
    cr_opt_int start_dim CR_ZERO; /* default 1 */
    cr_opt_int end_dim CR_ZERO;   /* default -1 */
} cr_nn_flatten_opts;
CR_API cr_module *cr_nn_flatten_at(cr_ctx *ctx, cr_nn_flatten_opts opts);
CR_API cr_module *cr_nn_unflatten_at(cr_ctx *ctx, int dim, cr_dims sizes, cr_nn_opts opts);
#define cr_nn_flatten(...) CR_NN_0_(flatten, cr_nn_flatten_opts, __VA_ARGS__)
#define cr_nn_unflatten(ctx, dim, ...)                                \
    cr_nn_unflatten_at(ctx, dim, CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)), \
                       CR_OPTS(cr_nn_opts, __VA_ARGS__))

/* Batch normalisation, per channel: see cr_batch_norm. 1d is of [N, C] or [N, C, L], 2d of [N, C,
 * H, W], 3d of [N, C, D, H, W]. Parameters weight (ones) and bias (zeros), unless .no_affine;
 * buffers running_mean and running_var, unless .no_running_stats: then evaluation uses the batch's
 * statistics too.
 * usage: cr_nn_batch_norm1d(ctx, 64), cr_nn_batch_norm2d(ctx, 64, .momentum = CR_REAL(0.01)),
 *        cr_nn_batch_norm3d(ctx, 64, .no_affine = true) */
typedef struct cr_nn_batch_norm_opts {
    const char *site CR_ZERO;
    double eps CR_ZERO;           /* above 0; default 1e-5 */
    cr_opt_real momentum CR_ZERO; /* 0 to 1; default 0.1 */
    bool no_affine CR_ZERO;
    bool no_running_stats CR_ZERO;
    cr_dtype dtype CR_ZERO;
} cr_nn_batch_norm_opts;
CR_API cr_module *cr_nn_batch_norm1d_at(cr_ctx *ctx, int64_t num_features,
                                         cr_nn_batch_norm_opts opts);
CR_API cr_module *cr_nn_batch_norm2d_at(cr_ctx *ctx, int64_t num_features,
                                         cr_nn_batch_norm_opts opts);
CR_API cr_module *cr_nn_batch_norm3d_at(cr_ctx *ctx, int64_t num_features,
                                         cr_nn_batch_norm_opts opts);
#define cr_nn_batch_norm1d(ctx, ...) \
    CR_NN_1_(batch_norm1d, cr_nn_batch_norm_opts, ctx, __VA_ARGS__)
#define cr_nn_batch_norm2d(ctx, ...) \
    CR_NN_1_(batch_norm2d, cr_nn_batch_norm_opts, ctx, __VA_ARGS__)
#define cr_nn_batch_norm3d(ctx, ...) \
    CR_NN_1_(batch_norm3d, cr_nn_batch_norm_opts, ctx, __VA_ARGS__)

/* The same over each channel of each sample: see cr_instance_norm. Without parameters and running
 * statistics, unless asked for.
 * usage: cr_nn_instance_norm1d(ctx, 64), cr_nn_instance_norm2d(ctx, 64, .affine = true),
 *        cr_nn_instance_norm3d(ctx, 64, .track_running_stats = true) */
typedef struct cr_nn_instance_norm_opts {
    const char *site CR_ZERO;
    double eps CR_ZERO;           /* above 0; default 1e-5 */
    cr_opt_real momentum CR_ZERO; /* 0 to 1; default 0.1 */
    bool affine CR_ZERO;
    bool track_running_stats CR_ZERO;
    cr_dtype dtype CR_ZERO;
} cr_nn_instance_norm_opts;
CR_API cr_module *cr_nn_instance_norm1d_at(cr_ctx *ctx, int64_t num_features,
                                            cr_nn_instance_norm_opts opts);
CR_API cr_module *cr_nn_instance_norm2d_at(cr_ctx *ctx, int64_t num_features,
                                            cr_nn_instance_norm_opts opts);
CR_API cr_module *cr_nn_instance_norm3d_at(cr_ctx *ctx, int64_t num_features,
                                            cr_nn_instance_norm_opts opts);
#define cr_nn_instance_norm1d(ctx, ...) \
    CR_NN_1_(instance_norm1d, cr_nn_instance_norm_opts, ctx, __VA_ARGS__)
#define cr_nn_instance_norm2d(ctx, ...) \
    CR_NN_1_(instance_norm2d, cr_nn_instance_norm_opts, ctx, __VA_ARGS__)
#define cr_nn_instance_norm3d(ctx, ...) \
    CR_NN_1_(instance_norm3d, cr_nn_instance_norm_opts, ctx, __VA_ARGS__)

/* Over each of num_groups groups of the channels of each sample of x [N, C, ..]: see cr_group_norm.
 * num_groups divides num_channels. Parameters weight (ones) and bias (zeros), unless .no_affine.
 * usage: cr_nn_group_norm(ctx, 4, 64), cr_nn_group_norm(ctx, 4, 64, .eps = 1e-3) */
typedef struct cr_nn_group_norm_opts {
    const char *site CR_ZERO;
    double eps CR_ZERO; /* above 0; default 1e-5 */
    bool no_affine CR_ZERO;
    cr_dtype dtype CR_ZERO;
} cr_nn_group_norm_opts;
CR_API cr_module *cr_nn_group_norm_at(cr_ctx *ctx, int64_t num_groups, int64_t num_channels,
                                      cr_nn_group_norm_opts opts);
#define cr_nn_group_norm(ctx, num_groups, ...) \
    CR_NN_2_(group_norm, cr_nn_group_norm_opts, ctx, num_groups, __VA_ARGS__)

/* Layer normalisation over the last dimensions, a size or a list of sizes: see cr_layer_norm.
 * Parameters weight (ones) and bias (zeros), unless .no_affine, or .no_bias.
 * usage: cr_nn_layer_norm(ctx, 64), cr_nn_layer_norm(ctx, CR_DIMS(8, 8), .eps = 1e-6) */
typedef struct cr_nn_layer_norm_opts {
    const char *site CR_ZERO;
    double eps CR_ZERO; /* above 0; default 1e-5 */
    bool no_affine CR_ZERO;
    bool no_bias CR_ZERO;
    cr_dtype dtype CR_ZERO;
} cr_nn_layer_norm_opts;
CR_API cr_module *cr_nn_layer_norm_at(cr_ctx *ctx, cr_dims normalized_shape,
                                      cr_nn_layer_norm_opts opts);
#define cr_nn_layer_norm(ctx, ...) \
    CR_NN_DIMS_(layer_norm, cr_nn_layer_norm_opts, ctx, __VA_ARGS__)

/* The same without subtracting the mean: see cr_rms_norm. Parameter weight (ones), unless
 * .no_affine.
 * usage: cr_nn_rms_norm(ctx, 64), cr_nn_rms_norm(ctx, CR_DIMS(8, 8), .eps = CR_REAL(1e-6)) */
typedef struct cr_nn_rms_norm_opts {
    const char *site CR_ZERO;
    cr_opt_real eps CR_ZERO; /* above 0; default what 1 lies apart from the next f64, else f32 */
    bool no_affine CR_ZERO;
    cr_dtype dtype CR_ZERO;
} cr_nn_rms_norm_opts;
CR_API cr_module *cr_nn_rms_norm_at(cr_ctx *ctx, cr_dims normalized_shape,
                                    cr_nn_rms_norm_opts opts);
#define cr_nn_rms_norm(ctx, ...) CR_NN_DIMS_(rms_norm, cr_nn_rms_norm_opts, ctx, __VA_ARGS__)

/* Self-attention of x [.., L, E], E being embed_dim: see cr_scaled_dot_product_attention. Query,
 * key and value are x through the linear modules q_proj, k_proj and v_proj, in num_heads heads of
 * E / num_heads features each; out_proj follows. num_heads divides E. All four are uniform as in
 * PyTorch's MultiheadAttention, biases zeros. Attention weights are dropped while training.
 * usage: cr_nn_attention(ctx, 64, 4), cr_nn_attention(ctx, 64, 4, .is_causal = true) */
typedef struct cr_nn_attention_opts {
    const char *site CR_ZERO;
    bool is_causal CR_ZERO;    /* query i sees the keys j <= i */
    cr_opt_real scale CR_ZERO; /* of the scores; default 1 / sqrt(E / num_heads) */
    double dropout_p CR_ZERO;  /* 0 to 1 */
    bool no_bias CR_ZERO;
    cr_dtype dtype CR_ZERO;
} cr_nn_attention_opts;
CR_API cr_module *cr_nn_attention_at(cr_ctx *ctx, int64_t embed_dim, int64_t num_heads,
                                     cr_nn_attention_opts opts);
#define cr_nn_attention(ctx, embed_dim, ...) \
    CR_NN_2_(attention, cr_nn_attention_opts, ctx, embed_dim, __VA_ARGS__)

/* A module of your own: forward gets it and x; parameters and buffers are added by name, and child
 * modules with cr_nn_add(). Names have no dot in them and are given once. user is freed by
 * free_user, if given, also if the constructor fails.
 * usage: cr_nn_custom(ctx, "block", forward, NULL, NULL); cr_nn_add_param(block, "w", w) */
typedef cr_tensor *cr_nn_forward_fn(cr_module *module, cr_tensor *x, void *user);
CR_API cr_module *cr_nn_custom_at(cr_ctx *ctx, const char *kind, cr_nn_forward_fn *forward,
                                  void *user, void (*free_user)(void *user), cr_nn_opts opts);
CR_API cr_status cr_nn_add_param_at(cr_module *module, const char *name, cr_tensor *value,
                                    const char *site);
CR_API cr_status cr_nn_add_buffer_at(cr_module *module, const char *name, cr_tensor *value,
                                     const char *site);
#define cr_nn_custom(ctx, kind, forward, user, ...)                              \
    cr_nn_custom_at(ctx, kind, forward, user, CR_FIRST(__VA_ARGS__, 0),          \
                    CR_OPTS(cr_nn_opts, __VA_ARGS__))
#define cr_nn_add_param(module, name, value) cr_nn_add_param_at(module, name, value, CR_HERE)
#define cr_nn_add_buffer(module, name, value) cr_nn_add_buffer_at(module, name, value, CR_HERE)
CR_API bool cr_nn_is_training(const cr_module *module);

/* Initialisers assign a new value to a leaf. fan_in is the product of all sizes but the first,
 * fan_out of all but the second (PyTorch's convention for [out, in, ..]).
 *
 *     default         U(+-1/sqrt(fan_in))
 *     xavier_uniform  U(+-gain sqrt(6/(fan_in + fan_out)))       Glorot and Bengio, 2010
 *     xavier_normal   N(0, gain^2 2/(fan_in + fan_out))
 *     kaiming_uniform U(+-gain sqrt(3/fan)), fan = fan_in        He et al., 2015
 *     kaiming_normal  N(0, gain^2/fan)
 *     lecun_uniform   U(+-sqrt(3/fan_in))                        LeCun et al., 1998
 *     lecun_normal    N(0, 1/fan_in)
 *     orthogonal      gain Q, Q with orthonormal rows or columns Saxe et al., 2013
 *     constant        the value everywhere
 *     normal, uniform N(mean, std^2), U[low, high)
 *     trunc_normal    N(mean, std^2) of what lies in [a, b], some of which is to be within 7 std of
 *                     the mean
 *
 * cr_init_gain("relu", 0) is the gain of an activation: linear, sigmoid 1; tanh 5/3; relu sqrt 2;
 * leaky_relu sqrt(2/(1 + slope^2)); selu 3/4. Unknown names give NaN. */
CR_API double cr_init_gain(const char *activation, double slope);
CR_API cr_status cr_init_default_at(cr_tensor *param, const char *site);
CR_API cr_status cr_init_xavier_uniform_at(cr_tensor *param, double gain, const char *site);
CR_API cr_status cr_init_xavier_normal_at(cr_tensor *param, double gain, const char *site);
CR_API cr_status cr_init_kaiming_uniform_at(cr_tensor *param, double gain, const char *site);
CR_API cr_status cr_init_kaiming_normal_at(cr_tensor *param, double gain, const char *site);
CR_API cr_status cr_init_lecun_uniform_at(cr_tensor *param, const char *site);
CR_API cr_status cr_init_lecun_normal_at(cr_tensor *param, const char *site);
CR_API cr_status cr_init_orthogonal_at(cr_tensor *param, double gain, const char *site);
CR_API cr_status cr_init_constant_at(cr_tensor *param, double value, const char *site);
CR_API cr_status cr_init_normal_at(cr_tensor *param, double mean, double std, const char *site);
CR_API cr_status cr_init_uniform_at(cr_tensor *param, double low, double high, const char *site);
CR_API cr_status cr_init_trunc_normal_at(cr_tensor *param, double mean, double std, double a,
                                         double b, const char *site);
#define cr_init_default(param) cr_init_default_at(param, CR_HERE)
#define cr_init_xavier_uniform(param, gain) cr_init_xavier_uniform_at(param, gain, CR_HERE)
#define cr_init_xavier_normal(param, gain) cr_init_xavier_normal_at(param, gain, CR_HERE)
#define cr_init_kaiming_uniform(param, gain) cr_init_kaiming_uniform_at(param, gain, CR_HERE)
#define cr_init_kaiming_normal(param, gain) cr_init_kaiming_normal_at(param, gain, CR_HERE)
#define cr_init_lecun_uniform(param) cr_init_lecun_uniform_at(param, CR_HERE)
#define cr_init_lecun_normal(param) cr_init_lecun_normal_at(param, CR_HERE)
#define cr_init_orthogonal(param, gain) cr_init_orthogonal_at(param, gain, CR_HERE)
#define cr_init_constant(param, value) cr_init_constant_at(param, value, CR_HERE)
#define cr_init_normal(param, mean, std) cr_init_normal_at(param, mean, std, CR_HERE)
#define cr_init_uniform(param, low, high) cr_init_uniform_at(param, low, high, CR_HERE)
#define cr_init_trunc_normal(param, mean, std, a, b) \
    cr_init_trunc_normal_at(param, mean, std, a, b, CR_HERE)

/* Initialisers of whole networks. Layers are here linear modules and convolutions, in the order in
 * which they were added; they have zeros as biases then. Other parameters stay.
 *
 * cr_init_lsuv(): layer-sequential unit variance. Each weight is orthogonal at first, and is then,
 * while x runs through the module, divided by the standard deviation of the layer's output over all
 * its elements, until the variance is 1 within .tolerance, or .max_iterations times. In the mode in
 * which the module is; running statistics are what they were afterwards; hooks are called. A layer
 * that does not run stays orthogonal, one that runs several times is scaled the first time. A
 * variance of 0, or one that is not finite, is CR_ERR_VALUE, which names the layer: those before it
 * have been scaled, and after an error running statistics may have moved. Mishkin and Matas, 2016.
 *
 * cr_init_fixup(): residual networks without normalisation. With L branches, and m layers in a
 * branch: the last layer of each branch is zero, and so is the network's last one if it is in no
 * branch; the others are kaiming_normal with the gain of relu, times L^(-1/(2m - 2)) in a branch.
 * (A layer in nested branches counts to the innermost.) The scalar multipliers and biases of the
 * paper are no initialisation, and are not added. Zhang et al., 2019.
 * usage: cr_init_lsuv(net, x), cr_init_lsuv(net, x, .tolerance = 0.01, .max_iterations = 5) */
typedef struct cr_init_lsuv_opts {
    const char *site CR_ZERO;
    double tolerance CR_ZERO;   /* above 0; default 0.1 */
    int max_iterations CR_ZERO; /* default 10 */
} cr_init_lsuv_opts;
CR_API cr_status cr_init_lsuv_at(cr_module *module, cr_tensor *x, cr_init_lsuv_opts opts);
CR_API cr_status cr_init_fixup_at(cr_module *module, const char *site);
#define cr_init_lsuv(module, ...)                           \
    cr_init_lsuv_at(module, CR_FIRST(__VA_ARGS__, 0),       \
                    CR_OPTS(cr_init_lsuv_opts, __VA_ARGS__))
#define cr_init_fixup(module) cr_init_fixup_at(module, CR_HERE)

CR_END
#endif
