/* Attention. */
#ifndef CHAINRULE_ATTENTION_H
#define CHAINRULE_ATTENTION_H

#include "macros.h"

CR_BEGIN

/* softmax(scale q k^T + mask) v, softmax along the keys, for q [.., L, E], k [.., S, E] and v [..,
 * S, Ev], whose leading dims broadcast; the result is [.., L, Ev].
 *
 *     attn_mask      NULL, or what broadcasts to [.., L, S]: bools, true where a key takes part, or
 *                    floats, which are added, and which may want a gradient
 *     is_causal      query i sees the keys j <= i; without another mask
 *     scale          default 1 / sqrt(E)
 *     dropout_p      weights are dropped with that probability, as by cr_dropout()
 *     enable_gqa     heads of q, [.., n H, L, E], share those of k and v, [.., H, S, ..]
 *
 * A query that sees no key has the result 0 and sends down 0. Nothing as large as L S is stored:
 * for backward each block of scores is computed again, from q, k, the result and one number for
 * each query. With dropout, or a mask that wants a gradient, it is composed of matmul and softmax,
 * which store the weights. Vaswani et al., 2017; Dao et al., 2022.
 *     d with p the weights, h = g v^T, s = p (h - sum p h): to q scale s k, to k scale s^T q, to v
 *     p^T g, to a mask of floats s.
 * usage: cr_scaled_dot_product_attention(q, k, v, NULL, .is_causal = true),
 *        cr_scaled_dot_product_attention(q, k, v, mask, .scale = CR_REAL(1)) */
typedef struct cr_attention_opts {
    const char *site CR_ZERO;
    bool is_causal CR_ZERO;
    cr_opt_real scale CR_ZERO;
    double dropout_p CR_ZERO;
    bool enable_gqa CR_ZERO;
} cr_attention_opts;
CR_API cr_tensor *cr_scaled_dot_product_attention_at(cr_tensor *query, cr_tensor *key,
                                                     cr_tensor *value, cr_tensor *attn_mask,
                                                     cr_attention_opts opts);
#define cr_scaled_dot_product_attention(query, key, value, ...)                          \
    cr_scaled_dot_product_attention_at(query, key, value, CR_FIRST(__VA_ARGS__, 0),      \
                                       CR_OPTS(cr_attention_opts, __VA_ARGS__))

CR_END
#endif
