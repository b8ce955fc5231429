#!/usr/bin/env python3
"""Random programs of f32, computed by chainrule and by PyTorch: results and gradients.

    build/peers/torch/bin/python tests/against_torch.py [SECONDS [SEED [FAMILY,..]]]

By hand: it needs PyTorch (make bench-peers). A program is one or a few operations with random
shapes and attributes, the sum of its results times random weights, and its gradients. PyTorch
computes it in f64, which is the truth, and in f32, which says how well f32 can do: what is ten
times as wrong is printed. So is rounding that decides, as of a relu's argument near 0 or the order
of what is equal in f32 alone: one in some thousand programs. A program that is printed is computed
again by its seed: SECONDS = 0 computes one.

Memory is never zero where the C library fills it (glibc, MALLOC_PERTURB_, which this sets).
"""
import ctypes
import math
import os
import random
import sys
import time

if "MALLOC_PERTURB_" not in os.environ:
    os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "MALLOC_PERTURB_": "93"})

import torch
import torch.nn.functional as F

# ---- the library, as far as it is used ----

LIBRARY = ctypes.CDLL(os.environ.get("CHAINRULE_LIBRARY", "build/libchainrule.so"))
SITE = b"against_torch.py:1"
DTYPES = {torch.float32: 1, torch.int64: 3, torch.bool: 6}  # cr_dtype
POINTER = ctypes.c_void_p


class Dims(ctypes.Structure):
    _fields_ = [("v", ctypes.c_int64 * 8), ("n", ctypes.c_int), ("given", ctypes.c_bool)]


class Options(ctypes.Structure):
    """cr_options, of which only the first member is set."""
    _fields_ = [("threads", ctypes.c_int), ("rest", POINTER * 16)]


class BackwardOptions(ctypes.Structure):
    _fields_ = [("site", ctypes.c_char_p), ("retain_graph", ctypes.c_bool), ("cotangent", POINTER),
                ("inputs", POINTER), ("n_inputs", ctypes.c_int)]


def function(name, result, *arguments):
    f = getattr(LIBRARY, name)
    f.restype, f.argtypes = result, arguments
    return f


cr_open = function("cr_open", POINTER, ctypes.POINTER(Options))
cr_close = function("cr_close", None, POINTER)
cr_error = function("cr_error", ctypes.c_int, POINTER)
cr_message = function("cr_message", ctypes.c_char_p, POINTER)
cr_from = function("cr_from_at", POINTER, POINTER, ctypes.c_int, Dims, POINTER, ctypes.c_char_p,
                   ctypes.c_char_p)
cr_requires_grad = function("cr_requires_grad_at", POINTER, POINTER, ctypes.c_bool,
                            ctypes.c_char_p)
cr_op_find = function("cr_op_find", POINTER, ctypes.c_char_p)
cr_call = function("cr_call_at", ctypes.c_int, POINTER, POINTER, POINTER, ctypes.c_int,
                   ctypes.c_char_p, POINTER, ctypes.c_int, ctypes.c_char_p)
cr_backward = function("cr_backward_at", ctypes.c_int, POINTER, BackwardOptions)
cr_grad = function("cr_grad", POINTER, POINTER)
cr_data = function("cr_data", POINTER, POINTER)
cr_shape = function("cr_shape", Dims, POINTER)
cr_dtype_of = function("cr_dtype_of", ctypes.c_int, POINTER)


class Failed(Exception):
    """An error of chainrule's."""


class Value:
    """A tensor here, and in PyTorch's two precisions."""

    def __init__(self, handle, exact, rough):
        self.handle, self.exact, self.rough = handle, exact, rough
        self.shape = list(exact.shape)


class Program:
    def __init__(self):
        self.ctx = cr_open(ctypes.byref(Options(threads=random.choice([1, 1, 2]))))
        self.leaves, self.text = [], []

    def check(self):
        if cr_error(self.ctx):
            raise Failed(cr_message(self.ctx).decode())

    def constant(self, x):
        dims = Dims(n=x.dim(), given=True)
        dims.v[:x.dim()] = x.shape
        x = x.contiguous()
        handle = cr_from(self.ctx, DTYPES[x.dtype], dims, x.data_ptr(), None, SITE)
        self.check()
        return Value(handle, x.double() if x.is_floating_point() else x, x.clone())

    def leaf(self, x):
        v = self.constant(x)
        cr_requires_grad(v.handle, True, SITE)
        for t in (v.exact, v.rough):
            t.requires_grad_(True)
        self.leaves.append(v)
        return v

    def normal(self, *shape):
        return self.leaf(torch.randn(shape))

    def outputs(self, op, inputs, of_torch, **attrs):
        """An operation's results; of_torch computes them from PyTorch's tensors."""
        text = ",".join(f"{name}={written(value)}" for name, value in attrs.items())
        shapes = " ".join(str(x.shape) if x else "-" for x in inputs)
        self.text.append(f"{op}({shapes}; {text})")
        given = (POINTER * len(inputs))(*[x.handle if x else None for x in inputs])
        made = (POINTER * 16)()
        n = cr_call(self.ctx, cr_op_find(op.encode()), given, len(inputs), text.encode(), made, 16,
                    SITE)
        self.check()
        exact = of_torch(*[x.exact if x else None for x in inputs])
        rough = of_torch(*[x.rough if x else None for x in inputs])
        if not isinstance(exact, (tuple, list)):
            exact, rough = (exact,), (rough,)
        return [Value(*v) for v in zip(made[:n], exact, rough)]

    def apply(self, op, inputs, of_torch, **attrs):
        return self.outputs(op, inputs, of_torch, **attrs)[0]

    def values(self, handle):
        dims, dtype = cr_shape(handle), cr_dtype_of(handle)
        data = cr_data(handle)
        self.check()
        dtype = next(t for t, number in DTYPES.items() if number == dtype)
        shape = dims.v[:dims.n]
        count = math.prod(shape) * torch.zeros((), dtype=dtype).element_size()
        if count == 0:
            return torch.zeros(shape, dtype=dtype)
        return torch.frombuffer(bytearray(ctypes.string_at(data, count)), dtype=dtype).reshape(shape)

    def compare(self, what, handle, exact, rough):
        got, want = self.values(handle), exact.detach()
        if list(got.shape) != list(want.shape):
            return [f"{what} is {list(got.shape)}, not {list(want.shape)}"]
        if not got.is_floating_point():
            return [] if torch.equal(got, want) else [f"{what} differs"]
        got, rough = got.double(), rough.detach().double()
        finite = want.isfinite() & rough.isfinite()
        scale = torch.where(finite, want, 0).abs().max().item() if want.numel() else 0
        error = torch.where(finite, rough - want, 0).abs().max().item() if want.numel() else 0
        bad = ~((got - want).abs() <= 1e-5 * (1 + scale) + 10 * error)
        bad &= ~(got == want) & ~(got.isnan() & want.isnan())
        if not bad.any():
            return []
        i = bad.flatten().nonzero()[0].item()
        return [f"{what}: {bad.sum()} of {bad.numel()}, element {i}: {got.flatten()[i]:.9g}, not "
                f"{want.flatten()[i]:.9g}; PyTorch's f32 is wrong by {error:.2g} at most"]

    def check_all(self, results):
        """What is wrong with the results, and the gradients of their weighted sum."""
        loss = None
        for y in results:
            if y.exact.is_floating_point():
                weight = self.constant(torch.randn(y.shape))
                part = self.apply("sum", [self.apply("mul", [y, weight], torch.mul)], torch.sum)
                loss = self.apply("add", [loss, part], torch.add) if loss else part
        wrong = []
        if loss and loss.exact.grad_fn:
            cr_backward(loss.handle, BackwardOptions(site=SITE))
            self.check()
            loss.exact.backward()
            loss.rough.backward()
            for i, leaf in enumerate(self.leaves):
                handle, want = cr_grad(leaf.handle), leaf.exact.grad
                if not handle and want is not None and want.abs().max() > 0:
                    wrong.append(f"leaf {i} has no gradient")
                elif handle and want is not None:
                    wrong += self.compare(f"gradient {i}", handle, want, leaf.rough.grad)
        for i, y in enumerate(results):
            wrong += self.compare(f"result {i}", y.handle, y.exact, y.rough)
        return wrong

    def close(self):
        cr_close(self.ctx)


def written(value):
    if isinstance(value, bool):
        return str(value).lower()
    return "[" + ",".join(map(str, value)) + "]" if isinstance(value, (list, tuple)) else str(value)


# ---- families of programs ----

def pick(*choices):
    return random.choice(choices)


def chance(p):
    return random.random() < p


def below(limit):
    return random.randrange(limit)


def sizes(most, ranks, rows, last):
    """A shape of at most so many elements."""
    while True:
        shape = [pick(*rows) for _ in range(pick(*ranks))] + [pick(*last)]
        if math.prod(shape) <= most:
            return shape


ACTIVATIONS = {"relu": torch.relu, "gelu": F.gelu, "silu": F.silu, "tanh": torch.tanh,
               "sigmoid": torch.sigmoid, "softplus": F.softplus, "square": torch.square,
               "elu": F.elu, "leaky_relu": F.leaky_relu}


def activated(p, x):
    name = pick(*ACTIVATIONS)
    return x if chance(0.3) else p.apply(name, [x], ACTIVATIONS[name])


def transposed(p, x):
    return p.apply("transpose", [x], lambda t: t.transpose(-1, -2), dim0=-1, dim1=-2)


def batch_norm(p, x):
    weight, bias = p.normal(x.shape[1]), p.normal(x.shape[1])
    return p.apply("batch_norm", [x, None, None, weight, bias],
                   lambda x, mean, var, w, b: F.batch_norm(x, None, None, w, b, True),
                   training=True)


def convolution(p):
    nd = pick(1, 2, 2, 2, 3)
    groups = pick(1, 1, 1, 2, 3)
    taken, made = groups * pick(1, 2, 3, 4, 5, 8, 16, 17), groups * pick(1, 2, 3, 4, 7, 8, 16, 24)
    if chance(0.2):
        groups = taken = pick(4, 8, 13, 16)
        made = groups * pick(1, 1, 2)
    most = 3 if nd == 3 else 7
    kernel = [min(pick(1, 2, 3, 3, 3, 4, 5, 7), most)] * nd
    if chance(0.5):
        kernel = [min(pick(1, 2, 3, 3, 4, 5, 7), most) for _ in range(nd)]
    stride, dilation = ([pick(1, 1, 1, 2, 3) for _ in range(nd)] for _ in range(2))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    padding = [below((span + 1) // 2 + 1) for span in spans]
    image = [max(span - 2 * pad, 1) + below({1: 200, 2: 24, 3: 8}[nd])
             for span, pad in zip(spans, padding)]
    x, weight = p.normal(pick(1, 2, 3, 5), taken, *image), p.normal(made, taken // groups, *kernel)
    bias = p.normal(made) if chance(0.6) else None
    conv = (F.conv1d, F.conv2d, F.conv3d)[nd - 1]
    y = p.apply(f"conv{nd}d", [x, weight, bias],
                lambda x, w, b: conv(x, w, b, stride, padding, dilation, groups),
                stride=stride, padding=padding, dilation=dilation, groups=groups)
    if chance(0.3) and math.prod(y.shape) > 2 * made:
        y = batch_norm(p, y)
    if chance(0.2):
        y = p.apply("add", [y, p.normal(*y.shape)], torch.add)
    return [activated(p, y)]


def transposed_convolution(p):
    nd, groups = pick(1, 2, 2, 3), pick(1, 1, 2, 3)
    taken, made = groups * pick(1, 2, 4, 5, 8), groups * pick(1, 2, 3, 8)
    kernel = [pick(1, 2, 3, 4, 5) for _ in range(nd)]
    stride = [pick(1, 1, 2, 3) for _ in range(nd)]
    dilation = [pick(1, 1, 2) for _ in range(nd)]
    output_padding = [below(max(s, d)) for s, d in zip(stride, dilation)]
    padding = [below((k - 1) * d + 1) for k, d in zip(kernel, dilation)]
    image = [(2 * pad + s - 1) // s + 1 + below({1: 60, 2: 12, 3: 5}[nd])
             for pad, s in zip(padding, stride)]
    x, weight = p.normal(pick(1, 2, 3), taken, *image), p.normal(taken, made // groups, *kernel)
    bias = p.normal(made) if chance(0.5) else None
    conv = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[nd - 1]
    return [activated(p, p.apply(
        f"conv_transpose{nd}d", [x, weight, bias],
        lambda x, w, b: conv(x, w, b, stride, padding, output_padding, groups, dilation),
        stride=stride, padding=padding, output_padding=output_padding, groups=groups,
        dilation=dilation))]


def max_pooling(p):
    nd, ceil_mode = pick(1, 2, 2, 3), chance(0.4)
    kernel = [pick(1, 2, 2, 3, 3, 4, 5) for _ in range(nd)]
    stride, dilation = [pick(1, 2, 2, 3, k) for k in kernel], [pick(1, 1, 2) for _ in range(nd)]
    padding = [below(k // 2 + 1) for k in kernel]
    # PyTorch writes where a window that is all padding points, so there is none.
    image = [d * (k - 1) + 1 + below({1: 90, 2: 22, 3: 8}[nd]) for k, d in zip(kernel, dilation)]
    x = torch.randn(pick(1, 2, 4), pick(1, 3, 5, 8), *image)
    x = p.leaf((2 * x).round() if chance(0.4) else x)
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[nd - 1]
    if pool(x.exact, kernel, stride, padding, dilation, ceil_mode).isinf().any():
        return [x]
    return [p.apply(f"max_pool{nd}d", [activated(p, x)],
                    lambda x: pool(x, kernel, stride, padding, dilation, ceil_mode),
                    kernel_size=kernel, stride=stride, padding=padding, dilation=dilation,
                    ceil_mode=ceil_mode)]


def average_pooling(p):
    nd, ceil_mode, include = pick(1, 2, 2, 3), chance(0.4), chance(0.5)
    kernel = [pick(1, 2, 2, 3, 3, 4, 5) for _ in range(nd)]
    stride, padding = [pick(1, 2, 2, 3, k) for k in kernel], [below(k // 2 + 1) for k in kernel]
    image = [k + below({1: 90, 2: 22, 3: 8}[nd]) for k in kernel]
    x = p.normal(pick(1, 2, 4), pick(1, 3, 5, 8), *image)
    pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[nd - 1]
    return [p.apply(f"avg_pool{nd}d", [activated(p, x)],
                    lambda x: pool(x, kernel, stride, padding, ceil_mode, include),
                    kernel_size=kernel, stride=stride, padding=padding, ceil_mode=ceil_mode,
                    count_include_pad=include)]


def product(p):
    batch = pick([], [], [], [3], [2, 3], [1, 5])
    m, n, k = (pick(1, 2, 3, 5, 8, 10, 16, 17, 31, 32, 33, 64, 65, 100, 129) for _ in range(3))
    k = pick(255, 256, 257, 513, 700) if chance(0.15) else k

    def operand(batch, rows, columns):
        if chance(0.4):
            return transposed(p, p.normal(*batch, columns, rows))
        return p.normal(*batch, rows, columns)

    x = operand([pick(1, size) for size in batch], m, k)
    y = operand([] if chance(0.3) else batch, k, n)
    z = p.apply("matmul", [activated(p, x) if chance(0.3) else x, y], torch.matmul)
    if chance(0.5):
        z = p.apply("add", [z, p.normal(*pick([n], [m, n], [m, 1], [1]))], torch.add)
    z = activated(p, z)
    return [p.apply("softmax", [z], lambda z: z.softmax(-1), dim=-1) if chance(0.2) else z]


def equation(p):
    m, n, k = (pick(1, 2, 5, 16, 17, 40) for _ in range(3))
    text, a, b = pick(
        ("ij,jk->ik", [m, n], [n, k]), ("bij,bjk->bik", [3, m, n], [3, n, k]),
        ("bhid,bhjd->bhij", [2, 3, m, k], [2, 3, n, k]), ("ij,kj->ki", [m, n], [k, n]),
        ("i,j->ij", [m], [n]), ("ijk,k->ij", [m, 3, n], [n]), ("ii,ij->i", [m, m], [m, n]),
        ("bqhd,bkhd->bhqk", [2, m, 3, k], [2, n, 3, k]), ("ijk,jil->kl", [m, n, k], [n, m, 3]),
        ("nchw,oc->nohw", [2, m, 3, n], [k, m]))
    return [activated(p, p.apply("einsum", [p.normal(*a), p.normal(*b)],
                                 lambda a, b: torch.einsum(text, a, b), equation=text))]


def normalisation(p):
    shape = sizes(300_000, [1, 2, 3], [1, 2, 3, 7, 16, 33, 70],
                  [1, 2, 3, 5, 8, 16, 31, 64, 100, 300, 1000, 5000])
    x = p.leaf(torch.randn(shape) * pick(1, 1, 30) + pick(0, 0, 5))
    last, channels, dim = shape[-1], shape[1], below(len(shape))
    kind = pick("layer", "rms", "softmax", "log_softmax", "batch", "group")
    if kind == "layer":
        y = p.apply("layer_norm", [x, p.normal(last), p.normal(last)],
                    lambda x, w, b: F.layer_norm(x, [last], w, b), normalized_shape=[last])
    elif kind == "rms":
        y = p.apply("rms_norm", [x, p.normal(last)], lambda x, w: F.rms_norm(x, [last], w, 1e-3),
                    normalized_shape=[last], eps=1e-3)
    elif kind == "softmax":
        y = p.apply("softmax", [x], lambda x: x.softmax(dim), dim=dim)
    elif kind == "log_softmax":
        y = p.apply("log_softmax", [x], lambda x: x.log_softmax(dim), dim=dim)
    elif kind == "batch":
        y = batch_norm(p, x) if math.prod(shape) > 2 * channels else x
    else:
        groups = pick(*[g for g in range(1, channels + 1) if channels % g == 0])
        if math.prod(shape) <= 2 * groups:
            return [x]
        y = p.apply("group_norm", [x, p.normal(channels), p.normal(channels)],
                    lambda x, w, b: F.group_norm(x, groups, w, b), num_groups=groups)
    y = p.apply("mul", [y, x], torch.mul) if chance(0.3) else y
    return [activated(p, y)]


def loss(p):
    n, classes, reduction = pick(1, 3, 17, 64), pick(2, 3, 10, 100, 1000), pick("mean", "sum", "none")
    x = p.leaf(torch.randn(n, classes) * pick(1, 5))
    if chance(0.5):
        x = p.apply("matmul", [x, p.normal(classes, classes)], torch.matmul)
    target = torch.randint(0, classes, (n,))
    if n > 1 and chance(0.3):
        target[0] = -100
    weight = p.constant(torch.rand(classes) + 0.1) if chance(0.3) else None
    smoothing = pick(0.0, 0.0, 0.1)
    return [p.apply("cross_entropy", [x, p.constant(target), weight],
                    lambda x, t, w: F.cross_entropy(x, t, w, reduction=reduction,
                                                    label_smoothing=smoothing),
                    reduction=reduction, label_smoothing=smoothing)]


def indexing(p):
    n, width, dim = pick(1, 5, 50, 300), pick(1, 3, 8, 17, 64), below(2)
    size = (n, width)[dim]
    x = p.normal(n, width)
    kind = pick("embedding", "index_select", "gather", "scatter_add", "topk", "index_add")
    if kind == "embedding":
        i = p.constant(torch.randint(0, n, pick((7,), (3, 5), (40,), (2, 100))))
        return [activated(p, p.apply("embedding", [x, i], lambda x, i: F.embedding(i, x)))]
    if kind == "index_select":
        i = p.constant(torch.randint(0, size, (pick(1, 5, 100),)))
        return [p.apply(kind, [x, i], lambda x, i: x.index_select(dim, i), dim=dim)]
    if kind == "topk":
        k = random.randrange(1, size + 1)
        return p.outputs("topk", [x], lambda x: x.topk(k, dim), k=k, dim=dim)
    shape = [n, width]
    shape[dim] = pick(1, 4, 9, 90)
    source = p.normal(*shape)
    if kind == "index_add":
        i = p.constant(torch.randint(0, size, (shape[dim],)))
        return [activated(p, p.apply(kind, [x, i, source],
                                     lambda x, i, s: x.index_add(dim, i, s), dim=dim))]
    i = p.constant(torch.randint(0, size, shape))
    if kind == "gather":
        return [p.apply(kind, [x, i], lambda x, i: x.gather(dim, i), dim=dim)]
    return [activated(p, p.apply(kind, [x, i, source], lambda x, i, s: x.scatter_add(dim, i, s),
                                 dim=dim))]


def attention(p):
    b, h, d, width = pick(1, 2), pick(1, 2, 3), pick(1, 4, 8, 16, 32, 33, 64), pick(4, 16, 32, 64)
    queries, keys, causal = pick(1, 3, 16, 33, 70, 128), pick(1, 5, 16, 33, 65, 130), chance(0.5)
    keys = queries if causal else keys
    q, k, v = p.normal(b, h, queries, d), p.normal(b, h, keys, d), p.normal(b, h, keys, width)
    if chance(0.4):
        scores = p.apply("matmul", [q, transposed(p, k)], torch.matmul)
        scores = p.apply("mul", [scores, p.constant(torch.tensor(d ** -0.5))], torch.mul)
        if causal:
            hidden = p.constant(torch.ones(queries, keys, dtype=torch.bool).triu(1))
            scores = p.apply("masked_fill", [scores, hidden, p.constant(torch.tensor(-math.inf))],
                             lambda s, m, x: s.masked_fill(m, -math.inf))
        weights = p.apply("softmax", [scores], lambda s: s.softmax(-1), dim=-1)
        return [activated(p, p.apply("matmul", [weights, v], torch.matmul))]
    mask = None
    if not causal and chance(0.5):
        seen = torch.rand(queries, keys) < 0.7
        seen[:, 0] = True
        mask = p.constant(seen) if chance(0.5) else p.normal(queries, keys)
    return [p.apply("scaled_dot_product_attention", [q, k, v, mask],
                    lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m, is_causal=causal),
                    is_causal=causal)]


def scan(p):
    x = p.leaf(0.7 * torch.randn(sizes(50_000, [1, 2, 2], [1, 3, 9, 40], [1, 2, 5, 33, 130])))
    dim, shift = below(len(x.shape)), random.randrange(-7, 8)
    x, size = activated(p, x), x.shape[dim]
    begin = below(size)
    end, step = random.randrange(begin, size) + 1, pick(1, 1, 2)
    part = (slice(None),) * dim + (slice(begin, end, step),)
    op, of_torch, attrs = pick(
        ("cumsum", lambda x: x.cumsum(dim), {}), ("cummax", lambda x: x.cummax(dim), {}),
        ("logcumsumexp", lambda x: x.logcumsumexp(dim), {}),
        ("sort", lambda x: x.sort(dim=dim, stable=True), {"stable": True}),
        ("slice", lambda x: x[part], {"start": begin, "end": end, "step": step}))
    if chance(0.3):
        x = p.apply("flip", [x], lambda x: x.flip(dim), dims=[dim])
    if chance(0.3):
        x = p.apply("roll", [x], lambda x: x.roll(shift, dim), shifts=shift, dims=[dim])
    if chance(0.3):
        x = p.apply("cat", [x, activated(p, x)], lambda x, y: torch.cat([x, y], dim), dim=dim)
    return p.outputs(op, [x], of_torch, dim=dim, **attrs)


def reduction(p):
    shape = sizes(400_000, [1, 2, 3], [1, 2, 3, 17, 40], [1, 4, 31, 64, 5000])
    x, keep = activated(p, p.normal(*shape)), chance(0.5)
    dims = random.sample(range(len(shape)), random.randrange(1, len(shape) + 1))
    op, of_torch = pick(
        ("sum", torch.sum), ("mean", torch.mean), ("amax", torch.amax),
        ("logsumexp", torch.logsumexp),
        ("vector_norm", lambda x, dim, keepdim: torch.linalg.vector_norm(x, 2, dim, keepdim)))
    y = p.apply(op, [x], lambda x: of_torch(x, dim=dims, keepdim=keep), dim=dims, keepdim=keep)
    if keep and chance(0.7):
        y = p.apply("mul", [x, y], torch.mul)
    return [activated(p, y)]


def graph(p):
    """Maps, views, reductions and products of tensors of one shape."""
    a, b, c = pick(1, 3, 8, 17), pick(1, 2, 16, 33), pick(4, 31, 64, 200)
    made = [p.normal(a, b, c)]

    def step(x):
        dim = below(3)
        kind = pick("map", "map", "pair", "pair", "centre", "softmax", "norm", "product", "reshape",
                    "turn", "scale", "bias")
        if kind == "map":
            return activated(p, x)
        if kind == "pair":
            op, of_torch = pick(("add", torch.add), ("mul", torch.mul), ("sub", torch.sub),
                                ("maximum", torch.maximum))
            return p.apply(op, [x, pick(*made)], of_torch)
        if kind == "centre":
            mean = p.apply("mean", [x], lambda x: x.mean(dim, keepdim=True), dim=dim, keepdim=True)
            return p.apply("sub", [x, mean], torch.sub)
        if kind == "softmax":
            return p.apply("softmax", [x], lambda x: x.softmax(dim), dim=dim)
        if kind == "norm":
            return p.apply("layer_norm", [x, p.normal(c), p.normal(c)],
                           lambda x, w, b: F.layer_norm(x, [c], w, b), normalized_shape=[c])
        if kind == "product":
            weight = p.leaf(torch.randn(c, c) / math.sqrt(c))
            return p.apply("matmul", [x, weight], torch.matmul)
        if kind == "reshape":
            flat = p.apply("reshape", [x], lambda x: x.reshape(a * b, c), shape=[a * b, c])
            flat = p.apply("sin", [flat], torch.sin)
            return p.apply("reshape", [flat], lambda x: x.reshape(a, b, c), shape=[a, b, c])
        if kind == "turn":
            return transposed(p, p.apply("tanh", [transposed(p, x)], torch.tanh))
        if kind == "scale":
            most = p.apply("amax", [x], lambda x: x.amax(dim, True), dim=dim, keepdim=True)
            return p.apply("mul", [x, p.apply("sigmoid", [most], torch.sigmoid)], torch.mul)
        return p.apply("add", [x, p.normal(pick(1, a), 1, c)], torch.add)

    for _ in range(pick(3, 6, 12)):
        y = step(pick(*made))
        made.append(p.apply("tanh", [y], torch.tanh) if y.exact.abs().max() > 50 else y)
    return [made[-1], pick(*made)]


FAMILIES = {f.__name__: f for f in (
    convolution, transposed_convolution, max_pooling, average_pooling, product, equation,
    normalisation, loss, indexing, attention, scan, reduction, graph)}


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    families = sys.argv[3].split(",") if len(sys.argv) > 3 else list(FAMILIES)
    torch.set_num_threads(1)
    end, seed, wrong = time.monotonic() + seconds, first, 0
    while seed == first or time.monotonic() < end:
        random.seed(seed)
        torch.manual_seed(seed)
        p, family = Program(), pick(*families)
        try:
            faults = p.check_all(FAMILIES[family](p))
        except Failed as error:
            faults = [str(error)]
        p.close()
        if faults or seconds == 0:
            print(f"seed {seed}, {family}: " + ", ".join(p.text), *faults, sep="\n    ", flush=True)
        wrong += bool(faults)
        seed += 1
    print(f"{seed - first} programs, {wrong} to look at")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
