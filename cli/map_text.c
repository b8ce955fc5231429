/* The map in the terminal: two cells above each other in one character, or characters alone. */
#include "host.h"
#include "map_picture.h"

#include <math.h>
#include <string.h>

enum { SHADES = 10, LINE_COLOUR = 231, MARGIN = 10 };

/* From nothing learned to all: dark blue over green to yellow, in the terminal's 256 colours and
 * in characters. */
static const int colours[SHADES] = { 17, 18, 25, 31, 37, 36, 35, 77, 149, 226 };
static const char characters[] = " .:-=+*#%@";

static int shade(double accuracy)
{
    const int i = (int)(accuracy * SHADES);
    return i < 0 ? 0 : i >= SHADES ? SHADES - 1 : i;
}

/* ---- findings in words ---- */

void map_tell(char *text, size_t capacity, const map *m, const map_finding *found)
{
    char across[32], up[32];
    if (found->best < 0) {
        snprintf(text, capacity, "Nothing learned in %d steps.", (int)m->steps);
        return;
    }
    map_axis_text(across, sizeof across, &m->x, found->best % m->x.n);
    map_axis_text(up, sizeof up, &m->y, found->best / m->x.n);
    snprintf(
        text, capacity,
        "The deepest network that learned has %d layers: %s %s, %s %s, %.0f%% right.",
        (int)map_spec(m, found->best).depth, m->x.kind->name, across, m->y.kind->name, up,
        100 * m->cells[found->best].accuracy);
}

void map_tell_theory(char *text, size_t capacity, const map *m, const map_finding *found)
{
    (void)m;
    *text = 0;
    if (isfinite(found->multiple))
        snprintf(
            text, capacity,
            "Theory: networks train as deep as a few xi, the depth over which two inputs "
            "become alike or unlike. Depth <= %.1f xi tells best which of these learn: "
            "%.0f%% of the cells.",
            found->multiple, 100 * found->right);
}

/* ---- pictures ---- */

/* The half of a cell that theory's line covers has its own colour. */
static int colour_of(const map *m, int x, int y, int half)
{
    const int cell = y * m->x.n + x;
    if (half == 1 && map_on_line(m, cell, MAP_LINE))
        return LINE_COLOUR;
    return colours[shade(m->cells[cell].accuracy)];
}

static void print_label(const map *m, int y)
{
    char text[32];
    map_axis_text(text, sizeof text, &m->y, y);
    printf("%*s ", MARGIN - 1, text);
}

static void print_blocks(const map *m)
{
    for (int y = m->y.n - 1; y >= 0; y -= 2) {
        print_label(m, y);
        for (int x = 0; x < m->x.n; x++)
            for (int half = 0; half < 2; half++) {
                printf("\033[38;5;%dm", colour_of(m, x, y, half));
                if (y > 0)
                    printf("\033[48;5;%dm", colour_of(m, x, y - 1, half));
                fputs("▀", stdout);
                fputs("\033[0m", stdout);
            }
        printf("\n");
    }
}

static void print_characters(const map *m)
{
    for (int y = m->y.n - 1; y >= 0; y--) {
        print_label(m, y);
        for (int x = 0; x < m->x.n; x++) {
            const char c = characters[shade(m->cells[y * m->x.n + x].accuracy)];
            printf("%c%c", c, map_on_line(m, y * m->x.n + x, MAP_LINE) ? '|' : c);
        }
        printf("\n");
    }
}

/* The first, the middle and the last value of the axis, each from its column on. */
static void print_across(const map *m)
{
    char text[32];
    int column = 0;
    printf("%*s", MARGIN, "");
    for (int i = 0; i < m->x.n; i++) {
        const bool shown = m->x.n <= 3 || i == 0 || i == m->x.n / 2 || i == m->x.n - 1;
        if (!shown || column > 2 * i)
            continue;
        map_axis_text(text, sizeof text, &m->x, i);
        column += printf("%*s%s ", 2 * i - column, "", text);
    }
    printf("\n%*s%s across, %s upwards\n", MARGIN, "", m->x.kind->name, m->y.kind->name);
}

static void print_legend(bool colour)
{
    printf("%*s", MARGIN, "");
    for (int i = 0; i < SHADES; i++)
        if (colour)
            printf("\033[48;5;%dm  \033[0m", colours[i]);
        else
            printf("%c%c", characters[i], characters[i]);
    printf("  right, 0 to 100%%; %s: depth of %g xi\n", colour ? "white" : "|", MAP_LINE);
}

void map_print(const map *m)
{
    char text[512];
    const bool colour = host_colours(stdout);
    const map_finding found = map_find(m);
    map_describe(text, sizeof text, m);
    printf("%s\n\n", text);
    if (colour)
        print_blocks(m);
    else
        print_characters(m);
    print_across(m);
    print_legend(colour);
    map_tell(text, sizeof text, m, &found);
    printf("\n%s\n", text);
    map_tell_theory(text, sizeof text, m, &found);
    printf("%s%s", text, *text ? "\n" : "");
}
