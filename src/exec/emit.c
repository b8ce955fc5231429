/* A group of maps becomes a program. */
#include "program.h"

#define TILE      512 /* elements; two registers of doubles, 8 KiB */
#define ROW_BYTES (16 << 10)

/* Others than members read it. */
#define LEAVES (CR__STORED | CR__DRAWN)

/* Nanoseconds an element takes besides its maps, and for a reduction; roughly. */
#define LEAST_COST  0.2
#define REDUCE_COST 0.1
#define MADE_COST   0.1

/* And of a map that computes longer than memory takes. */
#define SLOW 0.4

/* Of short rows there are so many elements, and rows, at a time, and bytes of their values. */
#define AT_ONCE     1024
#define MOST_ROWS   256
#define VALUE_BYTES (32 << 10)

/* ---- memory ---- */

static char *carve(char **at, size_t bytes)
{
    char *memory = *at;
    *at = (char *)((uintptr_t)*at +
                   (bytes + 63) / 64 * 64); /* from NULL, when it is measured */
    return memory;
}

/* Of one reduction of everything; and of all of columns, for each byte of their elements. */
static size_t blocks_of_all_bytes(const cr__group *group)
{
    const size_t lanes = group->run != group->length ? 1 + CR__LANES : 1;
    const size_t bytes = (size_t)cr__row_blocks(group->shape->numel) * CR__ACCUMULATOR;
    return (lanes * bytes + 63) / 64 * 64;
}

static size_t column_bytes(const cr__group *group)
{
    const int64_t rows = group->columns ? group->shape->numel / group->columns : 0;
    return rows ? (size_t)cr__row_blocks(rows) * CR__LANES * group->columns : 0;
}

/* Of each use and each result there are at most one load and one number, three instructions,
 * and four registers. */
static size_t divide(cr__program *p, char **at, const cr__group *group)
{
    const size_t n = group->places, members = group->count;
    char *begin = *at;
    p->numbers = carve(at, n * CR__BLOCK_BYTES);
    p->code = (cr__instruction *)(void *)carve(at, 3 * n * sizeof *p->code);
    p->regs = (cr__reg *)(void *)carve(at, 4 * n * sizeof *p->regs);
    p->outer = (cr__strided *)(void *)carve(at, n * sizeof *p->outer);
    p->strided = (cr__strided *)(uintptr_t)((uintptr_t)p->outer + n * sizeof *p->outer);
    p->last_use = (uint16_t *)(void *)carve(at, members * sizeof *p->last_use);
    p->read_as = (uint8_t *)(void *)carve(at, members);
    p->spread = (uint16_t *)(void *)carve(at, members * sizeof *p->spread);
    p->temps = (uint16_t *)(void *)carve(at, 3 * n * sizeof *p->temps);
    p->joins = (uint8_t *)carve(at, members);
    if (cr__is_row_program(group)) {
        p->levels = (cr__level *)(void *)carve(at, (members + 1) * sizeof *p->levels);
        p->reductions = (cr__row_reduction *)(void *)carve(at, group->reductions *
                                                                   sizeof *p->reductions);
        p->blocks = carve(at, group->of_all * blocks_of_all_bytes(group) +
                                  group->column_bytes * column_bytes(group));
        p->buffers = carve(at, group->buffer_bytes);
    }
    return (size_t)(*at - begin);
}

size_t cr__program_bytes(const cr__group *group)
{
    cr__program p;
    char *at = NULL;
    return divide(&p, &at, group) + 64;
}

/* ---- members ---- */

/* How a member's value is read, in a row program. */
enum {
    READ_LATER = 1,  /* element by element, in a later level */
    READ_SPREAD = 2, /* one for all elements of a row */
};

/* The unit reads what a member makes. */
static void note_member_reader(cr__program *p, const cr__unit *unit, const cr__unit *made)
{
    if (p->last_use[made->place] != made->place)
        p->joins[made->place] = CR__JOIN_NEVER;
    p->last_use[made->place] = unit->place;
    if (made->role == CR__ROW && !cr__is_row_map(unit))
        p->read_as[made->place] |= READ_SPREAD;
    if (made->role == CR__EACH && made->level != unit->level)
        p->read_as[made->place] |= READ_LATER;
}

/* Whether it does not take maps' results tile by tile. */
static bool is_given(const cr__unit *unit)
{
    return unit->kind == CR__UNIT_CONTRACT || unit->kind == CR__UNIT_OPAQUE ||
           unit->kind == CR__UNIT_MADE;
}

/* Which member reads which last, and how; and the length of rows over which operands can be
 * read in place. */
static void look_ahead(cr__program *p)
{
    const cr__plan *plan = p->plan;
    uint16_t place = 0;
    p->length = p->numel;
    for (uint32_t at = p->group->first; at; at = plan->units[at - 1].next, place++) {
        cr__unit *unit = &plan->units[at - 1];
        unit->place = place;
        p->last_use[place] = place;
        p->joins[place] = 0;
        p->read_as[place] = 0;
        for (uint32_t k = 0; k < unit->n_uses && !is_given(unit); k++) {
            const cr__use *use = &plan->uses[unit->uses + k];
            const cr__unit *made = cr__member(p, use);
            int64_t row = made || cr__is_row_map(unit) || p->batch > 1
                              ? p->length
                              : cr__row_of(plan, use);
            if (made)
                note_member_reader(p, unit, made);
            p->length = row < p->length ? row : p->length;
        }
    }
}

/* Temporaries whose last reader the member is are free again; so are those that hold what other
 * groups make: they are the member's alone. */
static void free_temps(cr__program *p, const cr__unit *unit, const cr__use *const *uses,
                       uint32_t n, const uint16_t *src)
{
    for (uint32_t k = 0; k < n; k++) {
        const cr__unit *made = uses[k] ? cr__member(p, uses[k]) : NULL;
        if (!uses[k])
            continue;
        if (!made) {
            if (src[k] != unit->reg)
                cr__free_temp(p, src[k]);
        } else if (p->last_use[made->place] == unit->place) {
            p->last_use[made->place] = UINT16_MAX; /* once, if it is an operand twice */
            cr__free_temp(p, made->reg);
        }
    }
}

/* The register of an earlier level, or of rows' values, in this level. */
static uint16_t register_again(cr__program *p, uint16_t reg)
{
    cr__reg again = p->regs[reg];
    if (again.kind != CR__REG_BOUND && again.kind != CR__REG_BUFFER)
        return reg;
    again.looked = CR_DTYPE_DEFAULT;
    return cr__new_reg(p, again);
}

static uint16_t operand_register(cr__program *p, const cr__unit *unit, const cr__use *use)
{
    const cr__unit *made = cr__member(p, use);
    for (int i = 0; i < p->n_channels && !cr__is_row_map(unit); i++)
        if (p->channels[i] == use)
            return p->channel_regs[i];
    if (!made)
        return cr__is_row_map(unit) ? cr__outside_row(p, use) : cr__outside(p, use);
    if (made->role == CR__ROW && !cr__is_row_map(unit))
        return register_again(p, p->spread[made->place]);
    return made->level == unit->level ? made->reg : register_again(p, made->reg);
}

/* Of the unit's memory, or of what is fetched. */
static uint16_t bound(cr__program *p, const cr__unit *unit)
{
    bool by_rows = unit->role == CR__ROW, looked = !by_rows && unit->flags & CR__TRACED;
    if (unit->flags & CR__DRAWN) {
        p->drawn_size = (int64_t)cr_dtype_size((cr_dtype)unit->dtype);
        return cr__new_reg(p, (cr__reg){ .kind = CR__REG_PRODUCT,
                                         .size = (uint8_t)p->drawn_size,
                                         .step = 1 });
    }
    p->n_looked += looked;
    return cr__new_reg(p,
                       (cr__reg){ .kind = by_rows ? CR__REG_OF_VALUES : CR__REG_BOUND,
                                  .data = cr__unit_data(p->plan, unit),
                                  .looked = looked ? unit->dtype : CR_DTYPE_DEFAULT,
                                  .size = (uint8_t)cr_dtype_size((cr_dtype)unit->dtype),
                                  .step = 1 });
}

/* What the unit is computed into. */
static uint16_t result_register(cr__program *p, const cr__unit *unit)
{
    const cr_dtype dtype = (cr_dtype)unit->dtype;
    if (unit->flags & LEAVES && !cr__is_half(dtype))
        return bound(p, unit);
    if (unit->role == CR__ROW)
        return cr__new_value(p, cr__register_dtype(dtype));
    if (p->read_as[unit->place] & READ_LATER)
        return cr__new_buffer(p, cr_dtype_size(cr__register_dtype(dtype)));
    return cr__new_temp(p, cr__register_dtype(dtype));
}

/* What was computed in f32 becomes a value of its type: in the register, for members that
 * read it, and in memory. */
static void round_result(cr__program *p, const cr__unit *unit)
{
    const cr__half *half = cr__half_find((cr_dtype)unit->dtype);
    cr__instruction *code;
    if (p->last_use[unit->place] != unit->place) {
        code = cr__add_instruction(p, CR__ROUND, unit->reg);
        cr__add_source(code, unit->reg);
        code->half = half;
    }
    if (unit->flags & LEAVES) {
        code = cr__add_instruction(p, CR__NARROW, bound(p, unit));
        cr__add_source(code, unit->reg);
        code->half = half;
    }
}

/* Whether the unit is a cast that needs no instruction, since the operand's register holds what
 * its own would: of bf16 or f16, which have been widened for it alone; to such, where nobody
 * reads the register. */
static bool is_its_operand(const cr__program *p, const cr__unit *unit, uint16_t src)
{
    const cr__map *map = unit->op->internal;
    const cr__use *use = &p->plan->uses[unit->uses];
    const cr_dtype from = (cr_dtype)use->dtype, to = (cr_dtype)unit->dtype;
    if (map->code != CR__MAP_cast)
        return false;
    if (to == CR_F32)
        return cr__is_half(from) && !(p->read_as[unit->place] & READ_LATER) &&
               !cr__member(p, use) && !(unit->flags & LEAVES) &&
               p->regs[src].kind == CR__REG_TEMP;
    return cr__is_half(to) && from == CR_F32 && p->last_use[unit->place] == unit->place &&
           p->regs[src].step == 1;
}

/* The instruction that computes the unit, by the kernel of n operands, and its register. */
static void add_map(cr__program *p, cr__unit *unit, cr__map_fn *fn, const uint16_t *src,
                    uint32_t n)
{
    const cr__map *map = unit->op->internal;
    unit->reg = result_register(p, unit);
    cr__instruction *code =
        cr__add_instruction(p, map->source ? CR__INDEX : CR__MAP, unit->reg);
    code->fn = fn;
    const double cost = cr__map_cost(
        map->code, n ? (cr_dtype)p->plan->uses[unit->uses].dtype : (cr_dtype)unit->dtype);
    p->cost += cost;
    code->is_slow = cost > SLOW;
    for (uint32_t k = 0; k < n; k++) {
        code->step[k] = p->regs[src[k]].step;
        cr__add_source(code, src[k]);
    }
    if (map->source) {
        code->extra = p->numbers + (size_t)p->n_numbers++ * CR__BLOCK_BYTES;
        map->source(unit->node->attrs, (void *)(uintptr_t)code->extra);
    }
}

/* e^(a - b), b a row's, for a sum that is emitted later. */
static void emit_summed(cr__program *p, cr__unit *unit, const cr__use *of)
{
    const uint16_t src[2] = { operand_register(p, unit, of),
                              operand_register(p, unit, of + 1) };
    const cr__use *const uses[2] = { of, of + 1 };
    unit->reg = result_register(p, unit);
    cr__instruction *code = cr__add_instruction(p, CR__EXP_SUM, unit->reg);
    cr__add_source(code, src[0]);
    cr__add_source(code, src[1]);
    p->cost += cr__map_cost(CR__MAP_exp, (cr_dtype)unit->dtype);
    free_temps(p, unit, uses, 2, src);
}

static void emit_map(cr__program *p, cr__unit *unit)
{
    uint16_t src[4] = { 0 };
    const cr__use *uses[4];
    cr__map_fn *joined = cr__joined(p, unit, uses);
    const uint32_t n = joined ? 4 : unit->n_uses;
    for (uint32_t k = 0; k < n && !joined; k++)
        uses[k] = &p->plan->uses[unit->uses + k];
    for (uint32_t k = 0; k < n; k++)
        src[k] = uses[k] ? operand_register(p, unit, uses[k]) : src[0];
    if (!joined && is_its_operand(p, unit, src[0]))
        unit->reg = src[0];
    else
        add_map(p, unit, joined ? joined : unit->map, src, n);
    if (cr__is_half((cr_dtype)unit->dtype))
        round_result(p, unit);
    free_temps(p, unit, uses, n, src);
}

/* The elements of what has a kernel of its own. */
static void emit_made(cr__program *p, cr__unit *unit)
{
    const cr__opaque_info *info = unit->op->internal;
    const void *in[4];
    CR__ASSERT(unit->n_uses <= 4);
    for (uint32_t k = 0; k < unit->n_uses; k++)
        in[k] = cr__use_start(p->plan, &p->plan->uses[unit->uses + k]);
    unit->reg = result_register(p, unit);
    cr__instruction *code = cr__add_instruction(p, CR__INDEX, unit->reg);
    code->fn = info->elements(unit->node);
    char *from = p->numbers + (size_t)p->n_numbers++ * CR__BLOCK_BYTES;
    info->source(unit->node, in, from);
    code->extra = from;
    p->cost += MADE_COST;
}

/* What the root gives to maps, or takes from them. */
static void emit_root(cr__program *p, cr__unit *unit)
{
    const uint8_t size =
        (uint8_t)cr_dtype_size(cr__register_dtype((cr_dtype)unit->dtype));
    if (unit->kind == CR__UNIT_CONTRACT)
        unit->reg =
            cr__new_reg(p, (cr__reg){ .kind = CR__REG_PRODUCT, .size = size, .step = 1 });
    else if (unit->kind == CR__UNIT_REDUCE)
        p->result = operand_register(p, unit, &p->plan->uses[unit->uses]);
}

/* ---- row programs ---- */

/* Rows' values, for maps of the shape: one for a row at a time, or all elements. */
static uint16_t spread(cr__program *p, uint16_t from)
{
    const uint8_t size = p->regs[from].size;
    uint16_t to;
    if (p->batch > 1) {
        to = cr__new_temp(p, CR_F32);
        p->regs[to].kind = CR__REG_SPREAD;
        p->regs[to].size = size;
    } else {
        to = p->is_short ? cr__new_buffer(p, size) : cr__new_block(p, size);
    }
    const bool repeats = p->is_short || p->batch > 1;
    cr__add_source(cr__add_instruction(p, repeats ? CR__REPEAT : CR__SPREAD, to), from);
    return to;
}

static void spread_values(cr__program *p, const cr__unit *unit)
{
    if (p->read_as[unit->place] & READ_SPREAD)
        p->spread[unit->place] = spread(p, unit->reg);
}

/* Code for tiles ends: what the level's reductions come to is known. */
static void begin_row_code(cr__program *p)
{
    cr__level *level = &p->levels[p->level];
    if (level->row_code >= 0)
        return;
    level->row_code = p->n_code;
    for (int i = level->reduction; i < p->n_reductions; i++)
        if (p->reductions[i].role == CR__ROW)
            spread_values(p, p->reductions[i].unit);
}

static void end_level(cr__program *p)
{
    begin_row_code(p);
    cr__level *level = &p->levels[p->level++];
    cr__find_twins(p, level->code, level->row_code);
    level->end = p->n_code;
    level->reg_end = p->n_regs;
    level->reduction_end = p->n_reductions;
}

static void begin_level(cr__program *p)
{
    p->levels[p->level] = (cr__level){
        .code = p->n_code, .row_code = -1, .reg = p->n_regs, .reduction = p->n_reductions
    };
}

/* A register that holds all elements, for reductions: of one that holds the only element. */
static uint16_t all_elements(cr__program *p, uint16_t one, cr_dtype dtype)
{
    if (p->regs[one].step)
        return one;
    uint16_t all = cr__new_temp(p, dtype);
    cr__instruction *code = cr__add_instruction(p, CR__MAP, all);
    code->fn = cr__map_find(CR__MAP_copy, dtype, dtype);
    code->step[0] = 0;
    cr__add_source(code, one);
    return all;
}

static void begin_reduction(cr__program *p, cr__unit *unit, unsigned terms)
{
    const cr__reduce_info *info = unit->op->internal;
    const cr_dtype dtype = (cr_dtype)cr__input(unit->node, 0)->dtype;
    cr__row_reduction *r = &p->reductions[p->n_reductions++];
    *r = (cr__row_reduction){ .unit = unit,
                              .ending = cr__ending_of(unit->node),
                              .negated = terms & CR__TERMS_NEGATED,
                              .role = (cr__role)unit->role };
    r->ending.with = terms & CR__TERMS_PRODUCTS ? CR__REDUCE_dot : info->code;
    cr__reduce_find(r->ending.with, dtype, &r->kernel);
    if (terms & CR__TERMS_WITH_THEM)
        r->add_exp = cr__attend_find(dtype).add_exp;
    if (r->role != CR__ROW) {
        r->blocks = p->blocks;
        p->blocks += r->role == CR__ALL
                         ? blocks_of_all_bytes(p->group)
                         : column_bytes(p->group) * cr_dtype_size((cr_dtype)unit->dtype);
    }
    p->cost += REDUCE_COST;
}

static void emit_reduction(cr__program *p, cr__unit *unit)
{
    const cr_dtype dtype = (cr_dtype)cr__input(unit->node, 0)->dtype;
    const cr__use *of, *uses[2];
    const unsigned terms = cr__terms_of(p, unit, &of);
    const uint32_t n = terms & CR__TERMS_PRODUCTS ? 2 : 1;
    uint16_t src[2];
    for (uint32_t k = 0; k < n; k++) {
        uses[k] = of + k;
        src[k] = all_elements(p, operand_register(p, unit, of + k), dtype);
    }
    begin_reduction(p, unit, terms);
    cr__row_reduction *r = &p->reductions[p->n_reductions - 1];
    unit->reg = r->role != CR__ROW         ? src[0]
                : unit->flags & CR__STORED ? bound(p, unit)
                                           : cr__new_value(p, (cr_dtype)unit->dtype);
    r->reg = unit->reg;
    cr__instruction *code = &p->code[p->n_code];
    if (terms & CR__TERMS_WITH_THEM) {
        while ((--code)->dst != src[0])
            ;
    } else {
        code = cr__add_instruction(p, CR__REDUCE, unit->reg);
        for (uint32_t k = 0; k < n; k++)
            cr__add_source(code, src[k]);
    }
    code->extra = r;
    free_temps(p, unit, uses, n, src);
}

/* In front of all: what other groups have of channels, several of which are computed at a time. */
static void spread_channels(cr__program *p)
{
    const cr__plan *plan = p->plan;
    p->levels[0].row_code = p->n_code;
    for (uint32_t at = p->group->first; at; at = plan->units[at - 1].next)
        for (uint32_t k = 0; k < plan->units[at - 1].n_uses; k++) {
            const cr__unit *unit = &plan->units[at - 1];
            const cr__use *use = &plan->uses[unit->uses + k];
            if (cr__is_row_map(unit) || cr__member(p, use) ||
                !cr__reads_channels(plan, p->group, use))
                continue;
            p->channel_regs[p->n_channels] = spread(p, cr__outside_row(p, use));
            p->channels[p->n_channels++] = use;
        }
}

static void emit_rows(cr__program *p)
{
    const cr__plan *plan = p->plan;
    begin_level(p);
    if (p->batch > 1)
        spread_channels(p);
    for (uint32_t at = p->group->first; at; at = plan->units[at - 1].next) {
        cr__unit *unit = &plan->units[at - 1];
        for (; p->level < unit->level; begin_level(p))
            end_level(p);
        if (unit->kind == CR__UNIT_REDUCE) {
            emit_reduction(p, unit);
            continue;
        }
        if (cr__is_inside(p, unit))
            continue;
        if (cr__is_row_map(unit))
            begin_row_code(p);
        const cr__use *exponents = cr__exponents_of(p, unit);
        if (exponents)
            emit_summed(p, unit, exponents);
        else if (unit->kind == CR__UNIT_MADE)
            emit_made(p, unit);
        else
            emit_map(p, unit);
        if (cr__is_row_map(unit))
            spread_values(p, unit);
    }
    end_level(p);
}

/* ---- the worker's memory ---- */

static size_t temp_bytes(const cr__program *p, int64_t tile)
{
    return (size_t)(tile * (p->temp_size ? p->temp_size : 4)) * (size_t)p->n_temps;
}

/* Rows of a block that are to be reduced are one tile if the L1 cache holds them. */
static void choose_tile(cr__program *p)
{
    p->tile = TILE;
    const cr__unit *root = p->group->root ? &p->plan->units[p->group->root - 1] : NULL;
    if (root && !is_given(root) && root->run == p->numel / root->shape->numel) {
        const int64_t length = root->run;
        while (length <= CR__BLOCK && p->tile < length &&
               temp_bytes(p, 2 * p->tile) <= ROW_BYTES)
            p->tile *= 2;
    }
    const size_t blocks = (size_t)p->n_blocks * CR__BLOCK_BYTES;
    while (p->tile > 32 && temp_bytes(p, p->tile) + blocks > CR__TEMP_BYTES)
        p->tile /= 2;
}

static int64_t fewer(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How many rows at a time, and how much of them. */
static void choose_rows(cr__program *p)
{
    const int64_t size = p->temp_size ? p->temp_size : 4;
    choose_tile(p);
    if (p->batch > 1) {
        p->tile = (p->batch * p->run + 31) / 32 * 32;
    } else if (p->run) {
        const int64_t pieces = (p->run - 1) / p->tile + 1;
        p->tile = ((p->run - 1) / pieces / 32 + 1) * 32;
    } else if (p->is_short) {
        int64_t bytes = 8 * p->row;
        p->batch = fewer(AT_ONCE / p->row, MOST_ROWS);
        p->batch = fewer(p->batch, (int64_t)VALUE_BYTES / (8 * (p->n_values + 1)));
        p->batch = fewer(p->batch, (int64_t)CR__ROW_BYTES / (bytes * (p->n_buffers + 1)));
        p->batch = fewer(p->batch, (int64_t)CR__TEMP_BYTES / (bytes * (p->n_temps + 1)));
        p->batch = p->batch < 1 ? 1 : p->batch;
        p->tile = (p->batch * p->row + 31) / 32 * 32;
    } else if ((p->group->length || p->group->columns) && p->row <= CR__BLOCK) {
        int64_t pieces =
            p->row * size * p->n_temps <= ROW_BYTES ? 1 : (p->row - 1) / p->tile + 1;
        p->tile = ((p->row - 1) / pieces / 32 + 1) * 32;
    }
}

/* Buffers, blocks, values of rows, accumulators, temporaries. */
static void place_registers(cr__program *p)
{
    const size_t buffers = (size_t)p->n_buffers * cr__buffer_bytes(p);
    const size_t blocks = p->run ? 0 : buffers;
    const size_t values = blocks + (size_t)p->n_blocks * CR__BLOCK_BYTES;
    const size_t value = (size_t)(8 * p->batch + 63) / 64 * 64;
    const size_t accs = values + (size_t)p->n_values * value;
    const size_t acc = CR__ROW_ACC * (size_t)(p->run ? p->batch : 1);
    const size_t temps = accs + (size_t)p->n_reductions * acc;
    const size_t temp = (size_t)(p->tile * (p->temp_size ? p->temp_size : 4));
    CR__ASSERT(temps + temp * (size_t)p->n_temps <= CR__SCRATCH_BYTES);
    CR__ASSERT(!p->run || buffers * (size_t)cr__team_size(p->plan->ctx->team) <=
                              p->group->buffer_bytes);
    for (int i = 0; i < p->n_reductions; i++) {
        p->reductions[i].acc = accs + (size_t)i * acc;
        p->reductions[i].tree = p->reductions[i].acc + CR__LANES * CR__ACCUMULATOR;
    }
    for (int i = 0; i < p->n_regs; i++) {
        cr__reg *reg = &p->regs[i];
        size_t n = reg->outer;
        if (reg->kind == CR__REG_TEMP || reg->kind == CR__REG_SPREAD)
            reg->data = (char *)(temps + n * temp);
        else if (reg->kind == CR__REG_BLOCK)
            reg->data = (char *)(blocks + n * CR__BLOCK_BYTES);
        else if (reg->kind == CR__REG_VALUE)
            reg->data = (char *)(values + n * value);
        else if (reg->kind == CR__REG_BUFFER)
            reg->data = (char *)(n * cr__buffer_bytes(p));
    }
}

/* ---- a group ---- */

static void emit_maps(cr__program *p)
{
    const cr__plan *plan = p->plan;
    for (uint32_t at = p->group->first; at; at = plan->units[at - 1].next) {
        cr__unit *unit = &plan->units[at - 1];
        if (at == p->group->root)
            emit_root(p, unit);
        else if (unit->kind == CR__UNIT_MADE)
            emit_made(p, unit);
        else if (!cr__is_inside(p, unit))
            emit_map(p, unit);
    }
}

static void measure_rows(cr__program *p)
{
    const cr__group *group = p->group;
    p->row = group->columns ? group->columns : group->length ? group->length : CR__BLOCK;
    p->rows = (p->numel - 1) / p->row + 1;
    p->run = group->run != group->length ? group->run : 0;
    p->is_short = p->row < CR__SHORT_ROW && !p->run;
}

void cr__emit(cr__program *p, cr__plan *plan, const cr__group *group, void *memory)
{
    char *at = (char *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
    *p = (cr__program){ .plan = plan,
                        .group = group,
                        .number = (uint32_t)(group - plan->groups),
                        .numel = group->shape->numel,
                        .cost = LEAST_COST,
                        .nonfinite = &plan->nonfinite,
                        .batch = group->batch ? group->batch : 1 };
    divide(p, &at, group);
    look_ahead(p);
    if (cr__is_row_program(group))
        measure_rows(p);
    cr__find_joins(p);
    if (!cr__is_row_program(group)) {
        emit_maps(p);
        cr__find_twins(p, 0, p->n_code);
        cr__find_steps(p);
        choose_tile(p);
    } else {
        cr__find_sums(p);
        emit_rows(p);
        choose_rows(p);
    }
    place_registers(p);
}
