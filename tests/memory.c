/* Memory: alignment, counting, the limit, the pool that keeps freed buffers, borrowed
 * memory, the caller's allocator, slabs and lists. */
#include "../src/base/context.h"
#include "tap.h"

#include <stdlib.h>

/* An allocator that counts, and can be told to fail. */
typedef struct meter {
    size_t blocks, bytes;
    long left;   /* allocations until one fails; below 0: none does */
    size_t most; /* bytes; more is refused */
} meter;

static void *metered_alloc(void *user, size_t bytes)
{
    meter *m = user;
    if (m->left == 0 || bytes > m->most - m->bytes)
        return NULL;
    m->left -= m->left > 0;
    /* undefined content means undefined */
    void *memory = malloc(bytes);
    if (memory) {
        memset(memory, 0xa5, bytes < 4096 ? bytes : 4096);
        m->blocks++;
        m->bytes += bytes;
    }
    return memory;
}

static void metered_free(void *user, void *memory, size_t bytes)
{
    meter *m = user;
    m->blocks--;
    m->bytes -= bytes;
    free(memory);
}

static cr_ctx *metered_open(meter *m, size_t limit)
{
    *m = (meter){ .left = -1, .most = SIZE_MAX };
    return cr_open(&(cr_options){ .threads = 2,
                                  .memory_limit = limit,
                                  .alloc = metered_alloc,
                                  .free = metered_free,
                                  .memory_user = m });
}

static bool is_zero(const void *memory, size_t bytes)
{
    const char *p = memory;
    for (size_t i = 0; i < bytes; i++)
        if (p[i])
            return false;
    return true;
}

static void test_alloc(void)
{
    meter m;
    cr_ctx *ctx = metered_open(&m, 0);
    size_t blocks = m.blocks, bytes = m.bytes;
    bool zeroed = true, aligned = true;
    void *kept[200];
    for (size_t n = 0; n < 200; n++) {
        kept[n] = cr__alloc(ctx, n * 7);
        zeroed = zeroed && is_zero(kept[n], n * 7);
        aligned = aligned && (uintptr_t)kept[n] % 16 == 0;
        memset(kept[n], 0xff, n * 7);
    }
    ok(zeroed, "allocations are zeroed");
    ok(aligned, "and aligned to 16");
    is_int((int64_t)(m.blocks - blocks), 200, "each is one block");
    for (int n = 0; n < 200; n++)
        cr__free(ctx, kept[n]);
    cr__free(ctx, NULL);
    ok(m.blocks == blocks && m.bytes == bytes, "and is freed with its bytes");
    ok(!cr__alloc(ctx, SIZE_MAX), "sizes do not wrap");
    ok(cr_error(ctx) == CR_ERR_MEMORY, "%s", cr_message(ctx));
    cr_clear(ctx);
    cr_close(ctx);
    ok(m.blocks == 0 && m.bytes == 0, "closing gives everything back");
}

/* Every size around the bounds of size classes. */
static void test_buffers(void)
{
    meter m;
    cr_ctx *ctx = metered_open(&m, 0);
    bool aligned = true, roomy = true, tight = true, kept = true;
    size_t used = cr_memory_used(ctx);
    for (size_t base = 1; base <= (size_t)1 << 24; base *= 2)
        for (size_t eighths = 8; eighths < 16; eighths++)
            for (int off = -1; off <= 1; off++) {
                size_t bytes = base * eighths / 8 + (size_t)off, before = m.bytes;
                cr__buffer *b = cr__buffer_new(ctx, bytes);
                size_t taken = m.bytes - before;
                aligned = aligned && (uintptr_t)b->data % CR__BUFFER_ALIGN == 0;
                roomy = roomy && b->bytes == bytes && cr_memory_used(ctx) == used + bytes;
                memset(b->data, 1, bytes + CR__BUFFER_SLACK); /* ASan looks */
                tight = tight && taken <= bytes + bytes / 8 + 512;
                void *data = b->data;
                cr__buffer_release(b);
                before = m.bytes;
                cr__buffer *again = cr__buffer_new(ctx, bytes);
                kept = kept && again->data == data && m.bytes == before;
                cr__buffer_release(again);
                cr_trim(ctx);
            }
    ok(aligned, "buffers are aligned to 64 bytes");
    ok(roomy, "have their bytes, and slack, and are counted");
    ok(tight, "waste at most an eighth and 512 bytes");
    ok(kept, "and are kept for the next one of their size");
    is_int((int64_t)cr_memory_used(ctx), (int64_t)used, "released ones do not count");
    cr__buffer *empty = cr__buffer_new(ctx, 0);
    ok(empty && empty->data, "an empty buffer is a buffer");
    cr__buffer_release(cr__buffer_retain(empty));
    is_int(empty->refs, 1, "a retained one lives on");
    cr__buffer_release(empty);
    cr__buffer_release(NULL);
    cr_close(ctx);
    is_int((int64_t)m.bytes, 0, "closing gives everything back");
}

static void test_trim(void)
{
    meter m;
    cr_ctx *ctx = metered_open(&m, 0);
    size_t bytes = m.bytes;
    cr__buffer *b[64];
    for (size_t i = 0; i < 64; i++)
        b[i] = cr__buffer_new(ctx, i * i * 1000);
    ok(cr_memory_peak(ctx) >= 64 * 63 * 127 / 6 * 1000, "the peak");
    for (int i = 0; i < 64; i++)
        cr__buffer_release(b[i]);
    ok(m.bytes > bytes, "freed buffers are kept");
    cr_trim(ctx);
    is_int((int64_t)m.bytes, (int64_t)bytes, "until they are trimmed");
    /* a loop over shapes that never come again */
    size_t most = 0;
    for (size_t i = 0; i < 400; i++) {
        cr__buffer_release(cr__buffer_new(ctx, (size_t)(16 << 20) + i * (256 << 10)));
        most = m.bytes > most ? m.bytes : most;
    }
    size_t peak = cr_memory_peak(ctx);
    ok(most - bytes < 2 * peak + (1 << 20), "kept and used: at most twice the peak");
    cr_close(ctx);
}

static void test_limit(void)
{
    meter m;
    cr_ctx *ctx = metered_open(&m, 1000000);
    size_t others = m.bytes;
    cr__buffer *a = cr__buffer_new(ctx, 600000);
    ok(a && !cr__buffer_new(ctx, 400001), "one byte above the limit");
    is_int(cr_error(ctx), CR_ERR_MEMORY, "is an error");
    is_text(cr_message(ctx),
            "out of memory: 400001 bytes wanted, 600000 used, limit 1000000; raise "
            "memory_limit, use smaller batches, or end scopes sooner (CR_SCOPE)",
            "that says all");
    cr_clear(ctx);
    cr__buffer *b = cr__buffer_new(ctx, 400000);
    ok(b && !cr_error(ctx), "the limit itself is allowed");
    cr__buffer_release(a);
    cr__buffer_release(b);
    size_t most = 0;
    for (size_t i = 0; i < 1000; i++) {
        cr__buffer_release(cr__buffer_new(ctx, (i * 7919) % 1000000));
        most = m.bytes > most ? m.bytes : most;
    }
    ok(most - others < 1000000 * 9 / 8 + 1000, "what is kept stays within the limit too");
    ok(!cr_error(ctx), "and is given back where it is in the way");
    cr_close(ctx);
}

static void test_failing_allocator(void)
{
    meter m;
    cr_ctx *ctx = metered_open(&m, 0);
    cr__buffer_release(cr__buffer_new(ctx, 1 << 20));
    m.most = m.bytes + (1 << 19);
    cr__buffer *b = cr__buffer_new(ctx, 3 << 19);
    ok(b && !cr_error(ctx), "kept buffers go before an allocation fails");
    m.left = 0;
    ok(!cr__buffer_new(ctx, 4096), "an allocation that fails");
    ok(cr_error(ctx) == CR_ERR_MEMORY, "%s", cr_message(ctx));
    cr_clear(ctx);
    int64_t used = (int64_t)cr_memory_used(ctx);
    is_int(used, 3 << 19, "what failed is not counted");
    m.left = -1;
    cr__buffer_release(b);
    cr_close(ctx);
    is_int((int64_t)m.bytes, 0, "closing gives everything back");
    cr_options failing = {
        .threads = 2, .alloc = metered_alloc, .free = metered_free, .memory_user = &m
    };
    bool balanced = true, opened = false;
    for (long n = 0; n < 100 && !opened; n++) {
        m.left = n;
        ctx = cr_open(&failing);
        opened = ctx != NULL;
        cr_close(ctx);
        balanced = balanced && m.bytes == 0 && m.blocks == 0;
    }
    ok(opened && balanced, "opening survives every allocation that fails");
}

static void finished(void *user, const void *data)
{
    (void)data;
    ++*(int *)user;
}

static void test_borrow(void)
{
    meter m;
    cr_ctx *ctx = metered_open(&m, 0);
    const float data[4] = { 1, 2, 3, 4 };
    int count = 0;
    cr__buffer *b = cr__buffer_borrow(ctx, data, sizeof data, finished, &count);
    ok(b->data == data && cr_memory_used(ctx) < 200, "borrowed, not copied, not counted");
    cr__buffer_release(cr__buffer_retain(b));
    is_int(count, 0, "in use");
    cr__buffer_release(b);
    is_int(count, 1, "done, once");
    cr__buffer_release(cr__buffer_borrow(ctx, data, sizeof data, NULL, NULL));
    cr_close(ctx);
    is_int((int64_t)m.bytes, 0, "closing gives everything back");
}

static void test_slabs(void)
{
    enum { N = 20000 };
    meter m;
    cr_ctx *ctx = metered_open(&m, 0);
    size_t bytes = m.bytes;
    cr__slab slab = { .size = 48 };
    static char *records[N];
    bool aligned = true, apart = true;
    for (int i = 0; i < N; i++) {
        records[i] = cr__slab_new(ctx, &slab);
        aligned = aligned && (uintptr_t)records[i] % 16 == 0;
        if (i == 0)
            ok(m.bytes - bytes <= 4096, "a slab begins small");
        memset(records[i], 0, 48);
        memcpy(records[i] + 40, &i, sizeof i);
    }
    for (int i = 0; i < N; i++)
        apart = apart && memcmp(records[i] + 40, &i, sizeof i) == 0;
    is_int((int64_t)cr_memory_used(ctx), N * 48, "used records count, others do not");
    ok(aligned, "records are aligned");
    ok(apart, "and do not overlap");
    ok(m.bytes - bytes < (size_t)N * 48 * 2 + 8192, "room is at most doubled");
    for (int i = 0; i < N; i++)
        cr__slab_free(&ctx->memory, &slab, records[i]);
    size_t taken = m.bytes;
    bool again = cr__slab_new(ctx, &slab) == records[N - 1];
    for (int i = 1; i < N; i++)
        again = again && cr__slab_new(ctx, &slab);
    ok(again && m.bytes == taken, "freed records are used again");
    cr__slab_close(ctx, &slab);
    is_int((int64_t)m.bytes, (int64_t)bytes, "a closed slab leaves nothing");
    cr_close(ctx);
}

static void test_lists(void)
{
    meter m;
    cr_ctx *ctx = metered_open(&m, 0);
    size_t bytes = m.bytes;
    cr__list list = { 0 };
    bool kept = true, zeroed = true;
    int moves = 0;
    for (size_t n = 1; n <= 100000; n++) {
        char *before = list.at;
        size_t old = list.capacity;
        if (!cr__list_reserve(ctx, &list, n))
            break;
        char *at = list.at;
        moves += at != before;
        zeroed = zeroed && is_zero(at + old, list.capacity - old);
        at[n - 1] = (char)n;
    }
    for (size_t n = 1; n <= 100000; n++)
        kept = kept && ((char *)list.at)[n - 1] == (char)n;
    ok(kept, "a list keeps its content");
    ok(zeroed, "new room is zeroed");
    ok(moves < 30, "growing is rare: %d times", moves);
    m.left = 0;
    ok(!cr__list_reserve(ctx, &list, list.capacity + 1),
       "a list that cannot grow says so");
    is_int(((char *)list.at)[99], 100, "and stays as it was");
    m.left = -1;
    cr_clear(ctx);
    cr__list_free(ctx, &list);
    is_int((int64_t)m.bytes, (int64_t)bytes, "a freed list leaves nothing");
    cr_close(ctx);
}

/* ---- the same through tensors ---- */

static void test_tensors(void)
{
    meter m;
    cr_ctx *ctx = metered_open(&m, 1 << 20);
    static float data[1000];
    int count = 0;
    {
        CR_SCOPE(ctx);
        cr_tensor *x = cr_borrow(ctx, CR_F32, CR_DIMS(1000), data, finished, &count);
        ok(cr_data(x) == data, "borrowed data is where it was");
        is_near(cr_item(cr_sum(cr_add(x, 1))), 1000, 0, "and computed with");
        is_int(count, 0, "it is not done while the scope lasts");
    }
    is_int(count, 1, "it is when the scope has ended");
    is_int((int64_t)cr_memory_used(ctx), 0, "and nothing is left");
    {
        CR_SCOPE(ctx);
        cr_tensor *big = cr_rand(ctx, CR_DIMS((1 << 18) - (1 << 14)));
        ok(cr_data(big) && !cr_error(ctx), "a tensor nearly as large as the limit");
        cr_tensor *more = cr_mul(big, 2);
        ok(!cr_data(more) && cr_error(ctx) == CR_ERR_MEMORY, "another does not fit");
        ok(strstr(cr_message(ctx), "limit 1048576") != NULL, "%s", cr_message(ctx));
        cr_clear(ctx);
    }
    cr_tensor *small = cr_add(cr_rand(ctx, CR_DIMS(1000)), 1);
    ok(cr_data(small) && !cr_error(ctx), "the context is usable again");
    cr_close(ctx);
    ok(m.blocks == 0 && m.bytes == 0, "closing gives everything back");
}

/* ---- what counts besides elements ---- */

static void count_lines(void *user, const char *line)
{
    diag("  log: %s", line);
    *(int *)user += strstr(line, "no CR_SCOPE") != NULL;
}

/* Steps of a loop without a scope; how many were made. */
static int steps_without_scope(cr_ctx *ctx, int most)
{
    cr_tensor *w = cr_requires_grad(cr_scalar(ctx, 1.0));
    int step = 0;
    for (; step < most && !cr_error(ctx); step++) {
        cr_backward(cr_square(cr_sub(cr_mul(w, 2), 1)));
        cr_assign(w, cr_sub(w, cr_mul(cr_grad(w), 0.01)));
        cr_zero_grad(w);
        cr_item(w);
    }
    return step;
}

static void test_everything_counts(void)
{
    meter m;
    cr_ctx *ctx = metered_open(&m, 4 << 20);
    size_t opened = m.bytes;
    is_int((int64_t)cr_memory_used(ctx), 0, "a new context uses nothing");
    int steps = steps_without_scope(ctx, 200000);
    ok(cr_error(ctx) == CR_ERR_MEMORY && steps < 200000, "%d steps: %s", steps,
       cr_message(ctx));
    ok(m.bytes - opened <= (4 << 20) * 9 / 8, "the allocator gave %zu bytes",
       m.bytes - opened);
    ok(cr_memory_used(ctx) > 7 << 19, "nearly all of the limit is in use");
    cr_clear(ctx);
    cr_close(ctx);
    is_int((int64_t)m.bytes, 0, "closing gives everything back");
    /* each kind of thing */
    ctx = metered_open(&m, 0);
    size_t used = cr_memory_used(ctx);
#define MORE(what)                                                                       \
    ok(cr_memory_used(ctx) > used, "%s counts: %zu", #what, cr_memory_used(ctx) - used); \
    used = cr_memory_used(ctx)
    cr_scope_push(ctx);
    MORE("a scope");
    cr_tensor *x = cr_ones(ctx, CR_DIMS(2));
    MORE("a tensor");
    cr_named(x, "a name that is somewhat longer than usual");
    MORE("a name");
    cr_module *net = cr_nn_linear(ctx, 1, 1);
    MORE("a module");
    cr_nn_free(net);
    cr_scope_pop(ctx);
    is_int((int64_t)cr_memory_used(ctx), 0, "and goes");
    cr_close(ctx);
}

/* What freed records have taken is not lost for tensors, and the other way round. */
static void test_limit_of_both(void)
{
    meter m;
    cr_ctx *ctx = metered_open(&m, 2 << 20);
    size_t opened = m.bytes, most = 0;
    for (int round = 0; round < 20; round++) {
        CR_SCOPE(ctx);
        cr_tensor *big = cr_rand(ctx, CR_DIMS(100000 + 1000 * round));
        ok(cr_data(big) != NULL, "%s", cr_message(ctx));
        cr_tensor *x = cr_scalar(ctx, 1.0);
        for (int i = 0; i < 4000; i++)
            x = cr_mul(x, 1.0001);
        is_near(cr_item(x), pow(1.0001, 4000), 1e-3, "%s", cr_message(ctx));
        most = m.bytes > most ? m.bytes : most;
    }
    const char *check = getenv("CHAINRULE_CHECK"); /* keeps the records of the dead */
    ok(most - opened <= (2 << 20) * 3 / 2 || (check && *check == '1'),
       "%zu bytes at most", most - opened);
    cr_close(ctx);
}

static void test_remark(void)
{
    int remarks = 0;
    cr_options options = { .log = count_lines, .log_user = &remarks };
    cr_ctx *ctx = cr_open(&options);
    steps_without_scope(ctx, 20000);
    is_int(remarks, 1, "a loop without a scope is remarked on, once");
    cr_close(ctx);
    remarks = 0;
    ctx = cr_open(&options);
    cr_tensor *w = cr_requires_grad(cr_scalar(ctx, 1.0));
    for (int step = 0; step < 20000; step++) {
        CR_SCOPE(ctx);
        cr_backward(cr_square(w));
        cr_assign(w, cr_sub(w, cr_mul(cr_grad(w), 0.01)));
        cr_zero_grad(w);
    }
    for (int i = 0; i < 2000; i++)
        cr_item(w);
    cr_tensor *deep = cr_scalar(ctx, 1.0);
    for (int i = 0; i < 300000; i++)
        deep = cr_mul(deep, 0.5);
    cr_scope_push(ctx);
    cr_item(deep);
    cr_scope_pop(ctx);
    is_int(remarks, 0, "a loop with one, and a deep graph, are not");
    cr_close(ctx);
}

/* Pieces of all sizes come and go: none lies in another, and all of them become one again. */
static void test_pieces(void)
{
    enum { BYTES = 1 << 18, MOST = 400, TURNS = 40000 };
    struct {
        unsigned char *at;
        size_t bytes;
    } live[MOST];
    static cr__reserve r;
    int n = 0, taken = 0;
    unsigned long state = 3;
    bool sound = true;
    char *memory = malloc(BYTES + 15);
    cr__reserve_add(&r, (void *)(((uintptr_t)memory + 15) & ~(uintptr_t)15), BYTES);
    for (int turn = 0; turn < TURNS; turn++) {
        state = (state * 1103515245u + 12345u) & 0x7fffffff;
        unsigned long x = state >> 8;
        size_t bytes = x % 7 ? x % 200 : x % 9000;
        if (n < MOST && (x >> 14) % 2) {
            unsigned char *at = cr__reserve_take(&r, bytes, x % 3 == 0);
            sound &= (uintptr_t)at % 16 == 0;
            if (!at)
                continue;
            taken++;
            memset(at, (int)(bytes & 0xff), bytes);
            live[n].at = at;
            live[n++].bytes = bytes;
        } else if (n) {
            int i = (int)(x % (unsigned long)n);
            for (size_t k = 0; k < live[i].bytes; k++)
                sound &= live[i].at[k] == (live[i].bytes & 0xff);
            cr__reserve_give(&r, live[i].at);
            live[i] = live[--n];
        }
    }
    while (n)
        cr__reserve_give(&r, live[--n].at);
    ok(sound && taken > TURNS / 4, "%d pieces, each its own", taken);
    void *all = cr__reserve_take(&r, BYTES - 64, false);
    ok(all && !cr__reserve_take(&r, 64, false), "together they are what there was");
    free(memory);
}

static void test_reserve(void)
{
    meter m;
    cr_ctx *ctx = metered_open(&m, 4 << 20);
    const size_t bytes = m.bytes, used = cr_memory_used(ctx);
    cr_status status = cr_reserve(ctx, (4 << 20) + 1);
    ok(status == CR_ERR_MEMORY && m.bytes == bytes, "beyond the limit: %s",
       cr_message(ctx));
    is_int(cr_reserve(ctx, 100), CR_ERR_MEMORY, "an error is pending");
    cr_clear(ctx);
    ok(cr_reserve(ctx, SIZE_MAX) == CR_ERR_MEMORY && m.bytes == bytes, "more than all");
    cr_clear(ctx);
    m.left = 0;
    status = cr_reserve(ctx, 1 << 20);
    ok(status == CR_ERR_MEMORY && m.bytes == bytes, "there is none: %s", cr_message(ctx));
    m.left = -1;
    cr_clear(ctx);
    ok(cr_reserve(ctx, 0) == CR_OK && m.bytes == bytes, "none is wanted");
    ok(cr_reserve(ctx, 1 << 20) == CR_OK && m.bytes >= bytes + (1 << 20), "some");
    ok(cr_memory_used(ctx) == used && cr_get_stats(ctx).held >= 1 << 20, "is held only");
    m.left = 0;
    for (int i = 1; i < 300; i++) {
        CR_SCOPE(ctx);
        cr_eval(cr_ones(ctx, CR_DIMS(i * 97 % 300, 300)));
        if (i % 7 == 0)
            cr_trim(ctx);
    }
    ok(cr_error(ctx) == CR_OK, "it suffices: %s", cr_message(ctx));
    ok(cr_eval(cr_ones(ctx, CR_DIMS(400000))) == CR_ERR_MEMORY, "and not for more");
    cr_clear(ctx);
    m.left = -1;
    ok(cr_eval(cr_ones(ctx, CR_DIMS(400000))) == CR_OK && cr_reserve(ctx, 1000) == CR_OK,
       "which the allocator has");
    cr_close(ctx);
    ok(!m.blocks && !m.bytes, "all goes back");
    is_int(cr_reserve(NULL, 1), CR_ERR_NULL, "of nothing");
}

/* Buffers of the system's allocator: each is its own from end to end, however they came and went;
 * and all of it goes back. */
static void test_arenas(void)
{
    enum { BUFFERS = 60 };
    cr_ctx *ctx = cr_open(NULL);
    cr__buffer *buffers[BUFFERS] = { NULL };
    const size_t held = cr_get_stats(ctx).held;
    uint64_t random = 1;
    bool whole = true;
    for (int round = 0; round < 2000; round++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        cr__buffer **at = &buffers[(random >> 33) % BUFFERS];
        if (*at) {
            const unsigned char *data = (*at)->data;
            const unsigned char mark = (unsigned char)(at - buffers);
            for (size_t i = 0; i < (*at)->bytes; i += 61)
                whole = whole && data[i] == mark;
            whole = whole && data[(*at)->bytes - 1] == mark;
            cr__buffer_release(*at);
            *at = NULL;
        } else {
            const size_t bytes = (size_t)1 << (10 + (random >> 40) % 13);
            *at = cr__buffer_new(ctx, bytes + (random >> 50) % bytes);
            memset((*at)->data, (int)(at - buffers), (*at)->bytes);
            whole = whole && (uintptr_t)(*at)->data % CR__BUFFER_ALIGN == 0;
        }
        if (round % 50 == 0)
            cr_trim(ctx);
    }
    ok(whole, "nobody writes into another's buffer");
    for (int i = 0; i < BUFFERS; i++)
        cr__buffer_release(buffers[i]);
    cr_trim(ctx);
    is_int((int64_t)cr_get_stats(ctx).held, (int64_t)held, "all of it goes back");
    cr_close(ctx);
}

static void test_stats(void)
{
    meter m;
    cr_ctx *ctx = metered_open(&m, 0);
    size_t opening = m.bytes;
    cr_stats s = cr_get_stats(ctx);
    ok(!s.used && !s.peak && !s.held && !s.allocations && !s.runs && s.seconds == 0,
       "an open context has done nothing");
    cr_tensor *x = cr_rand(ctx, CR_DIMS(1000));
    cr_read(cr_sum(cr_mul(x, x)), &(float){ 0 }, sizeof(float));
    s = cr_get_stats(ctx);
    ok(s.held == m.bytes - opening && s.allocations > 0, "%zu bytes held", s.held);
    ok(s.used == cr_memory_used(ctx) && s.peak == cr_memory_peak(ctx), "used and peak");
    ok(s.runs >= 1 && s.groups >= 1 && s.nodes >= 3 && s.seconds > 0 && s.seconds < 100,
       "%" PRIu64 " runs of %" PRIu64 " groups and %" PRIu64 " nodes: %g s", s.runs,
       s.groups, s.nodes, s.seconds);
    cr_stats before = s;
    cr_item(cr_scalar(ctx, 1.0));
    cr_item(cr_add(cr_scalar(ctx, 1.0), 2));
    s = cr_get_stats(ctx);
    ok(s.runs == before.runs + 1 && s.nodes == before.nodes + 1, "a run of one node");
    {
        CR_SCOPE(ctx);
        cr_eval(cr_ones(ctx, CR_DIMS(100000)));
    }
    ok(cr_memory_peak(ctx) >= 400000, "a peak");
    cr_reset_peak(ctx);
    ok(cr_memory_peak(ctx) == cr_memory_used(ctx), "from now on");
    cr_eval(cr_ones(ctx, CR_DIMS(10000)));
    ok(cr_memory_peak(ctx) >= 40000 && cr_memory_peak(ctx) < 400000, "another peak");
    s = cr_get_stats(NULL);
    ok(!s.held && !s.runs, "of nothing");
    cr_reset_peak(NULL);
    cr_close(ctx);
}

int main(void)
{
    test_pieces();
    test_reserve();
    test_arenas();
    test_stats();
    test_everything_counts();
    test_limit_of_both();
    test_remark();
    test_alloc();
    test_buffers();
    test_trim();
    test_limit();
    test_failing_allocator();
    test_borrow();
    test_slabs();
    test_lists();
    test_tensors();
    return done_testing();
}
