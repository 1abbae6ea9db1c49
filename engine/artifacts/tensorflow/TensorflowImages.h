// Pieces of TensorFlow functions over windows. Images here are [batch, ..., channels] with two or three spatial
// dimensions: where the program's have one, the first of two is 1.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/artifacts/tensorflow/TensorflowPrimitives.h"

namespace lockstep {

/// An input as an image.
TensorflowValue image(PrimitiveCall& call, std::size_t input);
/// An image as the output.
void bind_image(PrimitiveCall& call, TensorflowValue image);
/// A window over images.
primitive::Window over_images(const primitive::Window& window);
/// Values of the spatial dimensions as TensorFlow's attributes have them.
Ints around_images(const Ints& spatial, std::int64_t other);
/// "NHWC" or "NDHWC".
std::string image_format(const TensorflowValue& image);
/// With a number around the spatial dimensions.
TensorflowValue padded_image(TensorflowBuilder& builder, const TensorflowValue& image, const Ints& before,
                             const Ints& after, double number);

}  // namespace lockstep
