/* Programs on tensors that a seed chooses: operations of all kinds on each other's
 * results, views on views, scopes, gradients of gradients, assignments, reads in any
 * order. What a program does is a function of its seed and of shapes, never of values or
 * of how they are computed. */
#ifndef TESTS_SUPPORT_RANDOM_PROGRAM_H
#define TESTS_SUPPORT_RANDOM_PROGRAM_H

#include "random_world.h"

/* Programs of seeds from this one on are made of blocks: random_blocks.h. */
#define FIRST_OF_BLOCKS 1000000

/* What cr_data() pointed to is as it was. */
bool pins_hold(const world *w);

void tell(const world *w, const cr_tensor *t);

void take_step(world *w);

/* All that is left, in any order. */
void read_all(world *w);

void begin_program(world *w, cr_ctx *ctx, uint64_t seed, readings *out);

void end_program(world *w);

#endif
