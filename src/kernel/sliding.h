/* Convolutions of f32 in one or two dims without matrices of patches: vectors are read where
 * they lie, from the image itself or from a copy of a band of its lines with their padding.
 * sliding.c computes what has a place for each position, sliding_weight.c what is a sum over
 * them, both in the order of sums of kernel.h. */
#ifndef CR_KERNEL_SLIDING_H
#define CR_KERNEL_SLIDING_H

#include "rows.h"

/* Along a dim, position i < n and tap j < taps meet coordinate i*step + j*tap_step + origin,
 * which is there from 0 to size - 1. */
typedef struct cr__window {
    int64_t n, step, taps, tap_step, origin, size;
} cr__window;

#define CR__PLANE 2 /* dims: lines, and places in a line */

/* Of each group: c[image, row, position] = the sum over channels and taps of w[row, channel,
 * tap] x[image, channel, where position and tap meet]. Of weights: w is what is computed, of c.
 * Strides count elements; dims are lines, and places in a line, whose stride in x is 1. */
typedef struct cr__sliding {
    int64_t images, groups, rows, channels;
    cr__window dims[CR__PLANE];
    const float *x, *w, *c;
    int64_t x_image, x_channel, x_line;
    int64_t w_group, w_row, w_channel, w_tap[CR__PLANE];
    int64_t c_image, c_row, c_place[CR__PLANE];
    void *result; /* that of w or c */
    void *memory; /* of cr__sliding_bytes() */
    const cr__follower
        *then; /* told of lines of c, of which there are all then; or NULL */
} cr__sliding;

/* Memory that it takes, besides the workers', of so many bytes at most; 0: it is not for these
 * functions. */
#define CR__SLIDING_BYTES ((int64_t)1 << 30)
size_t cr__sliding_bytes(const cr__sliding *d);
size_t cr__sliding_weight_bytes(const cr__sliding *d);
/* False: it is not for them after all. Several on one x, which differ in windows of step 1 alone, in
 * what of the weights they take and in where results are, share its copies, and the memory of one
 * that has all their taps. Of so many at most: */
#define CR__SLIDING_PHASES 16
bool cr__sliding_for(cr__isa isa, const cr__sliding *d, int n, cr__team *team);
bool cr__sliding_weight_for(cr__isa isa, const cr__sliding *d, cr__team *team);

/* ---- where elements are ---- */

/* Copies of lines: by the remainders of coordinates by the step, or, along a line, one for each
 * tap, so that lines follow each other without a gap. */
#define CR__SLIDING_TAPS 16 /* of a dim, at most */

typedef struct cr__sliding_copies {
    int n;
    int64_t first[CR__SLIDING_TAPS]; /* coordinate of a copy's first element */
    int64_t lo[CR__SLIDING_TAPS], hi[CR__SLIDING_TAPS]; /* elements that are there */
    int copy[CR__SLIDING_TAPS];                         /* that a tap reads, */
    int64_t shift[CR__SLIDING_TAPS];                    /* and from where */
    int64_t length, more; /* of it, behind as many as there are positions */
} cr__sliding_copies;

/* Element of channel, copies, line, place: strides. In place there is one copy. */
typedef struct cr__sliding_layout {
    bool in_place;
    cr__sliding_copies dims[CR__PLANE];
    int64_t lines, pitch, copy, channel; /* lines: the most of a channel's copy */
    int64_t overlap;                     /* zeros that a line shares with the next */
} cr__sliding_layout;

/* What of a worker's scratch memory a band has, in elements; more is read of it, and dropped. */
#define CR__BAND_SLOP 64
#define CR__BAND_ROOM ((int64_t)(384 << 10) / 4 - CR__BAND_SLOP)

/* The layout; for vectors of so many lanes, or 0: what lies between lines costs nothing. Taps are
 * those of the first one. */
void cr__sliding_lay_out(const cr__sliding *d, int n, int lanes,
                         cr__sliding_layout *layout);
/* Of so many lines. */
void cr__sliding_size(int64_t lines, cr__sliding_layout *layout);
/* Where tap (down, along) of a channel begins. */
int64_t cr__sliding_tap(const cr__sliding_layout *layout, int64_t down, int64_t along);

/* Positions of an image's lines first.. become lines `at`.. of the copies. */
typedef struct cr__sliding_piece {
    const float *image;
    int64_t first, lines, at;
} cr__sliding_piece;
void cr__sliding_fill(cr__isa isa, const cr__sliding *d, const cr__sliding_layout *layout,
                      const cr__sliding_piece *pieces, int n, int64_t channels,
                      float *band);

/* What is wanted next is fetched little by little: lines of memory, so many of each channel. */
typedef struct cr__sliding_fetch {
    const char *from;
    int64_t step, lines, channels; /* step: bytes from one channel to the next */
    int64_t channel, line, each;   /* the next one; how many at a time */
} cr__sliding_fetch;
/* `bytes` of each channel, in so many times. */
cr__sliding_fetch cr__sliding_fetch_of(const float *from, int64_t step, int64_t bytes,
                                       int64_t channels, int64_t times);
CR__INLINE void cr__sliding_fetch_some(cr__sliding_fetch *f)
{
    for (int64_t n = f->each; n > 0 && f->channel < f->channels; n--) {
        __builtin_prefetch(f->from + f->channel * f->step + f->line * 64, 0, 2);
        if (++f->line == f->lines)
            f->line = 0, f->channel++;
    }
}

/* ---- the templates' ---- */

/* Rows of c at some vectors of positions: a block of k. */
#define CR__SLIDING_VECTORS 4
typedef struct cr__sliding_tile {
    const float *a; /* by k, then rows */
    const char *b[CR__SLIDING_VECTORS];
    const int32_t *taps; /* bytes */
    int64_t k, c_row;
    float *c[CR__SLIDING_VECTORS];
    bool add; /* to what c holds */
} cr__sliding_tile;
typedef void cr__sliding_fn(const cr__sliding_tile *t);

/* Which elements of vectors of positions there are: the first n of those in this order, or a
 * whole vector, of which what is behind is written over. */
typedef struct cr__sliding_lanes {
    float *c[CR__SLIDING_VECTORS];
    int64_t c_row, n[CR__SLIDING_VECTORS];
    int32_t order[CR__SLIDING_VECTORS][16];
} cr__sliding_lanes;

/* Threes of rows of the weights' gradient, transposed, for a sliver of lanes. */
typedef struct cr__sliding_threes {
    const char *x;
    const int64_t *at;   /* of the threes' first ones, in bytes */
    int64_t apart[2];    /* of the others */
    const int32_t *hops; /* from position to position, in bytes */
    const float *y;      /* by position, then lanes */
    float *sums;
    int64_t k;
    bool add;
} cr__sliding_threes;

#define CR__SLIDING_GROUPS 4 /* threes of a tile, at most */

#define CR__SLIDING_HEIGHTS 4
typedef struct cr__sliding_kernel {
    int lanes, threes; /* of a vector; of a tile, at most */
    int heights
        [CR__SLIDING_HEIGHTS]; /* rows of tiles, two vectors wide, ascending, or 0 */
    cr__sliding_fn *tiles[CR__SLIDING_HEIGHTS];
    cr__sliding_fn *few; /* three rows, four vectors; or NULL */
    void (*give)(const cr__sliding_lanes *to, const float *from, int64_t row,
                 int64_t rows, int vectors);
    /* n <= lanes elements, to places `step` apart; what lies between them stays. */
    void (*spread)(float *to, int64_t step, const float *from, int64_t n);
    /* n lines, of elements lo .. hi - 1, `step` apart; from line to line `down`, and `pitch`. */
    void (*lines)(float *to, const float *from, int64_t lo, int64_t hi, int64_t step,
                  int64_t pitch, int64_t down, int64_t n);
    /* Transposes eight rows, or is NULL. */
    void (*square)(float *to, int64_t pitch, const float *from, int64_t step);
    void (*weights[2])(const cr__sliding_threes *t); /* by vectors - 1 */
} cr__sliding_kernel;
extern const cr__sliding_kernel *const cr__sliding_kernels[CR__ISAS];

#endif
