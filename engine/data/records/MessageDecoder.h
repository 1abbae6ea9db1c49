// Records that are protobuf messages.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "engine/data/RecordDataset.h"
#include "engine/data/records/RecordForm.h"

namespace lockstep {

/// Decodes nothing but the fields that are wanted. Those must be in each record, with one size; a name that comes twice
/// has the value that comes last, as protobuf has it.
class MessageDecoder : public RecordDecoder {
 public:
  MessageDecoder(std::shared_ptr<const RecordForm> form, std::vector<Field> fields)
      : form_(std::move(form)), spec_{std::move(fields)} {}

  const SampleSpec& spec() const override { return spec_; }
  void decode(std::string_view record, std::span<std::byte* const> fields) const override;

 private:
  std::shared_ptr<const RecordForm> form_;
  SampleSpec spec_;
};

}  // namespace lockstep
