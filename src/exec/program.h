/* Tile programs: a group of maps as a list of vectorised loops over tiles that fit into
 * the L1 cache, so that a chain of them reads and writes memory once. Built by emit.c, run
 * by launch.c.
 *
 * The elements of the domain are rows of `length`, the longest over which every operand
 * that repeats or skips has them one after the other or the same one: all in one row, if
 * there is none. What an instruction works on lies in one row. */
#ifndef CR_EXEC_PROGRAM_H
#define CR_EXEC_PROGRAM_H

#include "exec.h"

/* How the elements of an operand that another group makes lie in the domain. */
typedef enum cr__access {
    CR__ACCESS_SAME,   /* as those of the domain */
    CR__ACCESS_ONE,    /* one element */
    CR__ACCESS_ROW,    /* one for each row, which is long */
    CR__ACCESS_COLUMN, /* the same in every row, following each other there */
    CR__ACCESS_RUNS,   /* following each other in a row */
    CR__ACCESS_ANY
} cr__access;
cr__access cr__access_of(const cr__plan *plan, const cr__use *use);

/* Where element i of the domain is, in row r and column c of it, and l'th of its tile. */
typedef enum cr__reg_kind {
    CR__REG_BOUND, /* memory: at i */
    CR__REG_TEMP,  /* the worker's: at l */
    CR__REG_ROW, /* memory: at the offset of r, and c if its elements follow each other */
    CR__REG_PRODUCT, /* a panel of the root, or what it fetches: at l */
    CR__REG_BLOCK,   /* the worker's: CR__PAD times the element of a row */
    CR__REG_FIXED,   /* memory: CR__PAD times the only element */
    /* Of row programs: */
    CR__REG_BUFFER,    /* the worker's: at i behind the first element of its rows */
    CR__REG_VALUE,     /* the worker's: one for each of its rows, from the first on */
    CR__REG_OF_VALUES, /* memory: one for each row, at r */
    CR__REG_SPREAD /* the worker's: of channels, each one's value for all elements of a tile */
} cr__reg_kind;

typedef struct cr__reg {
    char *data; /* of the worker's: the offset in its memory */
    uint8_t kind, size;
    uint8_t step;   /* 1: elements follow each other; 0: all are the same */
    uint8_t looked; /* the dtype of what is to be finite; 0: nothing is */
    uint16_t outer; /* CR__REG_ROW: where rows are, in outer; CR__REG_TEMP: its number */
} cr__reg;

typedef enum cr__instruction_kind {
    CR__MAP,    /* a map */
    CR__STEP,   /* this one and the three maps behind it, in one pass: cr__step_fn */
    CR__INDEX,  /* a map of indices: extra are its parameters */
    CR__LOAD,   /* what no kernel can read in place, extra: a cr__strided */
    CR__SPREAD, /* one element, CR__PAD times */
    CR__WIDEN,  /* bf16 and f16, which are f32 in temporaries and blocks */
    CR__ROUND,
    CR__NARROW,
    CR__REPEAT, /* of a row program: each row's value, for all elements of the row */
    CR__REDUCE, /* the same: extra is the cr__row_reduction */
    CR__EXP_SUM /* the same: e^(a - b), b a row's, and its sum */
} cr__instruction_kind;

typedef struct cr__instruction {
    union {
        cr__map_fn *fn;
        const cr__half *half;
    };
    const void *extra;
    int64_t step[4];
    uint8_t kind, n_src, size; /* of an element: CR__LOAD, CR__SPREAD */
    bool is_slow;              /* several times as slow as memory */
    uint16_t dst, src[4];
} cr__instruction;

/* Of channels that are computed together; and operands of maps that are one value for each. */
#define CR__TILE_BYTES       2048
#define CR__CHANNEL_OPERANDS 8

/* Bytes of temporaries that a worker has, at most. */
#define CR__TEMP_BYTES ((size_t)192 << 10)

/* Of the programs in a job, behind the largest. */
#define CR__JOB_BYTES ((size_t)128 << 10)

/* A unit has at most three operands or parameters; those and its result take up to four
 * registers each. */
#define CR__MAX_REGS (16 * CR__MAX_PROGRAM)

/* A reduction in a row program. */
typedef struct cr__row_reduction {
    const cr__unit *unit;
    cr__reduce_kernel kernel;
    cr__ending ending;
    cr__role role;
    bool negated; /* its terms are, and so is the sum */
    void (*add_exp)(void *to, const void *x, int64_t n, const void *less, void *lanes);
    char *
        blocks; /* of everything: what its blocks have come to, parts behind each other; of
                     columns: the accumulators of each block */
    size_t acc;   /* the accumulators' offset in the worker's memory: of lanes, */
    size_t tree;  /* and of a row's blocks */
    uint16_t reg; /* of the rows' results */
} cr__row_reduction;

/* A level of a row program: its part of the code and of the registers. */
typedef struct cr__level {
    int code, row_code, end; /* code for tiles, and then for rows' values */
    int reg, reg_end;
    int reduction, reduction_end;
} cr__level;

typedef struct cr__program {
    const cr__plan *plan;
    const cr__group *group;
    uint32_t number; /* of the group */
    int64_t numel, length, tile;
    cr__instruction *code;
    cr__reg *regs;
    cr__strided *outer;   /* of rows: the dims outside of them */
    cr__strided *strided; /* of loads: from the end of outer down */
    char *numbers;        /* blocks of CR__PAD elements, and parameters of indices */
    uint16_t *last_use;   /* of a member's value: the last member to read it */
    uint8_t *joins;       /* of a member: the join that computes it, and flags */
    uint8_t *read_as;     /* a member's value, by maps of the shape: READ_LATER, .. */
    uint16_t *temps;      /* free numbers */
    int n_code, n_regs, n_outer, n_numbers, n_temps, n_free, n_blocks;
    int temp_size;      /* bytes of the largest element; */
    int buffer_size;    /* and in row buffers */
    double cost;        /* nanoseconds an element takes; roughly */
    uint16_t result;    /* of the reduction's operand */
    int64_t drawn_size; /* of an element that a kernel of its own fetches */
    int n_looked;       /* registers of what is to be finite; */
    bool *nonfinite;    /* where it is noted that something is not */

    /* Of row programs: */
    int64_t row, rows; /* the length of rows, the last one's may be less; how many; */
    int64_t run;       /* and if they are channels, of a run; else 0 */
    char *buffers;     /* of channels, each worker's */
    int64_t
        batch; /* rows at a time: 1, unless they are short, or channels with short runs */
    const cr__use *channels[CR__CHANNEL_OPERANDS]; /* and what of channels is spread, */
    uint16_t channel_regs[CR__CHANNEL_OPERANDS];   /* to these */
    int n_channels;
    cr__level *levels;
    cr__row_reduction *reductions;
    char *blocks; /* of reductions of columns and of everything */
    uint16_t *
        spread; /* a member's value that is one for each row: as maps of the shape read it */
    int level; /* that is emitted; how many there are */
    int n_reductions, n_buffers, n_values;
    bool is_short; /* rows are so short that there are several at a time */
} cr__program;

/* CR__PAD elements of any type. */
#define CR__BLOCK_BYTES ((size_t)CR__PAD * 8)

/* Rows that are shorter are not worth a call of their own. */
#define CR__SHORT_ROW 128

/* Row programs take no longer ones; and what the blocks of one come to. */
#define CR__LONG_ROW ((int64_t)CR__BLOCK * 64)
#define CR__ROW_TREE ((size_t)64 * CR__ACCUMULATOR)
#define CR__ROW_ACC  (CR__LANES * CR__ACCUMULATOR + CR__ROW_TREE)

/* Blocks of so many elements. */
CR__INLINE int64_t cr__row_blocks(int64_t total)
{
    return (total - 1) / CR__BLOCK + 1;
}

/* Of the row buffers, one. */
CR__INLINE size_t cr__buffer_bytes(const cr__program *p)
{
    return (size_t)(p->batch * p->row * p->buffer_size + 63) / 64 * 64;
}

CR__INLINE bool cr__is_row_map(const cr__unit *unit)
{
    return unit->kind == CR__UNIT_MAP && unit->role == CR__ROW;
}

/* ---- registers.c ---- */

uint16_t cr__new_reg(cr__program *p, cr__reg reg);
uint16_t cr__new_temp(cr__program *p, cr_dtype dtype);
uint16_t cr__new_block(cr__program *p, size_t size);
uint16_t cr__new_value(cr__program *p, cr_dtype dtype); /* of each row */
uint16_t cr__new_buffer(cr__program *p, size_t size);
CR__INLINE void cr__free_temp(cr__program *p, uint16_t reg) /* if it is one */
{
    if (p->regs[reg].kind == CR__REG_TEMP)
        p->temps[p->n_free++] = p->regs[reg].outer;
}
cr__instruction *cr__add_instruction(cr__program *p, cr__instruction_kind kind,
                                     uint16_t dst);
CR__INLINE void cr__add_source(cr__instruction *code, uint16_t src)
{
    code->src[code->n_src++] = src;
}

/* The register of an operand that another group makes, or a number. */
uint16_t cr__outside(cr__program *p, const cr__use *use);

/* The member that makes the value, NULL: it is made outside. */
CR__INLINE cr__unit *cr__member(const cr__program *p, const cr__use *use)
{
    cr__unit *unit = &p->plan->units[use->unit];
    bool inside = use->kind == CR__USE_UNIT && unit->group == p->number &&
                  unit->kind != CR__UNIT_OLD;
    return inside ? unit : NULL;
}

/* ---- join.c ---- */

enum {
    CR__JOIN_INSIDE = 32, /* it is computed by the only member that reads it */
    CR__JOIN_NEVER = 64,  /* several do */
    CR__JOIN_SUMMED = 128 /* a sum takes it while it is computed */
};

/* Whether what the member reads is still there where its reader stands: nothing in between is
 * stored in its place. And it is computed there: what is inside is read where the reader reads. */
bool cr__stays_joined(const cr__program *p, const cr__unit *in, const cr__unit *reader);
void cr__put_inside(cr__program *p, const cr__unit *in, const cr__unit *reader);

/* Behind the look ahead: which members are joined. Then, of one that is, its kernel and operands,
 * of which some may be NULL; NULL: it is not. */
void cr__find_joins(cr__program *p);
CR__INLINE bool cr__is_inside(const cr__program *p, const cr__unit *unit)
{
    return p->joins[unit->place] == CR__JOIN_INSIDE;
}
cr__map_fn *cr__joined(const cr__program *p, const cr__unit *unit, const cr__use *of[4]);

/* Behind the code from one instruction to another, of a level: what has twins (kernel.h). */
void cr__find_twins(cr__program *p, int from, int to);

/* Behind all code: where four instructions are a step. */
void cr__find_steps(cr__program *p);

/* ---- sums.c ---- */

/* Instead of a join, of a sum: what it adds up. */
enum {
    CR__TERMS_NEGATED = 1,  /* -x, */
    CR__TERMS_PRODUCTS = 2, /* of two operands; */
    CR__TERMS_WITH_THEM = 4 /* or what is added up while it is computed */
};

/* Behind the joins: of row programs. Then the terms of a sum and its operands; and, of a member that
 * is e^(a - b), b a row's, and added up while it is computed, these two; NULL: it is none. */
void cr__find_sums(cr__program *p);
unsigned cr__terms_of(const cr__program *p, const cr__unit *sum, const cr__use **of);
const cr__use *cr__exponents_of(const cr__program *p, const cr__unit *unit);

/* One element, CR__PAD times. */
void cr__fill_block(char *to, const void *from, size_t size);

/* The length of the rows in which it can be read; INT64_MAX: of any. */
int64_t cr__row_of(const cr__plan *plan, const cr__use *use);

/* Whether a map of the shape reads it as one value for each of the group's channels. */
bool cr__reads_channels(const cr__plan *plan, const cr__group *group, const cr__use *use);

/* The register of such an operand of a map of rows' values. */
uint16_t cr__outside_row(cr__program *p, const cr__use *use);

/* ---- emit.c and tile.c ---- */

/* Memory for the group's program, and the program in it. */
size_t cr__program_bytes(const cr__group *group);
void cr__emit(cr__program *p, cr__plan *plan, const cr__group *group, void *memory);

/* Instructions from..to-1, on n elements from `start` on; of a row program in a run of it. */
typedef struct cr__row_run cr__row_run;
void cr__run_code(const cr__program *p, int from, int to, char *const *where,
                  int64_t start, int64_t n, cr__row_run *run);

/* Results from..to-1 are looked at while they are in the cache. */
void cr__look_at(const cr__program *p, int from, int to, char *const *where, int64_t n);

/* Computes elements start.. of the domain, n of them, at most a tile; of a contraction's maps,
 * product is where that has these elements. */
void cr__run_tile_of(const cr__program *p, char *scratch, int64_t start, int64_t n,
                     const char *product);
CR__INLINE void cr__run_tile(const cr__program *p, char *scratch, int64_t start,
                             int64_t n)
{
    cr__run_tile_of(p, scratch, start, n, NULL);
}

/* ---- ahead.c ---- */

/* The registers that are memory, each once, and are worth fetching; how many, at most so many. */
int cr__streams(const cr__program *p, const cr__reg **regs, int most);

/* What comes next, for one worker: `elements` from `start` on of each register that is memory. */
#define CR__AHEAD 12
typedef struct cr__ahead {
    const cr__reg *regs[CR__AHEAD];
    int n, lines; /* with each instruction */
    bool is_near;
    int64_t numel, start, elements;
    int64_t runs, apart,
        left;               /* of channels, one behind the other; those that are left */
    int at;                 /* the next register; of the one before */
    const char *line, *end; /* what is left */
} cr__ahead;

/* For a program that computes so many elements at a time, in so many instructions. */
void cr__ahead_find(cr__ahead *ahead, const cr__program *p, int64_t elements,
                    int64_t instructions);
/* Elements start.. are next, n of them; the next instruction runs. */
void cr__ahead_begin(cr__ahead *ahead, int64_t start, int64_t n);
void cr__ahead_fetch(cr__ahead *ahead);

/* ---- rows.c ---- */

/* What a worker fetches; NULL: nothing. */
cr__ahead *cr__ahead_of(cr__row_run *run);

/* Instructions of row programs: n elements from `start` on are reduced, into what is the
 * worker's, those of y being other factors or NULL; are computed, and reduced; and n equal ones. */
void cr__reduce_piece(cr__row_run *run, const cr__row_reduction *r, void *out,
                      const void *x, const void *y, int64_t start, int64_t n);
void cr__exp_sum_piece(cr__row_run *run, const cr__row_reduction *r, void *dst,
                       const void *const *src, int64_t start, int64_t n);
void cr__repeat(char *to, const char *element, size_t size, int64_t n);

/* Where the reduction's operand is then. */
CR__INLINE const void *cr__tile_result(const cr__program *p, char *scratch, int64_t start)
{
    const cr__reg *reg = &p->regs[p->result];
    return reg->kind == CR__REG_TEMP ? scratch + (uintptr_t)reg->data
                                     : reg->data + start * reg->size;
}

#endif
