/* Maps of a program that are computed by the instruction of the map that reads them, where
 * the kernels have one for both (CR__EACH_JOIN): the reader is joined, and its operands are
 * those of the maps inside. And what is found in the code behind that: functions that leave their
 * slopes to gradients (CR__EACH_TWIN), and steps. */
#include "program.h"

typedef struct join_row {
    uint8_t outer, side[2];
    bool each; /* p is one for each element */
} join_row;
_Static_assert((int)CR__JOINS <= (int)CR__JOIN_INSIDE, "a code and flags");
enum { UNIFORM, EACH };

static const join_row rows[CR__JOINS] = {
#define JOIN_ROW(name, outer, left, right, P, ...) \
    [CR__JOIN_##name] = { CR__MAP_##outer, { CR__MAP_##left, CR__MAP_##right }, P },
    CR__EACH_JOIN(JOIN_ROW)
#undef JOIN_ROW
};

/* An f32 map of an element each: its code, CR__MAP_NONE if it is none. */
static cr__map_code code_of(const cr__unit *unit)
{
    const bool is =
        unit->kind == CR__UNIT_MAP && unit->dtype == CR_F32 && unit->role == CR__EACH;
    return is ? ((const cr__map *)unit->op->internal)->code : CR__MAP_NONE;
}

static bool varies(const cr__program *p, const cr__use *use)
{
    const cr__unit *made = cr__member(p, use);
    if (use->dtype != CR_F32 || made)
        return made && made->dtype == CR_F32 && made->role == CR__EACH;
    cr__access access = cr__access_of(p->plan, use);
    return access != CR__ACCESS_ONE && access != CR__ACCESS_ROW;
}

/* One for all elements that are computed at a time: of a row, unless there are several. */
static bool is_uniform(const cr__program *p, const cr__use *use)
{
    const cr__unit *made = cr__member(p, use);
    const bool by_rows = !p->is_short && p->batch == 1;
    if (use->dtype != CR_F32 || made)
        return made && made->dtype == CR_F32 && made->role == CR__ROW && by_rows;
    const cr__access access = cr__access_of(p->plan, use);
    return access == CR__ACCESS_ONE || (access == CR__ACCESS_ROW && by_rows);
}

bool cr__stays_joined(const cr__program *p, const cr__unit *in, const cr__unit *reader)
{
    const cr__plan *plan = p->plan;
    for (uint32_t at = in->next; &plan->units[at - 1] != reader;
         at = plan->units[at - 1].next)
        for (uint32_t k = 0; k < in->n_uses && plan->units[at - 1].slot; k++) {
            const cr__use *use = &plan->uses[in->uses + k];
            if (use->kind == CR__USE_UNIT &&
                plan->units[use->unit].slot == plan->units[at - 1].slot)
                return false;
        }
    return true;
}

/* The operands of what the reader's is, if that is a map of this code which nothing else reads:
 * what varies and what is uniform, whichever comes first, or two that vary. */
static bool look_inside(const cr__program *p, const cr__unit *reader, const cr__use *use,
                        int code, bool each, const cr__use **varying,
                        const cr__use **other)
{
    const cr__unit *unit = cr__member(p, use);
    if (!unit || (int)code_of(unit) != code || unit->level != reader->level ||
        unit->flags & CR__STORED || p->joins[unit->place] & (uint8_t)~CR__JOIN_INSIDE)
        return false;
    const cr__use *left = &p->plan->uses[unit->uses], *right = left + 1;
    const bool turned = is_uniform(p, left);
    *varying = turned ? right : left;
    *other = turned ? left : right;
    return varies(p, *varying) && (each ? varies(p, *other) : is_uniform(p, *other)) &&
           cr__stays_joined(p, unit, reader);
}

/* Whether the row fits the map, and its operands then, as the kernel takes them. */
static bool fits(const cr__program *p, const cr__unit *unit, const join_row *row,
                 const cr__use *of[4])
{
    for (int side = 0; side < 2; side++) {
        const cr__use *use = &p->plan->uses[unit->uses + (uint32_t)side];
        const int code = row->side[side];
        const bool is_one = code == CR__MAP_ONE;
        of[side] = is_one ? NULL : use;
        of[2 + side] = is_one ? use : NULL;
        if (is_one ? !is_uniform(p, use)
            : code ? !look_inside(p, unit, use, code, row->each, &of[side], &of[2 + side])
                   : !varies(p, use))
            return false;
    }
    return true;
}

void cr__put_inside(cr__program *p, const cr__unit *in, const cr__unit *reader)
{
    p->joins[in->place] = CR__JOIN_INSIDE;
    for (uint32_t k = 0; k < in->n_uses; k++) {
        const cr__unit *made = cr__member(p, &p->plan->uses[in->uses + k]);
        if (made && p->last_use[made->place] < reader->place)
            p->last_use[made->place] = reader->place;
    }
}

static void join(cr__program *p, const cr__unit *unit, const join_row *row)
{
    for (uint32_t side = 0; side < 2; side++)
        if (row->side[side] && row->side[side] != CR__MAP_ONE)
            cr__put_inside(p, cr__member(p, &p->plan->uses[unit->uses + side]), unit);
}

void cr__find_joins(cr__program *p)
{
    const cr__plan *plan = p->plan;
    if (!cr__join_find(CR__JOIN_scaled_sum))
        return; /* this set of kernels has none */
    for (uint32_t at = p->group->first; at; at = plan->units[at - 1].next) {
        const cr__unit *unit = &plan->units[at - 1];
        const cr__use *of[4];
        const cr__map_code code = code_of(unit);
        for (uint8_t k = 1; k < CR__JOINS && code; k++) {
            if (rows[k].outer != code || !fits(p, unit, &rows[k], of))
                continue;
            join(p, unit, &rows[k]);
            p->joins[unit->place] |= k;
            break;
        }
    }
}

cr__map_fn *cr__joined(const cr__program *p, const cr__unit *unit, const cr__use *of[4])
{
    const unsigned k = p->joins[unit->place] & (CR__JOIN_INSIDE - 1);
    if (!k)
        return NULL;
    const bool fit = fits(p, unit, &rows[k], of);
    CR__ASSERT(fit);
    (void)fit;
    return cr__join_find((cr__join)k);
}

/* ---- a function and its derivative ---- */

static bool holds_same(const cr__program *p, uint16_t a, uint16_t b)
{
    const cr__reg *x = &p->regs[a], *y = &p->regs[b];
    return a == b ||
           (x->kind == CR__REG_BOUND && y->kind == CR__REG_BOUND && x->data == y->data);
}

/* That nothing behind it takes. */
static uint16_t lasting_temp(cr__program *p)
{
    const int n_free = p->n_free;
    p->n_free = 0;
    const uint16_t temp = cr__new_temp(p, CR_F32);
    p->n_free = n_free;
    return temp;
}

/* Gradients behind the function multiply by the slopes that it leaves, up to where something else
 * takes the place of what they are the slopes at. */
static void find_twins_of(cr__program *p, cr__instruction *value,
                          const cr__instruction *end, cr__map_fn *grad, cr__map_fn *twin)
{
    const uint16_t at = value->src[0];
    cr__instruction *code = value;
    while (!holds_same(p, code->dst, at) && ++code < end) {
        if (code->kind != CR__MAP || code->fn != grad || !holds_same(p, code->src[1], at))
            continue;
        if (value->fn != twin)
            cr__add_source(value, lasting_temp(p));
        value->fn = twin;
        code->fn = cr__map_find(CR__MAP_mul, CR_F32, CR_F32);
        code->src[1] = value->src[1];
        code->is_slow = false;
    }
}

void cr__find_twins(cr__program *p, int from, int to)
{
    static const uint8_t twins[CR__TWINS][2] = {
#define TWIN_ROW(value, grad, ...) { CR__MAP_##value, CR__MAP_##grad },
        CR__EACH_TWIN(TWIN_ROW)
#undef TWIN_ROW
    };
    for (int k = 0; k < CR__TWINS; k++) {
        cr__map_fn *const value = cr__map_find(twins[k][0], CR_F32, CR_F32),
                          *grad = cr__map_find(twins[k][1], CR_F32, CR_F32),
                          *twin = cr__twin_find((cr__twin)k);
        for (int i = from; i < to && twin; i++)
            if (p->code[i].kind == CR__MAP && p->code[i].fn == value &&
                p->code[i].step[0])
                find_twins_of(p, &p->code[i], &p->code[to], grad, twin);
    }
}

/* ---- steps ---- */

static bool is_step(const cr__instruction *code, cr__map_fn *const *fns)
{
    for (int i = 0; i < CR__STEP_RESULTS; i++)
        if (code[i].kind != CR__MAP || code[i].fn != fns[i])
            return false;
    const uint16_t m = code[0].dst, r = code[1].dst, u = code[2].dst;
    const uint16_t c = code[1].src[0], d = code[1].src[1], x = code[3].src[0];
    return code[2].src[0] == m && code[2].src[1] == r && code[3].src[1] == u && c != m &&
           d != m && x != m && x != r && x != u && m != r && u != m && u != r;
}

void cr__find_steps(cr__program *p)
{
    cr__map_fn *const fns[CR__STEP_RESULTS] = { cr__join_find(CR__JOIN_scaled_sum),
                                                cr__join_find(CR__JOIN_scaled_hypot),
                                                cr__join_find(CR__JOIN_over_sum),
                                                cr__join_find(CR__JOIN_minus_scaled) };
    for (int i = 0; i + CR__STEP_RESULTS <= p->n_code; i++)
        if (is_step(&p->code[i], fns))
            p->code[i].kind = CR__STEP;
}
