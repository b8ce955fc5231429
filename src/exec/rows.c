/* Runs a row program: rows one after the other, of short ones several at a time, and of each
 * one level after the other: its maps and reductions tile by tile, then what is computed of
 * the rows' values. Threads own rows, and where everything is reduced whole blocks of it; where
 * columns are, blocks of rows, or lanes of such. Sums are in the order that kernel.h defines.
 *
 * A row's sum that is infinite, or has vanished, is computed again from what its level reads,
 * which no level up to this one writes over; a column's, or that of everything, by the whole
 * program, which then writes over nothing (slots.c). */
#include "launch.h"

#include <float.h>
#include <string.h>

typedef struct row_job {
    const cr__program *p;
    cr__team *team;
    int64_t first, rows;            /* that are computed */
    int64_t chunks, grain;          /* of them; of columns, */
    int64_t shares, together;       /* the shares of a block, of so many rows each time */
    const cr__row_reduction *again; /* of columns or everything: it is computed again, */
    cr__reduce_kernel kernel;       /* by that */
    cr__ahead ahead;
} row_job;

/* What a worker is at. */
struct cr__row_run {
    const row_job *job;
    const cr__program *p;
    char *scratch, *buffers;
    int64_t start, n, rows; /* elements of the rows, and how many these are */
    int64_t at, row;        /* which of these it is at; the first row's number */
    bool is_whole;          /* these rows are one tile: registers are placed once, */
    int n_moving;           /* those that lie elsewhere for other rows */
    uint16_t moving[CR__MAX_REGS];
    const cr__row_reduction *redo; /* of rows: only it is computed, */
    cr__reduce_kernel kernel;      /* by that, */
    char redone[256 * 8];          /* to that */
    cr__ahead ahead;
};

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

cr__ahead *cr__ahead_of(cr__row_run *run)
{
    return run->ahead.n ? &run->ahead : NULL;
}

/* ---- reductions ---- */

/* n elements, the first of which is `at` of `total`, have been added to their block: if it ends
 * there, it is put with the others. */
static void end_row_block(const cr__reduce_kernel *k, char *acc, char *blocks, int64_t at,
                          int64_t n, int64_t total)
{
    const int64_t pitch = cr__row_blocks(total);
    if ((at + n) % CR__BLOCK && at + n < total)
        return;
    cr__reduce_fold(k, acc);
    for (int part = 0; part < k->parts; part++)
        memcpy(blocks + (part * pitch + at / CR__BLOCK) * k->part_size,
               acc + part * k->lanes * k->part_size, k->part_size);
}

/* n elements, the first of which is `at` of `total`, and of y if that is not NULL, to their
 * blocks' accumulators, which are `apart` of each other. */
static void add_to_blocks(const cr__reduce_kernel *k, char *accs, int64_t apart,
                          char *blocks, const char *x, const char *y, int64_t at,
                          int64_t n, int64_t total)
{
    for (int64_t some; n > 0; n -= some, at += some) {
        char *acc = accs + at / CR__BLOCK * apart;
        some = lesser(n, CR__BLOCK - at % CR__BLOCK);
        if (at % CR__BLOCK == 0)
            cr__reduce_begin(k, acc, k->lanes);
        k->add(k, acc, x, y, at, some);
        end_row_block(k, acc, blocks, at, some, total);
        x += some * k->size;
        y = y ? y + some * k->size : NULL;
    }
}

/* n elements, the first of which is `at` of all, to their columns: what lies in all lanes of a
 * block lies like its rows, one lane behind the other. */
static void add_to_columns(const cr__reduce_kernel *k, char *blocks, const char *x,
                           const char *y, int64_t at, int64_t n, int64_t columns)
{
    const int64_t line = k->lanes * columns;
    for (int64_t some; n > 0; n -= some, at += some) {
        char *acc =
            blocks + (at / (CR__BLOCK * columns) * line + at % line) * k->part_size;
        some = lesser(n, line - at % line);
        k->columns(k, acc, line, x, 0, y, 0, some, 0, 1);
        x += some * k->size;
        y = y ? y + some * k->size : NULL;
    }
}

/* The tree of neighbours; the odd one is carried. */
static void join_row_blocks(const cr__reduce_kernel *k, char *blocks, int64_t total,
                            void *out)
{
    const int64_t pitch = cr__row_blocks(total), size = k->part_size;
    for (int64_t n = pitch; n > 1; n = (n + 1) / 2)
        for (int64_t i = 0; i < n; i += 2) {
            char *to = blocks + i / 2 * size;
            const char *from = blocks + i * size;
            if (i + 1 < n)
                k->join(k, to, from, from + size, 1, pitch);
            for (int part = 0; part < k->parts && i + 1 == n; part++)
                memmove(to + part * pitch * size, from + part * pitch * size,
                        (size_t)size);
        }
    cr__reduce_end(k, blocks, pitch, out, 1, total);
}

/* Of elements that are rows' one behind the other, and each to be added for itself: how many rows. */
static int64_t channels_of(const cr__row_run *run)
{
    return run->p->run ? run->rows : 1;
}

/* Whether rows are reduced at once, each in one block and all in one tile. */
static bool at_once(const cr__row_run *run, const cr__row_reduction *r)
{
    return run->is_whole && !r->add_exp;
}

static void add_to_channels(const cr__row_run *run, const cr__reduce_kernel *k,
                            const cr__row_reduction *r, const char *x, const char *y,
                            int64_t n)
{
    const int64_t channels = channels_of(run);
    char *acc = run->scratch + r->acc, *tree = run->scratch + r->tree;
    n /= channels;
    for (int64_t i = 0; i < channels; i++, acc += CR__ROW_ACC, tree += CR__ROW_ACC) {
        add_to_blocks(k, acc, 0, tree, x, y, run->at / channels, n, run->p->row);
        x += n * k->size;
        y = y ? y + n * k->size : NULL;
    }
}

void cr__reduce_piece(cr__row_run *run, const cr__row_reduction *r, void *out,
                      const void *x, const void *y, int64_t start, int64_t n)
{
    const cr__program *p = run->p;
    const cr__reduce_kernel *k = run->redo ? &run->kernel : &r->kernel;
    char *acc = run->scratch + r->acc;
    if (run->redo && run->redo != r)
        return;
    if (r->role != CR__ROW) {
        if (run->job->again && run->job->again != r)
            return;
        k = run->job->again ? &run->job->kernel : k;
        if (r->role == CR__ALL && p->run)
            add_to_blocks(k, r->blocks + CR__ACCUMULATOR * cr__row_blocks(p->numel),
                          k->lanes * k->parts * k->part_size, r->blocks, x, y, start, n,
                          p->numel);
        else if (r->role == CR__ALL)
            add_to_blocks(k, acc, 0, r->blocks, x, y, start, n, p->numel);
        else
            add_to_columns(k, r->blocks, x, y, start, n, p->group->columns);
        return;
    }
    if (at_once(run, r))
        k->rows(k, run->redo ? run->redone : out, x, y, run->rows, p->row);
    else
        add_to_channels(run, k, r, x, y, n);
}

/* Whether infinity is what is subtracted, of which infinity leaves 0. */
static bool is_infinite(const void *most, cr_dtype dtype)
{
    return dtype == CR_F32 ? *(const float *)most > FLT_MAX
                           : *(const double *)most > DBL_MAX;
}

/* What begins in the midst of a line of lanes, and what is computed again, is first computed and
 * then reduced. */
void cr__exp_sum_piece(cr__row_run *run, const cr__row_reduction *r, void *dst,
                       const void *const *src, int64_t start, int64_t n)
{
    const cr__program *p = run->p;
    const cr__reduce_kernel *k = &r->kernel;
    const int64_t at = r->role == CR__ALL ? start : run->at;
    const bool whole = at % CR__LANES == 0 && at % CR__BLOCK + n <= CR__BLOCK &&
                       !run->redo && !run->job->again && !is_infinite(src[1], k->dtype);
    char *acc = run->scratch + r->acc;
    if (!whole) {
        cr__map_find(CR__MAP_below_largest, k->dtype,
                     k->dtype)(dst, src, (const int64_t[]){ 1, 0 }, n);
        cr__map_find(CR__MAP_exp, k->dtype, k->dtype)(dst, (const void *[]){ dst },
                                                      (const int64_t[]){ 1 }, n);
        cr__reduce_piece(run, r, NULL, dst, NULL, start, n);
        return;
    }
    if (at % CR__BLOCK == 0)
        cr__reduce_begin(k, acc, k->lanes);
    r->add_exp(dst, src[0], n, src[1], acc);
    end_row_block(k, acc, r->role == CR__ALL ? r->blocks : run->scratch + r->tree, at, n,
                  r->role == CR__ALL ? p->numel : p->row);
}

CR__VECTORIZED void cr__repeat(char *to, const char *element, size_t size, int64_t n)
{
    uint32_t word;
    if (size == sizeof word) {
        memcpy(&word, element, sizeof word);
        for (int64_t i = 0; i < n; i++)
            memcpy(to + i * 4, &word, sizeof word);
        return;
    }
    const size_t bytes = (size_t)n * size;
    memcpy(to, element, size);
    for (size_t done = size, some; done < bytes; done += some) {
        some = done < bytes - done ? done : bytes - done;
        memcpy(to + done, to, some);
    }
}

/* ---- registers ---- */

/* Those that stay where they are. */
static void place_fixed(const cr__program *p, char *scratch, char **where)
{
    for (int i = 0; i < p->n_regs; i++) {
        const cr__reg *reg = &p->regs[i];
        where[i] =
            reg->kind == CR__REG_FIXED ? reg->data : scratch + (uintptr_t)reg->data;
    }
}

/* Those of a level, for rows from this one on: their values, and buffers. */
static void place_rows(const cr__row_run *run, const cr__level *level, char **where)
{
    const cr__program *p = run->p;
    for (int i = level->reg; i < level->reg_end; i++) {
        const cr__reg *reg = &p->regs[i];
        if (reg->kind == CR__REG_OF_VALUES)
            where[i] = reg->data + run->row * reg->size;
        else if (reg->kind == CR__REG_BUFFER)
            where[i] = run->buffers + (uintptr_t)reg->data;
    }
}

/* Of memory whose rows are of another size: where element `start` of the domain is. */
static char *place_of(const cr__program *p, const cr__reg *reg, int64_t start)
{
    const int64_t row = start / p->length, column = start % p->length * reg->step;
    return reg->data + (cr__offset_of(&p->outer[reg->outer], row) + column) * reg->size;
}

/* All that lies elsewhere for other rows, for those that are one tile. */
static void place_moving(const cr__row_run *run, char **where)
{
    for (int k = 0; k < run->n_moving; k++) {
        const int i = run->moving[k];
        const cr__reg *reg = &run->p->regs[i];
        where[i] = reg->kind == CR__REG_BOUND       ? reg->data + run->start * reg->size
                   : reg->kind == CR__REG_OF_VALUES ? reg->data + run->row * reg->size
                                                    : place_of(run->p, reg, run->start);
    }
}

/* Those of a level, for a piece of a row. */
static void place_piece(const cr__row_run *run, const cr__level *level, int64_t start,
                        char **where)
{
    const cr__program *p = run->p;
    for (int i = level->reg; i < level->reg_end; i++) {
        const cr__reg *reg = &p->regs[i];
        if (reg->kind == CR__REG_BOUND)
            where[i] = reg->data + start * reg->size;
        else if (reg->kind == CR__REG_BUFFER)
            where[i] = run->buffers + (uintptr_t)reg->data + run->at * reg->size;
        else if (reg->kind == CR__REG_ROW)
            where[i] = place_of(p, reg, start);
    }
}

/* Rows that are one tile: their buffers are where they are, and what moves is found. */
static void find_moving(cr__row_run *run, char **where)
{
    const cr__program *p = run->p;
    run->is_whole = p->group->length && !p->run && p->batch * p->row <= p->tile &&
                    (p->length >= p->row || p->length == p->numel);
    for (int i = 0; i < p->n_regs && run->is_whole; i++) {
        const int kind = p->regs[i].kind;
        if (kind == CR__REG_BUFFER)
            where[i] = run->buffers + (uintptr_t)p->regs[i].data;
        else if (kind == CR__REG_BOUND || kind == CR__REG_OF_VALUES ||
                 kind == CR__REG_ROW)
            run->moving[run->n_moving++] = (uint16_t)i;
    }
}

/* ---- levels ---- */

/* Which of all elements is the i'th of the channels. */
static int64_t element_of_channels(const cr__row_run *run, int64_t i)
{
    const cr__program *p = run->p;
    const int64_t line = run->rows * p->run;
    return (i / line * p->rows + run->row) * p->run + i % line;
}

static void run_tile_of(cr__row_run *run, const cr__level *level, int64_t at, int64_t n,
                        char **where)
{
    const cr__program *p = run->p;
    cr__run_code(p, level->code, level->row_code, where, at, n, run);
    if (CR__UNLIKELY(p->n_looked))
        cr__look_at(p, level->reg, level->reg_end, where, n);
}

static void run_tiles_of(cr__row_run *run, const cr__level *level, char **where)
{
    const cr__program *p = run->p;
    if (level->code == level->row_code)
        return;
    run->at = 0;
    if (run->is_whole) {
        run_tile_of(run, level, run->start, run->n, where);
        return;
    }
    for (int64_t at, n; run->at < run->n; run->at += n) {
        at = run->start + run->at;
        n = lesser(p->tile, run->n - run->at);
        if (p->run) {
            n = lesser(n, run->rows * p->run - run->at % (run->rows * p->run));
            at = element_of_channels(run, run->at);
        }
        if (p->length != p->numel)
            n = lesser(n, p->length - at % p->length);
        place_piece(run, level, at, where);
        if (!p->group->length)
            cr__ahead_begin(&run->ahead, at + n, n);
        run_tile_of(run, level, at, n, where);
    }
}

/* The values of the rows that r has been computed for. */
static void end_rows(const cr__row_run *run, const cr__row_reduction *r, void *out)
{
    const cr__reduce_kernel *k = run->redo ? &run->kernel : &r->kernel;
    char *tree = run->scratch + r->tree, *to = out;
    for (int64_t i = 0; i < channels_of(run) && !at_once(run, r);
         i++, tree += CR__ROW_ACC)
        join_row_blocks(k, tree, run->p->row, to + (size_t)i * k->out_size);
}

/* Row i of r, of elements that are scaled: the level's tiles once more. */
static void redo_row(cr__row_run *run, const cr__level *level, char **where,
                     const cr__row_reduction *r, cr__reduce_code again, int64_t i)
{
    const size_t size = r->kernel.out_size;
    char *out = where[r->reg] + (size_t)i * size;
    run->redo = r;
    cr__reduce_find(again, r->ending.dtype, &run->kernel);
    run_tiles_of(run, level, where);
    end_rows(run, r, run->redone);
    memcpy(out, run->redone + (size_t)i * size, size);
    cr__ending_scaled(&r->ending, again, out);
    run->redo = NULL;
}

/* The sums of what was not negated. */
static void negate(const cr__row_reduction *r, void *sums, int64_t n)
{
    const cr_dtype dtype = r->kernel.dtype;
    const void *src[] = { dtype == CR_F32 ? (const void *)(const float[CR__PAD]){ 0 }
                                          : (const double[CR__PAD]){ 0 },
                          sums };
    if (r->negated)
        cr__map_find(CR__MAP_sub, dtype, dtype)(sums, src, (const int64_t[]){ 0, 1 }, n);
}

static void end_reductions(cr__row_run *run, const cr__level *level, char **where)
{
    for (int at = level->reduction; at < level->reduction_end; at++) {
        const cr__row_reduction *r = &run->p->reductions[at];
        cr__reduce_code again = r->ending.with;
        if (r->role != CR__ROW)
            continue;
        end_rows(run, r, where[r->reg]);
        for (int64_t i = 0; i < run->rows; i++) {
            i += cr__ending_apply(&r->ending, where[r->reg] + i * r->kernel.out_size,
                                  run->rows - i, &again);
            if (i < run->rows)
                redo_row(run, level, where, r, again, i);
        }
        negate(r, where[r->reg], run->rows);
    }
}

static void run_level(cr__row_run *run, const cr__level *level, char **where)
{
    const cr__program *p = run->p;
    if (!run->is_whole)
        place_rows(run, level, where);
    run_tiles_of(run, level, where);
    end_reductions(run, level, where);
    if (level->row_code == level->end)
        return;
    if (!run->is_whole)
        place_rows(run, level, where);
    cr__run_code(p, level->row_code, level->end, where, run->row, run->rows, run);
}

/* ---- chunks ---- */

/* How many rows from this element on are computed at a time. */
static int64_t rows_at(const cr__program *p, int64_t start)
{
    int64_t rows = p->batch;
    if (rows > 1 && p->length != p->numel)
        rows = lesser(rows, (p->length - start % p->length) / p->row);
    return rows;
}

static void run_some(cr__row_run *run, int64_t row, int64_t end, char **where)
{
    const cr__program *p = run->p;
    for (; row < end; row += run->rows) {
        run->row = row;
        run->start = row * p->row;
        run->rows = lesser(rows_at(p, run->start), end - row);
        run->n = lesser(run->rows * p->row, p->numel - run->start);
        if (run->is_whole)
            place_moving(run, where);
        if (p->run)
            cr__ahead_begin(&run->ahead, (row + run->rows) * p->run,
                            lesser(run->rows, p->rows - row - run->rows) * p->run);
        else if (p->group->length)
            cr__ahead_begin(&run->ahead, run->start + run->n, run->n);
        for (int i = 0; i < p->level; i++)
            run_level(run, &p->levels[i], where);
    }
}

/* The rows of a block that are that share: neighbours, so many lanes of them. */
static void run_share(cr__row_run *run, int64_t share, char **where)
{
    const row_job *job = run->job;
    const int64_t block = share / job->shares * CR__BLOCK;
    const int64_t end = lesser(block + CR__BLOCK, run->p->rows);
    int64_t row = block + share % job->shares * job->together;
    for (; row < end; row += job->shares * job->together)
        run_some(run, row, lesser(row + job->together, end), where);
}

static void row_chunk(void *arg, int64_t chunk, int worker)
{
    const row_job *job = arg;
    const cr__program *p = job->p;
    char *where[CR__MAX_REGS];
    cr__row_run run = { .job = job,
                        .p = p,
                        .scratch = cr__team_scratch(job->team, worker),
                        .buffers = cr__team_scratch(job->team, worker),
                        .ahead = job->ahead };
    int64_t from, end;
    if (p->run)
        run.buffers = p->buffers + (size_t)(worker * p->n_buffers) * cr__buffer_bytes(p);
    place_fixed(p, run.scratch, where);
    find_moving(&run, where);
    if (!p->group->columns) {
        cr__part(job->rows, job->grain, chunk, job->chunks, &from, &end);
        run_some(&run, job->first + from, job->first + end, where);
        return;
    }
    cr__part(cr__row_blocks(p->rows) * job->shares, 1, chunk, job->chunks, &from, &end);
    for (; from < end; from++)
        run_share(&run, from, where);
}

/* Rows that a thread owns together: whole blocks, if everything is reduced; and not less than
 * a few lines of the cache of their values. */
static int64_t row_grain(const cr__program *p)
{
    int64_t grain = 1;
    if (p->group->of_all)
        for (int64_t row = p->run ? p->run : p->row, blocks = CR__BLOCK; blocks > 1;
             blocks /= 2)
            row % 2 ? (void)(grain *= 2) : (void)(row /= 2);
    while ((p->run && grain < p->batch) ||
           (grain < CR__PAD && grain * p->row < CR__BLOCK))
        grain *= 2;
    return grain;
}

/* ---- columns ---- */

/* Lanes of a block of rows that have elements. */
static int64_t block_lanes(const row_job *job, int64_t block)
{
    return lesser(job->p->rows - block * CR__BLOCK, CR__LANES);
}

static char *block_of(const row_job *job, const cr__row_reduction *r, int64_t block)
{
    return r->blocks + block * CR__LANES * job->p->row * r->kernel.part_size;
}

/* What is done with each block's lanes: they begin, or are folded. */
typedef struct lanes_job {
    const row_job *rows;
    const cr__row_reduction *r;
    const cr__reduce_kernel *k;
    int64_t chunks;
    bool begins;
} lanes_job;

static void lanes_chunk(void *arg, int64_t chunk, int worker)
{
    const lanes_job *j = arg;
    const int64_t n = j->rows->p->row;
    int64_t from, to;
    (void)worker;
    cr__part(cr__row_blocks(j->rows->p->rows), 1, chunk, j->chunks, &from, &to);
    for (; from < to; from++) {
        const int64_t lanes = block_lanes(j->rows, from);
        if (j->begins)
            cr__reduce_begin(j->k, block_of(j->rows, j->r, from), lanes * n);
        else
            cr__reduce_fold_columns(j->k, block_of(j->rows, j->r, from), n, lanes);
    }
}

/* In nanoseconds, of an element in a lane. */
#define LANE_COST 0.1

static void for_lanes(const row_job *job, const cr__row_reduction *r,
                      const cr__reduce_kernel *k, bool begins)
{
    const int64_t blocks = cr__row_blocks(job->p->rows);
    lanes_job j = { job, r, k, 1, begins };
    j.chunks = cr__chunks(LANE_COST * (double)(blocks * CR__LANES * job->p->row), blocks,
                          job->team);
    cr__parallel(job->team, j.chunks, lanes_chunk, &j);
}

/* What the columns come to, at r->blocks: lanes are folded, then blocks are joined by the tree
 * of neighbours, the odd one being carried. */
static void join_columns(const row_job *job, const cr__row_reduction *r,
                         const cr__reduce_kernel *k)
{
    const int64_t blocks = cr__row_blocks(job->p->rows), n = job->p->row;
    for_lanes(job, r, k, false);
    for (int64_t step = 1; step < blocks; step *= 2)
        for (int64_t b = 0; b + step < blocks; b += 2 * step)
            k->join(k, block_of(job, r, b), block_of(job, r, b),
                    block_of(job, r, b + step), n, n);
}

/* Chunks of rows. Where columns are reduced, blocks have shares if the threads want more chunks
 * than there are blocks: of lanes, and of whole blocks of everything if that is reduced too. */
static void cut_row_job(row_job *job)
{
    const cr__program *p = job->p;
    const double cost = cr__program_cost(p) * ((double)job->rows / (double)p->rows);
    const int64_t blocks = cr__row_blocks(p->rows);
    int64_t most = (job->rows - 1) / job->grain + 1;
    job->shares = 1;
    job->together = CR__BLOCK;
    if (p->group->columns) {
        const int64_t wanted = cr__chunks(cost, INT64_MAX, job->team);
        for (int64_t n = 2; n <= CR__LANES && job->shares * blocks < wanted; n *= 2)
            if (!p->group->of_all || CR__LANES / n * p->row % CR__BLOCK == 0) {
                job->shares = n;
                job->together = CR__LANES / n;
            }
        most = blocks * job->shares;
    }
    job->chunks = cr__chunks(cost, most, job->team);
}

/* All elements once more, for one reduction, of columns or everything, by another kernel. */
static void run_again(row_job *job, const cr__row_reduction *r, cr__reduce_code code)
{
    job->again = r;
    cr__reduce_find(code, r->ending.dtype, &job->kernel);
    if (r->role == CR__COLUMN)
        for_lanes(job, r, &job->kernel, true);
    cr__parallel(job->team, job->chunks, row_chunk, job);
    job->again = NULL;
}

/* The sums of columns, behind each other; those that have to be are computed again. */
static void end_columns(row_job *job, const cr__row_reduction *r)
{
    const int64_t n = job->p->group->columns, size = r->kernel.out_size;
    char *out = cr__unit_data(job->p->plan, r->unit);
    cr__reduce_code again = r->ending.with, have = again;
    join_columns(job, r, &r->kernel);
    memcpy(out, r->blocks, (size_t)(n * size));
    for (int64_t i = 0; i < n; i++) {
        i += cr__ending_apply(&r->ending, out + i * size, n - i, &again);
        if (i == n)
            break;
        if (have != again) {
            run_again(job, r, again);
            join_columns(job, r, &job->kernel);
        }
        have = again;
        memcpy(out + i * size, r->blocks + i * size, (size_t)size);
        cr__ending_scaled(&r->ending, again, out + i * size);
    }
    negate(r, out, n);
}

/* The sum of everything; computed again, if it has to be. */
static void end_all(row_job *job, const cr__row_reduction *r)
{
    void *out = cr__unit_data(job->p->plan, r->unit);
    cr__reduce_code again = r->ending.with;
    join_row_blocks(&r->kernel, r->blocks, job->p->numel, out);
    if (cr__ending_apply(&r->ending, out, 1, &again) == 0) {
        run_again(job, r, again);
        join_row_blocks(&job->kernel, r->blocks, job->p->numel, out);
        cr__ending_scaled(&r->ending, again, out);
    }
    negate(r, out, 1);
}

static void find_ahead(row_job *job)
{
    const cr__program *p = job->p;
    const int64_t elements = p->group->length ? p->batch * p->row : p->tile;
    int64_t instructions = 0;
    for (int i = 0; i < p->level; i++)
        instructions += p->levels[i].row_code - p->levels[i].code;
    cr__ahead_find(&job->ahead, p, elements,
                   instructions * ((elements - 1) / p->tile + 1));
}

void cr__run_rows(cr__plan *plan, const cr__group *group, cr__share share)
{
    cr__program p;
    cr__emit(&p, plan, group, plan->ctx->run_lists[CR__PROGRAM].at);
    row_job job = { .p = &p, .team = plan->ctx->team, .grain = row_grain(&p) };
    job.rows = p.rows / share.n, job.first = job.rows * share.i;
    find_ahead(&job);
    cut_row_job(&job);
    for (int i = 0; i < p.n_reductions; i++)
        if (p.reductions[i].role == CR__COLUMN)
            for_lanes(&job, &p.reductions[i], &p.reductions[i].kernel, true);
    cr__parallel(job.team, job.chunks, row_chunk, &job);
    for (int i = 0; i < p.n_reductions; i++)
        if (p.reductions[i].role == CR__ALL)
            end_all(&job, &p.reductions[i]);
        else if (p.reductions[i].role == CR__COLUMN)
            end_columns(&job, &p.reductions[i]);
}
