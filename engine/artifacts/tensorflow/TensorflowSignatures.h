// The signatures of a SavedModel. Only for sources that include protobuf's headers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/artifacts/tensorflow/TensorflowFunction.h"
#include "engine/artifacts/tensorflow/saved_model.pb.h"

namespace lockstep {

/// An input or output of a signature. Unlike those of the function it may be text.
struct SignatureTensor {
  std::string name;
  tensorflow::DataType type = tensorflow::DT_FLOAT;
  std::vector<std::int64_t> sizes{};  ///< -1: known at run time
  std::string reference{};            ///< the argument's name, or what the signature's function returns
};

/// A function of the library that can be called by the name of the signature. Its arguments are the inputs, and then
/// the handles of the model's variables.
struct TensorflowSignature {
  std::string name;
  std::string function;
  std::vector<SignatureTensor> inputs{};
  std::vector<SignatureTensor> outputs{};  ///< in the order of their names
};

/// Makes a model's functions. The first is the function itself, `kFunction`; others call it:
///
///   serving_default  the function, of encoded images where there is a decoding; `label_text` where there are labels
///   pixels           the same of bytes, where serving_default takes encoded images
///   classify         `probabilities`, `label` and `label_text`, where the function returns scores
///
/// Encoded images are decoded by functions of one image, which MapDefun runs side by side: TensorFlow's operators for
/// images take one.
class TensorflowSignatures {
 public:
  static constexpr const char* kFunction = "__inference_serving_default";
  static constexpr const char* kDefault = "serving_default";
  static constexpr const char* kPixels = "pixels";
  static constexpr const char* kClassify = "classify";
  static constexpr const char* kImageBytes = "image_bytes";  ///< clients may send what ends so as base64

  /// Adds the functions to the library. Both must outlive this. Throws InputError where what the function says of
  /// classes does not fit its inputs and outputs.
  TensorflowSignatures(const TensorflowFunction& function, tensorflow::FunctionDefLibrary& library);

  const std::vector<TensorflowSignature>& all() const { return all_; }

  /// What a library says of the classes. Throws InputError for one that no such function has.
  static std::optional<TensorflowClasses> classes_of(const tensorflow::FunctionDefLibrary& library);

 private:
  tensorflow::FunctionDef& begin(const TensorflowSignature& signature);
  void require_fitting_classes() const;
  void add_function();
  void add_caller(const std::string& name, bool decodes, bool classifies);

  const TensorflowFunction& function_;
  tensorflow::FunctionDefLibrary& library_;
  std::vector<TensorflowSignature> all_;
};

}  // namespace lockstep
