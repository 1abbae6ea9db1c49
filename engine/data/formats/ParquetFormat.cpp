#include "engine/data/formats/ParquetFormat.h"

#include "engine/data/columnar/ColumnarTable.h"

namespace lockstep {

Format parquet_format() {
  return {
      .name = "Parquet",
      .recognises = [](const FileHead& head) { return head.starts_with("PAR1") || head.name.ends_with(".parquet"); },
      .open = [](const ChannelFiles& channel) { return open_columnar(channel, ColumnarKind::kParquet); }};
}

}  // namespace lockstep
