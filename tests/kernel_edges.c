/* Map kernels touch their elements and nothing else: operands and results end where memory
 * does, and begin where it does. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "../src/kernel/rows.h"
#include "tap.h"

#include <sys/mman.h>

#define MOST 70    /* elements at most */
#define PAGE 65536 /* of any system */

/* Memory of its own with none before and behind it. */
static char *page(void)
{
    char *pages = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + PAGE, PAGE, PROT_READ | PROT_WRITE) != 0)
        return NULL;
    return pages + PAGE;
}

static char *pages[4]; /* of the sources and the result */

static size_t source_size(cr__map_code code, cr_dtype in, int j)
{
    return code == CR__MAP_where && j == 0 ? 1 : cr_dtype_size(in);
}

static bool writes_bool(cr__map_code code)
{
    cr__map_types types = cr__map_rows[code].types;
    return types == CR__MAPS_COMPARED || types == CR__MAPS_LOGICAL;
}

static int n_sources(cr__map_form form)
{
    static const int n[] = { [CR__FORM_UNARY] = 1,
                             [CR__FORM_PARAMETRIC1] = 2,
                             [CR__FORM_PARAMETRIC2] = 3,
                             [CR__FORM_BINARY] = 2,
                             [CR__FORM_WHERE] = 3 };
    return n[form];
}

/* n elements at the end of their pages, or at the beginning. Sources hold ones: of a vector,
 * if they are uniform, but one alone of those that may. */
static void call(cr__map_code code, cr__map_fn *kernel, cr_dtype in, cr_dtype out,
                 unsigned uniform, int64_t n, bool at_end)
{
    const void *src[3];
    int64_t step[3];
    cr__map_form form = cr__map_rows[code].form;
    bool parametric = form == CR__FORM_PARAMETRIC1 || form == CR__FORM_PARAMETRIC2;
    size_t bytes = (size_t)n * cr_dtype_size(out);
    for (int j = 0; j < n_sources(form); j++) {
        bool one = n == 1 || (parametric && j > 0);
        size_t size = source_size(code, in, j);
        step[j] = !(uniform >> j & 1 || (parametric && j > 0));
        size_t count = step[j] ? (size_t)n : one ? 1 : CR__PAD;
        char *at = pages[j] + (at_end ? PAGE - count * size : 0);
        memset(at, 1, count * size);
        src[j] = at;
    }
    kernel(pages[3] + (at_end ? PAGE - bytes : 0), src, step, n);
}

static void test_edges(cr__isa isa, cr__map_code code, cr_dtype in, cr_dtype out)
{
    cr__map_fn *kernel = cr__map_find_for(isa, code, in, out);
    cr__map_form form = cr__map_rows[code].form;
    if (!kernel || form == CR__FORM_SOURCE)
        return;
    /* Should it be killed, this is the last line. */
    diag("%s: %s of %s to %s", cr__isa_name(isa), cr__map_rows[code].name,
         cr_dtype_name(in), cr_dtype_name(out));
    for (unsigned uniform = 0; uniform < 1u << n_sources(form); uniform++)
        for (int64_t n = 0; n <= MOST; n++) {
            call(code, kernel, in, out, uniform, n, true);
            call(code, kernel, in, out, uniform, n, false);
        }
}

static void test_sources(cr__map_code code, cr_dtype t)
{
    cr__map_fn *kernel = cr__map_find(code, t, t);
    const int64_t first = 5;
    const uint64_t params[8] = { 0 };
    const void *src[2] = { &first, params };
    for (int64_t n = 0; kernel && n <= MOST; n++) {
        kernel(pages[3] + PAGE - (size_t)n * cr_dtype_size(t), src, NULL, n);
        kernel(pages[3], src, NULL, n);
    }
}

int main(void)
{
    for (int i = 0; i < 4; i++)
        if (!(pages[i] = page())) {
            skip(1, "no pages to be had");
            return done_testing();
        }
    for (cr__isa isa = CR__GENERIC; isa < CR__ISAS; isa++)
        for (cr__map_code code = 1; cr__isa_usable(isa) && code < CR__MAP_CODES; code++)
            for (cr_dtype in = CR_F32; in <= CR_BOOL; in++) {
                for (cr_dtype out = CR_F32; code == CR__MAP_cast && out <= CR_BOOL; out++)
                    test_edges(isa, code, in, out);
                if (code != CR__MAP_cast)
                    test_edges(isa, code, in, writes_bool(code) ? CR_BOOL : in);
                if (cr__map_rows[code].form == CR__FORM_SOURCE)
                    test_sources(code, in);
            }
    ok(true, "kernels touch nothing before and behind their elements");
    return done_testing();
}
