#include "engine/data/columnar/ColumnarFile.h"

#include "engine/data/columnar/ArrowModule.h"

namespace lockstep {

std::vector<std::unique_ptr<ColumnarFile>> open_columnar_file(const RandomAccessFile& file, ColumnarKind kind,
                                                              const ColumnReadings& readings) {
  const auto open = reinterpret_cast<decltype(&lockstep_open_columnar_file)>(
      arrow_function("lockstep_open_columnar_file", "reads " + file.name()));
  std::vector<std::unique_ptr<ColumnarFile>> opened;
  open(file, kind, readings, opened);
  return opened;
}

}  // namespace lockstep
