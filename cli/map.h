/* chainrule flow map: which networks train. A grid of two axes, trained and measured cell by cell. */
#ifndef CLI_MAP_H
#define CLI_MAP_H

#include "network.h"

enum { MAP_MOST = 100, MAP_MULTIPLES = 3 };

/* What can vary. */
typedef struct axis_kind {
    const char *name;
    size_t offset;    /* of its member of network_spec: int64_t, double or const char * */
    option_type type; /* OPTION_INT, OPTION_REAL or OPTION_WORD */
    bool logarithmic;
    double from, to;    /* by default */
    double least, most; /* what may be asked for */
    word_list *words;
} axis_kind;

typedef struct map_axis {
    const axis_kind *kind;
    int n;
    double values[MAP_MOST];     /* of numbers */
    const char *words[MAP_MOST]; /* of words */
} map_axis;

typedef struct map_cell {
    bool done;
    double accuracy,
        loss;  /* after the training, on images that it has seen; loss NaN: diverged */
    double xi; /* depth scale of correlations, NaN where theory knows none */
} map_cell;

typedef struct map {
    network net;
    map_axis x, y;
    int64_t steps;
    map_cell *cells; /* [y.n][x.n] */
} map;

/* The network of a cell; its index is y * x.n + x. */
network_spec map_spec(const map *m, int cell);
double map_depth_over_xi(const map *m, int cell);

/* Whether theory, at that multiple of xi, says that a cell trains; and whether a neighbour is on
 * the other side. False where theory knows no xi. */
bool map_inside(const map *m, int cell, double multiple);
bool map_on_line(const map *m, int cell, double multiple);

/* What all its networks have, and for how many steps they are trained. */
void map_describe(char *text, size_t capacity, const map *m);

/* A value of an axis in words. */
void map_axis_text(char *text, size_t capacity, const map_axis *axis, int i);

/* What was found: the deepest network that learned, and the multiple of xi that tells best which
 * cells learn. */
typedef struct map_finding {
    double bar;      /* of the accuracy, halfway between chance and the best */
    int best;        /* the deepest cell above it, the most accurate of these; -1: none */
    double multiple; /* NaN: theory knows no xi of enough cells */
    double right;    /* share of cells that it tells rightly */
} map_finding;
map_finding map_find(const map *m);

/* Trains what is not done on so many threads; keeps finished cells in the file, if one is given.
 * False with a message on stderr. */
bool map_train(map *m, int threads, const char *resume);

void map_print(const map *m);
bool map_html(const map *m, FILE *file);

#endif
