/* Plain definitions of the operations, in double, loops and libm only: what the library's
 * results are held against. */
#ifndef TESTS_SUPPORT_OP_REFERENCE_H
#define TESTS_SUPPORT_OP_REFERENCE_H

#include "op_sample.h"

/* A call: its inputs, and the result to fill in. */
typedef struct ref_call {
    const char *attrs;
    int n;
    const array *in;
    array out;
} ref_call;

typedef void ref_fn(ref_call *c);

/* Gives the result its type and shape, and zeros. */
double *ref_out(ref_call *c, cr_dtype dtype, cr_dims dims);

int ref_dim(const ref_call *c, const char *name, int initial, int ndim);

/* The input's element at an index of the (broadcast) result; 0 of an absent one. */
double ref_at(const array *a, const int64_t *index, int n);

cr_dims without(cr_dims dims, int dim);

cr_dims with(cr_dims dims, int dim, int64_t size);

double mean_of(const double *v, int64_t n);

/* Definitions by name; those of other files end with a row whose name is NULL. */
typedef struct ref_entry {
    const char *name;
    ref_fn *f;
} ref_entry;
extern const ref_entry ref_entries_nn[], ref_entries_attention[], ref_entries_lines[];
extern const ref_entry ref_entries_images[], ref_entries_movement[], ref_entries_index[];
extern const ref_entry ref_entries_losses[], ref_entries_linalg[];

/* op_reference_conv.c */
void ref_conv(ref_call *c);
void ref_conv_input_grad(ref_call *c);
void ref_conv_weight_grad(ref_call *c);

/* What must hold of element i of a random result, c->out. */
typedef struct ref_property {
    const char *name;
    bool (*holds)(const ref_call *c, int64_t i);
} ref_property;

extern const ref_property ref_properties_linalg[]; /* ends with a NULL */

/* NULL if nothing is known of it. */
const ref_property *find_property(const char *name);

/* Computes the call's result by the operation's definition; false if there is none. */
bool ref_run(const char *name, ref_call *c);

#endif
