/* What the built-in networks learn: images of handwritten digits, or random ones. */
#ifndef CLI_DATASET_H
#define CLI_DATASET_H

#include <chainrule.h>

typedef struct dataset {
    int64_t n, features, classes;
    float *x; /* [n, features], with mean 0 and variance 1 over all of it */
    int64_t *labels;
} dataset;

/* Where the digits are: given, if that is not NULL, CHAINRULE_DIGITS, what is installed with the
 * program, data/digits.csv. NULL if they are nowhere; the text lives until the next call. */
const char *digits_path(const char *given);

/* Both return false with a message on stderr. */
bool dataset_read_digits(dataset *d, const char *given);

/* As many standard normal vectors; the label of each is the largest of ten random projections. */
bool dataset_make_random(dataset *d, uint64_t seed);

void dataset_free(dataset *d);

/* The batch of that step, drawn with replacement: a function of seed and step alone. False with an
 * error in ctx. */
bool dataset_batch(const dataset *d, cr_ctx *ctx, uint64_t seed, int64_t step,
                   int64_t batch, cr_tensor **x, cr_tensor **labels);

#endif
