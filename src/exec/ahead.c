/* Fetches what a program is about to read and to write, while it computes what comes before:
 * with each instruction a few lines, of rows into the second level of the cache, of tiles into
 * the first. The processor itself does not follow several rows that are read one after the other,
 * with pauses. */
#include "program.h"

/* Fetched at a time, at most; of channels, which are read several times. */
#define AHEAD_BYTES   ((int64_t)256 << 10)
#define CHANNEL_AHEAD ((int64_t)512 << 10)
#define LINE          64

/* All that is in memory, if it may be in the second level already. */
#define NEAR_BYTES ((int64_t)512 << 10)

/* Whether tiles of the register are read and written as slowly as the processor follows by itself:
 * by the first instruction that works on it. */
static bool is_followed(const cr__program *p, int reg)
{
    const cr__instruction *code = p->code, *end = code + p->n_code;
    for (bool found = false; !p->group->length && code < end; code++) {
        found = code->dst == reg;
        for (int k = 0; k < code->n_src; k++)
            found |= code->src[k] == reg;
        if (found)
            return code->is_slow;
    }
    return false;
}

int cr__streams(const cr__program *p, const cr__reg **regs, int most)
{
    int n = 0;
    for (int i = 0; i < p->n_regs && n < most; i++) {
        const cr__reg *reg = &p->regs[i];
        int known = n;
        while (known > 0 && regs[known - 1]->data != reg->data)
            known--;
        if (reg->kind == CR__REG_BOUND && !known && !is_followed(p, i))
            regs[n++] = reg;
    }
    return n;
}

void cr__ahead_find(cr__ahead *ahead, const cr__program *p, int64_t elements,
                    int64_t instructions)
{
    int64_t each = 0;
    *ahead = (cr__ahead){ .numel = p->numel,
                          .is_near = !p->group->length,
                          .runs = p->run ? p->row / p->run : 1,
                          .apart = p->run * p->rows };
    ahead->n = cr__streams(p, ahead->regs, CR__AHEAD);
    for (int i = 0; i < ahead->n; i++)
        each += ahead->regs[i]->size;
    const int64_t bytes = elements * each;
    if (bytes > (p->run ? CHANNEL_AHEAD : AHEAD_BYTES) || p->numel * each < NEAR_BYTES ||
        instructions == 0)
        ahead->n = 0;
    else
        ahead->lines = (int)((bytes / LINE - 1) / instructions) + 1;
}

void cr__ahead_begin(cr__ahead *ahead, int64_t start, int64_t n)
{
    ahead->at = 0;
    ahead->left = ahead->runs;
    ahead->line = ahead->end = NULL;
    ahead->start = start;
    ahead->elements = n < ahead->numel - start ? n : ahead->numel - start;
}

/* The next register that is memory begins, behind the last the next run. */
static bool next_register(cr__ahead *ahead)
{
    if (ahead->at == ahead->n) {
        ahead->at = 0;
        ahead->start += ahead->apart;
        ahead->left--;
    }
    if (ahead->left <= 0 || ahead->elements <= 0 || ahead->n == 0)
        return false;
    const cr__reg *reg = ahead->regs[ahead->at++];
    ahead->line = reg->data + ahead->start * reg->size;
    ahead->end = ahead->line + ahead->elements * reg->size;
    return true;
}

void cr__ahead_fetch(cr__ahead *ahead)
{
    for (int64_t left = (int64_t)ahead->lines * LINE; left > 0;) {
        if (ahead->line >= ahead->end && !next_register(ahead))
            return;
        const char *line = ahead->line;
        const char *end = ahead->end - line < left ? ahead->end : line + left;
        left -= end - line;
        if (ahead->is_near)
            for (; line < end; line += LINE)
                __builtin_prefetch(line, 0, 3);
        else
            for (; line < end; line += LINE)
                __builtin_prefetch(line, 0, 2);
        ahead->line = line;
    }
}
