// RecordIO files of aialgs.data.Record, which SageMaker's built-in algorithms train from.
//
// Source: record.proto of the sagemaker SDK (2.257, sagemaker/amazon/record_pb2.py) and "Common data formats for
// training" of SageMaker's guide. Record: map<string, Value> features = 1, label = 2; Value: one of float32_tensor = 2,
// float64_tensor = 3, int32_tensor = 7, bytes = 9; a tensor: repeated values = 1, keys = 2, shape = 3; Bytes: repeated
// value = 1.
#pragma once

#include "engine/data/records/RecordForm.h"

namespace lockstep {

/// The features that the guide and the SDK call `values` are named `features`, and the label `target`; others have the
/// names that they have.
class SageMakerForm : public RecordForm {
 public:
  std::string name() const override { return "aialgs.data.Record"; }
  std::uint64_t length(HeaderWindow& headers, std::uint64_t offset) const override;
  void visit(std::string_view record, const std::function<void(const RecordValue&)>& visit) const override;
};

}  // namespace lockstep
