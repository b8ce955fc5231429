/* Tensors as text for people: cr_print() and cr_format(). Uses the public interface only.
 */
#include "../base/text.h"
#include "graph.h"

#include <inttypes.h>
#include <string.h>

#define ABBREVIATE_ABOVE 1000 /* elements */
#define EDGE             3    /* of an abbreviated dim, at each end */
#define LINE             80   /* columns; what is longer is continued below */

/* Where the text goes: to memory as far as there is room, or to a file. */
typedef struct output {
    char *text;
    size_t capacity, length;
    FILE *file;
} output;

typedef struct printer {
    output out;
    const char *data;
    cr_dtype dtype;
    int ndim;
    int64_t dims[CR_MAX_DIMS], strides[CR_MAX_DIMS]; /* strides in bytes */
    bool abbreviated;
    bool measuring; /* nothing is written: the elements' width is found */
    int width, column;
} printer;

static void put_text(output *out, const char *text)
{
    size_t n = strlen(text);
    if (out->file)
        fwrite(text, 1, n, out->file);
    else if (out->length < out->capacity) {
        size_t room = out->capacity - out->length - 1;
        memcpy(out->text + out->length, text, n < room ? n : room);
        out->text[out->length + (n < room ? n : room)] = '\0';
    }
    out->length += n;
}

/* ---- elements ---- */

/* Six digits, and no sign of NaNs. */
static int real_text(char *text, size_t capacity, double x)
{
    if (x != x)
        return cr__format(text, capacity, "nan");
    return cr__format(text, capacity, "%.6g", x);
}

static int element_text(char *text, size_t capacity, cr_dtype dtype, const void *at)
{
    int64_t i = 0;
    float f;
    double d;
    uint16_t half;
    int32_t i32;
    switch (dtype) {
    case CR_F32:
        memcpy(&f, at, sizeof f);
        return real_text(text, capacity, (double)f);
    case CR_F64:
        memcpy(&d, at, sizeof d);
        return real_text(text, capacity, d);
    case CR_BF16:
    case CR_F16:
        memcpy(&half, at, sizeof half);
        return real_text(text, capacity, cr__half_value(dtype, half));
    case CR_BOOL:
        return snprintf(text, capacity, "%s", *(const char *)at ? "true" : "false");
    case CR_I32:
        memcpy(&i32, at, sizeof i32);
        i = i32;
        break;
    case CR_I64:
        memcpy(&i, at, sizeof i);
        break;
    default:
        i = *(const uint8_t *)at;
    }
    return snprintf(text, capacity, "%" PRId64, i);
}

/* ---- nested brackets ---- */

static void put(printer *p, const char *text)
{
    p->column += (int)strlen(text);
    put_text(&p->out, text);
}

static void new_line(printer *p, int depth)
{
    put_text(&p->out, "\n");
    p->column = 0;
    for (int i = 0; i < depth; i++)
        put(p, " ");
}

/* What stands between two parts at this depth: in the last dim a blank, or a new line
 * where the next item would not fit; above, one new line for each dim that ends. */
static void separate(printer *p, int depth, int next_width)
{
    put(p, ",");
    if (depth < p->ndim - 1) {
        for (int i = depth; i < p->ndim - 2; i++)
            put_text(&p->out, "\n");
        new_line(p, depth + 1);
    } else if (p->column + 1 + next_width + 1 > LINE)
        new_line(p, depth + 1);
    else
        put(p, " ");
}

static void put_element(printer *p, const char *at)
{
    char text[64];
    int n = element_text(text, sizeof text, p->dtype, at);
    if (p->measuring) {
        p->width = n > p->width ? n : p->width;
        return;
    }
    for (; n < p->width; n++)
        put(p, " ");
    put(p, text);
}

/* Recursion ends at the rank. */
static void put_values(printer *p, int depth, const char *at)
{
    if (depth == p->ndim) {
        put_element(p, at);
        return;
    }
    int64_t size = p->dims[depth];
    bool skips = p->abbreviated && size > 2 * EDGE;
    if (!p->measuring)
        put(p, "[");
    for (int64_t i = 0; i < size; i++) {
        if (i && !p->measuring)
            separate(p, depth, p->width);
        if (skips && i == EDGE) {
            i = size - EDGE;
            if (!p->measuring) {
                put(p, "...");
                separate(p, depth, p->width);
            }
        }
        put_values(p, depth + 1, at + i * p->strides[depth]);
    }
    if (!p->measuring)
        put(p, "]");
}

/* "name: f32 [2, 3]" */
static void put_heading(printer *p, const cr_tensor *x)
{
    char text[32];
    const char *name = cr_name(x);
    if (name[0]) {
        put(p, name);
        put(p, ": ");
    }
    put(p, cr_dtype_name(p->dtype));
    put(p, " [");
    for (int i = 0; i < p->ndim; i++) {
        snprintf(text, sizeof text, "%s%" PRId64, i ? ", " : "", p->dims[i]);
        put(p, text);
    }
    put(p, "]");
}

/* False if x cannot be computed: then the error is in its context, and nothing is
 * written. */
static bool put_tensor(printer *p, cr_tensor *x)
{
    cr_dims dims = cr_shape(x);
    int64_t stride = (int64_t)cr_dtype_size(cr_dtype_of(x));
    p->dtype = cr_dtype_of(x);
    p->ndim = dims.n;
    p->abbreviated = cr_numel(x) > ABBREVIATE_ABOVE;
    for (int i = dims.n - 1; i >= 0; i--) {
        p->dims[i] = dims.v[i];
        p->strides[i] = stride;
        stride *= dims.v[i];
    }
    if (!(p->data = cr_data(x)) && cr_numel(x))
        return false;
    put_heading(p, x);
    new_line(p, 0);
    if (cr_numel(x) == 0) {
        put(p, "[]");
        return true;
    }
    p->measuring = true;
    put_values(p, 0, p->data);
    p->measuring = false;
    put_values(p, 0, p->data);
    return true;
}

cr_status cr_print(cr_tensor *x, FILE *file)
{
    cr_ctx *ctx = cr_ctx_of(x);
    CR__FP_GUARD();
    if (!x)
        return CR_ERR_NULL;
    if (!file)
        return cr_fail(ctx, CR_ERR_NULL, "print: the file is NULL");
    if (!cr__usable(ctx, x, "print", NULL))
        return ctx->status;
    printer p = { .out = { .file = file } };
    if (!put_tensor(&p, x))
        return ctx->status;
    put(&p, "\n");
    if (ferror(file))
        return cr_fail(ctx, CR_ERR_IO, "print: the file cannot be written");
    return CR_OK;
}

size_t cr_format(cr_tensor *x, char *text, size_t capacity)
{
    printer p = { .out = { .text = text, .capacity = text ? capacity : 0 } };
    CR__FP_GUARD();
    if (p.out.capacity)
        text[0] = '\0';
    if (x)
        put_tensor(&p, x);
    return p.out.length;
}
