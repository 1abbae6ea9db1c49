// A file, for Apache Arrow.
#pragma once

#include <arrow/buffer.h>
#include <arrow/io/interfaces.h>
#include <arrow/memory_pool.h>
#include <arrow/result.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "common/Error.h"
#include "engine/files/RandomAccessFile.h"

namespace lockstep {

/// As Arrow wants to see a file, or a part of it: `size` bytes from `begin` on, which it has.
class ArrowBytes : public arrow::io::RandomAccessFile {
 public:
  ArrowBytes(const lockstep::RandomAccessFile& file, std::uint64_t begin, std::uint64_t size, arrow::MemoryPool* pool)
      : file_(file), begin_(begin), size_(static_cast<std::int64_t>(size)), pool_(pool) {}

  arrow::Status Close() override { return arrow::Status::OK(); }
  bool closed() const override { return false; }
  arrow::Result<std::int64_t> Tell() const override { return at_; }
  arrow::Status Seek(std::int64_t position) override {
    at_ = position;
    return arrow::Status::OK();
  }
  arrow::Result<std::int64_t> GetSize() override { return size_; }
  arrow::Result<std::int64_t> Read(std::int64_t count, void* out) override {
    ARROW_ASSIGN_OR_RAISE(const std::int64_t done, ReadAt(at_, count, out));
    at_ += done;
    return done;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> Read(std::int64_t count) override {
    ARROW_ASSIGN_OR_RAISE(auto buffer, ReadAt(at_, count));
    at_ += buffer->size();
    return buffer;
  }
  arrow::Result<std::int64_t> ReadAt(std::int64_t position, std::int64_t count, void* out) override {
    const std::int64_t there = available(position, count);
    try {
      if (there > 0) {
        file_.read_at(begin_ + static_cast<std::uint64_t>(position),
                      {static_cast<std::byte*>(out), static_cast<std::size_t>(there)});
      }
    } catch (const Error& error) {
      return arrow::Status::IOError(error.what());
    }
    return there;
  }
  arrow::Result<std::shared_ptr<arrow::Buffer>> ReadAt(std::int64_t position, std::int64_t count) override {
    const std::int64_t there = available(position, count);  // before memory is taken
    ARROW_ASSIGN_OR_RAISE(std::shared_ptr<arrow::Buffer> buffer, arrow::AllocateBuffer(there, pool_));
    ARROW_RETURN_NOT_OK(ReadAt(position, there, buffer->mutable_data()));
    return buffer;
  }

 private:
  std::int64_t available(std::int64_t position, std::int64_t count) const {
    return position < 0 || position > size_ || count < 0 ? 0 : std::min(count, size_ - position);
  }

  const lockstep::RandomAccessFile& file_;
  std::uint64_t begin_;
  std::int64_t size_;
  arrow::MemoryPool* pool_;
  std::int64_t at_ = 0;
};

}  // namespace lockstep
