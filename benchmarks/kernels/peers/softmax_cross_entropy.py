"""Softmax cross-entropy in torch, by the names of SoftmaxCrossEntropyBenchmark.cpp."""

import torch
import torch.nn.functional as F


def forward(element, rows, classes):
    logits = torch.randn(rows, classes).to(getattr(torch, element))
    labels = torch.randint(classes, (rows,))
    return lambda: F.cross_entropy(logits, labels, reduction="sum")


def backward(element, rows, classes):
    logits = torch.randn(rows, classes).to(getattr(torch, element)).requires_grad_()
    loss = F.cross_entropy(logits, torch.randint(classes, (rows,)), reduction="sum")
    return lambda: torch.autograd.grad(loss, logits, retain_graph=True)


def peers(gpu):
    rows = 4096 if gpu else 1024
    shapes = ("float32", rows, 50257), ("bfloat16", rows, 50257), ("float32", 1 << 22 if gpu else 8192, 10)
    return {f"{name}/{element}/{rows}x{classes}": {contender: lambda make=make, shape=(element, rows, classes): make(*shape)}
            for name, contender, make in (("softmax_cross_entropy", "torch composite", forward),
                                          ("softmax_cross_entropy_backward", "torch", backward))
            for element, rows, classes in shapes}
