/* What the operations of attention and their kernels share. */
#ifndef CR_OPS_ATTENTION_PARTS_H
#define CR_OPS_ATTENTION_PARTS_H

#include "../graph/graph.h"

typedef struct attention_attrs {
    double scale;
    bool is_causal;
} attention_attrs;

/* The inputs of attention, and of attention_grad. */
enum { Q, K, V, MASK, G = MASK, OUT, GRAD_MASK };

/* Of [.., L, E], [.., S, E] and [.., S, Ev] with equal leading dims. */
typedef struct cr__attention_sizes {
    int64_t heads, queries, keys, width, values;
} cr__attention_sizes;
cr__attention_sizes cr__attention_sizes_of(const cr_dims *q, const cr_dims *k,
                                           const cr_dims *v);

cr_status cr__attention_kernel(const cr_kernel *kernel);
cr_status cr__attention_grad_kernel(const cr_kernel *kernel);
size_t cr__attention_scratch(const cr_tensor *out);
size_t cr__attention_grad_scratch(const cr_tensor *out);

#endif
