/* How matrices are read that are no plain arrays: images seen as matrices of patches, and
 * elements that are converted on the way. Runs of elements along rows or columns are copied
 * to where they can be computed with; what is not there is 0. */
#ifndef CR_KERNEL_READER_H
#define CR_KERNEL_READER_H

#include "kernel.h"

/* The dims of a run's index that may be interrupted: pieces of an image's line. */
#define CR__PIECES 32

enum { CR__ROWS, CR__COLUMNS };

/* A matrix. Steps and bounds are those of cr__image, of one image; memory in bytes. */
typedef struct cr__matrix {
    const char *data;
    int64_t size; /* of an element */
    int ndim;
    int64_t
        outer[2]; /* from one index of the outermost dim to the next, of rows, columns */
    int64_t count[2][CR__IMAGE_DIMS], step[2][CR__IMAGE_DIMS];
    int64_t low[CR__IMAGE_DIMS], high[CR__IMAGE_DIMS]; /* coordinates within are there */
    int64_t origin[CR__IMAGE_DIMS], memory[CR__IMAGE_DIMS];
    int along; /* where runs are long: CR__ROWS or CR__COLUMNS */
} cr__matrix;

void cr__matrix_init(cr__matrix *x, const cr__reader *reader);

/* Runs of the same indices of one side, for one index of the other side after another. */
typedef struct cr__piece {
    int64_t at, n; /* first of the run, how many */
    int64_t u[CR__IMAGE_DIMS], offset;
} cr__piece;
typedef struct cr__runs {
    const cr__matrix *x;
    int side, pieces;
    cr__piece piece[CR__PIECES];
    int64_t index[CR__IMAGE_DIMS], u[CR__IMAGE_DIMS], offset; /* of the other side */
} cr__runs;

/* Runs of indices from.. of this side, starting with index `other` of the other one. Returns
 * how many of the `count` indices a run has; the rest wants runs of its own. */
int64_t cr__runs_open(cr__runs *runs, const cr__matrix *x, int side, int64_t from,
                      int64_t count, int64_t other);
/* Copies the run, elements as they are, and goes to the next index of the other side. */
void cr__runs_next(cr__runs *runs, void *to);

#endif
