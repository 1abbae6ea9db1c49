// Makes the message of a SavedModel. Only for sources that include protobuf's headers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/artifacts/tensorflow/TensorflowFunction.h"
#include "engine/artifacts/tensorflow/TensorflowSignatures.h"
#include "engine/artifacts/tensorflow/saved_model.pb.h"

namespace lockstep {

/// Builds the whole of `saved_model.pb` for one function: the function and its signatures, the outer graph that calls
/// them, saves and restores the variables, and the object graph. Used once.
class SavedModelBuilder {
 public:
  /// The file of labels among the assets, and what it is called among the model's objects.
  static constexpr const char* kLabelsFile = "labels.txt";
  static constexpr const char* kLabels = "labels";

  /// Keeps a reference to the function.
  explicit SavedModelBuilder(const TensorflowFunction& function) : function_(function) {}
  SavedModelBuilder(const SavedModelBuilder&) = delete;
  SavedModelBuilder& operator=(const SavedModelBuilder&) = delete;

  tensorflow::SavedModel build();

 private:
  tensorflow::NodeDef& node(const std::string& name, const std::string& op,
                            const std::vector<std::string>& inputs = {});
  void add_calls();
  void add_saver();
  void add_objects();
  void add_labels();
  int user_object(const std::string& identifier);
  void refer(int from, const std::string& name, int to);
  int module_object(const std::vector<std::string>& path);
  tensorflow::StructuredValue specifications(const std::vector<SignatureTensor>& tensors, bool named);

  static std::string handle(const TensorflowVariable& variable) { return "variables/" + variable.argument; }

  const TensorflowFunction& function_;
  tensorflow::SavedModel model_;
  tensorflow::MetaGraphDef& graph_ = *model_.add_meta_graphs();
  TensorflowSignatures signatures_{function_, *graph_.mutable_graph_def()->mutable_library()};
  std::map<std::vector<std::string>, int> modules_;
};

}  // namespace lockstep
