// What saved_model and onnx hold where that is not the trained program itself.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "engine/artifacts/Artifact.h"
#include "engine/program/Program.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// How images were made numbers: (byte ÷ 255 - mean) ÷ std, with one mean and deviation, or one for each channel.
struct PixelNormalization {
  std::vector<double> mean;
  std::vector<double> std;
};

/// What is done to a program before it is served, and what its signatures do beside it.
struct ServedForm {
  bool int8_weights = false;                   ///< with_rounded_weights
  std::optional<PixelNormalization> pixels{};  ///< images come as bytes, and probabilities are returned
  std::optional<ImageCrop> decoded{};          ///< with `pixels`, in SavedModels: images come encoded, and are cut so
  std::size_t scores = 0;                      ///< which output holds the scores of classes
  bool classifies = false;                     ///< softmax makes probabilities of that output

  bool changes_nothing() const { return !int8_weights && !pixels; }
  /// "serve_preprocessing=images", for messages.
  std::string preprocessing() const { return std::string("serve_preprocessing=") + (decoded ? "images" : "pixels"); }
  /// Whether artifacts of this format hold it.
  static bool served_in(Export format) { return format == Export::kSavedModel || format == Export::kOnnx; }
};

inline constexpr const char* kPixels = "pixels";

/// The program, which is in its inference form, in the form that is served. With `pixels` its input is `pixels`, bytes
/// [batch, height, width, channels], and it returns `probabilities` [batch, classes] and `label` [batch], the class
/// that is likeliest. Throws InputError for a program that has no such weights, or takes no images, or returns no
/// scores.
Program served_program(const Program& program, const ServedForm& form);

/// Throws InputError where the form has encoded images and one of the formats, or the layout, has no place for them.
void require_decoding(const ServedForm& form, const std::vector<Export>& formats, Layout layout);

/// Inputs of such a program in place of the program's own: as many images, of random bytes.
Probe::Inputs served_inputs(const Program& served, const ServedForm& form, const Probe::Inputs& inputs);

}  // namespace lockstep
