/* Memory: the caller's allocator, buffers of tensors with a pool that keeps freed ones,
 * slabs of equal small records, growable lists, checked products of sizes. A context's
 * memory is used by one thread at a time. */
#ifndef CR_BASE_MEMORY_H
#define CR_BASE_MEMORY_H

#include "compiler.h"
#include "chainrule.h"

#define CR__BUFFER_ALIGN 64
/* Bytes to spare behind the end of every buffer, which nothing of ours touches. */
#define CR__BUFFER_SLACK 128
/* Of one tensor, and of all unless a limit is given: what size_t can hold with room for
 * what is added to it. */
#define CR__MAX_BYTES ((int64_t)1 << (SIZE_MAX > UINT32_MAX ? 62 : 31))

/* Zeroed memory from the context's allocator, or NULL with the error recorded. cr__free
 * accepts NULL. */
void *cr__alloc(cr_ctx *ctx, size_t bytes);
void *cr__alloc_unset(cr_ctx *ctx, size_t bytes); /* with undefined content */
void cr__free(cr_ctx *ctx, void *memory);

/* A change of leaves is refused, for the pending error: the step is not whole any more, even
 * if that error is about a read. Returns the error. */
cr_status cr__refuse(cr_ctx *ctx);

/* The memory of a tensor's elements, shared by counting. data is aligned to
 * CR__BUFFER_ALIGN, unless it is borrowed. */
typedef struct cr__buffer {
    void *data;
    size_t bytes;
    cr_ctx *ctx;
    struct cr__buffer *next_free;
    void (*done)(void *user, const void *data); /* borrowed: called at the end */
    void *user;
    int32_t refs;
    int16_t size_class;
    bool borrowed;
} cr__buffer;

/* Room for bytes, with undefined content and one reference; NULL with the error recorded
 * when the limit is reached or memory is short. */
cr__buffer *cr__buffer_new(cr_ctx *ctx, size_t bytes);
cr__buffer *cr__buffer_borrow(cr_ctx *ctx, const void *data, size_t bytes,
                              void (*done)(void *, const void *), void *user);
/* Calls done: the borrowed memory is not used any more. */
void cr__lent_back(cr_ctx *ctx, void (*done)(void *, const void *), void *user,
                   const void *data);
CR__INLINE cr__buffer *cr__buffer_retain(cr__buffer *buffer)
{
    buffer->refs++;
    return buffer;
}
void cr__buffer_release(cr__buffer *buffer); /* NULL is allowed */

/* Memory that comes and goes in every step, from that pool: with undefined content, aligned to
 * 16; NULL with the error recorded. cr__pooled_free() accepts NULL. */
void *cr__pooled_new(cr_ctx *ctx, size_t bytes);
void cr__pooled_free(void *memory);

/* Buffers of one size class, from 0 up, can take each other's place; -1: they have none. */
#define CR__SIZE_CLASSES 256
int cr__size_class(size_t bytes);

#define CR__SLAB_RECORD 2048

/* Equal records of at most CR__SLAB_RECORD bytes, never given back before the context
 * closes: their memory stays readable, so that use after release can be seen. */
typedef struct cr__slab {
    size_t size; /* of a record, a multiple of 16 */
    void *free;  /* linked through the records' first word */
    char *fresh; /* never used records of the newest chunk in use: [fresh, end) */
    char *end;
    void *chunks; /* in use, the newest first */
    void *ahead;  /* not in use yet */
    size_t room;  /* records that were never used, in all chunks */
    size_t bytes; /* of all chunks */
} cr__slab;
/* With undefined content; NULL with the error recorded. */
void *cr__slab_new(cr_ctx *ctx, cr__slab *slab);
/* Room for so many records that were never used; false with the error recorded. */
bool cr__slab_reserve(cr_ctx *ctx, cr__slab *slab, size_t records);

/* Large blocks that allocations are taken from: reserve.c. What cr_reserve() has obtained comes
 * first; arenas hold buffers of tensors, if the allocator is the system's. */
typedef struct cr__reserve {
    void *regions;                            /* from the allocator */
    struct cr__spare *free[CR__SIZE_CLASSES]; /* pieces of a size class; */
    uint64_t any[CR__SIZE_CLASSES / 64];      /* bits: whether there is one */
} cr__reserve;

/* A piece, aligned to 16, or NULL; its end; more to take pieces from: aligned to 16, of at least
 * CR__LEAST_RESERVE bytes. What stays long lies at the other end than what comes and goes. */
#define CR__LEAST_RESERVE ((size_t)64)
void *cr__reserve_take(cr__reserve *reserve, size_t bytes, bool stays);
void *cr__reserve_give(cr__reserve *reserve,
                       void *memory); /* what was added, if it is whole */
void cr__reserve_add(cr__reserve *reserve, void *memory, size_t bytes);
void cr__reserve_withdraw(cr__reserve *reserve,
                          void *whole); /* what was added is whole */

/* `taken`: whatever there is, tensors' elements and all records; `kept` of it for the next
 * record or plan (free records of slabs, lists). The difference is used, and stands against
 * the limit. `cached` is kept for the next tensor, and goes where it is in the way. */
typedef struct cr__memory {
    void *(*alloc)(void *user, size_t bytes);
    void (*free)(void *user, void *memory, size_t bytes);
    void *user;
    size_t limit, taken, kept, peak, cached;
    size_t most; /* the peak of before it was reset */
    size_t held; /* what the allocator has given, since the context is open; how often: */
    uint64_t allocations;
    cr__buffer *free_buffers[CR__SIZE_CLASSES];
    cr__slab borrowed; /* the records of borrowed buffers */
    cr__reserve reserve, arenas;
    size_t in_arenas; /* bytes */
} cr__memory;
CR__INLINE size_t cr__memory_used(const cr__memory *memory)
{
    return memory->taken - memory->kept;
}
/* Whether bytes of what is kept, or that many more, may be used: within the limit. Notes the
 * peak, which is within it. */
CR__INLINE bool cr__may_use(cr__memory *memory, size_t bytes)
{
    size_t used = cr__memory_used(memory) + bytes;
    if (CR__LIKELY(used <= memory->peak))
        return true;
    if (used > memory->limit || used < bytes)
        return false;
    memory->peak = used;
    return true;
}
/* The error if it may not. */
void cr__fail_limit(cr_ctx *ctx, size_t bytes);
CR__INLINE void cr__slab_free(cr__memory *memory, cr__slab *slab, void *record)
{
    *(void **)record = slab->free;
    slab->free = record;
    memory->kept += slab->size;
}
void cr__memory_init(cr__memory *memory, const cr_options *options);
/* The context is open: from here on memory counts, against the limit of the options. */
void cr__memory_begin(cr__memory *memory, const cr_options *options);
void cr__memory_reset_peak(cr__memory *memory);
void cr__memory_trim(cr_ctx *ctx);
/* Obtains so many bytes, and touches them; false with the error recorded. */
bool cr__memory_reserve(cr_ctx *ctx, size_t bytes);
void cr__memory_close(cr_ctx *ctx); /* when nothing is in use any more */
/* All records that were ever used, also those that are free. */
void cr__slab_each(cr__slab *slab, void (*visit)(void *record));
void cr__slab_close(cr_ctx *ctx, cr__slab *slab);

/* A list that grows, kept from one use to the next. */
typedef struct cr__list {
    void *at;
    size_t capacity; /* bytes */
    size_t wanted;   /* bytes: the most that the present use has asked for */
    size_t idle;     /* what uses in a row have wanted, each much less than there is */
} cr__list;
/* What the next use, a step like this one, may want: a little more. */
CR__INLINE size_t cr__list_slack(const cr__list *list)
{
    return list->wanted ? list->wanted + list->wanted / 16 + 64 : 0;
}
bool cr__list_grow(cr_ctx *ctx, cr__list *list, size_t bytes);
/* Room for bytes, keeping the content; false with the error recorded. New memory is
 * zeroed. */
CR__INLINE bool cr__list_reserve(cr_ctx *ctx, cr__list *list, size_t bytes)
{
    if (bytes > list->wanted)
        list->wanted = bytes;
    return CR__LIKELY(bytes <= list->capacity) || cr__list_grow(ctx, list, bytes);
}
/* A use is over. The memory is kept for the next one, unless many in a row would have done with
 * far less, or there is a limit that it comes close to. */
#define CR__FEW_BYTES ((size_t)1 << 20) /* are kept in any case */
void cr__list_fit(cr_ctx *ctx, cr__list *list);
CR__INLINE void cr__list_rest(cr_ctx *ctx, cr__list *list)
{
    if (list->capacity > CR__FEW_BYTES || cr__list_slack(list) > list->capacity)
        cr__list_fit(ctx, list);
    list->wanted = 0;
}
void cr__list_free(cr_ctx *ctx, cr__list *list);

/* *out = a * b for sizes of tensors; false if that leaves 0..CR__MAX_BYTES. */
CR__INLINE bool cr__size_mul(int64_t a, int64_t b, int64_t *out)
{
    return !__builtin_mul_overflow(a, b, out) && *out >= 0 && *out <= CR__MAX_BYTES;
}

#endif
