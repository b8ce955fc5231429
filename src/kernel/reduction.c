/* The kernels of reductions: accumulators, in the order of sums that kernel.h defines whatever the
 * instruction set. Those of floats whose speed counts are instances of reduce_body.h; the others
 * are here, written once. Where a result is exact in every order, all is gathered in one lane. Who
 * cuts a reduction into blocks is exec/reducer.c. */
#include "rows.h"
#include <math.h>
#include <string.h>

/* Elements of a buffer for terms. */
#define PIECE 512
/* Neighbours that are looked over at once for something larger. */
#define LOOKED_OVER 16

enum { JOIN_PLUS, JOIN_TIMES, JOIN_MAX, JOIN_MIN };
enum { HOW_LOOP, HOW_ONCE, HOW_TERMS, HOW_MEANS, HOW_PLACES, HOW_PAIRS };
enum {
    RESULT_WIDE,
    RESULT_SAME,
    RESULT_FLOAT,
    RESULT_TRUTH,
    RESULT_MEAN,
    RESULT_PLACE,
    RESULT_PAIR
};

static const struct {
    uint8_t how, result, join, operand;
} reductions[CR__REDUCE_CODES] = {
#define REDUCTION(name, HOW, RESULT, JOIN, OPERAND, term) \
    [CR__REDUCE_##                                        \
        name] = { HOW_##HOW, RESULT_##RESULT, JOIN_##JOIN, CR__REDUCES_##OPERAND },
#include "reductions.inc"
};

const char *const cr__reduce_names[CR__REDUCE_CODES] = {
#define REDUCTION(name, ...) #name,
#include "reductions.inc"
};

/* What an instruction set has for f32, or for f64. */
typedef struct cr__reduce_loops {
    struct {
        /* as cr__reduce_add, from lane 0 */
        void (*lines)(void *lanes, const void *x, const void *y, int64_t n);
        cr__reduce_columns *columns;
        cr__reduce_rows *rows;
    } of[CR__REDUCE_CODES]; /* of LOOP and ONCE rows */
    cr__reduce_join *join;
    /* n parts, a multiple of CR__LANES, to the identity, in the vectors that loops load */
    void (*fill)(void *parts, const void *identity, int64_t n);
    void (*fold[4])(void *lanes); /* by JOIN: the first lane becomes what all come to */
    void (*join_pairs)(void *m, void *s, const void *xm, const void *xs, int64_t stride,
                       int64_t width, int64_t lines);
} cr__reduce_loops;

/* n <= PIECE elements of f32 or f64. */
static void exponentials(void *x, size_t size, int64_t n)
{
    cr_dtype dtype = size == 4 ? CR_F32 : CR_F64;
    const void *src[] = { x };
    const int64_t step[] = { 1 };
    cr__map_find(CR__MAP_exp, dtype, dtype)(x, src, step, n);
}

/* The first, generic set has the ONCE rows as well. */
#define ALL_ROWS     1
#define CR__TEMPLATE "reduce_floats.h"
#include "for_each_set.h"

/* ---- accumulators ---- */

static const char *at_part(const cr__reduce_kernel *k, const void *acc, int64_t i)
{
    return (const char *)acc + i * k->part_size;
}

static char *at_part_to(const cr__reduce_kernel *k, void *acc, int64_t i)
{
    return (char *)acc + i * k->part_size;
}

void cr__reduce_begin(const cr__reduce_kernel *k, void *acc, int64_t n)
{
    for (int part = 0; part < k->parts; part++) {
        char *at = at_part_to(k, acc, part * n);
        if (k->lanes > 1)
            k->loops->fill(at, &k->identity[part], n);
        else
            for (int64_t i = 0; i < n; i++)
                memcpy(at + i * 8, &k->identity[part], 8);
    }
}

void cr__reduce_fold(const cr__reduce_kernel *k, void *acc)
{
    if (k->lanes > 1 && k->parts == 1) {
        k->loops->fold[k->join_code](acc);
        return;
    }
    for (int half = k->lanes / 2; half >= 1; half /= 2)
        k->join(k, acc, acc, at_part(k, acc, half), half, k->lanes);
}

void cr__reduce_fold_columns(const cr__reduce_kernel *k, void *acc, int64_t width,
                             int64_t lanes)
{
    for (int64_t half = k->lanes / 2; half >= 1; half /= 2) {
        if (lanes > half)
            k->join(k, acc, acc, at_part(k, acc, half * width), (lanes - half) * width,
                    k->lanes * width);
        lanes = lanes < half ? lanes : half;
    }
}

/* One row after the other: for kernels that have no loop for it. */
static void each_row(const cr__reduce_kernel *k, void *out, const void *x, const void *y,
                     int64_t rows, int64_t length)
{
    CR__ALIGNED(64) char acc[CR__LANES * CR__ACCUMULATOR];
    const int64_t y_step = k->operand == CR__REDUCES_ARRAY ? length : 1;
    for (int64_t r = 0; r < rows; r++) {
        const char *from = (const char *)x + r * length * k->size;
        const char *other = y ? (const char *)y + r * y_step * k->size : NULL;
        cr__reduce_begin(k, acc, k->lanes);
        k->add(k, acc, from, other, 0, length);
        cr__reduce_fold(k, acc);
        cr__reduce_end(k, acc, k->lanes, (char *)out + r * k->out_size, 1, length);
    }
}

/* ---- loops of one type ---- */

static int64_t integer_join(int join, int64_t a, int64_t b)
{
    return join == JOIN_PLUS    ? (int64_t)((uint64_t)a + (uint64_t)b)
           : join == JOIN_TIMES ? (int64_t)((uint64_t)a * (uint64_t)b)
           : join == JOIN_MAX   ? (b > a ? b : a)
                                : (b < a ? b : a);
}

static int64_t integer_term(cr__reduce_code code, int64_t b)
{
    return code == CR__REDUCE_any || code == CR__REDUCE_all ? b != 0 : b;
}

#define FLOATING    1
#define EXTREME     double
#define T           float
#define PLAIN(name) f32_reduce_##name
#include "reduce_plain.h"
#undef T
#undef PLAIN
#define T           double
#define PLAIN(name) f64_reduce_##name
#include "reduce_plain.h"
#undef T
#undef PLAIN
#undef FLOATING
#undef EXTREME

#define FLOATING    0
#define EXTREME     int64_t
#define T           int64_t
#define PLAIN(name) i64_reduce_##name
#include "reduce_plain.h"
#undef T
#undef PLAIN
#define T           int32_t
#define PLAIN(name) i32_reduce_##name
#include "reduce_plain.h"
#undef T
#undef PLAIN
#define T           uint8_t
#define PLAIN(name) u8_reduce_##name
#include "reduce_plain.h"
#undef T
#undef PLAIN
#undef FLOATING
#undef EXTREME

static const struct {
    void (*terms)(cr__reduce_code code, void *to, const void *x, const void *y,
                  int64_t y_step, int64_t n);
    cr__reduce_add *add, *halves_add, *place_add;
    cr__reduce_columns *columns, *halves_columns, *place_columns;
    cr__reduce_rows *place_rows;
} plain_loops[] = {
#define FLOAT_LOOPS(P)                                                   \
    {                                                                    \
        .terms = P##_terms, .place_add = P##_place_add,                  \
        .place_columns = P##_place_columns, .place_rows = P##_place_rows \
    }
#define INTEGER_LOOPS(P)                                                      \
    {                                                                         \
        .add = P##_add, .columns = P##_columns, .halves_add = P##_halves_add, \
        .halves_columns = P##_halves_columns, .place_add = P##_place_add,     \
        .place_columns = P##_place_columns, .place_rows = P##_place_rows      \
    }
    [CR_F32] = FLOAT_LOOPS(f32_reduce),   [CR_F64] = FLOAT_LOOPS(f64_reduce),
    [CR_I64] = INTEGER_LOOPS(i64_reduce), [CR_I32] = INTEGER_LOOPS(i32_reduce),
    [CR_U8] = INTEGER_LOOPS(u8_reduce),   [CR_BOOL] = INTEGER_LOOPS(u8_reduce),
};

/* ---- floats ---- */

/* The row whose loop takes terms. */
static const cr__reduce_code loop_of_join[] = { [JOIN_PLUS] = CR__REDUCE_sum,
                                                [JOIN_TIMES] = CR__REDUCE_prod,
                                                [JOIN_MAX] = CR__REDUCE_amax,
                                                [JOIN_MIN] = CR__REDUCE_amin };

/* The terms of n <= PIECE elements. */
static void make_terms(const cr__reduce_kernel *k, void *terms, const void *x,
                       const void *y, int64_t n)
{
    plain_loops[k->dtype].terms(k->code, terms, x, y, k->operand == CR__REDUCES_ARRAY, n);
}

static const char *elements_from(const cr__reduce_kernel *k, const void *x, int64_t i)
{
    return (const char *)x + i * k->size;
}

static const void *other_from(const cr__reduce_kernel *k, const void *y, int64_t i)
{
    return k->operand == CR__REDUCES_ARRAY ? elements_from(k, y, i) : y;
}

/* What comes before lane 0, if `at` is on another, as terms; returns how many. */
static int64_t add_head(const cr__reduce_kernel *k, void *acc, const void *x,
                        const void *y, int64_t at, int64_t n)
{
    CR__ALIGNED(64) char terms[CR__LANES * 8];
    const int64_t lane = at % CR__LANES;
    char *lanes = at_part_to(k, acc, lane);
    n = CR__LANES - lane < n ? CR__LANES - lane : n;
    make_terms(k, terms, x, y, n);
    k->join(k, lanes, lanes, terms, n, CR__LANES);
    return n;
}

static void loop_add(const cr__reduce_kernel *k, void *acc, const void *x, const void *y,
                     int64_t at, int64_t n)
{
    const int64_t head = at % CR__LANES ? add_head(k, acc, x, y, at, n) : 0;
    k->loops->of[k->code].lines(acc, elements_from(k, x, head), other_from(k, y, head),
                                n - head);
}

static void terms_add(const cr__reduce_kernel *k, void *acc, const void *x, const void *y,
                      int64_t at, int64_t n)
{
    CR__ALIGNED(64) char terms[PIECE * 8];
    int64_t i = at % CR__LANES ? add_head(k, acc, x, y, at, n) : 0;
    for (int64_t piece; i < n; i += piece) {
        piece = n - i < PIECE ? n - i : PIECE;
        make_terms(k, terms, elements_from(k, x, i), other_from(k, y, i), piece);
        k->loops->of[loop_of_join[k->join_code]].lines(acc, terms, NULL, piece);
    }
}

static void terms_columns(const cr__reduce_kernel *k, void *acc, int64_t pitch,
                          const void *x, int64_t x_stride, const void *y,
                          int64_t y_stride, int64_t width, int64_t at, int64_t n)
{
    CR__ALIGNED(64) char terms[PIECE * 8];
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0, some; c < width; c += some) {
            some = width - c < PIECE ? width - c : PIECE;
            plain_loops[k->dtype].terms(
                k->code, terms, elements_from(k, x, r * x_stride + c),
                y ? elements_from(k, y, r * y_stride + c) : NULL, 1, some);
            k->loops->of[loop_of_join[k->join_code]].columns(
                k, at_part_to(k, acc, c), pitch, terms, 0, NULL, 0, some, at, 1);
        }
}

/* ---- integers ---- */

static void integers_join(const cr__reduce_kernel *k, void *out, const void *a,
                          const void *b, int64_t n, int64_t pitch)
{
    (void)pitch;
    for (int64_t i = 0; i < n; i++)
        ((int64_t *)out)[i] =
            integer_join(k->join_code, ((const int64_t *)a)[i], ((const int64_t *)b)[i]);
}

/* Means: of the elements' upper 32 bits, and of their lower 32, from 0 up; the former takes
 * what the latter carries. So 2^31 times 2^32 elements do not overflow. */
static void halves_join(const cr__reduce_kernel *k, void *out, const void *a,
                        const void *b, int64_t n, int64_t pitch)
{
    const int64_t *x = a, *y = b;
    int64_t *sum = out;
    (void)k;
    for (int64_t i = 0; i < n; i++) {
        const int64_t low = x[pitch + i] + y[pitch + i];
        sum[i] = x[i] + y[i] + (low >> 32);
        sum[pitch + i] = low & UINT32_MAX;
    }
}

/* The next bits of the quotient rest / n, whose rest is below n; `more` of them are those
 * of a dividend that goes on, the rest zeros. */
static uint64_t divide_on(uint64_t *rest, uint64_t n, int bits, uint32_t more)
{
    uint64_t quotient = 0;
    for (int i = 0; i < bits; i++, more <<= 1) {
        *rest = 2 * *rest + (more >> 31);
        quotient = 2 * quotient + (*rest >= n);
        *rest -= *rest >= n ? n : 0;
    }
    return quotient;
}

/* (high 2^32 + low) / n, correctly rounded, for low < 2^32: the quotient is rounded down,
 * with more bits than an f32 has, and its last bit tells whether there is a rest. */
static float rounded_quotient(int64_t high, uint32_t low, int64_t n)
{
    int64_t whole = high / n, rest = high % n;
    whole -= rest < 0;
    uint64_t left = (uint64_t)(rest < 0 ? rest + n : rest);
    whole = (int64_t)((uint64_t)whole << 32 | divide_on(&left, (uint64_t)n, 32, low));
    int shift = whole >= 1 << 26 || whole < -(1 << 26) ? 0
                : whole > 0 || whole < -1              ? 35
                                                       : 61;
    uint64_t bits = (uint64_t)whole << shift | divide_on(&left, (uint64_t)n, shift, 0);
    return ldexpf((float)(int64_t)(bits | (left != 0)), -shift);
}

/* ---- places ---- */

/* Whether b is to be taken instead of a, of two values with places, or -1. */
static bool place_moves(const cr__reduce_kernel *k, const void *a, int64_t a_place,
                        const void *b, int64_t b_place)
{
    int order; /* of b behind a: 1 if b is better, 0 if they are equal */
    if (a_place < 0 || b_place < 0)
        return b_place >= 0;
    if (k->dtype == CR_F32 || k->dtype == CR_F64) {
        const double x = *(const double *)a, y = *(const double *)b;
        order = x != x || y != y ? (y != y) - (x != x) : (y > x) - (y < x);
        order = k->join_code == JOIN_MIN && x == x && y == y ? -order : order;
    } else {
        const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        order = k->join_code == JOIN_MIN ? (y < x) - (y > x) : (y > x) - (y < x);
    }
    return order > 0 || (order == 0 && b_place < a_place);
}

static void places_join(const cr__reduce_kernel *k, void *out, const void *a,
                        const void *b, int64_t n, int64_t pitch)
{
    const int64_t *x = a, *y = b;
    int64_t *to = out;
    for (int64_t i = 0; i < n; i++) {
        const int64_t *from =
            place_moves(k, x + i, x[pitch + i], y + i, y[pitch + i]) ? y : x;
        to[i] = from[i];
        to[pitch + i] = from[pitch + i];
    }
}

/* ---- pairs ---- */

static void pairs_add(const cr__reduce_kernel *k, void *acc, const void *x, const void *y,
                      int64_t at, int64_t n)
{
    char *s = at_part_to(k, acc, CR__LANES);
    const char *from = x;
    (void)y;
    for (int64_t width, lines; n > 0; n -= width * lines, at += width * lines) {
        const int64_t lane = at % CR__LANES;
        width = CR__LANES - lane < n ? CR__LANES - lane : n;
        lines = width < CR__LANES ? 1 : n / CR__LANES;
        lines = lines < PIECE / CR__LANES ? lines : PIECE / CR__LANES;
        k->loops->join_pairs(at_part_to(k, acc, lane), at_part_to(k, s, lane), from, NULL,
                             CR__LANES, width, lines);
        from += width * lines * k->size;
    }
}

static void pairs_columns(const cr__reduce_kernel *k, void *acc, int64_t pitch,
                          const void *x, int64_t x_stride, const void *y,
                          int64_t y_stride, int64_t width, int64_t at, int64_t n)
{
    (void)y, (void)y_stride, (void)at;
    for (int64_t r = 0; r < n; r++)
        for (int64_t c = 0, some; c < width; c += some) {
            some = width - c < PIECE ? width - c : PIECE;
            k->loops->join_pairs(at_part_to(k, acc, c), at_part_to(k, acc, pitch + c),
                                 elements_from(k, x, r * x_stride + c), NULL, 0, some, 1);
        }
}

static void pairs_join(const cr__reduce_kernel *k, void *out, const void *a,
                       const void *b, int64_t n, int64_t pitch)
{
    char *s = at_part_to(k, out, pitch);
    if (out != a) {
        memcpy(out, a, (size_t)n * k->part_size);
        memcpy(s, at_part(k, a, pitch), (size_t)n * k->part_size);
    }
    for (int64_t i = 0, width; i < n; i += width) {
        width = n - i < PIECE ? n - i : PIECE;
        k->loops->join_pairs(at_part_to(k, out, i), at_part_to(k, s, i), at_part(k, b, i),
                             at_part(k, b, pitch + i), 0, width, 1);
    }
}

/* ---- results ---- */

static double as_number(const cr__reduce_kernel *k, const void *part)
{
    return k->dtype == CR_F32   ? (double)*(const float *)part
           : k->dtype == CR_F64 ? *(const double *)part
                                : (double)*(const int64_t *)part;
}

static void end_one(const cr__reduce_kernel *k, const char *acc, int64_t pitch, char *out,
                    int64_t length)
{
    const char *second = acc + pitch * k->part_size;
    int64_t whole = 0;
    float mean = NAN;
    uint8_t narrow;
    switch (k->result) {
    case RESULT_TRUTH:
        *out = as_number(k, acc) > 0;
        break;
    case RESULT_MEAN:
        if (length)
            mean = rounded_quotient(*(const int64_t *)(const void *)acc,
                                    (uint32_t) * (const int64_t *)(const void *)second,
                                    length);
        memcpy(out, &mean, sizeof mean);
        break;
    case RESULT_PLACE:
        memcpy(out, second, 8);
        break;
    case RESULT_PAIR:
        memcpy(out, acc, k->part_size);
        memcpy(out + k->part_size, second, k->part_size);
        break;
    default: /* of integers that are no i64 */
        memcpy(&whole, acc, 8);
        narrow = (uint8_t)whole;
        if (k->out_size == 4)
            memcpy(out, &(int32_t){ (int32_t)whole }, 4);
        else
            memcpy(out, &narrow, 1);
    }
}

void cr__reduce_end(const cr__reduce_kernel *k, const void *acc, int64_t pitch, void *out,
                    int64_t n, int64_t length)
{
    const bool as_it_is = k->result <= RESULT_FLOAT && k->out_size == k->part_size;
    if (as_it_is && n == 1 && k->out_size == 4)
        memcpy(out, acc, 4);
    else if (as_it_is)
        memcpy(out, acc, (size_t)n * k->out_size);
    else
        for (int64_t i = 0; i < n; i++)
            end_one(k, at_part(k, acc, i), pitch, (char *)out + i * k->out_size, length);
}

/* ---- finding one ---- */

#define LOOPS(SET) reduce_loops##SET
static const cr__reduce_loops *const *const loop_sets[CR__ISAS] = { CR__EACH_SET(LOOPS) };

/* Of integers: the ends of the type, of truths of a bool. */
static int64_t integer_identity(int join, cr_dtype type)
{
    const int64_t most = type == CR_I64   ? INT64_MAX
                         : type == CR_I32 ? INT32_MAX
                         : type == CR_U8  ? UINT8_MAX
                                          : 1;
    return join == JOIN_PLUS    ? 0
           : join == JOIN_TIMES ? 1
           : join == JOIN_MIN   ? most
           : most > UINT8_MAX   ? -most - 1
                                : 0;
}

static void find_identity(cr__reduce_kernel *k, bool floats)
{
    const int how = reductions[k->code].how;
    if (how == HOW_PLACES) {
        k->identity[1] = UINT64_MAX; /* -1: nowhere */
    } else if (floats) {
        const double wide = f64_identity_generic(k->join_code);
        const float narrow = (float)wide;
        memcpy(&k->identity[0], k->size == 8 ? (const void *)&wide : &narrow, k->size);
    } else {
        k->identity[0] = (uint64_t)integer_identity(
            k->join_code, k->result == RESULT_TRUTH ? CR_BOOL : k->dtype);
    }
}

static bool find_float(cr__reduce_kernel *k)
{
    if (reductions[k->code].how == HOW_ONCE)
        k->loops = loop_sets[CR__GENERIC][k->dtype == CR_F64];
    k->lanes = CR__LANES;
    k->part_size = k->size;
    k->join = k->loops->join;
    switch (reductions[k->code].how) {
    case HOW_ONCE:
    case HOW_LOOP:
        k->add = loop_add;
        k->columns = k->loops->of[k->code].columns;
        k->rows = k->loops->of[k->code].rows;
        return true;
    case HOW_TERMS:
        k->add = terms_add;
        k->columns = terms_columns;
        return true;
    case HOW_PAIRS:
        k->parts = 2;
        k->add = pairs_add;
        k->columns = pairs_columns;
        k->join = pairs_join;
        return true;
    default:
        return false;
    }
}

static bool find_integer(cr__reduce_kernel *k)
{
    k->join = integers_join;
    switch (k->result) {
    case RESULT_WIDE:
    case RESULT_SAME:
    case RESULT_TRUTH:
        k->add = plain_loops[k->dtype].add;
        k->columns = plain_loops[k->dtype].columns;
        return true;
    case RESULT_MEAN:
        k->parts = 2;
        k->add = plain_loops[k->dtype].halves_add;
        k->columns = plain_loops[k->dtype].halves_columns;
        k->join = halves_join;
        return true;
    default:
        return false;
    }
}

static uint8_t result_size(const cr__reduce_kernel *k, bool floats)
{
    switch (k->result) {
    case RESULT_WIDE:
        return floats ? k->size : 8;
    case RESULT_TRUTH:
        return 1;
    case RESULT_MEAN:
        return 4;
    case RESULT_PLACE:
        return 8;
    case RESULT_PAIR:
        return (uint8_t)(2 * k->size);
    default:
        return k->size;
    }
}

bool cr__reduce_find_for(cr__isa isa, cr__reduce_code code, cr_dtype in,
                         cr__reduce_kernel *k)
{
    const bool floats = in == CR_F32 || in == CR_F64;
    if (code >= CR__REDUCE_CODES || (!floats && (in < CR_I64 || in > CR_BOOL)))
        return false;
    *k = (cr__reduce_kernel){
        .code = code,
        .dtype = in,
        .operand = (cr__reduce_operand)reductions[code].operand,
        .join_code = reductions[code].join,
        .result = reductions[code].result,
        .size = (uint8_t)(in == CR_F64 || in == CR_I64   ? 8
                          : in == CR_F32 || in == CR_I32 ? 4
                                                         : 1),
        .part_size = 8,
        .parts = 1,
        .lanes = 1,
        .rows = each_row,
        .loops = loop_sets[isa] ? loop_sets[isa][in == CR_F64] : NULL,
    };
    bool found = k->loops != NULL;
    if (reductions[code].how == HOW_PLACES) {
        k->parts = 2;
        k->add = plain_loops[in].place_add;
        k->columns = plain_loops[in].place_columns;
        k->rows = plain_loops[in].place_rows;
        k->join = places_join;
    } else {
        found = found && (floats ? find_float(k) : find_integer(k));
    }
    k->out_size = result_size(k, floats);
    find_identity(k, floats);
    return found;
}

bool cr__reduce_find(cr__reduce_code code, cr_dtype in, cr__reduce_kernel *kernel)
{
    return cr__reduce_find_for(cr__isa_in_use(), code, in, kernel);
}
