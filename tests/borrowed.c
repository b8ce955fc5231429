/* What is borrowed may end where memory does: operations read their elements and nothing behind
 * them. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <chainrule.h>

#include "tap.h"
#include <string.h>
#include <sys/mman.h>

#define PAGE 65536 /* of any system; [MOST_ROWS, MOST_COLUMNS] of f64 fit */

enum { MOST_ROWS = 40, MOST_COLUMNS = 75 };

static char *page; /* memory with none behind it */

/* bytes that end with the memory: small numbers of any type. */
static const void *at_end(size_t bytes)
{
    return page + PAGE - bytes;
}

static cr_tensor *borrowed(cr_ctx *ctx, cr_dtype dtype, int64_t m, int64_t n)
{
    const void *data = at_end((size_t)(m * n) * cr_dtype_size(dtype));
    return cr_borrow(ctx, dtype, CR_DIMS(m, n), data, NULL, NULL);
}

static void read_all(cr_ctx *ctx, cr_dtype dtype, int64_t m, int64_t n)
{
    CR_SCOPE(ctx);
    cr_tensor *x = borrowed(ctx, dtype, m, n), *both[] = { x, x };
    cr_eval(cr_sum(x), cr_sum(x, 0), cr_sum(x, 1), cr_amax(x, 1), cr_argmax(x, 0));
    cr_eval(cr_add(x, x), cr_flip(x, CR_DIMS(1)), cr_cat(both, 2, 0), cr_cast(x, CR_F64));
    if (dtype == CR_I64 || dtype == CR_I32 || dtype == CR_U8)
        return;
    cr_tensor *y = borrowed(ctx, dtype, n, m), *row = cr_select(x, 0, 0);
    cr_eval(cr_matmul(x, cr_t(x)), cr_matmul(cr_t(x), x), cr_matmul(x, y),
            cr_matmul(x, row), cr_softmax(x, 1),
            cr_layer_norm(x, CR_DIMS(n), NULL, NULL));
}

static void test_type(cr_ctx *ctx, cr_dtype dtype)
{
    for (int64_t m = 1; m <= MOST_ROWS; m += 3)
        for (int64_t n = 1; n <= MOST_COLUMNS; n += 2)
            read_all(ctx, dtype, m, n);
    is_text(cr_message(ctx), "", "%s: read where memory ends", cr_dtype_name(dtype));
    cr_clear(ctx);
}

int main(void)
{
    static const cr_dtype dtypes[] = { CR_F32, CR_F64, CR_BF16, CR_F16,
                                       CR_I64, CR_I32, CR_U8 };
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 2 });
    page = mmap(NULL, 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || mprotect(page, PAGE, PROT_READ | PROT_WRITE) != 0)
        page = NULL;
    ok(page, "there is memory that ends");
    for (int i = 0; page && i < (int)(sizeof dtypes / sizeof *dtypes); i++)
        test_type(ctx, dtypes[i]);
    cr_close(ctx);
    return done_testing();
}
