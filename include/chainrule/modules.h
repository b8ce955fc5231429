/* Modules, their parameters, and initialisers. */
#ifndef CHAINRULE_MODULES_H
#define CHAINRULE_MODULES_H

#include "convolutions.h"
#include "indexing.h"
#include "maps.h"

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

/* Activations, without parameters, with the options of their functions.
 * usage: cr_nn_sigmoid(ctx), cr_nn_tanh(ctx), cr_nn_relu(ctx), cr_nn_silu(ctx), cr_nn_gelu(ctx),
 * cr_nn_leaky_relu(ctx, 0.01), cr_nn_softplus(ctx, .beta = 2) */
CR_API cr_module *cr_nn_sigmoid_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_tanh_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_relu_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_silu_at(cr_ctx *ctx, cr_nn_opts opts);
CR_API cr_module *cr_nn_leaky_relu_at(cr_ctx *ctx, double negative_slope, cr_nn_opts opts);
CR_API cr_module *cr_nn_softplus_at(cr_ctx *ctx, cr_softplus_opts opts);
CR_API cr_module *cr_nn_gelu_at(cr_ctx *ctx, cr_gelu_opts opts);
#define cr_nn_sigmoid(...) \
    cr_nn_sigmoid_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_nn_opts, __VA_ARGS__))
#define cr_nn_tanh(...) \
    cr_nn_tanh_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_nn_opts, __VA_ARGS__))
#define cr_nn_relu(...) \
    cr_nn_relu_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_nn_opts, __VA_ARGS__))
#define cr_nn_silu(...) \
    cr_nn_silu_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_nn_opts, __VA_ARGS__))
#define cr_nn_leaky_relu(ctx, ...) \
    cr_nn_leaky_relu_at(ctx, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_nn_opts, __VA_ARGS__))
#define cr_nn_softplus(...) \
    cr_nn_softplus_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_softplus_opts, __VA_ARGS__))
#define cr_nn_gelu(...) \
    cr_nn_gelu_at(CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_gelu_opts, __VA_ARGS__))

/* Dropout with probability p while training, the identity otherwise.
 * usage: cr_nn_dropout(ctx, 0.2) */
CR_API cr_module *cr_nn_dropout_at(cr_ctx *ctx, double p, cr_nn_opts opts);
#define cr_nn_dropout(ctx, ...) \
    cr_nn_dropout_at(ctx, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_nn_opts, __VA_ARGS__))

/* Batch normalisation of [N, features] or [N, features, L]: see cr_batch_norm. Parameters weight
 * (ones) and bias (zeros), unless .no_affine; buffers running_mean and running_var, unless
 * .no_running_stats: then evaluation uses the batch's statistics too.
 * usage: cr_nn_batch_norm1d(ctx, 64), cr_nn_batch_norm1d(ctx, 64, .momentum = CR_REAL(0.01)) */
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
#define cr_nn_batch_norm1d(ctx, ...)                       \
    cr_nn_batch_norm1d_at(ctx, CR_FIRST(__VA_ARGS__, 0),   \
                          CR_OPTS(cr_nn_batch_norm_opts, __VA_ARGS__))

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
#define cr_nn_layer_norm(ctx, ...)                                  \
    cr_nn_layer_norm_at(ctx, CR_DIM_ARG(CR_FIRST(__VA_ARGS__, 0)),  \
                        CR_OPTS(cr_nn_layer_norm_opts, __VA_ARGS__))

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
 *     orthogonal      gain Q, Q with orthonormal rows or columns Saxe et al., 2013
 *     constant        the value everywhere
 *     normal, uniform N(mean, std^2), U[low, high)
 *
 * cr_init_gain("relu", 0) is the gain of an activation: linear, sigmoid 1; tanh 5/3; relu sqrt 2;
 * leaky_relu sqrt(2/(1 + slope^2)); selu 3/4. Unknown names give NaN. */
CR_API double cr_init_gain(const char *activation, double slope);
CR_API cr_status cr_init_default_at(cr_tensor *param, const char *site);
CR_API cr_status cr_init_xavier_uniform_at(cr_tensor *param, double gain, const char *site);
CR_API cr_status cr_init_xavier_normal_at(cr_tensor *param, double gain, const char *site);
CR_API cr_status cr_init_kaiming_uniform_at(cr_tensor *param, double gain, const char *site);
CR_API cr_status cr_init_kaiming_normal_at(cr_tensor *param, double gain, const char *site);
CR_API cr_status cr_init_orthogonal_at(cr_tensor *param, double gain, const char *site);
CR_API cr_status cr_init_constant_at(cr_tensor *param, double value, const char *site);
CR_API cr_status cr_init_normal_at(cr_tensor *param, double mean, double std, const char *site);
CR_API cr_status cr_init_uniform_at(cr_tensor *param, double low, double high, const char *site);
#define cr_init_default(param) cr_init_default_at(param, CR_HERE)
#define cr_init_xavier_uniform(param, gain) cr_init_xavier_uniform_at(param, gain, CR_HERE)
#define cr_init_xavier_normal(param, gain) cr_init_xavier_normal_at(param, gain, CR_HERE)
#define cr_init_kaiming_uniform(param, gain) cr_init_kaiming_uniform_at(param, gain, CR_HERE)
#define cr_init_kaiming_normal(param, gain) cr_init_kaiming_normal_at(param, gain, CR_HERE)
#define cr_init_orthogonal(param, gain) cr_init_orthogonal_at(param, gain, CR_HERE)
#define cr_init_constant(param, value) cr_init_constant_at(param, value, CR_HERE)
#define cr_init_normal(param, mean, std) cr_init_normal_at(param, mean, std, CR_HERE)
#define cr_init_uniform(param, low, high) cr_init_uniform_at(param, low, high, CR_HERE)

CR_END
#endif
