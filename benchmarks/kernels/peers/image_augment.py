"""Crop, flip and normalisation, image by image, as torchvision's transforms on uint8 tensors do them."""

import random

import torch

SHAPES = {"512x32x32x3": (512, 32, 32, 4), "64x224x224x3": (64, 256, 224, 0)}  # batch, size, output's size, padding
ELEMENTS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def composite(batch, size, out_size, padding, element):
    def make():
        images = torch.randint(256, (batch, size, size, 3), dtype=torch.uint8)
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        room = size + 2 * padding - out_size
        crops = [(random.randint(0, room), random.randint(0, room), random.random() < 0.5) for _ in range(batch)]
        cropped = torch.empty(batch, out_size, out_size, 3, dtype=torch.uint8)

        def augment():
            padded = torch.nn.functional.pad(images, (0, 0, padding, padding, padding, padding)) if padding else images
            for image, (top, left, flip) in enumerate(crops):
                crop = padded[image, top:top + out_size, left:left + out_size]
                cropped[image] = crop.flip(1) if flip else crop
            return cropped.float().div_(255).sub_(mean).div_(deviation).to(element)
        return augment
    return make


PEERS = {f"image_augment/{element}/{name}": {"torch composite": composite(*shape, dtype)}
         for element, dtype in ELEMENTS.items() for name, shape in SHAPES.items()}
