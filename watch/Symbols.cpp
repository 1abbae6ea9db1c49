#include "watch/Symbols.h"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <span>
#include <sstream>
#include <string_view>

#include "common/File.h"
#include "common/Text.h"

namespace lockstep {

namespace {

std::string readable(const std::string& symbol) {
  constexpr std::size_t kMost = 160;
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(symbol.c_str(), nullptr, nullptr, &status),
                                                         &std::free);
  std::string text = name ? name.get() : symbol;
  if (text.size() > kMost) text = text.substr(0, kMost) + "…";
  return text;
}

}  // namespace

/// A file's bytes, with bounds on everything that is read of them.
class Symbols::FileBytes {
 public:
  explicit FileBytes(const std::string& path) {
    const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat found {};
    if (!file || ::fstat(file.get(), &found) != 0 || found.st_size == 0) return;
    void* const place = ::mmap(nullptr, static_cast<std::size_t>(found.st_size), PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (place != MAP_FAILED) bytes_ = {static_cast<const char*>(place), static_cast<std::size_t>(found.st_size)};
  }
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;
  ~FileBytes() {
    if (!bytes_.empty()) ::munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  }

  template <typename Value>
  std::optional<Value> at(std::uint64_t offset) const {
    if (offset > bytes_.size() || bytes_.size() - offset < sizeof(Value)) return std::nullopt;
    Value value;
    std::memcpy(&value, bytes_.data() + offset, sizeof value);
    return value;
  }
  std::string_view text_at(std::uint64_t offset) const {
    if (offset >= bytes_.size()) return "";
    const std::string_view rest(bytes_.data() + offset, bytes_.size() - offset);
    return rest.substr(0, std::min(rest.find('\0'), rest.size()));
  }

 private:
  std::span<const char> bytes_;
};

Symbols::Symbols(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(file, line);) {
    // "7f0a-7f0b r-xp 00001000 08:01 1234   /usr/lib/libc.so.6"
    unsigned long begin = 0;
    unsigned long end = 0;
    unsigned long offset = 0;
    char permissions[5] = {};
    int name = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %4s %lx %*s %*s %n", &begin, &end, permissions, &offset, &name) < 4)
      continue;
    if (permissions[2] != 'x' || name == 0 || line[static_cast<std::size_t>(name)] != '/') continue;
    mappings_.push_back(
        {.begin = begin, .end = end, .offset = offset, .file = line.substr(static_cast<std::size_t>(name))});
  }
}

Symbols::Table Symbols::read_table(const std::string& path) {
  Table table;
  table.file = std::make_shared<FileBytes>(path);
  const FileBytes& file = *table.file;
  const auto header = file.at<Elf64_Ehdr>(0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_ident[EI_CLASS] != ELFCLASS64) {
    return table;
  }
  for (int i = 0; i < header->e_phnum; ++i) {
    const auto segment = file.at<Elf64_Phdr>(header->e_phoff + static_cast<std::uint64_t>(i) * sizeof(Elf64_Phdr));
    if (!segment || segment->p_type != PT_LOAD) continue;
    table.segments.push_back(
        {.begin = segment->p_vaddr, .end = segment->p_vaddr + segment->p_filesz, .offset = segment->p_offset});
  }
  for (int i = 0; i < header->e_shnum; ++i) {
    const auto section = file.at<Elf64_Shdr>(header->e_shoff + static_cast<std::uint64_t>(i) * sizeof(Elf64_Shdr));
    if (!section || (section->sh_type != SHT_SYMTAB && section->sh_type != SHT_DYNSYM)) continue;
    const auto names = file.at<Elf64_Shdr>(header->e_shoff + std::uint64_t{section->sh_link} * sizeof(Elf64_Shdr));
    for (std::uint64_t at = 0; names && at + sizeof(Elf64_Sym) <= section->sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = file.at<Elf64_Sym>(section->sh_offset + at);
      if (!symbol) break;
      if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_value == 0) continue;
      table.symbols.push_back(
          {.address = symbol->st_value, .size = symbol->st_size, .name = names->sh_offset + symbol->st_name});
    }
  }
  std::ranges::sort(table.symbols, {}, &Symbol::address);
  return table;
}

std::string Symbols::name_of(const void* address, bool returns_there) {
  const auto place = reinterpret_cast<std::uint64_t>(address);
  const std::uint64_t looked_up = place - (returns_there ? 1 : 0);
  const auto mapping = std::ranges::find_if(
      mappings_, [&](const Mapping& each) { return looked_up >= each.begin && looked_up < each.end; });
  if (mapping == mappings_.end()) return format("%p", address);
  const std::string file = mapping->file.substr(mapping->file.rfind('/') + 1);
  const std::uint64_t offset = looked_up - mapping->begin + mapping->offset;
  if (!tables_.contains(mapping->file)) tables_[mapping->file] = read_table(mapping->file);
  const Table& table = tables_[mapping->file];
  for (const Mapping& segment : table.segments) {
    if (offset < segment.offset || offset - segment.offset >= segment.end - segment.begin) continue;
    const std::uint64_t wanted = offset - segment.offset + segment.begin;
    auto symbol = std::ranges::upper_bound(table.symbols, wanted, {}, &Symbol::address);
    if (symbol == table.symbols.begin() ||
        wanted >= std::prev(symbol)->address + std::max<std::uint64_t>(std::prev(symbol)->size, 1))
      break;
    --symbol;
    return readable(std::string(table.file->text_at(symbol->name))) +
           format("+0x%llx (", static_cast<unsigned long long>(wanted - symbol->address + (returns_there ? 1 : 0))) +
           file + ")";
  }
  return file + format("+0x%llx", static_cast<unsigned long long>(offset));
}

}  // namespace lockstep
