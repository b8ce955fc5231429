/* What the engine promises its host: scopes, memory, reading, random numbers, threads.
 * What holds of leaves is in leaves.c, how calls fail in engine_errors.c, operations'
 * values in op_table.c. */
#include "engine.h"

/* ---- scopes ---- */

static cr_tensor *leaves_early(cr_ctx *ctx, int how)
{
    for (int i = 0; i < 3; i++) {
        CR_SCOPE(ctx);
        cr_tensor *x = floats(ctx, 4);
        if (how == 0)
            continue;
        if (how == 1)
            break;
        return cr_keep(cr_exp(x));
    }
    return NULL;
}

static void test_scopes(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *kept, *w = cr_requires_grad(cr_zeros(ctx, CR_DIMS(1000)));
    cr_eval(w);
    size_t used = cr_memory_used(ctx);
    for (int i = 0; i < 20; i++) {
        CR_SCOPE(ctx);
        cr_assign(w, cr_add(w, 1));
        cr_backward(cr_sum(cr_mul(w, cr_arange(ctx, 0, 1000, 1))));
        cr_zero_grad(w);
    }
    ok(cr_memory_used(ctx) <= used, "a loop keeps no memory");
    is_near(((const float *)cr_data(w))[7], 20, 0, "its assignments are made");
    {
        CR_SCOPE(ctx);
        cr_tensor *x = cr_full(ctx, CR_DIMS(1000), 2);
        kept = cr_keep(cr_mul(x, 3));
        {
            CR_SCOPE(ctx);
            cr_keep(cr_keep(cr_mul(x, 4)));
            cr_mul(x, 5);
        }
    }
    is_near(cr_item(cr_sum(kept)), 6000, 0, "a kept tensor outlives its scope");
    ok(cr_memory_used(ctx) > used, "and takes memory");
    cr_tensor *retained;
    {
        CR_SCOPE(ctx);
        retained = cr_retain(cr_full(ctx, CR_DIMS(3), 7));
    }
    is_near(cr_item(cr_sum(retained)), 21, 0, "so does a retained one");
    cr_release(retained);
    leaves_early(ctx, 0);
    leaves_early(ctx, 1);
    cr_tensor *returned = leaves_early(ctx, 2);
    is_near(((const float *)cr_data(returned))[0], exp(0.5), 1e-6,
            "continue, break and return leave a scope");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
    is_int(cr_scope_pop(ctx), CR_ERR_ARGUMENT, "the root scope is not popped");
    cr_clear(ctx);
    cr_scope_push(ctx);
    cr_scope_push(ctx);
    floats(ctx, 5);
    cr_close(ctx);
}

/* ---- memory ---- */

static void test_memory_limit(int eager)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .memory_limit = 1 << 20, .eager = eager });
    const char *mode = eager ? "eager" : "lazy";
    cr_tensor *w = cr_requires_grad(cr_zeros(ctx, CR_DIMS(1000)));
    cr_eval(w);
    {
        CR_SCOPE(ctx);
        cr_assign(w, cr_add(w, 1));
        cr_tensor *large = cr_mul(cr_expand(w, CR_DIMS(1000, 1000)), 2);
        if (large)
            cr_data(large);
    }
    ok(failed_with(ctx, CR_ERR_MEMORY, "1048576"), "%s: the limit is an error", mode);
    static const float many[1 << 18];
    ok(!cr_from(ctx, CR_F32, CR_DIMS(1 << 18, 1), many) &&
           failed_with(ctx, CR_ERR_MEMORY, "from [262144, 1]: out of memory"),
       "%s: also for data, with its shape", mode);
    cr_data(cr_zeros(ctx, CR_DIMS(1 << 18, 1)));
    ok(failed_with(ctx, CR_ERR_MEMORY, "full [262144, 1]: out of memory"),
       "%s: and for what is filled", mode);
    ok(cr_memory_used(ctx) <= 1 << 20 && cr_memory_peak(ctx) <= 1 << 20,
       "%s: and was kept", mode);
    for (int i = 0; i < 50; i++) {
        CR_SCOPE(ctx);
        cr_assign(w, cr_add(w, cr_ones(ctx, CR_DIMS(1000))));
    }
    is_int(cr_error(ctx), CR_OK, "%s: the context is usable: %s", mode, cr_message(ctx));
    is_near(((const float *)cr_data(w))[999], eager ? 50 : 50, 0,
            "%s: the failed step has changed nothing", mode);
    ok(cr_memory_peak(ctx) >= cr_memory_used(ctx), "%s: the peak is the highest", mode);
    cr_trim(ctx);
    is_near(((const float *)cr_data(w))[0], 50, 0, "%s: trimming takes no values", mode);
    cr_close(ctx);
}

static void note(void *user, const void *data)
{
    (void)data;
    ++*(int *)user;
}

static void test_borrow(void)
{
    cr_ctx *ctx = cr_open(NULL);
    static const float data[6] = { 1, 2, 3, 4, 5, 6 };
    int done = 0;
    cr_tensor *view;
    {
        CR_SCOPE(ctx);
        cr_tensor *x = cr_borrow(ctx, CR_F32, CR_DIMS(2, 3), data, note, &done);
        ok(cr_data(x) == data, "borrowed memory is not copied");
        view = cr_keep(cr_t(x));
    }
    is_near(cr_item(cr_sum(view)), 21, 0, "and is read where it is");
    int early = done;
    cr_release(cr_retain(view));
    {
        CR_SCOPE(ctx);
        cr_borrow(ctx, CR_F32, CR_DIMS(6), data, note, &done);
        is_int(done, early, "it is not done while it is held");
    }
    is_int(done, early + 1, "it is done with its scope");
    cr_borrow(ctx, CR_F32, CR_DIMS(0), data, note, &done);
    cr_borrow(ctx, CR_F32, CR_DIMS(1), data, note, &done);
    cr_borrow(ctx, CR_F32, CR_DIMS(6), data, NULL, NULL);
    cr_close(ctx);
    is_int(done, 4, "done is called once for each");
}

/* Closing takes everything: open scopes, what is pending, what is still retained. */
static void test_close(int eager)
{
    static const float data[6] = { 1, 2, 3, 4, 5, 6 };
    cr_ctx *ctx = cr_open(&(cr_options){ .eager = eager });
    int done = 0;
    cr_tensor *x = cr_borrow(ctx, CR_F32, CR_DIMS(6), data, note, &done);
    cr_tensor *w = cr_requires_grad(cr_named(cr_mul(x, 2), "w"));
    cr_scope_push(ctx);
    cr_scope_push(ctx);
    cr_tensor *y = cr_retain(cr_keep(cr_exp(cr_mul(x, w))));
    cr_tensor *z = cr_retain(cr_stack(((cr_tensor *[]){ x, y, w, y }), 4, 0));
    cr_backward(cr_sum(cr_retain(cr_reshape(z, CR_DIMS(4, 6)))));
    cr_eval(y);
    cr_assign(cr_retain(w), cr_mul(w, 3));
    cr_retain(cr_grad(w));
    cr_close(ctx);
    is_int(done, 1, "%s: borrowed memory is free", eager ? "eager" : "lazy");
}

/* A scope's tensor is not the caller's to release. */
static void test_release(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = floats(ctx, 3), *y = cr_retain(floats(ctx, 3)), *gone;
    cr_release(x);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "not retained"), "releasing a scope's tensor");
    cr_release(y);
    cr_release(y);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "not retained"), "releasing twice");
    is_near(cr_item(cr_sum(cr_add(x, y))), 9, 0, "both are still there");
    {
        CR_SCOPE(ctx);
        gone = floats(ctx, 3);
    }
    ok(!cr_retain(gone) && failed_with(ctx, CR_ERR_SCOPE, "released"),
       "what is gone cannot be retained");
    cr_release(gone);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "not retained"), "and not released");
    cr_close(ctx);
}

/* What cr_keep() has moved may be released before the scope that it is in now. */
static void test_release_kept(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *kept[100], *w = cr_requires_grad(floats(ctx, 3)), *y;
    cr_scope_push(ctx);
    {
        CR_SCOPE(ctx);
        for (int i = 0; i < 100; i++)
            kept[i] = cr_keep(cr_mul(w, i));
        cr_keep(kept[99]);
        cr_release(kept[0]);
        ok(failed_with(ctx, CR_ERR_ARGUMENT, "not retained"), "not before it has moved");
    }
    y = cr_sum(cr_exp(cr_add(kept[0], cr_retain(kept[1]))));
    for (int i = 0; i < 99; i++)
        cr_release(kept[i]);
    cr_release(kept[1]);
    is_text(cr_message(ctx), "", "each is released, what is retained twice");
    cr_add(kept[0], 1);
    ok(failed_with(ctx, CR_ERR_SCOPE, "was released"), "and is not there any more");
    cr_release(kept[0]);
    ok(failed_with(ctx, CR_ERR_ARGUMENT, "not retained"), "nor released twice");
    cr_requires_grad(cr_detach(kept[99]));
    cr_assign(w, cr_mul(w, 2));
    ok(cr_backward(y) == CR_OK && cr_item(cr_sum(cr_grad(w))) > 0,
       "what reads them has its gradient");
    cr_tensor *rest = cr_keep(cr_neg(kept[99]));
    cr_release(kept[99]);
    cr_scope_pop(ctx);
    is_near(cr_item(cr_sum(rest)), -99 * 4.5, 0, "what was to move twice, too");
    cr_close(ctx);
}

/* ---- reading ---- */

static void test_reading(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *x = cr_from(ctx, CR_F64, CR_DIMS(2, 3), ((double[]){ 1, 2, 3, 4, 5, 6 }));
    double copy[6] = { 0 };
    ok(cr_ndim(x) == 2 && cr_size(x, -1) == 3 && cr_size(x, 2) == -1 &&
           cr_size(x, -3) == -1 && cr_shape(x).n == 2 && cr_shape(x).v[1] == 3 &&
           cr_ctx_of(x) == ctx,
       "shape");
    ok(cr_read(cr_t(x), copy, sizeof copy) == CR_OK && copy[1] == 4 && copy[5] == 6,
       "a view is read in its own order");
    ok(cr_read(x, copy, 8) != CR_OK && failed_with(ctx, CR_OK, "48"), "too little room");
    cr_tensor *y = cr_mul(x, 2);
    const double *data = cr_data(y);
    cr_item(cr_sum(cr_exp(y)));
    ok(data == cr_data(y) && data[5] == 12, "the pointer stays");
    cr_tensor *large = cr_scalar(ctx, ((int64_t)1 << 53) + 1, .dtype = CR_I64);
    is_int(cr_item_i64(large), ((int64_t)1 << 53) + 1, "integers beyond 2^53");
    is_int(cr_item_i64(cr_add(large, 1)), ((int64_t)1 << 53) + 2, "and sums of them");
    is_int(cr_item_i64(cr_scalar(ctx, UINT64_C(9223372036854775807), .dtype = CR_I64)),
           INT64_MAX, "and unsigned ones that fit");
    ok(cr_eval(cr_exp(x), cr_sum(y), y) == CR_OK, "several in one run");
    ok(cr_eval_at(NULL, 0, CR_HERE) == CR_OK, "or none");
    char text[100], little[5];
    size_t n = cr_format(x, text, sizeof text);
    ok(n == strlen(text) && strstr(text, "f64") && strstr(text, "[2, 3]") &&
           strstr(text, "6"),
       "as text: %s", text);
    ok(cr_format(x, little, sizeof little) == n && strncmp(little, text, 4) == 0 &&
           !little[4],
       "cut to the room there is");
    FILE *file = tmpfile();
    ok(file && cr_print(cr_zeros(ctx, CR_DIMS(50, 50)), file) == CR_OK, "printed");
    ok(file && ftell(file) > 20 && ftell(file) < 20000, "large ones abbreviated");
    if (file)
        fclose(file);
    is_text(cr_name(cr_named(x, "pixels")), "pixels", "a name");
    is_text(cr_name(y), "", "no name");
    ok(!cr_matmul(x, x) && failed_with(ctx, CR_ERR_SHAPE, "matmul"), "a last error");
    cr_close(ctx);
}

/* The library computes by the C default of rounding and denormals, and leaves the host's.
 */
static void test_numbers(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_tensor *b = cr_full(ctx, CR_DIMS(2), 250, .dtype = CR_U8);
    is_near(cr_item(cr_amax(cr_add(b, 5))), 255, 0, "255 is a u8");
    is_near(cr_item(cr_sum(b)), 500, 0, "sums of u8 are i64");
    cr_tensor *f = cr_ones(ctx, CR_DIMS(2));
    is_near(cr_item(cr_sum(cr_mul(f, (double)INFINITY))), (double)INFINITY, 0,
            "infinity is an f32");
    is_near(cr_item(cr_amax(cr_mul(f, 1e-45))), 1e-45, 1e-45, "and so is a denormal");
    is_near(cr_item(cr_amax(cr_mul(f, 0.1))), 0x1.99999ap-4, 0, "0.1 is rounded");
    is_int(cr_item_i64(cr_amax(cr_sub(
               INT64_MAX, cr_full(ctx, CR_DIMS(2), INT64_MAX - 1, .dtype = CR_I64)))),
           1, "64 bits do not pass through double");
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
    cr_close(ctx);
}

/* ---- random numbers ---- */

enum { DRAWN = 100003 };

/* Three kinds of draws after seed 5; print says whether others are read in between. */
static void draw(int threads, int eager, bool print, float *v)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = threads, .eager = eager });
    cr_seed(ctx, 5);
    cr_tensor *a = cr_rand(ctx, CR_DIMS(DRAWN));
    if (print)
        cr_item(cr_sum(a));
    cr_tensor *b = cr_randn(ctx, CR_DIMS(DRAWN));
    cr_tensor *c = cr_dropout(cr_ones(ctx, CR_DIMS(DRAWN)), 0.5);
    if (print)
        cr_item(cr_mean(c));
    cr_read(b, v + DRAWN, DRAWN * sizeof *v);
    cr_read(c, v + 2 * DRAWN, DRAWN * sizeof *v);
    cr_read(a, v, DRAWN * sizeof *v);
    ok(cr_error(ctx) == CR_OK, "drawn: %s", cr_message(ctx));
    cr_close(ctx);
}

static void test_random(void)
{
    static float first[3 * DRAWN], again[3 * DRAWN];
    draw(1, 0, false, first);
    for (int how = 0; how < 6; how++) {
        memset(again, 0, sizeof again);
        draw(how % 3 ? 4 : 1, how / 3, how % 3 == 2, again);
        ok(memcmp(first, again, sizeof first) == 0, "the same seed, the same bits (%d)",
           how);
    }
    double mean = 0, square = 0, kept = 0;
    for (int i = 0; i < DRAWN; i++) {
        mean += (double)first[i] / DRAWN;
        square += (double)first[DRAWN + i] * (double)first[DRAWN + i] / DRAWN;
        kept += (double)first[2 * DRAWN + i] / DRAWN;
    }
    is_near(mean, 0.5, 0.005, "uniform: mean");
    is_near(square, 1, 0.03, "normal: mean square");
    is_near(kept, 1, 0.02, "dropout: mean");
}

static void test_rng_state(void)
{
    cr_ctx *ctx = cr_open(NULL);
    cr_seed(ctx, 9);
    cr_rand(ctx, CR_DIMS(3));
    cr_rng rng = cr_rng_get(ctx);
    ok(rng.seed == 9 && rng.draw == 1, "seed 9, one draw");
    cr_tensor *a = cr_rand(ctx, CR_DIMS(3)), *b = cr_rand(ctx, CR_DIMS(3));
    cr_rng_set(ctx, rng);
    cr_tensor *c = cr_rand_like(a);
    is_near(cr_item(cr_sum(cr_abs(cr_sub(a, c)))), 0, 0,
            "drawn again from the same state");
    ok(cr_item(cr_sum(cr_abs(cr_sub(a, b)))) > 0, "the next draw differs");
    cr_seed(ctx, 10);
    cr_tensor *d = cr_rand(ctx, CR_DIMS(3));
    cr_seed(ctx, 9);
    cr_tensor *e = cr_rand(ctx, CR_DIMS(3));
    ok(cr_item(cr_sum(cr_abs(cr_sub(d, e)))) > 0, "another seed, other numbers");
    cr_close(ctx);
}

/* ---- threads of others ---- */

typedef struct host {
    int jobs, parts;
} host;

static void in_turn(void *user, int n, void (*body)(void *arg, int i), void *arg)
{
    host *h = user;
    h->jobs++;
    h->parts += n;
    for (int i = n - 1; i >= 0; i--)
        body(arg, i);
}

static double work(const cr_options *options)
{
    cr_ctx *ctx = cr_open(options);
    cr_tensor *x = cr_requires_grad(cr_randn(ctx, CR_DIMS(300, 400)));
    cr_backward(cr_sum(cr_square(cr_matmul(x, cr_t(x)))));
    double sum = cr_item(cr_sum(cr_sin(cr_grad(x))));
    ok(cr_error(ctx) == CR_OK, "work: %s", cr_message(ctx));
    cr_close(ctx);
    return sum;
}

static void test_pools(void)
{
    double want = work(&(cr_options){ .threads = 1 });
    host h = { 0 };
    cr_options hosted = { .threads = 3, .parallel_for = in_turn, .parallel_user = &h };
    is_near(work(&hosted), want, 0, "the host's job system gives the same bits");
    ok(h.jobs > 0 && h.parts > h.jobs, "and was used: %d jobs, %d parts", h.jobs,
       h.parts);
    cr_pool *pool = cr_pool_open(3);
    cr_ctx *first = cr_open(&(cr_options){ .pool = pool });
    is_near(work(&(cr_options){ .pool = pool }), want, 0, "a pool gives the same bits");
    is_near(cr_item(cr_sum(floats(first, 100000))), 5e9, 1e3,
            "another context shares it");
    cr_close(first);
    cr_pool_close(pool);
}

/* A column along rows whose lengths lie about those that are copied in another way. */
static void test_repeated_rows(void)
{
    cr_ctx *ctx = cr_open(NULL);
    static const int64_t lengths[8] = { 1, 15, 16, 17, 63, 64, 65, 300 };
    static const cr_dtype dtypes[4] = { CR_F32, CR_F64, CR_U8, CR_BF16 };
    for (int i = 0; i < 8; i++)
        for (int k = 0; k < 4; k++) {
            CR_SCOPE(ctx);
            const int64_t n = lengths[i];
            cr_tensor *column =
                cr_cast(cr_reshape(cr_arange(ctx, 0, 35, 1), CR_DIMS(35, 1)), dtypes[k]);
            cr_tensor *rows = cr_expand(column, CR_DIMS(35, n));
            cr_eval(rows); /* a copy */
            const float *got = cr_data(cr_cast(rows, CR_F32));
            int wrong = 0;
            for (int64_t j = 0; got && j < 35 * n; j++)
                wrong += got[j] != (float)(j / n);
            ok(got && wrong == 0, "rows of %d equal elements, dtype %d: %d wrong", (int)n,
               (int)dtypes[k], wrong);
        }
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
    cr_close(ctx);
}

/* Tiles of several rows, whose temporaries have elements of other sizes than what is reduced: each
 * piece leaves alone what the pieces before it have made. */
static void test_rows_of_other_sizes(void)
{
    cr_ctx *ctx = cr_open(NULL);
    const cr_dtype types[] = { CR_F32, CR_F64, CR_F16, CR_I32, CR_U8 };
    for (int rows = 2; rows <= 37; rows += 7)
        for (int i = 0; i < 5; i++) {
            CR_SCOPE(ctx);
            cr_tensor *column = cr_ones(ctx, CR_DIMS(rows, 1), .dtype = CR_BOOL);
            cr_tensor *full = cr_ones(ctx, CR_DIMS(rows, 128), .dtype = CR_BOOL);
            cr_eval(column, full);
            cr_tensor *x = cr_cast(cr_logical_or(column, full), types[i]);
            cr_tensor *y = cr_sub(cr_mul(x, 3), 2), *stays = cr_sub(y, 1);
            cr_tensor *sum = cr_sum(cr_cast(cr_mul(y, 1), i == 1 ? CR_F32 : CR_F64));
            cr_tensor *all = cr_sum(cr_cast(cr_gt(cr_mul(y, 1), 0), CR_U8));
            cr_tensor * or = cr_cast(cr_logical_or(column, full), CR_F32);
            cr_tensor *held = cr_add(cr_mul(or, 1), 0), *reads = cr_abs(held);
            cr_tensor *plain = cr_sum(cr_cast(held, CR_F32));
            is_near(cr_item(sum), rows * 128, 0, "%d rows, by way of %s", rows,
                    cr_dtype_name(types[i]));
            ok(cr_item_i64(all) == rows * 128, "and bytes of them");
            is_near(cr_item(plain), rows * 128, 0, "and of what bools are");
            (void)stays, (void)reads;
        }
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
    cr_close(ctx);
}

/* ---- a function and its derivative ---- */

enum { MOST_OF_GELU = 5000 };

/* Of what is stored, computed, repeated along rows; of one operand twice; of results that the
 * gradient reads. */
static cr_tensor *of_gelu(cr_tensor *x, cr_tensor *c, int which)
{
    cr_tensor *y = cr_gelu(which == 1 ? cr_mul(x, 3) : x);
    if (which == 2)
        y = cr_mul(y, cr_gelu(x));
    if (which == 3)
        y = cr_mul(cr_gelu(cr_sum(x, -1, .keepdim = true)), x);
    if (which == 4)
        y = cr_gelu(cr_add(cr_square(y), x));
    return cr_sum(cr_mul(y, c));
}

static void gelu_of(int eager, int64_t n, int which, float *out)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 2, .eager = eager });
    cr_seed(ctx, 3);
    const cr_dims dims = which == 3 ? CR_DIMS(n, 7) : CR_DIMS(n);
    cr_tensor *x = cr_requires_grad(cr_mul(cr_randn(ctx, dims), 4)),
              *c = cr_rand(ctx, dims);
    cr_eval(x, c);
    cr_tensor *y = of_gelu(x, c, which);
    cr_backward(y);
    cr_eval(y, cr_grad(x));
    out[0] = (float)cr_item(y);
    cr_read(cr_grad(x), out + 1, (size_t)cr_numel(x) * sizeof *out);
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
    cr_close(ctx);
}

static void test_twins(void)
{
    static const int64_t sizes[] = { 1, 5, 16, 31, 33, 700, MOST_OF_GELU };
    static float one[7 * MOST_OF_GELU + 1], other[7 * MOST_OF_GELU + 1];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int which = 0; which < 5; which++) {
            const size_t n = (size_t)(which == 3 ? 7 * sizes[i] : sizes[i]) + 1;
            gelu_of(0, sizes[i], which, one);
            gelu_of(1, sizes[i], which, other);
            ok(memcmp(one, other, n * sizeof *one) == 0,
               "gelu %d of %d: the bits of each", which, (int)sizes[i]);
        }
}

/* Slopes at a value that has taken the place of what the function before is of. */
static void slope_behind(int eager, int64_t n, float *out)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1, .eager = eager });
    cr_seed(ctx, 5);
    cr_tensor *noise = cr_randn(ctx, CR_DIMS(n)), *c = cr_rand(ctx, CR_DIMS(n)), *slopes;
    cr_tensor *x = cr_requires_grad(cr_rand(ctx, CR_DIMS(n)));
    cr_eval(noise, c, x);
    cr_tensor *walk = cr_cumsum(noise, 0), *y = cr_gelu(walk);
    cr_tensor *next = cr_add(cr_mul(walk, 0.5), x), *z = cr_gelu(next);
    cr_gradients(&z, 1, &next, 1, &slopes, .cotangents = &c);
    cr_eval(y, slopes, next);
    cr_read(y, out, (size_t)n * sizeof *out);
    cr_read(slopes, out + n, (size_t)n * sizeof *out);
    is_int(cr_error(ctx), CR_OK, "no error: %s", cr_message(ctx));
    cr_close(ctx);
}

static void test_slopes_behind(void)
{
    static float one[2 * MOST_OF_GELU], other[2 * MOST_OF_GELU];
    slope_behind(0, MOST_OF_GELU, one);
    slope_behind(1, MOST_OF_GELU, other);
    ok(memcmp(one, other, sizeof one) == 0, "the slope is at the value of its time");
}

int main(void)
{
    test_twins();
    test_slopes_behind();
    for (int eager = 0; eager < 2; eager++)
        test_memory_limit(eager);
    test_scopes();
    test_borrow();
    test_close(0);
    test_close(1);
    test_release();
    test_release_kept();
    test_reading();
    test_numbers();
    test_random();
    test_rng_state();
    test_repeated_rows();
    test_rows_of_other_sizes();
    test_pools();
    return done_testing();
}
