#include "engine/data/columnar/ParquetOutput.h"

#include "engine/data/columnar/ArrowModule.h"

namespace lockstep {

MakeTableOutput parquet_output() {
  const auto create = reinterpret_cast<decltype(&lockstep_create_parquet_file)>(
      arrow_function("lockstep_create_parquet_file", "writes Parquet files"));
  return [create](const std::filesystem::path& path, const std::vector<OutputColumn>& columns) {
    std::unique_ptr<TableOutput> created;
    create(path, columns, created);
    return created;
  };
}

}  // namespace lockstep
