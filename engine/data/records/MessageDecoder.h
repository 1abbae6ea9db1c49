// Records that are protobuf messages.
#pragma once

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "engine/data/ChannelFiles.h"
#include "engine/data/Padding.h"
#include "engine/data/RecordDataset.h"
#include "engine/data/records/RecordForm.h"

namespace lockstep {

/// Decodes nothing but the fields that are wanted. Those must be in each record, with one size, but for lists that are
/// padded: a record without one has an empty one. A name that comes twice
/// has the value that comes last, as protobuf has it.
class MessageDecoder : public RecordDecoder {
 public:
  /// `images`: by field, whether it is an encoded image, which is made as large as the field.
  MessageDecoder(std::shared_ptr<const RecordForm> form, std::vector<Field> fields, std::vector<bool> images,
                 ImageCrop crop)
      : form_(std::move(form)),
        spec_{std::move(fields)},
        values_(spec_.fields.size() - count_masks(spec_.fields)),
        images_(std::move(images)),
        crop_(crop) {}

  const SampleSpec& spec() const override { return spec_; }
  void decode(std::string_view record, std::span<std::byte* const> fields) const override {
    decode_all(record, fields, nullptr, 0);
  }
  void decode_varied(std::string_view record, std::span<std::byte* const> fields, const Draw& draw,
                     std::int64_t sample) const override {
    decode_all(record, fields, &draw, sample);
  }
  bool crops() const override { return std::ranges::count(images_, true) > 0; }

 private:
  void decode_all(std::string_view record, std::span<std::byte* const> fields, const Draw* draw,
                  std::int64_t sample) const;

  std::shared_ptr<const RecordForm> form_;
  std::byte* mask_place(std::size_t field, std::span<std::byte* const> fields) const;

  SampleSpec spec_;
  std::size_t values_;  ///< fields that are no masks
  std::vector<bool> images_;
  ImageCrop crop_;
};

}  // namespace lockstep
