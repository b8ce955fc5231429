/* Modules, their parameters, and initialisers. */
#ifndef CHAINRULE_MODULES_H
#define CHAINRULE_MODULES_H

#include "macros.h"

CR_BEGIN

/* A module owns parameters, buffers and the modules added to it. Constructors return NULL with an
 * error in the context. cr_nn_free() frees it with all it owns; NULL is allowed. A module that was
 * added to another belongs to that one; adding a NULL or an owned one is an error. */
CR_API void cr_nn_free(cr_module *module);

/* Runs the module on x. NULL if either is NULL or an error is pending. */
CR_API cr_tensor *cr_nn_forward_at(cr_module *module, cr_tensor *x, const char *site);
#define cr_nn_forward(module, x) cr_nn_forward_at(module, x, CR_HERE)

/* Training mode (the start) or evaluation: matters to dropout and batch norm. For the module and
 * all it holds. */
CR_API void cr_nn_train(cr_module *module, bool training);

/* The parameters of a module and all it holds, in the order of construction, with names like
 * "0.weight" or "2.inner.bias"; the list belongs to the module and is remade when modules are
 * added. Buffers (running statistics) are listed by cr_nn_buffers(). */
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
CR_API cr_tensor *cr_nn_param(cr_module *module, const char *name);

/* The modules inside: how many, the i-th, and what kind a module is ("linear", "relu", ...). */
CR_API int cr_nn_count(const cr_module *module);
CR_API cr_module *cr_nn_child(const cr_module *module, int i);
CR_API const char *cr_nn_kind(const cr_module *module);

/* Runs its parts one after the other. cr_nn_add() takes over child (also on failure). */
CR_API cr_module *cr_nn_sequential(cr_ctx *ctx);
CR_API cr_status cr_nn_add(cr_module *sequential, cr_module *child);

/* x + inner(x); takes over inner. He et al., 2016. */
CR_API cr_module *cr_nn_residual(cr_ctx *ctx, cr_module *inner);

/* x W^T + b with W [out, in] and b [out], both uniform in +-1/sqrt(in).
 * usage: cr_nn_linear(ctx, 64, 10), cr_nn_linear(ctx, 64, 10, .no_bias = true) */
typedef struct cr_nn_linear_opts {
    const char *site CR_ZERO;
    bool no_bias CR_ZERO;
    cr_dtype dtype CR_ZERO;
} cr_nn_linear_opts;
CR_API cr_module *cr_nn_linear_at(cr_ctx *ctx, int64_t in, int64_t out, cr_nn_linear_opts opts);
#define cr_nn_linear(ctx, in, ...)                              \
    cr_nn_linear_at(ctx, in, CR_FIRST(__VA_ARGS__, 0),        \
                      CR_OPTS(cr_nn_linear_opts, __VA_ARGS__))

/* Activations, without parameters. */
CR_API cr_module *cr_nn_sigmoid(cr_ctx *ctx);
CR_API cr_module *cr_nn_tanh(cr_ctx *ctx);
CR_API cr_module *cr_nn_relu(cr_ctx *ctx);
CR_API cr_module *cr_nn_leaky_relu(cr_ctx *ctx, double negative_slope);
CR_API cr_module *cr_nn_softplus(cr_ctx *ctx);
CR_API cr_module *cr_nn_gelu(cr_ctx *ctx);
CR_API cr_module *cr_nn_silu(cr_ctx *ctx);

/* Dropout with probability p while training, the identity otherwise. */
CR_API cr_module *cr_nn_dropout(cr_ctx *ctx, double p);

/* Normalisation of [N, features]: see cr_batch_norm (momentum 0.1) and cr_layer_norm. Parameters
 * weight (ones) and bias (zeros); batch norm's buffers running_mean, running_var. */
CR_API cr_module *cr_nn_batch_norm1d(cr_ctx *ctx, int64_t features, cr_dtype dtype);
CR_API cr_module *cr_nn_layer_norm(cr_ctx *ctx, int64_t features, cr_dtype dtype);

/* A module of your own: forward gets it and x; parameters and buffers are added by name, and child
 * modules with cr_nn_add(). user is freed by free_user, if given. */
typedef cr_tensor *cr_nn_forward_fn(cr_module *module, cr_tensor *x, void *user);
CR_API cr_module *cr_nn_custom(cr_ctx *ctx, const char *kind, cr_nn_forward_fn *forward, void *user,
                               void (*free_user)(void *user));
CR_API cr_status cr_nn_add_param(cr_module *module, const char *name, cr_tensor *value);
CR_API cr_status cr_nn_add_buffer(cr_module *module, const char *name, cr_tensor *value);
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
CR_API cr_status cr_init_default(cr_tensor *param);
CR_API cr_status cr_init_xavier_uniform(cr_tensor *param, double gain);
CR_API cr_status cr_init_xavier_normal(cr_tensor *param, double gain);
CR_API cr_status cr_init_kaiming_uniform(cr_tensor *param, double gain);
CR_API cr_status cr_init_kaiming_normal(cr_tensor *param, double gain);
CR_API cr_status cr_init_orthogonal(cr_tensor *param, double gain);
CR_API cr_status cr_init_constant(cr_tensor *param, double value);
CR_API cr_status cr_init_normal(cr_tensor *param, double mean, double std);
CR_API cr_status cr_init_uniform(cr_tensor *param, double low, double high);

CR_END
#endif
