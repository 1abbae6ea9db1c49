// The programs that need no file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/program/Program.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// What a built-in program is built to; which fields a program uses is said with it.
struct BuiltinOptions {
  std::vector<std::int64_t> input_shape{1, 28, 28};  ///< of one sample: {channels, height, width} for cnn
  std::int64_t classes = 10;                         ///< width of the output
  std::vector<std::int64_t> channels{32, 64};        ///< cnn: of each conv block
  std::vector<std::int64_t> hidden{128};             ///< widths of the linear layers before the last
  bool batch_norm = true;                            ///< cnn
  double dropout = 0.25;                             ///< 0: none
  std::uint64_t seed = 1;                            ///< of the initial values
};

/// As a job's hyperparameters say; sizes are left at their defaults.
BuiltinOptions builtin_options(const Hyperparameters& hyperparameters);

/// "mlp": flatten → [linear → relu → dropout] per hidden width → linear.
/// "cnn": [conv 3×3 → batch norm → relu → max-pool 2 → dropout] per channel count → flatten → as mlp.
std::vector<std::string> builtin_program_names();
bool is_builtin_program(const std::string& name);

/// Throws InputError for options that do not fit (an image too small for the blocks, say).
Program build_builtin_program(const std::string& name, const BuiltinOptions& options);

}  // namespace lockstep
