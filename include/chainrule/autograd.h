/* More of automatic differentiation: hooks, several roots, products with Jacobians and Hessians,
 * recomputation, checks of your own graph, and explanations. cr_requires_grad(), cr_backward(),
 * cr_grad(), cr_gradients() and cr_gradcheck() are in core.h. */
#ifndef CHAINRULE_AUTOGRAD_H
#define CHAINRULE_AUTOGRAD_H

#include "macros.h"

CR_BEGIN

/* ---- Several roots ----------------------------------------------------------------- */

/* A backward pass from n tensors at once, each operation once: for every leaf beneath them, grad +=
 * the sum over i of d losses[i] / d leaf, weighted by cotangents[i]. One whose cotangent is not
 * given is a scalar and has 1. The same tensor may stand there more than once, and beneath another.
 * Errors: as of cr_backward(), naming losses[i]; then no gradient has changed.
 * usage: cr_backward_many(losses, 2), cr_backward_many(ys, 2, .cotangents = gs) */
typedef struct cr_backward_many_opts {
    const char *site CR_ZERO;
    bool retain_graph CR_ZERO;
    cr_tensor *const *cotangents CR_ZERO; /* one for each, NULLs among them for ones */
    cr_tensor *const *inputs CR_ZERO;     /* as in cr_backward_opts */
    int n_inputs CR_ZERO;
} cr_backward_many_opts;
CR_API cr_status cr_backward_many_at(cr_tensor *const *losses, int n, cr_backward_many_opts opts);
#define cr_backward_many(losses, ...)                              \
    cr_backward_many_at(losses, CR_FIRST(__VA_ARGS__, 0),          \
                        CR_OPTS(cr_backward_many_opts, __VA_ARGS__))

/* ---- Hooks ------------------------------------------------------------------------- */

/* Hooks are functions of yours that a tensor calls. A tensor's hooks are called in the order in
 * which they were registered; they belong to the tensor, as all that is registered with one does,
 * and go with it; `user` is yours and must live as long. What registers returns the hook's number,
 * by which it is removed, or 0 with an error: CR_ERR_GRAD for a tensor that needs no gradient.
 *
 * A hook may register and remove hooks, its own too: those that are new are called the next time,
 * those that are removed not any more. It ends the scopes that it opens, and no others. If it
 * records an error (cr_fail(), or a call that failed) the call that it was called from fails with
 * that error.
 *
 * cr_register_hook(): called with the cotangent of x, complete, each time when a backward pass or
 * cr_gradients() reaches x, and before it goes on beneath. The cotangent is as lazy as everything:
 * the pass is being recorded. The hook returns NULL, or what is to take the cotangent's place: a
 * tensor of the same shape and dtype, anything else being an error that names x. Gradients are off
 * in a hook, unless the pass has create_graph. It may record and read values, but not start another
 * pass. The gradient that cr_watch() keeps is what the last hook has returned. A leaf's hooks are
 * called once in a pass, behind those of all others, with what the pass adds to its gradient. To
 * read a cotangent later, cr_watch() it in the hook: it is the scope's in which the pass was begun.
 * usage: cr_register_hook(x, hook, user)
 *
 * cr_register_post_accumulate_grad_hook(): called with the leaf when a run has computed and
 * committed a gradient that backward passes have accumulated in it, once for each such run, from
 * the call that started the run (cr_item(), cr_eval(), the end of a scope, ...), before that
 * returns. cr_grad(leaf) is known then. The hook is free to do what you could do instead of that
 * call: assign to the leaf, make its gradient NULL, read, record, start a backward pass. What it
 * changes takes effect with the next run, which it may start itself; what that makes due is called
 * behind it, never in the midst of a hook. Gradients are off in it. The end of a scope computes
 * what its hooks leave pending. A value that you read by the call is that behind the hooks. In a
 * run that a vjp or a hook of the other kind starts, calling waits until the pass is over.
 * usage: cr_register_post_accumulate_grad_hook(leaf, hook, user) */
CR_API uint64_t cr_register_hook_at(cr_tensor *x, cr_hook *hook, void *user, const char *site);
#define cr_register_hook(x, hook, user) cr_register_hook_at(x, hook, user, CR_HERE)
CR_API uint64_t cr_register_post_accumulate_grad_hook_at(cr_tensor *leaf,
                                                         cr_post_accumulate_hook *hook, void *user,
                                                         const char *site);
#define cr_register_post_accumulate_grad_hook(leaf, hook, user) \
    cr_register_post_accumulate_grad_hook_at(leaf, hook, user, CR_HERE)

/* CR_ERR_ARGUMENT if x has no hook of this number. */
CR_API cr_status cr_remove_hook(cr_tensor *x, uint64_t id);

/* ---- Recomputation ------------------------------------------------------------------ */

/* CR_RECOMPUTE(ctx); as a declaration, like CR_NO_GRAD(ctx);, or between the two calls: what is
 * recorded until its block ends is not kept for backward passes, but computed again in them, with
 * the same bits, those of random operations too. What is kept is what the block reads of the rest:
 * of a deep stack, one block for each layer or few, the inputs of the blocks, and the values of one
 * block at a time:
 *
 *     for (int i = 0; i < 50; i++) {
 *         CR_RECOMPUTE(ctx);
 *         h = cr_nn_forward(layers[i], h);
 *     }
 *
 * It costs one more forward pass. A block within a block is part of that. Kept all the same is what
 * you read, watch or keep, and what operations outside of the block have for their own gradients.
 * Each pass computes again, also with .retain_graph. With .create_graph what was let go is computed
 * again all at once, and kept for the passes over its gradients. Nothing is recomputed in eager
 * mode, which keeps values; nor of what is recorded where gradients are off when the block begins,
 * or by a backward pass. The two calls beneath are cr_recompute_push(ctx) and
 * cr_recompute_pop(ctx). */

/* ---- Jacobians and Hessians --------------------------------------------------------- */

/* Of recorded graphs: ys, functions of xs, which may be leaves or intermediate. Leaves' gradients
 * stay untouched. Results are as lazy as everything, constants unless .create_graph, and those that
 * do not depend on an x are zeros, as PyTorch's are, or with .strict an error. Values of the
 * forward pass are let go behind the last product, unless .retain_graph; they would be computed
 * again. out may be the memory of arguments. Errors: as of cr_gradients(); CR_ERR_SHAPE and
 * CR_ERR_DTYPE for vectors unlike what they belong to; CR_ERR_GRAD for a y of cr_hvp() or
 * cr_hessian() that is no scalar.
 *
 * cr_vjp:      out[j] = sum_i cotangents[i]^T d ys[i] / d xs[j], shaped like xs[j]
 * cr_jvp:      out[i] = sum_j d ys[i] / d xs[j] tangents[j], shaped like ys[i]: the derivative of
 *              ys along the tangents, at the cost of two backward passes (double vjp)
 * cr_hvp:      out[j] = sum_k d^2 y / (d xs[j] d xs[k]) vectors[k], of a scalar y
 * cr_jacobian: d y / d x, of shape y's dims, then x's; as many backward passes as y has elements
 * cr_hessian:  d^2 y / dx^2 of a scalar y, of shape x's dims twice; of other pairs it is the
 *              cr_jacobian() of a gradient that cr_gradients() has made with .create_graph
 *
 * usage: cr_vjp(ys, 2, xs, 3, cotangents, out), cr_jvp(&y, 1, &x, 1, &tangent, &dy),
 *        cr_hvp(loss, xs, 2, vectors, out, .create_graph = true),
 *        cr_jacobian(y, x), cr_hessian(loss, x, .strict = true) */
typedef struct cr_product_opts {
    const char *site CR_ZERO;
    bool create_graph CR_ZERO; /* the result can be differentiated again */
    bool retain_graph CR_ZERO; /* implied by create_graph */
    bool strict CR_ZERO;       /* independent of an x: an error, no zeros */
} cr_product_opts;
CR_API cr_status cr_vjp_at(cr_tensor *const *ys, int n_ys, cr_tensor *const *xs, int n_xs,
                           cr_tensor *const *cotangents, cr_tensor **out, cr_product_opts opts);
CR_API cr_status cr_jvp_at(cr_tensor *const *ys, int n_ys, cr_tensor *const *xs, int n_xs,
                           cr_tensor *const *tangents, cr_tensor **out, cr_product_opts opts);
CR_API cr_status cr_hvp_at(cr_tensor *y, cr_tensor *const *xs, int n_xs,
                           cr_tensor *const *vectors, cr_tensor **out, cr_product_opts opts);
CR_API cr_tensor *cr_jacobian_at(cr_tensor *y, cr_tensor *x, cr_product_opts opts);
CR_API cr_tensor *cr_hessian_at(cr_tensor *y, cr_tensor *x, cr_product_opts opts);
#define cr_vjp(ys, n_ys, xs, n_xs, cotangents, ...)                          \
    cr_vjp_at(ys, n_ys, xs, n_xs, cotangents, CR_FIRST(__VA_ARGS__, 0),      \
              CR_OPTS(cr_product_opts, __VA_ARGS__))
#define cr_jvp(ys, n_ys, xs, n_xs, tangents, ...)                            \
    cr_jvp_at(ys, n_ys, xs, n_xs, tangents, CR_FIRST(__VA_ARGS__, 0),        \
              CR_OPTS(cr_product_opts, __VA_ARGS__))
#define cr_hvp(y, xs, n_xs, vectors, ...)                                    \
    cr_hvp_at(y, xs, n_xs, vectors, CR_FIRST(__VA_ARGS__, 0),                \
              CR_OPTS(cr_product_opts, __VA_ARGS__))
#define cr_jacobian(y, ...)                                                  \
    cr_jacobian_at(y, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_product_opts, __VA_ARGS__))
#define cr_hessian(y, ...)                                                   \
    cr_hessian_at(y, CR_FIRST(__VA_ARGS__, 0), CR_OPTS(cr_product_opts, __VA_ARGS__))

/* ---- Per-sample gradients ----------------------------------------------------------- */

/* grads[j] = d losses[k] / d xs[j] for each element k of the vector losses [N], of shape N, then
 * the dims of xs[j] (leaves, or what is made of leaves alone): what clipping by sample and the
 * Fisher information want. Where losses[k] depends on sample k of the batch alone, along the first
 * dim of activations, this is one walk, in which each layer makes the gradients of all samples at
 * once: linear layers, matrix products, embeddings, convolutions, layer, group and instance norm,
 * whatever is element by element or within a sample, and parameters that are used more than once.
 * Where samples mix it is right all the same: behind the mean of a batch norm each sample goes its
 * own way, operation by operation, and behind what does not say how it treats samples
 * (cr_op.apart, of your own operations) there is a pass for each loss.
 * Zeros for what no loss depends on, unless .strict; options, and what is let go, as of cr_vjp().
 * Hooks are not called but where there are passes. Leaves' gradients stay untouched.
 * usage: cr_per_sample_gradients(losses, xs, 2, grads) */
CR_API cr_status cr_per_sample_gradients_at(cr_tensor *losses, cr_tensor *const *xs, int n_xs,
                                            cr_tensor **grads, cr_product_opts opts);
#define cr_per_sample_gradients(losses, xs, n_xs, ...)                             \
    cr_per_sample_gradients_at(losses, xs, n_xs, CR_FIRST(__VA_ARGS__, 0),         \
                               CR_OPTS(cr_product_opts, __VA_ARGS__))

/* ---- Verifying your own graph -------------------------------------------------------- */

/* Checks the gradient of every operation beneath loss (of any shape), at the values that it has
 * there: what its vjp gives against differences, along a random direction of each input, which
 * takes two evaluations of the operation; where they differ it is halved until one element is left.
 * CR_ERR_GRAD names that: operation, place, input, element, value, and both slopes,
 *
 *     verify_graph: my_op (net.c:12): input 1 (w) of shape [3], element [2], which is 0.5: the vjp
 *     gives 2, finite differences 1 (f64)
 *
 * Operations of the library are checked in f64, on copies of the values, whatever their type; your
 * own (cr_op, cr_custom()) in the types that they have in the graph, since their kernels may know
 * no others: in f32 only to some digits. Passed over are elements near cr_op.kinks, those where the
 * slopes of the two sides differ (kinks, ties, jumps), those that are not finite, casts, and your
 * own operations on bf16 and f16. Values that were let go are computed again. Nothing changes.
 * Tolerance as of cr_gradcheck(), which checks second order, too.
 * usage: cr_verify_graph(loss), cr_verify_graph(loss, .rtol = 1e-2) */
typedef struct cr_verify_opts {
    const char *site CR_ZERO;
    double atol CR_ZERO; /* default 1e-5; of your own operations in f32 1e-2 */
    double rtol CR_ZERO; /* default 1e-3; of these 2e-2 */
} cr_verify_opts;
CR_API cr_status cr_verify_graph_at(cr_tensor *loss, cr_verify_opts opts);
#define cr_verify_graph(...)                           \
    cr_verify_graph_at(CR_FIRST(__VA_ARGS__, 0),       \
                       CR_OPTS(cr_verify_opts, __VA_ARGS__))

/* ---- Infinities and NaNs ------------------------------------------------------------ */

/* Whether infinities and NaNs are traced to where they come from (cr_options.trace_nonfinite). A
 * run then looks at what stays: values that are read, watched or kept, gradients, new values of
 * leaves. If one of them is not finite, the run fails with CR_ERR_NONFINITE, changes nothing, and
 * its message says where the first came from: the operation that made it of finite operands, the
 * place in your program, forward or backward, the element, and the operands there; or the tensor
 * that was given with it. Operations that only passed it on are counted:
 *
 *     eval: nan in the gradient of "x" [3], element [1]: made in the backward pass of train.c:14 by
 *     div, f32 [3], element [1], of 0 and 0; a zero cotangent met an infinite derivative: usually a
 *     branch that cr_where() does not take: choose the operand, f(cr_where(c, x, 1)), and then ..
 *
 * For that the run is repeated, operation by operation, each value being kept, if there is memory;
 * what has changed by then is taken back. What is infinite and has no effect, such as a mask of
 * -inf before a softmax, is no matter. While this is on a run takes more memory, since it writes
 * over nothing that it replaces. Values have the same bits. */
CR_API void cr_trace_nonfinite(cr_ctx *ctx, bool on);

CR_END
#endif
