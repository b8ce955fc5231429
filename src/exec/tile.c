/* Runs a program on one tile: piece by piece, if it covers several rows. */
#include "program.h"

/* Addresses of registers for a piece of a row: from element `start` of the domain on, which
 * is the local'th of its tile. A temporary may be the result's, whose elements are smaller or
 * larger, at another time: the pieces before have left theirs there, up to the local'th of the
 * largest. */
static void find_addresses(const cr__program *p, char *scratch, int64_t start,
                           int64_t local, const char *product, char **where)
{
    for (int i = 0; i < p->n_regs; i++) {
        const cr__reg *reg = &p->regs[i];
        switch (reg->kind) {
        case CR__REG_BOUND:
            where[i] = reg->data + start * reg->size;
            break;
        case CR__REG_TEMP:
            where[i] = scratch + (uintptr_t)reg->data +
                       local * (i == p->result ? reg->size : p->temp_size);
            break;
        case CR__REG_PRODUCT:
            where[i] = (char *)(uintptr_t)product + local * reg->size;
            break;
        case CR__REG_BLOCK:
            where[i] = scratch + (uintptr_t)reg->data;
            break;
        case CR__REG_FIXED:
            where[i] = reg->data;
            break;
        default: {
            int64_t row = start / p->length, column = start % p->length * reg->step;
            where[i] = reg->data +
                       (cr__offset_of(&p->outer[reg->outer], row) + column) * reg->size;
        }
        }
    }
}

static void run_step(const cr__instruction *code, char *const *where, int64_t n)
{
    static const uint8_t from[CR__STEP_SOURCES][2] = { { 0, 0 }, { 0, 1 }, { 0, 2 },
                                                       { 0, 3 }, { 1, 0 }, { 1, 1 },
                                                       { 1, 2 }, { 1, 3 }, { 2, 3 },
                                                       { 3, 0 }, { 3, 3 } };
    float *dst[CR__STEP_RESULTS];
    const float *src[CR__STEP_SOURCES];
    for (int i = 0; i < CR__STEP_RESULTS; i++)
        dst[i] = (float *)(void *)where[code[i].dst];
    for (int i = 0; i < CR__STEP_SOURCES; i++)
        src[i] = (const float *)(const void *)where[code[from[i][0]].src[from[i][1]]];
    cr__step_find()(dst, src, n);
}

void cr__run_code(const cr__program *p, int from, int to, char *const *where,
                  int64_t start, int64_t n, cr__row_run *run)
{
    cr__ahead *const ahead = run ? cr__ahead_of(run) : NULL;
    for (int i = from; i < to; i++) {
        const cr__instruction *code = &p->code[i];
        const void *src[4];
        char *dst = where[code->dst];
        if (ahead)
            cr__ahead_fetch(ahead);
        for (int k = 0; k < code->n_src; k++)
            src[k] = where[code->src[k]];
        switch (code->kind) {
        case CR__MAP:
            code->fn(dst, src, code->step, n);
            break;
        case CR__STEP:
            run_step(code, where, n);
            i += CR__STEP_RESULTS - 1;
            break;
        case CR__INDEX:
            src[0] = &start;
            src[1] = code->extra;
            code->fn(dst, src, code->step, n);
            break;
        case CR__WIDEN:
            code->half->widen((float *)(void *)dst, src[0],
                              p->regs[code->dst].kind == CR__REG_BLOCK ? CR__PAD : n);
            break;
        case CR__ROUND:
            code->half->round((float *)(void *)dst, src[0], n);
            break;
        case CR__NARROW:
            code->half->narrow((uint16_t *)(void *)dst, src[0], n);
            break;
        case CR__LOAD:
            cr__copy_range(dst, code->extra, code->size, start, n);
            break;
        case CR__REDUCE:
            cr__reduce_piece(run, code->extra, dst, src[0],
                             code->n_src > 1 ? src[1] : NULL, start, n);
            break;
        case CR__EXP_SUM:
            cr__exp_sum_piece(run, code->extra, dst, src, start, n);
            break;
        case CR__REPEAT: {
            const int64_t row = p->run ? p->run : p->row;
            for (int64_t r = 0; r < n; r++)
                cr__repeat(dst + r * row * code->size,
                           (const char *)src[0] + r * code->size, code->size, row);
            break;
        }
        default:
            cr__fill_block(dst, src[0], code->size);
        }
    }
}

void cr__look_at(const cr__program *p, int from, int to, char *const *where, int64_t n)
{
    for (int i = from; i < to; i++)
        if (p->regs[i].looked &&
            !cr__all_finite((cr_dtype)p->regs[i].looked, where[i], n))
            __atomic_store_n(p->nonfinite, true, __ATOMIC_RELAXED);
}

void cr__run_tile_of(const cr__program *p, char *scratch, int64_t start, int64_t n,
                     const char *product)
{
    char *where[CR__MAX_REGS];
    for (int64_t at = start, end = start + n, piece; at < end; at += piece) {
        int64_t left = p->length == p->numel ? end - at : p->length - at % p->length;
        piece = left < end - at ? left : end - at;
        find_addresses(p, scratch, at, at - start, product, where);
        cr__run_code(p, 0, p->n_code, where, at, piece, NULL);
        if (CR__UNLIKELY(p->n_looked))
            cr__look_at(p, 0, p->n_regs, where, piece);
    }
}
