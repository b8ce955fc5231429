/* What a random program works with: its chance, the tensors it may use, data, operands
 * that fit each other. */
#ifndef TESTS_SUPPORT_RANDOM_WORLD_H
#define TESTS_SUPPORT_RANDOM_WORLD_H

#include "../../src/graph/graph.h"
#include "op_sample.h"

enum { POOL = 40, PINS = 8, MOST_LEVELS = 4, MOST_WALKS = 9 };

#define TYPE(t) (1u << (t))
#define FLOATS  (TYPE(CR_F32) | TYPE(CR_F64) | TYPE(CR_BF16) | TYPE(CR_F16))
#define INTS    (TYPE(CR_I64) | TYPE(CR_I32) | TYPE(CR_U8))
#define ANY     (FLOATS | INTS | TYPE(CR_BOOL))

/* A value that was read. */
typedef struct reading {
    int step;
    const char *op;
    cr_dtype dtype;
    cr_dims dims;
    size_t bytes;
    unsigned char *data;
} reading;

typedef struct readings {
    reading *list;
    int n, capacity;
} readings;

/* A tensor that the program may use. */
typedef struct slot {
    cr_tensor *t;
    int level; /* of its scope; -1: only retained */
    bool leaf, retained;
} slot;

/* What cr_data() gave, valid as long as its tensor is there and not assigned to. */
typedef struct pin {
    const cr_tensor *t;
    const void *data;
    uint64_t hash;
    size_t bytes;
    int level;
} pin;

typedef struct world {
    cr_ctx *ctx;
    uint64_t rng;
    slot pool[POOL];
    int n, level, step, steps, walks;
    int64_t sizes[6], most; /* of dims; elements of a tensor */
    bool no_grad, tells;
    bool blocks; /* it is made of random_blocks.h: of this shape, and of this type */
    cr_dims domain;
    cr_dtype real;
    bool replaces, retains; /* values of leaves and gradients; graphs, in every pass */
    bool bare;              /* the next step is to commit what is pending */
    pin pins[PINS];
    int lent, returned; /* borrowed memory */
    readings *out;
} world;

int64_t below(world *w, int64_t n);

bool chance(world *w, int percent);

void unpin(world *w, const cr_tensor *t);

void forget(world *w, int i);

void put(world *w, cr_tensor *t, bool leaf);

/* The gradient of what can have one. */
cr_tensor *grad_of(cr_tensor *t);

/* One of these types and at least this rank, the later made the likelier; NULL if there
 * is none. */
slot *pick_slot(world *w, unsigned types, int rank);

/* As if no dim were 0: what an empty tensor may be reduced or multiplied to. At most
 * 2^40. */
int64_t extent(cr_dims dims);

double real_value(world *w, int style);

void fill(world *w, cr_dtype dtype, int64_t n, void *data);

/* A new tensor, from data or from nothing. */
cr_tensor *fresh(world *w, cr_dtype dtype, cr_dims dims);

int64_t some_size(world *w);

cr_tensor *make_input(world *w);

cr_tensor *pick(world *w, unsigned types, int rank);

bool broadcasts(cr_dims a, cr_dims b, cr_dims *out);

/* x in another order, or a part of it repeated: of the same shape. */
cr_tensor *mirrored(world *w, cr_tensor *x);

/* Of x's type (or any), and such that both broadcast together. */
cr_tensor *fitting(world *w, cr_tensor *x, unsigned types);

/* Of x's type and shape: another tensor, or x changed. */
cr_tensor *alike(world *w, cr_tensor *x);

#endif
