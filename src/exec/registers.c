/* Registers of programs, and how operands that other groups make become registers: the memory
 * of a tensor where kernels can read it in place, a temporary of the worker, or CR__PAD equal
 * elements. */
#include "program.h"

#include <string.h>

/* Nanoseconds an element takes that is loaded; roughly. */
#define LOAD_COST 0.5

/* ---- registers ---- */

uint16_t cr__new_reg(cr__program *p, cr__reg reg)
{
    CR__ASSERT(p->n_regs < CR__MAX_REGS);
    p->regs[p->n_regs] = reg;
    return (uint16_t)p->n_regs++;
}

uint16_t cr__new_temp(cr__program *p, cr_dtype dtype)
{
    uint8_t size = (uint8_t)cr_dtype_size(dtype);
    uint16_t number = p->n_free ? p->temps[--p->n_free] : (uint16_t)p->n_temps++;
    p->temp_size = size > p->temp_size ? size : p->temp_size;
    return cr__new_reg(
        p, (cr__reg){ .kind = CR__REG_TEMP, .size = size, .step = 1, .outer = number });
}

cr__instruction *cr__add_instruction(cr__program *p, cr__instruction_kind kind,
                                     uint16_t dst)
{
    cr__instruction *code = &p->code[p->n_code++];
    code->kind = (uint8_t)kind;
    code->dst = dst;
    code->n_src = 0;
    code->is_slow = false;
    code->size = p->regs[dst].size;
    return code;
}

void cr__fill_block(char *to, const void *from, size_t size)
{
    if (size == 4) {
        uint32_t element;
        memcpy(&element, from, sizeof element);
        for (int i = 0; i < CR__PAD; i++)
            memcpy(to + i * 4, &element, sizeof element);
        return;
    }
    for (int i = 0; i < CR__PAD; i++)
        memcpy(to + (size_t)i * size, from, size);
}

uint16_t cr__new_block(cr__program *p, size_t size)
{
    return cr__new_reg(p, (cr__reg){ .kind = CR__REG_BLOCK,
                                     .size = (uint8_t)size,
                                     .outer = (uint16_t)p->n_blocks++ });
}

uint16_t cr__new_value(cr__program *p, cr_dtype dtype)
{
    return cr__new_reg(p, (cr__reg){ .kind = CR__REG_VALUE,
                                     .size = (uint8_t)cr_dtype_size(dtype),
                                     .step = 1,
                                     .outer = (uint16_t)p->n_values++ });
}

uint16_t cr__new_buffer(cr__program *p, size_t size)
{
    p->buffer_size = (int)size > p->buffer_size ? (int)size : p->buffer_size;
    return cr__new_reg(p, (cr__reg){ .kind = CR__REG_BUFFER,
                                     .size = (uint8_t)size,
                                     .step = 1,
                                     .outer = (uint16_t)p->n_buffers++ });
}

/* An element that is the same everywhere. */
static uint16_t fixed(cr__program *p, const void *element, cr_dtype dtype)
{
    char *block = p->numbers + (size_t)p->n_numbers++ * CR__BLOCK_BYTES;
    const cr__half *half = cr__half_find(dtype);
    size_t size = cr_dtype_size(cr__register_dtype(dtype));
    float wide;
    if (half)
        half->widen(&wide, element, 1);
    cr__fill_block(block, half ? &wide : element, size);
    return cr__new_reg(
        p, (cr__reg){ .kind = CR__REG_FIXED, .data = block, .size = (uint8_t)size });
}

/* ---- operands made by other groups ---- */

/* How many of the innermost elements follow each other, or are the same. */
static int64_t run_of(const cr__layout *x)
{
    int64_t n = 1;
    bool follow = true, same = true;
    for (int d = x->ndim - 1; d >= 0; d--) {
        if (x->dims[d] == 1)
            continue;
        follow &= x->strides[d] == n;
        same &= x->strides[d] == 0;
        if (!follow && !same)
            break;
        n *= x->dims[d];
    }
    return n;
}

static bool is_fixed(const cr__layout *x)
{
    for (int d = 0; d < x->ndim; d++)
        if (x->strides[d] != 0 && x->dims[d] != 1)
            return false;
    return true;
}

static bool has_one_element(const cr__plan *plan, const cr__use *use)
{
    return use->kind == CR__USE_NUMBER ||
           (use->kind == CR__USE_UNIT && plan->units[use->unit].shape->numel == 1);
}

cr__access cr__access_of(const cr__plan *plan, const cr__use *use)
{
    const cr__look *look = cr__use_look(plan, use);
    if (has_one_element(plan, use) || (look && is_fixed(&look->layout)))
        return CR__ACCESS_ONE;
    if (!look || look->whole)
        return CR__ACCESS_SAME;
    const cr__layout *x = &look->layout;
    int last = x->ndim - 1, repeats = 0;
    int64_t run = run_of(x), inner = 1;
    if (run < CR__SHORT_ROW)
        return CR__ACCESS_ANY;
    while (x->dims[last] == 1)
        last--;
    if (x->strides[last] == 0)
        return CR__ACCESS_ROW;
    for (int d = x->ndim - 1; d >= 0; inner *= x->dims[d--])
        repeats += inner >= run && x->dims[d] != 1 && x->strides[d] != 0;
    return repeats ? CR__ACCESS_RUNS : CR__ACCESS_COLUMN;
}

static bool by_rows(cr__access access)
{
    return access >= CR__ACCESS_ROW && access <= CR__ACCESS_RUNS;
}

int64_t cr__row_of(const cr__plan *plan, const cr__use *use)
{
    return by_rows(cr__access_of(plan, use)) ? run_of(&cr__use_look(plan, use)->layout)
                                             : INT64_MAX;
}

/* The dims of x outside of rows of this length, merged where one stride spans both. */
static cr__strided outer_dims(const cr__layout *x, int64_t length, char *data)
{
    cr__strided s = { .data = data };
    int n = x->ndim;
    for (int64_t inner = 1; inner < length; n--)
        inner *= x->dims[n - 1];
    s.ndim = cr__merge_dims(x->dims, x->strides, n, s.dims, s.strides);
    return s;
}

static uint16_t row_reg(cr__program *p, const cr__look *look, char *data, uint8_t size)
{
    const cr__layout *x = &look->layout;
    int last = x->ndim - 1;
    while (x->dims[last] == 1)
        last--;
    p->outer[p->n_outer] = outer_dims(x, p->length, data);
    uint16_t row = cr__new_reg(p, (cr__reg){ .kind = CR__REG_ROW,
                                             .size = size,
                                             .step = x->strides[last] != 0,
                                             .data = data,
                                             .outer = (uint16_t)p->n_outer++ });
    if (p->regs[row].step)
        return row;
    uint16_t block = cr__new_block(p, size);
    cr__add_source(cr__add_instruction(p, CR__SPREAD, block), row);
    return block;
}

static uint16_t load(cr__program *p, const cr__look *look, char *data, uint16_t to)
{
    cr__strided *s = --p->strided;
    *s = cr__lying(&look->layout, data);
    p->cost += LOAD_COST;
    cr__add_instruction(p, CR__LOAD, to)->extra = s;
    return to;
}

static uint16_t widened_register(cr__program *p, uint16_t narrow, cr_dtype dtype)
{
    const int kind = p->regs[narrow].kind;
    uint16_t wide = kind == CR__REG_BLOCK ? cr__new_block(p, 4)
                    : kind == CR__REG_VALUE || kind == CR__REG_OF_VALUES
                        ? cr__new_value(p, CR_F32)
                        : cr__new_temp(p, CR_F32);
    cr__instruction *code = cr__add_instruction(p, CR__WIDEN, wide);
    cr__add_source(code, narrow);
    code->half = cr__half_find(dtype);
    cr__free_temp(p, narrow);
    return wide;
}

/* As it is stored. */
static uint16_t stored_operand(cr__program *p, const cr__use *use, cr__access access,
                               char *data)
{
    const cr__look *look = cr__use_look(p->plan, use);
    uint8_t size = (uint8_t)cr_dtype_size((cr_dtype)use->dtype);
    if (access == CR__ACCESS_ANY)
        return load(p, look, data, cr__new_temp(p, (cr_dtype)use->dtype));
    if (by_rows(access))
        return row_reg(p, look, data, size);
    return cr__new_reg(
        p, (cr__reg){ .kind = CR__REG_BOUND, .data = data, .size = size, .step = 1 });
}

uint16_t cr__outside(cr__program *p, const cr__use *use)
{
    cr_dtype dtype = (cr_dtype)use->dtype;
    char *data = cr__use_start(p->plan, use);
    cr__access access = p->numel == 1 ? CR__ACCESS_ONE : cr__access_of(p->plan, use);
    if (access == CR__ACCESS_ONE)
        return fixed(p, data, dtype);
    uint16_t reg = stored_operand(p, use, access, data);
    return cr__is_half(dtype) ? widened_register(p, reg, dtype) : reg;
}

bool cr__reads_channels(const cr__plan *plan, const cr__group *group, const cr__use *use)
{
    const cr__look *look = cr__use_look(plan, use);
    return look && group->run != group->length && !has_one_element(plan, use) &&
           cr__looks_by_rows(look, group->shape->numel / group->length) == group->run;
}

uint16_t cr__outside_row(cr__program *p, const cr__use *use)
{
    cr_dtype dtype = (cr_dtype)use->dtype;
    char *data = cr__use_start(p->plan, use);
    cr__access access = cr__access_of(p->plan, use);
    if (access == CR__ACCESS_ONE)
        return fixed(p, data, dtype);
    uint16_t reg =
        access == CR__ACCESS_SAME || cr__reads_channels(p->plan, p->group, use)
            ? cr__new_reg(p, (cr__reg){ .kind = CR__REG_OF_VALUES,
                                        .data = data,
                                        .size = (uint8_t)cr_dtype_size(dtype),
                                        .step = 1 })
            : load(p, cr__use_look(p->plan, use), data, cr__new_value(p, dtype));
    return cr__is_half(dtype) ? widened_register(p, reg, dtype) : reg;
}
