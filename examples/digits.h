/* The images of handwritten digits (data/README.md), for the examples that learn them. */
#ifndef EXAMPLES_DIGITS_H
#define EXAMPLES_DIGITS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    IMAGES = 1797,
    SIDE = 8,
    PIXELS = SIDE * SIDE,
    CLASSES = 10,
    TESTED = IMAGES / 5,
    TRAINED = IMAGES - TESTED
};

/* In the order in which they are used: the first TESTED are held out. */
static float images[IMAGES][PIXELS];
static int64_t labels[IMAGES];

/* Who includes this may know more places. */
#ifndef DIGITS_PATHS
#define DIGITS_PATHS "data/digits.csv", "../data/digits.csv", "../../data/digits.csv"
#endif

static bool read_images(void)
{
    const char *const paths[] = { DIGITS_PATHS };
    FILE *file = NULL;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0] && !file; i++)
        file = fopen(paths[i], "r");
    bool good = file != NULL;
    for (int i = 0; good && i < IMAGES; i++) {
        int value = 0;
        for (int p = 0; good && p < PIXELS; p++) {
            good = fscanf(file, "%d,", &value) == 1;
            images[i][p] = (float)value / 16;
        }
        good = good && fscanf(file, "%d", &value) == 1;
        labels[i] = value;
    }
    if (file)
        fclose(file);
    else
        fprintf(stderr,
                "there is no data/digits.csv here; run this in the project's folder\n");
    return good;
}

#endif
