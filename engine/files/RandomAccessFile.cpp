#include "engine/files/RandomAccessFile.h"

#include <utility>

#include "common/Error.h"
#include "engine/files/InputFile.h"

namespace lockstep {

namespace fs = std::filesystem;

namespace {

void unpack(const fs::path& path, ScratchBytes& scratch) {
  const std::unique_ptr<InputFile> content = open_input_file(path);
  std::vector<std::byte> block(std::size_t{1} << 20);
  while (const std::size_t count = content->read(block.data(), block.size())) {
    scratch.append(std::span(block).first(count), content->name());
  }
}

}  // namespace

RandomAccessFile::RandomAccessFile(PlainFile file)
    : name_(file.name()), file_(std::make_shared<const PlainFile>(std::move(file))), size_(file_->size()) {}

RandomAccessFile::RandomAccessFile(std::string name, std::shared_ptr<const ScratchBytes> content, std::uint64_t begin)
    : name_(std::move(name)), unpacked_(std::move(content)), begin_(begin), size_(unpacked_->size() - begin) {}

RandomAccessFile::RandomAccessFile(const fs::path& path) : RandomAccessFile(open_random_access({path}).front()) {}

void RandomAccessFile::map(ReadAround around) {
  if (file_) mapped_ = MappedFile::of(*file_, around);
}

void RandomAccessFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  if (mapped_ && bytes.size() <= kMostCopied && mapped_->copy(offset, bytes)) return;
  if (file_) return file_->read_at(offset, bytes);
  if (offset > size_ || bytes.size() > size_ - offset) {
    throw InputError(name() + " has " + std::to_string(size_) + " bytes of content; expected " +
                     std::to_string(bytes.size()) + " from byte " + std::to_string(offset) + " on");
  }
  unpacked_->read_at(begin_ + offset, bytes);
}

std::vector<RandomAccessFile> open_random_access(const std::vector<fs::path>& paths) {
  const auto scratch = std::make_shared<ScratchBytes>();
  std::vector<RandomAccessFile> files;
  for (const fs::path& path : paths) {
    PlainFile file(path);
    if (!is_packed(file)) {
      files.push_back(RandomAccessFile(std::move(file)));
      continue;
    }
    const std::uint64_t begin = scratch->size();
    unpack(path, *scratch);
    files.emplace_back(path.string(), scratch, begin);
  }
  return files;
}

}  // namespace lockstep
