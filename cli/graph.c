/* chainrule graph: a built-in graph, forward and backward, for Graphviz. */
#include "commands.h"
#include "workloads.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The nodes that were met, in that order, and a table that finds them. */
typedef struct walk {
    cr_tensor **nodes;
    int n, forward; /* those before `forward` belong to the value */
    int *table;     /* 1 + place among the nodes; 0: free */
    int slots;      /* a power of two, more than half of them free */
    const stage *stage;
} walk;

static int *slot_of(const walk *w, const cr_tensor *x)
{
    size_t i = (size_t)((uintptr_t)x >> 4) * 2654435761u;
    for (;; i++) {
        int *slot = &w->table[i & (size_t)(w->slots - 1)];
        if (*slot == 0 || w->nodes[*slot - 1] == x)
            return slot;
    }
}

static bool grow(walk *w)
{
    const int slots = w->slots ? 2 * w->slots : 256;
    cr_tensor **nodes = realloc(w->nodes, sizeof *nodes * (size_t)slots);
    if (!nodes)
        return false;
    w->nodes = nodes;
    int *table = calloc((size_t)slots, sizeof *table);
    if (!table)
        return false;
    free(w->table);
    w->table = table;
    w->slots = slots;
    for (int i = 0; i < w->n; i++)
        *slot_of(w, w->nodes[i]) = i + 1;
    return true;
}

static bool meet(walk *w, cr_tensor *x)
{
    if (2 * (w->n + 1) > w->slots && !grow(w))
        return false;
    int *slot = slot_of(w, x);
    if (*slot == 0) {
        w->nodes[w->n++] = x;
        *slot = w->n;
    }
    return true;
}

/* All that lies beneath the nodes from `from` on. */
static bool descend(walk *w, int from)
{
    for (int i = from; i < w->n; i++)
        for (int k = 0; k < cr_input_count(w->nodes[i]); k++) {
            cr_tensor *input = cr_input(w->nodes[i], k);
            if (input && !meet(w, input))
                return false;
        }
    return true;
}

/* The value first, then what the gradients need beside it. */
static bool walk_stage(walk *w, const stage *s)
{
    bool good = !s->work->value || (meet(w, s->targets[0]) && descend(w, 0));
    w->forward = w->n;
    for (int i = 0; good && i < s->params.n; i++) {
        cr_tensor *gradient = cr_grad(s->params.list[i].tensor);
        good = !gradient || meet(w, gradient);
    }
    return good && descend(w, w->forward);
}

/* ---- writing ---- */

static const char *file_of(const char *site)
{
    const char *slash = strrchr(site, '/');
    return slash ? slash + 1 : site;
}

/* A node that reads a leaf reads the value that the leaf had, which has its name. */
static bool is_leaf(const walk *w, const cr_tensor *x)
{
    for (int i = 0; i < w->stage->params.n; i++)
        if (strcmp(w->stage->params.list[i].name, cr_name(x)) == 0)
            return true;
    return false;
}

static void print_node(const walk *w, int i)
{
    cr_tensor *x = w->nodes[i];
    const cr_op *op = cr_op_of(x), *within = cr_op_within(x);
    const cr_dims shape = cr_shape(x);
    printf("    n%d [label=\"", i);
    if (*cr_name(x))
        printf("%s", cr_name(x));
    else if (op && within && within != op)
        printf("%s of %s", op->name, within->name);
    else
        printf("%s", op ? op->name : "data");
    printf("\\n%s [", cr_dtype_name(cr_dtype_of(x)));
    for (int d = 0; d < shape.n; d++)
        printf("%s%" PRId64, d ? ", " : "", shape.v[d]);
    printf("]");
    if (op)
        printf("\\n%s", file_of(cr_site_of(x)));
    printf("\"%s%s];\n", op ? "" : ", shape=box",
           is_leaf(w, x)     ? ", class=leaf, style=filled, fillcolor=\"#f3d7a8\""
           : i >= w->forward ? ", class=backward, style=filled, fillcolor=\"#cfe0f5\""
                             : ", class=forward");
}

static void print_edges(const walk *w, int i)
{
    for (int k = 0; k < cr_input_count(w->nodes[i]); k++) {
        const cr_tensor *input = cr_input(w->nodes[i], k);
        if (input)
            printf("    n%d -> n%d;\n", *slot_of(w, input) - 1, i);
    }
}

static void print_graph(const walk *w, const workload *work)
{
    printf("// %s: %s\ndigraph %s {\n    rankdir=BT;\n    node [fontname=\"sans-serif\", "
           "fontsize=10];\n    label=\"%s: %s. Plain: forward; blue: backward; sand: "
           "leaves\";\n",
           work->name, work->doc, work->name, work->name, work->doc);
    for (int i = 0; i < w->n; i++)
        print_node(w, i);
    for (int i = 0; i < w->n; i++)
        print_edges(w, i);
    printf("}\n");
}

static bool draw(const workload *work)
{
    cr_ctx *ctx = cr_open(&(cr_options){ .threads = 1 });
    stage s;
    walk w = { .stage = &s };
    bool good = false;
    if (ctx) {
        CR_SCOPE(ctx);
        stage_open(&s, work, ctx, 1);
        stage_record(&s);
        good = !cr_error(ctx) && walk_stage(&w, &s) && !cr_error(ctx);
        if (good)
            print_graph(&w, work);
        stage_close(&s);
    }
    if (!good)
        fprintf(stderr, "chainrule graph: %s\n",
                ctx && cr_error(ctx) ? cr_message(ctx) : "there is no memory");
    free(w.nodes);
    free(w.table);
    cr_close(ctx);
    return good;
}

int graph_run(int n, char **names)
{
    return workload_each(n, names, draw);
}
