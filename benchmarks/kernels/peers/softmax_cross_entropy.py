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


PEERS = {f"{name}/{element}/{rows}x{classes}":
         {"torch": lambda make=make, shape=(element, rows, classes): make(*shape)}
         for name, make in (("softmax_cross_entropy", forward), ("softmax_cross_entropy_backward", backward))
         for element, rows, classes in (("float32", 1024, 50257), ("bfloat16", 1024, 50257), ("float32", 8192, 10))}
