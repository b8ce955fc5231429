/* What the columns of a matrix of patches touch of an image, copied out: lines with their padding,
 * by remainder of the columns' step, so that the elements of neighbouring columns are neighbours
 * for every tap, and a tap is one distance for all columns. Plans only: gemm_body.h copies. */
#ifndef CR_KERNEL_BAND_H
#define CR_KERNEL_BAND_H

#include "reader.h"

/* Distances count elements of the band. Lines of one index of all but the last two dims make a
 * group; a channel of a group has a plane for each tap of the first of three dims. */
typedef struct cr__band {
    const cr__matrix *x;
    int64_t column, columns; /* those that it serves */
    int64_t taps;            /* of a channel */
    int64_t first_line, last_line, first_place;
    int64_t phases, pitch, line, plane, channel, group;
    int64_t lines, planes, channels, groups;
    int64_t least
        [2]; /* the lowest of the taps' steps, in the dim of lines and the last one */
} cr__band;

/* The band of these columns for so many channels; how many elements it has. */
int64_t cr__band_init(cr__band *band, const cr__matrix *x, int64_t column,
                      int64_t columns, int64_t channels);

/* The most channels that a block of so many of k has. */
int64_t cr__band_channels(const cr__matrix *x, int64_t k, int64_t block);

/* Where taps k.. of channel k / taps on begin, channel `first` being the band's first. */
void cr__band_taps(const cr__band *band, int64_t k, int64_t n, int64_t first,
                   int64_t *at);

/* The columns from `column` on that are neighbours, at most n: where they begin. */
int64_t cr__band_run(const cr__band *band, int64_t column, int64_t n, int64_t *at);

/* A line of the band: `pitch` elements at `at`, of which those from lo to hi - 1 are those of the
 * image from `from` on, `step` bytes apart; the others are 0. */
typedef struct cr__band_line {
    int64_t at, lo, hi, step;
    const char *from;
} cr__band_line;
void cr__band_find(const cr__band *band, int64_t group, int64_t channel, int64_t plane,
                   int64_t line, int64_t phase, cr__band_line *found);

#endif
