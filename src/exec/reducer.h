/* Reductions of whole arrays: the one place that knows outputs, blocks and lanes. Kernels know
 * accumulators (kernel.h); who calls knows where the elements come from, and nodes. */
#ifndef CR_EXEC_REDUCER_H
#define CR_EXEC_REDUCER_H

#include "../kernel/kernel.h"

/* What a reducer uses of each worker's scratch memory: its last bytes. */
#define CR__REDUCER_SCRATCH ((size_t)320 << 10)

/* Elements start .. start + n - 1 of an array that is nowhere: evaluated into scratch memory,
 * in front of what the reducer uses, or wherever they are. *y, which is NULL, becomes the
 * elements of y, if the kernel takes an array. */
typedef const void *cr__make_elements(void *arg, int64_t start, int64_t n, char *scratch,
                                      const void **y);

typedef struct cr__reduction {
    cr__reduce_kernel kernel;
    cr__ending ending;  /* zero: results are left as they are */
    void *out;          /* contiguous */
    const void *values; /* of CR__REDUCES_VALUE: one for each output */

    /* The dims of x are the kept ones, `kept` of them, which are the dims of out, and then the
     * reduced ones in their row-major order. y has the same. */
    cr__strided x, y;
    int kept;

    /* Elements are made, if `make` is there: at most `tile` at a time, a power of two from
     * CR__LANES to CR__BLOCK. Then x lies in the array that they are elements of, y like x. */
    cr__make_elements *make;
    void *arg;
    int64_t tile;
    double cost; /* of an element, in nanoseconds */
} cr__reduction;

/* A reduction that has been cut, for a team: its chunks run in a job, alone if `spans` is more
 * than 1, and it is finished behind that. */
typedef struct cr__reducer {
    cr__reduction r;
    cr__team *team;
    int64_t outputs, length, blocks;
    int64_t first;                 /* output */
    cr__strided kept, reduced;     /* x's dims, merged; data is x's in both */
    cr__strided kept_y, reduced_y; /* the same of y */
    int64_t run;                   /* reduced elements that lie one after the other */
    bool rows, gathered;           /* whole outputs at once; from copies */
    int64_t width, row_strips;     /* strips of neighbouring outputs; in a row of them */
    bool dense; /* a strip is all of a row, behind which lies the next; */
    bool lined; /* or its outputs' runs lie one behind the other */
    int64_t strips, span, spans; /* spans of blocks that a strip is cut into */
    int64_t chunks;
} cr__reducer;

/* Cuts it, into the chunks that are returned. No memory is obtained; nothing fails. */
int64_t cr__reducer_cut(cr__reducer *reducer, const cr__reduction *reduction,
                        cr__team *team);
/* A cr__body: arg is the reducer. */
void cr__reducer_chunk(void *arg, int64_t chunk, int worker);
/* Behind the last chunk, on the caller. */
void cr__reducer_finish(cr__reducer *reducer);

/* All of it. */
void cr__reduce(const cr__reduction *reduction, cr__team *team);

#endif
