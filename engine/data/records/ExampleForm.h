// TFRecord files of tf.train.Example.
//
// Source: tensorflow/core/example/example.proto and feature.proto. Example: features = 1; Features: map<string,
// Feature> feature = 1; Feature: one of bytes_list = 1, float_list = 2, int64_list = 3, each with a repeated value = 1.
#pragma once

#include "engine/data/records/RecordForm.h"

namespace lockstep {

/// Features are float32, int64 and bytes. Checksums are checked.
class ExampleForm : public RecordForm {
 public:
  std::string name() const override { return "tf.train.Example"; }
  std::uint64_t length(HeaderWindow& headers, std::uint64_t offset) const override;
  void visit(std::string_view record, const std::function<void(const RecordValue&)>& visit) const override;
};

}  // namespace lockstep
