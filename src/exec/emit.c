/* A group of maps becomes a program. */
#include "program.h"

#define TILE      512 /* elements; two registers of doubles, 8 KiB */
#define ROW_BYTES (16 << 10)

/* Nanoseconds an element takes besides its maps; roughly. */
#define LEAST_COST 0.05

/* ---- memory ---- */

static char *carve(char **at, size_t bytes)
{
    char *memory = *at;
    *at = (char *)((uintptr_t)*at +
                   (bytes + 63) / 64 * 64); /* from NULL, when it is measured */
    return memory;
}

/* Of each use and each result there are at most one load and one number, and of instructions
 * and registers three. */
static size_t divide(cr__program *p, char **at, size_t n, size_t members)
{
    char *begin = *at;
    p->numbers = carve(at, n * CR__BLOCK_BYTES);
    p->code = (cr__instruction *)(void *)carve(at, 3 * n * sizeof *p->code);
    p->regs = (cr__reg *)(void *)carve(at, 3 * n * sizeof *p->regs);
    p->outer = (cr__strided *)(void *)carve(at, n * sizeof *p->outer);
    p->strided = (cr__strided *)(void *)carve(at, n * sizeof *p->strided);
    p->last_use = (uint16_t *)(void *)carve(at, members * sizeof *p->last_use);
    p->temps = (uint16_t *)(void *)carve(at, 3 * n * sizeof *p->temps);
    p->joins = (uint8_t *)carve(at, members);
    return (size_t)(*at - begin);
}

size_t cr__program_bytes(const cr__group *group)
{
    cr__program p;
    char *at = NULL;
    return divide(&p, &at, group->places, group->count) + 64;
}

/* ---- members ---- */

/* Which member reads which last, and the length of rows. */
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
        for (uint32_t k = 0; k < unit->n_uses && unit->kind != CR__UNIT_CONTRACT; k++) {
            const cr__use *use = &plan->uses[unit->uses + k];
            const cr__unit *made = cr__member(p, use);
            int64_t row = made ? p->length : cr__row_of(plan, use);
            if (made && p->last_use[made->place] != made->place)
                p->joins[made->place] = CR__JOIN_NEVER;
            if (made)
                p->last_use[made->place] = place;
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

static uint16_t operand_register(cr__program *p, const cr__use *use)
{
    const cr__unit *made = cr__member(p, use);
    return made ? made->reg : cr__outside(p, use);
}

static uint16_t bound(cr__program *p, const cr__unit *unit)
{
    bool looked = unit->flags & CR__TRACED;
    p->n_looked += looked;
    return cr__new_reg(p,
                       (cr__reg){ .kind = CR__REG_BOUND,
                                  .data = cr__unit_data(p->plan, unit),
                                  .looked = looked ? unit->dtype : CR_DTYPE_DEFAULT,
                                  .size = (uint8_t)cr_dtype_size((cr_dtype)unit->dtype),
                                  .step = 1 });
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
    if (unit->flags & CR__STORED) {
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
        return cr__is_half(from) && !cr__member(p, use) && !(unit->flags & CR__STORED) &&
               p->regs[src].kind == CR__REG_TEMP;
    return cr__is_half(to) && from == CR_F32 && p->last_use[unit->place] == unit->place &&
           p->regs[src].step == 1;
}

/* The instruction that computes the unit, by the kernel of n operands, and its register. */
static void add_map(cr__program *p, cr__unit *unit, cr__map_fn *fn, const uint16_t *src,
                    uint32_t n)
{
    const cr__map *map = unit->op->internal;
    const cr_dtype dtype = (cr_dtype)unit->dtype;
    if (unit->flags & CR__STORED && !cr__is_half(dtype))
        unit->reg = bound(p, unit);
    else
        unit->reg = cr__new_temp(p, cr__register_dtype(dtype));
    cr__instruction *code =
        cr__add_instruction(p, map->source ? CR__INDEX : CR__MAP, unit->reg);
    code->fn = fn;
    p->cost +=
        cr__map_cost(map->code, n ? (cr_dtype)p->plan->uses[unit->uses].dtype : dtype);
    for (uint32_t k = 0; k < n; k++) {
        code->step[k] = p->regs[src[k]].step;
        cr__add_source(code, src[k]);
    }
    if (map->source) {
        code->extra = p->numbers + (size_t)p->n_numbers++ * CR__BLOCK_BYTES;
        map->source(unit->node->attrs, (void *)(uintptr_t)code->extra);
    }
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
        src[k] = uses[k] ? operand_register(p, uses[k]) : src[0];
    if (!joined && is_its_operand(p, unit, src[0]))
        unit->reg = src[0];
    else
        add_map(p, unit, joined ? joined : unit->map, src, n);
    if (cr__is_half((cr_dtype)unit->dtype))
        round_result(p, unit);
    free_temps(p, unit, uses, n, src);
}

/* What the root gives to maps, or takes from them. */
static void emit_root(cr__program *p, cr__unit *unit)
{
    const uint8_t size =
        (uint8_t)cr_dtype_size(cr__register_dtype((cr_dtype)unit->dtype));
    if (unit->kind == CR__UNIT_CONTRACT)
        unit->reg =
            cr__new_reg(p, (cr__reg){ .kind = CR__REG_PRODUCT, .size = size, .step = 1 });
    else
        p->result = operand_register(p, &p->plan->uses[unit->uses]);
}

/* Temporaries in the worker's memory, behind its blocks. */
static void place_temps(cr__program *p)
{
    int64_t size = p->temp_size ? p->temp_size : 4;
    size_t blocks = (size_t)p->n_blocks * CR__BLOCK_BYTES;
    p->tile = TILE;
    /* Rows of one block that are to be reduced are one tile if the L1 cache holds them. */
    if (p->group->root) {
        int64_t length = p->numel / p->plan->units[p->group->root - 1].shape->numel;
        while (length <= CR__BLOCK && p->tile < length &&
               2 * p->tile * size * p->n_temps <= ROW_BYTES)
            p->tile *= 2;
    }
    while (p->tile > 32 &&
           (size_t)(p->tile * size) * (size_t)p->n_temps + blocks > CR__TEMP_BYTES)
        p->tile /= 2;
    CR__ASSERT((size_t)(p->tile * size) * (size_t)p->n_temps + blocks <= CR__TEMP_BYTES);
    for (int i = 0; i < p->n_regs; i++) {
        cr__reg *reg = &p->regs[i];
        if (reg->kind == CR__REG_TEMP)
            reg->data = (char *)(blocks + (uintptr_t)(reg->outer * p->tile * size));
        else if (reg->kind == CR__REG_BLOCK)
            reg->data = (char *)((uintptr_t)reg->outer * CR__BLOCK_BYTES);
    }
}

void cr__emit(cr__program *p, cr__plan *plan, const cr__group *group, void *memory)
{
    char *at = (char *)(((uintptr_t)memory + 63) & ~(uintptr_t)63);
    *p = (cr__program){ .plan = plan,
                        .group = group,
                        .number = (uint32_t)(group - plan->groups),
                        .numel = group->shape->numel,
                        .cost = LEAST_COST,
                        .nonfinite = &plan->nonfinite };
    divide(p, &at, group->places, group->count);
    look_ahead(p);
    cr__find_joins(p);
    for (uint32_t i = group->first; i; i = plan->units[i - 1].next) {
        if (i == group->root)
            emit_root(p, &plan->units[i - 1]);
        else if (!cr__is_inside(p, &plan->units[i - 1]))
            emit_map(p, &plan->units[i - 1]);
    }
    place_temps(p);
}
