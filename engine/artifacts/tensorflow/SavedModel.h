// A TensorFlow SavedModel in TensorFlow 2's style: one function behind its signatures (TensorflowSignatures), variables
// under their dotted names, tag `serve`. `saved_model.pb` holds the graph, `variables/` the variables' values.
//
// tf.saved_model.load reads the object graph and restores variables by its keys; TensorFlow Serving's C++ loader reads
// the signature and runs the restore operator of the outer graph. Both are written.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "engine/artifacts/TensorView.h"
#include "engine/artifacts/tensorflow/TensorBundle.h"
#include "engine/artifacts/tensorflow/TensorflowFunction.h"

namespace lockstep {

/// Writes into a directory, which is made. `values`: one for each of the function's variables, of its type and sizes;
/// `labels`: the file of them, for a function that says it has one. Throws SystemError.
void write_saved_model(const TensorflowFunction& function, const std::vector<TensorView>& values,
                       const std::filesystem::path& directory, const std::string& labels = {});

/// A SavedModel that write_saved_model wrote.
class SavedModel {
 public:
  /// Reads the function and the index of the variables. Throws InputError when a file is missing, damaged, or holds
  /// anything but what write_saved_model writes for that function.
  explicit SavedModel(const std::filesystem::path& directory);

  const TensorflowFunction& function() const { return function_; }
  /// The file of labels; "" where the function says that there is none.
  const std::string& labels() const { return labels_; }
  /// The value of a variable of the function. Throws InputError when it is damaged.
  BundleTensor value(const TensorflowVariable& variable) const;

 private:
  TensorflowFunction function_;
  TensorBundleReader bundle_;
  std::string labels_{};
};

}  // namespace lockstep
