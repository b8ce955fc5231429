/* Memory: the allocator of a context, buffers of tensors and the pool that keeps freed
 * ones, slabs, lists. Knows sizes, never tensors. */
#include "compiler.h"

#include "context.h"
#include "system.h"

#include <stdlib.h>
#include <string.h>

/* ---- the allocator ---- */

/* Where the bytes of a block count. */
typedef enum account {
    USED,
    KEPT,
    BY_ELEMENTS, /* of a buffer: what its tensor wants is used, or all of it is cached */
} account;

/* In front of every allocation: its bytes, which the caller's free function is told. 16
 * bytes, so that what follows keeps the alignment of the block. */
typedef struct block_header {
    _Alignas(16) size_t bytes; /* block_header included */
    uint8_t account;
    bool reserved; /* it is a piece of the reserve, */
    bool in_arena; /* or of an arena */
} block_header;

static void *system_alloc(void *user, size_t bytes)
{
    (void)user;
    return malloc(bytes);
}

static void system_free(void *user, void *memory, size_t bytes)
{
    (void)user, (void)bytes;
    free(memory);
}

void cr__memory_init(cr__memory *memory, const cr_options *options)
{
    *memory = (cr__memory){ .alloc = system_alloc, .free = system_free };
    if (options && options->alloc && options->free) {
        memory->alloc = options->alloc;
        memory->free = options->free;
        memory->user = options->memory_user;
    }
    memory->limit = (size_t)CR__MAX_BYTES;
    memory->borrowed.size = (sizeof(cr__buffer) + 15) / 16 * 16;
}

void cr__memory_begin(cr__memory *memory, const cr_options *options)
{
    memory->taken = memory->kept = memory->peak = memory->held = 0;
    memory->allocations = 0;
    if (options->memory_limit && options->memory_limit < memory->limit)
        memory->limit = options->memory_limit;
}

void cr__memory_reset_peak(cr__memory *memory)
{
    memory->most = memory->peak > memory->most ? memory->peak : memory->most;
    memory->peak = cr__memory_used(memory);
}

void cr__fail_limit(cr_ctx *ctx, size_t bytes)
{
    const cr__memory *memory = &ctx->memory;
    cr_fail(ctx, CR_ERR_MEMORY,
            "out of memory: %zu bytes wanted, %zu used, limit %zu; raise memory_limit, "
            "use smaller batches, or end scopes sooner (CR_SCOPE)",
            bytes, cr__memory_used(memory), memory->limit);
}

static void fail_system(cr_ctx *ctx, size_t bytes)
{
    cr_fail(
        ctx, CR_ERR_MEMORY,
        "out of memory: %zu bytes wanted, %zu used, and the system gives no more; use "
        "smaller batches, or end scopes sooner (CR_SCOPE)",
        bytes, cr__memory_used(&ctx->memory));
}

static const char in_allocator[] = "the allocator";

/* From the allocator. */
static block_header *block_of_system(cr_ctx *ctx, size_t bytes, bool zeroed)
{
    cr__memory *memory = &ctx->memory;
    const char *outer = ctx->busy;
    block_header *block;
    if (outer == in_allocator && !cr__may_change(ctx, "alloc"))
        return NULL;
    ctx->busy = in_allocator;
    if (zeroed && memory->alloc == system_alloc)
        block = calloc(1, bytes); /* knows which pages are fresh, and leaves them alone */
    else if ((block = memory->alloc(memory->user, bytes)) && zeroed)
        memset(block, 0, bytes);
    ctx->busy = outer;
    if (!block)
        return NULL;
    memory->held += bytes;
    memory->allocations++;
    block->reserved = block->in_arena = false;
    return block;
}

static void free_kept_pieces(cr_ctx *ctx);

/* From the reserve, if there is one: what the pool keeps of it makes room. */
static block_header *new_piece(cr_ctx *ctx, size_t bytes, bool zeroed, account where)
{
    cr__memory *memory = &ctx->memory;
    if (!memory->reserve.regions)
        return NULL;
    block_header *block = cr__reserve_take(&memory->reserve, bytes, where != BY_ELEMENTS);
    if (!block && memory->cached) {
        free_kept_pieces(ctx);
        block = cr__reserve_take(&memory->reserve, bytes, where != BY_ELEMENTS);
    }
    if (block && zeroed)
        memset(block, 0, bytes);
    if (block)
        block->reserved = true, block->in_arena = false;
    return block;
}

/* From this size on a block holds a whole huge page, wherever it begins. Asked for, they
 * make the first use of fresh memory three times faster, and large products miss the TLB
 * less. */
#define HUGE_FROM ((size_t)4 << 20)

static void prefer_huge(const cr_ctx *ctx, void *block, size_t bytes)
{
    if (bytes >= HUGE_FROM && ctx->memory.alloc == system_alloc)
        cr__prefer_huge_pages(block, bytes);
}

/* ---- arenas ---- */

/* Tensors' elements of less lie in arenas, in huge pages and at different places of a page: what
 * walks along many of them (Adam: 7 streams) takes a fifth less time than over blocks of their
 * own, which all begin at the same place. Not where the sanitizer is to see what is read beside a
 * block, nor under a limit that arenas would be a good part of. */
#define ARENA_FROM  ((size_t)32 << 10)
#define LAST_ARENA  ((size_t)32 << 20)
#define ARENA_LIMIT 16
#ifdef CR__SANITIZED
#define USES_ARENAS false
#else
#define USES_ARENAS true
#endif

/* A region of a reserve: its header, which the next one hangs on, and what pieces are taken
 * from. */
typedef struct memory_region {
    block_header header;
    _Alignas(16) struct memory_region *next;
} memory_region;

static memory_region *new_region(cr_ctx *ctx, size_t bytes)
{
    const size_t all = bytes + sizeof(memory_region);
    memory_region *r = (memory_region *)(void *)block_of_system(ctx, all, false);
    if (!r)
        return NULL;
    r->header.bytes = all;
    prefer_huge(ctx, &r->next, all - sizeof(block_header));
    return r;
}

static void free_region(cr_ctx *ctx, memory_region *r)
{
    const char *outer = ctx->busy;
    ctx->memory.held -= r->header.bytes;
    ctx->busy = in_allocator;
    ctx->memory.free(ctx->memory.user, r, r->header.bytes);
    ctx->busy = outer;
}

static block_header *take_from_arena(cr_ctx *ctx, size_t bytes)
{
    cr__memory *memory = &ctx->memory;
    if (!USES_ARENAS || bytes < ARENA_FROM || bytes >= HUGE_FROM ||
        memory->alloc != system_alloc)
        return NULL;
    block_header *block = cr__reserve_take(&memory->arenas, bytes, false);
    if (!block) {
        size_t more = memory->in_arenas / 2;
        more = more < HUGE_FROM ? HUGE_FROM : more > LAST_ARENA ? LAST_ARENA : more;
        more = more < 2 * bytes ? 2 * bytes : more;
        memory_region *added =
            more < memory->limit / ARENA_LIMIT ? new_region(ctx, more) : NULL;
        if (!added)
            return NULL;
        memory->in_arenas += more;
        cr__reserve_add(&memory->arenas, added + 1, more);
        block = cr__reserve_take(&memory->arenas, bytes, false);
    }
    if (block)
        block->reserved = false, block->in_arena = true;
    return block;
}

/* Arenas go as soon as they are empty. */
static void give_to_arena(cr_ctx *ctx, block_header *block)
{
    cr__memory *memory = &ctx->memory;
    void *whole = cr__reserve_give(&memory->arenas, block);
    if (!whole)
        return;
    cr__reserve_withdraw(&memory->arenas, whole);
    memory_region *r = (memory_region *)whole - 1;
    memory->in_arenas -= r->header.bytes - sizeof(memory_region);
    free_region(ctx, r);
}

/* ---- blocks ---- */

static void *try_alloc(cr_ctx *ctx, size_t bytes, bool zeroed, account where)
{
    block_header *block = new_piece(ctx, bytes, zeroed, where);
    if (!block && where == BY_ELEMENTS)
        block = take_from_arena(ctx, bytes);
    if (!block && !(block = block_of_system(ctx, bytes, zeroed)))
        return NULL;
    block->bytes = bytes;
    block->account = (uint8_t)where;
    return block + 1;
}

/* NULL without an error. */
static void *obtain_block(cr_ctx *ctx, size_t bytes, bool zeroed, account where)
{
    cr__memory *memory = &ctx->memory;
    size_t all = bytes + sizeof(block_header);
    void *block = NULL;
    if (bytes <= (size_t)CR__MAX_BYTES) {
        block = try_alloc(ctx, all, zeroed, where);
        if (!block && memory->cached) {
            cr__memory_trim(ctx);
            block = try_alloc(ctx, all, zeroed, where);
        }
    }
    if (!block)
        return NULL;
    if (where != BY_ELEMENTS)
        memory->taken += all;
    if (where == KEPT)
        memory->kept += all;
    return block;
}

static void *allocate(cr_ctx *ctx, size_t bytes, bool zeroed, account where)
{
    if (where == USED && bytes <= (size_t)CR__MAX_BYTES &&
        !cr__may_use(&ctx->memory, bytes + sizeof(block_header))) {
        cr__fail_limit(ctx, bytes);
        return NULL;
    }
    void *block = obtain_block(ctx, bytes, zeroed, where);
    if (!block)
        fail_system(ctx, bytes);
    return block;
}

void *cr__alloc(cr_ctx *ctx, size_t bytes)
{
    return allocate(ctx, bytes, true, USED);
}

void *cr__alloc_unset(cr_ctx *ctx, size_t bytes)
{
    return allocate(ctx, bytes, false, USED);
}

void cr__free(cr_ctx *ctx, void *memory)
{
    if (!memory)
        return;
    block_header *block = (block_header *)memory - 1;
    if (block->account != BY_ELEMENTS)
        ctx->memory.taken -= block->bytes;
    if (block->account == KEPT)
        ctx->memory.kept -= block->bytes;
    if (block->reserved) {
        (void)cr__reserve_give(&ctx->memory.reserve, block);
        return;
    }
    if (block->in_arena) {
        give_to_arena(ctx, block);
        return;
    }
    ctx->memory.held -= block->bytes;
    const char *outer = ctx->busy;
    ctx->busy = in_allocator;
    ctx->memory.free(ctx->memory.user, block, block->bytes);
    ctx->busy = outer;
}

/* ---- size classes ---- */

/* Sizes up to 512 in steps of 64, then 8 to each power of two: at most an eighth is
 * wasted. The last class ends at 2^40; larger buffers have none, and are not kept. */
#define STEPS      8
#define NO_CLASS   (-1)
#define STEPS_LOG2 9 /* log2(64 * STEPS) */

int cr__size_class(size_t bytes)
{
    if (bytes <= 64 * STEPS)
        return bytes ? (int)((bytes - 1) / 64) : 0;
    int log2 = 63 - __builtin_clzll((unsigned long long)bytes - 1);
    int step = (int)((bytes - 1) >> (log2 - 3)) & (STEPS - 1);
    int size_class = (log2 - STEPS_LOG2 + 1) * STEPS + step;
    return size_class < CR__SIZE_CLASSES ? size_class : NO_CLASS;
}

/* The largest size of a class. */
static size_t class_bytes(int size_class)
{
    size_t step = (size_t)(size_class % STEPS) + 1;
    if (size_class < STEPS)
        return step * 64;
    return (STEPS + step) << (size_class / STEPS - 1 + STEPS_LOG2 - 3);
}

/* ---- buffers ---- */

/* A block is the record, the elements at the next multiple of CR__BUFFER_ALIGN, and the
 * slack. */
#define OVERHEAD (sizeof(cr__buffer) + CR__BUFFER_ALIGN - 1 + CR__BUFFER_SLACK)

static size_t block_bytes(const cr__buffer *buffer)
{
    return class_bytes(buffer->size_class) + OVERHEAD;
}

/* Gives kept blocks back, the largest first, until at most `keep` bytes are kept. */
static void shrink_cache(cr_ctx *ctx, size_t keep)
{
    cr__memory *memory = &ctx->memory;
    for (int c = CR__SIZE_CLASSES - 1; c >= 0 && memory->cached > keep; c--)
        while (memory->free_buffers[c] && memory->cached > keep) {
            cr__buffer *buffer = memory->free_buffers[c];
            memory->free_buffers[c] = buffer->next_free;
            memory->cached -= block_bytes(buffer);
            cr__free(ctx, buffer);
        }
}

void cr__memory_trim(cr_ctx *ctx)
{
    shrink_cache(ctx, 0);
}

static bool is_reserved(const void *memory)
{
    return ((const block_header *)memory - 1)->reserved;
}

static void free_kept_pieces(cr_ctx *ctx)
{
    cr__memory *memory = &ctx->memory;
    for (int c = 0; c < CR__SIZE_CLASSES; c++)
        for (cr__buffer **link = &memory->free_buffers[c], *buffer; (buffer = *link);) {
            if (!is_reserved(buffer)) {
                link = &buffer->next_free;
                continue;
            }
            *link = buffer->next_free;
            memory->cached -= block_bytes(buffer);
            cr__free(ctx, buffer);
        }
}

/* A kept block of the class, or, rather than fresh pages, of the next few: small blocks are none,
 * and each size keeps its own. */
static cr__buffer *take_kept(cr__memory *memory, int size_class)
{
    int last = size_class < STEPS ? size_class : size_class + STEPS / 4;
    if (size_class == NO_CLASS)
        return NULL;
    for (int c = size_class; c <= last && c < CR__SIZE_CLASSES; c++) {
        cr__buffer *buffer = memory->free_buffers[c];
        if (CR__LIKELY(buffer)) {
            memory->free_buffers[c] = buffer->next_free;
            memory->cached -= block_bytes(buffer);
            return buffer;
        }
    }
    return NULL;
}

/* What is used and kept together stays within the limit, and within twice what was ever
 * used (or this, if that is less), so that programs whose shapes change do not grow
 * without bound. */
#define KEPT_FREELY ((size_t)64 << 20)

/* A block from the allocator. */
static cr__buffer *make_block(cr_ctx *ctx, size_t bytes, int size_class)
{
    cr__memory *memory = &ctx->memory;
    size_t room = size_class == NO_CLASS ? bytes : class_bytes(size_class);
    size_t used = cr__memory_used(memory) + room;
    size_t peak = used > memory->peak ? used : memory->peak;
    peak = peak > memory->most ? peak : memory->most;
    size_t most = peak < KEPT_FREELY / 2 ? KEPT_FREELY : 2 * peak;
    if (most > memory->limit)
        most = memory->limit;
    if (memory->cached)
        shrink_cache(ctx, most > used ? most - used : 0);
    cr__buffer *buffer = allocate(ctx, room + OVERHEAD, false, BY_ELEMENTS);
    if (!buffer)
        return NULL;
    if (!is_reserved(buffer))
        prefer_huge(ctx, buffer, room + OVERHEAD);
    uintptr_t data = (uintptr_t)(buffer + 1) + CR__BUFFER_ALIGN - 1;
    *buffer = (cr__buffer){
        .data = (void *)(data & ~(uintptr_t)(CR__BUFFER_ALIGN - 1)),
        .ctx = ctx,
        .size_class = (int16_t)size_class,
    };
    return buffer;
}

cr__buffer *cr__buffer_new(cr_ctx *ctx, size_t bytes)
{
    cr__memory *memory = &ctx->memory;
    if (CR__UNLIKELY(!cr__may_use(memory, bytes))) {
        cr__fail_limit(ctx, bytes);
        return NULL;
    }
    int size_class = cr__size_class(bytes);
    cr__buffer *buffer = take_kept(memory, size_class);
    if (CR__UNLIKELY(!buffer) && !(buffer = make_block(ctx, bytes, size_class)))
        return NULL;
    buffer->bytes = bytes;
    buffer->refs = 1;
    memory->taken += bytes;
    return buffer;
}

cr__buffer *cr__buffer_borrow(cr_ctx *ctx, const void *data, size_t bytes,
                              void (*done)(void *, const void *), void *user)
{
    cr__buffer *buffer = cr__slab_new(ctx, &ctx->memory.borrowed);
    if (buffer)
        *buffer = (cr__buffer){
            .data = (void *)(uintptr_t)data,
            .bytes = bytes,
            .ctx = ctx,
            .done = done,
            .user = user,
            .refs = 1,
            .size_class = NO_CLASS,
            .borrowed = true,
        };
    return buffer;
}

void cr__lent_back(cr_ctx *ctx, void (*done)(void *, const void *), void *user,
                   const void *data)
{
    const char *outer = ctx->busy;
    ctx->busy = "the done function of cr_borrow()";
    done(user, data);
    ctx->busy = outer;
}

void cr__buffer_release(cr__buffer *buffer)
{
    if (!buffer || --buffer->refs > 0)
        return;
    CR__ASSERT(buffer->refs == 0);
    cr_ctx *ctx = buffer->ctx;
    cr__memory *memory = &ctx->memory;
    if (buffer->borrowed) {
        if (buffer->done)
            cr__lent_back(ctx, buffer->done, buffer->user, buffer->data);
        cr__slab_free(memory, &memory->borrowed, buffer);
        return;
    }
    memory->taken -= buffer->bytes;
    if (buffer->size_class == NO_CLASS) {
        cr__free(ctx, buffer);
        return;
    }
    buffer->next_free = memory->free_buffers[buffer->size_class];
    memory->free_buffers[buffer->size_class] = buffer;
    memory->cached += block_bytes(buffer);
}

/* In front of it stands its buffer. */
#define POOLED_HEAD ((size_t)16)

void *cr__pooled_new(cr_ctx *ctx, size_t bytes)
{
    cr__buffer *buffer =
        bytes <= (size_t)CR__MAX_BYTES ? cr__buffer_new(ctx, bytes + POOLED_HEAD) : NULL;
    if (!buffer)
        return NULL;
    *(cr__buffer **)buffer->data = buffer;
    return (char *)buffer->data + POOLED_HEAD;
}

void cr__pooled_free(void *memory)
{
    if (memory)
        cr__buffer_release(*(cr__buffer **)(void *)((char *)memory - POOLED_HEAD));
}

/* ---- the reserve ---- */

#define LEAST_PAGE 4096

bool cr__memory_reserve(cr_ctx *ctx, size_t bytes)
{
    cr__memory *memory = &ctx->memory;
    const size_t used = cr__memory_used(memory);
    if (bytes > memory->limit || used > memory->limit - bytes) {
        cr__fail_limit(ctx, bytes);
        return false;
    }
    memory_region *added = new_region(ctx, bytes);
    if (!added) {
        fail_system(ctx, bytes);
        return false;
    }
    for (volatile char *at = (char *)(added + 1); at < (char *)(added + 1) + bytes;
         at += LEAST_PAGE)
        *at = 0;
    added->next = memory->reserve.regions;
    memory->reserve.regions = added;
    cr__reserve_add(&memory->reserve, added + 1, bytes);
    return true;
}

void cr__memory_close(cr_ctx *ctx)
{
    cr__memory_trim(ctx);
    for (memory_region *at = ctx->memory.reserve.regions, *next; at; at = next) {
        next = at->next;
        free_region(ctx, at);
    }
}

/* ---- slabs ---- */

/* Chunks double from the first to the second, so that small programs stay small; then they are an
 * eighth of what there is, up to the third. */
#define FIRST_CHUNK   ((size_t)4 << 10)
#define DOUBLED_CHUNK ((size_t)1 << 20)
#define LAST_CHUNK    ((size_t)32 << 20)

typedef struct slab_chunk {
    struct slab_chunk *next;
    size_t size; /* what the allocators need themselves is left to them */
} slab_chunk;
#define ALLOCATORS_OWN ((size_t)64)

/* Records begin at a cache line. */
static char *first_record(slab_chunk *chunk)
{
    return (char *)(((uintptr_t)(chunk + 1) + 63) & ~(uintptr_t)63);
}

static char *end_of_records(const cr__slab *slab, slab_chunk *chunk)
{
    char *first = first_record(chunk),
         *end = (char *)chunk + chunk->size - ALLOCATORS_OWN;
    return first + (size_t)(end - first) / slab->size * slab->size;
}

/* Under a limit they stay small: what is kept for records comes on top. */
#define LIMIT_CHUNKS 64

/* A chunk for at least so many records, if the limit allows. */
static bool add_chunk(cr_ctx *ctx, cr__slab *slab, size_t records)
{
    slab_chunk *newest = slab->ahead ? slab->ahead : slab->chunks;
    size_t all = records * slab->size + sizeof *newest + 63 + ALLOCATORS_OWN;
    size_t size = newest ? 2 * newest->size : FIRST_CHUNK;
    size_t most = slab->bytes / 8 < LAST_CHUNK ? slab->bytes / 8 : LAST_CHUNK;
    if (size > most && size > DOUBLED_CHUNK)
        size = most > DOUBLED_CHUNK ? most : DOUBLED_CHUNK;
    size = size < all ? all : size;
    while (size > FIRST_CHUNK && size > ctx->memory.limit / LIMIT_CHUNKS)
        size /= 2;
    slab_chunk *added = allocate(ctx, size - ALLOCATORS_OWN, false, KEPT);
    if (!added)
        return false;
    if (!is_reserved(added))
        prefer_huge(ctx, added, size - ALLOCATORS_OWN);
    *added = (slab_chunk){ slab->ahead, size };
    slab->bytes += size;
    slab->ahead = added;
    slab->room +=
        (size_t)(end_of_records(slab, added) - first_record(added)) / slab->size;
    return true;
}

bool cr__slab_reserve(cr_ctx *ctx, cr__slab *slab, size_t records)
{
    while (slab->room < records)
        if (!add_chunk(ctx, slab, records - slab->room))
            return false;
    return true;
}

/* The next record that was never used; there is room. */
static void *fresh_record(cr__slab *slab)
{
    if (slab->fresh == slab->end) {
        slab_chunk *begun = slab->ahead;
        slab->ahead = begun->next;
        begun->next = slab->chunks;
        slab->chunks = begun;
        slab->fresh = first_record(begun);
        slab->end = end_of_records(slab, begun);
    }
    void *record = slab->fresh;
    slab->fresh += slab->size;
    slab->room--;
    return record;
}

void *cr__slab_new(cr_ctx *ctx, cr__slab *slab)
{
    CR__ASSERT(slab->size && slab->size % 16 == 0 && slab->size <= CR__SLAB_RECORD);
    void *record = slab->free;
    if (CR__UNLIKELY(!cr__may_use(&ctx->memory, slab->size))) {
        cr__fail_limit(ctx, slab->size);
        return NULL;
    }
    if (record)
        slab->free = *(void **)record;
    else if (cr__slab_reserve(ctx, slab, 1))
        record = fresh_record(slab);
    else
        return NULL;
    ctx->memory.kept -= slab->size;
    return record;
}

void cr__slab_each(cr__slab *slab, void (*visit)(void *record))
{
    char *end = slab->fresh;
    for (slab_chunk *c = slab->chunks; c; c = c->next) {
        for (char *record = first_record(c); record < end; record += slab->size)
            visit(record);
        end = c->next ? end_of_records(slab, c->next) : NULL;
    }
}

static void free_chunks(cr_ctx *ctx, slab_chunk *chunk)
{
    for (slab_chunk *next; chunk; chunk = next) {
        next = chunk->next;
        cr__free(ctx, chunk);
    }
}

void cr__slab_close(cr_ctx *ctx, cr__slab *slab)
{
    free_chunks(ctx, slab->chunks);
    free_chunks(ctx, slab->ahead);
    *slab = (cr__slab){ .size = slab->size };
}

/* ---- lists ---- */

#define FEWEST_BYTES ((size_t)1 << 10)

static void replace_list(cr_ctx *ctx, cr__list *list, void *at, size_t capacity)
{
    cr__free(ctx, list->at);
    list->at = at;
    list->capacity = capacity;
}

bool cr__list_grow(cr_ctx *ctx, cr__list *list, size_t bytes)
{
    size_t capacity = list->capacity + list->capacity / 2;
    if (capacity < bytes)
        capacity = bytes < FEWEST_BYTES ? FEWEST_BYTES : bytes;
    void *grown = allocate(ctx, capacity, true, KEPT);
    if (!grown)
        return false;
    if (list->capacity)
        memcpy(grown, list->at, list->capacity);
    replace_list(ctx, list, grown, capacity);
    return true;
}

/* A list goes when uses that would have done with a quarter of it have wanted so many times its
 * size: then making it again is little beside what they did. */
#define IDLE_SIZES 16

void cr__list_fit(cr_ctx *ctx, cr__list *list)
{
    const size_t capacity = list->capacity, slack = cr__list_slack(list);
    list->idle = list->wanted < capacity / 4 ? list->idle + list->wanted : 0;
    if (capacity > CR__FEW_BYTES && (list->idle / IDLE_SIZES > capacity ||
                                     capacity > ctx->memory.limit / LIMIT_CHUNKS)) {
        cr__list_free(ctx, list);
    } else if (slack > capacity) {
        size_t more = slack + (slack - list->wanted);
        void *larger = obtain_block(ctx, more, true, KEPT);
        if (larger)
            replace_list(ctx, list, larger, more);
    }
}

void cr__list_free(cr_ctx *ctx, cr__list *list)
{
    cr__free(ctx, list->at);
    *list = (cr__list){ 0 };
}
