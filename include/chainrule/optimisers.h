/* Optimisers and clipping. */
#ifndef CHAINRULE_OPTIMISERS_H
#define CHAINRULE_OPTIMISERS_H

#include "modules.h"

CR_BEGIN

/* An optimiser changes parameters by their gradients g; parameters whose gradient is NULL are
 * left alone. The list must outlive it. A step is a set of assignments: lazy, all or nothing. */
typedef struct cr_sgd_opts {
    const char *site CR_ZERO;
    double momentum CR_ZERO;
    double weight_decay CR_ZERO;
    bool nesterov CR_ZERO; /* needs momentum */
} cr_sgd_opts;
typedef struct cr_adam_opts {
    const char *site CR_ZERO;
    cr_reals betas CR_ZERO; /* default 0.9, 0.999 */
    double eps CR_ZERO;     /* above 0; default 1e-8 */
} cr_adam_opts;

/* g += weight_decay p; m = momentum m + g (m = g at first); p -= lr (nesterov ? g + momentum m : m).
 * Sutskever et al., 2013. */
CR_API cr_optim *cr_optim_sgd_at(const cr_params *params, double lr, cr_sgd_opts opts);
#define cr_optim_sgd(params, ...)                          \
    cr_optim_sgd_at(params, CR_FIRST(__VA_ARGS__, 0),    \
                      CR_OPTS(cr_sgd_opts, __VA_ARGS__))

/* m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
 * p -= lr / (1-b1^t) m / (sqrt(v) / sqrt(1-b2^t) + eps). Kingma and Ba, 2015.
 * weight_decay: adam adds weight_decay p to g; adamw first multiplies p by 1 - lr weight_decay
 * (Loshchilov and Hutter, 2019). */
CR_API cr_optim *cr_optim_adam_at(const cr_params *params, double lr, double weight_decay,
                                    cr_adam_opts opts);
CR_API cr_optim *cr_optim_adamw_at(const cr_params *params, double lr, double weight_decay,
                                     cr_adam_opts opts);
#define cr_optim_adam(params, lr, ...)                           \
    cr_optim_adam_at(params, lr, CR_FIRST(__VA_ARGS__, 0),     \
                       CR_OPTS(cr_adam_opts, __VA_ARGS__))
#define cr_optim_adamw(params, lr, ...)                          \
    cr_optim_adamw_at(params, lr, CR_FIRST(__VA_ARGS__, 0),    \
                        CR_OPTS(cr_adam_opts, __VA_ARGS__))

CR_API cr_status cr_optim_zero_grad(cr_optim *optim);
CR_API cr_status cr_optim_step(cr_optim *optim);
CR_API double cr_optim_lr(const cr_optim *optim);
CR_API cr_status cr_optim_set_lr(cr_optim *optim, double lr);
CR_API void cr_optim_free(cr_optim *optim);

/* Scales all gradients together so that their joint 2-norm is at most max_norm: by
 * min(1, max_norm / (norm + 1e-6)). Returns the norm before (a scalar tensor; the parameters'
 * dtype, the sum of squares in f64). A norm that is not finite fails the run with a message that
 * names the parameter. Pascanu et al., 2013. */
CR_API cr_tensor *cr_clip_grad_norm_at(const cr_params *params, double max_norm, const char *site);
#define cr_clip_grad_norm(params, max_norm) cr_clip_grad_norm_at(params, max_norm, CR_HERE)

/* Clamps every element of every gradient to [-clip_value, clip_value]. */
CR_API cr_status cr_clip_grad_value_at(const cr_params *params, double clip_value,
                                       const char *site);
#define cr_clip_grad_value(params, clip_value) cr_clip_grad_value_at(params, clip_value, CR_HERE)

CR_END
#endif
