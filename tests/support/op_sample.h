/* Sample inputs of operations: the text of cr_sample.inputs becomes arrays of numbers, on
 * the side of the tests, all in double. Also attributes as text. */
#ifndef TESTS_SUPPORT_OP_SAMPLE_H
#define TESTS_SUPPORT_OP_SAMPLE_H

#include <chainrule.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_INPUTS = 8 };

/* An array; dtype 0 stands for an absent input. */
typedef struct array {
    cr_dtype dtype;
    cr_dims dims;
    int64_t numel;
    double *v;
} array;

/* One input of a sample. kind: f, i, b, - (absent) or n (a C number). values: "2,0,-inf" for
 * the elements, in turn; NULL: random ones. */
typedef struct sample_input {
    char kind;
    cr_dims dims;
    double low, high;
    bool constant, distinct;
    const char *values;
} sample_input;

/* What stands behind "->": for each input that wants a gradient the gradient of the result's sum,
 * as values, and behind a second one the gradient of those gradients' sum. */
typedef struct sample {
    int n;
    sample_input in[MOST_INPUTS];
    const char *gradients, *second;
} sample;

/* The i-th of "2,0,-inf", up to a blank; they repeat. */
double value_at(const char *values, int64_t i);

int64_t count_of(cr_dims dims);

bool same_dims(cr_dims a, cr_dims b);

bool is_float_type(cr_dtype t);
bool is_float(const cr_tensor *x);

bool parse_sample(const char *text, sample *s);

/* splitmix64: Steele et al., 2014. */
uint64_t next_random(uint64_t *state);

double uniform(uint64_t *state);

/* The array of an input. Floats are values of single precision, so that both precisions
 * see the same numbers. */
array make_array(const sample_input *in, const char *kinks, uint64_t *state);

/* The next index in row-major order; false behind the last. */
bool next_index(int64_t *index, cr_dims dims);

/* Where the index is in a row-major array; dims of size 1 repeat, extra leading places of
 * the index are skipped. */
int64_t flat_index(const int64_t *index, int n, cr_dims dims);

/* NumPy's common shape; false if there is none. */
bool broadcast_dims(cr_dims a, cr_dims b, cr_dims *out);

double attr_real(const char *attrs, const char *name, double initial);

/* A list, or one number as a list of one; not given if it is absent. */
cr_dims attr_dims(const char *attrs, const char *name);

/* Whether the word behind the name is this one. */
bool attr_is(const char *attrs, const char *name, const char *word);

#endif
