/* Operations by name, and operations of your own. */
#ifndef CHAINRULE_OPERATIONS_H
#define CHAINRULE_OPERATIONS_H

#include "macros.h"

CR_BEGIN

/* What the executor knows about an operation. */
typedef enum cr_op_kind {
    CR_OP_MAP = 1,   /* element by element; fused into tile programs */
    CR_OP_REDUCE,    /* over dimensions; may end a tile program */
    CR_OP_VIEW,      /* no kernel: another way to index its input */
    CR_OP_CONTRACT,  /* a matrix product */
    CR_OP_OPAQUE,    /* a kernel of its own on arrays */
    CR_OP_COMPOSITE  /* expands into others while recording */
} cr_op_kind;

/* An attribute: a member of the operation's attribute struct. */
typedef enum cr_attr_type {
    CR_ATTR_BOOL,     /* bool */
    CR_ATTR_INT,      /* int64_t */
    CR_ATTR_REAL,     /* double */
    CR_ATTR_NUMBER,   /* cr_arg: an integer stays one */
    CR_ATTR_DIMS,     /* cr_dims */
    CR_ATTR_REALS,    /* cr_reals */
    CR_ATTR_OPT_INT,  /* cr_opt_int */
    CR_ATTR_OPT_REAL, /* cr_opt_real */
    CR_ATTR_OPT_BOOL, /* cr_opt_int, which is 0 or 1: true or false */
    CR_ATTR_WORD,     /* an int-sized enum: the place of the word in words */
    CR_ATTR_DTYPE,    /* cr_dtype */
    CR_ATTR_TEXT      /* char[CR_MAX_TEXT]: the rest of the attributes' text, commas included */
} cr_attr_type;

#define CR_MAX_TEXT 256

/* Why zero may stand for the default of an attribute; and what else its value may be. */
enum {
    CR_ATTR_POSITIONAL = 1, /* the C function takes it by position: zero is zero */
    CR_ATTR_POSITIVE = 2,   /* only values above zero: cr_apply() and cr_call() see to it */
    CR_ATTR_TWO_LISTS = 4,  /* of CR_ATTR_DIMS: also two lists of one length, [[1,2],[0,1]], which
                               are stored one behind the other */
    CR_ATTR_NONZERO = 8     /* values below and above zero, which means the default */
};

typedef struct cr_attr {
    const char *name;
    cr_attr_type type CR_ZERO;
    size_t offset CR_ZERO;
    const char *initial CR_ZERO; /* the default as text; NULL: none, it must be given */
    const char *words CR_ZERO;   /* of CR_ATTR_WORD: "mean,sum,none"; of CR_ATTR_DIMS: what may
                                  * stand for a list, as the one number INT64_MIN + place */
    unsigned flags CR_ZERO;
} cr_attr;

/* What a shape rule is given and fills in. attrs is the node's own copy of the attribute struct:
 * resolve defaults and negative dims in it, so that vjp and kernel need not. */
typedef struct cr_infer {
    cr_ctx *ctx;
    const cr_op *op;
    int n;                     /* inputs; absent ones have dtype 0 */
    const cr_dtype *in_dtype;
    const cr_dims *in_dims;
    void *attrs;
    cr_dtype dtype;            /* out: preset to the first input's */
    cr_dims dims;              /* out: preset to the first input's */
} cr_infer;

/* An array as kernels see it, row-major. Results are contiguous, and so are inputs unless they are
 * declared otherwise: element (i0, i1, ..) lies sum i*stride elements behind data. */
typedef struct cr_array {
    void *data; /* NULL if the input is declared fetched */
    cr_dtype dtype;
    cr_dims dims;
    int64_t numel;
    int64_t strides[CR_MAX_DIMS]; /* of each dim, in elements; may be 0 or negative */
    const void *source;           /* for cr_array_fetch() */
} cr_array;

/* Elements start .. start + n - 1 of a kernel's input in row-major order, one behind the other:
 * where they lie, if they lie like that, or else copied into memory of the worker, which keeps them
 * until it fetches from that input again (inputs from the fourth on share theirs). Read only. n is
 * 1 to CR_MAX_FETCH. worker is the one that cr_kernel_chunks() names, and 0 outside of it. NULL if
 * that is no part of the array. */
#define CR_MAX_FETCH 4096
CR_API const void *cr_array_fetch(const cr_array *x, int64_t start, int64_t n, int worker);

/* What an opaque kernel is given. It is pure: it may run on any thread, and again; it writes all
 * elements of out, whose content is undefined before. */
typedef struct cr_kernel {
    const cr_array *in; /* absent optional inputs have data NULL and dtype 0 */
    int n;
    cr_array out;
    const void *attrs;
    void *scratch; /* as many bytes as the operation's scratch() asked for, or NULL */
    char *message; /* where to say why it failed: capacity bytes */
    size_t capacity;
    void *workers; /* for cr_kernel_chunks() */
} cr_kernel;

/* Inside a kernel: calls body(arg, chunk, worker) for each chunk below n, on the context's threads,
 * and returns when all are done. Chunks of 20 to 50 microseconds are best, however many: a thread
 * that is done with one takes the next. worker says who runs it: it is below n and the number of
 * threads, and no two chunks that run at the same time have the same one. Bodies start no jobs of
 * their own. Results must not depend on the cut. */
CR_API void cr_kernel_chunks(const cr_kernel *kernel, int64_t n,
                             void (*body)(void *arg, int64_t chunk, int worker), void *arg);
/* The same for bodies that need not know their worker. */
CR_API void cr_kernel_parallel(const cr_kernel *kernel, int n, void (*body)(void *arg, int i),
                               void *arg);

/* Sample inputs, from which the tests of an operation are made. inputs is a list like
 *
 *     "f[2,3] f[3]{0.5,2} i[4]{0,5} b[2,3] - n{-2,2}"
 *
 * of float, integer (i64) and bool tensors, absent inputs (-) and C numbers (n), with the range
 * of their values (default -2 to 2, integers 0 to 4; the upper bound of integers is excluded).
 * "~" behind a tensor: no gradient is asked for it; "!": all elements differ from each other. Exact
 * values, which repeat, follow "=", last: "f[3]=2,-0,inf". Where those are kinks, ties or
 * infinities, at which finite differences say nothing, the gradients stand behind "->": for each
 * input that wants one that of the result's sum, and behind a second "->" that of those gradients'
 * sum (zeros if it is not there): "f[3]=-1,0,2 -> 0,0,1". */
typedef struct cr_sample {
    const char *inputs;
    const char *attrs CR_ZERO; /* as in cr_call(); NULL: none */
} cr_sample;

/* What a vjp reads besides the cotangent: CR_READS_INPUT(0) | CR_READS_OUTPUT. */
#define CR_READS_INPUT(i) (1u << (i))
#define CR_READS_OUTPUT (1u << 31)
#define CR_READS_INPUTS 0x7fffffffu

/* One operation. Tables of the library and of its users are made of these; all members that are
 * not used stay zero. One of your own is opaque, with a kernel, or composite, with an expansion; it
 * must outlive the tensors made with it, as a static one does. */
struct cr_op {
    const char *name;
    const char *doc CR_ZERO; /* what it computes, one line */
    cr_op_kind kind CR_ZERO;
    int min_inputs CR_ZERO;
    int max_inputs CR_ZERO;      /* more than min_inputs: the rest is optional; -1: any number */
    const char *inputs CR_ZERO;  /* their names: "x,weight,bias" */

    const cr_attr *attrs CR_ZERO; /* ends with a row whose name is NULL */
    size_t attrs_size CR_ZERO;    /* of the attribute struct, which holds no pointers */

    /* dtype and shape of the result, or an error by cr_fail(). NULL: as the first input. */
    cr_status (*shape)(cr_infer *infer) CR_ZERO;

    /* Given the output's node and cotangent, stores the cotangents of those inputs for which
     * cr_input_needs_grad() holds, made by calling operations; what it leaves NULL gets none. NULL:
     * not differentiable. A composite has none: its parts have theirs. */
    void (*vjp)(cr_tensor *out, cr_tensor *cotangent, cr_tensor **input_cotangents) CR_ZERO;
    unsigned reads CR_ZERO;
    /* What it reads for the cotangent of input i alone: not counted if that is a number. */
    unsigned reads_for[2] CR_ZERO;

    /* CR_OP_OPAQUE: computes out from in; on failure returns a status and writes the message. */
    cr_status (*kernel)(const cr_kernel *kernel) CR_ZERO;

    /* How the kernel reads its inputs, as bits CR_READS_INPUT(i), or CR_READS_INPUTS for all,
     * however many. Where neither is set, an input that is a view (permuted, expanded, sliced,
     * flipped) is copied before, to be contiguous. strided: the last dim has stride 1, the others
     * any; it is copied if the last has another. fetched: never copied, and has no data: its
     * elements come from cr_array_fetch(), which copies what it must, some at a time. */
    unsigned strided CR_ZERO;
    unsigned fetched CR_ZERO;
    /* Of those that are fetched: no element is fetched twice. So an input that maps make, and that
     * nobody else reads, may be computed as it is fetched, and is never in memory as a whole then;
     * one input of a kernel is. */
    unsigned once CR_ZERO;

    /* Inputs, as such bits, that out may lie over where nothing reads them any more: of out's size,
     * and contiguous. in[i].data, or what is fetched, and out.data are then the same memory. */
    unsigned overwrites CR_ZERO;

    /* Whether the kernel can compute: CR_OK, or a status and the message. Given what the kernel is
     * given, without scratch and out.data; it reads elements of the inputs whose bits are in
     * `checks`, by cr_array_fetch(): here no input has data. What is known when a run begins is
     * checked before anything is computed, what the run computes right before the kernel. A kernel
     * whose check has passed returns CR_OK; once no kernel of a run can fail any more, it may write
     * over the values that it replaces. */
    cr_status (*check)(const cr_kernel *kernel) CR_ZERO;
    unsigned checks CR_ZERO;
    bool never_fails CR_ZERO; /* there is nothing to check: the kernel always returns CR_OK */

    /* How many bytes of memory that needs besides, which the run obtains before it computes
     * anything. NULL: none. May ask for inputs' shapes and attributes, never for values. */
    size_t (*scratch)(const cr_tensor *out) CR_ZERO;

    /* CR_OP_COMPOSITE: builds the result from other operations. */
    cr_tensor *(*expand)(cr_ctx *ctx, cr_tensor *const *inputs, int n,
                         const void *attrs) CR_ZERO;
    /* The same in its place where there are several results: writes them as far as capacity goes,
     * and returns how many there are, or -1 after an error. */
    int (*expand_all)(cr_ctx *ctx, cr_tensor *const *inputs, int n, const void *attrs,
                      cr_tensor **outputs, int capacity) CR_ZERO;

    /* Whether bf16 and f16 inputs are cast to f32 before it, and an f32 result back after it: it
     * computes in f32, and rounds once. Else it gets them as they are. */
    bool widens CR_ZERO;

    /* The sum of two cotangents of one tensor, x being a node of this operation, if there is a
     * cheaper way to it than adding all elements: of x only a part is not zero. NULL: there is
     * not. */
    cr_tensor *(*add_to)(cr_tensor *sum, cr_tensor *x) CR_ZERO;

    /* The library's other kinds: how to run it. Its form depends on the kind; not for users. */
    const void *internal CR_ZERO;

    const cr_sample *samples CR_ZERO; /* ends with a row whose inputs are NULL */
    const char *kinks CR_ZERO; /* inputs near which it is not differentiable: "0", "-0.5,0.5" */

    /* For cr_per_sample_gradients(): bits CR_READS_INPUT(i) of the inputs of which part k of the
     * result, its first dim being cut into equal parts however many, reads part k only. All parts
     * share the others, whose cotangents from each of n parts, [n, ..], are what vjp_apart makes of
     * out's. NULL, or 0: parts mix. Maps, reductions and views need none. */
    unsigned (*apart)(const cr_tensor *out) CR_ZERO;
    cr_tensor *(*vjp_apart)(cr_tensor *out, cr_tensor *cotangent, int i, int64_t n) CR_ZERO;

    /* The arguments of its C function, for `chainrule ops`, with a dot before options:
     * "x,dim,index". NULL: the inputs, then the attributes up to the last by position. */
    const char *call CR_ZERO;
};

/* For vjps: the inputs of a node (NULL if absent or a number), the operand as given, its resolved
 * attributes, and whether an input wants a cotangent. */
CR_API cr_tensor *cr_input(const cr_tensor *out, int i);
CR_API cr_arg cr_operand(const cr_tensor *out, int i);
CR_API int cr_input_count(const cr_tensor *out);
CR_API const void *cr_attrs(const cr_tensor *out);
CR_API bool cr_input_needs_grad(const cr_tensor *out, int i);
CR_API const cr_op *cr_op_of(const cr_tensor *x);

/* The composite, the outermost there is, that x was recorded as a part of: cross_entropy, of a
 * division, say. NULL if there is none, and for what is released. */
CR_API const cr_op *cr_op_within(const cr_tensor *x);

/* Where x was recorded: file and line of the call, as messages say it, "train.c:41"; a backward
 * node has its forward's. "" for what is released. Lives as long as the program's text does. */
CR_API const char *cr_site_of(const cr_tensor *x);

/* All operations of the library, by number (NULL past the last) and by name (NULL if unknown). */
CR_API const cr_op *cr_op_list(int i);
CR_API const cr_op *cr_op_find(const char *name);

/* Applies an operation to n inputs. attrs points to its attribute struct, NULL for defaults.
 * usage: cr_apply(&my_op, inputs, n, &attrs) */
CR_API cr_tensor *cr_apply_at(const cr_op *op, cr_tensor *const *inputs, int n, const void *attrs,
                              const char *site);
#define cr_apply(...) cr_apply_at(__VA_ARGS__, CR_HERE)

/* The same with attributes as text: "dim=1,keepdim=true", values being integers, reals, true,
 * false, words, or lists [1,2]. Returns how many outputs came out (written to outputs as far as
 * capacity goes), or -1 with an error. ctx may be NULL if there is an input.
 * usage: cr_call(ctx, cr_op_find("softmax"), &x, 1, "dim=1", &y, 1) */
CR_API int cr_call_at(cr_ctx *ctx, const cr_op *op, cr_tensor *const *inputs, int n,
                      const char *attrs, cr_tensor **outputs, int capacity, const char *site);
#define cr_call(...) cr_call_at(__VA_ARGS__, CR_HERE)

/* An operation from two C functions over plain arrays, both pure: forward writes out; backward
 * gets the inputs, the output and its cotangent, and writes the cotangent of every float input
 * (in_cotangents[i].data is NULL where none is wanted). Both return false to fail the run. The
 * result has the given dtype and shape. A second derivative is an error that says so.
 * usage: cr_custom(&def, inputs, n, CR_F32, cr_shape(x)) */
typedef bool cr_custom_forward(const cr_array *in, int n, cr_array *out, void *user);
typedef bool cr_custom_backward(const cr_array *in, int n, const cr_array *out,
                                const cr_array *cotangent, cr_array *in_cotangents, void *user);
typedef struct cr_custom_def {
    const char *name;
    cr_custom_forward *forward;
    cr_custom_backward *backward CR_ZERO; /* NULL: not differentiable */
    void *user CR_ZERO;                   /* must outlive the tensors made with it */
} cr_custom_def;
CR_API cr_tensor *cr_custom_at(const cr_custom_def *def, cr_tensor *const *inputs, int n,
                               cr_dtype dtype, cr_dims shape, const char *site);
#define cr_custom(...) cr_custom_at(__VA_ARGS__, CR_HERE)

/* The same with a word about its inputs, whose members are those of cr_op: both functions get the
 * inputs so, and check is called where cr_op's is. It returns false to fail the run, and may say
 * why in message, of capacity bytes; who gives one promises that neither function fails behind it.
 * usage: cr_custom_with(&def, &how, inputs, n, CR_F32, cr_shape(x)) */
typedef bool cr_custom_check(const cr_array *in, int n, char *message, size_t capacity,
                             void *user);
typedef struct cr_custom_inputs {
    unsigned strided CR_ZERO;
    unsigned fetched CR_ZERO;
    unsigned once CR_ZERO; /* by `forward` */
    cr_custom_check *check CR_ZERO;
    unsigned checks CR_ZERO;
} cr_custom_inputs;
CR_API cr_tensor *cr_custom_with_at(const cr_custom_def *def, const cr_custom_inputs *how,
                                    cr_tensor *const *inputs, int n, cr_dtype dtype,
                                    cr_dims shape, const char *site);
#define cr_custom_with(...) cr_custom_with_at(__VA_ARGS__, CR_HERE)

CR_END
#endif
