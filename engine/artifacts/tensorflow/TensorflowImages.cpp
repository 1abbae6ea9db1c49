#include "engine/artifacts/tensorflow/TensorflowImages.h"

#include <utility>

#include "engine/artifacts/tensorflow/TensorflowShapes.h"

namespace lockstep {

TensorflowValue image(PrimitiveCall& call, std::size_t input) {
  const std::size_t rank = call.in(input).sizes.size();
  if (rank < 3) call.refuse("images without a batch dimension are not supported");
  TensorflowValue x = call.input(input, channels_last(rank));
  if (rank == 3) {
    x = call.builder().add("ExpandDims", {x, call.builder().constant(Ints{1})}, {{"Tdim", ElementType::kInt32}});
    x.sizes.insert(x.sizes.begin() + 1, std::int64_t{1});
  }
  x.axes = in_order(x.sizes.size());
  return x;
}

void bind_image(PrimitiveCall& call, TensorflowValue image) {
  const std::size_t rank = call.out().sizes.size();
  if (rank == 3) {
    const std::int64_t groups = image.groups;
    image = call.builder().add("Squeeze", {image}, {{"squeeze_dims", Ints{1}}});
    image.groups = groups;
  }
  image.axes = channels_last(rank);
  call.bind(std::move(image));
}

primitive::Window over_images(const primitive::Window& window) {
  primitive::Window result = window;
  if (window.size.size() > 1) return result;
  result.size.insert(result.size.begin(), 1);
  result.stride.insert(result.stride.begin(), window.stride.at(0));  // some kernels want both to be equal
  result.before.insert(result.before.begin(), 0);
  result.after.insert(result.after.begin(), 0);
  result.dilation.insert(result.dilation.begin(), 1);
  return result;
}

Ints around_images(const Ints& spatial, std::int64_t other) {
  Ints values = {other};
  values.insert(values.end(), spatial.begin(), spatial.end());
  values.push_back(other);
  return values;
}

std::string image_format(const TensorflowValue& image) { return image.sizes.size() == 4 ? "NHWC" : "NDHWC"; }

TensorflowValue padded_image(TensorflowBuilder& builder, const TensorflowValue& image, const Ints& before,
                             const Ints& after, double number) {
  return padded(builder, image, around_images(before, 0), around_images(after, 0), number);
}

}  // namespace lockstep
