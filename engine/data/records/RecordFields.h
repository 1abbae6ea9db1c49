// The fields that the records of a channel have.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/data/Field.h"
#include "engine/data/images/Pixels.h"
#include "engine/data/records/RecordForm.h"

namespace lockstep {

/// Finds out from some records what all should have. Show it their values by `look_at`, then ask for `fields`.
///
/// Numbers are a field with the type and the sizes that they have where they come first. Bytes are one, uint8, when
/// they are equally many in all records that were shown, or encoded images in all of them (EncodedImage); other texts
/// and images are passed over, unless they are described as texts: those are int64, without categories yet.
class RecordFields {
 public:
  /// `image`: what images are made; nothing: as large as the first is. `described`: fields that say which values are
  /// read as texts, and of which the lists are padded; of numbers that may be missing, records know nothing.
  RecordFields(std::optional<ImageShape> image, const FieldDescriptions& described);

  /// Throws InputError, naming the value.
  void look_at(const RecordValue& value);
  /// In the order of their names, and behind them the masks of padded lists. `like`: null, or the fields of data that
  /// these must be like: others are left out. Throws InputError, naming `origin` and what is there, when there are
  /// none.
  std::vector<Field> fields(const std::string& origin, const SampleSpec* like) const;
  /// Of these fields, which are encoded images.
  std::vector<bool> images(const std::vector<Field>& fields) const;

 private:
  struct Found {
    Field field{};
    bool image = false;
    std::string passed_over{};  ///< why; "" for what is a field
  };
  void look_at_text(const RecordValue& value, const ColumnReading& reading);

  std::optional<ImageShape> image_;
  std::map<std::string, ColumnReading> readings_;
  std::map<std::string, Found, std::less<>> found_;
};

}  // namespace lockstep
