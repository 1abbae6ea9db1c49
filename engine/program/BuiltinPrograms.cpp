#include "engine/program/BuiltinPrograms.h"

#include <algorithm>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/program/GraphBuilder.h"
#include "job/BuiltinChoices.h"

namespace lockstep {

bool BuiltinOptions::has(const std::string& optional_input) const {
  return std::ranges::count(optional_inputs, optional_input) > 0;
}

std::vector<BuiltinInput> one_input_of_numbers(const BuiltinOptions&) { return {{.name = "x"}}; }

const std::vector<BuiltinProgram>& built_in_programs() {
  static const std::vector<BuiltinProgram> all = {
      mlp_program(),       cnn_program(), resnet_program(18), resnet_program(34), resnet_program(50),
      resnet_program(101), vit_program(), gpt_program(),      bert_program(),
  };
  return all;
}

bool is_builtin_program(const std::string& name) {
  return std::ranges::find(built_in_programs(), name, &BuiltinProgram::name) != built_in_programs().end();
}

const BuiltinProgram& built_in_program(const std::string& name) {
  const auto found = std::ranges::find(built_in_programs(), name, &BuiltinProgram::name);
  if (found != built_in_programs().end()) return *found;
  throw InputError(in_quotes(name) + " is no built-in program; there are: " + join(names_of(builtin_programs()), ", "));
}

BuiltinOptions builtin_options(const Hyperparameters& hyperparameters) {
  BuiltinOptions options = {.channels = hyperparameters.model_channels,
                            .hidden = hyperparameters.model_hidden,
                            .batch_norm = hyperparameters.model_norm == Norm::kBatch,
                            .dropout = hyperparameters.model_dropout,
                            .seed = hyperparameters.seed,
                            .small_images = hyperparameters.model_small_images,
                            .patch_size = hyperparameters.model_patch_size,
                            .layers = hyperparameters.model_layers,
                            .heads = hyperparameters.model_heads,
                            .width = hyperparameters.model_width,
                            .mlp_width = hyperparameters.model_mlp_width,
                            .vocabulary = hyperparameters.model_vocabulary,
                            .length = hyperparameters.model_length,
                            .embeddings = hyperparameters.model_embeddings};
  const BuiltinProgram& program = built_in_program(hyperparameters.model);
  if (program.without_data) program.without_data(options);
  if (options.length > 0) options.input_shape = {options.length};
  return options;
}

Program build_builtin_program(const std::string& name, const BuiltinOptions& options) {
  const BuiltinProgram& program = built_in_program(name);
  GraphBuilder graph(options.seed);
  const GraphValue output = program.build(graph, options);
  return graph.build(name, output);
}

}  // namespace lockstep
