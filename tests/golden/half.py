"""Writes tests/golden/ops/bf16_f16.txt: what PyTorch computes in bf16 and f16 on a CPU.

    python3 tests/golden/half.py > tests/golden/ops/bf16_f16.txt

Only what PyTorch computes in f32 and rounds once is here, so that results may differ by the last
digit of the type at most: by what two exact-to-2-ulp functions of f32 may round apart. log_softmax
is not, and is asked for in f32.
"""
import torch
import torch.nn.functional as F

torch.manual_seed(0)
NAMES = {torch.bfloat16: "bf16", torch.float16: "f16", torch.float32: "f32",
         torch.float64: "f64", torch.int64: "i64", torch.bool: "bool"}


def values(t):
    t = t.detach()
    if t.dtype in (torch.int64, torch.bool):
        return " ".join(str(int(v)) for v in t.flatten().tolist())
    return " ".join(repr(float(v)) for v in t.double().flatten().tolist())


def array(word, place, t, grad=False):
    dims = ",".join(str(d) for d in t.shape)
    print(f"{word} {place} {NAMES[t.dtype]} [{dims}]{' grad' if grad else ''}")
    print(values(t))


def case(op, attrs, inputs, function, number=[0]):
    number[0] += 1
    print(f"case {op}-half-{number[0]}\nop {op}\nattrs {attrs}")
    wants = [x is not None and x.is_floating_point() for x in inputs]
    xs = [x.clone().requires_grad_() if w else x for x, w in zip(inputs, wants)]
    for i, x in enumerate(xs):
        if x is None:
            print(f"in {i} none")
        else:
            array("in", i, x, wants[i])
    y = function(*xs)
    array("out", 0, y)
    if y.is_floating_point() and y.requires_grad:
        g = (torch.rand(y.shape) * 2 - 1).to(y.dtype)
        array("cot", 0, g)
        leaves = [x for x, w in zip(xs, wants) if w]
        grads = iter(torch.autograd.grad(y, leaves, g, allow_unused=True))
        for i, w in enumerate(wants):
            if w:
                array("grad", i, next(grads))
    print("end\n")


def sample(dtype, *shape, low=-3.0, high=3.0):
    return (torch.rand(shape) * (high - low) + low).to(dtype)


for t in (torch.bfloat16, torch.float16):
    x, y = sample(t, 4, 3), sample(t, 4, 3)
    p, q = sample(t, 4, 3, low=0.1), sample(t, 4, 3, low=0.5, high=2.0)
    case("add", "", [x, y], torch.add)
    case("sub", "", [x, y], torch.sub)
    case("mul", "", [x, y], torch.mul)
    case("div", "", [x, q], torch.div)
    case("maximum", "", [x, y], torch.maximum)
    for name in ("neg", "abs", "floor", "square", "relu", "exp", "expm1", "sin", "cos", "tanh",
                 "sigmoid", "erf"):
        case(name, "", [x], getattr(torch, name))
    for name in ("sqrt", "rsqrt", "reciprocal", "log", "log1p", "log2"):
        case(name, "", [p], getattr(torch, name))
    case("silu", "", [x], F.silu)
    case("gelu", "", [x], F.gelu)
    case("softplus", "", [x], F.softplus)
    case("clamp", "min=-0.7,max=1.1", [x], lambda v: torch.clamp(v, -0.7, 1.1))
    case("eq", "", [x, y], torch.eq)
    case("lt", "", [x, y], torch.lt)
    case("sum", "dim=1", [x], lambda v: v.sum(1))
    case("sum", "", [sample(t, 60, 5)], torch.sum)
    case("mean", "dim=0", [x], lambda v: v.mean(0))
    case("amax", "dim=1", [x], lambda v: v.amax(1))
    case("argmax", "dim=1", [x], lambda v: v.argmax(1))
    case("softmax", "dim=1", [x], lambda v: v.softmax(1))
    case("log_softmax", "dim=1", [x], lambda v: v.float().log_softmax(1).to(v.dtype))
    case("layer_norm", "normalized_shape=[3]", [x, sample(t, 3), sample(t, 3)],
         lambda v, w, b: F.layer_norm(v, [3], w, b))
    case("matmul", "", [sample(t, 3, 40), sample(t, 40, 4)], torch.matmul)
    case("matmul", "", [sample(t, 2, 3, 20), sample(t, 2, 20, 2)], torch.matmul)
    case("cast", "dtype=f32", [x], lambda v: v.float())
    other = torch.float16 if t == torch.bfloat16 else torch.bfloat16
    case("cast", f"dtype={NAMES[other]}", [x], lambda v: v.to(other))
    wide = torch.randn(24) * torch.exp(torch.randn(24) * 4)
    case("cast", f"dtype={NAMES[t]}", [wide], lambda v: v.to(t))
    index = torch.tensor([3, 0, 3])
    case("index_select", "dim=0", [x, index], lambda v, i: v.index_select(0, i))
    case("cat", "dim=1", [x, y], lambda *v: torch.cat(v, 1))
