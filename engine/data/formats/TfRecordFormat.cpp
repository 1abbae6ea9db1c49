#include "engine/data/formats/TfRecordFormat.h"

#include <memory>

#include "engine/data/records/ExampleForm.h"
#include "engine/data/records/OpenRecords.h"
#include "engine/data/records/TfRecord.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

// What follows may be the number of a part, but nothing that makes it another kind of file, as x.tfrecord.idx is.
bool is_named_so(const std::string& name) {
  constexpr std::string_view kEnd = ".tfrecord";
  const std::size_t found = name.rfind(kEnd);
  if (found == std::string::npos) return false;
  std::string_view rest = std::string_view(name).substr(found + kEnd.size());
  if (rest.starts_with('s')) rest.remove_prefix(1);
  return rest.empty() || rest.starts_with('-');
}

}  // namespace

Format tf_record_format() {
  return {.name = "TFRecord",
          .recognises =
              [](const FileHead& head) {
                return tf_record_length(std::as_bytes(head.bytes)) ||
                       is_named_so(fs::path(head.name).filename().string());
              },
          .open = [](const ChannelFiles& channel) { return open_records(channel, std::make_unique<ExampleForm>()); },
          .keeps_index = true};
}

}  // namespace lockstep
