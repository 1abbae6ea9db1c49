#include "engine/data/columnar/ColumnarFile.h"

#include <utility>

#include "engine/data/columnar/ArrowModule.h"

namespace lockstep {

std::unique_ptr<ColumnarFile> open_columnar_file(RandomAccessFile file, ColumnarKind kind,
                                                 const ColumnReadings& readings) {
  const auto open = reinterpret_cast<decltype(&lockstep_open_columnar_file)>(
      arrow_function("lockstep_open_columnar_file", "reads " + file.name()));
  std::unique_ptr<ColumnarFile> opened;
  open(std::move(file), kind, readings, opened);
  return opened;
}

}  // namespace lockstep
