/* What networks are made of, on tensors of one shape, the program's domain: maps and sums that
 * read each other over rows, columns, channels and everything, written by hand and by the
 * operations that expand into such. Fusion has most to decide there. Each function returns the
 * result, or NULL without memory. */
#ifndef TESTS_SUPPORT_RANDOM_BLOCKS_H
#define TESTS_SUPPORT_RANDOM_BLOCKS_H

#include "random_world.h"

/* The shape, and sizes that other tensors of the program have. */
void choose_domain(world *w);

cr_tensor *make_block(world *w);

/* A number of one to three blocks. */
cr_tensor *make_loss(world *w);

#endif
