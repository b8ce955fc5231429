/* Optimisers and clipping. */
#ifndef CHAINRULE_OPTIMISERS_H
#define CHAINRULE_OPTIMISERS_H

#include "modules.h"

CR_BEGIN

/* An optimiser changes parameters by their gradients g; parameters whose gradient is NULL are
 * left alone, and so is what it knows about them. A step is a set of assignments: lazy, all or
 * nothing. lr is 0 or more.
 *
 * It takes the parameters that the list names when it is made: leaves (cr_requires_grad), floats,
 * each once. Of bf16 and f16 the state is f32, and so is the update, which is rounded at its end.
 * The list may be any: cr_nn_params() of a module, or cr_params_of() of tensors.
 * NULL, with an error that names the parameter or the setting, if anything is wrong; a list of NULL
 * has no context, and gives NULL alone. cr_optim_free(NULL) is allowed. */

/* A list of plain tensors. names may be NULL, and each name too: then it is the tensor's own
 * (cr_named). The list and its copies of the names live as long as the scope in which it is made.
 * NULL, with an error if there is a tensor, if tensors is NULL or any of them.
 * usage: cr_params_of((cr_tensor *[]){ w, b }, NULL, 2) */
CR_API const cr_params *cr_params_of_at(cr_tensor *const *tensors, const char *const *names, int n,
                                        const char *site);
#define cr_params_of(...) cr_params_of_at(__VA_ARGS__, CR_HERE)

/* g += weight_decay p; m = momentum m + g (m = g at first);
 * p -= lr (nesterov ? g + momentum m : m). Sutskever et al., 2013.
 * usage: cr_optim_sgd(params, 0.1), cr_optim_sgd(params, 0.1, .momentum = 0.9) */
typedef struct cr_sgd_opts {
    const char *site CR_ZERO;
    double momentum CR_ZERO;
    double weight_decay CR_ZERO;
    bool nesterov CR_ZERO; /* needs momentum */
} cr_sgd_opts;
CR_API cr_optim *cr_optim_sgd_at(const cr_params *params, double lr, cr_sgd_opts opts);
#define cr_optim_sgd(params, ...)                        \
    cr_optim_sgd_at(params, CR_FIRST(__VA_ARGS__, 0),    \
                    CR_OPTS(cr_sgd_opts, __VA_ARGS__))

/* m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
 * p -= lr / (1-b1^t) m / (sqrt(v) / sqrt(1-b2^t) + eps). Kingma and Ba, 2015.
 * weight_decay: adam adds weight_decay p to g; adamw first multiplies p by 1 - lr weight_decay
 * (Loshchilov and Hutter, 2019), and takes it by position, since its usual value is not 0. Each
 * parameter counts its own steps t.
 * usage: cr_optim_adam(params, 1e-3), cr_optim_adamw(params, 1e-3, 0.01, .eps = 1e-6) */
typedef struct cr_adam_opts {
    const char *site CR_ZERO;
    cr_reals betas CR_ZERO; /* default 0.9, 0.999 */
    double eps CR_ZERO;     /* above 0; default 1e-8 */
    double weight_decay CR_ZERO;
} cr_adam_opts;
typedef struct cr_adamw_opts {
    const char *site CR_ZERO;
    cr_reals betas CR_ZERO; /* default 0.9, 0.999 */
    double eps CR_ZERO;     /* above 0; default 1e-8 */
} cr_adamw_opts;
CR_API cr_optim *cr_optim_adam_at(const cr_params *params, double lr, cr_adam_opts opts);
CR_API cr_optim *cr_optim_adamw_at(const cr_params *params, double lr, double weight_decay,
                                   cr_adamw_opts opts);
#define cr_optim_adam(params, ...)                        \
    cr_optim_adam_at(params, CR_FIRST(__VA_ARGS__, 0),    \
                     CR_OPTS(cr_adam_opts, __VA_ARGS__))
#define cr_optim_adamw(params, lr, ...)                        \
    cr_optim_adamw_at(params, lr, CR_FIRST(__VA_ARGS__, 0),    \
                      CR_OPTS(cr_adamw_opts, __VA_ARGS__))

CR_API cr_status cr_optim_zero_grad(cr_optim *optim);
CR_API cr_status cr_optim_step(cr_optim *optim);
/* What it steps, in the order of the list that it was made with, by the tensors' own names. Lives
 * as long as the optimiser; NULL if that is. */
CR_API const cr_params *cr_optim_params(const cr_optim *optim);
CR_API double cr_optim_lr(const cr_optim *optim);
CR_API cr_status cr_optim_set_lr(cr_optim *optim, double lr);
CR_API void cr_optim_free(cr_optim *optim);

/* Scales all gradients together so that their joint 2-norm is at most max_norm: by
 * min(1, max_norm / (norm + 1e-6)). Returns the norm before (a scalar tensor: f64 if a gradient
 * is, else f32; the sum of squares in f64). A norm that is not finite fails the run with a message
 * that names the parameter. Pascanu et al., 2013. */
CR_API cr_tensor *cr_clip_grad_norm_at(const cr_params *params, double max_norm, const char *site);
#define cr_clip_grad_norm(params, max_norm) cr_clip_grad_norm_at(params, max_norm, CR_HERE)

/* Clamps every element of every gradient to [-clip_value, clip_value]. */
CR_API cr_status cr_clip_grad_value_at(const cr_params *params, double clip_value,
                                       const char *site);
#define cr_clip_grad_value(params, clip_value) cr_clip_grad_value_at(params, clip_value, CR_HERE)

CR_END
#endif
