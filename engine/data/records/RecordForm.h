// How the records of a format lie in their files, and what they hold by name.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "common/ElementType.h"
#include "engine/data/records/HeaderWindow.h"

namespace lockstep {

/// One named value of a record.
struct RecordValue {
  std::string_view name;
  ElementType type = ElementType::kUint8;  ///< uint8: bytes
  /// A protobuf message. Its field 1 repeats the numbers, or the bytes. Of a tensor, field 2 repeats the places of the
  /// numbers, where all others are zero, and field 3 the sizes.
  std::string_view list{};
  bool tensor = false;
};

/// What a format knows. A record is all its bytes in the file: with lengths, checksums and so on. Errors are
/// InputErrors that say what is wrong with a record, but not where it lies. Thread-safe.
class RecordForm {
 public:
  virtual ~RecordForm() = default;
  virtual std::string name() const = 0;
  /// The bytes of the record that begins at `offset`, as its headers say it; the file may end before.
  virtual std::uint64_t length(HeaderWindow& headers, std::uint64_t offset) const = 0;
  /// Calls `visit` with each value of a record.
  virtual void visit(std::string_view record, const std::function<void(const RecordValue&)>& visit) const = 0;
};

}  // namespace lockstep
