/* Tile programs: a group of maps as a list of vectorised loops over tiles that fit into
 * the L1 cache, so that a chain of them reads and writes memory once. May end in a
 * reduction over the innermost dims. Built for each run, by a pass over the group.
 *
 * An instruction's operands are registers: memory of a tensor (bound), a temporary in the
 * thread's scratch memory, or CR__PAD equal elements (uniform). What kernels cannot read in
 * place is loaded into a temporary first. Registers of bf16 and f16 are f32: what is read is
 * widened, what is made rounded, and narrowed where it is stored. */
#include "exec.h"
#include "reducer.h"

#include <string.h>

#define TILE          512 /* elements; two registers of doubles, 8 KiB */
#define SCRATCH_TEMPS ((size_t)192 << 10)
#define UNIFORM_BYTES (CR__PAD * sizeof(uint64_t))
#define PARALLEL_WORK (192 << 10) /* elements times instructions: about 10 us */

typedef struct reg {
    char *data;   /* of element 0; of temporaries the offset in scratch */
    int32_t step; /* bytes from element to element; 0: a temporary or uniform */
    int32_t temp; /* its number, from 1; 0: none */
} reg;

enum { CALL, INDEX, LOAD, WIDEN, ROUND, NARROW };

#define INPUTS 3 /* of a member, at most */

typedef struct instruction {
    uint8_t kind, n_src;
    uint8_t size;         /* of an element: LOAD */
    uint16_t dst, src[4]; /* registers */
    union {
        cr__map_fn *fn;
        char *at;             /* NARROW: where element 0 goes */
        const cr__half *half; /* WIDEN, ROUND */
    } to;
    const void
        *extra; /* LOAD: the cr__strided; INDEX: parameters; NARROW: the cr__half */
} instruction;

typedef struct program {
    const cr__plan *plan;
    const cr__group *group;
    uint32_t number; /* of the group */
    int64_t numel;
    cr_tensor **members;
    uint16_t *last_use; /* of a member's value, by place: the last member to read it */
    uint16_t *made_by;  /* of each input, INPUTS for a member: see made_by() */
    uint16_t *reg_of;   /* a member's register */
    uint16_t *temps;    /* free numbers */
    instruction *code;
    reg *regs;
    uint64_t *numbers; /* immediates, 4 words for each that needs more */
    char *uniforms;    /* registers of CR__PAD elements of any size */
    cr__strided *strided;
    const cr_tensor **loaded; /* by register: what was loaded into it */
    int n_members, n_code, n_regs, n_numbers, n_strided, n_temps, n_free, n_uniforms;
    int temp_size; /* bytes of the largest element */
    int64_t tile;
    uint16_t result; /* of the reduction's input */
    int parts;
} program;

/* ---- memory of a program ---- */

static char *carve(char **at, size_t bytes)
{
    char *memory = *at;
    *at += (bytes + 15) / 16 * 16;
    return memory;
}

/* Room for whatever the group may need. Every operand and parameter may take a register,
 * a load, a number. */
static bool make_room(program *p)
{
    const cr__plan *plan = p->plan;
    size_t members = p->group->count, slots = 8 * members, uniforms = 0;
    for (uint32_t at = p->group->first; at; at = plan->entries[at - 1].next)
        slots += 2u * (size_t)plan->nodes[at - 1]->n_inputs;
    cr__list *list = &plan->ctx->run_lists[CR__PROGRAM];
    if (p->numel > 1)
        uniforms = slots * UNIFORM_BYTES;
    size_t each_member = sizeof(cr_tensor *) + (2 + INPUTS) * sizeof(uint16_t);
    size_t each = sizeof(instruction) + sizeof(reg) + sizeof(uint64_t) +
                  sizeof(cr__strided) + sizeof(cr_tensor *) + sizeof(uint16_t);
    if (!cr__list_reserve(plan->ctx, list,
                          slots * each + members * each_member + uniforms + 256))
        return false;
    char *at = list->at;
    at += (64 - (uintptr_t)at % 64) % 64;
    p->uniforms = carve(&at, uniforms);
    p->members = (cr_tensor **)(void *)carve(&at, members * sizeof *p->members);
    p->last_use = (uint16_t *)(void *)carve(&at, members * sizeof *p->last_use);
    p->reg_of = (uint16_t *)(void *)carve(&at, members * sizeof *p->reg_of);
    p->made_by = (uint16_t *)(void *)carve(&at, INPUTS * members * sizeof *p->made_by);
    p->temps = (uint16_t *)(void *)carve(&at, slots * sizeof *p->temps);
    p->code = (instruction *)(void *)carve(&at, slots * sizeof *p->code);
    p->regs = (reg *)(void *)carve(&at, slots * sizeof *p->regs);
    p->numbers = (uint64_t *)(void *)carve(&at, slots * sizeof *p->numbers);
    p->loaded = (const cr_tensor **)(void *)carve(&at, slots * sizeof *p->loaded);
    p->strided = (cr__strided *)(void *)carve(&at, slots * sizeof *p->strided);
    return true;
}

/* ---- registers ---- */

static uint16_t new_reg(program *p, reg r)
{
    p->loaded[p->n_regs] = NULL;
    p->regs[p->n_regs] = r;
    return (uint16_t)p->n_regs++;
}

static uint16_t new_temp(program *p, cr_dtype dtype)
{
    int size = (int)cr_dtype_size(dtype);
    int number = p->n_free ? p->temps[--p->n_free] : ++p->n_temps;
    p->temp_size = size > p->temp_size ? size : p->temp_size;
    return new_reg(p, (reg){ .temp = number });
}

/* The element at data, whose value is known when the program is built. */
static uint16_t uniform_reg(program *p, const void *data, cr_dtype dtype)
{
    char *at = (char *)(uintptr_t)data;
    size_t size = cr_dtype_size(dtype);
    if (p->numel > 1) {
        at = p->uniforms + (size_t)p->n_uniforms++ * UNIFORM_BYTES;
        for (size_t i = 0; i < CR__PAD; i++)
            memcpy(at + i * size, data, size);
    }
    return new_reg(p, (reg){ .data = at });
}

/* The next instruction, to be filled in: it is written once, in place. */
static instruction *emit(program *p, int kind, uint16_t dst, int size)
{
    instruction *code = &p->code[p->n_code++];
    code->kind = (uint8_t)kind;
    code->size = (uint8_t)size;
    code->dst = dst;
    code->n_src = 0;
    return code;
}

static bool all_strides_zero(const cr__strided *s)
{
    for (int d = 0; d < s->ndim; d++)
        if (s->strides[d] != 0 && s->dims[d] != 1)
            return false;
    return true;
}

/* A value made outside the program, as it is stored. */
static uint16_t stored_value(program *p, cr_tensor *x)
{
    cr__source source = cr__source_of(p->plan, x);
    size_t size = cr_dtype_size((cr_dtype)x->dtype);
    if (source.base->shape->numel == 1)
        return uniform_reg(p, source.data, (cr_dtype)x->dtype);
    if (!source.layout && !source.borrowed)
        return new_reg(
            p, (reg){ .data = (char *)(uintptr_t)source.data, .step = (int32_t)size });
    for (int i = p->n_regs; i-- > 0 && i > p->n_regs - 16;)
        if (p->loaded[i] == x)
            return (uint16_t)i;
    cr__strided *s = &p->strided[p->n_strided];
    *s = cr__strided_of(&source, x);
    if (all_strides_zero(s))
        return uniform_reg(p, s->data, (cr_dtype)x->dtype);
    if (!source.borrowed && cr__layout_contiguous(source.layout))
        return new_reg(p, (reg){ .data = s->data, .step = (int32_t)size });
    p->n_strided++;
    uint16_t t = new_temp(p, (cr_dtype)x->dtype);
    p->loaded[t] = x;
    emit(p, LOAD, t, (int)size)->extra = s;
    return t;
}

/* The same, widened. */
static uint16_t widened_value(program *p, cr_tensor *x)
{
    const cr_dtype dtype = (cr_dtype)x->dtype;
    for (int i = p->n_regs; i-- > 0 && i > p->n_regs - 16;)
        if (p->loaded[i] == x)
            return (uint16_t)i;
    uint16_t r = stored_value(p, x);
    p->loaded[r] = NULL;
    if (!p->regs[r].step && !p->regs[r].temp) {
        float *wide = (float *)&p->numbers[p->n_numbers++];
        cr__half_find(dtype)->widen(wide, (const uint16_t *)(void *)p->regs[r].data, 1);
        return uniform_reg(p, wide, CR_F32);
    }
    uint16_t t = new_temp(p, CR_F32);
    instruction *code = emit(p, WIDEN, t, 0);
    code->n_src = 1;
    code->src[0] = r;
    code->to.half = cr__half_find(dtype);
    p->loaded[t] = x;
    return t;
}

static uint16_t outside(program *p, cr_tensor *x)
{
    return cr__is_half((cr_dtype)x->dtype) ? widened_value(p, x) : stored_value(p, x);
}

static uint16_t immediate(program *p, cr_arg number, cr_dtype dtype)
{
    uint64_t *at = &p->numbers[p->n_numbers++];
    *at = 0;
    cr__number_store(number, dtype, at);
    return uniform_reg(p, at, dtype);
}

/* The place of x among the members, plus 1; 0: it is made outside. */
static int member(const program *p, cr_tensor *x)
{
    x = cr__original(p->plan, x);
    const cr__entry *entry = cr__entry_of(p->plan, x);
    bool view = x->run && x->op->kind == CR_OP_VIEW;
    return entry && !view && entry->group == p->number ? (int)entry->next : 0;
}

/* The place, plus 1, of the member that makes the k-th input of the one at place; 0: it is
 * made outside. */
static int made_by(const program *p, int place, int k)
{
    return p->made_by[INPUTS * place + k];
}

/* The k-th input, a tensor, of the member at place. */
static uint16_t operand(program *p, int place, int k)
{
    int by = made_by(p, place, k);
    return by ? p->reg_of[by - 1] : outside(p, cr__input(p->members[place], k));
}

/* ---- building ---- */

/* Which member reads which last. From here on the entries' next tells the place in the
 * program. */
static void find_members(program *p)
{
    const cr__plan *plan = p->plan;
    for (uint32_t at = p->group->first, next; at; at = next) {
        cr__entry *entry = &plan->entries[at - 1];
        cr_tensor *x = plan->nodes[at - 1];
        int place = p->n_members++;
        next = entry->next;
        entry->next = (uint32_t)place + 1;
        CR__ASSERT(x->n_inputs <= INPUTS);
        p->members[place] = x;
        p->last_use[place] = (uint16_t)place;
        for (int k = 0; k < x->n_inputs; k++) {
            cr_tensor *in = cr__input(x, k);
            int of = in ? member(p, in) : 0;
            p->made_by[INPUTS * place + k] = (uint16_t)of;
            if (of)
                p->last_use[of - 1] = (uint16_t)place;
        }
    }
}

/* Temporaries whose last reader the member at place is are free again. */
static void free_temps(program *p, int place)
{
    const cr_tensor *x = p->members[place];
    for (int k = 0; k < x->n_inputs; k++) {
        int of = made_by(p, place, k);
        if (!of || p->last_use[of - 1] != place)
            continue;
        p->last_use[of - 1] = UINT16_MAX; /* once, if it is an operand twice */
        int number = p->regs[p->reg_of[of - 1]].temp;
        if (number)
            p->temps[p->n_free++] = (uint16_t)number;
    }
}

/* The operands' dtype: that of the first one which is not the map's own, or the result's.
 */
static cr_dtype operand_dtype(const cr_tensor *x, const cr__map *map)
{
    for (int k = 0; k < x->n_inputs; k++) {
        const cr_tensor *in = cr__input(x, k);
        if (in && !(map->own >> k & 1))
            return (cr_dtype)in->dtype;
    }
    return (cr_dtype)x->dtype;
}

/* Operands, then parameters. */
static void find_operands(program *p, int place, const cr__map *map, cr_dtype dtype,
                          uint16_t *src)
{
    const cr_tensor *x = p->members[place];
    const cr_dtype number = cr__register_dtype(dtype);
    cr_arg params[4];
    for (int k = 0; k < x->n_inputs; k++)
        src[k] = cr__input(x, k) ? operand(p, place, k)
                                 : immediate(p, cr_operand(x, k), number);
    if (map->n_params)
        map->params(x->attrs, params);
    for (int i = 0; i < map->n_params; i++)
        src[x->n_inputs + i] = immediate(p, params[i], number);
}

static uint16_t result_reg(program *p, cr_tensor *x, bool bound)
{
    if (!bound)
        return new_temp(p, cr__register_dtype((cr_dtype)x->dtype));
    return new_reg(p, (reg){ .data = cr__destination(p->plan, x),
                             .step = (int32_t)cr_dtype_size((cr_dtype)x->dtype) });
}

/* What was computed in f32 becomes a value of its type: in the register, for members that read
 * it, and in memory. */
static void round_result(program *p, int place, uint16_t r, bool stored)
{
    cr_tensor *x = p->members[place];
    const cr__half *half = cr__half_find((cr_dtype)x->dtype);
    instruction *code;
    if (p->last_use[place] != place) {
        code = emit(p, ROUND, r, 0);
        code->n_src = 1;
        code->src[0] = r;
        code->to.half = half;
    }
    if (stored) {
        code = emit(p, NARROW, r, 2);
        code->n_src = 1;
        code->src[0] = r;
        code->to.at = cr__destination(p->plan, x);
        code->extra = half;
    }
}

static bool build_map(program *p, int place)
{
    cr_tensor *x = p->members[place];
    const cr__map *map = x->op->internal;
    cr_dtype dtype = operand_dtype(x, map);
    uint16_t src[4];
    find_operands(p, place, map, dtype, src);
    cr__map_fn *fn = cr__map_find(map->code, dtype, (cr_dtype)x->dtype);
    if (!fn) {
        cr__op_fail(p->plan->ctx, x->op, CR_ERR_DTYPE, NULL, "there is no kernel for %s",
                    cr_dtype_name(dtype));
        return false;
    }
    bool half = cr__is_half((cr_dtype)x->dtype);
    bool stored = cr__entry_of(p->plan, x)->flags & CR__STORE;
    uint16_t dst = result_reg(p, x, stored && !half);
    instruction *code = emit(p, map->source ? INDEX : CALL, dst, 0);
    code->to.fn = fn;
    code->n_src = (uint8_t)(x->n_inputs + map->n_params);
    for (int i = 0; i < code->n_src; i++)
        code->src[i] = src[i];
    if (map->source) {
        code->extra = &p->numbers[p->n_numbers];
        map->source(x->attrs, &p->numbers[p->n_numbers]);
        p->n_numbers += 4;
    }
    if (half)
        round_result(p, place, dst, stored);
    p->reg_of[place] = dst;
    free_temps(p, place);
    return true;
}

static void choose_tile(program *p)
{
    int size = p->temp_size ? p->temp_size : 4;
    p->tile = p->numel == 1 ? 1 : TILE;
    int64_t room = p->numel == 1 ? CR__PAD : p->tile;
    while (p->tile > 32 && (size_t)(room * size) * (size_t)p->n_temps > SCRATCH_TEMPS)
        room = p->tile /= 2;
    for (int i = 0; i < p->n_regs; i++)
        if (p->regs[i].temp)
            p->regs[i].data =
                (char *)(uintptr_t)((int64_t)(p->regs[i].temp - 1) * room * size);
}

static bool build(program *p)
{
    if (!make_room(p))
        return false;
    find_members(p);
    for (int i = 0; i < p->n_members; i++) {
        if (p->members[i] == p->group->reduce)
            p->result = operand(p, i, 0);
        else if (!build_map(p, i))
            return false;
    }
    choose_tile(p);
    return true;
}

/* ---- running ---- */

CR__INLINE char *address(const program *p, uint16_t r, char *scratch, int64_t start)
{
    const reg *at = &p->regs[r];
    return (at->temp ? scratch + (uintptr_t)at->data : at->data) + start * at->step;
}

static void run_tile(const program *p, char *scratch, int64_t start, int64_t n)
{
    for (int i = 0; i < p->n_code; i++) {
        const instruction *code = &p->code[i];
        const void *src[4];
        int64_t step[4];
        char *dst = address(p, code->dst, scratch, start);
        for (int k = 0; k < code->n_src; k++) {
            const reg *from = &p->regs[code->src[k]];
            src[k] = address(p, code->src[k], scratch, start);
            step[k] = from->step || from->temp;
        }
        switch (code->kind) {
        case CALL:
            code->to.fn(dst, src, step, n);
            break;
        case INDEX:
            src[0] = &start;
            src[1] = code->extra;
            code->to.fn(dst, src, step, n);
            break;
        case WIDEN:
            code->to.half->widen((float *)(void *)dst, src[0], n);
            break;
        case ROUND:
            code->to.half->round((float *)(void *)dst, src[0], n);
            break;
        case NARROW:
            ((const cr__half *)code->extra)
                ->narrow((uint16_t *)(void *)(code->to.at + start * 2), src[0], n);
            break;
        default:
            cr__copy_range(dst, code->extra, code->size, start, n);
        }
    }
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void map_part(void *arg, int64_t part, int worker)
{
    const program *p = arg;
    char *scratch = cr__team_scratch(p->plan->ctx->team, worker);
    int64_t begin, end;
    cr__part(p->numel, p->tile, part, p->parts, &begin, &end);
    for (int64_t at = begin; at < end; at += p->tile)
        run_tile(p, scratch, at, least(p->tile, end - at));
}

static bool wants_threads(const program *p)
{
    return p->numel > p->tile && p->numel * (p->n_code + 1) >= PARALLEL_WORK;
}

static void run_map(program *p)
{
    cr__team *team = p->plan->ctx->team;
    p->parts = wants_threads(p) ? cr__team_size(team) : 1;
    cr__parallel(team, p->parts, map_part, p);
}

/* ---- reductions at the end ---- */

static const void *make_elements(void *arg, int64_t start, int64_t n, char *scratch,
                                 const void **y)
{
    const program *p = arg;
    (void)y;
    run_tile(p, scratch, start, n);
    return address(p, p->result, scratch, start);
}

/* Tiles are a power of two below CR__BLOCK. */
static void run_reduce(program *p)
{
    cr_tensor *x = p->group->reduce;
    const cr__reduce_info *info = x->op->internal;
    cr__reduction r = { .ending = cr__ending_of(x),
                        .out = cr__destination(p->plan, x),
                        .make = make_elements,
                        .arg = p,
                        .outputs = x->shape->numel,
                        .length = p->numel / x->shape->numel,
                        .tile = p->tile,
                        .cost = 0.06 * (p->n_code + 1) };
    cr__reduce_find(info->code, (cr_dtype)cr__input(x, 0)->dtype, &r.kernel);
    cr__reduce(&r, p->plan->ctx->team);
}

bool cr__run_program(const cr__plan *plan, const cr__group *group)
{
    program p = { .plan = plan,
                  .group = group,
                  .number = (uint32_t)(group - plan->groups),
                  .numel = group->shape->numel };
    if (!p.numel)
        return true;
    if (!build(&p))
        return false;
    if (group->reduce)
        run_reduce(&p);
    else
        run_map(&p);
    return true;
}
