// What a program is that needs no file, and what it is built to.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/program/GraphBuilder.h"
#include "job/Hyperparameters.h"

namespace lockstep {

using GraphValue = GraphBuilder::Value;

/// What a built-in program is built to: first what the data says, then what hyperparameters say. Which of them a
/// program reads, builtin_programs() of job/BuiltinChoices.h says.
struct BuiltinOptions {
  std::vector<std::int64_t> input_shape{1, 28, 28};  ///< of one sample of its first input: an image's, or {length}
  std::int64_t classes = 10;                         ///< width of the output; gpt: no fewer tokens
  std::vector<std::int64_t> channels{32, 64};        ///< cnn: of each conv block
  std::vector<std::int64_t> hidden{128};             ///< widths of the linear layers before the last
  bool batch_norm = true;                            ///< cnn
  double dropout = 0.25;                             ///< 0: none
  std::uint64_t seed = 1;                            ///< of the initial values
  /// Inputs of integers by name: they are below this.
  std::map<std::string, std::int64_t> counts{};
  std::vector<std::string> optional_inputs{"x", "attention_mask"};  ///< BuiltinInput::optional ones that there are
  bool open_length = true;                                          ///< texts may be shorter than input_shape says
  bool small_images = false;
  std::int64_t patch_size = 16;
  std::int64_t layers = 12;
  std::int64_t heads = 12;
  std::int64_t width = 768;
  std::int64_t mlp_width = 0;   ///< 0: four times the width
  std::int64_t vocabulary = 0;  ///< 0: as `counts` says
  std::int64_t length = 0;      ///< positions of a text; 0: as many as input_shape says
  std::map<std::string, EmbeddedColumn> embeddings{};

  std::int64_t widened() const { return mlp_width > 0 ? mlp_width : 4 * width; }
  bool has(const std::string& optional_input) const;
};

/// What a program takes of a data set.
struct BuiltinInput {
  std::string name{};
  bool integers = false;
  bool optional = false;            ///< the program is built without it where there is no such column
  std::vector<std::string> also{};  ///< columns that it takes where none has its own name: the first that is there
};

/// A row of built_in_programs().
struct BuiltinProgram {
  std::string name;
  /// The first is what input_shape speaks of.
  std::function<std::vector<BuiltinInput>(const BuiltinOptions&)> inputs;
  /// Returns the output. Throws InputError for options that do not fit.
  std::function<GraphValue(GraphBuilder&, const BuiltinOptions&)> build;
  bool predicts_tokens = false;  ///< its classes are the integers of its first input
  /// Sets what the data would say, where there is none: the sizes of the model's published weights. Nothing:
  /// BuiltinOptions' own.
  std::function<void(BuiltinOptions&)> without_data{};
};

// One file each.
BuiltinProgram mlp_program();
BuiltinProgram cnn_program();
BuiltinProgram resnet_program(int layers);  ///< 18, 34, 50 or 101
BuiltinProgram vit_program();
BuiltinProgram gpt_program();
BuiltinProgram bert_program();

/// The only input of programs that take one array of numbers.
std::vector<BuiltinInput> one_input_of_numbers(const BuiltinOptions& options);

}  // namespace lockstep
