#include <array>
#include <cmath>
#include <map>

#include "engine/program/Layers.h"
#include "engine/program/builtin/BuiltinProgram.h"

namespace lockstep {

namespace {

// He et al. 2015, "Deep Residual Learning for Image Recognition", as torchvision's resnet.py has it: names, initial
// values, and the stride of a bottleneck in its second convolution.
class Resnet {
 public:
  Resnet(GraphBuilder& graph, bool bottlenecks) : graph_(graph), bottlenecks_(bottlenecks) {}

  GraphValue build(const BuiltinOptions& options, const std::array<int, 4>& blocks) {
    GraphValue x = graph_.input("x", options.input_shape);
    if (options.small_images) {
      x = layers::relu(graph_, convolution(x, "conv1", "bn1", {.channels = 64, .kernel = 3, .padding = 1}));
    } else {
      x = convolution(x, "conv1", "bn1", {.channels = 64, .kernel = 7, .stride = 2, .padding = 3});
      x = layers::max_pool2d(graph_, layers::relu(graph_, x), 3, 2, 1);
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      for (int j = 0; j < blocks[i]; ++j) {
        const std::string name = "layer" + std::to_string(i + 1) + "." + std::to_string(j) + ".";
        x = block(x, name, std::int64_t{64} << i, i > 0 && j == 0 ? 2 : 1);
      }
    }
    x = layers::flatten(graph_, layers::average_pool2d(graph_, x));
    return layers::linear(graph_, x, "fc", {.features = options.classes});
  }

 private:
  GraphValue convolution(const GraphValue& x, const std::string& name, const std::string& norm,
                         layers::Conv2d options) {
    // kaiming_normal_(mode="fan_out", nonlinearity="relu")
    const std::int64_t fan_out = options.channels * options.kernel * options.kernel;
    options.bias = false;
    options.weights = initial::normal(std::sqrt(2 / static_cast<double>(fan_out)));
    return layers::batch_norm(graph_, layers::conv2d(graph_, x, name, options), norm);
  }

  GraphValue block(const GraphValue& x, const std::string& name, std::int64_t width, std::int64_t stride) {
    const auto inner = [&](const GraphValue& from, const char* number, std::int64_t kernel, std::int64_t by,
                           std::int64_t channels) {
      return convolution(from, name + "conv" + number, name + "bn" + number,
                         {.channels = channels, .kernel = kernel, .stride = by, .padding = kernel / 2});
    };
    const std::int64_t channels = bottlenecks_ ? 4 * width : width;
    GraphValue y = inner(x, "1", bottlenecks_ ? 1 : 3, bottlenecks_ ? 1 : stride, width);
    y = inner(layers::relu(graph_, y), "2", 3, bottlenecks_ ? stride : 1, width);
    if (bottlenecks_) y = inner(layers::relu(graph_, y), "3", 1, 1, channels);
    GraphValue shortcut = x;
    if (stride > 1 || x.sizes[0] != channels) {
      shortcut = convolution(x, name + "downsample.0", name + "downsample.1",
                             {.channels = channels, .kernel = 1, .stride = stride});
    }
    return layers::relu(graph_, layers::add(graph_, y, shortcut));
  }

  GraphBuilder& graph_;
  bool bottlenecks_;
};

}  // namespace

BuiltinProgram resnet_program(int layers) {
  static const std::map<int, std::array<int, 4>> blocks = {
      {18, {2, 2, 2, 2}}, {34, {3, 4, 6, 3}}, {50, {3, 4, 6, 3}}, {101, {3, 4, 23, 3}}};
  return {.name = "resnet" + std::to_string(layers),
          .inputs = one_input_of_numbers,
          .build =
              [layers](GraphBuilder& graph, const BuiltinOptions& options) {
                return Resnet(graph, layers >= 50).build(options, blocks.at(layers));
              },
          .without_data = [](BuiltinOptions& options) {  // of ImageNet, or of CIFAR-10
            options.input_shape =
                options.small_images ? std::vector<std::int64_t>{3, 32, 32} : std::vector<std::int64_t>{3, 224, 224};
            options.classes = options.small_images ? 10 : 1000;
          }};
}

}  // namespace lockstep
