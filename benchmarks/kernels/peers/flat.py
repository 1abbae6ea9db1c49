"""Optimizer steps and norms over tensors, by torch."""

import torch

TENSORS = 60


def gradients(elements):
    return [torch.full((elements // TENSORS,), 1e-3) for _ in range(TENSORS)]


def optimizer(make, elements, **form):
    def factory():
        parameters = [torch.ones(elements // TENSORS, requires_grad=True) for _ in range(TENSORS)]
        for parameter, gradient in zip(parameters, gradients(elements)):
            parameter.grad = gradient
        return make(parameters, lr=1e-3, **form).step
    return factory


def norm(elements):
    def factory():
        tensors = gradients(elements)
        return lambda: torch.nn.utils.get_total_norm(tensors, foreach=True)
    return factory


def peers(gpu):
    found = {}
    for millions in (25, 100) if gpu else (10, 25):
        size, elements = f"{millions} million", millions * 1_000_000
        for name, make, options in (("rmsprop_momentum", torch.optim.RMSprop, {"momentum": 0.9}), ("adagrad", torch.optim.Adagrad, {})):
            found[f"{name}/float32/{size}"] = {"torch foreach": optimizer(make, elements, foreach=True, **options)}
        for name, make, options in (("sgd_momentum", torch.optim.SGD, {"momentum": 0.9}), ("adamw", torch.optim.AdamW, {}),
                                    ("adam", torch.optim.Adam, {})):
            found[f"{name}/float32/{size}"] = {"torch fused": optimizer(make, elements, fused=True, **options),
                                               "torch foreach": optimizer(make, elements, foreach=True, **options)}
        found[f"gradient_norm/float32/{size}"] = {"torch": norm(elements)}
    return found
