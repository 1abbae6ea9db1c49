// Convolutions of one to three spatial dimensions, as PyTorch's documentation (torch.nn.functional) has them.
#include "engine/artifacts/primitives/PrimitiveRows.h"
#include "engine/artifacts/primitives/rows/Spatial.h"

namespace lockstep {

namespace {

// The window of a weight [_, _, ...], with the same padding on both sides.
primitive::Window kernel_window(NodeArguments& arguments, const Term& weight) {
  if (weight.rank() < 3 || weight.rank() > 5) arguments.refuse("it has no one to three spatial dimensions");
  primitive::Window window;
  const std::vector<Dimension> sizes = weight.sizes();
  for (std::size_t i = 2; i < sizes.size(); ++i) {
    const auto* known = std::get_if<std::int64_t>(&sizes[i]);
    if (!known) arguments.refuse("its kernel's size is only known at run time");
    window.size.push_back(*known);
  }
  const std::size_t spatial = window.size.size();
  window.stride = for_each_spatial(arguments, "stride", spatial, Ints(spatial, 1));
  window.dilation = for_each_spatial(arguments, "dilation", spatial, Ints(spatial, 1));
  const Argument* padding = arguments.node().find("padding");
  if (padding && std::holds_alternative<std::string>(*padding)) {
    const bool same = arguments.text("padding", "valid") == "same";
    for (std::size_t i = 0; i < spatial; ++i) {
      const std::int64_t total = same ? window.dilation[i] * (window.size[i] - 1) : 0;
      window.before.push_back(total / 2);
      window.after.push_back(total - total / 2);
    }
  } else {
    window.before = for_each_spatial(arguments, "padding", spatial, Ints(spatial, 0));
    window.after = window.before;
  }
  return window;
}

Term convolved(NodeArguments& arguments, bool transposed) {
  Term x = arguments.tensor("input");
  const Term weight = arguments.tensor("weight");
  const bool single = x.rank() + 1 == weight.rank();  // an image without a batch
  if (single) x = unsqueeze(x, 0);
  const primitive::Window window = kernel_window(arguments, weight);
  const std::int64_t groups = arguments.known("groups", 1);
  const Ints output_padding =
      for_each_spatial(arguments, "output_padding", window.size.size(), Ints(window.size.size(), 0));
  std::vector<Term> inputs = {x, weight};
  if (const auto bias = arguments.find("bias")) inputs.push_back(*bias);
  const Term result = transposed ? perform(primitive::TransposedConvolution{window, output_padding, groups}, inputs)
                                 : perform(primitive::Convolution{window, groups}, inputs);
  return single ? squeeze(result, {0}) : result;
}

Term forward_convolution(NodeArguments& arguments) { return convolved(arguments, false); }
Term transposed_convolution(NodeArguments& arguments) { return convolved(arguments, true); }

Term either_convolution(NodeArguments& arguments) {
  arguments.ignore({"benchmark", "deterministic", "cudnn_enabled", "allow_tf32"});
  return convolved(arguments, arguments.flag("transposed", false));
}

}  // namespace

PrimitiveRows convolution_rows() {
  return {
      {"_convolution", either_convolution},
      {"conv1d", forward_convolution},
      {"conv2d", forward_convolution},
      {"conv3d", forward_convolution},
      {"conv_transpose1d", transposed_convolution},
      {"conv_transpose2d", transposed_convolution},
      {"conv_transpose3d", transposed_convolution},
      {"convolution", either_convolution},
  };
}

}  // namespace lockstep
