#include "engine/program/BuiltinPrograms.h"

#include <algorithm>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/GraphBuilder.h"

namespace lockstep {

BuiltinOptions builtin_options(const Hyperparameters& hyperparameters) {
  return {.channels = hyperparameters.model_channels,
          .hidden = hyperparameters.model_hidden,
          .batch_norm = hyperparameters.model_norm == Norm::kBatch,
          .dropout = hyperparameters.model_dropout,
          .seed = hyperparameters.seed};
}

std::vector<std::string> builtin_program_names() { return {"mlp", "cnn"}; }

bool is_builtin_program(const std::string& name) { return std::ranges::count(builtin_program_names(), name) > 0; }

Program build_builtin_program(const std::string& name, const BuiltinOptions& options) {
  if (!is_builtin_program(name)) {
    throw InputError(in_quotes(name) + " is no built-in program; there are: " + join(builtin_program_names(), ", "));
  }
  GraphBuilder graph(options.seed);
  GraphBuilder::Value x = graph.input("x", options.input_shape);
  const auto dropout = [&] {
    if (options.dropout > 0) x = graph.dropout(x, options.dropout);
  };
  if (name == "cnn") {
    for (std::size_t i = 0; i < options.channels.size(); ++i) {
      const std::string block = "block" + std::to_string(i + 1);
      x = graph.conv2d(x, block + ".conv", options.channels[i], 3, 1);
      if (options.batch_norm) x = graph.batch_norm(x, block + ".norm");
      x = graph.max_pool2d(graph.relu(x), 2);
      dropout();
    }
  }
  if (x.sizes.size() != 1) x = graph.flatten(x);
  for (std::size_t i = 0; i < options.hidden.size(); ++i) {
    x = graph.relu(graph.linear(x, "fc" + std::to_string(i + 1), options.hidden[i]));
    dropout();
  }
  x = graph.linear(x, "fc" + std::to_string(options.hidden.size() + 1), options.classes);
  return graph.build(name, x);
}

}  // namespace lockstep
