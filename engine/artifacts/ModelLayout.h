// Where a server looks for its model in a directory.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/artifacts/Artifact.h"
#include "engine/artifacts/ModelCard.h"
#include "job/Hyperparameters.h"

namespace lockstep {

/// Where each format's entry lies in the model directory, and what a server needs beside them:
///
///   tfserving  1/saved_model.pb, …                      TensorFlow Serving, with the directory as the model's base
///   path pytorch    model.pt, code/inference.py              the PyTorch inference containers of SageMaker triton
///   NAME/config.pbtxt, NAME/1/model.onnx     Triton, with the directory as its model repository
///
/// In all of them what no such server reads lies at the top. Where Triton is given several formats, each is a model of
/// its own: NAME_onnx, NAME_torchscript.
class ModelLayout {
 public:
  /// Throws InputError when none of the formats is one that the server reads, and for a name that Triton does not take.
  /// `name`: what the server calls the model.
  ModelLayout(Layout layout, std::string name, std::vector<Export> formats);

  /// Nothing where the format has its usual entry.
  std::string entry(Export format) const;
  /// Whether the server takes outputs by name from a TorchScript module.
  bool named_outputs() const { return layout_ != Layout::kTriton; }
  /// What the server needs, by its path in the directory. `labels`: what classes are called.
  std::map<std::string, std::string> texts(const ModelCard& card, const std::vector<std::string>& labels) const;

  /// The format of an entry that some layout has. Nothing for any other.
  static std::optional<Export> format_of(const std::string& entry);

 private:
  std::string model(Export format) const;
  bool serves(Export format) const;

  Layout layout_;
  std::string name_;
  std::vector<Export> formats_;
};

}  // namespace lockstep
