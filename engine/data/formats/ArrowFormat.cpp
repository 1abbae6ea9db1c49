#include "engine/data/formats/ArrowFormat.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/data/columnar/ColumnarTable.h"

namespace lockstep {

Format arrow_format() {
  const std::vector<std::string> ends = {".arrow", ".arrows", ".feather", ".ipc"};
  return {.name = "Arrow",
          .recognises =
              [=](const FileHead& head) {
                const std::string end = std::filesystem::path(head.name).extension();
                return head.starts_with("ARROW1") || std::ranges::find(ends, end) != ends.end();
              },
          .open = [](const ChannelFiles& channel) { return open_columnar(channel, ColumnarKind::kArrow); }};
}

}  // namespace lockstep
