/* Operations of all kinds on tensors that chance picks: each function returns the result,
 * or NULL if there is nothing that fits. */
#ifndef TESTS_SUPPORT_RANDOM_OPS_H
#define TESTS_SUPPORT_RANDOM_OPS_H

#include "random_world.h"

/* One of those that cr_op_list() lists, on what a sample of it asks for. */
cr_tensor *make_listed(world *w);

cr_tensor *make_binary(world *w);

/* Many maps of one shape, each of some that came before. */
cr_tensor *make_chain(world *w);

cr_tensor *make_comparison(world *w);

cr_tensor *make_where(world *w);

cr_tensor *make_cast(world *w);

cr_dims some_of(world *w, int rank);

cr_tensor *view_of(world *w, cr_tensor *x);

cr_tensor *make_view(world *w);

cr_tensor *make_reduction(world *w);

cr_tensor *make_norm(world *w);

cr_tensor *make_product(world *w);

cr_tensor *make_index(world *w);

cr_tensor *make_join(world *w);

cr_tensor *make_scatter(world *w);

cr_tensor *make_random(world *w);

#endif
