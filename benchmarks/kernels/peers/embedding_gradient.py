"""The gradient of GPT-2's embedding table."""

import torch

VOCABULARY, COLUMNS = 50257, 768
ELEMENTS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def gradient(positions, zipf, element):
    def make():
        tokens = ((VOCABULARY ** torch.rand(positions, dtype=torch.float64)).long() - 1 if zipf
                  else torch.arange(positions) * 31 % VOCABULARY)
        dy = torch.randn(positions, COLUMNS).to(element)
        return lambda: torch.ops.aten.embedding_dense_backward(dy, tokens, VOCABULARY, -1, False)
    return make


def peers(gpu):
    return {f"embedding_gradient/{element}/{positions} {'Zipf' if zipf else 'distinct'}":
            {"torch": gradient(positions, zipf, dtype)}
            for element, dtype in ELEMENTS.items() for positions, zipf in ((8192, True), (8192, False), (32768, True))}
