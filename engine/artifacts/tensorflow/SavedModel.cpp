#include "engine/artifacts/tensorflow/SavedModel.h"

#include <algorithm>
#include <system_error>

#include "common/Error.h"
#include "common/File.h"
#include "engine/artifacts/tensorflow/SavedModelBuilder.h"
#include "engine/artifacts/tensorflow/SavedModelMessages.h"

namespace lockstep {

namespace fs = std::filesystem;
namespace tf = tensorflow;

namespace {

constexpr const char* kObjectGraphKey = "_CHECKPOINTABLE_OBJECT_GRAPH";
constexpr std::uint64_t kMaxGraph = std::uint64_t{1} << 31;  // protobuf's own limit
constexpr std::uint64_t kMaxLabels = std::uint64_t{1} << 30;

TensorflowFunction read_function(const fs::path& path) {
  const std::string bytes = read_file(path, kMaxGraph);
  tf::SavedModel model;
  const std::string what = path.string() + " is damaged, or is none that this version of Lockstep wrote: ";
  if (!model.ParseFromString(bytes)) throw InputError(what + "it cannot be parsed");
  TensorflowFunction function;
  try {
    function = function_of_message(model);
  } catch (const InputError& error) {
    throw InputError(what + error.what());
  }
  if (serialize(saved_model_message(function)) != bytes) {
    throw InputError(what + "its parts do not belong together");
  }
  return function;
}

void make_directory(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw SystemError("cannot make the directory " + path.string() + ": " + error.message());
}

void write_file(const fs::path& path, const std::string& bytes) {
  OutputFile file(path);
  file.write(bytes);
  file.close();
}

}  // namespace

void write_saved_model(const TensorflowFunction& function, const std::vector<TensorView>& values,
                       const fs::path& directory, const std::string& labels) {
  if (values.size() != function.variables.size()) throw InternalError("a SavedModel needs a value for each variable");
  const tf::SavedModel model = saved_model_message(function);
  make_directory(directory / "variables");
  TensorBundleWriter bundle(directory / "variables" / "variables");
  for (std::size_t i = 0; i < values.size(); ++i) {
    const TensorflowVariable& variable = function.variables[i];
    if (values[i].type != variable.type || values[i].sizes != variable.sizes) {
      throw InternalError("the value of variable " + variable.names.at(0) + " does not have its type and sizes");
    }
    bundle.add(checkpoint_key(variable), values[i]);
  }
  bundle.add(kObjectGraphKey, serialize(checkpoint_objects(function, model)));
  bundle.finish();
  write_file(directory / "saved_model.pb", serialize(model));
  if (!function.labels) return;
  make_directory(directory / "assets");
  write_file(directory / "assets" / SavedModelBuilder::kLabelsFile, labels);
}

SavedModel::SavedModel(const fs::path& directory)
    : function_(read_function(directory / "saved_model.pb")), bundle_(directory / "variables" / "variables") {
  std::vector<std::string> expected = {kObjectGraphKey};
  for (const TensorflowVariable& variable : function_.variables) expected.push_back(checkpoint_key(variable));
  std::ranges::sort(expected);
  const std::string objects = serialize(checkpoint_objects(function_, saved_model_message(function_)));
  if (bundle_.keys() != expected || bundle_.text(kObjectGraphKey) != objects) {
    throw InputError((directory / "variables").string() + " does not hold the variables of " +
                     (directory / "saved_model.pb").string());
  }
  if (!function_.labels) return;
  const fs::path labels = directory / "assets" / SavedModelBuilder::kLabelsFile;
  if (!fs::is_regular_file(labels)) throw InputError(labels.string() + " is missing");
  labels_ = read_file(labels, kMaxLabels);
}

BundleTensor SavedModel::value(const TensorflowVariable& variable) const {
  BundleTensor tensor = bundle_.tensor(checkpoint_key(variable));
  if (tensor.type == variable.type && tensor.sizes == variable.sizes) return tensor;
  throw InputError("variable " + variable.names.at(0) +
                   " of a SavedModel has another type or sizes than its graph says");
}

}  // namespace lockstep
