// Names of the functions of another process.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace lockstep {

/// Of a process of this machine: reads what it has mapped, and the symbol tables of these files.
class Symbols {
 public:
  explicit Symbols(pid_t pid);

  /// "lockstep::Trainer::run()+0x1c (lockstep-rank)"; where no symbol is known, file and offset, or the address alone.
  /// `returns_there`: the address is behind a call.
  std::string name_of(const void* address, bool returns_there);

 private:
  class FileBytes;
  struct Mapping {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t offset = 0;  ///< of its first byte in the file
    std::string file{};
  };
  struct Symbol {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
    std::uint64_t name = 0;  ///< where it lies in the file
  };
  struct Table {
    std::vector<Symbol> symbols{};    ///< by address
    std::vector<Mapping> segments{};  ///< offset in the file → address in the table's terms, as `begin`
    std::shared_ptr<FileBytes> file{};
  };

  static Table read_table(const std::string& path);

  std::vector<Mapping> mappings_;
  std::map<std::string, Table> tables_;
};

}  // namespace lockstep
