/* The functions of f64 in every instruction set against numbers of a higher precision, which
 * tools/math64.py makes: tests/math64.txt, or another file that is named. After a line with a
 * function's name, with the order of a derivative behind it, each has one input or two, the double
 * nearest to what is right, and what that leaves in its last place. */
#include "../src/kernel/rows.h"
#include "tap.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 8192

/* What is not within 2 ulp: in ulp, or in ulp of 1 near a zero where what a number is made of is
 * of that size. */
typedef struct bound {
    const char *name;
    double ulps, near_zero;
} bound;

static const bound bounds[] = {
    { "lgamma", 2.5, 0 },       { "digamma", 2.5, 4 },      { "polygamma1", 3, 0 },
    { "polygamma2", 4, 0 },     { "polygamma3", 5, 0 },     { "erfinv_slope", 4, 0 },
    { "sinc_nth1", 4, 2 },      { "sinc_nth2", 6, 8 },      { "logaddexp", 2, 0.25 },
    { "gelu_erf", 3, 0 },       { "logistic_grad", 4, 0 },  { "logistic_curve", 4, 0 },
    { "silu_grad", 4, 1 },      { "silu_curve", 4, 1 },     { "gelu_erf_grad", 4, 1 },
    { "gelu_erf_curve", 4, 1 }, { "gelu_tanh_grad", 5, 1 }, { "gelu_tanh_curve", 6, 2 },
};

static struct {
    double x[MOST], y[MOST], want[MOST], rest[MOST];
    int n, inputs;
    char name[64];
} cases;

/* The distance in units of the last place; infinite where only one is a NaN, or infinite, or
 * where a zero has the wrong sign. */
static double ulps(double got, double want, double rest)
{
    int e;
    if (isnan(want) || isnan(got))
        return isnan(want) && isnan(got) ? 0 : (double)INFINITY;
    if (isinf(want) || isinf(got))
        return got == want || nextafter(got, want) == want ? 0 : (double)INFINITY;
    if (want == 0 && rest == 0)
        return got == 0 && !signbit(got) == !signbit(want) ? 0 : (double)INFINITY;
    frexp(want, &e);
    return fabs(ldexp(got - want, 53 - (e < -1021 ? -1021 : e)) - rest);
}

/* The row of the name, and the order behind it. */
static cr__map_code find(const char *name, double *order)
{
    size_t length = strlen(name);
    for (int digits = 0; digits < 2; digits++)
        for (cr__map_code code = 1; code < CR__MAP_CODES; code++) {
            const char *row = cr__map_rows[code].name;
            if (strlen(row) == length - (size_t)digits &&
                strncmp(row, name, strlen(row)) == 0) {
                *order = strtod(name + strlen(row), NULL);
                return code;
            }
        }
    return CR__MAP_NONE;
}

static void test_set(cr__isa isa, cr__map_code code, double order, bound limit)
{
    static double out[MOST];
    static const double ones[CR__PAD] = {
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
    };
    const bool derivative =
        cr__map_rows[code].form == CR__FORM_BINARY && cases.inputs == 1;
    const void *src[2] = { cases.x, cases.inputs == 2 ? cases.y : &order };
    int64_t step[2] = { 1, cases.inputs == 2 };
    if (derivative) { /* times 1 */
        src[0] = ones, src[1] = cases.x;
        step[0] = 0, step[1] = 1;
    }
    cr__map_find_for(isa, code, CR_F64, CR_F64)(out, src, step, cases.n);
    double worst = 0;
    int at = 0;
    for (int i = 0; i < cases.n; i++) {
        double distance = ulps(out[i], cases.want[i], cases.rest[i]);
        if (fabs(out[i] - cases.want[i]) <= limit.near_zero * 0x1p-52)
            distance = 0;
        if (distance > worst)
            worst = distance, at = i;
    }
    ok(worst <= limit.ulps, "%s: %s, %.2f ulp at %a, %a", cr__isa_name(isa), cases.name,
       worst, cases.x[at], cases.y[at]);
}

static void test_function(void)
{
    double order = 0;
    bound limit = { "", 2, 0 };
    const cr__map_code code = find(cases.name, &order);
    if (cases.n == 0)
        return;
    for (int i = 0; i < CR__COUNT(bounds); i++)
        if (strcmp(bounds[i].name, cases.name) == 0)
            limit = bounds[i];
    ok(code != CR__MAP_NONE && cases.n > 20, "%s: %d numbers", cases.name, cases.n);
    for (cr__isa isa = CR__GENERIC; code && isa < CR__ISAS; isa++)
        if (cr__isa_usable(isa))
            test_set(isa, code, order, limit);
    cases.n = 0;
}

/* Numbers of a line, of which there are four at most; 0 of a name. */
static int numbers(const char *line, double *v)
{
    int n = 0;
    for (char *end; n < 4; n++, line = end) {
        v[n] = strtod(line, &end);
        if (end == line)
            break;
    }
    return n < 3 ? 0 : n;
}

int main(int argc, char **argv)
{
    FILE *file = fopen(argc > 1 ? argv[1] : "tests/math64.txt", "r");
    char line[256];
    double v[4];
    ok(file != NULL, "the numbers are there");
    while (file && fgets(line, sizeof line, file)) {
        const int n = numbers(line, v);
        if (n == 0) {
            test_function();
            snprintf(cases.name, sizeof cases.name, "%.*s", (int)strcspn(line, "\n"),
                     line);
        } else if (cases.n < MOST) {
            cases.inputs = n - 2;
            cases.x[cases.n] = v[0];
            cases.y[cases.n] = n == 4 ? v[1] : 0;
            cases.want[cases.n] = v[n - 2];
            cases.rest[cases.n++] = v[n - 1];
        }
    }
    test_function();
    if (file)
        fclose(file);
    return done_testing();
}
