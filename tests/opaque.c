/* Opaque operations: checks come before anything is computed, and inputs are read as their
 * operation declares, wherever they lie. */
#include "../src/base/compiler.h"
#include "../src/ops/ops.h"
#include "tap.h"
#include <chainrule.h>

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

/* ---- what counts its calls ---- */

static bool copy_counted(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)n;
    ++*(int *)user;
    memcpy(out->data, in[0].data, (size_t)out->numel * sizeof(float));
    return true;
}

/* x as it is, which a run computes by a call that is counted. */
static cr_tensor *counted(cr_tensor *x, int *calls)
{
    const cr_custom_def def = { .name = "counted",
                                .forward = copy_counted,
                                .user = calls };
    return cr_custom(&def, &x, 1, CR_F32, cr_shape(x));
}

static bool is_eager(void)
{
    const char *eager = getenv("CHAINRULE_EAGER");
    return eager && *eager == '1';
}

/* ---- indices that are known ---- */

static cr_tensor *by_gather(cr_tensor *x, cr_tensor *index)
{
    return cr_gather(x, 0, index);
}

static cr_tensor *by_scatter_add(cr_tensor *x, cr_tensor *index)
{
    return cr_scatter_add(x, 0, index, cr_cast(index, CR_F32));
}

static cr_tensor *by_index_select(cr_tensor *x, cr_tensor *index)
{
    return cr_index_select(x, 1, cr_reshape(cr_slice(index, 0, 1, 2), CR_DIMS(3)));
}

static cr_tensor *by_index_add(cr_tensor *x, cr_tensor *index)
{
    return cr_index_add(x, 1, cr_reshape(cr_slice(index, 0, 1, 2), CR_DIMS(3)), x);
}

static cr_tensor *by_embedding(cr_tensor *x, cr_tensor *index)
{
    return cr_embedding(x, index);
}

static cr_tensor *by_one_hot(cr_tensor *x, cr_tensor *index)
{
    return cr_mul(cr_sum(x), cr_cast(cr_one_hot(index, 3), CR_F32));
}

static cr_tensor *by_cross_entropy(cr_tensor *x, cr_tensor *index)
{
    return cr_cross_entropy(x, cr_reshape(cr_slice(index, 0, 1, 2), CR_DIMS(3)));
}

static cr_tensor *by_weighted_nll(cr_tensor *x, cr_tensor *index)
{
    return cr_nll_loss(x, cr_reshape(cr_slice(index, 0, 1, 2), CR_DIMS(3)),
                       .weight = cr_ones(cr_ctx_of(x), CR_DIMS(3)));
}

typedef struct by_index {
    const char *name, *message;
    cr_tensor *(*make)(cr_tensor *x, cr_tensor *index);
} by_index;

static const by_index all_by_index[] = {
    { "gather", "gather: index 3 at [1, 2] is outside dim 0, which has size 3",
      by_gather },
    { "scatter_add", "scatter_add: index 3 at [1, 2] is outside dim 0, which has size 3",
      by_scatter_add },
    { "index_select", "index_select: index 3 at [2] is outside dim 1, which has size 3",
      by_index_select },
    { "index_add", "index_add: index 3 at [2] is outside dim 1, which has size 3",
      by_index_add },
    { "embedding", "embedding: index 3 at [1, 2] is outside dim 0, which has size 3",
      by_embedding },
    { "one_hot", "one_hot: index 3 at [1, 2] is not below num_classes, 3", by_one_hot },
    { "cross_entropy", "cross_entropy: target 3 at [2] is not a class: 0..2",
      by_cross_entropy },
    { "nll_loss", "nll_loss: target 3 at [2] is not a class: 0..2", by_weighted_nll },
};

/* [[0, 1, 2], [2, 1, bad]], lying in one of several ways. */
enum { PLAIN, PERMUTED, SLICED, FLIPPED, BYTES, INTS, LAYOUTS };
static const char *const layout_names[] = { "plain",   "permuted", "sliced",
                                            "flipped", "u8",       "i32" };

static cr_tensor *index_in(cr_ctx *ctx, int layout, int bad)
{
    const int64_t plain[] = { 0, 1, 2, 2, 1, bad }, columns[] = { 0, 2, 1, 1, 2, bad },
                  odd[] = { 7, 0, 7, 1, 7, 2, 7, 2, 7, 1, 7, bad },
                  back[] = { bad, 1, 2, 2, 1, 0 };
    const uint8_t bytes[] = { 0, 1, 2, 2, 1, (uint8_t)bad };
    const int32_t ints[] = { 0, 1, 2, 2, 1, bad };
    switch (layout) {
    case PERMUTED:
        return cr_t(cr_from(ctx, CR_I64, CR_DIMS(3, 2), columns));
    case SLICED:
        return cr_slice(cr_from(ctx, CR_I64, CR_DIMS(2, 6), odd), 1, 1, 6, .step = 2);
    case FLIPPED:
        return cr_flip(cr_from(ctx, CR_I64, CR_DIMS(2, 3), back), CR_DIMS(0, 1));
    case BYTES:
        return cr_from(ctx, CR_U8, CR_DIMS(2, 3), bytes);
    case INTS:
        return cr_from(ctx, CR_I32, CR_DIMS(2, 3), ints);
    default:
        return cr_from(ctx, CR_I64, CR_DIMS(2, 3), plain);
    }
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* A step with an update, whose run has the operation in it: forward, backward, and before
 * all something that is counted. */
static void test_known(const by_index *by, int layout)
{
    int calls = 0, bad;
    bool passed = true;
    cr_ctx *ctx = cr_open(NULL);
    const float v[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    cr_tensor *w = cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(3, 3), v));
    cr_tensor *step = cr_requires_grad(cr_scalar(ctx, 1.0));
    for (bad = 3; bad >= 2; bad--) {
        CR_SCOPE(ctx);
        cr_tensor *index = index_in(ctx, layout, bad);
        cr_tensor *x = counted(cr_mul(w, 2), &calls);
        cr_tensor *y = cr_add(cr_sum(by->make(cr_mul(w, 3), index)), cr_sum(x));
        cr_backward(cr_mul(y, step));
        {
            CR_NO_GRAD(ctx);
            cr_assign(w, cr_sub(w, cr_mul(cr_detach(x), 0.5f)));
            cr_assign(step, cr_add(step, 1));
        }
        cr_eval(y, w, step);
        cr_status status = cr_error(ctx);
        if (bad == 2) {
            passed = passed && status == CR_OK && calls > 0 && cr_item(step) == 2;
            break;
        }
        passed = passed && status == CR_ERR_INDEX && (calls == 0 || is_eager()) &&
                 starts_with(cr_message(ctx), by->message);
        if (!passed)
            diag("  %d calls, %s", calls, cr_message(ctx));
        cr_clear(ctx);
        passed = passed && cr_item(step) == 1 && cr_grad(w) == NULL &&
                 memcmp(cr_data(w), v, sizeof v) == 0;
    }
    ok(passed && !cr_error(ctx),
       "%s, %s index: an error before anything is computed, and then none: %s", by->name,
       layout_names[layout], cr_message(ctx));
    cr_close(ctx);
}

/* ---- indices that the run computes ---- */

static void test_computed(const by_index *by)
{
    int calls = 0;
    bool passed = true;
    cr_ctx *ctx = cr_open(NULL);
    const float v[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    cr_tensor *w = cr_requires_grad(cr_from(ctx, CR_F32, CR_DIMS(3, 3), v));
    for (int more = 1; more >= 0; more--) {
        CR_SCOPE(ctx);
        cr_tensor *index = cr_add(index_in(ctx, PLAIN, 2), more);
        cr_tensor *x = counted(w, &calls);
        cr_backward(cr_add(cr_sum(by->make(cr_mul(w, 3), index)), cr_sum(x)));
        {
            CR_NO_GRAD(ctx);
            cr_assign(w, cr_add(cr_detach(x), 1));
        }
        cr_eval(w);
        passed = passed && (cr_error(ctx) == CR_ERR_INDEX) == (more == 1);
        cr_clear(ctx);
        passed = passed && ((const float *)cr_data(w))[0] == (more ? 1 : 2) &&
                 (cr_grad(w) == NULL) == (more == 1);
    }
    ok(passed && !cr_error(ctx), "%s, computed index: an error that changes nothing: %s",
       by->name, cr_message(ctx));
    cr_close(ctx);
}

/* ---- every operation of the library ---- */

/* Which elements are wrong only computing tells: these have no check. */
static bool finds_out(const cr_op *op)
{
    return op == &cr__op_custom_backward || op == &cr__op_cholesky_lower ||
           op == &cr__op_linear_system || op == &cr__op_inv;
}

static void test_library(void)
{
    const char *without = "";
    for (int i = 0; cr_op_list(i) || cr__op_internal(i); i++) {
        const cr_op *ops[] = { cr_op_list(i), cr__op_internal(i) };
        for (int k = 0; k < 2; k++)
            if (ops[k] && ops[k]->kind == CR_OP_OPAQUE && !ops[k]->check &&
                !ops[k]->never_fails && !finds_out(ops[k]))
                without = ops[k]->name;
    }
    is_text(without, "", "no kernel of the library fails behind its check");
}

/* ---- checks of one's own ---- */

static int checks, kernels;

static cr_status picky_check(const cr_kernel *kernel)
{
    const cr_array *x = &kernel->in[0], *limit = &kernel->in[1];
    const int64_t *v = cr_array_fetch(limit, 0, limit->numel, 0);
    checks++;
    if (x->data || limit->data || cr_array_fetch(x, 0, 1, 0) || x->numel != 3 ||
        kernel->out.data || kernel->scratch || kernel->out.numel != 3)
        return CR_ERR_ARGUMENT;
    for (int64_t i = 0; i < limit->numel; i++)
        if (v[i] < 0) {
            snprintf(kernel->message, kernel->capacity, "limit %d is below 0", (int)v[i]);
            return CR_ERR_INDEX;
        }
    return CR_OK;
}

static cr_status picky_kernel(const cr_kernel *kernel)
{
    kernels++;
    memcpy(kernel->out.data, kernel->in[0].data, 3 * sizeof(float));
    return CR_OK;
}

static const cr_op picky = { .name = "picky",
                             .kind = CR_OP_OPAQUE,
                             .min_inputs = 2,
                             .max_inputs = 2,
                             .inputs = "x,limit",
                             .kernel = picky_kernel,
                             .check = picky_check,
                             .checks = CR_READS_INPUT(1) };

static void test_own(void)
{
    int calls = 0;
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_ones(ctx, CR_DIMS(3));
    for (int computed = 0; computed < 2; computed++) {
        for (int below = 0; below < 2; below++) {
            CR_SCOPE(ctx);
            cr_tensor *limit = cr_full(ctx, CR_DIMS(4), below ? -5 : 5, .dtype = CR_I64);
            cr_tensor *in[] = { counted(x, &calls), computed ? cr_mul(limit, 2) : limit };
            calls = checks = kernels = 0;
            cr_eval(cr_apply(&picky, in, 2, NULL));
            cr_status status = cr_error(ctx);
            const char *when = computed ? "computed" : "known";
            is_int(status, below ? CR_ERR_INDEX : CR_OK, "a check of what is %s: %s",
                   when, cr_message(ctx));
            is_int(checks, 1, "  called once");
            is_int(kernels, !below, "  the kernel only behind it");
            if (!is_eager() && !computed)
                is_int(calls, !below, "  before anything was computed");
            if (below)
                ok(starts_with(cr_message(ctx), computed
                                                    ? "picky: limit -10 is below 0 ("
                                                    : "picky: limit -5 is below 0 ("),
                   "  its message: %s", cr_message(ctx));
            cr_clear(ctx);
        }
    }
    cr_close(ctx);
}

static bool custom_picky(const cr_array *in, int n, char *message, size_t capacity,
                         void *user)
{
    const float *v = cr_array_fetch(&in[0], 0, in[0].numel, 0);
    bool silent = *(const bool *)user;
    for (int64_t i = 0; i < in[0].numel; i++)
        if (v[i] > 1) {
            if (!silent)
                snprintf(message, capacity, "%g is above 1, of %d inputs", v[i], n);
            return false;
        }
    return true;
}

static bool custom_copy(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)n, (void)user;
    kernels++;
    memcpy(out->data, in[0].data, (size_t)out->numel * sizeof(float));
    return true;
}

static void test_custom_check(void)
{
    bool silent = false;
    int calls = 0;
    cr_ctx *ctx = cr_open(NULL);
    const cr_custom_def def = { .name = "low", .forward = custom_copy, .user = &silent };
    const cr_custom_inputs how = { .check = custom_picky, .checks = CR_READS_INPUT(0) };
    const float v[] = { 0, 1, 2, 3 };
    cr_tensor *x = cr_from(ctx, CR_F32, CR_DIMS(2, 2), v), *first = cr_slice(x, 0, 0, 1);
    kernels = 0;
    cr_eval(counted(x, &calls), cr_custom_with(&def, &how, &x, 1, CR_F32, CR_DIMS(2, 2)));
    is_int(cr_error(ctx), CR_ERR_ARGUMENT, "a custom operation's check");
    ok(starts_with(cr_message(ctx), "custom: low: 2 is above 1, of 1 inputs ("),
       "with its message: %s", cr_message(ctx));
    cr_clear(ctx);
    silent = true;
    cr_eval(cr_custom_with(&def, &how, &x, 1, CR_F32, CR_DIMS(2, 2)));
    is_int(cr_error(ctx), CR_ERR_ARGUMENT, "or");
    ok(starts_with(cr_message(ctx), "custom: low: its check failed ("), "without: %s",
       cr_message(ctx));
    cr_clear(ctx);
    is_int(kernels, 0, "forward was not called");
    ok(calls == 0 || is_eager(), "nor what stood before it");
    is_near(cr_item(cr_sum(cr_custom_with(&def, &how, &first, 1, CR_F32, CR_DIMS(1, 2)))),
            1, 0, "and one that passes: %s", cr_message(ctx));
    cr_close(ctx);
}

/* ---- how inputs lie ---- */

enum { CONTIGUOUS, STRIDED, FETCHED, ONCE, ACCESSES };
static const char *const access_names[] = { "contiguous", "strided", "fetched",
                                            "fetched once" };

typedef struct reading {
    int access;
    bool laid_out; /* the input was read where it lies, which is not contiguous */
    bool wrong;
    int64_t piece; /* of what is fetched */
} reading;

static bool is_contiguous(const cr_array *x)
{
    int64_t stride = 1;
    for (int d = x->dims.n - 1; d >= 0; stride *= x->dims.v[d--])
        if (x->dims.v[d] != 1 && x->strides[d] != stride && x->numel > 0)
            return false;
    return true;
}

static void copy_strided(const cr_array *x, char *to)
{
    size_t size = cr_dtype_size(x->dtype);
    for (int64_t i = 0; i < x->numel; i++) {
        int64_t offset = 0, rest = i;
        for (int d = x->dims.n - 1; d >= 0; d--) {
            offset += rest % x->dims.v[d] * x->strides[d];
            rest /= x->dims.v[d];
        }
        memcpy(to + (size_t)i * size, (char *)x->data + offset * (int64_t)size, size);
    }
}

static void copy_fetched(const cr_array *x, char *to, int64_t begin, int64_t end,
                         int64_t piece, int worker, reading *r)
{
    size_t size = cr_dtype_size(x->dtype);
    for (int64_t n; begin < end; begin += n) {
        n = end - begin < piece ? end - begin : piece;
        const void *from = cr_array_fetch(x, begin, n, worker);
        if (from)
            memcpy(to + (size_t)begin * size, from, (size_t)n * size);
        else
            r->wrong = true;
    }
}

static void read_input(const cr_array *x, char *to, reading *r)
{
    r->wrong = r->wrong || (r->access >= FETCHED) != (x->data == NULL);
    if (!is_contiguous(x))
        r->laid_out = true;
    switch (r->access) {
    case CONTIGUOUS:
        r->wrong = r->wrong || !is_contiguous(x);
        memcpy(to, x->data, (size_t)x->numel * cr_dtype_size(x->dtype));
        break;
    case STRIDED: {
        int last = x->dims.n - 1;
        if (last >= 0 && x->dims.v[last] > 1 && x->numel > 0 && x->strides[last] != 1)
            r->wrong = true;
        copy_strided(x, to);
        break;
    }
    default:
        copy_fetched(x, to, 0, x->numel, r->piece, 0, r);
        if (cr_array_fetch(x, 0, 0, 0) || cr_array_fetch(x, -1, 1, 0) ||
            cr_array_fetch(x, x->numel, 1, 0) || cr_array_fetch(x, 0, 1, -1) ||
            cr_array_fetch(x, 0, 1, 1000) || cr_array_fetch(x, 0, CR_MAX_FETCH + 1, 0))
            r->wrong = true;
    }
}

/* Both inputs one behind the other. */
static bool copy_both(const cr_array *in, int n, cr_array *out, void *user)
{
    (void)n;
    read_input(&in[0], out->data, user);
    read_input(&in[1],
               (char *)out->data + (size_t)in[0].numel * cr_dtype_size(out->dtype), user);
    return true;
}

enum { VIEWS = 10 };

static cr_tensor *view_of(cr_tensor *x, int view)
{
    switch (view) {
    case 0:
        return x;
    case 1:
        return cr_permute(x, CR_DIMS(2, 0, 1));
    case 2: /* unit inner stride */
        return cr_permute(x, CR_DIMS(1, 0, 2));
    case 3:
        return cr_expand(cr_slice(x, 0, 0, 1), CR_DIMS(5, 6, 7));
    case 4:
        return cr_expand(cr_slice(x, 2, 3, 4), CR_DIMS(3, 6, 20));
    case 5:
        return cr_slice(cr_slice(x, 1, 1, 6, .step = 2), 2, 2, 6);
    case 6:
        return cr_flip(x, CR_DIMS(0, 1));
    case 7: /* on top of which no view lies */
        return cr_reshape(cr_permute(x, CR_DIMS(2, 1, 0)), CR_DIMS(9, 14));
    case 8:
        return cr_reshape(cr_slice(cr_slice(cr_slice(x, 0, 1, 2), 1, 2, 3), 2, 4, 5),
                          CR_NO_DIMS);
    default:
        return cr_slice(cr_t(x), 1, 2, 2);
    }
}

static cr_tensor *data_of(cr_ctx *ctx, cr_dtype dtype)
{
    cr_tensor *x =
        cr_reshape(cr_arange(ctx, 0, 3 * 6 * 7, 1, .dtype = CR_F32), CR_DIMS(3, 6, 7));
    return cr_cast(dtype == CR_BOOL ? cr_eq(x, cr_mul(cr_floor(cr_div(x, 3)), 3)) : x,
                   dtype);
}

/* Each view read in each way, of what is known and of what the run computes, against the
 * same elements in order. */
static void test_access(cr_dtype dtype, int access)
{
    cr_ctx *ctx = cr_open(NULL);
    reading r = { .access = access, .piece = 5 };
    bool equal = true;
    for (int view = 0; view < VIEWS; view++)
        for (int known = 0; known < 2; known++) {
            CR_SCOPE(ctx);
            r.piece = view % 2 ? 5 : CR_MAX_FETCH;
            cr_tensor *x = data_of(ctx, dtype), *y = data_of(ctx, dtype);
            if (known)
                cr_eval(x);
            cr_tensor *in[] = { view_of(x, view), x };
            cr_tensor *want = cr_watch(view_of(y, view));
            int64_t numel = cr_numel(in[0]), all = numel + cr_numel(x);
            const cr_custom_def def = { .name = "copy",
                                        .forward = copy_both,
                                        .user = &r };
            const cr_custom_inputs how = { .strided =
                                               access == STRIDED ? CR_READS_INPUTS : 0,
                                           .fetched =
                                               access >= FETCHED ? CR_READS_INPUTS : 0,
                                           .once = access == ONCE ? CR_READS_INPUTS : 0 };
            cr_tensor *out = cr_custom_with(&def, &how, in, 2, dtype, CR_DIMS(all));
            const char *got = cr_data(out), *first = cr_data(want), *second = cr_data(y);
            size_t size = cr_dtype_size(dtype), bytes = (size_t)numel * size;
            bool same = got && second && (!bytes || memcmp(got, first, bytes) == 0) &&
                        memcmp(got + bytes, second, (size_t)(all - numel) * size) == 0;
            if (!same || r.wrong)
                diag("  view %d%s: %s", view, known ? ", known" : "", cr_message(ctx));
            equal = equal && same;
        }
    ok(equal && !r.wrong, "%s, %s: every view has its elements", cr_dtype_name(dtype),
       access_names[access]);
    ok(r.laid_out == (access != CONTIGUOUS), "  %s",
       access == CONTIGUOUS ? "as copies" : "where they lie");
    cr_close(ctx);
}

/* ---- what is made while it is fetched ---- */

/* Maps of x and y that a kernel fetches once; of the same that are kept, its result is `want`. */
enum { DRAWN = 7 };

static cr_tensor *drawn_by(int form, cr_tensor *z, cr_tensor *x)
{
    int last = cr_ndim(z) - 1;
    cr_tensor *both[] = { z, x };
    switch (form) {
    case 0:
        return cr_cat(both, 2, last);
    case 1:
        return cr_cat(both, 2, 0);
    case 2:
        return cr_slice_scatter(cr_cat(both, 2, last), z, last, 1, cr_size(z, last) + 1);
    case 3:
        return cr_cumsum(z, last);
    case 4:
        return cr_cumsum(z, 0);
    case 5: /* in another shape */
        return cr_cumsum(cr_reshape(z, CR_DIMS(-1)), 0);
    default: /* twice: in memory */
        return cr_cat(CR_ARRAY(cr_tensor *, z, x, z), 3, 0);
    }
}

static bool is_drawn(cr_tensor *x)
{
    static char text[1 << 15];
    cr_plan_format(&x, 1, text, sizeof text);
    return strstr(text, "maps and kernel of its own") != NULL;
}

static void test_drawn(cr_dtype dtype, int threads)
{
    static const int64_t sizes[][2] = { { 3, 1 },    { 1, 7 },    { 2, 16 },
                                        { 5, 33 },   { 2, 0 },    { 7, 511 },
                                        { 3, 1025 }, { 2, 4097 }, { 60, 70 } };
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = threads });
    bool equal = true;
    int drawn = 0;
    for (int i = 0; i < CR__COUNT(sizes); i++)
        for (int form = 0; form < DRAWN; form++) {
            CR_SCOPE(ctx);
            cr_dims dims = CR_DIMS(sizes[i][0], sizes[i][1]);
            cr_tensor *x = cr_cast(cr_randint(ctx, 0, 9, dims), dtype);
            cr_tensor *row = cr_cast(cr_randint(ctx, 0, 9, CR_DIMS(dims.v[1])), dtype);
            cr_tensor *turned =
                cr_cast(cr_randint(ctx, 0, 9, CR_DIMS(dims.v[1], dims.v[0])), dtype);
            cr_eval(x, row, turned);
            cr_tensor *z[2];
            for (int kept = 0; kept < 2; kept++) {
                z[kept] = cr_maximum(cr_mul(cr_add(x, row), 2), cr_t(turned));
                if (kept)
                    cr_watch(z[kept]);
                z[kept] = drawn_by(form, z[kept], x);
            }
            drawn += is_drawn(z[0]);
            const void *got = cr_data(z[0]), *want = cr_data(z[1]);
            bool same =
                cr_error(ctx) == CR_OK &&
                memcmp(got, want,
                       (size_t)cr_numel(z[0]) * cr_dtype_size(cr_dtype_of(z[0]))) == 0;
            if (!same)
                diag("  form %d, size %d: %s", form, i, cr_message(ctx));
            equal = equal && same;
        }
    ok(equal, "%s, %d threads: maps that a kernel fetches have the bits of stored ones",
       cr_dtype_name(dtype), threads);
    ok(is_eager() || drawn > 20, "  %d plans have them", drawn);
    cr_close(ctx);
}

/* A part is replaced by what is made of that part: the tensor is not copied for it, and its
 * elements are not written before they are read. */
static void test_replaced_part(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_arange(ctx, 0, 4000, 1, .dtype = CR_F32);
    cr_tensor *z = cr_add(x, 1), *part = cr_slice(z, 0, 10, 3000);
    cr_tensor *out =
        cr_slice_scatter(z, cr_mul(cr_flip(part, CR_DIMS(0)), 2), 0, 10, 3000);
    ok(is_eager() || !is_drawn(out), "of what is written over nothing is fetched");
    const float *got = cr_data(out);
    bool right = got != NULL;
    for (int i = 0; right && i < 4000; i++)
        right =
            got[i] == (i < 10 || i >= 3000 ? (float)(i + 1) : (float)(2 * (3010 - i)));
    ok(right, "  and the part is right: %s", cr_message(ctx));
    cr_close(ctx);
}

/* ---- sums of what points to one place ---- */

/* Some of the values are unusual ones. */
static cr_tensor *unusual(cr_ctx *ctx, cr_dtype dtype, int64_t n, int64_t columns)
{
    static const double values[] = { -0.0, 0, 1e-310, -1e-40, 1e30, -1e30, 3, INFINITY };
    cr_tensor *which = cr_randint(ctx, 0, 400, CR_DIMS(n, columns));
    cr_tensor *x = cr_randn(ctx, CR_DIMS(n, columns), .dtype = CR_F64);
    for (int i = 0; i < CR__COUNT(values); i++)
        x = cr_where(cr_eq(which, 10 * i), values[i], x);
    return cr_cast(x, dtype);
}

/* Lines, lines of few rows, rows one by one and rows of three columns are summed in ways of their
 * own, to the same bits. */
static void test_sums_of_places(cr_dtype dtype)
{
    static const int64_t sizes[][2] = { { 1, 1 },       { 2, 5 },       { 3, 2 },
                                        { 31, 31 },     { 33, 140 },    { 100, 7 },
                                        { 257, 90 },    { 1000, 1000 }, { 1000, 300 },
                                        { 1000, 4000 }, { 4095, 1500 }, { 4096, 5000 },
                                        { 4097, 1500 }, { 9000, 900 } };
    cr_ctx *ctx = cr_open(NULL);
    bool same = true;
    for (int i = 0; i < CR__COUNT(sizes); i++) {
        CR_SCOPE(ctx);
        const int64_t n = sizes[i][0], rows = sizes[i][1], columns = 3;
        cr_tensor *index = cr_randint(ctx, 0, rows, CR_DIMS(n));
        cr_tensor *x = unusual(ctx, dtype, rows, columns);
        cr_tensor *src = unusual(ctx, dtype, n, columns);
        cr_tensor *all = cr_t(cr_index_add(x, 0, index, src));
        cr_tensor *turned = cr_index_add(cr_t(x), 1, index, cr_t(src));
        cr_tensor *each = cr_scatter_add(
            cr_t(x), 1, cr_expand(cr_reshape(index, CR_DIMS(1, n)), CR_DIMS(columns, n)),
            cr_t(src));
        cr_tensor *down = cr_t(cr_scatter_add(
            x, 0, cr_expand(cr_reshape(index, CR_DIMS(n, 1)), CR_DIMS(n, columns)), src));
        cr_tensor *ways[] = { all, turned, each, down };
        const size_t bytes = (size_t)(rows * columns) * cr_dtype_size(dtype);
        for (int way = 1; way < CR__COUNT(ways); way++)
            if (!cr_data(ways[way]) ||
                memcmp(cr_data(ways[0]), cr_data(ways[way]), bytes) != 0) {
                diag("  %lld to %lld rows, way %d: %s", (long long)n, (long long)rows,
                     way, cr_message(ctx));
                same = false;
            }
    }
    ok(same, "%s: scattered sums have one order", cr_dtype_name(dtype));
    cr_close(ctx);
}

/* ---- fetching on threads ---- */

typedef struct threaded {
    const cr_kernel *kernel;
    int64_t chunks;
    atomic_int faults;
} threaded;

static void fetch_chunk(void *arg, int64_t chunk, int worker)
{
    threaded *t = arg;
    const cr_array *x = &t->kernel->in[0], *y = &t->kernel->in[1];
    float *out = t->kernel->out.data;
    for (int64_t i = chunk; i < x->numel; i += t->chunks * 64) {
        int64_t n = x->numel - i < 3 ? x->numel - i : 3;
        const float *a = cr_array_fetch(x, i, n, worker),
                    *b = cr_array_fetch(y, i, n, worker);
        if (!a || !b)
            atomic_fetch_add(&t->faults, 1);
        else /* both hold at the same time */
            out[i] = a[0] + b[n - 1];
    }
    for (int64_t i = chunk; i < x->numel; i += t->chunks) {
        const float *a = cr_array_fetch(x, i, 1, worker),
                    *b = cr_array_fetch(y, i, 1, worker);
        out[i] = a && b ? *a - *b : 0;
    }
}

static cr_status fetch_kernel(const cr_kernel *kernel)
{
    threaded t = { .kernel = kernel, .chunks = 500 };
    cr_kernel_chunks(kernel, t.chunks, fetch_chunk, &t);
    return atomic_load(&t.faults) ? CR_ERR_ARGUMENT : CR_OK;
}

static const cr_op fetching = { .name = "fetching",
                                .kind = CR_OP_OPAQUE,
                                .min_inputs = 2,
                                .max_inputs = 2,
                                .kernel = fetch_kernel,
                                .fetched = CR_READS_INPUTS };

static void test_threads(int threads)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = threads });
    cr_tensor *x = cr_randn(ctx, CR_DIMS(60, 50)), *y = cr_randn(ctx, CR_DIMS(50, 60));
    cr_tensor *in[] = { cr_t(x), cr_flip(y, CR_DIMS(1)) };
    cr_tensor *difference =
        cr_sub(cr_apply(&fetching, in, 2, NULL), cr_sub(in[0], in[1]));
    is_near(cr_item(cr_amax(cr_abs(difference))), 0, 0, "%d threads fetch: %s", threads,
            cr_message(ctx));
    cr_close(ctx);
}

/* ---- the library's kernels on views ---- */

static cr_tensor *pick(int op, cr_tensor *x, cr_tensor *index, cr_tensor *source)
{
    switch (op) {
    case 0:
        return cr_gather(x, 1, index);
    case 1:
        return cr_scatter_add(x, 1, index, source);
    case 2:
        return cr_gather(x, 2, index);
    case 3:
        return cr_scatter_add(x, 0, index, source);
    case 4:
        return cr_index_select(x, 0, cr_reshape(cr_slice(index, 2, 0, 1), CR_DIMS(-1)));
    case 5:
        return cr_index_select(x, 2, cr_reshape(index, CR_DIMS(-1)));
    case 6:
        return cr_index_add(x, 1, cr_reshape(cr_slice(index, 2, 0, 1), CR_DIMS(-1)),
                            cr_reshape(source, CR_DIMS(4, 12, 4)));
    case 7:
        return cr_embedding(cr_reshape(cr_slice(x, 1, 1, 2), CR_DIMS(4, 4)), index);
    case 8:
        return cr_cat(((cr_tensor *[]){ x, cr_flip(x, CR_DIMS(1)), x }), 3, 1);
    case 9:
        return cr_stack(((cr_tensor *[]){ x, cr_permute(x, CR_DIMS(2, 0, 1)) }), 2, 1);
    default:
        return cr_slice_scatter(x, cr_slice(source, 2, 0, 4, .step = 2), 2, 1, 3);
    }
}

enum { PICKS = 11 };

static void test_kernels(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *base = cr_randn(ctx, CR_DIMS(4, 4, 4));
    cr_tensor *numbers = cr_cast(cr_mul(cr_rand(ctx, CR_DIMS(3, 4, 4)), 4), CR_I64);
    cr_tensor *terms = cr_randn(ctx, CR_DIMS(4, 4, 12));
    static const int64_t orders[][3] = { { 0, 1, 2 }, { 1, 0, 2 }, { 2, 1, 0 } };
    for (int op = 0; op < PICKS; op++) {
        bool equal = true;
        for (int order = 0; order < 3; order++)
            for (int flip = 0; flip < 2; flip++) {
                CR_SCOPE(ctx);
                cr_dims by =
                    CR_DIMS(orders[order][0], orders[order][1], orders[order][2]);
                cr_tensor *x = cr_permute(base, by), *index, *source;
                cr_tensor *shape =
                    op == 4 || op == 6 ? cr_slice(numbers, 0, 0, 3) : numbers;
                index = op == 6 || op == 4 ? shape : cr_permute(shape, by);
                if (flip)
                    x = cr_flip(x, CR_DIMS(0)), index = cr_flip(index, CR_DIMS(0));
                source = op == 6    ? cr_permute(terms, by)
                         : op == 10 ? x
                                    : cr_mul(cr_cast(index, CR_F32), 0.3f);
                cr_tensor *straight[3] = { cr_detach(x), cr_detach(index),
                                           cr_detach(source) };
                cr_tensor *seen = pick(op, x, index, source);
                for (int i = 0; i < 3; i++) { /* the same in contiguous memory */
                    cr_tensor *t = straight[i];
                    straight[i] = cr_from(ctx, cr_dtype_of(t), cr_shape(t), cr_data(t));
                }
                cr_tensor *want = pick(op, straight[0], straight[1], straight[2]);
                const void *got = cr_data(seen), *right = cr_data(want);
                equal = equal && got && right && cr_numel(seen) == cr_numel(want) &&
                        memcmp(got, right,
                               (size_t)cr_numel(seen) *
                                   cr_dtype_size(cr_dtype_of(seen))) == 0;
                if (!equal)
                    diag("  order %d, flip %d: %s", order, flip, cr_message(ctx));
            }
        ok(equal, "kernel %d: the same bits on views", op);
    }
    cr_close(ctx);
}

/* ---- cotangents of slices ---- */

enum { SLICES = 3 };

static cr_tensor *slice_of(cr_tensor *x, int dim, int i)
{
    const int64_t size = cr_size(x, dim), from = i == 1 ? size / 3 : 0;
    return cr_slice(x, dim, from, i == 2 ? 1 : size - !i);
}

/* The gradient of what reads overlapping slices has the bits of what adds to one after the other,
 * beginning with the last. */
static void test_slice_sums(cr_dtype dtype, int dim)
{
    cr_ctx *ctx = cr_open(NULL);
    const cr_dims dims = CR_DIMS(3, 5, 2311);
    cr_tensor *x = cr_requires_grad(cr_randn(ctx, dims, .dtype = dtype));
    cr_tensor *loss = NULL, *want = cr_zeros(ctx, dims, .dtype = dtype), *w[SLICES];
    for (int i = 0; i < SLICES; i++) {
        cr_tensor *slice = slice_of(x, dim, i);
        w[i] = cr_randn(ctx, cr_shape(slice), .dtype = dtype);
        w[i] = cr_where(cr_gt(w[i], 1), i ? (double)INFINITY : -0.0,
                        cr_where(cr_lt(w[i], -1), i ? -(double)INFINITY : -0.0, w[i]));
        cr_eval(w[i]);
        cr_tensor *sum = cr_sum(cr_mul(slice, w[i]));
        loss = loss ? cr_add(loss, sum) : sum;
    }
    for (int i = SLICES; i-- > 0;) {
        const int64_t size = dims.v[dim], from = i == 1 ? size / 3 : 0;
        const int64_t end = i == 2 ? 1 : size - !i;
        cr_tensor *part =
            i < SLICES - 1 ? cr_add(cr_slice(want, dim, from, end), w[i]) : w[i];
        want = cr_slice_scatter(want, part, dim, from, end);
    }
    cr_backward(loss);
    const void *got = cr_data(cr_grad(x)), *right = cr_data(want);
    ok(got && right &&
           memcmp(got, right, (size_t)cr_numel(x) * cr_dtype_size(dtype)) == 0,
       "%s, dim %d: slices' cotangents, added in place, have the same bits: %s",
       cr_dtype_name(dtype), dim, cr_message(ctx));
    cr_close(ctx);
}

int main(void)
{
    for (int i = 0; i < CR__COUNT(all_by_index); i++) {
        for (int layout = 0; layout < LAYOUTS; layout++)
            test_known(&all_by_index[i], layout);
        test_computed(&all_by_index[i]);
    }
    test_library();
    test_own();
    test_custom_check();
    const cr_dtype dtypes[] = { CR_F32, CR_F64, CR_BF16, CR_F16,
                                CR_I64, CR_I32, CR_U8,   CR_BOOL };
    for (int i = 0; i < CR__COUNT(dtypes); i++)
        for (int access = 0; access < ACCESSES; access++)
            test_access(dtypes[i], access);
    for (int i = 0; dtypes[i] != CR_BOOL; i++)
        test_drawn(dtypes[i], 1 + i % 3);
    test_replaced_part();
    test_sums_of_places(CR_F32);
    test_sums_of_places(CR_F64);
    test_threads(1);
    test_threads(4);
    test_kernels();
    for (int dim = 0; dim < 3; dim++) {
        test_slice_sums(CR_F32, dim);
        test_slice_sums(CR_F64, dim);
        test_slice_sums(CR_BF16, dim);
    }
    return done_testing();
}
