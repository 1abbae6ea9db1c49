// CSV files being written.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "common/File.h"
#include "engine/data/table/TableOutput.h"

namespace lockstep {

/// A line of names, then one for each row. Each number is the shortest text that is read back as the same number of its
/// column's type. A text is quoted where it has to be (RFC 4180).
class CsvOutput : public TableOutput {
 public:
  CsvOutput(std::filesystem::path path, std::vector<OutputColumn> columns);

  void write(std::span<const double> row) override;
  void close() override;

 private:
  void write_lines();

  std::vector<OutputColumn> columns_;
  OutputFile file_;
  std::string lines_;  ///< that are yet to be written
};

}  // namespace lockstep
