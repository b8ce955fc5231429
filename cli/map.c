/* chainrule flow map: the command, its axes, and theory over what was measured. */
#include "map.h"
#include "commands.h"
#include "host.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *x, *y, *grid, *resume, *html;
    int64_t steps, threads;
} given;

#define TEXT(name, value, initial, doc)                                  \
    {                                                                    \
#name, OPTION_TEXT, &given.name, value, initial, NULL, 0, 0, doc \
    }
#define OTHERWISE(name, type, letter, initial, words, least, most, doc)            \
    {                                                                              \
#name, type, &network_given.name, letter, initial, words, least, most, doc \
    }

const option map_options[] = {
    TEXT(x, "AXIS", "sigma_w2",
         "across: depth, width, activation, init, norm, residual, lr, "
         "sigma_w2 or sigma_b2; with a range, lr=0.001:1, or a list, "
         "norm=none,batch"),
    TEXT(y, "AXIS", "depth", "upwards, likewise"),
    TEXT(grid, "NxN", "20x20", "columns and rows; axes of words have their own number"),
    { "steps", OPTION_INT, &given.steps, "N", "300", NULL, 1, 1e6,
      "steps of each training" },
    { "threads", OPTION_INT, &given.threads, "N", "0", NULL, 0, 64,
      "cells at a time; 0: the machine's processors. Results do not depend on it" },
    TEXT(resume, "FILE", NULL,
         "keeps finished cells there, and begins with those it has"),
    TEXT(html, "FILE", NULL, "the map as a page"),
    OTHERWISE(depth, OPTION_INT, "N", "30", NULL, 1, 10000,
              "hidden layers, where no axis"),
    OTHERWISE(width, OPTION_INT, "N", "128", NULL, 1, 4096,
              "units of each, where no axis"),
    OTHERWISE(activation, OPTION_WORD, "NAME", "tanh", activation_words, 0, 0,
              "behind each layer, where no axis"),
    OTHERWISE(lr, OPTION_REAL, "X", "0.01", NULL, 0, 1e6, "learning rate, where no axis"),
    OTHERWISE(batch, OPTION_INT, "N", "32", NULL, 1, 1797, "samples of a step"),
    { "sigma-b2", OPTION_REAL, &network_given.sigma_b2, "X", "0.05", NULL, 0, 1000,
      "variance of a bias" },
    { .name = NULL }
};

/* ---- axes ---- */

#define NUMBER(name, type, logarithmic, from, to, least, most)                         \
    {                                                                                  \
#name, offsetof(network_spec, name), type, logarithmic, from, to, least, most, \
            NULL                                                                       \
    }
#define WORD(name)                                                           \
    {                                                                        \
#name, offsetof(network_spec, name), OPTION_WORD, false, 0, 0, 0, 0, \
            name##_words                                                     \
    }

static const axis_kind kinds[] = {
    NUMBER(depth, OPTION_INT, false, 5, 100, 1, 10000),
    NUMBER(width, OPTION_INT, true, 8, 256, 1, 4096),
    WORD(activation),
    WORD(init),
    WORD(norm),
    WORD(residual),
    NUMBER(lr, OPTION_REAL, true, 1e-3, 1, 1e-12, 1e6),
    NUMBER(sigma_w2, OPTION_REAL, false, 0.5, 4, 1e-6, 1000),
    NUMBER(sigma_b2, OPTION_REAL, false, 0, 1, 0, 1000),
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const char *kind_words(int i)
{
    return i < KINDS ? kinds[i].name : NULL;
}

static bool complain(const char *what, const char *text)
{
    fprintf(stderr, "chainrule flow map: %s: %s\n", text, what);
    return false;
}

static bool spread_numbers(map_axis *axis, const char *text, const char *range, int n)
{
    const axis_kind *kind = axis->kind;
    double from = kind->from, to = kind->to;
    char end;
    if (range && sscanf(range, "%lf:%lf%c", &from, &to, &end) != 2)
        return complain("a range is two numbers, depth=5:100", text);
    if (!(from >= kind->least && to <= kind->most && from < to))
        return complain("the range is beyond what there is, or runs backwards", text);
    axis->n = n;
    for (int i = 0; i < n; i++) {
        const double share = n > 1 ? (double)i / (n - 1) : 0;
        const double value =
            kind->logarithmic ? from * pow(to / from, share) : from + (to - from) * share;
        axis->values[i] = kind->type == OPTION_INT ? round(value) : value;
    }
    return true;
}

static const char *find_word(word_list *words, const char *word, size_t length)
{
    for (int i = 0; words(i); i++)
        if (strlen(words(i)) == length && memcmp(words(i), word, length) == 0)
            return words(i);
    return NULL;
}

static bool take_words(map_axis *axis, const char *text, const char *list)
{
    const axis_kind *kind = axis->kind;
    axis->n = 0;
    for (int i = 0; !list && kind->words(i); i++)
        axis->words[axis->n++] = kind->words(i);
    while (list && *list && axis->n < MAP_MOST) {
        const size_t length = strcspn(list, ",");
        const char *word = find_word(kind->words, list, length);
        if (!word)
            return complain("that is none of its words; chainrule help flow lists them",
                            text);
        axis->words[axis->n++] = word;
        list += length + (list[length] == ',');
    }
    return axis->n > 0;
}

/* "depth", "depth=5:100", "norm=none,batch". */
static bool take_axis(map_axis *axis, const char *text, int n)
{
    const size_t length = strcspn(text, "=");
    const char *range = text[length] ? text + length + 1 : NULL;
    for (int i = 0; i < KINDS; i++)
        if (strlen(kinds[i].name) == length && memcmp(kinds[i].name, text, length) == 0) {
            axis->kind = &kinds[i];
            return axis->kind->words ? take_words(axis, text, range)
                                     : spread_numbers(axis, text, range, n);
        }
    fprintf(stderr, "chainrule flow map: '%s' is no axis", text);
    suggest_near(text, kind_words, "");
    fputs("\n", stderr);
    return false;
}

static bool take_axes(map *m)
{
    int columns, rows;
    char end;
    if (sscanf(given.grid, "%dx%d%c", &columns, &rows, &end) != 2 || columns < 1 ||
        rows < 1 || columns > MAP_MOST || rows > MAP_MOST)
        return complain("a grid is 20x20, of at most 100 each", given.grid);
    if (!take_axis(&m->x, given.x, columns) || !take_axis(&m->y, given.y, rows))
        return false;
    if (m->x.kind == m->y.kind)
        return complain("both axes are the same", m->x.kind->name);
    return true;
}

static void set_member(network_spec *spec, const map_axis *axis, int i)
{
    void *to = (char *)spec + axis->kind->offset;
    if (axis->kind->type == OPTION_INT)
        *(int64_t *)to = (int64_t)axis->values[i];
    else if (axis->kind->type == OPTION_REAL)
        *(double *)to = axis->values[i];
    else
        *(const char **)to = axis->words[i];
}

network_spec map_spec(const map *m, int cell)
{
    network_spec spec = m->net.spec;
    set_member(&spec, &m->x, cell % m->x.n);
    set_member(&spec, &m->y, cell / m->x.n);
    return spec;
}

void map_describe(char *text, size_t capacity, const map *m)
{
    const char *const axes[] = { m->x.kind->name, m->y.kind->name };
    network_describe(text, capacity, &m->net.spec, axes, 2);
    const size_t n = strlen(text);
    snprintf(text + n, capacity - n, ", %d steps", (int)m->steps);
}

void map_axis_text(char *text, size_t capacity, const map_axis *axis, int i)
{
    if (axis->kind->words)
        snprintf(text, capacity, "%s", axis->words[i]);
    else
        snprintf(text, capacity, "%.3g", axis->values[i]);
}

/* ---- theory over measurement ---- */

static void predict(map *m)
{
    for (int i = 0; i < m->x.n * m->y.n; i++) {
        const network_spec spec = map_spec(m, i);
        const cr_flow_stack stack = network_stack(&spec);
        cr_flow_prediction p;
        const bool known = stack.activation && cr_flow_predict(&stack, &p) == CR_OK;
        m->cells[i].xi = known ? p.xi_c : NAN;
    }
}

double map_depth_over_xi(const map *m, int cell)
{
    const network_spec spec = map_spec(m, cell);
    return (double)spec.depth / m->cells[cell].xi;
}

bool map_inside(const map *m, int cell, double multiple)
{
    return map_depth_over_xi(m, cell) <= multiple;
}

bool map_on_line(const map *m, int cell, double multiple)
{
    const int x = cell % m->x.n, y = cell / m->x.n;
    const int neighbours[] = { x > 0 ? cell - 1 : cell, x + 1 < m->x.n ? cell + 1 : cell,
                               y > 0 ? cell - m->x.n : cell,
                               y + 1 < m->y.n ? cell + m->x.n : cell };
    if (!map_inside(m, cell, multiple))
        return false;
    for (int i = 0; i < 4; i++)
        if (map_depth_over_xi(m, neighbours[i]) > multiple)
            return true;
    return false;
}

/* The share of cells that learned if, and only if, they are at most so many xi deep. */
static double share_right(const map *m, double bar, double multiple)
{
    int right = 0, n = 0;
    for (int i = 0; i < m->x.n * m->y.n; i++)
        if (!isnan(m->cells[i].xi)) {
            right += map_inside(m, i, multiple) == (m->cells[i].accuracy >= bar);
            n++;
        }
    return n > 0 ? (double)right / n : NAN;
}

map_finding map_find(const map *m)
{
    const double chance = 1.0 / (double)m->net.data.classes;
    map_finding found = { .best = -1, .multiple = NAN, .right = 0 };
    double most = chance;
    for (int i = 0; i < m->x.n * m->y.n; i++)
        most = fmax(most, m->cells[i].accuracy);
    found.bar = (chance + most) / 2;
    for (int i = 0; i < m->x.n * m->y.n; i++) {
        if (m->cells[i].accuracy < found.bar)
            continue;
        const int64_t depth = map_spec(m, i).depth;
        const int64_t deepest = found.best < 0 ? 0 : map_spec(m, found.best).depth;
        if (depth > deepest ||
            (depth == deepest && m->cells[i].accuracy > m->cells[found.best].accuracy))
            found.best = i;
    }
    for (double multiple = 0.5; multiple <= 20; multiple += 0.1) {
        const double right = share_right(m, found.bar, multiple);
        if (right > found.right) {
            found.right = right;
            found.multiple = multiple;
        }
    }
    return found;
}

/* ---- the command ---- */

static bool write_html(const map *m)
{
    FILE *file = fopen(given.html, "w");
    const bool written = file && map_html(m, file);
    if ((!file || fclose(file) == 0) && written)
        return true;
    return complain("it could not be written", given.html);
}

int map_run(int n, char **words)
{
    map m = { .steps = given.steps };
    (void)n, (void)words;
    if (!take_axes(&m) || !network_open(&m.net, &network_given))
        return STATUS_ERROR;
    bool good = false;
    const int threads = given.threads ? (int)given.threads : host_processors();
    m.cells = calloc((size_t)(m.x.n * m.y.n), sizeof *m.cells);
    if (m.cells) {
        predict(&m);
        good = map_train(&m, threads, given.resume);
    } else {
        complain("there is no memory", given.grid);
    }
    if (good)
        map_print(&m);
    if (good && given.html)
        good = write_html(&m);
    free(m.cells);
    network_close(&m.net);
    return good ? STATUS_GOOD : STATUS_ERROR;
}
