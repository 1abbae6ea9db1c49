"""Crop, flip and normalisation: on the CPU image by image, as torchvision's transforms on uint8 tensors do them; on a GPU of all
images at once, by indexing."""

import random

import torch

ELEMENTS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def tensors(batch, size):
    images = torch.randint(256, (batch, size, size, 3), dtype=torch.uint8)
    return images, torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def one_by_one(batch, size, out_size, padding, element):
    def make():
        images, mean, deviation = tensors(batch, size)
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


def at_once(batch, size, out_size, padding, element):
    def make():
        images, mean, deviation = tensors(batch, size)
        top, left = torch.randint(size + 2 * padding - out_size + 1, (2, batch, 1))
        flip, pixels, image = torch.rand(batch, 1) < 0.5, torch.arange(out_size), torch.arange(batch)[:, None, None]
        row, column = (top + pixels)[:, :, None], (left + torch.where(flip, out_size - 1 - pixels, pixels))[:, None, :]

        def augment():
            padded = torch.nn.functional.pad(images, (0, 0, padding, padding, padding, padding)) if padding else images
            return ((padded[image, row, column].float() / 255 - mean) / deviation).to(element)
        return augment
    return make


def peers(gpu):
    contender, make = ("torch composite", at_once) if gpu else ("torch, one by one", one_by_one)
    shapes = (32768 if gpu else 512, 32, 32, 4), (512 if gpu else 64, 256, 224, 0)  # batch, size, output's size, padding
    return {f"image_augment/{element}/{batch}x{out}x{out}x3": {contender: make(batch, size, out, padding, dtype)}
            for element, dtype in ELEMENTS.items() for batch, size, out, padding in shapes}
