#include "engine/data/records/MessageDecoder.h"

#include "common/Error.h"
#include "common/Text.h"
#include "engine/data/Padding.h"
#include "engine/data/images/ImageMaker.h"
#include "engine/data/records/RecordValues.h"
#include "engine/data/table/TableColumns.h"

namespace lockstep {

void MessageDecoder::decode_all(std::string_view record, std::span<std::byte* const> fields, const Draw* draw,
                                std::int64_t sample) const {
  thread_local std::vector<bool> found;
  found.assign(fields.size(), false);
  std::size_t likely = 0;  // records mostly have their values in one order
  form_->visit(record, [&](const RecordValue& value) {
    if (likely >= fields.size() || spec_.fields[likely].name != value.name) {
      const auto field = spec_.find(value.name);
      if (!field) return;
      likely = *field;
    }
    const std::size_t i = likely++;
    if (spec_.fields[i].reading.pad.length > 0) {
      write_list(spec_.fields[i], value, fields[i], mask_place(i, fields));
      found[i] = true;
      return;
    }
    if (fields[i] == nullptr || i >= values_) return;
    if (spec_.fields[i].reading.as_text()) {
      write_text(spec_.fields[i], text_of(value), fields[i]);
    } else if (images_[i]) {
      const std::vector<std::int64_t>& sizes = spec_.fields[i].sizes;
      const ImageMaker maker({static_cast<int>(sizes[0]), sizes[1], sizes[2]}, crop_);
      maker.make(bytes_of(value), draw, sample, fields[i]);
    } else {
      write_value(spec_.fields[i], value, fields[i]);
    }
    found[i] = true;
  });
  for (std::size_t i = 0; i < values_; ++i) {
    if (found[i]) continue;
    if (spec_.fields[i].reading.pad.length > 0) {
      write_padded(spec_.fields[i], nullptr, 0, fields[i], mask_place(i, fields));
    } else if (fields[i] != nullptr && spec_.fields[i].reading.as_text() && spec_.fields[i].reading.fill) {
      write_missing(spec_.fields[i], fields[i]);
    } else if (fields[i] != nullptr) {
      throw InputError("it has no " + in_quotes(spec_.fields[i].name) + ", which other records have");
    }
  }
}

std::byte* MessageDecoder::mask_place(std::size_t field, std::span<std::byte* const> fields) const {
  const std::string& mask = spec_.fields[field].reading.pad.mask;
  return mask.empty() ? nullptr : fields[*spec_.find(mask)];
}

}  // namespace lockstep
