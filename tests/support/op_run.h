/* Calls of operations: a sample's inputs as tensors, in whatever form; the results and
 * gradients as arrays; comparing them. */
#ifndef TESTS_SUPPORT_OP_RUN_H
#define TESTS_SUPPORT_OP_RUN_H

#include "../../src/ops/ops.h"
#include "op_reference.h"

enum { MOST_OUTPUTS = 8 };

/* An operation on the arrays of one of its samples. */
typedef struct call {
    const cr_op *op;
    const char *attrs;
    sample s;
    array in[MOST_INPUTS];
} call;

/* What came out: values of the outputs and gradients of the inputs. */
typedef struct result {
    int n; /* outputs, -1: failed */
    cr_status status;
    char message[512];
    array out[MOST_OUTPUTS], grad[MOST_INPUTS];
} result;

/* How inputs are stored: bits of this. Their values are always the same. */
enum { PLAIN = 0, TRANSPOSED = 1, FLIPPED = 2, SLICED = 4, ALL_FORMS = 8 };

/* How a call is run. */
typedef struct manner {
    cr_ctx *ctx;
    cr_dtype real, integer; /* of float and of integer inputs; 0: f64, i64 */
    unsigned form;
    int number; /* the input to pass as a C number, plus 1; 0: none */
} manner;

uint64_t text_hash(const char *text);

/* The call of a parsed sample whose shapes may have been changed. */
void fill_call(call *c);

bool make_call(call *c, const cr_op *op, const cr_sample *text);

void free_call(call *c);

void free_result(result *r);

/* Whether a gradient is asked for the i-th input. */
bool wants_gradient(const call *c, int i);

const char *call_text(const call *c);

/* The array as a tensor; a view of differently stored memory if the manner says so. */
cr_tensor *presented(const manner *m, const array *a, bool leaf);

/* The operation on tensors, one of which may be passed as a number. Random numbers are
 * the same each time. */
int apply(const manner *m, const call *c, cr_tensor *const *in, cr_tensor **out);

/* Values and gradients, all in one run. A failure is in the result, not in the context.
 */
result run_call(const manner *m, const call *c);

/* The call's first result by its definition; false if there is no definition. */
bool run_definition(const call *c, array *out);

/* How far elements may be apart: atol + rtol |b|; both 0: equal to the bit, any NaN being
 * equal to any. */
typedef struct tolerance {
    double atol, rtol;
} tolerance;

bool close_to(double a, double b, tolerance t);

/* False, and says so, if the arrays differ. The type is compared where bits are. */
bool same_array(const call *c, const char *what, const array *a, const array *b,
                tolerance t);

/* The same of whole results; failing alike, with the same text, is the same. */
bool same_result(const call *c, const result *a, const result *b, tolerance t);

extern const tolerance exactly;

/* Runs the call in both manners. */
bool same_in(const call *c, const manner *m, const manner *n, tolerance t);

#endif
